"""The training loop of all networks.

A `Learner` holds its networks, optimisers and rows as tensors on the device; its `step` makes one
update with a batch, conditions and noise that are drawn on the device too. The training loop
repeats the step, averages the weights, computes the validation loss, keeps the averages with the
lowest loss, and reports progress. Training can stop at any step and continue in another process; on
a CPU the result is then identical. Between two reports, nothing is copied from the device. On CUDA,
up to 16 steps are captured once as a graph, which is then replayed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch

from synthgen.threads import NETWORK, threads_for
from synthgen.training.checkpoint import Checkpoint, State
from synthgen.training.learner import Learner, StagedLearner
from synthgen.training.looks import Look
from synthgen.training.training_run import History, TrainingRun, copied

# Steps with an early report of progress, to estimate the time left. The first step also loads
# libraries, so an estimate from it alone would be too long.
FIRST_REPORTS = (1, 10)
Progress = Callable[[int, int], None]


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
    """Train `learner` for `steps` updates and leave the averaged weights in ``learner.sampler``."""
    kept = learner if goes_on else learner.sampler
    result = None if checkpoint is None else checkpoint.begin()
    if result is not None:
        kept.load_state_dict(result.tensors)
        learner.eval()
        if progress is not None:
            progress(steps, steps)
        return History(**result.values)
    look_every = None if held_out is None else max(1, math.ceil(steps / looks))
    at = TrainingRun(learner, steps, generator, look_every)
    learner.train()
    try:
        _repeat(at, held_out, progress, checkpoint)
        history = at.finish()
    finally:
        at.close()
    if checkpoint is not None:
        checkpoint.finish(State(asdict(history), copied(kept.state_dict())))
    return history


def _repeat(
    at: TrainingRun,
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
        reporting = at.reports
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


@dataclass
class Task:
    """One training run of a fit.

    Attributes:
        learner, steps, generator, progress, goes_on: See `run`.
        look: The validation loss. None: no rows are held out.
    """

    learner: StagedLearner
    steps: int
    generator: torch.Generator
    look: Look | None
    progress: Progress | None
    goes_on: bool

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
