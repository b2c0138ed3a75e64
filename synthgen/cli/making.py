"""Commands that make rows: the main job on a table, and its demonstration."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from synthgen.cli.inputs import _column, _read, _schema, _write_json, drawn_seed
from synthgen.cli.options import (
    Training,
    build,
    data_argument,
    json_option,
    no_defuse_option,
    path_type,
    read_ratio,
    refuse_training,
    resumable,
    rule_option,
    table_output,
    training_options,
)
from synthgen.cli.output import say_additions, say_defused
from synthgen.cli.paths import check_ending, check_folder, check_places, make_folder
from synthgen.cli.terminal import collect_notes, say
from synthgen.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from synthgen.augmentation.augment import Augmented

DEMO_TABLE, DEMO_TARGET = "hypothyroid", "target"


@click.command()
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

    from synthgen.tables.disk import write_text

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


@click.command()
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
    from synthgen.augmentation.augment import augment, device_of
    from synthgen.synthesizers.lookup import load
    from synthgen.tables.disk import json_text, sha256_of, write_together
    from synthgen.tables.write import write_into

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
    aside = json_file == "-"
    drawn = drawn_seed(training.seed, err=aside, resume=training.resume)
    with collect_notes() as notes, resumable(training), drawn as seed:
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
        with write_together(output, manifest_file) as (table_file, about):
            defused = write_into(table_file, table, output, defuse=defuse)
            table_file.flush()
            written = time.perf_counter()
            seconds = {"read": read - started, **result.seconds, "write": written - made}
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
                    "sha256": sha256_of(table_file.name),
                    "rows": len(table),
                    "defused": defused,
                },
                "model": None if model is None else {"path": model, "sha256": sha256_of(model)},
                "options": {
                    k: v for k, v in options.items() if v not in (None, {}, []) and v is not False
                },
                **result.summary(),
                "seconds": {k: round(v, 3) for k, v in seconds.items()},
                "warnings": notes,
            }
            about.write((json_text(manifest) + "\n").encode())
    say_defused(defused)
    for name, what in result.not_learned.items():
        say(f"note: column {name!r} is not learned; in new rows it holds: {what}", err=True)
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
    from synthgen.augmentation.page import write_report
    from synthgen.metrics.evaluate import evaluate

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
