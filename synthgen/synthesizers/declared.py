"""Columns of a declared schema as codes: levels, or bins of numbers, without a look at the rows."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from synthgen.errors import DataError, UsageError
from synthgen.synthesizers.declared_cells import (
    CELLS,
    cell_count,
    cells_of,
    limits_of,
    text_of,
    texts,
    unit_of,
)
from synthgen.tables.calls import as_called
from synthgen.tables.checks import check_frame, listed
from synthgen.tables.column import LEVELS, NUMBERS, Column
from synthgen.tables.dtypes import is_time
from synthgen.tables.foreign import as_pandas
from synthgen.tables.schema import Schema
from synthgen.tables.table import Table, joined, native

# Columns with at most FEW_VALUES values need no bins: each value is a code.
FEW_VALUES = 16
MOST_LEVELS = 1000
HOW = "see 'Rows with a proof' in docs/howto/releasing.md"


@dataclass(frozen=True, eq=False)
class Coded:
    """A declared column as codes.

    Codes are the levels, or the bins of numbers; then one for cells that are none of these (a level
    that is not named, text among numbers, a missing cell of a column that declares none), which is
    never generated; and one for missing cells, if the column declares some.

    Attributes:
        column: The column as declared; `categories` may be learned.
        starts: First cell of each bin, int64 of shape (bins,), from 0; empty for levels. A cell is
            one step of a whole number or date, one unit of the last decimal, or a 65,536th of the
            range.
    """

    column: Column
    starts: np.ndarray

    @property
    def is_number(self) -> bool:
        """Whether the column has numbers or dates."""
        return self.column.kind in NUMBERS

    @property
    def lost(self) -> int:
        """The code of cells that are neither a level, nor a number, nor declared as missing."""
        return len(self.starts) if self.is_number else len(self.column.categories)

    @property
    def size(self) -> int:
        """Number of codes."""
        return self.lost + 1 + bool(self.column.missing)

    def encode(self, series: pd.Series) -> np.ndarray:
        """The code of each cell, int64 of shape (rows,)."""
        if self.is_number:
            cells, missing = cells_of(self.column, series)
            codes = np.searchsorted(self.starts, cells, side="right") - 1
            codes = np.where(cells < 0, self.lost, codes)
            return np.where(missing, self.size - 1, codes)
        known: dict[Any, int] = {None: self.size - 1}
        known |= {text_of(name): code for code, name in enumerate(self.column.categories)}
        return np.array([known.get(t, self.lost) for t in texts(self.column, series)], np.int64)

    def decode(self, codes: np.ndarray, uniform: np.ndarray) -> pd.Series:
        """Cells for codes; a number is drawn from its bin with a uniform number from [0, 1)."""
        column, gone = self.column, codes >= self.lost
        if not self.is_number:
            return column.restore(np.where(gone, -1, codes))
        ends = np.append(self.starts[1:], cell_count(column))
        bins = np.where(gone, 0, codes)
        width = ends[bins] - self.starts[bins]
        lower, upper = limits_of(column)
        if unit_of(column) is None:
            cells = self.starts[bins] + uniform * width
            values = lower + cells * (float(upper) - float(lower)) / CELLS
            values = values if column.decimals is None else np.round(values, column.decimals)
            return column.restore(np.clip(values, lower, upper), gone)
        cells = self.starts[bins] + np.minimum((uniform * width).astype(np.int64), width - 1)
        if column.kind == "numeric":
            values = np.round(lower + cells / 10 ** (column.decimals or 0), column.decimals or 0)
            return column.restore(np.clip(values, lower, upper), gone)
        return column.restore(lower + cells * (column.step or 1), gone)


# --- the declared schema --------------------------------------------------------------------------


def declared_table(data: Any, y: Any, target: Hashable | None, schema: Schema | None) -> Table:
    """A table with its declared schema. No cell is looked at: the header and the schema decide."""
    y, target = as_called(y, target)
    if y is not None:
        frame, target = joined(data, y, schema)
    else:
        frame = data.frame if isinstance(data, Table) else as_pandas(data)
        target = schema.target if target is None and schema is not None else target
    # How many rows there are, and even whether there is one, is measured with noise.
    some = frame.reindex([0]) if isinstance(frame, pd.DataFrame) and frame.empty else frame
    check_frame(some, target)
    if target is None:
        raise UsageError(217, "nothing says which column holds the classes: give target=...")
    frame = native(frame).reset_index(drop=True)
    given = declared(schema, list(frame.columns), target)
    assert schema is not None
    if lacking := [name for name in schema.names if name not in given.names]:
        raise DataError(
            333,
            f"the schema names column {lacking[0]!r}, which the table lacks: {listed(frame)}: "
            "rename the column, or take it out of the schema",
        )
    return Table(frame, given)


def declared(schema: Schema | None, names: Sequence[Hashable], target: Hashable) -> Schema:
    """The declared columns of a table, in order; raises if one is not declared in full."""
    if schema is None:
        raise UsageError(
            271,
            "differential privacy needs a schema with what is public about the columns (kinds, "
            f"ranges, classes), and none was given: use schema=... or --schema; {HOW}",
        )
    known = {column.name: column for column in schema.columns}
    if missing := [name for name in names if name not in known]:
        raise UsageError(
            271, f"column {missing[0]!r} is not in the schema: declare it there, or drop it; {HOW}"
        )
    columns = tuple(_checked(known[name], is_target=name == target) for name in names)
    return Schema(columns, target)


def _checked(column: Column, *, is_target: bool) -> Column:
    """The column as declared, or an error that says how to declare it."""
    who = f"column {column.name!r} of the schema"
    if column.reason:
        raise UsageError(
            271,
            f"{who} was inferred from rows (reason: {column.reason!r}), so its limits may be those "
            "of single rows ('synthgen schema' reads them): write only what is public, without "
            "'reason'",
        )
    if is_target and (column.kind not in ("categorical", "boolean") or len(column.categories) < 2):
        raise UsageError(
            271, f'{who}, the target, needs its classes: "kind": "categorical", "categories": [...]'
        )
    _refuse_periods(column, who)
    if column.kind == "constant" and len(column.categories) != 1:
        raise UsageError(271, f'{who} is constant and needs its value: "categories": [...]')
    if without_levels(column) and _is_of_time(column.dtype):
        raise UsageError(
            271,
            f"{who} has levels of type {column.dtype}, which must be declared, because other "
            'cells could be learned as levels and not be restored: list them in "categories", '
            'have them learned as text ("dtype": "object"), or declare "kind": "datetime" with '
            "its range",
        )
    if column.kind in LEVELS and column.categories:
        why: object = ""
        try:
            with warnings.catch_warnings():  # numpy 1 warns where a number does not fit
                warnings.simplefilter("error", DeprecationWarning)
                held = column.restore(np.arange(len(column.categories)))
            if held.isna().any() or held.nunique() < len(set(column.categories)):
                why = "some would be lost"
        except DeprecationWarning:
            why = "some would be lost"
        except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
            why = error
        if why:
            raise UsageError(
                271, f"{who} has levels that its type, {column.dtype}, cannot hold: {why}"
            )
    same = [c for c, n in Counter(map(text_of, column.categories)).items() if n > 1]
    if same:
        raise UsageError(271, f"{who} has two levels that read {same[0]!r}: keep one of them")
    if len(column.categories) > MOST_LEVELS:
        raise UsageError(
            271,
            f"{who} has {len(column.categories):,} levels, at most {MOST_LEVELS:,} are possible",
        )
    if column.kind in NUMBERS:
        if column.lower is None or column.upper is None:
            raise UsageError(
                271,
                f"{who} has no range: declare one that is public, not the smallest and largest "
                'value of the rows, such as "lower": 0, "upper": 120',
            )
        if column.kind != "numeric" and column.upper - column.lower >= 2**62:
            raise UsageError(271, f"{who} has a range of more than 2^62: declare a smaller one")
    if column.kind == "boolean" and not column.categories:
        column = replace(column, categories=(False, True))
    return replace(column, missing=0.0) if is_target else column


def _refuse_periods(column: Column, who: str) -> None:
    """Raise if cells of a column are periods, such as a month."""
    dtype = column.dtype
    inner = dtype.categories.dtype if isinstance(dtype, pd.CategoricalDtype) else dtype
    levels = column.categories
    if isinstance(inner, pd.PeriodDtype) or any(isinstance(v, pd.Period) for v in levels):
        raise UsageError(
            271,
            f"{who} holds periods ({dtype}), which no model file can hold: make the column text "
            'in table and schema (.astype(str), "dtype": "object"), or dates (.dt.to_timestamp())',
        )


def _is_of_time(dtype: Any) -> bool:
    """Whether cells of a dtype are dates, spans or intervals, which not every text is."""
    return is_time(dtype) or isinstance(dtype, pd.PeriodDtype | pd.IntervalDtype)


def needs_bins(column: Column) -> bool:
    """Whether a column has numbers, and too many of them to count each."""
    return column.kind in NUMBERS and cell_count(column) > FEW_VALUES


def first_cells(column: Column) -> np.ndarray:
    """First cells of the bins if each number is a bin; empty for levels, and if bins are needed."""
    few = column.kind in NUMBERS and not needs_bins(column)
    return np.arange(cell_count(column) if few else 0, dtype=np.int64)


def is_learned(column: Column) -> bool:
    """Whether a model learns the column."""
    return column.kind in NUMBERS or column.kind in ("categorical", "boolean")


def without_levels(column: Column) -> bool:
    """Whether the levels of the column are not declared, so that they must be learned."""
    return column.kind in LEVELS and not column.categories
