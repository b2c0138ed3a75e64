"""The verdict on simulated tables of fold scores whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t as student

from synthgen.errors import UsageError
from synthgen.model_selection import selection
from synthgen.model_selection.selection import (
    HELPS,
    NO_GAIN,
    UNCLEAR,
    choose,
    compare_to,
    corrected,
    verdict,
)

TABLES = 500
FOLDS = 5
RATIO = 1 / (FOLDS - 1)  # n_test / n_train


def simulated(
    rng: np.random.Generator, gains: np.ndarray, splits: int, noise: float, shared: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the candidates and of the reference.

    Any two splits share training rows: their differences are correlated with
    n_test / (n_train + n_test) (Nadeau & Bengio 2003). Candidates have `shared` of their variance
    in common, because they are judged on the same test rows.
    """
    rho = RATIO / (1 + RATIO)

    def draw(rows: int) -> np.ndarray:
        common = np.sqrt(rho) * rng.standard_normal((rows, 1))
        return common + np.sqrt(1 - rho) * rng.standard_normal((rows, splits))

    together, own = draw(1), draw(len(gains))
    differences = noise * (np.sqrt(shared) * together + np.sqrt(1 - shared) * own)
    reference = 0.5 + 0.1 * rng.standard_normal(splits)
    return reference + gains[:, None] + differences, reference


@pytest.mark.parametrize(
    ("splits", "candidates"),
    [
        *[(2, 1), (2, 8), (2, 20), (3, 1), (3, 8), (3, 20), (4, 1), (4, 8), (4, 20)],
        *[(5, 1), (5, 8), (10, 1), (10, 8), (20, 6), (10, 20)],
    ],
)
def test_no_gain_is_seldom_called_help_and_intervals_cover(splits: int, candidates: int) -> None:
    rng = np.random.default_rng([splits, candidates])
    wrong = covered = 0
    for _ in range(TABLES):
        gains = np.zeros(candidates)
        scores, reference = simulated(rng, gains, splits, noise=0.03)
        outcome, found = verdict(scores, reference, ratio=RATIO)
        wrong += outcome.outcome == HELPS
        covered += all(d.low <= 0 <= d.high for d in found)
    assert wrong / TABLES <= 0.07
    assert covered / TABLES >= 0.93


@pytest.mark.parametrize("splits", [2, 3, 4, 5, 10])
def test_figures_that_move_in_steps_are_not_called_help(splits: int) -> None:
    # Recall on 5 rows of the class: splits often agree to the letter.
    rng = np.random.default_rng(splits)
    wrong = 0
    for _ in range(TABLES):
        scores, reference = simulated(rng, np.zeros(8), splits, noise=0.15)
        scores = reference + np.round((scores - reference) / 0.2) * 0.2
        wrong += verdict(scores, reference, ratio=RATIO)[0].outcome == HELPS
    assert wrong / TABLES <= 0.07


@pytest.mark.parametrize(("splits", "gain"), [(3, 0.6), (4, 0.3), (5, 0.2)])
def test_few_splits_find_a_winner_that_is_far_ahead(splits: int, gain: float) -> None:
    rng = np.random.default_rng(splits)
    gains = np.array([-0.04, 0.0, gain, 0.0])
    found = 0
    for _ in range(TABLES):
        scores, reference = simulated(rng, gains, splits, noise=0.03)
        outcome, _ = verdict(scores, reference, ratio=RATIO)
        found += outcome.outcome == HELPS and outcome.best == 2
    assert found / TABLES >= 0.8


def test_intervals_end_where_scores_do() -> None:
    rng = np.random.default_rng(9)
    for splits in (2, 3, 10):
        reference = rng.uniform(0.2, 0.5, splits)
        scores = rng.uniform(0, 1, (8, splits))
        free = compare_to(scores, reference, ratio=RATIO)
        held = compare_to(scores, reference, ratio=RATIO, bounds=(0.0, 1.0))
        for wide, narrow in zip(free, held, strict=True):
            assert -1 <= narrow.low <= narrow.mean <= narrow.high <= 1
            assert wide.low <= narrow.low
            assert narrow.high <= wide.high
            assert (wide.mean, wide.error) == (narrow.mean, narrow.error)
            assert (wide.low > 0) == (narrow.low > 0)
    # Money has no upper bound, and nobody can lose less than nothing.
    (cost,) = compare_to(
        np.array([[-9.0, -1.0]]), np.array([-5.0, -5.0]), ratio=1, bounds=(-np.inf, 0)
    )
    assert cost.low < -50
    assert cost.high <= 5 + 13 * 5


def test_clipped_intervals_cover() -> None:
    rng = np.random.default_rng(10)
    covered = 0
    for _ in range(TABLES):
        gains = rng.normal(0, 0.05, 8)
        scores, reference = simulated(rng, gains, 10, noise=0.03, shared=0.8)
        # The class is nearly found already: what is left to gain is small, and so is the truth.
        scores, reference = scores + 0.45 - gains.max(), reference + 0.45 - gains.max()
        found = compare_to(scores, reference, ratio=RATIO, bounds=(0.0, 1.0))
        covered += all(d.low <= g <= d.high for d, g in zip(found, gains, strict=True))
    assert covered / TABLES >= 0.93


def test_intervals_cover_gains_and_losses_of_any_size() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(TABLES):
        gains = rng.normal(0, 0.05, 8)
        scores, reference = simulated(rng, gains, 10, noise=0.03, shared=0.8)
        found = compare_to(scores, reference, ratio=RATIO)
        covered += all(d.low <= g <= d.high for d, g in zip(found, gains, strict=True))
    assert 0.93 <= covered / TABLES <= 0.99


def test_a_planted_winner_is_found() -> None:
    rng = np.random.default_rng(2)
    gains = np.array([-0.04, 0.0, 0.09, 0.0, -0.02, -0.01, 0.0, -0.03])
    found = 0
    for _ in range(TABLES):
        scores, reference = simulated(rng, gains, 10, noise=0.03)
        outcome, _ = verdict(scores, reference, ratio=RATIO)
        found += outcome.outcome == HELPS and outcome.best == 2
    assert found / TABLES >= 0.8


def test_the_correction_is_needed() -> None:
    # The plain t-test on the same tables calls far more than 7 % of nothings a help.
    rng = np.random.default_rng(3)
    wrong = 0
    for _ in range(TABLES):
        scores, reference = simulated(rng, np.zeros(1), 20, noise=0.03)
        outcome, _ = verdict(scores, reference, ratio=0.0)
        wrong += outcome.outcome == HELPS
    assert wrong / TABLES > 0.15


def test_the_error_is_the_papers() -> None:
    values = np.array([0.01, 0.04, -0.02, 0.05, 0.03])
    mean, error = corrected(values[None], 0.25)
    assert mean[0] == pytest.approx(values.mean())
    assert error[0] == pytest.approx(np.sqrt(values.var(ddof=1) * (1 / 5 + 0.25)))
    (found,) = compare_to(values[None], np.zeros(5), ratio=0.25)
    half = student.ppf(0.975, 4) * error[0]
    assert found.interval == pytest.approx((values.mean() - half, values.mean() + half))


def test_more_candidates_make_wider_intervals_and_equal_ones_do_not() -> None:
    rng = np.random.default_rng(4)
    one = rng.standard_normal((1, 20))
    many = rng.standard_normal((20, 20))
    single = selection.critical_value(one)
    bonferroni = student.ppf(1 - 0.025 / 20, 19)
    assert single < selection.critical_value(many) <= bonferroni * 1.02
    # 20 copies of one difference are one difference, as far as 20 splits can tell.
    copies = selection.critical_value(np.repeat(one, 20, axis=0))
    assert single <= copies < 0.85 * bonferroni


def test_no_variance() -> None:
    reference = np.linspace(0.4, 0.6, 10)
    scores = np.stack([reference, reference + 0.05, reference - 0.05])
    found = compare_to(scores, reference, ratio=RATIO)
    assert found[0].interval == (0, 0)
    assert found[1].low > 0
    assert found[2].high < 0
    assert found[1].error > 0
    # Two splits that agree prove nothing.
    (few,) = compare_to(scores[1:2, :2], reference[:2], ratio=RATIO)
    assert few.low < 0


def test_a_perfect_reference_leaves_nothing_to_gain() -> None:
    rng = np.random.default_rng(5)
    perfect = np.ones(10)
    scores = 1 - rng.exponential(0.1, (5, 10))  # noisy, so that intervals reach above 1
    outcome, found = verdict(scores, perfect, ratio=RATIO, bounds=(0.0, 1.0))
    assert outcome.outcome == NO_GAIN
    assert max(d.high for d in found) <= 0
    assert verdict(scores, perfect, ratio=RATIO)[0].outcome == UNCLEAR


def test_the_three_outcomes() -> None:
    rng = np.random.default_rng(6)
    reference = 0.5 + 0.1 * rng.standard_normal(10)
    for gain, noise, expected in [
        (0.05, 0.01, HELPS),
        (-0.02, 0.01, NO_GAIN),
        (0.0, 0.1, UNCLEAR),
        (0.005, 0.003, HELPS),  # certain, though below the margin
    ]:
        scores = reference + gain + noise * np.resize([-1, 1, 0.5, -0.5], 10)
        outcome, _ = verdict(scores[None], reference, ratio=RATIO)
        assert outcome.outcome == expected, gain


def test_the_simplest_within_one_error_is_chosen() -> None:
    rng = np.random.default_rng(8)
    base = 0.5 + 0.1 * rng.standard_normal(10)
    wobble = 0.02 * np.resize([-1, 1], 10)
    scores = np.stack([base - 0.1, base, base + 0.005 + wobble])
    assert choose(scores, ratio=RATIO) == 1
    assert choose(scores, ratio=RATIO, order=[3, 2, 1]) == 2
    assert choose(scores + np.array([[0], [0], [0.1]]), ratio=RATIO) == 2
    assert choose(np.stack([base, base]), ratio=RATIO) == 0


def test_nobody_to_compare() -> None:
    outcome, found = verdict(np.empty((0, 5)), np.zeros(5), ratio=RATIO)
    assert (outcome.outcome, found) == (NO_GAIN, [])


def test_one_split_is_refused() -> None:
    with pytest.raises(UsageError, match="E223"):
        corrected(np.zeros((2, 1)), 0.25)
