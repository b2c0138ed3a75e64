"""Distances between rows of a table, on a scale fitted to real rows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple, final

import numpy as np
import pandas as pd
import torch
from scipy.special import ndtri
from torch import Tensor

from synthgen.tables.column import NUMBERS, Column, Kind

# The columns that count in a distance: no constants, no IDs, no text.
COUNTED: tuple[Kind, ...] = (*NUMBERS, "categorical", "boolean")
# One knot per this many rows. With a knot for each row, the scale would follow single rows, and up
# to 88 % of new real rows (one column, 200 rows) would count as near copies.
ROWS_PER_KNOT, MAX_KNOTS = 20, 50
# Pairs of rows that are compared at once, which limits the memory.
PAIRS_CPU, PAIRS_GPU = 1 << 20, 1 << 25


class Rows(NamedTuple):
    """Normal scores, float32 of shape (rows, numbers), and codes, of shape (codes, rows)."""

    numbers: torch.Tensor
    codes: torch.Tensor

    def take(self, positions: np.ndarray) -> Rows:
        return Rows(self.numbers[positions], self.codes[:, positions])


class Nearest(NamedTuple):
    """The nearest real row of each row; all arrays have shape (rows,).

    Attributes:
        distance: Distance to the nearest real row.
        ratio: Distance to the nearest real row divided by that to the second nearest.
        place: Position of the nearest row among the real rows.
    """

    distance: np.ndarray
    ratio: np.ndarray
    place: np.ndarray


class _NormalScores(NamedTuple):
    unit: float
    knots: np.ndarray
    scores: np.ndarray  # of the knots
    beyond: tuple[float, float]  # the scores below the first and above the last knot


@final
class Space:
    """The scale on which distances between rows of a table are measured.

    Distances are Euclidean on normal scores of the numbers. A different category, or a cell that is
    missing in one of the two rows, counts as sqrt(2), the root mean square distance of two standard
    normal numbers. Columns of other kinds than `COUNTED` do not count.
    """

    def __init__(
        self,
        columns: Iterable[Column],
        *frames: pd.DataFrame,
        device: str | torch.device = "cpu",
    ) -> None:
        counted = [c for c in columns if c.kind in COUNTED]
        self._scales = [(c, _normal_scores(c, [f[c.name] for f in frames])) for c in counted]
        self._device = torch.device(device)

    def rows(self, frame: pd.DataFrame) -> Rows:
        """The rows of `frame` as points, for `nearest`."""
        scores, codes = [np.zeros((len(frame), 0))], [np.zeros((0, len(frame)), dtype=np.int64)]
        for column, scale in self._scales:
            if scale is None:
                codes.append(_codes(column, frame[column.name])[None] + 1)
                continue
            values, gone = column.numbers(frame[column.name])
            low, high = scale.beyond
            found = np.interp(values / scale.unit, scale.knots, scale.scores, left=low, right=high)
            scores.append(np.where(gone, 0, found)[:, None])
            if column.missing:
                codes.append(gone[None].astype(np.int64))
        most = max((len(c.categories) for c, _ in self._scales), default=0)
        numbers = torch.from_numpy(np.concatenate(scores, axis=1)).to(self._device, torch.float32)
        kind = torch.uint8 if most < 254 else torch.int32
        return Rows(numbers, torch.from_numpy(np.concatenate(codes)).to(self._device, kind))


def _codes(column: Column, series: pd.Series) -> np.ndarray:
    """Like `Column.codes`, but all unknown categories get one additional code."""
    known = (series.isin(list(column.categories)) | series.isna()).to_numpy(dtype=bool)
    if known.all():
        return column.codes(series)
    codes = np.full(len(series), len(column.categories))
    codes[known] = column.codes(series[known])
    return codes


def _normal_scores(column: Column, series: list[pd.Series]) -> _NormalScores | None:
    if column.kind not in NUMBERS:
        return None
    parts = [values[~gone].astype(np.float64) for values, gone in map(column.numbers, series)]
    known = np.concatenate(parts)
    if not len(known):
        return _NormalScores(1.0, np.zeros(1), np.zeros(1), (-1.0, 1.0))
    unit = float(np.abs(known).max()) or 1.0
    share = np.linspace(0, 1, 1 + int(np.clip(len(known) // ROWS_PER_KNOT, 2, MAX_KNOTS)))
    cuts = np.quantile(known / unit, share, method="inverted_cdf")
    knots, place = np.unique(cuts, return_inverse=True)
    least = 0.5 / len(known)
    grid = (np.bincount(place, share) / np.bincount(place)).clip(least, 1 - least)
    low, high = ndtri([grid[0] / 2, (1 + grid[-1]) / 2]).tolist()
    return _NormalScores(unit, knots, ndtri(grid), (low, high))


def distinct(rows: Rows) -> tuple[Rows, np.ndarray]:
    """The distinct rows, and each row's position among them; -1 for rows that are not unique."""
    numbers, codes = rows
    flat = [np.zeros((len(numbers), 1)), numbers.cpu().numpy(), codes.cpu().numpy().T]
    _, first, place, counts = np.unique(
        np.concatenate(flat, axis=1),
        axis=0,
        return_index=True,
        return_inverse=True,
        return_counts=True,
    )
    place = place.reshape(-1)  # numpy 2.0 gives it another shape
    return rows.take(first), np.where(counts[place] > 1, -1, place)


def nearest(queries: Rows, real: Rows, *, itself: np.ndarray | None = None) -> Nearest:
    """The row of `real` that is nearest to each row of `queries`."""
    (numbers, codes), (others, other_codes) = queries, real
    device = numbers.device
    chunk = max(1, (PAIRS_CPU if device.type == "cpu" else PAIRS_GPU) // len(others))
    kind = torch.uint8 if len(codes) < 256 else torch.int16
    exact = "donot_use_mm_for_euclid_dist"  # else equal rows would not be exactly 0 apart
    found, ratio = [torch.zeros(0, device=device)], [torch.zeros(0, device=device)]
    places = [torch.zeros(0, dtype=torch.int64, device=device)]
    for start in range(0, len(numbers), chunk):
        part = slice(start, start + chunk)
        square = torch.cdist(numbers[part], others, compute_mode=exact).square_()
        differ = torch.zeros(square.shape, dtype=kind, device=device)
        for mine, theirs in zip(codes, other_codes, strict=True):
            differ += mine[part, None] != theirs
        square.add_(differ, alpha=2)
        if itself is not None:
            own = torch.from_numpy(itself[part]).to(device)
            there = own >= 0
            square[there.nonzero()[:, 0], own[there]] = math.inf
        first, place = square.min(1)
        second = square.scatter_(1, place[:, None], math.inf).min(1).values
        found.append(first)
        ratio.append(first / second)
        places.append(place)
    return Nearest(
        torch.cat(found).sqrt().cpu().numpy(),
        torch.cat(ratio).sqrt().cpu().numpy(),
        torch.cat(places).cpu().numpy(),
    )


def energy_distance(a: Tensor, b: Tensor) -> Tensor:
    """Twice the mean distance between the samples minus the mean distances within them.

    See Szekely & Rizzo 2013. Up to noise, it is 0 for two samples of one distribution.
    """
    within_a = torch.cdist(a, a).sum() / max(1, len(a) * (len(a) - 1))
    within_b = torch.cdist(b, b).sum() / max(1, len(b) * (len(b) - 1))
    return 2 * torch.cdist(a, b).mean() - within_a - within_b
