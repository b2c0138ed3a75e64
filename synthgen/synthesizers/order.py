"""The order in which columns are drawn: those that tell most about the rest come first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from synthgen.encoding.evidence import EXACT, PROBE, decides, may_decide
from synthgen.synthesizers.bins import MISSING, Bins
from synthgen.synthesizers.relations import Relation, is_date

# Information is measured on at most TRIED rows and CELLS cells, with each column in GROUPS groups.
TRIED, CELLS, GROUPS = 10_000, 1_000_000, 8


def drawing_order(
    parts: Sequence[Bins],
    cells: Sequence[tuple[np.ndarray, np.ndarray]],
    codes: np.ndarray,
    relations: Sequence[Relation],
    seed: int,
) -> list[int]:
    """The order in which columns are drawn: next, the one that tells most about class and rest."""
    columns = len(parts)
    rows = np.random.default_rng(seed).permutation(len(codes))[: min(TRIED, CELLS // columns)]
    groups = [_groups(bins, codes[rows, j]) for j, bins in enumerate(parts)]
    owners = list(range(columns))  # the column that each row of `groups` describes
    for j, bins in enumerate(parts):
        if bins.rounded:
            values, gone = (found[rows] for found in cells[j])
            groups.append(np.where(gone, GROUPS, np.minimum(bins.zeros(values), GROUPS - 1)))
            owners.append(j)
    owner = np.array(owners)
    told = information(np.stack(groups, 1))[:columns].round(6)
    told[owner == np.arange(columns)[:, None]] = 0
    found = [j for j, relation in enumerate(relations) if relation.is_derived]
    derived = {_target(j, relations, parts, cells): j for j in found}
    needed, wanted = _before(parts, codes[rows[:PROBE]], relations, derived)
    order, left = [0], list(range(1, columns))
    while left:
        able = [j for j in left if needed[j].isdisjoint(left)] or left
        ready = [j for j in able if wanted[j].isdisjoint(left)] or able
        ready = [j for j in ready if j in derived] or ready
        others = told @ np.isin(owner, [0, *left])
        order.append(max(ready, key=lambda j: (others[j], told[j].sum())))
        left.remove(order[-1])
    return order


def _target(
    j: int,
    relations: Sequence[Relation],
    parts: Sequence[Bins],
    cells: Sequence[tuple[np.ndarray, np.ndarray]],
) -> int:
    """The column of a sum that had better be computed from the others.

    Of two dates and the days between them, that is the last date: dates that are drawn one by one
    miss short spans. Of parts and their total, it is the total: a part that is computed from the
    total can be negative. Otherwise it is column `j`, which was found to be the sum.
    """
    relation = relations[j]
    columns, signs = [*relation.inputs, j], [*relation.weights, -1.0]
    dates = [k for k in columns if is_date(parts[k])]
    found, alike = [], {j}
    if len(dates) == 2:
        alike = {i for i, other in enumerate(relations) if other.inputs == relation.inputs}
        telling = (i for i in sorted(alike) if _tells_days(relations[i], i, parts, cells))
        if j in dates or j == next(telling, -1):
            found = [_later(dates[0], dates[1], cells)]
    elif len(columns) > 2 and not relation.constant and {abs(w) for w in signs} == {1.0}:
        sides = [[k for k, w in zip(columns, signs, strict=True) if w == s] for s in (1.0, -1.0)]
        found = next((side for side in sides if len(side) == 1), [])
        if found and _unit(parts[found[0]]) > min(_unit(parts[k]) for k in columns):
            found = []  # a total in whole hundreds stays one if it is drawn
    others = [r for i, r in enumerate(relations) if i not in alike]
    busy = {k for r in others for k in (*r.inputs, r.decided_by)}
    able = [k for k in found if k not in busy and not relations[k].is_derived]
    return next((k for k in able if np.array_equal(cells[k][1], cells[j][1])), j)


def _later(one: int, other: int, cells: Sequence[tuple[np.ndarray, np.ndarray]]) -> int:
    """Which of two columns of dates is later in most rows."""
    there = ~(cells[one][1] | cells[other][1])
    return one if (cells[one][0] > cells[other][0])[there].mean() > 0.5 else other


def _tells_days(
    relation: Relation,
    j: int,
    parts: Sequence[Bins],
    cells: Sequence[tuple[np.ndarray, np.ndarray]],
) -> bool:
    """Whether a number gives the span between two dates exactly, not a rounded one."""
    first, last = relation.inputs
    days = (cells[last][0] - cells[first][0]) / parts[first].ticks_per_day
    told = (parts[j].plain(cells[j][0]) - relation.constant) / relation.weights[1]
    wrong = np.abs(days - told) > EXACT * parts[last].unit / parts[last].ticks_per_day
    return not (wrong & ~cells[j][1]).any()


def _unit(bins: Bins) -> float:
    """The largest unit of which all values of a column are multiples; 0 if they are unrounded."""
    return bins.unit / (bins.scale or 1) if bins.low.dtype == np.int64 else 0.0


def _before(
    parts: Sequence[Bins],
    probe: np.ndarray,
    relations: Sequence[Relation],
    derived: Mapping[int, int],
) -> tuple[list[set[int]], list[set[int]]]:
    """For each column, those that should come before it, and those that had better.

    The columns that determine it should, and those among its limits that others determine: they are
    not drawn within limits themselves. A level that seems to determine it had better. So had, of
    two columns that share values, the one in whole hundreds, so that no cents are copied into it.
    """
    needed: list[set[int]] = [set() for _ in parts]
    wanted: list[set[int]] = [set() for _ in parts]
    for target, j in derived.items():
        relation = relations[j]
        needed[target] = {*relation.inputs, relation.decided_by, j} - {-1, target}
    for j, relation in enumerate(relations):
        for k in (*relation.floors, *relation.ceilings):
            for first, later in ((j, k), (k, j)):
                if first in derived and not _follows(first, later, needed):
                    needed[later].add(first)
    units = [_unit(bins) for bins in parts]
    for j, relation in enumerate(relations):
        for k in relation.same:
            if units[j] != units[k]:
                fine, coarse = sorted((j, k), key=lambda i: units[i])
                wanted[fine].add(coarse)
    for j, by in enumerate(parts):
        if j and by.exact.all() and may_decide(by.width, len(probe)):
            for k, bins in enumerate(parts[1:], start=1):
                if bins.width < by.width and decides(probe[:, j], probe[:, k]):
                    wanted[k].add(j)
    return needed, wanted


def _follows(one: int, other: int, needed: Sequence[set[int]]) -> bool:
    """Whether a column comes after the other one, because it needs it or one that does."""
    seen: set[int] = set()
    left = [one]
    while left:
        k = left.pop()
        if k == other:
            return True
        left += needed[k] - seen
        seen |= needed[k]
    return False


def information(groups: np.ndarray) -> np.ndarray:
    """Mutual information of pairs of columns, nats, less the bias of few rows (Miller 1955)."""
    rows, columns = groups.shape
    is_in = (groups[..., None] == np.arange(GROUPS + 1)).astype(np.float32)
    flat = is_in.reshape(rows, -1)
    entropy, cells = np.zeros((2, columns, columns))
    for i in range(columns):
        shares = (is_in[:, i].T @ flat).astype(np.float64).reshape(-1, columns, GROUPS + 1) / rows
        logs = np.log(shares, where=shares > 0, out=np.zeros_like(shares))
        entropy[i], cells[i] = -(shares * logs).sum((0, 2)), (shares > 0).sum((0, 2))
    own, width = np.diag(entropy), np.diag(cells)
    by_chance = (cells - width[:, None] - width + 1) / (2 * rows)
    return np.maximum(own[:, None] + own - entropy - by_chance, 0)


def _groups(bins: Bins, codes: np.ndarray) -> np.ndarray:
    """The group of each cell: numbers in about equal parts, and the most frequent levels."""
    counts = np.bincount(codes, minlength=MISSING + 1)
    gone = counts[MISSING]
    counts[MISSING] = 0
    if bins.is_number and bins.width > GROUPS:
        below = np.cumsum(counts) - counts / 2
        groups = np.minimum(GROUPS * below / max(1, len(codes) - gone), GROUPS - 1).astype(np.intp)
    else:
        groups = np.full(MISSING + 1, GROUPS)
        often = np.argsort(-counts, kind="stable")[:GROUPS]
        groups[often] = np.arange(GROUPS)
    groups[MISSING] = GROUPS
    return groups[codes]
