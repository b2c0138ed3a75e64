"""Paths that commands read and write, checked before any work: none is read and written over."""

from __future__ import annotations

import glob
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from synthgen.cli.run_file import _CONFIG
from synthgen.errors import DataError, OutputError, UsageError


class Input(click.Path):
    """A file, or for `augment` also a folder or a pattern of files, that a command reads."""

    def __init__(self, *, beside: str = "") -> None:
        super().__init__(path_type=Path)
        self.beside = beside

    def read(self, path: str | os.PathLike[str]) -> list[str]:
        """The files that a command reads for this value of the option."""
        if os.path.isdir(path) or glob.has_magic(str(path)):
            from synthgen.scale.sources import files_of

            with suppress(DataError):  # the command itself says what is wrong
                return files_of(str(path))
        return [str(path), *([f"{path}{self.beside}"] if self.beside else ())]


class Output(click.Path, ABC):
    """What a command writes."""

    @abstractmethod
    def written(self, path: str | os.PathLike[str]) -> list[str]:
        """The files that a command writes for this value of the option."""

    @abstractmethod
    def rehearse(self, path: str | os.PathLike[str]) -> None:
        """Raise if they cannot be written."""


class OutputFile(Output):
    """A file that a command writes, and perhaps another one whose name has `beside` appended."""

    def __init__(self, *, beside: str = "", path_type: type = Path) -> None:
        super().__init__(path_type=path_type)
        self.beside = beside

    def written(self, path: str | os.PathLike[str]) -> list[str]:
        return [str(path), *([f"{path}{self.beside}"] if self.beside and str(path) != "-" else ())]

    def rehearse(self, path: str | os.PathLike[str]) -> None:
        for file in self.written(path):
            if file != "-":
                _check_output(Path(file))


class OutputFolder(Output):
    """A folder in which a command writes files of these names."""

    def __init__(self, *names: str) -> None:
        super().__init__(path_type=Path)
        self.names = names

    def written(self, path: str | os.PathLike[str]) -> list[str]:
        return [os.path.join(path, name) for name in self.names]

    def rehearse(self, path: str | os.PathLike[str]) -> None:
        check_folder(Path(path))


class FileOrFolder(Output):
    """A file, or a folder of files that a command fills, whatever their names."""

    def __init__(self) -> None:
        super().__init__(path_type=str)

    def written(self, path: str | os.PathLike[str]) -> list[str]:
        if not folder_meant(str(path)):
            return [str(path)]
        names = {"_plan.json", "_manifest.json"}
        with suppress(OSError):
            names |= set(os.listdir(path))
        return [os.path.join(path, name) for name in sorted(names)]

    def rehearse(self, path: str | os.PathLike[str]) -> None:
        if not folder_meant(str(path)) and str(path) != "-":
            _check_output(Path(path))


class Command(click.Command):
    """A command that does not start if it would write over a file that it reads."""

    def invoke(self, ctx: click.Context) -> Any:
        given = [(option.type, ctx.params.get(option.name or "")) for option in self.params]
        given = [(kind, path) for kind, path in given if path is not None]
        if (config := ctx.meta.get(_CONFIG)) is not None:  # its option is not among the params
            given.append((Input(), config))
        taken = [f for kind, path in given if isinstance(kind, Input) for f in kind.read(path)]
        outputs = [(kind, path) for kind, path in given if isinstance(kind, Output)]
        check_places(taken, [file for kind, path in outputs for file in kind.written(path)])
        for kind, path in outputs:
            kind.rehearse(path)
        return super().invoke(ctx)


def check_places(sources: Sequence[str], outputs: Sequence[str]) -> None:
    """Raise if an output is the same file as an input or as another output."""
    if outputs.count("-") > 1:
        raise UsageError(289, "- is standard output, and was given twice: name a file for one")
    taken = [file for file in sources if file != "-"]
    for output in outputs:
        if output == "-":
            continue
        if any(_same(output, other) for other in taken):
            raise UsageError(
                289, f"{output} is already an input or another output: give another name"
            )
        taken.append(output)


def _same(first: str | os.PathLike[str], second: str | os.PathLike[str]) -> bool:
    """Whether two paths are one file, also by links; neither needs to exist."""
    # `Path.resolve` would fail if symbolic links lead in a circle.
    if os.path.realpath(first) == os.path.realpath(second):
        return True
    with suppress(OSError, ValueError):
        return os.path.samefile(first, second)
    return False


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
