"""The device of a fit: which one, whether its memory is enough, and its random generator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from synthgen.errors import UsageError
from synthgen.tables.disk import machine_memory


def resolve(device: str | torch.device = "auto") -> torch.device:
    """Choose the device, and check that this machine has it."""
    if str(device) == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise UsageError(
            211, f"device {device!r} is not known: use auto, cpu, cuda or cuda:1"
        ) from error
    if found.type not in ("cpu", "cuda"):
        raise UsageError(
            211,
            f"device {str(device)!r} cannot be used, because it has no 64-bit numbers as CPUs and "
            "CUDA have: use --device auto or cpu",
        )
    there = 1 if found.type == "cpu" else torch.cuda.device_count()
    if (found.index or 0) >= there:
        has = "none" if not there else f"{found.type}:0" + f" to {there - 1}" * (there > 1)
        raise UsageError(
            212,
            f"device {str(device)!r} was asked for, but this machine (torch {torch.__version__}) "
            f"has {has}: use --device auto or cpu",
        )
    return found


@dataclass(frozen=True)
class Budget:
    """Peak memory of a fit on its device, in bytes, estimated before the fit begins.

    Attributes:
        n_rows: Number of training rows.
        row: Bytes per row during training.
        building: Additional bytes per row while the rows are encoded.
        weights: Bytes of all weights, with their gradients, moments, averages and saved copies.
        step: Bytes of a training step or of one chunk in encoding, whichever is more.
        looked: Bytes of the held-out rows for an evaluation, with their random numbers.
        look: Bytes that an evaluation takes beside them.
    """

    n_rows: int
    row: int
    building: int
    weights: int
    step: int
    looked: int = 0
    look: int = 0

    @property
    def total(self) -> int:
        """Total number of bytes."""
        return self.n_rows * (self.row + self.building) + self.weights + self._work

    @property
    def _work(self) -> int:
        return max(self.step, self.looked + self.look)

    def __str__(self) -> str:
        whole, rows, step = (
            in_words(n) for n in (self.total, self.n_rows * (self.row + self.building), self._work)
        )
        weights = in_words(self.weights)
        return (
            f"{whole} of memory: {rows} for {self.n_rows:,} rows, {weights} weights, {step} a step"
        )

    def check(self, device: torch.device) -> None:
        """Raise a `UsageError` (E214) if the device has less memory."""
        there = memory(device)
        if self.total <= there:
            return
        most = (there - self.weights - self._work) // (self.row + self.building)
        fits = (
            f"learn from at most {most:,} rows, drop columns"
            if most > 0
            else "lower batch_size, drop columns with many values"
        )
        raise UsageError(
            214,
            f"training needs {self}, but {device} has {in_words(there)}: {fits}, or use a device "
            "with more memory",
        )


def memory(device: torch.device) -> int:
    """Number of bytes that this process can use on a GPU, or the machine's memory for a CPU."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free + held
    return machine_memory()


def in_words(n: float) -> str:
    """Format a number of bytes in MiB or GiB."""
    return f"{n / 2**20:,.1f} MiB" if n < 2**30 else f"{n / 2**30:,.1f} GiB"


def torch_generator(seed: np.random.SeedSequence, device: torch.device) -> torch.Generator:
    """Make a random generator on the device, independent of torch's global generator."""
    generator = torch.Generator(device=device)
    generator.manual_seed(int(seed.generate_state(1, np.uint64)[0]) >> 1)
    return generator
