"""Metrics of predicted probabilities of the rare class: ranking, decisions and calibration."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from synthgen.model_selection.ranking import adjusted_precision

# False positive rates at which the recall of the rare class is measured.
FALSE_ALARMS = {"recall_at_1pct": 0.01, "recall_at_5pct": 0.05}
RECALLS = np.linspace(0.05, 1, 20)
CALIBRATION = np.array(
    [0, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
)
THRESHOLDS = np.concatenate([[0], np.logspace(-4, 0, 41)])


@dataclass(frozen=True)
class Metric:
    """A metric of predicted probabilities of the rare class.

    Attributes:
        words: Name for reports.
        sign: 1 if higher is better, -1 if lower is better.
        best, worst: The best and the worst possible value.
    """

    words: str
    sign: int = 1
    best: float = 1.0
    worst: float = 0.0

    @property
    def bounds(self) -> tuple[float, float]:
        """The worst and the best value, with the sign changed if lower is better."""
        return self.sign * self.worst, self.sign * self.best

    def text(self, value: float, *, signed: bool = False) -> str:
        """Format a value: three decimals, or whole units for a cost."""
        return (
            f"{value:{'+' if signed else ''}{',.0f' if self.words.startswith('cost') else '.3f'}}"
        )


METRICS = {
    "average_precision": Metric("average precision"),
    "roc_auc": Metric("area under the ROC curve"),
    "recall_at_1pct": Metric("recall at 1 % false alarms"),
    "recall_at_5pct": Metric("recall at 5 % false alarms"),
    "balanced_accuracy": Metric("balanced accuracy"),
    "f1": Metric("F1"),
    "brier": Metric("Brier score", -1, 0.0, 1.0),
    "log_loss": Metric("log-loss", -1, 0.0, math.inf),
    "cost": Metric("cost of 1,000 rows", -1, 0.0, math.inf),
}
DECIDED: tuple[str, ...] = ("balanced_accuracy", "f1", "cost")  # those that need a threshold
RANKED: tuple[str, ...] = (
    "average_precision",
    "roc_auc",
    "recall_at_1pct",
    "recall_at_5pct",
    "brier",
    "log_loss",
)


def score(
    is_rare: np.ndarray,
    p: np.ndarray,
    thresholds: dict[str, float],
    cost: tuple[float, float] | None,
    weight: np.ndarray | None = None,
) -> dict[str, float]:
    """Compute all metrics on one test part; average precision is adjusted for chance."""
    found = {name: adjusted_rank(is_rare, p, name, weight) for name in RANKED}
    totals = counts_at(is_rare, p, -math.inf, weight)
    for name in DECIDED:
        if name != "cost" or cost is not None:
            hits, alarms = counts_at(is_rare, p, thresholds[name], weight)
            found[name] = float(decided(name, hits, alarms, totals, cost))
    return found


def rank(is_rare: np.ndarray, p: np.ndarray, name: str, weight: np.ndarray | None = None) -> float:
    """Compute one metric of `RANKED`, which needs no threshold."""
    if name == "average_precision":
        return float(average_precision_score(is_rare, p, sample_weight=weight))
    if name == "roc_auc":
        return float(roc_auc_score(is_rare, p, sample_weight=weight))
    if name == "brier":
        return float(np.average((p - is_rare) ** 2, weights=weight))
    if name == "log_loss":
        known = np.where(is_rare, p, 1 - p)
        return float(np.average(-np.log(np.clip(known, 1e-7, 1)), weights=weight))
    alarms, hits, _ = roc_curve(is_rare, p, sample_weight=weight)
    # Where the curve rises vertically, the last point is the recall at this false positive rate.
    last = np.append(np.diff(alarms) > 0, True)
    return float(np.interp(FALSE_ALARMS[name], alarms[last], hits[last]))


def adjusted_rank(
    is_rare: np.ndarray, p: np.ndarray, name: str, weight: np.ndarray | None = None
) -> float:
    """As `rank`, with average precision adjusted for chance (see `adjusted_precision`)."""
    if name == "average_precision":
        return adjusted_precision(is_rare, p, weight)
    return rank(is_rare, p, name, weight)


def best_threshold(
    is_rare: np.ndarray,
    p: np.ndarray,
    name: str,
    cost: tuple[float, float] | None = None,
    weight: np.ndarray | None = None,
) -> float:
    """Find the threshold on the probability that is best for a metric of `DECIDED`."""
    each = np.ones(len(p)) if weight is None else weight
    return float(best_thresholds(is_rare, p, each[None], name, cost)[0])


def best_thresholds(
    is_rare: np.ndarray,
    p: np.ndarray,
    weights: np.ndarray,
    name: str = "f1",
    cost: tuple[float, float] | None = None,
) -> np.ndarray:
    """Find the `best_threshold` for each of several weightings of the rows."""
    order = np.argsort(-p, kind="stable")
    ranked, rare = p[order], is_rare[order]
    ends = np.flatnonzero(np.diff(ranked, append=-np.inf))  # tied rows get the same decision
    at, found = ranked[ends], np.empty(len(weights))
    cuts = np.concatenate([[np.nextafter(at[0], 2)], (at[:-1] + at[1:]) / 2, at[-1:] / 2])
    for k, weight in enumerate(weights):
        w = weight[order].astype(np.float64)
        hits, alarms = (np.append(0, np.cumsum(w * side)[ends]) for side in (rare, ~rare))
        values = decided(name, hits, alarms, (hits[-1], alarms[-1]), cost) * METRICS[name].sign
        found[k] = cuts[int(np.argmax(values))]
    return found


def counts_at(
    is_rare: np.ndarray, p: np.ndarray, threshold: float, weight: np.ndarray | None = None
) -> tuple[float, float]:
    """Count hits and false alarms if rows with at least this probability are predicted as rare."""
    called = (p >= threshold) * (1 if weight is None else weight)
    return called[is_rare].sum().item(), called[~is_rare].sum().item()


def decided(
    name: str,
    hits: Any,
    alarms: Any,
    totals: tuple[float, float],
    cost: tuple[float, float] | None,
) -> Any:
    """Compute a metric of `DECIDED` from numbers of hits and false alarms, floats or arrays."""
    rare, others = totals
    if name == "f1":
        return 2 * hits / (hits + alarms + rare)
    if name == "balanced_accuracy":
        return (hits / rare + 1 - alarms / others) / 2
    assert cost is not None
    return 1000 * (cost[0] * (rare - hits) + cost[1] * alarms) / (rare + others)


def curves(
    is_rare: np.ndarray,
    p: np.ndarray,
    cost: tuple[float, float] | None,
    weight: np.ndarray | None = None,
) -> dict[str, list[Any]]:
    """Compute the curves of one test part, at fixed points."""
    # Sorted by decreasing recall.
    precision, recall, _ = precision_recall_curve(is_rare, p, sample_weight=weight)
    best = np.maximum.accumulate(precision)  # best precision at this recall or a higher one
    place = np.searchsorted(-recall, -(RECALLS - 1e-9), side="right") - 1
    bins = np.clip(np.searchsorted(CALIBRATION, p, side="right") - 1, 0, len(CALIBRATION) - 2)
    size, each = len(CALIBRATION) - 1, 1 if weight is None else weight
    found: dict[str, list[Any]] = {
        "precision": best[place].tolist(),
        "calibration": [
            np.bincount(bins, weight, minlength=size).tolist(),
            np.bincount(bins, p * each, minlength=size).tolist(),
            np.bincount(bins, is_rare * each, minlength=size).tolist(),
        ],
    }
    if cost is not None:
        totals = counts_at(is_rare, p, -math.inf, weight)
        found["cost"] = [
            float(decided("cost", *counts_at(is_rare, p, t, weight), totals, cost))
            for t in THRESHOLDS
        ]
    return found


def alarm_threshold(
    is_rare: np.ndarray,
    p: np.ndarray,
    weight: np.ndarray,
    cost: tuple[float, float] | None,
    false_alarms: float | None,
) -> float:
    """Choose the probability from which a row gets an alarm."""
    if false_alarms is None:
        name = "f1" if cost is None else "cost"
        return min(1.0, float(best_thresholds(is_rare, p, weight[None], name, cost)[0]))
    order = np.argsort(-p[~is_rare], kind="stable")
    others = p[~is_rare][order]
    share = np.cumsum(weight[~is_rare][order]) / weight[~is_rare].sum()
    first = int(np.searchsorted(share, false_alarms, side="right"))  # first row beyond the limit
    return float(np.nextafter(others[first], 2)) if first < len(others) else 0.0
