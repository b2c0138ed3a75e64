"""The training loop of all networks.

A `Learner` holds its networks, optimisers and rows as tensors on the device; its `step` makes one
update with a batch, conditions and noise that are drawn on the device too. The training loop
repeats the step, averages the weights, computes the validation loss, keeps the averages with the
lowest loss, and reports progress. Training can stop at any step and continue in another process; on
a CPU the result is then identical. Between two reports, nothing is copied from the device. On CUDA,
up to 16 steps are captured once as a graph, which is then replayed.
"""

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
from synthgen.threads import NETWORK, threads_for
from synthgen.training import averages
from synthgen.training.checkpoint import Checkpoint, State
from synthgen.training.graph import CapturedSteps, out_of_memory
from synthgen.training.learner import Beside, Learner, StagedLearner
from synthgen.training.looks import Look

REPORT_EVERY = 100
# Steps with an early report of progress, to estimate the time left. The first step also loads
# libraries, so an estimate from it alone would be too long.
FIRST_REPORTS = (1, 10)
RETRIES = 3  # number of reductions of the learning rate before training fails
# A larger loss means divergence: rows are standardised, and float32 has no decimals above it.
MAX_LOSS = 1e7
Progress = Callable[[int, int], None]


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


def run(
    learner: Learner,
    steps: int,
    generator: torch.Generator,
    *,
    held_out: Callable[[], float] | None = None,
    looks: int = 20,
    progress: Progress | None = None,
    checkpoint: Checkpoint | None = None,
    goes_on: bool = False,
) -> History:
    """Train `learner` for `steps` updates and leave the averaged weights in ``learner.sampler``.

    Training has diverged if, at a report, a loss or weight is not finite or a loss exceeds
    `MAX_LOSS`. The run then goes back to the previous report, or if it has diverged before, to the
    start, and continues with a tenth of the learning rate; this happens at most three times. If
    memory is too small for a step, the run goes back to the previous report and continues with half
    the batch. Each time, a warning is given and the history records it.

    Args:
        learner: The learner; it is changed in place. To continue from a checkpoint, pass learner
            and generator in the state in which the run first began.
        steps: Number of updates.
        generator: Random generator of the device, used by this run only.
        held_out: Function that returns the validation loss. It is called `looks` times, while the
            learner has the averaged weights; the averages with the lowest loss are kept. None: the
            last averages are kept.
        looks: Number of validation evaluations.
        progress: Called with (steps done, total steps) at the start, at each report and, on a CPU,
            after 1 and 10 steps.
        checkpoint: Checkpoint to write when it is due at a report, and on Ctrl-C and SIGTERM. If it
            already holds a state of this run, the run continues from there. None: no checkpoint.
        goes_on: Whether a later run starts from the whole learner, not only from its sampler.

    Returns:
        The history of the run.

    Raises:
        ConvergenceError: Training diverged at each of four learning rates (E601), or memory is too
            small for the smallest batch (E602).
    """
    kept = learner if goes_on else learner.sampler
    result = None if checkpoint is None else checkpoint.begin()
    if result is not None:
        kept.load_state_dict(result.tensors)
        learner.eval()
        if progress is not None:
            progress(steps, steps)
        return History(**result.values)
    look_every = None if held_out is None else max(1, math.ceil(steps / looks))
    at = _Run(learner, steps, generator, look_every)
    learner.train()
    try:
        _repeat(at, held_out, progress, checkpoint)
        history = at.finish()
    finally:
        at.close()
    if checkpoint is not None:
        checkpoint.finish(State(asdict(history), _copied(kept.state_dict())))
    return history


def _repeat(
    at: _Run,
    held_out: Callable[[], float] | None,
    progress: Progress | None,
    checkpoint: Checkpoint | None,
) -> None:
    """Make all steps; go back if training diverges or memory runs out (see `run`)."""
    start = good = at.state()
    if checkpoint is not None and checkpoint.saved is not None:
        now, good = checkpoint.saved
        at.resume(now)
    if progress is not None:
        progress(at.step, at.steps)
    while at.step < at.steps:
        if not at.advance():
            at.halve_batch(good)
            continue
        reporting = at.step % REPORT_EVERY == 0 or at.step == at.steps
        if at.step in FIRST_REPORTS and not at.captured.on_cuda and progress is not None:
            progress(at.step, at.steps)
        if reporting:
            if wrong := at.report():
                if at.history.lowered:
                    good = start  # it diverged again from the state of the previous report
                at.lower_rates(good, wrong)
                continue
            if progress is not None:
                progress(at.step, at.steps)
        if held_out is not None and at.looks:
            at.look(held_out)
        if reporting:
            good = at.state()
            if checkpoint is not None and checkpoint.due:
                checkpoint.write(good, good)
        if checkpoint is not None and checkpoint.signalled:
            checkpoint.leave(at.state(), good)


class _Run:
    """The state of a training run, and the operations on it."""

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
        self.captured = CapturedSteps(self._updates, generator, device)
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
        self._update(self.ahead[0], self.within)
        del self.ahead[0]
        self.within = self.within + 1 if self.ahead else 0

    def _updates(self, count: int) -> None:
        """Draw and make `count` steps; a graph captures this method."""
        for i, drawn in enumerate(self.learner.ahead(self.generator, count)):
            self._update(drawn, i)

    def _update(self, drawn: Any, i: int) -> None:
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
        """Add the mean losses since the last report to the history.

        Returns:
            "" if all is well; if training has diverged, the losses that show it.
        """
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
        return State(values, _copied(tensors))

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
                f"memory does not suffice for step {self.step + 1} with a batch of {batch} rows, "
                f"which cannot be smaller: use another device, close what else takes memory, or "
                f"drop columns with many values",
            )
        half = max(2, batch // 2 // pac) * pac
        note = (
            f"memory does not suffice for a batch of {batch} rows at step {self.step + 1}: it goes "
            f"back to step {good.values['step']} with {half}"
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


def _copied(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


@dataclass
class Task:
    """One training run of a fit.

    Attributes:
        learner, steps, generator, progress, goes_on: See `run`.
        look: The validation loss. None: no rows are held out.
        beside: What is needed to train it side by side with other learners.
    """

    learner: StagedLearner
    steps: int
    generator: torch.Generator
    look: Look | None
    progress: Progress | None
    goes_on: bool
    beside: Beside

    def run(self, checkpoint: Checkpoint | None = None) -> History:
        """Train the learner, with as many threads as speed up a step of this size."""
        weights = sum(weight.numel() for weight in self.learner.parameters())
        with threads_for(self.learner.batch * weights, NETWORK):
            return run(
                self.learner,
                self.steps,
                self.generator,
                held_out=None if self.look is None else self.look.value,
                progress=self.progress,
                checkpoint=checkpoint,
                goes_on=self.goes_on,
            )
