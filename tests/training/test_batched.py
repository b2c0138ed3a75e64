"""Networks side by side against the same networks one after the other."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from synthgen import CTGAN, TVAE, SmoothedBootstrap, TabFlow
from synthgen.encoding.layout import Layout
from synthgen.errors import ConvergenceError, UsageError
from synthgen.synthesizers.fit_many import fit_many
from synthgen.synthesizers.looks import EnergyLook
from synthgen.synthesizers.network import NetworkSynthesizer
from synthgen.training import averages, batched, looks
from synthgen.training.batched import SideBySide
from synthgen.training.device import Budget
from synthgen.training.learner import StagedLearner
from synthgen.training.looks import Part
from synthgen.training.runner import Task
from synthgen.training.training_run import History

NETWORKS: list[type[NetworkSynthesizer]] = [CTGAN, TVAE, TabFlow]


def table(rows: int, seed: int) -> tuple[pd.DataFrame, pd.Series]:
    """Which columns are levels, which have spikes or missing cells, depends on the rows."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "plain": rng.normal(size=rows),
            "few": rng.integers(0, 4 if seed else 200, rows),  # levels in one, a scale in another
            "spiky": rng.normal(size=rows) * (rng.random(rows) < (0.5 if seed == 1 else 1)),
            "kind": rng.choice(list("abcdef")[: 3 + seed], rows),
            "gaps": np.where(
                rng.random(rows) < (0.3 if seed == 2 else 0), np.nan, rng.random(rows)
            ),
            "same": 1 if seed == 2 else rng.choice([1, 2], rows),
        }
    )
    return frame, pd.Series(np.arange(rows) % 3 == 0, name="ill")


FEW = (240, 200, 150)  # no row is held out
# A third of the rows is the class: 23, 0 and 30 of its rows are held out, and twice as many others.
MANY = (700, 590, 900)


def asked(make: type[NetworkSynthesizer], scope: str, sizes: tuple[int, ...] = FEW) -> list[Task]:
    tasks = []
    for seed, rows in enumerate(sizes):
        made: Any = make
        classes = [True, False] if scope == "all" else [True]
        model = made(
            scope=scope, classes=classes, steps=10, batch_size=40, random_state=seed, device="cpu"
        )
        runs = model.fit_steps(*table(rows, seed))
        task = next(runs)
        if scope == "adapt":
            task = runs.send(task.run())
        task.learner.double()
        if task.look is not None:
            task.look.double()
        task.beside.again = _double(task.beside.again)
        tasks.append(task)
    assert len({repr(t.beside.alike) for t in tasks}) == 1
    return tasks


def _double(again: Any) -> Any:
    return lambda layout: again(layout).double()


def own(drawn: dict[str, Tensor], i: int, layout: Layout, flow: bool) -> dict[str, Tensor]:
    """What learner `i` alone would draw of what was drawn for all."""
    places, sizes = layout.places, layout.sizes()
    chosen = {"gumbel": places["levels"]}
    if flow:
        chosen["noise"] = torch.cat([places["numbers"], places["levels"] + sizes["numbers"]])
        chosen["shown"] = torch.cat([torch.zeros(1, dtype=torch.long), places["codes"] + 1])
    return {k: v[i][..., chosen[k]] if k in chosen else v[i].clone() for k, v in drawn.items()}


@pytest.mark.parametrize("make", NETWORKS)
@pytest.mark.parametrize("scope", ["class", "all", "adapt"])
def test_ten_steps_side_by_side_are_ten_steps_of_each(
    make: type[NetworkSynthesizer], scope: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = asked(make, scope)
    together = SideBySide(tasks)
    assert any(layout.own != layout.widths for layout in together.layouts), "nothing is padded"
    for task in tasks:
        task.learner.train()
    for _ in range(10):
        drawn = together.draw()
        losses = together.step({k: v.clone() for k, v in drawn.items()})
        for i, (task, layout) in enumerate(zip(tasks, together.layouts, strict=True)):
            mine = own(drawn, i, layout, make is TabFlow)
            alone = task.learner.step(task.learner.gather(mine))
            torch.testing.assert_close(losses[i], alone, atol=1e-6, rtol=0)
    for i, (task, layout) in enumerate(zip(tasks, together.layouts, strict=True)):
        weights = dict(task.learner.named_parameters()) | dict(task.learner.named_buffers())
        for each in together.weights:
            found = each.of(each.flat[i].detach(), layout)
            for name, value in found.items():
                torch.testing.assert_close(value, weights[name].detach(), atol=1e-6, rtol=0)
            total = sum(v.abs().sum().item() for v in found.values())
            assert each.flat[i].abs().sum().item() == pytest.approx(total), "padding has weights"
        for name in together.statistics:
            torch.testing.assert_close(together.buffers[name][i], weights[name], atol=1e-6, rtol=0)


def test_each_stops_at_its_own_end_and_keeps_its_own_best(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Averages, best looks and ends are those of the single runs, for the same draws."""
    single, several = asked(TVAE, "class", MANY), asked(TVAE, "class", MANY)
    assert [task.look is None for task in single] == [False, True, False]
    monkeypatch.setattr(EnergyLook, "forward", _swinging)
    for tasks in (single, several):
        for steps, task in zip((30, 12, 21), tasks, strict=True):
            task.steps = steps
    together = SideBySide(several)
    drawn: list[dict[str, Tensor]] = []
    draw = together.draw
    together.draw = lambda: (drawn.append(draw()), drawn[-1])[1]
    histories = together.run()
    for i, (task, layout) in enumerate(zip(single, together.layouts, strict=True)):
        mine = iter([own(each, i, layout, False) for each in drawn])
        task.learner.ahead = _given(task.learner, mine)
        expected = task.run()
        history = histories[i]
        assert history is not None
        assert history.best_step == expected.best_step
        assert history.held_out == pytest.approx(expected.held_out, rel=1e-6)
        assert history.losses["divergence"][-1] > 0
        assert (history.best_step < task.steps) is (task.look is not None)
        for one, two in zip(
            several[i].learner.parameters(), task.learner.parameters(), strict=True
        ):
            torch.testing.assert_close(one.detach(), two.detach(), atol=1e-6, rtol=0)


def _given(learner: StagedLearner, mine: Iterator[dict[str, Tensor]]) -> Any:
    def ahead(generator: torch.Generator, steps: int) -> list[dict[str, Tensor]]:
        return [learner.gather(one) for one in itertools.islice(mine, steps)]

    return ahead


_energy = EnergyLook.forward


def _swinging(self: EnergyLook, parts: list[Part]) -> Tensor:
    """A loss with many minima on the way of the weights."""
    (first, *_) = self.sampler.parameters()
    return _energy(self, parts) + (20 * first.sum()).sin()


@pytest.mark.parametrize("make", NETWORKS)
@pytest.mark.parametrize("scope", ["class", "all", "adapt"])
def test_looks_side_by_side_are_those_of_each(
    make: type[NetworkSynthesizer], scope: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers of held-out rows, of classes with such rows, and layouts differ."""
    tasks = asked(make, scope, MANY)
    looking = [i for i, task in enumerate(tasks) if task.look is not None]
    assert looking == ([0, 1, 2] if scope == "all" else [0, 2])
    together = SideBySide(tasks)
    for _ in range(3):
        together.moved.fill_(0.5)
        together.update()
    samplers = together.samplers()
    losses = together.looks(looking, samplers)
    assert len(set(losses)) == len(losses)
    last = together.looks(looking[-1:], samplers)
    assert last == pytest.approx(losses[-1:], abs=1e-12)
    together.looks.at_once = 1
    blocks = together.looks(looking, samplers)
    assert blocks == pytest.approx(losses, abs=1e-12)
    together.best = together.averaged
    for i, loss in zip(looking, losses, strict=True):
        together.hand_over(i)
        look = tasks[i].look
        assert look is not None
        with averages.evaluating(tasks[i].learner):
            assert loss == pytest.approx(look.value(), abs=1e-6)


def test_all_networks_that_are_due_look_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = asked(TVAE, "class", MANY)
    for task, steps in zip(tasks, (40, 30, 40), strict=True):
        task.steps = steps
    calls: list[int] = []

    def counted(self: EnergyLook, parts: list[Part]) -> Tensor:
        calls.append(len(parts))
        return _energy(self, parts)

    monkeypatch.setattr(EnergyLook, "forward", counted)
    histories = SideBySide(tasks).run()
    assert [len(h.held_out) for h in histories if h is not None] == [20, 0, 20]
    assert len(calls) == 20


def test_looks_run_in_blocks_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = asked(TVAE, "class", MANY)
    look = max(task.beside.budget.look for task in tasks)
    for most, at_once in ((5 * look, 5), (look // 2, 1)):
        monkeypatch.setattr(looks, "MOST", most)
        assert SideBySide(tasks).looks.at_once == at_once


def test_looks_count_in_the_memory_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = asked(TVAE, "class")
    budget = Budget(n_rows=10, row=3, building=0, weights=50, step=20, looked=7, look=90)
    for task in tasks:
        task.beside.budget = budget
    monkeypatch.setattr(batched, "MOST", 100)  # one look at a time
    needed = 3 * (2 * (10 * 3 + 7) + 50) + 100
    for there in (needed, needed - 1):
        monkeypatch.setattr(batched, "memory", lambda device, there=there: there)
        assert batched.fits(tasks) is (there == needed)


def test_a_run_that_diverges_leaves_the_others_alone() -> None:
    tasks = asked(TVAE, "class")
    for task in tasks:
        task.learner.float()
        task.beside.again = (lambda again: lambda layout: again(layout).float())(task.beside.again)
    with torch.no_grad():
        next(tasks[1].learner.parameters()).fill_(float("nan"))
    histories = SideBySide(tasks).run()
    assert histories[1] is None
    for i in (0, 2):
        history = histories[i]
        assert history is not None
        assert history.steps == [10]
    weights = torch.cat([p.detach().flatten() for p in tasks[0].learner.parameters()])
    assert torch.isfinite(weights).all()


def test_a_run_that_diverges_is_done_again_from_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks at held-out rows with averaged weights leave nothing behind."""
    alone, side_by_side = asked(TVAE, "class", MANY), asked(TVAE, "class", MANY)
    monkeypatch.setattr(batched, "MAX_LOSS", 0.0)  # at the last of 10 steps, after 10 looks
    batched.run_together(side_by_side)
    for one, two in zip(alone, side_by_side, strict=True):
        one.run()
        for own, other in zip(one.learner.parameters(), two.learner.parameters(), strict=True):
            assert torch.equal(own, other)


@pytest.mark.parametrize("scope", ["class", "adapt"])
def test_many_fits_end_as_fits_that_sample_and_are_saved(scope: Any, tmp_path: Any) -> None:
    X, y = table(600, 1)
    jobs: list[Any] = [
        (TVAE(scope=scope, steps=60, batch_size=64, random_state=seed), X[seed::2], y[seed::2])
        for seed in (0, 1)
    ]
    jobs.append((SmoothedBootstrap(random_state=0), X, y))
    said: list[str] = []
    models = fit_many(jobs, together=True, say=said.append)
    assert said[0] == "SmoothedBootstrap trained by itself: it is not a network"
    waves = 2 if scope == "adapt" else 1
    assert said[1:] == ["2 networks trained side by side"] * waves
    for model in models:
        rows = model.sample(300, label=True, random_state=0)
        assert (rows["ill"]).all()
        shares = rows["kind"].value_counts(normalize=True)
        expected = X.loc[y, "kind"].value_counts(normalize=True)
        # 100 to 200 rows of the class and 300 made ones: five standard deviations of a share
        assert (shares.reindex(expected.index, fill_value=0) - expected).abs().max() < 0.25
    first: Any = models[0]
    assert len(first.history_[True].held_out) in (0, 20)
    first.save(tmp_path / "m.synthgen")
    assert len(TVAE.load(tmp_path / "m.synthgen").sample(5, label=True)) == 5


def test_what_cannot_be_batched_says_why() -> None:
    X, y = table(90, 1)
    said: list[str] = []
    jobs: list[Any] = [
        (TVAE(steps=2, batch_size=20, random_state=0), X, y),
        (TVAE(steps=2, batch_size=30, random_state=0), X, y),
    ]
    fit_many(jobs, together=True, say=said.append)
    assert set(said) == {"1 network trained by itself: no other is similar"}
    said.clear()
    fit_many(jobs[:1], together=False, say=said.append)
    assert said == ["TVAE trained by itself: together=False"]
    said.clear()
    fit_many(jobs[:1], say=said.append)
    assert said == ["TVAE trained by itself: training side by side is experimental"]


def test_all_jobs_are_checked_before_the_first_fit() -> None:
    X, y = table(90, 1)
    resampled, network = SmoothedBootstrap(random_state=0), TVAE(steps=2, batch_size=1)
    said: list[str] = []  # each fit is announced
    with pytest.raises(UsageError, match="job 2: batch_size must be"):
        fit_many([(resampled, X, y), (network, X, y)], say=said.append)
    assert said == []


@pytest.mark.parametrize("side_by_side", [True, False])
def test_a_fit_that_fails_stops_no_other(side_by_side: bool) -> None:
    X, y = table(90, 1)
    jobs: list[Any] = [
        (TVAE(steps=2, batch_size=20, learning_rate=rate, random_state=0), X, y)
        for rate in (1e30, 1e-3)
    ]
    with (
        pytest.raises(ConvergenceError, match="job 1: training diverged"),
        pytest.warns(UserWarning, match="tenth of the learning rate"),
    ):
        fit_many(jobs, together=side_by_side)
    assert len(jobs[1][0].sample(3, label=True)) == 3


def test_training_side_by_side_stays_behind_its_seam() -> None:
    """Nothing but `fit_many` uses it, and both say that it is experimental."""
    package = Path(batched.__file__).parents[1]
    users = [
        path.name
        for path in package.rglob("*.py")
        if "training.batched" in (code := path.read_text()) or "import batched" in code
    ]
    assert users == ["fit_many.py"]
    for described in (batched, fit_many):
        assert "experimental" in str(described.__doc__).lower()


def test_a_synthesizer_with_two_jobs_is_refused() -> None:
    model = TVAE(steps=1)
    with pytest.raises(UsageError, match="job 2: this TVAE is in an earlier job already"):
        fit_many([(model, X, y) for X, y in ((pd.DataFrame(), pd.Series()),) * 2])


def test_memory_that_does_not_hold_all_is_given_to_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    tried: list[weakref.ref[SideBySide]] = []
    whole, step = SideBySide.__init__, SideBySide.update

    def noted(self: SideBySide, tasks: list[Task]) -> None:
        assert all(before() is None for before in tried)  # nothing is left of what did not fit
        sizes.append(len(tasks))
        tried.append(weakref.ref(self))
        whole(self, tasks)

    def small(self: SideBySide) -> None:
        if self.k > 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        step(self)

    monkeypatch.setattr(SideBySide, "__init__", noted)
    monkeypatch.setattr(SideBySide, "update", small)
    tasks = asked(TVAE, "class")
    for task in tasks:
        task.learner.float()
        task.beside.again = (lambda again: lambda layout: again(layout).float())(task.beside.again)
    histories = batched.run_together(tasks)
    assert sizes == [3, 2]
    assert all(isinstance(h, History) and h.steps == [10] for h in histories)
