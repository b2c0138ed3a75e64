"""Titles and meanings of the measures of an evaluation, and tables of their scores."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from synthgen.metrics.score import Score
from synthgen.report.template import clean

if TYPE_CHECKING:
    from synthgen.metrics.report import Report

KEY_FIGURES = (
    "fidelity.battery",
    "fidelity.pair_trends",
    "fidelity.column_shapes",
    "utility.replace.ap_ratio",
    "utility.augment.ap_gain",
    "privacy.copies",
    "privacy.nearer_to_train",
    "privacy.mia_excess",
)
# Title and meaning of each measure, by the part of its name after the last dot.
MEASURES = {
    "battery": (
        "Battery of detectors",
        "whether the best of four classifiers separates synthetic from holdout rows: 1 no better "
        "than other real rows, 0 as well as independent columns",
    ),
    "battery_boosting": ("Detector: boosting", "on the cells as they are"),
    "battery_arithmetic": (
        "Detector: boosting with arithmetic",
        "which also uses differences and equality of columns, repeated values and last digits",
    ),
    "battery_mlp": ("Detector: MLP", "on the ranks of numbers"),
    "battery_neighbours": ("Detector: nearest neighbours", "ten neighbours, on the ranks"),
    "column_shapes": (
        "Column shapes",
        "similarity of the values of one column, mean over columns; SDMetrics’ definition, "
        "computed by synthgen",
    ),
    "pair_trends": (
        "Pair trends",
        "similarity of two columns together, mean over all pairs; SDMetrics’ definition, "
        "computed by synthgen in the bins of train",
    ),
    "mutual_information": (
        "Mutual information",
        "similarity of the mutual information of two columns, mean over pairs",
    ),
    "missing": ("Missing cells", "similarity of the shares of missing cells"),
    "spikes": ("Spikes", "similarity of the shares of values that many rows hold, such as 0"),
    "range_coverage": ("Range covered", "share of the real range that synthetic numbers reach"),
    "category_coverage": ("Categories covered", "share of the real categories that occur"),
    "in_range": ("Within the real range", "share of synthetic numbers within the real range"),
    "alpha_precision": ("α-precision", "whether synthetic rows lie where real rows lie"),
    "beta_recall": ("β-recall", "whether synthetic rows cover every region where real rows lie"),
    "rules_kept": ("Rules kept", "share of rows that satisfy all rules that hold in real rows"),
    "target_correlation": (
        "Columns and the class",
        "similarity of each column’s association with the class, mean over columns",
    ),
    "column_shape": ("shape", ""),
    "column_target": ("with the class", ""),
    "ap_ratio": (
        "Average precision, ratio",
        "average precision divided by that with real rows instead",
    ),
    "ap_gain": ("Average precision, gain", "average precision minus that with real rows only"),
    "average_precision": ("Average precision", "area under the precision-recall curve"),
    "roc_auc": ("ROC-AUC", "area under the ROC curve; 0.5 is guessing"),
    "recall_at_precision": (
        "Recall at precision 0.5",
        "share of the class found at the threshold where half of the alarms are right",
    ),
    "balanced_accuracy": ("Balanced accuracy", "mean recall of the class and of the others"),
    "recall": ("Recall", "share of the class found"),
    "recall_gap": ("Gap of recalls", "recall of the best group minus recall of the worst"),
    "f1": ("F1", "harmonic mean of precision and recall"),
    "mcc": ("Matthews correlation", "between alarms and truth"),
    "brier": ("Brier score", "mean squared error of the probabilities"),
    "log_loss": ("Log-loss", "of the probabilities, after prior correction"),
    "calibration_slope": (
        "Calibration slope",
        "1 is right; below 1 the probabilities are too extreme",
    ),
    "copies": ("Copies", "share of synthetic rows that equal a training row"),
    "near_copies": (
        "Near-copies",
        "share closer to a training row than nearly all training rows are to each other",
    ),
    "memorised": (
        "Memorised",
        "share whose nearest training row is at most a third as far as the second nearest",
    ),
    "nndr": (
        "Nearest-neighbour ratio",
        "distance to the nearest training row divided by that to the second, median",
    ),
    "distance_q05": ("Distance, nearest 5 %", "to the nearest training row, 5 % quantile"),
    "distance_median": ("Distance, median", "to the nearest training row"),
    "nearer_to_train": (
        "Nearer to train than to the holdout",
        "share of rows; 0.5 if nothing was memorised",
    ),
    "mia_distance_auc": ("Attack by distance", "how well it separates training from other rows"),
    "mia_density_auc": (
        "Attack by density ratio",
        "the same, relative to how common a row is",
    ),
    "mia_classifier_auc": ("Attack by classifier", "the same, by boosting"),
    "mia_frequencies_auc": (
        "Attack by frequencies",
        "the same, by how much more frequent the cells of a row are in synthetic than in real rows",
    ),
    "mia_line_auc": (
        "Attack by lines",
        "the same, by lines through synthetic rows, which meet in the rows that SMOTE learned from",
    ),
    "mia_auc": (
        "Worst attack",
        "ROC-AUC of separating training rows from other rows; 0.5 is guessing",
    ),
    "mia_excess": (
        "Worst attack, excess",
        "its ROC-AUC minus that of the worst attack on fresh real rows",
    ),
    "mia_tpr_at_1": (
        "Training rows found at 1 % false alarms",
        "by the strongest attack",
    ),
    "mia_tpr_at_10": (
        "Training rows found at 10 % false alarms",
        "by the strongest attack",
    ),
    "singling_out": (
        "Risk of singling out",
        "how often a condition that fits one synthetic row fits exactly one training row, in "
        "excess of holdout rows",
    ),
    "linkability": (
        "Risk of linking",
        "how often both halves of a training row lead to the same synthetic row, in excess of "
        "holdout rows",
    ),
    "inference": (
        "Risk of inference",
        "how often a training row has the cell of its nearest synthetic row, in excess of holdout "
        "rows",
    ),
}
TITLES = {
    "replace": "Replaced",
    "augment": "Augmented",
    "whole": "All synthetic",
    "fresh": "Replaced by fresh real rows",
    "fresh_augment": "Fresh real rows added",
}


def key_scores(report: Report) -> list[Score]:
    """List scores that decided a verdict, and key scores of the rare class or first classifier."""
    deciding = {(v.key.name, v.key.group) for v in report.verdicts if v.key is not None}
    seen, out = set(), []
    for score in report.scores:
        first = score.name in KEY_FIGURES and score.name not in seen
        if first or (score.name, score.group) in deciding:
            out.append(score)
        seen.add(score.name)
    return out


def part_tables(name: str, scores: Sequence[Score], plain: set[str]) -> list[dict[str, Any]]:
    """Make the tables of a part: one row per measure, one column per group or use of the rows."""
    whole = [score for score in scores if not _is_of_column(score)]
    columns = [score for score in scores if _is_of_column(score)]
    tables: list[dict[str, Any]] = []

    def add(
        text: str, found: Sequence[Score], places: Sequence[tuple[str, str]], **more: Any
    ) -> None:
        if found:
            tables.append({"title": clean(text)} | _matrix(found, places, **more))

    if name != "utility":
        add("", whole, [(s.name, s.group) for s in whole])
    judges: dict[tuple[str, str], list[Score]] = {}
    for score in whole if name == "utility" else ():
        judge, rest = _split(score.group, plain)
        kind = "groups" if rest else "control" if ".fresh" in score.name else "rows"
        judges.setdefault((judge, kind), []).append(score)
    for (judge, kind), found in judges.items():
        if kind == "groups":
            of = [(_split(s.group, plain)[1], s.name) for s in found]
            add(f"Groups of test rows, tested with {judge}", found, of, measured=False)
        else:
            text = "Tested" if kind == "rows" else "Control: fresh real rows, tested"
            add(f"{text} with {judge}", found, [_measure_and_use(s) for s in found])
    of = [(_split(s.group, plain)[1], f"{s.name}@{_split(s.group, plain)[0]}") for s in columns]
    add("Column by column", columns, of, measured=False)
    return tables


def _measure_and_use(score: Score) -> tuple[str, str]:
    _, *use, last = score.name.split(".")
    return last, ".".join(use)


def _matrix(
    scores: Sequence[Score], places: Sequence[tuple[str, str]], *, measured: bool = True
) -> dict[str, Any]:
    """Arrange scores in a table, with rows and columns in the order of first occurrence."""
    cells: dict[str, dict[str, Score]] = {}
    notes: dict[str, Counter[str]] = {}
    for score, (row, column) in zip(scores, places, strict=True):
        cells.setdefault(row, {})[column] = score
        notes.setdefault(column, Counter())[score.note] += 1
    said = {
        column: next((note for note, n in found.items() if n > 1 and n == found.total()), "")
        for column, found in notes.items()
    }
    return {
        "heads": [
            (clean(_head(column)), clean(f"utility.{column}") if column in TITLES else "", note)
            for column, note in ((c, clean(n)) for c, n in said.items())
        ],
        "rows": [
            {
                "title": clean(title(row) if measured else row),
                "how": _meaning(row) if measured else "",
                "code": clean(row) if measured else "",
                "better": next(iter(found.values())).better if measured else "",
                "cells": [
                    score_row(found[column], said=note) if column in found else None
                    for column, note in said.items()
                ],
            }
            for row, found in cells.items()
        ],
    }


def _head(column: str) -> str:
    """Give the title of a column: a class, a use of the rows, or a measure of a class."""
    if column.startswith(("fidelity.", "utility.", "privacy.")):
        name, _, group = column.partition("@")
        return f"{title(name)}, {_all(group)}" if group else title(name)
    return TITLES.get(column, _all(column))


def _all(group: str) -> str:
    return "all rows" if group == "all" else group


def _meaning(name: str) -> str:
    return MEASURES.get(name.rpartition(".")[2], ("", ""))[1]


def _is_of_column(score: Score) -> bool:
    return score.name.rpartition(".")[2] in ("column_shape", "column_target")


def _split(group: str, plain: set[str]) -> tuple[str, str]:
    """Split a group such as ``"CLASS: COLUMN"`` into class (or classifier) and the rest."""
    if group in plain:
        return group, ""
    heads = [head for head in plain if group.startswith(f"{head}: ")]
    if heads:
        head = max(heads, key=len)
        return head, group[len(head) + 2 :]
    head, _, rest = group.partition(": ")
    return head, rest


def title(name: str) -> str:
    middle, last = name.split(".")[1:-1], name.rpartition(".")[2]
    title = MEASURES.get(last, (last.replace("_", " ").capitalize(), ""))[0]
    return f"{TITLES.get(middle[0], middle[0])}: {title}" if middle else title


def score_row(score: Score, *, said: str = "") -> dict[str, Any]:
    """Format a score for a page; `said` is a note that is not repeated."""
    return {
        "id": clean(f"{score.name}@{score.group}"),
        "name": clean(score.name),
        "title": clean(title(score.name)),
        "how": _meaning(score.name),
        "group": clean(score.group),
        "value": score.value,
        "interval": score.interval,
        "reference": score.reference,
        "floor": score.floor,
        "better": score.better,
        "note": clean(score.note if score.note != said else ""),
        "strip": _strip(score),
    }


def _strip(score: Score) -> dict[str, Any] | None:
    """Compute positions from 0 to 100 of value, reference and interval on one line."""
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
