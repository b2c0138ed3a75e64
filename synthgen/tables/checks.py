"""Checks of tables and columns: an error names what cannot be used."""

from __future__ import annotations

import datetime
import difflib
import inspect
from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types as pdt

from synthgen.errors import DataError, UsageError
from synthgen.tables.dtypes import INT64, floats, row_of, shown, tidy, types_of

MOST_COLUMNS = 20_000  # a schema takes about two milliseconds per column

# --- tables ---------------------------------------------------------------------------------------


def check_frame(frame: Any, target: Hashable | None) -> None:
    """Raise unless `frame` is a pandas frame with rows, uniquely named columns and a `target`."""
    if not isinstance(frame, pd.DataFrame):
        raise DataError(
            335,
            f"the table is a {type(frame).__name__}: give a pandas DataFrame (for an array: "
            "pandas.DataFrame(array))",
        )
    if frame.shape[1] == 0 or len(frame) == 0:
        raise DataError(
            336,
            f"the table has {len(frame)} rows and {frame.shape[1]} columns, so there is nothing to "
            "learn: check how it was made",
        )
    if frame.shape[1] > MOST_COLUMNS:
        raise DataError(
            377,
            f"the table has {frame.shape[1]:,} columns, at most {MOST_COLUMNS:,} can be learned in "
            "reasonable time: keep those that tell the classes apart, for example with "
            "sklearn.feature_selection.SelectKBest",
        )
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise DataError(337, f"column {twice[0]!r} appears more than once: rename all but one")
    for position, name in enumerate(frame.columns):
        if pdt.is_scalar(name) and pd.isna(name):
            raise DataError(327, f"column {position + 1} has no name ({name}): give it one")
    if target is not None:
        check_column(frame, target, "target")


def check_column(frame: pd.DataFrame, name: Hashable, role: str) -> None:
    """Raise if the table has no column of this name."""
    if isinstance(name, Hashable) and name in frame.columns:
        return
    if not isinstance(name, Hashable):
        raise UsageError(
            215,
            f"the {role} is a {type(name).__name__}, not the name of a column: give features and "
            "classes as (X, y), or one frame and the name of its target",
        )
    near = difflib.get_close_matches(str(name), list(map(str, frame.columns)), 3)
    meant = f"; did you mean {' or '.join(map(repr, near))}?" if near else ": name one of them"
    raise UsageError(215, f"there is no column {name!r} for a {role}: {listed(frame)}{meant}")


def listed(frame: pd.DataFrame) -> str:
    """The names of the first columns, quoted for a message."""
    names = [repr(n) for n in frame.columns[:12]]
    return f"it has {', '.join(names)}{', ...' if frame.shape[1] > 12 else ''}"


def plain_name(name: Any) -> Any:
    """A column's name as a Python value; pandas sometimes returns 1 as `numpy.int64`."""
    return name.item() if isinstance(name, np.generic) else name


# --- arguments -----------------------------------------------------------------------------------


def check_flags(**given: Any) -> None:
    """Raise unless every argument is True or False; a text such as "off" would count as True."""
    for name, value in given.items():
        if not isinstance(value, bool | np.bool_):
            raise UsageError(237, f"{name} must be True or False, not {shown(value)}")


def flags_of(estimator: Any) -> dict[str, Any]:
    """The parameters of an estimator whose default is True or False, by name."""
    known = inspect.signature(type(estimator)).parameters.values()
    return {p.name: getattr(estimator, p.name) for p in known if isinstance(p.default, bool)}


# --- columns --------------------------------------------------------------------------------------


def check(name: Hashable, series: pd.Series) -> None:
    """Raise if the cells of a column cannot be synthesised and restored."""
    dtype = series.dtype
    inner = dtype.categories.dtype if isinstance(dtype, pd.CategoricalDtype) else dtype
    if isinstance(inner, pd.SparseDtype):
        inner = inner.subtype
    if pdt.is_complex_dtype(inner) or isinstance(inner, pd.PeriodDtype):
        how = "turn it into dates (.dt.to_timestamp()) or text (.astype(str))"
        how = how if isinstance(inner, pd.PeriodDtype) else "split it into two numbers"
        raise DataError(343, f"column {name!r} is {inner}: {how}")
    if isinstance(dtype, pd.IntervalDtype):
        raise DataError(
            343, f"column {name!r} holds intervals: make it a categorical (astype('category'))"
        )
    if isinstance(inner, np.dtype) and inner.kind not in "biufOMm":
        raise DataError(343, f"column {name!r} is {inner}: turn it into text, numbers or dates")
    if isinstance(inner, np.dtype) and inner.kind == "f" and inner.itemsize > 8:
        raise DataError(
            343, f"column {name!r} is {inner}: make it float64, the widest type kept exactly"
        )
    nothing = str(inner) == "null[pyarrow]" and series.isna().all()
    if isinstance(inner, pd.ArrowDtype) and inner.kind not in "biufUmM" and not nothing:
        raise DataError(
            345,
            f"column {name!r} is {inner}: turn it into text, numbers, dates or a pandas "
            f"categorical, or drop the column",
        )
    if isinstance(dtype, pd.CategoricalDtype):
        if inner == object:
            _check_objects(name, pd.Series(dtype.categories.to_numpy()), "category")
        return
    if inner == object:
        _check_objects(name, series, "row")
    elif pdt.is_float_dtype(inner):
        refuse_infinite(name, series, np.isinf(floats(tidy(series))))
    elif pdt.is_unsigned_integer_dtype(inner):
        values = (
            series.to_numpy(dtype=np.uint64, na_value=0)
            if series.isna().any()
            else series.to_numpy()
        )
        _check_bits(name, series, values > INT64.max)


def refuse_infinite(name: Hashable, series: pd.Series, wrong: np.ndarray) -> None:
    """Raise for the first cell where `wrong` is True."""
    if wrong.any():
        row, value = row_of(series, wrong)
        raise DataError(
            344,
            f"column {name!r}, row {row}: {value} is infinite: replace it by the largest sensible "
            "value, or leave it empty",
        )


def _check_bits(name: Hashable, series: pd.Series, wrong: np.ndarray) -> None:
    if wrong.any():
        row, value = row_of(series, wrong)
        raise DataError(
            346, f"column {name!r}, row {row}: {value} does not fit 64 bits: turn it into text"
        )


def _check_objects(name: Hashable, series: pd.Series, where: str) -> None:
    types = types_of(series)
    refused = {t for t in types if not _usable(t)}
    if refused:
        gone = series.isna().to_numpy(dtype=bool)
        wrong = (
            np.fromiter((type(v) in refused for v in series), dtype=bool, count=len(series)) & ~gone
        )
        kind = type(series.iloc[int(np.argmax(wrong))]).__name__
        row, value = row_of(series, wrong)
        raise DataError(
            345,
            f"column {name!r}, {where} {row}: {value}, a {kind}, cannot be synthesised: turn it "
            "into text, numbers or dates, or drop the column",
        )
    flags = {t for t in types if issubclass(t, bool | np.bool_)}
    numbers = {t for t in types if issubclass(t, int | float | np.integer | np.floating)} - flags
    if flags and numbers:
        # True equals 1, so they would silently become one category.
        gone = series.isna().to_numpy(dtype=bool)
        wrong = (
            np.fromiter((type(v) in flags for v in series), dtype=bool, count=len(series)) & ~gone
        )
        row, value = row_of(series, wrong)
        raise DataError(
            326,
            f"column {name!r}, {where} {row}: {value} is a boolean in a column of numbers: give "
            "all cells one type",
        )
    if any(issubclass(t, float | np.floating) for t in types):
        wrong = np.fromiter(
            (isinstance(v, float | np.floating) and np.isinf(v) for v in series), bool, len(series)
        )
        refuse_infinite(name, series, wrong)
    if any(issubclass(t, int | np.integer) for t in numbers):
        wrong = np.fromiter(
            (
                isinstance(v, int | np.integer) and not INT64.min <= int(v) <= INT64.max
                for v in series
            ),
            dtype=bool,
            count=len(series),
        )
        _check_bits(name, series, wrong)


def _usable(cell: type) -> bool:
    if issubclass(cell, np.generic):
        return issubclass(cell, np.bool_ | np.integer | np.floating | np.str_)
    return issubclass(cell, str | int | float | datetime.date | datetime.timedelta | pd.Interval)
