"""Cells of declared columns: each is read by itself, and none is a reason for a refusal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen import Column, PrivateMarginals, Schema, read_table
from synthgen.cli.main import main
from synthgen.errors import DataError, UsageError
from synthgen.synthesizers import marginals
from synthgen.synthesizers.declared import Coded, declared_table, first_cells, needs_bins
from synthgen.synthesizers.declared_cells import cell_count, cells_of, level_of, text_of

DAYS = 86_400 * 10**6
FROM, TO = (int(np.datetime64(day, "us").astype(np.int64)) for day in ("1999-01-01", "2030-12-31"))
PUBLIC = Schema(
    (
        Column("count", "integer", np.dtype("int64"), lower=0, upper=2**60, missing=0.1),
        Column("dose", "numeric", np.dtype(float), lower=0.0, upper=9.0, decimals=1),
        Column(
            "when", "datetime", np.dtype("datetime64[us]"), lower=FROM, upper=TO, step=DAYS,
            missing=0.2,
        ),
        Column("code", "categorical", np.dtype("int64"), categories=(250, 401)),
        Column("unit", "categorical", np.dtype(object), missing=0.1),
        Column("flag", "boolean", np.dtype(bool), categories=(False, True)),
        Column("site", "constant", np.dtype(object), categories=("north",)),
        Column("ill", "categorical", np.dtype(object), categories=("no", "yes")),
    ),
    "ill",
)  # fmt: skip
ROW = ["9007199254740993", "1.5", "2024-02-29", "250", "ward", "True", "north", "yes"]
OTHER = ["3", "0.1", "2001-01-01", "401", "home", "False", "north", "no"]
ODD = [
    *("V27", "nan", "inf", "-inf", "1e400", "-1e-400", "9" * 400, str(2**53 + 1), "1.5", "007"),
    *("", "NA", "?", "True", "2024-02-30", "0001-01-01", "9999-12-31T23:59:59.999999999Z"),
    *("2024-01-01 10:00+02:00", "²", "1,5", "=1+1", '"', "\t"),
]  # fmt: skip


def written(path: Path, rows: Sequence[Sequence[str]], delimiter: str = ",") -> pd.DataFrame:
    """The rows as a CSV file, read as `fit --synthesizer private` reads it."""
    quoted = [[f'"{cell.replace(chr(34), 2 * chr(34))}"' for cell in row] for row in rows]
    lines = [delimiter.join(map(str, PUBLIC.names)), *map(delimiter.join, quoted)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_table(path, declared=PUBLIC)


def coded(frame: pd.DataFrame) -> dict[str, list[int]]:
    """The codes of all learned columns, with fixed bins and levels."""
    found = {}
    for column in PUBLIC.columns[:-2]:
        starts = first_cells(column)
        if needs_bins(column):
            starts = np.linspace(0, cell_count(column), 9, endpoint=False).astype(np.int64)
        part = Coded(column, starts)
        found[column.name] = part.encode(frame[column.name]).tolist()
        assert max(found[column.name]) < part.size
    return found


# --- one cell -------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_an_odd_cell_changes_no_type_and_no_code_of_other_rows(
    delimiter: str, tmp_path: Path
) -> None:
    rows = [ROW, OTHER] * 3
    plain = written(tmp_path / "t.csv", rows, delimiter)
    before = coded(plain)
    for odd in ODD if delimiter == "," else ODD[::4]:
        frame = written(tmp_path / "t.csv", [*rows, [odd] * len(ROW)], delimiter)
        assert list(frame.dtypes) == list(plain.dtypes)
        assert {name: codes[:-1] for name, codes in coded(frame).items()} == before, odd


AGE = Column("age", "integer", np.dtype("int64"), lower=-5, upper=2**60)
DOSE = Column("dose", "numeric", np.dtype(float), lower=0, upper=9, decimals=1)
WHEN = PUBLIC["when"]
SPAN = Column("stay", "datetime", np.dtype("timedelta64[s]"), lower=0, upper=10**6)


MEANT = [
    (AGE, "9007199254740993", 2**53 + 1),
    (AGE, 2**53 + 1, 2**53 + 1),
    (AGE, "1e400", 2**60),
    (AGE, "-inf", -5),
    (AGE, 10**5000, 2**60),
    (AGE, "0" * 5000 + "7", 7),
    (AGE, "+1.9", 1),
    (AGE, "-1.5", -2),
    (AGE, "V27", None),
    (AGE, "1,5", None),
    (AGE, True, None),
    (AGE, [1, 2], None),
    (DOSE, "1.24", 1.2),
    (DOSE, np.inf, 9),
    (DOSE, "-3", 0),
    (DOSE, "²", None),
    (WHEN, "2024-02-29", "2024-02-29"),
    (WHEN, "2024-02-30", None),
    (WHEN, "2024-03-01T01:30:00+02:00", "2024-02-29"),
    (WHEN, "0001-01-01", "1999-01-01"),
    (WHEN, "9999-12-31 23:59:59", "2030-12-31"),
    (WHEN, pd.Timestamp("2024-02-29 12:00", tz="Asia/Tokyo"), "2024-02-29"),
    (WHEN, 20240229, None),
    (SPAN, pd.Timedelta("1 min 1.5 s"), "61 s"),
    (SPAN, "1 min", None),
]


def test_what_a_cell_means() -> None:
    for column, cell, found in MEANT:
        cells, missing = cells_of(column, pd.Series([cell], dtype=object))
        assert not missing.any()
        if found is None:
            assert cells.tolist() == [-1], (column.name, cell)
            continue
        one = Coded(column, np.arange(2) + cells).decode(np.zeros(1, int), np.zeros(1))[0]
        meant = {WHEN: pd.Timestamp, SPAN: pd.Timedelta}.get(column, float)(found)
        assert one == meant, (column.name, one)


@settings(max_examples=50)
@given(st.one_of(st.text(), st.from_regex(r"[-+0-9.eE]{1,400}"), st.integers(), st.floats()))
def test_every_cell_means_something(cell: Any) -> None:
    for column in (AGE, DOSE, WHEN):
        cells, _ = cells_of(column, pd.Series([cell], dtype=object))
        assert -1 <= cells[0] < cell_count(column)
    text = text_of(cell)
    assert text_of(text) == text
    for dtype in ("int64", "float64", "bool", "object"):
        level = level_of(Column("code", "categorical", np.dtype(dtype)), text)
        assert level is None or text_of(level) == text


def test_the_type_of_a_column_makes_no_difference() -> None:
    whole, parts = pd.Series([3, 2**53 + 1, 2**62]), pd.Series([3.5, np.nan, np.inf])
    for column, series in ((AGE, whole), (DOSE, parts), (DOSE, whole)):
        kinds = ["object", "category"]
        kinds += ["Int64", "uint64", "int64[pyarrow]"] if series is whole else ["Float64", "Sparse"]
        expected = cells_of(column, series)
        for kind in kinds:
            dtype: Any = "Sparse[float]" if kind == "Sparse" else kind
            found = cells_of(column, series.astype(dtype))
            assert [part.tolist() for part in found] == [part.tolist() for part in expected], kind


def test_a_level_that_its_type_cannot_hold_is_none() -> None:
    for dtype, text in (("int8", "300"), ("int64", "9" * 30), ("int64", "²"), ("float", "007")):
        assert level_of(Column("code", "categorical", np.dtype(dtype)), text) is None


# --- a table --------------------------------------------------------------------------------------


@pytest.fixture
def small_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marginals, "LEAST_ROWS", 0)
    monkeypatch.setattr(marginals, "LEAST_CLASS_ROWS", 0)


@pytest.mark.usefixtures("small_tables")
def test_an_odd_row_is_no_reason_for_a_refusal_and_names_no_level(tmp_path: Path) -> None:
    for more in ([], *([[odd] * len(ROW)] for odd in ODD[::6])):
        frame = written(tmp_path / "t.csv", [ROW, OTHER] * 60 + more)
        model = PrivateMarginals(schema=PUBLIC, epsilon=1e6).fit(frame, target="ill")
        assert model.schema_["unit"].categories == ("home", "ward")
        assert model.schema_.classes == ("no", "yes")
        made = model.sample(500, random_state=0)
        assert set(made["code"]) == {250, 401}
        assert set(made["flag"]) == {False, True}
        assert set(made["site"]) == {"north"}
        assert made["dose"].between(0, 9).all()
        dtypes = [str(column.dtype) for column in PUBLIC.columns]
        dtypes[0] = str(made["count"].dtype)  # float64 where a cell is missing
        assert [str(dtype) for dtype in made.dtypes] == dtypes


@pytest.mark.usefixtures("small_tables")
def test_many_cells_that_the_schema_does_not_allow_are_told_by_their_noisy_count(
    tmp_path: Path,
) -> None:
    frame = written(tmp_path / "t.csv", [ROW, OTHER] * 60)
    frame.loc[:29, "dose"] = "V27"
    model = PrivateMarginals(schema=PUBLIC, epsilon=1e6)
    with pytest.warns(UserWarning, match=r"'dose': about 30 of 120 cells \(noisy counts\)"):
        model.fit(frame, target="ill")
    assert model.sample(300, random_state=0)["dose"].between(0, 9).all()


def test_a_table_without_rows_is_refused_by_its_noisy_count(tmp_path: Path) -> None:
    for rows in ([], [ROW]):
        path = tmp_path / f"{len(rows)}.csv"
        written(path, rows)
        Path(tmp_path, "s.json").write_text(json.dumps(PUBLIC.to_json()))
        result = CliRunner().invoke(
            main,
            ["fit", str(path), "--target", "ill", "--synthesizer", "private", "--schema",
             str(tmp_path / "s.json"), "-o", str(tmp_path / "m")],
        )  # fmt: skip
        assert isinstance(result.exception, DataError | SystemExit)
        assert "E368" in result.output or "368" in str(result.exception), result.output


def test_only_the_header_is_compared_with_the_schema() -> None:
    frame = pd.DataFrame([ROW], columns=pd.Index(PUBLIC.names))
    assert declared_table(frame, None, "ill", PUBLIC).schema == Schema(PUBLIC.columns, "ill")
    with pytest.raises(DataError, match="the schema names column 'unit', which the table lacks"):
        declared_table(frame.drop(columns="unit"), None, "ill", PUBLIC)


@pytest.mark.parametrize("kind", ["categorical", "constant", "datetime", "id"])
def test_periods_are_refused_before_the_rows_are_read(kind: Any):
    months = pd.period_range("2024-01", periods=2, freq="M")
    levels = {"categorical": tuple(months), "constant": (months[0],)}.get(kind, ())
    limits: Any = {"lower": 0, "upper": 900} if kind == "datetime" else {}
    y = Column("y", "categorical", np.dtype(object), categories=("no", "yes"))
    for dtype in (months.dtype, pd.CategoricalDtype(months), np.dtype(object)):
        if dtype == object and not levels:
            continue
        column = Column("month", kind, dtype, categories=levels, **limits)
        frame = pd.DataFrame({"month": list(months) * 50, "y": ["no", "yes"] * 50})
        frame["month"] = frame["month"].astype(dtype)
        model = PrivateMarginals(schema=Schema((column, y), "y"))
        with pytest.raises(UsageError, match=r"'month' of the schema holds periods.*\.astype"):
            model.fit(frame, target="y")
