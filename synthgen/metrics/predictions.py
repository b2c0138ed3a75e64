"""Predictions for test rows, and their metrics, also for every bootstrap sample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from scipy.special import logit, stdtrit, xlogy

from synthgen.metrics.score import UNSEEN
from synthgen.model_selection.classifiers import LEAST
from synthgen.model_selection.intervals import wilson
from synthgen.model_selection.ranking import Ranked, slope

PRECISION = 0.5  # recall is also reported at this precision


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions for the test rows by a classifier trained on one set of rows.

    Attributes:
        p: Probabilities after prior correction, shape (repeats, rows).
        threshold: The threshold with the best F1 on out-of-fold real rows, followed by those on
            bootstrap samples of these rows: shape (1 or 1 + replicates, 1); or one for each test
            row, shape (1, rows). Empty if no threshold is needed.
        halves: Probabilities of classifiers trained on half of the rows, drawn without replacement;
            shape (halves, rows). Empty if there are none.
    """

    p: np.ndarray
    threshold: np.ndarray
    halves: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))

    @classmethod
    def parted(cls, one: Predictions, two: Predictions, half: np.ndarray) -> Predictions:
        """Predictions of `one` for the rows in `half`, of `two` for the others; own thresholds."""

        def both(first: np.ndarray, second: np.ndarray) -> np.ndarray:
            out = np.empty((*first.shape[:-1], len(half)))
            out[..., half], out[..., ~half] = first, second
            return out

        return cls(
            both(one.p, two.p),
            both(one.threshold[:1], two.threshold[:1]),
            both(one.halves, two.halves),
        )

    def of_half(self, k: int) -> Predictions:
        """The predictions of the classifier trained on half `k`, at the threshold of all rows."""
        return Predictions(self.halves[[k]], self.threshold[:1])

    def alarms(self, replicates: int) -> Iterator[np.ndarray]:
        """For each repeat, whether a row is an alarm; bool of shape (1 or replicates, rows)."""
        if len(self.threshold):
            chosen = (
                self.threshold[1:] if len(self.threshold) - 1 == replicates else self.threshold[:1]
            )
            yield from (p >= chosen for p in self.p)


def between(
    value: float,
    again: np.ndarray,
    halves: np.ndarray,
    bounds: tuple[float, float],
    *,
    rows: int,
    share: bool = False,
) -> tuple[float, float]:
    """Compute the 95 % interval of a metric, with the variance due to test and training rows."""
    again, halves = (found[~np.isnan(found)] for found in (again, halves))
    low, high = np.quantile(again, [0.025, 0.975]).tolist() if len(again) else (value, value)
    if share and rows:
        ends = wilson(value, rows)
        low, high = min(low, ends[0]), max(high, ends[1])
    trained = 0.0
    if len(halves) > 1:
        trained = float(stdtrit(len(halves) - 1, 0.975) * halves.std(ddof=1))
    down, up = (float(np.hypot(max(0.0, far), trained)) for far in (value - low, high - value))
    if down + up < 1e-12:
        down = up = UNSEEN / max(1, rows)
    return (min(value, max(bounds[0], value - down)), max(value, min(bounds[1], value + up)))


def ranking(
    y: np.ndarray, predicted: Predictions, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute average precision, ROC-AUC and recall at `PRECISION`, as means over the repeats."""
    found = []
    for p in predicted.p:
        steps = Ranked.of(y, p).steps(weights)
        found.append((steps.average_precision(), steps.roc_auc(), steps.recall_at(PRECISION)))
    one, two, three = np.mean(found, axis=0)
    return one, two, three


def figures(y: np.ndarray, predicted: Predictions, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Compute all metrics for each row of `weights`; each has shape (replicates,)."""
    ap, area, enough = ranking(y, predicted, weights)
    out = {"average_precision": ap, "roc_auc": area, "recall_at_precision": enough}
    total = weights.sum(axis=1, dtype=np.float64)
    of_class = weights[:, y].sum(axis=1, dtype=np.float64)
    brier, loss, slopes = [], [], []
    for p in predicted.p:
        p = np.clip(p, LEAST, 1 - LEAST)
        brier.append(weights @ (p - y) ** 2 / total)
        loss.append(-(weights @ (xlogy(y, p) + xlogy(~y, 1 - p))) / total)
        slopes.append(slope(y, logit(p), weights))
    out |= {
        "brier": np.mean(brier, axis=0),
        "log_loss": np.mean(loss, axis=0),
        "calibration_slope": np.mean(slopes, axis=0),
    }
    decisions = []
    for alarm in predicted.alarms(len(weights)):
        hits, alarms = ((weights * (side & alarm)).sum(axis=1) for side in (y, ~y))
        missed, quiet = of_class - hits, total - of_class - alarms
        product = (hits + alarms) * of_class * (quiet + alarms) * (quiet + missed)
        decisions.append(
            {
                "recall": hits / of_class,
                "balanced_accuracy": (hits / of_class + quiet / (total - of_class)) / 2,
                "f1": 2 * hits / (hits + alarms + of_class),
                "mcc": np.divide(
                    hits * quiet - alarms * missed,
                    np.sqrt(product),
                    out=np.zeros_like(product),
                    where=product > 0,
                ),
            }
        )
    for name in decisions[0] if decisions else ():
        out[name] = np.mean([d[name] for d in decisions], axis=0)
    return out


def recall_of(rows: np.ndarray, predicted: Predictions, weights: np.ndarray) -> np.ndarray:
    """Compute the recall among these rows; NaN if a replicate has none of them."""
    drawn = weights[:, rows].sum(axis=1, dtype=np.float64)
    shares = []
    for alarm in predicted.alarms(len(weights)):
        hits = (weights * (rows & alarm)).sum(axis=1)
        shares.append(np.divide(hits, drawn, out=np.full(len(drawn), np.nan), where=drawn > 0))
    return np.mean(shares, axis=0)
