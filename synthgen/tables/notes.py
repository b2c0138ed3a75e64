"""Warnings about usable tables that look wrong, one sentence each."""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Sequence
from typing import Any

import pandas as pd

from synthgen.tables import dtypes as cell
from synthgen.tables.column import Column

# A text column with at least FEWEST distinct texts counts as dates or numbers if at least the
# fraction MOST of its first SAMPLE distinct texts look like them.
SAMPLE, MOST, FEWEST = 2000, 0.9, 5
_NUMBER = re.compile(r"[-+(]?\s?[$€£]?\s?\d[\d.,' ]*\s?[%€$£)]?")
_CODE = re.compile(r"0\d+")  # 00123 is a name, not a quantity
_MONTH = r"[A-Za-z]{3,9}\.?"
_DATE = re.compile(
    r"(\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}"
    rf"|\d{{1,2}}[. -]+{_MONTH}[ ,-]+\d{{2,4}}|{_MONTH} +\d{{1,2}}(st|nd|rd|th)?,? +\d{{4}})"
    r"([ T].*)?"
)

# Patterns that match the whole text.
READS_AS = {"numbers": _NUMBER, "dates": _DATE}


def looks_like(texts: Sequence[str]) -> str:
    """Whether 90 % of the distinct texts look like "dates" or "numbers"; "" for neither."""
    if len(texts) < FEWEST or all(text.isdigit() for text in texts):
        return ""
    if sum(_DATE.fullmatch(text) is not None for text in texts) >= MOST * len(texts):
        return "dates"
    found = (_NUMBER.fullmatch(text) is not None and not _CODE.fullmatch(text) for text in texts)
    return "numbers" if sum(found) >= MOST * len(texts) else ""


def as_read(label: str) -> str:
    """A label normalised for comparison: without case, extra spaces and invisible characters."""
    plain = unicodedata.normalize("NFKC", label)
    seen = "".join(c for c in plain if unicodedata.category(c) != "Cf")
    return " ".join(seen.split()).casefold()


def of_columns(frame: pd.DataFrame, columns: Sequence[Column]) -> list[str]:
    """One warning per text column in which most cells look like numbers or dates."""
    found = []
    for column in columns:
        series = frame[column.name]
        if column.kind not in ("categorical", "id", "text") or not (
            series.dtype == object or isinstance(series.dtype, pd.StringDtype)
        ):
            continue
        present = series[series.notna()]
        unique = present.drop_duplicates()
        if not all(isinstance(value, str) for value in unique.iloc[:SAMPLE]):
            continue
        what = looks_like([value.strip() for value in unique.iloc[:SAMPLE]])
        if what:
            found.append(_text_note(column, unique, what))
    return found


def _text_note(column: Column, unique: pd.Series, what: str) -> str:
    texts = unique.astype(object)
    if what == "dates":
        read = pd.to_datetime(texts, errors="coerce", format="ISO8601", utc=True)
        cure = "pandas.to_datetime"
    else:
        read, cure = pd.to_numeric(texts, errors="coerce"), "pandas.to_numeric"
    odd, example = read.isna().to_numpy(dtype=bool), ""
    if odd.any():
        row, value = cell.row_of(texts, odd)
        example = f" (row {row}: {value} cannot be converted)"
    return (
        f"column {column.name!r} is read as text; most of its cells look like {what}{example}: "
        f"if they are {what}, mend them and convert the column with {cure}"
    )


def of_classes(classes: Sequence[Any]) -> list[str]:
    """One warning per set of classes whose names look the same to a reader."""
    read: dict[str, list[Any]] = {}
    for label in classes:
        read.setdefault(as_read(str(label)), []).append(label)
    return [
        f"classes {' and '.join(map(repr, same))} differ only in case, spaces or invisible "
        "characters and are kept apart: if they mean the same, merge them"
        for same in read.values()
        if len(same) > 1
    ]


def of_schema(given: Any, schema: Any) -> list[str]:
    """One warning per point in which a given schema contradicts the table."""
    found = []
    if given.target is not None and given.target != schema.target:
        found.append(
            f"the schema was made for target {given.target!r}, but the target here is "
            f"{schema.target!r}: the kinds and limits of the schema are used nevertheless"
        )
    dtypes = {column.name: column.dtype for column in schema.columns}
    for column in given.columns:
        old, new = (_named(dtype) for dtype in (column.dtype, dtypes.get(column.name)))
        if column.name in dtypes and old not in ("object", new):
            found.append(
                f"column {column.name!r} is {new} in the table and {old} in the schema: the "
                "table's dtype is used"
            )
    return found


def _named(dtype: Any) -> str:
    if isinstance(dtype, pd.CategoricalDtype):
        return "category"
    return "text" if isinstance(dtype, pd.StringDtype) else str(dtype)


def tell(notes: Sequence[str], stacklevel: int = 3) -> None:
    """Issue each note as a `UserWarning`; the command line prints it as one line."""
    for note in notes:
        warnings.warn(note, UserWarning, stacklevel=stacklevel)
