"""Two-sample tests: whether a classifier tells synthetic rows from real ones."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from synthgen.encoding.matrix import Space
from synthgen.metrics.manifold import nearest_of
from synthgen.metrics.samples import REPLICATES, TEST_ROWS, Draws, independent, some
from synthgen.metrics.score import Score
from synthgen.model_selection.classifiers import DEFAULT_JUDGES, out_of_fold, settings_for
from synthgen.model_selection.ranking import Ranked

FOLDS = 3
# Few rows are parted so many times, since one parting moves the area by as much as chance does. The
# floor is drawn so many times instead, each parted once: half of the classifiers.
FEW, PARTINGS = 500, 3
# Of real rows in the synthetic rows' place, where there are more than are compared.
REAL_DRAWS = 4
# Rows of a fold are scored by one classifier, so areas spread 1.05 to 1.5 times as wide as those of
# as many independent scores do (measured on 40 to 1,000 rows of each side).
DEPENDENT = 1.4
BELOW = "; below 0.5, as synthetic rows lie nearer to these real rows than new real rows would"


def two_sample(draws: Draws, seed: np.random.SeedSequence) -> list[Score]:
    """Synthetic against train and against the holdout, real against real, shuffled against real.

    A judge that has seen a row's twin on the other side takes the row for what its twin is, and
    rows that are copies would seem to be less than told apart. So twins share a fold; an area below
    one half that is left counts as one above it does.
    """
    rng = np.random.default_rng(seed)
    sides = (draws.train, draws.made, draws.fresh)
    rows = min(*map(len, sides), TEST_ROWS)
    real, made, fresh = (some(rng, cells, rows) for cells in sides)
    times = PARTINGS if rows <= FEW else 1
    several = len(draws.train) > rows or len(draws.fresh) > rows
    pairs = [
        [(real, made)],
        [(fresh, made)],
        [(real, fresh)],
        [(real, independent(rng, some(rng, draws.fresh, rows))) for _ in range(times)],
    ]
    for _ in range(REAL_DRAWS - 1 if several else 0):
        pairs[2].append((some(rng, draws.train, rows), some(rng, draws.fresh, rows)))
    partings = [
        [_partings(draws.space, *pair, rng, times if k < 3 else 1) for pair in group]
        for k, group in enumerate(pairs)
    ]
    scores, held = [], []
    for judge in DEFAULT_JUDGES:
        # A judge of single columns misses no connections, nor does any in a single column.
        floored = judge != "logistic" and len(draws.space.columns) > 1
        kinds = slice(4 if floored else 3)
        areas = [
            [
                _area(*_told(judge, draws.space, *pair, folds, rng), rng)
                for pair, folds in zip(group, of, strict=True)
            ]
            for group, of in zip(pairs[kinds], partings[kinds], strict=True)
        ]
        reference = float(np.mean([_untold(a) for a, _ in areas[2]]))
        floor = _untold(float(np.mean([a for a, _ in areas[3]]))) if floored else None
        between = float(np.mean([a for a, _ in areas[2]]))
        error = areas[2][0][1]
        least, most = max(0, between - error), min(1, between + error)
        beside = f"{between:.3f} [{least:.3f}, {most:.3f}]"
        beside += f" (the mean of {len(areas[2])} draws)" if several else ""
        for name, (area, error), into in (
            (f"fidelity.c2st_{judge}", areas[0][0], scores),
            (f"fidelity.c2st_{judge}_holdout", areas[1][0], held),
        ):
            low, high = max(0.0, area - error), min(1.0, area + error)
            ends = sorted((_untold(low), _untold(high)))
            into.append(
                Score(
                    name,
                    draws.group,
                    _untold(area),
                    reference,
                    "higher",
                    (ends[0], 1.0 if low <= 0.5 <= high else ends[1]),
                    floor,
                    f"ROC-AUC {area:.3f} [{low:.3f}, {high:.3f}]; of real against real {beside}"
                    f"{BELOW if high < 0.5 else ''}",
                )
            )
    return scores + held


def _untold(area: float) -> float:
    return float(1 - abs(2 * area - 1))


def _partings(
    space: Space, real: np.ndarray, other: np.ndarray, rng: np.random.Generator, times: int
) -> np.ndarray:
    """The fold of each row of both tables, so many times; shape (times, rows).

    A row of `other` that is nearer to a row of `real` than half the way from there to the next row
    of `real` goes with it.
    """
    rows, near = len(real), space.dense(real)
    place, far = nearest_of(space.dense(other), near)
    _, own = nearest_of(near, near, itself=True)
    twin = far < own[place] / 2
    # Equal rows of `real` take turns in having the rows that are equal to them.
    _, same = np.unique(near, axis=0, return_inverse=True)
    same = same.reshape(-1)
    alike = np.argsort(same, kind="stable")
    start = np.searchsorted(same[alike], np.arange(same.max() + 1))
    count = np.bincount(same)
    equal = np.flatnonzero((far == 0) & (own[place] == 0))
    group = same[place[equal]]
    turn = (rankdata(group, method="ordinal") - rankdata(group, method="min")).astype(np.int64)
    place[equal] = alike[start[group] + turn % count[group]]
    twin[equal] = True
    folds = min(FOLDS, rows)
    out = []
    for _ in range(times):
        one, two = (rng.permutation(np.arange(len(side)) % folds) for side in (real, other))
        out.append(np.concatenate([one, np.where(twin, one[place], two)]))
    return np.array(out)


def _told(
    judge: str,
    space: Space,
    real: np.ndarray,
    other: np.ndarray,
    partings: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Which rows are of `other`, and what the judge says; shapes (rows,) and (partings, rows)."""
    cells, y = np.vstack([real, other]), np.repeat([False, True], [len(real), len(other)])
    given = {"rng": rng, "settings": settings_for(judge, len(y))}
    told = [out_of_fold(judge, space, cells, y, folds=fold, **given) for fold in partings]
    return y, np.array(told)


def _area(y: np.ndarray, told: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """ROC-AUC, as the mean of the partings, and half of the length of its interval: bootstrap of
    the out-of-fold scores, and never narrower than what equal sides of this size give by chance.
    """
    sides = (np.flatnonzero(y), np.flatnonzero(~y))
    weights = np.ones((1 + REPLICATES, len(y)))
    for weight in weights[1:]:
        for side in sides:
            picks = rng.integers(len(side), size=len(side))
            weight[side] = np.bincount(picks, minlength=len(side))
    found = [Ranked.of(y, score).steps(weights).roc_auc() for score in told]
    areas = np.mean(found, axis=0)
    m, n = map(len, sides)
    chance = float(np.sqrt((m + n + 1) / (12 * m * n)))
    return float(areas[0]), 1.96 * DEPENDENT * max(float(np.std(areas[1:])), chance)
