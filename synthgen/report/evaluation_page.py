"""The page of an evaluation: verdicts, and every figure beside its reference."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from synthgen import __version__
from synthgen.evaluating import Report
from synthgen.files import write_text
from synthgen.metrics.rows import Space
from synthgen.metrics.score import Part, Score
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
    short,
)
from synthgen.report.template import clean, fill
from synthgen.table import Column, Table

MAX_FIGURES, MAX_ASSOCIATED, PAIR_ROWS, SHOWN_PAIRS, POINTS = 24, 24, 5000, 10, 200
COMPARED = ("numeric", "integer", "datetime", "categorical", "boolean")
FULL = 0.5  # a difference of associations this great has the full colour

KEY_FIGURES = (
    "fidelity.c2st_boosting",
    "fidelity.pair_trends",
    "fidelity.column_shapes",
    "utility.replace.ap_ratio",
    "utility.augment.ap_gain",
    "privacy.copies",
    "privacy.nearer_to_train",
    "privacy.mia_excess",
)
# What a measure is called, and what it means, by the part of its name after the last dot.
MEASURES = {
    "c2st_boosting": (
        "Two-sample test, boosting",
        "whether boosting tells synthetic from train rows: 1 never, 0 always",
    ),
    "c2st_logistic": (
        "Two-sample test, logistic regression",
        "the same with a linear model, blind to all but shifts of columns",
    ),
    "c2st_boosting_holdout": (
        "Two-sample test against the holdout, boosting",
        "rows that are near copies of train rows look less real here than above",
    ),
    "c2st_logistic_holdout": (
        "Two-sample test against the holdout, logistic regression",
        "the same with a linear model",
    ),
    "column_shapes": ("Column shapes", "likeness of the values of one column, mean over columns"),
    "pair_trends": ("Pair trends", "likeness of two columns together, mean over pairs"),
    "mutual_information": (
        "Mutual information",
        "likeness of what one column tells about another, mean over pairs",
    ),
    "missing": ("Missing cells", "likeness of the shares of missing cells"),
    "spikes": ("Spikes", "likeness of the shares of values that many rows hold, such as 0"),
    "range_coverage": ("Range covered", "share of the real range that synthetic numbers reach"),
    "category_coverage": ("Categories covered", "share of the real categories that occur"),
    "in_range": ("Within the real range", "share of synthetic cells that lie in it"),
    "alpha_precision": ("α-precision", "whether synthetic rows lie where real rows lie"),
    "beta_recall": ("β-recall", "whether synthetic rows reach everywhere where real rows lie"),
    "rules_kept": ("Rules kept", "share of rows that break no rule which all real rows keep"),
    "target_correlation": (
        "Columns and the class",
        "likeness of how columns go with the class, mean over columns",
    ),
    "column_shape": ("shape", ""),
    "column_target": ("with the class", ""),
    "ap_ratio": (
        "Average precision, ratio",
        "average precision over that of the real rows in their place",
    ),
    "ap_gain": ("Average precision, gain", "average precision minus that of the real rows"),
    "average_precision": ("Average precision", "area under the precision-recall curve"),
    "roc_auc": ("ROC-AUC", "area under the ROC curve; 0.5 is guessing"),
    "recall_at_precision": (
        "Recall at precision 0.5",
        "share of the class found while half of the alarms are right",
    ),
    "balanced_accuracy": ("Balanced accuracy", "mean recall of the class and of the others"),
    "recall": ("Recall", "share of the class found"),
    "recall_gap": ("Gap of recalls", "between the group found best and the one found worst"),
    "f1": ("F1", "harmonic mean of precision and recall"),
    "mcc": ("Matthews correlation", "between alarms and truth"),
    "brier": ("Brier score", "mean squared error of the probabilities"),
    "log_loss": ("Log-loss", "of the probabilities, after prior correction"),
    "calibration_slope": (
        "Calibration slope",
        "1 where probabilities are as sure as they should be, below where too sure",
    ),
    "copies": ("Copies", "share of synthetic rows that are a training row"),
    "near_copies": (
        "Near-copies",
        "share nearer to one training row than nearly all training rows are to each other",
    ),
    "memorised": (
        "Memorised",
        "share at most a third as far from one training row as from any other",
    ),
    "nndr": (
        "Nearest-neighbour ratio",
        "distance to the nearest over that to the second nearest training row, median",
    ),
    "distance_q05": ("Distance, nearest 5 %", "to the nearest training row, 5 % quantile"),
    "distance_median": ("Distance, median", "to the nearest training row"),
    "nearer_to_train": (
        "Nearer to train than to the holdout",
        "share of rows; 0.5 where nothing was memorised",
    ),
    "mia_distance_auc": ("Attack by distance", "how well it tells training rows from others"),
    "mia_density_auc": ("Attack by density ratio", "the same, beside how common such rows are"),
    "mia_classifier_auc": ("Attack by classifier", "the same, by boosting"),
    "mia_line_auc": ("Attack by lines", "the same, by lines that meet; finds SMOTE’s inputs"),
    "mia_auc": ("Worst attack", "ROC-AUC of telling training rows from others; 0.5 is guessing"),
    "mia_excess": (
        "Worst attack, excess",
        "its ROC-AUC minus that of the worst attack on fresh real rows",
    ),
    "mia_tpr_at_1": (
        "Training rows found at 1 % false alarms",
        "by the worst attack",
    ),
    "mia_tpr_at_10": (
        "Training rows found at 10 % false alarms",
        "by the worst attack",
    ),
}
USES = {
    "real": ("real rows only", REAL),
    "replace": ("class replaced by synthetic rows", MADE),
    "augment": ("real rows and synthetic rows", THIRD),
    "whole": ("synthetic rows only", FOURTH),
}
TITLES = {
    "replace": "Replaced",
    "augment": "Augmented",
    "whole": "All synthetic",
    "fresh": "Control, fresh real rows",
    "fresh_augment": "Control, fresh real rows added",
}
PARTS = {
    "fidelity": (
        "Fidelity: do the rows look real?",
        "Real rows that are disjoint from train stand in the synthetic rows’ place for the "
        "reference; the floor is what independent columns reach, which have the right values and "
        "no connection.",
    ),
    "utility": (
        "Utility: does a classifier learn from them?",
        "Every classifier is tested on real held-out rows with the shares of the classes as they "
        "are. The reference learned from real rows in the synthetic rows’ place; the floor from "
        "noise.",
    ),
    "privacy": (
        "Privacy: do they give training rows away?",
        "Fresh real rows that nobody learned from stand in the synthetic rows’ place for the "
        "reference: what they score gives nobody away.",
    ),
}
_CURVE = re.compile(r"(roc|pr|calibration) (.+) (real|replace|augment|whole)", re.DOTALL)


def write_evaluation(report: Report, path: str | os.PathLike[str]) -> None:
    """Write the page of a report: one HTML file that needs no network.

    Args:
        report: What `synthgen.evaluate` returned.
        path: Of the file, which is replaced if it is there.

    Raises:
        OutputError: The file cannot be written.
    """
    write_text(path, render_evaluation(report))


def render_evaluation(report: Report) -> str:
    """The page of a report as text; the same report gives the same text."""
    figures = Figures()
    plain = {"all", report.label, *(str(c["label"]) for c in report.classes)}
    parts = []
    for name, part in report.parts.items():
        title, how = PARTS[name]
        parts.append(
            {
                "name": name,
                "title": title,
                "how": how,
                "tables": _tables(part.scores, plain),
                "columns": _column_tables(part.scores, plain),
                "notes": [clean(note) for note in part.notes],
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
        verdicts=[
            {"part": v.part, "outcome": v.outcome, "sentence": clean(v.sentence)}
            for v in report.verdicts
        ],
        key_rows=[_row(score) for score in _key_scores(report)],
        parts=parts,
        pictures=_column_figures(report, figures),
        associations=_associations(report, figures),
        curves=_utility_curves(report.utility, figures),
        attacks=_privacy_curves(report.privacy, report.label, figures),
        notes=[clean(note) for note in report.notes],
        seed=report.seed,
        seconds=report.seconds,
        version=__version__,
    )


# --- scores ---------------------------------------------------------------------------------------

_KEYS = {REAL: "real", MADE: "made", THIRD: "third", FOURTH: "fourth", FIFTH: "fifth"}


def _key_scores(report: Report) -> list[Score]:
    """What decided, and a few more; of the rare class, or of the first judge."""
    deciding = {(v.key.name, v.key.group) for v in report.verdicts if v.key is not None}
    seen, out = set(), []
    for score in report.scores:
        first = score.name in KEY_FIGURES and score.name not in seen
        if first or (score.name, score.group) in deciding:
            out.append(score)
        seen.add(score.name)
    return out


def _tables(scores: Sequence[Score], plain: set[str]) -> list[dict[str, Any]]:
    """One table for each class or judge; what stands for a part of it, in one more."""
    out: dict[tuple[str, bool], list[dict[str, Any]]] = {}
    for score in scores:
        if _is_of_column(score):
            continue
        head, rest = _split(score.group, plain)
        out.setdefault((head, bool(rest)), []).append(_row(score, rest))
    return [
        {"group": clean(head), "parted": parted, "rows": rows}
        for (head, parted), rows in out.items()
    ]


def _column_tables(scores: Sequence[Score], plain: set[str]) -> list[dict[str, Any]]:
    """One table for each class, with one row for each column."""
    out: dict[str, dict[str, dict[str, dict[str, Any]]]] = {}
    for score in scores:
        if _is_of_column(score):
            head, column = _split(score.group, plain)
            out.setdefault(head, {}).setdefault(column, {})[score.name] = _row(score)
    tables = []
    for head, columns in out.items():
        names = list(dict.fromkeys(name for found in columns.values() for name in found))
        tables.append(
            {
                "group": clean(head),
                "names": [(name, _title(name)) for name in names],
                "rows": [
                    (clean(column), [found.get(name) for name in names])
                    for column, found in columns.items()
                ],
            }
        )
    return tables


def _is_of_column(score: Score) -> bool:
    return score.name.rpartition(".")[2] in ("column_shape", "column_target")


def _split(group: str, plain: set[str]) -> tuple[str, str]:
    """The class or judge, and what it stands before: ``"CLASS: COLUMN"``."""
    if group in plain:
        return group, ""
    heads = [head for head in plain if group.startswith(f"{head}: ")]
    if heads:
        head = max(heads, key=len)
        return head, group[len(head) + 2 :]
    head, _, rest = group.partition(": ")
    return head, rest


def _title(name: str) -> str:
    _, *middle, last = name.split(".")
    title = MEASURES.get(last, (last.replace("_", " ").capitalize(), ""))[0]
    return f"{TITLES.get(middle[0], middle[0])}: {title}" if middle else title


def _row(score: Score, rest: str = "") -> dict[str, Any]:
    return {
        "id": clean(f"{score.name}@{score.group}"),
        "name": clean(score.name),
        "title": clean(_title(score.name)),
        "how": MEASURES.get(score.name.rpartition(".")[2], ("", ""))[1],
        "group": clean(score.group),
        "rest": clean(rest),
        "value": score.value,
        "interval": score.interval,
        "reference": score.reference,
        "floor": score.floor,
        "better": score.better,
        "note": clean(score.note),
        "strip": _strip(score),
    }


def _strip(score: Score) -> dict[str, Any] | None:
    """Places, from 0 to 100, of the figures of a score on one line."""
    figures = {"value": score.value, "reference": score.reference, "floor": score.floor}
    low, high = score.interval or (None, None)
    figures |= {"low": low, "high": high}
    known = {k: v for k, v in figures.items() if v is not None and math.isfinite(v)}
    if "value" not in known:
        return None
    least, most = min(0.0, *known.values()), max(1.0, *known.values())
    return {
        k: round(100 * (v / 2 - least / 2) / (most / 2 - least / 2), 1) for k, v in known.items()
    }


# --- columns --------------------------------------------------------------------------------------


def _of_class(report: Report) -> list[Table] | None:
    """Rows of the rare class in train, synthetic and holdout; None where one has none."""
    names = [str(c) for c in report.train.schema.classes]
    if report.label not in names:
        return None
    place = names.index(report.label)
    tables = [t.rows(t.labels == place) for t in (report.train, report.synthetic, report.holdout)]
    return None if min(map(len, tables)) == 0 else tables


def _column_figures(report: Report, figures: Figures) -> dict[str, Any]:
    tables = _of_class(report)
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
                "row": None if score is None else _row(score),
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


# --- associations ---------------------------------------------------------------------------------


def _associations(report: Report, figures: Figures) -> dict[str, Any] | None:
    """How two columns of the rare class go together, synthetic and holdout beside train."""
    tables = _of_class(report)
    if tables is None:
        return None
    space = Space.of(tables[0], with_target=False)
    rng = np.random.default_rng(0)
    rows = min(PAIR_ROWS, *map(len, tables))
    cells = [space.cells(t)[np.sort(rng.permutation(len(t))[:rows])] for t in tables]
    varies = [j for j in range(len(space.columns)) if len(np.unique(cells[0][:, j])) > 1]
    kept = varies[:MAX_ASSOCIATED]
    if rows < 3 or len(kept) < 2:
        return None
    train, made, fresh = (_associated(c[:, kept], space.is_level[kept]) for c in cells)
    names = [clean(space.names[j]) for j in kept]
    pairs = [
        {
            "pair": f"{names[a]} · {names[b]}",
            "train": float(train[a, b]),
            "made": float(made[a, b]),
            "fresh": float(fresh[a, b]),
            "far": abs(float(made[a, b] - train[a, b])),
        }
        for a, b in combinations(range(len(names)), 2)
    ]
    pairs.sort(key=lambda p: -p["far"])
    side = max(3.2, 0.17 * len(names) + 1.6)
    return {
        "maps": [
            (
                title,
                figures.svg(
                    partial(_draw_map, far=other - train, names=names), title, (side, side)
                ),
            )
            for title, other in (
                ("Synthetic minus train rows", made),
                ("Reference: holdout minus train rows", fresh),
            )
        ],
        "pairs": pairs[:SHOWN_PAIRS],
        "means": [
            float(np.mean([abs(other[a, b] - train[a, b]) for a, b in _pairs(len(names))]))
            for other in (made, fresh)
        ],
        "rows": rows,
        "rest": len(varies) - len(kept),
    }


def _pairs(columns: int) -> list[tuple[int, int]]:
    return list(combinations(range(columns), 2))


def _associated(cells: np.ndarray, is_level: np.ndarray) -> np.ndarray:
    """Spearman's ρ of two numbers, Cramér's V of two columns of levels, the correlation ratio of
    ranks of one of each; on rows that have both, 0 where one does not vary. Shape (columns,
    columns).
    """
    ranks = pd.DataFrame(cells).rank().to_numpy()
    found = np.eye(cells.shape[1])
    for a, b in _pairs(cells.shape[1]):
        both = ~np.isnan(cells[:, a]) & ~np.isnan(cells[:, b])
        if is_level[a] and is_level[b]:
            value = _cramer(cells[both, a].astype(int), cells[both, b].astype(int))
        elif is_level[a] or is_level[b]:
            level, number = (a, b) if is_level[a] else (b, a)
            value = _ratio(cells[both, level].astype(int), ranks[both, number])
        else:
            one, two = ranks[both, a], ranks[both, b]
            spread = one.std() * two.std() if both.any() else 0.0
            value = ((one - one.mean()) * (two - two.mean())).mean() / spread if spread else 0.0
        found[a, b] = found[b, a] = value
    return found


def _cramer(one: np.ndarray, two: np.ndarray) -> float:
    one, two = (np.unique(codes, return_inverse=True)[1] for codes in (one, two))
    if not len(one) or not one.any() or not two.any():
        return 0.0
    width = int(two.max()) + 1
    joint = np.bincount(one * width + two, minlength=(int(one.max()) + 1) * width) / len(one)
    joint = joint.reshape(-1, width)
    expected = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
    squared = ((joint - expected) ** 2 / expected).sum() / (min(joint.shape) - 1)
    return float(np.sqrt(min(1.0, squared)))


def _ratio(level: np.ndarray, number: np.ndarray) -> float:
    if not len(level) or not number.std():
        return 0.0
    count = np.bincount(level)
    mean = np.bincount(level, number) / np.maximum(count, 1)
    between = (count * (mean - number.mean()) ** 2).sum() / len(number)
    return float(np.sqrt(between / number.var()))


def _draw_map(axes: Axes, far: np.ndarray, names: list[str]) -> None:
    """Below the diagonal: the colour of synthetic rows where they go together more, that of real
    rows where less.
    """
    size = len(names)
    for a in range(size):
        for b in range(a):
            depth = min(1.0, abs(far[a, b]) / FULL)
            if depth < 0.02:
                continue
            axes.fill(
                [b, b + 1, b + 1, b],
                [a, a, a + 1, a + 1],
                color=MADE if far[a, b] > 0 else REAL,
                alpha=round(depth, 2),
                linewidth=0,
            )
    grid = {"color": INK, "linewidth": 0.3, "alpha": 0.3}
    for k in range(size):
        axes.plot([k, k], [max(k, 1), size], **grid)
        axes.plot([0, min(k + 1, size - 1)], [k + 1, k + 1], **grid)
    places = np.arange(size) + 0.5
    axes.set_yticks(places[1:], [short(n, 16) for n in names[1:]], fontsize=7)
    axes.set_xticks(places[:-1], [short(n, 16) for n in names[:-1]], fontsize=7, rotation=90)
    axes.tick_params(length=0)
    for text in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        text.set_parse_math(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xlim(0, size - 1)
    axes.set_ylim(size, 1)


# --- curves ---------------------------------------------------------------------------------------


def _utility_curves(part: Part, figures: Figures) -> list[dict[str, Any]]:
    """ROC, precision-recall and calibration, for each judge."""
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
    _square(axes, "false alarms, of the others", "found, of the class")


def _draw_pr(axes: Axes, curves: dict[str, dict[str, np.ndarray]]) -> None:
    ends = [_thinned(curve)[1] for curve in curves.values()]
    share = next((float(y[-1]) for y in ends if len(y)), None)
    if share is not None:  # where every row is an alarm, the share of the class is right
        axes.axhline(share, color=FIFTH, linewidth=1, linestyle="--")
    _lines(axes, curves)
    _square(axes, "found, of the class (recall)", "right, of the alarms (precision)")


def _draw_calibration(axes: Axes, curves: dict[str, dict[str, np.ndarray]]) -> None:
    both = [np.concatenate(_thinned(curve)) for curve in curves.values()]
    end = max([float(v.max()) for v in both if len(v)], default=1.0) or 1.0
    _diagonal(axes, end)
    _lines(axes, curves, marker=".", markersize=5)
    axes.set_xlim(-0.02 * end, 1.04 * end)
    axes.set_ylim(-0.02 * end, 1.04 * end)
    _named(axes, "probability given", "share of the class among them")


def _privacy_curves(part: Part, rare: str, figures: Figures) -> list[dict[str, Any]]:
    """ROC of the worst attack, and distances to the nearest training row, for each group."""
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
    _square(axes, "other rows suspected", "training rows found")


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
