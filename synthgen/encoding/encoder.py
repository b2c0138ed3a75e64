"""`Encoder`: a table as two tensors, quantile-normal numbers and category codes, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import numpy as np
import pandas as pd
import torch

from synthgen.encoding.columns import MAX_LEVELS, Levels, Scale, fit_part, part_from_state
from synthgen.encoding.layout import Encoded, Layout, code_type
from synthgen.encoding.quantiles import SIDE_BY_SIDE, Scales, chunks
from synthgen.encoding.stored import Stored
from synthgen.encoding.unlearned import unlearned
from synthgen.errors import DataError, UsageError
from synthgen.seeds import child_seed
from synthgen.tables.column import Column, level_position
from synthgen.tables.table import as_frame

# The key of the seeds that draw decimals; no block has this number.
DECODED = 1 << 20


class Encoder:
    """Encodes tables as tensors and decodes them; create it with `Encoder.fit`.

    A number column with few distinct values (at most 128, with 5 rows each on average) is encoded
    as categories. Any other number column is mapped through its quantiles to a standard normal
    number, with codes for spikes and missing cells. The quantiles are interpolated between up to
    1,000 knots. Up to 2,000 values that several rows have are knots as well, so that decoded
    numbers repeat them as often as rows do.

    Decoding returns knots exactly. Other values are accurate to 1e-4 of the gap between their two
    knots; they are then rounded to the step or decimals of the column. Whole numbers and decimals
    are exact if neighbouring knots are at most 5,000 steps apart. Constant, ID and text columns are
    not learned: constants are repeated, IDs are new, and text is left empty.

    Args:
        columns: The columns, in the order of the table; also an attribute.
        parts: The encoding of each column, None for a column that is not learned; also an
            attribute.

    Attributes:
        n_numbers: Number of columns of `Encoded.numbers`.
        widths: Number of codes in each column of `Encoded.codes`.
        scale_code: For each number, the position of its code column, in which 0 means "use the
            number"; -1 if it has none.

    Example:
        >>> frame = pd.DataFrame({"dose": np.arange(500) / 10, "sex": ["f", "m"] * 250})
        >>> from synthgen import Schema
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
    def layout(self) -> Layout:
        """The layout of this table's own encoded rows."""
        return Layout(self.n_numbers, self.widths, self.scale_code)

    @classmethod
    def fit(
        cls, frame: pd.DataFrame, columns: tuple[Column, ...], *, max_levels: int = MAX_LEVELS
    ) -> Encoder:
        """Learn the categories and quantiles of `columns` from training rows.

        Args:
            frame: The training rows, shape (rows, columns).
            columns: Kind and limits of each column, such as `Schema.columns`.
            max_levels: A number column with at most this many distinct values is encoded as
                categories. Default 128.

        Returns:
            The fitted encoder.
        """
        parts = (fit_part(column, frame[column.name], max_levels) for column in columns)
        return cls(columns, tuple(parts))

    def transform(
        self, frame: pd.DataFrame, rng: np.random.Generator, *, device: torch.device | str = "cpu"
    ) -> Encoded:
        """Encode the rows of a frame.

        Values that the training rows do not contain are replaced: a category by the most frequent
        one, a number outside the training range by the nearest bound, and a missing cell (if there
        was none in training) by the median or the most frequent category.

        Args:
            frame: Rows with at least the encoder's columns, shape (rows, columns).
            rng: Source of randomness: a value that spans several knots gets a random quantile.
            device: Device of the tensors. Default "cpu".

        Returns:
            Numbers of shape (rows, n_numbers) and codes of shape (rows, n_codes).

        Raises:
            DataError: A column is missing (E338), or a cell does not fit its column.
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

    def inverse_transform(
        self, rows: Encoded, seed: np.random.SeedSequence | None = None
    ) -> pd.DataFrame:
        """Decode rows.

        Args:
            rows: Encoded rows from `transform`, or generated by a network.
            seed: Draws how many decimals a number has, so that as many new numbers are whole, or
                have two decimals, as training rows. None: numbers are as exact as they can be.

        Returns:
            Frame of shape (rows, columns), with the original dtypes and a RangeIndex.
        """
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
                if seed is not None and part.decimals is not None:
                    # Each column has its own stream, so a longer sample begins like a shorter one.
                    uniform = np.random.default_rng(child_seed(seed, DECODED, number)).random(
                        len(rows)
                    )
                    free = ~np.isin(found, part.spikes)
                    found[free] = part.decimals.give(part, found[free], uniform[free])
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
        """Batches of columns of one type that are encoded by quantiles."""
        for whole in (True, False):
            group = [
                (part, cast(int, number), code)
                for part, (number, code) in zip(self.parts, self._places, strict=True)
                if isinstance(part, Scale) and (part.knots.dtype == np.int64) is whole
            ]
            for start in range(0, len(group), SIDE_BY_SIDE):
                yield group[start : start + SIDE_BY_SIDE]

    def place(self, name: Any, value: Any) -> tuple[int | None, int]:
        """The code of a value in a column that is encoded as categories.

        Args:
            name: Name of a categorical or boolean column, or of numbers with few distinct values.
            value: One of its values, or its text; None for a missing cell.

        Returns:
            Position of the column in `Encoded.codes` (None if it has a single code), and the code.

        Raises:
            UsageError: The column is not encoded as categories, or lacks this value (E238).

        Example:
            >>> frame = pd.DataFrame({"dose": np.arange(500) / 10, "sex": ["f", "m"] * 250})
            >>> from synthgen import Schema
            >>> Encoder.fit(frame, Schema.infer(frame).columns).place("sex", "m")
            (0, 1)
        """
        named = {p.column.name: i for i, p in enumerate(self.parts) if isinstance(p, Levels)}
        if name not in named:
            use = f"use one of {', '.join(map(repr, named))}" if named else "no column is"
            raise UsageError(238, f"column {name!r} is not encoded as categories: {use}")
        part = cast(Levels, self.parts[named[name]])
        _, code = self._places[named[name]]
        levels = part.column.restore(part.values).tolist()
        level = level_position(name, value, levels, missing=part.missing)
        return code, len(levels) if level < 0 else level

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The encoder as plain JSON values and arrays, for a model file.

        Returns:
            The JSON values, and the arrays by name.
        """
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
                if part.decimals is not None:
                    arrays |= {
                        f"{i}.ends": part.decimals.ends,
                        f"{i}.shares": part.decimals.shares,
                    }
            described.append(entry)
        return {"columns": described}, arrays

    @classmethod
    def from_state(cls, described: Any, arrays: Mapping[str, np.ndarray]) -> Encoder:
        """The inverse of `state`.

        Args:
            described: The JSON values from `state`, plain or as `Stored`.
            arrays: The arrays from `state`, by name.

        Returns:
            The encoder.

        Raises:
            ModelFileError: A value is missing, or no encoder could have written it (E418).
        """
        entry = described if isinstance(described, Stored) else Stored(described, "encoder")
        columns, parts = [], []
        for i, found in enumerate(entry["columns"].entries()):
            column = found["column"].column()
            if column.name in [c.name for c in columns]:
                raise found["column"].wrong("a column whose name is not used twice")
            columns.append(column)
            parts.append(part_from_state(found, column, arrays, f"{i}."))
        return cls(tuple(columns), tuple(parts))
