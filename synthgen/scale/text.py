"""CSV files as streams: they are read once for the types of the columns, then block by block."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv

from synthgen.errors import DataError
from synthgen.tables.read import MISSING, SAMPLE, csv_layout, typed_cells, undefused_cells

pc: Any = pyarrow.compute  # type checkers do not see its functions, made on import

ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
BLOCK_BYTES = 1 << 23  # bytes of text in one batch, which limits the length of a record
_WORDS = pa.binary()  # stands for the type of cells such as NA, which are missing among numbers


def csv_stream(
    files: list[str],
) -> tuple[pa.Schema, Callable[[list[str] | None], Iterator[pa.RecordBatch]]]:
    """Read CSV files of one header as a stream."""
    layouts = [_layout_of(file) for file in files]
    delimiter, header, _ = layouts[0]
    for file, (other, names, _) in zip(files, layouts, strict=True):
        if (other, names) != (delimiter, header):
            raise DataError(323, f"{file}: its header or delimiter is not that of {files[0]}")
    comma = delimiter == ";"
    kinds = [pa.null()] * len(header)
    for file, layout in zip(files, layouts, strict=True):
        for batch in _text(file, *layout):
            found = (_kind(cells, comma) for cells in batch.columns)
            kinds = [_joined(old, new) for old, new in zip(kinds, found, strict=True)]
    final = {pa.null(): pa.float64(), _WORDS: pa.string()}
    schema = pa.schema([(n, final.get(k, k)) for n, k in zip(header, kinds, strict=True)])

    def read(columns: list[str] | None) -> Iterator[pa.RecordBatch]:
        wanted = schema if columns is None else pa.schema([schema.field(n) for n in columns])
        for file, layout in zip(files, layouts, strict=True):
            for batch in _text(file, *layout):
                cells = [_cells(batch.column(f.name), f.type, comma) for f in wanted]
                yield pa.RecordBatch.from_arrays(cells, schema=wanted)

    return schema, read


@contextmanager
def _parsing(file: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise DataError(
            324,
            f"{file}: not UTF-8 CSV that can be read as a stream ({error}): correct the record, or "
            f"write it again as Parquet",
        ) from error


def _layout_of(file: str) -> tuple[str, list[str], int]:
    """Find the delimiter, the header, and the number of lines above the header."""
    with _parsing(file), pa.input_stream(file) as stream:
        head = stream.read(SAMPLE + 1).removeprefix(codecs.BOM_UTF8)
        head.partition(b"\n")[0].decode()
    return csv_layout(file, head)


def _text(file: str, delimiter: str, header: list[str], skip: int) -> Iterator[pa.RecordBatch]:
    """Yield blocks of a file with every cell as text."""
    with _parsing(file), pa.input_stream(file) as stream:
        reader = pyarrow.csv.open_csv(
            stream,
            pyarrow.csv.ReadOptions(
                column_names=header, skip_rows=skip, skip_rows_after_names=1, block_size=BLOCK_BYTES
            ),
            pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string())),
        )
        yield from (batch for batch in reader if batch.num_rows)


def _kind(cells: pa.Array, comma: bool) -> pa.DataType:
    """Find the type of a block's cells: null if all are empty, `_WORDS` if all are missing."""
    if pc.all(pc.equal(cells, "")).as_py():
        return pa.null()
    if pc.all(pc.is_in(pc.utf8_trim_whitespace(cells), MISSING)).as_py():
        return _WORDS
    found = typed_cells(pa.chunked_array([cells]), decimal_comma=comma)
    if isinstance(found.dtype, pd.DatetimeTZDtype):  # pandas 3.1 warns where Arrow converts it
        lib: Any = vars(pa)["lib"]  # type checkers do not see it
        return pa.timestamp(found.dtype.unit, lib.tzinfo_to_string(found.dtype.tz))
    return pa.Array.from_pandas(found).type


def _joined(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """Find the type of a column, one block of which has `one` type and another the `other`."""
    text = pa.string()
    if one == other or other == pa.null():
        return one
    if one == pa.null():
        return other
    if _WORDS in (one, other):
        known = other if one == _WORDS else one
        return text if pa.types.is_boolean(known) else known
    if {one, other} == {pa.int64(), pa.float64()}:
        return pa.float64()
    both = all(pa.types.is_timestamp(kind) and kind.tz for kind in (one, other))
    return pa.timestamp(one.unit, "UTC") if both and one.unit == other.unit else text


def _cells(cells: pa.Array, kind: pa.DataType, comma: bool) -> pa.Array:
    """Convert a block's cells to the type of their column, which all of them fit."""
    if pa.types.is_string(kind) or pa.types.is_boolean(kind):
        empty = pc.equal(cells, "").to_numpy(zero_copy_only=False)
        if pa.types.is_string(kind):
            return pa.array(undefused_cells(cells), kind, mask=empty)
        return pa.array(pc.equal(cells, "True").to_numpy(zero_copy_only=False), kind, mask=empty)
    bare = pc.utf8_trim_whitespace(cells)
    bare = pc.if_else(pc.is_in(bare, MISSING), pa.scalar(None, pa.string()), bare)
    if pa.types.is_floating(kind):
        bare = pc.utf8_ltrim(pc.replace_substring(bare, ",", ".") if comma else bare, "+")
    if pa.types.is_timestamp(kind) and kind.tz:
        return pc.cast(bare, pa.timestamp(kind.unit, "UTC")).cast(kind)
    return pc.cast(bare, kind)
