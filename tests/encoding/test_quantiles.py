"""Arithmetic of 64-bit numbers in torch against Python's own, and columns side by side."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from synthgen.encoding import quantiles as scales
from synthgen.encoding.encoder import Encoder
from synthgen.encoding.quantiles import LOWEST, between, nearest, ratio
from synthgen.tables.schema import Schema

whole = st.integers(LOWEST, 2**63 - 1)


@given(st.lists(whole, min_size=3, max_size=3).map(sorted))
def test_a_ratio_of_whole_numbers_is_exact_to_the_last_bits(three: list[int]) -> None:
    low, value, high = three
    found = ratio(torch.tensor([value]), torch.tensor([low]), torch.tensor([high])).item()
    wanted = float(Fraction(value - low, high - low)) if high > low else 0.0
    assert found == pytest.approx(wanted, rel=1e-15, abs=0)


@given(whole, whole, st.floats(0, 1))
def test_between_two_whole_numbers(one: int, two: int, share: float) -> None:
    low, high = min(one, two), max(one, two)
    ends = torch.tensor([low]), torch.tensor([high])
    found = between(*ends, torch.tensor([share], dtype=torch.float64)).item()
    assert low <= found <= high
    width = high - low
    # float64 has 53 bits of the distance.
    assert abs(found - low - share * width) <= 0.5 + width * 2.0**-51
    if share in (0, 1):
        assert found == (high if share else low)


@given(whole, st.integers(2, 2**63 - 1))
def test_numbers_from_2_to_the_63_on_are_divided_as_such(value: int, by: int) -> None:
    found = scales.floor_divided(torch.tensor([value]), torch.tensor([by])).item()
    assert found == value % 2**64 // by


@given(st.lists(whole, min_size=1, max_size=8).map(sorted), whole)
def test_the_nearest_of_whole_numbers(values: list[int], wanted: int) -> None:
    place = nearest(np.array(values), np.array([wanted]))[0]
    far = [abs(v - wanted) for v in values]
    assert far[place] <= min(far) * (1 + 2.0**-51) + 1


def table(rows: int) -> tuple[pd.DataFrame, Encoder]:
    """Columns of both types with and without spikes, missing cells and ties."""
    rng = np.random.default_rng(0)
    spiked = np.where(rng.random(rows) < 0.4, 0.0, rng.normal(size=rows))
    columns = {f"number {i}": rng.normal(size=rows) * 10**i for i in range(5)}
    columns |= {f"whole {i}": rng.integers(-(10**i), 10**i, rows) for i in range(6, 18)}
    columns |= {f"tied {i}": rng.integers(0, 900, rows) // 3 * i for i in (1, 2)}
    columns |= {"spiked": spiked, "gaps": np.where(rng.random(rows) < 0.3, np.nan, spiked + 1)}
    frame = pd.DataFrame(columns)
    return frame, Encoder.fit(frame, Schema.infer(frame).columns)


@pytest.mark.parametrize("cells", [1, 700])
def test_columns_side_by_side_and_in_chunks_are_columns_alone(
    cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame, encoder = table(300)
    untied = [i for i, c in enumerate(encoder.columns) if not str(c.name).startswith("tied")]
    rows = encoder.transform(frame, np.random.default_rng(0))
    back = encoder.inverse_transform(rows)
    monkeypatch.setattr(scales, "CELLS_CPU", cells)
    chunked = encoder.transform(frame, np.random.default_rng(0))
    assert torch.equal(rows.numbers[:, untied], chunked.numbers[:, untied])
    assert torch.equal(rows.codes, chunked.codes)
    pd.testing.assert_frame_equal(encoder.inverse_transform(chunked), back)
    codes = iter(rows.codes.T)
    for number, column in enumerate(encoder.columns):
        alone = Encoder.fit(frame, (column,))
        one = alone.transform(frame, np.random.default_rng(0))
        if not str(column.name).startswith("tied"):
            assert torch.equal(one.numbers[:, 0], rows.numbers[:, number]), column.name
        if alone.widths:
            assert torch.equal(one.codes[:, 0], next(codes)), column.name
        pd.testing.assert_series_equal(alone.inverse_transform(one)[column.name], back[column.name])


def test_a_value_of_several_knots_is_spread_over_them() -> None:
    frame, encoder = table(3000)
    place = [c.name for c in encoder.columns].index("tied 1")
    numbers = encoder.transform(frame, np.random.default_rng(0)).numbers[:, place]
    uniform = torch.special.ndtr(numbers.double())
    # Each of 300 values has its share of the scale, which its rows fill evenly.
    order = torch.tensor(frame["tied 1"].to_numpy()).argsort(stable=True)
    steps = torch.linspace(0, 1, 3000, dtype=torch.float64)
    assert (uniform[order].sort().values - steps).abs().max() < 0.03
    assert len(uniform.unique()) > 2900
