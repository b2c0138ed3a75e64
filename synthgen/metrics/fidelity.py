"""Fidelity: whether synthetic rows look real, by column, by pair, as whole rows, by rules."""

from __future__ import annotations

import numpy as np

from synthgen.encoding.matrix import Matrix
from synthgen.metrics.battery import battery
from synthgen.metrics.columns import columns_and_pairs
from synthgen.metrics.manifold import manifold_scores
from synthgen.metrics.rule_mining import broken_rules
from synthgen.metrics.samples import (
    COLUMN_ROWS,
    DRAWS,
    TEST_ROWS,
    Samples,
    half_sampled,
    jackknifed,
)
from synthgen.metrics.score import UNSEEN, Part, Score
from synthgen.seeds import RandomState, child_seed, seed_sequence
from synthgen.tables.table import Table


def fidelity(
    train: Table,
    synthetic: Table,
    holdout: Table,
    *,
    group: str,
    random_state: RandomState = 0,
) -> Part:
    """Measure how similar synthetic rows are to real ones.

    Columns and pairs are compared as in SDMetrics (with the bins of train for pairs): 1 minus the
    Kolmogorov-Smirnov statistic, 1 minus the total variation distance, 1 minus half the difference
    of Pearson correlations. Whole rows are also compared by a two-sample test, with boosting and
    with logistic regression (Lopez-Paz & Oquab 2017): 1 - abs(2 AUC - 1) of out-of-fold scores,
    which is 1 if the rows cannot be separated; and by alpha-precision and beta-recall (Alaa et al.
    2022), in the standardised columns instead of a learned embedding.
    """
    seed = seed_sequence(random_state)
    one_class = len(np.unique(train.labels)) < 2 if train.schema.target is not None else False
    matrix = Matrix.fitted_on(train, with_target=not one_class)
    cells = [matrix.cells(table) for table in (train, synthetic, holdout)]
    least = min(map(len, cells))
    if least < 2 or not len(matrix.columns):
        sizes = ", ".join(str(len(c)) for c in cells)
        note = f"{group}: {sizes} rows of train, synthetic and holdout: fidelity needs two of each"
        return Part([Score("fidelity.battery", group, np.nan, None, "higher", None, None, note)])
    draws = Samples(matrix, *cells, group=group)
    detected = battery(draws, most_rows=TEST_ROWS, random_state=child_seed(seed, 4))
    scores = detected.scores() + columns_and_pairs(draws, child_seed(seed, 1))
    scores += manifold_scores(draws, child_seed(seed, 2))
    rules, notes = broken_rules(draws)
    return Part(scores + rules, notes=draws.notes() + notes)


def target_correlation(
    train: Table,
    synthetic: Table,
    holdout: Table,
    *,
    label: int,
    random_state: RandomState = 0,
) -> Part:
    """Compare the association of each column with the class in synthetic and in real rows."""
    rng = np.random.default_rng(seed_sequence(random_state))
    matrix = Matrix.fitted_on(train, with_target=False)
    group = str(train.schema.classes[label])
    is_rare = train.labels == label
    rest = matrix.cells(train.rows(~is_rare))
    rest = rest[rng.permutation(len(rest))[:COLUMN_ROWS]]
    tables = (train, synthetic, holdout)
    sides = [matrix.cells(table.rows(table.labels == label)) for table in tables]
    least = min(len(sides[1]), len(sides[2]))
    if min(map(len, sides)) < 2 or len(rest) < 2:
        return Part([])
    share = float(is_rare.mean())

    def with_class(rare: np.ndarray, others: np.ndarray) -> np.ndarray:
        return _associations(matrix, rare, others, share)

    real = with_class(sides[0], rest)
    width = np.where(matrix.is_level, 1.0, 2.0)

    def alike(found: np.ndarray, wanted: np.ndarray = real) -> float:
        return float(1 - np.mean(np.abs(found - wanted) / width))

    made = [sides[1][rng.permutation(len(sides[1]))[:least]] for _ in range(DRAWS)]
    fresh = [sides[2][rng.permutation(len(sides[2]))[:least]] for _ in range(DRAWS)]
    each, beside = ([with_class(rows, rest) for rows in side] for side in (made, fresh))
    value = float(np.mean([alike(e) for e in each]))
    reference = float(np.mean([alike(b) for b in beside]))
    halves = [half_sampled(rng, len(rows)) for rows in (made[0], sides[0], rest)]
    pairs = [
        (with_class(made[0][m], rest[o]), with_class(sides[0][r], rest[o]))
        for m, r, o in zip(*halves, strict=True)
    ]
    again = [alike(*pair) for pair in pairs]
    name = "fidelity.target_correlation"
    found = [
        jackknifed(
            name, group, value, reference, again, floor=alike(np.zeros(len(real))), rows=least
        )
    ]
    errors = 1.96 * np.std([own for own, _ in pairs], axis=0, ddof=1)
    errors = np.where(errors < 1e-9, UNSEEN / least, errors)  # as in `jackknifed`
    figures = zip(real, np.mean(each, axis=0), np.mean(beside, axis=0), errors, strict=True)
    for column, some in zip(matrix.names, figures, strict=True):
        found.append(_column_target(f"{group}: {column}", *map(float, some)))
    return Part(found)


def _column_target(
    group: str, in_train: float, value: float, reference: float, error: float
) -> Score:
    """Make the score of one column's association with the class."""
    interval = (max(-1.0, value - error), min(1.0, value + error))
    note = f"in train {in_train:.3f}".replace("-", "−")
    name = "fidelity.column_target"
    return Score(name, group, value, reference, "reference", interval, note=note)


def _associations(matrix: Matrix, rare: np.ndarray, rest: np.ndarray, share: float) -> np.ndarray:
    """Compute each column's association with a class of the given share; shape (columns,)."""
    out = np.zeros(len(matrix.columns))
    for j in range(len(out)):
        one, two = (cells[~np.isnan(cells[:, j]), j] for cells in (rare, rest))
        if not len(one) or not len(two):
            continue
        place = np.unique(np.concatenate([one, two]), return_inverse=True)[1]
        p, q = (
            np.bincount(part, minlength=place.max() + 1) / len(part)
            for part in (place[: len(one)], place[len(one) :])
        )
        if matrix.is_level[j]:
            both = share * p + (1 - share) * q
            # Chi-squared over n of a table with two rows: Cramér's V squared.
            phi = (share * (p - both) ** 2 + (1 - share) * (q - both) ** 2) / both
            out[j] = float(np.sqrt(phi.sum()))
        else:
            out[j] = float(2 * (p @ (np.cumsum(q) - q / 2)) - 1)
    return out
