"""Two-sample tests: whether a classifier can separate synthetic rows from real ones."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from synthgen.encoding.matrix import Matrix
from synthgen.metrics.manifold import nearest_of
from synthgen.metrics.samples import REPLICATES, TEST_ROWS, Samples, independent, some
from synthgen.metrics.score import Score
from synthgen.model_selection.classifiers import DEFAULT_JUDGES, out_of_fold, settings_for
from synthgen.model_selection.ranking import Ranked

FOLDS = 3
# Up to FEW rows, the AUC depends strongly on the split into folds, so PARTINGS splits are averaged.
# For the floor, PARTINGS draws are averaged instead, each with one split.
FEW, PARTINGS = 500, 3
# Number of draws of real rows for the reference, if there are more rows than needed.
REAL_DRAWS = 4
# All rows of a fold are scored by one classifier. The standard error of the AUC is therefore 1.05
# to 1.5 times that of independent scores (measured with 40 to 1,000 rows per side).
DEPENDENT = 1.4
BELOW = "; below 0.5, as synthetic rows are nearer to these real rows than new real rows would be"


def two_sample(draws: Samples, seed: np.random.SeedSequence) -> list[Score]:
    """Run two-sample tests of synthetic rows against train and against the holdout."""
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
        [_partings(draws.matrix, *pair, rng, times if k < 3 else 1) for pair in group]
        for k, group in enumerate(pairs)
    ]
    scores, held = [], []
    for judge in DEFAULT_JUDGES:
        # The floor needs associations: one column has none, and a linear model cannot use them.
        kinds = 4 if judge != "logistic" and len(draws.matrix.columns) > 1 else 3
        areas = [
            [
                area_and_error(*_out_of_fold(judge, draws.matrix, *pair, folds, rng), rng)
                for pair, folds in zip(group, of, strict=True)
            ]
            for group, of in zip(pairs[:kinds], partings[:kinds], strict=True)
        ]
        of_train, of_holdout = _scores(f"fidelity.c2st_{judge}", draws.group, areas)
        scores.append(of_train)
        held.append(of_holdout)
    return scores + held


def _scores(name: str, group: str, areas: list[list[tuple[float, float]]]) -> tuple[Score, Score]:
    """Make the scores of one classifier against train and against the holdout."""
    (against_train, *_), (against_holdout, *_), real, *shuffled = areas
    reference = float(np.mean([score_of(area) for area, _ in real]))
    floor = score_of(float(np.mean([area for area, _ in shuffled[0]]))) if shuffled else None
    between, error = float(np.mean([area for area, _ in real])), real[0][1]
    beside = f"{between:.3f} [{max(0, between - error):.3f}, {min(1, between + error):.3f}]"
    beside += f" (the mean of {len(real)} draws)" if len(real) > 1 else ""

    def score(name: str, area: float, error: float) -> Score:
        low, high = max(0.0, area - error), min(1.0, area + error)
        ends = sorted((score_of(low), score_of(high)))
        interval = (ends[0], 1.0 if low <= 0.5 <= high else ends[1])
        note = f"ROC-AUC {area:.3f} [{low:.3f}, {high:.3f}]; real against real rows {beside}"
        note += BELOW if high < 0.5 else ""
        return Score(name, group, score_of(area), reference, "higher", interval, floor, note)

    return score(name, *against_train), score(f"{name}_holdout", *against_holdout)


def score_of(area: float) -> float:
    """Two-sample score of a ROC-AUC: 1 at 0.5, 0 at 0 and at 1."""
    return float(1 - abs(2 * area - 1))


def _partings(
    matrix: Matrix, real: np.ndarray, other: np.ndarray, rng: np.random.Generator, times: int
) -> np.ndarray:
    """Split the rows of both tables into folds several times; shape (times, rows)."""
    rows, near = len(real), matrix.dense(real)
    place, far = nearest_of(matrix.dense(other), near)
    _, own = nearest_of(near)
    twin = far < own[place] / 2
    # If several rows of `real` are equal, they share out the rows of `other` equal to them in turn.
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


def _out_of_fold(
    judge: str,
    matrix: Matrix,
    real: np.ndarray,
    other: np.ndarray,
    partings: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return a mask of the rows of `other`, and out-of-fold probabilities of being one."""
    cells, y = np.vstack([real, other]), np.repeat([False, True], [len(real), len(other)])
    given = {"rng": rng, "settings": settings_for(judge, len(y))}
    scores = [out_of_fold(judge, matrix, cells, y, folds=fold, **given) for fold in partings]
    return y, np.array(scores)


def area_and_error(
    y: np.ndarray, scores: np.ndarray, rng: np.random.Generator
) -> tuple[float, float]:
    """Compute the mean ROC-AUC over several splits into folds, and its interval's half-width."""
    sides = (np.flatnonzero(y), np.flatnonzero(~y))
    weights = np.ones((1 + REPLICATES, len(y)))
    for weight in weights[1:]:
        for side in sides:
            picks = rng.integers(len(side), size=len(side))
            weight[side] = np.bincount(picks, minlength=len(side))
    found = [Ranked.of(y, score).steps(weights).roc_auc() for score in scores]
    areas = np.mean(found, axis=0)
    m, n = map(len, sides)
    chance = float(np.sqrt((m + n + 1) / (12 * m * n)))
    return float(areas[0]), 1.96 * DEPENDENT * max(float(np.std(areas[1:])), chance)
