"""The benchmarks in evaluation/: what they share must cope with any table."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd

EVALUATION = Path(__file__).resolve().parents[1] / "evaluation"


def benchmark(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EVALUATION / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_column_of_more_levels_than_boosting_takes():
    scope = benchmark("scope")
    city = np.arange(1200) % 400
    frame = pd.DataFrame({"city": city.astype(str), "target": np.arange(1200) % 2})
    frame.loc[::7, "city"] = None
    features = scope.prepared(frame)
    assert features["city"].nunique() <= 255
    chance = scope.boosting().fit(features, frame["target"]).predict_proba(features)
    assert chance.shape == (1200, 2)
