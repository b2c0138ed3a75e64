"""TODO docstring."""

from __future__ import annotations

from collections.abc import Callable

import torch

WARM_UP = 3  # updates before a graph is captured: they fill the optimisers' state and the caches


class Replay:
    """An update that is run as it is, or on CUDA recorded once as a graph and replayed.

    Args:
        update: Works on tensors that stay where they are.
        generator: Its only source of randomness.
        cuda: Whether to record it.
    """

    def __init__(self, update: Callable[[], None], generator: torch.Generator, cuda: bool) -> None:
        self.update, self.generator, self.cuda = update, generator, cuda
        self.forget()

    def forget(self) -> None:
        """What was recorded used tensors that are no longer in use."""
        self.graph: torch.cuda.CUDAGraph | None = None
        self.eager = 0  # updates since the start, or since this

    def __call__(self) -> None:
        if self.graph is not None:
            self.graph.replay()
        elif self.cuda:
            self._warm_up()
        else:
            self.update()

    def _warm_up(self) -> None:
        """An update on a stream of its own, and after the last of them the capture."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self.update()
        torch.cuda.current_stream().wait_stream(stream)
        self.eager += 1
        if self.eager < WARM_UP:
            return
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.generator)
        with torch.cuda.graph(graph):
            self.update()  # recorded, not run
        self.graph = graph


def out_of_memory(error: Exception) -> bool:
    """Whether memory did not suffice; on a CPU torch says so with a plain RuntimeError."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    text = str(error).lower()
    return any(t in text for t in ("out of memory", "can't allocate memory", "not enough memory"))
