"""Experimental: many networks trained side by side, as one batched model.

On a CPU this takes as long as training one network after the other. On CUDA, one graph makes a step
of all networks, which should save time; that has not been measured. Part ``many`` of ``python
evaluation/gpu.py`` measures it: this module stays only if 25 networks take at most 3 times as long
as one.

Fits on several folds, with several seeds, or on several numbers of rows have networks of the same
shape, and each network is too small to use a GPU well. Their tables get a shared layout. Levels and
columns that a table lacks are filled with padding, which has no effect on losses or gradients. Each
network therefore learns as it would alone: from its own rows, for its own number of steps, and with
its own early stopping.

Only `fit_many` uses this module; it calls `kind` and `run_together`. If the module were removed,
`fit_many` would run each task alone, and nothing else would change. `Beside`, `LooksTogether`,
`StagedLearner.axes` and `forward`, `Layout.own` and `Layout.padded` would then be unused.
"""

from __future__ import annotations

import gc
import math
import sys
import time
from contextlib import closing

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from synthgen.encoding.layout import Layout, common
from synthgen.errors import ConvergenceError
from synthgen.threads import NETWORK, threads_for
from synthgen.training import averages
from synthgen.training.device import memory
from synthgen.training.graph import CapturedSteps, out_of_memory
from synthgen.training.learner import Source, StagedLearner
from synthgen.training.looks import MOST, LooksTogether, stacked
from synthgen.training.runner import Task
from synthgen.training.training_run import MAX_LOSS, REPORT_EVERY, History

LOOKS = 20


def kind(task: Task) -> tuple[object, ...]:
    """Compute a key for a task; tasks with equal keys can be trained side by side."""
    axes = task.learner.axes()
    shapes = [
        tuple(n for d, n in enumerate(w.shape) if d not in axes.get(name, {}))
        for name, w in task.learner.named_parameters()
    ]
    return (*task.beside.alike, task.goes_on, task.learner.batch, tuple(shapes))


def run_together(tasks: list[Task]) -> list[History | ConvergenceError]:
    """Train the learners of all tasks at once, as if each were trained by its own run."""
    if len(tasks) == 1:
        return [_alone(tasks[0])]
    histories = _at_once(tasks) if fits(tasks) else None
    if histories is None:
        gc.collect()  # a traceback may still keep tensors alive
        half = len(tasks) // 2
        return run_together(tasks[:half]) + run_together(tasks[half:])
    return [
        _alone(task) if history is None else history
        for task, history in zip(tasks, histories, strict=True)
    ]


def _alone(task: Task) -> History | ConvergenceError:
    try:
        return task.run()
    except ConvergenceError as error:
        return error


def fits(tasks: list[Task]) -> bool:
    """Whether the device has enough memory for all tasks."""
    budgets, k = [task.beside.budget for task in tasks], len(tasks)
    rows = max(b.n_rows for b in budgets) * max(b.row for b in budgets)
    rows += max(b.looked for b in budgets)
    look = max(b.look for b in budgets)
    each = 2 * rows + max(b.weights for b in budgets)
    # Training steps and validation never run at the same time.
    work = max(k * max(b.step for b in budgets), min(k * look, max(look, MOST)))
    return k * each + work <= memory(tasks[0].generator.device)


def _at_once(tasks: list[Task]) -> list[History | None] | None:
    """Call `SideBySide.run`. Return None if memory ran out; all memory is then released."""
    work = sum(w.numel() * t.learner.batch for t in tasks for w in t.learner.parameters())
    try:
        with threads_for(work, NETWORK), closing(SideBySide(tasks)) as side_by_side:
            return side_by_side.run()
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        return None


class SideBySide:
    """k learners in a shared layout; the weights of each optimiser form a matrix of k rows."""

    def __init__(self, tasks: list[Task]) -> None:
        self.tasks, self.k = tasks, len(tasks)
        self.layouts = common([task.beside.slots for task in tasks])
        learners = [t.beside.again(layout) for t, layout in zip(tasks, self.layouts, strict=True)]
        self.template = learners[0].train()
        for task, layout, learner in zip(tasks, self.layouts, learners, strict=True):
            _take_over(task.learner, learner, layout)
        self.weights = [_Weights(stage, learners) for stage in range(len(self.template.optimizers))]
        # Parameters that no optimiser updates.
        self.fixed = stacked(
            [
                {n: w.detach() for n, w in each.named_parameters() if not w.requires_grad}
                for each in learners
            ]
        )
        self.buffers = stacked([dict(each.named_buffers()) for each in learners])
        self.statistics = [
            f"{name}.{kind}"
            for name, module in self.template.named_modules()
            if isinstance(module, nn.BatchNorm1d)
            for kind in ("running_mean", "running_var")
        ]
        self.like = next(self.template.sampler.parameters())
        seeds = [task.generator.initial_seed() for task in tasks]
        generator = torch.Generator(device=self.like.device)
        generator.manual_seed(int(np.random.SeedSequence(seeds).generate_state(1)[0]))
        self.total = torch.zeros(self.k, len(self.template.losses), device=self.like.device)
        self.averaged = [each.flat.detach().clone() for each in self.weights]
        self.averaged += [self.buffers[name].clone() for name in self.statistics]
        # For each learner the averages with the lowest validation loss; without validation, those
        # of its last step.
        self.best = [average.clone() for average in self.averaged]
        each = max(task.beside.budget.look for task in tasks)
        self.looks = LooksTogether(
            [task.look for task in tasks], self.layouts, self.template.sampler, each
        )
        # Weight of this step in the running averages.
        self.moved = torch.zeros((), device=self.like.device, dtype=self.like.dtype)
        self.count = torch.zeros_like(self.moved)
        self.shares = torch.ones(self.k, device=self.like.device, dtype=self.like.dtype)
        self.captured = CapturedSteps(self.updates, generator, self.like.device)

    # --- a step -----------------------------------------------------------------------------------

    def draw(self) -> dict[str, Tensor]:
        return self.template.draw(Source(self.captured.generator, self.like, (self.k,)))

    def update(self) -> None:
        """Make one update of all learners, then update the running averages."""
        self.total += self.step(self.draw())
        now = [each.flat.detach() for each in self.weights]
        now += [self.buffers[name] for name in self.statistics]
        averages.move(self.averaged, now, self.moved)

    def updates(self, count: int) -> None:
        """Make `count` updates; a graph captures this method."""
        for _ in range(count):
            self.update()

    def step(self, drawn: dict[str, Tensor]) -> Tensor:
        """Make one update of all learners."""
        self.count += 1
        carried: dict[str, Tensor] = {}
        losses = []
        for stage, weights in enumerate(self.weights):
            views = {
                k: v for each in self.weights for k, v in each.views(each.flat).items()
            } | self.fixed
            calls = (views, self.buffers, drawn, carried)
            objective, found, carried = vmap(self._stage(stage))(*calls)
            (gradient,) = torch.autograd.grad(
                objective.sum(), weights.flat, retain_graph=stage + 1 < len(self.weights)
            )
            weights.descend(gradient, self.count, self.shares, self.template.clip)
            losses.append(found)
        return torch.cat(losses, 1)

    def _stage(self, stage: int):
        def one(
            weights: dict[str, Tensor],
            buffers: dict[str, Tensor],
            drawn: dict[str, Tensor],
            carried: dict[str, Tensor],
        ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
            return functional_call(self.template, {**weights, **buffers}, (stage, drawn, carried))

        return one

    def close(self) -> None:
        """Free the captured graph, which keeps all tensors in memory."""
        self.captured.close()

    # --- a run ------------------------------------------------------------------------------------

    def run(self) -> list[History | None]:
        """Make all updates. Return the history of each learner, or None if it diverged."""
        started = time.perf_counter()
        names, tasks = self.template.losses, self.tasks
        histories = [History({n: [] for n in names}, batch=self.template.batch) for _ in tasks]
        lost: set[int] = set()
        since = 0
        ends = {task.steps for task in tasks}
        rates = [
            [t.learner.course(step, t.steps) * (step < t.steps) for t in tasks]
            for step in range(max(ends))
        ]
        # Copied to the device before training, so that no step waits for the CPU.
        shares = torch.tensor(rates, device=self.like.device, dtype=self.like.dtype)
        for step in range(1, max(ends) + 1):
            self.moved.fill_(averages.share_of(step))
            self.shares.copy_(shares[step - 1])
            self.captured()
            since += 1
            going = [i for i, t in enumerate(tasks) if step <= t.steps and i not in lost]
            if step % REPORT_EVERY == 0 or step in ends:
                values = (self.total / since).tolist()
                sizes = sum(each.flat.detach().norm(dim=1) for each in self.weights)
                assert isinstance(sizes, Tensor)
                for i, size in enumerate(sizes.tolist()):
                    fine = math.isfinite(size) and all(abs(v) < MAX_LOSS for v in values[i])
                    if i not in going or not fine:
                        lost |= set() if i not in going else {i}
                        continue
                    histories[i].steps.append(step)
                    for name, value in zip(names, values[i], strict=True):
                        histories[i].losses[name].append(value)
                self.total.zero_()
                since = 0
            due = [i for i in going if i not in lost and _due(tasks[i], step)]
            if due:
                self.look(due, step, histories)
        for i, (task, history) in enumerate(zip(tasks, histories, strict=True)):
            if i not in lost:
                self.hand_over(i)
                history.best_step = history.best_step or task.steps
                history.seconds = time.perf_counter() - started
                task.learner.eval()
                if task.progress is not None:
                    task.progress(task.steps, task.steps)
        return [None if i in lost else history for i, history in enumerate(histories)]

    def look(self, due: list[int], step: int, histories: list[History]) -> None:
        """Compute the validation loss of each learner in `due`; keep averages if it is lowest."""
        kept = torch.zeros(self.k, dtype=torch.bool)
        looking = [i for i in due if self.tasks[i].look is not None]
        losses = dict(zip(looking, self.looks(looking, self.samplers()), strict=True))
        for i in due:
            history = histories[i]
            if i in losses:
                loss = losses[i] if math.isfinite(losses[i]) else sys.float_info.max
                history.held_out.append(loss)
            kept[i] = i not in losses or history.held_out[-1] <= min(history.held_out)
            if kept[i]:
                history.best_step = step
        kept = kept.to(self.like.device)[:, None]
        for best, average in zip(self.best, self.averaged, strict=True):
            torch.where(kept, average, best, out=best)

    def samplers(self) -> dict[str, Tensor]:
        """Give the samplers' tensors, averages in place of weights, each of shape (k, ...)."""
        flat, statistics = self.averaged[: len(self.weights)], self.averaged[len(self.weights) :]
        found = self.fixed | self.buffers | dict(zip(self.statistics, statistics, strict=True))
        for weights, average in zip(self.weights, flat, strict=True):
            found |= weights.views(average)
        return {name: tensor for name, tensor in found.items() if name.startswith("sampler.")}

    def hand_over(self, i: int) -> None:
        """Copy to a learner the best averages of its sampler, and the last weights of the rest."""
        learner = self.tasks[i].learner
        target = dict(learner.named_parameters()) | dict(learner.named_buffers())
        best = [each[i] for each in self.best]
        with torch.no_grad():
            for weights, average in zip(self.weights, best, strict=False):
                means = weights.of(average, self.layouts[i])
                last = weights.of(weights.flat[i].detach(), self.layouts[i])
                for name in means:
                    kept = means if name.startswith("sampler.") else last
                    target[name].copy_(kept[name])
            for name, value in zip(self.statistics, best[len(self.weights) :], strict=True):
                target[name].copy_(value)


def _due(task: Task, step: int) -> bool:
    """Whether, after `step`, a learner's validation is due or its training ends."""
    if step == task.steps:
        return True
    return task.look is not None and step % max(1, math.ceil(task.steps / LOOKS)) == 0


class _Weights:
    """One optimiser's weights for all learners, shape (k, n_weights), with Adam's moments.

    An update is that of Adam in torch (Kingma & Ba 2015; with decoupled weight decay: Loshchilov &
    Hutter 2019), but each row has its own learning rate, and its gradient is clipped by its own
    norm.
    """

    def __init__(
        self,
        stage: int,
        learners: list[StagedLearner],
    ) -> None:
        template = learners[0]
        optimizer = template.optimizers[stage]
        (group,) = optimizer.param_groups
        mine = {id(w) for w in group["params"]}
        named = [(n, w) for n, w in template.named_parameters() if id(w) in mine]
        self.axes = template.axes()
        # Index tensors on the device, by (name, dimension, layout).
        self.places: dict[tuple[str, int, int], Tensor] = {}
        self.names = [name for name, _ in named]
        self.shapes = [w.shape for _, w in named]
        self.sizes = [w.numel() for _, w in named]
        of = [dict(learner.named_parameters()) for learner in learners]
        rows = [torch.cat([w[n].detach().reshape(-1) for n in self.names]) for w in of]
        self.flat = torch.stack(rows).requires_grad_(True)
        self.first = torch.zeros_like(rows[0]).expand(len(rows), -1).clone()
        self.second = self.first.clone()
        self.rate, self.betas, self.eps = group["lr"], group["betas"], group["eps"]
        decay = group["weight_decay"]
        decoupled = isinstance(optimizer, torch.optim.AdamW)
        self.shrink, self.pull = (decay, 0.0) if decoupled else (0.0, decay)

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """Give the weights by name, each of shape (k, ...), as views of a matrix such as `flat`."""
        parts = flat.split(self.sizes, 1)
        shaped = [p.view(len(p), *shape) for p, shape in zip(parts, self.shapes, strict=True)]
        return dict(zip(self.names, shaped, strict=True))

    @torch.no_grad()
    def descend(self, gradient: Tensor, count: Tensor, shares: Tensor, clip: float | None) -> None:
        """Make one update of Adam."""
        if clip is not None:
            norm = gradient.norm(dim=1, keepdim=True)
            gradient = gradient * (clip / (norm + 1e-6)).clamp(max=1.0)
        if self.pull:
            gradient = gradient + self.pull * self.flat
        rate = (self.rate * shares)[:, None]
        if self.shrink:
            self.flat.mul_(1 - rate * self.shrink)
        one, two = self.betas
        self.first.lerp_(gradient, 1 - one)
        self.second.mul_(two).addcmul_(gradient, gradient, value=1 - two)
        bias = 1 - torch.full_like(count, two).pow(count)
        spread = self.second.sqrt().div_(bias.sqrt()).add_(self.eps)
        rate = rate / (1 - torch.full_like(count, one).pow(count))
        self.flat.sub_(rate * self.first / spread)

    def of(self, row: Tensor, layout: Layout) -> dict[str, Tensor]:
        """Give the weights of one learner by name, in the layout of its own table."""
        out = {}
        for name, shape, part in zip(self.names, self.shapes, row.split(self.sizes), strict=True):
            value = part.view(shape)
            for dim, sections in self.axes.get(name, {}).items():
                key = name, dim, id(layout)
                if key not in self.places:
                    self.places[key] = layout.positions(sections).to(row.device)
                value = value.index_select(dim, self.places[key])
            out[name] = value
        return out


@torch.no_grad()
def _take_over(own: StagedLearner, wide: StagedLearner, layout: Layout) -> None:
    """Copy weights and buffers of a learner to its copy in the shared layout."""
    axes, target = wide.axes(), dict(wide.named_parameters())
    for weight in target.values():
        weight.zero_()
    target |= dict(wide.named_buffers())
    for name, value in own.state_dict().items():
        if not value.dim():
            target[name].copy_(value)
            continue
        grid = torch.meshgrid(
            *[
                layout.positions(axes[name][d]) if d in axes.get(name, {}) else torch.arange(n)
                for d, n in enumerate(value.shape)
            ],
            indexing="ij",
        )
        # Where the copy has padding, its buffers keep their values.
        target[name][tuple(g.to(value.device) for g in grid)] = value
