"""
Sensors, and what must hold in every row
========================================

Readings of a pump: the total is the sum of two flows, the sensor of the bearing fails now and
then, and a state decides the alarm level. `SequentialTrees` finds such ties and keeps them; a
rule adds what only you know.
"""

import numpy as np
import pandas as pd

from synthgen import SequentialTrees, augment

rng = np.random.default_rng(0)
rows = 2_000
lost = rng.random(rows) < 0.1
failing = np.arange(rows) < 80
state = np.where(failing, rng.choice([1, 2, 3], rows), rng.choice([0, 1], rows, p=[0.9, 0.1]))
pumps = pd.DataFrame(
    {
        "flow_a": rng.integers(40, 90, rows) - 20 * failing,
        "flow_b": rng.integers(10, 60, rows),
        "state": state,
        "level": np.array(["none", "low", "middle", "high"])[state],
        "bearing": np.where(lost, np.nan, rng.normal(55 + 15 * failing, 6)).round(1),
        "minimum": rng.normal(20, 3, rows).round(1),
        "fails": np.where(failing, "yes", "no"),
    }
)
pumps["total"] = pumps["flow_a"] + pumps["flow_b"]
pumps["maximum"] = (pumps["minimum"] + rng.gamma(2, 8, rows)).round(1)

# %%
# New rows keep what holds exactly
# --------------------------------

done = augment(
    pumps,
    target="fails",
    synthesizer=SequentialTrees(),
    n_samples=400,
    rules=["minimum <= maximum", "bearing < 100"],
    random_state=0,
)
made = done.synthetic
pd.Series(
    {
        "flow_a + flow_b = total": (made.flow_a + made.flow_b == made.total).mean(),
        "state decides level": made.groupby("state")["level"].nunique().eq(1).mean(),
        "minimum <= maximum": (made.minimum <= made.maximum).mean(),
        "bearing missing": made.bearing.isna().mean(),
    }
)

# %%
# Without a rule that holds in the real rows, a network breaks sums and orders in most rows. Rows
# that break a rule are refused and counted:

done.guard

# %%
# Real beside synthetic
# ---------------------

import matplotlib.pyplot as plt

real = done.real[done.real["fails"] == "yes"]
figure, axes = plt.subplots(1, 2, figsize=(7, 3), layout="constrained")
for place, column in zip(axes, ("total", "bearing"), strict=True):
    both = [real[column].dropna(), made[column].dropna()]
    bins = np.linspace(min(map(min, both)), max(map(max, both)), 20)
    for values, colour, said in zip(
        both, ("#1f5fa8", "#d9622b"), ("real", "synthetic"), strict=True
    ):
        place.hist(values, bins, density=True, alpha=0.55, color=colour, label=said)
    place.set_xlabel(column)
    place.set_yticks([])
axes[0].legend(fontsize=8)
plt.show()
