"""`Column`: its kind and limits, and conversion of its cells to numbers or codes and back."""

from __future__ import annotations

import math
import sys
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from synthgen.errors import DataError, UsageError
from synthgen.tables import dtypes as cell
from synthgen.tables import plain
from synthgen.tables.checks import refuse_infinite

Kind = Literal[
    "numeric",
    "integer",
    "categorical",
    "boolean",
    "datetime",
    "id",
    "text",
    "constant",
    "missing",
]
KINDS: tuple[Kind, ...] = Kind.__args__
LEVELS: tuple[Kind, ...] = ("categorical", "boolean", "constant")
NUMBERS: tuple[Kind, ...] = ("numeric", "integer", "datetime")


@dataclass(frozen=True, slots=True)
class Column:
    """Kind and limits of one column.

    Attributes:
        name: Name in the frame; any hashable value.
        kind: One of `KINDS`: "numeric", "integer", "datetime", "categorical", "boolean", "id",
            "text", "constant" or "missing" (no value at all).
        dtype: The pandas dtype, which new rows get too.
        reason: Why this kind was inferred, in words.
        missing: Fraction of missing cells, 0 to 1.
        lower: Smallest value. Whole numbers for ``integer``; for ``datetime``, ticks in the dtype's
            unit since 1970 (time spans: in length); for ``id``, the smallest number, if IDs are
            numbers.
        upper: Largest value, as `lower`. For text IDs such as ``synthetic-000007``, their largest
            number.
        step: ``integer`` and ``datetime`` values are ``lower`` plus a multiple of `step`.
        decimals: Decimals to which ``numeric`` values are rounded; None: not rounded.
        spikes: Frequent single values such as 0: each has at least 2 %, and 5, of the rows of some
            class.
        categories: Values of a ``categorical``, ``boolean`` or ``constant`` column, in order. A
            pandas categorical keeps its unused categories.
        cells: Python type of the cells of an object column, if it must be restored: "float",
            "date", "datetime", "timestamp", "timedelta", "span" (`pd.Timedelta`) or a NumPy scalar
            such as "numpy.int64".
        empty: Missing value of an object column: "None", "nan", "NaT" or "NA".

    Example:
        >>> column = Column("sex", "categorical", pd.Series(["f"]).dtype, categories=("f", "m"))
        >>> codes = column.codes(pd.Series(["m", "f", None]))
        >>> codes.tolist(), column.restore(codes[:2]).tolist()
        ([1, 0, -1], ['m', 'f'])
    """

    name: Hashable
    kind: Kind
    dtype: Any
    reason: str = ""
    missing: float = 0.0
    lower: int | float | None = None
    upper: int | float | None = None
    step: int | None = None
    decimals: int | None = None
    spikes: tuple[int | float, ...] = ()
    categories: tuple[Any, ...] = ()
    cells: cell.Cells = ""
    empty: str = ""

    def numbers(self, series: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        """The values of a column of numbers or dates, and a mask of the missing ones.

        Args:
            series: The cells, shape (rows,).

        Returns:
            The values, int64 (``integer``, ``datetime``) or float64 (``numeric``), with 0 for
            missing cells; and the mask, bool. Both have shape (rows,).

        Raises:
            DataError: A cell is not a number (E331) or not a date (E348).

        Example:
            >>> values, missing = Column("age", "integer", "Int64").numbers(pd.Series([31, None]))
            >>> values.tolist(), missing.tolist()
            ([31, 0], [False, True])
        """
        series = cell.tidy(series)
        missing = series.isna().to_numpy(dtype=bool)
        if self.kind == "datetime":
            return cell.ticks(series, missing, self.dtype, self.cells), missing
        whole = self.kind != "numeric"
        values, wrong = cell.numbers(series, missing, whole=whole)
        if wrong.any():
            row, value = cell.row_of(series, wrong)
            raise DataError(
                331,
                f"column {self.name!r}, row {row}: {value} is not a {'whole ' * whole}number, but "
                f"the column is {self.kind}: mend the cell, or make the column categorical in the "
                "schema",
            )
        return values, missing

    def floats(self, series: pd.Series) -> np.ndarray:
        """The values of a column of numbers or dates as floats, for statistics and predictions.

        Unlike `numbers`, which is for exact values, any finite number is accepted, whole or not.

        Args:
            series: The cells, shape (rows,).

        Returns:
            float64 of shape (rows,), NaN for missing cells.

        Raises:
            DataError: A cell is not a number (E331), infinite (E344), or not a date (E348).

        Example:
            >>> Column("age", "integer", "Int64").floats(pd.Series([31, 16.5, None])).tolist()
            [31.0, 16.5, nan]
        """
        series = cell.tidy(series)
        missing = series.isna().to_numpy(dtype=bool)
        if self.kind == "datetime":
            values = cell.ticks(series, missing, self.dtype, self.cells).astype(np.float64)
            return np.where(missing, np.nan, values)
        values, wrong = cell.numbers(series, missing, whole=False)
        if wrong.any():
            row, value = cell.row_of(series, wrong)
            raise DataError(
                331,
                f"column {self.name!r}, row {row}: {value} is not a number, but the column is "
                f"{self.kind}: mend the cell, or leave it empty",
            )
        refuse_infinite(self.name, series, np.isinf(values))
        return np.where(missing, np.nan, values)

    def positions(self, series: pd.Series) -> np.ndarray:
        """The position of each cell in `categories`.

        Args:
            series: The cells of a column with categories, shape (rows,).

        Returns:
            int64 of shape (rows,), -1 for missing cells and unknown values.

        Example:
            >>> column = Column("sex", "categorical", "object", categories=("f", "m"))
            >>> column.positions(pd.Series(["m", "x", None])).tolist()
            [1, -1, -1]
        """
        series = cell.tidy(series)
        known = pd.Index(list(self.categories), dtype=object, tupleize_cols=False)
        if isinstance(series.dtype, pd.CategoricalDtype):
            levels = series.dtype.categories.astype(object)
            positions = known.get_indexer(pd.Index(levels, dtype=object, tupleize_cols=False))
            positions = np.append(positions, -1)  # a missing cell has code -1: the last entry
            return positions[series.cat.codes.to_numpy()].astype(np.int64)
        found = pd.Index(series.astype(object), dtype=object, tupleize_cols=False)
        codes = known.get_indexer(found).astype(np.int64)
        return np.where(series.isna().to_numpy(dtype=bool), -1, codes)

    def codes(self, series: pd.Series) -> np.ndarray:
        """Like `positions`, but an unknown value is an error.

        Args:
            series: The cells of a column with categories, shape (rows,).

        Returns:
            int64 of shape (rows,), -1 for missing cells.

        Raises:
            DataError: A value is not among the categories (E332).
        """
        series = cell.tidy(series)
        codes = self.positions(series)
        lost = np.flatnonzero(codes < 0)
        unknown = np.zeros(len(codes), dtype=bool)
        unknown[lost] = series.iloc[lost].notna()
        if unknown.any():
            row, value = cell.row_of(series, unknown)
            some = ", ".join(map(cell.shown, self.categories[:8]))
            raise DataError(
                332,
                f"column {self.name!r}, row {row}: {value} was not seen when the schema was made "
                f"(known: {some}{', ...' if len(self.categories) > 8 else ''}): mend the cell, or "
                f"make the schema from rows that hold this value",
            )
        return codes

    def restore(self, values: np.ndarray, missing: np.ndarray | None = None) -> pd.Series:
        """Turn the results of `numbers` or `codes` back into cells of the column's dtype.

        Args:
            values: Codes of a column with categories (-1: missing), otherwise numbers; shape
                (rows,).
            missing: Mask of the missing cells, shape (rows,); None: no cell is missing.

        Returns:
            A series of shape (rows,) with a RangeIndex.

        Example:
            >>> column = Column("born", "datetime", np.dtype("datetime64[s]"))
            >>> column.restore(np.array([0, 86_400])).dt.day.tolist()
            [1, 2]
        """
        if self.kind in LEVELS:
            return self._restore_levels(values)
        if self.kind == "datetime":
            return cell.from_ticks(values, missing, self.dtype, self.name, self.cells, self.empty)
        return cell.as_dtype(values, missing, self.dtype, self.name, self.cells, self.empty)

    def _restore_levels(self, codes: np.ndarray) -> pd.Series:
        missing = codes < 0
        if not self.categories or missing.all():
            return cell.all_missing(len(codes), self.dtype, self.name, self.empty)
        known = pd.Index(list(self.categories), dtype=object, tupleize_cols=False)
        if isinstance(self.dtype, pd.CategoricalDtype):
            levels = pd.Index(
                self.dtype.categories.astype(object), dtype=object, tupleize_cols=False
            )
            positions = np.where(missing, -1, levels.get_indexer(known)[codes])
            found = pd.Categorical.from_codes(positions, dtype=self.dtype)
            return pd.Series(found, name=self.name)
        return cell.as_dtype(
            known.to_numpy()[np.maximum(codes, 0)],
            missing,
            self.dtype,
            self.name,
            self.cells if self.cells[:5] == "numpy" else "",
            self.empty,
        )

    def to_json(self) -> dict[str, Any]:
        """The column as plain JSON values; `from_json` is the inverse.

        Returns:
            A dictionary of all non-empty fields. Dates are text: ``"lower": "1984-02-29"``.

        Example:
            >>> Column("age", "integer", np.dtype("int64"), lower=18).to_json()
            {'name': 'age', 'kind': 'integer', 'dtype': 'int64', 'lower': 18}
        """
        out: dict[str, Any] = {}
        defaults = Column(name=None, kind="missing", dtype=None)
        for field in fields(self):
            value = getattr(self, field.name)
            try:
                if field.name == "dtype":
                    out["dtype"] = plain.dtype_to_plain(value, self.categories)
                elif field.name in ("name", "kind"):
                    out[field.name] = plain.to_plain(value)
                elif value != getattr(defaults, field.name):
                    if field.name in ("lower", "upper", "spikes"):
                        value = self._dated(value)
                    out[field.name] = (
                        [plain.to_plain(v) for v in value] if isinstance(value, tuple) else value
                    )
            except DataError as error:
                raise DataError(error.code, f"column {self.name!r}: {error.message}") from error
        return out

    def _dated(self, value: Any) -> Any:
        plain = cell.tick_type(self.dtype, self.cells)
        if self.kind != "datetime" or plain.kind != "M":
            return value
        if isinstance(value, tuple):
            return tuple(map(self._dated, value))
        return str(np.int64(value).astype(plain))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Column:
        """Read one column from its JSON form.

        Args:
            data: A dictionary as from `to_json`; every value is checked, as users edit these files.

        Returns:
            The column.

        Raises:
            UsageError: A key, kind, dtype or value is invalid (E261, E262, E267, E268).

        Example:
            >>> Column.from_json({"name": "age", "kind": "integer", "dtype": "int64"}).kind
            'integer'
        """
        if not isinstance(data, Mapping):
            raise UsageError(
                261,
                f'schema: {cell.shown(data)} is not a column: use {{"name": ..., "kind": ...}}',
            )
        known = {f.name for f in fields(cls)}
        name = data.get("name")
        if "name" not in data or data.get("kind") not in KINDS or set(data) - known:
            extra = (
                ", ".join(sorted(map(str, set(data) - known)))
                or f"kind={data.get('kind')!r}, name={name!r}"
            )
            raise UsageError(
                261,
                f"schema, column {name!r}: cannot use {extra}; the kinds are {', '.join(KINDS)}, "
                f"and the fields of a column are {', '.join(f.name for f in fields(cls))}",
            )
        values = {**data, "name": plain.from_plain(name)}
        for key in ("spikes", "categories"):
            if key in data:
                if not isinstance(data[key], list):
                    raise UsageError(
                        261,
                        f"schema, column {name!r}: {key} must be a list, not {data[key]!r}",
                    )
                values[key] = tuple(map(plain.from_plain, data[key]))
        dtype = data.get("dtype", "object")
        try:
            values["dtype"] = plain.dtype_from_plain(dtype, values.get("categories", ()))
        except (TypeError, ValueError, KeyError, ImportError) as error:
            raise UsageError(
                262, f"schema, column {name!r}: pandas does not know dtype {dtype!r}"
            ) from error
        # A user who edits the kind may leave fields of the old kind behind.
        if values["kind"] not in LEVELS:
            values.pop("categories", None)
        if values["kind"] not in (*NUMBERS, "id"):
            for key in ("lower", "upper", "step", "decimals", "spikes"):
                values.pop(key, None)
        _undate(values)
        _check_values(values)
        return cls(**values)


def level_position(name: Hashable, value: Any, levels: Sequence[Any], *, missing: bool) -> int:
    """The position of a value among the levels of a column."""
    if missing and pd.api.types.is_scalar(value) and pd.isna(value):
        return -1
    if value not in levels and isinstance(value, str):
        value = next((level for level in levels if str(level) == value), value)
    if value not in levels:
        shown = ", ".join(map(repr, levels[:10])) + ", ..." * (len(levels) > 10)
        raise UsageError(238, f"column {name!r} has no value {value!r}: it has {shown}")
    return list(levels).index(value)


def joined(columns: Sequence[Column]) -> Column:
    """One column whose limits and categories cover those of several columns of the same kind."""
    first = columns[0]
    lowers = [c.lower for c in columns if c.lower is not None]
    uppers = [c.upper for c in columns if c.upper is not None]
    step = None
    if first.step is not None:
        apart = [int(lower) - int(lowers[0]) for lower in lowers]
        step = math.gcd(*apart, *(c.step or 1 for c in columns))
    decimals = [c.decimals for c in columns]
    categories = tuple(dict.fromkeys(value for c in columns for value in c.categories))
    dtype = first.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        levels = dict.fromkeys(v for c in columns for v in c.dtype.categories)
        dtype = pd.CategoricalDtype(list(levels), ordered=dtype.ordered) if levels else dtype
    return replace(
        first,
        dtype=dtype,
        missing=max(c.missing for c in columns),
        lower=min(lowers, default=None),
        upper=max(uppers, default=None),
        step=step,
        decimals=None if None in decimals else max(d for d in decimals if d is not None),
        spikes=tuple(sorted({spike for c in columns for spike in c.spikes})),
        categories=categories,
    )


def _undate(values: dict[str, Any]) -> None:
    """Convert dates among the limits to ticks, and whole floats to integers, in place."""

    def undated(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            ticks = np.datetime64(value).astype(plain).astype(np.int64)
        except ValueError:
            return value  # `_check_values` rejects it
        return int(ticks)

    plain = cell.tick_type(values["dtype"], values.get("cells", ""))
    if values["kind"] in ("integer", "id"):
        for key in ("lower", "upper"):
            if isinstance(values.get(key), float) and values[key].is_integer():
                values[key] = int(values[key])
    if values["kind"] == "datetime" and plain.kind == "M":
        for key in ("lower", "upper", "spikes"):
            if key in values:
                value = values[key]
                values[key] = (
                    tuple(map(undated, value)) if isinstance(value, tuple) else undated(value)
                )


def _check_values(values: Mapping[str, Any]) -> None:
    """Raise if a field of an edited schema has an invalid value."""
    whole = values["kind"] in ("integer", "datetime", "id")

    def number(value: Any) -> bool:
        fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        # `isfinite` raises for a whole number too large for a float.
        return (
            fits and abs(value) <= sys.float_info.max and (not whole or -(2**63) <= value < 2**63)
        )

    def count(value: Any, least: int) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and value >= least

    limit = "a whole number of 64 bits" if whole else "a number"
    rules = {
        "reason": (lambda v: isinstance(v, str), "a text"),
        "missing": (lambda v: isinstance(v, int | float) and 0 <= v <= 1, "a share from 0 to 1"),
        "lower": (lambda v: v is None or number(v), limit),
        "upper": (lambda v: v is None or number(v), limit),
        "step": (
            lambda v: v is None or (count(v, 1) and v < 2**63),
            "a whole number from 1 to 2^63 - 1",
        ),
        "decimals": (
            lambda v: v is None or (count(v, 0) and v <= 15),
            "a whole number from 0 to 15",
        ),
        "spikes": (lambda v: all(map(number, v)), f"a list; each of them {limit}"),
        "categories": (
            lambda v: len(set(v)) == len(v) and None not in v,
            "a list of different values",
        ),
        "cells": (lambda v: v in cell.CELLS, f"one of {', '.join(filter(None, cell.CELLS))}"),
        "empty": (lambda v: v in ("", *cell.EMPTY), f"one of {', '.join(cell.EMPTY)}"),
    }
    for key, (fits, wanted) in rules.items():
        if key in values and not fits(values[key]):
            raise UsageError(
                268,
                f"schema, column {values['name']!r}: {key} must be {wanted}, not "
                f"{cell.shown(values[key])}",
            )
    lower, upper = values.get("lower"), values.get("upper")
    if lower is not None and upper is not None and lower > upper:
        raise UsageError(
            268,
            f"schema, column {values['name']!r}: lower, {lower}, is greater than upper, {upper}",
        )
