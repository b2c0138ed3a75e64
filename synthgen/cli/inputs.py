"""Inputs of commands: the table, the schema and the seed."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthgen.cli.terminal import tell
from synthgen.errors import DataError, ModelFileError, UsageError

if TYPE_CHECKING:
    import pandas as pd

    from synthgen.tables.schema import Schema


def write_result(path: str | None, content: dict[str, Any]) -> None:
    if path is not None:
        from synthgen.tables.disk import write_json

        write_json(path, content)


def read_frame(path: Path) -> pd.DataFrame:
    import pandas as pd

    from synthgen.tables.read import read_table

    frame = read_table(path)
    if not isinstance(frame.index, pd.RangeIndex) or frame.index.name is not None:
        names = ", ".join(repr(name) for name in frame.index.names)
        warnings.warn(f"the index of {path} ({names}) is no column and is left out", stacklevel=2)
    return frame


def read_schema(path: Path | None) -> Schema | None:
    if path is None:
        return None
    from synthgen.tables.schema import Schema

    return Schema.load(path)


@contextmanager
def drawn_seed(given: int | None, *, resume: Path | None = None) -> Iterator[int]:
    """The seed of a run: the given one, that of the run which is resumed, or a new one.

    A new one is printed on standard error when the run has ended, or was stopped: not where a
    mistake in the options or the table kept it from starting.

    Args:
        given: ``--seed``.
        resume: ``--resume``.
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
    tell(f"seed {seed} (drawn; the same rows again: --seed {seed})", err=True)
