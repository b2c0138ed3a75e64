"""The step runner that every network shares.

A `Learner` holds its networks, its optimisers and its rows as static tensors on the device; its `step` makes one
update and draws batch, conditions and noise there. The runner repeats it, averages the weights, looks at held-out
rows, keeps the best, and reports. Nothing is read back from the device between two reports.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from synthgen.encoding import Encoded
from synthgen.errors import ConvergenceError

REPORT_EVERY = 100
EMA_DECAY = 0.999
Progress = Callable[[int, int], None]


class Sampler(nn.Module, ABC):
    """The part of a network that makes rows, and all that a model file keeps of it.

    Attributes:
        n_labels: Number of classes it was built for; 1: the class is no condition.
    """

    n_labels: int

    @abstractmethod
    def generate(self, rows: int, generator: torch.Generator, label: int) -> Encoded:
        """Fresh rows of one class; a row never depends on the rows beside it.

        Args:
            rows: How many.
            generator: The only source of randomness.
            label: Position of the class among those learned together; 0 when one class was learned alone.
        """


class Learner(nn.Module, ABC):
    """Networks under training.

    Attributes:
        losses: Names of what `step` returns.
        sampler: Its weights are averaged, and the averaged ones are kept.
        optimizers: All that `step` uses.
    """

    losses: tuple[str, ...]
    sampler: Sampler
    optimizers: list[torch.optim.Optimizer]

    @abstractmethod
    def step(self, generator: torch.Generator) -> Tensor:
        """One update of all weights, from rows that lie on the device. Returns the losses, shape (len(losses),)."""


@dataclass
class History:
    """What happened in a run.

    Attributes:
        losses: Mean of each loss since the report before, by name.
        steps: The step of each report.
        held_out: Distance of generated to held-out rows at each look, lower is better; empty without such rows.
        best_step: The step whose averaged weights were kept.
        seconds: Wall time.
    """

    losses: dict[str, list[float]]
    steps: list[int] = field(default_factory=list)
    held_out: list[float] = field(default_factory=list)
    best_step: int = 0
    seconds: float = 0.0


def run(
    learner: Learner,
    steps: int,
    generator: torch.Generator,
    *,
    held_out: Callable[[], float] | None = None,
    looks: int = 20,
    progress: Progress | None = None,
) -> History:
    """Train `learner` for `steps` and leave the averaged weights in ``learner.sampler``.

    Args:
        learner: Changed in place.
        steps: Number of updates.
        generator: The device's random state, owned by this run.
        held_out: Called `looks` times with the averaged weights in place; the best ones are kept. None keeps the last.
        progress: Called with (steps done, steps in all) at each report.

    Raises:
        ConvergenceError: a loss is not finite.
    """
    started = time.perf_counter()
    history = History({name: [] for name in learner.losses})
    weights = [p for p in learner.sampler.state_dict().values() if p.is_floating_point()]
    average = [w.detach().clone() for w in weights]
    decay = torch.zeros((), device=weights[0].device)
    total = torch.zeros(len(learner.losses), device=weights[0].device)

    def update() -> None:
        total.add_(learner.step(generator))
        # average += (1 - decay) * (weights - average)
        change = torch._foreach_sub(weights, average)
        torch._foreach_mul_(change, 1 - decay)
        torch._foreach_add_(average, change)

    best: list[Tensor] | None = None
    look_every = max(1, math.ceil(steps / looks))
    learner.train()
    since = 0
    for step in range(1, steps + 1):
        # The average starts as a plain mean of the steps so far.
        decay.fill_(min(EMA_DECAY, step / (step + 10)))
        update()
        since += 1
        if step % REPORT_EVERY == 0 or step == steps:
            values = (total / since).tolist()
            total.zero_()
            since = 0
            if not all(map(math.isfinite, values)):
                named = ", ".join(f"{n} {v:g}" for n, v in zip(learner.losses, values, strict=True))
                raise ConvergenceError(
                    601, f"training diverged before step {step} ({named}): lower the learning rate"
                )
            history.steps.append(step)
            for name, value in zip(learner.losses, values, strict=True):
                history.losses[name].append(value)
            if progress is not None:
                progress(step, steps)
        if held_out is not None and (step % look_every == 0 or step == steps):
            with _swapped(weights, average), _evaluating(learner):
                history.held_out.append(held_out())
            if history.held_out[-1] <= min(history.held_out):
                best = [a.clone() for a in average]
                history.best_step = step
    history.best_step = history.best_step or steps
    with torch.no_grad():
        torch._foreach_copy_(weights, best or average)
    learner.eval()
    history.seconds = time.perf_counter() - started
    return history


@contextmanager
def _swapped(weights: list[Tensor], others: list[Tensor]) -> Iterator[None]:
    """`others` in the place of `weights` while the block runs."""
    kept = [w.detach().clone() for w in weights]
    with torch.no_grad():
        torch._foreach_copy_(weights, others)
    try:
        yield
    finally:
        with torch.no_grad():
            torch._foreach_copy_(weights, kept)


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    module.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        module.train()


def energy_distance(a: Tensor, b: Tensor) -> float:
    """Twice the mean distance between the samples minus the mean distances within them (Szekely & Rizzo 2013).

    Args:
        a, b: Shapes (rows, width) and (other rows, width). 0 for samples of one distribution, up to noise.

    Example:
        >>> energy_distance(torch.tensor([[0.0], [2.0]]), torch.tensor([[5.0], [7.0]]))
        6.0
    """
    within_a = torch.cdist(a, a).sum() / max(1, len(a) * (len(a) - 1))
    within_b = torch.cdist(b, b).sum() / max(1, len(b) * (len(b) - 1))
    return float(2 * torch.cdist(a, b).mean() - within_a - within_b)
