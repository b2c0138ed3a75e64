"""One thing to do: probabilities with known answers, and when nothing is recommended."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import t as student

from synthgen.comparison.recommendation import (
    LIKELY,
    PRIOR_FREEDOM,
    PRIORS,
    SURE,
    WIDER,
    Chances,
    chances_of,
    priors_for,
    recommend,
)
from synthgen.report.answer import Recommendation

RATIO = 0.25
NOTHING = np.array([0.40, 0.44, 0.42, 0.38, 0.41, 0.43, 0.39, 0.42, 0.40, 0.41])


def advised(chances: list[Chances], nothing: np.ndarray = NOTHING, **more: Any) -> Recommendation:
    how: dict[str, Any] = {
        "metric": "average_precision",
        "margin": 0.0123,
        "ratio": RATIO,
        "prevalence": 0.05,
        "threshold": 0.035,
        "target": "out come",
        "label": "yes",
        "summaries": {"mine": "{a class} of mine"},
    }
    return recommend(chances, nothing, **how | more)


def chance(name: str, gain: float, helps: float) -> Chances:
    return Chances(name, gain, (gain - 0.02, gain + 0.02), helps, 1 - helps, 0.0)


def test_probabilities_are_those_of_the_correlated_t_test() -> None:
    rng = np.random.default_rng(0)
    scores = NOTHING + rng.normal(0.02, 0.03, (2, 10))
    for own, found in zip(
        scores, chances_of(["a", "b"], scores, NOTHING, ratio=RATIO, margin=0.01), strict=True
    ):
        d = own - NOTHING
        # Corani & Benavoli 2015, with correlation n_test / (n_test + n_train).
        rho = RATIO / (1 + RATIO)
        scale = np.sqrt((1 / 10 + rho / (1 - rho)) * d.var(ddof=1))
        posterior = student(9, d.mean(), scale)
        assert found.helps == pytest.approx(1 - posterior.cdf(0.01))
        assert found.harms == pytest.approx(posterior.cdf(-0.01))
        assert found.helps + found.equal + found.harms == pytest.approx(1)
        assert found.gain == pytest.approx(d.mean())


def test_who_is_best_and_by_how_much_has_a_known_answer() -> None:
    # Two equal and independent strategies: the larger of two gains is E max = sd / sqrt(pi) above
    # their mean.
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(2, 400))
    noise -= noise.mean(axis=1, keepdims=True)
    noise[1] -= noise[0] * (noise[0] @ noise[1]) / (noise[0] @ noise[0])
    noise /= noise.std(axis=1, ddof=1, keepdims=True)
    reference = np.full(400, 0.5)
    how: dict[str, Any] = {"ratio": 0.25, "margin": 0.01}
    a, b = chances_of(["a", "b"], reference + 9 + noise, reference, **how)
    sd = np.sqrt(1 / 400 + 0.25)
    assert (a.best, b.best) == (pytest.approx(0.5, abs=0.02), pytest.approx(0.5, abs=0.02))
    assert a.regret == pytest.approx(sd / np.sqrt(np.pi), rel=0.05)
    scores = np.stack([np.full(400, -9.0), noise[1]])
    worse, same = chances_of(["a", "b"], scores, 0 * reference, **how)
    assert (worse.best, worse.regret) == (0, pytest.approx(9 + sd / np.sqrt(2 * np.pi), rel=0.05))
    assert same.best == pytest.approx(0.5, abs=0.02)  # nothing is the best as often


def test_of_many_strategies_one_must_stand_out_but_auto_is_judged_alone() -> None:
    rng = np.random.default_rng(3)
    z = rng.normal(size=10)
    z = (z - z.mean()) / z.std(ddof=1)
    error = np.sqrt(1 / 10 + RATIO)
    lucky = NOTHING + 0.02 * (z + 2.5 * error)  # 2.5 errors above 0: its own interval is above 0
    others = NOTHING + rng.normal(0, 0.02, (9, 10))
    how: dict[str, Any] = {"ratio": RATIO, "margin": 0.005}
    many = chances_of([*"abcdefghi", "lucky"], np.vstack([others, lucky]), NOTHING, **how)
    assert not many[-1].established
    assert chances_of(["lucky"], lucky[None], NOTHING, **how)[0].established
    found = chances_of([*"abcdefghi", "auto"], np.vstack([others, lucky]), NOTHING, **how)
    assert found[-1].established
    assert advised(found).action == "use auto"
    assert advised(many).action == "keep"


def gains_at(errors: float) -> np.ndarray:
    """Scores on ten splits: the mean gain is that many corrected errors, and 0.02 a split."""
    z = np.random.default_rng(3).normal(size=10)
    z = (z - z.mean()) / z.std(ddof=1)
    return NOTHING + 0.02 * (z + errors * np.sqrt(1 / 10 + RATIO))


def test_two_splits_tell_no_impossible_gain_and_a_prior_moves_its_own_strategy_only() -> None:
    nothing = np.array([0.10, 0.194])
    scores = np.array([[0.16, 0.19], [0.30, 0.404]])  # the second is auto
    how: dict[str, Any] = {"ratio": RATIO, "margin": 0.007, "bounds": (0.0, 1.0)}
    plain = chances_of(["other", "auto"], scores, nothing, **how)
    found = chances_of(["other", "auto"], scores, nothing, **how, priors={"auto": (0.02, 0.03)})
    assert [c.gain for c in plain] == pytest.approx([0.028, 0.205])
    assert replace(found[0], best=0, regret=0) == replace(plain[0], best=0, regret=0)
    assert 0.02 < found[1].gain < plain[1].gain
    for c in (*plain, *found):
        assert -0.147 - 1e-9 <= c.interval[0] <= c.gain <= c.interval[1] <= 0.853 + 1e-9
        assert 0 <= c.regret < 0.5
    assert "expected loss" not in advised(found, nothing, margin=0.007).certainty
    assert "other tables" in advised(found, nothing, margin=0.007).certainty


def test_a_gain_that_no_score_leaves_room_for_has_no_probability() -> None:
    nothing = NOTHING - NOTHING.mean() + 0.98
    scores = (nothing + np.linspace(-0.03, 0.05, 10))[None]
    how: dict[str, Any] = {"ratio": RATIO, "margin": 0.029}
    assert chances_of(["a"], scores, nothing, **how)[0].helps > 0.1
    assert chances_of(["a"], scores, nothing, **how, bounds=(0.0, 1.0))[0].helps == 0


def test_with_a_prior_the_posterior_is_the_product_of_both_densities() -> None:
    location, scale, margin = 0.03, 0.01, 0.02
    own, other = gains_at(1.0), NOTHING + np.random.default_rng(5).normal(0.01, 0.02, 10)
    how: dict[str, Any] = {"ratio": RATIO, "margin": margin}
    plain = chances_of(["other", "auto"], np.stack([other, own]), NOTHING, **how)
    mixed, found = chances_of(
        ["other", "auto"], np.stack([other, own]), NOTHING, **how, priors={"auto": (0.03, 0.01)}
    )
    mean, error = plain[1].gain, WIDER * 0.02 * np.sqrt(1 / 10 + RATIO)
    grid = np.linspace(-0.3, 0.3, 60_001)
    density = student.pdf(grid, 9, mean, error)
    density *= student.pdf(grid, PRIOR_FREEDOM, location, scale)
    density /= density.sum()
    ends = grid[np.searchsorted(np.cumsum(density), [0.025, 0.975])]
    assert found.gain == pytest.approx(density @ grid, abs=3e-4)
    assert found.helps == pytest.approx(density @ (grid > margin), abs=0.015)
    assert found.harms == pytest.approx(density @ (grid < -margin), abs=0.005)
    assert found.interval == pytest.approx(tuple(ends), abs=1e-3)
    assert found.alone == plain[1].helps
    assert (found.established, plain[1].established) == (False, False)
    # The other strategy has a flat prior; what is learned of auto reaches it by the shared splits.
    residual = np.stack([other, own * WIDER]) - np.stack([NOTHING, NOTHING * WIDER])
    covariance = np.cov(residual)
    moved = covariance[0, 1] / covariance[1, 1] * (found.gain - plain[1].gain)
    assert mixed.gain == pytest.approx(plain[0].gain + moved, abs=1e-3)
    assert mixed.alone is None


def test_a_prior_as_wide_as_the_world_changes_nothing() -> None:
    how: dict[str, Any] = {"ratio": RATIO, "margin": 0.01}
    (plain,) = chances_of(["auto"], gains_at(1.0)[None], NOTHING, **how)
    (wide,) = chances_of(["auto"], gains_at(1.0)[None], NOTHING, **how, priors={"auto": (0, 1e6)})
    assert (wide.gain, wide.helps) == (
        pytest.approx(plain.gain, abs=5e-4),
        pytest.approx(plain.helps, abs=0.015),
    )
    assert wide.interval == pytest.approx(plain.interval, abs=2e-3)
    assert wide.regret == pytest.approx(plain.regret, abs=1e-9)


def test_the_prior_alone_recommends_nothing_and_lets_a_doubtful_gain_not_pass() -> None:
    def with_prior(errors: float, location: float) -> tuple[Chances, str]:
        priors = {"auto": (location, 0.002)}
        how: dict[str, Any] = {"ratio": RATIO, "margin": 0.0123}
        (found,) = chances_of(["auto"], gains_at(errors)[None], NOTHING, **how, priors=priors)
        return found, advised([found]).action

    no_support, action = with_prior(0.5, 0.03)  # the prior is sure of a gain
    assert no_support.helps > SURE
    assert no_support.alone is not None
    assert no_support.alone < LIKELY
    assert action == "keep"
    support, action = with_prior(3.0, 0.03)
    assert support.alone is not None
    assert support.alone >= LIKELY
    assert action == "use auto"
    likely, action = with_prior(2.0, 0.03)
    assert (likely.established, action) == (True, "use auto")
    (plain,) = chances_of(["auto"], gains_at(2.0)[None], NOTHING, ratio=RATIO, margin=0.0123)
    assert not plain.established  # without a prior it must be more likely
    doubted, action = with_prior(3.0, 0.0)  # the table shows a gain, all others showed none
    assert doubted.helps < LIKELY
    assert action == "keep"


def test_priors_are_for_what_was_measured() -> None:
    assert priors_for("hgb", "average_precision", 80) == {"auto": PRIORS["hgb"]}
    assert priors_for("hgb", "roc_auc", 80) == {}
    assert priors_for("GaussianNB", "average_precision", 80) == {}
    assert priors_for("hgb", "average_precision", 301) == {}
    assert priors_for("hgb", "average_precision", 9) == {}


def test_where_nothing_helps_changes_are_as_rare_as_the_probabilities_say() -> None:
    # True gains are 0, also that of auto; splits share training rows as the test supposes. Without
    # a prior auto helps by chance with 0.9 in 10 % of all cases, less as there is a margin, and the
    # interval of the others is above 0 in 2.5 %. With the prior, which says otherwise, it is
    # recommended wherever it is more likely to help than not: in 28 % of such cases by
    # evaluation/benchmark.md.
    rng = np.random.default_rng(11)
    names = ["class_weight", "oversample", "auto", "smote"]
    changed, others, with_prior = 0, 0, 0
    for _ in range(100):
        nothing = 0.4 + 0.05 * (rng.normal(size=10) + np.sqrt(RATIO) * rng.normal())
        noise = rng.normal(size=(4, 10)) + np.sqrt(RATIO) * rng.normal(size=(4, 1))
        how: dict[str, Any] = {"ratio": RATIO, "margin": 0.012}
        scores = nothing + 0.04 * noise
        plain = advised(chances_of(names, scores, nothing, **how), nothing, margin=0.012)
        changed += plain.action.startswith("use ")
        priors = priors_for("hgb", "average_precision", 80)
        found = chances_of(names, scores, nothing, **how, priors=priors)
        action = advised(found, nothing, margin=0.012).action
        if action == "use auto":
            assert (scores[2] - nothing).mean() >= 0.012
        with_prior += action == "use auto"
        others += action.startswith("use ") and action != "use auto"
    assert changed <= 12
    assert others <= 6
    assert with_prior <= 40


def test_the_gain_of_auto_is_less_certain_than_the_splits_say() -> None:
    own = gains_at(2.0)
    how: dict[str, Any] = {"ratio": RATIO, "margin": 0.01}
    other, auto = chances_of(["other", "auto"], np.stack([own, own]), NOTHING, **how)
    assert auto.gain == pytest.approx(other.gain)
    widths = [c.interval[1] - c.interval[0] for c in (other, auto)]
    assert widths[1] == pytest.approx(WIDER * widths[0])
    assert auto.helps < other.helps


def test_a_strategy_that_changes_nothing_is_equal() -> None:
    (found,) = chances_of(["same"], NOTHING[None], NOTHING, ratio=RATIO, margin=0.01)
    assert (found.helps, found.equal, found.harms, found.interval) == (0, 1, 0, (0, 0))


def test_the_simplest_of_the_best_is_recommended_with_its_command() -> None:
    near = [chance("class_weight", 0.01, 0.3), chance("auto", 0.05, 0.9), chance("smote", 0.06, 1)]
    advice = advised(near)
    assert advice.action == "use auto"  # smote is no 0.0123 better
    assert advice.text == "Use auto: its expected gain in average precision is +0.050."
    assert "helps with probability 0.90" in advice.certainty
    assert advice.command == "synthgen auto DATA --target 'out come' --label yes -o model.skops"
    far = [*near[:2], chance("smote", 0.07, 1), chance("mine", 0.09, 0.5)]
    assert advised(far).action == "use smote"
    assert advised([chance("mine", 0.1, 1)]).command == "{a class} of mine"


def test_without_a_probable_gain_the_classifier_is_kept() -> None:
    advice = advised([chance("auto", 0.03, 0.7), chance("smote", -0.01, 0.1)])
    assert advice.action == "keep"
    assert "if its probability is at least 0.035" in advice.text
    assert "auto has the largest expected gain, +0.030, and gains more than 0.012 with " in (
        advice.certainty
    )
    assert "with probability 0.70; " in advice.certainty
    assert advised([]).action == "keep"


def test_nothing_is_recommended_where_guessing_may_do_as_well() -> None:
    noise = np.array([0.05, 0.09, 0.04, 0.08, 0.05, 0.07, 0.06, 0.04, 0.08, 0.05])
    advice = advised([chance("auto", 0.05, 0.99)], noise)
    assert (advice.action, advice.command) == ("collect", "")
    assert "no better than guessing (0.050)" in advice.certainty
    assert advised([chance("auto", 0.05, 0.99)], noise, prevalence=0.01).action == "use auto"
    auc = advised([chance("auto", 0.05, 0.99)], 0.5 + noise - 0.06, metric="roc_auc")
    assert auc.action == "collect"


def test_few_splits_do_not_make_a_good_score_look_like_guessing() -> None:
    unsure = [chance("auto", 0.02, 0.79)]
    found = advised(unsure, np.array([0.28, 0.37]), prevalence=0.043)  # a t interval of -0.4 to 1.0
    assert found.action == "keep"
    noise = advised(unsure, np.array([0.03, 0.37]), prevalence=0.043)
    assert noise.action == "collect"
    assert "[0.030, 0.370], which may be no better than guessing (0.043)" in noise.certainty
