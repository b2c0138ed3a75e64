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
from synthgen.comparison.tasks import Plan, rehearse, task
from synthgen.errors import UsageError
from synthgen.model_selection.scoring import METRICS
from synthgen.progress import Progress, in_words
from synthgen.synthesizers.lookup import on_gpu
from synthgen.tables.disk import read_json, write_json
from synthgen.threads import TREES, one_process, results_of

# Without a time budget a comparison uses at most so many rows: ten splits of 26,217 rows took 345 s
# on two cores, of 15,000 rows of a wider table about 400 s, and of 10,000 about 320 s.
MOST_ROWS = 8_000
# Left out only if the time budget is used up; before that, they get fewer splits.
KEPT = ("nothing", "auto", "synthgen")
LEAST_SPLITS = 4  # the number of splits is reduced to this before a strategy is left out
TRYING = 0.5  # share of a time budget after which no untried strategy is started
REHEARSING = 0.25  # share of a time budget after which no more rows are rehearsed
REHEARSED = 300, 1_000  # rows of the fits that estimate the time of all splits
PLANNED = 0.7  # share of a budget to plan with, because estimates are inexact
CLOSING = 1.0  # seconds from the last fit to the result


def check_budget(seconds: Any) -> None:
    """Raise a `UsageError` unless a time budget is None or a positive number of seconds."""
    if seconds is not None and not 0 < seconds < math.inf:
        raise UsageError(246, f"time_budget must be seconds above 0, not {seconds!r}")


class Schedule:
    """The finished work, stored in a file if one is given; each update replaces the whole file.

    The file does not store what a budget leaves out. This is derived from the times of the finished
    work, so a later call with another budget can decide differently.
    """

    def __init__(self, path: str | os.PathLike[str] | None, fingerprint: str) -> None:
        self.path = None if path is None else Path(path)
        self.done: dict[tuple[int, str], dict[str, Any]] = {}
        self.pruned: dict[str, str] = {}
        self.splits: int | None = None  # number of splits, if the budget reduces it
        self.needs: float | None = None  # seconds that everything needs, if the budget reduces it
        self.costs: dict[int, dict[str, float]] = {}  # seconds of a split, by rows and strategy
        self.outside: float | None = None  # seconds of the budget that no split gets
        self.allowed: set[tuple[int, str]] = set()  # work that the budget allows, finished or not
        self.last = time.perf_counter()  # when the last part was added
        self.fingerprint = fingerprint
        if self.path is not None and self.path.exists():
            try:
                content = read_json(self.path)
                finished = {(d["split"], d["strategy"]): d for d in content["done"]}
                same = content["fingerprint"] == fingerprint
                self.costs = {int(n): dict(of) for n, of in content.get("costs", {}).items()}
                self.outside = content.get("outside")
                [float(d["wall"]) for d in finished.values()]
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise UsageError(
                    248,
                    f"{path}: cannot read the finished work ({error!r}): delete the file to start "
                    f"again",
                ) from error
            if not same:
                raise UsageError(
                    249,
                    f"{path} belongs to another comparison: the table, seed, folds, estimator, "
                    f"metric, cost, groups, by or version differ. Give the same arguments, or "
                    f"another file",
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
            write_json(self.path, content | {"costs": self.costs, "outside": self.outside})

    @property
    def spent(self) -> float:
        """Seconds spent on the work that the budget allows, in this call and earlier ones."""
        # Another thread may add to `done` meanwhile; a copy to a list is made in one step.
        return sum(d["wall"] for key, d in [*self.done.items()] if key in self.allowed)


def run(
    plan: Plan,
    n_jobs: int | None,
    budget: float | None,
    resume: str | os.PathLike[str] | None,
    verbose: bool,
    *,
    started: float | None = None,
) -> tuple[Plan, Schedule]:
    """Run a plan within a time budget."""
    started = time.perf_counter() if started is None else started
    schedule = Schedule(resume, plan.fingerprint())
    # Each process would need its own CUDA context of half a GB, and they would share one GPU.
    gpu = any(s.on_gpu for s in plan.strategies) or on_gpu(plan.estimator.model)
    n_jobs = 1 if gpu else n_jobs
    jobs = 1 if gpu else effective_n_jobs(cast(Any, n_jobs))
    # More threads than the table needs would wait for one another in a busy loop.
    threads = max(1, min((os.cpu_count() or 1) // jobs, int(plan.part.places.size / TREES)))
    with Progress(verbose) as progress, one_process(gpu):
        if budget is None:
            plan = plan.thinned(MOST_ROWS)
        else:
            progress.start("estimating the time")
            _rehearse(schedule, plan, n_jobs, threads, started + REHEARSING * budget)
            if schedule.outside is None:
                schedule.outside = time.perf_counter() - started + CLOSING
            budget = max(budget - schedule.outside, 1e-3)
            plan = _affordable(schedule, plan, budget, jobs, progress)
        _keep_valid(schedule, plan)
        threads = max(1, min(threads, int(plan.part.places.size / TREES)))  # of the rows that stay
        progress.start("comparing strategies")
        # With a budget, each split ends before it is decided what runs on the next one. Without a
        # budget, all splits share one queue.
        every = range(len(plan.tests))
        for splits in [[*every]] if budget is None else [[i] for i in every]:
            if schedule.splits is not None and splits[0] >= schedule.splits:
                break
            jobs_of_round = (
                delayed(task)(plan, split, several, threads)
                for split, several in _left_to_do(schedule, plan, splits, budget)
            )
            schedule.last = time.perf_counter()
            for several in results_of(jobs_of_round, n_jobs, ordered=False, ahead=budget is None):
                schedule.add(several)
                done, (todo, seconds) = len(schedule.done), _left(schedule, plan, jobs)
                name = several[-1]["strategy"]
                if budget is not None:
                    seconds = min(seconds, max(budget - schedule.spent, 0.0))
                stage = f"comparing strategies, after {name}"
                progress.update(done, done + todo, stage=stage, seconds_left=seconds)
            if budget is not None and splits[0] + 1 < len(plan.tests):
                _prune(schedule, plan, splits[0] + 1, budget, jobs)
    return plan, schedule


def _rehearse(
    schedule: Schedule, plan: Plan, n_jobs: int | None, threads: int, until: float
) -> None:
    """Estimate the time of each strategy on one split of few rows, and of some more by `until`."""
    groups = [several for _, several in _tasks(plan, [0])]
    plans = {len(small.part): small for small in map(plan.thinned, REHEARSED)}
    for size, small in plans.items():
        known = schedule.costs.get(size, {})
        if size > min(plans) and not known and schedule.outside is not None:
            continue  # an earlier call had no time for it, and this one decides as it did
        todo = [several for several in groups if not all(s.name in known for s in several)]
        calls = (
            delayed(rehearse)(small, several, threads)
            for several in todo
            if size == min(plans) or time.perf_counter() <= until
        )
        for found in results_of(calls, n_jobs, ahead=False):
            known = known | found
        if all(s.name in known for several in groups for s in several):
            schedule.costs[size] = known
        else:
            schedule.costs.pop(size, None)


def _affordable(
    schedule: Schedule, plan: Plan, budget: float, jobs: int, progress: Progress
) -> Plan:
    """Leave out rows if 4 splits of all strategies would take too long, and say so."""
    every, rows, splits = [s.name for s in plan.strategies], len(plan.part), len(plan.tests)
    few, least = min(LEAST_SPLITS, splits), min(rows, REHEARSED[-1])
    first, slope = _line(schedule, plan, every, jobs)
    most = least
    if first + slope * rows <= PLANNED * budget / few:
        most = rows
    elif slope > 0:
        most = max(least, int((PLANNED * budget / few - first) / slope))
    fewer = plan.thinned(most)
    kept, needs = len(fewer.part), max(splits, few / PLANNED) * (first + slope * rows)
    if kept < rows:
        schedule.needs = needs
    if needs > budget:
        within = max(2, min(splits, int(budget / max(first + slope * kept, 1e-9))))
        of = f" on {kept:,} of {rows:,} rows" if kept < rows else ""
        rest = f"the time budget is enough for about {within} splits{of}"
        always = [name for name in every if name in KEPT]
        first, slope = _line(schedule, plan, always, jobs)
        shortest = 2 * (first + slope * kept)
        if shortest > budget:
            names = ", ".join(always)
            rest = f"2 splits of {names}{of}, which always run, {in_words(shortest)}"
            if len(always) > 1:
                why = f"2 splits of {names} take the whole time budget, so it was not tried"
                schedule.pruned |= {name: why for name in every if name not in always}
        progress.note(f"All strategies on all {splits} splits need {in_words(needs)}; {rest}.")
    return fewer


def _line(schedule: Schedule, plan: Plan, names: Sequence[str], jobs: int) -> tuple[float, float]:
    """Fit the seconds of a split of some strategies as (seconds, seconds for each row)."""

    def seconds(size: int) -> float:
        cost = schedule.costs[size]
        tasks = [
            sum(cost[s.name] for s in several if s.name in names)
            for _, several in _tasks(plan, [0])
        ]
        return max(sum(tasks) / jobs, *tasks)  # a split lasts as long as its longest task

    few, more = min(schedule.costs), max(schedule.costs)
    slope = seconds(more) / more
    if few < more:
        slope = min(max(seconds(more) - seconds(few), 0.0) / (more - few), slope)
    return seconds(more) - slope * more, slope


def _keep_valid(schedule: Schedule, plan: Plan) -> None:
    """Drop finished work of other rows, or of an object that now has another strategy's name."""
    strategy = {s.name: s.summary for s in plan.strategies}
    schedule.done = {
        key: d
        for key, d in schedule.done.items()
        if d["summary"] == strategy.get(key[1], d["summary"])
        and d.get("rows", len(plan.part)) == len(plan.part)
    }


def _tasks(plan: Plan, splits: Sequence[int]) -> list[tuple[int, list[Strategy]]]:
    """List the tasks of some splits; strategies that share a synthesizer are one task."""
    tasks: dict[tuple[int, str], list[Strategy]] = {}
    for split in splits:
        for strategy in plan.strategies:
            shared = strategy.synthesizer or f"only {strategy.name}"
            tasks.setdefault((split, shared), []).append(strategy)
    return [(split, several) for (split, _), several in tasks.items()]


def _left_to_do(
    schedule: Schedule, plan: Plan, splits: Sequence[int], budget: float | None
) -> Iterator[tuple[int, list[Strategy]]]:
    """Yield the unfinished tasks of some splits, without those that would end after the budget.

    Finished tasks are visited in their original order, so that a resumed call leaves out the same
    strategies.
    """
    others = 0  # tasks beside doing nothing
    for split, several in _tasks(plan, splits):
        names = [s.name for s in several if s.name not in schedule.pruned]
        names = [n for n in names if not failed(schedule, n, before=split)]
        # Two tasks of two splits always run: a comparison needs one strategy beside doing nothing.
        must = budget is None or (split < 2 and ("nothing" in names or not others))
        if names and not must and _late(schedule, plan, names, split, cast(float, budget)):
            if split > 1:
                return  # only whole splits count
            continue
        others += bool(names) and "nothing" not in names
        schedule.allowed.update((split, n) for n in names)
        todo = [s for s in several if s.name in names and (split, s.name) not in schedule.done]
        if todo:
            yield split, todo


def _late(schedule: Schedule, plan: Plan, names: list[str], split: int, budget: float) -> bool:
    """Leave out a task that would end after the budget: in the third split or later, the split."""
    spent = schedule.spent + time.perf_counter() - schedule.last
    if split == 0:
        if all((0, n) in schedule.done for n in names):
            return False
        # Of one split alone nothing is learned about a strategy.
        late = spent + 2 * _expected(schedule, plan, names, split) > budget
        if late or (spent > TRYING * budget and not any(n in KEPT for n in names)):
            why = f"the others took {spent:.0f} s of the time budget, so it was not tried"
            schedule.pruned |= dict.fromkeys(names, why)
            return True
        return False
    if spent + _expected(schedule, plan, names, split) <= budget:
        return False
    if schedule.needs is None:
        schedule.needs = spent / split * len(plan.tests)
    if split > 1:
        schedule.splits = split
    else:
        schedule.pruned |= {n: _too_slow(schedule, plan, n, split) for n in names}
    return True


def _expected(schedule: Schedule, plan: Plan, names: list[str], split: int) -> float:
    """Predict the seconds of a task from earlier splits, or the rehearsal, and the pace of this."""

    def usual(names: Sequence[str]) -> float:
        if split > 0:
            return sum(_seconds(schedule, n, split) for n in names)
        first, slope = _line(schedule, plan, names, 1)
        return first + slope * len(plan.part)

    keys = [key for key in schedule.done if key[0] == split and key in schedule.allowed]
    took, before = sum(schedule.done[key]["seconds"] for key in keys), usual([n for _, n in keys])
    return usual(names) * (took / before if before > 0 else 1.0)


def _too_slow(schedule: Schedule, plan: Plan, name: str, done: int) -> str:
    """Say why a strategy gets no further split, and how it did on the `done` ones."""
    words = METRICS[plan.metric].words
    return (
        f"too little time was left: one split takes {_seconds(schedule, name, done):.0f} s. On the "
        f"inner folds of {done} split{'s' * (done > 1)} it reached "
        f"{_inner(schedule, plan, name, done):.3f} {words}; doing nothing reached "
        f"{_inner(schedule, plan, 'nothing', done):.3f}"
    )


def _inner(schedule: Schedule, plan: Plan, name: str, done: int) -> float:
    """Compute the mean score of a strategy on the inner folds of the first `done` splits."""
    found = outcomes_of(schedule, name, done)
    return float(np.mean([np.mean(d["inner"][plan.metric]) for d in found]))


def failed(schedule: Schedule, name: str, before: float = math.inf) -> bool:
    """Whether a strategy failed on an earlier split."""
    return any("reason" in d for d in outcomes_of(schedule, name, before))


def outcomes_of(schedule: Schedule, name: str, before: float = math.inf) -> list[dict[str, Any]]:
    """List the results of a strategy on earlier splits, in order."""
    return [d for (i, n), d in sorted(schedule.done.items()) if n == name and i < before]


def _seconds(schedule: Schedule, name: str, before: float = math.inf) -> float:
    """Compute the mean time of a strategy per split, in seconds."""
    found = [d["seconds"] for d in outcomes_of(schedule, name, before)]
    return float(np.mean(found)) if found else 0.0


def remaining(schedule: Schedule, plan: Plan, before: float = math.inf) -> list[str]:
    names = [s.name for s in plan.strategies]
    return [n for n in names if n not in schedule.pruned and not failed(schedule, n, before)]


def _left(schedule: Schedule, plan: Plan, jobs: int) -> tuple[int, float]:
    """Count the tasks that are left, and estimate their time in seconds."""
    last = len(plan.tests) if schedule.splits is None else schedule.splits
    todo = {n: last - len(outcomes_of(schedule, n, last)) for n in remaining(schedule, plan)}
    return sum(todo.values()), sum(k * _seconds(schedule, n) for n, k in todo.items()) / jobs


def _prune(schedule: Schedule, plan: Plan, done: int, budget: float, jobs: int) -> None:
    """Reduce the splits; if too few would remain, keep the strategies best on inner folds instead.

    Only results of the first `done` splits are used, so that a resumed call decides the same.
    """
    sign = METRICS[plan.metric].sign
    left = budget - schedule.spent
    splits = len(plan.tests) if schedule.splits is None else schedule.splits
    names = remaining(schedule, plan, done)

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
    ranked = sorted(
        (n for n in names if n not in KEPT), key=lambda n: -sign * _inner(schedule, plan, n, done)
    )
    total = sum(map(needed, always))
    kept = []
    for name in ranked:
        if total + needed(name) <= left:
            kept.append(name)
            total += needed(name)
    if always == ["nothing"] and not kept and ranked:  # a comparison needs one strategy
        kept = ranked[:1]
        total += needed(kept[0])
    if total > left:  # also reduce the splits of the strategies that are kept, to 2 or more
        each = total / (splits - done)
        schedule.splits = min(splits, max(2, done + int(max(left, 0) // max(each, 1e-9))))
    for name in ranked:
        if name not in kept:
            schedule.pruned[name] = _too_slow(schedule, plan, name, done)
