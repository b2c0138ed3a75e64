"""Checks of output paths before any work, so that a long run does not fail at the end."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import click

from synthgen.cli.run_file import _CONFIG
from synthgen.errors import OutputError, UsageError


def check_places(sources: Sequence[Path | None], outputs: Sequence[Path | str | None]) -> None:
    """Raise if an output cannot be written, or is the same file as an input or another output."""
    config = click.get_current_context().meta.get(_CONFIG)
    # `Path.resolve` would fail if symbolic links lead in a circle.
    seen = {os.path.realpath(path) for path in (*sources, config) if path is not None}
    if sum(str(output) == "-" for output in outputs) > 1:
        raise UsageError(289, "- is standard output, and was given twice: name a file for one")
    for output in outputs:
        if output is None or str(output) == "-":
            continue
        if os.path.realpath(output) in seen:
            raise UsageError(
                289, f"{output} is already an input or another output: give another name"
            )
        seen.add(os.path.realpath(output))
        _check_output(Path(output))


def check_ending(path: Path) -> None:
    """Raise if no format belongs to the ending of an output; ``-`` is CSV."""
    from synthgen.tables.write import ending_of

    if str(path) != "-":
        ending_of(path)


def is_taken(*outputs: Path | str | None) -> bool:
    """Whether one of the outputs is standard output, so that messages go to standard error."""
    return any(str(output) == "-" for output in outputs)


def folder_meant(place: str) -> bool:
    """Whether an output is a folder: the folder exists, or the name ends in a slash."""
    return place.endswith(("/", os.sep)) or os.path.isdir(place)


class _Rehearsed(Exception):
    pass


def _check_output(path: Path) -> None:
    """Raise if the file cannot be written; does every step of writing except the last."""
    from synthgen.tables.disk import atomic_write

    with suppress(_Rehearsed), atomic_write(path):
        raise _Rehearsed


def check_folder(path: Path) -> None:
    """Raise if a folder cannot be made or written to; a folder made for the test is removed."""
    there = path.is_dir()
    make_folder(path)
    if not there:
        path.rmdir()


def make_folder(path: Path) -> None:
    try:
        path.mkdir(exist_ok=True)
    except OSError as error:
        reason = f"{error.strerror}: check its name and the permissions"
        if isinstance(error, FileExistsError):
            reason = "it is a file: give another name"
        elif isinstance(error, FileNotFoundError):
            reason = f"there is no folder {path.parent}: create it first"
        raise OutputError(509, f"{path}: cannot make this folder: {reason}") from error
    _check_output(path / "report.html")
