"""The interface of networks: a `Learner` is trained in steps, its `Sampler` generates rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from synthgen.encoding.layout import Encoded

# {parameter or buffer: {dimension: its sections in order}}; a section is "numbers", "levels",
# "codes", or a plain width.
Axes = dict[str, dict[int, tuple[str | int, ...]]]


class Sampler(nn.Module, ABC):
    """The network that generates rows; the only one that a model file holds.

    Attributes:
        n_labels: Number of classes; 1: the class is no condition.
        rows: Number of training rows that it is sized for.
    """

    n_labels: int
    rows: int

    @abstractmethod
    def generate(self, rows: int, generator: torch.Generator, label: int) -> Encoded:
        """Fresh rows of one class; a row never depends on the rows beside it.

        Args:
            rows: How many.
            generator: The only source of randomness.
            label: Position of the class among those learned together; 0 when one class was
                learned alone.
        """


class Learner(nn.Module, ABC):
    """Networks in training.

    Weights, buffers, optimisers and the generator are the whole state of training: a checkpoint
    holds these, and training that diverges is reset to them.

    Attributes:
        losses: Names of the values that `step` returns.
        sampler: Its averaged weights are what the fitted model keeps.
        optimizers: All optimisers that `step` uses; their state must be tensors.
        batch: Rows of a batch; read at each step and lowered if memory runs out.
        pac: Rows that are judged together; the batch stays a multiple of it.
    """

    losses: tuple[str, ...]
    sampler: Sampler
    optimizers: list[torch.optim.Optimizer]
    batch: int = 2
    pac: int = 1

    def course(self, done: int, steps: int) -> float:
        """The learning rate after `done` of `steps` steps, as a share of the initial one."""
        return 1.0

    @abstractmethod
    def step(self, generator: torch.Generator) -> Tensor:
        """One update of all weights, from rows that lie on the device.

        On CUDA it is recorded once and replayed: no value may travel to the host, no shape may
        depend on one, and what changes from step to step must be a tensor changed in place.

        Returns:
            The losses, shape (len(losses),).
        """


@dataclass(frozen=True)
class Source:
    """Where the random numbers of a step come from.

    Attributes:
        generator: The only source of randomness.
        like: The device and the type that the numbers have.
        lead: What each shape begins with: nothing for one learner, (k,) for k side by side.
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


class StagedLearner(Learner):
    """A learner whose step is a pure function of its tensors and of what was drawn for it.

    All randomness is drawn first; then each stage, one for each optimiser, gives an objective. So
    a step can be given the draws of another one, and many learners can take theirs as one.

    Attributes:
        clip: Greatest norm of the gradient of a stage; None: it is not clipped.
    """

    clip: float | None = None

    @abstractmethod
    def draw(self, source: Source) -> dict[str, Tensor]:
        """All random numbers of a step, by name."""

    @abstractmethod
    def axes(self) -> Axes:
        """The dimensions of parameters and saved buffers that depend on the layout of the table."""

    @abstractmethod
    def forward(
        self, stage: int, drawn: dict[str, Tensor], carried: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """What the optimiser at position `stage` lowers.

        Args:
            stage: Position among the optimisers.
            drawn: Of `draw`.
            carried: What the stage before leaves; empty for the first.

        Returns:
            The objective, a number; the losses to report, shape (n,), without a gradient; and what
            the next stage needs.
        """

    def step(self, generator: torch.Generator) -> Tensor:
        drawn = self.draw(Source(generator, next(self.sampler.parameters())))
        carried: dict[str, Tensor] = {}
        losses = []
        for stage, optimizer in enumerate(self.optimizers):
            weights = [w for group in optimizer.param_groups for w in group["params"]]
            objective, found, carried = self(stage, drawn, carried)
            optimizer.zero_grad(set_to_none=True)
            objective.backward(inputs=weights)
            if self.clip is not None:
                nn.utils.clip_grad_norm_(weights, self.clip, foreach=True)
            optimizer.step()
            losses.append(found)
        return torch.cat(losses)
