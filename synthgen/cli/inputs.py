"""Inputs of commands: the table, the schema and the seed; and the tables that they write."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from synthgen.cli.memory import check_limit
from synthgen.cli.terminal import tell
from synthgen.errors import DataError, ModelFileError, UsageError

if TYPE_CHECKING:
    import pandas as pd

    from synthgen.tables.schema import Schema


def write_result(path: str | None, content: dict[str, Any]) -> None:
    if path is not None:
        from synthgen.tables.disk import write_json

        write_json(path, content)


@contextmanager
def as_file(path: Path) -> Iterator[Path]:
    """The path itself, or for ``-`` a temporary file that holds standard input."""
    if str(path) != "-":
        yield path
        return
    with TemporaryDirectory(prefix="synthgen-") as folder:
        kept = Path(folder, "standard-input")
        kept.write_bytes(sys.stdin.buffer.read())
        yield kept


def write_rows(frame: pd.DataFrame, output: Path, *, defuse: bool) -> int:
    """Write a table to a file, or for ``-`` as CSV to standard output; see `write_table`."""
    from synthgen.tables.write import write_into, write_table

    if str(output) != "-":
        return write_table(frame, output, defuse=defuse)
    whole = BytesIO()
    defused = write_into(whole, frame, "standard-output.csv", defuse=defuse)
    sys.stdout.buffer.write(whole.getvalue())
    return defused


def read_frame(
    path: Path, *, declared: Schema | None = None, allow_empty: bool = False
) -> pd.DataFrame:
    """The table of a file, see `read_table`; an index is left out, with a warning if named."""
    from synthgen.tables.read import read_table

    with as_file(path) as file:
        check_limit(file)
        frame = read_table(file, declared=declared, allow_empty=allow_empty)
    named = [repr(name) for name in frame.index.names if name is not None]
    if named:
        names = ", ".join(named)
        warnings.warn(
            f"the index of {path} ({names}) is not a column and is left out", stacklevel=2
        )
    return frame


def read_schema(path: Path | None) -> Schema | None:
    if path is None:
        return None
    from synthgen.tables.schema import Schema

    return Schema.load(path)


@contextmanager
def drawn_seed(given: int | None, *, resume: Path | None = None) -> Iterator[int]:
    """The seed of a run: the given seed, that of the resumed run, or a new one.

    A new seed is printed on standard error when the run ends or is interrupted, but not if the
    options or the table are wrong.

    Args:
        given: Value of ``--seed``.
        resume: Value of ``--resume``.
    """
    seed = given
    if seed is None and resume is not None:
        from synthgen.training import checkpoint

        seed = checkpoint.drawn_seed(resume)
    if seed is not None:
        yield seed
        return
    from synthgen.seeds import fresh_seed

    seed = fresh_seed()
    try:
        yield seed
    except (UsageError, DataError, ModelFileError):
        raise
    except BaseException:
        _say_seed(seed)
        raise
    _say_seed(seed)


def _say_seed(seed: int) -> None:
    tell(f"seed {seed} (drawn at random; --seed {seed} gives the same rows again)", err=True)
