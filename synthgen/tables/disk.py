"""TODO docstring."""

import errno
import hashlib
import io
import json
import math
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from synthgen.errors import DataError, OutputError


@contextmanager
def _reading(path: Path) -> Iterator[io.BufferedReader]:
    """Open a regular file; a fault of the file system is a `DataError`."""
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise DataError(311, f"{path}: this is a folder: give the path of one file in it")
        if not stat.S_ISREG(mode):
            raise DataError(311, f"{path}: this is a pipe or a device: save it to a file first")
        with open(path, "rb") as file:
            yield file
    except FileNotFoundError:
        message = "no such file: check the path and the working directory"
        raise DataError(310, f"{path}: {message}") from None
    except PermissionError:
        raise DataError(312, f"{path}: no permission to read it: try chmod u+r") from None
    except DataError:
        raise
    except (OSError, ValueError) as error:  # ValueError: no path can be like this
        raise DataError(313, f"{path}: cannot be read: check path and disk ({error})") from error


def machine_memory() -> int:
    """Bytes of memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a binary file that takes the place of ``path`` when the block ends well, and only then.

    The bytes go to a temporary name of their own in the same folder, are synced, and are renamed.
    After any exception ``path`` is as before and the temporary file is gone. An existing file
    keeps its permission bits, a new one gets the umask's; a symbolic link stays a link.

    Raises:
        OutputError: There is no such folder (E502), the place is not a file (E503), no permission
            (E504), the disk is full (E505), or another fault of the file system (E506).

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with atomic_write(Path(folder, "note.txt")) as file:
        ...         _ = file.write(b"whole")
        ...     os.listdir(folder)
        ['note.txt']
    """
    target, mode = _place(Path(path))
    temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
    bits = 0o666 if mode is None else 0o600  # a private file is private from its first byte
    try:
        with open(temporary, "xb", opener=partial(os.open, mode=bits)) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            os.chmod(temporary, mode)
        os.replace(temporary, target)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError) and not isinstance(error, OutputError):
            raise _not_written(Path(path), error) from error
        raise
    with suppress(OSError):  # the new file is whole and in place; some systems cannot sync a folder
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _place(path: Path) -> tuple[Path, int | None]:
    """The file behind all links, and its permission bits if it exists."""
    try:
        target = Path(os.path.realpath(path))
        mode = os.stat(target).st_mode if os.path.lexists(target) else None
    except (OSError, ValueError) as error:
        raise _not_written(path, error) from error
    if not os.path.isdir(target.parent):
        raise OutputError(502, f"{path}: there is no folder {target.parent}: create it first")
    if mode is None:
        return target, None
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
        raise OutputError(503, f"{path}: this is {what}: give the name of a file")
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
    return OutputError(506, f"{path}: cannot be written: check the path and the disk ({error})")


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write text as UTF-8, whole or not at all; raises what `atomic_write` does, and E507.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_text(Path(folder, "a.txt"), "é")
        ...     Path(folder, "a.txt").read_bytes()
        b'\\xc3\\xa9'
    """
    try:
        with atomic_write(path) as file:
            file.write(text.encode())
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        message = f"line {line} holds {text[error.start]!a}, half a character: replace or remove it"
        raise OutputError(507, f"{Path(path)}: not written: {message}") from None


def write_json(path: str | os.PathLike[str], obj: Any) -> None:
    """Write JSON, indented by 2; to standard output if ``path`` is ``-``.

    Numpy numbers and arrays become plain ones, dates ISO text, paths text; NaN, infinities, NA and
    NaT become null. Raises what `atomic_write` does.

    Example:
        >>> write_json("-", {"mean": np.float32(0.5), "worst": float("nan"), "n": np.int64(3)})
        {
          "mean": 0.5,
          "worst": null,
          "n": 3
        }
    """
    to_screen = os.fspath(path) == "-"
    encoding = (sys.stdout.encoding or "utf-8") if to_screen else "utf-8"
    text = json.dumps(_plain(obj), indent=2, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = json.dumps(_plain(obj), indent=2, allow_nan=False)
    if to_screen:
        print(text)
    else:
        write_text(path, text + "\n")


def _plain(value: Any) -> Any:
    """The value in the types that JSON knows."""
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
    """The SHA-256 of a file, in 64 hexadecimal digits; raises E310 to E313 as `read_table` does.

    Example:
        >>> sha256_of(os.devnull)
        Traceback (most recent call last):
        synthgen.errors.DataError: ...
    """
    with _reading(Path(path)) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
