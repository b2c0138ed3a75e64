"""Samples of equal size of three tables, and jackknife intervals of scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from synthgen.encoding.matrix import Matrix
from synthgen.metrics.score import UNSEEN, Better, Score

# Largest numbers of rows per table: for columns and pairs, and for whole rows.
COLUMN_ROWS, TEST_ROWS = 10_000, 4_000
# Numbers of bootstrap samples, of half-samples, and of draws from a larger table.
REPLICATES, HALVES, DRAWS = 200, 20, 5


@dataclass(frozen=True, eq=False)
class Samples:
    """The cells of train (`train`), synthetic (`made`) and holdout rows (`fresh`) of a group.

    Attributes:
        matrix: Converts cells to numbers for classifiers and distances.
        train, made, fresh: Cells of shape (rows, columns), see `Matrix.cells`.
        group: Name of the rows: ``"all"`` or a class.
    """

    matrix: Matrix
    train: np.ndarray
    made: np.ndarray
    fresh: np.ndarray
    group: str

    def notes(self) -> list[str]:
        rows = min(len(self.train), len(self.made), len(self.fresh))
        out = []
        if rows > TEST_ROWS:
            out.append(
                f"{self.group}: the battery, two-sample tests, alpha-precision and beta-recall use "
                f"{TEST_ROWS:,} rows of each table, drawn without replacement"
            )
        if len(self.fresh) < len(self.made):
            out.append(
                f"{self.group}: the holdout has {len(self.fresh):,} rows and the synthetic table "
                f"{len(self.made):,}; both are compared with train in samples of "
                f"{len(self.fresh):,} rows"
            )
        return out


def some(rng: np.random.Generator, cells: np.ndarray, rows: int) -> np.ndarray:
    return cells[rng.permutation(len(cells))[:rows]]


def independent(rng: np.random.Generator, cells: np.ndarray) -> np.ndarray:
    """Shuffle each column independently."""
    return np.column_stack([rng.permutation(column) for column in cells.T])


def jackknifed(
    name: str,
    group: str,
    value: float,
    reference: float | None,
    halves: list[float],
    *,
    floor: float | None = None,
    better: Better = "higher",
    wider: float = 1.0,
    rows: int = 0,
) -> Score:
    """Make a score from 0 to 1 with an interval from half-samples (delete-half jackknife)."""
    known = np.array([h for h in halves if h == h])
    if value != value or len(known) < 2:
        why = "no interval: too few half-samples have a value" if value == value else ""
        return Score(name, group, value, reference, better, None, floor, why)
    error = wider * float(stdtrit(len(known) - 1, 0.975) * known.std(ddof=1))
    if error < 1e-9 and rows:
        error = UNSEEN / rows
    interval = (float(max(0.0, value - error)), float(min(1.0, value + error)))
    return Score(name, group, value, reference, better, interval, floor)


def half_sampled(rng: np.random.Generator, rows: int) -> list[np.ndarray]:
    """Draw halves of the rows without replacement.

    The standard deviation of a statistic over such halves estimates its standard error on all rows
    (delete-half jackknife, Shao & Wu 1989).
    """
    return [rng.permutation(rows)[: max(1, rows // 2)] for _ in range(HALVES)]
