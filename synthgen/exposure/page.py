"""The page of a release audit: the recommendation, the attacks, and the most exposed rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthgen.exposure.membership import TITLES
from synthgen.report.template import clean_all, fill

if TYPE_CHECKING:
    from synthgen.exposure.found import PrivacyAudit


def privacy_page(found: PrivacyAudit) -> str:
    """Render the page of an audit as HTML text."""
    return fill(
        "privacy.html.j2",
        found=clean_all(found.to_json()),
        titles=TITLES,
    )
