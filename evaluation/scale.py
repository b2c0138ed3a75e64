"""Rows by the million: rows a second, CPU time and peak memory of each engine, and one hash.

    python evaluation/scale.py --data-dir DIR --out DIR --rows 1e6 1e7
        [--makers loop processes ray spark dask] [--python ray=/envs/ray/bin/python ...]

Fits trees to ``adult_train`` once, then samples with each maker in a process of its own, one after
the other, into a folder that is deleted once it is measured. `processes` and the engines have two
workers. Memory is that of all processes of a run together (shared pages shared out: PSS), looked at
every half second. Prints a line for each run, adds it to ``scale.json`` in OUT, and exits with 1
when two hashes of as many rows differ. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any

MAKERS = ("loop", "processes", "ray", "spark", "dask")
TICKS = os.sysconf("SC_CLK_TCK")
MAKE = """
import sys
from synthgen import sample_dataset
model, rows, folder, maker = sys.argv[1:]
if __name__ == "__main__":
    own = maker in ("loop", "processes")
    sample_dataset(model, int(rows), folder, random_state=0, n_jobs=1 if maker == "loop" else 2,
                   engine=None if own else maker)
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
    from synthgen import SequentialTrees, read_table

    path = out / "trees.synthgen"
    if not path.exists():
        frame = read_table(data / "adult_train.parquet")
        trees = SequentialTrees(random_state=0)
        trees.fit(frame.drop(columns="target"), frame["target"]).save(path)
    return path


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", type=float, nargs="+", default=[1e6])
    parser.add_argument("--makers", nargs="+", choices=MAKERS, default=MAKERS)
    parser.add_argument("--python", nargs="*", default=[], metavar="MAKER=PATH")
    args = parser.parse_args()
    pythons = dict(pair.split("=", 1) for pair in args.python)
    args.out.mkdir(exist_ok=True)
    model, results = fitted(args.data_dir, args.out), args.out / "scale.json"
    runs: list[dict[str, Any]] = json.loads(results.read_text()) if results.exists() else []
    for rows in map(int, args.rows):
        for maker in args.makers:
            folder = args.out / f"{maker}-{rows}"
            shutil.rmtree(folder, ignore_errors=True)
            python = pythons.get(maker, sys.executable)
            command = [python, "-c", MAKE, str(model), str(rows), str(folder), maker]
            run: dict[str, Any] = {"maker": maker, "rows": rows} | measured(command)
            about = json.loads((folder / "_manifest.json").read_text())
            run |= {"bytes": about["bytes"], "hash": about["sha256_of_files"]}
            run["load"] = os.getloadavg()[0]
            shutil.rmtree(folder)
            runs.append(run)
            results.write_text(json.dumps(runs, indent=1) + "\n")
            print(
                f"{maker:9} {rows:>11,} rows: {rows / run['seconds']:>7,.0f} rows/s, "
                f"{rows / run['cpu_seconds']:>7,.0f} a CPU second, {run['peak_mib']:,} MiB in all, "
                f"{run['peak_mib_of_one']:,} of one process, {run['bytes']:,} bytes, hash "
                f"{run['hash'][:12]}, load {run['load']:.1f}",
                flush=True,
            )
    hashes = {(run["rows"], run["hash"]) for run in runs}
    return int(len(hashes) > len({rows for rows, _ in hashes}))


if __name__ == "__main__":
    sys.exit(main())
