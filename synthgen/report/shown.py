"""`Shown`: the base class of results, with their notebook display and their HTML page."""

from __future__ import annotations

import os
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from synthgen.report.answer import Card, Recommendation
from synthgen.tables.disk import write_text

if TYPE_CHECKING:
    from synthgen.report.card import Picture

# Limits of a `repr`: characters of a line; lines of the recommendation's text, certainty, command.
WIDTH, ADVICE_LINES = 100, (2, 3, 2)


class Shown(ABC):
    """The base of `Audit`, `Augmented`, `Comparison`, `PrivacyAudit`, `Quality`, `Report`, `Sweep`.

    Every form of a result begins with its recommendation.
    """

    if TYPE_CHECKING:  # a field of some results, and a property of others

        @property
        def recommendation(self) -> Recommendation:
            """What to do, how sure that is, and the command."""
            ...

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write the result as a single HTML file that loads nothing from the network.

        Args:
            path: Output file; an existing one is replaced.

        Raises:
            OutputError: The file cannot be written.
        """
        write_text(path, self._page())

    def _repr_html_(self) -> str:
        """The recommendation, the findings and the main figure, for a notebook."""
        from synthgen.report.card import render_cards

        return render_cards(self.recommendation, self.cards, self._picture())

    @property
    @abstractmethod
    def cards(self) -> tuple[Card, ...]:
        """The three findings behind the recommendation, worded once for all outputs."""

    @abstractmethod
    def key_figures(self) -> tuple[list[str], list[list[Any]]]:
        """The main figures for a terminal: column names, and rows of texts and numbers."""

    @abstractmethod
    def note_lines(self) -> list[str]:
        """Further sentences, which a terminal shows with ``--verbose``."""

    @abstractmethod
    def to_frame(self) -> pd.DataFrame:
        """The result as a table.

        Returns:
            A frame; each result class documents its rows and columns.
        """

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The result as plain values for `json.dumps`.

        Returns:
            A dictionary of numbers, texts, None, lists and dictionaries; NaN becomes None.
        """

    @abstractmethod
    def _page(self) -> str:
        """The page of `to_html`."""

    @abstractmethod
    def _picture(self) -> Picture | None:
        """The main figure of `_repr_html_`."""


def repr_lines(advice: Recommendation, below: Sequence[str]) -> str:
    """A `repr` of at most 12 lines: the recommendation, then the lines `below`."""
    first = [
        line
        for text, most in zip(advice.lines(), ADVICE_LINES, strict=False)
        for line in textwrap.wrap(text, WIDTH, max_lines=most, placeholder=" ...")
    ]
    rest = [textwrap.shorten(line, WIDTH, placeholder=" ...") for line in below]
    return "\n".join(first + rest)
