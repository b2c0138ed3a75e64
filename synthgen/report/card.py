"""A result as a notebook shows it: a headline, a card for each finding, and the main figure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.axes import Axes

from synthgen.report.figures import Figures
from synthgen.report.template import clean, fill

Tone = Literal["good", "middling", "bad", "quiet"]


@dataclass(frozen=True)
class Card:
    """One finding.

    Attributes:
        title: What was judged, such as ``"Privacy"``.
        outcome: What was found, in a word or two.
        text: The finding in a sentence or two.
        tone: The colour: good, middling, bad, or quiet where nothing is judged.
    """

    title: str
    outcome: str
    text: str
    tone: Tone = "quiet"


@dataclass(frozen=True)
class Picture:
    """The main figure of a result.

    Attributes:
        draw: Draws it.
        title: For readers who cannot see it.
        caption: How to read it.
        size: Width and height in inches.
        key: The colour (``"real"``, ``"made"``, ``"third"``, ``"fourth"``, ``"fifth"``) of each
            named set or strategy.
    """

    draw: Callable[[Axes], None]
    title: str
    caption: str
    size: tuple[float, float] = (4.8, 3.0)
    key: tuple[tuple[str, str], ...] = ()


def render_cards(headline: str, cards: Sequence[Card], picture: Picture | None = None) -> str:
    """HTML for ``_repr_html_``, with every text escaped.

    It is a ``<div>`` that needs no network and does not change the style of the notebook.

    Args:
        headline: The finding that the result leads with.
        cards: One for each part of the finding.
        picture: The main figure, if there is one.

    Example:
        >>> text = render_cards("2 % are <rare>", [Card("Columns", "1 warning", "Look at 'age'.")])
        >>> "2 % are &lt;rare&gt;" in text, "<script" in text
        (True, False)
    """
    svg = None
    if picture is not None:
        # Several results can stand in one notebook, and the ids of a document must differ.
        name = hashlib.sha256(repr((headline, cards, picture.title)).encode()).hexdigest()[:10]
        svg = Figures(f"s{name}-").svg(picture.draw, picture.title, picture.size)
    return fill(
        "cards.html.j2",
        headline=clean(headline),
        cards=[
            {"title": clean(c.title), "outcome": clean(c.outcome), "text": clean(c.text)}
            | {"tone": c.tone}
            for c in cards
        ],
        svg=svg,
        caption="" if picture is None else clean(picture.caption),
        key=[] if picture is None else [(clean(name), colour) for name, colour in picture.key],
    )
