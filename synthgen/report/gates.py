"""Conditions on a report, such as ``minority.rows>=50``: a script stops when one does not hold."""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from synthgen.errors import UsageError

_COMPARE = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
# A name may contain a comparison sign, because the number after the last one cannot: an example is
# classes.>50K.rows>=9.
_GATE = re.compile(
    r"\s*(?P<name>\S(?:.*?[^\s<>=!])?)\s*(?P<sign>>=|<=|==|!=|>|<)"
    r"\s*(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*",
    re.DOTALL,
)


def gate(report: Mapping[str, Any], expression: str) -> bool:
    """Whether a report satisfies a condition."""
    found = _parsed(expression)
    name = found["name"]
    numbers = numbers_by_name(report)
    # A null, such as the model of a table that is too small for one, stands for all names below it.
    above = [name[:i] for i, sign in enumerate(name) if sign == "."]
    if any(place in numbers and numbers[place] is None for place in [name, *above]):
        return False
    if name not in numbers and "@" in name and name.partition("@")[0] in numbers:
        return False
    if name not in numbers:
        raise _unknown(expression, name, [n for n, value in numbers.items() if value is not None])
    return bool(_COMPARE[found["sign"]](numbers[name], float(found["number"])))


def check_gates(
    expressions: Iterable[str], known: Collection[str] | None = None, listed: str = ""
) -> None:
    """Check the conditions of gates before the work begins."""
    for expression in expressions:
        name = _parsed(expression)["name"].partition("@")[0]
        if known is not None and name not in known:
            raise _unknown(expression, name, list(known), listed)


def _unknown(expression: str, name: str, known: list[str], listed: str = "") -> UsageError:
    close = difflib.get_close_matches(name, known, n=5, cutoff=0.5) or known[:8]
    return UsageError(
        292,
        f"gate {expression!r}: there is no number {name!r} here; "
        f"close to it: {', '.join(close) or 'nothing, the report holds no number'}"
        f"{listed and f'; all are {listed}'}",
    )


def _parsed(expression: str) -> re.Match[str]:
    found = _GATE.fullmatch(expression)
    if found is None:
        raise UsageError(
            291,
            f"gate {expression!r} cannot be read: write a name, one of {' '.join(_COMPARE)}, "
            f"and a number, such as 'minority.rows>=50'",
        )
    return found


def value_of(
    report: Mapping[str, Any], expression: str, unknown: Callable[[str], str] | None = None
) -> str:
    """The number to which a condition of `gate` refers, as text."""
    name = _parsed(expression)["name"]
    value = numbers_by_name(report).get(name)
    if value is None:
        return "unknown" if unknown is None else unknown(name)
    return f"{value:.4g}"


def numbers_by_name(report: Mapping[str, Any], above: str = "") -> dict[str, float | None]:
    """Every number (or null) by its dotted name; texts, truth values and lists are left out."""
    out: dict[str, float | None] = {}
    for key, value in report.items():
        if isinstance(value, Mapping):
            out |= numbers_by_name(value, f"{above}{key}.")
        elif value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            out[f"{above}{key}"] = None if value is None or value != value else value
    return out
