"""The command line: exit status, whole messages, and files, byte for byte where it matters."""

import bz2
import errno
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from synthgen import read_table
from synthgen.augmentation.augment import DEFAULT_SYNTHESIZER
from synthgen.cli import terminal
from synthgen.cli.main import main
from synthgen.errors import ConvergenceError, DataError
from synthgen.metrics import attacks
from synthgen.metrics import evaluate as evaluate_module
from synthgen.synthesizers.tvae import TVAE

ROOT = Path(__file__).resolve().parents[2]
AN_ID = "new IDs (consecutive numbers, one for each row)"
CLASSES = {"no": 60, "yes": 12, "maybe": 20}


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    outcome = rng.permutation(np.repeat(list(CLASSES), list(CLASSES.values())))
    rows = len(outcome)
    sick = outcome == "yes"
    return pd.DataFrame(
        {
            "patient_id": np.arange(1001, 1001 + rows),
            "outcome": outcome,
            "age": pd.array(rng.integers(18, 90, rows), dtype="Int64"),
            "dose": np.round(rng.lognormal(1 + sick, 1, rows), 2),
            "sex": rng.choice(["f", "m"], rows),
            "seen": pd.to_datetime("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, rows), "D"),
            "smoker": rng.random(rows) < 0.3,
        }
    ).assign(age=lambda f: f["age"].mask(np.arange(rows) % 9 == 0))


@pytest.fixture
def table(frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The table as ``data.csv`` in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")  # a narrow terminal folds what the tests look for
    path = Path("data.csv")
    frame.to_csv(path, index=False)
    return path


def run(*arguments: object) -> Result:
    # With catch_exceptions a bug of the tests would pass for exit status 1.
    return CliRunner().invoke(
        main, list(map(str, arguments)), prog_name="synthgen", catch_exceptions=False
    )


def succeed(*arguments: object) -> Result:
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    return result


def fail(status: int, *arguments: object) -> str:
    """The one line on standard error of a command that ends with `status`."""
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (status, ""), result.output
    (line,) = result.stderr.splitlines()
    return line


AUGMENT = ("augment", "data.csv", "--target", "outcome", "--synthesizer", "bootstrap")
DOUBLE = ("--ratio", "double")


def augment(output: str, *arguments: object) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The table and the manifest of a run with the cheapest synthesizer."""
    amount = () if {"-n", "--ratio"} & {*arguments} else DOUBLE
    weights = () if "--weights" in arguments else ("--no-weights",)
    succeed(*AUGMENT, "-o", output, *amount, *weights, *arguments)
    return read_table(output), json.loads(Path(f"{output}.manifest.json").read_text())


# --- help -------------------------------------------------------------------------------------


def commands() -> list[str]:
    return main.list_commands(click.Context(main))


def test_there_are_these_commands():
    assert set(commands()) == {
        *("audit", "augment", "auto", "compare", "demo", "evaluate", "fit", "predict", "sample"),
        *("privacy", "schema", "show"),
    }


@pytest.mark.parametrize("command", commands())
def test_every_command_has_help_and_an_example(command: str):
    printed = succeed(command, "--help").stdout
    assert re.search(rf"Example:\n +synthgen {command}\b", printed)
    for parameter in main.commands[command].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.opts


def test_without_a_command_the_help_is_shown():
    assert succeed().stdout == succeed("--help").stdout


def test_version():
    assert re.fullmatch(r"synthgen \d+\.\d+\.\d+\n", succeed("--version").stdout)


def test_help_names_the_default_synthesizer():
    for command in ("augment", "fit"):
        printed = " ".join(succeed(command, "--help").stdout.split())
        assert f"[default: {DEFAULT_SYNTHESIZER}]" in printed


# --- augment ----------------------------------------------------------------------------------


def test_augment_doubles_the_rarest_class(table: Path, frame: pd.DataFrame):
    result, manifest = augment("out.csv", "--seed", 0)
    real = read_table(table)
    assert result["outcome"].value_counts().to_dict() == CLASSES | {"yes": 24}
    pd.testing.assert_frame_equal(result.iloc[: len(real)], real)
    assert Path("out.csv").read_text().startswith(table.read_text())
    new = result.iloc[len(real) :]
    assert set(new["outcome"]) == {"yes"}
    assert new["patient_id"].tolist() == list(range(1093, 1105))
    of_class = real[real["outcome"] == "yes"]
    for name in ("age", "dose", "seen"):
        assert new[name].dropna().between(of_class[name].min(), of_class[name].max()).all()
    assert manifest["added"] == [{"label": "yes", "rows": 12, "amount": "doubles its 12 rows"}]


def test_augment_brings_a_small_class_to_the_share(table: Path, frame: pd.DataFrame):
    cut = frame.drop(frame.index[frame["outcome"] == "yes"][4:])
    cut.to_csv(table, index=False)
    result, manifest = augment("out.csv", "--ratio", 0.3)
    assert result["outcome"].value_counts().to_dict() == CLASSES | {"yes": 18}
    assert manifest["added"][0]["amount"] == "to 0.3 of the 60 rows of 'no'"


def test_augment_says_what_it_did(table: Path):
    result = succeed(*AUGMENT, *DOUBLE, "-o", "out.csv", "--seed", 0)
    advice = json.loads(Path("out.csv.manifest.json").read_text())["recommendation"]
    assert result.stdout.splitlines()[:3] == [
        advice["text"],
        f"How sure: {advice['certainty']}",
        f"Run: {advice['command']}",
    ]
    assert "New rows: 12 of 'yes'. 'yes': 12 to 24" in result.stdout
    assert advice["action"] == "do not share"  # rows of the bootstrap are real rows, moved a little
    assert "synthgen auto data.csv --target outcome" in advice["command"]
    assert re.search(r"^ *yes +12 +12 +24$", result.stdout, re.MULTILINE)
    assert result.stdout.splitlines()[-1] == (
        "wrote out.csv: 92 original rows, then 12 new, made on cpu; manifest out.csv.manifest.json"
    )
    assert result.stderr == ""
    told = succeed(*AUGMENT, *DOUBLE, "-o", "out.csv", "--seed", 0, "--verbose").stdout
    assert f"column 'patient_id' is not learned; in new rows it holds: {AN_ID}\n" in told
    quiet = succeed(*AUGMENT, *DOUBLE, "-o", "out.csv", "--seed", 0, "--quiet")
    assert quiet.stdout.splitlines() == result.stdout.splitlines()[:3]
    assert quiet.stderr == ""
    both = fail(2, *AUGMENT, *DOUBLE, "-o", "out.csv", "--quiet", "--verbose")
    assert both.startswith("error E255: --verbose and --quiet were both given")


def test_parquet_keeps_every_dtype(table: Path, frame: pd.DataFrame):
    frame["sex"] = frame["sex"].astype(pd.CategoricalDtype(["m", "f", "x"], ordered=True))
    frame["dose"] = frame["dose"].astype("float32")
    frame["smoker"] = frame["smoker"].astype("boolean")
    frame["seen"] = frame["seen"].dt.tz_localize("Europe/Vienna")
    frame.to_parquet("data.parquet")
    succeed("augment", "data.parquet", *AUGMENT[2:], *DOUBLE, "-o", "out.parquet", "--seed", 0)
    result = pd.read_parquet("out.parquet")
    assert result.pop("sample_weight").tolist() == [1.0] * len(result)
    assert result.dtypes.to_dict() == frame.dtypes.to_dict()
    pd.testing.assert_frame_equal(result.iloc[: len(frame)], frame)
    assert len(result) == len(frame) + 12


def test_only_new_and_mark(table: Path):
    whole, _ = augment("whole.csv", "--seed", 0, "--mark", "made")
    new, manifest = augment("new.csv", "--seed", 0, "--mark", "made", "--only-new")
    assert whole["made"].tolist() == [False] * 92 + [True] * 12
    pd.testing.assert_frame_equal(new, whole.iloc[92:].reset_index(drop=True))
    assert manifest["output"]["rows"] == 12
    assert fail(2, *AUGMENT, "-o", "out.csv", "--mark", "sex") == (
        "error E287: --mark sex: the table has such a column: choose another name"
    )


def test_weights_are_a_column(table: Path):
    whole, _ = augment("whole.csv", "--seed", 0, "--weights", "weight", "-n", 48)
    assert whole["weight"].tolist() == [1.0] * 92 + [0.25] * 48  # 12 real rows of the class
    new, _ = augment("new.csv", "--seed", 0, "--weights", "weight", "-n", 48, "--only-new")
    assert new["weight"].tolist() == [0.25] * 48
    assert fail(2, *AUGMENT, "-o", "out.csv", "--weights", "sex").startswith(
        "error E287: --weights sex: the table has such a column: choose another name"
    )
    both = fail(2, *AUGMENT, "-o", "out.csv", "--weights", "w", "--mark", "w")
    assert both == "error E287: --mark and --weights are both 'w': rename one"


def test_weights_are_written_beside_real_rows_unless_they_are_left_out(table: Path):
    printed = succeed(*AUGMENT, "-n", 24, "--seed", 0, "-o", "out.csv").stdout
    assert "column sample_weight: give it to the classifier as sample_weight" in printed
    assert read_table("out.csv")["sample_weight"].tolist() == [1.0] * 92 + [0.5] * 24
    again = ("augment", "out.csv", *AUGMENT[2:], "-n", 1, "-o", "o.csv", "--seed", 0)
    assert fail(2, *again) == (
        "error E287: --weights sample_weight: the table has such a column: choose another name, or "
        "leave it out with --no-weights"
    )
    succeed(*AUGMENT, "-n", 24, "--seed", 0, "-o", "new.csv", "--only-new")
    assert "sample_weight" not in read_table("new.csv")


def test_amount_by_rows_and_by_ratio(table: Path):
    by_rows, _ = augment("a.csv", "-n", 5)
    by_ratio, manifest = augment("b.csv", "--ratio", 0.5)
    assert by_rows["outcome"].value_counts()["yes"] == 17
    assert by_ratio["outcome"].value_counts()["yes"] == 30
    assert manifest["added"][0]["amount"] == "to 0.5 of the 60 rows of 'no'"


def test_several_classes_get_ids_of_their_own(table: Path):
    result, manifest = augment("out.csv", "--label", "yes", "--label", "maybe", "-n", 7)
    assert result["outcome"].tolist()[92:] == ["yes"] * 7 + ["maybe"] * 7
    assert result["patient_id"].is_unique
    assert manifest["counts"] == {
        "maybe": {"before": 20, "after": 27},
        "no": {"before": 60, "after": 60},
        "yes": {"before": 12, "after": 19},
    }


def test_text_ids_go_on_where_an_earlier_run_ended(table: Path, frame: pd.DataFrame):
    frame["patient_id"] = [f"p{i}" for i in range(len(frame))]
    frame.to_csv(table, index=False)
    augment("once.csv")
    succeed("augment", "once.csv", *AUGMENT[2:], *DOUBLE, "-o", "twice.csv")
    ids = read_table("twice.csv")["patient_id"]
    assert ids.is_unique
    # The second run doubles the 20 rows of "maybe", which is the rarest class by then.
    assert ids.iloc[[92, -1]].tolist() == ["synthetic-000001", "synthetic-000032"]


def test_same_seed_same_bytes_other_seed_other_rows(table: Path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        augment(f"{name}.csv", "--seed", seed)
    a, b, c = (Path(f"{name}.csv").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_a_run_without_seed_can_be_repeated_from_its_manifest(table: Path):
    first = succeed(*AUGMENT, *DOUBLE, "--no-weights", "-o", "a.csv")
    seed = json.loads(Path("a.csv.manifest.json").read_text())["seed"]
    assert (
        f"seed {seed} (drawn at random; --seed {seed} gives the same rows again)\n" in first.stderr
    )
    augment("b.csv", "--seed", seed)
    augment("c.csv")
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes() != Path("c.csv").read_bytes()


def test_manifest(table: Path):
    import torch

    _, manifest = augment("out.csv", "--seed", 3, "--mark", "made", "--set", "bandwidth=0.25")
    assert manifest["synthgen"]["torch"] == torch.__version__
    assert manifest["synthgen"]["pandas"] == pd.__version__
    assert set(manifest["synthgen"]) == {"version", "python", "numpy", "pandas", "torch"}
    assert manifest["data"] == {
        "path": "data.csv",
        "sha256": hashlib.sha256(table.read_bytes()).hexdigest(),
        "rows": 92,
        "columns": 7,
    }
    assert manifest["output"] == {
        "path": "out.csv",
        "sha256": hashlib.sha256(Path("out.csv").read_bytes()).hexdigest(),
        "rows": 104,
        "defused": 0,
    }
    assert manifest["options"] == {
        "target": "outcome",
        "synthesizer": "bootstrap",
        "settings": {"bandwidth": 0.25},
        "device": "auto",
        "seed": 3,
        "ratio": "double",
        "mark": "made",
        "found_rules": True,
        "defuse": True,
    }
    assert manifest["synthesizer"] == {
        "name": "SmoothedBootstrap",
        "params": {"bandwidth": 0.25},
        "training": {},
    }
    assert (manifest["seed"], manifest["device"], manifest["warnings"]) == (3, "cpu", [])
    assert manifest["not_learned"] == {"patient_id": AN_ID}
    assert set(manifest["seconds"]) == {"read", "fit", "sample", "write"}
    assert all(value >= 0 for value in manifest["seconds"].values())


def test_rules(table: Path):
    line = ("--rule", "dose < 5 or smoker", "--rule", "age >= 20")
    rows, manifest = augment("out.csv", "--seed", 0, "-n", 200, "--only-new", *line)
    assert ((rows["dose"] < 5) | rows["smoker"]).all()
    assert (rows["age"].dropna() >= 20).all()
    refused = manifest["guard"]["yes"]["refused"]
    copies = "copy of a training row"
    assert set(refused) <= {"rule: dose < 5 or smoker", "rule: age >= 20", copies}
    assert manifest["options"]["rules"] == [line[1], line[3]]
    assert re.search(
        r"refused of 'yes', of \d+ rows drawn: \d+ rule: dose < 5 or smoker",
        succeed(*AUGMENT, "-o", "b.csv", "--seed", 0, "-n", 200, *line, "--verbose").stdout,
    )
    message = fail(2, *AUGMENT, "-o", "c.csv", "--seed", 0, "--rule", "weight > 3")
    assert message.startswith("error E252: rule 'weight > 3' names column 'weight', but there is n")


def test_formulas_are_defused_unless_asked(table: Path, frame: pd.DataFrame):
    frame["sex"] = frame["sex"].map({"f": "=1+1", "m": "-"})
    frame.to_csv(table, index=False)
    result = succeed(*AUGMENT, *DOUBLE, "-o", "a.csv", "--seed", 0)
    rows = len(read_table("a.csv"))
    assert f"note: {rows} cells or names that begin with = + - @ now begin with '" in result.stderr
    assert set(pd.read_csv("a.csv")["sex"]) == {"'=1+1", "'-"}
    assert set(read_table("a.csv")["sex"]) == {"=1+1", "-"}
    unchanged, manifest = augment("b.csv", "--seed", 0, "--no-defuse")
    assert set(unchanged["sex"]) == {"=1+1", "-"}
    assert manifest["output"]["defused"] == 0


def test_a_network_takes_settings_and_reports_its_training(table: Path):
    result = succeed(
        *("augment", "data.csv", "--target", "outcome", "-o", "out.csv", "--seed", 0, *DOUBLE),
        *("--synthesizer", "tvae", "--set", "steps=5", "--set", "scope=class"),
    )
    manifest = json.loads(Path("out.csv.manifest.json").read_text())
    training = manifest["synthesizer"]["training"]["yes"]
    assert (training["scope"], training["steps"], training["best_step"]) == ("class", 5, 5)
    assert manifest["synthesizer"]["params"]["steps"] == 5
    assert "training on" not in result.stderr, "a bar where nobody watches"


def test_a_fallback_is_noted_on_one_line_and_in_the_manifest(table: Path, frame: pd.DataFrame):
    frame.drop(frame.index[frame["outcome"] == "yes"][5:]).to_csv(table, index=False)
    result = succeed(
        *("augment", "data.csv", "--target", "outcome", "-o", "out.csv", "--seed", 0, *DOUBLE),
        *("--synthesizer", "tvae", "--set", "steps=5"),
    )
    note = (
        "a network learns nothing from fewer than 10 rows; a smoothed bootstrap makes the rows of "
        "'yes' (5)"
    )
    assert result.stderr.splitlines()[0] == f"note: {note}"
    manifest = json.loads(Path("out.csv.manifest.json").read_text())
    assert manifest["warnings"] == [note]
    assert manifest["synthesizer"]["training"] == {"yes": {"fallback": "bootstrap"}}


def test_an_edited_schema_is_obeyed(table: Path):
    succeed("schema", "data.csv", "--target", "outcome", "-o", "schema.json")
    content = json.loads(Path("schema.json").read_text())
    (column,) = [c for c in content["columns"] if c["name"] == "patient_id"]
    assert column["kind"] == "id"
    column["kind"] = "integer"
    Path("schema.json").write_text(json.dumps(content))
    result, manifest = augment("out.csv", "--schema", "schema.json", "--seed", 0)
    assert manifest["not_learned"] == {}
    assert result["patient_id"].max() <= 1092


@pytest.mark.parametrize(
    "command",
    [
        (*AUGMENT, "-o", "out.csv", "-n", 3),
        ("audit", "data.csv", "--target", "outcome"),
        ("schema", "data.csv", "--target", "outcome"),
        (
            "fit",
            "data.csv",
            "--target",
            "outcome",
            "--synthesizer",
            "trees",
            "--set",
            "min_leaf=6",
            "-o",
            "m.synthgen",
        ),
    ],
    ids=lambda command: command[0],
)
@pytest.mark.usefixtures("quick_judges")
def test_a_schema_of_another_target_or_dtype_is_told(
    table: Path, frame: pd.DataFrame, command: tuple[object, ...]
):
    frame.assign(age=np.linspace(0.5, 99.5, len(frame))).to_csv("other.csv", index=False)
    succeed("schema", "other.csv", "--target", "sex", "-o", "schema.json")
    told = succeed(*command, "--schema", "schema.json").stderr
    assert "note: the schema was made for target 'sex', but the target here is 'outcome'" in told
    assert "note: column 'age' is Int64 in the table and float64 in the schema" in told


def test_an_index_is_not_lost_silently(table: Path, frame: pd.DataFrame):
    frame.set_index("patient_id").to_parquet("data.parquet")
    result = succeed("augment", "data.parquet", *AUGMENT[2:], *DOUBLE, "-o", "out.csv", "--seed", 0)
    assert result.stderr == (
        "note: the index of data.parquet ('patient_id') is not a column and is left out\n"
    )
    frame.sample(frac=1, random_state=0).to_parquet("data.parquet")  # as of train_test_split
    assert "index" not in succeed("schema", "data.parquet", "--target", "outcome").stderr
    frame.set_index(["patient_id", frame.index]).to_parquet("data.parquet")
    assert "the index of data.parquet ('patient_id')" in succeed("schema", "data.parquet").stderr


@pytest.mark.usefixtures("quick_judges")
def test_report(table: Path):
    result = succeed(*AUGMENT, *DOUBLE, "-o", "out.csv", "--seed", 0, "--report", "page")
    assert result.stdout.endswith("wrote page/report.html\n")
    page = Path("page/report.html").read_text()
    assert "12 new rows of “yes” from 12 real ones" in page
    assert page.count('role="img"') == 5  # all columns but the ID and the target
    assert not re.search(r"(src|href)=\"?(https?:)?//", page)
    scores = json.loads(Path("page/report.json").read_text())["column_shapes"]["yes"]
    assert [s["column"] for s in scores] == ["age", "dose", "sex", "seen", "smoker"]
    assert all(0.3 < s["score"] <= 1 and 0.3 < s["real_half_against_half"] <= 1 for s in scores)


# --- models -----------------------------------------------------------------------------------

FIT = (
    *("fit", "data.csv", "--target", "outcome", "--synthesizer", "tvae"),
    *("--set", "steps=5", "--seed", "0"),
)


def test_fit_show_sample_augment(table: Path, frame: pd.DataFrame):
    fitted = succeed(*FIT, "-o", "m.synthgen", "--json", "fit.json")
    assert "coarsened in the file: age: " in fitted.stdout
    assert re.search(r"^wrote m.synthgen: TVAE of yes, trained on (cpu|cuda)$", fitted.stdout, re.M)
    assert json.loads(Path("fit.json").read_text())["labels"] == ["yes"]

    shown = succeed("show", "m.synthgen", "--json", "shown.json").stdout
    assert shown.startswith("TVAE, target 'outcome'\n")
    assert re.search(r"^ *yes +10 +adapt$", shown, re.MULTILINE)
    assert "columns as stored for 'yes'" in shown
    content = json.loads(Path("shown.json").read_text())
    assert content["header"]["counts"] == [20, 60, 10]
    arrays = {a["name"]: a for a in content["arrays"]}
    assert arrays["0/sampler/body.0.weight"]["shape"][0] == 128
    learned = [a for name, a in arrays.items() if "/encoder/" in name]
    assert learned
    assert all(len(a["values"]) == a["shape"][0] for a in learned)
    assert list(arrays) == sorted(arrays)
    assert "values" not in arrays["0/sampler/body.0.weight"]

    assert fail(
        2, "sample", "m.synthgen", "-n", 9, "-o", "r.csv", "--label", "no", "--seed", 0
    ) == (
        "error E206: class 'no' was not learned, only 'yes': fit again with this class among the "
        "classes (--label on the command line)"
    )
    sampled = succeed("sample", "m.synthgen", "-n", 9, "-o", "rows.csv", "--seed", 4)
    assert sampled.stdout == "wrote rows.csv: 9 rows, 9 of yes\n"
    rows = read_table("rows.csv")
    assert rows["outcome"].tolist() == ["yes"] * 9
    assert list(rows.columns) == [*frame.columns.drop("outcome"), "outcome"]

    ruled = succeed("sample", "m.synthgen", *("-n", 50, "-o", "ruled.csv", "--rule", "dose < 4"))
    assert (read_table("ruled.csv")["dose"] < 4).all()
    assert re.search(r"refused, of \d+ rows drawn: \d+ rule: dose < 4", ruled.stdout)

    with_model = ("augment", "data.csv", "--target", "outcome", "--model", "m.synthgen")
    succeed(*with_model, "-n", 9, "-o", "out.csv", "--seed", 4)
    new = read_table("out.csv").iloc[92:].reset_index(drop=True)
    assert new["patient_id"].tolist() == list(range(1093, 1102))
    kept = [c for c in rows.columns if c != "patient_id"]
    pd.testing.assert_frame_equal(new[kept], rows[kept], check_dtype=False)
    manifest = json.loads(Path("out.csv.manifest.json").read_text())
    digest = hashlib.sha256(Path("m.synthgen").read_bytes()).hexdigest()
    assert manifest["model"] == {"path": "m.synthgen", "sha256": digest}


def test_a_model_refuses_a_table_that_does_not_fit(table: Path, frame: pd.DataFrame):
    succeed(*FIT, "-o", "m.synthgen")
    changed = frame.rename(columns={"dose": "amount"}).assign(smoker="often")
    changed.loc[3, "smoker"] = "never"
    changed.to_csv(table, index=False)
    use = ("augment", "data.csv", "--target", "outcome", "--model", "m.synthgen", "-o", "o.csv")
    assert fail(3, *use, "--seed", 0) == (
        "error E361: the table does not fit the model: column 'dose' is missing; column 'amount' "
        "is unknown to the model; column 'smoker' is object, the model learned bool: give it the "
        "columns of the training table, or train again"
    )
    assert fail(2, *use, "--synthesizer", "tvae") == (
        "error E288: --synthesizer is for training, but --model trains nothing: leave one of them "
        "out"
    )


def test_fit_refuses_what_it_could_not_save(table: Path):
    line = fail(
        4, "fit", "data.csv", "--target", "outcome", "--synthesizer", "bootstrap", "-o", "m"
    )
    assert line.startswith("error E401: a SmoothedBootstrap consists of its training rows")
    assert not Path("m").exists()


def test_a_class_too_small_for_a_file_is_refused_before_training(
    table: Path, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(TVAE, "_fit", no_training)
    frame.drop(frame.index[frame["outcome"] == "yes"][5:]).to_csv(table, index=False)
    line = fail(4, *FIT, "-o", "m", "--seed", 0)
    assert line.startswith("error E406: class 'yes' has fewer than 10 rows and is made by resampl")


# --- audit ------------------------------------------------------------------------------------


def test_audit_says_what_the_table_can_tell_and_gates_it(table: Path):
    AUDIT = ("audit", "data.csv", "--target", "outcome")
    printed = succeed(*AUDIT, "--json", "audit.json", "--gate", "minority.rows>=12").stdout
    assert "Class: 12 rows of 'yes'. 13.043% of 92 rows" in printed
    report = json.loads(Path("audit.json").read_text())
    assert report["minority"]["rows"] == 12
    failed = run(*AUDIT, "--gate", "minority.rows>=50")
    assert failed.exit_code == 7
    assert failed.stderr == "error E701: data.csv does not pass minority.rows>=50 (it is 12)\n"
    assert "average precision" in failed.stdout, "what was found is shown all the same"
    assert fail(2, *AUDIT, "--gate", "minority.rows").startswith("error E291:")
    grouped = succeed(*AUDIT, "--groups", "sex").stdout
    assert "5 features" in grouped
    assert fail(2, *AUDIT, "--groups", "ward").startswith("error E245: groups: there is no col")
    same = succeed(*AUDIT, "--against", "audit.json").stdout
    assert "92 rows before, 92 now; differences: 0" in same
    Path("old.json").write_text("{")
    assert fail(2, *AUDIT, "--against", "old.json").startswith(
        "error E279: cannot read the JSON of an audit: old.json"
    )


# --- evaluate -------------------------------------------------------------------------------------


@pytest.fixture
def quick_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    from synthgen.metrics import samples, utility_trial
    from synthgen.model_selection import classifiers as judges

    monkeypatch.setitem(judges.SETTINGS["boosting"], "max_iter", 5)
    monkeypatch.setitem(judges.FOR_SMALL, "max_iter", 5)
    monkeypatch.setattr(samples, "HALVES", 3)
    monkeypatch.setattr(utility_trial, "REPLICATES", 20)
    monkeypatch.setattr(attacks, "REPEATS", (1, 1))


@pytest.mark.usefixtures("quick_judges")
def test_evaluate_measures_gates_and_writes(table: Path, frame: pd.DataFrame):
    frame[frame.outcome == "yes"].to_csv("new.csv", index=False)
    same = ["evaluate", "--train", table, "--synthetic", "new.csv", "--target", "outcome"]
    frame.assign(dose=frame.dose + 0.37).to_csv("held.csv", index=False)
    given = [*same, "--holdout", "held.csv", "--judges", "logistic", "--by", "sex"]
    shown = succeed(*given, "--json", "report.json", "--html", "report.html")
    assert "fidelity.battery" in shown.stdout
    assert "Privacy: fails. 100.0% [" in shown.stdout
    advice = json.loads(Path("report.json").read_text())["recommendation"]
    assert shown.stdout.startswith(advice["text"])
    assert advice["action"] == "do not share"
    assert advice["command"].endswith("--label yes --synthesizer tabflow -o OUT")
    assert "of them (yes) are equal to a training row" in shown.stdout
    content = json.loads(Path("report.json").read_text())
    assert content["label"] == "yes"
    assert content["privacy"]["copies"] == 1
    assert Path("report.html").read_text().startswith("<!doctype html>")
    rules = "utility.replace.ap_ratio>=0", "privacy.mia_excess@all<=0.5", "privacy.copies<=0.05"
    failed = run(*given, *(word for rule in rules for word in ("--gate", rule)), "--json", "-")
    assert failed.exit_code == 7
    last = failed.stderr.splitlines()[-1]
    assert last == (
        "error E701: new.csv does not pass privacy.mia_excess@all<=0.5 (it is unknown: it was not "
        "measured for all, but for yes), privacy.copies<=0.05 (it is 1)"
    )
    assert json.loads(failed.stdout)["privacy"]["copies"] == 1


@pytest.mark.parametrize(
    ("says", "made_by"),
    [
        ('{"synthesizer": {"name": "SequentialTrees", "params": {}}}', "SequentialTrees"),
        ('{"synthesizer": "TabFlow"}', "TabFlow"),  # of a stream
        ('{"synthesizer": {"name": 3}}', ""),
        ("[1]", ""),
        ("{", ""),
        (None, ""),
    ],
)
def test_evaluate_reads_the_synthesizer_from_the_manifest(
    table: Path,
    frame: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    says: str | None,
    made_by: str,
):
    frame[frame.outcome == "yes"].to_csv("new.csv", index=False)
    if says is not None:
        Path("new.csv.manifest.json").write_text(says)
    given = noted_synthesizers(monkeypatch)
    fail(3, "evaluate", "--train", table, "--synthetic", "new.csv", "--target", "outcome")
    assert given == [made_by]


@pytest.mark.usefixtures("table")
def test_the_report_of_augment_knows_the_synthesizer(monkeypatch: pytest.MonkeyPatch):
    given = noted_synthesizers(monkeypatch)
    result = run(*AUGMENT, *DOUBLE, "-o", "out.csv", "--seed", 0, "--report", "page")
    assert result.exit_code == 3
    assert given == ["SmoothedBootstrap"]


def noted_synthesizers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The synthesizers with which `evaluate` is called from now on; it measures nothing."""
    given: list[str] = []

    def note(*tables: Any, **how: Any) -> Any:
        given.append(how["synthesizer"])
        raise DataError(364, "that is enough")

    monkeypatch.setattr(evaluate_module, "evaluate", note)
    return given


def test_evaluates_example_can_be_copied_to_a_shell():
    shown = succeed("evaluate", "--help").stdout
    assert "--holdout test.csv \\\n      --target outcome --html" in shown


def test_evaluate_names_mistakes_before_it_measures(table: Path, frame: pd.DataFrame):
    frame.drop(columns="dose").to_csv("new.csv", index=False)
    given = ["evaluate", "--train", table, "--target", "outcome"]
    assert fail(3, *given, "--synthetic", "new.csv") == (
        "error E364: the synthetic table lacks column 'dose' of train: add or rename it"
    )
    assert fail(2, *given, "--synthetic", table, "--judges", "oracle").startswith("error E294:")
    assert fail(2, *given, "--synthetic", table, "--html", table).startswith("error E289:")
    assert fail(2, *given, "--synthetic", table, "--by", "colour").startswith("error E296:")
    unknown = fail(2, *given, "--synthetic", table, "--gate", "privacy.mia_exces@all<=0.1")
    assert unknown.startswith("error E292: gate 'privacy.mia_exces@all<=0.1': there is no number")
    assert "close to it: privacy.mia_excess," in unknown
    assert "docs/reference/gates.md" in unknown


# --- schema -----------------------------------------------------------------------------------


def test_schema_shows_kinds_and_reasons(table: Path):
    printed = succeed("schema", "data.csv", "--target", "outcome").stdout
    assert re.search(r"patient_id +id +.*consecutive numbers", printed)
    assert re.search(r"outcome +categorical +maybe, no, yes +the target, 3 classes", printed)
    assert printed.endswith("data.csv: 92 rows, 7 columns\n")


def test_schema_without_target_and_as_json(table: Path):
    content = json.loads(succeed("schema", "data.csv", "--json", "-").stdout)
    assert (content["rows"], content["target"]) == (92, None)
    assert [c["name"] for c in content["columns"]][:2] == ["patient_id", "outcome"]


# --- run files --------------------------------------------------------------------------------


def test_run_file_and_command_line(table: Path):
    Path("run.toml").write_text(
        'target = "outcome"\nsynthesizer = "bootstrap"\nrows = 3\n'
        'label = ["yes", "maybe"]\nseed = 7\nonly-new = true\n[set]\nbandwidth = 0.5\n'
    )
    base = ("augment", "data.csv", "--config", "run.toml")
    succeed(*base, "-o", "a.csv")
    manifest = json.loads(Path("a.csv.manifest.json").read_text())
    assert [a["rows"] for a in manifest["added"]] == [3, 3]
    assert (manifest["seed"], manifest["output"]["rows"]) == (7, 6)
    assert manifest["synthesizer"]["params"] == {"bandwidth": 0.5}
    succeed(*base, "-o", "b.csv", "--seed", 8, "--label", "yes", "--set", "bandwidth=0")
    manifest = json.loads(Path("b.csv.manifest.json").read_text())
    assert [a["label"] for a in manifest["added"]] == ["yes"]
    assert (manifest["seed"], manifest["synthesizer"]["params"]) == (8, {"bandwidth": 0})
    succeed(*base, "-o", "c.csv", "--label", "yes", "--ratio", 0.5)  # in the place of rows = 3
    manifest = json.loads(Path("c.csv.manifest.json").read_text())
    assert [a["rows"] for a in manifest["added"]] == [18]
    line = fail(2, *base, "-o", "d.csv", "-n", 3, "--ratio", 0.5)
    assert line == "error E275: --ratio 0.5 and -n 3 were both given: drop one"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("sed = 1", "error E282: run.toml: 'sed' is not known; the options are device"),
        ("seed = 2.7", "error E200: Invalid value for '--seed': '2.7' is not a valid integer"),
        ("seed = true", "error E283: run.toml: seed must be a text or a number, not True"),
        ("only-new = 1", "error E283: run.toml: only-new must be true or false, not 1"),
        ("seed =", "error E281: run.toml: cannot read the run file: Invalid value (at"),
        ("[set]\nsteps = 5", "error E285: --set steps: bootstrap has bandwidth"),
    ],
)
def test_a_bad_run_file_is_refused(table: Path, content: str, message: str):
    Path("run.toml").write_text(content)
    line = fail(
        2, *AUGMENT, "-o", "o.csv", "--config", "run.toml", *("--seed", 0)[: 2 * ("set" in content)]
    )
    assert line.startswith(message.replace("there are device", "there are device"))


@pytest.mark.usefixtures("quick_judges")
def test_the_run_file_that_comes_with_the_project_is_understood(table: Path):
    succeed(*AUGMENT[:4], "-o", "o.csv", "--config", ROOT / "configs" / "augment.toml",
            "--synthesizer", "tvae", "--set", "steps=5")  # fmt: skip
    manifest = json.loads(Path("o.csv.manifest.json").read_text())
    assert manifest["synthesizer"]["params"]["batch_size"] == 250
    assert manifest["counts"]["yes"]["after"] == 30
    assert Path("report/report.html").exists()


# --- standard output as JSON ------------------------------------------------------------------


@pytest.mark.parametrize("command", ["augment", "fit", "sample", "schema", "show"])
@pytest.mark.usefixtures("quick_judges")
def test_json_on_standard_output_is_alone_there(
    table: Path, command: str, monkeypatch: pytest.MonkeyPatch
):
    if command in ("sample", "show"):
        succeed(*FIT, "-o", "m.synthgen")
    arguments = {
        "augment": (*AUGMENT, *DOUBLE, "-o", "o.csv"),
        "fit": (*FIT[:-2], "-o", "m.synthgen"),
        "sample": ("sample", "m.synthgen", "-n", 2, "-o", "o.csv"),
        "schema": ("schema", "data.csv", "-o", "s.json"),
        "show": ("show", "m.synthgen"),
    }[command]
    content = json.loads(succeed(*arguments, "--json", "-").stdout)
    assert isinstance(content, dict)
    if command == "augment":
        assert content == json.loads(Path("o.csv.manifest.json").read_text())


# --- exit statuses ----------------------------------------------------------------------------


HINT = "; see synthgen augment --help"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--frob", r"E200: No such option:? '?--frob'?[. ].*" + HINT),
        ("extra.csv", r"E200: Got unexpected extra argument \(extra.csv\)" + HINT),
        ("-n 0", "E200: Invalid value for '-n' / '--rows': 0 is not in the range x>=1" + HINT),
        ("-n 2.7", "E200: Invalid value for '-n' / '--rows': '2.7' is not a valid .*" + HINT),
        ("-n 5 --ratio 1", "E275: --ratio 1.0 and -n 5 were both given: drop one"),
        (
            "--ratio 0.1",
            "E278: class 'yes' has 12 rows, 0.2 of the 60 of 'no': ratio 0.1 asks for no new row; "
            "give a greater one, or say how many rows",
        ),
        ("--ratio nan", "E277: --ratio must be a number above 0, auto or double, not nan"),
        (
            "--label perhaps",
            "E201: label 'perhaps' is no class of the target: it has 'maybe', 'no', 'yes'.*",
        ),
        ("-n 1000000000", "E204: 1,000,000,000 rows need about .* GiB, but this machine has .*"),
        (
            "--set steps",
            "E284: --set 'steps': write it as name=value, such as --set steps=2000",
        ),
        ("--set device=cpu", "E285: --set device: use --device; bootstrap has bandwidth"),
        ("--set bandwidth=wide", "E221: bandwidth must be a number from 0 to 100, not 'wide'"),
        ("--device cuda:99", "E212: device 'cuda:99' was asked for, but this machine .*"),
        ("--json o.csv", "E289: o.csv is already an input or another output: give another name"),
        ("-o data.csv", "E289: data.csv is already an input or another output: give another name"),
        (
            "--synthesizer gan",
            "E205: there is no synthesizer 'gan': use auto, bootstrap, ctgan, .*",
        ),
    ],
)
def test_status_2_for_usage(table: Path, options: str, message: str):
    line = fail(2, *AUGMENT, "-o", "o.csv", "--seed", 0, *options.split())
    assert re.fullmatch(f"error {message}", line)
    assert os.listdir() == ["data.csv"]


def test_status_2_for_what_is_missing_or_unknown(table: Path):
    assert fail(2, "agument").startswith("error E200: No such command 'agument'")
    assert fail(2, "augment", "data.csv", "-o", "o.csv") == (
        "error E200: Missing option '--target'; see synthgen augment --help"
    )


@pytest.mark.parametrize(
    ("content", "target", "message"),
    [
        (None, "a", "E310: no.csv: no such file: check the path and the working directory"),
        ("a,b\n1,2,3\n", "a", "E321: no.csv: line 2: expected 2 fields as in the header, .*"),
        ("a,b\n1,2\n1,3\n", "a", "E341: target 'a' has only one class, 1.*"),
    ],
)
def test_status_3_for_data(table: Path, content: str | None, target: str, message: str):
    if content is not None:
        Path("no.csv").write_text(content)
    line = fail(3, "augment", "no.csv", "--target", target, "-o", "o.csv", "--seed", 0)
    assert re.fullmatch(f"error {message}", line)


@pytest.mark.parametrize(
    "command", ["audit", "augment", "auto", "compare", "evaluate", "fit", "schema"]
)
def test_a_target_that_is_not_there_is_named_with_those_that_are(table: Path, command: str):
    data = (
        ("--train", "data.csv", "--synthetic", "data.csv")
        if command == "evaluate"
        else ("data.csv",)
    )
    out = (
        ("-o", "o")
        if command in ("auto", "fit")
        else ("-o", "o.csv")
        if command == "augment"
        else ()
    )
    result = run(command, *data, "--target", "outcom", *out)
    assert result.exit_code == 2
    lines = [line for line in result.stderr.splitlines() if line.startswith("error")]
    assert len(lines) == 1
    assert lines[0].startswith("error E215: there is no column 'outcom' for a target: it has ")
    assert lines[0].endswith("did you mean 'outcome'?")
    assert os.listdir() == ["data.csv"]


def test_status_4_for_model_files(table: Path):
    Path("m.synthgen").write_bytes(b"\x80\x04K\x01." * 9)
    message = "error E414: m.synthgen is a pickle or zip, .*"
    seeded = ("-o", "o.csv", "--seed", 0)
    for arguments in (
        ("show", "m.synthgen"),
        ("sample", "m.synthgen", "-n", 1, *seeded),
        ("augment", "data.csv", "--target", "outcome", "--model", "m.synthgen", *seeded),
    ):
        assert re.fullmatch(message, fail(4, *arguments))
    assert fail(4, "show", "data.csv") == (
        "error E411: data.csv is not a synthgen model: give a file that synthgen fit wrote"
    )


def no_training(*arguments: object) -> None:
    raise AssertionError("the output is checked before the training")


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("o.xlsx", "E501: o.xlsx: unknown ending: use one of .csv, .csv.gz, .tsv, .*"),
        ("no/o.csv", "E502: no/o.csv: there is no folder .*/no: create it first"),
        ("folder.csv", "E503: folder.csv: this is a directory: give the name of a file, such .*"),
    ],
)  # fmt: skip
def test_status_5_for_outputs_before_any_training(
    table: Path, output: str, message: str, monkeypatch: pytest.MonkeyPatch
):
    Path("folder.csv").mkdir()
    monkeypatch.setattr(TVAE, "_fit", no_training)
    arguments = ("augment", "data.csv", "--target", "outcome", "--synthesizer", "tvae", "--seed", 0)
    assert re.fullmatch(f"error {message}", fail(5, *arguments, "-o", output))
    Path("file").touch()
    assert fail(5, *arguments, "-o", "o.csv", "--report", "file") == (
        "error E509: file: cannot make this folder: it is a file: give another name"
    )
    assert fail(5, *arguments, "-o", "o.csv", "--json", "no/o.json").startswith("error E502: ")


def test_sample_where_a_column_has_a_level(table: Path):
    fit = ("fit", "data.csv", "--target", "outcome", "--label", "yes", "--seed", 0)
    succeed(*fit, "--synthesizer", "tabflow", "--set", "steps=5", "-o", "m.synthgen")
    sample = ("sample", "m.synthgen", "-n", 7, "--seed", 0, "-o")
    succeed(*sample, "rows.csv", "--where", "sex=f", "--where", "smoker=True")
    rows = read_table("rows.csv")
    assert rows["sex"].tolist() == ["f"] * 7
    assert rows["smoker"].tolist() == [True] * 7
    assert fail(2, *sample, "r.csv", "--where", "sex=x") == (
        "error E238: column 'sex' has no value 'x': it has 'f', 'm'"
    )
    assert fail(2, *sample, "r.csv", "--where", "sax=f") == (
        "error E238: --where sax=f: there is no column 'sax': give COL=VALUE"
    )
    assert fail(2, *sample, "r.csv", "--where", "sex") == (
        "error E238: --where sex: no =: give COL=VALUE"
    )
    succeed(*FIT, "-o", "m.synthgen")
    succeed(*sample, "rows.csv", "--where", "sex=f", "--where", "smoker=True")
    rows = read_table("rows.csv")
    assert rows["sex"].tolist() == ["f"] * 7
    assert rows["smoker"].tolist() == [True] * 7


def test_an_old_output_survives_what_fails(table: Path, monkeypatch: pytest.MonkeyPatch):
    def diverge(*arguments: object) -> None:
        raise ConvergenceError(601, "training diverged: lower the learning rate")

    monkeypatch.setattr(TVAE, "_fit", diverge)
    Path("o.csv").write_text("old")
    arguments = ("augment", "data.csv", "--target", "outcome", "--synthesizer", "tvae", "--seed", 0)
    assert fail(6, *arguments, "-o", "o.csv", "--report", "page") == (
        "error E601: training diverged: lower the learning rate"
    )
    assert Path("o.csv").read_text() == "old"
    assert sorted(os.listdir()) == ["data.csv", "o.csv"]


WRITERS: dict[str, tuple[tuple[object, ...], tuple[str, ...]]] = {
    "audit": (("audit", "data.csv", "--target", "outcome", "--html", "a.html"), ("a.html",)),
    "augment": (
        (*AUGMENT, "-o", "o.csv", "--report", "r", "-n", 12, "--seed", 0),
        ("o.csv", "o.csv.manifest.json", "r/report.html", "r/report.json"),
    ),
    "fit": ((*FIT, "-o", "m.synthgen"), ("m.synthgen",)),
    "schema": (("schema", "data.csv", "-o", "s.json"), ("s.json",)),
}


@pytest.mark.parametrize("command", WRITERS)
@pytest.mark.usefixtures("quick_judges")
def test_a_disk_that_is_full_at_any_write_leaves_whole_files(
    table: Path, command: str, monkeypatch: pytest.MonkeyPatch
):
    arguments, outputs = WRITERS[command]
    outputs = (*outputs, "done.json")
    left, rename = [-1], os.replace

    def replace(*places: Any) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        rename(*places)

    monkeypatch.setattr(os, "replace", replace)
    judge, judged = evaluate_module.evaluate, []

    def judge_once(*tables: Any, **how: Any) -> Any:  # the same rows each time
        judged[:] = judged or [judge(*tables, **how)]
        return judged[0]

    monkeypatch.setattr(evaluate_module, "evaluate", judge_once)
    succeed(*arguments, "--json", "done.json")
    everything, writes = files_below(), -1 - left[0]
    assert set(outputs) <= everything
    for place in range(1, writes + 1):
        left[0] = place
        for name in outputs:
            Path(name).write_bytes(b"old")
        result = run(*arguments, "--json", "done.json")
        assert result.exit_code == 5
        assert re.search("error E505: .*: the disk is full: make room", result.stderr)
        assert files_below() == everything
        contents = [Path(name).read_bytes() for name in outputs]
        assert b"old" in contents
        assert all(content == b"old" or len(content) > 99 for content in contents)
    assert Path("data.csv").exists()


def files_below() -> set[str]:
    return {str(path) for path in Path().rglob("*") if path.is_file()}


def test_status_1_for_bugs_with_a_traceback_only_if_asked(
    table: Path, monkeypatch: pytest.MonkeyPatch
):
    def stumble(*arguments: object) -> None:
        raise KeyError("oops")

    monkeypatch.setattr(TVAE, "_fit", stumble)
    arguments = ("augment", "data.csv", "--target", "outcome", "--synthesizer", "tvae", "--seed", 0,
                 "-o", "o.csv")  # fmt: skip
    line = (
        "error E100: KeyError: 'oops'; this is a bug: please report it with what "
        "synthgen --debug ... prints"
    )
    assert fail(1, *arguments) == line
    debugged = run("--debug", *arguments)
    assert debugged.exit_code == 1
    assert debugged.stderr.startswith("Traceback (most recent call last):\n")
    assert debugged.stderr.endswith(f"{line}\n")


def test_not_standalone_it_raises_for_the_caller(table: Path):
    with pytest.raises(click.UsageError):
        main(["augment"], standalone_mode=False)
    assert main(["--help"], standalone_mode=False) == 0


ENDLESS = """
import time
from pathlib import Path
from synthgen.synthesizers.base import Synthesizer

class Endless(Synthesizer):
    def _fit(self, table, positions, seed):
        Path("fitting").touch()
        while True:
            time.sleep(0.01)

    def _sample(self, position, rows, seed):
        raise NotImplementedError
"""


@pytest.mark.parametrize(
    ("number", "status", "message"),
    [
        (signal.SIGINT, 130, "interrupted; every file is unchanged or complete"),
        (signal.SIGTERM, 143, "terminated; every file is unchanged or complete"),
    ],
)
def test_signals(table: Path, number: int, status: int, message: str):
    Path("o.csv").write_text("old")
    Path("mine.py").write_text(ENDLESS)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "synthgen", "augment", "data.csv", "--target", "outcome"),
            *("-o", "o.csv", "--synthesizer", "mine:Endless", "--seed", "0"),
        ],
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            deadline = time.monotonic() + 60
            while not Path("fitting").exists() and process.poll() is None:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            process.send_signal(number)
            _, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == status, err
    assert err.splitlines()[-1] == message
    assert "Traceback" not in err
    assert Path("o.csv").read_text() == "old"
    assert sorted(os.listdir()) == ["data.csv", "fitting", "mine.py", "o.csv"]


# --- what is printed --------------------------------------------------------------------------


def test_cells_cannot_steer_the_terminal(table: Path, frame: pd.DataFrame):
    frame["sex"] = frame["sex"].map(
        {"f": "[bold]\x1b[31mred", "m": "\ud83d".encode("utf-8", "replace").decode()}
    )
    frame.to_csv(table, index=False)
    printed = succeed("schema", "data.csv").stdout
    assert "\x1b" not in printed
    assert "[bold]\\x1b[31mred" in printed


def test_a_message_stays_on_one_line(capsys: pytest.CaptureFixture[str]):
    terminal.say("a\nb\ud83d\x07", err=True)
    assert capsys.readouterr().err == "a\\nb\\ud83d\\x07\n"


@pytest.mark.filterwarnings("default")
def test_notes_leave_the_filters_alone(capsys: pytest.CaptureFixture[str]):
    import warnings

    before = (list(warnings.filters), warnings.showwarning)
    with terminal.collect_notes() as notes:
        warnings.warn("seen once", UserWarning, stacklevel=1)
        warnings.warn("seen once", UserWarning, stacklevel=1)
        warnings.warn("for developers", DeprecationWarning, stacklevel=1)
    assert (list(warnings.filters), warnings.showwarning) == before
    assert notes == ["seen once"]
    assert capsys.readouterr().err == "note: seen once\n"


# --- demo -------------------------------------------------------------------------------------


@pytest.mark.slow  # it fits the members of auto, if on 200 people
@pytest.mark.usefixtures("quick_judges")
def test_demo_leads_from_rows_to_scores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    whole = bz2.decompress((files("synthgen") / "data" / "adult.csv.bz2").read_bytes())
    short = b"".join(whole.splitlines(keepends=True)[::25])  # its header, and every 25th person
    monkeypatch.setattr(bz2, "decompress", lambda packed: short)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    done = succeed("demo", "--synthesizer", "bootstrap", "--out", "d", "--json", "d.json")
    train, aside = (read_table(Path("d", name)) for name in ("train.csv", "set-aside.csv"))
    assert (len(train), len(aside)) == (200, 100)
    new = read_table(Path("d/new.csv"))
    rare = int((train["income"] == ">50K").sum())
    assert new["income"].tolist() == [">50K"] * rare
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"made {rare} new people of income '>50K': d/new.csv")
    content = json.loads(Path("d.json").read_text())
    scores = content["average_precision"]
    assert set(scores) == {"auto", "plain boosting", "guessing"}
    assert scores["guessing"] == (aside["income"] == ">50K").mean()
    assert min(scores["auto"], scores["plain boosting"]) > scores["guessing"]
    said = next(line for line in lines if line.startswith("finding the"))
    assert f"{scores['auto']:.3f} by synthgen auto" in said
    assert f"{scores['plain boosting']:.3f} by plain boosting" in said
    for name in re.findall(r"d/[\w.-]+", done.stdout):
        assert Path(name).exists()
    assert Path("d/ATTRIBUTION.md").exists()
    for line in done.stdout.split("next:\n")[1].splitlines():
        assert line.startswith("  synthgen ")
