"""Advice after an audit: what to do first, and which methods to try, with their evidence.

The figures are differences of average precision at the shares of the table, with 95 % intervals
over the means of tables. Those of `auto` are of ``evaluation/benchmark.md``: 24 tables, 10 to 100
rows of the class, each judged by a rule that was chosen on other tables. Those of TabFlow's rows
are of ten other tables.
"""

from __future__ import annotations

import shlex

import numpy as np

from synthgen.auditing.examine import NETWORK_ROWS, Examined
from synthgen.auditing.findings import Finding, said
from synthgen.auditing.model import LISTED
from synthgen.report.answer import Recommendation

# If the lower bound of average precision is above this, too little is left to gain.
LITTLE_LEFT = 0.9
# A table counts as imbalanced from this ratio of the most frequent to the rare class.
IMBALANCED = 1.5
# From this many rows of the class, trees learn well; the benchmark's largest class size.
ROWS_FOR_TREES, BENCHMARKED = 200, 100
BROKEN = ("leak_column", "leak_pair", "too_easy", "copied_class", "contradictions")
NAMED = 3  # columns that a sentence names
FOUND = (0.8, 0.9, 0.95, 0.99)  # shares of the class that a threshold could find; the next is told


def remedies(examined: Examined, findings: list[Finding]) -> tuple[dict[str, str], ...]:
    """``remedy`` and ``why``, in the order in which to try them."""
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
        few = f"with fewer than {NETWORK_ROWS} rows they are resampled from these rows"
        out.append(("synthetic rows", few if rare.rows < NETWORK_ROWS else _synthetic(rare.rows)))
    return tuple({"remedy": remedy, "why": why} for remedy, why in out)


def recommend(examined: Examined, findings: list[Finding]) -> Recommendation:
    """The one thing to do first: mend, collect, or train."""
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
            f"Any figure of a model on this table would mislead.{others}",
            f"synthgen schema DATA {names} -o schema.json",
        )
    if rare.rows < NETWORK_ROWS:
        return Recommendation(
            "collect",
            f"Collect more rows of {label}: {rare.rows} are too few to learn from.",
            "No method adds information that the table does not hold.",
        )
    if model is None or "no_signal" in codes:
        reached = "no model could be trained"
        if model is not None:
            reached = f"a quick model reaches average precision {said(model.average_precision)}"
            reached += f", guessing {model.average_precision.reference:.3g}"
        return Recommendation(
            "collect",
            f"Collect more rows of {label}, or columns that tell more of it.",
            f"The columns are not shown to predict the class: {reached}.",
        )
    command = f"synthgen auto DATA {names} --label {shlex.quote(rare.label)} -o model.skops"
    reached = f"A quick model reaches average precision {said(model.average_precision)}"
    reached += f" (guessing {model.average_precision.reference:.3g})"
    warned = sum(f.severity == "warning" for f in findings)
    look = f" Look at {warned} warning{'s' * (warned > 1)} first." if warned else ""
    if model.average_precision.low >= LITTLE_LEFT:
        return Recommendation(
            "train",
            f"Train any classifier on the table as it is: little is left to gain on {label}.{look}",
            f"{reached}.",
            command,
        )
    return Recommendation(
        "use auto",
        f"Train an average of unlike learners on the table as it is, to find {label}.{look}",
        f"{reached}. On 23 of 24 tables such an average ranked a class of 10 to 100 rows better "
        f"than boosting; synthetic rows did not.",
        command,
    )


WEIGHTS = (
    "no gain in average precision was found for either (0.004 lost with 10 to 100 rows of the "
    "class); use them only where the threshold cannot be moved"
)


def _mend(findings: list[Finding]) -> str:
    worst = [f for f in findings if f.code in BROKEN and f.severity != "note"]
    columns = list(dict.fromkeys(f.column for f in worst if f.column))
    names = ", ".join(repr(name) for name in columns[:NAMED])
    names += f" and {len(columns) - NAMED} more" if len(columns) > NAMED else ""
    if columns:
        return f"look at {names} first: what they give away distorts every figure that follows"
    return "leaks, copies and contradictions distort every figure that follows"


def _collect(examined: Examined, no_signal: bool) -> str:
    rows, model = examined.minority.rows, examined.model
    if no_signal and model is not None:
        return (
            f"the quick model ranks no better than chance (average precision "
            f"{said(model.average_precision)}, chance {examined.minority.share:.3g}), and no "
            f"method adds information that the table does not hold"
        )
    return f"{rows} rows: no method adds information that the table does not hold"


def _hard(rows: tuple[int, ...]) -> str:
    shown = ", ".join(map(str, rows[:NAMED]))
    some = f"{len(rows)} or more" if len(rows) == LISTED else f"{len(rows)}"
    return (
        f"{some} rows of the class look less like it than half of the others; begin with rows "
        f"{shown} (from 0). No method mends a wrong label, and synthetic rows would repeat it"
    )


def _average(rows: int) -> str:
    gain = (
        "use synthgen auto, an average of unlike learners: with 10 to 100 rows of the class it "
        "raised the average precision of boosting by 0.053 [0.023, 0.084], on 23 of 24 tables"
    )
    if rows <= BENCHMARKED:
        return gain
    return f"{gain}; with {rows:,} rows of the class expect less, which synthgen auto measures"


def _threshold(examined: Examined) -> str:
    """What is found at 0.5, and what finding more costs, by the scores of the quick model."""
    model, scored = examined.model, examined.scored
    if model is None or scored is None:
        return "a lower threshold finds more of the class, needs no row and keeps the ranking"
    scores, is_rare = scored
    wanted = next((share for share in FOUND if share > model.recall.value), FOUND[-1])
    place = max(0, int(np.ceil(wanted * is_rare.sum())) - 1)
    threshold = float(np.sort(scores[is_rare])[::-1][place])
    hits = int((scores[is_rare] >= threshold).sum())
    others = len(examined.table) - examined.minority.rows
    alarms = float((scores[~is_rare] >= threshold).mean()) * others
    of_all = hits * examined.minority.rows / max(int(is_rare.sum()), 1)
    return (
        f"at 0.5 the quick model finds {said(model.recall, '.0%')} of the class; at "
        f"{threshold:.2g} it finds {wanted:.0%}, with {alarms / max(of_all, 1):.2g} false alarms "
        f"for each hit. That needs no row and keeps the ranking"
    )


def _synthetic(rows: int) -> str:
    by = "trees" if rows >= ROWS_FOR_TREES else "tabflow"
    return (
        f"to share rows or to test software (synthgen augment --synthesizer {by}), not to rank "
        f"better: TabFlow's rows cost boosting 0.028 [0.011, 0.045] of average precision on ten "
        f"tables with 10 to 100 rows of the class. Weighted so that they count together as much as "
        f"the real rows, they cost little"
    )
