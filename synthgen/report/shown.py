"""What every result can do: show itself in a notebook, and write itself as a page."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import Any

import pandas as pd

from synthgen.tables.disk import write_text


class Shown(ABC):
    """The base of `Audit`, `Augmented`, `Comparison`, `Report` and `Sweep`."""

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write the result as a page: one HTML file that needs no network.

        Args:
            path: The file; an existing one is replaced.

        Raises:
            OutputError: The file cannot be written.
        """
        write_text(path, self._page())

    def _repr_html_(self) -> str:
        """The finding, its parts and the main figure, for a notebook."""
        return self._cards()

    @abstractmethod
    def to_frame(self) -> pd.DataFrame:
        """The result as a table."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The result in plain values: numbers, texts, None, lists and dicts."""

    @abstractmethod
    def _page(self) -> str:
        """The page of `to_html`."""

    @abstractmethod
    def _cards(self) -> str:
        """The HTML of `_repr_html_`."""
