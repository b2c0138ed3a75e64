"""What synthetic rows are worth: fidelity, utility and privacy, each beside its reference."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from synthgen.errors import DataError
from synthgen.metrics.alignment import aligned, copies, in_order
from synthgen.metrics.fidelity import fidelity, target_correlation
from synthgen.metrics.privacy import privacy
from synthgen.metrics.quality_report import quality_report
from synthgen.metrics.report import Report
from synthgen.metrics.score import Part
from synthgen.metrics.utility import utility
from synthgen.metrics.utility_rows import column_of
from synthgen.metrics.verdicts import (
    of_fidelity,
    of_privacy,
    of_utility,
    unless,
)
from synthgen.model_selection.classifiers import DEFAULT_JUDGES, check_judges
from synthgen.progress import Progress
from synthgen.seeds import child_seed, seed_sequence
from synthgen.tables.schema import Schema, class_position
from synthgen.tables.table import Table
from synthgen.training.device import resolve

PARTS = ("fidelity", "utility", "privacy")
EVERYTHING = "all"
HELD_OUT, MOST_CLASSES = 0.3, 4
# Rows up to which it takes longer to wake threads than they have to do.
ONE_THREAD = 1_000


def evaluate(
    train: pd.DataFrame,
    synthetic: pd.DataFrame,
    *,
    target: Hashable,
    holdout: pd.DataFrame | None = None,
    label: Any = None,
    schema: Schema | None = None,
    judges: Sequence[str] = DEFAULT_JUDGES,
    thorough: bool = False,
    by: Hashable | None = None,
    device: str | torch.device = "auto",
    random_state: int | None = 0,
    verbose: bool = False,
) -> Report:
    """Measure synthetic rows, from synthgen or from anyone else, beside real ones.

    Each number has a reference: the same number with as many real rows, or as there are, in the
    place of the synthetic ones, and disjoint from what these are compared with. See
    `synthgen.metrics.fidelity.fidelity`, `synthgen.metrics.utility.utility` and
    `synthgen.metrics.privacy.privacy` for what is measured.

    Args:
        train: The rows that the synthesizer learned from, shape (rows, columns); never changed.
        synthetic: Rows of one class or of several; the columns of `train` by name, in any order.
            New rows only: not those of an augmented table that are real.
        target: Name of the column that holds the classes.
        holdout: Real rows that the synthesizer has not seen. None: 30 % of `train` are split off,
            though the synthesizer has seen them; privacy can then fail but not pass.
        label: The class to look at first; None: the rarest of those that `synthetic` holds.
        schema: Decisions about the columns of `train` to take instead of guessing.
        judges: Classifiers of the utility part: boosting, logistic, forest, mlp, xgboost.
        thorough: Tune each judge on real rows and train it three times.
        by: Column whose values are looked at one by one (recall of each); not the target.
        device: Where distances are computed.
        random_state: Seed; None draws one, see `Report.seed`.
        verbose: Show progress on standard error.

    Raises:
        DataError: A table cannot be used, lacks a column or holds a row without a class or of an
            unknown one, or `synthetic` has no row of the class.
        UsageError: An argument cannot be what it is.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> def drawn(rows):
        ...     ill = np.arange(rows) % 4 == 0
        ...     return pd.DataFrame({"dose": rng.normal(size=rows) + 2 * ill, "ill": ill})
        >>> tables = {"holdout": drawn(160), "target": "ill"}
        >>> report = evaluate(drawn(160), drawn(120), judges=["logistic"], **tables)
        >>> report.label, report.score("fidelity.column_shapes").value > 0.7
        ('True', True)
    """
    judges = check_judges(judges)
    seed_sequence(random_state)  # refuses what is no seed
    seed = int(np.random.SeedSequence().generate_state(1)[0])
    seed = seed if random_state is None else int(random_state)
    source = seed_sequence(seed)
    device = resolve(device)  # refuses one that is not there before anything is measured
    try:
        whole = Table.of(train, target=target, schema=schema)
    except DataError as error:
        raise DataError(error.code, f"train table: {error.message}") from error
    others = {"synthetic": synthetic} | ({} if holdout is None else {"holdout": holdout})
    tables, notes = aligned(whole, others)
    told, spoilt = copies(tables)
    notes += told
    tables = {which: in_order(table) for which, table in tables.items()}
    real, made = tables["train"], tables["synthetic"]
    position = _rare(real, made, label)
    name = str(real.schema.classes[position])
    if holdout is None:
        real, fresh, note = _split(real, child_seed(source, 0))
        notes.append(note)
    else:
        fresh = tables["holdout"]
    if by is not None:
        column_of(real.schema, by)  # refuses before anything is measured
    groups = _groups(real, made, fresh, position, notes)
    steps: list[tuple[str, str, Callable[[], Part]]] = []

    def add(
        part: str,
        said: str,
        measure: Callable[..., Part],
        rows: tuple[Table, ...],
        *key: int,
        **given: Any,
    ) -> None:
        """A step, whose seed is the child of the evaluation's at `key`."""
        work = partial(measure, *rows, random_state=child_seed(source, *key), **given)
        steps.append((part, said, work))

    every = (real, made, fresh)
    for number, (group, rows) in enumerate(groups.items()):
        add("fidelity", f"fidelity of {group}", fidelity, rows, 1, number, group=group)
        if not number:
            said = f"columns that tell {group}"
            add("fidelity", said, target_correlation, every, 2, label=position)
        said = f"SDMetrics' report of {group}"
        add("fidelity", said, quality_report, rows, 5, number, group=group)
    given = {"label": real.schema.classes[position], "judges": judges}
    add("utility", "utility", utility, every, 3, **given, thorough=thorough, by=by)
    for number, (group, rows) in enumerate(groups.items()):
        if group in (name, EVERYTHING):
            said = f"privacy of {group}"
            add("privacy", said, privacy, rows, 4, number, group=group, device=device)
    found: dict[str, list[Part]] = {part: [] for part in PARTS}
    seconds: dict[str, float] = {}
    threads = 1 if max(map(len, every)) <= ONE_THREAD else None
    with threadpool_limits(threads), Progress(verbose) as progress:
        progress.start("evaluating", len(steps))
        for done, (part, what, work) in enumerate(steps):
            progress.update(done, stage=what)
            started = time.perf_counter()
            found[part].append(work())
            spent = time.perf_counter() - started
            seconds[part] = round(seconds.get(part, 0.0) + spent, 3)
    parts = {part: _joined(several) for part, several in found.items()}
    tested = int((fresh.labels == position).sum())
    verdicts = (
        of_fidelity(parts["fidelity"], name, {g: min(map(len, t)) for g, t in groups.items()}),
        of_utility(parts["utility"], name, tested, holdout is not None),
        of_privacy(parts["privacy"], holdout is not None),
    )
    return Report(
        target=str(whole.schema.target),
        label=name,
        train=real,
        synthetic=made,
        holdout=fresh,
        fidelity=parts["fidelity"],
        utility=parts["utility"],
        privacy=parts["privacy"],
        verdicts=tuple(unless(v, spoilt.get(v.part, "")) for v in verdicts),
        notes=tuple(notes),
        sizes={"train": len(real), "synthetic": len(made), "holdout": len(fresh)},
        classes=tuple(
            {
                "label": str(c),
                "train": real.counts[c],
                "synthetic": made.counts[c],
                "holdout": fresh.counts[c],
            }
            for c in real.schema.classes
        ),
        held_out=holdout is not None,
        spoilt=spoilt,
        seed=seed,
        seconds=seconds,
    )


def _rare(train: Table, synthetic: Table, label: Any) -> int:
    classes, counts, made = train.schema.classes, train.counts, synthetic.counts
    if label is not None:
        position = class_position(classes, label)
        if not made[classes[position]]:
            held = ", ".join(str(c) for c in classes if made[c])
            raise DataError(
                365, f"the synthetic table has no row of {label!r}, it holds {held}: name that"
            )
        return position
    there = [k for k, c in enumerate(classes) if made[c] and counts[c]]
    return min(there, key=lambda k: counts[classes[k]])


def _split(table: Table, seed: np.random.SeedSequence) -> tuple[Table, Table, str]:
    """Train and holdout, each class in its share; a class of one row stays in train."""
    rng = np.random.default_rng(seed)
    labels, held = table.labels, np.zeros(len(table), dtype=bool)
    for position in range(len(table.schema.classes)):
        rows = rng.permutation(np.flatnonzero(labels == position))
        if len(rows) > 1:
            held[rows[: max(1, round(HELD_OUT * len(rows)))]] = True
    note = (
        f"no holdout was given: {held.sum():,} of {len(table):,} rows of train are held out, but "
        f"the synthesizer has seen them: its rows look more like them, and attacks find less, than "
        f"with rows that it never saw; keep some rows from it and give them as holdout"
    )
    return table.rows(~held), table.rows(held), note


def _groups(
    train: Table, synthetic: Table, holdout: Table, position: int, notes: list[str]
) -> dict[str, tuple[Table, Table, Table]]:
    """The rows of each class that is synthetic, the rare one first, and of all of them."""
    classes, counts, made = train.schema.classes, train.counts, synthetic.counts
    there = [k for k, c in enumerate(classes) if made[c] and k != position]
    there.sort(key=lambda k: counts[classes[k]])
    chosen = [position, *there[: MOST_CLASSES - 1]]
    tables, groups = (train, synthetic, holdout), {}
    for k in chosen:
        rows = [table.rows(table.labels == k) for table in tables]
        groups[str(classes[k])] = (rows[0], rows[1], rows[2])
    if len(there) + 1 > MOST_CLASSES:
        notes.append(f"fidelity looks at {MOST_CLASSES} of {len(there) + 1} classes by themselves")
    if there:
        held = np.array([position, *there])
        rows = [table.rows(np.isin(table.labels, held)) for table in tables]
        groups[EVERYTHING] = (rows[0], rows[1], rows[2])
        shares = [len(rows[k]) and (rows[k].labels == position).mean() for k in (0, 1)]
        if abs(shares[0] - shares[1]) > 0.02:
            notes.append(
                f"{classes[position]} is {shares[0]:.1%} of the rows of train and {shares[1]:.1%} "
                f"of the synthetic rows: this alone sets {EVERYTHING} of them apart"
            )
        if len(held) < sum(n > 0 for n in counts.values()):
            notes.append(f"{EVERYTHING}: rows of the classes that the synthetic table holds")
    return groups


def _joined(parts: list[Part]) -> Part:
    """Several parts as one; the curves of the first keep their names."""
    curves = dict(parts[0].curves)
    for part in parts[1:]:
        groups = [score.group for score in part.scores]
        group = groups[0] if groups else ""
        curves |= {f"{name} {group}": curve for name, curve in part.curves.items()}
    notes: list[str] = []
    broken: set[str] = set()
    for note in dict.fromkeys(note for part in parts for note in part.notes):
        rule = note.partition("“")[2]
        # A rule that is broken in a class is broken in all rows.
        if not (rule in broken and note.startswith(f"{EVERYTHING}: ")):
            notes.append(note)
        broken.add(rule or note)
    scores = [score for part in parts for score in part.scores]
    return Part(scores, curves, notes, parts[0].judges)
