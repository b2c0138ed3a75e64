"""Budgets and noise of differential privacy: published values, exact shares, sensitivities."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import chisquare, norm

from synthgen.synthesizers.measured import (
    DEPTH,
    TAILS,
    Ledger,
    bins_of,
    histogram,
    levels_above,
    median_scores,
    pair_strength,
    spanning_tree,
)
from synthgen.synthesizers.noise import (
    Entropy,
    chosen,
    delta_of,
    discrete_gaussian,
    noisy,
    rho_of,
    threshold,
    variance_of,
)
from synthgen.tables.column import Column


def bits(seed: int = 0):
    """A source with a seed: tests only."""
    return random.Random(seed).randrange


# --- budgets --------------------------------------------------------------------------------------


def test_conversion_of_zcdp_matches_published_values() -> None:
    # OpenDP 0.14, test_zCDP_to_approxDP_nontrivial: sensitivity 1 and scale 4, so rho is 1/32.
    assert delta_of(1 / 32, 0.6880024554878085) == pytest.approx(1e-3, rel=1e-9)
    assert delta_of(1 / 32, 0.0) == pytest.approx(0.1508457845622862, rel=1e-9)
    assert rho_of(0.6880024554878085, 1e-3) == pytest.approx(1 / 32, rel=1e-9)


@given(st.floats(1e-3, 30), st.floats(1e-10, 1e-2))
@settings(max_examples=30, deadline=None)
def test_conversion_is_never_below_the_exact_delta_of_the_gaussian(
    epsilon: float, delta: float
) -> None:
    """Balle & Wang 2018, Theorem 8: the exact delta of the Gaussian with this rho."""
    rho = rho_of(epsilon, delta)
    mu = math.sqrt(2 * rho)
    exact = norm.cdf(mu / 2 - epsilon / mu) - math.exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu)
    assert exact <= delta * (1 + 1e-6)
    assert (
        rho >= 0.8 * (math.sqrt(epsilon + math.log(1 / delta)) - math.sqrt(-math.log(delta))) ** 2
    )


@given(st.floats(1e-6, 1e3))
def test_noise_is_never_smaller_than_paid_for(rho: float) -> None:
    assert Fraction(1) / (2 * variance_of(rho)) <= Fraction(rho)


def test_the_ledger_refuses_to_overspend() -> None:
    ledger = Ledger(1.0, 1e-7)
    ledger.pay("one", 0.6, 1e-7)
    with pytest.raises(AssertionError, match="does not cover"):
        ledger.pay("two", 0.5)
    with pytest.raises(AssertionError, match="does not cover"):
        Ledger(1.0, 1e-7).pay("levels", 0.1, 2e-7)


# --- noise ----------------------------------------------------------------------------------------


def p_value(drawn: np.ndarray, variance: float) -> float:
    """Of drawn numbers, against the exact probabilities of the discrete Gaussian."""
    most = math.ceil(4 * math.sqrt(variance))
    x = np.arange(-most, most + 1)
    weights = np.exp(-(x**2) / (2 * variance))
    counts = np.array([(drawn == value).sum() for value in x])
    expected = weights / weights.sum() * counts.sum()
    enough = expected >= 5
    pooled = [
        np.append(c[enough], c[~enough].sum() + 1e-9) for c in (counts.astype(float), expected)
    ]
    return float(chisquare(pooled[0], pooled[1]).pvalue)


@pytest.mark.parametrize("variance", [Fraction(1, 3), Fraction(9, 4), Fraction(200)])
def test_noise_has_exactly_the_probabilities_of_the_discrete_gaussian(variance: Fraction) -> None:
    randbelow = bits()
    drawn = np.array([discrete_gaussian(variance, randbelow) for _ in range(8000)])
    assert p_value(drawn, float(variance)) > 0.01
    assert p_value(-drawn, float(variance)) > 0.01
    assert p_value(drawn, 1.15 * float(variance)) < 1e-3  # the test sees a wrong variance
    shift = math.ceil(math.sqrt(variance) / 10)
    assert p_value(drawn + shift, float(variance)) < 1e-3  # and a shift


def test_choices_have_the_probabilities_of_the_exponential_mechanism() -> None:
    log_weights, randbelow = np.log([1.0, 2.0, 5.0]) + 700, bits()
    counts = np.bincount([chosen(log_weights, randbelow) for _ in range(8000)], minlength=3)
    assert chisquare(counts, [1000, 2000, 5000]).pvalue > 0.01


def test_entropy_is_uniform_and_has_no_seed() -> None:
    source = Entropy()
    counts = np.bincount([source(6) for _ in range(12_000)], minlength=6)
    assert len(counts) == 6
    assert chisquare(counts).pvalue > 1e-6
    assert {source(1) for _ in range(9)} == {0}
    assert 2**199 < max(source(2**200) for _ in range(60)) < 2**200
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - it must not matter
    assert Entropy()(2**64) != Entropy()(2**64)


# --- what one row can change ----------------------------------------------------------------------

codes = arrays(np.int64, st.integers(1, 40), elements=st.integers(0, 5))


@given(codes, codes, st.integers(0, 5), st.integers(0, 5))
@settings(deadline=None)
def test_one_row_changes_one_count_by_one(a: np.ndarray, b: np.ndarray, x: int, y: int) -> None:
    rows = min(len(a), len(b))
    a, b = a[:rows], b[:rows]
    more = np.append(a, x), np.append(b, y)
    assert np.abs(histogram([more[0]], [6]) - histogram([a], [6])).sum() == 1
    before, after = histogram([a, b], [6, 6]), histogram(more, [6, 6])
    assert np.abs(after - before).sum() == 1
    expected = np.outer(np.arange(6.0), np.arange(6.0))
    change = pair_strength(after, expected, 3.0) - pair_strength(before, expected, 3.0)
    assert abs(change) <= 1 + 1e-9


@given(codes, st.integers(0, 5))
@settings(deadline=None)
def test_one_row_changes_the_score_of_a_median_by_half(cells: np.ndarray, x: int) -> None:
    cuts = np.arange(6)
    before = median_scores(np.sort(cells), cuts)
    after = median_scores(np.sort(np.append(cells, x)), cuts)
    assert np.abs(after - before).max() <= 0.5


def test_a_level_of_one_row_is_named_with_at_most_the_probability_delta() -> None:
    column, randbelow = Column("drug", "categorical", np.dtype(object)), bits()
    once = np.append(np.repeat("common", 500), "once")

    def named(delta: float) -> float:
        found = [
            levels_above(column, pd.Series(once), 0.01, delta, randbelow)[0].categories
            for _ in range(1500)
        ]
        assert all("common" in names for names in found)
        return float(np.mean(["once" in names for names in found]))

    assert named(1e-6) == 0
    assert 0.02 < named(0.05) <= 0.05 + 3 * (0.05 * 0.95 / 1500) ** 0.5


@given(st.floats(0.5, 1e4), st.floats(1e-9, 0.1))
@settings(deadline=None)
def test_the_threshold_of_levels_keeps_its_probability(variance: float, delta: float) -> None:
    exact = variance_of(1 / (2 * variance))
    least, x = threshold(exact, delta), np.arange(0, 5000)
    weights = np.exp(-(x**2) / (2 * float(exact)))
    total = 2 * weights.sum() - 1
    assert weights[least:].sum() / total <= delta  # 1 + noise > least


# --- what is measured -----------------------------------------------------------------------------


def test_bins_halve_the_rows_and_spikes_stand_alone() -> None:
    column = Column("pay", "integer", np.dtype("int64"), lower=0, upper=99_999, spikes=(0, 500))
    rng = np.random.default_rng(0)
    pay = np.where(rng.random(4000) < 0.5, 0, rng.integers(1000, 3000, 4000))
    starts = bins_of(column, pd.Series(pay), 50.0, bits())
    assert {0, 1, 500, 501} <= set(starts.tolist())
    assert len(starts) <= 2 + 3 * 2**DEPTH + 2 * TAILS
    inner = starts[(starts > 1100) & (starts < 2900)]
    assert np.abs(np.diff(inner) - 2000 / 16).max() < 60


def test_the_tree_holds_the_strongest_pairs() -> None:
    rng = np.random.default_rng(0)
    a = rng.integers(0, 4, 3000)
    b, c = (a + (rng.random(3000) < 0.1)) % 4, rng.integers(0, 4, 3000)
    d = (c + (rng.random(3000) < 0.1)) % 4
    ones = [histogram([v], [4]).astype(float) for v in (a, b, c, d)]
    pairs = spanning_tree([a, b, c, d], ones, 5.0, 1.0, bits())
    assert {(0, 1), (2, 3)} < set(pairs)
    assert len(pairs) == 3


def test_noisy_counts_differ_from_the_counts_by_the_noise() -> None:
    counts = noisy(np.full((40, 50), 7), Fraction(25), bits())
    assert counts.dtype == np.int64
    assert abs(counts.mean() - 7) < 5 * 5 / 2000**0.5
    assert abs(counts.std() - 5) < 0.5
