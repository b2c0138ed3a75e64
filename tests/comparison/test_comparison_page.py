"""The page of a comparison: both verdicts, each strategy with its interval, nothing to trust."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pages import HOSTILE, Page, browse, cards_of

from synthgen.comparison.comparison import Comparison
from synthgen.comparison.comparison_page import render_comparison
from synthgen.comparison.recommendation import Chances
from synthgen.comparison.subgroups import Group, GroupResult, Groups
from synthgen.comparison.verdicts import RealRows, Result, Verdict
from synthgen.model_selection.scoring import METRICS, RECALLS, THRESHOLDS
from synthgen.report.answer import Recommendation
from synthgen.report.template import figure

FAMILIES = {"nothing": "nothing", "threshold": "decision", "smote": "data", "focal": "loss"}


def fake(
    label: Any = "yes",
    names: dict[str, str] = FAMILIES,
    cost: tuple[float, float] | None = (500.0, 2.0),
) -> Comparison:
    rng = np.random.default_rng(0)
    results = []
    for name, family in names.items():
        for metric in METRICS:
            values = tuple(rng.uniform(0.2, 0.9, 6).tolist())
            against = "threshold" if metric in ("cost", "f1") else "nothing"
            gain = 0.0 if name == against else float(rng.normal(0, 0.05))
            low, high = gain - 0.041, gain + 0.043
            mean = float(np.mean(values))
            results.append(Result(name, family, metric, mean, gain, (low, high), against, values))
    rows = np.arange(1, 17)
    curves: dict[str, dict[str, list[Any]]] = {
        name: {
            "precision": (1 - RECALLS / 2).tolist(),
            "calibration": [rows.tolist(), (rows * 0.1).tolist(), (rows * 0.2).tolist()],
            "cost": (THRESHOLDS * 1000).tolist(),
        }
        for name in names
        if name != "threshold"
    }
    verdicts = {
        "ranking": Verdict(
            "helps", "smote", "average_precision", "nothing", 0.03, (0.01, 0.05), {"smote": 6},
            "smote helps: what it says",
        ),
        "decision": Verdict(
            "not enough data to tell", "threshold", "cost", "threshold", 0.0, (-1.0, 1.0), {},
            "not enough data to tell: between what and what",
        ),
    }  # fmt: skip
    return Comparison(
        target="ill",
        label=label,
        rows=1000,
        rare=50,
        estimator="hgb",
        metric="average_precision",
        decision="cost",
        cost=cost,
        folds=3,
        repeats=2,
        splits=6,
        results=tuple(results),
        recommendation=Recommendation(
            "use smote", "Use smote <b>: +0.030 expected.", "It helps with probability 0.91.",
            "smote --label 'yes'",
        ),
        chances=(Chances("smote", 0.03, (0.01, 0.05), 0.91, 0.07, 0.02),),
        verdict=verdicts,
        real_rows=RealRows((0.25, 0.5, 1.0), (0.3, 0.4, 0.5), 0.1, (0.05, 0.15)),
        pruned={"ctgan:0.1": "it did worst on inner folds"},
        not_applicable={"rusboost": "missing cells <b>"},
        by=Groups(
            "sex <b>",
            (
                Group(
                    "f", 700, 40, 6,
                    tuple(
                        GroupResult(name, 0.5, (0.41, 0.59), 0.012, (-0.034, 0.056))
                        for name in curves
                    ),
                ),
                Group("m", 300, 2, 1, (), "2 rows of the class"),
            ),
        ),
        curves=curves,
        settings={name: {0: 4, 2: 2} for name in curves},
        seconds=dict.fromkeys(curves, 1.5),
        notes=("a warning",),
        seed=3,
    )  # fmt: skip


@pytest.fixture(scope="module")
def text() -> str:
    return render_comparison(fake())


def test_every_strategy_has_its_gain_and_interval(text: str):
    said = " ".join(Page(text).text.replace("+", "").split())
    for result in fake().results:
        if result.metric == "average_precision" and result.strategy != "nothing":
            low, high = map(figure, result.interval)
            assert f"{figure(result.difference)}{low} to {high}" in said.replace(" −", "−")
        if result.metric != "cost":
            assert figure(result.mean) in said


def test_verdicts_and_what_was_not_run(text: str):
    said = " ".join(Page(text).text.split())
    for expected in (
        "50 of 1,000 rows",
        "Ranking: ✓ helps",
        "Smote helps: what it says.",
        "Decision: ? not enough data to tell",
        "ctgan:0.1: it did worst on inner folds",
        "rusboost: missing cells <b>",
        "a warning",
        "0 (4×), 2 (2×)",
        "+0.100 [+0.050, +0.150]",
        "A missed row of the class costs 500, a false alarm 2.",
        "By sex <b>",
        "f70040smote0.5000.410 to 0.590+0.012−0.034 to +0.056",
        "m: 2 rows of the class",
    ):
        assert expected in said


def test_every_figure_says_how_to_read_it(text: str):
    page = Page(text)
    # Gains and splits of two metrics, real rows, precision, calibration and cost, groups, chances.
    assert page.tags.count("figure") == page.tags.count("figcaption") == 4 + 1 + 3 + 1 + 1
    assert page.text.count("How to read") == 10
    assert page.tags.count("table") == page.tags.count("caption")


def test_without_costs_real_rows_curves_and_groups():
    bare = replace(fake(cost=None), decision="recall_at_5pct", real_rows=None, curves={}, by=None)
    page = Page(render_comparison(bare))
    assert page.tags.count("figure") == 4 + 1
    assert "There are no curves." in page.text


def test_one_strategy_and_one_metric():
    found = fake(names={"nothing": "nothing", "threshold": "decision"})
    assert Page(render_comparison(found)).tags.count("figure") == 10


def test_amounts_of_one_strategy_are_a_curve():
    names = FAMILIES | {f"tabflow:{amount}": "data" for amount in ("balance", "0.3", "0.05")}
    page = Page(render_comparison(fake(names=names)))
    assert "Amounts of rows by tabflow" in page.text
    ticks = [page.text.find(f"\n{tick}\n") for tick in ("5 %", "30 %", "balance")]
    assert ticks == sorted(ticks)
    assert "Amounts of rows" not in render_comparison(fake())


def test_hostile_names_and_labels_are_text():
    names = FAMILIES | {f"my.pkg:{HOSTILE}": "data", "$\\frac$": "learner"}
    page = Page(render_comparison(fake(HOSTILE, names)))
    assert page.tags.count("script") == 1
    assert f"my.pkg:{HOSTILE}" in page.text
    assert f"“{HOSTILE}”" in page.text


def test_nothing_comes_from_the_network_and_the_page_is_small():
    many = FAMILIES | {f"strategy {k}": "data" for k in range(40)}
    text = render_comparison(fake(names=many))
    assert all(link.startswith("#") for link in Page(text).links)
    assert "default-src 'none'" in text
    assert not re.search(r"(src|href|url)\s*[=(]\s*[\"']?\s*(https?:|//)", text)
    assert not re.search(r"#0[1-6]0[1-6]0[1-6]\b", text)
    assert len(text) < 3_000_000


def test_the_same_comparison_gives_the_same_page(text: str):
    assert render_comparison(fake()) == text


@pytest.mark.browser
def test_a_browser_finds_all_sections_no_error_and_asks_for_nothing(tmp_path: Path, text: str):
    path = tmp_path / "page.html"
    path.write_text(text, encoding="utf-8")
    dom, console, asked = browse(path)
    assert (console, asked) == ([], [])
    page = Page(dom.partition("<!DOCTYPE html>")[2])
    assert {"ranking", "curves", "all", "run"} <= set(page.ids)
    assert page.tags.count("button") > 15


def test_a_notebook_shows_the_verdicts_and_the_gains(tmp_path: Path):
    found = fake(label=HOSTILE)
    page = cards_of(found)
    text = " ".join(page.text.split())
    assert f"Ranking of {HOSTILE!r}: helps" in text
    assert "not enough data to tell between what and what" in text
    assert page.tags.count("svg") == 1
    found.to_html(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == render_comparison(found)
