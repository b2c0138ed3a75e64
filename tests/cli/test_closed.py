"""A reader that goes, or a stream that was never open, ends a command without a word."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCHEMA = ("schema", "data.csv", "--target", "ill")


@pytest.fixture(autouse=True)
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{n % 7},{'yes' if n % 4 else 'no'}\n" for n in range(60))
    Path("data.csv").write_text("dose,ill\n" + rows)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from synthgen.cli.main import main; main()", *arguments]


@pytest.mark.parametrize(
    "arguments", [("--help",), ("fit", "--help"), SCHEMA, (*SCHEMA, "--json", "-")]
)
def test_a_reader_that_is_gone(arguments: tuple[str, ...]) -> None:
    read, write = os.pipe()
    os.close(read)
    found = subprocess.run(command(*arguments), stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (found.stderr, found.returncode) == (b"", 141)


def test_a_reader_of_both_streams_that_is_gone() -> None:
    read, write = os.pipe()
    os.close(read)
    found = subprocess.run(command("audit", "none.csv"), stdout=write, stderr=write, check=False)
    os.close(write)
    assert found.returncode == 141


@pytest.mark.parametrize(("arguments", "status"), [(("--help",), 0), (SCHEMA, 0), (("no",), 2)])
def test_no_standard_output(arguments: tuple[str, ...], status: int) -> None:
    closed = ["sh", "-c", 'exec "$@" >&-', "sh", *command(*arguments)]
    found = subprocess.run(closed, stderr=subprocess.PIPE, check=False)
    assert found.returncode == status, found.stderr
    assert b"E100" not in found.stderr
    assert (found.stderr == b"") == (status == 0)
