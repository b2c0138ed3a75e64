"""Drift: how two versions of a table differ in classes, missing cells, columns and kinds."""

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
    """A fraction of rows, in the old and in the new table.

    Attributes:
        name: The class, or the column with missing cells.
        old: Fraction in the old table, 0 to 1.
        new: Fraction in the new table, 0 to 1.
        low: Lower bound of the difference new - old.
        high: Upper bound. The interval holds for all compared fractions at once with 95 %.
        drifted: Whether the interval excludes 0.
    """

    name: str
    old: float
    new: float
    low: float
    high: float
    drifted: bool

    def sentence(self) -> str:
        """Both fractions and the interval of their difference, in words."""
        found = "drift" if self.drifted else "no drift is shown"
        return (
            f"{self.name}: {self.old:.3%} before, {self.new:.3%} now "
            f"(difference {self.low:+.3%} to {self.high:+.3%}): {found}"
        )


@dataclass(frozen=True)
class Drift:
    """Differences between two versions of a table, from `compare_audits`.

    Attributes:
        old_rows: Number of rows of the old table.
        rows: Number of rows of the new table.
        classes: Fraction of each class.
        missing: Fraction of missing cells, for each column that both tables have.
        new_columns: Columns that only the new table has.
        vanished_columns: Columns that only the old table has.
        kinds: Columns whose inferred kind changed, as dictionaries: ``name``, ``old``, ``new``.
        differences: Total number of differences: drifted fractions, columns and kinds.
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
        """The differences as plain values for `json.dumps`, by name of the attribute."""
        return plain(asdict(self))

    def summary_lines(self) -> list[str]:
        """One sentence per class, whether it drifted or not, and one per other difference."""
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
    """Compare two audits to find drift between two versions of a table.

    Differences of fractions have Newcombe's intervals (1998), widened for the number of
    comparisons (Bonferroni): for two samples of the same source, at most 5 % of calls report any
    drift.

    Args:
        old: Audit of the old table, or its JSON form (`Audit.to_json`).
        new: Audit of the new table.

    Returns:
        Drift in class shares and missing cells, and changed columns and kinds.

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
    # Two class shares are one comparison; columns without missing cells need none.
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
    """Read from an audit's JSON the rows, the rows per class, and kind and missing per column."""
    try:
        rows = int(old["rows"])
        classes = {c["label"]: int(c["rows"]) for c in old["classes"]}
        columns = {c["name"]: (c["kind"], int(c["missing_rows"])) for c in old["columns"]}
        if rows < 1 or sum(classes.values()) != rows:
            raise ValueError("the rows of its classes do not add up to its rows")
    except (KeyError, TypeError, ValueError) as error:
        what = f"{type(error).__name__}: {error}"
        raise UsageError(
            293, f"the old audit cannot be read ({what}): give one that synthgen audit wrote"
        ) from error
    return rows, classes, columns


def _share_drift(
    name: str, before: tuple[int, int], now: tuple[int, int], confidence: float
) -> ShareDrift:
    """Compare two fractions, each given as (matching rows, all rows)."""
    p, p_low, p_high = share_of(*before, confidence)
    q, q_low, q_high = share_of(*now, confidence)
    low = q - p - math.hypot(q - q_low, p_high - p)
    high = q - p + math.hypot(q_high - q, p - p_low)
    return ShareDrift(name, p, q, low, high, not low <= 0 <= high)
