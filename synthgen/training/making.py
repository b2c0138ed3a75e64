"""Rows of a trained sampler, block by block."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from synthgen.encoding.layout import Encoded
from synthgen.seeds import child_seed
from synthgen.threads import NETWORK, threads_for
from synthgen.training.device import torch_generator
from synthgen.training.graph import CapturedSteps
from synthgen.training.learner import Sampler, Source

# Each block of rows has its own generator, and only whole blocks are generated, so that a longer
# sample begins with the rows of a shorter one.
BLOCK = 1024
# A GPU generates BLOCKS blocks in about the time of one. Fewer are generated at once if their
# tensors, with HELD numbers for each encoded value, would take more than MOST bytes.
BLOCKS, HELD, MOST = 16, 16, 2**31


def make_rows(
    sampler: Sampler,
    made: Callable[[dict[str, Tensor], int], Encoded],
    label: int,
    rows: int,
    seed: np.random.SeedSequence,
    device: torch.device,
) -> Encoded:
    """Generate rows of one class."""
    weights = sum(weight.numel() for weight in sampler.parameters())
    with threads_for(BLOCK * weights, NETWORK), torch.inference_mode():
        like = next(sampler.parameters())

        def draws(block: int) -> dict[str, Tensor]:
            generator = torch_generator(child_seed(seed, block), device)
            return sampler.draw(BLOCK, Source(generator, like))

        parts: list[Encoded] = []
        held = draws(0)
        at_once = _at_once(held, device)
        held = {name: torch.cat([all] * at_once) for name, all in held.items()}
        found: list[Encoded] = []

        def make(count: int) -> None:
            found[:] = [made(held, label)]

        captured = CapturedSteps(make, torch_generator(seed, device), device, warm_up=1)
        try:
            for first in range(0, -(-rows // BLOCK), at_once):
                for i in range(at_once):
                    for name, one in draws(first + i).items():
                        held[name][i * BLOCK : (i + 1) * BLOCK] = one
                captured()
                # The next replay writes to the same memory.
                parts.append(Encoded(found[0].numbers.clone(), found[0].codes.clone()))
        finally:
            captured.close()
        return Encoded.cat(parts)[:rows]


def _at_once(drawn: dict[str, Tensor], device: torch.device) -> int:
    """Number of blocks to generate at once; it does not depend on the number of rows."""
    if device.type == "cpu":
        return 1
    values = sum(tensor.numel() for tensor in drawn.values())
    return max(1, min(BLOCKS, MOST // (4 * HELD * values)))
