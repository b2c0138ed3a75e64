"""Fits of many synthesizers at once."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

from synthgen.errors import UsageError
from synthgen.synthesizers.base import Synthesizer
from synthgen.synthesizers.network import NetworkSynthesizer
from synthgen.tables.table import Table
from synthgen.training.batched import run_together
from synthgen.training.device import resolve
from synthgen.training.runner import History, Task


def fit_many(
    jobs: Sequence[tuple[Synthesizer, Any, Any]],
    *,
    together: bool | None = None,
    say: Callable[[str], None] | None = None,
) -> list[Synthesizer]:
    """Fit each synthesizer to its own rows; those that are alike, side by side as one model.

    Alike are networks of one kind with the same arguments but `steps` and `random_state`, for
    tables with the same columns, whatever their rows, levels and quantiles: folds, seeds, sizes of
    a class. Each ends as a fit of its own would in distribution, not to the same bits.

    Args:
        jobs: (synthesizer, X, y), or (synthesizer, table, None) with a `Table`; each synthesizer is
            fitted in place, once.
        together: Whether to train side by side what is alike; None: on a GPU, which a single small
            network leaves idle. A CPU is as busy with one (``evaluation/speed.md``).
        say: Called with a sentence about each run: how many it was trained with, or why alone.

    Returns:
        The synthesizers, fitted.

    Raises:
        UsageError: a synthesizer has two jobs.
        SynthgenError: see `Synthesizer.fit`; synthesizers before it may be fitted.

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
    seen: set[int] = set()
    for i, (synthesizer, _, _) in enumerate(jobs):
        if id(synthesizer) in seen:
            raise UsageError(
                297,
                f"job {i + 1}: this {type(synthesizer).__name__} has a job already, and would keep "
                f"the rows of the last one only: give each job its own",
            )
        seen.add(id(synthesizer))
    asked: dict[int, tuple[Generator[Task, History, None], Task]] = {}

    def go_on(i: int, runs: Generator[Task, History, None], answer: History | None) -> None:
        try:
            asked[i] = runs, (next(runs) if answer is None else runs.send(answer))
        except StopIteration:
            asked.pop(i, None)

    for i, (synthesizer, X, y) in enumerate(jobs):
        if reason := _alone(synthesizer, together):
            say(f"{type(synthesizer).__name__} trained by itself: {reason}")
            synthesizer._fit_table(_table(synthesizer, X, y))
        else:
            assert isinstance(synthesizer, NetworkSynthesizer)
            go_on(i, synthesizer.fit_steps(_table(synthesizer, X, y)), None)
    while asked:
        groups: dict[tuple[object, ...], list[int]] = {}
        for i, (_, task) in asked.items():
            groups.setdefault(_key(task), []).append(i)
        for members in groups.values():
            histories = run_together([asked[i][1] for i in members])
            many = f"{len(members)} networks trained side by side"
            say(many if len(members) > 1 else "1 network trained by itself: no other is like it")
            for i, history in zip(members, histories, strict=True):
                go_on(i, asked[i][0], history)
    return [synthesizer for synthesizer, _, _ in jobs]


def _table(synthesizer: Synthesizer, X: Any, y: Any) -> Table:
    """The rows of a job."""
    given = y is None and isinstance(X, Table)
    return X if given else Table.of_xy(X, y, schema=synthesizer.schema)


def pays_together(synthesizer: Synthesizer) -> bool:
    """Whether `fit_many` trains it side by side with what is like it, unless told otherwise."""
    return not _alone(synthesizer, None)


def _alone(synthesizer: Synthesizer, together: bool | None) -> str:
    """Why it is fitted by itself; empty if it need not be."""
    if not isinstance(synthesizer, NetworkSynthesizer):
        return "it is no network"
    if synthesizer.checkpoint is not None:
        return "it writes a checkpoint"
    if together is False or (together is None and resolve(synthesizer.device).type != "cuda"):
        return "side by side pays on a GPU only" if together is None else "as was asked for"
    return ""


def _key(task: Task) -> tuple[object, ...]:
    """What is the same for networks that can be trained side by side."""
    axes = task.learner.axes()
    shapes = [
        tuple(n for d, n in enumerate(w.shape) if d not in axes.get(name, {}))
        for name, w in task.learner.named_parameters()
    ]
    return (*task.alike, task.goes_on, task.learner.batch, tuple(shapes))
