"""The one file that a trained model is: whole or refused, and nothing in it is ever run."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synthgen import load
from synthgen.errors import ModelFileError, OutputError, SynthgenError
from synthgen.training.model_file import read_model, write_model

HEADER = {"class": "CTGAN", "note": "é", "numbers": [1, 2.5, None]}
TENSORS = {
    "a/weight": np.arange(12, dtype=np.float32).reshape(3, 4),
    "b": np.array(7, dtype=np.int64),
    "c": np.linspace(0, 1, 5),
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.synthgen"
    write_model(path, HEADER, TENSORS)
    return path


def refused(path: Path, data: bytes) -> ModelFileError:
    path.write_bytes(data)
    with pytest.raises(ModelFileError) as caught:
        read_model(path)
    assert str(path) in caught.value.message
    return caught.value


SIGNED = '{"class": "CTGAN"}'


def safetensors(header: object, tail: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + tail


def signed(header: str, tensors: Mapping[str, object], tail: bytes = b"") -> bytes:
    """A file with a right checksum, as somebody who means harm would make it."""
    metadata = {"format": "synthgen", "version": "1", "sha256": "0" * 64, "header": header}
    data = safetensors({"__metadata__": metadata, **tensors}, tail)
    return data.replace(b"0" * 64, hashlib.sha256(data).hexdigest().encode(), 1)


def test_round_trip(model: Path) -> None:
    header, tensors = read_model(model)
    assert header == HEADER
    assert tensors.keys() == TENSORS.keys()
    for name, array in TENSORS.items():
        assert tensors[name].dtype == array.dtype
        assert tensors[name].shape == array.shape
        assert np.array_equal(tensors[name], array)


def test_the_same_model_is_the_same_bytes(model: Path) -> None:
    first = model.read_bytes()
    write_model(model, HEADER, dict(reversed(TENSORS.items())))
    assert model.read_bytes() == first


def test_every_flipped_bit_is_refused(model: Path) -> None:
    data = model.read_bytes()
    for place in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            refused(model, bytes(changed))


def test_every_truncation_and_addition_is_refused(model: Path) -> None:
    data = model.read_bytes()
    for length in range(len(data)):
        refused(model, data[:length])
    refused(model, data + b"\0")


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"a,b\n1,2\n", np.random.default_rng(0).bytes(2000), b"\0" * 5000]
)
def test_what_is_no_model_is_refused(tmp_path: Path, data: bytes) -> None:
    refused(tmp_path / "m", data)


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_never_opened(tmp_path: Path, protocol: int) -> None:
    data = pickle.dumps(Bomb(tmp_path / "ran"), protocol=protocol)
    error = refused(tmp_path / "m.synthgen", data)
    if protocol >= 2:
        assert error.code == 414
        assert "could run code" in error.message
    assert not (tmp_path / "ran").exists()


def test_a_zip_is_never_opened(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z", "w") as file:
        file.writestr("data.pkl", pickle.dumps(Bomb(tmp_path / "ran")))
    assert refused(tmp_path / "z", (tmp_path / "z").read_bytes()).code == 414
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("start", [b"\x80\x04", b"\x80\x02", b"PK"])
def test_a_model_that_begins_like_a_pickle_or_zip_is_read(tmp_path: Path, start: bytes) -> None:
    """The first bytes are the length of the header, and it may be theirs by chance."""
    (length,) = struct.unpack("<H", start)
    path = tmp_path / "m"
    write_model(path, {"class": ""}, {})
    shorter = struct.unpack("<Q", path.read_bytes()[:8])[0]
    header = {"class": "x" * (length - shorter)}
    write_model(path, header, {})
    assert path.read_bytes().startswith(start)
    assert read_model(path) == (header, {})


def test_a_checksum_among_the_texts_is_no_checksum(tmp_path: Path) -> None:
    header = {"class": "CTGAN", "levels": ["0" * 64, '"' + "0" * 64 + '"']}
    write_model(tmp_path / "m", header, {"0" * 64: np.zeros(3)})
    assert read_model(tmp_path / "m")[0] == header


def test_arrays_are_stored_as_they_are(tmp_path: Path) -> None:
    square = np.arange(12).reshape(3, 4)
    tensors = {
        "turned": square.T,
        "sparse": square[::2, ::3],
        "big end": square.astype(">i4"),
        "empty": np.zeros((0, 3), dtype=np.float16),
        "flags": np.array([True, False]),
        "scalar": np.float32(1.5) * np.ones(()),
        "bytes": np.arange(3, dtype=np.uint8),
    }
    write_model(tmp_path / "m", {"class": "CTGAN"}, {k: np.asarray(v) for k, v in tensors.items()})
    _, again = read_model(tmp_path / "m")
    for name, array in tensors.items():
        assert again[name].shape == np.shape(array)
        assert again[name].dtype == np.asarray(array).dtype.newbyteorder("=")
        np.testing.assert_array_equal(again[name], array)


def test_texts_and_numbers_of_numpy_are_stored(tmp_path: Path) -> None:
    header = {"class": "CTGAN", "text": "\ud800\0é", "n": np.int64(3), "rate": np.float32(0.5)}
    write_model(tmp_path / "m", header, {})
    assert read_model(tmp_path / "m")[0] == header | {"n": 3, "rate": 0.5}


@pytest.mark.parametrize(
    ("header", "tensors", "code"),
    [
        ({"class": "A", "loss": float("nan")}, {}, 421),
        ({"class": "A", "date": object()}, {}, 421),
        ({"class": "A"}, {"a": np.array(["text"])}, 421),
        ({"class": "A"}, {"a": np.array([None])}, 421),
        ({"class": "A" * (17 * 2**20)}, {}, 422),
        ({"class": "A"}, {f"t{i}": np.zeros(0) for i in range(10_001)}, 422),
    ],
)
def test_what_could_not_be_read_again_is_not_written(
    model: Path, header: dict[str, Any], tensors: dict[str, np.ndarray], code: int
) -> None:
    before = model.read_bytes()
    with pytest.raises(ModelFileError) as caught:
        write_model(model, header, tensors)
    assert caught.value.code == code
    assert model.read_bytes() == before


def test_a_header_of_100_mb_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "m", struct.pack("<Q", 100 * 2**20) + b"{" + b" " * 1000)
    refused(tmp_path / "m", safetensors(b"{" + b" " * (100 * 2**20) + b"}"))


def test_too_many_tensors_are_refused(tmp_path: Path) -> None:
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    assert (
        refused(tmp_path / "m", signed(SIGNED, {f"t{i}": empty for i in range(500_000)})).code
        == 417
    )
    assert (
        refused(tmp_path / "m", signed(SIGNED, {f"t{i}": empty for i in range(10_001)})).code == 416
    )


@pytest.mark.parametrize(
    "tensors",
    [
        {"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 8]}},
        {"a": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}},
        {"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}},
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 80]}},
        {
            "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
            "b": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]},
        },
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}},
        {"a": {"dtype": "X7", "shape": [2], "data_offsets": [0, 8]}},
        {"a": "no tensor"},
    ],
    ids=["overflow", "negative", "short", "beyond", "overlap", "hole", "dtype", "text"],
)
def test_impossible_tensors_are_refused(tmp_path: Path, tensors: dict[str, object]) -> None:
    good = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
    (tmp_path / "m").write_bytes(signed(SIGNED, good, b"\0" * 8))
    assert read_model(tmp_path / "m")[1]["a"].tolist() == [0, 0], "only the tensors are wrong"
    refused(tmp_path / "m", signed(SIGNED, tensors, b"\0" * 8))


@pytest.mark.parametrize(
    "header",
    ["{}", "[]", "3", "", "{", '{"class": 3}', '{"class": "A", "class": "B"}', "[" * 100_000],
    ids=["no class", "list", "number", "empty", "broken", "no text", "twice", "deep"],
)
def test_an_impossible_header_is_refused(tmp_path: Path, header: str) -> None:
    assert refused(tmp_path / "m", signed(header, {})).code == 417


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format", "other"),
        ("format", None),
        ("version", "x"),
        ("version", "0"),
        pytest.param("version", "9" * 5000, id="long"),
        ("version", 1),
        pytest.param("sha256", "\ud800" * 64, id="surrogates"),
        ("sha256", "0" * 63),
        ("sha256", "A" * 64),
        ("sha256", None),
        ("header", {}),
    ],
)
def test_impossible_metadata_are_refused(tmp_path: Path, key: str, value: object) -> None:
    metadata = {"format": "synthgen", "version": "1", "sha256": "0" * 64, "header": SIGNED}
    data = safetensors({"__metadata__": metadata | {key: value}})
    if key != "sha256":
        data = data.replace(b"0" * 64, hashlib.sha256(data).hexdigest().encode(), 1)
    refused(tmp_path / "m", data)
    for other in ([], "text", None, {"__metadata__": 3}, {"__metadata__": []}, {}):
        refused(tmp_path / "m", safetensors(other))
    # The checksum is there, but written in another way than it can be looked up.
    refused(tmp_path / "m", signed(SIGNED, {}).replace(b'"sha256": "', b'"sha256": "\\u0061'))


def test_a_key_twice_is_refused(tmp_path: Path) -> None:
    twice = b'{"__metadata__": {"format": "synthgen"}, "__metadata__": {"format": "synthgen"}}'
    refused(tmp_path / "m", safetensors(twice))


def test_a_newer_format_says_what_to_do(model: Path) -> None:
    data = model.read_bytes().replace(b'"version":"1"', b'"version":"9"')
    error = refused(model, data)
    assert error.code == 415
    assert "install a newer synthgen" in error.message


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no such file: check the path"):
        read_model(tmp_path / "nothing")
    with pytest.raises(ModelFileError, match="is a folder"):
        read_model(tmp_path)
    with pytest.raises(ModelFileError, match="cannot be read"):
        read_model(tmp_path / "a\0b")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelFileError, match="is a pipe or a device"):
        read_model(tmp_path / "pipe")


def mutated(data: bytes, seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    out = bytearray(data)
    for _ in range(rng.integers(1, 6)):
        place = int(rng.integers(len(out)))
        match rng.integers(3):
            case 0:
                out[place] = int(rng.integers(256))
            case 1:
                del out[place : place + int(rng.integers(1, 30))]
            case _:
                out[place:place] = rng.bytes(int(rng.integers(1, 30)))
    return bytes(out)


@pytest.mark.parametrize("tries", [100, pytest.param(2000, marks=pytest.mark.slow)])
def test_no_altered_model_loads(model: Path, tries: int) -> None:
    data = model.read_bytes()
    for seed in range(tries):
        changed = mutated(data, seed)
        if changed != data:
            refused(model, changed)


def test_a_fault_while_writing_leaves_the_old_file(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = model.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for fault in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, fault, full)
            with pytest.raises((OutputError, SynthgenError)):
                write_model(model, {"class": "TVAE"}, TENSORS)
        assert model.read_bytes() == before
        assert [p.name for p in model.parent.iterdir()] == [model.name]


@pytest.mark.parametrize("name", ["hypothyroid", "hypothyroid_trees"])
def test_golden_models_still_make_rows(name: str):
    path = Path(__file__).resolve().parents[2] / "models" / f"{name}.synthgen"
    model = load(path, device="cpu")
    rows = model.sample(300, label="hypothyroid", random_state=0)
    assert (rows["target"] == "hypothyroid").all()
    assert list(rows.columns[:3]) == ["age", "sex", "on_thyroxine"]
    assert set(rows["sex"].dropna()) == {"F", "M"}
    # 5.3 to 400 in the table; of the rare class the thyroid makes too little T4 and much TSH.
    assert 25 < rows["TT4"].median() < 60
    assert rows["TSH"].median() > 20
