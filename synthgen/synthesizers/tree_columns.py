"""What trees learned about each column, and how its cells are drawn given the columns before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from synthgen.synthesizers.bins import MISSING, Bins
from synthgen.synthesizers.forest import Forest
from synthgen.synthesizers.raking import Raking, groups_of
from synthgen.synthesizers.relations import Relation, comparable, is_date, own_values
from synthgen.synthesizers.shifts import Shifts, from_log_scale, log_scale

# Rows are drawn in whole blocks, so that a longer sample begins with the rows of a shorter one.
BLOCK = 8192

# Values of a column and a mask of its missing cells, each of shape (rows,).
Cells = tuple[np.ndarray, np.ndarray]
# Smallest and largest value allowed in each row, each of shape (rows,); None: no limit.
Limits = tuple[np.ndarray | None, np.ndarray | None]


@dataclass(frozen=True)
class TreeColumn:
    """What trees learned about the class or about one column.

    Attributes:
        bins: The codes of its cells.
        groups: First code of each group of its codes, by which later columns are raked; uint16.
        relation: Its exact relation to the columns before it.
        forest: The trees that predict its code. None for the class, and if other columns
            determine it.
        digits: The trees that predict its last digits. None if it has none.
        shifts: The shifts to an earlier column that its trees predict in the place of bins. None:
            they predict bins.
        raking: Factors of the shares of its leaves. None: the shares are used as they are.
    """

    bins: Bins
    groups: np.ndarray
    relation: Relation
    forest: Forest | None
    digits: Forest | None
    shifts: Shifts | None = None
    raking: Raking | None = None


def draw_block(
    columns: Sequence[TreeColumn], position: int, rows: int, seed: np.random.SeedSequence
) -> list[Cells]:
    """Generate the first `rows` rows of a block."""
    rng = np.random.default_rng(seed)
    places = _places(columns)
    codes = np.empty((rows, places[-1] + 2), np.uint16)
    label = int(columns[0].bins.encode(np.array([position]))[0])
    codes[:, 0] = label
    groups = np.empty((len(columns), rows), np.intp)
    groups[0] = label
    cells = [(np.full(rows, position), np.zeros(rows, bool))]
    for j, column in enumerate(columns[1:], start=1):
        uniform = rng.random((2 if column.digits is None else 3, BLOCK))[:, :rows]
        limits = _limits(columns, j, cells)
        values, gone, own = _drawn(columns[: j + 1], places, codes, groups, cells, limits, uniform)
        codes[:, places[j]] = own
        groups[j] = groups_of(column.groups, own)
        if column.digits is not None:
            codes[:, places[j] + 1] = np.where(gone, MISSING, column.bins.zeros(values))
        cells.append((values, gone))
    return cells[1:]


def _places(columns: Sequence[TreeColumn]) -> list[int]:
    """Position of each column among the predictors of the trees."""
    extra = [column.digits is not None for column in columns]
    return [j + sum(extra[:j]) for j in range(len(extra))]


def _drawn(
    columns: Sequence[TreeColumn],
    places: list[int],
    codes: np.ndarray,
    groups: np.ndarray,
    cells: list[Cells],
    limits: Limits,
    uniform: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw the last of `columns` given those before it: its values, missing mask and codes."""
    column, before, place = columns[-1], [c.bins for c in columns[:-1]], places[len(columns) - 1]
    bins, relation = column.bins, column.relation
    if relation.inputs:
        return _summed(before, relation, cells, bins)
    if relation.decided_by >= 0:
        by = codes[:, places[relation.decided_by]].astype(np.int64)
        table = np.array(relation.codes)
        own = table[np.minimum(by, len(table) - 1)]
        gone = own < 0
        values = bins.decode(np.where(gone, 0, own), uniform[1])
        return values, gone, np.where(gone, MISSING, own)
    assert column.forest is not None
    floor, ceiling = limits
    refused = [_refused(before[k], cells[k], bins, limits) for k in relation.same]
    own = _codes(column, codes, groups, uniform, cells, limits, refused)
    gone = own == MISSING
    copied = own.astype(np.int64) - bins.width
    is_shift = (copied >= len(relation.same)) & ~gone
    is_copy = (copied >= 0) & ~gone & ~is_shift
    inside, near = np.where(gone | is_copy, 0, own), None
    if is_shift.any():
        inside, near = _shifted(column, before, cells, inside, is_shift, uniform[1])
    zeros = None
    if column.digits is not None:
        codes[:, place] = inside
        zeros = column.digits.draw(codes, uniform[2]).astype(np.int64)
    values = bins.decode(inside, uniform[1], floor, ceiling, zeros, near)
    for i, k in enumerate(relation.same):
        here = is_copy & (copied == i)
        source = comparable(before[k], cells[k][0][here])
        values[here] = own_values(bins, source)
    moved = is_copy | is_shift if floor is None and ceiling is None else ~gone
    if moved.any():
        own[moved] = bins.encode(values[moved])
    return values, gone, own


def _refused(source: Bins, cells: Cells, bins: Bins, limits: Limits) -> np.ndarray:
    """Where a column cannot have an earlier column's cell: it is missing or beyond the limits."""
    floor, ceiling = limits
    values, refused = own_values(bins, comparable(source, cells[0])), cells[1].copy()
    if floor is not None:
        refused |= values < floor
    if ceiling is not None:
        refused |= values > ceiling
    return refused


def _codes(
    column: TreeColumn,
    codes: np.ndarray,
    groups: np.ndarray,
    uniform: np.ndarray,
    cells: list[Cells],
    limits: Limits,
    refused: list[np.ndarray],
) -> np.ndarray:
    """Draw codes from the leaves; other ones in the place of those that a row cannot have."""
    forest, bins = column.forest, column.bins
    assert forest is not None
    width, first = bins.width, bins.width + len(refused)
    every = np.arange(MISSING + 1)
    choose = None if column.raking is None else partial(column.raking.draw, groups)
    own = forest.draw(codes, uniform[0], None if bins.exact.all() else ~bins.exact, choose)
    lost = np.zeros(len(own), dtype=bool)
    for i, here in enumerate(refused):
        lost |= (own == width + i) & here
    no_copy = (every < width) | (every >= first)
    _draw_again(forest, codes, own, lost, _fresh(uniform[1]), [no_copy])
    if column.shifts is not None:
        lost = (own >= first) & (own != MISSING) & cells[column.shifts.by][1]
        is_bin = np.zeros(MISSING + 1, dtype=bool)
        is_bin[:width] = ~bins.exact
        among = [is_bin, every < width]
        _draw_again(forest, codes, own, lost, _fresh(_fresh(uniform[1])), among)
    if any(limit is not None for limit in limits):
        _keep_within(limits, column, codes, own, _fresh(uniform[0]))
    return own


def _keep_within(
    limits: Limits, column: TreeColumn, codes: np.ndarray, own: np.ndarray, uniform: np.ndarray
) -> None:
    """Replace codes none of whose values lie within the limits, if the leaf has one that does."""
    forest, bins = column.forest, column.bins
    assert forest is not None
    floor, ceiling = (
        np.full(len(own), end) if limit is None else limit
        for limit, end in zip(limits, bins.limits, strict=True)
    )
    least, greatest = bins.ends
    code = np.minimum(own, bins.width - 1).astype(np.intp)
    lost = (own < bins.width) & ((greatest[code] < floor) | (least[code] > ceiling))
    if not lost.any():
        return
    # A bin can span exact values, so the codes within the limits are not all neighbours: these are
    # the first and the last of them.
    first = np.searchsorted(np.maximum.accumulate(greatest), floor[lost])
    ascending = np.minimum.accumulate(least[::-1])[::-1]
    last = np.searchsorted(ascending, ceiling[lost], side="right") - 1
    again = forest.draw_within(codes[lost], uniform[lost], first, last)
    own[lost] = np.where(again < 0, own[lost], again)


def _draw_again(
    forest: Forest,
    codes: np.ndarray,
    own: np.ndarray,
    lost: np.ndarray,
    uniform: np.ndarray,
    among: list[np.ndarray],
) -> None:
    """Replace the lost codes by those of the first of `among` that leaves hold; if none, by 0."""
    if not lost.any():
        return
    own[lost] = 0
    for allowed in among:
        if allowed[forest.codes].any():
            own[lost] = forest.draw_among(codes[lost], uniform[lost], allowed)
            break


def _fresh(uniform: np.ndarray) -> np.ndarray:
    """Other uniform random numbers: the digits of `uniform` far behind the point."""
    return np.modf(uniform * 1e4)[0]


def _shifted(
    column: TreeColumn,
    before: list[Bins],
    cells: list[Cells],
    inside: np.ndarray,
    is_shift: np.ndarray,
    uniform: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Codes with those of shifted values, and the values; NaN for all other rows."""
    shifts, bins = column.shifts, column.bins
    assert shifts is not None
    codes = inside[is_shift].astype(np.int64) - bins.width - len(column.relation.same)
    source = log_scale(before[shifts.by], cells[shifts.by][0][is_shift])
    values = from_log_scale(bins, source + shifts.draw(codes, _fresh(uniform[is_shift])))
    found, near = inside.copy(), np.full(len(inside), np.nan)
    found[is_shift], near[is_shift] = bins.encode(values), values
    return found, near


def _summed(
    parts: list[Bins],
    relation: Relation,
    cells: list[Cells],
    bins: Bins,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute a column that is a weighted sum of others: its values, missing mask and codes."""
    gone = np.any([cells[k][1] for k in relation.inputs], 0)
    terms = list(zip(relation.inputs, relation.weights, strict=True))
    since = None
    if is_date(bins):  # ticks are added as whole numbers, without loss
        since = cells[terms.pop(0)[0]][0]
    total = np.full(len(gone), relation.constant)
    for k, weight in terms:
        total += weight * parts[k].plain(cells[k][0])
    values = bins.from_plain(total)
    if since is not None:
        values = since + values
    return values, gone, np.where(gone, MISSING, bins.encode(values))


def _limits(columns: Sequence[TreeColumn], j: int, cells: list[Cells]) -> Limits:
    """The limits that earlier columns set for a column, and those that keep sums in their range."""
    bins, relation = columns[j].bins, columns[j].relation
    if relation.is_derived:
        return None, None
    floors, ceilings = [], []
    gaps = iter(relation.gaps)
    for k in relation.floors:
        values, gone = cells[k]
        least = own_values(bins, comparable(columns[k].bins, values) + _like(bins, next(gaps)))
        floors.append(np.where(gone, bins.limits[0], least))
    for k in relation.ceilings:
        values, gone = cells[k]
        most = own_values(bins, comparable(columns[k].bins, values) - _like(bins, next(gaps)))
        ceilings.append(np.where(gone, bins.limits[1], most))
    found = _tightest(floors, ceilings)
    for column in columns[j + 1 :]:
        if j in column.relation.inputs:
            ends = _limits_of_sum(columns, j, column, cells)
            # An order holds in every row, even if the sum then leaves its range.
            least, most = (np.clip(end, *found) if floors or ceilings else end for end in ends)
            floors.append(least)
            ceilings.append(most)
    return _tightest(floors, ceilings)


def _tightest(floors: list[np.ndarray], ceilings: list[np.ndarray]) -> Limits:
    floor = np.max(floors, axis=0) if floors else None
    return floor, np.min(ceilings, axis=0) if ceilings else None


def _limits_of_sum(
    columns: Sequence[TreeColumn], j: int, derived: TreeColumn, cells: list[Cells]
) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest values of column `j` with which a sum can stay within its limits."""
    bins, relation = columns[j].bins, derived.relation
    low, high = (derived.bins.plain(end) - relation.constant for end in derived.bins.limits)
    gone, by = np.zeros(len(cells[0][1]), dtype=bool), 1.0
    for k, weight in zip(relation.inputs, relation.weights, strict=True):
        other = columns[k].bins
        if k == j:
            by = weight
            continue
        ends = [weight * other.plain(end) for end in other.limits]
        if k < j:
            ends = [weight * other.plain(cells[k][0])] * 2
            gone |= cells[k][1]
        low, high = low - np.maximum(*ends), high - np.minimum(*ends)
    low, high = (low / by, high / by) if by > 0 else (high / by, low / by)
    least, most = bins.inside(low, high)
    return np.where(gone, bins.limits[0], least), np.where(gone, bins.limits[1], most)


def _like(bins: Bins, gap: float) -> int | float:
    """The gap as a number of the column's type, because ticks are whole numbers."""
    return int(gap) if bins.column.kind == "datetime" else gap
