"""The page of an augmented table: what was made, and how it looks beside the real rows."""

from __future__ import annotations

import html
import math
import os
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from synthgen.augmentation import Augmented
from synthgen.files import write_json, write_text
from synthgen.report.template import clean, rendered
from synthgen.synthesizers.network import NetworkSynthesizer
from synthgen.table import LEVELS, Column, describe
from synthgen.training import History

MAX_FIGURES = 24  # of columns, on one page
SCORED_ROWS, SPLITS = 5000, 10
BINS, BARS, LABEL = 24, 8, 22
COMPARED = ("numeric", "integer", "datetime", "categorical", "boolean")

# Each stands for a colour that the page's style chooses, one for light and one for dark.
REAL, MADE, THIRD, INK = "#010101", "#020202", "#030303", "#040404"
_CSS = {REAL: "var(--real)", MADE: "var(--made)", THIRD: "var(--third)", INK: "currentColor"}


@dataclass(frozen=True)
class Shape:
    """How alike the values of one column are in real and in new rows of a class.

    Attributes:
        column: The column.
        value: 1 minus the Kolmogorov-Smirnov statistic (numbers, dates) or the total variation
            distance (categories) between new rows and one half of the real ones; 1 is alike, 0
            shares nothing. Missing counts as a value.
        reference: The same between the other half and that half, with as many rows.
        missing_real, missing_made: Share of missing cells.
    """

    column: Column
    value: float
    reference: float
    missing_real: float
    missing_made: float


def write_report(
    result: Augmented, folder: str | os.PathLike[str], manifest: dict[str, Any]
) -> None:
    """Write ``report.html`` and ``report.json`` into `folder`.

    Args:
        result: What `augment` returned.
        folder: It must exist.
        manifest: What the command wrote beside the table.

    Raises:
        OutputError: The folder cannot be written to.
    """
    shapes = {a.label: column_shapes(result, a.label) for a in result.additions}
    content = {
        "manifest": manifest,
        "column_shapes": {
            str(label): [
                {
                    "column": str(s.column.name),
                    "kind": s.column.kind,
                    "score": s.value,
                    "real_half_against_half": s.reference,
                    "missing_real": s.missing_real,
                    "missing_synthetic": s.missing_made,
                }
                for s in found
            ]
            for label, found in shapes.items()
        },
    }
    page = render(result, shapes, manifest)
    write_text(Path(folder, "report.html"), page)
    write_json(Path(folder, "report.json"), content)


def render(result: Augmented, shapes: dict[Any, list[Shape]], manifest: dict[str, Any]) -> str:
    """The page as text."""
    room = MAX_FIGURES // len(shapes) or 1
    classes = []
    figures = _Figures()
    for addition in result.additions:
        real, made = _rows_of(result, addition.label)
        found = shapes[addition.label]
        least_alike = sorted(found, key=lambda s: s.value)[:room]
        drawn = [
            {
                "shape": s,
                "name": clean(s.column.name),
                "svg": figures.svg(
                    partial(_draw, column=s.column, real=real, made=made),
                    f"{clean(s.column.name)}: real and new rows of {clean(addition.label)}",
                ),
            }
            for s in found
            if s in least_alike
        ]
        classes.append(
            {
                "label": clean(addition.label),
                "rows": addition.rows,
                "real": len(real),
                "reason": clean(addition.reason),
                "shapes": found,
                "mean": float(np.mean([s.value for s in found])) if found else None,
                "reference": float(np.mean([s.reference for s in found])) if found else None,
                "figures": drawn,
                "rest": [clean(s.column.name) for s in found if s not in least_alike],
                "training": _training(result, addition.label, figures),
                "sample": _first_rows(made),
            }
        )
    columns = [
        {key: clean(value) for key, value in row.items()}
        | {"left_out": c.name in result.not_learned}
        for c, row in zip(result.schema.columns, describe(result.schema.columns), strict=True)
    ]
    return rendered(
        "page.html.j2",
        classes=classes,
        columns=columns,
        counts=[
            (clean(c), n, result.after[c] - n, result.after[c]) for c, n in result.before.items()
        ],
        refused=[
            (clean(label), clean(reason), rows, found["drawn"])
            for label, found in result.guard.items()
            for reason, rows in found["refused"].items()
        ],
        ruled=any(found["broken_by_real_rows"] for found in result.guard.values()),
        guard_notes=[text for k, v in result.guard.items() for text in _guard_notes(k, v)],
        target=clean(result.schema.target),
        synthesizer=type(result.synthesizer).__name__,
        rows=len(result.frame),
        not_learned={clean(k): v for k, v in result.not_learned.items()},
        manifest=manifest,
    )


def column_shapes(result: Augmented, label: Any) -> list[Shape]:
    """The shape of every learned column, in the table's order, over the rows of one class.

    Real rows are cut into halves ten times, always the same way. New rows and the first half are
    both compared with the second, in equal numbers, so that chance moves both figures alike.
    """
    real, made = _rows_of(result, label)
    rng = np.random.default_rng(0)
    real = real.iloc[np.sort(rng.permutation(len(real))[: 2 * SCORED_ROWS])]
    made = made.iloc[np.sort(rng.permutation(len(made))[: 2 * SCORED_ROWS])]
    size = max(1, min(len(real) // 2, len(made)))
    found = []
    for column in result.schema.features:
        if column.kind not in COMPARED:
            continue
        a, b = _comparable(column, real[column.name]), _comparable(column, made[column.name])
        distance = _variation if column.kind in LEVELS else _kolmogorov_smirnov
        draws = np.random.default_rng(1)
        values, references = [], []
        for _ in range(SPLITS):
            order = draws.permutation(len(a))
            first, second = a[order[:size]], a[order[len(a) - size :]]
            values.append(1 - distance(b[draws.permutation(len(b))[:size]], second))
            references.append(1 - distance(first, second))
        gone = [float(real[column.name].isna().mean()), float(made[column.name].isna().mean())]
        found.append(Shape(column, float(np.mean(values)), float(np.mean(references)), *gone))
    return found


def _rows_of(result: Augmented, label: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Real and new rows of one class."""
    column = result.schema[result.schema.target]
    of_class = column.codes(result.frame[column.name]) == column.categories.index(label)
    real, made = of_class & ~result.is_synthetic, of_class & result.is_synthetic
    return result.frame[real].reset_index(drop=True), result.frame[made].reset_index(drop=True)


def _comparable(column: Column, series: pd.Series) -> np.ndarray:
    """Codes, or numbers with missing as the greatest; float64 of shape (rows,)."""
    if column.kind in LEVELS:
        return _codes(column, series).astype(np.float64)
    values, gone = column.numbers(series)
    return np.where(gone, np.inf, values.astype(np.float64))


def _codes(column: Column, series: pd.Series) -> np.ndarray:
    """`Column.codes`, with one code more for what a model made and the table lacks."""
    known = series.isin(list(column.categories)) | series.isna()
    codes = np.full(len(series), len(column.categories))
    codes[known] = column.codes(series[known].astype(column.dtype))
    return codes


def _kolmogorov_smirnov(a: np.ndarray, b: np.ndarray) -> float:
    """The greatest distance between the two empirical distribution functions."""
    a, b = np.sort(a), np.sort(b)
    both = np.concatenate([a, b])
    gap = np.searchsorted(a, both, "right") / len(a) - np.searchsorted(b, both, "right") / len(b)
    return float(np.abs(gap).max())


def _variation(a: np.ndarray, b: np.ndarray) -> float:
    """Half the sum of the distances between the shares of each value."""
    values = np.unique(np.concatenate([a, b]))
    shares = [
        np.bincount(np.searchsorted(values, x), minlength=len(values)) / len(x) for x in (a, b)
    ]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


# --- figures ----------------------------------------------------------------------------------


class _Figures:
    """Makes SVG to be put into a page: no fonts, no fixed ink, and ids that occur once."""

    def __init__(self) -> None:
        self._made = 0

    def svg(
        self, draw: Callable[[Axes], None], title: str, size: tuple[float, float] = (3.4, 2.1)
    ) -> str:
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
        return _inline(text.getvalue(), f"f{self._made}", title)


@contextmanager
def _svg_settings() -> Iterator[None]:
    """Text as text, and the same ids each time; the user's own settings come back afterwards."""
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
    label = html.escape(title)
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{label}" '
        f'xmlns:xlink="http://www.w3.org/1999/xlink"><title>{label}</title>{rest}'
    )


def _draw(axes: Axes, column: Column, real: pd.DataFrame, made: pd.DataFrame) -> None:
    draw = _draw_levels if column.kind in LEVELS else _draw_numbers
    draw(axes, column, real[column.name], made[column.name])


def _draw_levels(axes: Axes, column: Column, real: pd.Series, made: pd.Series) -> None:
    """Bars beside each other for the most frequent values of the real rows."""
    names = [clean(c) for c in column.categories] + ["(not in the table)", "(missing)"]
    shares = [
        np.bincount(_codes(column, s) % len(names), minlength=len(names)) / len(s)
        for s in (real, made)
    ]
    order = np.argsort(-shares[0] - 1e-9 * shares[1], kind="stable")
    order = order[(shares[0] + shares[1])[order] > 0]
    shown, others = order[:BARS], order[BARS:]
    labels = [names[i] for i in shown]
    heights = [s[shown] for s in shares]
    if len(others):
        labels.append(f"{len(others)} other{'s' * (len(others) > 1)}")
        heights = [np.append(h, s[others].sum()) for h, s in zip(heights, shares, strict=True)]
    places = np.arange(len(labels))
    axes.barh(places - 0.2, heights[0], 0.38, color=REAL)
    axes.barh(places + 0.2, heights[1], 0.38, color=MADE)
    axes.set_ylim(max(len(labels), 4) - 0.5, -0.5)  # first on top, and few bars stay thin
    axes.set_yticks(places, [t if len(t) <= LABEL else t[: LABEL - 1] + "…" for t in labels])
    for text in axes.get_yticklabels():
        text.set_parse_math(False)
    axes.xaxis.set_major_formatter(lambda v, _: f"{100 * v:.0f} %")
    axes.locator_params(axis="x", nbins=4)


def _draw_numbers(axes: Axes, column: Column, real: pd.Series, made: pd.Series) -> None:
    """Shares in common bins; the outermost hold all beyond them, one apart the missing cells."""
    (a, a_gone), (b, b_gone) = column.numbers(real), column.numbers(made)
    edges = _edges(column, a[~a_gone], b[~b_gone])
    bins = len(edges) - 1
    heights = []
    for values, gone in ((a, a_gone), (b, b_gone)):
        place = np.searchsorted(edges, values[~gone], "right").clip(1, bins) - 1
        counts = np.bincount(
            np.append(place, np.full(int(gone.sum()), bins + 1)), minlength=bins + 2
        )
        heights.append(counts / len(values))
    has_missing = bool(a_gone.any() or b_gone.any())
    apart = [bins * 1.08, bins * 1.22]  # where the bar of the missing cells stands
    # Drawn over bin numbers, not values: any range fits, from 1e-300 to 1e308.
    for height, colour in zip(heights, (REAL, MADE), strict=True):
        parts = [(height[:bins], np.arange(bins + 1))]
        parts += [(height[bins + 1 :], apart)] if has_missing else []
        for shares, edges_drawn in parts:
            axes.stairs(shares, edges_drawn, color=colour, fill=True, alpha=0.25)
            axes.stairs(shares, edges_drawn, color=colour, linewidth=1.4)
    ticks = [0, bins / 2, bins][:: 1 if bins > 1 else 2]
    labels = [_value_text(column, edges[int(i)], last=i == bins) for i in ticks]
    if has_missing:
        ticks, labels = [*ticks, sum(apart) / 2], [*labels, "missing"]
    axes.set_xticks(ticks, labels)
    for text, side in zip(axes.get_xticklabels(), ("left", "center", "right"), strict=False):
        text.set_horizontalalignment(side)
    for text in axes.get_xticklabels():
        text.set_parse_math(False)
    axes.set_xlim(-0.02 * bins, bins * (1.3 if has_missing else 1.02))
    axes.yaxis.set_major_formatter(lambda v, _: f"{100 * v:.0f} %")
    axes.locator_params(axis="y", nbins=4)


def _edges(column: Column, real: np.ndarray, made: np.ndarray) -> np.ndarray:
    """Edges of the bins, over the middle 99 % of the real values."""
    known = np.sort(real if len(real) else made)
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


def _value_text(column: Column, value: float, *, last: bool) -> str:
    if column.kind == "datetime":
        limits = np.iinfo(np.int64)
        stamp = column.restore(np.array([int(np.clip(value, limits.min / 2, limits.max / 2))]))
        return str(stamp.iloc[0])[:10]
    if column.kind == "integer":
        whole = math.floor(value) if last else math.ceil(value)
        return f"{whole:,}" if abs(whole) < 1e7 else f"{whole:.3g}"
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e7 else f"{value:.4g}"


def _training(result: Augmented, label: Any, figures: _Figures) -> dict[str, Any] | None:
    """Curves of the network that made the rows of a class, if one did."""
    synthesizer = result.synthesizer
    if not isinstance(synthesizer, NetworkSynthesizer) or label not in synthesizer.history_:
        return None
    history = synthesizer.history_[label]
    curves = [
        (
            "Losses",
            figures.svg(
                lambda axes: _draw_losses(axes, history), "Losses over the training", (5, 2.4)
            ),
        )
    ]
    if history.held_out:
        title = "Distance to held-out real rows over the training"
        curves.append(
            (title, figures.svg(lambda axes: _draw_held_out(axes, history), title, (5, 2.4)))
        )
    return {
        "curves": curves,
        "scope": synthesizer.scope_[label],
        "steps": history.steps[-1] if history.steps else 0,
        "best_step": history.best_step,
        "seconds": history.seconds,
    }


def _draw_losses(axes: Axes, history: History) -> None:
    for (name, values), colour in zip(history.losses.items(), (REAL, MADE, THIRD), strict=False):
        axes.plot(
            history.steps,
            values,
            color=colour,
            linewidth=1.4,
            label=name,
            marker="." if len(values) < 3 else "",
        )
    axes.set_xlabel("step", color=INK, fontsize=8)
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)


def _draw_held_out(axes: Axes, history: History) -> None:
    steps = history.steps[-1]
    every = -(-steps // 20)  # the runner looks 20 times
    looked = [min((i + 1) * every, steps) for i in range(len(history.held_out))]
    axes.plot(looked, history.held_out, color=REAL, linewidth=1.4, marker=".")
    axes.axvline(history.best_step, color=MADE, linewidth=1.2, linestyle="--")
    axes.set_xlabel("step", color=INK, fontsize=8)


def _first_rows(made: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Names and texts of a few new rows."""
    head = made.head(5)
    cells = [
        ["" if pd.isna(v) else clean(v)[:40] for v in row]
        for row in head.astype(object).itertuples(index=False)
    ]
    return [clean(c) for c in made.columns], cells


def _guard_notes(label: Any, found: dict[str, Any]) -> Iterator[str]:
    """What else to know of the guard, in sentences."""
    if found["near_copies"] == "allowed":
        yield (
            f"Rows of “{clean(label)}” are real rows, each moved a little, so near copies of "
            f"training rows were not refused."
        )
    elif found["note"]:
        yield clean(found["note"]) + "."
    for rule, share in found["broken_by_real_rows"].items():
        if share:
            yield f"{share:.1%} of the real rows of “{clean(label)}” break “{clean(rule)}”."
