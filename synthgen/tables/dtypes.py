"""Cells between pandas and plain numbers: what each dtype holds, what cannot be used, exact both
ways.
"""

from __future__ import annotations

import datetime
from collections.abc import Hashable, Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from pandas.api import types as pdt

from synthgen.errors import DataError, UsageError

# What an object column holds, where its dtype does not tell it: the type of its cells ...
Cells = Literal["", "float", "date", "datetime", "timestamp", "timedelta", "span"]
CELLS: tuple[Cells, ...] = Cells.__args__
_CELLS: dict[type, Cells] = {
    float: "float",
    datetime.date: "date",
    datetime.datetime: "datetime",
    pd.Timestamp: "timestamp",
    datetime.timedelta: "timedelta",
    pd.Timedelta: "span",
}
_SPANS = ("timedelta", "span")
# ... and how its missing cells are written. To an encoder of scikit-learn NaN and None are two
# categories.
EMPTY: dict[str, Any] = {"None": None, "nan": np.nan, "NaT": pd.NaT, "NA": pd.NA}
_INT64 = np.iinfo(np.int64)


def shown(value: Any) -> str:
    """`value` as a message quotes it: its repr, without numpy's type and not endless."""
    if isinstance(value, np.generic) and not isinstance(value, np.datetime64 | np.timedelta64):
        value = value.item()
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:56]}..."


def row_of(series: pd.Series, wrong: np.ndarray) -> tuple[str, str]:
    """Index label and value of the first cell where the mask `wrong` is set, as a message quotes
    them.
    """
    position = int(np.argmax(wrong))
    return shown(series.index[position]), shown(series.iloc[position])


def is_numeric(dtype: Any) -> bool:
    return pdt.is_numeric_dtype(dtype) and not pdt.is_bool_dtype(dtype)


def is_time(dtype: Any) -> bool:
    if isinstance(dtype, pd.ArrowDtype):
        return dtype.kind in "mM"
    return pdt.is_datetime64_any_dtype(dtype) or pdt.is_timedelta64_dtype(dtype)


def is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def numpy_type(dtype: Any) -> np.dtype:
    """The numpy dtype of the values of a number dtype: of ``Int64`` int64, of ``float[pyarrow]``
    float32.
    """
    if isinstance(dtype, pd.SparseDtype):
        dtype = dtype.subtype
    return dtype if isinstance(dtype, np.dtype) else dtype.numpy_dtype


def types_of(series: pd.Series) -> set[type]:
    """The types of the cells of an object column that are not missing."""
    found = set(map(type, series.to_numpy()))
    if found & {type(None), type(pd.NaT), type(pd.NA), float}:
        found = set(map(type, series[~series.isna()].to_numpy()))
    return found


def cells_of(types: set[type]) -> Cells:
    """What an object column with cells of these types is restored to."""
    return _CELLS.get(next(iter(types)), "") if len(types) == 1 else ""


def empty_of(series: pd.Series, gone: np.ndarray) -> str:
    """How the first missing cell of an object column is written, a key of what `as_dtype` takes."""
    if series.dtype != object or not gone.any():
        return ""
    value = series.iloc[int(np.argmax(gone))]
    return (
        "None" if value is None else "NA" if value is pd.NA else "NaT" if value is pd.NaT else "nan"
    )


def tidy(series: pd.Series) -> pd.Series:
    """`series` dense, in this machine's byte order, and with the NaN of a nullable column missing
    like its other missing cells.
    """
    dtype = series.dtype
    if isinstance(dtype, pd.SparseDtype):
        return series.sparse.to_dense()
    if isinstance(dtype, np.dtype) and not dtype.isnative:
        return series.astype(dtype.newbyteorder("="))  # pandas looks into no other
    if not isinstance(dtype, np.dtype) and pdt.is_float_dtype(dtype):
        values = series.to_numpy(dtype=np.float64, na_value=np.nan)
        wrong = np.isnan(values) & ~series.isna().to_numpy(dtype=bool)
        if wrong.any():
            cells: Any = [None] * len(series)
            nothing = pd.Series(cells, series.index, dtype=dtype, name=series.name)
            return nothing.where(wrong | series.isna().to_numpy(dtype=bool), series)
    return series


# --- refusals -------------------------------------------------------------------------------------


def check(name: Hashable, series: pd.Series) -> None:
    """Refuse what can be neither synthesised nor given back.

    Raises:
        DataError: a cell is infinite, beyond 64 bits, or of a type that cannot be used.
    """
    dtype = series.dtype
    inner = dtype.categories.dtype if isinstance(dtype, pd.CategoricalDtype) else dtype
    if isinstance(inner, pd.SparseDtype):
        inner = inner.subtype
    if pdt.is_complex_dtype(inner) or isinstance(inner, pd.PeriodDtype):
        raise DataError(343, f"column {name!r} is {inner}: split it into plain numbers or dates")
    if isinstance(dtype, pd.IntervalDtype):
        raise DataError(
            343, f"column {name!r} holds intervals: make it a categorical (astype('category'))"
        )
    if isinstance(inner, np.dtype) and inner.kind not in "biufOMm":
        raise DataError(343, f"column {name!r} is {inner}: turn it into text, numbers or dates")
    if isinstance(inner, np.dtype) and inner.kind == "f" and inner.itemsize > 8:
        raise DataError(
            343, f"column {name!r} is {inner}: make it float64, the widest that is exact"
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
        _check_finite(name, tidy(series))
    elif pdt.is_unsigned_integer_dtype(inner):
        values = (
            series.to_numpy(dtype=np.uint64, na_value=0)
            if series.isna().any()
            else series.to_numpy()
        )
        _check_bits(name, series, values > _INT64.max)


def _check_finite(name: Hashable, series: pd.Series) -> None:
    wrong = np.isinf(floats(series))
    if wrong.any():
        row, value = row_of(series, wrong)
        raise DataError(
            344,
            f"column {name!r}, row {row}: {value} is infinite: replace it by the largest sensible "
            "value, "
            f"or leave it empty",
        )


def _check_bits(name: Hashable, series: pd.Series, wrong: np.ndarray) -> None:
    if wrong.any():
        row, value = row_of(series, wrong)
        raise DataError(
            346, f"column {name!r}, row {row}: {value} does not fit 64 bits: make it text"
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
            "into text, "
            f"numbers or dates, or drop the column",
        )
    flags = {t for t in types if issubclass(t, bool | np.bool_)}
    numbers = {t for t in types if issubclass(t, int | float | np.integer | np.floating)} - flags
    if flags and numbers:
        # True equals 1, so the two would be merged without a word.
        gone = series.isna().to_numpy(dtype=bool)
        wrong = (
            np.fromiter((type(v) in flags for v in series), dtype=bool, count=len(series)) & ~gone
        )
        row, value = row_of(series, wrong)
        raise DataError(
            326,
            f"column {name!r}, {where} {row}: {value} stands among numbers: make all of them one "
            "type",
        )
    if any(issubclass(t, float | np.floating) for t in types):
        wrong = np.fromiter(
            (isinstance(v, float | np.floating) and np.isinf(v) for v in series), bool, len(series)
        )
        if wrong.any():
            _check_finite(
                name, series.where(pd.Series(wrong, series.index), 0.0).astype(np.float64)
            )
    if any(issubclass(t, int | np.integer) for t in numbers):
        wrong = np.fromiter(
            (
                isinstance(v, int | np.integer) and not _INT64.min <= int(v) <= _INT64.max
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


# --- numbers --------------------------------------------------------------------------------------


def floats(series: pd.Series) -> np.ndarray:
    """The values as float64, NaN where missing; of a number dtype or of an object column of
    numbers.
    """
    if isinstance(series.dtype, np.dtype):
        return series.to_numpy(dtype=np.float64)
    return series.to_numpy(dtype=np.float64, na_value=np.nan)


def numbers(series: pd.Series, gone: np.ndarray, *, whole: bool) -> tuple[np.ndarray, np.ndarray]:
    """The values as int64 (`whole`) or float64, 0 where `gone`; and a mask of the cells that are
    none such.
    """
    wanted = np.dtype(np.int64 if whole else np.float64)
    series = tidy(series)
    dtype = series.dtype
    if isinstance(dtype, (pd.CategoricalDtype, pd.StringDtype)):
        series = series.astype(object)
    if series.dtype == object:
        return _object_numbers(series.to_numpy(), gone, wanted)
    if not (is_numeric(dtype) or pdt.is_bool_dtype(dtype)) or pdt.is_complex_dtype(dtype):
        return np.zeros(len(series), dtype=wanted), ~gone
    if isinstance(dtype, np.dtype):
        values = series.to_numpy()
        values = np.where(gone, np.zeros((), dtype), values) if gone.any() else values
    else:
        values = series.to_numpy(dtype=numpy_type(dtype), na_value=0)
    return _converted(values, wanted)


def _converted(values: np.ndarray, wanted: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    if wanted.kind == "f" or values.dtype.kind in "bi":
        return values.astype(wanted), np.zeros(len(values), dtype=bool)
    if values.dtype.kind == "u":
        return values.astype(wanted), values > _INT64.max
    values = values.astype(np.float64)
    # 2**63 is a float, but beyond int64: only what is less may be converted.
    wrong = ~((values == np.floor(values)) & (values >= -(2.0**63)) & (values < 2.0**63))
    return np.where(wrong, 0, values).astype(wanted), wrong


def _object_numbers(
    cells: np.ndarray, gone: np.ndarray, wanted: np.dtype
) -> tuple[np.ndarray, np.ndarray]:
    fits = int | float | np.integer | np.floating | np.bool_
    wrong = (
        np.fromiter((not isinstance(v, fits) for v in cells), dtype=bool, count=len(cells)) & ~gone
    )
    values = np.where(gone | wrong, 0, cells)
    if wanted.kind == "f":
        return values.astype(wanted), wrong
    inside = np.fromiter(
        (_INT64.min <= v <= _INT64.max and v == v // 1 for v in values), bool, len(values)
    )
    return np.where(inside, values, 0).astype(wanted), wrong | ~inside


# --- dates and time spans -------------------------------------------------------------------------


def ticks(series: pd.Series, gone: np.ndarray, dtype: Any, cells: Cells) -> np.ndarray:
    """Dates or spans as int64 ticks of the unit of `dtype` (microseconds for objects), 0 where
    `gone`.
    """
    plain = tick_type(dtype, cells)
    if not is_time(series.dtype):
        return _object_ticks(series, gone, plain)
    unit = np.datetime_data(plain)[0]
    zone = getattr(series.dtype, "tz", None)
    if isinstance(series.dtype, pd.ArrowDtype):
        zone = getattr(series.dtype.pyarrow_dtype, "tz", None)
        kind = "timedelta64" if series.dtype.kind == "m" else "datetime64"
        series = series.astype(
            pd.DatetimeTZDtype(unit, "UTC") if zone else np.dtype(f"{kind}[{unit}]")  # pyright: ignore[reportArgumentType]
        )
    if zone:
        series = series.dt.tz_convert("UTC").dt.tz_localize(None)
    values = series.to_numpy()
    if values.dtype.kind != plain.kind:
        what = "time spans" if plain.kind == "m" else "dates"
        raise DataError(
            348,
            f"column {series.name!r} is {series.dtype}, but it should hold {what}: mend the table",
        )
    return np.where(gone, 0, values.astype(plain).astype(np.int64))


def _object_ticks(series: pd.Series, gone: np.ndarray, plain: np.dtype) -> np.ndarray:
    fits = datetime.timedelta if plain.kind == "m" else datetime.date
    cells = series.to_numpy(dtype=object)
    wrong = (
        np.fromiter((not isinstance(v, fits) for v in cells), dtype=bool, count=len(cells)) & ~gone
    )
    what = "time span" if plain.kind == "m" else "date"
    if wrong.any():
        row, value = row_of(series, wrong)
        raise DataError(
            348,
            f"column {series.name!r}, row {row}: {value} is no {what}: mend the cell, or read the "
            "column "
            f"with pandas.{'to_timedelta' if plain.kind == 'm' else 'to_datetime'}",
        )
    wrong = np.fromiter(
        (getattr(v, "tzinfo", None) is not None or getattr(v, "nanosecond", 0) > 0 for v in cells),
        bool,
        len(cells),
    )
    wrong = (
        wrong | np.fromiter((getattr(v, "nanoseconds", 0) > 0 for v in cells), bool, len(cells))
    ) & ~gone
    if wrong.any():
        row, value = row_of(series, wrong)
        raise DataError(
            348,
            f"column {series.name!r}, row {row}: {value} has a time zone or nanoseconds, which a "
            "column of "
            "objects cannot give back: read the column with "
            f"pandas.{'to_timedelta' if plain.kind == 'm' else 'to_datetime'}",
        )
    out = np.zeros(len(cells), dtype=np.int64)
    known = [v.to_pydatetime() if isinstance(v, pd.Timestamp) else v for v in cells[~gone]]
    known = [v.to_pytimedelta() if isinstance(v, pd.Timedelta) else v for v in known]
    out[~gone] = np.array(known, dtype=plain).astype(np.int64)
    return out


def tick_type(dtype: Any, cells: Cells = "") -> np.dtype:
    """The numpy dtype that holds the ticks of a date or time dtype."""
    if isinstance(dtype, pd.ArrowDtype):
        dtype = dtype.numpy_dtype  # pyright: ignore[reportAttributeAccessIssue]
    if isinstance(dtype, pd.DatetimeTZDtype):
        return np.dtype(f"datetime64[{dtype.unit}]")
    if isinstance(dtype, np.dtype) and dtype.kind in "mM":
        return dtype
    return np.dtype("timedelta64[us]" if cells in _SPANS else "datetime64[us]")  # Python objects


def from_ticks(
    values: np.ndarray,
    missing: np.ndarray | None,
    dtype: Any,
    name: Hashable,
    cells: Cells = "",
    empty: str = "",
) -> pd.Series:
    """The inverse of `ticks`, with NaT (or what `empty` names) where `missing`."""
    plain = tick_type(dtype, cells)
    stamps = values.astype(np.int64).astype(plain)
    if cells == "date":
        stamps = stamps.astype("datetime64[D]")
    if dtype == object:
        found = np.empty(len(stamps), dtype=object)
        found[:] = (
            list(pd.Series(stamps)) if cells in ("timestamp", "span", "") else stamps.astype(object)
        )
        if missing is not None:
            found[missing] = EMPTY.get(empty)
        return pd.Series(found, dtype=object, name=name)
    if missing is not None:
        stamps = np.where(missing, np.array("NaT", dtype=plain), stamps)
    series = pd.Series(stamps, name=name)
    if isinstance(dtype, pd.DatetimeTZDtype):
        return series.dt.tz_localize("UTC").dt.tz_convert(dtype.tz)  # pyright: ignore[reportAttributeAccessIssue]
    if isinstance(dtype, pd.ArrowDtype) and getattr(dtype.pyarrow_dtype, "tz", None):
        return series.dt.tz_localize("UTC").astype(dtype)  # pyright: ignore[reportAttributeAccessIssue]
    return series if series.dtype == dtype else series.astype(dtype)


# --- back to a dtype ------------------------------------------------------------------------------


def as_dtype(
    values: np.ndarray,
    missing: np.ndarray | None,
    dtype: Any,
    name: Hashable,
    cells: Cells = "",
    empty: str = "",
) -> pd.Series:
    """`values` as a series of `dtype`, with its missing value (for object, the one `empty`
    names) where `missing`.
    """
    sparse = dtype if isinstance(dtype, pd.SparseDtype) else None
    target = dtype.subtype if sparse is not None else dtype
    if target == object:
        if cells == "float":
            values = values.astype(np.float64)
        values = values.astype(object)
        if missing is not None and missing.any():
            values = values.copy()
            values[missing] = EMPTY.get(empty)
        return pd.Series(values, dtype=object, name=name)
    if isinstance(target, np.dtype) and target.kind in "iu" and values.dtype.kind == "f":
        values = np.round(values)
    series = pd.Series(values, name=name)
    series = series if series.dtype == target else series.astype(target)
    if missing is not None and missing.any():
        series = series.mask(missing)
        if isinstance(target, np.dtype) and not target.isnative:
            series = series.astype(target)
    return series if sparse is None else series.astype(sparse)


def all_missing(rows: int, dtype: Any, name: Hashable, empty: str) -> pd.Series:
    """A column without a value."""
    if dtype == object:
        return pd.Series([EMPTY.get(empty)] * rows, dtype=object, name=name)
    if isinstance(dtype, pd.SparseDtype):
        return pd.Series(np.full(rows, np.nan), name=name).astype(dtype)
    return pd.Series(pd.array([None] * rows, dtype=dtype), name=name)


# --- JSON -----------------------------------------------------------------------------------------


def to_plain(value: Any) -> Any:
    """A value that JSON can hold; what is no plain text, number or boolean is tagged.

    Raises:
        DataError: there is no such form of it.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, tuple):
        return {"tuple": [to_plain(v) for v in value]}
    if isinstance(value, pd.Interval):
        return {"interval": [to_plain(value.left), to_plain(value.right), value.closed]}
    if isinstance(value, pd.Timestamp):
        # A zone such as Europe/Berlin is more than the offset that ISO 8601 has.
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
    """The inverse of `to_plain`.

    Raises:
        UsageError: an unknown tag, or a tagged value that cannot be read.
    """
    if not isinstance(value, Mapping):
        if isinstance(value, list):
            raise UsageError(267, f"schema: a list, {shown(value)}, is no value")
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
        raise UsageError(267, f"schema: {shown(dict(value))} is no value") from error


def dtype_to_plain(dtype: Any, categories: tuple[Any, ...] = ()) -> Any:
    """A dtype as JSON can hold it; where pandas' own name of it is ambiguous, a name of ours.

    Args:
        dtype: Of pandas or numpy.
        categories: The levels of a column, which its dtype then need not repeat.
    """
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
    """The inverse of `dtype_to_plain`.

    Raises:
        TypeError, ValueError, KeyError: pandas has no such dtype.
    """
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
    if text == "str":  # numpy's own text dtype has a fixed width
        return pd.Series(["a"]).dtype
    return pdt.pandas_dtype(text)
