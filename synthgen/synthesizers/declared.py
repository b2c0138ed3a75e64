"""Columns of a declared schema as codes: levels, or bins of numbers, without a look at the rows."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pandas.api.types as pdt

from synthgen.errors import UsageError
from synthgen.tables.column import LEVELS, NUMBERS, Column
from synthgen.tables.read import MISSING
from synthgen.tables.schema import Schema

# A number that is not rounded lies in one of CELLS cells of its declared range.
CELLS = 1 << 16
# Columns with at most FEW_VALUES values need no bins: each value is a code.
FEW_VALUES = 16
MOST_LEVELS = 1000
# A number as a CSV may hold it; leading zeros make it a code.
NUMBER = re.compile(r"[+-]?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
HOW = "see 'Rows with a proof' in docs/howto/releasing.md"


@dataclass(frozen=True, eq=False)
class Coded:
    """A declared column as codes.

    Codes are the levels, or the bins of numbers; then one for cells that are none of these (a level
    that is not named, a missing cell of a column that declares none), which is never generated; and
    one for missing cells, if the column declares some.

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
            codes = np.searchsorted(self.starts, cells_of(self.column, series), side="right") - 1
            return np.where(series.isna().to_numpy(dtype=bool), self.size - 1, codes)
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
        if _unit(column) is None:
            cells = self.starts[bins] + uniform * width
            values = lower + cells * (float(upper) - float(lower)) / CELLS
            values = values if column.decimals is None else np.round(values, column.decimals)
            return column.restore(np.clip(values, lower, upper), gone)
        cells = self.starts[bins] + np.minimum((uniform * width).astype(np.int64), width - 1)
        if column.kind == "numeric":
            values = np.round(lower + cells / 10 ** (column.decimals or 0), column.decimals or 0)
            return column.restore(np.clip(values, lower, upper), gone)
        return column.restore(lower + cells * (column.step or 1), gone)


# --- levels ---------------------------------------------------------------------------------------


def text_of(cell: Any) -> str:
    """The text of a cell, however the column around it was read.

    A single row can change how a column is read: `250` is the number 250, 250.0 beside `1.5` or an
    empty cell, and text beside `V27`. Here it is "250" each time.

    Example:
        >>> [text_of(cell) for cell in (250, 250.0, "250.0", -0.0, "1.50", "007", True, "true")]
        ['250', '250', '250', '0', '1.5', '007', 'True', 'True']
    """
    if isinstance(cell, datetime.date):
        return cell.isoformat().removesuffix("T00:00:00")
    text = str(cell).strip()
    if text.casefold() in ("true", "false"):
        return text.capitalize()
    if not NUMBER.fullmatch(text):
        return text
    if text.lstrip("+-").isdigit():
        return str(int(text))
    value = float(text)
    return str(int(value)) if value.is_integer() else repr(value)


def texts(column: Column, series: pd.Series) -> list[str | None]:
    """The text of each cell of a column of levels; None: missing, or a word for it in a CSV."""
    names = {text_of(name) for name in column.categories}
    missing = {word for word in MISSING.to_pylist() if word not in names}
    known: dict[Any, str | None] = {}
    found = []
    for cell, gone in zip(series.astype(object), series.isna(), strict=True):
        key = (type(cell), cell)  # 1, 1.0 and True are equal
        if not gone and key not in known:
            text = text_of(cell)
            known[key] = None if text in missing else text
        found.append(None if gone else known[key])
    return found


def level_of(column: Column, text: str) -> Any:
    """The level with this text in the declared dtype; None if there is no such level.

    Example:
        >>> whole = Column("code", "categorical", np.dtype("int64"))
        >>> level_of(whole, "250"), level_of(whole, "V27")
        (250, None)
    """
    if pdt.is_bool_dtype(column.dtype):
        return {"True": True, "False": False}.get(text)
    if pdt.is_numeric_dtype(column.dtype):
        whole = text.removeprefix("-").isdigit()
        if pdt.is_integer_dtype(column.dtype):
            return int(text) if whole else None
        return float(text) if whole or NUMBER.fullmatch(text) else None
    return text


# --- numbers --------------------------------------------------------------------------------------


def limits_of(column: Column) -> tuple[Any, Any]:
    """The declared range of a column of numbers."""
    assert column.lower is not None
    assert column.upper is not None
    return column.lower, column.upper


def cell_count(column: Column) -> int:
    """Number of cells of the declared range of a column of numbers."""
    lower, upper = limits_of(column)
    unit = _unit(column)
    if unit is None:
        return CELLS
    if column.kind == "numeric":
        return round((upper - lower) * unit) + 1
    return (upper - lower) // unit + 1


def cells_of(column: Column, series: pd.Series) -> np.ndarray:
    """The cell of each number, int64 of shape (rows,); a number outside the range is at its end."""
    lower, upper = limits_of(column)
    values, _ = column.numbers(series)
    values, unit = np.clip(values, lower, upper), _unit(column)
    if unit is None:
        share = (values - lower) / max(float(upper) - float(lower), np.finfo(float).tiny)
        return np.minimum((share * CELLS).astype(np.int64), CELLS - 1)
    if column.kind == "numeric":
        cells = np.rint((values - lower) * unit).astype(np.int64)
        return np.minimum(cells, cell_count(column) - 1)
    return (values - lower) // unit


def needs_bins(column: Column) -> bool:
    """Whether a column has numbers, and too many of them to count each."""
    return column.kind in NUMBERS and cell_count(column) > FEW_VALUES


def first_cells(column: Column) -> np.ndarray:
    """First cells of the bins if each number is a bin; empty for levels, and if bins are needed."""
    few = column.kind in NUMBERS and not needs_bins(column)
    return np.arange(cell_count(column) if few else 0, dtype=np.int64)


def _unit(column: Column) -> int | None:
    """The step of whole numbers, cells per 1 of rounded ones, None for numbers not rounded."""
    if column.kind != "numeric":
        return column.step or 1
    lower, upper = limits_of(column)
    if column.decimals is None or (upper - lower) * 10**column.decimals >= 2**53:
        return None
    return 10**column.decimals


# --- the declared schema --------------------------------------------------------------------------


def declared(schema: Schema | None, names: Sequence[Hashable], target: Hashable) -> Schema:
    """The declared columns of a table, in its order; raises if one of them is not declared in full.

    Args:
        schema: The schema that the user gave.
        names: Columns of the table.
        target: Name of the target.

    Raises:
        UsageError: No schema was given, a column is not in it, was inferred from the rows, or
            lacks its range or classes (E271).
    """
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
    if column.kind == "constant" and len(column.categories) != 1:
        raise UsageError(271, f'{who} is constant and needs its value: "categories": [...]')
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


def is_learned(column: Column) -> bool:
    """Whether a model learns the column."""
    return column.kind in NUMBERS or column.kind in ("categorical", "boolean")


def without_levels(column: Column) -> bool:
    """Whether the levels of the column are not declared, so that they must be learned."""
    return column.kind in LEVELS and not column.categories
