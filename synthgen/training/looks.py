"""Looks: the validation loss of one network, or of many networks as one batched function."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from synthgen.encoding.layout import Encoded, Layout
from synthgen.training import averages
from synthgen.training.device import torch_generator
from synthgen.training.learner import Sampler

# Upper limit of the bytes that the looks of many networks take at once, unless one look needs more.
MOST = 2**30
# Tensors of shape (rows, ...) by name, for the held-out rows of one class. "there" is 1 for a row
# that counts and 0 for padding.
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

    @property
    @abstractmethod
    def sections(self) -> dict[str, tuple[str, ...]]:
        """Sections of the last dimension of each tensor that depends on the layout."""

    @staticmethod
    @abstractmethod
    def taken(layout: Layout, rows: Sequence[int]) -> tuple[int, int]:
        """Bytes of the result of `parts`, and bytes that `forward` takes beside it."""

    def value(self) -> float:
        """The loss of the sampler as it is."""
        return float(self(self.parts()))

    def again(self, sampler: Sampler, layout: Layout) -> Look:
        """The same look in a layout that several tables share; its `parts` are not used."""
        return type(self)(sampler, layout, self.held, self.labels, self.seed)

    def started(self) -> tuple[torch.Generator, Tensor]:
        """A generator at the start of the look's random numbers, and a tensor like its numbers."""
        like = next(self.sampler.parameters())
        return torch_generator(self.seed, like.device), like


class LooksTogether:
    """The looks of several networks (k) as one batched function.

    The held-out rows and random numbers of all networks are padded to a common shape, once. Rows of
    padding do not count. If the memory of all looks exceeds `MOST`, they run in blocks.
    """

    def __init__(
        self, looks: list[Look | None], layouts: list[Layout], sampler: Sampler, each: int
    ) -> None:
        pairs = [(a, b) for a, b in zip(looks, layouts, strict=True) if a is not None]
        wide = [look.again(sampler, layout) for look, layout in pairs]
        # Position of each network among those with a look.
        self.place = {i: n for n, i in enumerate(i for i, a in enumerate(looks) if a is not None)}
        self.at_once = max(1, MOST // max(1, each))
        if not pairs:
            return
        self.template = wide[0]
        own = [
            {n: b for n, b in each.named_buffers() if not n.startswith("sampler.")} for each in wide
        ]
        self.buffers = stacked(own)
        with torch.no_grad():
            parts = [_widened(look, layout) for look, layout in pairs]
        most = max(parts, key=len)
        self.parts = [
            stacked([some[j] if j < len(some) else _none(most[j]) for some in parts])
            for j in range(len(most))
        ]

    def __call__(self, due: list[int], tensors: dict[str, Tensor]) -> list[float]:
        """Compute the losses of some of the networks, and copy them to the host."""
        if not due:
            return []
        found = []
        with averages.evaluating(self.template):
            for start in range(0, len(due), self.at_once):
                rows = due[start : start + self.at_once]
                mine = _rows(tensors, rows)
                places = [self.place[i] for i in rows]
                own = _rows(self.buffers, places)
                found.append(
                    vmap(self._one)(mine | own, [_rows(part, places) for part in self.parts])
                )
        return torch.cat(found).tolist()

    def _one(self, tensors: dict[str, Tensor], parts: list[Part]) -> Tensor:
        return functional_call(self.template, tensors, (parts,))


def stacked(tables: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Stack the tensors of each name; shorter ones are padded with zeros."""
    out = {}
    for name, first in tables[0].items():
        parts = [table[name] for table in tables]
        dtype = first.dtype
        for part in parts:
            dtype = torch.promote_types(dtype, part.dtype)
        if first.dim():
            most = max(len(part) for part in parts)
            parts = [_longer(part, most) for part in parts]
        out[name] = torch.stack([part.to(dtype) for part in parts])
    return out


def _longer(part: Tensor, rows: int) -> Tensor:
    return torch.cat([part, part.new_zeros(rows - len(part), *part.shape[1:])])


def _none(part: Part) -> Part:
    return {name: tensor[:0] for name, tensor in part.items()}


def _rows(tables: dict[str, Tensor], rows: list[int]) -> dict[str, Tensor]:
    """Some rows of each tensor; consecutive rows are not copied."""
    first, last = rows[0], rows[-1]
    if rows == list(range(first, last + 1)):
        return {name: tensor[first : last + 1] for name, tensor in tables.items()}
    at = torch.tensor(rows, device=next(iter(tables.values())).device)
    return {name: tensor.index_select(0, at) for name, tensor in tables.items()}


def _widened(look: Look, layout: Layout) -> list[Part]:
    """The parts of a look in a shared layout, with zeros for columns that its table lacks."""
    sections = look.sections
    at = {name: layout.positions(of) for name, of in sections.items()}
    width = {name: sum(layout.sizes()[s] for s in of) for name, of in sections.items()}
    found = []
    for part in look.parts():
        wide = dict(part)
        for name in sections:
            own = part[name]
            zeros = own.new_zeros(*own.shape[:-1], width[name])
            wide[name] = zeros.index_copy(-1, at[name].to(own.device), own)
        found.append(wide)
    return found
