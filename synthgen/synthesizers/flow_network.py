"""The network of TabFlow: from noise to rows."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synthgen.encoding.layout import Encoded
from synthgen.training.blocks import Spans, linear, one_hot
from synthgen.training.learner import Sampler, Source

BLOCKS, WAVES, CLOCK = 3, 32, 64
MIN_WIDTH, MAX_WIDTH = 64, 512
# Largest evidence of a noisy level, in logits; a level with more is practically certain.
SHARPEST = 15.0
# Later errors of numbers are weighted as at this time, because the weight grows without limit.
LATEST = 0.98


def width(rows: int) -> int:
    """Width of the network: 64 for 30 rows, doubled for ten times the rows, at most 512."""
    power = round(math.log2(MIN_WIDTH) + math.log10(max(rows, 30) / 30))
    return int(np.clip(2**power, MIN_WIDTH, MAX_WIDTH))


class _Block(nn.Module):
    """A residual block of two layers, with a scale and a shift that depend on time and class."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.inner, self.outer = linear(width, width), linear(width, width)
        self.modulation = linear(CLOCK, 2 * width)

    def forward(self, x: Tensor, embedded: Tensor) -> Tensor:
        scale, shift = self.modulation(embedded).chunk(2, 1)
        return self.modulated(x, 1 + scale, shift)

    def modulated(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        inner = self.inner(torch.addcmul(shift, self.norm(x), scale))
        return x + self.outer(F.silu(inner))


class Flow(Sampler):
    """Predicts, at each time between noise and row, the row that a noisy row will become.

    The network learns a correction of the prediction that treats columns as independent. That
    prediction is, for a noisy standard normal number, the signal's share of it (Karras et al.
    2022), and for noisy levels, their frequency times their likelihood.
    """

    waves: Tensor
    prior: Tensor

    def __init__(
        self,
        n_numbers: int,
        spans: Spans,
        n_labels: int,
        width: int,
        solver_steps: int,
        guidance: float,
    ) -> None:
        super().__init__()
        self.n_numbers, self.spans, self.n_labels = n_numbers, spans, n_labels
        self.size = n_numbers + spans.total
        self.solver_steps, self.guidance = solver_steps, guidance
        self.enter = linear(self.size + len(spans.widths), width)
        self.leave = linear(width, self.size)
        self.clock = nn.Sequential(linear(2 * WAVES, CLOCK), nn.SiLU(), linear(CLOCK, CLOCK))
        self.label = linear(n_labels, CLOCK) if n_labels > 1 else None
        self.blocks = nn.ModuleList([_Block(width) for _ in range(BLOCKS)])
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        waves = torch.exp(torch.linspace(0, math.log(1000.0), WAVES))
        self.register_buffer("waves", waves, persistent=False)
        # Logarithm of the frequency of each level.
        self.register_buffer("prior", torch.zeros(spans.total))

    def moment(self, times: Tensor) -> Tensor:
        """Sines and cosines of times from 0 (noise) to 1 (row): shape (n, 1) to (n, 2 * WAVES)."""
        angles = times * self.waves
        return torch.cat([angles.sin(), angles.cos()], 1)

    def forward(self, entered: Tensor, moment: Tensor, classes: Tensor) -> Tensor:
        """The correction of the predicted rows, shape (batch, size)."""
        embedded = self._embedded(moment, classes)
        hidden = self.enter(entered)
        for block in self.blocks:
            hidden = block(hidden, embedded)
        return self.leave(F.silu(self.norm(hidden)))

    def _embedded(self, moment: Tensor, classes: Tensor) -> Tensor:
        """The embedding of time and class, shape (batch, CLOCK)."""
        clock = self.clock(moment)
        return F.silu(clock if self.label is None else clock + self.label(classes))

    def freeze_most(self) -> None:
        """From now on, train only the modulation of the blocks and the last bias."""
        self.requires_grad_(False)
        self.leave.bias.requires_grad_(True)
        for part in (self.clock, self.label, *(block.modulation for block in self.blocks)):
            if part is not None:
                part.requires_grad_(True)

    def noisy(
        self,
        rows: Encoded,
        labels: Tensor,
        times: Tensor,
        noise: Tensor,
        shown: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Mix rows with noise; the result has the inputs of `losses`, by name."""
        n, spans = self.n_numbers, self.spans
        levels = spans.one_hot(rows.codes)
        x = torch.lerp(noise, torch.cat([rows.numbers, levels], 1), times)
        numbers, logits = x.split([n, spans.total], 1)
        if shown is None:
            shown = torch.zeros_like(rows.codes, dtype=x.dtype)
        else:
            logits = torch.where(spans.spread(shown) > 0, levels, logits)
        keep, spread = _denoised(times)
        # With this weight, the unknown part of a number counts the same at all times.
        weight = 1 / _denoised(times.clamp(max=LATEST))[1]
        return {
            "entered": torch.cat([numbers, logits, shown], 1),
            "moment": self.moment(times),
            "classes": one_hot(labels, self.n_labels).to(x.dtype),
            "spread": spread * weight,
            "missing": (rows.numbers - keep * numbers) * weight,
            "likely": torch.addcmul(self.prior, _evidence(times), logits),
            "levels": rows.codes + spans.offsets,
            "hidden": 1 - shown,
        }

    def losses(self, noisy: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Squared error of the numbers and cross-entropy of the levels, shape (batch,) each."""
        out = self(noisy["entered"], noisy["moment"], noisy["classes"])
        change, raw = out.split([self.n_numbers, self.spans.total], 1)
        squared = (noisy["spread"] * change - noisy["missing"]).square().sum(1)
        logits = noisy["likely"] + self.spans.bounded(raw)
        entropy = self.spans.cross_entropy(logits, noisy["levels"]) * noisy["hidden"]
        return squared, entropy.sum(1)

    def draw(self, rows: int, source: Source) -> dict[str, Tensor]:
        return {
            "noise": source.normal(rows, self.size),
            "codes": source.uniform(rows, len(self.spans.widths), dtype=torch.float64),
        }

    def made(
        self, drawn: dict[str, Tensor], label: int, fixed: Mapping[int, int] | None = None
    ) -> Encoded:
        """See `Sampler.made`; `fixed` holds the level of all rows for some codes, by position."""
        n, device = self.n_numbers, self.waves.device
        x, logits = drawn["noise"], drawn["noise"][:, n:]
        shown = torch.zeros(len(self.spans.widths), device=device)
        wanted = torch.zeros(self.size, device=device)
        for code, level in (fixed or {}).items():
            shown[code] = 1.0
            wanted[n + sum(self.spans.widths[:code]) + level] = 1.0
        known = F.pad(self.spans.spread(shown[None]), (n, 0)) > 0
        # What does not depend on the rows is computed once for all times.
        moments = torch.linspace(0, 1, self.solver_steps + 1, device=device)[:, None]
        times = moments[:-1]
        modulations, (keep, spread) = self._modulations(times, label), _denoised(times)
        evidence = _evidence(times)
        shares = (moments[1:] - times) / (1 - times)
        enter, of_shown = self.enter.weight.split([self.size, len(shown)], 1)
        entered = F.linear(shown, of_shown, self.enter.bias)
        for i in range(self.solver_steps):
            if fixed:
                x = torch.where(known, wanted, x)
            hidden = torch.addmm(entered, x, enter.T)
            changes = [self._correction(hidden, modulation, i) for modulation in modulations]
            change, logits = changes[0]
            if len(changes) > 1:  # Ho & Salimans 2022
                change = torch.lerp(changes[1][0], change, self.guidance)
                logits = self.spans.bounded(torch.lerp(changes[1][1], logits, self.guidance))
            numbers = torch.addcmul(keep[i] * x[:, :n], spread[i], change)
            logits = torch.addcmul(logits + self.prior, evidence[i], x[:, n:])
            x = torch.lerp(x, torch.cat([numbers, self.spans.softmax(logits)], 1), shares[i])
        codes = self.spans.draw(logits, drawn["codes"])
        for code, level in (fixed or {}).items():
            codes[:, code] = level
        return Encoded(x[:, :n], codes)

    def _modulations(self, times: Tensor, label: int) -> list[list[tuple[Tensor, Tensor]]]:
        """Scale and shift of each block at each time; with guidance, also without a class."""
        label_code = torch.zeros(1, self.n_labels, device=times.device)
        label_code[:, label] = 1.0
        guided = self.guidance != 1 and self.label is not None
        found = []
        for of_class in [label_code, torch.zeros_like(label_code)][: 1 + guided]:
            embedded = self._embedded(self.moment(times), of_class)
            modulation = []
            for block in self.blocks:
                assert isinstance(block, _Block)
                scale, shift = block.modulation(embedded).chunk(2, 1)
                modulation.append((1 + scale, shift))
            found.append(modulation)
        return found

    def _correction(
        self, hidden: Tensor, modulation: list[tuple[Tensor, Tensor]], i: int
    ) -> tuple[Tensor, Tensor]:
        """The network's correction of numbers and logits at time step `i`."""
        for block, (scale, shift) in zip(self.blocks, modulation, strict=True):
            assert isinstance(block, _Block)
            hidden = block.modulated(hidden, scale[i], shift[i])
        out = self.leave(F.silu(self.norm(hidden)))
        numbers, raw = out.split([self.n_numbers, self.spans.total], 1)
        return numbers, self.spans.bounded(raw)


def _evidence(times: Tensor) -> Tensor:
    """How strongly a noisy level indicates the final level, in logits."""
    return (times / (1 - times).clamp(min=1e-3) ** 2).clamp(max=SHARPEST)


def _denoised(times: Tensor) -> tuple[Tensor, Tensor]:
    """The distribution of a standard normal number given its noisy copy (Karras et al. 2022)."""
    spread = times**2 + (1 - times) ** 2
    return times / spread, (1 - times) / spread.sqrt()
