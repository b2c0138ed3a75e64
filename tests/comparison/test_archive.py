"""The archive of a classifier's file: refused before it is unpacked."""

from __future__ import annotations

import io
import json
import os
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from skops.io import dumps, loads

from synthgen import ImbalancedClassifier
from synthgen.comparison import archive
from synthgen.comparison.classifier_file import TRUSTED
from synthgen.errors import ModelFileError


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    rng = np.random.default_rng(0)
    y = np.repeat(["no", "yes"], [60, 15])
    X = pd.DataFrame({"dose": rng.normal(size=75), "sex": rng.choice(["f", "m"], 75)})
    model = ImbalancedClassifier(members=["logistic"], random_state=0)
    path = tmp_path_factory.mktemp("auto") / "model.skops"
    model.fit(X, y).save(path)
    return path.read_bytes()


def refused(path: Path, data: bytes) -> ModelFileError:
    path.write_bytes(data)
    began = time.process_time()
    with pytest.raises(ModelFileError) as caught:
        ImbalancedClassifier.load(path)
    assert time.process_time() - began < 5
    assert str(path) in caught.value.message
    return caught.value


def packed(parts: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in parts.items():
            file.writestr(name, data)
    return buffer.getvalue()


def unpacked(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return {name: file.read(name) for name in file.namelist()}


def test_a_small_file_that_unpacks_to_much_is_refused(
    whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAX_UNPACKED", 40 * 2**20)
    data = packed(unpacked(whole) | {"zeros.npy": bytes(50 * 2**20)})
    assert len(data) < 2**20
    error = refused(tmp_path / "m", data)
    assert error.code == 436
    assert "unpack to 5" in error.message


def test_an_array_that_claims_more_than_it_holds_is_refused(whole: bytes, tmp_path: Path) -> None:
    parts = unpacked(whole)
    arrays = [name for name in parts if name.endswith(".npy")]
    assert arrays
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)}
    )
    for name in arrays:
        assert refused(tmp_path / "m", packed(parts | {name: header.getvalue()})).code == 433


def test_other_parts_pipes_and_folders_are_refused(whole: bytes, tmp_path: Path) -> None:
    assert refused(tmp_path / "m", packed(unpacked(whole) | {"more.npz": b""})).code == 433
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(ModelFileError, match=r"this is a (pipe|folder)"):
            ImbalancedClassifier.load(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("threshold", value) for value in (-0.1, 1.5, float("nan"), 1e308, "x", None, True)),
        *(("rare", value) for value in (-1, 2, 10**9, "x")),
        *(("order", value) for value in (np.array([0, 0]), np.array([0.5, 1]), np.zeros(0))),
        ("n_features", -1),
        *(("members", value) for value in (3, "3", "no json", "[]", '["a", "b"]', '["a", "a"]')),
        *(("names", value) for value in ('["dose"]', '["dose", "age"]', '["sex", "sex"]', "3")),
        *(("target", value) for value in (3, "3", "[1]", "no json")),
    ],
)
def test_values_that_no_file_has_are_refused(
    whole: bytes, tmp_path: Path, name: str, value: Any
) -> None:

    content: dict[str, Any] = loads(whole, trusted=TRUSTED)
    data = dumps(content | {name: value})
    error = refused(tmp_path / "m", data)
    assert error.code in (418, 433)
    if name == "threshold":
        assert error.code == 418
        assert "this file's threshold is" in error.message


def test_columns_of_other_kinds_than_the_members_were_fitted_on_are_refused(
    whole: bytes, tmp_path: Path
) -> None:
    content: dict[str, Any] = loads(whole, trusted=TRUSTED)
    columns = json.loads(content["columns"])
    dose, sex = columns["columns"]
    assert (dose["kind"], sex["kind"]) == ("numeric", "categorical")
    for forged in ([sex, dose], [dose | {"name": "sex"}, sex | {"name": "dose"}, dose]):
        data = dumps(content | {"columns": json.dumps(columns | {"columns": forged})})
        assert refused(tmp_path / "m", data).code in (418, 433)


def test_parts_that_the_schema_does_not_name_are_refused(whole: bytes, tmp_path: Path) -> None:
    parts = unpacked(whole)
    array = next(name for name in parts if name.endswith(".npy"))
    for forged in (parts | {"other.npy": parts[array]}, {"9.npy": parts.pop(array), **parts}):
        error = refused(tmp_path / "m", packed(forged))
        assert error.code == 433
        assert "not those that its schema.json names" in error.message
    twice = io.BytesIO(whole)
    with zipfile.ZipFile(twice, "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr(array, unpacked(whole)[array])
    assert refused(tmp_path / "m", twice.getvalue()).code == 433


@pytest.mark.parametrize("edit", [{"shift": np.array([np.nan, 1])}, {"coder": None}])
def test_a_classifier_that_cannot_predict_is_refused(
    whole: bytes, tmp_path: Path, edit: dict[str, Any]
) -> None:

    content: dict[str, Any] = loads(whole, trusted=TRUSTED)
    content["fitted"].average.set_params(**edit)
    assert refused(tmp_path / "m", dumps(content)).code == 418


def test_a_file_is_read_as_it_was_written(whole: bytes, tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(whole)
    model = ImbalancedClassifier.load(tmp_path / "m")
    assert model.predict_proba(pd.DataFrame({"dose": [1.0], "sex": ["f"]})).shape == (1, 2)
    assert json.loads(unpacked(whole)["schema.json"])


def test_a_file_of_an_older_version_is_refused_in_words(whole: bytes, tmp_path: Path) -> None:
    parts = unpacked(whole)
    new = b'"__module__": "synthgen.comparison.parts"'
    assert new in parts["schema.json"]
    old = parts["schema.json"].replace(new, b'"__module__": "synthgen.judges"')
    error = refused(tmp_path / "m", packed(parts | {"schema.json": old}))
    assert error.code == 434
    assert "from another version of synthgen" in error.message
    assert "run synthgen auto again" in error.message
