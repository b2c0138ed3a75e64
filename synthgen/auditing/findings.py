"""TODO docstring."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types as pdt
from scipy.stats import fisher_exact

from synthgen.auditing.leaks import Leak
from synthgen.auditing.model import (
    Estimate,
    Model,
)
from synthgen.model_selection.intervals import wilson
from synthgen.tables.column import Column
from synthgen.tables.dtypes import tick_type
from synthgen.tables.inference import ID_NAME

# Below these rows of a class no network is trained, and none is held out to stop it early. Facts of
# synthesizers.network, which lies above this floor; a test compares them.
NETWORK_ROWS, EARLY_STOP_ROWS = 10, 200
NEAR_CONSTANT, MANY_LEVELS, LEVEL_ROWS, ID_SHARE, MUCH_MISSING = 0.995, 50, 5, 0.95, 0.5
MISSING_P, MISSING_RATIO, WORTH_A_WARNING = 0.01, 1.5, 0.01
TOO_EASY, LITTLE_LEFT = 0.97, 0.9
SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """Something to know about the table.

    Attributes:
        code: A stable name, such as ``leak_column``.
        severity: ``error`` (no figure can be trusted), ``warning`` (likely harm) or ``note``.
        column: Where; a pair as ``"a, b"``; None for the whole table.
        message: What, and what to do.
        evidence: The figures behind it.
    """

    code: str
    severity: str
    column: str | None
    message: str
    evidence: dict[str, Any]


@dataclass(frozen=True)
class Minority:
    """The rare class: all `rows`, and those that are `distinct` in their features (IDs apart)."""

    label: str
    rows: int
    share: float
    duplicates: int
    distinct: int
    rows_per_feature: float
    lesson: str


# --- findings -----------------------------------------------------------------------------------


def _of_leak(leak: Leak) -> Finding:
    name, estimate = ", ".join(leak.columns), leak.precision
    kind, noun = "leak_pair", f"columns {name} together tell"
    if len(leak.columns) == 1:
        kind, noun = "leak_column", f"column {name} alone tells"
    figure = f"average precision {said(estimate)}, guessing {estimate.reference:.3g}"
    evidence = {"average_precision": asdict(estimate)}
    if leak.certain:
        text = f"{noun} the class ({figure}): drop what is known only after the outcome"
        return Finding(kind, "error", name, text, evidence)
    text = f"{noun} much of the class ({figure}): is it known before the outcome?"
    return Finding("strong_column", "warning", name, text, evidence)


def _of_column(
    column: Column, fact: dict[str, Any], codes: np.ndarray, gone: np.ndarray
) -> list[Finding]:
    """What is odd about one column by itself."""
    name, distinct, rows = str(column.name), fact["distinct"], int((~gone).sum())
    found: list[Finding] = []

    def add(code: str, severity: str, text: str, **evidence: Any) -> None:
        found.append(Finding(code, severity, name, f"column {name}: {text}", evidence))

    if column.kind in ("missing", "constant"):
        code = {"missing": "all_missing", "constant": "constant"}[column.kind]
        add(code, "warning", f"{column.reason} teaches nothing: drop it")
        return found
    if (top := fact["top_share"]) >= NEAR_CONSTANT:
        text = f"one value in {top:.2%} of the rows: the rest is too little to learn from"
        add("near_constant", "warning", text, top_share=top)
    if (missing := fact["missing"]) >= MUCH_MISSING:
        add("missing", "warning", f"{missing:.1%} of the cells are missing", missing=missing)
    whole = column.kind in ("integer", "categorical")
    if column.kind == "id":
        add("id", "warning", f"an ID ({column.reason}): never a feature", distinct=distinct)
    elif column.kind == "text":
        text = f"free text ({column.reason}): not learned, and left empty in new rows"
        add("text", "note", text, distinct=distinct)
    elif whole and distinct >= max(MANY_LEVELS, ID_SHARE * rows):
        text = f"{distinct:,} values in {rows:,} cells: if it is an ID, say so in the schema"
        add("id_like", "warning", text, distinct=distinct, cells=rows)
    elif whole and distinct >= max(20, rows / 10) and ID_NAME.search(name):
        text = f"looks like {distinct:,} entities with several rows each: name it with --groups"
        add("entity", "warning", text, distinct=distinct)
    elif column.kind == "categorical":
        few = int((np.bincount(np.unique(codes[~gone], return_inverse=True)[1]) < LEVEL_ROWS).sum())
        if distinct >= MANY_LEVELS or few:
            text = f"{distinct} levels, {few} of them in fewer than {LEVEL_ROWS} rows: merge those"
            text = text if few else f"{distinct} levels: does each have rows enough?"
            add("many_levels", "note", text, levels=distinct, rare_levels=few)
        if pdt.is_numeric_dtype(column.dtype):
            text = f"taken for codes ({column.reason}): if wrong, say so in the schema"
            add("codes", "note", text, levels=distinct)
    return found


def _of_dates(column: Column, series: pd.Series, moment: pd.Timestamp) -> list[Finding]:
    unit = tick_type(column.dtype, column.cells)
    if unit.kind != "M":
        return []  # spans of time
    values, gone = column.numbers(series)
    stamps = values[~gone].astype(unit)
    moment = moment.tz_convert("UTC").tz_localize(None) if moment.tzinfo else moment
    # Compared in seconds: the year 9999 is no number of nanoseconds.
    later = int((stamps.astype("datetime64[s]") > np.datetime64(moment, "s")).sum())
    if not later:
        return []
    newest = str(stamps.max())
    text = (
        f"column {column.name}: {later:,} dates after {moment:%Y-%m-%d}, up to {newest}: planned, "
    )
    evidence = {"rows": later, "newest": newest}
    name, text = str(column.name), text + "mistyped, or entered after the outcome?"
    return [Finding("future_date", "warning", name, text, evidence)]


def _of_missing(
    fact: dict[str, Any], gone: np.ndarray, is_rare: np.ndarray, tests: int
) -> list[Finding]:
    """Whether being missing goes with the class: Fisher's exact test, corrected for all columns."""
    counts = [[int((g & r).sum()) for r in (is_rare, ~is_rare)] for g in (gone, ~gone)]
    p = float(np.asarray(fisher_exact(counts))[1])
    gaps, cells = (Estimate(*wilson(row[0], sum(row)), float(is_rare.mean())) for row in counts)
    empty, filled = gaps.value, cells.value
    if p >= MISSING_P / tests or max(empty, filled) < MISSING_RATIO * min(empty, filled):
        return []
    text = f"column {fact['name']}: the class is {said(gaps, '.2%')} of the rows where it is "
    text += f"missing, {said(cells, '.2%')} elsewhere: information, or how the data was collected?"
    evidence = {"share_missing": empty, "share_present": filled, "p": p}
    return [Finding("missing_informative", "warning", fact["name"], text, evidence)]


def _of_duplicates(
    groups: np.ndarray, labels: np.ndarray, is_rare: np.ndarray
) -> tuple[dict[str, float], list[Finding]]:
    size, found = labels.max() + 1, []
    pairs = np.unique(groups * size + labels)
    is_mixed = np.bincount(pairs // size, minlength=groups.max() + 1) > 1
    mixed, repeated = is_mixed[groups], len(groups) - len(pairs)
    again: dict[str, float] = {"rows": repeated, "share": repeated / len(groups)}
    clash: dict[str, float] = {
        "contradictions": int(is_mixed.sum()),
        "contradictory_rows": int(mixed.sum()),
        "contradictory_rare_rows": int((mixed & is_rare).sum()),
    }
    if repeated:
        text = f"{repeated:,} rows ({again['share']:.2%}) repeat another: keep equal rows on one "
        text += "side of every split"
        severity = "warning" if repeated >= WORTH_A_WARNING * len(groups) else "note"
        found.append(Finding("duplicates", severity, None, text, again))
    if is_mixed.any():
        of_rare = clash["contradictory_rare_rows"]
        text = (
            f"{mixed.sum():,} rows ({of_rare:,} of the rare class) have a twin of another class: "
        )
        text += "wrong labels, or the column that tells them apart is not here"
        severity = "warning" if of_rare >= WORTH_A_WARNING * is_rare.sum() else "note"
        found.append(Finding("contradictions", severity, None, text, clash))
    return again | clash, found


def _lesson(label: str, rows: int, distinct: int, features: int) -> str:
    size = f"{label!r} has {rows:,} rows, {distinct:,} of them distinct, for {features} features: "
    step = f"one row is {1 / rows:.2%} of recall; "
    if rows < 2:
        return size + "one row teaches nothing and checks nothing; collect more."
    if rows < NETWORK_ROWS:
        step += f"below {NETWORK_ROWS} rows no network is trained, new rows are these resampled"
    elif rows < EARLY_STOP_ROWS:
        step += f"a network can be trained, but below {EARLY_STOP_ROWS} rows none is held out to "
        step += "stop it early, so it may copy"
    else:
        step += "enough to train a network and to stop it early on rows held out"
    return f"{size}{step}."


def _of_labels(counts: dict[Any, int]) -> list[Finding]:
    """Classes that a person would read as one."""
    read: dict[str, list[Any]] = {}
    for label, rows in counts.items():
        if rows:
            read.setdefault(" ".join(str(label).split()).casefold(), []).append(label)
    found = []
    for same in read.values():
        if len(same) > 1:
            named = " and ".join(f"{label!r} ({counts[label]:,} rows)" for label in same)
            text = f"classes {named} differ in case or spaces only: make them one, if they are"
            evidence = {str(label): counts[label] for label in same}
            found.append(Finding("classes_alike", "warning", None, text, evidence))
    return found


def _of_class(minority: Minority, model: Model | None, is_coarse: bool) -> list[Finding]:
    """What the size of the class and the quick model say."""
    found: list[Finding] = []

    def add(code: str, severity: str, text: str, **evidence: Any) -> None:
        found.append(Finding(code, severity, None, text, evidence))

    if minority.rows < NETWORK_ROWS:
        severity = "error" if minority.rows < 2 else "warning"
        add("tiny_class", severity, minority.lesson, rows=minority.rows)
    if minority.duplicates > minority.rows / 2 and not is_coarse:
        text = (
            f"{minority.duplicates:,} of {minority.rows:,} rows of {minority.label!r} are copies, "
        )
        text += "as over-sampling makes them: go back to the table before it"
        add("copied_class", "error", text, duplicates=minority.duplicates)
    if model is None:
        add("no_model", "warning", "no model was judged: too few distinct rows, or no feature")
        return found
    ap, share = model.average_precision, minority.share
    figure = f"average precision {said(ap)}"
    if model.sampled:
        text = f"the model saw {model.rows:,} of the rows, weighted to the natural shares"
        add("sampled", "note", text, rows=model.rows)
    if share <= 0.1:
        text = f"accuracy misleads: always 'not {minority.label}' reaches {1 - share:.3%}"
        add("accuracy", "note", text, always_no=1 - share, model=model.accuracy.value)
    if ap.value >= TOO_EASY:
        text = f"too easy ({figure}): look for a leak before you believe it"
        add("too_easy", "warning", text, average_precision=ap.value)
    if ap.low <= share or model.roc_auc.low <= 0.5:
        text = f"no signal is established: {figure}, guessing {share:.3g}"
        add("no_signal", "warning", text, low=ap.low, reference=share)
    elif model.hard_share.value >= 0.1:
        text = f"{said(model.hard_share, '.0%')} of {minority.label!r} look like the others "
        text += "(50% by chance): wrong labels, "
        text += f"or columns are lacking; see rows {', '.join(map(str, model.hard_rows[:5]))}"
        add("hard_rows", "warning", text, share=asdict(model.hard_share))
    return found


def _remedies(
    minority: Minority, model: Model | None, ratio: float, codes: set[str]
) -> tuple[dict[str, str], ...]:
    """What to try, in order; measured on 12 real tables (see README), promised by nobody."""
    out = []
    if codes & {"leak_column", "leak_pair", "too_easy", "copied_class", "contradictions"}:
        why = "leaks, copies and contradictions decide every figure that follows"
        out.append(("mend the table", why))
    if minority.rows < NETWORK_ROWS or "no_signal" in codes:
        out.append(("collect rows or columns", "no remedy adds what the table does not tell"))
    if "hard_rows" in codes:
        why = "a wrong label cannot be learned away, and new rows would repeat it"
        out.append(("look at the hard rows", why))
    if model is not None and model.average_precision.low >= LITTLE_LEFT:
        why = f"average precision is {said(model.average_precision)}: little is left to gain"
        out.append(("leave the rows as they are", why))
    if model is not None:
        why = (
            f"recall at 0.5 is {said(model.recall, '.2f')}; it costs no row and leaves the ranking"
        )
        out.append(("move the threshold", why))
    if model is not None and ratio > 1 / 0.3:
        why = "the one amount without measured harm to boosting, though with no established gain; "
        why += "balancing to 1:1 ranked worse on average"
        out.append(("over-sample to 30 % of the largest class", why))
    if model is not None and ratio > 1.5:
        why = "no gain with boosting, a worse ranking with forests and logistic regression: only "
        out.append(("class weights", why + "where the threshold cannot be moved"))
        why = "SMOTE, GANs and VAEs ranked worse than doing nothing on average: compare first"
        if minority.rows < NETWORK_ROWS:
            why = f"below {NETWORK_ROWS} rows they are these resampled, which tells nothing new"
        out.append(("synthetic rows", why))
    return tuple({"remedy": remedy, "why": why} for remedy, why in out)


def said(estimate: Estimate, form: str = ".3g") -> str:
    """A figure with its interval.

    Example:
        >>> said(Estimate(0.5, 0.25, 0.75, 0.1))
        '0.5 [0.25, 0.75]'
    """
    value, low, high = (format(v, form) for v in (estimate.value, estimate.low, estimate.high))
    return f"{value} [{low}, {high}]"


def plain(value: Any) -> Any:
    """Tuples as lists, all the way down."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value
