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
# Beyond it a level is as good as certain.
SHARPEST = 15.0
# The error of a number counts as at this moment of the way at most.
LATEST = 0.98


def width(rows: int) -> int:
    """64 for 30 rows, twice as much for ten times the rows, at most 512; a power of two."""
    power = round(math.log2(MIN_WIDTH) + math.log10(max(rows, 30) / 30))
    return int(np.clip(2**power, MIN_WIDTH, MAX_WIDTH))


class _Block(nn.Module):
    """Two layers beside the input, with a scale and a shift that the moment gives."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.inner, self.outer = linear(width, width), linear(width, width)
        self.modulation = linear(CLOCK, 2 * width)

    def forward(self, x: Tensor, moment: Tensor) -> Tensor:
        scale, shift = self.modulation(moment).chunk(2, 1)
        return self.bent(x, 1 + scale, shift)

    def bent(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        inner = self.inner(torch.addcmul(shift, self.norm(x), scale))
        return x + self.outer(F.silu(inner))


class Flow(Sampler):
    """From noise to rows: at each moment, the row that a noisy one is expected to become.

    The network corrects what would be expected if no column knew of another: of a noisy standard
    normal number its share of the signal (Karras et al. 2022), of noisy levels their frequency
    times their likelihood.
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
        """Waves of moments from 0, noise, to 1, a row: shape (n, 1) to (n, 2 * WAVES)."""
        angles = times * self.waves
        return torch.cat([angles.sin(), angles.cos()], 1)

    def forward(self, entered: Tensor, moment: Tensor, told: Tensor) -> Tensor:
        """What the network changes of the expected rows, shape (batch, size).

        Args:
            entered: Noisy rows and, for each code, 1 if it is as it will be and 0 if it is noisy;
                shape (batch, size + n_codes).
            moment: Of `moment`, shape (batch, 2 * WAVES).
            told: One-hot classes, shape (batch, n_labels); 0 throughout where none is told.
        """
        known = self._known(moment, told)
        hidden = self.enter(entered)
        for block in self.blocks:
            hidden = block(hidden, known)
        return self.leave(F.silu(self.norm(hidden)))

    def _known(self, moment: Tensor, told: Tensor) -> Tensor:
        known = self.clock(moment)
        return F.silu(known if self.label is None else known + self.label(told))

    def keep_most(self) -> None:
        """From now on, learn only the modulation of the layers, and the last bias."""
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
        """What `losses` needs of rows at moments of their way, by name.

        Args:
            rows: The rows to come.
            labels: Classes, `n_labels` for none told; shape (batch,).
            times: Moments, shape (batch, 1).
            noise: Standard normal, shape (batch, size).
            shown: 1 for levels that are as they will be, shape (batch, n_codes); None: none is.
        """
        n, spans = self.n_numbers, self.spans
        levels = spans.one_hot(rows.codes)
        x = torch.lerp(noise, torch.cat([rows.numbers, levels], 1), times)
        numbers, logits = x.split([n, spans.total], 1)
        if shown is None:
            shown = torch.zeros_like(rows.codes, dtype=x.dtype)
        else:
            logits = torch.where(spans.spread(shown) > 0, levels, logits)
        keep, spread = _skip(times)
        # What is left to learn of a number counts the same at every moment.
        weight = 1 / _skip(times.clamp(max=LATEST))[1]
        return {
            "entered": torch.cat([numbers, logits, shown], 1),
            "moment": self.moment(times),
            "told": one_hot(labels, self.n_labels).to(x.dtype),
            "spread": spread * weight,
            "missing": (rows.numbers - keep * numbers) * weight,
            "likely": torch.addcmul(self.prior, _sharp(times), logits),
            "levels": rows.codes + spans.offsets,
            "hidden": 1 - shown,
        }

    def losses(self, noisy: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Squared error of the numbers and cross-entropy of the levels, shape (batch,) each."""
        out = self(noisy["entered"], noisy["moment"], noisy["told"])
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
        """See `Sampler.made`; `fixed` are levels that all rows have, by position of the code."""
        n, device = self.n_numbers, self.waves.device
        x, logits = drawn["noise"], drawn["noise"][:, n:]
        shown = torch.zeros(len(self.spans.widths), device=device)
        wanted = torch.zeros(self.size, device=device)
        for code, level in (fixed or {}).items():
            shown[code] = 1.0
            wanted[n + sum(self.spans.widths[:code]) + level] = 1.0
        known = F.pad(self.spans.spread(shown[None]), (n, 0)) > 0
        # Once for all moments: what does not depend on the rows.
        moments = torch.linspace(0, 1, self.solver_steps + 1, device=device)[:, None]
        times = moments[:-1]
        ways, (keep, spread), sharp = self._ways(times, label), _skip(times), _sharp(times)
        shares = (moments[1:] - times) / (1 - times)
        enter, of_shown = self.enter.weight.split([self.size, len(shown)], 1)
        entered = F.linear(shown, of_shown, self.enter.bias)
        for i in range(self.solver_steps):
            if fixed:
                x = torch.where(known, wanted, x)
            hidden = torch.addmm(entered, x, enter.T)
            changes = [self._changed(hidden, way, i) for way in ways]
            change, logits = changes[0]
            if len(changes) > 1:  # Ho & Salimans 2022
                change = torch.lerp(changes[1][0], change, self.guidance)
                logits = self.spans.bounded(torch.lerp(changes[1][1], logits, self.guidance))
            numbers = torch.addcmul(keep[i] * x[:, :n], spread[i], change)
            logits = torch.addcmul(logits + self.prior, sharp[i], x[:, n:])
            x = torch.lerp(x, torch.cat([numbers, self.spans.softmax(logits)], 1), shares[i])
        codes = self.spans.draw(logits, drawn["codes"])
        for code, level in (fixed or {}).items():
            codes[:, code] = level
        return Encoded(x[:, :n], codes)

    def _ways(self, times: Tensor, label: int) -> list[list[tuple[Tensor, Tensor]]]:
        """Scale and shift of each block at each moment.

        They are those of the class and, if `guidance` asks for it, also those of no class.
        """
        label_code = torch.zeros(1, self.n_labels, device=times.device)
        label_code[:, label] = 1.0
        guided = self.guidance != 1 and self.label is not None
        ways = []
        for of_class in [label_code, torch.zeros_like(label_code)][: 1 + guided]:
            moment = self._known(self.moment(times), of_class)
            way = []
            for block in self.blocks:
                assert isinstance(block, _Block)
                scale, shift = block.modulation(moment).chunk(2, 1)
                way.append((1 + scale, shift))
            ways.append(way)
        return ways

    def _changed(
        self, hidden: Tensor, way: list[tuple[Tensor, Tensor]], i: int
    ) -> tuple[Tensor, Tensor]:
        for block, (scale, shift) in zip(self.blocks, way, strict=True):
            assert isinstance(block, _Block)
            hidden = block.bent(hidden, scale[i], shift[i])
        out = self.leave(F.silu(self.norm(hidden)))
        numbers, raw = out.split([self.n_numbers, self.spans.total], 1)
        return numbers, self.spans.bounded(raw)


def _sharp(times: Tensor) -> Tensor:
    """How much a noisy level says about the level to come, in logits."""
    return (times / (1 - times).clamp(min=1e-3) ** 2).clamp(max=SHARPEST)


def _skip(times: Tensor) -> tuple[Tensor, Tensor]:
    """What is known of a standard normal number from its noisy copy (Karras et al. 2022).

    Returns:
        The weight of the noisy copy in the mean, and the standard deviation that is left.
    """
    spread = times**2 + (1 - times) ** 2
    return times / spread, (1 - times) / spread.sqrt()
