"""What to do with a table first, and what else to try, with what is known about each remedy.

The figures are differences of average precision at the shares of the table, with 95 % intervals
over the means of tables. Those of `auto` are of ``evaluation/benchmark.md``: 24 tables, 10 to 100
rows of the class, each judged by a rule that was chosen on other tables. Those of TabFlow's rows
are of ten other tables.
"""

from __future__ import annotations

import shlex

from synthgen.auditing.examine import NETWORK_ROWS, Examined
from synthgen.auditing.findings import Finding, said
from synthgen.report.answer import Recommendation

# Average precision whose lower end leaves too little to gain.
LITTLE_LEFT = 0.9
# Rows of the most frequent class for each one of the rare, from which on a table is imbalanced.
IMBALANCED = 1.5

AVERAGE = (
    "use synthgen auto, an average of unlike learners: with 10 to 100 rows of the class it raised "
    "the average precision of boosting by 0.053 [0.023, 0.084], on 23 of 24 tables"
)
WEIGHTS = (
    "no gain in average precision was found for either (0.004 lost with 10 to 100 rows of the "
    "class); use them only where the threshold cannot be moved"
)
SYNTHETIC = (
    "to share rows, to test software, or to rebalance because you choose to; not to rank better: "
    "TabFlow's rows cost boosting 0.028 [0.011, 0.045] of average precision on ten tables with 10 "
    "to 100 rows of the class. Weighted so that they count together as much as the real rows, they "
    "cost little"
)


def remedies(examined: Examined, findings: list[Finding]) -> tuple[dict[str, str], ...]:
    """``remedy`` and ``why``, in the order in which to try them."""
    rare, model = examined.minority, examined.model
    codes = {f.code for f in findings if f.severity != "note"}
    ratio = max(examined.table.counts.values()) / rare.rows
    out: list[tuple[str, str]] = []
    if codes & {"leak_column", "leak_pair", "too_easy", "copied_class", "contradictions"}:
        why = "leaks, copies and contradictions distort every figure that follows"
        out.append(("mend the table", why))
    if rare.rows < NETWORK_ROWS or "no_signal" in codes:
        why = "no method adds information that the table does not hold"
        out.append(("collect rows or columns", why))
    if "hard_rows" in codes:
        why = "no method mends a wrong label, and synthetic rows would repeat it"
        out.append(("look at the hard rows", why))
    if model is not None and model.average_precision.low >= LITTLE_LEFT:
        why = f"average precision is {said(model.average_precision)}: little is left to gain"
        out.append(("leave the rows as they are", why))
    if model is not None:
        out.append(("average several classifiers", AVERAGE))
        why = f"recall at 0.5 is {said(model.recall, '.2f')}: a lower threshold finds more of the "
        out.append(("move the threshold", why + "class, needs no row and keeps the ranking"))
    if model is not None and ratio > IMBALANCED:
        out.append(("class weights or copies", WEIGHTS))
        few = f"with fewer than {NETWORK_ROWS} rows they are resampled from these rows"
        out.append(("synthetic rows", few if rare.rows < NETWORK_ROWS else SYNTHETIC))
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
