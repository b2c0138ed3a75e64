"""`Part`, a training part of a table, and `Fitted`, a classifier fitted on one."""

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
    """Training rows, as given and as numbers.

    Attributes:
        frame: Features as given, shape (rows, columns).
        places: Features as numbers, shape (rows, features); see `Matrix.cells`.
        y: Class code of each row, from 0, shape (rows,).
        known: Description of the columns of `places`.
        classes: Number of classes in the whole table.
        rare: Code of the class of interest.
        cost: Cost of a missed row of the class, and cost of a false alarm.
        schema: Kinds of columns of `frame` that the user has set; the others are inferred.
        made: Cache of objects fitted to exactly these rows, which strategies share; see
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
        """Select rows as a new part."""
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
    """A classifier of `Part.places` whose probabilities refer to the natural class shares.

    Args:
        coder: Matrix encoder, fitted on the training part.
        model: Classifier, fitted on the encoded rows; its `classes_` are class codes.
        shift: For each class, its share in the rows that the model was fitted on, divided by its
            natural share; shape (classes,).
    """

    def __init__(self, coder: Matrix, model: Any, shift: np.ndarray) -> None:
        self.coder = coder
        self.model = model
        self.shift = shift

    def predict_proba(self, places: np.ndarray) -> np.ndarray:
        """Predict probabilities of all classes of the table, shape (rows, classes)."""
        raw = np.asarray(self.model.predict_proba(self.coder.transform(places)), dtype=np.float64)
        out = np.zeros((len(places), len(self.shift)))
        out[:, np.asarray(self.model.classes_, dtype=np.int64)] = raw
        return natural_shares(out, self.shift)
