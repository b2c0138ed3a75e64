"""The command `augment`."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from synthgen.cli.inputs import (
    as_file,
    drawn_seed,
    read_frame,
    read_schema,
    write_result,
    write_rows,
)
from synthgen.cli.options import (
    TABLE_ENDINGS,
    Training,
    data_argument,
    input_file,
    json_option,
    maker,
    no_defuse_option,
    no_found_rules_option,
    read_ratio,
    refuse_training,
    resumable,
    rule_option,
    training_options,
)
from synthgen.cli.output import say_defused, say_result, say_weights
from synthgen.cli.paths import (
    Command,
    OutputFile,
    OutputFolder,
    check_ending,
    is_taken,
    make_folder,
)
from synthgen.cli.streaming import run_stream, stream_options
from synthgen.cli.terminal import collect_notes, how_much_options, is_quiet, say, tell
from synthgen.errors import UsageError
from synthgen.progress import Progress

if TYPE_CHECKING:
    import pandas as pd

    from synthgen.augmentation.augmented import Augmented
    from synthgen.metrics.report import Report

WEIGHTS = "sample_weight"


@click.command(cls=Command)
@data_argument
@click.option(
    "-o",
    "--output",
    type=OutputFile(beside=".manifest.json"),
    metavar="OUT",
    required=True,
    help=TABLE_ENDINGS,
)
@training_options
@click.option(
    "--ratio",
    metavar="X|auto|double",
    callback=read_ratio,
    help="Wanted rows of the class, real and new, relative to the largest class; double: twice the "
    "real rows; auto: the amount that helps in validation, or none.  [default: the amount that "
    "helps in validation; if none does, up to 0.3]",
)
@click.option(
    "-n",
    "--rows",
    type=click.IntRange(min=1),
    metavar="ROWS",
    help="Number of new rows of each class, instead of a ratio.",
)
@click.option("--only-new", is_flag=True, help="Write the new rows only.")
@click.option("--mark", metavar="COL", help="Add a column that is true for new rows.")
@click.option(
    "--weights",
    metavar="COL",
    help="Name of the last column, which holds weights for a classifier's sample_weight: real rows "
    "weigh 1, and the new rows of a class together as much as its real rows. With --only-new, it "
    f"is written only if this option is given.  [default: {WEIGHTS}]",
)
@click.option("--no-weights", is_flag=True, help="Leave the column of weights out.")
@click.option(
    "--model",
    type=input_file,
    metavar="MODEL",
    help="Use this model file of synthgen fit, and train nothing.",
)
@click.option(
    "--report",
    type=OutputFolder("report.html", "report.json", "evaluation.html", "evaluation.json"),
    metavar="DIR",
    help="Folder for a page with figures.",
)
@stream_options
@rule_option
@no_found_rules_option
@no_defuse_option
@how_much_options
@json_option
def augment(
    data: Path,
    training: Training,
    output: Path,
    ratio: float | str | None,
    rows: int | None,
    only_new: bool,
    mark: str | None,
    weights: str | None,
    no_weights: bool,
    model: Path | None,
    report: Path | None,
    sql: str | None,
    keep: int | None,
    rules: tuple[str, ...],
    no_found_rules: bool,
    no_defuse: bool,
    json_file: str | None,
) -> None:
    """Add synthetic rows of the rarest class to DATA, and write the result.

    A manifest, OUT.manifest.json, records how they were made, and with which seed.

    \b
    Example:
      synthgen augment data.csv --target outcome -o augmented.csv
      synthgen augment - --target outcome -o - < data.csv > augmented.csv
      synthgen augment data.csv --target outcome --label yes -n 500 --seed 0 -o augmented.parquet
      synthgen augment data.csv --target outcome --synthesizer tvae --set steps=500 -o augmented.csv
      synthgen augment 'sales/*.parquet' --target fraud -n 5000 -o augmented.parquet
      synthgen augment shop.duckdb --sql "select * from sales" --target fraud -n 99 -o o.parquet
    """
    context = click.get_current_context()
    if ratio is not None and rows is not None:  # the command line overrides the run file
        if context.get_parameter_source("ratio") is ParameterSource.DEFAULT_MAP:
            ratio = None
        elif context.get_parameter_source("rows") is ParameterSource.DEFAULT_MAP:
            rows = None
        else:
            raise UsageError(275, f"--ratio {ratio} and -n {rows} were both given: drop one")
    if weights is None and not only_new:
        weights = WEIGHTS
    job = Job(
        data,
        training,
        output,
        ratio,
        rows,
        only_new,
        mark,
        None if no_weights else weights,
        model,
        report,
        rules,
        not no_found_rules,
        not no_defuse,
    )
    from synthgen.scale.sources import is_stream

    if sql is not None or keep is not None or is_stream(data):
        run_stream(job, sql, keep, json_file)
    else:
        _run(job, json_file)


# --- the main job, with files -----------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """The options of one `augment` command: the table, how to make rows, and the output."""

    data: Path
    training: Training
    output: Path
    ratio: float | str | None = None
    rows: int | None = None
    only_new: bool = False
    mark: str | None = None
    weights: str | None = None
    model: Path | None = None
    report: Path | None = None
    rules: tuple[str, ...] = ()
    found_rules: bool = True
    defuse: bool = True

    @property
    def manifest_file(self) -> Path | None:
        """Path of the manifest, beside the output table; None if that is standard output."""
        if is_taken(self.output):
            return None
        return self.output.with_name(f"{self.output.name}.manifest.json")

    def check(self) -> None:
        """Raise for each mistake that can be found before any work."""
        training = self.training
        check_ending(self.output)
        if self.model is not None:
            refuse_training(training)
        for option, name in self.columns.items():
            if not (name.strip() and name.isprintable()):
                raise UsageError(287, f"{option} {name!r}: give a name that can be printed")
        if self.mark is not None and self.mark == self.weights:
            raise UsageError(287, f"--mark and --weights are both {self.mark!r}: rename one")

    @property
    def files(self) -> dict[str, Path]:
        """The files of a recommended command, by placeholder; of ``-`` the placeholder stays."""
        both = {"DATA": self.data, "OUT": self.output}
        return {name: path for name, path in both.items() if str(path) != "-"}

    @property
    def columns(self) -> dict[str, str]:
        """Names of the columns to add, by option."""
        asked = {"--mark": self.mark, "--weights": self.weights}
        return {option: name for option, name in asked.items() if name is not None}

    def options(self) -> dict[str, Any]:
        """The options as the manifest records them."""
        own = {field.name: getattr(self, field.name) for field in fields(self)[3:]}
        return {**asdict(self.training), **own, "rules": list(self.rules)}


def _run(job: Job, json_file: str | None) -> None:
    """Read the table, make the rows, write the files, and print what was done."""
    started = time.perf_counter()
    job.check()
    aside = is_taken(json_file, job.output)
    drawn = drawn_seed(job.training.seed, resume=job.training.resume)
    notes_later, bar = collect_notes(later=True), Progress(not is_quiet())
    with notes_later as notes, resumable(job.training), drawn as seed, bar:
        result, source, read = _make(job, seed, bar)
        bar.part(f"writing {job.output.name}", 0.6 if job.report else 1.0)
        written = _write(job, result, source, read - started, notes)
        evaluation = None if job.report is None else _evaluated(job, result, written, bar)
    _tell(job, result, written, err=aside)
    for card in () if evaluation is None or is_quiet() else evaluation.cards:
        say(card.line(), err=aside)
    if job.report is not None:
        tell(f"wrote {job.report / 'report.html'}", err=aside)
    write_result(json_file, written)


def _make(job: Job, seed: int, bar: Progress) -> tuple[Augmented, dict[str, Any], float]:
    """Augment the table; return the result, facts about the input, and when reading ended."""
    bar.part(f"reading {job.data.name}", 0.05)
    from synthgen.augmentation.augment import augment
    from synthgen.synthesizers.lookup import load
    from synthgen.tables.calls import column_named
    from synthgen.tables.disk import sha256_of

    training = job.training
    fitted = None if job.model is None else load(job.model, device=training.device)
    synthesizer: Any = fitted or maker(training)
    decided = read_schema(training.schema)
    with as_file(job.data) as file:
        frame = read_frame(file)
        source = {
            "path": job.data,
            "sha256": sha256_of(file),
            "rows": len(frame),
            "columns": frame.shape[1],
        }
    read = time.perf_counter()
    bar.part("looking at the table", 0.5 if job.report else 0.95)
    for option, name in job.columns.items():
        if name in map(str, frame.columns):
            what = f"{option} {name}: the table has such a column: choose another name"
            if option == "--weights":
                what += ", or leave it out with --no-weights"
            raise UsageError(287, what)
    result = augment(
        frame,
        target=column_named(frame, training.target),
        labels=training.labels,
        synthesizer=synthesizer,
        model=fitted,
        ratio=job.ratio,
        n_samples=job.rows,
        schema=decided,
        rules=job.rules,
        found_rules=job.found_rules,
        random_state=seed,
        verbose=not is_quiet(),
    )
    return result, source, read


def _write(
    job: Job, result: Augmented, source: dict[str, Any], reading: float, notes: list[str]
) -> dict[str, Any]:
    """Write the table and its manifest, and return the manifest; `reading` is in seconds."""
    from synthgen.augmentation.manifest import manifest
    from synthgen.tables.disk import json_text, sha256_of, write_together
    from synthgen.tables.write import write_into

    began = time.perf_counter()
    table = _table_of(result, job)

    def found(defused: int, sha256: str | None) -> dict[str, Any]:
        writing = time.perf_counter() - began
        output = {"path": job.output, "sha256": sha256, "rows": len(table), "defused": defused}
        about = manifest(
            result,
            data=source,
            output=output,
            model=job.model,
            options=job.options(),
            seconds={"read": reading, **result.seconds, "write": writing},
            warnings=notes,
        )
        return about | {"recommendation": asdict(result.recommendation.about(**job.files))}

    if job.manifest_file is None:
        return found(write_rows(table, job.output, defuse=job.defuse), None)
    with write_together(job.output, job.manifest_file) as (table_file, about):
        defused = write_into(table_file, table, job.output, defuse=job.defuse)
        table_file.flush()
        written = found(defused, sha256_of(table_file.name))
        about.write((json_text(written) + "\n").encode())
    return written


def _tell(job: Job, result: Augmented, written: dict[str, Any], *, err: bool) -> None:
    """Print what was made and where it was written."""
    say_defused(written["output"]["defused"])
    say_result(result, err=err, **job.files)
    new = sum(a.rows for a in result.additions)
    if new:
        say_weights(job.weights, err=err)
    what = f"{new:,} new rows"
    if not job.only_new:
        what = f"{written['data']['rows']:,} original rows, then {new:,} new"
    what += f", made on {written['device']}" if new else ""
    about = "" if job.manifest_file is None else f"; manifest {job.manifest_file.name}"
    tell(f"wrote {job.output}: {what}{about}", err=err)


def _evaluated(
    job: Job, result: Augmented, manifest: dict[str, Any], bar: Progress
) -> Report | None:
    """Evaluate the new rows, if there are any, and write the pages."""
    from synthgen.augmentation.page import write_report
    from synthgen.metrics.evaluate import evaluate

    assert job.report is not None
    bar.part("evaluating the new rows", 0.95)
    make_folder(job.report)
    evaluation = None
    if any(a.rows for a in result.additions):
        evaluation = evaluate(
            result.real,
            result.synthetic,
            target=result.schema.target,
            schema=result.schema,
            synthesizer=type(result.synthesizer).__name__,
            device=job.training.device,
            random_state=result.seed,
            verbose=not is_quiet(),
        )
    bar.part("writing the page", 1.0)
    write_report(result, job.report, manifest, evaluation)
    return evaluation


def _table_of(result: Augmented, job: Job) -> pd.DataFrame:
    table = (result.synthetic if job.only_new else result.frame).copy(deep=False)
    shown = result.is_synthetic if job.only_new else slice(None)
    if job.mark is not None:
        table[job.mark] = result.is_synthetic[shown]
    if job.weights is not None:
        table[job.weights] = result.sample_weight[shown]
    return table
