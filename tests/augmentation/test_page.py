"""The page of an augmented table: whole, safe, and with figures that say what they should."""

import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from pages import Page, cards_of

from synthgen.augmentation.amount import Validated
from synthgen.augmentation.augment import augment
from synthgen.augmentation.augmented import Augmented
from synthgen.augmentation.page import MAX_FIGURES, augmented_page, column_shapes, write_report
from synthgen.synthesizers.bootstrap import SmoothedBootstrap
from synthgen.synthesizers.tvae import TVAE

MANIFEST: dict[str, Any] = {
    "seed": 0,
    "device": "cpu",
    "warnings": [],
    "data": None,
    "synthgen": None,
}


def table(rows: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "dose": rng.normal(size=rows).round(2),
            "sex": rng.choice(["f", "m"], rows),
            "ill": np.arange(rows) < rows // 4,
        }
    )


def made(frame: pd.DataFrame, **more: Any) -> Augmented:
    how: dict[str, Any] = {"synthesizer": "bootstrap", "ratio": "double", "random_state": 0}
    return augment(frame, "ill", **how | more)


def page_of(result: Augmented) -> Page:
    return Page(augmented_page(result))


def replaced(result: Augmented, column: str, values: Any) -> Augmented:
    """The result with other new rows."""
    frame = result.frame.copy()
    frame.loc[result.is_synthetic, column] = values
    return replace(result, pandas_frame=frame)


# --- scores -------------------------------------------------------------------------------------


def test_scores_tell_a_copy_from_a_failure():
    result = made(table(2000))
    shapes = {s.column.name: s for s in column_shapes(result, True)}
    assert all(s.value > 0.85 and s.reference > 0.85 for s in shapes.values())
    shifted = replaced(result, "dose", 99.0)
    assert column_shapes(shifted, True)[0].value == pytest.approx(0, abs=1e-9)
    only_f = column_shapes(replaced(result, "sex", "f"), True)[1]
    share = (table(2000)["sex"][:500] == "f").mean()
    assert only_f.value == pytest.approx(share, abs=0.03)
    assert only_f.reference == pytest.approx(shapes["sex"].reference, abs=0.05)


def test_missing_counts_as_a_value():
    frame = table(2000)
    frame.loc[::2, "dose"] = np.nan
    result = made(frame)
    shape = column_shapes(result, True)[0]
    assert shape.missing_real == 0.5
    assert shape.missing_made == pytest.approx(0.5, abs=0.1)
    none_missing = column_shapes(replaced(result, "dose", 0.0), True)[0]
    assert none_missing.missing_made == 0
    assert none_missing.value < 0.6


def test_scores_are_the_same_each_time():
    result = made(table())
    assert column_shapes(result, True) == column_shapes(result, True)


# --- the page -----------------------------------------------------------------------------------


def columns_drawn(page: Page) -> int:
    """Figures without the clouds of rows."""
    clouds = page.text.count("Spearman’s ρ") + page.text.count("principal components")
    return page.tags.count("svg") - clouds


def test_headline_counts_and_figures():
    page = page_of(made(table()))
    assert page.tags.count("h1") == 1
    assert page.tags.count("figure") == page.tags.count("figcaption") == page.tags.count("svg")
    assert columns_drawn(page) == 2
    assert page.tags.count("table") == page.tags.count("caption")
    assert "50 new rows of “True” from 50 real ones" in " ".join(page.text.split())


def test_nothing_comes_from_the_network(tmp_path: Path):
    write_report(made(table()), tmp_path, MANIFEST)
    text = (tmp_path / "report.html").read_text()
    assert all(link.startswith("#") for link in Page(text).links)
    assert "url(http" not in text
    assert "<script" not in text
    assert "#010101" not in text  # every stand-in became a colour of the page


def test_training_curves_of_a_network():
    frame = table(1000)
    result = made(frame, synthesizer=TVAE(scope="class", steps=40))
    page = page_of(result)
    assert columns_drawn(page) == 2 + 2
    assert "40 steps" in page.text
    assert "energy distance" in page.text


def test_several_classes_share_the_figures():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(300, 20))).rename(columns="x{}".format)
    frame["ill"] = np.repeat(["a", "b", "c"], [200, 50, 50])
    page = page_of(made(frame, labels=["b", "c"]))
    assert columns_drawn(page) == MAX_FIGURES
    assert page.text.count("Not drawn") == 2


def test_what_the_guard_refused():
    text = " ".join(page_of(made(table(), rules=["dose < 0 or sex == 'f'"])).text.split())
    assert "What the guard refused" in text
    assert re.search(r"rule: dose < 0 or sex == 'f' ?\d+", text)
    assert re.search(r"\d+\.0% of the real rows of “True” break “dose < 0 or sex == 'f'”", text)
    assert "near copies of training rows were not refused" in text
    assert (
        "Nothing: all drawn rows satisfy"
        in page_of(made(table(), synthesizer=SmoothedBootstrap(bandwidth=0))).text
    )


def test_hostile_names_and_values_are_text():
    frame = table()
    frame["sex"] = frame["sex"].map({"f": "<script>alert(1)</script>", "m": "$x^{2$ 😀\n\x00"})
    frame = frame.rename(columns={"dose": "<img src=x onerror=y> $\\frac$", "sex": "a&b\"'"})
    page = page_of(made(frame))
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert "<img src=x onerror=y> $\\frac$" in page.text


EXTRA: dict[str, Any] = {
    "near the greatest float": 1.7e308 * np.linspace(-1, 1, 200),
    "near the least float": np.linspace(1e-300, 9e-300, 200),
    "heavy tail": np.exp(np.random.default_rng(0).normal(0, 6, 200)),
    "one number or missing": np.where(np.arange(200) % 3 == 0, np.nan, 1.5),
    "few integers": np.arange(200) % 3,
    "great integers": np.arange(200) * 10**14,
    "old dates": pd.date_range("1700-01-01", periods=200, freq="366D"),
    "one date or missing": pd.Series([pd.Timestamp("2020-01-01"), pd.NaT] * 100),
    "long texts": [f"level {i % 60} is longer than a figure is wide" for i in range(200)],
    "all missing": np.full(200, np.nan),
    "constant": np.full(200, 7),
    "booleans with missing": [None] * 50 + [True, False] * 75,
}


@pytest.mark.parametrize("kind", EXTRA)
def test_columns_of_any_kind_and_range(kind: str):
    page = page_of(made(table().assign(extra=EXTRA[kind])))
    assert columns_drawn(page) == (2 if kind in ("all missing", "constant") else 3)


def test_dates_of_old_are_not_moved():
    dates = pd.Series(pd.date_range("1700-01-01", periods=200, freq="100D")).sample(
        frac=1, random_state=0, ignore_index=True
    )
    shown = re.findall(r"\b17\d\d-\d\d-\d\d", page_of(made(table().assign(born=dates))).text)
    assert len({day[:3] for day in shown}) > 2  # of several decades


def test_the_smallest_class():
    frame = table(20).assign(ill=np.arange(20) < 2)
    assert "both scores vary much by chance" in " ".join(page_of(made(frame)).text.split())


def test_no_column_to_compare():
    frame = pd.DataFrame({"id": np.arange(40), "ill": np.arange(40) < 9})
    assert "No column can be compared." in page_of(made(frame)).text


def test_drawing_leaves_matplotlib_and_warnings_as_they_were():
    settings, filters = dict(matplotlib.rcParams), list(warnings.filters)
    page_of(made(table()))
    assert dict(matplotlib.rcParams) == settings
    assert list(warnings.filters) == filters


def test_the_same_table_gives_the_same_page():
    result = made(table())
    first, second = augmented_page(result), augmented_page(result)
    assert first == second
    assert not re.search(r"\d{4}-\d{2}-\d{2}T", first)


def test_a_notebook_shows_the_new_rows_and_the_column_that_differs_most(tmp_path: Path):
    result = replaced(made(table().rename(columns={"dose": "<b>dose"})), "<b>dose", 99.0)
    page = cards_of(result)
    assert "New rows: 50 of 'True'" in " ".join(page.text.split())
    assert "<b>dose, the column that differs most: similarity 0.00" in page.text
    assert columns_drawn(page) == 1
    result.to_html(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == augmented_page(result)


def test_no_new_rows_are_a_page_too():
    result = made(table(), ratio=None, n_samples=1)
    none = replace(
        result,
        pandas_frame=result.real,
        is_synthetic=np.zeros(200, dtype=bool),
        additions=(replace(result.additions[0], rows=0),),
        after=result.before,
    )
    assert "No new rows" in Page(augmented_page(none)).text
    assert cards_of(none).tags.count("svg") == 0
    curve = {"none": 0.4, "10 %": 0.38, "30 %": 0.37}
    tried = Validated(0.0, {True: 0}, curve, "none", "New rows did not improve a classifier.")
    page = Page(augmented_page(replace(none, validated=tried)))
    assert page.tags.count("svg") == 1  # what each amount was worth
    assert "10 %" in page.text
    assert "New rows did not improve a classifier." in page.text


def test_the_page_says_that_it_can_show_single_rows():
    text = " ".join(page_of(made(table())).text.split())
    assert "This page can show values of single rows" in text
