"""`compare`: find the strategy that helps with a rare class on a table, with its uncertainty."""

from __future__ import annotations

import math
import os
import time
from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from synthgen.comparison.comparison import Comparison
from synthgen.comparison.parts import Part
from synthgen.comparison.recommendation import (
    Chances,
    chances_of,
    margin_of,
    priors_for,
    recommend,
)
from synthgen.comparison.schedule import (
    Schedule,
    check_budget,
    outcomes_of,
    remaining,
    run,
)
from synthgen.comparison.splits import group_ids, outer_splits, training_part
from synthgen.comparison.strategies import Strategy, pick
from synthgen.comparison.subgroups import Groups, by_groups
from synthgen.comparison.tasks import Plan
from synthgen.comparison.tuning import LEAST_ROWS
from synthgen.comparison.verdicts import (
    mean_curves,
    real_rows,
    results,
    verdict_on,
)
from synthgen.encoding.disclosure import PRIVATE_ROWS
from synthgen.errors import DataError, UsageError
from synthgen.model_selection.estimators import Estimator
from synthgen.model_selection.scoring import METRICS, RANKED
from synthgen.report.answer import Recommendation
from synthgen.seeds import RandomState, seed_sequence
from synthgen.tables.calls import without_groups
from synthgen.tables.checks import check_flags
from synthgen.tables.schema import Schema
from synthgen.tables.table import Table
from synthgen.threads import check_jobs

SPLITS = 10  # default number of splits of the outer loop
TEST_ROWS = 5  # smallest number of rare rows that a test part should have
MOST_GROUPS = 50  # largest number of values of the column `by`
RANKING, DECISION = "average_precision", "recall_at_5pct"


def compare(
    X: Any,
    y: Any = None,
    *,
    target: Hashable | None = None,
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
    prior: bool = True,
    schema: Schema | None = None,
    n_jobs: int | None = None,
    random_state: RandomState = None,
    resume: str | os.PathLike[str] | None = None,
    verbose: bool = False,
) -> Comparison:
    """Compare strategies for a rare class by nested cross-validation on common splits.

    Call it as ``compare(X, y)`` or as ``compare(frame, target="outcome")``. Everything is fitted on
    the training part of a split: levels, synthesizers, amounts, settings and thresholds. Every
    strategy tries the same number of settings on the same inner folds. A threshold is chosen on
    rows that the classifier has not seen. Equal rows share a fold, unless most have duplicates.

    Args:
        X: Frame or array of shape (rows, features), with text, dates and missing cells if need be.
            With `target`, a frame that also holds the classes.
        y: Classes of shape (rows,). None if `target` is given.
        target: Name of the column of `X` that holds the classes.
        label: The class of interest, compared with all others together. None: the rarest.
        strategies: "default", "all", or a list of names (`STRATEGIES`), import paths or objects:
            samplers with fit_resample, classifiers with predict_proba, synthesizers.
        estimator: The classifier that all strategies use: "hgb" (histogram boosting), "rf" (random
            forest), "lr" (logistic regression), an import path, or a classifier object.
        metric: Name of the metric for tuning and ranking; it must not need a threshold.
        folds: Folds of the outer loop; fewer if a test part would have under 5 rows of the class.
        repeats: Repeats of the outer loop. None: enough for 10 splits.
        groups: Group of each row, shape (rows,), or a column of `X`, which is then not a feature.
            Rows of a group are kept in the same fold.
        by: Name of a column of `X` with at most 50 values; the metric is also reported for each.
        cost: {"fn": cost of a missed row, "fp": cost of a false alarm}, to compare decisions by.
        time_budget: Time limit in seconds, from the call to the result. A short one first leaves
            out splits (4 stay), then rows of frequent classes (the others are weighted), then
            strategies, and then splits down to 2; never nothing, auto or synthgen. None: no limit,
            but at most 8,000 rows: of a larger table, rows of frequent classes are left out.
        prior: Whether the probabilities also use what `auto` gained on other tables (for average
            precision, "hgb", "rf" and "lr", and 10 to 300 training rows of the class). With it,
            `auto` is recommended if it is more likely to help than not, by this table alone as well
            as with the prior; without it, the probability must be at least 0.9.
        schema: Kinds and limits of the columns (see `Schema.infer`). None: all are inferred.
        n_jobs: Number of processes. None: 1, or as set by joblib; 1 if networks train on a GPU.
        random_state: Seed. None: a fresh seed, which `Comparison.seed` then holds.
        resume: Path of a JSON file of finished work; if it exists, the comparison continues.
        verbose: Whether to show progress and the time left, on standard error.

    Returns:
        A `Comparison`; its `recommendation` says what to do.

    Raises:
        DataError: The table cannot be used, or has fewer than 6 rows of the class.
        UsageError: A value is not allowed, or the file `resume` belongs to another comparison.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> ill = np.repeat([0, 1], [130, 20])
        >>> X = pd.DataFrame({"dose": rng.normal(ill * 9), "age": rng.normal(size=150)})
        >>> found = compare(X, ill, strategies=["class_weight"], estimator="lr", folds=2,
        ...                 repeats=2, random_state=0)
        >>> found.verdict["ranking"].outcome, found.strategies
        ('no worthwhile gain', ['nothing', 'threshold', 'class_weight'])
    """
    check_flags(prior=prior, verbose=verbose)
    started = time.perf_counter()
    X, groups = without_groups(X, groups)
    table = Table.labelled(X, y, target=target, schema=schema)
    label, part = training_part(table, label, checked_cost(cost), schema)
    chosen = pick(strategies)
    check_jobs(n_jobs)
    check_budget(time_budget)
    seed, root = seeded(random_state)
    folds, repeats = folds_and_repeats(folds, repeats, int(part.counts[part.rare]))
    plan = _plan(part, Estimator.of(estimator), metric, chosen, folds, repeats, groups, by, root)
    plan, schedule = run(plan, n_jobs, time_budget, resume, verbose, started=started)
    return _concluded(plan, schedule, table, label, folds, repeats, seed, chosen, by, prior)


def _plan(
    part: Part,
    estimator: Estimator,
    metric: str,
    strategies: list[Strategy],
    folds: int,
    repeats: int,
    groups: Any,
    by: Hashable | None,
    seed: np.random.SeedSequence,
) -> Plan:
    """Make the plan of a comparison, before the first fit; see `compare` for the arguments."""
    if metric not in RANKED:
        raise UsageError(228, f"metric {metric!r}: use one of {', '.join(RANKED)}")
    groups_of = None if by is None else _groups_of(part.frame, by)
    together = group_ids(part, groups)
    rare = int(part.counts[part.rare])
    return Plan(
        part,
        together,
        estimator,
        metric,
        "cost" if part.cost is not None else DECISION,
        [s.for_rows(rare) for s in strategies if s.name != "threshold"],
        outer_splits(part, together, folds, repeats, seed),
        seed,
        groups_of,
    )


def _few(rare: int, folds: int) -> list[str]:
    held = rare // folds
    if held >= TEST_ROWS:
        return []
    return [f"each test part has only {held} rows of the class, so scores of single splits vary"]


def _cut_short(schedule: Schedule, plan: Plan, rows: int) -> list[str]:
    """Say in notes what was left out to save time."""
    notes = []
    if (kept := len(plan.part)) < rows:
        notes.append(
            f"to save time, {kept:,} of {rows:,} rows were used; rows of frequent classes were "
            f"left out at random, and the others count for them"
        )
    if schedule.needs is None:
        return notes
    minutes = max(1, math.ceil(schedule.needs / 60))
    what = f"all strategies on all {len(plan.tests)} splits"
    return [*notes, f"{what} need about {minutes} min: allow more time"]


def _with_time(
    advice: Recommendation, schedule: Schedule, plan: Plan, splits: int, rows: int
) -> Recommendation:
    """Add to the certainty how much of the comparison was left out to save time."""
    planned, kept = len(plan.tests), len(plan.part)
    if schedule.needs is None:
        if kept == rows:
            return advice
        fewer = f"Compared on {kept:,} of {rows:,} rows; with --time-budget, as many as it allows."
        return replace(advice, certainty=f"{advice.certainty} {fewer}")
    parts = [f"{splits} of {planned} splits"] * (splits < planned)
    parts += [f"{kept:,} of {rows:,} rows"] * (kept < rows)
    which = " on ".join(parts) + " only" if parts else "some strategies"
    seconds = 60 * math.ceil(schedule.needs / 60)
    ran = f"The time budget was enough for {which}; --time-budget {seconds} runs all."
    return replace(advice, certainty=f"{advice.certainty} {ran}")


def _groups_of(frame: pd.DataFrame, by: Hashable) -> np.ndarray:
    if by not in frame.columns:
        raise UsageError(245, f"by: there is no column {by!r}")
    column = frame[by]
    if (count := column.nunique(dropna=False)) > MOST_GROUPS:
        raise UsageError(
            245,
            f"by: column {by!r} has {count:,} values, and at most {MOST_GROUPS} can be reported: "
            f"put them into a few groups first, for example with pandas.cut",
        )
    values = column.astype(object).where(column.notna(), "(missing)").astype(str)
    # As in model files, no value is named that fewer rows hold.
    few = column.notna() & (values.map(values.value_counts()) < PRIVATE_ROWS)
    return values.mask(few, f"(values in fewer than {PRIVATE_ROWS} rows)").to_numpy()


def seeded(random_state: RandomState) -> tuple[int, np.random.SeedSequence]:
    """Turn a seed of any type into a number to report and a seed sequence to use."""
    if random_state is None:
        random_state = int(seed_sequence(None).generate_state(1)[0])
    root = seed_sequence(random_state)
    known = isinstance(random_state, int | np.integer)
    return int(random_state if known else root.generate_state(1)[0]), root


def checked_cost(cost: Mapping[str, float] | None) -> tuple[float, float] | None:
    if cost is None:
        return None
    found = dict(cost)
    if set(found) != {"fn", "fp"} or not all(
        isinstance(v, int | float) and not isinstance(v, bool) and 0 < v < math.inf
        for v in found.values()
    ):
        raise UsageError(
            247,
            f'cost must hold "fn" and "fp", two numbers above 0, such as {{"fn": 500, "fp": 2}}, '
            f"not {found}",
        )
    return float(found["fn"]), float(found["fp"])


def folds_and_repeats(folds: int, repeats: int | None, rare: int) -> tuple[int, int]:
    """Choose folds so that test parts have enough rare rows, and repeats to make up for fewer."""
    for name, value, least in (("folds", folds, 2), ("repeats", repeats, 1)):
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least
        ):
            raise UsageError(228, f"{name} must be a whole number from {least}, not {value!r}")
    if rare < LEAST_ROWS:
        raise DataError(
            373,
            f"the class has {rare} rows, and a comparison needs at least {LEAST_ROWS}: collect "
            f"more",
        )
    used = min(folds, max(2, rare // TEST_ROWS))
    splits = SPLITS if repeats is None else folds * repeats
    return used, max(1, math.ceil(splits / used))


# --- results --------------------------------------------------------------------------------------


def _concluded(
    plan: Plan,
    schedule: Schedule,
    table: Table,
    label: Any,
    folds: int,
    repeats: int,
    seed: int,
    chosen: list[Strategy],
    by: Hashable | None,
    prior: bool,
) -> Comparison:
    splits = len(plan.tests) if schedule.splits is None else schedule.splits
    left = remaining(schedule, plan, splits)
    rows = {name: [schedule.done[i, name] for i in range(splits)] for name in left}
    scores = {name: [d["scores"] for d in found] for name, found in rows.items()}
    scores["threshold"] = scores["nothing"]
    scores["nothing"] = [d["at_half"] for d in rows["nothing"]]
    names = [s.name for s in chosen if s.name in scores]
    ratio = 1 / (folds - 1)
    found = results(scores, names, {s.name: s.family for s in chosen}, ratio, plan.decision)
    both = {
        "ranking": verdict_on(plan, rows, scores, names, plan.metric, "nothing", ratio),
        "decision": verdict_on(plan, rows, scores, names, plan.decision, "threshold", ratio),
    }
    told_by = {note for several in rows.values() for d in several for note in d["notes"]}
    rare = table.counts[label]
    advice, chances = _advice(plan, rows, scores, names, ratio, table, label, chosen, prior)
    advice = _with_time(advice, schedule, plan, splits, len(table))
    reasons = {
        s.name: next(d["reason"] for d in outcomes_of(schedule, s.name, splits) if "reason" in d)
        for s in plan.strategies
        if s.name not in {*left, *schedule.pruned}
    }
    return Comparison(
        target=table.schema.target if table.schema.target is not None else "target",
        label=label,
        rows=len(table),
        rare=rare,
        estimator=plan.estimator.name,
        metric=plan.metric,
        decision=plan.decision,
        cost=plan.part.cost,
        folds=folds,
        repeats=repeats,
        splits=splits,
        results=tuple(found),
        recommendation=advice,
        chances=tuple(chances),
        verdict=both,
        real_rows=real_rows(plan, rows["nothing"], ratio),
        pruned=schedule.pruned,
        not_applicable=reasons,
        by=None if by is None else Groups(str(by), by_groups(plan, rows, ratio)),
        curves={name: mean_curves(found) for name, found in rows.items()},
        settings={n: dict(Counter(d["setting"] for d in found)) for n, found in rows.items()},
        seconds={n: float(sum(d["seconds"] for d in found)) for n, found in rows.items()},
        notes=(*_few(rare, folds), *_cut_short(schedule, plan, len(table)), *sorted(told_by)),
        seed=seed,
    )


def _advice(
    plan: Plan,
    rows: dict[str, list[dict[str, Any]]],
    scores: dict[str, list[dict[str, float]]],
    names: list[str],
    ratio: float,
    table: Table,
    label: Any,
    chosen: list[Strategy],
    prior: bool,
) -> tuple[Recommendation, list[Chances]]:
    """Give the recommendation, and the `Chances` of every strategy that changes the ranking."""
    about = METRICS[plan.metric]
    tried = [name for name in names if name not in ("nothing", "threshold")]
    value = {n: np.array([s[plan.metric] for s in scores[n]]) for n in ("nothing", *tried)}
    level = float(value["nothing"].mean())
    margin = margin_of(plan.metric, level)
    reference = about.sign * value["nothing"]
    own = np.array([about.sign * value[n] for n in tried]).reshape(len(tried), len(reference))
    how = {"ratio": ratio, "margin": margin}
    # A training part has 1 / (1 + ratio) of all rows.
    rare = plan.part.counts[plan.part.rare] / (1 + ratio)
    priors = priors_for(plan.estimator.name, plan.metric, float(rare)) if prior else None
    chances = chances_of(tried, own, reference, **how, priors=priors, bounds=about.bounds)
    deciding = "f1" if plan.part.cost is None else "cost"
    thresholds = [d["thresholds"][deciding] for d in rows["nothing"]]
    advice = recommend(
        chances,
        value["nothing"],
        metric=plan.metric,
        **how,
        prevalence=table.counts[label] / len(table),
        threshold=float(np.median(thresholds)),
        target=str(table.schema.target),
        label=label,
        summaries={s.name: s.summary for s in chosen},
    )
    return advice, chances
