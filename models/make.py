"""Make the golden model again, and its card.

    python models/make.py

TabFlow learns the rare class from 70 % of the demonstration table; the other 30 % judge it. Writes
``hypothyroid.synthgen`` and ``hypothyroid.md`` beside itself.
"""

from __future__ import annotations

import gzip
import io
from importlib.resources import files
from pathlib import Path

import pandas as pd
from sklearn.model_selection import train_test_split

from synthgen import TabFlow, __version__, evaluate

HERE = Path(__file__).parent
TARGET, RARE, SEED = "target", "hypothyroid", 0
KEY = (
    "fidelity.c2st_boosting",
    "fidelity.column_shapes",
    "fidelity.pair_trends",
    "utility.replace.ap_ratio",
    "utility.augment.ap_gain",
    "privacy.nearer_to_train",
    "privacy.near_copies",
    "privacy.mia_excess",
)


def main() -> None:
    packed = (files("synthgen") / "data" / "hypothyroid.csv.gz").read_bytes()
    table = pd.read_csv(io.BytesIO(gzip.decompress(packed)), keep_default_na=False, na_values=[""])
    train, holdout = train_test_split(
        table, test_size=0.3, stratify=table[TARGET], random_state=SEED
    )
    # The class alone, for a small file; scope "auto" would learn all rows first, in a larger one.
    model = TabFlow(scope="class", classes=[RARE], device="cpu", random_state=SEED)
    model.fit(train.drop(columns=TARGET), train[TARGET])
    coarsened = model.save(HERE / "hypothyroid.synthgen")
    rows = int((train[TARGET] == RARE).sum())
    made = model.sample(rows, label=RARE, random_state=SEED)
    report = evaluate(train, made, holdout=holdout, target=TARGET, label=RARE, random_state=SEED)
    lines = [
        "# hypothyroid.synthgen",
        "",
        f"TabFlow of synthgen {__version__}, scope `class`, seed {SEED}: rows of `{RARE}` in the "
        f"UCI thyroid table (CC BY 4.0, see `synthgen/data/ATTRIBUTION.md`), learned from {rows} "
        f"of its rows. It guards the file format: a test loads it and samples from it. "
        f"`python models/make.py` makes it and this card again.",
        "",
        f"Judged on {len(holdout):,} rows that it has not seen, "
        f"{int((holdout[TARGET] == RARE).sum())} of the class:",
        "",
        "| score | value | 95 % | real rows |",
        "|---|---|---|---|",
    ]
    for name in KEY:
        score = report.score(name)
        low, high = score.interval or (float("nan"),) * 2
        lines.append(
            f"| `{name}` | {score.value:.3f} | {low:.3f} to {high:.3f} | {score.reference:.3f} |"
        )
    lines += ["", *(f"- {card.line()}" for card in report.cards), ""]
    lines += [f"Coarsened in the file ({len(coarsened)} columns):", ""]
    lines += [f"- {line}" for line in coarsened]
    (HERE / "hypothyroid.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
