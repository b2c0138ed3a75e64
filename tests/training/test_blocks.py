"""Operations on spans against slow, obvious reference code."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import nn

from synthgen.training import blocks as module
from synthgen.training.blocks import (
    OneHot,
    OneHotLinear,
    QuickLinear,
    QuickSequential,
    Spans,
    gumbel,
    initialise,
    product,
)

widths = st.lists(st.integers(2, 9), min_size=1, max_size=6)


def uniform(logits: torch.Tensor, spans: Spans) -> torch.Tensor:
    size = (len(logits), len(spans.widths))
    return torch.rand(size, dtype=torch.float64, generator=generator())


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(logits: torch.Tensor, seed: int) -> torch.Tensor:
    return gumbel(torch.rand(logits.shape, generator=generator(seed)))


@pytest.fixture(params=["by index", "as a product"], scope="module")
def _summed(request: pytest.FixtureRequest) -> Iterator[None]:
    """Sums over spans as on a CPU, and as elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "as a product":
            patch.setattr(module, "by_index", lambda values: False)
        yield


@pytest.mark.usefixtures("_summed")
@given(widths, st.integers(0, 1000))
def test_span_operations_equal_loops_over_columns(widths: list[int], seed: int) -> None:
    spans = Spans(widths)
    logits = spans.bounded(20 * torch.randn(7, sum(widths), generator=generator(seed)))
    codes = torch.stack([torch.randint(w, (7,), generator=generator(seed + 1)) for w in widths], 1)
    parts = logits.split(widths, 1)
    loops = torch.cat([p.softmax(1) for p in parts], 1)
    torch.testing.assert_close(spans.softmax(logits), loops, atol=1e-5, rtol=1e-4)
    sums = torch.stack([p.logsumexp(1) for p in parts], 1)
    for bounded in (False, True):
        found = spans.logsumexp(logits, bounded=bounded)
        torch.testing.assert_close(found, sums, atol=1e-4, rtol=1e-5)
    entropies = [
        nn.functional.cross_entropy(p, c, reduction="none")
        for p, c in zip(parts, codes.T, strict=True)
    ]
    for bounded in (False, True):
        found = spans.cross_entropy(logits, codes + spans.offsets, bounded=bounded)
        torch.testing.assert_close(found, torch.stack(entropies, 1), atol=1e-4, rtol=1e-4)
    hot = [nn.functional.one_hot(c, w) for c, w in zip(codes.T, widths, strict=True)]
    assert torch.equal(spans.one_hot(codes), torch.cat(hot, 1).float())


@pytest.mark.usefixtures("_summed")
def test_span_gradients_equal_autograd_of_loops() -> None:
    widths = [3, 5, 2]
    spans = Spans(widths).double()
    codes = torch.tensor([[0, 4, 1], [2, 0, 0]])
    one = torch.randn(2, 10, dtype=torch.float64, generator=generator(), requires_grad=True)
    two = one.detach().clone().requires_grad_(True)
    (spans.softmax(one) ** 2).sum().backward()
    (torch.cat([p.softmax(1) for p in two.split(widths, 1)], 1) ** 2).sum().backward()
    torch.testing.assert_close(one.grad, two.grad, atol=1e-10, rtol=1e-8)
    one.grad = two.grad = None
    spans.cross_entropy(one, codes + spans.offsets).sum().backward()
    sum(
        nn.functional.cross_entropy(p, c, reduction="sum")
        for p, c in zip(two.split(widths, 1), codes.T, strict=True)
    ).backward()  # type: ignore[union-attr]
    torch.testing.assert_close(one.grad, two.grad, atol=1e-10, rtol=1e-8)


def test_draws_follow_the_distribution_of_each_span() -> None:
    spans = Spans([2, 4])
    shares = torch.tensor([0.1, 0.9, 0.4, 0.3, 0.2, 0.1])
    logits = shares.log().expand(20_000, -1)
    codes = spans.draw(logits, uniform(logits, spans))
    soft = spans.gumbel_softmax(logits, 0.2, noise(logits, 1))
    for seen in (codes, torch.stack([soft[:, :2].argmax(1), soft[:, 2:].argmax(1)], 1)):
        for column, part in zip(seen.T, shares.split([2, 4]), strict=True):
            counts = torch.bincount(column, minlength=len(part)).numpy()
            assert (
                chisquare(
                    counts, 20_000 * part.double().numpy() / part.double().sum().item()
                ).pvalue
                > 1e-4
            )
    torch.testing.assert_close(soft[:, :2].sum(1), torch.ones(20_000))


def test_wide_spans_stay_finite_and_free_of_denormals() -> None:
    spans = Spans([2000, 3])
    logits = spans.bounded(1000 * torch.randn(8, 2003, generator=generator())).requires_grad_(True)
    soft = spans.gumbel_softmax(logits, 0.2, noise(logits, 0))
    (soft**2).sum().backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert (soft > torch.finfo(torch.float32).tiny).all()


def test_no_codes_at_all() -> None:
    spans = Spans([])
    empty = torch.zeros(4, 0)
    assert spans.one_hot(empty.long()).shape == (4, 0)
    assert spans.gumbel_softmax(empty, 0.2, empty).shape == (4, 0)
    assert spans.draw(empty, empty).shape == (4, 0)
    assert spans.logsumexp(empty).shape == (4, 0)


def test_one_hot_linear_is_a_linear_layer() -> None:
    layer = OneHotLinear(3, 5, 4).eval()
    initialise(layer, generator())
    dense, places = torch.randn(6, 3, generator=generator()), torch.tensor([[0, 4], [1, 1]] * 3)
    hot = nn.functional.one_hot(places, 5).sum(1).float()
    weight = torch.cat([layer.dense.weight, layer.table.T], 1)
    expected = nn.functional.linear(torch.cat([dense, hot], 1), weight, layer.dense.bias)
    torch.testing.assert_close(layer(dense, OneHot(places, 5)), expected)


@pytest.mark.parametrize("able", [True, False])
def test_only_training_in_float32_rounds_what_is_multiplied(
    able: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synthgen.training.blocks.BFLOAT16", able)
    layer = QuickLinear(40, 30)
    initialise(layer, generator())
    x = torch.randn(20, 40, generator=generator(1)).requires_grad_(True)
    exact = nn.functional.linear(x, layer.weight, layer.bias)
    trained = layer(x)
    assert trained.dtype == torch.float32
    assert torch.equal(trained, exact) is not able
    torch.testing.assert_close(trained, exact, atol=0.02, rtol=0.02)
    wanted = torch.autograd.grad((exact**2).sum(), [x, layer.weight, layer.bias])
    found = torch.autograd.grad((trained**2).sum(), [x, layer.weight, layer.bias])
    for one, two in zip(found, wanted, strict=True):
        assert (one - two).norm() < 0.01 * two.norm()
    torch.testing.assert_close(product(x, layer.weight.T), x @ layer.weight.T, atol=0.02, rtol=0.02)
    assert torch.equal(layer.eval()(x), exact)
    double = layer.train().double()(x.double())
    torch.testing.assert_close(
        double, nn.functional.linear(x.double(), layer.weight, layer.bias), atol=1e-12, rtol=0
    )


@pytest.mark.parametrize("able", [True, False])
def test_a_sequence_rounds_no_more_than_its_layers_do(
    able: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synthgen.training.blocks.BFLOAT16", able)
    first, second = QuickLinear(40, 30), QuickLinear(30, 20)
    body = QuickSequential(nn.ReLU(), first, nn.ReLU(), second)
    initialise(body, generator())
    x = torch.randn(50, 40, generator=generator(1)).requires_grad_(True)
    one, two = body(x), second(first(x.relu()).relu())
    assert one.dtype == torch.float32
    assert torch.equal(one, two)
    weights = [x, *body.parameters()]
    pairs = zip(*(torch.autograd.grad((y**2).sum(), weights) for y in (one, two)), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    exact = nn.functional.linear(
        nn.functional.linear(x.relu(), first.weight, first.bias).relu(), second.weight, second.bias
    )
    assert torch.equal(body.eval()(x), exact)


def test_initialise_fills_every_weight_within_its_bound() -> None:
    layer = nn.Sequential(OneHotLinear(3, 6, 200), nn.Linear(16, 300))
    for p in layer.parameters():
        nn.init.constant_(p, float("nan"))
    initialise(layer, generator())
    for name, p in layer.named_parameters():
        bound = 1 / math.sqrt(9) if name.startswith("0") else 1 / 4
        assert p.abs().max() <= bound, name
        assert p.abs().max() > 0.95 * bound, name


@pytest.mark.parametrize("able", [True, False])
@pytest.mark.parametrize("shares", [None, torch.rand(6, 2, generator=generator(3))])
def test_what_is_looked_up_is_what_a_product_gives(
    shares: torch.Tensor | None, able: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synthgen.training.blocks.BFLOAT16", able)
    share, most = (0.01, 0.02) if able else (1.3e-6, 1e-5)
    table = torch.randn(5, 4, generator=generator()).requires_grad_(True)
    places = torch.tensor([[0, 4], [1, 2]] * 3)
    hot = torch.zeros(6, 5).scatter(1, places, torch.ones(6, 2) if shares is None else shares)
    out = OneHot(places, 5, shares).times(table, training=able)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, hot @ table, rtol=share, atol=most)
    (grad,) = torch.autograd.grad((out**2).sum(), table)
    (expected,) = torch.autograd.grad(((hot @ table) ** 2).sum(), table)
    torch.testing.assert_close(grad, expected, rtol=share, atol=5 * most)


def test_rare_levels_at_the_ends_of_long_rows_are_drawn_as_often_as_they_should() -> None:
    spans = Spans([2] * 400)
    logits = torch.tensor([0.999, 0.001]).log().repeat(400).expand(2000, -1)
    codes = spans.draw(logits, uniform(logits, spans))
    halves = codes[:, :200].sum().item(), codes[:, 200:].sum().item()
    for seen in halves:  # 400 expected, five standard deviations
        assert abs(seen - 400) < 100
