"""Tables as streams: copied exactly, all rare rows kept, new rows below."""

import json
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen.cli.main import main
from synthgen.errors import DataError, OutputError, SynthgenError, UsageError
from synthgen.scale import text
from synthgen.scale.reservoir import keep_rows
from synthgen.scale.sources import Source, is_stream
from synthgen.scale.stream import augment_stream
from synthgen.tables.read import read_table

pc: Any = pyarrow.compute

ROWS, RARE = 30_000, 120


@pytest.fixture(scope="module")
def table() -> pa.Table:
    rng = np.random.default_rng(0)
    ill = np.zeros(ROWS, dtype=bool)
    ill[rng.choice(ROWS, RARE, replace=False)] = True
    site = pa.array(rng.choice(["north", "south"], ROWS)).dictionary_encode()
    age = pa.array(rng.integers(18, 90, ROWS).astype("int16"), mask=rng.random(ROWS) < 0.1)
    columns = {
        "patient": pa.array(rng.permutation(ROWS) + 1),
        "age": age,
        "dose": pa.array((rng.lognormal(1 + ill, 1) * 100).round() / 100),
        "site": site,
        "seen": pa.array(rng.integers(0, 10_000, ROWS).astype("int32"), type=pa.int32()).cast(
            pa.date32()
        ),
        "ill": pa.array(np.where(ill, "yes", np.where(rng.random(ROWS) < 0.01, "maybe", "no"))),
    }
    found = pa.table(columns)
    fields = [f.with_metadata({"unit": "mg"}) if f.name == "dose" else f for f in found.schema]
    return found.cast(pa.schema(fields, metadata={"owner": "ward 7"}))


@pytest.fixture(scope="module")
def folder(table: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table as four files, of row groups that are no multiples of one another."""
    path = tmp_path_factory.mktemp("table")
    for place, first in enumerate(range(0, ROWS, 8000)):
        part = table.slice(first, 8000)
        pq.write_table(part, path / f"part-{place}.parquet", row_group_size=1111)
    return path


def make(data, output: Path, **more) -> tuple[pa.Table, dict]:
    options = {"target": "ill", "synthesizer": "trees", "keep": 2000, "random_state": 0} | more
    if "ratio" not in options:
        options.setdefault("n_samples", 50)
    about = augment_stream(data, output, **options)
    assert json.loads(Path(f"{output}.manifest.json").read_text()) == about
    return pq.read_table(output), about


def test_original_is_copied_exactly_and_new_rows_follow(
    folder: Path, table: pa.Table, tmp_path: Path
):
    made, about = make(folder, tmp_path / "o.parquet")
    assert made.schema.equals(table.schema, check_metadata=True)
    assert made.schema.field("dose").metadata[b"unit"] == b"mg"
    assert made.slice(0, ROWS).equals(table)
    new = made.slice(ROWS)
    assert new["ill"].to_pylist() == ["yes"] * 50
    assert about["rows"] == made.num_rows == ROWS + 50
    assert about["before"]["yes"] == RARE
    assert about["after"]["yes"] == RARE + 50
    assert about["learned_from"]["classes"]["yes"] == RARE
    assert about["learned_from"]["rows"] == RARE + 2000


def test_new_ids_are_above_all_of_the_table_not_only_of_the_kept_rows(folder: Path, tmp_path: Path):
    for only_new in (False, True):
        made, _ = make(folder, tmp_path / "o.parquet", only_new=only_new)
        assert made["patient"].to_pylist()[-50:] == list(range(ROWS + 1, ROWS + 51))


def test_only_new_rows_are_those_below_the_original(folder: Path, tmp_path: Path):
    whole, _ = make(folder, tmp_path / "a.parquet")
    alone, about = make(folder, tmp_path / "b.parquet", only_new=True)
    assert alone.equals(whole.slice(ROWS))
    assert about["rows"] == 50


def test_mark_is_true_for_new_rows(folder: Path, tmp_path: Path):
    made, _ = make(folder, tmp_path / "o.parquet", mark="new")
    assert made["new"].to_pylist() == [False] * ROWS + [True] * 50


def test_ratio_counts_the_whole_table(folder: Path, table: pa.Table, tmp_path: Path):
    made, about = make(folder, tmp_path / "o.parquet", ratio=0.02, only_new=True)
    assert made.num_rows == round(0.02 * about["before"]["no"]) - RARE
    made, _ = make(folder, tmp_path / "o.parquet", ratio="double", only_new=True)
    assert made.num_rows == RARE


def test_rules_and_limits_hold(folder: Path, table: pa.Table, tmp_path: Path):
    made, about = make(
        folder, tmp_path / "o.parquet", n_samples=2000, only_new=True, rules=["dose < 9"]
    )
    doses = np.array(made["dose"])
    assert doses.max() < 9
    assert about["refused"]["yes"]["rule: dose < 9"] > 0


# --- what is kept -----------------------------------------------------------------------------


def kept(source: Source, labels: list[str] | None = None, keep: int = 2000, seed: int = 0):
    return keep_rows(source, "ill", labels, keep, np.random.SeedSequence(seed))


def test_every_rare_row_and_a_fair_sample_of_the_others(table: pa.Table, folder: Path):
    found = kept(Source.of(folder))
    ids = table.filter(pc.equal(table["ill"], "yes"))["patient"].to_pylist()
    own = found.frame[found.frame["ill"] == "yes"]
    assert own["patient"].tolist() == ids
    assert found.counts == {
        value["values"]: value["counts"] for value in table["ill"].value_counts().to_pylist()
    }
    others = found.frame[found.frame["ill"] != "yes"]
    assert len(others) == 2000
    # Places of the kept rows are even over the table: a mean of 2,000 uniform numbers.
    places = np.flatnonzero(np.isin(np.array(table["patient"]), others["patient"].to_numpy()))
    assert abs(places.mean() / ROWS - 0.5) < 4 * 12**-0.5 / 2000**0.5
    expected = 2000 * found.counts["maybe"] / (ROWS - RARE)
    assert abs((others["ill"] == "maybe").sum() - expected) < 4 * expected**0.5


def test_what_is_kept_does_not_depend_on_the_batches(table: pa.Table, folder: Path):
    in_one = Source(table.schema, lambda columns: iter(table.combine_chunks().to_batches()), "one")
    in_many = Source(table.schema, lambda columns: iter(table.to_batches(max_chunksize=97)), "many")
    first, second, third = (kept(s).frame for s in (in_one, in_many, Source.of(folder)))
    assert first.equals(second)
    assert first.equals(third)
    assert not first.equals(kept(in_one, seed=1).frame)


def test_named_classes_are_kept_whole_however_large(table: pa.Table):
    found = kept(Source.of(ds.dataset(table)), ["no"], keep=10)
    assert (found.frame["ill"] == "no").sum() == found.counts["no"] > 20_000
    assert len(found.frame) == found.counts["no"] + 10


def test_integers_with_missing_cells_stay_exact(table: pa.Table):
    assert str(kept(Source.of(ds.dataset(table))).frame["age"].dtype) == "Int16"


# --- sources ----------------------------------------------------------------------------------


def test_pattern_file_and_dataset_are_the_same_source(folder: Path, table: pa.Table):
    wanted = kept(Source.of(folder)).frame
    for data in (f"{folder}/part-*.parquet", ds.dataset(table), str(folder)):
        assert kept(Source.of(data)).frame.equals(wanted)
    assert is_stream(folder)
    assert is_stream(f"{folder}/*.parquet")
    assert not is_stream(folder / "part-0.parquet")


def test_parquet_is_not_read_ahead(tmp_path: Path):
    cells = np.random.default_rng(0).normal(size=1_000_000)
    pq.write_table(pa.table({"dose": cells}), tmp_path / "a.parquet", row_group_size=20_000)
    before, most = pa.total_allocated_bytes(), 0
    found = []
    for batch in Source.of(tmp_path / "a.parquet").read(None):
        most = max(most, pa.total_allocated_bytes() - before)
        found.append(batch.column("dose").to_numpy().copy())
        del batch
    assert np.array_equal(np.concatenate(found), cells)
    assert most < cells.nbytes / 10


def test_filtered_and_partitioned_datasets(table: pa.Table, tmp_path: Path):
    ds.write_dataset(table, tmp_path, format="parquet", partitioning=["ill"])
    parted = ds.dataset(tmp_path, partitioning=["ill"])
    some = Source.of(parted.filter(ds.field("age") > 60)).read(["patient", "ill"])
    ids = pa.Table.from_batches(list(some)).sort_by("patient")
    wanted = table.filter(pc.greater(table["age"], 60)).select(["patient", "ill"])
    assert ids.equals(wanted.sort_by("patient").replace_schema_metadata(None))
    whole = pa.Table.from_batches(list(Source.of(parted).read(None)))
    assert whole.num_rows == ROWS
    counts = {c["values"]: c["counts"] for c in table["ill"].value_counts().to_pylist()}
    assert {c["values"]: c["counts"] for c in whole["ill"].value_counts().to_pylist()} == counts


@pytest.mark.skipif(find_spec("polars") is None, reason="polars is not installed")
def test_polars_lazy_frame(folder: Path, table: pa.Table, tmp_path: Path):
    import polars as pl  # pyright: ignore[reportMissingImports]

    lazy = pl.scan_parquet(f"{folder}/*.parquet").filter(pl.col("age") > 30)
    made, about = make(lazy, tmp_path / "o.parquet")
    wanted = table.filter(pc.greater(table["age"], 30))
    assert about["rows_read"] == wanted.num_rows
    copied = made.slice(0, wanted.num_rows)
    for name in table.column_names:
        assert copied[name].to_pylist() == wanted[name].to_pylist()


@pytest.mark.skipif(find_spec("duckdb") is None, reason="duckdb is not installed")
def test_duckdb_select(folder: Path, table: pa.Table, tmp_path: Path):
    import duckdb  # pyright: ignore[reportMissingImports]

    sql = "select patient, age, dose, ill from data where age > 30 order by patient"
    made, about = make(folder, tmp_path / "a.parquet", sql=sql)
    wanted = table.filter(pc.greater(table["age"], 30)).sort_by("patient")
    assert made.column_names == ["patient", "age", "dose", "ill"]
    assert made["patient"].to_pylist()[: wanted.num_rows] == wanted["patient"].to_pylist()
    assert made.num_rows == wanted.num_rows + 50
    with duckdb.connect(str(tmp_path / "ward.duckdb")) as connection:
        connection.execute(f"create table data as select * from '{folder}/*.parquet'")
    stored, _ = make(tmp_path / "ward.duckdb", tmp_path / "b.parquet", sql=sql)
    assert stored.equals(made)
    told = ["augment", tmp_path / "ward.duckdb", "--sql", sql, "--target", "ill", "-n", 50]
    told += ["--synthesizer", "trees", "--keep", 2000, "--seed", 0, "-o", tmp_path / "c.parquet"]
    result = CliRunner().invoke(main, [*map(str, told)])
    assert result.exit_code == 0, result.stderr
    learned = about["learned_from"]["rows"]
    told = " ".join(result.stdout.split())
    assert f"learned from {learned:,} of {wanted.num_rows:,};" in told
    assert pq.read_table(tmp_path / "c.parquet").drop_columns("sample_weight").equals(made)
    assert refusal(DataError, 359, folder, tmp_path / "o.parquet", sql="select nothing from x")
    assert refusal(DataError, 359, folder, tmp_path / "o.parquet", sql="drop view data")


CELLS = ["", "NA", "12", "-3", "007", "1.5", "True", "False", "x", "2020-01-31", "9" * 20]
CELLS += ["2020-01-31T10:00:00+01:00", "2020-01-31 10:00:00Z", "2020-01-31 10:00:00.123456789"]


@pytest.mark.filterwarnings("ignore:Series.values returning:DeprecationWarning")
@settings(max_examples=60)
@given(st.lists(st.sampled_from(CELLS), min_size=40, max_size=40), st.booleans())
def test_a_csv_stream_has_the_cells_of_read_table(cells: list[str], ordered: bool):
    """Of each column the type too, or it is text, exactly; with 10 rows or fewer in a block."""
    cells = sorted(cells) if ordered else cells
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder, "table.csv")
        path.write_text("row,cell\n" + "".join(f"{i},{c}\n" for i, c in enumerate(cells)))
        patch.setattr(text, "BLOCK_BYTES", 150)
        schema, read = text.csv_stream([str(path)])
        batches = list(read(None))
        wanted = read_table(path)
    assert len(batches) > 1
    found = pa.Table.from_batches(batches, schema)
    assert found["row"].to_pylist() == list(range(40))
    if schema.field("cell").type == pa.string():
        assert found["cell"].to_pylist() == [cell or None for cell in cells]
    else:
        assert found["cell"].combine_chunks().equals(pa.Array.from_pandas(wanted["cell"]))


def test_a_csv_stream_goes_through_blocks_as_one_table(
    table: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(text, "BLOCK_BYTES", 1 << 16)
    plain = table.cast(pa.schema([f.with_metadata(None) for f in table.schema]))
    plain = plain.set_column(3, "site", plain["site"].cast(pa.string()))
    for name, part in (("a.csv", plain.slice(0, 9000)), ("b.csv", plain.slice(9000))):
        with pa.CompressedOutputStream(str(tmp_path / f"{name}.gz"), "gzip") as file:
            pyarrow.csv.write_csv(part, file)
    made, about = make(f"{tmp_path}/*.csv.gz", tmp_path / "o.parquet")
    assert about["rows_read"] == ROWS
    assert made.num_rows == ROWS + 50
    for name in ("patient", "age", "dose", "site", "ill"):
        assert made[name].to_pylist()[:ROWS] == table[name].to_pylist(), name
    (tmp_path / "c.csv").write_text("age,ill\n1,yes\n2\n")
    assert "c.csv: not UTF-8 CSV" in refusal(DataError, 324, tmp_path / "c.csv", "o.parquet")
    (tmp_path / "d.csv").write_text("age;ill\n1;yes\n")
    said = refusal(DataError, 323, f"{tmp_path}/[cd].csv", "o.parquet")
    assert said == f"{tmp_path}/d.csv: its header or delimiter is not that of {tmp_path}/c.csv"


# --- refusals ---------------------------------------------------------------------------------


def refusal(error: type[SynthgenError], code: int, data, output, **more) -> str:
    with pytest.raises(error) as caught:
        make(data, output, **more)
    assert caught.value.code == code
    assert not Path(output).exists()
    return caught.value.message


def test_what_cannot_be_read_is_told(folder: Path, table: pa.Table, tmp_path: Path):
    output = tmp_path / "o.parquet"
    refusal(DataError, 310, tmp_path / "no.parquet", output)
    refusal(DataError, 310, f"{folder}/no-*.parquet", output)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and nothing else")
    refusal(DataError, 323, tmp_path / "bad.parquet", output)
    refusal(UsageError, 220, [1, 2], output)
    said = refusal(DataError, 362, folder, output, target="sick")
    assert said.startswith(f"{folder} has no column 'sick': it has 'patient', 'age', ")
    cells = table["ill"].to_pylist()
    cells[20_500] = None
    holed = table.set_column(5, "ill", pa.array(cells))
    said = refusal(DataError, 363, ds.dataset(holed), output)
    assert said == "target 'ill', row 20500: missing: give the class, or drop the row"
    refusal(DataError, 366, folder, output, target="patient")
    refusal(DataError, 367, ds.dataset(table.slice(0, 0)), output)


def test_what_cannot_be_asked_for_is_told(folder: Path, tmp_path: Path):
    output = tmp_path / "o.parquet"
    refusal(UsageError, 230, folder, output, n_samples=None)
    refusal(UsageError, 230, folder, output, ratio="auto")
    refusal(UsageError, 203, folder, output, keep=0)
    refusal(UsageError, 229, folder, output, keep=100)
    refusal(UsageError, 201, folder, output, labels=["dead"])
    refusal(UsageError, 287, folder, output, mark="age")
    refusal(OutputError, 501, folder, tmp_path / "o.csv")
