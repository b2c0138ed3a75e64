"""Constraints on new rows: limits of the columns, and rules given by the user."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from typing import Any, cast, final

import numpy as np
import pandas as pd

from synthgen.errors import UsageError
from synthgen.tables import dtypes as cell
from synthgen.tables.column import LEVELS, NUMBERS, Column

_QUOTED = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`([^`]+)`""")
_SYNTAX = (
    *(ast.Expression, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Name, ast.Load),
    *(ast.Constant, ast.List, ast.Tuple, ast.boolop, ast.operator, ast.unaryop, ast.cmpop),
    ast.Call,
)
_REFUSED = ast.MatMult | ast.Pow | ast.LShift | ast.RShift
# With text, these operators could allocate gigabytes: 'x' * 1000000000, or '%1000000000d' % 1.
_TIMES = "* and % take numbers only"
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
# Relative and absolute tolerance of ==, !=, <= and >= between floats; single precision holds fewer
# digits.
CLOSE, CLOSE_SINGLE = 1e-9, 1e-6
MOST_DIGITS = 15
RowRule = str | Callable[[pd.DataFrame], Any]


@final
class Rule:
    """A condition that every row must satisfy."""

    def __init__(self, rule: RowRule) -> None:
        self.text = rule if isinstance(rule, str) else getattr(rule, "__name__", repr(rule))
        self._function = None if isinstance(rule, str) else rule
        if isinstance(rule, str):
            self._expression, self._names, self._flags = _parsed(rule)
        elif not callable(rule):
            raise UsageError(251, f"a rule is text or a function, not {rule!r}")

    def holds(self, frame: pd.DataFrame) -> np.ndarray:
        """Which rows satisfy the rule."""
        judged = np.ones(len(frame), dtype=bool)
        listed = ", ".join(f"{c!r} ({d})" for c, d in zip(frame, frame.dtypes, strict=True))
        try:
            if self._function is not None:
                found = self._function(frame.copy())
            else:
                known = {str(name): place for place, name in enumerate(frame.columns)}
                used = {key: frame.iloc[:, known[name]] for key, name in self._names.items()}
                for series in used.values():
                    judged &= series.notna().to_numpy(dtype=bool)
                if not judged.any():
                    return ~judged
                rows = {
                    key: _comparable(s[judged]).reset_index(drop=True) for key, s in used.items()
                }
                for key in self._flags:
                    if not pd.api.types.is_bool_dtype(rows[key].dtype):
                        raise TypeError(
                            f"column {self._names[key]!r} is not boolean: use a comparison"
                        )
                found = _value(self._expression, rows)
                if isinstance(found, bool | np.bool_):  # for instance, of `kind in []`
                    found = np.full(int(judged.sum()), found)
            wanted = int(judged.sum())
            if not isinstance(found, pd.Series | np.ndarray) or found.shape != (wanted,):
                raise TypeError(f"it returns {type(found).__name__}, not one boolean for each row")
            if wanted and not pd.api.types.is_bool_dtype(found.dtype):
                raise TypeError(f"it returns {found.dtype}, not booleans: use a comparison")
        except KeyError as error:
            what = f"rule {self.text!r} names column {error}, but there is no such column"
            raise UsageError(252, f"{what}: the columns are {listed}") from error
        except Exception as error:  # a user's function or comparison may raise anything
            what = f"rule {self.text!r} fails: {type(error).__name__}: {error}"
            raise UsageError(253, f"{what}. The columns are {listed}") from error
        holds = ~judged
        holds[judged] = pd.Series(found).fillna(False).to_numpy(dtype=bool)
        return holds


# --- rules --------------------------------------------------------------------------------------


def _parsed(text: str) -> tuple[ast.expr, dict[str, str], list[str]]:
    """Check the syntax of a rule, and replace names in backticks by identifiers."""
    names: dict[str, str] = {}
    flags: list[str] = []

    def stand_in(found: re.Match[str]) -> str:
        if found[1] is None:
            return found[0]  # quoted text, not a name
        key = f"column{len(names)}{'_' * len(text)}"  # longer than any name in the rule
        names[key] = found[1]
        return key

    expression, wrong = _QUOTED.sub(stand_in, text).strip(), ""
    body: ast.expr = ast.Constant("")
    try:
        body = ast.parse(expression, mode="eval").body
        nodes = list(ast.walk(body))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        nodes, wrong = [], getattr(error, "msg", "") or str(error) or "nested too deeply"
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    for node in nodes:
        if not isinstance(node, _SYNTAX) or isinstance(node, _REFUSED):
            wrong = f"{type(node).__name__} is not allowed"
        elif isinstance(node, ast.Constant) and not isinstance(node.value, str | int | float):
            wrong = f"{node.value!r} is not allowed"
        elif isinstance(node, ast.Compare) and _within_a_column(node):
            wrong = "in takes a list of values, such as kind in ['a', 'b']"
        elif isinstance(node, ast.Name) and node.id.startswith("__"):
            wrong = f"the name {node.id!r} is not allowed"
        elif isinstance(node, ast.Call) and not _is_abs_or_round(node):
            wrong = (
                f"the only calls are abs(x) and round(x, digits), with at most {MOST_DIGITS} digits"
            )
        elif isinstance(node, ast.Name) and id(node) not in called:
            names.setdefault(node.id, node.id)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Mod):
            inner = [
                n for n in ast.walk(node) if isinstance(n, ast.List | ast.Tuple | ast.Constant)
            ]
            if any(not isinstance(n, ast.Constant) or isinstance(n.value, str) for n in inner):
                wrong = _TIMES
        for joined in _joined(node):
            if isinstance(joined, ast.Name):
                flags.append(joined.id)
            elif not isinstance(joined, ast.Compare) and not _joined(joined):
                wrong = "and, or, not, & and | combine comparisons: put these in parentheses"
    if len(expression.splitlines()) > 1:
        wrong = "it has several lines"
    if wrong or not names:
        what = f"rule {text!r} cannot be used ({wrong or 'it names no column'})"
        raise UsageError(
            251,
            f"{what}: a rule compares columns, such as 'start <= end'. It may contain names, "
            f"numbers, quoted text, + - * / // %, comparisons, in, and, or, not, abs(x) and "
            f"round(x, digits)",
        )
    return body, names, flags


def _is_abs_or_round(node: ast.Call) -> bool:
    """Whether the call is `abs(x)`, `round(x)` or `round(x, digits)`."""
    if node.keywords or not isinstance(node.func, ast.Name):
        return False
    match node.func.id, node.args:
        case "abs" | "round", [_]:
            return True
        case "round", [_, ast.Constant(digits) | ast.UnaryOp(ast.USub(), ast.Constant(digits))]:
            # Python would compute 10 ** digits for a whole number.
            return type(digits) is int and digits <= MOST_DIGITS
    return False


def _within_a_column(node: ast.Compare) -> bool:
    """Whether `in` searches a whole column, so that the result for a row depends on other rows."""
    return any(
        isinstance(sign, ast.In | ast.NotIn) and not isinstance(of, ast.List | ast.Tuple)
        for sign, of in zip(node.ops, node.comparators, strict=True)
    )


def _joined(node: ast.AST) -> list[ast.expr]:
    """The operands of a logical operator; empty for any other node."""
    match node:
        case ast.BoolOp():
            return node.values
        case ast.UnaryOp(op=ast.Not() | ast.Invert()):
            return [node.operand]
        case ast.BinOp(op=ast.BitAnd() | ast.BitOr() | ast.BitXor()):
            return [node.left, node.right]
    return []


def _comparable(series: pd.Series) -> pd.Series:
    """The cells (none missing) in a dtype that supports comparison; zoned times in UTC."""
    series = cell.tidy(series)
    if isinstance(series.dtype, pd.CategoricalDtype) and not series.dtype.ordered:
        series = series.astype(series.dtype.categories.dtype)
    if isinstance(series.dtype, pd.DatetimeTZDtype):
        series = series.dt.tz_convert("UTC").dt.tz_localize(None)
    if pd.api.types.infer_dtype(series, skipna=False) == "date":
        return pd.to_datetime(series)
    return series.infer_objects()


def _value(node: ast.expr, rows: Mapping[str, pd.Series]) -> Any:
    """Evaluate a checked expression on rows without missing cells."""
    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            return rows[node.id]
        case ast.List() | ast.Tuple():
            return [_value(part, rows) for part in node.elts]
        case ast.BoolOp():
            parts = (_value(part, rows) for part in node.values)
            return reduce(_OPERATIONS[type(node.op)], parts)
        case ast.UnaryOp():
            return _OPERATIONS[type(node.op)](_value(node.operand, rows))
        case ast.BinOp():
            return _computed(node.op, _value(node.left, rows), _value(node.right, rows))
        case ast.Compare():
            parts = [_value(part, rows) for part in (node.left, *node.comparators)]
            return reduce(np.logical_and, map(_compared, node.ops, parts, parts[1:]))
        case ast.Call(func=ast.Name(id="abs")):
            return abs(_value(node.args[0], rows))
        case ast.Call(func=ast.Name(id="round")):
            number, *digits = (_value(part, rows) for part in node.args)
            return round(_beside(number, 0), *digits)
    raise TypeError(f"{type(node).__name__} is not allowed")


def _computed(sign: ast.operator, left: Any, right: Any) -> Any:
    """The result of an arithmetic or logical operator."""
    if isinstance(left, list) or isinstance(right, list):
        raise TypeError(_LIST)
    if _kind(left) == "M" and _kind(right) in "iuf":
        right = _days(right)
    elif _kind(right) == "M" and _kind(left) in "iuf":
        left = _days(left)
    left, right = _beside(left, right), _beside(right, left)
    if isinstance(sign, ast.Mult | ast.Mod) and not {_kind(left), _kind(right)} <= set("iufb"):
        raise TypeError(_TIMES)
    found = _OPERATIONS[type(sign)](left, right)
    return found.infer_objects() if isinstance(found, pd.Series) else found


def _compared(sign: ast.cmpop, left: Any, right: Any) -> Any:
    """The result of one comparison; floats that are equal but for rounding count as equal."""
    if isinstance(left, list) and isinstance(sign, ast.Eq | ast.NotEq):
        left, right = right, left
    if isinstance(left, list):
        raise TypeError(_LIST)
    if isinstance(right, list):
        if not isinstance(sign, ast.In | ast.NotIn | ast.Eq | ast.NotEq):
            raise TypeError(_LIST)
        found = reduce(np.logical_or, (_compared(ast.Eq(), left, v) for v in right), np.False_)
        return np.logical_not(found) if isinstance(sign, ast.NotIn | ast.NotEq) else found
    left, right = _beside(left, right), _beside(right, left)
    found = _OPERATIONS[type(sign)](left, right)
    kinds = {_kind(left), _kind(right)}
    if "f" not in kinds or not kinds <= set("iufb") or isinstance(sign, ast.Lt | ast.Gt):
        return found
    single = any(
        str(getattr(x, "dtype", "")).lower() in ("float16", "float32") for x in (left, right)
    )
    with np.errstate(over="ignore"):
        close = np.isclose(
            *(cell.floats(x) if isinstance(x, pd.Series) else float(x) for x in (left, right)),
            rtol=CLOSE_SINGLE if single else CLOSE,
            atol=CLOSE,
        )
    return np.logical_and(found, ~close) if isinstance(sign, ast.NotEq) else found | close


def _kind(value: Any) -> str:
    """The kind of the dtype: "M" for dates, "m" for spans, "i", "u", "f", "b", "O", "U"."""
    dtype = value.dtype if isinstance(value, pd.Series) else np.asarray(value).dtype
    return cast(Any, dtype).kind


def _beside(value: Any, other: Any) -> Any:
    """Convert a value for use with another: spans to days beside numbers, text beside dates."""
    kind, of = _kind(value), _kind(other)
    if kind == "m" and of in "iuf":
        return value / pd.Timedelta(days=1)
    if of == "M" and isinstance(value, str | int):  # as a whole number, a year
        return pd.Timestamp(str(value))
    return value


def _days(number: Any) -> Any:
    """The span of a number of days, to the microsecond."""
    wide = number.astype("float64") if isinstance(number, pd.Series) else float(number)
    return pd.to_timedelta(round(wide * 86_400e6), unit="us")


# --- limits -------------------------------------------------------------------------------------


def violations(
    column: Column, series: pd.Series, may_miss: bool
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name of each limit, and a bool mask of the cells that break it, shape (rows,)."""
    series = cell.tidy(series)
    gone = series.isna().to_numpy(dtype=bool)
    if not may_miss:
        yield "missing", gone
    if column.kind == "missing":
        yield "value in an empty column", ~gone
    elif column.kind in LEVELS:
        known = pd.Index(list(column.categories), dtype=object, tupleize_cols=False)
        found = pd.Index(series.astype(object), dtype=object, tupleize_cols=False)
        yield "unknown category", ~gone & (known.get_indexer(found) < 0)
    elif column.kind in NUMBERS:
        there, lower, upper = ~gone, column.lower, column.upper
        if column.kind == "datetime":
            values, _ = column.numbers(series)
        else:
            whole = column.kind == "integer"
            values, bad = cell.numbers(series, gone, whole=whole)
            yield ("not a whole number" if whole else "not a number"), bad
            there &= ~bad
        yield "out of range", there & ((values < lower) | (values > upper))
        if column.step is not None and lower is not None:
            above = values.view(np.uint64) - np.int64(lower).view(np.uint64)
            yield "between two steps", there & (above % np.uint64(column.step) != 0)
        if column.decimals is not None:
            narrow = np.float64 if series.dtype == object else cell.numpy_type(series.dtype)
            rounded = np.round(values, column.decimals).astype(narrow)
            yield "too many decimals", there & (rounded != values.astype(narrow))
