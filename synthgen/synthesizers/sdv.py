"""The single-table synthesizers of SDV, the Synthetic Data Vault, unchanged, for comparison."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, cast, final

import numpy as np
import pandas as pd
import torch

from synthgen.encoding.unlearned import unlearned
from synthgen.errors import ModelFileError, UsageError
from synthgen.seeds import RandomState, child_seed
from synthgen.synthesizers.base import Synthesizer
from synthgen.synthesizers.bootstrap import SmoothedBootstrap
from synthgen.tables.column import LEVELS, NUMBERS, Column
from synthgen.tables.schema import Schema
from synthgen.tables.table import Table, as_frame

MODELS = ("GaussianCopula", "CTGAN", "TVAE", "CopulaGAN")
# A class with fewer rows is resampled, because SDV's models learn nothing from it.
MIN_ROWS = 10
# Rows are generated in whole blocks: a longer sample begins with the rows of a shorter one.
BLOCK = 1024


@dataclass(frozen=True)
class _SDVColumn:
    """One column of one class in the form for SDV: level names, or distances from the minimum."""

    column: Column
    values: np.ndarray  # the distinct values in the class; for levels, their codes
    name: str  # the column's name for SDV; empty if there is nothing to learn

    @staticmethod
    def of(column: Column, series: pd.Series, place: int) -> tuple[_SDVColumn, pd.Series | None]:
        if column.kind in LEVELS:
            found = column.codes(series)
            gone = found < 0
        elif column.kind in NUMBERS:
            found, gone = column.numbers(series)
        else:
            return _SDVColumn(column, np.zeros(0), ""), None
        values = np.unique(found[~gone])
        if not len(values) or (len(values) == 1 and not gone.any()):
            return _SDVColumn(column, values, ""), None
        if column.kind in LEVELS:
            plain = pd.Series(found.astype(str), dtype=object).mask(gone, None)
        else:
            plain = pd.Series(np.where(gone, np.nan, _above(found, values[0])))
        return _SDVColumn(column, values, f"c{place}"), plain

    def back(self, made: pd.DataFrame, rows: int) -> pd.Series:
        column, values = self.column, self.values
        if column.kind not in (*LEVELS, *NUMBERS):
            return unlearned(column, rows)
        if not len(values):
            gone = np.ones(rows, dtype=bool)
            empty = np.full(rows, -1) if column.kind in LEVELS else np.zeros(rows, dtype=np.int64)
            return column.restore(empty, gone)
        if not self.name:
            return column.restore(np.repeat(values, rows), np.zeros(rows, dtype=bool))
        plain = made[self.name]
        gone = plain.isna().to_numpy()
        if column.kind in LEVELS:
            return column.restore(plain.where(~gone, "-1").astype(np.int64).to_numpy())
        distance = plain.fillna(0.0).to_numpy(dtype=np.float64).clip(min=0)
        if values.dtype == np.int64:
            step = column.step or 1
            steps = np.round(distance / step).astype(np.uint64) * np.uint64(step)
            most = values[-1:].view(np.uint64) - values[:1].view(np.uint64)
            found = (values[:1].view(np.uint64) + np.minimum(steps, most)).view(np.int64)
        else:
            found = values[0] + distance
            if column.decimals is not None:
                found = np.round(found, column.decimals)
            found = found.clip(values[0], values[-1])
        return column.restore(found, gone)


def _above(values: np.ndarray, lowest: Any) -> np.ndarray:
    """``values - lowest`` without overflow."""
    if values.dtype == np.int64:
        return (values.view(np.uint64) - np.int64(lowest).view(np.uint64)).astype(np.float64)
    return values - lowest


@final
class SDV(Synthesizer):
    """A single-table synthesizer of SDV (Patki et al. 2016, "The Synthetic Data Vault").

    One model is trained for each class, on the rows of that class alone. So exact numbers of rows
    need no conditional sampling, which SDV does by rejection. SDV decides how columns are
    transformed; the schema of synthgen says which columns are categories and which are numbers. SDV
    uses global random states: they are seeded, and restored afterwards.

    Attributes:
        fallback_: Classes with fewer than 10 rows, for which a `SmoothedBootstrap` is used instead.
    """

    fallback_: tuple[Any, ...]

    def __init__(
        self,
        *,
        model: Literal["GaussianCopula", "CTGAN", "TVAE", "CopulaGAN"] = "GaussianCopula",
        epochs: int | None = None,
        classes: Sequence[Any] | None = None,
        schema: Schema | None = None,
        random_state: RandomState = None,
    ) -> None:
        super().__init__(classes=classes, schema=schema, random_state=random_state)
        self.model = model
        self.epochs = epochs

    def check_savable(self, counts: Mapping[Any, int]) -> None:
        raise ModelFileError(
            407,
            "a model of SDV can be kept only as a pickle, which runs code when it is read and "
            "may hold training rows: keep the table and fit again, or train a network (ctgan, "
            "tvae, tabflow)",
        )

    def rows_needed(self) -> int:
        return MIN_ROWS

    def _fit(self, table: Table, positions: list[int], seed: np.random.SeedSequence) -> None:
        if self.model not in MODELS:
            raise UsageError(240, f"model must be one of {', '.join(MODELS)}, not {self.model!r}")
        labels, classes = table.labels, table.schema.classes
        counts = np.bincount(labels, minlength=len(classes))
        few = [p for p in positions if counts[p] < MIN_ROWS]
        self.fallback_ = tuple(classes[p] for p in few)
        self._bootstrap = None
        if few:
            named = ", ".join(f"{classes[p]!r} ({counts[p]})" for p in few)
            warnings.warn(
                f"SDV learns nothing from fewer than {MIN_ROWS} rows; a smoothed bootstrap makes "
                f"the rows of {named}",
                UserWarning,
                stacklevel=5,
            )
            bootstrap = SmoothedBootstrap(classes=self.fallback_, schema=table.schema)
            self._bootstrap = bootstrap.fit_table(table)
        self._models: dict[int, tuple[Any, list[_SDVColumn]]] = {}
        for p in positions:
            if p not in few:
                rows = table.frame[labels == p].reset_index(drop=True)
                self._models[p] = self._learned(table.schema, rows, child_seed(seed, p))

    def _learned(
        self, schema: Schema, rows: pd.DataFrame, seed: np.random.SeedSequence
    ) -> tuple[Any, list[_SDVColumn]]:
        parts, plain = [], {}
        for i, column in enumerate(schema.features):
            part, series = _SDVColumn.of(column, rows[column.name], i)
            parts.append(part)
            if series is not None:
                plain[part.name] = series
        if not plain:
            return None, parts
        with _forked(seed):
            from sdv import single_table
            from sdv.metadata import Metadata

            columns = {
                p.name: {"sdtype": "categorical" if p.column.kind in LEVELS else "numerical"}
                for p in parts
                if p.name
            }
            metadata = Metadata.load_from_dict({"tables": {"table": {"columns": columns}}})
            options: dict[str, Any] = {}
            if self.model != "GaussianCopula":
                options["enable_gpu"] = False
                if self.epochs is not None:
                    options["epochs"] = self.epochs
            model = getattr(single_table, f"{self.model}Synthesizer")(metadata, **options)
            model.fit({"table": pd.DataFrame(plain)})
        return model, parts

    def _sample(self, position: int, rows: int, seed: np.random.SeedSequence) -> pd.DataFrame:
        if position not in self._models:
            assert self._bootstrap is not None
            return self._bootstrap._sample(position, rows, seed)
        model, parts = self._models[position]
        made = pd.DataFrame(index=pd.RangeIndex(rows))
        if model is not None:
            blocks = [
                self._block(model, child_seed(seed, block)) for block in range(-(-rows // BLOCK))
            ]
            made = pd.concat(blocks, ignore_index=True).head(rows)
        series = [part.back(made, rows) for part in parts]
        return as_frame(series, [part.column.name for part in parts], rows)

    def _block(self, model: Any, seed: np.random.SeedSequence) -> pd.DataFrame:
        """Generate a block of rows from `seed`; by itself, SDV continues from its own seed."""
        state = cast(int, seed.generate_state(1)[0].item()) >> 1
        with _forked(seed):
            model._set_random_state(state)
            for place, transformer in enumerate(model.get_transformers().values()):
                if transformer is not None:
                    own = np.random.RandomState((state + place) % 2**32)
                    transformer.set_random_state(own, "reverse_transform")
            return model.sample(num_rows=BLOCK)["table"].reset_index(drop=True)


@contextmanager
def _forked(seed: np.random.SeedSequence) -> Iterator[None]:
    """Seed the global random states for the block, and restore them after it."""
    state = int(seed.generate_state(1)[0])
    before = random.getstate()
    numpy_before = np.random.get_state()  # noqa: NPY002 - SDV draws from it
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        random.seed(state)
        np.random.seed(state)  # noqa: NPY002
        torch.manual_seed(state)
        try:
            yield
        finally:
            random.setstate(before)
            np.random.set_state(numpy_before)  # noqa: NPY002
