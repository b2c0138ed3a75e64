"""Expressions of rules, evaluated for all rows: whole numbers never wrap around or lose digits.

Whole numbers of every width become int64, or Python integers where a result does not fit; floats of
every width become float64. A missing cell never gets here: `Rule` judges rows without one.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types as pdt

from synthgen.tables import dtypes as cell
from synthgen.tables.dtypes import INT64

# With text, these operators could allocate gigabytes: 'x' * 1000000000, or '%1000000000d' % 1.
TIMES = "* and % take numbers only"
_LIST = "a list may only follow in, not in, == or !="
_OPERATIONS: dict[type[ast.AST], Callable[..., Any]] = {
    **{ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul},
    **{ast.Div: operator.truediv, ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod},
    **{ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge},
    **{ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.USub: operator.neg, ast.UAdd: operator.pos},
    **{ast.And: np.logical_and, ast.Or: np.logical_or, ast.Not: np.logical_not},
    **{ast.BitAnd: np.logical_and, ast.BitOr: np.logical_or, ast.Invert: np.logical_not},
    ast.BitXor: np.logical_xor,
}
_DIVISIONS = ast.Div | ast.FloorDiv | ast.Mod
# Relative and absolute tolerance of ==, !=, <= and >= between floats; single precision holds fewer
# digits.
CLOSE, CLOSE_SINGLE = 1e-9, 1e-6
WHOLE_FLOATS = 2**53  # float64 holds every whole number up to this one
_CLOCK = re.compile(r"\s*(now|today|\d{1,2}:.*)\s*", re.IGNORECASE)
_KINDS = {"integer": "i", "floating": "f", "mixed-integer-float": "f", "boolean": "b"}
NUMERIC = set("iufb")


class Rows:
    """The columns that a rule names, without missing cells, in dtypes that cannot overflow."""

    def __init__(self, columns: Mapping[str, pd.Series]) -> None:
        self.columns = {key: _comparable(series) for key, series in columns.items()}
        self.narrow = {
            key: cell.numpy_type(series.dtype)
            for key, series in columns.items()
            if pdt.is_float_dtype(series.dtype) and cell.numpy_type(series.dtype).itemsize < 8
        }

    def value(self, node: ast.expr) -> Any:
        """Evaluate a checked expression."""
        match node:
            case ast.Constant():
                return node.value
            case ast.Name():
                return self.columns[node.id]
            case ast.List() | ast.Tuple():
                return [self.value(part) for part in node.elts]
            case ast.BoolOp():
                parts = (self.value(part) for part in node.values)
                return reduce(_OPERATIONS[type(node.op)], parts)
            case ast.UnaryOp():
                return _signed(node.op, self.value(node.operand))
            case ast.BinOp():
                return _computed(node.op, self.value(node.left), self.value(node.right))
            case ast.Compare():
                nodes = [node.left, *node.comparators]
                found = map(self._compared, node.ops, nodes, nodes[1:])
                return reduce(np.logical_and, found)
            case ast.Call(func=ast.Name(id="abs")):
                return _size(self.value(node.args[0]))
            case ast.Call(func=ast.Name(id="round")):
                number, *digits = (self.value(part) for part in node.args)
                return _rounded(_beside(number, 0), *digits)
        raise TypeError(f"{type(node).__name__} is not allowed")

    def _compared(self, sign: ast.cmpop, left: ast.expr, right: ast.expr) -> Any:
        """One comparison; a decimal beside a column of low precision is rounded as its cells."""
        one, two = self.value(left), self.value(right)
        for node, other in ((left, right), (right, left)):
            if isinstance(node, ast.Name) and node.id in self.narrow:
                rounded = _as_stored(two if other is right else one, self.narrow[node.id])
                one, two = (one, rounded) if other is right else (rounded, two)
        single = any(
            isinstance(part, ast.Name) and part.id in self.narrow
            for node in (left, right)
            for part in ast.walk(node)
        )
        return _compared(sign, one, two, CLOSE_SINGLE if single else CLOSE)


# --- columns --------------------------------------------------------------------------------------


def _comparable(series: pd.Series) -> pd.Series:
    """The cells (none missing) in a dtype that supports comparison; zoned times in UTC."""
    series = cell.tidy(series).reset_index(drop=True)
    if isinstance(series.dtype, pd.CategoricalDtype) and not series.dtype.ordered:
        series = series.astype(series.dtype.categories.dtype)
    if isinstance(series.dtype, pd.DatetimeTZDtype):
        series = series.dt.tz_convert("UTC").dt.tz_localize(None)
    if pdt.infer_dtype(series, skipna=False) == "date":
        return pd.to_datetime(series)
    if series.dtype == object and (kind := _kind(series)) in NUMERIC:
        return _whole(series.tolist()) if kind == "i" else series.infer_objects()
    if pdt.is_bool_dtype(series.dtype) and series.dtype != object:
        return pd.Series(series.to_numpy(dtype=bool))
    if pdt.is_float_dtype(series.dtype):
        return pd.Series(cell.floats(series))
    if pdt.is_integer_dtype(series.dtype):
        return _integer(pd.Series(series.to_numpy(dtype=cell.numpy_type(series.dtype))))
    return series.infer_objects()


def _kind(value: Any) -> str:
    """The kind of a value: "M" for dates, "m" for spans, "i", "u", "f", "b", "O", "U"."""
    if isinstance(value, pd.Series):
        if value.dtype == object:  # Python integers that do not fit 64 bits, or text
            return _KINDS.get(pdt.infer_dtype(value, skipna=False), "O")
        return value.dtype.kind
    if isinstance(value, int) and not isinstance(value, bool):
        return "i"
    return np.asarray(value).dtype.kind


def _as_stored(value: Any, dtype: np.dtype) -> Any:
    """Decimals as a column of `dtype` would hold them."""
    if isinstance(value, list):
        return [_as_stored(v, dtype) for v in value]
    if not isinstance(value, float):
        return value
    with np.errstate(over="ignore"):
        rounded = float(dtype.type(value))
    return rounded if math.isfinite(rounded) else value


def _beside(value: Any, other: Any) -> Any:
    """Convert a value for use with another: spans to days beside numbers, text beside dates."""
    kind, of = _kind(value), _kind(other)
    if kind == "m" and of in "iuf":
        return value / pd.Timedelta(days=1)
    if of == "M" and isinstance(value, str | int):  # as a whole number, a year
        if _CLOCK.fullmatch(str(value)):
            raise ValueError(f"{value!r} depends on the clock: write a date, such as '2025-01-31'")
        return pd.Timestamp(str(value))
    return value


def _days(number: Any) -> Any:
    """The span of a number of days, to the microsecond."""
    wide = number.astype("float64") if isinstance(number, pd.Series) else float(number)
    return pd.to_timedelta(round(wide * 86_400e6), unit="us")


# --- whole numbers --------------------------------------------------------------------------------


def _whole(values: Iterable[Any]) -> pd.Series:
    """Results of Python's arithmetic: int64 if all are whole numbers that fit, else objects."""
    found = list(values)
    fits = all(isinstance(v, int | np.integer) and INT64.min <= v <= INT64.max for v in found)
    if fits:
        return pd.Series(found, dtype=np.int64)
    plain = [v.item() if isinstance(v, np.generic) else v for v in found]
    return pd.Series(plain, dtype=object)


def _integer(value: Any) -> Any:
    """Whole numbers or booleans as int64, or as Python integers where these do not fit."""
    if not isinstance(value, pd.Series):
        return int(value)
    if value.dtype == object:
        return value
    if value.dtype == np.uint64 and (value > INT64.max).any():
        return value.astype(object)
    return value.astype(np.int64)


def _ends(value: Any) -> tuple[int, int]:
    """The smallest and the largest of some whole numbers."""
    if isinstance(value, pd.Series):
        return int(value.min()), int(value.max())
    return value, value


def _computed_whole(sign: ast.operator, left: Any, right: Any) -> Any:
    """Exact arithmetic of whole numbers; as in NumPy, x / 0 is infinite and x % 0 is NaN."""
    left, right = _integer(left), _integer(right)
    operation = _OPERATIONS[type(sign)]
    if not isinstance(left, pd.Series) and not isinstance(right, pd.Series):
        return operation(left, right)
    ends = [*_ends(left), *_ends(right)]
    most = INT64.max
    if isinstance(sign, _DIVISIONS):
        fits = isinstance(right, int) and right != 0
        fits = fits or (isinstance(right, pd.Series) and bool((right != 0).all()))
        most = WHOLE_FLOATS if isinstance(sign, ast.Div) else most
    else:
        fits = all(abs(operation(a, b)) <= most for a in ends[:2] for b in ends[2:])
    if fits and all(abs(end) <= most for end in ends):
        return operation(left, right)
    rows = max(len(v) for v in (left, right) if isinstance(v, pd.Series))
    one, two = (v.tolist() if isinstance(v, pd.Series) else [v] * rows for v in (left, right))
    if isinstance(sign, _DIVISIONS):
        return _whole(_divided(sign, a, b) for a, b in zip(one, two, strict=True))
    return _whole(map(operation, one, two))


def _divided(sign: ast.operator, one: int, two: int) -> int | float:
    if two:
        return _OPERATIONS[type(sign)](one, two)
    return math.nan if isinstance(sign, ast.Mod) or not one else math.copysign(math.inf, one)


def _signed(sign: ast.unaryop, value: Any) -> Any:
    """The result of an operator with one operand."""
    if isinstance(sign, ast.USub) and _kind(value) in "ib":
        return _computed_whole(ast.Sub(), 0, value)
    if isinstance(sign, ast.UAdd) and _kind(value) in "ib":
        return _integer(value)
    return _OPERATIONS[type(sign)](value)


def _size(value: Any) -> Any:
    """The absolute value."""
    if _kind(value) not in "ib":
        return abs(value)
    value = _integer(value)
    if isinstance(value, pd.Series) and _ends(value)[0] == INT64.min:
        return _whole(map(abs, value.tolist()))
    return abs(value)


def _rounded(value: Any, digits: int = 0) -> Any:
    if _kind(value) not in "ib" or not isinstance(value, pd.Series):
        return round(value, digits)
    value = _integer(value)
    return value if digits >= 0 else _whole(round(v, digits) for v in value.tolist())


# --- operators ------------------------------------------------------------------------------------


def _computed(sign: ast.operator, left: Any, right: Any) -> Any:
    """The result of an arithmetic or logical operator."""
    if isinstance(left, list) or isinstance(right, list):
        raise TypeError(_LIST)
    if _kind(left) == "M" and _kind(right) in "iuf":
        right = _days(right)
    elif _kind(right) == "M" and _kind(left) in "iuf":
        left = _days(left)
    left, right = _beside(left, right), _beside(right, left)
    kinds = {_kind(left), _kind(right)}
    if isinstance(sign, ast.Mult | ast.Mod) and not kinds <= NUMERIC:
        raise TypeError(TIMES)
    if isinstance(sign, ast.BitAnd | ast.BitOr | ast.BitXor):
        return _OPERATIONS[type(sign)](left, right)
    if kinds <= set("ib"):
        return _computed_whole(sign, left, right)
    if kinds <= NUMERIC:
        left, right = (
            v.astype(np.float64) if isinstance(v, pd.Series) else v for v in (left, right)
        )
    found = _OPERATIONS[type(sign)](left, right)
    return found.infer_objects() if isinstance(found, pd.Series) else found


def _compared(sign: ast.cmpop, left: Any, right: Any, tolerance: float) -> Any:
    """The result of one comparison; floats that are equal but for rounding count as equal."""
    if isinstance(left, list) and isinstance(sign, ast.Eq | ast.NotEq):
        left, right = right, left
    if isinstance(left, list):
        raise TypeError(_LIST)
    if isinstance(right, list):
        if not isinstance(sign, ast.In | ast.NotIn | ast.Eq | ast.NotEq):
            raise TypeError(_LIST)
        found = _among(left, right, tolerance)
        return np.logical_not(found) if isinstance(sign, ast.NotIn | ast.NotEq) else found
    left, right = _beside(left, right), _beside(right, left)
    kinds = {_kind(left), _kind(right)}
    if kinds <= set("ib"):
        return _OPERATIONS[type(sign)](_integer(left), _integer(right))
    if "f" in kinds and kinds <= NUMERIC:
        return _compared_floats(sign, left, right, tolerance)
    return _OPERATIONS[type(sign)](left, right)


def _compared_floats(sign: ast.cmpop, left: Any, right: Any, tolerance: float) -> Any:
    """Compare numbers of which some are floats."""
    one, two = left, right
    for value in (left, right):
        if _kind(value) == "i" and max(map(abs, _ends(value))) > WHOLE_FLOATS:
            # Python compares a whole number with a float exactly, NumPy converts it first.
            one, two = (v.astype(object) if isinstance(v, pd.Series) else v for v in (left, right))
    found = _OPERATIONS[type(sign)](one, two)
    if isinstance(sign, ast.Lt | ast.Gt):
        return found
    with np.errstate(over="ignore"):
        close = np.isclose(
            *(cell.floats(x) if isinstance(x, pd.Series) else float(x) for x in (left, right)),
            rtol=tolerance,
            atol=CLOSE,
        )
    return np.logical_and(found, ~close) if isinstance(sign, ast.NotEq) else found | close


def _among(value: Any, listed: list[Any], tolerance: float) -> Any:
    """Whether each cell equals one of the listed values; time does not grow with their number."""
    kind = _kind(value)
    plain = all(isinstance(v, str | int | float) for v in listed)
    if not isinstance(value, pd.Series) or not plain or kind not in NUMERIC | set("OUMm"):
        found = (_compared(ast.Eq(), value, v, tolerance) for v in listed)
        return reduce(np.logical_or, found, np.False_)
    if kind == "M":
        listed = [_beside(v, value) for v in listed]
        listed = [v for v in listed if isinstance(v, pd.Timestamp) and v.tz is None]
    if kind == "m":
        spans = [pd.Timedelta(v) for v in listed if isinstance(v, str)]
        days = [v for v in listed if not isinstance(v, str)]
        same = value.isin(spans).to_numpy(dtype=bool)
        return same | _among(_beside(value, 0), days, tolerance)
    if kind not in NUMERIC:
        return value.isin(listed).to_numpy(dtype=bool)
    numbers = [v for v in listed if not isinstance(v, str)]
    whole = [int(v) for v in numbers if isinstance(v, int)]
    floats = numbers if kind == "f" else [v for v in numbers if isinstance(v, float)]
    found = np.zeros(len(value), dtype=bool)
    if kind in "ib":
        number = _integer(value)
        fits = [v for v in whole if INT64.min <= v <= INT64.max]
        found |= number.isin(whole if number.dtype == object else fits).to_numpy(dtype=bool)
    sorted_floats = np.sort(np.array([float(v) for v in floats]))
    sorted_floats = sorted_floats[~np.isnan(sorted_floats)]
    if len(sorted_floats):
        own = cell.floats(value)
        above = np.searchsorted(sorted_floats, own).clip(max=len(sorted_floats) - 1)
        for place in (above, (above - 1).clip(min=0)):  # if any is close, a neighbour is
            found |= np.isclose(own, sorted_floats[place], rtol=tolerance, atol=CLOSE)
    return found
