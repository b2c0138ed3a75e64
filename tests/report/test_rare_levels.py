"""Pages name no level that fewer than five rows hold, like model files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from synthgen import augment
from synthgen.cli.main import main

PLANTED = ("Zanzibarite", "Quixotry", "Yggdrasil")


@pytest.fixture(autouse=True)
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables with levels that one row of the class, one other row and two rows hold."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)

    def drawn(rows: int, rare: int) -> pd.DataFrame:
        ill = np.repeat(["no", "yes"], [rows - rare, rare])
        return pd.DataFrame(
            {
                "dose": np.round(rng.normal(size=rows) + 2 * (ill == "yes"), 2),
                "place": rng.choice(["north", "south", "west"], rows),
                "side": rng.choice(["left", "right"], rows),
                "ill": ill,
            }
        )

    train = drawn(240, 60)
    train.loc[239, "place"] = PLANTED[0]
    train.loc[3, "place"] = PLANTED[1]
    train.loc[[5, 238], "side"] = PLANTED[2]
    train.to_csv("train.csv", index=False)
    made = drawn(60, 59).iloc[1:]
    made.loc[7, "place"] = PLANTED[0]
    made.to_csv("new.csv", index=False)
    held = drawn(200, 50)
    held.loc[[0, 199], "place"] = PLANTED[:2]
    held.to_csv("held.csv", index=False)


def run(*arguments: str) -> None:
    found = CliRunner().invoke(main, [*arguments], catch_exceptions=False)
    assert found.exit_code == 0, found.stderr


COMMANDS = {
    "audit": ("audit", "train.csv", "--html", "page.html"),
    "evaluate": (
        *("evaluate", "--train", "train.csv", "--synthetic", "new.csv", "--holdout", "held.csv"),
        *("--by", "place", "--judges", "logistic", "--html", "page.html"),
    ),
    "compare": (
        *("compare", "train.csv", "--by", "place", "--strategies", "class_weight", "--jobs", "1"),
        *("--estimator", "lr", "--folds", "2", "--repeats", "1", "--seed", "0", "--no-prior"),
        *("--html", "page.html"),
    ),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_no_page_names_a_level_of_few_rows(command: str) -> None:
    run(*COMMANDS[command], "--target", "ill")
    text = Path("page.html").read_text()
    assert "north" in text or command == "audit"
    assert not [level for level in PLANTED if level in text]


def test_nor_does_the_page_of_new_rows() -> None:
    frame = pd.read_csv("train.csv")
    made = augment(frame, target="ill", synthesizer="bootstrap", n_samples=60, random_state=0)
    made.to_html("page.html")
    text = Path("page.html").read_text()
    assert "north" in text
    assert not [level for level in PLANTED if level in text]
