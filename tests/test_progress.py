"""The one progress display: what it draws, how often, and where it is silent."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.naive_bayes import GaussianNB

from synthgen import (
    OversampledClassifier,
    Oversampler,
    SequentialTrees,
    SmoothedBootstrap,
    fit_many,
)
from synthgen import progress as module
from synthgen.cli.main import main
from synthgen.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    return Clock(monkeypatch)


def test_a_terminal_sees_the_stage_the_count_and_the_time_left(clock: Clock):
    stream = Terminal()
    with Progress(stream=stream) as progress:
        progress.start("training on 'yes'", total=1000)
        for clock.now, done in ((30.0, 1), (31.0, 10), (41.0, 110)):
            progress.update(done)
        progress.start("training on 'no'", total=7)
        progress.update(7, stage="checking")
    text = stream.getvalue()
    assert "training on 'yes'" in text
    assert "110/1,000" in text
    # The first step took 30 s and says nothing: 10 s for 100 steps, and 890 are left.
    assert "about 89 s left" in text
    assert text.index("training on 'no'") < text.index("checking") < text.index("7/7")


X, Y = pd.DataFrame({"dose": np.arange(100) % 17}), np.repeat([0, 1], [60, 40])
TREES = SequentialTrees(random_state=0)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            lambda **how: OversampledClassifier(
                GaussianNB(), Oversampler(TREES, ratio=0.9, random_state=0), **how
            ).fit(X, Y),
            "growing trees, column by column",
        ),
        (lambda **how: SequentialTrees(**how).fit(X, Y), "growing trees, column by column"),
        (
            lambda **how: fit_many([(SmoothedBootstrap(), X, Y), (TREES, X, Y)], **how),
            "fitting SequentialTrees, job 2",
        ),
    ],
)
def test_who_asks_sees_progress_and_nobody_else(
    call: Callable[..., Any], says: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    for how in ({}, {"verbose": True}):
        monkeypatch.setattr(sys, "stderr", screen := Terminal())
        call(**how)
        assert (says in screen.getvalue()) is bool(how)


def test_where_nobody_watches_only_notes_are_written():
    stream = io.StringIO()
    with Progress(stream=stream) as progress:
        progress.start("training", total=2)
        progress.update(1)
        progress.note("training takes about 2 min")
        progress.update(2)
    assert stream.getvalue() == "training takes about 2 min\n"


def test_quiet_is_silent_in_a_terminal(clock: Clock):
    stream = Terminal()
    with Progress(False, stream=stream) as progress:
        progress.start("training", total=2)
        progress.update(2)
        progress.note("nothing")
    assert stream.getvalue() == ""


def test_it_is_drawn_a_few_times_a_second_at_most(clock: Clock):
    stream = Terminal()
    with Progress(stream=stream) as progress:
        progress.start("training", total=100_000)
        before = len(stream.getvalue())
        for done in range(1000):
            progress.update(done)
        assert len(stream.getvalue()) == before, "drawn again though no time has passed"
        clock.now += module.REDRAW
        progress.update(1000)
        assert "1,000/100,000" in stream.getvalue()


def test_a_job_has_one_bar_whatever_it_calls(clock: Clock):
    stream = Terminal()
    with Progress(stream=stream) as job:
        job.part("reading", 0.1)
        job.part("training", 0.6)
        clock.now = 30.0
        with Progress(stream=io.StringIO()) as inner:  # its own stream is not looked at
            inner.start("training on 'yes'", total=10)
            clock.now = 35.0
            inner.update(5)  # half of the part from 0.1 to 0.6
            inner.note("a note")
            with Progress(False) as silent:
                silent.start("a fold", total=3)
        job.part("writing", 1.0)
    text = stream.getvalue()
    assert "a fold" not in text
    assert text.index("reading") < text.index("training on 'yes'") < text.index("writing")
    assert "35/100" in text
    assert "about 65 s left" in text  # 35 s for 35 %
    assert "60/100" in text
    assert "a note" in text
    with Progress(stream=stream) as other:  # the job is over: a bar of its own
        other.start("another job", total=7)
        other.update(7)
    assert "7/7" in stream.getvalue()


def test_displays_that_close_out_of_order_leave_nothing_behind():
    first, second = Progress(stream=io.StringIO()), Progress(stream=io.StringIO())
    first.__enter__()
    second.__enter__()
    first.__exit__()
    second.__exit__()
    stream = io.StringIO()
    with Progress(stream=stream) as later:
        later.note("a sentence")
    assert stream.getvalue() == "a sentence\n"


def test_a_bar_that_nothing_moves_shows_the_time_that_passes(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "TICK", 0.001)
    drawn = threading.Event()

    class Watched(Terminal):
        def write(self, text: str) -> int:
            if "1:07" in text:
                drawn.set()
            return super().write(text)

    with Progress(stream=(stream := Watched())) as progress:
        progress.start("growing trees", total=10)
        clock.now = 60.0
        progress.update(5, seconds_left=30)
        clock.now = 67.0
        assert drawn.wait(60), "nothing was drawn though seven seconds have passed"
        with Progress(stream=io.StringIO()):  # its thread must end with it, too
            pass
    assert "about 23 s left" in stream.getvalue()
    assert not [t for t in threading.enumerate() if t.name == "progress"]


def test_a_time_left_that_was_too_short_is_not_shown(clock: Clock):
    stream = Terminal()
    with Progress(stream=stream) as job:
        job.part("training", 1.0)
        with Progress(stream=io.StringIO()) as inner:
            inner.update(1, 2, stage="a network", seconds_left=10)
            clock.now = 11.0
            job.redraw(clock.now)
    assert "about 10 s left" in stream.getvalue()
    assert stream.getvalue().rstrip().count("left") == 1


def test_what_a_job_has_left_is_what_its_last_part_has_left(clock: Clock):
    stream = Terminal()
    with Progress(stream=stream) as job:
        job.part("reading", 0.1)
        clock.now = 10.0
        with Progress(stream=io.StringIO()) as inner:
            inner.update(1, 2, seconds_left=7)  # of the reading, not of the job
        assert "about 3 min left" in stream.getvalue()
        job.part("comparing", 1.0)
        clock.now = 11.0
        with Progress(stream=io.StringIO()) as inner:
            inner.update(1, 2, seconds_left=33)
    assert "about 33 s left" in stream.getvalue()


TREES_FILE = ["fit", "data.csv", "--target", "ill", "--synthesizer", "trees", "-o", "m.synthgen"]


@pytest.mark.parametrize(
    ("before", "arguments", "stages"),
    [
        (
            [],
            ["audit", "data.csv", "--target", "ill", "--html", "page.html"],
            "reading data.csv, looking at the table, comparing rows, training a quick model, "
            "looking for leaks, looking at each column, writing the page",
        ),
        (
            [],
            TREES_FILE,
            "reading data.csv, looking at the table, training SequentialTrees, writing m.synthgen",
        ),
        (
            TREES_FILE,
            ["sample", "m.synthgen", "-n", "9", "-o", "new.csv"],
            "reading m.synthgen, sampling 9 rows, writing new.csv",
        ),
        (
            [],
            ["augment", *TREES_FILE[1:-2], "-n", "9", "-o", "new.csv"],
            "reading data.csv, looking at the table, training SequentialTrees, making rows, "
            "writing new.csv",
        ),
        pytest.param(
            TREES_FILE,
            ["privacy", "m.synthgen", "--train", "data.csv", "--holdout", "data.csv"],
            "reading the tables, looking at the model and the tables, attacking the file, "
            "training shadow models, attacking rows",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            [],
            ["compare", "data.csv", "--target", "ill", "--strategies", "nothing,class_weight"],
            "reading data.csv, looking at the table, comparing strategies",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            [],
            ["auto", "data.csv", "--target", "ill", "-o", "model.skops", "--html", "page.html"],
            "reading data.csv, looking at the table, fitting, scoring, writing the model and its",
            marks=pytest.mark.slow,
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) and value else None,
)
def test_a_command_tells_each_of_its_stages(
    before: list[str],
    arguments: list[str],
    stages: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    ill = np.arange(120) % 2 == 0
    frame = pd.DataFrame({"dose": np.random.default_rng(0).normal(size=120) + ill, "ill": ill})
    frame.to_csv("data.csv", index=False)
    if before:
        assert CliRunner().invoke(main, before).exit_code == 0
    told: list[str] = []

    def draw(self: Any, stage: str, *rest: object) -> None:
        told.append(stage)

    monkeypatch.setattr(module.TerminalBar, "draw", draw)
    monkeypatch.setattr(module, "is_terminal", lambda stream: True)
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    left = iter(told)
    missing = [s for s in stages.split(", ") if not any(said.startswith(s) for said in left)]
    assert not missing, f"not told in this order: {missing}; told: {list(dict.fromkeys(told))}"


def test_the_callers_own_time_left_counts(clock: Clock):
    stream = Terminal()
    with Progress(stream=stream) as progress:
        progress.start("comparing")
        progress.update(1, 4, stage="weights", seconds_left=7500)
        clock.now += 1
        progress.update(4, 4, stage="weights", seconds_left=0)
    assert "about 2 h 5 min left" in stream.getvalue()


def test_a_name_from_a_table_cannot_move_the_cursor(clock: Clock):
    stream = Terminal()
    with Progress(stream=stream) as progress:
        progress.start("training on '\x1b[31mred\n[bold]x' " + "long" * 100, total=5)
    assert "\x1b[31m" not in stream.getvalue()
    assert "[bold]x" in stream.getvalue()
    assert "…" in stream.getvalue()


def test_a_notebook_shows_one_bar_that_is_replaced(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    shown: list[dict[str, str]] = []

    class Handle:
        def update(self, value: dict[str, str], raw: bool) -> None:
            shown.append(value)

    def display(value: dict[str, str], raw: bool, display_id: bool) -> Handle:
        shown.append(value)
        return Handle()

    class ZMQInteractiveShell:
        pass

    ipython: Any = SimpleNamespace(get_ipython=lambda: ZMQInteractiveShell())
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    with Progress() as progress:
        progress.start("training on <b>", total=4)
        progress.update(4)
    assert [s["text/plain"] for s in shown] == ["training on <b>  0/4", "training on <b>  4/4"]
    assert '<progress value="4" max="4">' in shown[-1]["text/html"]
    assert "&lt;b&gt;" in shown[-1]["text/html"]
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""
