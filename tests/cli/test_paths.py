"""No command writes over a file that it reads, or two results into one file, or into a folder."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from synthgen.cli.main import main
from synthgen.cli.paths import FileOrFolder, Input, Output, OutputFolder

COMMANDS = main.commands
# Values of the required options that are not paths.
NEEDED = {"target": "ill", "rows": "5"}
CONTENT = b"dose,ill\n1,no\n2,yes\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def paths(command: str) -> list[click.Parameter]:
    return [p for p in COMMANDS[command].params if isinstance(p.type, click.Path)]


def file_of(param: click.Parameter, value: str) -> str:
    """The first file that a command reads or writes if `value` is given."""
    return param.type.written(value)[0] if isinstance(param.type, Output) else value


def run(command: str, values: dict[str, str]) -> Result:
    """Run a command with these values by parameter name; others that are required get a name."""
    words = [command]
    for param in COMMANDS[command].params:
        name = param.name or ""
        value = values.get(name)
        if value is None and param.required:
            value = NEEDED.get(name, f"{name}.csv")
        if value is not None:
            words += [value] if isinstance(param, click.Argument) else [param.opts[0], value]
    return CliRunner().invoke(main, words, prog_name="synthgen", catch_exceptions=False)


def pairs() -> Iterator[tuple[str, str, str]]:
    """Each command, with an output and another path, both by name."""
    for command in COMMANDS:
        for first, second in itertools.combinations(paths(command), 2):
            outputs = [p for p in (first, second) if isinstance(p.type, Output)]
            if outputs:
                other = second if outputs[0] is first else first
                yield command, str(outputs[0].name), str(other.name)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_for_a_path_says_whether_it_is_read_or_written(command: str) -> None:
    for param in COMMANDS[command].params:
        if isinstance(param.type, click.Path):
            assert isinstance(param.type, Input | Output), param.name
        else:
            assert param.metavar not in {"FILE", "DIR", "MODEL", "OUT", "DATA", "OLD"}, param.name


@pytest.mark.parametrize("link", ["same", "other spelling", "hard", "symbolic"])
@pytest.mark.parametrize(("command", "output", "other"), list(pairs()))
def test_no_output_is_an_input_or_another_output(
    command: str, output: str, other: str, link: str
) -> None:
    written, second = ({p.name: p for p in paths(command)}[name] for name in (output, other))
    here, there = "first.csv", "second.csv"
    if isinstance(written.type, OutputFolder):
        here = "folder"
        Path(here).mkdir()
    file = Path(file_of(written, here))
    if isinstance(second.type, OutputFolder):
        there = "folder2"
        Path(there).mkdir()
    place = Path(file_of(second, there))
    file.write_bytes(CONTENT)
    if link == "hard":
        os.link(file, place)
    elif link == "symbolic":
        place.symlink_to(file.absolute())
    elif isinstance(second.type, OutputFolder):
        here = str(place)
        place.write_bytes(CONTENT)
    else:
        there = str(file) if link == "same" else f"./x/../{file}"
        Path("x").mkdir()
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    found = run(command, {output: here, other: there})
    assert found.exit_code == 2, found.output
    # A run file is read before the check, and a table is none.
    assert "E289" in found.stderr or (other == "config" and "E281" in found.stderr), found.stderr
    assert "is already an input or another output" in found.stderr or other == "config"
    assert {p: p.read_bytes() for p in Path().rglob("*") if p.is_file()} == before


def test_a_run_file_is_no_output(tmp_path: Path) -> None:
    Path("run.toml").write_text('label = "yes"\n')
    for command in ("augment", "fit"):
        for output in ("output", "json_file", "resume"):
            found = run(command, {"config": "run.toml", output: "run.toml"})
            assert "error E289: run.toml is already an input" in found.stderr
    assert Path("run.toml").read_text() == 'label = "yes"\n'


@pytest.mark.parametrize(
    ("command", "values", "written"),
    [
        ("augment", {"output": "a.csv", "data": "a.csv.manifest.json"}, "a.csv.manifest.json"),
        ("augment", {"data": "d/*.parquet", "output": "d/one.parquet"}, "d/one.parquet"),
        ("augment", {"data": "d", "output": "d/one.parquet"}, "d/one.parquet"),
        ("augment", {"report": "d", "model": "d/report.json"}, "d/report.json"),
        ("evaluate", {"synthetic": "s.csv", "html": "s.csv.manifest.json"}, "s.csv.manifest.json"),
        ("sample", {"model": "d/one.parquet", "place": "d/"}, "d/one.parquet"),
        ("sample", {"json_file": "d/_manifest.json", "place": "d/"}, "d/_manifest.json"),
        ("demo", {"out": "d", "json_file": "d/new.csv"}, "d/new.csv"),
    ],
)
def test_files_that_no_option_names(command: str, values: dict[str, str], written: str) -> None:
    Path("d").mkdir()
    for name in ("d/one.parquet", written):
        Path(name).write_bytes(CONTENT)
    found = run(command, values)
    assert "error E289" in found.stderr, found.stderr
    assert Path(written).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("command", "output"),
    [
        (command, str(param.name))
        for command in COMMANDS
        for param in paths(command)
        if isinstance(param.type, Output)
        and not isinstance(param.type, OutputFolder | FileOrFolder)
    ],
)
def test_a_directory_is_no_output(command: str, output: str) -> None:
    Path("folder").mkdir()
    found = run(command, {output: "folder"})
    assert found.stderr == (
        "error E503: folder: this is a directory: give the name of a file, such as folder/NAME\n"
    )
    assert (found.exit_code, list(Path("folder").iterdir())) == (5, [])
