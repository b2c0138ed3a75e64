"""File access: reads only regular files, and writes output files atomically."""

import errno
import hashlib
import io
import json
import math
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from synthgen.errors import DataError, OutputError, SynthgenError

# Size limit in bytes for JSON and TOML files: settings, schemas and results are far smaller.
TEXT_LIMIT = 256 * 2**20


# --- reading --------------------------------------------------------------------------------------


@contextmanager
def reading(
    path: str | os.PathLike[str], *, limit: int | None = None
) -> Iterator[io.BufferedReader]:
    """Open a user's file for reading; every file that synthgen reads is opened here."""

    def refuse_irregular(mode: int) -> None:
        if stat.S_ISDIR(mode):
            raise DataError(311, f"{path}: this is a folder: give the path of one file in it")
        if not stat.S_ISREG(mode):
            raise DataError(311, f"{path}: this is a pipe or a device: save it to a file first")

    def without_waiting(name: str, flags: int) -> int:
        return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))

    try:
        refuse_irregular(os.stat(path).st_mode)
        with open(path, "rb", opener=without_waiting) as file:
            status = os.fstat(file.fileno())
            refuse_irregular(status.st_mode)  # it may have been replaced since the first check
            if limit is not None and status.st_size > limit:
                raise DataError(
                    356,
                    f"{path}: the file has {status.st_size:,} bytes, but at most {limit:,} are "
                    "read: check that this is the right file",
                )
            yield file
    except FileNotFoundError:
        message = "no such file: check the path and the working directory"
        raise DataError(310, f"{path}: {message}") from None
    except PermissionError:
        raise DataError(312, f"{path}: no permission to read it: try chmod u+r") from None
    except SynthgenError:
        raise
    except (OSError, ValueError) as error:  # ValueError: an invalid path
        why = getattr(error, "strerror", None) or error
        raise DataError(313, f"{path}: cannot be read: check path and disk ({why})") from error


def read_bytes(path: str | os.PathLike[str], *, limit: int | None = None) -> bytes:
    """All bytes of a regular file; raises the errors of `reading`."""
    with reading(path, limit=limit) as file:
        return file.read()


def read_text(path: str | os.PathLike[str]) -> str:
    """Read a UTF-8 text file of at most 256 MiB, with or without a byte-order mark."""
    data = read_bytes(path, limit=TEXT_LIMIT)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(318, f"{path}: line {line} is not UTF-8: save it as UTF-8") from None


def read_json(path: str | os.PathLike[str]) -> Any:
    """The content of a JSON file."""
    text = read_text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(357, f"{path}: this is not JSON: {error}") from None


def machine_memory() -> int:
    """Memory of this machine in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


# --- writing --------------------------------------------------------------------------------------


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a binary file that replaces ``path`` if the block ends without an exception."""
    with write_together(path) as (file,):
        yield file


@contextmanager
def write_together(*paths: str | os.PathLike[str]) -> Iterator[list[BinaryIO]]:
    """Open binary files that all replace their paths, or none, as the block ends."""
    at = Path(paths[0])  # the file in work, which an error names
    moves: list[tuple[Path, Path]] = []
    try:
        places = [_resolved(Path(path)) for path in paths]
        with ExitStack() as stack:
            files: list[BinaryIO] = []
            for (target, mode), path in zip(places, paths, strict=True):
                at, temporary = Path(path), _beside(target)
                moves.append((temporary, target))
                # A file that replaces another stays private until it has the old one's bits.
                bits = 0o666 if mode is None else 0o600
                opener = partial(os.open, mode=bits)
                files.append(stack.enter_context(open(temporary, "xb", opener=opener)))
            at = Path(paths[0])
            yield files
            for file, path in zip(files, paths, strict=True):
                at = Path(path)
                file.flush()
                os.fsync(file.fileno())
        for (temporary, _), (_, mode) in zip(moves, places, strict=True):
            if mode is not None:
                os.chmod(temporary, mode)
        _rename(moves)
    except BaseException as error:
        for temporary, _ in moves:
            with suppress(OSError):
                os.unlink(temporary)
        if isinstance(error, OSError) and not isinstance(error, OutputError):
            raise _not_written(at, error) from error
        raise
    for folder in {target.parent for _, target in moves}:
        with suppress(OSError):  # the files are renamed already; some systems cannot sync folders
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _beside(target: Path) -> Path:
    """A new temporary name in the folder of `target`."""
    return target.with_name(f".{secrets.token_hex(8)}.tmp")


def _rename(moves: list[tuple[Path, Path]]) -> None:
    """Rename each temporary file to its target; if one rename fails, undo the others."""
    olds: list[tuple[Path, Path]] = []
    fresh: list[Path] = []
    try:
        for _, target in moves[:-1]:  # the last needs no backup: nothing can fail after it
            if target.exists():
                olds.append((_beside(target), target))
                try:
                    os.link(target, olds[-1][0])
                except OSError:  # not every file system has hard links
                    shutil.copy2(target, olds[-1][0])
        for temporary, target in moves:
            fresh += [] if target.exists() else [target]
            os.replace(temporary, target)
    except BaseException:
        for old, target in olds:
            with suppress(OSError):
                os.replace(old, target)
        for target in fresh:
            with suppress(OSError):
                os.unlink(target)
        raise
    finally:
        for old, _ in olds:
            with suppress(OSError):
                os.unlink(old)


def _resolved(path: Path) -> tuple[Path, int | None]:
    """The file that `path` resolves to, and its permission bits if it exists."""
    try:
        target = Path(os.path.realpath(path))
        mode: int | None = os.stat(target).st_mode
    except (FileNotFoundError, NotADirectoryError):
        mode = None
    except (OSError, ValueError) as error:
        raise _not_written(path, error) from error
    if not os.path.isdir(target.parent):
        raise OutputError(502, f"{path}: there is no folder {target.parent}: create it first")
    if mode is None:
        return target, None
    if not stat.S_ISREG(mode):
        if stat.S_ISDIR(mode):
            advice = f"give the name of a file, such as {path / 'NAME'}"
            raise OutputError(503, f"{path}: this is a directory: {advice}")
        raise OutputError(503, f"{path}: this is a pipe or a device: give the name of a file")
    if not os.access(target, os.W_OK):
        raise OutputError(504, f"{path}: the file is read-only: chmod u+w, or give another name")
    return target, stat.S_IMODE(mode)


def _not_written(path: Path, error: OSError | ValueError) -> OutputError:
    number = getattr(error, "errno", None)
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        message = f"no permission to write in {path.parent}: choose another folder"
        return OutputError(504, f"{path}: {message}")
    if number in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(505, f"{path}: the disk is full: make room or choose another folder")
    if number == errno.ENAMETOOLONG:
        longest = max(len(os.fsencode(part)) for part in path.parts)
        message = f"a name of {longest} bytes is too long for the file system: give a shorter one"
        return OutputError(506, f"{path}: cannot be written: {message}")
    if number == errno.ELOOP:
        message = "this symbolic link leads back to itself: remove it, or give another name"
        return OutputError(506, f"{path}: cannot be written: {message}")
    why = getattr(error, "strerror", None) or error
    return OutputError(506, f"{path}: cannot be written: check the path and the disk ({why})")


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write text as UTF-8, atomically; raises the errors of `atomic_write`, and E507."""
    try:
        with atomic_write(path) as file:
            file.write(text.encode())
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        message = f"line {line} holds {text[error.start]!a}, half a character: replace or remove it"
        raise OutputError(507, f"{Path(path)}: not written: {message}") from None


def write_json(path: str | os.PathLike[str], obj: Any) -> None:
    """Write JSON, indented by 2; to standard output if ``path`` is ``-``."""
    if os.fspath(path) == "-":
        print(json_text(obj, sys.stdout.encoding or "utf-8"))
    else:
        write_text(path, json_text(obj) + "\n")


def json_text(obj: Any, encoding: str = "utf-8") -> str:
    """`obj` as JSON text as in `write_json`, escaping characters that `encoding` lacks."""
    plain = _plain(obj)
    text = json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = json.dumps(plain, indent=2, allow_nan=False)
    return text


def _plain(value: Any) -> Any:
    """The value converted to JSON types."""
    if isinstance(value, dict):
        keys = [_plain(key) for key in value]
        keys = [key if isinstance(key, str) else json.dumps(key) for key in keys]
        return dict(zip(keys, map(_plain, value.values()), strict=True))
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, list | tuple | np.ndarray | pd.Series | pd.Index):
        return [_plain(item) for item in value]
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    if value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, date):
        return value.isoformat()
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def sha256_of(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file as 64 hexadecimal digits; raises E310 to E313, see `reading`."""
    with reading(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
