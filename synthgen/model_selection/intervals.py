"""TODO docstring."""

from __future__ import annotations

import math

from scipy.special import ndtri

CONFIDENCE = 0.95


def wilson(hits: int, rows: int, confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """A share and its interval (Wilson 1927).

    Example:
        >>> [round(limit, 3) for limit in wilson(0, 10)]
        [0.0, 0.0, 0.278]
    """
    z, share = float(ndtri((1 + confidence) / 2)), hits / rows
    middle = share + z * z / (2 * rows)
    half = z * math.sqrt(share * (1 - share) / rows + (z / (2 * rows)) ** 2)
    low, high = ((middle + side * half) / (1 + z * z / rows) for side in (-1, 1))
    return share, max(0.0, min(share, low)), min(1.0, max(share, high))
