"""Tables as numeric matrices for classifiers; all statistics come from the training part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from pandas.api import types as pdt
from sklearn.base import BaseEstimator, TransformerMixin

from synthgen.errors import DataError
from synthgen.tables.column import LEVELS, NUMBERS, Column
from synthgen.tables.schema import Schema
from synthgen.tables.table import Table

MAX_LEVELS = 254  # limit of histogram boosting for levels, and for bins of a number
# In `Matrix.trees` this code stands for unknown levels, and the code before it for the rarest ones.
MOST_LEVELS = 253
HOT_LEVELS = 100  # levels of a column that get a one-hot column in `Matrix.dense`
FARTHEST = 10.0  # standard deviations from the mean at which numbers are cut off
# Where numbers are cut off for classifiers: the variance of larger ones would exceed float64, and
# scaled by the training rows, float32, which the trees of a forest take.
HIGHEST, BEYOND = 1e100, 1e20
ABSENT = 2**31  # the rank of a level that no training row holds


def is_learned(column: Column) -> bool:
    """Whether classifiers use the column: not an ID, free text, constant or empty column."""
    return column.kind in NUMBERS or column.kind in ("categorical", "boolean")


class Matrix(BaseEstimator):
    """The rows of a table as numbers: fitted on a training part, it transforms any other rows.

    First `cells` turns rows into plain numbers, which needs no statistics and is done once for a
    table. Then a matrix that was fitted on the cells of a training part turns the cells of any part
    into the input of a model: `transform` and `trees` for trees, `dense` for linear models and
    distances, `numbers` for the numeric columns alone.

    Attributes:
        is_level_: Which columns of the result of `transform` hold levels.
        known_: For each column of levels, the rank of each level by its training rows (0: the most
            frequent), `ABSENT` where there are none. Otherwise an empty array.
        size_: The greatest absolute number of each column in training, shape (columns,).
        center_, scale_: Mean and standard deviation of the numbers over `size_`, shape (columns,).
    """

    def __init__(
        self, is_level: np.ndarray, columns: tuple[Column, ...] = (), *, filled: bool = False
    ) -> None:
        self.is_level = is_level
        self.columns = columns
        self.filled = filled

    @classmethod
    def of(cls, schema: Schema) -> Matrix:
        """An unfitted matrix of the features that classifiers use, in the order of the schema."""
        return cls._of([c for c in schema.features if is_learned(c)])

    @classmethod
    def fitted_on(cls, train: Table, *, with_target: bool) -> Matrix:
        """A matrix fitted on all rows of `train`, without IDs, text and empty ones."""
        chosen = train.schema.columns if with_target else train.schema.features
        columns = [c for c in chosen if c.kind in (*NUMBERS, *LEVELS)]
        matrix = cls._of(sorted(columns, key=lambda c: (str(c.name), repr(c.name))))
        return matrix.fit(matrix.cells(train))

    @classmethod
    def _of(cls, columns: Sequence[Column]) -> Matrix:
        return cls(np.array([c.kind in LEVELS for c in columns], dtype=bool), tuple(columns))

    @property
    def names(self) -> list[str]:
        """The names of the columns, as text."""
        return [str(c.name) for c in self.columns]

    def cells(self, rows: pd.DataFrame | Table) -> np.ndarray:
        """Rows as numbers, not fitted: categories become their position in the column."""
        frame = rows.frame if isinstance(rows, Table) else rows
        out = np.empty((len(frame), len(self.columns)))
        positions: dict[Any, int] = {
            (type(name), name): position for position, name in enumerate(frame.columns)
        }
        for j, column in enumerate(self.columns):
            position = positions.get((type(column.name), column.name))
            if position is None:
                raise DataError(
                    371, f"column {column.name!r} is missing: give all columns of the training data"
                )
            series = frame.iloc[:, position]
            if column.kind in NUMBERS:
                out[:, j] = column.floats(series)
            else:
                codes = column.positions(series)
                out[:, j] = np.where(codes < 0, np.nan, codes)
        return out

    def fit(self, cells: np.ndarray) -> Self:
        """Learn ranks and scales from the `cells` of a training part, shape (rows, columns)."""
        is_level = self.is_level_ = np.asarray(self.is_level, dtype=bool)
        known, shape = [], (3, len(is_level))
        self.size_, self.center_, self.scale_ = np.ones(shape) * [[1.0], [0.0], [1.0]]
        for j, values in enumerate(cells.T):
            values = values[~np.isnan(values)]
            known.append(_ranks(values) if is_level[j] else np.empty(0, dtype=np.int64))
            if not is_level[j] and len(values):
                size = self.size_[j] = np.abs(values).max() or 1.0  # sums near 1e308 overflow
                self.center_[j] = (values / size).mean()
                spread = (values / size).std()
                self.scale_[j] = spread if spread > 1e-12 else 1.0
        self.known_ = tuple(known)
        if self.filled:
            numbers = self._ranked(cells)[:, ~is_level]
            gone = np.isnan(numbers)
            some = np.where(gone.all(axis=0), 0.0, numbers)
            self.middle_ = np.nanmedian(some, axis=0) if numbers.size else np.zeros(0)
            full = np.where(gone, self.middle_, numbers)
            spread = full.std(axis=0) if len(full) else np.ones(0)
            self.spread_ = np.where((spread > 0) & np.isfinite(spread), spread, 1.0)
            self.flagged_ = np.flatnonzero(gone.any(axis=0))
            self.is_level_ = np.append(is_level, np.ones(len(self.flagged_), dtype=bool))
        return self

    def transform(self, cells: np.ndarray) -> np.ndarray:
        """Numbers unchanged within `HIGHEST`, levels as their frequency ranks in training."""
        out = self._ranked(cells)
        is_level = np.asarray(self.is_level, dtype=bool)
        levels = out[:, is_level]
        out[:, is_level] = np.where(levels < MAX_LEVELS, levels, np.nan)
        if not self.filled:
            return out
        numbers = out[:, ~is_level]
        gone = np.isnan(numbers)
        out[:, ~is_level] = (np.where(gone, self.middle_, numbers) - self.middle_) / self.spread_
        for j in np.flatnonzero(is_level):
            more = min(MAX_LEVELS, int((self.known_[j] < ABSENT).sum()))
            out[:, j] = np.where(np.isnan(out[:, j]), more, out[:, j])
        return np.hstack([out, gone[:, self.flagged_]])

    def trees(self, cells: np.ndarray) -> np.ndarray:
        """Like `transform`, but the rarest levels share one code, and unknown levels another."""
        out = self._ranked(cells)
        for j in np.flatnonzero(self.is_level):
            rank = out[:, j]
            most = np.where(rank < ABSENT, np.minimum(rank, MOST_LEVELS - 1), MOST_LEVELS)
            out[:, j] = np.where(np.isnan(rank), np.nan, most)
        return out

    def numbers(self, cells: np.ndarray, *, farthest: float = FARTHEST) -> np.ndarray:
        """The numeric columns, standardised, NaN where missing."""
        pick = ~np.asarray(self.is_level, dtype=bool)
        with np.errstate(over="ignore"):
            values = cells[:, pick] / self.size_[pick]
            return np.clip((values - self.center_[pick]) / self.scale_[pick], -farthest, farthest)

    def dense(self, cells: np.ndarray) -> np.ndarray:
        """Standardised numbers and one-hot levels, for linear models and distances."""
        parts = [np.nan_to_num(self.numbers(cells))]
        ranks = self.trees(cells)
        for j, column in enumerate(self.columns):
            gone = np.isnan(cells[:, j])
            if self.is_level[j]:
                wide = min(HOT_LEVELS, int((self.known_[j] < ABSENT).sum()))
                # Codes: the frequent levels, then all other levels, then missing cells.
                codes = np.where(gone, wide + 1, np.minimum(np.nan_to_num(ranks[:, j]), wide))
                hot = np.zeros((len(cells), wide + 2))
                hot[np.arange(len(cells)), codes.astype(np.int64)] = 1.0
                parts.append(hot)
            elif column.missing:
                parts.append(gone[:, None].astype(np.float64))
        return np.hstack(parts).astype(np.float32)

    def _ranked(self, cells: np.ndarray) -> np.ndarray:
        """A copy of `cells` with levels as ranks, `ABSENT` where training has no such level.

        Numbers are cut off at `HIGHEST`, and at `BEYOND` times the greatest in training.
        """
        out = np.array(cells, dtype=np.float64)
        far = np.minimum(self.size_, HIGHEST / BEYOND) * BEYOND
        far = np.where(np.asarray(self.is_level, dtype=bool), np.inf, far)
        out = np.clip(out, -far, far)
        for j in np.flatnonzero(self.is_level):
            values, rank = out[:, j], np.append(self.known_[j], ABSENT)
            there = ~np.isnan(values)
            codes = np.minimum(values[there], len(rank) - 1).astype(np.int64)
            out[there, j] = rank[codes]
        return out


def _ranks(levels: np.ndarray) -> np.ndarray:
    """Frequency rank of each category (0: most frequent), ties in order of the codes; int64."""
    counts = np.bincount(levels.astype(np.int64))
    ranks = np.empty(len(counts), dtype=np.int64)
    ranks[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    return np.where(counts > 0, ranks, ABSENT)


def ranks_of(column: Column, series: pd.Series) -> np.ndarray:
    """The rank of each cell among the values of its column; float64 of shape (rows,).

    Missing cells are NaN, and levels are ranked by their frequency. Trees use only the order of the
    values, and ranks cannot overflow as values near 1e308 do. Unlike in the cells of a `Matrix`,
    IDs and texts have ranks too, because an audit looks for leaks in them.
    """
    if column.kind in NUMBERS:
        values, gone = column.numbers(series)
        places = np.unique(values, return_inverse=True)[1]
    elif column.kind in LEVELS:
        codes = column.codes(series)
        gone = codes < 0
        places = np.append(_ranks(codes[~gone]), 0)[codes]
    else:
        number = pdt.is_numeric_dtype(series.dtype)
        places = pd.factorize(series if number else series.astype(str), sort=True)[0]
        gone = series.isna().to_numpy(bool)
    return np.where(gone, np.nan, places.astype(np.float64))


class Binned(TransformerMixin, BaseEstimator):
    """Replaces each number by the index of its quantile bin (254 bins); other cells stay.

    Histogram boosting does the same, but takes forty times as long if rows have weights.
    """

    def __init__(self, is_level: np.ndarray) -> None:
        self.is_level = is_level

    def fit(self, X: np.ndarray, y: Any = None) -> Self:
        """Learn the cuts from `X` of shape (rows, columns)."""
        self.cuts_ = []
        for values in X[:, ~np.asarray(self.is_level, dtype=bool)].T:
            known = np.unique(values[~np.isnan(values)])
            if len(known) > MAX_LEVELS:
                shares = np.linspace(0, 1, MAX_LEVELS + 1)[1:-1]
                known = np.unique(np.nanquantile(values, shares, method="nearest"))
            self.cuts_.append(known[:-1] / 2 + known[1:] / 2)
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Numbers replaced by the code of their bin; an array of the same shape as `X`."""
        out = np.array(X, dtype=np.float64)
        numbers = np.flatnonzero(~np.asarray(self.is_level, dtype=bool))
        for j, cuts in zip(numbers, self.cuts_, strict=True):
            values = out[:, j]
            out[:, j] = np.where(np.isnan(values), np.nan, np.searchsorted(cuts, values))
        return out


def fill_empty(X: np.ndarray) -> np.ndarray:
    """`X` with 0 in columns that hold no value at all, which histogram boosting cannot bin."""
    empty = np.isnan(X).all(axis=0)
    return np.where(empty, 0, X) if empty.any() else X
