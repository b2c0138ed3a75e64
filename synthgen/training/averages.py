"""Running averages of the weights: what a fitted model keeps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

EMA_DECAY = 0.999


def share_of(step: int) -> float:
    """Weight of the newest step in the running average; at first, all steps weigh the same."""
    return 1 - min(EMA_DECAY, step / (step + 10))


def changing(sampler: nn.Module) -> list[Tensor]:
    """List the tensors that training changes: weights, and running statistics of batch norms.

    All are float32, so that a GPU averages them with one kernel launch.
    """
    found = [w.detach() for w in sampler.parameters() if w.requires_grad]
    for module in sampler.modules():
        if isinstance(module, nn.BatchNorm1d):
            found += [b for b in module.buffers() if b.is_floating_point()]
    return found


def move(average: list[Tensor], weights: list[Tensor], share: Tensor | float) -> None:
    """Move the averages towards the weights by `share`; a CUDA graph needs it as a tensor."""
    if isinstance(share, float):
        torch._foreach_lerp_(average, weights, share)
        return
    change = torch._foreach_sub(weights, average)  # foreach lerp does not accept a tensor share
    torch._foreach_mul_(change, share)
    torch._foreach_add_(average, change)


@contextmanager
def swapped(weights: list[Tensor], others: list[Tensor]) -> Iterator[None]:
    """Replace the values of `weights` by those of `others` while the block runs."""
    kept = [w.detach().clone() for w in weights]
    with torch.no_grad():
        torch._foreach_copy_(weights, others)
    try:
        yield
    finally:
        with torch.no_grad():
            torch._foreach_copy_(weights, kept)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Switch off dropout and gradients while the block runs."""
    module.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        module.train()
