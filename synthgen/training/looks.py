"""Looks: the validation loss of a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from synthgen.encoding.layout import Encoded, Layout
from synthgen.training.device import torch_generator
from synthgen.training.learner import Sampler

# Tensors of shape (rows, ...) by name, for the held-out rows of one class.
Part = dict[str, Tensor]


class Look(nn.Module, ABC):
    """The validation loss of a sampler on held-out rows: a pure function of its tensors."""

    def __init__(
        self,
        sampler: Sampler,
        layout: Layout,
        held: list[Encoded],
        labels: list[int],
        seed: np.random.SeedSequence,
    ) -> None:
        super().__init__()
        self.sampler, self.layout = sampler, layout
        self.held, self.labels, self.seed = held, labels, seed
        self.prepare()

    def prepare(self) -> None:
        """Add the modules that `forward` needs; the constructor calls it at its end."""

    @abstractmethod
    def parts(self) -> list[Part]:
        """The held-out rows and the random numbers of each class."""

    @abstractmethod
    def forward(self, parts: list[Part]) -> Tensor:
        """Compute the loss, a scalar, averaged over classes; lower is better."""

    @staticmethod
    @abstractmethod
    def taken(layout: Layout, rows: Sequence[int]) -> tuple[int, int]:
        """Bytes of the result of `parts`, and bytes that `forward` takes beside it."""

    def value(self) -> float:
        """The loss of the sampler as it is."""
        return float(self(self.parts()))

    def started(self) -> tuple[torch.Generator, Tensor]:
        """A generator at the start of the look's random numbers, and a tensor like its numbers."""
        like = next(self.sampler.parameters())
        return torch_generator(self.seed, like.device), like
