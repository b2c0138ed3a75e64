"""One remedy on one split: folds, tuning, and its scores."""

from __future__ import annotations

import hashlib
import json
import re
import time
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from synthgen.device import child_seed
from synthgen.errors import DataError
from synthgen.features import Places
from synthgen.judges import Fitted, Judge, NotApplicable, Part
from synthgen.scoring import DECIDED, METRICS, best_threshold, curves, rank, score
from synthgen.selection import deal
from synthgen.strategies import Strategy
from synthgen.table import Schema, Table, class_position

LEAST_ROWS = 6  # fewer of the class cannot be compared
INNER_FOLDS = 3
# What a synthesizer says of classes, which are codes to it.
_CODES = re.compile(r"the rows of \d+ \(\d+\)(, \d+ \(\d+\))*")
SHARES = (0.25, 0.5, 0.75)  # of the training part, for the learning curve


def label_of(table: Table, label: Any = None) -> Any:
    """The class that matters, as the table has it; None: the rarest."""
    counts, classes = table.counts, table.schema.classes
    if label is None:
        return min((c for c in classes if counts[c]), key=lambda c: counts[c])
    return classes[class_position(classes, label)]


def part_of(
    table: Table,
    label: Any = None,
    cost: tuple[float, float] | None = None,
    schema: Schema | None = None,
) -> tuple[Any, Part]:
    """The class that matters and all rows of a table as one part.

    Args:
        table: All rows.
        label: The class; None: the rarest.
        cost: See `Part`.
        schema: What the user said of the table.

    Raises:
        DataError: No column can be learned from, or the class has too few rows.
    """
    counts = table.counts
    there = [c for c in table.schema.classes if counts[c]]
    known = Places.of(table.schema)
    if not known.columns:
        raise DataError(372, "no column can be learned from: all are IDs, free text or constant")
    label = label_of(table, label)
    # Classes that the table names and does not hold have no code.
    code = np.full(len(table.schema.classes), -1)
    code[[table.schema.classes.index(c) for c in there]] = np.arange(len(there))
    features = table.frame.drop(columns=[table.schema.target])
    part = Part(
        features,
        known.matrix(features),
        code[table.labels],
        known,
        len(there),
        there.index(label),
        cost,
        None
        if schema is None
        else Schema(tuple(c for c in schema.columns if c.name != table.schema.target)),
    )
    return label, part


# --- splits -------------------------------------------------------------------------------------


def together_of(part: Part, groups: Any = None) -> np.ndarray:
    """Which rows share a fold: a number for each row.

    Without `groups`, equal rows: one of them in the training part would give the others away. Where
    most rows repeat, that says nothing, and every row is its own.
    """
    if groups is not None:
        found = pd.factorize(pd.Series(np.asarray(groups)), use_na_sentinel=False)[0]
        if len(found) != len(part):
            raise DataError(
                374, f"groups has {len(found)} rows and X has {len(part)}: give one for each row"
            )
        return found
    cells = pd.util.hash_pandas_object(pd.DataFrame(part.places), index=False)
    found = pd.factorize(cells)[0]
    return found if found.max() + 1 > len(found) / 2 else np.arange(len(found))


def outer_splits(
    part: Part, together: np.ndarray, folds: int, repeats: int, seed: np.random.SeedSequence
) -> list[np.ndarray]:
    """The test rows of each split, bool of shape (rows,), repeat by repeat.

    Raises:
        DataError: Groups are such that a fold lacks the class, or holds nothing else.
    """
    found = []
    is_rare = part.y == part.rare
    for repeat in range(repeats):
        fold = deal(part.y, together, folds, np.random.default_rng(child_seed(seed, 1, repeat)))
        for f in range(folds):
            test = fold == f
            if is_rare[test].all() or not is_rare[test].any() or is_rare[~test].sum() < 3:
                raise DataError(
                    375,
                    f"groups leave fold {f + 1} of {folds} without rows of both kinds: "
                    f"use fewer folds, or smaller groups",
                )
            found.append(test)
    return found


# --- one remedy on one split --------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Tuned:
    """A remedy with the setting and the thresholds that inner folds chose.

    Attributes:
        fitted: On the whole training part.
        setting: Number of the setting.
        inner: Metrics on each inner fold, with that setting.
        thresholds: Of the metrics that need one.
    """

    fitted: Fitted
    setting: int
    inner: dict[str, list[float]]
    thresholds: dict[str, float]


@dataclass(frozen=True, eq=False)
class Inner:
    """A training part and its inner folds, which are the same for every remedy.

    Attributes:
        part: All training rows.
        tests: Test rows of each inner fold, bool of shape (rows,).
        trains: The other rows of each.
        seed: Of the split; what is drawn by chance is the same for every remedy, so that luck
            cancels out in their differences.
    """

    part: Part
    tests: list[np.ndarray]
    trains: list[Part]
    seed: np.random.SeedSequence

    @classmethod
    def of(cls, part: Part, together: np.ndarray, seed: np.random.SeedSequence) -> Inner:
        """Deal the rows of `part`; those with the same number in `together` share a fold.

        Raises:
            DataError: Groups leave a fold without rows of both kinds.
        """
        is_rare = part.y == part.rare
        groups = len(np.unique(together[is_rare]))
        folds = int(min(INNER_FOLDS, max(2, min(is_rare.sum() // 2, groups))))
        fold = deal(part.y, together, folds, np.random.default_rng(child_seed(seed, 0)))
        tests = [fold == f for f in range(folds)]
        if any(is_rare[test].all() or not is_rare[test].any() for test in tests):
            raise DataError(
                375, "groups leave an inner fold without rows of both kinds: use smaller groups"
            )
        return cls(part, tests, [part.rows(~test) for test in tests], seed)


def tune(inner: Inner, strategy: Strategy, judge: Judge, metrics: Sequence[str]) -> Tuned:
    """Choose a setting and thresholds on inner folds of a part, then fit on all of it.

    Args:
        inner: The part and its folds.
        strategy, judge: What to tune.
        metrics: The first chooses the setting; all are told for each inner fold.

    Raises:
        NotApplicable: The remedy cannot work here.
    """
    part, tests = inner.part, inner.tests
    is_rare = part.y == part.rare
    settings = len(judge.settings)
    p = np.full((settings, len(part)), np.nan)
    seeds = [child_seed(inner.seed, 1, f) for f in range(len(tests) + 1)]
    built = strategy.build_all([*inner.trains, part], judge, seeds)
    for test in tests:
        tunable = next(built)
        for setting in range(settings):
            p[setting, test] = tunable(setting).predict_proba(part.places[test])[:, part.rare]
    sign = METRICS[metrics[0]].sign
    values = [
        np.mean([sign * rank(is_rare[t], p[s, t], metrics[0]) for t in tests])
        for s in range(settings)
    ]
    setting = int(np.argmax(values))
    found = p[setting]
    thresholds = {
        name: best_threshold(is_rare, found, name, part.cost)
        for name in DECIDED
        if name != "cost" or part.cost is not None
    }
    scores = {
        name: [score(is_rare[t], found[t], thresholds, part.cost)[name] for t in tests]
        for name in metrics
    }
    return Tuned(next(built)(setting), setting, scores, thresholds)


@dataclass(frozen=True, eq=False)
class Plan:
    part: Part
    together: np.ndarray
    judge: Judge
    metric: str
    decision: str
    strategies: list[Strategy]
    tests: list[np.ndarray]
    seed: np.random.SeedSequence
    groups: np.ndarray | None

    def fingerprint(self) -> str:
        """Of all that decides what the parts of the comparison are; not of who takes part."""
        digest = hashlib.sha256()
        for array in (self.part.places, self.part.y, self.together, *self.tests):
            digest.update(np.ascontiguousarray(array).tobytes())
        judge = [self.judge.name, repr(self.judge.model), repr(self.judge.settings)]
        seed = [str(self.seed.entropy), str(self.seed.spawn_key)]
        by = None if self.groups is None else self.groups.tolist()
        plain = [*judge, self.metric, self.decision, repr(self.part.cost), *seed, by]
        plain.append(version("synthgen"))
        digest.update(json.dumps(plain).encode())
        return digest.hexdigest()


def task(
    plan: Plan, split: int, strategies: Sequence[Strategy], threads: int | None
) -> list[dict[str, Any]]:
    """Remedies that share a synthesizer, on one split, as plain values."""
    limits = nullcontext() if threads is None else threadpool_limits(threads)
    with limits:
        test, seed = plan.tests[split], child_seed(plan.seed, 2, split)
        inner = Inner.of(plan.part.rows(~test), plan.together[~test], seed)
        return [_tried(plan, split, inner, strategy) for strategy in strategies]


def _tried(plan: Plan, split: int, inner: Inner, strategy: Strategy) -> dict[str, Any]:
    started = time.perf_counter()
    found: dict[str, Any] = {"strategy": strategy.name, "split": split}
    found["remedy"] = strategy.summary
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if reason := strategy.missing():
            found["reason"] = reason
        else:
            try:
                found |= _judged_on(plan, split, inner, strategy)
            except NotApplicable as error:
                found["reason"] = str(error)
            # Anything can go wrong in somebody's sampler: the others go on, and it is told.
            except Exception as error:
                if strategy.name == "nothing":
                    raise
                found["reason"] = f"{type(error).__name__}: {error}"
    notes = {_CODES.sub("them", str(w.message).partition("\n")[0]) for w in caught}
    found["notes"] = sorted(notes)[:3]
    found["seconds"] = time.perf_counter() - started
    return found


def _judged_on(plan: Plan, split: int, inner: Inner, strategy: Strategy) -> dict[str, Any]:
    test = plan.tests[split]
    tuned = tune(inner, strategy, plan.judge, (plan.metric, plan.decision))
    is_rare = plan.part.y[test] == plan.part.rare
    places, cost = plan.part.places[test], plan.part.cost
    p = tuned.fitted.predict_proba(places)[:, plan.part.rare]
    found: dict[str, Any] = {
        "setting": tuned.setting,
        "inner": tuned.inner,
        "thresholds": tuned.thresholds,
        "scores": score(is_rare, p, tuned.thresholds, cost),
        "curves": curves(is_rare, p, cost),
    }
    if plan.groups is not None:
        found["by"] = _by_group(plan.groups[test], is_rare, p, plan.metric)
    if strategy.name == "nothing":
        half = dict.fromkeys(DECIDED, 0.5)
        found["at_half"] = score(is_rare, p, half, cost)
        found["thinned"] = _thinned(plan, inner, strategy, tuned.setting, test)
    return found


def _by_group(
    groups: np.ndarray, is_rare: np.ndarray, p: np.ndarray, metric: str
) -> dict[str, float]:
    found = {}
    for name in np.unique(groups):
        there = groups == name
        if is_rare[there].any() and not is_rare[there].all():
            found[str(name)] = rank(is_rare[there], p[there], metric)
    return found


def _thinned(
    plan: Plan, inner: Inner, strategy: Strategy, setting: int, test: np.ndarray
) -> list[float]:
    """The metric of doing nothing with fewer training rows, at each of `SHARES`."""
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
        fewer = strategy.build(train.rows(kept), plan.judge, child_seed(seed, 4))(setting)
        p = fewer.predict_proba(plan.part.places[test])[:, train.rare]
        found.append(rank(plan.part.y[test] == train.rare, p, plan.metric))
    return found
