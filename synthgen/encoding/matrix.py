"""Tables as the numeric matrices that classifiers take; what is learned for it, a fold learns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin

from synthgen.errors import DataError
from synthgen.tables.column import LEVELS, NUMBERS, Column
from synthgen.tables.dtypes import tidy
from synthgen.tables.schema import Schema
from synthgen.tables.table import Table

# Histogram boosting tells no more levels apart.
MAX_LEVELS = 254


def is_learned(column: Column) -> bool:
    """Whether a classifier may see it: no ID, free text, constant or empty column."""
    return column.kind in NUMBERS or column.kind in ("categorical", "boolean")


@dataclass(frozen=True)
class Places:
    """The columns that a classifier sees, and their names for levels; nothing in it is a statistic.

    Attributes:
        columns: In the order of the matrix.

    Example:
        >>> frame = pd.DataFrame({"dose": [1.0, 2.5, None] * 9, "sex": ["f", "m", "f"] * 9})
        >>> places = Places.of(Schema.infer(frame))
        >>> places.is_level.tolist(), places.matrix(frame)[:3].tolist()
        ([False, True], [[1.0, 0.0], [2.5, 1.0], [nan, 0.0]])
    """

    columns: tuple[Column, ...]

    @classmethod
    def of(cls, schema: Schema) -> Places:
        return cls(tuple(c for c in schema.features if is_learned(c)))

    @property
    def is_level(self) -> np.ndarray:
        """bool of shape (columns,)"""
        return np.array([c.kind in LEVELS for c in self.columns], dtype=bool)

    def matrix(self, frame: pd.DataFrame) -> np.ndarray:
        """Numbers as they are, levels as positions; missing cells and unknown levels are NaN.

        Args:
            frame: Shape (rows, any columns); must have those of `columns`.

        Returns:
            float64 of shape (rows, columns).

        Raises:
            DataError: A column is missing, or holds text where numbers are expected.
        """
        out = np.empty((len(frame), len(self.columns)))
        there: dict[Any, int] = {
            (type(name), name): place for place, name in enumerate(frame.columns)
        }
        for j, column in enumerate(self.columns):
            place = there.get((type(column.name), column.name))
            if place is None:
                raise DataError(
                    371, f"column {column.name!r} is missing: give the columns of the training"
                )
            out[:, j] = _places(column, frame.iloc[:, place])
        return out


def _places(column: Column, series: pd.Series) -> np.ndarray:
    if column.kind in NUMBERS:
        values, gone = column.numbers(series)
        return np.where(gone, np.nan, values.astype(np.float64))
    series = tidy(series)
    known = pd.Index(list(column.categories), dtype=object, tupleize_cols=False)
    cells = pd.Index(series.astype(object), dtype=object, tupleize_cols=False)
    codes = known.get_indexer(cells)
    return np.where((codes < 0) | series.isna().to_numpy(bool), np.nan, codes)


class Coder(BaseEstimator):
    """The places of a training part as codes and numbers that a model can learn from.

    Levels are numbered by frequency in the training part; those beyond the 254th, and those it does
    not hold, are missing.

    Args:
        is_level: Which columns hold levels, bool of shape (columns,).
        dense: Nothing is missing in the result: a number becomes the median, with a flag in a
            column of its own, a level one more level; numbers are standardised. Interpolation
            between neighbours needs this.

    Attributes:
        is_level_: Of the columns of the result.

    Example:
        >>> places = np.array([[1.0, 2.0], [3.0, 2.0], [np.nan, 0.0]])
        >>> coder = Coder(np.array([False, True])).fit(places)
        >>> coder.transform(places)[:, 1].tolist()
        [0.0, 0.0, 1.0]
        >>> dense = Coder(np.array([False, True]), dense=True).fit(places)
        >>> dense.transform(places).shape, dense.is_level_.tolist()
        ((3, 3), [False, True, True])
    """

    def __init__(self, is_level: np.ndarray, *, dense: bool = False) -> None:
        self.is_level = is_level
        self.dense = dense

    def fit(self, places: np.ndarray) -> Self:
        """Learn from `places` of shape (rows, columns)."""
        self.is_level_ = np.asarray(self.is_level, dtype=bool)
        self.rank_: list[Any] = []
        for j in np.flatnonzero(self.is_level_):
            known = places[~np.isnan(places[:, j]), j].astype(np.int64)
            counts = np.bincount(known)
            order = np.argsort(-counts, kind="stable")[: min(MAX_LEVELS, (counts > 0).sum())]
            rank = np.full(len(counts) + 1, np.nan)
            rank[order] = np.arange(len(order))
            self.rank_.append(rank)
        if self.dense:
            numbers = places[:, ~self.is_level_]
            gone = np.isnan(numbers)
            some = np.where(gone.all(axis=0), 0.0, numbers)
            self.middle_ = np.nanmedian(some, axis=0) if numbers.size else np.zeros(0)
            filled = np.where(gone, self.middle_, numbers)
            scale = filled.std(axis=0) if len(filled) else np.ones(0)
            self.scale_ = np.where((scale > 0) & np.isfinite(scale), scale, 1.0)
            self.flagged_ = np.flatnonzero(gone.any(axis=0))
            self.is_level_ = np.append(self.is_level_, np.ones(len(self.flagged_), dtype=bool))
        return self

    def transform(self, places: np.ndarray) -> np.ndarray:
        """float64 of shape (rows, columns), with `dense` also a column for each flag."""
        is_level = np.asarray(self.is_level, dtype=bool)
        out = np.array(places, dtype=np.float64)
        for j, rank in zip(np.flatnonzero(is_level), self.rank_, strict=True):
            column = out[:, j]
            unknown = np.isnan(column) | (column >= len(rank) - 1)
            out[:, j] = rank[np.where(unknown, len(rank) - 1, column).astype(np.int64)]
        if not self.dense:
            return out
        numbers = out[:, ~is_level]
        gone = np.isnan(numbers)
        out[:, ~is_level] = (np.where(gone, self.middle_, numbers) - self.middle_) / self.scale_
        for j, rank in zip(np.flatnonzero(is_level), self.rank_, strict=True):
            last = np.nanmax(rank, initial=-1.0) + 1
            out[:, j] = np.where(np.isnan(out[:, j]), last, out[:, j])
        return np.hstack([out, gone[:, self.flagged_]])


class Binned(TransformerMixin, BaseEstimator):
    """Numbers as numbers of their quantile, at most 254 of them; levels and missing cells stay.

    Histogram boosting would cut numbers at their quantiles anyway, but with weights it takes forty
    times as long.

    Args:
        is_level: Which columns hold levels, bool of shape (columns,).

    Example:
        >>> Binned(np.array([False])).fit_transform(np.array([[1.0], [9.0], [5.0], [np.nan]]))
        array([[ 0.],
               [ 2.],
               [ 1.],
               [nan]])
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
        """Of the same shape."""
        out = np.array(X, dtype=np.float64)
        numbers = np.flatnonzero(~np.asarray(self.is_level, dtype=bool))
        for j, cuts in zip(numbers, self.cuts_, strict=True):
            values = out[:, j]
            out[:, j] = np.where(np.isnan(values), np.nan, np.searchsorted(cuts, values))
        return out


def fill_empty(X: np.ndarray) -> np.ndarray:
    """`X` with 0 in columns that hold no value at all, which histogram boosting cannot bin.

    Example:
        >>> fill_empty(np.array([[1.0, np.nan], [np.nan, np.nan]]))
        array([[ 1.,  0.],
               [nan,  0.]])
    """
    empty = np.isnan(X).all(axis=0)
    return np.where(empty, 0, X) if empty.any() else X


# Histogram boosting tells 255 places apart; one of them is for levels that train does not hold.
MOST_LEVELS = 253
HOT_LEVELS = 100
FARTHEST = 10.0  # standard deviations; a greater number counts as this


@dataclass(frozen=True, eq=False)
class Space:
    """The columns that can be compared, and their scales.

    Attributes:
        columns: Numbers, dates, categories, booleans and constants of the schema.
        is_level: Whether each of them holds levels. Shape (columns,).
        known: For each column of levels, the rank of each level by its rows in train (0 is the most
            frequent), and `MOST_LEVELS` or more where train lacks it; else an empty array.
        center, scale: Of numbers, after division by `size`. Shape (columns,).
        size: Greatest absolute value in train. Shape (columns,).
    """

    columns: tuple[Column, ...]
    is_level: np.ndarray
    known: tuple[np.ndarray, ...]
    center: np.ndarray
    scale: np.ndarray
    size: np.ndarray

    @classmethod
    def of(cls, train: Table, *, with_target: bool) -> Space:
        """The space of these rows.

        Example:
            >>> import pandas as pd
            >>> a, b = [1.5, 2.5, None, 4.5], ["u", "v", "v", "v"]
            >>> frame = pd.DataFrame({"a": a, "b": b, "y": ["no", "yes"] * 2})
            >>> train = Table.of(frame, target="y")
            >>> space = Space.of(train, with_target=False)
            >>> space.cells(train).tolist()
            [[1.5, 0.0], [2.5, 1.0], [nan, 1.0], [4.5, 1.0]]
            >>> space.dense(space.cells(train)).shape
            (4, 6)
        """
        chosen = train.schema.columns if with_target else train.schema.features
        columns = [c for c in chosen if c.kind in (*NUMBERS, *LEVELS)]
        # Draws and folds must not depend on the order of the columns.
        columns = tuple(sorted(columns, key=lambda c: (str(c.name), repr(c.name))))
        is_level = np.array([c.kind in LEVELS for c in columns], dtype=bool)
        cells = _cells(columns, train)
        known, center, scale, size = [], [], [], []
        for column, values in zip(columns, cells.T, strict=True):
            if column.kind in LEVELS:
                codes = values[~np.isnan(values)].astype(np.int64)
                seen = np.bincount(codes, minlength=len(column.categories))
                rank = np.empty(len(seen), dtype=np.int64)
                rank[np.argsort(-seen, kind="stable")] = np.arange(len(seen))
                known.append(np.where(seen > 0, np.minimum(rank, MOST_LEVELS - 1), MOST_LEVELS))
                values = np.empty(0)
            else:
                known.append(np.empty(0, dtype=np.int64))
            present = values[~np.isnan(values)]
            most = float(np.abs(present).max()) if len(present) else 0.0
            most = most or 1.0
            size.append(most)
            center.append(float((present / most).mean()) if len(present) else 0.0)
            scale.append(float((present / most).std()) if len(present) else 0.0)
        return cls(
            columns,
            is_level,
            tuple(known),
            np.array(center),
            np.array([s if s > 1e-12 else 1.0 for s in scale]),
            np.array(size),
        )

    @property
    def names(self) -> list[str]:
        return [str(c.name) for c in self.columns]

    def cells(self, table: Table) -> np.ndarray:
        """Numbers as they are, codes of levels, NaN where missing; float64 of shape (rows,
        columns).
        """
        return _cells(self.columns, table)

    def numbers(self, cells: np.ndarray) -> np.ndarray:
        """Standardised numbers, NaN where missing; shape (rows, columns of numbers)."""
        pick = ~self.is_level
        with np.errstate(over="ignore"):
            values = cells[:, pick] / self.size[pick]
            return np.clip((values - self.center[pick]) / self.scale[pick], -FARTHEST, FARTHEST)

    def trees(self, cells: np.ndarray) -> np.ndarray:
        """For trees: levels as ranks by frequency, those unknown to train as one; NaN stays."""
        out = cells.copy()
        for j in np.flatnonzero(self.is_level):
            there = ~np.isnan(cells[:, j])
            out[there, j] = self.known[j][cells[there, j].astype(np.int64)]
        return out

    def dense(self, cells: np.ndarray) -> np.ndarray:
        """For linear models and distances: standardised numbers (missing: 0, and a column that says
        so where a column of train has missing cells), one column for each of the most frequent
        levels and one for all others. Float32 of shape (rows, dimensions).
        """
        numbers = self.numbers(cells)
        parts = [np.nan_to_num(numbers)]
        ranks = self.trees(cells)
        for j, column in enumerate(self.columns):
            gone = np.isnan(cells[:, j])
            if self.is_level[j]:
                wide = min(HOT_LEVELS, int((self.known[j] < MOST_LEVELS).sum()))
                # Levels, all others (unknown or rare), missing.
                codes = np.where(gone, wide + 1, np.minimum(np.nan_to_num(ranks[:, j]), wide))
                hot = np.zeros((len(cells), wide + 2))
                hot[np.arange(len(cells)), codes.astype(np.int64)] = 1.0
                parts.append(hot)
            elif column.missing:
                parts.append(gone[:, None].astype(np.float64))
        return np.hstack(parts).astype(np.float32)


def _cells(columns: tuple[Column, ...], table: Table) -> np.ndarray:
    out = np.empty((len(table), len(columns)))
    for j, column in enumerate(columns):
        series = table.frame[column.name]
        if column.kind in LEVELS:
            codes = column.codes(series)
            out[:, j] = np.where(codes < 0, np.nan, codes)
        else:
            values, gone = column.numbers(series)
            out[:, j] = np.where(gone, np.nan, values.astype(np.float64))
    return out
