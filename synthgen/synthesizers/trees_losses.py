"""The loss of trees on a row, which a holder of their file can compute."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from synthgen.synthesizers.bins import MISSING, Bins
from synthgen.synthesizers.forest import SHARE_UNITS, Forest
from synthgen.synthesizers.raking import Raking, groups_of
from synthgen.synthesizers.relations import copied
from synthgen.synthesizers.shifts import differences
from synthgen.synthesizers.tree_columns import TreeColumn

# A code that a leaf does not hold counts as half a unit of the leaf's shares.
UNSEEN_SHARE = 0.5 / SHARE_UNITS
# Added to the share that a code has among other rows, so that rare codes do not decide alone.
LEAST_SHARE = 0.01


def tree_losses(parts: Sequence[TreeColumn], frame: pd.DataFrame) -> np.ndarray:
    """Losses of rows under trees: relative to the other rows, and by column.

    The relative loss compares the shares in the file with the shares among the other rows of
    `frame`: a training row raises the shares of its codes in its leaves. In this way, Homer et al.
    2008 ("Resolving individuals contributing trace amounts of DNA to highly complex mixtures")
    found people by allele frequencies. It needs no shadow model, and finds more than the
    likelihood does, because much of a likelihood only says how common a row is.
    """
    cells: list[tuple[np.ndarray, np.ndarray]] = []
    known = np.empty((len(frame), 2 * len(parts)), np.uint16)  # predictors of the trees
    groups = np.empty((len(parts), len(frame)), np.intp)
    width = 0
    each = np.zeros((len(frame), 2, len(parts), 2))
    relative, factors = np.zeros((2, len(frame)))

    def score(
        forest: Forest, raking: Raking | None, own: np.ndarray, place: tuple[int, int]
    ) -> None:
        shares = forest.shares_of(known[:, :width], own)
        others = _shares_of_others(forest, known[:, :width], own)
        relative[:] -= np.nansum((shares - others) / (others + LEAST_SHARE), axis=0)
        if raking is not None:
            factors[:] -= np.log(raking.factors_of(groups, own))
            shares = raking.shares_of(known[:, :width], groups, own)
        each[:, 0, *place] = -np.log(np.maximum(shares.mean(0), UNSEEN_SHARE))
        each[:, 1, *place] = (shares == 0).mean(0)

    for j, part in enumerate(parts):
        bins, relation = part.bins, part.relation
        values, gone = _cells(bins, frame)
        cells.append((values, gone))
        own = np.full(len(frame), MISSING, np.int64)
        own[~gone] = bins.encode(values[~gone])
        own[own < 0] = MISSING
        if part.forest is not None:
            of_leaf, before = own, [p.bins for p in parts[: j + 1]]
            if relation.same:
                place = copied(relation, cells, before)
                of_leaf = np.where(place >= 0, bins.width + place, own)
            if part.shifts is not None:
                found = differences(part.shifts.by, before, cells)
                first = bins.width + len(relation.same)
                of_leaf = part.shifts.replace_bins(of_leaf, first, ~bins.exact, found)
            score(part.forest, part.raking, of_leaf, (j, 0))
        known[:, width] = own
        groups[j] = groups_of(part.groups, own)
        width += 1
        if part.digits is not None:
            zeros = np.where(gone, MISSING, bins.zeros(values))
            score(part.digits, None, zeros, (j, 1))
            known[:, width] = zeros
            width += 1
    return np.hstack(
        [relative[:, None], factors[:, None], each.sum((2, 3)), each.reshape(len(frame), -1)]
    )


def _shares_of_others(forest: Forest, codes: np.ndarray, own: np.ndarray) -> np.ndarray:
    """The share of each row's code among the other rows of its leaf; NaN if there are none."""
    codes = np.ascontiguousarray(codes)
    found = np.full((len(forest.roots), len(own)), np.nan)
    for tree in range(len(forest.roots)):
        leaves = forest.leaves(codes, np.full(len(own), tree)).astype(np.int64)
        rows = np.bincount(leaves)[leaves]
        _, place, count = np.unique(leaves * 2**16 + own, return_inverse=True, return_counts=True)
        np.divide(count[place] - 1, rows - 1, out=found[tree], where=rows > 1)
    return found


def _cells(bins: Bins, frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Values and a mask of the missing ones; a level that the file does not hold is missing."""
    series = frame[bins.column.name]
    if bins.is_number:
        values, gone = bins.values(series)
    else:
        values = bins.column.positions(series)
        gone = values < 0
    return np.where(gone, 0, values), gone
