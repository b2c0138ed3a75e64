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
    """Whether a report satisfies a condition.

    Args:
        report: The JSON form of a report; the names within are joined by dots.
        expression: A name, one of ``>= <= > < == !=``, and a number.

    Returns:
        The result of the comparison. It is False for any sign if the number was not measured: the
        report has null or NaN for the name, or has the name before an @ but not the group after it.

    Raises:
        UsageError: The condition cannot be read (E291), or names no number of the report (E292).

    Example:
        >>> report = {"minority": {"rows": 151}, "model": None}
        >>> gate(report, "minority.rows>=50"), gate(report, "model.average_precision.low > 0.5")
        (True, False)
        >>> gate(report, "minority.row>=50")
        Traceback (most recent call last):
        synthgen.errors.UsageError: gate 'minority.row>=50': there is no number 'minority.row' here;
        close to it: minority.rows [E292]
    """
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
    """Check the conditions of gates before the work begins.

    Raises:
        UsageError: A condition cannot be read (E291), or its name before an @ is not in `known`
            (E292; `listed` says where to find these names).

    Example:
        >>> check_gates(["minority.rows>=50"])
        >>> check_gates(["privacy.copies@all<=0.01"], ["privacy.copies"])
        >>> check_gates(["copies<=0.01"], ["privacy.copies"], "listed by --json")
        Traceback (most recent call last):
        synthgen.errors.UsageError: gate 'copies<=0.01': there is no number 'copies' here; close to
        it: privacy.copies; all are listed by --json [E292]
    """
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
    """The number to which a condition of `gate` refers, as text.

    If there is none, it is the result of `unknown` for the name, or "unknown".

    Example:
        >>> value_of({"minority": {"rows": 30}}, "minority.rows>=50")
        '30'
        >>> value_of({"model": None}, "model>=1", lambda name: f"unknown: no {name}")
        'unknown: no model'
    """
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
