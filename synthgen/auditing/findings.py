"""The findings of an audit: one function for each kind of problem.

To add a finding, write a function and add it to `OF_COLUMN` (called for each feature) or to
`OF_TABLE` (called once).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from pandas.api import types as pdt
from scipy.stats import fisher_exact

from synthgen.auditing.examine import NETWORK_ROWS, Examined, ExaminedColumn
from synthgen.auditing.leaks import Leak
from synthgen.auditing.model import Estimate, share_of
from synthgen.tables.dtypes import row_of, tick_type
from synthgen.tables.inference import ID_NAME
from synthgen.tables.notes import READS_AS

SEVERITIES = ("error", "warning", "note")
# Thresholds for one column: share of the most frequent value, number of categories, rows per
# category, distinct values divided by cells, share of missing cells.
NEAR_CONSTANT, MANY_LEVELS, LEVEL_ROWS, ID_SHARE, MUCH_MISSING = 0.995, 50, 5, 0.95, 0.5
# Matches the reason of a text column that looks like numbers or dates.
READ_AS = re.compile(r"most (?:look )?like (numbers|dates)")
# Missing cells that depend on the class: largest p (Bonferroni-corrected) and smallest ratio.
MISSING_P, MISSING_RATIO = 0.01, 1.5
# Duplicates or contradictions give a warning from this fraction of the rows.
WORTH_A_WARNING = 0.01
# From this average precision, a leak is more likely than an easy class.
TOO_EASY = 0.97
# Hard rows give a warning if this fraction of the class scores below the median of the others.
HARD_SHARE = 0.1


@dataclass(frozen=True)
class Finding:
    """One problem or fact found by an audit.

    Attributes:
        code: A stable identifier, such as ``leak_column``.
        severity: ``error`` (scores on this table cannot be trusted), ``warning`` (likely to harm a
            model) or ``note``.
        column: The affected column, a pair as ``"a, b"``; None for the whole table.
        message: What was found, and what to do about it.
        evidence: The numbers behind the message.
    """

    code: str
    severity: str
    column: str | None
    message: str
    evidence: dict[str, Any]


def find(examined: Examined) -> list[Finding]:
    """All findings, errors first; within a severity, in the order of `OF_COLUMN`, `OF_TABLE`."""
    found = of_leaks(examined)
    for column in examined.columns:
        for check in OF_COLUMN:
            found += check(column, examined)
    for check in OF_TABLE:
        found += check(examined)
    return sorted(found, key=lambda f: SEVERITIES.index(f.severity))


# --- one column ---------------------------------------------------------------------------------


def of_values(column: ExaminedColumn, examined: Examined) -> list[Finding]:
    """Columns that are empty, constant or nearly constant, or have many missing cells."""
    kind, reason = column.column.kind, column.column.reason
    if kind in ("missing", "constant"):
        code = {"missing": "all_missing", "constant": "constant"}[kind]
        text = f"nothing can be learned from it ({reason}): drop it"
        return [_of(column, code, "warning", text)]
    found, top, missing = [], column.top_share, float(column.gone.mean())
    if top >= NEAR_CONSTANT:
        text = f"{top:.2%} of the rows have the same value, so there is little to learn from it"
        found.append(_of(column, "near_constant", "warning", text, top_share=top))
    if missing >= MUCH_MISSING:
        text = f"{missing:.1%} of the cells are missing"
        found.append(_of(column, "missing", "warning", text, missing=missing))
    return found


def of_kind(column: ExaminedColumn, examined: Examined) -> list[Finding]:
    """IDs, free text, categories with few rows, and numeric codes taken for categories."""
    kind, reason, distinct = column.column.kind, column.column.reason, column.distinct
    rows = int((~column.gone).sum())
    if kind == "id":
        text = f"an ID ({reason}): never use it as a feature"
        return [_of(column, "id", "warning", text, distinct=distinct)]
    if kind == "text":
        text = f"free text ({reason}): no model uses it, and it is empty in synthetic rows"
        return [_of(column, "text", "note", text, distinct=distinct)]
    if kind not in ("integer", "categorical"):
        return []
    if distinct >= max(MANY_LEVELS, ID_SHARE * rows):
        text = f"{distinct:,} different values in {rows:,} cells: if it is an ID, give it the kind "
        text += "id in the schema"
        return [_of(column, "id_like", "warning", text, distinct=distinct, cells=rows)]
    if distinct >= max(20, rows / 10) and ID_NAME.search(column.name):
        text = f"its name and its {distinct:,} values suggest entities with several rows each: "
        text += "use it as groups (--groups), so that rows of one entity share a fold"
        return [_of(column, "entity", "warning", text, distinct=distinct)]
    return of_levels(column) if kind == "categorical" else []


def of_texts(column: ExaminedColumn, examined: Examined) -> list[Finding]:
    """Text columns in which most cells, but not all, are numbers or dates."""
    what = READ_AS.search(column.column.reason)
    if what is None or column.column.kind not in ("categorical", "id", "text"):
        return []
    pattern = READS_AS[what[1]]
    odd = [
        not gone and not pattern.fullmatch(str(cell))
        for cell, gone in zip(column.series, column.gone, strict=True)
    ]
    where = ""
    if any(odd):
        row, value = row_of(column.series, np.array(odd))
        where = f", but not row {row}: {value}"
    text = f"read as text, though most cells look like {what[1]}{where}: correct the cells, or "
    text += f"convert them with pandas.{'to_numeric' if what[1] == 'numbers' else 'to_datetime'}"
    return [_of(column, f"{what[1]}_as_text", "note", text, cells=int(sum(odd)))]


def of_levels(column: ExaminedColumn) -> list[Finding]:
    """Columns with many or rare categories, and numbers taken for categories."""
    distinct, found = column.distinct, []
    levels = np.unique(column.codes[~column.gone], return_inverse=True)[1]
    few = int((np.bincount(levels) < LEVEL_ROWS).sum())
    if distinct >= MANY_LEVELS or few:
        merge = "merge it with another" if few == 1 else "merge those"
        text = f"{distinct} categories, {few} of them in fewer than {LEVEL_ROWS} rows: {merge}"
        text = text if few else f"{distinct} categories: check that each has enough rows"
        figures = {"levels": distinct, "rare_levels": few}
        found.append(_of(column, "many_levels", "note", text, **figures))
    if pdt.is_numeric_dtype(column.column.dtype):
        text = f"treated as categories ({column.column.reason}): if these are quantities, give it "
        text += "the kind integer in the schema"
        found.append(_of(column, "codes", "note", text, levels=distinct))
    return found


def of_dates(column: ExaminedColumn, examined: Examined) -> list[Finding]:
    """Dates in the future."""
    if column.column.kind != "datetime":
        return []
    unit = tick_type(column.column.dtype, column.column.cells)
    if unit.kind != "M":
        return []  # spans of time
    values, gone = column.column.numbers(column.series)
    stamps, moment = values[~gone].astype(unit), examined.moment
    moment = moment.tz_convert("UTC").tz_localize(None) if moment.tzinfo else moment
    # Compare in seconds, because the year 9999 overflows 64-bit nanoseconds.
    later = int((stamps.astype("datetime64[s]") > np.datetime64(moment, "s")).sum())
    if not later:
        return []
    newest = str(stamps.max())
    text = f"{later:,} dates lie after {moment:%Y-%m-%d}, the latest on {newest}: check whether "
    text += "they are planned dates, typing errors, or entered after the outcome"
    return [_of(column, "future_date", "warning", text, rows=later, newest=newest)]


def of_missing(column: ExaminedColumn, examined: Examined) -> list[Finding]:
    """Columns whose cells are missing more often in one class."""
    gone, is_rare = column.gone, examined.is_rare
    if not 0 < gone.sum() < len(gone):
        return []
    tests = sum(0 < c.missing < 1 for c in examined.table.schema.features)
    counts = [[int((g & r).sum()) for r in (is_rare, ~is_rare)] for g in (gone, ~gone)]
    p = float(np.asarray(fisher_exact(counts))[1])
    gaps, cells = (Estimate(*share_of(row[0], sum(row)), float(is_rare.mean())) for row in counts)
    empty, filled = gaps.value, cells.value
    if p >= MISSING_P / tests or max(empty, filled) < MISSING_RATIO * min(empty, filled):
        return []
    text = f"the class makes up {said(gaps, '.2%')} of the rows where it is missing and "
    text += f"{said(cells, '.2%')} of the others: check that this is not only due to how the data "
    text += "were collected"
    figures = {"share_missing": empty, "share_present": filled, "p": p}
    return [_of(column, "missing_informative", "warning", text, **figures)]


def _of(column: ExaminedColumn, code: str, severity: str, text: str, **evidence: Any) -> Finding:
    return Finding(code, severity, column.name, f"column {column.name}: {text}", evidence)


# --- the whole table ----------------------------------------------------------------------------


def of_leaks(examined: Examined) -> list[Finding]:
    """Columns, or pairs of them, that alone predict the class too well."""
    return [_of_leak(leak) for leak in examined.leaks]


def _of_leak(leak: Leak) -> Finding:
    name, estimate = ", ".join(leak.columns), leak.precision
    code, subject = "leak_pair", f"columns {name} together predict"
    if len(leak.columns) == 1:
        code, subject = "leak_column", f"column {name} alone predicts"
    figure = f"average precision {said(estimate)}, guessing {estimate.reference:.3g}"
    evidence = {"average_precision": asdict(estimate)}
    if leak.certain:
        text = f"{subject} the class ({figure}): drop columns known only after the outcome"
        return Finding(code, "error", name, text, evidence)
    text = f"{subject} the class well ({figure}): check that it is known before the outcome"
    return Finding("strong_column", "warning", name, text, evidence)


def of_duplicates(examined: Examined) -> list[Finding]:
    """Rows equal to an earlier row."""
    again = duplicates(examined)
    if not again["rows"]:
        return []
    what = "row repeats" if again["rows"] == 1 else "rows repeat"
    text = f"{again['rows']:,} {what} another row ({again['share']:.2%}): keep equal rows in the "
    text += "same part of every split"
    severity = "warning" if again["share"] >= WORTH_A_WARNING else "note"
    evidence = {name: again[name] for name in ("rows", "share")}
    return [Finding("duplicates", severity, None, text, evidence)]


def of_contradictions(examined: Examined) -> list[Finding]:
    """Rows with equal features and different classes."""
    found = duplicates(examined)
    if not found["contradictions"]:
        return []
    of_rare = found["contradictory_rare_rows"]
    text = (
        f"{found['contradictory_rows']:,} rows ({of_rare:,} of the rare class) have the same "
        f"features as a row of another class: labels are wrong, or a column that separates them is "
        f"not in the table"
    )
    severity = "warning" if of_rare >= WORTH_A_WARNING * examined.minority.rows else "note"
    evidence = {name: value for name, value in found.items() if name.startswith("contra")}
    return [Finding("contradictions", severity, None, text, evidence)]


def duplicates(examined: Examined) -> dict[str, float]:
    """Numbers of duplicate and contradictory rows, see `Audit.duplicates`."""
    labels, groups = examined.table.labels, examined.equal
    size = labels.max() + 1
    pairs = np.unique(groups * size + labels)
    is_mixed = np.bincount(pairs // size, minlength=groups.max() + 1) > 1
    mixed, repeated = is_mixed[groups], len(groups) - len(pairs)
    return {
        "rows": repeated,
        "share": repeated / len(groups),
        "contradictions": int(is_mixed.sum()),
        "contradictory_rows": int(mixed.sum()),
        "contradictory_rare_rows": int((mixed & examined.is_rare).sum()),
    }


def of_labels(examined: Examined) -> list[Finding]:
    """Class names that differ only in case, spaces or invisible characters."""
    counts, read = examined.table.counts, {}
    for label, rows in counts.items():
        if rows:
            read.setdefault(_as_read(str(label)), []).append(label)
    found = []
    for same in read.values():
        if len(same) > 1:
            named = " and ".join(f"{label!r} ({counts[label]:,} rows)" for label in same)
            text = f"classes {named} differ only in case, spaces or invisible characters: merge "
            text += "them if they mean the same"
            evidence = {str(label): counts[label] for label in same}
            found.append(Finding("classes_alike", "warning", None, text, evidence))
    return found


def _as_read(label: str) -> str:
    """The label without case, spaces and zero-width characters."""
    plain = unicodedata.normalize("NFKC", label)
    seen = "".join(c for c in plain if unicodedata.category(c) != "Cf")
    return " ".join(seen.split()).casefold()


def of_size(examined: Examined) -> list[Finding]:
    """A class with very few rows or many duplicates."""
    rare, found = examined.minority, []
    if rare.rows < NETWORK_ROWS:
        severity = "error" if rare.rows < 2 else "warning"
        found.append(Finding("tiny_class", severity, None, rare.lesson, {"rows": rare.rows}))
    if rare.duplicates > rare.rows / 2 and not examined.is_coarse:
        text = (
            f"{rare.duplicates:,} of {rare.rows:,} rows of {rare.label!r} are copies, as if the "
            f"class had been oversampled: use the table before oversampling"
        )
        evidence = {"duplicates": rare.duplicates}
        found.append(Finding("copied_class", "error", None, text, evidence))
    return found


def of_model(examined: Examined) -> list[Finding]:
    """Findings from the quick model: misleading accuracy, too much signal, or none."""
    model, rare = examined.model, examined.minority
    if model is None:
        text = "no model was trained: there are too few distinct rows, or no usable feature"
        return [Finding("no_model", "warning", None, text, {})]
    found: list[Finding] = []

    def add(code: str, severity: str, text: str, **evidence: Any) -> None:
        found.append(Finding(code, severity, None, text, evidence))

    precision, share = model.average_precision, rare.share
    figure = f"average precision {said(precision)}"
    if model.sampled:
        text = f"the quick model used {model.rows:,} rows, weighted to the natural class shares"
        add("sampled", "note", text, rows=model.rows)
    if share <= 0.1:
        text = (
            f"accuracy is misleading: never predicting {rare.label!r} is right in {1 - share:.3%}"
        )
        add("accuracy", "note", text, always_no=1 - share, model=model.accuracy.value)
    if precision.value >= TOO_EASY:
        text = f"the class is suspiciously easy to predict ({figure}): look for a leak first"
        add("too_easy", "warning", text, average_precision=precision.value)
    if precision.low <= share or model.roc_auc.low <= 0.5:
        text = f"the columns are not shown to predict the class: {figure}, guessing {share:.3g}"
        add("no_signal", "warning", text, low=precision.low, reference=share)
    elif model.hard_share.value >= HARD_SHARE:
        rows = ", ".join(map(str, model.hard_rows[:5]))
        text = (
            f"{said(model.hard_share, '.0%')} of {rare.label!r} score below the median of the "
            f"other rows (50% by chance): labels may be wrong, or a column is missing from the "
            f"table; check rows {rows}"
        )
        add("hard_rows", "warning", text, share=asdict(model.hard_share))
    return found


# Called for each feature, and once for the table; findings appear in this order.
OF_COLUMN: tuple[Callable[[ExaminedColumn, Examined], list[Finding]], ...] = (
    of_values,
    of_kind,
    of_texts,
    of_dates,
    of_missing,
)
OF_TABLE: tuple[Callable[[Examined], list[Finding]], ...] = (
    of_labels,
    of_duplicates,
    of_contradictions,
    of_size,
    of_model,
)


def said(estimate: Estimate, form: str = ".3g") -> str:
    """An estimate with its 95 % interval, as text."""
    value, low, high = (format(v, form) for v in (estimate.value, estimate.low, estimate.high))
    return f"{value} [{low}, {high}]"
