"""What separates synthetic from real rows, in words: binary facts, and how often they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from synthgen.encoding.disclosure import PRIVATE_ROWS
from synthgen.encoding.matrix import HOT_LEVELS
from synthgen.metrics.arithmetic import Arithmetic, last_digits
from synthgen.tables.column import Column

# Kinds of facts that every detector can use, and kinds that only the arithmetic detector can.
SEEN_BY_ALL = ("missing", "level", "value", "difference")
SEEN_BY_ARITHMETIC = ("equal", "repeats", "digits")
# A simpler fact is preferred if its gap is at least this share of the largest gap.
NEARLY = 0.8


class Fact(NamedTuple):
    """A statement that holds for some rows.

    Attributes:
        text: The statement, such as ``"`paid` equals `due`"``.
        real, made: Share of real and of synthetic rows for which it holds, from 0 to 1.
    """

    text: str
    real: float
    made: float

    @property
    def gap(self) -> float:
        """Difference of the shares, which is 2 AUC − 1 of a detector using only this fact."""
        return abs(self.real - self.made)

    def __str__(self) -> str:
        return (
            f"{self.text} in {_percent(self.real)} of real rows, {_percent(self.made)} of "
            f"synthetic rows"
        )


def strongest(
    arithmetic: Arithmetic, real: np.ndarray, made: np.ndarray, kinds: tuple[str, ...]
) -> Fact | None:
    """Find the fact with the largest gap between real and synthetic rows."""
    found = []
    which = np.repeat([False, True], [len(real), len(made)])
    for kind, text, measure in _families(arithmetic, real):
        if kind not in kinds:
            continue
        values = np.vstack([measure(real), measure(made)])
        if not values.shape[1]:
            continue
        gaps, cuts = parted(values, which)
        best = int(gaps.argmax())
        holds = values[:, best] <= cuts[best]
        if kind in ("missing", "equal", "level", "repeats"):
            holds = values[:, best] > cuts[best]
        share = [float(holds[side].mean()) for side in (~which, which)]
        found.append(Fact(text(best, float(cuts[best])), *share))
    most = max((fact.gap for fact in found), default=0.0)
    return next((fact for fact in found if fact.gap >= NEARLY * most), None)


def parted(values: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute the Kolmogorov-Smirnov statistic of each column, and the value that reaches it."""
    step = np.where(which, 1 / max(1, which.sum()), -1 / max(1, (~which).sum()))
    order = np.argsort(values, axis=0, kind="stable")
    ordered = np.take_along_axis(values, order, axis=0)
    walk = np.abs(np.cumsum(step[order], axis=0))
    walk[:-1][ordered[1:] == ordered[:-1]] = 0
    walk[np.isnan(ordered)] = 0
    place = walk.argmax(axis=0)[None]
    gaps, cuts = (np.take_along_axis(of, place, axis=0)[0] for of in (walk, ordered))
    return gaps, cuts


_Measure = Callable[[np.ndarray], np.ndarray]
_Text = Callable[[int, float], str]


def _families(arithmetic: Arithmetic, real: np.ndarray) -> Iterator[tuple[str, _Text, _Measure]]:
    """Yield each kind of fact with functions that describe it in words and that measure it."""
    matrix = arithmetic.matrix
    names = [f"`{name}`" for name in matrix.names]
    numbers = np.flatnonzero(~matrix.is_level)
    levels = [
        (j, code)
        for j in np.flatnonzero(matrix.is_level)
        for code in np.flatnonzero(matrix.known_[j] < HOT_LEVELS)
    ]

    def pair(pairs: tuple[tuple[int, int], ...], k: int, between: str) -> str:
        return f"{names[pairs[k][0]]} {between} {names[pairs[k][1]]}"

    def level(k: int, cut: float) -> str:
        j, code = levels[k]
        if (real[:, j] == code).sum() < PRIVATE_ROWS:  # as in model files, not named
            return f"{names[j]} is a value that fewer than {PRIVATE_ROWS} real rows hold"
        return f"{names[j]} is {matrix.columns[j].categories[code]}"

    def difference(k: int, cut: float) -> str:
        same = arithmetic.in_one_unit(arithmetic.differences[k])
        unit = "" if same else ", each in standard deviations,"
        return f"{pair(arithmetic.differences, k, '−')}{unit} is at most {cut:.4g}"

    def repeats(k: int, cut: float) -> str:
        name = names[arithmetic.columns[k]]
        return (
            f"{name} repeats" if cut < 2 else f"a value of {name} occurs more than {cut:.0f} times"
        )

    def hot(cells: np.ndarray) -> np.ndarray:
        parts = [cells[:, j] == code for j, code in levels]
        return np.column_stack(parts).astype(float) if parts else np.empty((len(cells), 0))

    yield "missing", lambda k, cut: f"{names[k]} is missing", lambda c: np.isnan(c).astype(float)
    yield "equal", lambda k, cut: pair(arithmetic.equalities, k, "equals"), arithmetic.equal
    yield "repeats", repeats, arithmetic.counts
    yield (
        "digits",
        lambda k, cut: f"{names[numbers[k]]} {_rounded(int(cut))}",
        lambda c: last_digits(c[:, numbers]),
    )
    yield "level", level, hot
    yield (
        "value",
        lambda k, cut: f"{names[numbers[k]]} is at most {_shown(matrix.columns[numbers[k]], cut)}",
        lambda c: c[:, numbers],
    )
    yield "difference", difference, arithmetic.difference


def _rounded(decimals: int) -> str:
    if decimals > 0:
        return f"has at most {decimals} decimal{'s' * (decimals > 1)}"
    return f"is a multiple of {10**-decimals:,}" if decimals else "is a whole number"


def _shown(column: Column, cut: float) -> str:
    """Format a threshold of a number or date column."""
    if column.kind != "datetime":
        return f"{cut:,.6g}"
    return str(column.restore(np.array([round(cut)], dtype=np.int64)).iloc[0])


def _percent(share: float) -> str:
    """Format a share with one decimal; 0 % and 100 % are shown only if they are exact."""
    if share in (0.0, 1.0):
        return f"{share:.0%}".replace("%", " %")
    if share < 0.0005:
        return "<0.1 %"
    return ">99.9 %" if share > 0.9995 else f"{100 * share:.1f} %"
