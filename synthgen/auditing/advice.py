"""Advice after an audit: what to do first, and which methods to try, with their evidence.

The figures are differences of average precision at the natural class shares, with 95 % intervals
over the means of tables. The figures of `auto` come from ``evaluation/benchmark.md``: 24 tables
with 10 to 100 rows of the class; the rule for each table was chosen on other tables, at these
numbers of rows. The figures of TabFlow come from ten other tables.
"""

from __future__ import annotations

import shlex

import numpy as np

from synthgen.auditing.examine import NETWORK_ROWS, Examined
from synthgen.auditing.findings import Finding, said
from synthgen.auditing.model import LISTED
from synthgen.report.answer import Recommendation
from synthgen.synthesizers.lookup import chosen_for

# If the lower bound of average precision is above this, too little is left to gain.
LITTLE_LEFT = 0.9
# A table counts as imbalanced from this ratio of the most frequent to the rare class.
IMBALANCED = 1.5
# The figures of the benchmark hold for at most this many rows of the class.
BENCHMARKED = 100
BROKEN = ("leak_column", "leak_pair", "too_easy", "copied_class", "contradictions")
NAMED = 3  # columns that a sentence names
FOUND = (0.8, 0.9, 0.95, 0.99)  # recalls; the lowest that exceeds recall at 0.5 is shown
# A model hardly beats guessing if it has more than this share of the false alarms of guessing.
LIKE_GUESSING = 2 / 3


def remedies(examined: Examined, findings: list[Finding]) -> tuple[dict[str, str], ...]:
    """List the methods to try, in this order, as dictionaries with ``remedy`` and ``why``."""
    rare, model = examined.minority, examined.model
    codes = {f.code for f in findings if f.severity != "note"}
    ratio = max(examined.table.counts.values()) / rare.rows
    out: list[tuple[str, str]] = []
    if codes & set(BROKEN):
        out.append(("mend the table", _mend(findings)))
    if rare.rows < NETWORK_ROWS or "no_signal" in codes:
        out.append(("collect rows or columns", _collect(examined, "no_signal" in codes)))
    if "hard_rows" in codes and model is not None:
        out.append(("look at the hard rows", _hard(model.hard_rows)))
    if model is not None and model.average_precision.low >= LITTLE_LEFT:
        why = f"average precision is {said(model.average_precision)}: little is left to gain"
        out.append(("leave the rows as they are", why))
    if model is not None:
        out.append(("average several classifiers", _average(rare.rows)))
        out.append(("move the threshold", _threshold(examined)))
    if model is not None and ratio > IMBALANCED:
        out.append(("class weights or copies", WEIGHTS))
        few = f"with fewer than {NETWORK_ROWS} rows of the class, new rows are only resampled ones"
        out.append(("synthetic rows", few if rare.rows < NETWORK_ROWS else _synthetic(rare.rows)))
    return tuple({"remedy": remedy, "why": why} for remedy, why in out)


def recommend(examined: Examined, findings: list[Finding]) -> Recommendation:
    """Recommend what to do first: mend the table, collect rows, or train."""
    rare, model = examined.minority, examined.model
    label = repr(rare.label)
    names = f"--target {shlex.quote(str(examined.table.schema.target))}"
    errors = [f for f in findings if f.severity == "error"]
    codes = {f.code for f in findings if f.severity != "note"}
    if errors:
        first, more = errors[0].message, len(errors) - 1
        others = f" {more} more error{'s' * (more > 1)} below." if more else ""
        return Recommendation(
            "mend",
            f"Mend the table first: {first}.",
            f"Until then, no score of a model on this table can be trusted.{others}",
            f"synthgen schema DATA {names} -o schema.json",
        )
    if rare.rows < NETWORK_ROWS:
        return Recommendation(
            "collect",
            f"Collect more rows of {label}: {rare.rows} are too few to train on.",
            "No method can add information that is not in the table.",
        )
    if model is None or "no_signal" in codes:
        reached = "no model could be trained"
        if model is not None:
            reached = f"a quick model has average precision {said(model.average_precision)}"
            reached += f", guessing {model.average_precision.reference:.3g}"
        return Recommendation(
            "collect",
            f"Collect more rows of {label}, or columns that predict it better.",
            f"The columns are not shown to predict the class: {reached}.",
        )
    command = f"synthgen auto DATA {names} --label {shlex.quote(rare.label)} -o model.skops"
    reached = f"A quick model has average precision {said(model.average_precision)}"
    reached += f" (guessing {model.average_precision.reference:.3g})"
    warned = sum(f.severity == "warning" for f in findings)
    check = f" Check {warned} warning{'s' * (warned > 1)} first." if warned else ""
    if model.average_precision.low >= LITTLE_LEFT:
        return Recommendation(
            "train",
            f"Train any classifier on the table as it is: it can find {label} well.{check}",
            f"{reached}, so little is left to gain.",
            command,
        )
    gain = gain_of_auto(rare.rows)
    gain += "; synthetic rows did not help" if rare.rows <= BENCHMARKED else ""
    return Recommendation(
        "use auto",
        f"Train synthgen auto on the table as it is, to find {label}: an average of boosting, a "
        f"random forest, extra trees and logistic regression.{check}",
        f"{reached}. {gain}.",
        command,
    )


def gain_of_auto(rows: int) -> str:
    """Say what is known of the gain of `auto`, from the nearest measured numbers of rows."""
    rest = ""
    if rows <= BENCHMARKED:
        first, tables = f"{NETWORK_ROWS} to {BENCHMARKED}", "23 of 24"
    elif rows < 300:
        first, tables, rest = "100", "19 of 20", ", and with 300 rows on 10 of 11"
    else:
        first, tables = "300", "10 of 11"
        rest = "; with thousands of rows, on 6 tables, it was no better"
    return (
        f"With {first} rows of the class, synthgen auto had a higher average precision than "
        f"boosting on {tables} other tables{rest}"
    )


WEIGHTS = (
    "neither gained average precision (with 10 to 100 rows of the class, it was 0.004 lower); use "
    "them only if the threshold cannot be moved"
)


def _mend(findings: list[Finding]) -> str:
    worst = [f for f in findings if f.code in BROKEN and f.severity != "note"]
    columns = list(dict.fromkeys(f.column for f in worst if f.column))
    names = ", ".join(repr(name) for name in columns[:NAMED])
    names += f" and {len(columns) - NAMED} more" if len(columns) > NAMED else ""
    if columns:
        return f"check {names} first: a leak, copies or wrong labels make every score misleading"
    return "leaks, copies and contradictions make every score misleading"


def _collect(examined: Examined, no_signal: bool) -> str:
    rows, model = examined.minority.rows, examined.model
    if no_signal and model is not None:
        return (
            f"the quick model is not shown to be better than guessing (average precision "
            f"{said(model.average_precision)}, guessing {examined.minority.share:.3g}), and no "
            f"method can add information that is not in the table"
        )
    return f"{rows} rows are few, and no method can add information that is not in the table"


def _hard(rows: tuple[int, ...]) -> str:
    shown = ", ".join(map(str, rows[:NAMED]))
    some = f"{len(rows)} or more" if len(rows) == LISTED else f"{len(rows)}"
    return (
        f"the quick model scores {some} rows of the class lower than half of the other rows; check "
        f"their labels, first of rows {shown} (counted from 0). No method corrects a wrong label, "
        f"and synthetic rows would repeat it"
    )


def _average(rows: int) -> str:
    gain = (
        "synthgen auto averages boosting, a random forest, extra trees and logistic regression. On "
        "24 tables with 10 to 100 rows of the class, its average precision was 0.054 [0.028, "
        "0.080] above that of boosting, and higher on 23 of them"
    )
    if rows <= BENCHMARKED:
        return gain
    return (
        f"{gain}. With 300 rows it was 0.057 [0.032, 0.082] above that of boosting, and higher on "
        f"10 of 11 tables; with thousands of rows, on 6 tables, it was no better"
    )


def _threshold(examined: Examined) -> str:
    """Describe recall at the threshold 0.5, and the false alarms at a lower threshold."""
    model, scored = examined.model, examined.scored
    if model is None or scored is None:
        return "a lower threshold finds more of the class, without new rows or a new model"
    scores, is_rare = scored
    wanted = next((share for share in FOUND if share > model.recall.value), FOUND[-1])
    last = max(0, int(np.ceil(wanted * is_rare.sum())) - 1)
    threshold = float(np.sort(scores[is_rare])[::-1][last])
    hits = int((scores[is_rare] >= threshold).sum())
    others = len(examined.table) - examined.minority.rows
    alarms = float((scores[~is_rare] >= threshold).mean()) * others
    of_all = hits * examined.minority.rows / max(int(is_rare.sum()), 1)
    wrong, guessed = alarms / max(of_all, 1), others / examined.minority.rows
    enough = "That needs neither new rows nor a new model"
    if wrong > LIKE_GUESSING * guessed:
        enough = "There it hardly beats guessing, so a lower threshold alone is not enough"
    return (
        f"at 0.5 the quick model finds {said(model.recall, '.0%')} of the class; at "
        f"{threshold:.2g} it finds {wanted:.0%}, with {_per_hit(wrong)} false alarms for each hit "
        f"(guessing: {_per_hit(guessed)}). {enough}"
    )


def _per_hit(alarms: float) -> str:
    """False alarms for each hit, with two digits."""
    return f"{alarms:.2g}" if alarms < 10 else f"{alarms:,.0f}"


def _synthetic(rows: int) -> str:
    return (
        f"use them to test software (synthgen augment --synthesizer {chosen_for(rows)}), not to "
        f"rank better: on ten tables with 10 to 100 rows of the class, rows of TabFlow lowered the "
        f"average precision of boosting by 0.028 [0.011, 0.045]. With weights, so that they count "
        f"as much as the real rows together, the loss was small"
    )
