"""TODO docstring."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from synthgen.metrics.predictions import Told, ranking
from synthgen.metrics.utility_rows import FOLDS, HALVES, TUNE_ROWS, _Data, _Rows
from synthgen.model_selection.classifiers import (
    GRIDS,
    learn,
    moved,
    out_of_fold,
)
from synthgen.model_selection.folds import folds_of
from synthgen.model_selection.scoring import best_thresholds


def _tuned(
    data: _Data, judge: str, usual: dict[str, Any], rng: np.random.Generator
) -> dict[str, Any]:
    """What changes the usual settings to those of the best average precision on real rows, out of
    fold.
    """
    part = min(1.0, TUNE_ROWS / (len(data.rare) + len(data.rest)))
    rare = data.rare[: max(FOLDS, round(part * len(data.rare)))]
    rest = data.rest[: max(FOLDS, round(part * len(data.rest)))]
    cells, y = np.vstack([rare, rest]), np.repeat([True, False], [len(rare), len(rest)])
    seed, best, found = int(rng.integers(2**31)), -1.0, {}
    for settings in GRIDS[judge]:
        same = np.random.default_rng(seed)
        folds = folds_of(y, FOLDS, same)
        given = {"folds": folds, "rng": same, "settings": usual | settings}
        told = out_of_fold(judge, data.space, cells, y, **given)
        ones = np.ones((1, len(y)), dtype=np.float32)
        value = float(ranking(y, Told(told[None], np.empty((0, 1))), ones)[0][0])
        if value > best:
            best, found = value, settings
    return found


def _tell(
    data: _Data,
    judge: str,
    settings: dict[str, Any],
    draws: list[_Rows],
    test: np.ndarray,
    thresholds: int,
    rng: np.random.Generator,
) -> Told:
    """What a judge says of `test` that learned from these rows; as often as there are draws of
    them. Of its thresholds the first is that of all real rows, any others those of a bootstrap.
    """
    judged = [_learned(data, judge, settings, rows, rng) for rows in draws]
    p = np.array([told(test) for told in judged])
    if not thresholds:
        return Told(p, np.empty((0, 1)))
    # Real rows whose probability comes from a judge that has not seen them. Where there are several
    # draws of the rows, each fold has the judge of another one.
    real = np.vstack([data.rare, data.rest])
    y = np.repeat([True, False], [len(data.rare), len(data.rest)])
    of_rare, of_rest = (rng.permutation(n) % FOLDS for n in (len(data.rare), len(data.rest)))
    fold, told = np.concatenate([of_rare, of_rest]), np.empty(len(y))
    for k in range(FOLDS):
        rows, seen = draws[k % len(draws)], judged[k % len(draws)]
        if len(rows.rare) or len(rows.rest):
            part = rows._replace(
                rare=rows.rare[of_rare[rows.rare] != k], rest=rows.rest[of_rest[rows.rest] != k]
            )
            seen = _learned(data, judge, settings, part, rng)
        told[fold == k] = seen(real[fold == k])
    # Where rows were left out, the others stand for them.
    share = len(data.rare) / len(y)
    weight = np.where(y, data.natural / share, (1 - data.natural) / (1 - share))
    found = best_thresholds(y, told, weight * _resampled(y, rng, thresholds))
    return Told(p, found[:, None])


def _from_halves(
    data: _Data,
    judge: str,
    settings: dict[str, Any],
    sets: dict[str, _Rows],
    tests: dict[str, np.ndarray],
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Of each set but noise, what judges say that learned from the same halves of its rows, of
    shape (halves, test rows); the test of some sets is in `tests`.
    """
    out: dict[str, list[np.ndarray]] = {n: [] for n in sets if not n.endswith("noise")}
    for seeds in rng.integers(2**31, size=(HALVES, len(_Rows._fields))):
        for name, said in out.items():
            parts = zip(sets[name], seeds, strict=True)
            half = (np.random.default_rng(s).permutation(p)[: -(-len(p) // 2)] for p, s in parts)
            said.append(
                _learned(data, judge, settings, _Rows(*half), rng)(tests.get(name, data.test))
            )
    return {name: np.array(said) for name, said in out.items()}


def _learned(
    data: _Data,
    judge: str,
    settings: dict[str, Any],
    rows: _Rows,
    rng: np.random.Generator,
) -> Callable[[np.ndarray], np.ndarray]:
    cells = np.vstack([data.rare[rows.rare], rows.made, data.rest[rows.rest], rows.made_rest])
    y = np.arange(len(cells)) < len(rows.rare) + len(rows.made)
    order, seed = rng.permutation(len(y)), int(rng.integers(2**31))
    told = learn(judge, data.space, cells[order], y[order], seed=seed, settings=settings)
    seen = float(y.mean())
    return lambda other: moved(told(other), seen, data.natural)


def _resampled(y: np.ndarray, rng: np.random.Generator, samples: int) -> np.ndarray:
    """How often each row counts: once, and then in samples of each class with replacement; float32
    of shape (samples, rows).
    """
    out = np.zeros((samples, len(y)), dtype=np.float32)
    out[0] = 1
    for side in (np.flatnonzero(y), np.flatnonzero(~y)):
        if len(side):
            for pick in out[1:]:
                pick[side] = np.bincount(
                    rng.integers(len(side), size=len(side)), minlength=len(side)
                )
    return out
