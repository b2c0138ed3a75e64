"""The door: what is given becomes one checked table, or is refused in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from synthgen import TVAE, Oversampler, Table, audit, augment, evaluate
from synthgen.errors import DataError, SynthgenError, UsageError
from synthgen.metrics import attacks, battery, samples, utility_trial

rng = np.random.default_rng(0)
X = pd.DataFrame({"dose": rng.normal(size=60).round(3), "age": rng.integers(20, 90, 60)})
y = pd.Series(["yes"] * 20 + ["no"] * 40, name="ill")
frame = X.assign(ill=y)


def test_all_ways_of_giving_one_table_are_equal() -> None:
    tables = [
        Table.of(frame, target="ill"),
        Table.of(frame, "ill"),
        Table.of(X, y),
        Table.of(X, y.to_frame()),
        Table.of(Table.of(X, y)),
        Table.of(Table.of(X, y), target="ill"),
        Table.labelled(X, y),
        Table.of(frame, schema=Table.of(X, y).schema),
    ]
    for table in tables:
        # Names may be any values, so that the index of names is one of objects in pandas 3, too.
        pd.testing.assert_frame_equal(table.frame, frame, check_column_type=False)
        assert table.schema == tables[0].schema
        assert table.schema.target == "ill"
        assert table.counts == {"no": 40, "yes": 20}


def test_arrays_have_numbered_columns_and_a_target() -> None:
    for classes in (y.to_numpy(), y.tolist(), y.to_numpy().reshape(-1, 1)):
        table = Table.of(X.to_numpy(), classes)
        assert table.schema.names == [0, 1, "target"]
        assert table.schema.target == "target"


@pytest.mark.parametrize(
    ("call", "code", "says"),
    [
        (lambda: Table.of(frame, "il"), 215, "no column 'il' for a target.* mean 'ill'\\?"),
        (lambda: Table.of(frame, target="zzz"), 215, "it has 'dose', 'age', 'ill': name one"),
        (
            lambda: Table.of(frame, target=cast(Any, y)),
            215,
            "the target is a Series.*as \\(X, y\\)",
        ),
        (lambda: Table.of(X, y, target="ill"), 216, "y and target='ill' were both given"),
        (lambda: Table.of(frame, "ill", target="age"), 216, "two targets were given"),
        (lambda: Table.of(Table.of(X, y), target="age"), 216, "has its target and schema"),
        (lambda: Table.labelled(frame), 217, "nothing says which column holds the classes"),
        (lambda: Table.of(X.to_numpy(), target=1), 335, "the table is a ndarray: give a pandas"),
        (lambda: Table.of(X, y[:-1]), 334, "X has 60 rows and y has 59"),
        (lambda: Table.of(X, {"a": 1}), 330, "y is a dict: give one class"),
    ],
)
def test_what_is_no_table_is_refused(call: Callable[[], Any], code: int, says: str) -> None:
    with pytest.raises(SynthgenError, match=says) as caught:
        call()
    assert caught.value.code == code


def test_a_wrong_target_is_a_usage_error_everywhere() -> None:
    for call in (
        lambda: augment(frame, "il", synthesizer="bootstrap"),
        lambda: evaluate(frame, frame, target="il"),
        lambda: Table.of(frame, target="il"),
    ):
        with pytest.raises(UsageError, match="did you mean 'ill'") as caught:
            call()
        assert caught.value.exit_status == 2


# --- names ----------------------------------------------------------------------------------------


def test_whole_numbers_as_names() -> None:
    numbered = pd.DataFrame({0: range(60), 1: [1] * 20 + [0] * 40})
    result = augment(numbered, 1, n_samples=5, synthesizer="bootstrap", random_state=0)
    assert result.frame[1].tolist() == [*numbered[1], *[1] * 5]
    assert list(result.frame.columns) == [0, 1]


def test_evaluate_takes_whole_numbers_as_names() -> None:
    numbered = frame[["dose", "ill"]].set_axis([0, 1], axis=1)
    report = evaluate(
        numbered[::2],
        numbered[1::2],
        target=numbered.columns[1],
        judges=["logistic"],
        random_state=0,
    )
    assert report.target == "1"


def test_evaluate_takes_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {(battery, "REPEATS"): 1, (samples, "HALVES"): 3, (utility_trial, "REPLICATES"): 20}
    for (module, name), number in few.items():
        monkeypatch.setattr(module, name, number)
    monkeypatch.setattr(attacks, "REPEATS", (1, 1))
    train, made, fresh = frame[::3], frame[1::3], frame[2::3]
    options: dict[str, Any] = {"judges": ["logistic"], "random_state": 0}
    report = evaluate(train, made, fresh, target="ill", **options)
    features, classes = train.drop(columns="ill"), train["ill"]
    unnamed = made["ill"].to_numpy(), fresh["ill"].rename("outcome")
    pairs = evaluate(
        (features, classes),
        (made[features.columns], unnamed[0]),
        (fresh[features.columns], unnamed[1]),
        **options,
    )
    assert pairs.target == "ill"
    pd.testing.assert_frame_equal(pairs.to_frame(), report.to_frame())
    assert pairs.verdicts == report.verdicts


@pytest.mark.parametrize(
    ("call", "code", "says"),
    [
        (lambda: evaluate((X, y), (X, y), target="ill"), 216, "target='ill' were both given"),
        (lambda: evaluate((X, y), frame), 217, "the synthetic table is a DataFrame, not a pair"),
        (
            lambda: evaluate(cast(Any, (X, y, y)), (X, y)),
            217,
            "the train table is a tuple, not a pair",
        ),
        (lambda: evaluate(frame, frame), 217, "nothing says which column holds the classes"),
        (lambda: evaluate((X, y), (X, y[:-1])), 334, "synthetic table: X has 60 rows and y has 59"),
    ],
)
def test_evaluate_refuses_a_mixture(call: Callable[[], Any], code: int, says: str) -> None:
    with pytest.raises(SynthgenError, match=says) as caught:
        call()
    assert caught.value.code == code


def test_names_are_python_values() -> None:
    numbered = frame.set_axis(pd.Index([np.int64(7), np.float64(1.5), "ill"], dtype=object), axis=1)
    table = Table.of(numbered, target="ill")
    assert [type(name) for name in table.schema.names] == [int, float, str]
    assert table.schema[np.int64(7)].name == 7


# --- bytes ----------------------------------------------------------------------------------------


def test_big_endian_arrays_and_frames() -> None:
    cells, codes = X.to_numpy(dtype=">f8"), (y == "yes").to_numpy().astype(">i4")
    expected = Oversampler("bootstrap", random_state=0).fit_resample(
        cells.astype(float), codes.astype(int)
    )
    for given in (cells, pd.DataFrame(cells)):
        more, labels = Oversampler("bootstrap", random_state=0).fit_resample(given, codes)
        np.testing.assert_array_equal(np.asarray(more), expected[0])
        np.testing.assert_array_equal(labels, expected[1])


def test_a_big_endian_column_is_augmented_and_audited() -> None:
    big = frame.assign(dose=frame["dose"].to_numpy().astype(">f8"), code=np.arange(60, dtype=">i4"))
    result = augment(big, "ill", n_samples=9, synthesizer="bootstrap", random_state=0)
    assert result.frame["dose"][:60].tolist() == big["dose"].tolist()
    assert len(result.frame) == 69
    assert audit(big, target="ill").rows == 60
    assert all(dtype.isnative for dtype in Table.of(big, target="ill").frame.dtypes[:2])


def test_read_only_and_strided_arrays_are_taken_and_left_as_they_are() -> None:
    cells = np.asfortranarray(np.tile(X.to_numpy(), (1, 2)))[:, ::2]
    cells.setflags(write=False)
    labels = np.repeat(y.to_numpy(), 2)[::2]
    labels.setflags(write=False)
    before = cells.copy()
    more, _ = Oversampler("bootstrap", random_state=0).fit_resample(cells, labels)
    assert more.shape == (80, 2)
    np.testing.assert_array_equal(cells, before)
    assert TVAE(steps=3, scope="all", device="cpu", random_state=0).fit(cells, labels).sample(
        3
    ).shape == (3, 3)


# --- frames of other packages ---------------------------------------------------------------------


def of_package(package: str, kind: str) -> Any:
    """An object that looks like one of a package that is not installed."""
    return type(kind, (), {"__module__": f"{package}.core.frame"})()


OTHERS: dict[str, tuple[Any, Any, str]] = {
    "vaex": (of_package("vaex", "DataFrame"), y, r"a vaex DataFrame.*frame\.to_pandas\(\)"),
    "dask": (of_package("dask", "DataFrame"), y, r"frame\.compute\(\)"),
    "series": (X, of_package("dask", "Series"), r"y is a dask Series.*y\.compute\(\)"),
    "pyspark": (of_package("pyspark", "DataFrame"), y, r"frame\.toPandas\(\)"),
}


@pytest.mark.parametrize(("features", "classes", "says"), OTHERS.values(), ids=list(OTHERS))
def test_frames_that_could_not_be_given_back_are_refused_everywhere(
    features: Any, classes: Any, says: str
) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: audit(features, classes),
        lambda: TVAE(steps=3).fit(features, classes),
        lambda: Oversampler("bootstrap").fit_resample(features, classes),
        lambda: Table.of(features, classes),
    ]
    if classes is y:
        calls += [
            lambda: augment(features, "ill"),
            lambda: evaluate(features, frame, target="ill"),
            lambda: evaluate(frame, features, target="ill"),
            lambda: evaluate(frame, frame, holdout=features, target="ill"),
        ]
    for call in calls:
        with pytest.raises(DataError, match=f"(?s){says}") as caught:
            call()
        assert caught.value.code == 355
