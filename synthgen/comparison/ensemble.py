"""The average of different classifiers: members, fitting, selection and calibration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Self

import numpy as np
from joblib import delayed
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression

from synthgen.comparison.parts import Fitted, Part
from synthgen.encoding.matrix import Matrix, fill_empty
from synthgen.errors import UsageError
from synthgen.model_selection.calibration import Calibrator
from synthgen.model_selection.estimators import Estimator, NotApplicable
from synthgen.model_selection.ranking import average_precision
from synthgen.seeds import child_seed
from synthgen.threads import results_of

BAGS = 10


class Bagged(ClassifierMixin, BaseEstimator):
    """The mean of copies of a classifier, each fitted on a class-stratified bootstrap.

    Scikit-learn's `BaggingClassifier` (Breiman 1996) would leave a rare class out of some samples.
    It also samples by weights, which makes histogram boosting much slower.
    """

    def __init__(self, estimator: Any, n_estimators: int = BAGS, random_state: int = 0) -> None:
        self.estimator = estimator
        self.n_estimators = n_estimators
        self.random_state = random_state

    def fit(self, X: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None) -> Self:
        """Fit all copies to `X` of shape (rows, columns) and `y` of shape (rows,)."""
        rng = np.random.default_rng(self.random_state)
        self.classes_ = np.unique(y)
        self.estimators_ = []
        for _ in range(self.n_estimators):
            rows = np.concatenate(
                [
                    rng.choice(own, len(own))
                    for c in self.classes_
                    if len(own := np.flatnonzero(y == c))
                ]
            )
            model: Any = clone(self.estimator)
            model.set_params(random_state=int(rng.integers(2**31)))
            weight = {} if sample_weight is None else {"sample_weight": sample_weight[rows]}
            self.estimators_.append(model.fit(fill_empty(X[rows]), y[rows], **weight))
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Average the probabilities of the copies, shape (rows, classes)."""
        return np.mean([model.predict_proba(X) for model in self.estimators_], axis=0)


def small_boosting() -> HistGradientBoostingClassifier:
    """Make histogram boosting with small trees and a low learning rate, for few rows."""
    return HistGradientBoostingClassifier(
        max_leaf_nodes=8,
        learning_rate=0.05,
        max_iter=100,
        min_samples_leaf=5,
        l2_regularization=1.0,
        early_stopping=False,  # pyright: ignore[reportArgumentType]
    )


def forest_leaf(rows: int) -> int:
    """Choose the smallest leaf of a forest, so that 300 trees of any table fit in a file."""
    return max(3, rows // LARGEST_TREE)


LARGEST_TREE = 10_000  # approximate number of leaves of a forest's tree
MEMBERS = {
    member.name: member
    for member in (
        Estimator("boosting", Bagged(small_boosting())),
        Estimator("forest", RandomForestClassifier(300), leaf=forest_leaf),
        Estimator("extra_trees", ExtraTreesClassifier(300), leaf=forest_leaf),
        Estimator("logistic", LogisticRegression(max_iter=1000)),
    )
}
ALL_SETS = 6  # with more members, only the best 1, 2, 3, ... are tried, not all sets
# The usual classifier, with which an average is compared.
PLAIN = Estimator(
    "plain boosting",
    HistGradientBoostingClassifier(early_stopping=False),  # pyright: ignore[reportArgumentType]
)


def members_of(given: Any) -> tuple[Estimator, ...]:
    """Make the members of an average."""
    asked = [*MEMBERS] if given is None else given
    if isinstance(asked, str) or not isinstance(asked, Sequence) or not len(asked):
        raise UsageError(222, f"members is {given!r}: give a list of {', '.join(MEMBERS)}")
    found: dict[str, Estimator] = {}
    for one in asked:
        member = Estimator.of(one, MEMBERS, what="member")
        if member.name in found:
            raise UsageError(225, f"two members are called {member.name!r}: leave one out")
        found[member.name] = member
    return tuple(found.values())


class Mean(ClassifierMixin, BaseEstimator):
    """The mean probability of fitted classifiers, some of which may lack some of the classes."""

    def __init__(self, models: list[Any], n_classes: int) -> None:
        self.models = models
        self.n_classes = n_classes

    @property
    def classes_(self) -> np.ndarray:
        return np.arange(self.n_classes)

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Shape (rows, classes)."""
        total = np.zeros((len(X), self.n_classes))
        for model in self.models:
            total[:, np.asarray(model.classes_, dtype=np.int64)] += model.predict_proba(X)
        return total / len(self.models)


def sets_of(own: np.ndarray) -> list[tuple[int, ...]]:
    """List the sets of members that may be averaged, the largest first."""
    places = range(len(own))
    if len(own) <= ALL_SETS:
        return [found for n in reversed(places) for found in combinations(places, n + 1)]
    best = np.argsort(-own, kind="stable").tolist()
    return [tuple(sorted(best[: n + 1])) for n in reversed(places)]


def best_members(
    is_rare: np.ndarray, scores: np.ndarray, fold: np.ndarray, weight: np.ndarray
) -> tuple[int, ...]:
    """Select the members whose mean has the best out-of-fold average precision.

    NOTE[DIFF]: Caruana et al. (2004) add members one by one, with repeats. Here there are few
    members, so all sets are tried, and the members of a set have equal weights.
    """
    tests = [fold == k for k in np.unique(fold)]
    tests = [test for test in tests if 0 < is_rare[test].sum() < test.sum()]
    if not tests:
        return tuple(range(len(scores)))

    def mean_precision(members: tuple[int, ...]) -> float:
        mean = scores[list(members)].mean(axis=0)
        return float(np.mean([average_precision(is_rare[t], mean[t], weight[t]) for t in tests]))

    own = np.array([mean_precision((member,)) for member in range(len(scores))])
    return max(sets_of(own), key=mean_precision)


@dataclass(frozen=True, eq=False)
class Job:
    """Rows to fit members on.

    Attributes:
        part: The rows.
        members: Classifiers to fit; all use the same encoded rows.
        seed: Seed; each member uses a child of it, by its position in `members`.
        weight: Weight of each row, shape (rows,). None: no weights.
    """

    part: Part
    members: tuple[Estimator, ...]
    seed: np.random.SeedSequence
    weight: np.ndarray | None = None


def fit_jobs(
    jobs: Sequence[Job], n_jobs: int | None = None, finished: Callable[[str], None] | None = None
) -> list[list[Fitted]]:
    """Fit the members of all jobs; all fits share one queue."""
    coders = [Matrix(job.part.known.is_level).fit(job.part.places) for job in jobs]
    tasks = []
    for job, coder in zip(jobs, coders, strict=True):
        X = coder.transform(job.part.places)
        for place, member in enumerate(job.members):
            seed = child_seed(job.seed, place)
            tasks.append((member, X, coder.is_level_, job.part.y, seed, job.weight))
    models = []
    queue = results_of((delayed(_fit)(*task) for task in tasks), n_jobs)
    for task, model in zip(tasks, queue, strict=True):
        models.append(model)
        if finished is not None:
            finished(task[0].name)
    found, left = [], iter(models)
    for job, coder in zip(jobs, coders, strict=True):
        same = np.ones(job.part.classes)
        found.append([Fitted(coder, next(left), same) for _ in job.members])
    return found


def _fit(
    member: Estimator,
    X: np.ndarray,
    is_level: np.ndarray,
    y: np.ndarray,
    seed: np.random.SeedSequence,
    weight: np.ndarray | None,
) -> Any:
    try:
        return member.fit(X, is_level, y, seed, weight=weight)
    except NotApplicable as error:
        raise UsageError(
            224, f"member {member.name}: {error}: leave it out, or fit without sample_weight"
        ) from error


def mean_of(fitted: Sequence[Fitted], shift: np.ndarray) -> Fitted:
    """Average members that were fitted on the same rows."""
    return Fitted(fitted[0].coder, Mean([f.model for f in fitted], len(shift)), shift)


class Calibrated(BaseEstimator):
    """An average with calibrated probabilities."""

    def __init__(self, average: Fitted, calibrators: list[Calibrator | None], rare: int) -> None:
        self.average = average
        self.calibrators = calibrators
        self.rare = rare

    def predict_proba(self, places: np.ndarray) -> np.ndarray:
        """Predict probabilities of shape (rows, classes); rows sum to 1."""
        return recalibrated(self.average.predict_proba(places), self.calibrators, self.rare)


def recalibrated(
    score: np.ndarray, calibrators: Sequence[Calibrator | None], rare: int
) -> np.ndarray:
    """Calibrate the scores of all classes to probabilities."""
    out = np.array(score, dtype=np.float64)
    for c, calibrator in enumerate(calibrators):
        if calibrator is not None:
            out[:, c] = calibrator.probability(score[:, c])
    others = np.delete(np.arange(out.shape[1]), rare)
    total = out[:, others].sum(axis=1, keepdims=True)
    even = np.full((len(out), len(others)), 1 / max(len(others), 1))
    shares = np.divide(out[:, others], total, out=even, where=total > 0)
    out[:, others] = shares * (1 - out[:, [rare]])
    return out


def calibrators_of(
    y: np.ndarray, score: np.ndarray, rare: int, weight: np.ndarray
) -> list[Calibrator | None]:
    """Fit a calibrator for each class on out-of-fold scores."""
    found: list[Calibrator | None] = []
    for c in range(score.shape[1]):
        own = y == c
        if (score.shape[1] == 2 and c != rare) or own.sum() < 2 or own.all():
            found.append(None)
        else:
            found.append(Calibrator().fit(own, score[:, c], weight))
    return found
