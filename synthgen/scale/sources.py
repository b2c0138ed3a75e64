"""Sources: tables that can be read repeatedly as streams of Arrow record batches."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from synthgen.errors import DataError, UsageError
from synthgen.scale.text import ENDINGS, csv_stream

ROWS_AT_ONCE = 131_072


@dataclass(frozen=True)
class Source:
    """A table that can be read repeatedly as a stream.

    Attributes:
        schema: Names, types, order and metadata of the columns.
        read: Function of a list of column names (None: all) that yields record batches from the
            first row on, in the same order at each call.
        name: Name of the table in messages.
    """

    schema: pa.Schema
    read: Callable[[list[str] | None], Iterator[pa.RecordBatch]]
    name: str

    @classmethod
    def of(cls, data: Any, *, sql: str | None = None) -> Source:
        """Make a source from a path, a dataset, a lazy frame or a database."""
        if isinstance(data, cls):
            return data
        if sql is not None:
            return _of_sql(str(data), sql)
        if isinstance(data, ds.Dataset):
            return _of_dataset(data, "the dataset")
        if type(data).__module__.startswith("polars.") and type(data).__name__ == "LazyFrame":
            return _of_polars(data)
        if isinstance(data, str | os.PathLike):
            files = files_of(str(data))
            if files[0].lower().endswith(ENDINGS):
                return cls(*csv_stream(files), str(data))
            return _of_dataset(_dataset(files), str(data))
        raise UsageError(
            220,
            f"a {type(data).__name__} cannot be read as a stream: give a Parquet file, folder or "
            f"pattern, an Arrow dataset or a polars LazyFrame",
        )


def is_stream(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a folder, a pattern or a database, which must be read as a stream."""
    text = str(path)
    return os.path.isdir(text) or (glob.has_magic(text) and not os.path.exists(text))


def files_of(path: str) -> list[str]:
    """The files of a path or pattern, in the order of their names."""
    files = [path] if os.path.exists(path) else []
    if os.path.isdir(path):
        files = sorted(str(p) for p in Path(path).rglob("*.parquet") if p.name[0] not in "_.")
    elif not files and glob.has_magic(path):
        files = sorted(glob.glob(path))
    if not files:
        raise DataError(310, f"{path}: no such file: check the path and the working directory")
    return files


def _dataset(files: list[str]) -> ds.Dataset:
    """Open Parquet or Arrow files."""
    kind = "ipc" if files[0].endswith((".arrow", ".feather")) else "parquet"
    try:
        return ds.dataset(files, format=kind)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            323, f"{files[0]}: damaged, or not a Parquet file: copy or write it again ({error})"
        ) from error


def _batches(dataset: ds.Dataset, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
    """Read a dataset one group of rows after the other."""
    how = {"columns": columns, "batch_size": ROWS_AT_ONCE, "cache_metadata": False}
    try:
        fragments = list(dataset.get_fragments())
    except ValueError:  # a dataset with a filter does not give its parts
        yield from dataset.to_batches(batch_readahead=2, fragment_readahead=1, **how)
        return
    for part in fragments:
        is_parquet = isinstance(part, ds.ParquetFileFragment)
        for group in part.split_by_row_group() if is_parquet else [part]:
            yield from group.to_batches(schema=dataset.schema, **how)


def _of_dataset(dataset: ds.Dataset, name: str) -> Source:
    def read(columns: list[str] | None) -> Iterator[pa.RecordBatch]:
        try:
            yield from _batches(dataset, columns)
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                323, f"{name}: damaged, or its files differ: write it again ({error})"
            ) from error

    return Source(dataset.schema, read, name)


def _of_polars(frame: Any) -> Source:
    def read(columns: list[str] | None) -> Iterator[pa.RecordBatch]:
        wanted = frame if columns is None else frame.select(columns)
        for part in wanted.collect_batches(chunk_size=ROWS_AT_ONCE, maintain_order=True):
            table = part.to_arrow()
            yield from table.cast(_like(table.schema, schema)).to_batches()

    schema = frame.head(0).collect().to_arrow().schema
    return Source(schema, read, "the LazyFrame")


def _like(part: pa.Schema, whole: pa.Schema) -> pa.Schema:
    return pa.schema([whole.field(name) for name in part.names], metadata=whole.metadata)


def _of_sql(path: str, sql: str) -> Source:
    if find_spec("duckdb") is None:
        raise UsageError(298, "--sql needs duckdb: pip install 'synthgen[duckdb]'")
    duckdb: Any = import_module("duckdb")
    is_table = is_stream(path) or path.endswith(".parquet")
    files = files_of(path) if is_table else []
    if not is_table and not os.path.isfile(path):
        raise DataError(310, f"{path}: no such file: check the path and the working directory")

    def reader() -> Any:
        connection = duckdb.connect(":memory:" if is_table else path, read_only=not is_table)
        try:
            if is_table:
                connection.read_parquet(files).create_view("data")
            kinds = [str(statement.type) for statement in connection.extract_statements(sql)]
            if len(kinds) != 1 or not kinds[0].endswith("SELECT"):
                raise duckdb.Error("it is not one SELECT")
            return connection.sql(sql).to_arrow_reader(ROWS_AT_ONCE)
        except duckdb.Error as error:
            raise DataError(
                359, f"{path}: DuckDB cannot run {sql!r}: {error}: correct the SELECT"
            ) from error

    def read(columns: list[str] | None) -> Iterator[pa.RecordBatch]:
        for batch in reader():
            yield batch if columns is None else batch.select(columns)

    return Source(reader().schema, read, path)
