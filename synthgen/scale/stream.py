"""`augment` for tables that do not fit in memory: they are read and copied as streams."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
from sklearn.base import clone

from synthgen.augmentation.amount import Addition, amounts, check_amount
from synthgen.augmentation.augment import DEFAULT_SYNTHESIZER, check_fit
from synthgen.augmentation.augmented import device_of
from synthgen.augmentation.guard import Guard
from synthgen.augmentation.rejection import guarded_sample
from synthgen.encoding.unlearned import unlearned
from synthgen.errors import OutputError, UsageError
from synthgen.progress import Progress
from synthgen.scale.reservoir import KEEP, Kept, keep_rows
from synthgen.scale.shards import BLOCK
from synthgen.scale.sources import Source
from synthgen.seeds import check_seed, child_seed, fresh_seed, seed_sequence
from synthgen.synthesizers.base import Synthesizer
from synthgen.synthesizers.lookup import resolve
from synthgen.tables.checks import check_flags
from synthgen.tables.column import Column
from synthgen.tables.disk import json_text, sha256_of, write_together
from synthgen.tables.schema import Schema, class_position
from synthgen.tables.table import Table

pc: Any = pyarrow.compute  # its functions are created on import, so type checkers miss them
_FRESH = "synthetic-"  # prefix of synthetic text IDs


def augment_stream(
    data: Any,
    output: str | os.PathLike[str],
    *,
    target: str,
    sql: str | None = None,
    labels: Sequence[str] | None = None,
    synthesizer: str | Synthesizer = DEFAULT_SYNTHESIZER,
    model: Synthesizer | None = None,
    ratio: float | str | None = None,
    n_samples: int | None = None,
    keep: int = KEEP,
    only_new: bool = False,
    mark: str | None = None,
    weights: str | None = None,
    rules: Sequence[str] = (),
    found_rules: bool = True,
    random_state: int | None = None,
    verbose: bool = False,
) -> dict[str, Any]:
    """Copy a table of any size to a file, followed by synthetic rows of its rare class."""
    check_flags(only_new=only_new, found_rules=found_rules, verbose=verbose)
    _check_arguments(output, ratio, n_samples, keep, random_state)
    added = {"--mark": mark, "--weights": weights}
    source = _without(Source.of(data, sql=sql), added)
    seed = fresh_seed() if random_state is None else int(random_state)
    with Progress(verbose) as progress:
        progress.start(f"reading {source.name}")
        began = time.perf_counter()
        kept = keep_rows(source, target, labels, keep, child_seed(seed_sequence(seed), 8))
        table = Table.of(kept.frame, target=target, schema=_decided(kept, target))
        additions = _additions(table, kept, ratio, n_samples)
        progress.start(f"learning from {len(table):,} of {kept.rows:,} rows")
        read = time.perf_counter()
        rows = _learned(table, additions, synthesizer, model, rules, found_rules, seed)
        seconds = {"read": read - began, "fit": time.perf_counter() - read}
        about = _about(kept, rows, only_new) | {"data": {"name": source.name, "sql": sql}}
        return _write(Path(output), source, rows, about, seconds, progress, only_new, added)


def _without(source: Source, added: dict[str, str | None]) -> Source:
    """Check that the source has none of the columns to add, and return it."""
    for option, name in added.items():
        if name in source.schema.names:
            raise UsageError(
                287, f"{option} {name}: the table has such a column: choose another name"
            )
    return source


def _check_arguments(
    output: str | os.PathLike[str], ratio: Any, n_samples: Any, keep: Any, seed: Any
) -> None:
    if not os.fspath(output).lower().endswith(".parquet"):
        raise OutputError(501, f"{output}: a stream is written as Parquet: end it in .parquet")
    if ratio == "auto" or (ratio is None and n_samples is None):
        raise UsageError(
            230,
            "the number of new rows cannot be validated on a table that is read as a stream: give "
            "it (n_samples, -n), or a ratio (ratio, --ratio)",
        )
    check_amount(ratio, n_samples)
    if isinstance(keep, bool) or not isinstance(keep, int | np.integer) or keep < 1:
        raise UsageError(203, f"keep must be a whole number from 1, not {keep!r}")
    check_seed(seed)


def _decided(kept: Kept, target: str) -> Schema | None:
    """Decide kinds of columns that follow from the whole table but not from the kept rows."""
    counted = "consecutive numbers, one for each row"
    found = tuple(
        Column(name, "id", kept.frame[name].dtype, reason=counted)
        for name in kept.numbered
        if name != target
    )
    return Schema(found) if found else None


def _additions(
    table: Table, kept: Kept, ratio: float | str | None, n_samples: int | None
) -> list[Addition]:
    """Compute how many rows of each class to generate, from its count in the whole table."""
    classes = table.schema.classes
    named = {classes[class_position(classes, value)]: value for value in kept.counts}
    counts = {label: kept.counts[named[label]] for label in classes}
    wanted = [label for label in classes if named[label] in kept.whole]
    return amounts(counts, wanted, ratio=ratio, n_samples=n_samples)


def _after(kept: Kept, additions: Sequence[Addition]) -> dict[Any, int]:
    new = {str(a.label): a.rows for a in additions}
    return {value: rows + new.get(str(value), 0) for value, rows in kept.counts.items()}


def _about(kept: Kept, rows: _Rows, only_new: bool) -> dict[str, Any]:
    """Collect the entries of the manifest that are known before any row is written."""
    added, table = rows.additions, rows.table
    return {
        "target": str(table.schema.target),
        "rows": (0 if only_new else kept.rows) + sum(a.rows for a in added),
        "rows_read": kept.rows,
        "learned_from": {"rows": len(table), "classes": _texts(table.counts)},
        "before": _texts(kept.counts),
        "after": _texts(_after(kept, added)),
        "added": [{"label": str(a.label), "rows": a.rows, "amount": a.reason} for a in added],
        "synthesizer": type(rows.fitted).__name__,
        "device": device_of(rows.fitted),
        "seed": rows.seed,
        "versions": {name: version(name) for name in ("synthgen", "pyarrow", "numpy")},
    }


def _texts(counts: dict[Any, int]) -> dict[str, int]:
    return {str(value): rows for value, rows in counts.items()}


def _learned(
    table: Table,
    additions: Sequence[Addition],
    synthesizer: str | Synthesizer,
    model: Synthesizer | None,
    rules: Sequence[str],
    found_rules: bool,
    seed: int,
) -> _Rows:
    """Check the rules, train the synthesizer, and return the source of synthetic rows."""
    limits = None if model is None else model.schema_
    guards = {
        a.label: Guard(table, a.label, rules=rules, limits=limits, found_rules=found_rules)
        for a in additions
    }
    if model is not None:
        check_fit(model, table)
        return _Rows(model, guards, additions, seed, table)
    rows = min(table.counts[a.label] for a in additions)
    fitted = cast(Synthesizer, clone(resolve(synthesizer, rows)))
    fitted.set_params(classes=[a.label for a in additions], random_state=seed)
    return _Rows(fitted.fit_table(table), guards, additions, seed, table)


# --- writing --------------------------------------------------------------------------------------


@dataclass
class _Rows:
    """Generates synthetic rows block by block, with IDs that do not occur in the table."""

    fitted: Synthesizer
    guards: dict[Any, Guard]
    additions: Sequence[Addition]
    seed: int
    table: Table

    def __post_init__(self) -> None:
        self.ids = {str(c.name): c for c in self.table.schema.features if c.kind == "id"}
        self.refused: dict[str, dict[str, int]] = {str(a.label): {} for a in self.additions}
        self.drawn = {str(a.label): 0 for a in self.additions}

    def see(self, batch: pa.RecordBatch) -> None:
        """Remember the IDs of a batch of the table."""
        for name in self.ids:
            cells = batch.column(batch.schema.get_field_index(name))
            self.ids[name] = _above(self.ids[name], cells)

    def batches(self, schema: pa.Schema) -> Iterator[tuple[Addition, pa.RecordBatch]]:
        """Generate blocks of synthetic rows with the types of the table, and their `Addition`."""
        done = 0
        for place, addition in enumerate(self.additions):
            seed = child_seed(seed_sequence(self.seed), 7, place)
            for first in range(0, addition.rows, BLOCK):
                rows = min(BLOCK, addition.rows - first)
                guarded = guarded_sample(
                    self.fitted,
                    rows,
                    self.guards[addition.label],
                    random_state=child_seed(seed, first // BLOCK),
                )
                self.drawn[str(addition.label)] += guarded.drawn
                refused = self.refused[str(addition.label)]
                for why, count in guarded.refused.items():
                    refused[why] = refused.get(why, 0) + count
                yield addition, self._batch(guarded.frame, schema, done)
                done += rows

    def _batch(self, frame: pd.DataFrame, schema: pa.Schema, after: int) -> pa.RecordBatch:
        arrays = []
        for field in schema:
            cells = frame[field.name]
            if field.name in self.ids:
                cells = unlearned(self.ids[field.name], len(frame), after=after)
            arrays.append(_cells(cells, field))
        return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _above(column: Column, cells: pa.Array) -> Column:
    """Extend the limits of an ID column so that they include these cells."""
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary
    if pa.types.is_integer(cells.type) or pa.types.is_floating(cells.type):
        found = pc.min_max(cells).as_py()
        if found["max"] is None:
            return column
        low, high = int(found["min"]), int(found["max"])
    else:
        fresh = pc.filter(cells, pc.fill_null(pc.starts_with(cells, _FRESH), False)).to_pylist()
        numbers = [int(n) for text in fresh if (n := text[len(_FRESH) :]).isdigit()]
        if not numbers:
            return column
        low, high = int(column.lower or 0), max(numbers)
    lowest = low if column.lower is None else min(low, int(column.lower))
    has_lower = column.lower is not None or pa.types.is_integer(cells.type)
    return replace(
        column, lower=lowest if has_lower else None, upper=max(high, int(column.upper or 0))
    )


def _cells(cells: pd.Series, field: pa.Field) -> pa.Array:
    """Convert synthetic cells to the type of their column."""
    try:
        if pa.types.is_dictionary(field.type):
            plain = pa.Array.from_pandas(cells.astype(object), type=field.type.value_type)
            return plain.dictionary_encode().cast(field.type)
        return pa.Array.from_pandas(cells, type=field.type)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise OutputError(
            508, f"column {field.name!r}: {field.type} cannot hold the new cells: {error}"
        ) from error


def _write(
    output: Path,
    source: Source,
    rows: _Rows,
    about: dict[str, Any],
    seconds: dict[str, float],
    progress: Progress,
    only_new: bool,
    added: dict[str, str | None],
) -> dict[str, Any]:
    """Copy the table, append the synthetic rows, and write and return the manifest."""
    whole = schema = source.schema
    for (_, name), kind in zip(added.items(), (pa.bool_(), pa.float64()), strict=True):
        if name is not None:
            whole = whole.append(pa.field(name, kind, nullable=False))
    done, began = 0, time.perf_counter()
    progress.start(f"writing {output}", total=about["rows"])
    with write_together(output, output.with_name(f"{output.name}.manifest.json")) as (file, says):
        with pq.ParquetWriter(file, whole, write_page_checksum=True) as writer:
            if only_new:
                for batch in source.read(list(rows.ids)) if rows.ids else ():
                    rows.see(batch)
            else:
                for batch in source.read(None):
                    rows.see(batch)
                    writer.write_batch(_marked(batch, whole, False, 1.0))
                    progress.update(done := done + batch.num_rows)
            seconds["copy"] = time.perf_counter() - began
            began = time.perf_counter()
            for addition, batch in rows.batches(schema):
                weight = about["before"][str(addition.label)] / addition.rows
                writer.write_batch(_marked(batch, whole, True, weight))
                progress.update(done := done + batch.num_rows)
        seconds["sample"] = time.perf_counter() - began
        file.flush()
        found = about | {
            "drawn": rows.drawn,
            "refused": rows.refused,
            "output": {"path": str(output), "sha256": sha256_of(file.name)},
            "seconds": {name: round(value, 3) for name, value in seconds.items()},
        }
        says.write((json_text(found) + "\n").encode())
    return found


def _marked(batch: pa.RecordBatch, schema: pa.Schema, new: bool, weight: float) -> pa.RecordBatch:
    """Convert a batch to the output schema; fill the mark and weight columns if it has them."""
    columns = batch.columns
    for field in list(schema)[len(columns) :]:
        value = new if pa.types.is_boolean(field.type) else weight
        columns.append(pa.array(np.full(batch.num_rows, value), field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)
