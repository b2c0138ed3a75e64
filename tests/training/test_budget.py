"""What a fit says that it takes, against what it takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from synthgen import CTGAN, TVAE, TabFlow
from synthgen.encoding.layout import Layout
from synthgen.errors import UsageError
from synthgen.training import device
from synthgen.training.device import Budget
from synthgen.training.training_run import TrainingRun

NETWORKS: list[Any] = [CTGAN, TVAE, TabFlow]


def table(rows: int, numbers: int, levels: int) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(0)
    made = {f"n{j}": rng.normal(size=rows) for j in range(numbers)}
    made |= {f"c{j}": rng.choice(list("abcdefghij"), rows) for j in range(levels)}
    return pd.DataFrame(made), np.arange(rows) < rows // 2


class Held(TorchDispatchMode):
    """Follows which memory the results of operations hold, and the most of it at once.

    Args:
        known: Tensors whose memory does not count.
    """

    def __init__(self, known: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.known = {tensor.untyped_storage().data_ptr() for tensor in known}
        self.live: dict[int, tuple[StorageWeakRef, int]] = {}
        self.most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, list | tuple) else [made]:
            if isinstance(tensor, Tensor) and tensor.device.type == "cpu":
                storage = tensor.untyped_storage()
                if storage.data_ptr() in self.known:
                    continue
                reference = StorageWeakRef(storage)
                self.live[reference.cdata] = (reference, storage.nbytes())
        self.live = {k: v for k, v in self.live.items() if not v[0].expired()}
        self.most = max(self.most, sum(size for _, size in self.live.values()))
        return made


@pytest.mark.parametrize("make", NETWORKS)
@pytest.mark.parametrize("scope", ["class", "all"])
def test_weights_are_counted_before_they_are_there(make: Any, scope: str) -> None:
    model = make(scope=scope, batch_size=60, device="cpu", random_state=0)
    task = next(model.fit_steps(*table(200, 2, 3)))
    data = task.learner.data
    own = Layout(data.numbers.shape[1], data.spans.widths, [])
    budget = model.budget(own, data.n_labels, len(data), task.learner.sampler.rows)
    own_weights = sum(w.numel() for w in task.learner.sampler.parameters())
    weights = sum(w.numel() for w in task.learner.parameters())
    levels = sum(own.widths) * len(own.widths)
    assert budget.weights == 52 * weights + 32 * own_weights + 8 * levels
    rows = data.numbers.nbytes + data.codes.nbytes + data.labels.nbytes
    if make is CTGAN:
        rows += task.learner.conditions.places.nbytes
    assert budget.n_rows * budget.row == rows


@pytest.mark.parametrize("make", NETWORKS)
@pytest.mark.parametrize(
    ("rows", "numbers", "levels", "batch"),
    [(200_000, 12, 12, 50), (2_000, 20, 60, 2_000)],
    ids=["rows", "step"],
)
def test_training_takes_no_more_than_the_budget_and_not_much_less(
    make: Any, rows: int, numbers: int, levels: int, batch: int
) -> None:
    budgets: list[Budget] = []
    model = make(scope="all", batch_size=batch, device="cpu", random_state=0)
    X, y = table(rows, numbers, levels)
    ask = model.budget
    model.budget = lambda *asked: budgets.append(ask(*asked)) or budgets[-1]
    with Held() as held:
        task = next(model.fit_steps(X, y))
        at = TrainingRun(task.learner, 20, task.generator)
        states = [at.state()]
        for _ in range(2):
            at.advance()
        states += [at.state(), at.state()]
        assert task.look is not None
        with torch.no_grad():
            task.look.value()
    del states
    # Codes, and what is held while a column is encoded, are not torch's but numpy's.
    (budget,) = budgets
    taken = held.most + task.learner.data.codes.nbytes
    assert taken <= budget.total
    assert budget.total <= 4 * taken


@pytest.mark.parametrize("make", NETWORKS)
def test_a_look_takes_what_the_budget_says(make: Any) -> None:
    budgets: list[Budget] = []
    model = make(scope="all", batch_size=50, device="cpu", random_state=0)
    ask = model.budget
    model.budget = lambda *asked: budgets.append(ask(*asked)) or budgets[-1]
    look = next(model.fit_steps(*table(6_000, 8, 20))).look
    (budget,) = budgets
    assert look is not None
    parts = look.parts()
    held = sum(tensor.nbytes for part in parts for tensor in part.values())
    assert held <= budget.looked <= 4 * held
    known = [*look.parameters(), *look.buffers(), *(t for part in parts for t in part.values())]
    with Held(known) as alone, torch.no_grad():
        look(parts)
    assert alone.most <= budget.look <= 4 * alone.most


def test_what_does_not_fit_is_refused_before_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = table(3000, 3, 3)
    model: Any = TVAE(scope="all", device="cpu", random_state=0)
    budgets: list[Budget] = []
    ask = model.budget
    model.budget = lambda *asked: budgets.append(ask(*asked)) or budgets[-1]
    next(model.fit_steps(X, y))
    (budget,) = budgets
    there = budget.total - 1000 * (budget.row + budget.building)
    monkeypatch.setattr(device, "memory", lambda of: there)
    said = f"but cpu has .*: learn from at most {budget.n_rows - 1000:,} rows"
    with pytest.raises(UsageError, match=said) as caught:
        next(model.fit_steps(X, y))
    assert caught.value.code == 214
    monkeypatch.setattr(device, "memory", lambda of: budget.step)
    with pytest.raises(UsageError, match="lower batch_size"):
        next(model.fit_steps(X, y))
    monkeypatch.setattr(device, "memory", lambda of: budget.total)
    next(model.fit_steps(X, y))


def test_ten_million_rows_of_fifty_columns_fit_a_large_gpu() -> None:
    """The arithmetic of `evaluation/speed.md`."""
    spiky = Layout(50, [40] * 50, list(range(50)))
    for make in NETWORKS:
        model = make(scope="all", device="cpu")
        model.device_ = torch.device("cpu")
        budget = replace(model.budget(spiky, 2, 10**7, 10**7), building=48)
        assert budget.total < 10 * 2**30
