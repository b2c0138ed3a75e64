"""Generate a Parquet dataset of any number of rows, shard by shard; resume after any stop."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from synthgen.errors import DataError, OutputError, UsageError
from synthgen.progress import Progress
from synthgen.scale.engines import check_engine, on_engine
from synthgen.scale.shards import BLOCK, SHARD_ROWS, Plan, arrow_schema, part_of, write_shard
from synthgen.seeds import check_seed, fresh_seed
from synthgen.synthesizers.contents import guarantee_in_words, to_share
from synthgen.synthesizers.lookup import load
from synthgen.synthesizers.network import NetworkSynthesizer
from synthgen.tables.checks import check_flags
from synthgen.tables.disk import read_json, sha256_of, write_json
from synthgen.training.device import resolve
from synthgen.training.model_file import read_model

# The plan is written first, the manifest last. Readers of Parquet folders ignore names that begin
# with ``_``.
PLAN, WHOLE = "_plan.json", "_manifest.json"
_LEFT_OVER = re.compile(r"\.[0-9a-f]{16}\.tmp")  # left by a worker killed while writing


def sample_dataset(
    model: str | os.PathLike[str],
    n_samples: int,
    folder: str | os.PathLike[str],
    *,
    label: Any = None,
    where: Mapping[str, Any] | None = None,
    rules: Sequence[str] = (),
    random_state: int | None = None,
    device: str = "cpu",
    shard_rows: int = SHARD_ROWS,
    n_jobs: int | None = None,
    engine: str | None = None,
    verbose: bool = False,
) -> dict[str, Any]:
    """Generate rows from a model file and write them to a folder of Parquet files.

    Each row depends only on the model, the seed and the row's position, so the number of processes
    and the engine do not change the files. If the folder already contains some of the files, the
    same call generates the missing ones.

    Args:
        model: Path of a file that `Synthesizer.save` wrote.
        n_samples: Number of rows, at least 1; memory is about 0.5 GB per process for any number.
        folder: Output folder; it is created if it does not exist. With an engine on several
            machines, all of them must have access to folder and model under the same paths.
        label: The class of all rows. None: each class with its frequency in training.
        where: Levels that all rows have, by column name (see `Synthesizer.sample`).
        rules: Rules that every row must satisfy (see `Rule`).
        random_state: Seed. None: that of the rows in the folder, if there are any, or a fresh one.
        device: Device of the network in each process. A CPU and a GPU give different rows, so the
            rest of the rows of a folder need the same kind of device.
        shard_rows: Rows per file, a multiple of 65,536.
        n_jobs: Number of processes, -1: one per core. None: 1, with an engine on this machine -1.
            It is always 1 for a network on a GPU of this machine.
        engine: "ray", "spark" or "dask" on this machine, or with the address of a cluster, such as
            "dask=tcp://head:8786". None: joblib, with the backend of `joblib.parallel_config`.
        verbose: Whether to show progress.

    Returns:
        The manifest, which is also written as ``_manifest.json``: number of rows in total and per
        class, number of rows drawn and rejected, seed, versions, rows, bytes and SHA-256 of each
        file, one SHA-256 for all files (of the output of ``sha256sum part-*.parquet``), and what
        may be shared of the model.

    Raises:
        UsageError: A value is not allowed, or an engine is not installed (E298, E299).
        ModelFileError: The model cannot be read.
        OutputError: The folder contains other files (E510) or rows of another call (E511), or
            cannot be written.
        ConvergenceError: Too few of the drawn rows satisfy the limits and rules.

    Example:
        >>> import tempfile
        >>> import pandas as pd
        >>> from synthgen import SequentialTrees
        >>> frame = pd.DataFrame({"age": np.arange(200) % 70})
        >>> ill = pd.Series(np.arange(200) % 5 == 0, name="ill")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "model.synthgen")
        ...     notes = SequentialTrees(random_state=0).fit(frame, ill).save(path)
        ...     made = sample_dataset(path, 70_000, f"{folder}/rows", shard_rows=65_536)
        ...     [part["rows"] for part in made["files"]], pd.read_parquet(f"{folder}/rows").shape
        ([65536, 4464], (70000, 2))
    """
    check_flags(verbose=verbose)
    began = time.perf_counter()
    folder = Path(folder)
    _, cluster = check_engine(engine)
    plan = _plan(model, n_samples, label, where, rules, random_state, device, shard_rows, folder)
    _prepare(folder, plan)
    todo = [shard for shard in range(plan.shards) if not _finished(folder, plan, shard)]
    done = plan.rows - sum(map(plan.rows_of, todo))
    with Progress(verbose) as progress:
        progress.start(f"sampling into {folder}", total=plan.rows)
        if done:
            progress.note(f"{done:,} of {plan.rows:,} rows exist already")
        # Each process would need its own CUDA context, and they would share one GPU.
        if plan.device != "cpu" and not cluster and n_jobs != 1:
            if n_jobs is not None:
                progress.note(f"one process, because the network is on {plan.device}")
            n_jobs = 1
        work = partial(write_shard, plan, str(folder.absolute()))
        for found in on_engine(engine, work, todo, n_jobs):
            done += found["rows"]
            progress.update(done)
    whole = _whole(folder, plan) | {"seconds": round(time.perf_counter() - began, 3)}
    write_json(folder / WHOLE, whole)
    return whole


def _plan(
    model: str | os.PathLike[str],
    n_samples: int,
    label: Any,
    where: Mapping[str, Any] | None,
    rules: Sequence[str],
    seed: int | None,
    device: str,
    shard_rows: int,
    folder: Path,
) -> Plan:
    """Make the plan from the arguments, after all checks that need no generated rows."""
    for name, value in (("n_samples", n_samples), ("shard_rows", shard_rows)):
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not whole or value < 1 or (name == "shard_rows" and value % BLOCK):
            what = "a whole number from 1" if name == "n_samples" else f"a multiple of {BLOCK:,}"
            raise UsageError(203, f"{name} must be {what}, not {value!r}")
    check_seed(seed)
    if seed is None:
        seed = seed_of(folder)
    if seed is None:
        seed = fresh_seed()
    fitted = load(model, device=device)
    arrow_schema(fitted.schema_)
    text = None if label is None else str(fitted.learned_class(label))
    path = os.path.abspath(model)
    return Plan(
        path,
        sha256_of(path),
        int(n_samples),
        int(seed),
        text,
        where,
        tuple(rules),
        str(resolve(device)) if isinstance(fitted, NetworkSynthesizer) else "cpu",
        int(shard_rows),
    )


def seed_of(folder: Path) -> int | None:
    """Read the seed of the rows that are already in a folder; None if there are none."""
    with suppress(DataError, TypeError, KeyError):
        return int(read_json(folder / PLAN)["seed"])
    return None


def _prepare(folder: Path, plan: Plan) -> None:
    """Create the folder and write the plan, or check the existing plan; delete leftover files."""
    try:
        folder.mkdir(exist_ok=True)
        there = sorted(os.listdir(folder))
    except OSError as error:
        raise OutputError(
            509, f"{folder}: cannot make this folder: {error.strerror}: check its name and parent"
        ) from error
    versions = {"synthgen": _version("synthgen"), "pyarrow": pa.__version__}
    wanted = plan.to_json() | {"versions": versions}
    if PLAN in there:
        found = read_json(folder / PLAN)
        differs = [k for k in wanted if not isinstance(found, dict) or found.get(k) != wanted[k]]
        if differs:
            raise OutputError(
                511,
                f"{folder} holds rows of another call ({', '.join(differs)} differ): give the same "
                f"arguments to make the rest of them, or another folder",
            )
    elif set(there) - {"_manifests"}:
        raise OutputError(
            510, f"{folder} holds other files, such as {there[0]}: give a new or empty folder"
        )
    else:
        write_json(folder / PLAN, wanted)
    (folder / "_manifests").mkdir(exist_ok=True)
    for place in (folder, folder / "_manifests"):
        for name in filter(_LEFT_OVER.fullmatch, os.listdir(place)):
            with suppress(OSError):
                os.unlink(place / name)


def _finished(folder: Path, plan: Plan, shard: int) -> bool:
    """Whether a shard and its manifest exist, and the file has the length in the manifest."""
    part, about = part_of(folder, shard)
    with suppress(DataError, OSError, KeyError, TypeError):
        found = read_json(about)
        return (found["shard"], found["rows"]) == (shard, plan.rows_of(shard)) and (
            os.path.getsize(part) == found["bytes"]
        )
    return False


def _whole(folder: Path, plan: Plan) -> dict[str, Any]:
    """Combine the manifests of all shards to that of the dataset."""
    header = read_model(plan.model)[0]
    files, digest, sums = [], hashlib.sha256(), {"classes": {}, "refused": {}}
    drawn = 0
    for shard in range(plan.shards):
        found = read_json(part_of(folder, shard)[1])
        digest.update(f"{found['sha256']}  {found['file']}\n".encode())
        files.append({k: found[k] for k in ("file", "rows", "bytes", "sha256")})
        drawn += found["drawn"]
        for key, counts in sums.items():
            for name, count in found[key].items():
                counts[name] = counts.get(name, 0) + count
    return {
        **read_json(folder / PLAN),
        "model": plan.model,
        "device": plan.device,
        "drawn": drawn,
        **sums,
        "bytes": sum(f["bytes"] for f in files),
        "sha256_of_files": digest.hexdigest(),
        "share": to_share(header["class"]),
        "guarantee": guarantee_in_words(header.get("guarantee")),
        "files": files,
    }


def _version(name: str) -> str:
    from importlib.metadata import version

    return version(name)
