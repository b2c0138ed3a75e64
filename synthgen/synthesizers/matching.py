"""Rows with given levels, chosen among the rows that a synthesizer makes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Mapping

import numpy as np
import pandas as pd

from synthgen.encoding.unlearned import unlearned
from synthgen.errors import UsageError
from synthgen.seeds import child_seed
from synthgen.tables.column import LEVELS, level_position
from synthgen.tables.schema import Schema

# Rows are made in blocks of fixed size, so that a longer sample begins with the rows of a shorter.
BLOCK = 8192
# After this many blocks, no further one is made unless one row of each matches on average.
PATIENCE = 16


def matching_rows(
    make: Callable[[int, np.random.SeedSequence], pd.DataFrame],
    schema: Schema,
    where: Mapping[Hashable, object],
    rows: int,
    seed: np.random.SeedSequence,
    label: object,
) -> pd.DataFrame:
    """Make rows in blocks and keep those that have given levels, until there are enough.

    The kept rows are independent draws from the synthesizer's rows on this condition. If there are
    too few, they are repeated in turn, and a warning says how many rows the sample is worth: the
    effective sample size of Kish (1965), the squared number of rows over the sum of the squared
    numbers of repeats.

    Args:
        make: Makes that many rows from a seed; a frame of the features, shape (rows, features).
        schema: The columns of the rows.
        where: The level of each named column; None for a missing cell.
        rows: Number of rows.
        seed: Each block has a child of its own.
        label: The class of the rows, for messages.

    Returns:
        Exactly `rows` rows.

    Raises:
        UsageError: A column has no levels, or not this one, or no row that was made matches (E238).

    Example:
        >>> frame = pd.DataFrame({"sex": ["f", "m", "m", "m"] * 2048})
        >>> schema, seed = Schema.infer(frame), np.random.SeedSequence(0)
        >>> matching_rows(lambda n, s: frame[:n], schema, {"sex": "f"}, 3, seed, 1)["sex"].tolist()
        ['f', 'f', 'f']
    """
    wanted = _codes(schema, where)
    parts, found, blocks = [], 0, 0
    while found < rows and (blocks < PATIENCE or found >= blocks):
        block = make(BLOCK, child_seed(seed, blocks))
        fits = np.ones(BLOCK, dtype=bool)
        for place, code in wanted.items():
            fits &= schema.features[place].positions(block.iloc[:, place]) == code
        parts.append(block[fits])
        found, blocks = found + int(fits.sum()), blocks + 1
    said = " and ".join(f"{name} = {value!r}" for name, value in where.items())
    if not found:
        raise UsageError(
            238,
            f"class {label!r}: none of {blocks * BLOCK:,} rows made has {said}: ask for other "
            "levels, or learn from more rows that have these",
        )
    if found < rows:
        worth = rows**2 / (np.bincount(np.arange(rows) % found) ** 2).sum()
        warnings.warn(
            f"class {label!r}: only {found:,} of {blocks * BLOCK:,} rows made have {said}, so they "
            f"are repeated: the {rows:,} rows are worth {worth:,.0f} (effective sample size)",
            UserWarning,
            stacklevel=5,
        )
    chosen = pd.concat(parts, ignore_index=True).iloc[np.arange(rows) % found]
    chosen = chosen.reset_index(drop=True)
    for place, column in enumerate(schema.features):
        if column.kind == "id":
            chosen.isetitem(place, unlearned(column, rows))
    return chosen


def _codes(schema: Schema, where: Mapping[Hashable, object]) -> dict[int, int]:
    """The wanted code by the position of its column; -1 is a missing cell."""
    places = {c.name: place for place, c in enumerate(schema.features) if c.kind in LEVELS}
    found = {}
    for name, value in where.items():
        if name not in places:
            use = f"use one of {', '.join(map(repr, places))}" if places else "no column has"
            raise UsageError(238, f"column {name!r} has no levels: {use}")
        levels = schema.features[places[name]].categories
        found[places[name]] = level_position(name, value, levels, missing=True)
    return found
