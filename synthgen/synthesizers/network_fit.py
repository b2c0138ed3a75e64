"""One fit of a network synthesizer: which networks it trains, on which rows, in which order."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from synthgen.encoding.encoder import Encoder
from synthgen.encoding.layout import Layout
from synthgen.progress import Progress
from synthgen.seeds import child_seed
from synthgen.synthesizers.network_file import TrainedNetwork
from synthgen.synthesizers.training_rows import Data
from synthgen.tables.table import Table
from synthgen.training.blocks import initialise
from synthgen.training.device import Budget, torch_generator
from synthgen.training.learner import Learner, StagedLearner
from synthgen.training.runner import Task
from synthgen.training.training_run import History

if TYPE_CHECKING:
    from synthgen.synthesizers.network import NetworkSynthesizer, Plan, Role

# For early stopping, a tenth of the rows of the class is held out, at most HELD_OUT_MAX rows; none
# if that is fewer than HELD_OUT_MIN rows.
HELD_OUT_SHARE, HELD_OUT_MIN, HELD_OUT_MAX = 0.1, 20, 1000
LONG_FIT = 20  # a training of at least this many seconds says beforehand how long it will take


@dataclass(frozen=True, eq=False)
class _Training:
    """What one network learns from.

    Attributes:
        name: For the progress display: a class, or "all rows".
        rows: Positions of its training rows in the table, shape (n,).
        held: Positions of the held-out rows of each class, by position of the class.
        seed: Seed of the training.
        conditional: Whether the class is a condition of the network.
        role: Trained once, pre-trained as a base, or fine-tuned from one.
        base: For a fine-tuned network, the learner and the encoder of its base.
    """

    name: str
    rows: np.ndarray
    held: dict[int, np.ndarray]
    seed: np.random.SeedSequence
    conditional: bool
    role: Role = "whole"
    base: tuple[Learner, Encoder] | None = None


class NetworkFit:
    """The trainings that make up one fit.

    Each class with scope "class" has its own network. The other classes share one network that
    learns from all rows; for scope "adapt", a copy of it is fine-tuned on the rows of the class.
    """

    def __init__(
        self,
        owner: NetworkSynthesizer,
        table: Table,
        scopes: dict[int, str],
        seed: np.random.SeedSequence,
    ) -> None:
        self.owner, self.table, self.scopes, self.seed = owner, table, scopes, seed
        self.labels = table.labels
        self.held = {p: _held_out(self.labels, p, child_seed(seed, p)) for p in scopes}

    def runs(self) -> Generator[Task, History, dict[int, TrainedNetwork]]:
        """Yield each training as a `Task`, and receive its `History`."""
        alone = [p for p, scope in self.scopes.items() if scope == "class"]
        shared = [p for p, scope in self.scopes.items() if scope != "class"]
        adapted = [p for p in shared if self.scopes[p] == "adapt"]
        self.numbers, self.total = count(1), len(alone) + bool(shared) + len(adapted)
        models: dict[int, TrainedNetwork] = {}
        with Progress(self.owner.verbose) as self.display:
            for p in alone:
                _, models[p] = yield from self._train(self._of_class(p, 1, conditional=False))
            if shared:
                base = yield from self._train(self._of_all(shared, goes_on=bool(adapted)))
                for p in shared:
                    model = base[1]
                    models[p] = TrainedNetwork(model.encoder, model.sampler, p, model.history)
                    if p in adapted:
                        tuned = self._of_class(p, 2, conditional=True, base=base)
                        _, models[p] = yield from self._train(tuned)
        return {p: models[p] for p in self.scopes}

    def _of_class(
        self,
        p: int,
        key: int,
        *,
        conditional: bool,
        base: tuple[Learner, TrainedNetwork] | None = None,
    ) -> _Training:
        """Training on the rows of one class."""
        return _Training(
            f"{self.table.schema.classes[p]}",
            np.setdiff1d(np.flatnonzero(self.labels == p), self.held[p]),
            {p: self.held[p]},
            child_seed(self.seed, p, key),
            conditional,
            "whole" if base is None else "adapted",
            None if base is None else (base[0], base[1].encoder),
        )

    def _of_all(self, shared: list[int], *, goes_on: bool) -> _Training:
        """Training on all rows except the held-out rows of the classes in `shared`."""
        held = {p: self.held[p] for p in shared}
        return _Training(
            "all rows",
            np.setdiff1d(np.arange(len(self.table)), np.concatenate(list(held.values()))),
            held,
            child_seed(self.seed, len(self.table.schema.classes), 1),
            conditional=True,
            role="base" if goes_on else "whole",
        )

    def _train(
        self, training: _Training
    ) -> Generator[Task, History, tuple[Learner, TrainedNetwork]]:
        """Build one network, yield its training, and return its learner and the trained network."""
        owner, features = self.owner, self.table.schema.features
        frame = self._frame(training.rows)
        rng = np.random.default_rng(child_seed(training.seed, 0))
        encoder = (
            training.base[1]
            if training.base
            else Encoder.fit(frame, features, max_levels=owner.max_levels)
        )
        n_labels = len(self.table.schema.classes) if training.conditional else 1
        held = any(len(rows) for rows in training.held.values())
        plan = owner.plan(len(training.rows), training.role, owner.device_, held=held)
        plan = plan._replace(size=training.base[0].sampler.rows) if training.base else plan
        counts = [len(rows) for rows in training.held.values() if len(rows)]
        budget = owner.budget(
            encoder.layout, n_labels, len(training.rows), plan.size, plan.batch, counts
        )
        budget.check(owner.device_)
        labels = (
            self.labels[training.rows]
            if training.conditional
            else np.zeros(len(training.rows), np.int64)
        )
        encoded = encoder.transform(frame, rng, device=owner.device_)
        placed = torch.from_numpy(labels).to(owner.device_)
        data = Data(encoded, placed, n_labels, encoder.layout)
        learner = self._learner(training, data, encoder.layout, plan)
        looked = {
            p if training.conditional else 0: encoder.transform(
                self._frame(rows), rng, device=owner.device_
            )
            for p, rows in training.held.items()
            if len(rows)
        }
        asked = list(looked.values()), list(looked), child_seed(training.seed, 3)
        history = yield Task(
            learner,
            plan.steps,
            torch_generator(child_seed(training.seed, 1), owner.device_),
            look=owner.look(learner.sampler, encoder.layout, *asked) if looked else None,
            progress=self._reported(training.name, budget),
            goes_on=training.role == "base",
        )
        label = next(iter(training.held)) if training.conditional else 0
        return learner, TrainedNetwork(encoder, learner.sampler, label, history)

    def _frame(self, rows: np.ndarray) -> Any:
        return self.table.frame.iloc[rows].reset_index(drop=True)

    def _learner(
        self, training: _Training, data: Data, layout: Layout, plan: Plan
    ) -> StagedLearner:
        """A learner with initial weights, or with those of the base, on the device."""
        owner = self.owner
        learner = owner._learner(owner._built(layout, data.n_labels, plan.size), data, plan.batch)
        initialise(learner, torch_generator(child_seed(training.seed, 2), torch.device("cpu")))
        if training.base:
            learner.start_from(training.base[0])
        return learner.to(owner.device_)

    def _reported(self, name: str, budget: Budget) -> Callable[[int, int], None]:
        """The function to which a training reports (steps done, steps in all)."""
        display = self.display
        words = f"training on {name} ({next(self.numbers)} of {self.total})"
        display.start(words)
        marks: list[tuple[float, int]] = []

        def advance(done: int, total: int) -> None:
            marks.append((time.perf_counter(), done))
            if len(marks) == 1 and 0 < done < total:
                display.note(f"{words} continues after step {done:,} of {total:,}")
            if len(marks) == 3 and done > marks[1][1]:
                _, (began, before), (now, _) = marks
                each = (now - began) / (done - before)
                seconds = each * (total - done)
                if seconds >= LONG_FIT:
                    display.note(
                        f"{words} takes about {timedelta(seconds=round(seconds))}: {total:,} steps "
                        f"of {1e3 * each:.0f} ms; at most {budget}"
                    )
            display.update(done, total)

        return advance


def _held_out(labels: np.ndarray, position: int, seed: np.random.SeedSequence) -> np.ndarray:
    """Rows of one class that are held out from its trainings; none if the class is too small."""
    rows = np.flatnonzero(labels == position)
    wanted = min(HELD_OUT_MAX, int(HELD_OUT_SHARE * len(rows)))
    if wanted < HELD_OUT_MIN:
        return rows[:0]
    return np.sort(np.random.default_rng(seed).choice(rows, wanted, replace=False))
