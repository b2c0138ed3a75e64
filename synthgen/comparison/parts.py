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
        weight: Number of rows of the table that each row represents, shape (rows,). None: 1 each.
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
    weight: np.ndarray | None = None
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
            weight=None if self.weight is None else self.weight[where],
            made={},
        )

    @property
    def counts(self) -> np.ndarray:
        return np.bincount(self.y, minlength=self.classes)


def thinned(part: Part, rows: int, rng: np.random.Generator) -> np.ndarray:
    """Choose at most `rows` rows: all of the rare classes and a sample of the frequent ones."""
    if rows >= len(part):
        return np.arange(len(part))
    counts = np.sort(part.counts)
    level, left = 0, rows
    for place, count in enumerate(counts):
        level = left // (len(counts) - place)
        if count > level:
            break
        left -= int(count)
    drawn = [
        own if len(own) <= level else rng.choice(own, level, replace=False)
        for c in range(part.classes)
        if len(own := np.flatnonzero(part.y == c))
    ]
    return np.sort(np.concatenate(drawn))


class Fitted(BaseEstimator):
    """A classifier of `Part.places` whose probabilities refer to the natural class shares."""

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


def natural(fitted: Fitted, part: Part) -> Fitted:
    """Refer probabilities to the class shares of the whole table, if `part` is a sample of it."""
    if part.weight is None:
        return fitted
    mass = np.bincount(part.y, part.weight, minlength=part.classes)
    now, share = part.counts / len(part), mass / mass.sum()
    more = np.where(share > 0, now / np.where(share > 0, share, 1), 1.0)
    return Fitted(fitted.coder, fitted.model, fitted.shift * more)
