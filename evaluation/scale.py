"""Rows by the million: rows a second, CPU time and peak memory of each engine, and one hash.

    python evaluation/scale.py --data-dir DIR --out DIR --rows 1e6 1e7
        [--makers loop processes ray spark dask] [--python ray=/envs/ray/bin/python ...]
    python evaluation/scale.py --out DIR --augment 2e7 [--format csv]
    python evaluation/scale.py --out DIR --sketches 2e7 --python sketches=/envs/extra/bin/python
    python evaluation/scale.py --data-dir DIR --out DIR --keeps
    python evaluation/scale.py --data-dir DIR --out DIR --parts
    python evaluation/scale.py --out DIR --fit 1e6 --columns 50

Fits trees to ``adult_train`` once, then samples with each maker in a process of its own, one after
the other, into a folder that is deleted once it is measured. `processes` and the engines have
``--workers``, 2 by default. Memory is that of all processes of a run together (shared pages shared
out: PSS), looked at every half second. Adds each run to ``scale.json`` in OUT, and exits with 1
when two hashes of as many rows differ. Linux only.

- ``--parts``: what the CPU time of a shard goes into.
- ``--augment``: a table of 15 columns and 20,000 rare rows, copied with Arrow and augmented by
  20,000 rows of trees, each in a process of its own; the copied rows are those of the table.
- ``--fit``: trees of a table of ``--columns`` columns that depend on one another.
- ``--sketches``: how far quantiles of a reservoir and of KLL sketches are from the exact ones.
- ``--keeps``: learns the cancelled flights of ``nycflights_cancelled`` with few and many of the
  other flights; how well boosting separates new rows from 2,000 real ones that were held out.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from common import load, parser, write
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

from synthgen import SequentialTrees, read_table
from synthgen.scale.shards import SHARD_ROWS, Plan, shard_batches
from synthgen.tables.disk import sha256_of

MAKERS = ("loop", "processes", "ray", "spark", "dask")
TICKS = os.sysconf("SC_CLK_TCK")
MAKE = """
import sys
from synthgen import sample_dataset
model, rows, folder, maker, workers = sys.argv[1:]
if __name__ == "__main__":
    own = maker in ("loop", "processes")
    sample_dataset(model, int(rows), folder, random_state=0, n_jobs=int(workers),
                   engine=None if own else maker)
"""
COPY = """
import sys, pyarrow.dataset as ds, pyarrow.csv, pyarrow.parquet as pq
table, copy = sys.argv[1:]
if table.endswith(".csv"):
    batches = pyarrow.csv.open_csv(table)
    schema = batches.schema
else:
    data = ds.dataset(table)
    schema = data.schema
    batches = data.to_batches(batch_size=131_072, batch_readahead=2, cache_metadata=False)
with pq.ParquetWriter(copy, schema) as writer:
    for batch in batches:
        writer.write_batch(batch)
"""
AUGMENT = """
import sys
from synthgen.scale.stream import augment_stream
table, copy = sys.argv[1:]
augment_stream(table, copy, target="fraud", synthesizer="trees", n_samples=20_000, random_state=0)
"""
FIT = """
import json, sys, time
import pandas as pd
from synthgen import SequentialTrees
table, model = sys.argv[1:]
frame = pd.read_parquet(table)
began = time.perf_counter(), time.process_time()
trees = SequentialTrees(random_state=0).fit(frame, target="target")
spent = [time.perf_counter() - began[0], time.process_time() - began[1]]
trees.save(model)
began = time.perf_counter()
trees.sample(100_000, random_state=0)
print(json.dumps([*spent, time.perf_counter() - began]), file=open(model + ".json", "w"))
"""
SKETCH = """
import json, sys
import datasketches, numpy as np, pyarrow.parquet as pq
path, keep = sys.argv[1], 200_000
ranks = np.linspace(0.001, 0.999, 999)
found = {}
for name in ("amount", "income", "score", "age"):
    values = pq.read_table(path, columns=[name])[name].to_numpy().astype(float)
    ordered = np.sort(values)
    rng = np.random.default_rng(0)

    def off(quantiles):
        low, high = (np.searchsorted(ordered, quantiles, side) for side in ("left", "right"))
        low, high, wanted = low / len(ordered), high / len(ordered), ranks
        return float(np.maximum(np.maximum(low - wanted, wanted - high), 0).max())

    sample = rng.choice(values, keep, replace=False)
    told = {"reservoir of 200,000": off(np.quantile(sample, ranks, method="inverted_cdf"))}
    for k in (200, 1000, 4096):
        sketch = datasketches.kll_doubles_sketch(k)
        sketch.update(values)
        told[f"KLL, k = {k}"] = off(np.array(sketch.get_quantiles(ranks)))
    found[name] = told
print(json.dumps(found))
"""


def tree(root: int) -> set[int]:
    """A process and all that it started, by their numbers."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                fields = Path("/proc", name, "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(name))
    found, todo = set(), [root]
    while todo:
        found.add(one := todo.pop())
        todo += children.get(one, [])
    return found


def look(process: int) -> tuple[float, int]:
    """CPU seconds and bytes of memory of one process."""
    fields = Path("/proc", str(process), "stat").read_text().rpartition(")")[2].split()
    memory = 0
    for line in Path("/proc", str(process), "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            memory = int(line.split()[1]) * 1024
    return (int(fields[11]) + int(fields[12])) / TICKS, memory


def measured(command: list[str]) -> dict[str, float]:
    """Run a command: wall and CPU seconds, peak MiB of all its processes and of the largest."""
    with tempfile.TemporaryFile("w+") as said:  # a full pipe that nobody reads would stop the run
        return _watched(command, said)


def _watched(command: list[str], said: IO[str]) -> dict[str, float]:
    began, child = time.perf_counter(), subprocess.Popen(command, stderr=said)
    cpu: dict[int, float] = {}
    whole = largest = 0
    while child.poll() is None:
        now = 0
        for process in tree(child.pid):
            try:
                cpu[process], memory = look(process)
            except OSError:
                continue
            now, largest = now + memory, max(largest, memory)
        whole = max(whole, now)
        time.sleep(0.5)
    if child.returncode:
        said.seek(0)
        sys.exit(f"{command[-1]} failed:\n{said.read()}")
    return {
        "seconds": round(time.perf_counter() - began, 1),
        "cpu_seconds": round(sum(cpu.values()), 1),
        "peak_mib": whole // 2**20,
        "peak_mib_of_one": largest // 2**20,
    }


def fitted(data: Path, out: Path) -> Path:
    """The model file, fitted unless it is there."""
    path = out / "trees.synthgen"
    if not path.exists():
        frame = read_table(data / "adult_train.parquet")
        trees = SequentialTrees(random_state=0)
        trees.fit(frame.drop(columns="target"), frame["target"]).save(path)
    return path


def parts(model: Path) -> dict[str, Any]:
    """CPU seconds of what a shard is made of: drawing rows, writing Parquet, and the hash."""
    plan = Plan(str(model), sha256_of(model), rows=2 * SHARD_ROWS, seed=0)
    batches = shard_batches(plan, 0)
    first = next(batches)  # the model is loaded once in each worker
    path = model.with_name("parts.parquet")
    began = time.process_time()
    rest = list(batches)
    drawn = time.process_time()
    with pq.ParquetWriter(path, first.schema, write_page_checksum=True) as writer:
        for batch in rest:
            writer.write_batch(batch)
    written = time.process_time()
    sha256_of(path)
    hashed = time.process_time()
    path.unlink()
    seconds = {"draw": drawn - began, "write": written - drawn, "hash": hashed - written}
    rounded = {name: round(value, 3) for name, value in seconds.items()}
    return {"parts": rounded, "rows": sum(batch.num_rows for batch in rest)}


def write_table(path: Path, rows: int, rare: int = 20_000) -> None:
    """A table of 15 columns, 35 bytes a row in Parquet, written batch by batch."""
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.choice(rows, rare, replace=False))
    levels = {k: pa.array([f"{k} {i}" for i in range(12)]) for k in ("shop", "site", "bank")}
    is_csv, writer = path.suffix == ".csv", None
    for first in range(0, rows, 131_072):
        n = min(131_072, rows - first)
        fraud = np.zeros(n, dtype=bool)
        fraud[chosen[(chosen >= first) & (chosen < first + n)] - first] = True
        shift = 0.5 * fraud
        batch = pa.RecordBatch.from_pydict(
            {
                "id": np.arange(first, first + n),
                "amount": np.exp(rng.normal(3 + shift, 1, n)).round(2),
                "income": rng.lognormal(10, 0.7, n),
                "score": rng.normal(shift, 1, n),
                "distance": rng.exponential(20 + 20 * fraud, n).astype(np.float32).round(1),
                "age": rng.integers(18, 90, n),
                "visits": rng.poisson(3 + 2 * fraud, n),
                "hour": rng.integers(0, 24, n),
                "month": rng.integers(1, 13, n),
                **{k: v.take(pa.array(rng.integers(0, 12, n))) for k, v in levels.items()},
                "abroad": rng.random(n) < 0.05 + 0.2 * fraud,
                "day": (np.datetime64("2020-01-01") + rng.integers(0, 1500, n)).astype("M8[D]"),
                "fraud": np.where(fraud, "yes", "no"),
            }
        )
        if writer is None:
            kind = pyarrow.csv.CSVWriter if is_csv else pq.ParquetWriter
            writer = kind(str(path), batch.schema)
        writer.write_batch(batch)
    assert writer is not None
    writer.close()


def same_rows(table: Path, copy: Path, rows: int) -> bool:
    """Whether the first rows of a Parquet file are those of the table, read batch by batch.

    Of a CSV table only the number of rows is compared.
    """
    enough = pq.ParquetFile(copy).metadata.num_rows == rows + 20_000
    if not enough or table.suffix == ".csv":
        return enough
    one, other = pq.ParquetFile(table), pq.ParquetFile(copy)
    pairs = zip(one.iter_batches(100_000), other.iter_batches(100_000), strict=False)
    alike = one.schema_arrow.equals(other.schema_arrow, check_metadata=True)
    return alike and all(a.equals(b.slice(0, a.num_rows)) for a, b in pairs)


def augmented(out: Path, rows: int, ending: str) -> dict[str, Any]:
    """Memory and time of `augment` on a large table, beside those of an Arrow batch copy."""
    table, copy, made = (out / f"{name}-{rows}.{ending}" for name in ("table", "copy", "made"))
    copy, made = copy.with_suffix(".parquet"), made.with_suffix(".parquet")
    try:
        write_table(table, rows)
        run: dict[str, Any] = {"augment": ending, "rows": rows, "bytes": table.stat().st_size}
        run["load"] = [os.getloadavg()[0]]
        run["copy"] = measured([sys.executable, "-c", COPY, str(table), str(copy)])
        copy.unlink()
        run["load"].append(os.getloadavg()[0])
        run |= measured([sys.executable, "-c", AUGMENT, str(table), str(made)])
        run["load"].append(os.getloadavg()[0])
        run["parts"] = json.loads(Path(f"{made}.manifest.json").read_text())["seconds"]
        run["same_rows"] = same_rows(table, made, rows)
        beside = run["seconds"] - run["parts"]["fit"]
        run["times_the_copy"] = round(beside / run["copy"]["seconds"], 2)
        return run
    finally:
        for path in (table, copy, made, Path(f"{made}.manifest.json")):
            path.unlink(missing_ok=True)


def write_wide(path: Path, rows: int, columns: int) -> None:
    """A table whose columns depend on five unseen numbers: kinds take turns, the class is rare."""
    rng = np.random.default_rng(0)
    unseen = rng.normal(size=(rows, 5))

    def mixed() -> np.ndarray:
        return unseen @ rng.normal(size=5) / 3 + rng.normal(size=rows) / 2

    makers = (
        lambda: mixed(),
        lambda: np.exp(3 + mixed()).round(2),
        lambda: rng.poisson(np.exp(1 + mixed().clip(-3, 3))),
        lambda: pa.array([f"level {i}" for i in range(12)]).take(
            pa.array(np.clip(6 + 2 * mixed(), 0, 11).astype(np.int64))
        ),
        lambda: (40 + 12 * mixed()).round().astype(np.int64),
    )
    made = {f"column_{j}": makers[j % len(makers)]() for j in range(columns - 1)}
    made["target"] = mixed() > 1.5
    pq.write_table(pa.table(made), path)


def fitted_wide(out: Path, rows: int, columns: int) -> dict[str, Any]:
    """Time and memory of a fit of trees, the bytes of its file, and seconds of 100,000 rows."""
    table, model = out / "wide.parquet", out / "wide.synthgen"
    said = Path(f"{model}.json")
    try:
        write_wide(table, rows, columns)
        run: dict[str, Any] = {"fit": rows, "columns": columns, "load": [os.getloadavg()[0]]}
        run |= measured([sys.executable, "-c", FIT, str(table), str(model)])
        run["load"].append(os.getloadavg()[0])
        names = ("fit_seconds", "fit_cpu_seconds", "sample_100000_seconds")
        run |= dict(zip(names, np.round(json.loads(said.read_text()), 1).tolist(), strict=True))
        run["threads"] = os.environ.get("OMP_NUM_THREADS", "")
        return run | {"file_bytes": model.stat().st_size}
    finally:
        for path in (table, model, said):
            path.unlink(missing_ok=True)


def sketched(out: Path, rows: int, python: str) -> dict[str, Any]:
    """Largest error in rank of quantiles from a reservoir and from sketches."""
    table = out / f"table-{rows}.parquet"
    try:
        write_table(table, rows)
        found = subprocess.run([python, "-c", SKETCH, str(table)], capture_output=True, check=True)
        return {"sketches": rows, "rank_error": json.loads(found.stdout)}
    finally:
        table.unlink(missing_ok=True)


def told_apart(new: Any, real: Any) -> float:
    """ROC-AUC, out of fold, of boosting that tells new rows of a class from real ones."""
    both = pd.concat([new, real], ignore_index=True).drop(columns="target")
    for name in both.columns:
        if not pd.api.types.is_numeric_dtype(both[name]):
            both[name] = pd.factorize(both[name], sort=True)[0]
    is_new = np.arange(len(both)) < len(new)
    boosting = HistGradientBoostingClassifier(random_state=0)
    scores = cross_val_predict(boosting, both, is_new, cv=5, method="predict_proba")[:, 1]
    return round(float(roc_auc_score(is_new, scores)), 3)


def keeps(data: Path) -> dict[str, Any]:
    """How real new rows of the class are, by how many rows of the others were learned from."""
    frame = read_table(data / "nycflights_cancelled.parquet")
    rare, others = (
        frame[frame["target"].eq("cancelled") == is_rare].sample(frac=1, random_state=0)
        for is_rare in (True, False)
    )
    held, learned = rare.iloc[:2000], rare.iloc[2000:]
    found: dict[str, Any] = {"train": told_apart(learned.iloc[:2000], held)}
    kept = ((5_000, None), (20_000, None), (80_000, None), (80_000, 100), (len(others), 100))
    for keep, leaf in kept:
        part = pd.concat([learned, others.iloc[:keep]], ignore_index=True)
        areas, seconds = [], []
        for seed in range(3):
            began = time.perf_counter()
            trees = SequentialTrees(min_leaf=leaf, classes=["cancelled"], random_state=seed)
            trees.fit(part, target="target")
            seconds.append(round(time.perf_counter() - began, 1))
            areas.append(told_apart(trees.sample(2000, random_state=seed), held))
        found[f"{keep:,} others" + f", leaves of {leaf}" * bool(leaf)] = {
            "auc": areas,
            "fit_seconds": seconds,
        }
        print(keep, leaf, areas, seconds, flush=True)
    return {"keeps": "nycflights_cancelled", "learned": len(learned), "found": found}


def main() -> int:
    asked = parser(__doc__)
    asked.add_argument("--out", type=Path, required=True)
    asked.add_argument("--rows", type=float, nargs="+", default=[1e6])
    asked.add_argument("--makers", nargs="+", choices=MAKERS, default=MAKERS)
    asked.add_argument("--python", nargs="*", default=[], metavar="MAKER=PATH")
    asked.add_argument("--workers", type=int, default=2, help="of all makers but loop")
    asked.add_argument("--parts", action="store_true")
    asked.add_argument("--augment", type=float, metavar="ROWS")
    asked.add_argument("--format", choices=("parquet", "csv"), default="parquet")
    asked.add_argument("--sketches", type=float, metavar="ROWS")
    asked.add_argument("--keeps", action="store_true")
    asked.add_argument("--fit", type=float, metavar="ROWS")
    asked.add_argument("--columns", type=int, default=50, help="of --fit, the class with them")
    args = asked.parse_args()
    pythons = dict(pair.split("=", 1) for pair in args.python)
    args.out.mkdir(exist_ok=True)
    runs = load(args.out / "scale.json")

    def add(run: dict[str, Any]) -> int:
        runs.append(run)
        write(args.out / "scale.json", runs)
        print(json.dumps(run, indent=1), flush=True)
        return int(not run.get("same_rows", True))

    if args.parts:
        return add(parts(fitted(args.data_dir, args.out)))
    if args.fit:
        return add(fitted_wide(args.out, int(args.fit), args.columns))
    if args.keeps:
        return add(keeps(args.data_dir))
    if args.augment:
        return add(augmented(args.out, int(args.augment), args.format))
    if args.sketches:
        python = pythons.get("sketches", sys.executable)
        return add(sketched(args.out, int(args.sketches), python))
    model = fitted(args.data_dir, args.out)
    for rows in map(int, args.rows):
        for maker in args.makers:
            workers = 1 if maker == "loop" else args.workers
            folder = args.out / f"{maker}-{rows}"
            shutil.rmtree(folder, ignore_errors=True)
            python = pythons.get(maker, sys.executable)
            command = [python, "-c", MAKE, str(model), str(rows), str(folder), maker, str(workers)]
            run: dict[str, Any] = {"maker": maker, "workers": workers, "rows": rows}
            run |= measured(command)
            about = json.loads((folder / "_manifest.json").read_text())
            run |= {"bytes": about["bytes"], "hash": about["sha256_of_files"]}
            shutil.rmtree(folder)
            add(run | {"load": os.getloadavg()[0]})
    hashes = {(run["rows"], run["hash"]) for run in runs if "hash" in run}
    return int(len(hashes) > len({rows for rows, _ in hashes}))


if __name__ == "__main__":
    sys.exit(main())
