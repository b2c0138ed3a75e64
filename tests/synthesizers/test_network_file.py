"""The file of a network: what it tells, and what becomes of one that somebody has edited."""

from __future__ import annotations

import copy
import json
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

import synthgen
from synthgen import CTGAN, TVAE, TabFlow
from synthgen.errors import ModelFileError
from synthgen.synthesizers.network import NetworkSynthesizer
from synthgen.training.model_file import read_model, write_model

KINDS = {
    "ctgan": (CTGAN, {"pac": 2, "scope": "all"}),
    "tvae": (TVAE, {"scope": "adapt"}),
    "tabflow": (TabFlow, {"solver_steps": 2, "scope": "class"}),
}
BAD: list[Any] = [None, -1, 10**9, 10**400, 1e308, float("nan"), "", "x", [], {}, True, [1], 0.5]


def table() -> tuple[pd.DataFrame, pd.Series]:
    """Every kind of column, and classes of 60, 40, 20, 4, 2 and 0 rows."""
    rng = np.random.default_rng(0)
    y = np.repeat(["common", "rare", "other", "four rows", "two rows"], [60, 40, 20, 4, 2])
    X = pd.DataFrame(
        {
            "amount": rng.normal(size=len(y)),
            "count": rng.integers(0, 1000, len(y)),
            "level": rng.integers(0, 3, len(y)),
            "kind": pd.Categorical(rng.choice(["a", "b"], len(y))),
            "flag": rng.random(len(y)) < 0.5,
            "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 500, len(y)), "D"),
            "id": np.arange(len(y)) + 1000,
            "note": [f"text number {i} of some length" for i in range(len(y))],
        }
    )
    X.loc[::7, "amount"] = np.nan
    return X, pd.Series(pd.Categorical(y, categories=[*dict.fromkeys(y), "no rows"]), name="y")


def fitted(name: str, **params: Any) -> NetworkSynthesizer:
    make, own = KINDS[name]
    X, y = table()
    model = make(steps=3, batch_size=20, random_state=0, device="cpu", **own)
    return model.set_params(**({"classes": ["rare", "other"]} | params)).fit(X, y)


def saved(model: NetworkSynthesizer, path: Path, **how: Any) -> tuple[dict[str, Any], dict]:
    model.save(path, **how)
    return read_model(path)


# --- a file that was edited and signed again ------------------------------------------------------


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value of a header."""
    yield at
    inside = value.items() if isinstance(value, dict) else ()
    inside = enumerate(value[:2]) if isinstance(value, list) else inside
    for key, entry in inside:
        yield from places(entry, (*at, key))


def edited(header: dict[str, Any], at: tuple[Any, ...], value: Any) -> dict[str, Any]:
    out = copy.deepcopy(header)
    owner = out
    for key in at[:-1]:
        owner = owner[key]
    owner[at[-1]] = value
    return out


def assert_finite(rows: pd.DataFrame) -> None:
    numbers = rows.select_dtypes("number").to_numpy(dtype=np.float64)
    assert not np.isinf(numbers).any()


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", KINDS)
def test_an_edited_header_is_refused_or_makes_finite_rows(
    name: str, every: int, tmp_path: Path
) -> None:
    model = fitted(name)
    header, tensors = saved(model, tmp_path / "m")
    ways = [way for way in places(header) if way]
    assert len(ways) > 100
    before, failed, codes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, [], set()
    for i, way in enumerate(ways):
        for value in BAD[i % every :: every]:
            began = time.process_time()
            try:
                found = type(model).from_file(edited(header, way, value), tensors, "cpu")
                assert_finite(found.sample(3, random_state=0))
            except ModelFileError as error:
                codes.add(error.code)
            except Exception as error:
                failed.append(f"{way} = {str(value)[:20]}: {error!r:.200}")
            assert time.process_time() - began < 5
    assert not failed
    assert codes == {418}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


@pytest.mark.parametrize("name", KINDS)
def test_an_edited_array_is_refused(name: str, tmp_path: Path) -> None:
    model = fitted(name)
    header, tensors = saved(model, tmp_path / "m")
    for key, array in tensors.items():
        if not array.size or array.dtype.kind != "f":
            continue
        for value in (np.nan, np.inf, -np.inf):
            wrong = array.copy()
            wrong.reshape(-1)[-1] = value
            with pytest.raises(
                ModelFileError, match=r"not a finite number: it was changed"
            ) as caught:
                type(model).from_file(header, tensors | {key: wrong}, "cpu")
            assert caught.value.code == 418
    for key in tensors:
        for others in (
            {k: v for k, v in tensors.items() if k != key},
            tensors | {key: np.zeros(1)},
        ):
            with pytest.raises(ModelFileError) as caught:
                type(model).from_file(header, others, "cpu")
            assert caught.value.code == 418


def test_weights_beyond_all_bounds_are_refused(tmp_path: Path) -> None:
    model = fitted("tabflow")
    header, tensors = saved(model, tmp_path / "m")
    huge = {k: v * 0 + 3e38 if "/sampler/" in k else v for k, v in tensors.items()}
    with pytest.raises(ModelFileError, match="a network of infinite numbers"):
        TabFlow.from_file(header, {k: v.astype(tensors[k].dtype) for k, v in huge.items()}, "cpu")


def test_the_error_names_the_file_the_place_and_the_value(tmp_path: Path) -> None:
    header, tensors = saved(fitted("tvae"), tmp_path / "m")
    header["models"][0]["n_labels"] = 10**9
    write_model(tmp_path / "edited", header, tensors)
    for load in (synthgen.load, TVAE.load):
        with pytest.raises(ModelFileError) as caught:
            load(tmp_path / "edited")
        assert caught.value.message.startswith(
            f"{tmp_path / 'edited'}: this file's models[0].n_labels is 1000000000, not a whole "
            "number from 1 to"
        )
        assert caught.value.code == 418


def test_a_number_that_is_none_in_the_header_is_refused(tmp_path: Path) -> None:
    """Python reads NaN in JSON; a file holds none."""
    header, tensors = saved(fitted("tvae"), tmp_path / "m")
    with pytest.MonkeyPatch.context() as patch:
        dumps = json.dumps
        patch.setattr(json, "dumps", lambda *a, **k: dumps(*a, **(k | {"allow_nan": True})))
        header["params"]["learning_rate"] = float("nan")
        write_model(tmp_path / "edited", header, tensors)
    with pytest.raises(ModelFileError, match="header is 'NaN', not of finite numbers") as caught:
        synthgen.load(tmp_path / "edited")
    assert caught.value.code == 418


# --- classes that few rows hold -------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_no_class_of_fewer_than_five_rows_is_named(name: str, tmp_path: Path) -> None:
    model = fitted(name)
    notes = model.save(tmp_path / "m")
    header, _ = read_model(tmp_path / "m")
    for hidden in ("four rows", "two rows", "no rows"):
        assert hidden.encode() not in (tmp_path / "m").read_bytes()
    assert header["target"]["categories"] == ["common", "rare", "other"]
    assert header["counts"] == [60, 40, 20]
    assert header["other_classes"] == {"classes": 3, "rows": 5}
    assert [n for n in notes if n.startswith("y: ")] == [
        "y: 3 of 6 classes have fewer than 5 rows; the file counts them as other classes, without "
        "their names"
    ]
    loaded = synthgen.load(tmp_path / "m", device="cpu")
    assert loaded.classes_ == ("rare", "other")
    assert loaded.counts_ == {"common": 60, "rare": 40, "other": 20}
    rows = loaded.sample(50, label="other", random_state=1)
    assert set(rows["y"]) == {"other"}
    assert rows["y"].cat.categories.tolist() == ["common", "rare", "other"]
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "m").read_bytes()


def test_class_names_are_kept_on_demand(tmp_path: Path) -> None:
    header, _ = saved(fitted("tvae"), tmp_path / "m", keep_class_names=True)
    assert header["target"]["categories"][3:] == ["four rows", "two rows", "no rows"]
    assert header["counts"] == [60, 40, 20, 5, 5, 0]
    assert "other_classes" not in header
    assert synthgen.load(tmp_path / "m").sample(3, label="rare", random_state=0).shape == (3, 9)


def test_counts_are_rounded(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"amount": rng.normal(size=1236 + 23)})
    y = np.repeat(["common", "rare"], [1236, 23])
    model = TVAE(steps=2, scope="class", random_state=0).fit(X, y)
    notes = model.save(tmp_path / "m")
    header, _ = read_model(tmp_path / "m")
    assert header["counts"] == [1200, 25]
    assert header["models"][0]["rows"] == 25
    assert notes[0].endswith("in place of about 25 values")


def levels_of(rows: dict[str, str]) -> tuple[pd.DataFrame, np.ndarray]:
    """A table of one column of levels: the levels of each class, one letter for each row."""
    kinds = [level for levels in rows.values() for level in levels]
    return pd.DataFrame({"kind": kinds}), np.repeat([*rows], [len(v) for v in rows.values()])


@pytest.mark.parametrize(("name", "buffer"), [("ctgan", "frequencies"), ("tabflow", "prior")])
def test_exact_shares_of_levels_are_in_no_file(name: str, buffer: str, tmp_path: Path) -> None:
    """Tables that differ in a row of a level, or of a class of two rows, cannot be told apart."""
    found = []
    for a, b, c, d, few in ((31, 12, 2, 1, "cd"), (29, 11, 1, 3, "ab"), (30, 9, 4, 1, "ab")):
        X, y = levels_of(
            {"common": "a" * 200 + "b" * 100, "rare": "a" * a + "b" * b + "c" * c + "d" * d}
            | {"two rows": few}
        )
        make, own = KINDS[name]
        model = make(**own, steps=1, batch_size=10, device="cpu", random_state=0)
        model.set_params(scope="all", classes=["rare"]).fit(X, y)
        _, tensors = saved(model, tmp_path / "m")
        found.append(tensors[f"0/sampler/{buffer}"])
        loaded = synthgen.load(tmp_path / "m", device="cpu")
        assert set(loaded.sample(300, label="rare", random_state=0)["kind"]) <= {"a", "b", "c", "d"}
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_frequencies_in_a_file_follow_the_five_row_rule(tmp_path: Path) -> None:
    X, y = levels_of(
        {"common": "a" * 50 + "b" * 50, "rare": "a" * 12 + "b" * 27 + "c", "two": "cc"}
    )
    model = CTGAN(scope="all", classes=["rare"], steps=1, device="cpu", random_state=0).fit(X, y)
    _, tensors = saved(model, tmp_path / "m")
    frequencies = tensors["0/sampler/frequencies"].reshape(3, 3)
    expected = [[50 / 100, 1, 1], [1 + 10 / 35, 2, 2], [2 + 1 / 3, 2 + 2 / 3, 3]]
    np.testing.assert_allclose(frequencies, expected)


@pytest.mark.parametrize("name", ["ctgan", "tvae", "tabflow"])
def test_the_exact_number_of_rows_is_in_no_file(name: str, tmp_path: Path) -> None:
    found = []
    for rows in (123, 124):
        rng = np.random.default_rng(0)
        X = pd.DataFrame({"amount": rng.normal(size=2 * rows)})
        make, own = KINDS[name]
        model = make(**own, steps=1, batch_size=10, device="cpu", random_state=0)
        model.set_params(scope="class").fit(X, np.repeat(["common", "rare"], rows))
        header, tensors = saved(model, tmp_path / "m")
        told = {k: v for k, v in tensors.items() if k.endswith(("grid", "limits"))}
        assert len(told) == 1 + (name == "ctgan")
        found.append((header["counts"], header["models"][0]["rows"], told))
    assert found[0][:2] == found[1][:2]
    for key, array in found[0][2].items():
        np.testing.assert_array_equal(array, found[1][2][key])


@pytest.mark.parametrize("rare", [True, False])
@pytest.mark.parametrize("dtype", ["bool", "boolean", "object"])
def test_a_truth_value_that_one_row_holds_is_left_out(
    rare: bool, dtype: str, tmp_path: Path
) -> None:
    X, y = table()
    X["flag"] = pd.array([not rare] * len(X), dtype=cast(Any, dtype))
    X.loc[60, "flag"] = rare  # a row of the class
    model = TVAE(classes=["rare"], steps=2, random_state=0).fit(X, y)
    notes = model.save(tmp_path / "m")
    header, _ = read_model(tmp_path / "m")
    [flag] = [
        entry["column"]
        for entry in header["models"][0]["encoder"]["columns"]
        if entry["column"]["name"] == "flag"
    ]
    assert flag["categories"] == [not rare]
    assert "flag: 1 of 2 values were seen in fewer than 5 rows and left out" in notes
    rows = synthgen.load(tmp_path / "m").sample(200, label="rare", random_state=0)
    assert set(rows["flag"]) == {not rare}
    assert rows["flag"].dtype == X["flag"].dtype
