"""Find a synthesizer by its name or import path, and load a model from its file."""

from __future__ import annotations

import os
from contextlib import suppress
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from inspect import isabstract
from typing import Any

from synthgen.errors import ModelFileError, UsageError
from synthgen.synthesizers.base import Synthesizer
from synthgen.training.device import resolve as resolve_device
from synthgen.training.model_file import naming, read_model

# Modules of synthgen's own synthesizers. A model file may name only these.
HOMES = {
    "CTGAN": "synthgen.synthesizers.ctgan",
    "TVAE": "synthgen.synthesizers.tvae",
    "TabFlow": "synthgen.synthesizers.flow",
    "SmoothedBootstrap": "synthgen.synthesizers.bootstrap",
    "SequentialTrees": "synthgen.synthesizers.trees",
    "PrivateMarginals": "synthgen.synthesizers.marginals",
}
# Short names; that of any other class is its own name in lower case.
SHORT = {
    "bootstrap": "SmoothedBootstrap",
    "trees": "SequentialTrees",
    "private": "PrivateMarginals",
}
SHORT |= {name.lower(): name for name in HOMES if name not in SHORT.values()}
SDV_HOME = "synthgen.synthesizers.sdv"
ROWS_FOR_TREES = 200  # rows of a class from which "auto" is trees
# Makes a synthesizer for a class of so many rows; an object of the command line, with its options.
Maker = partial[Synthesizer]


def load(path: str | os.PathLike[str], *, device: str = "auto") -> Synthesizer:
    """Read a model file of any of synthgen's own synthesizers.

    Args:
        path: A file that `Synthesizer.save` wrote. It is checked before use, and no code in it is
            run.
        device: Device of the networks: "auto", "cpu", "cuda" or, for example, "cuda:1".

    Returns:
        The fitted synthesizer.

    Raises:
        ModelFileError: The file is damaged (E417, E418), was written by a newer version (E415), or
            names a class that is not part of synthgen (E404).

    Example:
        >>> import tempfile
        >>> import numpy as np, pandas as pd
        >>> from synthgen import TVAE
        >>> rng = np.random.default_rng(0)
        >>> frame = pd.DataFrame({"dose": rng.normal(size=300)})
        >>> ill = pd.Series(np.arange(300) < 40, name="ill")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     notes = TVAE(steps=5, random_state=0).fit(frame, ill).save(f"{folder}/a.synthgen")
        ...     model = load(f"{folder}/a.synthgen")
        >>> model.sample(3, label=True, random_state=0).shape
        (3, 2)
    """
    header, tensors = read_model(path)
    home = HOMES.get(header["class"])
    if home is None:
        raise ModelFileError(
            404,
            f"{path} holds a {header['class']!r}, which is not part of synthgen: call the load "
            "method of that class",
        )
    cls = getattr(import_module(home), header["class"])
    with naming(path):
        return cls.from_file(header, tensors, device)


def chosen_for(rows: int) -> str:
    """The short name of the synthesizer that "auto" is for a class of so many rows."""
    # TabFlow uses a bootstrap for classes of fewer than 10 rows.
    return "tabflow" if rows < ROWS_FOR_TREES else "trees"


def resolve(synthesizer: Synthesizer | Maker | str, rows: int | None = None) -> Synthesizer:
    """Make a synthesizer from its name; "auto" without a number of rows only checks the name."""
    if isinstance(synthesizer, Synthesizer):
        return synthesizer
    if isinstance(synthesizer, partial):
        return synthesizer(rows)
    names = {name.lower(): name for name in HOMES} | SHORT
    names["auto"] = SHORT[chosen_for(rows or 0)]
    if (short := names.get(str(synthesizer).lower())) is not None:
        return getattr(import_module(HOMES[short]), short)()
    module, _, name = str(synthesizer).partition(":")
    if module == "sdv":
        home = import_module(SDV_HOME)
        if name not in home.MODELS:
            offered = [f"sdv:{model}" for model in home.MODELS]
            raise UsageError(205, _unknown(synthesizer, offered, f"use {', '.join(offered)}"))
        return home.SDV(model=name)
    if not name:
        short = ", ".join(sorted(SHORT))
        use = f"use auto, {short}, sdv:GaussianCopula, or package.module:Class"
        raise UsageError(205, _unknown(synthesizer, [*names], use))
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise UsageError(205, f"cannot import the synthesizer {synthesizer!r}: {error}") from error
    if isabstract(found) or not (isinstance(found, type) and issubclass(found, Synthesizer)):
        raise UsageError(
            205, f"{synthesizer!r} is not a synthgen.Synthesizer: derive it from that class"
        )
    return found()


def on_gpu(estimator: Any) -> bool:
    """Whether an estimator, or a synthesizer among its parameters, uses a GPU."""
    parameters = getattr(estimator, "get_params", dict)()
    for name, value in {"": estimator, **parameters}.items():
        found = value
        if isinstance(value, str) and name.rpartition("__")[2] == "synthesizer":
            with suppress(UsageError):
                found = resolve(value)
        if isinstance(found, Synthesizer):
            device = found.get_params(deep=False).get("device", "cpu")
            if resolve_device(device).type == "cuda":
                return True
    return False


def _unknown(given: object, known: list[str], use: str) -> str:
    """Build the error message for an unknown name; it suggests the most similar known name."""
    near = get_close_matches(str(given).lower(), [k.lower() for k in known], n=1)
    meant = [k for k in known if k.lower() in near]
    hint = f"; did you mean {meant[0]!r}?" if meant else ""
    return f"there is no synthesizer {given!r}: {use}{hint}"
