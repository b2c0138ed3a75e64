"""Numbers that several rows share: decoded ones repeat them as often as fresh rows do."""

import numpy as np
import pandas as pd
import pytest
import torch

from synthgen import Schema
from synthgen.encoding.encoder import Encoder
from synthgen.encoding.layout import Encoded

RNG = np.random.default_rng


def decoded(train: np.ndarray, rows: int = 4000) -> np.ndarray:
    """Numbers of a generator that has learned the quantiles of `train` without error."""
    frame = pd.DataFrame({"x": train})
    encoder = Encoder.fit(frame, Schema.infer(frame).columns)
    assert (encoder.n_numbers, encoder.widths) == (1, [])
    normal = torch.randn(rows, 1, generator=torch.Generator().manual_seed(0))
    codes = torch.zeros(rows, 0, dtype=torch.int64)
    return encoder.inverse_transform(Encoded(normal, codes))["x"].to_numpy()


@pytest.mark.parametrize("rows", [600, 2400, 12_000])
@pytest.mark.parametrize(
    "values",
    [
        pytest.param(RNG(1).lognormal(3, 1, 700), id="no decimals"),
        pytest.param(RNG(1).normal(0, 100, 700).round(2), id="two decimals"),
        pytest.param(100 * RNG(1).integers(-4000, 4000, 700) + 1, id="whole numbers"),
    ],
)
def test_made_numbers_lie_on_observed_values_as_often_as_held_out_ones(values, rows):
    share = RNG(2).dirichlet(np.ones(len(values)))
    train, held_out = (RNG(seed).choice(values, n, p=share) for seed, n in ((3, rows), (4, 20_000)))
    made = decoded(train)
    expected = np.isin(held_out, train).mean()
    assert expected > 0.65
    assert np.isin(made, train).mean() == pytest.approx(expected, abs=0.06)
    # And each value about as often: its share among rows, not only whether it is one of theirs.
    common = pd.Series(train).value_counts(normalize=True).iloc[:10]
    found = pd.Series(made).value_counts(normalize=True).reindex(common.index, fill_value=0)
    np.testing.assert_allclose(found, common, atol=0.012)


def test_numbers_of_one_row_each_are_not_repeated():
    train = RNG(0).normal(size=2400)
    assert np.isin(decoded(train), train).mean() < 0.02


def test_values_of_several_rows_come_back_exactly():
    train = RNG(0).choice(RNG(1).normal(size=3000), 9000)
    frame = pd.DataFrame({"x": train})
    encoder = Encoder.fit(frame, Schema.infer(frame).columns)
    often = frame[frame["x"].map(frame["x"].value_counts()) >= 4].reset_index(drop=True)
    assert len(often) > 4000
    for seed in range(3):
        encoded = encoder.transform(often, RNG(seed))
        pd.testing.assert_frame_equal(encoder.inverse_transform(encoded), often, check_exact=True)


def test_of_many_values_of_two_rows_high_ones_are_repeated_as_often_as_low_ones():
    train = np.repeat(RNG(0).normal(size=5000), 2)
    made = decoded(train, 20_000)
    known = np.isin(made, train)
    low, high = known[made < np.median(train)].mean(), known[made >= np.median(train)].mean()
    assert low == pytest.approx(high, abs=0.05)
    assert low > 0.2
