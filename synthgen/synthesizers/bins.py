"""A column as codes: levels, values that several rows hold, and bins of all other values.

At least five training rows hold each stored value or bin, so a model file may contain them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from synthgen.encoding.decimals import UNROUNDED, count_decimals, float_type, with_decimals
from synthgen.tables.column import LEVELS, NUMBERS, Column
from synthgen.tables.dtypes import tick_type, ticks_per_day

# The 16-bit code of a missing cell, and the largest number of other codes.
MISSING, MOST_CODES = 2**16 - 1, 60_000
# float64 holds every whole number up to EXACT_FLOAT; ten steps of LARGEST_STEP fit into 64 bits.
EXACT_FLOAT, LARGEST_STEP = 2**53, 2**59
LARGEST = 2.0**62  # sums of days are cut there
# The fractional parts of its multiples are spread irregularly over 0 to 1, and all differ.
GOLDEN = 0.6180339887498949
# At most this many trailing zeros of a number are counted: 17 decimals more than a whole number.
MOST_ZEROS = UNROUNDED


@dataclass(frozen=True, eq=False)
class Shares:
    """Weighted items in segments; segment s has the items ``starts[s]:starts[s + 1]``.

    Attributes:
        starts: int64 of shape (segments + 1,), ascending from 0.
        weights: uint16 of shape (items,), positive.
    """

    starts: np.ndarray
    weights: np.ndarray

    @cached_property
    def _ends(self) -> np.ndarray:
        return np.concatenate([[0.0], np.cumsum(self.weights, dtype=np.float64)])

    def draw(self, segments: np.ndarray, uniform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Draw an item of each segment by weight; also return what is left of `uniform`, 0 to 1."""
        return self.draw_between(self.starts[segments], self.starts[segments + 1] - 1, uniform)

    def draw_between(
        self, first: np.ndarray, last: np.ndarray, uniform: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw an item from `first` to `last` by weight; the second result is as in `draw`."""
        low = self._ends[first]
        place = low + uniform * (self._ends[last + 1] - low)
        items, several = first.copy(), np.flatnonzero(first < last)
        found = np.searchsorted(self._ends, place[several], side="right") - 1
        items[several] = np.clip(found, first[several], last[several])
        return items, np.clip((place - self._ends[items]) / self.weights[items], 0, 1)

    def check(self, segments: int, items: int) -> None:
        """Raise a ValueError unless there are `items` items, and `segments` non-empty segments."""
        _check_array("starts", self.starts, np.int64, segments + 1)
        _check_array("weights", self.weights, np.uint16, items)
        ascending = (self.starts[1:] > self.starts[:-1]).all()
        if not (ascending and self.starts[0] == 0 and self.starts[-1] == items):
            raise ValueError("starts are not in ascending order")
        if not (self.weights > 0).all():
            raise ValueError("weights of zero")


@dataclass(frozen=True, eq=False)
class Bins:
    """A column as codes, in ascending order of their values; levels by their share of the class.

    A code is a level, an exact value, or a bin. A bin consists of items. An item is either a range,
    in which each new value is drawn, or a single value, which was drawn in the bin once and which
    several new rows share, as several training rows share a value. There is a range for each number
    of trailing zeros, and a range may be limited to a number of distinct values. So new rows repeat
    and round their values as often as the training rows, but the values differ.

    Attributes:
        column: Kind and limits of the column.
        low, high: Range of each item, int64 (positions of levels, whole numbers, ticks, or
            decimals times `scale`) or float64.
        steps: Step of the values of each item, int64; of floats in units of their 17th decimal, 1
            if they are not rounded.
        spots: Number of distinct values that each item can produce, uint32; 0: unlimited.
        shares: The items of each code.
        exact: Whether a code is a level or an exact value; shape (codes,).
        missing: Whether there are missing cells, whose code is `MISSING`.
        rounded: Whether an item's values are multiples of its step but not of ten times its step.
        scale: Power of ten that turns decimals into whole numbers; 0: values are stored unchanged.
        shared: Whether at least five training rows hold each code.
    """

    column: Column
    low: np.ndarray
    high: np.ndarray
    steps: np.ndarray
    spots: np.ndarray
    shares: Shares
    exact: np.ndarray
    missing: bool
    rounded: bool = False
    scale: int = 0
    shared: bool = True

    @property
    def width(self) -> int:
        """Number of codes, without the one of a missing cell."""
        return len(self.exact)

    @property
    def is_number(self) -> bool:
        return self.column.kind in NUMBERS

    @property
    def limits(self) -> tuple[Any, Any]:
        """The least and the greatest value."""
        return self.low.min(), self.high.max()

    @cached_property
    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """The least and the greatest value of each code, each of shape (codes,)."""
        starts = self.shares.starts[:-1]
        return np.minimum.reduceat(self.low, starts), np.maximum.reduceat(self.high, starts)

    def values(self, series: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        """Values of the type of `low`, and a mask of the missing ones."""
        if not self.is_number:
            codes = self.column.codes(series)
            return codes, codes < 0
        return numbers_of(self.column, self.scale, series)

    def encode(self, values: np.ndarray) -> np.ndarray:
        """The code of each value; -1 for a level that has none. Shape of both: (rows,)."""
        if not self.is_number:
            return self._level_codes[values]
        points, at_point, edges, at_edge = self._places
        codes = np.empty(len(values), np.int64)
        if len(edges):
            codes[:] = at_edge[np.maximum(np.searchsorted(edges, values, side="right") - 1, 0)]
        if len(points):
            above = np.minimum(np.searchsorted(points, values), len(points) - 1)
            if len(edges):
                here = points[above] == values
                codes[here] = at_point[above[here]]
            else:  # without bins, a rare value gets the code of the nearest exact value
                below = np.maximum(above - 1, 0)
                far = np.abs(points[above].astype(float) - values)
                nearer = np.abs(points[below].astype(float) - values) < far
                codes[:] = at_point[np.where(nearer, below, above)]
        return codes

    def decode(
        self,
        codes: np.ndarray,
        uniform: np.ndarray,
        floor: np.ndarray | None = None,
        ceiling: np.ndarray | None = None,
        zeros: np.ndarray | None = None,
        near: np.ndarray | None = None,
    ) -> np.ndarray:
        """Draw a value for each code; all arrays have shape (rows,)."""
        if self._all_exact:
            low = high = self.low[codes]
            if floor is None and ceiling is None:
                return low
            left, steps, spots = uniform, np.ones(1, np.int64), np.zeros(1, np.uint32)
        else:
            if zeros is None:
                items, left = self.shares.draw(codes, uniform)
            else:
                first, last = (part[codes, zeros] for part in self._by_zeros)
                items, left = self.shares.draw_between(first, last, uniform)
            low, high, steps = self.low[items], self.high[items], self.steps[items]
            spots = self.spots[items]
            left = _at_a_spot(left, spots)
        if floor is not None:
            low = _raised(low, floor, steps)
            beyond = low > high
            low, high = np.where(beyond, floor, low), np.where(beyond, floor, high)
        if ceiling is not None:
            low, high = np.minimum(low, ceiling), np.minimum(high, ceiling)
        if near is not None:
            wanted = _at_a_spot(_place_of(near, low, high, steps), spots)
            left = np.where(np.isnan(near), left, wanted)
        return between(low, high, left, steps, self.narrow if self.rounded else None)

    def restore(self, values: np.ndarray, gone: np.ndarray) -> pd.Series:
        """The values as cells in the column's dtype."""
        if not self.is_number:
            return self.column.restore(np.where(gone, -1, values))
        if self.scale:
            values = values / self.scale
        elif values.dtype == np.float64 and self.column.decimals is not None:
            values = np.round(values, self.column.decimals)
        return self.column.restore(values, gone)

    def plain(self, values: np.ndarray) -> np.ndarray:
        """Numbers as float64, for arithmetic between columns; dates and spans in days."""
        if self.ticks_per_day:
            return values / self.ticks_per_day
        return values / self.scale if self.scale else values.astype(np.float64)

    def from_plain(self, values: np.ndarray) -> np.ndarray:
        """The inverse of `plain`, rounded to the decimals, or the ticks, of the column."""
        if self.low.dtype == np.float64:
            return values
        if self.ticks_per_day:
            most = LARGEST // self.unit
            found = np.rint(np.clip(values * (self.ticks_per_day / self.unit), -most, most))
            return found.astype(np.int64) * self.unit
        wide = np.rint(values * (self.scale or 1))
        return np.clip(wide, -float(EXACT_FLOAT), float(EXACT_FLOAT)).astype(np.int64)

    def inside(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The least and the greatest value between two numbers on the scale of `plain`."""
        by = self.ticks_per_day or self.scale or 1
        low, high = (np.clip(by * end, -LARGEST, LARGEST) for end in (low, high))
        if self.low.dtype == np.int64:
            slack = 1e-6 + 4 * np.spacing(np.maximum(np.abs(low), np.abs(high)))
            low, high = np.ceil(low - slack), np.floor(high + slack)
            low, high = low.astype(np.int64), high.astype(np.int64)
        return np.clip(low, *self.limits), np.clip(high, *self.limits)

    @property
    def narrow(self) -> type[np.floating]:
        """The type of the column's floats."""
        return float_type(self.column)

    @cached_property
    def ticks_per_day(self) -> float:
        """Ticks of a column of dates or spans in a day; 0 for others."""
        if self.column.kind != "datetime":
            return 0.0
        return ticks_per_day(tick_type(self.column.dtype, self.column.cells))

    @cached_property
    def unit(self) -> int:
        """The largest unit of which all values are multiples, if they are whole numbers."""
        steps = [] if self._all_exact else [self.step]
        return int(np.gcd.reduce(np.append(self.low, steps).astype(np.int64))) or 1

    @cached_property
    def step(self) -> int:
        """The step of the whole numbers in bins: the smallest step of their items."""
        inside = ~np.repeat(self.exact, np.diff(self.shares.starts))
        return int(self.steps[inside].min(initial=LARGEST_STEP))

    def zeros(self, values: np.ndarray) -> np.ndarray:
        """Number of trailing zeros of each value in units of `step`; shape of both: (rows,)."""
        return zeros_of(values, self.step, self.narrow)

    @cached_property
    def _by_zeros(self) -> tuple[np.ndarray, np.ndarray]:
        """First and last item for each code and number of trailing zeros, both (codes, 18)."""
        wide = MOST_ZEROS + 1
        of = np.repeat(np.arange(self.width), np.diff(self.shares.starts))
        power = zeros_of_steps(self.steps / self.step)
        key = of * wide + np.minimum(power, MOST_ZEROS)
        starts = np.searchsorted(key, np.arange(self.width * wide + 1))
        first, last = (
            part.reshape(self.width, wide).copy() for part in (starts[:-1], starts[1:] - 1)
        )
        first[:, 0] = np.where(last[:, 0] < first[:, 0], self.shares.starts[:-1], first[:, 0])
        last[:, 0] = np.where(last[:, 0] < first[:, 0], self.shares.starts[1:] - 1, last[:, 0])
        for k in range(1, wide):
            empty = last[:, k] < first[:, k]
            first[:, k] = np.where(empty, first[:, k - 1], first[:, k])
            last[:, k] = np.where(empty, last[:, k - 1], last[:, k])
        return first, last

    @cached_property
    def _all_exact(self) -> bool:
        return bool(self.exact.all())

    @cached_property
    def _places(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Exact values and their codes, lower edges of bins and their codes, each in order."""
        first = self.low[self.shares.starts[:-1]]
        point, edge = np.flatnonzero(self.exact), np.flatnonzero(~self.exact)
        point = point[np.argsort(first[point], kind="stable")]
        edge = edge[np.argsort(first[edge], kind="stable")]
        return first[point], point, first[edge], edge

    @cached_property
    def _level_codes(self) -> np.ndarray:
        """Code of each category; a missing cell (-1) reads the last entry."""
        found = np.full(len(self.column.categories) + 1, -1)
        found[self.low] = np.arange(self.width)
        return found

    # --- the file ---------------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The codes as JSON and arrays, without the column."""
        described = {"missing": self.missing, "rounded": self.rounded, "scale": self.scale}
        arrays = {
            "low": self.low,
            "high": self.high,
            "steps": self.steps,
            "spots": self.spots,
            "starts": self.shares.starts,
            "weights": self.shares.weights,
            "exact": self.exact,
        }
        return described, arrays

    @classmethod
    def from_state(
        cls, column: Column, described: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> Bins:
        """The inverse of `state`."""
        missing, rounded, scale = (described[k] for k in ("missing", "rounded", "scale"))
        if type(missing) is not bool or type(rounded) is not bool or type(scale) is not int:
            raise ValueError(f"missing is {missing!r}, rounded {rounded!r}, scale {scale!r}")
        if column.kind not in ("categorical", "boolean", *NUMBERS):
            raise ValueError(f"kind {column.kind}")
        if scale not in (0, *(10**d for d in range(16))) or (scale and column.kind != "numeric"):
            raise ValueError(f"scale {scale}")
        low, high, exact = arrays["low"], arrays["high"], arrays["exact"]
        floats = column.kind == "numeric" and not scale
        _check_array("low", low, np.float64 if floats else np.int64)
        _check_array("high", high, low.dtype, len(low))
        _check_array("steps", arrays["steps"], np.int64, len(low))
        _check_array("spots", arrays["spots"], np.uint32, len(low))
        _check_array("exact", exact, np.bool_)
        shares = Shares(arrays["starts"], arrays["weights"])
        shares.check(len(exact), len(low))
        if not ((arrays["steps"] >= 1) & (arrays["steps"] < LARGEST_STEP)).all():
            raise ValueError("steps of zero, or too large")
        small = (low > -LARGEST_STEP).all() and (high < LARGEST_STEP).all()
        if rounded and not (floats or small):
            raise ValueError("numbers that are not rounded")
        if floats and not np.isin(arrays["steps"], [10**d for d in range(MOST_ZEROS + 1)]).all():
            raise ValueError("steps that are no power of ten")
        if not 1 <= len(exact) <= MOST_CODES or (low > high).any() or not np.isfinite(low).all():
            raise ValueError("ranges that are empty, infinite or too many")
        if column.kind in LEVELS:
            names = len(column.categories)
            distinct = len(np.unique(low)) == len(low) == len(exact)
            if not (exact.all() and distinct and ((low >= 0) & (low < names)).all()):
                raise ValueError("levels beyond the categories")
        elif (np.diff(shares.starts)[exact] != 1).any() or not np.isfinite(high).all():
            raise ValueError("an exact value with several items")
        kept = low, high, arrays["steps"], arrays["spots"]
        return cls(column, *kept, shares, exact, missing, rounded, scale)


def between(
    low: np.ndarray,
    high: np.ndarray,
    share: np.ndarray,
    steps: np.ndarray,
    narrow: type[np.floating] | None = None,
) -> np.ndarray:
    """``low + share * (high - low)``; whole numbers by multiples of `steps`, without overflow.

    With `narrow`, the type of the column's floats, no value is a multiple of ten steps.
    """
    if low.dtype == np.float64:
        found = np.where(low == high, low, low * (1 - share) + high * share)
        if narrow is None:
            return found
        decimals = UNROUNDED - zeros_of_steps(steps)
        some = np.flatnonzero(low < high)
        rest = decimals[some], low[some], high[some]
        found[some] = with_decimals(found[some], *rest, narrow)
        return found
    by = steps.astype(np.uint64)
    most = (high.view(np.uint64) - low.view(np.uint64)) // by
    wanted = np.floor(share * (most.astype(np.float64) + 1))
    half = np.uint64(2**63)
    far = wanted >= 2.0**63
    found = np.where(far, wanted - 2.0**63, wanted).astype(np.uint64) + np.where(far, half, 0)
    found = np.minimum(found.astype(np.uint64), most)
    values = (low.view(np.uint64) + found * by).view(np.int64)
    if narrow is None:
        return values
    # Of 1 to x, x - x // 10 numbers are not multiples of ten; number k, from 0, is k + k // 9 + 1.
    before, last = low // steps - 1, high // steps
    first, stop = before - before // 10, last - last // 10
    number = first + np.minimum((share * (stop - first)).astype(np.int64), stop - first - 1)
    among = (stop > first) & (low < high)
    return np.where(among, (number + number // 9 + 1) * steps, values)


def _at_a_spot(share: np.ndarray, spots: np.ndarray) -> np.ndarray:
    """Restrict shares to `spots` distinct values, spread irregularly over 0 to 1; 0: unchanged."""
    if not spots.any():
        return share
    number = np.floor(share * spots)
    uneven = np.modf(number * GOLDEN)[0]
    return np.where(spots > 0, (number + uneven) / np.maximum(spots, 1), share)


def _place_of(
    values: np.ndarray, low: np.ndarray, high: np.ndarray, steps: np.ndarray
) -> np.ndarray:
    """Where values lie between `low` and `high`, from 0 to 1, as `between` takes them."""
    first, last = low.astype(np.float64), high.astype(np.float64)
    if low.dtype == np.float64:
        room, above = last - first, values - first
    else:
        room, above = last - first + steps, values - first + steps / 2
    share = np.divide(above, room, out=np.zeros(len(low)), where=room > 0)
    return np.clip(share, 0, np.nextafter(1, 0))


def _raised(low: np.ndarray, floor: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """The smallest values from `floor` on that are `low` plus a multiple of `steps`."""
    if low.dtype == np.float64:
        return np.maximum(low, floor)
    return low - (-np.maximum(floor - low, 0) // steps) * steps


def _check_array(name: str, array: np.ndarray, dtype: Any, length: int | None = None) -> None:
    if array.ndim != 1 or array.dtype != dtype or (length is not None and len(array) != length):
        raise ValueError(f"{name} is {array.dtype} of shape {array.shape}")


def zeros_of(values: np.ndarray, step: int, narrow: type[np.floating]) -> np.ndarray:
    """Number of trailing zeros of each number in units of `step`; 0 for the whole number 0.

    Floats, of type `narrow`, count from their 17th decimal.
    """
    if values.dtype == np.float64:
        return UNROUNDED - count_decimals(values, narrow)
    found = np.zeros(len(values), np.int64)
    for power in range(1, MOST_ZEROS + 1):
        unit = step * 10**power
        if unit >= LARGEST_STEP:
            break
        found[(values % unit == 0) & (values != 0)] = power
    return found


def zeros_of_steps(steps: np.ndarray) -> np.ndarray:
    """Number of zeros of each power of ten."""
    return np.rint(np.log10(np.maximum(steps, 1))).astype(np.int64)


def numbers_of(column: Column, scale: int, series: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Values of a number column, as whole numbers if there is a `scale`, and the missing mask."""
    values, gone = column.numbers(series)
    return (np.rint(values * scale).astype(np.int64) if scale else values), gone
