"""`synthgen compare`, `auto` and `predict` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from synthgen import read_table
from synthgen.cli.main import main
from synthgen.tables.write import write_table

FEW = ("--estimator", "sklearn.linear_model:LogisticRegression", "--folds", 2, "--repeats", 1)
AUTO = (
    "auto",
    "data.csv",
    "--target",
    "outcome",
    "--members",
    "logistic",
    "--jobs",
    1,
    "--seed",
    0,
)
QUICK = (*FEW, "--strategies", "class_weight,oversample", "--jobs", 1, "--seed", 0)


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """The table that is ``data.csv`` in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    rng = np.random.default_rng(0)
    ill = rng.permutation(np.repeat([0, 1], [170, 30]))
    frame = pd.DataFrame(
        {
            "patient_id": np.arange(1001, 1201),
            "dose": rng.normal(2.0 * ill).round(3),
            "sex": rng.choice(["f", "m"], 200),
            "outcome": np.where(ill == 1, "yes", "no"),
        }
    )
    frame.to_csv("data.csv", index=False)
    return frame


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)), prog_name="synthgen")


def test_compare_shows_a_table_both_verdicts_and_the_same_as_json() -> None:
    how = (*QUICK, "--json", "out.json", "--verbose")
    result = run("compare", "data.csv", "--target", "outcome", *how)
    assert result.exit_code == 0, result.output
    for name in ("nothing", "threshold", "class_weight", "oversample"):
        assert f"\n {name} " in result.stdout
    assert "class 'yes' of outcome: 30 of 200 rows" in result.stdout
    found = json.loads(Path("out.json").read_text())
    assert result.stdout.startswith(found["recommendation"]["text"])
    for kind in ("ranking", "decision"):
        assert found["verdict"][kind]["text"].partition(": ")[2] in result.stdout
    each = ("--strategies", "class_weight", "--strategies", "oversample", *QUICK[-4:])
    only = run("compare", "data.csv", "--target", "outcome", *FEW, *each, "--json", "-")
    again = json.loads(only.stdout)
    for timed in (found, again):
        timed["seconds"] = {}
    assert again == found


def test_compare_in_money_by_group_and_resumed() -> None:
    how = (*QUICK, "--cost", "fn=50", "--cost", "fp=1", "--by", "sex", "--resume", "kept.json")
    result = run("compare", "data.csv", "--target", "outcome", *how, "--json", "out.json")
    assert result.exit_code == 0, result.output
    found = json.loads(Path("out.json").read_text())
    assert found["verdict"]["decision"]["metric"] == "cost"
    assert [(g["value"], len(g["results"])) for g in found["by"]["groups"]] == [("f", 3), ("m", 3)]
    low, high = found["by"]["groups"][0]["results"][0]["mean_interval"]
    assert f"[{low:.3f}, {high:.3f}]" in result.stdout
    assert len(json.loads(Path("kept.json").read_text())["done"]) == 6
    again = run("compare", "data.csv", "--target", "outcome", *how, "--json", "-")
    assert json.loads(again.stdout)["seconds"] == found["seconds"]  # nothing was done again


def test_a_sweep_shows_its_curves_and_writes_page_and_json() -> None:
    how = (*QUICK, "--sweep", "0.05,30", "--html", "sweep.html", "--json", "sweep.json")
    result = run("compare", "data.csv", "--target", "outcome", *how)
    assert result.exit_code == 0, result.output
    found = json.loads(Path("sweep.json").read_text())
    assert [point["rare"] for point in found["points"]] == [9, 30]
    assert "always no: accuracy" in result.stdout
    assert "As “yes” gets rarer" in Path("sweep.html").read_text(encoding="utf-8")
    refused = run("compare", "data.csv", "--target", "outcome", *QUICK, "--sweep", "0.5")
    assert (refused.exit_code, "only leaves rows out" in refused.stderr) == (2, True)


def test_groups_share_a_fold_and_are_not_learned(data: pd.DataFrame) -> None:
    # The group alone tells the class: learned, or parted, it would make the ranking perfect.
    rng = np.random.default_rng(1)
    code = np.where(data["outcome"] == "yes", rng.integers(0, 5, 200), rng.integers(5, 40, 200))
    data.assign(dose=rng.normal(size=200).round(3), ward=code).to_csv("data.csv", index=False)
    base = ("compare", "data.csv", "--target", "outcome", *QUICK, "--json", "-")
    parted, grouped = (json.loads(run(*base, *more).stdout) for more in ((), ("--groups", "ward")))
    ap = [next(r for r in f["results"] if r["strategy"] == "nothing") for f in (parted, grouped)]
    assert ap[0]["mean"] > 0.9
    assert ap[1]["mean"] < 0.5
    result = run(*AUTO, "--groups", "ward", "-o", "model.skops")
    assert result.exit_code == 0, result.output
    read_table("data.csv").drop(columns=["ward", "outcome"]).to_csv("new.csv", index=False)
    assert run("predict", "model.skops", "new.csv", "-o", "out.csv").exit_code == 0


def test_auto_writes_a_model_and_predict_uses_it(data: pd.DataFrame) -> None:
    how = ("--html", "auto.html", "--json", "auto.json", "-o", "model.skops")
    result = run(*AUTO, *how)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("Predict 'yes' if its probability is at least 0.")
    assert "Probabilities: log-loss 0." in result.stdout
    found = json.loads(Path("auto.json").read_text())
    assert found["recommendation"]["text"] in " ".join(result.stdout.split())
    assert found["recommendation"]["command"] == "synthgen predict model.skops NEW -o OUT"
    assert found["members"] == ["logistic"]
    assert set(found["quality"]["figures"]) == {"this classifier", "plain boosting"}
    assert "plain boosting" in Path("auto.html").read_text(encoding="utf-8")
    new = data.drop(columns="outcome")
    new.loc[0, "sex"] = "never seen"
    new.to_csv("new.csv", index=False)
    result = run("predict", "model.skops", "new.csv", "-o", "out.csv", "--json", "out.json")
    assert result.exit_code == 0, result.output
    out = read_table("out.csv")
    assert list(out.columns) == [*new.columns, "predicted", "probability"]
    pd.testing.assert_frame_equal(out[new.columns], read_table("new.csv"))
    assert (out["predicted"] == data["outcome"]).mean() > 0.8
    assert out["probability"].mean() == pytest.approx(0.15, abs=0.03)
    said = json.loads(Path("out.json").read_text())
    assert said["measured"] is None
    both = run("predict", "model.skops", "data.csv", "-o", "both.csv")
    assert "30 of them yes: average precision" in both.stdout
    assert (said["rows"], said["predicted"]) == (200, (out["predicted"] == "yes").sum())
    new.drop(columns="dose").to_csv("less.csv", index=False)
    result = run("predict", "model.skops", "less.csv", "-o", "out2.csv")
    assert result.exit_code == 3
    assert "column 'dose' is missing" in result.stderr
    result = run("predict", "model.skops", "out.csv", "-o", "out2.csv")
    assert result.exit_code == 2
    assert "already has a column 'predicted'" in result.stderr
    assert run("predict", "data.csv", "new.csv", "-o", "out2.csv").exit_code == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--strategies", "smote"), "--strategies: auto averages several classifiers"),
        (("--estimator", "rf"), "to compare strategies, use synthgen compare"),
        (("--members", "forrest"), "did you mean 'forest'"),
        (("--false-alarms", "1"), "--false-alarms"),
        (("--false-alarms", "0.1", "--cost", "fn=5", "--cost", "fp=1"), "give one of them"),
        (("--html", "data.csv"), "already an input or another output"),
    ],
)
def test_mistakes_of_auto_are_one_line(arguments: tuple[str, ...], said: str) -> None:
    result = run(*AUTO, *arguments, "-o", "model.skops")
    assert result.exit_code == 2
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not Path("model.skops").exists()


def test_auto_refuses_members_that_its_file_cannot_hold() -> None:
    member = "sklearn.neighbors:KNeighborsClassifier"
    result = run(*AUTO, "--members", member, "-o", "model.skops")
    assert result.exit_code == 4
    assert "KNeighborsClassifier" in result.stderr
    assert "E434" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not Path("model.skops").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--cost", "fn"), "write it as fn=500"),
        (("--cost", "fn=5"), "cost must hold"),
        (("--strategies", "magic"), "there is no strategy 'magic'"),
        (("--by", "size"), "no column 'size'"),
        (("--groups", "size"), "no column 'size'"),
        (("--sweep", "a,b"), "write rates"),
        (("--sweep", "0.01"), "leaves 2 rows"),
        (("--sweep", "0.1", "--by", "sex"), "cannot be combined"),
        (("--json", "data.csv"), "already an input or another output"),
        (("--time-budget", "0"), "--time-budget"),
    ],
)
def test_mistakes_are_one_line(arguments: tuple[str, ...], said: str) -> None:
    result = run("compare", "data.csv", "--target", "outcome", *QUICK, *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_augment_with_a_validated_amount() -> None:
    base = ("augment", "data.csv", "--target", "outcome", "--synthesizer", "bootstrap")
    how = ("--ratio", "auto", "--seed", 0, "-o", "out.csv", "--report", "page", "--verbose")
    result = run(*base, *how)
    assert result.exit_code == 0, result.output
    assert "average precision on 5 folds: none 0." in result.stdout
    manifest = json.loads(Path("out.csv.manifest.json").read_text())
    made = manifest["added"][0]["rows"]
    assert len(read_table("out.csv")) == 200 + made
    result = run(*base, "--ratio", "much", "-o", "out.csv")
    assert "--ratio must be a number above 0, auto or double, not much" in result.stderr
    assert result.exit_code == 2


def test_predict_takes_decimals_and_a_day_without_rows(data: pd.DataFrame) -> None:
    data["amt"] = np.arange(200) % 60
    data.to_csv("data.csv", index=False)
    assert run(*AUTO, "-o", "model.skops").exit_code == 0
    new = data.drop(columns="outcome").astype({"amt": float})
    new.loc[3, "amt"] = 16.5
    new.to_csv("new.csv", index=False)
    result = run("predict", "model.skops", "new.csv", "-o", "out.csv")
    assert result.exit_code == 0, result.output
    assert len(read_table("out.csv")) == 200
    new.loc[7, "amt"] = np.inf
    new.to_csv("new.csv", index=False)
    result = run("predict", "model.skops", "new.csv", "-o", "out2.csv")
    assert result.exit_code == 3
    assert "E344: column 'amt', row 7: inf is infinite: replace it" in result.stderr
    for name in ("new.csv", "new.parquet"):
        write_table(new[:0], name)
        for with_class in (False, True):
            if with_class:
                write_table(data[:0], name)
            result = run("predict", "model.skops", name, "-o", "none.csv", "--json", "none.json")
            assert (result.exit_code, "0 rows, 0 predicted yes" in result.stdout) == (0, True)
            names = [*(data if with_class else new).columns, "predicted", "probability"]
            assert Path("none.csv").read_text().strip().split(",") == names
            assert json.loads(Path("none.json").read_text())["rows"] == 0
    assert run("audit", "new.csv", "--target", "outcome").exit_code == 3
