"""Fitting many synthesizers at once; that networks are trained side by side is experimental."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np
from joblib import delayed

from synthgen.errors import ConvergenceError, SynthgenError, UsageError
from synthgen.progress import Progress
from synthgen.synthesizers.base import Synthesizer
from synthgen.synthesizers.lookup import on_gpu
from synthgen.synthesizers.network import NetworkSynthesizer
from synthgen.tables.checks import check_flags
from synthgen.tables.table import Table
from synthgen.threads import check_jobs, one_process, results_of
from synthgen.training.batched import kind, run_together
from synthgen.training.runner import Task
from synthgen.training.training_run import History

# Not before part `many` of ``evaluation/gpu.py`` has passed on a GPU.
SIDE_BY_SIDE = False  # whether networks on a GPU are trained side by side by default

Prepared = tuple[Table, list[int], np.random.SeedSequence]  # what `_fit` takes
Alone = tuple[Synthesizer, Prepared, str]  # and why it is fitted by itself


def fit_many(
    jobs: Sequence[tuple[Synthesizer, Any, Any]],
    *,
    together: bool | None = None,
    n_jobs: int | None = None,
    say: Callable[[str], None] | None = None,
    verbose: bool = False,
) -> list[Synthesizer]:
    """Fit several synthesizers, each to its own rows; similar networks can be trained side by side.

    Training side by side is experimental, and off by default: its benefit on a GPU has not been
    measured. Part ``many`` of ``python evaluation/gpu.py`` measures it; the goal is that 25
    networks take at most 3 times as long as one.

    Networks are similar if they have the same class, the same arguments except `steps` and
    `random_state`, and tables with the same columns (folds of one table, for example). A result has
    the same distribution as that of a separate `fit`, but not the same bits.

    Args:
        jobs: One tuple per synthesizer: (synthesizer, X, y), (synthesizer, frame, name of the
            target column), or (synthesizer, table, None) with a `Table`. Each synthesizer is
            fitted in place and may occur once.
        together: Whether to train similar networks side by side, in this process. None: no.
        n_jobs: Number of processes for the other fits, -1: one per core. None: 1, or as set by
            `joblib.parallel_config`, such as all workers of a Dask cluster; 1 if a network trains
            on a GPU. For the same seeds the models are those of a loop, to the byte, if each fit
            has the same number of threads (not `PrivateMarginals`, whose noise has no seed).
        say: A function that receives one sentence per training run: how it was trained, and why.
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
        >>> jobs = [(TVAE(steps=5, random_state=seed), frame, ill) for seed in range(3)]
        >>> models = fit_many(jobs, together=True, say=print)
        3 networks trained side by side
        3 networks trained side by side
        >>> len(models[2].sample(4, label=True, random_state=0))
        4
    """
    say = say or (lambda sentence: None)
    check_flags(verbose=verbose)
    check_jobs(n_jobs)
    _check_once([synthesizer for synthesizer, _, _ in jobs])
    fits: dict[int, Generator[Task, History, None]] = {}
    alone: dict[int, Alone] = {}
    for i, (synthesizer, X, y) in enumerate(jobs):
        try:
            table = _table(synthesizer, X, y)
            why = _alone(synthesizer, together)
            if isinstance(synthesizer, NetworkSynthesizer) and not why:
                fits[i] = synthesizer.fit_steps(table)
            else:
                alone[i] = synthesizer, synthesizer._prepared(table), why
        except SynthgenError as error:
            raise _of_job(i, error) from error
    with Progress(verbose) as progress:
        progress.start("fitting", total=len(jobs))
        failed, notes = _fit_alone(alone, n_jobs, say, progress)
        failed |= _train(fits, say, progress, len(alone))
    for note in notes:
        warnings.warn(note, stacklevel=2)
    for i in sorted(failed):
        raise _of_job(i, failed[i]) from failed[i]
    return [synthesizer for synthesizer, _, _ in jobs]


def _check_once(synthesizers: Sequence[Synthesizer]) -> None:
    seen: set[int] = set()
    for i, synthesizer in enumerate(synthesizers):
        if id(synthesizer) in seen:
            raise UsageError(
                297,
                f"job {i + 1}: this {type(synthesizer).__name__} is in an earlier job already, and "
                f"would keep only its last fit: give each job its own synthesizer",
            )
        seen.add(id(synthesizer))


def _of_job(i: int, error: SynthgenError) -> SynthgenError:
    return type(error)(error.code, f"job {i + 1}: {error.message}")


def _fit_alone(
    alone: dict[int, Alone], n_jobs: int | None, say: Callable[[str], None], progress: Progress
) -> tuple[dict[int, SynthgenError], list[Warning]]:
    """Fit each synthesizer by itself, in this process or in those of joblib."""
    failed: dict[int, SynthgenError] = {}
    notes: list[Warning] = []
    if not alone:
        return failed, notes
    gpu = any(on_gpu(synthesizer) for synthesizer, _, _ in alone.values())
    with one_process(gpu):
        calls = (delayed(_fitted)(own, prepared) for own, prepared, _ in alone.values())
        found = results_of(calls, 1 if gpu else n_jobs)
        for done, (i, (synthesizer, _, why)) in enumerate(alone.items()):
            name = type(synthesizer).__name__
            progress.update(done, stage=f"fitting {name}, job {i + 1}")
            fitted, caught = next(found)
            say(f"{name} trained by itself: {why}")
            notes += caught
            if isinstance(fitted, SynthgenError):
                failed[i] = fitted
            elif fitted is not synthesizer:  # it was fitted in another process
                params = synthesizer.get_params(deep=False)
                learned = {k: v for k, v in vars(fitted).items() if k not in params}
                vars(synthesizer).update(learned)
    return failed, notes


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


def _train(
    fits: dict[int, Generator[Task, History, None]],
    say: Callable[[str], None],
    progress: Progress,
    done: int,
) -> dict[int, SynthgenError]:
    """Run the trainings of several fits in rounds, similar networks side by side."""
    tasks: dict[int, Task] = {}
    failed: dict[int, SynthgenError] = {}

    def go_on(i: int, history: History | ConvergenceError | None) -> None:
        tasks.pop(i, None)
        try:
            if isinstance(history, ConvergenceError):
                fits[i].throw(history)
            else:
                tasks[i] = next(fits[i]) if history is None else fits[i].send(history)
        except StopIteration:
            pass
        except SynthgenError as error:
            failed[i] = error

    for i in fits:
        go_on(i, None)
    while tasks:
        groups: dict[tuple[object, ...], list[int]] = {}
        for i, task in tasks.items():
            groups.setdefault(kind(task), []).append(i)
        for members in groups.values():
            over = done + len(fits) - len(tasks)
            progress.update(over, stage=f"networks side by side: {len(members)}")
            histories = run_together([tasks[i] for i in members])
            many = f"{len(members)} networks trained side by side"
            say(many if len(members) > 1 else "1 network trained by itself: no other is similar")
            for i, history in zip(members, histories, strict=True):
                go_on(i, history)
    return failed


def _table(synthesizer: Synthesizer, X: Any, y: Any) -> Table:
    """Make the `Table` of a job."""
    if y is None and isinstance(X, Table):
        return X
    return Table.labelled(X, y, schema=synthesizer.schema)


def _alone(synthesizer: Synthesizer, together: bool | None) -> str:
    """Return the reason why a synthesizer is fitted by itself, or "" if there is none."""
    if not isinstance(synthesizer, NetworkSynthesizer):
        return "it is not a network"
    if synthesizer.checkpoint is not None:
        return "it writes a checkpoint"
    if together is None:
        return "training side by side is experimental"
    return "" if together else "together=False"
