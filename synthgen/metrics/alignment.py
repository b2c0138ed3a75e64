"""Align three tables: one schema, columns matched by name, rows in a canonical order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from synthgen.encoding.matrix import Matrix
from synthgen.errors import DataError
from synthgen.tables import checks
from synthgen.tables import dtypes as cell
from synthgen.tables.checks import check_frame
from synthgen.tables.column import LEVELS, Column
from synthgen.tables.inference import no_class
from synthgen.tables.schema import Schema
from synthgen.tables.table import Table, as_frame

LEFT_OUT = ("id", "text", "missing")
SHOWN = 5  # number of levels to list that only synthetic rows have
OVERLAP = 0.01  # two tables with this share of equal rows may contain the same records


def aligned(train: Table, others: dict[str, pd.DataFrame]) -> tuple[dict[str, Table], list[str]]:
    """Convert all tables to one schema, which contains the levels of all of them."""
    notes: list[str] = []
    compared = [c for c in train.schema.columns if c.kind not in LEFT_OUT]
    if left := [str(c.name) for c in train.schema.columns if c.kind in LEFT_OUT]:
        notes.append(f"columns not compared (IDs, texts, empty columns): {', '.join(left)}")
    cells: dict[str, dict[Hashable, pd.Series]] = {
        "train": {c.name: train.frame[c.name] for c in compared}
    }
    for which, frame in others.items():
        cells[which], extra = _cells(which, frame, compared, train.schema)
        if extra:
            notes.append(f"columns of {which} that train lacks are left out: {', '.join(extra)}")
    columns = []
    for column in compared:
        rows = {which: of[column.name].reset_index(drop=True) for which, of in cells.items()}
        column, rows, said = _one_kind(column, rows, column.name == train.schema.target)
        columns.append(column)
        notes += said
        for which in cells:
            cells[which][column.name] = rows[which]
    schema = Schema(tuple(columns), train.schema.target)
    names = [c.name for c in columns]
    tables = {}
    for which, series in cells.items():
        rows = [series[name] for name in names]
        tables[which] = Table(as_frame(rows, names, len(rows[0])), schema)
    return tables, notes


def _cells(
    which: str, frame: pd.DataFrame, compared: list[Column], schema: Schema
) -> tuple[dict[Hashable, pd.Series], list[str]]:
    """Select the columns of a table to compare; also return the columns that train lacks."""
    check_frame(frame, None)
    by_text = {str(c): c for c in frame.columns}
    lacking = [str(c.name) for c in compared if str(c.name) not in by_text]
    if lacking:
        named = f"column{'s' * (len(lacking) > 1)} {', '.join(map(repr, lacking[:8]))}"
        it = "them" if len(lacking) > 1 else "it"
        raise DataError(364, f"the {which} table lacks {named} of train: add or rename {it}")
    known = {str(c) for c in schema.names}
    cells = {}
    for column in compared:
        series = cell.tidy(frame[by_text[str(column.name)]])
        try:
            checks.check(column.name, series)
            if column.kind in ("numeric", "integer"):
                series = _as_numbers(series)
            elif column.kind == "datetime":
                series = _as_dates(series, column.dtype)
            if column.name == schema.target:
                _check_classes(series, column.categories)
        except DataError as error:
            raise DataError(error.code, f"{which} table: {error.message}") from error
        cells[column.name] = series
    return cells, [text for text in by_text if text not in known]


def _one_kind(
    column: Column, rows: dict[str, pd.Series], is_target: bool
) -> tuple[Column, dict[str, pd.Series], list[str]]:
    """Unify a column over all tables: return it with common levels, precision, kind; and notes."""
    notes: list[str] = []
    try:
        if column.kind in LEVELS:
            column, rows = _of_levels(column, rows, is_target)
            notes += [] if is_target else _made_up(column, rows)
        else:
            column, rows = _as_precise(column, rows, notes)
            column = _of_numbers(column, rows, notes)
    except DataError as error:
        raise DataError(error.code, f"synthetic or holdout table: {error.message}") from error
    return column, rows, notes


def _check_classes(series: pd.Series, classes: tuple[Any, ...]) -> None:
    """Raise if a row has no class, or a class that train does not have (compared as text)."""
    gone = series.isna().to_numpy(dtype=bool)
    if gone.any():
        raise no_class(series, gone)
    known = {*classes, *map(str, classes)}
    values = series.astype(object)
    lost = np.array([v not in known and str(v) not in known for v in values], dtype=bool)
    if lost.any():
        row, value = cell.row_of(series, lost)
        some = ", ".join(map(cell.shown, classes[:8])) + (", ..." if len(classes) > 8 else "")
        raise DataError(
            332,
            f"column {series.name!r}, row {row}: {value} is not a class of train ({some}); "
            f"{lost.sum()} rows have such classes: drop these rows, or add rows of their classes "
            f"to train",
        )


def _as_numbers(series: pd.Series) -> pd.Series:
    """Convert texts to numbers; raise for the first text that is not a number."""
    if not _any_text(series):
        return series
    numbers = pd.to_numeric(series, errors="coerce")
    what = "not a number, but the column holds numbers in train: correct the cell"
    return _all_read(series, numbers, 331, what)


def _as_dates(series: pd.Series, dtype: Any) -> pd.Series:
    """Convert texts such as 2024-05-31 to dates; raise for the first text that is not a date."""
    if not _any_text(series) or not pd.api.types.is_datetime64_any_dtype(dtype):
        return series
    zoned = isinstance(dtype, pd.DatetimeTZDtype)
    dates = pd.to_datetime(series, errors="coerce", format="ISO8601", utc=zoned)
    what = "not a date such as 2024-05-31, but the column holds dates in train: correct the cell, "
    return _all_read(series, dates, 348, f"{what}or convert the column with pandas.to_datetime")


def _any_text(series: pd.Series) -> bool:
    return any(isinstance(value, str) for value in series)


def _all_read(texts: pd.Series, found: pd.Series, code: int, what: str) -> pd.Series:
    """Return the values parsed from texts; raise if a text could not be parsed."""
    wrong = found.isna().to_numpy(dtype=bool) & texts.notna().to_numpy(dtype=bool)
    if wrong.any():
        row, value = cell.row_of(texts, wrong)
        raise DataError(code, f"column {texts.name!r}, row {row}: {value} is {what}")
    return found


def in_order(table: Table) -> Table:
    """Sort rows by their cells, so that no random draw depends on the order of the input."""
    cells = Matrix.fitted_on(table, with_target=True).cells(table)
    return table.rows(np.lexsort(cells.T)) if cells.size else table


def _of_levels(
    column: Column, rows: dict[str, pd.Series], is_target: bool
) -> tuple[Column, dict[str, pd.Series]]:
    """Give the column the levels of all tables."""
    known = set(column.categories)
    by_text = {str(level): level for level in column.categories}
    new: dict[Any, None] = {}
    out = {}
    for which, series in rows.items():
        series = series.astype(object)
        found = [v for v in series.dropna().unique() if v not in known]
        swap = {v: by_text[str(v)] for v in found if str(v) in by_text}
        if swap:
            series = series.map(lambda v, swap=swap: swap.get(v, v))
        new |= dict.fromkeys(v for v in found if v not in swap)
        out[which] = series
    if not new or is_target:
        return column, out
    dtype = object if isinstance(column.dtype, pd.CategoricalDtype) else column.dtype
    levels = (*column.categories, *sorted(new, key=str))
    return replace(column, categories=levels, dtype=dtype), out


def _made_up(column: Column, rows: dict[str, pd.Series]) -> list[str]:
    """Note levels of synthetic rows that do not occur in train, if there are any."""
    known = set(rows["train"].dropna())
    found = Counter(str(v) for v in rows["synthetic"].dropna() if v not in known)
    if not found:
        return []
    shown = [f"{value!r} ({n:,})" for value, n in found.most_common(SHOWN)]
    more = f" and {len(found) - SHOWN:,} more" if len(found) > SHOWN else ""
    return [
        f"column {column.name}: {found.total():,} synthetic rows have a value that is not in "
        f"train: {', '.join(shown)}{more}"
    ]


def _as_precise(
    column: Column, rows: dict[str, pd.Series], notes: list[str]
) -> tuple[Column, dict[str, pd.Series]]:
    """Round a column to float32 in all tables if one table has only float32 precision.

    Otherwise a copied value would differ from the original by a rounding error.
    """
    floats = [which for which, s in rows.items() if pd.api.types.is_float_dtype(s.dtype)]
    short = [which for which in floats if getattr(rows[which].dtype, "itemsize", 8) < 8]
    if column.kind != "numeric" or not short or len(short) == len(rows):
        return column, rows
    found = [column.numbers(series) for series in rows.values()]
    with np.errstate(over="ignore"):
        rounded = [values.astype(np.float32).astype(np.float64) for values, _ in found]
    same = all((r == v)[~gone].all() for r, (v, gone) in zip(rounded, found, strict=True))
    if same or not all(np.isfinite(r).all() for r in rounded):
        return column, rows
    notes.append(
        f"column {column.name}: compared in 32-bit precision, that of {' and '.join(short)}"
    )
    out = {
        which: pd.Series(np.where(gone, np.nan, r), name=column.name)
        for (which, (_, gone)), r in zip(zip(rows, found, strict=True), rounded, strict=True)
    }
    spikes = tuple(float(np.float32(value)) for value in column.spikes)
    return replace(column, dtype=np.dtype(float), spikes=spikes), out


def _of_numbers(column: Column, rows: dict[str, pd.Series], notes: list[str]) -> Column:
    """Make an integer column a float column if another table has fractions in it."""
    for which, series in rows.items():
        try:
            column.numbers(series)
        except DataError:
            if column.kind != "integer":
                raise
            column = replace(column, kind="numeric", dtype=np.dtype(float), step=None)
            column.numbers(series)
            notes.append(f"column {column.name}: whole numbers in train, fractions in {which}")
    return column


def shared_rows(tables: dict[str, Table]) -> tuple[list[str], dict[str, str]]:
    """Find rows that occur in two of the tables."""
    keys = _keys(tables)
    spoilt: dict[str, str] = {}
    train, made, fresh = keys["train"], keys["synthetic"], keys.get("holdout", [])
    known = set(train)
    copied, notes = sum(k in known for k in made), []
    seen = sum(k in known for k in fresh)
    if copied:
        beside = f"; of the holdout rows, {seen:,} of {len(fresh):,} are"
        notes.append(
            f"{copied:,} of {len(made):,} synthetic rows are equal to a row of train"
            f"{beside if fresh else ''}"
        )
    # With few levels, equal rows occur by chance: expect the share of duplicates within train.
    usual = sum(n for n in Counter(train).values() if n > 1) / len(train)
    if fresh and seen / len(fresh) > OVERLAP + usual:
        notes.append(
            f"{seen:,} of {len(fresh):,} holdout rows are equal to a row of train. If they are the "
            f"same records, utility is too high and privacy cannot be measured: give other rows as "
            f"the holdout"
        )
        why = "holdout rows are also in train"
        spoilt = {"utility": why, "privacy": why}
    of_fresh = len(set(made) & set(fresh) - known)
    if of_fresh > max(1, OVERLAP * len(set(made))) and of_fresh > 2 * len(set(made) & known):
        notes.append(
            f"{of_fresh:,} different synthetic rows are equal to a holdout row that is not in "
            f"train. If the synthesizer has seen the holdout, no score here is valid: give other "
            f"rows as the holdout"
        )
        why = "synthetic rows are also in the holdout"
        spoilt = dict.fromkeys(("fidelity", "utility", "privacy"), why)
    return notes, spoilt


def new_rows(tables: dict[str, Table]) -> tuple[dict[str, Table], int]:
    """If the synthetic table is an augmented one, leave the training rows out of it.

    An augmented table contains every row of train and more, with train first or its rows anywhere.
    The latter is not checked if most rows of train have duplicates, because tables with few levels
    contain each other by chance.
    """
    keys = _keys({which: tables[which] for which in ("train", "synthetic")})
    train, made = keys["train"], keys["synthetic"]
    left = Counter(train)
    begins = made[: len(train)] == train
    if len(made) <= len(train) or not (begins or 2 * len(left) > len(train)):
        return tables, 0
    kept = []
    for place, key in enumerate(made):
        if left[key] > 0:
            left[key] -= 1
        else:
            kept.append(place)
    if any(left.values()):
        return tables, 0
    rows = tables["synthetic"].rows(np.array(kept, dtype=np.int64))
    return tables | {"synthetic": rows}, len(train)


def _keys(tables: dict[str, Table]) -> dict[str, list[bytes]]:
    """Compute a key for each row, which equal rows share; the first table must be train."""
    matrix = Matrix.fitted_on(tables["train"], with_target=True)
    return {
        which: [row.tobytes() for row in np.ascontiguousarray(matrix.cells(table) + 0.0)]
        for which, table in tables.items()
    }
