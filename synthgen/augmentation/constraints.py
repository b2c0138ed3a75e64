"""Constraints on new rows: limits of the columns, and rules given by the user."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from typing import Any, final

import numpy as np
import pandas as pd

from synthgen.augmentation.expressions import TIMES, Rows
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
MOST_DIGITS, MOST_LISTED = 15, 40
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
                rows = Rows({key: series[judged] for key, series in used.items()})
                for key in self._flags:
                    if not pd.api.types.is_bool_dtype(rows.columns[key].dtype):
                        raise TypeError(
                            f"column {self._names[key]!r} is not boolean: use a comparison"
                        )
                found = rows.value(self._expression)
                if isinstance(found, bool | np.bool_):  # for instance, of `kind in []`
                    found = np.full(int(judged.sum()), found)
            wanted = int(judged.sum())
            if not isinstance(found, pd.Series | np.ndarray) or found.shape != (wanted,):
                raise TypeError(f"it returns {type(found).__name__}, not one boolean for each row")
            if wanted and not pd.api.types.is_bool_dtype(found.dtype):
                raise TypeError(f"it returns {found.dtype}, not booleans: use a comparison")
        except KeyError as error:
            what = f"rule {self.text!r} names column {error}, but there is no such column"
            raise UsageError(252, f"{what}: the columns are {_listed(frame)}") from error
        except Exception as error:  # a user's function or comparison may raise anything
            what = f"rule {self.text!r} fails: {type(error).__name__}: {error}"
            raise UsageError(253, f"{what}. The columns are {_listed(frame)}") from error
        holds = ~judged
        holds[judged] = pd.Series(found).fillna(False).to_numpy(dtype=bool)
        return holds


def _listed(frame: pd.DataFrame) -> str:
    """The names and dtypes of the first columns, for a message."""
    some = zip(frame.columns[:MOST_LISTED], frame.dtypes[:MOST_LISTED], strict=True)
    more = ", ..." if frame.shape[1] > MOST_LISTED else ""
    return ", ".join(f"{name!r} ({dtype})" for name, dtype in some) + more


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
                wrong = TIMES
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
