"""Differential privacy: zCDP budgets, exact discrete Gaussian noise, the exponential mechanism.

All random numbers come from the operating system, never from a seed: whoever knows a seed can
subtract the noise.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from fractions import Fraction
from statistics import NormalDist

import numpy as np

# A source of randomness: returns a uniform whole number from 0 to n - 1.
RandBelow = Callable[[int], int]
BITS, BLOCK = 63, 1 << 16


class Entropy:
    """Uniform whole numbers from the operating system's entropy, which is read in blocks.

    `secrets.randbelow` gives the same numbers, but asks the system for each of them.
    """

    def __init__(self) -> None:
        self._block, self._used = b"", 0

    def __call__(self, below: int) -> int:
        """A uniform whole number from 0 to ``below - 1``."""
        bits = (below - 1).bit_length()
        width = (bits + 7) // 8
        while True:
            if self._used + width > len(self._block):
                self._block, self._used = os.urandom(max(BLOCK, width)), 0
            drawn = self._block[self._used : self._used + width]
            self._used += width
            value = int.from_bytes(drawn, "little") >> (8 * width - bits)
            if value < below:
                return value


# --- budgets --------------------------------------------------------------------------------------


def delta_of(rho: float, epsilon: float) -> float:
    """The delta with which a rho-zCDP mechanism is (epsilon, delta)-differentially private.

    Canonne, Kamath & Steinke (2020), "The Discrete Gaussian for Differential Privacy", Prop. 12:
    the smallest of ``exp((a - 1) (a rho - epsilon)) / (a - 1) * (1 - 1 / a)^a`` over a > 1. Every
    a gives a valid bound, so an inexact minimum is safe.
    """
    if rho <= 0:
        return 0.0
    low, high = 1.01, (epsilon + 1) / (2 * rho) + 2
    for _ in range(90):
        order = (low + high) / 2
        if (2 * order - 1) * rho - epsilon + math.log1p(-1 / order) < 0:
            low = order
        else:
            high = order
    exponent = (high - 1) * (high * rho - epsilon) + high * math.log1p(-1 / high)
    return math.exp(min(0.0, exponent - math.log(high - 1)))


def rho_of(epsilon: float, delta: float) -> float:
    """The largest zCDP budget that implies (epsilon, delta)-differential privacy."""
    low, high = 0.0, epsilon + 1.0
    for _ in range(90):
        rho = (low + high) / 2
        if delta_of(rho, epsilon) <= delta:
            low = rho
        else:
            high = rho
    return low


def variance_of(rho: float) -> Fraction:
    """Variance of the noise of a count that costs `rho`, rounded up."""
    return Fraction(math.ceil(1024 * Fraction(1) / (2 * Fraction(rho))), 1024)


def threshold(variance: Fraction, delta: float) -> int:
    """The noisy count that a level of a single row exceeds with a probability of at most `delta`.

    The tail of the discrete Gaussian from t on is at most that of the Gaussian from t - 1 on
    (Canonne et al. 2020, Prop. 25).
    """
    return 1 + math.ceil(math.sqrt(variance) * -NormalDist().inv_cdf(delta))


# --- mechanisms -----------------------------------------------------------------------------------


def noisy(counts: np.ndarray, variance: Fraction, randbelow: RandBelow) -> np.ndarray:
    """Whole counts with discrete Gaussian noise, int64 of the same shape.

    If one row changes one count by 1, this costs ``1 / (2 variance)`` in zCDP (Canonne et al. 2020,
    Theorem 4).
    """
    noise = [discrete_gaussian(variance, randbelow) for _ in range(counts.size)]
    return counts.astype(np.int64) + np.array(noise, dtype=np.int64).reshape(counts.shape)


def chosen(log_weights: np.ndarray, randbelow: RandBelow) -> int:
    """A position, drawn with probabilities proportional to ``exp(log_weights)``.

    With ``log_weights = epsilon * score / (2 * sensitivity)`` this is the exponential mechanism,
    which costs ``epsilon^2 / 8`` in zCDP (Cesar & Rogers 2021).
    """
    weights = np.cumsum(np.exp(log_weights - log_weights.max()), dtype=np.longdouble)
    place = np.longdouble(randbelow(2**BITS)) / np.longdouble(2.0**BITS) * weights[-1]
    return int(min(np.searchsorted(weights, place, side="right"), len(weights) - 1))


def discrete_gaussian(variance: Fraction, randbelow: RandBelow) -> int:
    """A whole number x with probability proportional to ``exp(-x^2 / (2 variance))``.

    Algorithm 3 of Canonne, Kamath & Steinke (2020): exact, in whole numbers only, so that no
    rounding of floats gives the count away (Mironov 2012).
    """
    above, below = variance.numerator, variance.denominator
    scale = math.isqrt(above // below) + 1
    part = below * scale
    while True:
        x = _discrete_laplace(scale, randbelow)
        # (|x| - variance / scale)^2 / (2 variance), as a fraction
        if _bernoulli_exp((abs(x) * part - above) ** 2, 2 * above * part * scale, randbelow):
            return x


def _discrete_laplace(scale: int, randbelow: RandBelow) -> int:
    """A whole number x with probability proportional to ``exp(-|x| / scale)`` (Algorithm 2)."""
    while True:
        remainder = randbelow(scale)
        if not _bernoulli_exp(remainder, scale, randbelow):
            continue
        whole = 0
        while _bernoulli_exp(1, 1, randbelow):
            whole += 1
        size, negative = remainder + scale * whole, randbelow(2)
        if size or not negative:
            return -size if negative else size


def _bernoulli_exp(above: int, below: int, randbelow: RandBelow) -> bool:
    """True with probability ``exp(-above / below)`` (Algorithm 1)."""
    while above > below:
        if not _bernoulli_exp(1, 1, randbelow):
            return False
        above -= below
    k = 1
    while randbelow(below * k) < above:
        k += 1
    return k % 2 == 1
