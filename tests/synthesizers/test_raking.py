"""The shares of leaves for each class: what they restore, and what a file may hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from synthgen.errors import ModelFileError
from synthgen.synthesizers.raking import PRIOR, Raking
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


def yes(made: pd.DataFrame) -> float:
    return float((made["answer"] == "yes").mean())


def test_a_class_that_no_leaf_sets_apart_keeps_its_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = table()
    model = SequentialTrees(classes=[False, True], min_leaf=1000, random_state=0).fit(X, y)
    raked = yes(model.sample(20_000, label=True, random_state=0)) - yes(X[y])
    others = yes(model.sample(20_000, label=False, random_state=0)) - yes(X[~y])
    monkeypatch.setattr(Raking, "of_class", lambda self, forest, code: forest)
    plain = yes(model.sample(20_000, label=True, random_state=0)) - yes(X[y])
    assert abs(raked) < 0.6 * abs(plain)
    assert abs(others) < 0.02


def test_factors_are_one_where_the_class_tells_nothing() -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=8000), "b": rng.integers(0, 6, 8000).astype(str)})
    y = pd.Series(rng.random(8000) < 0.3, name="y")
    model = SequentialTrees(classes=[False, True], random_state=0).fit(X, y)
    for part in model.parts_[1:]:
        assert part.raking is not None
        assert np.abs(part.raking.factors - 1).max() < 0.25


def test_a_small_class_moves_factors_little() -> None:
    rng = np.random.default_rng(0)
    y = pd.Series(np.arange(4000) < 40, name="y")
    X = pd.DataFrame({"a": rng.normal(3 * y, 1)})
    model = SequentialTrees(random_state=0).fit(X, y)
    raking = model.parts_[1].raking
    assert raking is not None
    assert raking.factors.max() <= (40 + PRIOR) / PRIOR + 0.01


def test_a_file_keeps_factors_and_refuses_impossible_ones(tmp_path: Path) -> None:
    X, y = table(2000)
    model = SequentialTrees(random_state=0).fit(X, y)
    path = tmp_path / "model"
    model.save(path)
    loaded = SequentialTrees.load(path)
    expected = model.sample(500, label=True, random_state=1)
    pd.testing.assert_frame_equal(loaded.sample(500, label=True, random_state=1), expected)
    header, arrays = read_model(path)
    name = next(k for k in arrays if k.endswith("raking/factors"))
    for wrong in (-arrays[name], arrays[name][:1], arrays[name] * np.nan):
        write_model(path, header, arrays | {name: wrong})
        with pytest.raises(ModelFileError):
            SequentialTrees.load(path)
