"""A training part, and a classifier that was fitted on one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from synthgen.encoding.matrix import Matrix
from synthgen.model_selection.classifiers import natural_shares
from synthgen.tables.schema import Schema


@dataclass(frozen=True, eq=False)
class Part:
    """Training rows, as given and as places.

    Attributes:
        frame: Features as given, shape (rows, columns).
        places: See `Matrix.cells`, shape (rows, features).
        y: Class of each row, a code from 0, shape (rows,).
        known: What the columns of `places` are.
        classes: How many there are in the whole table.
        rare: Code of the class that matters.
        cost: Money lost by a missed row of it, and by a false alarm.
        schema: What the user says that columns of `frame` are; the rest is guessed from these rows.
        made: What strategies share that learned these rows and no others; see
            `synthgen.comparison.builders.new_rows`.
    """

    frame: pd.DataFrame
    places: np.ndarray
    y: np.ndarray
    known: Matrix
    classes: int
    rare: int
    cost: tuple[float, float] | None = None
    schema: Schema | None = None
    made: dict[Any, Any] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.y)

    def rows(self, where: np.ndarray) -> Part:
        """Those rows, as a part of their own."""
        return replace(
            self,
            frame=self.frame.iloc[where],
            places=self.places[where],
            y=self.y[where],
            made={},
        )

    @property
    def counts(self) -> np.ndarray:
        return np.bincount(self.y, minlength=self.classes)


class Fitted(BaseEstimator):
    """A classifier of places that gives probabilities at the natural shares of the classes.

    Args:
        coder: Fitted on the training part.
        model: Fitted on what `coder` makes of it; its `classes_` are codes.
        shift: Share of each class in what the model learned from, over its natural share.
    """

    def __init__(self, coder: Matrix, model: Any, shift: np.ndarray) -> None:
        self.coder = coder
        self.model = model
        self.shift = shift

    def predict_proba(self, places: np.ndarray) -> np.ndarray:
        """Shape (rows, classes), for all classes of the table."""
        raw = np.asarray(self.model.predict_proba(self.coder.transform(places)), dtype=np.float64)
        out = np.zeros((len(places), len(self.shift)))
        out[:, np.asarray(self.model.classes_, dtype=np.int64)] = raw
        return natural_shares(out, self.shift)
