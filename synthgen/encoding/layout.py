"""Encoded rows, and the order of the columns in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class Layout:
    """The columns of encoded rows.

    Attributes:
        n_numbers: Number of columns of `Encoded.numbers`.
        widths: Number of codes in each column of `Encoded.codes`.
        scale_code: See `Encoder.scale_code`.
    """

    n_numbers: int
    widths: list[int]
    scale_code: list[int]


def code_type(widths: list[int]) -> np.dtype:
    """The smallest integer type that holds the codes of columns with `widths` levels."""
    most = max(widths, default=0)
    return np.dtype(np.uint8 if most <= 2**8 else np.int16 if most <= 2**15 else np.int32)


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
