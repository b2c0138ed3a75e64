"""Seeds: each call has its own seed sequence, with a child for each purpose; none is global."""

from __future__ import annotations

import numpy as np

from synthgen.errors import UsageError

RandomState = (
    int | np.integer | np.random.Generator | np.random.RandomState | np.random.SeedSequence | None
)


def seed_sequence(random_state: RandomState) -> np.random.SeedSequence:
    """Make a seed sequence from a `random_state` argument."""
    if isinstance(random_state, np.random.SeedSequence):
        return random_state
    if isinstance(random_state, np.random.Generator):
        return np.random.SeedSequence(int(random_state.integers(2**63)))
    if isinstance(random_state, np.random.RandomState):
        return np.random.SeedSequence(int(random_state.randint(2**31)))
    check_seed(random_state)
    return np.random.SeedSequence(None if random_state is None else int(random_state))


def check_seed(seed: object) -> None:
    """Raise a `UsageError` unless `seed` is None or a whole number of at least 0."""
    if seed is not None and (
        isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0
    ):
        raise UsageError(213, f"random_state must be a whole number from 0, not {seed!r}")


def fresh_seed() -> int:
    """Draw a seed from the system's entropy, below 2**32 so that it is easy to write down."""
    return int(np.random.SeedSequence().generate_state(1)[0])


def child_seed(seed: np.random.SeedSequence, *key: int) -> np.random.SeedSequence:
    """Derive the child of `seed` for one purpose; the same key always gives the same child."""
    return np.random.SeedSequence(entropy=seed.entropy, spawn_key=(*seed.spawn_key, *key))
