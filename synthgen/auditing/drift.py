"""Drift: how two deliveries of a table differ in classes, missing cells, columns and kinds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from synthgen.auditing.audit import Audit, plain
from synthgen.auditing.model import share_of
from synthgen.errors import UsageError
from synthgen.model_selection.intervals import CONFIDENCE


@dataclass(frozen=True)
class ShareDrift:
    """A share in the old and in the new table.

    Attributes:
        name: Of the class, or of the column with missing cells.
        old, new: The shares, from 0 to 1.
        low, high: 95 % interval of their difference, which holds for all shares at once.
        drifted: Whether the interval excludes 0.
    """

    name: str
    old: float
    new: float
    low: float
    high: float
    drifted: bool

    def sentence(self) -> str:
        """The shares and the interval of their difference, in words."""
        found = "drift" if self.drifted else "no drift is shown"
        return (
            f"{self.name}: {self.old:.3%} before, {self.new:.3%} now "
            f"(difference {self.low:+.3%} to {self.high:+.3%}): {found}"
        )


@dataclass(frozen=True)
class Drift:
    """How two deliveries of a table differ.

    Attributes:
        old_rows, rows: Rows of the old and of the new table.
        classes: Share of each class.
        missing: Share of missing cells of each column that both tables have.
        new_columns, vanished_columns: Names of columns that only one of the tables has.
        kinds: ``name``, ``old`` and ``new`` of columns that are now taken for another kind.
        differences: Number of differences: shares that drifted, columns and kinds.
    """

    old_rows: int
    rows: int
    classes: tuple[ShareDrift, ...]
    missing: tuple[ShareDrift, ...]
    new_columns: tuple[str, ...]
    vanished_columns: tuple[str, ...]
    kinds: tuple[dict[str, str], ...]
    differences: int

    def to_json(self) -> dict[str, Any]:
        """Plain values, as `Audit.to_json`."""
        return plain(asdict(self))

    def summary_lines(self) -> list[str]:
        """A sentence for each class, drifted or not, and for each other difference."""
        lines = [
            f"{self.old_rows:,} rows before, {self.rows:,} now; differences: {self.differences}"
        ]
        lines += [f"class {share.sentence()}" for share in self.classes]
        lines += [f"missing in column {s.sentence()}" for s in self.missing if s.drifted]
        lines += [f"column {name} is new" for name in self.new_columns]
        lines += [f"column {name} is gone" for name in self.vanished_columns]
        return lines + [
            f"column {k['name']}: {k['old']} before, {k['new']} now" for k in self.kinds
        ]


def compare_audits(old: Audit | Mapping[str, Any], new: Audit) -> Drift:
    """What changed between an earlier audit and a new one.

    Each difference of two shares has Newcombe's interval (1998). The intervals are widened for
    the number of shares (Bonferroni), so that two samples of one source show drift in at most 5 %
    of all calls.

    Args:
        old: The earlier audit, or its JSON (`Audit.to_json`).
        new: The new audit.

    Returns:
        The differences, see `Drift`.

    Raises:
        UsageError: `old` is not an audit.

    Example:
        >>> import pandas as pd
        >>> from synthgen.auditing.audit import audit
        >>> X = pd.DataFrame({"dose": [1.5, 2.5, 9.5, 7.25] * 50})
        >>> before, now = audit(X, [0, 0, 0, 1] * 50), audit(X, [0, 0, 1, 1] * 50)
        >>> print(compare_audits(before, now).summary_lines()[1])
        class 0: 75.000% before, 50.000% now (difference -33.791% to -15.592%): drift
    """
    old_rows, old_classes, old_columns = _read(old.to_json() if isinstance(old, Audit) else old)
    classes = {c["label"]: c["rows"] for c in new.classes}
    columns = {c["name"]: (c["kind"], c["missing_rows"]) for c in new.columns}
    labels = [*classes, *(label for label in old_classes if label not in classes)]
    both = [name for name in columns if name in old_columns]
    # The shares of two classes are one figure; a column that was and is full has none.
    figures = len(labels) - (len(labels) == 2)
    figures += sum(columns[name][1] + old_columns[name][1] > 0 for name in both)
    confidence = 1 - (1 - CONFIDENCE) / figures

    def drift(name: str, before: int, now: int) -> ShareDrift:
        return _share_drift(name, (before, old_rows), (now, new.rows), confidence)

    class_drifts = tuple(drift(c, old_classes.get(c, 0), classes.get(c, 0)) for c in labels)
    missing = tuple(drift(name, old_columns[name][1], columns[name][1]) for name in both)
    added = tuple(name for name in columns if name not in old_columns)
    gone = tuple(name for name in old_columns if name not in columns)
    kinds = tuple(
        {"name": name, "old": old_columns[name][0], "new": columns[name][0]}
        for name in both
        if old_columns[name][0] != columns[name][0]
    )
    drifted = sum(share.drifted for share in (*class_drifts, *missing))
    differences = drifted + len(added) + len(gone) + len(kinds)
    return Drift(old_rows, new.rows, class_drifts, missing, added, gone, kinds, differences)


def _read(old: Mapping[str, Any]) -> tuple[int, dict[str, int], dict[str, tuple[str, int]]]:
    """Rows, rows of each class, and kind and missing cells of each column, of an audit's JSON."""
    try:
        rows = int(old["rows"])
        classes = {c["label"]: int(c["rows"]) for c in old["classes"]}
        columns = {c["name"]: (c["kind"], int(c["missing_rows"])) for c in old["columns"]}
        if rows < 1 or sum(classes.values()) != rows:
            raise ValueError("the rows of its classes do not add up")
    except (KeyError, TypeError, ValueError) as error:
        what = f"{type(error).__name__}: {error}"
        raise UsageError(
            293, f"the old audit cannot be read ({what}): give one that synthgen audit wrote"
        ) from error
    return rows, classes, columns


def _share_drift(
    name: str, before: tuple[int, int], now: tuple[int, int], confidence: float
) -> ShareDrift:
    """The difference of two shares, each given as (rows with it, all rows)."""
    p, p_low, p_high = share_of(*before, confidence)
    q, q_low, q_high = share_of(*now, confidence)
    low = q - p - math.hypot(q - q_low, p_high - p)
    high = q - p + math.hypot(q_high - q, p - p_low)
    return ShareDrift(name, p, q, low, high, not low <= 0 <= high)
