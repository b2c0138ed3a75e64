"""Statistics for choosing among many candidates by cross-validation.

Scores of splits are correlated, because training parts overlap, and the best of many candidates
looks better than it is. So differences are paired by split, their variance is corrected (Nadeau &
Bengio 2003), intervals hold for all candidates at once, and a gain must exceed a margin.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from synthgen.errors import UsageError

MARGIN = 0.01  # a gain below this does not matter
CONFIDENCE = 0.95
_DRAWS = 4_000  # with these, the quantile of the maximum is accurate to 0.01

HELPS = "helps"
NO_GAIN = "no worthwhile gain"
UNCLEAR = "not enough data to tell"


@dataclass(frozen=True)
class Difference:
    """How much a candidate beats the reference, over all splits.

    Attributes:
        mean: Mean of the paired differences.
        error: Its corrected standard error.
        low, high: Confidence interval that holds for all candidates of the call at once. It does
            not go beyond the range of the scores.
    """

    mean: float
    error: float
    low: float
    high: float

    @property
    def interval(self) -> tuple[float, float]:
        """The pair (low, high)."""
        return self.low, self.high


@dataclass(frozen=True)
class Outcome:
    """The conclusion from all differences.

    Attributes:
        outcome: `HELPS`, `NO_GAIN` or `UNCLEAR`.
        best: Position of the candidate that it is about. For `HELPS`, the simplest candidate that
            helps and is within one error of the best; otherwise the best on average.
    """

    outcome: str
    best: int


def corrected(differences: np.ndarray, ratio: float) -> tuple[np.ndarray, np.ndarray]:
    """Compute mean and corrected standard error of paired differences (Nadeau & Bengio 2003).

    The variance of the mean of J splits is s²(1/J + n_test/n_train); the second term accounts for
    the rows that training parts share. If all differences are equal and not 0, the error is that of
    one more split with difference 0, since it would otherwise be 0.
    """
    differences = np.atleast_2d(differences)
    splits = differences.shape[1]
    if splits < 2:
        raise UsageError(223, "one split gives no standard error: use at least 2 folds or repeats")
    mean = differences.mean(axis=1)
    variance = differences.var(axis=1, ddof=1)
    same = np.ptp(differences, axis=1) <= 1e-12 * (1 + np.abs(mean))
    variance = np.where(same, mean**2 / (splits + 1), variance)
    return mean, np.sqrt(variance * (1 / splits + ratio))


def compare_to(
    scores: np.ndarray,
    reference: np.ndarray,
    *,
    ratio: float,
    confidence: float = CONFIDENCE,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> list[Difference]:
    """Compute the differences of all candidates to the reference, with simultaneous intervals.

    The intervals come from the largest |t| of the candidates, under a multivariate t distribution
    with J − 1 degrees of freedom. Its correlation is that of the differences, shrunk towards 0,
    because few splits overestimate it. It is simulated with the same draws each time.
    """
    differences = np.atleast_2d(scores) - reference
    mean, error = corrected(differences, ratio)
    half = error * critical_value(differences, confidence)
    low, high = mean - half, mean + half
    worst, best = bounds
    if math.isfinite(best):
        high = np.maximum(np.minimum(high, _most(best - reference, ratio, best - worst)), mean)
    if math.isfinite(worst):
        low = np.minimum(np.maximum(low, -_most(reference - worst, ratio, best - worst)), mean)
    return [Difference(*map(float, found)) for found in zip(mean, error, low, high, strict=True)]


def _most(room: np.ndarray, ratio: float, most: float) -> float:
    """Upper confidence bound on the remaining headroom, at most `most`."""
    ((mean,), (error,)) = corrected(room[None], ratio)
    return min(float(mean + student.ppf((1 + CONFIDENCE) / 2, len(room) - 1) * error), most)


def critical_value(differences: np.ndarray, confidence: float = CONFIDENCE) -> float:
    """Compute the half-width of simultaneous intervals, in units of the corrected error."""
    splits = differences.shape[1]
    free = splits - 1
    moving = differences[np.ptp(differences, axis=1) > 1e-12]
    if len(moving) < 2:
        return float(student.ppf((1 + confidence) / 2, free))
    # The amount of shrinkage follows from the noise of the correlations (Schäfer & Strimmer 2005).
    z = moving - moving.mean(axis=1, keepdims=True)
    z /= np.sqrt((z**2).mean(axis=1, keepdims=True))
    products = z[:, None, :] * z[None, :, :]
    correlation = products.mean(axis=2)
    apart = ~np.eye(len(z), dtype=bool)
    noise = products.var(axis=2, ddof=1)[apart].sum() / splits
    strength = (correlation[apart] ** 2).sum()
    shrinkage = float(np.clip(noise / strength, 0, 1)) if strength > 0 else 1.0
    if splits < 3:  # with two splits every correlation is 1 or −1, whatever the candidates
        shrinkage = 1.0
    correlation = (1 - shrinkage) * correlation + shrinkage * np.eye(len(z))
    # Unlike a Cholesky factor, this square root exists for a correlation without full rank.
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(values.clip(0))
    draws = _normal(splits * _DRAWS, len(z)) @ np.ascontiguousarray(root.T, dtype=np.float32)
    draws = draws.reshape(splits, _DRAWS, len(z))
    squares = np.einsum("jdc,jdc->dc", draws[1:], draws[1:])
    largest = np.abs(draws[0] / np.sqrt(squares / free)).max(axis=1)
    return float(np.quantile(largest, confidence))


@functools.lru_cache(maxsize=2)
def _normal(rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(2003).standard_normal((rows, columns), dtype=np.float32)


def choose(scores: np.ndarray, *, ratio: float, order: Sequence[int] | None = None) -> int:
    """Choose the simplest candidate within one error of the best (Breiman et al. 1984)."""
    means = scores.mean(axis=1)
    best = int(np.argmax(means))
    behind, error = corrected(scores[best] - scores, ratio)
    near = np.flatnonzero(behind <= error + 1e-12)
    place = list(range(len(scores))) if order is None else list(order)
    return int(min(near.tolist(), key=lambda i: (place[i], -means[i])))


def verdict(
    scores: np.ndarray,
    reference: np.ndarray,
    *,
    ratio: float,
    margin: float = MARGIN,
    confidence: float = CONFIDENCE,
    bounds: tuple[float, float] = (-math.inf, math.inf),
    order: Sequence[int] | None = None,
) -> tuple[Outcome, list[Difference]]:
    """Decide whether any candidate beats the reference.

    `HELPS`: the lower bound of a candidate is above 0. `NO_GAIN`: the upper bounds of all are below
    the margin. Otherwise `UNCLEAR`.
    """
    scores = np.atleast_2d(scores)
    if not len(scores):
        return Outcome(NO_GAIN, -1), []
    found = compare_to(scores, reference, ratio=ratio, confidence=confidence, bounds=bounds)
    helping = [i for i, d in enumerate(found) if d.low > 0]
    if helping:
        own = None if order is None else [order[i] for i in helping]
        return Outcome(HELPS, helping[choose(scores[helping], ratio=ratio, order=own)]), found
    best = int(np.argmax([d.mean for d in found]))
    if all(d.high < margin for d in found):
        return Outcome(NO_GAIN, best), found
    return Outcome(UNCLEAR, best), found
