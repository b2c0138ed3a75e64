"""The manifest of an augmented table: from what it was made, how, and with which versions."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from synthgen import __version__
from synthgen.tables.disk import sha256_of

if TYPE_CHECKING:
    from synthgen.augmentation.augmented import Augmented


def manifest(
    result: Augmented,
    *,
    data: Mapping[str, Any],
    output: Mapping[str, Any],
    model: Path | None = None,
    options: Mapping[str, Any] | None = None,
    seconds: Mapping[str, float] | None = None,
    warnings: Sequence[str] = (),
) -> dict[str, Any]:
    """What made the rows of a file, in plain values: enough to make them again.

    Args:
        result: What `augment` returned.
        data: ``path``, ``sha256``, ``rows`` and ``columns`` of the table that was read.
        output: ``path``, ``sha256``, ``rows`` and ``defused`` (cells) of the table that was
            written.
        model: The model file, where nothing was trained.
        options: Of the run; those that are empty, false or None are left out.
        seconds: Wall time of each stage; by default those of `result`.
        warnings: What the run noted.
    """
    given = {
        k: v
        for k, v in (options or {}).items()
        if v not in (None, {}, []) and v is not False  # a seed of 0 stays
    }
    return {
        "synthgen": versions(),
        "data": dict(data),
        "output": dict(output),
        "model": None if model is None else {"path": model, "sha256": sha256_of(model)},
        "options": given,
        **result.summary(),
        "seconds": {k: round(v, 3) for k, v in (seconds or result.seconds).items()},
        "warnings": list(warnings),
    }


def versions() -> dict[str, str]:
    """The version of synthgen, of Python, and of the libraries that decide what rows are made."""
    return {
        "version": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "pandas": pd.__version__,
        "torch": torch.__version__,
    }
