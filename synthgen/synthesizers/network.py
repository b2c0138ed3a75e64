"""What all networks share: which rows they learn from, when they stop, how they are kept."""

from __future__ import annotations

import os
import time
import warnings
from abc import abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from itertools import count
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
import torch

from synthgen.encoding.columns import MAX_LEVELS
from synthgen.encoding.disclosure import rounded_count
from synthgen.encoding.distances import energy_distance
from synthgen.encoding.encoder import Encoder
from synthgen.encoding.layout import Encoded, Layout, code_type
from synthgen.encoding.quantiles import working
from synthgen.errors import ModelFileError, UsageError
from synthgen.progress import Progress
from synthgen.seeds import RandomState, child_seed
from synthgen.synthesizers.bootstrap import SmoothedBootstrap
from synthgen.synthesizers.network_file import SavedNetworks, TrainedNetwork
from synthgen.synthesizers.training_rows import Data
from synthgen.tables.schema import Schema
from synthgen.tables.table import Table
from synthgen.threads import NETWORK, threads_for
from synthgen.training.blocks import initialise
from synthgen.training.checkpoint import Checkpoint, digest, plain_seed
from synthgen.training.device import Budget, resolve, torch_generator
from synthgen.training.learner import Learner, Sampler, StagedLearner
from synthgen.training.runner import History, Task

Scope = Literal["auto", "class", "all", "adapt"]
# A network is trained once, pre-trained as a base, or fine-tuned from one.
Role = Literal["whole", "base", "adapted"]

# Fewer rows of a class than this teach a network nothing that resampling them does not.
MIN_ROWS = 10
# A network that is to be quick learns numbers with more distinct values than this on their scale:
# half the width on Adult, and no worse (`evaluation/speed.md`).
FEW_LEVELS = 24
# Early stop looks at a tenth of the rows of the class, if that is enough to look at.
HELD_OUT_SHARE, HELD_OUT_MIN, HELD_OUT_MAX = 0.1, 20, 1000
# Bytes for each float32 weight: itself, its gradient twice, two moments of Adam, two saved copies
# of weight and moments, and its first value. A sampler also keeps an average, its last change, the
# best average, two saved copies of these, and the first average.
WEIGHT, SAMPLER_WEIGHT = 52, 32
# Numbers kept during a step: KEPT for each encoded value of a row and each of UNITS hidden units.
KEPT, UNITS = 7, 2048
# Bytes of a row while its widest column is encoded, on the CPU, or moved, elsewhere.
ENCODING, MOVING = 120, 48
# Seconds from which a fit says beforehand how long it will take.
LONG_FIT = 20
# Rows are generated in whole blocks, so that the first rows of a longer sample are the same.
BLOCK = 1024


class NetworkSynthesizer(SavedNetworks):
    """A synthesizer that trains networks; a subclass says which.

    Args:
        scope: What the network learns from. "class": the rows of the class alone, one network for
            each class; "all": all rows, with the class as a condition, one network in all; "adapt":
            all rows first, then a copy goes on with the rows of the class; "auto": what measured
            best for the number of rows of the class, see ``evaluation/scope.md``.
        steps: Updates; None: 2,000 to 4,000, growing with the number of rows learned from.
        batch_size: Rows of a batch, drawn with replacement, so it may exceed the table.
        learning_rate: Of Adam.
        device: "auto", "cpu", "cuda", "cuda:1".
        verbose: Show a progress bar on standard error.
        checkpoint: A file where `fit` writes its state every 30 seconds, and on Ctrl-C and SIGTERM.
            If it is there when `fit` begins, with the same table and arguments, `fit` goes on from
            it and, on a CPU, ends with the same bits as if it had never stopped. It holds weights
            and no row, and is removed when the fit is done. None: none is written.
        classes, schema, random_state: See `Synthesizer`.

    Attributes:
        device_: Where the networks are.
        scope_: The scope used, by label.
        history_: Loss history of each network, by label.
        fallback_: Labels with fewer than 10 rows, which a `SmoothedBootstrap` makes instead.
    """

    # Distinct values of a number up to which it has levels.
    max_levels: ClassVar[int] = MAX_LEVELS

    def __init__(
        self,
        *,
        scope: Scope = "auto",
        steps: int | None = None,
        batch_size: int = 500,
        learning_rate: float = 1e-3,
        device: str = "auto",
        verbose: bool = False,
        checkpoint: str | os.PathLike[str] | None = None,
        classes: Sequence[Any] | None = None,
        schema: Schema | None = None,
        random_state: RandomState = None,
    ) -> None:
        super().__init__(classes=classes, schema=schema, random_state=random_state)
        self.scope = scope
        self.steps = steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.device = device
        self.verbose = verbose
        self.checkpoint = checkpoint

    def check_savable(self, counts: Mapping[Any, int]) -> None:
        few = [label for label, rows in counts.items() if rows < MIN_ROWS]
        if few:
            raise ModelFileError(
                406,
                f"class {few[0]!r} has fewer than {MIN_ROWS} rows and is made by "
                f"resampling them, so a file would hold training rows: leave the class out "
                f"(classes=[...], --label), or keep the table and fit again",
            )

    # --- what a subclass says ---------------------------------------------------------------------

    @abstractmethod
    def _sampler(self, layout: Layout, n_labels: int, rows: int) -> Sampler:
        """The network that makes rows, without values, of a size for so many rows."""

    @abstractmethod
    def _learner(self, sampler: Sampler, data: Data) -> StagedLearner:
        """Everything that trains `sampler` on `data`, without values."""

    def _beside(self, layout: Layout, n_labels: int) -> torch.nn.Module:
        """The networks that are trained beside the sampler."""
        return torch.nn.Module()

    def _index(self, layout: Layout) -> int:
        """Bytes of each row that a learner keeps beside the row itself."""
        return 0

    def budget(self, layout: Layout, n_labels: int, rows: int, size: int) -> Budget:
        """What training on `rows` encoded rows takes on the device, with a sampler for `size`."""
        with torch.device("meta"):  # networks without memory
            sampler, beside = self._built(layout, n_labels, size), self._beside(layout, n_labels)
        own, others = (sum(w.numel() for w in m.parameters()) for m in (sampler, beside))
        levels, codes = sum(layout.widths), len(layout.widths)
        row = 4 * layout.n_numbers + codes * code_type(layout.widths).itemsize
        return Budget(
            n_rows=rows,
            row=row + (1 if n_labels <= 2**8 else 4) + self._index(layout),
            building=ENCODING if self.device_.type == "cpu" else MOVING,
            weights=(WEIGHT + SAMPLER_WEIGHT) * own + WEIGHT * others + 8 * levels * codes,
            step=max(
                4 * KEPT * self.batch_size * (layout.n_numbers + levels + UNITS),
                working(rows, self.device_),
            ),
        )

    def _built(self, layout: Layout, n_labels: int, rows: int) -> Sampler:
        rows = rounded_count(rows)  # as in a model file
        sampler = self._sampler(layout, n_labels, rows)
        sampler.rows = rows
        return sampler

    # --- fitting ----------------------------------------------------------------------------------

    def fit_steps(self, X: Any, y: Any = None) -> Generator[Task, History, None]:
        """`fit` as a coroutine: it yields each training run as a `Task`, and the caller, who does
        the run, sends back its `History`. `X` may be a `Table`.
        """
        table = X if isinstance(X, Table) else Table.of_xy(X, y, schema=self.schema)
        prepared = self._prepared(table)
        self._check_params()
        self.device_ = resolve(self.device)
        return self._runs(*prepared)

    def _fit(self, table: Table, positions: list[int], seed: np.random.SeedSequence) -> None:
        self._check_params()
        self.device_ = resolve(self.device)
        if self.checkpoint is None:
            _run_all(self._runs(table, positions, seed), None)
            return
        fit = self._identity(table, positions, seed)
        with Checkpoint(self.checkpoint, fit, seed) as checkpoint:
            _run_all(self._runs(table, positions, checkpoint.seed), checkpoint)

    def _alike(self, encoder: Encoder, data: Data) -> tuple[object, ...]:
        """What another fit must share for one of its networks to be trained beside this one."""
        params = self.get_params(deep=False)
        for name in ("verbose", "checkpoint", "classes", "schema", "random_state", "steps"):
            params.pop(name, None)
        names = tuple(type(c.name).__name__ + repr(c.name) for c in encoder.columns)
        several = len(data.labels.unique()) > 1
        return type(self), repr(params), names, data.n_labels, several, data.spans.total > 0

    def _identity(
        self, table: Table, positions: list[int], seed: np.random.SeedSequence
    ) -> dict[str, Any]:
        """What two fits have in common that end with the same bits, as JSON values by name."""
        params = self.get_params(deep=False)
        for name in ("device", "verbose", "checkpoint", "classes", "schema", "random_state"):
            params.pop(name, None)
        plain = {k: v.item() if isinstance(v, np.generic) else v for k, v in params.items()}
        known = (bool, int, float, str, type(None))
        return {
            "synthgen": version("synthgen"),
            "class": f"{type(self).__module__}.{type(self).__qualname__}",
            **{k: v if isinstance(v, known) else repr(v) for k, v in plain.items()},
            "classes": [str(table.schema.classes[p]) for p in positions],
            # Another kind of device has another random generator; its number does not matter.
            "device": self.device_.type,
            # Fresh entropy is that of the fit which wrote the file.
            "random_state": None if self.random_state is None else plain_seed(seed),
            "table": digest(table),
        }

    def _runs(
        self, table: Table, positions: list[int], seed: np.random.SeedSequence
    ) -> Generator[Task, History, None]:
        """The fit, which asks for each of its runs and goes on with what came of it."""
        labels = table.labels
        classes = table.schema.classes
        counts = np.bincount(labels, minlength=len(classes))
        few = [p for p in positions if counts[p] < MIN_ROWS]
        self._bootstrap = self._fallback(table, few, counts)
        self.fallback_ = tuple(classes[p] for p in few)
        learned = [p for p in positions if p not in few]
        scopes = {
            p: self.scope if self.scope != "auto" else self.best_scope(int(counts[p]))
            for p in learned
        }
        held = {p: _held_out(labels, p, child_seed(seed, p)) for p in learned}
        alone = [p for p in learned if scopes[p] == "class"]
        together = [p for p in learned if scopes[p] != "class"]
        adapted = [p for p in together if scopes[p] == "adapt"]
        runs = len(alone) + bool(together) + len(adapted)
        self._models = {}
        self._frame, self._notes, self._others = table.frame, [], (0, 0)
        with Progress(self.verbose) as display:
            numbers = count(1)

            def next_run(on: str, budget: Budget) -> Callable[[int, int], None]:
                words = f"training on {on} ({next(numbers)} of {runs})"
                return _reported(display, words, budget)

            for p in alone:
                rows = np.setdiff1d(np.flatnonzero(labels == p), held[p])
                _, self._models[p] = yield from self._train(
                    table,
                    rows,
                    {p: held[p]},
                    None,
                    child_seed(seed, p, 1),
                    partial(next_run, f"{classes[p]}"),
                )
            if together:
                out = np.concatenate([held[p] for p in together])
                rows = np.setdiff1d(np.arange(len(table)), out)
                learner, base = yield from self._train(
                    table,
                    rows,
                    {p: held[p] for p in together},
                    labels,
                    child_seed(seed, len(classes), 1),
                    partial(next_run, "all rows"),
                    goes_on=bool(adapted),
                )
                for p in together:
                    model = TrainedNetwork(base.encoder, base.sampler, p, base.history)
                    if scopes[p] == "adapt":
                        own = np.setdiff1d(np.flatnonzero(labels == p), held[p])
                        _, model = yield from self._train(
                            table,
                            own,
                            {p: held[p]},
                            labels,
                            child_seed(seed, p, 2),
                            partial(next_run, f"{classes[p]}"),
                            base=(learner, base.encoder),
                        )
                    self._models[p] = model
        self._models = {p: self._models[p] for p in learned}
        self.scope_ = {classes[p]: scopes[p] for p in learned}
        self.history_ = {classes[p]: m.history for p, m in self._models.items()}

    def _train(
        self,
        table: Table,
        rows: np.ndarray,
        held: dict[int, np.ndarray],
        labels: np.ndarray | None,
        seed: np.random.SeedSequence,
        begin: Callable[[Budget], Callable[[int, int], None]],
        *,
        base: tuple[Learner, Encoder] | None = None,
        goes_on: bool = False,
    ) -> Generator[Task, History, tuple[Learner, TrainedNetwork]]:
        """One network from `rows`, with the class as a condition where `labels` are given.

        It starts from `base` if that is given, and is the base of another one if it `goes_on`.
        """
        frame = table.frame.iloc[rows].reset_index(drop=True)
        rng = np.random.default_rng(child_seed(seed, 0))
        encoder = (
            base[1]
            if base
            else Encoder.fit(frame, table.schema.features, max_levels=self.max_levels)
        )
        n_labels = 1 if labels is None else len(table.schema.classes)
        label = 0 if labels is None else next(iter(held))
        generator = torch_generator(child_seed(seed, 1), self.device_)
        size, steps = self._plan(len(rows), "adapted" if base else "base" if goes_on else "whole")
        size = base[0].sampler.rows if base else size
        budget = self.budget(encoder.layout, n_labels, len(rows), size)
        budget.check(self.device_)
        data = Data(
            encoder.transform(frame, rng, device=self.device_),
            torch.from_numpy(np.zeros(len(rows), np.int64) if labels is None else labels[rows]).to(
                self.device_
            ),
            n_labels,
            encoder.layout,
        )
        learner = self._learner(self._built(encoder.layout, n_labels, size), data)
        initialise(learner, torch_generator(child_seed(seed, 2), torch.device("cpu")))
        if base:
            learner.load_state_dict(base[0].state_dict())
        learner.to(self.device_)
        looked = {
            p: encoder.transform(
                table.frame.iloc[h].reset_index(drop=True), rng, device=self.device_
            )
            for p, h in held.items()
            if len(h)
        }

        def again(layout: Layout) -> StagedLearner:
            whole = layout.padded(Encoded(data.numbers, data.codes))
            wide = Data(whole, data.labels.long(), n_labels, layout)
            return self._learner(self._built(layout, n_labels, size), wide).to(self.device_)

        history = yield Task(
            learner,
            steps,
            generator,
            held_out=self._look(learner.sampler, data, looked, labels, seed) if looked else None,
            progress=begin(budget),
            goes_on=goes_on,
            alike=self._alike(encoder, data),
            slots=encoder.slots,
            again=again,
        )
        return learner, TrainedNetwork(encoder, learner.sampler, label, history)

    def _look(
        self,
        sampler: Sampler,
        data: Data,
        held: dict[int, Encoded],
        labels: np.ndarray | None,
        seed: np.random.SeedSequence,
    ) -> Callable[[], float]:
        """Mean energy distance of generated to held-out rows, always from the same randomness."""

        def distance() -> float:
            found = 0.0
            for position, real in held.items():
                generator = torch_generator(child_seed(seed, 3), self.device_)
                made = sampler.generate(len(real), generator, 0 if labels is None else position)
                found += energy_distance(_flat(made, data), _flat(real, data))
            return found / len(held)

        return distance

    def _fallback(
        self, table: Table, few: list[int], counts: np.ndarray
    ) -> SmoothedBootstrap | None:
        if not few:
            return None
        classes = table.schema.classes
        named = ", ".join(f"{classes[p]!r} ({counts[p]})" for p in few)
        warnings.warn(
            f"a network learns nothing from fewer than {MIN_ROWS} rows; a smoothed bootstrap makes "
            f"the rows of {named}",
            UserWarning,
            stacklevel=7,
        )
        bootstrap = SmoothedBootstrap(classes=[classes[p] for p in few], schema=table.schema)
        return bootstrap._fit_table(table)

    def _check_params(self) -> None:
        if self.scope not in ("auto", "class", "all", "adapt"):
            raise UsageError(231, f"scope must be auto, class, all or adapt, not {self.scope!r}")
        for name, least in (("steps", 1), ("batch_size", 2)):
            value = getattr(self, name)
            if value is None and name == "steps":
                continue
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                raise UsageError(232, f"{name} must be a whole number from {least}, not {value!r}")
        rate = self.learning_rate
        if not isinstance(rate, int | float) or not 0 < rate < float("inf"):
            raise UsageError(233, f"learning_rate must be a positive number, not {rate!r}")
        if self.checkpoint is not None and not isinstance(self.checkpoint, str | os.PathLike):
            raise UsageError(
                235, f"checkpoint must be the path of a file or None, not {self.checkpoint!r}"
            )

    @staticmethod
    @abstractmethod
    def best_scope(rows: int) -> Scope:
        """The scope that measured best for a class of so many rows (``evaluation/scope.md``)."""

    @staticmethod
    def default_steps(rows: int) -> int:
        """2,000 updates for 10,000 rows or fewer, 4,000 for 100,000 or more."""
        return int(np.clip(2000 + 2000 * np.log10(max(rows, 1) / 10_000), 2000, 4000))

    def _plan(self, rows: int, role: Role) -> tuple[int, int]:
        """Rows that a network is sized for, and its updates: half of them to adapt."""
        steps = self.steps or self.default_steps(rows)
        return rows, max(1, steps // 2) if role == "adapted" else steps

    # --- sampling ---------------------------------------------------------------------------------

    def _sample(self, position: int, rows: int, seed: np.random.SeedSequence) -> pd.DataFrame:
        if position not in self._models:
            assert self._bootstrap is not None
            return self._bootstrap._sample(position, rows, seed)
        model = self._models[position]
        return self._blocks(model, rows, seed, model.sampler.generate)

    def _blocks(
        self,
        model: TrainedNetwork,
        rows: int,
        seed: np.random.SeedSequence,
        generate: Callable[[int, torch.Generator, int], Encoded],
    ) -> pd.DataFrame:
        blocks = []
        weights = sum(weight.numel() for weight in model.sampler.parameters())
        with threads_for(BLOCK * weights, NETWORK), torch.inference_mode():
            for block in range(-(-rows // BLOCK)):
                generator = torch_generator(child_seed(seed, block), self.device_)
                blocks.append(generate(BLOCK, generator, model.label))
        return model.encoder.inverse_transform(Encoded.cat(blocks)[:rows])


def _run_all(runs: Generator[Task, History, None], checkpoint: Checkpoint | None) -> None:
    """Do each run that is asked for, one after the other."""
    try:
        task = next(runs)
        while True:
            task = runs.send(task.run(checkpoint))
    except StopIteration:
        pass


def _flat(rows: Encoded, data: Data) -> torch.Tensor:
    """Rows side by side, as they will be decoded: a number counts where a row has one."""
    there = data.there(rows.codes)
    return torch.cat([rows.numbers * there, data.spans.one_hot(rows.codes)], 1)


def _held_out(labels: np.ndarray, position: int, seed: np.random.SeedSequence) -> np.ndarray:
    rows = np.flatnonzero(labels == position)
    wanted = min(HELD_OUT_MAX, int(HELD_OUT_SHARE * len(rows)))
    if wanted < HELD_OUT_MIN:
        return rows[:0]
    return np.sort(np.random.default_rng(seed).choice(rows, wanted, replace=False))


def _reported(display: Progress, name: str, budget: Budget) -> Callable[[int, int], None]:
    """What a run calls with (steps done, steps in all): it moves the bar, and says early how long
    a long fit will take.
    """
    display.start(name)
    marks: list[tuple[float, int]] = []

    def advance(done: int, total: int) -> None:
        marks.append((time.perf_counter(), done))
        if len(marks) == 1 and 0 < done < total:
            display.note(f"{name} goes on after step {done:,} of {total:,}")
        if len(marks) == 3 and done > marks[1][1]:
            _, (began, before), (now, _) = marks
            each = (now - began) / (done - before)
            seconds = each * (total - done)
            if seconds >= LONG_FIT:
                display.note(
                    f"{name} takes about {timedelta(seconds=round(seconds))}: {total:,} steps of "
                    f"{1e3 * each:.0f} ms; at most {budget}"
                )
        display.update(done, total)

    return advance
