"""Operations on spans against slow, obvious reference code."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import nn

from synthgen.nn import OneHotLinear, Spans, dropout, initialise

widths = st.lists(st.integers(2, 9), min_size=1, max_size=6)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(widths, st.integers(0, 1000))
def test_span_operations_equal_loops_over_columns(widths: list[int], seed: int) -> None:
    spans = Spans(widths)
    logits = spans.bounded(20 * torch.randn(7, sum(widths), generator=generator(seed)))
    codes = torch.stack([torch.randint(w, (7,), generator=generator(seed + 1)) for w in widths], 1)
    parts = logits.split(widths, 1)
    loops = torch.cat([p.softmax(1) for p in parts], 1)
    torch.testing.assert_close(spans.softmax(logits), loops, atol=1e-5, rtol=1e-4)
    sums = torch.stack([p.logsumexp(1) for p in parts], 1)
    torch.testing.assert_close(spans.logsumexp(logits), sums, atol=1e-4, rtol=1e-5)
    entropies = [
        nn.functional.cross_entropy(p, c, reduction="none")
        for p, c in zip(parts, codes.T, strict=True)
    ]
    torch.testing.assert_close(
        spans.cross_entropy(logits, codes), torch.stack(entropies, 1), atol=1e-4, rtol=1e-4
    )
    hot = [nn.functional.one_hot(c, w) for c, w in zip(codes.T, widths, strict=True)]
    assert torch.equal(spans.one_hot(codes), torch.cat(hot, 1).float())


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
    spans.cross_entropy(one, codes).sum().backward()
    sum(
        nn.functional.cross_entropy(p, c, reduction="sum")
        for p, c in zip(two.split(widths, 1), codes.T, strict=True)
    ).backward()  # type: ignore[union-attr]
    torch.testing.assert_close(one.grad, two.grad, atol=1e-10, rtol=1e-8)


def test_draws_follow_the_distribution_of_each_span() -> None:
    spans = Spans([2, 4])
    shares = torch.tensor([0.1, 0.9, 0.4, 0.3, 0.2, 0.1])
    logits = shares.log().expand(20_000, -1)
    codes = spans.draw(logits, generator())
    soft = spans.gumbel_softmax(logits, 0.2, generator(1))
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
    soft = spans.gumbel_softmax(logits, 0.2, generator())
    (soft**2).sum().backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert (soft > torch.finfo(torch.float32).tiny).all()


def test_no_codes_at_all() -> None:
    spans = Spans([])
    empty = torch.zeros(4, 0)
    assert spans.one_hot(empty.long()).shape == (4, 0)
    assert spans.gumbel_softmax(empty, 0.2, generator()).shape == (4, 0)
    assert spans.draw(empty, generator()).shape == (4, 0)
    assert spans.logsumexp(empty).shape == (4, 0)


def test_one_hot_linear_is_a_linear_layer() -> None:
    layer = OneHotLinear(3, 5, 4)
    initialise(layer, generator())
    dense, places = torch.randn(6, 3, generator=generator()), torch.tensor([[0, 4], [1, 1]] * 3)
    hot = nn.functional.one_hot(places, 5).sum(1).float()
    weight = torch.cat([layer.dense.weight, layer.table.T], 1)
    expected = nn.functional.linear(torch.cat([dense, hot], 1), weight, layer.dense.bias)
    torch.testing.assert_close(layer(dense, places), expected)


def test_initialise_fills_every_weight_within_its_bound() -> None:
    layer = nn.Sequential(OneHotLinear(3, 6, 200), nn.Linear(16, 300))
    for p in layer.parameters():
        nn.init.constant_(p, float("nan"))
    initialise(layer, generator())
    for name, p in layer.named_parameters():
        bound = 1 / math.sqrt(9) if name.startswith("0") else 1 / 4
        assert p.abs().max() <= bound, name
        assert p.abs().max() > 0.95 * bound, name


def test_dropout_keeps_the_mean() -> None:
    kept = dropout(torch.ones(200_000), 0.3, generator())
    assert kept.unique().tolist() == pytest.approx([0.0, 1 / 0.7])
    assert kept.mean().item() == pytest.approx(1.0, abs=0.01)
