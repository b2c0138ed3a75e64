"""The interface of networks: a `Learner` is trained in steps, its `Sampler` generates rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from synthgen.encoding.layout import Encoded

# Number of steps whose random numbers are drawn at once: on a GPU, 16 steps take no longer than
# one. It is also the number of updates in one captured graph.
AT_ONCE = 16
# Upper limit of the bytes of these random numbers, unless a single step needs more.
AHEAD = 2**26


@dataclass(frozen=True)
class Source:
    """A source of random numbers with a fixed generator, device and dtype.

    Attributes:
        generator: The only source of randomness.
        like: A tensor with the device and the dtype of the numbers.
        lead: Leading dimensions of each shape: (n,) for n steps.
    """

    generator: torch.Generator
    like: Tensor
    lead: tuple[int, ...] = ()

    def uniform(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        return self._filled(torch.rand, shape, dtype)

    def normal(self, *shape: int) -> Tensor:
        return self._filled(torch.randn, shape, None)

    def _filled(
        self, draw: Callable[..., Tensor], shape: tuple[int, ...], dtype: torch.dtype | None
    ) -> Tensor:
        return draw(
            (*self.lead, *shape),
            dtype=dtype or self.like.dtype,
            device=self.like.device,
            generator=self.generator,
        )


class Sampler(nn.Module, ABC):
    """The network that generates rows, and the only network in a model file.

    Attributes:
        n_labels: Number of classes that it learns; with 1, it has no class condition.
        rows: Number of training rows that it is sized for.
    """

    n_labels: int
    rows: int

    @abstractmethod
    def draw(self, rows: int, source: Source) -> dict[str, Tensor]:
        """Draw all random numbers for this many rows: tensors by name, each (rows, ...)."""

    @abstractmethod
    def made(self, drawn: dict[str, Tensor], label: int) -> Encoded:
        """Turn random numbers into rows; a row never depends on the other rows of the batch."""

    def generate(self, rows: int, generator: torch.Generator, label: int) -> Encoded:
        """Generate rows of one class; `generator` is the only source of randomness."""
        return self.made(self.draw(rows, Source(generator, next(self.parameters()))), label)


class Learner(nn.Module, ABC):
    """Networks in training.

    Weights, buffers, optimisers and the random generator are the complete state of training. A
    checkpoint holds them, and training that diverges is reset to an earlier copy of them.

    Attributes:
        losses: Names of the values that `step` returns.
        sampler: The network whose averaged weights the fitted model keeps.
        optimizers: All optimisers that `step` uses; their state must consist of tensors.
        batch: Rows per batch; read at each step, and halved if memory runs out.
        pac: Rows that a critic scores together; the batch stays a multiple of it.
        at_once: Largest number of steps for which `ahead` is called.
    """

    losses: tuple[str, ...]
    sampler: Sampler
    optimizers: list[torch.optim.Optimizer]
    batch: int = 2
    pac: int = 1

    @property
    def at_once(self) -> int:
        return 1

    def course(self, done: int, steps: int) -> float:
        """Give the next step's learning rate, after `done` of `steps`, as a factor on the base."""
        return 1.0

    def ahead(self, generator: torch.Generator, steps: int) -> list[Any]:
        """Prepare the inputs of the next `steps`; here the generator, so that each step draws."""
        return [generator] * steps

    def start_from(self, base: Learner) -> None:
        """Take the weights of a base that was trained on all rows, to fine-tune on one class."""
        self.load_state_dict(base.state_dict())

    @abstractmethod
    def step(self, drawn: Any) -> Tensor:
        """Make one update of all weights, from rows on the device."""


def drawn_at_once(batch: int, width: int) -> int:
    """Number of steps for which a `StagedLearner` draws random numbers at once."""
    return max(1, min(AT_ONCE, AHEAD // (4 * batch * width)))


class StagedLearner(Learner):
    """A learner whose step is a pure function of its tensors and of its random numbers.

    A step first draws all random numbers and gathers the rows that they select. Then each stage
    (one per optimiser) computes an objective. Therefore the numbers of several steps can be drawn
    at once.

    Attributes:
        clip: Largest norm of the gradient of a stage. None: gradients are not clipped.
        width: Approximate number of float32 values that `draw` and `gather` need per row of a
            batch.
    """

    clip: float | None = None
    width: int

    @property
    def at_once(self) -> int:
        return drawn_at_once(self.batch, self.width)

    @abstractmethod
    def draw(self, source: Source) -> dict[str, Tensor]:
        """Draw all random numbers of a step: tensors by name."""

    @abstractmethod
    def gather(self, drawn: dict[str, Tensor]) -> dict[str, Tensor]:
        """Compute the inputs of `objective` from random numbers and rows, without any weight."""

    @abstractmethod
    def objective(
        self, stage: int, drawn: dict[str, Tensor], carried: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Compute the objective that the optimiser at position `stage` minimises."""

    def ahead(self, generator: torch.Generator, steps: int) -> list[dict[str, Tensor]]:
        """Draw random numbers for the next `steps`, and gather the inputs of each."""
        drawn = self.draw(Source(generator, next(self.sampler.parameters()), (steps,)))
        with torch.no_grad():
            parts = {name: all.unbind(0) for name, all in self.gather(drawn).items()}
        return [{name: part[i] for name, part in parts.items()} for i in range(steps)]

    def step(self, drawn: dict[str, Tensor]) -> Tensor:
        carried: dict[str, Tensor] = {}
        losses = []
        for stage, optimizer in enumerate(self.optimizers):
            weights = [w for group in optimizer.param_groups for w in group["params"]]
            objective, found, carried = self.objective(stage, drawn, carried)
            optimizer.zero_grad(set_to_none=True)
            objective.backward(inputs=weights)
            if self.clip is not None:
                nn.utils.clip_grad_norm_(weights, self.clip, foreach=True)
            optimizer.step()
            losses.append(found)
        return torch.cat(losses)
