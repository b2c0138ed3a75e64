"""One safe file for a trained model: safetensors, a JSON header, a checksum over every byte. Never pickle."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from synthgen.errors import ModelFileError
from synthgen.files import atomic_write

FORMAT_VERSION = 1
MAX_FILE, MAX_HEADER, MAX_TENSORS = 4 * 2**30, 16 * 2**20, 10_000
_EMPTY = "0" * 64


def write_model(path: str | os.PathLike[str], header: dict[str, Any], tensors: dict[str, np.ndarray]) -> None:
    """Write `header` and `tensors`; the old file survives every fault.

    Args:
        path: Where to; by convention it ends in ``.synthgen``.
        header: Plain JSON values, with at least ``class``.
        tensors: Arrays by name.
    """
    metadata = {
        "format": "synthgen",
        "version": str(FORMAT_VERSION),
        "sha256": _EMPTY,
        "header": json.dumps(header, allow_nan=False),
    }
    data = save_tensors({k: np.array(v, order="C") for k, v in tensors.items()}, metadata=metadata)
    place = data.index(_EMPTY.encode())
    digest = hashlib.sha256(data).hexdigest().encode()
    with atomic_write(Path(path)) as file:
        file.write(data[:place])
        file.write(digest)
        file.write(data[place + len(digest) :])


def read_model(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Check a model file, then give its header and tensors. No code in it is run.

    Raises:
        ModelFileError: it is missing, damaged in any bit, too large, newer than this version, or no model at all.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise ModelFileError(411, f"{path} is a folder, not a model file")
        if size > MAX_FILE:
            raise ModelFileError(412, f"{path} has {size:,} bytes: a model file has at most {MAX_FILE:,}")
        data = path.read_bytes()
    except OSError as error:
        raise ModelFileError(413, f"{path}: cannot read the model file: {error.strerror or error}") from error
    metadata = _checked_metadata(path, data)
    digest = metadata["sha256"]
    place = data.index(digest.encode())
    blank = hashlib.sha256(data[:place])
    blank.update(_EMPTY.encode())
    blank.update(memoryview(data)[place + 64 :])
    if blank.hexdigest() != digest:
        raise _damaged(path, "its checksum does not match")
    try:
        header = json.loads(metadata["header"])
        return header, load_tensors(data)
    except Exception as error:  # only a file that carries a right checksum of wrong content comes here
        raise _damaged(path, str(error)) from error


def _checked_metadata(path: Path, data: bytes) -> dict[str, str]:
    if len(data) < 10:
        raise _damaged(path, f"it has {len(data)} bytes")
    (length,) = struct.unpack("<Q", data[:8])
    if data[:2] == b"\x80\x04" or data[:2] == b"PK":
        raise ModelFileError(414, f"{path} is a pickle or zip, not a synthgen model: it is not opened, since it can run code")
    if length > min(MAX_HEADER, len(data) - 8):
        raise _damaged(path, f"its header claims {length:,} bytes")
    try:
        header = json.loads(data[8 : 8 + length].decode("utf-8"), object_pairs_hook=_no_twins)
        metadata = header.pop("__metadata__")
        if metadata.pop("format") != "synthgen" or not all(isinstance(v, str) for v in metadata.values()):
            raise ValueError("it is of another program")
        version, digest = int(metadata["version"]), metadata["sha256"]
        if len(digest) != 64 or "header" not in metadata:
            raise ValueError("it has no checksum")
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise _damaged(path, str(error)) from error
    if version > FORMAT_VERSION:
        raise ModelFileError(
            415, f"{path} has format {version}, this synthgen reads up to {FORMAT_VERSION}: install a newer synthgen"
        )
    if len(header) > MAX_TENSORS:
        raise ModelFileError(416, f"{path} lists {len(header):,} tensors: a model has at most {MAX_TENSORS:,}")
    return metadata


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key appears twice")
    return found


def _damaged(path: Path, why: str) -> ModelFileError:
    return ModelFileError(417, f"{path} is no intact synthgen model file: {why}. Copy it again, or train again")
