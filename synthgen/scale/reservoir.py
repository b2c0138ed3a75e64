"""Sample a stream to learn from: keep every row of a rare class and some rows of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute

from synthgen.errors import DataError, UsageError
from synthgen.scale.sources import Source
from synthgen.tables.foreign import of_arrow

pc: Any = pyarrow.compute  # its functions are created on import, so type checkers miss them

KEEP = 200_000
# A target with more values than this is a number to predict, not a class.
MOST_CLASSES = 1_000


@dataclass(frozen=True)
class Kept:
    """The kept rows of a stream, and the size of the whole stream.

    Attributes:
        frame: The kept rows in the order of the stream.
        counts: Number of rows of each class in the whole stream.
        whole: Classes of which every row is kept.
        numbered: Integer columns that number the rows of the stream: their range has as many
            integers as the stream has rows, and all kept values differ. The kept rows alone show
            only part of these numbers, with gaps, and could be mistaken for quantities.
    """

    frame: pd.DataFrame
    counts: dict[Any, int]
    whole: tuple[Any, ...]
    numbered: tuple[str, ...]

    @property
    def rows(self) -> int:
        """Number of rows of the whole stream."""
        return sum(self.counts.values())


def keep_rows(
    source: Source,
    target: str,
    labels: Sequence[str] | None,
    keep: int,
    seed: np.random.SeedSequence,
) -> Kept:
    """Read a stream once; keep all rows of the rare classes and a random sample of the others."""
    if target not in source.schema.names:
        known = ", ".join(map(repr, source.schema.names[:10]))
        raise DataError(362, f"{source.name} has no column {target!r}: it has {known}")
    kept = _Kept(keep, set(labels or ()))
    rng, seen = np.random.default_rng(seed), 0
    for batch in source.read(None):
        cells = batch.column(batch.schema.get_field_index(target))
        if cells.null_count:
            row = seen + int(np.argmax(cells.is_null().to_numpy(zero_copy_only=False)))
            raise DataError(
                363, f"target {target!r}, row {row}: missing: give the class, or drop the row"
            )
        kept.add(batch, cells, rng.random(batch.num_rows), seen, target)
        seen += batch.num_rows
    if not seen:
        raise DataError(367, f"{source.name} has no rows: check what wrote it")
    return kept.result(labels)


class _Kept:
    """The rows kept so far, and each class's threshold for the random numbers of new rows."""

    def __init__(self, keep: int, whole: set[str]) -> None:
        self._keep, self._whole = keep, whole
        self._classes: dict[Any, int] = {}
        self._counts = np.zeros(0, dtype=np.int64)
        self._limit = np.zeros(0)
        self._parts: list[tuple[pa.Table, np.ndarray, np.ndarray, np.ndarray]] = []
        self._held = 0
        self._ranges: dict[str, tuple[int, int] | None] = {}

    def add(
        self, batch: pa.RecordBatch, cells: pa.Array, drawn: np.ndarray, first: int, target: str
    ) -> None:
        """Keep rows of a batch whose random numbers `drawn` are below the threshold."""
        self._note_ranges(batch)
        if not pa.types.is_dictionary(cells.type):
            cells = cells.dictionary_encode()
        place = [self._class_of(value, target) for value in cells.dictionary.to_pylist()]
        codes = np.array(place, dtype=np.int64)[cells.indices.to_numpy(zero_copy_only=False)]
        self._counts += np.bincount(codes, minlength=len(self._counts))
        here = np.flatnonzero(drawn <= self._limit[codes])
        if len(here):
            rows = pa.Table.from_batches([batch.take(pa.array(here))])
            self._parts.append((rows, drawn[here], codes[here], here + first))
            self._held += len(here)
        if self._held > 2 * self._keep * len(self._classes) + self._keep:
            self._prune()

    def _note_ranges(self, batch: pa.RecordBatch) -> None:
        """Update the range of each integer column; None if it has a missing cell."""
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if not batch.num_rows or not pa.types.is_integer(column.type):
                continue
            low, high = pc.min_max(column).as_py().values()
            before = self._ranges.get(name, (low, high))
            if before is None or column.null_count:
                self._ranges[name] = None
            else:
                self._ranges[name] = min(before[0], low), max(before[1], high)

    def _class_of(self, value: Any, target: str) -> int:
        if value not in self._classes:
            if len(self._classes) == MOST_CLASSES:
                raise DataError(
                    366,
                    f"target {target!r} has more than {MOST_CLASSES:,} values, such as "
                    f"{value!r}: give a column of classes",
                )
            self._classes[value] = len(self._classes)
            self._counts = np.append(self._counts, 0)
            self._limit = np.append(self._limit, 1.0)
        return self._classes[value]

    def _joined(self) -> tuple[pa.Table, np.ndarray, np.ndarray, np.ndarray]:
        tables, *arrays = zip(*self._parts, strict=True)
        drawn, codes, rows = map(np.concatenate, arrays)
        return pa.concat_tables(tables), drawn, codes, rows

    def _prune(self) -> None:
        """Drop rows whose random numbers can no longer be among the smallest of their class."""
        table, drawn, codes, rows = self._joined()
        for value, code in self._classes.items():
            own = drawn[codes == code]
            if len(own) > self._keep and str(value) not in self._whole:
                self._limit[code] = np.partition(own, self._keep - 1)[self._keep - 1]
        self._choose(table, drawn, codes, rows, drawn <= self._limit[codes])

    def _choose(
        self,
        table: pa.Table,
        drawn: np.ndarray,
        codes: np.ndarray,
        rows: np.ndarray,
        good: np.ndarray,
    ) -> None:
        here = np.flatnonzero(good)
        chosen = table.take(pa.array(here)).combine_chunks()
        self._parts = [(chosen, drawn[here], codes[here], rows[here])]
        self._held = len(here)

    def result(self, labels: Sequence[str] | None) -> Kept:
        """Return all rows of the complete classes, and the sample of the others."""
        counts = {value: int(self._counts[code]) for value, code in self._classes.items()}
        named = {str(value): value for value in counts}
        if labels is None:
            rarest = min(counts, key=lambda value: counts[value])
            if counts[rarest] > self._keep:
                raise UsageError(
                    229,
                    f"the rarest class, {rarest!r}, has {counts[rarest]:,} rows, of which "
                    f"{self._keep:,} are kept to learn from: keep more (--keep), or name the "
                    f"class (--label), which keeps all of its rows",
                )
            whole = [rarest]
        else:
            if lost := [label for label in labels if label not in named]:
                known = ", ".join(list(named)[:20])
                raise UsageError(
                    201, f"label {lost[0]!r} is no class of the target: its classes are {known}"
                )
            whole = [named[label] for label in labels]
        table, drawn, codes, rows = self._joined()
        good = np.isin(codes, [self._classes[value] for value in whole])
        others = np.sort(drawn[~good])
        if len(others):
            good |= drawn <= others[min(self._keep, len(others)) - 1]
        self._choose(table, drawn, codes, rows, good)
        frame, seen = of_arrow(self._joined()[0]), sum(counts.values())
        spans = {name: found[1] - found[0] + 1 for name, found in self._ranges.items() if found}
        numbered = tuple(n for n, span in spans.items() if span == seen and frame[n].is_unique)
        return Kept(frame, counts, tuple(whole), numbered)
