"""Classifiers that judge rows: the same settings for every set of rows that they learn from."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from scipy.special import expit, logit
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from synthgen.encoding.matrix import Space, fill_empty
from synthgen.errors import UsageError

DEFAULT_JUDGES = ("boosting", "logistic")
CLASSIFIERS = {
    "boosting": "HistGradientBoostingClassifier",
    "logistic": "LogisticRegression",
    "forest": "RandomForestClassifier",
    "mlp": "MLPClassifier",
    "xgboost": "XGBClassifier",
}
# What a judge is unless it is tuned, and what it is tuned over.
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
# On so many rows half as many trees, of twice the rate, tell as much in half of the time.
SMALL_TABLE, FOR_SMALL = 1_000, {"learning_rate": 0.2, "max_iter": 50}
LEAST = 1e-6  # a probability is never nearer to 0 or 1


def check_judges(judges: Sequence[str]) -> tuple[str, ...]:
    """The judges, each once.

    Raises:
        UsageError: one is not known, or not installed.

    Example:
        >>> check_judges(["forest", "forest"])
        ('forest',)
    """
    if isinstance(judges, str) or not judges:
        raise UsageError(294, f"judges is {judges!r}: give a list of {', '.join(SETTINGS)}")
    for name in judges:
        if name not in SETTINGS:
            raise UsageError(294, f"judge {name!r} is not known: there are {', '.join(SETTINGS)}")
    if "xgboost" in judges:
        try:
            import_module("xgboost")
        except ImportError as error:
            raise UsageError(
                295, "judge 'xgboost' is not installed: pip install xgboost, or leave it out"
            ) from error
    return tuple(dict.fromkeys(judges))


def settings_for(judge: str, rows: int) -> dict[str, Any]:
    """What takes the place of the judge's own settings on a table of so many rows.

    Example:
        >>> settings_for("boosting", 200), settings_for("boosting", 10_000)
        ({'learning_rate': 0.2, 'max_iter': 50}, {})
    """
    return dict(FOR_SMALL) if judge == "boosting" and rows <= SMALL_TABLE else {}


def described(judge: str, settings: dict[str, Any] | None = None) -> str:
    """A judge and its settings, in words; None: those that it has unless it is tuned.

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
    space: Space,
    cells: np.ndarray,
    y: np.ndarray,
    *,
    seed: int,
    settings: dict[str, Any] | None = None,
) -> Callable[[np.ndarray], np.ndarray]:
    """A function from the cells of rows to their probability of being true.

    Args:
        judge: One of `SETTINGS`.
        space: Where `cells` come from.
        cells: Shape (rows, columns), see `Space.cells`.
        y: Bool, shape (rows,).
        seed: Of the judge's own draws.
        settings: In the place of the judge's own.
    """
    if y.all() or not y.any():
        share = float(y.mean())
        return lambda other: np.full(len(other), share)
    chosen = SETTINGS[judge] | (settings or {})
    if judge == "boosting":
        # 20 rows in a leaf is the usual setting; a table of 30 rows could not be split at all.
        model: Any = HistGradientBoostingClassifier(**chosen)
        # Two levels are one cut of a number: no need of an encoder, nor of ten rows of each.
        several = [
            level and len(column.categories) > 2
            for column, level in zip(space.columns, space.is_level, strict=True)
        ]
        model.set_params(
            categorical_features=np.array(several, dtype=bool),
            min_samples_leaf=int(np.clip(len(y) // 20, min(5, max(1, len(y) // 4)), 20)),
            random_state=seed,
        )
        prepare = space.trees
    elif judge == "logistic":
        model = LogisticRegression(**chosen)
        prepare = _wide(space)
    elif judge == "forest":
        model = RandomForestClassifier(random_state=seed, **chosen)
        prepare = space.trees
    elif judge == "mlp":
        model = MLPClassifier(random_state=seed, **chosen)
        prepare = _wide(space)
    else:
        model = import_module("xgboost").XGBClassifier(
            feature_types=["c" if level else "q" for level in space.is_level],
            random_state=seed,
            **chosen,
        )
        prepare = space.trees
    with warnings.catch_warnings():
        # A judge that has not converged is a judge all the same, and the same one for every set.
        warnings.simplefilter("ignore", ConvergenceWarning)
        learned = prepare(cells)
        model.fit(fill_empty(learned) if judge == "boosting" else learned, y)
    return lambda other: model.predict_proba(prepare(other))[:, 1]


def _wide(space: Space) -> Callable[[np.ndarray], np.ndarray]:
    return lambda cells: space.dense(cells).astype(np.float64)


def out_of_fold(
    judge: str,
    space: Space,
    cells: np.ndarray,
    y: np.ndarray,
    *,
    folds: np.ndarray,
    rng: np.random.Generator,
    settings: dict[str, Any] | None = None,
) -> np.ndarray:
    """The probability of each row from a judge that has not seen its fold; shape (rows,)."""
    out = np.empty(len(y))
    for k in range(int(folds.max()) + 1):
        test = folds == k
        seed = int(rng.integers(2**31))
        if test.any():
            judged = learn(judge, space, cells[~test], y[~test], seed=seed, settings=settings)
            out[test] = judged(cells[test])
    return out


def moved(p: np.ndarray, seen: float, natural: float) -> np.ndarray:
    """Probabilities learned where `seen` of the rows are true, for rows of which `natural` are
    (Saerens et al. 2002).

    Example:
        >>> moved(np.array([0.5]), 0.5, 0.1).round(3).tolist()
        [0.1]
    """
    seen, natural = (min(max(share, LEAST), 1 - LEAST) for share in (seen, natural))
    shift = logit(natural) - logit(seen)
    return np.asarray(expit(logit(np.clip(p, LEAST, 1 - LEAST)) + shift))
