"""Where the work is done, and the random state it owns."""

from __future__ import annotations

import numpy as np
import torch

from synthgen.errors import UsageError

RandomState = (
    int | np.integer | np.random.Generator | np.random.RandomState | np.random.SeedSequence | None
)


def resolve(device: str | torch.device = "auto") -> torch.device:
    """The device to use; "auto" is a GPU when there is one, else the CPU.

    Raises:
        UsageError: the device is not known, or not on this machine: never a silent run elsewhere.

    Example:
        >>> resolve("cpu")
        device(type='cpu')
    """
    if str(device) == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise UsageError(
            211, f"device {device!r} is not known: use auto, cpu, cuda or mps"
        ) from error
    there = {
        "cpu": 1,
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }
    if (found.index or 0) >= there.get(found.type, 0):
        raise UsageError(
            212,
            f"device {str(device)!r} was asked for, but this machine (torch {torch.__version__}) "
            "has none: "
            f"use --device auto or cpu",
        )
    return found


def seed_sequence(random_state: RandomState) -> np.random.SeedSequence:
    """The seed behind `random_state`; None is fresh entropy, never a global generator.

    A `numpy.random.Generator` or `RandomState` moves on by one draw, as scikit-learn's do.

    Raises:
        UsageError: it is none of these, or a negative number.
    """
    if isinstance(random_state, np.random.SeedSequence):
        return random_state
    if isinstance(random_state, np.random.Generator):
        return np.random.SeedSequence(int(random_state.integers(2**63)))
    if isinstance(random_state, np.random.RandomState):
        return np.random.SeedSequence(int(random_state.randint(2**31)))
    check_seed(random_state)
    return np.random.SeedSequence(None if random_state is None else int(random_state))


def check_seed(seed: object) -> None:
    """Raise a `UsageError` unless `seed` is None or a whole number from 0."""
    if seed is not None and (
        isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0
    ):
        raise UsageError(213, f"random_state must be a whole number from 0, however: {seed!r}")


def torch_generator(seed: np.random.SeedSequence, device: torch.device) -> torch.Generator:
    """A generator of the device's own, apart from torch's global one."""
    generator = torch.Generator(device=device)
    generator.manual_seed(int(seed.generate_state(1, np.uint64)[0] >> 1))
    return generator


def child_seed(seed: np.random.SeedSequence, *key: int) -> np.random.SeedSequence:
    """A seed for one purpose; unlike `spawn`, it leaves `seed` as it is, so the same key gives
    the same child.
    """
    return np.random.SeedSequence(entropy=seed.entropy, spawn_key=(*seed.spawn_key, *key))
