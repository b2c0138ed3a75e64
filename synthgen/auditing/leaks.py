"""Leaks: columns, and pairs of columns, that alone predict the class too well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from sklearn.tree import DecisionTreeClassifier

from synthgen.auditing.model import (
    Estimate,
    FoldedRows,
    codes_of,
    draw,
    estimated_precision,
    groups_of,
)
from synthgen.encoding.matrix import is_learned
from synthgen.model_selection.ranking import average_precision
from synthgen.seeds import child_seed
from synthgen.tables.column import LEVELS, NUMBERS, Column
from synthgen.tables.table import Table

# Limits for the trees on single columns: rows, and cells of all columns together.
SCREEN_ROWS, SCREEN_CELLS = 20_000, 500_000
# The gain of a column is (average precision - share of the class) / (1 - share): 0 is guessing, 1
# is perfect. On 16 real tables without known leaks, three hormones that almost define a disease
# gain 0.66 to 0.79 alone, and no other column gains more than 0.41. So a gain of 0.6 is suspicious,
# and one of 0.9 is a leak. Two legitimate columns together reach 0.83. If there are only three
# columns, two of them naturally hold most of the information, so pairs need at least four.
LEAK_GAIN, STRONG_GAIN, FEW_COLUMNS = 0.9, 0.6, 4


@dataclass(frozen=True)
class Leak:
    """One or two columns that alone predict the class too well.

    Attributes:
        columns: Names of the one or two columns.
        precision: Average precision of a small tree on them.
        certain: True if no legitimate column is known to reach it; False if it is only suspicious.
    """

    columns: tuple[str, ...]
    precision: Estimate
    certain: bool


def find_leaks(
    table: Table,
    places: list[np.ndarray],
    is_rare: np.ndarray,
    groups: np.ndarray,
    *,
    precision: float,
    importance: Callable[[], np.ndarray],
    seed: np.random.SeedSequence,
) -> tuple[list[Leak], list[Estimate | None]]:
    """Find columns, or pairs of columns, that alone predict the class too well."""
    features, share = table.schema.features, float(is_rare.mean())
    cap = int(np.clip(SCREEN_CELLS // max(1, len(features)), 2000, SCREEN_ROWS))
    rows = draw(is_rare, groups, cap, seed)
    if rows is None:
        return [], [None] * len(features)
    again = child_seed(seed, 1)
    parts = [(p[rows.index], c.kind in LEVELS) for p, c in zip(places, features, strict=True)]
    alone = [
        estimated_precision(_tree_scores([part], rows), rows, share, again)
        if column.kind not in ("constant", "missing")
        else None
        for part, column in zip(parts, features, strict=True)
    ]
    found = _too_good({(i,): e for i, e in enumerate(alone) if e is not None}, features, share)
    able = [i for i, column in enumerate(features) if is_learned(column)]
    # With few rows, the model may miss what two columns predict only together.
    if found or len(able) < FEW_COLUMNS or precision <= 0:
        return found, alone
    missed, best_alone = importance(), {i: e.value for i, e in enumerate(alone) if e is not None}
    tried = {*sorted(able, key=lambda i: -best_alone[i])[:3]}
    tried |= {*sorted(able, key=lambda i: -missed[i])[:4]}
    scores = {}
    for a, b in combinations(sorted(tried), 2):
        both = _combined([(features[i], table.frame[features[i].name]) for i in (a, b)])
        both = [(p[rows.index], is_level) for p, is_level in both]
        scores[a, b] = _tree_scores([parts[a], parts[b], *both], rows)
    # Report only the best pair; other pairs with one of its columns show the same leak.
    best = max(scores, key=lambda p: average_precision(rows.y, scores[p], rows.weight))
    pair = estimated_precision(scores[best], rows, share, again)
    return _too_good({best: pair}, features, share), alone


def _gain(precision: float, share: float) -> float:
    return (precision - share) / (1 - share)


def _too_good(
    estimates: dict[tuple[int, ...], Estimate], features: tuple[Column, ...], share: float
) -> list[Leak]:
    """The columns or pairs whose gain is too high, highest first."""
    found = []
    for members, estimate in sorted(estimates.items(), key=lambda item: -item[1].value):
        gain = _gain(estimate.value, share)
        # Two legitimate columns together may well predict the class, so pairs need a higher gain.
        if gain >= (STRONG_GAIN if len(members) == 1 else LEAK_GAIN):
            names = tuple(str(features[i].name) for i in members)
            found.append(Leak(names, estimate, gain >= LEAK_GAIN))
    return found


def _combined(pair: list[tuple[Column, pd.Series]]) -> list[tuple[np.ndarray, bool]]:
    """Joint features of two columns: the difference of numbers, each combination of categories."""
    if all(c.kind in LEVELS for c, _ in pair):
        crossed = groups_of([codes_of(series) for _, series in pair], 0)
        return [(crossed.astype(np.float64), True)]
    if not all(c.kind in NUMBERS for c, _ in pair):
        return []
    (a, no_a), (b, no_b) = (c.numbers(series) for c, series in pair)
    with np.errstate(over="ignore"):
        gap = a.astype(np.float64) - b.astype(np.float64)
    places = np.unique(gap, return_inverse=True)[1]
    return [(np.where(no_a | no_b, np.nan, places), False)]


def _tree_scores(parts: list[tuple[np.ndarray, bool]], rows: FoldedRows) -> np.ndarray:
    """Out-of-fold scores of a small tree on a few columns, shape (rows,)."""
    scores = np.empty(len(rows.y))
    leaf = int(np.clip(rows.y.sum() // 4, 1, 5))
    for fold in range(rows.fold.max() + 1):
        test = rows.fold == fold
        train = ~test
        weight, y, columns = rows.weight[train], rows.y[train], []
        for places, is_level in parts:
            if is_level:
                codes = np.nan_to_num(places + 1).astype(np.int64)  # missing is a category too
                of_class = np.bincount(codes[train], weight * y, codes.max() + 1)
                of_all = np.bincount(codes[train], weight, codes.max() + 1)
                places = ((of_class + np.average(y, weights=weight)) / (of_all + 1))[codes]
            columns.append(places)
        matrix = np.column_stack(columns).astype(np.float32)
        checks = bool(np.isnan(matrix).any())  # the checks cost more than the tree
        tree = DecisionTreeClassifier(
            max_depth=2 + len(parts), min_samples_leaf=leaf, random_state=0
        )
        tree.fit(matrix[train], y, weight, check_input=checks)
        scores[test] = np.asarray(tree.predict_proba(matrix[test], check_input=checks))[:, 1]
    return scores
