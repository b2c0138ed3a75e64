"""TabFlow, flow matching for mixed tables.

See Lipman et al. 2023, "Flow Matching for Generative Modeling", and Eijkelboom et al. 2024,
"Variational Flow Matching".
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, final

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from synthgen.encoding.disclosure import PRIVATE_ROWS, rounded_count, shareable_counts
from synthgen.encoding.layout import Encoded, Layout
from synthgen.errors import UsageError
from synthgen.seeds import RandomState
from synthgen.synthesizers.flow_network import WAVES, Flow, width
from synthgen.synthesizers.looks import MOMENTS, FlowLook
from synthgen.synthesizers.network import NetworkSynthesizer, Plan, Role, Scope
from synthgen.synthesizers.training_rows import Data
from synthgen.tables.schema import Schema
from synthgen.training.blocks import Spans
from synthgen.training.learner import Learner, Sampler, Source, StagedLearner

# Below this number of rows of the class, pre-training on all rows gives better synthetic rows
# (``evaluation/transfer.md``).
ADAPT_BELOW = 1000
# Upper limit of `solver_steps`. More steps change no row, and without a limit a malicious model
# file could make sampling run for ever.
MAX_SOLVER_STEPS = 10_000
# Share of the rows of a batch whose class is hidden in training; `guidance` needs this.
LABEL_DROPOUT = 0.1
CLIP, WARM_UP, LEAST_RATE = 1.0, 50, 0.02
# Location and scale of the logit-normal distribution of training times (Esser et al. 2024). It
# favours late times, at which the dependence between numbers becomes visible.
LATE, SPREAD = 0.8, 1.6
# `where` needs levels without noise in training: the share of a batch's rows that have some, and
# the share of levels without noise in such a row.
SHOWN_ROWS, SHOWN_LEVELS = 0.5, 0.3
SMALL_BATCH, LARGE_BATCH = 256, 4096
# Level frequencies of a small class are smoothed with this many pseudo-rows from the base.
BORROWED = 5
# Noise draws per time point when the loss of a single row is computed.
NOISES = 4


def frequencies_of_class(counts: Tensor, base: Tensor) -> Tensor:
    """Estimate the log-frequencies of a column's levels in a class of few rows."""
    if not counts.sum():
        return base.float()
    shares = base.double().exp()
    rounded = torch.from_numpy(shareable_counts(counts.numpy()))
    few = counts < PRIVATE_ROWS
    rounded[few] = rounded[few].sum() * shares[few] / shares[few].sum()
    rounded += BORROWED * shares / shares.sum()
    return (rounded / rounded.sum()).log().float()


def _drawn(size: int, codes: int) -> int:
    """See `StagedLearner.width`."""
    return 7 * size + 12 * codes + 6 * WAVES


class FlowLearner(StagedLearner):
    """TabFlow's training step: the losses of a batch of rows at random times."""

    losses = ("numbers", "levels")
    clip = CLIP
    weights: Tensor

    def __init__(self, sampler: Flow, data: Data, batch: int, rate: float) -> None:
        super().__init__()
        self.sampler: Flow = sampler
        self.data, self.batch = data, batch
        self.width = _drawn(sampler.size, len(data.spans.widths))
        if data.spans.total:
            # Rounded as in the model file; the network learns to correct the rounding.
            parts = data.counts().sum(0).cpu().split(data.spans.widths)
            counts = torch.cat([torch.from_numpy(shareable_counts(p.numpy())) for p in parts])
            sampler.prior.copy_(((counts + 0.5) / (rounded_count(len(data)) + 1)).log())
        # Fine-tuning sees a single class, so there is nothing to learn about the others.
        several = len(data.labels.unique()) > 1
        self.dropout = LABEL_DROPOUT if several else 0.0
        tuned = sampler.label is not None and not several
        if tuned:
            sampler.freeze_most()
        # Weights of the losses. In fine-tuning, all numbers together and all levels together weigh
        # the same; otherwise many number columns would take up the whole clipped gradient.
        sizes = torch.tensor([data.numbers.shape[1], len(data.spans.widths)]).float()
        weights = 1 / (sizes if tuned else sizes.sum().expand(2)).clamp(min=1)
        self.register_buffer("weights", weights, persistent=False)
        learned = [w for w in self.parameters() if w.requires_grad]
        self.optimizers = [
            torch.optim.AdamW(learned, lr=rate, betas=(0.9, 0.99), weight_decay=1e-4, fused=True)
        ]

    def start_from(self, base: Learner) -> None:
        """Take the weights of the base, but use the level frequencies of the class."""
        super().start_from(base)
        prior, data = self.sampler.prior, self.data
        parts = zip(
            data.counts().sum(0).cpu().split(data.spans.widths),
            prior.cpu().split(data.spans.widths),
            strict=True,
        )
        found = [frequencies_of_class(counts, before) for counts, before in parts]
        prior.copy_(torch.cat([*found, prior.new_zeros(0).cpu()]))

    def draw(self, source: Source) -> dict[str, Tensor]:
        return {
            "rows": source.uniform(self.batch, dtype=torch.float64),
            "untold": source.uniform(self.batch),
            "times": source.uniform(self.batch),
            "shown": source.uniform(self.batch, len(self.sampler.spans.widths) + 1),
            "noise": source.normal(self.batch, self.sampler.size),
        }

    def gather(self, drawn: dict[str, Tensor]) -> dict[str, Tensor]:
        sampler, data, shape = self.sampler, self.data, drawn["rows"].shape
        # Stratified times, one from each of `batch` equally likely intervals: less variance.
        place = torch.arange(self.batch, device=data.labels.device) + drawn["times"]
        place = (place / self.batch).clamp(1e-6, 1 - 1e-6)
        times = torch.sigmoid(LATE + SPREAD * torch.special.ndtri(place))
        drawn = {name: all.flatten(0, len(shape) - 1) for name, all in drawn.items()}
        rows, labels = data.rows(data.at(drawn["rows"]))
        if self.dropout:
            labels = torch.where(drawn["untold"] < self.dropout, sampler.n_labels, labels)
        share = drawn["shown"]
        shown = (share[:, 1:] < SHOWN_LEVELS) & (share[:, :1] < SHOWN_ROWS)
        shown = shown.to(share.dtype)
        found = sampler.noisy(rows, labels, times.reshape(-1, 1), drawn["noise"], shown)
        return {name: all.unflatten(0, shape) for name, all in found.items()}

    def objective(
        self, stage: int, drawn: dict[str, Tensor], carried: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        losses = torch.stack([loss.mean() for loss in self.sampler.losses(drawn)])
        return losses.dot(self.weights), losses.detach(), {}

    def course(self, done: int, steps: int) -> float:
        """Learning rate schedule: linear warm-up, then cosine decay."""
        falling = 0.5 * (1 + math.cos(math.pi * min(1.0, done / steps)))
        return min(1.0, (done + 1) / WARM_UP) * (LEAST_RATE + (1 - LEAST_RATE) * falling)


@final
class TabFlow(NetworkSynthesizer):
    """Flow matching for mixed tables (Lipman et al. 2023; Eijkelboom et al. 2024).

    A residual network learns to predict a row from a noisy version of it: the mean of its numbers
    and the probabilities of its levels. A new row begins as noise and moves towards the prediction
    in `solver_steps` steps. Spikes and missing cells are levels. The width of the network and the
    number of updates follow from the number of rows, and training stops at the best loss on
    held-out rows of the class. `steps` matters most, then `learning_rate`; the measurements are in
    ``evaluation/fidelity.md`` and ``evaluation/transfer.md``.

    Scope "auto" means "adapt" below 1,000 rows of the class, otherwise "class". Fine-tuning starts
    from the level frequencies of the class. Only two things are trained: the scale and shift by
    which class and time modulate each layer, and the last bias. This gives rows that are closer to
    held-out rows, and reveal less about training rows, than fine-tuning the whole network.

    See `NetworkSynthesizer` for the arguments that are not listed here.

    `sample(..., where={...})` also takes numbers with few distinct values.

    Args:
        guidance: Classifier-free guidance weight for scopes "all" and "adapt" (Ho & Salimans 2022).
            1 samples what was learned; larger values give rows that are more typical of the class
            and less diverse.
        solver_steps: Steps of the ODE solver from noise to a row, from 1 to 10,000. The time of
            sampling is proportional to it.
        steps: Number of updates; pre-training and fine-tuning each take that many. None:

            - CPU: 20 times the square root of the number of training rows, from 100 to 4,000.
            - GPU with held-out rows: 50 times that square root, up to 10,000.
            - Scope "adapt": half as many for pre-training; 40 times the square root of the rows of
              the class, from 200 to 4,000, for fine-tuning.
        batch_size: Rows per batch. None: 256 on a CPU; an eighth of the rows, between 256 and
            4,096, on a GPU.

    Example:
        >>> import numpy as np, pandas as pd
        >>> rng = np.random.default_rng(0)
        >>> frame = pd.DataFrame({"dose": rng.normal(size=300), "sex": rng.choice(["f", "m"], 300)})
        >>> ill = pd.Series(np.arange(300) < 40, name="ill")
        >>> model = TabFlow(steps=5, random_state=0).fit(frame, ill)
        >>> rows = model.sample(4, label=True, where={"sex": "f"}, random_state=0)
        >>> rows.shape, bool(rows["ill"].all()), set(rows["sex"])
        ((4, 3), True, {'f'})
    """

    def __init__(
        self,
        *,
        guidance: float = 1.0,
        solver_steps: int = 50,
        scope: Scope = "auto",
        steps: int | None = None,
        batch_size: int | None = None,
        learning_rate: float = 3e-3,
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
        self.guidance = guidance
        self.solver_steps = solver_steps

    def _sample_where(
        self, position: int, rows: int, seed: np.random.SeedSequence, where: Mapping[Any, Any]
    ) -> pd.DataFrame:
        if position not in self.networks_:
            return super()._sample_where(position, rows, seed, where)
        model = self.networks_[position]
        assert isinstance(model.sampler, Flow)
        places = [model.encoder.place(name, value) for name, value in where.items()]
        fixed = {code: level for code, level in places if code is not None}
        return self._made(model, rows, seed, partial(model.sampler.made, fixed=fixed))

    may_be_none = ("steps", "batch_size")
    look = FlowLook

    def _check_params(self) -> None:
        super()._check_params()
        steps, guidance = self.solver_steps, self.guidance
        whole = isinstance(steps, int | np.integer) and not isinstance(steps, bool)
        if not whole or not 1 <= steps <= MAX_SOLVER_STEPS:
            raise UsageError(
                232,
                f"solver_steps must be a whole number from 1 to {MAX_SOLVER_STEPS}, not {steps!r}",
            )
        if (
            isinstance(guidance, bool)
            or not isinstance(guidance, int | float)
            or not 0 <= guidance < float("inf")
        ):
            raise UsageError(239, f"guidance must be a number from 0, not {guidance!r}")

    @staticmethod
    def best_scope(rows: int) -> Scope:
        return "adapt" if rows < ADAPT_BELOW else "class"

    @staticmethod
    def default_steps(rows: int) -> int:
        """Number of updates: 20 times the square root of the rows, between 100 and 4,000.

        10,000 rows give 2,000 updates. If rows are held out, training keeps the step with the
        lowest held-out loss. If too few rows can be held out, more steps would memorise the
        training rows.

        Args:
            rows: Number of training rows of the network.

        Returns:
            The number of updates.
        """
        return int(np.clip(20 * np.sqrt(rows), 100, 4000))

    def plan(self, rows: int, role: Role, device: torch.device, *, held: bool) -> Plan:
        """Choose the size of a network, its number of updates and its batch size.

        A base has half the width and takes half the steps, because a larger one memorises rows of
        the class before it is fine-tuned. Fine-tuning changes few weights and takes 40 times the
        square root of the rows, between 200 and 4,000 updates. On a GPU a step takes a tenth of the
        time, so training runs longer and early stopping has more steps to choose from.

        Args:
            rows, role, device, held: See `NetworkSynthesizer.plan`.

        Returns:
            The number of rows to size the network for, its updates and its batch size.
        """
        if role == "adapted":
            steps = int(np.clip(40 * np.sqrt(rows), 200, 4000))
        else:
            of = rows // 4 if role == "base" else rows
            steps = self.default_steps(of)
            if device.type != "cpu" and held:
                steps = int(np.clip(50 * np.sqrt(of), steps, 10_000))
        size = rows // 10 if role == "base" else rows
        return Plan(size, self.steps or steps, self._batch(rows, device))

    def _sampler(self, layout: Layout, n_labels: int, rows: int) -> Sampler:
        spans = Spans(layout.widths)
        return Flow(
            layout.n_numbers, spans, n_labels, width(rows), self.solver_steps, self.guidance
        )

    def _drawn(self, layout: Layout) -> int:
        return _drawn(layout.n_numbers + sum(layout.widths), len(layout.widths))

    def _batch(self, rows: int, device: torch.device) -> int:
        """Batch size: the argument; if None, 256 on a CPU, an eighth of the rows on a GPU."""
        if self.batch_size is not None or device.type == "cpu":
            return self.batch_size or SMALL_BATCH
        power = round(math.log2(max(rows, 1) / 8))
        return int(np.clip(2.0**power, SMALL_BATCH, LARGE_BATCH))

    def _learner(self, sampler: Sampler, data: Data, batch: int) -> StagedLearner:
        assert isinstance(sampler, Flow)
        return FlowLearner(sampler, data, batch, self.learning_rate)

    def _row_losses(
        self, sampler: Sampler, rows: Encoded, labels: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Compute losses at several times between noise and row, with the same noise for all."""
        assert isinstance(sampler, Flow)
        figures = []
        with torch.no_grad():
            for k in range(MOMENTS * NOISES):
                moment = (k % MOMENTS + 0.5) / MOMENTS
                # All rows of a draw share one noise, so a row's loss does not depend on the others.
                noise = torch.randn(
                    1, sampler.size, device=rows.numbers.device, generator=generator
                ).expand(len(rows), -1)
                times = torch.full((len(rows), 1), moment, device=noise.device)
                noisy = sampler.noisy(rows, labels, times, noise)
                figures.append(torch.stack(sampler.losses(noisy)))
        found = torch.stack(figures).reshape(NOISES, 2 * MOMENTS, len(rows)).mean(0).T
        return torch.cat([found.sum(1, keepdim=True), found], 1)
