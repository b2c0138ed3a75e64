"""Building blocks of networks, and operations on spans.

A span is the part of a wide output that belongs to one column. No operation loops over columns:
sums over spans are products with a membership matrix, or sums by index on a CPU, so the number of
kernel launches does not grow with the table.
"""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Logits are limited to +-LIMIT, so that their exponentials do not overflow in float32 even if the
# maximum of each span is not subtracted first.
LIMIT = 20.0
# CPU capabilities. With bfloat16 instructions, products are three times as fast as in float32 and
# training is as good (`evaluation/speed.md`). torch before 2.9 does not report capabilities.
_CAN = getattr(torch.cpu, "get_capabilities", dict)()
BFLOAT16 = bool(_CAN.get("avx512_bf16") or _CAN.get("amx_bf16"))
# If the input has at most this many levels per level that is looked up, a bfloat16 product is
# faster than the look-up.
NARROW = 64


class Spans(nn.Module):
    """The spans of a row of logits: ``widths[j]`` of the ``total`` entries belong to column j.

    Shapes: logits and one-hot rows are (batch, total), codes and values per span (batch, n_spans).

    Attributes:
        of: The column of each entry, shape (total,).
        offsets, sizes: The first entry of each column and the number of its entries.
    """

    of: Tensor
    member: Tensor
    offsets: Tensor
    sizes: Tensor

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.widths = list(widths)
        self.total = sum(widths)
        of = torch.repeat_interleave(
            torch.arange(len(widths)),
            torch.tensor(widths, dtype=torch.long),
            output_size=self.total,
        )
        self.register_buffer("of", of, persistent=False)
        member = torch.zeros(self.total, len(widths))
        member[torch.arange(self.total), of] = 1.0
        starts = torch.tensor([0, *widths[:-1]] if widths else [], dtype=torch.long).cumsum(0)
        self.register_buffer("member", member, persistent=False)
        self.register_buffer("offsets", starts, persistent=False)
        sizes = torch.tensor(widths, dtype=torch.long)
        self.register_buffer("sizes", sizes, persistent=False)

    def one_hot(self, codes: Tensor) -> Tensor:
        out = torch.zeros(len(codes), self.total, device=codes.device, dtype=self.member.dtype)
        return out.scatter(1, codes + self.offsets, 1.0)

    def bounded(self, raw: Tensor) -> Tensor:
        """Limit logits smoothly to +-`LIMIT`."""
        return LIMIT * torch.tanh(raw / LIMIT)

    def logsumexp(self, logits: Tensor, *, bounded: bool = False) -> Tensor:
        """Compute the log-sum-exp of each span, shape (batch, n_spans)."""
        if not self.total:
            return logits.new_zeros(len(logits), 0)
        if bounded:
            return self.summed(logits.exp()).log()
        top = logits.detach().amax(1, keepdim=True)
        return self.summed((logits - top).exp()).log() + top

    def summed(self, values: Tensor) -> Tensor:
        """Sum over each span: from shape (batch, total) to (batch, n_spans)."""
        if by_index(values):
            return values.new_zeros(len(values), len(self.widths)).index_add(1, self.of, values)
        return _exact(values, self.member)

    def spread(self, values: Tensor) -> Tensor:
        """Repeat each span's value at its entries: from (batch, n_spans) to (batch, total)."""
        if by_index(values):
            return values.index_select(1, self.of)
        return _exact(values, self.member.T)

    def softmax(self, logits: Tensor) -> Tensor:
        """Compute the softmax within each span. Logits of one row may differ by at most 80."""
        if not self.total:
            return logits
        shares = (logits - logits.detach().amax(1, keepdim=True)).exp()
        return shares / self.spread(self.summed(shares))

    def cross_entropy(self, logits: Tensor, places: Tensor, *, bounded: bool = False) -> Tensor:
        """Compute the cross-entropy of each span, shape (batch, n_spans)."""
        if not self.total:
            return logits.new_zeros(len(logits), 0)
        if not bounded:
            logits = logits - logits.detach().amax(1, keepdim=True)
        return self.logsumexp(logits, bounded=True) - logits.gather(1, places)

    def gumbel_softmax(self, logits: Tensor, temperature: float, noise: Tensor) -> Tensor:
        """Draw softly from each span's distribution (Jang et al. 2017; Maddison et al. 2017)."""
        if not self.total:
            return logits
        noisy = logits + noise
        # The log-sum-exp exceeds the span's maximum by at most log(width), so dividing by the
        # temperature is safe. Shares below e**-40 are negligible, and denormal numbers would slow
        # every product by an order of magnitude.
        top = self.spread(self.logsumexp(noisy.detach(), bounded=True))
        soft = ((noisy - top) / temperature).clamp(min=-40).exp()
        return soft / self.spread(self.summed(soft))

    def draw(self, logits: Tensor, uniform: Tensor) -> Tensor:
        """Draw codes by inverse CDF, int64 of shape (batch, n_spans)."""
        if not self.total:
            return torch.zeros(len(logits), 0, dtype=torch.long, device=logits.device)
        # Cumulative sum over all spans; float64, so that rounding does not grow with the row.
        passed = self.softmax(logits).cumsum(1, dtype=torch.float64)
        ends = passed[:, self.offsets + self.sizes - 1]
        starts = F.pad(ends[:, :-1], (1, 0))
        place = torch.searchsorted(passed, starts + uniform * (ends - starts), right=True)
        return torch.minimum((place - self.offsets).clamp(min=0), self.sizes - 1)


def by_index(values: Tensor) -> bool:
    """Return whether to sum the columns of each block by index, not by a matrix product."""
    return values.device.type == "cpu"


def _exact(values: Tensor, member: Tensor) -> Tensor:
    """Compute ``values @ member`` in full float32 precision, even if CUDA may use TF32."""
    if values.dtype != torch.float32 or not values.is_cuda or not _rounds():
        return values.matmul(member)
    return values.double().matmul(member.double()).float()


def _rounds() -> bool:
    """Whether torch may round float32 factors to TF32 on CUDA."""
    matmul = torch.backends.cuda.matmul
    setting = getattr(matmul, "fp32_precision", None)  # torch before 2.9 lacks this setting
    if setting is None:
        return bool(matmul.allow_tf32)
    if setting == "none":
        setting = getattr(torch.backends, "fp32_precision", "none")
    return setting not in ("none", "ieee")


def gumbel(uniform: Tensor) -> Tensor:
    """Turn uniform random numbers into standard Gumbel ones, limited to +-17."""
    return uniform.clamp(1e-20, 1 - 1e-7).log().neg().log().neg()


def each_row(label: int | Tensor, rows: Tensor) -> Tensor:
    """Expand a label to one per row, int64 of shape (rows,)."""
    if isinstance(label, Tensor):
        return label
    return torch.full((len(rows),), label, dtype=torch.long, device=rows.device)


def one_hot(labels: Tensor, n: int) -> Tensor:
    """Encode labels one-hot, float32 of shape (batch, n), without waiting for a GPU."""
    return (labels[:, None] == torch.arange(n, device=labels.device)).float()


@final
class _Linear(nn.Linear):
    def reset_parameters(self) -> None:
        """Do not initialise the weights; torch would draw them from its global generator."""


def linear(n_in: int, n_out: int, *, bias: bool = True) -> nn.Linear:
    """Make a linear layer without initial weights; `initialise` sets them."""
    return _Linear(n_in, n_out, bias=bias)


def use_bf16(x: Tensor) -> bool:
    """Whether products with `x` should round factors to bfloat16 and sum in float32."""
    return BFLOAT16 and x.dtype == torch.float32 and x.device.type == "cpu"


def product(a: Tensor, b: Tensor) -> Tensor:
    """Compute ``a @ b``, with factors in bfloat16 if `use_bf16` says so."""
    return (a.bfloat16() @ b.bfloat16()).float() if use_bf16(a) else a @ b


@final
class QuickLinear(nn.Linear):
    """A linear layer that multiplies in bfloat16 during training if `use_bf16` says so."""

    def reset_parameters(self) -> None:
        """Do not initialise the weights; see `linear`."""

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype == torch.bfloat16:
            bias = None if self.bias is None else self.bias.bfloat16()
            return F.linear(x, self.weight.bfloat16(), bias)
        if self.training and use_bf16(x):
            return self(x.bfloat16()).float()
        return super().forward(x)


class QuickSequential(nn.Sequential):
    """Layers with bfloat16 activations between them during training if `use_bf16` says so."""

    def forward(self, input: Tensor) -> Tensor:
        if self.training and use_bf16(input):
            return super().forward(input.bfloat16()).float()
        return super().forward(input)


class OneHotLinear(nn.Module):
    """A linear layer whose inputs are part dense, part one-hot.

    Shapes: dense (batch, n_dense), places of the one-hot input (batch, n_one_hot_inputs), result
    (batch, n_out).
    """

    def __init__(self, n_dense: int, n_levels: int, n_out: int) -> None:
        super().__init__()
        self.dense = QuickLinear(n_dense, n_out)
        self.table = nn.Parameter(torch.empty(n_levels, n_out))

    def forward(self, dense: Tensor, hot: OneHot) -> Tensor:
        return hot.times(self.table, self.dense(dense))


class OneHot:
    """A sparse input, nonzero at a few positions of each row, and its products with matrices.

    On a CPU, products look up rows of the matrix, unless the matrix is short and `use_bf16` holds.
    On a GPU, the input is written out once and multiplied as a
    dense matrix, whose gradient needs no sorting.
    """

    def __init__(self, places: Tensor, width: int, shares: Tensor | None = None) -> None:
        self.places, self.width, self.shares = places, width, shares
        self._written: dict[torch.dtype, Tensor] = {}

    def times(
        self, table: Tensor, added: Tensor | None = None, *, training: bool = False
    ) -> Tensor:
        """Multiply the input by a matrix: for each row, sum the matrix rows at its positions."""
        places = self.places
        if not places.shape[1]:
            empty = table.new_zeros(len(places), table.shape[1])
            return empty if added is None else empty + added
        rounded = training and use_bf16(table) and self.width <= NARROW * places.shape[1]
        if table.device.type == "cpu" and not rounded:
            found = F.embedding_bag(places, table, mode="sum", per_sample_weights=self.shares)
        else:
            kind = torch.bfloat16 if rounded else table.dtype
            hot = self.written(kind)
            if added is not None and not rounded:
                return torch.addmm(added, hot, table)
            found = (hot @ table.to(kind)).to(table.dtype)
        return found if added is None else found + added

    def written(self, kind: torch.dtype) -> Tensor:
        """Write the input out as a dense matrix of shape (batch, width)."""
        if kind not in self._written:
            hot = torch.zeros(len(self.places), self.width, device=self.places.device, dtype=kind)
            if self.shares is None:
                self._written[kind] = hot.scatter_(1, self.places, 1.0)
            else:
                self._written[kind] = hot.scatter_(1, self.places, self.shares.to(kind))
        return self._written[kind]


class WideLinear(nn.Module):
    """A linear layer for very many dense and one-hot inputs, with one row of weights per input.

    In this orientation the gradient of a very wide matrix is fastest to compute.
    """

    def __init__(self, n_dense: int, n_levels: int, n_out: int) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.empty(n_dense, n_out))
        self.table = nn.Parameter(torch.empty(n_levels, n_out))
        self.bias = nn.Parameter(torch.empty(n_out))


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Set all weights: uniform within 1 / sqrt(inputs), torch's default for linear layers."""

    def uniform(tensor: Tensor, inputs: int) -> None:
        bound = 1 / math.sqrt(max(1, inputs))
        nn.init.uniform_(tensor, -bound, bound, generator=generator)

    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            for tensor in layer.parameters(recurse=False):
                uniform(tensor, layer.in_features)
    for layer in module.modules():
        if isinstance(layer, OneHotLinear):
            inputs = layer.dense.in_features + len(layer.table)
            uniform(layer.dense.weight, inputs)
            uniform(layer.dense.bias, inputs)
            uniform(layer.table, inputs)
        elif isinstance(layer, WideLinear):
            for tensor in layer.parameters():
                uniform(tensor, len(layer.rows) + len(layer.table))
