"""What a judge says of test rows, and the figures of it, also for every sample of a bootstrap."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from scipy.special import logit, stdtrit, xlogy

from synthgen.metrics.score import UNSEEN
from synthgen.model_selection.classifiers import LEAST
from synthgen.model_selection.intervals import wilson
from synthgen.model_selection.ranking import Ranked, slope

PRECISION = 0.5  # recall is also given where this share of the alarms is right


@dataclass(frozen=True, eq=False)
class Told:
    """What a judge says of the test rows after it learned from one set of rows.

    Attributes:
        p: Probabilities after prior correction, one row for each repeat. Shape (repeats, rows).
        threshold: Of the best F1 on real out-of-fold rows, and after it those of a bootstrap of
            these rows; shape (1 or 1 + replicates, 1), or with one for each test row (1, rows).
            Empty: not sought.
        halves: Probabilities from judges that learned from halves of the rows, drawn without
            replacement; shape (halves, rows). Empty: no such judge.
    """

    p: np.ndarray
    threshold: np.ndarray
    halves: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))

    @classmethod
    def parted(cls, one: Told, two: Told, half: np.ndarray) -> Told:
        """What `one` says of the rows in `half`, and `two` of the others; each at its threshold."""

        def both(first: np.ndarray, second: np.ndarray) -> np.ndarray:
            out = np.empty((*first.shape[:-1], len(half)))
            out[..., half], out[..., ~half] = first, second
            return out

        return cls(
            both(one.p, two.p),
            both(one.threshold[:1], two.threshold[:1]),
            both(one.halves, two.halves),
        )

    def of_half(self, k: int) -> Told:
        """The same from half `k`, at the thresholds of all rows."""
        return Told(self.halves[[k]], self.threshold[:1])

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
    """A 95 % interval of what a judge reaches: of the rows that test it, and of those it learns
    from.

    Args:
        value: On all rows.
        again: From samples of the test rows, with replacement, of the judge's scores.
        halves: From judges that learned from halves, on all test rows: what it spreads over such
            halves is its standard error over training sets (delete-half jackknife).
        bounds: Of all possible values.
        rows: Test rows that can move the value.
        share: The value is a share of these rows: Wilson's interval (1927) is the least.

    Example:
        >>> between(1.0, np.ones(9), np.empty(0), (0.0, 1.0), rows=10)
        (0.7, 1.0)
    """
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
    y: np.ndarray, told: Told, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Average precision, ROC-AUC and recall at `PRECISION`, for each row of `weights` (shape
    (replicates, rows)), as means over the repeats; rows of equal score count at once.
    """
    found = []
    for p in told.p:
        steps = Ranked.of(y, p).steps(weights)
        found.append((steps.average_precision(), steps.roc_auc(), steps.recall_at(PRECISION)))
    one, two, three = np.mean(found, axis=0)
    return one, two, three


def figures(y: np.ndarray, told: Told, weights: np.ndarray) -> dict[str, np.ndarray]:
    """All figures for each row of `weights`; shape (replicates,)."""
    ap, area, enough = ranking(y, told, weights)
    out = {"average_precision": ap, "roc_auc": area, "recall_at_precision": enough}
    total = weights.sum(axis=1, dtype=np.float64)
    of_class = weights[:, y].sum(axis=1, dtype=np.float64)
    brier, loss, slopes = [], [], []
    for p in told.p:
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
    for alarm in told.alarms(len(weights)):
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


def recall_of(rows: np.ndarray, told: Told, weights: np.ndarray) -> np.ndarray:
    """Recall among these rows; NaN where none was drawn."""
    drawn = weights[:, rows].sum(axis=1, dtype=np.float64)
    shares = []
    for alarm in told.alarms(len(weights)):
        hits = (weights * (rows & alarm)).sum(axis=1)
        shares.append(np.divide(hits, drawn, out=np.full(len(drawn), np.nan), where=drawn > 0))
    return np.mean(shares, axis=0)
