"""What synthetic rows of a class are worth to a classifier that is tested on real rows."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from synthgen.column import LEVELS, Column
from synthgen.device import RandomState, child_seed, seed_sequence
from synthgen.errors import UsageError
from synthgen.metrics.judges import (
    DEFAULT_JUDGES,
    GRIDS,
    check_judges,
    described,
    folds_of,
    learn,
    moved,
    out_of_fold,
    settings_for,
)
from synthgen.metrics.rows import Space
from synthgen.metrics.score import Better, Part, Score
from synthgen.metrics.told import Told, best_threshold, between, figures, ranking, recall_of
from synthgen.table import Schema, Table, class_position

# Rows to learn from and to test on, at most; of the class so many are always kept.
TRAIN_ROWS, TEST_ROWS, KEPT_ROWS, TUNE_ROWS = 20_000, 20_000, 2_000, 6_000
REPLICATES, FOLDS, REPEATS = 200, 3, 3
# Times that each judge learns from halves of its rows; draws of real rows that are as many, and of
# noise.
HALVES, DRAWS, NOISE = 8, 3, 4
FEWEST_FRESH, MOST_GROUPS, POINTS = 10, 8, 200

_BOUNDS: dict[str, tuple[float, float]] = {
    "mcc": (-1.0, 1.0),
    "log_loss": (0.0, np.inf),
    "calibration_slope": (-np.inf, np.inf),
    "ap_ratio": (0.0, np.inf),
    "ap_gain": (-1.0, 1.0),
}
_BETTER: dict[str, Better] = {
    "average_precision": "higher",
    "roc_auc": "higher",
    "balanced_accuracy": "higher",
    "recall": "higher",
    "recall_at_precision": "higher",
    "f1": "higher",
    "mcc": "higher",
    "brier": "lower",
    "log_loss": "lower",
    "calibration_slope": "reference",
}


def utility(
    train: Table,
    synthetic: Table,
    holdout: Table,
    *,
    label: Any,
    judges: Sequence[str] = DEFAULT_JUDGES,
    thorough: bool = False,
    by: Hashable | None = None,
    random_state: RandomState = 0,
) -> Part:
    """Train on synthetic rows, test on real ones; the class against all others.

    Three ways to use the rows, each beside the same judge trained on real rows only:

    - ``replace``: real rows of the other classes, synthetic ones of the class, no more than there
      are real ones; `reference` is the same with as many real rows of the class, `floor` with
      noise (each column drawn by itself from the real rows of the other classes).
    - ``augment``: all real and all synthetic rows; `reference` is all real rows and as many fresh
      ones of the class, or as there are (real rows alone where these are too few, which the note
      says), `floor` as much noise in the synthetic rows' place.
    - ``whole``: synthetic rows only, if they hold other classes too; `reference` is as many real
      rows, `floor` as many of noise.
    - ``fresh``, ``fresh_augment``: the control. Fresh rows take the place of the synthetic ones:
      those of the class in one half of the holdout, for a judge that is tested on the other half.
      So either half is told by a judge that has not seen it, and both are the test.

    Names are ``utility.replace.average_precision`` and so on: ``roc_auc``; ``recall_at_precision``
    (of 0.5); ``balanced_accuracy``, ``recall``, ``f1`` and ``mcc`` at the threshold of the best F1
    on real out-of-fold rows; ``brier``, ``log_loss`` and ``calibration_slope`` after correction to
    the share of the class in train (Saerens et al. 2002); ``ap_ratio`` and ``ap_gain``, average
    precision over and minus that of real rows (of ``augment``: of these alone), row by row on the
    same test. A calibration slope of 1 is best, below it probabilities are too sure. The test keeps
    the holdout's own shares of the classes. The reference of ``ap_ratio`` and ``ap_gain`` is that
    of the control, and by definition 1 and 0 where there is none, which the note says. Intervals
    hold the variance of the test (a bootstrap of its rows of each class, and of the out-of-fold
    rows that set the threshold) and that of training (judges that learn from halves of their rows).

    Args:
        train, synthetic, holdout: Rows of one schema, with the levels of all three.
        label: The class.
        judges: Of boosting, logistic, forest, mlp and xgboost; groups of the scores.
        thorough: Tune each judge once, on real rows by inner validation, then train it three times.
        by: Column whose values are looked at one by one: recall of each, and the gap. Not the
            target.
        random_state: Seed of subsamples, folds, judges and bootstrap.

    Raises:
        UsageError: A judge, the label or `by` is not known, or `by` is the target.

    Example:
        >>> import pandas as pd
        >>> rng = np.random.default_rng(0)
        >>> def drawn():
        ...     y = np.arange(300) % 3 == 0
        ...     frame = pd.DataFrame({"a": rng.normal(size=300) + 2 * y, "y": y})
        ...     return Table.of(frame, target="y")
        >>> part = utility(drawn(), drawn(), drawn(), label=True, judges=["logistic"])
        >>> next(s for s in part.scores if s.name == "utility.replace.ap_ratio").value.__round__(1)
        1.0
    """
    judges = check_judges(judges)
    position = class_position(train.schema.classes, label)
    name = str(train.schema.classes[position])
    seed = seed_sequence(random_state)
    rng = np.random.default_rng(child_seed(seed, 0))
    data = _Data.of(train, synthetic, holdout, position, rng)
    groups = {} if by is None else _groups(train, holdout, by, data)
    tested, made = int(data.y_test.sum()), len(data.made_rare)
    notes = [
        f"Tests hold {data.y_test.mean():.2%} of “{name}” ({tested:,} of {len(data.y_test):,} real "
        f"rows), as the holdout does; train holds {data.natural:.2%}. Average precision depends on "
        f"this share.",
        *data.notes,
    ]
    if not tested or tested == len(data.y_test) or not made or not len(data.rest):
        why = (
            f"{tested:,} test rows of {name} and {len(data.y_test) - tested:,} others, {made:,} "
            f"synthetic rows: utility needs each"
        )
        unknown = Score(
            "utility.replace.ap_ratio", judges[0], np.nan, 1.0, "higher", None, None, why
        )
        return Part([unknown], notes=notes)
    scores, used = [], {}
    curves: dict[str, dict[str, np.ndarray]] = {}
    for number, judge in enumerate(judges):
        trial = _Trial.of(data, judge, thorough, child_seed(seed, 1, number))
        scores += trial.scores(groups)
        curves |= trial.curves()
        used[judge] = described(judge, trial.settings if thorough else None)
        if thorough:
            notes.append(f"{judge} tuned on real rows: {trial.settings or 'its own settings'}")
    notes.append(
        f"Fresh real rows are those of {name} in one half of the test, learned from to be tested "
        f"on the other: each half is told by a judge that has not seen it."
        if data.has_fresh
        else f"no control with fresh real rows: {tested} test rows of {name} are too few to part"
    )
    if not data.has_whole:
        notes.append("the whole table is not tested: the synthetic rows are of one class")
    return Part(scores, curves, notes, used)


# --- rows in hand -------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Data:
    """Cells to learn from and to test on.

    Attributes:
        rare, rest: Real rows of the class and of the others.
        made_rare, made_rest: Synthetic ones.
        test, y_test: Real rows that nothing was learned from; their positions in the holdout are
            `test_rows`.
        half: Whether a test row is in the first of two halves; shape (test rows,).
        fresh: Real rows of the class in the second half, and in the first: for judges that are
            tested on the first half, and on the second.
        natural: Share of the class in train.
    """

    space: Space
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
    ) -> _Data:
        space = Space.of(train, with_target=False)
        cells = [space.cells(t) for t in (train, synthetic, holdout)]
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
                f"Judges learn from {len(rare):,} of {is_rare.sum():,} real rows of the class and "
                f"{len(rest):,} of {(~is_rare).sum():,} others, and from the same share of the "
                f"synthetic rows; probabilities are corrected to the shares in train."
            )
            made_rare = made_rare[: max(1, round(part * len(made_rare)))]
            made_rest = made_rest[: round(len(made_rest) * len(rest) / (~is_rare).sum())]
        elif len(synthetic) > 2 * TRAIN_ROWS:
            part = 2 * TRAIN_ROWS / len(synthetic)
            made_rare = made_rare[: max(1, round(part * len(made_rare)))]
            made_rest = made_rest[: round(part * len(made_rest))]
            notes.append(f"Judges learn from {part:.0%} of the synthetic rows.")
        rows = np.sort(rng.permutation(len(holdout))[:TEST_ROWS])
        if len(holdout) > TEST_ROWS:
            notes.append(f"{TEST_ROWS:,} of {len(holdout):,} holdout rows are the test.")
        half, test, y_test = folds_of(y_test[rows], 2, rng) == 1, cells[2][rows], y_test[rows]
        return cls(
            space,
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
        """Each column drawn by itself from the real rows of the other classes: a sample of all rows
        would tell something of the class, what sets it apart, diluted.
        """
        return np.column_stack([rng.choice(column, size=rows) for column in self.rest.T])

    @property
    def has_whole(self) -> bool:
        return len(self.made_rest) > 0

    @property
    def has_fresh(self) -> bool:
        return min(map(len, self.fresh)) >= FEWEST_FRESH


def column_of(schema: Schema, by: Hashable) -> Column:
    """The column whose values are looked at one by one.

    Raises:
        UsageError: There is no such column, or it is the target.
    """
    known = ", ".join(str(c.name) for c in schema.features)
    for column in schema.columns:
        if column.name != by and str(column.name) != str(by):
            continue
        if column.name == schema.target:
            raise UsageError(
                296,
                f"by {by!r} is the target: all rows of the class have one value there, so that "
                f"there is no group to set beside another; give one of {known}",
            )
        return column
    raise UsageError(296, f"by {by!r} is no column that can be compared: there are {known}")


def _groups(train: Table, holdout: Table, by: Hashable, data: _Data) -> dict[str, np.ndarray]:
    """The test rows of each value of a column, bool of shape (test rows,); numbers in quarters."""
    column = column_of(train.schema, by)
    series = holdout.frame[column.name]
    if column.kind in LEVELS:
        codes = column.codes(series)[data.test_rows]
        seen = np.bincount(codes[codes >= 0], minlength=len(column.categories))
        some = [k for k in np.argsort(-seen, kind="stable")[:MOST_GROUPS] if seen[k]]
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


class _Rows(NamedTuple):
    """What a judge learns from: places in the real rows of the class and of the others, and cells
    of synthetic ones.
    """

    rare: np.ndarray
    rest: np.ndarray
    made: np.ndarray
    made_rest: np.ndarray


class _Beside(NamedTuple):
    """The real rows that stand beside synthetic ones, by their name in `_Trial.told`.

    Attributes:
        rows: Those of the reference.
        real: Those that ratios are over: the same, but for fresh ones that were added.
        note: Of these rows.
        fresh: The rows of the control, in words, and `control` its scores.
    """

    rows: str
    real: str
    note: str = ""
    fresh: str = ""
    control: Sequence[Score] = ()

    def noted(self, alone: float) -> str:
        """The note of a figure, which is `alone` for `real`."""
        if self.rows == self.real:
            return self.note
        return f"real rows alone: {alone:.3f}; reference: {self.fresh}"


# --- one judge ----------------------------------------------------------------------------------


class _Sets(NamedTuple):
    """What a judge learns from, and is tested on.

    Attributes:
        draws: Of each set of rows, by name.
        tests: Of the sets that are not tested on all test rows.
        kept, whole: Synthetic rows in ``"replace"`` and ``"whole"``.
        few, added: Fresh rows in ``"fresh"`` and ``"fresh_augment"``.
    """

    draws: dict[str, list[_Rows]]
    tests: dict[str, np.ndarray]
    kept: int
    whole: int
    few: int
    added: int

    @classmethod
    def of(cls, data: _Data, rng: np.random.Generator) -> _Sets:
        made, made_rest = data.made_rare, data.made_rest
        none, nobody = made[:0], np.empty(0, dtype=np.int64)
        rare, rest = np.arange(len(data.rare)), np.arange(len(data.rest))
        kept, many = min(len(made), len(rare)), len(rare) + len(rest)

        def some(places: np.ndarray, size: int) -> list[np.ndarray]:
            draws = DRAWS if size < len(places) else 1
            return [rng.permutation(places)[:size] for _ in range(draws)]

        def noise(as_in: _Rows) -> list[_Rows]:
            """Some draws: by chance one may tell the classes apart in a table of few columns."""
            return [
                as_in._replace(
                    made=data.noise(rng, len(as_in.made)),
                    made_rest=data.noise(rng, len(as_in.made_rest)),
                )
                for _ in range(NOISE)
            ]

        sets = {
            "real": [_Rows(rare, rest, none, none)],
            "replace": [_Rows(nobody, rest, made[:kept], none)],
            "augment": [_Rows(rare, rest, made, made_rest)],
        }
        if kept < len(rare):
            sets["as many"] = [_Rows(part, rest, none, none) for part in some(rare, kept)]
        whole = min(len(made) + len(made_rest), many)
        if data.has_whole:
            of_rare = max(1, round(whole / (len(made) + len(made_rest)) * len(made)))
            of_rest = whole - of_rare
            sets["whole"] = [_Rows(nobody, nobody, made[:of_rare], made_rest[:of_rest])]
            if whole < many:
                of_rare = max(1, round(whole / many * len(rare)))
                parts = zip(some(rare, of_rare), some(rest, whole - of_rare), strict=False)
                sets["as much"] = [_Rows(*part, none, none) for part in parts]
        for name in ("replace", "augment", *(["whole"] if data.has_whole else [])):
            sets[f"{name} noise"] = noise(sets[name][0])
        tests: dict[str, np.ndarray] = {}
        least = min(map(len, data.fresh))
        few, added = min(least, kept), min(least, len(made))
        if data.has_fresh:
            if few < kept:
                sets["few"] = [_Rows(part, rest, none, none) for part in some(rare, few)]
            for k, (half, rows) in enumerate(zip((data.half, ~data.half), data.fresh, strict=True)):
                tests[f"fresh {k}"] = tests[f"fresh_augment {k}"] = data.test[half]
                sets[f"fresh {k}"] = [_Rows(nobody, rest, rows[:few], none)]
                sets[f"fresh_augment {k}"] = [_Rows(rare, rest, rows[:added], none)]
        return cls(sets, tests, kept, whole, few, added)


@dataclass(frozen=True, eq=False)
class _Trial:
    """One judge and all sets of rows that it learned from.

    Attributes:
        settings: In the place of the judge's own.
        sets: What the judge learned from.
        told: What it says of the test rows, by the set.
        picks: How often each test row counts, for each sample of a bootstrap.
    """

    data: _Data
    judge: str
    settings: dict[str, Any]
    sets: _Sets
    told: dict[str, Told]
    picks: np.ndarray

    @classmethod
    def of(cls, data: _Data, judge: str, thorough: bool, seed: np.random.SeedSequence) -> _Trial:
        rng = np.random.default_rng(seed)
        rows = len(data.rare) + len(data.rest)
        settings = settings_for(judge, rows)
        settings |= _tuned(data, judge, settings, rng) if thorough else {}
        sets, told = _Sets.of(data, rng), {}
        for name, draws in sets.draws.items():
            if thorough:
                draws = [draws[k % len(draws)] for k in range(REPEATS)]
            thresholds = 1 + REPLICATES if name in ("replace", "augment", "whole") else 1
            if name in ("few", "fresh 0", "fresh 1"):
                thresholds = 0  # only how they rank rows is looked at
            test = sets.tests.get(name, data.test)
            told[name] = _tell(data, judge, settings, draws, test, thresholds, rng)
        firsts = {name: draws[0] for name, draws in sets.draws.items()}
        halves = _from_halves(data, judge, settings, firsts, sets.tests, rng)
        told = {name: replace(t, halves=halves.get(name, t.halves)) for name, t in told.items()}
        for name in ("fresh", "fresh_augment") if data.has_fresh else ():
            told[name] = Told.parted(told.pop(f"{name} 0"), told.pop(f"{name} 1"), data.half)
        picks = _resampled(data.y_test, rng, 1 + REPLICATES)[1:]
        return cls(data, judge, settings, sets, told, picks)

    def scores(self, groups: dict[str, np.ndarray]) -> list[Score]:
        made, as_many = len(self.data.made_rare), self._named("as many", "real")
        many = f"{self.sets.kept:,} rows of the class, as there are synthetic ones"
        replaced = _Beside(as_many, as_many, "" if as_many == "real" else many)
        augmented = _Beside("real", "real", "reference: real rows alone, as none are fresh")
        control: list[Score] = []
        if self.data.has_fresh:
            few, added = (
                f"{rows:,} fresh real rows{', as there are no more' if rows < wanted else ''}"
                for rows, wanted in ((self.sets.few, self.sets.kept), (self.sets.added, made))
            )
            beside = self._named("few", as_many)
            control = self._compared("fresh", _Beside(beside, beside, few))
            control += self._compared("fresh_augment", _Beside("real", "real", added))
            replaced = replaced._replace(fresh=few, control=control[:2])
            with_fresh = {"fresh": f"train and {added}", "control": control[2:]}
            augmented = _Beside("fresh_augment", "real", **with_fresh)
        out = self._of("replace", replaced) + self._of("augment", augmented)
        if self.data.has_whole:
            as_much = self._named("as much", "real")
            out += self._of("whole", _Beside(as_much, as_much, f"{self.sets.whole:,} rows"))
        out += control
        return out + self._by("replace", replaced, groups) + self._by("augment", augmented, groups)

    def _named(self, rows: str, other: str) -> str:
        return rows if rows in self.told else other

    @cached_property
    def _precision(self) -> dict[str, tuple[float, np.ndarray, np.ndarray]]:
        """Average precision on the test, on the samples of it, and of judges that learned from
        halves.
        """
        y = self.data.y_test
        ones = np.ones((1, len(y)), dtype=np.float32)
        return {
            name: (
                float(ranking(y, told, ones)[0][0]),
                ranking(y, told, self.picks)[0],
                np.array(
                    [ranking(y, told.of_half(k), ones)[0][0] for k in range(len(told.halves))]
                ),
            )
            for name, told in self.told.items()
            if not name.endswith("noise")
        }

    def _of(self, name: str, beside: _Beside) -> list[Score]:
        y, told, noise = self.data.y_test, self.told[name], self.told[f"{name} noise"]
        ones = np.ones((1, len(y)), dtype=np.float32)
        value, reference, alone, floor = (
            figures(y, t, ones)
            for t in (told, self.told[beside.rows], self.told[beside.real], noise)
        )
        again = figures(y, told, self.picks)
        halves = [figures(y, told.of_half(k), ones) for k in range(len(told.halves))]
        out = self._compared(name, beside)
        for figure, better in _BETTER.items():
            one = float(value[figure][0])
            interval = between(
                one,
                again[figure],
                np.array([half[figure][0] for half in halves]),
                _BOUNDS.get(figure, (0.0, 1.0)),
                rows=int(y.sum()),
                share=figure in ("recall", "recall_at_precision"),
            )
            # Noise calls nearly all rows alarms, and so finds those of the class.
            bottom = None if figure == "recall" else float(floor[figure][0])
            given = float(reference[figure][0]), better, interval, bottom
            note = beside.noted(float(alone[figure][0]))
            out.append(Score(f"utility.{name}.{figure}", self.judge, one, *given, note))
        return out

    def _compared(self, name: str, beside: _Beside) -> list[Score]:
        """Average precision over, and minus, that of real rows, on the same test rows."""
        y, noise = self.data.y_test, self.told.get(f"{name} noise")
        ones = np.ones((1, len(y)), dtype=np.float32)
        bottom = None if noise is None else float(ranking(y, noise, ones)[0][0])
        pair = (self._precision[name], self._precision[beside.real])
        (one, two), again, halves = zip(*pair, strict=True)
        out = []
        for place, (figure, base, compare) in enumerate(
            (("ap_ratio", 1.0, _ratio), ("ap_gain", 0.0, np.subtract))
        ):
            value = float(compare(one, two))
            interval = between(
                value, compare(*again), compare(*halves), _BOUNDS[figure], rows=int(y.sum())
            )
            reference, why = base, f"that of real rows is {base:.0f} by definition"
            if beside.control:
                reference, why = beside.control[place].value, f"reference: {beside.fresh}"
            floor = None if bottom is None else float(compare(bottom, two))
            said = f"{beside.note}; {why}" if beside.note else why
            given = (value, reference, "higher", interval, floor, said)
            out.append(Score(f"utility.{name}.{figure}", self.judge, *given))
        return out

    def _by(self, name: str, beside: _Beside, groups: dict[str, np.ndarray]) -> list[Score]:
        """Recall of each group, and the gap between the best and the worst of them."""
        y, told, out = self.data.y_test, self.told[name], []
        ones = np.ones((1, len(y)), dtype=np.float32)
        halves = [told.of_half(k) for k in range(len(told.halves))]
        known: list[list[np.ndarray]] = []

        def add(
            figure: str, group: str, found: list[np.ndarray], better: Better, rows: int, note: str
        ) -> None:
            value, reference, alone = (float(one[0]) for one in found[:3])
            again, learned = found[3:]
            bounds, share = (0.0, 1.0), figure == "recall"
            interval = between(value, again, learned, bounds, rows=rows, share=share)
            said = "; ".join(filter(None, (note, beside.noted(alone))))
            given = value, reference, better, interval, None, said
            out.append(Score(f"utility.{name}.{figure}", group, *given))

        for group, rows in groups.items():
            held = int((y & rows).sum())
            if not held:
                continue
            found = [
                recall_of(y & rows, t, w)
                for t, w in (
                    (told, ones),
                    (self.told[beside.rows], ones),
                    (self.told[beside.real], ones),
                    (told, self.picks),
                )
            ]
            found.append(np.array([recall_of(y & rows, half, ones)[0] for half in halves]))
            note = f"{held:,} test rows of the class"
            add("recall", f"{self.judge}: {group}", found, "higher", held, note)
            if held >= FEWEST_FRESH:
                known.append(found)
        if len(known) > 1:
            gaps = [np.ptp(part, axis=0) for part in zip(*known, strict=True)]
            note = f"between groups with {FEWEST_FRESH} rows of the class or more"
            add("recall_gap", self.judge, gaps, "lower", int(y.sum()), note)
        return out

    def curves(self) -> dict[str, dict[str, np.ndarray]]:
        y, out = self.data.y_test, {}
        for name in ("real", "replace", "augment", "whole"):
            if name not in self.told:
                continue
            p = self.told[name].p[0]
            order = np.argsort(-p, kind="stable")
            ends = np.flatnonzero(np.diff(p[order], append=-np.inf))
            hits, alarms = np.cumsum(y[order])[ends], np.cumsum(~y[order])[ends]
            some = np.unique(np.linspace(0, len(ends) - 1, POINTS).round().astype(int))
            hits, alarms = hits[some], alarms[some]
            out[f"roc {self.judge} {name}"] = {
                "x": np.append(0.0, alarms / (~y).sum()),
                "y": np.append(0.0, hits / y.sum()),
            }
            out[f"pr {self.judge} {name}"] = {"x": hits / y.sum(), "y": hits / (hits + alarms)}
            parts = [part for part in np.array_split(order[::-1], 10) if len(part)]
            out[f"calibration {self.judge} {name}"] = {
                "x": np.array([p[part].mean() for part in parts]),
                "y": np.array([y[part].mean() for part in parts]),
            }
        return out


def _tuned(
    data: _Data, judge: str, usual: dict[str, Any], rng: np.random.Generator
) -> dict[str, Any]:
    """What changes the usual settings to those of the best average precision on real rows, out of
    fold.
    """
    part = min(1.0, TUNE_ROWS / (len(data.rare) + len(data.rest)))
    rare = data.rare[: max(FOLDS, round(part * len(data.rare)))]
    rest = data.rest[: max(FOLDS, round(part * len(data.rest)))]
    cells, y = np.vstack([rare, rest]), np.repeat([True, False], [len(rare), len(rest)])
    seed, best, found = int(rng.integers(2**31)), -1.0, {}
    for settings in GRIDS[judge]:
        same = np.random.default_rng(seed)
        folds = folds_of(y, FOLDS, same)
        given = {"folds": folds, "rng": same, "settings": usual | settings}
        told = out_of_fold(judge, data.space, cells, y, **given)
        ones = np.ones((1, len(y)), dtype=np.float32)
        value = float(ranking(y, Told(told[None], np.empty((0, 1))), ones)[0][0])
        if value > best:
            best, found = value, settings
    return found


def _ratio(one: Any, two: Any) -> Any:
    return one / np.maximum(two, 1e-12)


def _tell(
    data: _Data,
    judge: str,
    settings: dict[str, Any],
    draws: list[_Rows],
    test: np.ndarray,
    thresholds: int,
    rng: np.random.Generator,
) -> Told:
    """What a judge says of `test` that learned from these rows; as often as there are draws of
    them. Of its thresholds the first is that of all real rows, any others those of a bootstrap.
    """
    judged = [_learned(data, judge, settings, rows, rng) for rows in draws]
    p = np.array([told(test) for told in judged])
    if not thresholds:
        return Told(p, np.empty((0, 1)))
    # Real rows whose probability comes from a judge that has not seen them. Where there are several
    # draws of the rows, each fold has the judge of another one.
    real = np.vstack([data.rare, data.rest])
    y = np.repeat([True, False], [len(data.rare), len(data.rest)])
    of_rare, of_rest = (rng.permutation(n) % FOLDS for n in (len(data.rare), len(data.rest)))
    fold, told = np.concatenate([of_rare, of_rest]), np.empty(len(y))
    for k in range(FOLDS):
        rows, seen = draws[k % len(draws)], judged[k % len(draws)]
        if len(rows.rare) or len(rows.rest):
            part = rows._replace(
                rare=rows.rare[of_rare[rows.rare] != k], rest=rows.rest[of_rest[rows.rest] != k]
            )
            seen = _learned(data, judge, settings, part, rng)
        told[fold == k] = seen(real[fold == k])
    # Where rows were left out, the others stand for them.
    share = len(data.rare) / len(y)
    weight = np.where(y, data.natural / share, (1 - data.natural) / (1 - share))
    found = best_threshold(y, told, weight * _resampled(y, rng, thresholds))
    return Told(p, found[:, None])


def _from_halves(
    data: _Data,
    judge: str,
    settings: dict[str, Any],
    sets: dict[str, _Rows],
    tests: dict[str, np.ndarray],
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Of each set but noise, what judges say that learned from the same halves of its rows, of
    shape (halves, test rows); the test of some sets is in `tests`.
    """
    out: dict[str, list[np.ndarray]] = {n: [] for n in sets if not n.endswith("noise")}
    for seeds in rng.integers(2**31, size=(HALVES, len(_Rows._fields))):
        for name, said in out.items():
            parts = zip(sets[name], seeds, strict=True)
            half = (np.random.default_rng(s).permutation(p)[: -(-len(p) // 2)] for p, s in parts)
            said.append(
                _learned(data, judge, settings, _Rows(*half), rng)(tests.get(name, data.test))
            )
    return {name: np.array(said) for name, said in out.items()}


def _learned(
    data: _Data,
    judge: str,
    settings: dict[str, Any],
    rows: _Rows,
    rng: np.random.Generator,
) -> Callable[[np.ndarray], np.ndarray]:
    cells = np.vstack([data.rare[rows.rare], rows.made, data.rest[rows.rest], rows.made_rest])
    y = np.arange(len(cells)) < len(rows.rare) + len(rows.made)
    order, seed = rng.permutation(len(y)), int(rng.integers(2**31))
    told = learn(judge, data.space, cells[order], y[order], seed=seed, settings=settings)
    seen = float(y.mean())
    return lambda other: moved(told(other), seen, data.natural)


def _resampled(y: np.ndarray, rng: np.random.Generator, samples: int) -> np.ndarray:
    """How often each row counts: once, and then in samples of each class with replacement; float32
    of shape (samples, rows).
    """
    out = np.zeros((samples, len(y)), dtype=np.float32)
    out[0] = 1
    for side in (np.flatnonzero(y), np.flatnonzero(~y)):
        if len(side):
            for pick in out[1:]:
                pick[side] = np.bincount(
                    rng.integers(len(side), size=len(side)), minlength=len(side)
                )
    return out
