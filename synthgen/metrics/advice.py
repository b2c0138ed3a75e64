"""What to do with synthetic rows, from the verdicts of an evaluation."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from synthgen.metrics.verdicts import Verdict
from synthgen.report.answer import Card, Recommendation, Tone

# The use of the rows that each part decides: allowed if the part passes, otherwise not. Privacy
# allows nothing alone: who has the model of the rows finds more than attacks on rows do.
USES = {
    "fidelity": "demonstrations and software tests",
    "utility": "training a classifier in place of the real rows",
    "privacy": "sharing",
}
# The synthesizer to try next for fidelity (evaluation/trees.md), and the one with a proof of
# privacy, for whole tables of at least so many rows.
LIKELIEST, PROVEN, LEAST_ROWS = "trees", "private", 5_000
# What rows that pass the attacks of an evaluation still need.
RELEASE = "run `synthgen privacy` on the model too; it finds more"
TONES: dict[str, Tone] = {"passes": "good", "falls short": "middling", "fails": "bad"}


def recommend(
    verdicts: Sequence[Verdict], *, target: str, label: str, held_out: bool, rows: int
) -> Recommendation:
    """Recommend one action for the rows: use them where they pass, avoid uses where they fail.

    Args:
        verdicts: The verdicts of fidelity, utility and privacy.
        target, label: Names of the target and of the class, for the sentence and the command.
        held_out: Whether a holdout was given that the synthesizer has not seen.
        rows: Number of rows of train, of all classes.

    Returns:
        The recommendation, with its certainty and the command.

    Example:
        >>> found = [Verdict("privacy", "fails", "", None, "half of them are copies")]
        >>> advice = recommend(found, target="ill", label="yes", held_out=True, rows=300)
        >>> advice.lines()[:2]
        ['Do not share the synthetic rows of “yes”: they reveal training rows.',
         'How sure: Half of them are copies.']
    """
    outcomes = {v.part: v.outcome for v in verdicts}
    good = [USES[p] for p, o in outcomes.items() if o == "passes" and p != "privacy"]
    bad = [USES[p] for p, outcome in outcomes.items() if outcome in ("fails", "falls short")]
    unsure = [USES[p] for p, outcome in outcomes.items() if outcome == "undecided"]
    which = f"the synthetic rows of “{label}”"
    leaks = outcomes.get("privacy") == "fails"
    if leaks:
        action, text = "do not share", f"Do not share {which}: they reveal training rows"
        if good:
            text += f". Use them only where the real rows may be used, for {_listed(good)}"
    elif good:
        action = "use" if not bad and not unsure else "use in part"
        text = f"Use {which} for {_listed(good)}"
        text += f"; do not use them for {_listed(bad, 'or')}" if bad else ""
        text += (
            f"; it is not known yet whether they are fit for {_listed(unsure, 'or')}"
            if unsure
            else ""
        )
    elif bad:
        action = "make others"
        text = f"Generate other rows: do not use {which} for {_listed(bad, 'or')}"
    else:
        action = "wait"
        text = f"Do not rely on {which} yet: evaluate them with more real rows"
        enough = next((v.more for v in verdicts if "you have" in v.more), "")
        text += f". On {USES['utility']}, {enough}" if enough else ""
    if good and outcomes.get("privacy") == "passes":
        text += f". Before you share them, {RELEASE}"
    names = f"--target {shlex.quote(target)}"
    command = ""
    if leaks and rows >= LEAST_ROWS:
        text += ". For rows with a proof of privacy, learn the whole table with --synthesizer "
        text += PROVEN
        command = f"synthgen fit TRAIN {names} --synthesizer {PROVEN} --schema PUBLIC -o MODEL"
    elif not leaks and ("fails" in outcomes.values() or action == "make others"):
        command = f"synthgen augment TRAIN {names} --label {shlex.quote(label)} --synthesizer "
        command += f"{LIKELIEST} -o OUT"
    elif outcomes.get("privacy") == "passes" and good:
        command = f"synthgen privacy MODEL --train TRAIN --holdout HOLDOUT {names}"
    elif unsure and not held_out:
        command = f"synthgen evaluate --train TRAIN --synthetic SYNTHETIC --holdout HOLDOUT {names}"
    return Recommendation(action, f"{text}.", _certainty(verdicts, alone=action == "wait"), command)


def _certainty(verdicts: Sequence[Verdict], alone: bool) -> str:
    """Say in a sentence what is decided, and in another what is known of the rest.

    Of the undecided parts only the first is told in figures: utility, if it is one of them. If what
    is decided has figures, no undecided part is.

    Args:
        verdicts: The verdicts of all parts.
        alone: Whether the recommendation itself says what would decide.
    """
    decided = "; ".join(v.known for v in verdicts if v.outcome != "undecided")
    unsure = sorted((v for v in verdicts if v.outcome == "undecided"), key=_easiest)
    rest = []
    if unsure and not any(c.isdigit() for c in decided):
        first, *unsure = unsure
        more, _, _ = first.more.partition(";")
        rest.append(first.known + (f"; {more}" if more and not alone else ""))
    if unsure:
        be, too = "is" if len(unsure) == 1 else "are", ", too" if rest else ""
        rest.append(f"{_listed([v.part for v in unsure])} {be} undecided{too}")
    sentences = [decided, "; ".join(rest)] if decided else rest
    return " ".join(f"{s[:1].upper()}{s[1:]}." for s in sentences if s)


def _easiest(verdict: Verdict) -> int:
    """Order of the undecided parts: first the one that is easiest to say."""
    return ("utility", "fidelity", "privacy").index(verdict.part)


def cards(verdicts: Sequence[Verdict]) -> tuple[Card, ...]:
    """Make a card for each verdict."""
    return tuple(
        Card(v.part.capitalize(), v.outcome, v.sentence, TONES.get(v.outcome, "quiet"))
        for v in verdicts
    )


def _listed(uses: Sequence[str], word: str = "and") -> str:
    """Join uses to one clause.

    Example:
        >>> _listed(["look", "train", "share"], "or")
        'look, train or share'
    """
    return uses[0] if len(uses) == 1 else f"{', '.join(uses[:-1])} {word} {uses[-1]}"
