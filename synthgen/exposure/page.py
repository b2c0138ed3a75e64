"""The page of a release audit: the recommendation, the attacks, and the most exposed rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from synthgen.report.card import Card, Tone, render_cards
from synthgen.report.template import clean, fill

if TYPE_CHECKING:
    from synthgen.exposure.found import PrivacyAudit

TONES: dict[str, Tone] = {"passes": "good", "undecided": "middling", "fails": "bad"}
TITLES = {"file": "The model file", "rows": "Rows made with it"}


def privacy_page(found: PrivacyAudit) -> str:
    """The page as text."""
    return fill(
        "privacy.html.j2",
        found=_clean(found.to_json()),
        titles=TITLES,
        tones=TONES,
    )


def privacy_cards(found: PrivacyAudit) -> str:
    """The recommendation and a card for each opponent, as HTML for a notebook."""
    cards = []
    for opponent, title in TITLES.items():
        worst, outcome = found.worst(opponent), found.outcome(opponent)
        text = (
            f"{worst.tpr_10:.0%} of the learned rows are found at 10 % false alarms "
            f"[{worst.interval[0]:.0%}, {worst.interval[1]:.0%}]; where nothing leaks "
            f"{worst.tpr_10_null:.0%}. Worst attack: {worst.attack}."
        )
        cards.append(Card(title, outcome, text, TONES[outcome]))
    return render_cards(found.recommendation, cards)


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _clean(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_clean(v) for v in value]
    return clean(value) if isinstance(value, str) else value
