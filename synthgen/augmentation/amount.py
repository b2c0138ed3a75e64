"""How many rows to add: the number given by the user, the one validated, or the default."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from synthgen.errors import UsageError
from synthgen.tables.dtypes import shown

Amount = float | str
# Sorted by simplicity: of two amounts that are equally good, the first is chosen.
AMOUNTS: tuple[Amount, ...] = (0.0, 0.1, "double", 0.3, "balance")
RATIO = 0.3  # of the largest class: see `default_amount`


@dataclass(frozen=True)
class Addition:
    """Number of new rows of one class.

    Attributes:
        label: The class, a value of the target column.
        rows: Number of new rows.
        reason: How the number was chosen, in words.
    """

    label: Any
    rows: int
    reason: str


@dataclass(frozen=True)
class Validated:
    """The amount of new rows chosen by cross-validation.

    Attributes:
        amount: One of `AMOUNTS`: a fraction of the most frequent class, "double" or "balance".
        rows: Number of new rows per class.
        curve: Average precision of each amount tried, averaged over the folds; empty if nothing
            could be validated.
        reason: How the amount was chosen, in words.
        finding: Whether new rows improved a classifier, in one sentence.
    """

    amount: Amount
    rows: dict[Any, int]
    curve: dict[str, float]
    reason: str
    finding: str

    @property
    def helps(self) -> bool:
        """Whether validation chose to add rows."""
        return bool(self.curve) and self.amount != 0


def wanted_rows(counts: np.ndarray, amount: Amount) -> dict[int, int]:
    """Target size of each class that is smaller than `amount` asks for."""
    most = int(counts.max())
    goals = {}
    for code, n in enumerate(counts.tolist()):
        if n == 0 or code == int(counts.argmax()):
            continue
        goal = min(2 * n, most) if amount == "double" else most
        if isinstance(amount, int | float):
            goal = round(amount * most)
        if goal > n:
            goals[code] = goal
    return goals


def default_amount(
    counts: dict[Any, int], labels: Sequence[Any], found: Validated | None = None
) -> list[Addition]:
    """Number of new rows per class if the user gives none; the only place with this default.

    If an amount helped in validation, it is used. Otherwise the class is raised to 0.3 of the
    largest class, and at least doubled, so that no new row weighs more than a real one.
    ``evaluation/benchmark.md`` lists the classifiers that lose average precision by such rows.
    """
    if found is not None and found.helps:
        return [Addition(label, found.rows[label], found.reason) for label in labels]
    most = max(counts, key=lambda c: counts[c])
    additions = []
    for label in labels:
        rows = counts[label]
        share = round(RATIO * counts[most]) - rows
        why = f"doubles its {rows:,} rows"
        if share > rows:
            why = f"to {RATIO:g} of the {counts[most]:,} rows of {shown(most)}"
        additions.append(Addition(label, max(share, rows, 1), why))
    return additions


def rows_to_add(rows: int, most: int, ratio: Amount) -> int:
    """Number of new rows that a ratio asks for; both `augment` and `Oversampler` use it."""
    return rows if ratio == "double" else max(0, round(cast(float, ratio) * most) - rows)


def amounts(
    counts: dict[Any, int],
    labels: Sequence[Any],
    *,
    ratio: float | str | None = None,
    n_samples: int | None = None,
) -> list[Addition]:
    """Number of new rows per class, without validation."""
    check_amount(ratio, n_samples)
    if n_samples is not None:
        return [Addition(label, int(n_samples), "as asked for") for label in labels]
    if ratio is None:
        return default_amount(counts, labels)
    most = max(counts, key=lambda c: counts[c])
    found = []
    for label in labels:
        rows = counts[label]
        share = rows_to_add(rows, counts[most], ratio)
        if not share:
            raise UsageError(
                278,
                f"class {label!r} has {rows} rows, {rows / counts[most]:.3g} of the {counts[most]} "
                f"of {most!r}: ratio {ratio:g} asks for no new row; give a greater one, or say "
                f"how many rows",
            )
        why = f"doubles its {rows:,} rows"
        if ratio != "double":
            why = f"to {ratio:g} of the {counts[most]:,} rows of {shown(most)}"
        found.append(Addition(label, share, why))
    return found


def check_amount(ratio: Any, n_samples: Any = None) -> None:
    """Raise unless a ratio (not "auto", which needs no check) or a number of rows can be used."""
    if ratio is not None and n_samples is not None:
        raise UsageError(
            275, f"ratio {ratio} and {n_samples} rows were both asked for: give one of them"
        )
    if n_samples is not None and (
        isinstance(n_samples, bool) or not isinstance(n_samples, int | np.integer) or n_samples < 1
    ):
        raise UsageError(
            276, f"the number of rows must be a whole number from 1, not {n_samples!r}"
        )
    if ratio not in (None, "double") and (
        isinstance(ratio, bool | str)
        or not isinstance(ratio, int | float | np.number)
        or not 0 < ratio < math.inf
    ):
        raise UsageError(
            277, f"ratio must be a number above 0, 'auto' or 'double', not {shown(ratio)}"
        )


def words(amount: Amount) -> str:
    """An amount as text for reports."""
    if isinstance(amount, str):
        return amount
    return f"{100 * amount:g} %" if amount else "none"
