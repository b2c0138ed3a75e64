"""The `synthgen` command, a thin skin over the API: open, call, print."""

from __future__ import annotations

import json
import time
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from synthgen.errors import DataError, GateError, ModelFileError, UsageError
from synthgen.gates import check_gates, gate, value_of
from synthgen.metrics.names import GATED
from synthgen.options import (
    Training,
    build,
    check_ending,
    check_folder,
    check_places,
    compare_options,
    data_argument,
    device_option,
    json_option,
    make_folder,
    model_argument,
    no_defuse_option,
    path_type,
    read_ratio,
    read_sweep,
    read_where,
    refuse_training,
    resumable,
    rule_option,
    seed_option,
    table_output,
    training_options,
)
from synthgen.results import say_additions, say_comparison, say_defused, say_refused, say_sweep
from synthgen.terminal import Main, collect_notes, say, show_table

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from synthgen.augmentation import Augmented
    from synthgen.table import Schema

DEMO_TABLE, DEMO_TARGET = "hypothyroid", "target"


def _write_json(path: str | None, content: dict[str, Any]) -> None:
    if path is not None:
        from synthgen.files import write_json

        write_json(path, content)


# --- commands ---------------------------------------------------------------------------------


@click.group(
    cls=Main,
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--debug", is_flag=True, help="Show where an error comes from.")
@click.option("--version", is_flag=True, help="Show the version.")
@click.pass_context
def main(context: click.Context, debug: bool, version: bool) -> None:
    """New rows for the rare class of a table.

    \b
    Example:
      synthgen demo
      synthgen augment data.csv --target outcome -o augmented.csv
    """
    if version:
        from synthgen import __version__

        say(f"synthgen {__version__}")
        context.exit()
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@main.command()
@click.option(
    "--out",
    type=path_type,
    metavar="DIR",
    default="synthgen-demo",
    show_default=True,
    help="Folder for the results.",
)
@click.option(
    "--synthesizer",
    metavar="NAME",
    default="auto",
    show_default=True,
    help="auto, ctgan, tvae, tabflow or bootstrap.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Same seed, same rows."
)
@json_option
def demo(out: Path, synthesizer: str, seed: int, json_file: str | None) -> None:
    """Run the main job on a table that is part of synthgen.

    The table is UCI thyroid disease: 3,163 patients, 151 of them with hypothyroidism. The class is
    brought to 0.3 of the other one, so that there are rows to look at; augment itself makes as many
    as validation finds worth having, which may be none.

    \b
    Example:
      synthgen demo
      synthgen demo --synthesizer bootstrap --out /tmp/demo
    """
    import gzip
    from importlib.resources import files

    from synthgen.files import write_text

    make_folder(out)
    source = files("synthgen") / "data"
    data, output = out / f"{DEMO_TABLE}.csv", out / f"{DEMO_TABLE}-augmented.csv"
    write_text(data, gzip.decompress((source / f"{DEMO_TABLE}.csv.gz").read_bytes()).decode())
    write_text(out / "ATTRIBUTION.md", (source / "ATTRIBUTION.md").read_text(encoding="utf-8"))
    training = Training(DEMO_TARGET, None, synthesizer, {}, None, "auto", seed)
    # The page wants rows to show, whether they are worth having or not.
    _augment_file(
        data,
        training,
        output,
        ratio=0.3,
        report=out / "report",
        mark="is_synthetic",
        json_file=json_file,
    )
    for line in (
        f"the table:  {data}",
        f"with new rows:  {output}",
        f"what was done:  {output}.manifest.json",
        f"how it looks:  {out / 'report' / 'report.html'} (open it in a browser)",
        "next:",
        "  synthgen schema YOUR.csv --target COLUMN           see what the columns are taken for",
        "  synthgen augment YOUR.csv --target COLUMN -o OUT   do the same with your table",
        f"  synthgen fit {data} --target {DEMO_TARGET} -o model.synthgen   keep a model, then",
        "  synthgen sample model.synthgen -n 100 -o rows.csv",
    ):
        say(line, err=json_file == "-")


@main.command()
@data_argument
@click.option("--target", metavar="COL", help="Column that holds the classes.")
@click.option(
    "--schema", "given", type=path_type, metavar="FILE", help="Schema to check against the table."
)
@click.option(
    "-o",
    "--output",
    type=path_type,
    metavar="FILE",
    help="Schema file to write, to edit and give to --schema.",
)
@json_option
def schema(
    data: Path, target: str | None, given: Path | None, output: Path | None, json_file: str | None
) -> None:
    """Show what each column of DATA is taken for, and why.

    \b
    Example:
      synthgen schema data.csv --target outcome
      synthgen schema data.csv --target outcome -o schema.json
    """
    check_places([data], [output, json_file])
    with collect_notes():
        frame = _read(data)
        from synthgen.files import write_json
        from synthgen.table import Schema, describe

        decided = None if given is None else Schema.load(given)
        found = Schema.infer(frame, target=_column(frame, target), given=decided)
    rows = describe(found.columns)
    if json_file != "-":
        show_table(list(rows[0]), [list(row.values()) for row in rows])
        say(f"{data}: {len(frame):,} rows, {frame.shape[1]:,} columns")
    if output is not None:
        write_json(output, found.to_json())
        say(f"wrote {output}: edit it, then give it to --schema", err=json_file == "-")
    _write_json(json_file, {"rows": len(frame), **found.to_json()})


@main.command()
@data_argument
@click.option("--target", metavar="COL", required=True, help="Column that holds the classes.")
@click.option("--label", metavar="CLASS", help="Class to look at.  [default: the rarest]")
@click.option(
    "--groups", metavar="COL", help="Rows with the same value here share a fold; it is no feature."
)
@click.option("--schema", "given", type=path_type, metavar="FILE", help="What the columns are.")
@click.option(
    "--against", type=path_type, metavar="OLD", help="JSON of an earlier audit, to find drift."
)
@click.option(
    "--gate", "gates", multiple=True, metavar="RULE", help="Exit 7 unless it holds; repeatable."
)
@click.option("--html", type=path_type, metavar="FILE", help="Also write the result as a page.")
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
    """Look at DATA before anything is trained on it: what it can tell, and what is broken.

    \b
    Example:
      synthgen audit data.csv --target outcome --html audit.html
      synthgen audit data.csv --target outcome --gate 'minority.rows>=50' --json audit.json
    """
    check_places([data, given, against], [html, json_file])
    check_gates(gates)
    with collect_notes():
        frame = _read(data)
        from synthgen.auditing import audit
        from synthgen.drift import compare_audits

        old, drift = None if against is None else _read_json(against), None
        X, y, grouped = _features(frame, target, groups)
        found = audit(X, y, schema=_schema(given), label=label, groups=grouped)
        report, lines = found.to_json(), found.summary_lines()
        if old is not None:
            drift = compare_audits(old, found)
            report["drift"] = drift.to_json()
            lines += drift.summary_lines()
    if json_file != "-":
        for line in lines:
            say(line)
    if html is not None:
        from synthgen.report.audit_page import write_audit_page

        write_audit_page(found, html, source=str(data), drift=drift)
        say(f"wrote {html}", err=json_file == "-")
    _write_json(json_file, report)
    _check_gates(report, gates, data)


@main.command()
@data_argument
@click.option(
    "-o", "--output", type=path_type, metavar="MODEL", required=True, help="Model file to write."
)
@training_options
@json_option
def fit(data: Path, training: Training, output: Path, json_file: str | None) -> None:
    """Train on DATA and keep the model in one file, which holds no training row.

    \b
    Example:
      synthgen fit data.csv --target outcome -o model.synthgen
      synthgen fit data.csv --target outcome --label yes --synthesizer tvae -o model.synthgen
    """
    check_places([data, training.schema, training.resume], [output, json_file])
    aside = json_file == "-"
    with collect_notes() as notes, resumable(training):
        synthesizer, decided = build(training), _schema(training.schema)
        frame = _read(data)
        from synthgen.augmentation import choose_labels, device_of, training_of
        from synthgen.table import Table

        target = _column(frame, training.target)
        table = Table.of(frame, target=target, schema=decided)
        labels = choose_labels(table, training.labels)
        synthesizer.check_savable({label: table.counts[label] for label in labels})
        seed = _seed(training.seed, aside, training.resume)
        synthesizer.set_params(classes=labels, random_state=seed, schema=decided)
        synthesizer.fit(frame.drop(columns=[target]), frame[target])
        coarsened = synthesizer.save(output)
    for line in coarsened:
        say(f"coarsened in the file: {line}", err=aside)
    what = f"{type(synthesizer).__name__} of {', '.join(map(str, labels))}"
    say(f"wrote {output}: {what}, trained on {device_of(synthesizer)}", err=aside)
    say(f"next: synthgen sample {output} -n 100 -o rows.csv", err=aside)
    _write_json(
        json_file,
        {
            "model": output,
            "synthesizer": type(synthesizer).__name__,
            "labels": labels,
            "seed": seed,
            "device": device_of(synthesizer),
            "training": training_of(synthesizer),
            "coarsened": coarsened,
            "warnings": notes,
        },
    )


@main.command()
@model_argument
@click.option(
    "-n", "--rows", type=click.IntRange(min=1), metavar="ROWS", required=True, help="Rows to make."
)
@click.option(
    "--label", metavar="CLASS", help="Class to make.  [default: classes as frequent as in training]"
)
@click.option(
    "--where",
    "wishes",
    multiple=True,
    metavar="COL=VALUE",
    help="Level that a column has in every row (tabflow); repeatable.",
)
@table_output
@rule_option
@seed_option
@device_option
@no_defuse_option
@json_option
def sample(
    model: Path,
    rows: int,
    label: str | None,
    wishes: tuple[str, ...],
    output: Path,
    rules: tuple[str, ...],
    seed: int | None,
    device: str,
    no_defuse: bool,
    json_file: str | None,
) -> None:
    """Make rows with a MODEL that synthgen fit wrote.

    \b
    Example:
      synthgen sample model.synthgen -n 100 -o rows.csv
      synthgen sample model.synthgen -n 100 --label yes --seed 0 -o rows.parquet
      synthgen sample model.synthgen -n 100 --where region=north -o north.csv
    """
    check_ending(output)
    check_places([model], [output, json_file])
    aside = json_file == "-"
    with collect_notes() as notes:
        from synthgen.files import write_table
        from synthgen.guard import guarded_sample
        from synthgen.synthesizers.base import load

        synthesizer = load(model, device=device)
        seed = _seed(seed, aside)
        guarded = guarded_sample(
            synthesizer,
            rows,
            label=label,
            table=None,
            rules=rules,
            random_state=seed,
            where=read_where(wishes, synthesizer.schema_),
        )
        frame = guarded.frame
        defused = write_table(frame, output, defuse=not no_defuse)
    target = synthesizer.schema_.target
    counts = {str(c): int(n) for c, n in frame[target].value_counts().items() if n}
    say_defused(defused)
    named = ", ".join(f"{n:,} of {c}" for c, n in counts.items())
    say(f"wrote {output}: {rows:,} rows, {named}", err=aside)
    result = {"model": model, "output": output, "rows": rows, "counts": counts}
    result |= {"guard": guarded.summary(), "seed": seed, "defused": defused, "warnings": notes}
    say_refused({None: guarded.summary()}, err=aside)
    _write_json(json_file, result)


@main.command()
@data_argument
@table_output
@training_options
@click.option(
    "--ratio",
    metavar="X|auto|double",
    callback=read_ratio,
    help="Wanted rows of the class, real and new, over those of the largest class.  "
    "[default: auto, chosen by validation, none included]",
)
@click.option(
    "-n",
    "--rows",
    type=click.IntRange(min=1),
    metavar="ROWS",
    help="New rows of each class, in place of a ratio.",
)
@click.option("--only-new", is_flag=True, help="Write the new rows only.")
@click.option("--mark", metavar="COL", help="Add a column that is true for new rows.")
@click.option(
    "--model",
    type=path_type,
    metavar="MODEL",
    help="Use a model of synthgen fit; nothing is trained.",
)
@click.option("--report", type=path_type, metavar="DIR", help="Folder for a page with figures.")
@rule_option
@no_defuse_option
@json_option
def augment(
    data: Path,
    training: Training,
    output: Path,
    ratio: float | str | None,
    rows: int | None,
    only_new: bool,
    mark: str | None,
    model: Path | None,
    report: Path | None,
    rules: tuple[str, ...],
    no_defuse: bool,
    json_file: str | None,
) -> None:
    """Write DATA with new rows of its rarest class below its own.

    A manifest, OUT.manifest.json, says how they were made, and with which seed.

    \b
    Example:
      synthgen augment data.csv --target outcome -o augmented.csv
      synthgen augment data.csv --target outcome --label yes -n 500 --seed 0 -o augmented.parquet
      synthgen augment data.csv --target outcome --synthesizer tvae --set steps=500 -o augmented.csv
    """
    context = click.get_current_context()
    if ratio is not None and rows is not None:  # of two amounts that of the command line wins
        if context.get_parameter_source("ratio") is ParameterSource.DEFAULT_MAP:
            ratio = None
        elif context.get_parameter_source("rows") is ParameterSource.DEFAULT_MAP:
            rows = None
        else:
            raise UsageError(275, f"--ratio {ratio} and -n {rows} were both given: drop one")
    _augment_file(
        data,
        training,
        output,
        ratio=ratio,
        rows=rows,
        only_new=only_new,
        mark=mark,
        model=model,
        report=report,
        rules=rules,
        defuse=not no_defuse,
        json_file=json_file,
    )


@main.command()
@click.option(
    "--train", type=path_type, metavar="FILE", required=True, help="Rows that were learned from."
)
@click.option(
    "--synthetic", type=path_type, metavar="FILE", required=True, help="Rows to judge: new ones."
)
@click.option(
    "--holdout",
    type=path_type,
    metavar="FILE",
    help="Real rows that were not learned from.  [default: split off from --train]",
)
@click.option("--target", metavar="COL", required=True, help="Column that holds the classes.")
@click.option(
    "--label", metavar="CLASS", help="Class to look at.  [default: the rarest of the synthetic]"
)
@click.option("--schema", "given", type=path_type, metavar="FILE", help="What the columns are.")
@click.option(
    "--judges",
    metavar="NAMES",
    multiple=True,
    default=("boosting,logistic",),
    show_default=True,
    help="Of boosting, logistic, forest, mlp and xgboost, with commas; repeatable.",
)
@click.option("--thorough", is_flag=True, help="Tune the judges, and train each three times.")
@click.option("--by", metavar="COL", help="Recall for each value of this column.")
@click.option("--html", type=path_type, metavar="FILE", help="Also write a page with figures.")
@click.option(
    "--gate", "gates", multiple=True, metavar="RULE", help="Exit 7 unless it holds; repeatable."
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Same seed, same page."
)
@device_option
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
    """Measure synthetic rows, from anywhere, beside real ones: fidelity, utility, privacy.

    Each number has a reference: the same for as many real rows. The fields of the JSON are those of
    synthgen.Report.to_json; how each part is judged stands there as limits, and on the page.

    \b
    Example:
      synthgen evaluate --train data.csv --synthetic new.csv --target outcome
      synthgen evaluate --train data.csv --synthetic new.csv --holdout test.csv \\
        --target outcome --html report.html --gate 'utility.replace.ap_ratio>=0.95'
    """
    check_places([train, synthetic, holdout, given], [html, json_file])
    check_gates(gates, GATED, "listed in the README, and on the page that --html writes")
    aside = json_file == "-"
    with collect_notes(later=True) as warned:
        real, made = _read(train), _read(synthetic)
        fresh = None if holdout is None else _read(holdout)
        from synthgen.evaluating import evaluate

        report = evaluate(
            real,
            made,
            holdout=fresh,
            target=_column(real, target),
            label=label,
            schema=_schema(given),
            judges=[name.strip() for some in judges for name in some.split(",")],
            thorough=thorough,
            by=None if by is None else _column(real, by),
            device=device,
            random_state=seed,
            verbose=True,
        )
        content = report.to_json() | {"warnings": warned}
        if not aside:
            from synthgen.report.measures import key_scores

            for line in [report.headline, *report.verdict_lines()]:
                say(line)
            names = ["score", "of", "value", "95 %", "real rows", "floor"]
            show_table(["key figure", *names[1:]], report.table_rows(key_scores(report)))
            show_table(names, report.table_rows())
            for line in report.note_lines():
                say(line)
    if html is not None:
        from synthgen.report.evaluation_page import write_evaluation

        write_evaluation(report, html)
        say(f"wrote {html}", err=aside)
    _write_json(json_file, content)
    _check_gates(content, gates, synthetic, report.unknown)


@main.command()
@data_argument
@click.option("--target", metavar="COL", required=True, help="Column that holds the classes.")
@click.option("--label", metavar="CLASS", help="Class that matters.  [default: the rarest]")
@compare_options
@click.option("--by", metavar="COL", help="Also tell the metric for each value of this column.")
@click.option(
    "--sweep",
    "at",
    metavar="LIST",
    callback=read_sweep,
    help="Compare at each of these rates of the class, or rows of it: 0.001,0.01,0.1.",
)
@click.option("--resume", type=path_type, metavar="FILE", help="Keep what is finished, or go on.")
@click.option("--html", type=path_type, metavar="FILE", help="Also write the result as a page.")
@json_option
def compare(
    data: Path,
    target: str,
    label: str | None,
    by: str | None,
    at: list[float] | None,
    groups: str | None,
    html: Path | None,
    json_file: str | None,
    **how: Any,
) -> None:
    """Try every remedy for the rare class of DATA, and say which is worth having.

    \b
    Example:
      synthgen compare data.csv --target outcome
      synthgen compare data.csv --target outcome --cost fn=500 --cost fp=2 --time-budget 600
      synthgen compare data.csv --target outcome --strategies all --seed 0 --json comparison.json
      synthgen compare data.csv --target outcome --sweep 0.001,0.01,0.1 --html sweep.html
    """
    check_places([data, how["given"]], [html, json_file, how["resume"]])
    if at is not None and by is not None:
        raise UsageError(245, "--by and --sweep cannot go together: leave one out")
    aside = json_file == "-"
    with collect_notes() as notes:
        frame = _read(data)
        from synthgen.comparison import Comparison, compare

        how["random_state"] = _seed(how.pop("seed"), aside)
        how["schema"] = _schema(how.pop("given"))
        X, y, grouped = _features(frame, target, groups)
        how |= {"label": label, "groups": grouped, "verbose": True}
        if at is not None:
            from synthgen.sweeping import sweep

            found = sweep(X, y, at, **how)
        else:
            found = compare(X, y, by=None if by is None else _column(X, by), **how)
    if isinstance(found, Comparison):
        say_comparison(found, err=aside)
    else:
        say_sweep(found, err=aside)
    if html is not None:
        from synthgen.files import write_text
        from synthgen.report.comparison_page import render_comparison
        from synthgen.report.sweep_page import render_sweep

        is_one = isinstance(found, Comparison)
        write_text(html, render_comparison(found) if is_one else render_sweep(found))
        say(f"wrote {html}", err=aside)
    _write_json(json_file, {"data": data, **found.to_json(), "warnings": notes})


@main.command()
@data_argument
@click.option("--target", metavar="COL", required=True, help="Column that holds the classes.")
@click.option("--label", metavar="CLASS", help="Class that matters.  [default: the rarest]")
@click.option(
    "-o", "--output", type=path_type, metavar="MODEL", required=True, help="Model file to write."
)
@compare_options
@json_option
def auto(
    data: Path,
    target: str,
    label: str | None,
    output: Path,
    groups: str | None,
    json_file: str | None,
    **how: Any,
) -> None:
    """Compare every remedy on DATA, keep the best one, and write it as a classifier.

    Doing nothing is a remedy too, and is kept where none is worth having.

    \b
    Example:
      synthgen auto data.csv --target outcome -o model.skops
      synthgen auto data.csv --target outcome --cost fn=500 --cost fp=2 -o model.skops
    """
    check_places([data, how["given"]], [output, json_file])
    aside = json_file == "-"
    with collect_notes() as notes:
        frame = _read(data)
        from synthgen.classifier import ImbalancedClassifier

        how["random_state"] = seed = _seed(how.pop("seed"), aside)
        how["schema"] = _schema(how.pop("given"))
        model = ImbalancedClassifier(label=label, verbose=True, **how)
        X, y, grouped = _features(frame, target, groups)
        model.fit(X, y, grouped)
        model.save(output)
    if model.comparison_ is not None:
        say_comparison(model.comparison_, err=aside)
    say(f"kept {model.strategy_}: {model.explanation_}", err=aside)
    say(
        f"wrote {output}: {model.label_!r} from a probability of {model.threshold_:.3g} on; "
        f"next: synthgen predict {output} NEW -o OUT",
        err=aside,
    )
    kept = {
        "model": output,
        "strategy": model.strategy_,
        "label": str(model.label_),
        "threshold": model.threshold_,
        "explanation": model.explanation_,
        "seed": seed,
    }
    found = None if model.comparison_ is None else model.comparison_.to_json()
    _write_json(json_file, kept | {"comparison": found, "warnings": notes})


@main.command()
@model_argument
@data_argument
@table_output
@no_defuse_option
@json_option
def predict(model: Path, data: Path, output: Path, no_defuse: bool, json_file: str | None) -> None:
    """Write DATA with what a MODEL of synthgen auto predicts, in two columns more.

    They are called predicted (the class) and probability (of the class that matters).

    \b
    Example:
      synthgen predict model.skops new.csv -o predicted.csv
    """
    check_ending(output)
    check_places([model, data], [output, json_file])
    aside = json_file == "-"
    with collect_notes() as notes:
        from synthgen.classifier import ImbalancedClassifier
        from synthgen.files import write_table

        loaded = ImbalancedClassifier.load(model)
        frame = _read(data)
        for name in ("predicted", "probability"):
            if name in map(str, frame.columns):
                raise UsageError(287, f"{data} has a column {name!r} already: rename it")
        missing = [c for c in loaded.feature_names_in_ if c not in frame.columns]
        if missing:
            raise DataError(371, f"{data}: column {missing[0]!r} is missing: the model needs it")
        X = frame[list(loaded.feature_names_in_)]
        place = list(loaded.classes_).index(loaded.label_)
        predicted = loaded.predict(X)
        out = frame.assign(
            predicted=predicted, probability=loaded.predict_proba(X)[:, place].round(6)
        )
        defused = write_table(out, output, defuse=not no_defuse)
    say_defused(defused)
    rare = int((predicted == loaded.label_).sum())
    say(f"wrote {output}: {len(out):,} rows, {rare:,} predicted {loaded.label_}", err=aside)
    result = {"model": model, "output": output, "rows": len(out), "predicted": rare}
    _write_json(
        json_file, result | {"label": str(loaded.label_), "defused": defused, "warnings": notes}
    )


@main.command()
@model_argument
@json_option
def show(model: Path, json_file: str | None) -> None:
    """Show everything that a MODEL file holds.

    With --json: also every quantile and level that was learned from the rows.

    \b
    Example:
      synthgen show model.synthgen
      synthgen show model.synthgen --json -
    """
    from synthgen.model_file import read_model
    from synthgen.table import Column, describe

    header, tensors = read_model(model)
    learned = {k for k in tensors if k.split("/")[1:2] == ["encoder"]}
    arrays = [
        {"name": k, "dtype": str(v.dtype), "shape": list(v.shape), "bytes": v.nbytes}
        | ({"values": v} if k in learned else {})
        for k, v in sorted(tensors.items())
    ]
    if json_file != "-":
        try:
            target = Column.from_json(header["target"])
            say(f"{header['class']}, target {target.name!r}")
            show_table(["parameter", "value"], [[k, v] for k, v in header["params"].items()])
            made = {
                entry["position"]: header["scope"][i] for i, entry in enumerate(header["models"])
            }
            counted = enumerate(zip(target.categories, header["counts"], strict=True))
            show_table(
                ["class", "rows in training", "scope"],
                [[c, n, made.get(i, "")] for i, (c, n) in counted],
            )
            for entry in header["models"]:
                say(f"columns as stored for {target.categories[entry['position']]!r}")
                columns = [Column.from_json(c["column"]) for c in entry["encoder"]["columns"]]
                rows = describe(columns)
                show_table(list(rows[0]), [list(row.values()) for row in rows])
            for line in header["coarsened"]:
                say(f"coarsened: {line}")
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ModelFileError(
                419, f"{model}: its header is not synthgen's: {error!r}"
            ) from error
        show_table(
            ["array", "type", "shape", "bytes"],
            [[a["name"], a["dtype"], a["shape"], a["bytes"]] for a in arrays],
        )
        say(
            f"{len(arrays)} arrays, {sum(a['bytes'] for a in arrays):,} bytes; "
            f"--json shows the values learned from the rows"
        )
    _write_json(json_file, {"header": header, "arrays": arrays})


# --- the main job, with files -----------------------------------------------------------------


def _augment_file(
    data: Path,
    training: Training,
    output: Path,
    *,
    ratio: float | str | None = None,
    rows: int | None = None,
    only_new: bool = False,
    mark: str | None = None,
    model: Path | None = None,
    report: Path | None = None,
    rules: tuple[str, ...] = (),
    defuse: bool = True,
    json_file: str | None = None,
) -> None:
    from synthgen.augmentation import augment, device_of
    from synthgen.files import sha256_of, write_json, write_table
    from synthgen.synthesizers.base import load

    started = time.perf_counter()
    manifest_file = output.with_name(f"{output.name}.manifest.json")
    check_ending(output)
    check_places(
        [data, training.schema, model, training.resume], [output, manifest_file, json_file]
    )
    if report is not None:
        check_folder(report)
    if model is not None:
        refuse_training(training)
    with collect_notes() as notes, resumable(training):
        fitted = None if model is None else load(model, device=training.device)
        synthesizer, decided = fitted or build(training), _schema(training.schema)
        frame = _read(data)
        digest = sha256_of(data)
        read = time.perf_counter()
        if mark is not None and not (mark.strip() and mark.isprintable()):
            raise UsageError(287, f"--mark {mark!r}: give a name that can be read")
        if mark is not None and mark in map(str, frame.columns):
            raise UsageError(
                287, f"--mark {mark}: the table has such a column: choose another name"
            )
        aside = json_file == "-"
        seed = _seed(training.seed, aside, training.resume)
        result = augment(
            frame,
            _column(frame, training.target),
            labels=training.labels,
            synthesizer=synthesizer,
            model=fitted,
            ratio=ratio,
            n_samples=rows,
            schema=decided,
            rules=rules,
            random_state=seed,
        )
        made = time.perf_counter()
        table = _table_of(result, only_new=only_new, mark=mark)
        defused = write_table(table, output, defuse=defuse)
        written = time.perf_counter()
    say_defused(defused)
    for name, what in result.not_learned.items():
        say(f"note: column {name!r} is not learned; in new rows it holds: {what}", err=True)
    seconds = {"read": read - started, **result.seconds, "write": written - made}
    options = {
        **asdict(training),
        "ratio": ratio,
        "rows": rows,
        "only_new": only_new,
        "mark": mark,
        "rules": list(rules),
        "model": model,
        "report": report,
        "defuse": defuse,
    }
    manifest = {
        "synthgen": _versions(),
        "data": {
            "path": data,
            "sha256": digest,
            "rows": len(frame),
            "columns": frame.shape[1],
        },
        "output": {
            "path": output,
            "sha256": sha256_of(output),
            "rows": len(table),
            "defused": defused,
        },
        "model": None if model is None else {"path": model, "sha256": sha256_of(model)},
        "options": {k: v for k, v in options.items() if v not in (None, {}, []) and v is not False},
        **result.summary(),
        "seconds": {k: round(v, 3) for k, v in seconds.items()},
        "warnings": notes,
    }
    write_json(manifest_file, manifest)
    new = sum(a.rows for a in result.additions)
    say_additions(result, err=aside)
    what = (
        f"{new:,} new rows" if only_new else f"{len(frame):,} rows as they were, then {new:,} new"
    )
    what += f", made on {device_of(result.synthesizer)}" if new else ""
    say(f"wrote {output}: {what}; manifest {manifest_file.name}", err=aside)
    if report is not None and new:
        _judge(result, report, manifest, training.device, err=aside)
    elif report is not None:
        say("no page: there is no new row to show", err=aside)
    _write_json(json_file, manifest)


def _judge(
    result: Augmented, report: Path, manifest: dict[str, Any], device: str, *, err: bool
) -> None:
    """Measure the new rows beside the real ones, and write the pages."""
    from synthgen.evaluating import evaluate
    from synthgen.report.page import write_report

    with collect_notes():
        evaluation = evaluate(
            result.real,
            result.synthetic,
            target=result.schema.target,
            schema=result.schema,
            device=device,
            random_state=result.seed,
            verbose=True,
        )
    make_folder(report)
    write_report(result, report, manifest, evaluation)
    for line in [evaluation.headline, *evaluation.verdict_lines()]:
        say(line, err=err)
    say(f"wrote {report / 'report.html'}", err=err)


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


def _table_of(result: Augmented, *, only_new: bool, mark: str | None) -> pd.DataFrame:
    table = result.synthetic if only_new else result.frame
    if mark is None:
        return table
    table = table.copy(deep=False)
    table[mark] = result.is_synthetic[result.is_synthetic] if only_new else result.is_synthetic
    return table


def _versions() -> dict[str, str]:
    import platform

    import numpy as np
    import pandas as pd
    import torch

    from synthgen import __version__

    return {
        "version": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "pandas": pd.__version__,
        "torch": torch.__version__,
    }


# --- what goes in -----------------------------------------------------------------------------


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    from synthgen.files import read_table

    frame = read_table(path)
    if not isinstance(frame.index, pd.RangeIndex) or frame.index.name is not None:
        names = ", ".join(repr(name) for name in frame.index.names)
        warnings.warn(f"the index of {path} ({names}) is no column and is left out", stacklevel=2)
    return frame


def _check_gates(
    report: dict[str, Any],
    gates: tuple[str, ...],
    path: Path,
    unknown: Callable[[str], str] | None = None,
) -> None:
    """Raise if one does not hold: after all else is written, so that it can be looked at."""
    failed = [f"{g} (it is {value_of(report, g, unknown)})" for g in gates if not gate(report, g)]
    if failed:
        raise GateError(701, f"{path} does not pass {', '.join(failed)}")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(279, f"{path}: cannot read the JSON of an audit: {error}") from error


def _column(frame: pd.DataFrame, name: str | None) -> Any:
    """The column of that name, or the only one that reads so."""
    same = [c for c in frame.columns if str(c) == name]
    return same[0] if len(same) == 1 else name


def _split(frame: pd.DataFrame, target: str) -> tuple[pd.DataFrame, pd.Series]:
    """The features and the target."""
    from synthgen.inference import check_frame

    name = _column(frame, target)
    check_frame(frame, name)
    return frame.drop(columns=[name]), frame[name]


def _schema(path: Path | None) -> Schema | None:
    if path is None:
        return None
    from synthgen.table import Schema

    return Schema.load(path)


def _seed(seed: int | None, err: bool, resume: Path | None = None) -> int:
    if seed is None and resume is not None:
        from synthgen.checkpoint import drawn_seed

        seed = drawn_seed(resume)
    if seed is not None:
        return seed
    import secrets

    seed = secrets.randbits(32)
    say(f"seed {seed} (drawn; the same rows again: --seed {seed})", err=err)
    return seed
