"""How a command ends when its output, its memory or its options fail: one line, its own status."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from synthgen.cli.main import main
from synthgen.cli.terminal import show_table


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table as ``data.csv`` in the working directory."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "data.csv"
    frame = pd.DataFrame({"a": np.arange(60) % 17, "b": np.linspace(0, 1, 60).round(3)})
    frame.assign(ill=np.where(np.arange(60) < 15, "yes", "no")).to_csv(path, index=False)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def started(*arguments: str, output: int) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, with standard output led to a file descriptor."""
    return subprocess.run(
        [sys.executable, "-m", "synthgen", *arguments],
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
@pytest.mark.parametrize("arguments", [["schema", "data.csv", "--json", "-"], ["--help"]])
def test_a_full_output_is_named(table: Path, arguments: list[str]):
    with open("/dev/full", "w") as full:
        done = started(*arguments, output=full.fileno())
    assert done.returncode == 5
    assert done.stderr == "error E512: cannot write the output: No space left on device\n"


@pytest.mark.parametrize("arguments", [["schema", "data.csv", "--json", "-"], ["--help"]])
def test_a_closed_pipe_ends_quietly(table: Path, arguments: list[str]):
    reader, writer = os.pipe()
    os.close(reader)
    done = started(*arguments, output=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 8 TiB"),
        RuntimeError("can't start new thread"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes"),
        RuntimeError("std::bad_alloc"),
        OSError(12, "Cannot allocate memory"),
    ],
)
def test_too_little_memory_is_named(table: Path, monkeypatch: pytest.MonkeyPatch, error: Exception):
    def none_left(*arguments: object, **more: object) -> None:
        raise error

    monkeypatch.setattr("synthgen.tables.read.read_table", none_left)
    result = run("schema", table)
    assert result.exit_code == 6
    assert f"error E604: there is not enough memory ({error})" in result.stderr
    assert "about 2.5 GiB are needed (2.5 GiB of address space for Python and" in result.stderr
    assert "its libraries): close other programs" in result.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited on Linux only")
@pytest.mark.parametrize("command", ["audit", "auto"])
def test_a_low_limit_of_memory_is_told_before_a_library_aborts(table: Path, command: str):
    more = ["-o", "model.skops"] * (command == "auto")
    line = [sys.executable, "-m", "synthgen", command, str(table), "--target", "ill", *more]
    limited = ["bash", "-c", 'ulimit -v 1200000; exec "$@"', "bash", *line]
    done = subprocess.run(limited, capture_output=True, text=True, timeout=100)
    assert done.returncode == 6
    assert "E604" in done.stderr
    assert "about 2.5 GiB are needed" in done.stderr
    assert "but ulimit -v allows 1.1 GiB: raise the limit" in done.stderr


@pytest.mark.parametrize("command", ["compare", "auto"])
def test_no_jobs_are_refused_at_once(table: Path, command: str):
    result = run(command, table, "--target", "ill", "--jobs", 0)
    assert result.exit_code == 2
    assert "E269: --jobs 0: give a number from 1" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["augment", "--target", "sick", "-o", "new.csv"],
        ["augment", "--target", "ill", "--label", "perhaps", "-o", "new.csv"],
        ["fit", "--target", "ill", "--label", "perhaps", "-o", "model"],
        ["compare", "--target", "sick"],
        ["compare", "--target", "ill", "--strategies", "nothing,smot"],
        ["auto", "--target", "ill", "--members", "forrest", "-o", "model"],
    ],
)
def test_a_mistake_is_found_before_a_seed_is_said_to_be_drawn(table: Path, arguments: list[str]):
    result = run(arguments[0], table, *arguments[1:])
    assert result.exit_code in (2, 3)
    assert "drawn" not in result.output


def test_a_drawn_seed_is_said_beside_the_result(table: Path):
    result = run("augment", table, "--target", "ill", "--synthesizer", "bootstrap", "-n", 5,
                 "-o", "new.csv")  # fmt: skip
    assert result.exit_code == 0
    assert result.stderr.startswith("seed ")
    assert "(drawn at random; --seed " in result.stderr
    again = run("augment", table, "--target", "ill", "--synthesizer", "bootstrap", "-n", 5,
                "--seed", 7, "-o", "new.csv")  # fmt: skip
    assert "the same rows again" not in again.output


@pytest.mark.parametrize(
    "arguments",
    [
        "schema data.csv --target sick",
        "audit data.csv --target sick",
        "augment data.csv --target sick -o new.csv",
        "fit data.csv --target sick -o model",
        "compare data.csv --target sick",
        "auto data.csv --target sick -o model",
        "evaluate --train data.csv --synthetic data.csv --target sick",
    ],
)
def test_a_target_that_is_not_there_has_one_status(table: Path, arguments: str):
    result = run(*arguments.split())
    assert result.exit_code == 2
    assert "E215: there is no column 'sick'" in result.stderr


def test_a_table_shows_truth_values_as_such(capsys: pytest.CaptureFixture[str]):
    show_table(["class", "rows"], [[True, 1200], [False, 30]])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row for row in rows if len(row) == 2][1:] == [["True", "1,200"], ["False", "30"]]
