"""Figures of a page, as SVG in the colours and the font of the page."""

from __future__ import annotations

import html
import math
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from synthgen.encoding.disclosure import PRIVATE_ROWS
from synthgen.report.template import clean
from synthgen.tables.column import LEVELS, Column

BINS, BARS, LABEL = 24, 8, 22

# Placeholders for the colours of the page's style, which differ between light and dark mode.
REAL, MADE, THIRD, INK = "#010101", "#020202", "#030303", "#040404"
FOURTH, FIFTH = "#050505", "#060606"
_CSS = {
    REAL: "var(--real)",
    MADE: "var(--made)",
    THIRD: "var(--third)",
    FOURTH: "var(--fourth)",
    FIFTH: "var(--fifth)",
    INK: "currentColor",
}


class Figures:
    """Draws SVG figures that inherit the page's fonts and colours and have unique ids."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._made = 0

    def svg(
        self, draw: Callable[[Axes], None], title: str, size: tuple[float, float] = (3.4, 2.1)
    ) -> str:
        """Draw a figure as SVG; `size` is in inches, and `title` is for screen readers."""
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        axes.set_facecolor("none")
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        for side in ("left", "bottom"):
            axes.spines[side].set_color(INK)
        axes.tick_params(colors=INK, labelsize=8)
        text = StringIO()
        with _svg_settings():
            draw(axes)
            nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
            figure.savefig(text, format="svg", transparent=True, metadata=nothing)
        self._made += 1
        return _inline(text.getvalue(), f"{self._prefix}f{self._made}", title)


@contextmanager
def _svg_settings() -> Iterator[None]:
    """Keep text as text, with the same ids each time; restore the user's settings at the end."""
    settings: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": "synthgen",
        "text.usetex": False,
    }
    with warnings.catch_warnings(), matplotlib.rc_context(settings):
        warnings.filterwarnings("ignore", message="Glyph")  # the reader's browser has its own fonts
        yield


def _inline(svg: str, prefix: str, title: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r"url\(#", f"url(#{prefix}-", svg)
    svg = re.sub(r'href="#', f'href="#{prefix}-', svg)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    for colour, name in _CSS.items():
        svg = svg.replace(colour, name)
    opening, rest = svg.split(">", 1)
    width, height = re.findall(r'(?:width|height)="([\d.]+)pt"', opening)[:2]
    label = html.escape(clean(title))
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{label}" '
        f'xmlns:xlink="http://www.w3.org/1999/xlink"><title>{label}</title>{rest}'
    )


# --- columns --------------------------------------------------------------------------------------


def draw_column(axes: Axes, column: Column, sides: Sequence[pd.Series]) -> None:
    """Draw the shares of a column's values in two or three sets of rows; the first set is real."""
    draw = _draw_levels if column.kind in LEVELS else _draw_numbers
    draw(axes, column, sides)


def _draw_levels(axes: Axes, column: Column, sides: Sequence[pd.Series]) -> None:
    """Draw bars for the most frequent values of the real rows, those of all sets side by side.

    As in model files, no value is named that fewer than `PRIVATE_ROWS` of the real rows hold.
    """
    names = [clean(c) for c in column.categories] + ["(not in the table)", "(missing)"]
    counts = [np.bincount(codes(column, s) % len(names), minlength=len(names)) for s in sides]
    shares = [n / max(len(s), 1) for n, s in zip(counts, sides, strict=True)]
    order = np.argsort(-shares[0] - 1e-9 * shares[1], kind="stable")
    order = order[np.sum(shares, axis=0)[order] > 0]
    is_named = counts[0] >= PRIVATE_ROWS
    is_named[-2:] = True
    shown = order[is_named[order]][:BARS]
    others = order[~np.isin(order, shown)]
    labels = [names[i] for i in shown]
    heights = [s[shown] for s in shares]
    if len(others):
        labels.append(f"{len(others)} other{'s' * (len(others) > 1)}")
        heights = [np.append(h, s[others].sum()) for h, s in zip(heights, shares, strict=True)]
    places = np.arange(len(labels))
    step = 0.8 / len(sides)
    for i, (height, colour) in enumerate(zip(heights, (REAL, MADE, THIRD), strict=False)):
        middle = places + (i - (len(sides) - 1) / 2) * step
        axes.barh(middle, height, 0.95 * step, color=colour)
    axes.set_ylim(max(len(labels), 4) - 0.5, -0.5)  # the first on top; a few bars stay thin
    axes.set_yticks(places, [short(t) for t in labels])
    for text in axes.get_yticklabels():
        text.set_parse_math(False)
    axes.xaxis.set_major_formatter(percent)
    axes.locator_params(axis="x", nbins=4)


def _draw_numbers(axes: Axes, column: Column, sides: Sequence[pd.Series]) -> None:
    """Draw shares in common bins; the outer bins include all values beyond them."""
    cells = [column.numbers(series) for series in sides]
    edges = _edges(column, [values[~gone] for values, gone in cells])
    bins = len(edges) - 1
    has_missing = any(gone.any() for _, gone in cells)
    apart = [bins * 1.08, bins * 1.22]  # left and right end of the bar of missing cells
    # The axis has bin numbers instead of values, so that any range fits, from 1e-300 to 1e308.
    for (values, gone), colour in zip(cells, (REAL, MADE, THIRD), strict=False):
        place = np.searchsorted(edges, values[~gone], "right").clip(1, bins) - 1
        counts = np.bincount(
            np.append(place, np.full(int(gone.sum()), bins + 1)), minlength=bins + 2
        )
        height = counts / max(len(values), 1)
        parts = [(height[:bins], np.arange(bins + 1))]
        parts += [(height[bins + 1 :], apart)] if has_missing else []
        for shares, edges_drawn in parts:
            if colour != THIRD:
                axes.stairs(shares, edges_drawn, color=colour, fill=True, alpha=0.25)
            axes.stairs(shares, edges_drawn, color=colour, linewidth=1.4)
    ticks = [0, bins / 2, bins] if bins > 1 else [0.5]
    labels = [value_text(column, edges[int(i)], last=i == bins) for i in ticks]
    if has_missing:
        ticks, labels = [*ticks, sum(apart) / 2], [*labels, "missing"]
    axes.set_xticks(ticks, labels)
    for text, side in zip(axes.get_xticklabels(), ("left", "center", "right"), strict=False):
        text.set_horizontalalignment(side if bins > 1 else "center")
    for text in axes.get_xticklabels():
        text.set_parse_math(False)
    axes.set_xlim(-0.02 * bins, bins * (1.3 if has_missing else 1.02))
    axes.yaxis.set_major_formatter(percent)
    axes.locator_params(axis="y", nbins=4)


def _edges(column: Column, sides: Sequence[np.ndarray]) -> np.ndarray:
    """Edges of the bins, over the middle 99 % of the real values."""
    known = np.sort(next((values for values in sides if len(values)), np.zeros(0)))
    if not len(known):
        return np.array([0.0, 1.0])
    low, high = known[int(0.005 * len(known))], known[int(0.995 * (len(known) - 1) + 0.5)]
    if column.kind == "integer" and 0 <= float(high) - float(low) < 2 * BINS:
        return np.arange(int(low), int(high) + 2) - 0.5
    if not low < high:
        low, high = known[0], known[-1]
    share = np.linspace(0, 1, BINS + 1)
    edges = float(low) * (1 - share) + float(high) * share
    return (
        edges if edges[0] < edges[-1] else np.array([float(low), np.nextafter(float(low), np.inf)])
    )


def value_text(column: Column, value: float, *, last: bool = False) -> str:
    """A value of a column for an axis; four digits get no comma, because they may be a year."""
    if column.kind == "datetime":
        # A float cannot hold the largest tick, and the smallest tick stands for a missing date.
        stamp = column.restore(np.array([int(np.clip(value, -9.2e18, 9.2e18))]))
        return str(stamp.iloc[0])[:10]
    if column.kind == "integer":
        value = math.floor(value) if last else math.ceil(value)
    if not 1e4 <= abs(value) < 1e7:
        return f"{value:.4g}" if abs(value) < 1e7 else f"{value:.3g}"
    return f"{value:,.0f}"


def codes(column: Column, series: pd.Series) -> np.ndarray:
    """Like `Column.codes`, with one more code for synthetic values that the table lacks."""
    known = series.isin(list(column.categories)) | series.isna()
    found = np.full(len(series), len(column.categories))
    found[known] = column.codes(series[known].astype(column.dtype))
    return found


def percent(value: float, _: object = None) -> str:
    return f"{100 * value:.0f} %"


def short(text: str, most: int = LABEL) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
