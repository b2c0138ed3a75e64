"""What synthetic rows of a class are worth to a classifier that is tested on real rows."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from synthgen.metrics.predictions import Told, between, figures, ranking, recall_of
from synthgen.metrics.score import Better, Part, Score
from synthgen.metrics.utility_fits import _from_halves, _resampled, _tell, _tuned
from synthgen.metrics.utility_rows import FEWEST_FRESH, REPEATS, _Data, _groups, _Sets
from synthgen.model_selection.classifiers import (
    DEFAULT_JUDGES,
    check_judges,
    described,
    settings_for,
)
from synthgen.seeds import RandomState, child_seed, seed_sequence
from synthgen.tables.schema import class_position
from synthgen.tables.table import Table

REPLICATES = 200
POINTS = 200

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


def _ratio(one: Any, two: Any) -> Any:
    return one / np.maximum(two, 1e-12)
