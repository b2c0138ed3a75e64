"""Rule mining: rules that hold in every real row, and the synthetic rows that break them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from synthgen.encoding.matrix import Matrix
from synthgen.metrics.samples import Samples, independent
from synthgen.metrics.score import Score
from synthgen.model_selection.intervals import wilson
from synthgen.tables.dtypes import tick_type

# A rule needs so many real rows in which it could be broken, and must be broken so often where the
# columns are shuffled; columns and levels that are tried, at most.
SHOWN, EXPECTED_BREAKS, MOST_RULE_COLUMNS, MOST_RULE_LEVELS = 20, 20.0, 40, 200


@dataclass(frozen=True, eq=False)
class MinedRule:
    """A rule that holds in every real row.

    Attributes:
        text: Such as ``a <= b``.
        columns: Positions of its columns.
        broken: From cells to the rows that break it, bool of shape (rows,). A row with a missing
            cell keeps the rule, unless the rule is about missing cells.
    """

    text: str
    columns: tuple[int, ...]
    broken: Callable[[np.ndarray], np.ndarray]


def broken_rules(draws: Samples, seed: np.random.SeedSequence) -> tuple[list[Score], list[str]]:
    """The share of synthetic rows that keep all rules of the real rows, and notes about others."""
    rng = np.random.default_rng(seed)
    real = np.vstack([draws.train, draws.fresh])
    rules = _mined(draws.matrix, real, rng)
    if not rules:
        return [], []
    # All real rows keep the rules that were found in them. For the reference, rules are found in
    # train and asked of the holdout.
    of_train = _mined(draws.matrix, draws.train, rng)
    apart = [rule.broken(draws.fresh) for rule in of_train]
    reference = float(1 - np.any(apart, axis=0).mean()) if apart else 1.0
    broken = np.column_stack([rule.broken(draws.made) for rule in rules])
    kept = ~broken.any(axis=1)
    value, rows = float(kept.mean()), len(draws.made)
    counts = broken.sum(axis=0)
    worst = np.argsort(-counts, kind="stable")[:5]
    notes = [
        f"{draws.group}: {counts[k]:,} of {rows:,} synthetic rows break the rule "
        f"“{rules[k].text}”, which every real row keeps"
        for k in worst
        if counts[k]
    ]
    note = f"{len(rules)} rules hold in all real rows; reference: holdout rows that keep the rules "
    note += "of train"
    name = "fidelity.rules_kept"
    score = Score(name, draws.group, value, reference, "higher", wilson(value, rows), None, note)
    return [score], notes


def _mined(matrix: Matrix, real: np.ndarray, rng: np.random.Generator) -> list[MinedRule]:
    """Rules that no real row breaks, and shuffled columns break `EXPECTED_BREAKS` times or more."""
    rules, names = [], matrix.names
    numbers = np.flatnonzero(~matrix.is_level)[:MOST_RULE_COLUMNS]
    other = independent(rng, real)

    there = ~np.isnan(real)

    def holds(rule: MinedRule) -> bool:
        if there[:, rule.columns].all(axis=1).sum() < SHOWN:  # too few rows can break it
            return False
        return not rule.broken(real[:200]).any() and not rule.broken(real).any()

    def says_something(rule: MinedRule) -> bool:
        return rule.broken(other).sum() >= EXPECTED_BREAKS

    for a, b in combinations(numbers, 2):
        if _unit(matrix, a) != _unit(matrix, b):
            continue
        for rule in (
            MinedRule(f"{names[a]} = {names[b]}", (a, b), _equal(a, b)),
            MinedRule(f"{names[a]} <= {names[b]}", (a, b), _ordered(a, b)),
            MinedRule(f"{names[b]} <= {names[a]}", (a, b), _ordered(b, a)),
        ):
            if holds(rule) and says_something(rule):
                rules.append(rule)
                break
    few = [j for j in numbers if _unit(matrix, j) == "number"][: MOST_RULE_COLUMNS // 2]
    for a, b in combinations(few, 2):
        for c in few:
            rule = MinedRule(f"{names[a]} + {names[b]} = {names[c]}", (a, b, c), _sum(a, b, c))
            if c not in (a, b) and holds(rule) and says_something(rule):
                rules.append(rule)
    levels = np.flatnonzero(matrix.is_level)[:MOST_RULE_COLUMNS]
    for a in levels:
        for b in levels:
            if a != b:
                rule = _decided(real, a, b, f"{names[a]} decides {names[b]}")
                if rule is not None and says_something(rule):
                    rules.append(rule)
    for a in np.flatnonzero(np.minimum(there.sum(axis=0), (~there).sum(axis=0)) >= SHOWN):
        for b in levels:
            rule = _missing(matrix, real, int(a), int(b)) if a != b else None
            if rule is not None and says_something(rule):
                rules.append(rule)
    return rules


def _missing(matrix: Matrix, real: np.ndarray, a: int, b: int) -> MinedRule | None:
    """`a` is missing exactly in the rows of one level of `b`, if it is."""
    gone = np.isnan(real[:, a])
    level = real[gone, b][0]
    if np.isnan(level) or (gone != (real[:, b] == level)).any():
        return None

    def broken(cells: np.ndarray) -> np.ndarray:
        return np.isnan(cells[:, a]) != (cells[:, b] == level)

    said = matrix.columns[b].categories[int(level)]
    text = f"{matrix.names[a]} is missing exactly where {matrix.names[b]} is {said}"
    return MinedRule(text, (a, b), broken)


def _unit(matrix: Matrix, j: int) -> str:
    column = matrix.columns[j]
    if column.kind == "datetime":
        return str(tick_type(column.dtype, column.cells))
    return "number"


def _equal(a: int, b: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda cells: _apart(cells[:, a], cells[:, b])


def _ordered(a: int, b: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda cells: cells[:, a] > cells[:, b]


def _sum(a: int, b: int, c: int) -> Callable[[np.ndarray], np.ndarray]:
    def broken(cells: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            return _apart(cells[:, a] + cells[:, b], cells[:, c])

    return broken


def _apart(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Where both are there and differ by more than rounding."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.abs(one - two) > 1e-6 * (1e-6 + np.maximum(np.abs(one), np.abs(two)))


def _decided(real: np.ndarray, a: int, b: int, text: str) -> MinedRule | None:
    """Each level of `a` goes with one level of `b`, if it does."""
    there = ~np.isnan(real[:, a]) & ~np.isnan(real[:, b])
    one, two = (real[there, j].astype(np.int64) for j in (a, b))
    if there.sum() < SHOWN:
        return None
    width = int(two.max()) + 1
    seen = np.flatnonzero(np.bincount(one * width + two))
    pairs = np.column_stack([seen // width, seen % width])
    if len(pairs) > MOST_RULE_LEVELS or (np.diff(pairs[:, 0]) == 0).any():
        return None
    partner = np.full(int(pairs[:, 0].max()) + 2, -1)
    partner[pairs[:, 0]] = pairs[:, 1]

    def broken(cells: np.ndarray) -> np.ndarray:
        both = ~np.isnan(cells[:, a]) & ~np.isnan(cells[:, b])
        one = np.minimum(np.where(both, cells[:, a], -1).astype(np.int64), len(partner) - 1)
        wanted = partner[one]
        return both & (wanted >= 0) & (wanted != np.where(both, cells[:, b], -1))

    return MinedRule(text, (a, b), broken)
