"""The rows of the utility part: subsamples, sets to learn from, groups of the test."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from synthgen.encoding.disclosure import PRIVATE_ROWS
from synthgen.encoding.matrix import Matrix
from synthgen.errors import UsageError
from synthgen.model_selection.folds import folds_of
from synthgen.tables.column import LEVELS, Column
from synthgen.tables.schema import Schema
from synthgen.tables.table import Table

# Largest numbers of training rows, of test rows, of rows of the class that a subsample always
# keeps, and of rows for tuning.
TRAIN_ROWS = 20000
TEST_ROWS = 20000
KEPT_ROWS = 2000
TUNE_ROWS = 6000
FOLDS = 3
REPEATS = 3
# Numbers of half-samples that each classifier is trained on, of draws of real rows, and of noise.
HALVES = 8
DRAWS = 3
NOISE = 4
FEWEST_FRESH = 10
MOST_GROUPS = 8


# --- all rows -------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class UtilityData:
    """Cells of the rows to train on and to test on.

    Attributes:
        matrix: Converts cells to the numbers that a classifier needs.
        rare, rest: Real rows of the class and of the others.
        made_rare, made_rest: Synthetic rows of the class and of the others.
        test, y_test: Rows of the holdout, and whether they are of the class.
        test_rows: Positions of the test rows in the holdout.
        half: Whether a test row is in the first of two halves; shape (test rows,).
        fresh: Fresh rows for two classifiers: the test rows of the class in the second half, for
            the one tested on the first half; and those in the first half, for the other.
        natural: Share of the class in train.
        notes: Notes about subsamples.
    """

    matrix: Matrix
    rare: np.ndarray
    rest: np.ndarray
    made_rare: np.ndarray
    made_rest: np.ndarray
    test: np.ndarray
    y_test: np.ndarray
    test_rows: np.ndarray
    half: np.ndarray
    fresh: tuple[np.ndarray, np.ndarray]
    natural: float
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        train: Table,
        synthetic: Table,
        holdout: Table,
        position: int,
        rng: np.random.Generator,
    ) -> UtilityData:
        matrix = Matrix.fitted_on(train, with_target=False)
        cells = [matrix.cells(t) for t in (train, synthetic, holdout)]
        is_rare, made_is, y_test = (t.labels == position for t in (train, synthetic, holdout))
        natural, notes = float(is_rare.mean()), []
        rare, rest = rng.permutation(cells[0][is_rare]), rng.permutation(cells[0][~is_rare])
        made_rare = rng.permutation(cells[1][made_is])
        made_rest = rng.permutation(cells[1][~made_is])
        if len(train) > TRAIN_ROWS:
            of_rare = max(round(TRAIN_ROWS * natural), min(len(rare), KEPT_ROWS))
            part = of_rare / len(rare)
            rare, rest = rare[:of_rare], rest[: TRAIN_ROWS - of_rare]
            notes.append(
                f"Classifiers are trained on {len(rare):,} of {is_rare.sum():,} real rows of the "
                f"class, {len(rest):,} of {(~is_rare).sum():,} other rows, and the same share of "
                f"the synthetic rows; probabilities are corrected to the class shares in train."
            )
            made_rare = made_rare[: max(1, round(part * len(made_rare)))]
            made_rest = made_rest[: round(len(made_rest) * len(rest) / (~is_rare).sum())]
        elif len(synthetic) > 2 * TRAIN_ROWS:
            part = 2 * TRAIN_ROWS / len(synthetic)
            made_rare = made_rare[: max(1, round(part * len(made_rare)))]
            made_rest = made_rest[: round(part * len(made_rest))]
            notes.append(f"Classifiers are trained on {part:.0%} of the synthetic rows.")
        rows = np.sort(rng.permutation(len(holdout))[:TEST_ROWS])
        if len(holdout) > TEST_ROWS:
            notes.append(f"Classifiers are tested on {TEST_ROWS:,} of {len(holdout):,} rows.")
        half, test, y_test = folds_of(y_test[rows], 2, rng) == 1, cells[2][rows], y_test[rows]
        return cls(
            matrix,
            rare,
            rest,
            made_rare,
            made_rest,
            test,
            y_test,
            rows,
            half,
            (rng.permutation(test[y_test & ~half]), rng.permutation(test[y_test & half])),
            natural,
            notes,
        )

    def noise(self, rng: np.random.Generator, rows: int) -> np.ndarray:
        """Make rows of noise: each column is drawn independently from rows of the other classes."""
        return np.column_stack([rng.choice(column, size=rows) for column in self.rest.T])

    @property
    def has_whole(self) -> bool:
        return len(self.made_rest) > 0

    @property
    def has_fresh(self) -> bool:
        return min(map(len, self.fresh)) >= FEWEST_FRESH


def column_of(schema: Schema, by: Hashable) -> Column:
    """Find the column that `by` names."""
    known = ", ".join(str(c.name) for c in schema.features)
    for column in schema.columns:
        if column.name != by and str(column.name) != str(by):
            continue
        if column.name == schema.target:
            raise UsageError(
                296,
                f"by {by!r} is the target: all rows of the class have the same value there, so "
                f"there are no groups to compare; give one of {known}",
            )
        return column
    raise UsageError(296, f"by {by!r} is not a column that can be compared: use one of {known}")


def groups_by(
    train: Table, holdout: Table, by: Hashable, data: UtilityData
) -> dict[str, np.ndarray]:
    """Mark test rows of each value of a column; numbers are binned at the quartiles of train."""
    column = column_of(train.schema, by)
    series = holdout.frame[column.name]
    if column.kind in LEVELS:
        codes = column.codes(series)[data.test_rows]
        seen = np.bincount(codes[codes >= 0], minlength=len(column.categories))
        # As in model files, no value is named that fewer rows hold.
        some = [
            k for k in np.argsort(-seen, kind="stable")[:MOST_GROUPS] if seen[k] >= PRIVATE_ROWS
        ]
        return {f"{column.name}={column.categories[k]}": codes == k for k in some}
    values, gone = column.numbers(series)
    values, gone = values[data.test_rows], gone[data.test_rows]
    known, absent = column.numbers(train.frame[column.name])
    cuts = np.unique(np.quantile(known[~absent].astype(float), [0.25, 0.5, 0.75], method="lower"))
    place = np.searchsorted(cuts, values.astype(float))
    shown = [str(v) for v in column.restore(cuts.astype(known.dtype))]
    names = [f"{column.name}<={shown[0]}"]
    names += [f"{a}<{column.name}<={b}" for a, b in pairwise(shown)]
    names += [f"{column.name}>{shown[-1]}"]
    parts = {name: (place == k) & ~gone for k, name in enumerate(names)}
    return {name: rows for name, rows in parts.items() if rows.any()}


class TrainingRows(NamedTuple):
    """Rows that a classifier is trained on.

    Attributes:
        rare, rest: Positions of real rows of the class and of the others.
        made, made_rest: Cells of synthetic rows of the class and of the others.
    """

    rare: np.ndarray
    rest: np.ndarray
    made: np.ndarray
    made_rest: np.ndarray


# --- training sets --------------------------------------------------------------------------------


class TrainingSets(NamedTuple):
    """The sets of rows that a classifier is trained on, see `synthgen.metrics.utility`.

    Attributes:
        draws: One or several draws of each set, by name.
        tests: Cells of the test rows, for the sets that are tested on half of the test rows.
        kept, whole: Number of synthetic rows in ``"replace"`` and ``"whole"``.
        few, added: Number of fresh rows in ``"fresh"`` and ``"fresh_augment"``.
    """

    draws: dict[str, list[TrainingRows]]
    tests: dict[str, np.ndarray]
    kept: int
    whole: int
    few: int
    added: int

    @classmethod
    def of(cls, data: UtilityData, rng: np.random.Generator) -> TrainingSets:
        made, made_rest = data.made_rare, data.made_rest
        none, nobody = made[:0], np.empty(0, dtype=np.int64)
        rare, rest = np.arange(len(data.rare)), np.arange(len(data.rest))
        kept, many = min(len(made), len(rare)), len(rare) + len(rest)

        def some(places: np.ndarray, size: int) -> list[np.ndarray]:
            draws = DRAWS if size < len(places) else 1
            return [rng.permutation(places)[:size] for _ in range(draws)]

        def noise(as_in: TrainingRows) -> list[TrainingRows]:
            """Make several draws, since one of few columns may separate the classes by chance."""
            return [
                as_in._replace(
                    made=data.noise(rng, len(as_in.made)),
                    made_rest=data.noise(rng, len(as_in.made_rest)),
                )
                for _ in range(NOISE)
            ]

        sets = {
            "real": [TrainingRows(rare, rest, none, none)],
            "replace": [TrainingRows(nobody, rest, made[:kept], none)],
            "augment": [TrainingRows(rare, rest, made, made_rest)],
        }
        if kept < len(rare):
            sets["as many"] = [TrainingRows(part, rest, none, none) for part in some(rare, kept)]
        whole = min(len(made) + len(made_rest), many)
        if data.has_whole:
            of_rare = max(1, round(whole / (len(made) + len(made_rest)) * len(made)))
            of_rest = whole - of_rare
            sets["whole"] = [TrainingRows(nobody, nobody, made[:of_rare], made_rest[:of_rest])]
            if whole < many:
                of_rare = max(1, round(whole / many * len(rare)))
                parts = zip(some(rare, of_rare), some(rest, whole - of_rare), strict=False)
                sets["as much"] = [TrainingRows(*part, none, none) for part in parts]
        for name in ("replace", "augment", *(["whole"] if data.has_whole else [])):
            sets[f"{name} noise"] = noise(sets[name][0])
        tests: dict[str, np.ndarray] = {}
        least = min(map(len, data.fresh))
        few, added = min(least, kept), min(least, len(made))
        if data.has_fresh:
            if few < kept:
                sets["few"] = [TrainingRows(part, rest, none, none) for part in some(rare, few)]
            for k, (half, rows) in enumerate(zip((data.half, ~data.half), data.fresh, strict=True)):
                tests[f"fresh {k}"] = tests[f"fresh_augment {k}"] = data.test[half]
                sets[f"fresh {k}"] = [TrainingRows(nobody, rest, rows[:few], none)]
                sets[f"fresh_augment {k}"] = [TrainingRows(rare, rest, rows[:added], none)]
        return cls(sets, tests, kept, whole, few, added)
