"""Numbers of decimals: how many a value has, and values that are given some.

A float holds `np.finfo(...).precision` significant digits (15 in 64 bits). A value that needs more
counts as unrounded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthgen.encoding.quantiles import QuantileColumn
from synthgen.tables import dtypes as cell
from synthgen.tables.column import Column

# The largest number of decimals that is counted, and the one that stands for "not rounded".
MOST_DECIMALS, UNROUNDED = 16, 17
# At least this many rows of a band have each number of decimals that it holds; a band has at least
# BAND_ROWS rows, and there are at most MOST_BANDS.
LEAST_ROWS, BAND_ROWS, MOST_BANDS = 5, 100, 20
# Shares closer than NATURAL to those of values that are simply rounded are left to rounding. With
# SPARE digits less than a float holds, chance cannot make a value look rounded.
NATURAL, SPARE = 0.005, 2


def float_type(column: Column) -> type[np.floating]:
    """The type of a column's floats; cells of Python are float64."""
    if column.kind != "float" or column.dtype == object:
        return np.float64
    found = np.dtype(cell.numpy_type(column.dtype))
    return found.type if found.kind == "f" else np.float64


def count_decimals(values: np.ndarray, narrow: type[np.floating]) -> np.ndarray:
    """Number of decimals of each value, `UNROUNDED` if it has too many; int64 of shape (rows,)."""
    found = np.full(len(values), UNROUNDED)
    with np.errstate(over="ignore", invalid="ignore"):
        own, most = values.astype(narrow), 10.0 ** np.finfo(narrow).precision
        for many in range(MOST_DECIMALS, -1, -1):
            same = np.round(values, many).astype(narrow) == own
            if many:
                same &= np.abs(values) * 10.0**many < most
            found[same] = many
    return found


def with_decimals(
    values: np.ndarray,
    decimals: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    narrow: type[np.floating],
) -> np.ndarray:
    """Move each value to one between `low` and `high` with this number of decimals, not fewer.

    A value stays as it is if there is none. All arrays have shape (rows,).
    """
    power = 10.0 ** np.minimum(decimals, MOST_DECIMALS)
    some = (decimals > 0).astype(float)
    with np.errstate(over="ignore", invalid="ignore"):
        wide = values * power
        # The last of several decimals is one of nine digits, since 0 would be one decimal less.
        tens = np.floor(wide / 10)
        last = 1 + np.clip(np.floor(9 * (wide / 10 - tens)), 0, 8)
        whole = np.where(some > 0, 10 * tens + last, np.rint(wide))
        first, final = np.ceil(low * power), np.floor(high * power)
        whole = np.where(whole / power < low, first + some * (first % 10 == 0), whole)
        whole = np.where(whole / power > high, final - some * (final % 10 == 0), whole)
        found = whole / power
        fits = (np.abs(wide) < 10.0 ** np.finfo(narrow).precision) | (decimals == 0)
        fits &= (low <= found) & (found <= high) & (decimals <= MOST_DECIMALS)
    found = np.where(fits, found, values)
    free = np.flatnonzero((decimals > MOST_DECIMALS) & (low < high))
    hit = free[count_decimals(found[free], narrow) <= MOST_DECIMALS]
    beside = np.nextafter(found[hit].astype(narrow), narrow(np.inf)).astype(np.float64)
    found[hit] = np.where(beside <= high[hit], beside, found[hit])
    return found


@dataclass(frozen=True, eq=False)
class Decimals:
    """How many decimals the values of a column have, from its least to its greatest values.

    Attributes:
        ends: Share of the rows below the end of each band, ascending to 1; shape (bands,).
        shares: Share of each number of decimals in each band, shape (bands, `UNROUNDED` + 1).
    """

    ends: np.ndarray
    shares: np.ndarray

    @classmethod
    def of(
        cls, column: Column, values: np.ndarray, knots: np.ndarray, grid: np.ndarray
    ) -> Decimals | None:
        """Learn from sorted values; None if those between knots have the usual decimals anyway."""
        if values.dtype != np.float64:
            return None
        weights, narrow = _between_knots(values, knots, grid), float_type(column)
        decimals = count_decimals(values, narrow)
        if column.decimals is not None:
            decimals = np.minimum(decimals, column.decimals)
        counts = np.bincount(decimals, minlength=UNROUNDED + 1)
        free = weights > 0
        if free.sum() < LEAST_ROWS or _is_natural(column, values[free], decimals[free], narrow):
            return None
        free &= counts[decimals] >= LEAST_ROWS
        ends, shares = [], []
        bands = int(np.clip(len(values) // BAND_ROWS, 1, MOST_BANDS))
        found, rows = np.zeros((2, UNROUNDED + 1))
        parts = (np.array_split(part, bands) for part in (decimals, free, weights))
        for band, (own, here, weight) in enumerate(zip(*parts, strict=True)):
            rows = rows + np.bincount(own[here], minlength=UNROUNDED + 1)
            found = found + np.bincount(own[here], weight[here], UNROUNDED + 1)
            if rows.any() and not ((rows > 0) & (rows < LEAST_ROWS)).any():
                ends.append((band + 1) / bands)
                shares.append(found)
                found, rows = np.zeros((2, UNROUNDED + 1))
        if not shares:
            ends, shares = [1.0], [found]
        else:  # what is left joins the last band
            ends[-1], shares[-1] = 1.0, shares[-1] + found
        held = np.array(shares, dtype=float)
        if not held.any():
            return None
        held /= held.sum(axis=1, keepdims=True)
        return cls(np.array(ends), np.array([[float(f"{s:.2g}") for s in band] for band in held]))

    @staticmethod
    def can_be(ends: np.ndarray, shares: np.ndarray) -> bool:
        """Whether arrays of a file can be the ends and the shares of bands."""
        if ends.dtype != np.float64 or shares.dtype != np.float64 or ends.ndim != 1:
            return False
        if not len(ends) or shares.shape != (len(ends), UNROUNDED + 1):
            return False
        ascending = ends[0] > 0 and ends[-1] == 1 and (np.diff(ends) > 0).all()
        return bool(ascending and (shares >= 0).all() and (shares.sum(axis=1) > 0.5).all())

    def give(self, part: QuantileColumn, values: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """Give values decimals by their band and uniform random numbers; knots stay exact."""
        knots = part.knots
        ends = np.append(knots[0], np.interp(self.ends, part.grid, knots))
        ends[-1] = knots[-1]
        band = np.clip(np.searchsorted(ends, values, side="right") - 1, 0, len(self.ends) - 1)
        # A number of decimals that is too large for a value is not drawn.
        precision = 10.0 ** np.finfo(float_type(part.column)).precision
        power = 10.0 ** np.arange(MOST_DECIMALS + 1)
        power[0] = 0
        fits = np.ones((len(values), UNROUNDED + 1), dtype=bool)
        with np.errstate(over="ignore"):
            fits[:, :UNROUNDED] = np.abs(values)[:, None] * power < precision
        below = np.cumsum(self.shares[band] * fits, axis=1)
        decimals = (uniform[:, None] * below[:, -1:] >= below).sum(axis=1)
        decimals = np.minimum(decimals, UNROUNDED)
        at_knot = np.searchsorted(knots, values)
        free = knots[np.minimum(at_knot, len(knots) - 1)] != values
        found = values.copy()
        limits = ends[band[free]], ends[band[free] + 1]
        found[free] = with_decimals(values[free], decimals[free], *limits, float_type(part.column))
        return found


def _between_knots(values: np.ndarray, knots: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """The part of each sorted value's rows that is decoded between knots; shape (rows,).

    A value that several knots share is decoded exactly over the share of rows between these knots.
    """
    distinct, of, counts = np.unique(values, return_inverse=True, return_counts=True)
    first = np.searchsorted(knots, distinct).clip(max=len(knots) - 1)
    last = (np.searchsorted(knots, distinct, side="right") - 1).clip(0)
    exact = np.where(last > first, grid[last] - grid[first], 0.0) * len(values)
    return np.clip(1 - exact / counts, 0, 1)[of]


def _is_natural(
    column: Column, values: np.ndarray, decimals: np.ndarray, narrow: type[np.floating]
) -> bool:
    """Whether values have the shares of decimals that rounding alone, or none, gives them."""
    if column.decimals is None:
        most = 10.0 ** (np.finfo(narrow).precision - SPARE)
        rounded = (decimals == 0) | (np.abs(values) * 10.0**decimals < most)
        return bool(rounded.sum() < max(LEAST_ROWS, NATURAL * len(values)))
    usual = 0.9 * 10.0 ** -(column.decimals - np.arange(column.decimals + 1.0))
    usual[0] = 10.0**-column.decimals
    shares = np.bincount(decimals, minlength=len(usual))[: len(usual)] / len(values)
    return bool(np.abs(shares - usual).max() <= NATURAL + 2 * np.sqrt(0.1 / len(values)))
