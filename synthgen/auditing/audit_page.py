"""The page of an audit: what a table can tell, and what is broken, before anything is trained."""

from __future__ import annotations

import os
from typing import Any

from synthgen.auditing.audit import Audit
from synthgen.auditing.drift import Drift
from synthgen.report.template import clean, fill
from synthgen.tables.disk import write_text

MAX_COLUMNS = 200
ESTIMATES = {
    "average_precision": "average precision",
    "balanced_accuracy": "balanced accuracy",
    "recall": "recall",
    "roc_auc": "area under the ROC curve",
    "log_loss": "log-loss",
    "accuracy": "accuracy",
    "hard_share": "share of the class that looks less like it than half of the others",
    "false_alarms": "false alarms for each hit, to find half of the class",
}


def write_audit_page(
    found: Audit,
    path: str | os.PathLike[str],
    *,
    source: str = "",
    drift: Drift | None = None,
) -> None:
    """Write an audit as one HTML file that needs no other.

    Args:
        found: What `audit` returned.
        path: File to write.
        source: Name of the table, for the reader.
        drift: What changed since an earlier delivery, see `compare_audits`.

    Raises:
        OutputError: The file cannot be written.
    """
    write_text(path, audit_page(found, source=source, drift=drift))


def audit_page(found: Audit, *, source: str = "", drift: Drift | None = None) -> str:
    """The page as text."""
    content = _clean(found.to_json())
    nothing = {"value": 0.0}
    columns = sorted(
        content["columns"], key=lambda c: -(c["average_precision"] or nothing)["value"]
    )
    return fill(
        "audit.html.j2",
        audit=content,
        source=clean(source),
        estimates=[] if found.model is None else list(ESTIMATES.items()),
        columns=columns[:MAX_COLUMNS],
        left_out=max(0, len(columns) - MAX_COLUMNS),
        drift=None if drift is None else _clean(drift.to_json()),
    )


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _clean(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_clean(v) for v in value]
    return clean(value) if isinstance(value, str) else value
