"""The interface of networks: a `Learner` is trained in steps, its `Sampler` generates rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from synthgen.encoding.layout import Encoded

# Updates whose random numbers are drawn at once: for 16 steps a draw takes a GPU no longer than
# for one. Also the updates of one captured graph.
AT_ONCE = 16
# Bytes that they take together, unless one step takes more.
AHEAD = 2**26
# {parameter or buffer: {dimension: its sections in order}}; a section is "numbers", "levels",
# "codes", or a plain width.
Axes = dict[str, dict[int, tuple[str | int, ...]]]


@dataclass(frozen=True)
class Source:
    """Where random numbers come from.

    Attributes:
        generator: The only source of randomness.
        like: The device and the type that the numbers have.
        lead: What each shape begins with: (n,) for n steps of one learner, (k,) for a step of k
            learners side by side.
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
    """The network that generates rows; the only one that a model file holds.

    Attributes:
        n_labels: Number of classes; 1: the class is no condition.
        rows: Number of training rows that it is sized for.
    """

    n_labels: int
    rows: int

    @abstractmethod
    def draw(self, rows: int, source: Source) -> dict[str, Tensor]:
        """Everything random of so many rows, by name; each of shape (rows, ...)."""

    @abstractmethod
    def made(self, drawn: dict[str, Tensor], label: int) -> Encoded:
        """The rows of what was drawn for them; a row never depends on the rows beside it.

        On CUDA it is captured: no value may travel to the host.

        Args:
            drawn: Of `draw`.
            label: Position of the class among those learned together; 0 when one class was
                learned alone.
        """

    def generate(self, rows: int, generator: torch.Generator, label: int) -> Encoded:
        """Fresh rows of one class; `generator` is the only source of randomness."""
        return self.made(self.draw(rows, Source(generator, next(self.parameters()))), label)


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
        at_once: Greatest number of steps that `ahead` is asked for.
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
        """The learning rate of the step after `done` of `steps`, as a share of the first."""
        return 1.0

    def ahead(self, generator: torch.Generator, steps: int) -> list[Any]:
        """What each of the next `steps` gets: here the generator, to draw for itself."""
        return [generator] * steps

    def start_from(self, base: Learner) -> None:
        """Take the weights of a base that learned from all rows, to learn from one class."""
        self.load_state_dict(base.state_dict())

    @abstractmethod
    def step(self, drawn: Any) -> Tensor:
        """One update of all weights, from rows that lie on the device.

        On CUDA it is captured once and replayed: no value may travel to the host, no shape may
        depend on one, and what changes from step to step must be a tensor changed in place.

        Args:
            drawn: Of `ahead`.

        Returns:
            The losses, shape (len(losses),).
        """


def drawn_at_once(batch: int, width: int) -> int:
    """For how many steps a `StagedLearner` draws at once."""
    return max(1, min(AT_ONCE, AHEAD // (4 * batch * width)))


class StagedLearner(Learner):
    """A learner whose step is a pure function of its tensors and of what was drawn for it.

    All randomness is drawn first, and the rows that it chooses are gathered; then each stage, one
    for each optimiser, gives an objective. So several steps are drawn at once, and many learners
    can take a step as one.

    Attributes:
        clip: Greatest norm of the gradient of a stage; None: it is not clipped.
        width: float32 numbers that `draw` and `gather` need for each row of a batch, about.
    """

    clip: float | None = None
    width: int

    @property
    def at_once(self) -> int:
        return drawn_at_once(self.batch, self.width)

    @abstractmethod
    def draw(self, source: Source) -> dict[str, Tensor]:
        """All random numbers of a step, by name."""

    @abstractmethod
    def gather(self, drawn: dict[str, Tensor]) -> dict[str, Tensor]:
        """What `objective` needs of draws and rows; it depends on no weight.

        Shapes may begin with further dimensions, which those of the result begin with as well.
        """

    @abstractmethod
    def axes(self) -> Axes:
        """The dimensions of parameters and saved buffers that depend on the layout of the table."""

    @abstractmethod
    def objective(
        self, stage: int, drawn: dict[str, Tensor], carried: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """What the optimiser at position `stage` lowers.

        Args:
            stage: Position among the optimisers.
            drawn: Of `gather`; only the first stage uses it.
            carried: What the stage before leaves; empty for the first.

        Returns:
            The objective, a number; the losses to report, shape (n,), without a gradient; and what
            the next stage needs.
        """

    def forward(
        self, stage: int, drawn: dict[str, Tensor], carried: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """As `objective`, from draws alone: for one of many learners side by side."""
        return self.objective(stage, {} if stage else self.gather(drawn), carried)

    def ahead(self, generator: torch.Generator, steps: int) -> list[dict[str, Tensor]]:
        """What `gather` finds for the draws of the next `steps`."""
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
