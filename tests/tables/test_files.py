"""Reading tables, writing them, and writing anything at all."""

import codecs
import errno
import gzip
import hashlib
import io
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen.errors import DataError, OutputError, SynthgenError
from synthgen.tables import disk
from synthgen.tables.disk import atomic_write, sha256_of, write_json, write_text
from synthgen.tables.read import read_table
from synthgen.tables.write import write_table

SIMPLE = "name,age\nAda,36\nBob,41\n"


@pytest.fixture
def save(tmp_path):
    """Save bytes or text under a name; return the path."""

    def save(content, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return save


MARKS = ["?", ".", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"]


def column(save, *cells, delimiter=","):
    """The one column `x` of a CSV file with these cells, beside a column of numbers."""
    rows = "".join(f"{i}{delimiter}{cell}\n" for i, cell in enumerate(cells))
    return read_table(save(f"i{delimiter}x\n{rows}"))["x"]


def feather_bytes(frame):
    frame.to_feather(sink := io.BytesIO())
    return sink.getvalue()


def parquet_bytes(frame, **options):
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), sink, **options)
    return sink.getvalue()


# ---------------------------------------------------------------------------------- read: formats


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(SIMPLE, id="utf-8"),
        pytest.param(SIMPLE.rstrip("\n"), id="no newline at the end"),
        pytest.param(SIMPLE.replace("\n", "\r\n"), id="CRLF"),
        pytest.param(SIMPLE.replace("\n", "\r"), id="CR"),
        pytest.param("\n\n" + SIMPLE + "\n\n", id="blank lines around"),
        pytest.param(SIMPLE.replace("\n", "\n\n"), id="blank lines between"),
        pytest.param(codecs.BOM_UTF8 + SIMPLE.encode(), id="utf-8 with BOM"),
        pytest.param(SIMPLE.encode("utf-16"), id="utf-16"),
        pytest.param(codecs.BOM_UTF16_BE + SIMPLE.encode("utf-16-be"), id="utf-16-be"),
        pytest.param(SIMPLE.replace(",", "\t").encode("utf-16"), id="utf-16 with tabs"),
        pytest.param(SIMPLE.replace(",", ";"), id="semicolon"),
        pytest.param(SIMPLE.replace(",", "\t"), id="tab"),
        pytest.param(SIMPLE.replace(",", "|"), id="bar"),
        pytest.param('"name","age"\n"Ada","36"\n"Bob","41"\n', id="all quoted"),
        pytest.param(gzip.compress(SIMPLE.encode()), id="gz"),
        pytest.param(gzip.compress(codecs.BOM_UTF8 + SIMPLE.encode()), id="gz with BOM"),
        pytest.param(
            parquet_bytes(pd.DataFrame({"name": ["Ada", "Bob"], "age": [36, 41]})), id="parquet"
        ),
        pytest.param(
            feather_bytes(pd.DataFrame({"name": ["Ada", "Bob"], "age": [36, 41]})), id="feather"
        ),
    ],
)
@pytest.mark.parametrize("name", ["table.csv", "table.parquet", "table.gz", "table.arrow", "table"])
def test_the_content_decides_how_a_file_is_read(save, content, name):
    frame = read_table(save(content, name))
    assert list(frame.columns) == ["name", "age"]
    assert list(frame["name"]) == ["Ada", "Bob"]
    assert list(frame["age"]) == [36, 41]
    assert frame["age"].dtype == np.int64
    assert isinstance(frame.index, pd.RangeIndex)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1"])
def test_accents_survive_in_every_encoding(save, encoding):
    frame = read_table(save("città,Straße\nForlì,Müller\nÅre,café\n".encode(encoding)))
    assert frame.to_dict("list") == {"città": ["Forlì", "Åre"], "Straße": ["Müller", "café"]}


def test_latin_1_bytes_that_cp1252_lacks(save):
    assert list(read_table(save(b"a,b\nx\x81y,1\n"))["a"]) == ["x\x81y"]


def test_cp1252_euro(save):
    assert list(read_table(save(b"a,b\n\x80 5,1\n"))["a"]) == ["€ 5"]


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("a;b\n1,5;2,5\n3,5;4,5\n", ["a", "b"]),
        ('a;"b, c"\n"1,2";3\n', ["a", "b, c"]),
        ("a,b\nx|y|z,1\nx|y|z,2\n", ["a", "b"]),
        ("a\n1\n2\n", ["a"]),
        ("a\nx y\n\n;\n", ["a"]),
        ("a\tb c\n1\t2\n", ["a", "b c"]),
        ("a,b;c\n1,2;3\n4,5\n", ["a", "b;c"]),
        (",a,b\n0,1,2\n", ["", "a", "b"]),
        (" a , b\n1,2\n", [" a ", " b"]),
        ('"a\nb",c\n1,2\n', ["a\nb", "c"]),
    ],
)
def test_delimiter_and_names(save, content, names):
    assert list(read_table(save(content)).columns) == names


# ------------------------------------------------------------------------------------ read: types


@pytest.mark.parametrize(
    ("cells", "dtype", "values"),
    [
        (["1", "-2", "0"], "int64", [1, -2, 0]),
        ([" 1", "2 "], "int64", [1, 2]),
        (["9007199254740993", "-9223372036854775808"], "int64", [2**53 + 1, -(2**63)]),
        (["9223372036854775807", "", "NA"], "Int64", [2**63 - 1, None, None]),
        (["9223372036854775808", "1"], "object", ["9223372036854775808", "1"]),
        (["00123", "456"], "object", ["00123", "456"]),
        (["00123", ""], "object", ["00123", None]),
        (["+4912345", "+4967890"], "object", ["+4912345", "+4967890"]),
        (["-0", "1"], "object", ["-0", "1"]),
        (["1_000", "2"], "object", ["1_000", "2"]),
        (["1.5", "2"], "float64", [1.5, 2.0]),
        (["1.", ".5", "-.5e-3", "+1.5", "1E5"], "float64", [1.0, 0.5, -0.0005, 1.5, 1e5]),
        (["0.1", "1e-300", "5e-324", "1.7976931348623157e308"], "float64", None),
        (["2.2250738585072011e-308", "8.41e21", "9007199254740993.0"], "float64", None),
        (["inf", "-inf", "1.5"], "float64", [float("inf"), float("-inf"), 1.5]),
        (["1e999", "1.5"], "object", ["1e999", "1.5"]),
        (["007.5", "1.5"], "object", ["007.5", "1.5"]),
        (["1.5", *MARKS, ""], "float64", [1.5] + [None] * 10),
        (["", "", ""], "float64", [None] * 3),
        (["NA", "", "None"], "object", ["NA", None, "None"]),
        (["None", "yes", "NA", ""], "object", ["None", "yes", "NA", None]),
        (["a", " a", "a "], "object", ["a", " a", "a "]),
        (["1,5"], "object", ["1,5"]),
        (["True", "False"], "bool", [True, False]),
        (["True", "", "False"], "object", [True, None, False]),
        (["TRUE", "False"], "object", ["TRUE", "False"]),
        (["True", "NA"], "object", ["True", "NA"]),
        (["2024-02-29", "1999-12-31"], "datetime64[us]", None),
        (["2024-02-29", "None", ""], "datetime64[us]", None),
        (["9999-12-31", "1000-01-01"], "datetime64[us]", None),
        (["2024-01-01 10:20", "2024-01-01"], "datetime64[us]", None),
        (["2024-01-01T10:20:30.5", "2024-01-01T10:20:30.123456"], "datetime64[us]", None),
        (["2024-01-01T10:20:30.123456789"], "datetime64[ns]", None),
        (["2024-01-01T10:20:30Z", "NA"], "datetime64[us, UTC]", None),
        (["2024-01-01 10:20+01:00", "2024-06-01 10:20+0100"], "datetime64[us, UTC+01:00]", None),
        (["2024-01-01 10:20+01:00", "2024-06-01 10:20+02:00"], "datetime64[us, UTC]", None),
        (["2023-02-29", "2024-02-29"], "object", ["2023-02-29", "2024-02-29"]),
        (["2024-01-01 10:20:30+00", "2024-06-01 10:20:30+00"], "datetime64[us, UTC]", None),
        (["2024-01-01 10:20-00:00", "2024-06-01 10:20+0000"], "datetime64[us, UTC]", None),
        (["2024-01-01 10:20+00:00", "2024-06-01 10:20Z"], "datetime64[us, UTC]", None),
        (["2024-01-01 10:20-14:59"], "datetime64[us, UTC-14:59]", None),
        (["2024-01-01 10:20Z", "2024-01-01 10:20"], "object", None),
        (["2024-01-01 10:20+99:99"], "object", None),
        (["9999-12-31 10:20:30.1234567"], "object", None),
        (["0000-01-01", "0001-01-01"], "object", None),
        (["01/02/2024"], "object", ["01/02/2024"]),
    ],
)
def test_each_column_gets_the_type_that_all_its_cells_fit(save, cells, dtype, values):
    quoted = [f'"{cell}"' if "," in cell else cell for cell in cells]
    read = column(save, *quoted)
    assert str(read.dtype) == dtype
    if dtype == "float64" and values is None:
        values = [float(cell) for cell in cells]
    if dtype.startswith("datetime64"):
        values = [None if cell in ("", *MARKS) else pd.Timestamp(cell) for cell in cells]
    for got, expected in zip(read, values or cells, strict=True):
        assert got == expected if expected is not None else pd.isna(got)
        assert type(got) is type(expected) or dtype != "object"


def test_times_are_exact(save):
    read = column(save, "2024-03-01 10:20:30.123456", "2024-03-01T10:20")
    assert list(read) == [datetime(2024, 3, 1, 10, 20, 30, 123456), datetime(2024, 3, 1, 10, 20)]
    assert column(save, "2024-03-01 10:20:30.123456789")[0].nanosecond == 789
    assert column(save, "2024-03-01 10:20+02:00")[0] == pd.Timestamp("2024-03-01 08:20Z")


def test_decimal_commas_between_semicolons(save):
    read = column(save, "1,5", "-2", "", "NA", "1,25", delimiter=";")
    assert read.dtype == np.float64
    assert list(read.dropna()) == [1.5, -2.0, 1.25]
    assert list(column(save, "1.234,5", "2", delimiter=";")) == ["1.234,5", "2"]


def test_text_is_exact(save):
    cells = ['"two\nlines"', '"a\r\nb"', '"say ""hi"""', 'a "quoted" word', '5" pipe', "🙂", "שלום"]
    expected = ["two\nlines", "a\r\nb", 'say "hi"', 'a "quoted" word', '5" pipe', "🙂", "שלום"]
    assert list(column(save, *cells, "nul\0inside")) == [*expected, "nul\0inside"]


def test_very_long_cells_and_wide_tables(save):
    long = "é" * 1_500_000
    assert column(save, f'"{long}\n"', f'"{long}"""')[0] == long + "\n"
    wide = ",".join(f"c{i}" for i in range(5000))
    assert read_table(save(f"{wide}\n{','.join(['1'] * 5000)}\n")).shape == (1, 5000)


def test_an_empty_quoted_line_of_one_column_is_a_missing_cell(save):
    frame = read_table(save('x\n1\n""\n\n3\n'))
    assert frame["x"].tolist() == [1, pd.NA, 3]


def test_what_is_read_can_be_changed(save):
    frame = read_table(save("a,b,c,d\n1,1.5,True,2024-01-01\n2,2.5,False,2024-01-02\n"))
    frame.loc[0] = frame.loc[1]
    for name in frame.columns:
        assert frame[name].tolist() == [frame[name][1]] * 2


def test_parquet_keeps_its_types(save):
    frame = pd.DataFrame(
        {
            "category": pd.Categorical(["a", "b"], categories=["b", "a", "unused"], ordered=True),
            "integer": pd.array([1, None], dtype="Int64"),
            "zone": pd.to_datetime(["2024-01-01", "NaT"]).tz_localize("Europe/Berlin"),
            "far": np.array(["9999-12-31", "NaT"], dtype="datetime64[us]"),
            "odd": [2**53 + 1, 2],
        }
    )
    pd.testing.assert_frame_equal(read_table(save(parquet_bytes(frame))), frame)


def test_a_folder_name_like_a_partition_adds_no_column(tmp_path):
    folder = tmp_path / "year=2024"
    folder.mkdir()
    write_table(pd.DataFrame({"a": [1]}), folder / "t.parquet")
    assert list(read_table(folder / "t.parquet").columns) == ["a"]


# -------------------------------------------------------------------------------- read: refusals


PARQUET = parquet_bytes(pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", None]}))
TWICE = io.BytesIO()
pq.write_table(pa.table([[1], [2]], names=["a", "a"]), TWICE)


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        pytest.param(b"", 314, ["empty", "check what wrote it"], id="0 bytes"),
        pytest.param(b"\n\n \n"[:2], 314, ["empty"], id="blank lines"),
        pytest.param(codecs.BOM_UTF8, 314, ["empty"], id="only a BOM"),
        pytest.param("a,b\n", 315, ["no rows"], id="header only"),
        pytest.param(
            parquet_bytes(pd.DataFrame({"a": []})), 315, ["no rows"], id="Parquet, 0 rows"
        ),
        pytest.param(parquet_bytes(pd.DataFrame()), 315, ["no columns"], id="Parquet, 0 columns"),
        pytest.param(
            feather_bytes(pd.DataFrame({"a": [1]}))[:-9], 323, ["truncated Arrow"], id="Arrow, cut"
        ),
        pytest.param(b"ARROW1\0\0" + bytes(99), 323, ["damaged or"], id="Arrow by name only"),
        pytest.param(b"PK\x03\x04\x14\0xl/workbook", 316, ["Excel", "save the sheet"], id="Excel"),
        pytest.param(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0", 316, ["old Excel"], id="old Excel"),
        pytest.param(b"\x80\x04\x95\x10\0\0\0", 316, ["pickle", "never opened"], id="pickle"),
        pytest.param(b"%PDF-1.7\n\0\xff", 316, ["PDF"], id="PDF"),
        pytest.param(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 316, ["binary"], id="PNG"),
        pytest.param(bytes(1000), 316, ["binary"], id="zeros"),
        pytest.param(random.Random(0).randbytes(5000), 316, ["binary"], id="noise"),
        pytest.param(SIMPLE.encode("utf-16-le"), 316, ["binary"], id="utf-16 without BOM"),
        pytest.param(SIMPLE.encode("utf-32"), 316, ["NUL"], id="utf-32"),
        pytest.param("<!DOCTYPE html><html>404</html>", 316, ["web page", "download"], id="HTML"),
        pytest.param('[\n  {"a": 1}]', 316, ["JSON", "to_parquet"], id="JSON"),
        pytest.param(
            gzip.compress(PARQUET), 316, ["gzip", "Parquet", "unpack"], id="gz of Parquet"
        ),
        pytest.param(
            gzip.compress(gzip.compress(b"a,b\n")),
            316,
            ["inside the gzip", "unpack"],
            id="gz of gz",
        ),
        pytest.param(gzip.compress(bytes(10**7)), 316, ["inside the gzip", "binary"], id="gz bomb"),
        pytest.param(gzip.compress(b""), 314, ["empty"], id="gz of nothing"),
        pytest.param(
            gzip.compress(SIMPLE.encode())[:-5], 317, ["gzip", "again"], id="gz truncated"
        ),
        pytest.param(b"\x1f\x8b", 317, ["gzip"], id="gz magic only"),
        pytest.param(
            "a,b\né,1\n".encode() + b"\xe9,1\n", 318, ["line 3", "save as UTF-8"], id="one of two"
        ),
        pytest.param(
            "a,b\nà,é\nè,ü\n".encode() + b"\xe9,1\n", 318, ["line 4", "not utf-8"], id="bad byte"
        ),
        pytest.param(
            "имя,город\nИлья,Нижний Тагил\n".encode("cp1251"),
            318,
            ["save the file as UTF-8"],
            id="cp1251",
        ),
        pytest.param(
            "名前,都市\n花子,東京都\n".encode("shift-jis"),
            318,
            ["save the file as UTF-8"],
            id="sjis",
        ),
        pytest.param(
            SIMPLE.encode("utf-16")[:-1], 318, ["line 3", "utf-16"], id="utf-16 truncated"
        ),
        pytest.param("1,2.5\n3,4\n", 319, ["'1', '2.5'", "add a first line"], id="no header"),
        pytest.param(",,\n1,2,3\n", 319, ["names no column"], id="empty header"),
        pytest.param(
            "a,b,a\n1,2,3\n", 320, ["column 'a' appears 2 times", "rename"], id="duplicate"
        ),
        pytest.param(",,a\n1,2,3\n", 320, ["column '' appears 2 times"], id="duplicate empty"),
        pytest.param(TWICE.getvalue(), 320, ["column 'a' appears 2 times"], id="Parquet duplicate"),
        pytest.param(
            "a,b\n1,2\n3,4,5\n6,7\n", 321, ["line 3", "expected 2", "found 3", "quote"], id="ragged"
        ),
        pytest.param(
            'a,b\n"x\ny",2\n3\n6,7\n', 321, ["line 4", "expected 2", "found 1"], id="short"
        ),
        pytest.param("a,b,c\n1,2,3\n4,5", 321, ["line 3", "found 2", "cut off"], id="truncated"),
        pytest.param("a\n1,2\n", 321, ["line 2", "expected 1", "found 2"], id="one column ragged"),
        pytest.param('a,b\n1,2\n3,"x', 322, ["line 3", "quote"], id="truncated in a quote"),
        pytest.param('a,b\n1,"x\n2,y\n3,"z\n', 322, ["line 2", "quote"], id="stray quotes"),
        pytest.param('a,b\n1,"x"y\n', 322, ["line 2", "doubled"], id="text after a quote"),
        pytest.param(PARQUET[:-10], 323, ["Parquet", "truncated"], id="Parquet truncated"),
        pytest.param(PARQUET[:100], 323, ["Parquet", "again"], id="Parquet, 100 bytes"),
        pytest.param(PARQUET[:20] + PARQUET[50:], 323, ["Parquet", "again"], id="Parquet damaged"),
    ],
)
def test_refused(save, content, code, words):
    path = save(content)
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert caught.value.code == code
    assert str(path) in str(caught.value)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("name", ["table.csv", "table.csv.gz"])
def test_what_memory_cannot_hold_is_refused_before_it_is_read(save, monkeypatch, name):
    text = "a,b\n" + "1,2\n" * 20_000
    path = save(gzip.compress(text.encode()) if name.endswith("gz") else text, name)
    monkeypatch.setattr("synthgen.tables.read.BLOCK", 1 << 17)
    monkeypatch.setattr("synthgen.tables.read.machine_memory", lambda: 4 * len(text))
    assert len(read_table(path)) == 20_000
    monkeypatch.setattr("synthgen.tables.read.machine_memory", lambda: 4 * len(text) - 1)
    with pytest.raises(DataError, match=r"do not fit into the memory of this .*: keep only some"):
        read_table(path)


def test_sqlite_is_refused(tmp_path):
    connection = sqlite3.connect(tmp_path / "x.db")
    connection.execute("create table t (a)")
    connection.close()
    with pytest.raises(DataError, match="SQLite database: export one") as caught:
        read_table(tmp_path / "x.db")
    assert caught.value.code == 316


@pytest.mark.parametrize("read", [read_table, sha256_of])
@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("missing.csv", 310, "no such file"),
        (".", 311, "folder"),
        ("file/inside.csv", 313, "cannot be read"),
        ("pipe", 311, "a pipe or a device"),
        ("nul\0.csv", 313, "cannot be read"),
        ("x" * 300, 313, "cannot be read"),
    ],
)
def test_places_that_cannot_be_read(tmp_path, read, name, code, words):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text(SIMPLE)
    with pytest.raises(DataError, match=words) as caught:
        read(tmp_path / name)
    assert caught.value.code == code


def test_no_permission_to_read(save, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(disk, "open", refuse, raising=False)
    with pytest.raises(DataError, match=r"no permission to read it: try chmod u\+r") as caught:
        read_table(save(SIMPLE))
    assert caught.value.code == 312


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_real_permissions(save, tmp_path):
    path = save(SIMPLE)
    path.chmod(0)
    with pytest.raises(DataError) as unreadable:
        read_table(path)
    path.chmod(0o444)
    with pytest.raises(OutputError) as protected:
        write_table(pd.DataFrame({"a": [1]}), path)
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(OutputError) as folder:
            write_table(pd.DataFrame({"a": [1]}), tmp_path / "new.csv")
    finally:
        tmp_path.chmod(0o755)
    codes = [caught.value.code for caught in (unreadable, protected, folder)]
    assert codes == [312, 504, 504]
    assert path.read_text() == SIMPLE


# -------------------------------------------------------------------------------------- read: fuzz


def mutated(data, rng):
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5, 30])):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(5):
            case 0:
                data[at : at + 1] = rng.randbytes(1)
            case 1:
                del data[at : at + rng.randrange(1, 20)]
            case 2:
                data[at:at] = rng.choice(
                    [b'"', b",", b"\n", b"\0", b"\r", b";", b"\xff", b"9" * 40]
                )
            case 3:
                del data[at + len(data) // 2 :]
            case _:
                data[at : at + 1] = bytes([data[at] ^ (1 << rng.randrange(8))] if data[at:] else [])
    return bytes(data)


FUZZED = pd.DataFrame(
    {
        "text": ["plain", 'with "quotes", commas', "two\nlines", None, "é🙂"] * 4,
        "integer": range(20),
        "number": np.linspace(-1, 1e9, 20),
        "flag": [True, False] * 10,
        "when": pd.date_range("2024-01-01", periods=20, freq="37h"),
        "kind": pd.Categorical(["a", "b"] * 10),
    }
)


@pytest.mark.parametrize("count", [100, pytest.param(2000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".parquet", ".feather"])
def test_a_mutated_file_is_a_table_or_a_clear_error(tmp_path, ending, count):
    path = tmp_path / f"table{ending}"
    write_table(FUZZED, path)
    original, outcomes, refusals = path.read_bytes(), {True: 0, False: 0}, []
    for seed in range(count):
        path.write_bytes(mutated(original, random.Random(seed)))
        start = time.perf_counter()
        try:
            with warnings.catch_warnings():  # of a value among the names
                warnings.simplefilter("ignore", UserWarning)
                is_frame = isinstance(read_table(path), pd.DataFrame)
        except SynthgenError as error:
            is_frame, refusals = False, [*refusals, error]
        assert time.perf_counter() - start < 5, f"seed {seed} took too long"
        outcomes[is_frame] += 1
    assert outcomes[False]
    assert all(310 <= error.code <= 324 and len(error.message) > 40 for error in refusals)


# ------------------------------------------------------------------------------------------- write


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", b"a,b\n1,x\n"),
        ("T.CSV", b"a,b\n1,x\n"),
        ("t.tsv", b"a\tb\n1\tx\n"),
    ],
)
def test_the_ending_decides_how_a_file_is_written(tmp_path, name, content):
    assert write_table(pd.DataFrame({"a": [1], "b": ["x"]}), tmp_path / name) == 0
    assert (tmp_path / name).read_bytes() == content


@pytest.mark.parametrize("name", ["t.csv.gz", "t.gz", "t.tsv.gz"])
def test_gzip_is_the_same_every_time(tmp_path, name):
    frame = pd.DataFrame({"a": [1], "b": ["x"]})
    write_table(frame, tmp_path / name)
    first = (tmp_path / name).read_bytes()
    write_table(frame, tmp_path / f"other-{name}")
    assert (tmp_path / f"other-{name}").read_bytes() == first
    assert gzip.decompress(first) in (b"a,b\n1,x\n", b"a\tb\n1\tx\n")
    assert list(read_table(tmp_path / name).columns) == ["a", "b"]


def test_csv_cells(tmp_path):
    frame = pd.DataFrame(
        {
            "text": ["a,b", 'say "hi"', "two\nlines", "lone\rreturn", None, "a;b"],
            "float": [0.1, 1e22, 1e-300, float("nan"), float("inf"), -0.0],
            "single": np.array([0.1, 2, 3, 4, 5, np.nan], dtype=np.float32),
            "integer": pd.array([2**53 + 1, None, 3, 4, 5, 6], dtype="Int64"),
            "flag": np.array([True, None, False, True, True, True], dtype=object),
            "day": pd.to_datetime(["2024-01-01", "NaT", *["2024-01-03"] * 4]),
            "time": pd.to_datetime(["2024-01-01 10:00", "NaT", *["2024-01-03 00:00"] * 4]),
            "kind": pd.Categorical(["x", None, "y", "x", "x", "x"]),
            "mixed": [1, "1", 1.0, True, None, date(2024, 1, 1)],
        }
    )
    write_table(frame, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_bytes().decode().split("\n", 1)[1] == (
        '"a,b",0.1,0.1,9007199254740993,True,2024-01-01,2024-01-01 10:00:00,x,1\n'
        '"say ""hi""",1e+22,2.0,,,,,,1\n'
        '"two\nlines",1e-300,3.0,3,False,2024-01-03,2024-01-03 00:00:00,y,1.0\n'
        '"lone\rreturn",,4.0,4,True,2024-01-03,2024-01-03 00:00:00,x,True\n'
        ",inf,5.0,5,True,2024-01-03,2024-01-03 00:00:00,x,\n"
        "a;b,-0.0,,6,True,2024-01-03,2024-01-03 00:00:00,x,2024-01-01\n"
    )


def test_csv_of_extension_types(tmp_path):
    frame = pd.DataFrame(
        {
            "single": pd.array([0.1, None], dtype="Float32"),
            "arrow": pd.array([0.1, None], dtype="double[pyarrow]"),
            "text": pd.array(["=x", None], dtype="string[pyarrow]"),
            "flag": pd.array([True, None], dtype="boolean"),
            "month": pd.period_range("2024-01", periods=2, freq="M"),
            "when": pd.array([datetime(2024, 1, 2), None], dtype="timestamp[us][pyarrow]"),
        }
    )
    assert write_table(frame, tmp_path / "t.csv") == 1
    lines = (tmp_path / "t.csv").read_text().splitlines()
    assert lines[1:] == ["0.1,0.1,'=x,True,2024-01,2024-01-02 00:00:00", ",,,,2024-02,"]


def test_chunks_join_without_a_seam(tmp_path):
    frame = pd.DataFrame({"i": range(120_001), "t": "x"})
    write_table(frame, tmp_path / "t.csv")
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.csv"), frame.astype({"t": object}))


def test_the_frame_is_not_changed_and_its_index_not_written(tmp_path):
    frame = pd.DataFrame({"a": ["=x", "y"]}, index=["p", "p"])
    copy = frame.copy(deep=True)
    for name in ("t.csv", "t.parquet"):
        write_table(frame, tmp_path / name)
        assert isinstance(read_table(tmp_path / name).index, pd.RangeIndex)
    pd.testing.assert_frame_equal(frame, copy)


def test_no_rows_are_a_header(tmp_path):
    write_table(pd.DataFrame({"a": [], "b": []}), tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "a,b\n"


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-a", "@sum", "\tx", "\rx", "-1+2", "=", "-1,5"])
@pytest.mark.parametrize("as_type", [object, "category", "string"])
def test_formulas_are_defused(tmp_path, text, as_type):
    frame = pd.DataFrame({"a": pd.Series([text, "b"], dtype=as_type), "=name": ["c", "d"]})
    assert write_table(frame, tmp_path / "t.csv") == 2
    raw = pd.read_csv(tmp_path / "t.csv", dtype=str, lineterminator="\n")
    assert list(raw.columns) == ["a", "'=name"]
    assert list(raw["a"]) == [f"'{text}", "b"]
    read = read_table(tmp_path / "t.csv")  # takes the quotes away again
    assert list(read.columns) == list(frame.columns)
    assert list(read["a"]) == [text, "b"]
    assert write_table(frame, tmp_path / "t.csv", defuse=False) == 0
    assert list(read_table(tmp_path / "t.csv")["a"]) == [text, "b"]
    assert write_table(frame, tmp_path / "t.parquet") == 0
    assert list(read_table(tmp_path / "t.parquet")["a"]) == [text, "b"]


def test_numbers_and_dates_are_never_defused(tmp_path):
    frame = pd.DataFrame(
        {
            "text": ["-1", "+2.5e3", "-.5", "a=b"],
            "number": [-1.5, -2, float("-inf"), 0],
            "delta": pd.to_timedelta([-1, 2, 3, 4], unit="h"),
            "mixed": pd.Series([-1, "x", -2.5, None], dtype=object),
        }
    )
    assert write_table(frame, tmp_path / "t.csv") == 0
    assert "'" not in (tmp_path / "t.csv").read_text()


@pytest.mark.parametrize(
    ("frame", "name", "code", "words"),
    [
        (pd.DataFrame({"a": [1]}), "t.xlsx", 501, [".csv.gz", ".parquet"]),
        (pd.DataFrame({"a": [1]}), "t", 501, ["unknown ending"]),
        (pd.DataFrame({"a": [1]}), "no/t.csv", 502, ["there is no folder", "create it first"]),
        (pd.DataFrame({"a": [1]}), "file/t.csv", 502, ["there is no folder"]),
        (pd.DataFrame({"a": [1]}), "folder.csv", 503, ["a directory"]),
        (pd.DataFrame({"a": [1]}), "pipe.csv", 503, ["a pipe"]),
        (pd.DataFrame({"a": [1]}), "loop.csv", 506, ["cannot be written"]),
        (pd.DataFrame({"a": [1]}), "nul\0.csv", 506, ["cannot be written"]),
        (pd.DataFrame({"a": [1]}), "x" * 300 + ".csv", 506, ["cannot be written"]),
        (pd.DataFrame(index=[0]), "t.csv", 508, ["no columns"]),
        (pd.DataFrame([[1, 2]], columns=[1, "1"]), "t.csv", 508, ["named '1'", "rename"]),
        (
            pd.DataFrame({"a": ["x", "\ud800y"]}, dtype=object),
            "t.csv",
            507,
            ["column 'a'", "row 1", "'\\ud800y'", "half a character", "replace"],
        ),
        (
            pd.DataFrame({"a": ["x", "\ud800y"]}, dtype=object),
            "t.parquet",
            507,
            ["column 'a'", "row 1", "'\\ud800y'"],
        ),
        (
            pd.DataFrame({"b": [1, "x"]}, dtype=object),
            "t.parquet",
            508,
            ["Parquet cannot hold", "column b", "CSV"],
        ),
        (
            pd.DataFrame({"d": np.array(["2024", "20000"], dtype="datetime64[us]")}),
            "t.csv",
            508,
            ["column 'd', row 1", "years 1 to 9999", ".parquet"],
        ),
        (
            pd.DataFrame({"d": pd.arrays.SparseArray([0, 1])}),
            "t.parquet",
            508,
            ["Parquet cannot hold", "column d"],
        ),
        (pd.DataFrame({"b": [1 + 2j]}), "t.parquet", 508, ["Parquet cannot hold"]),
        (pd.DataFrame({"b": [2**70]}, dtype=object), "t.parquet", 508, ["Parquet cannot hold"]),
    ],
)
def test_what_cannot_be_written(tmp_path, frame, name, code, words):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(OutputError) as caught:
        write_table(frame, tmp_path / name)
    assert caught.value.code == code
    for word in words:
        assert word in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == before


def test_a_surrogate_in_a_name(tmp_path):
    frame = pd.DataFrame([[1]], columns=pd.Index(["\udc00"], dtype=object))
    for name in ("t.csv", "t.csv.gz", "t.parquet"):
        with pytest.raises(OutputError, match=r"column '\\udc00', its name") as caught:
            write_table(frame, tmp_path / name)
        assert caught.value.code == 507


# ----------------------------------------------------------------------------------- write and read

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
CELLS = {
    "text": (texts, "word"),
    "integer": (st.integers(-(2**63), 2**63 - 1), 2**53 + 1),
    "float": (st.floats(allow_nan=False), 0.1),
    "bool": (st.booleans(), True),
    "datetime": (
        st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 31)),
        datetime(2024, 2, 29, 1, 2, 3, 4),
    ),
}
DTYPES = {"text": object, "integer": "Int64", "float": float, "datetime": "datetime64[us]"}


@st.composite
def frames(draw):
    """Frames whose types CSV can tell: the first row is complete and without doubt."""
    rows = draw(st.integers(0, 6))
    names = draw(st.lists(texts.filter(lambda name: "\0" not in name), unique=True, max_size=4))
    frame = {}
    for name in ["first", *(name for name in names if name != "first")]:
        kind = draw(st.sampled_from(sorted(CELLS)))
        strategy, example = CELLS[kind]
        cells = [example, *draw(st.lists(st.none() | strategy, min_size=rows, max_size=rows))]
        gaps = None in cells
        dtype = "int64" if kind == "integer" and not gaps else DTYPES.get(kind, object)
        frame[name] = pd.Series(cells, dtype=bool if kind == "bool" and not gaps else dtype)
    return pd.DataFrame(frame)


@settings(max_examples=60, deadline=None)
@given(frame=frames(), ending=st.sampled_from([".csv", ".csv.gz", ".tsv", ".parquet", ".arrow"]))
def test_what_is_written_is_read_back_equal(tmp_path_factory, frame, ending):
    path = tmp_path_factory.getbasetemp() / f"property{ending}"
    assert write_table(frame, path, defuse=False) == 0
    read = read_table(path)
    if ending in (
        ".parquet",
        ".arrow",
    ):  # from pandas 3 on, text in Parquet is `str`, and missing NaN
        read = read.astype({name: object for name in read if frame[name].dtype == object})
        read, frame = read.where(read.notna(), None), frame.where(frame.notna(), None)
    pd.testing.assert_frame_equal(read, frame, check_exact=True)


@pytest.mark.parametrize("zone", ["UTC", "+05:30", "-03:00", "Europe/Berlin"])
def test_time_zones_are_written_and_read(tmp_path, zone):
    stamps = pd.date_range("2024-03-30 12:00", periods=4, freq="17h", tz=zone)
    write_table(pd.DataFrame({"when": stamps}), tmp_path / "t.csv")
    read = read_table(tmp_path / "t.csv")["when"]
    assert list(read) == list(stamps)
    assert zone == "Europe/Berlin" or str(read.dt.tz).removeprefix("UTC") in (zone, "")


# ----------------------------------------------------------------------------------- write: faults

OLD = b"old content"
TABLE = pd.DataFrame({"a": np.random.default_rng(0).random(3000), "b": "text"})


def fault(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


def fill_disk_after(monkeypatch, budget):
    """Let every file that is opened take this many bytes and no more."""

    class Full(io.FileIO):
        def write(self, data):
            if self.tell() + len(data) > budget:
                fault()
            return super().write(data)

    def opened(path, mode, opener):
        return io.BufferedWriter(Full(path, mode.replace("b", ""), opener=opener), 100)

    monkeypatch.setattr(disk, "open", opened, raising=False)


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".parquet", ".feather"])
@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize(
    "stage", [0, 1, 50, 1000, 9000, "open", "os.fsync", "os.replace", "os.chmod"]
)
def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch, ending, stage, exists):
    path = tmp_path / f"t{ending}"
    if exists:
        path.write_bytes(OLD)
    if isinstance(stage, int):
        fill_disk_after(monkeypatch, stage)
    elif stage == "open":
        monkeypatch.setattr(disk, "open", fault, raising=False)
    else:
        monkeypatch.setattr(stage, fault)
    if stage == "os.chmod" and not exists:
        assert write_table(TABLE, path) == 0
        return
    with pytest.raises(OutputError, match="the disk is full: make room") as caught:
        write_table(TABLE, path)
    assert caught.value.code == 505
    assert os.listdir(tmp_path) == ([path.name] if exists else [])
    assert not exists or path.read_bytes() == OLD


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [
        (errno.EACCES, 504, "no permission to write in"),
        (errno.EROFS, 504, "choose another folder"),
        (errno.EDQUOT, 505, "disk is full"),
        (errno.EIO, 506, "cannot be written"),
    ],
)
def test_faults_of_the_file_system(tmp_path, monkeypatch, number, code, words):
    def fail(*args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OutputError, match=words) as caught:
        write_text(tmp_path / "t.txt", "new")
    assert caught.value.code == code
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_synced_is_no_fault(tmp_path, monkeypatch):
    calls = []

    def only_files(number):
        calls.append(number)
        if len(calls) > 1:
            fault()

    monkeypatch.setattr(os, "fsync", only_files)
    write_text(tmp_path / "t.txt", "new")
    assert len(calls) == 2
    assert (tmp_path / "t.txt").read_text() == "new"


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_an_exception_in_the_block_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "t"
    path.write_bytes(OLD)

    def stop():
        with atomic_write(path) as file:
            file.write(b"half")
            raise error

    with pytest.raises(error):
        stop()
    assert path.read_bytes() == OLD
    assert os.listdir(tmp_path) == ["t"]


def test_kill_leaves_the_old_file(tmp_path):
    path = tmp_path / "t"
    path.write_bytes(OLD)
    code = """
        import os, signal, sys
        from synthgen.tables.disk import atomic_write
        with atomic_write(sys.argv[1]) as file:
            file.write(b"half" * 100_000)
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == OLD


def test_a_read_only_file_is_not_replaced(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_bytes(OLD)
    monkeypatch.setattr(os, "access", lambda *args: False)
    with pytest.raises(OutputError, match=r"read-only: chmod u\+w") as caught:
        write_table(TABLE, path)
    assert caught.value.code == 504
    assert path.read_bytes() == OLD


def test_permission_bits(tmp_path):
    kept, new = tmp_path / "kept.csv", tmp_path / "new.csv"
    kept.touch()
    kept.chmod(0o640)
    before = os.umask(0o027)
    try:
        write_table(TABLE, kept)
        write_table(TABLE, new)
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in (kept, new)] == [0o640, 0o640]
    kept.chmod(0o600)
    with atomic_write(kept):
        (temporary,) = tmp_path.glob(".*.tmp")
        assert temporary.stat().st_mode & 0o777 == 0o600


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    link, real = tmp_path / "link.csv", tmp_path / "real" / "t.csv"
    link.symlink_to(real)
    for frame in (TABLE, TABLE.head(3)):
        write_table(frame, link)
        assert link.is_symlink()
        assert len(read_table(real)) == len(frame)


def test_two_writers_never_mix(tmp_path):
    path, errors = tmp_path / "t.csv", []
    tables = [pd.DataFrame({"a": [value] * 5000}) for value in range(4)]

    def write(table):
        try:
            for _ in range(5):
                write_table(table, path)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=[table]) for table in tables]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if path.exists():
            read = read_table(path)
            assert (len(read), read["a"].nunique()) == (5000, 1)
    for thread in threads:
        thread.join()
    assert not errors
    assert os.listdir(tmp_path) == ["t.csv"]


# -------------------------------------------------------------------------------- text, JSON, hash


def test_text(tmp_path):
    write_text(tmp_path / "t", "é\n")
    assert (tmp_path / "t").read_bytes() == "é\n".encode()
    with pytest.raises(OutputError, match=r"line 2 holds '\\ud83d', half a character") as caught:
        write_text(tmp_path / "t", "a\n\ud83d")
    assert caught.value.code == 507
    assert (tmp_path / "t").read_bytes() == "é\n".encode()


JSON_CASES = [
    (np.float64("nan"), None),
    (float("-inf"), None),
    (np.float32(0.5), 0.5),
    (np.int64(2**53 + 1), 2**53 + 1),
    (np.bool_(True), True),
    (np.str_("é"), "é"),
    (pd.NA, None),
    (pd.NaT, None),
    (np.datetime64("NaT", "ns"), None),
    (pd.Timestamp("2024-01-01 10:00"), "2024-01-01T10:00:00"),
    (np.datetime64("2024-01-01", "ns"), "2024-01-01T00:00:00"),
    (date(2024, 1, 1), "2024-01-01"),
    (Path("a") / "b", "a/b"),
    ((1, 2), [1, 2]),
    (np.array([[1.5, np.nan]]), [[1.5, None]]),
    (np.array(3), 3),
    (pd.Series([1, None], dtype="Int64"), [1, None]),
    (
        {np.int64(1): 1, None: 2, np.bool_(False): 3, "x": {2.5: []}},
        {"1": 1, "null": 2, "false": 3, "x": {"2.5": []}},
    ),
    ("\ud800", "\ud800"),
]


@pytest.mark.parametrize(("value", "expected"), JSON_CASES, ids=lambda value: ascii(value)[:20])
def test_json(tmp_path, value, expected):
    write_json(tmp_path / "t.json", {"value": value})
    text = (tmp_path / "t.json").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=pytest.fail) == {"value": expected}
    assert text.endswith("}\n")


def test_json_to_standard_output(capsys):
    write_json("-", {"name": "é🙂"})
    assert capsys.readouterr().out == '{\n  "name": "é🙂"\n}\n'


def test_json_to_a_narrow_terminal(monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    write_json("-", {"name": "é"})
    out.flush()
    assert json.loads(out.buffer.getvalue()) == {"name": "é"}


def test_sha256(tmp_path):
    (tmp_path / "t").write_bytes(b"abc" * 10**6)
    assert sha256_of(tmp_path / "t") == hashlib.sha256(b"abc" * 10**6).hexdigest()


def test_a_first_line_that_holds_a_value_is_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("0.126,23,p,yes\n0.5,4,q,no\n")
    with pytest.warns(UserWarning, match="line 1 is read as the column names.*'0.126' in it looks"):
        assert read_table(tmp_path / "t.csv").columns[0] == "0.126"
