"""Values read from a model file, each checked before it is used.

The checksum of a file finds damage, not manipulation: whoever edits a file can also write a new
checksum. So every value and every size is checked before anything is built from it. All errors of
this module have the code 418.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, final

import numpy as np

from synthgen.errors import ModelFileError
from synthgen.tables.column import Column
from synthgen.tables.dtypes import shown

CODE = 418


def wrong(what: str, value: Any, wanted: str) -> ModelFileError:
    """The error for a value that no file of synthgen holds."""
    return ModelFileError(
        CODE,
        f"this file's {what} is {shown(value)}, not {wanted}: it was changed after synthgen wrote "
        "it. Copy it again, or train again",
    )


def unreadable(error: Exception) -> ModelFileError:
    """The error for a file whose values are allowed one by one but fail together."""
    return ModelFileError(
        CODE,
        f"this file's values do not fit together ({type(error).__name__}: {error}): it was changed "
        "after synthgen wrote it. Copy it again, or train again",
    )


@final
class Stored:
    """One value of a file's header, with its path in the header for error messages."""

    def __init__(self, value: Any, place: str = "") -> None:
        self.value = value
        self.place = place

    def __getitem__(self, key: str) -> Stored:
        """The value of a key."""
        if not isinstance(self.value, dict) or key not in self.value:
            raise self.wrong(f"an object with the key {key!r}")
        return Stored(self.value[key], f"{self.place}.{key}".lstrip("."))

    def __contains__(self, key: str) -> bool:
        return isinstance(self.value, dict) and key in self.value

    def entries(self, *, length: int | None = None) -> list[Stored]:
        """The entries of a list, `length` of them unless that is None."""
        if not isinstance(self.value, list) or length not in (None, len(self.value)):
            raise self.wrong("a list" if length is None else f"a list of {length}")
        return [Stored(value, f"{self.place}[{i}]") for i, value in enumerate(self.value)]

    def items(self) -> Iterator[tuple[str, Stored]]:
        """The keys of an object with their values."""
        if not isinstance(self.value, dict):
            raise self.wrong("an object")
        return ((key, self[key]) for key in self.value)

    def whole(self, low: int, high: int = 2**53) -> int:
        """A whole number from `low` to `high`."""
        if isinstance(self.value, bool) or not isinstance(self.value, int):
            raise self.wrong("a whole number")
        if not low <= self.value <= high:
            raise self.wrong(f"a whole number from {low} to {high}")
        return self.value

    def number(self, low: float = -1e300, high: float = 1e300) -> float:
        """A finite number from `low` to `high`."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            raise self.wrong("a number")
        if not low <= self.value <= high:
            raise self.wrong(f"a number from {low:g} to {high:g}")
        return float(self.value)

    def text(self, among: Sequence[str] | None = None) -> str:
        """A text, one of `among` unless that is None."""
        if not isinstance(self.value, str):
            raise self.wrong("a text")
        if among is not None and self.value not in among:
            raise self.wrong(f"one of {', '.join(among)}")
        return self.value

    def truth(self) -> bool:
        """True or false."""
        if not isinstance(self.value, bool):
            raise self.wrong("true or false")
        return self.value

    def column(self) -> Column:
        """A column of a table."""
        try:
            return Column.from_json(self.value)
        except Exception as error:  # an edited description can fail in many ways
            raise self.wrong(f"a column ({error})") from error

    def wrong(self, wanted: str) -> ModelFileError:
        """The error that says that this value is not `wanted`."""
        return wrong(self.place or "header", self.value, wanted)


def check_finite(arrays: Mapping[str, np.ndarray]) -> None:
    """Raise for a weight or quantile that is infinite or NaN."""
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            position = int(np.argmin(np.isfinite(array)))
            raise wrong(f"{name}[{position}]", array.reshape(-1)[position], "a finite number")


def check_level(values: np.ndarray, what: str, levels: int) -> None:
    """Raise for a code outside ``range(levels)``."""
    outside = (values < 0) | (values >= levels)
    if outside.any():
        raise wrong(what, values[outside][0], f"a whole number from 0 to {levels - 1}")
