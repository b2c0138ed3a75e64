"""The HTML page of an audit, and its figure for notebooks."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from synthgen.auditing.audit_figures import audit_figures
from synthgen.report.card import Picture, plain_advice, plain_cards
from synthgen.report.figures import FIFTH, INK, MADE, REAL, short
from synthgen.report.template import clean, clean_all, fill

if TYPE_CHECKING:
    from synthgen.auditing.audit import Audit
    from synthgen.auditing.drift import Drift

MAX_COLUMNS = 200
CARD_COLUMNS = 8  # columns shown in a notebook
ESTIMATES = {
    "average_precision": "average precision",
    "balanced_accuracy": "balanced accuracy",
    "recall": "recall",
    "roc_auc": "area under the ROC curve",
    "log_loss": "log-loss",
    "accuracy": "accuracy",
    "hard_share": "share of the class that scores below the median of the other rows",
    "false_alarms": "false alarms per hit at 50 % recall",
}


def audit_page(found: Audit, *, source: str = "", drift: Drift | None = None) -> str:
    """Render the page of an audit as HTML text."""
    content = clean_all(found.to_json())
    advice = found.recommendation.about(DATA=source or "DATA")
    content["recommendation"] = plain_advice(advice)
    nothing = {"value": 0.0}
    columns = sorted(
        content["columns"], key=lambda c: -(c["average_precision"] or nothing)["value"]
    )
    return fill(
        "audit.html.j2",
        audit=content,
        source=clean(source),
        estimates=[] if found.model is None else list(ESTIMATES.items()),
        pictures=audit_figures(found),
        cards=plain_cards(found.cards),
        columns=columns[:MAX_COLUMNS],
        left_out=max(0, len(columns) - MAX_COLUMNS),
        drift=None if drift is None else clean_all(drift.to_json()),
    )


# --- for a notebook -------------------------------------------------------------------------------


def audit_picture(found: Audit) -> Picture | None:
    """Make the figure for notebooks: the columns that alone predict the class best."""
    known = [c for c in found.columns if c["average_precision"] is not None]
    best = sorted(known, key=lambda c: -c["average_precision"]["value"])[:CARD_COLUMNS]
    if not best:
        return None
    return Picture(
        partial(_draw_columns, columns=best, guess=found.minority.share),
        "Average precision of single columns",
        "Average precision of each column alone, with its 95 % interval; higher predicts the class "
        "better. The dashed line is guessing.",
        (5.0, 0.8 + 0.26 * len(best)),
    )


def _draw_columns(axes: Axes, columns: list[dict[str, Any]], guess: float) -> None:
    axes.axvline(guess, color=FIFTH, linewidth=1, linestyle="--")
    for place, column in enumerate(columns):
        alone = column["average_precision"]
        axes.plot([alone["low"], alone["high"]], [place, place], color=MADE, linewidth=2.2)
        axes.plot(alone["value"], place, marker="o", markersize=5, color=REAL)
    axes.set_yticks(np.arange(len(columns)), [short(clean(c["name"])) for c in columns])
    for text in axes.get_yticklabels():
        text.set_parse_math(False)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(max(len(columns), 3) - 0.4, -0.6)
    axes.set_xlabel("average precision of the column alone", color=INK, fontsize=8)
