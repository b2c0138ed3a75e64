"""Tables to tensors and back: exact where it says so, inside the schema for any tensor, private
in files.
"""

# Odd input is what is tested here: the stubs of pandas are not asked about it.
# pyright: reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportOperatorIssue=false, reportOptionalOperand=false

from __future__ import annotations

import json
import math
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from synthgen.encoding.columns import KNOTS, MAX_LEVELS
from synthgen.encoding.disclosure import PRIVATE_ROWS, coarsened
from synthgen.encoding.encoder import Encoder
from synthgen.encoding.layout import Encoded
from synthgen.encoding.unlearned import unlearned
from synthgen.errors import DataError, ModelFileError
from synthgen.tables.column import LEVELS, NUMBERS, Column
from synthgen.tables.schema import Schema
from synthgen.tables.table import as_frame

RNG = np.random.default_rng


def fitted(frame: pd.DataFrame, rows: slice | np.ndarray | None = None, **given) -> Encoder:
    schema = Schema.infer(frame, **given)
    return Encoder.fit(frame if rows is None else frame.iloc[rows], schema.columns)


def there_and_back(encoder: Encoder, frame: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    return encoder.inverse_transform(encoder.transform(frame, RNG(seed)))


def at_random(encoder: Encoder, rows: int, seed: int, spread: float = 3.0) -> Encoded:
    rng = RNG(seed)
    codes = [rng.integers(0, width, rows) for width in encoder.widths]
    numbers = rng.normal(scale=spread, size=(rows, encoder.n_numbers))
    return Encoded(
        torch.from_numpy(numbers.astype(np.float32)),
        torch.from_numpy(np.array(codes, dtype=np.int64).reshape(len(codes), rows).T.copy()),
    )


def assert_well_formed(encoder: Encoder, encoded: Encoded, rows: int) -> None:
    numbers, codes = encoded.numbers.numpy(), encoded.codes.numpy()
    assert numbers.shape == (rows, encoder.n_numbers)
    assert codes.shape == (rows, len(encoder.widths))
    assert numbers.dtype == np.float32
    assert codes.dtype == (np.uint8 if max(encoder.widths, default=0) <= 256 else np.int16)
    assert np.isfinite(numbers).all()
    assert ((codes >= 0) & (codes < np.array(encoder.widths, dtype=np.int64))).all()
    for i, code in enumerate(encoder.scale_code):
        if code >= 0:
            assert (numbers[codes[:, code] > 0, i] == 0).all()


def assert_inside(column: Column, made: pd.Series, seen: pd.Series) -> None:
    """`made` satisfies the schema, and has nothing that `seen`, the fitted rows, does not allow."""
    if isinstance(column.dtype, pd.CategoricalDtype) and column.kind in ("id", "text"):
        assert isinstance(made.dtype, pd.CategoricalDtype)
    else:
        assert made.dtype == column.dtype
    if column.kind in ("id", "text"):
        assert not made.isin(seen[seen != ""]).any()
        return
    if not seen.isna().any():
        assert not made.isna().any()
    if column.kind in LEVELS:
        codes = set(column.codes(made)) - {-1}
        assert codes <= set(column.codes(seen))
    elif column.kind in NUMBERS:
        values, gone = column.numbers(made)
        known, unknown = column.numbers(seen)
        values, known = values[~gone], known[~unknown]
        if not len(values):
            return
        assert known.min() <= values.min()
        assert values.max() <= known.max()
        if column.step:
            above = values.view(np.uint64) - np.int64(column.lower).view(np.uint64)
            assert not (above % np.uint64(column.step)).any()
        if column.decimals is not None:
            narrow = made.dtype if made.dtype == "float32" else "float64"
            assert (np.round(values, column.decimals).astype(narrow) == values.astype(narrow)).all()
    else:
        assert made.isna().all()


# --- frames of every kind -------------------------------------------------------------------------

WORDS = ["a", "b", "", " c", "None", "\U0001f9ec", "a\nb", "ü" * 40]


def _cells(values: st.SearchStrategy, dtype: str | None = None, *, missing: bool = True):
    def series(rows: int):
        cell = st.one_of(st.none(), values) if missing else values
        return st.lists(cell, min_size=rows, max_size=rows).map(
            lambda found: pd.Series(found, dtype=dtype or object)
        )

    return series


def _few(values: list, dtype: str | None = None, *, missing: bool = True):
    return _cells(st.sampled_from(values), dtype, missing=missing)


def _drawn(make):
    """A long column from a seed: hypothesis is slow at drawing hundreds of cells."""

    def series(rows: int):
        return st.integers(0, 2**32 - 1).map(lambda seed: pd.Series(make(RNG(seed), rows)))

    return series


DAYS = np.datetime64("1900-01-01", "s") + np.arange(60_000) * np.timedelta64(86_400, "s")
EXACT = {
    "categories": _few(WORDS),
    "strings": _few(WORDS, "string"),
    "arrow strings": _few(WORDS, "string[pyarrow]"),
    "categorical": _drawn(
        lambda r, n: pd.Categorical.from_codes(r.integers(-1, 3, n), list("cbad"))
    ),
    "ordered": _drawn(
        lambda r, n: pd.Categorical.from_codes(r.integers(-1, 3, n), [3, 1, 2, 0], ordered=True)
    ),
    "bool": _few([True, False], "bool", missing=False),
    "boolean": _few([True, False], "boolean"),
    "object bool": _few([True, False]),
    "few integers": _few([-(2**63), 2**63 - 1, 0, 5], "Int64"),
    "Int64": _cells(st.integers(-(2**63), 2**63 - 1), "Int64"),
    "int64": _drawn(lambda r, n: r.integers(-(2**63), 2**63 - 1, n)),
    "odd": _drawn(lambda r, n: r.integers(2**53, 2**60, n) * 2 + 1),
    "counts": _drawn(lambda r, n: r.poisson(3, n).astype("int16")),
    "steps": _drawn(lambda r, n: r.integers(0, 500, n) * 25 - 3),
    "whole floats": _drawn(lambda r, n: np.where(r.random(n) < 0.3, np.nan, r.integers(0, 999, n))),
    "prices": _drawn(lambda r, n: r.lognormal(3, 1, n).round(2)),
    "float32": _drawn(lambda r, n: r.normal(size=n).round(1).astype("float32")),
    "spiked": _drawn(lambda r, n: np.where(r.random(n) < 0.9, 0, r.normal(size=n).round(3))),
    "Float64": _drawn(lambda r, n: pd.array(r.integers(0, 99, n) / 8, dtype="Float64")),
    "days": _drawn(lambda r, n: r.choice(DAYS, n)),
    "zoned": _drawn(
        lambda r, n: (
            pd.Series(r.choice(DAYS[:9], n)).dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")
        )
    ),
    "spans": _drawn(lambda r, n: pd.to_timedelta(r.integers(-(10**9), 10**9, n), unit="ms")),
    "dates": _drawn(
        lambda r, n: pd.Series(r.choice(DAYS[:999], n).astype("datetime64[D]").astype(object))
    ),
    "constant": _few(["x"], missing=False),
    "missing": _few([None]),
}
ROUNDED = {
    "normal": _drawn(lambda r, n: r.normal(size=n)),
    "lognormal": _drawn(lambda r, n: r.lognormal(0, 6, n)),
    "huge": _drawn(lambda r, n: r.uniform(-1, 1, n) * 1.7e308),
    "tiny": _drawn(lambda r, n: r.uniform(1, 9, n) * 1e-300),
    "narrow": _drawn(lambda r, n: r.uniform(1, 9, n).astype("float32")),
    "half spiked": _drawn(lambda r, n: np.where(r.random(n) < 0.5, -1.0, r.normal(size=n))),
    "floats": _cells(st.floats(allow_infinity=False), "float64", missing=False),
}
FREE = {
    "id": _drawn(lambda r, n: r.permutation(n) + 5),
    "name": _drawn(lambda r, n: [f"user{i}" for i in r.permutation(n)]),
    "text": _drawn(lambda r, n: [f"this is text number {i}" for i in r.permutation(n)]),
}
NAMES = [0, 1, "x", "", " x", ("a", 1), ("a",), 2.5, "target", "ü"]


@st.composite
def frames(draw, kinds: dict, rows=(1, 2, 3, 9, 40)) -> pd.DataFrame:
    size = draw(st.sampled_from(rows))
    chosen = draw(st.lists(st.sampled_from(list(kinds)), min_size=1, max_size=4))
    names = draw(st.permutations(NAMES))[: len(chosen)]
    series = [draw(kinds[kind](size)) for kind in chosen]
    return as_frame(series, list(names), size)


@given(frames(EXACT), st.integers(0, 99))
def test_what_is_exact_comes_back(frame, seed):
    encoder = fitted(frame)
    encoded = encoder.transform(frame, RNG(seed))
    assert_well_formed(encoder, encoded, len(frame))
    learned = [c.name for c in encoder.columns if c.kind not in ("id", "text")]
    place = [list(frame.columns).index(name) for name in learned]
    got, wanted = encoder.inverse_transform(encoded).iloc[:, place], frame.iloc[:, place]
    assert isinstance(got.index, pd.RangeIndex)
    pd.testing.assert_frame_equal(got, wanted, check_exact=True)


@settings(max_examples=30)
@given(frames(EXACT | ROUNDED, rows=(1500, 4000)), st.integers(0, 99))
def test_long_columns_come_back_to_within_a_share_of_a_knot(frame, seed):
    """Above 1000 rows not each value is a knot."""
    assert_close(frame, seed)


@given(frames(ROUNDED, rows=(1, 2, 3, 9, 40, 400)), st.integers(0, 99))
def test_floats_come_back_to_within_a_share_of_a_knot(frame, seed):
    assert_close(frame, seed)


def assert_close(frame, seed):
    encoder = fitted(frame)
    got = there_and_back(encoder, frame, seed)
    for i, column in enumerate(encoder.columns):
        real, made = frame.iloc[:, i], got.iloc[:, i]
        assert made.dtype == real.dtype
        if column.kind not in NUMBERS:
            if column.kind not in ("id", "text"):
                pd.testing.assert_series_equal(made, real)
            continue
        assert (made.isna() == real.isna()).all()
        values, gone = column.numbers(real)
        decoded, _ = column.numbers(made)
        values, decoded = values[~gone], decoded[~gone]
        if column.kind == "numeric":
            off = np.abs(decoded / 2 - values / 2) * 2
            reach = widest_gap(values) * 1e-4
            reach += 0 if column.decimals is None else 10.0**-column.decimals
            assert (off <= reach + np.abs(values) * 2e-7 * (real.dtype == "float32")).all()
        else:
            lower = np.minimum(values, decoded).view(np.uint64)
            off = np.maximum(values, decoded).view(np.uint64) - lower
            gap = widest_gap(values.astype(np.float64))
            # Exact unless 5,000 steps lie between two knots.
            assert (off <= (0 if gap <= 5000 * column.step else gap * 1e-4 + column.step)).all()


def widest_gap(values: np.ndarray) -> float:
    """An upper bound of the distance between two knots, halved so as not to overflow."""
    ordered = np.sort(values)
    stride = max(1, -(-len(ordered) // (KNOTS - 1)))
    if len(ordered) <= KNOTS:
        return float((np.diff(ordered / 2).max() if len(ordered) > 1 else 0) * 2e-9)
    return float((ordered[stride:] / 2 - ordered[:-stride] / 2).max() * 2)


@settings(max_examples=150)
@given(frames(EXACT | ROUNDED | FREE, rows=(1, 2, 3, 25, 60, 300)), st.integers(0, 99), st.data())
def test_any_tensor_decodes_to_what_the_fitted_rows_allow(frame, seed, data):
    size = data.draw(st.sampled_from([1, len(frame) // 2, len(frame)]), label="fitted rows")
    fit = RNG(seed).permutation(len(frame))[: max(1, size)]
    encoder = fitted(frame, fit)
    assert_well_formed(encoder, encoder.transform(frame, RNG(seed)), len(frame))
    for made in (
        encoder.inverse_transform(at_random(encoder, 50, seed)),
        there_and_back(encoder, frame, seed),
    ):
        assert list(made.columns) == list(frame.columns)
        assert isinstance(made.index, pd.RangeIndex)
        for i, column in enumerate(encoder.columns):
            assert_inside(column, made.iloc[:, i], frame.iloc[fit, i])


@given(frames(EXACT | ROUNDED | FREE), st.integers(0, 9))
def test_state_is_all_of_it(frame, seed):
    encoder = fitted(frame)
    described, arrays = encoder.state()
    again = Encoder.from_state(json.loads(json.dumps(described, allow_nan=False)), arrays)
    assert again.columns == encoder.columns
    assert again.widths == encoder.widths
    assert again.scale_code == encoder.scale_code
    rows = at_random(encoder, 30, seed)
    pd.testing.assert_frame_equal(again.inverse_transform(rows), encoder.inverse_transform(rows))
    one, other = encoder.transform(frame, RNG(seed)), again.transform(frame, RNG(seed))
    assert torch.equal(one.numbers, other.numbers)
    assert torch.equal(one.codes, other.codes)


# --- single promises ------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [50, 900, 20_000])
@pytest.mark.parametrize("draw", ["lognormal", "uniform", "exponential", "standard_cauchy"])
def test_numbers_are_about_standard_normal(draw, rows):
    values = {"lognormal": lambda r: r.lognormal(0, 6, rows)}.get(
        draw, lambda r: getattr(r, draw)(size=rows)
    )
    encoder = fitted(pd.DataFrame({"x": values(RNG(0))}))
    numbers = encoder.transform(pd.DataFrame({"x": values(RNG(0))}), RNG(1)).numbers.numpy()[:, 0]
    assert abs(numbers.mean()) < 0.01
    assert abs(numbers.std() - 1) < 0.06
    quartiles = np.quantile(numbers, [0.25, 0.5, 0.75])
    np.testing.assert_allclose(quartiles, [-0.6745, 0, 0.6745], atol=0.06)


def test_integers_with_ties_are_about_standard_normal():
    frame = pd.DataFrame({"x": RNG(0).poisson(900, 20_000)})
    assert frame["x"].nunique() > MAX_LEVELS
    encoder = fitted(frame)
    numbers = encoder.transform(frame, RNG(1)).numbers.numpy()[:, 0]
    assert abs(numbers.std() - 1) < 0.03
    assert len(np.unique(numbers)) > 5000, "values that fill several knots are spread"
    pd.testing.assert_frame_equal(there_and_back(encoder, frame), frame)


def test_few_values_are_levels_and_many_a_number():
    few = pd.DataFrame({"x": np.arange(640) % MAX_LEVELS})
    assert (fitted(few).widths, fitted(few).n_numbers) == ([MAX_LEVELS], 0)
    many = pd.DataFrame({"x": np.arange(1290) % (MAX_LEVELS + 1)})
    assert (fitted(many).widths, fitted(many).n_numbers) == ([], 1)


def test_spikes_and_missing_cells_are_codes():
    values = RNG(0).normal(size=1000)
    values[:400], values[400:700] = 0.0, np.nan
    frame = pd.DataFrame({"x": values, "y": ["a", "b"] * 500})
    encoder = fitted(frame)
    assert encoder.widths == [3, 2]
    assert encoder.scale_code == [0]
    encoded = encoder.transform(frame, RNG(0))
    codes = encoded.codes[:, 0].numpy()
    assert (codes[:400] == 1).all()
    assert (codes[400:700] == 2).all()
    assert (codes[700:] == 0).all()
    assert (encoded.numbers[:700] == 0).all()
    # The spike is no place on the scale, too.
    on_scale = at_random(encoder, 2000, 0)
    on_scale.codes[:, 0] = 0
    assert (encoder.inverse_transform(on_scale)["x"] != 0).all()


def test_the_share_of_zeros_is_no_matter():
    values = np.zeros(2000)
    values[:10] = RNG(0).lognormal(0, 6, 10)
    frame = pd.DataFrame({"x": values})
    pd.testing.assert_frame_equal(there_and_back(fitted(frame), frame), frame)


def test_what_was_never_seen_maps_into_the_known_range():
    frame = pd.DataFrame(
        {
            "level": ["a"] * 60 + ["b"] * 30 + ["c"] * 10,
            "number": np.arange(100) / 7,
            "few": [1, 2] * 45 + [2**62] * 10,
            "hole": [0.5, 0.25, 0.75, 1.5, 9.5] * 18 + [np.nan] * 10,
        }
    )
    encoder = fitted(frame, slice(0, 90))
    got = there_and_back(encoder, frame).iloc[90:]
    assert (got["level"] == "a").all()
    assert (got["number"] == frame["number"].iloc[89]).all()
    assert (got["few"] == 2).all()
    assert not got["hole"].isna().any()
    below = pd.DataFrame({"level": ["b"], "number": [-5.0], "few": [-(2**62)], "hole": [-1.0]})
    assert there_and_back(encoder, below).iloc[0].to_list() == ["b", 0.0, 1, 0.25]
    with pytest.raises(DataError, match="column 'level', row 0: 'z' was not seen"):
        encoder.transform(below.assign(level="z"), RNG(0))
    with pytest.raises(DataError, match="no column 'few', which was learned: add or rename"):
        encoder.transform(below.drop(columns="few"), RNG(0))


def test_columns_may_come_in_another_order_with_others_and_another_dtype():
    frame = pd.DataFrame({"a": [1, 2, 3] * 20, "b": np.arange(60) / 8, "c": ["x", "y"] * 30})
    encoder = fitted(frame)
    other = frame.assign(d=1, a=frame["a"].astype("Int64"), c=frame["c"].astype("category"))
    got = there_and_back(encoder, other[["d", "c", "b", "a"]].set_index(np.arange(60)[::-1]))
    pd.testing.assert_frame_equal(got, frame)


def test_a_column_that_is_missing_within_the_fitted_rows():
    frame = pd.DataFrame(
        {"x": [np.nan] * 30 + [1.5] * 30, "y": [None] * 30 + ["a"] * 15 + ["b"] * 15}
    )
    encoder = fitted(frame, slice(0, 30))
    assert (encoder.n_numbers, encoder.widths) == (0, [])
    got = there_and_back(encoder, frame)
    assert got.isna().all(axis=None)
    assert got.dtypes.tolist() == frame.dtypes.tolist()


def test_a_constant_with_unused_levels_is_the_constant():
    frame = pd.DataFrame({"x": pd.Categorical(["b"] * 9, ["a", "b"])})
    pd.testing.assert_frame_equal(there_and_back(fitted(frame), frame), frame)


@pytest.mark.parametrize("rows", [1, 2])
def test_tables_of_one_and_two_rows(rows):
    frame = pd.DataFrame(
        {
            "a": [1.5, 2.5][:rows],
            "b": ["x", "y"][:rows],
            "c": [2**62 + 1, -5][:rows],
            "d": [True, False][:rows],
        }
    )
    encoder = fitted(frame)
    pd.testing.assert_frame_equal(there_and_back(encoder, frame), frame)
    assert set(encoder.inverse_transform(at_random(encoder, 99, 0))["c"]) == set(frame["c"])


def test_no_rows_can_be_encoded():
    frame = pd.DataFrame({"a": np.arange(40) / 7, "b": ["x", "y"] * 20})
    encoder = fitted(frame)
    got = there_and_back(encoder, frame.iloc[:0])
    assert got.shape == (0, 2)
    assert got.dtypes.tolist() == frame.dtypes.tolist()


def test_what_is_not_learned_leaves_nothing():
    frame = pd.DataFrame(
        {
            "key": np.arange(1000, 1050),
            "code": [f"user{i}" for i in range(50)],
            "note": [f"a note on case number {i}" for i in range(50)],
            "kind": pd.Categorical([f"a note on case number {i}" for i in range(50)]),
        }
    )
    schema = Schema.infer(frame).to_json()
    schema["columns"][3]["kind"] = "text"
    encoder = Encoder.fit(frame, Schema.infer(frame, given=Schema.from_json(schema)).columns)
    assert (encoder.n_numbers, encoder.widths) == (0, [])
    got = encoder.inverse_transform(at_random(encoder, 80, 0))
    assert got["key"].tolist() == list(range(1050, 1130))
    assert got["code"].iloc[0] == "synthetic-000001"
    assert (got["note"] == "").all()
    assert list(got["kind"].cat.categories) == [""]


def test_the_same_generator_gives_the_same_numbers():
    frame = pd.DataFrame({"x": RNG(0).poisson(900, 3000)})
    encoder = fitted(frame)
    before = frame.copy()
    one, other = encoder.transform(frame, RNG(5)).numbers, encoder.transform(frame, RNG(5)).numbers
    assert torch.equal(one, other)
    assert not torch.equal(one, encoder.transform(frame, RNG(6)).numbers)
    pd.testing.assert_frame_equal(frame, before)


def test_rows_are_sliced_and_joined():
    frame = pd.DataFrame({"x": np.arange(30) / 7, "y": ["a", "b"] * 15})
    rows = fitted(frame).transform(frame, RNG(0))
    assert len(rows) == 30
    again = Encoded.cat([rows[:10], rows[torch.arange(10, 30)]])
    assert torch.equal(again.numbers, rows.numbers)
    assert torch.equal(again.codes, rows.codes)


def test_no_python_code_runs_for_each_row():
    """As many calls for 20,000 rows as for 2,000: the work on rows is numpy's and pandas'."""
    rng = RNG(0)

    def table(rows):
        return pd.DataFrame(
            {
                "a": rng.normal(size=rows),
                "b": rng.lognormal(3, 1, rows).round(2),
                "c": rng.integers(0, 10**6, rows),
                "d": rng.choice(["x", "y", "z"], rows),
                "e": pd.Categorical(rng.choice(["x", "y", "z"], rows)),
                "f": pd.array(rng.integers(0, 99, rows), dtype="Int64"),
                "g": rng.random(rows) < 0.5,
                "h": pd.Timestamp("2020-01-01")
                + pd.to_timedelta(rng.integers(0, 10**6, rows), unit="s"),
                "i": np.where(rng.random(rows) < 0.5, np.nan, rng.normal(size=rows)),
                "j": np.where(rng.random(rows) < 0.5, 0, rng.normal(size=rows)),
            }
        )

    calls = []
    for rows in (2_000, 20_000):
        frame = table(rows)
        schema = Schema.infer(frame)
        count = 0

        def counted(*_):
            nonlocal count
            count += 1

        sys.setprofile(counted)
        try:
            encoder = Encoder.fit(frame, schema.columns)
            encoder.inverse_transform(encoder.transform(frame, rng))
        finally:
            sys.setprofile(None)
        calls.append(count)
    assert calls[1] < 1.2 * calls[0], calls


# --- what a file may hold -------------------------------------------------------------------------


def stored(encoder: Encoder) -> list:
    """Every number and text of the encoder's file."""
    described, arrays = encoder.state()
    found = [v for array in arrays.values() for v in array.tolist()]

    def walk(value):
        if isinstance(value, dict):
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)
        else:
            found.append(value)

    walk(described)
    return found


def rare_values(column: Column, series: pd.Series) -> set:
    """What fewer than 5 rows hold."""
    if column.kind in NUMBERS:
        values, gone = column.numbers(series)
        values = values[~gone]
    elif column.kind in ("id", "text"):
        return set(series)
    else:
        values = series[~series.isna()].astype(object).to_numpy()
    counts = pd.Series(values).value_counts()
    return set(counts.index[counts < PRIVATE_ROWS])


def coarse_of(frame, rows=None):
    encoder = fitted(frame, rows)
    coarse, notes = coarsened(encoder, frame)
    assert coarse.widths == encoder.widths
    assert coarse.scale_code == encoder.scale_code
    assert coarse.n_numbers == encoder.n_numbers
    described, arrays = coarse.state()
    return Encoder.from_state(json.loads(json.dumps(described, allow_nan=False)), arrays), notes


@settings(max_examples=150)
@given(frames(EXACT | ROUNDED | FREE, rows=(30, 60, 300, 1500)), st.integers(0, 99), st.booleans())
@example(pd.DataFrame({"x": [5] * 29 + [1234567]}), 0, False)
@example(pd.DataFrame({"x": [0.0, 0.0, 0.0, *list(np.arange(57) * 5.0 + 5)]}), 0, False)
@example(pd.DataFrame({"x": [*list(np.arange(59) * 5 + 1), 10**15]}), 0, False)
@example(pd.DataFrame({"x": [0] * 40 + [10**6, 2 * 10**6] + list(range(7, 18))}), 0, False)
def test_no_file_holds_what_few_rows_tell(frame, seed, part):
    """As an attacker: neither the least nor the greatest value, nor a name, that fewer than 5
    rows hold.
    """
    fit = RNG(seed).permutation(len(frame))[: len(frame) // 2 if part else len(frame)]
    try:
        coarse, notes = coarse_of(frame, fit)
    except ModelFileError as error:
        if error.code != 405 or "drop the column" not in error.message:
            raise
        return
    assert all(": " in note for note in notes)
    for i, column in enumerate(coarse.columns):
        series = frame.iloc[:, i]
        original = Schema.infer(frame).columns[i]
        one = Encoder((column,), (coarse.parts[i],))
        values = stored(one)
        texts = {v for v in values if isinstance(v, str)} - {
            column.name,
            column.kind,
            column.reason,
            column.empty,  # how a missing cell is written, such as "None"
        }
        if original.kind in NUMBERS:
            known, gone = original.numbers(series)
            known = known[~gone]
            for extreme in (known.min(), known.max()):
                if (known == extreme).sum() < PRIVATE_ROWS:
                    # A grid, a code or a step may happen to be the same number.
                    assert extreme not in [
                        v for v in limits_of(one) if isinstance(v, int | float)
                    ], f"{extreme} of {original}"
        elif original.kind in LEVELS and original.kind != "boolean":
            rare = rare_values(original, series)
            assert not rare & set(column.categories)
            assert not {r for r in rare if isinstance(r, str) and len(r) > 1} & texts
        elif original.kind in ("id", "text"):
            assert not {v for v in series if isinstance(v, str)} & texts
            assert not set(series) & {column.lower, column.upper} - {None}
        if 0 < series.isna().sum() < PRIVATE_ROWS:
            assert column.missing == 0


def limits_of(encoder: Encoder) -> list:
    """Every value of the one column that its file holds, dates as ticks."""
    _, arrays = encoder.state()
    [column] = encoder.columns
    found = [column.lower, column.upper, *column.spikes]
    for name, array in arrays.items():
        if not name.endswith("grid"):
            found += array.tolist()
    return found


@settings(max_examples=100)
@given(frames(EXACT | ROUNDED, rows=(60, 300, 3000)), st.integers(0, 99))
def test_a_loaded_encoder_decodes_inside_the_coarse_range(frame, seed):
    try:
        coarse, _ = coarse_of(frame)
    except ModelFileError:
        assume(False)
        return
    made = coarse.inverse_transform(at_random(coarse, 300, seed))
    for i, column in enumerate(coarse.columns):
        cells, real = made.iloc[:, i], frame.iloc[:, i]
        assert cells.dtype == column.dtype
        if column.kind in NUMBERS and cells.notna().any():
            values, gone = column.numbers(cells)
            known, unknown = column.numbers(real)
            values = values[~gone]
            # A float32 is the nearest one to the bound, on either side of it.
            slack = np.abs(known).max() * 1e-7 if str(cells.dtype).lower() == "float32" else 0
            assert known[~unknown].min() - slack <= column.lower <= values.min() + slack
            assert values.max() - slack <= column.upper <= known[~unknown].max() + slack
            if column.step:
                above = values.view(np.uint64) - np.int64(column.lower).view(np.uint64)
                assert not (above % np.uint64(column.step)).any()
        elif column.kind in LEVELS:
            column.codes(cells)
        if real.isna().sum() < PRIVATE_ROWS:
            assert not cells.isna().any()


@pytest.mark.parametrize("rows", [14, 15, 37, 999, 1000, 1001, 1500, 4999, 5000, 60_000])
def test_knots_of_a_file_are_five_rows_apart(rows):
    for draw in (RNG(1).lognormal(0, 6, rows), RNG(1).integers(0, 10**9, rows)):
        coarse, notes = coarse_of(pd.DataFrame({"x": draw}))
        knots, grid = (coarse.state()[1][f"0.{name}"] for name in ("knots", "grid"))
        assert len(knots) == len(grid) <= KNOTS
        assert (np.diff(grid[1:-1]) * rows > PRIVATE_ROWS - 0.001).all()
        ordered = np.sort(draw)
        assert ordered[PRIVATE_ROWS - 1] <= knots[0] <= knots[-1] <= ordered[-PRIVATE_ROWS]
        assert (np.diff(knots) >= 0).all()
        assert "rounded quantiles" in notes[0]
        if draw.dtype == np.float64:
            assert not np.isin(knots, draw).any(), "rounded"
            assert len(knots) > 1


def test_shares_in_a_file_do_not_tell_the_exact_number_of_rows():
    for some in ((36, 38, 39), (610, 614, 619), (6000, 6001, 6077)):
        grids = [
            coarse_of(pd.DataFrame({"x": RNG(rows).normal(size=rows)}))[0].state()[1]["0.grid"]
            for rows in some
        ]
        unit = 1 / (35 if some[0] < 100 else some[0])
        for grid in grids[1:]:
            np.testing.assert_allclose(grid, grids[0], rtol=0, atol=1.001 * unit)


def test_a_coarse_scale_is_near_the_fine_one():
    frame = pd.DataFrame({"x": RNG(0).lognormal(3, 1, 2000)})
    coarse, _ = coarse_of(frame)
    made = coarse.inverse_transform(at_random(coarse, 20_000, 1, spread=1.0))["x"]
    shares = [0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99]
    np.testing.assert_allclose(made.quantile(shares), frame["x"].quantile(shares), rtol=0.12)
    assert made.value_counts(normalize=True).iloc[0] < 0.002, "no rows pile up at the bounds"


def test_a_rare_class_has_the_range_of_all_rows():
    frame = pd.DataFrame({"x": RNG(0).normal(size=500)})
    coarse, _ = coarse_of(frame, slice(0, 8))
    assert coarse.columns[0].lower < -2
    few = pd.DataFrame({"x": [np.nan] * 490 + RNG(0).normal(size=10).tolist()})
    with pytest.raises(
        ModelFileError, match="column 'x': no value or range is shared by 5 rows"
    ) as caught:
        coarse_of(few)
    assert caught.value.code == 405


def test_two_values_of_a_class_that_few_share():
    frame = pd.DataFrame({"x": RNG(0).normal(size=500)})
    coarse, _ = coarse_of(frame, slice(0, 2))
    knots = set(coarse.state()[1]["0.values"].tolist())
    assert len(knots) <= 2
    assert not knots & set(frame["x"])


def test_rare_and_unused_levels_are_left_out():
    frame = pd.DataFrame(
        {
            "a": ["x"] * 30 + ["y"] * 20 + ["Mrs Smith"] * 2,
            "b": pd.Categorical(
                ["x"] * 30 + ["y"] * 20 + ["Mrs Jones"] * 2,
                ["Mr Jones", "Mrs Jones", "y", "x"],
                ordered=True,
            ),
            "c": [5] * 30 + [7] * 20 + [1234567] * 2,
            "d": [True] * 51 + [False],
            "e": pd.Categorical(["same"] * 52, ["Mr Smith", "same"]),
        }
    )
    coarse, notes = coarse_of(frame)
    text = json.dumps(coarse.state()[0]) + str(
        {k: v.tolist() for k, v in coarse.state()[1].items()}
    )
    for leak in ("Smith", "Jones", "1234567", "1234562"):
        assert leak not in text
    assert notes == [
        "a: 1 of 3 values were seen in fewer than 5 rows and left out",
        "b: 2 of 4 values were seen in fewer than 5 rows and left out",
        "c: 1 values that fewer than 5 rows hold became the nearest other value",
        "d: 1 of 2 values were seen in fewer than 5 rows and left out",
        "e: 1 of 2 values were seen in fewer than 5 rows and left out",
    ]
    assert coarse.columns[1].dtype == pd.CategoricalDtype(["y", "x"], ordered=True)
    assert coarse.columns[3].categories == (True,)
    made = coarse.inverse_transform(at_random(coarse, 99, 0))
    assert set(made["a"]) == {"x", "y"}
    assert set(made["b"]) == {"x", "y"}
    assert set(made["c"]) == {5, 7}
    assert set(made["e"]) == {"same"}


def test_levels_of_texts_and_ids_are_left_out():
    texts = [f"the patient number {i} has a cough" for i in range(60)]
    frame = pd.DataFrame(
        {"note": pd.Categorical(texts), "key": pd.Categorical([f"K{i}" for i in range(60)])}
    )
    written = Schema.infer(frame).to_json()
    written["columns"][0]["kind"], written["columns"][1]["kind"] = "text", "id"
    schema = Schema.infer(frame, given=Schema.from_json(written))
    coarse, _ = coarsened(Encoder.fit(frame, schema.columns), frame)
    text = json.dumps(coarse.state()[0])
    assert "patient" not in text
    assert "K1" not in text
    assert (coarse.inverse_transform(at_random(coarse, 9, 0))["note"] == "").all()


def test_few_missing_cells_are_left_out_and_the_spans_stay():
    values = RNG(0).normal(size=300)
    values[:100] = 0.0
    values[100:103] = np.nan
    frame = pd.DataFrame({"x": values, "y": [None] * 4 + ["a", "b"] * 148})
    coarse, notes = coarse_of(frame)
    assert all(note.endswith("missing cells in fewer than 5 rows left out") for note in notes)
    assert [c.missing for c in coarse.columns] == [0, 0]
    assert not coarse.inverse_transform(at_random(coarse, 300, 0)).isna().any(axis=None)


@pytest.mark.parametrize(
    ("values", "upper"),
    [
        (np.arange(50) + 4711, 10_000),
        (np.arange(50) + 10**17, 10**18),
        ([f"synthetic-{i:06d}" for i in range(50)], 100),
        (np.arange(50) - 4711, 10_000),
    ],
)
def test_new_ids_do_not_tell_the_last_old_one(values, upper):
    frame = pd.DataFrame({"id": values})
    coarse, notes = coarse_of(frame)
    assert coarse.columns[0].upper == upper
    assert notes == [f"id: new IDs start above {upper}"]
    made = coarse.inverse_transform(at_random(coarse, 500, 0))["id"]
    assert made.is_unique
    assert not made.isin(values).any()


def test_ids_that_fill_64_bits_are_refused():
    frame = pd.DataFrame({"id": np.arange(50) + 2 * 10**18})
    with pytest.raises(
        ModelFileError, match=r"column 'id': its IDs have up to 19 digits.*drop the column"
    ):
        coarse_of(frame)


def test_spikes_that_few_rows_hold_are_moved():
    frame = pd.DataFrame({"x": np.r_[RNG(0).normal(size=300), [77.25] * 2, [0.0] * 60]})
    written = Schema.infer(frame).to_json()
    written["columns"][0]["spikes"] = [0.0, 77.25]
    schema = Schema.infer(frame, given=Schema.from_json(written))
    coarse, _ = coarsened(Encoder.fit(frame, schema.columns), frame)
    assert "77.25" not in json.dumps(coarse.state()[0])
    assert 77.25 not in coarse.state()[1]["0.spikes"]
    assert 0.0 in coarse.state()[1]["0.spikes"]
    assert coarse.columns[0].spikes == (0.0,)


def test_spikes_far_from_the_scale_lie_within_the_bounds():
    frame = pd.DataFrame({"x": np.r_[RNG(0).normal(size=300), [-999.0] * 60]})
    coarse, _ = coarse_of(frame)
    assert coarse.columns[0].lower == -999.0


# --- a file that lies -----------------------------------------------------------------------------


def _state():
    frame = pd.DataFrame(
        {
            "x": RNG(0).normal(size=60),
            "y": ["a", "b"] * 30,
            "z": np.arange(60) % 3,
            "w": np.arange(60) ** 3,
        }
    )
    described, arrays = fitted(frame).state()
    return json.loads(json.dumps(described)), {k: v.copy() for k, v in arrays.items()}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d, a: d.clear(),
        lambda d, a: d.update(columns=3),
        lambda d, a: d["columns"][0].clear(),
        lambda d, a: d["columns"][0]["column"].update(kind="number"),
        lambda d, a: d["columns"][0]["column"].update(kind="categorical"),
        lambda d, a: d["columns"][0].update(part="other"),
        lambda d, a: d["columns"][0].update(part=[]),
        lambda d, a: d["columns"][0].update(part="levels"),
        lambda d, a: d["columns"][0].update(missing=3),
        lambda d, a: d["columns"][1].update(frequent=9),
        lambda d, a: d["columns"][1].update(frequent="a"),
        lambda d, a: d["columns"][3]["column"].pop("lower"),
        lambda d, a: a.pop("0.knots"),
        lambda d, a: a.update({"0.knots": a["0.knots"][::-1]}),
        lambda d, a: a.update({"0.knots": a["0.knots"][1:]}),
        lambda d, a: a.update({"0.knots": a["0.knots"].astype(np.float32)}),
        lambda d, a: a.update({"0.knots": a["0.knots"][None]}),
        lambda d, a: a.update({"0.knots": a["0.knots"] * math.nan}),
        lambda d, a: a.update({"0.knots": a["0.knots"][:0], "0.grid": a["0.grid"][:0]}),
        lambda d, a: a.update({"0.grid": a["0.grid"] * 0}),
        lambda d, a: a.update({"0.grid": a["0.grid"] + 1}),
        lambda d, a: a.update({"1.values": a["1.values"] + 1}),
        lambda d, a: a.update({"1.values": a["1.values"] - 1}),
        lambda d, a: a.update({"1.values": a["1.values"][:0]}),
    ],
)
def test_a_state_that_no_encoder_has_is_refused(spoil):
    described, arrays = _state()
    Encoder.from_state(described, arrays)
    spoil(described, arrays)
    with pytest.raises(
        ModelFileError, match=r"this file's .* is .*, not .*Copy it again"
    ) as caught:
        Encoder.from_state(described, arrays)
    assert caught.value.code == 418


def test_unlearned_columns_have_their_name():
    column = Schema.infer(pd.DataFrame({"x": [f"user{i}" for i in range(30)]}))["x"]
    assert unlearned(column, 3).name == "x"
