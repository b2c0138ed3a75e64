"""`evaluate`: measure the fidelity, utility and privacy of synthetic rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from joblib import delayed, parallel_config

from synthgen.metrics.class_verdicts import (
    group_of,
    macro,
    of_each_class,
    of_worst_utility,
    told_of,
)
from synthgen.metrics.fidelity import fidelity, target_correlation
from synthgen.metrics.prepare import EVERYTHING, Compared, prepare
from synthgen.metrics.privacy import privacy
from synthgen.metrics.report import Report
from synthgen.metrics.score import Part, Score
from synthgen.metrics.utility import utility, utility_of_class
from synthgen.metrics.utility_rows import column_of
from synthgen.metrics.verdicts import of_fidelity, of_privacy, unless
from synthgen.model_selection.classifiers import DEFAULT_JUDGES, check_judges
from synthgen.progress import Progress
from synthgen.seeds import child_seed, fresh_seed, seed_sequence
from synthgen.tables.checks import check_flags
from synthgen.tables.schema import Schema
from synthgen.threads import TREES, results_of, threads_for, usable_cores
from synthgen.training.device import resolve

PARTS = ("fidelity", "utility", "privacy")
# From this many cells (rows times columns) on, steps run in several processes. Below, starting
# them takes about as long as they save.
PARALLEL_CELLS = 200_000


def evaluate(
    train: pd.DataFrame | tuple[Any, Any],
    synthetic: pd.DataFrame | tuple[Any, Any],
    holdout: pd.DataFrame | tuple[Any, Any] | None = None,
    *,
    target: Hashable | None = None,
    label: Any = None,
    schema: Schema | None = None,
    judges: Sequence[str] = DEFAULT_JUDGES,
    thorough: bool = False,
    by: Hashable | None = None,
    synthesizer: str = "",
    device: str | torch.device = "auto",
    random_state: int | None = 0,
    verbose: bool = False,
) -> Report:
    """Measure the fidelity, utility and privacy of synthetic rows from any source.

    Call it as ``evaluate((X, y), (X_synthetic, y_synthetic), (X_holdout, y_holdout))`` or as
    ``evaluate(train, synthetic, holdout, target="outcome")``. Each score comes with a reference:
    the same score of as many other real rows. The measures are described in
    `synthgen.metrics.fidelity.fidelity`, `synthgen.metrics.utility.utility` and
    `synthgen.metrics.privacy.privacy`.

    From 200,000 cells on and without a GPU, each core measures a part in a process of its own,
    which needs memory for the three tables. ``torch.set_num_threads(1)`` keeps all in one process.

    Args:
        train: The rows that the synthesizer learned from: a frame of shape (rows, columns), or a
            pair ``(X, y)`` of features and classes. It is not changed.
        synthetic: Synthetic rows of one or several classes, with the same columns as `train` in any
            order. If it is an augmented table, which contains all rows of `train`, only the new
            rows are evaluated.
        holdout: Real rows that the synthesizer has not seen. None: 30 % of `train` is split off.
            Because the synthesizer has seen those rows, privacy can then fail but not pass.
        target: Name of the column that holds the classes, if the tables are frames.
        label: The class to report first. None: the rarest class in `synthetic`.
        schema: Kinds and limits of the columns of `train` (see `Schema.infer`). None: all are
            inferred.
        judges: Classifiers of the utility part, from "boosting", "logistic", "forest", "mlp" and
            "xgboost". The one with the worst outcome decides; the scores of other classes are those
            of the first one. Default: boosting and logistic regression.
        thorough: Whether to tune each classifier on real rows and to train it three times.
        by: Name of a column other than the target; recall is also reported for each of its values.
        synthesizer: Name of the synthesizer that made the rows, such as "trees". The
            recommendation does not name it again. Default: unknown.
        device: Device for computing distances: "auto" (a GPU if there is one), "cpu" or "cuda".
        random_state: Seed. None: a fresh seed, which `Report.seed` then holds.
        verbose: Whether to show progress, on standard error or below the cell of a notebook.

    Returns:
        A `Report` with verdicts and scores.

    Raises:
        DataError: A table cannot be used, lacks a column, has a row with a missing or unknown
            class, or `synthetic` has no row of the class.
        UsageError: An argument has a value that is not allowed.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> def drawn(rows):
        ...     ill = np.arange(rows) % 4 == 0
        ...     return pd.DataFrame({"dose": rng.normal(size=rows) + 2 * ill, "ill": ill})
        >>> train, synthetic, holdout = drawn(160), drawn(120), drawn(160)
        >>> report = evaluate(train, synthetic, holdout, target="ill", judges=["logistic"])
        >>> report.label, report.score("fidelity.column_shapes").value > 0.7
        ('True', True)
    """
    check_flags(thorough=thorough, verbose=verbose)
    judges = check_judges(judges)
    seed_sequence(random_state)  # raises if it is not a seed
    seed = fresh_seed()
    seed = seed if random_state is None else int(random_state)
    source = seed_sequence(seed)
    device = resolve(device)  # raises early if this machine has no such device
    given = {"target": target, "label": label, "schema": schema}
    compared = prepare(train, synthetic, holdout, **given, seed=child_seed(source, 0))
    if by is not None:
        column_of(compared.train.schema, by)  # raises early if there is no such column
    options = {"judges": judges, "thorough": thorough, "by": by}
    steps = _steps(compared, source, options, device)
    parts, seconds = _measured(steps, compared, device, verbose)
    return replace(_report(compared, parts, seconds, seed), synthesizer=synthesizer)


class _Step(NamedTuple):
    """One measurement on one group of rows.

    Attributes:
        part: "fidelity", "utility" or "privacy".
        words: Name of the step in the progress display.
        measure: Function that computes the scores.
    """

    part: str
    words: str
    measure: Callable[[], Part]


def _steps(
    compared: Compared, source: np.random.SeedSequence, of_utility: dict[str, Any], device: Any
) -> list[_Step]:
    """List all measurements in order, each with its own child seed."""
    steps: list[_Step] = []

    def add(part: str, words: str, measure: Callable[..., Part], *key: int, **given: Any) -> None:
        seed = child_seed(source, *key)
        steps.append(_Step(part, words, partial(measure, random_state=seed, **given)))

    every = dict(zip(("train", "synthetic", "holdout"), compared.tables, strict=True))
    for number, (group, tables) in enumerate(compared.groups.items()):
        rows = dict(zip(every, tables, strict=True)) | {"group": group}
        add("fidelity", f"fidelity of {group}", fidelity, 1, number, **rows)
        if not number:
            words = f"association of columns with {group}"
            add("fidelity", words, target_correlation, 2, **every, label=compared.position)
    judges = of_utility.pop("judges")
    for judge in judges:
        words = f"training {judge} on each kind of rows"
        given = {"label": compared.label, "judges": [judge], **of_utility}
        add("utility", words, utility, 3, **every, **given)
    schema, judge = compared.train.schema, judges[0]
    for number, label in enumerate(c for c in schema.classes if c != compared.label):
        if str(label) in compared.groups:
            rest = {"label": label, "judge": judge, "group": group_of(judge, schema.target, label)}
            words = f"training classifiers on rows of {label}"
            add("utility", words, utility_of_class, 6, number, **every, **rest)
    for number, (group, tables) in enumerate(compared.groups.items()):
        rows = dict(zip(every, tables, strict=True)) | {"group": group}
        add("privacy", f"privacy of {group}", privacy, 4, number, **rows, device=device)
    return steps


def _measured(
    steps: list[_Step], compared: Compared, device: torch.device, verbose: bool
) -> tuple[dict[str, Part], dict[str, float]]:
    """Run all steps; return the scores and the seconds of each part."""
    cells = max(map(len, compared.tables)) * len(compared.tables[0].schema.columns)
    alone = cells < PARALLEL_CELLS or device.type != "cpu"
    processes = 1 if alone else min(usable_cores(), len(steps))
    order = sorted(range(len(steps)), key=lambda number: steps[number].part != "utility")
    jobs = (delayed(_timed)(steps[number], number, cells) for number in order)
    found: dict[int, tuple[Part, float]] = {}
    backend = parallel_config("sequential" if processes == 1 else "loky")
    with threads_for(cells, TREES), backend, Progress(verbose) as progress:
        progress.start("evaluating", len(steps))
        progress.update(0, stage=steps[order[0]].words)
        for number, part, spent in results_of(jobs, processes, ordered=False):
            found[number] = part, spent
            left = [n for n in order if n not in found]
            progress.update(len(found), stage=steps[left[0]].words if left else "")
    parts: dict[str, list[Part]] = {part: [] for part in PARTS}
    seconds = dict.fromkeys((step.part for step in steps), 0.0)
    for number, step in enumerate(steps):
        part, spent = found[number]
        parts[step.part].append(part)
        seconds[step.part] = round(seconds[step.part] + spent, 3)
    return {part: _joined(several) for part, several in parts.items()}, seconds


def _timed(step: _Step, number: int, cells: int) -> tuple[int, Part, float]:
    """Run a step in any process; return its number, its scores and its seconds."""
    started = time.perf_counter()
    with threads_for(cells, TREES):
        part = step.measure()
    return number, part, time.perf_counter() - started


def _report(
    compared: Compared, parts: dict[str, Part], seconds: dict[str, float], seed: int
) -> Report:
    name, held_out, spoilt = str(compared.label), compared.held_out, compared.spoilt
    real, made, fresh = compared.tables
    counts = {str(c): rows for c, rows in fresh.counts.items()}
    tested = {group: counts[group] for group in compared.groups if group != EVERYTHING}
    each = of_each_class(parts, tested, str(real.schema.target), held_out, spoilt)
    decided = {c.label: c.outcomes for c in each}
    verdicts = (
        unless(of_fidelity(parts["fidelity"], name), spoilt.get("fidelity", "")),
        of_worst_utility(each),
        unless(of_privacy(parts["privacy"], held_out), spoilt.get("privacy", "")),
    )
    said = told_of(each)
    return Report(
        target=str(real.schema.target),
        label=name,
        train=real,
        synthetic=made,
        holdout=fresh,
        fidelity=parts["fidelity"],
        utility=parts["utility"],
        privacy=parts["privacy"],
        verdicts=verdicts,
        notes=(*compared.notes, said) if said else compared.notes,
        sizes={"train": len(real), "synthetic": len(made), "holdout": len(fresh)},
        classes=tuple(
            {
                "label": str(c),
                "train": real.counts[c],
                "synthetic": made.counts[c],
                "holdout": fresh.counts[c],
                "verdicts": decided.get(str(c)),
            }
            for c in real.schema.classes
        ),
        held_out=held_out,
        spoilt=spoilt,
        left_out=compared.left_out,
        macro=macro(each),
        seed=seed,
        seconds=seconds,
    )


def _joined(parts: list[Part]) -> Part:
    """Merge parts into one; only curves of the first part and of judges keep their names."""
    curves, judges = dict(parts[0].curves), dict(parts[0].judges)
    for part in parts[1:]:
        judges |= part.judges
        groups = [score.group for score in part.scores]
        group = groups[0] if groups else ""
        renamed = {f"{name} {group}": curve for name, curve in part.curves.items()}
        curves |= part.curves if part.judges else renamed
    notes: list[str] = []
    broken: set[str] = set()
    for note in dict.fromkeys(note for part in parts for note in part.notes):
        rule = note.partition("“")[2]
        # A rule that is broken in a class is also broken in all rows: keep one note.
        if not (rule in broken and note.startswith(f"{EVERYTHING}: ")):
            notes.append(note)
        broken.add(rule or note)
    scores: list[Score] = []
    for part in parts:  # why utility is unknown is said once, not once for each judge
        said = {s.note for s in scores if s.name.startswith("utility") and np.isnan(s.value)}
        scores += [s for s in part.scores if s.note not in said or not np.isnan(s.value)]
    return Part(scores, curves, notes, judges)
