"""Rows as numbers, on scales and levels learned from the real training rows and used for all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthgen.column import LEVELS, NUMBERS, Column
from synthgen.table import Table

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
