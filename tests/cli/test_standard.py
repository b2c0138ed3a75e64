"""Standard input and output (``-``): the same bytes as with files, and nothing else among them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from sklearn.naive_bayes import GaussianNB

from synthgen import ImbalancedClassifier
from synthgen.cli.main import main

AUGMENT = ("augment", "-", "--target", "ill", "--synthesizer", "bootstrap", "-n", "5")
AUGMENT += ("--seed", "0", "-o")


@pytest.fixture(autouse=True)
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    ill = np.repeat(["no", "yes"], [60, 20])
    frame = pd.DataFrame({"dose": rng.normal(size=80) + 3 * (ill == "yes"), "ill": ill})
    frame.to_csv("data.csv", index=False)
    return Path("data.csv").read_bytes()


def run(*arguments: str, given: bytes = b"") -> Result:
    found = CliRunner().invoke(main, [*arguments], input=given, catch_exceptions=False)
    assert "Traceback" not in found.stderr
    return found


def test_augment_writes_what_it_writes_to_a_file_and_its_messages_beside(table: bytes) -> None:
    result = run(*AUGMENT, "-", given=table)
    assert result.exit_code == 0, result.stderr
    assert run("augment", "data.csv", *AUGMENT[2:], "out.csv").exit_code == 0
    assert result.stdout_bytes == Path("out.csv").read_bytes()
    assert "wrote -: 80 original rows, then 5 new" in result.stderr
    assert "Run: synthgen auto DATA" in result.stderr
    assert {path.name for path in Path().iterdir()} == {
        *("data.csv", "out.csv", "out.csv.manifest.json"),
    }


def test_the_record_goes_to_a_file(table: bytes) -> None:
    result = run(*AUGMENT, "-", "--json", "made.json", "--quiet", given=table)
    assert result.stdout_bytes.count(b"\n") == 86
    made = json.loads(Path("made.json").read_text())
    assert (made["data"]["path"], made["output"]["path"]) == ("-", "-")
    assert made["output"]["rows"] == 85
    twice = run(*AUGMENT, "-", "--json", "-", given=table)
    assert (twice.exit_code, twice.stdout) == (2, "")
    assert "error E289: - is standard output, and was given twice" in twice.stderr


def test_other_commands_read_and_write_it(table: bytes) -> None:
    frame = pd.read_csv("data.csv")
    model = ImbalancedClassifier(members=[GaussianNB()], random_state=0).fit(frame, target="ill")
    model.save("model.skops")
    assert run("predict", "model.skops", "data.csv", "-o", "out.csv").exit_code == 0
    result = run("predict", "model.skops", "-", "-o", "-", given=table)
    assert result.stdout_bytes == Path("out.csv").read_bytes()
    assert "average precision" in result.stderr
    schema = run("schema", "-", "--target", "ill", "-o", "schema.json", given=table)
    assert schema.exit_code == 0
    assert "no" in Path("schema.json").read_text()


def test_mistakes_are_named(table: bytes) -> None:
    empty = run(*AUGMENT, "-")
    assert (empty.exit_code, empty.stdout) == (3, "")
    assert "standard-input: the file is empty" in empty.stderr
    stream = run(*AUGMENT, "-", "--keep", "10", given=table)
    assert "error E242: -: not for a table that is read as a stream" in stream.stderr
