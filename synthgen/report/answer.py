"""What every result leads with: a recommendation, and the three findings behind it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import Literal

Tone = Literal["good", "middling", "bad", "quiet"]
CARDS = 3  # behind each recommendation


@dataclass(frozen=True)
class Recommendation:
    """What to do, how sure that is, and the command that does it.

    Attributes:
        action: What to do, in a word or two that a script can compare: "mend", "collect",
            "use auto".
        text: What to do, in one sentence.
        certainty: How sure that is, in one sentence.
        command: A command, or a line of Python, that does it; "" where nothing needs to be run.
            Names in capitals (DATA, SYNTHETIC, MODEL, OUT) stand for files.

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
        """The same with the names of files in the command, such as ``DATA="table.csv"``."""
        words = [shlex.quote(str(files[w])) if w in files else w for w in self.command.split(" ")]
        return replace(self, command=" ".join(words))

    def lines(self) -> list[str]:
        """What a terminal and a `repr` begin with."""
        out = [self.text, f"How sure: {self.certainty}"]
        return [*out, f"Run: {self.command}"] if self.command else out


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

    def line(self) -> str:
        """The finding as a line of a terminal.

        Example:
            >>> Card("Privacy", "passes", "No attack finds training rows.").line()
            'Privacy: passes. No attack finds training rows.'
        """
        return f"{self.title}: {self.outcome}. {self.text}".strip()
