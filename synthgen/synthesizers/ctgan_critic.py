"""The critic of CTGAN: it tells packs of real rows from packs of generated ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from synthgen.encoding.layout import Encoded
from synthgen.training.blocks import OneHot, QuickLinear, Spans, WideLinear, linear, product

HIDDEN = 256
LEAK = 0.2


class Critic(nn.Module):
    """Scores packs of rows, each with its condition (Lin et al. 2018).

    It has two hidden layers with leaky ReLU and dropout, and is piecewise linear. So its gradient
    with respect to the rows is a product of matrices, which `slope` computes, and the gradient
    penalty needs no second derivatives.
    """

    starts: Tensor
    origins: Tensor

    def __init__(self, width: int, n_levels: int, n_conditions: int, pac: int) -> None:
        super().__init__()
        self.pac = pac
        self.first = WideLinear(pac * width, pac * n_levels, HIDDEN)
        # The last layer has no bias: it would cancel in the difference of scores.
        self.second, self.last = QuickLinear(HIDDEN, HIDDEN), linear(HIDDEN, 1, bias=False)
        # Each position in a pack has its own weights.
        row = torch.arange(pac)
        self.register_buffer(
            "starts", row.repeat_interleave(n_conditions) * n_levels, persistent=False
        )
        self.register_buffer("origins", row[:, None] * width, persistent=False)

    def condition_part(self, condition: Tensor) -> Tensor:
        """What the condition adds to the first layer, shape (packs, HIDDEN)."""
        places = condition.reshape(len(condition) // self.pac, len(self.starts)) + self.starts
        return OneHot(places, len(self.first.table)).times(self.first.table, self.first.bias)

    def soft_part(self, rows: Tensor) -> Tensor:
        """What soft (generated) rows add to the first layer, shape (packs, HIDDEN)."""
        return product(rows.reshape(len(rows) // self.pac, -1), self.first.rows)

    def packed(self, rows: Encoded, spans: Spans) -> tuple[Tensor, Tensor]:
        """Real rows as positions in the first layer and values, both of shape (..., packs, n)."""
        numbers, n = rows.numbers, rows.numbers.shape[-1]
        columns = torch.arange(n, device=numbers.device).expand(numbers.shape)
        places = torch.cat([columns, rows.codes + (spans.offsets + n)], -1)
        shares = torch.cat([numbers, torch.ones_like(rows.codes, dtype=numbers.dtype)], -1)
        packs = (*numbers.shape[:-2], numbers.shape[-2] // self.pac)
        by_pack = places.reshape(*packs, self.pac, places.shape[-1]) + self.origins
        return by_pack.flatten(-2), shares.reshape(by_pack.flatten(-2).shape)

    def real_part(self, places: Tensor, shares: Tensor) -> Tensor:
        """What real rows, as from `packed`, add to the first layer, shape (packs, HIDDEN)."""
        return OneHot(places, len(self.first.rows), shares).times(self.first.rows)

    def forward(self, entered: Tensor, kept: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scores, shape (packs, 1), and the factors of both hidden layers that `slope` needs."""
        one = _activation_factor(entered, kept[:, :HIDDEN])
        inner = self.second(entered * one)
        two = _activation_factor(inner, kept[:, HIDDEN:])
        return self.last(inner * two), one, two

    def slope(self, one: Tensor, two: Tensor) -> Tensor:
        """The gradient of each score with respect to its rows, shape (packs, pac * width)."""
        back = product(self.last.weight * two, self.second.weight)
        return product(back * one, self.first.rows.T)


def critic(n_numbers: int, n_levels: int, n_labels: int, pac: int) -> Critic:
    condition = n_levels + (n_labels if n_labels > 1 else 0)
    return Critic(n_numbers + n_levels, condition, (n_levels > 0) + (n_labels > 1), pac)


def _activation_factor(x: Tensor, kept: Tensor) -> Tensor:
    """The factor that leaky ReLU and dropout apply to `x`.

    It is computed as the gradient of leaky ReLU at `x`, because that takes a single kernel.
    """
    return torch.ops.aten.leaky_relu_backward(kept, x.detach(), LEAK, False)
