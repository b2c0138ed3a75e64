"""Which files are opened, and how outputs appear."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from synthgen import ImbalancedClassifier, Schema, load, read_table
from synthgen.cli.main import main
from synthgen.errors import DataError, OutputError, SynthgenError, UsageError
from synthgen.tables import disk
from synthgen.tables.disk import atomic_write, read_json, read_text, write_together

SIMPLE = "x,kind,y\n" + "".join(
    f"{i % 7},{'ab'[i % 2]},{'n' if i % 4 else 'y'}\n" for i in range(60)
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a table, a named pipe, a socket and a folder."""
    monkeypatch.chdir(tmp_path)
    Path("data.csv").write_text(SIMPLE)
    os.mkfifo("pipe")
    Path("directory").mkdir()
    with socket.socket(socket.AF_UNIX) as there:
        there.bind("socket")
    return tmp_path


def status(*line: object) -> tuple[int, str]:
    """Exit status and standard error of a command; a hang is a failure."""
    found: list[Any] = []
    work = threading.Thread(
        target=lambda: found.append(CliRunner().invoke(main, list(map(str, line)))), daemon=True
    )
    work.start()
    work.join(30)
    assert found, f"{line} hangs"
    return found[0].exit_code, found[0].stderr


IRREGULAR = ["pipe", "socket", "directory", "/dev/zero"]


@pytest.mark.parametrize("name", IRREGULAR)
@pytest.mark.parametrize(
    "read", [read_table, load, ImbalancedClassifier.load, Schema.load, read_json]
)
def test_only_regular_files_are_opened(folder: Path, name: str, read: Callable[[str], Any]) -> None:
    what = "folder" if name == "directory" else "pipe or a device"
    with pytest.raises(SynthgenError, match=f"{name}: this is a {what}"):
        read(name)


@pytest.mark.parametrize("name", ["pipe", "/dev/zero"])
@pytest.mark.parametrize(
    ("line", "code"),
    [
        (("predict", "{}", "data.csv", "-o", "o.csv"), 4),
        (("audit", "data.csv", "--target", "y", "--against", "{}"), 2),
        (("augment", "data.csv", "--target", "y", "-o", "o.csv", "--config", "{}"), 2),
        (("augment", "data.csv", "--target", "y", "-o", "o.csv", "--schema", "{}"), 2),
        (("schema", "data.csv", "--schema", "{}"), 2),
        (("schema", "{}"), 3),
        (("show", "{}"), 4),
    ],
)
def test_commands_refuse_pipes_and_devices_at_once(
    folder: Path, name: str, line: tuple[str, ...], code: int
) -> None:
    exit_code, said = status(*(part.format(name) for part in line))
    assert exit_code == code
    assert f"{name}: this is a pipe or a device" in said


def test_what_is_read_as_text_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "big.json"
    path.write_text(json.dumps(["x" * 100]))
    assert read_json(path) == ["x" * 100]
    monkeypatch.setattr(disk, "TEXT_LIMIT", 50)
    with pytest.raises(DataError, match="has 104 bytes, but at most 50 are read") as caught:
        read_json(path)
    assert caught.value.code == 356


def test_what_is_no_text_or_no_json_is_told(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    for content, code in [(b"a\n\xff", 318), (b"{", 357), (b"[" * 100_000, 357)]:
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"t\.json: ") as caught:
            read_json(path)
        assert caught.value.code == code
    path.write_bytes(b"\xef\xbb\xbf{}")
    assert read_text(path) == "{}"


# --- outputs --------------------------------------------------------------------------------------

BAD_NAMES: dict[str, tuple[str, str]] = {
    "too long": ("n" * 300 + ".csv", "a name of 304 bytes is too long"),
    "manifest too long": ("n" * 245 + ".csv", "a name of 263 bytes is too long"),
    "a circle": ("circle.csv", "leads back to itself"),
}


@pytest.mark.parametrize("case", BAD_NAMES)
def test_names_are_checked_before_any_work(folder: Path, case: str) -> None:
    name, says = BAD_NAMES[case]
    os.symlink("circle.csv", "circle.csv")
    old = name if case == "manifest too long" else "old"
    Path(old).write_text("as before")
    before = sorted(os.listdir())
    line = ("augment", "data.csv", "--target", "y", "--synthesizer", "no.such", "-o", name)
    exit_code, said = status(*line)
    assert (exit_code, says in said) == (5, True), said
    assert Path(old).read_text() == "as before"
    assert sorted(os.listdir()) == before


def test_a_step_beyond_64_bits_is_refused() -> None:
    column: dict[str, Any] = {"name": "x", "kind": "integer", "dtype": "int64"}
    for key, value in [("step", 10**30), ("lower", -(10**30)), ("upper", 10**400)]:
        for kind in ("integer", "numeric"):
            if (kind, key) == ("numeric", "lower"):
                continue
            with pytest.raises(UsageError, match=f"{key} must be") as caught:
                Schema.from_json({"columns": [column | {key: value, "kind": kind}]})
            assert caught.value.code == 268


def test_files_appear_together(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    two.write_text("old")
    two.chmod(0o600)
    with write_together(one, two) as (first, second):
        first.write(b"1")
        second.write(b"2")
        assert not one.exists()
    assert (one.read_text(), two.read_text()) == ("1", "2")
    assert stat.S_IMODE(two.stat().st_mode) == 0o600
    assert sorted(os.listdir(tmp_path)) == ["one", "two"]


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("fails_at", [1, 2])
def test_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool, fails_at: int
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    if exists:
        one.write_text("old 1")
        two.write_text("old 2")
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    renames, replace = [], os.replace

    def failing(old: Any, new: Any) -> None:
        renames.append(new)
        if len(renames) == fails_at:
            raise OSError(28, "No space left on device")
        replace(old, new)

    monkeypatch.setattr(os, "replace", failing)
    files = write_together(one, two)
    with pytest.raises(OutputError, match="disk is full"), files as (first, second):
        assert first.write(b"new") == second.write(b"new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before


def test_the_table_and_its_manifest_appear_together(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = ("augment", "data.csv", "--target", "y", "--synthesizer", "bootstrap", "-n", 5)
    line += ("--seed", 0, "-o", "o.csv")
    assert status(*line)[0] == 0
    manifest = json.loads(Path("o.csv.manifest.json").read_text())
    assert manifest["output"]["sha256"] == disk.sha256_of("o.csv")
    assert len(read_table("o.csv")) == 65
    Path("o.csv").write_text("old")
    replace = os.replace

    def no_manifest(old: Any, new: Any) -> None:
        if str(new).endswith("manifest.json"):
            raise OSError(5, "Input/output error")
        replace(old, new)

    monkeypatch.setattr(os, "replace", no_manifest)
    assert status(*line)[0] == 5
    assert Path("o.csv").read_text() == "old"


def test_one_file_alone_is_written_as_before(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a") as file:
        file.write(b"1")
    assert (tmp_path / "a").read_bytes() == b"1"
    assert np.array_equal(pd.read_csv(tmp_path / "a", header=None), [[1]])
