"""`Recommendation` and `Card`: every result begins with one recommendation and three cards."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import Literal

Tone = Literal["good", "middling", "bad", "quiet"]


@dataclass(frozen=True)
class Recommendation:
    """What to do next, the evidence, and the command to run.

    Attributes:
        action: The action as a short keyword for scripts, such as "mend", "collect" or "use auto".
        text: The action in one sentence.
        certainty: The evidence for it, in a sentence or two.
        command: A shell command or a line of Python to run; "" if there is nothing to run. Names in
            capitals (DATA, SYNTHETIC, MODEL, OUT) stand for files.
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
        """The finding as one line of text."""
        return f"{self.title}: {self.outcome}. {self.text}".strip()
