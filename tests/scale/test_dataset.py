"""Rows in shards: the same whoever makes them, none lost and none twice after any stop."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synthgen.errors import ModelFileError, OutputError, SynthgenError, UsageError
from synthgen.scale import shards
from synthgen.scale.dataset import sample_dataset
from synthgen.scale.shards import BLOCK, Plan, shard_batches, write_shard
from synthgen.tables.disk import sha256_of

ROWS = 2 * BLOCK + 1000


@pytest.fixture(scope="module")
def whole(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shards, made by a loop."""
    folder = tmp_path_factory.mktemp("whole") / "rows"
    sample_dataset(model, ROWS, folder, random_state=0, shard_rows=BLOCK)
    return folder


def manifest(folder: Path) -> dict:
    return json.loads((folder / "_manifest.json").read_text())


def test_manifest_tells_the_files_and_one_hash(whole: Path):
    about = manifest(whole)
    parts = sorted(whole.glob("*.parquet"))
    assert [f["file"] for f in about["files"]] == [part.name for part in parts]
    assert [f["rows"] for f in about["files"]] == [BLOCK, BLOCK, 1000]
    for entry, part in zip(about["files"], parts, strict=True):
        assert entry["sha256"] == hashlib.sha256(part.read_bytes()).hexdigest()
        assert entry["bytes"] == part.stat().st_size
    listing = "".join(f"{sha256_of(part)}  {part.name}\n" for part in parts)
    assert about["sha256_of_files"] == hashlib.sha256(listing.encode()).hexdigest()
    counts = pd.read_parquet(whole)["outcome"].value_counts().to_dict()
    assert about["classes"] == counts
    assert "share the model file" in about["share"]
    assert sum(counts.values()) == about["rows"] == ROWS
    # 50 and 30 training rows, of which the file keeps two digits.
    assert counts["maybe"] / ROWS == pytest.approx(50 / 80, abs=0.01)


def test_two_processes_make_the_same_files(whole: Path, model: Path, tmp_path: Path):
    made = sample_dataset(model, ROWS, tmp_path / "o", random_state=0, shard_rows=BLOCK, n_jobs=2)
    assert made["sha256_of_files"] == manifest(whole)["sha256_of_files"]


def test_a_shard_needs_no_other(whole: Path, model: Path, tmp_path: Path):
    plan = Plan(str(model), sha256_of(model), rows=ROWS, seed=0, shard_rows=BLOCK)
    (tmp_path / "_manifests").mkdir()
    found = write_shard(plan, tmp_path, 2)
    assert found["sha256"] == manifest(whole)["files"][2]["sha256"]
    assert (tmp_path / "part-000002.parquet").read_bytes() == (
        whole / "part-000002.parquet"
    ).read_bytes()


def test_rows_do_not_depend_on_the_size_of_a_shard(whole: Path, model: Path, tmp_path: Path):
    sample_dataset(model, ROWS, tmp_path / "two", random_state=0, shard_rows=2 * BLOCK)
    assert len(list((tmp_path / "two").glob("*.parquet"))) == 2
    assert pq.read_table(tmp_path / "two").equals(pq.read_table(whole))


def test_shards_differ_and_seeds_differ(whole: Path, model: Path):
    first, second = (pq.read_table(whole / f"part-00000{i}.parquet") for i in (0, 1))
    assert not first["dose"].equals(second["dose"])
    plan = Plan(str(model), sha256_of(model), rows=1000, seed=1)
    (other,) = shard_batches(plan, 0)
    assert not first["dose"].slice(0, 1000).equals(pa.chunked_array([other.column("dose")]))


def test_ids_are_new_and_differ_over_all_shards(whole: Path, frame: pd.DataFrame):
    ids = pd.read_parquet(whole)["patient"]
    first = ids.iloc[0]  # coarse in the file, so above the last one of training
    assert first > frame["patient"].max()
    assert ids.tolist() == list(range(first, first + ROWS))


def test_dtypes_are_those_of_training_in_every_file(whole: Path, frame: pd.DataFrame):
    schemas = [pq.read_schema(part) for part in sorted(whole.glob("*.parquet"))]
    assert schemas[0].equals(schemas[1], check_metadata=True)
    assert schemas[0].equals(schemas[2], check_metadata=True)
    found = pd.read_parquet(whole / "part-000002.parquet")
    assert list(found.columns) == list(frame.columns)
    wanted = frame.dtypes.astype(str).to_dict()
    assert found.dtypes.astype(str).to_dict() == wanted
    # A level without rows is not in the file of a model, as everywhere.
    assert set(found["sex"].cat.categories) <= {"f", "m", "x"}


def test_batches_come_one_by_one(model: Path, monkeypatch: pytest.MonkeyPatch):
    calls = []
    make = shards.guarded_sample

    def counted(*args, **kwargs):
        calls.append(args[1])
        return make(*args, **kwargs)

    monkeypatch.setattr(shards, "guarded_sample", counted)
    plan = Plan(str(model), sha256_of(model), rows=3 * BLOCK, seed=0)
    next(shard_batches(plan, 0))
    assert calls == [BLOCK]


def test_label_and_rules_hold_in_every_row(model: Path, tmp_path: Path):
    made = sample_dataset(
        model, 3000, tmp_path / "o", label="yes", rules=["dose < 4"], random_state=0
    )
    rows = pd.read_parquet(tmp_path / "o")
    assert made["classes"] == {"yes": 3000}
    assert (rows["dose"] < 4).all()
    assert 0 < made["refused"]["rule: dose < 4"] <= made["drawn"] - 3000


SAMPLE = """
import sys
from synthgen.scale.dataset import sample_dataset
sample_dataset(sys.argv[1], int(sys.argv[2]), sys.argv[3], random_state=0, shard_rows=65_536)
"""


def test_killed_and_resumed_loses_nothing_and_repeats_nothing(model: Path, tmp_path: Path):
    rows, folder = 6 * BLOCK, tmp_path / "killed"
    child = subprocess.Popen([sys.executable, "-c", SAMPLE, str(model), str(rows), str(folder)])
    deadline = time.monotonic() + 120
    while len(list(folder.glob("_manifests/*.json"))) < 2:
        assert child.poll() is None, "it ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    kept = {p.name: p.stat().st_ino for p in folder.glob("*.parquet")}
    assert 2 <= len(kept) < 6
    assert not (folder / "_manifest.json").exists()
    # What a kill in the middle of a file leaves: a piece under a temporary name.
    (folder / f".{'0' * 16}.tmp").write_bytes(b"PAR1 half a file")

    made = sample_dataset(model, rows, folder, random_state=0, shard_rows=BLOCK)
    for name in [f"part-{i:06d}.parquet" for i in range(2)]:
        assert (folder / name).stat().st_ino == kept[name], "a finished file was made again"
    assert sorted(os.listdir(folder)) == [
        *("_manifest.json", "_manifests", "_plan.json"),
        *(f"part-{i:06d}.parquet" for i in range(6)),
    ]
    straight = sample_dataset(model, rows, tmp_path / "o", random_state=0, shard_rows=BLOCK)
    assert made["sha256_of_files"] == straight["sha256_of_files"]


def test_a_file_cut_short_is_made_again(whole: Path, model: Path, tmp_path: Path):
    folder = tmp_path / "copy"
    shutil.copytree(whole, folder)
    with open(folder / "part-000001.parquet", "r+b") as file:
        file.truncate(1000)
    (folder / "_manifests" / "part-000002.json").write_text("{")
    made = sample_dataset(model, ROWS, folder, shard_rows=BLOCK)  # the seed is in the folder
    assert made["seed"] == 0
    assert made["sha256_of_files"] == manifest(whole)["sha256_of_files"]
    assert sha256_of(folder / "part-000001.parquet") == sha256_of(whole / "part-000001.parquet")


def test_progress_says_what_is_there(whole: Path, model: Path, capsys: pytest.CaptureFixture[str]):
    sample_dataset(model, ROWS, whole, shard_rows=BLOCK, verbose=True)
    assert capsys.readouterr().err == f"{ROWS:,} of {ROWS:,} rows exist already\n"


# --- refusals ---------------------------------------------------------------------------------


def refusal(error: type[SynthgenError], code: int, *args, **kwargs) -> str:
    with pytest.raises(error) as caught:
        sample_dataset(*args, **kwargs)
    assert caught.value.code == code
    return caught.value.message


def test_a_folder_of_another_call_is_refused(whole: Path, model: Path):
    said = refusal(OutputError, 511, model, ROWS + 1, whole, random_state=1, shard_rows=BLOCK)
    assert said.startswith(f"{whole} holds rows of another call (rows, seed differ): ")


def test_a_folder_of_other_files_is_refused(model: Path, tmp_path: Path):
    (tmp_path / "notes.txt").write_text("mine")
    said = refusal(OutputError, 510, model, 10, tmp_path)
    assert said == f"{tmp_path} holds other files, such as notes.txt: give a new or empty folder"
    assert refusal(OutputError, 509, model, 10, tmp_path / "no" / "folder")
    assert refusal(OutputError, 509, model, 10, tmp_path / "notes.txt")
    assert sorted(os.listdir(tmp_path)) == ["notes.txt"]


@pytest.mark.parametrize("rows", [0, -1, 2.5, True, "9"])
def test_rows_must_be_a_whole_number(model: Path, tmp_path: Path, rows: object):
    said = refusal(UsageError, 203, model, rows, tmp_path / "o")
    assert said == f"n_samples must be a whole number from 1, not {rows!r}"
    assert not (tmp_path / "o").exists()


def test_other_arguments_are_checked_before_the_folder_is_made(model: Path, tmp_path: Path):
    folder = tmp_path / "o"
    said = refusal(UsageError, 203, model, 9, folder, shard_rows=1000)
    assert said == "shard_rows must be a multiple of 65,536, not 1000"
    refusal(UsageError, 213, model, 9, folder, random_state=-1)
    refusal(UsageError, 206, model, 9, folder, label="no")
    refusal(UsageError, 218, model, 9, folder, engine="sparkle")
    refusal(ModelFileError, 413, tmp_path / "nothing", 9, folder)
    assert not folder.exists()


def test_a_model_that_changed_is_refused_by_the_worker(model: Path):
    plan = Plan(str(model), "0" * 64, rows=10, seed=0)
    with pytest.raises(ModelFileError, match="SHA-256") as caught:
        next(shard_batches(plan, 0))
    assert caught.value.code == 423
