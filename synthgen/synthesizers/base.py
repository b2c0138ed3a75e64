"""The contract of every synthesizer: fit, sample, save, load."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from synthgen.encoding.unlearned import unlearned
from synthgen.errors import ConvergenceError, ModelFileError, UsageError
from synthgen.seeds import RandomState, child_seed, seed_sequence
from synthgen.tables.disk import machine_memory
from synthgen.tables.schema import Schema, class_position
from synthgen.tables.table import Table, as_frame
from synthgen.training.graph import out_of_memory
from synthgen.training.model_file import naming, read_model


class Synthesizer(BaseEstimator, ABC):
    """Learns the rows of a table, class by class, and makes new ones.

    Hyperparameters are the constructor's keyword arguments; what is learned ends in an underscore.

    Args:
        classes: Labels to learn; None: every class but the most frequent one.
        schema: Decisions about columns to take instead of guessing them; None: all are guessed.
        random_state: Seed of `fit`; None is fresh entropy.

    Attributes:
        schema_: The schema of the table, features first and the target last.
        classes_: The labels that can be sampled.
        counts_: Training rows of every class of the target.
    """

    schema_: Schema
    classes_: tuple[Any, ...]
    counts_: dict[Any, int]

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

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from the rows of `X` with the classes `y`.

        Args:
            X: Frame (any dtypes, missing cells) or array, shape (rows, features).
            y: Series or array of classes, shape (rows,).

        Raises:
            DataError: the table cannot be used as it is.
            UsageError: a hyperparameter cannot be what it is, or a class has one row only.
        """
        return self._fit_table(Table.of_xy(X, y, schema=self.schema))

    def _fit_table(self, table: Table) -> Self:
        """`fit` for a table whose schema is known already: the inner door.

        Whatever of synthgen holds a `Table` fits through this one, so that no schema is inferred
        twice. The table's schema counts, and the argument `schema` is not looked at.

        Args:
            table: The training rows, of at least two classes.

        Raises:
            UsageError: a hyperparameter cannot be what it is, or a class has one row only.
        """
        self._fit(*self._prepared(table))
        return self

    def _prepared(self, table: Table) -> tuple[Table, list[int], np.random.SeedSequence]:
        """Check the table and the classes, set what `fit` learns from them, and draw the seed."""
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
        self, n_samples: int, *, label: Any = None, random_state: RandomState = None
    ) -> pd.DataFrame:
        """Exactly `n_samples` new rows, of exactly that class.

        Args:
            n_samples: Rows to make, at least 1.
            label: One of `classes_`; None draws classes as frequent as in training.
            random_state: Seed; the first rows of a longer sample with the same seed and label are
                the same.

        Returns:
            Frame of shape (n_samples, features + 1), the target last, with the training dtypes and
            a RangeIndex.

        Raises:
            NotFittedError: `fit` was not called.
            UsageError: `n_samples` is no whole number from 1, does not fit in memory, or the class
                was not learned.
            ConvergenceError: memory ran out while the rows were made (E603).
        """
        return self._rows(n_samples, label, random_state, self._sample)

    def _rows(
        self,
        n_samples: int,
        label: Any,
        random_state: RandomState,
        make: Callable[[int, int, np.random.SeedSequence], pd.DataFrame],
    ) -> pd.DataFrame:
        """`sample` with `make` in the place of `_sample`."""
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
                    for part in parts:  # a model file has the levels of each class apart
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
        """The class that `label` names."""
        named = self.schema_.classes[class_position(self.schema_.classes, label)]
        if named not in self.classes_:
            learned = ", ".join(map(repr, self.classes_))
            raise UsageError(
                206,
                f"class {named!r} was not learned, only {learned}: fit again with it among the "
                f"classes (--label on the command line)",
            )
        return named

    def check_savable(self, counts: Mapping[Any, int]) -> None:
        """Raise what `save` would raise after a fit of classes with so many rows."""
        if type(self).save is Synthesizer.save:
            self.save("")

    def save(self, path: str | os.PathLike[str], *, keep_class_names: bool = False) -> list[str]:
        """Write the model to one file without code and without training rows.

        Numbers of rows are rounded in the file: to 5, and from 100 on to two significant digits.

        Args:
            path: Where to; by convention it ends in ``.synthgen``.
            keep_class_names: Name every class of the target. By default the file names the
                classes that were learned and those of at least 5 rows; all others are counted
                together as "other classes".

        Returns:
            A sentence for each column whose values were coarsened for the file; in memory nothing
            is.

        Raises:
            ModelFileError: this synthesizer is made of its training rows.
        """
        raise ModelFileError(
            401,
            f"a {type(self).__name__} is its training rows, so a file of it would hand them on: "
            "keep the table and "
            "fit again with trees or a network (tvae), whose file holds shares, weights and coarse "
            "quantiles only",
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, device: str = "auto") -> Self:
        """Read a model that `save` wrote; `synthgen.load` finds the class by itself.

        Raises:
            ModelFileError: the file is damaged, of a newer version, or of another class.
        """
        header, tensors = read_model(path)
        if header["class"] != cls.__name__:
            raise ModelFileError(
                402,
                f"{path} holds a {header['class']}: load it with synthgen.load or "
                f"{header['class']}.load",
            )
        with naming(path):
            return cls._from_file(header, tensors, device)

    @abstractmethod
    def _fit(self, table: Table, positions: list[int], seed: np.random.SeedSequence) -> None:
        """Learn the classes at `positions` of ``table.schema.classes``."""

    @abstractmethod
    def _sample(self, position: int, rows: int, seed: np.random.SeedSequence) -> pd.DataFrame:
        """New rows of the class at `position`, features only, shape (rows, features)."""

    @classmethod
    def _from_file(cls, header: dict[str, Any], tensors: dict[str, Any], device: str) -> Self:
        raise ModelFileError(403, f"a {cls.__name__} has no file")

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
    """Out of memory in the block is an error of its own, with what to do."""
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


def check_two_rows(label: Any, rows: int) -> None:
    """Refuse a class that no synthesizer can learn, before anything is trained."""
    if rows < 2:
        raise UsageError(
            202,
            f"class {label!r} has {rows} row{'s' * (rows != 1)}: a class cannot be told from less "
            f"than two rows; collect more, or choose other classes (classes=[...], --label, or a "
            f"dict as sampling_strategy)",
        )


def check_memory(rows: int, columns: int) -> None:
    """Refuse rows that this machine could not hold, before anything is trained."""
    width = 64 * columns  # bytes of a row while it is decoded, at the least
    memory = machine_memory()
    if rows * width > memory:
        raise UsageError(
            204,
            f"{rows:,} rows need about {rows * width / 2**30:,.0f} GiB, this machine has "
            f"{memory / 2**30:.0f}: ask for at most {memory // width:,}, or fit once and sample "
            f"several times, each with a new seed",
        )
