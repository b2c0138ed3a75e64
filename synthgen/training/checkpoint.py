"""The state of an unfinished fit in one file, from which a later fit continues.

A fit consists of one training run, or of several in sequence. The file holds the results of the
finished runs and the complete state of the current one. It holds no row: to continue, the user
passes the same table again, and a checksum verifies that it is the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from synthgen.errors import ConvergenceError, ModelFileError, OutputError, UsageError
from synthgen.tables.column import LEVELS, NUMBERS
from synthgen.tables.table import Table
from synthgen.training.model_file import read_model, write_model

EVERY = 30.0  # seconds between two writes
KIND = "checkpoint"  # a model file has its class name in this place
_WHY = {
    413: "it cannot be read",
    414: "it is a pickle or a zip archive",
    415: "a newer synthgen wrote it",
}


_kept: ContextVar[list[Path] | None] = ContextVar("kept", default=None)


@contextmanager
def kept_until_done() -> Iterator[None]:
    """Delete checkpoints at the end of the block instead of at the end of each fit."""
    paths: list[Path] = []
    token = _kept.set(paths)
    try:
        yield
    finally:
        _kept.reset(token)
    for path in paths:
        _remove(path)


def drawn_seed(path: str | os.PathLike[str]) -> int | None:
    """Read the seed of the fit that wrote a checkpoint; None if no file or no number is there."""
    if not os.path.lexists(path):
        return None
    try:
        given = read_model(path)[0]["fit"]["random_state"]
    except (ModelFileError, KeyError, TypeError):
        return None  # the fit says what is wrong with the file
    found = given.get("entropy") if isinstance(given, dict) else None
    return found if isinstance(found, int) else None


@dataclass(frozen=True)
class State:
    """The state of a training run at one step.

    Attributes:
        values: Plain JSON values.
        tensors: Tensors by name; each is a copy that training does not change.
    """

    values: dict[str, Any]
    tensors: dict[str, Tensor]


class Checkpoint:
    """The checkpoint file of one fit, and the handling of Ctrl-C and SIGTERM during the fit.

    Use it as a context manager. In the main thread, the first signal takes effect after the current
    step is done and its state is written; a second signal takes effect at once. The file is deleted
    when the fit is done (but see `kept_until_done`), and when training diverged, because it would
    diverge again.

    Attributes:
        seed: The seed of all randomness of the fit.
        signalled: Whether a signal is waiting for the current step.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        fit: dict[str, Any],
        seed: np.random.SeedSequence,
        *,
        every: float | None = None,
    ) -> None:
        self.path = Path(path)
        self.seed = seed
        self.signalled = False
        self._fit = json.loads(json.dumps(fit))  # as reading the file will return it
        self._every = EVERY if every is None else every
        self._results: list[State] = []
        self._begun = 0
        self._now: State | None = None
        self._good: State | None = None
        self._written = time.monotonic()
        self._unsaved = self._stepping = False
        self._number = 0
        self._previous: dict[int, Any] = {}
        if os.path.lexists(self.path):
            self._read()
        else:
            self._write(None, None)

    # --- called by the runner ---------------------------------------------------------------

    def begin(self) -> State | None:
        """Begin the next run. Return its result if an earlier process finished it, else None."""
        self._begun += 1
        if self._begun <= len(self._results):
            return self._results[self._begun - 1]
        self._stepping = True
        return None

    @property
    def saved(self) -> tuple[State, State] | None:
        """Give the state to continue from and the last good one; None: start from the beginning."""
        return None if self._now is None else (self._now, self._good or self._now)

    @property
    def due(self) -> bool:
        """Whether the next write is due."""
        return time.monotonic() - self._written >= self._every

    def write(self, now: State | None, good: State | None) -> None:
        """Write the state of the current run."""
        try:
            self._write(now, good)
        except OutputError as error:
            warnings.warn(
                f"no checkpoint was written; training continues without one: {error.message}",
                UserWarning,
                stacklevel=2,
            )
        self._written = time.monotonic()

    def leave(self, now: State, good: State) -> None:
        """Write the state, then deliver the signal that is waiting."""
        self.write(now, good)
        self._pass_on(self._number, None)

    def finish(self, result: State) -> None:
        """End the current run and keep its result for the file."""
        self._results.append(result)
        self._now = self._good = None
        self._unsaved = True
        self._stepping = False
        if self.signalled:
            self._on_signal(self._number, None)

    # --- signals ----------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        # Python sets and runs signal handlers in the main thread only.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                # None: the handler was not set from Python, so it could not be restored later.
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, previous in self._previous.items():
            signal.signal(number, previous)
        kept = _kept.get()
        if kind is None and kept is not None:
            if self._unsaved:
                self.write(None, None)
            kept.append(self.path)
        elif kind is None or (isinstance(error, ConvergenceError) and error.code == 601):
            _remove(self.path)
        if self.signalled:
            self._pass_on(self._number, None)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._stepping and not self.signalled:
            self.signalled, self._number = True, number
            return
        if not self._stepping and self._unsaved:
            self.write(None, None)
        self._pass_on(number, frame)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self.signalled = False
        previous = self._previous.get(number)
        if callable(previous):
            previous(number, frame)
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
        else:
            # The default handler kills the process; SystemExit has the same status and cleans up.
            raise SystemExit(128 + number)

    # --- the file ---------------------------------------------------------------------------------

    def _write(self, now: State | None, good: State | None) -> None:
        parts = {f"result{i}": result for i, result in enumerate(self._results)}
        if now is not None:
            parts["now"] = now
        if good is not None and good is not now:
            parts["good"] = good
        header = {
            "class": KIND,
            "fit": self._fit,
            "seed": plain_seed(self.seed),
            "parts": {name: part.values for name, part in parts.items()},
        }
        tensors = {
            f"{name}/{key}": tensor.detach().cpu().numpy()
            for name, part in parts.items()
            for key, tensor in part.tensors.items()
        }
        write_model(self.path, header, tensors)
        self._unsaved = False

    def _read(self) -> None:
        try:
            header, arrays = read_model(self.path)
            if header["class"] != KIND:
                raise self._refused(f"it is a model ({header['class']}), not a checkpoint")
            fit, seed, values = header["fit"], header["seed"], header["parts"]
            parts = {name: State(v, {}) for name, v in values.items()}
            for key, array in arrays.items():
                name, _, rest = key.partition("/")
                # safetensors returns views of read-only bytes, so copy.
                parts[name].tensors[rest] = torch.from_numpy(np.array(array))
        except ModelFileError as error:
            if error.code == 421:
                raise
            why = "it is a folder" if self.path.is_dir() else "it is damaged, or not a checkpoint"
            raise self._refused(_WHY.get(error.code, why)) from error
        except (KeyError, TypeError, AttributeError) as error:
            raise self._refused("it is damaged, or not a checkpoint") from error
        differs = [
            "the table"
            if name == "table"
            else f"{name} was {_short(fit.get(name))}, is {_short(value)}"
            for name, value in self._fit.items()
            if fit.get(name) != value
        ]
        if differs:
            raise UsageError(
                236,
                f"checkpoint {self.path} belongs to another fit; what differs: "
                f"{'; '.join(differs)}. Delete it to train from the start, or choose another file",
            )
        self.seed = np.random.SeedSequence(seed["entropy"], spawn_key=tuple(seed["spawn_key"]))
        self._now, self._good = parts.pop("now", None), parts.pop("good", None)
        self._results = [parts[f"result{i}"] for i in range(len(parts))]

    def _refused(self, why: str) -> ModelFileError:
        return ModelFileError(
            421,
            f"checkpoint {self.path} cannot be used: {why}. Delete it to train from the start, "
            f"or choose another file",
        )


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as fault:
        warnings.warn(
            f"{path}: the checkpoint of a finished fit cannot be removed: "
            f"delete it before the next fit ({fault.strerror or fault})",
            UserWarning,
            stacklevel=3,
        )


def _short(value: Any) -> str:
    """Give the text of a value; a seed without a spawn key is shown as its number."""
    seed = value if isinstance(value, dict) and not value.get("spawn_key", True) else {}
    return repr(seed.get("entropy", value))


def plain_seed(seed: np.random.SeedSequence) -> dict[str, Any]:
    """Turn a seed sequence into JSON values."""
    entropy = seed.entropy
    if not isinstance(entropy, int | np.integer):
        entropy = np.asarray(entropy).tolist()
    else:
        entropy = int(entropy)
    return {"entropy": entropy, "spawn_key": [int(k) for k in seed.spawn_key]}


def digest(table: Table) -> str:
    """Compute the SHA-256 of the schema and of all cells of learned columns."""
    # Hash codes and numbers, not the bytes of the frame: equivalent dtypes give the same digest.
    found = hashlib.sha256(json.dumps(table.schema.to_json(), sort_keys=True).encode())
    found.update(f"{len(table)} rows".encode())
    for column in table.schema.columns:
        series = table.frame[column.name]
        if column.kind in LEVELS:
            found.update(column.codes(series).tobytes())
        elif column.kind in NUMBERS:
            values, gone = column.numbers(series)
            found.update(values.tobytes() + gone.tobytes())
    return found.hexdigest()
