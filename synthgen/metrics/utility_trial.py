"""A classifier trained on several sets of rows, and its scores on real test rows.

`synthgen.metrics.utility` says what the sets and the scores are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from synthgen.metrics.predictions import Predictions, between, figures, ranking, recall_of
from synthgen.metrics.score import Better, Score
from synthgen.metrics.utility_fits import (
    bootstrap_counts,
    predict,
    predict_from_halves,
    tuned_settings,
)
from synthgen.metrics.utility_rows import FEWEST_FRESH, REPEATS, TrainingSets, UtilityData
from synthgen.model_selection.classifiers import settings_for

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


class Beside(NamedTuple):
    """The sets of real rows that a set of synthetic rows is compared with.

    Attributes:
        rows: Name, in `Trial.predictions`, of the set of the reference.
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
class Trial:
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
    ) -> Trial:
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
        augmented = Beside("real", "real", "reference: real rows alone, since none are fresh")
        control: list[Score] = []
        if self.data.has_fresh:
            few, added = (
                f"{rows:,} fresh real rows{' (all there are)' if rows < wanted else ''}"
                for rows, wanted in ((self.sets.few, self.sets.kept), (self.sets.added, made))
            )
            beside = self._named("few", as_many)
            control = self._compared("fresh", Beside(beside, beside, few))
            control += self._compared("fresh_augment", Beside("real", "real", added))
            replaced = replaced._replace(fresh=few, control=control[:2])
            with_fresh = {"fresh": f"train and {added}", "control": control[2:]}
            augmented = Beside("fresh_augment", "real", **with_fresh)
        out = self._of("replace", replaced) + self._of("augment", augmented)
        if self.data.has_whole:
            as_much = self._named("as much", "real")
            out += self._of("whole", Beside(as_much, as_much, f"{self.sets.whole:,} rows"))
        out += control
        return out + self._by("replace", replaced, groups) + self._by("augment", augmented, groups)

    def _replaced(self) -> tuple[str, Beside]:
        """Name the real rows that synthetic ones replace, and compare with them."""
        as_many = self._named("as many", "real")
        many = f"{self.sets.kept:,} real rows of the class, the number of synthetic ones"
        return as_many, Beside(as_many, as_many, "" if as_many == "real" else many)

    def of_class(self, group: str) -> list[Score]:
        """The average precision that is kept if synthetic rows replace the real ones."""
        scores = self._of("replace", self._replaced()[1])
        return [replace(s, group=group) for s in scores if s.name in OF_CLASS]

    def _named(self, rows: str, other: str) -> str:
        return rows if rows in self.predictions else other

    @cached_property
    def _precision(self) -> dict[str, tuple[float, np.ndarray, np.ndarray]]:
        """Average precision for each training set, in three forms."""
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

    def _of(self, name: str, beside: Beside) -> list[Score]:
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

    def _compared(self, name: str, beside: Beside) -> list[Score]:
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

    def _by(self, name: str, beside: Beside, groups: dict[str, np.ndarray]) -> list[Score]:
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
