"""From the cells of a column to what it is: its kind, with the reason, and its limits."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pandas as pd
from pandas.api import types as pdt

from synthgen.errors import DataError
from synthgen.tables import checks
from synthgen.tables import dtypes as cell
from synthgen.tables.column import LEVELS, Column, Kind
from synthgen.tables.notes import SAMPLE, looks_like

# A value that holds this share of a class's rows is a spike: a point mass, not a place on a scale.
SPIKE_SHARE, SPIKE_ROWS = 0.02, 5
# More decimals than this are the noise of binary fractions, not rounding.
MAX_DECIMALS = 6
# A column is as round as all but such a share of its rows, and of its different values, are.
ODD_ROWS, ODD_VALUES = 0.002, 0.05
# More classes than this are no classes. Numbers are doubted from fewer on, if many of them occur
# once.
MAX_CLASSES, SURE_CLASSES = 100, 20

CODE_NAME = re.compile(
    r"(^|[\W_])(code|type|class|group|category|region|zone|zip|postcode|month|day|weekday|sex|gender|race"
    r"|marital|marriage|married|status|education)($|[\W_\d])",
    re.IGNORECASE,
)
ID_NAME = re.compile(r"(^|[\W_])(id|uuid|guid|key|index|row|number|no|nr)$", re.IGNORECASE)
NEW_ID = re.compile(r"synthetic-(\d{1,15})")

# What a hand that edits a schema may make of each kind that is found in the cells.
_MAY_BE: dict[str, tuple[Kind, ...]] = {
    "numbers": ("numeric", "integer", "categorical", "id"),
    "true and false": ("boolean", "categorical"),
    "dates or times": ("datetime", "categorical"),
    "intervals": ("categorical",),
    "texts": ("categorical", "id", "text"),
}


def no_class(target: pd.Series, gone: np.ndarray) -> DataError:
    """What to say of a target where the mask `gone`, of shape (rows,), is set."""
    row, value = cell.row_of(target, gone)
    return DataError(
        339,
        f"target {target.name!r}, row {row}: {value} is no class, {int(gone.sum())} rows have "
        f"none: drop them or give them a class",
    )


def infer_target(name: Hashable, series: pd.Series) -> Column:
    """The column of the classes.

    Args:
        name: Of the column.
        series: Its cells, shape (rows,).

    Raises:
        DataError: missing cells, one class only, labels of several types, or a quantity instead of
            classes.
    """
    checks.check(name, series)
    dtype, series = series.dtype, cell.tidy(series)
    gone = series.isna().to_numpy(dtype=bool)
    if gone.any():
        raise no_class(series, gone)
    found = _plain_cells(pd.unique(series.astype(object)))
    texts = [str(v) for v in found]
    if len(set(texts)) < len(texts):
        text = next(t for t in texts if texts.count(t) > 1)
        both = [v for v in found if str(v) == text]
        row, _ = cell.row_of(series, (series.astype(object) == both[1]).to_numpy(dtype=bool))
        named = " and ".join(f"{v!r} ({type(v).__name__})" for v in both)
        raise DataError(
            340, f"target {name!r} has {named}, the latter first in row {row}: make them one type"
        )
    if len(found) < 2:
        raise DataError(
            341,
            f"target {name!r} has one class only, {cell.shown(found[0])}, so there is nothing to "
            "tell apart: "
            f"choose another target, or add rows of another class",
        )
    numeric = cell.is_numeric(series.dtype)
    if len(found) > MAX_CLASSES or (
        numeric and len(found) > SURE_CLASSES and len(found) > 0.2 * len(series)
    ):
        doubt = (
            "is it a quantity to predict (regression)"
            if numeric
            else "is it a name, an ID or a text"
        )
        cure = (
            "cut it into some, for example with pandas.cut"
            if numeric
            else "choose another target, or group them"
        )
        raise DataError(
            342,
            f"target {name!r} has {len(found)} distinct values in {len(series)} rows, the first of "
            "them "
            f"{cell.shown(found[0])}: {doubt}? synthgen needs classes: {cure}",
        )
    if isinstance(dtype, pd.CategoricalDtype):
        categories = tuple(_plain_cells(dtype.categories))
    else:
        categories = _in_order(found)
    return Column(
        name, "categorical", dtype, f"the target, {len(found)} classes", categories=categories
    )


def infer_column(
    name: Hashable, series: pd.Series, labels: np.ndarray | None, given: Column | None
) -> Column:
    """What the column is; `given`, from a schema that was edited, decides its kind and limits.

    Args:
        name: Of the column.
        series: Its cells.
        labels: Class of each row; the spikes of each class count.
        given: None: all is guessed.
    """
    checks.check(name, series)
    dtype, series = series.dtype, cell.tidy(series)
    gone = series.isna().to_numpy(dtype=bool)
    missing, empty = float(gone.mean()), cell.empty_of(series, gone)
    if gone.all():
        return Column(name, "missing", dtype, "no value in any row", missing=1.0, empty=empty)
    present = series[~gone] if gone.any() else series
    types = cell.types_of(present) if present.dtype == object else set()
    holds = _held(name, present, types)
    unique = present.drop_duplicates()
    kind, reason = _guess(name, present, unique, holds, missing)
    if kind == "integer" and types == {float}:
        kind = "numeric"  # so that the cells, whole as they are, stay floats
    if given is not None and given.kind != kind:
        told = given.reason if given.reason != reason else ""
        kind, reason = _by_hand(name, dtype, holds, given), told or "set by hand"
        if kind == "integer" and types == {float}:
            kind = "numeric"
        given = replace(given, reason=reason)
    base = Column(name, kind, dtype, reason, missing, empty=empty)
    if kind in ("numeric", "integer", "datetime"):
        base = replace(base, cells=cell.cells_of(types))
    if kind in LEVELS:
        return _with_levels(base, series, unique, given)
    if kind == "text":
        return base
    if kind == "id" and holds != "numbers":
        used = [int(m[1]) for m in map(NEW_ID.fullmatch, map(str, unique)) if m]
        return replace(base, upper=max(used) if used else None)
    values, gone = base.numbers(series)
    known = values[~gone]
    column = replace(base, lower=known.min().item(), upper=known.max().item())
    if kind == "id":
        return column
    column = replace(column, spikes=_spikes(values, gone, labels))
    if kind == "numeric":
        column = replace(column, decimals=_decimals(known, dtype))
    else:
        column = replace(column, step=_step(known, cast(int, column.lower)))
    if given is not None and (given.kind == kind or {given.kind, kind} == {"numeric", "integer"}):
        column = _take(column, _whole(given) if kind == "integer" else given, series, values, gone)
    return column


def _held(name: Hashable, present: pd.Series, types: set[type]) -> str:
    """What the cells are, a key of `_MAY_BE`."""
    dtype = present.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return "texts"  # its levels, whatever they are, can be nothing but levels
    if pdt.is_bool_dtype(dtype):
        return "true and false"
    if cell.is_time(dtype):
        return "dates or times"
    if cell.is_numeric(dtype):
        return "numbers"
    if dtype != object:
        return "texts"
    if all(issubclass(t, bool | np.bool_) for t in types):
        return "true and false"
    if all(issubclass(t, int | float | np.integer | np.floating) for t in types):
        return "numbers"
    if all(issubclass(t, pd.Interval) for t in types):
        return "intervals"
    inferred = pdt.infer_dtype(present, skipna=True)
    if inferred in ("datetime", "date", "timedelta"):
        if len(types) > 1:
            wrong = np.fromiter(
                (type(v) is not type(present.iloc[0]) for v in present), bool, len(present)
            )
            row, value = cell.row_of(present, wrong)
            raise DataError(
                348,
                f"column {name!r}, row {row}: {value} is no {type(present.iloc[0]).__name__} like "
                "those above it: "
                f"read the column with pandas.to_datetime or pandas.to_timedelta",
            )
        return "dates or times"
    return "texts"


def _guess(
    name: Hashable, present: pd.Series, unique: pd.Series, holds: str, missing: float
) -> tuple[Kind, str]:
    """The kind of a column from its cells that are not missing, and why."""
    distinct, rows = len(unique), len(present)
    if distinct == 1 and missing == 0:
        return "constant", "one value in all rows"
    if isinstance(present.dtype, pd.CategoricalDtype):
        return "categorical", "a pandas categorical"
    if holds == "true and false":
        return "boolean", "true or false"
    if holds == "dates or times":
        return "datetime", "dates or times"
    if holds == "intervals":
        return "categorical", f"{distinct} different intervals"
    if holds == "numbers":
        values, fraction = cell.numbers(unique, np.zeros(distinct, dtype=bool), whole=True)
        if fraction.any():
            return "numeric", "numbers with decimals"
        floating = pdt.is_float_dtype(present.dtype) or any(map(pdt.is_float, unique))
        if floating and (np.abs(values.astype(np.float64)) >= 2**53).any():
            return "numeric", "numbers too large for a float to hold each whole one"
        return _guess_whole(name, values, rows, may_be_id=not floating)
    texts = [str(v)[:SAMPLE] for v in unique.iloc[:SAMPLE]]
    words = 1 + sum(len(re.findall(r"\s+", t)) for t in texts) / len(texts)
    alone = distinct == rows
    read = _reads_as(texts)
    if rows >= 20 and alone and words < 3:
        return "id", f"{distinct} different texts in {rows} rows{read}"
    if words >= 3 and distinct > 0.3 * rows and (distinct >= 20 or (alone and distinct >= 5)):
        return "text", f"{distinct} different texts of {words:.0f} words on average{read}"
    return "categorical", f"{distinct} different values{read}"


def _reads_as(texts: list[str]) -> str:
    """What to do with texts of which most look like dates or numbers, or nothing."""
    what = looks_like([text.strip() for text in texts])
    cure = {"dates": "to_datetime", "numbers": "to_numeric"}
    return f", most like {what}: pandas.{cure[what]} makes them such" if what else ""


def _guess_whole(
    name: Hashable, values: np.ndarray, rows: int, *, may_be_id: bool
) -> tuple[Kind, str]:
    distinct, called = len(values), isinstance(name, str)
    least, greatest = int(values.min()), int(values.max())
    if may_be_id and rows >= 20 and distinct == rows:
        if greatest - least + 1 == rows:
            return "id", "consecutive numbers, one for each row"
        if called and (ID_NAME.search(str(name)) or str(name).endswith("ID")):
            return "id", "a different number in each row, and its name"
    if distinct == 2 and rows >= 10:
        return "categorical", "two whole numbers: a flag"
    if called and distinct <= 31 and distinct <= 0.5 * rows and CODE_NAME.search(str(name)):
        return "categorical", f"{distinct} whole numbers, and its name: codes, not quantities"
    if 2 < distinct <= 12 and distinct <= 0.2 * rows and least < 0 <= greatest:
        return "categorical", f"{distinct} whole numbers, some negative: codes, not quantities"
    return "integer", "whole numbers"


def _by_hand(name: Hashable, dtype: Any, holds: str, given: Column) -> Kind:
    """The kind that was set by hand, if the cells can be that."""
    if given.kind not in _MAY_BE[holds]:
        if isinstance(dtype, pd.CategoricalDtype):
            holds = "the levels of a pandas categorical"
        cure = {
            "constant": "drop it from the table if it should not be learned",
            "missing": "drop it from the table if it should not be learned",
            "datetime": "read it with pandas.to_datetime",
            "boolean": "make its cells True and False",
            "numeric": "read it with pandas.to_numeric",
            "integer": "read it with pandas.to_numeric",
        }.get(given.kind, "turn its cells into text")
        raise DataError(
            325,
            f"column {name!r} holds {holds} ({dtype}), so it cannot be {given.kind}, as the schema "
            "has it: "
            f"{cure}, or take {' or '.join(_MAY_BE.get(holds, _MAY_BE['texts']))}",
        )
    if given.kind == "numeric" and pdt.is_integer_dtype(dtype):
        return "integer"
    return given.kind


def _with_levels(
    column: Column, series: pd.Series, unique: pd.Series, given: Column | None
) -> Column:
    """`column` with the levels that it has, or those of the schema if they hold all of them."""
    if (
        column.kind != "constant"
        and given is not None
        and given.kind == column.kind
        and given.categories
    ):
        column = replace(column, categories=given.categories)
        if isinstance(column.dtype, pd.CategoricalDtype):
            # The dtype to give back is the table's own, so its levels are those of the table.
            column = replace(column, categories=tuple(_plain_cells(column.dtype.categories)))
        column.codes(series)
        return column
    if column.kind != "constant" and isinstance(column.dtype, pd.CategoricalDtype):
        return replace(column, categories=tuple(_plain_cells(column.dtype.categories)))
    return replace(column, categories=_in_order(_plain_cells(unique.astype(object))))


def _plain_cells(values: Any) -> list[Any]:
    return [v.item() if isinstance(v, np.generic) else v for v in values]


def _in_order(values: list[Any]) -> tuple[Any, ...]:
    try:
        return tuple(sorted(values))
    except TypeError:
        return tuple(sorted(values, key=lambda v: (type(v).__name__, str(v))))


def _spikes(
    values: np.ndarray, gone: np.ndarray, labels: np.ndarray | None
) -> tuple[int | float, ...]:
    groups = np.zeros(len(values), dtype=np.int64) if labels is None else labels
    order = np.argsort(groups, kind="stable")
    found: set[int | float] = set()
    for part in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1):
        distinct, counts = np.unique(values[part][~gone[part]], return_counts=True)
        enough = max(SPIKE_ROWS, SPIKE_SHARE * len(part))
        # A value is a point mass only beside a scale: among few values each is frequent.
        if len(distinct) > 10:
            found.update(distinct[counts >= enough].tolist())
    return tuple(sorted(found))


def _decimals(values: np.ndarray, dtype: Any) -> int | None:
    if np.abs(values).max() > 1e9:
        return None
    # A float32 is rounded when the float32 nearest to its rounded value is itself.
    narrow = np.float64 if dtype == object else cell.numpy_type(dtype)
    for decimals in range(MAX_DECIMALS + 1):
        odd = np.round(values, decimals).astype(narrow) != values.astype(narrow)
        # A few cells that were computed, not measured, do not make the others less round. Where
        # most rows share a value, the few others are what the column tells.
        others = len(np.unique(values[odd])) / len(np.unique(values))
        if odd.mean() <= ODD_ROWS and others <= ODD_VALUES:
            return decimals
    return None


def _step(values: np.ndarray, lower: int) -> int:
    """The greatest number of which all `values` are multiples, counted from `lower`."""
    gaps = np.unique(values).view(np.uint64) - np.int64(lower).view(np.uint64)
    # A step beyond int64 is the one gap between two extremes.
    step = int(np.gcd.reduce(gaps)) or 1
    return step if step < 2**63 else 1


def _whole(given: Column) -> Column:
    """Limits that were set for numbers with decimals, for whole ones."""
    return replace(
        given,
        lower=None if given.lower is None else math.ceil(given.lower),
        upper=None if given.upper is None else math.floor(given.upper),
        decimals=None,
        spikes=tuple(int(s) for s in given.spikes if s == int(s)),
    )


def _take(
    column: Column, given: Column, series: pd.Series, values: np.ndarray, gone: np.ndarray
) -> Column:
    """`column` with the limits that were set by hand; a row beyond them is an error."""
    wanted = {
        key: getattr(given, key)
        for key in ("lower", "upper", "decimals", "spikes")
        if getattr(given, key) not in (None, ())
    }
    column = replace(column, **wanted, reason=given.reason or column.reason)
    beyond = ~gone & ((values < cast(float, column.lower)) | (values > cast(float, column.upper)))
    if beyond.any():
        row, value = cell.row_of(series, beyond)
        limits = " to ".join(map(str, column.restore(np.array([column.lower, column.upper]))))
        raise DataError(
            347,
            f"column {column.name!r}, row {row}: {value} lies outside the schema's {limits}: mend "
            "the row or "
            f"the schema",
        )
    if column.kind == "numeric":
        return column
    above = values.view(np.uint64) - np.int64(cast(int, column.lower)).view(np.uint64)
    step = given.step or _step(values[~gone], cast(int, column.lower))
    between = ~gone & (above % np.uint64(step) != 0)
    if between.any():
        row, value = cell.row_of(series, between)
        first = column.restore(np.array([column.lower])).iloc[0]
        raise DataError(
            347,
            f"column {column.name!r}, row {row}: {value} is not the schema's lower, {first}, plus "
            "a multiple of "
            f"its step, {step}: mend the row or the schema",
        )
    return replace(column, step=step)
