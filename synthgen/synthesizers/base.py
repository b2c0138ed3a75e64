"""The base class of every synthesizer: fit, sample, save, load."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from synthgen.encoding.unlearned import unlearned
from synthgen.errors import ConvergenceError, ModelFileError, UsageError
from synthgen.seeds import RandomState, child_seed, seed_sequence
from synthgen.synthesizers.matching import matching_rows
from synthgen.tables.checks import check_flags, flags_of
from synthgen.tables.disk import machine_memory
from synthgen.tables.foreign import as_given, none_of
from synthgen.tables.schema import Schema, class_position
from synthgen.tables.table import Table, as_frame
from synthgen.training.graph import out_of_memory
from synthgen.training.model_file import building_model, naming, read_model

# Below this number of rows of a class, a network is no better than resampling.
NETWORK_ROWS = 10


class Synthesizer(BaseEstimator, ABC):
    """Learns the rows of some classes of a table, and generates new ones.

    Hyperparameters are keyword arguments of the constructor. Learned attributes end in an
    underscore. A synthesizer of your own derives from this class and defines `_fit` and `_sample`.

    Args:
        classes: Labels of the classes to learn. None: every class except the most frequent one.
        schema: Kinds and limits of the columns (see `Schema.infer`). None: all are inferred.
        random_state: Seed of `fit`. None: a fresh seed at each call.

    Attributes:
        schema_: The schema of the table, features first and the target last.
        classes_: The classes that can be sampled.
        counts_: Number of training rows in each class of the target, by label.

    Example:
        >>> from synthgen import SmoothedBootstrap
        >>> frame = pd.DataFrame({"dose": [1.0, 1.5, 2.5, 9.0, 9.5, 7.25]})
        >>> ill = pd.Series([0, 0, 0, 0, 1, 1], name="ill")
        >>> model = SmoothedBootstrap(classes=[1]).fit(frame, ill)
        >>> isinstance(model, Synthesizer), model.sample(3, label=1, random_state=0).shape
        (True, (3, 2))
    """

    schema_: Schema
    classes_: tuple[Any, ...]
    counts_: dict[Any, int]
    _given: Any = None  # the kind of frame that `fit` was given, which `sample` gives back

    def __init__(
        self,
        *,
        classes: Sequence[Any] | None = None,
        schema: Schema | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.classes = classes
        self.schema = schema
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, *, target: Hashable | None = None) -> Self:
        """Learn from training rows.

        Call it as ``fit(X, y)`` or as ``fit(frame, target="outcome")``.

        Args:
            X: Features: a frame (any dtypes; cells may be missing) or an array of shape
                (rows, features). With `target`, a frame that also holds the classes.
            y: Classes: a series or an array of shape (rows,). None if `target` is given.
            target: Name of the column of `X` that holds the classes.

        Returns:
            The synthesizer itself, fitted.

        Raises:
            DataError: The table cannot be used as it is (see `Table.of`).
            UsageError: A hyperparameter has a wrong value, or a class to learn has fewer than two
                rows (E202).
        """
        table = self.table_of(X, y, target)
        self._given = none_of(X)
        return self.fit_table(table)

    def table_of(self, X: Any, y: Any = None, target: Hashable | None = None) -> Table:
        """Check what `fit` is given, and make a table of it.

        Args:
            X, y, target: See `fit`.

        Returns:
            The table that `fit_table` learns.
        """
        return Table.labelled(X, y, target=target, schema=self.schema)

    def fit_table(self, table: Table) -> Self:
        """Fit to a `Table`, whose schema is already known and is not inferred again.

        Code inside synthgen that has a `Table` calls this method instead of `fit`. It uses the
        schema of the table and ignores the constructor's `schema`.

        Args:
            table: The training rows, of at least two classes.

        Returns:
            The synthesizer itself, fitted.

        Raises:
            UsageError: See `fit`.
        """
        self._fit(*self._prepared(table))
        return self

    def _prepared(self, table: Table) -> tuple[Table, list[int], np.random.SeedSequence]:
        """Check the classes, set the learned attributes, and derive the seed of the fit."""
        check_flags(**flags_of(self))
        counts = table.counts
        known = table.schema.classes
        if self.classes is None:
            most = max(counts, key=lambda c: counts[c])
            wanted = [c for c in known if c != most and counts[c] > 0]
        else:
            wanted = [known[class_position(known, c)] for c in self.classes]
        for label in wanted:
            check_two_rows(label, counts[label])
        self.schema_ = table.schema
        self.classes_ = tuple(wanted)
        self.counts_ = counts
        return table, [known.index(c) for c in wanted], seed_sequence(self.random_state)

    def sample(
        self,
        n_samples: int,
        *,
        label: Any = None,
        random_state: RandomState = None,
        where: Mapping[Any, Any] | None = None,
    ) -> Any:
        """Generate exactly `n_samples` new rows.

        Args:
            n_samples: Number of rows, at least 1.
            label: The class of all rows, one of `classes_`. None: each row's class is drawn with
                the class frequencies of the training rows, whatever `where` says.
            random_state: Seed. None: a fresh seed. With the same seed, label and `where`, a longer
                sample begins with the rows of a shorter one.
            where: Levels that all rows have, such as ``{"region": "north"}``; None as a level is a
                missing cell. `TabFlow` draws the other columns given these; any other synthesizer
                makes blocks of 8,192 rows and keeps those that match. If fewer than one in a block
                match, they are repeated, and a warning says how many rows they are worth.

        Returns:
            Frame of shape (n_samples, features + 1) with the dtypes of the training frame and the
            target as its last column: polars or Arrow if that was given to `fit`, otherwise, and
            after `load`, pandas with a RangeIndex.

        Raises:
            NotFittedError: `fit` was not called.
            UsageError: `n_samples` is not a whole number of at least 1 (E203), that many rows do
                not fit in memory (E204), the class was not learned (E206), or `where` names no
                column of levels, or levels that no row has (E238).
            ConvergenceError: Memory ran out while rows were generated (E603).
        """
        make = partial(self._sample_where, where=where) if where else self._sample
        rows = self._rows(n_samples, label, random_state, make)
        return as_given(rows, self._given)

    def _rows(
        self,
        n_samples: int,
        label: Any,
        random_state: RandomState,
        make: Callable[[int, int, np.random.SeedSequence], pd.DataFrame],
    ) -> pd.DataFrame:
        """Do what `sample` does, but generate the features with `make` instead of `_sample`."""
        check_is_fitted(self, "schema_")
        rows = self._checked_rows(n_samples)
        seed = seed_sequence(random_state)
        known = self.schema_.classes
        if label is not None:
            codes = np.full(rows, known.index(self.learned_class(label)))
        elif len(self.classes_) == 1:
            codes = np.full(rows, known.index(self.classes_[0]))
        else:
            weights = np.array([self.counts_[c] for c in self.classes_], dtype=float)
            drawn = np.random.default_rng(child_seed(seed, 0)).choice(
                len(weights), size=rows, p=weights / weights.sum()
            )
            codes = np.array([known.index(c) for c in self.classes_])[drawn]
        parts, places = [], []
        for position in np.unique(codes):
            where = np.flatnonzero(codes == position)
            with _enough_memory(rows):
                parts.append(make(int(position), len(where), child_seed(seed, int(position) + 1)))
            places.append(where)
        features = parts[0]
        if len(parts) > 1:
            for i, column in enumerate(self.schema_.features):
                if isinstance(column.dtype, pd.CategoricalDtype) and column.kind != "id":
                    for part in parts:  # a model file stores levels per class
                        part.isetitem(i, part.iloc[:, i].astype(column.dtype))
            order = np.argsort(np.concatenate(places), kind="stable")
            features = pd.concat(parts, ignore_index=True).iloc[order].reset_index(drop=True)
            for i, column in enumerate(self.schema_.features):
                if column.kind == "id":  # each class was numbered from the same start
                    features.isetitem(i, unlearned(column, rows))
        target = self.schema_[self.schema_.target].restore(codes)
        series = [features.iloc[:, i] for i in range(features.shape[1])]
        return as_frame([*series, target], [*features.columns, self.schema_.target], rows)

    def learned_class(self, label: Any) -> Any:
        """The learned class that `label` names.

        Args:
            label: The class itself, or its text form if exactly one class has this text.

        Returns:
            The matching element of `classes_`.

        Raises:
            UsageError: The target has no such class (E201), or it was not learned (E206).
        """
        named = self.schema_.classes[class_position(self.schema_.classes, label)]
        if named not in self.classes_:
            learned = ", ".join(map(repr, self.classes_))
            raise UsageError(
                206,
                f"class {named!r} was not learned, only {learned}: fit again with this class among "
                f"the classes (--label on the command line)",
            )
        return named

    def rows_needed(self) -> int:
        """The fewest rows from which a class is learned; a smaller one is resampled.

        Returns:
            The number of rows.
        """
        return 2

    def check_savable(self, counts: Mapping[Any, int]) -> None:
        """Check before a fit whether `save` could write the model afterwards.

        A synthesizer that can be saved overrides this method and `save`.

        Args:
            counts: Number of training rows of each class to learn, by label.

        Raises:
            ModelFileError: The file would contain training rows (E401, E406, E407).
        """
        raise ModelFileError(
            401,
            f"a {type(self).__name__} consists of its training rows, so a file would hold them: "
            "keep the table, or fit trees or a network (tvae), whose file holds only shares, "
            "weights and coarse quantiles",
        )

    def save(self, path: str | os.PathLike[str], *, keep_class_names: bool = False) -> list[str]:
        """Write the model to one file that contains no code and no training row.

        Row counts are rounded in the file: below 100 to a multiple of 5, above to two significant
        digits.

        Args:
            path: Path of the file; by convention it ends in ``.synthgen``.
            keep_class_names: Whether the file names every class of the target. By default it names
                the learned classes and those with at least 5 rows; it merges all other classes.

        Returns:
            One sentence for each column whose values were coarsened in the file. The model in
            memory does not change.

        Raises:
            NotFittedError: `fit` was not called.
            ModelFileError: The file would contain training rows (E401, E406).
            OutputError: The file cannot be written (E502 to E506).
        """
        check_flags(keep_class_names=keep_class_names)
        self.check_savable({})
        raise NotImplementedError(f"{type(self).__name__} overrides check_savable without save")

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, device: str = "auto") -> Self:
        """Read a model of this class from a file; `synthgen.load` reads one of any class.

        Args:
            path: A file that `save` wrote. It is checked before use, and no code in it is run.
            device: Device of the networks: "auto", "cpu", "cuda" or, for example, "cuda:1".

        Returns:
            The fitted synthesizer.

        Raises:
            ModelFileError: The file is damaged (E417, E418), was written by a newer version
                (E415), or holds a model of another class (E402).
        """
        header, tensors = read_model(path)
        if header["class"] != cls.__name__:
            raise ModelFileError(
                402,
                f"{path} holds a {header['class']}: load it with synthgen.load or "
                f"{header['class']}.load",
            )
        with naming(path):
            return cls.from_file(header, tensors, device)

    @abstractmethod
    def _fit(self, table: Table, positions: list[int], seed: np.random.SeedSequence) -> None:
        """Learn the classes with these `positions` in ``table.schema.classes``."""

    @abstractmethod
    def _sample(self, position: int, rows: int, seed: np.random.SeedSequence) -> pd.DataFrame:
        """Generate the features of new rows of one class: a frame of shape (rows, features)."""

    def _sample_where(
        self, position: int, rows: int, seed: np.random.SeedSequence, where: Mapping[Any, Any]
    ) -> pd.DataFrame:
        label, make = self.schema_.classes[position], partial(self._sample, position)
        return matching_rows(make, self.schema_, where, rows, seed, label)

    def losses(self, table: Table, seed: np.random.SeedSequence) -> np.ndarray | None:
        """Loss of each row under the model; anyone with the model file can compute it.

        Args:
            table: The rows to score; their classes include those of the model.
            seed: Seed of the time steps and the noise at which losses are computed. Models
                evaluated with the same seed use the same times and noise.

        Returns:
            Losses of shape (rows, n_losses). Column 0 is the total loss, larger for less likely
            rows. Rows of a class that the model does not cover are NaN. None if the model file
            contains nothing from which a likelihood can be computed.
        """
        return None

    @classmethod
    def from_file(cls, header: dict[str, Any], tensors: dict[str, Any], device: str) -> Self:
        """Make the model whose file was read; `load` reads the file and calls this method.

        Args:
            header: What the file says in JSON.
            tensors: Its arrays, by name.
            device: Device of the networks, if the class has any.

        Returns:
            The fitted synthesizer.

        Raises:
            ModelFileError: The contents make no model of this class (E418), or no file can hold
                one (E403).
        """
        with building_model():
            return cls._read(header, tensors)

    @classmethod
    def _read(cls, header: dict[str, Any], tensors: dict[str, Any]) -> Self:
        """Make the model; any exception means that the file is not valid."""
        raise ModelFileError(403, f"a {cls.__name__} cannot be stored in a model file")

    def _checked_rows(self, n_samples: Any) -> int:
        if (
            isinstance(n_samples, bool)
            or not isinstance(n_samples, int | np.integer)
            or n_samples < 1
        ):
            raise UsageError(203, f"n_samples must be a whole number from 1, not {n_samples!r}")
        check_memory(int(n_samples), len(self.schema_.columns))
        return int(n_samples)


@contextmanager
def _enough_memory(rows: int) -> Iterator[None]:
    """Replace an out-of-memory error in the block by a `ConvergenceError` with a remedy."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise ConvergenceError(
            603,
            f"memory ran out while {rows:,} rows were made: ask for fewer rows at a time, each "
            f"time with a new seed, close other programs, or use another device",
        ) from error


def check_rows_to_save(counts: Mapping[Any, int], least: int) -> None:
    """Raise if a class has fewer than `least` rows: a model file would contain those rows."""
    few = [label for label, rows in counts.items() if rows < least]
    if few:
        learnable = counts[few[0]] >= NETWORK_ROWS
        instead = "take tabflow, which learns such a class, " if learnable else ""
        raise ModelFileError(
            406,
            f"class {few[0]!r} has fewer than {least} rows and is made by resampling them, so a "
            f"file would hold training rows: {instead}make rows without a file "
            f"(synthgen augment), or leave the class out (classes=[...], --label)",
        )


def check_two_rows(label: Any, rows: int) -> None:
    """Raise if a class has fewer than two rows, too few for any synthesizer."""
    if rows < 2:
        raise UsageError(
            202,
            f"class {label!r} has {rows} row{'s' * (rows != 1)}: at least two are "
            f"needed; collect more, or choose other classes (classes=[...], --label, or a "
            f"dict as sampling_strategy)",
        )


def check_memory(rows: int, columns: int) -> None:
    """Raise if a sample of this many rows does not fit in the memory of this machine."""
    width = 64 * columns  # lower bound of the bytes that one row takes while it is decoded
    memory = machine_memory()
    if rows * width > memory:
        raise UsageError(
            204,
            f"{rows:,} rows need about {rows * width / 2**30:,.0f} GiB, but this machine has "
            f"{memory / 2**30:.0f}: ask for at most {memory // width:,} rows, or fit once and "
            f"sample several times, each time with a new seed",
        )
