"""Classifiers of the utility part: tuning, training on sets of rows, and predicting the test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from synthgen.metrics.predictions import Predictions, ranking
from synthgen.metrics.utility_rows import FOLDS, HALVES, TUNE_ROWS, TrainingRows, UtilityData
from synthgen.model_selection.classifiers import GRIDS, learn, moved, out_of_fold
from synthgen.model_selection.folds import folds_of
from synthgen.model_selection.scoring import best_thresholds


def tuned_settings(
    data: UtilityData, judge: str, usual: dict[str, Any], rng: np.random.Generator
) -> dict[str, Any]:
    """Find the changes to the usual settings with the best out-of-fold AP on real rows."""
    part = min(1.0, TUNE_ROWS / (len(data.rare) + len(data.rest)))
    rare = data.rare[: max(FOLDS, round(part * len(data.rare)))]
    rest = data.rest[: max(FOLDS, round(part * len(data.rest)))]
    cells, y = np.vstack([rare, rest]), np.repeat([True, False], [len(rare), len(rest)])
    seed, best, found = int(rng.integers(2**31)), -1.0, {}
    for settings in GRIDS[judge]:
        same = np.random.default_rng(seed)
        folds = folds_of(y, FOLDS, same)
        given = {"folds": folds, "rng": same, "settings": usual | settings}
        scores = out_of_fold(judge, data.matrix, cells, y, **given)
        ones = np.ones((1, len(y)), dtype=np.float32)
        value = float(ranking(y, Predictions(scores[None], np.empty((0, 1))), ones)[0][0])
        if value > best:
            best, found = value, settings
    return found


def predict(
    data: UtilityData,
    judge: str,
    settings: dict[str, Any],
    draws: list[TrainingRows],
    test: np.ndarray,
    thresholds: int,
    rng: np.random.Generator,
) -> Predictions:
    """Predict the test rows with a classifier that is trained once on each draw of the rows."""
    judged = [trained(data, judge, settings, rows, rng) for rows in draws]
    p = np.array([model(test) for model in judged])
    if not thresholds:
        return Predictions(p, np.empty((0, 1)))
    # Out-of-fold probabilities of the real rows. If there are several draws of the training rows,
    # the folds use them in turn.
    real = np.vstack([data.rare, data.rest])
    y = np.repeat([True, False], [len(data.rare), len(data.rest)])
    of_rare, of_rest = (rng.permutation(n) % FOLDS for n in (len(data.rare), len(data.rest)))
    fold, scores = np.concatenate([of_rare, of_rest]), np.empty(len(y))
    for k in range(FOLDS):
        rows, seen = draws[k % len(draws)], judged[k % len(draws)]
        if len(rows.rare) or len(rows.rest):
            part = rows._replace(
                rare=rows.rare[of_rare[rows.rare] != k], rest=rows.rest[of_rest[rows.rest] != k]
            )
            seen = trained(data, judge, settings, part, rng)
        scores[fold == k] = seen(real[fold == k])
    # A subsample may have other class shares than train; weights restore those of train.
    share = len(data.rare) / len(y)
    weight = np.where(y, data.natural / share, (1 - data.natural) / (1 - share))
    found = best_thresholds(y, scores, weight * bootstrap_counts(y, rng, thresholds))
    return Predictions(p, found[:, None])


def predict_from_halves(
    data: UtilityData,
    judge: str,
    settings: dict[str, Any],
    sets: dict[str, TrainingRows],
    tests: dict[str, np.ndarray],
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Predict the test rows with classifiers trained on half-samples of each set, except noise."""
    out: dict[str, list[np.ndarray]] = {n: [] for n in sets if not n.endswith("noise")}
    for seeds in rng.integers(2**31, size=(HALVES, len(TrainingRows._fields))):
        for name, said in out.items():
            parts = zip(sets[name], seeds, strict=True)
            half = (np.random.default_rng(s).permutation(p)[: -(-len(p) // 2)] for p, s in parts)
            said.append(
                trained(data, judge, settings, TrainingRows(*half), rng)(tests.get(name, data.test))
            )
    return {name: np.array(said) for name, said in out.items()}


def trained(
    data: UtilityData,
    judge: str,
    settings: dict[str, Any],
    rows: TrainingRows,
    rng: np.random.Generator,
) -> Callable[[np.ndarray], np.ndarray]:
    """Train a classifier; return a function from cells to probabilities."""
    cells = np.vstack([data.rare[rows.rare], rows.made, data.rest[rows.rest], rows.made_rest])
    y = np.arange(len(cells)) < len(rows.rare) + len(rows.made)
    order, seed = rng.permutation(len(y)), int(rng.integers(2**31))
    model = learn(judge, data.matrix, cells[order], y[order], seed=seed, settings=settings)
    seen = float(y.mean())
    return lambda other: moved(model(other), seen, data.natural)


def bootstrap_counts(y: np.ndarray, rng: np.random.Generator, samples: int) -> np.ndarray:
    """Count how often each row occurs in bootstrap samples within each class."""
    out = np.zeros((samples, len(y)), dtype=np.float32)
    out[0] = 1
    for side in (np.flatnonzero(y), np.flatnonzero(~y)):
        if len(side):
            for pick in out[1:]:
                pick[side] = np.bincount(
                    rng.integers(len(side), size=len(side)), minlength=len(side)
                )
    return out
