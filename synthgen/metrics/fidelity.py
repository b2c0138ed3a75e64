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
from synthgen.metrics.two_sample import two_sample
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

    Whole rows are compared by `synthgen.metrics.battery.battery`: four detectors try to separate
    them from holdout rows. The score ``battery`` is the value of the best detector: 1 for rows as
    good as real ones, 0 for independent columns. Its note names the fact that separates the rows.

    Columns and pairs are compared as in SDMetrics (with the bins of train for pairs): 1 minus the
    Kolmogorov-Smirnov statistic, 1 minus the total variation distance, 1 minus half the difference
    of Pearson correlations. Whole rows are also compared by a two-sample test, with boosting and
    with logistic regression (Lopez-Paz & Oquab 2017): 1 - abs(2 AUC - 1) of out-of-fold scores,
    which is 1 if the rows cannot be separated; and by alpha-precision and beta-recall (Alaa et al.
    2022), in the standardised columns instead of a learned embedding.

    The reference of each score is the same score for an equal number of holdout rows in place of
    the synthetic ones. The floor, for tests, pairs and beta-recall, is the score of holdout rows
    with each column shuffled independently. Intervals come from half-samples drawn without
    replacement (delete-half jackknife); for tests, from a bootstrap of the out-of-fold scores.

    Args:
        train, synthetic, holdout: Tables with one common schema, which has the levels of all three.
        group: Name of the rows in the scores: ``"all"`` or a class.
        random_state: Seed of subsamples, folds and bootstrap.

    Returns:
        A part with the scores ``fidelity.*`` and notes.

    Example:
        >>> import pandas as pd
        >>> rng = np.random.default_rng(0)
        >>> def drawn(shift):
        ...     frame = pd.DataFrame({"a": rng.normal(size=200) + shift, "y": ["no", "yes"] * 100})
        ...     return Table.of(frame, target="y")
        >>> part = fidelity(drawn(0), drawn(9), drawn(0), group="all")
        >>> next(s for s in part.scores if s.name == "fidelity.c2st_boosting").value < 0.1
        True
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
    scores = detected.scores() + two_sample(draws, child_seed(seed, 0))
    scores += columns_and_pairs(draws, child_seed(seed, 1))
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
    """Compare the association of each column with the class in synthetic and in real rows.

    Rows of the class are compared with real rows of the other classes. The association is the
    rank-biserial correlation (2 AUC - 1) for a number and Cramér's V for levels, at the share of
    the class in train. The scores ``column_target`` give it for each column: in synthetic rows
    (value), in holdout rows (reference) and in train (note). The score ``target_correlation`` is 1
    minus the mean absolute difference from train, halved for numbers.

    Args:
        train, synthetic, holdout: Tables with one common schema and the rows of all classes.
        label: Position of the class in ``schema.classes``.
        random_state: Seed of subsamples.

    Returns:
        A part with these scores.
    """
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
