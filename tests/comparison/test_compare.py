"""Compare: nothing leaks, nothing is lost, and the verdict is what the truth is."""

from __future__ import annotations

import json
import re
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from imblearn.over_sampling import RandomOverSampler
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, precision_recall_curve, roc_curve
from sklearn.tree import DecisionTreeClassifier

from synthgen import TabFlow, compare
from synthgen.augmentation.rejection import guarded_sample
from synthgen.comparison import compare as comparison
from synthgen.comparison import schedule as schedule
from synthgen.comparison import synthetic
from synthgen.comparison.splits import group_ids, outer_splits, training_part
from synthgen.comparison.strategies import pick
from synthgen.comparison.tasks import Plan, task
from synthgen.errors import DataError, SynthgenError, UsageError
from synthgen.model_selection import scoring
from synthgen.model_selection.estimators import Estimator
from synthgen.model_selection.folds import deal
from synthgen.model_selection.selection import HELPS, NO_GAIN
from synthgen.seeds import seed_sequence
from synthgen.tables.column import Column
from synthgen.tables.schema import Schema
from synthgen.tables.table import Table

FEW = ["class_weight", "oversample"]


def table(rows: int = 240, rare: int = 40, gap: float = 1.5) -> tuple[pd.DataFrame, pd.Series]:
    rng = np.random.default_rng(0)
    ill = rng.permutation(np.repeat([0, 1], [rows - rare, rare]))
    frame = pd.DataFrame(
        {
            "dose": rng.normal(gap * ill, 1).round(3),
            "age": rng.integers(18, 90, rows).astype(float),
            "sex": rng.choice(["f", "m"], rows),
        }
    )
    frame.loc[::9, "age"] = np.nan
    return frame, pd.Series(np.where(ill == 1, "yes", "no"), name="ill")


def quick(X: Any, y: Any, **how: Any) -> comparison.Comparison:
    settings: dict[str, Any] = {
        "strategies": FEW,
        "estimator": LogisticRegression(),  # one setting: quick
        "folds": 3,
        "repeats": 1,
        "random_state": 0,
    }
    return compare(X, y, **settings | how)


def same(one: comparison.Comparison, other: comparison.Comparison) -> bool:
    def timeless(found: comparison.Comparison) -> dict[str, Any]:
        return replace(found, seconds={}).to_json()

    return json.dumps(timeless(one)) == json.dumps(timeless(other))


def test_a_frame_and_its_target_are_taken_as_features_and_classes_are() -> None:
    X, y = table()
    frame = X.assign(ill=y)
    assert same(quick(X, y), quick(frame, None, target="ill"))
    with pytest.raises(UsageError, match="nothing says which column holds the classes"):
        quick(frame, None)
    with pytest.raises(UsageError, match="were both given"):
        quick(X, y, target="ill")


# --- figures ------------------------------------------------------------------------------------


def test_figures_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    is_rare = rng.random(500) < 0.1
    p = np.round(np.clip(0.1 + 0.3 * is_rare + 0.2 * rng.standard_normal(500), 0, 1), 2)
    found = scoring.score(is_rare, p, dict.fromkeys(scoring.DECIDED, 0.4), (500, 2))
    assert found["f1"] == pytest.approx(f1_score(is_rare, p >= 0.4))
    missed, alarms = (is_rare & (p < 0.4)).sum(), (~is_rare & (p >= 0.4)).sum()
    assert found["cost"] == pytest.approx(1000 * (500 * missed + 2 * alarms) / 500)
    false, true, _ = roc_curve(is_rare, p, drop_intermediate=False)
    reached = true[false <= 0.05].max()
    assert reached <= found["recall_at_5pct"] <= true[false > 0.05].min()
    precision, recall, _ = precision_recall_curve(is_rare, p)
    drawn = scoring.curves(is_rare, p, None)["precision"]
    for wanted, value in zip(scoring.RECALLS, drawn, strict=True):
        assert value == pytest.approx(precision[recall >= wanted - 1e-9].max())


@pytest.mark.parametrize("name", scoring.RANKED)
def test_a_weight_of_a_row_ranks_like_as_many_equal_rows(name: str):
    rng = np.random.default_rng(0)
    is_rare, p, weight = rng.random(300) < 0.2, rng.random(300), rng.integers(1, 5, 300)
    repeated = scoring.rank(np.repeat(is_rare, weight), np.repeat(p, weight), name)
    assert scoring.rank(is_rare, p, name, weight) == pytest.approx(repeated)
    assert scoring.rank(is_rare, p, name, np.ones(300)) == scoring.rank(is_rare, p, name)
    assert scoring.rank(is_rare, p, name) != pytest.approx(repeated, abs=1e-4)


def test_a_weight_of_a_row_decides_like_as_many_equal_rows() -> None:
    rng = np.random.default_rng(0)
    is_rare, p, weight = rng.random(300) < 0.2, rng.random(300), rng.integers(1, 5, 300)
    more = np.repeat(is_rare, weight), np.repeat(p, weight)
    cost = (9.0, 2.0)
    at = {name: scoring.best_threshold(is_rare, p, name, cost, weight) for name in scoring.DECIDED}
    assert at == {name: scoring.best_threshold(*more, name, cost) for name in scoring.DECIDED}
    found = scoring.score(is_rare, p, at, cost, weight)
    repeats = scoring.score(*more, at, cost)
    # Chance is higher with fewer rows, whatever their weights.
    assert found.pop("average_precision") < repeats.pop("average_precision")
    assert found == pytest.approx(repeats)
    drawn, repeated = scoring.curves(is_rare, p, cost, weight), scoring.curves(*more, cost)
    for name in ("precision", "calibration", "cost"):
        np.testing.assert_allclose(drawn[name], repeated[name], err_msg=name)


@pytest.mark.parametrize("name", scoring.DECIDED)
def test_no_threshold_beats_the_best_one(name: str) -> None:
    rng = np.random.default_rng(1)
    for _ in range(10):
        is_rare = np.append(rng.random(60) < 0.2, [True, False])
        p = np.round(rng.random(62) * 0.5 + 0.3 * is_rare, 1)

        def value(at: float, is_rare: np.ndarray = is_rare, p: np.ndarray = p) -> float:
            counts, totals = scoring.counts_at(is_rare, p, at), (is_rare.sum(), (~is_rare).sum())
            return scoring.METRICS[name].sign * scoring.decided(name, *counts, totals, (9, 2))

        chosen = scoring.best_threshold(is_rare, p, name, (9, 2))
        assert value(chosen) == max(map(value, np.linspace(0, 1.2, 121) + 0.0037))


# --- splits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [1, 6])
def test_folds_keep_groups_whole_and_classes_even(most: int) -> None:
    rng = np.random.default_rng(0)
    together = np.repeat(np.arange(200), rng.integers(1, most + 1, 200))
    y = (rng.random(200) < 0.15).astype(int)[together]
    y[rng.random(len(y)) < 0.02] = 2
    fold = deal(y, together, 4, rng)
    assert all(len(set(fold[together == g])) == 1 for g in set(together))
    for c in range(3):
        held = np.bincount(fold[y == c], minlength=4)
        assert np.ptp(held) <= most
    assert not np.array_equal(fold, deal(y, together, 4, rng))


def test_equal_rows_share_a_fold_unless_most_rows_repeat() -> None:
    X, y = table()
    twice = pd.concat([X, X.iloc[:30]], ignore_index=True)
    _, part = training_part(Table.of_xy(twice, pd.concat([y, y.iloc[:30]], ignore_index=True)))
    found = group_ids(part)
    assert np.array_equal(found[-30:], found[:30])
    assert len(set(found)) == len(X)
    coarse = replace(part, places=np.round(part.places[:, 2:]))
    assert len(set(group_ids(coarse))) == len(twice)


@pytest.mark.parametrize(
    ("rare", "folds", "splits"), [(100, 5, 10), (24, 4, 12), (9, 2, 10), (6, 2, 10)]
)
def test_few_rare_rows_make_fewer_folds_and_more_repeats(
    rare: int, folds: int, splits: int
) -> None:
    used, repeats = comparison.folds_and_repeats(5, None, rare)
    assert (used, used * repeats) == (folds, splits)


# --- nothing leaks ------------------------------------------------------------------------------

SEEN: list[tuple[str, frozenset[int]]] = []


class Spy(ClassifierMixin, BaseEstimator):
    """A classifier that notes the rows it is shown, by their first number."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> Spy:
        self.classes_ = np.unique(y)
        self.scaled_ = X[:, 0].std()
        SEEN.append(("fit", frozenset(np.round(X[:, 0] / X[:, 0].std(), 6))))
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        SEEN.append(("predict", frozenset(np.round(X[:, 0] / self.scaled_, 6))))
        p = 1 / (1 + np.exp(-X[:, 0]))
        return np.column_stack([1 - p, p])


class Peek:
    """A sampler that notes the frame it is given, and cannot find a test row in it."""

    seen: list[pd.DataFrame] = []  # noqa: RUF012

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {}

    def fit_resample(self, X: pd.DataFrame, y: pd.Series) -> tuple[pd.DataFrame, pd.Series]:
        Peek.seen.append(X.copy())
        X.iloc[:, 0] = -1e9  # what a strategy does to its rows is its own affair
        return X, y


def test_a_strategy_sees_rows_of_the_training_part_only() -> None:
    X, y = table()
    X["row"] = np.arange(len(X)) * 1.0 + 0.5
    before = X.copy()
    Peek.seen.clear()
    found = quick(X, y, strategies=[Peek()])
    assert not found.not_applicable
    assert X.equals(before)
    _, part = training_part(Table.of_xy(X, y))
    tests = outer_splits(part, group_ids(part), 3, 1, seed_sequence(0))
    # Three inner folds and the whole training part, for each of three splits.
    assert len(Peek.seen) == 12
    for i, frame in enumerate(Peek.seen):
        there = set(frame["row"])
        assert not there & set(X["row"][tests[i // 4]])
        assert len(there) == (~tests[i // 4]).sum() or i % 4 < 3
    assert found.result("Peek").difference < -0.1  # the ruined column ruined its own result only


def test_every_fit_is_scored_on_rows_it_has_not_seen() -> None:
    X, y = table()
    numbers = pd.DataFrame({"row": np.random.default_rng(0).permutation(len(X)) * 1.0 + 0.25})
    SEEN.clear()
    quick(numbers, y, strategies=[], estimator=Spy())
    fits = predictions = 0
    learned: frozenset[int] = frozenset()
    for what, rows in SEEN:
        if what == "fit":
            learned, fits = rows, fits + 1
        else:
            predictions += 1
            shared = len(rows & learned)
            assert shared == 0, "a row was predicted by the model that learned it"
    assert fits >= predictions > 10


def test_medians_and_levels_come_from_the_training_part() -> None:
    # A level that only test rows have is missing to the model, as it would be in use.
    X, y = table()
    _, part = training_part(Table.of_xy(X, y))
    train = part.rows(np.flatnonzero(X["sex"] == "f"))
    coder = pick("default")[0].build(train, Estimator.of("hgb"), seed_sequence(0))(0).coder
    out = coder.transform(part.places)
    assert np.array_equal(np.isnan(out[:, 2]), X["sex"] == "m")


def test_a_schema_reaches_the_synthesizer(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = table()
    X["code"] = np.random.default_rng(0).permutation(np.arange(240) // 2 * 1000 / 7)
    made: list[pd.DataFrame] = []

    def spied(*given: Any, **how: Any) -> Any:
        made.append((found := guarded_sample(*given, **how)).frame)
        return found

    monkeypatch.setattr(synthetic, "guarded_sample", spied)
    inferred = Schema.infer(X.assign(ill=y), target="ill")
    assert inferred["code"].kind == "numeric"
    forced = Column("code", "categorical", X["code"].dtype)
    for kind, schema in (("numeric", None), ("categorical", Schema((forced,)))):
        made.clear()
        found = quick(X, y, strategies=["bootstrap:0.3"], schema=schema)
        assert not found.not_applicable
        assert len(made) == 12
        rows = pd.concat(made)
        assert rows["code"].isin(X["code"]).all() == (kind == "categorical")
    # A whole schema names the target too, whose classes are codes by then.
    assert not quick(X, y, strategies=["bootstrap:0.3"], schema=inferred).not_applicable


# --- the verdict --------------------------------------------------------------------------------


def shuffled(seed: int, **how: Any) -> comparison.Comparison:
    X, y = table(rows=300)
    y = pd.Series(np.random.default_rng(seed).permutation(y.to_numpy()), name="ill")
    return quick(X, y, **{"folds": 5, "repeats": 2, "random_state": seed} | how)


@pytest.mark.parametrize("seed", range(10))
def test_shuffled_labels_are_helped_by_nothing(seed: int) -> None:
    found = shuffled(seed, strategies=[*FEW, "smote", "bootstrap:0.3"], repeats=1)
    assert HELPS not in {v.outcome for v in found.verdict.values()}
    assert found.recommendation.action == "collect"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 16))
def test_shuffled_labels_are_helped_by_no_default(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = TabFlow.plan  # of such labels a network learns no more in all its steps than in a few

    def short(self: TabFlow, *of: Any, **how: Any) -> Any:
        return plan(self, *of, **how)._replace(steps=30)

    monkeypatch.setattr(TabFlow, "plan", short)
    found = shuffled(seed, strategies="default", estimator="hgb", repeats=1)
    assert HELPS not in {v.outcome for v in found.verdict.values()}
    assert not found.not_applicable


def test_a_separable_table_has_nothing_to_gain() -> None:
    X, y = table(gap=40)
    found = quick(X, y, folds=4, repeats=2)
    assert {v.outcome for v in found.verdict.values()} == {NO_GAIN}
    assert found.verdict["ranking"].strategy == "nothing"
    assert found.verdict["decision"].strategy == "threshold"
    assert found.result("nothing").mean > 0.99
    advice = found.recommendation
    assert advice.action == "keep"


@pytest.mark.parametrize(("rare", "others"), [("a 'rare' one", "z"), ("z", "a"), (0, 1), (1, 0)])
def test_the_printed_line_flags_the_class(rare: Any, others: Any) -> None:
    X, y = table(gap=40)
    is_rare = np.asarray(y == "yes")
    y = pd.Series([rare if one else others for one in is_rare], name="outcome")
    advice = quick(X, y, strategies=["class_weight"], folds=2).recommendation
    assert advice.action == "keep"
    clf = DecisionTreeClassifier().fit(X[["dose"]], y)
    flagged = eval(advice.command, {"clf": clf, "X": X[["dose"]]})
    assert np.array_equal(flagged, is_rare)


class Sharp(ClassifierMixin, BaseEstimator):
    """Knows what the estimator below cannot see."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> Sharp:
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        p = 1 / (1 + np.exp(-np.abs(X[:, 0])))
        return np.column_stack([1 - p, p])


def test_a_strategy_that_helps_is_found_and_quoted_from_the_outer_loop() -> None:
    rng = np.random.default_rng(0)
    ill = np.repeat([0, 1], [400, 60])
    side = rng.choice([-1, 1], 460)
    X = pd.DataFrame({"dose": rng.normal(0, 1, 460) + 4 * ill * side})  # no line can tell
    found = quick(X, ill, strategies=["class_weight", Sharp()], folds=5, repeats=2)
    ranking = found.verdict["ranking"]
    assert (ranking.outcome, ranking.strategy) == (HELPS, "Sharp")
    assert ranking.chosen == {"Sharp": 10}
    result = found.result("Sharp")
    assert ranking.difference == pytest.approx(result.difference)
    # The same mean; alone, its interval need not hold for all.
    assert ranking.interval[0] >= result.interval[0] > 0
    assert "Sharp helps" in ranking.text
    advice = found.recommendation
    assert advice.action == "use Sharp"
    (weight, sharp) = found.chances
    assert sharp.helps > 0.99
    assert weight.helps < 0.2
    assert f"expected gain in average precision is {sharp.gain:+.3f}" in advice.text


def test_what_other_tables_showed_can_be_left_out() -> None:
    X, y = table(gap=2.5)
    auto = replace(pick(["class_weight"])[-1], name="auto")  # quick, and known by its name
    plain_lr = Estimator("lr", LogisticRegression())
    how: dict[str, Any] = {"strategies": [auto], "estimator": plain_lr}
    with_prior, without = quick(X, y, **how), quick(X, y, **how, prior=False)
    assert with_prior.results == without.results
    (known,), (plain,) = with_prior.chances, without.chances
    assert (known.alone, plain.alone) == (plain.helps, None)
    low, high = plain.interval
    assert known.interval[1] - known.interval[0] < high - low
    told = f"({plain.helps:.2f} by this table alone, without the results of other tables)"
    assert told in with_prior.recommendation.certainty
    assert "other tables" not in without.recommendation.certainty


def test_the_threshold_changes_decisions_and_never_the_ranking() -> None:
    X, y = table(gap=1.0)
    found = quick(X, y, cost={"fn": 50, "fp": 1})
    assert found.decision == "cost"
    nothing, threshold = (found.result(n, "average_precision") for n in ("nothing", "threshold"))
    assert nothing.values == threshold.values
    assert threshold.interval == (0, 0)
    assert found.result("nothing", "cost").mean > 2 * found.result("threshold", "cost").mean
    assert found.result("nothing", "cost").difference < 0
    assert found.verdict["decision"].against == "threshold"


# --- the same result ----------------------------------------------------------------------------


def test_same_seed_same_result_and_another_seed_another() -> None:
    X, y = table()
    first = quick(X, y)
    assert same(first, quick(X, y))
    assert not same(first, quick(X, y, random_state=1))
    drawn = quick(X, y, random_state=None)
    assert same(drawn, quick(X, y, random_state=drawn.seed))


def test_a_strategy_gets_the_same_whoever_else_takes_part() -> None:
    X, y = table()
    alone, among = quick(X, y, strategies=["oversample"]), quick(X, y, strategies=[*FEW, "smote"])
    assert alone.result("oversample").values == among.result("oversample").values


@pytest.mark.slow
def test_two_processes_give_the_same_result() -> None:
    X, y = table()
    assert same(quick(X, y), quick(X, y, n_jobs=2))


class Hoarder:
    """A sampler that keeps every row it ever saw, and tries to learn from all of them."""

    def __init__(self, kept: list[Any] | None = None) -> None:
        self.kept = [] if kept is None else kept

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {"kept": self.kept}

    def fit_resample(self, X: pd.DataFrame, y: pd.Series) -> tuple[pd.DataFrame, pd.Series]:
        self.kept.append((X, y))
        return pd.concat([x for x, _ in self.kept]), pd.concat([c for _, c in self.kept])


class Copier(ClassifierMixin, BaseEstimator):
    """Knows a row that it has seen, and nothing else: whoever leaks makes it perfect."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> Copier:
        self.classes_ = np.unique(y)
        self.seen_ = {row.tobytes(): c for row, c in zip(np.round(X, 9), y, strict=True)}
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        p = np.array([self.seen_.get(row.tobytes(), 0.5) for row in np.round(X, 9)])
        return np.column_stack([1 - p, p])


def test_a_planted_leak_cannot_be_carried_from_one_part_to_the_next() -> None:
    # Rows that a sampler saw in other training parts are test rows of this one: with any of them,
    # the classifier below would be better than guessing.
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"row": rng.normal(size=300), "other": rng.normal(size=300)})
    y = pd.Series(rng.permutation(np.repeat([0, 1], [240, 60])))
    estimator = Estimator("copier", Copier())
    found = quick(X, y, strategies=[Hoarder(), "oversample"], estimator=estimator)
    assert not found.not_applicable
    for name in ("nothing", "Hoarder", "oversample"):
        assert found.result(name, "roc_auc").values == (0.5,) * 3


class Interrupting(Peek):
    left = 6

    def fit_resample(self, X: pd.DataFrame, y: pd.Series) -> tuple[pd.DataFrame, pd.Series]:
        Interrupting.left -= 1
        if Interrupting.left == 0:
            raise KeyboardInterrupt
        return X, y


def test_an_interrupted_comparison_goes_on_to_the_same_result(tmp_path: Path) -> None:
    X, y = table()
    kept = tmp_path / "kept.json"
    strategies = ["class_weight", Interrupting()]
    Interrupting.left = 6
    with pytest.raises(KeyboardInterrupt):
        quick(X, y, strategies=strategies, resume=kept)
    finished = json.loads(kept.read_text())["done"]
    assert 0 < len(finished) < 9
    resumed = quick(X, y, strategies=strategies, resume=kept)
    assert same(resumed, quick(X, y, strategies=strategies))
    took = [d["seconds"] for d in json.loads(kept.read_text())["done"]][: len(finished)]
    assert took == [d["seconds"] for d in finished]  # they were not done again
    assert same(resumed, quick(X, y, strategies=strategies, resume=kept))


def test_a_file_of_another_comparison_is_refused(tmp_path: Path) -> None:
    X, y = table()
    kept = tmp_path / "kept.json"
    quick(X, y, strategies=[], resume=kept)
    with pytest.raises(UsageError, match="to another comparison"):
        quick(X, y, strategies=[], resume=kept, random_state=1)
    other = X.assign(dose=X["dose"] + 1)
    with pytest.raises(UsageError, match="to another comparison"):
        quick(other, y, strategies=[], resume=kept)
    kept.write_text("{}")
    with pytest.raises(UsageError, match="delete the file"):
        quick(X, y, strategies=[], resume=kept)


def test_another_object_of_the_same_name_is_tried_anew(tmp_path: Path) -> None:
    X, y = table()
    kept = tmp_path / "kept.json"
    some, more = (RandomOverSampler(sampling_strategy=cast(Any, share)) for share in (0.3, 0.9))
    first = quick(X, y, strategies=[some], resume=kept)
    second = quick(X, y, strategies=[more], resume=kept)
    assert same(second, quick(X, y, strategies=[more]))
    assert not same(first, second)


# --- what is left out ---------------------------------------------------------------------------


def test_a_budget_never_leaves_out_what_the_product_is_about(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(schedule, "KEPT", ("nothing", "undersample"))
    X, y = table()
    some = ["class_weight", "undersample", "oversample"]
    found = quick(X, y, strategies=some, time_budget=1e-3, folds=4)
    assert found.strategies == ["nothing", "threshold", "undersample"]
    assert set(found.pruned) == {"class_weight", "oversample"}
    assert "2 splits of nothing, undersample take the whole" in found.pruned["oversample"]
    assert found.splits == 2
    assert {len(r.values) for r in found.results} == {2}  # all differences on the same splits


@dataclass
class Clock:
    """A clock that only these jobs move: the seconds of each strategy on a split, and others."""

    now: float = 0.0
    nothing: float = 1.0
    class_weight: float = 2.0
    oversample: float = 4.0
    reading: float = 0.0
    rehearsal: float = 0.0
    growth: float = 0.0  # of the seconds, if a table has 100 rows more than 100
    Peek: float = 4.0
    busy: float = 1.0  # how many times as long everything takes after `busy_from`
    busy_from: float = 0.0
    said: list[str] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    rehearsed: list[int] = field(default_factory=list)

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock in place of the real one."""
    clock, real, part = Clock(), schedule.task, comparison.training_part

    def timed(plan: Any, split: int, strategies: Any, threads: Any) -> list[dict[str, Any]]:
        found = real(plan, split, strategies, threads)
        for d in found:
            d["seconds"] = getattr(clock, d["strategy"])
            d["seconds"] *= clock.busy if clock.now >= clock.busy_from else 1
            clock.took.append(d["seconds"])
            clock.now += d["seconds"]
        return found

    def rehearsed(plan: Any, strategies: Any, threads: Any) -> dict[str, float]:
        clock.now += clock.rehearsal / 3
        clock.rehearsed.append(len(plan.part))
        rows = 1 + clock.growth * (len(plan.part) / 100 - 1)
        return {s.name: getattr(clock, s.name) * rows for s in strategies}

    def read(*given: Any) -> Any:
        clock.now += clock.reading
        return part(*given)

    monkeypatch.setattr(schedule, "task", timed)
    monkeypatch.setattr(schedule, "rehearse", rehearsed)
    monkeypatch.setattr(schedule, "CLOSING", 0.0)
    monkeypatch.setattr(schedule, "time", clock)
    monkeypatch.setattr(comparison, "time", clock)
    monkeypatch.setattr(comparison, "training_part", read)
    monkeypatch.setattr(schedule.Progress, "note", lambda _, said: clock.said.append(said))
    return clock


def test_a_budget_leaves_out_the_worst_on_inner_folds_and_says_so(clock: Clock) -> None:
    X, y = table()
    how: dict[str, Any] = {"strategies": ["oversample", Peek()], "folds": 4}
    found = quick(X, y, **how, time_budget=13.0)  # 1, 4 and 4 s for a split
    assert set(found.pruned) == {"Peek"}  # it ruins a column, and the inner folds know
    assert "inner folds" in found.pruned["Peek"]
    assert found.strategies == ["nothing", "threshold", "oversample"]
    assert found.splits == 2
    assert any("left out: Peek" in line for line in found.note_lines())
    said = r"The time budget was enough for 2 of 4 splits only; --time-budget \d+ runs all\.$"
    assert re.search(said, found.recommendation.certainty)
    enough = quick(X, y, time_budget=1e6)
    assert not enough.pruned
    assert "time budget" not in enough.recommendation.certainty
    assert clock.now > 13


@pytest.mark.parametrize(
    ("busy_from", "ends", "splits", "left_out"),
    [
        (0.0, 60.0, 2, {"oversample"}),  # after the rehearsal: 10, 20 and 40 s for a split
        (5.0, 47.0, 2, {"oversample"}),
        (10.0, 50.0, 2, {"class_weight"}),
        (20.0, 51.0, 3, set()),
    ],
)
def test_a_budget_holds_on_a_machine_that_becomes_busy(
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    busy_from: float,
    ends: float,
    splits: int,
    left_out: set[str],
) -> None:
    monkeypatch.setattr(schedule, "KEPT", ("nothing", "oversample"))
    X, y = table()
    clock.busy, clock.busy_from = 10.0, busy_from
    found = quick(X, y, folds=4, repeats=2, time_budget=60.0)
    assert clock.now <= 1.2 * 60 + max(clock.took)
    assert (clock.now, found.splits, set(found.pruned)) == (ends, splits, left_out)
    assert {len(r.values) for r in found.results} == {splits}
    assert f"The time budget was enough for {splits} of 8 splits" in found.recommendation.certainty


def test_a_rehearsal_on_more_rows_does_not_use_up_a_budget(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "REHEARSED", (50, 100))
    X, y = table()
    clock.rehearsal = 30.0  # for each number of rows
    quick(X, y, folds=4, time_budget=100.0)
    assert clock.rehearsed == [50, 50, 50]


@pytest.mark.parametrize(
    ("first", "then", "left_out"),
    [
        (3.0, 1e6, set()),  # not even tried once
        (5.0, 1e6, set()),  # fewer splits
        (16.0, 1e6, set()),
        (5.0, 16.0, {"oversample"}),
        (16.0, 30.0, set()),
        (16.0, 16.0, {"oversample"}),  # the same budget again
        (1e6, 16.0, {"oversample"}),  # a smaller one
    ],
)
def test_another_budget_goes_on_to_what_it_alone_would_have_told(
    clock: Clock, first: float, then: float, left_out: set[str], tmp_path: Path
) -> None:
    X, y = table()
    how: dict[str, Any] = {"folds": 4, "resume": tmp_path / "kept.json"}
    before = quick(X, y, **how, time_budget=first)
    assert bool(before.pruned) == (first < 1e6)
    resumed = quick(X, y, **how, time_budget=then)
    alone = quick(X, y, folds=4, time_budget=then)
    assert set(resumed.pruned) == left_out
    assert same(resumed, alone)
    assert resumed.seconds == alone.seconds


def test_a_budget_has_fewer_splits_of_every_strategy_before_it_leaves_one_out(
    clock: Clock,
) -> None:
    X, y = table()
    found = quick(X, y, folds=4, repeats=2, time_budget=45.0)  # 7 s for each of 8 splits
    assert (found.pruned, found.splits) == ({}, 6)
    assert {len(r.values) for r in found.results} == {6}
    assert "all strategies on all 8 splits need about 1 min: allow more time" in found.notes
    assert clock.now == 42.0
    assert clock.said == [
        "All strategies on all 8 splits need about 56 s; the time budget is enough for about 6 "
        "splits."
    ]
    assert not any("allow more time" in note for note in quick(X, y, folds=4).notes)


def test_a_budget_counts_all_that_is_done_before_and_after_the_fits(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = table()
    alone = quick(X, y, folds=4, time_budget=16.0)
    assert clock.now <= 16
    clock.now, clock.reading, clock.rehearsal = 1000.0, 9.0, 12.0
    monkeypatch.setattr(schedule, "CLOSING", 5.0)
    found = quick(X, y, folds=4, time_budget=16.0 + 9 + 12 + 5)
    assert same(found, alone)
    assert clock.now + 5 <= 1000 + 16 + 9 + 12 + 5
    clock.said.clear()
    assert quick(X, y, folds=4, time_budget=16.0).splits < alone.splits
    assert clock.said == [
        "All strategies on all 4 splits need about 40 s; 2 splits of nothing, which always run, "
        "about 2 s."
    ]


def test_a_budget_leaves_out_rows_of_frequent_classes_before_splits_or_strategies(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(schedule, "REHEARSED", (50, 100))
    X, y = table()
    clock.growth = 0.5  # 7 s for a split of 100 rows, 3.5 s more for each 100 more
    how: dict[str, Any] = {"folds": 4, "resume": tmp_path / "kept.json"}
    found = quick(X, y, **how, time_budget=60.1)  # 4 splits of 240 rows take 48 s
    assert (found.pruned, found.splits, found.rows, found.rare) == ({}, 4, 240, 40)
    kept = 200  # 4 splits of 10.5 s: 0.7 of 60 s
    assert clock.said == [
        f"All strategies on all 4 splits need about 68 s; the time budget is enough for about 4 "
        f"splits on {kept} of 240 rows."
    ]
    assert any(f"{kept} of 240 rows were used" in note for note in found.notes)
    ran = f"The time budget was enough for {kept} of 240 rows only; --time-budget 120 runs all."
    assert found.recommendation.certainty.endswith(ran)
    before = clock.now
    whole = quick(X, y, **how)  # what is finished on fewer rows does not count
    assert clock.now == before + 4 * 7
    assert not any("rows were used" in note for note in whole.notes)


@pytest.mark.usefixtures("clock")
def test_of_a_large_table_part_of_the_rows_is_used_unless_a_budget_allows_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(schedule, "MOST_ROWS", 150)
    X, y = table()
    found = quick(X, y, folds=4)
    assert (found.rows, found.rare, found.splits) == (240, 40, 4)
    assert any(note.startswith("to save time, 150 of 240 rows were used") for note in found.notes)
    assert found.recommendation.certainty.endswith(
        "Compared on 150 of 240 rows; with --time-budget, as many as it allows."
    )
    whole = quick(X, y, folds=4, time_budget=1000.0)
    assert not any("rows were used" in note for note in whole.notes)


def test_a_part_of_the_rows_stands_for_the_whole_table() -> None:
    X, y = table(6000, 300, gap=2.0)
    every, root = pick(["nothing"])[:1], seed_sequence(0)
    _, part = training_part(Table.of_xy(X, y))
    together = group_ids(part)
    tests = outer_splits(part, together, 3, 1, root)
    model = Estimator.of(LogisticRegression())
    plan = Plan(part, together, model, "average_precision", "f1", every, tests, root, None)
    fewer = plan.thinned(2000)
    assert (len(fewer.part), fewer.part.counts[part.rare]) == (2000, 300)
    assert fewer.part.weight is not None
    assert fewer.part.weight.sum() == pytest.approx(6000)
    unweighted = replace(fewer, part=replace(fewer.part, weight=None))
    whole, few, wrong = (
        [task(one, split, every, 1)[0] for split in range(3)] for one in (plan, fewer, unweighted)
    )

    def mean(found: list[dict[str, Any]], name: str) -> float:
        return float(np.mean([d["scores"][name] for d in found]))

    for name in ("average_precision", "log_loss", "f1"):
        assert mean(few, name) == pytest.approx(mean(whole, name), rel=0.05), name
        assert mean(wrong, name) != pytest.approx(mean(whole, name), rel=0.2), name
    rows, total, rare = np.sum([d["curves"]["calibration"] for d in few], axis=(0, 2))
    assert rows == pytest.approx(6000)
    assert total == pytest.approx(rare, rel=0.05)  # its probabilities are those of the whole table


def test_a_budget_is_not_stretched_by_an_interruption(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = table()
    how: dict[str, Any] = {"folds": 4, "time_budget": 16.0}
    done, timed = [0], schedule.task

    def interrupted(*given: Any) -> Any:
        done[0] += 1
        if done[0] == 5:
            raise KeyboardInterrupt
        return timed(*given)

    monkeypatch.setattr(schedule, "task", interrupted)
    with pytest.raises(KeyboardInterrupt):
        quick(X, y, **how, resume=tmp_path / "kept.json")
    resumed = quick(X, y, **how, resume=tmp_path / "kept.json")
    assert set(resumed.pruned) == {"oversample"}
    assert same(resumed, quick(X, y, **how))


def test_what_there_was_no_time_to_try_once_is_said() -> None:
    X, y = table()
    found = quick(X, y, strategies=["class_weight", "oversample", Peek()], time_budget=1e-3)
    assert set(found.pruned) == {"oversample", "Peek"}  # the simplest were tried first
    assert "it was not tried" in found.pruned["Peek"]
    assert found.strategies == ["nothing", "threshold", "class_weight"]


def test_a_strategy_that_fails_is_told_and_the_others_go_on() -> None:
    class Broken(Peek):
        def fit_resample(self, X: Any, y: Any) -> Any:
            raise RuntimeError("out of luck")

    X, y = table()
    found = quick(X, y, strategies=["cost_matrix", "oversample", Broken()])
    assert found.not_applicable["Broken"] == "RuntimeError: out of luck"
    assert "give cost" in found.not_applicable["cost_matrix"]
    assert found.strategies == ["nothing", "threshold", "oversample"]


class Stuck(LogisticRegression):
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        raise ValueError("BaseClassifier in AdaBoostClassifier ensemble is worse than random")


class Talking(Peek):
    def fit_resample(self, X: Any, y: Any) -> Any:
        few = f"a network learns nothing from fewer than {10} rows; a bootstrap makes the rows of "
        warnings.warn(f"{few}0 ({len(X)}), 2 (7)", stacklevel=1)
        return X, y


def test_what_strategies_say_is_told_in_words_of_the_table() -> None:
    X, y = table()
    found = quick(X, y, strategies=[Talking(), Stuck()])
    assert "first tree is no better than guessing" in found.not_applicable["Stuck"]
    said = "a network learns nothing from fewer than 10 rows; a bootstrap makes them"
    assert found.notes == (said,)  # whatever the counts were
    assert f"note: {said}" in found.note_lines()


# --- more of what is told -----------------------------------------------------------------------


def test_more_rows_and_json() -> None:
    X, y = table(rows=400, rare=80, gap=1.0)
    found = quick(X, y)
    assert found.by is None
    assert found.real_rows is not None
    assert len(found.real_rows.means) == 4
    assert found.real_rows.interval[0] < found.real_rows.doubling
    plain = json.loads(json.dumps(found.to_json()))
    assert set(plain["verdict"]) == {"ranking", "decision"}
    wanted = {"outcome", "strategy", "difference", "interval", "text"}
    assert wanted <= set(plain["verdict"]["ranking"])
    assert {"strategy", "metric", "mean", "difference", "interval"} <= set(plain["results"][0])
    size = sum(found.curves["nothing"]["calibration"][0])
    assert size == 400


def test_repr_leads_with_the_finding_and_the_frame_has_every_result() -> None:
    found = quick(*table(), label="yes")
    many = tuple(replace(r, strategy=f"{r.strategy}{i}") for i in range(9) for r in found.results)
    wide = replace(found, results=(*found.results, *many), target="t" * 300)
    for each in (found, wide):
        lines = repr(each).splitlines()
        assert len(lines) <= 12
        assert max(map(len, lines)) <= 100
        assert " ".join(lines).startswith(found.recommendation.text)
    assert "class_weight" in repr(found)
    frame = found.to_frame()
    assert len(frame) == len(found.results)
    (row,) = frame.query("strategy == 'oversample' and metric == 'average_precision'").to_dict(
        "records"
    )
    result = found.result("oversample")
    assert (row["mean"], row["difference"]) == (result.mean, result.difference)
    assert (row["low"], row["high"]) == result.interval


def test_each_group_has_its_own_figures_or_a_reason() -> None:
    X, y = table(rows=400, rare=80, gap=1.0)
    X["ward"] = np.where(np.arange(400) % 2 == 0, 9, 10)
    some = np.flatnonzero(y == "yes")[:5]
    X.loc[some, "ward"] = 11  # five rows of the class
    X.loc[np.flatnonzero(y == "no")[:30], "ward"] = 11
    X["ward"] = X["ward"].mask(np.arange(400) < 3).astype("Int64")
    found = quick(X, y, by="ward", repeats=2).by
    assert found is not None
    assert (found.column, [g.value for g in found.groups]) == (
        "ward",
        ["9", "10", "11", "(missing)"],
    )
    nine, ten, eleven, gone = found.groups
    assert eleven.too_few.startswith("5 rows of the class and 27 other rows")
    assert gone.too_few
    assert not eleven.results
    for group in (nine, ten):
        assert (group.splits, group.too_few) == (6, "")
        assert [r.strategy for r in group.results] == ["nothing", *FEW]
        nothing = group.result("nothing")
        assert (nothing.difference, nothing.interval) == (0, (0, 0))
        for r in group.results:
            assert 0 <= r.mean_interval[0] < r.mean < r.mean_interval[1] <= 1
            assert r.difference == pytest.approx(r.mean - nothing.mean)
            assert r.interval[0] <= r.difference <= r.interval[1]
    assert nine.rows + ten.rows + eleven.rows + gone.rows == 400
    assert nine.rare + ten.rare + eleven.rare + gone.rare == 80


def test_the_figure_of_a_group_is_that_of_its_rows() -> None:
    # One group that can be told apart and one that cannot.
    rng = np.random.default_rng(0)
    y = pd.Series(np.tile([1, 0, 0, 0], 100))
    side = np.repeat(["clear", "blurred"], 200)
    X = pd.DataFrame(
        {"dose": rng.normal(size=400) + np.where(side == "clear", 8, 0) * y, "side": side}
    )
    found = quick(X, y, by="side", strategies=["oversample"]).by
    assert found is not None
    blurred, clear = found.groups
    assert clear.result("nothing").mean_interval[0] > 0.95
    assert blurred.result("nothing").mean_interval[1] < 0.7


def test_three_classes_are_judged_as_one_against_the_others() -> None:
    X, y = table()
    y = y.mask((y == "no") & (X["sex"] == "f") & (np.arange(len(y)) % 2 == 0), "maybe")
    found = quick(X, y, strategies=["class_weight", "smote", "undersample"])
    assert not found.not_applicable
    assert found.label == "yes"
    assert found.rare == 40
    assert quick(X, y, label="maybe", strategies=[]).label == "maybe"


def test_inputs_are_left_alone_and_so_is_numpy() -> None:
    X, y = table()
    before, labels = X.copy(), y.copy()
    state = cast(Any, np.random.get_state())[1].copy()  # noqa: NPY002
    quick(X, y)
    assert X.equals(before)
    assert y.equals(labels)
    assert np.array_equal(state, cast(Any, np.random.get_state())[1])  # noqa: NPY002


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"metric": "accuracy"}, 228),
        ({"folds": 1}, 228),
        ({"repeats": 0}, 228),
        ({"by": "size"}, 245),
        ({"by": "dose"}, 245),
        ({"time_budget": -1}, 246),
        ({"n_jobs": 0}, 269),
        ({"n_jobs": 1.5}, 269),
        ({"cost": {"fn": 5}}, 247),
        ({"cost": {"fn": 5, "fp": -1}}, 247),
        ({"strategies": ["no_such"]}, 222),
        ({"strategies": ["nowhere:Nothing"]}, 222),
        ({"strategies": [object()]}, 226),
        ({"estimator": "svm"}, 222),
        ({"label": "maybe"}, 201),
        ({"groups": [1, 2]}, 374),
        ({"groups": "one"}, 375),
    ],
)
def test_what_cannot_be_is_refused(how: dict[str, Any], code: int) -> None:
    X, y = table()
    if how.get("groups") == "one":
        how = {"groups": np.zeros(len(X))}
    with pytest.raises(SynthgenError) as caught:
        quick(X, y, **how)
    assert caught.value.code == code


def test_too_few_rows_or_columns_are_refused() -> None:
    X, y = table(rare=5)
    with pytest.raises(DataError, match="E373"):
        quick(X, y)
    with pytest.raises(DataError, match="E372"):
        quick(pd.DataFrame({"constant": np.ones(len(X))}), table()[1])
