"""Commands for classifiers: `compare`, `auto` and `predict`."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from synthgen.cli.choosing_options import auto_options, compare_options, read_sweep
from synthgen.cli.inputs import drawn_seed, read_frame, read_schema, write_result, write_rows
from synthgen.cli.options import (
    data_argument,
    json_option,
    model_argument,
    no_defuse_option,
    output_file,
    table_output,
)
from synthgen.cli.output import say_defused, say_groups, say_result, say_strategies
from synthgen.cli.paths import Command, check_ending, is_taken
from synthgen.cli.terminal import (
    collect_notes,
    how_much_options,
    is_quiet,
    is_verbose,
    say,
    tell,
)
from synthgen.errors import UsageError
from synthgen.progress import Progress

PAGE = 4.0  # seconds of a time budget that are kept for a page


def _rest(budget: float | None, began: float, page: bool) -> float | None:
    """Subtract from a time budget what reading took and what a page will take."""
    if budget is None:
        return None
    return max(budget - (time.perf_counter() - began) - PAGE * page, 1.0)


def _on_engine(engine: str | None, n_jobs: int | None) -> AbstractContextManager[None]:
    """Check the engine, before any work; fits in this context run on it."""
    if engine is None:
        return nullcontext()
    from synthgen.scale.engines import joblib_on

    return joblib_on(engine, n_jobs)


@click.command(cls=Command)
@data_argument
@click.option("--target", metavar="COL", required=True, help="Column that holds the classes.")
@click.option("--label", metavar="CLASS", help="Class that matters.  [default: the rarest]")
@compare_options
@click.option("--by", metavar="COL", help="Also give the metric for each value of this column.")
@click.option(
    "--sweep",
    "at",
    metavar="LIST",
    callback=read_sweep,
    help="Compare at each of these rates of the class, or rows of it: 0.001,0.01,0.1.",
)
@click.option(
    "--resume",
    type=output_file,
    metavar="FILE",
    help="File that keeps finished parts; if it exists, the comparison continues from it.",
)
@click.option("--html", type=output_file, metavar="FILE", help="Also write the result as a page.")
@how_much_options
@json_option
def compare(
    data: Path,
    target: str,
    label: str | None,
    by: str | None,
    at: list[float] | None,
    groups: str | None,
    engine: str | None,
    html: Path | None,
    json_file: str | None,
    **how: Any,
) -> None:
    """Compare strategies for the rare class of DATA, and say which helps.

    Without --time-budget, at most 8,000 rows are used: rows of frequent classes are left out.

    \b
    Example:
      synthgen compare data.csv --target outcome
      synthgen compare data.csv --target outcome --cost fn=500 --cost fp=2 --time-budget 600
      synthgen compare data.csv --target outcome --strategies all --seed 0 --json comparison.json
      synthgen compare data.csv --target outcome --sweep 0.001,0.01,0.1 --html sweep.html
    """
    began = time.perf_counter()
    if at is not None and by is not None:
        raise UsageError(245, "--by and --sweep cannot be combined: leave one out")
    on_engine = _on_engine(engine, how["n_jobs"])
    aside = json_file == "-"
    drawn = drawn_seed(how.pop("seed"))
    bar = Progress(not is_quiet())
    with collect_notes(later=True) as notes, drawn as how["random_state"], bar:
        bar.part(f"reading {data.name}", 0.02)
        frame = read_frame(data)
        bar.part("looking at the table", 0.97 if html else 1.0)
        from synthgen.comparison.compare import compare
        from synthgen.comparison.comparison import Comparison
        from synthgen.tables.calls import column_named

        how["schema"] = read_schema(how.pop("given"))
        how |= {"target": column_named(frame, target), "groups": column_named(frame, groups)}
        how |= {"label": label, "verbose": not is_quiet()}
        how["time_budget"] = _rest(how["time_budget"], began, html is not None)
        with on_engine:
            if at is not None:
                from synthgen.comparison.sweep import sweep

                found = sweep(frame, at=at, **how)
            else:
                found = compare(frame, by=column_named(frame, by), **how)
        if html is not None:
            bar.part("writing the page", 1.0)
            found.to_html(html)
    advice = say_result(found, err=aside, DATA=data)
    if isinstance(found, Comparison):
        if is_verbose():
            say_strategies(found, err=aside)
        if found.by is not None and not is_quiet():
            say_groups(found.by, found.metric, err=aside)
    if html is not None:
        tell(f"wrote {html}", err=aside)
    content = {"data": data, **found.to_json(), "recommendation": advice, "warnings": notes}
    write_result(json_file, content)


@click.command(cls=Command)
@data_argument
@click.option("--target", metavar="COL", required=True, help="Column that holds the classes.")
@click.option("--label", metavar="CLASS", help="Class that matters.  [default: the rarest]")
@click.option(
    "-o", "--output", type=output_file, metavar="MODEL", required=True, help="Model file to write."
)
@auto_options
@click.option("--html", type=output_file, metavar="FILE", help="Also write its quality as a page.")
@how_much_options
@json_option
def auto(
    data: Path,
    target: str,
    label: str | None,
    output: Path,
    groups: str | None,
    engine: str | None,
    html: Path | None,
    json_file: str | None,
    **how: Any,
) -> None:
    """Train an ensemble of different classifiers on DATA, and write it to a file.

    Its probabilities are calibrated and its threshold is chosen on held-out rows.

    \b
    Example:
      synthgen auto data.csv --target outcome -o model.skops
      synthgen auto data.csv --target outcome --cost fn=500 --cost fp=2 -o model.skops
      synthgen auto data.csv --target outcome --false-alarms 0.05 -o model.skops
    """
    began = time.perf_counter()
    on_engine = _on_engine(engine, how["n_jobs"])
    aside = json_file == "-"
    drawn = drawn_seed(how.pop("seed"))
    bar = Progress(not is_quiet())
    with collect_notes(later=True) as notes, drawn as seed, bar:
        bar.part(f"reading {data.name}", 0.05)
        frame = read_frame(data)
        bar.part("looking at the table", 0.97)
        from synthgen.comparison.classifier import ImbalancedClassifier
        from synthgen.comparison.classifier_file import refuse_unsavable
        from synthgen.comparison.ensemble import members_of
        from synthgen.tables.calls import column_named

        refuse_unsavable(members_of(how["members"]))  # before the training, not after it
        how["random_state"] = seed
        how["schema"] = read_schema(how.pop("given"))
        how["time_budget"] = _rest(how["time_budget"], began, html is not None)
        model = ImbalancedClassifier(label=label, verbose=not is_quiet(), **how)
        with on_engine:
            model.fit(frame, target=column_named(frame, target), groups=column_named(frame, groups))
        bar.part("writing the model" + " and its page" * (html is not None), 1.0)
        model.save(output)
        found = model.quality_
        if found is not None and html is not None:
            found.to_html(html)
    files = {"MODEL": output}
    if found is None:
        for line in model.recommendation_.about(**files).lines():
            say(line, err=aside)
    else:
        say_result(found, err=aside, **files)
    if found is not None and html is not None:
        tell(f"wrote {html}", err=aside)
    tell(f"wrote {output}: the mean of {', '.join(model.members_)}", err=aside)
    kept = {
        "model": output,
        "members": model.members_,
        "label": str(model.label_),
        "threshold": model.threshold_,
        "recommendation": asdict(model.recommendation_.about(**files)),
        "seed": seed,
    }
    quality = None if found is None else found.to_json()
    write_result(json_file, kept | {"quality": quality, "warnings": notes})


@click.command(cls=Command)
@model_argument
@data_argument
@table_output
@no_defuse_option
@json_option
def predict(model: Path, data: Path, output: Path, no_defuse: bool, json_file: str | None) -> None:
    """Write DATA with the predictions of a MODEL that synthgen auto wrote.

    Two columns are added: predicted (the class) and probability (of the class of interest).

    \b
    Example:
      synthgen predict model.skops new.csv -o predicted.csv
      synthgen predict model.skops - -o - < new.csv > predicted.csv
    """
    check_ending(output)
    aside = is_taken(json_file, output)
    with collect_notes() as notes, Progress() as bar:
        bar.part(f"reading {model.name} and {data.name}", 0.4)
        from synthgen.comparison.classifier import ImbalancedClassifier
        from synthgen.tables.calls import column_named

        loaded = ImbalancedClassifier.load(model)
        frame = read_frame(data, allow_empty=True)
        bar.part("predicting", 0.9)
        out, measured = loaded.with_predictions(frame), {}
        target = column_named(frame, loaded.target_)
        if target in frame.columns:
            measured = loaded.measured(loaded.known_columns(frame), frame[target])
        bar.part(f"writing {output.name}", 1.0)
        defused = write_rows(out, output, defuse=not no_defuse)
    say_defused(defused)
    rare = int((out["predicted"] == loaded.label_).sum())
    say(f"wrote {output}: {len(out):,} rows, {rare:,} predicted {loaded.label_}", err=aside)
    if measured:
        say(
            f"on the {measured['rows']:,} rows with a class, {measured['rare']:,} of them "
            f"{loaded.label_}: average precision {measured['average_precision']:.3f} (guessing "
            f"{measured['rare'] / measured['rows']:.3f}), recall {measured['recall']:.3f} and "
            f"precision {measured['precision']:.3f} at the threshold {loaded.threshold_:.3g}",
            err=aside,
        )
    result = {"model": model, "output": output, "rows": len(out), "predicted": rare}
    result["measured"] = measured or None
    write_result(
        json_file, result | {"label": str(loaded.label_), "defused": defused, "warnings": notes}
    )
