"""How fast synthgen encodes, trains and samples, beside the usual package, in one process.

    python evaluation/speed.py --data-dir DIR [--device auto] [--rows 48842] [--columns 15]
                               [--models ctgan tvae] [--steps 100] [--sample 100000 1000000]
                               [--peer-rows N] [--no-peer] [--quality EPOCHS]
                               [--clock wall] [--out FILE]

The table is Adult (train and test), its rows and columns drawn again to the size asked for. Both
packages learn the whole table with its class, in batches of 500 rows with layers of 256 (CTGAN) or
128 (TVAE) units. For each: seconds to encode; milliseconds a step; start-up; the total of 300
epochs, reckoned from these; operations a step (calls of torch, views too); seconds to sample; peak
memory, of the device or of the process, and what was reckoned beforehand; with --quality, shape of
columns, TSTR and two-sample score after so many epochs with three seeds, and ours after 300 epochs,
with the time that these took. The other package is left out, and said so, where it cannot be
imported. The peak of a process is that of all it has done before, the other package too.
--peer-rows fits its mixtures on so many rows only, and leaves its
encoding out. --clock cpu counts the time that the process had a core, for a machine that others
use.

One command for each figure:

    table of Adult            python evaluation/speed.py --data-dir DIR --quality 30
    100,000 x 50              python evaluation/speed.py --data-dir DIR --rows 100000 --columns 50
    1,000,000 x 50            python evaluation/speed.py --data-dir DIR --rows 1000000 --columns 50
                              --sample 100000 --peer-rows 10000
    growth with rows          for r in 10000 100000 1000000; do python evaluation/speed.py
                              --data-dir DIR --rows $r --out speed-$r.json; done
    growth with columns       for c in 10 50 100 500; do python evaluation/speed.py --data-dir DIR
                              --rows 10000 --columns $c --out speed-$c.json; done
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from torch.utils._python_dispatch import TorchDispatchMode

from synthgen import CTGAN, TVAE, TabFlow
from synthgen.encoding.encoder import Encoder
from synthgen.tables.table import Table
from synthgen.training.blocks import BFLOAT16
from synthgen.training.device import resolve
from synthgen.training.learner import AT_ONCE
from synthgen.training.training_run import REPORT_EVERY, TrainingRun

BATCH, EPOCHS, WARM, SEEDS, TOLD_ROWS = 500, 300, 10, 3, 5_000
OURS = {"ctgan": CTGAN, "tvae": TVAE, "tabflow": TabFlow}


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
    parts = [pd.read_parquet(folder / f"adult_{part}.parquet") for part in ("train", "test")]
    adult = pd.concat(parts, ignore_index=True)
    rng = np.random.default_rng(0)
    if rows != len(adult):
        adult = adult.iloc[rng.integers(len(adult), size=rows)].reset_index(drop=True)
    features = adult.drop(columns="target")
    wanted = [features.iloc[:, j % features.shape[1]] for j in range(columns - 1)]
    names = [f"{c.name}_{j // features.shape[1]}" for j, c in enumerate(wanted)]
    return pd.concat([*wanted, adult["target"]], axis=1, keys=[*names, "target"])


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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rows", type=int, default=48_842)
    parser.add_argument("--columns", type=int, default=15)
    parser.add_argument("--models", nargs="+", default=["ctgan", "tvae"], choices=list(OURS))
    parser.add_argument("--steps", type=int, default=100, help="steps to time")
    parser.add_argument("--sample", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--peer-rows", type=int, help="rows its mixtures are fitted on")
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--quality", type=int, default=0, help="epochs before it is judged")
    parser.add_argument("--clock", default="wall", choices=["wall", "cpu"])
    parser.add_argument("--out", type=Path, default=Path("speed-run.json"))
    options = parser.parse_args()
    device = resolve(options.device)
    clock = Clock(options.clock, device)
    frame = table_of(options.data_dir, options.rows, options.columns)
    results: dict[str, Any] = {}
    encoding = None
    for name in options.models:
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
    options.out.write_text(json.dumps({"machine": machine, "results": results}, indent=1) + "\n")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
