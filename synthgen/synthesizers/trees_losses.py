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
    frame: pd.DataFrame,
) -> np.ndarray:
    """Negative log-likelihoods of rows, by column, and how many trees give their cells no share.

    Args:
        parts: The codes of the class and of each learned column.
        relations: What ties each of these columns to those before it.
        forests: The trees of each; None where another column decides.
        frame: The rows, with the columns of `parts`.

    Returns:
        Shape (rows, 2 + 2 * columns with trees): the sum of both kinds of figure, then each.
    """
    cells, codes = [], np.empty((len(frame), len(parts)), np.uint16)
    for j, bins in enumerate(parts):
        series = frame[bins.column.name]
        if bins.is_number:
            values, gone = bins.values(series)
        else:  # a level that the file does not hold counts as missing
            values = bins.column.positions(series)
            gone = values < 0
        found = np.full(len(frame), MISSING, np.int64)
        found[~gone] = bins.encode(values[~gone])
        codes[:, j] = np.where(found < 0, MISSING, found)
        cells.append((np.where(gone, 0, values), gone))
    surprise, absent = [], []
    for j, (relation, forest) in enumerate(zip(relations, forests, strict=True)):
        if forest is None:
            continue
        own = codes[:, j].astype(np.int64)
        if relation.same:
            place = copied(relation, cells[: j + 1], parts[: j + 1])
            own = np.where(place >= 0, parts[j].width + place, own)
        shares = forest.shares_of(codes[:, :j], own)
        surprise.append(-np.log(np.maximum(shares.mean(0), UNSEEN_SHARE)))
        absent.append((shares == 0).mean(0))
    if not surprise:
        return np.zeros((len(frame), 2))
    both = [np.stack(figures, 1) for figures in (surprise, absent)]
    return np.hstack([figures.sum(1, keepdims=True) for figures in both] + both)
