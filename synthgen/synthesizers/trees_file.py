"""Model file of trees: which column details it may store; reading and writing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from synthgen.encoding.disclosure import PRIVATE_ROWS, coarsened
from synthgen.encoding.encoder import Encoder
from synthgen.errors import ModelFileError
from synthgen.synthesizers.bins import LARGEST_STEP, MOST_CODES, MOST_ZEROS, Bins
from synthgen.synthesizers.forest import Forest
from synthgen.synthesizers.raking import Raking, check_groups
from synthgen.synthesizers.relations import Relation
from synthgen.synthesizers.shifts import Shifts
from synthgen.synthesizers.tree_columns import TreeColumn
from synthgen.tables.column import LEVELS, NUMBERS, Column
from synthgen.tables.table import Table
from synthgen.training.model_file import under, write_model


@dataclass(frozen=True)
class Storable:
    """The columns of a table as a file may hold them.

    Attributes:
        columns: The features.
        target: The target.
        notes: A sentence for each column that was coarsened.
    """

    columns: tuple[Column, ...]
    target: Column
    notes: list[str]


def storable(table: Table, parts: list[Bins]) -> Storable | ModelFileError:
    """The columns of `table` as a file may hold them; or why it may not."""
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
    return Storable(tuple(found[:-1]), found[-1], notes)


def _with_limits(column: Column, original: Column, bins: Bins) -> Column:
    """A column of numbers with the limits that its codes have."""
    low, high = (bins.plain(v).item() if bins.scale else v.item() for v in bins.limits)
    points = set(bins.low[bins.shares.starts[:-1]][bins.exact].tolist())
    spikes = [s for s in original.spikes if round(s * (bins.scale or 1), 6) in points]
    step = int(bins.steps[~(bins.low == bins.high)].min(initial=LARGEST_STEP))
    step = step if original.kind != "numeric" and step < LARGEST_STEP else None
    return replace(column, lower=low, upper=high, step=step, spikes=tuple(spikes))


def _renamed(bins: Bins, column: Column) -> Bins:
    """`bins` for `column`, which may name fewer categories."""
    if column.kind not in LEVELS:
        return replace(bins, column=column)
    places = {(type(c), c): i for i, c in enumerate(column.categories)}
    names = [bins.column.categories[p] for p in bins.low]
    low = np.array([places[type(n), n] for n in names], dtype=np.int64)
    return replace(bins, column=column, low=low, high=low)


def write_trees(
    path: str | os.PathLike[str],
    header: dict[str, Any],
    stored: Storable,
    learned: list[int],
    parts: Sequence[TreeColumn],
) -> None:
    """Write trees to a model file."""
    kinds = [stored.target, *(stored.columns[j] for j in learned)]
    entries, tensors = [], {}
    for i, (column, part) in enumerate(zip(kinds, parts, strict=True)):
        described, arrays = _renamed(part.bins, column).state()
        tensors |= {f"{i}/bins/{k}": v for k, v in arrays.items()}
        for name, forest in (("trees", part.forest), ("digits", part.digits)):
            if forest is not None:
                tensors |= {f"{i}/{name}/{k}": v for k, v in forest.state().items()}
        entry = {"bins": described, "relation": part.relation.to_json()}
        if part.shifts is not None:
            entry["shifts"] = {"by": part.shifts.by}
            tensors[f"{i}/shifts/edges"] = part.shifts.edges
        if part.raking is not None:
            tensors |= {f"{i}/raking/{k}": v for k, v in part.raking.state().items()}
        if i and len(part.groups) > 1:
            tensors[f"{i}/groups"] = part.groups
        entries.append(entry)
    more = {
        "columns": [c.to_json() for c in stored.columns],
        "learned": learned,
        "parts": entries,
        "coarsened": stored.notes,
    }
    write_model(path, header | more, tensors)


def read_trees(
    header: dict[str, Any], tensors: dict[str, Any]
) -> tuple[Storable, list[int], list[TreeColumn]]:
    """Read what `write_trees` wrote."""
    target = Column.from_json(header["target"])
    columns = tuple(map(Column.from_json, header["columns"]))
    learned = header["learned"]
    if not isinstance(learned, list) or len(learned) != len(set(learned)):
        raise ValueError("a column that is learned twice")
    if not all(type(j) is int and 0 <= j < len(columns) for j in learned):
        raise ValueError("a learned column that the table lacks")
    parts: list[TreeColumn] = []
    used, place = set(), 0  # position of the next predictor of the trees
    kinds = [target, *(columns[j] for j in learned)]
    for i, (column, entry) in enumerate(zip(kinds, header["parts"], strict=True)):
        found = {k: v for k, v in tensors.items() if k.startswith(f"{i}/")}
        used |= set(found)
        bins = Bins.from_state(column, entry["bins"], under(found, f"{i}/bins/"))
        relation = Relation.from_json(entry["relation"], [*(p.bins for p in parts), bins])
        forest = digits = shifts = raking = None
        if i and not relation.is_derived:
            width = bins.width + len(relation.same)
            if "shifts" in entry:
                of = under(found, f"{i}/shifts/")
                shifts = Shifts.from_state(entry["shifts"], of, [*(p.bins for p in parts), bins])
                width += shifts.width
                if width > MOST_CODES:
                    raise ValueError(f"{width} codes")
            forest = Forest.from_state(under(found, f"{i}/trees/"), place, width)
            if factors := under(found, f"{i}/raking/"):  # an older file has none
                groups = [len(part.groups) for part in parts]
                raking = Raking.from_state(factors, forest, groups)
        if shifts is None and ("shifts" in entry or under(found, f"{i}/shifts/")):
            raise ValueError("shifts of a column that trees do not predict")
        if raking is None and under(found, f"{i}/raking/"):
            raise ValueError("factors of a column that trees do not predict")
        default = np.arange(1 if i else bins.width, dtype=np.uint16)  # each class is a group
        first = found.get(f"{i}/groups", default)
        check_groups(first)
        place += 1
        if last := under(found, f"{i}/digits/"):
            if forest is None or not bins.rounded:
                raise ValueError("last digits of a column that has none")
            digits = Forest.from_state(last, place, MOST_ZEROS + 1)
            place += 1
        parts.append(TreeColumn(bins, first, relation, forest, digits, shifts, raking))
    if unknown := set(tensors) - used:
        raise ValueError(f"an unknown array {min(unknown)!r}")
    return Storable(columns, target, header["coarsened"]), learned, parts
