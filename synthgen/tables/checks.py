"""TODO docstring."""

from __future__ import annotations

import datetime
from collections.abc import Hashable

import numpy as np
import pandas as pd
from pandas.api import types as pdt

from synthgen.errors import DataError
from synthgen.tables.dtypes import _INT64, floats, row_of, tidy, types_of

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
