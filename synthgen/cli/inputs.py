"""What a command reads: the table, its target, its groups, the schema and the seed."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthgen.cli.terminal import say
from synthgen.errors import DataError, ModelFileError, UsageError

if TYPE_CHECKING:
    import pandas as pd

    from synthgen.tables.schema import Schema


def _write_json(path: str | None, content: dict[str, Any]) -> None:
    if path is not None:
        from synthgen.tables.disk import write_json

        write_json(path, content)


def _features(
    frame: pd.DataFrame, target: str, groups: str | None
) -> tuple[pd.DataFrame, pd.Series, pd.Series | None]:
    """Features, classes and groups of a table; groups are no feature."""
    X, y = _split(frame, target)
    if groups is None:
        return X, y, None
    name = _column(X, groups)
    if name not in X.columns:
        raise UsageError(245, f"--groups: there is no column {groups!r}")
    return X.drop(columns=[name]), y, X[name]


# --- what goes in -----------------------------------------------------------------------------


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    from synthgen.tables.read import read_table

    frame = read_table(path)
    if not isinstance(frame.index, pd.RangeIndex) or frame.index.name is not None:
        names = ", ".join(repr(name) for name in frame.index.names)
        warnings.warn(f"the index of {path} ({names}) is no column and is left out", stacklevel=2)
    return frame


def _column(frame: pd.DataFrame, name: str | None) -> Any:
    """The column of that name, or the only one that reads so."""
    same = [c for c in frame.columns if str(c) == name]
    return same[0] if len(same) == 1 else name


def _split(frame: pd.DataFrame, target: str) -> tuple[pd.DataFrame, pd.Series]:
    """The features and the target."""
    from synthgen.tables.checks import check_frame

    name = _column(frame, target)
    check_frame(frame, name)
    return frame.drop(columns=[name]), frame[name]


def _schema(path: Path | None) -> Schema | None:
    if path is None:
        return None
    from synthgen.tables.schema import Schema

    return Schema.load(path)


@contextmanager
def drawn_seed(given: int | None, *, err: bool, resume: Path | None = None) -> Iterator[int]:
    """The seed of a run: the given one, that of the run which is resumed, or a new one.

    A new one is printed when the run has ended, or was stopped: not where a mistake in the options
    or the table kept it from starting.

    Args:
        given: ``--seed``.
        err: Print on standard error, since standard output holds the JSON.
        resume: ``--resume``.
    """
    seed = given
    if seed is None and resume is not None:
        from synthgen.training import checkpoint

        seed = checkpoint.drawn_seed(resume)
    if seed is not None:
        yield seed
        return
    import secrets

    seed = secrets.randbits(32)
    try:
        yield seed
    except (UsageError, DataError, ModelFileError):
        raise
    except BaseException:
        _say_seed(seed, err)
        raise
    _say_seed(seed, err)


def _say_seed(seed: int, err: bool) -> None:
    say(f"seed {seed} (drawn; the same rows again: --seed {seed})", err=err)
