"""One progress display for every long job: a bar, the stage in words, and the time left.

If a display is opened inside another one, it moves the outer bar, so that a job has a single bar.
While a stage takes long, a thread redraws the bar every second with the time spent.

The bar is drawn on standard error if that is a terminal, and below the cell in a notebook. In a log
file or a pipe, only the notes are written.
"""

from __future__ import annotations

import html
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, NamedTuple, Self, TextIO, final

# Seconds between two redraws; fewer redraws keep notebooks small.
REDRAW = 0.2
TICK = 1.0  # seconds after which the bar is redrawn although nothing moved it
# The time left is estimated from the latest MARKS updates, because the pace changes.
MARKS = 20
MOST_WORDS = 60  # longest stage text, in characters
# The time left of a job with parts is shown after EARLY seconds and a share LITTLE of the work.
EARLY, LITTLE = 2.0, 0.02
_OPEN: ContextVar[Progress | None] = ContextVar("progress", default=None)


@final
class Progress:
    """Progress over the stages of one job; not drawn outside a terminal or notebook."""

    def __init__(self, shown: bool = True, *, stream: TextIO | None = None) -> None:
        self._stream, self._shown = stream or sys.stderr, shown
        self._drawn: _Bar | None = None
        self._lock = threading.Lock()  # of the bar, which the thread of `_tick` draws too
        self._over = threading.Event()
        self._ticker: threading.Thread | None = None
        self._stage, self._done, self._total = "", 0, 0
        self._left: float | None = None  # seconds of this stage, at the last update
        self._given: float | None = None  # the same, if the caller knows it
        self._state = _State("", 0, 0, None)
        self._times = ""  # the times that the bar shows
        self._drawn_at = 0.0
        self._marks: deque[tuple[float, int]] = deque(maxlen=MARKS)
        self._outer: Progress | None = None
        self._closed = False
        self._began = 0.0
        self._span: tuple[float, float] | None = None  # current part, from 0 to 1

    def __enter__(self) -> Self:
        self._began, self._closed = time.monotonic(), False
        if self._shown:
            self._outer = _innermost()
            _OPEN.set(self)
        if self._outer is not None:
            self._stream = self._outer._stream
        elif self._shown and _in_notebook():
            self._drawn = _NotebookBar()
        elif self._shown and is_terminal(self._stream):
            self._drawn = TerminalBar(self._stream)
        if self._drawn is not None:
            self._ticker = threading.Thread(target=self._tick, name="progress", daemon=True)
            self._over.clear()
            self._ticker.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._closed = True
        _OPEN.set(_innermost())
        if self._ticker is not None:
            self._over.set()
            self._ticker.join()
            self._ticker = None
        if self._drawn is not None:
            self._drawn.close()
            self._drawn = None

    def part(self, stage: str, upto: float) -> None:
        """Begin a part of a job; a display opened inside it moves this bar."""
        self._span = (0.0 if self._span is None else self._span[1], upto)
        self._whole(_one_line(stage), self._span[0], None, now=True)

    def start(self, stage: str, total: int = 0) -> None:
        """Begin a stage; the bar starts at 0 again."""
        self._done, self._total, self._left, self._given = 0, total, None, None
        self._stage = _one_line(stage)
        self._marks.clear()
        self._draw(now=True)

    def update(
        self,
        done: int,
        total: int | None = None,
        *,
        stage: str | None = None,
        seconds_left: float | None = None,
    ) -> None:
        """Move the bar."""
        self._done = done
        self._total = self._total if total is None else total
        changed = stage is not None and _one_line(stage) != self._stage
        self._stage = self._stage if stage is None else _one_line(stage)
        self._marks.append((time.monotonic(), done))
        self._given = seconds_left
        self._left = self._reckoned() if seconds_left is None else seconds_left
        self._draw(now=changed or done == self._total)

    def note(self, sentence: str) -> None:
        """Write a sentence above the bar; it is also written to a log file or a pipe."""
        if not self._shown:
            return
        if self._outer is not None:
            self._outer.note(sentence)
        elif self._drawn is not None:
            with self._lock:
                self._drawn.note(sentence)
        else:
            print(sentence, file=self._stream)

    def _reckoned(self) -> float | None:
        """Estimate the seconds left from the latest updates; None if it is too early."""
        if len(self._marks) < 3:
            return None
        # Skip the first mark: the first unit of work also loads libraries and fills caches.
        (began, before), (now, done) = self._marks[1], self._marks[-1]
        if done <= before or self._total <= done:
            return None
        return (now - began) / (done - before) * (self._total - done)

    def _whole(self, stage: str, share: float, left: float | None, *, now: bool) -> None:
        """Draw the share of this job that is done; if there is an outer job, in its bar."""
        if self._outer is not None:
            low, high = self._outer._within()
            # Only in the last part, what this job has left is what the outer job has left.
            left = left if high == 1.0 else None
            self._outer._whole(stage, low + (high - low) * share, left, now=now)
            return
        spent = time.monotonic() - self._began
        if left is None and spent >= EARLY and share >= LITTLE:
            left = spent * (1 - share) / share
        self._show(stage, round(100 * share), 100, left, now=now)

    def _within(self) -> tuple[float, float]:
        """Start and end of the part that is running, as shares of this job."""
        if self._span is not None:
            return self._span
        total = max(self._total, 1)
        return min(self._done / total, 1.0), min((self._done + 1) / total, 1.0)

    def _draw(self, *, now: bool) -> None:
        if self._outer is not None:
            share = min(self._done / max(self._total, 1), 1.0)
            self._whole(self._stage, share, self._given, now=now)
        self._show(self._stage, self._done, self._total, self._left, now=now)

    def _show(self, stage: str, done: int, total: int, left: float | None, *, now: bool) -> None:
        """Draw the bar in this state, unless it was drawn a moment ago."""
        if self._drawn is None:
            return
        moment = time.monotonic()
        with self._lock:
            self._state = _State(stage, done, total, None if left is None else moment + left)
            if now or moment - self._drawn_at >= REDRAW:
                self.redraw(moment)

    def redraw(self, moment: float) -> None:
        """Draw the bar with the times of this moment; the caller holds the lock."""
        assert self._drawn is not None
        state, self._times, self._drawn_at = self._state, self._times_at(moment), moment
        self._drawn.draw(state.stage, state.done, state.total, self._times)

    def _times_at(self, moment: float) -> str:
        """The time spent and the time left, in words; the latter only while it is believable."""
        seconds, ends = int(moment - self._began), self._state.ends
        times = [f"{seconds // 60}:{seconds % 60:02}"] if seconds else []
        if ends is not None and ends >= moment:
            times.append(f"{in_words(ends - moment)} left")
        return "  ".join(times)

    def _tick(self) -> None:
        """Redraw the bar whenever its times change, until the job is over."""
        with suppress(OSError, ValueError):  # the terminal is gone
            while not self._over.wait(TICK):
                with self._lock:
                    moment = time.monotonic()
                    if self._state.stage and self._times_at(moment) != self._times:
                        self.redraw(moment)


class _State(NamedTuple):
    """What a bar shows; `ends` is the estimated end of the job, on the clock of `time`."""

    stage: str
    done: int
    total: int
    ends: float | None


def _innermost() -> Progress | None:
    """The display opened last that is still open; those of two fits may close in any order."""
    display = _OPEN.get()
    while display is not None and display._closed:
        display = display._outer
    return display


def in_words(seconds: float) -> str:
    """Format a duration in words, rounded: seconds below 100 s, then minutes."""
    minutes = round(seconds / 60)
    if seconds < 99.5:
        return f"about {round(seconds)} s"
    if minutes < 100:
        return f"about {minutes} min"
    return f"about {minutes // 60} h {minutes % 60} min"


class _Bar(ABC):
    """How a bar is drawn: in a terminal, or in a notebook."""

    @abstractmethod
    def draw(self, stage: str, done: int, total: int, left: str) -> None:
        """Show the bar in this state."""

    @abstractmethod
    def note(self, sentence: str) -> None:
        """Write a sentence that remains visible."""

    @abstractmethod
    def close(self) -> None:
        """Remove the bar, unless this kind of bar remains visible."""


@final
class TerminalBar(_Bar):
    """A line in a terminal that is redrawn and finally removed."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(24),
            TextColumn("{task.fields[count]}", markup=False),
            TextColumn("{task.fields[left]}", markup=False),
            console=Console(file=stream),
            auto_refresh=False,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None, count="", left="")
        self._bar.start()

    def draw(self, stage: str, done: int, total: int, left: str) -> None:
        self._bar.update(
            self._task,
            description=stage,
            completed=done,
            total=total or None,
            count=_count(done, total),
            left=left,
            refresh=True,
        )

    def note(self, sentence: str) -> None:
        self._bar.console.print(sentence, markup=False, highlight=False)

    def close(self) -> None:
        self._bar.stop()


@final
class _NotebookBar(_Bar):
    """A bar below the cell that is redrawn when it moves; it needs no widgets."""

    def __init__(self) -> None:
        self._handle: Any = None

    def draw(self, stage: str, done: int, total: int, left: str) -> None:
        from IPython.display import display  # pyright: ignore[reportMissingImports]

        words = "  ".join(w for w in (stage, _count(done, total), left) if w)
        value = f' value="{done}" max="{total}"' if total else ""
        shown = {
            "text/plain": words,
            "text/html": f"<progress{value}></progress> {html.escape(words)}",
        }
        if self._handle is None:
            self._handle = display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)

    def note(self, sentence: str) -> None:
        print(sentence, file=sys.stderr)

    def close(self) -> None:
        """Do nothing: the last state remains below the cell."""


def is_terminal(stream: TextIO) -> bool:
    return stream.isatty()


def _in_notebook() -> bool:
    """Whether this runs in a notebook; the check does not import IPython."""
    ipython: Any = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and type(shell).__name__ != "TerminalInteractiveShell"


def _count(done: int, total: int) -> str:
    return f"{done:,}/{total:,}" if total else ""


def _one_line(words: str) -> str:
    """Remove control characters and shorten: the text can contain class names from a table."""
    plain = "".join(c if c.isprintable() else " " for c in words)
    return plain if len(plain) <= MOST_WORDS else plain[: MOST_WORDS - 1] + "…"
