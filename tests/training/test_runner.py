"""The step runner, apart from any network of the product."""

from __future__ import annotations

import signal
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from synthgen.encoding.distances import energy_distance
from synthgen.encoding.layout import Encoded
from synthgen.errors import ConvergenceError
from synthgen.training.averages import EMA_DECAY
from synthgen.training.checkpoint import Checkpoint
from synthgen.training.graph import out_of_memory
from synthgen.training.learner import Learner, Sampler, Source
from synthgen.training.runner import run
from synthgen.training.training_run import History


class Point(Sampler):
    def __init__(self) -> None:
        super().__init__()
        self.n_labels = 1
        self.place = nn.Parameter(torch.zeros(1))

    def draw(self, rows: int, source: Source) -> dict[str, Tensor]:
        return {"codes": source.uniform(rows, 0)}

    def made(self, drawn: dict[str, Tensor], label: int) -> Encoded:
        rows = len(drawn["codes"])
        return Encoded(self.place.expand(rows, 1), torch.zeros(rows, 0, dtype=torch.long))


class Walk(Learner):
    """Moves one step to the right at each update."""

    losses = ("place",)

    def __init__(self) -> None:
        super().__init__()
        self.sampler: Point = Point()
        self.optimizers = []

    def step(self, drawn: torch.Generator) -> Tensor:
        with torch.no_grad():
            self.sampler.place.add_(1)
        return self.sampler.place.detach().clone()


class Stopped(BaseException):
    """The end of a process, for a test."""


class Drift(Learner):
    """SGD along a constant slope, at a rate of 0.1; fails when told to.

    Args:
        breaks: Calls of `step` that end in weights that are no numbers.
        stops, signals: The call that ends the process, and the one in which Ctrl-C is pressed.
        momentum: Of SGD.
        holds: Rows that memory holds, from the call `fails_from` on.
        error: What a larger batch raises.
    """

    losses = ("place",)

    def __init__(
        self,
        *,
        breaks: Collection[int] = (),
        stops: int | None = None,
        signals: int | None = None,
        momentum: float = 1e-9,
        batch: int = 2,
        pac: int = 1,
        holds: int = 10_000,
        fails_from: int = 0,
        error: Exception | None = None,
    ) -> None:
        super().__init__()
        self.sampler: Point = Point()
        self.optimizers = [torch.optim.SGD(self.parameters(), lr=0.1, momentum=momentum)]
        self.breaks, self.stops, self.signals = breaks, stops, signals
        self.batch, self.pac = batch, pac
        self.holds, self.fails_from, self.error = holds, fails_from, error or MemoryError()
        self.calls = 0
        self.place = 0.0  # at the last step, before averaging
        self.drawn: list[float] = []
        self.batches: list[int] = []

    def step(self, drawn: torch.Generator) -> Tensor:
        self.calls += 1
        self.drawn.append(torch.rand((), generator=drawn).item())
        if self.batch not in self.batches:
            self.batches.append(self.batch)
        place = self.sampler.place
        place.grad = torch.full_like(place, -1.0)
        self.optimizers[0].step()
        if self.calls in self.breaks:
            with torch.no_grad():
                place.fill_(float("nan"))
        if self.batch > self.holds and self.calls >= self.fails_from:
            raise self.error
        self.place = place.item()
        if self.calls == self.signals:
            signal.raise_signal(signal.SIGINT)
        if self.calls == self.stops:
            raise Stopped
        return place.detach().clone()


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
    assert reports == [(0, 250), (1, 250), (10, 250), (100, 250), (200, 250), (250, 250)]
    assert not walk.training


class Slowing(Drift):
    """Its rate falls in a straight line to nothing."""

    def course(self, done: int, steps: int) -> float:
        return 1 - done / steps


def test_the_rate_follows_its_course_after_a_roll_back_as_well() -> None:
    learner = Slowing(momentum=0.0)
    learner.optimizers = [torch.optim.SGD(learner.parameters(), lr=0.1)]
    run(learner, 200, torch.Generator())
    assert learner.place == pytest.approx(0.1 * sum(1 - i / 200 for i in range(200)), rel=1e-3)

    learner = Slowing(breaks=[150])
    with pytest.warns(UserWarning, match="a tenth of the learning rate"):
        run(learner, 200, torch.Generator())
    rates = [(0.1 if i < 100 else 0.01) * (1 - i / 200) for i in range(200)]
    assert learner.place == pytest.approx(sum(rates), rel=1e-3)


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


def test_a_run_goes_back_once_from_a_loss_that_is_not_finite() -> None:
    walk = Drift(breaks={150})
    with pytest.warns(
        UserWarning, match=r"diverged before step 200 \(place nan, .* nan\): it goes "
    ):
        history = run(walk, 300, torch.Generator().manual_seed(0))
    assert walk.calls == 400
    assert history.steps == [100, 200, 300]
    assert history.lowered == 1
    assert history.retries == [
        "training diverged before step 200 (place nan, size of the weights nan): it goes back to "
        "step 100 with a tenth of the learning rate, 0.01"
    ]
    # 100 steps of 0.1, then 200 of 0.01; what was drawn after step 100 is drawn again.
    assert walk.place == pytest.approx(100 * 0.1 + 200 * 0.01, rel=1e-4)
    assert walk.drawn[200:300] == walk.drawn[100:200]
    assert len(set(walk.drawn)) == 300


def test_a_loss_that_is_never_finite_stops_with_what_was_tried() -> None:
    walk = Drift(breaks=set(range(150, 10_000)))
    with (
        pytest.warns(UserWarning, match="with a tenth of the learning rate") as warned,
        pytest.raises(ConvergenceError) as caught,
    ):
        run(walk, 300, torch.Generator())
    assert caught.value.code == 601
    assert caught.value.message.startswith("training diverged before step 100 (place nan, ")
    assert " at each of the learning rates 0.1, 0.01, 0.001, 0.0001: lower " in str(caught.value)
    went_back = [str(w.message).partition(": it goes back to step ")[2] for w in warned]
    assert [to.split()[0] for to in went_back] == ["100", "0", "0"]
    assert walk.calls == 200 + 3 * 100


class Wall(Drift):
    """Its weights are lost at a wall that is nearer to a report than the smallest rate allows."""

    def step(self, drawn: torch.Generator) -> Tensor:
        if self.sampler.place > 10.0005:
            self.breaks = {self.calls + 1}
        return super().step(drawn)


def test_a_run_goes_back_to_its_start_from_a_report_that_leads_nowhere() -> None:
    walk = Wall()
    with pytest.warns(UserWarning, match="with a tenth of the learning rate"):
        history = run(walk, 300, torch.Generator().manual_seed(0))
    assert history.retries == [
        "training diverged before step 200 (place nan, size of the weights nan): it goes back to "
        "step 100 with a tenth of the learning rate, 0.01",
        "training diverged before step 200 (place nan, size of the weights nan): it goes back to "
        "step 0 with a tenth of the learning rate, 0.001",
    ]
    assert (history.steps, history.lowered) == ([100, 200, 300], 2)
    # What was drawn from the start on is drawn again.
    assert walk.calls == 200 + 100 + 300
    assert walk.drawn[300:500] == walk.drawn[:200]
    assert walk.place == pytest.approx(300 * 0.001, rel=1e-4)


def test_memory_that_ends_after_the_start_leads_back_to_the_start() -> None:
    """Not to the report that training has gone back behind."""
    walk = Drift(breaks={150, 250}, batch=64, holds=40, fails_from=350)
    with pytest.warns(UserWarning, match="it goes back to step|training continues from step"):
        history = run(walk, 300, torch.Generator().manual_seed(0))
    assert history.retries[2] == (
        "out of memory at step 50 with batches of 64 rows; training continues from step 0 with "
        "batches of 32"
    )
    assert (history.lowered, history.batch) == (2, 32)
    assert walk.place == pytest.approx(300 * 0.001, rel=1e-4)


def test_a_huge_loss_counts_as_diverged() -> None:
    class Far(Walk):
        def step(self, drawn: torch.Generator) -> Tensor:
            return super().step(drawn) * 1e6

    with (
        pytest.warns(UserWarning, match="place 5.05e"),
        pytest.raises(ConvergenceError, match="E601"),
    ):
        run(Far(), 100, torch.Generator())


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
    ],
    ids=["python", "cuda", "cpu"],
)
def test_a_batch_that_memory_does_not_hold_is_halved(error: Exception) -> None:
    walk = Drift(batch=300, pac=10, holds=70, fails_from=150, error=error)
    with pytest.warns(UserWarning, match=r"out of memory at step \d+ with batches of \d+ rows;"):
        history = run(walk, 300, torch.Generator().manual_seed(0))
    assert walk.batches == [300, 150, 70]
    assert history.batch == 70
    assert len(history.retries) == 2
    assert history.retries[1] == (
        "out of memory at step 101 with batches of 150 rows; training continues from step 100 with "
        "batches of 70"
    )
    assert history.lowered == 0
    assert walk.place == pytest.approx(30, rel=1e-4)


def test_the_smallest_batch_has_two_packs() -> None:
    walk = Drift(batch=70, pac=10, holds=0)
    with (
        pytest.warns(UserWarning, match="out of memory at step") as warned,
        pytest.raises(ConvergenceError, match=r"batches of 20 rows, .* another device.* \[E602\]"),
    ):
        run(walk, 5, torch.Generator())
    assert [str(w.message).split()[-1] for w in warned] == ["30", "20"]


def test_other_errors_of_a_step_are_not_taken_for_memory() -> None:
    walk = Drift(batch=70, holds=0, error=RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="mat1"):
        run(walk, 5, torch.Generator())


@pytest.mark.parametrize("stops", [1, 99, 100, 101, 250, 299])
def test_a_run_goes_on_where_it_stopped(stops: int, tmp_path: Path) -> None:
    def far_from_20(walk: Drift) -> Callable[[], float]:
        return lambda: abs(walk.sampler.place.item() - 20)

    def whole(**options: Any) -> tuple[Drift, History]:
        walk = Drift(**options)
        generator = torch.Generator().manual_seed(7)
        return walk, run(walk, 300, generator, held_out=far_from_20(walk), looks=7)

    expected, its_history = whole()

    def checkpoint() -> Checkpoint:
        return Checkpoint(tmp_path / "c", {}, np.random.SeedSequence(0), every=0)

    walk = Drift(stops=stops)
    generator = torch.Generator().manual_seed(7)
    with pytest.raises(Stopped), checkpoint() as kept:
        run(walk, 300, generator, held_out=far_from_20(walk), looks=7, checkpoint=kept)
    walk = Drift()
    with checkpoint() as kept:
        generator = torch.Generator().manual_seed(7)
        history = run(walk, 300, generator, held_out=far_from_20(walk), looks=7, checkpoint=kept)
    assert walk.calls == 300 - (stops - 1) // 100 * 100
    assert walk.place == expected.place
    assert walk.drawn == expected.drawn[-walk.calls :]
    history.seconds = its_history.seconds
    assert history == its_history
    assert not list(tmp_path.iterdir())


def test_what_a_run_learned_of_rate_and_batch_is_gone_on_from(tmp_path: Path) -> None:
    def checkpoint() -> Checkpoint:
        return Checkpoint(tmp_path / "c", {}, np.random.SeedSequence(0), every=0)

    walk = Drift(breaks={50}, batch=64, holds=40, stops=250)
    with (
        pytest.warns(UserWarning, match=" step 0 with "),
        pytest.raises(Stopped),
        checkpoint() as kept,
    ):
        run(walk, 300, torch.Generator(), checkpoint=kept)
    walk = Drift(batch=64)
    with checkpoint() as kept:
        history = run(walk, 300, torch.Generator(), checkpoint=kept)
    assert walk.batches == [32]
    assert history.batch == 32
    assert history.lowered == 1
    assert [r.split()[0] for r in history.retries] == ["out", "training"]
    assert walk.calls == 200
    assert walk.place == pytest.approx(300 * 0.01, rel=1e-4)


@pytest.mark.parametrize("ends", ["stops", "signals"])
def test_going_back_after_going_on_goes_back_as_far(ends: str, tmp_path: Path) -> None:
    """A signal may end a run between two reports; the state to go back to is that of the report."""

    def checkpoint() -> Checkpoint:
        every = 0 if ends == "stops" else 1000
        return Checkpoint(tmp_path / "c", {}, np.random.SeedSequence(0), every=every)

    whole = Drift(breaks={180}, momentum=0.999)
    with pytest.warns(UserWarning, match="it goes back to step 100"):
        run(whole, 300, torch.Generator().manual_seed(0))
    end: dict[str, Any] = {ends: 150}
    walk = Drift(momentum=0.999, **end)
    with pytest.raises((Stopped, KeyboardInterrupt)), checkpoint() as kept:
        run(walk, 300, torch.Generator().manual_seed(0), checkpoint=kept)
    assert walk.calls == 150
    reached = 100 if ends == "stops" else 150
    walk = Drift(momentum=0.999, breaks={180 - reached})
    with pytest.warns(UserWarning, match="it goes back to step 100"), checkpoint() as kept:
        run(walk, 300, torch.Generator(), checkpoint=kept)
    assert walk.place == whole.place
    assert walk.calls == 200 - reached + 200


@pytest.mark.parametrize(
    ("end", "at", "reached"),
    [
        ("signals", 250, 250),  # in the first retry, with a report to go back to
        ("stops", 350, 100),  # before the first report of the second retry: from the file before
        ("signals", 350, 350),
        ("stops", 450, 400),
        ("signals", 450, 450),
    ],
)
def test_a_run_that_goes_on_goes_back_to_the_same_start(
    end: str, at: int, reached: int, tmp_path: Path
) -> None:
    """The state of step 0 is in no checkpoint: it is that of the learner that goes on."""
    breaks = {150, 270, 480}  # of steps 1 to 200, 101 to 200, and 1 to 200

    def checkpoint() -> Checkpoint:
        every = 0 if end == "stops" else 1000
        return Checkpoint(tmp_path / "c", {}, np.random.SeedSequence(0), every=every)

    whole = Drift(breaks=breaks, momentum=0.999)
    with pytest.warns(UserWarning, match="it goes back to step"):
        expected = run(whole, 300, torch.Generator().manual_seed(0))
    ends: dict[str, Any] = {end: at}
    walk = Drift(breaks=breaks, momentum=0.999, **ends)
    with (
        pytest.warns(UserWarning, match="it goes back to step"),
        pytest.raises((Stopped, KeyboardInterrupt)),
        checkpoint() as kept,
    ):
        run(walk, 300, torch.Generator().manual_seed(0), checkpoint=kept)
    walk = Drift(breaks={b - reached for b in breaks}, momentum=0.999)
    with pytest.warns(UserWarning, match="it goes back to step"), checkpoint() as kept:
        history = run(walk, 300, torch.Generator().manual_seed(0), checkpoint=kept)
    assert walk.drawn == whole.drawn[reached:]
    assert walk.place == whole.place
    assert torch.equal(walk.sampler.place, whole.sampler.place)
    history.seconds = expected.seconds
    assert history == expected
    went_back = [note.partition(": it goes back to step ")[2] for note in history.retries]
    assert [to.split()[0] for to in went_back] == ["100", "0", "0"]


def test_energy_distance_of_known_samples() -> None:
    # Two points at distance 1 from each other against a third at distance 2 and 3: 2 * 2.5 - 1 - 0.
    a, b = torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0]])
    assert energy_distance(a, b) == pytest.approx(2 * 2.5 - 1.0)
    generator = torch.Generator().manual_seed(0)
    same = [torch.randn(800, 3, generator=generator) for _ in range(2)]
    assert abs(energy_distance(*same)) < 0.02
    assert energy_distance(same[0], same[1] + 1) > 0.3


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        MemoryError(),
    ],
)
def test_memory_is_found_behind_another_error(error: Exception) -> None:
    assert out_of_memory(error)
    caused, followed = ValueError("the step failed"), KeyError("while it was handled")
    caused.__cause__, followed.__context__ = error, caused
    assert out_of_memory(caused)
    assert out_of_memory(followed)
    assert not out_of_memory(RuntimeError("CUBLAS_STATUS_INVALID_VALUE"))
