"""Utility: known answers, and figures that are those of scikit-learn."""

import sys
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn import metrics as known

from synthgen.encoding.matrix import Matrix
from synthgen.errors import UsageError
from synthgen.metrics import predictions as figures
from synthgen.metrics import utility_fits as module
from synthgen.metrics import utility_rows
from synthgen.metrics.score import Part, Score
from synthgen.metrics.utility import utility
from synthgen.model_selection import classifiers as judging
from synthgen.model_selection import ranking
from synthgen.model_selection.classifiers import (
    CLASSIFIERS,
    FOR_SMALL,
    SETTINGS,
    check_judges,
    described,
    learn,
    moved,
    settings_for,
)
from synthgen.model_selection.scoring import best_thresholds
from synthgen.tables.schema import Schema
from synthgen.tables.table import Table


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
        patch.setitem(FOR_SMALL, "max_iter", 20)
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
    assert any("18 test rows of yes are too few to halve" in note for note in part.notes)
    assert any("“yes” makes up 25.71% of the test" in note for note in part.notes)
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
    found = figures.figures(y, figures.Predictions(p[None], np.array([[0.4]])), weights)
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
        slope = ranking.slope(y, factor * score, weights)
        assert slope == pytest.approx([1 / factor] * 2, rel=0.05)


def test_the_threshold_is_that_of_the_best_f1(scored: tuple[np.ndarray, ...]):
    y, p, _ = scored
    found = best_thresholds(y, p, np.ones((1, len(y))))[0]
    best = max(known.f1_score(y, p >= t) for t in np.unique(p))
    assert known.f1_score(y, p >= found) == pytest.approx(best)


def test_the_threshold_of_each_sample_is_that_of_its_rows(scored: tuple[np.ndarray, ...]):
    y, p, weights = scored
    found = best_thresholds(y, p, weights)
    for w, threshold in zip(weights, found, strict=True):
        best = max(known.f1_score(y, p >= t, sample_weight=w) for t in np.unique(p))
        assert known.f1_score(y, p >= threshold, sample_weight=w) == pytest.approx(best)
    told = figures.Predictions(p[None], np.concatenate([[0.4], found])[:, None])
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


@pytest.mark.slow
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
        for name in ("ap_ratio", "ap_gain", "average_precision", "f1", "log_loss"):
            floor = of(fresh, f"{use}.{name}").floor
            assert floor is not None, (use, name)
        # Where nearly all rows are alarms, those of the class are among them.
        assert of(fresh, f"{use}.recall").floor is None
    for judge in ("boosting", "logistic"):
        score = of(fresh, "whole.average_precision", judge)
        assert score.floor < score.value - 0.1  # type: ignore[operator]
    # Noise beside all real rows does little harm, and no good.
    assert of(fresh, "augment.ap_gain").floor == pytest.approx(0, abs=0.08)
    for use, control in (("replace", "fresh"), ("augment", "fresh_augment")):
        for name in ("ap_ratio", "ap_gain"):
            score = of(fresh, f"{use}.{name}")
            assert score.reference == of(fresh, f"{control}.{name}").value
            many = "75 fresh real rows (all there are)"
            text = f"reference: {many}" if use == "replace" else f"reference: train and {many}"
            assert score.note == text
    assert "1 by definition" in of(fresh, "whole.ap_ratio").note
    few = measured(frame(1), rare(frame(2)), frame(3)[:40])
    assert of(few, "augment.ap_gain").reference == 0
    assert "0 by definition" in of(few, "augment.ap_gain").note
    for name in ("average_precision", "brier"):
        assert of(few, f"augment.{name}").note == "reference: real rows alone, since none are fresh"


def scarce(seed: int, rows: int = 400) -> pd.DataFrame:
    """Six rows of the class, to which any others are welcome."""
    table = frame(seed, rows)
    return pd.concat([table.query("ill == 'no'"), rare(table)[:6]])


def alone(score: Score) -> float:
    """What the note says of real rows alone."""
    text = score.note.removeprefix("real rows alone: ")
    assert text != score.note
    return float(text.partition(";")[0])


def test_added_rows_stand_beside_as_many_fresh_ones():
    """Fresh rows in the place of synthetic ones are worth what fresh rows are worth, and that is
    more than nothing: real rows alone are no reference.
    """
    names = ("average_precision", "roc_auc", "log_loss", "brier")
    apart, gained = np.empty((4, len(names))), np.empty((4, len(names)))
    for seed in range(4):
        made = rare(frame(100 + seed))[:60]
        tables = (scarce(seed), made, frame(50 + seed, 480))
        part = measured(*tables, judges=["boosting"], random_state=seed)
        for k, name in enumerate(names):
            score = of(part, f"augment.{name}", "boosting")
            assert score.interval is not None
            assert score.reference is not None
            assert score.interval[0] <= score.reference <= score.interval[1], name
            assert score.note.endswith("; reference: train and 60 fresh real rows")
            apart[seed, k] = score.value - score.reference
            gained[seed, k] = score.value - alone(score)
    assert (np.sign(gained.mean(axis=0)) == [1, 1, -1, -1]).all()
    assert (abs(apart.mean(axis=0)) < abs(gained.mean(axis=0)) / 5).all()


def test_so_they_do_at_a_threshold():
    names = ("recall", "balanced_accuracy", "f1", "mcc")
    apart = []
    for seed in range(12):
        made = rare(frame(100 + seed))[:60]
        part = measured(frame(seed), made, frame(50 + seed, 480), random_state=seed)
        scores = [of(part, f"augment.{name}") for name in names]
        apart.append([s.value - s.reference for s in scores if s.reference is not None])
    assert np.mean(apart, axis=0) == pytest.approx([0] * len(names), abs=0.035)  # 3 standard errors


def test_added_noise_stays_below_its_reference():
    for seed in range(2):
        rng = np.random.default_rng(seed)
        others = frame(100 + seed).query("ill == 'no'")[:75]
        noise = others.apply(lambda column, rng=rng: rng.permutation(column.to_numpy()))
        tables = (scarce(seed), noise.assign(ill="yes"), frame(50 + seed))
        part = measured(*tables, judges=["boosting"])
        for name in ("average_precision", "roc_auc", "ap_ratio", "ap_gain"):
            score = of(part, f"augment.{name}", "boosting")
            assert score.reference is not None
            assert score.value < score.reference - 0.05, name


def test_no_test_row_is_told_by_a_judge_that_learned_from_it(monkeypatch: pytest.MonkeyPatch):
    """A judge that knows the rows it has seen, and nothing of any other."""

    def memory(judge: str, matrix: Matrix, cells: np.ndarray, y: np.ndarray, **_: object):
        seen = {row.tobytes() for row in cells[y]}
        return lambda other: np.array([0.9 if r.tobytes() in seen else 0.2 for r in other])

    monkeypatch.setattr(module, "learn", memory)
    test = frame(3)
    part = measured(frame(1), rare(test), test, by="site")
    for use, fresh in (("replace", "fresh"), ("augment", "fresh_augment")):
        score = of(part, f"{use}.average_precision")
        assert score.value == 1
        assert score.reference == pytest.approx(0.25)
        assert of(part, f"{fresh}.ap_ratio").value == pytest.approx(1)
        assert of(part, f"{use}.ap_ratio").value == pytest.approx(4)


def test_two_judges_tell_half_of_the_rows_each_at_their_own_thresholds():
    half = np.array([True, False, True, False])
    one = figures.Predictions(np.array([[0.6, 0.2]]), np.array([[0.5], [0.1]]), np.zeros((2, 2)))
    two = figures.Predictions(np.array([[0.6, 0.8]]), np.array([[0.7], [0.1]]), np.ones((2, 2)))
    both = figures.Predictions.parted(one, two, half)
    assert both.p.tolist() == [[0.6, 0.6, 0.2, 0.8]]
    assert both.halves.tolist() == [[0, 1, 0, 1]] * 2
    (alarm,) = both.alarms(1)
    assert alarm.tolist() == [[True, False, False, True]]


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


def test_the_reference_of_a_group_is_that_of_fresh_rows_where_there_are_some(fresh: Part):
    groups = ("boosting: site=south", "boosting: site=north")
    parts = [of(fresh, "augment.recall", group) for group in groups]
    rows = [int(s.note.split()[0]) for s in parts]
    whole = of(fresh, "augment.recall", "boosting")
    both = np.average([s.reference for s in parts], weights=rows)  # type: ignore[arg-type]
    assert both == pytest.approx(whole.reference)
    heads = [s.note.split("; ", 1) for s in parts]
    assert [head for head, _ in heads] == [f"{n} test rows of the class" for n in rows]
    lone = [float(rest.split()[3].rstrip(";")) for _, rest in heads]
    assert np.average(lone, weights=rows) == pytest.approx(alone(whole), abs=1e-3)
    assert all(s.note.endswith("train and 75 fresh real rows (all there are)") for s in parts)
    gap = of(fresh, "augment.recall_gap", "boosting")
    apart = [s.reference for s in parts]
    assert gap.reference == pytest.approx(abs(apart[0] - apart[1]))  # type: ignore[operator]
    few = measured(frame(1), rare(frame(2)), frame(3)[:70], by="site")
    score = of(few, "augment.recall", "logistic: site=south")
    assert score.note.endswith("; reference: real rows alone, since none are fresh")


def test_the_target_makes_no_groups():
    with pytest.raises(UsageError, match=r"by 'ill' is the target: .* give one of a, b, site"):
        measured(frame(1), frame(2), frame(3), by="ill")


def test_recall_by_a_number_is_by_its_quarters():
    part = measured(frame(1), rare(frame(2)), frame(3), by="b")
    groups = [s.group for s in part.scores if s.name == "utility.augment.recall"]
    assert len(groups) == 5
    assert groups[1].startswith("logistic: b<=-0.")
    assert groups[-1].startswith("logistic: b>0.")


def test_thorough_tunes_on_real_rows():
    part = measured(frame(1), rare(frame(2)), frame(3), thorough=True)
    assert any(note.startswith("logistic tuned on real rows: ") for note in part.notes)
    tuned = next(note for note in part.notes if " tuned " in note).partition("{'C': ")[2]
    assert f"LogisticRegression with C={tuned.rstrip('}')}, " in part.judges["logistic"]
    assert of(part, "replace.ap_ratio").value == pytest.approx(1, abs=0.1)


def test_the_settings_that_are_said_are_those_that_are_used(
    fresh: Part, monkeypatch: pytest.MonkeyPatch
):
    assert fresh.judges == {judge: described(judge) for judge in ("boosting", "logistic")}
    text = "HistGradientBoostingClassifier with learning_rate=0.1, max_iter=20, max_leaf_nodes=31"
    assert text in fresh.judges["boosting"]
    assert "tables of up to 1,000 rows learning_rate=0.2, max_iter=20)" in fresh.judges["boosting"]
    table = Table.of(frame(1), target="ill")
    matrix = Matrix.fitted_on(table, with_target=False)
    assert settings_for("boosting", 1_001) == settings_for("forest", 600) == {}
    for judge in ("boosting", "logistic", "forest", "mlp"):
        kind, used = getattr(judging, CLASSIFIERS[judge]), []
        monkeypatch.setattr(kind, "fit", lambda model, *_, used=used: used.append(model))
        learn(judge, matrix, matrix.cells(table), table.labels == 1, seed=0)
        default, found = kind().get_params(), used[0].get_params()
        assert SETTINGS[judge].items() <= found.items()
        own = {"random_state", "categorical_features", "min_samples_leaf"}
        assert all(default[k] == found[k] for k in default if k not in SETTINGS[judge].keys() | own)
        assert f"{CLASSIFIERS[judge]} with " in described(judge)


def test_all_judges_know_the_class():
    table = Table.of(frame(1), target="ill")
    matrix = Matrix.fitted_on(table, with_target=False)
    cells, y = matrix.cells(table), table.labels == 1
    test = Table.of(frame(2), target="ill")
    for judge in ("forest", "mlp", "boosting", "logistic"):
        p = learn(judge, matrix, cells, y, seed=0, settings={})(matrix.cells(test))
        assert known.roc_auc_score(test.labels == 1, p) > 0.85, judge


def test_mistakes_are_named(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(UsageError, match="judge 'oracle' is not known: use one of boosting"):
        check_judges(["boosting", "oracle"])
    with pytest.raises(UsageError, match="give a list"):
        check_judges("boosting")
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(UsageError, match="pip install xgboost"):
        check_judges(["xgboost"])
    with pytest.raises(UsageError, match="by 'colour' is not a column"):
        measured(frame(1), frame(2), frame(3), by="colour")


def test_large_tables_are_sampled_and_say_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(utility_rows, "TRAIN_ROWS", 200)
    monkeypatch.setattr(utility_rows, "KEPT_ROWS", 30)
    monkeypatch.setattr(utility_rows, "TEST_ROWS", 300)
    part = measured(frame(1), frame(2), frame(3))
    notes = " ".join(part.notes)
    assert (
        "Classifiers are trained on 50 of 150 real rows of the class, 150 of 450 other rows"
        in notes
    )
    assert "Classifiers are tested on 300 of 600 rows" in notes
    assert of(part, "replace.ap_ratio").value == pytest.approx(1, abs=0.15)
