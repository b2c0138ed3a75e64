"""
A medical table of 151 cases
============================

The demonstration table: 3,163 patients, 151 of them with hypothyroidism, numbers and
categories, and many missing cells (Quinlan, UCI, CC BY 4.0). Rows are made on two thirds and
judged on the others.
"""

from importlib.resources import files

from sklearn.model_selection import train_test_split

from synthgen import SequentialTrees, augment, evaluate, read_table

patients = read_table(str(files("synthgen") / "data" / "hypothyroid.csv.gz"))
train, holdout = train_test_split(
    patients, test_size=1 / 3, stratify=patients["target"], random_state=0
)
train["target"].value_counts()

# %%
# Make rows
# ---------
# 300 rows of exactly that class. What was refused on the way, copies and rows that break a
# limit, is counted in the manifest.

done = augment(train, target="target", synthesizer=SequentialTrees(), n_samples=300, random_state=0)
done

# %%
# Missing cells are missing where they are missing in real rows: a value that was not measured is
# empty, in real rows and in new ones.

made = done.synthetic
(made["TSH_measured"] == "n").eq(made["TSH"].isna()).mean()

# %%
# Judge them
# ----------
# Fidelity, utility and privacy, each beside the same figure of real rows. 50 held-out patients
# decide little, and the report says which part stays undecided.

report = evaluate(train, made, holdout, target="target", judges=["boosting"])
report

# %%
# One figure with its reference:

kept = report.score("utility.replace.ap_ratio")
low, high = kept.interval
print(f"average precision kept: {kept.value:.0%} [{low:.0%}, {high:.0%}]")
print(f"kept by as many further real rows: {kept.reference:.0%}")

# %%
# Two measurements, real beside synthetic
# ---------------------------------------

import matplotlib.pyplot as plt

real = train[train["target"] == "hypothyroid"]
figure, axes = plt.subplots(1, 2, figsize=(7, 3), sharex=True, sharey=True, layout="constrained")
for place, rows, colour, said in (
    (axes[0], real, "#1f5fa8", f"{len(real)} real patients"),
    (axes[1], made.iloc[: len(real)], "#d9622b", f"{len(real)} synthetic ones"),
):
    place.scatter(rows["TSH"], rows["FTI"], s=14, color=colour, alpha=0.6, linewidths=0)
    place.set_xscale("symlog")
    place.set_title(said, fontsize=10)
    place.set_xlabel("TSH")
axes[0].set_ylabel("free thyroxine index")
plt.show()
