"""Evaluation classifiers: for audits, for `evaluate`, and for choosing the amount of rows."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from synthgen.encoding.matrix import Matrix, fill_empty
from synthgen.errors import UsageError

DEFAULT_JUDGES = ("boosting", "logistic")
CLASSIFIERS = {
    "boosting": "HistGradientBoostingClassifier",
    "logistic": "LogisticRegression",
    "forest": "RandomForestClassifier",
    "mlp": "MLPClassifier",
    "xgboost": "XGBClassifier",
}
# Settings of each evaluation classifier unless it is tuned, and the grid for tuning.
SETTINGS: dict[str, dict[str, Any]] = {
    "boosting": {
        "learning_rate": 0.1,
        "max_iter": 100,
        "max_leaf_nodes": 31,
        "early_stopping": False,
    },
    "logistic": {"C": 1.0, "solver": "newton-cholesky", "max_iter": 100},
    "forest": {"n_estimators": 200, "min_samples_leaf": 2, "max_features": "sqrt"},
    "mlp": {"hidden_layer_sizes": (64, 64), "alpha": 1e-4, "max_iter": 40},
    "xgboost": {
        "n_estimators": 100,
        "max_depth": 6,
        "learning_rate": 0.1,
        "tree_method": "hist",
        "enable_categorical": True,
    },
}
GRIDS: dict[str, tuple[dict[str, Any], ...]] = {
    "boosting": (
        {},
        {"max_leaf_nodes": 8},
        {"learning_rate": 0.05, "max_iter": 200},
        {"learning_rate": 0.03, "max_leaf_nodes": 8, "max_iter": 300},
        {"l2_regularization": 10.0},
    ),
    "logistic": ({}, {"C": 0.01}, {"C": 0.1}, {"C": 10.0}),
    "forest": ({}, {"min_samples_leaf": 5}, {"max_features": 0.5}),
    "mlp": ({}, {"alpha": 1e-2}, {"alpha": 1.0}, {"hidden_layer_sizes": (32,)}),
    "xgboost": ({}, {"max_depth": 3}, {"learning_rate": 0.05, "n_estimators": 200}),
}
# Up to SMALL_TABLE rows, half as many trees with twice the rate are as good in half of the time.
SMALL_TABLE, FOR_SMALL = 1_000, {"learning_rate": 0.2, "max_iter": 50}
# Boosting as the quick model of an audit, and to validate how many new rows to add.
AUDIT = {"learning_rate": 0.1, "max_iter": 100, "max_leaf_nodes": 16, "l2_regularization": 1.0}
VALIDATION = {"learning_rate": 0.05, "max_iter": 100, "max_leaf_nodes": 15, "l2_regularization": 1}
LEAST = 1e-6  # smallest distance of a probability from 0 and from 1


def check_judges(judges: Sequence[str]) -> tuple[str, ...]:
    """Check the names of evaluation classifiers, and drop repeated ones."""
    if isinstance(judges, str) or not judges:
        raise UsageError(294, f"judges is {judges!r}: give a list of {', '.join(SETTINGS)}")
    for name in judges:
        if name not in SETTINGS:
            raise UsageError(294, f"judge {name!r} is not known: use one of {', '.join(SETTINGS)}")
    if "xgboost" in judges:
        try:
            import_module("xgboost")
        except ImportError as error:
            raise UsageError(
                295,
                "judge 'xgboost' needs xgboost, which is not installed: pip install xgboost, or "
                "leave it out",
            ) from error
    return tuple(dict.fromkeys(judges))


def settings_for(judge: str, rows: int) -> dict[str, Any]:
    """Settings that depend on the number of rows; they replace the default ones."""
    return dict(FOR_SMALL) if judge == "boosting" and rows <= SMALL_TABLE else {}


def described(judge: str, settings: dict[str, Any] | None = None) -> str:
    """Describe a classifier and its settings in words.

    Example:
        >>> described("logistic", {"C": 0.1})
        "scikit-learn's LogisticRegression with C=0.1, solver='newton-cholesky', max_iter=100, \
otherwise its defaults"
    """
    package = "xgboost" if judge == "xgboost" else "scikit-learn"
    chosen = SETTINGS[judge] | (settings or {})
    said, of_small = (
        ", ".join(f"{name}={value!r}" for name, value in given.items())
        for given in (chosen, FOR_SMALL)
    )
    leaf = ", min_samples_leaf=a 20th of the rows, from 5 to 20" if judge == "boosting" else ""
    if judge == "boosting" and settings is None:
        said += f" (on tables of up to {SMALL_TABLE:,} rows {of_small})"
    return f"{package}'s {CLASSIFIERS[judge]} with {said}{leaf}, otherwise its defaults"


def learn(
    judge: str,
    matrix: Matrix,
    cells: np.ndarray,
    y: np.ndarray,
    *,
    seed: int,
    settings: dict[str, Any] | None = None,
) -> Callable[[np.ndarray], np.ndarray]:
    """Train a classifier."""
    if y.all() or not y.any():
        share = float(y.mean())
        return lambda other: np.full(len(other), share)
    model, prepare = _classifier(judge, matrix, len(y), seed, SETTINGS[judge] | (settings or {}))
    with warnings.catch_warnings():
        # All training sets get the same number of iterations, so no warning is needed.
        warnings.simplefilter("ignore", ConvergenceWarning)
        learned = prepare(cells)
        model.fit(fill_empty(learned) if judge == "boosting" else learned, y)
    return lambda other: model.predict_proba(prepare(other))[:, 1]


def _classifier(
    judge: str, matrix: Matrix, rows: int, seed: int, settings: dict[str, Any]
) -> tuple[Any, Callable[[np.ndarray], np.ndarray]]:
    """An unfitted classifier for so many rows, and the function that makes its input."""
    if judge == "boosting":
        # With the usual 20 rows per leaf, a table of 30 rows could not be split at all.
        model: Any = HistGradientBoostingClassifier(**settings)
        # A column with two levels can be treated as a number.
        several = [
            level and len(column.categories) > 2
            for column, level in zip(matrix.columns, matrix.is_level, strict=True)
        ]
        model.set_params(
            categorical_features=np.array(several, dtype=bool),
            min_samples_leaf=int(np.clip(rows // 20, min(5, max(1, rows // 4)), 20)),
            random_state=seed,
        )
        return model, matrix.trees
    if judge == "logistic":
        return LogisticRegression(**settings), _wide(matrix)
    if judge == "forest":
        return RandomForestClassifier(random_state=seed, **settings), matrix.trees
    if judge == "mlp":
        return MLPClassifier(random_state=seed, **settings), _wide(matrix)
    model = import_module("xgboost").XGBClassifier(
        feature_types=["c" if level else "q" for level in matrix.is_level],
        random_state=seed,
        **settings,
    )
    return model, matrix.trees


def _wide(matrix: Matrix) -> Callable[[np.ndarray], np.ndarray]:
    return lambda cells: matrix.dense(cells).astype(np.float64)


def out_of_fold(
    judge: str,
    matrix: Matrix,
    cells: np.ndarray,
    y: np.ndarray,
    *,
    folds: np.ndarray,
    rng: np.random.Generator,
    settings: dict[str, Any] | None = None,
) -> np.ndarray:
    """Predict each row with a classifier trained on the other folds; shape (rows,)."""
    out = np.empty(len(y))
    for k in range(int(folds.max()) + 1):
        test = folds == k
        seed = int(rng.integers(2**31))
        if test.any():
            judged = learn(judge, matrix, cells[~test], y[~test], seed=seed, settings=settings)
            out[test] = judged(cells[test])
    return out


def natural_shares(p: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Correct probabilities for shares changed in training (Saerens et al. 2002)."""
    out = p / shift
    total = out.sum(axis=1, keepdims=True)
    return np.divide(out, total, out=np.full_like(out, 1 / len(shift)), where=total > 0)


def moved(p: np.ndarray, seen: float, natural: float) -> np.ndarray:
    """`natural_shares` for two classes."""
    p = np.clip(p, LEAST, 1 - LEAST)
    seen, natural = (min(max(share, LEAST), 1 - LEAST) for share in (seen, natural))
    shift = np.array([(1 - seen) / (1 - natural), seen / natural])
    return natural_shares(np.column_stack([1 - p, p]), shift)[:, 1]


def boosting(
    rows: int, is_level: Sequence[bool] | np.ndarray, settings: dict[str, Any]
) -> HistGradientBoostingClassifier:
    """Make unfitted histogram boosting for the output of `Matrix.transform`."""
    levels = np.asarray(is_level, dtype=bool)
    return HistGradientBoostingClassifier(**settings).set_params(
        early_stopping=False,
        categorical_features=levels if levels.any() else None,
        min_samples_leaf=boosting_leaf(rows),
    )


def boosting_leaf(rows: int) -> int:
    """Smallest number of rows in a leaf of boosting: the usual 20, or fewer for small tables."""
    return int(np.clip(rows // 50, 2, 20))
