"""Checks of a classifier's file, a zip archive, before anything in it is unpacked."""

from __future__ import annotations

import io
import json
import math
import os
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from synthgen.encoding.matrix import Matrix
from synthgen.encoding.stored import Stored, unreadable, wrong
from synthgen.errors import DataError, ModelFileError
from synthgen.report.answer import Recommendation
from synthgen.tables.disk import read_bytes

# A forest of 200 deep trees on a million rows takes about 1 GiB.
MAX_UNPACKED = 2 * 2**30
MAX_SCHEMA = 256 * 2**20
MAX_MEMBERS = 100_000


def read_archive(path: str | os.PathLike[str]) -> bytes:
    """Read the bytes of a classifier's file, and check its archive."""
    try:
        data = read_bytes(path, limit=MAX_UNPACKED)
    except DataError as error:
        raise ModelFileError(432, error.message) from error
    check_archive(data, str(path))
    return data


def is_classifier(path: str | os.PathLike[str]) -> bool:
    """Whether a file is an archive written by skops; files of torch are zip archives, too."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return "schema.json" in archive.namelist()


def check_archive(data: bytes, what: str) -> None:
    """Check the unpacked size of an archive, and that each array is as large as its header says."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            total = sum(member.file_size for member in members)
            if total > MAX_UNPACKED or len(members) > MAX_MEMBERS:
                raise ModelFileError(
                    436,
                    f"{what}: its {len(members):,} parts unpack to {total:,} bytes, but those of a "
                    f"file of synthgen auto to at most {MAX_UNPACKED:,}: check where it comes from",
                )
            for member in members:
                if member.filename.endswith(".npy"):
                    with archive.open(member) as file:
                        _check_array(file, member.file_size)
                elif member.filename != "schema.json" or member.file_size > MAX_SCHEMA:
                    raise ValueError(f"it has an unexpected part {member.filename!r}")
            named = re.findall(rb'"file": "([^"]*)"', archive.read("schema.json"))
            own = [member.filename for member in members]
            if sorted(own) != sorted({"schema.json", *(name.decode() for name in named)}):
                raise ValueError("its parts are not those that its schema.json names")
    except ModelFileError:
        raise
    except Exception as error:  # a damaged archive fails in any of many ways
        raise ModelFileError(
            433, f"{what} is damaged, or was not written by synthgen auto: {error}"
        ) from error


def _check_array(file: IO[bytes], size: int) -> None:
    """Reject an array whose header states another size than it has."""
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    shape, _, dtype = read[npy.read_magic(file)](file)
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != size - file.tell():
        raise ValueError(f"an array of shape {shape} and type {dtype} has {size:,} bytes")


def check_content(content: Mapping[str, Any], known: Matrix, n_classes: int) -> None:
    """Check that the values of a file are allowed and that its classifier can predict a row."""
    Stored(content["threshold"], "threshold").number(0, 1)
    Stored(content["rare"], "rare").whole(0, n_classes - 1)
    Stored(content["n_features"], "n_features").whole(1)
    order = np.asarray(content["order"])
    if order.dtype.kind != "i" or sorted(order.tolist()) != list(range(n_classes)):
        raise wrong("order", order.tolist(), f"the numbers from 0 to {n_classes - 1}")
    advice = json.loads(Stored(content["recommendation"], "recommendation").text())
    names = [field.name for field in fields(Recommendation)]
    if not isinstance(advice, dict) or sorted(advice) != sorted(names):
        raise wrong("recommendation", advice, f"a table with {', '.join(names)}")
    for name in names:
        Stored(advice[name], name).text()
    names = _names(content, "names")
    n_features, columns = content["n_features"], [column.name for column in known.columns]
    if names and (len(names) != n_features or not {*columns} <= {*names}):
        raise wrong("names", names, f"{n_features} names with those of the columns, {columns}")
    if len(columns) > n_features:
        raise wrong("columns", columns, f"at most {n_features}")
    members = _names(content, "members")
    target = json.loads(Stored(content["target"], "target").text())
    if not isinstance(target, str | None):
        raise wrong("target", target, "the name of a column, or null")
    fitted = content["fitted"]
    shift = np.asarray(fitted.average.shift)
    if shift.dtype.kind != "f" or len(shift) < n_classes or not (shift > 0).all():
        raise wrong("shift", shift.tolist(), f"{n_classes} numbers above 0")
    try:
        found = fitted.predict_proba(np.full((1, len(columns)), np.nan))
    except Exception as error:  # an edited classifier fails in any of many ways
        raise unreadable(error) from error
    if not (np.isfinite(found) & (found >= 0)).all():
        raise wrong("classifier", found.tolist(), "one that gives probabilities")
    _check_fitted(fitted.average, known, members)


def _names(content: Mapping[str, Any], what: str) -> list[str]:
    """A list of different texts in a file."""
    names = json.loads(Stored(content[what], what).text())
    texts = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not texts or len({*names}) < len(names):
        raise wrong(what, names, "a list of different names")
    return names


def _check_fitted(average: Any, known: Matrix, members: Sequence[str]) -> None:
    """Check that an average has a classifier for each member, of columns of the stored kinds."""
    models, is_level = average.model.models, np.asarray(average.coder.is_level)
    if not isinstance(models, list) or len(models) != len(members):
        raise wrong("members", members, "one name for each classifier of the average")
    if not np.array_equal(is_level, known.is_level):
        raise wrong("kinds of columns", is_level.tolist(), f"{known.is_level.tolist()}")
