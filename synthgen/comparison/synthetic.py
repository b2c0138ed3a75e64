"""Strategies that add weighted synthetic rows to a training part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
from sklearn.base import clone

from synthgen.augmentation.amount import AMOUNTS, Amount, wanted_rows
from synthgen.augmentation.guard import Guard
from synthgen.augmentation.rejection import guarded_sample
from synthgen.augmentation.validation import brief
from synthgen.comparison.builders import Tunable, coder_of, fitted_on, under_rows
from synthgen.comparison.parts import Fitted, Part
from synthgen.model_selection.estimators import Estimator
from synthgen.seeds import child_seed
from synthgen.synthesizers.base import Synthesizer
from synthgen.synthesizers.lookup import on_gpu, resolve
from synthgen.tables.schema import Schema
from synthgen.tables.table import Table

# The amounts of `augment` except balance, the largest first. Each setting of the classifier is
# paired with one amount, so that synthetic rows have as many candidates as doing nothing.
TUNED: tuple[Amount, ...] = tuple(a for a in reversed(AMOUNTS) if a != "balance")


@dataclass(frozen=True)
class Synthetic:
    """A `Build` that adds weighted synthetic rows.

    Attributes:
        synthesizer: Name of a synthesizer, or an unfitted one.
        amount: Amount of rows to add. None: each setting tries one amount of `TUNED`.
        under: Whether frequent classes are also undersampled.
    """

    synthesizer: Any
    amount: Amount | None
    under: bool = False

    @property
    def name(self) -> str:
        """Name of the synthesizer, equal for strategies that can share a fitted one."""
        return repr(resolve(self.synthesizer))

    @property
    def on_gpu(self) -> bool:
        """Whether the synthesizer trains on a GPU."""
        return on_gpu(resolve(self.synthesizer))

    def __call__(self, part: Part, estimator: Estimator, seed: np.random.SeedSequence) -> Tunable:
        coder = coder_of(part)
        found: dict[Amount, Tunable] = {}

        def with_rows(size: Amount) -> Tunable:
            wanted = _more(part, size)
            places, codes = new_rows(part, self.synthesizer, wanted, child_seed(seed, 1))
            kept = part
            if self.under:
                kept = part.rows(under_rows(part, np.random.default_rng(child_seed(seed, 2))))
            y = np.concatenate([kept.y, codes])
            weight = None
            if len(codes):  # new rows of a class have the same total weight as its real rows
                made = np.bincount(codes, minlength=part.classes)
                each = part.counts / np.maximum(made, 1)
                weight = np.concatenate([np.ones(len(kept)), each[codes]])
            X = coder.transform(np.vstack([kept.places, places]))
            return fitted_on(part, estimator, seed, X, y, coder, weight)

        def tuned(setting: int) -> Fitted:
            size = TUNED[setting % len(TUNED)] if self.amount is None else self.amount
            if size not in found:
                found[size] = with_rows(size)
            return found[size](setting)

        return tuned


def _more(part: Part, size: Amount) -> dict[int, int]:
    """Compute the number of new rows per class for an amount; none for a class of one row."""
    goals = wanted_rows(part.counts, size)
    return {c: n - int(part.counts[c]) for c, n in goals.items() if part.counts[c] > 1}


def _to_fit(
    part: Part, unfitted: Synthesizer, seed: np.random.SeedSequence
) -> tuple[Synthesizer, Table]:
    """Return a copy of a synthesizer, and the rows of a part that it has to learn from."""
    own = cast(Synthesizer, clone(cast(Any, unfitted)))
    most = int(part.counts.argmax())
    own.set_params(classes=[c for c, n in enumerate(part.counts) if n > 1 and c != most])
    own.set_params(random_state=int(child_seed(seed, 0).generate_state(1)[0]))
    rows = brief(own, part.y, [part.rare], child_seed(seed, 2))
    if own.schema is not None or len(rows) < len(part):
        return own, _labelled(part.rows(rows), own.schema or part.schema)
    if "table" not in part.made:  # its schema is inferred once for all synthesizers
        part.made["table"] = _labelled(part, part.schema)
    return own, part.made["table"]


def _labelled(part: Part, schema: Schema | None) -> Table:
    """Return a part as a table whose target is the class codes; no column has the target's name."""
    y = pd.Series(part.y, index=part.frame.index, name="__class__")
    return Table.of_xy(part.frame, y, schema=schema)


def new_rows(
    part: Part, synthesizer: Any, wanted: dict[int, int], seed: np.random.SeedSequence
) -> tuple[np.ndarray, np.ndarray]:
    """Generate rows with a synthesizer fitted on this part; it is fitted once and cached."""
    places, codes = [np.empty((0, part.places.shape[1]))], [np.empty(0, dtype=np.int64)]
    if not any(wanted.values()):
        return places[0], codes[0]
    unfitted = resolve(synthesizer)
    name = repr(unfitted)
    if name not in part.made:
        own, table = _to_fit(part, unfitted, seed)
        part.made[name] = own.fit_table(table), table
    fitted, table = part.made[name]
    for c, n in wanted.items():
        if (name, c, n) not in part.made:
            if (name, c) not in part.made:
                part.made[name, c] = Guard(table, c)
            guarded = guarded_sample(
                fitted, n, part.made[name, c], random_state=child_seed(seed, 1)
            )
            part.made[name, c, n] = part.known.cells(guarded.frame)
        places.append(part.made[name, c, n])
        codes.append(np.full(n, c))
    return np.vstack(places), np.concatenate(codes)
