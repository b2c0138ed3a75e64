"""Tables of any kinds, dtypes, names and indexes, for property tests."""

from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

COLUMNS: dict[str, Any] = {
    "float64": lambda r, n: r.normal(size=n),
    "float32": lambda r, n: r.lognormal(0, 3, n).astype("float32"),
    "two decimals": lambda r, n: r.normal(size=n).round(2),
    "int64": lambda r, n: r.integers(-(2**62), 2**62, n),
    "int8": lambda r, n: r.integers(-128, 128, n).astype("int8"),
    "uint16": lambda r, n: r.integers(0, 2**16, n).astype("uint16"),
    "flags": lambda r, n: r.integers(0, 2, n),
    "bool": lambda r, n: r.random(n) < 0.5,
    "text": lambda r, n: r.choice(["a", "ü", " ", "NA", "=1"], n).astype(object),
    "string": lambda r, n: pd.array(r.choice(["a", "b"], n), dtype="string"),
    "Int64": lambda r, n: pd.array(r.integers(0, 99, n), dtype="Int64"),
    "Float64": lambda r, n: pd.array(r.normal(size=n), dtype="Float64"),
    "boolean": lambda r, n: pd.array(r.random(n) < 0.5, dtype="boolean"),
    "category": lambda r, n: pd.Categorical(r.choice(["x", "y"], n), ["y", "x", "z"], ordered=True),
    "date": lambda r, n: pd.Timestamp("2024-01-01") + pd.to_timedelta(r.integers(0, 999, n), "D"),
    "zone": lambda r, n: (
        pd.Timestamp("2024-01-01", tz="Asia/Tokyo") + pd.to_timedelta(r.integers(0, 10**9, n), "s")
    ),
    "duration": lambda r, n: pd.to_timedelta(r.integers(0, 10**6, n), "s"),
    "constant": lambda r, n: np.full(n, 3.5),
    "id": lambda r, n: np.arange(n) + 10**6,
}
HOLDS_NO_MISSING = {"int64", "int8", "uint16", "flags", "bool", "id"}
NAMES = st.one_of(
    st.text(max_size=5), st.integers(0, 9), st.tuples(st.text(max_size=2), st.just(1))
)
TARGETS = {
    "text": ["no", "yes"],
    "bool": [False, True],
    "int": [0, 1],
    "float": [0.0, 1.0],
    "category": pd.Categorical(["no", "yes"]),
}


@st.composite
def tables(draw: Any) -> tuple[pd.DataFrame, Any]:
    """A frame of any kinds, dtypes, missing cells, index and names, and the target's name."""
    rows, rare = draw(st.integers(12, 60)), draw(st.integers(2, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kinds = draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=5))
    # str: names that read alike would be refused, which another test is for.
    names = draw(st.lists(NAMES, min_size=len(kinds) + 1, max_size=len(kinds) + 1, unique_by=str))
    labels = pd.Series(TARGETS[draw(st.sampled_from(sorted(TARGETS)))])
    target = labels.iloc[rng.permutation(np.arange(rows) < rare).astype(int)]
    parts = []
    for kind in kinds:
        part = pd.Series(COLUMNS[kind](rng, rows))
        if kind not in HOLDS_NO_MISSING and draw(st.booleans()):
            part = part.mask(rng.random(rows) < 0.3)
        parts.append(part)
    place = draw(st.integers(0, len(parts)))
    parts.insert(place, target.reset_index(drop=True))
    frame = pd.concat(parts, axis=1)
    frame.columns = pd.Index(names, dtype=object, tupleize_cols=False)
    index = draw(st.sampled_from(["range", "text", "twice"]))
    if index != "range":
        frame.index = pd.Index([f"r{i}" if index == "text" else i // 2 for i in range(rows)])
    return frame, names[place]
