"""`OversampledClassifier`: a classifier trained on real and weighted synthetic rows."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Self, cast, final

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from synthgen.augmentation.oversampler import Oversampler
from synthgen.errors import UsageError
from synthgen.tables.checks import check_flags, flags_of


def _has(method: str) -> Any:
    """Decorator that exposes a method only if the wrapped estimator has it."""

    def check(self: OversampledClassifier) -> bool:
        getattr(getattr(self, "estimator_", self.estimator), method)  # raises AttributeError
        return True

    return available_if(check)


@final
class OversampledClassifier(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """A classifier that adds weighted synthetic rows to its training data.

    `fit` runs the oversampler and passes its sample weights to the classifier. The synthetic rows
    of a class have the same total weight as its real rows; without weights they harm most
    classifiers. (An imbalanced-learn pipeline drops these weights.) In cross-validation, synthetic
    rows are made from the training folds only.

    Args:
        estimator: A classifier whose `fit` takes `sample_weight`. A pipeline does not; put the
            preprocessing in front: ``make_pipeline(..., OversampledClassifier(...))``.
        oversampler: An `Oversampler`. None (default): ``Oversampler(ratio=0.3)``.
        verbose: Whether to show the progress of the oversampler, on standard error or below the
            notebook cell.

    Attributes:
        estimator_: The fitted classifier.
        oversampler_: The oversampler after `fit_resample`; `sample_weight_` has the weights.
        classes_: The classes, sorted.

    Example:
        >>> from sklearn.tree import DecisionTreeClassifier
        >>> X = np.arange(40.0)[:, None]
        >>> y = np.repeat(["no", "yes"], [34, 6])
        >>> model = OversampledClassifier(
        ...     DecisionTreeClassifier(), Oversampler("bootstrap", ratio="auto", random_state=0)
        ... ).fit(X, y)
        >>> model.oversampler_.amount_.rows, model.oversampler_.sample_weight_[-6:].sum().item()
        ({'yes': 6}, 6.0)
        >>> model.predict([[39.0]]).tolist()
        ['yes']
    """

    estimator_: Any
    oversampler_: Oversampler
    classes_: np.ndarray
    n_features_in_: int
    feature_names_in_: np.ndarray

    def __init__(
        self, estimator: Any, oversampler: Oversampler | None = None, *, verbose: bool = False
    ) -> None:
        self.estimator = estimator
        self.oversampler = oversampler
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
        """Add synthetic rows, and fit the classifier on all rows with their weights.

        Call it as ``fit(X, y)`` or as ``fit(frame, target="outcome")``.

        Args:
            X: Frame or array, shape (rows, features). With `target`: the frame that also holds the
                classes.
            y: Classes, shape (rows,).
            target: Name of the column of `X` that holds the classes.
            groups, sample_weight: See `Oversampler.fit_resample`.

        Returns:
            The classifier itself, fitted.

        Raises:
            UsageError: The classifier's `fit` takes no `sample_weight`, or see
                `Oversampler.fit_resample`.
            DataError, ConvergenceError: See `Oversampler.fit_resample`.
        """
        check_flags(**flags_of(self))
        if not has_fit_parameter(self.estimator, "sample_weight"):
            raise UsageError(
                224,
                f"{type(self.estimator).__name__} takes no sample_weight, and unweighted synthetic "
                f"rows harm most classifiers: use another classifier",
            )
        sampler = Oversampler(ratio=0.3) if self.oversampler is None else self.oversampler
        self.oversampler_ = cast(Oversampler, clone(cast(Any, sampler)))
        if self.verbose:
            self.oversampler_.set_params(verbose=True)
        more, classes = self.oversampler_.fit_resample(
            X, y, target=target, groups=groups, sample_weight=sample_weight
        )
        self.estimator_ = clone(self.estimator)
        self.estimator_.fit(more, classes, sample_weight=self.oversampler_.sample_weight_)
        self.classes_ = self.estimator_.classes_
        self.n_features_in_ = self.oversampler_.n_features_in_
        names = getattr(self.oversampler_, "feature_names_in_", None)
        if names is not None:
            self.feature_names_in_ = names
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Predict a class for each row.

        Args:
            X: Frame or array, shape (rows, features).

        Returns:
            Predicted classes, shape (rows,).

        Raises:
            NotFittedError: `fit` was not called.
        """
        check_is_fitted(self)
        return self.estimator_.predict(X)

    @_has("predict_proba")
    def predict_proba(self, X: Any) -> np.ndarray:
        """Predict the probability of each class; the classifier's output, not recalibrated.

        Args:
            X: Frame or array, shape (rows, features).

        Returns:
            Probabilities, shape (rows, classes), columns in the order of `classes_`.

        Raises:
            NotFittedError: `fit` was not called.
        """
        check_is_fitted(self)
        return self.estimator_.predict_proba(X)

    @_has("decision_function")
    def decision_function(self, X: Any) -> np.ndarray:
        """Decision scores of the classifier.

        Args:
            X: Frame or array, shape (rows, features).

        Returns:
            Scores, shape (rows,) for two classes, otherwise (rows, classes).

        Raises:
            NotFittedError: `fit` was not called.
        """
        check_is_fitted(self)
        return self.estimator_.decision_function(X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        from sklearn.utils import get_tags

        tags.input_tags = get_tags(self.estimator).input_tags
        tags.input_tags.sparse = False
        return tags
