"""A fit that is ended at any moment goes on, to the same bits; nothing but its checkpoint stays."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import pickle
import resource
import select
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from checks import digest, mixed
from click.testing import CliRunner, Result
from sklearn.base import clone

import synthgen
from synthgen import CTGAN, TVAE, TabFlow
from synthgen.cli.main import main
from synthgen.errors import ModelFileError, OutputError, UsageError
from synthgen.synthesizers import ctgan, flow, tvae
from synthgen.synthesizers.network import NetworkSynthesizer
from synthgen.training import checkpoint as checkpoint_module
from synthgen.training.learner import Learner
from synthgen.training.model_file import read_model

CLASSES: dict[str, type[NetworkSynthesizer]] = {"ctgan": CTGAN, "tvae": TVAE, "tabflow": TabFlow}
LEARNERS: dict[str, type[Learner]] = {
    "ctgan": ctgan.CTGANLearner,
    "tvae": tvae.TVAELearner,
    "tabflow": flow.FlowLearner,
}
CHECKPOINT = "fit.checkpoint"


class Killed(BaseException):
    """The end of a process, for a test."""


def new(name: str, path: Path | None = None, **params: Any) -> NetworkSynthesizer:
    quick: dict[str, Any] = {
        "scope": "class",
        "steps": 60,
        "batch_size": 40,
        "device": "cpu",
        "random_state": 0,
    }
    if name == "tabflow":
        quick["solver_steps"] = 3
    return CLASSES[name](checkpoint=path, **(quick | params))


def table() -> tuple[pd.DataFrame, pd.Series]:
    """Three classes: of 24 rows, of 220, which has held-out rows, and the most frequent one."""
    X, y = mixed(rows=520, rare=220)
    y.iloc[:12] = "other"
    return X, y


def bits(model: NetworkSynthesizer) -> str:
    """Everything that a fit leaves, but for its wall time."""
    found = hashlib.sha256()
    for part in model.networks_.values():
        for name, tensor in part.sampler.state_dict().items():
            found.update(name.encode() + tensor.numpy().tobytes())
        found.update(json.dumps(asdict(part.history) | {"seconds": 0}).encode())
    for label in model.classes_:
        found.update(digest(model.sample(30, label=label, random_state=1)).encode())
    return found.hexdigest()


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports every 5 steps, and a checkpoint at each."""
    monkeypatch.setattr("synthgen.training.training_run.REPORT_EVERY", 5)
    monkeypatch.setattr(checkpoint_module, "EVERY", 0.0)


@pytest.fixture
def at_step(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Let something happen in a step, after its work: ``at_step(name, step, action)``."""
    steps = {name: learner.step for name, learner in LEARNERS.items()}

    def arrange(name: str, when: int, action: Callable[[], None]) -> list[int]:
        done = [0]

        def step(self: Learner, drawn: Any) -> torch.Tensor:
            losses = steps[name](self, drawn)
            done[0] += 1
            if done[0] == when:
                action()
            return losses

        monkeypatch.setattr(LEARNERS[name], "step", step)
        return done

    return arrange


def kill() -> None:
    raise Killed


@pytest.fixture
def stopped(often: None, at_step: Callable[..., list[int]], tmp_path: Path) -> Path:
    """The checkpoint of a TVAE that was ended at step 33 of 60."""
    at_step("tvae", 33, kill)
    with pytest.raises(Killed):
        new("tvae", tmp_path / CHECKPOINT, classes=["rare"]).fit(*table())
    at_step("tvae", 0, kill)
    return tmp_path / CHECKPOINT


# --- going on -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "scope"),
    [
        *((name, scope) for name in ("ctgan", "tvae") for scope in ("class", "all", "adapt")),
        ("tabflow", "adapt"),  # which learns from all rows, and then from those of the class
    ],
)
def test_a_fit_ended_at_10_random_steps_ends_with_the_same_bits(
    name: str, scope: str, often: None, at_step: Callable[..., list[int]], tmp_path: Path
) -> None:
    X, y = table()
    expected = bits(new(name, scope=scope).fit(X, y))
    path = tmp_path / CHECKPOINT
    rng = np.random.default_rng([len(scope), len(name)])
    # The same 10 moments for one fit: 60 steps alone, twice or once, and 30 to adapt, twice.
    ends, reached = 0, set()
    while ends < 10:
        at_step(name, int(rng.integers(1, 17)), kill)
        try:
            model = new(name, path, scope=scope).fit(X, y)
        except Killed:
            ends += 1
            assert [p.name for p in tmp_path.iterdir()] == [CHECKPOINT]
            parts = read_model(path)[0]["parts"]
            reached.add((len(parts) - 1, parts["now"]["step"] if "now" in parts else 0))
        else:
            assert bits(model) == expected
            assert not path.exists()
    at_step(name, 0, kill)
    assert bits(new(name, path, scope=scope).fit(X, y)) == expected
    assert not list(tmp_path.iterdir())
    assert len(reached) >= 5, "the fit was ended at too few different places"


def test_a_finished_fit_leaves_nothing_and_does_not_depend_on_checkpoints(
    often: None, tmp_path: Path
) -> None:
    X, y = table()
    with_checkpoint = new("tvae", tmp_path / CHECKPOINT).fit(X, y)
    assert not list(tmp_path.iterdir())
    assert bits(with_checkpoint) == bits(new("tvae").fit(X, y))


def test_the_path_is_an_argument_that_no_model_file_tells(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"level": rng.integers(0, 4, 200), "kind": rng.choice(["a", "b"], 200)})
    y = pd.Series(np.where(np.arange(200) < 60, "rare", "common"))
    model: Any = clone(new("ctgan", tmp_path / CHECKPOINT, steps=3))
    assert model.get_params()["checkpoint"] == tmp_path / CHECKPOINT
    model.fit(X, y).save(tmp_path / "model")
    assert b"checkpoint" not in (tmp_path / "model").read_bytes()
    assert synthgen.load(tmp_path / "model", device="cpu").get_params()["checkpoint"] is None


def test_fresh_entropy_is_that_of_the_first_fit(
    often: None, at_step: Callable[..., list[int]], tmp_path: Path
) -> None:
    X, y = table()
    path = tmp_path / CHECKPOINT
    at_step("tvae", 33, kill)
    with pytest.raises(Killed):
        new("tvae", path, random_state=None).fit(X, y)
    entropy = read_model(path)[0]["seed"]["entropy"]
    at_step("tvae", 0, kill)
    model = new("tvae", path, random_state=None).fit(X, y)
    assert bits(model) == bits(new("tvae", random_state=entropy).fit(X, y))


def test_without_time_passed_only_the_beginning_is_written(
    at_step: Callable[..., list[int]], tmp_path: Path
) -> None:
    at_step("tvae", 150, kill)
    with pytest.raises(Killed):
        new("tvae", tmp_path / CHECKPOINT, steps=200, classes=["rare"]).fit(*table())
    assert read_model(tmp_path / CHECKPOINT)[0]["parts"] == {}
    done = at_step("tvae", 0, kill)
    new("tvae", tmp_path / CHECKPOINT, steps=200, classes=["rare"]).fit(*table())
    assert done == [200]


def test_another_thread_goes_on_too(stopped: Path) -> None:
    """Signals belong to the main thread; the rest does not."""
    models: list[NetworkSynthesizer] = []
    fit = lambda: models.append(new("tvae", stopped, classes=["rare"]).fit(*table()))  # noqa: E731
    thread = threading.Thread(target=fit)
    thread.start()
    thread.join()
    assert bits(models[0]) == bits(new("tvae", classes=["rare"]).fit(*table()))


def test_a_checkpoint_holds_no_row(
    often: None, at_step: Callable[..., list[int]], tmp_path: Path
) -> None:
    X, y = table()
    X.loc[X.index[0], ["region", "amount"]] = ["once-seen", 987654.25]
    at_step("ctgan", 33, kill)
    with pytest.raises(Killed):
        new("ctgan", tmp_path / CHECKPOINT, scope="all").fit(X, y)
    data = (tmp_path / CHECKPOINT).read_bytes()
    for secret in (b"once-seen", b"patient", b"987654", np.float64(987654.25).tobytes()):
        assert secret not in data
    names = {name.split("/")[1] for name in read_model(tmp_path / CHECKPOINT)[1]}
    assert names == {"learner", "optimizer", "average", "best", "total", "generator"}


# --- signals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_obeyed_after_the_step_and_a_checkpoint(
    number: signal.Signals, at_step: Callable[..., list[int]], tmp_path: Path
) -> None:
    X, y = table()
    path = tmp_path / CHECKPOINT
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    at_step("ctgan", 77, lambda: signal.raise_signal(number))
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - its kind is what is asserted
        new("ctgan", path).fit(X, y)
    assert isinstance(caught.value, KeyboardInterrupt if number == signal.SIGINT else SystemExit)
    if isinstance(caught.value, SystemExit):
        assert caught.value.code == 143
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
    parts = read_model(path)[0]["parts"]
    assert parts["now"]["step"] == 17  # of the second run
    assert len(parts) == 3
    done = at_step("ctgan", 0, kill)
    assert bits(new("ctgan", path).fit(X, y)) == bits(new("ctgan").fit(X, y))
    assert done == [120 - 77 + 120]


def test_a_second_signal_does_not_wait(at_step: Callable[..., list[int]], tmp_path: Path) -> None:
    def twice() -> None:
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        raise Killed

    at_step("tvae", 7, twice)
    with pytest.raises(Killed):
        new("tvae", tmp_path / CHECKPOINT).fit(*table())


def test_a_signal_between_two_runs_keeps_the_finished_one(
    monkeypatch: pytest.MonkeyPatch, at_step: Callable[..., list[int]], tmp_path: Path
) -> None:
    X, y = table()
    path = tmp_path / CHECKPOINT
    begin = ctgan.CTGANLearner.__init__

    def interrupted(self: ctgan.CTGANLearner, *given: Any) -> None:
        if done[0] == 60:
            signal.raise_signal(signal.SIGINT)
        begin(self, *given)

    done = at_step("ctgan", 0, kill)
    with monkeypatch.context() as patch:
        patch.setattr(ctgan.CTGANLearner, "__init__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            new("ctgan", path).fit(X, y)
    done = at_step("ctgan", 0, kill)
    model = new("ctgan", path).fit(X, y)
    assert done == [60]
    assert bits(model) == bits(new("ctgan").fit(X, y))


def test_a_handler_of_the_caller_decides(
    monkeypatch: pytest.MonkeyPatch, at_step: Callable[..., list[int]], tmp_path: Path
) -> None:
    seen: list[int] = []
    previous = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        at_step("tvae", 7, lambda: signal.raise_signal(signal.SIGTERM))
        model = new("tvae", tmp_path / CHECKPOINT, classes=["rare"]).fit(*table())
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert seen == [signal.SIGTERM]
    assert model.history_["rare"].steps == [60]


def test_without_a_checkpoint_nothing_is_caught(at_step: Callable[..., list[int]]) -> None:
    def interrupt() -> None:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        raise Killed

    at_step("tvae", 7, interrupt)
    with pytest.raises(Killed):
        new("tvae").fit(*table())


# --- files that do not fit ----------------------------------------------------------------------


def other_cell() -> tuple[pd.DataFrame, pd.Series]:
    X, y = table()
    count = X["count"].to_numpy(copy=True)
    count[100] += 1
    return X.assign(count=count), y


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"steps": 61}, "steps was 60, is 61"),
        ({"batch_size": 50}, "batch_size was 40, is 50"),
        ({"learning_rate": 0.5}, "learning_rate was 0.001, is 0.5"),
        ({"scope": "all"}, "scope was 'class', is 'all'"),
        ({"random_state": 1}, "random_state was 0, is 1"),
        ({"random_state": None}, "random_state was 0, is None"),
        ({"classes": ["other"]}, "classes was ['rare'], is ['other']"),
    ],
)
def test_a_checkpoint_of_another_fit_is_refused(
    params: dict[str, Any], message: str, stopped: Path
) -> None:
    before = stopped.read_bytes()
    with pytest.raises(UsageError) as caught:
        new("tvae", stopped, **({"classes": ["rare"]} | params)).fit(*table())
    assert caught.value.code == 236
    assert f"checkpoint {stopped} belongs to another fit; what differs: {message}" in str(
        caught.value
    )
    assert "Delete it to train from the start, or choose another file" in str(caught.value)
    assert stopped.read_bytes() == before


def test_a_checkpoint_of_another_table_or_class_is_refused(stopped: Path) -> None:
    with pytest.raises(UsageError, match=r"what differs: the table\. Delete it"):
        new("tvae", stopped, classes=["rare"]).fit(*other_cell())
    with pytest.raises(UsageError, match=r"class was '.*tvae\.TVAE', is '.*ctgan\.CTGAN'"):
        new("ctgan", stopped, classes=["rare"]).fit(*table())


def test_what_does_not_change_the_result_may_differ(
    stopped: Path, at_step: Callable[..., list[int]], tmp_path: Path
) -> None:
    X, y = table()
    done = at_step("tvae", 0, kill)
    moved = stopped.rename(tmp_path / "moved")
    X.index, y.index = pd.RangeIndex(len(X)), pd.RangeIndex(len(X))
    new("tvae", moved, classes=["rare"], verbose=True).fit(X, y)
    assert done == [30]


def test_a_file_that_is_no_intact_checkpoint_is_refused_and_kept(stopped: Path) -> None:
    intact = stopped.read_bytes()
    rng = np.random.default_rng(0)
    damaged = [b"", b"name,age\n", pickle.dumps({}), intact[:-1], intact[: len(intact) // 2]]
    for place in [0, 8, *rng.integers(0, len(intact), 40)]:
        flipped = bytearray(intact)
        flipped[place] ^= 1 << int(rng.integers(8))
        damaged.append(bytes(flipped))
    fit = read_model(stopped)[0]["fit"]
    for content in damaged:
        stopped.write_bytes(content)
        with pytest.raises(ModelFileError) as caught:
            checkpoint_module.Checkpoint(stopped, fit, np.random.SeedSequence(0))
        assert caught.value.code == 421
        assert "Delete it to train from the start, or choose another file" in str(caught.value)
        assert stopped.read_bytes() == content
    # A changed bit that matters reaches the user of a synthesizer just so.
    with pytest.raises(
        ModelFileError, match=r"cannot be used: it is damaged, or not a checkpoint\."
    ):
        new("tvae", stopped, classes=["rare"]).fit(*table())
    stopped.write_bytes(intact)
    new("tvae", stopped, classes=["rare"]).fit(*table())


def test_a_model_is_no_checkpoint_and_a_checkpoint_no_model(stopped: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"level": rng.integers(0, 4, 200), "kind": rng.choice(["a", "b"], 200)})
    y = pd.Series(np.where(np.arange(200) < 60, "rare", "common"))
    new("tvae").fit(X, y).save(tmp_path / "model")
    with pytest.raises(ModelFileError, match=r"it is a model \(TVAE\), not a checkpoint"):
        new("tvae", tmp_path / "model").fit(X, y)
    assert isinstance(synthgen.load(tmp_path / "model", device="cpu"), TVAE)
    with pytest.raises(ModelFileError):
        synthgen.load(stopped)
    with pytest.raises(ModelFileError, match="it is a folder"):
        new("tvae", tmp_path).fit(X, y)
    (tmp_path / "data.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ModelFileError, match="it is damaged, or not a checkpoint"):
        new("tvae", tmp_path / "data.csv").fit(X, y)


def test_a_place_that_cannot_be_written_is_known_before_any_work(
    at_step: Callable[..., list[int]], tmp_path: Path
) -> None:
    done = at_step("tvae", 0, kill)
    with pytest.raises(OutputError, match="there is no folder"):
        new("tvae", tmp_path / "missing" / CHECKPOINT).fit(*table())
    wrong: Any = 3
    with pytest.raises(UsageError, match="checkpoint must be the path of a file or None"):
        new("tvae", wrong).fit(*table())
    assert done == [0]


def test_a_full_disk_keeps_the_checkpoint_before_and_training_goes_on(
    often: None,
    at_step: Callable[..., list[int]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    X, y = table()
    path = tmp_path / CHECKPOINT
    sync, kept = os.fsync, []

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def fill() -> None:
        kept.append(path.read_bytes())
        monkeypatch.setattr("synthgen.tables.read.os.fsync", full)

    at_step("tvae", 22, fill)
    with pytest.warns(UserWarning, match="training continues without one: .*the disk is full"):
        model = new("tvae", path, classes=["rare"]).fit(X, y)
    expected = bits(new("tvae", classes=["rare"]).fit(X, y))
    assert bits(model) == expected
    assert not list(tmp_path.iterdir())

    # The same, and the process ends while the disk is still full.
    monkeypatch.setattr("synthgen.tables.read.os.fsync", sync)

    def fill_and_end_later() -> None:
        fill()
        at_step("tvae", 20, kill)

    at_step("tvae", 22, fill_and_end_later)
    with (
        pytest.raises(Killed),
        pytest.warns(UserWarning, match="training continues without one: .*the disk is full"),
    ):
        new("tvae", path, classes=["rare"]).fit(X, y)
    assert path.read_bytes() == kept[-1]
    assert [p.name for p in tmp_path.iterdir()] == [CHECKPOINT]
    monkeypatch.setattr("synthgen.tables.read.os.fsync", sync)
    done = at_step("tvae", 0, kill)
    assert bits(new("tvae", path, classes=["rare"]).fit(X, y)) == expected
    assert done == [40]


# --- what a fit does by itself ------------------------------------------------------------------


def test_memory_halves_the_batch_in_whole_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ctgan.CTGANLearner.step

    def step(self: ctgan.CTGANLearner, drawn: Any) -> torch.Tensor:
        if self.batch > 20:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return whole(self, drawn)

    monkeypatch.setattr(ctgan.CTGANLearner, "step", step)
    with pytest.warns(UserWarning, match=r"memory at step 1 with batches of (70|30) rows"):
        model = new("ctgan", batch_size=70, classes=["rare"]).fit(*table())
    assert model.history_["rare"].batch == 20
    assert len(model.sample(5)) == 5
    monkeypatch.undo()
    # From the same start, the batch of 20 does what it does when it is asked for.
    asked = new("ctgan", batch_size=20, classes=["rare"]).fit(*table())
    pd.testing.assert_frame_equal(
        model.sample(50, random_state=0), asked.sample(50, random_state=0)
    )


def test_a_diverged_fit_leaves_no_checkpoint_behind(often: None, tmp_path: Path) -> None:
    """Going on from it would diverge again, and other arguments would not fit to it."""
    path = tmp_path / CHECKPOINT
    with (
        pytest.warns(UserWarning, match="with a tenth of the learning rate"),
        pytest.raises(synthgen.SynthgenError, match=r"1e\+06, 100000, 10000, 1000: lower the lea"),
    ):
        new("tvae", path, learning_rate=1e6, classes=["rare"]).fit(*table())
    new("tvae", path, classes=["rare"]).fit(*table())


@pytest.mark.filterwarnings("ignore:training diverged")
@pytest.mark.parametrize("scope", ["class", "all"])
def test_a_lowered_rate_is_gone_on_with(
    scope: str, often: None, at_step: Callable[..., list[int]], tmp_path: Path
) -> None:
    X, y = table()
    path = tmp_path / CHECKPOINT
    expected = new("tvae", learning_rate=1.0, scope=scope, classes=["rare"]).fit(X, y)
    at_step("tvae", 33, kill)
    with pytest.raises(Killed):
        new("tvae", path, learning_rate=1.0, scope=scope, classes=["rare"]).fit(X, y)
    at_step("tvae", 0, kill)
    model = new("tvae", path, learning_rate=1.0, scope=scope, classes=["rare"]).fit(X, y)
    assert model.history_["rare"].lowered >= 1
    assert bits(model) == bits(expected)


@pytest.mark.parametrize("interrupted", [72, 80])
def test_a_second_retry_is_gone_on_with_from_the_same_start(
    interrupted: int, often: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The start of the second run, which adapts the first one."""
    whole = tvae.TVAELearner.step
    # 60 steps of all rows, then steps 1 to 10, 6 to 10, 1 to 10, and 1 to 30.
    lost = (68, 73, 83)

    def lose(calls: list[int], interrupted: int | None = None) -> None:
        done = [0]

        def step(self: tvae.TVAELearner, drawn: Any) -> torch.Tensor:
            losses = whole(self, drawn)
            done[0] += 1
            if done[0] == interrupted:
                signal.raise_signal(signal.SIGINT)
            return losses * float("nan") if done[0] in calls else losses

        monkeypatch.setattr(tvae.TVAELearner, "step", step)

    def fitted(path: Path | None = None) -> NetworkSynthesizer:
        return new("tvae", path, scope="adapt", classes=["rare"]).fit(*table())

    lose([*lost])
    with pytest.warns(UserWarning, match="it goes back to step"):
        expected = fitted()
    lose([*lost], interrupted)
    with (
        pytest.warns(UserWarning, match="it goes back to step"),
        pytest.raises(KeyboardInterrupt),
    ):
        fitted(tmp_path / CHECKPOINT)
    now = read_model(tmp_path / CHECKPOINT)[0]["parts"]["now"]
    assert now["history"]["lowered"] == (1 if interrupted < 73 else 2)
    lose([call - interrupted for call in lost])
    with pytest.warns(UserWarning, match="it goes back to step"):
        model = fitted(tmp_path / CHECKPOINT)
    assert model.history_["rare"].lowered == 3
    assert bits(model) == bits(expected)


# --- the command line ---------------------------------------------------------------------------


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a command that trains on ``data.csv``, without --seed."""
    monkeypatch.chdir(tmp_path)
    X, y = table()
    X[["amount", "count", "region"]].assign(outcome=y).to_csv("data.csv", index=False)

    def run(name: str, out: str, *options: object) -> Result:
        line = (name, "data.csv", "--target", "outcome", "-o", out, "--label", "rare")
        quick = ("--synthesizer", "tvae", "--set", "steps=60", "--set", "scope=class")
        amount = ("--ratio", "double") if name == "augment" else ()
        return CliRunner().invoke(main, [*line, *quick, *amount, *map(str, options)])

    return run


def test_a_command_goes_on_with_the_seed_that_was_drawn(
    command: Callable[..., Result], often: None, at_step: Callable[..., list[int]]
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    at_step("tvae", 33, interrupt)
    stopped = command("augment", "out.csv", "--resume", "kept")
    assert stopped.exit_code == 130
    assert "note: kept holds the state of the training: the same command" in stopped.stderr
    done = at_step("tvae", 0, kill)
    assert command("augment", "out.csv", "--resume", "kept").exit_code == 0
    assert 0 < done[0] < 60
    assert not Path("kept").exists()
    seed = json.loads(Path("out.csv.manifest.json").read_text())["seed"]
    assert command("augment", "whole.csv", "--seed", seed).exit_code == 0
    assert Path("out.csv").read_bytes() == Path("whole.csv").read_bytes()


@pytest.mark.parametrize("name", ["augment", "fit"])
def test_a_finished_fit_is_kept_until_the_output_is_written(
    name: str,
    command: Callable[..., Result],
    at_step: Callable[..., list[int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writer = {
        "augment": "tables.write.write_into",
        "fit": "synthesizers.network_file.write_model",
    }[name]
    with monkeypatch.context() as patch:
        patch.setattr(f"synthgen.{writer}", lambda *_, **__: kill())
        with pytest.raises(Killed):
            command(name, "out.csv", "--resume", "kept", "--seed", 3)
    assert sorted(p.name for p in Path().iterdir()) == ["data.csv", "kept"]
    done = at_step("tvae", 1, kill)
    assert command(name, "out.csv", "--resume", "kept").exit_code == 0
    assert done == [0]
    assert not Path("kept").exists()
    at_step("tvae", 0, kill)
    assert command(name, "whole.csv", "--seed", 3).exit_code == 0
    if name == "augment":
        assert Path("out.csv").read_bytes() == Path("whole.csv").read_bytes()


def test_what_cannot_be_resumed_is_refused(command: Callable[..., Result]) -> None:
    for options, message in (
        (("--set", "checkpoint=kept"), "E285: --set checkpoint: use --resume"),
        (("--resume", "out.csv"), "E289: out.csv is already an input or another output"),
        (("--resume", "missing/kept"), "E5"),
    ):
        found = command("augment", "out.csv", "--seed", 0, *options)
        assert found.stderr.startswith(f"error {message}"), found.stderr
    other = ("augment", "data.csv", "--target", "outcome", "--synthesizer", "bootstrap")
    found = CliRunner().invoke(main, [*other, "-o", "out.csv", "--resume", "kept"])
    assert found.stderr.startswith("error E290: --resume: bootstrap writes no checkpoint")
    Path("kept").write_text("no checkpoint")
    found = command("augment", "out.csv", "--resume", "kept")
    assert found.exit_code == 4
    assert "error E421: checkpoint kept cannot be used" in found.stderr
    assert "holds the state of" not in found.stderr


# --- processes ----------------------------------------------------------------------------------


PATHS = [str(Path(synthgen.__file__).parents[1]), *map(str, Path(__file__).parents[:2])]


def child(path: Path, out: Path, steps: int, scope: str) -> subprocess.Popen[str]:
    """A process that fits with a checkpoint, says when it trains, and writes what it made."""
    code = f"""
        import sys
        sys.path[:0] = {PATHS!r}
        from pathlib import Path
        import test_resume
        from synthgen.training import checkpoint, training_run
        checkpoint.EVERY, training_run.REPORT_EVERY = 0.0, 20
        step = test_resume.LEARNERS["ctgan"].step
        def first_step(self, generator):
            print("training", flush=True)
            test_resume.LEARNERS["ctgan"].step = step
            return step(self, generator)
        test_resume.LEARNERS["ctgan"].step = first_step
        model = test_resume.new("ctgan", Path({str(path)!r}), steps={steps}, scope={scope!r})
        try:
            made = test_resume.bits(model.fit(*test_resume.table()))
        except KeyboardInterrupt:  # else some library that ends later may make it status 1
            sys.exit(130)
        Path({str(out)!r}).write_text(made)
        """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if line != "training\n":  # all runs were finished already, or it failed
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    return process


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_process_within_seconds(
    number: signal.Signals, status: int, tmp_path: Path
) -> None:
    path = tmp_path / CHECKPOINT
    process = child(path, tmp_path / "made", 100_000, "all")
    time.sleep(0.5)
    # Its own seconds of work count, not those of what else the machine does.
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    before = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    process.send_signal(number)
    with process:  # closes its pipes, whatever happens
        try:
            process.communicate(timeout=60)
        finally:
            process.kill()
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    worked = now.ru_utime + now.ru_stime - ended.ru_utime - ended.ru_stime
    assert worked - before < 5
    assert process.returncode == status
    assert [p.name for p in tmp_path.iterdir()] == [CHECKPOINT]
    assert read_model(path)[0]["parts"]["now"]["step"] > 0


# Reads a line, forks a fit, says when it ended and how. What is imported is imported once.
FORKING = """
import os, sys
sys.path[:0] = {paths!r}
from pathlib import Path
import test_resume
from synthgen.training import checkpoint, training_run
checkpoint.EVERY, training_run.REPORT_EVERY = 0.0, 20
for _ in sys.stdin:
    pid = os.fork()
    if not pid:
        model = test_resume.new("ctgan", Path({path!r}), steps={steps}, scope={scope!r})
        Path({out!r}).write_text(test_resume.bits(model.fit(*test_resume.table())))
        os._exit(0)
    print(pid, flush=True)
    print(os.waitpid(pid, 0)[1], flush=True)
"""


@pytest.mark.slow
def test_a_process_killed_at_20_random_moments_ends_with_the_same_bits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    steps, scope = 400, "adapt"
    monkeypatch.setattr("synthgen.training.training_run.REPORT_EVERY", 20)
    expected = bits(new("ctgan", steps=steps, scope=scope).fit(*table()))
    path, out = tmp_path / CHECKPOINT, tmp_path / "made"
    code = FORKING.format(paths=PATHS, path=str(path), out=str(out), steps=steps, scope=scope)
    rng = np.random.default_rng()
    kills, finished, moments = 0, 0, []
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], bufsize=0, **pipes) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        while kills < 20 or not finished:
            parent.stdin.write(b"\n")
            pid = int(parent.stdout.readline())
            moments.append(float(rng.uniform(0, 1.5)))
            if not select.select([parent.stdout], [], [], moments[-1] if kills < 20 else 300)[0]:
                with contextlib.suppress(ProcessLookupError):  # it ended meanwhile
                    os.kill(pid, signal.SIGKILL)
            status = int(parent.stdout.readline())
            if status == signal.SIGKILL:
                kills += 1
                continue
            assert status == 0, moments
            assert out.read_text() == expected, moments
            assert not path.exists()
            finished += 1
            out.unlink()
        parent.stdin.close()
