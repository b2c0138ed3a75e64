"""TVAE, a variational autoencoder for tables.

See Xu et al. 2019, "Modeling Tabular Data using Conditional GAN".
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synthgen.encoding.layout import Encoded, Layout
from synthgen.synthesizers.network import FEW_LEVELS, NetworkSynthesizer, Scope
from synthgen.synthesizers.training_rows import Data
from synthgen.training.blocks import (
    OneHot,
    OneHotLinear,
    QuickLinear,
    QuickSequential,
    Spans,
    each_row,
    one_hot,
)
from synthgen.training.learner import Sampler, Source, StagedLearner

LATENT, HIDDEN = 128, 128
# Below this number of rows of the class, pre-training on all rows gives better synthetic rows.
ADAPT_BELOW = 1000
# Weight of the reconstruction loss relative to the KL divergence, as in the paper.
RECONSTRUCTION = 2.0
# Number of gradient steps, and step size, of the search for the latent point of a row.
SEARCH_STEPS, SEARCH_RATE = 60, 0.1


class Decoder(Sampler):
    """TVAE's decoder, which generates rows from latent numbers and the class."""

    def __init__(self, n_numbers: int, spans: Spans, n_labels: int) -> None:
        super().__init__()
        self.n_numbers, self.n_labels, self.spans = n_numbers, n_labels, spans
        self.n_condition = n_labels if n_labels > 1 else 0
        self.body = QuickSequential(
            QuickLinear(LATENT + self.n_condition, HIDDEN),
            nn.ReLU(),
            QuickLinear(HIDDEN, HIDDEN),
            nn.ReLU(),
            QuickLinear(HIDDEN, n_numbers + spans.total),
        )
        self.log_sigma = nn.Parameter(torch.full((n_numbers,), -2.0))

    def forward(self, latent: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the means of the numbers, and the logits of the codes."""
        if self.n_condition:
            latent = torch.cat([latent, one_hot(labels, self.n_condition)], 1)
        numbers, raw = self.body(latent).split([self.n_numbers, self.spans.total], 1)
        return numbers, self.spans.bounded(raw)

    def draw(self, rows: int, source: Source) -> dict[str, Tensor]:
        return {
            "latent": source.normal(rows, LATENT),
            "noise": source.normal(rows, self.n_numbers),
            "codes": source.uniform(rows, len(self.spans.widths), dtype=torch.float64),
        }

    def made(self, drawn: dict[str, Tensor], label: int | Tensor) -> Encoded:
        latent = drawn["latent"]
        mean, logits = self(latent, each_row(label, latent))
        numbers = torch.addcmul(mean, drawn["noise"], _sigma(self.log_sigma))
        # NOTE[DIFF]: codes are sampled from their distribution, as in the paper; the reference
        # implementation takes the most likely code.
        return Encoded(numbers, self.spans.draw(logits, drawn["codes"]))


def _drawn(n_numbers: int, codes: int) -> int:
    """See `StagedLearner.width`."""
    return LATENT + 4 * n_numbers + 12 * codes


class TVAELearner(StagedLearner):
    """TVAE's training step: the encoder and the decoder are trained together on a batch of rows."""

    losses = ("reconstruction", "divergence")

    def __init__(self, decoder: Decoder, data: Data, batch: int, rate: float) -> None:
        super().__init__()
        self.sampler: Decoder = decoder
        self.data, self.batch = data, batch
        self.width = _drawn(data.numbers.shape[1], len(data.spans.widths))
        levels = data.spans.total + decoder.n_condition
        self.enter = OneHotLinear(data.numbers.shape[1], levels, HIDDEN)
        self.encoder = _encoder()
        self.optimizers = [
            torch.optim.Adam(self.parameters(), lr=rate, weight_decay=1e-5, fused=True)
        ]

    def draw(self, source: Source) -> dict[str, Tensor]:
        return {
            "rows": source.uniform(self.batch, dtype=torch.float64),
            "noise": source.normal(self.batch, LATENT),
        }

    def gather(self, drawn: dict[str, Tensor]) -> dict[str, Tensor]:
        data, spans = self.data, self.data.spans
        rows, labels = data.rows(data.at(drawn["rows"]))
        there = data.there(rows.codes)
        places = rows.codes + spans.offsets
        shares = torch.ones_like(rows.codes, dtype=spans.member.dtype)
        found = {
            "noise": drawn["noise"],
            "labels": labels,
            "numbers": rows.numbers,
            "levels": places,
            "there": there.to(rows.numbers.dtype),
        }
        if self.sampler.n_condition:
            places = torch.cat([places, labels[..., None] + spans.total], -1)
            shares = F.pad(shares, (0, 1), value=1.0)
        return found | {"places": places, "shares": shares}

    def objective(
        self, stage: int, drawn: dict[str, Tensor], carried: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        # First layer of the encoder: real rows, with their class if there are several.
        hot = OneHot(drawn["places"], len(self.enter.table), drawn["shares"])
        entered = hot.times(self.enter.table, self.enter.dense(drawn["numbers"]), training=True)
        mean, log_variance = self.encoder(entered).chunk(2, 1)
        log_variance = log_variance.clamp(-20, 20)
        latent = mean + drawn["noise"] * (0.5 * log_variance).exp()
        out, logits = self.sampler(latent, drawn["labels"])
        sigma = _sigma(self.sampler.log_sigma)
        density = 0.5 * ((drawn["numbers"] - out) / sigma) ** 2 + sigma.log()
        entropy = self.data.spans.cross_entropy(logits, drawn["levels"], bounded=True)
        fit = (density * drawn["there"]).sum(1) + entropy.sum(1)
        divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(1)
        fit, divergence = fit.mean(), divergence.mean()
        losses = torch.stack([fit.detach(), divergence.detach()])
        return RECONSTRUCTION * fit + divergence, losses, {}


def _encoder() -> nn.Sequential:
    return QuickSequential(
        nn.ReLU(), QuickLinear(HIDDEN, HIDDEN), nn.ReLU(), QuickLinear(HIDDEN, 2 * LATENT)
    )


def _sigma(log_sigma: Tensor) -> Tensor:
    return log_sigma.exp().clamp(0.01, 1.0)


@final
class TVAE(NetworkSynthesizer):
    """Variational autoencoder for mixed tables (Xu et al. 2019).

    Sizes and losses are those of the paper: two hidden layers of 128 units, 128 latent dimensions,
    a Gaussian for each number with a learned standard deviation, and a categorical distribution for
    each code. There are three differences: numbers are quantile-normal instead of mode-specifically
    normalised; weights are averaged over training; and training keeps the step at which generated
    rows are closest to held-out rows of the class. `learning_rate` matters most, then `steps`.

    See `NetworkSynthesizer` for the arguments that are not listed here.

    Args:
        batch_size: Number of rows per update.
        learning_rate: Learning rate of Adam.

    Example:
        >>> import numpy as np, pandas as pd
        >>> rng = np.random.default_rng(0)
        >>> frame = pd.DataFrame({"dose": rng.normal(size=300), "sex": rng.choice(["f", "m"], 300)})
        >>> ill = pd.Series(np.arange(300) < 40, name="ill")
        >>> model = TVAE(steps=5, random_state=0).fit(frame, ill)
        >>> rows = model.sample(4, label=True, random_state=0)
        >>> rows.shape, bool(rows["ill"].all())
        ((4, 3), True)
    """

    max_levels = FEW_LEVELS

    @staticmethod
    def best_scope(rows: int) -> Scope:
        return "adapt" if rows < ADAPT_BELOW else "class"

    def _sampler(self, layout: Layout, n_labels: int, rows: int) -> Sampler:
        return Decoder(layout.n_numbers, Spans(layout.widths), n_labels)

    def _unsaved(self, layout: Layout, n_labels: int) -> nn.Module:
        levels = sum(layout.widths) + (n_labels if n_labels > 1 else 0)
        return nn.ModuleList([OneHotLinear(layout.n_numbers, levels, HIDDEN), _encoder()])

    def _drawn(self, layout: Layout) -> int:
        return _drawn(layout.n_numbers, len(layout.widths))

    def _row_losses(
        self, sampler: Sampler, rows: Encoded, labels: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Compute each row's loss at its best latent point; the file contains no encoder."""
        assert isinstance(sampler, Decoder)
        sampler.requires_grad_(False)
        latent = torch.zeros(len(rows), LATENT, device=rows.numbers.device, requires_grad=True)
        optimizer = torch.optim.Adam([latent], lr=SEARCH_RATE)
        places = rows.codes + sampler.spans.offsets
        figures = latent.new_zeros(len(rows), 3)
        for _ in range(SEARCH_STEPS):
            out, logits = sampler(latent, labels)
            sigma = _sigma(sampler.log_sigma)
            density = (0.5 * ((rows.numbers - out) / sigma) ** 2 + sigma.log()).sum(1)
            entropy = sampler.spans.cross_entropy(logits, places, bounded=True).sum(1)
            prior = 0.5 * latent.square().sum(1)
            figures = torch.stack([density, entropy, prior], 1)
            optimizer.zero_grad(set_to_none=True)
            figures.sum().backward()
            optimizer.step()
        sampler.requires_grad_(True)
        figures = figures.detach()
        return torch.cat([figures.sum(1, keepdim=True), figures], 1)

    def _learner(self, sampler: Sampler, data: Data, batch: int) -> StagedLearner:
        assert isinstance(sampler, Decoder)
        return TVAELearner(sampler, data, batch, self.learning_rate)
