"""The file format of a trained model: safetensors with a JSON header and a checksum of all bytes.

A model file contains no pickle and no code. The same model always gives the same bytes. The
`safetensors` library reads and checks files. This module writes them itself, because the library
orders the metadata at random.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load as load_tensors

from synthgen.encoding.stored import CODE, unreadable, wrong
from synthgen.errors import DataError, ModelFileError
from synthgen.tables.disk import atomic_write, read_bytes

FORMAT_VERSION = 1
MAX_FILE, MAX_HEADER, MAX_TENSORS = 4 * 2**30, 16 * 2**20, 10_000
_EMPTY = "0" * 64
_CODES = {311: 411, 356: 412}  # error code for a model file, by the code for any file
_DTYPES = {
    "bool": "BOOL",
    **{f"uint{bits}": f"U{bits}" for bits in (8, 16, 32, 64)},
    **{f"int{bits}": f"I{bits}" for bits in (8, 16, 32, 64)},
    **{f"float{bits}": f"F{bits}" for bits in (16, 32, 64)},
}


def write_model(
    path: str | os.PathLike[str], header: dict[str, Any], tensors: dict[str, np.ndarray]
) -> None:
    """Write a model file; if writing fails, an existing file stays as it was."""
    try:
        text = json.dumps(header, allow_nan=False, default=_plain_number)
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelFileError(421, f"{path}: the model cannot be written ({error})") from error
    # The checksum is the first value of the file, so that its position is known.
    metadata = {
        "sha256": _EMPTY,
        "format": "synthgen",
        "version": str(FORMAT_VERSION),
        "header": text,
    }
    described: dict[str, Any] = {"__metadata__": metadata}
    blocks, end = [], 0
    for name, array in sorted(tensors.items(), key=lambda item: (-item[1].itemsize, item[0])):
        if array.dtype.name not in _DTYPES:
            raise ModelFileError(
                421, f"{path}: array {name!r} is {array.dtype}, which a model file cannot hold"
            )
        block = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C").tobytes()
        start, end = end, end + len(block)
        described[name] = {
            "dtype": _DTYPES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [start, end],
        }
        blocks.append(block)
    head = json.dumps(described, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    if len(head) > MAX_HEADER or 8 + len(head) + end > MAX_FILE or len(blocks) > MAX_TENSORS:
        raise ModelFileError(
            422,
            f"{path}: the model has {len(blocks):,} arrays, {len(head):,} bytes of names and "
            f"categories and {end:,} of numbers; a file holds at most {MAX_TENSORS:,}, "
            f"{MAX_HEADER:,} and {MAX_FILE:,} in all: leave out columns with many categories",
        )
    head = struct.pack("<Q", len(head)) + head
    digest = hashlib.sha256(head)
    for block in blocks:
        digest.update(block)
    with atomic_write(Path(path)) as file:
        file.write(head.replace(_EMPTY.encode(), digest.hexdigest().encode(), 1))
        for block in blocks:
            file.write(block)


def read_model(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Check a model file, then read its header and its tensors. No code in it is run."""
    path = Path(path)
    try:
        data = read_bytes(path, limit=MAX_FILE)
    except DataError as error:
        raise ModelFileError(_CODES.get(error.code, 413), error.message) from error
    metadata, place = _checked_metadata(path, data)
    digest = hashlib.sha256(data[:place])
    digest.update(_EMPTY.encode())
    digest.update(memoryview(data)[place + len(_EMPTY) :])
    if digest.hexdigest() != metadata["sha256"]:
        raise _damaged(path, "its checksum does not match")
    try:
        header = json.loads(
            metadata["header"], object_pairs_hook=_no_twins, parse_constant=_no_constant
        )
        if not isinstance(header, dict) or not isinstance(header.get("class"), str):
            raise ValueError("it names no class")
        return header, load_tensors(data)
    except ModelFileError as error:
        raise ModelFileError(error.code, f"{path}: {error.message}") from error
    except Exception as error:  # the checksum is right, but the content is invalid
        raise _damaged(path, str(error)) from error


def _checked_metadata(path: Path, data: bytes) -> tuple[dict[str, str], int]:
    """Read the metadata, and find the position of the checksum in the bytes of the file."""
    if len(data) < 10:
        raise _damaged(path, f"it has {len(data)} bytes")
    (length,) = struct.unpack_from("<Q", data)
    if length > min(MAX_HEADER, len(data) - 8):
        if (data[0] == 0x80 and data[1] <= 5) or data.startswith(b"PK"):
            raise ModelFileError(
                414,
                f"{path} is a pickle or zip, not a synthgen model. It is not opened, because that "
                "could run code: train again with synthgen",
            )
        if b"\0" not in data[:8]:  # in a real length, most of the eight bytes are 0
            raise ModelFileError(
                411, f"{path} is not a synthgen model: give a file that synthgen fit wrote"
            )
        raise _damaged(path, f"its header claims {length:,} bytes")
    try:
        header = json.loads(data[8 : 8 + length].decode("utf-8"), object_pairs_hook=_no_twins)
        metadata = header.pop("__metadata__")
        texts = all(isinstance(value, str) for value in metadata.values())
        if not texts or metadata["format"] != "synthgen":
            raise ValueError("another program wrote it")
        version, digest = int(metadata["version"]), metadata["sha256"].encode("ascii")
        place = data.find(b'"' + digest + b'"', 8, 8 + length) + 1
        if len(digest) != len(_EMPTY) or not place or "header" not in metadata or version < 1:
            raise ValueError("it has no checksum, no header or no version")
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise _damaged(path, str(error)) from error
    if version > FORMAT_VERSION:
        raise ModelFileError(
            415,
            f"{path} has format {version}, but this synthgen reads formats up to {FORMAT_VERSION}: "
            "install a newer synthgen",
        )
    if len(header) > MAX_TENSORS:
        raise ModelFileError(
            416,
            f"{path} lists {len(header):,} tensors, but a model has at most {MAX_TENSORS:,}: check "
            "that this is the right file",
        )
    return metadata, place


def _plain_number(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} has no JSON form")


def _no_constant(name: str) -> Any:
    raise wrong("header", name, "of finite numbers")


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key appears twice")
    return found


def _damaged(path: Path, why: str) -> ModelFileError:
    return ModelFileError(
        417,
        f"{path} is damaged, or not a synthgen model file: {why}. Copy it again, or train again",
    )


def check_arrays(module: torch.nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    """Check that the arrays of a file fit a network."""
    wanted = module.state_dict()
    for name in sorted(wanted.keys() | state.keys()):
        found, due = (_described(arrays.get(name)) for arrays in (state, wanted))
        if found != due:
            raise wrong(f"array {name!r}", found, due)


def _described(array: torch.Tensor | None) -> str:
    return "absent" if array is None else f"{array.dtype} of shape {tuple(array.shape)}"


@contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Add the path of the file to an error about one of its values."""
    try:
        yield
    except ModelFileError as error:
        if error.code != CODE:
            raise
        raise ModelFileError(CODE, f"{path}: {error.message}") from error


@contextmanager
def building_model() -> Iterator[None]:
    """Replace any exception in the block by a `ModelFileError`: the values make no valid model."""
    try:
        yield
    except ModelFileError:
        raise
    except Exception as error:
        raise unreadable(error) from error


def under(arrays: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Select the arrays whose names begin with `prefix`, and remove it from their names."""
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
