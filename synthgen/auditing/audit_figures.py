"""The figures of an audit: the class, the accuracy paradox, columns by class, gaps, hard rows."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from synthgen.encoding.matrix import Matrix
from synthgen.metrics.associations import associated
from synthgen.report.figures import FIFTH, INK, MADE, REAL, Figures, draw_column, percent, short
from synthgen.report.template import clean
from synthgen.tables.column import LEVELS, NUMBERS

if TYPE_CHECKING:
    from synthgen.auditing.audit import Audit
    from synthgen.auditing.examine import Examined

# Columns per figure, rows per side in the map of missing cells, rows used for correlations.
HISTOGRAMS, BARS, GAPS, SIDE_ROWS, ROWS = 6, 12, 14, 300, 20_000
SMALL = (3.6, 2.3)


def audit_figures(found: Audit) -> list[dict[str, Any]]:
    """The figures, in sections: dictionaries with ``name``, ``title``, ``how``, ``figures``."""
    seen = found.seen
    if seen is None:
        return []
    figures, label = Figures(), clean(found.minority.label)
    sections = [
        {
            "name": "picture",
            "title": "The class, and why accuracy says little",
            "how": "",
            "figures": [_classes(found, figures), *_paradox(found, figures)],
        },
        {
            "name": "by-class",
            "title": f"How “{label}” differs from the other rows",
            "how": f"The columns that alone predict “{label}” best. Bars and steps are shares of "
            f"the rows of “{label}” and of the other rows; the outermost bins also hold all values "
            f"beyond them.",
            "figures": [*_correlations(seen, label, figures), *_histograms(found, seen, figures)],
        },
        {
            "name": "gaps-and-doubts",
            "title": "Missing cells, and rows to check",
            "how": "",
            "figures": [*_gaps(seen, label, figures), *_doubts(seen, label, figures)],
        },
    ]
    return [s for s in sections if s["figures"]]


def _figure(svg: str, title: str, caption: str) -> dict[str, str]:
    return {"svg": svg, "title": title, "caption": caption}


def _bars(axes: Axes, names: list[str], values: list[float], colours: list[str]) -> None:
    places = np.arange(len(names))
    axes.barh(places, values, color=colours, height=0.65)
    axes.set_yticks(places, [short(clean(name)) for name in names])
    for text in axes.get_yticklabels():
        text.set_parse_math(False)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(max(len(names), 3) - 0.4, -0.6)


def _beside(axes: Axes, values: list[tuple[float, str]]) -> None:
    """Write the number of each bar at its end; a space in front would not be kept in SVG."""
    for place, (value, said) in enumerate(values):
        axes.annotate(
            said,
            (value, place),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=INK,
        )


# --- the class ----------------------------------------------------------------------------------


def _classes(found: Audit, figures: Figures) -> dict[str, str]:
    classes = sorted(found.classes, key=lambda c: -c["rows"])[:BARS]
    rare = found.minority.label

    def draw(axes: Axes) -> None:
        colours = [MADE if c["label"] == rare else REAL for c in classes]
        _bars(axes, [c["label"] for c in classes], [c["rows"] for c in classes], colours)
        _beside(axes, [(c["rows"], f"{c['rows']:,}") for c in classes])
        axes.set_xlim(0, 1.25 * classes[0]["rows"])
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)

    title = "Rows of each class"
    size = (SMALL[0], max(1.3, 0.5 + 0.3 * len(classes)))
    said = f"the most frequent class has {found.ratio:.1f} rows for each row of “{clean(rare)}”."
    return _figure(figures.svg(draw, title, size), title, said)


def _paradox(found: Audit, figures: Figures) -> list[dict[str, str]]:
    model = found.model
    if model is None:
        return []
    bars = [
        ("always “no”: accuracy", found.always_no["accuracy"], REAL),
        ("quick model: accuracy", model.accuracy.value, REAL),
        ("always “no”: recall", 0.0, MADE),
        ("quick model: recall", model.recall.value, MADE),
    ]

    def draw(axes: Axes) -> None:
        _bars(axes, [t[0] for t in bars], [t[1] for t in bars], [t[2] for t in bars])
        _beside(axes, [(value, f"{100 * value:.3g} %") for _, value, _ in bars])
        axes.set_xlim(0, 1.25)
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)

    title = "The accuracy paradox"
    return [
        _figure(
            figures.svg(draw, title, (SMALL[0], 1.7)),
            title,
            f"accuracy is the share of all rows predicted correctly, recall the share of the "
            f"{found.minority.rows:,} rows of the class that are found, both at the threshold 0.5. "
            f"A model that never predicts the class finds none of it, but still has a high "
            f"accuracy.",
        )
    ]


# --- columns --------------------------------------------------------------------------------------


def _histograms(found: Audit, seen: Examined, figures: Figures) -> list[dict[str, str]]:
    known = [c for c in seen.columns if c.alone is not None and c.column.kind in NUMBERS + LEVELS]
    best = sorted(known, key=lambda c: -c.alone.value if c.alone else 0.0)[:HISTOGRAMS]
    out = []
    for c in best:
        sides = [c.series[side].reset_index(drop=True) for side in (~seen.is_rare, seen.is_rare)]
        name, alone = clean(c.name), 0.0 if c.alone is None else c.alone.value
        svg = figures.svg(partial(draw_column, column=c.column, sides=sides), name, SMALL)
        said = f"average precision {alone:.3f} alone, guessing {found.minority.share:.3f}."
        out.append(_figure(svg, name, said))
    return out


def _correlations(seen: Examined, label: str, figures: Figures) -> list[dict[str, str]]:
    """Draw the association with the class: Spearman's ρ of numbers, Cramér's V of categories."""
    matrix = Matrix.of(seen.table.schema)
    sample = np.sort(np.random.default_rng(0).permutation(len(seen.table))[:ROWS])
    cells = matrix.cells(seen.table.frame.iloc[sample])
    rare = seen.is_rare[sample].astype(np.float64)
    is_level = np.asarray(matrix.is_level)
    strongest = []
    for j, name in enumerate(matrix.names):
        pair = np.column_stack([cells[:, j], rare])
        value = associated(pair, np.array([is_level[j], is_level[j]]))[0, 1]
        if np.isfinite(value):
            strongest.append((name, float(value), bool(is_level[j])))
    strongest = sorted(strongest, key=lambda t: -abs(t[1]))[:BARS]
    if not strongest:
        return []

    def draw(axes: Axes) -> None:
        colours = [FIFTH if level else MADE if value > 0 else REAL for _, value, level in strongest]
        _bars(axes, [t[0] for t in strongest], [t[1] for t in strongest], colours)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.locator_params(axis="x", nbins=5)

    title = f"Correlation with “{label}”"
    return [
        _figure(
            figures.svg(draw, title, (SMALL[0], max(1.5, 0.6 + 0.2 * len(strongest)))),
            title,
            "orange: the class is more frequent among larger numbers; blue: among smaller ones "
            "(Spearman’s ρ). Grey: categories, without a direction (Cramér’s V).",
        )
    ]


# --- missing cells and hard rows ------------------------------------------------------------------


def _gaps(seen: Examined, label: str, figures: Figures) -> list[dict[str, str]]:
    columns = sorted((c for c in seen.columns if c.gone.any()), key=lambda c: -c.gone.mean())[:GAPS]
    if not columns:
        return []
    gone = np.column_stack([c.gone for c in columns])
    rng, sides = np.random.default_rng(0), []
    for side in (~seen.is_rare, seen.is_rare):
        rows = gone[rng.permutation(np.flatnonzero(side))[:SIDE_ROWS]]
        sides.append(rows[np.lexsort(rows.T[::-1])])

    def draw(axes: Axes) -> None:
        for start, rows, colour in ((0.0, sides[0], REAL), (1.08, sides[1], MADE)):
            wide = 1 / max(len(rows), 1)
            for place in range(len(columns)):
                edges = np.flatnonzero(np.diff(np.r_[0, rows[:, place].astype(int), 0]))
                runs = [(start + a * wide, (b - a) * wide) for a, b in edges.reshape(-1, 2)]
                axes.broken_barh([(start, 1.0)], (place - 0.4, 0.8), color=FIFTH, alpha=0.12)
                axes.broken_barh(runs, (place - 0.4, 0.8), color=colour, linewidth=0)
        axes.set_yticks(np.arange(len(columns)), [short(clean(c.name)) for c in columns])
        for text in axes.get_yticklabels():
            text.set_parse_math(False)
        axes.set_xticks([0.5, 1.58], ["other rows", short(label)])
        axes.tick_params(length=0)
        axes.set_xlim(0, 2.08)
        axes.set_ylim(max(len(columns), 3) - 0.4, -0.6)

    title = "Missing cells"
    worst = max(columns, key=lambda c: abs(_gap(c.gone, seen.is_rare)))
    far = _gap(worst.gone, seen.is_rare)
    said = (
        f"each row is a vertical line, coloured where its cell is missing; rows are sorted so that "
        f"equal patterns are adjacent. “{clean(worst.name)}” differs most: it is missing in "
        f"{worst.gone[seen.is_rare].mean():.1%} of “{label}”, {100 * abs(far):.1f} points "
        f"{'more' if far > 0 else 'less'} than in the other rows."
    )
    size = (4.2, max(1.5, 0.7 + 0.2 * len(columns)))
    return [_figure(figures.svg(draw, title, size), title, said)]


def _gap(gone: np.ndarray, is_rare: np.ndarray) -> float:
    return float(gone[is_rare].mean() - gone[~is_rare].mean())


def _doubts(seen: Examined, label: str, figures: Figures) -> list[dict[str, str]]:
    """Histograms of the out-of-fold scores of the class and the rest, on a log-odds scale."""
    if seen.scored is None:
        return []
    scores, is_rare = seen.scored
    odds = np.log(np.clip(scores, 1e-4, 1 - 1e-4) / (1 - np.clip(scores, 1e-4, 1 - 1e-4)))
    middle = float(np.median(odds[~is_rare]))
    bins = np.linspace(odds.min(), odds.max() + 1e-9, 31)

    def draw(axes: Axes) -> None:
        for side, colour in ((~is_rare, REAL), (is_rare, MADE)):
            shares = np.histogram(odds[side], bins)[0] / max(int(side.sum()), 1)
            axes.stairs(shares, bins, color=colour, fill=True, alpha=0.25)
            axes.stairs(shares, bins, color=colour, linewidth=1.4)
        axes.axvline(middle, color=FIFTH, linewidth=1, linestyle="--")
        ticks = [p for p in (0.0001, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999) if _within(p, bins)]
        axes.set_xticks([np.log(p / (1 - p)) for p in ticks], [f"{100 * p:g} %" for p in ticks])
        axes.yaxis.set_major_formatter(percent)
        axes.set_xlabel("score of the quick model", color=INK, fontsize=8)

    hard = int((odds[is_rare] < middle).sum())
    title = "Scores of the quick model"
    return [
        _figure(
            figures.svg(draw, title, (4.2, 2.5)),
            title,
            f"they are out of fold. The dashed line is the median of the other rows. The rows of "
            f"“{label}” left of it ({hard:,}) are hard to recognise, or their label is wrong.",
        )
    ]


def _within(p: float, bins: np.ndarray) -> bool:
    return bool(bins[0] <= np.log(p / (1 - p)) <= bins[-1])
