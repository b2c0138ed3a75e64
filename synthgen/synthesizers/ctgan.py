"""CTGAN: a conditional GAN for tables (Xu et al. 2019, "Modeling Tabular Data using Conditional
GAN").
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synthgen.device import RandomState
from synthgen.encoding import Encoded, Encoder
from synthgen.errors import UsageError
from synthgen.nn import OneHotLinear, Spans, dropout, linear
from synthgen.synthesizers.network import Data, NetworkSynthesizer, Scope
from synthgen.table import Schema
from synthgen.training import Learner, Sampler

NOISE, HIDDEN = 128, 256
TEMPERATURE, PENALTY, DROPOUT = 0.2, 10.0, 0.5


class _Residual(nn.Module):
    """Linear, batch norm, ReLU, beside the input."""

    def __init__(self, n_dense: int, n_levels: int, n_out: int) -> None:
        super().__init__()
        self.linear, self.norm = OneHotLinear(n_dense, n_levels, n_out), nn.BatchNorm1d(n_out)

    def forward(self, x: Tensor, places: Tensor) -> Tensor:
        return torch.cat([F.relu(self.norm(self.linear(x, places))), x], 1)


class _Generator(Sampler):
    """Noise and a condition (one value of one code, and the class) to a row.

    A condition is a tensor of places, int64 of shape (batch, n_conditions): of the value among all
    levels, where there are codes, and of the class after them, where it is a condition.
    """

    frequencies: Tensor
    limits: Tensor
    number_place: Tensor
    always: Tensor

    def __init__(self, n_numbers: int, spans: Spans, n_labels: int, scale_code: list[int]) -> None:
        super().__init__()
        self.n_numbers, self.n_labels, self.spans = n_numbers, n_labels, spans
        self.n_levels = spans.total + (n_labels if n_labels > 1 else 0)
        self.layers = nn.ModuleList(
            [
                _Residual(NOISE, self.n_levels, HIDDEN),
                _Residual(NOISE + HIDDEN, self.n_levels, HIDDEN),
                OneHotLinear(NOISE + 2 * HIDDEN, self.n_levels, n_numbers + spans.total),
            ]
        )
        # Cumulated frequencies of the values, one unit for each code, n_codes units for each class.
        self.register_buffer(
            "frequencies", torch.zeros(n_labels * spans.total, dtype=torch.float64)
        )
        # The farthest that a training row lies from the middle; beyond it, decoding would pile rows
        # up.
        self.register_buffer("limits", torch.ones(n_numbers))
        place = torch.tensor(scale_code, dtype=torch.long)
        starts = spans.offsets[place.clamp(min=0)] if spans.total else torch.zeros_like(place)
        self.register_buffer("number_place", starts, persistent=False)
        self.register_buffer("always", (place < 0).to(torch.float32), persistent=False)

    def condition(self, place: Tensor, labels: Tensor) -> Tensor:
        parts = [place] if self.spans.total else []
        if self.n_labels > 1:
            parts.append(labels + self.spans.total)
        return torch.stack(parts, 1) if parts else place.new_zeros(len(place), 0)

    def forward(self, noise: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Numbers and logits of the codes."""
        out = noise
        for layer in self.layers:
            out = layer(out, condition)
        numbers = self.limits * torch.tanh(out[:, : self.n_numbers] / self.limits)
        return numbers, self.spans.bounded(out[:, self.n_numbers :])

    def row(self, numbers: Tensor, soft: Tensor) -> Tensor:
        """What the critic sees: a number counts as far as its code says that there is one."""
        if self.spans.total and self.n_numbers:
            numbers = numbers * (self.always + (1 - self.always) * soft[:, self.number_place])
        return torch.cat([numbers, soft], 1)

    def generate(self, rows: int, generator: torch.Generator, label: int) -> Encoded:
        device = self.frequencies.device
        noise = torch.randn(rows, NOISE, device=device, generator=generator)
        labels = torch.full((rows,), label, device=device)
        place = _draw(self.frequencies, labels, self.spans, generator) - labels * self.spans.total
        numbers, logits = self(noise, self.condition(place, labels))
        return Encoded(numbers, self.spans.draw(logits, generator))


class _Conditions:
    """Training by sampling: a column, a value of it by log-frequency, and a real row that has
    it.
    """

    def __init__(self, data: Data) -> None:
        spans, n, device = data.spans, len(data.labels), data.labels.device
        total = spans.total
        self.spans, self.n_labels = spans, data.n_labels
        keys = data.labels[:, None] * total + data.rows.codes + spans.offsets
        counts = torch.bincount(keys.flatten(), minlength=data.n_labels * total).to(torch.float64)
        # Rows of each (class, column, value), one after the other.
        self.rows = keys.T.argsort(dim=1, stable=True).flatten().to(torch.int32) if total else None
        of = (
            spans.member.argmax(1).repeat(data.n_labels)
            if total
            else torch.zeros(0, dtype=torch.long)
        )
        column = of.to(device)
        within = torch.zeros_like(counts)
        for j in range(len(spans.widths)):  # once, before training
            mine = column == j
            within[mine] = counts[mine].cumsum(0) - counts[mine]
        self.starts = (within + column * n).to(torch.long)
        self.counts = counts
        self.frequencies = _cumulated(counts, data)
        self.log_frequencies = _cumulated(torch.where(counts > 0, (counts + 1).log(), counts), data)
        per_label = torch.bincount(data.labels, minlength=data.n_labels).to(torch.float64)
        self.by_label = torch.where(per_label > 0, (per_label + 1).log(), per_label).cumsum(0)

    def draw(
        self, batch: int, data: Data, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Class, place of the value among all levels, and row; each of shape (batch,)."""
        device = data.labels.device
        labels = torch.zeros(batch, dtype=torch.long, device=device)
        if self.n_labels > 1:
            share = torch.rand(batch, device=device, dtype=torch.float64, generator=generator)
            labels = torch.searchsorted(self.by_label, share * self.by_label[-1], right=True)
            labels = labels.clamp(max=self.n_labels - 1)
        if self.rows is None:
            rows = torch.randint(len(data.labels), (batch,), device=device, generator=generator)
            return data.labels[rows], labels, rows
        key = _draw(self.log_frequencies, labels, self.spans, generator)
        share = torch.rand(batch, device=device, dtype=torch.float64, generator=generator)
        nth = torch.minimum((share * self.counts[key]).long(), self.counts[key].long() - 1)
        rows = self.rows[self.starts[key] + nth].long()
        return labels, key - labels * self.spans.total, rows


def _cumulated(weights: Tensor, data: Data) -> Tensor:
    """Shares of the values within each class and code, cumulated over all of them."""
    spans = data.spans
    if not spans.total:
        return weights
    by_span = weights.view(data.n_labels, spans.total)
    member = spans.member.to(torch.float64)
    shares = by_span / (by_span @ member).clamp(min=1e-300).matmul(member.T)
    # A class without rows keeps its place in the line.
    whole = shares.cumsum(1)
    return (
        whole + len(spans.widths) * torch.arange(data.n_labels, device=whole.device)[:, None]
    ).flatten()


def _draw(cumulated: Tensor, labels: Tensor, spans: Spans, generator: torch.Generator) -> Tensor:
    """A uniformly drawn code and a value of it, as a place among all levels of all classes."""
    if not spans.total:
        return labels
    codes = len(spans.widths)
    share = torch.rand(len(labels), device=labels.device, dtype=torch.float64, generator=generator)
    place = torch.searchsorted(cumulated, (labels + share) * codes, right=True)
    first = labels * spans.total
    return torch.minimum(torch.maximum(place, first), first + spans.total - 1)


class _Critic(nn.Module):
    """The score of packs of rows, each with its condition (Lin et al. 2018)."""

    starts: Tensor

    def __init__(self, width: int, n_levels: int, n_conditions: int, pac: int) -> None:
        super().__init__()
        self.pac = pac
        self.first = OneHotLinear(pac * width, pac * n_levels, HIDDEN)
        self.second, self.last = linear(HIDDEN, HIDDEN), linear(HIDDEN, 1)
        # Each place of a pack has weights of its own.
        starts = torch.arange(pac).repeat_interleave(n_conditions) * n_levels
        self.register_buffer("starts", starts, persistent=False)

    def forward(self, rows: Tensor, condition: Tensor, generator: torch.Generator) -> Tensor:
        packs = len(rows) // self.pac
        out = self.first(rows.reshape(packs, -1), condition.reshape(packs, -1) + self.starts)
        out = dropout(F.leaky_relu(out, 0.2), DROPOUT, generator)
        out = dropout(F.leaky_relu(self.second(out), 0.2), DROPOUT, generator)
        return self.last(out)


class _CTGANLearner(Learner):
    losses = ("critic", "generator", "condition")

    def __init__(self, sampler: _Generator, data: Data, batch: int, pac: int, rate: float) -> None:
        super().__init__()
        self.sampler: _Generator = sampler
        self.data, self.batch, self.pac = data, batch, pac
        width = data.rows.numbers.shape[1] + data.spans.total
        n_conditions = (data.spans.total > 0) + (data.n_labels > 1)
        self.critic = _Critic(width, sampler.n_levels, n_conditions, pac)
        self.conditions = _Conditions(data)
        sampler.frequencies.copy_(self.conditions.frequencies.cpu())
        sampler.limits.copy_(data.rows.numbers.abs().amax(0).clamp(min=0.1).cpu())
        options: dict[str, Any] = {"lr": rate, "betas": (0.5, 0.9), "fused": True}
        self.optimizers = [
            torch.optim.Adam(self.critic.parameters(), **options),
            torch.optim.Adam(sampler.parameters(), weight_decay=1e-6, **options),
        ]

    def step(self, generator: torch.Generator) -> Tensor:
        data, sampler = self.data, self.sampler
        critic_optimizer, optimizer = self.optimizers
        labels, place, drawn = self.conditions.draw(self.batch, data, generator)
        condition = sampler.condition(place, labels)
        noise = torch.randn(self.batch, NOISE, device=place.device, generator=generator)
        numbers, logits = sampler(noise, condition)
        fake = sampler.row(numbers, sampler.spans.gumbel_softmax(logits, TEMPERATURE, generator))
        real = torch.cat([data.rows.numbers[drawn], data.spans.one_hot(data.rows.codes[drawn])], 1)

        both = torch.cat([fake.detach(), real])
        scores = self.critic(both, condition.repeat(2, 1), generator)
        packs = self.batch // self.pac
        critic = scores[:packs].mean() - scores[packs:].mean()
        critic_optimizer.zero_grad(set_to_none=True)
        (critic + self._penalty(real, fake.detach(), condition, generator)).backward()
        critic_optimizer.step()

        # NOTE[DIFF]: the generator learns from the rows that the critic has just seen; the paper
        # draws new ones.
        loss = -self.critic(fake, condition, generator).mean()
        missed = self._missed(logits, place)
        optimizer.zero_grad(set_to_none=True)
        (loss + missed).backward(inputs=list(sampler.parameters()))
        optimizer.step()
        return torch.stack([critic.detach(), loss.detach(), missed.detach()])

    def _missed(self, logits: Tensor, place: Tensor) -> Tensor:
        """Cross-entropy of the one code that the condition fixes."""
        spans = self.sampler.spans
        if not spans.total:
            return logits.sum()
        code = spans.member[place].argmax(1, keepdim=True)
        chosen = logits.gather(1, place[:, None])
        return (spans.logsumexp(logits).gather(1, code) - chosen).mean()

    def _penalty(
        self, real: Tensor, fake: Tensor, condition: Tensor, generator: torch.Generator
    ) -> Tensor:
        """The critic's slope between real and fake packs should be 1 (Gulrajani et al. 2017).

        The condition is the same for both, so the slope is that along the rows.
        """
        packs = self.batch // self.pac
        share = torch.rand(packs, 1, 1, device=real.device, generator=generator)
        share = share.expand(-1, self.pac, 1).reshape(-1, 1)
        between = (real + share * (fake - real)).requires_grad_(True)
        score = self.critic(between, condition, generator).sum()
        (slope,) = torch.autograd.grad(score, between, create_graph=True)
        norm = slope.reshape(packs, -1).norm(2, 1)
        return PENALTY * ((norm - 1) ** 2).mean()


@final
class CTGAN(NetworkSynthesizer):
    """Conditional GAN for mixed tables (Xu et al. 2019).

    The paper's networks and losses: training by sampling over all discrete values, Wasserstein loss
    with gradient penalty, packs of rows for the critic (Lin et al. 2018). Departures: numbers are
    quantile-normal instead of mixture-normalised, the class is a condition of its own next to the
    paper's single value, weights are averaged, and training stops at the best distance to held-out
    rows of the class.

    Args:
        pac: Rows that the critic judges together; the batch is rounded down to whole packs.

    See `NetworkSynthesizer` for the other arguments.

    Example:
        >>> import numpy as np, pandas as pd
        >>> rng = np.random.default_rng(0)
        >>> frame = pd.DataFrame({"dose": rng.normal(size=300), "sex": rng.choice(["f", "m"], 300)})
        >>> ill = pd.Series(np.arange(300) < 40, name="ill")
        >>> model = CTGAN(steps=5, random_state=0).fit(frame, ill)
        >>> rows = model.sample(4, label=True, random_state=0)
        >>> rows.shape, rows["ill"].all()
        ((4, 3), np.True_)
    """

    def __init__(
        self,
        *,
        pac: int = 10,
        scope: Scope = "auto",
        steps: int | None = None,
        batch_size: int = 500,
        learning_rate: float = 2e-4,
        device: str = "auto",
        verbose: bool = False,
        checkpoint: str | os.PathLike[str] | None = None,
        classes: Sequence[Any] | None = None,
        schema: Schema | None = None,
        random_state: RandomState = None,
    ) -> None:
        super().__init__(
            scope=scope,
            steps=steps,
            batch_size=batch_size,
            learning_rate=learning_rate,
            device=device,
            verbose=verbose,
            checkpoint=checkpoint,
            classes=classes,
            schema=schema,
            random_state=random_state,
        )
        self.pac = pac

    def _check_params(self) -> None:
        super()._check_params()
        if (
            isinstance(self.pac, bool)
            or not isinstance(self.pac, int)
            or not 1 <= self.pac <= self.batch_size
        ):
            raise UsageError(
                234,
                f"pac must be a whole number from 1 to batch_size ({self.batch_size}), however: "
                f"{self.pac!r}",
            )

    @staticmethod
    def best_scope(rows: int) -> Scope:
        return "class"

    def _sampler(self, encoder: Encoder, n_labels: int, rows: int) -> Sampler:
        return _Generator(encoder.n_numbers, Spans(encoder.widths), n_labels, encoder.scale_code)

    def _learner(self, sampler: Sampler, data: Data) -> Learner:
        assert isinstance(sampler, _Generator)
        batch = self.batch_size // self.pac * self.pac
        return _CTGANLearner(sampler, data, batch, self.pac, self.learning_rate)
