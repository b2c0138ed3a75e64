"""Frames of other packages, such as polars and Arrow: pandas at the door, the same kind back."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute

from synthgen.errors import DataError

pc: Any = pyarrow.compute  # its functions are created on import, so type checkers miss them

# Packages with their own frame type; narwhals, which knows most of them, is imported for these.
FOREIGN = ("polars", "pyarrow", "modin", "dask", "cudf", "pyspark", "vaex", "ibis", "narwhals")


def as_pandas(data: Any, what: str = "the table") -> Any:
    """A frame or series of another package as a pandas one; anything else unchanged."""
    package = type(data).__module__.partition(".")[0]
    if package not in FOREIGN:
        return data
    cells = _as_arrow(data)
    if isinstance(cells, pa.Table):
        if len(set(cells.column_names)) < cells.num_columns:  # the caller says which ones repeat
            return pd.DataFrame([range(cells.num_columns)], columns=cells.column_names)
        return of_arrow(cells)
    if cells is not None:
        return of_arrow(pa.table({"y": cells}))["y"].rename(getattr(data, "name", None))
    lazy = ".collect()" if type(data).__name__ == "LazyFrame" else ""
    convert = {"dask": "compute", "pyspark": "toPandas"}.get(package, "to_pandas")
    raise DataError(
        355,
        f"{what} is a {package} {type(data).__name__}, which is not read: give "
        f"{'y' if what == 'y' else 'frame'}{lazy}.{convert}()",
    )


def as_given(rows: pd.DataFrame | pd.Series, given: Any, *, kept: int = 0) -> Any:
    """Rows in the kind of frame that was given, with its column types."""
    if type(given).__module__.partition(".")[0] not in FOREIGN:
        return rows
    old = _as_arrow(given)
    assert old is not None  # `as_pandas` has refused it
    if isinstance(rows, pd.Series):
        kind = old.type if isinstance(old, pa.ChunkedArray) else old.schema.field(rows.name).type
        return _native(pa.table([pa.array(rows, kind)], [str(rows.name)]), given, series=True)
    known = {field.name: field for field in old.schema}
    inferred = pa.Schema.from_pandas(rows, preserve_index=False).remove_metadata()
    schema = pa.schema([known.get(field.name, field) for field in inferred])
    table = pa.Table.from_pandas(rows, schema, preserve_index=False).replace_schema_metadata()
    for place, field in enumerate(schema) if kept else ():
        if field.name in known:
            new = table.column(place).slice(kept)
            cells = pa.chunked_array([*old.column(field.name).chunks, *new.chunks], field.type)
            table = table.set_column(place, field, cells)
    return _native(table.unify_dictionaries(), given)


def none_of(given: Any) -> Any:
    """`given` without its rows; None for pandas and NumPy."""
    if type(given).__module__.partition(".")[0] not in FOREIGN:
        return None
    empty = _as_arrow(given)
    return None if not isinstance(empty, pa.Table) else _native(empty.schema.empty_table(), given)


def of_arrow(table: pa.Table, *, indexed: bool = False) -> pd.DataFrame:
    """Convert to pandas; integer columns with missing cells become nullable (such as Int64)."""
    frame = table.to_pandas(ignore_metadata=not indexed)
    about = (table.schema.pandas_metadata or {}) if indexed else {}
    names = [name for name in table.column_names if name not in about.get("index_columns", [])]
    for place, name in enumerate(names):
        cells = table.column(name)
        if pa.types.is_integer(cells.type) and cells.null_count and len(names) == frame.shape[1]:
            values = pc.fill_null(cells, 0).to_numpy().copy()
            gone = pc.is_null(cells).to_numpy().copy()
            exact = pd.Series(pd.arrays.IntegerArray(values, gone), index=frame.index)
            frame.isetitem(place, exact)
    return frame


def _as_arrow(data: Any) -> Any:
    """A `pyarrow.Table` of a frame, a `ChunkedArray` of a series; None if narwhals cannot."""
    import narwhals.stable.v2 as nw
    import pyarrow.dataset as ds

    if isinstance(data, ds.Dataset):
        return data.to_table()
    if isinstance(data, pa.Table | pa.ChunkedArray):
        return data
    found = nw.from_native(data, allow_series=True, pass_through=True)
    if isinstance(found, nw.LazyFrame) and found.implementation is nw.Implementation.POLARS:
        found = found.collect()
    if isinstance(found, nw.DataFrame):
        return found.to_arrow()
    if isinstance(found, nw.Series):
        cells: Any = found.to_arrow()
        return cells if isinstance(cells, pa.ChunkedArray) else pa.chunked_array([cells])
    return None


def _native(table: pa.Table, given: Any, *, series: bool = False) -> Any:
    """An Arrow table as a frame of the package of `given`, or its only column as a series."""
    import narwhals.stable.v2 as nw
    import pyarrow.dataset as ds

    if isinstance(given, ds.Dataset):
        return table.column(0) if series else ds.dataset(table)
    kind = nw.from_native(given, allow_series=True)
    frame = nw.from_arrow(table, backend=kind.implementation)
    if series:
        return frame[frame.columns[0]].to_native()
    return frame.lazy().to_native() if isinstance(kind, nw.LazyFrame) else frame.to_native()
