"""The measurements of an audit: the class, each column, equal rows, leaks, a quick model."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from synthgen.auditing.leaks import Leak, find_leaks
from synthgen.auditing.model import (
    MODEL_ROWS,
    Boosted,
    Estimate,
    FoldedRows,
    Model,
    boost,
    codes_of,
    draw,
    groups_of,
    judge,
)
from synthgen.encoding.matrix import is_learned, ranks_of
from synthgen.errors import DataError
from synthgen.progress import Progress
from synthgen.seeds import child_seed
from synthgen.tables.column import LEVELS, Column
from synthgen.tables.schema import class_position
from synthgen.tables.table import Table

# Fewest rows of a class to train a network, and to hold rows out for early stopping. Copied from
# synthesizers.network, which this module must not import; a test compares them.
NETWORK_ROWS, EARLY_STOP_ROWS = 10, 200


@dataclass(frozen=True)
class Minority:
    """The class of interest: the rarest one unless `label` is given.

    Attributes:
        label: The class, as text.
        rows: Number of its rows.
        share: Fraction of all rows, 0 to 1.
        duplicates: Number of rows equal to an earlier row of the class, IDs ignored.
        distinct: Number of rows without these duplicates.
        rows_per_feature: Rows of the class divided by the number of usable features.
        lesson: What this number of rows allows, in one or two sentences.
    """

    label: str
    rows: int
    share: float
    duplicates: int
    distinct: int
    rows_per_feature: float
    lesson: str


@dataclass(frozen=True, eq=False)
class ExaminedColumn:
    """One feature and its measurements.

    Attributes:
        column: Kind and limits.
        series: The cells, shape (rows,).
        codes: Codes of the cells, int64 of shape (rows,): equal cells have equal codes, and all
            missing cells share one.
        gone: Whether a cell is missing, bool of shape (rows,).
        alone: Average precision of a small tree on this column only; None if none was fitted.
    """

    column: Column
    series: pd.Series
    codes: np.ndarray
    gone: np.ndarray
    alone: Estimate | None

    @property
    def name(self) -> str:
        return str(self.column.name)

    @property
    def distinct(self) -> int:
        """Number of different values, without the missing ones."""
        return len(np.unique(self.codes[~self.gone]))

    @property
    def top_share(self) -> float:
        """Fraction of rows with the most frequent value, 0 to 1."""
        return float(np.bincount(self.codes).max() / len(self.codes))

    def facts(self) -> dict[str, Any]:
        """Its entry in `Audit.columns`."""
        return {
            "name": self.name,
            "kind": self.column.kind,
            "reason": self.column.reason,
            "missing": float(self.gone.mean()),
            "missing_rows": int(self.gone.sum()),
            "distinct": self.distinct,
            "top_share": self.top_share,
            "average_precision": None if self.alone is None else asdict(self.alone),
        }


@dataclass(frozen=True, eq=False)
class Examined:
    """A table and all its measurements, from which the findings are derived.

    Attributes:
        table: The whole table.
        minority: The class of interest.
        is_rare: Whether a row is of this class, bool of shape (rows,).
        columns: The features, in the order of the table.
        equal: Group number of each row, int of shape (rows,): rows with equal features, IDs
            ignored, share a number.
        is_coarse: Whether most rows of the other classes have an equal row. If so, the columns are
            too coarse to tell cases apart, and equal rows count as separate cases.
        leaks: Columns, or pairs, that alone predict the class too well; the worst first.
        model: Scores of the quick model; None if the class, or the rest, has fewer than 2 distinct
            rows, or there is no feature.
        moment: Later dates are future dates.
        scored: Out-of-fold scores of the model's rows, and whether they are of the class; both of
            shape (rows,).
    """

    table: Table
    minority: Minority
    is_rare: np.ndarray
    columns: tuple[ExaminedColumn, ...]
    equal: np.ndarray
    is_coarse: bool
    leaks: tuple[Leak, ...]
    model: Model | None
    moment: pd.Timestamp
    scored: tuple[np.ndarray, np.ndarray] | None = None


def examine(
    table: Table,
    *,
    label: Any,
    groups: Any,
    moment: pd.Timestamp,
    seed: np.random.SeedSequence,
    progress: Progress,
) -> Examined:
    """Make all measurements of an audit."""
    counts = {c: n for c, n in table.counts.items() if n}
    chosen = min(counts, key=lambda c: counts[c])
    if label is not None:
        chosen = tuple(counts)[class_position(tuple(counts), label)]
    is_rare = table.labels == table.schema.classes.index(chosen)
    features, rows = table.schema.features, len(table)

    progress.start("comparing rows", total=4)
    codes = [codes_of(table.frame[c.name]) for c in features]
    equal = groups_of([k for k, c in zip(codes, features, strict=True) if c.kind != "id"], rows)
    others = equal[~is_rare]
    is_coarse = len(np.unique(others)) < len(others) / 2
    fold_groups = _fold_groups(equal, groups, is_coarse)
    model, leaks, alone, scored = _modelled(table, is_rare, fold_groups, seed, progress)

    distinct = len(np.unique(equal[is_rare]))
    learned = sum(map(is_learned, features))
    series = [table.frame[c.name] for c in features]
    return Examined(
        table=table,
        minority=Minority(
            label=str(chosen),
            rows=counts[chosen],
            share=counts[chosen] / rows,
            duplicates=counts[chosen] - distinct,
            distinct=distinct,
            rows_per_feature=counts[chosen] / max(1, learned),
            lesson=lesson(str(chosen), counts[chosen], distinct, learned),
        ),
        is_rare=is_rare,
        columns=tuple(
            ExaminedColumn(column, cells, of_cells, cells.isna().to_numpy(bool), estimate)
            for column, cells, of_cells, estimate in zip(
                features, series, codes, alone, strict=True
            )
        ),
        equal=equal,
        is_coarse=is_coarse,
        leaks=tuple(leaks),
        model=model,
        moment=moment,
        scored=scored,
    )


def _fold_groups(equal: np.ndarray, groups: Any, is_coarse: bool) -> np.ndarray:
    """Group number of each row for cross-validation, int of shape (rows,).

    Equal rows share a number, so that no test row has a copy in the training part. If the columns
    are coarse, equal rows are separate cases and each row is its own group.
    """
    rows = len(equal)
    if groups is None:
        return np.arange(rows) if is_coarse else equal
    codes = codes_of(pd.Series(np.asarray(groups)))
    if len(codes) != rows:
        raise DataError(
            374, f"groups has {len(codes)} rows and X has {rows}: give one for each row"
        )
    return codes


def _modelled(
    table: Table,
    is_rare: np.ndarray,
    groups: np.ndarray,
    seed: np.random.SeedSequence,
    progress: Progress,
) -> tuple[Model | None, list[Leak], list[Estimate | None], tuple[np.ndarray, np.ndarray] | None]:
    """Train the quick model and look for leaks."""
    features = table.schema.features
    places = [ranks_of(c, table.frame[c.name]) for c in features]
    learned = [i for i, c in enumerate(features) if is_learned(c)]
    drawn = draw(is_rare, groups, MODEL_ROWS, child_seed(seed, 0))
    progress.update(1, stage="training a quick model")
    boosted: tuple[Boosted, FoldedRows] | None = None
    model = None
    if drawn is not None and learned:
        parts = [(places[i][drawn.index], features[i].kind in LEVELS) for i in learned]
        boosted = boost(parts, drawn, child_seed(seed, 1)), drawn
        scores, share = boosted[0].scores, float(is_rare.mean())
        model = judge(scores, drawn, share, len(table), child_seed(seed, 2))

    def importance() -> np.ndarray:
        assert boosted is not None  # `find_leaks` calls this only if there is a good model
        losses = np.zeros(len(features))
        losses[learned] = boosted[0].importance(boosted[1], child_seed(seed, 4))
        return losses

    progress.update(2, stage="looking for leaks")
    leaks, alone = find_leaks(
        table,
        places,
        is_rare,
        groups,
        precision=model.average_precision.value if model else 0.0,
        importance=importance,
        seed=child_seed(seed, 3),
    )
    scored = None if boosted is None else (boosted[0].scores, boosted[1].y)
    return model, leaks, alone, scored


def lesson(label: str, rows: int, distinct: int, features: int) -> str:
    """A sentence on what the number of rows of a class allows."""
    size = f"{label!r} has {rows:,} rows ({distinct:,} distinct) and {features} usable features: "
    if rows < 2:
        return size + "one row is too few to train and to test on; collect more."
    size += f"one row is {1 / rows:.2%} of recall. "
    if rows < NETWORK_ROWS:
        return (
            f"{size}With fewer than {NETWORK_ROWS} rows, no network is trained; new rows are "
            f"resampled from the real ones."
        )
    if rows < EARLY_STOP_ROWS:
        return (
            f"{size}A network can be trained, but with fewer than {EARLY_STOP_ROWS} rows none is "
            f"held out for early stopping, so it may memorise rows."
        )
    return f"{size}That is enough to train a network with held-out rows for early stopping."
