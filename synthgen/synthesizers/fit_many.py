"""Fitting many synthesizers at once."""

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
    """Fit each synthesizer to its own rows, and train similar networks side by side.

    Networks are similar if they are of one class, have the same arguments except `steps` and
    `random_state`, and learn from tables with the same columns, such as folds of one table. Each
    result is equal in distribution to that of its own `fit`, but not to the same bits.

    Args:
        jobs: (synthesizer, X, y), or (synthesizer, table, None) with a `Table`; each synthesizer is
            fitted in place, once.
        together: Whether to train similar networks side by side. None: on a GPU only, which one
            small network does not fill; on a CPU it saves no time (``evaluation/speed.md``).
        say: Called with a sentence for each run that says how it was trained, and why.

    Returns:
        The synthesizers, fitted.

    Raises:
        UsageError: A synthesizer has two jobs (E297).
        SynthgenError: See `Synthesizer.fit`; synthesizers of earlier jobs may be fitted.

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
    fits: dict[int, Generator[Task, History, None]] = {}
    for i, (synthesizer, X, y) in enumerate(jobs):
        table = _table(synthesizer, X, y)
        if reason := _alone(synthesizer, together):
            say(f"{type(synthesizer).__name__} trained by itself: {reason}")
            synthesizer._fit_table(table)
        else:
            assert isinstance(synthesizer, NetworkSynthesizer)
            fits[i] = synthesizer.fit_steps(table)
    _train(fits, say)
    return [synthesizer for synthesizer, _, _ in jobs]


def _train(fits: dict[int, Generator[Task, History, None]], say: Callable[[str], None]) -> None:
    """Run the trainings of several fits, those of similar networks side by side, in rounds.

    In each round every fit that is not done has one training to run.
    """
    tasks: dict[int, Task] = {}

    def go_on(i: int, history: History | None) -> None:
        try:
            tasks[i] = next(fits[i]) if history is None else fits[i].send(history)
        except StopIteration:
            tasks.pop(i, None)

    for i in fits:
        go_on(i, None)
    while tasks:
        groups: dict[tuple[object, ...], list[int]] = {}
        for i, task in tasks.items():
            groups.setdefault(_key(task), []).append(i)
        for members in groups.values():
            histories = run_together([tasks[i] for i in members])
            many = f"{len(members)} networks trained side by side"
            say(many if len(members) > 1 else "1 network trained by itself: no other is like it")
            for i, history in zip(members, histories, strict=True):
                go_on(i, history)


def _table(synthesizer: Synthesizer, X: Any, y: Any) -> Table:
    """The rows of a job."""
    given = y is None and isinstance(X, Table)
    return X if given else Table.of_xy(X, y, schema=synthesizer.schema)


def pays_together(synthesizer: Synthesizer) -> bool:
    """Whether `fit_many` trains it side by side with similar networks by default."""
    return not _alone(synthesizer, None)


def _alone(synthesizer: Synthesizer, together: bool | None) -> str:
    """Why a synthesizer is fitted by itself, or ""."""
    if not isinstance(synthesizer, NetworkSynthesizer):
        return "it is no network"
    if synthesizer.checkpoint is not None:
        return "it writes a checkpoint"
    if together is False or (together is None and resolve(synthesizer.device).type != "cuda"):
        return "side by side pays on a GPU only" if together is None else "as was asked for"
    return ""


def _key(task: Task) -> tuple[object, ...]:
    """A key that networks must share to be trained side by side."""
    axes = task.learner.axes()
    shapes = [
        tuple(n for d, n in enumerate(w.shape) if d not in axes.get(name, {}))
        for name, w in task.learner.named_parameters()
    ]
    return (*task.alike, task.goes_on, task.learner.batch, tuple(shapes))
