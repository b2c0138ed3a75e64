"""Seeds: one sequence for each call, one child for each purpose, never a global generator."""

from __future__ import annotations

import numpy as np

from synthgen.errors import UsageError

RandomState = (
    int | np.integer | np.random.Generator | np.random.RandomState | np.random.SeedSequence | None
)


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
        raise UsageError(213, f"random_state must be a whole number from 0, not {seed!r}")


def child_seed(seed: np.random.SeedSequence, *key: int) -> np.random.SeedSequence:
    """A seed for one purpose; unlike `spawn`, it leaves `seed` as it is, so the same key gives
    the same child.
    """
    return np.random.SeedSequence(entropy=seed.entropy, spawn_key=(*seed.spawn_key, *key))
