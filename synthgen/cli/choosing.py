"""Commands that choose: compare strategies, keep the best as a classifier, predict with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from synthgen.cli.inputs import _column, _features, _read, _schema, _write_json, drawn_seed
from synthgen.cli.options import (
    auto_options,
    compare_options,
    data_argument,
    json_option,
    model_argument,
    no_defuse_option,
    path_type,
    read_sweep,
    table_output,
)
from synthgen.cli.output import say_comparison, say_defused, say_sweep
from synthgen.cli.paths import check_ending, check_places
from synthgen.cli.terminal import collect_notes, say
from synthgen.errors import DataError, UsageError


@click.command()
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
    type=path_type,
    metavar="FILE",
    help="File that keeps finished parts; if it exists, the comparison goes on from it.",
)
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
    """Try every strategy for the rare class of DATA, and say which is worth having.

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
    drawn = drawn_seed(how.pop("seed"), err=aside)
    with collect_notes() as notes, drawn as how["random_state"]:
        frame = _read(data)
        from synthgen.comparison.compare import Comparison, compare

        how["schema"] = _schema(how.pop("given"))
        X, y, grouped = _features(frame, target, groups)
        how |= {"label": label, "groups": grouped, "verbose": True}
        if at is not None:
            from synthgen.comparison.sweep import sweep

            found = sweep(X, y, at=at, **how)
        else:
            found = compare(X, y, by=None if by is None else _column(X, by), **how)
    if isinstance(found, Comparison):
        say_comparison(found, err=aside)
    else:
        say_sweep(found, err=aside)
    if html is not None:
        found.to_html(html)
        say(f"wrote {html}", err=aside)
    _write_json(json_file, {"data": data, **found.to_json(), "warnings": notes})


@click.command()
@data_argument
@click.option("--target", metavar="COL", required=True, help="Column that holds the classes.")
@click.option("--label", metavar="CLASS", help="Class that matters.  [default: the rarest]")
@click.option(
    "-o", "--output", type=path_type, metavar="MODEL", required=True, help="Model file to write."
)
@auto_options
@click.option("--html", type=path_type, metavar="FILE", help="Also write its quality as a page.")
@json_option
def auto(
    data: Path,
    target: str,
    label: str | None,
    output: Path,
    groups: str | None,
    html: Path | None,
    json_file: str | None,
    **how: Any,
) -> None:
    """Fit an average of unlike learners on DATA, and write it as a classifier.

    Its probabilities are recalibrated and its threshold is chosen on rows that were held out.

    \b
    Example:
      synthgen auto data.csv --target outcome -o model.skops
      synthgen auto data.csv --target outcome --cost fn=500 --cost fp=2 -o model.skops
      synthgen auto data.csv --target outcome --false-alarms 0.05 -o model.skops
    """
    check_places([data, how["given"]], [output, html, json_file])
    aside = json_file == "-"
    drawn = drawn_seed(how.pop("seed"), err=aside)
    with collect_notes() as notes, drawn as seed:
        frame = _read(data)
        from synthgen.comparison.classifier import ImbalancedClassifier

        how["random_state"] = seed
        how["schema"] = _schema(how.pop("given"))
        model = ImbalancedClassifier(label=label, verbose=True, **how)
        X, y, grouped = _features(frame, target, groups)
        model.fit(X, y, groups=grouped)
        model.save(output)
    found = model.quality_
    for line in [model.explanation_] if found is None else found.summary_lines():
        say(line, err=aside)
    if found is not None and html is not None:
        found.to_html(html)
        say(f"wrote {html}", err=aside)
    say(
        f"wrote {output}: the mean of {', '.join(model.members_)}; next: synthgen predict "
        f"{output} NEW -o OUT",
        err=aside,
    )
    kept = {
        "model": output,
        "members": model.members_,
        "label": str(model.label_),
        "threshold": model.threshold_,
        "recommendation": model.explanation_,
        "seed": seed,
    }
    told = None if found is None else found.to_json()
    _write_json(json_file, kept | {"quality": told, "warnings": notes})


@click.command()
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
        from synthgen.comparison.classifier import ImbalancedClassifier
        from synthgen.tables.write import write_table

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
        target = _column(frame, loaded.target_)
        measured = loaded.measured(X, frame[target]) if target in frame.columns else {}
        defused = write_table(out, output, defuse=not no_defuse)
    say_defused(defused)
    rare = int((predicted == loaded.label_).sum())
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
    _write_json(
        json_file, result | {"label": str(loaded.label_), "defused": defused, "warnings": notes}
    )
