"""Confidence intervals of shares."""

from __future__ import annotations

import math

from scipy.special import ndtri

CONFIDENCE = 0.95


def wilson(share: float, rows: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The Wilson interval of a share (Wilson 1927), which has a width at 0 and 1 as well.

    Args:
        share: Between 0 and 1.
        rows: Number of rows; not necessarily whole, as for a mean of several counts.
        confidence: Probability that the interval holds the true share.

    Returns:
        Its lower and upper end; `share` lies between them.

    Example:
        >>> [round(end, 3) for end in wilson(0, 10)]
        [0.0, 0.278]
    """
    z = float(ndtri((1 + confidence) / 2))
    middle = share + z * z / (2 * rows)
    half = z * math.sqrt(share * (1 - share) / rows + (z / (2 * rows)) ** 2)
    low, high = ((middle + side * half) / (1 + z * z / rows) for side in (-1, 1))
    # At 0 and 1 one end equals the share; rounding must not put it beyond.
    return max(0.0, min(share, low)), min(1.0, max(share, high))
