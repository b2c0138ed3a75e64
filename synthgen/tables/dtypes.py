"""Lossless conversion of cells between pandas dtypes and plain NumPy numbers."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Hashable
from typing import Any, Literal

import numpy as np
import pandas as pd
from pandas.api import types as pdt

from synthgen.errors import DataError

# The Python type of an object column's cells, which new cells get too; "": none of these.
Cells = Literal[
    "",
    "float",
    "date",
    "datetime",
    "timestamp",
    "timedelta",
    "span",
    "numpy.bool",
    "numpy.str",
    "numpy.float16",
    "numpy.float32",
    "numpy.float64",
    "numpy.int8",
    "numpy.int16",
    "numpy.int32",
    "numpy.int64",
    "numpy.uint8",
    "numpy.uint16",
    "numpy.uint32",
    "numpy.uint64",
]
CELLS: tuple[Cells, ...] = Cells.__args__
_CELLS: dict[type, Cells] = {
    float: "float",
    datetime.date: "date",
    datetime.datetime: "datetime",
    pd.Timestamp: "timestamp",
    datetime.timedelta: "timedelta",
    pd.Timedelta: "span",
}
_SCALARS: dict[Cells, type[np.generic]] = {
    name: np.dtype(name.removeprefix("numpy.")).type for name in CELLS if name[:5] == "numpy"
}
_CELLS |= {kind: name for name, kind in _SCALARS.items()}
_SPANS = ("timedelta", "span")
# The missing value of an object column; scikit-learn's encoders distinguish NaN from None.
EMPTY: dict[str, Any] = {"None": None, "nan": np.nan, "NaT": pd.NaT, "NA": pd.NA}
INT64 = np.iinfo(np.int64)


def shown(value: Any) -> str:
    """`value` quoted for a message: its repr, shortened and without NumPy's type name."""
    if isinstance(value, np.generic) and not isinstance(value, np.datetime64 | np.timedelta64):
        value = value.item()
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:56]}..."


def row_of(series: pd.Series, wrong: np.ndarray) -> tuple[str, str]:
    """Index label and value of the first cell where `wrong` is True, quoted for a message."""
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
    """The NumPy dtype behind a numeric pandas dtype, such as int64 for ``Int64``."""
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
    """The type to restore in an object column that has cells of these types."""
    return _CELLS.get(next(iter(types)), "") if len(types) == 1 else ""


def as_cells(values: np.ndarray, cells: Cells) -> np.ndarray:
    """Cells of an object column as the NumPy scalars that `cells` names, otherwise unchanged."""
    kind = _SCALARS.get(cells)
    if kind is None:
        return values
    out = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        out[place] = kind(value)
    return out


def empty_of(series: pd.Series, gone: np.ndarray) -> str:
    """The first missing value of an object column as a key of `EMPTY`; "" if there is none."""
    if series.dtype != object or not gone.any():
        return ""
    value = series.iloc[int(np.argmax(gone))]
    return (
        "None" if value is None else "NA" if value is pd.NA else "NaT" if value is pd.NaT else "nan"
    )


def tidy(series: pd.Series) -> pd.Series:
    """`series` as a dense array in native byte order; NaN in a nullable column becomes missing."""
    dtype = series.dtype
    if isinstance(dtype, pd.SparseDtype):
        return series.sparse.to_dense()
    if isinstance(dtype, np.dtype) and not dtype.isnative:
        return series.astype(dtype.newbyteorder("="))  # pandas supports only native order
    if not isinstance(dtype, np.dtype) and pdt.is_float_dtype(dtype):
        values = series.to_numpy(dtype=np.float64, na_value=np.nan)
        wrong = np.isnan(values) & ~series.isna().to_numpy(dtype=bool)
        if wrong.any():
            cells: Any = [None] * len(series)
            nothing = pd.Series(cells, series.index, dtype=dtype, name=series.name)
            return nothing.where(wrong | series.isna().to_numpy(dtype=bool), series)
    return series


# --- numbers --------------------------------------------------------------------------------------


def floats(series: pd.Series) -> np.ndarray:
    """The values of a numeric column of any dtype as float64, NaN for missing cells."""
    if isinstance(series.dtype, np.dtype):
        return series.to_numpy(dtype=np.float64)
    return series.to_numpy(dtype=np.float64, na_value=np.nan)


def numbers(series: pd.Series, gone: np.ndarray, *, whole: bool) -> tuple[np.ndarray, np.ndarray]:
    """Convert cells to int64 (if `whole`) or float64."""
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
        return values.astype(wanted), values > INT64.max
    values = values.astype(np.float64)
    # 2**63 is representable as a float but exceeds int64, so it is excluded.
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
        try:
            return values.astype(wanted), wrong
        except OverflowError:  # an integer beyond 1e308
            big = np.fromiter((abs(v) > sys.float_info.max for v in values), bool, len(values))
            return np.where(big, np.inf, values).astype(wanted), wrong
    # NumPy would convert the limits to the type of a narrow cell.
    plain = (v.item() if isinstance(v, np.generic) else v for v in values)
    inside = np.fromiter(
        (INT64.min <= v <= INT64.max and v == v // 1 for v in plain), bool, len(values)
    )
    return np.where(inside, values, 0).astype(wanted), wrong | ~inside


# --- dates and time spans -------------------------------------------------------------------------


def ticks(series: pd.Series, gone: np.ndarray, dtype: Any, cells: Cells) -> np.ndarray:
    """Dates or time spans as int64 ticks, 0 for missing cells."""
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
            f"column {series.name!r} is {series.dtype}, but the schema expects {what}: mend the "
            "table",
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
            f"column {series.name!r}, row {row}: {value} is not a {what}: mend the cell, or read "
            f"the column with pandas.{'to_timedelta' if plain.kind == 'm' else 'to_datetime'}",
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
            f"column {series.name!r}, row {row}: {value} has a time zone or nanoseconds, which "
            "cannot be restored in an object column: read the column with "
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


def ticks_per_day(kind: np.dtype) -> float:
    """Ticks of a date or time dtype in a day."""
    unit, count = np.datetime_data(kind)
    return float(np.timedelta64(1, "D") / np.timedelta64(count, unit))


def from_ticks(
    values: np.ndarray,
    missing: np.ndarray | None,
    dtype: Any,
    name: Hashable,
    cells: Cells = "",
    empty: str = "",
) -> pd.Series:
    """The inverse of `ticks`; missing cells become NaT or the value that `empty` names."""
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
    """`values` as a series of `dtype`, with the cells in the mask `missing` set to missing."""
    sparse = dtype if isinstance(dtype, pd.SparseDtype) else None
    target = dtype.subtype if sparse is not None else dtype
    if target == object:
        if cells == "float":
            values = values.astype(np.float64)
        values = as_cells(values.astype(object), cells)
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
    """A column in which every cell is missing."""
    if dtype == object:
        return pd.Series([EMPTY.get(empty)] * rows, dtype=object, name=name)
    if isinstance(dtype, pd.SparseDtype):
        return pd.Series(np.full(rows, np.nan), name=name).astype(dtype)
    return pd.Series(pd.array([None] * rows, dtype=dtype), name=name)
