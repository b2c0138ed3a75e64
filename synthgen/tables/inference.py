"""Inference of a column's kind, with the reason, and of its categories or limits."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pandas as pd
from pandas.api import types as pdt

from synthgen.errors import DataError
from synthgen.tables import checks
from synthgen.tables import dtypes as cell
from synthgen.tables.column import Column, Kind
from synthgen.tables.limits import as_whole, decimals_of, limited, spikes_of, step_of
from synthgen.tables.notes import SAMPLE, looks_like

# A target may have at most MAX_CLASSES distinct values. A numeric target with SURE_CLASSES or more
# is rejected if more than a fifth of its rows are distinct.
MAX_CLASSES, SURE_CLASSES = 100, 20

CODE_NAME = re.compile(
    r"(^|[\W_])(code|type|class|group|category|region|zone|zip|postcode|month|day|weekday|sex|gender|race"
    r"|marital|marriage|married|status|education)($|[\W_\d])",
    re.IGNORECASE,
)
ID_NAME = re.compile(r"(^|[\W_])(id|uuid|guid|key|index|row|number|no|nr)$", re.IGNORECASE)
NEW_ID = re.compile(r"synthetic-(\d{1,15})")

# The kinds that an edited schema may set, by content of the cells.
_MAY_BE: dict[str, tuple[Kind, ...]] = {
    "numbers": ("numeric", "integer", "categorical", "id"),
    "true and false": ("boolean", "categorical"),
    "dates or times": ("datetime", "categorical"),
    "intervals": ("categorical",),
    "texts": ("categorical", "id", "text"),
}


def no_class(target: pd.Series, gone: np.ndarray) -> DataError:
    """The error for a target with missing cells; `gone` is their mask, shape (rows,)."""
    row, value = cell.row_of(target, gone)
    return DataError(
        339,
        f"target {target.name!r}, row {row}: {value} is no class; {int(gone.sum())} rows have no "
        "class: drop them or give them one",
    )


def infer_target(name: Hashable, series: pd.Series) -> Column:
    """Infer the target column."""
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
            340,
            f"target {name!r} has {named}, the latter first in row {row}: give all labels one type",
        )
    if len(found) < 2:
        raise DataError(
            341,
            f"target {name!r} has only one class, {cell.shown(found[0])}: choose another target, "
            "or add rows of another class",
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
            "cut it into intervals, for example with pandas.cut"
            if numeric
            else "choose another target, or group its values"
        )
        raise DataError(
            342,
            f"target {name!r} has {len(found)} distinct values in {len(series)} rows (the first is "
            f"{cell.shown(found[0])}): {doubt}? synthgen needs classes: {cure}",
        )
    if isinstance(dtype, pd.CategoricalDtype):
        categories = tuple(_plain_cells(dtype.categories))
    else:
        categories = _in_order(found)
    return Column(
        name,
        "categorical",
        dtype,
        f"the target, {len(found)} classes",
        categories=categories,
        cells=_scalars(cell.types_of(series)) if dtype == object else "",
    )


@dataclass(frozen=True, eq=False)
class _Cells:
    """The cells of a column, with facts that several steps need.

    Attributes:
        name: Name of the column.
        series: All cells.
        gone: Mask of the missing cells, shape (rows,).
        present: The non-missing cells.
        unique: The distinct non-missing cells.
        types: Python types in an object column, otherwise empty.
        holds: Content of the cells, a key of `_MAY_BE`.
        labels: Class of each row, shape (rows,), or None.
    """

    name: Hashable
    series: pd.Series
    gone: np.ndarray
    present: pd.Series
    unique: pd.Series
    types: set[type]
    holds: str
    labels: np.ndarray | None


def infer_column(
    name: Hashable, series: pd.Series, labels: np.ndarray | None, given: Column | None
) -> Column:
    """Infer the kind of a column and its categories or limits."""
    checks.check(name, series)
    dtype, series = series.dtype, cell.tidy(series)
    gone = series.isna().to_numpy(dtype=bool)
    missing, empty = float(gone.mean()), cell.empty_of(series, gone)
    if gone.all():
        return Column(name, "missing", dtype, "no value in any row", missing=1.0, empty=empty)
    present = series[~gone] if gone.any() else series
    types = cell.types_of(present) if present.dtype == object else set()
    holds = _held(name, present, types)
    cells = _Cells(name, series, gone, present, present.drop_duplicates(), types, holds, labels)
    kind, reason = _guess(cells)
    if given is not None and given.kind != kind:
        users_reason = given.reason if given.reason != reason else ""
        kind, reason = _by_hand(cells, dtype, given), users_reason or "set by hand"
        given = replace(given, reason=reason)
    column = Column(name, kind, dtype, reason, missing, empty=empty, cells=_scalars(types))
    return _COMPLETED[kind](column, cells, given)


def _scalars(types: set[type]) -> cell.Cells:
    """The NumPy type of all cells of an object column, which new cells get too; "": none."""
    return cell.cells_of({t for t in types if issubclass(t, np.generic)} and types)


def _held(name: Hashable, present: pd.Series, types: set[type]) -> str:
    """Content of the cells, a key of `_MAY_BE`."""
    dtype = present.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return "texts"  # whatever type the categories have, the column stays categorical
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
                f"column {name!r}, row {row}: {value} is not a {type(present.iloc[0]).__name__} "
                "like the cells above: read the column with pandas.to_datetime or "
                "pandas.to_timedelta",
            )
        return "dates or times"
    return "texts"


# --- the kind, by the content of the cells --------------------------------------------------------


def _guess(cells: _Cells) -> tuple[Kind, str]:
    """The inferred kind of a column, and the reason."""
    if len(cells.unique) == 1 and not cells.gone.any():
        return "constant", "one value in all rows"
    if isinstance(cells.present.dtype, pd.CategoricalDtype):
        return "categorical", "a pandas categorical"
    kind, reason = _GUESSES[cells.holds](cells)
    return _kept_as_float(kind, cells), reason


def _kept_as_float(kind: Kind, cells: _Cells) -> Kind:
    """Replace "integer" by "numeric" if the cells are Python floats, so that they stay floats."""
    return "numeric" if kind == "integer" and cells.types == {float} else kind


def _guess_numbers(cells: _Cells) -> tuple[Kind, str]:
    unique, rows = cells.unique, len(cells.present)
    values, fraction = cell.numbers(unique, np.zeros(len(unique), dtype=bool), whole=True)
    if fraction.any():
        return "numeric", "numbers with decimals"
    floating = pdt.is_float_dtype(cells.present.dtype) or any(map(pdt.is_float, unique))
    if floating and (np.abs(values.astype(np.float64)) >= 2**53).any():
        return "numeric", "whole numbers too large to be exact as floats"
    return _guess_whole(cells.name, values, rows, may_be_id=not floating)


def _guess_whole(
    name: Hashable, values: np.ndarray, rows: int, *, may_be_id: bool
) -> tuple[Kind, str]:
    distinct, called = len(values), isinstance(name, str)
    least, greatest = int(values.min()), int(values.max())
    if may_be_id and rows >= 20 and distinct == rows:
        if greatest - least + 1 == rows:
            return "id", "consecutive numbers, one for each row"
        if called and (ID_NAME.search(str(name)) or str(name).endswith("ID")):
            return "id", "a different number in each row, and the name of an ID"
    if distinct == 2 and rows >= 10:
        return "categorical", "two whole numbers: a flag"
    if called and distinct <= 31 and distinct <= 0.5 * rows and CODE_NAME.search(str(name)):
        return "categorical", f"{distinct} whole numbers, and a name that suggests codes"
    if 2 < distinct <= 12 and distinct <= 0.2 * rows and least < 0 <= greatest:
        return "categorical", f"{distinct} whole numbers, some negative: codes, not quantities"
    return "integer", "whole numbers"


def _guess_texts(cells: _Cells) -> tuple[Kind, str]:
    distinct, rows = len(cells.unique), len(cells.present)
    texts = [str(v)[:SAMPLE] for v in cells.unique.iloc[:SAMPLE]]
    words = 1 + sum(len(re.findall(r"\s+", t)) for t in texts) / len(texts)
    alone = distinct == rows
    read = _reads_as(texts)
    if rows >= 20 and alone and words < 3:
        return "id", f"{distinct} different texts in {rows} rows{read}"
    if words >= 3 and distinct > 0.3 * rows and (distinct >= 20 or (alone and distinct >= 5)):
        return "text", f"{distinct} different texts of {words:.0f} words on average{read}"
    return "categorical", f"{distinct} different values{read}"


def _reads_as(texts: list[str]) -> str:
    """Advice for texts that mostly look like dates or numbers; "" for other texts."""
    what = looks_like([text.strip() for text in texts])
    cure = {"dates": "to_datetime", "numbers": "to_numeric"}
    return f"; most look like {what}: convert them with pandas.{cure[what]}" if what else ""


_GUESSES: dict[str, Callable[[_Cells], tuple[Kind, str]]] = {
    "numbers": _guess_numbers,
    "true and false": lambda cells: ("boolean", "true or false"),
    "dates or times": lambda cells: ("datetime", "dates or times"),
    "intervals": lambda cells: ("categorical", f"{len(cells.unique)} different intervals"),
    "texts": _guess_texts,
}


def _by_hand(cells: _Cells, dtype: Any, given: Column) -> Kind:
    """The kind in the user's schema; raises if the cells do not allow it."""
    holds = cells.holds
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
            f"column {cells.name!r} holds {holds} ({dtype}), so it cannot be {given.kind}: {cure}, "
            f"or set its kind in the schema to {' or '.join(_MAY_BE.get(holds, _MAY_BE['texts']))}",
        )
    if given.kind == "numeric" and pdt.is_integer_dtype(dtype):
        return "integer"
    return _kept_as_float(given.kind, cells)


# --- levels and limits, by kind -------------------------------------------------------------------


def _as_is(column: Column, cells: _Cells, given: Column | None) -> Column:
    return column


def _with_last_id(column: Column, cells: _Cells, given: Column | None) -> Column:
    """An ID column with the limits of its numbers, so that new IDs can differ from them."""
    if cells.holds == "numbers":
        values, gone = column.numbers(cells.series)
        return _between(column, values[~gone])
    used = [int(m[1]) for m in map(NEW_ID.fullmatch, map(str, cells.unique)) if m]
    return replace(column, upper=max(used) if used else None)


def _with_limits(column: Column, cells: _Cells, given: Column | None) -> Column:
    """A number or date column with its range, spikes, and decimals or step."""
    column = replace(column, cells=cell.cells_of(cells.types))
    values, gone = column.numbers(cells.series)
    known = values[~gone]
    column = replace(_between(column, known), spikes=spikes_of(values, gone, cells.labels))
    if column.kind == "numeric":
        column = replace(column, decimals=decimals_of(known, column.dtype))
    else:
        column = replace(column, step=step_of(known, cast(int, column.lower)))
    kinds = {column.kind} if given is None else {column.kind, given.kind}
    if given is not None and (len(kinds) == 1 or kinds == {"numeric", "integer"}):
        given = as_whole(given) if column.kind == "integer" else given
        return limited(column, given, cells.series, values, gone)
    return column


def _between(column: Column, known: np.ndarray) -> Column:
    return replace(column, lower=known.min().item(), upper=known.max().item())


def _with_levels(column: Column, cells: _Cells, given: Column | None) -> Column:
    """`column` with the categories of its cells, or those of the schema, which must cover them."""
    if (
        column.kind != "constant"
        and given is not None
        and given.kind == column.kind
        and given.categories
    ):
        column = replace(column, categories=given.categories)
        if isinstance(column.dtype, pd.CategoricalDtype):
            # New rows get the table's dtype, so its categories count, not those of the schema.
            column = replace(column, categories=tuple(_plain_cells(column.dtype.categories)))
        column.codes(cells.series)  # raises for a category that the schema lacks
        return column
    if column.kind != "constant" and isinstance(column.dtype, pd.CategoricalDtype):
        return replace(column, categories=tuple(_plain_cells(column.dtype.categories)))
    return replace(column, categories=_in_order(_plain_cells(cells.unique.astype(object))))


def _plain_cells(values: Any) -> list[Any]:
    return [v.item() if isinstance(v, np.generic) else v for v in values]


def _in_order(values: list[Any]) -> tuple[Any, ...]:
    try:
        return tuple(sorted(values))
    except TypeError:
        return tuple(sorted(values, key=lambda v: (type(v).__name__, str(v))))


_COMPLETED: dict[Kind, Callable[[Column, _Cells, Column | None], Column]] = {
    "constant": _with_levels,
    "categorical": _with_levels,
    "boolean": _with_levels,
    "numeric": _with_limits,
    "integer": _with_limits,
    "datetime": _with_limits,
    "id": _with_last_id,
    "text": _as_is,
}
