"""Attacks with shadow models: they find what leaks, and nothing where nothing leaks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from synthgen.exposure.membership import alarms, strongest, suspicions
from synthgen.metrics.verdicts import of_recognised

SEED = np.random.SeedSequence(0)


def pretended(leak: float, *, rows: int = 800, figures: int = 3, pairs: int = 3, seed: int = 0):
    """Losses of a model and of shadow models in which a learned row's loss is lower by `leak`."""
    rng = np.random.default_rng(seed)
    hard = 3 * rng.normal(size=(rows, figures))

    def losses(inside: np.ndarray) -> np.ndarray:
        return hard - leak * inside[:, None] + rng.normal(size=(rows, figures))

    halves = rng.random((pairs, rows)) < 0.5
    learned = np.concatenate([np.stack([half, ~half]) for half in halves])
    member = np.arange(rows) < rows // 2
    return losses(member), np.stack([losses(inside) for inside in learned]), learned, member


def audited(leak: float, seed: int = 0):
    target, shadows, learned, member = pretended(leak, seed=seed)
    found = suspicions(target, shadows, learned, SEED)
    return strongest(found, member, opponent="file", group="all", seed=SEED)


def test_a_leak_is_found_by_what_is_calibrated():
    target, shadows, learned, member = pretended(2.0)
    found = suspicions(target, shadows, learned, SEED)
    assert set(found) == {"loss", "calibrated", "ratio", "classifier"}

    def area(name: str) -> float:
        one = {name: found[name]}
        return strongest(one, member, opponent="file", group="all", seed=SEED).auc

    # How hard a row is hides the leak from the bare loss, and not from the others.
    assert area("loss") < 0.7
    assert area("calibrated") > 0.8
    # All three figures leak: who sees them all finds more than who sees the first.
    assert area("ratio") > area("calibrated") + 0.05
    assert area("classifier") > area("calibrated") + 0.05


def test_the_null_is_that_of_no_leak():
    caught = audited(2.0)
    assert caught.auc > 0.9
    assert caught.interval[0] > 0.5
    # The null comes from shadow models, which leak as much, but of train and holdout alike.
    assert 0.48 < caught.auc_null < 0.56
    assert 0.08 < caught.tpr_10_null < 0.16


@pytest.mark.parametrize("seed", range(3))
def test_where_nothing_leaks_nothing_is_found(seed: int):
    fresh = audited(0.0, seed)
    assert abs(fresh.auc - fresh.auc_null) < 0.05
    assert fresh.tpr_10 < 0.2
    assert fresh.interval[0] < 0.15


@pytest.mark.slow
def test_the_worst_of_many_attacks_fails_by_chance_in_few_cases():
    """Eight correlated attacks on 40 + 40 rows, which know nothing; or one knows something."""
    rng = np.random.default_rng(0)
    member = np.arange(80) < 40

    def verdict(leak: float) -> str:
        common = rng.normal(size=(5, 80))
        found = {str(k): math.sqrt(0.5) * (common + rng.normal(size=(5, 80))) for k in range(8)}
        found["7"][0, member] += leak
        worst = strongest(found, member, opponent="file", group="all", seed=SEED)
        return of_recognised(worst.tpr_10, worst.interval, worst.tpr_10_null)

    verdicts = [[verdict(leak) for _ in range(100)].count("fails") for leak in (0.0, 2.0)]
    assert verdicts[0] <= 5
    assert verdicts[1] >= 95


def test_shares_at_false_alarms_are_those_of_the_ranks():
    # 80 of 100 members above every other row, the others below all.
    member = np.arange(200) < 100
    rows = np.where(member, np.where(np.arange(200) < 80, 2.0, -2.0), 0.0) + np.arange(200) * 1e-6
    found = strongest({"loss": rows[None].repeat(2, 0)}, member, opponent="f", group="g", seed=SEED)
    assert found.tpr_1 == found.tpr_10 == 0.8
    assert found.auc == pytest.approx(0.8)
    share = alarms(rows, member)
    assert (share[:80] == 0).all()
    assert (share[80:] == 1).all()


def test_ties_are_no_finds():
    member = np.arange(200) < 100
    found = strongest({"loss": np.zeros((2, 200))}, member, opponent="f", group="g", seed=SEED)
    assert found.tpr_10 == found.tpr_10_null == 0
    assert found.auc == 0.5
