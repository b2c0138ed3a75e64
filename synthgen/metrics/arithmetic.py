"""Features of rows for detectors: differences of two columns, equal cells, counts of values."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from synthgen.encoding.matrix import Matrix

# Largest number of columns that are compared pairwise: 435 pairs.
MOST_COLUMNS = 30
# Two numbers whose standard deviations differ by no more than this may have the same unit.
SAME_UNIT = 10.0
# Counts of a value are clipped here. Larger counts also differ between two samples of real rows, so
# a detector could use them to separate two real samples.
MOST_COUNTED = 4
# Largest numbers of decimals and of final zeros; a value with more decimals counts as having
# MOST_DECIMALS + 1.
MOST_DECIMALS, MOST_ZEROS = 8, 6


@dataclass(frozen=True, eq=False)
class Arithmetic:
    """Columns to compare pairwise, and the pairs.

    Attributes:
        matrix: The matrix that the cells come from.
        columns: Positions in the matrix of the compared columns, at most `MOST_COLUMNS`.
        differences: Pairs of number columns, as positions in the matrix.
        equalities: Pairs of columns that can have the same value.
        spread: Standard deviation of each number, 1 for levels. Shape (columns of the matrix,).
        shared: For each column of levels, one code for each of its levels, the same code for the
            same text in every column; else an empty array.
    """

    matrix: Matrix
    columns: tuple[int, ...]
    differences: tuple[tuple[int, int], ...]
    equalities: tuple[tuple[int, int], ...]
    spread: np.ndarray
    shared: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, matrix: Matrix) -> Arithmetic:
        """Choose columns: first numbers (most columns of similar scale first), then levels."""
        numbers = np.flatnonzero(~matrix.is_level)
        spread = np.where(matrix.is_level, 1.0, matrix.scale_ * matrix.size_)
        ratio = np.abs(np.log(spread[numbers][:, None] / spread[numbers]))
        comparable = (ratio <= np.log(SAME_UNIT)).sum(axis=1)
        first = numbers[np.argsort(-comparable, kind="stable")]
        columns = [*map(int, first), *map(int, np.flatnonzero(matrix.is_level))][:MOST_COLUMNS]
        shared = _shared(matrix)
        differences, equalities = [], []
        for i, j in combinations(sorted(columns), 2):
            if matrix.is_level[i] != matrix.is_level[j]:
                continue
            if matrix.is_level[i]:
                if len(np.intersect1d(shared[i], shared[j])):
                    equalities.append((i, j))
                continue
            differences.append((i, j))
            if _in_one_unit(spread, i, j):
                equalities.append((i, j))
        return cls(
            matrix, tuple(columns), tuple(differences), tuple(equalities), spread, tuple(shared)
        )

    @property
    def pairs(self) -> int:
        """Number of columns at the end of `features` that describe pairs of columns."""
        return len(self.equalities) + len(self.differences)

    def features(self, cells: np.ndarray) -> np.ndarray:
        """Compute all features: of single cells (counts, last digits), then of pairs of columns."""
        numbers = [j for j in self.columns if not self.matrix.is_level[j]]
        single = [self.counts(cells), last_digits(cells[:, numbers])]
        return np.hstack([*single, self.equal(cells), self.difference(cells)])

    def in_one_unit(self, pair: tuple[int, int]) -> bool:
        """Whether both columns seem to have the same unit, so that their difference has it too."""
        return _in_one_unit(self.spread, *pair)

    def difference(self, cells: np.ndarray) -> np.ndarray:
        """Compute the difference of each pair of columns, shape (rows, pairs)."""
        out = np.empty((len(cells), len(self.differences)))
        for k, (i, j) in enumerate(self.differences):
            a, b = (1.0, 1.0) if self.in_one_unit((i, j)) else self.spread[[i, j]]
            out[:, k] = cells[:, i] / a - cells[:, j] / b
        return out

    def equal(self, cells: np.ndarray) -> np.ndarray:
        """Give 1 if the two cells of a pair are equal, otherwise 0; shape (rows, pairs)."""
        out = np.empty((len(cells), len(self.equalities)))
        texts = {
            j: np.append(codes, -1 - j)[np.nan_to_num(cells[:, j], nan=len(codes)).astype(np.int64)]
            for j, codes in enumerate(self.shared)
            if len(codes)
        }
        for k, (i, j) in enumerate(self.equalities):
            out[:, k] = texts.get(i, cells[:, i]) == texts.get(j, cells[:, j])
        return out

    def counts(self, cells: np.ndarray) -> np.ndarray:
        """Count how many rows share the value of each cell, shape (rows, columns)."""
        out = np.empty((len(cells), len(self.columns)))
        for k, j in enumerate(self.columns):
            _, place, count = np.unique(cells[:, j], return_inverse=True, return_counts=True)
            out[:, k] = np.minimum(count[place], MOST_COUNTED)
            out[np.isnan(cells[:, j]), k] = np.nan
        return out


def last_digits(values: np.ndarray) -> np.ndarray:
    """Count the decimals of each value; a negative number counts the zeros before the point."""
    out = np.full(values.shape, MOST_DECIMALS + 1.0)
    with np.errstate(over="ignore", invalid="ignore"):
        for k in range(MOST_DECIMALS, -MOST_ZEROS - 1, -1):
            out[np.round(values, k) == values] = k
    out[np.isnan(values)] = np.nan
    return out


def _in_one_unit(spread: np.ndarray, i: int, j: int) -> bool:
    return bool(abs(np.log(spread[i] / spread[j])) <= np.log(SAME_UNIT))


def _shared(matrix: Matrix) -> list[np.ndarray]:
    codes: dict[str, int] = {}
    return [
        np.array([codes.setdefault(str(c), len(codes)) for c in column.categories], dtype=np.int64)
        if level
        else np.empty(0, dtype=np.int64)
        for column, level in zip(matrix.columns, matrix.is_level, strict=True)
    ]
