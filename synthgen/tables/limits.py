"""Limits of number and date columns: spikes, decimals, steps, and limits set by the user."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pandas as pd

from synthgen.errors import DataError
from synthgen.tables import dtypes as cell
from synthgen.tables.column import Column

# A spike is a point mass on a continuous scale: a value that at least SPIKE_SHARE and at least
# SPIKE_ROWS of the rows of some class have.
SPIKE_SHARE, SPIKE_ROWS = 0.02, 5
# More decimals than this are binary rounding noise.
MAX_DECIMALS = 6
# A rounded column may have at most these fractions of unrounded rows and of unrounded values.
ODD_ROWS, ODD_VALUES = 0.002, 0.05


def spikes_of(
    values: np.ndarray, gone: np.ndarray, labels: np.ndarray | None
) -> tuple[int | float, ...]:
    """Values that at least 2 % and at least 5 of the rows of some class have, sorted."""
    groups = np.zeros(len(values), dtype=np.int64) if labels is None else labels
    order = np.argsort(groups, kind="stable")
    found: set[int | float] = set()
    for part in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1):
        distinct, counts = np.unique(values[part][~gone[part]], return_counts=True)
        enough = max(SPIKE_ROWS, SPIKE_SHARE * len(part))
        # With few distinct values all are frequent, so none is a spike.
        if len(distinct) > 10:
            found.update(distinct[counts >= enough].tolist())
    return tuple(sorted(found))


def decimals_of(values: np.ndarray, dtype: Any) -> int | None:
    """Decimals to which nearly all `values` are rounded, at most 6; None if they are not."""
    if np.abs(values).max() > 1e9:
        return None
    # A float32 counts as rounded if rounding it in float32 does not change it.
    narrow = np.float64 if dtype == object else cell.numpy_type(dtype)
    for decimals in range(MAX_DECIMALS + 1):
        odd = np.round(values, decimals).astype(narrow) != values.astype(narrow)
        # A few unrounded cells are tolerated, unless they are many of the distinct values.
        others = len(np.unique(values[odd])) / len(np.unique(values))
        if odd.mean() <= ODD_ROWS and others <= ODD_VALUES:
            return decimals
    return None


def step_of(values: np.ndarray, lower: int) -> int:
    """The largest step such that every value is `lower` plus a multiple of it."""
    gaps = np.unique(values).view(np.uint64) - np.int64(lower).view(np.uint64)
    # Only the gap between two extreme values can overflow int64; such a gap is not a step.
    step = int(np.gcd.reduce(gaps)) or 1
    return step if step < 2**63 else 1


def as_whole(given: Column) -> Column:
    """The column with decimal limits rounded inwards to whole numbers."""
    return replace(
        given,
        lower=None if given.lower is None else math.ceil(given.lower),
        upper=None if given.upper is None else math.floor(given.upper),
        decimals=None,
        spikes=tuple(int(s) for s in given.spikes if s == int(s)),
    )


def limited(
    column: Column, given: Column, series: pd.Series, values: np.ndarray, gone: np.ndarray
) -> Column:
    """`column` with the user's limits; a row outside them is an error."""
    wanted = {
        key: getattr(given, key)
        for key in ("lower", "upper", "decimals", "spikes")
        if getattr(given, key) not in (None, ())
    }
    column = replace(column, **wanted, reason=given.reason or column.reason)
    beyond = ~gone & ((values < cast(float, column.lower)) | (values > cast(float, column.upper)))
    if beyond.any():
        row, value = cell.row_of(series, beyond)
        limits = " to ".join(map(str, column.restore(np.array([column.lower, column.upper]))))
        raise DataError(
            347,
            f"column {column.name!r}, row {row}: {value} lies outside the schema's limits, "
            f"{limits}: mend the row or the schema",
        )
    if column.kind == "numeric":
        return column
    above = values.view(np.uint64) - np.int64(cast(int, column.lower)).view(np.uint64)
    step = given.step or step_of(values[~gone], cast(int, column.lower))
    between = ~gone & (above % np.uint64(step) != 0)
    if between.any():
        row, value = cell.row_of(series, between)
        first = column.restore(np.array([column.lower])).iloc[0]
        raise DataError(
            347,
            f"column {column.name!r}, row {row}: {value} is not the schema's lower limit, {first}, "
            f"plus a multiple of its step, {step}: mend the row or the schema",
        )
    return replace(column, step=step)
