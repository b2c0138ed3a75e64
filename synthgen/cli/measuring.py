"""Commands that measure: `schema`, `audit`, `evaluate` and `privacy`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from synthgen.cli.inputs import read_frame, read_schema, write_result
from synthgen.cli.options import (
    data_argument,
    device_option,
    input_file,
    json_option,
    model_argument,
    output_file,
)
from synthgen.cli.output import say_result
from synthgen.cli.paths import Command, Input
from synthgen.cli.terminal import (
    collect_notes,
    how_much_options,
    is_quiet,
    is_verbose,
    say,
    show_table,
    tell,
)
from synthgen.errors import DataError, GateError, UsageError
from synthgen.metrics.names import GATED
from synthgen.progress import Progress
from synthgen.report.gates import check_gates, gate, value_of

if TYPE_CHECKING:
    from collections.abc import Callable

_gate_option = click.option(
    "--gate",
    "gates",
    multiple=True,
    metavar="RULE",
    help="Exit with status 7 unless this condition holds; may be repeated.",
)
_schema_option = click.option(
    "--schema",
    "given",
    type=input_file,
    metavar="FILE",
    help="Schema file with the kinds of the columns; see synthgen schema.",
)
_seed_option = click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Same seed, same page."
)


@click.command(cls=Command)
@data_argument
@click.option("--target", metavar="COL", help="Column that holds the classes.")
@click.option(
    "--schema", "given", type=input_file, metavar="FILE", help="Schema to check against the table."
)
@click.option(
    "-o",
    "--output",
    type=output_file,
    metavar="FILE",
    help="Schema file to write, to edit and give to --schema.",
)
@json_option
def schema(
    data: Path, target: str | None, given: Path | None, output: Path | None, json_file: str | None
) -> None:
    """Show the inferred kind of each column of DATA, and the reason.

    \b
    Example:
      synthgen schema data.csv --target outcome
      synthgen schema data.csv --target outcome -o schema.json
    """
    with collect_notes():
        frame = read_frame(data)
        from synthgen.tables.calls import column_named
        from synthgen.tables.disk import write_json
        from synthgen.tables.schema import Schema, describe
        from synthgen.tables.table import Table

        decided = None if given is None else Schema.load(given)
        found = Table.of(frame, target=column_named(frame, target), schema=decided).schema
    rows = describe(found.columns)
    if json_file != "-":
        show_table(list(rows[0]), [list(row.values()) for row in rows])
        say(f"{data}: {len(frame):,} rows, {frame.shape[1]:,} columns")
    if output is not None:
        write_json(output, found.to_json())
        say(f"wrote {output}: edit it, then give it to --schema", err=json_file == "-")
    write_result(json_file, {"rows": len(frame), **found.to_json()})


@click.command(cls=Command)
@data_argument
@click.option("--target", metavar="COL", required=True, help="Column that holds the classes.")
@click.option("--label", metavar="CLASS", help="Class to look at.  [default: the rarest]")
@click.option(
    "--groups",
    metavar="COL",
    help="Rows with the same value in this column share a fold; the column is not a feature.",
)
@_schema_option
@click.option(
    "--against", type=input_file, metavar="OLD", help="JSON of an earlier audit, to find drift."
)
@_gate_option
@click.option("--html", type=output_file, metavar="FILE", help="Also write the result as a page.")
@how_much_options
@json_option
def audit(
    data: Path,
    target: str,
    label: str | None,
    groups: str | None,
    given: Path | None,
    against: Path | None,
    gates: tuple[str, ...],
    html: Path | None,
    json_file: str | None,
) -> None:
    """Check DATA before training: leaks, duplicates, missing cells, and a quick model.

    \b
    Example:
      synthgen audit data.csv --target outcome --html audit.html
      synthgen audit data.csv --target outcome --gate 'minority.rows>=50' --json audit.json
    """
    check_gates(gates)
    with collect_notes(later=True), Progress(not is_quiet()) as bar:
        bar.part(f"reading {data.name}", 0.1)
        frame = read_frame(data)
        bar.part("looking at the table", 0.95 if html else 1.0)
        from synthgen.auditing.audit import audit
        from synthgen.auditing.drift import compare_audits
        from synthgen.tables.calls import column_named

        old, drift = None if against is None else _read_json(against), None
        found = audit(
            frame,
            target=column_named(frame, target),
            schema=read_schema(given),
            label=label,
            groups=column_named(frame, groups),
            verbose=not is_quiet(),
        )
        report = found.to_json()
        if old is not None:
            drift = compare_audits(old, found)
            report["drift"] = drift.to_json()
        if html is not None:
            bar.part("writing the page", 1.0)
            found.to_html(html, source=str(data), drift=drift)
    aside = json_file == "-"
    report["recommendation"] = say_result(found, err=aside, DATA=data)
    for line in [] if drift is None or is_quiet() else drift.summary_lines():
        say(line, err=aside)
    if html is not None:
        tell(f"wrote {html}", err=aside)
    write_result(json_file, report)
    _check_gates(report, gates, data)


@click.command(cls=Command)
@click.option(
    "--train", type=input_file, metavar="FILE", required=True, help="Rows the synthesizer learned."
)
@click.option(
    "--synthetic",
    type=Input(beside=".manifest.json"),
    metavar="FILE",
    required=True,
    help="New rows to evaluate.",
)
@click.option(
    "--holdout",
    type=input_file,
    metavar="FILE",
    help="Real rows that the synthesizer has not seen.  [default: split off from --train]",
)
@click.option("--target", metavar="COL", required=True, help="Column that holds the classes.")
@click.option(
    "--label", metavar="CLASS", help="Class to look at.  [default: the rarest of the synthetic]"
)
@_schema_option
@click.option(
    "--judges",
    metavar="NAMES",
    multiple=True,
    default=("boosting,logistic",),
    show_default=True,
    help="Classifiers that measure utility: boosting, logistic, forest, mlp, xgboost; separated by "
    "commas, may be repeated.",
)
@click.option("--thorough", is_flag=True, help="Tune the judges, and train each three times.")
@click.option("--by", metavar="COL", help="Also give recall for each value of this column.")
@click.option("--html", type=output_file, metavar="FILE", help="Also write a page with figures.")
@_gate_option
@_seed_option
@device_option
@how_much_options
@json_option
def evaluate(
    train: Path,
    synthetic: Path,
    holdout: Path | None,
    target: str,
    label: str | None,
    given: Path | None,
    judges: tuple[str, ...],
    thorough: bool,
    by: str | None,
    html: Path | None,
    gates: tuple[str, ...],
    seed: int,
    device: str,
    json_file: str | None,
) -> None:
    """Evaluate synthetic rows of any origin: fidelity, utility, privacy.

    Every score stands beside the same score of as many real rows. The JSON has the fields of
    synthgen.Report.to_json; its limits, and the page, say how each part is assessed.

    \b
    Example:
      synthgen evaluate --train data.csv --synthetic new.csv --target outcome
      synthgen evaluate --train data.csv --synthetic new.csv --holdout test.csv \\
        --target outcome --html report.html --gate 'utility.replace.ap_ratio>=0.95'
    """
    check_gates(
        gates, GATED, "listed in docs/reference/gates.md, and on the page that --html writes"
    )
    aside = json_file == "-"
    with collect_notes(later=True) as warned:
        with Progress(not is_quiet()) as bar:
            bar.part("reading the tables", 0.05)
            real, made = read_frame(train), read_frame(synthetic)
            fresh = None if holdout is None else read_frame(holdout)
            bar.part("looking at the tables", 0.9 if html else 1.0)
            from synthgen.metrics.evaluate import evaluate
            from synthgen.tables.calls import column_named

            report = evaluate(
                real,
                made,
                holdout=fresh,
                target=column_named(real, target),
                label=label,
                schema=read_schema(given),
                judges=[name.strip() for some in judges for name in some.split(",")],
                thorough=thorough,
                by=column_named(real, by),
                synthesizer=_made_by(synthetic),
                device=device,
                random_state=seed,
                verbose=not is_quiet(),
            )
            if html is not None:
                bar.part("writing the page", 1.0)
                report.to_html(html)
        content = report.to_json() | {"warnings": warned}
        files = {"TRAIN": train, "SYNTHETIC": synthetic}
        content["recommendation"] = say_result(report, err=aside, **files)
        if is_verbose():
            show_table(*report.all_figures(), err=aside)
    if html is not None:
        tell(f"wrote {html}", err=aside)
    write_result(json_file, content)
    _check_gates(content, gates, synthetic, report.unknown)


@click.command(cls=Command)
@model_argument
@click.option(
    "--train", type=input_file, metavar="FILE", required=True, help="Rows that MODEL learned from."
)
@click.option(
    "--holdout", type=input_file, metavar="FILE", required=True, help="Real rows it has not seen."
)
@click.option(
    "--target", metavar="COL", help="Column that holds the classes.  [default: that of MODEL]"
)
@click.option("--label", metavar="CLASS", help="Class to look at.  [default: the rarest in MODEL]")
@_schema_option
@click.option(
    "--time-budget",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    default=600.0,
    show_default=True,
    help="Time limit for training shadow models; at least four are trained.",
)
@click.option("--html", type=output_file, metavar="FILE", help="Also write the result as a page.")
@_gate_option
@_seed_option
@device_option
@how_much_options
@json_option
def privacy(
    model: Path,
    train: Path,
    holdout: Path,
    target: str | None,
    label: str | None,
    given: Path | None,
    time_budget: float,
    html: Path | None,
    gates: tuple[str, ...],
    seed: int,
    device: str,
    json_file: str | None,
) -> None:
    """Attack a MODEL file and its rows, to see whether they can be shared.

    This is a test, not a proof of privacy. It shows how many training rows the strongest known
    attacks find, beside how many the same attacks find if nothing leaks.

    \b
    Example:
      synthgen privacy rare.synthgen --train data.csv --holdout test.csv
      synthgen privacy rare.synthgen --train data.csv --holdout test.csv \\
        --html privacy.html --gate 'worst.rows.tpr_10<=0.15'
    """
    check_gates(gates)
    aside = json_file == "-"
    with collect_notes(later=True) as warned:
        with Progress(not is_quiet()) as bar:
            bar.part("reading the tables", 0.05)
            real, fresh = read_frame(train), read_frame(holdout)
            bar.part("looking at the model and the tables", 1.0)
            from synthgen.exposure.release import privacy
            from synthgen.synthesizers.lookup import load
            from synthgen.tables.calls import column_named

            found = privacy(
                model,
                real,
                fresh,
                target=load(model).schema_.target if target is None else column_named(real, target),
                label=label,
                schema=read_schema(given),
                time_budget=time_budget,
                device=device,
                random_state=seed,
                verbose=not is_quiet(),
            )
        content = found.to_json() | {"warnings": warned}
        content["recommendation"] = say_result(found, err=aside, TRAIN=train)
    if html is not None:
        found.to_html(html)
        tell(f"wrote {html}", err=aside)
    write_result(json_file, content)
    _check_gates(content, gates, model)


def _check_gates(
    report: dict[str, Any],
    gates: tuple[str, ...],
    path: Path,
    unknown: Callable[[str], str] | None = None,
) -> None:
    """Raise if a gate does not hold; called last, after all results are written."""
    failed = [f"{g} (it is {value_of(report, g, unknown)})" for g in gates if not gate(report, g)]
    if failed:
        raise GateError(701, f"{path} does not pass {', '.join(failed)}")


def _made_by(synthetic: Path) -> str:
    """The synthesizer according to the manifest beside a table; "" if it has none."""
    from synthgen.tables.disk import read_json

    try:
        found = read_json(f"{synthetic}.manifest.json")
    except DataError:
        return ""
    name = found.get("synthesizer") if isinstance(found, dict) else None
    name = name.get("name") if isinstance(name, dict) else name  # of a stream it is a text
    return name if isinstance(name, str) else ""


def _read_json(path: Path) -> dict[str, Any]:
    from synthgen.tables.disk import read_json

    try:
        return read_json(path)
    except DataError as error:
        raise UsageError(279, f"cannot read the JSON of an audit: {error.message}") from error
