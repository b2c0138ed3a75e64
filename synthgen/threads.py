"""Threads and processes of a computation: one thread, if it is too small to benefit from more.

The OpenMP threads of torch, boosting and BLAS wait for one another in a busy loop after each small
operation. If another process uses the cores, this wait takes far longer than the work: on two busy
cores, a training step of a small network took 20 times as long with two threads as with one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
from joblib import Parallel, parallel_config
from threadpoolctl import threadpool_info, threadpool_limits

from synthgen.errors import UsageError

# Amount of work per thread from which an additional thread is worthwhile.
NETWORK = 5e8  # multiply-adds of a forward pass: batch rows times weights
TREES = 2e6  # cells of the table for trees or distances: rows times columns


def usable_cores() -> int:
    """Number of threads that torch may use here; all cores, if torch is not loaded."""
    torch: Any = sys.modules.get("torch")
    return (os.cpu_count() or 1) if torch is None else torch.get_num_threads()


@contextmanager
def threads_for(work: float, each: float) -> Iterator[int]:
    """Limit torch, OpenMP and BLAS in the block to one thread per `each` units of `work`."""
    torch: Any = sys.modules.get("torch")  # if torch is not loaded, it needs no limit
    before = usable_cores()
    threads = max(1, min(before, int(work / each)))
    limits: dict[str, int] = {}
    for pool in threadpool_info():
        known = limits.get(pool["prefix"], threads)
        limits[pool["prefix"]] = min(known, pool["num_threads"])
    with threadpool_limits(limits):
        if torch is None:
            yield threads
            return
        torch.set_num_threads(threads)
        try:
            yield threads
        finally:
            torch.set_num_threads(before)


def check_jobs(n_jobs: Any) -> None:
    """Raise a `UsageError` unless `n_jobs` is None or a whole number other than 0."""
    if n_jobs is not None and (
        isinstance(n_jobs, bool) or not isinstance(n_jobs, int | np.integer) or n_jobs == 0
    ):
        raise UsageError(
            269,
            f"n_jobs is {n_jobs!r}: give a number of processes from 1, or -1 for one on each core",
        )


def one_process(wanted: bool) -> AbstractContextManager[Any]:
    """Keep a block in this process, whatever `joblib.parallel_config` says, if `wanted`."""
    return parallel_config("sequential") if wanted else nullcontext()


def results_of(
    jobs: Iterable[Any], n_jobs: int | None, *, ordered: bool = True, ahead: bool = True
) -> Iterator[Any]:
    """Run joblib's delayed calls, and give each result as soon as it is there.

    Unless `ahead`, a call is taken from `jobs` only when a process is free to start it.
    """
    how: Any = "generator" if ordered else "generator_unordered"
    queue: Any = {} if ahead else {"pre_dispatch": "n_jobs", "batch_size": 1}
    try:
        run = Parallel(n_jobs=n_jobs, return_as=how, **queue)
    except ValueError as error:
        if "return_as" not in str(error):
            raise
        run = Parallel(n_jobs=n_jobs, **queue)
    return iter(run(jobs))
