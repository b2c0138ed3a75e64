"""Every remedy on every split: folds, tuning, and the record of what is finished."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from joblib import Parallel, delayed, effective_n_jobs
from threadpoolctl import threadpool_limits

from synthgen.device import child_seed
from synthgen.errors import DataError, UsageError
from synthgen.features import Places
from synthgen.files import write_json
from synthgen.judges import Fitted, Judge, NotApplicable, Part
from synthgen.scoring import DECIDED, METRICS, best_threshold, curves, rank, score
from synthgen.selection import deal
from synthgen.strategies import Strategy
from synthgen.table import Table, class_position

INNER_FOLDS = 3
SHARES = (0.25, 0.5, 0.75)  # of the training part, for the learning curve
TRYING = 0.5  # of a time budget: then no remedy is begun that was not tried yet


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
        raise DataError(372, "no column can be learned from: all are IDs, free text or constant")
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
        folds = int(min(INNER_FOLDS, max(2, is_rare.sum() // 2)))
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
    for f, (test, train) in enumerate(zip(tests, inner.trains, strict=True)):
        tunable = strategy.build(train, judge, child_seed(inner.seed, 1, f))
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
    fitted = strategy.build(part, judge, child_seed(inner.seed, 1, len(tests)))(setting)
    return Tuned(fitted, setting, scores, thresholds)


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
        plain = [*judge, self.metric, self.decision, repr(self.part.cost), *seed]
        digest.update(json.dumps(plain).encode())
        return digest.hexdigest()


def _task(
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
    found["notes"] = sorted({str(w.message).partition("\n")[0] for w in caught})[:3]
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


# --- all of them --------------------------------------------------------------------------------


class Record:
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
                    248,
                    f"{path}: cannot read what was finished: {error!r}: delete it to begin anew",
                ) from error
            if not same:
                raise UsageError(
                    249,
                    f"{path} is of another comparison (table, seed, folds, estimator, metric or "
                    f"cost differ): give the same arguments, or another file",
                )
            self.done = finished

    def add(self, several: list[dict[str, Any]], spent: float) -> None:
        self.done |= {(found["split"], found["strategy"]): found for found in several}
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


def run(
    plan: Plan,
    n_jobs: int | None,
    budget: float | None,
    resume: str | os.PathLike[str] | None,
    verbose: bool,
) -> Record:
    record = Record(resume, plan.fingerprint())
    before, started = record.spent, time.perf_counter()
    jobs = effective_n_jobs(cast(Any, n_jobs))
    threads = None if jobs == 1 else max(1, (os.cpu_count() or 1) // jobs)
    # With a budget, what goes on is decided after each split; else all are in one queue.
    rounds = [[i] for i in range(len(plan.tests))]
    if budget is None:
        rounds = [list(range(len(plan.tests)))]
    with _progress(verbose) as show:
        for splits in rounds:
            if record.splits is not None and splits[0] >= record.splits:
                break
            tasks = _tasks(record, plan, splits)
            first = budget is not None and splits[0] == 0

            def in_time(
                tasks: Sequence[tuple[int, list[Strategy]]] = tasks, first: bool = first
            ) -> Iterator[Any]:
                for place, (split, several) in enumerate(tasks):
                    spent = before + time.perf_counter() - started
                    # Doing nothing and one remedy are the least that can be compared.
                    if first and place > 1 and budget and spent > TRYING * budget:
                        record.pruned |= {
                            s.name: f"no time to try it once: {spent:.0f} of {budget:.0f} s were "
                            f"spent on simpler remedies"
                            for s in several
                        }
                    if several := [s for s in several if s.name not in record.pruned]:
                        yield delayed(_task)(plan, split, several, threads)

            finished = Parallel(n_jobs=n_jobs, return_as="generator_unordered")(in_time())
            for several in cast(Iterator[list[dict[str, Any]]], finished):
                record.add(several, before + time.perf_counter() - started)
                show(len(record.done), _left(record, plan, jobs), several[-1]["strategy"])
            if budget is not None and splits[0] + 1 < len(plan.tests):
                _prune(record, plan, splits[0] + 1, budget, jobs)
    return record


def _tasks(record: Record, plan: Plan, splits: Sequence[int]) -> list[tuple[int, list[Strategy]]]:
    """What is left to do on some splits; remedies that share a synthesizer are one task."""
    found: dict[tuple[int, str], list[Strategy]] = {}
    for split in splits:
        for strategy in plan.strategies:
            if (
                strategy.name not in record.pruned
                and (split, strategy.name) not in record.done
                and not failed(record, strategy.name)
            ):
                shared = strategy.synthesizer or f"only {strategy.name}"
                found.setdefault((split, shared), []).append(strategy)
    return [(split, several) for (split, _), several in found.items()]


def failed(record: Record, name: str) -> bool:
    return any(d["strategy"] == name and "reason" in d for d in record.done.values())


def _seconds(record: Record, name: str) -> float:
    """Mean seconds of a remedy on a split."""
    found = [d["seconds"] for d in record.done.values() if d["strategy"] == name]
    return float(np.mean(found)) if found else 0.0


def going(record: Record, plan: Plan) -> list[str]:
    names = [s.name for s in plan.strategies]
    return [n for n in names if n not in record.pruned and not failed(record, n)]


def _left(record: Record, plan: Plan, jobs: int) -> tuple[int, float]:
    """Tasks that are left, and their seconds."""
    last = len(plan.tests) if record.splits is None else record.splits
    todo = [
        name
        for split in range(last)
        for name in going(record, plan)
        if (split, name) not in record.done
    ]
    return len(todo), sum(_seconds(record, name) for name in todo) / jobs


def _prune(record: Record, plan: Plan, done: int, budget: float, jobs: int) -> None:
    """Keep, from the best on inner folds to the worst, what still fits into the budget."""
    sign = METRICS[plan.metric].sign
    left = budget - record.spent
    splits = len(plan.tests) if record.splits is None else record.splits

    def inner(name: str) -> float:
        found = [d for d in record.done.values() if d["strategy"] == name]
        return float(np.mean([np.mean(d["inner"][plan.metric]) for d in found]))

    def needed(name: str) -> float:
        return (splits - done) * _seconds(record, name) / jobs

    if _left(record, plan, jobs)[1] <= left:
        return
    others = [n for n in going(record, plan) if n != "nothing"]
    ranked = sorted(others, key=lambda n: -sign * inner(n))
    total = needed("nothing")
    kept = []
    for name in ranked:
        if total + needed(name) <= left:
            kept.append(name)
            total += needed(name)
    if not kept and ranked:
        # What is left is the least that can be compared: fewer splits of it, two at the least.
        kept = [min(ranked, key=needed)]
        each = (needed("nothing") + needed(kept[0])) / (splits - done)
        record.splits = max(2, done + int(max(left, 0) // max(each, 1e-9)))
    for name in others:
        if name not in kept:
            record.pruned[name] = (
                f"no time for it: it takes {_seconds(record, name):.0f} s a split, and reached "
                f"{inner(name):.3f} {METRICS[plan.metric].words} on inner folds of {done} "
                f"split{'s' * (done > 1)}, nothing {inner('nothing'):.3f}"
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
