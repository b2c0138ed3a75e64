"""`Recommendation` and `Card`: every result begins with one recommendation and three cards."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import Literal

Tone = Literal["good", "middling", "bad", "quiet"]
CARDS = 3  # number of cards of each result


@dataclass(frozen=True)
class Recommendation:
    """What to do next, the evidence, and the command to run.

    Attributes:
        action: The action as a short keyword for scripts, such as "mend", "collect" or "use auto".
        text: The action in one sentence.
        certainty: The evidence for it, in a sentence or two.
        command: A shell command or a line of Python to run; "" if there is nothing to run. Names in
            capitals (DATA, SYNTHETIC, MODEL, OUT) stand for files.

    Example:
        >>> advice = Recommendation("use auto", "Use auto.", "It helps.", "synthgen auto DATA")
        >>> advice.about(DATA="my table.csv").command
        "synthgen auto 'my table.csv'"
        >>> advice.lines()
        ['Use auto.', 'How sure: It helps.', 'Run: synthgen auto DATA']
    """

    action: str
    text: str
    certainty: str
    command: str = ""

    def about(self, **files: object) -> Recommendation:
        """A copy whose command contains the given files, such as ``DATA="table.csv"``."""
        words = [shlex.quote(str(files[w])) if w in files else w for w in self.command.split(" ")]
        return replace(self, command=" ".join(words))

    def lines(self) -> list[str]:
        """The lines that begin the terminal output and the `repr`."""
        out = [self.text, f"How sure: {self.certainty}"]
        return [*out, f"Run: {self.command}"] if self.command else out


@dataclass(frozen=True)
class Card:
    """One finding of a result, shown as a card.

    Attributes:
        title: The subject, such as ``"Privacy"``.
        outcome: The result in a word or two, such as ``"passes"``.
        text: The result in a sentence or two.
        tone: Colour: "good", "middling", "bad", or "quiet" for a neutral fact.
    """

    title: str
    outcome: str
    text: str
    tone: Tone = "quiet"

    def line(self) -> str:
        """The finding as one line of text.

        Example:
            >>> Card("Privacy", "passes", "No attack finds training rows.").line()
            'Privacy: passes. No attack finds training rows.'
        """
        return f"{self.title}: {self.outcome}. {self.text}".strip()
