"""What every result leads with, and that a terminal shows it on one screen."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from synthgen.auditing.audit import audit
from synthgen.augmentation.augment import augment
from synthgen.cli.output import say_result
from synthgen.comparison.quality import OWN, PLAIN_NAME, quality
from synthgen.metrics.report import Report
from synthgen.metrics.score import Part, Score
from synthgen.metrics.verdicts import Verdict
from synthgen.report.shown import Shown
from synthgen.tables.table import Table

SCREEN, WIDTH, OTHERS = 40, 100, 4  # lines, columns, and lines that a command adds
LONG = "a name that is much longer than a name should be, and goes on " * 3


def ugly(rows: int = 300, columns: int = 40, classes: int = 30) -> pd.DataFrame:
    """Many columns with long names, each with a fault; many classes."""
    rng = np.random.default_rng(0)
    y = np.sort(rng.integers(0, classes, rows) * (rng.random(rows) < 0.6))
    data: dict[str, Any] = {f"{LONG}{k}": rng.normal(size=rows) for k in range(columns - 22)}
    data |= {f"const{k}": 7 for k in range(20)}
    data |= {"id": [f"x{i}" for i in range(rows)], "leak": y, "target": [f"c{v} {LONG}" for v in y]}
    return pd.DataFrame(data)


def a_report(frame: pd.DataFrame) -> Report:
    """Three undecided verdicts with the longest of sentences, and many scores."""
    table = Table.of(frame, target="target")
    label = str(table.schema.classes[-1])
    names = ("battery", "pair_trends", "column_shapes", "rules_kept")
    scores = [
        Score(f"{part}.{name}", group, 0.5, 0.6, "higher", (0.1, 0.9), 0.0, LONG)
        for part in ("fidelity", "utility", "privacy")
        for name in (*names, "ap_ratio", "mia_excess", "copies")
        for group in (label, "all", "boosting")
    ]
    verdicts = tuple(
        Verdict(part, "undecided", LONG * 4, scores[0], f"{part} lies between 1 and 2, {LONG}")
        for part in ("fidelity", "utility", "privacy")
    )
    empty = Part([], notes=[LONG] * 30)
    return Report(
        "target",
        label,
        table,
        table,
        table,
        Part(scores, notes=[LONG] * 30),
        empty,
        empty,
        verdicts,
        (LONG,) * 9,
        {"train": 300, "synthetic": 300, "holdout": 300},
        (),
        True,
        {},
        0,
        {},
        0,
        {},
    )


@pytest.fixture(scope="module")
def results() -> dict[str, Shown]:
    frame = ugly()
    rng = np.random.default_rng(0)
    y, p = (rng.random(300) < 0.1).astype(int), rng.random((300, 2))
    p /= p.sum(axis=1, keepdims=True)
    fold = np.arange(300) % 5
    kept = quality(y, 1, LONG, fold, p, p[::-1].copy(), np.ones(300), 0.3, (LONG,) * 9)
    labels = [c for c in frame["target"].unique() if (frame["target"] == c).sum() > 1]
    made = augment(
        frame.drop(columns="leak"),
        target="target",
        labels=labels[1:],
        n_samples=3,
        synthesizer="bootstrap",
        random_state=0,
    )
    return {
        "audit": audit(frame, target="target"),
        "evaluate": a_report(frame),
        "auto": kept,
        "augment": made,
    }


NAMES = ["audit", "evaluate", "auto", "augment"]


@pytest.mark.parametrize("name", NAMES)
def test_every_form_leads_with_one_recommendation(results: dict[str, Shown], name: str) -> None:
    found = results[name]
    advice = found.recommendation
    assert found.to_json()["recommendation"] == asdict(advice)
    assert list(asdict(advice)) == ["action", "text", "certainty", "command"]
    assert len(found.cards) == 3
    for text in (advice.text, advice.certainty):
        assert text[0].isupper() or not text[0].isalpha()
        assert text.endswith(".")
        assert ".." not in text.replace("...", "")  # of a name that was cut
    lines = repr(found).splitlines()
    assert len(lines) <= 12
    assert max(map(len, lines)) <= WIDTH
    assert lines[0].startswith(advice.text[:60])
    shown = found._repr_html_()
    assert shown.index("lead") < shown.index("<article")


@pytest.mark.parametrize("name", NAMES)
def test_a_terminal_shows_one_screen(
    results: dict[str, Shown],
    name: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    advice = say_result(results[name], DATA="a table.csv")
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == results[name].recommendation.text
    lines = sum(max(1, math.ceil(len(line) / WIDTH)) for line in printed)
    assert lines <= SCREEN - OTHERS, "\n".join(printed)
    assert "DATA" not in advice["command"]


def test_a_name_with_a_space_is_quoted_in_the_command(results: dict[str, Shown]) -> None:
    advice = results["audit"].recommendation.about(DATA="a table.csv")
    assert "'a table.csv'" in advice.command
    assert replace(advice, command="").lines()[-1].startswith("How sure: ")


def test_boosting_alone_is_named_beside_auto(results: dict[str, Shown]) -> None:
    heads, rows = results["auto"].key_figures()
    assert heads == ["metric", OWN, PLAIN_NAME]
    assert rows[0][0] == "average precision"
