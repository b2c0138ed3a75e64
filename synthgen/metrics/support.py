"""Where rows lie: alpha-precision and beta-recall."""

from __future__ import annotations

import numpy as np

from synthgen.metrics.samples import NEIGHBOUR_ROWS, REPLICATES, Draws, independent, some
from synthgen.metrics.score import Score

ALPHAS = np.linspace(0, 1, 31)[1:]


def support(draws: Draws, seed: np.random.SeedSequence) -> list[Score]:
    """Alpha-precision and beta-recall (Alaa et al. 2022)."""
    rng = np.random.default_rng(seed)
    space = draws.space
    rows = min(len(draws.train), len(draws.made), len(draws.fresh), NEIGHBOUR_ROWS)
    real, made, fresh = (
        space.dense(some(rng, c, rows)) for c in (draws.train, draws.made, draws.fresh)
    )
    shuffled = space.dense(independent(rng, some(rng, draws.train, rows)))
    step = max(1, 4_000_000 // max(1, rows))
    own = np.concatenate(
        [_nearest(real[i : i + step], real, skip=i)[1] for i in range(0, rows, step)]
    )
    picks = rng.integers(rows, size=(REPLICATES, rows))

    def figures(
        other: np.ndarray, intervals: bool
    ) -> list[tuple[float, tuple[float, float] | None]]:
        # NOTE[DIFF]: the centre is the mean in the standardised columns, not in an embedding that
        # was trained to be a ball.
        center, own_center = real.mean(axis=0), other.mean(axis=0)
        radii = np.quantile(np.linalg.norm(real - center, axis=1), ALPHAS)
        within = np.linalg.norm(other - center, axis=1)[:, None] <= radii
        found = [_nearest(real[i : i + step], other) for i in range(0, rows, step)]
        index = np.concatenate([f[0] for f in found])
        far = np.concatenate([f[1] for f in found])
        reach = np.linalg.norm(other[index] - own_center, axis=1)
        covered = (far <= own + 1e-6)[:, None] & (reach[:, None] <= np.quantile(reach, ALPHAS))
        out: list[tuple[float, tuple[float, float] | None]] = []
        for flags in (within, covered):
            value = _along(flags.mean(axis=0))
            interval = None
            if intervals:
                again = [_along(flags[pick].mean(axis=0)) for pick in picks]
                low, high = np.quantile(again, [0.025, 0.975])
                interval = (min(value, float(low)), max(value, float(high)))
            out.append((value, interval))
        return out

    values, null, bottom = figures(made, True), figures(fresh, False), figures(shuffled, False)
    return [
        Score(f"fidelity.{name}", draws.group, value[0], ref[0], "higher", value[1], floor[0])
        for name, value, ref, floor in zip(
            ("alpha_precision", "beta_recall"), values, null, bottom, strict=True
        )
    ]


def _nearest(
    rows: np.ndarray, others: np.ndarray, skip: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Position of and distance to the nearest of `others`; `skip`: the rows are others from there
    on, and none is its own neighbour.
    """
    one, two = rows.astype(np.float64), others.astype(np.float64)
    far = (one * one).sum(axis=1)[:, None] + (two * two).sum(axis=1) - 2 * one @ two.T
    if skip is not None:
        far[np.arange(len(rows)), skip + np.arange(len(rows))] = np.inf
    index = far.argmin(axis=1)
    return index, np.sqrt(np.maximum(far[np.arange(len(rows)), index], 0))


def _along(shares: np.ndarray) -> float:
    """1 where the shares are those that were asked for, 0 where they are all 0."""
    return float(1 - np.abs(shares - ALPHAS).sum() / ALPHAS.sum())
