"""The limits that decide about fidelity, utility and privacy, as numbers and in words."""

from __future__ import annotations

# The battery, 1 for rows as good as real ones and 0 for independent columns: at most so far below 1
# passes; below the second it fails, which a pass has to rule out.
LIKE_REAL, HALF_REAL = 0.05, 0.5
# Shares of the average precision that synthetic rows in the place of the real ones have to keep, to
# pass and not to fail; an interval wider than the third does not show which.
KEEPS, KEEPS_SOME, SURE = 0.95, 0.8, 0.1
# Rows of the class in the test below which no average precision means anything.
FEW = 5
# Excess of an attack, its ROC-AUC minus that of the same attack on fresh real rows: above the first
# it fails, and a pass rules out more than the second. With 40 rows against 40 a ROC-AUC is off by
# 0.065 by chance.
SOME_EXCESS, MOST_EXCESS = 0.03, 0.1
# Copies beyond the share that real rows have: near-copies from the first on, equal rows from the
# second on, as each of them may be a person.
SOME_COPIES, A_COPY = 0.05, 0.005
# Share of synthetic rows that are nearer to train than to as many other real rows; 0.5 is best.
# Above the first, and not by chance, it fails: SMOTE beside thousands of rows is no farther from
# 0.5. A pass rules out more than the second.
NEARER, MOST_NEARER = 0.53, 0.6

# How verdicts are reached, in words: for every part, and for each.
LIMITS = {
    "all": (
        "Each part has several tests, and the worst of them decides, in the order fails, falls "
        "short, undecided, passes. An interval that can fail a part is first widened for the "
        "number of tests (Bonferroni), so that chance alone fails a part in at most 5% of the "
        "cases. If the tables share rows, an affected part can fail; otherwise it is reported as "
        "undecided."
    ),
    "fidelity": (
        f"Four detectors try to tell synthetic rows from those of the holdout, for each class and "
        f"for all rows, and the one that tells most counts: 1 if it takes them for real rows, 0 "
        f"for independent columns. It passes if the upper end of the widened interval is "
        f"{1 - LIKE_REAL:g} or more; below that it falls short if the figure is {HALF_REAL:g} or "
        f"more, and fails otherwise. What would pass is undecided if the interval, not "
        f"widened, begins below {HALF_REAL:g}. Without a test of the class, fidelity is undecided."
    ),
    "utility": (
        f"Each classifier learns once from the real rows of the class and once from the synthetic "
        f"rows in their place. The figure is the share of its average precision that is kept. "
        f"{KEEPS:.0%} or more passes. A lower share falls short if it is at least "
        f"{KEEPS_SOME:.0%}, or if its widened interval reaches {KEEPS:.0%}; otherwise it fails. "
        f"The part is undecided in four cases. The interval is wider than {SURE:.0%} and contains "
        f"{KEEPS:.0%} once its upper end is widened. Noise in the place of the real rows keeps "
        f"{KEEPS:.0%} too. The test has fewer than {FEW} rows of the class. Or it would pass, and "
        f"no holdout was given."
    ),
    "privacy": (
        f"Four figures are judged, for the class and for all rows. The first is the excess of the "
        f"worst attack: its ROC-AUC minus that of the worst attack on fresh real rows. It fails "
        f"if it is above {SOME_EXCESS:g} and its widened interval lies above 0. It falls short if "
        f"it is smaller and the interval lies above 0. It passes if the interval ends at "
        f"{MOST_EXCESS:g} or below. The second is the share of rows nearer to train than to the "
        f"holdout. It fails if it is above {NEARER:.0%} and its widened interval lies above 50%. "
        f"It passes if the interval ends at {MOST_NEARER:.0%} or below. The third is the share of "
        f"copies of training rows, minus the same share of real rows. It fails if its widened "
        f"interval lies above {100 * SOME_COPIES:.0f} percentage points, and falls short if that "
        f"lies above {100 * A_COPY:.1f}. It passes if the interval begins at 0 or below and ends "
        f"at {100 * SOME_COPIES:.0f} points or below. The fourth is the same for near-copies; it "
        f"never falls short, and where its interval begins does not matter. Any other figure is "
        f"undecided. Without a holdout privacy cannot pass."
    ),
}
