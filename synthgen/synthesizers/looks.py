"""The validation losses of networks on held-out rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor

from synthgen.encoding.distances import energy_distance
from synthgen.encoding.layout import Encoded, Layout
from synthgen.synthesizers.flow_network import MAX_WIDTH, Flow
from synthgen.synthesizers.training_rows import Data
from synthgen.training.learner import Source
from synthgen.training.looks import Look, Part

# What a look holds at once: KEPT numbers for each encoded value of a row; for CTGAN and TVAE also
# UNITS hidden units of each row, and PAIRS numbers for each pair of rows.
KEPT, UNITS, PAIRS = 8, 1024, 4
# Random numbers of a row that do not depend on the table.
DRAWN = 160
# Number of time points at which TabFlow's loss of a row is computed.
MOMENTS = 8


@final
class EnergyLook(Look):
    """Energy distance between generated and held-out rows, averaged over classes.

    See `Look` for the arguments.
    """

    columns: Data

    def prepare(self) -> None:
        self.columns = _columns(self.layout, next(self.sampler.parameters()).device)

    @staticmethod
    def taken(layout: Layout, rows: Sequence[int]) -> tuple[int, int]:
        width = layout.n_numbers + sum(layout.widths)
        held = sum(rows) * 4 * (DRAWN + 3 * width)
        pairs = PAIRS * max(rows, default=0) ** 2
        return held, 4 * (sum(rows) * (KEPT * width + UNITS) + pairs)

    def parts(self) -> list[Part]:
        found = []
        for real, label in zip(self.held, self.labels, strict=True):
            generator, like = self.started()
            flat = self.columns.flat(real)
            found.append(
                {
                    **self.sampler.draw(len(real), Source(generator, like)),
                    "real": flat.to(like.dtype),
                    "label": torch.full((len(real),), label, device=like.device),
                }
            )
        return found

    def forward(self, parts: list[Part]) -> Tensor:
        # The rows of all classes form one batch.
        joined = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        sampler: Any = self.sampler  # CTGAN and TVAE take the class of each row as well
        made = self.columns.flat(sampler.made(joined, joined["label"]))
        distances = [
            energy_distance(one, part["real"])
            for one, part in zip(made.split([len(p["real"]) for p in parts]), parts, strict=True)
        ]
        return torch.stack(distances).mean()


@final
class FlowLook(Look):
    """TabFlow's mean loss on held-out rows at fixed times with fixed noise.

    See `Look` for the arguments.
    """

    sampler: Flow

    @staticmethod
    def taken(layout: Layout, rows: Sequence[int]) -> tuple[int, int]:
        size = layout.n_numbers + sum(layout.widths)
        held = sum(rows) * 4 * ((MOMENTS + 1) * size + 2 * len(layout.widths))
        return held, sum(rows) * MOMENTS * 4 * (KEPT * size + 10 * MAX_WIDTH)

    def parts(self) -> list[Part]:
        generator, like = self.started()
        sizes = [len(real) for real in self.held]
        noise = Source(generator, like).normal(MOMENTS * sum(sizes), self.sampler.size)
        by_row = noise.unflatten(0, (MOMENTS, sum(sizes))).transpose(0, 1).split(sizes)
        return [
            {
                "noise": some,
                "numbers": real.numbers.to(like.dtype),
                "codes": real.codes.long(),
                "label": torch.full((len(real),), label, device=like.device),
            }
            for real, label, some in zip(self.held, self.labels, by_row, strict=True)
        ]

    def forward(self, parts: list[Part]) -> Tensor:
        # All times and the rows of all classes form one batch of MOMENTS * rows.
        all = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        n = len(all["label"])
        times = (torch.arange(MOMENTS, device=all["label"].device) + 0.5) / MOMENTS
        times = times.to(all["noise"].dtype)[:, None].expand(MOMENTS, n).reshape(-1, 1)
        rows = Encoded(all["numbers"].repeat(MOMENTS, 1), all["codes"].repeat(MOMENTS, 1))
        noise = all["noise"].transpose(0, 1).flatten(0, 1)
        noisy = self.sampler.noisy(rows, all["label"].repeat(MOMENTS), times, noise)
        squared, entropy = self.sampler.losses(noisy)
        each = (squared + entropy).unflatten(0, (MOMENTS, n)).mean(0)
        return torch.stack(
            [loss.mean() for loss in each.split([len(p["label"]) for p in parts])]
        ).mean()


def _columns(layout: Layout, device: torch.device) -> Data:
    """The columns of a layout, without rows."""
    numbers = torch.zeros(0, layout.n_numbers, device=device)
    codes = torch.zeros(0, len(layout.widths), dtype=torch.uint8, device=device)
    labels = torch.zeros(0, dtype=torch.long, device=device)
    return Data(Encoded(numbers, codes), labels, 1, layout)
