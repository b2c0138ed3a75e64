"""Building blocks of networks, and operations on spans.

A span is the part of a wide output that belongs to one column. No operation loops over columns:
sums over spans are products with a membership matrix, or sums by index on a CPU, so the number of
kernel launches does not grow with the table.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Logits are kept within +-LIMIT. Then their exponentials do not overflow in float32, and no maximum
# of each span must be subtracted.
LIMIT = 20.0
# Added to the logit of a level that a table lacks, so that its exponential is 0.
CLOSED = -1e4
# Whether the CPU has instructions for bfloat16 products, which are three times as fast as float32
# ones and as good for training (`evaluation/speed.md`). torch before 2.9 cannot say.
_CAN = getattr(torch.cpu, "get_capabilities", dict)()
BFLOAT16 = bool(_CAN.get("avx512_bf16") or _CAN.get("amx_bf16"))
# With at most so many levels for each that is looked up, a bfloat16 product is faster.
NARROW = 64


class Spans(nn.Module):
    """The spans of a row of logits: column j has ``widths[j]`` of its ``total`` entries.

    Shapes: logits and one-hot rows are (batch, total), codes and values per span (batch, n_spans).

    Args:
        widths: Number of levels of each column.
        own: In a layout that several tables share, the number of levels of each column that this
            table has, 0 for a column that it lacks. None: the layout is not shared.

    Attributes:
        used: 1 for each entry that the table has, 0 for the others; shape (total,).
        count: Number of columns that the table has.

    Example:
        >>> spans = Spans([2, 3])
        >>> spans.one_hot(torch.tensor([[1, 2]]))
        tensor([[0., 1., 0., 0., 1.]])
        >>> spans.softmax(torch.zeros(1, 5))
        tensor([[0.5000, 0.5000, 0.3333, 0.3333, 0.3333]])
    """

    of: Tensor
    member: Tensor
    offsets: Tensor
    sizes: Tensor
    used: Tensor
    closed: Tensor
    count: Tensor

    def __init__(self, widths: list[int], own: list[int] | None = None) -> None:
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
        self.padded = own is not None
        has = torch.tensor(own if own is not None else widths, dtype=torch.long)
        within = torch.arange(self.total) - starts[of]
        self.register_buffer("used", (within < has[of]).to(member.dtype), persistent=False)
        # A column that the table lacks keeps one level, so that each span has a distribution.
        closed = (within >= has.clamp(min=1)[of]).to(member.dtype) * CLOSED
        self.register_buffer("closed", closed, persistent=False)
        self.register_buffer("count", (has > 0).sum().double(), persistent=False)

    def one_hot(self, codes: Tensor) -> Tensor:
        out = torch.zeros(len(codes), self.total, device=codes.device, dtype=self.member.dtype)
        return self._kept(out.scatter(1, codes + self.offsets, 1.0))

    def shares(self, codes: Tensor) -> Tensor:
        """1 for each code of a column that the table has, shape (batch, n_spans)."""
        if not self.padded:
            return torch.ones_like(codes, dtype=self.member.dtype)
        return self.used[self.offsets].expand(len(codes), -1)

    def bounded(self, raw: Tensor) -> Tensor:
        """Logits limited to +-`LIMIT`, nearly unchanged near 0; `CLOSED` for levels it lacks."""
        logits = LIMIT * torch.tanh(raw / LIMIT)
        return logits + self.closed if self.padded else logits

    def _kept(self, shares: Tensor) -> Tensor:
        """The values, 0 for levels that the table lacks, so that their weights get no gradient."""
        return shares * self.used if self.padded else shares

    def logsumexp(self, logits: Tensor) -> Tensor:
        """Of each span, shape (batch, n_spans); logits of a row must lie within 80 of one
        another.
        """
        if not self.total:
            return logits.new_zeros(len(logits), 0)
        top = logits.detach().amax(1, keepdim=True)
        return self.summed((logits - top).exp()).log() + top

    def summed(self, values: Tensor) -> Tensor:
        """The sum over each span, from shape (batch, total) to (batch, n_spans)."""
        if _one_by_one(values):
            return values.new_zeros(len(values), len(self.widths)).index_add(1, self.of, values)
        return values.matmul(self.member)

    def spread(self, values: Tensor) -> Tensor:
        """The value of each span at all of its entries, from (batch, n_spans) to (batch, total)."""
        if _one_by_one(values):
            return values.index_select(1, self.of)
        return values.matmul(self.member.T)

    def softmax(self, logits: Tensor) -> Tensor:
        return self._kept((logits - self.spread(self.logsumexp(logits))).exp())

    def cross_entropy(self, logits: Tensor, codes: Tensor) -> Tensor:
        """Of each span. Shape (batch, n_spans)."""
        return self.logsumexp(logits) - logits.gather(1, codes + self.offsets)

    def gumbel_softmax(self, logits: Tensor, temperature: float, uniform: Tensor) -> Tensor:
        """A soft draw from each span's distribution (Jang et al. 2017; Maddison et al. 2017).

        Args:
            logits: Shape (batch, total).
            temperature: Towards 0 the draw becomes hard.
            uniform: Uniformly drawn from [0, 1), shape (batch, total).
        """
        if not self.total:
            return logits
        noisy = logits + gumbel(uniform)
        # The log-sum-exp lies within log(width) of the span's maximum: dividing by the temperature
        # stays safe. Below e-40 a share is nothing, and denormal numbers would slow every product
        # by an order of magnitude.
        scaled = (noisy - self.spread(self.logsumexp(noisy)).detach()) / temperature
        soft = scaled.clamp(min=-40).exp()
        return self._kept(soft / self.spread(self.summed(soft)))

    def draw(self, logits: Tensor, generator: torch.Generator) -> Tensor:
        """Codes drawn by inverse CDF, int64 of shape (batch, n_spans).

        One uniform number for each code, and one cumulated sum over all spans: the number of
        operations does not depend on that of the columns.
        """
        if not self.total:
            return torch.zeros(len(logits), 0, dtype=torch.long, device=logits.device)
        size, device = (len(logits), len(self.widths)), logits.device
        uniform = torch.rand(size, device=device, dtype=torch.float64, generator=generator)
        # Of all spans up to its own; float64, so that a long row adds up as exactly as a short one.
        passed = self.softmax(logits).cumsum(1, dtype=torch.float64)
        ends = passed[:, self.offsets + self.sizes - 1]
        starts = F.pad(ends[:, :-1], (1, 0))
        place = torch.searchsorted(passed, starts + uniform * (ends - starts), right=True)
        return torch.minimum((place - self.offsets).clamp(min=0), self.sizes - 1)


def _one_by_one(values: Tensor) -> bool:
    """Whether sums over spans are sums by index, and not matrix products.

    On a CPU the cost of a product grows with the square of the columns. On a GPU a product is one
    kernel launch and gives the same bits each time, which a sum by index does not.
    """
    return values.device.type == "cpu" and not _side_by_side(values)


def _side_by_side(tensor: Tensor) -> bool:
    return torch._C._functorch.is_batchedtensor(tensor)  # pyright: ignore[reportAttributeAccessIssue]


def gumbel(uniform: Tensor) -> Tensor:
    """Standard Gumbel numbers from uniform ones."""
    return uniform.clamp(1e-20, 1 - 1e-7).log().neg().log().neg()


def one_hot(labels: Tensor, n: int) -> Tensor:
    """One-hot labels, float32 of shape (batch, n); unlike torch's, without waiting for a GPU."""
    return (labels[:, None] == torch.arange(n, device=labels.device)).float()


class _Linear(nn.Linear):
    def reset_parameters(self) -> None:
        """Leave the weights unset; torch would draw them from its global generator."""


def linear(n_in: int, n_out: int, *, bias: bool = True) -> nn.Linear:
    """A linear layer whose weights are not set; `initialise` sets them."""
    return _Linear(n_in, n_out, bias=bias)


def quick(x: Tensor) -> bool:
    """Whether products with `x` are to be of numbers rounded to bfloat16, summed in float32."""
    return BFLOAT16 and x.dtype == torch.float32 and x.device.type == "cpu"


def product(a: Tensor, b: Tensor) -> Tensor:
    """``a @ b``, of rounded numbers where that is `quick`."""
    return (a.bfloat16() @ b.bfloat16()).float() if quick(a) else a @ b


class QuickLinear(_Linear):
    """A linear layer that multiplies in bfloat16 during training, if `use_bf16`."""

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype == torch.bfloat16:
            bias = None if self.bias is None else self.bias.bfloat16()
            return F.linear(x, self.weight.bfloat16(), bias)
        if self.training and quick(x):
            return self(x.bfloat16()).float()
        return super().forward(x)


class QuickSequential(nn.Sequential):
    """Layers that pass bfloat16 numbers to one another during training, if `use_bf16`."""

    def forward(self, input: Tensor) -> Tensor:
        if self.training and quick(input):
            return super().forward(input.bfloat16()).float()
        return super().forward(input)


class OneHotLinear(nn.Module):
    """A linear layer of dense and one-hot inputs.

    Args:
        n_dense: Number of dense inputs.
        n_levels: Total width of the one-hot inputs.
        n_out: Number of outputs.

    Shapes: dense (batch, n_dense), places (batch, one for each one-hot input),
    result (batch, n_out).
    """

    def __init__(self, n_dense: int, n_levels: int, n_out: int) -> None:
        super().__init__()
        self.dense = QuickLinear(n_dense, n_out)
        self.table = nn.Parameter(torch.empty(n_levels, n_out))

    def forward(self, dense: Tensor, places: Tensor) -> Tensor:
        out = self.dense(dense)
        return out + looked_up(self.table, places) if places.shape[1] else out


def looked_up(
    table: Tensor, places: Tensor, shares: Tensor | None = None, *, training: bool = False
) -> Tensor:
    """The sum of the rows of `table` at `places`: a product with an input that is nearly all 0.

    On a CPU they are looked up, unless the table is short and a product is `quick`. Elsewhere the
    input is written out and multiplied, which is one launch and has a gradient that needs no
    sorting; so it is for many models side by side.

    Args:
        table: Shape (n_levels, n_out).
        places: Rows of it, int64 of shape (batch, n); not twice in a row of the batch.
        shares: Values of the input there, shape (batch, n); None: all 1.
        training: Whether a product of rounded numbers will do.

    Returns:
        Shape (batch, n_out).
    """
    rounded = training and quick(table) and len(table) <= NARROW * places.shape[1]
    if table.device.type == "cpu" and not _side_by_side(table) and places.shape[1] and not rounded:
        return F.embedding_bag(places, table, mode="sum", per_sample_weights=shares)
    kind = torch.bfloat16 if rounded else table.dtype
    hot = torch.zeros(len(places), len(table), device=table.device, dtype=kind)
    ones = torch.ones_like(places, dtype=kind) if shares is None else shares.to(kind)
    return (hot.scatter(1, places, ones) @ table.to(kind)).to(table.dtype)


class WideLinear(nn.Module):
    """A linear layer of very many dense and one-hot inputs, with one row of weights per input.

    The gradient of such a wide matrix is fastest in this orientation.

    Args:
        n_dense, n_levels, n_out: See `OneHotLinear`.
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
