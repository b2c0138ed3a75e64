"""Membership from frequencies: cells of a training row are more frequent in generated rows."""

from __future__ import annotations

from collections.abc import Iterable

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
    """
    matrix = Matrix.of(asked.schema)
    real, new = matrix.cells(asked), matrix.cells(made)
    target = asked.schema[asked.schema.target]
    of_made = target.positions(made[target.name])
    losses = np.zeros(len(real))
    for label in np.unique(asked.labels):
        mine, theirs = asked.labels == label, of_made == label
        losses[mine] = cell_losses(real[mine], new[theirs], matrix.is_level)
    return losses


def cell_losses(
    asked: np.ndarray, made: np.ndarray, is_level: Iterable[bool], known: np.ndarray | None = None
) -> np.ndarray:
    """Compare the frequencies of each row's cells in `made` and among the other real rows."""
    losses = np.zeros(len(asked))
    real = asked if known is None else np.concatenate([asked, known])
    if len(real) < 2 or not len(made):
        return losses
    for j, level in enumerate(is_level):
        own, other = _binned(real[:, j], made[:, j], level)
        size = int(max(own.max(), other.max())) + 1
        mine = own[: len(asked)]
        usual = (np.bincount(own, minlength=size)[mine] - 1) / (len(own) - 1)
        share = np.bincount(other, minlength=size)[mine] / len(other)
        losses -= (share - usual) / (usual + LEAST_SHARE)
    return losses


def _binned(real: np.ndarray, new: np.ndarray, is_level: bool) -> tuple[np.ndarray, np.ndarray]:
    """Number the bins of cells from 1, with 0 for missing cells."""
    known = real[~np.isnan(real)]
    edges = np.unique(known)
    if not is_level and len(edges) > BINS:
        # Halved, so that no difference of numbers near 1e308 overflows.
        edges = 2 * np.unique(np.quantile(known / 2, np.arange(1, BINS) / BINS))
    binned = (
        np.where(np.isnan(cells), 0, 1 + np.searchsorted(edges, cells, side="right"))
        for cells in (real, new)
    )
    first, second = binned
    return first, second
