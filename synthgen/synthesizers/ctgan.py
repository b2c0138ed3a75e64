"""CTGAN, a conditional GAN for tables.

See Xu et al. 2019, "Modeling Tabular Data using Conditional GAN".
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synthgen.encoding.disclosure import shareable_counts
from synthgen.encoding.layout import Encoded, Layout
from synthgen.errors import UsageError
from synthgen.seeds import RandomState
from synthgen.synthesizers.ctgan_critic import HIDDEN, critic
from synthgen.synthesizers.network import FEW_LEVELS, NetworkSynthesizer, Scope
from synthgen.synthesizers.training_rows import Data
from synthgen.tables.schema import Schema
from synthgen.training.blocks import (
    OneHot,
    OneHotLinear,
    Spans,
    each_row,
    gumbel,
)
from synthgen.training.learner import Sampler, Source, StagedLearner

NOISE = 128
TEMPERATURE, PENALTY, DROPOUT = 0.2, 10.0, 0.5


class _Residual(nn.Module):
    """The input, concatenated with ReLU(batch norm(linear(input)))."""

    def __init__(self, n_dense: int, n_levels: int, n_out: int) -> None:
        super().__init__()
        self.linear, self.norm = OneHotLinear(n_dense, n_levels, n_out), nn.BatchNorm1d(n_out)

    def forward(self, x: Tensor, hot: OneHot) -> Tensor:
        return torch.cat([F.relu(self.norm(self.linear(x, hot))), x], 1)


class Generator(Sampler):
    """Generates rows from noise and a condition: one level of one code column, and the class.

    A condition is an int64 tensor of positions, shape (batch, n_conditions). One position is that
    of the level among all levels (if the table has code columns); another is that of the class,
    counted after all levels (if the network learns several classes).
    """

    frequencies: Tensor
    limits: Tensor
    number_place: Tensor
    always: Tensor
    sometimes: Tensor

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
        # Cumulative level frequencies. Each code column spans one unit, each class n_codes units.
        self.register_buffer(
            "frequencies", torch.zeros(n_labels * spans.total, dtype=torch.float64)
        )
        # Largest absolute value of each encoded number in training; larger ones would all decode
        # to the same value.
        self.register_buffer("limits", torch.ones(n_numbers))
        place = torch.tensor(scale_code, dtype=torch.long)
        starts = spans.offsets[place.clamp(min=0)] if spans.total else torch.zeros_like(place)
        self.register_buffer("number_place", starts, persistent=False)
        always = (place < 0).to(torch.float32)
        self.register_buffer("always", always, persistent=False)
        self.register_buffer("sometimes", 1 - always, persistent=False)

    def condition(self, place: Tensor, labels: Tensor) -> Tensor:
        parts = [place] if self.spans.total else []
        if self.n_labels > 1:
            parts.append(labels + self.spans.total)
        return torch.stack(parts, -1) if parts else place.new_zeros(*place.shape, 0)

    def forward(self, noise: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the numbers, and the logits of the codes."""
        out, hot = noise, OneHot(condition, self.n_levels)
        for layer in self.layers:
            out = layer(out, hot)
        numbers, raw = out.split([self.n_numbers, self.spans.total], 1)
        return self.limits * torch.tanh(numbers / self.limits), self.spans.bounded(raw)

    def row(self, numbers: Tensor, soft: Tensor) -> Tensor:
        """Build the critic's input; numbers are weighted by the probability of being present."""
        if self.spans.total and self.n_numbers:
            there = soft.index_select(1, self.number_place)
            numbers = numbers * torch.addcmul(self.always, self.sometimes, there)
        return torch.cat([numbers, soft], 1)

    def draw(self, rows: int, source: Source) -> dict[str, Tensor]:
        return {
            "noise": source.normal(rows, NOISE),
            "share": source.uniform(rows, dtype=torch.float64),
            "codes": source.uniform(rows, len(self.spans.widths), dtype=torch.float64),
        }

    def made(self, drawn: dict[str, Tensor], label: int | Tensor) -> Encoded:
        labels = each_row(label, drawn["share"])
        place = _value(self.frequencies, labels, self.spans, drawn["share"])
        place = place - label * self.spans.total
        numbers, logits = self(drawn["noise"], self.condition(place, labels))
        return Encoded(numbers, self.spans.draw(logits, drawn["codes"]))


class Conditions(nn.Module):
    """Training by sampling: draws a column, then a level by log-frequency, then a matching row."""

    places: Tensor
    starts: Tensor
    counts: Tensor
    log_frequencies: Tensor
    by_label: Tensor

    def __init__(self, data: Data) -> None:
        super().__init__()
        spans, n, device = data.spans, len(data), data.labels.device
        self.spans, self.n_labels = spans, data.n_labels
        counts = data.counts()
        starts = torch.zeros_like(counts, dtype=torch.long)
        places = torch.zeros(len(spans.widths), n, dtype=torch.int32, device=device)
        for j, part in enumerate(counts.split(spans.widths, 1)):  # once, before training
            places[j] = data.keys(j).argsort(stable=True)
            passed = part.flatten().cumsum(0).view_as(part) - part
            first = sum(spans.widths[:j])
            starts[:, first : first + spans.widths[j]] = passed + j * n
        counts = counts.flatten()
        per_label = torch.bincount(data.labels.long(), minlength=data.n_labels).to(torch.float64)
        seen = torch.where(counts > 0, (counts + 1).log(), counts)
        tables = {
            # Row positions, grouped by (class, column, level).
            "places": places.flatten(),
            "starts": starts.flatten(),
            "counts": counts,
            "log_frequencies": _cumulated(seen.view(data.n_labels, -1), spans),
            "by_label": torch.where(per_label > 0, (per_label + 1).log(), per_label).cumsum(0),
        }
        for name, table in tables.items():
            self.register_buffer(name, table.to(device), persistent=False)

    def forward(self, share: Tensor, data: Data) -> tuple[Tensor, Tensor, Tensor]:
        """Draw a class, the position of a level among all levels, and a row."""
        of_label, of_value, of_row = share.unbind(-2)
        labels = torch.zeros_like(of_label, dtype=torch.long)
        if self.n_labels > 1:
            by_label = self.by_label
            labels = torch.searchsorted(by_label, of_label * by_label[-1], right=True)
            labels = labels.clamp(max=self.n_labels - 1)
        if not self.spans.total:
            rows = data.at(of_row)
            return data.labels[rows].long(), labels, rows
        key = _value(self.log_frequencies, labels, self.spans, of_value)
        nth = torch.minimum((of_row * self.counts[key]).long(), self.counts[key].long() - 1)
        rows = self.places[self.starts[key] + nth].long()
        return labels, key - labels * self.spans.total, rows


def _told(data: Data) -> Tensor:
    """Count the rows of each class and level, rounded as the model file holds them."""
    counts = data.counts().cpu()
    for column in counts.split(data.spans.widths, 1):
        for of_class in column:
            of_class[:] = torch.from_numpy(shareable_counts(of_class.numpy()))
    return counts.to(data.labels.device)


def _cumulated(weights: Tensor, spans: Spans) -> Tensor:
    """Normalise weights within each class and code column, then accumulate over all of them."""
    if not spans.total:
        return weights.flatten()
    member = spans.member.to(weights)
    shares = weights / (weights @ member).clamp(min=1e-300).matmul(member.T)
    # A class without rows keeps an interval of the same length as the others.
    whole = shares.cumsum(1)
    before = len(spans.widths) * torch.arange(len(weights), device=whole.device)
    return (whole + before[:, None]).flatten()


def _value(cumulated: Tensor, labels: Tensor, spans: Spans, share: Tensor) -> Tensor:
    """Draw a code column uniformly, then a level; return its position in `cumulated`."""
    if not spans.total:
        return labels
    place = torch.searchsorted(cumulated, (labels + share) * len(spans.widths), right=True)
    first = labels * spans.total
    return torch.minimum(torch.maximum(place, first), first + spans.total - 1)


def _drawn(n_numbers: int, levels: int, codes: int, pac: int) -> int:
    """See `StagedLearner.width`."""
    return NOISE + 2 * levels + 16 * HIDDEN // pac + 8 * (n_numbers + codes)


class CTGANLearner(StagedLearner):
    """CTGAN's training step: an update of the critic, then one of the generator."""

    losses = ("critic", "generator", "condition")
    signs: Tensor

    def __init__(self, sampler: Generator, data: Data, batch: int, pac: int, rate: float) -> None:
        super().__init__()
        self.sampler: Generator = sampler
        self.data, self.batch, self.pac = data, batch, pac
        columns = data.numbers.shape[1], data.spans.total, len(data.spans.widths)
        self.width = _drawn(*columns, pac)
        self.critic = critic(data.numbers.shape[1], data.spans.total, data.n_labels, pac)
        self.conditions = Conditions(data)
        # Signs of the critic's scores in its loss: + fake packs, - real packs, 0 mixed packs.
        signs = torch.tensor([1.0, -1.0, 0.0], device=data.labels.device)
        self.register_buffer("signs", signs, persistent=False)
        if data.spans.total:
            sampler.frequencies.copy_(_cumulated(_told(data), data.spans).cpu())
        farthest = torch.linalg.vector_norm(data.numbers, math.inf, 0)  # copies no numbers
        sampler.limits.copy_((10 * farthest.clamp(min=0.1).cpu()).round() / 10)
        options: dict[str, Any] = {"lr": rate, "betas": (0.5, 0.9), "fused": True}
        self.optimizers = [
            torch.optim.Adam(self.critic.parameters(), **options),
            torch.optim.Adam(sampler.parameters(), weight_decay=1e-6, **options),
        ]

    def draw(self, source: Source) -> dict[str, Tensor]:
        batch, packs = self.batch, self.batch // self.pac
        return {
            "place": source.uniform(3, batch, dtype=torch.float64),
            "noise": source.normal(batch, NOISE),
            "gumbel": source.uniform(batch, self.sampler.spans.total),
            "share": source.uniform(packs, 1),
            # Dropout of fake, real and mixed packs in the critic's update, then of the fake packs
            # in the generator's update.
            "kept": source.uniform(4 * packs, 2 * HIDDEN),
        }

    def gather(self, drawn: dict[str, Tensor]) -> dict[str, Tensor]:
        data, spans = self.data, self.data.spans
        labels, place, rows = self.conditions(drawn["place"], data)
        places, shares = self.critic.packed(data.rows(rows)[0], spans)
        found = {
            "noise": drawn["noise"],
            "share": drawn["share"],
            "condition": self.sampler.condition(place, labels),
            "real": places,
            "values": shares,
            "gumbel": gumbel(drawn["gumbel"]),
            "kept": (drawn["kept"] >= DROPOUT).to(shares.dtype) / (1 - DROPOUT),
        }
        if spans.total:
            found |= {"value": place[..., None], "code": spans.of[place][..., None]}
        return found

    def objective(
        self, stage: int, drawn: dict[str, Tensor], carried: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        return self._generator_loss(carried) if stage else self._critic_loss(drawn)

    def _critic_loss(self, drawn: dict[str, Tensor]) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Compute the critic's Wasserstein loss with gradient penalty (Gulrajani et al. 2017)."""
        sampler, critic = self.sampler, self.critic
        numbers, logits = sampler(drawn["noise"], drawn["condition"])
        soft = sampler.spans.gumbel_softmax(logits, TEMPERATURE, drawn["gumbel"])
        fake = sampler.row(numbers, soft)
        packs = self.batch // self.pac
        made, true = (
            critic.soft_part(fake.detach()),
            critic.real_part(drawn["real"], drawn["values"]),
        )
        # The first layer is linear, so its output for a mixed pack is the mix of the two outputs.
        between = torch.lerp(true, made, drawn["share"])
        entered = torch.stack([made, true, between]) + critic.condition_part(drawn["condition"])
        scores, one, two = critic(entered.flatten(0, 1), drawn["kept"][: 3 * packs])
        gap = scores.view(3, packs).mean(1).dot(self.signs)
        norm = critic.slope(one[2 * packs :], two[2 * packs :]).norm(2, 1)
        carried = {name: drawn[name] for name in ("condition", "value", "code") if name in drawn}
        carried |= {"fake": fake, "logits": logits, "kept": drawn["kept"][3 * packs :]}
        return gap + PENALTY * ((norm - 1) ** 2).mean(), gap.detach()[None], carried

    def _generator_loss(
        self, carried: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The generator's loss: the critic's score, and how well rows meet the condition."""
        critic = self.critic
        entered = critic.soft_part(carried["fake"]) + critic.condition_part(carried["condition"])
        scores, _, _ = critic(entered, carried["kept"])
        loss, missed = -scores.mean(), self.condition_loss(carried)
        return loss + missed, torch.stack([loss.detach(), missed.detach()]), {}

    def condition_loss(self, carried: dict[str, Tensor]) -> Tensor:
        """Compute the cross-entropy of the code column that the condition fixes."""
        spans, logits = self.sampler.spans, carried["logits"]
        if not spans.total:
            return logits.sum()
        of_code = spans.logsumexp(logits, bounded=True).gather(1, carried["code"])
        return (of_code - logits.gather(1, carried["value"])).mean()


@final
class CTGAN(NetworkSynthesizer):
    """Conditional GAN for mixed tables (Xu et al. 2019).

    Networks and losses follow the paper: a Wasserstein loss with gradient penalty, and a critic
    that scores packs of rows (PacGAN, Lin et al. 2018). Training by sampling draws the conditions
    from all discrete values. There are four differences from the paper: numbers are quantile-normal
    instead of mode-specifically normalised; the generator is conditioned on the class as well as on
    the value of one column; weights are averaged over training; and training keeps the step at
    which generated rows are closest to held-out rows of the class.

    See `NetworkSynthesizer` for the arguments that are not listed here.

    Args:
        pac: Number of rows in a pack, which the critic scores together: from 1 to `batch_size`. The
            batch size is rounded down to whole packs.
        learning_rate: Learning rate of Adam for both networks, above 0.

    Example:
        >>> import numpy as np, pandas as pd
        >>> rng = np.random.default_rng(0)
        >>> frame = pd.DataFrame({"dose": rng.normal(size=300), "sex": rng.choice(["f", "m"], 300)})
        >>> ill = pd.Series(np.arange(300) < 40, name="ill")
        >>> model = CTGAN(steps=5, random_state=0).fit(frame, ill)
        >>> rows = model.sample(4, label=True, random_state=0)
        >>> rows.shape, bool(rows["ill"].all())
        ((4, 3), True)
    """

    max_levels = FEW_LEVELS

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
        assert self.batch_size is not None
        if (
            isinstance(self.pac, bool)
            or not isinstance(self.pac, int)
            or not 1 <= self.pac <= self.batch_size
        ):
            raise UsageError(
                234,
                f"pac must be a whole number from 1 to batch_size ({self.batch_size}), not "
                f"{self.pac!r}",
            )

    @staticmethod
    def best_scope(rows: int) -> Scope:
        return "class"

    def _sampler(self, layout: Layout, n_labels: int, rows: int) -> Sampler:
        spans = Spans(layout.widths)
        return Generator(layout.n_numbers, spans, n_labels, layout.scale_code)

    def _unsaved(self, layout: Layout, n_labels: int) -> nn.Module:
        return critic(layout.n_numbers, sum(layout.widths), n_labels, self.pac)

    def _index(self, layout: Layout) -> int:
        return 4 * len(layout.widths)  # rows by value

    def _drawn(self, layout: Layout) -> int:
        return _drawn(layout.n_numbers, sum(layout.widths), len(layout.widths), self.pac)

    def _batch(self, rows: int, device: torch.device) -> int:
        return super()._batch(rows, device) // self.pac * self.pac

    def _learner(self, sampler: Sampler, data: Data, batch: int) -> StagedLearner:
        assert isinstance(sampler, Generator)
        return CTGANLearner(sampler, data, batch, self.pac, self.learning_rate)
