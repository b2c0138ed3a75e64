"""Every public function takes features and classes, or a frame and the name of its target."""

import inspect
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

import synthgen
from synthgen.augmentation.guard import Guard
from synthgen.augmentation.validation import FOLDS
from synthgen.comparison.tuning import INNER_FOLDS
from synthgen.errors import UsageError
from synthgen.model_selection import classifiers
from synthgen.tables.calls import features_and_classes, without_groups


def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    ill = np.repeat([0, 1], [60, 12])
    columns = {"ward": np.arange(72) % 36, "dose": rng.normal(ill * 3.0), "ill": ill}
    return pd.DataFrame(columns | {"age": rng.normal(size=72)})


def of_columns(found: pd.DataFrame | np.ndarray) -> list[Any]:
    return np.asarray(found).tolist()


def fitted(frame: Any, *y: Any, **how: Any) -> Any:
    model = synthgen.ImbalancedClassifier(members=[GaussianNB()], random_state=0)
    return model.fit(frame, *y, **how)


def kept(frame: pd.DataFrame, found: Any) -> list[Any]:
    X = frame.drop(columns=["ill"])
    return [found.threshold_, found.predict_proba(X[found.feature_names_in_]).tolist()]


FOUND = synthgen.Schema.infer(table(), target="ill")
DECLARED = synthgen.Schema(tuple(replace(c, reason="") for c in FOUND.columns), "ill")


def encoded(data: Any) -> list[Any]:
    """The shape of a network's training rows, in any order of columns, and their classes."""
    return [data.numbers.shape[1], sorted(data.spans.widths), data.labels.tolist()]


def cells(found: synthgen.Table) -> list[Any]:
    return found.frame.sort_index(axis=1).astype(float).to_numpy().tolist()


CALLS: dict[str, Callable[..., Any]] = {
    "audit": lambda *xy, **how: synthgen.audit(*xy, **how).to_json()["findings"],
    "augment": lambda *xy, **how: (
        synthgen.augment(*xy, synthesizer="bootstrap", ratio=0.5, random_state=0, **how)
        .synthetic.sort_index(axis=1)
        .to_numpy()
        .tolist()
    ),
    "compare": lambda *xy, **how: (
        synthgen.compare(
            *xy, strategies=[], estimator="lr", folds=2, repeats=1, random_state=0, **how
        )
        .to_frame()["mean"]
        .tolist()
    ),
    "sweep": lambda *xy, **how: (
        synthgen.sweep(
            *xy, at=[12], strategies=[], estimator="lr", folds=2, repeats=1, random_state=0, **how
        )
        .points[0]
        .to_frame()["mean"]
        .tolist()
    ),
    "ImbalancedClassifier.fit": lambda *xy, **how: kept(table(), fitted(*xy, **how)),
    "ImbalancedClassifier.measured": lambda *xy, **how: fitted(table(), target="ill").measured(
        *xy, **how
    ),
    "NetworkSynthesizer.fit_steps": lambda *xy, **how: encoded(
        next(synthgen.TVAE(steps=1, device="cpu").fit_steps(*xy, **how)).learner.data
    ),
    "OversampledClassifier.fit": lambda *xy, **how: (
        synthgen.OversampledClassifier(
            LogisticRegression(), synthgen.Oversampler("bootstrap", random_state=0)
        )
        .fit(*xy, **how)
        .predict_proba(table()[["ward", "dose", "age"]])
        .tolist()
    ),
    "Oversampler.fit": lambda *xy, **how: (
        synthgen.Oversampler("bootstrap").fit(*xy, **how).sampling_strategy_
    ),
    "Oversampler.fit_resample": lambda *xy, **how: [
        of_columns(part)
        for part in synthgen.Oversampler("bootstrap", random_state=0).fit_resample(*xy, **how)
    ],
    "PrivateMarginals.table_of": lambda *xy, **how: cells(
        synthgen.PrivateMarginals(epsilon=1.0, schema=DECLARED).table_of(*xy, **how)
    ),
    "Synthesizer.table_of": lambda *xy, **how: cells(
        synthgen.SmoothedBootstrap().table_of(*xy, **how)
    ),
    "Synthesizer.fit": lambda *xy, **how: (
        synthgen.SmoothedBootstrap(random_state=0)
        .fit(*xy, **how)
        .sample(5, random_state=0)
        .sort_index(axis=1)
        .to_numpy()
        .tolist()
    ),
}


# A schema is inferred once in a call: a sweep does it for the whole and for each point, what counts
# rows of classes does not need one, and `measured` stands here with the `fit` before it.
INFERRED = {"sweep": 2, "Oversampler.fit": 0, "PrivateMarginals.table_of": 0}


def taking_classes() -> set[str]:
    """Public functions and methods that take features `X` and classes `y`."""
    found = set()
    for name in set(synthgen.__all__) - {"__version__"}:
        value = getattr(synthgen, name)
        each = {name: value}
        if isinstance(value, type):
            methods = inspect.getmembers(value, inspect.isfunction)
            each = {
                # A synthesizer's `fit` is that of its base class.
                f"{method.__qualname__}": method
                for key, method in methods
                if not key.startswith("_") and method.__module__.startswith("synthgen.")
            }
        for key, function in each.items():
            if {"X", "y"} <= set(inspect.signature(function).parameters):
                found.add(key)
    return found


def test_every_public_function_that_takes_classes_is_called_here():
    assert taking_classes() == set(CALLS)


@pytest.mark.parametrize("name", sorted(CALLS))
def test_both_styles_of_call_say_the_same(name: str, monkeypatch: pytest.MonkeyPatch):
    frame, call = table(), CALLS[name]
    X, y = frame.drop(columns=["ill"]), frame["ill"]
    in_two, as_second = call(X, y), call(frame, "ill")
    infer, inferred = synthgen.Schema.infer, []
    monkeypatch.setattr(
        synthgen.Schema, "infer", lambda *args, **how: inferred.append(1) or infer(*args, **how)
    )
    by_name = call(frame, target="ill")
    assert in_two == by_name == as_second
    assert len(inferred) == INFERRED.get(name, 1)
    with pytest.raises(UsageError, match="y and target='ill' were both given"):
        call(X, y, target="ill")
    with pytest.raises(UsageError, match="no column 'iil'"):
        call(frame, target="iil")


# The rows that something is fitted on: the whole table and, if an amount is validated, the training
# part of each fold. A comparison has three inner folds in each of two splits, and their whole.
PARTS: dict[str, tuple[Callable[[pd.DataFrame], Any], int]] = {
    "augment": (
        lambda frame: synthgen.augment(frame, "ill", synthesizer="bootstrap", random_state=0),
        1 + FOLDS,
    ),
    "Oversampler": (
        lambda frame: synthgen.Oversampler("bootstrap", ratio="auto", random_state=0).fit_resample(
            frame, target="ill"
        ),
        1 + FOLDS,
    ),
    "ImbalancedClassifier": (lambda frame: fitted(frame, "ill"), 1),
    "compare": (
        lambda frame: synthgen.compare(
            frame,
            "ill",
            strategies=["bootstrap", "bootstrap:double"],
            estimator="lr",
            folds=2,
            repeats=1,
            random_state=0,
        ),
        1 + 2 * (1 + INNER_FOLDS),
    ),
}


@pytest.mark.parametrize("name", sorted(PARTS))
def test_a_schema_is_inferred_and_a_guard_fitted_once_for_each_training_part(
    name: str, monkeypatch: pytest.MonkeyPatch
):
    call, parts = PARTS[name]
    monkeypatch.setitem(classifiers.VALIDATION, "max_iter", 5)
    inferred, guarded = Counter[Any](), Counter[Any]()
    infer, guard = synthgen.Schema.infer, Guard.__init__

    def rows(frame: pd.DataFrame) -> tuple[int, ...]:
        return tuple(pd.util.hash_pandas_object(frame["dose"], index=False))

    def noted(frame: pd.DataFrame, **how: Any) -> synthgen.Schema:
        inferred[rows(frame)] += 1
        return infer(frame, **how)

    def seen(self: Guard, known: synthgen.Table, label: Any, **how: Any) -> None:
        guarded[rows(known.frame), label] += 1
        guard(self, known, label, **how)

    monkeypatch.setattr(synthgen.Schema, "infer", noted)
    monkeypatch.setattr(Guard, "__init__", seen)
    call(table())
    assert len(inferred) == parts
    assert set(inferred.values()) == {1}
    assert set(guarded.values()) <= {1}
    assert {part for part, _ in guarded} <= set(inferred)
    assert bool(guarded) == (name != "ImbalancedClassifier")


def test_jobs_of_fit_many_and_frames_of_evaluate_are_given_in_both_styles():
    frame = table()
    X, y = frame.drop(columns=["ill"]), frame["ill"]
    jobs = [
        (synthgen.SmoothedBootstrap(random_state=0), X, y),
        (synthgen.SmoothedBootstrap(random_state=0), frame, "ill"),
    ]
    one, two = (model.sample(9, random_state=1) for model in synthgen.fit_many(jobs))
    pd.testing.assert_frame_equal(one, two[one.columns])
    table_of = synthgen.Table.of
    assert table_of(X, y).labels.tolist() == table_of(frame, target="ill").labels.tolist()


@pytest.mark.parametrize("name", ["audit", "compare", "ImbalancedClassifier.fit"])
def test_groups_are_given_as_an_array_or_as_the_name_of_a_column(name: str):
    frame, call = table(), CALLS[name]
    X, wards = frame.drop(columns=["ward"]), frame["ward"]
    if name.startswith("Imb"):
        given = fitted(X, target="ill", groups=wards)
        named = fitted(frame, target="ill", groups="ward")
        assert kept(frame, given) == kept(frame, named)
        assert "ward" not in named.feature_names_in_
    else:
        given, named = (
            call(X, target="ill", groups=wards),
            call(frame, target="ill", groups="ward"),
        )
        assert given == named
    with pytest.raises(UsageError, match="groups: there is no column 'bed'"):
        call(frame, target="ill", groups="bed")


def test_columns_that_are_given_stay_as_they_are():
    frame = table()
    before = frame.copy()
    X, y = features_and_classes(frame, target="ill")
    rest, groups = without_groups(X, "ward")
    assert [*rest.columns] == ["dose", "age"]
    assert (y.name, groups.name) == ("ill", "ward")
    pd.testing.assert_frame_equal(frame, before)
