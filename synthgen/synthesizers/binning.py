"""From the training rows of a column to its codes: which values are exact, and where bins end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from synthgen.encoding.decimals import SPARE, count_decimals, float_type
from synthgen.encoding.disclosure import PRIVATE_ROWS
from synthgen.synthesizers.bins import (
    EXACT_FLOAT,
    LARGEST_STEP,
    MISSING,
    MOST_CODES,
    MOST_ZEROS,
    Bins,
    Shares,
    between,
    numbers_of,
    zeros_of,
)
from synthgen.tables.column import LEVELS, Column
from synthgen.tables.limits import MAX_DECIMALS

# In a number column with at most FEW_VALUES distinct values, each value that five rows hold is
# exact. With more distinct values, an exact value must also have EXACT_SHARE of the rows, and be
# clearly more frequent than the BESIDE values on either side.
FEW_VALUES, EXACT_SHARE, BESIDE = 200, 1e-4, 25
# Rows per bin, unless that gives fewer or more bins than these limits.
BIN_ROWS, FEWEST_BINS, MOST_BINS = 40, 100, 500
# A value is stored as a repeated value if new rows would repeat it more often than LEAST_REPEATED.
# Weights of items count 1 / REPEAT_UNITS of a row.
LEAST_REPEATED, REPEAT_UNITS = 0.02, 100
# A schema counts at most MAX_DECIMALS decimals. Here more are tried: a coordinate may have eight.
MORE_DECIMALS = 9
# Rows of a bin count as sharing values if they have fewer distinct values than this fraction of the
# number expected by chance.
DISTINCT = 0.9


def fit_bins(
    column: Column, series: pd.Series, response: np.ndarray, rng: np.random.Generator
) -> Bins | None:
    """The codes of a column; None if all its cells are missing."""
    if column.kind in LEVELS:
        return _fit_levels(column, column.codes(series), response)
    scale = _scale_of(column, series)
    values, gone = numbers_of(column, scale, series)
    known = values[~gone]
    return _fit_numbers(column, known, int(gone.sum()), scale, rng) if len(known) else None


def _scale_of(column: Column, series: pd.Series) -> int:
    """The power of ten that makes a column's decimals whole numbers; 0 if there is none."""
    if column.kind != "numeric":
        return 0
    values, gone = column.numbers(series)
    known = values[~gone]
    most = float(np.abs(known).max(initial=0.0))
    tried = range(MAX_DECIMALS + 1, MORE_DECIMALS + 1)
    for decimals in tried if column.decimals is None else [column.decimals]:
        scale = 10**decimals
        if most * scale >= EXACT_FLOAT or not np.isfinite(most):
            return 0
        if column.decimals is not None or _has_decimals(known, decimals):
            return scale
    return 0


def _has_decimals(values: np.ndarray, decimals: int) -> bool:
    """Whether all numbers are rounded to `decimals`; the first 100 are tested first."""
    return all(bool((np.round(some, decimals) == some).all()) for some in (values[:100], values))


def _fit_levels(column: Column, codes: np.ndarray, response: np.ndarray) -> Bins | None:
    known = codes >= 0
    counts = np.bincount(codes[known], minlength=len(column.categories))
    least = max(1, PRIVATE_ROWS, int(np.sort(counts)[-MOST_CODES:][0]))
    kept = np.flatnonzero(counts >= least)
    shared = len(kept) > 0
    if not shared:
        kept = np.flatnonzero(counts)
    if not len(kept):
        return None
    sums = np.bincount(codes[known], weights=response[known], minlength=len(counts))
    kept = kept[np.argsort(sums[kept] / counts[kept], kind="stable")].astype(np.int64)
    each = np.arange(len(kept) + 1, dtype=np.int64)
    shares = Shares(each, np.ones(len(kept), np.uint16))
    missing = int((~known).sum()) >= PRIVATE_ROWS
    ones, anywhere = np.ones(len(kept), np.int64), np.zeros(len(kept), np.uint32)
    return Bins(column, kept, kept, ones, anywhere, shares, ones > 0, missing, shared=shared)


def _fit_numbers(
    column: Column, known: np.ndarray, gone: int, scale: int, rng: np.random.Generator
) -> Bins:
    distinct, counts = np.unique(known, return_counts=True)
    step = 1
    if known.dtype == np.int64 and len(distinct) > 1:
        step = int(np.gcd.reduce(np.diff(distinct.view(np.uint64))))
        step = step if step < LARGEST_STEP else 1
    exact = counts >= PRIVATE_ROWS
    if len(distinct) > FEW_VALUES:
        exact &= counts >= EXACT_SHARE * len(known)
        exact &= _stands_out(distinct, counts, step)
        least = np.sort(counts[exact])[::-1][: MOST_CODES - MOST_BINS]
        exact &= counts >= min(least, default=0)
    points, rest = distinct[exact], (distinct[~exact], counts[~exact])
    shared = True
    if rest[1].sum() >= 2 * PRIVATE_ROWS:
        edges = _edges(*rest, step)
    elif len(points):
        edges = np.empty((0, 2), distinct.dtype)  # rare values get the nearest exact one's code
    else:
        edges, shared = np.array([[distinct[0], distinct[-1]]]), False
    repeats = _repeats(np.bincount(rest[1], minlength=3))
    narrow = _rounded_type(column, distinct, step)
    items = _items(points, edges, rest, step, narrow, repeats, rng)
    kind = np.arange(len(points) + len(edges)) < len(points)
    middle = np.append(points, edges[:, 0]) / 2.0 + np.append(points, edges[:, 1]) / 2.0
    order = np.lexsort((~kind, middle))
    chosen = [items[c] for c in order]
    low, high, steps, spots, weights = (np.concatenate(part) for part in zip(*chosen, strict=True))
    starts = np.cumsum([0, *(len(item[0]) for item in chosen)]).astype(np.int64)
    shares = Shares(starts, np.clip(np.rint(weights), 1, MISSING).astype(np.uint16))
    dtype, missing = known.dtype, gone >= PRIVATE_ROWS
    low, high = low.astype(dtype), high.astype(dtype)
    kept = low, high, steps, spots.astype(np.uint32)
    return Bins(column, *kept, shares, kind[order], missing, narrow is not None, scale, shared)


def _rounded_type(column: Column, distinct: np.ndarray, step: int) -> type[np.floating] | None:
    """The type of the column's floats if items have steps; None: no number ends in zeros."""
    narrow = float_type(column)
    if distinct.dtype == np.float64:
        most = 10.0 ** (np.finfo(narrow).precision - SPARE)
        decimals = count_decimals(distinct, narrow)
        with np.errstate(over="ignore"):
            some = (decimals == 0) | (np.abs(distinct) * 10.0**decimals < most)
        return narrow if some.any() else None
    small = distinct[0] > -LARGEST_STEP and distinct[-1] < LARGEST_STEP
    return narrow if small and not (distinct[0] % step) else None


def _stands_out(values: np.ndarray, counts: np.ndarray, step: int) -> np.ndarray:
    """Whether a value is more frequent than its neighbours suggest, by four standard deviations."""
    if values.dtype == np.float64:
        return np.ones(len(values), dtype=bool)
    places = np.arange(len(values))
    first, last = np.maximum(places - BESIDE, 0), np.minimum(places + BESIDE, len(values) - 1)
    below = np.append(0, np.cumsum(counts))
    rows = below[last + 1] - below[first] - counts
    slots = (values[last].astype(float) - values[first].astype(float)) / step
    expected = rows / np.maximum(slots, 1)
    return counts > expected + 4 * np.sqrt(expected)


def _repeats(distinct: np.ndarray) -> np.ndarray:
    """How often a value that k rows hold is expected in as many new rows (Good 1953, Turing)."""
    rows = np.arange(1.0, len(distinct))
    found = rows * distinct[1:] / np.maximum(distinct[:-1], 1)
    found = np.where(distinct[:-1] > 0, np.minimum(found, np.arange(len(found))), 0.0)
    return np.append(found, len(found))


def _edges(values: np.ndarray, counts: np.ndarray, step: int) -> np.ndarray:
    """Rounded limits of bins of at least five rows, shape (bins, 2); none is an extreme value."""
    below = np.append(0, np.cumsum(counts))
    rows = int(below[-1])
    fewest = min(FEWEST_BINS, rows // PRIVATE_ROWS)
    wanted = np.linspace(0, rows, int(np.clip(rows // BIN_ROWS, fewest, MOST_BINS)) + 1)[:-1]
    starts = [0]
    for start in np.unique(np.searchsorted(below, wanted)).tolist():
        enough = below[start] - below[starts[-1]] >= PRIVATE_ROWS
        if enough and rows - below[start] >= PRIVATE_ROWS:
            starts.append(start)
    stops = [*starts[1:], len(values)]
    # The outermost values belong to single rows, so the limits stay five rows inside.
    least = values[np.searchsorted(below, PRIVATE_ROWS) - 1]
    most = values[np.searchsorted(below, rows - PRIVATE_ROWS, side="right") - 1]
    found = []
    for first, stop in zip(starts, stops, strict=True):
        low, high = max(values[first], least), min(values[stop - 1], most)
        found.append(_rounded(low.item(), max(low, high).item(), step))
    edges = np.array(found, dtype=values.dtype)
    edges = off_rows(np.clip(edges, least, most), values, counts, step)
    edges[:, 0] = np.maximum.accumulate(edges[:, 0])
    edges[:, 1] = np.maximum(edges[:, 0], np.maximum.accumulate(edges[:, 1]))
    return _well_filled(edges, values, counts)


def off_rows(
    limits: np.ndarray, values: np.ndarray, counts: np.ndarray, step: int = 1
) -> np.ndarray:
    """Move limits that are values of fewer than five rows inwards, between two distinct values.

    Of whole numbers only the outermost limits move: the others are round numbers, which a row may
    happen to hold.
    """
    rare, found, few = values[counts < PRIVATE_ROWS], limits.copy(), len(values) // 2
    hit = np.isin(found, rare)
    if values.dtype == np.float64:
        with np.errstate(over="ignore"):
            hit |= np.isin(found.astype(np.float32), rare.astype(np.float32))
        room = np.ones(len(values) - 1, dtype=bool)
    else:
        hit &= (found == found.min()) | (found == found.max())
        room = np.diff(values.view(np.uint64)) // np.uint64(step) > 1
    for place in zip(*np.nonzero(hit), strict=True):
        at = int(np.searchsorted(values, found[place]))
        first, last = (at, few) if at < few else (few - 1, at)
        gaps = np.flatnonzero(room[first:last]) + first
        if not len(gaps):
            continue  # so many whole numbers occur that the limit tells nothing
        gap = int(gaps[0] if at < few else gaps[-1])
        low, high = values[gap].item(), values[gap + 1].item()
        if isinstance(low, float):
            found[place] = _short(low, high, 1 / 3 if at < few else 2 / 3)
        else:
            apart = max((high - low) // step // 3, 1) * step
            found[place] = low + apart if at < few else high - apart
    return found


def _short(low: float, high: float, share: float) -> float:
    """The number of fewest digits near ``low + share * (high - low)``, and between both."""
    wanted = low * (1 - share) + high * share
    for digits in range(1, 17):
        found = float(f"{wanted:.{digits}g}")
        if low < found < high and abs(found - wanted) < high / 7 - low / 7:
            return found
    return wanted


def _well_filled(edges: np.ndarray, values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Join each bin that holds fewer than five rows after rounding with a neighbour."""
    while len(edges) > 1:
        bins = np.maximum(np.searchsorted(edges[:, 0], values, side="right") - 1, 0)
        rows = np.bincount(bins, weights=counts, minlength=len(edges))
        few = np.flatnonzero(rows < PRIVATE_ROWS)
        if not len(few):
            break
        into = max(int(few[0]) - 1, 0)
        joined = [edges[into, 0], edges[into + 1, 1]]
        edges = np.concatenate([edges[:into], [joined], edges[into + 2 :]]).astype(edges.dtype)
    return edges


def _rounded(low: Any, high: Any, step: int) -> tuple[Any, Any]:
    """Both limits of a bin, rounded to a power of ten of at most a quarter of its width."""
    if isinstance(low, float):
        width = high / 4 - low / 4
        if width <= 0:
            return low, high
        digits = -int(np.floor(np.log10(width)))
        return round(low, digits), round(high, digits)
    offset, width = low % step, (high - low) // (4 * step)
    unit = step * 10 ** (len(str(width)) - 1) if width else step

    def near(value: int) -> int:
        return (value - offset + unit // 2) // unit * unit + offset

    limit = 2**63 - 1
    ends = [min(max(near(v), -limit), limit) for v in (low, high)]
    return ends[0], ends[1]


def _items(
    points: np.ndarray,
    edges: np.ndarray,
    rest: tuple[np.ndarray, np.ndarray],
    step: int,
    narrow: type[np.floating] | None,
    repeats: np.ndarray,
    rng: np.random.Generator,
) -> list[tuple[np.ndarray, ...]]:
    """Low, high, steps, spots and weights of the items of each code: exact values, then bins."""
    one = np.ones(1, np.int64)
    found: list[tuple[np.ndarray, ...]] = [
        (points[i : i + 1], points[i : i + 1], one, 0 * one, one) for i in range(len(points))
    ]
    values, counts = rest
    bins = np.maximum(np.searchsorted(edges[:, 0], values, side="right") - 1, 0)
    starts = np.searchsorted(bins, np.arange(len(edges) + 1))
    steps = np.full(len(values), step, np.int64)
    if narrow is not None:
        steps = step * 10 ** shared_zeros(zeros_of(values, step, narrow), counts)
    for (low, high), start, stop in zip(edges, starts[:-1], starts[1:], strict=True):
        some = slice(start, stop)
        fits = _multiple(low, steps[some], step) <= high
        own = np.where(fits, steps[some], step)
        found.append(_bin((low, high), own, step, counts[some], narrow, repeats, rng))
    return found


def _bin(
    ends: tuple[Any, Any],
    steps: np.ndarray,
    step: int,
    counts: np.ndarray,
    narrow: type[np.floating] | None,
    repeats: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, ...]:
    """The items of one bin, whose distinct values have these steps and numbers of rows.

    The number of distinct new values is limited, so that each of them is expected as often as a
    value that a single training row holds (Chao 1984).
    """
    own, of = np.unique(steps, return_inverse=True)
    first, last = _multiple(ends[0], own, step), np.full(len(own), ends[1])
    clustered = _is_clustered(ends, step, counts)
    drawn = np.where(clustered & (counts > 1), repeats[counts], 0.0)
    again = drawn > LEAST_REPEATED
    fresh = np.bincount(of, weights=np.where(again, counts - drawn, counts))
    often = float(repeats[1]) if clustered else 0.0
    spots = np.rint(fresh / often) if often > LEAST_REPEATED else np.zeros(len(own))
    places = between(first[of], last[of], rng.random(len(of)), steps, narrow)[again]
    every = np.concatenate([own, steps[again]])
    order = np.argsort(every, kind="stable")  # items with fewer trailing zeros first
    found = (
        np.concatenate([first, places]),
        np.concatenate([last, places]),
        every,
        np.concatenate([spots, np.zeros(len(places))]),
        REPEAT_UNITS * np.concatenate([fresh, drawn[again]]),
    )
    return tuple(part[order] for part in found)


def _is_clustered(ends: tuple[Any, Any], step: int, counts: np.ndarray) -> bool:
    """Whether the rows of a bin have fewer distinct values than uniformly drawn rows would."""
    if isinstance(ends[0], np.floating):
        return True
    slots, rows = (float(ends[1]) - float(ends[0])) / step + 1, counts.sum()
    return len(counts) < DISTINCT * slots * -np.expm1(-rows / slots)


def _multiple(low: Any, steps: np.ndarray, step: int) -> np.ndarray:
    """For each of `steps`, its first multiple from `low` on; for `step` itself, `low`."""
    if isinstance(low, np.floating):
        return np.full(len(steps), low)
    return np.where(steps > step, -(-low // steps) * steps, low)


def shared_zeros(zeros: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Replace trailing zeros that fewer than five rows have by the next smaller one."""
    found = zeros.copy()
    for many in range(MOST_ZEROS, 0, -1):
        if rows[found == many].sum() < PRIVATE_ROWS:
            found[found == many] = many - 1
    if rows[found == 0].sum() < PRIVATE_ROWS and (found > 0).any():
        found[found == 0] = found[found > 0].min()
    return found
