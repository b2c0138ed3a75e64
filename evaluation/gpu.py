"""The first ten minutes on a GPU: what no machine without one can tell.

    python evaluation/gpu.py --out gpu.json
    python evaluation/gpu.py --out gpu.json --data-dir DIR    # then speed.py and fidelity.py
    python evaluation/gpu.py --device cpu --quick             # that it runs, without a GPU
    python evaluation/gpu.py --device pretended --quick       # the same, with graphs (tests/)
    python evaluation/gpu.py --device pretended --quick --parts launches      # counts alone

Each part stands alone: one that fails is written down, and the next one begins. Nothing is measured
with `--quick`, which says only that every part runs. The part ``launches`` counts kernels; only the
pretended GPU has it, and a count does not depend on the machine.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import torch

from synthgen import CTGAN, TVAE, TabFlow
from synthgen.training import making
from synthgen.training.learner import AT_ONCE
from synthgen.training.runner import Task
from synthgen.training.training_run import TrainingRun

HERE = Path(__file__).resolve().parent
NETWORKS: list[Any] = [CTGAN, TVAE, TabFlow]
MOST_APART = 1e-4  # between weights after captured and after eager steps
WIDTHS = [9, 16, 7, 15, 6, 5, 2, 42]  # levels of the columns of Adult


class Caught(Exception):
    """The learner is there: the fit need not go on."""


def table(rows: int, columns: int = 15) -> tuple[pd.DataFrame, np.ndarray]:
    """Random rows of the shape of Adult: numbers, spikes, whole numbers, levels, in turn."""
    rng = np.random.default_rng(0)
    made: dict[str, Any] = {}
    for j in range(columns):
        place = j % 15
        if place < 4:
            made[f"n{j}"] = rng.normal(size=rows)
        elif place < 6:
            made[f"s{j}"] = rng.normal(size=rows) * (rng.random(rows) < 0.3)
        elif place == 6:
            made[f"h{j}"] = rng.integers(0, 90, rows).astype(float)
        else:
            width = WIDTHS[place - 7]
            shares = rng.dirichlet(np.ones(width))
            made[f"c{j}"] = rng.choice([f"v{i}" for i in range(width)], rows, p=shares)
    return pd.DataFrame(made), np.arange(rows) < rows // 4


class Machine:
    """Measures the networks on one device.

    Args:
        device: "cuda", "cuda:1" or "cpu".
        quick: A few rows and steps, to see that everything runs.
        profiled: Whether the profiler can see kernels.
        counter: The pretended GPU; None: the device is another one.
    """

    def __init__(self, device: str, *, quick: bool, profiled: bool, counter: Any = None) -> None:
        self.device, self.quick, self.profiled = device, quick, profiled
        self.counter = counter
        self.X, self.y = table(600 if quick else 32_000)
        self.steps = AT_ONCE if quick else 512

    def sync(self) -> None:
        if self.device != "cpu":
            torch.cuda.synchronize()

    def seconds(self, work: Callable[[], Any]) -> float:
        self.sync()
        started = time.perf_counter()
        work()
        self.sync()
        return time.perf_counter() - started

    def model(self, make: Any, **params: Any) -> Any:
        return make(
            **{"scope": "class", "classes": [False], "device": self.device, "random_state": 0}
            | params
        )

    def task(self, make: Any, **params: Any) -> Task:
        found: list[Task] = []

        def catch(task: Task, checkpoint: object = None) -> None:
            found.append(task)
            raise Caught

        with mock.patch.object(Task, "run", catch), contextlib.suppress(Caught):
            self.model(make, **params).fit(self.X, self.y)
        found[0].learner.train()
        return found[0]

    def run(self, make: Any, **params: Any) -> TrainingRun:
        task = self.task(make, **params)
        return TrainingRun(task.learner, 10_000, task.generator)

    def each(self, at: TrainingRun, steps: int) -> float:
        """Milliseconds of a step, once the graphs are captured."""
        until(at, at.step + 2 * AT_ONCE)
        before = at.step
        spent = self.seconds(lambda: until(at, before + steps))
        return round(1e3 * spent / (at.step - before), 4)

    # --- parts: each returns figures by name ------------------------------------------------------

    def parity(self, make: Any) -> dict[str, Any]:
        """Captured steps must be the eager ones."""
        ends = []
        for captured in (False, True):
            at = self.run(make)
            at.captured.captures &= captured
            until(at, 3 * AT_ONCE)
            ends.append(torch.cat([w.flatten().double() for w in at.average]))
        differ = float((ends[0] - ends[1]).abs().max())
        if not differ <= MOST_APART:
            raise AssertionError(
                f"captured and eager averages differ by {differ:.2g}, more than {MOST_APART}"
            )
        return {"captured and eager averages differ by": differ}

    def speed(self, make: Any) -> dict[str, Any]:
        at = self.run(make)
        found: dict[str, Any] = {
            "s to warm up and capture": round(self.seconds(lambda: until(at, 2 * AT_ONCE)), 3),
            "ms a step": self.each(at, self.steps),
            "ms of a report and a state": round(
                1e3 * min(self.seconds(lambda: (at.report(), at.state())) for _ in range(3)), 2
            ),
            "graphs": len(at.captured.graphs),
        }
        if self.profiled:
            found |= profiled(at, self.sync)
        eager = self.run(make)
        eager.captured.captures = False
        found["ms a step, eager"] = self.each(eager, max(AT_ONCE, self.steps // 8))
        return found

    def launches(self, make: Any) -> dict[str, Any]:
        """Kernels of an update, of a look, of a block of rows and of a solver step."""
        before, found = (self.X, self.y), {}
        for columns in (15, 50, 200):
            self.X, self.y = table(600, columns)
            at = self.run(make, batch_size=60)  # small enough to draw 16 steps of 200 columns
            at.advance()
            made = self.counted(lambda at=at: at.updates(AT_ONCE)) / AT_ONCE
            products = sum(self.counter.launches[name] for name in ("mm", "addmm", "bmm"))
            found[f"an update, {columns} columns"] = round(made, 1)
            found[f"products in it, {columns} columns"] = products / AT_ONCE
        self.X, self.y = before
        task = self.task(make)
        task.learner.eval()
        sampler: Any = task.learner.sampler
        with torch.inference_mode():
            if task.look is not None:
                found["a look"] = self.counted(task.look.value)
            blocks = []
            for steps in (10, 20):
                sampler.solver_steps = steps
                blocks.append(self.counted(lambda: sampler.generate(1024, task.generator, 0)))
        a_step = (blocks[1] - blocks[0]) / 10
        found |= {"a block of rows": blocks[0] - 10 * a_step}
        return found | ({"a solver step": a_step} if a_step else {})

    def counted(self, work: Callable[[], Any]) -> int:
        self.counter.reset()
        work()
        return sum(self.counter.launches.values())

    def tf32(self, make: Any) -> dict[str, Any]:
        """Sums over spans stay exact; the setting is the user's, and is put back."""
        matmul = torch.backends.cuda.matmul
        before, matmul.allow_tf32 = matmul.allow_tf32, True
        try:
            return {"ms a step": self.each(self.run(make), self.steps)}
        finally:
            matmul.allow_tf32 = before

    def batches(self, make: Any) -> dict[str, Any]:
        sizes = (40, 80) if self.quick else (256, 512, 1024, 2048, 4096, 8192)
        return {
            f"ms a step, batch {size}": self.each(self.run(make, batch_size=size), self.steps // 2)
            for size in sizes
        }

    def look(self, make: Any) -> dict[str, Any]:
        task = self.task(make)
        task.learner.eval()
        if task.look is None:
            return {"rows are held out": False}
        with torch.inference_mode():
            task.look.value()
            return {"ms a look": round(1e3 * self.seconds(task.look.value), 2)}

    def blocks(self, make: Any) -> dict[str, Any]:
        model = self.model(make, steps=10).fit(self.X, self.y)
        rows = 2 * making.BLOCK if self.quick else 200_000
        found = {}
        for blocks in (1, 2) if self.quick else (1, 4, 16, 64):
            with mock.patch.object(making, "BLOCKS", blocks):
                model.sample(making.BLOCK * blocks, random_state=0)
                spent = self.seconds(lambda: model.sample(rows, random_state=0))
            found[f"s of {rows:,} rows, {blocks * making.BLOCK:,} at once"] = round(spent, 3)
        return found


def until(at: TrainingRun, step: int) -> None:
    while at.step < step:
        if not at.advance():
            raise MemoryError(f"memory does not suffice for a batch of {at.learner.batch}")


def profiled(at: TrainingRun, sync: Callable[[], None]) -> dict[str, Any]:
    """Kernels of a step and their time, of one replay."""
    from torch.profiler import ProfilerActivity, profile

    before = at.step
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        at.advance()
        sync()
    events = [e for e in seen.events() or [] if "cuda" in str(e.device_type).lower()]
    names = pd.Series([e.name[:60] for e in events]).value_counts().head(12)
    made = at.step - before
    return {
        "kernels a step": len(events) / made,
        "us in kernels a step": round(sum(e.device_time for e in events) / made, 1),
        "most kernels": {str(name): int(n) for name, n in names.items()},
    }


def second_gpu(machine: Machine) -> dict[str, Any]:
    if torch.cuda.device_count() < 2:
        return {"GPUs": torch.cuda.device_count()}
    model = TVAE(steps=100, device="cuda:1", random_state=0).fit(machine.X, machine.y)
    return {"rows made on cuda:1": len(model.sample(5, label=True))}


def other_scripts(folder: Path, out: Path) -> dict[str, Any]:
    """speed.py beside the peer on Adult and on 100,000 × 50, and the published protocol."""
    done = {}
    for name, arguments in {
        "speed_adult": ["speed.py", "--models", "ctgan", "tvae", "tabflow"],
        "speed_wide": ["speed.py", "--rows", "100000", "--columns", "50", "--peer-rows", "5000"],
        "published": ["fidelity.py", "--published", "--rows", "0", "--tables", "adult"],
    }.items():
        to = out.with_name(f"{out.stem}_{name}.json")
        script, *more = arguments
        command = [sys.executable, str(HERE / script), "--data-dir", str(folder), *more]
        done[name] = subprocess.run([*command, "--out", str(to)], check=False).returncode
    return done


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, cpu or pretended")
    parser.add_argument("--quick", action="store_true", help="a few steps: only that it runs")
    parser.add_argument("--data-dir", type=Path, help="then speed.py and fidelity.py run as well")
    parser.add_argument("--models", nargs="+", default=[m.__name__ for m in NETWORKS])
    parser.add_argument("--parts", nargs="+", help="such as: launches speed; all without it")
    parser.add_argument("--out", type=Path, default=Path("gpu-run.json"))
    options = parser.parse_args()
    real = options.device.startswith("cuda")
    found: dict[str, Any] = {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if real else options.device,
    }

    def part(name: str, work: Callable[[], dict[str, Any]]) -> None:
        started = time.perf_counter()
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            try:
                found[name] = work()
            except Exception as error:
                found[name] = {"failed": f"{type(error).__name__}: {error}"}
                traceback.print_exc()
        if told:
            found[name]["warnings"] = sorted({str(w.message)[:160] for w in told})
        print(f"{name} ({time.perf_counter() - started:.1f} s): {found[name]}", flush=True)
        options.out.write_text(json.dumps(found, indent=1) + "\n")  # what is known so far

    with contextlib.ExitStack() as stack:
        counter = None
        if options.device == "pretended":
            sys.path.insert(0, str(HERE.parent / "tests"))
            from pretended_gpu import pretended

            counter = stack.enter_context(pretended())
        device = "cuda" if options.device == "pretended" else options.device
        machine = Machine(device, quick=options.quick, profiled=real, counter=counter)
        for make in (m for m in NETWORKS if m.__name__ in options.models):
            for of in (
                machine.launches, machine.parity, machine.speed, machine.tf32, machine.batches,
                machine.look, machine.blocks,
            ):  # fmt: skip
                if of.__name__ not in (options.parts or [of.__name__]):
                    continue
                if of == machine.launches and counter is None:
                    continue
                part(f"{make.__name__}: {of.__name__}", lambda of=of, make=make: of(make))
        if real and not options.parts:
            part("second GPU", lambda: second_gpu(machine))
            if options.data_dir is not None:
                part("other scripts", lambda: other_scripts(options.data_dir, options.out))
    failed = [name for name, what in found.items() if isinstance(what, dict) and "failed" in what]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
