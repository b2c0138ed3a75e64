"""Utility: known answers, and figures that are those of scikit-learn."""

import sys
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn import metrics as known

from synthgen.errors import UsageError
from synthgen.metrics import told as figures
from synthgen.metrics import utility as module
from synthgen.metrics.judges import SETTINGS, check_judges, learn, moved
from synthgen.metrics.rows import Space
from synthgen.metrics.score import Part, Score
from synthgen.metrics.utility import utility
from synthgen.table import Schema, Table


def frame(seed: int, rows: int = 600, shift: float = 2.0) -> pd.DataFrame:
    """A quarter is ill; `a` and `site` tell something of it."""
    rng = np.random.default_rng(seed)
    ill = np.arange(rows) % 4 == 0
    return pd.DataFrame(
        {
            "a": rng.normal(size=rows) + shift * ill,
            "b": rng.normal(size=rows),
            "site": np.where(rng.random(rows) < 0.3 + 0.3 * ill, "north", "south"),
            "ill": np.where(ill, "yes", "no"),
        }
    )


def measured(*frames: pd.DataFrame, **options: object) -> Part:
    schema = Schema.infer(pd.concat(frames, ignore_index=True), target="ill")
    tables = [Table(f.reset_index(drop=True), schema) for f in frames]
    given = {"label": "yes", "judges": ("logistic",), "random_state": 0} | options
    return utility(*tables, **given)


def of(part: Part, name: str, group: str = "logistic") -> Score:
    return next(s for s in part.scores if (s.name, s.group) == (f"utility.{name}", group))


def rare(table: pd.DataFrame) -> pd.DataFrame:
    return table[table.ill == "yes"]


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SETTINGS["boosting"], "max_iter", 20)
        yield


@pytest.fixture(scope="module")
def fresh() -> Part:
    return measured(frame(1), frame(2), frame(3), judges=("boosting", "logistic"), by="site")


# --- known answers ------------------------------------------------------------------------------


@pytest.mark.parametrize("judge", ["boosting", "logistic"])
def test_fresh_real_rows_are_as_good_as_those_of_train(fresh: Part, judge: str):
    for name in ("replace", "fresh", "fresh_augment", "whole"):
        score = of(fresh, f"{name}.ap_ratio", judge)
        assert score.interval is not None
        assert score.interval[0] <= 1 <= score.interval[1], name
    floor = of(fresh, "replace.ap_ratio", judge).floor
    assert floor is not None
    assert floor < 0.8
    assert of(fresh, "augment.ap_gain", judge).value == pytest.approx(0, abs=0.05)
    assert of(fresh, "replace.calibration_slope", "logistic").value == pytest.approx(1, abs=0.4)


def test_the_rows_of_train_keep_all():
    part = measured(frame(1), rare(frame(1)), frame(3))
    score = of(part, "replace.ap_ratio")
    assert score.value == pytest.approx(1, abs=1e-6)
    for name in ("average_precision", "roc_auc", "brier", "log_loss"):
        score = of(part, f"replace.{name}")
        assert score.value == pytest.approx(score.reference, abs=1e-6)


def test_rows_that_say_the_contrary_fail():
    part = measured(frame(1), rare(frame(2, shift=-2)), frame(3))
    score = of(part, "replace.ap_ratio")
    assert score.interval is not None
    assert score.interval[1] < 0.5
    assert of(part, "augment.ap_gain").interval[1] < 0  # type: ignore[index]
    assert of(part, "replace.roc_auc").value < 0.3 < 0.8 < of(part, "replace.roc_auc").reference  # type: ignore[operator]


def test_more_rows_move_no_probability():
    """The shares of the classes in the rows learned from are taken out again."""
    many = pd.concat([rare(frame(seed)) for seed in range(10, 18)], ignore_index=True)
    part = measured(frame(1), many, frame(3))
    score = of(part, "augment.log_loss")
    assert score.value == pytest.approx(score.reference, abs=0.03)
    assert moved(np.array([0.2, 0.9]), 0.3, 0.3) == pytest.approx([0.2, 0.9])


def test_what_is_not_applicable_is_said(fresh: Part):
    part = measured(frame(1), rare(frame(2)), frame(3)[:70])
    assert not [s for s in part.scores if ".whole." in s.name or ".fresh." in s.name]
    assert any("of one class" in note for note in part.notes)
    assert any("18 test rows of yes are too few to part" in note for note in part.notes)
    assert any("Tests hold 25.71% yes" in note for note in part.notes)
    assert [s for s in fresh.scores if ".whole." in s.name]


def test_a_test_without_the_class_has_no_utility():
    part = measured(frame(1), rare(frame(2)), frame(3).query("ill == 'no'"))
    (score,) = part.scores
    assert np.isnan(score.value)
    assert "0 test rows of yes" in score.note


def test_two_rows_of_the_class_are_enough_to_run():
    train = pd.concat([frame(1).query("ill == 'no'")[:40], rare(frame(1))[:2]])
    score = of(measured(train, rare(frame(2))[:2], frame(3)[:16]), "replace.ap_ratio")
    assert score.interval is not None
    assert np.isfinite(score.value)


def test_one_of_three_classes_stands_against_the_rest():
    three = [f.assign(ill=f.ill.where(f.b < 1, "maybe")) for f in map(frame, (1, 2, 3))]
    part = measured(*three, label="maybe")
    score = of(part, "replace.ap_ratio")
    assert score.value == pytest.approx(1, abs=0.1)
    assert of(part, "replace.average_precision").value > 0.9


# --- figures ------------------------------------------------------------------------------------


@pytest.fixture
def scored() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    y = rng.random(400) < 0.3
    p = expit(rng.normal(size=400) + 1.5 * y - 1).round(2)  # with ties
    weights = rng.multinomial(400, np.full(400, 1 / 400), size=3).astype(np.float32)
    return y, p, weights


def test_figures_are_those_of_scikit_learn(scored: tuple[np.ndarray, ...]):
    y, p, weights = scored
    found = figures.figures(y, figures.Told(p[None], np.array([[0.4]])), weights)
    for k, w in enumerate(weights):
        alarm = p >= 0.4
        recall = known.precision_recall_curve(y, p, sample_weight=w)
        wanted = {
            "average_precision": known.average_precision_score(y, p, sample_weight=w),
            "roc_auc": known.roc_auc_score(y, p, sample_weight=w),
            "balanced_accuracy": known.balanced_accuracy_score(y, alarm, sample_weight=w),
            "recall": known.recall_score(y, alarm, sample_weight=w),
            "f1": known.f1_score(y, alarm, sample_weight=w),
            "mcc": known.matthews_corrcoef(y, alarm, sample_weight=w),
            "brier": known.brier_score_loss(y, p, sample_weight=w),
            "log_loss": known.log_loss(y, p, sample_weight=w),
            "recall_at_precision": recall[1][recall[0] >= 0.5].max(),
        }
        for name, value in wanted.items():
            assert found[name][k] == pytest.approx(value, abs=1e-5), name


def test_slope_tells_how_much_too_sure_a_judge_is():
    rng = np.random.default_rng(0)
    score = rng.normal(size=20_000) * 2
    y = rng.random(20_000) < expit(score)
    weights = np.ones((2, 20_000), dtype=np.float32)
    for factor in (0.5, 1.0, 3.0):
        slope = figures.slope(y, factor * score, weights)
        assert slope == pytest.approx([1 / factor] * 2, rel=0.05)


def test_the_threshold_is_that_of_the_best_f1(scored: tuple[np.ndarray, ...]):
    y, p, _ = scored
    found = figures.best_threshold(y, p, np.ones((1, len(y))))[0]
    best = max(known.f1_score(y, p >= t) for t in np.unique(p))
    assert known.f1_score(y, p >= found) == pytest.approx(best)


def test_the_threshold_of_each_sample_is_that_of_its_rows(scored: tuple[np.ndarray, ...]):
    y, p, weights = scored
    found = figures.best_threshold(y, p, weights)
    for w, threshold in zip(weights, found, strict=True):
        best = max(known.f1_score(y, p >= t, sample_weight=w) for t in np.unique(p))
        assert known.f1_score(y, p >= threshold, sample_weight=w) == pytest.approx(best)
    told = figures.Told(p[None], np.concatenate([[0.4], found])[None])
    recall = figures.figures(y, told, weights)["recall"]
    wanted = [
        known.recall_score(y, p >= t, sample_weight=w) for w, t in zip(weights, found, strict=True)
    ]
    assert recall == pytest.approx(wanted, abs=1e-6)


def test_the_interval_of_recall_holds_what_another_threshold_would_find():
    """Recall at a tuned threshold moves with the rows that tuned it, not only with the test."""
    parts = [measured(*(frame(10 * k + j) for j in range(3))) for k in range(8)]
    scores = [of(part, "replace.recall") for part in parts]
    middle = np.mean([score.value for score in scores])
    held = [s.interval[0] <= middle <= s.interval[1] for s in scores if s.interval is not None]
    assert sum(held) >= 6


def test_intervals_hold_the_variance_of_training():
    """What other training rows of the same kind would give, on the same large test."""
    test = frame(99, 4000)
    scores = [
        of(measured(frame(k, 120), rare(frame(40 + k, 120)), test), "replace.ap_ratio")
        for k in range(12)
    ]
    mean = np.mean([score.value for score in scores])
    held = [s.interval[0] <= mean <= s.interval[1] for s in scores if s.interval is not None]
    assert sum(held) >= 11


def test_few_test_rows_leave_no_interval_empty():
    """Three rows of the class, all of them found, do not show that all would be."""
    easy = [frame(k, rows, shift=9.0) for k, rows in ((1, 200), (2, 200), (3, 12))]
    part = measured(*easy, by="site")
    for name in ("recall", "roc_auc", "average_precision", "f1", "mcc", "balanced_accuracy"):
        score = of(part, f"replace.{name}")
        assert score.interval is not None
        assert score.value == 1
        assert score.interval[0] < 0.5, name
    groups = [s for s in part.scores if ": site=" in s.group]
    assert all(s.interval is not None and s.interval[1] - s.interval[0] > 0.4 for s in groups)


def test_floors_are_those_of_noise_and_references_of_ratios_are_measured(fresh: Part):
    for use in ("replace", "augment", "whole"):
        for name in ("ap_ratio", "ap_gain", "average_precision", "recall", "log_loss"):
            floor = of(fresh, f"{use}.{name}").floor
            assert floor is not None, (use, name)
    for judge in ("boosting", "logistic"):
        score = of(fresh, "whole.average_precision", judge)
        assert score.floor < score.value - 0.1  # type: ignore[operator]
    # Noise beside all real rows does little harm, and no good.
    assert of(fresh, "augment.ap_gain").floor == pytest.approx(0, abs=0.08)
    for use, control in (("replace", "fresh"), ("augment", "fresh_augment")):
        for name in ("ap_ratio", "ap_gain"):
            score = of(fresh, f"{use}.{name}")
            assert score.reference == of(fresh, f"{control}.{name}").value
            assert "real rows: 75 real rows of the class that are not in train" in score.note
    assert "1 by definition" in of(fresh, "whole.ap_ratio").note
    few = measured(frame(1), rare(frame(2)), frame(3)[:40])
    assert of(few, "augment.ap_gain").reference == 0
    assert "0 by definition" in of(few, "augment.ap_gain").note


def test_the_slope_of_real_rows_is_the_reference(fresh: Part):
    score = of(fresh, "replace.calibration_slope", "boosting")
    assert score.reference is not None
    assert score.reference != 1
    assert score.value == pytest.approx(score.reference, abs=0.4)


def test_curves_end_where_they_must(fresh: Part):
    roc, pr = fresh.curves["roc boosting replace"], fresh.curves["pr boosting real"]
    assert (roc["x"][0], roc["y"][0], roc["x"][-1], roc["y"][-1]) == (0, 0, 1, 1)
    assert pr["x"][-1] == 1
    assert pr["y"][-1] == pytest.approx(0.25)
    assert len(fresh.curves["calibration logistic augment"]["x"]) == 10


# --- options ------------------------------------------------------------------------------------


def test_recall_by_the_values_of_a_column(fresh: Part):
    found = {s.group: s for s in fresh.scores if s.name == "utility.replace.recall"}
    assert list(found) == [
        "boosting",
        "boosting: site=south",
        "boosting: site=north",
        "logistic",
        "logistic: site=south",
        "logistic: site=north",
    ]
    parts = [found["boosting: site=south"], found["boosting: site=north"]]
    rows = [int(s.note.split()[0]) for s in parts]
    both = np.average([s.value for s in parts], weights=rows)
    assert both == pytest.approx(found["boosting"].value, abs=1e-6)
    gap = of(fresh, "replace.recall_gap", "boosting")
    assert gap.value == pytest.approx(abs(parts[0].value - parts[1].value))


def test_recall_by_a_number_is_by_its_quarters():
    part = measured(frame(1), rare(frame(2)), frame(3), by="b")
    groups = [s.group for s in part.scores if s.name == "utility.augment.recall"]
    assert len(groups) == 5
    assert groups[1].startswith("logistic: b<=-0.")
    assert groups[-1].startswith("logistic: b>0.")


def test_thorough_tunes_on_real_rows():
    part = measured(frame(1), rare(frame(2)), frame(3), thorough=True)
    assert any(note.startswith("logistic tuned on real rows: ") for note in part.notes)
    assert of(part, "replace.ap_ratio").value == pytest.approx(1, abs=0.1)


def test_all_judges_know_the_class():
    table = Table.of(frame(1), target="ill")
    space = Space.of(table, with_target=False)
    cells, y = space.cells(table), table.labels == 1
    test = Table.of(frame(2), target="ill")
    for judge in ("forest", "mlp", "boosting", "logistic"):
        p = learn(judge, space, cells, y, seed=0, settings={})(space.cells(test))
        assert known.roc_auc_score(test.labels == 1, p) > 0.85, judge


def test_mistakes_are_named(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(UsageError, match="judge 'oracle' is not known: there are boosting"):
        check_judges(["boosting", "oracle"])
    with pytest.raises(UsageError, match="give a list"):
        check_judges("boosting")
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(UsageError, match="pip install xgboost"):
        check_judges(["xgboost"])
    with pytest.raises(UsageError, match="by 'colour' is no column"):
        measured(frame(1), frame(2), frame(3), by="colour")


def test_large_tables_are_sampled_and_say_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "TRAIN_ROWS", 200)
    monkeypatch.setattr(module, "KEPT_ROWS", 30)
    monkeypatch.setattr(module, "TEST_ROWS", 300)
    part = measured(frame(1), frame(2), frame(3))
    notes = " ".join(part.notes)
    assert "Judges learn from 50 of 150 real rows of the class and 150 of 450 others" in notes
    assert "300 of 600 holdout rows are the test" in notes
    assert of(part, "replace.ap_ratio").value == pytest.approx(1, abs=0.15)
