"""What an audit measures on a table: the class, each column, equal rows, leaks, a quick model."""

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

# Below these rows of a class no network is trained, and none is held out to stop it early. Facts of
# synthesizers.network, which lies above this floor; a test compares them.
NETWORK_ROWS, EARLY_STOP_ROWS = 10, 200


@dataclass(frozen=True)
class Minority:
    """The class that is looked at, the rarest one if none is named.

    Attributes:
        label: The class, as text.
        rows: Its rows.
        share: Its share of all rows, from 0 to 1.
        duplicates: Rows that repeat another row of the class; IDs are not compared.
        distinct: Rows that are left without these.
        rows_per_feature: Rows for each column that a classifier can use.
        lesson: What so many rows allow, in a sentence.
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
    """One feature and what was measured on it.

    Attributes:
        column: What it was taken for.
        series: Its cells, of shape (rows,).
        codes: Equal cells have equal codes, missing ones share one; int64 of shape (rows,).
        gone: Whether a cell is missing, bool of shape (rows,).
        alone: Average precision of a small tree on this column only; None if none was grown.
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
        """Share of the rows that hold the most frequent value, from 0 to 1."""
        return float(np.bincount(self.codes).max() / len(self.codes))

    def facts(self) -> dict[str, Any]:
        """What `Audit.columns` holds of it."""
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
    """A table and everything that was measured on it; findings are drawn from this.

    Attributes:
        table: The whole table.
        minority: The class that is looked at.
        is_rare: Whether a row is of this class, bool of shape (rows,).
        columns: The features, in the order of the table.
        equal: Rows with the same number have equal features (IDs apart), int of shape (rows,).
        is_coarse: Whether most rows of the other classes repeat. Then the columns are coarse and a
            repeated row is a new case, not a copy.
        leaks: Columns, or pairs of them, that alone predict the class too well; the worst first.
        model: None where the class, or the rest, has fewer than 2 distinct rows or no feature.
        moment: Dates after it lie in the future.
        scored: Out-of-fold scores of the rows that the model saw, and whether they are of the
            class, both of shape (rows,).
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
    """Measure everything that an audit reports.

    Args:
        table: With a target.
        label: The class to look at; None: the rarest one.
        groups: Rows of one group share a fold, shape (rows,); None: equal rows do.
        moment: Dates after it lie in the future.
        seed: Of folds, samples and bootstrap.
        progress: Shows the stages.

    Raises:
        DataError: There is not one group for each row.
        UsageError: `label` is no class.
    """
    counts = {c: n for c, n in table.counts.items() if n}
    chosen = min(counts, key=lambda c: counts[c])
    if label is not None:
        chosen = tuple(counts)[class_position(tuple(counts), label)]
    is_rare = table.labels == table.schema.classes.index(chosen)
    features, rows = table.schema.features, len(table)

    progress.start("comparing rows", total=3)
    codes = [codes_of(table.frame[c.name]) for c in features]
    equal = groups_of([k for k, c in zip(codes, features, strict=True) if c.kind != "id"], rows)
    others = equal[~is_rare]
    is_coarse = len(np.unique(others)) < len(others) / 2
    kin = _kin(equal, groups, is_coarse)
    model, leaks, alone, scored = _modelled(table, is_rare, kin, seed, progress)

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


def _kin(equal: np.ndarray, groups: Any, is_coarse: bool) -> np.ndarray:
    """Rows with the same number share a fold; int of shape (rows,).

    Equal rows share one, or a model would be asked about a row that it has seen. Where the columns
    are coarse, an equal row is a new case, and each row is by itself.
    """
    rows = len(equal)
    if groups is None:
        return np.arange(rows) if is_coarse else equal
    kin = codes_of(pd.Series(np.asarray(groups)))
    if len(kin) != rows:
        raise DataError(374, f"groups has {len(kin)} rows and X has {rows}: give one for each row")
    return kin


def _modelled(
    table: Table,
    is_rare: np.ndarray,
    kin: np.ndarray,
    seed: np.random.SeedSequence,
    progress: Progress,
) -> tuple[Model | None, list[Leak], list[Estimate | None], tuple[np.ndarray, np.ndarray] | None]:
    """The quick model, the leaks, the average precision of each column alone, and the scores."""
    features = table.schema.features
    places = [ranks_of(c, table.frame[c.name]) for c in features]
    learned = [i for i, c in enumerate(features) if is_learned(c)]
    drawn = draw(is_rare, kin, MODEL_ROWS, child_seed(seed, 0))
    progress.update(1, stage="training a quick model")
    boosted: tuple[Boosted, FoldedRows] | None = None
    model = None
    if drawn is not None and learned:
        parts = [(places[i][drawn.index], features[i].kind in LEVELS) for i in learned]
        boosted = boost(parts, drawn, child_seed(seed, 1)), drawn
        scores, share = boosted[0].scores, float(is_rare.mean())
        model = judge(scores, drawn, share, len(table), child_seed(seed, 2))

    def importance() -> np.ndarray:
        assert boosted is not None  # leaks asks only where there is a good model
        lost = np.zeros(len(features))
        lost[learned] = boosted[0].importance(boosted[1], child_seed(seed, 4))
        return lost

    progress.update(2, stage="looking for columns that give the class away")
    leaks, alone = find_leaks(
        table,
        places,
        is_rare,
        kin,
        precision=model.average_precision.value if model else 0.0,
        importance=importance,
        seed=child_seed(seed, 3),
    )
    scored = None if boosted is None else (boosted[0].scores, boosted[1].y)
    return model, leaks, alone, scored


def lesson(label: str, rows: int, distinct: int, features: int) -> str:
    """What can be learned from so many rows of a class.

    Example:
        >>> lesson("ill", 9, 9, 4)
        "'ill' has 9 rows (9 distinct) and 4 usable features: one row is 11.11% of recall. With \
fewer than 10 rows no network is trained, and new rows are resampled from these."
    """
    size = f"{label!r} has {rows:,} rows ({distinct:,} distinct) and {features} usable features: "
    if rows < 2:
        return size + "one row is too few to learn from and to test on; collect more."
    size += f"one row is {1 / rows:.2%} of recall. "
    if rows < NETWORK_ROWS:
        return (
            f"{size}With fewer than {NETWORK_ROWS} rows no network is trained, and new rows are "
            f"resampled from these."
        )
    if rows < EARLY_STOP_ROWS:
        return (
            f"{size}A network can be trained, but with fewer than {EARLY_STOP_ROWS} rows none is "
            f"held out to stop its training early, so it may memorise rows."
        )
    return f"{size}That is enough to train a network and to hold rows out to stop it early."
