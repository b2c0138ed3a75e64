"""`augment` for tables that are read as streams: folders, file patterns, databases."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from synthgen.cli.inputs import drawn_seed, write_result
from synthgen.cli.options import Rows, maker, refuse_training, resumable
from synthgen.cli.output import say_weights
from synthgen.cli.terminal import collect_notes, is_quiet, say, show_table, tell
from synthgen.errors import UsageError

if TYPE_CHECKING:
    from synthgen.cli.making import Job

_options = [
    click.option(
        "--sql",
        metavar="SELECT",
        help="SELECT statement in DuckDB's SQL, over a DuckDB file, or Parquet files as `data`.",
    ),
    click.option(
        "--keep",
        type=Rows(min=1),
        metavar="ROWS",
        help="Read DATA (Parquet or UTF-8 CSV) as a stream, in bounded memory, and learn from all "
        "rows of the class and this many of the others. Folders, patterns and --sql are always "
        "read as streams.  [default for these: 200000]",
    ),
]


def stream_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options for large tables: which part to read, and how many rows to learn from."""
    for option in reversed(_options):
        command = option(command)
    return command


def run_stream(job: Job, sql: str | None, keep: int | None, json_file: str | None) -> None:
    """Run `augment` with a table that is read as a stream."""
    from synthgen.augmentation.advice import refused_lines
    from synthgen.scale.reservoir import KEEP
    from synthgen.scale.stream import augment_stream
    from synthgen.synthesizers.lookup import load

    training, aside = job.training, json_file == "-"
    if str(job.data) == "-" or job.manifest_file is None:
        raise UsageError(242, "-: not for a table that is read as a stream: name a file")
    for name, given in (("--report", job.report), ("--schema", training.schema)):
        if given is not None:
            raise UsageError(242, f"{name}: not for a table that is read as a stream: leave it out")
    if job.model is not None:
        refuse_training(training)
    drawn = drawn_seed(training.seed, resume=training.resume)
    with collect_notes(), resumable(training), drawn as seed:
        fitted = None if job.model is None else load(job.model, device=training.device)
        made: Any = fitted or maker(training)
        found: dict[str, Any] = augment_stream(
            str(job.data),
            job.output,
            target=training.target,
            sql=sql,
            labels=training.labels,
            synthesizer=made,
            model=fitted,
            ratio=job.ratio,
            n_samples=job.rows,
            keep=KEEP if keep is None else keep,
            only_new=job.only_new,
            mark=job.mark,
            weights=job.weights,
            rules=job.rules,
            found_rules=job.found_rules,
            random_state=seed,
            verbose=not is_quiet(),
        )
    before, after = found["before"], found["after"]
    for added in found["added"]:
        say(f"{added['rows']:,} new rows of {added['label']!r}: {added['amount']}", err=aside)
    rows = [[c, n, after[c] - n, after[c]] for c, n in before.items()]
    show_table([f"class of {training.target}", "before", "new", "after"], rows, err=aside)
    for label, counts in found["refused"].items():
        for line in refused_lines({label: {"refused": counts, "drawn": found["drawn"][label]}}):
            tell(line, err=aside)
    say_weights(job.weights, err=aside)
    say(
        f"wrote {job.output}: {found['rows']:,} rows, the new ones learned from "
        f"{found['learned_from']['rows']:,} of {found['rows_read']:,}; manifest "
        f"{job.manifest_file.name}",
        err=aside,
    )
    write_result(json_file, found)
