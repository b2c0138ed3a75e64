"""The sampler: imbalanced-learn's checks, its meaning of the arguments, tables as they are."""

from __future__ import annotations

import io
import pickle
import random
import sys
from collections import Counter
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import Pipeline
from imblearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_param_validation,
    estimator_checks_generator,
)
from scipy import sparse
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score

from synthgen import CTGAN, Oversampler, Schema, SmoothedBootstrap
from synthgen.augmentation.amount import amounts
from synthgen.errors import DataError, SynthgenError, UsageError

FEW_STEPS = CTGAN(steps=3, batch_size=50)
NUMBERS = np.random.default_rng(0).normal(size=(60, 3))
BINARY = np.repeat([0, 1], [40, 20])
THREE = np.repeat(["a", "b", "c"], [30, 18, 12])


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("verbose", [False, True])
def test_progress_is_shown_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, verbose: bool
) -> None:
    bars = {}
    for name, options in {
        "validation": {"synthesizer": "bootstrap", "ratio": "auto"},
        "training": {"synthesizer": CTGAN(steps=3, batch_size=50, device="cpu")},
    }.items():
        monkeypatch.setattr(sys, "stderr", bars.setdefault(name, Terminal()))
        Oversampler(**options, random_state=0, verbose=verbose).fit_resample(NUMBERS, BINARY)
    assert ("choosing an amount" in bars["validation"].getvalue()) is verbose
    assert ("training" in bars["training"].getvalue()) is verbose


def bootstrap(**params: Any) -> Any:
    return Oversampler("bootstrap", random_state=0, **params)


def refused(kind: type[SynthgenError], code: int, X: Any, y: Any, **params: Any) -> str:
    """The message with which `fit_resample` refuses."""
    with pytest.raises(kind) as caught:
        bootstrap(**params).fit_resample(X, y)
    assert caught.value.code == code
    return str(caught.value)


def test_rules_hold_in_new_rows_and_are_checked_before_training() -> None:
    X = pd.DataFrame(NUMBERS, columns=["a", "b", "c"])
    sampler = bootstrap(rules=["a < b + 2", "c > -2"])
    made = sampler.fit_resample(X, BINARY)[0][sampler.sample_is_synthetic_]
    assert (made["a"] < made["b"] + 2).all()
    assert (made["c"] > -2).all()
    assert len(made) == 20
    assert sampler.guard_[1]["drawn"] == 20 + sum(sampler.guard_[1]["refused"].values())
    assert "names column 'd'" in refused(UsageError, 252, X, BINARY, rules=["d > 1"])
    assert "rules" in refused(UsageError, 241, X, BINARY, rules=7)


def test_a_networks_near_copies_are_refused() -> None:
    sampler = Oversampler(FEW_STEPS, random_state=0)
    sampler.fit_resample(NUMBERS, BINARY)
    assert sampler.guard_[1]["near_copies"] == "refused"


# --- imbalanced-learn's own checks --------------------------------------------------------------


# `parametrize_with_checks` hands pytest a generator, which pytest 9 warns of.
SUITE: Any = [*estimator_checks_generator(bootstrap())]


@pytest.mark.parametrize("synthesizer", ["bootstrap", FEW_STEPS], ids=["bootstrap", "ctgan"])
@pytest.mark.parametrize("check", [c for _, c in SUITE], ids=lambda check: check.func.__name__)
def test_check_suite(synthesizer: Any, check: Any) -> None:
    check(Oversampler(synthesizer, random_state=0))


@pytest.mark.parametrize(
    "check", [check_param_validation, check_dataframe_column_names_consistency]
)
def test_checks_that_imbalanced_learn_runs_on_its_own(check: Any) -> None:
    check("Oversampler", bootstrap())


# --- how many rows ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "y"),
    [
        ("auto", THREE),
        ("minority", THREE),
        ("not majority", THREE),
        ("not minority", THREE),
        ("all", THREE),
        ({"b": 20, "c": 12}, THREE),
        (lambda y: {"c": int((y == "a").sum()) - 1}, THREE),
        (0.75, BINARY),
        (1.0, BINARY),
        ("auto", np.repeat([0, 1, 2], 20)),
        ("minority", pd.Categorical(np.repeat(["a", "b"], 30), categories=["b", "a"])),
    ],
)
def test_sampling_strategy_means_what_imbalanced_learn_means(strategy: Any, y: Any) -> None:
    ours = bootstrap(sampling_strategy=strategy)
    theirs: Any = RandomOverSampler(sampling_strategy=strategy, random_state=0)
    found, expected = ours.fit_resample(NUMBERS, y), theirs.fit_resample(NUMBERS, y)
    assert ours.sampling_strategy_ == dict(theirs.sampling_strategy_)
    assert Counter(found[1]) == Counter(expected[1])
    assert ours.fit(NUMBERS, y).sampling_strategy_ == ours.sampling_strategy_
    assert ours.sample_is_synthetic_.sum() == sum(ours.sampling_strategy_.values())


@pytest.mark.parametrize(
    ("ratio", "counts"),
    [
        (1.0, {"a": 30, "b": 30, "c": 30}),
        (0.5, {"a": 30, "b": 18, "c": 15}),
        (0.1, {"a": 30, "b": 18, "c": 12}),
        (2, {"a": 30, "b": 60, "c": 60}),
        ("double", {"a": 30, "b": 36, "c": 24}),
    ],
)
def test_ratio_is_the_share_of_the_most_frequent_class(ratio: Any, counts: Any) -> None:
    assert Counter(bootstrap(ratio=ratio).fit_resample(NUMBERS, THREE)[1]) == counts


@pytest.mark.parametrize("ratio", [0.65, 1.5, "double"])
def test_a_ratio_asks_for_as_many_rows_as_in_augment(ratio: Any) -> None:
    found = bootstrap(ratio=ratio).fit(NUMBERS, THREE).sampling_strategy_
    wanted = amounts({"a": 30, "b": 18, "c": 12}, ["b", "c"], ratio=ratio)
    assert found == {addition.label: addition.rows for addition in wanted}


def test_ratio_is_rounded_not_cut() -> None:
    y = np.repeat([0, 1], [100, 10])
    X = np.arange(220.0).reshape(110, 2)
    assert Counter(bootstrap(ratio=0.29).fit_resample(X, y)[1])[1] == 29  # 0.29 * 100 < 29


def test_balanced_comes_back_as_it_is() -> None:
    frame = pd.DataFrame(NUMBERS, index=np.arange(60) + 5)
    oversampler = bootstrap()
    X, y = oversampler.fit_resample(frame, np.repeat([0, 1], 30))
    pd.testing.assert_frame_equal(X, frame.reset_index(drop=True))
    assert y.tolist() == [0] * 30 + [1] * 30
    assert oversampler.synthesizer_ is None
    assert not oversampler.sample_is_synthetic_.any()


@pytest.mark.parametrize(
    ("params", "code", "says"),
    [
        ({"sampling_strategy": 0.2}, 244, "sampling_strategy=0.2 (8 rows): "),
        ({"sampling_strategy": 0.5}, 244, "(rows present: 0: 40, 1: 20)"),
        ({"sampling_strategy": {1: 10}}, 244, "there is 20 samples and 10 samples are asked"),
        ({"sampling_strategy": {1: -1}}, 244, "cannot be negative"),
        ({"sampling_strategy": {7: 50}}, 244, "The {7} target class is/are not present"),
        ({"sampling_strategy": {1: 30.5}}, 244, "asks for 30.5 rows of class 1"),
        ({"sampling_strategy": {1: "30"}}, 244, "asks for '30' rows of class 1"),
        ({"sampling_strategy": lambda y: None}, 244, "returned None"),
        ({"sampling_strategy": {1: 10**9}}, 204, "999,999,980 rows need about"),
        ({"sampling_strategy": 1.5}, 241, "must be a float in the range (0.0, 1.0]"),
        ({"sampling_strategy": "majority"}, 241, "Got 'majority' instead"),
        ({"sampling_strategy": [1]}, 241, "Got [1] instead"),
        ({"ratio": 0.5, "sampling_strategy": {1: 30}}, 243, "give one of them"),
        ({"ratio": "some"}, 277, "must be a number above 0, 'auto' or 'double', not 'some'"),
        ({"ratio": 0}, 277, "above 0, 'auto' or 'double', not 0"),
        ({"ratio": True}, 277, "not True"),
        ({"found_rules": "off"}, 241, "Got 'off' instead"),
        ({"ratio": float("nan")}, 277, "not nan"),
        ({"ratio": float("inf")}, 277, "not inf"),
        ({"ratio": 1e12}, 204, "rows need about"),
    ],
)
def test_requests_that_cannot_be(params: dict[str, Any], code: int, says: str) -> None:
    assert says in refused(UsageError, code, NUMBERS, BINARY, **params)


def test_a_share_of_three_classes_is_refused() -> None:
    assert "use a dict" in refused(UsageError, 244, NUMBERS, THREE, sampling_strategy=0.9)


def test_errors_of_a_users_function_are_left_alone() -> None:
    with pytest.raises(ZeroDivisionError):
        bootstrap(sampling_strategy=lambda y: 1 // 0).fit_resample(NUMBERS, BINARY)


def test_one_row_of_a_class_is_refused_and_two_are_enough() -> None:
    y = np.repeat([0, 1, 2], [57, 2, 1])
    assert "class 2 has 1 row" in refused(UsageError, 202, NUMBERS, y)
    X, more = bootstrap(sampling_strategy={1: 9}).fit_resample(NUMBERS, y)
    assert Counter(more) == {0: 57, 1: 9, 2: 1}
    assert len(X) == 67


# --- the synthesizer ----------------------------------------------------------------------------


def test_an_instance_is_cloned_and_only_classes_that_get_rows_are_learned() -> None:
    own = SmoothedBootstrap(bandwidth=0.25)
    oversampler = Oversampler(own, sampling_strategy={"c": 20}, random_state=0)
    oversampler.fit_resample(NUMBERS, THREE)
    fitted = oversampler.synthesizer_
    assert isinstance(fitted, SmoothedBootstrap)
    assert fitted is not own
    assert fitted.bandwidth == 0.25
    assert fitted.classes_ == ("c",)
    assert own.classes is None
    assert not vars(own).keys() & {"schema_", "classes_"}


@pytest.mark.parametrize("name", ["synthgen.synthesizers.bootstrap:SmoothedBootstrap", "bootstrap"])
def test_synthesizers_by_name(name: str) -> None:
    oversampler = Oversampler(name).fit(NUMBERS, BINARY)
    oversampler.fit_resample(NUMBERS, BINARY)
    assert isinstance(oversampler.synthesizer_, SmoothedBootstrap)


def test_an_unknown_synthesizer_is_refused_even_where_no_row_is_wanted() -> None:
    with pytest.raises(UsageError, match="there is no synthesizer 'smite'"):
        Oversampler("smite").fit_resample(NUMBERS, np.repeat([0, 1], 30))
    with pytest.raises(UsageError, match="'synthesizer' parameter of Oversampler must be"):
        Oversampler(CTGAN).fit(NUMBERS, BINARY)  # type: ignore[arg-type]


def test_few_rows_of_a_class_are_announced() -> None:
    y = np.repeat([0, 1], [55, 5])
    with pytest.warns(UserWarning, match="fewer than 10 rows"):
        _, more = Oversampler(FEW_STEPS, random_state=0).fit_resample(NUMBERS, y)
    assert Counter(more) == {0: 55, 1: 55}


# --- seeds --------------------------------------------------------------------------------------


def made(random_state: Any, synthesizer: Any = "bootstrap") -> bytes:
    X, _ = Oversampler(synthesizer, random_state=random_state).fit_resample(NUMBERS, THREE)
    return X.tobytes()


@pytest.mark.parametrize("synthesizer", ["bootstrap", FEW_STEPS])
def test_same_seed_same_bytes(synthesizer: Any) -> None:
    assert made(0, synthesizer) == made(0, synthesizer)
    assert made(0, synthesizer) != made(1, synthesizer)
    assert made(None, synthesizer) != made(None, synthesizer)


@pytest.mark.parametrize(
    "seeded", [np.random.default_rng, np.random.RandomState, np.random.SeedSequence]
)
def test_generators_are_taken(seeded: Any) -> None:
    assert made(seeded(3)) == made(seeded(3))
    generator = seeded(3)
    repeats = isinstance(generator, np.random.SeedSequence)
    assert (made(generator) == made(generator)) is repeats


def test_bad_seeds_are_refused() -> None:
    for bad in (-1, True, "0", 0.5):
        with pytest.raises(UsageError, match="random_state must be a whole number from 0"):
            made(bad)


def test_a_synthesizers_own_seed_is_kept() -> None:
    oversampler = Oversampler(CTGAN(steps=1, batch_size=20, random_state=5), random_state=0)
    oversampler.fit_resample(NUMBERS, BINARY)
    assert oversampler.synthesizer_ is not None
    assert oversampler.synthesizer_.random_state == 5


@pytest.mark.parametrize("random_state", [None, 0])
def test_global_random_states_are_left_alone(random_state: Any) -> None:
    def states() -> bytes:
        state = (random.getstate(), np.random.get_state(), torch.get_rng_state().numpy())  # noqa: NPY002
        return pickle.dumps(state)

    before = states()
    made(random_state, FEW_STEPS)
    assert states() == before


# --- tables as they are -------------------------------------------------------------------------


def every_kind(rows: int = 120) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    gone = rng.random(rows) < 0.3
    numbers, whole = rng.normal(size=rows), rng.integers(0, 900, rows)
    letters = rng.choice(["u", "v"], rows)
    days = pd.date_range("2020-01-01", periods=rows)
    arrow: Any = pd.ArrowDtype

    def gaps(values: Any, marker: Any = None) -> Any:
        cells = np.array(values, dtype=object)
        cells[gone] = marker
        return cells

    columns: dict[str, Any] = {
        "float": numbers,
        "float32": numbers.astype("float32"),
        "int8": (whole % 100).astype("int8"),
        "with_nan": np.where(gone, np.nan, numbers),
        "Int64": pd.array(gaps(whole), dtype="Int64"),
        "Float64": pd.array(gaps(numbers), dtype="Float64"),
        "boolean": pd.array(gaps(numbers > 0), dtype="boolean"),
        "bool": numbers > 0,
        "ordered": pd.Categorical(letters, ["never", "u", "v"], ordered=True),
        "category": pd.Categorical(gaps(letters), ["w", "v", "u"]),
        "string": pd.array(gaps(letters), dtype="string"),
        "day": days.where(~gone),
        "hour": pd.date_range("2020-01-01", periods=rows, freq="h", tz="Europe/Berlin"),
        "second": days.as_unit("s"),
        "span": pd.to_timedelta(whole, unit="s"),
        "arrow_int": pd.Series(whole).astype(arrow(pa.int32())).array,
        "arrow_text": pd.Series(gaps(letters)).astype(arrow(pa.string())).array,
        "arrow_time": pd.Series(days).astype(arrow(pa.timestamp("us"))).array,
        "sparse": pd.arrays.SparseArray(np.where(gone, numbers, 0)),
        "number": np.arange(rows) + 100,
        "missing": np.full(rows, np.nan),
        "constant": 7,
        "text": gaps(letters, np.nan),
        "none": gaps(letters),
        "na": gaps(letters, pd.NA),
        "flags": gaps(numbers > 0),
        "mixture": np.array([1, "a", None, 2.5] * (rows // 4), dtype=object),
        "name": [f"patient-{i}" for i in range(rows)],
    }
    return pd.DataFrame(columns).set_axis(rng.permutation(rows), axis=0)


KINDS = every_kind()
LABELS = pd.Series(
    pd.Categorical(np.repeat(["x", "y", "z"], [80, 25, 15]), list("qzyx"), ordered=True),
    index=KINDS.index,
    name="class",
)


@pytest.mark.parametrize("synthesizer", ["bootstrap", FEW_STEPS])
def test_every_kind_of_column(synthesizer: Any) -> None:
    before = KINDS.copy(deep=True), LABELS.copy(deep=True)
    # A network of few steps keeps hardly any of the rules that its table holds.
    rules = synthesizer == "bootstrap"
    oversampler = Oversampler(synthesizer, found_rules=rules, random_state=0)
    X, y = oversampler.fit_resample(KINDS, LABELS)
    pd.testing.assert_frame_equal(KINDS, before[0])
    pd.testing.assert_series_equal(LABELS, before[1])

    pd.testing.assert_frame_equal(X[:120], KINDS.reset_index(drop=True))
    pd.testing.assert_series_equal(y[:120], LABELS.reset_index(drop=True))
    assert list(X.dtypes) == list(KINDS.dtypes)
    assert y.dtype == LABELS.dtype
    assert X.index.equals(pd.RangeIndex(240))
    assert y.index.equals(pd.RangeIndex(240))
    assert list(y[120:]) == ["y"] * 55 + ["z"] * 65
    assert oversampler.sample_is_synthetic_.tolist() == [False] * 120 + [True] * 120
    assert oversampler.sample_is_synthetic_.dtype == bool


def test_missing_cells_are_written_as_the_real_ones() -> None:
    X, _ = bootstrap().fit_resample(KINDS, LABELS)
    for name in ("text", "none", "na", "flags", "mixture"):
        cells = X[name][X[name].isna()]
        assert cells.index.max() >= 120, name
        assert len({type(cell) for cell in cells}) == 1, name


def test_ids_are_nowhere_else() -> None:
    X, y = bootstrap().fit_resample(KINDS[["name", "number", "float"]], LABELS)
    assert X["name"].is_unique
    assert X["number"].is_unique
    again, _ = bootstrap(sampling_strategy={"z": 90}).fit_resample(X, y)
    assert len(again) == len(X) + 10
    assert again["name"].is_unique
    assert again["number"].is_unique


def test_ids_without_room_are_refused() -> None:
    X = np.arange(256, dtype="uint8")[:, None]
    assert "no room" in refused(DataError, 329, X, np.repeat([0, 1], [200, 56]))


def test_ids_that_are_categories_become_new_levels() -> None:
    frame = pd.DataFrame(
        {"key": pd.Categorical([f"k{i % 50}" for i in range(60)]), "v": NUMBERS[:, 0]}
    )
    guessed = Schema.infer(frame.assign(ill=BINARY), target="ill")
    schema = Schema(
        tuple(replace(c, kind="id") if c.name == "key" else c for c in guessed.columns), "ill"
    )
    oversampler = Oversampler(SmoothedBootstrap(schema=schema), random_state=0)
    X, _ = oversampler.fit_resample(frame, pd.Series(BINARY, name="ill"))
    levels = X["key"].cat.categories.tolist()
    assert levels[:50] == frame["key"].cat.categories.tolist()
    assert levels[50:] == X["key"][60:].tolist()


@pytest.mark.parametrize(
    "columns",
    [
        [3, 2, 1],
        [1, "b", "c"],
        [("a", "b"), "c", 3],
        ["", "  a", "target"],
        pd.MultiIndex.from_tuples([("a", "x"), ("a", "y"), ("b", "x")], names=["up", "low"]),
    ],
)
@pytest.mark.parametrize("name", ["target", None, 1])
def test_column_names_are_kept(columns: Any, name: Any) -> None:
    frame = pd.DataFrame(NUMBERS).set_axis(columns, axis=1)
    oversampler = bootstrap()
    X, y = oversampler.fit_resample(frame, pd.Series(BINARY, name=name))
    pd.testing.assert_index_equal(X.columns, frame.columns)
    assert y.name == name
    assert oversampler.n_features_in_ == 3
    assert ("feature_names_in_" in vars(oversampler)) == (list(columns)[1] == "  a")


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "int16", "uint8", "bool", "object", "datetime64[D]", "U4"]
)
def test_arrays_come_back_as_arrays(dtype: str) -> None:
    values = (100 * np.abs(NUMBERS[:, :2])).astype("int64") % 90
    X = (values > 40 if dtype == "bool" else values).astype(dtype)
    more, y = bootstrap().fit_resample(X, BINARY.astype("int8"))
    assert isinstance(more, np.ndarray)
    assert more.dtype == X.dtype
    assert y.dtype == "int8"
    assert np.array_equal(more[:60], X)
    assert more.shape == (80, 2)


def test_arrays_of_text_are_widened_for_ids() -> None:
    X = np.array([[f"p{i}"] for i in range(60)])
    more, _ = bootstrap().fit_resample(X, BINARY)
    assert more[-1, 0] == "synthetic-000020"


def test_lists_of_rows_keep_what_a_cell_is() -> None:
    X = [[1, "a", None, 2.5, True]] * 40 + [
        [2, "b", None, 0.5, False],
        [3, "c", None, 1.5, True],
    ] * 10
    more, y = bootstrap().fit_resample(X, BINARY.tolist())
    assert more[:60] == X
    assert more[0] is not X[0]
    assert isinstance(y, list)
    assert {tuple(map(type, row)) for row in more} == {(int, str, type(None), float, bool)}


@pytest.mark.parametrize(
    "dtype",
    ["bool", "float64", "U3", "object", "Int64", "boolean", "string", "category", "Sparse[int]"],
)
@pytest.mark.parametrize("box", [np.asarray, pd.Series, pd.Index, pd.DataFrame, pd.array])
def test_y_comes_back_as_it_came(dtype: str, box: Any) -> None:
    numpy_has_it = dtype in ("bool", "float64", "U3", "object")
    values = BINARY if numpy_has_it else pd.Series(BINARY)
    y = box(values.astype(cast(Any, dtype)))
    _, more = bootstrap(sampling_strategy=0.75).fit_resample(NUMBERS, y)
    assert type(more) is type(y)
    assert len(more) == 70
    flat = more.iloc[:, 0] if box is pd.DataFrame else more
    assert Counter(np.asarray(flat).astype("float").tolist()) == {0: 40, 1: 30}
    before = y.iloc[:, 0] if box is pd.DataFrame else y
    assert flat.dtype == before.dtype


def test_indexes_that_pair_other_rows_are_refused() -> None:
    frame, y = pd.DataFrame(NUMBERS), pd.Series(BINARY)
    refused(DataError, 328, frame, y[::-1])
    shuffled = frame.sample(frac=1, random_state=0)
    for one, other in ((shuffled, BINARY), (shuffled.to_numpy(), y[::-1])):
        X, _ = bootstrap().fit_resample(one, other)
        assert np.array_equal(np.asarray(X)[:60], shuffled.to_numpy())


def test_a_column_vector_becomes_flat() -> None:
    _, y = bootstrap().fit_resample(NUMBERS, BINARY[:, None])
    assert y.shape == (80,)


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("X", "code", "says"),
    [
        (sparse.csr_matrix(NUMBERS), 352, "make it dense, with X.toarray()"),
        (sparse.coo_array(NUMBERS), 352, "make it dense, with X.toarray()"),
        (NUMBERS[:, 0], 353, "ndarray of shape (60,)"),
        (NUMBERS[:, :0], 353, "ndarray of shape (60, 0)"),
        (np.ma.masked_array(NUMBERS, NUMBERS > 1), 353, "X is a MaskedArray"),
        (pd.DataFrame(NUMBERS)[:0], 353, "DataFrame of shape (0, 3)"),
        ([[1, 2], [3]] * 30, 353, "equally long"),
        ([], 353, "X is a list"),
        (None, 353, "X is a NoneType"),
        (NUMBERS[:9], 334, "X has 9 rows and y has 60"),
        (np.where(NUMBERS > 2, np.inf, NUMBERS), 344, "inf is infinite"),
        (NUMBERS.astype(complex), 343, "column 0 is complex128"),
        (NUMBERS.astype("S4"), 343, "turn it into text"),
        (pd.DataFrame(NUMBERS, columns=list("aba")), 337, "column 'a' appears more than once"),
    ],
)
def test_tables_that_cannot_be_used(X: Any, code: int, says: str) -> None:
    assert says in refused(DataError, code, X, BINARY)


@pytest.mark.parametrize(
    ("y", "code", "says"),
    [
        (np.where(BINARY == 1, np.nan, 0.0), 339, "20 rows have no class"),
        ([1, "1"] * 30, 340, "1 (int) and '1' (str)"),
        ([1, "a"] * 30, 351, "Make the classes text or whole numbers"),
        (np.repeat([0.5, 1.5], 30), 351, "Unknown label type"),
        (np.zeros(60), 341, "only one class"),
        (NUMBERS[:, 0], 342, "is it a quantity"),
        (np.ones((60, 2), dtype=int), 354, "Multilabel and multioutput targets"),
        (np.zeros((60, 2), dtype=int), 354, "Multilabel and multioutput targets"),
        (pd.DataFrame({"a": BINARY, "b": BINARY}), 354, "DataFrame of shape (60, 2)"),
        (None, 354, "y is a NoneType"),
        ("yes", 335, "give a pandas DataFrame"),
        (sparse.csr_matrix(BINARY[:, None]), 354, "y is a csr_matrix"),
    ],
)
def test_targets_that_cannot_be_used(y: Any, code: int, says: str) -> None:
    assert says in refused(DataError, code, NUMBERS, y)


# --- inside scikit-learn ------------------------------------------------------------------------


def test_in_a_pipeline_only_training_rows_are_added_to() -> None:
    frame, labels = KINDS[["float", "with_nan", "int8"]], LABELS.astype(str)
    pipeline = Pipeline(
        [("more", bootstrap()), ("model", HistGradientBoostingClassifier(max_iter=3))]
    )
    scores = cross_val_score(pipeline, frame, labels, cv=3, scoring="balanced_accuracy")
    assert np.isfinite(scores).all()
    fitted = pipeline.fit(frame, labels)
    assert len(fitted.predict(frame)) == len(frame)
    assert fitted.named_steps["more"].sample_is_synthetic_.sum() == 120


def test_parameters_are_reached_and_cloned() -> None:
    oversampler = Oversampler(CTGAN(steps=3), ratio=0.5, random_state=0)
    assert oversampler.get_params()["synthesizer__steps"] == 3
    oversampler.set_params(synthesizer__steps=7, ratio=0.25)
    copy: Any = clone(oversampler)
    assert isinstance(copy.synthesizer, CTGAN)
    assert copy.synthesizer is not oversampler.synthesizer
    assert (copy.synthesizer.steps, copy.ratio, copy.random_state) == (7, 0.25, 0)


def test_parameters_of_the_synthesizer_can_be_searched() -> None:
    pipeline = Pipeline(
        [
            ("more", Oversampler(SmoothedBootstrap(), random_state=0)),
            ("model", HistGradientBoostingClassifier(max_iter=2)),
        ]
    )
    grid = {"more__synthesizer__bandwidth": [0.0, 0.5], "more__ratio": [0.6, 1.0]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(NUMBERS, BINARY)
    assert set(search.best_params_) == set(grid)


def test_feature_names_out() -> None:
    oversampler = bootstrap().fit(pd.DataFrame(NUMBERS, columns=list("abc")), BINARY)
    assert oversampler.get_feature_names_out().tolist() == ["a", "b", "c"]
    assert oversampler.feature_names_in_.tolist() == ["a", "b", "c"]
    oversampler.fit(NUMBERS, BINARY)
    assert oversampler.get_feature_names_out().tolist() == ["x0", "x1", "x2"]
