"""The order in which columns are drawn: those that tell most about the rest come first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from synthgen.encoding.evidence import PROBE, decides, may_decide
from synthgen.synthesizers.bins import MISSING, Bins
from synthgen.synthesizers.relations import Relation

# Dependence is measured on at most TRIED rows, with each column cut into GROUPS groups.
TRIED, GROUPS = 10_000, 8


def drawing_order(
    parts: Sequence[Bins],
    cells: Sequence[tuple[np.ndarray, np.ndarray]],
    codes: np.ndarray,
    relations: Sequence[Relation],
    seed: int,
) -> list[int]:
    """The order in which columns are drawn: next, the one that tells most about class and rest.

    A column is drawn from those before it. If the first ones tell much about the others, each later
    column depends on few; if they tell little, it depends on more of them than leaves of a hundred
    rows can follow (`evaluation/trees.md`). A column that others determine follows them.

    Args:
        parts: Codes of each column, the class first.
        cells: Values and mask of missing cells of each column (see `Bins.values`).
        codes: The code of each cell, uint16 of shape (rows, columns).
        relations: The relation of each column to those before it in `parts`.
        seed: Seed for the choice of rows.

    Returns:
        Positions in `parts`, the class first.
    """
    some = np.random.default_rng(seed).permutation(len(codes))[:TRIED]
    groups = [_groups(bins, codes[some, j]) for j, bins in enumerate(parts)]
    owner = list(range(len(parts)))  # the column that the groups are of
    for j, bins in enumerate(parts):
        if bins.rounded:
            values, gone = (found[some] for found in cells[j])
            groups.append(np.where(gone, GROUPS, np.minimum(bins.zeros(values), GROUPS - 1)))
            owner.append(j)
    of, told = np.array(owner), dependence(np.stack(groups, 1))[: len(parts)].round(6)
    told[of == np.arange(len(parts))[:, None]] = 0
    after, determined = _after(parts, codes[some[:PROBE]], relations)
    order, left = [0], list(range(1, len(parts)))
    while left:
        ready = [j for j in left if after[j].isdisjoint(left)] or left
        others = told @ np.isin(of, [0, *left])
        among = [j for j in ready if j in determined] or ready
        order.append(max(among, key=lambda j: (others[j], told[j].sum())))
        left.remove(order[-1])
    return order


def _after(
    parts: Sequence[Bins], probe: np.ndarray, relations: Sequence[Relation]
) -> tuple[list[set[int]], set[int]]:
    """For each column, those that come before it; and the columns that these determine.

    A column that others determine follows them. A total follows its parts, so that no part becomes
    negative. Of two columns that share values, the one in whole hundreds comes before the one with
    cents, so that no cents are copied into it.

    Args:
        parts, relations: See `drawing_order`.
        probe: Codes of some rows, shape (rows, columns).
    """
    after: list[set[int]] = [set() for _ in parts]
    for j, relation in enumerate(relations):
        added = [k for k, w in zip(relation.inputs, relation.weights, strict=True) if w > 0]
        last = added[0] if len(added) == 1 and len(relation.inputs) > 1 else j
        after[last] |= {j, *relation.inputs, relation.decided_by} - {last, -1}
    determined = {j for j, before in enumerate(after) if before}
    units = [bins.step / (bins.scale or 1) if bins.low.dtype == np.int64 else 0 for bins in parts]
    for j, relation in enumerate(relations):
        for k in relation.same:
            if units[j] != units[k]:
                fine, coarse = sorted((j, k), key=lambda i: units[i])
                after[fine].add(coarse)
    for j, by in enumerate(parts):
        if j and by.exact.all() and may_decide(by.width, len(probe)):
            for k, bins in enumerate(parts[1:], start=1):
                if bins.width < by.width and decides(probe[:, j], probe[:, k]):
                    after[k].add(j)
    return after, determined


def dependence(groups: np.ndarray) -> np.ndarray:
    """Mutual information of each pair of columns in nats, without what chance adds (Miller 1955).

    Args:
        groups: The group of each cell, from 0 to `GROUPS`, shape (rows, columns).

    Returns:
        Shape (columns, columns), the entropies on the diagonal.

    Example:
        >>> coin = np.arange(4000) % 2
        >>> dependence(np.stack([coin, 1 - coin, np.arange(4000) // 2 % 2], 1)).round(2)
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
