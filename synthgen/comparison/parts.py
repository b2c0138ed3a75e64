"""A training part, and a classifier that was fitted on one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from synthgen.encoding.matrix import Matrix
from synthgen.errors import DataError
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
            `synthgen.comparison.synthetic.new_rows`.
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


def checked_weight(given: Any, rows: int) -> np.ndarray | None:
    """Weights of so many rows, float64 of shape (rows,); a single number is that of every row.

    Raises:
        DataError: They are not one for each row, below 0, not finite, or all zero.
    """
    if given is None:
        return None
    weight = np.asarray(given, dtype=np.float64)
    if weight.shape == () and rows:
        weight = np.full(rows, float(weight))
    if weight.shape != (rows,):
        raise DataError(
            374, f"sample_weight has shape {weight.shape} and X has {rows} rows: give one for each"
        )
    wrong = np.flatnonzero(~(np.isfinite(weight) & (weight >= 0)))
    if len(wrong):
        raise DataError(
            374, f"sample_weight: row {wrong[0]} has {weight[wrong[0]]}: give numbers from 0"
        )
    if rows and not weight.any():
        raise DataError(374, "sample_weight is zero for every row: no row is left")
    return weight
