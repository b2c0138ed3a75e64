"""The options of the commands that choose: `compare` and `auto`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import click

from synthgen.cli.options import input_file, read_jobs, seed_option
from synthgen.errors import UsageError


def read_sweep(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> list[float] | None:
    """Parse rates and numbers of rows that are separated by commas."""
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise UsageError(
            258, f"--sweep {text!r}: write rates or numbers of rows, such as 0.001,0.01,0.1"
        ) from None


def _read_cost(
    context: click.Context, parameter: click.Parameter, pairs: tuple[str, ...]
) -> dict[str, float] | None:
    """Parse ``fn=500`` and ``fp=2``."""
    found = {}
    for pair in pairs:
        key, _, text = pair.partition("=")
        try:
            found[key.strip()] = float(text)
        except ValueError:
            raise UsageError(284, f"--cost {pair!r}: write it as fn=500 or fp=2") from None
    return found or None


_choosing_options = [
    click.option(
        "--cost",
        metavar="fn=X|fp=Y",
        multiple=True,
        callback=_read_cost,
        help="Cost of a missed row of the class (fn) and of a false alarm (fp); give both.",
    ),
    click.option(
        "--groups",
        metavar="COL",
        help="Rows with the same value in this column share a fold; the column is not a feature.",
    ),
    click.option(
        "--time-budget", type=click.FloatRange(min=0, min_open=True), help="Time limit in seconds."
    ),
    click.option(
        "--jobs",
        "n_jobs",
        type=int,
        default=-1,
        show_default=True,
        callback=read_jobs,
        help="Number of processes; -1: one per core.",
    ),
    click.option(
        "--engine",
        metavar="NAME[=ADDRESS]",
        help="Fit on ray or dask: in --jobs processes of this machine, or on a cluster at ADDRESS.",
    ),
    click.option(
        "--schema",
        "given",
        type=input_file,
        metavar="FILE",
        help="Schema file with the kinds of the columns; see synthgen schema.",
    ),
    seed_option,
]
_compare_options = [
    click.option(
        "--strategies",
        metavar="LIST",
        multiple=True,
        default=("default",),
        show_default=True,
        help="default, all, or names and import paths, separated by commas; may be repeated.",
    ),
    click.option(
        "--estimator",
        metavar="NAME",
        default="hgb",
        show_default=True,
        help="Classifier for trying the strategies: hgb, rf, lr or package.module:Class.",
    ),
    click.option(
        "--folds",
        type=click.IntRange(min=2),
        default=5,
        show_default=True,
        help="Largest number of folds; each test part should hold 5 rows of the class.",
    ),
    click.option(
        "--repeats",
        type=click.IntRange(min=1),
        help="Repeats of the folds.  [default: as many as make 10 splits]",
    ),
    click.option(
        "--prior/--no-prior",
        default=True,
        show_default=True,
        help="Whether to use what auto gained on other tables, beside the scores on this one.",
    ),
    *_choosing_options,
]


def _refuse_strategies(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Reject options that `auto` had in an older version, and say what replaces them."""
    if value:
        raise UsageError(
            225,
            f"{parameter.opts[0]}: auto averages several classifiers and does not compare "
            f"strategies: choose the classifiers with --members; to compare strategies, use "
            f"synthgen compare",
        )


_auto_options = [
    click.option(
        "--members",
        metavar="LIST",
        multiple=True,
        help="Learners that may be averaged: boosting, forest, extra_trees, logistic, and import "
        "paths of classifiers, separated by commas.  [default: these four]",
    ),
    click.option(
        "--false-alarms",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        metavar="SHARE",
        help="Choose the threshold at which this share of the other rows is a false alarm.",
    ),
    *_choosing_options,
    *(
        click.option(
            name,
            hidden=True,
            expose_value=False,
            callback=_refuse_strategies,
            help="Refused, with what to do instead.",
        )
        for name in ("--strategies", "--estimator", "--folds", "--repeats")
    ),
]


def _names(several: Sequence[str]) -> list[str]:
    """Split lists of names at the commas, and join them."""
    return [name for some in several for name in map(str.strip, some.split(",")) if name]


def compare_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of `compare` to a command."""

    @functools.wraps(command)
    def run(strategies: tuple[str, ...], **others: Any) -> None:
        command(strategies=_names(strategies), **others)

    for option in reversed(_compare_options):
        run = option(run)
    return run


def auto_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of `auto` to a command."""

    @functools.wraps(command)
    def run(members: tuple[str, ...], **others: Any) -> None:
        command(members=_names(members) or None, **others)

    for option in reversed(_auto_options):
        run = option(run)
    return run
