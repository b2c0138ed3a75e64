"""Make the golden models again, and their cards.

    python models/make.py
    python models/make.py trees

A synthesizer learns the rare class from 70 % of the demonstration table; the other 30 % judge it.
Writes ``hypothyroid.synthgen`` (TabFlow) and ``hypothyroid_trees.synthgen`` (SequentialTrees), and
``.md`` of the same names, beside itself.
"""

from __future__ import annotations

import gzip
import io
import sys
from importlib.resources import files
from pathlib import Path

import pandas as pd
from sklearn.model_selection import train_test_split

from synthgen import SequentialTrees, TabFlow, __version__, evaluate

HERE = Path(__file__).parent
TARGET, RARE, SEED = "target", "hypothyroid", 0
KEY = (
    "fidelity.battery",
    "fidelity.column_shapes",
    "fidelity.pair_trends",
    "utility.replace.ap_ratio",
    "utility.augment.ap_gain",
    "privacy.nearer_to_train",
    "privacy.near_copies",
    "privacy.mia_excess",
)
# The class alone, for a small file; scope "auto" would learn all rows first, in a larger one.
FLOW = TabFlow(scope="class", classes=[RARE], device="cpu", random_state=SEED)
TREES = SequentialTrees(classes=[RARE], random_state=SEED)
MODELS = {
    "tabflow": ("hypothyroid", FLOW, f"TabFlow of synthgen {__version__}, scope `class`"),
    "trees": ("hypothyroid_trees", TREES, f"SequentialTrees of synthgen {__version__}"),
}


def main() -> None:
    packed = (files("synthgen") / "data" / "hypothyroid.csv.gz").read_bytes()
    table = pd.read_csv(io.BytesIO(gzip.decompress(packed)), keep_default_na=False, na_values=[""])
    train, holdout = train_test_split(
        table, test_size=0.3, stratify=table[TARGET], random_state=SEED
    )
    for key in sys.argv[1:] or MODELS:
        name, model, described = MODELS[key]
        card(name, model, described, pd.DataFrame(train), pd.DataFrame(holdout))


def card(
    name: str,
    model: SequentialTrees | TabFlow,
    described: str,
    train: pd.DataFrame,
    holdout: pd.DataFrame,
) -> None:
    """Write one file and its card."""
    model.fit(train.drop(columns=TARGET), train[TARGET])
    coarsened = model.save(HERE / f"{name}.synthgen")
    rows = int((train[TARGET] == RARE).sum())
    made = model.sample(rows, label=RARE, random_state=SEED)
    report = evaluate(train, made, holdout=holdout, target=TARGET, label=RARE, random_state=SEED)
    learned = f"{rows} of its rows"
    if isinstance(model, SequentialTrees):
        learned = f"{learned} and {len(train) - rows:,} others"
    lines = [
        f"# {name}.synthgen",
        "",
        f"{described}, seed {SEED}: rows of `{RARE}` in the "
        f"UCI thyroid table (CC BY 4.0, see `synthgen/data/ATTRIBUTION.md`), learned from "
        f"{learned}. It guards the file format: a test loads it and samples from it. "
        f"`python models/make.py` makes it and this card again.",
        "",
        f"Judged on {len(holdout):,} rows that it has not seen, "
        f"{int((holdout[TARGET] == RARE).sum())} of the class:",
        "",
        "| score | value | 95 % | real rows |",
        "|---|---|---|---|",
    ]
    for score_name in KEY:
        score = report.score(score_name)
        low, high = score.interval or (float("nan"),) * 2
        lines.append(
            f"| `{score_name}` | {score.value:.3f} | {low:.3f} to {high:.3f} "
            f"| {score.reference:.3f} |"
        )
    lines += ["", *(f"- {card.line()}" for card in report.cards), ""]
    if isinstance(model, SequentialTrees):
        shared = (
            "Share rows, not such a file: attacks on files of trees find most of the learned rows "
            "(`evaluation/privacy.md`). This one may lie here because the table is public."
        )
        lines += [shared, ""]
    lines += [f"Coarsened in the file ({len(coarsened)} columns):", ""]
    lines += [f"- {line}" for line in coarsened]
    (HERE / f"{name}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
