"""The page of an evaluation: verdicts, and every score beside its reference."""

from __future__ import annotations

import math
import re
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from synthgen.metrics.associations import associations
from synthgen.metrics.limits import ALL_RULES, RULES
from synthgen.metrics.measures import key_scores, part_tables, score_row
from synthgen.metrics.score import Part, Score
from synthgen.report.card import Picture, plain_advice, plain_cards
from synthgen.report.clouds import clouds
from synthgen.report.figures import (
    FIFTH,
    FOURTH,
    INK,
    MADE,
    REAL,
    THIRD,
    Figures,
    draw_column,
    percent,
)
from synthgen.report.template import clean, fill
from synthgen.tables.column import Column
from synthgen.tables.table import Table

if TYPE_CHECKING:
    from synthgen.metrics.report import Report

MAX_FIGURES, POINTS = 24, 200
COMPARED = ("numeric", "integer", "datetime", "categorical", "boolean")

USES = {
    "real": ("real rows only", REAL),
    "replace": ("class replaced by synthetic rows", MADE),
    "augment": ("real rows and synthetic rows", THIRD),
    "whole": ("synthetic rows only", FOURTH),
}
_KEYS = {REAL: "real", MADE: "made", THIRD: "third", FOURTH: "fourth", FIFTH: "fifth"}
PARTS = {
    "fidelity": (
        "Fidelity: do the rows look real?",
        "The reference is the same score of real rows that are not in train. The floor is the "
        "score of real rows with each column shuffled: right values, no associations.",
    ),
    "utility": (
        "Utility: does a classifier learn from them?",
        "Every classifier is tested on held-out real rows at their natural class shares. For the "
        "reference, it is trained on real rows instead of the synthetic ones: on rows of train, "
        "or, if the synthetic rows are added to train, on added rows of the holdout. For the "
        "floor, it is trained on noise instead.",
    ),
    "privacy": (
        "Privacy: do they reveal training rows?",
        "The reference is the same score of fresh real rows, which no model was trained on. They "
        "cannot reveal training rows, so only a worse score than theirs is a sign of a leak.",
    ),
}
_CURVE = re.compile(r"(roc|pr|calibration) (.+) (real|replace|augment|whole)", re.DOTALL)


def render_evaluation(report: Report) -> str:
    """Render the page of a report as HTML text; the same report gives the same text."""
    figures, rows = Figures(), _of_class(report)
    plain = {"all", report.label, *(str(c["label"]) for c in report.classes)}
    parts = []
    for name, part in report.parts.items():
        title, how = PARTS[name]
        parts.append(
            {
                "name": name,
                "title": title,
                "how": how,
                "tables": part_tables(name, part.scores, plain),
                "notes": [
                    *map(clean, part.notes),
                    *(
                        clean(f"{judge}: {text}; the same settings for every training set")
                        for judge, text in part.judges.items()
                    ),
                ],
            }
        )
    return fill(
        "evaluation.html.j2",
        label=clean(report.label),
        target=clean(report.target),
        sizes=report.sizes,
        classes=[
            {k: clean(v) if k == "label" else v for k, v in c.items()} for c in report.classes
        ],
        held_out=report.held_out,
        cards=plain_cards(report.cards),
        rules=RULES,
        all_rules=ALL_RULES,
        advice=plain_advice(report.recommendation),
        key_rows=[score_row(score) for score in key_scores(report)],
        parts=parts,
        pictures=_column_figures(report, rows, figures),
        clouds=[] if rows is None else clouds(rows[0], [t.frame for t in rows], figures),
        associations=None if rows is None else associations(rows, figures),
        curves=_utility_curves(report.utility, figures),
        attacks=_privacy_curves(report.privacy, report.label, figures),
        notes=[clean(note) for note in report.notes],
        seed=report.seed,
        seconds=report.seconds,
    )


# --- for a notebook -------------------------------------------------------------------------------


def evaluation_picture(report: Report) -> Picture | None:
    """Make the figure for notebooks: precision and recall of the first classifier, if measured."""
    curves: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    for name, curve in report.utility.curves.items():
        match = _CURVE.fullmatch(name)
        if match and match[1] == "pr":
            curves.setdefault(match[2], {})[match[3]] = curve
    if not curves:
        return None
    judge, found = next(iter(curves.items()))
    return Picture(
        partial(_draw_pr, curves=found),
        f"Precision and recall of {judge} on real rows",
        f"Precision and recall of {judge} on held-out real rows, one line for each training set. "
        f"The dashed line is guessing.",
        key=tuple((USES[u][0], _KEYS[USES[u][1]]) for u in USES if u in found),
    )


# --- columns --------------------------------------------------------------------------------------


def _of_class(report: Report) -> list[Table] | None:
    """Select the rows of the rare class in all three tables; None if one of them has none."""
    names = [str(c) for c in report.train.schema.classes]
    if report.label not in names:
        return None
    place = names.index(report.label)
    tables = [t.rows(t.labels == place) for t in (report.train, report.synthetic, report.holdout)]
    return None if min(map(len, tables)) == 0 else tables


def _column_figures(report: Report, tables: list[Table] | None, figures: Figures) -> dict[str, Any]:
    if tables is None:
        return {"drawn": [], "rest": [], "rows": []}
    shape = {
        s.group: s for s in report.fidelity.scores if s.name.rpartition(".")[2] == "column_shape"
    }

    def scored(column: Column) -> Score | None:
        return shape.get(f"{report.label}: {column.name}")

    def alike(column: Column) -> float:
        score = scored(column)
        return 1.0 if score is None or math.isnan(score.value) else score.value

    columns = [c for c in tables[0].schema.features if c.kind in COMPARED]
    least_alike = sorted(columns, key=alike)[:MAX_FIGURES]
    drawn = []
    for column in columns:
        if column not in least_alike:
            continue
        score, name = scored(column), clean(column.name)
        sides = [table.frame[column.name] for table in tables]
        drawn.append(
            {
                "name": name,
                "kind": column.kind,
                "row": None if score is None else score_row(score),
                "svg": figures.svg(
                    partial(draw_column, column=column, sides=sides),
                    f"{name}: train, synthetic and holdout rows of {report.label}",
                ),
            }
        )
    return {
        "drawn": drawn,
        "rest": [clean(c.name) for c in columns if c not in least_alike],
        "rows": [len(t) for t in tables],
    }


# --- curves ---------------------------------------------------------------------------------------


def _utility_curves(part: Part, figures: Figures) -> list[dict[str, Any]]:
    """Draw ROC, precision-recall and calibration curves for each classifier."""
    found: dict[str, dict[str, dict[str, dict[str, np.ndarray]]]] = {}
    for name, curve in part.curves.items():
        match = _CURVE.fullmatch(name)
        if match:
            kind, judge, use = match.groups()
            found.setdefault(judge, {}).setdefault(kind, {})[use] = curve
    draws = {"roc": _draw_roc, "pr": _draw_pr, "calibration": _draw_calibration}
    titles = {"roc": "ROC", "pr": "Precision and recall", "calibration": "Calibration"}
    return [
        {
            "judge": clean(judge),
            "uses": [
                (USES[u][0], _KEYS[USES[u][1]]) for u in USES if u in next(iter(kinds.values()))
            ],
            "figures": [
                (
                    kind,
                    titles[kind],
                    figures.svg(
                        partial(draw, curves=kinds[kind]), f"{titles[kind]} of {judge}", (3.6, 3.0)
                    ),
                )
                for kind, draw in draws.items()
                if kind in kinds
            ],
        }
        for judge, kinds in found.items()
    ]


def _lines(axes: Axes, curves: dict[str, dict[str, np.ndarray]], **style: Any) -> None:
    for use, (_, colour) in USES.items():
        if use in curves:
            x, y = _thinned(curves[use])
            axes.plot(x, y, color=colour, linewidth=1.5, **style)


def _thinned(curve: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(curve["x"], dtype=float), np.asarray(curve["y"], dtype=float)
    there = np.isfinite(x) & np.isfinite(y)
    x, y = x[there], y[there]
    some = np.unique(np.linspace(0, len(x) - 1, POINTS).round().astype(int)) if len(x) else []
    return x[some], y[some]


def _square(axes: Axes, x: str, y: str) -> None:
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.02)
    _named(axes, x, y)


def _named(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x, color=INK, fontsize=8)
    axes.set_ylabel(y, color=INK, fontsize=8)
    axes.xaxis.set_major_formatter(percent)
    axes.yaxis.set_major_formatter(percent)
    axes.locator_params(nbins=5)


def _diagonal(axes: Axes, end: float = 1.0) -> None:
    axes.plot([0, end], [0, end], color=FIFTH, linewidth=1, linestyle="--")


def _draw_roc(axes: Axes, curves: dict[str, dict[str, np.ndarray]]) -> None:
    _diagonal(axes)
    _lines(axes, curves)
    _square(axes, "false positive rate", "true positive rate (recall)")


def _draw_pr(axes: Axes, curves: dict[str, dict[str, np.ndarray]]) -> None:
    ends = [_thinned(curve)[1] for curve in curves.values()]
    share = next((float(y[-1]) for y in ends if len(y)), None)
    if share is not None:  # with every row as an alarm, precision is the share of the class
        axes.axhline(share, color=FIFTH, linewidth=1, linestyle="--")
    _lines(axes, curves)
    _square(axes, "recall", "precision")


def _draw_calibration(axes: Axes, curves: dict[str, dict[str, np.ndarray]]) -> None:
    both = [np.concatenate(_thinned(curve)) for curve in curves.values()]
    end = max([float(v.max()) for v in both if len(v)], default=1.0) or 1.0
    _diagonal(axes, end)
    _lines(axes, curves, marker=".", markersize=5)
    axes.set_xlim(-0.02 * end, 1.04 * end)
    axes.set_ylim(-0.02 * end, 1.04 * end)
    _named(axes, "predicted probability", "observed share of the class")


def _privacy_curves(part: Part, rare: str, figures: Figures) -> list[dict[str, Any]]:
    """Draw the ROC of the worst attack and the distances to training rows, for each group."""
    out: dict[str, dict[str, dict[str, dict[str, np.ndarray]]]] = {}
    for name, curve in part.curves.items():
        for kind, sides in (
            ("attack roc", ("synthetic", "fresh")),
            ("nearest train row", ("synthetic", "holdout")),
        ):
            for side in sides:
                if name.startswith(f"{kind} {side}"):
                    group = name.removeprefix(f"{kind} {side}").strip() or rare
                    out.setdefault(group, {}).setdefault(kind, {})[side] = curve
    return [
        {
            "group": clean(group),
            "figures": [
                (kind, figures.svg(partial(draw, curves=kinds[kind]), title, (4.4, 3.0)))
                for kind, title, draw in (
                    ("attack roc", "ROC of the worst membership attack", _draw_attack),
                    ("nearest train row", "Distance to the nearest training row", _draw_distances),
                )
                if kind in kinds
            ],
        }
        for group, kinds in out.items()
    ]


def _draw_attack(axes: Axes, curves: dict[str, dict[str, np.ndarray]]) -> None:
    _diagonal(axes)
    for side, colour in (("fresh", REAL), ("synthetic", MADE)):
        if side in curves:
            axes.plot(*_thinned(curves[side]), color=colour, linewidth=1.5)
    _square(axes, "false positive rate", "true positive rate (training rows found)")


def _draw_distances(axes: Axes, curves: dict[str, dict[str, np.ndarray]]) -> None:
    end = 0.0
    for side, colour in (("holdout", THIRD), ("synthetic", MADE)):
        if side in curves:
            x, y = _thinned(curves[side])
            axes.plot(x, y, color=colour, linewidth=1.5)
            end = max(end, float(np.interp(0.98, y, x)) if len(x) else 0.0)
    _named(axes, "distance to the nearest training row", "share of rows")
    axes.xaxis.set_major_formatter(lambda v, _: f"{v:g}")
    axes.set_xlim(-0.02 * (end or 1.0), 1.05 * (end or 1.0))  # the farthest 2 % are left out
    axes.set_ylim(-0.01, 1.02)
