"""A training part, the classifier that remedies are tried with, and what comes out of both."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any, cast

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from synthgen.encoding.matrix import Binned, Coder, Places
from synthgen.errors import UsageError
from synthgen.tables.schema import Schema


class NotApplicable(Exception):
    """This remedy cannot work on this table; the message says why."""


@dataclass(frozen=True, eq=False)
class Part:
    """Training rows, as given and as places.

    Attributes:
        frame: Features as given, shape (rows, columns).
        places: See `Places`, shape (rows, features).
        y: Class of each row, a code from 0, shape (rows,).
        known: What the columns of `places` are.
        classes: How many there are in the whole table.
        rare: Code of the class that matters.
        cost: Money lost by a missed row of it, and by a false alarm.
        schema: What the user says that columns of `frame` are; the rest is guessed from these rows.
        made: What remedies share that learned these rows and no others; see
            `synthgen.comparison.remedies.new_rows`.
    """

    frame: pd.DataFrame
    places: np.ndarray
    y: np.ndarray
    known: Places
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

    def __init__(self, coder: Coder, model: Any, shift: np.ndarray) -> None:
        self.coder = coder
        self.model = model
        self.shift = shift

    def predict_proba(self, places: np.ndarray) -> np.ndarray:
        """Shape (rows, classes), for all classes of the table."""
        raw = np.asarray(self.model.predict_proba(self.coder.transform(places)), dtype=np.float64)
        out = np.zeros((len(places), len(self.shift)))
        out[:, np.asarray(self.model.classes_, dtype=np.int64)] = raw
        out /= self.shift
        total = out.sum(axis=1, keepdims=True)
        return np.divide(out, total, out=np.full_like(out, 1 / len(self.shift)), where=total > 0)


# --- the classifier that remedies are tried with ------------------------------------------------


@dataclass(frozen=True)
class Judge:
    """The classifier around which remedies are compared, and the settings that are tried.

    Every remedy is tuned over as many settings as every other.
    """

    name: str
    model: Any
    settings: tuple[dict[str, Any], ...] = ({},)

    @classmethod
    def of(cls, estimator: Any) -> Judge:
        """From "hgb", "rf", "lr", an import path, or an unfitted classifier.

        Raises:
            UsageError: There is no such classifier, or it gives no probabilities.
        """
        if isinstance(estimator, Judge):
            return estimator
        if isinstance(estimator, str) and estimator in _JUDGES:
            return _JUDGES[estimator]
        name, found = named(estimator, "estimator", sorted(_JUDGES))
        if not callable(getattr(found, "predict_proba", None)):
            raise UsageError(
                224, f"estimator {name}: it must be a classifier with predict_proba, such as hgb"
            )
        return cls(name, found)

    def fit(
        self,
        X: np.ndarray,
        is_level: np.ndarray,
        y: np.ndarray,
        seed: np.random.SeedSequence,
        setting: int,
        weight: np.ndarray | None = None,
    ) -> Any:
        """Fitted on `X` of shape (rows, columns) as a `Coder` gives it."""
        model: Any = clone(self.model)
        model.set_params(**self.settings[setting])
        if isinstance(model, HistGradientBoostingClassifier):
            model.set_params(
                categorical_features=is_level if is_level.any() else None,
                # 20 is the usual setting; few rows could not be split at all.
                min_samples_leaf=int(np.clip(len(y) // 50, 2, 20)),
            )
        return fit_model(model, X, is_level, y, seed, weight)


def fit_model(
    model: Any,
    X: np.ndarray,
    is_level: np.ndarray,
    y: np.ndarray,
    seed: np.random.SeedSequence,
    weight: np.ndarray | None = None,
) -> Any:
    """Fit a model; all but histogram boosting get imputed, scaled and one-hot columns."""
    if "random_state" in model.get_params(deep=False):
        model.set_params(random_state=int(seed.generate_state(1)[0] >> 1))
    if isinstance(model, HistGradientBoostingClassifier):
        if weight is None:
            return model.fit(X, y)
        whole = Pipeline([("bins", Binned(is_level)), ("model", model)])
        return whole.fit(X, y, model__sample_weight=weight)
    numbers, levels = np.flatnonzero(~is_level), np.flatnonzero(is_level)
    parts: list[Any] = [
        (
            "numbers",
            make_pipeline(
                SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
                StandardScaler(),
            ),
            numbers,
        ),
        (
            "levels",
            OneHotEncoder(handle_unknown="ignore", max_categories=50, sparse_output=False),
            levels,
        ),
    ]
    columns = ColumnTransformer([part for part in parts if len(part[2])])
    whole = Pipeline([("columns", columns), ("model", model)])
    if weight is None:
        return whole.fit(X, y)
    try:
        return whole.fit(X, y, model__sample_weight=weight)
    except TypeError:
        raise NotApplicable(f"{type(model).__name__} takes no weights") from None


_BOOSTING = HistGradientBoostingClassifier(early_stopping=cast(Any, False))
_JUDGES = {
    "hgb": Judge(
        "hgb",
        _BOOSTING,
        (
            {"learning_rate": 0.1, "max_iter": 100, "max_leaf_nodes": 31},
            {"learning_rate": 0.05, "max_iter": 100, "max_leaf_nodes": 15, "l2_regularization": 1},
            {"learning_rate": 0.1, "max_iter": 50, "max_leaf_nodes": 7, "l2_regularization": 1},
            {"learning_rate": 0.1, "max_iter": 150, "max_leaf_nodes": 7, "l2_regularization": 1},
        ),
    ),
    "rf": Judge(
        "rf",
        RandomForestClassifier(n_estimators=200),
        tuple({"min_samples_leaf": n} for n in (1, 2, 5, 10)),
    ),
    "lr": Judge(
        "lr",
        LogisticRegression(max_iter=2000),
        tuple({"C": c} for c in (0.01, 0.1, 1.0, 10.0)),
    ),
}


def named(given: Any, what: str, known: list[str]) -> tuple[str, Any]:
    """The name and the object behind an import path, a class or an object."""
    found = given
    if isinstance(given, str):
        module, _, name = given.partition(":")
        if not name:
            raise UsageError(
                222, f"there is no {what} {given!r}: use {', '.join(known)}, or package.module:Name"
            )
        try:
            found = getattr(import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise UsageError(222, f"cannot import the {what} {given!r}: {error}") from error
    if isinstance(found, type):
        found = found()
    return (given if isinstance(given, str) else type(found).__name__), found
