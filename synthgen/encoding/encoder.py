"""From a table to two tensors and back: quantile-normal numbers, and codes for everything that
has levels.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
import torch

from synthgen import cells as cell
from synthgen.column import LEVELS, NUMBERS, Column
from synthgen.errors import DataError, ModelFileError, SynthgenError, UsageError
from synthgen.scales import SIDE_BY_SIDE, Scales, chunks, nearest

# A number column with at most so many distinct values, each in at least so many rows on average,
# has levels.
MAX_LEVELS, ROWS_PER_LEVEL = 128, 5
KNOTS = 1000

# Of each column: its name, whether it has a number, and the levels of its code (0: it has none).
Slots = list[tuple[Hashable, bool, int]]


@dataclass(frozen=True)
class Layout:
    """What the columns of encoded rows are, of a table itself or of a wider one that holds it.

    Attributes:
        n_numbers: Width of `Encoded.numbers`.
        widths: Levels of each column of `Encoded.codes`.
        scale_code: See `Encoder.scale_code`.
        own: Levels that the table has itself of each code, 0 for a code that it lacks; None: all.
        numbers: Where the table's own numbers lie among all.
        codes: Where its own codes lie among all.
    """

    n_numbers: int
    widths: list[int]
    scale_code: list[int]
    own: list[int] | None
    numbers: list[int]
    codes: list[int]

    def places(self) -> dict[str, torch.Tensor]:
        """Positions of the table's own numbers, levels and codes in this layout, in order."""
        starts = np.cumsum([0, *self.widths])
        own = self.widths if self.own is None else self.own
        levels = [int(starts[j]) + i for j in self.codes for i in range(own[j])]
        found = {"numbers": self.numbers, "levels": levels, "codes": self.codes}
        return {name: torch.tensor(at, dtype=torch.long) for name, at in found.items()}

    def sizes(self) -> dict[str, int]:
        return {
            "numbers": self.n_numbers,
            "levels": sum(self.widths),
            "codes": len(self.widths),
        }

    def padded(self, rows: Encoded) -> Encoded:
        """Rows of the table itself in this layout; what it lacks is 0."""
        n, places = len(rows), self.places()
        numbers = rows.numbers.new_zeros(n, self.n_numbers)
        codes = rows.codes.new_zeros(n, len(self.widths))
        device = rows.numbers.device
        numbers[:, places["numbers"].to(device)] = rows.numbers
        codes[:, places["codes"].to(device)] = rows.codes
        return Encoded(numbers, codes)


def code_type(widths: list[int]) -> np.dtype:
    """The smallest type that holds codes of so many levels."""
    most = max(widths, default=0)
    return np.dtype(np.uint8 if most <= 2**8 else np.int16 if most <= 2**15 else np.int32)


def common(slots: list[Slots]) -> list[Layout]:
    """The narrowest layout that holds several tables of the same columns, as each of them sees it.

    Example:
        >>> one = [("age", True, 0), ("sex", False, 2)]
        >>> two = [("age", False, 9), ("sex", False, 3)]
        >>> first, second = common([one, two])
        >>> first.n_numbers, first.widths, first.own, second.own
        (1, [9, 3], [0, 2], [9, 3])
    """
    columns = list(zip(*slots, strict=True))
    numbered = [any(has for _, has, _ in column) for column in columns]
    widest = [max(width for _, _, width in column) for column in columns]
    n_numbers, widths = sum(numbered), [w for w in widest if w]
    layouts = []
    for table in slots:
        number = code = 0
        scale_code, own, numbers, codes = [], [], [], []
        for (_, has, width), any_number, most in zip(table, numbered, widest, strict=True):
            if any_number:
                scale_code.append(code if has and width else -1)
                numbers += [number] if has else []
                number += 1
            if most:
                own.append(width)
                codes += [code] if width else []
                code += 1
        layouts.append(Layout(n_numbers, widths, scale_code, own, numbers, codes))
    return layouts


@dataclass(frozen=True)
class Encoded:
    """Rows as tensors on one device.

    Attributes:
        numbers: float32 of shape (rows, n_numbers), about standard normal; 0 where the code says
            that the value is a spike or missing.
        codes: Whole numbers of shape (rows, n_codes), each column in ``range(widths[j])``; of an
            encoder in the smallest type that holds them, of a network int64.
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
class Levels:
    """A column as one code: `values` are positions in the column's categories, or the numbers
    themselves.
    """

    column: Column
    values: np.ndarray
    frequent: int  # the level that stands in for values never seen
    missing: bool

    @property
    def width(self) -> int:
        return len(self.values) + self.missing

    def encode(self, series: pd.Series) -> np.ndarray:
        absent = len(self.values) if self.missing else self.frequent
        if self.column.kind in LEVELS:
            # Of each category, and last of the code -1, missing.
            places = np.full(len(self.column.categories) + 1, self.frequent)
            places[self.values[::-1]] = np.arange(len(self.values))[::-1]
            places[-1] = absent
            return places[self.column.codes(series)]
        found, gone = self.column.numbers(series)
        order = np.argsort(self.values, kind="stable")
        return np.where(gone, absent, order[nearest(self.values[order], found)])

    def decode(self, codes: np.ndarray) -> pd.Series:
        gone = codes >= len(self.values)
        values = self.values[np.minimum(codes, len(self.values) - 1)]
        if self.column.kind in LEVELS:
            return self.column.restore(np.where(gone, -1, values))
        return self.column.restore(values, gone)


@dataclass(frozen=True, eq=False)
class Scale:
    """A column as a quantile-normal number; with spikes or missing cells also as a code, 0 for
    "on the scale".
    """

    column: Column
    knots: np.ndarray  # int64 or float64, ascending
    grid: np.ndarray  # share of the rows below each knot, strictly ascending
    spikes: np.ndarray
    missing: bool

    @property
    def width(self) -> int:
        return 1 + len(self.spikes) + self.missing

    @property
    def missing_code(self) -> int:
        return self.width - 1 if self.missing else 0

    @property
    def rounding(self) -> tuple[int, int] | int | None:
        """First value and step of whole numbers, decimals of others; None: they are not rounded."""
        if self.knots.dtype != np.int64:
            return self.column.decimals
        step = self.column.step or 1
        return (int(cast(int, self.column.lower)), step) if step > 1 else None


class Encoder:
    """Tables to tensors and back, with everything learned from the rows it is fitted on.

    A number column with few distinct values (at most 128, each in 5 rows on average) becomes
    levels. Any other is mapped through its quantiles to a standard normal, with spikes and missing
    cells as levels of their own. Up to 1000 of the values, at equal shares of the rows, are knots.
    A knot comes back exact, any other value to within 1e-4 of the distance between the two knots
    beside it, and then rounded to its column's step or decimals: whole numbers and decimals are
    exact unless 5,000 steps lie between two knots. Constant, ID and text columns are not learned:
    constants come back, IDs are numbered anew, and text is left empty, so that none of it leaves.

    Attributes:
        columns: In the order of the table.
        parts: What was learned of each; None: nothing.
        n_numbers: Width of `Encoded.numbers`.
        widths: Levels of each column of `Encoded.codes`.
        scale_code: For each number, the position of the code whose level 0 means "on the scale", or
            -1.

    Example:
        >>> frame = pd.DataFrame({"dose": np.arange(500) / 10, "sex": ["f", "m"] * 250})
        >>> from synthgen.table import Schema
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

    def __init__(
        self, columns: tuple[Column, ...], parts: tuple[Levels | Scale | None, ...]
    ) -> None:
        self.columns = columns
        self.parts = parts
        self.widths: list[int] = []
        self.scale_code: list[int] = []
        self._places: list[tuple[int | None, int | None]] = []
        for part in parts:
            code = number = None
            if part is not None and part.width > 1:
                code = len(self.widths)
                self.widths.append(part.width)
            if isinstance(part, Scale):
                number = len(self.scale_code)
                self.scale_code.append(-1 if code is None else code)
            self._places.append((number, code))
        self.n_numbers = len(self.scale_code)

    @property
    def slots(self) -> Slots:
        return [
            (column.name, number is not None, 0 if code is None else self.widths[code])
            for column, (number, code) in zip(self.columns, self._places, strict=True)
        ]

    @property
    def layout(self) -> Layout:
        numbers, codes = list(range(self.n_numbers)), list(range(len(self.widths)))
        return Layout(self.n_numbers, self.widths, self.scale_code, None, numbers, codes)

    @classmethod
    def fit(
        cls, frame: pd.DataFrame, columns: tuple[Column, ...], *, max_levels: int = MAX_LEVELS
    ) -> Encoder:
        """Learn the levels, knots and shares of `columns` from the rows of `frame`, training
        rows only.

        Args:
            frame: Shape (rows, columns).
            columns: What they are.
            max_levels: Distinct values of a number up to which it has levels.
        """
        parts = (_fit_part(column, frame[column.name], max_levels) for column in columns)
        return cls(columns, tuple(parts))

    def transform(
        self, frame: pd.DataFrame, rng: np.random.Generator, *, device: torch.device | str = "cpu"
    ) -> Encoded:
        """Encode `frame`.

        A category of the schema that the fitted rows lack becomes their most frequent one; a number
        beyond theirs is clipped, and a missing cell where they have none becomes 0 on the scale,
        their median, or the most frequent level.

        Args:
            frame: Shape (rows, columns), with at least the encoder's columns.
            rng: Spreads values that fill several knots over them.
            device: Where the tensors go.

        Raises:
            DataError: a column is missing, or a cell is not what its column's schema says.
        """
        for column in self.columns:
            if column.name not in frame.columns:
                raise DataError(
                    338,
                    f"the table has no column {column.name!r}, which was learned: add or rename it",
                )
        rows, device = len(frame), torch.device(device)
        levels = np.zeros((rows, len(self.widths)), dtype=code_type(self.widths))
        for part, (_, code) in zip(self.parts, self._places, strict=True):
            if isinstance(part, Levels) and code is not None:
                levels[:, code] = part.encode(frame[part.column.name])
        codes = torch.from_numpy(levels).to(device)
        numbers = torch.zeros(rows, self.n_numbers, device=device)
        generator = torch.Generator(device).manual_seed(int(rng.integers(2**63)))
        for group in self._groups():
            values = np.empty((len(group), rows), dtype=group[0][0].knots.dtype)
            gone = np.empty((len(group), rows), dtype=bool)
            for k, (part, _, _) in enumerate(group):
                values[k], gone[k] = part.column.numbers(frame[part.column.name])
            scales = Scales.of([part for part, _, _ in group], device)
            for some in chunks(len(group), rows, device):
                cells, absent = (
                    torch.from_numpy(np.ascontiguousarray(t[:, some])).to(device)
                    for t in (values, gone)
                )
                normal, spikes = scales.encode(cells, absent, generator)
                numbers[some, [number for _, number, _ in group]] = normal.T
                coded = [(k, code) for k, (_, _, code) in enumerate(group) if code is not None]
                if coded:
                    own, among = map(list, zip(*coded, strict=True))
                    codes[some, among] = spikes[own].T.to(codes.dtype)
        return Encoded(numbers, codes)

    def inverse_transform(self, rows: Encoded) -> pd.DataFrame:
        """The frame that `rows` stand for, in the columns' own dtypes, with a RangeIndex."""
        device, narrow = rows.numbers.device, torch.from_numpy(np.empty(0, code_type(self.widths)))
        codes = rows.codes.to(narrow.dtype).cpu().numpy().T
        series: dict[int, pd.Series] = {}
        for group in self._groups():
            scales = Scales.of([part for part, _, _ in group], device)
            values = np.empty((len(group), len(rows)), dtype=group[0][0].knots.dtype)
            for some in chunks(len(group), len(rows), device):
                normal = rows.numbers[some, [number for _, number, _ in group]].T.contiguous()
                spikes = [
                    torch.zeros(normal.shape[1], dtype=torch.int64, device=device)
                    if code is None
                    else rows.codes[some, code].long()
                    for _, _, code in group
                ]
                decoded = scales.decode(normal, torch.stack(spikes))
                values[:, some] = decoded.cpu().numpy()
            for (part, number, code), found in zip(group, values, strict=True):
                gone = (
                    codes[code] == part.missing_code if part.missing and code is not None else None
                )
                series[number] = part.column.restore(found, gone)
        out = []
        for column, part, (number, code) in zip(
            self.columns, self.parts, self._places, strict=True
        ):
            if part is None:
                out.append(unlearned(column, len(rows)))
            elif isinstance(part, Levels):
                out.append(
                    part.decode(np.zeros(len(rows), np.int64) if code is None else codes[code])
                )
            else:
                out.append(series[cast(int, number)])
        return as_frame(out, [c.name for c in self.columns], len(rows))

    def _groups(self) -> Iterator[list[tuple[Scale, int, int | None]]]:
        """The columns on a scale, some of one type at once, each with the position of its number
        and of its code.
        """
        for whole in (True, False):
            group = [
                (part, cast(int, number), code)
                for part, (number, code) in zip(self.parts, self._places, strict=True)
                if isinstance(part, Scale) and (part.knots.dtype == np.int64) is whole
            ]
            for start in range(0, len(group), SIDE_BY_SIDE):
                yield group[start : start + SIDE_BY_SIDE]

    def place(self, name: Any, value: Any) -> tuple[int | None, int]:
        """Where a value of a column of levels is found among the codes.

        Args:
            name: A column of categories, truth values, or numbers with few distinct values.
            value: One of its values, or text that reads like one; None: a missing cell.

        Returns:
            Position of the code, None for a column with one level, and the level.

        Raises:
            UsageError: the column has no levels, or not this one.
        """
        named = {p.column.name: i for i, p in enumerate(self.parts) if isinstance(p, Levels)}
        if name not in named:
            known = ", ".join(map(repr, named)) or "none here"
            raise UsageError(238, f"{name!r} is no learned column of levels: these are {known}")
        part = cast(Levels, self.parts[named[name]])
        _, code = self._places[named[name]]
        levels = part.column.restore(part.values).tolist()
        if pd.isna(value) and part.missing:
            return code, len(part.values)
        if value not in levels and isinstance(value, str):
            value = next((level for level in levels if str(level) == value), value)
        if value not in levels:
            shown = ", ".join(map(repr, levels[:10])) + ", ..." * (len(levels) > 10)
            raise UsageError(238, f"column {name!r} has no value {value!r}: it has {shown}")
        return code, levels.index(value)

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The encoder as JSON and arrays."""
        described, arrays = [], {}
        for i, (column, part) in enumerate(zip(self.columns, self.parts, strict=True)):
            entry: dict[str, Any] = {"column": column.to_json()}
            if isinstance(part, Levels):
                entry |= {"part": "levels", "frequent": part.frequent, "missing": part.missing}
                arrays[f"{i}.values"] = part.values
            elif isinstance(part, Scale):
                entry |= {"part": "scale", "missing": part.missing}
                arrays |= {
                    f"{i}.knots": part.knots,
                    f"{i}.grid": part.grid,
                    f"{i}.spikes": part.spikes,
                }
            described.append(entry)
        return {"columns": described}, arrays

    @classmethod
    def from_state(cls, described: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Encoder:
        """The inverse of `state`.

        Raises:
            ModelFileError: a part is missing, or no encoder could have made it.
        """
        columns, parts = [], []
        try:
            for i, entry in enumerate(described["columns"]):
                column = Column.from_json(entry["column"])
                columns.append(column)
                parts.append(_part_from_state(column, entry, f"{i}.", arrays))
        except (
            KeyError,
            TypeError,
            ValueError,
            IndexError,
            AttributeError,
            SynthgenError,
        ) as error:
            raise ModelFileError(
                420,
                f"the model file describes column {len(columns)} wrongly ({error}): copy it again, "
                "or train again",
            ) from error
        return cls(tuple(columns), tuple(parts))


def _part_from_state(
    column: Column, entry: Mapping[str, Any], prefix: str, arrays: Mapping[str, np.ndarray]
) -> Levels | Scale | None:
    kind = entry.get("part")
    if kind is None:
        return None
    names = {"levels": ("values",), "scale": ("knots", "grid", "spikes")}[kind]
    found = {name: arrays[prefix + name] for name in names}
    wanted = np.dtype(np.float64 if column.kind == "numeric" else np.int64)
    for name, array in found.items():
        if array.ndim != 1 or array.dtype != (np.float64 if name == "grid" else wanted):
            raise ValueError(f"{name} is {array.dtype} of shape {array.shape}")
        if not np.isfinite(array).all() or (len(array) == 0 and name != "spikes"):
            raise ValueError(f"{name} is empty or not finite")
    missing = entry["missing"]
    if not isinstance(missing, bool) or column.kind not in ("categorical", "boolean", *NUMBERS):
        raise ValueError(f"kind {column.kind}, missing {missing}")
    if column.kind in ("integer", "datetime") and column.lower is None:
        raise ValueError("lower is missing")
    if kind == "levels":
        values, frequent = found["values"], entry["frequent"]
        if column.kind in LEVELS and not ((values >= 0) & (values < len(column.categories))).all():
            raise ValueError("values beyond the categories")
        if (
            isinstance(frequent, bool)
            or not isinstance(frequent, int)
            or not 0 <= frequent < len(values)
        ):
            raise ValueError(f"frequent is {frequent}")
        return Levels(column, values, frequent, missing)
    knots, grid = found["knots"], found["grid"]
    if (
        column.kind not in NUMBERS
        or len(knots) != len(grid)
        or len(knots) < 2
        or (knots[1:] < knots[:-1]).any()
    ):
        raise ValueError("knots in no order")
    if not (grid[0] > 0 and (grid[1:] > grid[:-1]).all() and grid[-1] < 1):
        raise ValueError("grid in no order")
    return Scale(column, knots, grid, found["spikes"], missing)


def unlearned(column: Column, rows: int) -> pd.Series:
    """A column that carries nothing to learn: its constant, all missing, fresh IDs, or empty text.

    Raises:
        DataError: a column of IDs has no room for so many beside those that it has.
    """
    if column.kind == "constant":
        return column.restore(np.zeros(rows, dtype=np.int64))
    if column.kind == "id" and (column.lower is not None or cell.is_numeric(column.dtype)):
        return column.restore(_new_numbers(column, rows))
    if column.kind == "id":
        first = int(column.upper or 0) + 1
        values = pd.Series([f"synthetic-{i:06d}" for i in range(first, first + rows)], dtype=object)
    elif column.kind == "text":
        values = pd.Series([""] * rows, dtype=object)
    else:
        return cell.all_missing(rows, column.dtype, column.name, column.empty)
    dtype = "category" if isinstance(column.dtype, pd.CategoricalDtype) else column.dtype
    return values.astype(dtype).rename(column.name)  # pyright: ignore[reportArgumentType]


def _new_numbers(column: Column, rows: int) -> np.ndarray:
    """IDs above those of the column; below them, where the dtype has no room above."""
    lowest, highest = -(2**63), 2**63 - 1
    if cell.is_numeric(column.dtype):
        dtype = cell.numpy_type(column.dtype)
        if dtype.kind == "f":  # up to here a float holds each whole number
            highest = 2 ** (np.finfo(dtype).nmant + 1)
            lowest = -highest
        else:
            lowest, highest = (
                max(lowest, int(np.iinfo(dtype).min)),
                min(highest, int(np.iinfo(dtype).max)),
            )
    upper = int(column.upper or 0)
    if upper + rows <= highest:
        first = upper + 1
    elif column.lower is not None and int(column.lower) - rows >= lowest:
        first = int(column.lower) - rows
    else:
        raise DataError(
            329,
            f"ID column {column.name!r} ({column.dtype}) has no room for {rows} new numbers beside "
            f"{column.lower} to "
            f"{upper}: drop the column, or make it a wider type",
        )
    return np.arange(rows, dtype=np.int64) + first


def as_frame(series: list[pd.Series], names: list[Any], rows: int) -> pd.DataFrame:
    """A frame with the names as they are, tuples too."""
    frame = pd.DataFrame(dict(enumerate(series)), index=pd.RangeIndex(rows))
    frame.columns = pd.Index(names, tupleize_cols=False)
    return frame


# --- fitting --------------------------------------------------------------------------------------


def _fit_part(column: Column, series: pd.Series, max_levels: int) -> Levels | Scale | None:
    if column.kind in ("categorical", "boolean"):
        codes = column.codes(series)
        return _levels(column, codes, codes < 0)
    if column.kind not in NUMBERS:
        return None
    values, gone = column.numbers(series)
    known = values[~gone]
    distinct = np.unique(known)
    if len(distinct) <= 2 or (
        len(distinct) <= max_levels and len(known) >= ROWS_PER_LEVEL * len(distinct)
    ):
        return _levels(column, values, gone)
    spikes = np.array(column.spikes, dtype=values.dtype)
    spikes = spikes[np.isin(spikes, distinct)]
    rest = np.sort(known[~np.isin(known, spikes)])
    if len(np.unique(rest)) < 2:
        return _levels(column, values, gone)
    places = np.arange(len(rest))
    ends = np.flatnonzero(np.append(rest[1:] != rest[:-1], True))
    if len(rest) > KNOTS and 2 * len(ends) <= KNOTS:
        # The first and the last row of each value, so that all of its share is known.
        places = np.unique(np.concatenate([ends, np.append(0, ends[:-1] + 1)]))
    elif len(rest) > KNOTS:
        places = np.linspace(0, len(rest) - 1, KNOTS).round().astype(np.int64)
    return Scale(column, rest[places], (places + 0.5) / len(rest), spikes, bool(gone.any()))


def _levels(column: Column, values: np.ndarray, gone: np.ndarray) -> Levels | None:
    distinct, counts = np.unique(values[~gone], return_counts=True)
    if not len(distinct):
        return None  # nothing but missing in these rows
    return Levels(column, distinct, int(np.argmax(counts)), bool(gone.any()))
