"""How a table is split: its rows as one part, which rows share a fold, and the test rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from synthgen.comparison.parts import Part
from synthgen.encoding.matrix import Matrix
from synthgen.errors import DataError
from synthgen.model_selection.folds import deal, equal_rows
from synthgen.seeds import child_seed
from synthgen.tables.schema import Schema, class_position
from synthgen.tables.table import Table


def label_of(table: Table, label: Any = None) -> Any:
    """The class that matters, as the table has it; None: the rarest."""
    counts, classes = table.counts, table.schema.classes
    if label is None:
        return min((c for c in classes if counts[c]), key=lambda c: counts[c])
    return classes[class_position(classes, label)]


def training_part(
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
    known = Matrix.of(table.schema)
    if not known.columns:
        raise DataError(372, "no column can be learned from: all are IDs, free text or constant")
    label = label_of(table, label)
    # Classes that the table names and does not hold have no code.
    code = np.full(len(table.schema.classes), -1)
    code[[table.schema.classes.index(c) for c in there]] = np.arange(len(there))
    features = table.frame.drop(columns=[table.schema.target])
    part = Part(
        features,
        known.cells(features),
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


def group_ids(part: Part, groups: Any = None) -> np.ndarray:
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
    return equal_rows(part.places)


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
