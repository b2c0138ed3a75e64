"""The encoding of one column: category codes, or quantiles of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd

from synthgen.encoding.decimals import Decimals
from synthgen.encoding.quantiles import nearest
from synthgen.encoding.stored import Stored, check_finite, check_level, wrong
from synthgen.tables.column import LEVELS, NUMBERS, Column, Kind

# Numbers become levels if a column has at most MAX_LEVELS distinct values, and at least
# ROWS_PER_LEVEL rows for each on average.
MAX_LEVELS, ROWS_PER_LEVEL = 128, 5
KNOTS = 1000
# At most this many values of several rows have their own knots; each reaches this part of a row
# beyond its first and last row.
REPEATED, REACH = 2000, 0.45
# Kinds with categories that are learned; a constant needs no learning.
LEARNED_LEVELS: tuple[Kind, ...] = ("categorical", "boolean")


@dataclass(frozen=True, eq=False)
class Levels:
    """A column encoded as one categorical code.

    Attributes:
        column: Kind and limits.
        values: For each code, its position in the column's categories, or the number itself.
        frequent: The most frequent code; unseen values are encoded as it.
        missing: Whether one more code stands for missing cells.
    """

    column: Column
    values: np.ndarray
    frequent: int
    missing: bool

    @property
    def width(self) -> int:
        return len(self.values) + self.missing

    def encode(self, series: pd.Series) -> np.ndarray:
        absent = len(self.values) if self.missing else self.frequent
        if self.column.kind in LEVELS:
            # The code of each category; a missing cell (-1) reads the last entry.
            code_of = np.full(len(self.column.categories) + 1, self.frequent)
            code_of[self.values[::-1]] = np.arange(len(self.values))[::-1]
            code_of[-1] = absent
            return code_of[self.column.codes(series)]
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
    """A column encoded as a quantile-normal number, plus a code if it has spikes or missing cells.

    Attributes:
        column: Kind and limits.
        knots: Sorted values, int64 or float64, shape (knots,).
        grid: Fraction of rows below each knot, strictly increasing, shape (knots,).
        spikes: Values with their own codes 1, 2, ...; code 0 means "use the number".
        missing: Whether one more code stands for missing cells.
        decimals: How many decimals values have; None: as many as the column, or any number.
    """

    column: Column
    knots: np.ndarray
    grid: np.ndarray
    spikes: np.ndarray
    missing: bool
    decimals: Decimals | None = None

    @property
    def width(self) -> int:
        return 1 + len(self.spikes) + self.missing

    @property
    def missing_code(self) -> int:
        return self.width - 1 if self.missing else 0

    @property
    def rounding(self) -> tuple[int, int] | int | None:
        """(first value, step) of whole numbers, decimals of others; None if nothing is rounded."""
        if self.knots.dtype != np.int64:
            return self.column.decimals
        step = self.column.step or 1
        return (int(cast(int, self.column.lower)), step) if step > 1 else None


def part_from_state(
    entry: Stored, column: Column, arrays: Mapping[str, np.ndarray], prefix: str
) -> Levels | Scale | None:
    """The part of one column that a file describes, after every value has been checked."""
    if "part" not in entry:
        return None
    kind = entry["part"].text(("levels", "scale"))
    missing = entry["missing"].truth()
    if column.kind not in (*NUMBERS, *LEARNED_LEVELS):
        raise entry["column"].wrong("a column that can be learned")
    if column.kind in ("integer", "datetime") and column.lower is None:
        raise entry["column"].wrong("a column with a lower limit")
    number = np.dtype(np.float64 if column.kind == "numeric" else np.int64)

    def array(name: str, dtype: np.dtype, least: int) -> np.ndarray:
        found = arrays.get(f"{prefix}{name}")
        if found is None or found.dtype != dtype or found.ndim != 1 or len(found) < least:
            given = None if found is None else f"{found.dtype} of shape {found.shape}"
            raise wrong(f"{prefix}{name}", given, f"{dtype} of shape (n,) with n from {least}")
        check_finite({f"{prefix}{name}": found})
        return found

    if kind == "levels":
        values = array("values", number, 1)
        if column.kind in LEVELS:
            check_level(values, f"{prefix}values", len(column.categories))
        return Levels(column, values, entry["frequent"].whole(0, len(values) - 1), missing)
    if column.kind not in NUMBERS:
        raise entry["part"].wrong("levels, since the column holds no numbers")
    knots, grid = array("knots", number, 2), array("grid", np.dtype(np.float64), 2)
    if len(knots) != len(grid) or (knots[1:] < knots[:-1]).any():
        raise wrong(f"{prefix}knots", knots.tolist(), f"{len(grid)} numbers in ascending order")
    if not (grid[0] > 0 and (grid[1:] > grid[:-1]).all() and grid[-1] < 1):
        raise wrong(f"{prefix}grid", grid.tolist(), "ascending shares between 0 and 1")
    decimals = None
    if f"{prefix}ends" in arrays:  # an older file has none
        decimals = _decimals(arrays[f"{prefix}ends"], arrays.get(f"{prefix}shares"), prefix)
    return Scale(column, knots, grid, array("spikes", number, 0), missing, decimals)


def _decimals(ends: np.ndarray, shares: np.ndarray | None, prefix: str) -> Decimals:
    """The numbers of decimals that a file describes, after every value has been checked."""
    if shares is None or not Decimals.can_be(ends, shares):
        raise wrong(f"{prefix}ends", ends.tolist(), "ascending shares, each with its decimals")
    return Decimals(ends, shares)


# --- fitting --------------------------------------------------------------------------------------


def fit_part(column: Column, series: pd.Series, max_levels: int) -> Levels | Scale | None:
    """Learn the levels or quantiles of a column from its cells; None if it is not learned."""
    if column.kind in LEARNED_LEVELS:
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
    places, grid = _knots(rest)
    knots = rest[places]
    decimals = Decimals.of(column, rest, knots, grid)
    return Scale(column, knots, grid, spikes, bool(gone.any()), decimals)


def _knots(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Choose which of the sorted values become knots, and the share of rows below each knot."""
    rows = len(values)
    last = np.flatnonzero(np.append(values[1:] != values[:-1], True))
    first = np.append(0, last[:-1] + 1)
    places = np.arange(rows)
    if rows > KNOTS and 2 * len(last) <= KNOTS:
        places = np.concatenate([first, last])
    elif rows > KNOTS:
        places = np.linspace(0, rows - 1, KNOTS).round().astype(np.int64)
    anywhere = np.random.default_rng(0).permutation(len(last))  # of equal counts, not the lowest
    often = np.lexsort((anywhere, first - last))[:REPEATED]
    often = often[last[often] > first[often]]
    first, last = first[often], last[often]
    places = np.unique(np.concatenate([places, first, last]))
    shares = places + 0.5
    shares[np.searchsorted(places, first)] -= REACH
    shares[np.searchsorted(places, last)] += REACH
    # Shares beyond the outermost knots are theirs anyway. A file needs 0.5 here, see disclosure.py.
    shares[0], shares[-1] = 0.5, rows - 0.5
    return places, shares / rows


def _levels(column: Column, values: np.ndarray, gone: np.ndarray) -> Levels | None:
    distinct, counts = np.unique(values[~gone], return_counts=True)
    if not len(distinct):
        return None  # all cells are missing
    return Levels(column, distinct, int(np.argmax(counts)), bool(gone.any()))
