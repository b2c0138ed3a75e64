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
from synthgen.encoding.layout import Encoded, Layout, code_type
from synthgen.encoding.quantiles import working
from synthgen.errors import UsageError
from synthgen.seeds import RandomState, child_seed
from synthgen.synthesizers.base import NETWORK_ROWS, check_rows_to_save
from synthgen.synthesizers.bootstrap import fallback
from synthgen.synthesizers.looks import EnergyLook
from synthgen.synthesizers.network_file import SavedNetworks, TrainedNetwork
from synthgen.synthesizers.network_fit import NetworkFit
from synthgen.synthesizers.training_rows import Data
from synthgen.tables.column import LEVELS
from synthgen.tables.schema import Schema
from synthgen.tables.table import Table
from synthgen.training.checkpoint import Checkpoint, digest, plain_seed
from synthgen.training.device import Budget, resolve, torch_generator
from synthgen.training.learner import Sampler, StagedLearner, drawn_at_once
from synthgen.training.looks import Look
from synthgen.training.making import make_rows
from synthgen.training.runner import Task
from synthgen.training.training_run import History

Scope = Literal["auto", "class", "all", "adapt"]
# A network is trained once, pre-trained as a base, or fine-tuned from one.
Role = Literal["whole", "base", "adapted"]

# CTGAN and TVAE encode a number column as levels if it has at most this many distinct values. A
# larger limit doubles the width on Adult without better rows (`evaluation/speed.md`).
FEW_LEVELS = 24
# Bytes per float32 weight in training: WEIGHT covers the weight, its gradient twice, Adam's two
# moments, two saved copies of weight and moments, and the initial weight. For each weight of a
# sampler, SAMPLER_WEIGHT adds the average, its last change, the best average, two saved copies of
# these, and the initial average.
WEIGHT, SAMPLER_WEIGHT = 52, 32
# A training step stores KEPT numbers for each encoded value of a row and for each of UNITS hidden
# units.
KEPT, UNITS = 7, 2048
# Bytes per row while the widest column is encoded (ENCODING, on a CPU) or copied to another device
# (MOVING).
ENCODING, MOVING = 120, 48
# Number of rows whose losses are computed in one batch.
LOSSES_AT_ONCE = 2000


class Plan(NamedTuple):
    """How to train a network: number of rows to size it for, number of updates, batch size."""

    size: int
    steps: int
    batch: int


class NetworkSynthesizer(SavedNetworks):
    """Base class of the synthesizers that train networks; a subclass defines the networks.

    Attributes:
        device_: The device of the networks.
        scope_: The scope of each learned class, by label.
        history_: The `History` of the network of each learned class, by label.
        fallback_: Labels with fewer than 10 rows, for which a `SmoothedBootstrap` is used.
        networks_: The `TrainedNetwork` of each learned class, by its position in the schema.
    """

    # A number column with at most this many distinct values is encoded as levels.
    max_levels: ClassVar[int] = MAX_LEVELS
    # Arguments that may be None; their value then follows from the rows and the device.
    may_be_none: ClassVar[tuple[str, ...]] = ("steps",)
    # The validation loss, for early stopping.
    look: ClassVar[type[Look]] = EnergyLook

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

    def rows_needed(self) -> int:
        return NETWORK_ROWS

    def check_savable(self, counts: Mapping[Any, int]) -> None:
        check_rows_to_save(counts, NETWORK_ROWS)

    # --- what a subclass defines ------------------------------------------------------------------

    @abstractmethod
    def _sampler(self, layout: Layout, n_labels: int, rows: int) -> Sampler:
        """Build the network that generates rows, sized for `rows` rows, without initial weights."""

    @abstractmethod
    def _learner(self, sampler: Sampler, data: Data, batch: int) -> StagedLearner:
        """Build the learner that trains `sampler` on `data`, without initial weights."""

    def _unsaved(self, layout: Layout, n_labels: int) -> torch.nn.Module:
        """Build the networks that are trained but not saved, such as a critic."""
        return torch.nn.Module()

    def _index(self, layout: Layout) -> int:
        """Bytes that the learner stores per row in addition to the row itself."""
        return 0

    @abstractmethod
    def _drawn(self, layout: Layout) -> int:
        """See `StagedLearner.width`."""

    def budget(
        self,
        layout: Layout,
        n_labels: int,
        rows: int,
        size: int,
        batch: int | None = None,
        held: Sequence[int] = (),
    ) -> Budget:
        """Estimate the memory that training takes on the device.

        Args:
            layout: Layout of the encoded rows.
            n_labels: Number of classes that the network learns; with 1, there is no condition.
            rows: Number of training rows.
            size: Number of rows from which the network's width follows.
            batch: Rows per batch. None: the batch size that `fit` uses for this many rows.
            held: Number of held-out rows of each class.

        Returns:
            A `Budget`: number of rows, and bytes per row, for the weights, for one step, and for
            one validation.
        """
        batch = batch or self._batch(rows, self.device_)
        width = self._drawn(layout)
        with torch.device("meta"):  # networks without memory
            sampler, unsaved = self._built(layout, n_labels, size), self._unsaved(layout, n_labels)
        own, others = (sum(w.numel() for w in m.parameters()) for m in (sampler, unsaved))
        levels, codes = sum(layout.widths), len(layout.widths)
        row = 4 * layout.n_numbers + codes * code_type(layout.widths).itemsize
        looked, look = self.look.taken(layout, held)
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
            looked=looked,
            look=look,
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
        """Run `fit` as a generator of its trainings: a caller can look at each before it runs.

        Args:
            X, y, target: See `fit`; `X` may also be a `Table`.

        Yields:
            One `Task` per training; the caller runs it and sends back its `History`.
        """
        table = X
        if not isinstance(X, Table):
            table = Table.labelled(X, y, target=target, schema=self.schema)
        return self._runs(*self._prepared(table))

    def _prepared(self, table: Table) -> tuple[Table, list[int], np.random.SeedSequence]:
        prepared = super()._prepared(table)
        self._check_params()
        self.device_ = resolve(self.device)
        return prepared

    def _fit(self, table: Table, positions: list[int], seed: np.random.SeedSequence) -> None:
        if self.checkpoint is None:
            _run_all(self._runs(table, positions, seed), None)
            return
        fit = self._identity(table, positions, seed)
        with Checkpoint(self.checkpoint, fit, seed) as checkpoint:
            _run_all(self._runs(table, positions, checkpoint.seed), checkpoint)

    def _identity(
        self, table: Table, positions: list[int], seed: np.random.SeedSequence
    ) -> dict[str, Any]:
        """Collect everything that determines the bits of the result, as JSON values by name."""
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
            # CPU and CUDA have different random generators; which GPU it is does not matter.
            "device": self.device_.type,
            "plan": self._planned(table, positions),
            # None: the seed is that of the fit which wrote the checkpoint.
            "random_state": None if self.random_state is None else plain_seed(seed),
            "table": digest(table),
        }

    def _planned(self, table: Table, positions: list[int]) -> list[list[int]]:
        """Choose updates and batch sizes that are None: for all rows, then for each class."""
        if self.steps is not None and self.batch_size is not None:
            return []
        counts = np.bincount(table.labels, minlength=len(table.schema.classes))
        found: set[tuple[int, int]] = set()
        for rows in (len(table), *(int(counts[p]) for p in positions)):
            for role in get_args(Role):
                for held in (False, True):
                    found.add(self.plan(rows, role, self.device_, held=held)[1:])
        return [list(each) for each in sorted(found)]

    def _runs(
        self, table: Table, positions: list[int], seed: np.random.SeedSequence
    ) -> Generator[Task, History, None]:
        """Run the fit as a generator that yields each training and receives its history."""
        classes = table.schema.classes
        counts = np.bincount(table.labels, minlength=len(classes))
        few = [p for p in positions if counts[p] < NETWORK_ROWS]
        self._bootstrap = fallback(table, few, "a network learns", NETWORK_ROWS, stacklevel=6)
        self.fallback_ = tuple(classes[p] for p in few)
        scopes = {
            p: self.best_scope(int(counts[p])) if self.scope == "auto" else self.scope
            for p in positions
            if p not in few
        }
        self._frame, self._notes, self._others = table.frame, [], (0, 0)
        self.networks_ = yield from NetworkFit(self, table, scopes, seed).runs()
        self.scope_ = {classes[p]: scope for p, scope in scopes.items()}
        self.history_ = {classes[p]: m.history for p, m in self.networks_.items()}

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
        """Choose the scope that ``scope="auto"`` uses (measurements: ``evaluation/scope.md``).

        Args:
            rows: Number of training rows of the class, at least 2.

        Returns:
            "class" (one network per class), "all" (one network for all rows) or "adapt" (the
            network for all rows, fine-tuned on the class).

        Example:
            >>> from synthgen import CTGAN, TVAE
            >>> TVAE.best_scope(50), TVAE.best_scope(5_000), CTGAN.best_scope(50)
            ('adapt', 'class', 'class')
        """

    @staticmethod
    def default_steps(rows: int) -> int:
        """Number of updates: 2,000 for up to 10,000 rows, 4,000 for 100,000 rows or more.

        Args:
            rows: Number of training rows of the network.

        Returns:
            The number of updates.
        """
        return int(np.clip(2000 + 2000 * np.log10(max(rows, 1) / 10_000), 2000, 4000))

    def _batch(self, rows: int, device: torch.device) -> int:
        """Choose the batch size for this many training rows."""
        assert self.batch_size is not None
        return self.batch_size

    def plan(self, rows: int, role: Role, device: torch.device, *, held: bool) -> Plan:
        """Choose network size, updates and batch size; fine-tuning takes half the updates.

        Args:
            rows: Number of training rows.
            role: Role of the network: trained once, pre-trained as a base, or fine-tuned.
            device: Device of the training.
            held: Whether rows of its classes are held out for early stopping.

        Returns:
            The number of rows to size the network for, its updates and its batch size.
        """
        steps = self.steps or self.default_steps(rows)
        steps = max(1, steps // 2) if role == "adapted" else steps
        return Plan(rows, steps, self._batch(rows, device))

    # --- losses of single rows, which a holder of the file can compute ----------------------------

    def _row_losses(
        self, sampler: Sampler, rows: Encoded, labels: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor | None:
        """Compute the loss of a network on each row."""
        return None

    def losses(self, table: Table, seed: np.random.SeedSequence) -> np.ndarray | None:
        known = self.schema_.classes
        target = self.schema_[self.schema_.target]
        places = target.positions(table.frame[target.name])
        found: np.ndarray | None = None
        for position, model, label in _covered(self.networks_, len(known)):
            rows = np.flatnonzero(places == position)
            encoder = model.encoder
            frame = table.frame.iloc[rows].reset_index(drop=True)
            for column in encoder.columns:
                if column.kind in LEVELS:  # a level that the file lacks counts as missing
                    lost = column.positions(frame[column.name]) < 0
                    frame[column.name] = frame[column.name].mask(lost)
            for start in range(0, len(rows), LOSSES_AT_ONCE):
                some = slice(start, start + LOSSES_AT_ONCE)
                rng = np.random.default_rng(child_seed(seed, 0))
                encoded = encoder.transform(frame.iloc[some], rng, device=self.device_)
                encoded = Encoded(encoded.numbers, encoded.codes.long())
                labels = torch.full((len(encoded),), label, device=self.device_)
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
        if position not in self.networks_:
            assert self._bootstrap is not None
            return self._bootstrap._sample(position, rows, seed)
        model = self.networks_[position]
        return self._made(model, rows, seed, model.sampler.made)

    def _made(
        self,
        model: TrainedNetwork,
        rows: int,
        seed: np.random.SeedSequence,
        made: Callable[[dict[str, torch.Tensor], int], Encoded],
    ) -> pd.DataFrame:
        found = make_rows(model.sampler, made, model.label, rows, seed, self.device_)
        return model.encoder.inverse_transform(found, seed)


def _covered(
    models: dict[int, TrainedNetwork], classes: int
) -> Iterator[tuple[int, TrainedNetwork, int]]:
    """(position of a class, network, its label) for each class with a likelihood."""
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
