"""Sweep: the same class, ever rarer, and nothing else changed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pages import HOSTILE, Page, browse, cards_of
from sklearn.linear_model import LogisticRegression

from synthgen import Sweep, compare, sweep
from synthgen.comparison.sweep_page import render_sweep
from synthgen.errors import SynthgenError


def table(label: str = "yes") -> tuple[pd.DataFrame, pd.Series]:
    rng = np.random.default_rng(0)
    ill = rng.permutation(np.repeat([0, 1], [400, 100]))
    X = pd.DataFrame({"dose": rng.normal(1.5 * ill), "row": np.arange(500) + 0.5})
    return X, pd.Series(np.where(ill == 1, label, "no"), name="ill")


def quick(X: Any, y: Any, at: Any, **how: Any) -> Sweep:
    settings: dict[str, Any] = {
        "strategies": ["class_weight", "oversample"],
        "estimator": LogisticRegression(),
        "folds": 2,
        "repeats": 1,
        "random_state": 0,
    }
    return sweep(X, y, at=at, **settings | how)


@pytest.fixture(scope="module")
def found() -> Sweep:
    return quick(*table(), [0.2, 0.05, 10])


def test_a_frame_and_its_target_are_taken_as_features_and_classes_are(found: Sweep) -> None:
    X, y = table()
    other = quick(X.assign(ill=y), None, [0.2, 0.05, 10], target="ill")
    pd.testing.assert_frame_equal(other.to_frame(), found.to_frame())


def test_rates_and_rows_are_what_was_asked_for_the_rarest_first(found: Sweep) -> None:
    assert [point.rare for point in found.points] == [10, 21, 100]
    assert [point.rows for point in found.points] == [410, 421, 500]
    assert found.rates == pytest.approx([10 / 410, 21 / 421, 0.2])
    assert found.always_no == pytest.approx([400 / 410, 400 / 421, 0.8])
    assert (found.rare, found.rows, found.label) == (100, 500, "yes")


def test_a_point_is_what_compare_says_of_the_thinned_table(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[pd.DataFrame] = []

    def spy(frame: pd.DataFrame, **how: Any) -> Any:
        seen.append(frame.rename(columns={"ill": "y"}))
        return compare(frame, **how)

    monkeypatch.setattr("synthgen.comparison.sweep.compare", spy)
    X, y = table()
    quick(X, y, [0.05, 10])
    many, few = (set(frame["row"][frame["y"] == "yes"]) for frame in seen)
    assert few < many < set(X["row"][y == "yes"])
    for frame in seen:
        assert set(frame["row"][frame["y"] == "no"]) == set(X["row"][y == "no"])
        kept = X.assign(y=y).set_index("row").loc[frame["row"]].reset_index()
        pd.testing.assert_frame_equal(kept[frame.columns], frame, check_column_type=False)


def test_ranking_gets_harder_and_always_no_looks_better(found: Sweep) -> None:
    nothing = found.curve("nothing")
    assert nothing[0] < nothing[-1] - 0.1
    assert found.always_no[0] > found.always_no[-1] + 0.1
    lines = found.note_lines()
    assert "2.439% (10 rows)" in lines[1]
    assert "a classifier that never predicts the class is right on 97.56% of rows" in lines[1]


def test_a_point_does_not_depend_on_the_others_and_goes_on(found: Sweep, tmp_path: Path) -> None:
    X, y = table()
    alone = quick(X, y, [10], resume=tmp_path / "kept.json")
    assert alone.curve("oversample")[0] == found.curve("oversample")[0]
    assert [path.name for path in tmp_path.iterdir()] == ["kept.10.json"]
    again = quick(X, y, [10], resume=tmp_path / "kept.json")
    assert again.points[0].seconds == alone.points[0].seconds  # nothing was done again


def test_repr_leads_with_the_finding_and_the_frame_has_every_point(found: Sweep) -> None:
    for each in (found, replace(found, points=found.points * 5)):
        lines = repr(each).splitlines()
        assert len(lines) <= 12
        assert max(map(len, lines)) <= 100
        assert " ".join(lines).startswith(found.recommendation.text)
    frame = found.to_frame()
    assert len(frame) == sum(len(point.results) for point in found.points)
    means = frame.query("strategy == 'oversample' and metric == 'average_precision'")
    assert means["mean"].tolist() == found.curve("oversample")
    assert means["rate"].tolist() == found.rates
    assert means["rare"].tolist() == [10, 21, 100]


def test_json_holds_curves_and_every_comparison(found: Sweep) -> None:
    plain = json.loads(json.dumps(found.to_json()))
    assert len(plain["points"]) == len(plain["rates"]) == 3
    assert plain["curves"]["oversample"] == found.curve("oversample")
    assert plain["always_no_accuracy"] == found.always_no


@pytest.mark.parametrize(
    ("at", "code", "said"),
    [
        ([], 258, "at least one"),
        ([-0.1], 258, "rates below 1"),
        (["0.1"], 258, "rates below 1"),
        ([float("nan")], 258, "rates below 1"),
        ([10.5], 258, "neither"),
        ([0.3], 259, "171 rows of the class, but the table has 100"),
        ([0.01], 260, "leaves 4 rows"),
    ],
)
def test_what_cannot_be_is_refused(at: list[Any], code: int, said: str) -> None:
    with pytest.raises(SynthgenError, match=said) as caught:
        quick(*table(), at)
    assert caught.value.code == code


# --- its page -----------------------------------------------------------------------------------


def test_the_page_has_every_rate_and_says_what_always_no_is_worth(found: Sweep) -> None:
    page = Page(render_sweep(found))
    said = " ".join(page.text.split())
    for expected in (
        "In 100 of 500 rows, “",
        "2.4 %1097.56 %",
        "20 %10080 %",
        "accuracy of a classifier that never predicts the class",
        "At 5 %, 21 rows of the class",
        found.points[0].verdict["ranking"].text.partition(":")[2],
    ):
        assert " ".join(expected.split()) in said, expected
    assert page.tags.count("figure") == page.tags.count("figcaption") == 2
    assert page.tags.count("table") == page.tags.count("caption") == 2
    assert render_sweep(found) == render_sweep(found)


def test_hostile_labels_are_text() -> None:
    page = Page(render_sweep(quick(*table(HOSTILE), [20, 40], strategies=[])))
    assert page.tags.count("script") == 1
    assert f"“{HOSTILE}”" in page.text


@pytest.mark.browser
def test_a_browser_finds_no_error_and_asks_for_nothing(tmp_path: Path, found: Sweep) -> None:
    (tmp_path / "page.html").write_text(render_sweep(found), encoding="utf-8")
    dom, console, asked = browse(tmp_path / "page.html")
    assert (console, asked) == ([], [])
    assert {"sweep", "points", "all", "run"} <= set(Page(dom.partition("<!DOCTYPE html>")[2]).ids)


def test_a_notebook_shows_each_rate_and_the_curves(found: Sweep, tmp_path: Path) -> None:
    page = cards_of(found)
    text = " ".join(page.text.split())
    assert "Ranking with 10 rows of the class:" in text
    assert found.points[0].verdict["ranking"].text.partition(": ")[2] in text
    assert page.tags.count("svg") == 1
    found.to_html(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == render_sweep(found)
