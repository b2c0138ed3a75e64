"""Cells of a declared column, each read by itself.

What a cell means depends on the declared column and on this cell alone, and every cell means
something. So one row more changes no type, no level and no number of the others, and no cell is a
reason to refuse a table.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pandas.api.types as pdt

from synthgen.tables import dtypes
from synthgen.tables.column import Column
from synthgen.tables.read import MISSING

# A number that is not rounded lies in one of CELLS cells of its declared range.
CELLS = 1 << 16
# A number as a level, where leading zeros make it a code; and in a column of numbers.
NUMBER = re.compile(r"[+-]?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
NUMERAL = re.compile(r"[+-]?(([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?|inf(inity)?)", re.I)
DATE = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"([T ]([0-9]{2}):([0-9]{2})(:([0-9]{2})(\.([0-9]{1,9}))?)?(Z|([+-][0-9]{2}):?([0-9]{2})?)?)?"
)
WORDS = frozenset(MISSING.to_pylist())  # of a missing cell

# --- levels ---------------------------------------------------------------------------------------


def text_of(cell: Any) -> str:
    """The text of a cell, however the column around it was read."""
    if isinstance(cell, datetime.date):
        return cell.isoformat().removesuffix("T00:00:00")
    if isinstance(cell, int) and abs(cell) >= 10**300:
        return hex(cell)  # Python writes no whole number of more than 4,300 digits
    text = str(cell).strip()
    if text.casefold() in ("true", "false"):
        return text.capitalize()
    if not NUMBER.fullmatch(text):
        return text
    if text.lstrip("+-").isdigit():
        return "0" if text == "-0" else text.removeprefix("+")
    value = float(text)
    return str(int(value)) if value.is_integer() else repr(value)


def texts(column: Column, series: pd.Series) -> list[str | None]:
    """The text of each cell of a column of levels; None: missing, or a word for it in a CSV."""
    words = WORDS - {text_of(name) for name in column.categories}

    def named(cell: Any) -> str | None:
        text = text_of(cell)
        return None if text in words else text

    return _each(series, named)


def _each(series: pd.Series, of: Callable[[Any], Any]) -> list[Any]:
    """What `of` makes of each cell, computed once for equal cells; None for missing cells."""
    known: dict[Any, Any] = {}
    found = []
    for cell, gone in zip(series.astype(object), series.isna(), strict=True):
        if gone:
            found.append(None)
            continue
        try:
            hash(cell)
        except TypeError:
            cell = str(cell)  # a list in a Parquet file
        key = (type(cell), cell)  # 1, 1.0 and True are equal
        if key not in known:
            known[key] = of(cell)
        found.append(known[key])
    return found


def level_of(column: Column, text: str) -> Any:
    """The level with this text in the declared dtype; None if there is no such level."""
    if pdt.is_bool_dtype(column.dtype):
        return {"True": True, "False": False}.get(text)
    if pdt.is_integer_dtype(column.dtype):
        limits = np.iinfo(dtypes.numpy_type(column.dtype))
        value = int(text) if re.fullmatch("-?[0-9]{1,20}", text) else None
        fits = value is not None and str(value) == text and limits.min <= value <= limits.max
        return value if fits else None
    if pdt.is_numeric_dtype(column.dtype):
        value = float(text) if NUMBER.fullmatch(text) else math.nan
        return value if text_of(value) == text else None
    return text


# --- numbers --------------------------------------------------------------------------------------


def limits_of(column: Column) -> tuple[Any, Any]:
    """The declared range of a column of numbers."""
    assert column.lower is not None
    assert column.upper is not None
    return column.lower, column.upper


def cell_count(column: Column) -> int:
    """Number of cells of the declared range of a column of numbers."""
    lower, upper = limits_of(column)
    unit = unit_of(column)
    if unit is None:
        return CELLS
    if column.kind == "numeric":
        return round((upper - lower) * unit) + 1
    return (upper - lower) // unit + 1


def cells_of(column: Column, series: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """The cell of each number or date, and a mask of the missing ones; no cell raises."""
    series = dtypes.tidy(series)
    whole = column.kind != "numeric"
    missing = series.isna().to_numpy(dtype=bool)
    kind = dtypes.numpy_type(series.dtype).kind if dtypes.is_numeric(series.dtype) else ""
    if column.kind != "datetime" and kind in ("i" if whole else "iuf") and kind:
        values, wrong = dtypes.numbers(series, missing, whole=whole)
        known = ~(missing | wrong)
    else:
        found = _each(series, _reader(column))
        missing = np.fromiter((v is None for v in found), bool, len(found))
        known = np.fromiter((v is not None and v == v for v in found), bool, len(found))
        within = [v if ok else column.lower for v, ok in zip(found, known, strict=True)]
        values = np.array(within, dtype=np.int64 if whole else np.float64)
    return np.where(known, cells_at(column, values), -1), missing


def cells_at(column: Column, values: np.ndarray) -> np.ndarray:
    """The cells of numbers, int64 of shape (rows,); a number outside the range is at its end."""
    lower, upper = limits_of(column)
    values, unit = np.clip(values, lower, upper), unit_of(column)
    if unit is None:
        share = (values - lower) / max(float(upper) - float(lower), np.finfo(float).tiny)
        return np.minimum((share * CELLS).astype(np.int64), CELLS - 1)
    if column.kind == "numeric":
        cells = np.rint((values - lower) * unit).astype(np.int64)
        return np.minimum(cells, cell_count(column) - 1)
    return (values - lower) // unit


def _reader(column: Column) -> Callable[[Any], int | float | None]:
    """A function that reads one cell of a column of numbers or dates."""
    lower, upper = limits_of(column)
    read = _ticks_reader(column) if column.kind == "datetime" else _read_number

    def number(cell: Any) -> int | float | None:
        if isinstance(cell, str) and cell.strip() in WORDS:
            return None
        value = read(cell)
        if value != value:
            return math.nan
        value = max(lower, min(upper, value))
        return value if column.kind == "numeric" else math.floor(value)

    return number


def _read_number(cell: Any) -> int | float:
    """A cell as a number; NaN if it is none."""
    if isinstance(cell, int | np.integer) and not isinstance(cell, bool):
        return int(cell)
    text = str(cell).strip()
    if not NUMERAL.fullmatch(text):
        return math.nan
    value = float(text)
    digits = text.lstrip("+-")
    if digits.isdigit() and abs(value) < 2**64:  # exact beyond 2^53
        return int(digits.lstrip("0") or "0") * (-1 if text.startswith("-") else 1)
    return value


def _ticks_reader(column: Column) -> Callable[[Any], int | float]:
    """A function that reads one cell as ticks of the column's dtype; NaN if it is no date."""
    plain = dtypes.tick_type(column.dtype, column.cells)
    unit = np.timedelta64(1, np.datetime_data(plain)[0]).astype("timedelta64[ns]").astype(int)

    def ticks(cell: Any) -> int | float:
        nanoseconds = _of_span(cell) if plain.kind == "m" else _of_date(cell)
        return nanoseconds if nanoseconds != nanoseconds else nanoseconds // int(unit)

    return ticks


def _of_span(cell: Any) -> int | float:
    """Nanoseconds of a time span; NaN for anything else."""
    if not isinstance(cell, datetime.timedelta):
        return math.nan
    whole = (cell.days * 86_400 + cell.seconds) * 10**6 + cell.microseconds
    return 1000 * whole + getattr(cell, "nanoseconds", 0)


def _of_date(cell: Any) -> int | float:
    """Nanoseconds since 1970 of a date or its ISO text, of UTC if it has no offset; NaN if none."""
    text = cell.isoformat() if isinstance(cell, datetime.date) else str(cell).strip()
    found = DATE.fullmatch(text)
    if found is None:
        return math.nan
    year, month, day, _, hour, minute, _, second, _, fraction, _, east, more = found.groups("0")
    try:
        midnight = datetime.date(int(year), int(month), int(day))
        time = datetime.time(int(hour), int(minute), int(second))
    except ValueError:  # no day of the calendar
        return math.nan
    moment = datetime.datetime.combine(midnight, time)
    since = moment - datetime.datetime(1970, 1, 1)
    ahead = 3600 * int(east) + 60 * int(f"{east[0]}{more}" if east != "0" else 0)
    return (since.days * 86_400 + since.seconds - ahead) * 10**9 + int(fraction.ljust(9, "0"))


def unit_of(column: Column) -> int | None:
    """The step of whole numbers, cells per 1 of rounded ones, None for numbers not rounded."""
    if column.kind != "numeric":
        return column.step or 1
    lower, upper = limits_of(column)
    if column.decimals is None or (upper - lower) * 10**column.decimals >= 2**53:
        return None
    return 10**column.decimals
