"""Fit members on all rows, and on folds for out-of-fold scores, within a time budget."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from joblib import effective_n_jobs

from synthgen.comparison.ensemble import (
    PLAIN,
    Job,
    best_members,
    calibrators_of,
    fit_jobs,
    mean_of,
    recalibrated,
)
from synthgen.comparison.parts import Fitted, Part, thinned
from synthgen.errors import DataError
from synthgen.model_selection.estimators import Estimator
from synthgen.model_selection.folds import deal
from synthgen.progress import Progress
from synthgen.seeds import child_seed
from synthgen.synthesizers.lookup import on_gpu
from synthgen.threads import one_process

_log = logging.getLogger("synthgen")
# Without a time budget at most so many rows are learned from, and so many scored: with 19 columns
# the whole takes about 85 s of one core. A small sample of the others would not do: of 60 rows of
# a class, one with 30 others left out for each that stays raises the average precision from .31 to
# .49, because most false alarms among the first rows are left out.
MOST_ROWS = 12_000
MOST_SCORED = 100_000
FOLDS = 5
LEAST_RARE = 4  # rows of the class; with fewer, cross-validation is impossible
PROBE = 1_000  # rows of a first fit that estimates the time of all fits
PLANNED = 0.7  # share of a budget to plan with, because estimates are inexact


@dataclass(frozen=True, eq=False)
class CrossFit:
    """Fitted members, and their out-of-fold scores.

    Attributes:
        fitted: Each member, fitted on all rows, or on those that `MOST_ROWS` or the budget allows.
        shift: For each class, its share in those rows divided by its natural share; shape
            (classes,).
        rows: Positions of the rows with out-of-fold scores, shape (scored,).
        fold: Fold of each of these rows, shape (scored,).
        scores: Out-of-fold probabilities of each member, shape (members, scored, classes).
        plain: Out-of-fold probabilities of plain boosting, shape (scored, classes).
        weight: Number of rows of the table that each row represents, times its sample weight; shape
            (scored,).
        notes: What was left out, in sentences.
    """

    fitted: list[Fitted]
    shift: np.ndarray
    rows: np.ndarray
    fold: np.ndarray
    scores: np.ndarray
    plain: np.ndarray
    weight: np.ndarray
    notes: tuple[str, ...]


def cross_fit(
    part: Part,
    together: np.ndarray,
    members: tuple[Estimator, ...],
    seed: np.random.SeedSequence,
    *,
    weight: np.ndarray | None = None,
    n_jobs: int | None = None,
    deadline: float | None = None,
    verbose: bool = False,
) -> CrossFit:
    """Fit members on all rows, or on a sample of a large table, and without each fold."""
    gpu = any(on_gpu(member.model) for member in members)
    n_jobs = 1 if gpu else n_jobs
    fold = _folds(part, together, child_seed(seed, 0))
    folds = int(fold.max()) + 1 if len(fold) else 0
    if deadline is None:
        kept = thinned(part, MOST_SCORED, np.random.default_rng(child_seed(seed, 3, 0)))
    else:
        with one_process(gpu):
            kept = _affordable(part, members, folds, n_jobs, deadline, child_seed(seed, 1))
    fewer = part if len(kept) == len(part) else part.rows(kept)
    own = None if weight is None else weight[kept]
    fold = fold[kept] if folds else np.full(len(kept), -1)
    learned = np.ones(len(fewer), dtype=bool)
    if deadline is None:
        rng = np.random.default_rng(child_seed(seed, 3, 1))
        learned = np.isin(np.arange(len(fewer)), thinned(fewer, MOST_ROWS, rng))
    natural, now = part.counts, np.bincount(fewer.y[learned], minlength=part.classes)
    shift = np.where(now > 0, (now / now.sum()) / np.maximum(natural / len(part), 1e-300), 1.0)
    plan = _Plan(fewer, own, fold, folds, members, child_seed(seed, 2), shift, learned)
    said = _sampled(part, len(fewer), now) if deadline is None else ()
    with one_process(gpu):
        fitted, scores = plan.fitted(n_jobs, deadline, verbose, said)
    rows = np.flatnonzero(np.isin(fold, [*scores]))
    every = np.empty((len(members) + 1, len(fewer), part.classes))
    for k, found in scores.items():
        every[:, fold == k] = found
    every = every[:, rows]
    stands_for = (natural / np.maximum(fewer.counts, 1))[fewer.y] * (1.0 if own is None else own)
    return CrossFit(
        fitted,
        shift,
        kept[rows],
        fold[rows],
        every[:-1],
        every[-1],
        stands_for[rows],
        said if deadline is None else _left_out(len(kept), len(part), len(scores), folds),
    )


def _sampled(part: Part, scored: int, learned: np.ndarray) -> tuple[str, ...]:
    """Say in a sentence from which rows of a large table a classifier learns."""
    if learned.sum() == len(part):
        return ()
    rare, of_rare = int(learned[part.rare]), int(part.counts[part.rare])
    some = f"all {rare:,}" if rare == of_rare else f"{rare:,} of the {of_rare:,}"
    rows = f"all {scored:,}" if scored == len(part) else f"{scored:,} of the {len(part):,}"
    return (
        f"learned from {some} rows of the class and {learned.sum() - rare:,} of the "
        f"{len(part) - of_rare:,} others, drawn at random; scored on {rows} rows, each by members "
        f"that did not learn from it; the scores are for the natural shares",
    )


def _left_out(kept: int, rows: int, done: int, folds: int) -> tuple[str, ...]:
    """Describe in sentences what was left out because of the time budget."""
    notes = []
    if kept < rows:
        notes.append(
            f"to stay within the time budget, the classifier was trained on {kept:,} of {rows:,} "
            f"rows; rows of frequent classes were left out at random"
        )
    if done < folds:
        notes.append(f"to stay within the time budget, only {done} of {folds} folds were run")
    return tuple(notes)


@dataclass(frozen=True, eq=False)
class _Plan:
    """The fits to make: one on all rows of `learned`, and one without each fold."""

    part: Part
    weight: np.ndarray | None
    fold: np.ndarray
    folds: int
    members: tuple[Estimator, ...]
    seed: np.random.SeedSequence
    shift: np.ndarray
    learned: np.ndarray

    def job(self, k: int) -> Job:
        """Make the job of fold `k`: members and plain boosting on the rows outside the fold."""
        seen = self.learned if k < 0 else self.learned & (self.fold != k)
        who = self.members if k < 0 else (*self.members, PLAIN)
        weight = None if self.weight is None else self.weight[seen]
        return Job(self.part.rows(seen), who, child_seed(self.seed, k + 1), weight)

    def fitted(
        self, n_jobs: int | None, deadline: float | None, verbose: bool, said: tuple[str, ...]
    ) -> tuple[list[Fitted], dict[int, np.ndarray]]:
        """Fit the members on all rows, and score each fold with the members and plain boosting."""
        everything = [*range(-1, self.folds)]
        # With a deadline, each fold is a round of its own, which starts only if there is time.
        rounds = [everything] if deadline is None else [[k] for k in everything]
        whole: list[Fitted] = []
        scores: dict[int, np.ndarray] = {}
        fits = len(everything) * (len(self.members) + 1) - 1
        with Progress(verbose) as progress:
            for sentence in said:
                progress.note(f"{sentence[0].upper()}{sentence[1:]}.")
                _log.info("%s", sentence)
            progress.start("fitting", total=fits)
            done, last, start = 0, 0.0, time.perf_counter()

            def finished(name: str) -> None:
                nonlocal done
                done += 1
                spent = time.perf_counter() - start
                _log.info("fitted %s: %d of %d fits, after %.0f s", name, done, fits, spent)
                stage = f"fitting {done + 1} of {fits}, after {name}"
                progress.update(done, fits, stage="scoring" if done == fits else stage)

            for some in rounds:
                began = time.perf_counter()
                if deadline is not None and some[0] >= 0 and began + last > deadline:
                    break
                found = fit_jobs([self.job(k) for k in some], n_jobs, finished)
                for k, models in zip(some, found, strict=True):
                    if k < 0:
                        whole = models
                        continue
                    places = self.part.places[self.fold == k]
                    each = [mean_of([model], self.shift) for model in models]
                    scores[k] = np.stack([one.predict_proba(places) for one in each])
                    _log.info("scored %d of %d folds", len(scores), self.folds)
                last = time.perf_counter() - began
        return whole, scores


def held_out(y: np.ndarray, found: CrossFit, rare: int) -> np.ndarray:
    """Predict each fold with members and calibrators that were selected on the other folds."""
    out = np.empty(found.scores.shape[1:])
    for k in np.unique(found.fold):
        test = found.fold == k
        seen = test if test.all() else ~test
        weight, fold = found.weight[seen], found.fold[seen]
        chosen = best_members(y[seen] == rare, found.scores[:, seen, rare], fold, weight)
        score = found.scores[list(chosen)].mean(axis=0)
        own = calibrators_of(y[seen], score[seen], rare, weight)
        out[test] = recalibrated(score[test], own, rare)
    return out


def _folds(part: Part, together: np.ndarray, seed: np.random.SeedSequence) -> np.ndarray:
    """Assign rows to folds; empty if the class has too few rows or groups."""
    is_rare = part.y == part.rare
    groups = len(np.unique(together[is_rare]))
    if is_rare.sum() < LEAST_RARE or groups < 2:
        return np.empty(0, dtype=np.int64)
    folds = min(FOLDS, groups)
    fold = deal(part.y, together, folds, np.random.default_rng(seed))
    held = [is_rare[fold == k] for k in range(folds)]
    if any(one.all() or not one.any() for one in held):
        raise DataError(
            375,
            "groups leave a fold without rows of the class, or without other rows: use smaller "
            "groups",
        )
    return fold


def _affordable(
    part: Part,
    members: Sequence[Estimator],
    folds: int,
    n_jobs: int | None,
    deadline: float,
    seed: np.random.SeedSequence,
) -> np.ndarray:
    """Choose the rows that can be fitted before the deadline; return sorted positions."""
    probe = part.rows(thinned(part, PROBE, np.random.default_rng(child_seed(seed, 0))))
    began = time.perf_counter()
    every = (*members, PLAIN)
    for fitted in fit_jobs([Job(probe, every, child_seed(seed, 1))])[0]:
        fitted.predict_proba(probe.places)
    seconds = time.perf_counter() - began
    jobs = max(1, min(effective_n_jobs(cast(Any, n_jobs)), len(every)))
    left = PLANNED * max(deadline - time.perf_counter(), 0.0) * jobs
    rows = int(len(probe) * left / (seconds * (folds + 1)))
    return thinned(part, max(rows, len(probe)), np.random.default_rng(child_seed(seed, 2)))
