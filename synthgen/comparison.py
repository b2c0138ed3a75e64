"""Which remedy for a rare class is worth having on this table, and how sure that is."""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed, effective_n_jobs
from threadpoolctl import threadpool_limits

from synthgen.device import RandomState, child_seed, seed_sequence
from synthgen.errors import DataError, UsageError
from synthgen.features import Places
from synthgen.files import write_json
from synthgen.scoring import DECIDED, METRICS, RANKED, Metric, best_threshold, curves, rank, score
from synthgen.selection import (
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
from synthgen.strategies import Fitted, Judge, NotApplicable, Part, Strategy, pick
from synthgen.table import Schema, Table, class_position

SPLITS = 10  # of the outer loop, unless asked otherwise
INNER_FOLDS = 3
TEST_ROWS = 5  # rare rows that a test part should hold
SHARES = (0.25, 0.5, 0.75)  # of the training part, for the learning curve
RANKING, DECISION = "average_precision", "recall_at_5pct"


# --- what comes out -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Result:
    """One metric of one remedy.

    Attributes:
        strategy, family, metric: What.
        mean: Over the splits; pooling the rows of splits would mix their scales.
        difference: To `against`, on the same splits; positive is better, whatever the metric.
        interval: Of the difference; holds for all remedies at once.
        against: "threshold" for what is decided, "nothing" for all else.
        values: Of each split.
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
    """What the comparison says.

    Attributes:
        outcome: "helps", "no worthwhile gain" or "not enough data to tell".
        strategy: The one to use; `against` where none is established.
        metric, against: By what, and compared with what.
        difference: What choosing on the training part alone gained on the test parts, which took no
            part in it: not the figure of the row that won.
        interval: 95 % interval of that.
        chosen: How often each remedy was chosen that way.
        rows: Rows that would tell, where there are too few.
        text: All of it in words.
    """

    outcome: str
    strategy: str
    metric: str
    against: str
    difference: float
    interval: tuple[float, float]
    chosen: dict[str, int]
    rows: int | None
    text: str


@dataclass(frozen=True)
class RealRows:
    """What more real rows would be worth: an estimate, from training on fewer.

    Attributes:
        shares, means: Of the training part, and the metric of doing nothing on it.
        doubling: What doubling the rows was worth, on average over the curve.
        interval: 95 % interval of that; that the curve goes on like this is an assumption.
    """

    shares: tuple[float, ...]
    means: tuple[float, ...]
    doubling: float
    interval: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Every remedy on the same splits of a table, and what follows.

    Attributes:
        target, label: The class that matters, against all others.
        rows, rare: Of the table, and of the class.
        estimator, metric, decision, cost: How remedies are judged.
        folds, repeats, splits: As planned, and how many splits were done.
        results: For each remedy and metric, in order of simplicity.
        verdict: "ranking" against nothing and "decision" against the threshold.
        real_rows: See `RealRows`.
        pruned: Remedies that the time budget left out, each with the reason.
        not_applicable: Remedies that cannot work on this table, each with the reason.
        by: Metric of each remedy in each group of the column that was asked for.
        curves: What a page draws, of each remedy; see `synthgen.scoring.curves`.
        settings: How often each setting of the classifier was chosen, of each remedy.
        seconds: Of each remedy, over all splits.
        notes: What warnings said meanwhile.
        seed: The same call with it gives the same results.
    """

    target: Hashable
    label: Any
    rows: int
    rare: int
    estimator: str
    metric: str
    decision: str
    cost: tuple[float, float] | None
    folds: int
    repeats: int
    splits: int
    results: tuple[Result, ...]
    verdict: dict[str, Verdict]
    real_rows: RealRows | None
    pruned: dict[str, str]
    not_applicable: dict[str, str]
    by: dict[str, dict[str, float]]
    curves: dict[str, dict[str, list[Any]]]
    settings: dict[str, dict[int, int]]
    seconds: dict[str, float]
    notes: tuple[str, ...]
    seed: int

    def result(self, strategy: str, metric: str | None = None) -> Result:
        """The result of that name.

        Raises:
            UsageError: There is none.
        """
        metric = self.metric if metric is None else metric
        for found in self.results:
            if (found.strategy, found.metric) == (strategy, metric):
                return found
        raise UsageError(295, f"there is no result {strategy!r}, {metric!r}")

    @property
    def strategies(self) -> list[str]:
        """Names of the remedies with results, in order of simplicity."""
        return list(dict.fromkeys(r.strategy for r in self.results))

    def to_json(self) -> dict[str, Any]:
        """All of it in plain values."""
        return asdict(self) | {"label": str(self.label), "target": str(self.target)}

    def summary_lines(self) -> list[str]:
        """Both verdicts and what they rest on, in words."""
        lines = [
            f"class {self.label!r} of {self.target}: {self.rare:,} of {self.rows:,} rows; "
            f"{self.estimator}, {self.splits} splits, natural shares in every test part"
        ]
        lines += [f"{kind}: {v.text}" for kind, v in self.verdict.items()]
        if self.real_rows is not None:
            low, high = self.real_rows.interval
            lines.append(
                f"more real rows (an estimate): twice as many would be worth "
                f"{self.real_rows.doubling:+.3f} {METRICS[self.metric].words} "
                f"[{low:+.3f}, {high:+.3f}]"
            )
        lines += [f"not applicable: {name}: {why}" for name, why in self.not_applicable.items()]
        lines += [f"left out: {name}: {why}" for name, why in self.pruned.items()]
        return lines


# --- the public door ----------------------------------------------------------------------------


def compare(
    X: Any,
    y: Any,
    *,
    label: Any = None,
    strategies: Any = "default",
    estimator: Any = "hgb",
    metric: str = RANKING,
    folds: int = 5,
    repeats: int | None = None,
    groups: Any = None,
    by: Hashable | None = None,
    cost: Mapping[str, float] | None = None,
    time_budget: float | None = None,
    schema: Schema | None = None,
    n_jobs: int | None = None,
    random_state: RandomState = None,
    resume: str | os.PathLike[str] | None = None,
    verbose: bool = False,
) -> Comparison:
    """Try every remedy for the rare class on the same splits, and say which is worth having.

    In each split, everything is learned from the training part: levels and medians, synthesizers,
    amounts, settings of the classifier (as many for each remedy, on the same inner folds), and
    thresholds, from rows of the training part that the model at hand has not seen. Equal rows share
    a fold, unless most rows repeat. Test parts keep the natural shares of the classes.

    Args:
        X: Frame or array, shape (rows, features): text, dates and missing cells are taken.
        y: Classes, shape (rows,).
        label: The class that matters; None: the rarest. It is judged against all others.
        strategies: "default", "all", or a list of names, import paths or objects: samplers with
            fit_resample, classifiers with predict_proba. See `synthgen.strategies.STRATEGIES`.
        estimator: The classifier that remedies are tried with: "hgb" (histogram boosting), "rf",
            "lr", an import path, or a classifier.
        metric: What remedies are tuned and ranked by; one that needs no threshold.
        folds, repeats: Of the outer loop. `folds` is an upper bound: a test part should hold 5 rows
            of the class. None: as many repeats as make 10 splits.
        groups: Rows of a group share a fold, shape (rows,).
        by: Column of `X`: the metric is also told for each of its values.
        cost: {"fn": money lost by a missed row of the class, "fp": by a false alarm}; the decision
            is then judged in money.
        time_budget: Seconds. After each split, remedies that do worst on inner folds are left out
            until the rest fits; `nothing` stays.
        schema: What the columns are, in place of a guess.
        n_jobs: Processes (joblib); None: 1, or what a joblib context says.
        random_state: The same number gives the same results, for any `n_jobs`.
        resume: A JSON file that keeps every finished part, and goes on from there if it exists.
        verbose: Show progress, with the time left, on standard error.

    Returns:
        A `Comparison`; its `verdict` is the answer.

    Raises:
        DataError: The table cannot be used as it is, or has less than 6 rows of the class.
        UsageError: An argument cannot be what it is, or `resume` is of another comparison.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> ill = np.repeat([0, 1], [130, 20])
        >>> X = pd.DataFrame({"dose": rng.normal(ill * 9), "age": rng.normal(size=150)})
        >>> found = compare(X, ill, strategies=["class_weight"], estimator="lr", folds=2,
        ...                 repeats=2, random_state=0)
        >>> found.verdict["ranking"].outcome, found.strategies
        ('no worthwhile gain', ['nothing', 'threshold', 'class_weight'])
    """
    table = Table.of_xy(X, y, schema=schema)
    label, part = part_of(table, label, _checked_cost(cost))
    judge, chosen = Judge.of(estimator), pick(strategies)
    if metric not in RANKED:
        raise UsageError(296, f"metric {metric!r}: use one of {', '.join(RANKED)}")
    if by is not None and by not in part.frame.columns:
        raise UsageError(297, f"by: there is no column {by!r}")
    if time_budget is not None and not 0 < time_budget < math.inf:
        raise UsageError(298, f"time_budget must be seconds above 0, however: {time_budget!r}")
    entropy = seed_sequence(random_state)
    seed = int(entropy.generate_state(1)[0]) if random_state is None else random_state
    root = entropy if random_state is not None else seed_sequence(seed)
    rare_rows = int(part.counts[part.rare])
    folds, repeats = _plan(folds, repeats, rare_rows)
    together = together_of(part, groups)
    plan = _Plan(
        part,
        together,
        judge,
        metric,
        "cost" if part.cost is not None else DECISION,
        [s for s in chosen if s.name != "threshold"],
        outer_splits(part, together, folds, repeats, root),
        root,
        None if by is None else part.frame[by].astype(str).to_numpy(),
    )
    record = _run(plan, n_jobs, time_budget, resume, verbose)
    return _concluded(plan, record, table, label, folds, repeats, seed, chosen)


def part_of(
    table: Table, label: Any = None, cost: tuple[float, float] | None = None
) -> tuple[Any, Part]:
    """The class that matters and all rows of a table as one part.

    Raises:
        DataError: No column can be learned from, or the class has too few rows.
    """
    counts = table.counts
    there = [c for c in table.schema.classes if counts[c]]
    known = Places.of(table.schema)
    if not known.columns:
        raise DataError(364, "no column can be learned from: all are IDs, free text or constant")
    label = (
        min(there, key=lambda c: counts[c])
        if label is None
        else table.schema.classes[class_position(table.schema.classes, label)]
    )
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
    )
    return label, part


def _checked_cost(cost: Mapping[str, float] | None) -> tuple[float, float] | None:
    if cost is None:
        return None
    found = dict(cost)
    if set(found) != {"fn", "fp"} or not all(
        isinstance(v, int | float) and not isinstance(v, bool) and 0 < v < math.inf
        for v in found.values()
    ):
        raise UsageError(
            299, f'cost must be {{"fn": above 0, "fp": above 0}}, such as fn=500, however: {found}'
        )
    return float(found["fn"]), float(found["fp"])


def _plan(folds: int, repeats: int | None, rare: int) -> tuple[int, int]:
    """Folds such that a test part holds enough rare rows, and repeats to make up for fewer."""
    for name, value, least in (("folds", folds, 2), ("repeats", repeats, 1)):
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least
        ):
            raise UsageError(296, f"{name} must be a whole number from {least}, however: {value!r}")
    if rare < 6:
        raise DataError(
            365, f"the class has {rare} rows: below 6 nothing can be compared; collect more"
        )
    used = min(folds, max(2, rare // TEST_ROWS))
    splits = SPLITS if repeats is None else folds * repeats
    return used, max(1, math.ceil(splits / used))


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
                366, f"groups has {len(found)} rows and X has {len(part)}: give one for each row"
            )
        return found
    cells = pd.util.hash_pandas_object(pd.DataFrame(part.places), index=False)
    found = pd.factorize(cells)[0]
    return found if found.max() + 1 > len(found) / 2 else np.arange(len(found))


def deal(y: np.ndarray, together: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    """A fold for each row: groups stay whole, and classes are spread as evenly as that allows.

    Args:
        y: Class codes from 0, shape (rows,).
        together: Group of each row, shape (rows,).
        folds: How many.
        rng: Draws.

    Example:
        >>> deal(np.array([0, 0, 0, 0, 1, 1]), np.arange(6), 2, np.random.default_rng(0)).tolist()
        [1, 0, 0, 1, 0, 1]
    """
    counts = np.bincount(y)
    load = np.zeros((folds, len(counts)))
    fold = np.empty(len(y), dtype=np.int64)
    _, group, size = np.unique(together, return_inverse=True, return_counts=True)
    shuffled = rng.permutation(len(size))
    order = np.argsort(group, kind="stable")
    start = np.cumsum(size) - size
    for g in shuffled[np.argsort(-size[shuffled], kind="stable")]:
        if size[g] == 1:
            break
        rows = order[start[g] : start[g] + size[g]]
        held = np.bincount(y[rows], minlength=len(counts))
        rarest = min(np.flatnonzero(held), key=lambda c: counts[c])
        chosen = int(np.lexsort((rng.random(folds), load.sum(axis=1), load[:, rarest]))[0])
        fold[rows] = chosen
        load[chosen] += held
    single = rng.permutation(np.flatnonzero(size[group] == 1))
    for c in range(len(counts)):
        rows = single[y[single] == c]
        aim = (load[:, c].sum() + len(rows)) / folds
        quota = np.maximum(aim - load[:, c], 0)
        quota *= len(rows) / max(quota.sum(), 1e-9)
        whole = np.floor(quota + 1e-9).astype(np.int64)
        left = len(rows) - whole.sum()
        order_of_rest = np.lexsort((rng.random(folds), load.sum(axis=1), -(quota - whole)))
        whole[order_of_rest[:left]] += 1
        fold[rows] = np.repeat(np.arange(folds), whole)
        load[:, c] += whole
    return fold


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
                    367,
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
        fitted: On the whole training part; None where it was not asked for.
        setting: Number of the setting.
        inner: Metrics on each inner fold, with that setting.
        thresholds: Of the metrics that need one.
    """

    fitted: Fitted | None
    setting: int
    inner: dict[str, list[float]]
    thresholds: dict[str, float]


def tune(
    part: Part,
    together: np.ndarray,
    strategy: Strategy,
    judge: Judge,
    metrics: Sequence[str],
    seed: np.random.SeedSequence,
) -> Tuned:
    """Choose a setting and thresholds on inner folds of a part, then fit on all of it.

    The inner folds are the same for every remedy, because they come from `seed` alone.

    Args:
        part: Training rows.
        together: Which of them share a fold.
        strategy, judge: What to tune.
        metrics: The first chooses the setting; all are told for each inner fold.
        seed: Of the split.

    Raises:
        NotApplicable: The remedy cannot work here.
    """
    is_rare = part.y == part.rare
    folds = int(min(INNER_FOLDS, max(2, is_rare.sum() // 2)))
    fold = deal(part.y, together, folds, np.random.default_rng(child_seed(seed, 0)))
    own = child_seed(seed, 1, zlib.crc32(strategy.name.encode()))
    settings = len(judge.settings)
    p = np.full((settings, len(part)), np.nan)
    for f in range(folds):
        test = fold == f
        if is_rare[test].all() or not is_rare[test].any():
            raise NotApplicable("groups leave an inner fold without rows of both kinds")
        tunable = strategy.build(part.rows(~test), judge, child_seed(own, f))
        for setting in range(settings):
            p[setting, test] = tunable(setting).predict_proba(part.places[test])[:, part.rare]
    tests = [fold == f for f in range(folds)]
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
    inner = {
        name: [score(is_rare[t], found[t], thresholds, part.cost)[name] for t in tests]
        for name in metrics
    }
    fitted = strategy.build(part, judge, child_seed(own, folds))(setting)
    return Tuned(fitted, setting, inner, thresholds)


@dataclass(frozen=True, eq=False)
class _Plan:
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
        plain = [*judge, self.metric, self.decision, repr(self.part.cost), *seed]
        digest.update(json.dumps(plain).encode())
        return digest.hexdigest()


def _task(plan: _Plan, split: int, strategy: Strategy, threads: int | None) -> dict[str, Any]:
    """One remedy on one split, as plain values."""
    started = time.perf_counter()
    found: dict[str, Any] = {"strategy": strategy.name, "split": split}
    limits = nullcontext() if threads is None else threadpool_limits(threads)
    with limits, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if reason := strategy.missing():
            found["reason"] = reason
        else:
            try:
                found |= _judged_on(plan, split, strategy)
            except NotApplicable as error:
                found["reason"] = str(error)
            # Anything can go wrong in somebody's sampler: the others go on, and it is told.
            except Exception as error:
                if strategy.name == "nothing":
                    raise
                found["reason"] = f"{type(error).__name__}: {error}"
    found["notes"] = sorted({str(w.message).partition("\n")[0] for w in caught})[:3]
    found["seconds"] = time.perf_counter() - started
    return found


def _judged_on(plan: _Plan, split: int, strategy: Strategy) -> dict[str, Any]:
    test = plan.tests[split]
    seed = child_seed(plan.seed, 2, split)
    train, together = plan.part.rows(~test), plan.together[~test]
    tuned = tune(train, together, strategy, plan.judge, (plan.metric, plan.decision), seed)
    assert tuned.fitted is not None
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
        found["thinned"] = _thinned(plan, train, strategy, tuned.setting, test, seed)
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
    plan: _Plan,
    train: Part,
    strategy: Strategy,
    setting: int,
    test: np.ndarray,
    seed: np.random.SeedSequence,
) -> list[float]:
    """The metric of doing nothing with fewer training rows, at each of `SHARES`."""
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


# --- all of them --------------------------------------------------------------------------------


class _Record:
    """What is finished, kept in a file if one is given; every change is a whole file."""

    def __init__(self, path: str | os.PathLike[str] | None, fingerprint: str) -> None:
        self.path = None if path is None else Path(path)
        self.done: dict[tuple[int, str], dict[str, Any]] = {}
        self.pruned: dict[str, str] = {}
        self.splits: int | None = None  # fewer than planned, where the budget said so
        self.spent = 0.0
        self.fingerprint = fingerprint
        if self.path is not None and self.path.exists():
            try:
                content = json.loads(self.path.read_text(encoding="utf-8"))
                finished = {(d["split"], d["strategy"]): d for d in content["done"]}
                same = content["fingerprint"] == fingerprint
                self.pruned, self.splits = dict(content["pruned"]), content["splits"]
                self.spent = float(content["spent"])
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise UsageError(
                    270,
                    f"{path}: cannot read what was finished: {error!r}: delete it to begin anew",
                ) from error
            if not same:
                raise UsageError(
                    271,
                    f"{path} is of another comparison (table, seed, folds, estimator, metric or "
                    f"cost differ): give the same arguments, or another file",
                )
            self.done = finished

    def add(self, found: dict[str, Any], spent: float) -> None:
        self.done[found["split"], found["strategy"]] = found
        self.spent = spent
        self.write()

    def write(self) -> None:
        if self.path is not None:
            content = {
                "fingerprint": self.fingerprint,
                "splits": self.splits,
                "pruned": self.pruned,
                "spent": self.spent,
                "done": list(self.done.values()),
            }
            write_json(self.path, content)


def _run(
    plan: _Plan,
    n_jobs: int | None,
    budget: float | None,
    resume: str | os.PathLike[str] | None,
    verbose: bool,
) -> _Record:
    record = _Record(resume, plan.fingerprint())
    before, started = record.spent, time.perf_counter()
    jobs = effective_n_jobs(n_jobs)
    threads = None if jobs == 1 else max(1, (os.cpu_count() or 1) // jobs)
    # With a budget, what goes on is decided after each split; else all are in one queue.
    rounds = [[i] for i in range(len(plan.tests))]
    if budget is None:
        rounds = [list(range(len(plan.tests)))]
    with _progress(verbose) as show:
        for splits in rounds:
            if record.splits is not None and splits[0] >= record.splits:
                break
            tasks = [
                (split, strategy)
                for split in splits
                for strategy in plan.strategies
                if strategy.name not in record.pruned
                and (split, strategy.name) not in record.done
                and not _failed(record, strategy.name)
            ]
            work = (delayed(_task)(plan, i, strategy, threads) for i, strategy in tasks)
            for found in Parallel(n_jobs=n_jobs, return_as="generator_unordered")(work):
                record.add(found, before + time.perf_counter() - started)
                show(len(record.done), _left(record, plan, jobs), found["strategy"])
            if budget is not None and splits[0] + 1 < len(plan.tests):
                _prune(record, plan, splits[0] + 1, budget, jobs)
    return record


def _failed(record: _Record, name: str) -> bool:
    return any(d["strategy"] == name and "reason" in d for d in record.done.values())


def _seconds(record: _Record, name: str) -> float:
    """Mean seconds of a remedy on a split."""
    found = [d["seconds"] for d in record.done.values() if d["strategy"] == name]
    return float(np.mean(found)) if found else 0.0


def _going(record: _Record, plan: _Plan) -> list[str]:
    names = [s.name for s in plan.strategies]
    return [n for n in names if n not in record.pruned and not _failed(record, n)]


def _left(record: _Record, plan: _Plan, jobs: int) -> tuple[int, float]:
    """Tasks that are left, and their seconds."""
    last = len(plan.tests) if record.splits is None else record.splits
    todo = [
        name
        for split in range(last)
        for name in _going(record, plan)
        if (split, name) not in record.done
    ]
    return len(todo), sum(_seconds(record, name) for name in todo) / jobs


def _prune(record: _Record, plan: _Plan, done: int, budget: float, jobs: int) -> None:
    """Leave out what inner folds say is worst, until the rest fits into the budget."""
    sign = METRICS[plan.metric].sign

    def inner(name: str) -> float:
        found = [d for d in record.done.values() if d["strategy"] == name]
        return float(np.mean([np.mean(d["inner"][plan.metric]) for d in found]))

    while _left(record, plan, jobs)[1] > budget - record.spent:
        others = [n for n in _going(record, plan) if n != "nothing"]
        if len(others) <= 1:
            # What is left is the least that can be compared: fewer splits of it, two at the least.
            each = _left(record, plan, jobs)[1] / (len(plan.tests) - done)
            more = int(max(budget - record.spent, 0) // max(each, 1e-9))
            record.splits = max(2, done + more)
            break
        worst = min(others, key=lambda n: sign * inner(n))
        record.pruned[worst] = (
            f"no time for it: {inner(worst):.3f} {METRICS[plan.metric].words} on inner folds of "
            f"{done} split{'s' * (done > 1)}, nothing {inner('nothing'):.3f}"
        )
    record.write()


@contextmanager
def _progress(verbose: bool) -> Iterator[Any]:
    if not verbose:
        yield lambda done, left, name: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, TextColumn("{task.fields[left]}"), console=Console(file=sys.stderr)
    ) as bar:
        task = bar.add_task("comparing", total=None, left="")

        def show(done: int, left: tuple[int, float], name: str) -> None:
            minutes, seconds = divmod(round(left[1]), 60)
            text = f"about {minutes} min {seconds} s left" if minutes else f"about {seconds} s left"
            bar.update(
                task, completed=done, total=done + left[0], description=f"{name:16}", left=text
            )

        yield show


# --- what follows -------------------------------------------------------------------------------


def _concluded(
    plan: _Plan,
    record: _Record,
    table: Table,
    label: Any,
    folds: int,
    repeats: int,
    seed: Any,
    chosen: list[Strategy],
) -> Comparison:
    splits = len(plan.tests) if record.splits is None else record.splits
    going = _going(record, plan)
    rows = {name: [record.done[i, name] for i in range(splits)] for name in going}
    scores = {name: [d["scores"] for d in found] for name, found in rows.items()}
    scores["threshold"] = scores["nothing"]
    scores["nothing"] = [d["at_half"] for d in rows["nothing"]]
    families = {s.name: s.family for s in chosen}
    names = [s.name for s in chosen if s.name in scores]
    ratio = 1 / (folds - 1)
    results = _results(scores, names, families, ratio, plan.decision)
    both = {
        "ranking": _verdict(plan, rows, scores, names, plan.metric, "nothing", ratio),
        "decision": _verdict(plan, rows, scores, names, plan.decision, "threshold", ratio),
    }
    every = [record.done[key] for key in sorted(record.done)]
    reasons = {
        s.name: next(d["reason"] for d in every if d["strategy"] == s.name and "reason" in d)
        for s in plan.strategies
        if _failed(record, s.name)
    }
    return Comparison(
        target=table.schema.target if table.schema.target is not None else "target",
        label=label,
        rows=len(plan.part),
        rare=int(plan.part.counts[plan.part.rare]),
        estimator=plan.judge.name,
        metric=plan.metric,
        decision=plan.decision,
        cost=plan.part.cost,
        folds=folds,
        repeats=repeats,
        splits=splits,
        results=tuple(results),
        verdict=both,
        real_rows=_real_rows(plan, rows["nothing"], ratio),
        pruned={k: v for k, v in record.pruned.items() if k in families},
        not_applicable=reasons,
        by=_by_means(rows),
        curves={name: _mean_curves(found) for name, found in rows.items()},
        settings={n: dict(Counter(d["setting"] for d in found)) for n, found in rows.items()},
        seconds={n: float(sum(d["seconds"] for d in found)) for n, found in rows.items()},
        notes=tuple(sorted({note for d in every for note in d["notes"]})),
        seed=seed if isinstance(seed, int) else int(plan.seed.generate_state(1)[0]),
    )


def _results(
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
        gains = compare_to(sign * values, sign * values[names.index(against)], ratio=ratio)
        for name, own, gain in zip(names, values, gains, strict=True):
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
    order = {name: place for place, name in enumerate(names)}
    return sorted(found, key=lambda r: order[r.strategy])


def _verdict(
    plan: _Plan,
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
    # Of money nobody knows the unit: the margin is a share of what deciding costs anyway.
    margin = MARGIN * (abs(float(reference.mean())) or 1) if metric == "cost" else MARGIN
    outcome, found = verdict(
        np.array([outer[n] for n in candidates]).reshape(len(candidates), -1),
        reference,
        ratio=ratio,
        rows=len(plan.part),
        margin=margin,
        ceiling=about.sign * about.best,
    )
    # Nested: in each split the inner folds choose, and the test part tells what that was worth.
    source = {against: rows["nothing"]} | {n: rows[n] for n in candidates}
    chosen = []
    for split in range(len(reference)):
        inner = np.array([source[n][split]["inner"][metric] for n in source]) * about.sign
        chosen.append([*source][choose(inner, ratio=1 / (inner.shape[1] - 1))])
    nested = np.array([outer[n][split] for split, n in enumerate(chosen)])
    (gain,) = compare_to(nested[None], reference, ratio=ratio)
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
        outcome.rows,
        len(plan.part),
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
        outcome.rows,
        text,
    )


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
    rows: int | None,
    now: int,
    *,
    hopeful: str,
    highest: float,
) -> str:
    reference = "doing nothing" if against == "nothing" else "moving the threshold alone"
    level_text = f"{reference} ({about.text(level)} {about.words})"

    def signed(value: float) -> str:
        return about.text(value, signed=True)

    at_once = f"{CONFIDENCE:.0%} intervals of all {candidates} remedies at once"
    if not candidates:
        return f"{outcome}: there was no remedy to compare with {level_text}"
    if outcome == HELPS:
        return (
            f"{best} helps: {signed(own.mean)} against {level_text}, between {signed(own.low)} and "
            f"{signed(own.high)} ({at_once}). Choosing a remedy on the training part alone, as it "
            f"has to be done, gained {signed(gain.mean)} [{signed(gain.low)}, {signed(gain.high)}] on rows "
            f"that took no part in it"
        )
    if outcome == NO_GAIN:
        return (
            f"no worthwhile gain over {level_text}: even the most hopeful of {candidates} "
            f"remedies, {hopeful}, gains at most {signed(highest)} ({at_once}; worthwhile is "
            f"{about.text(margin)})"
        )
    assert outcome == UNCLEAR
    return (
        f"not enough data to tell: of {candidates} remedies {best} does best on average, "
        f"{signed(own.mean)} against {level_text}, but the truth lies between {signed(own.low)} and "
        f"{signed(own.high)}, and up to {signed(highest)} for {hopeful} ({at_once}). About {rows:,} "
        f"rows in place of {now:,} would tell"
    )


def _real_rows(plan: _Plan, rows: list[dict[str, Any]], ratio: float) -> RealRows | None:
    sign = METRICS[plan.metric].sign
    values = np.array([[*d["thinned"], d["scores"][plan.metric]] for d in rows], dtype=float)
    shares = np.array([*SHARES, 1.0])
    if np.isnan(values).any():
        return None
    doublings = np.log2(shares) - np.log2(shares).mean()
    slopes = sign * values @ doublings / (doublings**2).sum()
    (gain,) = compare_to(slopes[None], np.zeros(len(slopes)), ratio=ratio)
    means = tuple(values.mean(axis=0).tolist())
    return RealRows(tuple(shares.tolist()), means, gain.mean, gain.interval)


def _by_means(rows: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, float]]:
    """Mean metric of each group over the splits whose test part held rows of both kinds."""
    found: dict[str, dict[str, list[float]]] = {}
    for name, splits in rows.items():
        for d in splits:
            for group, value in d.get("by", {}).items():
                found.setdefault(group, {}).setdefault(name, []).append(value)
    return {
        group: {name: float(np.mean(values)) for name, values in of.items()}
        for group, of in sorted(found.items())
    }


def _mean_curves(splits: list[dict[str, Any]]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {
        "precision": np.mean([d["curves"]["precision"] for d in splits], axis=0).tolist(),
        "calibration": np.sum([d["curves"]["calibration"] for d in splits], axis=0).tolist(),
    }
    if "cost" in splits[0]["curves"]:
        found["cost"] = np.mean([d["curves"]["cost"] for d in splits], axis=0).tolist()
    return found
