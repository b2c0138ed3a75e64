"""Verdicts: one for each part, in a sentence with its key figure, interval and reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.special import ndtri

from synthgen.metrics.score import Part, Score

Outcome = Literal["passes", "falls short", "fails", "cannot tell"]
# A two-sample score so near to that of real rows passes; an interval so wide tells
# nothing.
LIKE_REAL, TOO_WIDE = 0.05, 0.5
TWO_SAMPLE = ("fidelity.c2st_boosting", "fidelity.c2st_boosting_holdout")
# Shares of the average precision that replacing the real rows has to keep, to pass and not to fail,
# and the width of an interval from which on it is not known.
KEEPS, KEEPS_SOME, SURE = 0.95, 0.8, 0.1
# Rows of the class in the test below which no average precision means anything.
FEW = 5
# Rows from which on a two-sample test sees what there is to see.
POWER = 1000
# Of an attack, above the same attack on fresh real rows: fails, and what a pass rules out. An area
# of 40 rows against 40 is off by 0.065 by chance.
SOME_EXCESS, MOST_EXCESS, SOME_COPIES = 0.03, 0.1, 0.05
# Equal rows count from a smaller share on: each is a person.
A_COPY = 0.005
# Share of synthetic rows that are nearer to train than to as many other rows; 0.5 is best, and what
# is above this, and not by chance, fails: SMOTE beside thousands of rows is no farther off.
NEARER = 0.53


@dataclass(frozen=True)
class Verdict:
    """One part in a sentence.

    Attributes:
        part: ``"fidelity"``, ``"utility"`` or ``"privacy"``.
        outcome: ``"passes"``, ``"falls short"``, ``"fails"`` or ``"cannot tell"``.
        sentence: With the key figure, its interval and its reference.
        key: The `Score` that decided, None where there is none.
    """

    part: str
    outcome: Outcome
    sentence: str
    key: Score | None


_WORDS = {
    "fidelity": {
        "passes": "look real",
        "falls short": "look real only in part",
        "fails": "do not look real",
        "cannot tell": "may or may not look real (too few of them, or of held-out ones, to say)",
    },
    "utility": {
        "passes": "can take the place of the real ones in training a classifier",
        "falls short": "can take the place of the real ones only at a loss",
        "fails": "cannot take the place of the real ones",
        "cannot tell": "may or may not teach a classifier what real ones do",
    },
    "privacy": {
        "passes": "gave no training row away to the attacks that were tried",
        "falls short": "give a little of the training rows away",
        "fails": "give training rows away: do not share them",
        "cannot tell": "may or may not give training rows away",
    },
}


def headline(verdicts: Sequence[Verdict], label: str) -> str:
    """All verdicts in one sentence.

    Example:
        >>> headline([Verdict("fidelity", "passes", "", None)], "ill")
        'The synthetic rows of “ill” look real.'
    """
    said = []
    for v in verdicts:
        other = "" if v.key is None or v.part == "utility" else v.key.group
        worst = f" (the worst: {_of(other)})" if other not in ("", label) else ""
        said.append(_WORDS[v.part][v.outcome] + worst)
    text = said[0] if len(said) == 1 else f"{', '.join(said[:-1])}, and {said[-1]}"
    return f"The synthetic rows of “{label}” {text}."


def unless(verdict: Verdict, reason: str) -> Verdict:
    """`verdict`, or that nothing can be told where it is no failure and there is a reason."""
    if not reason or verdict.outcome == "fails":
        return verdict
    text = f"{reason[:1].upper()}{reason[1:]}. {verdict.sentence}"
    return replace(verdict, outcome="cannot tell", sentence=text)


def _shown(score: Score, form: str = ".2f") -> str:
    text = f"{score.value:{form}}"
    if score.interval is not None:
        text += f" [{score.interval[0]:{form}}, {score.interval[1]:{form}}]"
    return text


def _worst(found: list[tuple[Outcome, Score]]) -> tuple[Outcome, Score]:
    order = ("fails", "falls short", "cannot tell", "passes")
    return min(found, key=lambda one: order.index(one[0]))


def of_fidelity(part: Part, label: str, rows: dict[str, int]) -> Verdict:
    """Whether boosting can tell the rows from those of train or of the holdout: the worst of both
    and of all groups.

    Args:
        label: The rare class: a pass of other groups is none of its rows.
        rows: Of each group, those of its smallest table.
    """
    found: list[tuple[Outcome, Score]] = []
    tests = [score for score in part.scores if score.name in TWO_SAMPLE]
    if not any(score.group == label and score.value == score.value for score in tests):
        why = f"Too few rows of {label} to compare: give more of them, or another --label."
        return Verdict("fidelity", "cannot tell", why, None)
    # The worst of several tests: each has the room that all together need (Bonferroni).
    room = float(ndtri(1 - 0.025 / max(1, len(tests))) / ndtri(0.975))
    for score in tests:
        low, high = score.interval or (0.0, 1.0)
        high = min(1.0, score.value + room * (high - score.value))
        reference, floor = score.reference or 0.0, score.floor or 0.0
        good = reference - LIKE_REAL
        # Where independent columns do as well, few rows have no power to tell anything.
        blind = floor >= min(low, good) and rows.get(score.group, 0) < POWER
        if score.value != score.value or (high >= good and (high - low > TOO_WIDE or blind)):
            outcome: Outcome = "cannot tell"
        elif high >= good:
            outcome = "passes"
        else:
            outcome = "falls short" if score.value >= floor + (reference - floor) / 2 else "fails"
        found.append((outcome, score))
    # Of several that are as bad, the one farthest from its real rows.
    found.sort(key=lambda one: np.nan_to_num(one[1].value - (one[1].reference or 0.0)))
    outcome, key = _worst(found)
    told = {
        "passes": "can hardly tell them from real rows",
        "falls short": "can tell many of them from real rows",
        "fails": "tells them from real rows",
        "cannot tell": "has too few rows to say whether they can be told from real ones",
    }[outcome]
    if key.name.endswith("_holdout"):
        told += " of the holdout"
    sentence = (
        f"A boosting classifier {told} ({_of(key.group)}). Two-sample score {_shown(key)}; real "
        f"rows {key.reference or 0:.2f}, columns without connections {key.floor or 0:.2f} (1 is "
        f"never told apart, 0 always)"
    )
    trends = [s for s in part.scores if (s.name, s.group) == ("fidelity.pair_trends", key.group)]
    if trends and trends[0].reference is not None:
        sentence += f". Pair trends {_shown(trends[0])}; real rows {trends[0].reference:.2f}"
    return Verdict("fidelity", outcome, f"{sentence}.", key)


def of_utility(part: Part, label: str, tested: int, held_out: bool) -> Verdict:
    """Whether synthetic rows can take the place of the real ones of the class: the worst of all
    judges.

    Nothing is known where noise in their place does as well, or on fewer than `FEW` test rows.
    Where the synthesizer has seen the test rows, its rows can fail but not pass.
    """
    name = "utility.replace.ap_ratio"
    ratios = [s for s in part.scores if s.name == name and ": " not in s.group]
    known = [s for s in ratios if s.interval is not None]
    if not known:
        note = ratios[0].note
        return Verdict("utility", "cannot tell", f"{note[:1].upper()}{note[1:]}.", ratios[0])
    outcome, key = _worst([(_kept(score, tested, held_out), score) for score in known])
    scores = {s.name: s for s in part.scores if s.group == key.group}
    ap = scores["utility.replace.average_precision"]
    sentence = (
        f"In place of the real rows of {label} they keep {_shown(key, '.0%')} of the average "
        f"precision of {key.group}: {ap.value:.3f} instead of {ap.reference or 0:.3f}, noise keeps "
        f"{key.floor or 0:.0%} ({tested:,} real test rows of the class)"
    )
    gain = scores["utility.augment.ap_gain"]
    sentence += f". Added to the real rows they change it by {_shown(gain, '+.3f')}"
    fresh = scores.get("utility.fresh_augment.ap_gain")
    if fresh is not None:
        sentence += f", new real rows by {_shown(fresh, '+.3f')}"
    if not held_out:
        sentence += ". The synthesizer has seen the test rows, so this can fail but not pass"
    return Verdict("utility", outcome, f"{sentence}.", key)


def _kept(ratio: Score, tested: int, held_out: bool) -> Outcome:
    """What one judge says of the average precision that is kept."""
    low, high = ratio.interval or (0.0, 1.0)
    noise_does = (ratio.floor or 0.0) >= KEEPS
    if tested < FEW or noise_does or (low < KEEPS <= high and high - low > SURE):
        return "cannot tell"
    if low >= KEEPS or (high >= KEEPS and ratio.value >= KEEPS):
        return "passes" if held_out else "cannot tell"
    return "falls short" if high >= KEEPS or ratio.value >= KEEPS_SOME else "fails"


def of_privacy(part: Part, held_out: bool) -> Verdict:
    """Whether an attack tells the rows of train from others: the worst of all groups."""
    found: list[tuple[Outcome, Score]] = []
    for score in part.scores:
        low, high = score.interval or (-1.0, 1.0)
        if score.name == "privacy.mia_excess":
            if score.value != score.value:
                outcome: Outcome = "cannot tell"
            elif low > 0 and score.value > SOME_EXCESS:
                outcome = "fails"
            elif low > 0:
                outcome = "falls short"
            else:
                outcome = "passes" if high <= MOST_EXCESS and held_out else "cannot tell"
            found.append((outcome, score))
        elif score.name == "privacy.nearer_to_train" and score.value == score.value:
            if low > 0.5 and score.value > NEARER:
                found.append(("fails", score))
        elif score.name not in ("privacy.copies", "privacy.near_copies"):
            continue
        elif low > (score.reference or 0.0) + SOME_COPIES and score.value == score.value:
            # More than fresh real rows that are equal, or as near, to a row of train.
            found.append(("fails", score))
        elif score.name == "privacy.copies" and low > (score.reference or 0.0) + A_COPY:
            found.append(("falls short", score))
    if not found:
        return Verdict("privacy", "cannot tell", "No attack could be made.", None)
    outcome, key = _worst(found)
    attacks = [s for s in part.scores if s.name == "privacy.mia_excess" and s.group == key.group]
    known = [s for s in attacks if s.value == s.value]
    which = known[0].note.removeprefix("the worst attack: ").partition(";")[0] if known else ""
    attack = (
        f"The worst attack on {_of(key.group)} ({which}) finds training rows with a ROC-AUC "
        f"{_shown(known[0], '+.2f')} above that on fresh real rows"
        if known
        else ""
    )
    if key.name == "privacy.mia_excess":
        sentence = attack or f"No attack on {_of(key.group)} could be made: {key.note}"
    else:
        sentence = f"{_shown(key, '.1%')} of them ({_of(key.group)}) are "
        if key.name == "privacy.nearer_to_train":
            sentence += (
                f"nearer to a training row than to any of as many holdout rows; real rows "
                f"{0.5 if key.reference is None else key.reference:.0%}"
            )
        else:
            what = "equal" if key.name == "privacy.copies" else "nearly equal"
            sentence += f"{what} to a training row; real rows {key.reference or 0:.1%}"
        sentence += f". {attack}" if attack else ""
    if not held_out:
        sentence += ". Without rows that the synthesizer never saw privacy can fail but not pass"
    elif outcome == "cannot tell" and key.value == key.value:
        sentence += ". With so few rows this can be chance"
    return Verdict("privacy", outcome, f"{sentence}.", key)


def _of(group: str) -> str:
    return "all rows" if group == "all" else group
