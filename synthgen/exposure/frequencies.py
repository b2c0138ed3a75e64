"""Membership from frequencies: cells of a training row are more frequent in generated rows."""

from __future__ import annotations

import numpy as np
import pandas as pd

from synthgen.encoding.matrix import Matrix
from synthgen.tables.table import Table

# Numbers are cut into so many quantile bins of the attacked rows.
BINS = 50
# Added to the share of a bin among other rows, so that rare bins do not decide alone.
LEAST_SHARE = 0.01


def frequency_losses(asked: Table, made: pd.DataFrame) -> np.ndarray:
    """Compare the frequencies of each row's cells in generated rows and among the other rows.

    A training row raises the frequency of each of its cells in what a model learns, and so in the
    rows that it generates. Summed over the columns this reveals members (Homer et al. 2008,
    "Resolving individuals contributing trace amounts of DNA to highly complex mixtures"), even if
    each column is generated independently. Each class is compared with itself.

    Args:
        asked: The attacked rows, of train and of the holdout.
        made: Generated rows, with the target.

    Returns:
        Shape (rows,): smaller for rows whose cells are more frequent in `made`; 0 for rows of a
        class that is not in `made`, or has only one row in `asked`.

    Example:
        >>> frame = pd.DataFrame({"dose": list("abcde"), "ill": [True] * 4 + [False]})
        >>> asked = Table.of(frame, target="ill")
        >>> frequency_losses(asked, frame.iloc[[0, 0, 1, 1]]).round(1).tolist()
        [-50.0, -50.0, 0.0, 0.0, 0.0]
    """
    matrix = Matrix.of(asked.schema)
    real, new = matrix.cells(asked), matrix.cells(made)
    target = asked.schema[asked.schema.target]
    of_made = target.positions(made[target.name])
    losses = np.zeros(len(real))
    for label in np.unique(asked.labels):
        mine, theirs = np.flatnonzero(asked.labels == label), np.flatnonzero(of_made == label)
        if len(mine) < 2 or not len(theirs):
            continue
        for j, is_level in enumerate(matrix.is_level):
            own, other = _binned(real[mine, j], new[theirs, j], is_level)
            size = int(max(own.max(), other.max())) + 1
            usual = (np.bincount(own, minlength=size)[own] - 1) / (len(own) - 1)
            share = np.bincount(other, minlength=size)[own] / len(other)
            losses[mine] -= (share - usual) / (usual + LEAST_SHARE)
    return losses


def _binned(real: np.ndarray, new: np.ndarray, is_level: bool) -> tuple[np.ndarray, np.ndarray]:
    """Number the bins of cells from 1, with 0 for missing cells."""
    known = real[~np.isnan(real)]
    edges = np.unique(known)
    if not is_level and len(edges) > BINS:
        edges = np.unique(np.quantile(known, np.arange(1, BINS) / BINS))
    binned = (
        np.where(np.isnan(cells), 0, 1 + np.searchsorted(edges, cells, side="right"))
        for cells in (real, new)
    )
    first, second = binned
    return first, second
