"""What is told about a table, and what a file keeps exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from synthgen import Schema, SmoothedBootstrap, Table, audit, augment, read_table, write_table
from synthgen.errors import DataError

WIDTHS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]


@pytest.mark.parametrize("ending", ["parquet", "feather"])
@pytest.mark.parametrize("width", WIDTHS)
def test_integers_with_a_null_stay_exact(tmp_path: Path, width: str, ending: str) -> None:
    top = min(np.iinfo(width).max, 2**63 - 1)
    values = [None] + [top - 2 * i for i in range(1, 60)]
    table = pa.table({"account": pa.array(values, width), "y": ["a", "b", "b"] * 20})
    path = tmp_path / f"t.{ending}"
    (pq.write_table if ending == "parquet" else pyarrow.feather.write_feather)(table, path)
    frame = read_table(path)
    assert str(frame["account"].dtype) == width.replace("i", "I").replace("u", "U")
    assert frame["account"].tolist()[1:] == values[1:]
    assert frame["account"].isna().tolist() == [True] + [False] * 59
    more = augment(frame, "y", n_samples=5, synthesizer="bootstrap", random_state=0).frame
    write_table(more, tmp_path / f"o.{ending}")
    assert read_table(tmp_path / f"o.{ending}")["account"].tolist()[1:60] == values[1:]


def numbered(odd: str | None, count: int = 40) -> pd.DataFrame:
    cells = [f"{i + 0.5}" for i in range(count)]
    if odd is not None:
        cells[17] = odd
    return pd.DataFrame({"dose": cells, "y": ["a", "b", "b", "b"] * (count // 4)})


COLUMNS = {
    "a unit": (numbered("12 mg"), "numbers.*row 17: '12 mg'"),
    "a thousands separator": (numbered("1,234.50"), "numbers.*row 17: '1,234.50'"),
    "whole numbers": (
        pd.DataFrame({"dose": [*map(str, range(10, 49)), "12 mg"], "y": ["a", "b"] * 20}),
        "numbers.*row 39: '12 mg'",
    ),
    "four formats": (
        pd.DataFrame(
            {
                "day": [
                    f(i)
                    for i in range(1, 11)
                    for f in (
                        lambda i: f"2024-05-{i:02}",
                        lambda i: f"{i:02}.05.2023",
                        lambda i: f"05/{i:02}/2022",
                        lambda i: f"May {i}, 2021",
                    )
                ],
                "y": ["a", "b"] * 20,
            }
        ),
        "dates.*row 1: '01.05.2023'",
    ),
    "no such day": (
        pd.DataFrame(
            {
                "day": [f"2023-02-{i:02}" for i in range(1, 29)] + ["2023-02-29"] * 12,
                "y": ["a", "b"] * 20,
            }
        ),
        "dates.*row 28: '2023-02-29'",
    ),
}


@pytest.mark.parametrize("case", COLUMNS)
def test_numbers_and_dates_that_become_text_are_told(case: str) -> None:
    frame, says = COLUMNS[case]
    for call in (
        lambda: augment(frame, "y", n_samples=3, synthesizer="bootstrap", random_state=0),
        lambda: SmoothedBootstrap(random_state=0).fit(frame.iloc[:, :1], frame["y"]),
        lambda: audit(frame.iloc[:, :1], frame["y"]),
    ):
        with pytest.warns(UserWarning, match=f"is read as text; most.*{says}"):
            call()


def test_the_year_1_is_told(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    days = [f"2023-02-{i:02}" for i in range(1, 29)]
    path.write_text("day,y\n" + "".join(f"{d},{d[-1]}\n" for d in [*days, "0001-01-01"]))
    with pytest.warns(UserWarning, match="column 'day' is read as text; most.* like dates"):
        Table.of(read_table(path), target=None)


@pytest.mark.parametrize("cells", [["007", "012", "300", "451", "009", "123"], list("abcdefgh")])
def test_codes_and_words_are_not(cells: list[str]) -> None:
    Table.of(pd.DataFrame({"zip": cells * 4, "x": range(4 * len(cells))}))


@pytest.mark.parametrize("other", ["rare ", "Rare", "rare\u200b", "\uff52\uff41\uff52\uff45"])
def test_classes_that_read_alike_are_told(other: str) -> None:
    y = pd.Series(["no"] * 40 + ["rare"] * 8 + [other] * 8, name="y")
    frame = pd.DataFrame({"x": np.arange(56) % 9, "y": y})
    with pytest.warns(UserWarning, match="classes 'rare' .*differ only in|and 'rare' differ only"):
        augment(frame, "y", labels=["rare"], n_samples=3, synthesizer="bootstrap", random_state=0)


def test_a_schema_of_another_target_or_dtype_is_told() -> None:
    frame = pd.DataFrame({"x": [1, 2, 3, 4] * 9, "b": ["u", "v"] * 18, "y": ["p", "q", "q"] * 12})
    other = Schema.infer(frame, target="b")
    with pytest.warns(UserWarning, match="made for target 'b', but the target here is 'y'"):
        Table.of(frame, target="y", schema=other)
    schema = Schema.infer(frame, target="y")
    with pytest.warns(UserWarning, match="column 'x' is float64 in the table and int64 in the"):
        Table.of(frame.astype({"x": float}), target="y", schema=schema)
    Table.of(frame, target="y", schema=schema)


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["sep=;\n", "sep=;\r\n", '"sep=;"\n', "\ufeffsep=;\n"])
def test_the_line_of_excel_names_the_delimiter(tmp_path: Path, first: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes((first + "a;b\n1,5;x\n2,5;y\n").encode())
    frame = read_table(path)
    assert frame.to_dict("list") == {"a": [1.5, 2.5], "b": ["x", "y"]}
    path.write_bytes((first + "a;b\n1;x\n2;y;z\n").encode())
    with pytest.raises(DataError, match="line 4: expected 2 fields"):
        read_table(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("# made by x\na,b\n1,x\n", "line 1 begins with '#': comments are not read"),
        ("#made\n#by x\na,b\n1,x\n", "lines 1 to 2 begin with '#'"),
        ("#made by x\na,b\n1,x\n", "line 1 begins with '#'"),
        ("a,b\n1,x\n# the end\n", r"line 3.*\(comments, lines that begin with '#'"),
    ],
)
def test_comments_are_named(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=says):
        read_table(tmp_path / "t.csv")


def test_a_name_may_begin_with_a_number_sign(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("#id,b\n1,x\n")
    assert list(read_table(tmp_path / "t.csv")) == ["#id", "b"]


def test_a_header_of_several_levels_is_told(tmp_path: Path) -> None:
    frame = pd.DataFrame({("q", "a"): [1, 2], ("q", "b"): [3, 4]})
    frame.to_parquet(tmp_path / "t.parquet")
    with pytest.warns(UserWarning, match=r"the header has 2 levels.*\('q', 'a'\)"):
        read_table(tmp_path / "t.parquet")
