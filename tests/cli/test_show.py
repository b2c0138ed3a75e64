"""What `synthgen show` tells about a file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from synthgen import TVAE, ImbalancedClassifier
from synthgen.cli.main import main
from synthgen.synthesizers.contents import to_share


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"dose": rng.normal(size=83), "sex": rng.choice(["f", "m"], 83)})
    frame["ill"] = np.repeat(["no", "yes", "perhaps"], [60, 20, 3])
    frame.to_csv("t.csv", index=False)
    return frame


def run(*arguments: str) -> str:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_model_file_tells_what_it_holds(table: pd.DataFrame) -> None:
    model = TVAE(classes=["yes"], steps=2, random_state=0)
    model.fit(table.drop(columns="ill"), table["ill"]).save("m")
    shown = run("show", "m")
    assert "1 other classes" in shown
    assert "perhaps" not in shown
    assert "no value and no range that fewer than 5 rows share" in " ".join(shown.split())
    # What the file is asked by those who hold it: a network's weights, how well they fit a record.
    assert "what it reveals: whoever holds a record" in " ".join(shown.split())
    assert "synthgen privacy m --train" in " ".join(shown.split())
    model.save("m", keep_class_names=True)
    assert "perhaps" in run("show", "m")


def test_trees_tell_not_to_share_the_file(table: pd.DataFrame) -> None:
    run("fit", "t.csv", "--target", "ill", "--label", "no", "-o", "m", "--synthesizer", "trees")
    told = to_share("SequentialTrees")
    assert told.startswith("do not share the model file")
    assert told in " ".join(run("show", "m").split())
    run("sample", "m", "-n", "9", "-o", "rows.csv", "--json", "rows.json")
    assert json.loads(Path("rows.json").read_text())["share"] == told


def test_what_is_told_of_trees_was_measured() -> None:
    path = Path(__file__).parents[2] / "evaluation" / "privacy.json"
    measured = [r for r in json.loads(path.read_text()) if r.get("synthesizer") == "trees"]
    told = to_share("SequentialTrees")
    assert len(measured) == 8
    assert "on eight tables" in told
    for opponent in ("file", "rows"):
        found = [
            max(
                a["tpr_10"]
                for a in r["attacks"]
                if (a["opponent"], a["group"]) == (opponent, "True")
            )
            for r in measured
        ]
        assert f"{100 * min(found):.0f} to {100 * max(found):.0f} %" in told


def test_the_command_keeps_class_names_on_demand(table: pd.DataFrame) -> None:
    given = ("fit", "t.csv", "--target", "ill", "--label", "yes", "--synthesizer", "tvae")
    for option, told in (((), False), (("--keep-class-names",), True)):
        run(*given, "--set", "steps=2", "-o", "m", *option)
        assert ("perhaps" in run("show", "m")) is told


def test_a_classifier_tells_what_it_holds(table: pd.DataFrame) -> None:
    model = ImbalancedClassifier(members=["logistic"], random_state=0)
    rows = table[table["ill"] != "perhaps"]
    model.fit(rows.drop(columns="ill"), rows["ill"]).save("auto.skops")
    shown = " ".join(run("show", "auto.skops").split())
    assert "it does hold the names of all classes" in shown
    assert "even if only one row has them" in shown
    content = json.loads(run("show", "auto.skops", "--json", "-"))
    assert content["classes"] == ["no", "yes"]
