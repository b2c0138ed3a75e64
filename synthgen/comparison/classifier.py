"""`ImbalancedClassifier`, a calibrated average of different classifiers, and its file."""

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

from synthgen.comparison.classifier_file import DISCLOSURE, read, write
from synthgen.comparison.compare import checked_cost
from synthgen.comparison.crossfit import LEAST_RARE, MOST_ROWS, CrossFit, cross_fit, held_out
from synthgen.comparison.ensemble import (
    Calibrated,
    best_members,
    calibrators_of,
    mean_of,
    members_of,
    recalibrated,
)
from synthgen.comparison.parts import Part
from synthgen.comparison.quality import Quality, quality, scores_of, unscored
from synthgen.comparison.schedule import check_budget
from synthgen.comparison.splits import group_ids, training_part
from synthgen.errors import DataError, UsageError
from synthgen.model_selection.estimators import Estimator
from synthgen.model_selection.scoring import alarm_threshold
from synthgen.report.answer import Recommendation
from synthgen.seeds import RandomState, child_seed, seed_sequence
from synthgen.tables.calls import checked_weight, features_and_classes, without_groups
from synthgen.tables.checks import check_flags, flags_of
from synthgen.tables.foreign import as_given, as_pandas
from synthgen.tables.schema import Schema, describe
from synthgen.tables.table import Table
from synthgen.threads import TREES, check_jobs, threads_for


@final
class ImbalancedClassifier(ClassifierMixin, BaseEstimator):
    """A calibrated average of different classifiers, with a threshold for a class of interest.

    Small boosting, a random forest, extra trees and logistic regression make errors on different
    rows. From out-of-fold scores of five folds, `fit` selects the members whose mean ranks the
    class best (see `best_members`), calibrates the probabilities (`Calibrator`), and sets the
    threshold: a row is predicted as the class of interest if its probability is at least the
    threshold. ``evaluation/benchmark.md`` measures the gain on public tables; `quality_` gives the
    out-of-fold scores on your table.

    Args:
        label: The class of interest. None: the rarest.
        members: Candidates for the average: the names "boosting", "forest", "extra_trees" and
            "logistic", import paths (``package.module:Class``), and unfitted classifiers with
            ``predict_proba``. None: the four names.
        cost: ``{"fn": cost of a missed row of the class, "fp": cost of a false alarm}``, in any
            currency. The threshold then minimises the total cost.
        false_alarms: Largest allowed false positive rate, above 0 and below 1. The threshold then
            maximises recall within this limit. If both `cost` and `false_alarms` are None, the
            threshold maximises F1.
        time_budget: Time limit of `fit` in seconds. To meet it, rows of frequent classes of a large
            table are subsampled. None: no limit, but the members learn from at most 12,000 rows:
            rows of frequent classes are left out first. Scores, probabilities and threshold are
            always for the class shares of the whole table.
        schema: Kinds and limits of the columns (see `Schema.infer`). None: all are inferred.
        n_jobs: Number of processes. None: 1, or as set by joblib.
        random_state: Seed. An integer gives the same classifier each time, for any `n_jobs`.
        verbose: Whether to show progress and the time left, on standard error.

    Attributes:
        classes_: The classes, sorted.
        label_: The class of interest.
        target_: Name of the target; None if `y` had no name.
        members_: Names of the selected members.
        threshold_: Rows with at least this probability are predicted as the class of interest.
        quality_: The `Quality`; None after `load`, or if the class has too few rows for folds.
        recommendation_: How to use the classifier, with its certainty.
        calibrated_: The calibrated mean of the members.
        known_: What it knows of the columns: a row becomes numbers with ``known_.cells``.

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
        """Fit the members, calibrate their mean and choose the threshold.

        Call it as ``fit(X, y)`` or as ``fit(frame, target="outcome")``.

        Args:
            X: Features: a frame or array of shape (rows, features). Text, dates and missing cells
                are allowed. With `target`, a frame that also holds the classes.
            y: Classes of shape (rows,). None if `target` is given.
            target: Name of the column of `X` that holds the classes.
            groups: Group of each row, shape (rows,), or the name of a column of `X`, which is then
                not a feature. Rows of a group are kept in the same fold. None: equal rows are.
            sample_weight: Weight of each row, at least 0, shape (rows,); a weight of 2 counts as
                two equal rows. None: all weights are 1.

        Returns:
            The classifier itself, fitted.

        Raises:
            DataError: The table cannot be used as it is.
            UsageError: A parameter has a value that is not allowed, or a member does not support
                weights.
        """
        check_flags(**flags_of(self))
        started = time.perf_counter()
        X, y = features_and_classes(X, y, target=target)
        X, groups = without_groups(as_pandas(X, "X"), groups)
        y = as_pandas(y, "y")
        frame, labels = self._checked(X, y)
        weight = checked_weight(sample_weight, len(frame))
        if weight is not None and not weight.all():  # rows of weight 0 are left out
            there = np.flatnonzero(weight)
            frame, labels = frame.iloc[there], pd.Series(labels).iloc[there]
            weight, groups = weight[there], None if groups is None else np.asarray(groups)[there]
        table = Table.of_xy(frame, labels, schema=self.schema)
        seed = seed_sequence(self.random_state)
        cost = checked_cost(self.cost)
        self._check_parameters()
        members = members_of(self.members)
        label, part = training_part(table, self.label, cost, self.schema)
        deadline = None if self.time_budget is None else started + self.time_budget
        cells = part.places.size
        if deadline is None and len(part) > MOST_ROWS:
            cells = cells // len(part) * MOST_ROWS
        with threads_for(cells, TREES):  # too many would wait in a busy loop
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
        self.known_ = part.known
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
        """Set the fitted attributes, and the ensemble that predicts."""
        y = part.y[found.rows]
        is_rare = y == part.rare
        self.quality_, self.threshold_ = None, 0.5
        if not is_rare.any() or is_rare.all():
            self.members_ = tuple(member.name for member in members)
            average = mean_of(found.fitted, found.shift)
            self.calibrated_ = Calibrated(average, [None] * part.classes, part.rare)
            self.recommendation_ = unscored(label, int(part.counts[part.rare]), LEAST_RARE)
            return
        chosen = best_members(is_rare, found.scores[:, :, part.rare], found.fold, found.weight)
        self.members_ = tuple(members[place].name for place in chosen)
        average = mean_of([found.fitted[place] for place in chosen], found.shift)
        score = found.scores[list(chosen)].mean(axis=0)
        calibrators = calibrators_of(y, score, part.rare, found.weight)
        self.calibrated_ = Calibrated(average, calibrators, part.rare)
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
        """Predict calibrated class probabilities, for the class shares of the training table.

        Args:
            X: Frame or array of shape (rows, features), with the columns of `fit`; rows may be 0.

        Returns:
            Probabilities, float64 of shape (rows, classes), in the order of `classes_`; each row
            sums to 1.

        Raises:
            NotFittedError: `fit` was not called.
            ValueError: Columns are missing or unknown; scikit-learn's message names them.
            DataError: A cell of a column of numbers is text or infinite.
        """
        check_is_fitted(self)
        cells = self.known_.cells(self._checked(as_pandas(X, "X"))[0])
        if not len(cells):
            return np.empty((0, len(self.classes_)))
        return self.calibrated_.predict_proba(cells)[:, self._order]

    def predict(self, X: Any) -> np.ndarray:
        """Predict the class of each row.

        The prediction is the class of interest if its probability is at least `threshold_`,
        otherwise the most probable of the other classes.

        Args:
            X: Frame or array of shape (rows, features), with the columns of `fit`.

        Returns:
            Elements of `classes_`, shape (rows,).

        Raises:
            NotFittedError, ValueError: See `predict_proba`.
        """
        return self._decided(self.predict_proba(X))

    def _decided(self, p: np.ndarray) -> np.ndarray:
        """Choose the class of each row from its probabilities, shape (rows, classes)."""
        rare = p[:, [self._rare]] >= self.threshold_
        others = np.where(np.arange(p.shape[1]) == self._rare, np.where(rare, 2, -1), p)
        return self.classes_[others.argmax(axis=1)]

    def with_predictions(self, frame: Any) -> Any:
        """Add the predictions to a frame in two new columns.

        Args:
            frame: A frame with the feature columns of `fit` by name; other columns are kept.

        Returns:
            A copy of the frame, of the same kind, with the new columns "predicted" (the class) and
            "probability" (of the class of interest, rounded to six decimals).

        Raises:
            UsageError: The frame already has a column with one of these names.
            DataError: The frame lacks a feature column of `fit`.
        """
        check_is_fitted(self)
        given, frame = frame, as_pandas(frame)
        for name in ("predicted", "probability"):
            if name in map(str, frame.columns):
                raise UsageError(287, f"the table already has a column {name!r}: rename it")
        p = self.predict_proba(self.known_columns(frame))
        more = frame.assign(predicted=self._decided(p), probability=p[:, self._rare].round(6))
        return as_given(more, given, kept=len(frame))

    def known_columns(self, frame: Any) -> pd.DataFrame:
        """Select the columns that the classifier was trained on, in the order of training.

        Args:
            frame: A frame with these columns; other columns, such as the target, are left out.

        Returns:
            Frame of shape (rows, features).

        Raises:
            DataError: `frame` lacks a column that the classifier learned from.
        """
        frame = as_pandas(frame)
        names = [*getattr(self, "feature_names_in_", frame.columns)]
        missing = [name for name in names if name not in frame.columns]
        if missing:
            raise DataError(
                371, f"column {missing[0]!r} is missing: the classifier was trained on it; add it"
            )
        return frame[names]

    def measured(
        self, X: Any, y: Any = None, *, target: Hashable | None = None
    ) -> dict[str, float]:
        """Score the classifier on rows whose classes are known.

        Args:
            X: Frame or array of shape (rows, features). With `target`, a frame that also holds the
                classes.
            y: Classes of shape (rows,); rows with a missing class are left out.
            target: Name of the column of `X` that holds the classes.

        Returns:
            A dict with "rows" and "rare" (number of rows, and of rows of the class of interest),
            "average_precision" and "roc_auc" of the probabilities, and "recall" and "precision" of
            the predictions; NaN if undefined. The dict is empty unless `y` contains both the class
            of interest and another class.
        """
        X, y = features_and_classes(X, y, target=target)
        y = pd.Series(np.asarray(as_pandas(y, "y")), dtype=object)
        known = y.notna().to_numpy()
        is_rare = (y == self.label_).to_numpy(bool)
        if not is_rare.any():  # types can differ if it was read from a file: 1 and 1.0
            is_rare = (y.astype(str) == str(self.label_)).to_numpy()
        is_rare = is_rare[known]
        if not is_rare.any() or is_rare.all():
            return {}
        p = self.predict_proba(X)[known, self._rare]
        return scores_of(is_rare, p, self.threshold_)

    def _checked(self, X: Any, y: Any = None) -> tuple[pd.DataFrame, Any]:
        """Validate X and y with scikit-learn, and return them with X as a frame."""
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
            if "calibrated_" not in vars(self):
                validate_data(self, X, cast(Any, y), **how)  # raises: y is missing
            return pd.DataFrame(
                validate_data(self, X, reset=False, ensure_min_samples=0, **how)
            ), None
        X, y = validate_data(self, X, y, **how)
        check_classification_targets(y)
        if len(np.unique(y)) < 2:
            raise DataError(376, "y has only one class: a classifier needs rows of at least two")
        return pd.DataFrame(X), y

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags

    # --- its file -----------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the classifier to one skops file, which contains no code and only listed types.

        The file contains no whole row, but it does reveal data: the name of every class, every
        level of every column (even if only one row has it), and, through the split points of trees,
        values of the columns. Share it only with people who may see these.

        Args:
            path: Path of the file; by convention it ends in ``.skops``.

        Raises:
            NotFittedError: `fit` was not called.
            ModelFileError: A member has a type that is not on the list.
            OutputError: The file cannot be written; an existing file is unchanged.
        """
        check_is_fitted(self)
        write(self, path)

    def describe(self) -> dict[str, Any]:
        """Summarise the classifier in plain values, as anyone with its file can.

        Returns:
            A dict with the keys "classes", "label", "members", "threshold", "columns" (what the
            file holds of each column) and "disclosure".
        """
        check_is_fitted(self)
        return {
            "classes": [str(c) for c in self.classes_],
            "label": str(self.label_),
            "members": [*self.members_],
            "threshold": self.threshold_,
            "columns": describe(self.known_.columns),
            "disclosure": DISCLOSURE,
        }

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ImbalancedClassifier:
        """Read a classifier from a file that `save` wrote.

        Objects of types that are not on the list are never created.

        Args:
            path: Path of the file.

        Returns:
            The fitted classifier; its `quality_` is None.

        Raises:
            ModelFileError: The file cannot be read, is too large when unpacked, or holds a type or
                value that `save` does not write.
        """
        model = cls()
        vars(model).update(read(path))
        return model
