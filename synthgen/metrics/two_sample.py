"""Two-sample tests: whether a classifier tells synthetic rows from real ones."""

from __future__ import annotations

import numpy as np

from synthgen.metrics.judges import DEFAULT_JUDGES, out_of_fold
from synthgen.metrics.samples import REPLICATES, TEST_ROWS, Draws, independent, some
from synthgen.metrics.score import Score

FOLDS = 3
# Rows of a fold are scored by one classifier, so areas spread 1.05 to 1.5 times as wide as those of
# as many independent scores do (measured on 40 to 1,000 rows of each side).
DEPENDENT = 1.4
# A row is then taken for what its twin in the other folds is.
TWINS = "; below 0.5, since many rows have near twins on the other side"


def two_sample(draws: Draws, seed: np.random.SeedSequence) -> list[Score]:
    """Synthetic against train and against the holdout, real against real, shuffled against real."""
    rng = np.random.default_rng(seed)
    rows = min(len(draws.train), len(draws.made), len(draws.fresh), TEST_ROWS)
    real, made, fresh = (some(rng, c, rows) for c in (draws.train, draws.made, draws.fresh))
    shuffled = independent(rng, some(rng, draws.train, rows))
    scores, held = [], []
    for judge in DEFAULT_JUDGES:

        def told(a: np.ndarray, b: np.ndarray, judge: str = judge) -> tuple[np.ndarray, np.ndarray]:
            cells, y = np.vstack([a, b]), np.repeat([False, True], [len(a), len(b)])
            folds = min(FOLDS, rows)
            return y, out_of_fold(judge, draws.space, cells, y, folds=folds, rng=rng)

        null = _area(*told(real, fresh), rng)[0]
        bottom = _area(*told(real, shuffled), rng)[0]
        for name, against, into in (
            (f"fidelity.c2st_{judge}", real, scores),
            (f"fidelity.c2st_{judge}_holdout", fresh, held),
        ):
            area, low, high = _area(*told(against, made), rng)
            into.append(
                Score(
                    name,
                    draws.group,
                    _untold(area),
                    _untold(null),
                    "higher",
                    (_untold(high), _untold(low)),
                    _untold(bottom),
                    f"ROC-AUC {area:.3f} [{low:.3f}, {high:.3f}], {null:.3f} of real against real"
                    f"{TWINS if high < 0.5 else ''}",
                )
            )
    return scores + held


def _untold(area: float) -> float:
    return float(2 * (1 - max(0.5, area)))


def _area(y: np.ndarray, score: np.ndarray, rng: np.random.Generator) -> tuple[float, float, float]:
    """ROC-AUC and its interval: bootstrap of the out-of-fold scores, and never narrower than what
    equal sides of this size give by chance.
    """
    order = np.argsort(score, kind="stable")
    last = np.diff(score[order], append=np.inf) > 0
    tie = np.concatenate([[0], np.cumsum(last)[:-1]])
    y = y[order]
    sides = (np.flatnonzero(y), np.flatnonzero(~y))

    def area(weight: np.ndarray) -> float:
        up = np.bincount(tie, weight * y)
        down = np.bincount(tie, weight * ~y)
        return float(up @ (np.cumsum(down) - down / 2) / (up.sum() * down.sum()))

    value = area(np.ones(len(y)))
    again = []
    for _ in range(REPLICATES):
        picks = np.concatenate([side[rng.integers(len(side), size=len(side))] for side in sides])
        again.append(area(np.bincount(picks, minlength=len(y)).astype(float)))
    m, n = map(len, sides)
    error = 1.96 * DEPENDENT * max(float(np.std(again)), float(np.sqrt((m + n + 1) / (12 * m * n))))
    return value, max(0.0, value - error), min(1.0, value + error)
