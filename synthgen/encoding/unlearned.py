"""Cells of columns that no model learns: constants, identifiers, free text, empty columns."""

from __future__ import annotations

import numpy as np
import pandas as pd

from synthgen.errors import DataError
from synthgen.tables import dtypes as cell
from synthgen.tables.column import Column


def unlearned(column: Column, rows: int, *, after: int = 0) -> pd.Series:
    """Cells for a column that no model learns."""
    if column.kind == "constant":
        return column.restore(np.zeros(rows, dtype=np.int64))
    if column.kind == "id" and (column.lower is not None or cell.is_numeric(column.dtype)):
        return column.restore(_new_numbers(column, rows, after))
    if column.kind == "id":
        first = int(column.upper or 0) + 1 + after
        values = pd.Series([f"synthetic-{i:06d}" for i in range(first, first + rows)], dtype=object)
    elif column.kind == "text":
        values = pd.Series([""] * rows, dtype=object)
    else:
        return cell.all_missing(rows, column.dtype, column.name, column.empty)
    values = pd.Series(cell.as_cells(values.to_numpy(), column.cells), dtype=object)
    dtype = "category" if isinstance(column.dtype, pd.CategoricalDtype) else column.dtype
    return values.astype(dtype).rename(column.name)  # pyright: ignore[reportArgumentType]


def _new_numbers(column: Column, rows: int, after: int) -> np.ndarray:
    """IDs above those of the column, or below them if the dtype has no room above."""
    lowest, highest = -(2**63), 2**63 - 1
    if cell.is_numeric(column.dtype):
        dtype = cell.numpy_type(column.dtype)
        if dtype.kind == "f":  # floats hold every whole number up to this limit only
            highest = 2 ** (np.finfo(dtype).nmant + 1)
            lowest = -highest
        else:
            lowest, highest = (
                max(lowest, int(np.iinfo(dtype).min)),
                min(highest, int(np.iinfo(dtype).max)),
            )
    upper = int(column.upper or 0)
    if upper + after + rows <= highest:
        first = upper + after + 1
    elif column.lower is not None and int(column.lower) - after - rows >= lowest:
        first = int(column.lower) - after - rows
    else:
        raise DataError(
            329,
            f"ID column {column.name!r} ({column.dtype}) has no room for {after + rows} new "
            f"IDs outside {column.lower} to {upper}: drop the column, or give it a wider dtype",
        )
    return np.arange(rows, dtype=np.int64) + first
