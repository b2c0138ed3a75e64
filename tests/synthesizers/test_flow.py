"""What is particular to TabFlow: its layout of a row, conditions, guidance, and what it learns."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import torch
from checks import check_learns_a_known_distribution, mixed, tabflow

from synthgen import TabFlow
from synthgen.errors import UsageError
from synthgen.synthesizers import flow
from synthgen.synthesizers.flow_network import SHARPEST
from synthgen.training import runner as training
from synthgen.training.learner import Source


def linked(rows: int = 700, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    """Two classes, 4 apart in `x`; `kind` moves `x` by 4 as well, and `y` is twice `x`."""
    rng = np.random.default_rng(seed)
    rare = rng.random(rows) < 0.3
    kind = rng.random(rows) < 0.4
    x = rng.normal(4.0 * rare + 4.0 * kind, 1)
    frame = pd.DataFrame(
        {
            "x": x,
            "y": 2 * x + rng.normal(0, 0.3, rows),
            "kind": np.where(kind, "b", "a"),
            "gap": np.where(rng.random(rows) < 0.2, np.nan, rng.normal(size=rows)),
        }
    )
    return frame, pd.Series(np.where(rare, "rare", "common"), name="class")


@pytest.fixture(scope="module")
def learned() -> TabFlow:
    X, y = linked()
    model = TabFlow(
        scope="all",
        classes=["common", "rare"],
        steps=400,
        batch_size=200,
        solver_steps=20,
        device="cpu",
        random_state=0,
    )
    return model.fit(X, y)


def test_it_learns_a_known_distribution() -> None:
    check_learns_a_known_distribution(tabflow, steps=400)


def test_boosting_hardly_tells_its_rows_from_held_out_ones(learned: TabFlow) -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import cross_val_predict

    held, labels = linked(seed=1)
    real = pd.concat([held, labels], axis=1)

    def told(made: pd.DataFrame) -> float:
        both = pd.concat([real, made[real.columns]], ignore_index=True)
        both = both.astype({"kind": "category", "class": "category"})
        judge = HistGradientBoostingClassifier(
            categorical_features="from_dtype", max_iter=50, random_state=0
        )
        y = np.repeat([0, 1], [len(real), len(made)])
        chance = np.asarray(cross_val_predict(judge, both, y, cv=3, method="predict_proba"))
        return float(roc_auc_score(y, chance[:, 1]))

    rng = np.random.default_rng(0)
    shuffled = real.apply(lambda c: c.to_numpy()[rng.permutation(len(c))])
    assert told(shuffled) > 0.85
    assert told(learned.sample(700, random_state=0)) < 0.7


def test_where_is_kept_and_followed(learned: TabFlow) -> None:
    for kind, middle in (("a", 4.0), ("b", 8.0)):
        made = learned.sample(300, label="rare", where={"kind": kind}, random_state=0)
        assert len(made) == 300
        assert set(made["kind"]) == {kind}
        assert set(made["class"]) == {"rare"}
        assert abs(made["x"].mean() - middle) < 1.2
    both = learned.sample(50, where={"kind": "b"}, random_state=0)
    assert set(both["class"]) == {"common", "rare"}
    pd.testing.assert_frame_equal(
        both, learned.sample(500, where={"kind": "b"}, random_state=0).head(50)
    )


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"kind": "c"}, r"column 'kind' has no value 'c': it has 'a', 'b'"),
        ({"kind": None}, r"column 'kind' has no value None"),
        ({"x": 1.0}, r"'x' is not encoded as categories: use one of 'kind'"),
        ({"class": "rare"}, r"'class' is not encoded as categories"),
        ({"nowhere": 1}, r"'nowhere' is not encoded as categories"),
    ],
)
def test_where_names_what_was_not_learned(learned: TabFlow, where, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        learned.sample(5, where=where)


def test_where_takes_numbers_truth_values_and_missing_cells() -> None:
    X, y = mixed(rows=300, rare=100)
    X["grade"], X["level"] = X["grade"].cat.codes, np.arange(300) % 4
    model = tabflow(random_state=0).fit(X, y)
    assert isinstance(model, TabFlow)
    where = {"flag": True, "level": 3, "region": None}
    made = model.sample(40, label="rare", random_state=0, where=where)
    assert made["flag"].all()
    assert (made["level"] == 3).all()
    assert made["region"].isna().all()


def test_where_holds_in_resampled_classes_too() -> None:
    X, y = mixed(rare=4)
    with pytest.warns(UserWarning, match="smoothed bootstrap"):
        model = tabflow(classes=["rare"], random_state=0).fit(X, y)
    flag = bool(X.loc[y == "rare", "flag"].iloc[0])
    assert set(model.sample(30, where={"flag": flag})["flag"]) == {flag}


def test_guidance_makes_rows_more_typical_of_their_class(learned: TabFlow) -> None:
    sampler = next(iter(learned.networks_.values())).sampler
    assert isinstance(sampler, flow.Flow)
    apart = []
    try:
        for guidance in (0.0, 1.0, 3.0):
            sampler.guidance = guidance
            means = [
                learned.sample(400, label=label, random_state=0)["x"].mean()
                for label in ("rare", "common")
            ]
            apart.append(means[0] - means[1])
    finally:
        sampler.guidance = 1.0
    assert abs(apart[0]) < 0.8  # without the class
    assert abs(apart[1] - 4) < 0.8
    assert apart[2] > apart[1] + 0.4


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_what_is_computed_once_for_all_moments_changes_no_row(
    learned: TabFlow, guidance: float
) -> None:
    """Rows are those of a solver that runs the whole network at each moment."""
    sampler = next(iter(learned.networks_.values())).sampler
    assert isinstance(sampler, flow.Flow)
    like, n = sampler.prior, sampler.n_numbers
    drawn = sampler.draw(50, Source(torch.Generator().manual_seed(0), like))
    x, steps = drawn["noise"], sampler.solver_steps
    of_class = torch.tensor([[0.0, 1.0]]).expand(50, -1)
    with torch.inference_mode():
        for i in range(steps):
            t = i / steps
            entered = torch.cat([x, torch.zeros(50, len(sampler.spans.widths))], 1)
            moment = sampler.moment(torch.full((50, 1), t))
            told, untold = (
                sampler(entered, moment, of).split([n, sampler.spans.total], 1)
                for of in (of_class, 0 * of_class)
            )
            changes = (told[0], sampler.spans.bounded(told[1]))
            if guidance != 1:
                others = (untold[0], sampler.spans.bounded(untold[1]))
                number, logit = (
                    torch.lerp(b, a, guidance) for a, b in zip(changes, others, strict=True)
                )
                changes = (number, sampler.spans.bounded(logit))
            spread = t**2 + (1 - t) ** 2
            numbers = t / spread * x[:, :n] + (1 - t) / spread**0.5 * changes[0]
            sharp = min(t / max(1 - t, 1e-3) ** 2, SHARPEST)
            shares = sampler.spans.softmax(changes[1] + sampler.prior + sharp * x[:, n:])
            x = torch.lerp(x, torch.cat([numbers, shares], 1), 1 / steps / (1 - t))
        sampler.guidance = guidance
        try:
            made = sampler.made(drawn, 1)
        finally:
            sampler.guidance = 1.0
    torch.testing.assert_close(made.numbers, x[:, :n], rtol=1e-4, atol=1e-4)


def test_adapting_moves_the_modulation_and_the_last_bias(monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[set[str]] = []

    def watched(learner, *args: Any, **options: Any):
        before = {k: v.clone() for k, v in learner.sampler.state_dict().items()}
        history = run(learner, *args, **options)
        after = learner.sampler.state_dict()
        moved.append({k for k, v in before.items() if not torch.equal(v, after[k])})
        return history

    run = training.run
    monkeypatch.setattr(training, "run", watched)
    tabflow(scope="adapt", classes=["rare"], random_state=0).fit(*mixed())
    whole, adapted = moved
    changed = ("clock", "label", "modulation", "leave.bias")
    assert adapted == {k for k in whole if any(part in k for part in changed)}
    assert len(adapted) == 13
    assert len(whole - adapted) > 12


def test_missing_cells_of_a_rare_class_are_as_frequent_as_in_its_rows() -> None:
    """Many correlated numbers, and two columns that are missing in 45 % of the class, else 2 %."""
    rng = np.random.default_rng(0)
    rare = np.arange(440) >= 400
    hidden = rng.normal(size=(440, 4))
    frame = pd.DataFrame(np.exp(hidden @ rng.normal(size=(4, 20)))).add_prefix("x")
    for name in ("x0", "x1"):
        frame.loc[rng.random(440) < np.where(rare, 0.45, 0.02), name] = np.nan
    model = TabFlow(
        classes=[True], steps=80, batch_size=64, solver_steps=20, device="cpu", random_state=0
    )
    made = model.fit(frame, rare).sample(400, label=True, random_state=0)[["x0", "x1"]].isna()
    assert model.scope_ == {True: "adapt"}
    assert made.mean().to_numpy() == pytest.approx(
        frame[rare][["x0", "x1"]].isna().mean(), abs=0.12
    )


def test_a_class_begins_with_its_own_frequencies() -> None:
    base = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64).log()
    none = flow.frequencies_of_class(torch.zeros(3, dtype=torch.float64), base)
    torch.testing.assert_close(none.exp(), torch.tensor([0.7, 0.2, 0.1]))
    many = flow.frequencies_of_class(torch.tensor([0.0, 1000.0, 9000.0]), base)
    torch.testing.assert_close(many.exp(), torch.tensor([0.0003, 0.1, 0.9]), atol=1e-3, rtol=0)
    few = flow.frequencies_of_class(torch.tensor([4.0, 3.0, 13.0]), base).exp()
    assert few[0] / few[1] == pytest.approx(3.5, rel=1e-4), "which of few rows has what is not told"
    assert few.sum() == pytest.approx(1.0)


def test_the_rate_warms_up_and_falls() -> None:
    of = cast(Any, flow.FlowLearner).course
    course = [of(None, i, 1000) for i in range(1000)]
    assert course[0] < 0.03
    assert max(course) > 0.95
    assert np.argmax(course) < 60
    assert course[-1] == pytest.approx(flow.LEAST_RATE, abs=1e-3)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"solver_steps": 0}, "solver_steps must be a whole number from 1 to 10000, not 0"),
        ({"guidance": -1}, "guidance must be a number from 0, not -1"),
    ],
)
def test_bad_parameters(params: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        tabflow(**params).fit(*mixed())
