"""Encoded rows, and the order of the columns in them."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

# (column name, has a numeric slot, number of category codes; 0: none), for each column.
Slots = list[tuple[Hashable, bool, int]]


@dataclass(frozen=True)
class Layout:
    """The columns of encoded rows: those of one table, or a shared layout of several tables.

    Attributes:
        n_numbers: Number of columns of `Encoded.numbers`.
        widths: Number of codes in each column of `Encoded.codes`.
        scale_code: See `Encoder.scale_code`.
        own: In a shared layout, the number of levels of each code that this table has, 0 if it
            lacks the code. None: the layout is not shared.
        numbers: Positions of this table's numbers in the shared layout.
        codes: Positions of this table's codes in the shared layout.
    """

    n_numbers: int
    widths: list[int]
    scale_code: list[int]
    own: list[int] | None
    numbers: list[int]
    codes: list[int]

    @cached_property
    def places(self) -> dict[str, torch.Tensor]:
        """Positions of the table's own numbers, levels and codes in this layout."""
        starts = np.cumsum([0, *self.widths])
        own = self.widths if self.own is None else self.own
        levels = [int(starts[j]) + i for j in self.codes for i in range(own[j])]
        found = {"numbers": self.numbers, "levels": levels, "codes": self.codes}
        return {name: torch.tensor(at, dtype=torch.long) for name, at in found.items()}

    def sizes(self) -> dict[str, int]:
        """The number of numbers, levels and codes in this layout."""
        return {
            "numbers": self.n_numbers,
            "levels": sum(self.widths),
            "codes": len(self.widths),
        }

    def positions(self, sections: tuple[str | int, ...]) -> torch.Tensor:
        """Positions in this layout of the entries of a dimension of the table's own layout."""
        places, sizes = self.places, self.sizes()
        found, start = [], 0
        for section in sections:
            own = torch.arange(section) if isinstance(section, int) else places[section]
            found.append(own + start)
            start += section if isinstance(section, int) else sizes[section]
        return torch.cat(found)

    def padded(self, rows: Encoded) -> Encoded:
        """Rows of the table in this layout, with 0 where the table lacks a column."""
        n, places = len(rows), self.places
        numbers = rows.numbers.new_zeros(n, self.n_numbers)
        codes = rows.codes.new_zeros(n, len(self.widths))
        device = rows.numbers.device
        numbers[:, places["numbers"].to(device)] = rows.numbers
        codes[:, places["codes"].to(device)] = rows.codes
        return Encoded(numbers, codes)


def code_type(widths: list[int]) -> np.dtype:
    """The smallest integer type that holds the codes of columns with `widths` levels."""
    most = max(widths, default=0)
    return np.dtype(np.uint8 if most <= 2**8 else np.int16 if most <= 2**15 else np.int32)


def common(slots: list[Slots]) -> list[Layout]:
    """The narrowest layout that tables share of the same columns, one view for each table."""
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
    """Encoded rows as two tensors on one device.

    Attributes:
        numbers: float32 of shape (rows, n_numbers), approximately standard normal; 0 if the value
            is a spike or missing.
        codes: Integers of shape (rows, n_codes), column j in ``range(widths[j])``. An encoder
            returns the smallest integer type that fits, a network returns int64.
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
