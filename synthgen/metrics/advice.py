"""What to do with synthetic rows, from the verdicts of an evaluation."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

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
# The synthesizer to try for rows of the likeliest; on how many of eleven tables with 300 rows of
# the class its rows looked more real, and taught boosting more (evaluation/trees.md).
NEXT, MORE_REAL, TAUGHT_MORE = "tabflow", 1, 5
# Attacks found about equally many training rows by rows of these (evaluation/privacy.md), and more
# by rows that are moved real rows.
ALIKE = ("trees", "tabflow", "ctgan", "tvae")
COPIES = ("privacy.copies", "privacy.near_copies")
# Synthesizers whose class is not called as the name that --synthesizer takes.
SHORT = {"sequentialtrees": "trees", "privatemarginals": PROVEN}
# What rows that pass the attacks of an evaluation still need.
RELEASE = "run `synthgen privacy` on the model too; it finds more"
TONES: dict[str, Tone] = {"passes": "good", "falls short": "middling", "fails": "bad"}


def recommend(
    verdicts: Sequence[Verdict],
    *,
    target: str,
    label: str,
    held_out: bool,
    rows: int,
    synthesizer: str = "",
) -> Recommendation:
    """Recommend one action for the rows: use them where they pass, avoid uses where they fail."""
    outcomes = {v.part: v.outcome for v in verdicts}
    action, text = _told(outcomes, f"the synthetic rows of “{label}”")
    if action == "wait":
        enough = next((v.more for v in verdicts if "you have" in v.more), "")
        text += f". On {USES['utility']}, {enough}" if enough else ""
    made_by = SHORT.get(synthesizer.lower(), synthesizer.lower())
    copied = any(v.key is not None and v.key.name in COPIES for v in verdicts)
    more, verb, rest = _next(outcomes, action, made_by, copied, held_out, rows)
    command = ""
    if verb:
        of = f" --label {shlex.quote(label)}" if verb.startswith("augment") else ""
        command = f"synthgen {verb} --target {shlex.quote(target)}{of}{rest}"
    certainty = _certainty(verdicts, alone=action == "wait")
    return Recommendation(action, f"{text}{more}.", certainty, command)


def _told(outcomes: Mapping[str, str], which: str) -> tuple[str, str]:
    """The action, and what to do with the rows, in words."""
    good = [USES[p] for p, o in outcomes.items() if o == "passes" and p != "privacy"]
    bad = [USES[p] for p, outcome in outcomes.items() if outcome in ("fails", "falls short")]
    unsure = [USES[p] for p, outcome in outcomes.items() if outcome == "undecided"]
    if outcomes.get("privacy") == "fails":
        text = f"Do not share {which}: they reveal training rows"
        if good:
            text += f". Use them only where the real rows may be used, for {_listed(good)}"
        return "do not share", text
    if good:
        text = f"Use {which} for {_listed(good)}"
        text += f"; do not use them for {_listed(bad, 'or')}" if bad else ""
        if unsure:
            text += f"; it is not known yet whether they are fit for {_listed(unsure, 'or')}"
        if outcomes.get("privacy") == "passes":
            text += f". Before you share them, {RELEASE}"
        return "use in part" if bad or unsure else "use", text
    if bad:
        return "make others", f"Generate other rows: do not use {which} for {_listed(bad, 'or')}"
    return "wait", f"Do not rely on {which} yet: evaluate them with more real rows"


def _next(
    outcomes: Mapping[str, str], action: str, made_by: str, copied: bool, held_out: bool, rows: int
) -> tuple[str, str, str]:
    """What to run next."""
    if action == "do not share" and rows >= LEAST_ROWS and made_by != PROVEN:
        more = (
            f". For rows with a proof of privacy, learn the whole table with --synthesizer {PROVEN}"
        )
        return more, "fit TRAIN", f" --synthesizer {PROVEN} --schema PUBLIC -o MODEL"
    more, other = "", ""
    if action == "do not share":
        more, other = _safer(made_by, copied)
        more = f". {more}"
    elif "fails" in outcomes.values() or action == "make others":
        more, other = (f". {_BESIDE_TREES}", NEXT) if made_by == LIKELIEST else ("", LIKELIEST)
    elif outcomes.get("privacy") == "passes" and action.startswith("use"):
        return "", "privacy MODEL --train TRAIN --holdout HOLDOUT", ""
    elif "undecided" in outcomes.values() and not held_out:
        return "", "evaluate --train TRAIN --synthetic SYNTHETIC --holdout HOLDOUT", ""
    return more, "augment TRAIN" if other else "", f" --synthesizer {other} -o OUT"


_BESIDE_TREES = (
    f"These are rows of {LIKELIEST}. On eleven tables with 300 rows of the class, those of {NEXT} "
    f"looked more real on {MORE_REAL}, and taught boosting more on {TAUGHT_MORE}"
)


def _safer(made_by: str, copied: bool) -> tuple[str, str]:
    """Say what would reveal less of a table that is too small for a proof."""
    if made_by == PROVEN:
        return "Learn the table again with a smaller epsilon", ""
    proof = f"A proof of privacy needs {LEAST_ROWS:,} rows of all classes (--synthesizer {PROVEN})"
    if made_by == NEXT or (made_by in ALIKE and not copied):
        return (
            f"No synthesizer is known to reveal less: with 300 to 500 rows of the class, rows of "
            f"{_listed(ALIKE)} passed on none of eight tables. {proof}"
        ), ""
    return (
        f"Rows of {NEXT} reveal less than copies, or than real rows that are moved: attacks found "
        f"21% to 24% of 300 training rows by them, 91% of 150 by rows of SMOTE, by guessing 10%. "
        f"Rows of {NEXT} did not pass on any of eight tables. {proof}"
    ), NEXT


def _certainty(verdicts: Sequence[Verdict], alone: bool) -> str:
    """Say in a sentence what is decided, and in another what is known of the rest."""
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
    """Join uses to one clause."""
    return uses[0] if len(uses) == 1 else f"{', '.join(uses[:-1])} {word} {uses[-1]}"
