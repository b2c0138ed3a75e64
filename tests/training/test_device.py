"""Devices and seeds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from synthgen.errors import UsageError
from synthgen.seeds import child_seed, seed_sequence
from synthgen.training.device import resolve, torch_generator


def test_auto_takes_what_there_is() -> None:
    assert resolve("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="the machine has a GPU")
def test_a_gpu_that_is_not_there_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"'cuda' was asked for, but this machine .* has none"):
        resolve("cuda")


def test_random_states() -> None:
    assert seed_sequence(7).entropy == 7
    assert seed_sequence(np.int64(7)).entropy == 7
    assert seed_sequence(None).entropy != seed_sequence(None).entropy
    rng = np.random.default_rng(0)
    assert seed_sequence(rng).entropy != seed_sequence(rng).entropy
    for bad in (-1, 1.5, "7", True):
        with pytest.raises(UsageError, match="random_state must be a whole number from 0"):
            seed_sequence(bad)  # type: ignore[arg-type]


def test_children_differ_from_one_another_and_stay_the_same() -> None:
    seed = seed_sequence(0)
    keys = [(), (0,), (1,), (0, 0), (0, 1)]
    streams = [
        torch_generator(child_seed(seed, *k), torch.device("cpu")).initial_seed() for k in keys
    ]
    assert len(set(streams)) == len(keys)
    again = torch_generator(child_seed(seed, 0, 1), torch.device("cpu")).initial_seed()
    assert again == streams[-1]
