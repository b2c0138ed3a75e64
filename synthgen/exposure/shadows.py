"""Shadow models: the same synthesizer on random halves, evaluated on the same rows as the file."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from sklearn.base import clone

from synthgen.encoding.distances import Space, nearest
from synthgen.errors import ModelFileError
from synthgen.metrics.frequencies import frequency_losses
from synthgen.metrics.privacy_rows import counted_columns
from synthgen.seeds import child_seed
from synthgen.synthesizers.base import Synthesizer
from synthgen.synthesizers.lookup import load
from synthgen.tables.table import Table

# Largest number of generated rows that an attacker has: MOST_MADE if rows are shared; up to
# MOST_DRAWN if the attacker draws them from a file that gives no likelihood.
MOST_MADE, MOST_DRAWN, DRAWN_MORE = 5000, 20_000, 4


@dataclass(frozen=True, eq=False)
class Audited:
    """The rows that are attacked, and the rows that shadow models learn from.

    Attributes:
        table: All real rows that shadow models learn from: those of train, then the holdout.
        asked: Positions in `table` of the attacked rows, shape (rows,).
        origin: Original positions of the attacked rows, where the holdout follows train; shape
            (rows,).
        near: Positions within `asked` of the rows whose distance to the nearest generated row is
            computed.
        classes: The classes that the model generates.
        made: Number of rows to generate with each model.
        device: Device for computing distances.
    """

    table: Table
    asked: np.ndarray
    origin: np.ndarray
    near: np.ndarray
    classes: tuple[object, ...]
    made: int
    device: torch.device

    @property
    def rows(self) -> Table:
        return self.table.rows(self.asked)


@dataclass(frozen=True, eq=False)
class Answers:
    """What one model reveals about each attacked row.

    Attributes:
        losses: Losses of shape (rows, n_losses), the total loss in column 0. None: the file gives
            no likelihood.
        near: Distance to the nearest of `Audited.made` generated rows, and the loss by their
            frequencies, shape (near rows, 2).
        drawn: The same for many more generated rows; None if there are losses.
    """

    losses: np.ndarray | None
    near: np.ndarray
    drawn: np.ndarray | None


def through_a_file(model: Synthesizer) -> tuple[Synthesizer, bool]:
    """Return the model as its file would represent it, and whether it can be saved at all."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.synthgen")
        try:
            model.save(path)
        except ModelFileError:
            return model, False
        device = str(getattr(model, "device_", "auto"))
        return load(path, device=device), True


def halves(table: Table, seed: np.random.SeedSequence) -> np.ndarray:
    """Split rows into two class-stratified halves; return a mask of the first, shape (rows,)."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(table))
    order = order[np.argsort(table.labels[order], kind="stable")]
    chosen = np.zeros(len(table), dtype=bool)
    chosen[order[int(rng.integers(2)) :: 2]] = True
    return chosen


def shadow(
    model: Synthesizer, audited: Audited, learned: np.ndarray, seed: np.random.SeedSequence
) -> Synthesizer:
    """Fit the same synthesizer with the same arguments to the rows in `learned`."""
    copy = cast(Synthesizer, clone(model))
    known: dict[str, Any] = {"classes": list(audited.classes), "random_state": seed}
    for name in ("checkpoint", "verbose"):
        if name in copy.get_params(deep=False):
            known[name] = None if name == "checkpoint" else False
    copy.set_params(**known)
    return through_a_file(copy.fit_table(audited.table.rows(learned)))[0]


def answers(model: Synthesizer, audited: Audited, seed: np.random.SeedSequence) -> Answers:
    """Compute losses, distances and frequencies of all attacked rows for a model."""
    rows = audited.rows
    losses = model.losses(rows, child_seed(seed, 0))
    columns, _ = counted_columns(rows)
    space = Space(columns, rows.frame, device=audited.device)
    near = rows.rows(audited.near)
    judged = space.rows(near.frame)
    more = 0 if losses is not None else min(MOST_DRAWN, DRAWN_MORE * audited.made)
    made = model.sample(max(audited.made, more), random_state=child_seed(seed, 1))
    found = space.rows(made[[c.name for c in rows.schema.columns]])

    def looked_up(number: int) -> np.ndarray:
        distance = nearest(judged, found.take(np.arange(number))).distance
        return np.column_stack([distance, frequency_losses(near, made.iloc[:number])])

    return Answers(losses, looked_up(audited.made), looked_up(len(made)) if more else None)


def stacked(figures: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """Stack the arrays of several models to (models, rows, n); None if one model has none."""
    there = [f for f in figures if f is not None]
    return np.stack(there) if len(there) == len(figures) else None
