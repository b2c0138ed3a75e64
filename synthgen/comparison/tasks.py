"""The unit of work of a comparison: strategies that share a synthesizer, on one split.

A task takes a `Plan` and returns plain values, so that it can run in another process and its result
can be stored in a file.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from synthgen.comparison.parts import Part, thinned
from synthgen.comparison.strategies import Strategy
from synthgen.comparison.tuning import INNER_FOLDS, Inner, tune
from synthgen.model_selection.estimators import Estimator, NotApplicable
from synthgen.model_selection.scoring import DECIDED, adjusted_rank, curves, score
from synthgen.seeds import child_seed

# Names of classes in a synthesizer's warning. They are codes here, which mean nothing to a user.
_CODES = re.compile(r"the rows of \d+ \(\d+\)(, \d+ \(\d+\))*")
SHARES = (0.25, 0.5, 0.75)  # of the training part, for the learning curve


@dataclass(frozen=True, eq=False)
class Plan:
    """The plan of a comparison, made before the first fit.

    Attributes:
        part: All rows.
        together: Group number of each row, shape (rows,); rows of a group are in the same fold.
        estimator: The classifier that all strategies use.
        metric: Name of the metric for tuning and ranking.
        decision: Name of the metric for decisions, such as "recall_at_5pct" or "cost".
        strategies: All strategies except "threshold", whose scores follow from those of "nothing".
        tests: For each split, a mask of its test rows, bool of shape (rows,).
        seed: Seed from which the seeds of all splits are derived.
        groups: Value of the column `by` in each row, shape (rows,). None: there is no such column.
    """

    part: Part
    together: np.ndarray
    estimator: Estimator
    metric: str
    decision: str
    strategies: list[Strategy]
    tests: list[np.ndarray]
    seed: np.random.SeedSequence
    groups: np.ndarray | None

    def fingerprint(self) -> str:
        """Hash of everything that determines splits and results, except the strategies."""
        digest = hashlib.sha256()
        for array in (self.part.places, self.part.y, self.together, *self.tests):
            digest.update(np.ascontiguousarray(array).tobytes())
        estimator = [self.estimator.name, repr(self.estimator.model), repr(self.estimator.settings)]
        seed = [str(self.seed.entropy), str(self.seed.spawn_key)]
        by = None if self.groups is None else self.groups.tolist()
        plain = [*estimator, self.metric, self.decision, repr(self.part.cost), *seed, by]
        plain.append(version("synthgen"))
        digest.update(json.dumps(plain).encode())
        return digest.hexdigest()

    def thinned(self, rows: int) -> Plan:
        """Leave out rows of frequent classes at random, so that at most `rows` are left."""
        kept = thinned(self.part, rows, np.random.default_rng(child_seed(self.seed, 4)))
        if len(kept) == len(self.part):
            return self
        part = self.part.rows(kept)
        weight = (self.part.counts / np.maximum(part.counts, 1))[part.y]
        return replace(
            self,
            part=replace(part, weight=weight),
            together=self.together[kept],
            tests=[test[kept] for test in self.tests],
            groups=None if self.groups is None else self.groups[kept],
        )


def task(
    plan: Plan, split: int, strategies: Sequence[Strategy], threads: int
) -> list[dict[str, Any]]:
    """Run strategies that share a synthesizer on one split; return plain values."""
    with threadpool_limits(threads):
        test, seed = plan.tests[split], child_seed(plan.seed, 2, split)
        inner = Inner.of(plan.part.rows(~test), plan.together[~test], seed)
        return [_tried(plan, split, inner, strategy) for strategy in strategies]


def rehearse(plan: Plan, strategies: Sequence[Strategy], threads: int) -> dict[str, float]:
    """Estimate the seconds that strategies which share a synthesizer take on one split."""
    with threadpool_limits(threads), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {strategy.name: _seconds(plan, strategy) for strategy in strategies}


def _seconds(plan: Plan, strategy: Strategy) -> float:
    if strategy.missing():
        return 0.0
    settings = strategy.settings or len(plan.estimator.settings)
    marks = [time.perf_counter()]
    # A strategy that cannot be used says so when it is tried; until then it takes no time.
    with suppress(Exception):
        built = strategy.build(plan.part, plan.estimator, child_seed(plan.seed, 5))
        for setting in range(min(settings, 2)):
            built(setting).predict_proba(plan.part.places)
            marks.append(time.perf_counter())
    first, again = [*np.diff(marks).tolist(), 0.0, 0.0][:2]
    smaller = len(SHARES) if strategy.name == "nothing" else 0
    return (INNER_FOLDS + 1 + smaller) * first + INNER_FOLDS * (settings - 1) * again


def _tried(plan: Plan, split: int, inner: Inner, strategy: Strategy) -> dict[str, Any]:
    started = time.perf_counter()
    found: dict[str, Any] = {"strategy": strategy.name, "split": split}
    found |= {"summary": strategy.summary, "rows": len(plan.part)}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if reason := strategy.missing():
            found["reason"] = reason
        else:
            try:
                found |= _scored(plan, split, inner, strategy)
            except NotApplicable as error:
                found["reason"] = str(error)
            # A user's sampler can fail in any way: report the error and run the other strategies.
            except Exception as error:
                if strategy.name == "nothing":
                    raise
                found["reason"] = f"{type(error).__name__}: {error}"
    notes = {_CODES.sub("them", str(w.message).partition("\n")[0]) for w in caught}
    found["notes"] = sorted(notes)[:3]
    found["seconds"] = time.perf_counter() - started
    return found


def _scored(plan: Plan, split: int, inner: Inner, strategy: Strategy) -> dict[str, Any]:
    test = plan.tests[split]
    tuned = tune(inner, strategy, plan.estimator, (plan.metric, plan.decision))
    is_rare = plan.part.y[test] == plan.part.rare
    places, cost, weight = plan.part.places[test], plan.part.cost, _weight(plan, test)
    p = tuned.fitted.predict_proba(places)[:, plan.part.rare]
    found: dict[str, Any] = {
        "setting": tuned.setting,
        "inner": tuned.inner,
        "thresholds": tuned.thresholds,
        "scores": score(is_rare, p, tuned.thresholds, cost, weight),
        "curves": curves(is_rare, p, cost, weight),
    }
    if plan.groups is not None:
        found["by"] = _by_group(plan.groups[test], is_rare, p, plan.metric, weight)
    if strategy.name == "nothing":
        half = dict.fromkeys(DECIDED, 0.5)
        found["at_half"] = score(is_rare, p, half, cost, weight)
        found["thinned"] = _thinned(plan, inner, strategy, tuned.setting, test)
    return found


def _weight(plan: Plan, test: np.ndarray) -> np.ndarray | None:
    return None if plan.part.weight is None else plan.part.weight[test]


def _by_group(
    groups: np.ndarray, is_rare: np.ndarray, p: np.ndarray, metric: str, weight: np.ndarray | None
) -> dict[str, float]:
    found = {}
    for name in np.unique(groups):
        there = groups == name
        if is_rare[there].any() and not is_rare[there].all():
            own = None if weight is None else weight[there]
            found[str(name)] = adjusted_rank(is_rare[there], p[there], metric, own)
    return found


def _thinned(
    plan: Plan, inner: Inner, strategy: Strategy, setting: int, test: np.ndarray
) -> list[float]:
    """Score doing nothing with fewer training rows, for each of `SHARES`."""
    train, seed = inner.part, inner.seed
    rng = np.random.default_rng(child_seed(seed, 3))
    order = rng.permutation(len(train))
    place = np.empty(len(train))
    for c in range(train.classes):
        rows = order[train.y[order] == c]
        place[rows] = (np.arange(len(rows)) + 0.5) / max(len(rows), 1)
    found = []
    for share in SHARES:
        kept = np.flatnonzero(place < share)
        if (train.y[kept] == train.rare).sum() < 2:
            found.append(float("nan"))
            continue
        fewer = strategy.build(train.rows(kept), plan.estimator, child_seed(seed, 4))(setting)
        p = fewer.predict_proba(plan.part.places[test])[:, train.rare]
        is_rare = plan.part.y[test] == train.rare
        found.append(adjusted_rank(is_rare, p, plan.metric, _weight(plan, test)))
    return found
