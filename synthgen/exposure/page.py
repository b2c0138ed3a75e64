"""The page of a release audit: the recommendation, the attacks, and the most exposed rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from synthgen.exposure.membership import TITLES
from synthgen.report.template import clean, fill

if TYPE_CHECKING:
    from synthgen.exposure.found import PrivacyAudit


def privacy_page(found: PrivacyAudit) -> str:
    """Render the page of an audit as HTML text."""
    return fill(
        "privacy.html.j2",
        found=_clean(found.to_json()),
        titles=TITLES,
    )


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _clean(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_clean(v) for v in value]
    return clean(value) if isinstance(value, str) else value
