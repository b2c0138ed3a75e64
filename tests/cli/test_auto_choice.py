"""One rule for "auto": every command and object makes the same synthesizer of the same table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from synthgen import Oversampler, augment
from synthgen.auditing.advice import _synthetic
from synthgen.cli.main import main
from synthgen.comparison.strategies import pick
from synthgen.synthesizers.lookup import chosen_for

NAMES = {30: "TabFlow", 250: "SequentialTrees"}


def run(*arguments: str) -> str:
    found = CliRunner().invoke(main, [*arguments], catch_exceptions=False)
    return found.stderr if found.exit_code else ""


@pytest.fixture(params=NAMES)
def rows(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Rows of the class in ``data.csv``, in the working directory."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    ill = np.repeat(["no", "yes"], [300, request.param])
    frame = pd.DataFrame({"dose": rng.integers(0, 9, len(ill)) + 0.5, "ill": ill})
    frame.to_csv("data.csv", index=False)
    frame.to_parquet("data.parquet")
    return request.param


@pytest.mark.parametrize("more", [(), ("--device", "cpu"), ("--synthesizer", "AUTO")])
def test_fit_makes_what_augment_makes(rows: int, more: tuple[str, ...]) -> None:
    given = ("data.csv", "--target", "ill", "--seed", "0", *more)
    if rows < 200:
        given = (*given, "--set", "steps=5")
    assert run("fit", *given, "-o", "m.synthgen", "--json", "fit.json") == ""
    assert run("augment", *given, "-n", "5", "-o", "out.csv") == ""
    stream = ("data.parquet", "--keep", "500", *given[1:], "-n", "5", "-o", "out.parquet")
    assert run("augment", *stream) == ""
    found = [
        json.loads(Path(file).read_text())["synthesizer"]
        for file in ("fit.json", "out.csv.manifest.json", "out.parquet.manifest.json")
    ]
    found[1] = found[1]["name"]
    assert found == [NAMES[rows]] * 3


def test_objects_make_it_too(rows: int) -> None:
    frame = pd.read_csv("data.csv")
    if rows >= 200:  # TabFlow would train for its default number of steps
        made = augment(frame, target="ill", n_samples=3, random_state=0)
        assert type(made.synthesizer).__name__ == NAMES[rows]
        sampler = Oversampler(random_state=0)
        sampler.fit_resample(frame[["dose"]], frame["ill"])
        assert type(sampler.synthesizer_).__name__ == NAMES[rows]
    strategy = next(s for s in pick("synthgen") if s.name == "synthgen")
    assert type(strategy.for_rows(rows).build.synthesizer).__name__ == NAMES[rows]
    assert f"--synthesizer {chosen_for(rows)})" in _synthetic(rows)


def test_an_option_of_the_other_one_is_named(rows: int) -> None:
    wrong = "steps=5" if rows >= 200 else "trees=5"
    message = run("fit", "data.csv", "--target", "ill", "--set", wrong, "-o", "m.synthgen")
    assert f"auto is {chosen_for(rows)} for {rows} rows of the class" in message
    assert "error E285" in message
    assert "error E285: --set nonsense: tabflow has" in run(
        "augment", "data.csv", "--target", "ill", "--set", "nonsense=1", "-o", "out.csv"
    )
