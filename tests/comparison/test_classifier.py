"""The classifier that `auto` keeps: scikit-learn's checks, its probabilities, its file."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.naive_bayes import GaussianNB
from sklearn.utils.estimator_checks import estimator_checks_generator
from skops.io import dumps

from synthgen import ImbalancedClassifier
from synthgen.comparison.classifier_file import cannot_be_saved
from synthgen.comparison.strategies import STRATEGIES
from synthgen.errors import ModelFileError, SynthgenError
from synthgen.model_selection.classifiers import Estimator


def quick(**params: Any) -> ImbalancedClassifier:
    settings: dict[str, Any] = {
        "strategies": ["class_weight"],
        "estimator": LogisticRegression(),
        "folds": 2,
        "repeats": 1,
        "random_state": 0,
    }
    return ImbalancedClassifier(**settings | params)


def table(rows: int = 400, rare: int = 40) -> tuple[pd.DataFrame, pd.Series]:
    rng = np.random.default_rng(0)
    ill = rng.permutation(np.repeat([0, 1], [rows - rare, rare]))
    X = pd.DataFrame({"dose": rng.normal(2.0 * ill), "sex": rng.choice(["f", "m"], rows)})
    X.loc[::9, "dose"] = np.nan
    return X, pd.Series(np.where(ill == 1, "yes", "no"), name="ill")


SUITE: Any = [*estimator_checks_generator(quick())]


@pytest.mark.parametrize("check", [c for _, c in SUITE], ids=lambda check: check.func.__name__)
def test_check_suite(check: Any) -> None:
    check(quick())


def test_probabilities_are_at_natural_shares_and_the_threshold_decides() -> None:
    X, y = table(4000, 400)
    model = quick(strategies=["class_weight"]).fit(X, y)
    p = model.predict_proba(X)
    rare = [*model.classes_].index("yes")
    assert p[:, rare].mean() == pytest.approx(0.1, abs=0.02)
    assert np.array_equal(model.predict(X) == "yes", p[:, rare] >= model.threshold_)
    assert 0.1 < model.threshold_ < 0.5  # F1 wants less than one half
    dear = quick(cost={"fn": 100, "fp": 1}).fit(X, y)
    assert dear.threshold_ < 0.05
    assert (dear.predict(X) == "yes").mean() > 2 * (model.predict(X) == "yes").mean()


def test_the_strategy_that_helps_is_kept() -> None:
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [400, 60])
    X = rng.normal(size=(460, 2))
    X[:, 0] += 5 * y * rng.choice([-1, 1], 460)  # no line can tell
    model = quick(strategies=["class_weight", GaussianNB()], folds=3, repeats=2).fit(X, y)
    assert model.strategy_ == "GaussianNB"
    assert model.comparison_ is not None
    assert model.comparison_.verdict["ranking"].outcome == "helps"
    assert "GaussianNB" in model.explanation_
    assert (model.predict(X) == y).mean() > 0.95


def test_too_few_rows_to_compare_are_fitted_and_it_is_said() -> None:
    X, y = table(100, 4)
    model = quick().fit(X, y)
    assert model.comparison_ is None
    assert "4 rows" in model.explanation_
    assert model.predict(X).shape == (100,)


def test_same_seed_same_classifier() -> None:
    X, y = table()
    one, two = (cast(Any, clone(quick())).fit(X, y).predict_proba(X) for _ in range(2))
    assert np.array_equal(one, two)


# --- its file -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "estimator"),
    [
        ("nothing", "hgb"),
        ("class_weight", "hgb"),
        ("smote", LogisticRegression()),
        ("balanced_forest", LogisticRegression()),
        ("self_paced", LogisticRegression()),
        ("focal_mlp", LogisticRegression()),
    ],
)
def test_what_is_read_predicts_what_was_written(
    strategy: str, estimator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synthgen.comparison.classifier.winner", lambda found: strategy)
    X, y = table(120, 30)
    own = [] if strategy == "nothing" else [strategy]
    model = quick(strategies=own, estimator=estimator).fit(X, y)
    assert model.strategy_ == strategy
    model.save(tmp_path / "model.skops")
    read = ImbalancedClassifier.load(tmp_path / "model.skops")
    new = pd.DataFrame({"dose": [np.nan, 1.0, 1e9], "sex": ["f", "other", None]})
    for rows in (X, new):
        assert np.array_equal(read.predict_proba(rows), model.predict_proba(rows))
        assert np.array_equal(read.predict(rows), model.predict(rows))
    assert (read.label_, read.strategy_) == ("yes", strategy)
    with pytest.raises(ValueError, match="feature names"):
        read.predict(X.rename(columns={"sex": "size"}))


def test_a_strategy_that_no_file_can_hold_is_left_out_before_the_first_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Own(GaussianNB):
        pass

    seen: list[list[str]] = []

    def stop(*given: Any, **how: Any) -> Any:
        seen.append([s.name for s in how["strategies"]])
        raise InterruptedError

    monkeypatch.setattr("synthgen.comparison.classifier.compare", stop)
    strategies = ["class_weight", "smote", "focal_boosting", "bootstrap", Own()]
    with pytest.warns(UserWarning, match="left out") as caught, pytest.raises(InterruptedError):
        quick(strategies=strategies).fit(*table(120, 30))
    kept = ["nothing", "threshold", "class_weight", "smote", "bootstrap"]
    said = {str(w.message).partition(" ")[0] for w in caught}
    assert seen == [kept if "focal_boosting" in said else [*kept[:4], "focal_boosting", kept[4]]]
    assert "Own" in said


def test_every_strategy_with_a_file_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("xgboost")
    (focal,) = [s for s in STRATEGIES if s.name == "focal_boosting"]
    assert "not on the list" in cannot_be_saved(focal, Estimator.of("hgb"))


def test_measured_is_what_scikit_learn_says() -> None:
    X, y = table(300, 60)
    model = quick().fit(X, y)
    assert model.target_ == "ill"
    found = model.measured(X, y.mask(np.arange(300) < 20))
    p, known = model.predict_proba(X)[20:, 1], y[20:] == "yes"
    assert found["rows"] == 280
    assert found["average_precision"] == pytest.approx(average_precision_score(known, p))
    assert found["recall"] == pytest.approx((p[known] >= model.threshold_).mean())
    assert model.measured(X, np.repeat("no", 300)) == {}


class Evil:
    def __reduce__(self) -> Any:
        raise AssertionError("never")


def test_other_types_and_damaged_files_are_refused(tmp_path: Path) -> None:
    X, y = table(120, 30)
    path = tmp_path / "model.skops"
    quick().fit(X, y).save(path)
    whole = path.read_bytes()
    for wrong in (b"", b"text", whole[:-40], whole[:200]):
        path.write_bytes(wrong)
        with pytest.raises(ModelFileError):
            ImbalancedClassifier.load(path)
    path.write_bytes(dumps({"format": 1, "fitted": quick()}))
    with pytest.raises(ModelFileError, match="not on the list"):
        ImbalancedClassifier.load(path)
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b'"Matrix"', b'"system"'))
    path.write_bytes(buffer.getvalue())
    with pytest.raises(ModelFileError):
        ImbalancedClassifier.load(path)
    with pytest.raises(ModelFileError, match="E432"):
        ImbalancedClassifier.load(tmp_path / "none")


def test_a_type_of_the_users_is_not_written(tmp_path: Path) -> None:
    class Own(LogisticRegression):
        pass

    X, y = table(120, 30)
    with pytest.raises(ModelFileError, match="savable=False"):
        quick(estimator=Own()).fit(X, y)
    model = quick(estimator=Own(), savable=False).fit(X, y)
    with pytest.raises(SynthgenError):
        model.save(tmp_path / "model.skops")
    assert not [*tmp_path.iterdir()]
