"""Figures of row clouds: contours of the main column pairs, and all columns on two axes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import combinations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy.ndimage import gaussian_filter
from sklearn.decomposition import PCA

from synthgen.encoding.matrix import Matrix
from synthgen.report.figures import INK, MADE, REAL, THIRD, Figures, short, value_text
from synthgen.report.template import clean
from synthgen.tables.column import NUMBERS
from synthgen.tables.table import Table

# Pairs to draw, points and rows of each set, grid cells per axis, and columns to choose pairs from.
PAIRS, POINTS, ROWS, GRID, MOST_COLUMNS = 4, 250, 5_000, 48, 30
GREATEST = 1e100  # the squares of larger numbers could overflow
FEWEST = 30  # smallest number of rows with both cells of a pair
WITHIN = (0.5, 0.9)  # shares of the rows that the contours enclose
APART = 0.15  # least distance of two ticks with text, as a share of the axis
COLOURS = (REAL, MADE, THIRD)


def clouds(train: Table, frames: Sequence[pd.DataFrame], figures: Figures) -> list[dict[str, str]]:
    """Figures that compare two or three sets of rows; each has an SVG, a title and a caption."""
    matrix = Matrix.fitted_on(train, with_target=False)
    rng = np.random.default_rng(0)
    sides = [matrix.cells(frame.iloc[_some(rng, len(frame), ROWS)]) for frame in frames]
    if min(map(len, sides)) < FEWEST or not matrix.columns:
        return []
    scatter = _scatter(matrix, sides, figures)
    return ([scatter] if scatter else []) + _contours(matrix, sides, figures)


def _some(rng: np.random.Generator, rows: int, most: int) -> np.ndarray:
    return np.sort(rng.permutation(rows)[:most])


# --- all columns on two axes ------------------------------------------------------------------


def _scatter(
    matrix: Matrix, sides: Sequence[np.ndarray], figures: Figures
) -> dict[str, str] | None:
    dense = [matrix.dense(cells).astype(np.float64) for cells in sides]
    varies = dense[0].std(axis=0) > 0
    if varies.sum() < 2:
        return None
    pca = PCA(n_components=2, random_state=0).fit(dense[0][:, varies])
    points = [pca.transform(part[:, varies]) for part in dense]
    explained = float(pca.explained_variance_ratio_.sum())
    title = "All columns on the two main axes of the real rows"
    return {
        "svg": figures.svg(partial(_draw_points, sides=points), title, (4.6, 3.4)),
        "title": title,
        "caption": f"principal components, which explain {explained:.0%} of the variance of the "
        "real rows. An area with only one colour is missing from the other rows.",
    }


def _draw_points(axes: Axes, sides: Sequence[np.ndarray]) -> None:
    rng = np.random.default_rng(0)
    for points, colour in zip(sides, COLOURS, strict=False):
        some = points[_some(rng, len(points), POINTS)]
        axes.plot(
            some[:, 0], some[:, 1], "o", color=colour, markersize=3, alpha=0.45, markeredgewidth=0
        )
    low, high = np.quantile(np.vstack(sides[:1]), [0.005, 0.995], axis=0)
    room = 0.15 * (high - low) + 1e-9
    axes.set_xlim(low[0] - room[0], high[0] + room[0])
    axes.set_ylim(low[1] - room[1], high[1] + room[1])
    axes.set_xlabel("first axis", color=INK, fontsize=8)
    axes.set_ylabel("second axis", color=INK, fontsize=8)
    axes.set_xticks([])
    axes.set_yticks([])


# --- pairs of columns -------------------------------------------------------------------------


def _contours(
    matrix: Matrix, sides: Sequence[np.ndarray], figures: Figures
) -> list[dict[str, str]]:
    out = []
    for a, b, real, made in _pairs_that_matter(matrix, sides):
        first, second = clean(matrix.names[a]), clean(matrix.names[b])
        title = f"{first} and {second}"
        draw = partial(
            _draw_contours, matrix=matrix, sides=[c[:, [a, b]] for c in sides], of=(a, b)
        )
        out.append(
            {
                "svg": figures.svg(draw, title, (3.8, 3.1)),
                "title": title,
                "caption": f"Spearman’s ρ {_signed(real)} in real rows, {_signed(made)} in new.",
            }
        )
    return out


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def _pairs_that_matter(
    matrix: Matrix, sides: Sequence[np.ndarray]
) -> list[tuple[int, int, float, float]]:
    """The pairs of number columns to draw, each with its correlation in real and in new rows."""
    numbers = [j for j, c in enumerate(matrix.columns) if c.kind in NUMBERS]
    numbers = [j for j in numbers if _is_spread(sides[0][:, j])][:MOST_COLUMNS]
    known = []
    for a, b in combinations(numbers, 2):
        rho = [_spearman(cells[:, a], cells[:, b]) for cells in sides[:2]]
        if not np.isnan(rho).any():
            known.append((a, b, *rho))
    strong = sorted(known, key=lambda p: -abs(p[2]))[: PAIRS // 2]
    apart = [p for p in sorted(known, key=lambda p: -abs(p[2] - p[3])) if p not in strong]
    return strong + apart[: PAIRS - len(strong)]


def _is_spread(values: np.ndarray) -> bool:
    """Whether contours can show the values: there are many, and none is half of all cells."""
    known, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    fits = len(counts) > 5 and 2 * counts.max() < counts.sum()
    return bool(fits and np.abs(known).max() < GREATEST)


def _spearman(one: np.ndarray, two: np.ndarray) -> float:
    both = ~np.isnan(one) & ~np.isnan(two)
    if both.sum() < FEWEST:
        return np.nan
    a, b = (pd.Series(values[both]).rank().to_numpy() for values in (one, two))
    spread = a.std() * b.std()
    return float(((a - a.mean()) * (b - b.mean())).mean() / spread) if spread else np.nan


def _draw_contours(
    axes: Axes, matrix: Matrix, sides: Sequence[np.ndarray], of: tuple[int, int]
) -> None:
    """Contours that enclose shares of the rows, drawn between the quantiles of the real rows."""
    cells = [c[~np.isnan(c).any(axis=1)] for c in sides]
    low, high = np.quantile(cells[0], [0.01, 0.99], axis=0)
    wide = np.where(high > low, high - low, 1.0)
    low, high = low - 0.1 * wide, high + 0.1 * wide
    edges = [np.linspace(low[k], high[k], GRID + 1) for k in (0, 1)]
    middle = [(e[1:] + e[:-1]) / 2 for e in edges]
    for part, colour in zip(cells, COLOURS, strict=False):
        counts = np.histogram2d(part[:, 0], part[:, 1], bins=edges)[0]
        # The bandwidth by Scott's rule for kernel density estimates, in cells of the grid.
        width = np.clip(GRID / 4 * max(len(part), 2) ** (-1 / 6) / 1.2, 1.0, 6.0)
        density = gaussian_filter(counts, width, mode="constant")
        levels = contour_levels(density)
        if levels:
            lines = ["--" if colour == THIRD else "-"]
            axes.contour(
                *middle,
                density.T,
                levels=levels,
                colors=colour,
                linewidths=1.4,
                linestyles=lines * len(levels),
            )
    for axis, k in ((axes.xaxis, 0), (axes.yaxis, 1)):
        column = matrix.columns[of[k]]
        ticks = axis_ticks(cells[0][:, k], float(edges[k][-1] - edges[k][0]))
        axis.set_ticks(ticks, [value_text(column, v) for v in ticks])
        axis.set_label_text(short(clean(column.name)), color=INK, fontsize=8)
        axis.label.set_parse_math(False)


def axis_ticks(values: np.ndarray, span: float) -> list[float]:
    """The ends of the values, and their median unless its text would touch that of an end."""
    low, middle, high = (float(v) for v in np.quantile(values, [0.02, 0.5, 0.98]))
    apart = min(middle - low, high - middle) >= APART * span
    return [low, middle, high] if apart else sorted({low, high})


def contour_levels(density: np.ndarray) -> list[float]:
    """The densities above which the shares `WITHIN` of all rows lie, ascending."""
    falling = np.sort(density.ravel())[::-1]
    inside = np.cumsum(falling)
    if not inside[-1] > 0:
        return []
    found = {float(falling[np.searchsorted(inside, share * inside[-1])]) for share in WITHIN}
    return sorted(level for level in found if 0 < level < falling[0])
