"""One update of a network, on CUDA captured once as a graph and replayed at the cost of one launch;
and how an error says that memory ran out.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

WARM_UP = 3  # updates before a graph is captured: they fill the optimisers' state and the caches
# What libraries write when memory runs out; on a CPU torch raises a plain RuntimeError.
_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "status_alloc_failed",  # cuBLAS and cuDNN
)


class CapturedStep:
    """An update that runs as it is on a CPU and, on CUDA, is captured as a graph and replayed.

    Args:
        update: Works on tensors that keep their place in memory.
        generator: Its only source of randomness.
        device: Where the update runs. On CUDA each step has a stream of its own on this device:
            that of `torch.cuda.graph` is one for all, on the device that came first.
    """

    def __init__(
        self, update: Callable[[], None], generator: torch.Generator, device: torch.device
    ) -> None:
        self.update: Callable[[], None] | None = update
        self.generator, self.device = generator, device
        self.captures = device.type == "cuda"
        self.stream = torch.cuda.Stream(device) if self.captures else None
        self.forget()

    def forget(self) -> None:
        """Drop the captured graph; its tensors were replaced."""
        self.graph: torch.cuda.CUDAGraph | None = None
        self.eager = 0  # updates since the start, or since the graph was dropped

    def close(self) -> None:
        """Drop the graph and the update, whose owner holds this step: both are free at once."""
        self.forget()
        self.update = None

    def __call__(self) -> None:
        assert self.update is not None, "the run is over"
        if self.graph is not None:
            self.graph.replay()
        elif self.captures:
            with torch.cuda.device(self.device):
                self._warm_up(self.update)
        else:
            self.update()

    def _warm_up(self, update: Callable[[], None]) -> None:
        """Run the update on the step's own stream, and after the last warm-up capture it."""
        assert self.stream is not None
        current = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            update()
        current.wait_stream(self.stream)
        self.eager += 1
        if self.eager < WARM_UP:
            return
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.generator)
        with torch.cuda.graph(graph, stream=self.stream):
            update()  # captured, not run
        self.graph = graph


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, in the error itself or in one that led to it."""
    found: BaseException | None = error
    seen: set[int] = set()
    while found is not None and id(found) not in seen:
        if isinstance(found, MemoryError | torch.cuda.OutOfMemoryError):
            return True
        if isinstance(found, RuntimeError) and any(
            words in str(found).lower() for words in _OUT_OF_MEMORY
        ):
            return True
        seen.add(id(found))
        found = found.__cause__ or found.__context__
    return False
