"""The code for a GPU, run whole on a machine without one (see `pretended_gpu.py`).

What is proven: the branches that only a GPU takes give what the CPU gives; nothing mixes devices;
no step reads from the device; a recorded step is the eager one, also after it went back; what a
graph uses stays where it is; running out of memory leads to half the batch at every moment; a step
costs so many launches. What is not: the kernels themselves, their speed, their rounding, streams.
"""

from __future__ import annotations

import gc
import platform
import subprocess
import sys
import warnings
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import torch
from imblearn.pipeline import make_pipeline
from joblib import effective_n_jobs, parallel_config
from sklearn.naive_bayes import GaussianNB

from synthgen import (
    CTGAN,
    TVAE,
    ImbalancedClassifier,
    OversampledClassifier,
    Oversampler,
    SmoothedBootstrap,
    TabFlow,
    fit_many,
)
from synthgen.comparison import crossfit, schedule
from synthgen.comparison.splits import training_part
from synthgen.comparison.strategies import pick
from synthgen.comparison.tasks import Plan
from synthgen.encoding.encoder import Encoder
from synthgen.errors import OutputError
from synthgen.model_selection.estimators import Estimator
from synthgen.scale import dataset
from synthgen.synthesizers import fit_many as many
from synthgen.synthesizers import flow, network
from synthgen.synthesizers.network import NetworkSynthesizer
from synthgen.synthesizers.tvae import TVAELearner
from synthgen.tables.schema import Schema
from synthgen.tables.table import Table
from synthgen.training import blocks, making, runner, training_run
from synthgen.training import learner as learner_module
from synthgen.training.graph import CapturedSteps
from synthgen.training.learner import Learner
from synthgen.training.runner import Task
from synthgen.training.training_run import TrainingRun

if (sys.platform, platform.machine()) != ("linux", "x86_64"):
    pytest.skip("the pretended GPU knows torch on Linux x86-64 only", allow_module_level=True)
from pretended_gpu import GPU, Pretended, Refused, pretended

AS_SET: Any = None  # joblib: the number of processes that `parallel_config` says
NETWORKS: list[type[NetworkSynthesizer]] = [CTGAN, TVAE, TabFlow]
AT_ONCE = learner_module.AT_ONCE
# Launches of an update, with its share in the averages; no table makes it longer.
MOST = {CTGAN: 212, TVAE: 142, TabFlow: 204}
# Of one solver step, and of a block of rows beside its solver steps.
MOST_GUIDED = 70  # of one solver step with guidance
MOST_OF_A_BLOCK = {CTGAN: (0, 57), TVAE: (0, 41), TabFlow: (40, 70)}


@pytest.fixture(autouse=True)
def _short_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learner_module, "AT_ONCE", 4)


@pytest.fixture
def gpu() -> Iterator[GPU]:
    with pretended() as found:
        yield found


def table(columns: int = 10, rows: int = 400) -> tuple[pd.DataFrame, np.ndarray]:
    """Four kinds of columns in turn, and two more columns."""
    rng = np.random.default_rng(0)
    X: dict[str, Any] = {}
    for j in range(-(-(columns - 2) // 4)):
        X[f"n{j}"] = rng.normal(size=rows)
        X[f"s{j}"] = rng.normal(size=rows) * (rng.random(rows) < 0.5)
        X[f"m{j}"] = np.where(rng.random(rows) < 0.1, np.nan, rng.integers(0, 999, rows))
        X[f"c{j}"] = rng.choice(["a", "b", "c"], rows)
    X["when"] = pd.date_range("2020-01-01", periods=rows, freq="h")
    X["big"] = rng.integers(-(2**62), 2**62, rows)
    return pd.DataFrame(X), np.arange(rows) < 120


def learner_of(
    make: type[NetworkSynthesizer], columns: int = 10
) -> tuple[Learner, torch.Generator]:
    class Caught(Exception): ...

    found: list[Any] = []

    def catch(task: Task, checkpoint: object = None) -> None:
        found.extend([task.learner, task.generator])
        raise Caught

    made: Any = make
    model = made(scope="all", batch_size=60, random_state=0)
    with mock.patch.object(Task, "run", catch), pytest.raises(Caught):
        model.fit(*table(columns))
    return found[0].train(), found[1]


def under_way(make: type[NetworkSynthesizer], columns: int = 10) -> TrainingRun:
    learner, generator = learner_of(make, columns)
    return TrainingRun(learner, 50, generator)


# --- the same as on a CPU -------------------------------------------------------------------------


def test_encoding_gives_the_bits_of_the_cpu(gpu: GPU) -> None:
    X, _ = table()
    encoder = Encoder.fit(X, Schema.infer(X).columns)
    here = encoder.transform(X, np.random.default_rng(0))
    there = encoder.transform(X, np.random.default_rng(0), device="cuda")
    assert there.numbers.is_cuda
    assert there.codes.is_cuda
    assert torch.equal(here.numbers, there.numbers.cpu())
    assert torch.equal(here.codes, there.codes.cpu())
    pd.testing.assert_frame_equal(encoder.inverse_transform(here), encoder.inverse_transform(there))


@pytest.mark.parametrize("make", NETWORKS)
@pytest.mark.parametrize("scope", ["class", "adapt"])
def test_a_fit_ends_as_on_the_cpu(
    make: type[NetworkSynthesizer], scope: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BFLOAT16", False)
    X, y = table()
    made: Any = make
    solver = {"solver_steps": 10} if make is TabFlow else {}
    steps = 18 if scope == "adapt" else 12  # half of them to fine-tune

    def fitted(device: str) -> tuple[torch.Tensor, pd.DataFrame]:
        model = made(
            scope=scope, steps=steps, batch_size=60, device=device, random_state=0, **solver
        ).fit(X, y)
        state = model.networks_[1].sampler.state_dict().values()
        weights = [v.cpu().double().flatten() for v in state if v.is_floating_point()]
        return torch.cat(weights), model.sample(200, label=True, random_state=1)

    here = fitted("cpu")
    with pretended() as gpu:
        there = fitted("cuda")
    assert gpu.captures == {"adapt": 2, "class": 1}[scope]
    torch.testing.assert_close(here[0], there[0], rtol=1e-3, atol=1e-3)
    alike = [
        np.isclose(a.astype("int64") * 1.0, b.astype("int64") * 1.0, rtol=1e-2).mean()
        if a.dtype.kind in "iM"
        else np.isclose(a, b, rtol=1e-2, atol=1e-2, equal_nan=True).mean()
        if a.dtype.kind == "f"
        else (a == b).mean()
        for a, b in ((here[1][name], there[1][name]) for name in here[1])
    ]
    assert min(alike) > 0.97


# --- what a graph needs ---------------------------------------------------------------------------


def until(at: TrainingRun, step: int) -> TrainingRun:
    while at.step < step:
        assert at.advance()
    return at


def ends(make: type[NetworkSynthesizer], captured: bool, turns: int) -> dict[str, torch.Tensor]:
    """After 12 steps, the way back to the 8th at a lower rate, 8 steps, half a batch, 8 steps."""
    with pretended() as gpu, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        at = under_way(make)
        at.captured.captures = captured
        good = at.state()
        for turn in range(turns):
            if turn == 1:
                at.lower_rates(good, "as a test")
            elif turn == 2:
                at.halve_batch(good)
            good = until(at, 8 + 8 * turn).state()
            until(at, 12 + 8 * turn)
        assert gpu.captures == (turns if captured else 0)
        assert bool(at.captured.graphs) is captured, "no capture failed"
        return {name: value.cpu() for name, value in at.state().tensors.items()}


def parity(make: type[NetworkSynthesizer], turns: int = 3) -> None:
    recorded = ends(make, True, turns)  # first, as most faults are refused here
    for name, value in ends(make, False, turns).items():
        torch.testing.assert_close(value, recorded[name], rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("make", NETWORKS)
def test_recorded_steps_are_the_eager_ones(make: type[NetworkSynthesizer]) -> None:
    parity(make)


@pytest.mark.parametrize("make", NETWORKS)
def test_memory_that_does_not_suffice_at_any_moment_halves_the_batch(
    make: type[NetworkSynthesizer], gpu: GPU
) -> None:
    at = under_way(make)
    start = at.state()
    for moment in (1, 30, 150, 400, 700, 1000):
        at.resume(start)
        assert at.learner.batch == 60
        gpu.fail_at(moment)
        while at.step < 8:
            if not at.advance():
                with pytest.warns(UserWarning, match="out of memory at step"):
                    at.halve_batch(start)
        assert at.learner.batch == 30, f"nothing failed at operation {moment}"
        assert at.captured.graphs, f"no graph after operation {moment} failed"


@pytest.mark.parametrize("make", NETWORKS)
def test_between_two_reports_nothing_goes_to_or_from_the_host(
    make: type[NetworkSynthesizer], gpu: GPU
) -> None:
    at = until(under_way(make), 8)
    gpu.reset()
    until(at, 24)
    assert not gpu.reads
    assert not gpu.copies
    assert sum(gpu.launches.values()) <= 24 / 4  # the rates of the steps ahead, before a replay


def test_a_device_that_is_not_the_current_one() -> None:
    X, _ = table()
    y = np.arange(400) < 210  # enough to hold rows out
    with pretended(devices=2) as gpu:
        TVAE(steps=10, batch_size=60, device="cuda:1", random_state=0).fit(X, y)
    assert gpu.replays
    assert gpu.at == 0


# --- what it costs --------------------------------------------------------------------------------


@pytest.mark.parametrize("make", NETWORKS)
@pytest.mark.parametrize("columns", [15, 50, 200])
def test_launches_of_an_update(
    make: type[NetworkSynthesizer], columns: int, gpu: GPU, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learner_module, "AT_ONCE", AT_ONCE)
    at = under_way(make, columns)
    at.advance()
    gpu.reset()
    at.updates(AT_ONCE)
    assert sum(gpu.launches.values()) / AT_ONCE <= MOST[make]


@pytest.mark.parametrize("make", NETWORKS)
def test_launches_of_a_block_of_rows(make: type[NetworkSynthesizer], gpu: GPU) -> None:
    learner, generator = learner_of(make)
    sampler: Any = learner.eval().sampler
    gpu.reset()
    with torch.inference_mode():
        sampler.generate(1024, generator, 0)
    a_step, beside = MOST_OF_A_BLOCK[make]
    steps = getattr(sampler, "solver_steps", 0)
    assert sum(gpu.launches.values()) <= a_step * steps + beside
    assert not gpu.reads
    if make is TabFlow:  # with guidance, the network runs twice in each step
        sampler.guidance = 2.0
        gpu.reset()
        with torch.inference_mode():
            sampler.generate(1024, generator, 0)
        assert sum(gpu.launches.values()) <= MOST_GUIDED * steps + beside


@pytest.mark.parametrize("make", NETWORKS)
def test_rows_do_not_depend_on_how_many_are_made_at_once(
    make: type[NetworkSynthesizer], gpu: GPU, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: Any = make
    solver = {"solver_steps": 3, "guidance": 2.0} if make is TabFlow else {}
    model = made(scope="all", steps=2, batch_size=20, random_state=0, **solver).fit(*table())
    (network, *_) = model.networks_.values()
    monkeypatch.setattr(making, "BLOCK", 32)
    found = []
    for at_once in (1, 4):
        monkeypatch.setattr(making, "BLOCKS", at_once)
        captures = gpu.captures
        seed = np.random.SeedSequence(0)
        found.append(
            making.make_rows(
                network.sampler, network.sampler.made, 1, 300, seed, torch.device("cuda")
            )
        )
        assert gpu.captures == captures + 1, "many groups are one graph"
    one, two = found
    assert len(one) == len(two) == 300
    torch.testing.assert_close(one.numbers.cpu(), two.numbers.cpu(), rtol=1e-3, atol=1e-3)
    assert (one.codes == two.codes).double().mean().item() > 0.999


def test_sixteen_thousand_rows_are_one_block(gpu: GPU) -> None:
    model = TVAE(scope="class", classes=[True], steps=1, batch_size=20, random_state=0)
    (network,) = model.fit(*table(6, 150)).networks_.values()
    sizes: list[int] = []

    def made(drawn: dict[str, torch.Tensor], label: int) -> Any:
        sizes.append(len(drawn["latent"]))
        return network.sampler.made(drawn, label)

    seed, device = np.random.SeedSequence(0), torch.device("cuda")
    found = making.make_rows(network.sampler, made, 0, 16_384, seed, device)
    assert len(found) == 16_384
    assert sizes == [16_384]


# --- faults that were there -----------------------------------------------------------------------


@pytest.fixture
def tf32() -> Iterator[None]:
    torch.backends.cuda.matmul.allow_tf32 = True
    yield
    torch.backends.cuda.matmul.allow_tf32 = False


def test_sums_are_exact_and_the_setting_is_left_alone(gpu: GPU, tf32: None) -> None:
    spans = blocks.Spans([3, 5])
    values = torch.rand(20, 8, generator=torch.Generator().manual_seed(0)) * 1000
    wanted = torch.stack([part.sum(1) for part in values.split([3, 5], 1)], 1)
    there, spans = values.to("cuda"), spans.to("cuda")
    rounded = (there @ spans.member).cpu()
    assert (rounded - wanted).abs().max() > 0.01, "the pretended GPU rounds"
    torch.testing.assert_close(spans.summed(there).cpu(), wanted, rtol=1e-6, atol=0)
    spread = spans.spread(spans.summed(there)).cpu()
    torch.testing.assert_close(spread[:, 3], wanted[:, 1], rtol=1e-6, atol=0)
    assert torch.backends.cuda.matmul.allow_tf32 is True


def test_steps_run_one_by_one_after_a_capture_that_failed(gpu: GPU) -> None:
    eager = under_way(TVAE)
    eager.captured.captures = False
    until(eager, 12)
    at = under_way(TVAE)
    until(at, 4)
    before = at.captured.generator
    gpu.fail_at(60)
    with (
        mock.patch.object(gpu, "failure", return_value=RuntimeError("not permitted")),
        pytest.warns(UserWarning, match="steps run one by one"),
    ):
        until(at, 8)
    until(at, 12)
    assert at.captured.generator is not before
    assert not at.captured.graphs
    for one, two in zip(at.average, eager.average, strict=True):
        torch.testing.assert_close(one.cpu(), two.cpu(), rtol=1e-4, atol=1e-5)


def test_graphs_are_gone_before_a_state_is_restored(gpu: GPU) -> None:
    at = under_way(TVAE)
    good = at.state()
    until(at, 12)
    graph = weakref.ref(next(iter(at.captured.graphs.values())))
    alive: list[bool] = []
    load = at.learner.load_state_dict

    def watched(*given: Any) -> Any:
        alive.append(graph() is not None)
        return load(*given)

    with (
        mock.patch.object(at.learner, "load_state_dict", watched),
        pytest.warns(UserWarning, match="out of memory at step"),
    ):
        at.halve_batch(good)
    assert alive == [False]


@pytest.mark.parametrize("make", NETWORKS)
def test_many_fits_leave_no_more_on_the_device_than_two(
    make: type[NetworkSynthesizer], gpu: GPU
) -> None:
    made: Any = make
    model = made(scope="class", steps=1, batch_size=20, classes=[False], random_state=0)

    def held() -> int:
        gc.collect()
        return sum(type(x) is Pretended for x in gc.get_objects())

    counts = []
    X, y = table(6, 150)
    for fits in (2, 18 if make is TVAE else 3):  # the first of a process imports more of torch
        for _ in range(fits):
            model.fit(X, y)
        counts.append(held())
    assert counts[0] == counts[1]


def test_time_is_reckoned_between_two_reports(gpu: GPU, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_run, "REPORT_EVERY", 4)
    task = learner_of(TVAE)
    reported: list[int] = []
    runner.run(task[0], 12, task[1], progress=lambda done, total: reported.append(done))
    assert reported == [0, 4, 8, 12], "no step that the device may not have done"


@pytest.mark.parametrize(
    ("given", "estimator", "processes"),
    [
        (TVAE(steps=2), "lr", 1),
        (Oversampler(TabFlow()), "lr", 1),
        (Oversampler("ctgan"), "lr", 1),
        (make_pipeline(Oversampler("auto"), GaussianNB()), "lr", 1),
        ("smote", OversampledClassifier(GaussianNB(), Oversampler(TVAE())), 1),
        (TVAE(steps=2, device="cpu"), "lr", 3),
        (Oversampler(TabFlow(device="cpu")), "lr", 3),
        (Oversampler("bootstrap"), OversampledClassifier(GaussianNB(), Oversampler("trees")), 3),
    ],
)
def test_a_comparison_with_networks_on_a_gpu_is_one_process(
    given: Any, estimator: Any, processes: int, gpu: GPU, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []

    def results_of(
        jobs: Any, n_jobs: int, *, ordered: bool = True, ahead: bool = True
    ) -> Iterator[Any]:
        asked.append(
            (n_jobs, effective_n_jobs(AS_SET))
        )  # and what a backend of its own mind would take
        if not ordered:
            return iter(())
        return iter([{s.name: 1.0 for s in args[1]} for _, args, _ in jobs])  # the rehearsal

    monkeypatch.setattr(schedule, "results_of", results_of)
    _, part = training_part(Table.of_xy(*table(6, 150)))
    plan = Plan(
        part,
        np.arange(len(part)),
        Estimator.of(estimator),
        "average_precision",
        "f1",
        pick(["class_weight", "smote", given]),
        [np.arange(len(part)) % 2 == 0],
        np.random.SeedSequence(0),
        None,
    )
    with parallel_config("threading", n_jobs=3):
        for budget in (None, 60.0):
            schedule.run(plan, 3, budget, None, False)
    assert asked == [(processes, processes)] * 3  # with a budget, the fits that estimate the time


@pytest.mark.parametrize(("device", "processes"), [("auto", 1), ("cpu", 3)])
def test_many_fits_with_a_network_on_a_gpu_are_one_process(
    device: str, processes: int, gpu: GPU, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []

    def results_of(calls: Any, n_jobs: int) -> Iterator[Any]:
        asked.append((n_jobs, effective_n_jobs(AS_SET)))
        return ((model, []) for _, (model, _), _ in calls)  # as it is, unfitted

    monkeypatch.setattr(many, "results_of", results_of)
    jobs = [(model, *table(6, 150)) for model in (SmoothedBootstrap(), TVAE(device=device))]
    with parallel_config("threading", n_jobs=3):
        fit_many(jobs, n_jobs=3)
    assert asked == [(processes, processes)]


@pytest.mark.parametrize(("device", "processes"), [("auto", 1), ("cpu", -1)])
def test_an_average_with_networks_on_a_gpu_is_one_process(
    device: str, processes: int, gpu: GPU, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Asked(Exception): ...

    def fit_jobs(jobs: object, n_jobs: int, finished: object) -> None:
        raise Asked(n_jobs)

    monkeypatch.setattr(crossfit, "fit_jobs", fit_jobs)
    member = OversampledClassifier(GaussianNB(), Oversampler(TVAE(device=device)))
    with pytest.raises(Asked) as caught:
        ImbalancedClassifier(members=["logistic", member], n_jobs=-1).fit(*table(6, 150))
    assert caught.value.args == (processes,)


def test_rows_in_a_folder_are_of_one_process_on_a_gpu_and_of_one_device(
    gpu: GPU, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[int | None] = []
    run = dataset.on_engine

    def on_engine(engine: Any, work: Any, todo: Any, n_jobs: int | None) -> Iterator[Any]:
        asked.append(n_jobs)
        return run(engine, work, todo, 1)

    monkeypatch.setattr(dataset, "on_engine", on_engine)
    path = tmp_path / "m.synthgen"
    TVAE(steps=1, device="cpu", random_state=0).fit(*table(6, 150)).save(path)
    how: Any = {"random_state": 0, "n_jobs": 3}
    made = dataset.sample_dataset(path, 9, tmp_path / "gpu", device="auto", **how)
    assert made["device"] == "cuda"
    with pytest.raises(OutputError, match=r"rows of another call \(device differ\)"):
        dataset.sample_dataset(path, 9, tmp_path / "gpu", device="cpu", **how)
    made = dataset.sample_dataset(path, 9, tmp_path / "gpu", device="cuda:0", **how)
    assert made["rows"] == 9
    dataset.sample_dataset(path, 9, tmp_path / "cpu", device="cpu", **how)
    assert asked == [1, 1, 3]


def test_what_a_plan_leaves_open_is_part_of_a_checkpoint(
    gpu: GPU, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Opened(Exception): ...

    def opened(path: str, fit: dict[str, Any], seed: np.random.SeedSequence) -> None:
        raise Opened(fit["plan"])

    monkeypatch.setattr(network, "Checkpoint", opened)

    def identity(device: str, **params: Any) -> Any:
        with pytest.raises(Opened) as caught:
            TabFlow(device=device, checkpoint="c", **params).fit(*table())
        return caught.value.args[0]

    cpu, cuda = identity("cpu"), identity("cuda")
    assert cpu != cuda
    monkeypatch.setattr(flow, "SMALL_BATCH", 128)
    assert identity("cuda") != cuda
    assert identity("cuda", steps=7, batch_size=64) == []


def test_plans_depend_on_the_device() -> None:
    model = TabFlow()
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert model.plan(40_000, "whole", cpu, held=True)[1:] == (4000, 256)
    assert model.plan(40_000, "whole", cuda, held=True)[1:] == (10_000, 4096)
    assert model.plan(40_000, "whole", cuda, held=False)[1:] == (4000, 4096)
    assert model.plan(300, "whole", cuda, held=True).batch == 256
    assert model.plan(9_000, "whole", cuda, held=True).batch == 1024
    encoder = Encoder.fit(table()[0], Schema.infer(table()[0]).columns)
    needed = []
    for model.device_ in (cpu, cuda):
        needed.append(model.budget(encoder.layout, 1, 40_000, 40_000).step)
    assert needed[1] > 8 * needed[0]  # 16 times the batch
    asked = TabFlow(batch_size=64, steps=7)
    assert asked.plan(40_000, "whole", cuda, held=True)[1:] == (7, 64)


@pytest.mark.slow
@pytest.mark.parametrize(("most", "code"), [("1e-4", 0), ("-1.0", 1)])
def test_the_first_minutes_on_a_gpu_fail_where_graphs_differ(
    most: str, code: int, tmp_path: Path
) -> None:
    script = Path(__file__).parents[2] / "evaluation" / "speed.py"
    own = tmp_path / "evaluation" / "speed.py"
    own.parent.mkdir()
    (own.parent / "common.py").symlink_to(script.with_name("common.py"))
    own.write_text(script.read_text().replace("MOST_APART = 1e-4", f"MOST_APART = {most}"))
    (tmp_path / "tests").symlink_to(Path(__file__).parents[1])
    options = "--gpu --device pretended --quick --parts parity --models tvae --out found.json"
    done = subprocess.run(
        [sys.executable, str(own), *options.split()], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == code, done.stderr
    assert ("captured and eager averages differ by 0, more than -1" in done.stderr) == bool(code)


# --- the pretended GPU itself ---------------------------------------------------------------------

_forward = TVAELearner.objective


def _float(self: Any, *args: Any) -> Any:
    out = _forward(self, *args)
    float(out[0])
    return out


def _constant(self: Any, *args: Any) -> Any:
    objective, *rest = _forward(self, *args)
    return objective * torch.tensor([1.0], device=objective.device)[0], *rest


def _mask(self: Any, *args: Any) -> Any:
    objective, *rest = _forward(self, *args)
    sigma = self.sampler.log_sigma
    return objective + 0 * sigma[sigma > -100].sum(), *rest


def _host(self: Any, *args: Any) -> Any:
    objective, *rest = _forward(self, *args)
    sigma = self.sampler.log_sigma
    return objective + 0 * (sigma * torch.ones(len(sigma))).sum(), *rest


def _counts(self: Any, *args: Any) -> Any:
    self.n = getattr(self, "n", 0) + 1
    objective, *rest = _forward(self, *args)
    return objective * (1 + 0.1 * self.n), *rest


def _global(self: Any, *args: Any) -> Any:
    objective, *rest = _forward(self, *args)
    return objective + torch.rand((), device=objective.device) * self.sampler.log_sigma.sum(), *rest


@pytest.mark.parametrize("fault", [_float, _constant, _mask, _host, _counts, _global])
def test_a_fault_of_a_step_is_found(fault: Callable[..., Any]) -> None:
    with (
        mock.patch.object(TVAELearner, "objective", fault),
        pytest.raises((Refused, AssertionError)),
    ):
        parity(TVAE, turns=1)


def test_a_graph_that_outlives_its_memory_is_found() -> None:
    def kept(self: CapturedSteps) -> None:
        if not hasattr(self, "graphs"):
            forget(self)

    forget = CapturedSteps.forget
    with (
        mock.patch.object(CapturedSteps, "forget", kept),
        pytest.raises((Refused, AssertionError), match=r"freed|captures == 3"),
    ):
        parity(TVAE)


def test_a_rate_that_is_a_number_is_found() -> None:
    def numbers(self: TrainingRun, drawn: Any, i: int) -> None:
        for group in self.learner.optimizers[0].param_groups:
            group["lr"] = 0.01 / (1 + self.step)
        self.total.add_(self.learner.step(drawn))

    with (
        mock.patch.object(TrainingRun, "update", numbers),
        pytest.raises(AssertionError, match="learner"),
    ):
        parity(TVAE, turns=1)


def test_a_tensor_says_where_it_lies(gpu: GPU) -> None:
    tensor = torch.ones(2, device="cuda")
    assert tensor.is_cuda
    assert (tensor * 2).device == torch.device("cuda:0")
    with pytest.raises(Refused, match="same device"):
        _ = tensor + torch.ones(2)
    with pytest.raises(TypeError, match="numpy"):
        tensor.numpy()
    with pytest.raises(Refused, match="generator"):
        torch.rand(2, device="cuda", generator=torch.Generator())
