"""How two deliveries of a table differ: shares of classes and of missing cells, columns, kinds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from synthgen.auditing.audit import Audit
from synthgen.auditing.findings import plain
from synthgen.errors import UsageError
from synthgen.model_selection.intervals import CONFIDENCE, wilson


@dataclass(frozen=True)
class ShareDrift:
    """A share then and now; `low` and `high` bound the difference, for all shares at once."""

    name: str
    old: float
    new: float
    low: float
    high: float
    drifted: bool

    def sentence(self) -> str:
        """The figures in words, with the interval of the difference."""
        found = "drift" if self.drifted else "no drift is established"
        return (
            f"{self.name}: {self.old:.3%} then, {self.new:.3%} now "
            f"(difference {self.low:+.3%} to {self.high:+.3%}): {found}"
        )


@dataclass(frozen=True)
class Drift:
    """How two deliveries of a table differ.

    Attributes:
        old_rows, rows: Size then and now.
        classes, missing: Shares of classes, and of missing cells in columns that both have.
        new_columns, vanished_columns: By name.
        kinds: ``name``, ``old`` and ``new`` of columns taken for another kind.
        differences: How many of all these differ.
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
        lines = [f"{self.old_rows:,} rows then, {self.rows:,} now; differences: {self.differences}"]
        lines += [f"class {share.sentence()}" for share in self.classes]
        lines += [f"missing in column {s.sentence()}" for s in self.missing if s.drifted]
        lines += [f"column {name} is new" for name in self.new_columns]
        lines += [f"column {name} is gone" for name in self.vanished_columns]
        return lines + [f"column {k['name']}: {k['old']} then, {k['new']} now" for k in self.kinds]


def compare_audits(old: Mapping[str, Any], new: Audit) -> Drift:
    """What changed between an audit that was kept as JSON and a new one.

    Differences of shares have Newcombe's interval (1998), widened for the number of shares
    (Bonferroni): two samples of one source show no drift in at least 95 % of the cases.

    Raises:
        UsageError: `old` is no audit.

    Example:
        >>> import pandas as pd
        >>> from synthgen.auditing.audit import audit
        >>> X = pd.DataFrame({"dose": [1.5, 2.5, 9.5, 7.25] * 50})
        >>> then, now = audit(X, [0, 0, 0, 1] * 50), audit(X, [0, 0, 1, 1] * 50)
        >>> print(compare_audits(then.to_json(), now).summary_lines()[1])
        class 0: 75.000% then, 50.000% now (difference -33.791% to -15.592%): drift
    """
    try:
        old_rows = int(old["rows"])
        before = {c["label"]: int(c["rows"]) for c in old["classes"]}
        old_columns = {c["name"]: (c["kind"], int(c["missing_rows"])) for c in old["columns"]}
        if old_rows < 1 or sum(before.values()) != old_rows:
            raise ValueError("the rows of its classes do not add up")
    except (KeyError, TypeError, ValueError) as error:
        what = f"{type(error).__name__}: {error}"
        raise UsageError(
            293, f"the old audit cannot be read ({what}): give one that synthgen audit wrote"
        ) from error
    after = {c["label"]: c["rows"] for c in new.classes}
    columns = {c["name"]: (c["kind"], c["missing_rows"]) for c in new.columns}
    labels = [*after, *(label for label in before if label not in after)]
    both = [name for name in columns if name in old_columns]
    # The shares of two classes are one figure; a column that was and is full has none.
    figures = len(labels) - (len(labels) == 2)
    figures += sum(columns[name][1] + old_columns[name][1] > 0 for name in both)

    def drift(name: str, hits: int, hits_now: int) -> ShareDrift:
        confidence = 1 - (1 - CONFIDENCE) / figures
        p, p_low, p_high = wilson(hits, old_rows, confidence)
        q, q_low, q_high = wilson(hits_now, new.rows, confidence)
        low = q - p - math.hypot(q - q_low, p_high - p)
        high = q - p + math.hypot(q_high - q, p - p_low)
        return ShareDrift(name, p, q, low, high, not low <= 0 <= high)

    classes = tuple(drift(label, before.get(label, 0), after.get(label, 0)) for label in labels)
    missing = tuple(drift(name, old_columns[name][1], columns[name][1]) for name in both)
    added = tuple(name for name in columns if name not in old_columns)
    gone = tuple(name for name in old_columns if name not in columns)
    kinds = tuple(
        {"name": name, "old": old_columns[name][0], "new": columns[name][0]}
        for name in both
        if old_columns[name][0] != columns[name][0]
    )
    drifted = sum(share.drifted for share in (*classes, *missing))
    differences = drifted + len(added) + len(gone) + len(kinds)
    return Drift(old_rows, new.rows, classes, missing, added, gone, kinds, differences)
