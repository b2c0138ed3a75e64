"""Blocks, and operations on spans: the stretches of a wide output that belong to one column each.

No operation loops over columns: sums over spans are products with a membership matrix, so the
number of kernel launches does not grow with the table.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Logits are kept within +-LIMIT, so that exponentials need no maximum of each span to be safe in
# float32.
LIMIT = 20.0


class Spans(nn.Module):
    """Columns of levels side by side: column j takes ``widths[j]`` of the ``total`` places.

    Shapes: logits and one-hot rows (batch, total); codes and values of each span (batch, n_spans).

    Example:
        >>> spans = Spans([2, 3])
        >>> spans.one_hot(torch.tensor([[1, 2]]))
        tensor([[0., 1., 0., 0., 1.]])
        >>> spans.softmax(torch.zeros(1, 5))
        tensor([[0.5000, 0.5000, 0.3333, 0.3333, 0.3333]])
    """

    member: Tensor
    offsets: Tensor

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.widths = list(widths)
        self.total = sum(widths)
        of = torch.repeat_interleave(
            torch.arange(len(widths)), torch.tensor(widths, dtype=torch.long)
        )
        member = torch.zeros(self.total, len(widths))
        member[torch.arange(self.total), of] = 1.0
        starts = torch.tensor([0, *widths[:-1]] if widths else [], dtype=torch.long).cumsum(0)
        self.register_buffer("member", member, persistent=False)
        self.register_buffer("offsets", starts, persistent=False)

    def one_hot(self, codes: Tensor) -> Tensor:
        out = torch.zeros(len(codes), self.total, device=codes.device, dtype=self.member.dtype)
        return out.scatter_(1, codes + self.offsets, 1.0)

    def bounded(self, raw: Tensor) -> Tensor:
        """Logits within +-`LIMIT`, nearly unchanged near 0."""
        return LIMIT * torch.tanh(raw / LIMIT)

    def logsumexp(self, logits: Tensor) -> Tensor:
        """Of each span, shape (batch, n_spans); logits of a row must lie within 80 of one
        another.
        """
        if not self.total:
            return logits.new_zeros(len(logits), 0)
        top = logits.detach().amax(1, keepdim=True)
        return (logits - top).exp().matmul(self.member).log() + top

    def spread(self, values: Tensor) -> Tensor:
        """The value of each span at all of its places: (batch, n_spans) to (batch, total)."""
        return values.matmul(self.member.T)

    def softmax(self, logits: Tensor) -> Tensor:
        return (logits - self.spread(self.logsumexp(logits))).exp()

    def cross_entropy(self, logits: Tensor, codes: Tensor) -> Tensor:
        """Of each span. Shape (batch, n_spans)."""
        return self.logsumexp(logits) - logits.gather(1, codes + self.offsets)

    def gumbel_softmax(
        self, logits: Tensor, temperature: float, generator: torch.Generator
    ) -> Tensor:
        """A soft draw from each span's distribution (Jang et al. 2017; Maddison et al. 2017)."""
        if not self.total:
            return logits
        noisy = logits + gumbel(logits.shape, logits.device, generator)
        # The log-sum-exp lies within log(width) of the span's maximum: dividing by the temperature
        # stays safe. Below e-40 a share is nothing, and denormal numbers would slow every product
        # by an order of magnitude.
        scaled = (noisy - self.spread(self.logsumexp(noisy)).detach()) / temperature
        soft = scaled.clamp(min=-40).exp()
        return soft / self.spread(soft.matmul(self.member))

    def draw(self, logits: Tensor, generator: torch.Generator) -> Tensor:
        """Codes drawn from each span's distribution, int64 of shape (batch, n_spans)."""
        noisy = logits + gumbel(logits.shape, logits.device, generator)
        parts = [part.argmax(1) for part in noisy.split(self.widths, 1)] if self.widths else []
        return (
            torch.stack(parts, 1)
            if parts
            else torch.zeros(len(logits), 0, dtype=torch.long, device=logits.device)
        )


def gumbel(shape: torch.Size, device: torch.device, generator: torch.Generator) -> Tensor:
    uniform = torch.rand(shape, device=device, generator=generator)
    return -(-(uniform.clamp_(1e-20, 1 - 1e-7)).log()).log()


def dropout(x: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Dropout from a generator of our own; torch's takes the global one."""
    keep = torch.rand(x.shape, device=x.device, generator=generator) >= share
    return x * keep / (1 - share)


def one_hot(labels: Tensor, n: int) -> Tensor:
    """float32 of shape (batch, n); unlike torch's own it never asks the device for a value."""
    return (labels[:, None] == torch.arange(n, device=labels.device)).float()


class _Linear(nn.Linear):
    def reset_parameters(self) -> None:
        """Nothing: torch's own draws from the global generator."""


def linear(n_in: int, n_out: int) -> nn.Linear:
    """A linear layer without values yet; `initialise` gives them, from a generator of our own."""
    return _Linear(n_in, n_out)


class OneHotLinear(nn.Module):
    """A linear layer of dense inputs beside one-hot ones, which are looked up, not multiplied.

    Args:
        n_dense: Dense inputs.
        n_levels: Places of the one-hot inputs, all told.
        n_out: Outputs.

    Shapes: dense (batch, n_dense), places (batch, one for each one-hot input),
    result (batch, n_out).
    """

    def __init__(self, n_dense: int, n_levels: int, n_out: int) -> None:
        super().__init__()
        self.dense = linear(n_dense, n_out)
        self.table = nn.Parameter(torch.empty(n_levels, n_out))

    def forward(self, dense: Tensor, places: Tensor) -> Tensor:
        out = self.dense(dense)
        return out + F.embedding_bag(places, self.table, mode="sum") if places.shape[1] else out


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Uniform within 1 / sqrt(inputs), torch's default for linear layers."""

    def uniform(tensor: Tensor, inputs: int) -> None:
        bound = 1 / math.sqrt(max(1, inputs))
        nn.init.uniform_(tensor, -bound, bound, generator=generator)

    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            uniform(layer.weight, layer.in_features)
            uniform(layer.bias, layer.in_features)
    for layer in module.modules():
        if isinstance(layer, OneHotLinear):
            inputs = layer.dense.in_features + len(layer.table)
            uniform(layer.dense.weight, inputs)
            uniform(layer.dense.bias, inputs)
            uniform(layer.table, inputs)
