"""Engines: one function on processes of this machine, on Ray, Spark or Dask.

An engine that is not installed is not tested; ``NEED_ENGINE=ray`` fails where it is missing.
"""

import json
import os
import shutil
import signal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from synthgen import TVAE, SequentialTrees, fit_many
from synthgen.cli.main import main
from synthgen.errors import ConvergenceError, UsageError
from synthgen.scale import engines
from synthgen.scale.dataset import sample_dataset
from synthgen.scale.engines import ENGINES, joblib_on, on_engine
from synthgen.scale.shards import BLOCK

MODULES = {"ray": "ray", "spark": "pyspark", "dask": "distributed"}


def params() -> list:
    found = []
    for name in ENGINES:
        there = find_spec(MODULES[name]) is not None and (name != "spark" or shutil.which("java"))
        missing = not there and os.environ.get("NEED_ENGINE") != name
        # Engines warn of what is none of our business, such as files that they leave open.
        marks = [
            pytest.mark.skipif(missing, reason=f"{name} is not installed"),
            pytest.mark.filterwarnings("default"),
        ]
        found.append(pytest.param(name, marks=marks))
    return found


def test_loop_gives_what_the_function_gives():
    assert list(on_engine(None, lambda n: {"n": n * n}, [3, 1, 2])) == [
        {"n": 9},
        {"n": 1},
        {"n": 4},
    ]
    assert list(on_engine(None, lambda n: {"n": n}, [])) == []


def refuse(number: int) -> dict:
    raise ConvergenceError(611, f"shard {number} did not work")


@pytest.mark.parametrize("engine", [None, *params()])
def test_an_error_comes_back_as_it_was_raised(engine: str | None):
    with pytest.raises(ConvergenceError, match="shard 4 did not work") as caught:
        list(on_engine(engine, refuse, [4], 1))
    assert caught.value.code == 611


@pytest.mark.parametrize("engine", params())
def test_engine_makes_the_files_of_the_loop_though_a_worker_is_killed(
    engine: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from synthgen.scale import dataset

    rows, killed = 3 * BLOCK, tmp_path / "killed"

    def dying(plan, folder: str, shard: int) -> dict:
        """The first worker that gets shard 1 dies of it, and leaves a piece of a file."""
        from synthgen.scale.shards import write_shard

        if shard == 1 and not killed.exists():
            killed.write_text(str(os.getpid()))
            (Path(folder) / f".{'0' * 16}.tmp").write_bytes(b"PAR1")
            os.kill(os.getpid(), signal.SIGKILL)
        return write_shard(plan, folder, shard)

    straight = sample_dataset(model, rows, tmp_path / "loop", random_state=0, shard_rows=BLOCK)
    monkeypatch.setattr(dataset, "write_shard", dying)
    made = sample_dataset(
        model, rows, tmp_path / "o", random_state=0, shard_rows=BLOCK, n_jobs=2, engine=engine
    )
    assert killed.exists()
    assert int(killed.read_text()) != os.getpid()
    assert made["sha256_of_files"] == straight["sha256_of_files"]


MANY = [
    pytest.param(engine, marks=found.marks)
    for found in params()
    if (engine := found.values[0]) != "spark"
]


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    ill = np.arange(240) % 8 == 0
    columns = {
        "dose": rng.normal(size=240).round(3) + ill,
        "ward": rng.choice(["north", "south"], 240),
        "ill": np.where(ill, "yes", "no"),
    }
    path = tmp_path_factory.mktemp("patients") / "patients.csv"
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


def command(*arguments: object) -> None:
    result = CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.stderr


def untimed(file: Path) -> bytes:
    """The bytes of a JSON file without what tells seconds."""
    found = json.loads(file.read_text())
    assert found.pop("seconds")
    return json.dumps(found).encode()


@pytest.mark.parametrize("engine", MANY)
def test_compare_on_an_engine_is_the_plain_one_to_the_byte(
    engine: str, patients: Path, tmp_path: Path
):
    how = ["compare", patients, "--target", "ill", "--seed", 0, "--estimator", "lr", "--folds", 2]
    how += ["--repeats", 2, "--strategies", "class_weight,smote,bootstrap"]
    plain, made = tmp_path / "plain.json", tmp_path / "made.json"
    command(*how, "--jobs", 1, "--json", plain)
    command(*how, "--jobs", 2, "--engine", engine, "--json", made)
    assert untimed(made) == untimed(plain)


@pytest.mark.parametrize("engine", MANY)
def test_auto_on_an_engine_is_the_plain_one_to_the_byte(
    engine: str, patients: Path, tmp_path: Path
):
    model, told, rows = (tmp_path / name for name in ("model.skops", "told.json", "rows.csv"))
    how = ["auto", patients, "--target", "ill", "--seed", 0, "--members", "logistic,extra_trees"]
    found = []
    for more in (["--jobs", 1], ["--jobs", 2, "--engine", engine]):
        command(*how, *more, "-o", model, "--json", told)
        command("predict", model, patients, "-o", rows)  # probabilities to the last digit
        found.append(told.read_bytes() + rows.read_bytes())
    assert found[0] == found[1]


@pytest.mark.parametrize("engine", MANY)
def test_models_fitted_on_an_engine_are_those_of_a_loop_to_the_byte(
    engine: str, patients: Path, tmp_path: Path
):
    frame = pd.concat([pd.read_csv(patients)] * 2, ignore_index=True)
    found = []
    for cluster in (None, engine):
        jobs: list[Any] = [
            (SequentialTrees(trees=1, random_state=seed), frame, "ill") for seed in range(3)
        ]
        jobs.append((TVAE(steps=3, device="cpu", random_state=0), frame, "ill"))
        with joblib_on(cluster, 2):
            models: list[Any] = fit_many(jobs)
        for model in models:
            model.save(tmp_path / "model.synthgen")
            found.append((tmp_path / "model.synthgen").read_bytes())
            found.append(model.sample(20, random_state=0).to_csv().encode())
    assert found[: len(found) // 2] == found[len(found) // 2 :]


# --- what is missing --------------------------------------------------------------------------


def refusal(engine: str) -> tuple[int, str]:
    with pytest.raises(UsageError) as caught:
        on_engine(engine, refuse, [1])
    return caught.value.code, caught.value.message


def test_missing_engine_is_told_in_one_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    for name in ENGINES:
        told = f"engine {name} is not installed: pip install 'synthgen[{name}]'"
        assert refusal(f"{name}=somewhere:1") == (298, told)
    assert refusal("flink") == (218, "engine 'flink': use one of ray, spark, dask")


@pytest.mark.parametrize("what", ["compare", "auto"])
def test_spark_runs_no_fits(what: str, patients: Path, tmp_path: Path):
    output = ["-o", tmp_path / "model.skops"] if what == "auto" else []
    asked = [what, patients, "--target", "ill", "--engine", "spark=somewhere:1", *output]
    result = CliRunner().invoke(main, list(map(str, asked)))
    assert result.exit_code == 2
    assert result.stderr == "error E218: engine 'spark' generates rows only: use ray or dask\n"


def test_missing_or_old_java_is_told_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(engines, "find_spec", lambda name: object())
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    install = "install it (apt install openjdk-21-jre-headless), or set JAVA_HOME"
    told = f"engine spark needs Java 17 or newer, but none was found: {install}"
    assert refusal("spark") == (299, told)
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    java.chmod(0o755)
    told = f"engine spark needs Java 17 or newer, not 11.0.2: {install}"
    assert refusal("spark") == (299, told)
