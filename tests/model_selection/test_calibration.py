"""Probabilities from scores: a known curve is found, and the order is kept."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.metrics import average_precision_score, log_loss

from synthgen.model_selection.calibration import Calibrator


def drawn(rows: int, intercept: float, slope: float) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and classes whose probability is a logistic curve of their log odds."""
    rng = np.random.default_rng(0)
    score = rng.beta(0.5, 4, rows).clip(1e-4, 1 - 1e-4)
    return rng.random(rows) < expit(intercept + slope * logit(score)), score


def test_platt_finds_the_curve() -> None:
    is_rare, score = drawn(9_000, -1.0, 0.6)
    assert 400 < is_rare.sum() < 1_000
    found = Calibrator().fit(is_rare, score)
    assert found.steps_ is None
    np.testing.assert_allclose(found.curve_, [-1.0, 0.6], atol=0.1)
    assert found.probability(score).sum() == pytest.approx(is_rare.sum(), rel=0.01)


def test_isotonic_takes_over_and_finds_what_no_curve_can() -> None:
    rng = np.random.default_rng(0)
    score = rng.random(20_000)
    truth = np.where(score < 0.5, 0.05, 0.25)
    is_rare = rng.random(20_000) < truth
    found = Calibrator().fit(is_rare, score)
    assert found.steps_ is not None
    p = found.probability(np.array([0.2, 0.8]))
    np.testing.assert_allclose(p, [0.05, 0.25], atol=0.02)


@pytest.mark.parametrize(("rows", "slope"), [(60, 1.0), (3_000, 0.5), (30_000, 1.5), (3_000, 0.0)])
def test_order_is_kept(rows: int, slope: float) -> None:
    is_rare, score = drawn(rows, -0.5, slope)
    p = Calibrator().fit(is_rare, score).probability(score)
    assert average_precision_score(is_rare, p) == pytest.approx(
        average_precision_score(is_rare, score), abs=1e-12
    )
    order = np.argsort(score)
    assert (np.diff(p[order])[np.diff(score[order]) > 1e-9] > 0).all()


def test_noise_gives_no_certainty() -> None:
    rng = np.random.default_rng(0)
    is_rare, score = rng.permutation(np.arange(500) < 25), rng.random(500)
    p = Calibrator().fit(is_rare, score).probability(score)
    share = np.full(500, 0.05)
    assert log_loss(is_rare, p) == pytest.approx(log_loss(is_rare, share), abs=0.01)


def test_a_weight_counts_as_that_many_rows() -> None:
    is_rare, score = drawn(4_000, -1.0, 0.6)
    weight = np.where(is_rare, 1.0, 3.0)
    p = Calibrator().fit(is_rare, score, weight).probability(score)
    assert (p * weight).sum() == pytest.approx(is_rare.sum(), rel=0.01)


def test_sampled_rows_that_stand_for_many_do_not_raise_the_probabilities() -> None:
    is_rare, score = drawn(200_000, -6.0, 0.6)
    rare, others = np.flatnonzero(is_rare), np.flatnonzero(~is_rare)
    assert len(rare) < 200
    kept = np.concatenate([rare, others[:500]])
    weight = np.where(is_rare[kept], 1.0, len(others) / 500)
    whole = Calibrator().fit(is_rare, score).probability(score)
    few = Calibrator().fit(is_rare[kept], score[kept], weight).probability(score)
    assert few.sum() == pytest.approx(whole.sum(), rel=0.1)
