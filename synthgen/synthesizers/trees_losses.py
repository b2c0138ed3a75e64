"""How unlikely trees find a row: what a holder of their file can ask about it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from synthgen.synthesizers.bins import MISSING, Bins
from synthgen.synthesizers.forest import SHARE_UNITS, Forest
from synthgen.synthesizers.relations import Relation, copied

# A code that a leaf does not hold counts as if half a unit of the leaf's shares were its own.
UNSEEN_SHARE = 0.5 / SHARE_UNITS


def tree_losses(
    parts: Sequence[Bins],
    relations: Sequence[Relation],
    forests: Sequence[Forest | None],
    digits: Sequence[Forest | None],
    frame: pd.DataFrame,
) -> np.ndarray:
    """Negative log-likelihoods of rows, by column, and the share of trees without such a cell.

    Args:
        parts: The codes of the class and of each learned column.
        relations: What ties each of these columns to those before it.
        forests: The trees of each; None where another column decides.
        digits: The trees of the last digits of each; None where there are none.
        frame: The rows, with the columns of `parts`.

    Returns:
        Shape (rows, 2 + 4 * columns): the sum of both kinds of figure; the first kind of each
        column and of its last digits, then the second. 0 where there are no trees.
    """
    cells: list[tuple[np.ndarray, np.ndarray]] = []
    known = np.empty((len(frame), 2 * len(parts)), np.uint16)  # what trees look at
    width = 0
    each = np.zeros((len(frame), 2, len(parts), 2))

    def ask(forest: Forest, own: np.ndarray, place: tuple[int, int]) -> None:
        shares = forest.shares_of(known[:, :width], own)
        each[:, 0, *place] = -np.log(np.maximum(shares.mean(0), UNSEEN_SHARE))
        each[:, 1, *place] = (shares == 0).mean(0)

    for j, (bins, relation, forest) in enumerate(zip(parts, relations, forests, strict=True)):
        values, gone = _cells(bins, frame)
        cells.append((values, gone))
        own = np.full(len(frame), MISSING, np.int64)
        own[~gone] = bins.encode(values[~gone])
        own[own < 0] = MISSING
        if forest is not None:
            of_leaf = own
            if relation.same:
                place = copied(relation, cells, parts[: j + 1])
                of_leaf = np.where(place >= 0, bins.width + place, own)
            ask(forest, of_leaf, (j, 0))
        known[:, width] = own
        width += 1
        last = digits[j]
        if last is not None:
            zeros = np.where(gone, MISSING, bins.zeros(values))
            ask(last, zeros, (j, 1))
            known[:, width] = zeros
            width += 1
    return np.hstack([each.sum((2, 3)), each.reshape(len(frame), -1)])


def _cells(bins: Bins, frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Values and a mask of the missing ones; a level that the file does not hold is missing."""
    series = frame[bins.column.name]
    if bins.is_number:
        values, gone = bins.values(series)
    else:
        values = bins.column.positions(series)
        gone = values < 0
    return np.where(gone, 0, values), gone
