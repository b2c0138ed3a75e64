"""Clouds of rows: which pairs are drawn, what they say, and what cannot be drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from synthgen.report.clouds import POINTS, axis_ticks, clouds, contour_levels
from synthgen.report.figures import Figures, value_text
from synthgen.tables.column import Column
from synthgen.tables.table import Table


def rows(seed: int, tie: float, size: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    a, c = rng.normal(size=(2, size))
    b = tie * a + np.sqrt(1 - tie**2) * rng.normal(size=size)
    zero = np.where(rng.random(size) < 0.7, 0.0, rng.uniform(1, 9, size))
    frame = pd.DataFrame(
        {"a": a, "b": b, "c": c, "zero": zero, "sex": rng.choice(["f", "m"], size)}
    )
    return frame.assign(ill=["y", "n"] * (size // 2))


def drawn(*frames: pd.DataFrame) -> list[dict[str, str]]:
    return clouds(Table.of(frames[0], target="ill"), frames, Figures())


def test_the_pair_that_goes_together_is_drawn_and_its_loss_is_told():
    found = drawn(rows(0, 0.9), rows(1, 0.0), rows(2, 0.9))
    assert [f["title"] for f in found[:2]] == [
        "All columns on the two main axes of the real rows",
        "a and b",
    ]
    real, made = found[1]["caption"].removeprefix("Spearman’s ρ ").split(" in real rows, ")
    assert float(real) > 0.8
    assert abs(float(made.split()[0].replace("−", "-"))) < 0.2
    # A column with most rows at one value has no contour.
    assert not any("zero" in f["title"] for f in found)
    assert all(f["svg"].startswith("<svg") for f in found)
    assert found[0]["svg"].count("<use") <= 3 * POINTS + 20


def test_few_rows_or_columns_are_not_drawn():
    assert drawn(rows(0, 0.9), rows(1, 0.9, size=20)) == []
    one = rows(0, 0.9)[["a", "ill"]]
    assert drawn(one, one) == []


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_contours_enclose_the_share_that_is_said(share: float):
    density = np.random.default_rng(0).gamma(1.0, size=(40, 40))
    level = max(contour_levels(density)) if share == 0.5 else min(contour_levels(density))
    assert density[density >= level].sum() / density.sum() == pytest.approx(share, abs=0.01)
    assert contour_levels(np.zeros((4, 4))) == []


@pytest.mark.parametrize(
    ("value", "text"), [(1995.0, "1995"), (12_345.0, "12,345"), (-7.0, "-7"), (3e8, "3e+08")]
)
def test_a_year_has_no_comma(value: float, text: str):
    assert value_text(Column("n", "integer", np.dtype("int64")), value) == text


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([0.0, 50.0, 100.0], [0.0, 50.0, 100.0]),
        ([0.0, 9.0, 100.0], [0.0, 100.0]),  # the text of 9 would lie on that of 0
        ([0.0, 91.0, 100.0], [0.0, 100.0]),
        ([7.0, 7.0, 7.0], [7.0]),
    ],
)
def test_texts_of_ticks_do_not_touch(values: list[float], ticks: list[float]):
    spread = np.repeat(values, [25, 50, 25])
    assert axis_ticks(spread, 1.2 * (max(values) - min(values)) or 1.0) == ticks
