"""Schedule of all strategies and splits: finished work, time budget, and time left."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from joblib import delayed, effective_n_jobs

from synthgen.comparison.strategies import Strategy
from synthgen.comparison.tasks import Plan, task
from synthgen.errors import UsageError
from synthgen.model_selection.scoring import METRICS
from synthgen.progress import Progress
from synthgen.tables.disk import read_json, write_json
from synthgen.threads import results_of

KEPT = ("nothing", "auto", "synthgen")  # never left out: a budget then has fewer splits
LEAST_SPLITS = 4  # a budget has so many splits of every strategy before it leaves one out
TRYING = 0.5  # of a time budget: then no strategy is begun that was not tried yet


def check_budget(seconds: Any) -> None:
    """Raise a `UsageError` unless a time budget is None or a positive number of seconds."""
    if seconds is not None and not 0 < seconds < math.inf:
        raise UsageError(246, f"time_budget must be seconds above 0, not {seconds!r}")


def check_jobs(n_jobs: Any) -> None:
    """Raise a `UsageError` unless `n_jobs` is None or a whole number other than 0."""
    if n_jobs is not None and (
        isinstance(n_jobs, bool) or not isinstance(n_jobs, int | np.integer) or n_jobs == 0
    ):
        raise UsageError(
            269,
            f"n_jobs is {n_jobs!r}: give a number of processes from 1, or -1 for one on each core",
        )


class Schedule:
    """The finished work, stored in a file if one is given; each update replaces the whole file.

    The file does not say what a budget leaves out. This follows from the times of the finished
    work, so a later call with another budget can decide differently.
    """

    def __init__(self, path: str | os.PathLike[str] | None, fingerprint: str) -> None:
        self.path = None if path is None else Path(path)
        self.done: dict[tuple[int, str], dict[str, Any]] = {}
        self.pruned: dict[str, str] = {}
        self.splits: int | None = None  # fewer than planned, where the budget said so
        self.needs: float | None = None  # seconds of all on every split, where the budget has fewer
        self.let_in: set[tuple[int, str]] = set()  # what the budget allows, finished or not
        self.last = time.perf_counter()  # when the last part was added
        self.fingerprint = fingerprint
        if self.path is not None and self.path.exists():
            try:
                content = read_json(self.path)
                finished = {(d["split"], d["strategy"]): d for d in content["done"]}
                same = content["fingerprint"] == fingerprint
                [float(d["wall"]) for d in finished.values()]
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise UsageError(
                    248,
                    f"{path}: cannot read what was finished: {error!r}: delete it to begin anew",
                ) from error
            if not same:
                raise UsageError(
                    249,
                    f"{path} is of another comparison (table, seed, folds, estimator, metric, "
                    f"cost, groups, by or version differ): give the same arguments, or another "
                    f"file",
                )
            self.done = finished

    def add(self, several: list[dict[str, Any]]) -> None:
        now = time.perf_counter()
        for found in several:
            found["wall"] = (now - self.last) / len(several)
            self.done[found["split"], found["strategy"]] = found
        self.last = now
        if self.path is not None:
            content = {"fingerprint": self.fingerprint, "done": list(self.done.values())}
            write_json(self.path, content)

    @property
    def spent(self) -> float:
        """Seconds that went by for what the budget has let in."""
        # Other threads may add to it meanwhile: a list is made in one step.
        return sum(d["wall"] for key, d in [*self.done.items()] if key in self.let_in)


def run(
    plan: Plan,
    n_jobs: int | None,
    budget: float | None,
    resume: str | os.PathLike[str] | None,
    verbose: bool,
) -> Schedule:
    schedule = Schedule(resume, plan.fingerprint())
    # An object of the user's may have the name of another one.
    strategy = {s.name: s.summary for s in plan.strategies}
    schedule.done = {
        key: d
        for key, d in schedule.done.items()
        if d["summary"] == strategy.get(key[1], d["summary"])
    }
    # Each process would have a CUDA context of its own, of half a GB, and they would wait for one
    # another.
    n_jobs = 1 if any(s.on_gpu for s in plan.strategies) else n_jobs
    jobs = effective_n_jobs(cast(Any, n_jobs))
    threads = None if jobs == 1 else max(1, (os.cpu_count() or 1) // jobs)
    # With a budget, what goes on is decided after each split; else all are in one queue.
    rounds = [[i] for i in range(len(plan.tests))]
    if budget is None:
        rounds = [list(range(len(plan.tests)))]
    with Progress(verbose) as progress:
        progress.start("comparing")
        for splits in rounds:
            if schedule.splits is not None and splits[0] >= schedule.splits:
                break
            jobs_of_round = (
                delayed(task)(plan, split, several, threads)
                for split, several in _left_to_do(schedule, plan, splits, budget)
            )
            schedule.last = time.perf_counter()
            for several in results_of(jobs_of_round, n_jobs, ordered=False):
                schedule.add(several)
                done, (todo, seconds) = len(schedule.done), _left(schedule, plan, jobs)
                name = several[-1]["strategy"]
                progress.update(done, done + todo, stage=name, seconds_left=seconds)
            if budget is not None and splits[0] + 1 < len(plan.tests):
                _prune(schedule, plan, splits[0] + 1, budget, jobs)
    return schedule


def _left_to_do(
    schedule: Schedule, plan: Plan, splits: Sequence[int], budget: float | None
) -> Iterator[tuple[int, list[Strategy]]]:
    """What is not finished on some splits; strategies that share a synthesizer are one task.

    Finished parts are passed in their turn, so that time and budget are as they were then.
    """
    tasks: dict[tuple[int, str], list[Strategy]] = {}
    for split in splits:
        for strategy in plan.strategies:
            shared = strategy.synthesizer or f"only {strategy.name}"
            tasks.setdefault((split, shared), []).append(strategy)
    for place, ((split, _), several) in enumerate(tasks.items()):
        names = [s.name for s in several if s.name not in schedule.pruned]
        names = [n for n in names if not failed(schedule, n, before=split)]
        schedule.let_in.update((split, n) for n in names)
        todo = [s for s in several if s.name in names and (split, s.name) not in schedule.done]
        spare = not any(s.name in KEPT for s in todo)
        spent = schedule.spent + time.perf_counter() - schedule.last
        # Doing nothing and one strategy are the least that can be compared.
        if budget is not None and split == 0 and place > 1 and spare and spent > TRYING * budget:
            schedule.pruned |= {
                s.name: f"no time to try it once: {spent:.0f} of {budget:.0f} s were spent on "
                f"simpler strategies"
                for s in todo
            }
        elif todo:
            yield split, todo


def failed(schedule: Schedule, name: str, before: float = math.inf) -> bool:
    """Whether a strategy failed on an earlier split."""
    return any("reason" in d for d in told(schedule, name, before))


def told(schedule: Schedule, name: str, before: float = math.inf) -> list[dict[str, Any]]:
    """List the results of a strategy on earlier splits, in order."""
    return [d for (i, n), d in sorted(schedule.done.items()) if n == name and i < before]


def _seconds(schedule: Schedule, name: str, before: float = math.inf) -> float:
    """Compute the mean time of a strategy per split, in seconds."""
    found = [d["seconds"] for d in told(schedule, name, before)]
    return float(np.mean(found)) if found else 0.0


def going(schedule: Schedule, plan: Plan, before: float = math.inf) -> list[str]:
    names = [s.name for s in plan.strategies]
    return [n for n in names if n not in schedule.pruned and not failed(schedule, n, before)]


def _left(schedule: Schedule, plan: Plan, jobs: int) -> tuple[int, float]:
    """Count the tasks that are left, and estimate their time in seconds."""
    last = len(plan.tests) if schedule.splits is None else schedule.splits
    todo = {n: last - len(told(schedule, n, last)) for n in going(schedule, plan)}
    return sum(todo.values()), sum(k * _seconds(schedule, n) for n, k in todo.items()) / jobs


def _prune(schedule: Schedule, plan: Plan, done: int, budget: float, jobs: int) -> None:
    """Fewer splits of all; if too few are left, keep the best on inner folds that still fit.

    Only what the first `done` splits told counts, whatever else is finished.
    """
    sign = METRICS[plan.metric].sign
    left = budget - schedule.spent
    splits = len(plan.tests) if schedule.splits is None else schedule.splits
    names = going(schedule, plan, done)

    def inner(name: str) -> float:
        found = told(schedule, name, done)
        return float(np.mean([np.mean(d["inner"][plan.metric]) for d in found]))

    def needed(name: str) -> float:
        return (splits - done) * _seconds(schedule, name, done) / jobs

    if done >= splits or sum(map(needed, names)) <= left:
        return
    if schedule.needs is None:
        schedule.needs = schedule.spent + sum(map(needed, names))
    within = done + int(max(left, 0) / max(sum(map(needed, names)) / (splits - done), 1e-9))
    if within >= min(LEAST_SPLITS, splits):
        schedule.splits = min(splits, within)
        return
    always = [n for n in names if n in KEPT]
    ranked = sorted((n for n in names if n not in KEPT), key=lambda n: -sign * inner(n))
    total = sum(map(needed, always))
    kept = []
    for name in ranked:
        if total + needed(name) <= left:
            kept.append(name)
            total += needed(name)
    if always == ["nothing"] and not kept and ranked:  # the least that can be compared
        kept = ranked[:1]
        total += needed(kept[0])
    if total > left:  # fewer splits of what is never left out, two at the least
        each = total / (splits - done)
        schedule.splits = min(splits, max(2, done + int(max(left, 0) // max(each, 1e-9))))
    for name in ranked:
        if name not in kept:
            schedule.pruned[name] = (
                f"no time left for it: it takes {_seconds(schedule, name, done):.0f} s for each "
                f"split. On inner folds of {done} split{'s' * (done > 1)} it reached "
                f"{inner(name):.3f} {METRICS[plan.metric].words}, doing nothing "
                f"{inner('nothing'):.3f}"
            )
