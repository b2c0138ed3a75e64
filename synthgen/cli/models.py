"""Commands for model files: `fit`, `sample` and `show`."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from synthgen.cli.inputs import drawn_seed, read_frame, read_schema, write_result, write_rows
from synthgen.cli.options import (
    TABLE_ENDINGS,
    Rows,
    Training,
    data_argument,
    device_option,
    json_option,
    maker,
    model_argument,
    no_defuse_option,
    output_file,
    read_where,
    resumable,
    rule_option,
    seed_option,
    shard_options,
    training_options,
)
from synthgen.cli.output import say_defused
from synthgen.cli.paths import Command, FileOrFolder, check_ending, folder_meant, is_taken
from synthgen.cli.terminal import collect_notes, say, show_table
from synthgen.errors import ModelFileError, UsageError
from synthgen.progress import Progress

if TYPE_CHECKING:
    from synthgen.synthesizers.base import Synthesizer
    from synthgen.synthesizers.lookup import Maker


@click.command(cls=Command)
@data_argument
@click.option(
    "-o", "--output", type=output_file, metavar="MODEL", required=True, help="Model file to write."
)
@training_options
@json_option
@click.option(
    "--keep-class-names",
    is_flag=True,
    help="Also name classes with fewer than 5 rows in the file.",
)
def fit(
    data: Path,
    training: Training,
    output: Path,
    keep_class_names: bool,
    json_file: str | None,
) -> None:
    """Train on DATA, and write the model to one file, which contains no training row.

    \b
    Example:
      synthgen fit data.csv --target outcome -o model.synthgen
      synthgen fit data.csv --target outcome --label yes --synthesizer tvae -o model.synthgen
    """
    aside = json_file == "-"
    drawn = drawn_seed(training.seed, resume=training.resume)
    private = (training.synthesizer or "").lower() in ("private", "privatemarginals")
    if private:
        drawn = nullcontext(training.seed)  # no seed repeats its noise
    with collect_notes() as notes, resumable(training), drawn as seed, Progress() as bar:
        bar.part(f"reading {data.name}", 0.05)
        made, decided = maker(training), read_schema(training.schema)
        frame = read_frame(data, declared=decided if private else None)
        bar.part("looking at the table", 0.1)
        from synthgen.augmentation.augment import choose_labels
        from synthgen.augmentation.augmented import device_of, training_of
        from synthgen.synthesizers.contents import guarantee_in_words, to_share
        from synthgen.tables.calls import column_named
        from synthgen.tables.table import Table

        target = column_named(frame, training.target)
        if private:  # to choose the rarest class is to count rows
            synthesizer, labels = made(0), training.labels
            table = synthesizer.set_params(schema=decided).table_of(frame, target=target)
        else:
            table = Table.labelled(frame, target=target, schema=decided)
            labels = choose_labels(table, training.labels)
            synthesizer = _savable(made, {label: table.counts[label] for label in labels})
        synthesizer.set_params(random_state=seed, schema=decided, classes=labels)
        bar.part(f"training {type(synthesizer).__name__}", 0.9)
        synthesizer.fit_table(table)
        bar.part(f"writing {output.name}", 1.0)
        labels = list(synthesizer.classes_)
        coarsened = synthesizer.save(output, keep_class_names=keep_class_names)
    for line in coarsened:
        say(f"coarsened in the file: {line}", err=aside)
    what = f"{type(synthesizer).__name__} of {', '.join(map(str, labels))}"
    say(f"wrote {output}: {what}, trained on {device_of(synthesizer)}", err=aside)
    say(share := to_share(type(synthesizer).__name__), err=aside)
    if guarantee := guarantee_in_words(getattr(synthesizer, "guarantee_", None)):
        say(guarantee, err=aside)
    say(f"next: synthgen sample {output} -n 100 -o rows.csv", err=aside)
    write_result(
        json_file,
        {
            "model": output,
            "synthesizer": type(synthesizer).__name__,
            "labels": labels,
            "seed": seed,
            "device": device_of(synthesizer),
            "training": training_of(synthesizer),
            "coarsened": coarsened,
            "share": share,
            "guarantee": guarantee,
            "warnings": notes,
        },
    )


def _savable(made: Maker, counts: dict[Any, int]) -> Synthesizer:
    """The synthesizer for classes of so many rows, of which `save` could write a model."""
    synthesizer = made(min(counts.values()))
    synthesizer.check_savable(counts)
    return synthesizer


@click.command(cls=Command)
@model_argument
@click.option(
    "-n",
    "--rows",
    type=Rows(min=1),
    metavar="ROWS",
    required=True,
    help="Rows to make, such as 100 or 1e9.",
)
@click.option(
    "--label", metavar="CLASS", help="Class to make.  [default: classes as frequent as in training]"
)
@click.option(
    "--where",
    "wishes",
    multiple=True,
    metavar="COL=VALUE",
    help="Level of a categorical column in every row; may be repeated.",
)
@click.option(
    "-o",
    "--output",
    "place",
    type=FileOrFolder(),
    metavar="OUT",
    required=True,
    help=f"{TABLE_ENDINGS} With / at the end: a folder of Parquet files, for more rows than fit in "
    "memory; after a stop, the same command continues.",
)
@shard_options
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
    place: str,
    shards: dict[str, Any],
    rules: tuple[str, ...],
    seed: int | None,
    device: str,
    no_defuse: bool,
    json_file: str | None,
) -> None:
    """Sample synthetic rows from a MODEL that synthgen fit wrote.

    \b
    Example:
      synthgen sample model.synthgen -n 100 -o rows.csv
      synthgen sample model.synthgen -n 100 --label yes --seed 0 -o rows.parquet
      synthgen sample model.synthgen -n 100 --where region=north -o north.csv
      synthgen sample model.synthgen -n 1e9 --jobs -1 -o rows/
    """
    output = Path(place)
    if folder_meant(place):
        _sample_folder(model, rows, label, wishes, output, shards, rules, seed, device, json_file)
        return
    if given := [name for name, value in shards.items() if value is not None]:
        name = given[0].replace("_", "-").replace("n-jobs", "jobs")
        raise UsageError(219, f"--{name} is for a folder: write -o {place}/, or leave it out")
    check_ending(output)
    aside = is_taken(json_file, output)
    with collect_notes() as notes, drawn_seed(seed) as seed, Progress() as bar:
        bar.part(f"reading {model.name}", 0.2)
        from synthgen.augmentation.advice import refused_lines
        from synthgen.augmentation.rejection import sample_model
        from synthgen.synthesizers.lookup import load

        synthesizer = load(model, device=device)
        where = read_where(wishes, synthesizer.schema_)
        bar.part(f"sampling {rows:,} rows", 0.8)
        frame, found = sample_model(
            synthesizer, rows, label=label, where=where, rules=rules, random_state=seed
        )
        bar.part(f"writing {output.name}", 1.0)
        defused = write_rows(frame, output, defuse=not no_defuse)
    say_defused(defused)
    named = ", ".join(f"{n:,} of {c}" for c, n in found["counts"].items())
    say(f"wrote {output}: {rows:,} rows, {named}", err=aside)
    for line in refused_lines({None: found["guard"]}):
        say(line, err=aside)
    share = found.pop("share")
    guarantee = found.pop("guarantee")
    if guarantee:
        say(guarantee, err=aside)
    result = {"model": model, "output": output, **found, "seed": seed, "defused": defused}
    write_result(json_file, {**result, "warnings": notes, "share": share, "guarantee": guarantee})


def _sample_folder(
    model: Path,
    rows: int,
    label: str | None,
    wishes: tuple[str, ...],
    folder: Path,
    shards: dict[str, Any],
    rules: tuple[str, ...],
    seed: int | None,
    device: str,
    json_file: str | None,
) -> None:
    """Run `sample` with a folder of Parquet files as output."""
    from synthgen.augmentation.advice import refused_lines
    from synthgen.scale.dataset import sample_dataset, seed_of
    from synthgen.synthesizers.lookup import load

    aside = json_file == "-"
    with collect_notes(), drawn_seed(seed_of(folder) if seed is None else seed) as seed:
        where = read_where(wishes, load(model).schema_) if wishes else {}
        found = sample_dataset(
            model,
            rows,
            folder,
            label=label,
            where={str(name): value for name, value in where.items()},
            rules=rules,
            random_state=seed,
            device=device,
            verbose=True,
            **{name: value for name, value in shards.items() if value is not None},
        )
    for line in refused_lines({None: found}):
        say(line, err=aside)
    named = ", ".join(f"{n:,} of {c}" for c, n in found["classes"].items())
    size = found["bytes"] / 2**20
    say(
        f"wrote {folder}: {rows:,} rows in {len(found['files'])} files, {size:,.0f} MiB, {named}; "
        f"manifest {folder / '_manifest.json'}",
        err=aside,
    )
    write_result(json_file, found)


@click.command(cls=Command)
@model_argument
@json_option
def show(model: Path, json_file: str | None) -> None:
    """Show what a MODEL file contains.

    With --json: also every array, with each quantile and level that was learned from the rows.

    \b
    Example:
      synthgen show model.synthgen
      synthgen show model.synthgen --json -
    """
    from synthgen.comparison.archive import is_classifier
    from synthgen.synthesizers.contents import contents, to_share

    try:
        found = contents(model)
    except ModelFileError as error:
        if error.code != 414 or not is_classifier(model):
            raise
        _show_classifier(model, json_file)
        return
    if json_file != "-":
        say(found.title)
        show_table(["parameter", "value"], found.params)
        show_table(["class", "rows in training (rounded)", "scope"], found.classes)
        for whose, rows in found.columns.items():
            say(f"columns as stored{whose}")
            show_table(list(rows[0]), [list(row.values()) for row in rows])
        for line in found.coarsened:
            say(f"coarsened: {line}")
        say(found.disclosure)
        if found.guarantee:
            say(f"guarantee: {found.guarantee}")
        say(f"what it reveals: {found.recognised}")
        say(to_share(found.header["class"]))
        say(f"measure it: synthgen privacy {model} --train TRAIN --holdout HOLDOUT")
        say(
            f"{len(found.arrays)} arrays, {sum(a['bytes'] for a in found.arrays):,} bytes; "
            f"--json lists them, with the values learned from the rows"
        )
    write_result(json_file, found.to_json())


def _show_classifier(model: Path, json_file: str | None) -> None:
    """Show the contents of a file that synthgen auto wrote."""
    from synthgen.comparison.classifier import ImbalancedClassifier

    loaded = ImbalancedClassifier.load(model)
    content = loaded.describe()
    if json_file != "-":
        say(f"classifier of {', '.join(map(str, loaded.classes_))}")
        say(f"the mean of {', '.join(loaded.members_)}")
        say(f"predicts {loaded.label_!r} if its probability is at least {loaded.threshold_:.3g}")
        rows = content["columns"]
        show_table(list(rows[0]), [list(row.values()) for row in rows])
        say(content["disclosure"])
    write_result(json_file, content)
