"""Model files that earlier commits wrote, in `old/`, make the rows that they made then.

Each file is named after its synthesizer and the commit that wrote it. The networks were trained for
three steps on the rows of class "yes" of a table of 240. To keep the files small, one in 64 of
their weights is left, as a multiple of 1/64; to give an answer that no draw changes, 30 was added
to two of their last biases: those of level "b" of `kind` and of True of `flag`.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import synthgen
from synthgen import CTGAN, TVAE, SequentialTrees, TabFlow
from synthgen.synthesizers.base import Synthesizer

OLD = Path(__file__).parent / "old"
KINDS = {
    "dose": "float64",
    "count": "int64",
    "kind": "object",
    "flag": "bool",
    "day": "datetime64[ns]",
    "ill": "object",
}


def unpacked(name: str, folder: Path) -> Path:
    path = folder / name
    path.write_bytes(gzip.decompress((OLD / f"{name}.gz").read_bytes()))
    return path


# Of 4,000 rows made by the commit that wrote the file: the mean and the standard deviation of
# `dose` and of the days of `day` since 2020, and the share of missing cells of `dose`.
@pytest.mark.parametrize(
    ("name", "make", "dose", "days", "missing"),
    [
        ("ctgan", CTGAN, (49.02, 0.25), (152.6, 4.4), 0.475),
        ("tvae", TVAE, (49.54, 1.47), (145.1, 18.3), 0.528),
        ("tabflow", TabFlow, (49.11, 7.76), (150.2, 75.8), 0.175),
    ],
)
def test_a_network_of_an_old_file_makes_the_rows_of_then(
    name: str,
    make: type[Synthesizer],
    dose: tuple[float, float],
    days: tuple[float, float],
    missing: float,
    tmp_path: Path,
) -> None:
    model = synthgen.load(unpacked(f"{name}_c9a74c3.synthgen", tmp_path))
    assert type(model) is make
    assert model.classes_ == ("yes",)
    rows = model.sample(1000, label="yes", random_state=0)
    assert {column: str(kind) for column, kind in rows.dtypes.items()} == KINDS
    assert set(rows["kind"]) == {"b"}
    assert set(rows["flag"]) == {True}
    assert rows["count"].between(2, 29).all()
    assert rows["dose"].isna().mean() == pytest.approx(missing, abs=5 * np.sqrt(0.25 / 1000))
    since = (rows["day"] - pd.Timestamp("2020-01-01")) / pd.Timedelta(days=1)
    for values, (mean, deviation) in ((rows["dose"].dropna(), dose), (since, days)):
        assert values.mean() == pytest.approx(mean, abs=5 * deviation / np.sqrt(len(values)))
        assert values.std() == pytest.approx(deviation, rel=0.2)


def test_trees_of_an_old_file_are_read_whole_and_written_as_they_were(tmp_path: Path) -> None:
    """A sum, a copy, an order, a level that determines another, and decimals that `flag` tells."""
    path = unpacked("trees_4ca2047.synthgen", tmp_path)
    model = synthgen.load(path)
    assert type(model) is SequentialTrees
    rows = model.sample(400, label="yes", random_state=0)
    assert (rows["gross"] == rows["net"] + rows["tax"]).all()
    assert (rows["later"] >= rows["day"]).all()
    assert (rows["same"] == rows["tax"]).mean() > 0.6
    assert set(zip(rows["kind"], rows["region"], strict=True)) == {
        ("a", "north"),
        ("b", "south"),
        ("c", "south"),
    }
    assert ((rows["east"].round(5) == rows["east"]) == ~rows["flag"]).all()
    model.save(tmp_path / "again.synthgen")
    assert (tmp_path / "again.synthgen").read_bytes() == path.read_bytes()
