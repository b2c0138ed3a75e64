"""Reduce what trees learned about columns to what a model file may hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from synthgen.encoding.disclosure import PRIVATE_ROWS, coarsened
from synthgen.encoding.encoder import Encoder
from synthgen.errors import ModelFileError
from synthgen.synthesizers.bins import LARGEST_STEP, Bins
from synthgen.tables.column import LEVELS, NUMBERS, Column
from synthgen.tables.table import Table


def storable(
    table: Table, parts: list[Bins]
) -> tuple[tuple[Column, ...], Column, list[str]] | ModelFileError:
    """The features and the target as a file may hold them, with notes; or why it may not."""
    schema = table.schema
    target = schema[schema.target]
    for bins in parts:
        if not bins.shared:
            return ModelFileError(
                405,
                f"column {bins.column.name!r}: no value or range is shared by {PRIVATE_ROWS} rows, "
                "so a model file would reveal its training values: drop the column, or train on "
                "more rows",
            )
    columns = (*schema.features, target)
    try:
        coarse, notes = coarsened(Encoder(columns, (None,) * len(columns)), table.frame)
    except ModelFileError as error:
        return error
    by_name = {bins.column.name: bins for bins in parts}
    found = []
    for column, original in zip(coarse.columns, columns, strict=True):
        if original.kind in NUMBERS and original.name in by_name:
            column = _with_limits(column, original, by_name[original.name])
        found.append(column)
    return tuple(found[:-1]), found[-1], notes


def _with_limits(column: Column, original: Column, bins: Bins) -> Column:
    """A column of numbers with the limits that its codes have."""
    low, high = (bins.plain(v).item() if bins.scale else v.item() for v in bins.limits)
    points = set(bins.low[bins.shares.starts[:-1]][bins.exact].tolist())
    spikes = [s for s in original.spikes if round(s * (bins.scale or 1), 6) in points]
    step = int(bins.steps[~(bins.low == bins.high)].min(initial=LARGEST_STEP))
    step = step if original.kind != "numeric" and step < LARGEST_STEP else None
    return replace(column, lower=low, upper=high, step=step, spikes=tuple(spikes))


def renamed(bins: Bins, column: Column) -> Bins:
    """`bins` for `column`, which may name fewer categories."""
    if column.kind not in LEVELS:
        return replace(bins, column=column)
    places = {(type(c), c): i for i, c in enumerate(column.categories)}
    names = [bins.column.categories[p] for p in bins.low]
    low = np.array([places[type(n), n] for n in names], dtype=np.int64)
    return replace(bins, column=column, low=low, high=low)
