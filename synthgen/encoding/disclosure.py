"""Coarsening of an encoder for a model file: it stores no value that fewer than 5 rows have."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import cast

import numpy as np
import pandas as pd

from synthgen.encoding.columns import Levels, Scale
from synthgen.encoding.decimals import Decimals
from synthgen.encoding.encoder import Encoder
from synthgen.encoding.quantiles import nearest
from synthgen.errors import ModelFileError
from synthgen.tables.column import LEVELS, NUMBERS, Column

# At least this many rows hold a stored value, and neighbouring knots are as many rows apart.
PRIVATE_ROWS = 5


def coarsened(encoder: Encoder, frame: pd.DataFrame) -> tuple[Encoder, list[str]]:
    """Coarsen an encoder so that it stores no value of a single training row."""
    coarse = [
        _coarse(column, part, frame[column.name])
        for column, part in zip(encoder.columns, encoder.parts, strict=True)
    ]
    notes = [f"{column.name}: {note}" for column, _, note in coarse if note]
    return Encoder(tuple(c for c, _, _ in coarse), tuple(p for _, p, _ in coarse)), notes


def rounded_count(rows: int) -> int:
    """Round a number of rows for a model file: to a multiple of 5, from 100 to two digits."""
    unit = _unit(rows)
    return max(5, (rows + unit // 2) // unit * unit) if rows else 0


def _unit(rows: int) -> int:
    return 5 if rows < 100 else 10 ** (len(str(rows)) - 2)


def shareable_counts(counts: np.ndarray) -> np.ndarray:
    """The number of rows of each level of a column, coarsened for a file."""
    counts = np.asarray(counts)
    few = counts < PRIVATE_ROWS
    rounded = np.array([float(rounded_count(int(rows))) for rows in counts])
    together = int(counts[few].sum())
    # A total of one or two rows becomes 0: rounded to 5, it could make up half of a class.
    rounded[few] = rounded_count(together) / few.sum() if together > PRIVATE_ROWS // 2 else 0.0
    return rounded if rounded.any() else np.ones(len(rounded))


def shareable_classes(
    target: Column, counts: Sequence[int], *, named: Collection[int], keep_all: bool
) -> tuple[Column, list[int], tuple[int, int], str]:
    """The target without the names of classes that fewer than 5 rows hold."""
    kept = [
        position
        for position, rows in enumerate(counts)
        if keep_all or rows >= PRIVATE_ROWS or position in named
    ]
    if keep_all:
        return target, kept, (0, 0), ""
    names = tuple(target.categories[position] for position in kept)
    dtype = target.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        # Categories without a row are dropped too: rows that were left out may have held them.
        levels = dtype.categories[dtype.categories.isin(pd.Index(names))]
        dtype = pd.CategoricalDtype(levels, ordered=dtype.ordered)
    column = replace(target, categories=names, dtype=dtype)
    lost = [rows for position, rows in enumerate(counts) if position not in kept]
    if not lost:
        return column, kept, (0, 0), ""
    note = (
        f"{target.name}: {len(lost)} of {len(counts)} classes have fewer than {PRIVATE_ROWS} rows; "
        f"the file counts them as other classes, without their names"
    )
    return column, kept, (len(lost), rounded_count(sum(lost))), note


def _coarse(
    column: Column, part: Levels | Scale | None, series: pd.Series
) -> tuple[Column, Levels | Scale | None, str]:
    """A column and its part, coarsened, and a note of what was left out."""
    if isinstance(column.dtype, pd.CategoricalDtype) and column.kind in ("id", "text", "missing"):
        column = replace(column, dtype=pd.CategoricalDtype())  # its categories are training cells
    gone = int(series.isna().sum())
    rare = 0 < gone < PRIVATE_ROWS
    column = replace(column, missing=0.0 if rare else float(f"{column.missing:.2g}"))
    if column.kind in LEVELS:
        column, part, note = _coarse_categories(column, part, series)
    elif column.kind in NUMBERS and isinstance(part, Levels):
        column, part, note = _coarse_numbers(column, part, series)
    elif isinstance(part, Scale):
        column, part, note = _coarse_scale(column, part, series)
    elif column.kind == "id":
        column, note = _coarse_id(column)
    else:
        # A column that is not learned needs no bounds, and bounds are values of single rows.
        column, note = replace(column, lower=None, upper=None, step=None, spikes=()), ""
    if part is not None:
        part = replace(part, column=column)
        if rare and part.missing:
            # The code of missing cells gets another meaning: without it, the network would not fit.
            if isinstance(part, Levels):
                part = replace(
                    part, values=np.append(part.values, part.values[part.frequent]), missing=False
                )
            else:
                middle = part.knots[len(part.knots) // 2]
                part = replace(part, spikes=np.append(part.spikes, middle), missing=False)
    if rare:
        note = f"{note}{'; ' * bool(note)}missing cells in fewer than {PRIVATE_ROWS} rows left out"
    return column, part, note


def _coarse_id(column: Column) -> tuple[Column, str]:
    if column.upper is None:
        return replace(column, lower=None), ""
    lower, upper = int(column.lower or 0), int(column.upper)
    above = 10 ** len(str(abs(upper)))
    below = 0 if lower >= 0 else -(10 ** len(str(-lower)))
    if above >= 2**63 or below < -(2**63):
        raise ModelFileError(
            405,
            f"column {column.name!r}: its IDs have up to {len(str(above)) - 1} digits, so new IDs "
            f"from the next power of ten on do not fit 64 bits: drop the column, or make it text",
        )
    column = replace(column, lower=None if column.lower is None else below, upper=above)
    return column, f"new IDs start above {above}"


def _coarse_categories(
    column: Column, part: Levels | Scale | None, series: pd.Series
) -> tuple[Column, Levels | None, str]:
    assert not isinstance(part, Scale)
    codes = column.codes(series)
    counts = np.bincount(codes[codes >= 0], minlength=len(column.categories))
    keep = counts >= PRIVATE_ROWS
    if not keep.any():
        raise _nothing_shared(column)
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        # pandas keeps unused categories when rows are selected, so they are dropped here.
        kept = column.restore(np.flatnonzero(keep)).to_numpy(dtype=object)
        used = dtype.categories[dtype.categories.isin(kept)]
        dtype = pd.CategoricalDtype(used, ordered=dtype.ordered)
    elif keep.all():
        return column, part, ""
    names = tuple(c for c, k in zip(column.categories, keep, strict=True) if k)
    moved = np.where(keep, np.cumsum(keep) - 1, -1)
    levels = len(keep)
    if isinstance(column.dtype, pd.CategoricalDtype):
        levels = len(column.dtype.categories)
    rare = levels - int(keep.sum())
    if part is not None:
        values = moved[part.values]
        weight = np.where(values >= 0, counts[part.values], 0)
        stand_in = int(np.argmax(weight))
        fallback = values[stand_in] if values[stand_in] >= 0 else moved[int(np.argmax(counts))]
        part = replace(part, values=np.where(values >= 0, values, fallback), frequent=stand_in)
    note = f"{rare} of {levels} values were seen in fewer than {PRIVATE_ROWS} rows and left out"
    return replace(column, categories=names, dtype=dtype), part, note * bool(rare)


def _coarse_numbers(column: Column, part: Levels, series: pd.Series) -> tuple[Column, Levels, str]:
    values, gone = column.numbers(series)
    distinct, counts = np.unique(values[~gone], return_counts=True)
    shared = distinct[counts >= PRIVATE_ROWS]
    if not len(shared):
        known = np.sort(values[~gone])
        shared = np.unique(_file_knots(column, known, np.arange(len(known)), len(known))[0])
    merged = shared[nearest(shared, part.values)]
    column = _with_limits(column, shared, distinct[counts >= PRIVATE_ROWS])
    changed = int((merged != part.values).sum())
    note = (
        f"{changed} values that fewer than {PRIVATE_ROWS} rows hold became the nearest other value"
        if changed
        else ""
    )
    # The step could reveal a rare value, and levels need no rounding.
    return (replace(column, step=1) if column.step else column), replace(part, values=merged), note


def _coarse_scale(column: Column, part: Scale, series: pd.Series) -> tuple[Column, Scale, str]:
    values, gone = column.numbers(series)
    distinct, counts = np.unique(values[~gone], return_counts=True)
    shared = distinct[counts >= PRIVATE_ROWS]
    rows = round(0.5 / part.grid[0])
    places = np.round(part.grid * rows - 0.5).astype(np.int64)
    knots = part.knots
    if rows < 3 * PRIVATE_ROWS:  # too few rows of this class: use the quantiles of all rows
        knots = np.sort(values[~gone & ~np.isin(values, part.spikes)])
        rows = len(knots)
        places = np.arange(rows)
    if column.step is not None and knots[PRIVATE_ROWS - 1 : -PRIVATE_ROWS].size:
        # If only the outermost rows differ, the step is their distance and reveals them.
        inner = knots[PRIVATE_ROWS - 1 : -PRIVATE_ROWS]
        if inner[0] == inner[-1]:
            column = replace(column, step=1)
    knots, grid = _file_knots(column, knots, places, rows)
    spikes = part.spikes
    if len(spikes):
        stand_ins = np.union1d(shared, knots)
        spikes = stand_ins[nearest(stand_ins, spikes)]
    column = _with_limits(column, np.concatenate([knots, spikes]), shared)
    low, high = column.restore(knots[[0, -1]])
    note = (
        f"{len(knots)} rounded quantiles from {low} to {high} in place of about "
        f"{rounded_count(rows)} values"
    )
    decimals = None
    if part.decimals is not None:
        known = np.sort(values[~gone & ~np.isin(values, part.spikes)])
        decimals = Decimals.of(column, known, knots, grid)
    return column, replace(part, knots=knots, grid=grid, spikes=spikes, decimals=decimals), note


def _with_limits(column: Column, stored: np.ndarray, shared: np.ndarray) -> Column:
    """`column` with the limits of the stored values, and those spikes that 5 rows share."""
    spikes = tuple(np.array(column.spikes)[np.isin(column.spikes, shared)].tolist())
    return replace(column, lower=stored.min().item(), upper=stored.max().item(), spikes=spikes)


def _file_knots(
    column: Column, values: np.ndarray, places: np.ndarray, rows: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rounded knots, at least 5 rows apart and 5 rows from each end, and their grid."""
    # Shares are computed for a rounded number of rows. Otherwise they, or the number of knots,
    # would reveal the exact number of rows; now 123 and 124 rows give the same shares.
    rounded = max(PRIVATE_ROWS, rows // _unit(rows) * _unit(rows))
    shares = (places + 0.5) * rounded // max(rows, 1)
    apart = -(-PRIVATE_ROWS * rounded // max(rows, 1))
    chosen: list[int] = []
    last = last_share = -1
    for i, (place, share) in enumerate(zip(places.tolist(), shares.tolist(), strict=True)):
        if place - last < PRIVATE_ROWS or place > rows - PRIVATE_ROWS:
            continue
        if len(chosen) < 2 or share - last_share >= apart:
            chosen.append(i)
            last, last_share = place, share
    if len(chosen) < 2:
        raise _nothing_shared(column)
    knots = values[chosen].tolist()
    grid = (shares[chosen] + 0.5) / rounded
    # The outermost knots get the outermost shares; otherwise new values would pile up on them.
    grid[0], grid[-1] = 0.5 / rounded, 1 - 0.5 / rounded
    out = []
    for i, knot in enumerate(knots):
        gaps = [
            abs(Decimal(knot) - Decimal(knots[j])) for j in (i - 1, i + 1) if 0 <= j < len(knots)
        ]
        up = ROUND_CEILING if i == 0 else ROUND_FLOOR if i == len(knots) - 1 else ROUND_HALF_EVEN
        out.append(_coarse_number(column, knot, min(gaps), up))
    out = np.maximum.accumulate(np.array(out, dtype=values.dtype).clip(out[0], out[-1]))
    return out, grid


def _coarse_number(column: Column, value: int | float, gap: Decimal, rounding: str) -> int | float:
    """`value` rounded to the power of ten not above `gap`, and to the column's step or decimals."""
    if gap == 0:
        return value
    exponent = gap.adjusted()
    if isinstance(value, float):
        unit = Decimal(1).scaleb(
            max(exponent, -(15 if column.decimals is None else column.decimals))
        )
        if column.decimals is None:
            unit = Decimal(1).scaleb(exponent)
        return float(Decimal(repr(value)).quantize(unit, rounding=rounding))
    step = column.step or 1
    unit = max(10 ** max(exponent, 0) // step * step, step)
    start = int(cast(int, column.lower)) % step
    steps = {
        ROUND_FLOOR: (value - start) // unit,
        ROUND_CEILING: -((start - value) // unit),
        ROUND_HALF_EVEN: (value - start + unit // 2) // unit,
    }[rounding]
    # Outermost knots are rounded inwards, but rounding may move an inner knot beyond 64 bits.
    return min(max(start + steps * unit, -(2**63)), 2**63 - 1)


def _nothing_shared(column: Column) -> ModelFileError:
    return ModelFileError(
        405,
        f"column {column.name!r}: no value or range is shared by {PRIVATE_ROWS} rows, so a model "
        f"file would reveal its training values: drop the column, or train on more rows",
    )
