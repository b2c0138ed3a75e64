"""How many threads a computation gets: one, if it is too small for more to pay.

The threads of OpenMP, which torch, boosting and BLAS use, wait for one another in a busy loop
after each small operation. Where another process needs the cores, the wait takes far longer than
the work: on two busy cores a training step of a small network took 20 times as long with two
threads as with one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from threadpoolctl import threadpool_info, threadpool_limits

# Work that keeps one thread busy long enough for a second one to pay.
NETWORK = 5e8  # multiply-adds of a step forward: rows of the batch times weights
TREES = 2e6  # cells that a tree or a table of distances looks at: rows times columns


@contextmanager
def threads_for(work: float, each: float) -> Iterator[int]:
    """Limit torch, OpenMP and BLAS to one thread for each `each` of `work`, within the block.

    The limits are restored after the block. They are never raised, so a worker of a parallel job,
    which has one thread, keeps it.

    Args:
        work: Size of one step, in the unit of `each`.
        each: Work that keeps one thread busy: `NETWORK` or `TREES`.

    Yields:
        The number of threads.

    Example:
        >>> with threads_for(3_163 * 25, TREES) as threads:
        ...     threads
        1
    """
    torch: Any = sys.modules.get("torch")  # what is not loaded needs no limit
    before = (os.cpu_count() or 1) if torch is None else torch.get_num_threads()
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
