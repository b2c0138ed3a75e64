"""The classifier that hands weights on: what reaches the estimator, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from synthgen import OversampledClassifier, Oversampler
from synthgen.errors import UsageError


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
