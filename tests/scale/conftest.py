"""A small model with every kind of column."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from synthgen import SequentialTrees


@pytest.fixture(scope="session")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = 300
    sex = pd.Categorical(rng.choice(["f", "m"], rows), categories=["f", "m", "x"])
    return pd.DataFrame(
        {
            "patient": np.arange(1001, 1001 + rows),
            "age": pd.array(rng.integers(18, 90, rows), dtype="Int64"),
            "dose": rng.lognormal(1, 1, rows).round(2),
            "sex": sex,
            "seen": pd.to_datetime("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, rows), "D"),
            "ward": rng.choice(["north", "south"], rows),
            "outcome": np.repeat(["no", "maybe", "yes"], [220, 50, 30]),
        }
    ).assign(age=lambda f: f["age"].mask(np.arange(rows) % 9 == 0))


@pytest.fixture(scope="session")
def model(frame: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.synthgen"
    trees = SequentialTrees(trees=1, classes=["maybe", "yes"], random_state=0)
    trees.fit(frame.drop(columns="outcome"), frame["outcome"]).save(path)
    return path
