"""Threads by the size of the work, and the limits as they were afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from joblib import delayed, parallel_config, register_parallel_backend
from joblib.parallel import ThreadingBackend
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_info, threadpool_limits

from synthgen import TVAE, ImbalancedClassifier, audit, augment, compare
from synthgen.metrics import evaluate as evaluating
from synthgen.synthesizers import trees
from synthgen.threads import NETWORK, one_process, results_of, threads_for

BOOSTING = HistGradientBoostingClassifier(max_iter=2)


@pytest.fixture
def four_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("four_threads")
@pytest.mark.parametrize(("work", "expected"), [(0, 1), (1.5, 1), (2.5, 2), (100, 4)])
def test_threads_follow_the_work_and_are_put_back(work: float, expected: int):
    before = threadpool_info()
    with threads_for(work * NETWORK, NETWORK) as found:
        assert found == torch.get_num_threads() == expected
        assert all(pool["num_threads"] <= max(expected, 1) for pool in threadpool_info())
    assert torch.get_num_threads() == 4
    assert threadpool_info() == before


@pytest.mark.usefixtures("four_threads")
def test_an_error_puts_them_back_too():
    with pytest.raises(ValueError, match="wrong"), threads_for(1, NETWORK):
        raise ValueError("wrong")
    assert torch.get_num_threads() == 4


@pytest.mark.usefixtures("four_threads")
@pytest.mark.parametrize(
    "call",
    [
        lambda X, y: audit(X, y),
        lambda X, y: augment(X, y, synthesizer="bootstrap", random_state=0),
        lambda X, y: compare(X, y, strategies=[], estimator=BOOSTING, folds=2, repeats=1),
        lambda X, y: ImbalancedClassifier(members=[BOOSTING]).fit(X, y),
    ],
    ids=["audit", "augment", "compare", "auto"],
)
def test_boosting_of_a_small_table_has_one_thread(
    call: Callable[[pd.DataFrame, list[str]], Any], monkeypatch: pytest.MonkeyPatch
):
    seen: list[int] = []
    fit = HistGradientBoostingClassifier.fit

    def watched(self: HistGradientBoostingClassifier, *of: Any, **how: Any) -> Any:
        pools = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "openmp"]
        seen.append(max(pools))
        return fit(self, *of, **how)

    monkeypatch.setattr(HistGradientBoostingClassifier, "fit", watched)
    frame = pd.DataFrame({"dose": np.random.default_rng(0).normal(size=120)})
    with threadpool_limits(4):
        call(frame, ["ill", "well", "well"] * 40)
    assert seen
    assert set(seen) == {1}


@pytest.mark.usefixtures("four_threads")
def test_a_small_network_is_trained_and_sampled_with_one_thread(monkeypatch: pytest.MonkeyPatch):
    from checks import mixed

    from synthgen.encoding.layout import Encoded
    from synthgen.synthesizers.tvae import Decoder, TVAELearner

    seen: list[int] = []
    step, made = TVAELearner.step, Decoder.made

    def watched_step(self: TVAELearner, drawn: dict[str, torch.Tensor]) -> torch.Tensor:
        seen.append(torch.get_num_threads())
        return step(self, drawn)

    def watched(self: Decoder, drawn: dict[str, torch.Tensor], label: int) -> Encoded:
        seen.append(torch.get_num_threads())
        return made(self, drawn, label)

    monkeypatch.setattr(TVAELearner, "step", watched_step)
    monkeypatch.setattr(Decoder, "made", watched)
    X, y = mixed()
    model = TVAE(classes=["rare"], scope="class", steps=2, device="cpu", random_state=0).fit(X, y)
    model.sample(5, label="rare")
    assert set(seen) == {1}
    assert len(seen) == 3
    assert torch.get_num_threads() == 4


@pytest.mark.parametrize("yields", [True, False])
def test_a_backend_that_returns_lists_only_gives_the_same(
    yields: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ThreadingBackend, "supports_return_generator", yields)
    with parallel_config("threading", n_jobs=2):
        jobs = [delayed(abs)(number) for number in (-3, 1, -2)]
        assert list(results_of(jobs, None)) == [3, 1, 2]
        assert sorted(results_of(jobs, None, ordered=False)) == [1, 2, 3]
        with pytest.raises(TypeError, match="bad operand"):
            list(results_of([delayed(abs)("x")], None))


class Cluster(ThreadingBackend):
    """Takes all its workers whatever is asked for, as joblib's backend for Dask does."""

    def effective_n_jobs(self, n_jobs: int) -> int:
        return 2


def test_one_process_is_one_on_a_cluster_too():
    register_parallel_backend("cluster", Cluster)
    here = threading.get_ident()
    with parallel_config("cluster"):
        for wanted in (False, True):
            with one_process(wanted):
                found = list(results_of([delayed(threading.get_ident)()] * 4, 1))
            assert (set(found) == {here}) is wanted


@pytest.mark.parametrize(("given", "found"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_of_a_command_sleep_while_they_wait(given: str | None, found: str):
    own = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    code = (
        "import os, synthgen.cli.main\n"
        "loaded = [line for line in open('/proc/self/maps') if 'gomp' in line]\n"
        "print(os.environ['OMP_WAIT_POLICY'], len(loaded))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=own | ({} if given is None else {"OMP_WAIT_POLICY": given}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == [found, "0"]  # set before OpenMP is loaded, which reads it once


def a_table(seed: int, rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    ill = np.arange(rows) % 3 == 0
    dose = np.where(rng.random(rows) < 0.1, np.nan, (rng.normal(size=rows) + ill).round(1))
    site = np.where(rng.random(rows) < 0.4, "north", "south")
    return pd.DataFrame({"dose": dose, "site": site, "twice": 2 * dose, "ill": ill})


def test_trees_are_the_same_in_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = a_table(0, 900)
    made = []
    for cores in (1, 3):
        monkeypatch.setattr(trees, "usable_cores", lambda cores=cores: cores)
        model = trees.SequentialTrees(random_state=0).fit(frame.drop(columns="ill"), frame.ill)
        made.append(model.sample(300, random_state=1))
    pd.testing.assert_frame_equal(*made)


def test_no_column_begins_after_an_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []

    def interrupted(*_: Any, **__: Any) -> Any:
        begun.append(1)
        if len(begun) == 1:
            raise KeyboardInterrupt
        time.sleep(0.05)

    monkeypatch.setattr(trees, "grow", interrupted)
    monkeypatch.setattr(trees, "usable_cores", lambda: 1)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(300, 40)))
    with pytest.raises(KeyboardInterrupt):
        trees.SequentialTrees(random_state=0).fit(frame, np.arange(300) % 2)
    assert len(begun) < 40


@pytest.mark.slow
def test_processes_change_no_score_of_an_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for least in (0, 10**9):
        monkeypatch.setattr(evaluating, "PARALLEL_CELLS", least)
        monkeypatch.setattr(evaluating, "usable_cores", lambda: 2)
        tables = (a_table(seed, 300) for seed in range(3))
        found.append(evaluating.evaluate(*tables, target="ill", label=True).to_json())
    for one in found:
        assert set(one.pop("seconds")) == set(evaluating.PARTS)
    assert found[0] == found[1]
