"""Generate rows in shards; each shard is independent and reproducible on any machine.

Rows are generated in blocks of `BLOCK` rows; the seed of a block follows from its position. A shard
consists of consecutive blocks and is one Parquet file. Therefore a row depends only on the model
file, the seed and its position, not on the shard size, the number of processes or the engine.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from synthgen.augmentation.guard import Guard
from synthgen.augmentation.rejection import guarded_sample
from synthgen.encoding.unlearned import unlearned
from synthgen.errors import ModelFileError, OutputError
from synthgen.seeds import child_seed, seed_sequence
from synthgen.synthesizers.base import Synthesizer
from synthgen.synthesizers.lookup import load
from synthgen.tables.column import LEVELS, NUMBERS, Column
from synthgen.tables.disk import json_text, sha256_of, write_together
from synthgen.tables.schema import Schema
from synthgen.threads import threads_for

# Rows per block: 65,536 rows of 15 columns take about 100 MB while they are generated.
BLOCK = 65_536
# Default number of rows per file: about 7 MB for Adult.
SHARD_ROWS = 4 * BLOCK


@dataclass(frozen=True)
class Plan:
    """Which rows to generate: everything that a shard depends on.

    Attributes:
        model: Path of the model file; each worker reads it under this path.
        sha256: SHA-256 of the model file, so that no worker uses a different one.
        rows: Total number of rows, at least 1.
        seed: Seed, a whole number of at least 0.
        label: The class of all rows, as text. None: each class with its frequency in training.
        where: Levels that all rows have, by column name as text (see `Synthesizer.sample`).
        rules: Rules that every row must satisfy (see `Rule`).
        device: Device of the network in each worker, not "auto"; "cpu" if there is no network.
        shard_rows: Rows of each file except the last, a multiple of `BLOCK`.
    """

    model: str
    sha256: str
    rows: int
    seed: int
    label: Any = None
    where: Mapping[str, Any] | None = None
    rules: tuple[str, ...] = ()
    device: str = "cpu"
    shard_rows: int = SHARD_ROWS

    @property
    def shards(self) -> int:
        """Number of files."""
        return -(-self.rows // self.shard_rows)

    def rows_of(self, shard: int) -> int:
        """Number of rows of one file."""
        return min(self.shard_rows, self.rows - shard * self.shard_rows)

    def to_json(self) -> dict[str, Any]:
        """Give plain values that identify the rows: not the model's path, nor a GPU's number."""
        found = asdict(self) | {"rules": list(self.rules), "where": dict(self.where or {})}
        kept = {k: v for k, v in found.items() if k not in ("model", "sha256")}
        return {"model_sha256": self.sha256, **kept, "device": self.device.partition(":")[0]}


def shard_batches(plan: Plan, shard: int) -> Iterator[pa.RecordBatch]:
    """Generate the rows of one shard, block by block."""
    for batch, _ in _blocks(plan, shard):
        yield batch


def _blocks(plan: Plan, shard: int) -> Iterator[tuple[pa.RecordBatch, dict[str, Any]]]:
    """Generate the blocks of a shard, each with a summary of the rejected rows."""
    model = _loaded(plan.model, plan.sha256, plan.device)
    schema = arrow_schema(model.schema_)
    guard = Guard(None, plan.label, rules=plan.rules, limits=model.schema_)
    start = shard * plan.shard_rows
    for first in range(start, start + plan.rows_of(shard), BLOCK):
        rows = min(BLOCK, plan.rows - first)
        guarded = guarded_sample(
            model,
            rows,
            guard,
            random_state=child_seed(seed_sequence(plan.seed), first // BLOCK),
            where=wishes(plan.where, model.schema_),
        )
        yield _batch(guarded.frame, model.schema_, schema, first), guarded.summary()


def wishes(where: Mapping[str, Any] | None, schema: Schema) -> dict[Any, Any]:
    """Translate the column names in `where` from text to those of the model's columns."""
    named = {str(column.name): column.name for column in schema.features}
    return {named[name]: value for name, value in (where or {}).items()}


@lru_cache(maxsize=1)
def _loaded(path: str, sha256: str, device: str) -> Synthesizer:
    """Load the model; it is cached for workers that generate many shards."""
    found = sha256_of(path)
    if found != sha256:
        raise ModelFileError(
            423,
            f"{path} has the SHA-256 {found[:12]}..., but the rows need the model with "
            f"{sha256[:12]}...: give all workers the same file, or begin in a new folder",
        )
    return load(path, device=device)


# --- Arrow ----------------------------------------------------------------------------------------


def arrow_schema(schema: Schema) -> pa.Schema:
    """Make the Arrow schema of generated rows, which is the same for every shard."""
    columns = [*schema.features, schema[schema.target]]
    cells = {str(column.name): _specimen(column) for column in columns}
    fields, firsts = [], {}
    for column in columns:
        name = str(column.name)
        try:
            kind = pa.Array.from_pandas(cells[name]).type
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise OutputError(
                508,
                f"column {column.name!r}: Parquet cannot hold this: {error}: give the column one "
                f"type and train again",
            ) from error
        fields.append(pa.field(name, pa.string() if pa.types.is_null(kind) else kind))
        firsts[name] = cells[name].iloc[:1]
    metadata = pa.Schema.from_pandas(pd.DataFrame(firsts), preserve_index=False).metadata
    return pa.schema(fields, metadata=metadata)


def _specimen(column: Column) -> pd.Series:
    """Make example cells from which Arrow infers the type: every level, or one number."""
    if column.kind in LEVELS and column.categories:
        return column.restore(np.arange(len(column.categories)))
    if column.kind in NUMBERS:
        values = np.array([0 if column.lower is None else column.lower])
        return column.restore(values.astype(float if column.kind == "numeric" else np.int64))
    return unlearned(column, 1)


def _batch(frame: pd.DataFrame, schema: Schema, arrow: pa.Schema, first: int) -> pa.RecordBatch:
    """Convert a block to Arrow, with all levels of the schema and IDs unique to the block."""
    arrays = []
    for place, field in enumerate(arrow):
        column = [*schema.features, schema[schema.target]][place]
        cells = frame.iloc[:, place]
        if column.kind == "id":
            cells = unlearned(column, len(frame), after=first)
        elif isinstance(column.dtype, pd.CategoricalDtype):
            cells = cells.astype(column.dtype)
        arrays.append(pa.Array.from_pandas(cells, type=field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=arrow)


# --- files ----------------------------------------------------------------------------------------


def part_of(folder: Path, shard: int) -> tuple[Path, Path]:
    """Give the paths of a shard and of its manifest, in a folder with ``_`` that readers ignore."""
    name = f"part-{shard:06d}"
    return folder / f"{name}.parquet", folder / "_manifests" / f"{name}.json"


def write_shard(plan: Plan, folder: str | os.PathLike[str], shard: int) -> dict[str, Any]:
    """Generate one shard and write it with its manifest, completely or not at all."""
    part, about = part_of(Path(folder), shard)
    drawn, refused, classes = 0, {}, {}
    with threads_for(0, 1), write_together(part, about) as (file, manifest):
        writer = None
        for batch, summary in _blocks(plan, shard):
            writer = writer or pq.ParquetWriter(file, batch.schema, write_page_checksum=True)
            writer.write_batch(batch)
            drawn += summary["drawn"]
            _add(refused, summary["refused"])
            counts = batch.column(batch.num_columns - 1).value_counts().to_pylist()
            _add(classes, {str(c["values"]): c["counts"] for c in counts})
        assert writer is not None
        writer.close()
        file.flush()
        found = {
            "shard": shard,
            "file": part.name,
            "rows": plan.rows_of(shard),
            "bytes": os.path.getsize(file.name),
            "sha256": sha256_of(file.name),
            "drawn": drawn,
            "refused": refused,
            "classes": dict(sorted(classes.items())),
        }
        manifest.write((json_text(found) + "\n").encode())
    return found


def _add(sums: dict[str, int], more: Mapping[str, int]) -> None:
    for key, value in more.items():
        sums[key] = sums.get(key, 0) + value
