"""The picture of the README and of the first page: ``python docs/picture.py`` writes it.

Left the rows of each class before and after; right, for two columns, real rows of the class beside
synthetic ones. The table is the demonstration table, and the rows are made by `SequentialTrees`.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from synthgen import SequentialTrees, augment, read_table

REAL, MADE, QUIET = "#1f5fa8", "#d9622b", "#b8bec7"


def draw(path: Path) -> None:
    """Draw it."""
    table = read_table(str(files("synthgen") / "data" / "hypothyroid.csv.gz"))
    rare = "hypothyroid"
    # A given ratio, because the picture shows new rows, and "auto" may add none.
    done = augment(table, target="target", synthesizer=SequentialTrees(), ratio=0.3, random_state=0)
    real, made = (rows[rows["target"] == rare] for rows in (done.real, done.synthetic))
    plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
    figure, (bars, left, right) = plt.subplots(
        1, 3, figsize=(10, 3.2), width_ratios=(0.8, 1, 1), layout="constrained"
    )
    before, others = done.before[rare], done.before["negative"]
    for place, added in ((0, 0), (1, len(made))):
        bars.bar(place - 0.2, others, 0.36, color=QUIET)
        bars.bar(place + 0.2, before, 0.36, color=REAL)
        bars.bar(place + 0.2, added, 0.36, bottom=before, color=MADE)
        bars.text(place - 0.2, others + 40, f"{others:,}", ha="center", color="#555")
        bars.text(place + 0.2, before + added + 40, f"{before + added:,}", ha="center")
    bars.set_xticks([0, 1], ["before", "after"])
    bars.set_title("rows without and with the disease", fontsize=10)
    bars.set_yticks([])
    bars.set_ylim(0, 1.1 * others)
    bars.spines["left"].set_visible(False)
    draws = np.random.default_rng(0).permutation(len(made))[: len(real)]
    for axes, rows, colour, said in (
        (left, real, REAL, f"{len(real)} real patients"),
        (right, made.iloc[draws], MADE, f"{len(draws)} of {len(made)} synthetic ones"),
    ):
        axes.scatter(rows["TSH"], rows["FTI"], s=14, color=colour, alpha=0.6, linewidths=0)
        axes.set_xscale("symlog")
        axes.set_xlim(0, 700)
        axes.set_ylim(-5, 220)
        axes.set_xlabel("thyroid-stimulating hormone (TSH)")
        axes.set_title(said, fontsize=10)
    left.set_ylabel("free thyroxine index")
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    draw(Path(__file__).with_name("picture.png"))
