"""Utility: how well classifiers trained on synthetic rows of a class do on real test rows.

The rows are used in four ways, each compared with the same classifier trained on real rows:

- ``replace``: real rows of the other classes, and synthetic rows of the class, at most as many as
  there are real ones. The reference has an equal number of real rows of the class; the floor has
  rows of noise instead (each column drawn independently from the real rows of the other classes).
- ``augment``: all real and all synthetic rows. The reference has all real rows and an equal number
  of fresh rows of the class, or fewer if there are not enough. If there are too few, it has the
  real rows alone, and a note says so. The floor has rows of noise instead of the synthetic ones.
- ``whole``: synthetic rows only, if other classes are synthetic too. The reference has an equal
  number of real rows, the floor of noise rows.
- ``fresh``, ``fresh_augment``: the control, with fresh real rows instead of synthetic ones. They
  are the rows of the class in one half of the holdout, and the other half is the test. The halves
  are then swapped, so that all of the holdout is tested.

Names of scores are ``utility.replace.average_precision`` and so on, with ``roc_auc``;
``recall_at_precision`` (of 0.5); ``balanced_accuracy``, ``recall``, ``f1`` and ``mcc`` at the
threshold with the best F1 on out-of-fold real rows; ``brier``, ``log_loss`` and
``calibration_slope`` after correction to the share of the class in train (Saerens et al. 2002);
``ap_ratio`` and ``ap_gain``, the average precision over and minus that of real rows (for
``augment``: of real rows alone) on the same test. A calibration slope of 1 is best; below it,
probabilities are too extreme. The test keeps the class shares of the holdout. The reference of
``ap_ratio`` and ``ap_gain`` is that of the control; without a control it is 1 and 0 by definition,
and the note says so. Intervals include the variance of the test (a bootstrap of the test rows
within each class, and of the out-of-fold rows that set the threshold) and of training (classifiers
trained on half-samples).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from synthgen.metrics.predictions import Predictions, between, figures, ranking, recall_of
from synthgen.metrics.score import Better, Part, Score
from synthgen.metrics.utility_fits import (
    bootstrap_counts,
    predict,
    predict_from_halves,
    tuned_settings,
)
from synthgen.metrics.utility_rows import (
    FEWEST_FRESH,
    REPEATS,
    TrainingSets,
    UtilityData,
    groups_by,
)
from synthgen.model_selection.classifiers import (
    DEFAULT_JUDGES,
    check_judges,
    described,
    settings_for,
)
from synthgen.seeds import RandomState, child_seed, seed_sequence
from synthgen.tables.schema import class_position
from synthgen.tables.table import Table

# Scores of the classes that are not reported first, and the sets of rows that they need.
OF_CLASS = tuple(f"utility.replace.{name}" for name in ("ap_ratio", "average_precision"))
SETS_OF_CLASS = ("real", "as many", "replace", "replace noise")
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
    """Train classifiers on synthetic rows and test them on real ones: the class against all others.

    The scores are described at the top of this module.

    Args:
        train, synthetic, holdout: Tables with one common schema, which has the levels of all three.
        label: The class.
        judges: Classifiers, from "boosting", "logistic", "forest", "mlp" and "xgboost"; their names
            are the groups of the scores.
        thorough: Whether to tune each classifier on real rows by inner validation, and to train it
            three times.
        by: Name of a column other than the target. Recall is also reported for each of its values,
            with the largest gap between them.
        random_state: Seed of subsamples, folds, classifiers and bootstrap.

    Returns:
        A part with the scores ``utility.*``, curves and notes.

    Raises:
        UsageError: A classifier, the label or `by` is unknown, or `by` is the target.

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
    data = UtilityData.of(train, synthetic, holdout, position, rng)
    groups = {} if by is None else groups_by(train, holdout, by, data)
    tested = int(data.y_test.sum())
    notes = [
        f"“{name}” makes up {data.y_test.mean():.2%} of the test ({tested:,} of "
        f"{len(data.y_test):,} real rows), as in the holdout, and {data.natural:.2%} of train. "
        f"Average precision depends on this share.",
        *data.notes,
    ]
    if lacking := _lacking(data, name):
        ratio = "utility.replace.ap_ratio"
        unknown = Score(ratio, judges[0], np.nan, 1.0, "higher", None, None, lacking)
        return Part([unknown], notes=notes)
    scores, used = [], {}
    curves: dict[str, dict[str, np.ndarray]] = {}
    for number, judge in enumerate(judges):
        trial = _Trial.of(data, judge, thorough, child_seed(seed, 1, number))
        scores += trial.scores(groups)
        curves |= trial.curves()
        used[judge] = described(judge, trial.settings if thorough else None)
        if thorough:
            notes.append(f"{judge} tuned on real rows: {trial.settings or 'the default settings'}")
    notes.append(
        f"Fresh real rows are those of {name} in one half of the test; classifiers trained on them "
        f"are tested on the other half."
        if data.has_fresh
        else f"no control with fresh real rows: {tested} test rows of {name} are too few to halve"
    )
    if not data.has_whole:
        notes.append(
            "training on synthetic rows alone is not tested, because they are of one class"
        )
    return Part(scores, curves, notes, used)


def utility_of_class(
    train: Table,
    synthetic: Table,
    holdout: Table,
    *,
    label: Any,
    judge: str,
    group: str,
    random_state: RandomState = 0,
) -> Part:
    """Measure whether synthetic rows of a class can replace the real ones, with one classifier.

    Args:
        train, synthetic, holdout: Tables with one common schema, as for `utility`.
        label: The class.
        judge: The classifier.
        group: Group of the scores.
        random_state: Seed of subsamples, classifiers and bootstrap.

    Returns:
        A part with the scores `OF_CLASS`, or with the first one alone and the reason why it was not
        measured.
    """
    position = class_position(train.schema.classes, label)
    seed = seed_sequence(random_state)
    rng = np.random.default_rng(child_seed(seed, 0))
    data = UtilityData.of(train, synthetic, holdout, position, rng)
    if lacking := _lacking(data, str(train.schema.classes[position])):
        return Part([Score(OF_CLASS[0], group, np.nan, 1.0, "higher", None, None, lacking)])
    trial = _Trial.of(data, judge, False, child_seed(seed, 1, 0), SETS_OF_CLASS)
    return Part(trial.of_class(group))


def _lacking(data: UtilityData, name: str) -> str:
    """The reason why no test is possible; empty if a test is possible."""
    tested, made = int(data.y_test.sum()), len(data.made_rare)
    if tested and tested < len(data.y_test) and made and len(data.rest):
        return ""
    return (
        f"{tested:,} test rows of {name}, {len(data.y_test) - tested:,} other test rows and "
        f"{made:,} synthetic rows: utility needs some of each"
    )


class _Beside(NamedTuple):
    """The sets of real rows that a set of synthetic rows is compared with.

    Attributes:
        rows: Name, in `_Trial.predictions`, of the set of the reference.
        real: Name of the set without fresh rows; ratios and gains are relative to it.
        note: A note about these sets.
        fresh: Description of the fresh rows of the control.
        control: Scores of the control.
    """

    rows: str
    real: str
    note: str = ""
    fresh: str = ""
    control: Sequence[Score] = ()

    def noted(self, alone: float) -> str:
        """Make the note of a score whose value for the set `real` is `alone`."""
        if self.rows == self.real:
            return self.note
        return f"real rows alone: {alone:.3f}; reference: {self.fresh}"


@dataclass(frozen=True, eq=False)
class _Trial:
    """One classifier, and its predictions when it is trained on each set of rows.

    Attributes:
        data: All rows of the utility part.
        judge: Name of the classifier.
        settings: Settings that replace its defaults.
        sets: The sets of training rows.
        predictions: Predictions for the test rows, by name of the training set.
        picks: How often each test row occurs in each bootstrap sample, shape (samples, rows).
    """

    data: UtilityData
    judge: str
    settings: dict[str, Any]
    sets: TrainingSets
    predictions: dict[str, Predictions]
    picks: np.ndarray

    @classmethod
    def of(
        cls,
        data: UtilityData,
        judge: str,
        thorough: bool,
        seed: np.random.SeedSequence,
        only: Sequence[str] = (),
    ) -> _Trial:
        """Train the classifier on each set of rows, or on those named in `only`."""
        rng = np.random.default_rng(seed)
        rows = len(data.rare) + len(data.rest)
        settings = settings_for(judge, rows)
        settings |= tuned_settings(data, judge, settings, rng) if thorough else {}
        sets, predicted = TrainingSets.of(data, rng), {}
        wanted = {n: draws for n, draws in sets.draws.items() if not only or n in only}
        for name, draws in wanted.items():
            if thorough:
                draws = [draws[k % len(draws)] for k in range(REPEATS)]
            thresholds = 1 + REPLICATES if name in ("replace", "augment", "whole") else 1
            if name in ("few", "fresh 0", "fresh 1"):
                thresholds = 0  # only their ranking of the rows is used
            test = sets.tests.get(name, data.test)
            predicted[name] = predict(data, judge, settings, draws, test, thresholds, rng)
        firsts = {name: draws[0] for name, draws in wanted.items()}
        halves = predict_from_halves(data, judge, settings, firsts, sets.tests, rng)
        predicted = {
            name: replace(t, halves=halves.get(name, t.halves)) for name, t in predicted.items()
        }
        for name in ("fresh", "fresh_augment") if data.has_fresh and not only else ():
            predicted[name] = Predictions.parted(
                predicted.pop(f"{name} 0"), predicted.pop(f"{name} 1"), data.half
            )
        picks = bootstrap_counts(data.y_test, rng, 1 + REPLICATES)[1:]
        return cls(data, judge, settings, sets, predicted, picks)

    def scores(self, groups: dict[str, np.ndarray]) -> list[Score]:
        made, as_many, replaced = len(self.data.made_rare), *self._replaced()
        augmented = _Beside("real", "real", "reference: real rows alone, since none are fresh")
        control: list[Score] = []
        if self.data.has_fresh:
            few, added = (
                f"{rows:,} fresh real rows{' (all there are)' if rows < wanted else ''}"
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

    def _replaced(self) -> tuple[str, _Beside]:
        """Name the real rows that synthetic ones replace, and compare with them."""
        as_many = self._named("as many", "real")
        many = f"{self.sets.kept:,} real rows of the class, the number of synthetic ones"
        return as_many, _Beside(as_many, as_many, "" if as_many == "real" else many)

    def of_class(self, group: str) -> list[Score]:
        """The average precision that is kept if synthetic rows replace the real ones."""
        scores = self._of("replace", self._replaced()[1])
        return [replace(s, group=group) for s in scores if s.name in OF_CLASS]

    def _named(self, rows: str, other: str) -> str:
        return rows if rows in self.predictions else other

    @cached_property
    def _precision(self) -> dict[str, tuple[float, np.ndarray, np.ndarray]]:
        """Average precision for each training set, in three forms.

        They are the value on the test rows, the values on bootstrap samples of these rows, and the
        values on the test rows of classifiers trained on half-samples.
        """
        y = self.data.y_test
        ones = np.ones((1, len(y)), dtype=np.float32)
        return {
            name: (
                float(ranking(y, predicted, ones)[0][0]),
                ranking(y, predicted, self.picks)[0],
                np.array(
                    [
                        ranking(y, predicted.of_half(k), ones)[0][0]
                        for k in range(len(predicted.halves))
                    ]
                ),
            )
            for name, predicted in self.predictions.items()
            if not name.endswith("noise")
        }

    def _of(self, name: str, beside: _Beside) -> list[Score]:
        y, predicted, noise = (
            self.data.y_test,
            self.predictions[name],
            self.predictions[f"{name} noise"],
        )
        ones = np.ones((1, len(y)), dtype=np.float32)
        value, reference, alone, floor = (
            figures(y, t, ones)
            for t in (
                predicted,
                self.predictions[beside.rows],
                self.predictions[beside.real],
                noise,
            )
        )
        again = figures(y, predicted, self.picks)
        halves = [figures(y, predicted.of_half(k), ones) for k in range(len(predicted.halves))]
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
            # With noise nearly all rows are alarms, so recall is near 1 and is no floor.
            bottom = None if figure == "recall" else float(floor[figure][0])
            given = float(reference[figure][0]), better, interval, bottom
            note = beside.noted(float(alone[figure][0]))
            out.append(Score(f"utility.{name}.{figure}", self.judge, one, *given, note))
        return out

    def _compared(self, name: str, beside: _Beside) -> list[Score]:
        """Compare average precision with that of real rows on the same test: ratio and gain."""
        y, noise = self.data.y_test, self.predictions.get(f"{name} noise")
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
            reference, why = base, f"for real rows it is {base:.0f} by definition"
            if beside.control:
                reference, why = beside.control[place].value, f"reference: {beside.fresh}"
            floor = None if bottom is None else float(compare(bottom, two))
            said = f"{beside.note}; {why}" if beside.note else why
            given = (value, reference, "higher", interval, floor, said)
            out.append(Score(f"utility.{name}.{figure}", self.judge, *given))
        return out

    def _by(self, name: str, beside: _Beside, groups: dict[str, np.ndarray]) -> list[Score]:
        """Compute the recall of each group, and the gap between the best and the worst group."""
        y, predicted, out = self.data.y_test, self.predictions[name], []
        ones = np.ones((1, len(y)), dtype=np.float32)
        halves = [predicted.of_half(k) for k in range(len(predicted.halves))]
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
                    (predicted, ones),
                    (self.predictions[beside.rows], ones),
                    (self.predictions[beside.real], ones),
                    (predicted, self.picks),
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
            if name not in self.predictions:
                continue
            p = self.predictions[name].p[0]
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
