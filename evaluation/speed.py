"""How fast synthgen encodes, trains and samples, beside the usual package or on a GPU.

    python evaluation/speed.py --data-dir DIR --quality 30               Adult
    python evaluation/speed.py --data-dir DIR --rows 100000 --columns 50
    python evaluation/speed.py --data-dir DIR --rows 1000000 --columns 50 --sample 100000
        --peer-rows 10000
    python evaluation/speed.py --gpu --out gpu.json                      the first minutes on a GPU
    python evaluation/speed.py --gpu --device cpu --quick                that it runs without one
    python evaluation/speed.py --gpu --device pretended --quick          the same, with graphs
    python evaluation/speed.py --gpu --device pretended --quick --parts launches     counts alone

The table is Adult (train and test), its rows and columns drawn again to the size asked for. Both
packages learn the whole table with its class in one process, in batches of 500 rows with layers of
256 (CTGAN) or 128 (TVAE) units. For each: seconds to encode; milliseconds a step; start-up; the
total of 300 epochs, reckoned from these; operations a step (calls of torch, views too); seconds to
sample; peak memory, of the device or of the process with all it has done before, and what was
reckoned beforehand; with --quality, shape of columns, TSTR and two-sample score after so many
epochs with three seeds, and ours after 300 epochs. --peer-rows fits the other package's mixtures on
so many rows only, and leaves its encoding out. --clock cpu counts the time that the process had a
core, for a machine that others use.

With --gpu each part stands alone: one that fails is written down, and the next one begins. Nothing
is measured with `--quick`. The part ``launches`` counts kernels; only the pretended GPU has it, and
a count does not depend on the machine.
"""

from __future__ import annotations

import argparse
import contextlib
import platform
import resource
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
from common import HERE, adult, parser, write
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from torch.utils._python_dispatch import TorchDispatchMode

from synthgen import CTGAN, TVAE, TabFlow
from synthgen.encoding.encoder import Encoder
from synthgen.tables.table import Table
from synthgen.training import making
from synthgen.training.blocks import BFLOAT16
from synthgen.training.device import resolve
from synthgen.training.learner import AT_ONCE
from synthgen.training.runner import Task
from synthgen.training.training_run import REPORT_EVERY, TrainingRun

BATCH, EPOCHS, WARM, SEEDS, TOLD_ROWS = 500, 300, 10, 3, 5_000
OURS = {"ctgan": CTGAN, "tvae": TVAE, "tabflow": TabFlow}
MOST_APART = 1e-4  # between weights after captured and after eager steps
WIDTHS = [9, 16, 7, 15, 6, 5, 2, 42]  # levels of the columns of Adult


# --- beside the usual package ---------------------------------------------------------------------


class Operations(TorchDispatchMode):
    """Counts calls of torch's operations."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


class Clock:
    """Seconds of a piece of work, until the device has done it."""

    def __init__(self, kind: str, device: torch.device) -> None:
        self.now = time.perf_counter if kind == "wall" else time.process_time
        self.device = device

    def __call__(self, work: Callable[[], Any]) -> tuple[float, Any]:
        self._wait()
        started = self.now()
        result = work()
        self._wait()
        return self.now() - started, result

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def table_of(folder: Path, rows: int, columns: int) -> pd.DataFrame:
    """Adult with `rows` rows and `columns` columns, the class the last of them."""
    both = pd.concat(adult(folder), ignore_index=True)
    rng = np.random.default_rng(0)
    if rows != len(both):
        both = both.iloc[rng.integers(len(both), size=rows)].reset_index(drop=True)
    features = both.drop(columns="target")
    wanted = [features.iloc[:, j % features.shape[1]] for j in range(columns - 1)]
    names = [f"{c.name}_{j // features.shape[1]}" for j, c in enumerate(wanted)]
    return pd.concat([*wanted, both["target"]], axis=1, keys=[*names, "target"])


def peak_mib(device: torch.device) -> float:
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated() / 2**20
        torch.cuda.reset_peak_memory_stats()
        return peak
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def ours(name: str, frame: pd.DataFrame, clock: Clock, options: argparse.Namespace) -> dict:
    X, y = frame.drop(columns="target"), frame["target"]
    infer, table = clock(lambda: Table.of(frame, target="target"))
    few = OURS[name].max_levels
    fit, encoder = clock(lambda: Encoder.fit(table.frame, table.schema.features, max_levels=few))
    rng = np.random.default_rng(0)
    transform, rows = clock(lambda: encoder.transform(table.frame, rng, device=clock.device))
    decode, _ = clock(lambda: encoder.inverse_transform(rows))

    def model(**params: Any) -> Any:
        make: Any = OURS[name]
        return make(scope="all", batch_size=BATCH, device=str(clock.device), **params)

    asking = model(random_state=0)
    asked, task = clock(lambda: next(asking.fit_steps(X, y)))
    n_labels, size = task.learner.data.n_labels, task.learner.sampler.rows
    budget = asking.budget(encoder.layout, n_labels, len(frame), size)
    run = TrainingRun(task.learner, 10**5, task.generator)
    task.learner.train()

    def until(step: int) -> None:
        while run.step < step:
            run.advance()

    def each(count: int) -> float:
        before = run.step
        seconds, _ = clock(lambda: until(before + count))
        return seconds / (run.step - before)

    first, _ = clock(lambda: until(WARM))
    if clock.device.type == "cuda":  # one wait in all: replays follow one another without a gap
        until(REPORT_EVERY)
        steps = [each(options.steps)]
    else:
        steps = [each(AT_ONCE) for _ in range(-(-options.steps // AT_ONCE))]
    with Operations() as operations:
        run.updates(AT_ONCE)
    result = {
        "encode_s": fit + transform,
        "infer_s": infer,
        "decode_s": decode,
        "start_up_s": max(0.0, asked - infer - fit - transform) + first,
        "step_ms": 1e3 * float(np.median(steps)),
        "operations": operations.count / AT_ONCE,
        "peak_mib": peak_mib(clock.device),
        "budget_mib": budget.total / 2**20,
        "row_bytes": budget.row,
        "width": encoder.n_numbers + sum(encoder.widths),
    }
    result["epochs_300_s_reckoned"] = total(frame, result)
    small = model(steps=5, random_state=0).fit(X.head(2000), y.head(2000))
    for n in options.sample:
        seconds, _ = clock(lambda n=n: small.sample(n, label=small.classes_[0], random_state=0))
        result[f"sample_{n}_s"] = seconds
    if options.quality:
        classes, per_epoch = list(y.unique()), max(1, len(frame) // BATCH)
        for seed in range(SEEDS):
            fitted = model(classes=classes, random_state=seed, steps=options.quality * per_epoch)
            made = fitted.fit(X, y).sample(len(frame), random_state=seed)
            result[f"quality_{seed}"] = quality(frame, made)
        whole = model(classes=classes, random_state=0, steps=EPOCHS * per_epoch)
        result["epochs_300_s"], _ = clock(lambda: whole.fit(X, y))
        result["quality_300"] = quality(frame, whole.sample(len(frame), random_state=0))
    return result


def peer_encoding(frame: pd.DataFrame, clock: Clock, options: argparse.Namespace) -> Any:
    """The table as the usual package encodes it, once for both of its models."""
    from ctgan.data_transformer import DataTransformer

    discrete = [c for c in frame.columns if not pd.api.types.is_numeric_dtype(frame[c])]
    frame = frame.astype(dict.fromkeys(discrete, object))
    transformer = DataTransformer()
    known = frame if options.peer_rows is None else frame.head(options.peer_rows)
    fit, _ = clock(lambda: transformer.fit(known, discrete))
    transform, data = clock(lambda: transformer.transform(frame))
    return frame, discrete, transformer, data, fit + transform


def peer(name: str, encoding: Any, clock: Clock, options: argparse.Namespace) -> dict[str, Any]:
    """The usual package without its encoding, which its own fit would do again each time."""
    import ctgan
    from ctgan.synthesizers import ctgan as gan
    from ctgan.synthesizers import tvae as vae

    frame, discrete, transformer, data, encode = encoding
    transformer.fit = lambda *args, **kwargs: None
    transformer.transform = lambda *args, **kwargs: data
    gan.DataTransformer = vae.DataTransformer = lambda *args, **kwargs: transformer
    per_epoch = max(len(frame) // BATCH, 1)

    def trained(epochs: int) -> Any:
        make = ctgan.CTGAN if name == "ctgan" else ctgan.TVAE
        model = make(epochs=epochs, batch_size=BATCH, enable_gpu=clock.device.type == "cuda")
        model.fit(frame, discrete)
        return model

    epochs = max(1, round(options.steps / per_epoch))
    short, _ = clock(lambda: trained(1))
    long, model = clock(lambda: trained(1 + epochs))
    counts = []
    for epoch in (1, 2):
        with Operations() as operations:
            trained(epoch)
        counts.append(operations.count)
    step = (long - short) / (epochs * per_epoch)
    result = {
        "encode_s": encode,
        "start_up_s": max(0.0, short - per_epoch * step),
        "step_ms": 1e3 * step,
        "operations": (counts[1] - counts[0]) / per_epoch,
        "peak_mib": peak_mib(clock.device),
    }
    if options.peer_rows is not None:
        del result["encode_s"]  # of some rows only
    else:
        result["epochs_300_s_reckoned"] = total(frame, result)
    for n in options.sample:
        result[f"sample_{n}_s"] = clock(lambda n=n: model.sample(n))[0]
    if options.quality:
        for seed in range(SEEDS):
            torch.manual_seed(seed)
            result[f"quality_{seed}"] = quality(frame, trained(options.quality).sample(len(frame)))
    return result


def total(frame: pd.DataFrame, result: dict[str, Any]) -> float:
    steps = EPOCHS * max(len(frame) // BATCH, 1)
    return result["encode_s"] + result["start_up_s"] + steps * result["step_ms"] / 1e3


def quality(real: pd.DataFrame, made: pd.DataFrame) -> dict[str, float]:
    """Shape of columns (1 - greatest distance of the distributions, mean over columns); AUC on the
    first fifth of the real rows of a classifier that learned the made ones; and 2 (1 - AUC) of one
    that tells real from made rows, 1 where it cannot.
    """
    shapes = []
    for name in real.columns:
        one, two = real[name], made[name]
        if pd.api.types.is_numeric_dtype(one):
            grid = np.unique(one)
            steps = [np.searchsorted(np.sort(c), grid, "right") / len(c) for c in (one, two)]
            shapes.append(1 - np.abs(steps[0] - steps[1]).max())
        else:
            shares = [c.astype(str).value_counts(normalize=True) for c in (one, two)]
            shapes.append(1 - shares[0].sub(shares[1], fill_value=0).abs().sum() / 2)
    both = pd.concat([real, made[real.columns]], ignore_index=True)
    coded = both.apply(lambda c: c if pd.api.types.is_numeric_dtype(c) else pd.factorize(c)[0])
    X, y = coded.drop(columns="target"), coded["target"]
    judge = HistGradientBoostingClassifier(random_state=0).fit(X[len(real) :], y[len(real) :])
    held = slice(0, len(real) // 5)
    auc = roc_auc_score(y[held], judge.predict_proba(X[held])[:, 1])
    some = both.groupby(np.arange(len(both)) < len(real)).sample(TOLD_ROWS, random_state=0).index
    is_real = np.asarray(some < len(real))
    tell = HistGradientBoostingClassifier(random_state=0)
    told = cross_val_predict(tell, coded.loc[some], is_real, cv=3, method="predict_proba")
    apart = max(0.5, float(roc_auc_score(is_real, told[:, 1])))
    return {"shape": float(np.mean(shapes)), "tstr": float(auc), "c2st": 2 * (1 - apart)}


def beside(options: argparse.Namespace) -> None:
    device = resolve(options.device)
    clock = Clock(options.clock, device)
    frame = table_of(options.data_dir, options.rows, options.columns)
    results: dict[str, Any] = {}
    encoding = None
    for name in options.models or ("ctgan", "tvae"):
        results[name] = {"synthgen": ours(name, frame, clock, options)}
        if name == "tabflow" or options.no_peer:
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                encoding = encoding or peer_encoding(frame, clock, options)
                results[name]["ctgan"] = peer(name, encoding, clock, options)
        except ImportError:
            print(f"{name}: ctgan cannot be imported here, so there is nothing beside ours")
            continue
        mine, theirs = results[name]["synthgen"], results[name]["ctgan"]
        shared = [k for k in theirs if isinstance(mine.get(k), float) and mine[k]]
        results[name]["ratio"] = {k: theirs[k] / mine[k] for k in shared}
        if "epochs_300_s_reckoned" in theirs:
            whole = mine.get("epochs_300_s", mine["epochs_300_s_reckoned"])
            results[name]["ratio"]["epochs_300_s"] = theirs["epochs_300_s_reckoned"] / whole
    machine = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else platform.machine(),
        "clock": options.clock,
        "bfloat16": device.type == "cpu" and BFLOAT16,
        "tf32": torch.backends.cuda.matmul.allow_tf32,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "pandas": pd.__version__,
        "rows": len(frame),
        "columns": frame.shape[1],
        "steps": options.steps,
    }
    write(options.out, {"machine": machine, "results": results})
    print(results)


# --- on a GPU -------------------------------------------------------------------------------------


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
    """Measures the networks on one device; `counter`: the pretended GPU."""

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


def on_gpu(options: argparse.Namespace) -> None:
    device = "cuda" if options.device == "auto" else options.device
    real = device.startswith("cuda")
    about = torch.cuda.get_device_name() if real else device
    found: dict[str, Any] = {"torch": torch.__version__, "device": about}

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
        write(options.out, found)  # what is known so far

    with contextlib.ExitStack() as stack:
        counter = None
        if device == "pretended":
            sys.path.insert(0, str(HERE.parent / "tests"))
            from pretended_gpu import pretended

            counter, device = stack.enter_context(pretended()), "cuda"
        machine = Machine(device, quick=options.quick, profiled=real, counter=counter)
        names = ("parity", "speed", "tf32", "batches", "look", "blocks")
        names = ("launches", *names) if counter is not None else names
        for model in options.models or OURS:
            for name in names:
                if name in (options.parts or names):
                    make = OURS[model]
                    part(
                        f"{make.__name__}: {name}",
                        lambda name=name, make=make: getattr(machine, name)(make),
                    )
        if real and not options.parts:
            part("second GPU", lambda: second_gpu(machine))
    failed = [name for name, what in found.items() if isinstance(what, dict) and "failed" in what]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def main() -> None:
    asked = parser(__doc__)
    asked.add_argument("--device", default="auto", help="cuda, cuda:1, cpu or pretended")
    asked.add_argument("--models", nargs="+", choices=list(OURS))
    asked.add_argument("--rows", type=int, default=48_842)
    asked.add_argument("--columns", type=int, default=15)
    asked.add_argument("--steps", type=int, default=100, help="steps to time")
    asked.add_argument("--sample", type=int, nargs="*", default=[100_000, 1_000_000])
    asked.add_argument("--peer-rows", type=int, help="rows its mixtures are fitted on")
    asked.add_argument("--no-peer", action="store_true")
    asked.add_argument("--quality", type=int, default=0, help="epochs before it is judged")
    asked.add_argument("--clock", default="wall", choices=["wall", "cpu"])
    asked.add_argument(
        "--gpu", action="store_true", help="the parts for a GPU, instead of the rest"
    )
    asked.add_argument("--quick", action="store_true", help="a few steps: only that it runs")
    asked.add_argument("--parts", nargs="+", help="of --gpu; all without it")
    asked.add_argument("--out", type=Path, default=Path("speed-run.json"))
    options = asked.parse_args()
    (on_gpu if options.gpu else beside)(options)


if __name__ == "__main__":
    main()
