"""Names and levels that a spreadsheet would run: what augment writes, every command reads back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.naive_bayes import GaussianNB

from synthgen import ImbalancedClassifier, read_table, write_table
from synthgen.cli.main import main
from synthgen.metrics.prepare import prepare

NAMES = ["=dose", "+side", "@mail", "-x", "'quoted"]


@pytest.fixture(autouse=True)
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    ill = np.repeat(["no", "yes"], [150, 40])
    rows = len(ill)
    frame = pd.DataFrame(
        {
            "=dose": np.round(rng.normal(size=rows) + 2 * (ill == "yes"), 2),
            "+side": rng.choice(["=left", "@right", "-none", "'apart"], rows),
            "@mail": rng.choice(["+1", "-2.5", "+a"], rows),
            "-x": rng.integers(0, 50, rows),
            "'quoted": rng.choice(["u", "v"], rows),
            "ill": ill,
        }
    )
    frame.to_csv("data.csv", index=False)
    return frame


def run(*arguments: str) -> str:
    found = CliRunner().invoke(main, [*arguments], catch_exceptions=False)
    assert found.exit_code == 0, found.stderr
    return found.stderr


def test_what_augment_writes_is_read_back(table: pd.DataFrame) -> None:
    made = ("--synthesizer", "bootstrap", "-n", "60", "--seed", "0", "--no-weights")
    notes = run("augment", "data.csv", "--target", "ill", *made, "-o", "out.csv")
    assert "no spreadsheet runs them" in notes
    assert not any(line.startswith(("=", "@")) for line in Path("out.csv").read_text().splitlines())
    out = read_table("out.csv")
    assert list(out.columns) == [*NAMES, "ill"]
    pd.testing.assert_frame_equal(out.iloc[: len(table)], table)
    run("audit", "out.csv", "--target", "ill", "--quiet")
    compared = prepare(
        table, out, None, target="ill", label=None, schema=None, seed=np.random.SeedSequence(0)
    )
    assert compared.train.schema.names == out.columns.tolist()
    assert not any("not in train" in note for note in compared.notes)
    model = ImbalancedClassifier(members=[GaussianNB()], random_state=0).fit(table, target="ill")
    model.save("m.skops")
    run("predict", "m.skops", "out.csv", "-o", "first.csv")
    assert list(read_table("first.csv").columns[:5]) == NAMES


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".csv.gz"])
def test_every_text_comes_back(tmp_path: Path, ending: str) -> None:
    texts = ["=1", "'=1", "''=1", "'", "''", "'a", "-1", "'-1", "-a", "'-a", "+", "@", "\t", "'\t"]
    frame = pd.DataFrame({text or "empty": texts for text in ["a", *texts[:4], "'=x"]})
    path = tmp_path / f"out{ending}"
    assert write_table(frame, path) > 0
    pd.testing.assert_frame_equal(read_table(path), frame)
    plain = tmp_path / "plain.csv"
    plain.write_text("a,b\n'-1,'x\n'+2.5,it's\n")
    assert read_table(plain).to_numpy().tolist() == [["'-1", "'x"], ["'+2.5", "it's"]]
