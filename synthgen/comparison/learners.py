"""Classifiers for rare classes that no dependency provides: self-paced ensembles, focal losses."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Self

import numpy as np
import torch
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.tree import DecisionTreeClassifier

from synthgen.seeds import RandomState, child_seed, seed_sequence
from synthgen.training.device import torch_generator


def effective_weights(counts: np.ndarray, beta: float = 0.9999) -> np.ndarray:
    """Compute class weights from effective numbers of rows (Cui et al. 2019), mean 1 over rows."""
    there = counts > 0
    number = (1 - np.power(beta, counts)) / (1 - beta)
    weights = np.where(there, 1 / np.where(there, number, 1), 0.0)
    return weights * counts.sum() / (weights * counts).sum()


class SelfPacedEnsemble(ClassifierMixin, BaseEstimator):
    """An ensemble of trees on balanced samples that become harder in training (Liu et al. 2020).

    Each tree learns from all rows of the rarest class and from an equal number of rows of each
    other class. The latter are sampled by hardness, the error of the previous trees: early trees
    get rows of every hardness, late trees get mostly hard rows.
    """

    def __init__(
        self,
        n_estimators: int = 20,
        *,
        bins: int = 20,
        max_depth: int | None = 10,
        min_samples_leaf: int = 1,
        random_state: RandomState = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.bins = bins
        self.max_depth = max_depth
        self.min_samples_leaf = min_samples_leaf
        self.random_state = random_state

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Fit to `X` of shape (rows, features), without missing cells, and `y` (rows,)."""
        X = np.asarray(X)
        self.classes_, codes = np.unique(y, return_inverse=True)
        counts = np.bincount(codes)
        rng = np.random.default_rng(seed_sequence(self.random_state))
        self.estimators_ = []
        total = np.zeros((len(codes), len(counts)))
        for i in range(self.n_estimators):
            # The self-paced factor grows from 0 to infinity.
            pace = np.tan(np.pi / 2 * i / self.n_estimators)
            hardness = None if i == 0 else 1 - total[np.arange(len(codes)), codes] / i
            rows = np.concatenate(
                [
                    self.draw(np.flatnonzero(codes == c), int(counts.min()), hardness, pace, rng)
                    for c in range(len(counts))
                ]
            )
            tree = DecisionTreeClassifier(
                max_depth=self.max_depth,
                min_samples_leaf=self.min_samples_leaf,
                random_state=int(rng.integers(2**31)),
            ).fit(X[rows], codes[rows])
            self.estimators_.append(tree)
            total += tree.predict_proba(X)
        return self

    def draw(
        self,
        rows: np.ndarray,
        wanted: int,
        hardness: np.ndarray | None,
        pace: float,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draw rows of one class; a bin of hardness weighs 1 / (its mean hardness + `pace`)."""
        if hardness is None or len(rows) <= wanted or np.ptp(hardness[rows]) == 0:
            return rng.choice(rows, wanted, replace=False)
        hard = hardness[rows]
        place = ((hard - hard.min()) / np.ptp(hard) * self.bins).astype(int).clip(max=self.bins - 1)
        size = np.bincount(place, minlength=self.bins)
        mean = np.bincount(place, hard, minlength=self.bins) / np.maximum(size, 1)
        weight = np.where(size > 0, 1 / (mean + pace + 1e-6), 0) / np.maximum(size, 1)
        chance = weight[place]
        return rng.choice(rows, wanted, replace=False, p=chance / chance.sum())

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Mean over the trees, shape (rows, classes)."""
        return np.mean([tree.predict_proba(X) for tree in self.estimators_], axis=0)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """The most probable class of each row."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


class FocalMLP(ClassifierMixin, BaseEstimator):
    """A small network trained with the focal loss (Lin et al. 2017).

    Classes are weighted by their effective numbers of rows (Cui et al. 2019).
    """

    def __init__(
        self,
        *,
        gamma: float = 2.0,
        beta: float | None = 0.9999,
        width: int = 64,
        epochs: int = 30,
        learning_rate: float = 3e-3,
        random_state: RandomState = None,
    ) -> None:
        self.gamma = gamma
        self.beta = beta
        self.width = width
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.random_state = random_state

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Fit to standardised `X` of shape (rows, features) and `y` of shape (rows,)."""
        self.classes_, codes = np.unique(y, return_inverse=True)
        seed = seed_sequence(self.random_state)
        generator = torch_generator(child_seed(seed, 0), torch.device("cpu"))
        sizes = [X.shape[1], self.width, self.width, len(self.classes_)]
        weights = [
            torch.randn(rows, columns, generator=generator) * (2 / max(rows, 1)) ** 0.5
            for rows, columns in pairwise(sizes)
        ]
        parameters = [p.requires_grad_() for w in weights for p in (w, torch.zeros(w.shape[1]))]
        counts = np.bincount(codes)
        alpha = np.ones(len(counts)) if self.beta is None else effective_weights(counts, self.beta)
        rows = torch.as_tensor(np.asarray(X), dtype=torch.float32)
        target, alpha = torch.as_tensor(codes), torch.as_tensor(alpha, dtype=torch.float32)
        batch = min(256, len(codes))
        epochs = max(self.epochs, -(-500 // (len(codes) // batch)))
        steps = epochs * (len(codes) // batch)
        optimizer = torch.optim.AdamW(parameters, lr=self.learning_rate, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps, 1))
        for _ in range(epochs):
            order = torch.randperm(len(codes), generator=generator)
            for part in order[: len(codes) // batch * batch].split(batch):
                logs = _forward(rows[part], parameters).log_softmax(1)
                log = logs.gather(1, target[part, None])[:, 0]
                # The gradient includes that of the focal weight, which depends on the probability.
                loss = -(alpha[target[part]] * (1 - log.exp()).clamp_min(1e-6) ** self.gamma * log)
                optimizer.zero_grad()
                loss.mean().backward()
                optimizer.step()
                schedule.step()
        self.parameters_ = [p.detach().numpy() for p in parameters]
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Shape (rows, classes)."""
        rows = torch.as_tensor(np.asarray(X), dtype=torch.float32)
        with torch.inference_mode():
            out = _forward(rows, [torch.as_tensor(p) for p in self.parameters_])
        return softmax(out.double().numpy(), axis=1)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """The most probable class of each row."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def _forward(rows: torch.Tensor, parameters: list[torch.Tensor]) -> torch.Tensor:
    for place in range(0, len(parameters) - 2, 2):
        rows = torch.relu(rows @ parameters[place] + parameters[place + 1])
    return rows @ parameters[-2] + parameters[-1]


class FocalBoosting(ClassifierMixin, BaseEstimator):
    """xgboost's boosted trees with the focal loss, for two classes (Lin et al. 2017)."""

    def __init__(
        self,
        *,
        gamma: float = 2.0,
        beta: float | None = None,
        rounds: int = 100,
        learning_rate: float = 0.1,
        max_depth: int = 6,
        random_state: int = 0,
    ) -> None:
        self.gamma = gamma
        self.beta = beta
        self.rounds = rounds
        self.learning_rate = learning_rate
        self.max_depth = max_depth
        self.random_state = random_state

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Fit to `X` of shape (rows, features) and `y` of shape (rows,) with two classes."""
        xgboost: Any = __import__("xgboost")
        self.classes_, codes = np.unique(y, return_inverse=True)
        counts = np.bincount(codes)
        alpha = np.ones(2) if self.beta is None else effective_weights(counts, self.beta)
        weight = alpha[codes]

        def objective(scores: np.ndarray, data: Any) -> tuple[np.ndarray, np.ndarray]:
            gradient, curvature = focal_derivatives(scores, codes, self.gamma)
            return gradient * weight, curvature * weight

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
