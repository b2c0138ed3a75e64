"""TODO docstring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd

from synthgen.encoding.quantiles import nearest
from synthgen.tables.column import LEVELS, NUMBERS, Column

# A number column with at most so many distinct values, each in at least so many rows on average,
# has levels.
MAX_LEVELS, ROWS_PER_LEVEL = 128, 5
KNOTS = 1000


@dataclass(frozen=True, eq=False)
class Levels:
    """A column as one code: `values` are positions in the column's categories, or the numbers
    themselves.
    """

    column: Column
    values: np.ndarray
    frequent: int  # the level that stands in for values never seen
    missing: bool

    @property
    def width(self) -> int:
        return len(self.values) + self.missing

    def encode(self, series: pd.Series) -> np.ndarray:
        absent = len(self.values) if self.missing else self.frequent
        if self.column.kind in LEVELS:
            # Of each category, and last of the code -1, missing.
            places = np.full(len(self.column.categories) + 1, self.frequent)
            places[self.values[::-1]] = np.arange(len(self.values))[::-1]
            places[-1] = absent
            return places[self.column.codes(series)]
        found, gone = self.column.numbers(series)
        order = np.argsort(self.values, kind="stable")
        return np.where(gone, absent, order[nearest(self.values[order], found)])

    def decode(self, codes: np.ndarray) -> pd.Series:
        gone = codes >= len(self.values)
        values = self.values[np.minimum(codes, len(self.values) - 1)]
        if self.column.kind in LEVELS:
            return self.column.restore(np.where(gone, -1, values))
        return self.column.restore(values, gone)


@dataclass(frozen=True, eq=False)
class Scale:
    """A column as a quantile-normal number; with spikes or missing cells also as a code, 0 for
    "on the scale".
    """

    column: Column
    knots: np.ndarray  # int64 or float64, ascending
    grid: np.ndarray  # share of the rows below each knot, strictly ascending
    spikes: np.ndarray
    missing: bool

    @property
    def width(self) -> int:
        return 1 + len(self.spikes) + self.missing

    @property
    def missing_code(self) -> int:
        return self.width - 1 if self.missing else 0

    @property
    def rounding(self) -> tuple[int, int] | int | None:
        """First value and step of whole numbers, decimals of others; None: they are not rounded."""
        if self.knots.dtype != np.int64:
            return self.column.decimals
        step = self.column.step or 1
        return (int(cast(int, self.column.lower)), step) if step > 1 else None


def _part_from_state(
    column: Column, entry: Mapping[str, Any], prefix: str, arrays: Mapping[str, np.ndarray]
) -> Levels | Scale | None:
    kind = entry.get("part")
    if kind is None:
        return None
    names = {"levels": ("values",), "scale": ("knots", "grid", "spikes")}[kind]
    found = {name: arrays[prefix + name] for name in names}
    wanted = np.dtype(np.float64 if column.kind == "numeric" else np.int64)
    for name, array in found.items():
        if array.ndim != 1 or array.dtype != (np.float64 if name == "grid" else wanted):
            raise ValueError(f"{name} is {array.dtype} of shape {array.shape}")
        if not np.isfinite(array).all() or (len(array) == 0 and name != "spikes"):
            raise ValueError(f"{name} is empty or not finite")
    missing = entry["missing"]
    if not isinstance(missing, bool) or column.kind not in ("categorical", "boolean", *NUMBERS):
        raise ValueError(f"kind {column.kind}, missing {missing}")
    if column.kind in ("integer", "datetime") and column.lower is None:
        raise ValueError("lower is missing")
    if kind == "levels":
        values, frequent = found["values"], entry["frequent"]
        if column.kind in LEVELS and not ((values >= 0) & (values < len(column.categories))).all():
            raise ValueError("values beyond the categories")
        if (
            isinstance(frequent, bool)
            or not isinstance(frequent, int)
            or not 0 <= frequent < len(values)
        ):
            raise ValueError(f"frequent is {frequent}")
        return Levels(column, values, frequent, missing)
    knots, grid = found["knots"], found["grid"]
    if (
        column.kind not in NUMBERS
        or len(knots) != len(grid)
        or len(knots) < 2
        or (knots[1:] < knots[:-1]).any()
    ):
        raise ValueError("knots in no order")
    if not (grid[0] > 0 and (grid[1:] > grid[:-1]).all() and grid[-1] < 1):
        raise ValueError("grid in no order")
    return Scale(column, knots, grid, found["spikes"], missing)


# --- fitting --------------------------------------------------------------------------------------


def _fit_part(column: Column, series: pd.Series, max_levels: int) -> Levels | Scale | None:
    if column.kind in ("categorical", "boolean"):
        codes = column.codes(series)
        return _levels(column, codes, codes < 0)
    if column.kind not in NUMBERS:
        return None
    values, gone = column.numbers(series)
    known = values[~gone]
    distinct = np.unique(known)
    if len(distinct) <= 2 or (
        len(distinct) <= max_levels and len(known) >= ROWS_PER_LEVEL * len(distinct)
    ):
        return _levels(column, values, gone)
    spikes = np.array(column.spikes, dtype=values.dtype)
    spikes = spikes[np.isin(spikes, distinct)]
    rest = np.sort(known[~np.isin(known, spikes)])
    if len(np.unique(rest)) < 2:
        return _levels(column, values, gone)
    places = np.arange(len(rest))
    ends = np.flatnonzero(np.append(rest[1:] != rest[:-1], True))
    if len(rest) > KNOTS and 2 * len(ends) <= KNOTS:
        # The first and the last row of each value, so that all of its share is known.
        places = np.unique(np.concatenate([ends, np.append(0, ends[:-1] + 1)]))
    elif len(rest) > KNOTS:
        places = np.linspace(0, len(rest) - 1, KNOTS).round().astype(np.int64)
    return Scale(column, rest[places], (places + 0.5) / len(rest), spikes, bool(gone.any()))


def _levels(column: Column, values: np.ndarray, gone: np.ndarray) -> Levels | None:
    distinct, counts = np.unique(values[~gone], return_counts=True)
    if not len(distinct):
        return None  # nothing but missing in these rows
    return Levels(column, distinct, int(np.argmax(counts)), bool(gone.any()))
