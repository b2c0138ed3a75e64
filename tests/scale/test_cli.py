"""`synthgen sample` into a folder, `synthgen augment` on a folder."""

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from synthgen.cli.main import main


def run(*arguments: object) -> Result:
    return CliRunner().invoke(
        main, list(map(str, arguments)), prog_name="synthgen", catch_exceptions=False
    )


def test_sample_into_a_folder(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    result = run("sample", model, "-n", "2e3", "-o", "rows/", "--label", "yes", "--json", "a.json")
    assert result.exit_code == 0, result.stderr
    (wrote,) = result.stdout.splitlines()
    assert wrote == (
        "wrote rows: 2,000 rows in 1 files, 0 MiB, 2,000 of yes; manifest rows/_manifest.json"
    )
    assert pd.read_parquet("rows")["outcome"].tolist() == ["yes"] * 2000
    told = json.loads(Path("a.json").read_text())
    assert told == json.loads(Path("rows/_manifest.json").read_text())
    assert f"seed {told['seed']} (drawn at random; " in result.stderr

    again = run("sample", model, "-n", 2000, "-o", "rows", "--label", "yes")
    assert again.stdout.splitlines() == [wrote]  # the seed is in the folder
    assert again.stderr == "2,000 of 2,000 rows exist already\n"


def test_what_is_for_folders_is_refused_for_a_file(model: Path, tmp_path: Path):
    for option, value in (("--jobs", 2), ("--engine", "ray"), ("--shard-rows", 65_536)):
        result = run("sample", model, "-n", 9, "-o", tmp_path / "rows.csv", option, value)
        assert result.exit_code == 2
        assert result.stderr == (
            f"error E219: {option} is for a folder: write -o {tmp_path}/rows.csv/, or leave it "
            f"out\n"
        )


@pytest.mark.parametrize("rows", ["1e-3", "1.5", "0", "e", "1e999"])
def test_a_number_of_rows_is_whole(model: Path, tmp_path: Path, rows: str):
    result = run("sample", model, "-n", rows, "-o", f"{tmp_path}/o/")
    assert result.exit_code == 2
    assert "Invalid value for '-n'" in result.stderr
    assert not (tmp_path / "o").exists()


def test_augment_a_folder(frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    Path("in").mkdir()
    frame.iloc[:100].to_parquet("in/a.parquet")
    frame.iloc[100:].to_parquet("in/b.parquet")
    trees = ("--target", "outcome", "--synthesizer", "trees", "--seed", 0, "-o", "o.parquet")
    result = run("augment", "in/*.parquet", *trees, "-n", 7, "--json", "a.json")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "7 new rows of 'yes': as asked for"
    assert lines[-1] == (
        "wrote o.parquet: 307 rows, the new ones learned from 300 of 300; manifest "
        "o.parquet.manifest.json"
    )
    assert [line.split() for line in lines if line.split()[:1] == ["yes"]] == [
        ["yes", "30", "7", "37"]
    ]
    made = pd.read_parquet("o.parquet")
    assert made.pop("sample_weight").tolist() == [1.0] * 300 + [30 / 7] * 7
    pd.testing.assert_frame_equal(made.iloc[:300], frame)
    assert made["outcome"].tolist()[300:] == ["yes"] * 7
    told = json.loads(Path("a.json").read_text())
    assert told == json.loads(Path("o.parquet.manifest.json").read_text())

    assert run("augment", "in", *trees).stderr.startswith(
        "error E230: the number of new rows cannot be validated "
    )
    asked = run("augment", "in", *trees, "-n", 7, "--report", "page")
    assert asked.stderr == (
        "error E242: --report: not for a table that is read as a stream: leave it out\n"
    )
    one = run("augment", "in/b.parquet", *trees, "-n", 7, "--keep", 50)
    assert one.stdout.splitlines()[-1].startswith(
        "wrote o.parquet: 207 rows, the new ones learned from 80 of 200; "
    )
