"""Where rows lie: alpha-precision and beta-recall."""

from __future__ import annotations

import numpy as np

from synthgen.metrics.samples import (
    DRAWS,
    NEIGHBOUR_ROWS,
    Draws,
    half_sampled,
    independent,
    jackknifed,
    some,
)
from synthgen.metrics.score import Score

ALPHAS = np.linspace(0, 1, 31)[1:]
# Pairs of rows at a time; a distance that is only the rounding of products of float64.
PAIRS, ROUNDING = 4_000_000, 1e-5


def support(draws: Draws, seed: np.random.SeedSequence) -> list[Score]:
    """Alpha-precision and beta-recall (Alaa et al. 2022)."""
    rng = np.random.default_rng(seed)
    space = draws.space
    sides = (draws.train, draws.made, draws.fresh)
    rows = min(*map(len, sides), NEIGHBOUR_ROWS)
    real, made = (space.dense(some(rng, cells, rows)) for cells in sides[:2])
    own = nearest_of(real, real, itself=True)[1]
    several = len(draws.fresh) > rows
    fresh = [
        _figures(real, space.dense(some(rng, draws.fresh, rows)), own)
        for _ in range(DRAWS if several else 1)
    ]
    shuffled = space.dense(independent(rng, some(rng, draws.fresh, rows)))
    value, reference = _figures(real, made, own), np.mean(fresh, axis=0)
    # Columns without connections lie as near to the centre as others: no floor of precision.
    floor = _figures(real, shuffled, own)[1] if len(space.columns) > 1 else None
    again = []
    for a, b in zip(half_sampled(rng, rows), half_sampled(rng, rows), strict=True):
        half = real[a]
        again.append(_figures(half, made[b], nearest_of(half, half, itself=True)[1]))
    return [
        jackknifed(
            f"fidelity.{name}",
            draws.group,
            float(value[k]),
            float(reference[k]),
            [float(one[k]) for one in again],
            floor=None if floor is None or not k else float(floor),
            rows=rows,
        )
        for k, name in enumerate(("alpha_precision", "beta_recall"))
    ]


def _figures(real: np.ndarray, other: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Both of them; `own` is how far each real row is from the next one."""
    # NOTE[DIFF]: the centre is the mean in the standardised columns, not in an embedding that
    # was trained to be a ball.
    center, own_center = real.mean(axis=0), other.mean(axis=0)
    radii = np.quantile(np.linalg.norm(real - center, axis=1), ALPHAS)
    within = np.linalg.norm(other - center, axis=1)[:, None] <= radii
    place, far = nearest_of(real, other)
    reach = np.linalg.norm(other[place] - own_center, axis=1)
    covered = (far <= own + 1e-6)[:, None] & (reach[:, None] <= np.quantile(reach, ALPHAS))
    return np.array([_along(flags.mean(axis=0)) for flags in (within, covered)])


def nearest_of(
    rows: np.ndarray, others: np.ndarray, *, itself: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Place of, and distance to, the nearest of `others`; both of shape (rows,).

    Args:
        rows: Shape (rows, dimensions).
        others: Shape (others, dimensions).
        itself: Both are the same rows, and none is its own neighbour.
    """
    one, two = rows.astype(np.float64), others.astype(np.float64)
    size = (two * two).sum(axis=1)
    place, square = np.empty(len(one), dtype=np.int64), np.empty(len(one))
    step = max(1, PAIRS // max(1, len(two)))
    for start in range(0, len(one), step):
        part = one[start : start + step]
        far = size - 2 * part @ two.T
        if itself:
            far[np.arange(len(part)), start + np.arange(len(part))] = np.inf
        nearest = far.argmin(axis=1)
        place[start : start + step] = nearest
        square[start : start + step] = far[np.arange(len(part)), nearest] + (part * part).sum(1)
    distance = np.sqrt(np.maximum(square, 0))
    return place, np.where(distance < ROUNDING, 0.0, distance)


def _along(shares: np.ndarray) -> float:
    """1 where the shares are those that were asked for, 0 where they are all 0."""
    return float(1 - np.abs(shares - ALPHAS).sum() / ALPHAS.sum())
