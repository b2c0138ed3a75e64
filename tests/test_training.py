"""The step runner, apart from any network of the product."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from synthgen.encoding import Encoded
from synthgen.errors import ConvergenceError
from synthgen.training import EMA_DECAY, Learner, Sampler, energy_distance, run


class Point(Sampler):
    def __init__(self) -> None:
        super().__init__()
        self.n_labels = 1
        self.place = nn.Parameter(torch.zeros(1))

    def generate(self, rows: int, generator: torch.Generator, label: int) -> Encoded:
        return Encoded(self.place.expand(rows, 1), torch.zeros(rows, 0, dtype=torch.long))


class Walk(Learner):
    """Moves one step to the right at each update."""

    losses = ("place",)

    def __init__(self, breaks_at: int | None = None) -> None:
        super().__init__()
        self.sampler: Point = Point()
        self.optimizers = []
        self.breaks_at = breaks_at

    def step(self, generator: torch.Generator) -> Tensor:
        with torch.no_grad():
            self.sampler.place += 1
        broken = self.breaks_at is not None and self.sampler.place.item() >= self.breaks_at
        return self.sampler.place.detach() * (float("nan") if broken else 1.0)


def averaged(steps: int) -> float:
    average = 0.0
    for step in range(1, steps + 1):
        decay = min(EMA_DECAY, step / (step + 10))
        average = decay * average + (1 - decay) * step
    return average


def test_weights_are_averaged_and_losses_are_means_between_reports() -> None:
    walk, reports = Walk(), []
    history = run(
        walk, 250, torch.Generator(), progress=lambda done, total: reports.append((done, total))
    )
    assert walk.sampler.place.item() == pytest.approx(averaged(250), rel=1e-4)
    assert history.steps == [100, 200, 250]
    assert history.losses["place"] == pytest.approx([50.5, 150.5, 225.5])
    assert reports == [(100, 250), (200, 250), (250, 250)]
    assert not walk.training


def test_the_best_look_is_kept_and_looking_changes_nothing() -> None:
    walk, seen = Walk(), []

    def held_out() -> float:
        seen.append(walk.sampler.place.item())
        assert not walk.training
        return abs(walk.sampler.place.item() - 40)

    history = run(walk, 100, torch.Generator(), held_out=held_out, looks=10)
    assert seen == pytest.approx([averaged(s) for s in range(10, 101, 10)], rel=1e-4)
    best = int(np.argmin([abs(s - 40) for s in seen]))
    assert history.best_step == 10 * (best + 1)
    assert walk.sampler.place.item() == pytest.approx(seen[best])


def test_a_loss_that_is_not_finite_stops_with_what_to_do() -> None:
    with pytest.raises(
        ConvergenceError, match=r"diverged before step 200 \(place nan\): lower the learning rate"
    ):
        run(Walk(breaks_at=150), 300, torch.Generator())


def test_energy_distance_of_known_samples() -> None:
    # Two points at distance 1 from each other against a third at distance 2 and 3: 2 * 2.5 - 1 - 0.
    a, b = torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0]])
    assert energy_distance(a, b) == pytest.approx(2 * 2.5 - 1.0)
    generator = torch.Generator().manual_seed(0)
    same = [torch.randn(800, 3, generator=generator) for _ in range(2)]
    assert abs(energy_distance(*same)) < 0.02
    assert energy_distance(same[0], same[1] + 1) > 0.3
