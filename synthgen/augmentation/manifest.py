"""The manifest of an augmented table: its input, options, results and library versions."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

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
    """Record everything needed to reproduce an output file, as plain values."""
    given = {
        k: v
        for k, v in (options or {}).items()
        if v not in (None, {}, []) and v is not False  # keeps a seed of 0
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
    """Versions of synthgen, Python, and the libraries that influence the generated rows."""
    return {
        "version": version("synthgen"),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "pandas": pd.__version__,
        "torch": torch.__version__,
    }
