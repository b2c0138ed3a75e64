"""`synthgen sample` into a folder."""

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
    seed, wrote = result.stdout.splitlines()
    assert wrote == (
        "wrote rows: 2,000 rows in 1 files, 0 MiB, 2,000 of yes; manifest rows/_manifest.json"
    )
    assert pd.read_parquet("rows")["outcome"].tolist() == ["yes"] * 2000
    told = json.loads(Path("a.json").read_text())
    assert told == json.loads(Path("rows/_manifest.json").read_text())
    assert seed.startswith(f"seed {told['seed']} (drawn; ")

    again = run("sample", model, "-n", 2000, "-o", "rows", "--label", "yes")
    assert again.stdout.splitlines() == [wrote]  # the seed is in the folder
    assert again.stderr == "2,000 of 2,000 rows are there already\n"


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
