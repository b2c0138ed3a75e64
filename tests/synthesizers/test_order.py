"""Trees draw columns in an order that they find in the rows; exact relations hold in any order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from synthgen.synthesizers import trees
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


def in_parts(rows: int = 4000) -> pd.DataFrame:
    """A total in cents, its three parts, and their percentages."""
    rng = np.random.default_rng(0)
    shares, total = rng.dirichlet([2, 1, 0.5], rows), np.exp(rng.normal(5, 1, rows)).round(2)
    frame = pd.DataFrame(dict(zip("pqr", (shares.T * total).round(2), strict=True)))
    frame["r"] = (total - frame["p"] - frame["q"]).round(2).clip(0.0, None)
    percent = pd.DataFrame(dict(zip("stu", (100 * shares.T).round(1), strict=True)))
    percent["u"] = (100 - percent["s"] - percent["t"]).round(1).clip(0.0, None)
    return pd.concat([frame.sum(axis=1).round(2).rename("total"), frame, percent], axis=1)


def test_no_part_of_a_total_is_negative_and_the_total_is_computed_from_its_parts() -> None:
    X = in_parts()
    for columns in (["total", "p", "q", "r"], ["p", "q", "r", "total"]):
        model = fitted(X[columns])
        made = model.sample(5000, random_state=0)
        assert drawn(model)[-1] == "total"
        assert np.allclose(made["total"], made[["p", "q", "r"]].sum(axis=1), atol=0.006)
        assert (made[columns] >= 0).all(axis=None)


def test_the_last_of_several_percentages_is_not_negative() -> None:
    X = in_parts()[["s", "t", "u"]]
    made = fitted(X).sample(5000, random_state=0)[list(X)]
    assert np.allclose(made.sum(axis=1), 100, atol=0.06)
    assert (made >= 0).all(axis=None)
    assert (made <= X.max() + 1e-9).all(axis=None)
    # The smallest values are not more frequent than in training: nothing piles up at the limits.
    assert (made <= 1).mean().le((X <= 1).mean() + 0.02).all()


def stays(rows: int = 3000) -> pd.DataFrame:
    """Stays from a few minutes to a day, given by two dates, a span and two roundings of it."""
    rng = np.random.default_rng(0)
    seconds = rng.integers(0, 500 * 86_400, rows)
    start = pd.Timestamp("2021-01-01") + pd.to_timedelta(seconds, unit="s")
    minutes = rng.exponential(200, rows).round()
    span = pd.to_timedelta(pd.Series(minutes), unit="min")
    frame = pd.DataFrame({"start": start, "end": start + span, "span": span})
    return frame.assign(minutes=minutes.astype(int), hours=(minutes / 60).round(2))


@pytest.mark.parametrize(
    "columns",
    [
        ["start", "end", "minutes"],
        ["minutes", "end", "start"],
        ["start", "span", "end"],
        ["end", "minutes", "start", "hours", "span"],
    ],
)
def test_a_date_is_another_one_plus_the_time_between_them(columns: list[str]) -> None:
    X = stays()
    made = fitted(X[columns]).sample(5000, random_state=0)
    between = (made["end"] - made["start"]).dt.total_seconds() / 60
    if "minutes" in made:
        assert (between == made["minutes"]).all()
    if "span" in made:
        assert (made["end"] - made["start"] == made["span"]).all()
    if "hours" in made:
        assert (made["hours"] - between / 60).abs().max() < 0.0051
    assert between.min() >= 0
    assert abs(between.mean() - 200) < 15  # dates that are drawn one by one are hours apart
    assert made["start"].between(X["start"].min(), X["start"].max()).all()


def test_a_date_that_is_always_a_week_after_another_stays_so_and_missing_dates_too() -> None:
    X = stays()[["start", "end"]]
    X["due"] = X["start"] + pd.Timedelta(days=7)
    X.loc[::5, "end"] = pd.NaT
    X["minutes"] = (X["end"] - X["start"]).dt.total_seconds() / 60
    made = fitted(X).sample(5000, random_state=0)
    assert (made["due"] - made["start"] == pd.Timedelta(days=7)).all()
    assert (made["end"].isna() == made["minutes"].isna()).all()
    there = made["end"].notna()
    assert abs(there.mean() - 0.8) < 0.03
    between = (made["end"] - made["start"]).dt.total_seconds() / 60
    assert (between[there] == made.loc[there, "minutes"]).all()


def test_a_file_keeps_relations_of_dates(tmp_path: Path) -> None:
    model = fitted(stays())
    model.save(tmp_path / "stays.model")
    again = SequentialTrees.load(tmp_path / "stays.model")
    pd.testing.assert_frame_equal(
        model.sample(99, random_state=0), again.sample(99, random_state=0)
    )


def test_a_rounded_age_follows_from_two_dates() -> None:
    rng = np.random.default_rng(0)
    born = pd.Timestamp("1950-01-01") + pd.to_timedelta(rng.integers(0, 18_000, 3000), unit="D")
    seen = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, 3000), unit="D")
    weeks = pd.Series((seen - born).days / 7).round(1)
    made = fitted(pd.DataFrame({"born": born, "seen": seen, "weeks": weeks})).sample(
        5000, random_state=0
    )
    assert ((made["seen"] - made["born"]).dt.days / 7 - made["weeks"]).abs().max() < 0.051
    assert made["seen"].min() >= pd.Timestamp("2020-01-01")


@pytest.mark.parametrize("columns", [["end", "days", "start"], ["days", "end", "start"]])
def test_the_later_date_is_computed_and_stays_in_its_range(columns: list[str]) -> None:
    X = stays()
    X = X.assign(start=X["start"].dt.floor("D"), days=X["minutes"] % 30)
    X["end"] = X["start"] + pd.to_timedelta(X["days"], unit="D")
    model = fitted(X[columns])
    made = model.sample(5000, random_state=0)
    assert drawn(model)[-1] == "end"
    assert ((made["end"] - made["start"]).dt.days == made["days"]).all()
    assert made["end"].between(X["end"].min(), X["end"].max()).all()


@pytest.fixture
def in_order_of_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "drawing_order", lambda parts, *_: list(range(len(parts))))


@pytest.mark.usefixtures("in_order_of_table")
def test_an_order_holds_even_where_a_sum_then_leaves_its_range() -> None:
    rng = np.random.default_rng(0)
    a, c = rng.integers(0, 60, (2, 3000))
    b = a + rng.integers(0, 60, 3000)
    keep = b + c < 90
    X = pd.DataFrame({"a": a, "c": c, "b": b, "total": b + c})[keep].reset_index(drop=True)
    made = fitted(X).sample(5000, random_state=0)
    assert (made["a"] <= made["b"]).all()
    assert (made["b"] + made["c"] == made["total"]).all()


@pytest.mark.parametrize("what", ["cost", "end"])
def test_no_weight_is_stored_that_one_row_determines(what: str) -> None:
    rng = np.random.default_rng(0)
    start = pd.Timestamp("2021-01-01") + pd.to_timedelta(rng.integers(0, 500, 400), unit="D")
    X = pd.DataFrame({"start": start, "flag": np.where(np.arange(400) == 7, 2.5, 0.0)})
    X["cost"], X["end"] = X["flag"] * 74938.2, start + pd.to_timedelta(X["flag"] * 14.8, unit="D")
    model = fitted(X[["start", "flag", what]])
    assert not any(part.relation.inputs for part in model.parts_)


@pytest.mark.usefixtures("in_order_of_table")
def test_a_bin_that_spans_exact_values_is_no_limit_for_them() -> None:
    """The bin of rare ages from 17 to 89 has a code among those of the frequent ages."""
    ages = np.concatenate(
        [np.repeat(np.arange(30, 71), 10), [17, 17, 17, 18, 18, 18], range(83, 90)]
    )
    rng = np.random.default_rng(1)
    X = pd.DataFrame({"age": rng.permutation(ages)})
    X["since"] = X["age"] - rng.integers(0, 17, len(X))
    X.loc[::3, "since"] = np.nan
    made = fitted(X[["since", "age"]]).sample(5000, random_state=0)
    young = (X["age"] < 50).mean()
    assert abs((made["age"] < 50).mean() - young) < 0.04


def test_cells_beyond_a_limit_are_drawn_again_and_do_not_pile_up_there() -> None:
    low, high = np.sort(np.random.default_rng(0).normal(size=(2, 4000)), axis=0)
    made = fitted(pd.DataFrame({"low": low, "high": high})).sample(5000, random_state=0)
    assert (made["low"] <= made["high"]).all()
    assert (made["low"] == made["high"]).mean() < 0.005


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
