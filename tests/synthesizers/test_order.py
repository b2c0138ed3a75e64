"""The order in which trees draw columns does not depend on the table's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from synthgen.synthesizers.trees import SequentialTrees


def drawn(model: SequentialTrees) -> list[Any]:
    """The columns in the order in which they are drawn, without the class."""
    return [part.bins.column.name for part in model.parts_][1:]


def noisy(rows: int = 4000) -> tuple[pd.DataFrame, pd.Series]:
    """Three measurements of one cause, which is a column as well, and a column of noise."""
    rng = np.random.default_rng(0)
    cause = rng.normal(size=rows)
    frame = pd.DataFrame({"noise": rng.normal(size=rows), "one": 0.0, "two": 0.0, "three": 0.0})
    for name in ("one", "two", "three"):
        frame[name] = cause + rng.normal(0, 0.7, rows)
    frame["cause"] = cause
    return frame, pd.Series(cause + rng.normal(size=rows) > 1, name="y")


def test_the_column_that_tells_most_is_drawn_first_wherever_it_stands() -> None:
    X, y = noisy()
    for columns in (list(X), list(X)[::-1]):
        model = SequentialTrees(random_state=0).fit(X[columns], y)
        assert drawn(model)[0] == "cause"
        assert drawn(model)[-1] == "noise"
        assert list(model.sample(9, random_state=0)) == [*columns, "y"]


@pytest.mark.parametrize("first", ["state", "town"])
def test_a_level_that_another_determines_follows_it(first: str) -> None:
    rng = np.random.default_rng(0)
    town = pd.Series(rng.integers(0, 40, 4000).astype(str))
    X = pd.DataFrame({"town": town, "state": (town.astype(int) // 8).astype(str)})
    X = X[[first, *X.columns.drop(first)]].assign(rent=town.astype(int) // 8 + rng.random(4000))
    model = SequentialTrees(random_state=0).fit(X, pd.Series(rng.random(4000) < 0.3, name="y"))
    made = model.sample(4000, random_state=0)
    assert (made["town"].astype(int) // 8 == made["state"].astype(int)).all()
    assert drawn(model).index("town") < drawn(model).index("state")


@pytest.mark.parametrize("names", [["total", "one", "two"], ["one", "total", "two"]])
def test_a_total_is_drawn_after_its_parts_so_that_none_is_negative(names: list[str]) -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"one": rng.integers(0, 50, 3000), "two": rng.poisson(2, 3000)})
    X["more"] = rng.poisson(3, 3000)
    X["total"] = X.sum(axis=1)
    X = X[[*names, "more"]]
    model = SequentialTrees(random_state=0).fit(X, pd.Series(rng.random(3000) < 0.3, name="y"))
    made = model.sample(5000, random_state=0)
    assert (made[["one", "two", "more"]].sum(axis=1) == made["total"]).all()
    assert (made >= 0).all(axis=None)
    assert drawn(model)[-1] == "total"


def test_cents_are_not_copied_into_a_column_of_whole_hundreds() -> None:
    rng = np.random.default_rng(0)
    loan = rng.integers(10, 400, 3000) * 100.0
    repaid = np.where(rng.random(3000) < 0.3, loan, (loan * rng.random(3000)).round(2))
    X = pd.DataFrame({"repaid": repaid, "loan": loan})
    model = SequentialTrees(random_state=0).fit(X, pd.Series(rng.random(3000) < 0.3, name="y"))
    made = model.sample(5000, random_state=0)
    assert (made["loan"] % 100 == 0).all()
    assert abs((made["loan"] == made["repaid"]).mean() - 0.3) < 0.05


def test_a_column_that_tells_the_last_digits_of_others_comes_before_them() -> None:
    rng = np.random.default_rng(0)
    fine = rng.random(3000) < 0.5
    places = rng.normal([[44.9], [-93.2]], 0.05, (2, 3000))
    X = pd.DataFrame(dict(zip("xy", np.where(fine, places.round(8), places.round(5)), strict=True)))
    model = SequentialTrees(random_state=0).fit(
        X.assign(fine=fine), pd.Series(rng.random(3000) < 0.3, name="y2")
    )
    assert drawn(model)[0] == "fine"
    made = model.sample(2000, random_state=0)
    is_short = made["x"] == made["x"].round(5)
    assert (is_short != made["fine"]).mean() > 0.97
