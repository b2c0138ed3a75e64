"""The classifiers of the battery, which use different features to find synthetic rows."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
from scipy.special import ndtri
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier

from synthgen.encoding.matrix import Matrix
from synthgen.errors import UsageError
from synthgen.metrics.arithmetic import Arithmetic
from synthgen.metrics.facts import SEEN_BY_ALL, SEEN_BY_ARITHMETIC, parted

Boosting = Literal["histogram", "xgboost"]
HISTOGRAM: dict[str, Any] = {"max_iter": 100, "learning_rate": 0.1, "early_stopping": False}
# Up to this many rows, half as many trees with twice the learning rate are as good, in half the
# time.
SMALL_TABLE, FOR_SMALL = 6_000, {"max_iter": 50, "learning_rate": 0.2}
# Number of differences and equalities that boosting uses in a fold, and number of training rows of
# the fold on which they are selected.
MOST_PAIRS, CHOOSING_ROWS = 60, 4_000
MLP: dict[str, Any] = {"hidden_layer_sizes": (64, 64), "learning_rate_init": 2e-3}
# MLP: batch size, smallest number of updates, and smallest and largest number of epochs.
BATCH, UPDATES, PASSES = 200, 400, (15, 60)
NEIGHBOURS = 10
# Number of most frequent levels of a column that the MLP and kNN encode separately.
HOT = 30


@dataclass(frozen=True)
class Detector:
    """One detector of the battery.

    Attributes:
        name: Name as in the names of the scores.
        words: Description of the detector for reports.
        rows: Largest number of rows per sample.
        features: Function from the cells of one sample to features of shape (rows, features).
        model: Function from a seed and the number of training rows to an unfitted classifier.
        kinds: Kinds of facts in `synthgen.metrics.facts` that the detector can use.
    """

    name: str
    words: str
    rows: int
    features: Callable[[np.ndarray], np.ndarray]
    model: Callable[[int, int], Any]
    kinds: tuple[str, ...] = SEEN_BY_ALL


def detectors(
    matrix: Matrix, arithmetic: Arithmetic, train: np.ndarray, boosting: Boosting = "histogram"
) -> tuple[Detector, ...]:
    """Make the detectors of the battery."""
    if boosting == "xgboost" and find_spec("xgboost") is None:
        raise UsageError(
            295,
            "boosting='xgboost' needs xgboost, which is not installed: pip install xgboost-cpu, or "
            "use 'histogram'",
        )
    several = [
        level and len(column.categories) > 2
        for column, level in zip(matrix.columns, matrix.is_level, strict=True)
    ]
    # A column with two levels can be treated as a number.
    is_level = np.array(several, dtype=bool)
    ranks = _ranks(matrix, train)
    named = ("XGBoost as published", _xgboost(matrix))
    if boosting == "histogram":
        named = ("histogram boosting", lambda seed, rows: _Boosted(is_level, seed))
    return (
        Detector("boosting", named[0], 10_000, matrix.trees, named[1]),
        Detector(
            "arithmetic",
            "histogram boosting with differences, equal cells, value counts and last digits",
            10_000,
            lambda cells: np.hstack([matrix.trees(cells), arithmetic.features(cells)]),
            lambda seed, rows: _Boosted(is_level, seed, arithmetic.pairs),
            kinds=(*SEEN_BY_ALL, *SEEN_BY_ARITHMETIC),
        ),
        Detector(
            "mlp", "an MLP on ranks", 10_000, lambda cells: np.hstack(_scaled(ranks(cells))), _mlp
        ),
        Detector(
            "neighbours",
            f"{NEIGHBOURS} nearest neighbours",
            4_000,
            lambda cells: np.hstack(ranks(cells)).astype(np.float32),
            lambda seed, rows: KNeighborsClassifier(min(NEIGHBOURS, rows), algorithm="brute"),
        ),
    )


class _Boosted:
    """Histogram boosting on all single-column features and on the best pair features."""

    def __init__(self, is_level: np.ndarray, seed: int, pairs: int = 0) -> None:
        self.is_level, self.seed, self.pairs = is_level, seed, pairs

    def fit(self, features: np.ndarray, y: np.ndarray) -> _Boosted:
        self.kept = np.arange(features.shape[1])
        if self.pairs > MOST_PAIRS:
            first = features.shape[1] - self.pairs
            rows = np.random.default_rng(self.seed).permutation(len(y))[:CHOOSING_ROWS]
            gaps, _ = parted(features[rows, first:], y[rows])
            best = np.argsort(-gaps, kind="stable")[:MOST_PAIRS]
            self.kept = np.append(self.kept[:first], first + np.sort(best))
        # Histogram boosting cannot bin a feature whose values are all missing.
        self.kept = self.kept[~np.isnan(features[:, self.kept]).all(axis=0)]
        own = self.kept[self.kept < len(self.is_level)]
        # With the usual 20 rows per leaf, a table of 30 rows could not be split at all.
        leaf = int(np.clip(len(y) // 20, min(5, max(1, len(y) // 4)), 20))
        settings: dict[str, Any] = HISTOGRAM | (FOR_SMALL if len(y) <= SMALL_TABLE else {})
        settings |= {"categorical_features": np.flatnonzero(self.is_level[own])}
        self.model = HistGradientBoostingClassifier(
            **settings, min_samples_leaf=leaf, random_state=self.seed
        )
        self.model.fit(features[:, self.kept], y)
        return self

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        return self.model.predict_proba(features[:, self.kept])


def _mlp(seed: int, rows: int) -> MLPClassifier:
    passes = int(np.clip(UPDATES * BATCH // max(1, rows), *PASSES))
    settings: dict[str, Any] = MLP | {"batch_size": min(BATCH, rows), "max_iter": passes}
    return MLPClassifier(**settings, random_state=seed)


def _xgboost(matrix: Matrix) -> Callable[[int, int], Any]:
    """Make the XGBoost detector of Zhang et al. (2024)."""
    kinds = ["c" if level else "q" for level in matrix.is_level]
    settings = {"enable_categorical": True, "random_state": 0, "feature_types": kinds}
    return lambda seed, rows: import_module("xgboost").XGBClassifier(**settings)


def _ranks(
    matrix: Matrix, train: np.ndarray
) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return a function that converts cells to ranks of numbers and one-hot levels."""
    known = [np.sort(column[~np.isnan(column)]) for column in train.T]

    def features(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ranks, levels = [np.empty((len(cells), 0))], [np.empty((len(cells), 0))]
        ranked = matrix.trees(cells)
        for j, values in enumerate(known):
            gone = np.isnan(cells[:, j])
            if matrix.is_level[j]:
                wide = min(HOT, len(matrix.columns[j].categories))
                codes = np.where(gone, wide + 1, np.minimum(np.nan_to_num(ranked[:, j]), wide))
                levels.append((codes[:, None] == np.arange(wide + 2)) * np.sqrt(0.5))
                continue
            below, above = (np.searchsorted(values, cells[:, j], side=s) for s in ("left", "right"))
            share = (below + above) / max(1, 2 * len(values)) - 0.5
            ranks.append(np.where(gone, 0, share)[:, None])
            if matrix.columns[j].missing:
                levels.append(gone[:, None] * np.sqrt(0.5))
        return np.hstack(ranks), np.hstack(levels)

    return features


def _scaled(parts: tuple[np.ndarray, np.ndarray]) -> list[np.ndarray]:
    """Scale features: ranks to standard deviation 1, the same as normal scores, and levels."""
    ranks, levels = parts
    return [np.sqrt(12) * ranks, ndtri(np.clip(ranks + 0.5, 1e-3, 1 - 1e-3)), 2 * levels]


def out_of_fold(
    detector: Detector, features: np.ndarray, y: np.ndarray, folds: np.ndarray, seed: int
) -> np.ndarray:
    """Predict for each row, out of fold, the probability that it is synthetic."""
    out = np.empty(len(y))
    for k in range(int(folds.max()) + 1):
        test = folds == k
        model = detector.model(seed + k, int((~test).sum()))
        with warnings.catch_warnings():
            # The MLP is trained equally briefly on all samples, so no warning is needed.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(features[~test], y[~test])
        out[test] = model.predict_proba(features[test])[:, 1]
    return out
