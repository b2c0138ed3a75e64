"""Classifiers used to compare strategies, and as members of `ImbalancedClassifier`."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

import numpy as np
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from synthgen.encoding.matrix import Binned, fill_empty
from synthgen.errors import UsageError
from synthgen.model_selection.classifiers import boosting_leaf


class NotApplicable(Exception):
    """A strategy cannot work on this table; the message says why."""


@dataclass(frozen=True)
class Estimator:
    """A classifier for comparing strategies, or a member of an average of classifiers.

    Attributes:
        name: Name for reports.
        model: The unfitted scikit-learn classifier.
        settings: Hyperparameters of `model` to tune over; every strategy tries the same ones.
        leaf: Function from the number of training rows to the smallest number of rows in a leaf.
            None: the setting of `model`.
    """

    name: str
    model: Any
    settings: tuple[dict[str, Any], ...] = ({},)
    leaf: Callable[[int], int] | None = None

    @classmethod
    def of(
        cls,
        given: Any,
        known: Mapping[str, Estimator] | None = None,
        *,
        what: str = "estimator",
    ) -> Estimator:
        """Make an estimator from its name, an import path, or an unfitted classifier."""
        known = ESTIMATORS if known is None else known
        if isinstance(given, Estimator):
            return given
        if isinstance(given, str) and given in known:
            return known[given]
        name, found = named(given, what, [*known])
        if not callable(getattr(found, "predict_proba", None)):
            raise UsageError(
                224,
                f"{what} {name}: it must be a classifier with predict_proba, such as "
                f"{next(iter(known))}",
            )
        return cls(name, found)

    def fit(
        self,
        X: np.ndarray,
        is_level: np.ndarray,
        y: np.ndarray,
        seed: np.random.SeedSequence,
        setting: int = 0,
        weight: np.ndarray | None = None,
    ) -> Any:
        """Fit a copy of the model with one of its settings."""
        model: Any = clone(self.model)
        model.set_params(**self.settings[setting])
        inner = wrapped(model)
        if isinstance(inner, HistGradientBoostingClassifier):
            inner.set_params(categorical_features=is_level if is_level.any() else None)
        if self.leaf is not None:
            inner.set_params(min_samples_leaf=self.leaf(len(y)))
        return fit_model(model, X, is_level, y, seed, weight)


def wrapped(model: Any) -> Any:
    """Return the classifier inside a wrapper such as `Bagged`, or the model itself."""
    return getattr(model, "estimator", model)


def fit_model(
    model: Any,
    X: np.ndarray,
    is_level: np.ndarray,
    y: np.ndarray,
    seed: np.random.SeedSequence,
    weight: np.ndarray | None = None,
) -> Any:
    """Fit a model; all but histogram boosting get cells imputed, scaled and one-hot encoded."""
    if "random_state" in model.get_params(deep=False):
        model.set_params(random_state=int(seed.generate_state(1)[0]) >> 1)
    if isinstance(wrapped(model), HistGradientBoostingClassifier):
        X = fill_empty(X)
        if weight is None:
            return model.fit(X, y)
        whole = Pipeline([("bins", Binned(is_level)), ("model", model)])
        return _fit_weighted(whole, X, y, weight)
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
        return _fit_weighted(whole, X, y, weight)
    except TypeError:
        raise NotApplicable(f"{type(model).__name__} does not support sample weights") from None


def _fit_weighted(whole: Pipeline, X: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Pipeline:
    """Fit a pipeline whose step "model" gets weights, whether or not the user routes metadata."""
    with config_context(enable_metadata_routing=False):  # it would refuse model__sample_weight
        return whole.fit(X, y, model__sample_weight=weight)


ESTIMATORS = {
    "hgb": Estimator(
        "hgb",
        HistGradientBoostingClassifier(early_stopping=cast(Any, False)),
        (
            {"learning_rate": 0.1, "max_iter": 100, "max_leaf_nodes": 31},
            {"learning_rate": 0.05, "max_iter": 100, "max_leaf_nodes": 15, "l2_regularization": 1},
            {"learning_rate": 0.1, "max_iter": 50, "max_leaf_nodes": 7, "l2_regularization": 1},
            {"learning_rate": 0.1, "max_iter": 150, "max_leaf_nodes": 7, "l2_regularization": 1},
        ),
        boosting_leaf,
    ),
    "rf": Estimator(
        "rf",
        RandomForestClassifier(n_estimators=200),
        tuple({"min_samples_leaf": n} for n in (1, 2, 5, 10)),
    ),
    "lr": Estimator(
        "lr",
        LogisticRegression(max_iter=2000),
        tuple({"C": c} for c in (0.01, 0.1, 1.0, 10.0)),
    ),
}


def named(given: Any, what: str, known: list[str]) -> tuple[str, Any]:
    """Find the name and the object for an import path, a class or an object."""
    found = given
    if isinstance(given, str):
        module, _, name = given.partition(":")
        if not name:
            close = difflib.get_close_matches(given, known, n=1)
            meant = f": did you mean {close[0]!r}?" if close else ""
            raise UsageError(
                222,
                f"there is no {what} {given!r}{meant or ':'} use {', '.join(known)}, or "
                f"package.module:Name",
            )
        try:
            found = getattr(import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise UsageError(222, f"cannot import the {what} {given!r}: {error}") from error
    if isinstance(found, type):
        found = found()
    return (given if isinstance(given, str) else type(found).__name__), found
