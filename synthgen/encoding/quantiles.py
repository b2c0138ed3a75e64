"""Quantile-normal encoding of numbers and its inverse, several columns at once, on any device.

Whole numbers are exact over all 64 bits. torch has no unsigned arithmetic, so differences are
taken modulo 2^64, and a negative one stands for 2^63 or more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from synthgen.tables.column import Column

# A value closer to a knot than this fraction of the gap to the next knot becomes the knot, because
# float32 is no more precise.
SNAP = 5e-5
LOWEST = -(2**63)
# Columns and cells that are encoded at once, so that memory use does not grow with the table.
SIDE_BY_SIDE, CELLS_CPU, CELLS_GPU = 8, 2**17, 2**22
CELL = 100  # bytes of working memory for a cell


class QuantileColumn(Protocol):
    """One column as `Scales` reads it, see `synthgen.encoding.columns.Scale`."""

    @property
    def column(self) -> Column: ...
    @property
    def knots(self) -> np.ndarray: ...
    @property
    def grid(self) -> np.ndarray: ...
    @property
    def spikes(self) -> np.ndarray: ...
    @property
    def missing_code(self) -> int: ...
    @property
    def rounding(self) -> tuple[int, int] | int | None: ...


@dataclass(frozen=True, eq=False)
class Scales:
    """Columns of one type, int64 or float64; shorter ones are padded with their last entry.

    Attributes:
        knots, grid: Shape (columns, knots).
        last: Position of the last knot, shape (columns, 1).
        ends: For each knot, the position of the last knot equal to it; shape (columns, knots).
        tied: Whether any knots are equal.
        spikes: Shape (columns, spikes); column j has ``n_spikes[j]`` of them.
        sorted, order: The spikes in ascending order, and their positions in `spikes`.
        missing: Code of a missing cell, 0 if there is none; shape (columns, 1).
        start, step: Whole numbers are rounded to `start` plus a multiple of `step`; a step of 1
            rounds nothing. Shape (columns, 1).
        unit: Other numbers are rounded to a multiple of 1 / `unit`; 0 rounds nothing. Shape
            (columns, 1).
        rounds: Whether any column is rounded.
    """

    knots: Tensor
    grid: Tensor
    last: Tensor
    ends: Tensor
    tied: bool
    spikes: Tensor
    sorted: Tensor
    order: Tensor
    n_spikes: Tensor
    missing: Tensor
    start: Tensor
    step: Tensor
    unit: Tensor
    rounds: bool

    @classmethod
    def of(cls, parts: Sequence[QuantileColumn], device: torch.device | str) -> Scales:
        def column(values: Sequence[float], dtype: torch.dtype = torch.int64) -> Tensor:
            return torch.tensor(values, dtype=dtype, device=device)[:, None]

        whole = [p.rounding if isinstance(p.rounding, tuple) else (0, 1) for p in parts]
        units = [10.0**p.rounding if isinstance(p.rounding, int) else 0.0 for p in parts]
        order = [np.argsort(p.spikes, kind="stable") for p in parts]
        ends = [np.searchsorted(p.knots, p.knots, "right") - 1 for p in parts]
        return cls(
            _padded([p.knots for p in parts], device),
            _padded([p.grid for p in parts], device),
            column([len(p.knots) - 1 for p in parts]),
            _padded(ends, device),
            any((end != np.arange(len(end))).any() for end in ends),
            _padded([p.spikes for p in parts], device),
            _padded([p.spikes[at] for p, at in zip(parts, order, strict=True)], device),
            _padded(order, device),
            column([len(p.spikes) for p in parts]),
            column([p.missing_code for p in parts]),
            column([start for start, _ in whole]),
            column([step for _, step in whole]),
            column(units, torch.float64),
            any(p.rounding is not None for p in parts),
        )

    def encode(
        self, values: Tensor, gone: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Normal numbers, and codes for spikes and missing cells; both of shape (columns, rows)."""
        codes = torch.zeros_like(values, dtype=torch.int64)
        if self.spikes.shape[1]:
            place = torch.searchsorted(self.sorted, values).minimum(self.n_spikes - 1).clamp(min=0)
            here = (self.sorted.gather(1, place) == values) & (self.n_spikes > 0)
            codes = torch.where(here, self.order.gather(1, place) + 1, 0)
        codes = torch.where(gone, self.missing, codes)
        left = torch.searchsorted(self.knots, values).minimum(self.last)
        below = (left - 1).clamp(min=0)
        knot = self.knots.gather(1, left)
        share = ratio(values, self.knots.gather(1, below), knot).clamp(0, 1)
        low, high = self.grid.gather(1, below), self.grid.gather(1, left)
        if self.tied:
            end = self.ends.gather(1, left)
            several = (values == knot) & (end > left)
            uniform = torch.rand(
                values.shape, dtype=torch.float64, device=values.device, generator=generator
            )
            # Away from the ends, which float32 cannot tell from the next value.
            share = torch.where(several, 0.01 + 0.98 * uniform, share)
            low = torch.where(several, high, low)
            high = torch.where(several, self.grid.gather(1, end), high)
        normal = torch.special.ndtri(low + share * (high - low))
        return torch.where((codes > 0) | gone, 0.0, normal).float(), codes

    def decode(self, normal: Tensor, codes: Tensor) -> Tensor:
        """The inverse of `encode`: values, shape (columns, rows), arbitrary for missing cells."""
        last = self.grid.gather(1, self.last)
        uniform = torch.special.ndtr(normal.double()).maximum(self.grid[:, :1]).minimum(last)
        above = torch.searchsorted(self.grid, uniform).clamp(min=1).minimum(self.last)
        below = (above - 1).clamp(min=0)
        low = self.grid.gather(1, below)
        gap = torch.where(above > below, self.grid.gather(1, above) - low, 1.0)
        share = ((uniform - low) / gap).clamp(0, 1)
        share = torch.where(share < SNAP, 0.0, torch.where(share > 1 - SNAP, 1.0, share))
        values = between(self.knots.gather(1, below), self.knots.gather(1, above), share)
        values = self._rounded(values)
        if self.spikes.shape[1]:
            spike = (codes > 0) & (codes <= self.n_spikes)
            place = (codes - 1).clamp(0, self.spikes.shape[1] - 1)
            values = torch.where(spike, self.spikes.gather(1, place), values)
        return values

    def _rounded(self, values: Tensor) -> Tensor:
        if self.rounds and values.dtype == torch.int64:
            steps = floor_divided(values - self.start + self.step // 2, self.step)
            values = torch.where(self.step > 1, self.start + steps * self.step, values)
        elif self.rounds:
            whole = (values * self.unit).round() / self.unit
            values = torch.where(self.unit > 0, whole, values)
        return values.maximum(self.knots[:, :1]).minimum(self.knots.gather(1, self.last))


def chunks(columns: int, rows: int, device: torch.device) -> list[slice]:
    """Slices of the rows, each small enough to be encoded at once."""
    size = max(1, _cells(device) // columns)
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]


def working(rows: int, device: torch.device) -> int:
    """Upper limit of the working memory for one slice of `chunks`, in bytes."""
    return CELL * min(SIDE_BY_SIDE * rows, _cells(device))


def _cells(device: torch.device) -> int:
    return CELLS_CPU if device.type == "cpu" else CELLS_GPU


def ratio(values: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """``(values - low) / (high - low)``; 0 for an empty range, or values below it."""
    if values.dtype == torch.int64:
        width = _unsigned(high - low)
        above = torch.where(values > low, _unsigned(values - low), 0.0)
    else:
        width, above = high / 2 - low / 2, values / 2 - low / 2
    return torch.where(width > 0, above / width, 0.0)


def between(low: Tensor, high: Tensor, share: Tensor) -> Tensor:
    """``low + share * (high - low)``, rounded for whole numbers, without overflow."""
    if low.dtype == torch.int64:
        width = high - low
        whole = (share * _unsigned(width) + 0.5).floor()
        steps = torch.where(whole < 2.0**63, whole, whole - 2.0**64).clamp(
            -(2.0**63), 2.0**63 - 1024
        )
        steps = torch.where((whole >= 2.0**64) | _less(width, steps.long()), width, steps.long())
        return torch.where(share >= 1, high, low + steps)
    # The weighted mean of two equal ends may differ from them in the last bit.
    inside = torch.where(low == high, low, low * (1 - share) + high * share)
    return torch.where(share <= 0, low, torch.where(share >= 1, high, inside))


def nearest(values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """For each of `wanted`, the position of the nearest sorted value; of two, the lower one."""
    known, sought = torch.from_numpy(values), torch.from_numpy(wanted)
    above = torch.searchsorted(known, sought).clamp(max=len(known) - 1)
    below = (above - 1).clamp(min=0)
    outside = sought >= known[above]
    near = outside | (ratio(sought, known[below], known[above]) > 0.5)
    return torch.where(near, above, below).numpy()


def _padded(arrays: Sequence[np.ndarray], device: torch.device | str) -> Tensor:
    most = max(map(len, arrays))
    out = np.zeros((len(arrays), most), dtype=arrays[0].dtype)
    for row, values in zip(out, arrays, strict=True):
        row[: len(values)] = values
        row[len(values) :] = values[-1] if len(values) else 0
    return torch.from_numpy(out).to(device)


def _unsigned(difference: Tensor) -> Tensor:
    """A difference modulo 2^64 as float64."""
    return difference.double() + torch.where(difference < 0, 2.0**64, 0.0)


def _less(one: Tensor, two: Tensor) -> Tensor:
    """``one < two``, both read as unsigned."""
    return (one ^ LOWEST) < (two ^ LOWEST)


def floor_divided(values: Tensor, by: Tensor) -> Tensor:
    """``values // by`` with `values` read as unsigned; a `by` below 2 counts as 2."""
    by = by.clamp(min=2)
    half = (values >> 1) & (2**63 - 1)
    found = torch.div(half, by, rounding_mode="floor") * 2
    return found + (~_less(values - found * by, by)).long()
