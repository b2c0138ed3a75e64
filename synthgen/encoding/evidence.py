"""Evidence for rules: whether the rows show that columns are related, or chance explains it.

Rules (`synthgen.encoding.rules`) and sequential trees accept a relation between columns by the same
tests: independent columns would be expected to break it in at least `CHANCE` rows, or would satisfy
it with a probability below exp(-`CHANCE`).
"""

from __future__ import annotations

from itertools import product

import numpy as np

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
) -> tuple[list[int], np.ndarray, float] | None:
    """Express a column as a weighted sum of other columns, with the fewest digits."""
    if max(np.abs(X).max(initial=0), np.abs(wanted).max(initial=0)) > GREATEST:
        return None
    inputs, part = list(range(X.shape[1])), wanted[probe]
    weights = np.zeros(0)
    cents = np.zeros(X.shape[1]) if cents is None else cents
    slack = 2 * (unit or max((u for u in cents if u < 1), default=0.0)) + 1e-9 * float(
        np.abs(wanted).max(initial=0)
    )
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
        if not apart(chosen @ tried + constant, wanted, unit).any():
            return inputs, tried, constant
    return None


def _rounded(weight: float, digits: int, is_divisor: bool) -> float:
    """A weight of few digits, or 1 divided by a number of few digits."""
    return 1 / _rounded(1 / weight, digits, False) if is_divisor else float(f"{weight:.{digits}g}")


def rounding(unit: float, cents: np.ndarray) -> float:
    """The unit of a sum: `unit` if not 0, else the largest of `cents` if all parts are decimals."""
    return unit or (float(cents.max()) if cents.all() and (cents < 1).all() else 0.0)


def apart(made: np.ndarray, wanted: np.ndarray, unit: float) -> np.ndarray:
    """Where both numbers are present and differ by more than rounding."""
    with np.errstate(invalid="ignore", over="ignore"):
        size = np.maximum(np.abs(made), np.abs(wanted))
        return np.abs(made - wanted) > np.maximum(unit * 0.4999999, 1e-9 * size)
