"""Alpha-precision and beta-recall: whether rows lie among real rows, and cover all of them."""

from __future__ import annotations

import numpy as np
from sklearn.neighbors import NearestNeighbors

from synthgen.metrics.samples import (
    DRAWS,
    TEST_ROWS,
    Samples,
    half_sampled,
    independent,
    jackknifed,
    some,
)
from synthgen.metrics.score import Score

ALPHAS = np.linspace(0, 1, 31)[1:]
ROUNDING = 1e-5  # smaller distances are rounding errors of matrix products


def manifold_scores(draws: Samples, seed: np.random.SeedSequence) -> list[Score]:
    """Compute the scores alpha-precision and beta-recall (Alaa et al. 2022)."""
    rng = np.random.default_rng(seed)
    matrix = draws.matrix
    sides = (draws.train, draws.made, draws.fresh)
    rows = min(*map(len, sides), TEST_ROWS)
    real, made = (matrix.dense(some(rng, cells, rows)) for cells in sides[:2])
    own = nearest_of(real)[1]
    several = len(draws.fresh) > rows
    fresh = [
        _figures(real, matrix.dense(some(rng, draws.fresh, rows)), own)
        for _ in range(DRAWS if several else 1)
    ]
    shuffled = matrix.dense(independent(rng, some(rng, draws.fresh, rows)))
    value, reference = _figures(real, made, own), np.mean(fresh, axis=0)
    # Independent columns are as close to the centre as real rows, so precision has no floor.
    floor = _figures(real, shuffled, own)[1] if len(matrix.columns) > 1 else None
    again = []
    for a, b in zip(half_sampled(rng, rows), half_sampled(rng, rows), strict=True):
        half = real[a]
        again.append(_figures(half, made[b], nearest_of(half)[1]))
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
    """Compute both scores; `own` is each real row's distance to its nearest real neighbour."""
    # NOTE[DIFF]: the centre is the mean in the standardised columns, not in an embedding that
    # was trained to be a ball.
    center, own_center = real.mean(axis=0), other.mean(axis=0)
    radii = np.quantile(np.linalg.norm(real - center, axis=1), ALPHAS)
    within = np.linalg.norm(other - center, axis=1)[:, None] <= radii
    place, far = nearest_of(real, other)
    reach = np.linalg.norm(other[place] - own_center, axis=1)
    covered = (far <= own + 1e-6)[:, None] & (reach[:, None] <= np.quantile(reach, ALPHAS))
    return np.array([_along(flags.mean(axis=0)) for flags in (within, covered)])


def nearest_of(rows: np.ndarray, others: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest neighbour of each row."""
    where = rows if others is None else others
    if others is None and len(rows) < 2:
        return np.zeros(len(rows), dtype=np.int64), np.full(len(rows), np.inf)
    neighbours = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(where.astype(np.float64))
    asked = None if others is None else rows.astype(np.float64)
    distance, place = (found[:, 0] for found in neighbours.kneighbors(asked))
    return place, np.where(distance < ROUNDING, 0.0, distance)


def _along(shares: np.ndarray) -> float:
    """Score how close the shares are to `ALPHAS`: 1 if they are equal, 0 if all shares are 0."""
    return float(1 - np.abs(shares - ALPHAS).sum() / ALPHAS.sum())
