"""Trees draw columns in an order that they find in the rows; exact relations hold in any order."""

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


def fitted(X: pd.DataFrame) -> SequentialTrees:
    rng = np.random.default_rng(1)
    return SequentialTrees(random_state=0).fit(X, pd.Series(rng.random(len(X)) < 0.3, name="y"))


def test_weighted_sums_and_sums_with_missing_parts_hold() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(1, 99, 3000), rng.integers(0, 99, 3000)
    limit = rng.integers(100, 9000, 3000) * 1.0
    used = np.floor(limit * rng.random(3000))
    used[rng.random(3000) < 0.1] = np.nan
    X = pd.DataFrame({"a": a, "b": b, "c": 2 * a - b, "limit": limit, "used": used})
    made = fitted(X.assign(free=limit - used)).sample(5000, random_state=0)
    assert (made["c"] == 2 * made["a"] - made["b"]).all()
    assert made["free"].equals(made["limit"] - made["used"])


def test_a_rest_keeps_the_unit_and_the_range_of_the_total() -> None:
    rng = np.random.default_rng(0)
    loan = rng.integers(10, 400, 3000) * 100.0
    repaid = (loan * rng.random(3000)).round(2)
    shares = (rng.dirichlet([2, 3, 4], 3000) * 100).round(1)
    X = pd.DataFrame({"loan": loan, "repaid": repaid, "left": (loan - repaid).round(2)})
    X = X.assign(all=shares.sum(1).round(1), p=shares[:, 0], q=shares[:, 1], r=shares[:, 2])
    made = fitted(X).sample(5000, random_state=0)
    assert (made["loan"] % 100 == 0).all()
    assert np.allclose(made["loan"], made["repaid"] + made["left"], atol=0.006)
    assert made["all"].between(99.7, 100.3).all()
    assert np.allclose(made["all"], made[["p", "q", "r"]].sum(axis=1))


def test_a_limit_follows_a_column_that_others_determine() -> None:
    rng = np.random.default_rng(0)
    one, two = rng.integers(0, 50, (2, 3000))
    X = pd.DataFrame({"one": one, "two": two, "total": one + two})
    X["limit"] = X["total"] + rng.integers(0, 60, 3000)
    made = fitted(X).sample(5000, random_state=0)
    assert (made["total"] == made["one"] + made["two"]).all()
    assert (made["total"] <= made["limit"]).all()


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
