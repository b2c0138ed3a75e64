"""
Several classes
===============

Five kinds of steel, two of them rare. Every class that is asked for gets exactly as many rows
as it should, in one call. In an imbalanced-learn pipeline, validation chooses how many.
"""

import numpy as np
import pandas as pd

from synthgen import Oversampler, SequentialTrees, augment

rng = np.random.default_rng(0)
counts = {"A": 500, "B": 300, "C": 150, "D": 60, "E": 40}
kind = np.repeat(list(counts), list(counts.values()))
place = np.repeat(range(5), list(counts.values()))
steel = pd.DataFrame(
    {
        "carbon": (0.2 + 0.15 * place + rng.normal(0, 0.06, len(kind))).round(3),
        "hardness": (120 + 30 * place + rng.normal(0, 18, len(kind))).round(),
        "treated": np.where(rng.random(len(kind)) < 0.2 + 0.15 * place, "yes", "no"),
        "kind": kind,
    }
)
steel["kind"].value_counts()

# %%
# The two rare classes, to a fifth of the largest one
# ---------------------------------------------------
# The ratio is given here, so that there are new rows to look at; ``ratio="auto"`` (below) may add
# none.

done = augment(
    steel,
    target="kind",
    labels=["D", "E"],
    synthesizer=SequentialTrees(),
    ratio=0.2,
    random_state=0,
)
done

# %%
# Real rows and new ones
# ----------------------

import matplotlib.pyplot as plt

figure, axes = plt.subplots(1, 2, figsize=(7.5, 3.2), sharey=True, layout="constrained")
for place, rows, said in ((axes[0], done.real, "real"), (axes[1], done.synthetic, "synthetic")):
    for colour, (name, part) in zip(
        ["#b8bec7", "#8a93a1", "#5c6675", "#1f5fa8", "#d9622b"],
        ((c, rows[rows["kind"] == c]) for c in counts),
        strict=True,
    ):
        place.scatter(part["carbon"], part["hardness"], s=10, color=colour, label=name)
    place.set_title(f"{said} rows", fontsize=10)
    place.set_xlabel("carbon, %")
axes[0].set_ylabel("hardness")
axes[0].legend(fontsize=8)
plt.show()

# %%
# In a pipeline
# -------------
# Do rows help to find the classes, and how many? ``ratio="auto"`` validates the number on folds of
# the training rows. It may choose none, and says why. Where the numbers are given,
# ``sampling_strategy={"D": 100, "E": 100}`` makes them.

X, y = steel.drop(columns="kind"), steel["kind"]
sampler = Oversampler(SequentialTrees(), ratio="auto", random_state=0)
_, y_new = sampler.fit_resample(X, y)
print(sampler.amount_.reason)
y_new.value_counts()

# %%
# Unweighted synthetic rows harm most classifiers. ``sample_weight`` (of a sampler,
# ``sample_weight_``) lets the new rows of a class count together as much as its real ones:

pd.DataFrame(
    {"class": done.frame["kind"], "new": done.is_synthetic, "weight": done.sample_weight}
).pivot_table("weight", "class", "new", aggfunc="sum").round(1)
