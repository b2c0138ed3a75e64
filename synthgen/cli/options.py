"""Options shared by several commands, and checks before any work."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from synthgen.cli.paths import Input, OutputFile
from synthgen.cli.run_file import _read_config, _read_settings
from synthgen.cli.terminal import is_quiet, say
from synthgen.errors import SynthgenError, UsageError

if TYPE_CHECKING:
    from synthgen.synthesizers.base import Synthesizer
    from synthgen.synthesizers.lookup import Maker
    from synthgen.tables.schema import Schema

# Constructor arguments that cannot be given with --set, and the option of each.
_OWN_OPTIONS = {
    "classes": "--label",
    "schema": "--schema",
    "checkpoint": "--resume",
    "device": "--device",
    "random_state": "--seed",
    "verbose": "",
}


input_file, output_file = Input(), OutputFile()
# What the help of several options says.
SYNTHESIZER_NAMES = "ctgan, tvae, tabflow, trees, bootstrap, private"
TABLE_ENDINGS = (
    "Table to write: .csv, .csv.gz, .tsv, .parquet or .feather; - is standard output (CSV)."
)


@dataclass(frozen=True)
class Training:
    """The options that `augment` and `fit` share."""

    target: str
    labels: tuple[str, ...] | None
    synthesizer: str | None
    settings: dict[str, Any]
    schema: Path | None
    device: str
    seed: int | None
    resume: Path | None = None


device_option = click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="auto, cpu, cuda or cuda:1.",
)
seed_option = click.option(
    "--seed",
    type=click.IntRange(min=0),
    help="Same seed, same rows.  [default: a new one, which is printed]",
)
_training_options = [
    click.option("--target", metavar="COL", required=True, help="Column that holds the classes."),
    click.option(
        "--label",
        metavar="CLASS",
        multiple=True,
        help="Class to make, may be repeated.  [default: the rarest]",
    ),
    click.option(
        "--synthesizer",
        metavar="NAME",
        help=f"{SYNTHESIZER_NAMES}, sdv:GaussianCopula or package.module:Class.  [default: auto]",
    ),
    click.option(
        "--set",
        "settings",
        metavar="NAME=VALUE",
        multiple=True,
        callback=_read_settings,
        help="Constructor argument of the synthesizer, such as steps=2000; may be repeated.",
    ),
    click.option(
        "--schema",
        type=input_file,
        metavar="FILE",
        help="Schema file with the kinds of the columns; see synthgen schema.",
    ),
    device_option,
    seed_option,
    click.option(
        "--resume",
        type=output_file,
        metavar="FILE",
        help="Checkpoint of the training; if the file exists, training continues from it.",
    ),
    click.option(
        "--config",
        type=input_file,
        metavar="FILE",
        is_eager=True,
        expose_value=False,
        callback=_read_config,
        help="Run file (TOML) with these options; the command line overrides it.",
    ),
]


def training_options(command: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(command)
    def run(
        target: str,
        label: tuple[str, ...],
        synthesizer: str | None,
        settings: dict[str, Any],
        schema: Path | None,
        device: str,
        seed: int | None,
        resume: Path | None,
        **others: Any,
    ) -> None:
        training = Training(
            target, label or None, synthesizer, settings, schema, device, seed, resume
        )
        command(training=training, **others)

    for option in reversed(_training_options):
        run = option(run)
    return run


def read_ratio(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> float | str | None:
    """Parse a number, or the word auto or double."""
    if text is None or text in ("auto", "double"):
        return text
    with suppress(ValueError):
        if 0 < (ratio := float(text)) < math.inf:
            return ratio
    raise UsageError(277, f"--ratio must be a number above 0, auto or double, not {text}")


def read_jobs(context: click.Context, parameter: click.Parameter, jobs: int | None) -> int | None:
    """Check a number of processes: from 1, or negative for joblib's count from the cores."""
    if jobs == 0:
        raise UsageError(269, "--jobs 0: give a number from 1, or -1 for one for each core")
    return jobs


class Rows(click.IntRange):
    """A number of rows, also written as 1e9."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        with suppress(ValueError, OverflowError):
            if "e" in str(value).lower() and float(value).is_integer():
                value = int(float(value))
        return super().convert(value, param, ctx)


_shard_options = [
    click.option(
        "--jobs",
        "n_jobs",
        type=int,
        callback=read_jobs,
        help="Number of processes that write a folder, about 0.5 GB each; -1: one per core.  "
        "[default: 1, with an engine on this machine -1]",
    ),
    click.option(
        "--engine",
        metavar="NAME[=ADDRESS]",
        help="Write a folder with ray, spark or dask: on this machine, or on a cluster at ADDRESS.",
    ),
    click.option(
        "--shard-rows",
        type=Rows(min=1),
        metavar="ROWS",
        help="Rows per file of a folder, a multiple of 65,536.  [default: 262144]",
    ),
]


def shard_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options for writing a folder: processes, engine and rows per file."""

    @functools.wraps(command)
    def run(n_jobs: int | None, engine: str | None, shard_rows: int | None, **others: Any) -> None:
        shards = {"n_jobs": n_jobs, "engine": engine, "shard_rows": shard_rows}
        command(shards=shards, **others)

    for option in reversed(_shard_options):
        run = option(run)
    return run


data_argument = click.argument("data", type=input_file, metavar="DATA")
model_argument = click.argument("model", type=input_file, metavar="MODEL")
table_output = click.option(
    "-o",
    "--output",
    type=output_file,
    metavar="OUT",
    required=True,
    help=TABLE_ENDINGS,
)
json_option = click.option(
    "--json",
    "json_file",
    type=OutputFile(path_type=str),
    metavar="FILE",
    help="Also write the result as JSON; - is standard output.",
)
rule_option = click.option(
    "--rule",
    "rules",
    metavar="RULE",
    multiple=True,
    help="Rule that must hold in every new row, such as 'start <= end'; may be repeated.",
)
no_found_rules_option = click.option(
    "--no-found-rules",
    is_flag=True,
    help="Do not enforce the rules that all rows of the table keep, such as sums of columns.",
)
no_defuse_option = click.option(
    "--no-defuse", is_flag=True, help="Write CSV cells that begin with = + - @ unchanged."
)


# --- before the work --------------------------------------------------------------------------


def maker(training: Training) -> Maker:
    """Check the options, and return what makes the synthesizer for a class of so many rows."""
    from synthgen.synthesizers.lookup import ROWS_FOR_TREES, chosen_for

    name, wrong = _named(training), []
    possible = [name] if name != "auto" else [chosen_for(0), chosen_for(ROWS_FOR_TREES)]
    for each in possible:  # wrong options are an error before the table is read
        try:
            _configured(training, each)
        except UsageError as error:
            wrong.append(error)
    if len(wrong) == len(possible):
        raise wrong[0]
    return partial(build, training)


def build(training: Training, rows: int) -> Synthesizer:
    """Make the synthesizer that the options describe, for a class of so many rows."""
    from synthgen.synthesizers.lookup import chosen_for

    name = _named(training)
    if name != "auto":
        return _configured(training, name)
    name = chosen_for(rows)
    try:
        return _configured(training, name)
    except UsageError as error:
        why = f"auto is {name} for {rows:,} rows of the class; --synthesizer names another one"
        raise UsageError(error.code, f"{error.message} ({why})") from None


def _named(training: Training) -> str:
    from synthgen.augmentation.augment import DEFAULT_SYNTHESIZER

    name = training.synthesizer or DEFAULT_SYNTHESIZER
    return "auto" if name.lower() == "auto" else name


def _configured(training: Training, name: str) -> Synthesizer:
    from synthgen.synthesizers.lookup import resolve
    from synthgen.training.device import resolve as resolve_device

    synthesizer = resolve(name)
    params = synthesizer.get_params(deep=False)
    for key in training.settings:
        if key not in params or key in _OWN_OPTIONS:
            known = ", ".join(sorted({*params} - {*_OWN_OPTIONS}))
            own = f"use {_OWN_OPTIONS[key]}; " if _OWN_OPTIONS.get(key) else ""
            raise UsageError(285, f"--set {key}: {own}{name} has {known}")
    synthesizer.set_params(**training.settings)
    place = resolve_device(training.device)
    if "device" in params:
        synthesizer.set_params(device=training.device)
    elif training.device != "auto" and place.type != "cpu":
        raise UsageError(286, f"--device {training.device}: {name} runs on the CPU only")
    if "verbose" in params:
        synthesizer.set_params(verbose=not is_quiet())
    if training.resume is not None and "checkpoint" not in params:
        raise UsageError(290, f"--resume: {name} writes no checkpoint: leave it out")
    if training.resume is not None:
        synthesizer.set_params(checkpoint=training.resume)
    return synthesizer


@contextmanager
def resumable(training: Training) -> Iterator[None]:
    """Keep the checkpoint until the block ends without error; after an error, print its path."""
    if training.resume is None:
        yield
        return
    from synthgen.training.checkpoint import kept_until_done

    try:
        with kept_until_done():
            yield
    except BaseException as error:
        if training.resume.exists() and not (
            isinstance(error, SynthgenError) and error.code in (236, 421)
        ):
            say(
                f"note: {training.resume} holds the state of the training: the same command "
                f"continues from there",
                err=True,
            )
        raise


def read_where(wishes: Sequence[str], schema: Schema) -> dict[Any, Any]:
    """Parse `--where COL=VALUE` to values by column; an empty value is a missing cell."""
    found: dict[Any, Any] = {}
    named = {str(column.name): column.name for column in schema.features}
    for wish in wishes:
        # A name may contain "=", so the longest name that fits is the column.
        fits = [name for name in named if wish.startswith(f"{name}=")]
        if not fits:
            what = f"there is no column {wish.partition('=')[0]!r}" if "=" in wish else "no ="
            raise UsageError(238, f"--where {wish}: {what}: give COL=VALUE")
        name = max(fits, key=len)
        found[named[name]] = wish[len(name) + 1 :] or None
    return found


def refuse_training(training: Training) -> None:
    given = {
        "--synthesizer": training.synthesizer,
        "--set": training.settings,
        "--schema": training.schema,
        "--resume": training.resume,
    }
    for name, value in given.items():
        if value:
            raise UsageError(
                288, f"{name} is for training, but --model trains nothing: leave one of them out"
            )
