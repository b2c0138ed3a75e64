"""Derive one recommendation from the scores of all strategies on common splits."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from synthgen.model_selection.scoring import FALSE_ALARMS, METRICS
from synthgen.model_selection.selection import CONFIDENCE, corrected, critical_value
from synthgen.report.answer import Recommendation

LEAST_GAIN, LEAST_SHARE = 0.005, 0.03  # in the metric; share of the score of nothing
SURE = 0.8  # a strategy is recommended if it helps with at least this probability
# This strategy alone is tested by its own interval: it was confirmed on tables that were not used
# to choose it (`evaluation/benchmark.md`). The others need simultaneous intervals, because the best
# of many looks good by chance.
FIRST = "auto"
DRAWS = 20_000  # joint draws of the true gains: probabilities are accurate to 0.004
# What does a strategy; those without an entry are told in Python's words by their summary.
COMMANDS = {
    "auto": "synthgen auto DATA --target {target} --label {label} -o model.skops",
    "synthgen": "synthgen augment DATA --target {target} --label {label} --weights weight -o OUT",
    "class_weight": 'class_weight="balanced"',
    "undersample": "imblearn.under_sampling.RandomUnderSampler(sampling_strategy=0.3)",
    "oversample": "imblearn.over_sampling.RandomOverSampler(sampling_strategy=0.3)",
    "balanced_forest": "imblearn.ensemble.BalancedRandomForestClassifier()",
    "smote": "imblearn.over_sampling.SMOTENC(..., sampling_strategy=0.3)",
}


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
        established: Whether the gain is significantly above 0: the 95 % interval lies above 0; for
            `auto` its own interval, for all others a simultaneous one.
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


def margin_of(metric: str, level: float) -> float:
    """Compute the smallest relevant gain if doing nothing scores `level`.

    Example:
        >>> margin_of("average_precision", 0.1), margin_of("average_precision", 0.5)
        (0.005, 0.015)
    """
    least = 0.0 if metric == "cost" else LEAST_GAIN
    return max(least, LEAST_SHARE * abs(level))


def chances_of(
    names: Sequence[str],
    scores: np.ndarray,
    reference: np.ndarray,
    *,
    ratio: float,
    margin: float,
) -> list[Chances]:
    """Run the Bayesian correlated t-test (Corani & Benavoli 2015) for each strategy.

    The true gain has a t distribution around the mean difference, with J - 1 degrees of freedom for
    J splits. Its scale is the standard error corrected for splits that share training rows (Nadeau
    & Bengio 2003). All gains together have a multivariate t distribution with the covariance of the
    differences over the splits. Draws from it give the probability of being best, and the regret.

    Args:
        names: Names of the strategies.
        scores: Scores of shape (strategies, splits); higher is better.
        reference: Scores of doing nothing on the same splits, shape (splits,).
        ratio: n_test / n_train of a split.
        margin: Smallest relevant gain or loss, in the unit of the metric.

    Returns:
        One `Chances` for each strategy.

    Example:
        >>> nothing = np.array([0.50, 0.52, 0.49, 0.51])
        >>> better = nothing + [0.05, 0.04, 0.06, 0.05]
        >>> (found,) = chances_of(["auto"], better[None], nothing, ratio=0.25, margin=0.015)
        >>> round(found.gain, 3), round(found.helps, 2), round(found.harms, 2)
        (0.05, 1.0, 0.0)
    """
    found = []
    differences = scores - reference
    joint = zip(*_joint(differences, ratio), _established(names, differences, ratio), strict=True)
    for name, own, more in zip(names, differences, joint, strict=True):
        (mean,), (error,) = corrected(own[None], ratio)
        if error > 0:
            posterior = student(len(reference) - 1, mean, error)
            helps, harms = float(posterior.sf(margin)), float(posterior.cdf(-margin))
            low, high = (float(end) for end in posterior.interval(CONFIDENCE))
        else:  # no split differs
            helps, harms, low, high = 0.0, 0.0, float(mean), float(mean)
        equal = 1 - helps - harms
        found.append(Chances(name, float(mean), (low, high), helps, equal, harms, *more))
    return found


def _joint(differences: np.ndarray, ratio: float) -> tuple[list[float], list[float]]:
    """Estimate, per strategy, the probability that it is the best, and its expected regret."""
    count, splits = differences.shape
    if not count:
        return [], []
    rng = np.random.default_rng(2017)  # the same draws each time
    mean = differences.mean(axis=1, keepdims=True)
    spread = (differences - mean) * np.sqrt((1 / splits + ratio) / (splits - 1))
    stretch = np.sqrt((splits - 1) / rng.chisquare(splits - 1, DRAWS))
    gains = mean + spread @ rng.standard_normal((splits, DRAWS)) * stretch
    most = np.maximum(gains.max(axis=0), 0.0)  # doing nothing gains 0
    first = (gains.argmax(axis=0) == np.arange(count)[:, None]) & (most > 0)
    return first.mean(axis=1).tolist(), (most - gains).mean(axis=1).tolist()


def _established(names: Sequence[str], differences: np.ndarray, ratio: float) -> list[bool]:
    mean, error = corrected(differences, ratio)
    others = np.array([name != FIRST for name in names], dtype=bool)
    times = np.full(len(names), student.ppf((1 + CONFIDENCE) / 2, differences.shape[1] - 1))
    if others.any():
        times[others] = critical_value(differences[others])
    return [bool(low > 0) for low in mean - times * error]


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
    label: str,
    summaries: dict[str, str],
) -> Recommendation:
    """Recommend one action.

    Candidates are the strategies that probably help and whose gain is established. The simplest
    candidate that is practically as good as the one with the largest expected gain is recommended.
    If doing nothing may rank no better than chance, differences are noise and no strategy is
    recommended.

    Args:
        chances: Chances of the strategies, the simplest first.
        nothing: Scores of doing nothing on each split, in the sign of the metric.
        metric: Name of the metric by which strategies are ranked.
        margin: Smallest relevant gain, see `margin_of`.
        ratio: n_test / n_train of a split.
        prevalence: Share of the class among all rows, from 0 to 1.
        threshold: Probability threshold to use if the classifier stays as it is.
        target, label: Names of the target and of the class, for the command.
        summaries: Description of each strategy in words, by name.

    Returns:
        The recommendation.
    """
    about = METRICS[metric]
    (level,), (error,) = corrected(nothing[None], ratio)
    half = float(student.ppf((1 + CONFIDENCE) / 2, len(nothing) - 1) * error)
    reached = f"doing nothing reaches {about.text(level)} {about.words}"
    chance = guessing(metric, prevalence)
    if chance is not None and level - half <= chance:
        return Recommendation(
            "collect",
            f"Collect more rows of {label!r}, or better columns: no strategy can be recommended.",
            f"{reached[0].upper()}{reached[1:]} [{about.text(level - half)}, "
            f"{about.text(level + half)}], which may be no better than guessing "
            f"({about.text(chance)}).",
        )
    helping = [c for c in chances if c.helps >= SURE and c.established]
    if not helping:
        best = max(chances, key=lambda c: c.gain, default=None)
        sure = f"{reached[0].upper()}{reached[1:]}."
        if best is not None:
            sure = (
                f"No strategy is established to help: {best.strategy} has the greatest expected "
                f"gain, {about.text(best.gain, signed=True)}, and helps with probability "
                f"{best.helps:.2f}; {reached}."
            )
        return Recommendation(
            "keep",
            f"Keep the classifier as it is, and call a row {label!r} from a probability of "
            f"{threshold:.3g} on.",
            sure,
            f"predict_proba(X)[:, 1] >= {threshold:.3g}",
        )
    most = max(c.gain for c in helping)
    best = next(c for c in helping if c.gain >= most - margin)
    low, high = (about.text(end, signed=True) for end in best.interval)
    command = summaries.get(best.strategy, "")
    if best.strategy in COMMANDS:
        names = {"target": shlex.quote(target), "label": shlex.quote(label)}
        command = COMMANDS[best.strategy].format(**names)
    return Recommendation(
        f"use {best.strategy}",
        f"Use {best.strategy}: {about.text(best.gain, signed=True)} {about.words} expected.",
        f"It helps with probability {best.helps:.2f}, makes no difference that matters (less than "
        f"{about.text(margin)}) with {best.equal:.2f} and harms with {best.harms:.2f}; 95 % "
        f"interval [{low}, {high}], {reached}. The best strategy of all would gain "
        f"{about.text(best.regret)} more, expected.",
        command,
    )
