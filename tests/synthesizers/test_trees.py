"""Sequential trees: the contract, what must come out exactly, and what a file may tell."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from checks import mixed

from synthgen.encoding.disclosure import rounded_count
from synthgen.errors import ModelFileError, UsageError
from synthgen.synthesizers import trees as module
from synthgen.synthesizers.binning import fit_bins
from synthgen.synthesizers.forest import grow
from synthgen.synthesizers.shifts import differences
from synthgen.synthesizers.tree_columns import BLOCK, TreeColumn, draw_block
from synthgen.synthesizers.trees import SequentialTrees
from synthgen.tables.column import Column
from synthgen.tables.schema import Schema
from synthgen.tables.table import Table
from synthgen.training.model_file import read_model, write_model


def table(rows: int = 3000, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    """Columns that are tied exactly, and a class that depends on them."""
    rng = np.random.default_rng(seed)
    price = rng.lognormal(3, 0.7, rows).round(2)
    tax = (price * rng.choice([0.07, 0.19], rows)).round(2)
    opened = rng.integers(0, 3000, rows)
    town = rng.choice(["Ulm", "Bonn", "Kiel", "Jena", "Hof"], rows, p=[0.4, 0.3, 0.15, 0.1, 0.05])
    state = pd.Series(town).map({"Ulm": "S", "Bonn": "W", "Kiel": "N", "Jena": "E", "Hof": "S"})
    frame = pd.DataFrame(
        {
            "price": price,
            "tax": tax,
            "total": (price + tax).round(2),
            "opened": opened,
            "closed": opened + rng.geometric(0.01, rows),
            "town": town,
            "state": state,
            "twice": 2 * opened,
            "hundreds": 100 * rng.integers(3, 4000, rows),
            "paid": np.where(rng.random(rows) < 0.4, price, rng.lognormal(3, 0.7, rows).round(2)),
            "income": rng.lognormal(10, 1, rows).round(0),
        }
    )
    frame["weight"] = rng.choice(rng.integers(10_000, 1_000_000, rows), rows)
    frame.loc[rng.random(rows) < 0.1, "income"] = np.nan
    y = pd.Series(np.where((price > 30) & (rng.random(rows) < 0.6), "late", "paid"), name="y")
    return frame, y


@pytest.fixture(scope="module")
def made() -> tuple[pd.DataFrame, pd.DataFrame]:
    X, y = table()
    model = SequentialTrees(classes=["late", "paid"], random_state=0).fit(X, y)
    return X, model.sample(20_000, random_state=0)


def test_sums_multiples_orders_and_what_one_column_decides_are_kept(made: Any) -> None:
    X, rows = made
    assert np.allclose(rows["price"] + rows["tax"], rows["total"], rtol=0, atol=1e-9)
    assert (rows["total"].round(2) == rows["total"]).all()
    assert (rows["twice"] == 2 * rows["opened"]).all()
    assert (rows["closed"] > rows["opened"]).all()
    assert not rows.groupby("town")["state"].nunique().gt(1).any()
    assert set(zip(rows["town"], rows["state"], strict=True)) == set(
        zip(X["town"], X["state"], strict=True)
    )
    assert (rows["hundreds"] % 100 == 0).all()


def test_a_copy_of_a_column_is_the_same_cell() -> None:
    X, y = table()
    X["again"] = X["weight"]
    rows = SequentialTrees(random_state=0).fit(X, y).sample(5000, random_state=0)
    assert (rows["again"] == rows["weight"]).all()


def test_cells_equal_each_other_as_often_as_in_training(made: Any) -> None:
    X, rows = made
    real, share = ((f["price"] == f["paid"]).mean() for f in (X, rows))
    assert abs(real - share) < 0.03


def test_values_repeat_as_often_as_in_training(made: Any) -> None:
    X, rows = made
    starts = range(0, len(rows) - len(X), len(X))  # a share of repeats depends on the rows
    for name in ("weight", "price", "income"):
        real, *shares = (
            f[name].dropna().duplicated(keep=False).mean()
            for f in (X, *(rows[start : start + len(X)] for start in starts))
        )
        assert abs(real - np.mean(shares)) < 0.04, name


def test_decimals_and_last_digits_are_those_of_training() -> None:
    rng = np.random.default_rng(0)
    round_off = rng.random(6000) < 0.7
    fine = rng.lognormal(4, 0.5, 6000)
    X = pd.DataFrame({"x": np.where(round_off, fine.round(1), fine.round(4))})
    y = pd.Series(rng.random(6000) < 0.2)
    rows = SequentialTrees(random_state=0).fit(X, y).sample(6000, random_state=0)
    assert (rows["x"].round(4) == rows["x"]).all()
    real, share = ((f["x"].round(1) == f["x"]).mean() for f in (X, rows))
    assert abs(real - share) < 0.02


def two_meters(rows: int, seed: int) -> tuple[pd.DataFrame, pd.Series]:
    """Places to eight decimals by one meter, to five by the other, whichever it was."""
    rng = np.random.default_rng(seed)
    fine = rng.random(rows) < 0.5
    places = rng.normal([[44.9], [-93.2]], 0.05, (2, rows))
    east, north = (np.where(fine, place.round(8), place.round(5)) for place in places)
    other = rng.integers(1, 10**6, rows)
    frame = pd.DataFrame({"fine": fine, "east": east, "north": north, "other": other})
    return frame, pd.Series(rng.random(rows) < 0.3, name="y")


def test_last_digits_depend_on_other_columns_as_in_training() -> None:
    X, y = two_meters(2500, 0)
    model = SequentialTrees(random_state=0).fit(X, y)
    learned = [part.bins.column.name for part in model.parts_ if part.digits is not None]
    assert learned == ["east", "north"]  # nothing tells the last digits of "other"
    made = model.sample(1000, label=True, random_state=0)
    for name in ("east", "north"):
        five = made[name] == made[name].round(5)
        assert five[made["fine"]].mean() < 0.02
        assert five[~made["fine"]].mean() > 0.98
        assert (made[name] == made[name].round(8)).all()


def test_a_file_keeps_last_digits(tmp_path: Path) -> None:
    model = SequentialTrees(random_state=0).fit(*two_meters(800, 1))
    model.save(tmp_path / "m.synthgen")
    loaded = SequentialTrees.load(tmp_path / "m.synthgen")
    assert any(part.digits is not None for part in loaded.parts_)
    expected = model.sample(60, label=True, random_state=1)
    pd.testing.assert_frame_equal(loaded.sample(60, label=True, random_state=1), expected)


def test_digits_that_fewer_than_five_rows_have_are_not_learned() -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"k": rng.normal(size=4000), "x": rng.integers(1, 9_000, 4000) * 100})
    X.loc[[0, 1, 2], "x"] = [123_456, 223_457, 323_411]
    model = SequentialTrees(random_state=0).fit(X, pd.Series(np.arange(4000) % 3 == 0))
    assert (model.sample(20_000, random_state=0)["x"] % 100 == 0).all()


def test_missing_cells_are_as_frequent_and_depend_on_the_others() -> None:
    rng = np.random.default_rng(0)
    kind = rng.choice(["a", "b"], 4000)
    x = np.where((kind == "a") & (rng.random(4000) < 0.6), np.nan, rng.normal(size=4000))
    X = pd.DataFrame({"kind": kind, "x": x})
    y = pd.Series(rng.random(4000) < 0.3)
    rows = SequentialTrees(random_state=0).fit(X, y).sample(4000, random_state=0)
    gone = rows["x"].isna().groupby(rows["kind"]).mean()
    assert abs(gone["a"] - 0.6) < 0.05
    assert gone["b"] == 0


def test_rows_of_a_longer_sample_are_the_same_across_blocks() -> None:
    X, y = table()
    model = SequentialTrees(random_state=0).fit(X, y)
    long = model.sample(2 * BLOCK + 5, label="late", random_state=3)
    for n in (1, BLOCK, BLOCK + 1):
        pd.testing.assert_frame_equal(model.sample(n, label="late", random_state=3), long.head(n))


def test_no_value_that_few_rows_hold_is_made_or_stored(tmp_path: Path) -> None:
    X, y = table()
    X.loc[X.index[:3], "town"] = ["Xanten", "Xanten", "Ypern"]
    X.loc[X.index[3:7], "income"] = [98765432.0, 98765433.0, 98765434.0, 98765435.0]
    model = SequentialTrees(classes=["late", "paid"], random_state=0).fit(X, y)
    rows = model.sample(20_000, random_state=0)
    assert not set(rows["town"]) & {"Xanten", "Ypern"}
    assert rows["income"].max() < 90_000_000
    notes = model.save(tmp_path / "m")
    assert any(note.startswith("town: 2 of 7 values") for note in notes)
    header, tensors = read_model(tmp_path / "m")
    text = json.dumps(header)
    for name in ("Xanten", "Ypern", "9876543"):
        assert name not in text
    for name, array in tensors.items():
        assert not np.isin([98765432, 98765433, 98765434, 98765435], array).any(), name


@pytest.mark.parametrize("decimals", [17, 3])
def test_a_file_holds_no_value_of_fewer_than_five_rows(decimals: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(decimals)
    values = rng.lognormal(3, 1, (3000, 10))
    X = pd.DataFrame(values if decimals > 16 else values.round(decimals))
    X.columns = [f"x{j}" for j in range(10)]
    X["near"] = X["x0"] * np.exp(rng.normal(0, 0.01, 3000))
    X["count"] = rng.lognormal(14, 2, 3000).astype(np.int64)
    y = pd.Series(rng.random(3000) < 0.4, name="y")
    model = SequentialTrees(classes=[False, True], trees=2, random_state=0).fit(X, y)
    assert shifted(model)
    model.save(tmp_path / "m")
    content = (tmp_path / "m").read_bytes()
    header, tensors = read_model(tmp_path / "m")
    limits = {c["name"]: {c.get("lower"), c.get("upper")} for c in header["columns"]}
    for j, name in enumerate(X):
        distinct, counts = np.unique(X[name], return_counts=True)
        rare = distinct[counts < 5]
        place = next(i for i, part in enumerate(model.parts_) if part.bins.column.name == name)
        bins = model.parts_[place].bins
        if not bins.scale and X[name].dtype == float:
            for value in rare:
                assert value.tobytes() not in content, (name, value)
            for key, array in tensors.items():
                assert not np.isin(array.astype(np.float64), rare).any(), key
                if array.dtype.kind == "f":
                    assert not np.isin(array.astype(np.float32), rare.astype(np.float32)).any()
        assert not limits[name] & set(rare.tolist()), (name, j)
        assert not np.isin(bins.plain(np.array(bins.limits)), rare).any(), name


@pytest.mark.parametrize("rows", [10, 11, 12, 14, 15, 40])
def test_limits_of_few_rows_lie_between_them(rows: int) -> None:
    values = np.random.default_rng(rows).lognormal(0, 3, rows)
    column = Column("x", "numeric", np.dtype(float))
    whole = (values * 1e6).astype(np.int64)
    rng = np.random.default_rng(0)
    for given, kind in (
        (values, column),
        (whole, replace(column, kind="integer", dtype=np.dtype(np.int64))),
    ):
        bins = fit_bins(kind, pd.Series(given), np.zeros(rows), rng)
        assert bins is not None
        low, high = bins.limits
        ordered = np.sort(given)
        assert ordered[4] < low < high < ordered[-5]
        assert not np.isin(bins.low, given).any()


def test_each_code_is_held_by_five_training_rows() -> None:
    X, y = table()
    model = SequentialTrees(classes=["late", "paid"], random_state=0).fit(X, y)
    for bins in (part.bins for part in model.parts_):
        series = y if bins.column.name == "y" else X[bins.column.name]
        values, gone = bins.values(series)
        counts = np.bincount(bins.encode(values[~gone]), minlength=bins.width)
        assert counts.min() >= 5, bins.column.name


def part_of(model: SequentialTrees, name: str) -> TreeColumn:
    """What trees learned about a column."""
    return next(part for part in model.parts_ if part.bins.column.name == name)


def shifted(model: SequentialTrees) -> dict[Any, Any]:
    """The columns that are drawn as shifts, and the columns that they are close to."""
    names = [part.bins.column.name for part in model.parts_]
    return {
        name: names[part.shifts.by]
        for name, part in zip(names, model.parts_, strict=True)
        if part.shifts is not None
    }


def balances(rows: int, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    """The balances of two months: mostly a few percent apart, at times 0, the first at times lost.

    `other` is close to `first` only because of the group of both, which is a column as well.
    """
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 12, rows)
    first = np.exp(rng.normal(0.8 * group, 0.5, rows)).round(2) + 1
    second = (first * np.exp(rng.normal(0, 0.02, rows))).round(2)
    second[rng.random(rows) < 0.1] = 0.0
    frame = pd.DataFrame({"group": group.astype(str), "first": first, "second": second})
    frame["other"] = (np.exp(rng.normal(0.8 * group, 0.1, rows)) + 1).round(2)
    frame.loc[rng.random(rows) < 0.1, "first"] = np.nan
    return frame, pd.Series(rng.random(rows) < 0.3, name="late")


def _apart(frame: pd.DataFrame) -> float:
    """Half of the rows with both balances differ by less than this, in logarithms."""
    paid = frame[frame["second"] > 0]
    return float(np.nanmedian(np.abs(np.log(paid["second"] / paid["first"]))))


def test_a_number_stays_as_close_to_an_earlier_one_as_in_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    X, y = balances(4000)
    model = SequentialTrees(classes=[False, True], random_state=0).fit(X, y)
    assert shifted(model)["first"] == "second"
    rows = model.sample(8000, random_state=0)
    assert 0.8 < _apart(rows) / _apart(X) < 1.25
    assert abs((rows["second"] == 0).mean() - 0.1) < 0.02
    assert (rows["second"] == rows["second"].round(2)).all()
    assert rows.loc[rows["first"].isna(), "second"].notna().all()
    monkeypatch.setattr("synthgen.synthesizers.shifts.CORRELATION", 1.0)
    without = SequentialTrees(classes=[False, True], random_state=0).fit(X, y)
    assert _apart(without.sample(8000, random_state=0)) > 2 * _apart(X)


def test_a_file_keeps_shifts(tmp_path: Path) -> None:
    X, y = balances(1500)
    model = SequentialTrees(classes=[False, True], random_state=0).fit(X, y)
    model.save(tmp_path / "m")
    loaded = SequentialTrees.load(tmp_path / "m")
    assert shifted(loaded) == shifted(model) != {}
    seed = np.random.SeedSequence(0)
    drawn, again = (draw_block(m.parts_, 1, 500, seed) for m in (model, loaded))
    np.testing.assert_array_equal(drawn, again)


@pytest.mark.parametrize(("rows", "noise"), [(420, 0.002), (600, 0.002), (450, 0.02), (3000, 0.1)])
def test_each_shift_is_held_by_five_training_rows(rows: int, noise: float) -> None:
    rng = np.random.default_rng(rows)
    one = rng.lognormal(3, 1, rows)
    X = pd.DataFrame({"one": one, "two": one * np.exp(rng.normal(0, noise, rows))})
    y = pd.Series(rng.random(rows) < 0.5)
    model = SequentialTrees(classes=[False, True], random_state=0).fit(X, y)
    shifts, parts = model.parts_[2].shifts, [part.bins for part in model.parts_]
    assert shifts is not None
    cells = [bins.values(X[bins.column.name]) for bins in parts[1:]]
    found = differences(shifts.by, parts, [cells[0], *cells])
    inside = ~parts[2].exact[parts[2].encode(cells[1][0])]
    counts = np.bincount(shifts.codes(found[inside]), minlength=shifts.width)
    assert counts.min() >= 5
    ordered = np.sort(found[inside])
    assert shifts.edges[0] >= ordered[4]
    assert shifts.edges[-1] <= ordered[-5]


@pytest.mark.parametrize("lost", [0.01, 0.1])
def test_a_number_whose_earlier_one_is_missing_is_drawn_from_such_rows(lost: float) -> None:
    rng = np.random.default_rng(0)
    one = rng.lognormal(5, 1, 6000)
    X = pd.DataFrame({"one": one, "two": one * np.exp(rng.normal(0, 0.02, 6000))})
    X.loc[rng.random(6000) < lost, "one"] = np.nan
    y = pd.Series(np.nan_to_num(X["one"]) > rng.lognormal(5, 0.5, 6000))  # told best by `one`
    model = SequentialTrees(classes=[False, True], random_state=0).fit(X, y)
    assert shifted(model) == {"two": "one"}
    made = model.sample(40_000, random_state=0)
    real, new = (np.log(f.loc[f["one"].isna(), "two"].to_numpy()) for f in (X, made))
    assert abs(real.mean() - new.mean()) < 0.3
    assert 0.7 < new.std() / real.std() < 1.3


def test_huge_and_whole_numbers_shift_within_their_limits() -> None:
    rng = np.random.default_rng(0)
    one = rng.lognormal(5, 0.3, 2000) * np.where(rng.random(2000) < 0.1, 1e200, 1)
    whole = rng.integers(2**62, 2**63 - 2**41, 2000)
    X = pd.DataFrame({"one": one, "two": one * np.exp(rng.normal(0, 0.02, 2000))})
    X["first"], X["second"] = whole, whole + rng.integers(-(2**40), 2**40, 2000)
    y = pd.Series(rng.random(2000) < 0.5)
    model = SequentialTrees(classes=[False, True], random_state=0).fit(X, y)
    assert {"one", "two"} & set(shifted(model))
    made = model.sample(4000, random_state=0)
    assert 0.5 < made["two"].quantile(0.98) / X["two"].quantile(0.98) < 2
    for name in ("first", "second"):
        assert made[name].between(X[name].min(), X[name].max()).all()
    assert made["second"].median() > 2**62 + 2**60


def test_a_copy_is_not_made_beyond_a_limit() -> None:
    """What is repaid is the loan or less, never more than all that was paid."""
    rng = np.random.default_rng(0)
    loan = rng.integers(10, 400, 3000) * 100.0
    paid = (loan * rng.uniform(0.05, 1.4, 3000)).round(2)
    repaid = np.where(paid > 1.1 * loan, loan, (0.8 * paid).round(2)).clip(max=loan)
    X = pd.DataFrame({"loan": loan, "noise": rng.normal(size=3000), "paid": paid, "repaid": repaid})
    model = SequentialTrees(random_state=0).fit(X, pd.Series(rng.random(3000) < 0.4, name="late"))
    names = [part.bins.column.name for part in model.parts_]
    relation = part_of(model, "repaid").relation
    assert [names[k] for k in relation.same] == ["loan"]
    assert {names[k] for k in relation.ceilings} == {"loan", "paid"}
    rows = model.sample(20_000, label=True, random_state=0)
    assert (rows["repaid"] <= rows["paid"]).all()
    assert (rows["repaid"] == rows["loan"]).mean() > 0.1


def test_a_wanted_value_is_met_where_the_bin_allows_it() -> None:
    values = pd.Series(np.random.default_rng(0).integers(1, 30_000, 6000) * 5)
    bins = fit_bins(Schema.infer(values.to_frame("x"))["x"], values, np.zeros(6000), _generator())
    assert bins is not None
    codes = np.flatnonzero(~bins.exact)[5:-5]
    low, high = (ends[bins.shares.starts[codes]] for ends in (bins.low, bins.high))
    wanted = low + (high - low) // 10 * 5
    made = bins.decode(codes, np.full(len(codes), 0.01), near=wanted.astype(float))
    near = np.abs(made - wanted) <= 50
    assert near.mean() > 0.9  # some items are a single value
    assert (made % 5 == 0).all()
    assert ((low <= made) & (made <= high)).all()


def _generator() -> np.random.Generator:
    return np.random.default_rng(0)


def test_a_bin_returns_few_training_values() -> None:
    """As few as as many fresh rows hold by chance."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=4000), "n": rng.integers(0, 10**9, 4000)})
    y = pd.Series(rng.random(4000) < 0.3)
    rows = SequentialTrees(random_state=0).fit(X, y).sample(4000, random_state=0)
    assert not rows["x"].isin(X["x"]).any()
    assert rows["n"].isin(X["n"]).mean() < 0.002


def test_bins_of_a_leaf_give_way_to_those_between_them_and_exact_values_do_not() -> None:
    codes = np.array([5, 5, 5, 20, 20, 24, 30], np.uint16)
    before = np.zeros((7, 1), np.uint16)
    forest = grow(before, codes, None, trees=1, min_leaf=7, seed=np.random.SeedSequence(0))
    uniform = np.linspace(0, 1, 4000, endpoint=False)
    is_bin = np.arange(40) != 30
    drawn = forest.draw(np.zeros((4000, 1), np.uint16), uniform, is_bin)
    assert set(drawn.tolist()) == {*range(5, 10), *range(16, 28), 30}
    assert np.mean(drawn == 30) == pytest.approx(1 / 7, abs=0.01)
    assert set(forest.draw(np.zeros((4000, 1), np.uint16), uniform).tolist()) == {5, 20, 24, 30}


@pytest.mark.parametrize("what", ["spread", "zeros"])
def test_trees_learn_what_leaves_the_mean_as_it_is(what: str) -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(6000, 6)), columns=[*"uvwxyz"])
    wide = X["x"] > 0
    if what == "spread":
        X["z"] = X["z"] * np.where(wide, 5, 1)
    else:
        X["z"] = np.where(rng.random(6000) < np.where(wide, 0.6, 0.1), 0, X["z"])
    made = (
        SequentialTrees(random_state=0)
        .fit(X, pd.Series(np.arange(6000) % 3 == 0))
        .sample(4000, random_state=0)
    )
    of = made["z"].groupby(made["x"] > 0)
    if what == "spread":
        low, high = of.std()
        assert 0.9 < low < 1.6
        assert 4 < high < 5.5
    else:
        low, high = of.agg(lambda z: (z == 0).mean())
        assert 0.07 < low < 0.2
        assert 0.5 < high < 0.65


@pytest.mark.parametrize(
    ("given", "rows", "least"),
    [(None, 500, 20), (None, 2000, 75), (None, 6000, 100), (None, 40_000, 200), (7, 6000, 7)],
)
def test_leaves_grow_with_the_class_unless_their_size_is_given(
    given: int | None, rows: int, least: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def seen(*arguments: Any, **more: Any) -> Any:
        asked.append(more["min_leaf"])
        return grow(*arguments, **more)

    monkeypatch.setattr(module, "grow", seen)
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=rows)})
    y = pd.Series(np.arange(rows) < 0.3 * rows)
    SequentialTrees(trees=1, min_leaf=given, random_state=0).fit(X, y)
    assert asked == [least]


@pytest.mark.parametrize(("rows", "rare"), [(3000, 30), (40_000, 60)])
def test_a_rare_class_does_not_disappear_among_the_others(rows: int, rare: int) -> None:
    rng = np.random.default_rng(0)
    ill = np.arange(rows) < rare
    X = pd.DataFrame({f"x{i}": rng.normal(size=rows) + 3 * ill for i in range(3)})
    model = SequentialTrees(random_state=0).fit(X, pd.Series(ill, name="ill"))
    made = model.sample(1000, label=True, random_state=0)
    kept = made.mean() / X[ill].mean()
    assert kept.mean() > 0.8


def test_a_rare_class_keeps_what_sets_it_apart_where_columns_depend_on_each_other() -> None:
    rng = np.random.default_rng(0)
    ill, common = np.arange(3000) < 60, rng.normal(size=3000)
    X = pd.DataFrame({name: common + 0.5 * rng.normal(size=3000) for name in "xyz"})
    X[["y", "z"]] += 1.5 * ill[:, None]
    model = SequentialTrees(random_state=0).fit(X, pd.Series(ill, name="ill"))
    made = model.sample(1000, label=True, random_state=0)
    apart = [rows[["y", "z"]].mean().mean() - rows["x"].mean() for rows in (made, X[ill])]
    assert apart[0] / apart[1] > 0.55  # 0.35 if splits take no notice of how rare the class is


def test_a_class_that_leaves_would_swallow_is_resampled() -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=400)})
    y = pd.Series(np.arange(400) < 35, name="ill")
    with pytest.warns(UserWarning, match="trees learn nothing from fewer than 60 rows"):
        model = SequentialTrees(min_leaf=40, random_state=0).fit(X, y)
    assert model.fallback_ == (True,)
    assert SequentialTrees(random_state=0).fit(X, y).fallback_ == ()


def test_a_file_gives_the_same_rows_and_the_same_file(tmp_path: Path) -> None:
    X, y = table()
    X["when"] = pd.Timestamp("2020-02-29") + pd.to_timedelta(X["opened"], unit="D")
    X["always"], X["note"] = 1, [f"one of the many notes, number {i}" for i in range(len(X))]
    model = SequentialTrees(classes=["late", "paid"], random_state=0).fit(X, y)
    model.save(tmp_path / "m")
    loaded = SequentialTrees.load(tmp_path / "m")
    for label in ("late", None):
        pd.testing.assert_frame_equal(
            loaded.sample(3000, label=label, random_state=1),
            model.sample(3000, label=label, random_state=1),
        )
    assert loaded.classes_ == model.classes_
    assert loaded.counts_ == {c: rounded_count(n) for c, n in model.counts_.items()}
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "m").read_bytes()


def test_the_same_file_in_another_process(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_trees import *\n"
        "X, y = table(800)\n"
        "SequentialTrees(random_state=0).fit(X, y).save(sys.argv[1])\n"
    )
    checks = str(Path(__file__).parent.parent)
    for name in "ab":
        subprocess.run(
            [
                sys.executable,
                "-c",
                f"import sys; sys.path.insert(0, {checks!r})\n{code}",
                str(tmp_path / name),
            ],
            check=True,
            env={"PYTHONHASHSEED": "1" if name == "a" else "2", "PYTHONPATH": ":".join(sys.path)},
        )
    X, y = table(800)
    SequentialTrees(random_state=0).fit(X, y).save(tmp_path / "c")
    assert len({(tmp_path / name).read_bytes() for name in "abc"}) == 1


def test_a_class_of_few_rows_is_resampled_and_not_saved(tmp_path: Path) -> None:
    X, y = mixed(rare=9)
    with pytest.warns(UserWarning, match=r"smoothed bootstrap makes the rows of 'rare' \(9\)"):
        model = SequentialTrees(classes=["rare"], random_state=0).fit(X, y)
    assert model.fallback_ == ("rare",)
    with pytest.raises(ModelFileError, match="class 'rare' has fewer than 30 rows"):
        model.save(tmp_path / "m")


def test_a_table_in_which_nothing_is_shared_is_not_saved(tmp_path: Path) -> None:
    X = pd.DataFrame({"kind": [f"k{i % 8}" for i in range(24)], "x": np.arange(24.0)})
    y = pd.Series(np.repeat([0, 1], 12))
    model = SequentialTrees(min_leaf=8, classes=[1], random_state=0).fit(X, y)
    assert len(model.sample(5, random_state=0)) == 5
    with pytest.raises(ModelFileError, match="column 'kind': no value or range is shared"):
        model.save(tmp_path / "m")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"trees": 0}, "trees must be a whole number from 1, not 0"),
        ({"trees": True}, "trees must be a whole number from 1, not True"),
        ({"min_leaf": 1}, "min_leaf must be a whole number from 2, not 1"),
        ({"min_leaf": 2.5}, "min_leaf must be a whole number from 2, not 2.5"),
    ],
)
def test_bad_parameters(params: dict[str, Any], message: str) -> None:
    X, y = mixed()
    with pytest.raises(UsageError, match=message):
        SequentialTrees(**params).fit(X, y)


def _broken(header: dict[str, Any], tensors: dict[str, Any], how: str) -> None:
    """Change one thing that a fit would never write."""
    j = next(i for i in range(99) if f"{i}/trees/right" in tensors)
    inner = np.flatnonzero(tensors[f"{j}/trees/feature"] >= 0)
    if how == "circle":
        tensors[f"{j}/trees/right"][inner[-1]] = 0
    elif how == "beyond":
        tensors[f"{j}/trees/right"][inner[0]] = 10**6
    elif how == "feature":
        tensors[f"{j}/trees/feature"][inner[0]] = j
    elif how == "root":
        tensors[f"{j}/trees/roots"][0] = -1
    elif how == "code":
        tensors[f"{j}/trees/codes"][0] = 60_000
    elif how == "weight":
        tensors[f"{j}/trees/weights"][0] = 0
    elif how == "starts":
        tensors[f"{j}/trees/starts"][1] = 10**9
    elif how == "type":
        tensors[f"{j}/trees/codes"] = tensors[f"{j}/trees/codes"].astype(np.float64)
    elif how == "range":
        tensors[f"{j}/bins/low"][0] = tensors[f"{j}/bins/high"].max() + 1
    elif how == "lacking":
        del tensors[f"{j}/bins/exact"]
    elif how == "unknown":
        tensors["99/bins/low"] = np.zeros(1)
    elif how == "learned":
        header["learned"][0] = 99
    elif how == "relation":
        header["parts"][j]["relation"] = {"inputs": [0], "weights": [1.0]}
    elif how == "class":
        header["positions"] = [7]
    elif how == "shift":
        header["parts"][j]["shifts"] = {"by": j}
        tensors[f"{j}/shifts/edges"] = np.arange(3.0)
    else:
        header["params"] = {"trees": "many"}


BREAKS = (
    "circle beyond feature root code weight starts type range lacking unknown learned relation "
    "class shift params"
)


@pytest.mark.parametrize("how", BREAKS.split())
def test_a_file_that_no_fit_could_have_made_is_refused(tmp_path: Path, how: str) -> None:
    X, y = table(600)
    SequentialTrees(random_state=0).fit(X, y).save(tmp_path / "m")
    header, tensors = read_model(tmp_path / "m")
    _broken(header, tensors := {k: v.copy() for k, v in tensors.items()}, how)
    write_model(tmp_path / "m", header, tensors)
    with pytest.raises(ModelFileError, match="do not fit together"):
        SequentialTrees.load(tmp_path / "m")


def test_hard_tables_are_learned() -> None:
    """Few rows, one value, extremes of 64 bits, levels that are all rare, and wide columns."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "huge": rng.choice([-(2**63), 0, 2**63 - 1], 60),
            "wide": rng.integers(-(2**62), 2**62, 60),
            "float": rng.normal(size=60) * 10.0 ** rng.integers(-300, 300, 60),
            "rare": [f"level {i // 4}" for i in range(60)],
            "one": np.where(rng.random(60) < 0.9, np.nan, 1.0),
            "flag": pd.array([True, False, None] * 20, dtype="boolean"),
        }
    )
    y = pd.Series(np.repeat(["a", "b"], [40, 20]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = SequentialTrees(min_leaf=8, classes=["a", "b"], random_state=0).fit(X, y).sample(500)
    for name in ("huge", "wide", "float"):
        assert rows[name].between(X[name].min(), X[name].max()).all(), name


# --- what a holder of the file can ask ----------------------------------------------------------


def test_shares_are_those_of_draws():
    rng = np.random.default_rng(0)
    before = rng.integers(0, 5, (600, 3)).astype(np.uint16)
    codes = (before[:, 0] + rng.integers(0, 3, 600)).astype(np.uint16)
    forest = grow(before, codes, None, trees=4, min_leaf=20, seed=np.random.SeedSequence(0))
    row = np.repeat(before[:1], 20_000, axis=0)
    drawn = forest.draw(row, rng.random(20_000))
    every = np.arange(8)
    shares = forest.shares_of(np.repeat(before[:1], 8, axis=0), every).mean(0)
    assert shares.sum() == pytest.approx(1)
    assert np.bincount(drawn, minlength=8) / 20_000 == pytest.approx(shares, abs=0.02)


def test_learned_rows_are_less_unlikely_and_each_column_has_its_place():
    rng = np.random.default_rng(0)

    def table(rows: int) -> pd.DataFrame:
        frame = pd.DataFrame({"whole": rng.integers(1, 90, rows), "amount": rng.normal(size=rows)})
        frame["round"] = rng.integers(1, 10**6, rows) * 10 ** rng.integers(0, 3, rows)
        frame["sum"] = frame["whole"] + frame["round"]
        frame["kind"] = rng.choice(list("abc"), rows)
        return frame.assign(ill=rng.random(rows) < 0.5)

    train, other = table(300), table(300)
    strange = other.assign(kind="d")  # a level that was not learned
    found = []
    for seed, learned in enumerate((train, other)):
        model = SequentialTrees(min_leaf=5, random_state=seed)
        model.fit(learned.drop(columns="ill"), learned["ill"])
        whole = pd.concat([train, other, strange], ignore_index=True)
        found.append(model.losses(Table.of(whole, target="ill"), np.random.SeedSequence(0)))
    first, second = found
    assert first is not None
    assert second is not None
    assert first.shape == second.shape == (900, 4 + 4 * 6)  # whatever either of the two learned
    assert np.isfinite(first).all()
    assert np.median(first[:300, 0]) < np.median(first[300:600, 0])
    assert np.median(second[:300, 0]) > np.median(second[300:600, 0])
    assert first[:300, 1].mean() < first[300:600, 1].mean()  # by factors alone
    assert np.median(first[:300, 2]) < np.median(first[300:600, 2])
    assert (first[600:, 2] >= first[300:600, 2] - 1e-9).mean() > 0.9


def test_the_relative_loss_compares_the_file_with_the_other_rows():
    """One leaf, of 60 % a; among the asked rows a is in 2 of 5, so in 1 of the 4 others."""
    learned = pd.DataFrame({"kind": list("aaabb") * 20})
    model = SequentialTrees(trees=1, min_leaf=60, classes=[True], random_state=0)
    model.fit(learned, pd.Series(np.arange(100) % 10 != 0, name="ill"))
    model.parts_ = [replace(part, raking=None) for part in model.parts_]
    asked = pd.DataFrame({"kind": list("aabbb"), "ill": [True, False, True, True, True]})
    losses = model.losses(Table.of(asked, target="ill"), np.random.SeedSequence(0))
    assert losses is not None
    of_a, of_b = (0.6 - 1 / 4) / (1 / 4 + 0.01), (0.4 - 2 / 4) / (2 / 4 + 0.01)
    assert losses[:, 0] == pytest.approx([-of_a, -of_a, -of_b, -of_b, -of_b])
    assert (losses[:, 1] == 0).all()
    assert losses[:, 2] == pytest.approx(-np.log([0.6, 0.6, 0.4, 0.4, 0.4]))
