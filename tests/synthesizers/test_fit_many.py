"""`fit_many` in other processes: models, errors and warnings are those of a loop."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from checks import mixed
from joblib import parallel_config

from synthgen import CTGAN, TVAE, SequentialTrees, SmoothedBootstrap, Synthesizer, TabFlow
from synthgen.errors import ConvergenceError, UsageError
from synthgen.synthesizers import fit_many as module
from synthgen.synthesizers.fit_many import fit_many


def through_pickles(calls: Iterable[Any], n_jobs: int | None) -> Iterator[Any]:
    """What processes do: each call and each result is a copy."""
    for function, arguments, _ in calls:
        yield pickle.loads(pickle.dumps(function(*pickle.loads(pickle.dumps(arguments)))))


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "results_of", through_pickles)


def synthesizers(stream: np.random.Generator) -> list[Synthesizer]:
    """Two of them draw their seed from one generator: their order matters."""
    rare: dict[str, Any] = {"classes": ["rare"]}
    how = rare | {"steps": 3, "batch_size": 20, "device": "cpu"}
    return [
        SmoothedBootstrap(random_state=1),
        SequentialTrees(**rare, trees=1, random_state=stream),
        TVAE(**how, scope="adapt", random_state=stream),
        CTGAN(**how, random_state=np.random.RandomState(2)),
        TabFlow(**how, random_state=3),
    ]


def bytes_of(model: Any, folder: Path) -> bytes:
    """The rows of a model, and its file if it has one."""
    rows = model.sample(50, random_state=0)
    if isinstance(model, SmoothedBootstrap):
        return rows.to_csv().encode()
    model.save(folder / "model.synthgen")
    return rows.to_csv().encode() + (folder / "model.synthgen").read_bytes()


@pytest.mark.parametrize("how", ["copies", pytest.param("loky", marks=pytest.mark.slow)])
def test_models_of_other_processes_are_those_of_a_loop(
    how: str, tmp_path: Path, request: pytest.FixtureRequest
):
    # joblib hands arrays of more than a megabyte to loky as read-only maps of a file.
    X, y = mixed(120, 40) if how == "copies" else mixed(140_000, 400)
    loop = [model.fit(X, y) for model in synthesizers(np.random.default_rng(0))]
    asked = synthesizers(np.random.default_rng(0))
    if how == "copies":
        request.getfixturevalue("copies")
    with parallel_config("loky", n_jobs=2) if how == "loky" else nullcontext():
        models = fit_many([(model, X, y) for model in asked])
    assert all(one is other for one, other in zip(models, asked, strict=True))
    for one, other in zip(loop, models, strict=True):
        assert bytes_of(one, tmp_path) == bytes_of(other, tmp_path), type(one).__name__
    assert asked[1].random_state is asked[2].random_state  # arguments stay the objects they were


@pytest.mark.usefixtures("copies")
def test_errors_and_warnings_of_other_processes_come_home():
    X, y = pd.DataFrame({"dose": np.arange(90.0) % 17}), np.arange(90) < 30
    jobs: list[Any] = [
        (TVAE(steps=2, batch_size=20, learning_rate=rate, device="cpu", random_state=0), X, y)
        for rate in (1e30, 1e-3)
    ]
    with (
        pytest.raises(ConvergenceError, match="job 1: training diverged") as caught,
        pytest.warns(UserWarning, match="tenth of the learning rate") as warned,
    ):
        fit_many(jobs)
    assert caught.value.code == 601
    assert {Path(one.filename).name for one in warned} == {Path(__file__).name}
    assert len(jobs[1][0].sample(3, label=True)) == 3


def test_a_number_of_processes_that_is_none_is_refused():
    with pytest.raises(UsageError, match="n_jobs is 0: give a number of processes"):
        fit_many([], n_jobs=0)
    assert fit_many([], n_jobs=2) == []
