"""A number close to an earlier one: trees learn by how much their logarithms differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from synthgen.encoding.disclosure import PRIVATE_ROWS
from synthgen.synthesizers.binning import BIN_ROWS, FEWEST_BINS, MOST_BINS
from synthgen.synthesizers.bins import MISSING, MOST_CODES, Bins
from synthgen.synthesizers.forest import grow

# A column may be learned as shifts if its logarithms correlate at least this much with those of an
# earlier one, over at least FEWEST rows and SHARE of all. Leaves resolve a weaker relation.
CORRELATION, FEWEST, SHARE = 0.7, 400, 0.2
# Correlations, and the trees that are compared, are of at most TRIED rows. Trees of shifts and of
# values are compared on JUDGED of them: by the distance of a cell to the NEAREST-th of DRAWS draws.
# No logarithm is larger than FAR.
TRIED, JUDGED, DRAWS, NEAREST, FAR = 20_000, 2_000, 50, 5, 100.0
# The logarithmic scale is linear below the typical size of a value divided by TYPICAL; shifts are
# rounded to DIGITS.
TYPICAL, DIGITS = 50, 4


@dataclass(frozen=True, eq=False)
class Shifts:
    """The differences of a column's logarithms to those of an earlier column of numbers.

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

    def moved(
        self, codes: np.ndarray, uniform: np.ndarray, source: np.ndarray, parts: tuple[Bins, Bins]
    ) -> np.ndarray:
        """Draw the values of a column given those that it moves with; all of shape (rows,).

        Args:
            codes: Bins of shifts.
            uniform: Uniform random numbers from 0 to 1.
            source: Values of the earlier column.
            parts: The codes of the earlier column and of this one.
        """
        low, high = self.edges[codes], self.edges[codes + 1]
        shifted = logarithms(parts[0], source) + low + uniform * (high - low)
        return from_logarithms(parts[1], shifted)

    def of_leaf(
        self, own: np.ndarray, first: int, is_bin: np.ndarray, shifts: np.ndarray
    ) -> np.ndarray:
        """The codes that trees predict: a shift in the place of each bin whose row has one.

        Args:
            own: Codes of the cells, or of copies of other cells; shape (rows,).
            first: The first code of a shift.
            is_bin: Whether a code is a bin.
            shifts: The shift of each row, NaN if one of the two cells is missing.
        """
        there = may_shift(own, is_bin) & ~np.isnan(shifts)
        return np.where(there, first + self.codes(np.where(there, shifts, 0)), own)

    @classmethod
    def from_state(
        cls, described: Mapping[str, Any], arrays: Mapping[str, np.ndarray], parts: Sequence[Bins]
    ) -> Shifts:
        """Read the shifts of the last of `parts` from a file.

        Raises:
            ValueError, KeyError, TypeError: No fit could have written these values.
        """
        by, edges = described["by"], arrays["edges"]
        if type(by) is not int or not 0 < by < len(parts) - 1:
            raise ValueError(f"shifts to column {by!r}")
        if not (_has_bins(parts[by]) and _has_bins(parts[-1])):
            raise ValueError("shifts of a column that has no bins")
        if edges.ndim != 1 or edges.dtype != np.float64 or len(edges) < 3:
            raise ValueError(f"edges are {edges.dtype} of shape {edges.shape}")
        if not np.isfinite(edges).all() or (np.diff(edges) <= 0).any():
            raise ValueError("edges that are not in ascending order")
        return cls(by, edges)


def may_shift(own: np.ndarray, is_bin: np.ndarray) -> np.ndarray:
    """Whether a cell is in a bin, not an exact value, a copy or missing; shape (rows,)."""
    return is_bin[np.minimum(own, len(is_bin) - 1)] & (own < len(is_bin))


def logarithms(bins: Bins, values: np.ndarray) -> np.ndarray:
    """Values on a scale that is logarithmic far from 0 and linear near it, for either sign.

    It is the inverse hyperbolic sine of a value in units of a 50th of the typical size, which is
    taken from the codes of the column.
    """
    return np.arcsinh(values.astype(np.float64) / _unit(bins))


def from_logarithms(bins: Bins, found: np.ndarray) -> np.ndarray:
    """The inverse of `logarithms`, in the type of the column's values and within its limits."""
    least, most = (float(v) for v in bins.limits)
    values = np.clip(np.sinh(np.clip(found, -FAR, FAR)) * _unit(bins), least, most)
    if bins.low.dtype == np.int64:
        values = np.rint(values).astype(np.int64)
    return np.clip(values, *bins.limits)


def _unit(bins: Bins) -> float:
    sizes = np.abs(bins.low[bins.shares.starts[:-1]].astype(np.float64))
    return float(np.median(sizes)) / TYPICAL or 1.0


def differences(
    by: int, parts: Sequence[Bins], cells: Sequence[tuple[np.ndarray, np.ndarray]]
) -> np.ndarray:
    """The shift of each row of the last of `parts` to column `by`; NaN if a cell is missing."""
    (source, lost), (values, gone) = cells[by], cells[len(parts) - 1]
    found = logarithms(parts[-1], values) - logarithms(parts[by], source)
    return np.where(lost | gone, np.nan, found)


@dataclass(frozen=True, eq=False)
class Trial:
    """A column learned as shifts, to be compared with the column learned as values.

    Attributes:
        shifts: The shifts.
        codes: What trees predict: a shift, or the code of a cell without one; shape (rows,).
        ranks: Ranks of the shifts as shares, those of rows without one last; shape (rows,).
        logs, sources: Logarithms of the cells, and of the earlier column's; shape (rows,).
        first: The code of the first shift.
        bins: The codes of the column.
    """

    shifts: Shifts
    codes: np.ndarray
    ranks: np.ndarray
    logs: np.ndarray
    sources: np.ndarray
    first: int
    bins: Bins

    def is_better(
        self,
        before: np.ndarray,
        codes: np.ndarray,
        ranks: np.ndarray,
        min_leaf: int,
        seed: np.random.SeedSequence,
    ) -> bool:
        """Whether a tree of shifts predicts held-out cells better than a tree of values does.

        Both learn from one half of the rows. Of the cells of the other half that have a shift, the
        density is estimated from draws of the leaf: by the distance to the nearest ones
        (Loftsgaarden & Quesenberry 1965).

        Args:
            before: Codes of the columns before this one, shape (rows, columns).
            codes: Codes of the column, or of copies; shape (rows,).
            ranks: Ranks of the codes as shares, shape (rows,).
            min_leaf: Smallest number of rows in a leaf.
            seed: Seed of the two halves, and of the draws.
        """
        rng = np.random.default_rng(seed)
        half, other = np.array_split(rng.permutation(len(codes))[:TRIED], 2)
        judged = other[(self.codes[other] >= self.first) & (self.codes[other] != MISSING)][:JUDGED]
        known = np.ascontiguousarray(before[judged])
        distances = []
        for own, rank in ((codes, ranks), (self.codes, self.ranks)):
            least = max(2, min_leaf * len(half) // len(codes))
            one = {"trees": 1, "min_leaf": least, "seed": seed}
            forest = grow(before[half], own[half], rank[half], **one)
            found = np.stack(
                [
                    self._drawn(forest.draw(known, leaf), judged, place)
                    for leaf, place in rng.random((DRAWS, 2, len(judged)))
                ]
            )
            away = np.sort(np.abs(found - self.logs[judged]), axis=0)[NEAREST - 1]
            distances.append(np.log(np.maximum(away, 10.0**-DIGITS)).mean())
        return bool(distances[1] < distances[0])

    def _drawn(self, drawn: np.ndarray, rows: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """Logarithms of the values of drawn codes; `FAR` for copies and missing cells."""
        codes, edges = drawn.astype(np.int64), self.shifts.edges
        is_own = codes < self.bins.width
        values = self.bins.decode(np.where(is_own, codes, 0), uniform)
        found = np.where(is_own, logarithms(self.bins, values), FAR)
        is_shift = (codes >= self.first) & (codes != MISSING)
        place = np.where(is_shift, codes - self.first, 0)
        moved = edges[place] + uniform * (edges[place + 1] - edges[place])
        return np.where(is_shift, self.sources[rows] + moved, found)


def find_shifts(
    parts: Sequence[Bins],
    cells: Sequence[tuple[np.ndarray, np.ndarray]],
    own: np.ndarray,
    copies: int,
) -> Trial | None:
    """How the last of `parts` may be learned as shifts; None: no earlier number is close enough.

    Args:
        parts: Codes of each column, the class first.
        cells: Values and mask of missing cells of each column (see `Bins.values`).
        own: Codes of the last column, or of copies; shape (rows,).
        copies: Number of columns from which it copies cells.
    """
    bins, rows = parts[-1], len(own)
    if not _has_bins(bins):
        return None
    is_bin = ~bins.exact
    inside = may_shift(own, is_bin)
    logs = logarithms(bins, cells[len(parts) - 1][0])
    by = _closest(parts, cells, inside, logs)
    if by < 0:
        return None
    found = differences(by, parts, cells)
    shifts = Shifts(by, _edges(found[inside & ~np.isnan(found)]))
    first = bins.width + copies
    if shifts.width < 2 or first + shifts.width > MOST_CODES:
        return None
    codes = shifts.of_leaf(own, first, is_bin, found).astype(np.uint16)
    ranks = (rankdata(np.where(np.isnan(found), np.inf, found)) - 0.5) / rows
    return Trial(shifts, codes, ranks, logs, logs - found, first, bins)


def _closest(
    parts: Sequence[Bins],
    cells: Sequence[tuple[np.ndarray, np.ndarray]],
    inside: np.ndarray,
    logs: np.ndarray,
) -> int:
    """The earlier number whose logarithms correlate most with `logs`; -1: none does enough."""
    rows = len(logs)
    some = np.linspace(0, rows - 1, min(rows, TRIED)).astype(np.int64)
    best, by = CORRELATION, -1
    for k, other in enumerate(parts[:-1]):
        if not _has_bins(other):
            continue
        values, gone = cells[k]
        known = some[inside[some] & ~gone[some]]
        if len(known) < max(FEWEST, SHARE * len(some)):
            continue
        source, wanted = logarithms(other, values[known]), logs[known]
        if source.std() > 0 and wanted.std() > 0:
            correlation = float(np.corrcoef(source, wanted)[0, 1])
            best, by = max((best, by), (correlation, k))
    return by


def _has_bins(bins: Bins) -> bool:
    """Whether a column has bins of numbers; ticks of dates have no logarithms."""
    return bins.column.kind in ("numeric", "integer") and not bins.exact.all()


def _edges(shifts: np.ndarray) -> np.ndarray:
    """Limits of bins of about equally many rows, at least five each; outer limits lie inside."""
    ordered = np.sort(np.round(shifts, DIGITS))
    rows = len(ordered)
    ordered = np.clip(ordered, ordered[PRIVATE_ROWS - 1], ordered[-PRIVATE_ROWS])
    wanted = int(np.clip(rows // BIN_ROWS, min(FEWEST_BINS, rows // PRIVATE_ROWS), MOST_BINS))
    points = np.unique(ordered[np.linspace(0, rows - 1, wanted + 1).astype(np.int64)])
    kept = [0]
    for i, below in enumerate(np.searchsorted(ordered, points[1:-1]), start=1):
        enough = below - np.searchsorted(ordered, points[kept[-1]]) >= PRIVATE_ROWS
        if enough and rows - below >= PRIVATE_ROWS:
            kept.append(i)
    return points[[*kept, len(points) - 1]] if len(points) > 1 else points
