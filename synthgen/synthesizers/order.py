"""The order in which columns are drawn: those that tell most about the rest come first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from synthgen.encoding.evidence import PROBE, decides, may_decide
from synthgen.synthesizers.bins import MISSING, Bins
from synthgen.synthesizers.relations import Relation

# Information is measured on at most TRIED rows and CELLS cells, with each column in GROUPS groups.
TRIED, CELLS, GROUPS = 10_000, 1_000_000, 8


def drawing_order(
    parts: Sequence[Bins],
    cells: Sequence[tuple[np.ndarray, np.ndarray]],
    codes: np.ndarray,
    relations: Sequence[Relation],
    seed: int,
) -> list[int]:
    """The order in which columns are drawn: next, the one that tells most about class and rest.

    If the first columns predict the others well, each later tree needs few splits, and leaves of a
    hundred rows allow no more (`evaluation/trees.md`). A column that others determine comes as soon
    as these are drawn.

    Args:
        parts: Codes of each column, the class first.
        cells: Values and mask of missing cells of each column (see `Bins.values`).
        codes: The code of each cell, uint16 of shape (rows, columns).
        relations: The relation of each column to those before it in `parts`.
        seed: Seed for the choice of rows.

    Returns:
        Positions in `parts`, the class first.
    """
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
    needed, wanted = _before(parts, codes[rows[:PROBE]], relations)
    order, left = [0], list(range(1, columns))
    while left:
        able = [j for j in left if needed[j].isdisjoint(left)]
        ready = [j for j in able if wanted[j].isdisjoint(left)] or able
        ready = [j for j in ready if relations[j].is_derived] or ready
        others = told @ np.isin(owner, [0, *left])
        order.append(max(ready, key=lambda j: (others[j], told[j].sum())))
        left.remove(order[-1])
    return order


def _before(
    parts: Sequence[Bins], probe: np.ndarray, relations: Sequence[Relation]
) -> tuple[list[set[int]], list[set[int]]]:
    """For each column, those that must come before it, and those that had better.

    The columns that determine it must, and those among its limits that others determine: they are
    not drawn within limits themselves. A level that seems to determine it had better. So had, of
    two columns that share values, the one in whole hundreds, so that no cents are copied into it.

    Args:
        parts, relations: See `drawing_order`.
        probe: Codes of some rows, shape (rows, columns).
    """
    needed: list[set[int]] = [{*r.inputs, r.decided_by} - {-1} for r in relations]
    wanted: list[set[int]] = [set() for _ in parts]
    units = [_unit(bins) for bins in parts]
    for j, relation in enumerate(relations):
        limits = (*relation.floors, *relation.ceilings)
        needed[j] |= {k for k in limits if relations[k].is_derived}
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


def _unit(bins: Bins) -> float:
    """The largest unit of which all values of a column are multiples; 0 if they are unrounded."""
    if bins.low.dtype != np.int64:
        return 0.0
    unit = np.gcd.reduce(bins.low) if bins.exact.all() else bins.step
    return float(unit / (bins.scale or 1))


def information(groups: np.ndarray) -> np.ndarray:
    """Mutual information of each pair of columns in nats, less the bias of few rows (Miller 1955).

    Args:
        groups: The group of each cell, from 0 to `GROUPS`, shape (rows, columns).

    Returns:
        Shape (columns, columns); on the diagonal, the entropies.

    Example:
        >>> coin = np.arange(4000) % 2
        >>> information(np.stack([coin, 1 - coin, np.arange(4000) // 2 % 2], 1)).round(2)
        array([[0.69, 0.69, 0.  ],
               [0.69, 0.69, 0.  ],
               [0.  , 0.  , 0.69]])
    """
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
    """The group of each cell: numbers in about equal parts, and the most frequent levels.

    The last group holds the missing cells, and those of rarer levels.
    """
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
