"""The classifiers of the battery: each tells synthetic rows from real ones by something else."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier

from synthgen.errors import UsageError
from synthgen.metrics.arithmetic import Arithmetic
from synthgen.metrics.facts import SEEN_BY_ALL, SEEN_BY_ARITHMETIC, parted
from synthgen.metrics.rows import Space

Boosting = Literal["histogram", "xgboost"]
HISTOGRAM: dict[str, Any] = {"max_iter": 100, "early_stopping": False}
# Of differences and equalities, those that a fold's boosting is given, and the rows of the fold
# that choose them.
MOST_PAIRS, CHOOSING_ROWS = 60, 4_000
MLP: dict[str, Any] = {"hidden_layer_sizes": (64, 64), "max_iter": 20, "learning_rate_init": 2e-3}
NEIGHBOURS = 30
# Of a column, the levels that an MLP and kNN tell from the others.
HOT = 30


@dataclass(frozen=True)
class Detector:
    """One of the battery.

    Attributes:
        name: As in the names of the scores.
        words: What it is, for the reader.
        rows: Of each sample, at most: those that it is given.
        features: From all cells of one sample to what it learns from; shape (rows, features).
        model: From a seed to a classifier that has not learned yet.
        kinds: Of the facts of `synthgen.metrics.facts`, those that it can see.
    """

    name: str
    words: str
    rows: int
    features: Callable[[np.ndarray], np.ndarray]
    model: Callable[[int], Any]
    kinds: tuple[str, ...] = SEEN_BY_ALL


def detectors(
    space: Space, arithmetic: Arithmetic, train: np.ndarray, boosting: Boosting = "histogram"
) -> tuple[Detector, ...]:
    """The battery.

    Args:
        space: Where the cells come from.
        arithmetic: The pairs of columns to look at.
        train: Cells whose ranks are learned. Shape (rows, columns).
        boosting: What the first is: scikit-learn's histogram boosting, or XGBoost as it is
            published.

    Raises:
        UsageError: XGBoost is asked for and not installed.
    """
    if boosting == "xgboost" and find_spec("xgboost") is None:
        raise UsageError(
            295, "boosting='xgboost' is not installed: pip install xgboost-cpu, or use 'histogram'"
        )
    several = [
        level and len(column.categories) > 2
        for column, level in zip(space.columns, space.is_level, strict=True)
    ]
    is_level = np.array(several, dtype=bool)
    ranks = _ranks(space, train)
    first = (
        Detector("boosting", "XGBoost as published", 10_000, space.trees, _xgboost(space))
        if boosting == "xgboost"
        else Detector(
            "boosting", "histogram boosting", 10_000, space.trees, lambda s: _Boosted(is_level, s)
        )
    )
    return (
        first,
        Detector(
            "arithmetic",
            "histogram boosting with differences, equal cells and value counts",
            10_000,
            lambda cells: np.hstack(
                [
                    space.trees(cells),
                    arithmetic.counts(cells),
                    arithmetic.equal(cells),
                    arithmetic.difference(cells),
                ]
            ),
            lambda seed: _Boosted(is_level, seed, always=len(is_level) + len(arithmetic.columns)),
            kinds=(*SEEN_BY_ALL, *SEEN_BY_ARITHMETIC),
        ),
        Detector(
            "mlp",
            "an MLP on ranks",
            10_000,
            lambda cells: ranks(cells) * np.sqrt(12),
            lambda seed: MLPClassifier(**MLP, random_state=seed),
        ),
        Detector(
            "neighbours",
            f"{NEIGHBOURS} nearest neighbours",
            4_000,
            lambda cells: ranks(cells).astype(np.float32),
            lambda seed: KNeighborsClassifier(NEIGHBOURS, algorithm="brute"),
        ),
    )


class _Boosted:
    """Histogram boosting on some features that it is always given, and the best of the others.

    Args:
        is_level: Whether each of the first features is of levels.
        seed: Of its own draws.
        always: How many features it is always given; None: all of them.
    """

    def __init__(self, is_level: np.ndarray, seed: int, *, always: int | None = None) -> None:
        self.is_level, self.seed, self.always = is_level, seed, always

    def fit(self, features: np.ndarray, y: np.ndarray) -> _Boosted:
        self.kept = np.arange(features.shape[1])
        if self.always is not None:
            rng = np.random.default_rng(self.seed)
            rows = rng.permutation(len(y))[:CHOOSING_ROWS]
            gaps, _ = parted(features[rows, self.always :], y[rows])
            best = np.argsort(-gaps, kind="stable")[:MOST_PAIRS]
            self.kept = np.append(self.kept[: self.always], self.always + np.sort(best))
        # Histogram boosting cannot bin a feature that holds no value at all.
        self.kept = self.kept[~np.isnan(features[:, self.kept]).all(axis=0)]
        levels = self.kept[self.kept < len(self.is_level)]
        leaf = int(np.clip(len(y) // 20, min(5, max(1, len(y) // 4)), 20))
        self.model = HistGradientBoostingClassifier(
            **HISTOGRAM,
            min_samples_leaf=leaf,
            categorical_features=np.isin(
                np.arange(len(self.kept)), np.flatnonzero(self.is_level[levels])
            ),
            random_state=self.seed,
        )
        self.model.fit(features[:, self.kept], y)
        return self

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        return self.model.predict_proba(features[:, self.kept])


def _xgboost(space: Space) -> Callable[[int], Any]:
    """As SDMetrics' LogisticDetection with XGBClassifier(enable_categorical=True,
    random_state=0) has it (Zhang et al. 2024).
    """
    kinds = ["c" if level else "q" for level in space.is_level]
    settings = {"enable_categorical": True, "random_state": 0, "feature_types": kinds}
    return lambda seed: import_module("xgboost").XGBClassifier(**settings)


def _ranks(space: Space, train: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Numbers as their share of smaller train values, from −0.5 to 0.5 (missing: 0, and a feature
    that says so where a column of train has missing cells), levels as one feature each, whose
    distance is 1 between two of them.
    """
    known = [np.sort(column[~np.isnan(column)]) for column in train.T]

    def features(cells: np.ndarray) -> np.ndarray:
        parts = []
        ranked = space.trees(cells)
        for j, values in enumerate(known):
            gone = np.isnan(cells[:, j])
            if space.is_level[j]:
                wide = min(HOT, len(space.columns[j].categories))
                codes = np.where(gone, wide + 1, np.minimum(np.nan_to_num(ranked[:, j]), wide))
                parts.append((codes[:, None] == np.arange(wide + 2)) * np.sqrt(0.5))
                continue
            below, above = (np.searchsorted(values, cells[:, j], side=s) for s in ("left", "right"))
            share = (below + above) / max(1, 2 * len(values)) - 0.5
            parts.append(np.where(gone, 0, share)[:, None])
            if space.columns[j].missing:
                parts.append(gone[:, None] * np.sqrt(0.5))
        return np.hstack(parts)

    return features


def out_of_fold(
    detector: Detector, features: np.ndarray, y: np.ndarray, folds: np.ndarray, seed: int
) -> np.ndarray:
    """The probability that each row is synthetic, from a model that has not seen its fold.

    Args:
        detector: Whose model.
        features: Shape (rows, features).
        y: Whether a row is synthetic. Shape (rows,).
        folds: The fold of each row. Shape (rows,).
        seed: Of the models' own draws.
    """
    out = np.empty(len(y))
    for k in range(int(folds.max()) + 1):
        test = folds == k
        model = detector.model(seed + k)
        with warnings.catch_warnings():
            # An MLP that has not converged is the same judge for every sample.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(features[~test], y[~test])
        out[test] = model.predict_proba(features[test])[:, 1]
    return out
