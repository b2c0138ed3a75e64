"""Frames of other packages: what every function takes, and that the same kind comes back."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from imblearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from synthgen import (
    ImbalancedClassifier,
    OversampledClassifier,
    Oversampler,
    SmoothedBootstrap,
    Table,
    audit,
    augment,
    read_table,
    write_table,
)
from synthgen.errors import DataError
from synthgen.tables.calls import without_groups
from synthgen.tables.foreign import as_given, as_pandas, none_of

NEED = pytest.mark.skipif(
    find_spec("polars") is None and not os.environ.get("NEED_OTHERS"),
    reason="polars is not installed",
)
rng = np.random.default_rng(0)
ILL = np.repeat(["no", "yes"], [40, 10])
DOSE = np.where(ILL == "yes", 9, 0) + rng.normal(size=50).round(3)
# NaN and null are two things, which pandas does not tell apart.
CELLS = {
    "dose": pa.array([float("nan"), None, *DOSE[2:]], pa.float32()),
    "age": pa.array([None, *rng.integers(20, 90, 49)], pa.int16()),
    "sex": pa.array([None, *rng.choice(["f", "m"], 49)]).dictionary_encode(),
    "day": pa.array([None, *(datetime.date(2024, 1, 1 + i % 28) for i in range(49))]),
    "at": pa.array([datetime.datetime(2024, 1, 1, i % 24) for i in range(50)], pa.timestamp("ms")),
    "smokes": pa.array([None, *(rng.random(49) < 0.5)]),
    "ill": pa.array(ILL, pa.large_string()),
}
ARROW = pa.table(CELLS)


def polars(table: pa.Table) -> Any:
    import polars as pl  # pyright: ignore[reportMissingImports]

    return pl.from_arrow(table)


def ordered(table: pa.Table) -> Any:
    """A polars frame with a column of a type that only polars has."""
    import polars as pl  # pyright: ignore[reportMissingImports]

    return polars(table).with_columns(pl.col("sex").cast(pl.Enum(["f", "m"])))


KINDS = [
    pytest.param(lambda table: table, id="arrow"),
    pytest.param(ds.dataset, id="dataset"),
    pytest.param(polars, id="polars", marks=NEED),
    pytest.param(ordered, id="enum", marks=NEED),
    pytest.param(lambda table: polars(table).lazy(), id="lazy", marks=NEED),
]
each_kind = pytest.mark.parametrize("kind", KINDS)
frames = pytest.mark.parametrize("kind", [KINDS[0], KINDS[2]])  # what scikit-learn takes, too


def arrow(frame: Any) -> pa.Table:
    """What a frame of any kind holds."""
    if isinstance(frame, ds.Dataset):
        return frame.to_table()
    if type(frame).__name__ == "LazyFrame":
        frame = frame.collect()
    return frame if isinstance(frame, pa.Table) else frame.to_arrow()


def cells(table: pa.Table) -> list[list[str]]:
    return [list(map(repr, column.to_pylist())) for column in table.columns]


def bootstrap() -> Oversampler:
    return Oversampler("bootstrap", ratio=0.5, random_state=0)


@each_kind
def test_augment_gives_the_same_kind_and_every_given_cell(kind: Callable[[pa.Table], Any]) -> None:
    given = kind(ARROW)
    made = augment(given, "ill", n_samples=7, synthesizer="bootstrap", random_state=0)
    for found, rows in ((made.frame, 57), (made.real, 50), (made.synthetic, 7)):
        assert type(found) is type(given)
        assert arrow(found).schema == arrow(given).schema
        assert arrow(found).num_rows == rows
    assert cells(arrow(made.frame).slice(0, 50)) == cells(ARROW) == cells(arrow(made.real))
    assert cells(arrow(made.frame).slice(50)) == cells(arrow(made.synthetic))
    assert arrow(made.synthetic)["ill"].to_pylist() == ["yes"] * 7
    assert arrow(made.to_frame())["is_synthetic"].to_pylist() == [False] * 50 + [True] * 7
    same = augment(as_pandas(given), "ill", n_samples=7, synthesizer="bootstrap", random_state=0)
    pd.testing.assert_frame_equal(same.frame, made.pandas_frame)


@each_kind
def test_the_oversampler_gives_both_back(kind: Callable[[pa.Table], Any]) -> None:
    features, classes = kind(ARROW.drop_columns("ill")), kind(ARROW)
    X, y = bootstrap().fit_resample(classes, target="ill")
    assert type(X) is type(features)
    assert arrow(X).schema == arrow(features).schema
    assert y.to_pylist() == ILL.tolist() + ["yes"] * 10 if "pyarrow" in str(type(y)) else y.len()
    assert cells(arrow(X).slice(0, 50)) == cells(arrow(features))
    column = arrow(classes)["ill"]
    pair = bootstrap().fit_resample(features, column)
    assert type(pair[1]) is pa.ChunkedArray
    assert cells(arrow(pair[0])) == cells(arrow(X))
    assert type(bootstrap().fit_resample(features, ILL)[1]) is np.ndarray


@NEED
def test_a_polars_series_comes_back_with_its_name() -> None:
    frame = polars(ARROW)
    X, y = bootstrap().fit_resample(frame.drop("ill"), frame["ill"])
    assert (type(y), y.name, y.dtype) == (type(frame["ill"]), "ill", frame["ill"].dtype)
    assert y.to_list() == ILL.tolist() + ["yes"] * 10
    made = augment(frame.drop("ill"), frame["ill"], n_samples=2, synthesizer="bootstrap")
    assert made.frame.columns == [*X.columns, "ill"]


@pytest.mark.parametrize("kind", ["default", "pandas", pytest.param("polars", marks=NEED)])
def test_set_output_of_a_pipeline_decides_what_the_classifier_gets(kind: str) -> None:
    class Tree(DecisionTreeClassifier):
        def fit(self, X: Any, y: Any) -> Self:
            got.append(X)
            return super().fit(X, y)

    got: list[Any] = []
    pipeline = make_pipeline(StandardScaler(), bootstrap(), Tree(random_state=0))
    pipeline.set_output(transform=kind)
    pipeline.fit(np.column_stack([DOSE, DOSE**2]), ILL)
    expected = {"default": "numpy", "pandas": "pandas", "polars": "polars"}[kind]
    assert type(got[0]).__module__.split(".")[0] == expected
    assert got[0].shape == (60, 2)  # the classifier learns from the new rows
    if kind != "default":
        assert list(got[0].columns) == ["x0", "x1"]


@each_kind
def test_a_sample_is_of_the_kind_that_was_learned(kind: Callable[[pa.Table], Any]) -> None:
    given = kind(ARROW)
    model = SmoothedBootstrap(random_state=0).fit(given, target="ill")
    rows = model.sample(4, random_state=0)
    assert type(rows) is type(given)
    assert arrow(rows).schema == arrow(given).schema
    plain = SmoothedBootstrap(random_state=0).fit(as_pandas(given), target="ill")
    assert cells(arrow(rows)) == cells(arrow(as_given(plain.sample(4, random_state=0), given)))
    assert arrow(none_of(given)).num_rows == 0  # what a fitted model keeps of the table
    assert isinstance(plain.fit(as_pandas(given), target="ill").sample(1), pd.DataFrame)


@each_kind
def test_tables_and_audits_see_what_pandas_sees(kind: Callable[[pa.Table], Any]) -> None:
    given = kind(ARROW)
    frame = as_pandas(given)
    assert Table.of(given, "ill").schema == Table.of(frame, "ill").schema
    few = kind(ARROW.select(["sex", "ill"]))
    assert audit(few, "ill").columns == audit(as_pandas(few), "ill").columns


@frames
def test_a_classifier_is_fitted_on_what_it_takes(kind: Callable[[pa.Table], Any]) -> None:
    X = kind(ARROW.select(["dose", "age"]))
    tree = DecisionTreeClassifier(random_state=0)
    model = OversampledClassifier(tree, bootstrap()).fit(X, ILL)
    plain = OversampledClassifier(tree, bootstrap()).fit(as_pandas(X), ILL)
    assert np.array_equal(model.predict_proba(X), plain.predict_proba(as_pandas(X)))
    assert model.feature_names_in_.tolist() == ["dose", "age"]


@frames
def test_predictions_are_added_to_the_kind_given(kind: Callable[[pa.Table], Any]) -> None:
    given = kind(ARROW)
    member = ["sklearn.naive_bayes:GaussianNB"]
    model = ImbalancedClassifier(members=member, random_state=0).fit(given, target="ill")
    plain = ImbalancedClassifier(members=member, random_state=0).fit(as_pandas(given), "ill")
    told = model.with_predictions(given)
    assert type(told) is type(given)
    assert arrow(told).schema.names == [*ARROW.schema.names, "predicted", "probability"]
    again = plain.with_predictions(as_pandas(given))
    assert arrow(told)["probability"].to_pylist() == again["probability"].tolist()
    X = kind(ARROW.drop_columns("ill"))
    assert np.array_equal(model.predict(X), plain.predict(as_pandas(X)))
    assert model.measured(given, target="ill") == plain.measured(as_pandas(given), target="ill")


@each_kind
def test_files_and_groups(kind: Callable[[pa.Table], Any], tmp_path: Any) -> None:
    given = kind(ARROW)
    write_table(given, tmp_path / "rows.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path / "rows.parquet"), as_pandas(given))
    X, groups = without_groups(given, "sex")
    assert list(X.columns) == [name for name in ARROW.schema.names if name != "sex"]
    assert groups.tolist() == as_pandas(given)["sex"].tolist()


def test_what_pandas_wrote_keeps_its_index_as_a_column() -> None:
    table = pa.Table.from_pandas(pd.DataFrame({"a": [1, 2]}, index=pd.Index([7, 8], name="id")))
    assert as_pandas(table).to_dict("list") == {"a": [1, 2], "id": [7, 8]}
    assert as_given(as_pandas(table), table).schema.names == ["a", "id"]


def test_repeated_names_are_refused_in_words() -> None:
    table = pa.Table.from_arrays([pa.array([1, 2]), pa.array([3, 4])], ["a", "a"])
    with pytest.raises(DataError, match="column 'a' appears more than once"):
        Table.of(table)
