"""The critic's gradients, written out, against those that torch finds by differentiating twice."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from synthgen.encoding.layout import Encoded, Layout
from synthgen.synthesizers.ctgan import DROPOUT, PENALTY, CTGANLearner, Generator
from synthgen.synthesizers.ctgan_critic import HIDDEN, LEAK
from synthgen.synthesizers.training_rows import Data
from synthgen.training.blocks import Spans, initialise
from synthgen.training.learner import Source


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(params=[(2, [2, 4]), (0, [3]), (3, [])], ids=["mixed", "levels", "numbers"])
def learner(request: pytest.FixtureRequest) -> CTGANLearner:
    n_numbers, widths = request.param
    codes = [torch.randint(w, (40,), generator=generator(w)) for w in widths]
    rows = Encoded(
        torch.randn(40, n_numbers, generator=generator()),
        torch.stack(codes, 1) if codes else torch.zeros(40, 0, dtype=torch.long),
    )
    labels = torch.arange(40) % 2
    spans = Spans(widths)
    scale_code = [0] * min(n_numbers, len(widths)) + [-1] * max(0, n_numbers - len(widths))
    layout = Layout(n_numbers, widths, scale_code)
    sampler = Generator(n_numbers, spans, 2, scale_code)
    learner = CTGANLearner(sampler, Data(rows, labels, 2, layout), 20, 5, 1e-3)
    initialise(learner, generator())
    return learner.double().train()


def reference(learner: CTGANLearner, rows: Tensor, condition: Tensor, kept: Tensor) -> Tensor:
    """The critic as the paper draws it: all inputs dense, dropout after each leaky ReLU."""
    critic, pac = learner.critic, learner.pac
    packs = len(rows) // pac
    hot = torch.zeros(len(rows), learner.sampler.n_levels, dtype=rows.dtype)
    hot = hot.scatter(1, condition, 1.0).reshape(packs, -1)
    out = rows.reshape(packs, -1) @ critic.first.rows + hot @ critic.first.table + critic.first.bias
    out = F.leaky_relu(out, LEAK) * kept[:, :HIDDEN]
    out = F.leaky_relu(critic.second(out), LEAK) * kept[:, HIDDEN:]
    return critic.last(out)


def test_the_slope_is_the_gradient_along_the_rows(learner: CTGANLearner) -> None:
    width = learner.data.numbers.shape[1] + learner.data.spans.total
    rows = torch.randn(20, width, dtype=torch.float64, generator=generator()).requires_grad_(True)
    condition = learner.sampler.condition(torch.zeros(20, dtype=torch.long), torch.arange(20) % 2)
    kept = torch.rand(4, 2 * HIDDEN, dtype=torch.float64, generator=generator(1)) * 2
    critic = learner.critic
    scores, one, two = critic(critic.soft_part(rows) + critic.condition_part(condition), kept)
    expected = reference(learner, rows, condition, kept)
    torch.testing.assert_close(scores, expected, atol=1e-12, rtol=1e-10)
    (slope,) = torch.autograd.grad(expected.sum(), rows)
    torch.testing.assert_close(critic.slope(one, two), slope.reshape(4, -1), atol=1e-12, rtol=1e-9)


def test_the_critics_gradients_are_those_of_differentiating_twice(learner: CTGANLearner) -> None:
    chosen = learner.draw(Source(generator(), learner.sampler.limits))
    drawn = learner.gather(chosen)
    objective, losses, carried = learner.objective(0, drawn, {})
    weights = list(learner.critic.parameters())
    found = torch.autograd.grad(objective, weights)

    data = learner.data
    _, _, places = learner.conditions(chosen["place"], data)
    rows, _ = data.rows(places)
    real = torch.cat([rows.numbers, data.spans.one_hot(rows.codes)], 1)
    fake, condition, kept = carried["fake"].detach(), carried["condition"], drawn["kept"]
    gap = reference(learner, fake, condition, kept[:4]).mean()
    gap = gap - reference(learner, real, condition, kept[4:8]).mean()
    share = drawn["share"].repeat_interleave(learner.pac, 0)
    between = (real + share * (fake - real)).requires_grad_(True)
    score = reference(learner, between, condition, kept[8:12])
    (slope,) = torch.autograd.grad(score.sum(), between, create_graph=True)
    penalty = ((slope.reshape(4, -1).norm(2, 1) - 1) ** 2).mean()
    expected = torch.autograd.grad(gap + PENALTY * penalty, weights)

    assert losses.item() == pytest.approx(gap.item(), rel=1e-9)
    assert objective.item() == pytest.approx((gap + PENALTY * penalty).item(), rel=1e-9)
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, two, atol=1e-11, rtol=1e-8)
    assert set(drawn["kept"].unique().tolist()) == {0.0, 1 / (1 - DROPOUT)}


def test_the_generator_gets_its_gradient_through_the_written_out_critic(
    learner: CTGANLearner,
) -> None:
    drawn = learner.gather(learner.draw(Source(generator(), learner.sampler.limits)))
    _, _, carried = learner.objective(0, drawn, {})
    objective, _, _ = learner.objective(1, drawn, carried)
    weights = list(learner.sampler.parameters())
    found = torch.autograd.grad(objective, weights, retain_graph=True)
    loss = -reference(learner, carried["fake"], carried["condition"], drawn["kept"][-4:]).mean()
    missed = learner.condition_loss(carried)
    expected = torch.autograd.grad(loss + missed, weights)
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, two, atol=1e-11, rtol=1e-8)
