"""The factors of leaves: what they restore, how they are drawn by, and what a file may hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from synthgen.errors import ModelFileError
from synthgen.synthesizers.bins import MISSING, Shares
from synthgen.synthesizers.forest import Forest, grow
from synthgen.synthesizers.raking import PRIOR, Groups, Raking, rake
from synthgen.synthesizers.trees import SequentialTrees
from synthgen.training.model_file import read_model, write_model


def table(rows: int = 8000) -> tuple[pd.DataFrame, pd.Series]:
    """An answer that depends on three numbers, much alike, and less on a class of one in five."""
    rng = np.random.default_rng(0)
    late = rng.random(rows) < 0.2
    alike = rng.normal(size=(rows, 1)) + rng.normal(0, 0.2, (rows, 3))
    X = pd.DataFrame(alike, columns=["one", "two", "three"])
    answer = rng.random(rows) < 1 / (1 + np.exp(-X.sum(axis=1)))
    X["answer"] = np.where(answer | (late & (rng.random(rows) < 0.3)), "yes", "no")
    return X, pd.Series(late, name="late")


def without_factors(monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(self: Raking, before: np.ndarray, leaves: np.ndarray, uniform: np.ndarray):
        return self.forest.shares.draw(leaves, uniform)

    monkeypatch.setattr(Raking, "draw", draw)


def yes(made: pd.DataFrame) -> float:
    return float((made["answer"] == "yes").mean())


def test_a_class_that_no_leaf_sets_apart_keeps_its_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = table()
    model = SequentialTrees(classes=[False, True], min_leaf=1000, random_state=0).fit(X, y)
    raked = yes(model.sample(20_000, label=True, random_state=0)) - yes(X[y])
    others = yes(model.sample(20_000, label=False, random_state=0)) - yes(X[~y])
    without_factors(monkeypatch)
    plain = yes(model.sample(20_000, label=True, random_state=0)) - yes(X[y])
    assert abs(raked) < 0.4 * abs(plain)
    assert abs(others) < 0.02


def test_columns_that_no_split_relates_are_related(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    kind = rng.choice(list("abc"), 6000)
    X = pd.DataFrame({"kind": kind, "size": rng.normal(np.where(kind == "a", 2, 0), 1)})
    y = pd.Series(np.arange(6000) >= 200, name="y")
    model = SequentialTrees(classes=[True], min_leaf=3500, random_state=0).fit(X, y)

    def apart() -> float:
        made = model.sample(10_000, label=True, random_state=0)
        is_a = made["kind"] == "a"
        return float(made.loc[is_a, "size"].mean() - made.loc[~is_a, "size"].mean())

    assert 1.4 < apart() < 2.1  # 2 in the training rows
    without_factors(monkeypatch)
    assert abs(apart()) < 0.1


def test_factors_are_about_one_where_nothing_tells() -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=8000), "b": rng.integers(0, 6, 8000).astype(str)})
    y = pd.Series(rng.random(8000) < 0.3, name="y")
    model = SequentialTrees(classes=[False, True], random_state=0).fit(X, y)
    for part in model.parts_[1:]:
        assert part.raking is not None
        factors = np.concatenate([f.reshape(-1) for f in part.raking.margins.values()])
        assert np.abs(factors - 1).mean() < 0.05
        assert (factors == 1).mean() > 0.3


def test_a_small_class_moves_factors_little() -> None:
    """One leaf of all rows; each of the 40 rows of a class has a code that no other row has."""
    codes = (np.arange(4000) < 40).astype(np.uint16)
    seed, groups = np.random.SeedSequence(0), Groups.of(codes, 100, numbers=False)
    forest = grow(codes[:, None], codes, None, trees=1, min_leaf=4000, seed=seed)
    raking = rake(forest, codes[:, None], codes, groups, [0], [Groups.of_class(2)], 0)
    assert (raking.first == [0, 1]).all()
    assert 2 < raking.margins[0][1, 1] < (40 + PRIOR) / PRIOR
    assert raking.margins[0][0, 0] == pytest.approx(1, abs=0.02)


def of_two_leaves() -> Raking:
    """Codes 0, 1 and 5 with shares .5, .3 and .2 in the first leaf; 1 and 5 with .6 and .4 in the
    second. One group is of codes 0 to 4, the other from 5. The first column has two groups: for the
    second of them, the factors are 1 and 4.
    """
    whole = {"feature": [0, -1, -1], "threshold": [0, 0, 0], "wraps": [0, 0, 0], "right": [2, 1, 2]}
    kinds = {"feature": np.int16, "threshold": np.uint16, "wraps": np.uint16, "right": np.int32}
    nodes = {name: np.array(values, kinds[name]) for name, values in whole.items()}
    shares = Shares(np.array([0, 3, 5]), np.array([5000, 3000, 2000, 6000, 4000], np.uint16))
    codes = np.array([0, 1, 5, 1, 5], np.uint16)
    leaf = np.array([0, 0, 1], np.int32)
    forest = Forest(np.zeros(1, np.int32), **nodes, leaf=leaf, shares=shares, codes=codes)
    factors = np.array([[1, 1], [1, 4]], np.float32)
    return Raking(forest, np.array([0, 5], np.uint16), {0: factors})


@pytest.mark.parametrize(
    ("leaf", "group", "expected"),
    [
        (0, 0, {0: 0.5, 1: 0.3, 2: 0.2}),
        (0, 1, {0: 0.5 / 1.6, 1: 0.3 / 1.6, 2: 0.8 / 1.6}),
        (1, 1, {3: 0.6 / 2.2, 4: 1.6 / 2.2}),
    ],
)
def test_items_are_drawn_by_share_times_factor(
    leaf: int, group: int, expected: dict[int, float]
) -> None:
    n = 10_000
    uniform = (np.arange(n) + 0.5) / n
    items, left = of_two_leaves().draw(np.full((1, n), group), np.full(n, leaf), uniform)
    found = {int(i): float((items == i).mean()) for i in np.unique(items)}
    assert found == pytest.approx(expected, abs=0.001)
    for item in found:  # what is left is uniform within each item
        assert left[items == item].mean() == pytest.approx(0.5, abs=0.01)
        assert np.ptp(left[items == item]) > 0.98


def test_one_row_is_drawn_as_it_is_among_others() -> None:
    rng, raking = np.random.default_rng(0), of_two_leaves()
    groups, leaves, uniform = (
        rng.integers(2, size=(1, 50)),
        rng.integers(2, size=50),
        rng.random(50),
    )
    items, _ = raking.draw(groups, leaves, uniform)
    for i in range(50):
        one = slice(i, i + 1)
        assert raking.draw(groups[:, one], leaves[one], uniform[one])[0] == items[one]


def test_raked_shares_of_codes() -> None:
    codes = np.array([[0], [0], [1], [1]], np.uint16)  # those with 1 fall into the second leaf
    own = np.array([5, 0, 5, 0], np.uint16)
    found = of_two_leaves().shares_of(codes, np.array([[1, 1, 0, 1]]), own)
    assert found == pytest.approx(np.array([[0.8 / 1.6, 0.5 / 1.6, 0.4, 0.0]]))


def test_only_groups_of_several_codes_of_a_number_are_smoothed() -> None:
    """Half of the rows hold the value 50, which does not mix with its neighbours."""
    codes = np.concatenate([np.repeat(np.arange(100), 10), np.full(1000, 50)]).astype(np.uint16)
    groups = Groups.of(codes, 100, numbers=True)
    smoother, spike = groups.smoother, int(np.searchsorted(groups.first, 50, side="right") - 1)
    assert groups.first[0] == 0
    assert (np.diff(groups.first.astype(int)) > 0).all()
    assert smoother.sum(axis=0) == pytest.approx(1)
    assert smoother.sum(axis=1) == pytest.approx(1)
    assert smoother[spike, spike] == 1
    assert smoother[0, 1] == 0.25
    assert (Groups.of(codes, 100, numbers=False).smoother == np.eye(len(groups.first))).all()


def test_missing_cells_and_shifts_share_no_group_with_values() -> None:
    few = np.concatenate([np.full(30, 120), np.full(20, 125), np.full(40, MISSING)])
    codes = np.concatenate([np.repeat(np.arange(100), 30), few]).astype(np.uint16)
    groups = Groups.of(codes, 100, numbers=True)
    assert groups.first[-2:].tolist() == [120, MISSING]
    assert groups.smoother[-1, -1] == groups.smoother[-2, -2] == groups.smoother[-3, -3] + 0.25 == 1


def test_a_file_keeps_factors_and_refuses_impossible_ones(tmp_path: Path) -> None:
    X, y = table(2000)
    model = SequentialTrees(random_state=0).fit(X, y)
    path = tmp_path / "model"
    model.save(path)
    loaded = SequentialTrees.load(path)
    expected = model.sample(500, label=True, random_state=1)
    pd.testing.assert_frame_equal(loaded.sample(500, label=True, random_state=1), expected)
    header, arrays = read_model(path)
    name = next(k for k in arrays if k.endswith("raking/0"))
    for wrong in (-arrays[name], arrays[name][:1], arrays[name] * np.nan):
        write_model(path, header, arrays | {name: wrong})
        with pytest.raises(ModelFileError):
            SequentialTrees.load(path)
    first = name.removesuffix("raking/0")
    older = {k: v for k, v in arrays.items() if not k.startswith(f"{first}raking/")}
    older[f"{first}raking/first"] = arrays[f"{first}raking/first"]
    older[f"{first}raking/factors"] = arrays[name].astype(np.float64)  # to the class alone
    write_model(path, header, older)
    assert SequentialTrees.load(path).sample(5, label=True).shape == (5, 5)
    later = name.removesuffix("0") + "9"  # factors of a column that is not before this one
    for more in (
        {later: arrays[name]},
        {f"{first}groups": np.ones(3, np.uint16)},
    ):
        write_model(path, header, arrays | more)
        with pytest.raises(ModelFileError):
            SequentialTrees.load(path)
