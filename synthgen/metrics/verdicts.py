"""Verdicts: one for each part, in a sentence with its key figure, interval and reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from scipy.special import ndtri

from synthgen.metrics.score import Part, Score

Outcome = Literal["passes", "falls short", "fails", "cannot tell"]
# A two-sample score so near to that of real rows passes; an interval so wide tells
# nothing.
LIKE_REAL, TOO_WIDE = 0.05, 0.5
TWO_SAMPLE = ("fidelity.c2st_boosting", "fidelity.c2st_boosting_holdout")
EXCESS, COPIES = "privacy.mia_excess", "privacy.copies"
PRIVACY_TESTS = (EXCESS, "privacy.nearer_to_train", COPIES, "privacy.near_copies")
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
# is above the first, and not by chance, fails: SMOTE beside thousands of rows is no farther off. A
# pass rules out what is above the second.
NEARER, MOST_NEARER = 0.53, 0.6
# How verdicts are come to, in words: of every part, and of each.
LIMITS = {
    "all": (
        "Each part is several tests, and the worst decides: fails, falls short, cannot tell, "
        "passes, in this order. An end of a 95 % interval that can fail a part lies as much "
        "farther from its value as all tests of the part together need (Bonferroni); that is what "
        "“with room” means. A part that rows which stand in two tables spoil can fail, and is "
        "otherwise not told."
    ),
    "fidelity": (
        f"Two-sample tests by boosting, against train and against the holdout, of every class and "
        f"of all rows. One passes where the upper end of its interval, with room, is no more than "
        f"{LIKE_REAL:g} below the score of as many real rows. It cannot tell, where it would "
        f"pass, if that interval is wider than {TOO_WIDE:g}, or if on fewer than {POWER:,} rows "
        f"columns without connections reach its lower end, or what a pass needs, as well. It falls "
        f"short where it does not pass but the score is at least halfway from that of columns "
        f"without connections to that of real rows, and fails below. Without a test of the class "
        f"nothing can be told."
    ),
    "utility": (
        f"The share of the average precision that is kept where synthetic rows replace the real "
        f"ones of the class, by each judge. One passes where the share is at least {KEEPS:.0%}; "
        f"falls short where it is at least {KEEPS_SOME:.0%}, or the upper end of its interval, "
        f"with room, at least {KEEPS:.0%}; and fails below. It cannot tell where the interval, "
        f"with room, reaches from below {KEEPS:.0%} to there or above and is even without room "
        f"wider than {SURE:.0%}; where noise keeps {KEEPS:.0%} as well; on fewer than {FEW} test "
        f"rows of the class; and, where it would pass, without a holdout."
    ),
    "privacy": (
        f"Of the class and of all rows. Fails where the lower end, with room, of the worst "
        f"attack's excess is above 0 and the excess above {SOME_EXCESS:g}; of the share nearer to "
        f"train above 50% and the share above {NEARER:.0%}; or of copies or near-copies above "
        f"their share among real rows and {SOME_COPIES:.0%} more. Falls short where that end of "
        f"the excess is above 0, or that of copies above their share among real rows and "
        f"{A_COPY:.1%} more. Passes where none of this is so, a holdout was given, and every "
        f"interval rules out what it should: that of each excess ends at {MOST_EXCESS:g} or below, "
        f"of the share nearer to train at {MOST_NEARER:.0%} or below, of copies and near-copies no "
        f"more than {SOME_COPIES:.0%} above their share among real rows, and that of copies begins "
        f"at that share or below. Else it cannot tell."
    ),
}


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
        "cannot tell": "may or may not look real",
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
        of_others = other not in ("", label) and v.outcome != "passes"
        worst = f" (the worst: {_quoted(other)})" if of_others else ""
        said.append(_WORDS[v.part][v.outcome] + worst)
    text = said[0] if len(said) == 1 else f"{', '.join(said[:-1])}, and {said[-1]}"
    return f"The synthetic rows of “{label}” {text}."


def unless(verdict: Verdict, reason: str) -> Verdict:
    """`verdict` with a reason against it, where there is one: then what is no failure cannot be
    told.
    """
    if not reason:
        return verdict
    outcome = "fails" if verdict.outcome == "fails" else "cannot tell"
    text = f"{reason[:1].upper()}{reason[1:]}. {verdict.sentence}"
    return replace(verdict, outcome=outcome, sentence=text)


def _shown(score: Score, form: str = ".2f") -> str:
    form = form.replace(".", "z.")  # no minus before a 0
    text = f"{score.value:{form}}"
    if score.interval is not None:
        text += f" [{score.interval[0]:{form}}, {score.interval[1]:{form}}]"
    return text


class _Found(NamedTuple):
    """What one test says; `why` it cannot tell, where the sentence does not say it anyway."""

    outcome: Outcome
    score: Score
    why: str = ""


def _worst(found: Sequence[_Found]) -> _Found:
    order = ("fails", "falls short", "cannot tell", "passes")
    return min(found, key=lambda one: order.index(one.outcome))


def _room(tests: int) -> float:
    """So many times as far a bound lies from its value for several tests together (Bonferroni)."""
    return float(ndtri(1 - 0.025 / max(1, tests)) / ndtri(0.975))


def of_fidelity(part: Part, label: str, rows: dict[str, int]) -> Verdict:
    """Whether boosting can tell the rows from those of train or of the holdout: the worst of both
    and of all groups.

    Args:
        label: The rare class: a pass of other groups is none of its rows.
        rows: Of each group, those of its smallest table.
    """
    tests = [score for score in part.scores if score.name in TWO_SAMPLE]
    if not any(score.group == label and score.value == score.value for score in tests):
        why = f"Too few rows of {label} to compare: give more of them, or another --label."
        return Verdict("fidelity", "cannot tell", why, None)
    room = _room(len(tests))  # any of them can fail the part
    found = [_told_apart(score, room, rows.get(score.group, 0)) for score in tests]
    # Of several that are as bad, the one farthest from its real rows.
    found.sort(key=lambda one: np.nan_to_num(one.score.value - (one.score.reference or 0.0)))
    outcome, key, why = _worst(found)
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
        f"rows {key.reference or 0:.2f}{_unconnected(key)} (1 is never told apart, 0 always)"
    )
    trends = [s for s in part.scores if (s.name, s.group) == ("fidelity.pair_trends", key.group)]
    if trends and trends[0].reference is not None:
        sentence += f". Pair trends {_shown(trends[0])}; real rows {trends[0].reference:.2f}"
    kept = [s for s in part.scores if (s.name, s.group) == ("fidelity.rules_kept", key.group)]
    real = kept[0].reference if kept else None
    if real is not None and kept[0].interval and kept[0].interval[1] < real:
        share = _shown(kept[0], ".1%")
        sentence += f". {share} keep the rules that hold in train; of real rows {real:.1%}"
    sentence += f". {why}" if why else ""
    return Verdict("fidelity", outcome, f"{sentence}.", key)


def _unconnected(test: Score) -> str:
    """What columns without connections reach, where there are some to be without."""
    if test.floor is None:
        return ""
    if test.floor < (test.reference or 0.0):
        return f", columns without connections {test.floor:.2f}"
    return f", which columns without connections reach too, with {test.floor:.2f}"


def _told_apart(score: Score, room: float, rows: int) -> _Found:
    """What one two-sample test says, with `room` for the others at the upper end."""
    low, high = score.interval or (0.0, 1.0)
    high = min(1.0, score.value + room * (high - score.value))
    reference, floor = score.reference or 0.0, score.floor or 0.0
    good = reference - LIKE_REAL
    if score.value != score.value:
        return _Found("cannot tell", score)
    if high < good:
        halfway = floor + (reference - floor) / 2
        return _Found("falls short" if score.value >= halfway else "fails", score)
    if high - low > TOO_WIDE:
        why = f"The interval, with room for all tests, is {high - low:.2f} wide, more than "
        return _Found("cannot tell", score, f"{why}{TOO_WIDE:g}")
    if floor >= min(low, good) and rows < POWER:  # few rows have no power to tell anything
        at = "the lower end of the interval" if low <= good else "what a pass needs"
        why = f"Columns without connections reach {at}, {min(low, good):.2f}, too: {rows:,} rows"
        return _Found("cannot tell", score, f"{why} tell nothing then")
    return _Found("passes", score)


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
    # Judges agree more often than not, so this is more room than all of them need; but how much
    # less would do is not known.
    room = _room(len(known))
    outcome, key, why = _worst([_kept(score, room, tested, held_out) for score in known])
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
    sentence += f". {why}" if why else ""
    if not held_out:
        sentence += ". The synthesizer has seen the test rows, so this can fail but not pass"
    return Verdict("utility", outcome, f"{sentence}.", key)


def _kept(ratio: Score, room: float, tested: int, held_out: bool) -> _Found:
    """What one judge says of the average precision that is kept, with `room` for the others at the
    upper end.
    """
    low, high = ratio.interval or (0.0, 1.0)
    wide = high - low > SURE
    high = ratio.value + room * (high - ratio.value)
    if tested < FEW:
        return _Found("cannot tell", ratio, f"Fewer than {FEW} test rows tell nothing")
    if (ratio.floor or 0.0) >= KEEPS:
        return _Found("cannot tell", ratio, f"Where noise keeps {KEEPS:.0%}, nothing is told")
    if low < KEEPS <= high and wide:
        why = f"The interval begins below the {KEEPS:.0%} that a pass needs, ends above it"
        return _Found("cannot tell", ratio, f"{why} and is wider than {SURE:.0%}")
    if ratio.value >= KEEPS:
        return _Found("passes" if held_out else "cannot tell", ratio)
    some = high >= KEEPS or ratio.value >= KEEPS_SOME
    return _Found("falls short" if some else "fails", ratio)


def of_privacy(part: Part, held_out: bool) -> Verdict:
    """Whether an attack tells the rows of train from others: the worst of all groups."""
    tests = [s for s in part.scores if s.name in PRIVACY_TESTS]
    # Any of them can fail the part, so each has the room that all together need. To pass is for
    # every one of them to pass, which needs none.
    room = _room(sum(s.value == s.value for s in tests))
    found = [
        _attacked(score, room, held_out) if score.name == EXCESS else _near(score, room)
        for score in tests
    ]
    found = [one for one in found if one is not None]
    if not found:
        return Verdict("privacy", "cannot tell", "No attack could be made.", None)
    outcome, key, why = _worst(found)
    attack = _attack(part, key.group)
    if key.name == EXCESS:
        sentence = attack or f"No attack on {_of(key.group)} could be made: {key.note}"
    else:
        sentence = f"{_shown(key, '.1%')} of them ({_of(key.group)}) are "
        if key.name == "privacy.nearer_to_train":
            sentence += (
                f"nearer to a training row than to any of as many holdout rows; real rows "
                f"{0.5 if key.reference is None else key.reference:.0%}"
            )
        else:
            what = "equal" if key.name == COPIES else "nearly equal"
            sentence += f"{what} to a training row; "
            none = "there are no real ones to set beside them"
            sentence += none if key.reference is None else f"real rows {key.reference:.1%}"
        sentence += f". {attack}" if attack else ""
    sentence += f". {why}" if why else ""
    if not held_out:
        sentence += ". Without rows that the synthesizer never saw privacy can fail but not pass"
    return Verdict("privacy", outcome, f"{sentence}.", key)


def _attacked(excess: Score, room: float, held_out: bool) -> _Found:
    """What the worst attack says, with `room` for the other tests at the lower end."""
    low, high = excess.interval or (-1.0, 1.0)
    if excess.value != excess.value:
        return _Found("cannot tell", excess)
    if excess.value - room * (excess.value - low) > 0:
        return _Found("fails" if excess.value > SOME_EXCESS else "falls short", excess)
    if high > MOST_EXCESS:
        why = (
            f"With so few rows an excess of more than {MOST_EXCESS:g} cannot be ruled out: the "
            f"interval ends at {high:.2f}"
        )
        return _Found("cannot tell", excess, why)
    return _Found("passes" if held_out else "cannot tell", excess)


def _near(share: Score, room: float) -> _Found | None:
    """What copies, or rows nearer to train, speak against, with `room` for the other tests at the
    lower end; None where they do not, or were not measured.
    """
    if share.value != share.value or share.interval is None:
        return None
    least, most = share.interval
    low = share.value - room * (share.value - least)
    if share.name == "privacy.nearer_to_train":
        if low > 0.5 and share.value > NEARER:
            return _Found("fails", share)
        return _open(share, most, MOST_NEARER)
    if share.reference is None:
        why = "No holdout row tells whether real rows are so as often"
        return None if share.value == 0 else _Found("cannot tell", share, why)
    # More than fresh real rows that are equal, or as near, to a row of train.
    usual = share.reference
    if low - usual > SOME_COPIES:
        return _Found("fails", share)
    if share.name == COPIES and low - usual > A_COPY:
        return _Found("falls short", share)
    if share.name == COPIES and least > usual:  # where real rows have none, a single one
        why = f"The interval begins above the {usual:.1%} of real rows: look at the equal rows"
        return _Found("cannot tell", share, why)
    return _open(share, most, usual + SOME_COPIES, f", {SOME_COPIES:.0%} above real rows,")


def _open(share: Score, most: float, bound: float, which: str = "") -> _Found | None:
    """That it cannot be told where the upper end of the interval does not rule out what is above a
    bound; `which` one, in words.
    """
    if most <= bound:
        return None
    why = f"With so few rows more than {bound:.1%}{which} cannot be ruled out: the interval ends"
    return _Found("cannot tell", share, f"{why} at {most:.1%}")


def _attack(part: Part, group: str) -> str:
    """What the worst attack on a group finds; empty where none was made."""
    found = {s.name.removeprefix("privacy."): s for s in part.scores if s.group == group}
    excess = found.get("mia_excess")
    if excess is None or excess.value != excess.value:
        return ""
    areas = {
        name.removeprefix("mia_").removesuffix("_auc"): score.value
        for name, score in found.items()
        if name.startswith("mia_") and name.endswith("_auc") and name != "mia_auc"
    }
    known = {name: value for name, value in areas.items() if value == value}
    which = f" ({max(known, key=lambda name: known[name])})" if known else ""
    far = f"{abs(excess.value):.2f}"
    beside = f"{far} {'above' if excess.value > 0 else 'below'}" if far != "0.00" else "as high as"
    return (
        f"The worst attack on {_of(group)}{which} finds training rows with a ROC-AUC {beside} that "
        f"of the worst one on fresh real rows: excess {_shown(excess, '+.2f')}"
    )


def _of(group: str) -> str:
    return "all rows" if group == "all" else group


def _quoted(group: str) -> str:
    return "all rows" if group == "all" else f"“{group}”"
