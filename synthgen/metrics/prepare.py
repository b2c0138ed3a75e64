"""Prepare the rows of an evaluation: align tables, split off a holdout, and group by class."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from synthgen.errors import DataError, UsageError
from synthgen.metrics.alignment import aligned, in_order, new_rows, shared_rows
from synthgen.tables.foreign import as_pandas
from synthgen.tables.schema import Schema, class_position
from synthgen.tables.table import Table, joined

EVERYTHING = "all"
# Share of train to hold out if no holdout is given; largest number of classes that fidelity
# measures separately; difference in class shares from which a note is given.
HELD_OUT, MOST_CLASSES, OTHER_SHARE = 0.3, 4, 0.02


@dataclass(frozen=True, eq=False)
class Compared:
    """The rows of an evaluation, with one schema and in a canonical order.

    Attributes:
        train, synthetic, holdout: Tables with all rows.
        position: Position of the rare class in ``schema.classes``.
        groups: For each synthetic class, the rare one first, its rows in train, synthetic and
            holdout; and ``"all"``, the rows of all these classes.
        held_out: Whether `holdout` was given; otherwise it was split off from train.
        notes: Sentences about what was left out, split off or noticed.
        spoilt: Parts whose scores are invalid because tables share rows, each with the reason.
        left_out: Number of training rows in the synthetic table, which are not evaluated.
    """

    train: Table
    synthetic: Table
    holdout: Table
    position: int
    groups: dict[str, tuple[Table, Table, Table]]
    held_out: bool
    notes: tuple[str, ...]
    spoilt: dict[str, str]
    left_out: int

    @property
    def tables(self) -> tuple[Table, Table, Table]:
        return self.train, self.synthetic, self.holdout

    @property
    def label(self) -> Any:
        """The rare class."""
        return self.train.schema.classes[self.position]


def prepare(
    train: Any,
    synthetic: Any,
    holdout: Any,
    *,
    target: Hashable | None,
    label: Any,
    schema: Schema | None,
    seed: np.random.SeedSequence,
) -> Compared:
    """Check the tables against each other and align them; arguments are those of `evaluate`."""
    others = {"synthetic": synthetic} | ({} if holdout is None else {"holdout": holdout})
    given = {"train": train} | others
    if any(isinstance(table, tuple) for table in given.values()):
        given, target = _joined(given, target, schema)
    elif target is None:
        raise UsageError(
            217,
            "nothing says which column holds the classes: give every table as (X, y), or every "
            "table as one frame and target=...",
        )
    try:
        whole = Table.of(given.pop("train"), target=target, schema=schema)
    except DataError as error:
        raise DataError(error.code, f"train table: {error.message}") from error
    others = {which: as_pandas(table, f"the {which} table") for which, table in given.items()}
    tables, notes = aligned(whole, others)
    tables, left_out = new_rows(tables)
    if left_out:
        notes.append(
            f"the synthetic table contains the {left_out:,} rows of train: only its other "
            f"{len(tables['synthetic']):,} rows are evaluated"
        )
    shared, spoilt = shared_rows(tables)
    notes += shared
    tables = {which: in_order(table) for which, table in tables.items()}
    real, made = tables["train"], tables["synthetic"]
    position = _rare(real, made, label)
    if holdout is None:
        real, fresh, note = _split(real, seed)
        notes.append(note)
    else:
        fresh = tables["holdout"]
    groups = _groups(real, made, fresh, position)
    notes += _class_notes(real, groups, position)
    held_out = holdout is not None
    more = held_out, tuple(notes), spoilt, left_out
    return Compared(real, made, fresh, position, groups, *more)


def _joined(
    given: dict[str, Any], target: Hashable | None, schema: Schema | None
) -> tuple[dict[str, Any], Hashable]:
    """Join pairs of features and classes to frames; also return the common name of the target."""
    if target is not None:
        raise UsageError(
            216,
            f"tables as (X, y) and target={target!r} were both given: give every table as (X, y), "
            "or every table as one frame and target=...",
        )
    frames: dict[str, Any] = {}
    for which, pair in given.items():
        if not isinstance(pair, tuple) or len(pair) != 2:
            form = "a tuple" if isinstance(pair, tuple) else f"a {type(pair).__name__}"
            raise UsageError(
                217,
                f"the {which} table is {form}, not a pair (X, y): give every table as (X, y), or "
                "every table as one frame and target=...",
            )
        try:
            frame, name = joined(*pair, schema)
        except DataError as error:
            raise DataError(error.code, f"{which} table: {error.message}") from error
        # In other tables the classes may have another name or none; their position identifies them.
        target = name if which == "train" else target
        frame.columns = pd.Index([*frame.columns[:-1], target], dtype=object, tupleize_cols=False)
        frames[which] = frame
    return frames, target


def _rare(train: Table, synthetic: Table, label: Any) -> int:
    """Find the position of the class to report first."""
    classes, counts, made = train.schema.classes, train.counts, synthetic.counts
    if label is not None:
        position = class_position(classes, label)
        if not made[classes[position]]:
            held = ", ".join(str(c) for c in classes if made[c])
            raise DataError(
                365,
                f"the synthetic table has no row of {label!r}: choose a class that it has ({held})",
            )
        return position
    there = [k for k, c in enumerate(classes) if made[c] and counts[c]]
    return min(there, key=lambda k: counts[classes[k]])


def _split(table: Table, seed: np.random.SeedSequence) -> tuple[Table, Table, str]:
    """Split off a stratified holdout; return both and a note. A single row stays in train."""
    rng = np.random.default_rng(seed)
    labels, held = table.labels, np.zeros(len(table), dtype=bool)
    for position in range(len(table.schema.classes)):
        rows = rng.permutation(np.flatnonzero(labels == position))
        if len(rows) > 1:
            held[rows[: max(1, round(HELD_OUT * len(rows)))]] = True
    note = (
        f"no holdout was given: {held.sum():,} of {len(table):,} rows of train are held out. The "
        f"synthesizer has seen them, so fidelity looks better and attacks look weaker than they "
        f"are: keep some rows out of training and give them as the holdout"
    )
    return table.rows(~held), table.rows(held), note


def _groups(
    train: Table, synthetic: Table, holdout: Table, position: int
) -> dict[str, tuple[Table, Table, Table]]:
    """Group the rows by synthetic class, the rare one first, and all of these together."""
    classes, groups = train.schema.classes, {}

    def rows_of(held: list[int]) -> tuple[Table, Table, Table]:
        one, two, three = (t.rows(np.isin(t.labels, held)) for t in (train, synthetic, holdout))
        return one, two, three

    there = [position, *_other_classes(train, synthetic, position)]
    for k in there[:MOST_CLASSES]:
        groups[str(classes[k])] = rows_of([k])
    if len(there) > 1:
        groups[EVERYTHING] = rows_of(there)
    return groups


def _other_classes(train: Table, synthetic: Table, position: int) -> list[int]:
    """List the positions of the other synthetic classes, the rarest first."""
    classes, counts, made = train.schema.classes, train.counts, synthetic.counts
    there = [k for k, c in enumerate(classes) if made[c] and k != position]
    return sorted(there, key=lambda k: counts[classes[k]])


def _class_notes(
    train: Table, groups: dict[str, tuple[Table, Table, Table]], position: int
) -> list[str]:
    """Note classes that are not measured separately, and class shares that differ."""
    if EVERYTHING not in groups:
        return []
    real, made, _ = groups[EVERYTHING]
    notes, classes = [], train.schema.classes
    held = len(set(made.labels.tolist()) | {position})
    if held > MOST_CLASSES:
        notes.append(f"fidelity is measured separately for {MOST_CLASSES} of {held} classes")
    shares = [len(rows) and (rows.labels == position).mean() for rows in (real, made)]
    if abs(shares[0] - shares[1]) > OTHER_SHARE:
        notes.append(
            f"{classes[position]} makes up {shares[0]:.1%} of the rows of train and "
            f"{shares[1]:.1%} of the synthetic rows. That alone lets a detector separate "
            f"“{EVERYTHING}” rows, so use the scores of single classes"
        )
    if held < sum(n > 0 for n in train.counts.values()):
        notes.append(f"{EVERYTHING}: only rows of the classes that the synthetic table has")
    return notes
