"""Split a table: its rows as one part, groups that share a fold, and test rows of each split."""

from __future__ import annotations

from typing import Any

import numpy as np

from synthgen.comparison.parts import Part
from synthgen.encoding.matrix import Matrix
from synthgen.errors import DataError
from synthgen.model_selection.folds import deal, equal_rows
from synthgen.seeds import child_seed
from synthgen.tables.calls import group_numbers
from synthgen.tables.schema import Schema, class_position
from synthgen.tables.table import Table


def label_of(table: Table, label: Any = None) -> Any:
    """Find the class of interest in the table; for None, the rarest class."""
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
    """Return the class of interest, and all rows of a table as one part."""
    counts = table.counts
    there = [c for c in table.schema.classes if counts[c]]
    known = Matrix.of(table.schema)
    if not known.columns:
        raise DataError(
            372, "no column can be used as a feature: all are IDs, free text or constant"
        )
    label = label_of(table, label)
    # Classes of the schema that do not occur in the table have no code.
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
    """Number the groups of rows that must share a fold; shape (rows,)."""
    if groups is not None:
        return group_numbers(groups, len(part))
    return equal_rows(part.places)


def outer_splits(
    part: Part, together: np.ndarray, folds: int, repeats: int, seed: np.random.SeedSequence
) -> list[np.ndarray]:
    """Make the test mask of each split, bool of shape (rows,), repeat by repeat."""
    found = []
    is_rare = part.y == part.rare
    for repeat in range(repeats):
        fold = deal(part.y, together, folds, np.random.default_rng(child_seed(seed, 1, repeat)))
        for f in range(folds):
            test = fold == f
            if is_rare[test].all() or not is_rare[test].any() or is_rare[~test].sum() < 3:
                raise DataError(
                    375,
                    f"groups leave fold {f + 1} of {folds}, or its training part, with too few "
                    f"rows of the class or no other rows: use fewer folds, or smaller groups",
                )
            found.append(test)
    return found
