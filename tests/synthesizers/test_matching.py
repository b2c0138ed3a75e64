"""Rows with given levels, chosen among those made: known shares, and too few."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from synthgen import Schema
from synthgen.errors import UsageError
from synthgen.seeds import child_seed
from synthgen.synthesizers.matching import BLOCK, PATIENCE, matching_rows

SEED = np.random.SeedSequence(0)
SCHEMA = Schema.infer(
    pd.DataFrame({"kind": ["a", "b", "c"] * 40, "x": np.arange(120) / 8, "id": range(7, 127)})
)


def make(rows: int, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Rows of known shares; x is 8 higher where kind is b."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(["a", "b"], rows, p=[0.75, 0.25])
    frame = pd.DataFrame({"kind": kind, "x": rng.random(rows) + 8 * (kind == "b")})
    return frame.assign(id=np.arange(127, 127 + rows))


def chosen(rows: int, where: dict, make=make) -> pd.DataFrame:
    return matching_rows(make, SCHEMA, where, rows, SEED, "ill")


def test_rows_are_those_of_the_blocks_that_match() -> None:
    rows = chosen(5_000, {"kind": "b"})
    blocks = pd.concat([make(BLOCK, child_seed(SEED, k)) for k in range(4)])
    expected = blocks[blocks["kind"] == "b"].head(5_000)
    assert np.array_equal(rows["x"], expected["x"])
    assert not rows["x"].duplicated().any()
    assert rows["id"].tolist() == list(range(127, 5_127))


def with_c(rows: int, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Of every fourth block, one row is of kind c."""
    made = make(rows, seed)
    if seed.spawn_key[-1] % 4 == 1:
        made.loc[5, "kind"] = "c"
    return made


def test_too_few_rows_are_repeated_and_what_they_are_worth_is_told() -> None:
    said = f"class 'ill': only 4 of {PATIENCE * BLOCK:,} rows made have kind = 'c'.* worth 4 "
    with pytest.warns(UserWarning, match=said):
        rows = chosen(400, {"kind": "c"}, with_c)
    assert rows["x"].value_counts().tolist() == [100] * 4
    with pytest.warns(UserWarning, match="the 6 rows are worth 4 "):  # 36 / (4 + 4 + 1 + 1)
        pd.testing.assert_frame_equal(chosen(6, {"kind": "c"}, with_c), rows.head(6))
    pd.testing.assert_frame_equal(chosen(3, {"kind": "c"}, with_c), rows.head(3))  # no warning


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ({"kind": "c"}, "none of 131,072 rows made has kind = 'c'"),
        ({"kind": None}, "none of 131,072 rows made has kind = None"),
        ({"kind": "d"}, "column 'kind' has no value 'd': it has 'a', 'b', 'c'"),
        ({"x": 1.0}, "column 'x' has no levels: use one of 'kind'"),
        ({"nowhere": 1}, "column 'nowhere' has no levels: use one of 'kind'"),
    ],
)
def test_what_no_row_has_is_an_error(where: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        chosen(3, where)
    assert caught.value.code == 238
