"""Fitting many synthesizers, each to its own rows."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from joblib import delayed

from synthgen.errors import SynthgenError, UsageError
from synthgen.progress import Progress
from synthgen.synthesizers.base import Synthesizer
from synthgen.synthesizers.lookup import on_gpu
from synthgen.tables.checks import check_flags
from synthgen.tables.table import Table
from synthgen.threads import check_jobs, one_process, results_of

Prepared = tuple[Table, list[int], np.random.SeedSequence]  # what `_fit` takes


def fit_many(
    jobs: Sequence[tuple[Synthesizer, Any, Any]],
    *,
    n_jobs: int | None = None,
    say: Callable[[str], None] | None = None,
    verbose: bool = False,
) -> list[Synthesizer]:
    """Fit several synthesizers, each to its own rows, one after the other or in several processes.

    Args:
        jobs: One tuple per synthesizer: (synthesizer, X, y), (synthesizer, frame, name of the
            target column), or (synthesizer, table, None) with a `Table`. Each synthesizer is
            fitted in place and may occur once.
        n_jobs: Number of processes, -1: one per core. None: 1, or as set by
            `joblib.parallel_config`, such as all workers of a Dask cluster; 1 if a network trains
            on a GPU. For the same seeds the models are those of a loop, to the byte, if each fit
            has the same number of threads (not `PrivateMarginals`, whose noise has no seed).
        say: A function that receives one sentence per job when it is done.
        verbose: Whether to show how many jobs are done, on standard error or below the notebook
            cell.

    Returns:
        The fitted synthesizers, in the order of `jobs`.

    Raises:
        UsageError: A synthesizer occurs in two jobs (E297), or `n_jobs` is not a number of
            processes (E269).
        SynthgenError: See `Synthesizer.fit`; the message names the job. All tables, and the
            arguments of networks, are checked before the first fit. If a fit fails later, the other
            fits are completed before the error is raised.

    Example:
        >>> import numpy as np, pandas as pd
        >>> from synthgen import TVAE
        >>> rng = np.random.default_rng(0)
        >>> frame = pd.DataFrame({"dose": rng.normal(size=300), "sex": rng.choice(["f", "m"], 300)})
        >>> ill = pd.Series(np.arange(300) < 40, name="ill")
        >>> jobs = [(TVAE(steps=5, random_state=seed), frame, ill) for seed in range(2)]
        >>> models = fit_many(jobs, say=print)
        job 1: TVAE is fitted
        job 2: TVAE is fitted
        >>> len(models[1].sample(4, label=True, random_state=0))
        4
    """
    check_flags(verbose=verbose)
    check_jobs(n_jobs)
    synthesizers = [synthesizer for synthesizer, _, _ in jobs]
    prepared = [_prepared(i, jobs) for i in range(len(jobs))]
    gpu = any(map(on_gpu, synthesizers))
    failed: list[tuple[int, SynthgenError]] = []
    notes: list[Warning] = []
    with Progress(verbose) as progress, one_process(gpu):
        progress.start("fitting", total=len(jobs))
        calls = (delayed(_fitted)(*call) for call in zip(synthesizers, prepared, strict=True))
        found = results_of(calls, 1 if gpu else n_jobs)
        for i, synthesizer in enumerate(synthesizers):
            name = type(synthesizer).__name__
            progress.update(i, stage=f"fitting {name}, job {i + 1}")
            fitted, caught = next(found)
            notes += caught
            if isinstance(fitted, SynthgenError):
                failed.append((i, fitted))
                continue
            if fitted is not synthesizer:  # it was fitted in another process
                params = synthesizer.get_params(deep=False)
                vars(synthesizer).update({k: v for k, v in vars(fitted).items() if k not in params})
            if say is not None:
                say(f"job {i + 1}: {name} is fitted")
        next(found, None)  # so that joblib's generator ends
    for note in notes:
        warnings.warn(note, stacklevel=2)
    for i, error in failed:
        raise _of_job(i, error) from error
    return synthesizers


def _prepared(i: int, jobs: Sequence[tuple[Synthesizer, Any, Any]]) -> Prepared:
    """Check a job before the first fit."""
    synthesizer, X, y = jobs[i]
    if any(synthesizer is earlier for earlier, _, _ in jobs[:i]):
        raise UsageError(
            297,
            f"job {i + 1}: this {type(synthesizer).__name__} is in an earlier job already, and "
            f"would keep only its last fit: give each job its own synthesizer",
        )
    try:
        whole = y is None and isinstance(X, Table)
        return synthesizer._prepared(
            X if whole else Table.labelled(X, y, schema=synthesizer.schema)
        )
    except SynthgenError as error:
        raise _of_job(i, error) from error


def _of_job(i: int, error: SynthgenError) -> SynthgenError:
    return type(error)(error.code, f"job {i + 1}: {error.message}")


def _fitted(
    synthesizer: Synthesizer, prepared: Prepared
) -> tuple[Synthesizer | SynthgenError, list[Warning]]:
    """Fit a synthesizer; return it or its error, and its warnings, which another process loses."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted: Synthesizer | SynthgenError = synthesizer
        try:
            synthesizer._fit(*prepared)
        except SynthgenError as error:
            fitted = error
    return fitted, [w.message for w in caught if isinstance(w.message, Warning)]
