"""A pretended GPU: tensors that say `cuda:0`, hold their numbers in main memory, and refuse what
CUDA refuses. For tests of the code for a GPU on a machine without one (Linux x86-64).

Inside `pretended()`:

* `device="cuda"` works everywhere, and torch reports that device for its tensors. An operation on
  tensors of two devices raises, as it does on a GPU; so do a CPU generator in a draw on the device,
  and `.numpy()`.
* `torch.cuda.graph` captures. Reading from the device, a copy to or from it, and a draw from a
  generator that the graph does not know raise meanwhile. What is captured does not run; `replay`
  runs it, on the memory that it was captured with: a Python number keeps its value, a tensor that
  was replaced is not seen, and memory that was freed since raises.
* `torch.cuda.OutOfMemoryError` comes when it is asked for: `gpu.fail_at(n)`. A capture that ended
  in an error leaves its generators unusable, as on CUDA.
* Every operation on the device is counted, with the kernels that it launches.

It cannot tell: kernels, speed, rounding (but tf32, see `_rounded`), races between streams, memory
pools.
"""

# pyright: reportAttributeAccessIssue=false, reportAssignmentType=false, reportCallIssue=false

from __future__ import annotations

import contextlib
import ctypes
import weakref
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils import _foreach_utils
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

CUDA = torch.device("cuda:0")
aten = torch.ops.aten
RealGenerator = torch.Generator
GENERATORS: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()

# Wait for the device, or make a shape of what they find there.
READS = {
    "_local_scalar_dense",
    "item",
    "nonzero",
    "masked_select",
    "_unique2",
    "unique_dim",
    "unique_consecutive",
    "unique_dim_consecutive",
    "equal",
    "is_nonzero",
    "bincount",
    "repeat_interleave",
    "histc",
    "multinomial",
    "_linalg_check_errors",
    "allclose",
}
# No kernel at all.
FREE = {
    "view",
    "_unsafe_view",
    "as_strided",
    "select",
    "slice",
    "t",
    "transpose",
    "permute",
    "detach",
    "expand",
    "unsqueeze",
    "squeeze",
    "alias",
    "split",
    "split_with_sizes",
    "unbind",
    "empty",
    "empty_strided",
    "empty_like",
    "new_empty",
    "new_empty_strided",
    "_reshape_alias",
    "lift_fresh",
    "unfold",
    "diagonal",
    "movedim",
    "chunk",
    "narrow",
    "view_as_real",
    "resize_",
    "set_",
    "is_same_size",
    "_has_compatible_shallow_copy_type",
    "sym_size",
    "sym_numel",
    "sym_stride",
    "_is_all_true",
}
# Kernels that one call launches on CUDA, where it is not 1 (read from aten/src/ATen/native/cuda).
LAUNCHES = {
    "slice_backward": 2,
    "select_backward": 2,
    "index_put": 8,
    "_index_put_impl_": 7,
    "index_put_": 7,
    "native_batch_norm": 2,
    "native_batch_norm_backward": 1,
    "cudnn_batch_norm": 1,
    "native_layer_norm": 1,
    "native_layer_norm_backward": 1,
    "scatter": 2,
    "scatter_add": 2,
    "index_add": 2,
    "_softmax": 1,
    "var_mean": 1,
    "new_zeros": 1,
    "norm": 1,
    "argsort": 6,
    "sort": 6,
    "repeat": 1,
    "constant_pad_nd": 2,
    "cdist": 4,
    "_cdist_forward": 4,
    "_euclidean_dist": 4,
    "lerp": 1,
}


PRODUCTS = {"mm", "addmm", "bmm", "baddbmm"}


def _tf32() -> bool:
    return bool(torch.backends.cuda.matmul.allow_tf32)


def _rounded(x: torch.Tensor) -> torch.Tensor:
    """float32 with the 10 bits after the first that tf32 keeps."""
    if x.dtype != torch.float32:
        return x
    bits = x.contiguous().view(torch.int32)
    return ((bits + 0x0FFF + ((bits >> 13) & 1)) & ~0x1FFF).view(torch.float32)


class _Rounded:
    """A product whose two factors are rounded to tf32, as CUDA does where that is allowed."""

    def __init__(self, func: Any) -> None:
        self.func, self._schema = func, func._schema

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.func(*args[:-2], *map(_rounded, args[-2:]), **kwargs)


_kept: list[Any] = []  # what C++ has pointers to


def _guard() -> None:
    """Have torch take its own guard that does nothing for CUDA, as it does for fake tensors.

    `_ensureCUDADeviceGuardSet` puts it in the place of a guard that counts no device, and a build
    for CPUs has none to replace: so here is one, an object that answers 0 to all that it is asked.
    """
    if torch.backends.cuda.is_built() or _kept:
        torch._C._ensureCUDADeviceGuardSet()
        return
    library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libc10.so"))
    place = ctypes.c_void_p.in_dll(library, "_ZN3c104impl26device_guard_impl_registryE")
    registry = ctypes.cast(ctypes.addressof(place), ctypes.POINTER(ctypes.c_void_p))
    nothing = ctypes.CFUNCTYPE(ctypes.c_int8)(lambda: 0)
    table = (ctypes.c_void_p * 64)(*[ctypes.cast(nothing, ctypes.c_void_p).value] * 64)
    guard = ctypes.c_void_p(ctypes.addressof(table))
    _kept.extend([library, nothing, table, guard])
    cuda = int(torch._C._autograd.DeviceType.CUDA)
    registry[cuda] = ctypes.addressof(guard)
    torch._C._ensureCUDADeviceGuardSet()


@contextlib.contextmanager
def _hooks() -> Iterator[None]:
    """Have torch believe that it was built for CUDA: the backward pass asks which accelerator there
    is before it adds two gradients on it. Of the table of virtual functions a copy is changed:
    isBuilt, isAvailable, hasPrimaryContext and deviceCount are its entries 2, 3, 4 and 6.
    """
    if torch.backends.cuda.is_built():
        yield
        return
    library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
    get = library._ZN2at6detail12getCUDAHooksEv
    get.restype = ctypes.c_void_p
    hooks = ctypes.cast(get(), ctypes.POINTER(ctypes.c_void_p))
    before = hooks[0]
    slots, head = 96, 16  # what lies before the table: the offset to the top, and the type
    table = (ctypes.c_char * (8 * slots + head)).from_buffer_copy(
        ctypes.string_at(before - head, 8 * slots + head)
    )
    entries = ctypes.cast(ctypes.addressof(table) + head, ctypes.POINTER(ctypes.c_void_p))
    kind = ctypes.CFUNCTYPE(ctypes.c_int)
    one, none = kind(lambda: 1), kind(lambda: 0)
    for place, answer in ((2, one), (3, one), (4, none), (6, one)):
        entries[place] = ctypes.cast(answer, ctypes.c_void_p).value
    hooks[0] = ctypes.addressof(table) + head
    try:
        yield
    finally:
        hooks[0] = before
        _kept.extend([table, one, none])


class Pretended(torch.Tensor):
    """A tensor that says it lies on the GPU."""

    inner: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner: torch.Tensor, index: int = 0) -> Pretended:
        with torch.inference_mode(False):  # a view of another tensor would have no version else
            made = torch.Tensor._make_wrapper_subclass(
                cls,
                inner.shape,
                strides=inner.stride(),
                storage_offset=inner.storage_offset(),
                dtype=inner.dtype,
                layout=inner.layout,
                device=torch.device("cuda", index),
                requires_grad=False,
            )
        made.inner = inner
        return made

    def __repr__(self, **_: Any) -> str:
        return f"Pretended({tuple(self.shape)}, {self.dtype})"

    def __deepcopy__(self, memo: dict[int, Any]) -> torch.Tensor:
        made = self.detach().clone()
        if self.requires_grad:
            made.requires_grad_(True)
        memo[id(self)] = made
        return made

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def numpy(self, *_: Any, **__: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first")

    __array__ = numpy

    def data_ptr(self) -> int:  # where it lies: a graph has this and nothing else
        return self.inner.data_ptr()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        gpu = GPU.current
        assert gpu is not None, f"{func} on the pretended GPU after it was taken away"
        return gpu.call(func, args, kwargs or {})


class Generator(RealGenerator):
    """A generator of the device's own."""

    kind: str

    def __new__(cls, device: Any = "cpu") -> Any:
        made = RealGenerator.__new__(cls, device="cpu")
        made.kind = torch.device(device).type
        if made.kind == "cuda":
            GENERATORS[made._cdata] = made
        return made

    def __init__(self, device: Any = "cpu") -> None: ...

    @property
    def device(self) -> torch.device:
        return CUDA if self.kind == "cuda" else torch.device("cpu")


class Stream:
    def __init__(self, device: Any = None, priority: int = 0, **_: Any) -> None:
        assert GPU.current is not None
        index = GPU.current.index_of("cuda" if device is None else device)
        self.device, self.waited = torch.device("cuda", index), set()

    def wait_stream(self, other: Stream) -> None:
        self.waited.add(other)

    def is_capturing(self) -> bool:
        assert GPU.current is not None
        return GPU.current.recording is not None

    def synchronize(self) -> None: ...


class Refused(RuntimeError):
    """What CUDA would refuse."""


@dataclass
class Recorded:
    """An operation with the memory that it works on."""

    func: Any
    leaves: list[Any]
    spec: Any
    out: list[Any]
    writes: bool


class External:
    """Memory that the graph did not take itself: it does not keep it."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.ref = StorageWeakRef(tensor.untyped_storage())
        self.how = (tensor.storage_offset(), tensor.shape, tensor.stride())
        self.dtype = tensor.dtype

    def get(self) -> torch.Tensor:
        storage = torch.UntypedStorage._new_with_weak_ptr(self.ref.cdata)
        if storage is None:
            raise Refused("the graph uses memory that was freed since it was captured")
        return torch.empty(0, dtype=self.dtype).set_(storage, *self.how)


class Graph:
    """What `torch.cuda.CUDAGraph` is, as a list of operations."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.tape: list[Recorded] = []
        self.known: set[int] = set()
        self.own: set[int] = set()  # memory that it took itself, by address of the storage
        self.replays = 0
        self.done = False

    def register_generator_state(self, generator: Any) -> None:
        if generator._cdata not in GENERATORS:
            raise Refused("register_generator_state needs a CUDA generator")
        self.known.add(generator._cdata)

    def reset(self) -> None:
        self.tape.clear()

    def pool(self) -> tuple[int, int]:
        return (0, id(self))

    @torch.no_grad()
    def replay(self) -> None:
        assert GPU.current is not None
        if not self.done:
            raise Refused("replay before the capture has ended")
        GPU.current.replays += 1
        self.replays += 1
        with torch._C._DisableTorchDispatch():
            for step in self.tape:
                leaves = [x.get() if isinstance(x, External) else x for x in step.leaves]
                args, kwargs = tree_unflatten(leaves, step.spec)
                found = step.func(*args, **kwargs)
                if step.writes:
                    continue
                for was, now in zip(step.out, tree_flatten(found)[0], strict=True):
                    if not isinstance(was, torch.Tensor) or not was.numel():
                        continue
                    if was.untyped_storage().data_ptr() != now.untyped_storage().data_ptr():
                        was.copy_(now)

    def remember(self, tensor: torch.Tensor) -> Any:
        own = tensor.untyped_storage().data_ptr() in self.own or not tensor.numel()
        return tensor if own else External(tensor)


@dataclass
class GPU(TorchDispatchMode):
    """The pretended device."""

    free: int = 80 * 2**30
    devices: int = 1
    at: int = 0  # the current device
    calls: Counter[str] = field(default_factory=Counter)
    launches: Counter[str] = field(default_factory=Counter)
    reads: list[str] = field(default_factory=list)
    copies: list[str] = field(default_factory=list)
    baked: list[str] = field(default_factory=list)
    doubles: Counter[str] = field(default_factory=Counter)
    flops: Counter[str] = field(default_factory=Counter)
    log: list[tuple[str, int, Any]] | None = None
    recording: Graph | None = None
    recorded_at: int = 0
    replays: int = 0
    captures: int = 0
    fail_in: int | None = None
    failure: type[Exception] = torch.cuda.OutOfMemoryError
    stuck: set[int] = field(default_factory=set)  # generators of captures that failed

    current = None

    def __post_init__(self) -> None:
        super().__init__()

    def __hash__(self) -> int:
        return id(self)

    def index_of(self, device: Any) -> int:
        if isinstance(device, int):
            return device
        found = torch.device(device).index
        return self.at if found is None else found

    def reset(self) -> None:
        for counted in (self.calls, self.launches, self.doubles):
            counted.clear()
        for listed in (self.reads, self.copies, self.baked):
            listed.clear()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.call(func, args, kwargs or {})

    # --- an operation -------------------------------------------------------------------------

    def call(self, func: Any, args: Any, kwargs: Any) -> Any:
        name = func.overloadpacket.__name__
        leaves, spec = tree_flatten((args, kwargs))
        mine = [x for x in leaves if isinstance(x, Pretended)]
        others = [x for x in leaves if isinstance(x, torch.Tensor) and not isinstance(x, Pretended)]
        asked = kwargs.get("device")
        device = None if asked is None else torch.device(asked)
        on_gpu = bool(mine) if device is None else device.type == "cuda"
        if not mine and not on_gpu:
            return func(*args, **kwargs)
        places = {x.device.index for x in mine}
        index = (
            self.index_of(device) if on_gpu and device is not None else min(places, default=self.at)
        )
        if len(places) > 1 and name != "copy_":
            raise Refused(f"{func}: tensors on cuda:0 and cuda:1")
        if self.recording is not None and on_gpu and name not in FREE and index != self.recorded_at:
            raise Refused(
                f"{name} on cuda:{index}, while a stream of cuda:{self.recorded_at} is captured: "
                "it would not be part of the graph"
            )
        crossing = (bool(mine) and not on_gpu) or (on_gpu and bool(others) and not mine)
        if name == "copy_":
            crossing = bool(others)
            on_gpu = isinstance(args[0], Pretended)
        self._check(func, name, args, kwargs, mine, others, crossing)
        for x in leaves:
            if isinstance(x, RealGenerator):
                if x._cdata not in GENERATORS:
                    raise Refused(
                        f"{name}: expected a 'cuda' device type for generator, found 'cpu'"
                    )
                if x._cdata in self.stuck:
                    raise Refused(f"{name}: the generator is still part of a capture that failed")
                if self.recording is not None and x._cdata not in self.recording.known:
                    raise Refused(f"{name}: a generator that the graph does not know")
        self._count(name, args, mine, crossing)
        inside = [x.inner if isinstance(x, Pretended) else x for x in leaves]
        inner_args, inner_kwargs = tree_unflatten(inside, spec)
        if device is not None:
            inner_kwargs = {**inner_kwargs, "device": torch.device("cpu")}
        wrappers = {id(x.inner): x for x in mine}
        writes = func._schema.is_mutable
        if name in PRODUCTS and _tf32():
            func = _Rounded(func)
        if self.recording is not None and writes:
            self._record(func, inside, leaves, spec, inner_kwargs, [], True)
            return self._written(func, args, kwargs)
        if name == "_to_copy" and crossing:
            inner_kwargs["dtype"] = inner_kwargs.get("dtype") or inside[0].dtype
            found = inner_args[0].to(inner_kwargs["dtype"], copy=True)
        elif self.recording is not None and "batch_norm" in name:
            # It changes the running statistics, which its schema does not say.
            found = func(
                *(x.clone() if isinstance(x, torch.Tensor) else x for x in inner_args),
                **inner_kwargs,
            )
        else:
            found = func(*inner_args, **inner_kwargs)
        if self.recording is not None:
            out = tree_flatten(found)[0]
            for x in out:
                if isinstance(x, torch.Tensor) and not self._aliases(x, inside):
                    self.recording.own.add(x.untyped_storage().data_ptr())
            self._record(func, inside, leaves, spec, inner_kwargs, out, False)
        if not on_gpu:
            return found

        def wrapped(x: Any) -> Any:
            if not isinstance(x, torch.Tensor):
                return x
            return wrappers[id(x)] if id(x) in wrappers else Pretended(x, index)

        return tree_map(wrapped, found)

    def _written(self, func: Any, args: Any, kwargs: Any) -> Any:
        """What an operation in place returns: the tensor that it changes."""
        returned = []
        for place, arg in enumerate(func._schema.arguments):
            if arg.alias_info is not None and arg.alias_info.is_write:
                returned.append(kwargs[arg.name] if arg.name in kwargs else args[place])
        if not func._schema.returns:
            return None
        return returned[0] if len(func._schema.returns) == 1 else tuple(returned)

    @staticmethod
    def _aliases(x: torch.Tensor, inside: list[Any]) -> bool:
        where = x.untyped_storage().data_ptr()
        return any(
            isinstance(y, torch.Tensor) and y.untyped_storage().data_ptr() == where for y in inside
        )

    def _record(
        self,
        func: Any,
        inside: list[Any],
        leaves: list[Any],
        spec: Any,
        kwargs: Any,
        out: list[Any],
        writes: bool,
    ) -> None:
        graph = self.recording
        assert graph is not None
        args, _ = tree_unflatten(inside, spec)
        known = {id(x.inner) for x in leaves if isinstance(x, Pretended)}
        inside, spec = tree_flatten((args, kwargs))
        kept = [
            x
            if not isinstance(x, torch.Tensor)
            else graph.remember(x)
            if id(x) in known
            else x.clone()  # a number of the host: it stays what it is
            for x in inside
        ]
        # A view of outside memory has nothing of its own to write to.
        own = [
            x
            if isinstance(x, torch.Tensor) and x.untyped_storage().data_ptr() in graph.own
            else None
            for x in out
        ]
        graph.tape.append(Recorded(func, kept, spec, own, writes))

    def _check(
        self,
        func: Any,
        name: str,
        args: Any,
        kwargs: Any,
        mine: list[Any],
        others: list[Any],
        crossing: bool,
    ) -> None:
        if self.fail_in is not None and name not in FREE:
            self.fail_in -= 1
            if self.fail_in <= 0:
                self.fail_in = None
                raise self.failure("CUDA out of memory. Tried to allocate 2.00 GiB.")
        stopped = self.recording is not None
        reads = name in READS and bool(mine)
        indices = (
            args[1]
            if name in ("index", "index_put", "index_put_", "_index_put_impl_") and len(args) > 1
            else ()
        )
        for x in indices:
            if isinstance(x, torch.Tensor) and x.dtype in (torch.bool, torch.uint8):
                reads = True
        if reads:
            self.reads.append(name)
            if stopped:
                raise Refused(
                    f"{name} waits for the device: not permitted while a graph is captured"
                )
        if crossing:
            self.copies.append(f"{name} {[tuple(x.shape) for x in mine + others]}")
            if stopped:
                raise Refused(
                    f"{name} between host and device: not permitted while a graph is captured"
                )
            return
        if mine and others:
            by_host = [x for x in others if x.dim()]
            indexed = [x for x in indices if isinstance(x, torch.Tensor)]
            if any(not any(x is y for y in indexed) for x in by_host):
                raise Refused(
                    f"{func}: expected all tensors to be on the same device, but found cuda:0 and "
                    "cpu"
                )
            if by_host:
                self.copies.append(f"{name}, index on the host")
            if stopped and by_host:
                raise Refused(f"{name}: an index on the host, while a graph is captured")
            if stopped:
                self.baked.append(f"{name}: a number of the host, {[x.item() for x in others]}")

    def _count(self, name: str, args: Any, mine: list[Any], crossing: bool) -> None:
        self.calls[name] += 1
        n = 0 if name in FREE or crossing else self._kernels(name, args)
        self.launches[name] += n
        if name in ("mm", "addmm", "bmm"):
            a, b = args[-2:]
            self.flops[f"{tuple(a.shape)} x {tuple(b.shape)}"] += 2 * a.numel() * b.shape[-1]
        if self.log is not None:
            self.log.append((name, n, [tuple(x.shape) for x in mine]))
        if n and any(x.dtype == torch.float64 for x in mine):
            self.doubles[name] += n

    @staticmethod
    def _kernels(name: str, args: Any) -> int:
        if name.startswith("_foreach") or name.startswith("_fused"):
            first = [x for x in args[0] if x.numel()]
            lists = [
                a
                for a in args
                if isinstance(a, list | tuple) and a and isinstance(a[0], torch.Tensor)
            ]
            if name.startswith("_fused"):
                blocks = sum(-(-x.numel() // 65536) for x in first)
                return max(1, -(-blocks // 320), -(-len(first) // 36))
            alike = {(x.dtype, x.device) for each in lists for x in each}
            strides = all(
                x.stride() == y.stride()
                for each in lists
                for x, y in zip(lists[0], each, strict=False)
            )
            if len(alike) > 1 or not strides:
                return len(first)  # one by one
            blocks = sum(-(-x.numel() // 65536) for x in first)
            return max(1, -(-blocks // 320), -(-len(first) // 36))
        return LAUNCHES.get(name, 1)

    # --- torch.cuda ---------------------------------------------------------------------------

    @contextlib.contextmanager
    def graph(self, graph: Graph, at: int) -> Iterator[None]:
        assert self.recording is None
        self.recording, self.recorded_at = graph, at
        self.captures += 1
        try:
            yield
            graph.done = True
        except BaseException:
            self.stuck |= graph.known
            raise
        finally:
            self.recording = None

    def fail_at(self, n: int) -> None:
        """The n-th operation from now on raises `failure`: it finds no memory."""
        self.fail_in = n


@contextlib.contextmanager
def pretended(**options: Any) -> Iterator[GPU]:
    """A GPU for as long as the block lasts."""
    gpu = GPU(**options)
    before, GPU.current = GPU.current, gpu
    main = {i: Stream(i) for i in range(gpu.devices)}
    now = dict(main)  # the current stream of each device

    @contextlib.contextmanager
    def on(device: Any) -> Iterator[None]:
        was, gpu.at = gpu.at, gpu.index_of(device)
        try:
            yield
        finally:
            gpu.at = was

    mine: dict[str, Stream] = {}

    @contextlib.contextmanager
    def switched(one: Stream) -> Iterator[None]:
        was = now[one.device.index]
        now[one.device.index] = one
        try:
            with on(one.device):
                yield
        finally:
            now[one.device.index] = was

    @contextlib.contextmanager
    def graph(one: Graph, pool: Any = None, stream: Any = None, **_: Any) -> Iterator[None]:
        # Without one, a stream of the device that is current at the first capture of all.
        mine.setdefault("stream", Stream()) if stream is None else None
        stream = stream or mine["stream"]
        with gpu.graph(one, stream.device.index), switched(stream):
            known = [g for key, g in list(GENERATORS.items()) if key in one.known]
            states = [g.get_state() for g in known]
            try:
                yield
            finally:
                for g, state in zip(known, states, strict=True):
                    g.set_state(state)  # what is recorded draws nothing

    cuda: dict[str, Any] = {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "device_count": lambda: gpu.devices,
        "current_device": lambda: gpu.at,
        "device": on,
        "set_device": lambda device: setattr(gpu, "at", gpu.index_of(device)),
        "_lazy_init": lambda: None,
        "mem_get_info": lambda *a: (gpu.free, 80 * 2**30),
        "memory_reserved": lambda *a: 0,
        "memory_allocated": lambda *a: 0,
        "max_memory_allocated": lambda *a: 0,
        "reset_peak_memory_stats": lambda *a: None,
        "synchronize": lambda *a: None,
        "empty_cache": lambda: None,
        "Stream": Stream,
        "current_stream": lambda device=None: now[
            gpu.index_of("cuda" if device is None else device)
        ],
        "default_stream": lambda device=None: main[
            gpu.index_of("cuda" if device is None else device)
        ],
        "stream": switched,
        "graph": graph,
        "CUDAGraph": Graph,
        "graph_pool_handle": lambda: (0, 0),
        "is_current_stream_capturing": lambda: gpu.recording is not None,
    }
    _guard()
    with contextlib.ExitStack() as stack:
        stack.enter_context(_hooks())
        for name, value in cuda.items():
            stack.enter_context(mock.patch.object(torch.cuda, name, value))
        stack.enter_context(mock.patch.object(torch, "Generator", Generator))
        stack.enter_context(
            mock.patch.object(
                torch.accelerator, "current_accelerator", return_value=torch.device("cuda")
            )
        )
        stack.enter_context(
            mock.patch.object(
                torch.accelerator, "current_stream", side_effect=lambda *_: now[gpu.at]
            )
        )
        kinds = _foreach_utils._foreach_supported_types
        kinds.append(Pretended)
        stack.callback(lambda: kinds.remove(Pretended))
        # `.to` gives a parameter its new data; that of another class has to change places with it.
        moved = torch.nn.Module._apply

        def apply(module: torch.nn.Module, fn: Any, recurse: bool = True) -> torch.nn.Module:
            swap = torch.__future__.get_swap_module_params_on_conversion()
            torch.__future__.set_swap_module_params_on_conversion(True)
            try:
                return moved(module, fn, recurse)
            finally:
                torch.__future__.set_swap_module_params_on_conversion(swap)

        stack.enter_context(mock.patch.object(torch.nn.Module, "_apply", apply))
        lift = torch._C._only_lift_cpu_tensors()
        torch._C._set_only_lift_cpu_tensors(True)
        stack.callback(lambda: torch._C._set_only_lift_cpu_tensors(lift))
        stack.enter_context(torch.autograd.set_multithreading_enabled(False))
        stack.callback(lambda: setattr(GPU, "current", before))
        stack.enter_context(gpu)
        yield gpu
