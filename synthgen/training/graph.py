"""Updates of a network, on CUDA captured once as a graph and replayed in one launch."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch

WARM_UP = 3
# Parts of the messages of out-of-memory errors; on a CPU torch raises a plain RuntimeError.
_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "status_alloc_failed",  # cuBLAS and cuDNN
)


class CapturedSteps:
    """Runs updates directly on a CPU; on CUDA, captures them as graphs and replays these.

    Attributes:
        generator: The generator in use. After a failed capture it is a new one with the same state,
            because torch keeps the old one registered with the graph.
        on_cuda: Whether the device is a GPU.
        captures: Whether graphs are captured: True on CUDA until a capture fails.
        graphs: The captured graphs, by number of updates.
    """

    def __init__(
        self,
        update: Callable[[int], None],
        generator: torch.Generator,
        device: torch.device,
        *,
        warm_up: int = WARM_UP,
    ) -> None:
        self.update: Callable[[int], None] | None = update
        self.generator, self.device, self.warm_up = generator, device, warm_up
        self.on_cuda = self.captures = device.type == "cuda"
        self.stream = torch.cuda.Stream(device) if self.on_cuda else None
        self.forget()

    def forget(self) -> None:
        """Drop the captured graphs; their tensors were replaced."""
        self.graphs: dict[int, torch.cuda.CUDAGraph] = {}
        self.eager = 0  # updates since the start, or since the graphs were dropped
        self.asked: set[int] = set()

    def close(self) -> None:
        """Drop the graphs and `update`, so that its owner and this object are freed at once."""
        self.forget()
        self.update = None

    def ready(self, count: int) -> bool:
        """Whether there is a graph of `count` updates; if it is due, capture it."""
        if not self.captures:
            return False
        if count not in self.graphs and count in self.asked and self.eager >= self.warm_up:
            with torch.cuda.device(self.device):
                self._capture(count)
        self.asked.add(count)
        return count in self.graphs

    def __call__(self, count: int = 1) -> None:
        """Make `count` updates, either with one graph or one by one."""
        if self.ready(count):
            self.graphs[count].replay()
        else:
            self.one_by_one(lambda: self._update(count), count)

    def one_by_one(self, update: Callable[[], None], count: int = 1) -> None:
        """Run `update`, which makes `count` updates, without a graph (on CUDA: in its stream)."""
        self.eager += count
        if self.stream is None:
            update()
            return
        with torch.cuda.device(self.device):
            current = torch.cuda.current_stream(self.device)
            self.stream.wait_stream(current)
            with torch.cuda.stream(self.stream):
                update()
            current.wait_stream(self.stream)

    def _update(self, count: int) -> None:
        assert self.update is not None, "the run is over"
        self.update(count)

    def _capture(self, count: int) -> None:
        state = self.generator.get_state()
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.generator)
        # Graphs are never replayed at the same time, so they share the memory of the first.
        pool = next(iter(self.graphs.values())).pool() if self.graphs else None
        try:
            with torch.cuda.graph(graph, pool=pool, stream=self.stream):
                self._update(count)  # captured, not run
        except (MemoryError, RuntimeError) as error:
            self.generator = torch.Generator(device=self.device)
            self.generator.set_state(state)
            if out_of_memory(error):
                raise
            self.captures = False
            self.graphs.clear()
            warnings.warn(
                f"steps run one by one, which takes longer: they cannot be captured as a CUDA "
                f"graph here ({type(error).__name__}: {error})",
                UserWarning,
                stacklevel=2,
            )
            return
        self.graphs[count] = graph


def out_of_memory(error: BaseException) -> bool:
    """Whether the error, or one that caused it, is an out-of-memory error."""
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
