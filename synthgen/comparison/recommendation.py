"""Derive one recommendation from the scores of all strategies on common splits."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import t as student

from synthgen.model_selection.scoring import FALSE_ALARMS, METRICS, Metric
from synthgen.model_selection.selection import CONFIDENCE, corrected, critical_value
from synthgen.report.answer import Recommendation

LEAST_GAIN, LEAST_SHARE = 0.005, 0.03  # absolute; relative to the score of doing nothing
FEW_SPLITS = 4  # with fewer, a t interval of the score says nothing, nor does their correlation
# Only this strategy was measured on enough other tables (`evaluation/benchmark.md`), so it has a
# prior and an interval of its own. The others need simultaneous intervals, because the best of many
# looks good by chance.
FIRST = "auto"
# Least probability with which a strategy must help to be recommended: any strategy; `auto` with its
# prior, and then by the table alone, too; `auto` without a prior. Chosen in the benchmark.
SURE, LIKELY, ALONE = 0.8, 0.5, 0.9
# On other rows its gain differs from that on the splits by more than the t-test supposes, so its
# posterior is this many times as wide (`evaluation/benchmark.md`).
WIDER = 1.25
# Student-t prior (location, scale) of its gain in average precision, by classifier, fitted to the
# tables of the benchmark. The scale holds extra variance: other tables may come from elsewhere.
PRIORS = {"hgb": (0.019, 0.033), "rf": (0.011, 0.03), "lr": (0.018, 0.051)}
PRIOR_FREEDOM = 4
PRIOR_ROWS = 10, 300  # training rows of the class for which the prior was fitted
DRAWS = 20_000  # joint draws of the true gains: probabilities are accurate to 0.004
# The command or class that applies a strategy. Without an entry, its summary is shown instead.
COMMANDS = {
    "auto": "synthgen auto DATA --target {target} --label {label} -o model.skops",
    "synthgen": "synthgen augment DATA --target {target} --label {label} --weights weight -o OUT",
    "class_weight": 'class_weight="balanced"',
    "undersample": "imblearn.under_sampling.RandomUnderSampler(sampling_strategy=0.3)",
    "oversample": "imblearn.over_sampling.RandomOverSampler(sampling_strategy=0.3)",
    "balanced_forest": "imblearn.ensemble.BalancedRandomForestClassifier()",
    "smote": "imblearn.over_sampling.SMOTENC(..., sampling_strategy=0.3)",
}

Prior = tuple[float, float]  # location and scale


@dataclass(frozen=True)
class Chances:
    """The expected gain of a strategy, and the probabilities that it helps or harms.

    Attributes:
        strategy: Name of the strategy.
        gain: Expected gain over doing nothing; positive is better for every metric.
        interval: 95 % credible interval of the gain, of this strategy alone.
        helps, equal, harms: Probability that the true gain is above the margin, within it, or
            below; they sum to 1.
        best: Probability that it is the best of all strategies, nothing included.
        regret: Expected difference between the gain of the best strategy and its gain, in the unit
            of the metric.
        established: Whether the scores on this table, without a prior, show a gain: the
            simultaneous 95 % interval lies above 0. `auto` must help with a probability of at
            least 0.9; if it has a prior, 0.5.
        alone: Probability that it helps by the scores on this table alone, if `helps` also uses a
            prior; otherwise None.
    """

    strategy: str
    gain: float
    interval: tuple[float, float]
    helps: float
    equal: float
    harms: float
    best: float = 0.0
    regret: float = 0.0
    established: bool = True
    alone: float | None = None


def priors_for(estimator: str, metric: str, rows: float) -> dict[str, Prior]:
    """Look up the priors of the gains that were measured on other tables."""
    low, high = PRIOR_ROWS
    if metric != "average_precision" or estimator not in PRIORS or not low <= rows <= high:
        return {}
    return {FIRST: PRIORS[estimator]}


def margin_of(metric: str, level: float) -> float:
    """Compute the smallest relevant gain if doing nothing scores `level`."""
    least = 0.0 if metric == "cost" else LEAST_GAIN
    return max(least, LEAST_SHARE * abs(level))


def chances_of(
    names: Sequence[str],
    scores: np.ndarray,
    reference: np.ndarray,
    *,
    ratio: float,
    margin: float,
    priors: Mapping[str, Prior] | None = None,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> list[Chances]:
    """Run the Bayesian correlated t-test (Corani & Benavoli 2015) for each strategy.

    The true gain has a t distribution around the mean difference, with J - 1 degrees of freedom for
    J splits. Its scale is the standard error corrected for splits that share training rows (Nadeau
    & Bengio 2003). All gains together have a multivariate t distribution with the covariance of the
    differences over the splits. Draws from it give the probability of being best, and the regret.
    With priors the same draws are weighted by the prior densities (a hierarchical model as in
    Benavoli et al. 2017, whose upper level is fixed): all values then come from the draws. The
    posterior of `auto` is 1.25 times as wide, as measured on other tables. Fewer than four splits
    do not show how gains depend on each other: then they are drawn independently, and a prior
    changes the gain of its own strategy only.
    """
    differences = _widened(names, scores - reference)
    room = np.array(bounds) - reference.mean()
    known = {name: prior for name, prior in (priors or {}).items() if name in names}
    found = []
    for name, own in zip(names, differences, strict=True):
        (mean,), (error,) = corrected(own[None], ratio)
        if error > 0:
            posterior = student(len(reference) - 1, mean, error)
            # No gain is larger than what is left to the best possible score.
            helps = float(posterior.sf(margin)) if margin < room[1] else 0.0
            harms = float(posterior.cdf(-margin)) if -margin > room[0] else 0.0
            low, high = np.clip(posterior.interval(CONFIDENCE), *room).tolist()
        else:  # every difference is 0: see `corrected`
            helps = harms = low = high = 0.0
        found.append(Chances(name, float(mean), (low, high), helps, 1 - helps - harms, harms))
    found = _established(found, differences, ratio, LIKELY if FIRST in known else ALONE)
    if not found:
        return []
    gains = np.clip(_joint(differences, ratio), room[0], room[1])
    weights = np.ones(DRAWS)
    for name, (location, scale) in known.items():
        weights *= student.pdf(gains[names.index(name)], PRIOR_FREEDOM, location, scale)
    weights /= weights.sum()
    few = len(reference) < FEW_SPLITS
    if known:
        found = [
            replace(
                c if few and c.strategy not in known else _weighted(c, own, weights, margin),
                alone=c.helps if c.strategy in known else None,
            )
            for c, own in zip(found, gains, strict=True)
        ]
    most = np.maximum(gains.max(axis=0), 0.0)  # doing nothing gains 0
    best = ((gains.argmax(axis=0) == np.arange(len(gains))[:, None]) & (most > 0)) @ weights
    regret = (most - gains) @ weights
    return [
        replace(c, best=float(p), regret=float(lost))
        for c, p, lost in zip(found, best, regret, strict=True)
    ]


def _widened(names: Sequence[str], differences: np.ndarray) -> np.ndarray:
    """Spread the differences of `auto` by `WIDER`; their mean stays."""
    factor = np.array([WIDER if name == FIRST else 1.0 for name in names])[:, None]
    mean = differences.mean(axis=1, keepdims=True)
    return mean + factor * (differences - mean)


def _joint(differences: np.ndarray, ratio: float) -> np.ndarray:
    """Draw the true gains of all strategies together, shape (strategies, draws)."""
    strategies, splits = differences.shape
    rng = np.random.default_rng(2017)  # the same draws each time
    mean = differences.mean(axis=1, keepdims=True)
    spread = (differences - mean) * np.sqrt((1 / splits + ratio) / (splits - 1))
    if splits < FEW_SPLITS:
        stretch = np.sqrt((splits - 1) / rng.chisquare(splits - 1, (strategies, DRAWS)))
        error = np.sqrt((spread**2).sum(axis=1, keepdims=True))
        return mean + error * rng.standard_normal((strategies, DRAWS)) * stretch
    stretch = np.sqrt((splits - 1) / rng.chisquare(splits - 1, DRAWS))
    return mean + spread @ rng.standard_normal((splits, DRAWS)) * stretch


def _weighted(chances: Chances, gains: np.ndarray, weights: np.ndarray, margin: float) -> Chances:
    """Replace the gain, its interval and the three probabilities by those of weighted draws."""
    order = np.argsort(gains)
    reached = np.cumsum(weights[order])
    ends = np.searchsorted(reached, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    low, high = gains[order][ends.clip(max=len(gains) - 1)].tolist()
    helps, harms = float(weights @ (gains > margin)), float(weights @ (gains < -margin))
    return replace(
        chances,
        gain=float(weights @ gains),
        interval=(low, high),
        helps=helps,
        equal=1 - helps - harms,
        harms=harms,
    )


def _established(
    chances: Sequence[Chances], differences: np.ndarray, ratio: float, least_sure: float
) -> list[Chances]:
    """Mark the strategies for which the scores on this table alone show a gain."""
    others = np.array([c.strategy != FIRST for c in chances], dtype=bool)
    least = np.full(len(chances), -np.inf)
    if others.any():
        mean, error = corrected(differences[others], ratio)
        least[others] = mean - critical_value(differences[others]) * error
    return [
        replace(c, established=bool(low > 0 if c.strategy != FIRST else c.helps >= least_sure))
        for c, low in zip(chances, least, strict=True)
    ]


def guessing(metric: str, prevalence: float) -> float | None:
    """Give the score of a random ranking; None if it is not known for this metric."""
    known = {"average_precision": prevalence, "roc_auc": 0.5, **FALSE_ALARMS}
    return known.get(metric)


def recommend(
    chances: Sequence[Chances],
    nothing: np.ndarray,
    *,
    metric: str,
    margin: float,
    ratio: float,
    prevalence: float,
    threshold: float,
    target: str,
    label: Any,
    summaries: dict[str, str],
) -> Recommendation:
    """Recommend one action.

    Candidates are the strategies that help with a probability of at least 0.8 (`auto` with a prior:
    0.5) and whose gain is established by this table, so that a prior alone is never enough. The
    simplest candidate that is practically as good as the one with the largest expected gain is
    recommended.
    If doing nothing may rank no better than chance, differences are noise and no strategy is
    recommended. That is so if the interval of its score reaches chance. With fewer than 4 splits,
    the interval is too wide to use; then one split at chance is enough.
    """
    about = METRICS[metric]
    name = str(label)
    (level,), (error,) = corrected(nothing[None], ratio)
    half = float(student.ppf((1 + CONFIDENCE) / 2, len(nothing) - 1) * error)
    reached = f"doing nothing reaches {about.text(level)} {about.words}"
    chance = guessing(metric, prevalence)
    low, high = level - half, level + half
    if len(nothing) < FEW_SPLITS:
        low, high = float(nothing.min()), float(nothing.max())
    if chance is not None and low <= chance:
        return Recommendation(
            "collect",
            f"Collect more rows of {name!r}, or better columns: no strategy can be recommended.",
            f"{reached[0].upper()}{reached[1:]} [{about.text(max(low, 0.0))}, "
            f"{about.text(min(high, 1.0))}], which may be no better than guessing "
            f"({about.text(chance)}).",
        )
    helping = [c for c in chances if _may_be_recommended(c)]
    if not helping:
        best = max(chances, key=lambda c: c.gain, default=None)
        sure = f"{reached[0].upper()}{reached[1:]}."
        if best is not None:
            sure = (
                f"No strategy is shown to help. {best.strategy} has the largest expected gain, "
                f"{about.text(best.gain, signed=True)}, and gains more than {about.text(margin)} "
                f"with probability {best.helps:.2f}{_alone(best)}; {reached}."
            )
        return Recommendation(
            "keep",
            f"Keep the classifier as it is, and predict {name!r} if its probability is at least "
            f"{threshold:.3g}.",
            sure,
            _rule(label, threshold),
        )
    most = max(c.gain for c in helping)
    best = next(c for c in helping if c.gain >= most - margin)
    command = summaries.get(best.strategy, "")
    if best.strategy in COMMANDS:
        names = {"target": shlex.quote(target), "label": shlex.quote(str(label))}
        command = COMMANDS[best.strategy].format(**names)
    return Recommendation(
        f"use {best.strategy}",
        f"Use {best.strategy}: its expected gain in {about.words} is "
        f"{about.text(best.gain, signed=True)}.",
        _certainty(best, about, margin, reached, len(nothing)),
        command,
    )


def _rule(label: Any, threshold: float) -> str:
    """Give the line of Python that flags the rows of the class with a fitted classifier `clf`."""
    name = label.item() if isinstance(label, np.generic) else label
    return f"clf.predict_proba(X)[:, list(clf.classes_).index({name!r})] >= {threshold:.3g}"


def _may_be_recommended(chances: Chances) -> bool:
    """Whether a strategy helps with enough probability, with the prior and by this table alone."""
    least = SURE if chances.alone is None else LIKELY
    return chances.established and chances.helps >= least


def _certainty(best: Chances, about: Metric, margin: float, reached: str, splits: int) -> str:
    """Say how certain the gain of the recommended strategy is."""
    low, high = (about.text(end, signed=True) for end in best.interval)
    found = "The" if best.alone is None else "Weighed with its results on other tables, the"
    text = (
        f"{found} 95 % interval of the gain is [{low}, {high}]; {reached}. {best.strategy} helps "
        f"with probability {best.helps:.2f}{_alone(best)}, makes no relevant difference (less than "
        f"{about.text(margin)}) with probability {best.equal:.2f}, and harms with probability "
        f"{best.harms:.2f}."
    )
    regret = about.text(best.regret)
    if regret == about.text(0.0) or splits < FEW_SPLITS:
        return text
    return f"{text} Another choice may be better: the expected loss by this one is {regret}."


def _alone(chances: Chances) -> str:
    """Give the probability by the scores on this table alone, if a prior was used."""
    if chances.alone is None:
        return ""
    return f" ({chances.alone:.2f} by this table alone, without the results of other tables)"
