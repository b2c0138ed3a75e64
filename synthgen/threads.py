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
    """Number of threads that torch may use here; all cores, if torch is not loaded.

    Example:
        >>> usable_cores() >= 1
        True
    """
    torch: Any = sys.modules.get("torch")
    return (os.cpu_count() or 1) if torch is None else torch.get_num_threads()


@contextmanager
def threads_for(work: float, each: float) -> Iterator[int]:
    """Limit torch, OpenMP and BLAS in the block to one thread per `each` units of `work`.

    The old limits are restored after the block. A limit is never raised, so a worker of a parallel
    job, which has one thread, keeps one.

    Args:
        work: Size of one step, in the unit of `each`.
        each: Work per thread: `NETWORK` (multiply-adds) or `TREES` (cells).

    Yields:
        The number of threads.

    Example:
        >>> with threads_for(3_163 * 25, TREES) as threads:
        ...     threads
        1
    """
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
    """Keep a block in this process, whatever `joblib.parallel_config` says, if `wanted`.

    ``n_jobs=1`` alone does not: joblib's backend for Dask uses all workers of the cluster.

    Example:
        >>> from joblib import delayed
        >>> with one_process(True):
        ...     pids = list(results_of([delayed(os.getpid)()] * 2, None))
        >>> pids == [os.getpid()] * 2
        True
    """
    return parallel_config("sequential") if wanted else nullcontext()


def results_of(jobs: Iterable[Any], n_jobs: int | None, *, ordered: bool = True) -> Iterator[Any]:
    """Run joblib's delayed calls, and give each result as soon as it is there.

    With a backend that returns lists only (Ray's, multiprocessing's), all results come at the end.

    Args:
        jobs: The calls, see `joblib.delayed`.
        n_jobs: Number of processes. None: 1, or as set by `joblib.parallel_config`.
        ordered: Whether results come in the order of the jobs. False: as they end, if possible.

    Example:
        >>> from joblib import delayed
        >>> list(results_of((delayed(abs)(n) for n in (-1, 2)), 1))
        [1, 2]
    """
    how: Any = "generator" if ordered else "generator_unordered"
    try:
        run = Parallel(n_jobs=n_jobs, return_as=how)
    except ValueError as error:
        if "return_as" not in str(error):
            raise
        run = Parallel(n_jobs=n_jobs)
    return iter(run(jobs))
