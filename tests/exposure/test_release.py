"""The release audit as a whole: a leaking model is caught, one of other rows is not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pages import cards_of

from synthgen import SequentialTrees, SmoothedBootstrap, load, privacy
from synthgen.cli.main import main
from synthgen.errors import DataError, UsageError
from synthgen.exposure.found import PrivacyAudit
from synthgen.exposure.release import _worst


def rows(number: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    ill = np.arange(number) % 2 == 0
    frame = pd.DataFrame({f"x{j}": rng.normal(size=number) + ill for j in range(3)})
    frame["place"] = rng.choice(list("abcdefgh"), number)
    frame["ill"] = np.where(ill, "yes", "no")
    return frame


TRAIN, HOLDOUT, OTHERS = rows(200, 0), rows(200, 1), rows(200, 2)


def trees(frame: pd.DataFrame, **settings: object) -> SequentialTrees:
    model = SequentialTrees(classes=["yes"], random_state=0, **settings)  # pyright: ignore[reportArgumentType]
    return model.fit(frame.drop(columns="ill"), frame["ill"])


@pytest.fixture(scope="module")
def leaky() -> PrivacyAudit:
    return privacy(trees(TRAIN, trees=1, min_leaf=2), TRAIN, HOLDOUT, target="ill", time_budget=0)


def test_small_leaves_are_caught(leaky: PrivacyAudit):
    worst = leaky.worst("file")
    assert worst.interval[0] > 0.5
    assert worst.auc > worst.auc_null + 0.3
    assert leaky.outcome("file") == "fails"
    assert leaky.recommendation.text.startswith(("Keep the file", "Share neither"))
    assert any("do not share the model file" in note for note in leaky.notes)


def test_a_model_of_other_rows_is_not():
    """Neither table was learned: whatever is told of this model is told of nobody."""
    found = privacy(trees(OTHERS, trees=1, min_leaf=2), TRAIN, HOLDOUT, target="ill", time_budget=0)
    for attack in found.attacks:
        assert abs(attack.auc - attack.auc_null) < 0.1
        assert attack.interval[0] < 0.15


def test_the_exposed_rows_are_named_by_their_place_in_train(leaky: PrivacyAudit):
    assert len(leaky.exposed) == 10
    places = [e.row for e in leaky.exposed]
    assert len(set(places)) == 10
    assert (TRAIN["ill"].iloc[places] == "yes").all()
    alarms = [e.false_alarms for e in leaky.exposed]
    assert alarms == sorted(alarms)
    assert alarms[-1] < 0.05


def test_what_is_shown(leaky: PrivacyAudit, tmp_path: Path):
    lines = repr(leaky).splitlines()
    assert len(lines) <= 12
    assert max(map(len, lines)) <= 100
    assert lines[0] == leaky.recommendation.text
    assert leaky.recommendation.command.startswith("synthgen ")
    found = tuple(replace(a, tpr_10=0.9, interval=(0.8, 1.0)) for a in leaky.attacks)
    assert replace(leaky, path="m 1", attacks=found).recommendation.command == (
        "synthgen fit TRAIN --target ill --synthesizer tabflow -o other.synthgen"
    )
    frame = leaky.to_frame()
    assert list(frame["opponent"]) == ["file", "rows", "file"]
    assert list(frame["group"]) == ["yes", "yes", "all"]
    content = json.loads(json.dumps(leaky.to_json()))
    assert content["worst"]["file"]["tpr_10"] == leaky.worst("file").tpr_10
    assert content["file"] == "fails"
    leaky.to_html(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "May this model be shared?" in page
    assert f'class="number">{leaky.exposed[0].row}<' in page
    assert "fails" in cards_of(leaky).text


def test_a_file_is_no_safer_than_the_rows_it_makes(leaky: PrivacyAudit, tmp_path: Path):
    file, rows = (next(a for a in leaky.attacks if a.opponent == o) for o in ("file", "rows"))
    safe = replace(file, tpr_10=0.1, interval=(0.05, 0.15))
    bad = replace(rows, tpr_10=0.9, interval=(0.8, 1.0))
    found = replace(leaky, attacks=tuple(_worst([safe, bad])))
    assert found.outcome("file") == found.outcome("rows") == "fails"
    assert found.worst("file") == replace(bad, opponent="file")
    # One figure for one attack: in the sentence, the cards, the table, the JSON and the page.
    assert found.recommendation.certainty.count("90.0%") == 2
    assert [card.text.count("90.0%") for card in found.cards] == [1, 1, 0]
    assert [row[2] for row in found.key_figures()[1]] == ["90.0% [80.0%, 100.0%]"] * 2
    assert [a["tpr_10"] for a in found.to_json()["attacks"]] == [0.9, 0.9]
    found.to_html(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "90.0" in page
    assert "10.0%" not in page.partition("<tbody>")[2].partition("</tbody>")[0]
    both = (safe, replace(safe, opponent="rows"))
    assert replace(leaky, attacks=both).outcome("file") == "passes"


@pytest.mark.slow
def test_same_seed_same_figures(leaky: PrivacyAudit):
    again = privacy(trees(TRAIN, trees=1, min_leaf=2), TRAIN, HOLDOUT, target="ill", time_budget=0)
    assert again.attacks == leaky.attacks
    assert again.exposed == leaky.exposed


def test_pairs_and_files_are_taken_too(leaky: PrivacyAudit, tmp_path: Path):
    trees(TRAIN, trees=1, min_leaf=2).save(tmp_path / "m.synthgen")
    pairs = ((frame.drop(columns="ill"), frame["ill"]) for frame in (TRAIN, HOLDOUT))
    found = privacy(tmp_path / "m.synthgen", *pairs, time_budget=0)
    assert found.path == str(tmp_path / "m.synthgen")
    assert str(tmp_path) in found.recommendation.command or found.outcome("rows") == "fails"
    assert found.attacks == leaky.attacks


@pytest.mark.slow
def test_what_is_its_rows_has_no_file():
    model = SmoothedBootstrap(classes=["yes"], random_state=0)
    model.fit(TRAIN.drop(columns="ill"), TRAIN["ill"])
    found = privacy(model, TRAIN, HOLDOUT, target="ill", time_budget=0)
    assert found.outcome("file") == "fails"
    assert found.worst("file").auc > 0.9
    # A bootstrap of n rows draws 63 % of them; the others leave no trace, so rows alone reach at
    # most .63 + .37 / 2 = .82.
    assert 0.7 < found.worst("rows").auc < 0.85
    assert found.outcome("rows") == "fails"
    assert found.recommendation.text.startswith("Share neither")
    assert any("would hold training rows" in note for note in found.notes)


def test_errors_say_what_to_do():
    model = trees(TRAIN)
    with pytest.raises(UsageError, match="target="):
        privacy(model, TRAIN, HOLDOUT)
    with pytest.raises(UsageError, match="has 3 rows of 'yes'"):
        privacy(model, TRAIN, HOLDOUT.iloc[:6], target="ill")
    with pytest.raises(DataError, match="lacks x2"):
        privacy(model, TRAIN, HOLDOUT.drop(columns="x2"), target="ill", time_budget=0)


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    trees(TRAIN).save(tmp_path / "m.synthgen")
    for name, frame in (("t", TRAIN), ("h", HOLDOUT)):
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    tables = ["--train", f"{tmp_path}/t.csv", "--holdout", f"{tmp_path}/h.csv"]
    page = ["--html", f"{tmp_path}/p.html", "--json", f"{tmp_path}/p.json"]
    arguments = ["privacy", f"{tmp_path}/m.synthgen", *tables, *page, "--time-budget", "0"]
    with pytest.raises(SystemExit) as done:
        main([*arguments, "--gate", "worst.file.tpr_10<=0.0"])
    assert done.value.code == 7
    content = json.loads((tmp_path / "p.json").read_text())
    printed = capsys.readouterr().out
    assert printed.startswith(content["recommendation"]["text"])
    assert load(tmp_path / "m.synthgen").schema_.target == "ill"
