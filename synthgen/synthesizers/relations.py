"""Exact relations between columns: found in all training rows, and kept in every new row.

A relation is accepted by the same tests as a rule (`synthgen.encoding.evidence`). Here each column
depends only on the columns before it, so that rows can be drawn column by column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from synthgen.encoding.disclosure import PRIVATE_ROWS
from synthgen.encoding.evidence import (
    EXACT,
    FEWEST,
    GREATEST,
    PROBE,
    decides,
    is_surprising,
    may_decide,
    never_below,
    weighted_sum,
)
from synthgen.synthesizers.bins import Bins
from synthgen.tables.dtypes import tick_type

# A column copies another one if at least this share and number of rows have equal cells, and five
# times as many as by chance. Only values that at most one row in a hundred holds are counted,
# because frequent values are often equal by chance.
SAME_SHARE, SAME_ROWS, SAME_RATIO, COMMON = 0.002, 20, 5, 0.01
# At most this many columns of dates are searched for sums.
MOST_DATES = 8

# Numbers as float64 and the mask of the missing ones, each of shape (rows,).
_Numbers = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Relation:
    """How a column depends on the columns before it.

    Attributes:
        decided_by: The column whose code determines the code of this column; -1: none.
        codes: The code of this column for each code of that column, and last for a missing cell.
        inputs, weights, constant: This column is the constant plus the weighted sum of the input
            columns, dates and spans in days; without inputs, it is not a sum.
        floors, ceilings: Columns that this one is never below or never above. If it is determined,
            they only decide the order of the columns (`synthgen.synthesizers.order`).
        gaps: Smallest distance to each of the floors, then to each of the ceilings.
        same: Columns from which some cells of this column are copied.
    """

    decided_by: int = -1
    codes: tuple[int, ...] = ()
    inputs: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()
    constant: float = 0.0
    floors: tuple[int, ...] = ()
    ceilings: tuple[int, ...] = ()
    gaps: tuple[float, ...] = ()
    same: tuple[int, ...] = ()

    def as_stored(self) -> Relation:
        """Without the limits of a determined column, which serve the order of columns only."""
        return replace(self, floors=(), ceilings=(), gaps=()) if self.is_derived else self

    @property
    def is_derived(self) -> bool:
        """Whether other columns determine this column completely, so that nothing is drawn."""
        return self.decided_by >= 0 or bool(self.inputs)

    def to_json(self) -> dict[str, Any]:
        default = Relation()
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in found.items()
            if value != getattr(default, name)
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], bins: Sequence[Bins]) -> Relation:
        """The inverse of `to_json` for the last of `bins`."""
        if not isinstance(data, Mapping) or set(data) - set(cls.__dataclass_fields__):
            raise ValueError(f"{data!r} is not a relation")
        given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        found = cls(**given)
        own, before = bins[-1], len(bins) - 1
        compared = (*found.floors, *found.ceilings, *found.same)
        places = (*found.inputs, *compared)
        if not all(_is_whole(k, 0, before) for k in places) or not _is_whole(
            found.decided_by, -1, before
        ):
            raise ValueError("a relation to no column")
        if not (
            all(bins[k].is_number and own.is_number for k in places)
            and all(_can_compare(bins[k], own) for k in compared)
            and (not found.inputs or _can_add([bins[k] for k in found.inputs], own))
        ):
            raise ValueError("a relation between columns that cannot be compared")
        if found.decided_by >= 0:
            wanted = bins[found.decided_by].width + 1
            codes = all(_is_whole(c, -1, own.width) for c in found.codes)
            if len(found.codes) != wanted or not codes:
                raise ValueError("codes beyond those of the column")
        numbers = (*found.weights, found.constant, *found.gaps)
        if not all(isinstance(v, int | float) and np.isfinite(v) for v in numbers):
            raise ValueError("a weight that is not a number")
        bounds = len(found.floors) + len(found.ceilings)
        if len(found.weights) != len(found.inputs) or len(found.gaps) != bounds:
            raise ValueError("weights or gaps of other columns")
        sizes = np.abs([*found.weights, found.constant])
        if not sizes[:-1].all() or (sizes > GREATEST).any():
            raise ValueError("a weight that is 0 or too large")
        dates = [w for k, w in zip(found.inputs, found.weights, strict=True) if is_date(bins[k])]
        if len(set(found.inputs)) < len(found.inputs) or (
            dates and (dates != [1.0] if is_date(own) else sum(dates) != 0)
        ):
            raise ValueError("dates that cannot be added")
        return found


def _is_whole(value: Any, least: int, below: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < below


def _can_compare(one: Bins, two: Bins) -> bool:
    """Whether values of two columns of numbers can be compared."""
    dates = [bins.column.kind == "datetime" for bins in (one, two)]
    if not any(dates):
        return True
    return all(dates) and _of(one) == _of(two)


def is_date(bins: Bins) -> bool:
    """Whether a column holds points of time, not spans or other numbers."""
    return bins.column.kind == "datetime" and tick_type(*_of(bins)).kind == "M"


def _of(bins: Bins) -> tuple[Any, Any]:
    return bins.column.dtype, bins.column.cells


def _can_add(inputs: Sequence[Bins], own: Bins) -> bool:
    """Whether a column may be a sum: a date of one other date, a number of no date or of two."""
    dates = [bins for bins in inputs if is_date(bins)]
    if not is_date(own):
        return not dates or (len(dates) == len(inputs) == 2 and _can_compare(*dates))
    return len(dates) == 1 and is_date(inputs[0]) and _can_compare(inputs[0], own)


def comparable(bins: Bins, values: np.ndarray) -> np.ndarray:
    """Values on a scale that comparable columns share: ticks of dates, float64 of numbers."""
    return values if bins.column.kind == "datetime" else bins.plain(values)


def own_values(bins: Bins, values: np.ndarray) -> np.ndarray:
    """The inverse of `comparable`, within the limits of the column."""
    if bins.column.kind != "datetime":
        values = bins.from_plain(values)
    return np.clip(values, *bins.limits)


@dataclass(frozen=True, eq=False)
class _Cells:
    """The cells of one column in all training rows."""

    bins: Bins
    numbers: np.ndarray  # comparable values, or levels
    gone: np.ndarray
    names: np.ndarray  # the number of each cell's distinct value; missing is one more value
    distinct: int

    @property
    def is_number(self) -> bool:
        return self.bins.is_number

    @property
    def is_rounded(self) -> bool:
        """Whether the numbers are whole, or have a known number of decimals."""
        return self.bins.low.dtype == np.int64

    @property
    def plain(self) -> _Numbers:
        """Numbers for sums, dates and spans in days."""
        by = self.bins.ticks_per_day
        return self.numbers / by if by else self.numbers, self.gone

    @property
    def unit(self) -> float:
        """The unit to which these are rounded; 0: they are not rounded."""
        if self.bins.ticks_per_day:
            return self.bins.unit / self.bins.ticks_per_day
        return 1.0 / (self.bins.scale or 1) if self.is_rounded else 0.0

    @cached_property
    def differs(self) -> int:
        """Number of rows whose value is not the most frequent one."""
        return len(self.names) - int(np.bincount(self.names).max(initial=0))

    @property
    def varies(self) -> bool:
        return self.distinct > 2


def find_relations(
    bins: Sequence[Bins], cells: Sequence[tuple[np.ndarray, np.ndarray]], seed: int
) -> list[Relation]:
    """The relation of each column to those before it."""
    rows = len(cells[0][0])
    probe = np.random.default_rng(seed).permutation(rows)[:PROBE]
    known = [_cells(part, *found) for part, found in zip(bins, cells, strict=True)]
    relations: list[Relation] = []
    for j, cell in enumerate(known):
        found = None
        if rows >= FEWEST and j:
            found = _decided(known[:j], cell, probe)
            if found is None and cell.is_number:
                free = [k for k, r in enumerate(relations) if not r.is_derived]
                find = _date if is_date(cell.bins) else _linear
                found = find(known, j, free, probe)
            if cell.is_number and cell.varies and (found is None or found.inputs):
                limits = _bounds_and_copies(known[:j], cell, probe)
                found = _with_limits(found, limits) if found and limits else found or limits
        relations.append(found or Relation())
    return relations


def _cells(bins: Bins, values: np.ndarray, gone: np.ndarray) -> _Cells:
    numbers = comparable(bins, values) if bins.is_number else values
    distinct, names = np.unique(np.where(gone, numbers.dtype.type(0), numbers), return_inverse=True)
    names = np.where(gone, len(distinct), names)
    return _Cells(bins, numbers, gone, names, len(distinct))


def _decided(before: Sequence[_Cells], cell: _Cells, probe: np.ndarray) -> Relation | None:
    rows = len(cell.names)
    for k, by in enumerate(before):
        if not may_decide(by.distinct, rows) or not by.bins.exact.all():
            continue
        if not is_surprising(rows - by.distinct, cell.names):
            continue
        if not (decides(by.names[probe], cell.names[probe]) and decides(by.names, cell.names)):
            continue
        codes = np.full(by.bins.width + 1, -1)
        own = _codes(cell)
        at = np.where(by.gone, by.bins.width, _codes(by))
        codes[at[at >= 0]] = own[at >= 0]
        shown = codes[codes >= 0]
        if cell.bins.exact[shown].all() and (codes[:-1] >= 0).all():
            return Relation(decided_by=k, codes=tuple(codes.tolist()))
    return None


def _codes(cell: _Cells) -> np.ndarray:
    """Codes, -1 for cells that have none."""
    found = np.full(len(cell.gone), -1)
    there = ~cell.gone
    values = cell.numbers[there]
    if cell.is_number and cell.bins.column.kind != "datetime":
        values = cell.bins.from_plain(values)
    found[there] = cell.bins.encode(values)
    return found


def _linear(
    known: Sequence[_Cells], j: int, free: Sequence[int], probe: np.ndarray
) -> Relation | None:
    """The relation that makes a number the sum of earlier ones, or the days between two dates."""
    cell, numbers = known[j], _varying_numbers(known, free)
    dtypes = [known[k].bins.column.dtype for k in (*numbers, j)]
    found = _sum_of([known[k].plain for k in numbers], cell.plain, cell.unit, probe, dtypes)
    if found is not None:
        inputs = tuple(numbers[k] for k in found[0])
        return Relation(inputs=inputs, weights=found[1], constant=found[2])
    dates = [k for k, other in enumerate(known[:j]) if is_date(other.bins)][:MOST_DATES]
    for first, last in combinations(dates, 2):
        if not _can_compare(known[first].bins, known[last].bins):
            continue
        days = _days_between(known[first], known[last])
        found = _sum_of([days], cell.plain, cell.unit, probe)
        if found is not None:
            by = found[1][0]
            return Relation(inputs=(first, last), weights=(-by, by), constant=found[2])
    return None


def _date(
    known: Sequence[_Cells], j: int, free: Sequence[int], probe: np.ndarray
) -> Relation | None:
    """The relation that makes a date another date plus a sum of numbers, in days."""
    cell, numbers = known[j], _varying_numbers(known, free)
    dates = [k for k in free if is_date(known[k].bins)][:MOST_DATES]
    for k in dates:
        if not _can_compare(known[k].bins, cell.bins):
            continue
        days, gone = _days_between(known[k], cell)
        if not np.array_equal(gone, cell.gone) or (~gone).sum() < FEWEST:
            continue
        there = days[~gone]
        if there.min() == there.max() and np.array_equal(known[k].gone, cell.gone):
            return Relation(inputs=(k,), weights=(1.0,), constant=float(there[0]))
        found = _sum_of([known[i].plain for i in numbers], (days, gone), EXACT * cell.unit, probe)
        if found is not None:
            inputs = (k, *(numbers[i] for i in found[0]))
            if np.array_equal(np.any([known[i].gone for i in inputs], 0), gone):
                return Relation(inputs=inputs, weights=(1.0, *found[1]), constant=found[2])
    return None


def _varying_numbers(known: Sequence[_Cells], free: Sequence[int]) -> list[int]:
    cells = [(k, known[k]) for k in free]
    # A weight that fewer rows determine would tell what they hold.
    cells = [(k, c) for k, c in cells if c.is_number and not is_date(c.bins)]
    return [k for k, c in cells if c.differs >= PRIVATE_ROWS]


def _days_between(first: _Cells, last: _Cells) -> _Numbers:
    ticks = last.numbers - first.numbers
    return ticks / first.bins.ticks_per_day, first.gone | last.gone


def _sum_of(
    parts: Sequence[_Numbers],
    wanted: _Numbers,
    unit: float,
    probe: np.ndarray,
    dtypes: Sequence[Any] | None = None,
) -> tuple[list[int], tuple[float, ...], float] | None:
    """The parts whose weighted sum the wanted numbers are, by least squares: see `weighted_sum`."""
    numbers, gone = wanted
    able = [k for k, (_, mask) in enumerate(parts) if not (mask & ~gone).any()]
    rows = np.flatnonzero(~gone)
    some = np.searchsorted(rows, probe[~gone[probe]])
    if not able or len(some) < FEWEST or (numbers[rows] == numbers[rows[0]]).all():
        return None
    X, own = np.stack([parts[k][0][rows] for k in able], 1), numbers[rows]
    held = None if dtypes is None else [dtypes[k] for k in (*able, -1)]
    if weighted_sum(X[some], own[some], np.arange(len(some)), unit, dtypes=held) is None:
        return None
    found = weighted_sum(X, own, some, unit, dtypes=held)
    codes = np.unique(own, return_inverse=True)[1]
    if found is None or not is_surprising(len(rows) - 1 - len(able), codes):
        return None
    chosen = [able[k] for k in found[0]]
    if not np.array_equal(np.any([parts[k][1] for k in chosen], 0), gone):
        return None
    return chosen, tuple(found[1].tolist()), found[2]


def _with_limits(found: Relation, limits: Relation) -> Relation:
    """A sum with the limits of its column, but not those that other columns of the sum set."""
    sides = (limits.floors, limits.ceilings)
    kept = [tuple(k for k in side if k not in found.inputs) for side in sides]
    return replace(found, floors=kept[0], ceilings=kept[1], gaps=(0.0,) * sum(map(len, kept)))


def _bounds_and_copies(
    before: Sequence[_Cells], cell: _Cells, probe: np.ndarray
) -> Relation | None:
    floors, ceilings, low_gaps, high_gaps, copies = [], [], [], [], []
    counts = np.bincount(cell.names)
    rare = ~cell.gone & (counts[cell.names] <= max(COMMON * len(cell.names), PRIVATE_ROWS))
    for k, other in enumerate(before):
        if not (other.is_number and other.varies and _can_compare(other.bins, cell.bins)):
            continue
        side, gap = _side(other, cell, probe)
        if side > 0:
            floors.append(k)
            low_gaps.append(gap)
        if side < 0:
            ceilings.append(k)
            high_gaps.append(gap)
        rows = int(_equal(other, cell, rare).sum())
        if side == 0 or gap == 0:
            by_chance = int((rare & (np.roll(other.numbers, 1) == cell.numbers)).sum())
            if rows >= max(SAME_ROWS, SAME_SHARE * len(rare), SAME_RATIO * by_chance):
                copies.append((rows, k))
    same = tuple(k for _, k in sorted(copies, reverse=True))
    if not (floors or ceilings or same):
        return None
    gaps = (*low_gaps, *high_gaps)
    return Relation(floors=tuple(floors), ceilings=tuple(ceilings), gaps=gaps, same=same)


def _equal(other: _Cells, cell: _Cells, rare: np.ndarray) -> np.ndarray:
    return rare & ~other.gone & (other.numbers == cell.numbers)


def _side(other: _Cells, cell: _Cells, probe: np.ndarray) -> tuple[int, float]:
    """1 if `cell` is never below `other`, -1 if it is never above, else 0; and the smallest gap."""
    there = ~(other.gone | cell.gone)
    rows = np.flatnonzero(there)
    some = np.searchsorted(rows, probe[there[probe]])
    if len(some) < FEWEST:
        return 0, 0.0
    one, two = cell.numbers[rows], other.numbers[rows]
    for side in (1, -1):
        if not never_below(side * one, side * two, some, len(rows)):
            continue
        if not cell.is_rounded or (side * (one - two)).min() <= 0:
            return side, 0.0
        return side, 1.0 / (cell.bins.scale or 1)
    return 0, 0.0


def copied(
    relation: Relation, cells: Sequence[tuple[np.ndarray, np.ndarray]], bins: Sequence[Bins]
) -> np.ndarray:
    """Position in ``relation.same`` of the column that each training cell equals; -1: none."""
    cell = _cells(bins[-1], *cells[-1])
    counts = np.bincount(cell.names)
    rare = ~cell.gone & (counts[cell.names] <= max(COMMON * len(cell.names), PRIVATE_ROWS))
    found = np.full(len(rare), -1)
    for place, k in reversed(list(enumerate(relation.same))):
        numbers, gone = comparable(bins[k], cells[k][0]), cells[k][1]
        found[rare & ~gone & (numbers == cell.numbers)] = place
    return found
