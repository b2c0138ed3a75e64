"""What no dependency provides: boosting with the focal loss, weights by effective numbers."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin


def effective_weights(counts: np.ndarray, beta: float = 0.9999) -> np.ndarray:
    """Compute class weights from effective numbers of rows (Cui et al. 2019), mean 1 over rows."""
    there = counts > 0
    number = (1 - np.power(beta, counts)) / (1 - beta)
    weights = np.where(there, 1 / np.where(there, number, 1), 0.0)
    return weights * counts.sum() / (weights * counts).sum()


class FocalBoosting(ClassifierMixin, BaseEstimator):
    """xgboost's boosted trees with the focal loss, for two classes (Lin et al. 2017)."""

    def __init__(
        self,
        *,
        gamma: float = 2.0,
        rounds: int = 100,
        learning_rate: float = 0.1,
        max_depth: int = 6,
        random_state: int = 0,
    ) -> None:
        self.gamma = gamma
        self.rounds = rounds
        self.learning_rate = learning_rate
        self.max_depth = max_depth
        self.random_state = random_state

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Fit to `X` of shape (rows, features) and `y` of shape (rows,) with two classes."""
        xgboost: Any = __import__("xgboost")
        self.classes_, codes = np.unique(y, return_inverse=True)

        def objective(scores: np.ndarray, data: Any) -> tuple[np.ndarray, np.ndarray]:
            return focal_derivatives(scores, codes, self.gamma)

        settings = {
            "learning_rate": self.learning_rate,
            "max_depth": self.max_depth,
            "seed": self.random_state,
            "tree_method": "hist",
            "base_score": 0.0,
            "nthread": 1,
        }
        data = xgboost.DMatrix(X, label=codes)
        self.booster_ = xgboost.train(settings, data, self.rounds, obj=objective)
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Shape (rows, 2)."""
        xgboost: Any = __import__("xgboost")
        scores = self.booster_.predict(xgboost.DMatrix(X), output_margin=True)
        p = 1 / (1 + np.exp(-scores.astype(np.float64)))
        return np.column_stack([1 - p, p])

    def predict(self, X: np.ndarray) -> np.ndarray:
        """The most probable class of each row."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def focal_derivatives(
    scores: np.ndarray, is_rare: np.ndarray, gamma: float
) -> tuple[np.ndarray, np.ndarray]:
    """Derivative of the focal loss −(1 − p)^γ log p by the score, and a positive curvature."""
    sign = 2.0 * is_rare - 1
    p = 1 / (1 + np.exp(-np.clip(sign * scores, -30, 30)))  # of the row's own class
    q = 1 - p
    log = np.log(p)
    gradient = sign * q**gamma * (gamma * p * log - q)
    # NOTE[DIFF]: far from the solution the exact curvature is negative, but trees need a positive
    # one. So the terms that can be negative are left out.
    curvature = np.maximum(q**gamma * p * q * (1 + gamma), 1e-6)
    return gradient, curvature if gamma else p * q
