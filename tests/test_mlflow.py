"""The lines of docs/howto/mlflow.md, run with a folder as the store."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BEFORE = """
import numpy as np
import pandas as pd

from synthgen import augment, evaluate

rng = np.random.default_rng(0)
ill = np.repeat(["no", "yes"], [240, 80])
rows = pd.DataFrame({"dose": rng.normal(size=320) + (ill == "yes"), "ill": ill})
train, test = rows[::2], rows[1::2]
done = augment(train, "ill", n_samples=40, synthesizer="bootstrap", random_state=0)
report = evaluate(
    train, done.synthetic, test, target="ill", judges=["logistic"], random_state=0
)
"""


@pytest.mark.skipif(
    find_spec("mlflow") is None and not os.environ.get("NEED_OTHERS"),
    reason="mlflow-skinny is not installed",
)
def test_the_documented_lines_record_a_report_and_a_table(tmp_path: Path) -> None:
    page = (ROOT / "docs/howto/mlflow.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 2
    (variable,) = re.findall(r"export (\w+=\w+)", page)
    name, _, value = variable.partition("=")
    code = "\n".join([BEFORE, *blocks])
    # The whole path, as tests run where the package is not installed, too.
    environment = os.environ | {name: value, "PYTHONPATH": str(ROOT)}
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert found.returncode == 0, found.stderr
    (report,) = tmp_path.glob("mlruns/*/*/artifacts/report.json")
    assert json.loads(report.read_text())["label"] == "yes"
    metrics = {path.name for path in report.parents[1].glob("metrics/*")}
    assert metrics
    (augmented,) = tmp_path.glob("mlruns/*/*/artifacts/augmented.json")
    made = json.loads(augmented.read_text())
    assert (augmented.parents[1] / "params/seed").read_text() == str(made["seed"]) == "0"
