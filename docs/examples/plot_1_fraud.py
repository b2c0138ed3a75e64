"""
Fraud at 0.5 %
==============

A model that always says "no fraud" is right in 99.5 % of the cases and finds nothing. This
example shows the figures that tell the difference, and a threshold that follows from what
mistakes cost.
"""

# %%
# A table of payments
# -------------------
# 12,000 payments, of which 60 are fraud. Fraud is larger, later at night and more often abroad,
# but none of the three alone gives it away.

import numpy as np
import pandas as pd

rng = np.random.default_rng(0)
rows, rare = 12_000, 60
fraud = np.arange(rows) < rare
payments = pd.DataFrame(
    {
        "amount": np.exp(rng.normal(3.2 + 1.1 * fraud, 1.0)).round(2),
        "hour": (rng.normal(14 + 7 * fraud, 5) % 24).astype(int),
        "abroad": rng.random(rows) < 0.04 + 0.4 * fraud,
        "channel": rng.choice(["card", "web", "app"], rows, p=[0.6, 0.25, 0.15]),
        "age_of_account": rng.gamma(2.0, 400 - 250 * fraud).astype(int),
        "fraud": np.where(fraud, "yes", "no"),
    }
)
payments = payments.sample(frac=1, random_state=0, ignore_index=True)

# %%
# What the table can tell
# -----------------------
# The audit trains a quick model on folds. Accuracy says nothing here; average precision does. It
# is 1 for a perfect ranking, and 0.005, the share of the class, for guessing.

from synthgen import audit

audit(payments, target="fraud")

# %%
# Which strategy helps?
# -------------------------------
# ``compare`` tries strategies on the same splits and gives the gain over doing nothing with its
# interval. Three strategies and two splits keep this example quick; leave both out for your own
# table.

from synthgen import compare

X, y = payments.drop(columns="fraud"), payments["fraud"]
found = compare(
    X,
    y,
    strategies=["class_weight", "undersample", "oversample"],
    folds=2,
    repeats=1,
    n_jobs=1,
    random_state=0,
)
found

# %%
# A threshold from costs
# ----------------------
# A missed fraud loses 200, a false alarm 3. The cheapest threshold is far below 0.5: it lies
# where the two kinds of mistakes cost the same. No row has to be made for that.

import matplotlib.pyplot as plt
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import cross_val_predict

model = HistGradientBoostingClassifier(random_state=0)
numbers = pd.get_dummies(X).astype(float)
probability = cross_val_predict(model, numbers, y == "yes", cv=5, method="predict_proba")[:, 1]
thresholds = np.geomspace(1e-4, 0.9, 60)
missed = np.array([((probability < t) & (y == "yes")).sum() for t in thresholds])
alarms = np.array([((probability >= t) & (y == "no")).sum() for t in thresholds])
cost = 200 * missed + 3 * alarms

figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
axes.plot(thresholds, cost, color="#1f5fa8")
axes.axvline(0.5, color="#999", ls=":")
axes.axhline(200 * rare, color="#d9622b", ls="--")
axes.annotate("never an alarm", (1e-4, 200 * rare), xytext=(0, 4), textcoords="offset points")
axes.annotate("0.5", (0.5, cost.min()), xytext=(4, 0), textcoords="offset points")
axes.set_xscale("log")
axes.set_ylim(0, 2.2 * 200 * rare)
axes.set_xlabel("threshold for an alarm")
axes.set_ylabel("cost of all 12,000 payments")
plt.show()

# %%
# ``ImbalancedClassifier(cost={"fn": 200, "fp": 3})`` and ``synthgen auto --cost fn=200 --cost
# fp=3`` choose such a threshold on out-of-fold rows.
