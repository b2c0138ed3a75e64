"""Fitting many synthesizers at once; that networks are trained side by side is experimental."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

from synthgen.errors import ConvergenceError, SynthgenError, UsageError
from synthgen.progress import Progress
from synthgen.synthesizers.base import Synthesizer
from synthgen.synthesizers.network import NetworkSynthesizer
from synthgen.tables.table import Table
from synthgen.training.batched import kind, run_together
from synthgen.training.runner import History, Task

# Not before part `many` of ``evaluation/gpu.py`` has passed on a GPU.
SIDE_BY_SIDE = False  # whether networks on a GPU are trained side by side by default


def fit_many(
    jobs: Sequence[tuple[Synthesizer, Any, Any]],
    *,
    together: bool | None = None,
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
        together: Whether to train similar networks side by side. None: one after the other.
        say: A function that receives one sentence per training run: how it was trained, and why.
        verbose: Whether to show how many jobs are done, on standard error or below the notebook
            cell.

    Returns:
        The fitted synthesizers, in the order of `jobs`.

    Raises:
        UsageError: A synthesizer occurs in two jobs (E297).
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
    _check_once([synthesizer for synthesizer, _, _ in jobs])
    fits: dict[int, Generator[Task, History, None]] = {}
    alone: dict[int, Table] = {}
    failed: dict[int, SynthgenError] = {}
    for i, (synthesizer, X, y) in enumerate(jobs):
        try:
            table = _table(synthesizer, X, y)
            if isinstance(synthesizer, NetworkSynthesizer):
                fits[i] = synthesizer.fit_steps(table)
            else:
                synthesizer._prepared(table)
            if _alone(synthesizer, together):
                fits.pop(i, None)
                alone[i] = table
        except SynthgenError as error:
            raise _of_job(i, error) from error
    with Progress(verbose) as progress:
        progress.start("fitting", total=len(jobs))
        for done, (i, table) in enumerate(alone.items()):
            synthesizer = jobs[i][0]
            say(f"{type(synthesizer).__name__} trained by itself: {_alone(synthesizer, together)}")
            progress.update(done, stage=f"fitting {type(synthesizer).__name__}, job {i + 1}")
            try:
                synthesizer._fit_table(table)
            except SynthgenError as error:
                failed[i] = error
        failed |= _train(fits, say, progress, len(alone))
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


def _train(
    fits: dict[int, Generator[Task, History, None]],
    say: Callable[[str], None],
    progress: Progress,
    done: int,
) -> dict[int, SynthgenError]:
    """Run the trainings of several fits in rounds, similar networks side by side.

    In each round, every unfinished fit runs one training.

    Args:
        fits: The fits, by position of the job.
        say, progress: See `fit_many`.
        done: Number of jobs that were done before.

    Returns:
        The errors of the fits that failed, by position of the job.
    """
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
