"""One thing to do: probabilities with known answers, and when nothing is recommended."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import t as student

from synthgen.comparison.recommendation import Chances, chances_of, recommend
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
    how = {"ratio": 0.25, "margin": 0.01}
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
    how = {"ratio": RATIO, "margin": 0.005}
    many = chances_of([*"abcdefghi", "lucky"], np.vstack([others, lucky]), NOTHING, **how)
    assert not many[-1].established
    assert chances_of(["lucky"], lucky[None], NOTHING, **how)[0].established
    found = chances_of([*"abcdefghi", "auto"], np.vstack([others, lucky]), NOTHING, **how)
    assert found[-1].established
    assert advised(found).action == "use auto"
    assert advised(many).action == "keep"


def test_a_strategy_that_changes_nothing_is_equal() -> None:
    (found,) = chances_of(["same"], NOTHING[None], NOTHING, ratio=RATIO, margin=0.01)
    assert (found.helps, found.equal, found.harms, found.interval) == (0, 1, 0, (0, 0))


def test_the_simplest_of_the_best_is_recommended_with_its_command() -> None:
    near = [chance("class_weight", 0.01, 0.3), chance("auto", 0.05, 0.9), chance("smote", 0.06, 1)]
    advice = advised(near)
    assert advice.action == "use auto"  # smote is no 0.0123 better
    assert advice.text == "Use auto: +0.050 average precision expected."
    assert "helps with probability 0.90" in advice.certainty
    assert advice.command == "synthgen auto DATA --target 'out come' --label yes -o model.skops"
    far = [*near[:2], chance("smote", 0.07, 1), chance("mine", 0.09, 0.5)]
    assert advised(far).action == "use smote"
    assert advised([chance("mine", 0.1, 1)]).command == "{a class} of mine"


def test_without_a_probable_gain_the_classifier_is_kept() -> None:
    advice = advised([chance("auto", 0.03, 0.7), chance("smote", -0.01, 0.1)])
    assert advice.action == "keep"
    assert "from a probability of 0.035 on" in advice.text
    assert "auto has the greatest expected gain, +0.030, and helps with probability 0.70" in (
        advice.certainty
    )
    assert advised([]).action == "keep"


def test_nothing_is_recommended_where_guessing_may_do_as_well() -> None:
    noise = np.array([0.05, 0.09, 0.04, 0.08, 0.05, 0.07, 0.06, 0.04, 0.08, 0.05])
    advice = advised([chance("auto", 0.05, 0.99)], noise)
    assert (advice.action, advice.command) == ("collect", "")
    assert "no better than guessing (0.050)" in advice.certainty
    assert advised([chance("auto", 0.05, 0.99)], noise, prevalence=0.01).action == "use auto"
    auc = advised([chance("auto", 0.05, 0.99)], 0.5 + noise - 0.06, metric="roc_auc")
    assert auc.action == "collect"
