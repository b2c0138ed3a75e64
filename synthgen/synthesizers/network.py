"""The base of all synthesizers that train networks: their arguments, `fit` and sampling."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any, ClassVar, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd
import torch

from synthgen.encoding.columns import MAX_LEVELS
from synthgen.encoding.disclosure import rounded_count
from synthgen.encoding.distances import energy_distance
from synthgen.encoding.layout import Encoded, Layout, code_type
from synthgen.encoding.quantiles import working
from synthgen.errors import UsageError
from synthgen.seeds import RandomState, child_seed
from synthgen.synthesizers.base import check_rows_to_save
from synthgen.synthesizers.bootstrap import fallback
from synthgen.synthesizers.network_file import SavedNetworks, TrainedNetwork
from synthgen.synthesizers.network_fit import NetworkFit
from synthgen.synthesizers.training_rows import Data
from synthgen.tables.column import LEVELS
from synthgen.tables.schema import Schema
from synthgen.tables.table import Table
from synthgen.training.checkpoint import Checkpoint, digest, plain_seed
from synthgen.training.device import Budget, resolve, torch_generator
from synthgen.training.learner import Sampler, Source, StagedLearner, drawn_at_once
from synthgen.training.making import make_rows
from synthgen.training.runner import History, Task

Scope = Literal["auto", "class", "all", "adapt"]
# A network is trained once, pre-trained as a base, or fine-tuned from one.
Role = Literal["whole", "base", "adapted"]

# With fewer rows of a class, a network learns nothing that resampling does not give.
MIN_ROWS = 10
# CTGAN and TVAE encode a number column by levels up to so many distinct values. More would double
# the width on Adult, without better rows (`evaluation/speed.md`).
FEW_LEVELS = 24
# Bytes for each float32 weight: the weight, its gradient twice, two moments of Adam, two saved
# copies of weight and moments, and the first weight. A sampler also keeps the average, its last
# change, the best average, two saved copies of these, and the first average.
WEIGHT, SAMPLER_WEIGHT = 52, 32
# Numbers that a step keeps: KEPT for each encoded value of a row and each of UNITS hidden units.
KEPT, UNITS = 7, 2048
# Bytes of a row while its widest column is encoded, on the CPU, or moved, elsewhere.
ENCODING, MOVING = 120, 48
# Rows whose losses are computed at once.
ASKED_AT_ONCE = 2000


class Plan(NamedTuple):
    """How a network is trained: the rows that it is sized for, its updates, rows of a batch."""

    size: int
    steps: int
    batch: int


class NetworkSynthesizer(SavedNetworks):
    """A synthesizer that trains networks; a subclass says which.

    Args:
        scope: The rows that a network learns from. "class": one network for each class, from its
            rows alone. "all": one network from all rows, with the class as a condition. "adapt": as
            "all", then a copy is fine-tuned on the rows of each class. "auto": the scope that
            measured best for the number of rows of the class (``evaluation/scope.md``).
        steps: Number of updates; None: 2,000 to 4,000, more for more rows.
        batch_size: Rows of a batch. They are drawn with replacement, so it may exceed the table.
        learning_rate: Of Adam.
        device: "auto", "cpu", "cuda" or "cuda:1"; "auto" is a GPU if there is one.
        verbose: Whether to show a progress bar, on standard error or in a notebook.
        checkpoint: A file to which `fit` writes its state every 30 seconds, and on Ctrl-C and
            SIGTERM. If the file exists, `fit` with the same table and arguments continues from it;
            on a CPU the result has the same bits as without a stop. It holds weights but no rows,
            and is removed at the end. None: no checkpoint is written.
        classes, schema, random_state: See `Synthesizer`.

    Attributes:
        device_: The device of the networks.
        scope_: The scope used for each class.
        history_: The `History` of the network of each class.
        fallback_: Classes with fewer than 10 rows, for which a `SmoothedBootstrap` is used instead.
    """

    # Distinct values up to which a number column is encoded by levels.
    max_levels: ClassVar[int] = MAX_LEVELS
    # Arguments that depend on rows and device where they are None.
    may_be_none: ClassVar[tuple[str, ...]] = ("steps",)

    def __init__(
        self,
        *,
        scope: Scope = "auto",
        steps: int | None = None,
        batch_size: int | None = 500,
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
        check_rows_to_save(counts, MIN_ROWS)

    # --- what a subclass says ---------------------------------------------------------------------

    @abstractmethod
    def _sampler(self, layout: Layout, n_labels: int, rows: int) -> Sampler:
        """The network that generates rows, its size chosen for `rows`; weights are not yet set."""

    @abstractmethod
    def _learner(self, sampler: Sampler, data: Data, batch: int) -> StagedLearner:
        """All that is needed to train `sampler` on `data`; weights are not yet set."""

    def _beside(self, layout: Layout, n_labels: int) -> torch.nn.Module:
        """The networks that are trained but not saved, such as a critic."""
        return torch.nn.Module()

    def _index(self, layout: Layout) -> int:
        """Bytes that a learner keeps for each row, in addition to the row."""
        return 0

    @abstractmethod
    def _drawn(self, layout: Layout) -> int:
        """See `StagedLearner.width`."""

    def budget(
        self, layout: Layout, n_labels: int, rows: int, size: int, batch: int | None = None
    ) -> Budget:
        """The memory that training takes on the device.

        Args:
            layout: Of the encoded rows.
            n_labels: Number of classes; 1: the class is no condition.
            rows: Number of training rows.
            size: Number of rows that the sampler is sized for.
            batch: Rows of a batch; None: as `fit` takes for so many rows.
        """
        batch = batch or self._batch(rows, self.device_)
        width = self._drawn(layout)
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
                4 * KEPT * batch * (layout.n_numbers + levels + UNITS)
                + 4 * batch * width * drawn_at_once(batch, width),
                working(rows, self.device_),
            ),
        )

    def _built(self, layout: Layout, n_labels: int, rows: int) -> Sampler:
        rows = rounded_count(rows)  # as in a model file
        sampler = self._sampler(layout, n_labels, rows)
        sampler.rows = rows
        return sampler

    # --- fitting ----------------------------------------------------------------------------------

    def fit_steps(
        self, X: Any, y: Any = None, *, target: Hashable | None = None
    ) -> Generator[Task, History, None]:
        """`fit` as a coroutine, with which `fit_many` trains networks of several fits at once.

        Args:
            X, y, target: See `fit`; `X` may also be a `Table`.

        Yields:
            Each training as a `Task`; the caller runs it and sends back its `History`.
        """
        table = X
        if not isinstance(X, Table):
            table = Table.labelled(X, y, target=target, schema=self.schema)
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

    def _identity(
        self, table: Table, positions: list[int], seed: np.random.SeedSequence
    ) -> dict[str, Any]:
        """All that the bits of the result depend on, as JSON values by name."""
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
            "plan": self._planned(table, positions),
            # Fresh entropy is that of the fit which wrote the file.
            "random_state": None if self.random_state is None else plain_seed(seed),
            "table": digest(table),
        }

    def _planned(self, table: Table, positions: list[int]) -> list[list[int]]:
        """Updates and batches that the arguments leave open: for all rows, and for each class."""
        if self.steps is not None and self.batch_size is not None:
            return []
        counts = np.bincount(table.labels, minlength=len(table.schema.classes))
        found: set[tuple[int, int]] = set()
        for rows in (len(table), *(int(counts[p]) for p in positions)):
            for role in get_args(Role):
                for held in (False, True):
                    found.add(self._plan(rows, role, self.device_, held=held)[1:])
        return [list(each) for each in sorted(found)]

    def _runs(
        self, table: Table, positions: list[int], seed: np.random.SeedSequence
    ) -> Generator[Task, History, None]:
        """The fit as a coroutine: it yields each training and is sent back its history."""
        classes = table.schema.classes
        counts = np.bincount(table.labels, minlength=len(classes))
        few = [p for p in positions if counts[p] < MIN_ROWS]
        self._bootstrap = fallback(table, few, "a network learns", MIN_ROWS, stacklevel=6)
        self.fallback_ = tuple(classes[p] for p in few)
        scopes = {
            p: self.best_scope(int(counts[p])) if self.scope == "auto" else self.scope
            for p in positions
            if p not in few
        }
        self._frame, self._notes, self._others = table.frame, [], (0, 0)
        self._models = yield from NetworkFit(self, table, scopes, seed).runs()
        self.scope_ = {classes[p]: scope for p, scope in scopes.items()}
        self.history_ = {classes[p]: m.history for p, m in self._models.items()}

    def _look(
        self,
        sampler: Sampler,
        data: Data,
        held: dict[int, Encoded],
        labels: np.ndarray | None,
        seed: np.random.SeedSequence,
    ) -> Callable[[], float]:
        """A function that measures the network on held-out rows; lower is better.

        It is the mean energy distance of generated to held-out rows, always with the same seed.

        Args:
            sampler: The network.
            data: Its training rows.
            held: Encoded held-out rows of each class, by position of the class.
            labels: Class of each row of the table; None: the class is no condition.
            seed: Of the training.
        """
        like = next(sampler.parameters())
        sizes, of = self._told(held, labels)
        made_of_classes: Any = sampler.made  # CTGAN and TVAE take the class of each row as well
        flat = [_flat(real, data) for real in held.values()]

        def distance() -> float:
            drawn = []
            for size in sizes:
                generator = torch_generator(child_seed(seed, 3), self.device_)
                drawn.append(sampler.draw(size, Source(generator, like)))
            # The rows of all classes are one batch.
            joined = {name: torch.cat([each[name] for each in drawn]) for name in drawn[0]}
            made = _flat(made_of_classes(joined, of), data).split(sizes)
            found = [energy_distance(one, two) for one, two in zip(made, flat, strict=True)]
            return float(torch.stack(found).mean())

        return distance

    def _told(
        self, held: dict[int, Encoded], labels: np.ndarray | None
    ) -> tuple[list[int], torch.Tensor]:
        """How many rows are held out of each class, and the class that each of them is told."""
        sizes = [len(real) for real in held.values()]
        told = torch.tensor([0 if labels is None else p for p in held], device=self.device_)
        counts = torch.tensor(sizes, device=self.device_)
        return sizes, told.repeat_interleave(counts, output_size=sum(sizes))

    def _check_params(self) -> None:
        if self.scope not in ("auto", "class", "all", "adapt"):
            raise UsageError(231, f"scope must be auto, class, all or adapt, not {self.scope!r}")
        for name, least in (("steps", 1), ("batch_size", 2)):
            value = getattr(self, name)
            if value is None and name in self.may_be_none:
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
        """The scope that ``scope="auto"`` stands for (measured: ``evaluation/scope.md``).

        Args:
            rows: Training rows of the class, at least 2.

        Returns:
            "class" (a network of its own), "all" (one network of all rows) or "adapt" (that one,
            fine-tuned on the class).

        Example:
            >>> from synthgen import CTGAN, TVAE
            >>> TVAE.best_scope(50), TVAE.best_scope(5_000), CTGAN.best_scope(50)
            ('adapt', 'class', 'class')
        """

    @staticmethod
    def default_steps(rows: int) -> int:
        """2,000 updates for 10,000 rows or fewer, 4,000 for 100,000 or more."""
        return int(np.clip(2000 + 2000 * np.log10(max(rows, 1) / 10_000), 2000, 4000))

    def _batch(self, rows: int, device: torch.device) -> int:
        """Rows of a batch, to learn from so many rows."""
        assert self.batch_size is not None
        return self.batch_size

    def _plan(self, rows: int, role: Role, device: torch.device, *, held: bool) -> Plan:
        """The size of a network, its updates and its batch; fine-tuning takes half the updates.

        Args:
            rows: Training rows.
            role: Of the network.
            device: Where it is trained.
            held: Whether rows of its classes are held out, so that training can stop early.
        """
        steps = self.steps or self.default_steps(rows)
        steps = max(1, steps // 2) if role == "adapted" else steps
        return Plan(rows, steps, self._batch(rows, device))

    # --- what a holder of the file can ask --------------------------------------------------------

    def _row_losses(
        self, sampler: Sampler, rows: Encoded, labels: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor | None:
        """How unlikely a network finds rows; None: it cannot say.

        Args:
            sampler: The network.
            rows: Encoded, on the device.
            labels: The class of each row among those of the sampler, int64 of shape (rows,).
            generator: Of noise, the same for each network that is asked.

        Returns:
            Shape (rows, figures), the loss as a whole first.
        """
        return None

    def _losses(self, table: Table, seed: np.random.SeedSequence) -> np.ndarray | None:
        known = self.schema_.classes
        target = self.schema_[self.schema_.target]
        places = target.positions(table.frame[target.name])
        found: np.ndarray | None = None
        for position, model, told in _asked(self._models, len(known)):
            rows = np.flatnonzero(places == position)
            encoder = model.encoder
            frame = table.frame.iloc[rows].reset_index(drop=True)
            for column in encoder.columns:
                if column.kind in LEVELS:  # a level that the file lacks counts as missing
                    lost = column.positions(frame[column.name]) < 0
                    frame[column.name] = frame[column.name].mask(lost)
            for start in range(0, len(rows), ASKED_AT_ONCE):
                some = slice(start, start + ASKED_AT_ONCE)
                rng = np.random.default_rng(child_seed(seed, 0))
                encoded = encoder.transform(frame.iloc[some], rng, device=self.device_)
                encoded = Encoded(encoded.numbers, encoded.codes.long())
                labels = torch.full((len(encoded),), told, device=self.device_)
                generator = torch_generator(child_seed(seed, 1), self.device_)
                losses = self._row_losses(model.sampler, encoded, labels, generator)
                if losses is None:
                    return None
                if found is None:
                    found = np.full((len(places), losses.shape[1]), np.nan)
                found[rows[some]] = losses.cpu().numpy()
        return found

    # --- sampling ---------------------------------------------------------------------------------

    def _sample(self, position: int, rows: int, seed: np.random.SeedSequence) -> pd.DataFrame:
        if position not in self._models:
            assert self._bootstrap is not None
            return self._bootstrap._sample(position, rows, seed)
        model = self._models[position]
        return self._made(model, rows, seed, model.sampler.made)

    def _made(
        self,
        model: TrainedNetwork,
        rows: int,
        seed: np.random.SeedSequence,
        made: Callable[[dict[str, torch.Tensor], int], Encoded],
    ) -> pd.DataFrame:
        found = make_rows(model.sampler, made, model.label, rows, seed, self.device_)
        return model.encoder.inverse_transform(found)


def _asked(
    models: dict[int, TrainedNetwork], classes: int
) -> Iterator[tuple[int, TrainedNetwork, int]]:
    """Positions of the classes that networks can be asked about, the network, and its label.

    A network that learned all classes together is asked about those that it was not made for, too.
    """
    for position, model in models.items():
        yield position, model, model.label
    first = next(iter(models.values()), None)
    if first is not None and first.sampler.n_labels == classes > 1:
        for position in set(range(classes)) - set(models):
            yield position, first, position


def _run_all(runs: Generator[Task, History, None], checkpoint: Checkpoint | None) -> None:
    """Run the tasks one after the other."""
    try:
        task = next(runs)
        while True:
            task = runs.send(task.run(checkpoint))
    except StopIteration:
        pass


def _flat(rows: Encoded, data: Data) -> torch.Tensor:
    """Rows as one matrix of numbers and one-hot codes; numbers at spikes and gaps are 0."""
    there = data.there(rows.codes)
    return torch.cat([rows.numbers * there, data.spans.one_hot(rows.codes)], 1)
