"""The comparison that keeps its winner: a classifier for a rare class, and its file."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from typing import Any, Self, cast, final

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from synthgen.comparison.archive import check_content, read_archive
from synthgen.comparison.classifier_file import (
    FORMAT,
    TRUSTED,
    cannot_be_saved,
    check_types,
    to_bytes,
)
from synthgen.comparison.compare import DECISION, Comparison, checked_cost, compare
from synthgen.comparison.schedule import check_jobs
from synthgen.comparison.splits import group_ids, training_part
from synthgen.comparison.strategies import Strategy, pick
from synthgen.comparison.tuning import LEAST_ROWS, Inner, tune
from synthgen.encoding.matrix import Matrix
from synthgen.errors import DataError, ModelFileError
from synthgen.model_selection.classifiers import Estimator
from synthgen.model_selection.scoring import METRICS, rank
from synthgen.model_selection.selection import choose
from synthgen.seeds import RandomState, child_seed, seed_sequence
from synthgen.tables.disk import atomic_write
from synthgen.tables.plain import from_plain, to_plain
from synthgen.tables.schema import Schema, describe
from synthgen.tables.table import Table
from synthgen.training.model_file import naming

DISCLOSURE = (
    "in this file: no training row, but the names of all classes, since it predicts them, and of "
    "all levels, and the least and greatest values of the columns, also where a single row holds "
    "them: share it only with those who may see these"
)


@final
class ImbalancedClassifier(ClassifierMixin, BaseEstimator):
    """Compares all strategies for the rare class on the training rows, and keeps the best.

    It keeps the simplest strategy within one standard error of the best, doing nothing included,
    and fits it again on all rows. Probabilities are at the natural shares of the classes. A row is
    predicted to be of the class that matters where its probability reaches a threshold that was
    chosen on out-of-fold rows. ``comparison_.verdict`` says what this gains on new rows.

    Args:
        label: The class that matters; None: the rarest.
        savable: Leave out, before the first fit, strategies whose classifier `save` could not
            write; a warning names them. False: keep them all.
        strategies, estimator, metric, folds, repeats, cost, time_budget, schema, n_jobs,
            random_state, verbose: See `compare`.

    Attributes:
        classes_: The classes, sorted.
        label_: The class that matters.
        target_: Name of the column of classes; None where `y` had no name.
        strategy_: Name of the strategy that was kept.
        threshold_: Rows with this probability or more are predicted to be of that class.
        explanation_: Why, in words.
        comparison_: The `Comparison`; None where there were too few rows for one, and after `load`.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> ill = np.repeat([0, 1], [130, 20])
        >>> X = pd.DataFrame({"dose": rng.normal(ill * 9), "age": rng.normal(size=150)})
        >>> model = ImbalancedClassifier(
        ...     strategies=["class_weight"], estimator="lr", folds=2, repeats=1, random_state=0
        ... ).fit(X, ill)
        >>> model.strategy_, model.predict(X.iloc[[0, -1]]).tolist()
        ('nothing', [0, 1])
    """

    classes_: np.ndarray
    label_: Any
    strategy_: str
    threshold_: float
    explanation_: str
    comparison_: Comparison | None
    target_: Any
    n_features_in_: int
    feature_names_in_: np.ndarray

    def __init__(
        self,
        *,
        label: Any = None,
        strategies: Any = "default",
        estimator: Any = "hgb",
        metric: str = "average_precision",
        folds: int = 5,
        repeats: int | None = None,
        cost: Mapping[str, float] | None = None,
        time_budget: float | None = None,
        schema: Schema | None = None,
        n_jobs: int | None = None,
        random_state: RandomState = None,
        savable: bool = True,
        verbose: bool = False,
    ) -> None:
        self.label = label
        self.strategies = strategies
        self.estimator = estimator
        self.metric = metric
        self.folds = folds
        self.repeats = repeats
        self.cost = cost
        self.time_budget = time_budget
        self.schema = schema
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.savable = savable
        self.verbose = verbose

    def fit(self, X: Any, y: Any, groups: Any = None) -> Self:
        """Compare, choose and fit.

        Args:
            X: Frame or array, shape (rows, features): text, dates and missing cells are taken.
            y: Classes, shape (rows,).
            groups: Rows of a group share a fold, shape (rows,).

        Raises:
            DataError: The table cannot be used as it is.
            UsageError: A parameter cannot be what it is.
        """
        frame, labels = self._checked(X, y)
        table = Table.of_xy(frame, labels, schema=self.schema)
        seed = seed_sequence(self.random_state)
        cost = checked_cost(self.cost)
        label, part = training_part(table, self.label, cost, self.schema)
        estimator, chosen = Estimator.of(self.estimator), pick(self.strategies)
        check_jobs(self.n_jobs)
        if self.savable:
            chosen = _savable(chosen, estimator)
        strategy = {s.name: s for s in chosen}
        self.comparison_ = None
        self.strategy_ = "nothing"
        self.threshold_ = 0.5
        if (rare := int(part.counts[part.rare])) < LEAST_ROWS:
            self.explanation_ = f"class {label!r} has {rare} rows, too few to compare strategies"
            self._fitted = strategy["nothing"].build(part, estimator, child_seed(seed, 1))(0)
        else:
            self.comparison_ = compare(
                frame,
                labels,
                label=label,
                strategies=chosen,
                estimator=estimator,
                metric=self.metric,
                folds=self.folds,
                repeats=self.repeats,
                groups=groups,
                cost=self.cost,
                time_budget=self.time_budget,
                schema=self.schema,
                n_jobs=self.n_jobs,
                random_state=child_seed(seed, 0),
                verbose=self.verbose,
            )
            self.strategy_ = winner(self.comparison_)
            self.explanation_ = (
                f"{self.strategy_} is the simplest strategy within one error of the best; "
                f"{self.comparison_.verdict['ranking'].text}"
            )
            inner = Inner.of(part, group_ids(part, groups), child_seed(seed, 1))
            decision = DECISION if cost is None else "cost"
            tuned = tune(inner, strategy[self.strategy_], estimator, (self.metric, decision))
            self._fitted = tuned.fitted
            self.threshold_ = tuned.thresholds["f1" if cost is None else "cost"]
        self._known = part.known
        self.target_ = table.schema.target if getattr(y, "name", None) is not None else None
        classes = np.array([c for c in table.schema.classes if table.counts[c]])
        self._order = np.argsort(classes, kind="stable")
        self.classes_ = classes[self._order]
        self.label_ = label
        self._rare = int(np.flatnonzero(self._order == part.rare)[0])
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of `classes_` at their natural shares, shape (rows, classes)."""
        check_is_fitted(self)
        frame = self._checked(X)[0]
        return self._fitted.predict_proba(self._known.cells(frame))[:, self._order]

    def predict(self, X: Any) -> np.ndarray:
        """The predicted class of each row, shape (rows,).

        It is the class that matters if its probability reaches `threshold_`, else the most probable
        of the others.

        Args:
            X: Frame or array, shape (rows, features).
        """
        p = self.predict_proba(X)
        rare = p[:, self._rare] >= self.threshold_
        p[:, self._rare] = np.where(rare, 2, -1)
        return self.classes_[p.argmax(axis=1)]

    def measured(self, X: Any, y: Any) -> dict[str, float]:
        """How well the class that matters is found among rows with known classes.

        Args:
            X: Frame or array, shape (rows, features).
            y: Classes, shape (rows,); rows without one are left out.

        Returns:
            "rows" and "rare" (rows of the class), "average_precision" and "roc_auc" of the
            probabilities, and "recall" and "precision" of the predictions; NaN where there is
            nothing to divide by. Empty: `y` lacks the class, or holds nothing else.
        """
        y = pd.Series(np.asarray(y), dtype=object)
        known = y.notna().to_numpy()
        is_rare = (y == self.label_).to_numpy(bool)
        if not is_rare.any():  # read from a file, where 1 can be 1.0 and "1" can be 1
            is_rare = (y.astype(str) == str(self.label_)).to_numpy()
        is_rare = is_rare[known]
        if not is_rare.any() or is_rare.all():
            return {}
        p = self.predict_proba(X)[known, self._rare]
        called = p >= self.threshold_
        hits = int((called & is_rare).sum())
        return {
            "rows": int(known.sum()),
            "rare": int(is_rare.sum()),
            "average_precision": rank(is_rare, p, "average_precision"),
            "roc_auc": rank(is_rare, p, "roc_auc"),
            "recall": hits / int(is_rare.sum()),
            "precision": hits / int(called.sum()) if called.any() else float("nan"),
        }

    def _checked(self, X: Any, y: Any = None) -> tuple[pd.DataFrame, Any]:
        """As a frame, and as scikit-learn wants it checked."""
        first = y is not None
        if isinstance(X, pd.DataFrame):
            named = all(isinstance(name, str) for name in X.columns)
            seen: Any = X if named else np.empty((0, X.shape[1]))
            if first:
                check_classification_targets(np.asarray(y))
            validate_data(self, seen, reset=first, skip_check_array=True)
            return X, y
        how: dict[str, Any] = {"dtype": None, "ensure_all_finite": False}
        if not first:
            if not hasattr(self, "_fitted"):
                validate_data(self, X, cast(Any, y), **how)  # it says that y is missing
            return pd.DataFrame(validate_data(self, X, reset=False, **how)), None
        X, y = validate_data(self, X, y, **how)
        check_classification_targets(y)
        if len(np.unique(y)) < 2:
            raise DataError(376, "y has one class: there is nothing to tell apart")
        return pd.DataFrame(X), y

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags

    # --- its file -----------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the classifier to one file, with skops: no code, and types from a list only.

        The file holds no row. It names every class, since it predicts them, and every level of
        the columns, also those that a single row holds; from its cuts follows what values the
        columns took. Share it only with those who may see these.

        Raises:
            NotFittedError: `fit` was not called.
            ModelFileError: The strategy or the classifier is of a type that is not on the list.
            OutputError: The file cannot be written; what was there is untouched.
        """
        check_is_fitted(self)
        content = {
            "format": FORMAT,
            "columns": json.dumps(Schema(self._known.columns).to_json()),
            "classes": json.dumps([to_plain(c) for c in self.classes_.tolist()]),
            "n_features": int(self.n_features_in_),
            "order": self._order,
            "rare": int(self._rare),
            "threshold": float(self.threshold_),
            "strategy": self.strategy_,
            "explanation": self.explanation_,
            "target": json.dumps(None if self.target_ is None else str(self.target_)),
            "names": json.dumps([*map(str, getattr(self, "feature_names_in_", []))]),
            "fitted": self._fitted,
        }
        data = to_bytes(content, f"this classifier ({self.strategy_})")
        with atomic_write(path) as file:
            file.write(data)

    def describe(self) -> dict[str, Any]:
        """What a file of this classifier tells its reader, as plain values."""
        check_is_fitted(self)
        return {
            "classes": [str(c) for c in self.classes_],
            "label": str(self.label_),
            "strategy": self.strategy_,
            "threshold": self.threshold_,
            "columns": describe(self._known.columns),
            "disclosure": DISCLOSURE,
        }

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ImbalancedClassifier:
        """Read a file that `save` wrote. Types that are not on the list are never made.

        Raises:
            ModelFileError: It cannot be read, unpacks to more than it should, or holds another
                type or value than `save` writes.
        """
        from skops import io as skops

        data = read_archive(path)
        check_types(data, str(path))
        try:
            content = skops.loads(data, trusted=TRUSTED)
            if content["format"] != FORMAT:
                raise ValueError(f"format {content['format']} is not {FORMAT}")
            model = cls()
            model._known = Matrix.of(Schema.from_json(json.loads(content["columns"])))
            model.classes_ = np.array([from_plain(c) for c in json.loads(content["classes"])])
            with naming(path):
                check_content(content, len(model._known.columns), len(model.classes_))
            model._order, model._rare = content["order"], int(content["rare"])
            model.threshold_, model._fitted = float(content["threshold"]), content["fitted"]
            model.strategy_, model.explanation_ = content["strategy"], content["explanation"]
            model.label_ = model.classes_[model._rare]
            model.n_features_in_ = int(content["n_features"])
            model.target_ = json.loads(content["target"])
            if names := json.loads(content["names"]):
                model.feature_names_in_ = np.array(names, dtype=object)
            model.comparison_ = None
        except (ModelFileError, MemoryError):
            raise
        except Exception as error:  # a damaged archive fails in any of many ways
            raise ModelFileError(
                433, f"{path} is damaged, or no file of synthgen auto: {error}"
            ) from error
        return model


def _savable(chosen: list[Strategy], estimator: Estimator) -> list[Strategy]:
    """The strategies whose classifier a file can hold; a warning names the others.

    Raises:
        ModelFileError: The estimator itself cannot be saved.
    """
    kept = []
    for strategy in chosen:
        why = "" if strategy.missing() else cannot_be_saved(strategy, estimator)
        if why and strategy.name in ("nothing", "threshold"):
            raise ModelFileError(
                434,
                f"estimator {estimator.name}: {why}: choose another estimator, or savable=False to "
                f"keep the classifier in memory only",
            )
        if why:
            warnings.warn(f"{strategy.name} is left out: {why}", stacklevel=3)
        else:
            kept.append(strategy)
    return kept


def winner(found: Comparison) -> str:
    """The simplest strategy within one error of the best, doing nothing included."""
    names = [n for n in found.strategies if n != "threshold"]
    sign = METRICS[found.metric].sign
    scores = sign * np.array([found.result(n).values for n in names])
    return names[choose(scores, ratio=1 / (found.folds - 1))]
