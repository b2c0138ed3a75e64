"""A number close to an earlier one: trees learn how far apart they are on a log scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from synthgen.encoding.disclosure import PRIVATE_ROWS
from synthgen.synthesizers.binning import BIN_ROWS, FEWEST_BINS, MOST_BINS, off_rows
from synthgen.synthesizers.bins import MISSING, MOST_CODES, Bins
from synthgen.synthesizers.forest import grow

# A column may be learned as shifts if it correlates at least this much with an earlier one, on the
# log scale, over at least FEWEST rows and SHARE of all. Leaves resolve a weaker relation.
CORRELATION, FEWEST, SHARE = 0.7, 400, 0.2
# Correlations and trial trees use at most TRIED rows. The trial scores at most JUDGED held-out
# cells: for each, DRAWS values are drawn, and the distance to the NEAREST-th closest is taken.
TRIED, JUDGED, DRAWS, NEAREST = 20_000, 2_000, 50, 5
# The log scale is linear below the typical size of a value divided by TYPICAL. Shifts are rounded
# to DIGITS; none is as large as FAR.
TYPICAL, DIGITS, FAR = 50, 4, 2_000.0


@dataclass(frozen=True, eq=False)
class Shifts:
    """The differences of a column to an earlier column of numbers, on the log scale.

    The balances of two months, or two lengths, are close to each other in each row: closer than a
    leaf of a hundred rows can tell. Their ratio depends little on their size, so a leaf describes
    it well.

    Attributes:
        by: The earlier column.
        edges: Limits of bins of shifts, each held by at least five rows; shape (bins + 1,).
    """

    by: int
    edges: np.ndarray

    @property
    def width(self) -> int:
        """Number of codes."""
        return len(self.edges) - 1

    def codes(self, shifts: np.ndarray) -> np.ndarray:
        """The bin of each shift, shape (rows,)."""
        found = np.searchsorted(self.edges, shifts, side="right") - 1
        return np.clip(found, 0, self.width - 1)

    def draw(self, codes: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """A shift from each bin, by uniform random numbers from 0 to 1; all of shape (rows,)."""
        return self.edges[codes] + uniform * (self.edges[codes + 1] - self.edges[codes])

    def replace_bins(
        self, own: np.ndarray, first: int, is_bin: np.ndarray, shifts: np.ndarray
    ) -> np.ndarray:
        """Replace the code of each bin by the code of its shift, in rows that have one."""
        there = _in_bin(own, is_bin) & ~np.isnan(shifts)
        return np.where(there, first + self.codes(np.where(there, shifts, 0)), own)

    @classmethod
    def from_state(
        cls, described: Mapping[str, Any], arrays: Mapping[str, np.ndarray], parts: Sequence[Bins]
    ) -> Shifts:
        """Read the shifts of the last of `parts` from a file."""
        by, edges = described["by"], arrays["edges"]
        if type(by) is not int or not 0 < by < len(parts) - 1:
            raise ValueError(f"shifts to column {by!r}")
        if not (_has_bins(parts[by]) and _has_bins(parts[-1])):
            raise ValueError("shifts of a column that has no bins")
        if edges.ndim != 1 or edges.dtype != np.float64 or not 3 <= len(edges) <= MOST_BINS + 1:
            raise ValueError(f"edges are {edges.dtype} of shape {edges.shape}")
        if not (np.abs(edges) < FAR).all() or (np.diff(edges) <= 0).any():
            raise ValueError("edges that are too large, or not in ascending order")
        return cls(by, edges)


def _in_bin(own: np.ndarray, is_bin: np.ndarray) -> np.ndarray:
    """Whether a code is a bin, not an exact value, a copy or missing; shape (rows,)."""
    return is_bin[np.minimum(own, len(is_bin) - 1)] & (own < len(is_bin))


def log_scale(bins: Bins, values: np.ndarray) -> np.ndarray:
    """``asinh(value / unit)``: logarithms far from 0, linear near it, for either sign."""
    with np.errstate(over="ignore"):
        return np.arcsinh(values.astype(np.float64) / _unit(bins))


def from_log_scale(bins: Bins, found: np.ndarray) -> np.ndarray:
    """The inverse of `log_scale`, in the type of the column's values and within its limits."""
    limits = np.array(bins.limits)
    values = np.sinh(np.clip(found, *log_scale(bins, limits))) * _unit(bins)
    if bins.low.dtype == np.int64:
        largest = np.nextafter(2.0**63, 0)
        values = np.rint(np.clip(values, -largest, largest)).astype(np.int64)
    return np.clip(values, *limits)


def _unit(bins: Bins) -> float:
    """The median size of the lower limits of the codes, divided by `TYPICAL`; 1 if that is 0."""
    sizes = np.abs(bins.low[bins.shares.starts[:-1]].astype(np.float64))
    return float(np.median(sizes)) / TYPICAL or 1.0


def differences(
    by: int, parts: Sequence[Bins], cells: Sequence[tuple[np.ndarray, np.ndarray]]
) -> np.ndarray:
    """The shift of each row of the last of `parts` to column `by`; NaN if a cell is missing."""
    (source, lost), (values, gone) = cells[by], cells[len(parts) - 1]
    with np.errstate(invalid="ignore"):
        found = log_scale(parts[-1], values) - log_scale(parts[by], source)
    return np.where(lost | gone, np.nan, np.round(found, DIGITS))


@dataclass(frozen=True, eq=False)
class Trial:
    """A column learned as shifts, to be compared with the column learned as values.

    Attributes:
        shifts: The shifts.
        codes: What trees predict: a shift, or the code of a cell without one; shape (rows,).
        ranks: Ranks of the differences as shares, last where a cell is missing; shape (rows,).
        own, source: The cells of the column and of the earlier one, on the log scale; (rows,).
        first: The code of the first shift.
        bins: The codes of the column.
    """

    shifts: Shifts
    codes: np.ndarray
    ranks: np.ndarray
    own: np.ndarray
    source: np.ndarray
    first: int
    bins: Bins

    def is_better(
        self,
        before: np.ndarray,
        codes: np.ndarray,
        ranks: np.ndarray,
        weights: np.ndarray | None,
        min_leaf: int,
        seed: np.random.SeedSequence,
    ) -> bool:
        """Whether a tree of shifts predicts held-out cells better than a tree of values does.

        Both learn from one half of the rows. Of the cells of the other half that have a shift, the
        density is estimated from draws of the leaf: by the distance to the nearest ones
        (Loftsgaarden & Quesenberry 1965).
        """
        rng = np.random.default_rng(seed)
        half, other = np.array_split(rng.permutation(len(codes))[:TRIED], 2)
        judged = other[(self.codes[other] >= self.first) & (self.codes[other] != MISSING)][:JUDGED]
        if not len(judged):
            return False
        known, least = np.ascontiguousarray(before[judged]), min_leaf * len(half) // len(codes)
        of_half, of_judged = (None if weights is None else weights[rows] for rows in (half, judged))
        distances = []
        for own, rank in ((codes, ranks), (self.codes, self.ranks)):
            one = {"trees": 1, "min_leaf": max(2, least), "seed": seed}
            forest = grow(before[half], own[half], rank[half], of_half, **one)
            found = np.stack(
                [
                    self._drawn(forest.draw(known, leaf), judged, place)
                    for leaf, place in rng.random((DRAWS, 2, len(judged)))
                ]
            )
            away = np.sort(np.abs(found - self.own[judged]), axis=0)[NEAREST - 1]
            logs = np.log(np.clip(away, 10.0**-DIGITS, FAR))
            distances.append(np.average(logs, weights=of_judged))
        return bool(distances[1] < distances[0])

    def _drawn(self, drawn: np.ndarray, rows: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """Values of drawn codes on the log scale; infinite for copies and missing cells."""
        codes = drawn.astype(np.int64)
        is_own = codes < self.bins.width
        values = self.bins.decode(np.where(is_own, codes, 0), uniform)
        found = np.where(is_own, log_scale(self.bins, values), np.inf)
        is_shift = (codes >= self.first) & (codes != MISSING)
        moved = self.shifts.draw(np.where(is_shift, codes - self.first, 0), uniform)
        return np.where(is_shift, self.source[rows] + moved, found)


def find_shifts(
    parts: Sequence[Bins],
    cells: Sequence[tuple[np.ndarray, np.ndarray]],
    own: np.ndarray,
    copies: int,
) -> Trial | None:
    """How the last of `parts` may be learned as shifts; None: no earlier number is close enough."""
    bins, is_bin = parts[-1], ~parts[-1].exact
    if not _has_bins(bins):
        return None
    inside = _in_bin(own, is_bin)
    by = _closest(parts, cells, inside)
    if by < 0:
        return None
    found = differences(by, parts, cells)
    shifts = Shifts(by, _edges(found[inside & np.isfinite(found)]))
    first = bins.width + copies
    if shifts.width < 2 or first + shifts.width > MOST_CODES:
        return None
    codes = shifts.replace_bins(own, first, is_bin, found).astype(np.uint16)
    ranks = (rankdata(np.where(np.isnan(found), np.inf, found)) - 0.5) / len(own)
    logs, source = (log_scale(parts[k], cells[k][0]) for k in (len(parts) - 1, by))
    return Trial(shifts, codes, ranks, logs, source, first, bins)


def _closest(
    parts: Sequence[Bins], cells: Sequence[tuple[np.ndarray, np.ndarray]], inside: np.ndarray
) -> int:
    """The earlier number that correlates most with the last of `parts`; -1: none does enough.

    Exact values are left out, because two balances may be close wherever neither is 0.
    """
    rows = len(inside)
    some = np.linspace(0, rows - 1, min(rows, TRIED)).astype(np.int64)
    some = some[inside[some]]
    needed = max(FEWEST, SHARE * min(rows, TRIED))
    own = log_scale(parts[-1], cells[len(parts) - 1][0][some])
    best, by = CORRELATION, -1
    for k, other in enumerate(parts[:-1]):
        if not _has_bins(other):
            continue
        values, gone = cells[k]
        here = ~gone[some] & ~other.exact[other.encode(values[some])]
        if here.sum() < needed:
            continue
        source, wanted = log_scale(other, values[some[here]]), own[here]
        if not (np.isfinite(source).all() and np.isfinite(wanted).all()):
            continue
        if source.std() > 0 and wanted.std() > 0:
            correlation = float(np.corrcoef(source, wanted)[0, 1])
            best, by = max((best, by), (correlation, k))
    return by


def _has_bins(bins: Bins) -> bool:
    """Whether a column has bins of numbers; ticks of dates have no logarithms."""
    return bins.column.kind in ("numeric", "integer") and not bins.exact.all()


def _edges(shifts: np.ndarray) -> np.ndarray:
    """Rounded limits of bins of about equally many rows, each held by at least five."""
    ordered = np.sort(shifts)
    rows, least, most = len(ordered), ordered[PRIVATE_ROWS - 1], ordered[-PRIVATE_ROWS]
    wanted = int(np.clip(rows // BIN_ROWS, min(FEWEST_BINS, rows // PRIVATE_ROWS), MOST_BINS))
    places = np.linspace(0, rows - 1, wanted + 1).astype(np.int64)
    edges = np.unique(np.clip(ordered[places], least, most))
    if len(edges) > 1:
        steps = np.diff(edges)
        beside = np.minimum(np.append(steps, steps[-1]), np.insert(steps, 0, steps[0]))
        units = 10.0 ** np.floor(np.log10(beside / 4))
        edges = np.round(np.rint(edges / units) * units, DIGITS + 1)
        edges = np.clip(edges, least, most)
        edges = np.unique(off_rows(edges, *np.unique(ordered, return_counts=True)))
    kept = [0]
    below = np.searchsorted(ordered, edges)
    below[0] = 0
    for i in range(1, len(edges) - 1):
        if min(below[i] - below[kept[-1]], rows - below[i]) >= PRIVATE_ROWS:
            kept.append(i)
    return edges[[*kept, len(edges) - 1]] if len(edges) > 1 else edges
