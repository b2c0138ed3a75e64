"""Turn the scores of all strategies on all splits into verdicts in words."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from synthgen.comparison.tasks import SHARES, Plan
from synthgen.model_selection.scoring import DECIDED, METRICS, Metric
from synthgen.model_selection.selection import (
    CONFIDENCE,
    HELPS,
    MARGIN,
    NO_GAIN,
    UNCLEAR,
    Difference,
    choose,
    compare_to,
    verdict,
)
from synthgen.report.answer import Card, Tone

TONES: dict[str, Tone] = {HELPS: "good", NO_GAIN: "middling", UNCLEAR: "quiet"}


@dataclass(frozen=True)
class Result:
    """One metric of one strategy.

    Attributes:
        strategy, family, metric: Names of the strategy, its family and the metric.
        mean: Mean of the metric over the splits. Rows of different splits are never pooled, because
            their scores have different scales.
        difference: Gain over the strategy `against` on the same splits; positive is better for
            every metric.
        interval: 95 % interval of the difference, simultaneous over all strategies.
        against: "threshold" for metrics of decisions, "nothing" for all others.
        values: The metric on each split.
    """

    strategy: str
    family: str
    metric: str
    mean: float
    difference: float
    interval: tuple[float, float]
    against: str
    values: tuple[float, ...] = field(repr=False)


@dataclass(frozen=True)
class Verdict:
    """A conclusion of the comparison.

    Attributes:
        outcome: "helps", "no worthwhile gain" or "not enough data to tell".
        strategy: The strategy to use; `against` if no strategy is established.
        metric, against: The metric, and the strategy compared with.
        difference: Gain of selecting a strategy on the training part, measured on the test part: a
            nested estimate, not the winner's own score.
        interval: 95 % interval of this gain.
        chosen: How often each strategy was selected in this way.
        text: The verdict in words.
    """

    outcome: str
    strategy: str
    metric: str
    against: str
    difference: float
    interval: tuple[float, float]
    chosen: dict[str, int]
    text: str


def card_of(title: str, verdict: Verdict) -> Card:
    """Make a card of a verdict; the text of the card does not repeat the outcome."""
    text = verdict.text.removeprefix(f"{verdict.outcome}: ")
    return Card(title, verdict.outcome, f"{text}.", TONES[verdict.outcome])


@dataclass(frozen=True)
class RealRows:
    """The estimated gain from more real rows, extrapolated from a learning curve.

    Attributes:
        shares: Shares of the training part that were used, from 0 to 1.
        means: Mean metric of doing nothing, for each share.
        doubling: Mean gain from doubling the number of rows along this curve.
        interval: 95 % interval of `doubling`, which assumes that the curve continues like this.
    """

    shares: tuple[float, ...]
    means: tuple[float, ...]
    doubling: float
    interval: tuple[float, float]


def results(
    scores: dict[str, list[dict[str, float]]],
    names: list[str],
    families: dict[str, str],
    ratio: float,
    decision: str,
) -> list[Result]:
    found = []
    for metric in scores["nothing"][0]:
        sign = METRICS[metric].sign
        values = np.array([[s[metric] for s in scores[name]] for name in names])
        against = "threshold" if metric in DECIDED or metric == decision else "nothing"
        reference = sign * values[names.index(against)]
        # The intervals are simultaneous over the strategies of the verdict, which does not include
        # doing nothing and moving the threshold.
        plain = np.array([name in ("nothing", "threshold") for name in names])
        gains: dict[str, Difference] = {}
        for some in (np.flatnonzero(plain), np.flatnonzero(~plain)):
            if len(some):
                own = sign * values[some]
                compared = compare_to(own, reference, ratio=ratio, bounds=METRICS[metric].bounds)
                gains |= {names[i]: gain for i, gain in zip(some, compared, strict=True)}
        for name, own in zip(names, values, strict=True):
            gain = gains[name]
            result = Result(
                name,
                families[name],
                metric,
                float(own.mean()),
                gain.mean,
                gain.interval,
                against,
                tuple(own.tolist()),
            )
            found.append(result)
    return sorted(found, key=lambda r: names.index(r.strategy))


def verdict_on(
    plan: Plan,
    rows: dict[str, list[dict[str, Any]]],
    scores: dict[str, list[dict[str, float]]],
    names: list[str],
    metric: str,
    against: str,
    ratio: float,
) -> Verdict:
    about = METRICS[metric]
    candidates = [n for n in names if n not in ("nothing", "threshold")]
    outer = {
        n: about.sign * np.array([s[metric] for s in scores[n]]) for n in (against, *candidates)
    }
    reference = outer[against]
    # The unit of a cost is not known, so its margin is a share of the cost of the reference.
    margin = MARGIN * (abs(float(reference.mean())) or 1) if metric == "cost" else MARGIN
    outcome, found = verdict(
        np.array([outer[n] for n in candidates]).reshape(len(candidates), len(reference)),
        reference,
        ratio=ratio,
        margin=margin,
        bounds=about.bounds,
    )
    chosen = _chosen_inside({against: rows["nothing"]} | {n: rows[n] for n in candidates}, metric)
    nested = np.array([outer[n][split] for split, n in enumerate(chosen)])
    (gain,) = compare_to(nested[None], reference, ratio=ratio, bounds=about.bounds)
    best = candidates[outcome.best] if candidates else against
    text = _in_words(
        outcome.outcome,
        best,
        found[outcome.best] if candidates else Difference(0, 0, 0, 0),
        gain,
        about,
        against,
        about.sign * float(reference.mean()),
        margin,
        len(candidates),
        hopeful=candidates[int(np.argmax([d.high for d in found]))] if found else "",
        highest=max((d.high for d in found), default=0.0),
    )
    return Verdict(
        outcome.outcome,
        best if outcome.outcome == HELPS else against,
        metric,
        against,
        gain.mean,
        gain.interval,
        dict(Counter(chosen)),
        text,
    )


def _chosen_inside(rows: dict[str, list[dict[str, Any]]], metric: str) -> list[str]:
    """Select, in each split, the strategy that is best on the inner folds."""
    chosen = []
    for of_split in zip(*rows.values(), strict=True):
        inner = METRICS[metric].sign * np.array([row["inner"][metric] for row in of_split])
        chosen.append([*rows][choose(inner, ratio=1 / (inner.shape[1] - 1))])
    return chosen


def _in_words(
    outcome: str,
    best: str,
    own: Difference,
    gain: Difference,
    about: Metric,
    against: str,
    level: float,
    margin: float,
    candidates: int,
    *,
    hopeful: str,
    highest: float,
) -> str:
    reference = "doing nothing" if against == "nothing" else "moving the threshold alone"
    level_text = f"{reference} ({about.text(level)} {about.words})"

    def signed(value: float) -> str:
        return about.text(value, signed=True)

    at_once = f"simultaneous {CONFIDENCE:.0%} intervals of {candidates} strategies"
    hopes = f"even {hopeful}, which has the highest upper bound of {candidates} strategies,"
    leader = f"{best}, the best of {candidates} strategies on average,"
    if candidates == 1:
        at_once, leader, hopes = f"{CONFIDENCE:.0%} interval", best, hopeful
    if not candidates:
        return f"{outcome}: there was no strategy to compare with {level_text}"
    first, last = signed(own.low), signed(own.high)
    nested = f"{signed(gain.mean)} [{signed(gain.low)}, {signed(gain.high)}]"
    if outcome == HELPS:
        return (
            f"{best} helps: it gains {signed(own.mean)} [{first}, {last}] over {level_text} "
            f"({at_once}). Choosing a strategy on the training part alone gained {nested} on the "
            f"test part"
        )
    if outcome == NO_GAIN:
        return (
            f"no worthwhile gain: {hopes} gains at most {signed(highest)} over {level_text}; a "
            f"gain below {about.text(margin)} is too small to matter ({at_once})"
        )
    assert outcome == UNCLEAR
    more = "" if hopeful == best else f"; {hopeful} may gain up to {signed(highest)}"
    return (
        f"not enough data to tell: {leader} gains {signed(own.mean)} [{first}, {last}] over "
        f"{level_text}{more} ({at_once})"
    )


def real_rows(plan: Plan, rows: list[dict[str, Any]], ratio: float) -> RealRows | None:
    sign = METRICS[plan.metric].sign
    values = np.array([[*d["thinned"], d["scores"][plan.metric]] for d in rows], dtype=float)
    shares = np.array([*SHARES, 1.0])
    if np.isnan(values).any():
        return None
    doublings = np.log2(shares) - np.log2(shares).mean()
    slopes = sign * values @ doublings / (doublings**2).sum()
    width = METRICS[plan.metric].worst - METRICS[plan.metric].best
    bounds = -abs(width), abs(width)
    (gain,) = compare_to(slopes[None], np.zeros(len(slopes)), ratio=ratio, bounds=bounds)
    means = tuple(values.mean(axis=0).tolist())
    return RealRows(tuple(shares.tolist()), means, gain.mean, gain.interval)


def mean_curves(splits: list[dict[str, Any]]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {
        "precision": np.mean([d["curves"]["precision"] for d in splits], axis=0).tolist(),
        "calibration": np.sum([d["curves"]["calibration"] for d in splits], axis=0).tolist(),
    }
    if "cost" in splits[0]["curves"]:
        found["cost"] = np.mean([d["curves"]["cost"] for d in splits], axis=0).tolist()
    return found
