"""What a recorded step needs, proven on a CPU: it is a function of tensors that stay where they
are, no value reaches the host, and its length does not grow with the table.
"""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from synthgen import CTGAN, TVAE, TabFlow
from synthgen.encoding.layout import Encoded
from synthgen.synthesizers.network import NetworkSynthesizer
from synthgen.training.checkpoint import Checkpoint
from synthgen.training.graph import WARM_UP, CapturedSteps
from synthgen.training.learner import Learner, Source
from synthgen.training.runner import Task
from synthgen.training.training_run import History, TrainingRun

NETWORKS: list[type[NetworkSynthesizer]] = [CTGAN, TVAE, TabFlow]
# These wait for the device, or make a shape of what they find there.
HOST = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "equal", "is_nonzero")


class Operations(TorchDispatchMode):
    """Counts the operations of a block, those of the backward pass among them."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen[func.overloadpacket.__name__] += 1
        by_mask = [i for a in args if isinstance(a, list | tuple) for i in a]
        if func.overloadpacket.__name__ == "index" and any(
            isinstance(i, Tensor) and i.dtype == torch.bool for i in by_mask
        ):
            self.seen["masked_select"] += 1
        return func(*args, **(kwargs or {}))


class Caught(Exception):
    """The learner is there: no training is needed."""


def learner_of(
    make: type[NetworkSynthesizer],
    monkeypatch: pytest.MonkeyPatch,
    *,
    columns: int = 3,
    scope: str = "all",
    device: str = "cpu",
) -> tuple[Learner, torch.Generator]:
    found: list[Any] = []

    def catch(task: Task, checkpoint: object = None) -> None:
        found.extend([task.learner, task.generator])
        raise Caught

    monkeypatch.setattr(Task, "run", catch)
    rng = np.random.default_rng(0)
    numbers = {f"n{j}": rng.normal(size=200) for j in range(columns)}
    spiky = {f"s{j}": rng.normal(size=200) * (rng.random(200) < 0.5) for j in range(columns)}
    levels = {f"c{j}": rng.choice(["a", "b", "c"], 200) for j in range(columns)}
    X, y = pd.DataFrame(numbers | spiky | levels), np.arange(200) < 40
    with pytest.raises(Caught):
        make(scope=scope, batch_size=60, device=device, random_state=0).fit(X, y)  # type: ignore[call-arg]
    return found[0], found[1]


@pytest.mark.parametrize("make", NETWORKS)
@pytest.mark.parametrize("scope", ["class", "all"])
def test_no_value_of_a_step_reaches_the_host(
    make: type[NetworkSynthesizer], scope: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = TrainingRun(*_with_steps(learner_of(make, monkeypatch, scope=scope)))
    at.advance()
    with Operations() as operations:
        at.updates(2)
    assert sum(operations.seen.values()) > 50
    assert not {name: n for name, n in operations.seen.items() if name in HOST}


@pytest.mark.parametrize("make", NETWORKS)
def test_a_step_is_as_long_with_many_columns_as_with_few(
    make: type[NetworkSynthesizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths = []
    for columns in (2, 30):
        at = TrainingRun(*_with_steps(learner_of(make, monkeypatch, columns=columns)))
        at.advance()
        with Operations() as operations:
            at.updates(2)
        lengths.append(operations.seen)
    assert lengths[0] == lengths[1]


@pytest.mark.parametrize("make", NETWORKS)
def test_making_rows_takes_as_many_operations_with_many_columns_as_with_few(
    make: type[NetworkSynthesizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths = []
    for columns in (2, 30):
        learner, generator = learner_of(make, monkeypatch, columns=columns)
        learner.eval()
        with torch.inference_mode(), Operations() as operations:
            learner.sampler.generate(64, generator, 0)
        lengths.append(operations.seen)
    assert lengths[0] == lengths[1]


@pytest.mark.parametrize("make", [CTGAN, TVAE])
def test_rows_of_several_classes_are_one_batch(
    make: type[NetworkSynthesizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    learner, generator = learner_of(make, monkeypatch)
    sampler: Any = learner.eval().sampler
    drawn = sampler.draw(50, Source(generator, next(sampler.parameters())))
    twice = {name: torch.cat([each, each]) for name, each in drawn.items()}
    with torch.inference_mode():
        joined = sampler.made(twice, torch.arange(2).repeat_interleave(50))
        apart = Encoded.cat([sampler.made(drawn, label) for label in (0, 1)])
    torch.testing.assert_close(joined.numbers, apart.numbers, rtol=1e-4, atol=1e-4)
    assert (joined.codes == apart.codes).double().mean() > 0.99
    assert not torch.equal(apart.numbers[:50], apart.numbers[50:])


@pytest.mark.parametrize("make", NETWORKS)
def test_a_step_from_the_same_tensors_and_randomness_is_the_same(
    make: type[NetworkSynthesizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a replay relies on: nothing but tensors and the generator says what a step does."""
    at = TrainingRun(*_with_steps(learner_of(make, monkeypatch)))
    at.advance()
    before = at.state()
    ends = []
    for _ in range(2):
        at.resume(before)
        at.advance()
        ends.append(at.state().tensors)
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    assert not all(torch.equal(ends[0][k], before.tensors[k]) for k in before.tensors)


@pytest.mark.parametrize("make", NETWORKS)
def test_a_step_changes_tensors_in_place(
    make: type[NetworkSynthesizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    at = TrainingRun(*_with_steps(learner_of(make, monkeypatch)))
    at.advance()

    def places() -> dict[str, int]:
        tensors = dict(at.learner.state_dict(keep_vars=True))
        for i, optimizer in enumerate(at.learner.optimizers):
            for j, moments in optimizer.state_dict()["state"].items():
                tensors |= {f"{i} {j} {name}": value for name, value in moments.items()}
        tensors |= {f"average {i}": a for i, a in enumerate(at.average)}
        tensors |= {"total": at.total}
        return {name: tensor.data_ptr() for name, tensor in tensors.items()}

    before, values = places(), at.state().tensors
    at.advance()
    assert places() == before
    changed = [k for k, v in at.state().tensors.items() if not torch.equal(v, values[k])]
    assert "total" in changed
    assert sum(name.startswith("learner/") for name in changed) >= 6


@pytest.mark.parametrize("make", NETWORKS)
def test_nothing_outlives_a_fit(
    make: type[NetworkSynthesizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without waiting for the garbage collector, which does not know how full a GPU is. The first
    fit of a process does not count: torch imports more of itself then, and that keeps frames.
    """
    learners: list[weakref.ref[Learner]] = []
    steps: list[weakref.ref[CapturedSteps]] = []
    run, init = Task.run, CapturedSteps.__init__

    def watched(self: Task, checkpoint: Checkpoint | None = None) -> History:
        learners.append(weakref.ref(self.learner))
        return run(self, checkpoint)

    def made(self: CapturedSteps, *given: Any) -> None:
        steps.append(weakref.ref(self))
        init(self, *given)

    monkeypatch.setattr(Task, "run", watched)
    monkeypatch.setattr(CapturedSteps, "__init__", made)
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"n": rng.normal(size=200), "c": rng.choice(["a", "b"], 200)})
    construct: Any = make
    model = construct(scope="all", steps=3, batch_size=40, device="cpu", random_state=0)
    model.fit(X, np.arange(200) < 50)
    gc.collect()
    gc.disable()
    try:
        model.fit(X, np.arange(200) < 50)
        assert len(learners) == len(steps) == 2
        assert learners[1]() is None
        assert steps[1]() is None
    finally:
        gc.enable()
    (fitted,) = model.networks_.values()
    assert all(weight.grad is None for weight in fitted.sampler.parameters())


def test_a_captured_step_has_a_stream_of_its_own_on_its_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    streams: list[Any] = []
    captured_on: list[Any] = []

    def new_stream(device: torch.device) -> Any:
        streams.append(SimpleNamespace(device=device, wait_stream=lambda other: None))
        return streams[-1]

    def capture(graph: Any, pool: Any, stream: Any) -> Any:
        captured_on.append(stream)
        return nullcontext()

    graph = SimpleNamespace(register_generator_state=lambda generator: None, replay=lambda: None)
    current = SimpleNamespace(wait_stream=lambda other: None)
    for name, stand_in in {
        "Stream": new_stream,
        "graph": capture,
        "CUDAGraph": lambda: graph,
        "device": lambda device: nullcontext(),
        "stream": lambda stream: nullcontext(),
        "current_stream": lambda device: current,
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    device = torch.device("cuda:1")
    for _ in range(2):
        step = CapturedSteps(lambda count: None, torch.Generator(), device)
        for _ in range(WARM_UP + 1):
            step()
    assert [stream.device for stream in streams] == [device, device]
    assert captured_on == streams


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("make", NETWORKS)
def test_recorded_steps_are_the_eager_ones(
    make: type[NetworkSynthesizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = []
    monkeypatch.setattr("synthgen.training.learner.AT_ONCE", 4)
    for recorded in (False, True):
        at = TrainingRun(*_with_steps(learner_of(make, monkeypatch, device="cuda")))
        if not recorded:
            at.captured.captures = False
        while at.step < 20:
            assert at.advance()
        assert bool(at.captured.graphs) is recorded
        weights.append(torch.cat([a.flatten() for a in at.average]))
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-4, atol=1e-5)


def _with_steps(found: tuple[Learner, torch.Generator]) -> tuple[Learner, int, torch.Generator]:
    learner, generator = found
    return learner, 20, generator
