"""Calibration of scores to probabilities: Platt scaling and isotonic regression."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.base import BaseEstimator
from sklearn.isotonic import IsotonicRegression

ISOTONIC_ROWS = 1_000  # rows of the class from which isotonic regression takes over
SMOOTH = 0.01  # weight of Platt's curve in isotonic calibration; it orders scores within a step
SLOPES = (-3.0, 10.0)  # bounds of the logarithm of the slope
CLOSE = 1e-6  # scores are moved away from 0 and 1 by this much


class Calibrator(BaseEstimator):
    """Calibrates scores to probabilities, at the prevalence of the rows it is fitted on.

    With fewer than 1,000 rows of the class it uses Platt scaling (Platt 1999), otherwise isotonic
    regression (Zadrozny & Elkan 2002). The map is strictly increasing, so average precision does
    not change.

    Attributes:
        curve_: Intercept and slope of Platt's curve on the log odds of the score, shape (2,).
        steps_: The isotonic regression; None below 1,000 rows of the class.
    """

    def fit(self, is_rare: np.ndarray, score: np.ndarray, weight: Any = None) -> Self:
        """Fit to rows that the scoring model was not trained on."""
        weight = np.ones(len(score)) if weight is None else np.asarray(weight, dtype=float)
        self.curve_ = _platt(is_rare, _log_odds(score), weight)
        self.steps_ = None
        if is_rare.sum() >= ISOTONIC_ROWS:
            steps = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
            self.steps_ = steps.fit(score, is_rare.astype(float), sample_weight=weight)
        return self

    def probability(self, score: np.ndarray) -> np.ndarray:
        """Calibrated probability of the class for each score, shape (rows,)."""
        smooth = expit(self.curve_[0] + self.curve_[1] * _log_odds(score))
        if self.steps_ is None:
            return smooth
        return SMOOTH * smooth + (1 - SMOOTH) * self.steps_.predict(score)


def _log_odds(score: np.ndarray) -> np.ndarray:
    return logit(CLOSE + (1 - 2 * CLOSE) * np.asarray(score, dtype=float))


def _platt(is_rare: np.ndarray, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Intercept and slope of the logistic curve, with Platt's targets instead of 0 and 1.

    NOTE[DIFF]: the slope is positive, so that noise cannot reverse the order of the scores. Its
    logarithm is penalised towards 0 with the weight of one observation, so that a few rows of the
    class that are easy to separate do not make the curve arbitrarily steep.
    """
    # A row may stand for many rows of the table, but never for less than itself.
    rare, others = (max(float(weight[s].sum()), float(s.sum())) for s in (is_rare, ~is_rare))
    target = np.where(is_rare, (rare + 1) / (rare + 2), 1 / (others + 2))
    middle = float(weight @ x / weight.sum())
    x = x - middle

    def loss(curve: np.ndarray) -> tuple[float, np.ndarray]:
        slope = np.exp(curve[1])
        z = curve[0] + slope * x
        error = weight * (expit(z) - target)
        value = weight @ (np.logaddexp(0, z) - target * z) + curve[1] ** 2 / 2
        return float(value), np.array([error.sum(), slope * (error @ x) + curve[1]])

    start = np.array([logit(weight @ target / weight.sum()), 0.0])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(None, None), SLOPES])
    slope = float(np.exp(found.x[1]))
    return np.array([found.x[0] - slope * middle, slope])
