"""Verdicts: whether each part passes, in a sentence with the deciding score.

The rules of the verdicts are in `synthgen.metrics.limits.RULES`; the recommendation that follows
from all verdicts is made in `synthgen.metrics.advice`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, NamedTuple

from synthgen.metrics.limits import (
    A_COPY,
    FEW,
    FOUND,
    HALF_REAL,
    KEEPS,
    KEEPS_SOME,
    LIKE_REAL,
    MOST_EXCESS,
    MOST_FOUND,
    MOST_NEARER,
    NEARER,
    READABLE,
    SOME_COPIES,
    SOME_EXCESS,
    SURE,
    WIDER,
    needed,
)
from synthgen.metrics.score import Part, Score

Outcome = Literal["passes", "falls short", "fails", "undecided"]
WORST_FIRST: tuple[Outcome, ...] = ("fails", "falls short", "undecided", "passes")
BATTERY = "fidelity.battery"
EXCESS, RECOGNISED, COPIES, NEARER_TO_TRAIN = (
    "privacy.mia_excess",
    "privacy.mia_tpr_at_10",
    "privacy.copies",
    "privacy.nearer_to_train",
)
PRIVACY_TESTS = (EXCESS, RECOGNISED, NEARER_TO_TRAIN, COPIES, "privacy.near_copies")


@dataclass(frozen=True)
class Verdict:
    """Whether one part passes.

    Attributes:
        part: ``"fidelity"``, ``"utility"`` or ``"privacy"``.
        outcome: ``"passes"``, ``"falls short"``, ``"fails"`` or ``"undecided"``.
        sentence: A sentence with the deciding score, its interval and its reference.
        key: The deciding `Score`, or None.
        known: A clause that says what is known.
        more: If the part is undecided, a clause that says what would decide it; may be empty.
    """

    part: str
    outcome: Outcome
    sentence: str
    key: Score | None
    known: str
    more: str = ""


def unless(verdict: Verdict, reason: str) -> Verdict:
    """Turn a verdict into an undecided one if there is a reason why its scores are invalid."""
    if not reason:
        return verdict
    outcome = "fails" if verdict.outcome == "fails" else "undecided"
    text = f"{reason[:1].upper()}{reason[1:]}. {verdict.sentence}"
    known = f"{verdict.part} cannot be measured, as {reason}"
    return replace(verdict, outcome=outcome, sentence=text, known=known, more="")


class _Tested(NamedTuple):
    """The outcome of one test.

    Attributes:
        outcome: One of `Outcome`.
        score: The tested score.
        known: A clause that says what is known, for a recommendation.
        why: The reason why it is undecided, if the sentence about the score does not give it.
        more: What would decide, if it is undecided.
    """

    outcome: Outcome
    score: Score
    known: str
    why: str = ""
    more: str = ""


def _worst(tests: Sequence[_Tested]) -> _Tested:
    return min(tests, key=lambda test: WORST_FIRST.index(test.outcome))


# --- fidelity -----------------------------------------------------------------------------------


def of_fidelity(part: Part, label: str) -> Verdict:
    """Decide on fidelity from the battery of detectors; the worst group decides."""
    tests = [s for s in part.scores if s.name == BATTERY and s.value == s.value]
    if not any(score.group == label for score in tests):
        why = f"Too few rows of {label} to compare: give more real and synthetic ones, or another "
        why += "--label."
        known = f"too few rows of “{label}” to compare with real ones"
        return Verdict("fidelity", "undecided", why, None, known)
    tested = sorted(map(_told_apart, tests), key=lambda one: one.score.value)
    outcome, key, known, why, more = _worst(tested)
    decided = "It is undecided whether a detector can separate them from real rows"
    if outcome != "undecided":
        decided = f"{known[:1].upper()}{known[1:]}"
    known += "" if key.group == label else f" (the worst: {_quoted(key.group)})"
    sentence = (
        f"{decided} ({_of(key.group)}). {key.note}. Battery {_shown(key)}; 1: as real rows, 0: as "
        f"independent columns"
    )
    trends = _score(part, "fidelity.pair_trends", key.group)
    if trends is not None and trends.reference is not None:
        sentence += f". Pair trends {_shown(trends)}; real rows {trends.reference:.2f}"
    rules = _score(part, "fidelity.rules_kept", key.group)
    real = None if rules is None else rules.reference
    if rules is not None and real is not None and rules.interval and rules.interval[1] < real:
        sentence += f". {_shown(rules, '.1%')} of them satisfy the rules that hold in train, and "
        sentence += f"{real:.1%} of real rows"
    sentence += f". {why}" if why else ""
    return Verdict("fidelity", outcome, f"{sentence}.", key, known, more)


def _score(part: Part, name: str, group: str) -> Score | None:
    return next((s for s in part.scores if (s.name, s.group) == (name, group)), None)


def _told_apart(score: Score) -> _Tested:
    """Decide on one battery."""
    low, high = score.interval or (-1.0, 1.0)
    if score.value + WIDER * (high - score.value) < 1 - LIKE_REAL:
        some = score.value >= HALF_REAL
        known = f"a detector separates {'part' if some else 'most'} of them from real rows"
        return _Tested("falls short" if some else "fails", score, known)
    if low < HALF_REAL:
        known = f"before detectors they score {low:.2f} to {high:.2f} (real rows: 1)"
        why = f"The interval begins at {low:.2f}; a pass needs {HALF_REAL:g} or more"
        return _Tested("undecided", score, known, why, "more rows of the class would decide")
    return _Tested("passes", score, "no detector separates more than a few of them from real rows")


# --- utility ------------------------------------------------------------------------------------


def of_utility(part: Part, label: str, tested: int, held_out: bool) -> Verdict:
    """Decide whether synthetic rows can replace the real rows of the class."""
    name = "utility.replace.ap_ratio"
    ratios = [s for s in part.scores if s.name == name]
    usable = [s for s in ratios if s.interval is not None]
    if not ratios:
        why = f"Not measured for {label}."
        return Verdict("utility", "undecided", why, None, "no classifier was tested")
    if not usable:
        note = ratios[0].note
        text = f"{note[:1].upper()}{note[1:]}."
        return Verdict("utility", "undecided", text, ratios[0], "no classifier could be tested")
    outcome, key, known, why, more = _worst([_kept(s, tested, held_out) for s in usable])
    scores = {s.name: s for s in part.scores if s.group == key.group}
    ap, judge = scores["utility.replace.average_precision"], key.group.partition(": ")[0]
    keep, on = f"they keep {_shown(key, '.0%')}", f" ({tested:,} real test rows of the class)"
    if _is_untold(key, tested):
        keep = f"there are too few test rows to tell ({tested:,} of the class) what they keep"
        on = ""
    sentence = (
        f"In place of the real rows of {label} {keep} of the average precision of {judge}: "
        f"{ap.value:.3f} instead of {ap.reference or 0:.3f}; noise keeps {key.floor or 0:.0%}{on}"
    )
    gain = scores.get("utility.augment.ap_gain")
    if gain is not None:
        sentence += f". Added to the real rows they change it by {_shown(gain, '+.3f')}"
    fresh = scores.get("utility.fresh_augment.ap_gain")
    if fresh is not None:
        sentence += f"; fresh real rows change it by {_shown(fresh, '+.3f')}"
    sentence += f". {why}" if why else ""
    if not held_out:
        sentence += ". The synthesizer has seen the test rows, so this can fail but not pass"
    return Verdict("utility", outcome, f"{sentence}.", key, known, more)


def _is_untold(ratio: Score, tested: int) -> bool:
    """Whether the interval is so wide, and contains what a pass needs, that it says nothing."""
    low, high = ratio.interval or (0.0, 1.0)
    return high - low > READABLE and (tested < FEW or low < KEEPS <= high)


def _kept(ratio: Score, tested: int, held_out: bool) -> _Tested:
    """Decide on one classifier."""
    low, high = ratio.interval or (0.0, 1.0)
    worth = f"a classifier trained on them keeps between {low:.0%} and {high:.0%} of its "
    worth += "average precision"
    if _is_untold(ratio, tested):
        worth = f"there are too few test rows to tell ({tested:,} of the class) what a classifier "
        worth += "trained on them keeps of its average precision"
    if tested < FEW:
        why = f"Fewer than {FEW} test rows of the class are too few to decide"
        more = f"a holdout with more than {tested:,} rows of the class would decide"
        return _Tested("undecided", ratio, worth, why, more)
    if (ratio.floor or 0.0) >= KEEPS:
        why = f"Noise instead of the real rows also keeps {KEEPS:.0%}, so this test shows nothing"
        return _Tested("undecided", ratio, f"{worth}, but with noise it keeps as much", why)
    if low < KEEPS <= high and high - low > SURE:
        why = f"The interval contains the {KEEPS:.0%} that a pass needs and is wider than "
        why += f"{SURE:.0%}: more test rows would decide"
        return _Tested("undecided", ratio, worth, why, needed(ratio, tested, held_out))
    if ratio.value >= KEEPS:
        seen = f"{worth}, but on test rows that the synthesizer has seen"
        if not held_out:
            return _Tested("undecided", ratio, seen, more="a holdout would decide")
        return _Tested("passes", ratio, worth)
    some = high >= KEEPS or ratio.value >= KEEPS_SOME
    return _Tested("falls short" if some else "fails", ratio, worth)


# --- privacy ------------------------------------------------------------------------------------


def of_privacy(part: Part, held_out: bool) -> Verdict:
    """Decide whether synthetic rows reveal training rows, by attacks and copies."""
    tests = [s for s in part.scores if s.name in PRIVACY_TESTS]
    known = {EXCESS: partial(_attacked, held_out=held_out), RECOGNISED: _recognised}
    tested = [known.get(s.name, _near)(s) for s in tests]
    tested = [one for one in tested if one is not None]
    if not tested:
        return Verdict(
            "privacy", "undecided", "No attack could be made.", None, "no attack was made"
        )
    outcome, key, known, why, more = _worst(tested)
    sentence, attack = _of_rows(key), _attack(part, key.group)
    if key.name == EXCESS:
        sentence = attack or f"No attack on {_of(key.group)} could be made: {key.note}"
    elif attack:
        sentence += f". {attack}"
    sentence += f". {why}" if why else ""
    if not held_out:
        sentence += ". Without rows that the synthesizer has not seen, privacy can fail but not "
        sentence += "pass"
    elif outcome == "passes":
        sentence += ". These attacks use only the rows. `synthgen privacy` also uses the model and "
        sentence += "finds more"
    return Verdict("privacy", outcome, f"{sentence}.", key, known, more)


def _attacked(excess: Score, held_out: bool) -> _Tested:
    """Decide on the worst attack."""
    low, high = excess.interval or (-1.0, 1.0)
    if excess.value != excess.value:
        return _Tested("undecided", excess, "no attack could be made")
    if excess.value - WIDER * (excess.value - low) > 0:
        known = f"an attack recognises training rows, with a ROC-AUC {excess.value:.2f} above that "
        known += "of the worst attack on fresh real rows"
        return _Tested("fails" if excess.value > SOME_EXCESS else "falls short", excess, known)
    if high > MOST_EXCESS:
        why = f"An excess of up to {high:.2f} is possible, and a pass needs {MOST_EXCESS:g} or less"
        known = "no attack is shown to recognise training rows, but a ROC-AUC of up to "
        known += f"{high:.2f} above that with fresh real rows is possible"
        return _Tested("undecided", excess, known, why, "more rows would decide")
    if held_out:
        known = "no attack that was tried on the rows recognises training rows"
        return _Tested("passes", excess, known)
    known = "no attack is shown to recognise training rows"
    return _Tested("undecided", excess, known, more="only a holdout could confirm that")


def of_recognised(share: float, interval: tuple[float, float], null: float) -> Outcome:
    """Decide on the share of training rows that an attack recognises at 10 % false alarms."""
    low, high = interval
    if low > max(FOUND, null):
        return "fails"
    return "passes" if share <= FOUND and high <= MOST_FOUND else "undecided"


def _recognised(share: Score) -> _Tested | None:
    """Decide on the share of recognised training rows; None if it is harmless."""
    if share.value != share.value or share.interval is None:
        return None
    low, high = share.interval  # it allows for several attacks, so it is not widened
    outcome = of_recognised(share.value, (low, high), share.reference or 0.0)
    if outcome == "passes":
        return None
    known = f"an attack recognises between {low:.0%} and {high:.0%} of the training rows, guessing "
    known += "10%"
    if outcome == "fails":
        return _Tested("fails", share, known)
    why = f"A pass needs {FOUND:.0%} or less, and an interval that ends at {MOST_FOUND:.0%} or "
    why += "below: more training and held-out rows would decide"
    return _Tested("undecided", share, known, why, "more rows would decide")


def _near(share: Score) -> _Tested | None:
    """Decide on a share of copies, or of rows nearer to train; None if it is harmless."""
    if share.value != share.value or share.interval is None:
        return None
    least, known = share.interval[0], _range(share)
    low = share.value - WIDER * (share.value - least)
    if share.name == NEARER_TO_TRAIN:
        if low > 0.5 and share.value > NEARER:
            return _Tested("fails", share, known)
        return _not_ruled_out(share, MOST_NEARER)
    if share.reference is None:
        why = "There are no holdout rows to show how often real rows are"
        return None if share.value == 0 else _Tested("undecided", share, known, why)
    usual = share.reference  # share of fresh real rows that are equal, or as near, to a train row
    if low - usual > SOME_COPIES:
        return _Tested("fails", share, known)
    if share.name == COPIES and low - usual > A_COPY:
        return _Tested("falls short", share, known)
    if share.name == COPIES and least > usual:  # one copy is enough if no real row is one
        why = f"That is more than the {usual:.1%} of real rows: check the equal rows"
        return _Tested("undecided", share, known, why)
    return _not_ruled_out(share, usual + SOME_COPIES)


def _not_ruled_out(share: Score, bound: float) -> _Tested | None:
    """Leave a share undecided if its interval ends above a bound; None if it does not."""
    most = (share.interval or (0.0, 1.0))[1]
    if most <= bound:
        return None
    why = f"A pass needs an interval that ends at {bound:.1%} or below; it ends at {most:.1%}, and "
    more = "more synthetic and held-out rows would decide"
    return _Tested("undecided", share, _range(share), f"{why}{more}", more)


_KINDS = {
    NEARER_TO_TRAIN: "nearer to a training row than to any of as many holdout rows",
    COPIES: "equal to a training row",
    "privacy.near_copies": "nearly equal to a training row",
}


def _of_rows(key: Score) -> str:
    """Describe a share of rows that decided; empty for other scores."""
    if key.name == RECOGNISED:
        which = key.note.partition(": ")[2].partition(";")[0]
        return (
            f"The strongest attack ({which}) recognises {_shown(key, '.0%')} of the training "
            f"rows ({_of(key.group)}) at 10 % false alarms; with fresh real rows it recognises "
            f"{key.reference or 0:.0%}, by guessing 10 %"
        )
    if key.name not in _KINDS:
        return ""
    sentence = f"{_shown(key, '.1%')} of them ({_of(key.group)}) are {_KINDS[key.name]}; "
    if key.name == NEARER_TO_TRAIN:
        return f"{sentence}real rows {0.5 if key.reference is None else key.reference:.0%}"
    if key.reference is None:
        return f"{sentence}there are no real rows to compare with"
    return f"{sentence}real rows {key.reference:.1%}"


def _range(share: Score) -> str:
    low, high = share.interval or (0.0, 1.0)
    real = "" if share.reference is None else f", of held-out rows {share.reference:.1%}"
    return f"between {low:.1%} and {high:.1%} of them are {_KINDS[share.name]}{real}"


def _attack(part: Part, group: str) -> str:
    """Describe the success of the worst attack on a group; empty if there was no attack."""
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
        f"The worst attack on {_of(group)}{which} recognises training rows with a ROC-AUC {beside} "
        f"that of the worst attack on fresh real rows: excess {_shown(excess, '+.2f')}"
    )


# --- words --------------------------------------------------------------------------------------


def _shown(score: Score, form: str = ".2f") -> str:
    form = form.replace(".", "z.")  # no minus before a 0
    text = f"{score.value:{form}}"
    if score.interval is not None:
        text += f" [{score.interval[0]:{form}}, {score.interval[1]:{form}}]"
    return text


def _of(group: str) -> str:
    return "all rows" if group == "all" else group


def _quoted(group: str) -> str:
    return "all rows" if group == "all" else f"“{group}”"
