"""Evidence for rules: whether rows show that columns are tied, or whether chance would do so.

Rules (`synthgen.encoding.rules`) and sequential trees believe in a tie between columns by the same
tests. Columns without connection would break it in `CHANCE` rows or more, or keep it with odds
below exp(-`CHANCE`).
"""

from __future__ import annotations

import numpy as np

# Rows that are looked at first, since most rules fail there, and the fewest that show anything.
PROBE, FEWEST = 2_000, 50
CHANCE = 30.0
ROWS_PER_VALUE = 20  # one column decides another only if each value has so many rows on average
# Weights are tried with so many digits; a part of less than this share of the spread is noise.
DIGITS, NOISE = (1, 2, 3, 4, 6), 1e-3
GREATEST = 1e100  # beyond it squares overflow


def decides(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether rows with the same code in one column have the same in the other.

    Args:
        one, other: Codes of shape (rows,), int from 0.
    """
    first = np.zeros(int(one.max(initial=0)) + 1, other.dtype)
    first[one] = other
    return bool((first[one] == other).all())


def may_decide(values: int, rows: int) -> bool:
    """Whether a column of so many values has enough rows of each to decide another."""
    return values >= 2 and values * ROWS_PER_VALUE <= rows


def is_surprising(repeats: int, codes: np.ndarray) -> bool:
    """Whether `repeats` rows would hardly all have, by chance, the code that is predicted."""
    shares = np.bincount(codes) / len(codes)
    return bool(-np.log((shares**2).sum()) * repeats >= CHANCE)


def never_below(one: np.ndarray, other: np.ndarray, probe: np.ndarray, rows: int) -> bool:
    """Whether one column of numbers is never below the other, and not by chance.

    Args:
        one, other: Numbers of shape (rows,), NaN where missing.
        probe: Positions that are looked at first, in which none is missing.
        rows: Rows of all in which none is missing.
    """
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
) -> tuple[list[int], np.ndarray, float] | None:
    """The weighted sum of numbers that a number is, with the fewest digits.

    Args:
        X: Numbers of shape (rows, columns), none missing.
        wanted: The number, shape (rows,), none missing.
        probe: Positions that are looked at first.
        unit: What `wanted` is rounded to; 0: not rounded.
        cents: What each of `X` is rounded to, shape (columns,); 0: not rounded. What is not rounded
            may be the sum of numbers that are rounded to decimals. None: it may not.

    Returns:
        The columns that count, their weights, and the constant; None: it is no such sum.

    Example:
        >>> a, b = np.random.default_rng(0).integers(1, 99, (2, 300)).astype(float)
        >>> weighted_sum(np.stack([a, b], 1), 2 * a - b + 5, np.arange(300), 1.0)
        ([0, 1], array([ 2., -1.]), 5.0)
    """
    if max(np.abs(X).max(initial=0), np.abs(wanted).max(initial=0)) > GREATEST:
        return None
    inputs, part = list(range(X.shape[1])), wanted[probe]
    weights = np.zeros(0)
    cents = np.zeros(X.shape[1]) if cents is None else cents
    slack = 2 * (unit or max((u for u in cents if u < 1), default=0.0)) + 1e-9 * float(
        np.abs(wanted).max(initial=0)
    )
    for _ in range(2):  # with all columns, then with those that count
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
    for digits in DIGITS:
        tried = np.array([float(f"{w:.{digits}g}") for w in weights])
        constant = float(f"{np.median(wanted - chosen @ tried):.{digits + 3}g}")
        if not apart(chosen @ tried + constant, wanted, unit).any():
            return inputs, tried, constant
    return None


def rounding(unit: float, cents: np.ndarray) -> float:
    """What a sum is rounded to: as it says itself, or as all its parts are, if to decimals."""
    return unit or (float(cents.max()) if cents.all() and (cents < 1).all() else 0.0)


def apart(made: np.ndarray, wanted: np.ndarray, unit: float) -> np.ndarray:
    """Where both are there and differ by more than rounding."""
    with np.errstate(invalid="ignore", over="ignore"):
        size = np.maximum(np.abs(made), np.abs(wanted))
        return np.abs(made - wanted) > np.maximum(unit * 0.4999999, 1e-9 * size)
