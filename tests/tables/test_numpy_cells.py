"""Object columns of NumPy scalars: real rows come back as they are, new ones get the same type."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from synthgen import Column, Oversampler, augment

ROWS = 240
TYPES = [
    *(np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64),
    *(np.float16, np.float32, np.float64, np.str_, np.bool_),
]


def column(kind: Any, values: Any) -> pd.Series:
    out = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        out[place] = kind(value)
    return pd.Series(out)


def table(*, empty: bool) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    found = {}
    for kind in TYPES:
        values = rng.integers(0, 2 if kind is np.bool_ else 100, ROWS)
        found[kind.__name__] = column(kind, values / 4 if issubclass(kind, np.floating) else values)
        if empty:
            found[kind.__name__].iloc[::9] = None
    found["codes"] = column(np.int16, rng.integers(0, 2, ROWS))
    found["key"] = column(np.str_, [f"k{i}" for i in range(ROWS)])
    found["one"] = column(np.float32, [0.1] * ROWS)
    return pd.DataFrame(found)


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("synthesizer", ["trees", "bootstrap"])
def test_the_type_of_numpy_cells_is_kept(synthesizer: str, empty: bool):
    frame = table(empty=empty)
    y = column(np.str_, np.where(np.arange(ROWS) % 3, "no", "yes"))
    made = augment(frame, y.rename("y"), synthesizer=synthesizer, n_samples=40, random_state=0)
    whole = frame.assign(y=y)
    for name, series in whole.items():
        real, new = made.frame[name][:ROWS], made.frame[name][ROWS:]
        pairs = list(zip(series, real, strict=True))
        assert all(type(a) is type(b) and (a is b or a == b) for a, b in pairs), name
        assert set(map(type, new)) - {type(None)} == set(map(type, series)) - {type(None)}, name
        read = Column.from_json(made.schema[name].to_json())
        assert read == made.schema[name], name


def test_the_sampler_keeps_it_too():
    X, y = Oversampler("bootstrap", ratio="double", random_state=0).fit_resample(
        table(empty=False), np.arange(ROWS) % 3 == 0
    )
    assert len(y) == ROWS + ROWS // 3
    for name, series in X.items():
        assert len(set(map(type, series))) == 1, name
