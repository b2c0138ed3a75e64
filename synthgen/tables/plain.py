"""Values and dtypes as plain JSON, and back without loss."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types as pdt

from synthgen.errors import DataError, UsageError
from synthgen.tables.dtypes import shown

# --- JSON -----------------------------------------------------------------------------------------


def to_plain(value: Any) -> Any:
    """A value as plain JSON; any type except text, number and boolean becomes ``{tag: ...}``."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, tuple):
        return {"tuple": [to_plain(v) for v in value]}
    if isinstance(value, pd.Interval):
        return {"interval": [to_plain(value.left), to_plain(value.right), value.closed]}
    if isinstance(value, pd.Timestamp):
        # ISO 8601 stores only the offset, not a zone such as Europe/Berlin.
        zone = [] if value.tz is None else [str(value.tz)]
        return {"timestamp": [value.isoformat(), value.unit, *zone]}
    if isinstance(value, pd.Timedelta):
        return {"span": [int(value.asm8.astype(np.int64)), value.unit]}
    if isinstance(value, datetime.datetime) and value.tzinfo is None:
        return {"datetime": value.isoformat()}
    if type(value) is datetime.date:
        return {"date": value.isoformat()}
    if isinstance(value, datetime.timedelta):
        return {"timedelta": [value.days, value.seconds, value.microseconds]}
    raise DataError(
        349,
        f"{shown(value)} ({type(value).__name__}) cannot be written to a file: turn it into text",
    )


def from_plain(value: Any) -> Any:
    """The inverse of `to_plain`."""
    if not isinstance(value, Mapping):
        if isinstance(value, list):
            raise UsageError(267, f"schema: {shown(value)} is a list, but a single value is needed")
        return value
    try:
        [(tag, inner)] = value.items()
        if tag == "tuple":
            return tuple(map(from_plain, inner))
        if tag == "interval":
            left, right, closed = inner
            return pd.Interval(from_plain(left), from_plain(right), closed)
        if tag == "timestamp":
            text, unit, *zone = inner
            stamp = pd.Timestamp(text).as_unit(unit)
            return stamp.tz_convert(zone[0]) if zone else stamp
        if tag == "span":
            return pd.Timedelta(np.timedelta64(int(inner[0]), inner[1]))
        if tag == "datetime":
            return datetime.datetime.fromisoformat(inner)
        if tag == "date":
            return datetime.date.fromisoformat(inner)
        if tag == "timedelta":
            return datetime.timedelta(*inner)
        raise ValueError(tag)
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(267, f"schema: {shown(dict(value))} is not a value") from error


def dtype_to_plain(dtype: Any, categories: tuple[Any, ...] = ()) -> Any:
    """A dtype as plain JSON: its pandas name, or another name if that one is ambiguous."""
    if isinstance(dtype, pd.CategoricalDtype):
        if dtype.categories is None:
            return "category"
        plain = {
            "categories": dtype_to_plain(dtype.categories.dtype),
            "ordered": bool(dtype.ordered),
        }
        if tuple(dtype.categories) != categories:
            plain["levels"] = [to_plain(v) for v in dtype.categories]
        return plain
    if isinstance(dtype, pd.SparseDtype):
        fill = None if pd.isna(dtype.fill_value) else to_plain(dtype.fill_value)
        return {"sparse": dtype_to_plain(dtype.subtype), "fill": fill}
    if isinstance(dtype, pd.StringDtype):
        # str() of a string dtype names neither its storage nor, before pandas 3, its missing value.
        return f"{'string' if dtype.na_value is pd.NA else 'str'}[{dtype.storage}]"
    if isinstance(dtype, pd.ArrowDtype) and str(dtype) == "string[pyarrow]":
        return "string[arrow]"
    return str(dtype)


def dtype_from_plain(text: Any, categories: tuple[Any, ...] = ()) -> Any:
    """The inverse of `dtype_to_plain`."""
    if isinstance(text, Mapping) and "sparse" in text:
        fill = np.nan if text["fill"] is None else from_plain(text["fill"])
        return pd.SparseDtype(dtype_from_plain(text["sparse"]), fill)
    if isinstance(text, Mapping):
        inner = dtype_from_plain(text["categories"])
        named = map(from_plain, text["levels"]) if "levels" in text else categories
        levels = pd.Index(list(named), dtype=inner, tupleize_cols=False)
        return pd.CategoricalDtype(levels, ordered=bool(text["ordered"]))
    if not isinstance(text, str):
        raise TypeError(text)
    if text in ("string[python]", "string[pyarrow]"):
        return pd.StringDtype(text[7:-1])  # pyright: ignore[reportCallIssue, reportArgumentType]
    if text in ("str[python]", "str[pyarrow]"):
        return pd.StringDtype(text[4:-1], na_value=np.nan)  # pyright: ignore[reportCallIssue, reportArgumentType]
    if text == "string[arrow]":
        import pyarrow  # slow to load, and few tables need it

        return pd.ArrowDtype(pyarrow.string())
    if text == "str":  # NumPy reads this name as its text dtype of fixed width
        return pd.Series(["a"]).dtype
    return pdt.pandas_dtype(text)
