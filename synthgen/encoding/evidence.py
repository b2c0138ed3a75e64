"""Evidence for rules: whether the rows show that columns are related, or chance explains it.

Rules (`synthgen.encoding.rules`) and sequential trees accept a relation between columns by the same
tests: independent columns would be expected to break it in at least `CHANCE` rows, or would satisfy
it with a probability below exp(-`CHANCE`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from pandas.api import types as pdt

from synthgen.tables.dtypes import numpy_type

# Rows that are tested first, because most rules fail there, and the fewest rows that are tested.
PROBE, FEWEST = 2_000, 50
CHANCE = 30.0
ROWS_PER_VALUE = 20  # one column decides another only with this many rows per value on average
# Numbers of digits with which weights are tried; a column that contributes less than this share of
# the standard deviation is noise.
DIGITS, NOISE = (1, 2, 3, 4, 6), 1e-3
# A date is another one plus a span if both agree to this share of its unit; so a span that was
# rounded does not count.
EXACT = 0.02
GREATEST = 1e100  # the squares of larger numbers could overflow


def decides(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether rows with the same code in one column also have the same code in the other."""
    first = np.zeros(int(one.max(initial=0)) + 1, other.dtype)
    first[one] = other
    return bool((first[one] == other).all())


def may_decide(values: int, rows: int) -> bool:
    """Whether a column with this many values has enough rows per value to decide another one."""
    return values >= 2 and values * ROWS_PER_VALUE <= rows


def is_surprising(repeats: int, codes: np.ndarray) -> bool:
    """Whether it is unlikely that `repeats` rows all have their predicted code by chance."""
    shares = np.bincount(codes) / len(codes)
    return bool(-np.log((shares**2).sum()) * repeats >= CHANCE)


def never_below(one: np.ndarray, other: np.ndarray, probe: np.ndarray, rows: int) -> bool:
    """Whether one column of numbers is never below the other, and not by chance."""
    first, second = one[probe], other[probe]
    if (first < second).any():
        return False
    by_chance = (first < np.roll(second, 1)).mean() * rows
    return bool(by_chance >= CHANCE and not (one < other).any())


def weighted_sum(
    X: np.ndarray,
    wanted: np.ndarray,
    probe: np.ndarray,
    unit: float,
    cents: np.ndarray | None = None,
    dtypes: Sequence[Any] | None = None,
) -> tuple[list[int], np.ndarray, float] | None:
    """Express a column as a weighted sum of other columns, with the fewest digits.

    With `dtypes`, those of `X` and then of `wanted`, a sum counts only if columns of these dtypes
    hold it to the last of their decimals, so that new rows can keep it.
    """
    if max(np.abs(X).max(initial=0), np.abs(wanted).max(initial=0)) > GREATEST:
        return None
    inputs, part = list(range(X.shape[1])), wanted[probe]
    weights = np.zeros(0)
    cents = np.zeros(X.shape[1]) if cents is None else cents
    slack = 2 * (unit or max((u for u in cents if u < 1), default=0.0)) + 1e-9 * float(
        np.abs(wanted).max(initial=0)
    )
    own = unit
    for _ in range(2):  # with all columns, then with those that contribute
        if not inputs or len(probe) < len(inputs) + FEWEST:
            return None
        some = X[probe][:, inputs]
        centre, spread = some.mean(0), some.std(0)
        spread[spread == 0] = 1.0
        scaled = (some - centre) / spread
        found = np.linalg.lstsq(scaled, part - part.mean(), rcond=1e-10)[0]
        if np.abs(scaled @ found + part.mean() - part).max() > slack:
            return None
        counts = np.abs(found) > NOISE * part.std()
        weights = (found / spread)[counts]
        inputs = [k for k, keep in zip(inputs, counts, strict=True) if keep]
    if not inputs:
        return None
    chosen = X[:, inputs]
    unit = rounding(unit, cents[inputs])
    for digits, is_divisor in product(DIGITS, (False, True)):
        tried = np.array([_rounded(w, digits, is_divisor) for w in weights])
        constant = float(f"{np.median(wanted - chosen @ tried):.{digits + 3}g}")
        if abs(constant) <= 1e-12 * np.abs(wanted).max():  # noise of float64
            constant = 0.0
        if dtypes is not None:
            held = [dtypes[k] for k in (*inputs, -1)]
            if not _can_be_kept(chosen, wanted, tried, constant, (own, unit), held):
                continue
        if not apart(chosen @ tried + constant, wanted, unit, strict=dtypes is not None).any():
            return inputs, tried, constant
    return None


def _can_be_kept(
    X: np.ndarray,
    wanted: np.ndarray,
    weights: np.ndarray,
    constant: float,
    units: tuple[float, float],
    dtypes: Sequence[Any],
) -> bool:
    """Whether a weighted sum survives the rounding of its columns, the last one `wanted`."""
    own, unit = units
    sizes = [*np.abs(X).max(axis=0, initial=0), float(np.abs(wanted).max(initial=0))]
    if not unit:
        scaled = len(weights) == 1 and not constant and np.frexp(abs(weights[0]))[0] == 0.5
        return not is_narrow(dtypes[-1]) or scaled
    error = 0.0
    for size, weight, dtype in zip(sizes, [*np.abs(weights), 1.0], dtypes, strict=True):
        digits = np.finfo(numpy_type(dtype)).nmant + 1 if is_narrow(dtype) else 53
        is_whole = own >= 1 and size < 2.0**digits
        error += weight * size * (2.0**-53 if is_whole else 2.0**-digits)
    return error <= unit / 4


def is_narrow(dtype: Any) -> bool:
    """Whether a dtype is a float of fewer digits than float64."""
    return pdt.is_float_dtype(dtype) and numpy_type(dtype).itemsize < 8


def _rounded(weight: float, digits: int, is_divisor: bool) -> float:
    """A weight of few digits, or 1 divided by a number of few digits."""
    return 1 / _rounded(1 / weight, digits, False) if is_divisor else float(f"{weight:.{digits}g}")


def rounding(unit: float, cents: np.ndarray) -> float:
    """The unit of a sum: `unit` if not 0, else the largest of `cents` if all parts are decimals."""
    return unit or (float(cents.max()) if cents.all() and (cents < 1).all() else 0.0)


def apart(made: np.ndarray, wanted: np.ndarray, unit: float, *, strict: bool = False) -> np.ndarray:
    """Where both numbers are present and differ by more than rounding; `strict`: to the unit."""
    if strict and unit:
        return np.abs(made - wanted) > unit * 0.4999999
    with np.errstate(invalid="ignore", over="ignore"):
        size = np.maximum(np.abs(made), np.abs(wanted))
        return np.abs(made - wanted) > np.maximum(unit * 0.4999999, 1e-9 * size)
