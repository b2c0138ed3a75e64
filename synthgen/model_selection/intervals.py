"""Confidence intervals of shares."""

from __future__ import annotations

import math

from scipy.special import ndtri

CONFIDENCE = 0.95


def wilson(share: float, rows: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Compute the Wilson interval of a share (Wilson 1927), which has a width even at 0 and 1."""
    z = float(ndtri((1 + confidence) / 2))
    middle = share + z * z / (2 * rows)
    half = z * math.sqrt(share * (1 - share) / rows + (z / (2 * rows)) ** 2)
    low, high = ((middle + side * half) / (1 + z * z / rows) for side in (-1, 1))
    # At 0 and 1 one end equals the share; rounding errors must not move it beyond.
    return max(0.0, min(share, low)), min(1.0, max(share, high))
