"""The benchmarks in evaluation/: what they share must cope with any table."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from synthgen.auditing.advice import gain_of_auto
from synthgen.comparison.recommendation import PRIORS
from synthgen.synthesizers.flow import TabFlow
from synthgen.synthesizers.trees import SequentialTrees

EVALUATION = Path(__file__).resolve().parents[1] / "evaluation"


def loaded(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Loaded under a name of its own, as another module may be called `compare` or `common`."""
    monkeypatch.syspath_prepend(str(EVALUATION))  # scripts import one another
    own = f"evaluation_{name.replace('/', '_')}"
    spec = importlib.util.spec_from_file_location(own, EVALUATION / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, own, module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("script", sorted(path.name for path in EVALUATION.glob("*.py")))
def test_every_script_starts(script: str):
    """It prints its help; a script without options is imported, which runs nothing."""
    options = "__main__" in (EVALUATION / script).read_text()
    command = [script, "--help"] if options else ["-c", f"import {script.removesuffix('.py')}"]
    done = subprocess.run(
        [sys.executable, *command], cwd=EVALUATION, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ") == options


def test_a_column_of_more_levels_than_boosting_takes(monkeypatch: pytest.MonkeyPatch):
    rows = loaded("rows", monkeypatch)
    city = np.arange(1200) % 400
    frame = pd.DataFrame({"city": city.astype(str), "target": np.arange(1200) % 2})
    frame.loc[::7, "city"] = None
    features = rows.coded(frame)
    assert features["city"].nunique() <= 255
    chance = rows.plain_boosting().fit(features, frame["target"]).predict_proba(features)
    assert chance.shape == (1200, 2)


def test_what_compare_knows_of_auto_is_what_the_benchmark_found():
    found = json.loads((EVALUATION / "benchmark.json").read_text())["compare"]
    assert {name: tuple(prior) for name, prior in found["priors"].items()} == PRIORS


@pytest.mark.parametrize(
    ("rows", "sizes"), [(45, ["10 to 100"]), (171, ["100", "300"]), (285, ["100", "300"])]
)
def test_what_the_advice_says_of_auto_is_what_the_benchmark_found(rows: int, sizes: list[str]):
    found = json.loads((EVALUATION / "benchmark.json").read_text())
    (rule,) = set(found["nested"]["chosen"])  # the same in each rotation: it judges every table
    less = found["less boosting"][rule]
    told = [f"{less[size]['up']} of {less[size]['tables']}" for size in sizes]
    said, many = gain_of_auto(rows), gain_of_auto(5000)
    assert re.findall(r"\d+ of \d+", said) == told
    assert all(f"{size} rows" in said for size in sizes)
    assert said.count(". ") == 0
    assert f"{less['300']['up']} of {less['300']['tables']}" in many
    thousands = found["thousands of rows"]
    assert thousands["low"] < 0 < thousands["high"]
    assert many.endswith(
        f"; with thousands of rows, on {thousands['tables']} tables, it was no better"
    )


def test_a_choice_on_folds_never_sees_the_fold_that_it_is_judged_on(
    monkeypatch: pytest.MonkeyPatch,
):
    rules = loaded("benchmark", monkeypatch)
    # The best on the other folds is never the best on the fold itself.
    found = {name: {"inner_folds": folds} for name, folds in (("a", [9, 1, 0]), ("b", [0, 2, 3]))}
    assert rules.on_folds(found, ["a", "b"]).tolist() == [0, 1, 0]
    assert rules.on_folds(found, ["b"]).tolist() == [0, 2, 3]


def test_bars_tell_cells_that_repeat_are_equal_or_rounded(monkeypatch: pytest.MonkeyPatch):
    bars = loaded("rows", monkeypatch)
    rng = np.random.default_rng(0)

    def rows(equal: float, decimals: int, values: int) -> pd.DataFrame:
        due = rng.integers(0, 10**6, 2000).astype(float)
        paid = np.where(rng.random(2000) < equal, due, rng.permutation(due) + 0.5)
        some = rng.normal(size=2000).round(decimals)
        code = rng.permutation(np.arange(2000) % values + 10**6)
        cells = {"due": due, "paid": paid, "some": some, "code": code}
        return pd.DataFrame(cells | {"target": np.arange(2000) % 2})

    real = rows(0.4, 3, 2000)
    same = bars.facts_of_cells(rows(0.4, 3, 2000), real)
    assert max(gap for gap, _ in same.values()) < 0.06
    other = bars.facts_of_cells(rows(0.1, 2, 1000), real)
    assert other["equal cells"][0] == pytest.approx(0.3, abs=0.05)
    assert other["equal cells"][1] == "due = paid"
    assert other["repeats"] == (1.0, "code")  # each twice, before never
    # A value of three decimals ends in 0 once in ten.
    assert other["decimals"] == (pytest.approx(0.9, abs=0.03), "some")


def test_bars_learn_all_classes(monkeypatch: pytest.MonkeyPatch):
    bars = loaded("rows", monkeypatch)
    frame = pd.DataFrame({"x": np.arange(300.0), "target": np.where(np.arange(300) < 90, "a", "b")})
    assert bars.named("3x40").get_params() == SequentialTrees(trees=3, min_leaf=40).get_params()
    assert bars.named("tabflow").get_params() == TabFlow().get_params()
    made, cost = bars.made_by("trees", frame, 0)
    assert made["target"].value_counts().to_dict() == pytest.approx({"a": 90, "b": 210}, abs=30)
    assert set(cost) == {"seconds", "cpu seconds"}


def test_peers_get_no_missing_cell_and_their_rows_get_them_back(monkeypatch: pytest.MonkeyPatch):
    peers, run = loaded("peers", monkeypatch), loaded("peers/run", monkeypatch)
    town = pd.Series(["Ulm", None, "Bonn"], dtype=object)  # as it is handed back, with pandas 3 too
    target = pd.Series(["a", "b", "a"], dtype=object)
    some = {"dose": [0.25, None, 1.5], "age": [31, 7, 55], "town": town, "target": target}
    frame = pd.DataFrame(some)
    filled = run.filled(frame)
    assert filled["dose"].tolist() == [0.25, 0.875, 1.5]
    assert not filled.isna().any(axis=None)
    pd.testing.assert_frame_equal(run.emptied(filled), frame)
    # As a package may hand them back: floats for whole numbers, too many decimals.
    made = frame.assign(dose=[0.251, np.nan, 1.499], age=[30.6, 7.2, 55.0])
    pd.testing.assert_frame_equal(peers.restored(made, frame), frame)


@pytest.mark.slow
def test_the_benchmark_in_two_processes_has_the_lines_of_one(tmp_path: Path):
    rng = np.random.default_rng(0)
    for name in ("flights", "flowers"):
        rare = np.arange(140) < 40
        columns = {"size": rng.normal(size=140) + rare, "kind": rng.choice(["a", "b"], 140)}
        frame = pd.DataFrame(columns | {"target": np.where(rare, "yes", "no")})
        frame.to_parquet(tmp_path / f"{name}.parquet")
    (tmp_path / "catalog.csv").write_text("name,minority_label\nflights,yes\nflowers,yes\n")

    def run(jobs: int, before: list[str]) -> list[str]:
        out = tmp_path / "found.jsonl"
        out.write_text("".join(f"{line}\n" for line in before))
        how = f"--data-dir {tmp_path} --stage learners --sizes 10,999 --splits 1 --jobs {jobs}"
        command = [sys.executable, EVALUATION / "benchmark.py", *how.split(), "--out", out]
        subprocess.run(command, check=True, capture_output=True)
        return out.read_text().splitlines()

    def untimed(lines: list[str]) -> list[str]:
        found = [json.loads(line) for line in lines]
        return sorted(json.dumps({k: v for k, v in f.items() if k != "seconds"}) for f in found)

    one = run(1, [])
    cells = {tuple(json.loads(line)[k] for k in ("table", "size")) for line in one}
    assert cells == {(name, size) for name in ("flights", "flowers") for size in ("10", "999")}
    done = [line for line in one if "too few rows" in line][:1]
    assert untimed(run(2, done)) == untimed(one)  # no cell is lost, and none is run again
