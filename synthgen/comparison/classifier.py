"""An average of unlike learners as a classifier for a rare class, and its file."""

from __future__ import annotations

import os
import time
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Self, cast, final

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from synthgen.comparison.classifier_file import DISCLOSURE, read, refuse_unsavable, write
from synthgen.comparison.compare import checked_cost
from synthgen.comparison.crossfit import LEAST_RARE, CrossFit, cross_fit, held_out
from synthgen.comparison.ensemble import (
    Calibrated,
    best_members,
    calibrators_of,
    mean_of,
    members_of,
    recalibrated,
)
from synthgen.comparison.parts import Part, checked_weight
from synthgen.comparison.quality import PREDICT, Quality, quality
from synthgen.comparison.schedule import check_budget, check_jobs
from synthgen.comparison.splits import group_ids, training_part
from synthgen.errors import DataError, UsageError
from synthgen.model_selection.estimators import Estimator
from synthgen.model_selection.scoring import alarm_threshold, rank
from synthgen.report.answer import Recommendation
from synthgen.seeds import RandomState, child_seed, seed_sequence
from synthgen.tables.calls import features_and_classes, without_groups
from synthgen.tables.schema import Schema, describe
from synthgen.tables.table import Table


@final
class ImbalancedClassifier(ClassifierMixin, BaseEstimator):
    """The mean of unlike learners, recalibrated, with a threshold for the class that matters.

    Small boosting, a forest, extra trees and logistic regression err on different rows. On
    out-of-fold scores of five folds, the members whose mean ranks the class best are chosen (see
    `best_members`), probabilities are recalibrated (`Calibrator`) and the threshold is set: a row
    is predicted to be of the class that matters if its probability reaches it.
    ``evaluation/benchmark.md`` says what this gains; `quality_` says how well it does on your
    table, on rows not seen.

    Args:
        label: The class that matters; None: the rarest.
        members: What may be averaged: names of "boosting", "forest", "extra_trees" and
            "logistic", import paths (``package.module:Class``), and unfitted classifiers with
            ``predict_proba``. None: these four.
        cost: {"fn": money lost by a missed row of the class, "fp": by a false alarm}; the threshold
            then loses the least money.
        false_alarms: Share of the other rows, above 0 and below 1, that may get an alarm; the
            threshold then finds as much of the class as that allows. With neither, it has the best
            F1.
        time_budget: Seconds; a large table is then learned from fewer rows of its frequent classes.
        schema: What the columns are, in place of a guess.
        n_jobs: Processes (joblib); None: 1, or what a joblib context says.
        random_state: The same number gives the same classifier, for any `n_jobs`.
        savable: Refuse, before the first fit, members that `save` could not write.
        verbose: Show progress, with the time left, on standard error.

    Attributes:
        classes_: The classes, sorted.
        label_: The class that matters.
        target_: Name of the column of classes; None where `y` had no name.
        members_: Names of the members that were chosen.
        threshold_: Rows with this probability or more are predicted to be of that class.
        quality_: The `Quality`; None where the class had too few rows for folds, and after `load`.
        recommendation_: What to do with it, and how sure that is.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> ill = np.repeat([0, 1], [130, 20])
        >>> X = pd.DataFrame({"dose": rng.normal(ill * 9), "age": rng.normal(size=150)})
        >>> model = ImbalancedClassifier(
        ...     members=["logistic", "sklearn.naive_bayes:GaussianNB"], random_state=0
        ... ).fit(X, ill)
        >>> model.predict(X.iloc[[0, -1]]).tolist(), round(model.quality_.recall, 2)
        ([0, 1], 1.0)
    """

    classes_: np.ndarray
    label_: Any
    members_: tuple[str, ...]
    threshold_: float
    recommendation_: Recommendation
    quality_: Quality | None
    target_: Any
    n_features_in_: int
    feature_names_in_: np.ndarray

    def __init__(
        self,
        *,
        label: Any = None,
        members: Sequence[Any] | None = None,
        cost: Mapping[str, float] | None = None,
        false_alarms: float | None = None,
        time_budget: float | None = None,
        schema: Schema | None = None,
        n_jobs: int | None = None,
        random_state: RandomState = None,
        savable: bool = True,
        verbose: bool = False,
    ) -> None:
        self.label = label
        self.members = members
        self.cost = cost
        self.false_alarms = false_alarms
        self.time_budget = time_budget
        self.schema = schema
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.savable = savable
        self.verbose = verbose

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        target: Hashable | None = None,
        groups: Any = None,
        sample_weight: Any = None,
    ) -> Self:
        """Fit the members, recalibrate their mean and choose the threshold.

        Call it as ``fit(X, y)`` or as ``fit(frame, target="outcome")``.

        Args:
            X: Frame or array, shape (rows, features): text, dates and missing cells are taken. With
                `target`: the frame that also holds the classes.
            y: Classes, shape (rows,).
            target: Name of the column of `X` that holds the classes.
            groups: Rows of a group share a fold, shape (rows,); or the name of a column of `X`,
                which is then no feature. None: equal rows share a fold.
            sample_weight: How many rows each row counts as, shape (rows,); from 0. None: 1.

        Returns:
            The classifier itself, fitted.

        Raises:
            DataError: The table cannot be used as it is.
            UsageError: A parameter cannot be what it is, or a member takes no weights.
            ModelFileError: A member is of a type that no file can hold.
        """
        started = time.perf_counter()
        X, y = features_and_classes(X, y, target=target)
        X, groups = without_groups(X, groups)
        frame, labels = self._checked(X, y)
        weight = checked_weight(sample_weight, len(frame))
        if weight is not None and not weight.all():  # such a row is none
            there = np.flatnonzero(weight)
            frame, labels = frame.iloc[there], pd.Series(labels).iloc[there]
            weight, groups = weight[there], None if groups is None else np.asarray(groups)[there]
        table = Table.of_xy(frame, labels, schema=self.schema)
        seed = seed_sequence(self.random_state)
        cost = checked_cost(self.cost)
        self._check_parameters()
        members = members_of(self.members)
        label, part = training_part(table, self.label, cost, self.schema)
        if self.savable:
            refuse_unsavable(members)
        deadline = None if self.time_budget is None else started + self.time_budget
        found = cross_fit(
            part,
            group_ids(part, groups),
            members,
            child_seed(seed, 0),
            weight=weight,
            n_jobs=self.n_jobs,
            deadline=deadline,
            verbose=self.verbose,
        )
        self._conclude(part, label, members, found)
        self._known = part.known
        self.target_ = table.schema.target if getattr(y, "name", None) is not None else None
        classes = np.array([c for c in table.schema.classes if table.counts[c]])
        self._order = np.argsort(classes, kind="stable")
        self.classes_ = classes[self._order]
        self.label_ = label
        self._rare = int(np.flatnonzero(self._order == part.rare)[0])
        return self

    def _check_parameters(self) -> None:
        check_jobs(self.n_jobs)
        check_budget(self.time_budget)
        alarms = self.false_alarms
        if alarms is not None and self.cost is not None:
            raise UsageError(
                247, "cost and false_alarms both choose the threshold: give one of them"
            )
        if alarms is not None and not (
            isinstance(alarms, int | float | np.number)
            and not isinstance(alarms, bool)
            and 0 < alarms < 1
        ):
            raise UsageError(
                247, f"false_alarms must be a share above 0 and below 1, not {alarms!r}"
            )

    def _conclude(
        self, part: Part, label: Any, members: Sequence[Estimator], found: CrossFit
    ) -> None:
        """Set `members_`, `quality_`, `threshold_` and `recommendation_`, and what predicts."""
        y = part.y[found.rows]
        is_rare = y == part.rare
        self.quality_, self.threshold_ = None, 0.5
        if not is_rare.any() or is_rare.all():
            self.members_ = tuple(member.name for member in members)
            average = mean_of(found.fitted, found.shift)
            self._fitted = Calibrated(average, [None] * part.classes, part.rare)
            rows = int(part.counts[part.rare])
            why = f"class {label!r} has {rows} rows, and {LEAST_RARE} are the least"
            if rows >= LEAST_RARE:
                why = "the time budget left none, or all rows of the class are one group"
            self.recommendation_ = Recommendation(
                "use with care",
                f"Use it with care: it could not be judged on rows that it has not seen ({why}).",
                "That is not known; probabilities are not recalibrated, and the threshold is one "
                "half.",
                PREDICT,
            )
            return
        chosen = best_members(is_rare, found.scores[:, :, part.rare], found.fold, found.weight)
        self.members_ = tuple(members[place].name for place in chosen)
        average = mean_of([found.fitted[place] for place in chosen], found.shift)
        score = found.scores[list(chosen)].mean(axis=0)
        calibrators = calibrators_of(y, score, part.rare, found.weight)
        self._fitted = Calibrated(average, calibrators, part.rare)
        p = recalibrated(score, calibrators, part.rare)[:, part.rare]
        self.threshold_ = alarm_threshold(is_rare, p, found.weight, part.cost, self.false_alarms)
        self.quality_ = quality(
            y,
            part.rare,
            label,
            found.fold,
            held_out(y, found, part.rare),
            found.plain,
            found.weight,
            self.threshold_,
            found.notes,
        )
        self.recommendation_ = self.quality_.recommendation

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the classes at their natural shares.

        Args:
            X: Frame or array, shape (rows, features), with the columns of `fit`.

        Returns:
            Float64 of shape (rows, classes), in the order of `classes_`; each row sums to 1.

        Raises:
            NotFittedError: `fit` was not called.
            ValueError: Columns are missing or new (scikit-learn's sentence says which).
        """
        check_is_fitted(self)
        frame = self._checked(X)[0]
        return self._fitted.predict_proba(self._known.cells(frame))[:, self._order]

    def predict(self, X: Any) -> np.ndarray:
        """The predicted class of each row.

        It is the class that matters if its probability reaches `threshold_`, else the most probable
        of the others.

        Args:
            X: Frame or array, shape (rows, features), with the columns of `fit`.

        Returns:
            Of `classes_`, shape (rows,).

        Raises:
            NotFittedError, ValueError: See `predict_proba`.
        """
        return self._decided(self.predict_proba(X))

    def _decided(self, p: np.ndarray) -> np.ndarray:
        """The class of each row by its probabilities, shape (rows, classes)."""
        rare = p[:, [self._rare]] >= self.threshold_
        others = np.where(np.arange(p.shape[1]) == self._rare, np.where(rare, 2, -1), p)
        return self.classes_[others.argmax(axis=1)]

    def with_predictions(self, frame: pd.DataFrame) -> pd.DataFrame:
        """A frame, with what is predicted for each of its rows in two columns more.

        Args:
            frame: Holds the columns that were learned from, by name; others are left alone.

        Returns:
            The frame with "predicted" (the class) and "probability" (of the class that matters,
            with six decimals).

        Raises:
            UsageError: The frame has a column of one of these names.
            DataError: It lacks a column that was learned from.
        """
        check_is_fitted(self)
        for name in ("predicted", "probability"):
            if name in map(str, frame.columns):
                raise UsageError(287, f"the table has a column {name!r} already: rename it")
        p = self.predict_proba(self.known_columns(frame))
        return frame.assign(predicted=self._decided(p), probability=p[:, self._rare].round(6))

    def known_columns(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The columns of a frame that the classifier learned from, in the order of training.

        Args:
            frame: Other columns, such as the classes, are left out.

        Returns:
            Frame of shape (rows, features).

        Raises:
            DataError: `frame` lacks a column that the classifier learned from.
        """
        names = [*getattr(self, "feature_names_in_", frame.columns)]
        missing = [name for name in names if name not in frame.columns]
        if missing:
            raise DataError(371, f"column {missing[0]!r} is missing: the model needs it")
        return frame[names]

    def measured(
        self, X: Any, y: Any = None, *, target: Hashable | None = None
    ) -> dict[str, float]:
        """How well the class that matters is found among rows with known classes.

        Args:
            X: Frame or array, shape (rows, features). With `target`: the frame that also holds the
                classes.
            y: Classes, shape (rows,); rows without one are left out.
            target: Name of the column of `X` that holds the classes.

        Returns:
            "rows" and "rare" (rows of the class), "average_precision" and "roc_auc" of the
            probabilities, and "recall" and "precision" of the predictions; NaN where there is
            nothing to divide by. Empty: `y` lacks the class, or holds nothing else.
        """
        X, y = features_and_classes(X, y, target=target)
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
            if "_fitted" not in vars(self):
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

        Args:
            path: Where to write; by convention it ends in ``.skops``.

        Raises:
            NotFittedError: `fit` was not called.
            ModelFileError: A member is of a type that is not on the list.
            OutputError: The file cannot be written; what was there is untouched.
        """
        check_is_fitted(self)
        write(self, path)

    def describe(self) -> dict[str, Any]:
        """What a file of this classifier tells its reader, as plain values."""
        check_is_fitted(self)
        return {
            "classes": [str(c) for c in self.classes_],
            "label": str(self.label_),
            "members": [*self.members_],
            "threshold": self.threshold_,
            "columns": describe(self._known.columns),
            "disclosure": DISCLOSURE,
        }

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ImbalancedClassifier:
        """Read a file that `save` wrote. Types that are not on the list are never made.

        Args:
            path: The file.

        Returns:
            The fitted classifier, without its `quality_`.

        Raises:
            ModelFileError: It cannot be read, unpacks to more than it should, or holds another
                type or value than `save` writes.
        """
        model = cls()
        vars(model).update(read(path))
        return model
