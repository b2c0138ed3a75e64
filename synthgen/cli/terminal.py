"""Printing on the terminal, and exit statuses: an error is one line and a status."""

from __future__ import annotations

import errno
import functools
import os
import re
import shutil
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import click

from synthgen.cli.memory import is_shortage, told
from synthgen.errors import ConvergenceError, SynthgenError, UsageError

# Errors of an output that accepts no more: the disk or the quota is full, or the device fails.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG}
_CLOSED = 141  # the status that a shell reports if the reader of a pipe has gone

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


# --- how it ends ------------------------------------------------------------------------------


class _Terminated(BaseException):
    """SIGTERM as an exception: it unwinds like Ctrl-C, so that no incomplete file stays."""


def _terminate(number: int, frame: object) -> NoReturn:
    raise _Terminated


class Main(click.Group):
    """The command group; it turns errors into one line and an exit status."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            if ctx.params["debug"] and not isinstance(
                error, click.ClickException | click.exceptions.Exit
            ):
                traceback.print_exc()
            if is_shortage(error):
                raise ConvergenceError(604, told(ctx, str(error))) from error
            raise

    def main(self, *args: Any, standalone_mode: bool = True, **kwargs: Any) -> Any:
        run = functools.partial(super().main, *args, standalone_mode=False, **kwargs)
        if not standalone_mode:
            return run()
        _open_streams()
        try:
            status = _status_of(run)
        except BrokenPipeError:  # standard error, as it told of another error
            _discard_output()
            status = _CLOSED
        sys.exit(status)


def _open_streams() -> None:
    """Give a process that was started without standard output or error the null device instead."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))


def _status_of(run: Callable[[], Any]) -> int:
    """Run a command and return its exit status; print an error as one line on standard error."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    previous = signal.signal(signal.SIGTERM, _terminate) if in_main_thread else None
    try:
        status = run()
        sys.stdout.flush()  # here, because a failure at exit could not be reported
        return status if isinstance(status, int) else 0
    except (BrokenPipeError, SystemExit):  # click turns BrokenPipeError into SystemExit
        _discard_output()
        return _CLOSED
    except SynthgenError as error:
        say(f"error E{error.code}: {error.message}", err=True)
        return error.exit_status
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "synthgen"
        message = error.format_message().rstrip(".")
        say(f"error E200: {message}; see {command} --help", err=True)
        return 2
    except click.ClickException as error:
        say(f"error E200: {error.format_message()}", err=True)
        return 2
    except click.Abort:
        say("interrupted; every file is unchanged or complete", err=True)
        return 130
    except _Terminated:
        say("terminated; every file is unchanged or complete", err=True)
        return 143
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _FULL:
            _discard_output()
            say(f"error E512: cannot write the output: {error.strerror}", err=True)
            return 5
        what = f"{type(error).__name__}: {error}"
        advice = "this is a bug: please report it with what synthgen --debug ... prints"
        say(f"error E100: {what}; {advice}", err=True)
        return 1
    finally:
        if in_main_thread:
            signal.signal(signal.SIGTERM, previous)


def _discard_output() -> None:
    """Redirect a stream that fails to the null device, so that its buffer cannot fail at exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with suppress(OSError, ValueError):  # a stream without a file
                nothing = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nothing, stream.fileno())
                os.close(nothing)


@contextmanager
def collect_notes(*, later: bool = False) -> Iterator[list[str]]:
    """Show each Python warning that is meant for the user as one line, and collect them.

    Args:
        later: Whether to show them at the end of the block, below its other output.
    """
    found: list[str] = []

    def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
        if issubclass(category, UserWarning) and str(message) not in found:
            found.append(str(message))
            if not later and not is_quiet():
                say(f"note: {message}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        try:
            yield found
        finally:
            for message in found if later and not is_quiet() else ():
                say(f"note: {message}", err=True)


# --- how much it prints -----------------------------------------------------------------------

_HOW_MUCH = "synthgen.how_much"  # a key in a click context's meta


def how_much_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options ``--verbose`` and ``--quiet`` to a command."""

    def keep(context: click.Context, parameter: click.Parameter, value: bool) -> None:
        if value and context.meta.setdefault(_HOW_MUCH, parameter.name) != parameter.name:
            raise UsageError(255, "--verbose and --quiet were both given: drop one")

    for name, words in (
        ("--quiet", "Print only the recommendation: no progress, no notes."),
        ("--verbose", "Print every figure and note, not only the first screen."),
    ):
        option = click.option(name, is_flag=True, expose_value=False, callback=keep, help=words)
        command = option(command)
    return command


def is_verbose() -> bool:
    """Whether the running command has the option ``--verbose``."""
    return _how_much() == "verbose"


def is_quiet() -> bool:
    """Whether the running command has the option ``--quiet``."""
    return _how_much() == "quiet"


def _how_much() -> str:
    context = click.get_current_context(silent=True)
    return "" if context is None else context.meta.get(_HOW_MUCH, "")


# --- what it prints ---------------------------------------------------------------------------


def say(text: str, *, err: bool = False) -> None:
    """Print one line; control characters, and those that cannot be shown, are escaped."""
    stream = sys.stderr if err else sys.stdout
    text = _visible(text)
    encoding = stream.encoding or "utf-8"
    click.echo(text.encode(encoding, "backslashreplace").decode(encoding), err=err)


def tell(text: str, *, err: bool = False) -> None:
    """Print one line like `say`, but not with ``--quiet``."""
    if not is_quiet():
        say(text, err=err)


def _visible(text: str) -> str:
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _is_number(cell: object, kinds: Any = (int, float)) -> bool:
    return isinstance(cell, kinds) and not isinstance(cell, bool)


def show_table(
    names: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    err: bool = False,
    cut: bool = False,
) -> None:
    """Print a table; columns of numbers are aligned to the right."""
    from io import StringIO

    from rich import box
    from rich.console import Console
    from rich.table import Table

    stream = sys.stderr if err else sys.stdout
    encoding = stream.encoding or "utf-8"
    plain = not encoding.lower().replace("-", "").startswith("utf")
    table = Table(box=box.ASCII2 if plain else box.SIMPLE_HEAD, pad_edge=False)
    for place, name in enumerate(names):
        number = bool(rows) and all(_is_number(row[place]) for row in rows)
        table.add_column(
            name,
            justify="right" if number else "left",
            no_wrap=cut,
            overflow="ellipsis" if cut else "fold",
        )
    for row in rows:
        table.add_row(*(f"{c:,}" if _is_number(c, int) else _visible(str(c)) for c in row))
    text = StringIO()
    width = shutil.get_terminal_size((100, 24)).columns
    Console(
        file=text,
        width=width,
        markup=False,
        highlight=False,
        emoji=False,
        force_terminal=stream.isatty(),
        legacy_windows=False,
    ).print(table)
    lines = "\n".join(line.rstrip() for line in text.getvalue().splitlines())
    click.echo(lines.encode(encoding, "backslashreplace").decode(encoding), err=err)
