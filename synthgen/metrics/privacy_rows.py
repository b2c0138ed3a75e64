"""The rows of privacy measures: as points with distances, and as points on lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from synthgen.encoding.distances import COUNTED, Rows, Space
from synthgen.encoding.matrix import Matrix
from synthgen.metrics.score import UNSEEN, Better, Score
from synthgen.tables.column import NUMBERS, Column
from synthgen.tables.table import Table

# Bootstrap draws; draws of a larger sample for a reference.
DRAWS, DRAWN = 300, 5
ALIKE = 1e-12  # draws that differ by less count as equal

# Scores of distances, and which values of them are better.
DISTANCE_SCORES: tuple[tuple[str, Better], ...] = (
    ("copies", "lower"),
    ("near_copies", "lower"),
    ("memorised", "lower"),
    ("nndr", "reference"),
    ("distance_q05", "reference"),
    ("distance_median", "reference"),
    ("nearer_to_train", "reference"),
)


# --- rows ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sample:
    """Rows in two forms.

    Attributes:
        rows: Rows for distances, see `synthgen.encoding.distances`.
        raw: Number columns only, scaled linearly so that straight lines remain straight; float64 of
            shape (rows, numbers).
    """

    rows: Rows
    raw: torch.Tensor

    def __len__(self) -> int:
        return len(self.raw)

    def take(self, places: np.ndarray) -> Sample:
        return Sample(self.rows.take(places), self.raw[places])

    def some(self, most: int, rng: np.random.Generator) -> Sample:
        return self if len(self) <= most else self.take(rng.permutation(len(self))[:most])

    def with_(self, other: Sample) -> Sample:
        numbers, codes = self.rows
        rows = Rows(
            torch.cat([numbers, other.rows.numbers]), torch.cat([codes, other.rows.codes], dim=1)
        )
        return Sample(rows, torch.cat([self.raw, other.raw]))

    def flat(self) -> np.ndarray:
        """Numbers and codes as one array of shape (rows, numbers + codes)."""
        return np.hstack([self.rows.numbers.cpu().numpy(), self.rows.codes.cpu().numpy().T])


def counted_columns(*tables: Table) -> tuple[list[Column], list[str]]:
    """Return the columns used in distances, sorted by name, and the names of IDs and texts."""
    columns, left_out = [], []
    for column in sorted(tables[0].schema.columns, key=lambda c: (str(c.name), repr(c.name))):
        if column.kind in COUNTED:
            gone = any(table.frame[column.name].isna().any() for table in tables)
            columns.append(replace(column, missing=float(gone)))
        elif column.kind in ("id", "text"):
            left_out.append(str(column.name))
    return columns, left_out


def samples_of(
    columns: list[Column], tables: Sequence[Table], device: torch.device
) -> tuple[Sample, Sample, Sample]:
    """Convert train, synthetic and holdout to samples, each sorted by its cells."""
    train, _, holdout = tables
    space = Space(columns, train.frame, holdout.frame, device=device)
    numbers = [c for c in columns if c.kind in NUMBERS]
    matrix = Matrix(np.zeros(len(numbers), dtype=bool), tuple(numbers))
    cells = [matrix.cells(table) for table in tables]
    real = np.concatenate([cells[0], cells[2]])
    matrix.fit(real)
    # A column without any real number has no scale, so it is set to 0.
    known = ~np.isnan(real).all(axis=0)
    raw = [np.nan_to_num(matrix.numbers(c, farthest=np.inf)) * known for c in cells]
    samples = []
    for table, array in zip(tables, raw, strict=True):
        lines = torch.from_numpy(array).to(device)
        sample = Sample(space.rows(table.frame), lines)
        keys = np.hstack([np.zeros((len(sample), 1)), array, sample.flat()])
        samples.append(sample.take(np.lexsort(keys.T)))
    return samples[0], samples[1], samples[2]


def percentile_interval(
    drawn: np.ndarray, rows: int = 0, least: float = 0.0
) -> tuple[float, float]:
    """Compute the 95 % interval of bootstrap draws from their quantiles."""
    low, high = np.quantile(drawn, [0.025, 0.975]).tolist()
    if rows and high - low < ALIKE:
        low, high = max(least, low - UNSEEN / rows), min(1.0, high + UNSEEN / rows)
    return low, high


def interval_of_worst(
    values: np.ndarray, drawn: np.ndarray, rows: int = 0, least: float = 0.0
) -> tuple[float, float]:
    """The 95 % interval of the highest of several scores."""
    own = [percentile_interval(of_one, rows, least) for of_one in drawn]
    lead = np.quantile((drawn - values[:, None]).max(axis=0), 0.975)
    low = min(own[int(values.argmax())][0], float(values.max() - lead))
    return max(least, low), max(high for _, high in own)


def unmeasured(name: str, group: str, why: str) -> Score:
    """Make a privacy score without a value, with the reason as its note."""
    better: Better = dict(DISTANCE_SCORES).get(name, "lower")
    return Score(f"privacy.{name}", group, float("nan"), None, better, None, note=why)
