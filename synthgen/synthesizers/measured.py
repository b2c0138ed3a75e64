"""Differentially private measurements of a coded table, and the budget that each of them costs.

Neighbouring tables differ by one row, added or removed. Each function says by how much one row
changes what it measures; `Ledger` adds up what that costs.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from synthgen.synthesizers.declared_cells import (
    cell_count,
    cells_at,
    cells_of,
    level_of,
    texts,
)
from synthgen.synthesizers.noise import RandBelow, chosen, noisy, threshold, variance_of
from synthgen.tables.column import Column

# Numbers are cut DEPTH times at noisy medians, which gives up to 2^DEPTH bins between two spikes;
# the outermost bins, which would be wide, are cut TAILS times more.
DEPTH, TAILS = 4, 3
# Shares of the budget, fixed before anything was measured on real tables.
SHARES = {
    "bins of numbers": 0.1,
    "counts of each column": 0.2,
    "choice of pairs": 0.2,
    "counts of pairs": 0.5,
}
# Pairs of columns with more cells are not measured, unless one of them is the class.
MOST_CELLS = 100_000


@dataclass
class Ledger:
    """What the measurements of one fit cost.

    Attributes:
        rho: The budget in zCDP.
        delta: The probability that levels of a single row may be named with.
        spent: The cost of each measurement in zCDP, by stage.
        spent_delta: Probabilities that were used, one for each column with learned levels.
    """

    rho: float
    delta: float
    spent: list[tuple[str, float]] = field(default_factory=list)
    spent_delta: list[float] = field(default_factory=list)

    def pay(self, stage: str, rho: float, delta: float = 0.0) -> None:
        """Record a measurement; raise if the budget does not cover it."""
        self.spent.append((stage, rho))
        self.spent_delta.append(delta)
        over = math.fsum(cost for _, cost in self.spent) > self.rho * (1 + 1e-9)
        if over or math.fsum(self.spent_delta) > self.delta * (1 + 1e-9):
            raise AssertionError(f"the budget of {self.rho} does not cover {self.spent}")

    def by_stage(self) -> dict[str, float]:
        """The cost of each stage in zCDP."""
        return {
            stage: math.fsum(cost for name, cost in self.spent if name == stage)
            for stage in dict.fromkeys(name for name, _ in self.spent)
        }


# --- counts ---------------------------------------------------------------------------------------


def histogram(codes: Sequence[np.ndarray], sizes: Sequence[int]) -> np.ndarray:
    """Rows of each combination of codes, int64 of shape `sizes`; one row changes one count by 1."""
    flat = np.ravel_multi_index(tuple(codes), tuple(sizes))
    return np.bincount(flat, minlength=math.prod(sizes)).reshape(tuple(sizes))


def levels_above(
    column: Column, series: pd.Series, rho: float, delta: float, randbelow: RandBelow
) -> tuple[Column, np.ndarray]:
    """The levels of a column whose noisy count exceeds a threshold, and these counts.

    A stability-based histogram (Korolova et al. 2009): only levels that occur get a noisy count, so
    a level of one row, which the neighbouring table lacks, is named with a probability of at most
    `delta`. Apart from that, it costs `rho`.
    """
    variance = variance_of(rho)
    found = Counter(texts(column, series))
    gone = found.pop(None, 0)
    levels = {text: level_of(column, text) for text in sorted(map(str, found))}
    levels = {text: level for text, level in levels.items() if level is not None}
    counts = noisy(np.array([found[text] for text in levels]), variance, randbelow)
    least = threshold(variance, delta)
    kept = [(v, int(n)) for v, n in zip(levels.values(), counts, strict=True) if n > least]
    named = replace(column, categories=tuple(value for value, _ in kept))
    if isinstance(column.dtype, pd.CategoricalDtype):
        levels = pd.Index(list(named.categories), dtype=object, tupleize_cols=False)
        named = replace(named, dtype=pd.CategoricalDtype(levels, column.dtype.ordered))
    lost = noisy(np.array([gone]), variance, randbelow) if column.missing else []
    return named, np.array([*(count for _, count in kept), 0, *lost], dtype=np.int64)


# --- bins of numbers ------------------------------------------------------------------------------


def bins_of(column: Column, series: pd.Series, rho: float, randbelow: RandBelow) -> np.ndarray:
    """First cells of the bins of a column of numbers, cut repeatedly at a noisy median.

    The approximate quantiles of Kaplan, Schnapp & Stemmer (2022). A declared spike is a bin of its
    own. One row lies in one bin of each level, so that a level costs what one median costs,
    ``epsilon^2 / 8``, and all levels `rho`.
    """
    cells, _ = cells_of(column, series)
    cells = np.sort(cells[cells >= 0])
    epsilon = math.sqrt(8 * rho / (DEPTH + TAILS))
    bins = between_spikes(column)
    for level in range(DEPTH + TAILS):
        halves = []
        for low, high in bins:
            outermost = low == 0 or high == bins[-1][1]
            if low == high or (level >= DEPTH and not outermost):
                halves.append((low, high))
                continue
            first, last = np.searchsorted(cells, [low, high + 1])
            cut = noisy_median(cells[first:last], low, high, epsilon, randbelow)
            halves += [(low, cut), (cut + 1, high)]
        bins = halves
    return np.array([low for low, _ in bins], dtype=np.int64)


def between_spikes(column: Column) -> list[tuple[int, int]]:
    """First and last cell of each declared spike, and of the ranges between them."""
    spikes = cells_at(column, np.array(column.spikes)) if column.spikes else []
    edges = {0, cell_count(column), *(int(s) for s in spikes), *(int(s) + 1 for s in spikes)}
    return [(low, high - 1) for low, high in itertools.pairwise(sorted(edges))]


def noisy_median(
    cells: np.ndarray, low: int, high: int, epsilon: float, randbelow: RandBelow
) -> int:
    """Last cell of the lower half of a bin, from `low` to ``high - 1`` (exponential mechanism)."""
    # Between two values that occur, every cut has the same score.
    starts = np.unique(np.append(cells[cells < high], low))
    lengths = np.diff(np.append(starts, high))
    # epsilon * score / (2 * 1/2)
    part = chosen(np.log(lengths) + epsilon * median_scores(cells, starts), randbelow)
    return int(starts[part]) + randbelow(int(lengths[part]))


def median_scores(cells: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """How well each cut halves the rows; one row changes each score by at most 1/2."""
    return -np.abs(np.searchsorted(cells, cuts, side="right") - len(cells) / 2)


# --- pairs of columns -----------------------------------------------------------------------------


def pair_strength(counts: np.ndarray, expected: np.ndarray, noise: float) -> float:
    """How much a pair of columns differs from independent ones; one row changes it by at most 1.

    The L1 distance of MST (McKenna, Miklau & Sheldon 2021), less what noise adds to it (AIM,
    McKenna et al. 2022).
    """
    return float(np.abs(counts - expected).sum() - math.sqrt(2 / math.pi) * noise * counts.size)


def spanning_tree(
    codes: Sequence[np.ndarray],
    ones: Sequence[np.ndarray],
    rho: float,
    noise: float,
    randbelow: RandBelow,
) -> list[tuple[int, int]]:
    """Pairs of columns that connect all of them, chosen by the exponential mechanism as in MST."""
    columns = len(codes)
    strength = {}
    for i, j in itertools.combinations(range(columns), 2):
        if i == 0 or len(ones[i]) * len(ones[j]) <= MOST_CELLS:
            expected = np.outer(ones[i], ones[j]) / max(float(ones[0].sum()), 1.0)
            counts = histogram([codes[i], codes[j]], expected.shape)
            strength[i, j] = pair_strength(counts, expected, noise)
    epsilon = math.sqrt(8 * rho / max(columns - 1, 1))
    part_of, pairs = list(range(columns)), []
    for _ in range(columns - 1):
        joining = [pair for pair in strength if part_of[pair[0]] != part_of[pair[1]]]
        scores = np.array([strength[pair] for pair in joining])
        i, j = joining[chosen(epsilon * scores / 2, randbelow)]
        pairs.append((i, j))
        part_of = [part_of[i] if part == part_of[j] else part for part in part_of]
    return pairs
