"""Too little memory: recognised, and told with an estimate of what is needed."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import click

from synthgen.errors import ConvergenceError, SynthgenError

# Address space of Python and its libraries on a small table, measured with `synthgen auto`: most of
# it is reserved and never used. Text takes about 20 times its size as cells, matrices and copies.
LIBRARIES, TIMES = 2.5 * 2**30, 20
_SIGNS = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "cannot allocate memory",
    "bad_alloc",
    "can't start new thread",
    "failed to launch worker thread",
)
_TABLE = "synthgen.table"  # a key in a click context's meta: bytes of the tables


def check_limit(path: Path) -> None:
    """Raise if the limit of ``ulimit -v`` is too low: native libraries would abort or hang."""
    context = click.get_current_context(silent=True)
    with suppress(OSError):
        size = os.path.getsize(path)
        if context is not None:
            context.meta[_TABLE] = context.meta.get(_TABLE, 0) + size
    limit = _limit()
    if limit is not None and limit < LIBRARIES:
        raise ConvergenceError(604, told(context, ""))


def told(context: click.Context | None, what: str) -> str:
    """The message of E604: how much memory is needed, for what, and what to do."""
    table = 0 if context is None else context.meta.get(_TABLE, 0) * TIMES
    need, limit = (LIBRARIES + table) / 2**30, _limit()
    parts = f"{LIBRARIES / 2**30:.1f} GiB of address space for Python and its libraries"
    if table >= 2**28:
        parts += f" and {table / 2**30:.1f} GiB for the table"
    here = "" if limit is None else f", but ulimit -v allows {limit / 2**30:.1f} GiB"
    cure = "close other programs" if limit is None else "raise the limit (ulimit -v unlimited)"
    why = f" ({what})" if what else ""
    return (
        f"there is not enough memory{why}: about {need:.1f} GiB are needed ({parts}){here}: "
        f"{cure}, give fewer rows or columns, or use a machine with more memory"
    )


def is_shortage(error: BaseException) -> bool:
    """Whether an error of Python or of a native library means that memory ran out."""
    found: BaseException | None = error
    for _ in range(20):
        if found is None or isinstance(found, SynthgenError):
            return False
        words = str(found).lower()
        if isinstance(found, MemoryError) or any(sign in words for sign in _SIGNS):
            return True
        found = found.__cause__ or found.__context__
    return False


def _limit() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    soft = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if soft == resource.RLIM_INFINITY else soft
