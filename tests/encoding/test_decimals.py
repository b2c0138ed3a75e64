"""As many new numbers are whole, or have two decimals, as training rows."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import synthgen
from synthgen import CTGAN, TVAE, Schema, SequentialTrees, TabFlow
from synthgen.encoding.decimals import UNROUNDED, count_decimals, with_decimals
from synthgen.encoding.disclosure import coarsened
from synthgen.encoding.encoder import Encoder
from synthgen.encoding.layout import Encoded

N = 10_000
SHARES = (0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99)
# Each number of decimals beside two shares of whole numbers; 17: not rounded.
CASES = [(d, SHARES[i % 7]) for d in range(17) for i in (2 * d, 2 * d + 3)] + [(17, 0.98)]


def drawn(decimals: int, whole: float, rows: int, seed: int) -> np.ndarray:
    """Numbers with these decimals (17: not rounded), and a share of whole ones."""
    rng = np.random.default_rng(seed)
    top = min(5000.0, 0.9 * 10.0 ** (15 - decimals)) if decimals < 17 else 5000.0
    values = rng.random(rows) * top
    if decimals < 17:
        values = np.round(values, decimals)
    return np.where(rng.random(rows) < whole, rng.integers(0, max(int(top), 300), rows), values)


def shares(values: Any) -> np.ndarray:
    """Share of each number of decimals; 17: more than 15 digits, or more than 16 decimals."""
    found = []
    for value in values:
        _, digits, exponent = Decimal(repr(float(value))).normalize().as_tuple()
        many = max(0, -int(exponent))
        found.append(many if not many or (len(digits) <= 15 and many <= 16) else 17)
    return np.bincount(found, minlength=18) / len(found)


def furthest(real: Any, new: Any) -> float:
    return float(np.abs(shares(real) - shares(new)).max())


@pytest.mark.parametrize(("decimals", "whole"), CASES)
def test_trees_keep_the_share_of_every_number_of_decimals(decimals: int, whole: float) -> None:
    real = pd.DataFrame({"x": drawn(decimals, whole, N, seed=decimals)})
    label = pd.Series(np.arange(N) % 20 != 0, name="y")
    model = SequentialTrees(trees=1, min_leaf=200, classes=[True], random_state=0).fit(real, label)
    made = model.sample(N, random_state=1)
    assert furthest(real["x"][label], made["x"]) <= 0.02


# A file's coarse limits do not tell numbers of 13 decimals, below 90, from whole ones above.
@pytest.mark.parametrize(
    ("decimals", "whole", "in_file"),
    [(*case, False) for case in CASES] + [(*case, True) for case in CASES if case[0] < 13],
)
def test_decoded_numbers_have_the_decimals_of_training(
    decimals: int, whole: float, in_file: bool
) -> None:
    real = pd.DataFrame({"x": drawn(decimals, whole, N, seed=decimals)})
    encoder = Encoder.fit(real, Schema.infer(real).columns)
    if in_file:
        encoder, _ = coarsened(encoder, real)
        state, arrays = encoder.state()
        encoder = Encoder.from_state(state, arrays)
    rng = np.random.default_rng(1)
    encoded = encoder.transform(real, rng)
    moved = encoded.numbers + 0.05 * torch.from_numpy(rng.normal(size=encoded.numbers.shape))
    made = encoder.inverse_transform(
        Encoded(moved.float(), encoded.codes), np.random.SeedSequence(3)
    )
    assert furthest(real["x"], made["x"]) <= (0.03 if in_file else 0.02)


def network(name: str) -> Any:
    return partial(
        {"tabflow": TabFlow, "tvae": TVAE, "ctgan": CTGAN}[name],
        **{"steps": 20, "scope": "all", "device": "cpu", "random_state": 0},
    )()


@pytest.mark.parametrize("name", ["tabflow", "tvae", "ctgan"])
def test_networks_keep_the_share_of_every_number_of_decimals(name: str, tmp_path: Path) -> None:
    cases = [(1, 0.5), (2, 0.9), (7, 0.3), (17, 0.98)]
    real = pd.DataFrame({f"x{i}": drawn(*case, 2000, seed=i) for i, case in enumerate(cases)})
    label = pd.Series(np.arange(2000) % 4 == 0, name="y")
    model = network(name).fit(real, label)
    made = model.sample(2000, random_state=1)
    for column in real:
        assert furthest(real[column], made[column]) <= 0.04, column
    shorter = model.sample(700, label=True, random_state=2)
    longer = model.sample(1500, label=True, random_state=2)
    pd.testing.assert_frame_equal(shorter, longer[:700])
    model.save(tmp_path / "m.synthgen")
    loaded = synthgen.load(tmp_path / "m.synthgen").sample(2000, random_state=1)
    for column in real:
        assert furthest(real[column], loaded[column]) <= 0.04, column


@pytest.mark.parametrize("name", ["trees", "tabflow", "tvae", "ctgan"])
def test_whole_numbers_among_a_few_others_stay_whole(name: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 5000, 2000) * 1.0
    x[:40] = rng.random(40) * 1000
    real = pd.DataFrame({"x": x, "z": rng.normal(size=2000)})
    label = pd.Series(rng.random(2000) < 0.3, name="y")
    model = SequentialTrees(random_state=0) if name == "trees" else network(name)
    made = model.fit(real, label).sample(2000, random_state=0)
    assert abs((x % 1 == 0).mean() - (made["x"] % 1 == 0).mean()) <= 0.04


def test_without_a_seed_numbers_come_back_as_they_are() -> None:
    real = pd.DataFrame({"x": drawn(17, 0.5, 900, seed=0)})
    encoder = Encoder.fit(real, Schema.infer(real).columns)
    encoded = encoder.transform(real, np.random.default_rng(0))
    pd.testing.assert_frame_equal(encoder.inverse_transform(encoded), real)


@pytest.mark.parametrize("narrow", [np.float64, np.float32])
def test_a_value_gets_exactly_the_decimals_it_is_given(narrow: Any) -> None:
    rng = np.random.default_rng(0)
    values = (rng.random(2000) * 9).astype(narrow).astype(np.float64)
    wanted = rng.integers(0, 4, 2000)
    wanted[:300] = UNROUNDED
    found = with_decimals(values, wanted, np.zeros(2000), np.full(2000, 9.0), narrow)
    assert (count_decimals(found, narrow) == wanted).all()
    assert (np.abs(found - values) <= 1.0 * 10.0 ** -wanted.clip(max=3)).all()
