"""What to try on a table, in order, with what is known about each remedy.

The figures are of real tables that had no say in any choice: ten tables, 25 combinations of a table
and 10, 30 or 100 rows of the rare class, three to four splits. They are differences of average
precision at the shares of the table, with 95 % intervals from a bootstrap over the tables.
"""

from __future__ import annotations

from synthgen.auditing.examine import NETWORK_ROWS, Examined
from synthgen.auditing.findings import Finding, said

# Average precision whose lower end leaves too little to gain.
LITTLE_LEFT = 0.9
# Rows of the most frequent class for each one of the rare, from which on a table is imbalanced.
IMBALANCED = 1.5

AVERAGE = (
    "use `synthgen auto`, or average the probabilities of small boosting, a forest and extra "
    "trees: on ten tables with 10 to 100 rows of the class that raised average precision by 0.017 "
    "[0.008, 0.028]"
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
