"""One strategy on one split: folds, tuning, and its scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from synthgen.comparison.parts import Fitted, Part, natural
from synthgen.comparison.strategies import Strategy
from synthgen.errors import DataError
from synthgen.model_selection.estimators import Estimator
from synthgen.model_selection.folds import deal
from synthgen.model_selection.scoring import DECIDED, METRICS, best_threshold, rank, score
from synthgen.seeds import child_seed

LEAST_ROWS = 6  # rows of the class that a comparison needs
INNER_FOLDS = 3


@dataclass(frozen=True, eq=False)
class Tuned:
    """A strategy with the setting and the thresholds that inner folds chose.

    Attributes:
        fitted: The classifier, fitted on the whole training part.
        setting: Number of the setting, from 0.
        inner: Each metric on each inner fold, with this setting.
        thresholds: The threshold for each metric that needs one.
    """

    fitted: Fitted
    setting: int
    inner: dict[str, list[float]]
    thresholds: dict[str, float]


@dataclass(frozen=True, eq=False)
class Inner:
    """A training part and its inner folds, which are the same for every strategy.

    Attributes:
        part: All training rows.
        tests: Test rows of each inner fold, bool of shape (rows,).
        trains: Training rows of each inner fold.
        seed: Seed of the split. It is the same for every strategy, so that random variation
            partly cancels out in their differences.
    """

    part: Part
    tests: list[np.ndarray]
    trains: list[Part]
    seed: np.random.SeedSequence

    @classmethod
    def of(cls, part: Part, together: np.ndarray, seed: np.random.SeedSequence) -> Inner:
        """Assign the rows of `part` to folds; rows with equal numbers in `together` share one."""
        is_rare = part.y == part.rare
        groups = len(np.unique(together[is_rare]))
        folds = int(min(INNER_FOLDS, max(2, min(is_rare.sum() // 2, groups))))
        fold = deal(part.y, together, folds, np.random.default_rng(child_seed(seed, 0)))
        tests = [fold == f for f in range(folds)]
        if any(is_rare[test].all() or not is_rare[test].any() for test in tests):
            raise DataError(
                375,
                "groups leave an inner fold without rows of the class, or without other rows: use "
                "smaller groups",
            )
        return cls(part, tests, [part.rows(~test) for test in tests], seed)


def tune(inner: Inner, strategy: Strategy, estimator: Estimator, metrics: Sequence[str]) -> Tuned:
    """Choose a setting and thresholds on inner folds of a part, then fit on all of it."""
    part, tests = inner.part, inner.tests
    is_rare = part.y == part.rare
    settings = strategy.settings or len(estimator.settings)
    p = np.full((settings, len(part)), np.nan)
    seeds = [child_seed(inner.seed, 1, f) for f in range(len(tests) + 1)]
    for test, train, seed in zip(tests, inner.trains, seeds, strict=False):
        tunable = strategy.build(train, estimator, seed)
        for setting in range(settings):
            fitted = natural(tunable(setting), train)
            p[setting, test] = fitted.predict_proba(part.places[test])[:, part.rare]
    sign = METRICS[metrics[0]].sign
    weights = [None if part.weight is None else part.weight[t] for t in tests]
    each = list(zip(tests, weights, strict=True))
    values = [
        np.mean([sign * rank(is_rare[t], p[s, t], metrics[0], w) for t, w in each])
        for s in range(settings)
    ]
    setting = int(np.argmax(values))
    found = p[setting]
    thresholds = {
        name: best_threshold(is_rare, found, name, part.cost, part.weight)
        for name in DECIDED
        if name != "cost" or part.cost is not None
    }
    scores = {
        name: [score(is_rare[t], found[t], thresholds, part.cost, w)[name] for t, w in each]
        for name in metrics
    }
    tunable = strategy.build(part, estimator, seeds[-1])
    return Tuned(natural(tunable(setting), part), setting, scores, thresholds)
