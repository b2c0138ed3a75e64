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

# Rows per block; after PATIENCE blocks, another one is made only if one row of each matches.
BLOCK, PATIENCE = 8192, 16


def matching_rows(
    make: Callable[[int, np.random.SeedSequence], pd.DataFrame],
    schema: Schema,
    where: Mapping[Hashable, object],
    rows: int,
    seed: np.random.SeedSequence,
    label: object,
) -> pd.DataFrame:
    """Make blocks of rows and keep those that have given levels, until there are enough.

    If there are too few, they are repeated in turn, and a warning gives Kish's effective sample
    size (1965).
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
    made = f"of {blocks * BLOCK:,} rows made"
    said = " and ".join(f"{name} = {value!r}" for name, value in where.items())
    if not found:
        raise UsageError(
            238, f"class {label!r}: none {made} has {said}: ask for levels that are less rare"
        )
    order = np.arange(rows) % found
    if found < rows:
        worth = rows**2 / (np.bincount(order) ** 2).sum()
        warnings.warn(
            f"class {label!r}: only {found:,} {made} have {said}, so they are repeated: the "
            f"{rows:,} rows are worth {worth:,.0f} (effective sample size)",
            UserWarning,
            stacklevel=5,
        )
    chosen = pd.concat(parts, ignore_index=True).iloc[order].reset_index(drop=True)
    for place, column in enumerate(schema.features):
        if column.kind == "id":
            chosen.isetitem(place, unlearned(column, rows))
    return chosen


def _codes(schema: Schema, where: Mapping[Hashable, object]) -> dict[int, int]:
    """The wanted code by the position of its column; -1: a missing cell."""
    places = {c.name: place for place, c in enumerate(schema.features) if c.kind in LEVELS}
    found = {}
    for name, value in where.items():
        if name not in places:
            use = f"use one of {', '.join(map(repr, places))}" if places else "no column has"
            raise UsageError(238, f"column {name!r} has no levels: {use}")
        levels = schema.features[places[name]].categories
        found[places[name]] = level_position(name, value, levels, missing=True)
    return found
