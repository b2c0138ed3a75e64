"""What synthetic rows of a class are worth to a classifier that is tested on real rows."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from synthgen.column import LEVELS
from synthgen.device import RandomState, child_seed, seed_sequence
from synthgen.errors import UsageError
from synthgen.metrics.judges import (
    DEFAULT_JUDGES,
    GRIDS,
    check_judges,
    folds_of,
    learn,
    moved,
    out_of_fold,
)
from synthgen.metrics.rows import Space
from synthgen.metrics.score import Better, Part, Score
from synthgen.metrics.told import Told, best_threshold, between, figures, ranking, recall_of
from synthgen.table import Table, class_position

# Rows to learn from and to test on, at most; of the class so many are always kept.
TRAIN_ROWS, TEST_ROWS, KEPT_ROWS, TUNE_ROWS = 20_000, 20_000, 2_000, 6_000
REPLICATES, FOLDS, REPEATS = 200, 3, 3
FEWEST_FRESH, MOST_GROUPS, POINTS = 10, 8, 200

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
    - ``augment``: all real and all synthetic rows; `reference` is real rows only.
    - ``whole``: synthetic rows only, if they hold other classes too; `reference` is as many real
      rows.
    - ``fresh``, ``fresh_augment``: the control. Rows of the class from one half of the holdout take
      the place of the synthetic ones, the other half is the test.

    Names are ``utility.replace.average_precision`` and so on: ``roc_auc``; ``recall_at_precision``
    (of 0.5); ``balanced_accuracy``, ``recall``, ``f1`` and ``mcc`` at the threshold of the best F1
    on real out-of-fold rows; ``brier``, ``log_loss`` and ``calibration_slope`` after correction to
    the share of the class in train (Saerens et al. 2002); ``ap_ratio`` and ``ap_gain``, average
    precision over and minus that of the reference, row by row on the same test. A calibration
    slope of 1 is best, below it probabilities are too sure. The test keeps the holdout's own shares
    of the classes. Intervals: a bootstrap of the test rows of each class, and of the out-of-fold
    rows that set the threshold, which does not train again.

    Args:
        train, synthetic, holdout: Rows of one schema, with the levels of all three.
        label: The class.
        judges: Of boosting, logistic, forest, mlp and xgboost; groups of the scores.
        thorough: Tune each judge once, on real rows by inner validation, then train it three times.
        by: Column whose values are looked at one by one: recall of each, and the gap.
        random_state: Seed of subsamples, folds, judges and bootstrap.

    Raises:
        UsageError: A judge, the label or `by` is not known.

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
        f"Tests hold {data.y_test.mean():.2%} {name} ({tested:,} of {len(data.y_test):,} real "
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
    scores: list[Score] = []
    curves: dict[str, dict[str, np.ndarray]] = {}
    for number, judge in enumerate(judges):
        trial = _Trial.of(data, judge, thorough, child_seed(seed, 1, number))
        scores += trial.scores(groups)
        curves |= trial.curves()
        if thorough:
            notes.append(f"{judge} tuned on real rows: {trial.settings or 'its own settings'}")
    if not data.has_fresh:
        notes.append(
            f"no control with fresh real rows: {tested} test rows of {name} are too few to part"
        )
    if not data.has_whole:
        notes.append("the whole table is not tested: the synthetic rows are of one class")
    return Part(scores, curves, notes)


# --- rows in hand -------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Data:
    """Cells to learn from and to test on.

    Attributes:
        rare, rest: Real rows of the class and of the others.
        made_rare, made_rest: Synthetic ones.
        test, y_test: Real rows that nothing was learned from; their positions in the holdout are
            `test_rows`.
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
    noise: np.ndarray
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
        # A sample of all rows would tell something of the class: what sets it apart, diluted.
        noise = [rng.choice(c, size=len(rare)) for c in rest.T] if len(rest) else [rare]
        half = folds_of(y_test[rows], 2, rng) == 1
        return cls(
            space,
            rare,
            rest,
            made_rare,
            made_rest,
            cells[2][rows],
            y_test[rows],
            rows,
            half,
            np.column_stack(noise),
            natural,
            notes,
        )

    @property
    def has_whole(self) -> bool:
        return len(self.made_rest) > 0

    @property
    def fresh(self) -> np.ndarray:
        """Real rows of the class from the half of the holdout that is no test then."""
        return self.test[self.y_test & ~self.half]

    @property
    def has_fresh(self) -> bool:
        return len(self.fresh) >= FEWEST_FRESH


def _groups(train: Table, holdout: Table, by: Hashable, data: _Data) -> dict[str, np.ndarray]:
    """The test rows of each value of a column, bool of shape (test rows,); numbers in quarters."""
    same = [c for c in train.schema.columns if c.name == by or str(c.name) == str(by)]
    if not same:
        known = ", ".join(str(c.name) for c in train.schema.columns)
        raise UsageError(296, f"by {by!r} is no column that can be compared: there are {known}")
    column = same[0]
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


# --- one judge ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Trial:
    """One judge and all sets of rows that it learned from."""

    data: _Data
    judge: str
    settings: dict[str, Any]
    told: dict[str, Told]
    picks: np.ndarray
    kept: int
    whole: int

    @classmethod
    def of(cls, data: _Data, judge: str, thorough: bool, seed: np.random.SeedSequence) -> _Trial:
        rng = np.random.default_rng(seed)
        settings = _tuned(data, judge, rng) if thorough else {}
        empty = data.rare[:0]
        kept = min(len(data.made_rare), len(data.rare))
        sets = {
            "real": (data.rare, data.rest, empty, empty),
            "replace": (empty, data.rest, data.made_rare[:kept], empty),
            "augment": (data.rare, data.rest, data.made_rare, data.made_rest),
        }
        if kept < len(data.rare):
            sets["as many"] = (data.rare[:kept], data.rest, empty, empty)
        whole = min(len(data.made_rare) + len(data.made_rest), len(data.rare) + len(data.rest))
        if data.has_whole:
            made = len(data.made_rare) + len(data.made_rest)
            part = whole / made
            of_rare = max(1, round(part * len(data.made_rare)))
            rows = (data.made_rare[:of_rare], data.made_rest[: whole - of_rare])
            sets["whole"] = (empty, empty, *rows)
            if whole < len(data.rare) + len(data.rest):
                part = whole / (len(data.rare) + len(data.rest))
                of_rare = max(1, round(part * len(data.rare)))
                sets["as much"] = (data.rare[:of_rare], data.rest[: whole - of_rare], empty, empty)
        plain = {"noise": (empty, data.rest, data.noise[:kept], empty)}
        if data.has_fresh:
            few = min(len(data.fresh), len(data.rare))
            plain["fresh"] = (empty, data.rest, data.fresh[:few], empty)
            plain["few"] = (data.rare[:few], data.rest, empty, empty)
            plain["fresh_augment"] = (
                data.rare,
                data.rest,
                data.fresh[: len(data.made_rare)],
                empty,
            )
        told = {
            name: _tell(data, judge, settings, rows, name in sets, thorough, rng)
            for name, rows in (sets | plain).items()
        }
        picks = _resampled(data.y_test, rng)[1:]
        return cls(data, judge, settings, told, picks, kept, whole)

    def scores(self, groups: dict[str, np.ndarray]) -> list[Score]:
        data, told = self.data, self.told
        as_many = told.get("as many", told["real"])
        out = self._of("replace", told["replace"], as_many, told["noise"])
        out += self._of("augment", told["augment"], told["real"], None)
        if data.has_whole:
            out += self._of("whole", told["whole"], told.get("as much", told["real"]), None)
        if data.has_fresh:
            half = data.half
            few = min(len(data.fresh), len(data.rare))
            for name, beside, rows in (
                ("fresh", told["few"], few),
                ("fresh_augment", told["real"], min(len(data.fresh), len(data.made_rare))),
            ):
                note = f"{rows:,} real rows of the class that are not in train, half of the test"
                pair = (told[name].where(half), beside.where(half))
                out += self._compared(name, *pair, data.y_test[half], self.picks[:, half], note)
        for name, found in (("replace", told["replace"]), ("augment", told["augment"])):
            beside = as_many if name == "replace" else told["real"]
            out += self._by(name, found, beside, groups)
        return out

    def _of(self, name: str, told: Told, beside: Told, noise: Told | None) -> list[Score]:
        y, ones = self.data.y_test, np.ones((1, len(self.data.y_test)), dtype=np.float32)
        value, reference = figures(y, told, ones), figures(y, beside, ones)
        again = figures(y, told, self.picks)
        floor = {} if noise is None else figures(y, noise, ones)
        note = ""
        if name == "replace" and "as many" in self.told:
            note = f"{self.kept:,} rows of the class, as there are synthetic ones"
        if name == "whole":
            note = f"{self.whole:,} rows"
        base = float(self.data.y_test.mean())
        bottoms = {"average_precision": base, "roc_auc": 0.5}
        out = self._compared(name, told, beside, y, self.picks, note, noise)
        for figure, better in _BETTER.items():
            bottom = floor.get(figure, np.array([bottoms.get(figure, np.nan)]))
            low, high = between(again[figure], float(value[figure][0]))
            out.append(
                Score(
                    f"utility.{name}.{figure}",
                    self.judge,
                    float(value[figure][0]),
                    float(reference[figure][0]),
                    better,
                    (low, high),
                    None if np.isnan(bottom[0]) else float(bottom[0]),
                    note,
                )
            )
        return out

    def _compared(
        self,
        name: str,
        told: Told,
        beside: Told,
        y: np.ndarray,
        picks: np.ndarray,
        note: str,
        noise: Told | None = None,
    ) -> list[Score]:
        """Average precision over, and minus, that of the reference, on the same test rows."""
        ones = np.ones((1, len(y)), dtype=np.float32)
        one, two = (float(ranking(y, t, ones)[0][0]) for t in (told, beside))
        # The half of a test may be drawn without a row of one class.
        picks = picks[(picks[:, y].sum(axis=1) > 0) & (picks[:, ~y].sum(axis=1) > 0)]
        ones_again, twos_again = (ranking(y, t, picks)[0] for t in (told, beside))
        bottom = None if noise is None else float(ranking(y, noise, ones)[0][0])
        ratio, gain = one / max(two, 1e-12), one - two
        return [
            Score(
                f"utility.{name}.ap_ratio",
                self.judge,
                ratio,
                1.0,
                "higher",
                between(ones_again / np.maximum(twos_again, 1e-12), ratio),
                None if bottom is None else bottom / max(two, 1e-12),
                note,
            ),
            Score(
                f"utility.{name}.ap_gain",
                self.judge,
                gain,
                0.0,
                "higher",
                between(ones_again - twos_again, gain),
                None if bottom is None else bottom - two,
                note,
            ),
        ]

    def _by(
        self, name: str, told: Told, beside: Told, groups: dict[str, np.ndarray]
    ) -> list[Score]:
        """Recall of each group, and the gap between the best and the worst of them."""
        y, out = self.data.y_test, []
        ones = np.ones((1, len(y)), dtype=np.float32)
        values, references, again = [], [], []
        for group, rows in groups.items():
            if not (y & rows).any():
                continue
            value, reference, reps = (
                recall_of(y & rows, t, w)
                for t, w in ((told, ones), (beside, ones), (told, self.picks))
            )
            out.append(
                Score(
                    f"utility.{name}.recall",
                    f"{self.judge}: {group}",
                    float(value[0]),
                    float(reference[0]),
                    "higher",
                    between(reps[~np.isnan(reps)], float(value[0])),
                    None,
                    f"{int((y & rows).sum()):,} rows of the class",
                )
            )
            if (y & rows).sum() >= FEWEST_FRESH:
                values.append(value)
                references.append(reference)
                again.append(reps)
        if len(values) > 1:
            gap, beside_gap, reps = (np.ptp(part, axis=0) for part in (values, references, again))
            out.append(
                Score(
                    f"utility.{name}.recall_gap",
                    self.judge,
                    float(gap[0]),
                    float(beside_gap[0]),
                    "lower",
                    between(reps[~np.isnan(reps)], float(gap[0])),
                    None,
                    f"between groups with {FEWEST_FRESH} rows of the class or more",
                )
            )
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


def _tuned(data: _Data, judge: str, rng: np.random.Generator) -> dict[str, Any]:
    """The settings of the best average precision on real rows, out of fold."""
    part = min(1.0, TUNE_ROWS / (len(data.rare) + len(data.rest)))
    rare = data.rare[: max(FOLDS, round(part * len(data.rare)))]
    rest = data.rest[: max(FOLDS, round(part * len(data.rest)))]
    cells, y = np.vstack([rare, rest]), np.repeat([True, False], [len(rare), len(rest)])
    seed, best, found = int(rng.integers(2**31)), -1.0, {}
    for settings in GRIDS[judge]:
        told = out_of_fold(
            judge,
            data.space,
            cells,
            y,
            folds=FOLDS,
            rng=np.random.default_rng(seed),
            settings=settings,
        )
        ones = np.ones((1, len(y)), dtype=np.float32)
        value = float(ranking(y, Told(told[None], np.empty(0)), ones)[0][0])
        if value > best:
            best, found = value, settings
    return found


def _tell(
    data: _Data,
    judge: str,
    settings: dict[str, Any],
    rows: tuple[np.ndarray, ...],
    decides: bool,
    thorough: bool,
    rng: np.random.Generator,
) -> Told:
    """Learn from real rows of the class and of the others, and from synthetic ones of both."""
    rare, rest, made, made_rest = rows
    probabilities, thresholds = [], []
    for _ in range(REPEATS if thorough else 1):
        probabilities.append(_learned(data, judge, settings, rows, rng)(data.test))
        if not decides:
            continue
        # Real rows whose probability comes from a judge that has not seen them.
        real = np.vstack([data.rare, data.rest])
        y = np.repeat([True, False], [len(data.rare), len(data.rest)])
        fold = np.concatenate(
            [rng.permutation(n) % FOLDS for n in (len(data.rare), len(data.rest))]
        )
        told = np.empty(len(y))
        if not len(rare) and not len(rest):
            told = _learned(data, judge, settings, rows, rng)(real)
        else:
            of_rare, of_rest = fold[: len(data.rare)], fold[len(data.rare) :]
            for k in range(FOLDS):
                part = (
                    rare[of_rare[: len(rare)] != k],
                    rest[of_rest[: len(rest)] != k],
                    made,
                    made_rest,
                )
                told[fold == k] = _learned(data, judge, settings, part, rng)(real[fold == k])
        # Where rows were left out, the others stand for them.
        share = len(data.rare) / len(y)
        weight = np.where(y, data.natural / share, (1 - data.natural) / (1 - share))
        thresholds.append(best_threshold(y, told, weight * _resampled(y, rng)))
    return Told(np.array(probabilities), np.array(thresholds))


def _learned(
    data: _Data,
    judge: str,
    settings: dict[str, Any],
    rows: tuple[np.ndarray, ...],
    rng: np.random.Generator,
) -> Callable[[np.ndarray], np.ndarray]:
    rare, rest, made, made_rest = rows
    cells = np.vstack([rare, made, rest, made_rest])
    y = np.arange(len(cells)) < len(rare) + len(made)
    order, seed = rng.permutation(len(y)), int(rng.integers(2**31))
    told = learn(judge, data.space, cells[order], y[order], seed=seed, settings=settings)
    seen = float(y.mean())
    return lambda other: moved(told(other), seen, data.natural)


def _resampled(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """How often each row counts: once, and then in samples of each class with replacement; float32
    of shape (1 + replicates, rows).
    """
    out = np.zeros((1 + REPLICATES, len(y)), dtype=np.float32)
    out[0] = 1
    for side in (np.flatnonzero(y), np.flatnonzero(~y)):
        if len(side):
            for pick in out[1:]:
                pick[side] = np.bincount(
                    rng.integers(len(side), size=len(side)), minlength=len(side)
                )
    return out
