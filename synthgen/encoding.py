"""From a table to two tensors and back: quantile-normal numbers, and codes for everything that has levels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.special import ndtr, ndtri

from synthgen.errors import ModelFileError
from synthgen.table import LEVELS, NUMBERS, Column, Schema

# A number column with at most so many distinct values, each in at least so many rows on average, has levels.
MAX_LEVELS, ROWS_PER_LEVEL = 128, 5
KNOTS = 1000
# What a model file may hold: knots at least so many rows apart, names of values seen at least so often.
PRIVATE_ROWS = 5


@dataclass(frozen=True)
class Encoded:
    """Rows as tensors on one device.

    Attributes:
        numbers: float32 of shape (rows, n_numbers), about standard normal; 0 where the code says that the value is
            a spike or missing.
        codes: int64 of shape (rows, n_codes), each column in ``range(widths[j])``.
    """

    numbers: torch.Tensor
    codes: torch.Tensor

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, rows: Any) -> Encoded:
        return Encoded(self.numbers[rows], self.codes[rows])

    @staticmethod
    def cat(parts: list[Encoded]) -> Encoded:
        return Encoded(torch.cat([p.numbers for p in parts]), torch.cat([p.codes for p in parts]))


@dataclass(frozen=True, eq=False)
class _Levels:
    """A column as one code: `values` are positions in the column's categories, or the numbers themselves."""

    column: Column
    values: np.ndarray
    frequent: int  # the level that stands in for values never seen
    missing: bool

    @property
    def width(self) -> int:
        return len(self.values) + self.missing

    def encode(self, series: pd.Series) -> np.ndarray:
        if self.column.kind in LEVELS:
            found = self.column.codes(series)
            gone = found < 0
        else:
            found, gone = self.column.numbers(series)
        order = np.argsort(self.values, kind="stable")
        values = self.values[order]
        place = np.searchsorted(values, found).clip(0, len(values) - 1)
        if self.column.kind in LEVELS:
            place = np.where(values[place] == found, order[place], self.frequent)
        else:  # the nearest number
            below = (place - 1).clip(0)
            nearer = found - values[below] < values[place] - found
            place = order[np.where(nearer, below, place)]
        return np.where(gone, len(self.values) if self.missing else self.frequent, place)

    def decode(self, codes: np.ndarray) -> pd.Series:
        gone = codes >= len(self.values)
        values = self.values[np.minimum(codes, len(self.values) - 1)]
        if self.column.kind in LEVELS:
            return self.column.restore(np.where(gone, -1, values))
        return self.column.restore(values, gone)


@dataclass(frozen=True, eq=False)
class _Scale:
    """A column as a quantile-normal number; with spikes or missing cells also as a code, 0 for "on the scale"."""

    column: Column
    knots: np.ndarray  # int64 or float64, ascending
    grid: np.ndarray  # share of the rows below each knot, strictly ascending
    spikes: np.ndarray
    missing: bool

    @property
    def width(self) -> int:
        return 1 + len(self.spikes) + self.missing

    def encode(self, series: pd.Series, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        values, gone = self.column.numbers(series)
        codes = np.zeros(len(values), dtype=np.int64)
        if len(self.spikes):
            place = np.searchsorted(self.spikes, values).clip(0, len(self.spikes) - 1)
            codes = np.where(self.spikes[place] == values, place + 1, 0)
        codes = np.where(gone, self.width - 1 if self.missing else 0, codes)
        left = np.searchsorted(self.knots, values, "left").clip(0, len(self.knots) - 1)
        right = np.searchsorted(self.knots, values, "right").clip(1, len(self.knots)) - 1
        below = np.minimum(left, right)
        # Between two knots the place is interpolated; a value that fills several knots is spread over them.
        inside = _ratio(values, self.knots[below], self.knots[left])
        tied = right > left
        share = np.where(tied, rng.random(len(values)), inside.clip(0, 1))
        low, high = self.grid[np.where(tied, left, below)], self.grid[np.where(tied, right, left)]
        normal = ndtri(low + share * (high - low))
        off = (codes > 0) | gone
        return np.where(off, 0.0, normal).astype(np.float32), codes

    def decode(self, normal: np.ndarray, codes: np.ndarray | None) -> pd.Series:
        uniform = ndtr(normal.astype(np.float64)).clip(self.grid[0], self.grid[-1])
        above = np.searchsorted(self.grid, uniform, "left").clip(1, max(1, len(self.grid) - 1))
        above = np.minimum(above, len(self.grid) - 1)
        below = np.maximum(above - 1, 0)
        gap = np.where(above > below, self.grid[above] - self.grid[below], 1.0)
        share = ((uniform - self.grid[below]) / gap).clip(0, 1)
        values = self._rounded(_between(self.knots[below], self.knots[above], share))
        if codes is None:
            return self.column.restore(values)
        if len(self.spikes):
            spike = (codes > 0) & (codes <= len(self.spikes))
            values = np.where(spike, self.spikes[(codes - 1).clip(0, len(self.spikes) - 1)], values)
        return self.column.restore(values, (codes == self.width - 1) if self.missing else None)

    def _rounded(self, values: np.ndarray) -> np.ndarray:
        if values.dtype == np.int64:
            if (step := self.column.step or 1) > 1:
                start = np.int64(self.column.lower).view(np.uint64)
                steps = (values.view(np.uint64) - start + np.uint64(step // 2)) // np.uint64(step)
                values = (start + steps * np.uint64(step)).view(np.int64)
        elif self.column.decimals is not None:
            values = np.round(values, self.column.decimals)
        return values.clip(self.knots[0], self.knots[-1])


class Encoder:
    """Tables to tensors and back, with everything learned from the rows it is fitted on.

    A number column with few distinct values (at most 128, each in 5 rows on average) becomes levels. Any other is
    mapped through its quantiles to a standard normal, with spikes and missing cells as levels of their own. Whole
    numbers and decimals come back exact; other values to within 1e-4 of the distance between neighbouring knots
    (at most 1000, at equal shares of the rows). Constant, ID and text columns are not learned: constants come
    back, IDs are numbered anew, and text is left empty, so that none of it leaves.

    Attributes:
        n_numbers: Width of `Encoded.numbers`.
        widths: Levels of each column of `Encoded.codes`.
        scale_code: For each number, the position of the code whose level 0 means "on the scale", or -1.

    Example:
        >>> frame = pd.DataFrame({"dose": np.arange(500) / 10, "sex": ["f", "m"] * 250})
        >>> schema = Schema.infer(frame)
        >>> encoder = Encoder.fit(frame, schema.columns)
        >>> encoder.n_numbers, encoder.widths
        (1, [2])
        >>> encoded = encoder.transform(frame, np.random.default_rng(0))
        >>> encoded.numbers.shape, encoded.codes.shape
        (torch.Size([500, 1]), torch.Size([500, 1]))
        >>> bool((encoder.inverse_transform(encoded) == frame).all(axis=None))
        True
    """

    def __init__(self, columns: tuple[Column, ...], parts: tuple[_Levels | _Scale | None, ...]) -> None:
        self.columns = columns
        self._parts = parts
        self.widths: list[int] = []
        self.scale_code: list[int] = []
        self._places: list[tuple[int | None, int | None]] = []
        for part in parts:
            code = number = None
            if part is not None and part.width > 1:
                code = len(self.widths)
                self.widths.append(part.width)
            if isinstance(part, _Scale):
                number = len(self.scale_code)
                self.scale_code.append(-1 if code is None else code)
            self._places.append((number, code))
        self.n_numbers = len(self.scale_code)

    @classmethod
    def fit(cls, frame: pd.DataFrame, columns: tuple[Column, ...]) -> Encoder:
        """Learn the levels, knots and shares of `columns` from the rows of `frame`, training rows only."""
        return cls(columns, tuple(_fit_part(column, frame[column.name]) for column in columns))

    def transform(
        self, frame: pd.DataFrame, rng: np.random.Generator, *, device: torch.device | str = "cpu"
    ) -> Encoded:
        """Encode `frame`; a category that was never seen becomes the most frequent one, a number is clipped.

        Args:
            frame: Shape (rows, columns), with at least the encoder's columns.
            rng: Spreads values that fill several knots over them.
            device: Where the tensors go.
        """
        numbers = np.zeros((len(frame), self.n_numbers), dtype=np.float32)
        codes = np.zeros((len(frame), len(self.widths)), dtype=np.int64)
        for part, (number, code) in zip(self._parts, self._places, strict=True):
            if isinstance(part, _Scale):
                numbers[:, number], found = part.encode(frame[part.column.name], rng)
            elif part is not None and code is not None:
                found = part.encode(frame[part.column.name])
            if code is not None:
                codes[:, code] = found
        return Encoded(torch.from_numpy(numbers).to(device), torch.from_numpy(codes).to(device))

    def inverse_transform(self, rows: Encoded) -> pd.DataFrame:
        """The frame that `rows` stand for, in the columns' own dtypes, with a RangeIndex."""
        numbers, codes = rows.numbers.cpu().numpy(), rows.codes.cpu().numpy()
        series = []
        for column, part, (number, code) in zip(self.columns, self._parts, self._places, strict=True):
            if part is None:
                series.append(unlearned(column, len(rows)))
            elif isinstance(part, _Scale):
                series.append(part.decode(numbers[:, number], None if code is None else codes[:, code]))
            else:
                series.append(part.decode(np.zeros(len(rows), np.int64) if code is None else codes[:, code]))
        return as_frame(series, [c.name for c in self.columns], len(rows))

    def coarsened(self, frame: pd.DataFrame) -> tuple[Encoder, list[str]]:
        """What a file may hold: knots at least 5 rows apart and rounded, no extremes, no value in fewer than 5 rows.

        Args:
            frame: All training rows of the table, whatever their class: what many of them share tells of none.

        Returns:
            The coarser encoder, with the same widths, and a sentence for each column that changed.

        Raises:
            ModelFileError: a column has no value that 5 rows share.
        """
        coarse = [
            _coarse(column, part, frame[column.name])
            for column, part in zip(self.columns, self._parts, strict=True)
        ]
        notes = [f"{column.name}: {note}" for column, _, note in coarse if note]
        return Encoder(tuple(c for c, _, _ in coarse), tuple(p for _, p, _ in coarse)), notes

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The encoder as JSON and arrays."""
        described, arrays = [], {}
        for i, (column, part) in enumerate(zip(self.columns, self._parts, strict=True)):
            entry: dict[str, Any] = {"column": column.to_json()}
            if isinstance(part, _Levels):
                entry |= {"part": "levels", "frequent": part.frequent, "missing": part.missing}
                arrays[f"{i}.values"] = part.values
            elif isinstance(part, _Scale):
                entry |= {"part": "scale", "missing": part.missing}
                arrays |= {f"{i}.knots": part.knots, f"{i}.grid": part.grid, f"{i}.spikes": part.spikes}
            described.append(entry)
        return {"columns": described}, arrays

    @classmethod
    def from_state(cls, described: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Encoder:
        columns, parts = [], []
        for i, entry in enumerate(described["columns"]):
            column = Column.from_json(entry["column"])
            part: _Levels | _Scale | None = None
            if entry.get("part") == "levels":
                part = _Levels(column, arrays[f"{i}.values"], entry["frequent"], entry["missing"])
            elif entry.get("part") == "scale":
                part = _Scale(
                    column,
                    arrays[f"{i}.knots"],
                    arrays[f"{i}.grid"],
                    arrays[f"{i}.spikes"],
                    entry["missing"],
                )
            columns.append(column)
            parts.append(part)
        return cls(tuple(columns), tuple(parts))


def unlearned(column: Column, rows: int) -> pd.Series:
    """A column that carries nothing to learn: its constant, all missing, fresh IDs, or empty text."""
    if column.kind == "constant":
        return column.restore(np.zeros(rows, dtype=np.int64))
    if column.kind == "id":
        if column.upper is not None:
            return column.restore(np.arange(1, rows + 1, dtype=np.int64) + int(column.upper))
        values = pd.Series([f"synthetic-{i:06d}" for i in range(1, rows + 1)], dtype=object)
    elif column.kind == "text":
        values = pd.Series([""] * rows, dtype=object)
    else:
        codes = np.full(rows, -1) if column.kind in LEVELS else np.zeros(rows, dtype=np.int64)
        return column.restore(codes, np.ones(rows, dtype=bool))
    if isinstance(column.dtype, pd.CategoricalDtype):
        return values.astype("category")
    return values.astype(column.dtype)


def as_frame(series: list[pd.Series], names: list[Any], rows: int) -> pd.DataFrame:
    """A frame with the names as they are, tuples too."""
    frame = pd.DataFrame(dict(enumerate(series)), index=pd.RangeIndex(rows))
    frame.columns = pd.Index(names, tupleize_cols=False)
    return frame


# --- fitting -------------------------------------------------------------------------------------------------


def _fit_part(column: Column, series: pd.Series) -> _Levels | _Scale | None:
    if column.kind in ("categorical", "boolean"):
        codes = column.codes(series)
        return _levels(column, codes, codes < 0)
    if column.kind not in NUMBERS:
        return None
    values, gone = column.numbers(series)
    known = values[~gone]
    distinct = np.unique(known)
    if len(distinct) <= 2 or (
        len(distinct) <= MAX_LEVELS and len(known) >= ROWS_PER_LEVEL * len(distinct)
    ):
        return _levels(column, values, gone)
    spikes = np.array(column.spikes, dtype=values.dtype)
    spikes = spikes[np.isin(spikes, distinct)]
    rest = np.sort(known[~np.isin(known, spikes)])
    if len(np.unique(rest)) < 2:
        return _levels(column, values, gone)
    places = np.arange(len(rest))
    if len(rest) > KNOTS:
        places = np.linspace(0, len(rest) - 1, KNOTS).round().astype(np.int64)
    return _Scale(column, rest[places], (places + 0.5) / len(rest), spikes, bool(gone.any()))


def _levels(column: Column, values: np.ndarray, gone: np.ndarray) -> _Levels | None:
    distinct, counts = np.unique(values[~gone], return_counts=True)
    if not len(distinct):
        return None  # nothing but missing in these rows
    return _Levels(column, distinct, int(np.argmax(counts)), bool(gone.any()))


# --- what a file may hold ------------------------------------------------------------------------------------


def _coarse(
    column: Column, part: _Levels | _Scale | None, series: pd.Series
) -> tuple[Column, _Levels | _Scale | None, str]:
    if column.kind in LEVELS and column.kind != "boolean":
        return _coarse_categories(column, part, series)
    if isinstance(part, _Levels) and column.kind != "boolean":
        return _coarse_numbers(column, part, series)
    if isinstance(part, _Scale):
        return _coarse_scale(column, part, series)
    if column.kind == "id" and column.upper is not None:
        above = 10 ** len(str(abs(int(column.upper))))
        return replace(column, lower=None, upper=above), None, f"new numbers start above {above}"
    # Bounds of columns that are not learned tell of single rows and serve nothing.
    return replace(column, lower=None, upper=None), part, ""


def _coarse_categories(
    column: Column, part: _Levels | _Scale | None, series: pd.Series
) -> tuple[Column, _Levels | None, str]:
    codes = column.codes(series)
    counts = np.bincount(codes[codes >= 0], minlength=len(column.categories))
    keep = (counts >= PRIVATE_ROWS) | ((counts == 0) & isinstance(column.dtype, pd.CategoricalDtype))
    if not (counts >= PRIVATE_ROWS).any():
        raise _nothing_shared(column)
    if keep.all():
        return column, part, ""  # type: ignore[return-value]
    kept = [c for c, k in zip(column.categories, keep, strict=True) if k]
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        dtype = pd.CategoricalDtype(dtype.categories[keep], ordered=dtype.ordered)
    moved = np.where(keep, np.cumsum(keep) - 1, -1)
    note = f"{int((~keep).sum())} of {len(keep)} values were seen in fewer than {PRIVATE_ROWS} rows and left out"
    if isinstance(part, _Levels):
        values = moved[part.values]
        known = np.where(values >= 0, counts[part.values], 0)
        stand_in = int(np.argmax(known)) if known.any() else 0
        fallback = values[stand_in] if known.any() else moved[int(np.argmax(counts))]
        part = replace(part, values=np.where(values >= 0, values, fallback), frequent=stand_in)
    column = replace(column, categories=tuple(kept), dtype=dtype)
    return column, None if part is None else replace(part, column=column), note  # type: ignore[arg-type]


def _coarse_numbers(column: Column, part: _Levels, series: pd.Series) -> tuple[Column, _Levels, str]:
    values, gone = column.numbers(series)
    distinct, counts = np.unique(values[~gone], return_counts=True)
    shared = distinct[counts >= PRIVATE_ROWS]
    if not len(shared):
        raise _nothing_shared(column)
    place = np.searchsorted(shared, part.values).clip(0, len(shared) - 1)
    below = (place - 1).clip(0)
    nearer = part.values - shared[below] < shared[place] - part.values
    merged = shared[np.where(nearer, below, place)]
    spikes = tuple(s for s in column.spikes if s in set(shared.tolist()))
    column = replace(column, lower=shared[0].item(), upper=shared[-1].item(), spikes=spikes)
    changed = int((merged != part.values).sum())
    note = f"{changed} values that fewer than {PRIVATE_ROWS} rows hold moved to the nearest other" if changed else ""
    return column, replace(part, column=column, values=merged), note


def _coarse_scale(column: Column, part: _Scale, series: pd.Series) -> tuple[Column, _Scale, str]:
    rows = round(0.5 / part.grid[0])
    if rows < 2 * PRIVATE_ROWS:  # too few of this class: the range of all rows stands in
        values, gone = column.numbers(series)
        known = np.sort(values[~gone & ~np.isin(values, part.spikes)])
        rows = len(known)
        part = replace(part, knots=known, grid=(np.arange(rows) + 0.5) / max(rows, 1))
    wanted = min(KNOTS, rows // PRIVATE_ROWS)
    if wanted < 2:
        raise _nothing_shared(column)
    grid = (np.arange(wanted) + 0.5) / wanted
    above = np.searchsorted(part.grid, grid).clip(1, len(part.grid) - 1)
    share = (grid - part.grid[above - 1]) / (part.grid[above] - part.grid[above - 1])
    knots = _between(part.knots[above - 1], part.knots[above], share.clip(0, 1))
    # Each knot keeps one digit of the distance to its nearer neighbour; a tie is held by 5 rows or more.
    gaps = np.diff(knots.astype(np.float64))
    nearer = np.minimum(np.append(gaps, np.inf), np.append(np.inf, gaps))
    tied = nearer <= 0
    unit = 10.0 ** np.floor(np.log10(np.where(tied, 1.0, nearer)))
    if knots.dtype == np.int64:
        step = np.int64(column.step or 1)
        start = np.int64(column.lower) % step
        unit = np.maximum(unit, 1.0).astype(np.int64)
        rounded = knots // unit * unit
        rounded = (rounded - start) // step * step + start
    else:
        rounded = np.round(knots / unit) * unit
        if column.decimals is not None:
            rounded = np.round(rounded, column.decimals)
    knots = np.maximum.accumulate(np.where(tied, knots, rounded))
    lower, upper = knots[0].item(), knots[-1].item()
    column = replace(column, lower=lower, upper=upper)
    note = f"{wanted} rounded quantiles from {lower:g} to {upper:g} in place of {rows} values"
    return column, replace(part, column=column, knots=knots, grid=grid), note


def _nothing_shared(column: Column) -> ModelFileError:
    return ModelFileError(
        405,
        f"column {column.name!r}: no value or range is shared by {PRIVATE_ROWS} rows, so a file that holds it would "
        f"hold training rows: drop the column, or train on more rows",
    )


# --- arithmetic ----------------------------------------------------------------------------------------------


def _ratio(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(values - low) / (high - low) without overflow; 0 where high equals low."""
    if values.dtype == np.int64:
        width = (high.view(np.uint64) - low.view(np.uint64)).astype(np.float64)
        above = np.where(values > low, values.view(np.uint64) - low.view(np.uint64), 0).astype(np.float64)
    else:
        width = high / 2 - low / 2
        above = values / 2 - low / 2
    return np.divide(above, width, out=np.zeros(len(values)), where=width > 0)


def _between(low: np.ndarray, high: np.ndarray, share: np.ndarray) -> np.ndarray:
    """low + share * (high - low), rounded for whole numbers, without overflow."""
    if low.dtype == np.int64:
        width = high.view(np.uint64) - low.view(np.uint64)
        whole = np.floor(share * width.astype(np.float64) + 0.5)
        steps = np.where(whole >= 2.0**64, width, whole.clip(0, 2.0**64 - 2048).astype(np.uint64))
        return (low.view(np.uint64) + np.minimum(steps, width)).view(np.int64)
    return np.where(share <= 0, low, np.where(share >= 1, high, low * (1 - share) + high * share))
