"""Rules that every row of a table satisfies: found in real rows, checked and restored in new rows.

A rule is accepted if all rows satisfy it, enough rows could break it, and it would not hold by
chance (`synthgen.encoding.evidence`). By the rule of three, if all of n rows satisfy a rule, at
most 3 in n further rows break it (95 % confidence).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, permutations

import numpy as np
import pandas as pd

from synthgen.encoding.evidence import (
    EXACT,
    FEWEST,
    PROBE,
    ROWS_PER_VALUE,
    apart,
    decides,
    is_narrow,
    is_surprising,
    may_decide,
    never_below,
    rounding,
    weighted_sum,
)
from synthgen.encoding.matrix import Matrix
from synthgen.tables.column import Column
from synthgen.tables.dtypes import tick_type, ticks_per_day

# A value that fewer rows hold decides nothing in new rows.
ROWS_OF_VALUE = 5
# Factor on the units of rounding, so that ties in rounding do not break a sum.
TIE = 1.00001
# At most this many columns of each kind, the first ones, are searched for rules.
MOST_COLUMNS = 40
MOST_DATES = 8

Broken = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class FoundRule:
    """A rule that every row of a table satisfies.

    Attributes:
        text: The rule as text, such as ``start <= end``.
        columns: Positions of its columns in the matrix.
        rows: Rows that could have broken it.
        broken: Function from cells to the rows that break the rule, bool of shape (rows,). A row
            with a missing cell satisfies the rule, unless the rule is about missing cells.
        target: Position of the column that the others determine; -1: none.
        value: Function from cells to the target's value that satisfies the rule, shape (rows,);
            NaN: missing.
    """

    text: str
    columns: tuple[int, ...]
    rows: int
    broken: Broken
    target: int = -1
    value: Callable[[np.ndarray], np.ndarray] | None = None


def find_rules(matrix: Matrix, cells: np.ndarray) -> list[FoundRule]:
    """Find the rules that every row satisfies and that would not hold by chance."""
    if len(cells) < FEWEST:
        return []
    cells = np.asfortranarray(cells)
    places = map(int, np.flatnonzero(~np.asarray(matrix.is_level)))
    numbers = [j for j in places if _is_exact(matrix, j)][:MOST_COLUMNS]
    probe = np.random.default_rng(0).permutation(len(cells))[:PROBE]
    sums = list(_sums(matrix, cells, numbers, probe))
    determined = {rule.target for rule in sums}
    sums += _dates(matrix, cells, [j for j in numbers if j not in determined], probe)
    sums = [rule for rule in sums if not rule.broken(cells).any()]
    orders = _orders(matrix, cells, numbers, probe)
    # The order of two columns in a sum follows from the sum and the limits of the third column.
    rules = sums + [r for r in orders if not any(set(r.columns) <= set(s.columns) for s in sums)]
    rules += _decisions(matrix, cells, probe)
    rules += _missing(matrix, cells)
    return [rule for rule in _with_one_target(rules) if not rule.broken(cells).any()]


def _is_exact(matrix: Matrix, j: int) -> bool:
    """Whether the cells, float64, hold every whole number of a column."""
    column = matrix.columns[j]
    ends = (column.lower or 0, column.upper or 0)
    return column.kind != "integer" or max(map(abs, ends)) <= 2**53


def find_rules_of_class(matrix: Matrix, cells: np.ndarray, own: np.ndarray) -> list[FoundRule]:
    """The rules that all rows satisfy, and further rules that the rows of one class satisfy."""
    found = find_rules(matrix, cells)
    known = {rule.text for rule in found}
    found += [rule for rule in find_rules(matrix, cells[own]) if rule.text not in known]
    return list(_with_one_target(found))


def restored(rules: Sequence[FoundRule], cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Repair rows that break rules: set the target cell of each broken rule to its value."""
    out = cells.copy()
    for _ in range(3):  # a restored cell may be an input of another rule
        before = out.copy()
        for rule in rules:
            if rule.value is not None:
                wrong = np.flatnonzero(rule.broken(out))
                out[wrong, rule.target] = rule.value(out[wrong])
        if np.array_equal(before, out, equal_nan=True):
            break
    return out, ~((out == cells) | (np.isnan(out) & np.isnan(cells)))


def _with_one_target(rules: Sequence[FoundRule]) -> Iterator[FoundRule]:
    taken: set[int] = set()
    for rule in rules:
        free = rule.target >= 0 and rule.target not in taken
        # Of two columns that decide each other, only one becomes a target.
        circle = any(
            r.target in rule.columns and rule.target in r.columns
            for r in rules
            if r.target in taken and r.target >= 0
        )
        if free and not circle:
            taken.add(rule.target)
            yield rule
        else:
            yield FoundRule(rule.text, rule.columns, rule.rows, rule.broken)


# --- the kinds of rules ----------------------------------------------------------------------


def _unit(column: Column) -> float:
    """The unit to which the numbers of a column are rounded; 0: not rounded."""
    if column.kind == "integer":
        return 1.0
    return 0.0 if column.decimals is None else 10.0**-column.decimals


def _sums(
    matrix: Matrix, cells: np.ndarray, numbers: Sequence[int], probe: np.ndarray
) -> Iterator[FoundRule]:
    there = ~np.isnan(cells)
    free: list[int] = []
    for j in numbers:
        if matrix.columns[j].kind == "datetime":
            continue
        rows = np.flatnonzero(there[:, j])
        some = probe[there[probe, j]]
        inputs = [k for k in free if not (there[some, j] & ~there[some, k]).any()]
        rule = None
        if len(some) >= FEWEST and inputs and cells[some, j].min() < cells[some, j].max():
            codes = np.unique(cells[some, j], return_inverse=True)[1]
            if is_surprising(len(rows) - len(inputs), codes):
                units = TIE * np.array([_unit(matrix.columns[k]) for k in (*inputs, j)])
                own, order = cells[some, j], np.arange(len(some))
                likely = weighted_sum(
                    *(cells[some][:, inputs], own, order, units[-1], units[:-1]),
                    dtypes=[matrix.columns[k].dtype for k in (*inputs, j)],
                )
                if likely:
                    inputs = [inputs[k] for k in likely[0] if there[rows, inputs[k]].all()]
                    rule = _sum(matrix, cells, inputs, j, rows, np.searchsorted(rows, some))
        if rule:
            yield rule
        else:
            free.append(j)


def _sum(
    matrix: Matrix,
    cells: np.ndarray,
    inputs: list[int],
    j: int,
    rows: np.ndarray,
    some: np.ndarray,
) -> FoundRule | None:
    """The rule of a weighted sum; its target is the column that stands alone on one side."""
    units = TIE * np.array([_unit(matrix.columns[k]) for k in (*inputs, j)])
    dtypes = [matrix.columns[k].dtype for k in (*inputs, j)]
    found = weighted_sum(
        cells[rows][:, inputs], cells[rows, j], some, units[-1], units[:-1], dtypes
    )
    if found is None:
        return None
    inputs, weights, constant = [inputs[k] for k in found[0]], found[1], found[2]
    columns, signs = [*inputs, j], np.append(weights, -1.0)
    # The target needs at least as many decimals as the other columns.
    fine = {k: _unit(matrix.columns[k]) for k in columns}
    target = j if fine[j] == min(fine.values()) else min(columns, key=lambda k: fine[k])
    for sign in (1.0, -1.0):
        alone = np.flatnonzero(np.sign(signs) == sign)
        if len(alone) == 1 and np.abs(signs).min() == np.abs(signs).max() == 1:
            only = columns[alone[0]]
            target = only if fine[only] == fine[target] else target
    own = -signs[columns.index(target)]
    others = [k for k in columns if k != target]
    theirs = np.array([signs[columns.index(k)] for k in others]) / own
    shift = constant / own
    unit = rounding(units[-1], units[found[0]])
    if not unit and is_narrow(matrix.columns[target].dtype) and len(columns) > 2:
        return None

    def value(rows: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            return rows[:, others] @ theirs + shift

    def broken(rows: np.ndarray) -> np.ndarray:
        return apart(value(rows), rows[:, target], unit, strict=True)

    terms = [(matrix.names[k], w) for k, w in zip(others, theirs, strict=True)]
    text = _equation(matrix.names[target], terms, shift)
    return FoundRule(text, (*others, target), len(rows), broken, target, value)


def _dates(
    matrix: Matrix, cells: np.ndarray, numbers: Sequence[int], probe: np.ndarray
) -> Iterator[FoundRule]:
    """Rules that make a date another date plus a weighted sum of numbers and spans, in days."""
    kinds = {j: _comparable(matrix.columns[j]) for j in numbers}
    dates = [j for j, kind in kinds.items() if kind.startswith("datetime64")][:MOST_DATES]
    there = ~np.isnan(cells)
    for a, b in combinations(dates, 2):
        rows = np.flatnonzero(there[:, a] & there[:, b])
        some = np.searchsorted(rows, probe[there[probe, a] & there[probe, b]])
        if kinds[a] != kinds[b] or len(some) < FEWEST:
            continue
        inputs = [k for k in numbers if k not in dates and there[rows, k].all()]
        codes = np.unique(cells[rows, b], return_inverse=True)[1]
        if not is_surprising(len(rows) - 1 - len(inputs), codes):
            continue
        in_days = np.array([_days(matrix.columns[k]) for k in inputs])
        day = _days(matrix.columns[b])
        days = (cells[rows, b] - cells[rows, a]) * day
        unit = EXACT * (matrix.columns[b].step or 1) * day
        if days.min() == days.max():
            yield _date(matrix, (a, b), np.zeros(0), days[0], len(rows))
            continue
        X = cells[rows[some]][:, inputs] * in_days
        found = weighted_sum(X, days[some], np.arange(len(some)), unit)
        if found:  # the other rows are copied only now
            found = weighted_sum(cells[rows][:, inputs] * in_days, days, some, unit)
        if found:
            chosen = [inputs[k] for k in found[0]]
            yield _date(matrix, (a, *chosen, b), found[1], found[2], len(rows))


def _date(
    matrix: Matrix, columns: tuple[int, ...], weights: np.ndarray, shift: float, rows: int
) -> FoundRule:
    """The rule that makes the last column, a date, the first plus a sum of the others, in days."""
    first, inputs, last = columns[0], list(columns[1:-1]), columns[-1]
    per_day = weights * [_days(matrix.columns[k]) for k in inputs]
    column, day = matrix.columns[last], _days(matrix.columns[last])
    step, start = column.step or 1, column.lower or 0

    def value(cells: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            found = cells[:, first] + (cells[:, inputs] @ per_day + shift) / day
            return start + np.rint((found - start) / step) * step

    def broken(cells: np.ndarray) -> np.ndarray:
        wanted = value(cells)
        return np.abs(wanted - cells[:, last]) > 4 * np.spacing(np.abs(wanted))

    spans = [(matrix.names[k], w) for k, w in zip(inputs, weights, strict=True)]
    text = _equation(matrix.names[last], [(matrix.names[first], 1.0), *spans], shift)
    return FoundRule(text, columns, rows, broken, last, value)


def _days(column: Column) -> float:
    """Days in a unit of a column's cells, 1 for numbers that are no dates or spans."""
    if column.kind != "datetime":
        return 1.0
    return 1 / ticks_per_day(tick_type(column.dtype, column.cells))


def _equation(name: str, terms: Sequence[tuple[str, float]], constant: float) -> str:
    """A weighted sum as text, such as ``c = a - 2 b + 5``."""
    if all(abs(weight) == 1 for _, weight in terms) and not constant:
        left = [name, *(part for part, weight in terms if weight < 0)]
        right = [part for part, weight in terms if weight > 0]
        if right:
            return f"{' + '.join(right)} = {' + '.join(left)}"
    return f"{name} = {_summed(terms, constant)}"


def _summed(terms: Sequence[tuple[str, float]], constant: float) -> str:
    """A weighted sum as text, such as ``a - 2 b + 5``."""
    said = ""
    for name, weight in sorted(terms, key=lambda term: term[1] < 0):
        size, whole = abs(weight), round(1 / abs(weight))
        term = name if size == 1 else f"{size:g} {name}"
        if size < 1 and float(f"{size:.3g}") != size and abs(whole * size - 1) < 1e-9:
            term = f"{name} / {whole}"
        said += ((" - " if said else "-") if weight < 0 else (" + " if said else "")) + term
    return said + (f" {'-' if constant < 0 else '+'} {abs(constant):g}" if constant else "")


def _orders(
    matrix: Matrix, cells: np.ndarray, numbers: Sequence[int], probe: np.ndarray
) -> Iterator[FoundRule]:
    kinds = [_comparable(column) for column in matrix.columns]
    first = cells[probe]
    for a, b in combinations(numbers, 2):
        there = ~np.isnan(first[:, a]) & ~np.isnan(first[:, b])
        if kinds[a] != kinds[b] or there.sum() < FEWEST:
            continue
        some, rows = probe[there], round(there.mean() * len(cells))
        for low, high in ((a, b), (b, a)):
            if never_below(cells[:, high], cells[:, low], some, rows):
                rows = int((~np.isnan(cells[:, a]) & ~np.isnan(cells[:, b])).sum())
                if (cells[:, high] > cells[:, low]).any():
                    text = f"{matrix.names[low]} <= {matrix.names[high]}"
                    yield FoundRule(text, (low, high), rows, _above(low, high))
                else:  # equal dates; equal numbers are found as a sum
                    text = f"{matrix.names[a]} = {matrix.names[b]}"
                    same = partial(_column, a)
                    yield FoundRule(text, (a, b), rows, _unequal(a, b), b, same)
                break


def _comparable(column: Column) -> str:
    """The scale of a number column; columns with the same scale can be compared."""
    if column.kind == "datetime":
        return str(tick_type(column.dtype, column.cells))
    return "number"


def _column(j: int, cells: np.ndarray) -> np.ndarray:
    return cells[:, j]


def _above(low: int, high: int) -> Broken:
    return lambda cells: cells[:, low] > cells[:, high]


def _unequal(a: int, b: int) -> Broken:
    return lambda cells: (cells[:, a] < cells[:, b]) | (cells[:, a] > cells[:, b])


def _decisions(matrix: Matrix, cells: np.ndarray, probe: np.ndarray) -> Iterator[FoundRule]:
    """Find columns with few values that decide another column with few values."""
    known = [_values(column, probe) for column in cells.T]
    able = [j for j in range(len(known)) if may_decide(len(known[j]), len(cells))]
    able = [j for j in able if _is_exact(matrix, j)][:MOST_COLUMNS]
    some = {j: _codes(known[j], cells[probe, j]) for j in able}
    codes: dict[int, np.ndarray] = {}
    for a, b in permutations(able, 2):
        both = (some[a] >= 0) & (some[b] >= 0)
        if both.sum() < FEWEST or not decides(some[a][both], some[b][both]):
            continue
        for j in {a, b} - set(codes):
            codes[j] = _codes(known[j], cells[:, j])
        both = (codes[a] >= 0) & (codes[b] >= 0)
        one, two = codes[a][both], codes[b][both]
        if not (is_surprising(len(one) - len(known[a]), two) and decides(one, two)):
            continue
        partner = np.full(len(known[a]) + 1, np.nan)  # the last entry: values that no real row has
        partner[one] = known[b][two]
        partner[:-1][np.bincount(one, minlength=len(known[a])) < ROWS_OF_VALUE] = np.nan
        if len(np.unique(partner[~np.isnan(partner)])) > 1:
            yield _decision(matrix, a, b, known[a], partner, len(one))


def _values(column: np.ndarray, probe: np.ndarray) -> np.ndarray:
    """The distinct values of a column; only those of the probe if these are already too many."""
    distinct = pd.unique(column[probe])
    if len(distinct) * ROWS_PER_VALUE <= len(column):
        distinct = pd.unique(column)
    return np.sort(distinct[~np.isnan(distinct)])


def _codes(known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Positions in `known`; -1 for other values and for missing cells."""
    places = np.searchsorted(known, values).clip(0, len(known) - 1)
    return np.where(known[places] == values, places, -1)


def _decision(
    matrix: Matrix, a: int, b: int, known: np.ndarray, partner: np.ndarray, rows: int
) -> FoundRule:
    def value(cells: np.ndarray) -> np.ndarray:
        return partner[_codes(known, cells[:, a])]

    def broken(cells: np.ndarray) -> np.ndarray:
        wanted = value(cells)
        return ~np.isnan(wanted) & ~np.isnan(cells[:, b]) & (wanted != cells[:, b])

    text = f"{matrix.names[a]} decides {matrix.names[b]}"
    return FoundRule(text, (a, b), rows, broken, b, value)


def _missing(matrix: Matrix, cells: np.ndarray) -> Iterator[FoundRule]:
    """Cells that are missing together, or exactly in the rows of one level."""
    gone = np.asfortranarray(np.isnan(cells))
    some = [j for j in range(cells.shape[1]) if gone[:, j].any()][:MOST_COLUMNS]
    some = [j for j in some if is_surprising(len(cells), gone[:, j].astype(np.int64))]
    for a, b in combinations(some, 2):
        if np.array_equal(gone[:, a], gone[:, b]):
            text = f"{matrix.names[a]} and {matrix.names[b]} are missing together"
            yield FoundRule(text, (a, b), len(cells), _not_together(a, b), b, _gone_with(a, b))
    for a in some:
        for b in np.flatnonzero(np.asarray(matrix.is_level))[:MOST_COLUMNS].tolist():
            row = int(np.argmax(gone[:, a]))
            level = cells[row, b]
            # Checking the rows before the first missing cell is fast and rejects most levels.
            if a == b or (cells[:row, b] == level).any():
                continue
            if np.array_equal(gone[:, a], cells[:, b] == level):
                said = matrix.columns[b].categories[int(level)]
                text = f"{matrix.names[a]} is missing exactly where {matrix.names[b]} is {said}"
                yield FoundRule(
                    text, (b, a), len(cells), _not_at(a, b, level), a, _gone_at(a, b, level)
                )


# A cell that should be missing can be removed; a cell that should have a value cannot be invented.


def _not_together(a: int, b: int) -> Broken:
    return lambda cells: np.isnan(cells[:, a]) != np.isnan(cells[:, b])


def _gone_with(a: int, b: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda cells: np.where(np.isnan(cells[:, a]), np.nan, cells[:, b])


def _not_at(a: int, b: int, level: float) -> Broken:
    return lambda cells: np.isnan(cells[:, a]) != (cells[:, b] == level)


def _gone_at(a: int, b: int, level: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda cells: np.where(cells[:, b] == level, np.nan, cells[:, a])
