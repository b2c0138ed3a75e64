"""Engines: call a function for many numbers, in processes of this machine or on Ray, Spark, Dask.

A worker receives the function and a number, and returns a small dict. Rows are never transferred:
each worker writes its own. All engines repeat a call if its worker is lost. Ray and Dask can also
run what joblib runs, such as the fits of `compare`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from importlib.util import find_spec
from typing import Any

from joblib import delayed, parallel_config

from synthgen import errors
from synthgen.errors import SynthgenError, UsageError
from synthgen.threads import results_of

Work = Callable[[int], dict[str, Any]]

ENGINES = ("ray", "spark", "dask")
RETRIES = 3  # how often a call is repeated if its worker is lost
# Spark returns results per job, so each job has PARTS calls per core.
PARTS = 8
JAVA = 17  # the oldest that Spark 4 runs on


def on_engine(
    engine: str | None, work: Work, numbers: Sequence[int], n_jobs: int | None = None
) -> Iterator[dict[str, Any]]:
    """Call `work` for each number, and yield the results in the order of completion."""
    name, address = check_engine(engine)
    if not numbers:
        return iter(())
    if not name:
        jobs = (delayed(work)(n) for n in numbers)
        return results_of(jobs, n_jobs or 1, ordered=False)
    run = {"ray": _ray, "spark": _spark, "dask": _dask}[name]
    cores = _cores(n_jobs)
    return map(_or_error, run(partial(_attempt, work), list(numbers), address or None, cores))


def check_engine(engine: str | None) -> tuple[str, str]:
    """Split an engine into name and address; raise the errors of `on_engine` if it is invalid."""
    name, _, address = (engine or "").partition("=")
    if engine is not None and name not in ENGINES:
        raise UsageError(218, f"engine {name!r}: use one of {', '.join(ENGINES)}")
    if name and find_spec({"spark": "pyspark", "dask": "distributed"}.get(name, name)) is None:
        raise UsageError(298, f"engine {name} is not installed: pip install 'synthgen[{name}]'")
    if name == "spark":
        _need_java()
    return name, address


def joblib_on(engine: str | None, n_jobs: int | None = None) -> AbstractContextManager[None]:
    """Run everything that a block runs through joblib on Ray or Dask."""
    if engine is not None and engine.partition("=")[0] == "spark":
        raise UsageError(218, "engine 'spark' generates rows only: use ray or dask")
    name, address = check_engine(engine)
    return _joblib_on(name, address or None, _cores(n_jobs)) if name else nullcontext()


@contextmanager
def _joblib_on(name: str, address: str | None, cores: int) -> Iterator[None]:
    with {"ray": _ray_running, "dask": _dask_running}[name](address, cores):
        if name == "ray":
            from ray.util.joblib import register_ray  # pyright: ignore[reportMissingImports]

            register_ray()
        with parallel_config(name, n_jobs=-1):  # Ray's own default is 1
            yield


def _cores(n_jobs: int | None) -> int:
    """Count processes as joblib does: -1 means one per core, -2 one fewer."""
    wanted = -1 if n_jobs is None else n_jobs
    return wanted if wanted > 0 else max(1, (os.cpu_count() or 1) + 1 + wanted)


@contextmanager
def _ray_running(address: str | None, cores: int) -> Iterator[None]:
    """Connect to Ray, or start it on this machine, unless it is running."""
    import ray  # pyright: ignore[reportMissingImports]

    started = not ray.is_initialized()
    if started:
        own: dict[str, Any] = {} if address else {"num_cpus": cores, "include_dashboard": False}
        ray.init(address, log_to_driver=False, logging_level="error", **own)
    try:
        yield
    finally:
        if started:
            ray.shutdown()


def _ray(work: Work, numbers: list[int], address: str | None, cores: int) -> Iterator[dict]:
    """Use Ray Data: one row per number, and `map_batches` with batches of one row."""
    import ray  # pyright: ignore[reportMissingImports]

    def batch(numbers: dict[str, Any]) -> dict[str, Any]:
        return {"found": [json.dumps(work(int(n))) for n in numbers["item"]]}

    with _ray_running(address, cores):
        context = ray.data.DataContext.get_current()
        bars, context.enable_progress_bars = context.enable_progress_bars, False
        try:
            data = ray.data.from_items(numbers, override_num_blocks=len(numbers))
            for row in data.map_batches(batch, batch_size=1).iter_rows():
                yield json.loads(row["found"])
        finally:
            context.enable_progress_bars = bars


def _spark(work: Work, numbers: list[int], address: str | None, cores: int) -> Iterator[dict]:
    """Use Spark: one partition per number, and `mapInArrow` on each."""
    import pyarrow as pa
    from pyspark.sql import SparkSession  # pyright: ignore[reportMissingImports]

    def batches(several: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for some in several:
            found = [json.dumps(work(numbers[place])) for place in some.column("id").to_pylist()]
            yield pa.RecordBatch.from_pydict({"found": found})

    master = address or f"local[{cores},{RETRIES + 1}]"
    builder = SparkSession.builder.appName("synthgen").master(master)
    quiet = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false"}
    with _python_of_workers():
        spark = builder.config(map=quiet).getOrCreate()
        try:
            at_once = PARTS * spark.sparkContext.defaultParallelism
            for first in range(0, len(numbers), at_once):
                last = min(first + at_once, len(numbers))
                places = spark.range(first, last, 1, last - first)
                for row in places.mapInArrow(batches, "found string").collect():
                    yield json.loads(row["found"])
        finally:
            spark.stop()


@contextmanager
def _python_of_workers() -> Iterator[None]:
    """Make Spark start its workers with this Python, by setting ``PYSPARK_PYTHON``."""
    if "PYSPARK_PYTHON" in os.environ:
        yield
        return
    os.environ["PYSPARK_PYTHON"] = sys.executable
    try:
        yield
    finally:
        del os.environ["PYSPARK_PYTHON"]


@contextmanager
def _dask_running(address: str | None, cores: int) -> Iterator[Any]:
    """Connect to a Dask cluster, or start one on this machine; give the client."""
    import distributed  # pyright: ignore[reportMissingImports]

    cluster = address or distributed.LocalCluster(
        n_workers=cores, threads_per_worker=1, dashboard_address=None, silence_logs=40
    )
    with distributed.Client(cluster) as client:
        try:
            yield client
        finally:
            if not isinstance(cluster, str):
                cluster.close()


def _dask(work: Work, numbers: list[int], address: str | None, cores: int) -> Iterator[dict]:
    """Use Dask: one task per number."""
    import distributed  # pyright: ignore[reportMissingImports]

    with _dask_running(address, cores) as client:
        tasks = client.map(work, numbers, pure=False, retries=RETRIES)
        for task in distributed.as_completed(tasks):
            yield task.result()
            task.release()


def _need_java() -> None:
    """Raise if there is no Java, or only a version that is too old for Spark."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=os.path.join(home, "bin") if home else None)
    why = "but none was found"
    if java is not None:
        shown = subprocess.run([java, "-version"], capture_output=True, text=True).stderr
        words = shown.split('"')
        why = f"not {words[1]}" if len(words) > 2 else f"but {java} reports no version"
        first = words[1].split(".")[0] if len(words) > 2 else ""
        if first.isdigit() and int(first) >= JAVA:
            return
    raise UsageError(
        299,
        f"engine spark needs Java {JAVA} or newer, {why}: install it (apt install "
        f"openjdk-21-jre-headless), or set JAVA_HOME",
    )


def _attempt(work: Work, number: int) -> dict[str, Any]:
    """Call `work`, and return an error as a dict, because engines wrap errors differently."""
    try:
        return work(number)
    except SynthgenError as error:
        return {"error": [type(error).__name__, error.code, error.message]}


def _or_error(found: dict[str, Any]) -> dict[str, Any]:
    if "error" in found:
        name, code, message = found["error"]
        raise getattr(errors, name)(code, message)
    return found
