"""What every result can do: show itself in a notebook, and write itself as a page."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import Any

import pandas as pd

from synthgen.tables.disk import write_text


class Shown(ABC):
    """The base of `Audit`, `Augmented`, `Comparison`, `PrivacyAudit`, `Report` and `Sweep`.

    Example:
        >>> from synthgen import audit
        >>> frame = pd.DataFrame({"dose": range(200), "ill": [0] * 180 + [1] * 20})
        >>> found = audit(frame, target="ill")
        >>> len(repr(found).splitlines()) <= 12, "<svg" in found._repr_html_()
        (True, True)
        >>> len(found.to_frame()) == len(found.to_json()["findings"])
        True
    """

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write the result as a page: one HTML file that needs no network.

        Args:
            path: The file; an existing one is replaced.

        Raises:
            OutputError: The file cannot be written.
        """
        write_text(path, self._page())

    def _repr_html_(self) -> str:
        """The finding, its parts and the main figure, for a notebook.

        Returns:
            One HTML element that needs no network and no script.
        """
        return self._cards()

    @abstractmethod
    def to_frame(self) -> pd.DataFrame:
        """The result as a table.

        Returns:
            A frame with a row for each thing that was found; each result says which columns.
        """

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The result in plain values, for `json.dumps`.

        Returns:
            Numbers, texts, None, lists and dicts; NaN is None.
        """

    @abstractmethod
    def _page(self) -> str:
        """The page of `to_html`."""

    @abstractmethod
    def _cards(self) -> str:
        """The HTML of `_repr_html_`."""
