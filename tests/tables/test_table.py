"""Tables and their schema: every hard column comes back as it was, or is refused with what to
do.
"""

# Odd input is what is tested here: the stubs of pandas are not asked about it.
# pyright: reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportOperatorIssue=false, reportOptionalOperand=false

from __future__ import annotations

import datetime as dt
import json
import re
import time
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthgen import audit
from synthgen.encoding.unlearned import unlearned
from synthgen.errors import DataError, SynthgenError, UsageError
from synthgen.tables.column import KINDS, LEVELS, NUMBERS, Column
from synthgen.tables.dtypes import all_missing
from synthgen.tables.schema import Schema, class_position, describe
from synthgen.tables.table import Table

DAY = dt.date(2024, 2, 29)
NOON = dt.datetime(2024, 2, 29, 12, 30, 15, 250)
NAN = float("nan")


def arrow(values, kind) -> pd.Series:
    return pd.Series(values, dtype=pd.ArrowDtype(kind))


def objects(*values) -> pd.Series:
    cells = np.empty(len(values), dtype=object)
    cells[:] = values
    return pd.Series(cells, dtype=object)


def times(*texts: str, unit: str = "ns", zone: str | None = None) -> pd.Series:
    series = pd.Series(np.array(texts, dtype=f"datetime64[{unit}]"))
    return series if zone is None else series.dt.tz_localize(zone)


# What a column may hold; each is kept exactly, its dtype included.
COLUMNS = {
    "int64": pd.Series([3, 1, 2, 2]),
    "big end": pd.Series(np.array([3, -1, 2], dtype=">i4")),
    "big end with NaN": pd.Series(np.array([0.5, np.nan, 2], dtype=">f8")),
    "int8": pd.Series([-128, 127, 0], dtype="int8"),
    "uint64": pd.Series([0, 2**63 - 1, 5], dtype="uint64"),
    "int64 extremes": pd.Series([-(2**63), 2**63 - 1, 0, 7]),
    "odd above 2^53": pd.Series([2**53 + 1, 2**53 + 3, -(2**62) - 1]),
    "float64": pd.Series([0.1, -2.75, 1e-300, 1e308, -1e308]),
    "float64 with NaN": pd.Series([0.1, np.nan, 2.5]),
    "whole floats with NaN": pd.Series([1.0, np.nan, 3.0]),
    "denormal": pd.Series([5e-324, 1.0, -5e-324]),
    "huge whole floats": pd.Series([1e300, 2e300, 3e300]),
    "float32": pd.Series([0.1, 2.5, 1e-30], dtype="float32"),
    "float16": pd.Series([0.1, 2.5, 6e-5], dtype="float16"),
    "bool": pd.Series([True, False, True]),
    "bool with None": objects(True, False, None),
    "bool with NaN": objects(True, False, NAN),
    "boolean": pd.Series([True, None, False], dtype="boolean"),
    "Int64": pd.Series([2**53 + 1, None, -1], dtype="Int64"),
    "UInt8": pd.Series([255, None, 0], dtype="UInt8"),
    "Float64": pd.Series([0.1, None, 2.5], dtype="Float64"),
    "Float32": pd.Series([0.1, None, 2.5], dtype="Float32"),
    "string": pd.Series(["a", None, ""], dtype="string"),
    "string[python]": pd.Series(["a", None, ""], dtype="string[python]"),
    "string[pyarrow]": pd.Series(["a", None, ""], dtype="string[pyarrow]"),
    "texts": objects("b", "a", "b"),
    "texts with None": objects("b", None, "a"),
    "texts with NaN": objects("b", NAN, "a"),
    "texts with NA": objects("b", pd.NA, "a"),
    "strange texts": objects(
        "\U0001f9ec", "\u05e9\u05dc\u05d5\u05dd", "a\nb", "a\0b", "\ud800", "None"
    ),
    "very long texts": objects("x" * 10**6, "y" * 10**6, "x" * 10**6),
    "leading zeros": objects("00123", "0123", "123"),
    "mixed": objects(1, "a", None, 2.5),
    "whole and broken numbers": objects(1, 2.5, None),
    "object integers": objects(2**53 + 1, None, 3),
    "object floats": objects(1.0, None, 3.0),
    "arrow int": arrow([2**53 + 1, None, 3], pa.int64()),
    "arrow float": arrow([0.5, None, 3.25], pa.float32()),
    "arrow bool": arrow([True, None, False], pa.bool_()),
    "arrow string": arrow(["a", None, "b"], pa.string()),
    "arrow large string": arrow(["a", None, "b"], pa.large_string()),
    "arrow timestamp": arrow([NOON, None, NOON], pa.timestamp("us")),
    "arrow zoned": arrow([NOON.replace(tzinfo=dt.UTC), None], pa.timestamp("ms", "Europe/Berlin")),
    "arrow date": arrow([DAY, None, dt.date(1, 1, 1)], pa.date32()),
    "arrow duration": arrow([dt.timedelta(1), None], pa.duration("ms")),
    "categorical": pd.Series(["b", "a", "b"], dtype="category"),
    "ordered, unused": pd.Series(
        pd.Categorical(["mid", None, "low"], ["low", "mid", "high"], ordered=True)
    ),
    "categorical of one": pd.Series(pd.Categorical(["b", "b"], ["a", "b", "c"])),
    "categorical integers": pd.Series(pd.Categorical([3, 1, 3], [3, 1, 2])),
    "categorical floats": pd.Series(pd.Categorical([0.5, None, 2.5])),
    "categorical bools": pd.Series(pd.Categorical([True, False, None])),
    "categorical intervals": pd.cut(pd.Series([1, 5, 9, 2]), [0, 3, 6, 10]),
    "categorical dates": pd.Series(pd.Categorical(times("2024-01-01", "2023-01-01"))),
    "categorical zoned": pd.Series(pd.Categorical(times("2024-01-01", zone="Europe/Berlin"))),
    "categorical spans": pd.Series(pd.Categorical(pd.to_timedelta([1, 2, 1], unit="h"))),
    "categorical mixed": pd.Series(pd.Categorical([1, "a", None])),
    "categorical strings": pd.Series(
        pd.Categorical(pd.Series(["a", "b"], dtype="string[pyarrow]"))
    ),
    "intervals": objects(pd.Interval(0, 1), pd.Interval(1, 2), None),
    "dates in ns": times("2024-02-29T12:30:15.123456789", "NaT", "1970-01-01"),
    "dates in s": times("0001-01-01", "9999-12-31", "NaT", unit="s"),
    "across the end of summer time": times(
        "2024-10-27T00:30", "2024-10-27T01:30", zone="UTC"
    ).dt.tz_convert("Europe/Berlin"),
    "fixed offset": times("2024-01-01", unit="us").dt.tz_localize(
        dt.timezone(dt.timedelta(hours=-3, minutes=-30))
    ),
    "spans": pd.Series(pd.to_timedelta([1, None, -7], unit="s")),
    "object dates": objects(DAY, None, dt.date(1, 1, 1), dt.date(9999, 12, 31)),
    "object datetimes": objects(NOON, dt.datetime(1600, 1, 1), None),
    "object timestamps": objects(pd.Timestamp(NOON), pd.NaT, pd.Timestamp("2020-01-01")),
    "object timedeltas": objects(dt.timedelta(days=-1, microseconds=3), None),
    "object spans": objects(pd.Timedelta(3, "h"), pd.Timedelta(-1, "s")),
    "all NaN": pd.Series([np.nan, np.nan]),
    "all None": objects(None, None),
    "all NaT": times("NaT", "NaT"),
    "all NA": pd.Series([None, None], dtype="Int64"),
    "all null": arrow([None, None], pa.null()),
    "unused levels only": pd.Series(pd.Categorical([None, None], ["a"])),
    "constant": pd.Series([4.5, 4.5]),
    "constant text": objects("x", "x"),
    "sparse floats": pd.Series(pd.arrays.SparseArray([0.0, 0.0, 1.5], fill_value=0.0)),
    "sparse with NaN": pd.Series(pd.arrays.SparseArray([np.nan, np.nan, 1.5])),
    "sparse int": pd.Series(pd.arrays.SparseArray([0, 0, 3])),
    "sparse bool": pd.Series(pd.arrays.SparseArray([False, False, True])),
}


def column_of(series: pd.Series, name="x", **decided) -> Column:
    frame = as_frame_of(series, name)
    given = None
    if decided:
        given = Schema((Column(**{"name": name, "kind": "text", "dtype": None} | decided),))
    return Schema.infer(frame, given=given)[name]


def as_frame_of(series: pd.Series, name="x") -> pd.DataFrame:
    frame = series.to_frame()
    frame.columns = pd.Index([name], dtype=object, tupleize_cols=False)
    return frame


def there_and_back(column: Column, series: pd.Series) -> pd.Series:
    if column.kind in LEVELS:
        return column.restore(column.codes(series))
    if column.kind in NUMBERS:
        values, missing = column.numbers(series)
        return column.restore(values, missing if missing.any() else None)
    assert column.kind == "missing"
    return all_missing(len(series), column.dtype, column.name, column.empty)


def assert_identical(got: pd.Series, wanted: pd.Series) -> None:
    assert got.dtype == wanted.dtype
    assert isinstance(got.index, pd.RangeIndex)
    if wanted.dtype != object:
        pd.testing.assert_series_equal(got, wanted, check_names=False, check_exact=True)
        return
    mixed_numbers = {int, float} <= set(map(type, wanted))
    for one, other in zip(got, wanted, strict=True):
        if pd.isna(other):
            assert one is other or (one != one and other != other)
        else:
            assert one == other
            assert type(one) is type(other) or mixed_numbers


@pytest.mark.parametrize("case", COLUMNS)
def test_a_column_comes_back_as_it_was(case):
    series = COLUMNS[case]
    before = series.copy()
    column = column_of(series)
    assert_identical(there_and_back(column, series), series)
    pd.testing.assert_series_equal(series, before)


@pytest.mark.parametrize("case", COLUMNS)
def test_a_column_comes_back_through_json(case):
    series = COLUMNS[case]
    schema = Schema.infer(as_frame_of(series))
    again = Schema.from_json(json.loads(json.dumps(schema.to_json(), allow_nan=False)))
    assert again == schema
    assert_identical(there_and_back(again["x"], series), series)
    assert Schema.infer(as_frame_of(series), given=again) == schema


@pytest.mark.parametrize("case", COLUMNS)
def test_every_row_of_a_column_may_be_asked_for(case):
    """Of no row, and of rows in another order and with another index."""
    series = COLUMNS[case]
    column = column_of(series)
    assert_identical(there_and_back(column, series.iloc[:0]), series.iloc[:0])
    turned = series.iloc[::-1]
    turned.index = pd.Index(["row"] * len(turned))
    assert_identical(there_and_back(column, turned), turned.reset_index(drop=True))


@pytest.mark.parametrize("case", COLUMNS)
def test_a_column_is_described(case):
    [row] = describe([column_of(COLUMNS[case])])
    assert row["kind"] in KINDS
    assert row["why"]


@pytest.mark.skipif(pd.__version__ < "3", reason="pandas 2 has no such default")
def test_the_text_dtype_of_pandas_3_comes_back():
    series = pd.Series(["a", None, "b"])
    assert str(series.dtype) == "str"
    column = column_of(series)
    assert Column.from_json(column.to_json()) == column
    assert_identical(there_and_back(column, series), series)


@given(st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), min_size=1, max_size=30))
def test_any_int64_comes_back(values):
    series = pd.Series(values, dtype="Int64")
    column = column_of(series)
    assert_identical(there_and_back(column, series), series)
    assert Column.from_json(json.loads(json.dumps(column.to_json()))) == column


@given(st.lists(st.floats(allow_infinity=False), min_size=1, max_size=30))
def test_any_float_comes_back(values):
    series = pd.Series(values, dtype="float64")
    column = column_of(series)
    assert_identical(there_and_back(column, series), series)
    assert Column.from_json(json.loads(json.dumps(column.to_json()))) == column


@pytest.mark.parametrize(
    "name", [0, -1, 2.5, True, "", " a ", "a\nb", ("a", 1), ("a",), pd.Timestamp("2024-01-01"), DAY]
)
def test_any_name_is_kept(name):
    series = pd.Series([1, 2, 3, 1])
    schema = Schema.infer(as_frame_of(series, name))
    assert schema[name].name == name
    assert Schema.from_json(json.loads(json.dumps(schema.to_json()))) == schema
    assert there_and_back(schema[name], series).name == name
    table = Table.of(as_frame_of(series, name))
    assert list(table.frame.columns) == [name]


def test_names_of_several_types_and_levels():
    frame = pd.DataFrame(
        [[1, 2.5, "a"]] * 3, columns=pd.Index([1, "1", ("b", 2)], tupleize_cols=False)
    )
    assert Schema.infer(frame)[1].dtype == "int64"
    assert Schema.infer(frame)["1"].dtype == "float64"
    tree = pd.DataFrame([[1, 2]] * 3, columns=pd.MultiIndex.from_product([["a"], ["x", "y"]]))
    assert Schema.infer(tree).names == [("a", "x"), ("a", "y")]
    xy = Table.of_xy(tree, [0, 1, 1])
    assert xy.schema.names == [("a", "x"), ("a", "y"), "target"]


# --- refusals -------------------------------------------------------------------------------------


def rows_of(*values, index=None) -> pd.DataFrame:
    return pd.DataFrame({"x": objects(*values)}, index=index)


REFUSED = {
    "no frame": ([1], None, 335, "the table is a list: give a pandas DataFrame"),
    "no rows": (pd.DataFrame({"x": []}), None, 336, "0 rows and 1 columns.*check how it was made"),
    "no columns": (pd.DataFrame(index=[1, 2]), None, 336, "2 rows and 0 columns"),
    "twice": (
        pd.DataFrame([[1, 2]], columns=["x", "x"]),
        None,
        337,
        "column 'x' appears more than once: rename",
    ),
    "1 and True": (pd.DataFrame([[1, 2]], columns=[1, True]), None, 337, "True appears.*rename"),
    "no name": (pd.DataFrame([[1, 2]], columns=["x", None]), None, 327, "column 2 has no name"),
    "NaN as name": (pd.DataFrame([[1]], columns=[NAN]), None, 327, "column 1 has no name.*give it"),
    "no target": (pd.DataFrame({"x": [1]}), "y", 215, "no column 'y'.*it has 'x'"),
    "inf": (
        pd.DataFrame({"x": [1.0, np.inf]}, index=["a", "b"]),
        None,
        344,
        "column 'x', row 'b': inf is infinite: replace it",
    ),
    "-inf": (pd.DataFrame({"x": [1.0, -np.inf]}), None, 344, "row 1: -inf"),
    "inf in object": (rows_of(1.0, None, np.inf), None, 344, "row 2: inf"),
    "inf in mixed": (rows_of("a", np.inf), None, 344, "row 1: inf"),
    "inf in Float64": (
        pd.DataFrame({"x": pd.array([1.0, np.inf], dtype="Float64")}),
        None,
        344,
        "row 1: inf",
    ),
    "inf in float32": (pd.DataFrame({"x": np.array([np.inf], "f4")}), None, 344, "row 0: inf"),
    "inf in arrow": (arrow([1.0, np.inf], pa.float64()).to_frame("x"), None, 344, "row 1: inf"),
    "inf in sparse": (
        pd.DataFrame({"x": pd.arrays.SparseArray([0.0, np.inf])}),
        None,
        344,
        "row 1: inf",
    ),
    "uint64": (
        pd.DataFrame({"x": np.array([1, 2**63], dtype="uint64")}),
        None,
        346,
        f"column 'x', row 1: {2**63} does not fit 64 bits: turn it into text",
    ),
    "UInt64": (
        pd.DataFrame({"x": pd.array([None, 2**64 - 1], dtype="UInt64")}),
        None,
        346,
        "row 1: 18446744073709551615",
    ),
    "huge int": (rows_of(1, 2**80), None, 346, "row 1: 1208925819614629174706176"),
    "huge negative int": (rows_of("a", -(2**63) - 1), None, 346, "row 1: -9223372036854775809"),
    "complex": (pd.DataFrame({"x": [1 + 2j]}), None, 343, "column 'x' is complex128: split it"),
    "complex objects": (rows_of("a", 1j), None, 345, "row 1: 1j, a complex, cannot be synthesised"),
    "long double": (
        pd.DataFrame({"x": np.array([1, 2], dtype=np.longdouble)}),
        None,
        343,
        "column 'x' is float128: make it float64",
    ),
    "fixed bytes": (
        pd.DataFrame({"x": pd.Series(np.array([b"a"], dtype="S1"))}),
        None,
        345,
        "row 0: b'a', a bytes",
    ),
    "bytes": (rows_of("a", b"b"), None, 345, r"row 1: b'b', a bytes, .* turn it into text"),
    "lists": (rows_of(None, [1, 2]), None, 345, r"row 1: \[1, 2\], a list"),
    "dicts": (rows_of({"a": 1}), None, 345, "row 0: {'a': 1}, a dict"),
    "sets": (rows_of({1}), None, 345, r"row 0: \{1\}, a set"),
    "tuples": (rows_of((1,), "a"), None, 345, r"row 0: \(1,\), a tuple"),
    "Decimal": (rows_of(Decimal(1)), None, 345, r"row 0: Decimal\('1'\), a Decimal"),
    "1 and Decimal(1)": (rows_of(1, Decimal(1)), None, 345, r"row 1: Decimal\('1'\)"),
    "times of day": (rows_of(dt.time(1, 2)), None, 345, r"row 0: .*, a time, "),
    "period": (
        pd.DataFrame({"x": pd.period_range("2024", periods=2, freq="D")}),
        None,
        343,
        "period",
    ),
    "interval": (
        pd.DataFrame({"x": pd.interval_range(0, 2)}),
        None,
        343,
        "intervals: make it a cat",
    ),
    "arrow decimal": (
        arrow([Decimal("1.5")], pa.decimal128(5, 2)).to_frame("x"),
        None,
        345,
        "column 'x' is decimal128.*turn it into",
    ),
    "arrow list": (
        arrow([[1]], pa.list_(pa.int64())).to_frame("x"),
        None,
        345,
        "column 'x' is list",
    ),
    "arrow binary": (arrow([b"a"], pa.binary()).to_frame("x"), None, 345, "column 'x' is binary"),
    "True among numbers": (
        rows_of(1, True, 2),
        None,
        326,
        "row 1: True is a boolean in a column of numbers: give",
    ),
    "categorical of tuples": (
        pd.DataFrame({"x": pd.Categorical([(1, 2)])}),
        None,
        345,
        r"category 0: \(1, 2\), a tuple",
    ),
    "dates and datetimes": (
        rows_of(DAY, NOON),
        None,
        348,
        "row 1: datetime.*is not a date.*to_datetime",
    ),
    "object with zone": (
        rows_of(NOON, NOON.replace(tzinfo=dt.UTC)),
        None,
        348,
        "row 1: .*time zone.*to_datetime",
    ),
    "target with NaN": (
        pd.DataFrame({"x": ["a", None, "b"]}, index=[7, 8, 9]),
        "x",
        339,
        "target 'x', row 8: .*1 rows have no class: drop them",
    ),
    "1 and '1'": (rows_of(1, "1", 1), "x", 340, r"1 \(int\) and '1' \(str\).*row 1: give all"),
    "True and 1": (rows_of(1, True, 2), "x", 326, "row 1: True"),
    "one class": (pd.DataFrame({"x": ["a", "a"]}), "x", 341, "only one class, 'a'.*choose another"),
    "numeric target": (
        pd.DataFrame({"x": np.arange(50) / 7}),
        "x",
        342,
        r"50 distinct values in 50 rows.* 0\.0.*regression.*pandas.cut",
    ),
    "names as target": (
        pd.DataFrame({"x": [f"n{i}" for i in range(101)]}),
        "x",
        342,
        "'n0'.*a name, an ID or a text.*choose another",
    ),
}


if np.dtype(np.longdouble).itemsize == 8:  # on some machines it is no wider
    del REFUSED["long double"]


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_refused(case):
    frame, target, code, message = REFUSED[case]
    with pytest.raises(SynthgenError, match=f"(?s){message}") as caught:
        Table.of(frame, target=target)
    assert caught.value.code == code
    assert re.search(r": .*[a-z]", caught.value.message), "what to do"
    assert len(caught.value.message) < 400
    assert "np." not in caught.value.message


def test_a_row_is_named_by_its_label():
    frame = pd.DataFrame({"x": [1.0, np.inf]}, index=pd.Index(["first", "second"]))
    with pytest.raises(DataError, match=r"column 'x', row 'second': inf is infinite: replace"):
        Table.of(frame)


@pytest.mark.parametrize("values", [[1.0, 2.5], ["1", "2"], ["a", "b"]])
def test_a_column_that_was_retyped_is_refused_or_exact(values):
    column = column_of(pd.Series([5, 6, 7, 9]))
    with pytest.raises(
        DataError, match=r"column 'x', row 1: .* is not a whole number.* integer: mend"
    ) as caught:
        column.numbers(pd.Series([1, values[1]], dtype=object))
    assert caught.value.code == 331
    for same in (
        [5.0, 6.0],
        objects(5, 6),
        pd.array([5, 6], dtype="Int64"),
        pd.Categorical([5, 6]),
    ):
        assert column.numbers(pd.Series(same))[0].tolist() == [5, 6]


@pytest.mark.parametrize("value", [2.0**63, 1e300, -1e19])
def test_a_float_beyond_int64_is_no_whole_number(value):
    with pytest.raises(DataError, match=r"row 1: .*is not a whole number"):
        column_of(pd.Series([5, 6, 7, 9])).numbers(pd.Series([1.0, value]))


def test_an_unknown_category_is_refused():
    column = column_of(objects("a", "b", "a", "b"))
    with pytest.raises(
        DataError, match=r"column 'x', row 7: 'c' was not seen.*'a', 'b'.*mend"
    ) as caught:
        column.codes(pd.Series(["a", "c"], index=[3, 7]))
    assert caught.value.code == 332
    assert column.codes(pd.Series(pd.Categorical(["b", None], ["b", "z"]))).tolist() == [1, -1]


@pytest.mark.parametrize("cells", [[1, 2], ["2024-01-01", "x"], [pd.Timedelta(1), pd.Timedelta(2)]])
def test_what_is_no_date_is_refused(cells):
    with pytest.raises(DataError, match=r"column 'x'.*(is not a date|expects dates)") as caught:
        column_of(times("2024-01-01", "2024-01-05")).numbers(pd.Series(cells, name="x"))
    assert caught.value.code == 348


def test_the_number_of_distinct_values_decides_about_the_target_only_for_numbers():
    Table.of(pd.DataFrame({"x": [f"n{i}" for i in range(60)]}), target="x")
    Table.of(pd.DataFrame({"x": list(range(20))}), target="x")


# --- kinds ----------------------------------------------------------------------------------------


def many(make, rows=200) -> pd.Series:
    return pd.Series([make(i) for i in range(rows)])


KINDS_FOUND = {
    "id": [
        many(lambda i: i + 7),
        many(lambda i: f"A-{i:05d}"),
        many(lambda i: f"user{i}@example.org"),
        many(lambda i: i + 7).astype("Int64"),
        many(lambda i: i + 7).astype(object),
        many(lambda i: f"{i}").astype("string"),
    ],
    "text": [
        many(lambda i: f"the patient number {i} has a cough"),
        many(lambda i: f"the patient number {i % 100} has a cough"),
        many(lambda i: f"the patient number {i} has a cough", rows=6),
        many(lambda i: f"the patient number {i} has a cough").astype("string"),
    ],
    "categorical": [
        many(lambda i: i % 2),
        many(lambda i: "abc"[i % 3]),
        many(lambda i: [-9, 1, 2][i % 3]),
        many(lambda i: i % 2 + 0.0),
        many(lambda i: pd.Interval(i % 3, 4)).astype(object),
        many(lambda i: f"level {i % 150}"),
    ],
    "boolean": [many(lambda i: i % 3 == 0), many(lambda i: i % 3 == 0).astype(object)],
    "integer": [many(lambda i: i % 50), many(lambda i: i % 50 + 0.0), many(lambda i: i * i + 0.0)],
    "numeric": [many(lambda i: i / 7), many(lambda i: 2.0**60 + i * 2.0**20)],
    "datetime": [
        many(lambda i: pd.Timestamp(2000 + i, 1, 1)),
        many(lambda i: pd.Timedelta(i % 9, "h")),
    ],
    "constant": [many(lambda i: "a"), many(lambda i: 4)],
    "missing": [many(lambda i: None), many(lambda i: NAN)],
}


@pytest.mark.parametrize(
    ("kind", "series"), [(kind, s) for kind, found in KINDS_FOUND.items() for s in found]
)
def test_the_kind_is_found(kind, series):
    column = column_of(series)
    assert column.kind == kind
    assert column.reason


def test_names_tell_codes_and_ids():
    assert column_of(many(lambda i: i % 9), "zip code").kind == "categorical"
    assert column_of(many(lambda i: i % 9), "visits").kind == "integer"
    assert column_of(many(lambda i: i * i), "patient_id").kind == "id"
    assert column_of(many(lambda i: "abc"[i % 3]), "email").kind == "categorical"


def test_ten_thousand_ids_and_ten_thousand_levels():
    ids = many(lambda i: f"K{i * 7919 % 10007:05d}", rows=10_000)
    assert column_of(ids).kind == "id"
    levels = pd.Series(np.random.default_rng(0).integers(0, 10_000, 10_000)).map("L{:05d}".format)
    column = column_of(levels)
    assert column.kind == "categorical"
    assert column.categories == tuple(sorted(set(levels)))


@pytest.mark.parametrize(
    ("series", "wanted"),
    [
        (many(lambda i: i + 7), {"lower": 7, "upper": 206}),
        (many(lambda i: i % 100 / 10), {"decimals": 1, "lower": 0.0, "upper": 9.9}),
        (many(lambda i: i / 10).astype("float32"), {"decimals": 1}),
        (many(lambda i: i / 3), {"decimals": None}),
        (many(lambda i: i * 5 % 400 + 3), {"step": 5, "lower": 3, "upper": 398}),
        (many(lambda i: 0 if i % 2 else i), {"spikes": (0,)}),
        (many(lambda i: 0.0 if i % 200 else i / 7), {"spikes": ()}),
        (
            many(lambda i: pd.Timestamp(2000, 1, 1) + pd.Timedelta(i % 99, "D")),
            {"step": 86400 * 10**9},
        ),
        (pd.Series([-(2**63), 2**63 - 1]), {"step": 1}),
        (many(lambda i: None if i % 4 else i), {"missing": 0.75, "kind": "integer"}),
    ],
)
def test_limits_are_found(series, wanted):
    column = column_of(series.astype("datetime64[ns]") if series.dtype.kind == "M" else series)
    assert {key: getattr(column, key) for key in wanted} == wanted


def test_spikes_of_a_rare_class_count():
    amount = np.r_[np.arange(980) + 0.5, [-1.0] * 8, np.arange(12) + 0.25]
    frame = pd.DataFrame({"amount": amount, "y": ["no"] * 980 + ["yes"] * 20})
    assert Schema.infer(frame, target="y")["amount"].spikes == (-1.0,)
    assert Schema.infer(frame)["amount"].spikes == ()


def test_new_ids_are_no_old_ones():
    for series in KINDS_FOUND["id"]:
        fresh = unlearned(column_of(series), 500)
        assert fresh.dtype == series.dtype
        assert fresh.is_unique
        assert not fresh.isin(series).any()
        assert type(fresh.iloc[0]) is type(series.iloc[0])
    once = unlearned(column_of(KINDS_FOUND["id"][1]), 30)
    assert not unlearned(column_of(once), 30).isin(once).any()


@pytest.mark.parametrize("start", [100, -128, 0])
def test_new_ids_fit_their_dtype(start):
    series = pd.Series(np.arange(start, start + 28), dtype="int8")
    fresh = unlearned(column_of(series), 100)
    assert fresh.dtype == "int8"
    assert fresh.is_unique
    assert not fresh.isin(series).any()
    with pytest.raises(DataError, match=r"no room for 300 new IDs.*drop the column") as caught:
        unlearned(column_of(series), 300)
    assert caught.value.code == 329


# --- a schema that was edited ---------------------------------------------------------------------

NUMBERED = many(lambda i: i * 5 % 400 + 3)


def edited(series: pd.Series, **changes) -> Column:
    """What `series` is to a schema that was written to JSON, edited and read."""
    written = Schema.infer(as_frame_of(series)).to_json()
    written["columns"][0] |= changes
    given = Schema.from_json(json.loads(json.dumps(written)))
    return Schema.infer(as_frame_of(series), given=given)["x"]


@pytest.mark.parametrize(
    ("series", "changes"),
    [
        (NUMBERED, {"lower": -2}),
        (NUMBERED, {"lower": 3, "upper": 1000, "step": 1}),
        (NUMBERED, {"spikes": [3, 8]}),
        (NUMBERED, {"reason": "because"}),
        (many(lambda i: i / 3), {"decimals": 2, "lower": -10, "upper": 100.5}),
        (many(lambda i: "abc"[i % 3]), {"categories": ["c", "b", "a", "d"]}),
        (many(lambda i: i % 2 == 0), {"kind": "categorical"}),
    ],
)
def test_limits_set_by_hand_are_taken(series, changes):
    column = edited(series, **changes)
    for key, value in changes.items():
        assert getattr(column, key) == (tuple(value) if isinstance(value, list) else value)


@pytest.mark.parametrize(
    ("series", "kind"),
    [
        (NUMBERED, "numeric"),
        (NUMBERED, "categorical"),
        (NUMBERED, "id"),
        (NUMBERED.astype("Int64"), "id"),
        (NUMBERED.astype(float), "id"),
        (NUMBERED.astype(float), "numeric"),
        (many(lambda i: i % 2), "integer"),
        (many(lambda i: "abc"[i % 3]), "id"),
        (many(lambda i: "abc"[i % 3]), "text"),
        (many(lambda i: "abc"[i % 3]).astype("category"), "text"),
        (many(lambda i: "abc"[i % 3]).astype("string"), "id"),
        (many(lambda i: f"the patient number {i} has a cough"), "categorical"),
        (many(lambda i: pd.Timestamp(2000 + i, 1, 1)), "categorical"),
        (many(lambda i: i % 3 == 0), "categorical"),
    ],
)
def test_kinds_set_by_hand_are_taken(series, kind):
    column = edited(series, kind=kind)
    # Whole numbers stay whole, and exact.
    assert column.kind == ("integer" if kind == "numeric" and series.dtype == "int64" else kind)
    assert column.reason
    if kind in ("id", "text"):
        fresh = unlearned(column, 50)
        assert pd.api.types.is_dtype_equal(fresh.dtype, series.dtype) or series.dtype == "category"
        assert not fresh.isin(series).any()
    else:
        assert_identical(there_and_back(column, series), series)


@pytest.mark.parametrize(
    ("series", "changes", "code", "message"),
    [
        (many(lambda i: "abc"[i % 3]), {"kind": "numeric"}, 325, "holds texts.*pandas.to_numeric"),
        (
            many(lambda i: "abc"[i % 3]),
            {"kind": "datetime"},
            325,
            "holds texts.*pandas.to_datetime",
        ),
        (many(lambda i: "01"[i % 2]), {"kind": "integer"}, 325, "holds texts.*pandas.to_numeric"),
        (many(lambda i: i % 2), {"kind": "boolean"}, 325, "holds numbers.*True and False"),
        (many(lambda i: i % 2), {"kind": "text"}, 325, "holds numbers.*into text"),
        (many(lambda i: i % 3 == 0), {"kind": "id"}, 325, "holds true and false"),
        (
            many(lambda i: pd.Timestamp(2000 + i, 1, 1)),
            {"kind": "id", "lower": None, "upper": None},
            325,
            "holds dates or times",
        ),
        (
            many(lambda i: i % 3).astype("category"),
            {"kind": "integer"},
            325,
            "a pandas categorical",
        ),
        (many(lambda i: i / 3), {"kind": "integer"}, 268, "upper must be a whole number"),
        (
            many(lambda i: i / 3),
            {"kind": "integer", "lower": 0, "upper": 99},
            331,
            r"row 1: 0\.333.* is not a whole number",
        ),
        (
            many(lambda i: i / 3),
            {"kind": "id", "lower": None, "upper": None},
            331,
            r"row 1: 0\.333.* is not a whole number",
        ),
        (
            NUMBERED,
            {"lower": 10},
            347,
            "column 'x', row 0: 3 lies outside the schema's limits, 10 to",
        ),
        (NUMBERED, {"upper": 9}, 347, "row 2: 13 lies outside the schema's limits, 3 to 9: mend"),
        (NUMBERED, {"step": 10}, 347, "row 1: 8 is not .*lower limit, 3, plus .*10: mend"),
        (
            many(lambda i: pd.Timestamp(2000 + i, 1, 1)),
            {"lower": "2001-01-01"},
            347,
            "row 0: .*2000-01-01.* lies outside the schema's limits, 2001-01-01",
        ),
        (many(lambda i: "abc"[i % 3]), {"categories": ["a", "b"]}, 332, "row 2: 'c' was not seen"),
        (NUMBERED, {"name": "y"}, 333, "the schema names column 'y', which the table lacks.*'x'"),
        (NUMBERED, {"kind": "number"}, 261, "column 'x': cannot use kind='number'"),
        (NUMBERED, {"Lower": 3}, 261, "column 'x': cannot use Lower"),
        (NUMBERED, {"dtype": "int63"}, 262, "column 'x': pandas does not know dtype 'int63'"),
        (NUMBERED, {"dtype": 7}, 262, "column 'x': pandas does not know dtype 7"),
        (NUMBERED, {"dtype": {"ordered": True}}, 262, "column 'x': pandas does not know dtype"),
        (NUMBERED, {"lower": "3"}, 268, "column 'x': lower must be a whole number.*'3'"),
        (NUMBERED, {"lower": 2.5}, 268, r"lower must be a whole number.*2\.5"),
        (NUMBERED, {"lower": True}, 268, "lower must be a whole number.*True"),
        (NUMBERED, {"lower": 2**63}, 268, "lower must be a whole number of 64 bits"),
        (NUMBERED, {"lower": 400}, 268, "column 'x': lower, 400, is greater than upper, 398"),
        (NUMBERED, {"step": 0}, 268, "step must be a whole number from 1 to .*, not 0"),
        (NUMBERED, {"missing": 2}, 268, "missing must be a share from 0 to 1, not 2"),
        (NUMBERED, {"reason": None}, 268, "reason must be a text"),
        (NUMBERED, {"spikes": 3}, 261, "spikes must be a list, not 3"),
        (NUMBERED, {"spikes": ["a"]}, 268, "spikes must be a list; each of them a whole"),
        (NUMBERED, {"categories": [{"a": 1}]}, 267, "{'a': 1} is not a value"),
        (NUMBERED, {"categories": [[1]]}, 267, "is a list, but a single value"),
        (
            NUMBERED,
            {"kind": "categorical", "categories": [1, 1]},
            268,
            "categories must be a list of different values",
        ),
        (many(lambda i: i / 3), {"decimals": 1.5}, 268, "decimals must be a whole number"),
        (many(lambda i: i / 3), {"upper": float("nan")}, 268, "upper must be a number"),
    ],
)
def test_what_a_hand_got_wrong_is_refused(series, changes, code, message):
    with pytest.raises(SynthgenError, match=message) as caught:
        edited(series, **changes)
    assert caught.value.code == code


def test_dates_are_written_as_dates():
    series = times("2024-02-29", "2024-03-01", "2024-03-09")
    written = Schema.infer(as_frame_of(series)).to_json()["columns"][0]
    assert written["lower"].startswith("2024-02-29T00:00:00")
    assert edited(series, lower="2000-01-01", step=1).lower == 946684800 * 10**9


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", 265),
        ("{", 265),
        ("[]", 264),
        ('{"columns": 3}', 264),
        ('{"columns": [3]}', 261),
        ('{"columns": [{"name": "x", "kind": "text"}, {"name": "x", "kind": "text"}]}', 264),
        ('{"columns": [{"name": "x", "kind": "text"}], "target": "y"}', 264),
        ("[" * 100_000, 265),
    ],
)
def test_a_file_that_is_no_schema_is_refused(tmp_path, text, code):
    path = tmp_path / "schema.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=re.escape(str(path)) + ": ") as caught:
        Schema.load(path)
    assert caught.value.code == code
    with pytest.raises(UsageError, match="cannot read the schema"):
        Schema.load(tmp_path / "none.json")


def test_a_schema_with_a_target_knows_it():
    frame = pd.DataFrame({"x": range(40), "y": ["a", "b"] * 20})
    schema = Schema.infer(frame, target="y")
    assert Schema.infer(frame, given=schema) == schema
    assert Table.of(frame, schema=schema).schema == schema
    assert Table.of_xy(frame[["x"]], frame["y"].to_numpy(), schema=schema).schema == schema
    assert schema.features == (schema["x"],)
    assert schema.classes == ("a", "b")
    with pytest.raises(KeyError):
        schema["z"]


# --- what a hand decides, and what a person reads -------------------------------------------------


def test_a_kind_set_by_hand_says_so_and_not_the_old_reason():
    frame = pd.DataFrame({"flag": [0, 1] * 10, "y": list("ab") * 10})
    found = Schema.infer(frame, target="y")
    assert found["flag"].reason == "two whole numbers: a flag"
    entry = found.to_json()
    entry["columns"][0] |= {"kind": "numeric", "lower": -4.5, "upper": 5.5}
    taken = Schema.infer(frame, given=Schema.from_json(entry))["flag"]
    # The cells are whole, so the limits are the whole numbers within.
    assert (taken.kind, taken.lower, taken.upper) == ("integer", -4, 5)
    assert taken.reason == "set by hand"


@pytest.mark.parametrize("kind", ["constant", "missing"])
def test_a_kind_that_the_cells_cannot_be_is_refused(kind):
    frame = pd.DataFrame({"code": range(40), "y": list("ab") * 20})
    given = Schema.from_json({"target": None, "columns": [{"name": "code", "kind": kind}]})
    with pytest.raises(DataError, match=f"cannot be {kind}.*drop it from the table") as caught:
        Schema.infer(frame, target="y", given=given)
    assert caught.value.code == 325


def test_a_few_computed_cells_do_not_hide_that_a_column_is_rounded():
    rng = np.random.default_rng(0)
    values = rng.normal(100, 20, 2000).round(1)
    values[:3] += 0.0123456789
    found = Schema.infer(pd.DataFrame({"rounded": values}))["rounded"]
    assert found.decimals == 1
    # Where most rows share one value, the others are what the column tells.
    rare = np.where(np.arange(2000) < 3, [*rng.random(3), *np.zeros(1997)], 0.0)
    assert Schema.infer(pd.DataFrame({"rare": rare}))["rare"].decimals is None


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (
            [f"1,{i:03d}.50" for i in range(40)],
            "most look like numbers: convert them with pandas.to_numeric",
        ),
        ([f"2024-01-{i % 28 + 1:02d} {i:02d}:00" for i in range(40)], "most look like dates"),
        ([f"P-{i}" for i in range(40)], ""),
        ([f"{i:05d}" for i in range(40)], ""),
    ],
)
def test_texts_that_read_as_numbers_or_dates_are_told(cells, said):
    reason = Schema.infer(pd.DataFrame({"c": cells}))["c"].reason
    assert reason.startswith("40 different texts in 40 rows")
    assert said in reason
    assert bool(said) == ("most look like" in reason)


# --- tables ---------------------------------------------------------------------------------------


def test_a_table_keeps_the_frame_as_it_was():
    frame = pd.DataFrame({"x": [1, 2, 3, 4], "y": list("abba")}, index=["p", "q", "q", "r"])
    before = frame.copy(deep=True)
    table = Table.of(frame, target="y")
    assert isinstance(table.frame.index, pd.RangeIndex)
    table.frame.loc[0, "x"] = 99
    pd.testing.assert_frame_equal(frame, before)
    assert table.labels.tolist() == [0, 1, 1, 0]
    assert table.counts == {"a": 2, "b": 2}
    assert len(table) == 4


@pytest.mark.parametrize("pick", [np.array([True, False, True, False]), np.array([0, 2])])
def test_rows_are_picked_with_the_schema(pick):
    table = Table.of(pd.DataFrame({"x": [1, 2, 3, 4], "y": list("abba")}), target="y")
    part = table.rows(pick)
    assert part.schema is table.schema
    assert part.frame["x"].tolist() == [1, 3]
    assert isinstance(part.frame.index, pd.RangeIndex)


def test_small_tables():
    for frame in (
        pd.DataFrame({"x": [1]}),
        pd.DataFrame({"x": [1, 2]}),
        pd.DataFrame({"x": [None]}),
    ):
        assert len(Table.of(frame)) == len(frame)
    two = pd.DataFrame({"x": [1.5, 2.5], "y": ["a", "b"]})
    assert Table.of(two, target="y").counts == {"a": 1, "b": 1}
    with pytest.raises(UsageError, match="no target column: name one"):
        _ = Table.of(two).labels


def test_classes_without_rows_are_classes():
    y = pd.Series(pd.Categorical(["a", "b", "a"], ["c", "b", "a"], ordered=True))
    table = Table.of_xy(pd.DataFrame({"x": [1, 2, 3]}), y)
    assert table.counts == {"c": 0, "b": 1, "a": 2}


def test_sparse_columns_are_dense_inside_and_restored():
    frame = pd.DataFrame({("a", 1): pd.arrays.SparseArray([0, 0, 3]), "b": [1, 2, 3]})
    frame.columns = pd.Index([("a", 1), "b"], tupleize_cols=False)
    table = Table.of(frame)
    assert list(table.frame.columns) == [("a", 1), "b"]
    assert table.frame[("a", 1)].dtype == "int64"
    assert table.schema[("a", 1)].dtype == frame[("a", 1)].dtype


def test_nan_in_a_nullable_column_is_missing():
    array = pd.arrays.FloatingArray(np.array([0.5, np.nan, 1.5]), np.array([False, False, True]))
    frame = pd.DataFrame({"x": pd.Series(array)})
    table = Table.of(frame)
    assert table.schema["x"].missing == pytest.approx(2 / 3)
    assert table.frame["x"].isna().tolist() == [False, True, True]
    assert table.schema["x"].upper == 0.5


@pytest.mark.parametrize("sort", [False, True])
def test_xy_become_one_table(sort):
    X = pd.DataFrame({"a": [1, 2, 3], "y": [4, 5, 6]}, index=["p", "q", "r"])
    y = pd.Series(["n", "m", "n"], index=X.index, name="y" if sort else "z")
    table = Table.of_xy(X, y)
    assert table.schema.names == ["a", "y", "target" if sort else "z"]
    assert table.labels.tolist() == [1, 0, 1]
    assert list(X.columns) == ["a", "y"]


@pytest.mark.parametrize(
    "y",
    [
        ["a", "b", "b"],
        np.array(["a", "b", "b"]),
        np.array([["a"], ["b"], ["b"]]),
        pd.Index(["a", "b", "b"]),
        pd.Categorical(["a", "b", "b"]),
        pd.DataFrame({"y": ["a", "b", "b"]}),
        ("a", "b", "b"),
    ],
)
def test_labels_come_in_many_ways(y):
    table = Table.of_xy(np.array([[1, 2.5], [3, 4], [5, 6]]), y)
    assert table.schema.names[:2] == [0, 1]
    assert table.labels.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("X", "y", "code", "message"),
    [
        ([[1], [2]], [0, 1, 1], 334, "X has 2 rows and y has 3"),
        ([1, 2], [0, 1], 330, r"X is a list of shape \(2,\)"),
        (np.zeros((2, 2, 2)), [0, 1], 330, r"shape \(2, 2, 2\)"),
        ([[1], [2, 3]], [0, 1], 330, "X is a list"),
        ([[1], [2]], 3, 330, "y is a int: give one class for each row"),
        ([[1], [2]], None, 330, "y is a NoneType"),
        ([[1], [2]], "ab", 330, "y is a str"),
        ([[1], [2]], np.eye(2), 330, r"y is a ndarray of shape \(2, 2\)"),
        ([[1], [2]], pd.DataFrame(np.eye(2)), 330, r"y is a DataFrame of shape \(2, 2\)"),
        ([[1], [2]], [0, 0], 341, "only one class, 0"),
    ],
)
def test_what_is_no_xy_is_refused(X, y, code, message):
    with pytest.raises(DataError, match=message) as caught:
        Table.of_xy(X, y)
    assert caught.value.code == code


def test_labels_in_another_order_are_refused():
    X = pd.DataFrame({"a": [1, 2, 3]}, index=[5, 6, 7])
    y = pd.Series([0, 1, 1], index=[5, 7, 6])
    with pytest.raises(
        DataError, match=r"different indexes, first in row 1: 6 and 7: align"
    ) as caught:
        Table.of_xy(X, y)
    assert caught.value.code == 328
    with pytest.raises(DataError, match="different indexes"):
        Table.of_xy(X, y.set_axis(["p", "q", "r"]))
    # A fresh index says nothing about the order.
    assert Table.of_xy(X, y.reset_index(drop=True)).labels.tolist() == [0, 1, 1]
    assert Table.of_xy(X.reset_index(drop=True), y).labels.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("classes", "label", "position"),
    [
        (("a", "b"), "b", 1),
        ((0.0, 1.0), 1, 1),
        ((0.0, 1.0), "1", 1),
        ((0, 1), "1", 1),
        ((0, 1), np.int64(1), 1),
        ((False, True), True, 1),
        ((False, True), "True", 1),
        (("1", "1.0"), "1", 0),
        (("00", "01"), "01", 1),
        ((pd.Interval(0, 1), pd.Interval(1, 2)), "(1, 2]", 1),
    ],
)
def test_a_class_is_found(classes, label, position):
    assert class_position(classes, label) == position


@pytest.mark.parametrize("label", ["c", None, 7, NAN, float("inf"), "", 10**400])
def test_an_unknown_class_is_refused(label):
    with pytest.raises(
        UsageError, match="is no class of the target: it has 'a', 'b': name"
    ) as caught:
        class_position(("a", "b"), label)
    assert caught.value.code == 201


def test_a_label_that_names_two_classes_is_refused():
    with pytest.raises(UsageError):
        class_position(("1", "1.0"), 1.00)


def test_more_columns_than_can_be_learned_are_refused_at_once():
    X = np.zeros((4, 300_000))
    started = time.perf_counter()
    for call in (lambda: Table.of(X, [0, 0, 1, 1]), lambda: audit(X, [0, 0, 1, 1])):
        with pytest.raises(DataError, match=r"300,00\d columns, at most 20,000.*E377"):
            call()
    assert time.perf_counter() - started < 20
