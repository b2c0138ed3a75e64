"""TODO docstring."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression


def ranking(hits: np.ndarray, alarms: np.ndarray) -> tuple[Any, Any, Any]:
    """Average precision, area under the ROC curve, and false alarms for each hit at half recall.

    Args:
        hits, alarms: Weight of the rows of the class, and of the others, in each group of rows with
            one score, the highest score first; shape (..., groups). Equal scores count at once.

    Returns:
        Three floats or arrays of shape (...,).

    Example:
        >>> [round(float(f), 3) for f in ranking(np.array([1, 1, 0.0]), np.array([0, 1, 2.0]))]
        [0.833, 0.917, 0.0]
    """
    below = alarms.sum(-1, keepdims=True)
    hits_so_far, alarms_so_far = np.cumsum(hits, -1), np.cumsum(alarms, -1)
    all_hits = hits_so_far[..., -1:]
    recall = hits / all_hits
    both = hits_so_far + alarms_so_far
    precision = np.divide(hits_so_far, both, out=np.zeros_like(both, float), where=both > 0)
    beaten = (below - alarms_so_far + alarms / 2) / below
    half = np.argmax(hits_so_far >= all_hits / 2, axis=-1)[..., None]
    price = np.take_along_axis(alarms_so_far, half, -1) / np.take_along_axis(hits_so_far, half, -1)
    return (recall * precision).sum(-1), (recall * beaten).sum(-1), price[..., 0]


def average_precision(y: np.ndarray, scores: np.ndarray, weight: np.ndarray) -> float:
    """Of rows with weights, all of shape (rows,)."""
    return float(ranking(*_in_groups(_ranks(scores), y, weight))[0])


def _ranks(scores: np.ndarray) -> np.ndarray:
    """The group of each row: rows of one score are one, and the highest score is 0."""
    return np.unique(-scores, return_inverse=True)[1]


def _in_groups(
    group: np.ndarray, y: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    groups = group.max() + 1
    hits = np.bincount(group, weight * y, groups)
    return hits, np.bincount(group, weight * ~y, groups)


def _areas(suspicion: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of each attack for each weighting of the rows.

    Args:
        suspicion: Shape (attacks, rows), members first.
        weights: Shape (weightings, rows).

    Returns:
        Shape (attacks, weightings).
    """
    member = np.arange(suspicion.shape[1]) < suspicion.shape[1] // 2
    areas = []
    for row in suspicion:
        order = np.argsort(row, kind="stable")
        starts = np.flatnonzero(np.diff(row[order], prepend=-np.inf))
        members = np.add.reduceat(weights[:, order] * member[order], starts, axis=1)
        others = np.add.reduceat(weights[:, order] * ~member[order], starts, axis=1)
        below = others.cumsum(1) - others / 2
        areas.append((members * below).sum(1) / members.sum(1) / others.sum(1))
    return np.stack(areas)


def slope(y: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The slope of the logistic regression of `y` on `score`, for each row of `weights`: Newton's
    steps from the fit of all rows, with a slight pull to 0 where the classes part.
    """
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
