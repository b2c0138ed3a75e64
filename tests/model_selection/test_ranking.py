"""Rankings of weighted rows, intervals of shares, and folds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from synthgen.model_selection.intervals import wilson
from synthgen.model_selection.ranking import (
    Ranked,
    adjusted_precision,
    average_precision,
    chance_precision,
)
from synthgen.model_selection.scoring import DECIDED, score


@pytest.mark.parametrize("seed", range(3))
def test_figures_are_scikit_learns_with_ties_and_weights(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y, score = rng.random(300) < 0.2, rng.integers(0, 30, 300) / 30
    weights = np.stack([np.ones(300), rng.integers(0, 4, 300), rng.random(300)])
    steps = Ranked.of(y, score).steps(weights)
    found = zip(steps.average_precision(), steps.roc_auc(), steps.recall_at(0.4), strict=True)
    for w, (precision, area, recall) in zip(weights, found, strict=True):
        expected = average_precision_score(y, score, sample_weight=w)
        assert precision == pytest.approx(expected)
        assert average_precision(y, score, w) == precision
        assert area == pytest.approx(roc_auc_score(y, score, sample_weight=w))
        precisions, recalls, _ = precision_recall_curve(y, score, sample_weight=w)
        assert recall == pytest.approx(recalls[precisions >= 0.4].max())


@pytest.mark.parametrize("levels", [0, 12])
@pytest.mark.parametrize("others", [1.0, 3.0])
def test_chance_is_the_mean_over_shuffled_labels(others: float, levels: int) -> None:
    rng = np.random.default_rng(0)
    y = rng.permutation(np.arange(60) < 8)
    scores = rng.integers(0, levels, 60) / 1.0 if levels else rng.random(60)
    weights = np.where(y, 1.0, others)
    orders = [rng.permutation(60) for _ in range(2_000)]
    found = [average_precision(y[at], scores, weights[at]) for at in orders]
    near = pytest.approx(np.mean(found), abs=5 * np.std(found) / 2_000**0.5)
    assert chance_precision(y, scores, weights) == near


def test_noise_scores_the_prevalence_and_a_perfect_ranking_one() -> None:
    rng, y = np.random.default_rng(0), np.arange(83) < 10
    noise = [rng.random(83) for _ in range(600)]  # unadjusted: 0.163
    mean = np.mean([adjusted_precision(y, p) for p in noise])
    assert mean == pytest.approx(10 / 83, abs=0.01)
    assert adjusted_precision(y, y + noise[0]) == pytest.approx(1)
    at = dict.fromkeys(DECIDED, 0.5)
    printed = [score(y, p, at, None)["average_precision"] for p in noise]  # by `compare`
    assert np.mean(printed) == pytest.approx(10 / 83, abs=0.01)


def test_alarms_per_hit_are_those_at_half_recall() -> None:
    rng = np.random.default_rng(0)
    y, score = rng.random(300) < 0.2, rng.integers(0, 30, 300) / 30
    weight = rng.integers(0, 4, 300) * 1.0
    cut = next(
        s for s in np.unique(score)[::-1] if weight[y & (score >= s)].sum() * 2 >= weight[y].sum()
    )
    found = score >= cut
    expected = weight[found & ~y].sum() / weight[found & y].sum()
    assert Ranked.of(y, score).steps(weight).alarms_per_hit() == pytest.approx(expected)


@pytest.mark.parametrize(("hits", "rows"), [(0, 9), (3, 9), (9, 9), (500, 500), (40, 1000)])
def test_wilson_is_scipys(hits: int, rows: int) -> None:
    expected = binomtest(hits, rows).proportion_ci(0.95, method="wilson")
    assert wilson(hits / rows, rows) == pytest.approx(tuple(expected))
