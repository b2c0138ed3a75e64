"""Rankings of weighted rows, intervals of shares, and folds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from synthgen.model_selection.intervals import wilson
from synthgen.model_selection.ranking import Ranked, average_precision


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
