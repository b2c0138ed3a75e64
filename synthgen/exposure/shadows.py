"""Shadow models: the same synthesizer on random halves, asked about the same rows as the file."""

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
from synthgen.metrics.privacy_rows import counted_columns
from synthgen.seeds import child_seed
from synthgen.synthesizers.base import Synthesizer
from synthgen.synthesizers.lookup import load
from synthgen.tables.table import Table

# New rows that an attacker sees at most: of those who get rows, and of those who hold a file that
# says nothing of how likely a row is and must draw rows.
MOST_MADE, MOST_DRAWN, DRAWN_MORE = 5000, 20_000, 4


@dataclass(frozen=True, eq=False)
class Audited:
    """The rows that models are asked about.

    Attributes:
        table: All real rows that shadow models learn from: of train, then of the holdout.
        asked: Positions of the rows that models are asked about, shape (rows,).
        origin: Positions of these in train; those of the holdout follow. Shape (rows,).
        near: Positions among `asked` of the rows whose nearest new row is sought.
        classes: The classes that the model makes.
        made: New rows that are drawn from each model.
        device: Where distances are computed.
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
    """What one model tells about each row that is asked about.

    Attributes:
        losses: Shape (rows, figures), the whole first; None: the file holds no likelihood.
        near: The distance to the nearest of `Audited.made` new rows, shape (near rows, 1).
        drawn: The same of many more new rows; None where there are losses.
    """

    losses: np.ndarray | None
    near: np.ndarray
    drawn: np.ndarray | None


def through_a_file(model: Synthesizer) -> tuple[Synthesizer, bool]:
    """The model as its file holds it, and whether it can be kept in one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.synthgen")
        try:
            model.save(path)
        except ModelFileError:
            return model, False
        device = str(getattr(model, "device_", "auto"))
        return load(path, device=device), True


def halves(table: Table, seed: np.random.SeedSequence) -> np.ndarray:
    """Whether a row is in the first of two halves with equal shares of each class; (rows,)."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(table))
    order = order[np.argsort(table.labels[order], kind="stable")]
    chosen = np.zeros(len(table), dtype=bool)
    chosen[order[int(rng.integers(2)) :: 2]] = True
    return chosen


def shadow(
    model: Synthesizer, audited: Audited, learned: np.ndarray, seed: np.random.SeedSequence
) -> Synthesizer:
    """The same synthesizer with the same arguments, on the rows that are `learned`."""
    copy = cast(Synthesizer, clone(model))
    known: dict[str, Any] = {"classes": list(audited.classes), "schema": None, "random_state": seed}
    for name in ("checkpoint", "verbose"):
        if name in copy.get_params(deep=False):
            known[name] = None if name == "checkpoint" else False
    copy.set_params(**known)
    return through_a_file(copy._fit_table(audited.table.rows(learned)))[0]


def answers(model: Synthesizer, audited: Audited, seed: np.random.SeedSequence) -> Answers:
    """Ask a model about all rows."""
    rows = audited.rows
    losses = model._losses(rows, child_seed(seed, 0))
    columns, _ = counted_columns(rows)
    space = Space(columns, rows.frame, device=audited.device)
    judged = space.rows(rows.frame.iloc[audited.near])
    more = 0 if losses is not None else min(MOST_DRAWN, DRAWN_MORE * audited.made)
    made = model.sample(max(audited.made, more), random_state=child_seed(seed, 1))
    found = space.rows(made[[c.name for c in rows.schema.columns]])
    few = nearest(judged, found.take(np.arange(audited.made))).distance
    many = nearest(judged, found).distance if more else None
    return Answers(losses, few[:, None], None if many is None else many[:, None])


def stacked(figures: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """Figures of several models, shape (models, rows, figures); None where one has none."""
    there = [f for f in figures if f is not None]
    return np.stack(there) if len(there) == len(figures) else None
