"""The command `demo`: synthetic rows with their evaluation, and a classifier with its score."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from synthgen.cli.inputs import write_result
from synthgen.cli.options import SYNTHESIZER_NAMES, json_option
from synthgen.cli.paths import Command, OutputFolder, make_folder
from synthgen.cli.terminal import collect_notes, say

if TYPE_CHECKING:
    import pandas as pd

    from synthgen.metrics.report import Report

TABLE, TARGET, LABEL = "adult", "income", ">50K"
FILES = ("train.csv", "set-aside.csv", "new.csv", "evaluation.html", "ATTRIBUTION.md")
HELD_OUT = 1 / 3  # the last rows of the table, from the test part of its source


@click.command(cls=Command)
@click.option(
    "--out",
    type=OutputFolder(*FILES),
    metavar="DIR",
    default="synthgen-demo",
    show_default=True,
    help="Folder for the results.",
)
@click.option(
    "--synthesizer",
    metavar="NAME",
    default="trees",
    show_default=True,
    help=f"{SYNTHESIZER_NAMES} or auto.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Same seed, same rows."
)
@json_option
def demo(out: Path, synthesizer: str, seed: int, json_file: str | None) -> None:
    """Make and evaluate rows of a table that is part of synthgen, in about a minute.

    The table is a sample of UCI Adult: 7,500 people of the census of 1994, of whom a quarter earns
    more than 50,000 dollars. The synthesizer is trained on 5,000 of them. The other 2,500 are held
    out to evaluate the new rows and the classifiers.

    \b
    Example:
      synthgen demo
      synthgen demo --synthesizer tvae --out /tmp/demo
    """
    from synthgen.augmentation.augment import augment

    aside = json_file == "-"
    train, test = _tables(out)
    with collect_notes() as notes:
        found = augment(
            train,
            target=TARGET,
            synthesizer=synthesizer,
            ratio="double",
            random_state=seed,
            verbose=True,
        )
        made = found.additions[0].rows
        say(f"made {made:,} new people of {TARGET} {LABEL!r}: {out / 'new.csv'}", err=aside)
        report = _evaluated(train, found.synthetic, test, seed, out)
        for line in [report.recommendation.text, *(card.line() for card in report.cards)]:
            say(line, err=aside)
        say(f"every figure behind it: {out / 'evaluation.html'} (open it in a browser)", err=aside)
        scores = _scores(train, test, seed)
        say(_ranked(scores, test), err=aside)
    for line in (
        "next:",
        "  synthgen audit YOUR.csv --target COLUMN --html audit.html   what is wrong with it",
        "  synthgen augment YOUR.csv --target COLUMN -o OUT.csv        new rows of a class",
        "  synthgen auto YOUR.csv --target COLUMN -o model.skops       what finds the class",
    ):
        say(line, err=aside)
    content: dict[str, Any] = {**report.to_json(), "average_precision": scores, "warnings": notes}
    write_result(json_file, content)


def _tables(out: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split the people into training and held-out rows; also write both into the folder."""
    import bz2
    import io
    from importlib.resources import files

    import pandas as pd

    from synthgen.tables.disk import write_text

    make_folder(out)
    source = files("synthgen") / "data"
    text = bz2.decompress((source / f"{TABLE}.csv.bz2").read_bytes()).decode()
    frame = pd.read_csv(io.StringIO(text))
    cut = len(frame) - round(HELD_OUT * len(frame))
    train, test = frame[:cut], frame[cut:].reset_index(drop=True)
    for name, part in (("train.csv", train), ("set-aside.csv", test)):
        write_text(out / name, part.to_csv(index=False, lineterminator="\n"))
    write_text(out / "ATTRIBUTION.md", (source / "ATTRIBUTION.md").read_text(encoding="utf-8"))
    return train, test


def _evaluated(
    train: pd.DataFrame, new: pd.DataFrame, test: pd.DataFrame, seed: int, out: Path
) -> Report:
    from synthgen.metrics.evaluate import evaluate
    from synthgen.tables.disk import write_text

    write_text(out / "new.csv", new.to_csv(index=False, lineterminator="\n"))
    report = evaluate(train, new, test, target=TARGET, label=LABEL, random_state=seed, verbose=True)
    report.to_html(out / "evaluation.html")
    return report


def _scores(train: pd.DataFrame, test: pd.DataFrame, seed: int) -> dict[str, float]:
    """Average precision of `auto` and of plain boosting on the held-out people."""
    import numpy as np

    from synthgen.comparison.classifier import ImbalancedClassifier
    from synthgen.encoding.matrix import Matrix
    from synthgen.model_selection.estimators import ESTIMATORS
    from synthgen.model_selection.scoring import rank
    from synthgen.tables.table import Table

    auto = ImbalancedClassifier(label=LABEL, random_state=seed)
    auto.fit(train, target=TARGET)
    matrix = Matrix.fitted_on(Table.of(train, target=TARGET), with_target=False)
    X, X_test = (matrix.transform(matrix.cells(rows)) for rows in (train, test))
    is_rare, truth = ((rows[TARGET] == LABEL).to_numpy() for rows in (train, test))
    plain = ESTIMATORS["hgb"].fit(
        X, np.asarray(matrix.is_level), is_rare, np.random.SeedSequence(seed)
    )
    return {
        "auto": auto.measured(test, target=TARGET)["average_precision"],
        "plain boosting": rank(truth, plain.predict_proba(X_test)[:, 1], "average_precision"),
        "guessing": float(truth.mean()),
    }


def _ranked(scores: dict[str, float], test: pd.DataFrame) -> str:
    found = int((test[TARGET] == LABEL).sum())
    return (
        f"finding the {found:,} of {LABEL!r} among {len(test):,} people set aside: average "
        f"precision {scores['auto']:.3f} by synthgen auto, {scores['plain boosting']:.3f} by "
        f"plain boosting, {scores['guessing']:.3f} by guessing"
    )
