"""The classifier that hands weights on: what reaches the estimator, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import sklearn
from imblearn.pipeline import make_pipeline as make_imblearn_pipeline
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score, cross_validate
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from synthgen import OversampledClassifier, Oversampler
from synthgen.augmentation import validation
from synthgen.errors import DataError, UsageError
from synthgen.model_selection.folds import deal


def table() -> tuple[pd.DataFrame, pd.Series]:
    rng = np.random.default_rng(0)
    ill = np.repeat([0, 1], [180, 20])
    X = pd.DataFrame({"dose": rng.normal(2.0 * ill), "age": rng.normal(size=200)})
    return X, pd.Series(np.where(ill == 1, "yes", "no"), name="ill")


def sampler() -> Oversampler:
    return Oversampler("bootstrap", ratio=0.5, random_state=0)


def test_the_estimator_gets_all_rows_and_their_weights() -> None:
    seen: dict[str, Any] = {}

    class Spy(GaussianNB):
        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
            seen.update(X=X, y=y, weight=sample_weight)
            return super().fit(X, y, sample_weight)

    X, y = table()
    model = OversampledClassifier(Spy(), sampler()).fit(X, y)
    assert len(seen["X"]) == 270  # 90 of the class, half of 180
    is_rare = (seen["y"] == "yes").to_numpy()
    assert seen["weight"][is_rare].sum() == pytest.approx(40)  # 20 real rows, and as much again
    assert (seen["weight"][:200] == 1).all()
    assert np.array_equal(seen["weight"], model.oversampler_.sample_weight_)
    alone = GaussianNB().fit(*sampler().fit_resample(X, y), seen["weight"])
    assert np.array_equal(model.predict_proba(X), alone.predict_proba(X))
    assert model.classes_.tolist() == ["no", "yes"]


def test_a_classifier_without_weights_is_refused_in_words() -> None:
    with pytest.raises(UsageError, match="KNeighborsClassifier takes no sample_weight"):
        OversampledClassifier(KNeighborsClassifier(), sampler()).fit(*table())


def test_it_is_a_step_of_scikit_learn() -> None:
    X, y = table()
    whole = make_pipeline(StandardScaler(), OversampledClassifier(LogisticRegression(), sampler()))
    assert cross_val_score(whole, X, y, cv=3, scoring="roc_auc").mean() > 0.8
    assert whole.get_params()["oversampledclassifier__oversampler__ratio"] == 0.5
    assert not hasattr(OversampledClassifier(GaussianNB(), sampler()), "decision_function")


def test_the_same_seed_gives_the_same_classifier_and_nothing_is_fitted_from_outside() -> None:
    X, y = table()
    estimator, oversampler = HistGradientBoostingClassifier(random_state=0), sampler()
    one, two = (
        OversampledClassifier(estimator, oversampler).fit(X, y).predict_proba(X) for _ in range(2)
    )
    assert np.array_equal(one, two)
    assert not hasattr(estimator, "classes_")
    assert not hasattr(oversampler, "sample_weight_")


# --- metadata routing -----------------------------------------------------------------------------


@pytest.fixture
def routed() -> Iterator[None]:
    with sklearn.config_context(enable_metadata_routing=True):
        yield


class Weighing(GaussianNB):
    """Keeps the weights that it was fitted with."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        self.seen_ = sample_weight
        return super().fit(X, y, sample_weight)


def test_new_rows_share_the_given_weight_of_their_class() -> None:
    X, y = table()
    weight = np.where(y == "yes", np.arange(200) % 3, 0.5)
    oversampler = sampler()
    plain = sampler().fit_resample(X, y)
    found = oversampler.fit_resample(X, y, sample_weight=weight)
    pd.testing.assert_frame_equal(found[0], plain[0])
    assert np.array_equal(oversampler.sample_weight_[:200], weight)
    new = oversampler.sample_weight_[200:]
    assert np.ptp(new) == 0
    assert new.sum() == pytest.approx(weight[y == "yes"].sum())
    with pytest.raises(DataError, match="sample_weight: row 3 has -1"):
        sampler().fit_resample(X, y, sample_weight=[1, 1, 1, -1, *[1] * 196])


@pytest.mark.usefixtures("routed")
def test_weights_are_routed_through_pipelines_and_cross_validation() -> None:
    X, y = table()
    weight = np.linspace(0.5, 2, 200)
    inner: Any = OversampledClassifier(Weighing(), sampler())
    inner.set_fit_request(sample_weight=True).set_score_request(sample_weight=False)
    scaler: Any = StandardScaler()
    whole: Any = make_pipeline(scaler.set_fit_request(sample_weight=False), inner)
    whole.set_output(transform="pandas").fit(X, y, sample_weight=weight)
    seen = whole[-1].estimator_.seen_
    assert np.array_equal(seen[:200], weight)
    assert seen[200:].sum() == pytest.approx(weight[y == "yes"].sum())
    fits = cross_validate(
        inner, X, y, cv=StratifiedKFold(4), params={"sample_weight": weight}, return_estimator=True
    )["estimator"]
    assert {*np.concatenate([fit.estimator_.seen_[:150] for fit in fits])} == {*weight}


@pytest.mark.usefixtures("routed")
def test_a_pipeline_of_imbalanced_learn_routes_to_the_sampler_and_keeps_its_output() -> None:
    X, y = table()
    weight = np.linspace(0.5, 2, 200)
    oversampler = cast(Any, sampler()).set_fit_resample_request(sample_weight=True)
    steps: list[Any] = [StandardScaler(), oversampler, GaussianNB()]
    for step in (steps[0], steps[2]):
        step.set_fit_request(sample_weight=False)
    whole: Any = make_imblearn_pipeline(*steps).set_output(transform="pandas")
    whole.fit(X, y, sample_weight=weight)
    assert np.array_equal(whole[1].sample_weight_[:200], weight)
    assert whole[-1].feature_names_in_.tolist() == [
        "dose",
        "age",
    ]  # it was given a frame


def test_groups_share_a_fold_of_the_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[np.ndarray, np.ndarray]] = []

    def spy(codes: Any, together: np.ndarray, *rest: Any) -> np.ndarray:
        fold = deal(codes, together, *rest)
        seen.append((together, fold))
        return fold

    monkeypatch.setattr(validation, "deal", spy)
    X, y = table()
    wards = np.arange(200) // 4
    Oversampler("bootstrap", ratio="auto", random_state=0).fit_resample(X, y, groups=wards)
    together, fold = seen[0]
    assert len(np.unique(together)) == 50
    assert all(len(set(fold[wards == ward])) == 1 for ward in range(50))
    auto = Oversampler("bootstrap", ratio="auto", random_state=0)
    with pytest.raises(DataError, match="groups leave a fold of 5 without rows of class 'yes'"):
        auto.fit_resample(X, y, groups=np.arange(200) // 50)
    with pytest.raises(DataError, match="groups has 3 rows and X has 200"):
        auto.fit_resample(X, y, groups=[1, 2, 3])
