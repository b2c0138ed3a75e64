"""How fast synthgen trains and samples, beside the usual package, in one process.

    python evaluation/speed.py --data-dir DIR [--device auto] [--rows 48842] [--columns 15]
                               [--models ctgan tvae] [--steps 200] [--out speed.json]

The table is Adult (train and test), its rows and columns drawn again to the size asked for. Both
packages learn the whole table with its class, with batches of 500 rows and layers of 256 (CTGAN)
or 128 (TVAE) units. For each: seconds to encode; milliseconds a step (the difference between a
long and a short fit, so that start-up does not count); start-up; the total of 300 epochs,
reckoned from these for both; seconds to sample 100,000 rows; peak memory of the device. The other
package is left out, and said so, where it cannot be imported. That a step's operations do not
grow with the columns is a test (tests/test_capture.py).

One command for each figure:

    table of Adult            python evaluation/speed.py --data-dir DIR
    100,000 x 50              python evaluation/speed.py --data-dir DIR --rows 100000 --columns 50
    growth with columns       for c in 10 50 100 500; do python evaluation/speed.py --data-dir DIR
                              --rows 10000 --columns $c --out speed-$c.json; done
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from synthgen import CTGAN, TVAE
from synthgen.device import resolve
from synthgen.encoding import Encoder
from synthgen.table import Table

BATCH, EPOCHS = 500, 300
OURS = {"ctgan": CTGAN, "tvae": TVAE}


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


def timed(work: Callable[[], Any], device: torch.device) -> tuple[float, Any]:
    if device.type == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    result = work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started, result


def ours(name: str, frame: pd.DataFrame, device: torch.device, steps: int) -> dict[str, Any]:
    X, y = frame.drop(columns="target"), frame["target"]
    table = Table.of(frame, target="target")

    def encode() -> None:
        encoder = Encoder.fit(table.frame, table.schema.features)
        encoder.transform(table.frame, np.random.default_rng(0), device=device)

    def fit(count: int) -> Any:
        model = OURS[name](
            scope="all", steps=count, batch_size=BATCH, device=str(device), random_state=0
        )
        return model.fit(X, y)

    encoding, _ = timed(encode, device)
    short, _ = timed(lambda: fit(20), device)
    long, model = timed(lambda: fit(20 + steps), device)
    rare = table.schema.classes[int(np.bincount(table.labels).argmin())]
    sampling, _ = timed(lambda: model.sample(100_000, label=rare, random_state=0), device)
    step = (long - short) / steps
    return figures(frame, encoding, short - 20 * step - encoding, step, sampling, device)


def peer(name: str, frame: pd.DataFrame, device: torch.device, steps: int) -> dict[str, Any]:
    import ctgan
    from ctgan.data_transformer import DataTransformer

    discrete = [c for c in frame.columns if not pd.api.types.is_numeric_dtype(frame[c])]
    frame = frame.astype(dict.fromkeys(discrete, object))
    per_epoch = max(len(frame) // BATCH, 1)
    epochs = max(1, round(steps / per_epoch))

    def encode() -> None:
        transformer = DataTransformer()
        transformer.fit(frame, discrete)
        transformer.transform(frame)

    def fit(count: int) -> Any:
        make = ctgan.CTGAN if name == "ctgan" else ctgan.TVAE
        model = make(epochs=count, batch_size=BATCH, enable_gpu=device.type == "cuda")
        model.fit(frame, discrete)
        return model

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        encoding, _ = timed(encode, device)
        short, _ = timed(lambda: fit(1), device)
        long, model = timed(lambda: fit(1 + epochs), device)
        sampling, _ = timed(lambda: model.sample(100_000), device)
    step = (long - short) / (epochs * per_epoch)
    return figures(frame, encoding, short - per_epoch * step - encoding, step, sampling, device)


def figures(
    frame: pd.DataFrame,
    encoding: float,
    start_up: float,
    step: float,
    sampling: float,
    device: torch.device,
) -> dict[str, Any]:
    """Seconds, and milliseconds a step; memory in MiB."""
    steps = EPOCHS * max(len(frame) // BATCH, 1)
    memory = torch.cuda.max_memory_allocated() / 2**20 if device.type == "cuda" else math.nan
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    return {
        "encode_s": encoding,
        "start_up_s": max(start_up, 0.0),
        "step_ms": 1e3 * step,
        "sample_100k_s": sampling,
        "epochs_300_s_reckoned": encoding + max(start_up, 0.0) + steps * step,
        "peak_mib": None if math.isnan(memory) else memory,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rows", type=int, default=48_842)
    parser.add_argument("--columns", type=int, default=15)
    parser.add_argument("--models", nargs="+", default=["ctgan", "tvae"], choices=list(OURS))
    parser.add_argument("--steps", type=int, default=200, help="steps to time")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    device = resolve(options.device)
    frame = table_of(options.data_dir, options.rows, options.columns)
    results: dict[str, Any] = {}
    for name in options.models:
        results[name] = {"synthgen": ours(name, frame, device, options.steps)}
        with suppress(ImportError):
            results[name]["ctgan"] = peer(name, frame, device, options.steps)
        if "ctgan" not in results[name]:
            print(f"{name}: ctgan cannot be imported here, so there is nothing beside ours")
            continue
        both = results[name]["synthgen"], results[name]["ctgan"]
        results[name]["ratio"] = {k: both[1][k] / both[0][k] for k in both[0] if both[0][k]}
    machine = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "rows": len(frame),
        "columns": frame.shape[1],
        "steps": options.steps,
    }
    options.out.write_text(json.dumps({"machine": machine, "results": results}, indent=1) + "\n")
    print(pd.DataFrame({(m, w): f for m, r in results.items() for w, f in r.items()}).round(3))


if __name__ == "__main__":
    main()
