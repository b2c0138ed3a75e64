"""Ranking metrics for rows with weights: average precision, ROC-AUC, recall at a precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

SHUFFLED_CELLS = 200_000  # labels to shuffle, over all draws, for the score of chance


@dataclass(frozen=True, eq=False)
class Steps:
    """A ranking as steps: one step for each distinct score, the highest first.

    Rows with equal scores are one step, so their order does not matter.

    Attributes:
        hits: Weight of the rows of the class at each step, shape (..., steps).
        alarms: Weight of the other rows at each step, shape (..., steps).
    """

    hits: np.ndarray
    alarms: np.ndarray

    def average_precision(self) -> np.ndarray:
        """Mean precision over the rows of the class, shape (...,)."""
        hits = np.cumsum(self.hits, -1)
        return (self.hits / hits[..., -1:] * self._precision(hits)).sum(-1)

    def roc_auc(self) -> np.ndarray:
        """Area under the ROC curve, shape (...,)."""
        all_alarms = self.alarms.sum(-1)
        below = all_alarms[..., None] - np.cumsum(self.alarms, -1) + self.alarms / 2
        return (self.hits * below).sum(-1) / self.hits.sum(-1) / all_alarms

    def recall_at(self, precision: float) -> np.ndarray:
        """The highest recall with at least this precision, shape (...,)."""
        hits = np.cumsum(self.hits, -1)
        return np.where(self._precision(hits) >= precision, hits, 0.0).max(-1) / hits[..., -1]

    def alarms_per_hit(self) -> np.ndarray:
        """False alarms per hit at the first step that finds half of the class, shape (...,)."""
        hits, alarms = np.cumsum(self.hits, -1), np.cumsum(self.alarms, -1)
        half = np.argmax(hits >= hits[..., -1:] / 2, axis=-1)[..., None]
        ratio = np.take_along_axis(alarms, half, -1) / np.take_along_axis(hits, half, -1)
        return ratio[..., 0]

    def _precision(self, hits: np.ndarray) -> np.ndarray:
        both = hits + np.cumsum(self.alarms, -1)
        return np.divide(hits, both, out=np.zeros_like(hits), where=both > 0)


@dataclass(frozen=True, eq=False)
class Ranked:
    """Rows sorted by score, once for any number of weightings.

    Attributes:
        y: Whether a row is of the class, sorted by score, bool of shape (rows,).
        order: The sorted rows, highest score first, shape (rows,).
        starts: Where each distinct score begins in `order`, shape (steps,).
    """

    y: np.ndarray
    order: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, y: np.ndarray, scores: np.ndarray) -> Ranked:
        """Sort rows by score."""
        order = np.argsort(-scores, kind="stable")
        starts = np.flatnonzero(np.diff(-scores[order], prepend=-np.inf))
        return cls(y[order], order, starts)

    def steps(self, weights: np.ndarray) -> Steps:
        """The ranking of rows with these weights, shape (..., rows)."""
        weights = weights[..., self.order]
        hits, alarms = (
            np.add.reduceat(weights * side, self.starts, axis=-1, dtype=np.float64)
            for side in (self.y, ~self.y)
        )
        return Steps(hits, alarms)


def average_precision(y: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> float:
    """Average precision of rows with weights; all arguments have shape (rows,)."""
    return float(Ranked.of(y, scores).steps(weights).average_precision())


def chance_precision(y: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> float:
    """Mean average precision of shuffled labels; of few rows it is well above the prevalence."""
    ranked, rows, rare = Ranked.of(y, scores), len(y), int(y.sum())
    if np.ptp(weights) == 0:  # exact, from the probability that two rows are both of the class
        ends = np.append(ranked.starts[1:], rows)
        pairs = (ends - 1) * ((rare - 1) / max(rows - 1, 1))
        return float((np.diff(ends, prepend=0) / ends * (1 + pairs)).sum() / rows)
    rng = np.random.default_rng(0)  # the same draws each time
    draws = int(np.clip(SHUFFLED_CELLS // rows, 10, 2_000))
    signed = np.tile(np.where(y, weights, -weights).astype(np.float64), (draws, 1))
    signed = rng.permuted(signed, axis=1)
    hits, alarms = (
        np.add.reduceat(side.clip(min=0), ranked.starts, axis=1) for side in (signed, -signed)
    )
    return float(Steps(hits, alarms).average_precision().mean())


def above_chance(precision: Any, chance: float, prevalence: float) -> Any:
    """Adjust average precision for chance: shuffled labels get the prevalence, a perfect rank 1.

    The form is that of the adjusted Rand index (Hubert & Arabie 1985), from prevalence to 1.
    """
    if chance >= 1:  # every row is of the class
        return precision
    return prevalence + (1 - prevalence) * (precision - chance) / (1 - chance)


def adjusted_precision(
    y: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None
) -> float:
    """Average precision adjusted for chance; it can be below 0."""
    weights = np.ones(len(y)) if weights is None else weights
    prevalence = float(weights[y].sum() / weights.sum())
    chance = chance_precision(y, scores, weights)
    return float(above_chance(average_precision(y, scores, weights), chance, prevalence))


def slope(y: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute the slope of the logistic regression of `y` on `score`, for each row of `weights`."""
    fit = LogisticRegression(C=100.0, solver="newton-cholesky").fit(score[:, None], y)
    a = np.full(len(weights), float(fit.intercept_[0]))
    b = np.full(len(weights), float(fit.coef_[0, 0]))
    for _ in range(2):
        p = expit(a[:, None] + b[:, None] * score)
        error = weights * (y - p)
        spread = weights * p * (1 - p)
        g0, g1 = error.sum(axis=1), error @ score - b / 100.0
        h00, h01 = spread.sum(axis=1), spread @ score
        h11 = spread @ score**2 + 1 / 100.0
        det = np.maximum(h00 * h11 - h01 * h01, 1e-12)
        a, b = a + (h11 * g0 - h01 * g1) / det, b + (h00 * g1 - h01 * g0) / det
    return b
