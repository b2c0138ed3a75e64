"""A training run: steps, progress reports, validations, recovery, saved state."""

from __future__ import annotations

import copy
import math
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from synthgen.errors import ConvergenceError
from synthgen.training import averages
from synthgen.training.checkpoint import State
from synthgen.training.graph import CapturedSteps, out_of_memory
from synthgen.training.learner import Learner

REPORT_EVERY = 100
RETRIES = 3  # number of reductions of the learning rate before training fails
# A larger loss means divergence: rows are standardised, and float32 has no decimals above it.
MAX_LOSS = 1e7


@dataclass
class History:
    """The history of one training run.

    Attributes:
        losses: For each loss, by name, a list with its mean over the steps since the report before.
        steps: The step of each report.
        held_out: The validation loss of each evaluation, lower is better; empty if no rows are held
            out.
        best_step: The step whose averaged weights were kept.
        seconds: Wall-clock time in seconds, including that of an interrupted run that this one
            continued.
        batch: Rows per batch at the end.
        lowered: How many times the learning rate was divided by 10.
        retries: One sentence for each time that the run went back to an earlier step.
    """

    losses: dict[str, list[float]]
    steps: list[int] = field(default_factory=list)
    held_out: list[float] = field(default_factory=list)
    best_step: int = 0
    seconds: float = 0.0
    batch: int = 0
    lowered: int = 0
    retries: list[str] = field(default_factory=list)


class TrainingRun:
    """The state of a training run, and the operations on it; `runner.run` calls them.

    Attributes:
        step: Number of updates made.
        history: See `History`.
        weights: The weights that are averaged, in the order of `average`.
        average: Their running averages.
        captured: The captured graphs of the steps, and the generator.
        total: Sums of the losses since the last report, shape (n_losses,).
    """

    def __init__(
        self,
        learner: Learner,
        steps: int,
        generator: torch.Generator,
        look_every: int | None = None,
    ) -> None:
        self.learner, self.steps, self.look_every = learner, steps, look_every
        self.history = History({name: [] for name in learner.losses}, batch=learner.batch)
        self.step = self.since = 0
        self.weights = averages.changing(learner.sampler)
        self.average = [w.clone() for w in self.weights]
        self.best: list[Tensor] | None = None
        device = self.weights[0].device
        self.captured = CapturedSteps(self.updates, generator, device)
        self.total = torch.zeros(len(learner.losses), device=device)
        # Random numbers of the next steps, drawn in advance; the generator's state before they were
        # drawn; and how many of the steps drawn together are done.
        self.ahead: list[Any] = []
        self.before, self.within = generator.get_state(), 0
        groups = [o.param_groups for o in learner.optimizers]
        self.rates = [[group["lr"] for group in g] for g in groups]
        for group in (g for some in groups for g in some):
            if device.type == "cuda" and "capturable" in group:
                group["capturable"] = True  # keep the step count on the GPU, for graphs
        # On CUDA: for each step its weight in the averages and the learning rates, shape
        # (steps, 1 + groups). `course` has all steps, `pace` those of the next replay of the graph.
        self.course = self.pace = torch.zeros(0, device=device)
        self._apply()
        self.started = time.perf_counter()

    @property
    def generator(self) -> torch.Generator:
        return self.captured.generator

    def advance(self) -> bool:
        """Make one step, or as many as a graph holds. Return False if memory ran out."""
        try:
            made = self._ahead_of(self.step) if not (self.ahead or self.within) else 0
            if made and self.captured.ready(made):
                self._take_pace(made)
                self.captured(made)
            else:
                made = 1
                self.captured.one_by_one(self._one)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            return False
        self.step, self.since = self.step + made, self.since + made
        return True

    def _ahead_of(self, step: int) -> int:
        """Number of steps to draw at once after `step`: up to the next report or validation."""
        ends = [self.learner.at_once, REPORT_EVERY - step % REPORT_EVERY, self.steps - step]
        if self.look_every is not None:
            ends.append(self.look_every - step % self.look_every)
        return min(ends)

    def _one(self) -> None:
        """Make the next step; if no random numbers are left, draw those of several steps first."""
        if not self.ahead:
            first = self.step - self.within
            self.before, count = self.generator.get_state(), self._ahead_of(first)
            self._take_pace(count)
            self.ahead = self.learner.ahead(self.generator, count)[self.within :]
        self.update(self.ahead[0], self.within)
        del self.ahead[0]
        self.within = self.within + 1 if self.ahead else 0

    def updates(self, count: int) -> None:
        """Draw and make `count` steps; a graph captures this method."""
        for i, drawn in enumerate(self.learner.ahead(self.generator, count)):
            self.update(drawn, i)

    def update(self, drawn: Any, i: int) -> None:
        """Make a step and update the averages; all tensors are changed in place, for the graph."""
        if not self.captured.on_cuda:
            self._set_rates(self.learner.course(self.step, self.steps))
            self.total.add_(self.learner.step(drawn))
            averages.move(self.average, self.weights, averages.share_of(self.step + 1))
            return
        share, *rates = self.pace[i].unbind()
        for group in (g for optimizer in self.learner.optimizers for g in optimizer.param_groups):
            group["lr"] = rates.pop(0)
        self.total.add_(self.learner.step(drawn))
        averages.move(self.average, self.weights, share)

    def _take_pace(self, count: int) -> None:
        """Copy the rates of the next `count` steps to the tensor that the graph reads."""
        if self.captured.on_cuda:
            first = self.step - self.within
            self.pace[:count].copy_(self.course[first : first + count])

    def report(self) -> str:
        """Add the mean losses since the last report to the history."""
        # The losses were computed before the last update, so check the weights as well.
        norms = torch._foreach_norm([w.detach() for w in self.learner.parameters()] + self.weights)
        size = torch.stack(norms).sum().to(self.total)[None]
        *values, norm = torch.cat([self.total / self.since, size]).tolist()
        names = self.learner.losses
        if not (all(abs(v) < MAX_LOSS for v in values) and math.isfinite(norm)):
            named = ", ".join(f"{n} {v:g}" for n, v in zip(names, values, strict=True))
            return named if math.isfinite(norm) else f"{named}, size of the weights {norm:g}"
        self.total.zero_()
        self.since = 0
        self.history.steps.append(self.step)
        for name, value in zip(names, values, strict=True):
            self.history.losses[name].append(value)
        return ""

    @property
    def reports(self) -> bool:
        """Whether a report is due."""
        return self.step % REPORT_EVERY == 0 or self.step == self.steps

    @property
    def looks(self) -> bool:
        """Whether validation is due."""
        every = self.look_every or self.steps
        return self.step % every == 0 or self.step == self.steps

    def look(self, held_out: Callable[[], float]) -> None:
        """Compute the validation loss, and keep the averaged weights if it is the lowest."""
        history = self.history
        with averages.swapped(self.weights, self.average), averages.evaluating(self.learner):
            distance = held_out()
        # JSON has no infinity.
        history.held_out.append(distance if math.isfinite(distance) else sys.float_info.max)
        if history.held_out[-1] <= min(history.held_out):
            self.best = [a.clone() for a in self.average]
            history.best_step = self.step

    def finish(self) -> History:
        """Put the best averages into the sampler, and end training."""
        self.history.best_step = self.history.best_step or self.steps
        with torch.no_grad():
            torch._foreach_copy_(self.weights, self.best or self.average)
        self.learner.eval()
        self.close()
        self.history.seconds = time.perf_counter() - self.started
        return self.history

    def close(self) -> None:
        """Free the memory that only training needs: graphs, random numbers and gradients."""
        self.captured.close()
        self.ahead.clear()
        self.learner.zero_grad(set_to_none=True)

    # --- saving and restoring ---------------------------------------------------------------------

    def state(self) -> State:
        """Copy everything that the next steps depend on; the copies stay on the device."""
        self.history.seconds = time.perf_counter() - self.started
        values = {
            "step": self.step,
            "since": self.since,
            "within": self.within,
            "history": asdict(self.history),
        }
        tensors = {f"learner/{k}": v for k, v in self.learner.state_dict().items()}
        for i, optimizer in enumerate(self.learner.optimizers):
            for j, moments in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer/{i}/{j}/{k}": v for k, v in moments.items()}
        tensors |= {f"average/{i}": a for i, a in enumerate(self.average)}
        tensors |= {f"best/{i}": b for i, b in enumerate(self.best or [])}
        drawn_from = self.before if self.within else self.generator.get_state()
        tensors |= {"total": self.total, "generator": drawn_from}
        return State(values, copied(tensors))

    def resume(self, state: State) -> None:
        """Continue from a state that this or another process has saved."""
        self._restore(state)
        self.started = time.perf_counter() - self.history.seconds

    def lower_rates(self, good: State, wrong: str) -> None:
        """Go back to `good` with a tenth of the learning rates."""
        lowered = self.history.lowered + 1
        tried = [f"{self._rate(k):g}" for k in range(lowered)] if self.rates else []
        if lowered > RETRIES:
            rates = f" at each of the learning rates {', '.join(tried)}" if tried else ""
            raise ConvergenceError(
                601,
                f"training diverged before step {self.step} ({wrong}){rates}: lower the learning "
                f"rate further, or use another synthesizer",
            )
        note = (
            f"training diverged before step {self.step} ({wrong}): it goes back to step "
            f"{good.values['step']} with a tenth of the learning rate"
        )
        self._again(good, f"{note}, {self._rate(lowered):g}" if tried else note, lowered=1)

    def halve_batch(self, good: State) -> None:
        """Go back to `good` with half the batch."""
        batch, pac = self.learner.batch, self.learner.pac
        if batch <= 2 * pac:
            raise ConvergenceError(
                602,
                f"out of memory at step {self.step + 1} with batches of {batch} rows, which cannot "
                f"be smaller: use another device, close what else takes memory, or drop columns "
                f"with many values",
            )
        half = max(2, batch // 2 // pac) * pac
        note = (
            f"out of memory at step {self.step + 1} with batches of {batch} rows; training "
            f"continues from step {good.values['step']} with batches of {half}"
        )
        self._again(good, note, batch=half)

    def _again(self, good: State, note: str, *, lowered: int = 0, batch: int | None = None) -> None:
        """Restore `good`, note why, and change the learning rate or the batch."""
        before = self.history
        self._restore(good)
        self.history.retries = [*before.retries, note]
        self.history.lowered = before.lowered + lowered
        self.history.batch = before.batch if batch is None else batch
        self._apply()
        warnings.warn(note, UserWarning, stacklevel=5)

    def _rate(self, lowered: int) -> float:
        return self.rates[0][0] / 10**lowered if self.rates else math.nan

    def _apply(self) -> None:
        """Set the learner's batch and learning rates to those in the history."""
        self.learner.batch = self.history.batch
        self._set_rates(1.0)
        if not self.captured.on_cuda:
            return
        rows = []
        for step in range(self.steps):
            share = self.learner.course(step, self.steps) / 10**self.history.lowered
            rates = [share * first for group in self.rates for first in group]
            rows.append([averages.share_of(step + 1), *rates])
        self.course = torch.tensor(rows, device=self.total.device)
        self.pace = self.course[: self.learner.at_once].clone()

    def _set_rates(self, share: float) -> None:
        for optimizer, rates in zip(self.learner.optimizers, self.rates, strict=True):
            for group, first in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = share * first / 10**self.history.lowered

    def _restore(self, state: State) -> None:
        # Free the graphs first: they take the memory of a step, and their tensors are replaced.
        self.captured.forget()
        self.ahead.clear()
        parts: dict[str, dict[str, Tensor]] = {"learner": {}, "average": {}, "best": {}}
        moments: dict[int, dict[int, dict[str, Tensor]]] = {}
        for name, tensor in state.tensors.items():
            part, _, rest = name.partition("/")
            if part == "optimizer":
                i, j, key = rest.split("/")
                moments.setdefault(int(i), {}).setdefault(int(j), {})[key] = tensor
            elif rest:
                parts[part][rest] = tensor
        self.learner.load_state_dict(parts["learner"])
        self.learner.zero_grad(set_to_none=True)  # a failed step may have left gradients
        for i, optimizer in enumerate(self.learner.optimizers):
            whole = optimizer.state_dict() | {"state": moments.get(i, {})}
            optimizer.load_state_dict(copy.deepcopy(whole))
        average = [parts["average"][str(i)] for i in range(len(self.average))]
        with torch.no_grad():
            torch._foreach_copy_(self.average, average)
            self.total.copy_(state.tensors["total"])
        best = [parts["best"][str(i)] for i in range(len(parts["best"]))]
        self.best = [b.to(self.total.device) for b in best] or None
        self.generator.set_state(state.tensors["generator"])
        self.history = History(**copy.deepcopy(state.values["history"]))
        self.step, self.since = state.values["step"], state.values["since"]
        self.within = state.values["within"]
        self._apply()


def copied(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copy tensors on their device, without their gradients."""
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}
