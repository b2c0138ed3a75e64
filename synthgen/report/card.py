"""A result as a notebook shows it: what to do, a card for each finding, and the main figure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from matplotlib.axes import Axes

from synthgen.report.answer import Card, Recommendation
from synthgen.report.figures import Figures
from synthgen.report.template import clean, fill


@dataclass(frozen=True)
class Picture:
    """The main figure of a result.

    Attributes:
        draw: Function that draws the figure.
        title: Title of the figure, for screen readers.
        caption: Sentence that says how to read the figure.
        size: Width and height in inches.
        key: The colour (``"real"``, ``"made"``, ``"third"``, ``"fourth"``, ``"fifth"``) of each
            named set or strategy.
    """

    draw: Callable[[Axes], None]
    title: str
    caption: str
    size: tuple[float, float] = (4.8, 3.0)
    key: tuple[tuple[str, str], ...] = ()


def render_cards(
    advice: Recommendation, cards: Sequence[Card], picture: Picture | None = None
) -> str:
    """HTML for ``_repr_html_``, with every text escaped."""
    svg = None
    if picture is not None:
        # Several results can stand in one notebook, and the ids of a document must differ.
        name = hashlib.sha256(repr((advice, cards, picture.title)).encode()).hexdigest()[:10]
        svg = Figures(f"s{name}-").svg(picture.draw, picture.title, picture.size)
    return fill(
        "cards.html.j2",
        advice=plain_advice(advice),
        cards=plain_cards(cards),
        svg=svg,
        caption="" if picture is None else clean(picture.caption),
        key=[] if picture is None else [(clean(name), colour) for name, colour in picture.key],
    )


def plain_advice(advice: Recommendation) -> dict[str, str]:
    """A recommendation for a template, without characters that a page cannot hold."""
    return {name: clean(text) for name, text in asdict(advice).items()}


def plain_cards(cards: Sequence[Card]) -> list[dict[str, str]]:
    """Cards for a template, without characters that a page cannot hold."""
    return [{name: clean(text) for name, text in asdict(card).items()} for card in cards]
