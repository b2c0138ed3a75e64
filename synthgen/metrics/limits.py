"""The thresholds of the verdicts on fidelity, utility and privacy, as numbers and in words."""

from __future__ import annotations

# The battery score is 1 for rows as good as real ones, 0 for independent columns. It passes if it
# is at most LIKE_REAL below 1 and its interval lies above HALF_REAL; below HALF_REAL it fails.
LIKE_REAL, HALF_REAL = 0.05, 0.5
# Share of the average precision that remains if synthetic rows replace the real ones: it passes
# from KEEPS, fails below KEEPS_SOME, and is undecided if the interval is wider than SURE.
KEEPS, KEEPS_SOME, SURE = 0.95, 0.8, 0.1
# Smallest number of test rows of the class for a meaningful average precision.
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

# Before an interval can fail fidelity or privacy, the distance from the figure to its end is taken
# so many times: of 15 tests at once, chance then fails one in at most 5 of 100 cases.
WIDER = 1.5

# How verdicts are reached: a row for each figure that decides, and what holds for all of them.
RULES: tuple[dict[str, str], ...] = (
    {
        "part": "fidelity",
        "figure": "the best of four detectors: 1 if it takes them for real rows, 0 for independent "
        "columns",
        "passes": f"interval reaches {1 - LIKE_REAL:g} and begins at {HALF_REAL:g} or above",
        "falls short": f"interval ends below {1 - LIKE_REAL:g}, figure {HALF_REAL:g} or more",
        "fails": f"interval ends below {1 - LIKE_REAL:g}, figure below {HALF_REAL:g}",
    },
    {
        "part": "utility",
        "figure": "average precision kept if they replace the real rows of the class",
        "passes": f"{KEEPS:.0%} or more",
        "falls short": f"{KEEPS_SOME:.0%} or more, or interval reaches {KEEPS:.0%}",
        "fails": f"below {KEEPS_SOME:.0%}, interval ends below {KEEPS:.0%}",
    },
    {
        "part": "privacy",
        "figure": "excess of the worst attack over the worst attack on fresh real rows, in ROC-AUC",
        "passes": f"interval ends at {MOST_EXCESS:g} or below",
        "falls short": f"interval above 0, excess up to {SOME_EXCESS:g}",
        "fails": f"interval above 0, excess above {SOME_EXCESS:g}",
    },
    {
        "part": "privacy",
        "figure": "share of rows nearer to train than to the holdout",
        "passes": f"interval ends at {MOST_NEARER:.0%} or below",
        "falls short": "",
        "fails": f"above {NEARER:.0%}, interval above 50%",
    },
    {
        "part": "privacy",
        "figure": "copies of training rows, beyond the share of real rows that are copies",
        "passes": f"interval begins at 0 or below and ends at {100 * SOME_COPIES:.0f} points or "
        "below",
        "falls short": f"interval begins above {100 * A_COPY:.1f} points",
        "fails": f"interval begins above {100 * SOME_COPIES:.0f} points",
    },
    {
        "part": "privacy",
        "figure": "near-copies of training rows, beyond the share of real rows that are",
        "passes": f"interval ends at {100 * SOME_COPIES:.0f} points or below",
        "falls short": "",
        "fails": f"interval begins above {100 * SOME_COPIES:.0f} points",
    },
)
ALL_RULES = (
    "The worst figure decides a part, and the worst class decides a figure. What neither passes "
    "nor fails is undecided.",
    f"Several tests are made: an interval that would fail fidelity or privacy is first taken "
    f"{WIDER:g} times as wide.",
    f"Utility is undecided if the interval is wider than {SURE:.0%} and contains {KEEPS:.0%}, if "
    f"noise keeps {KEEPS:.0%} too, or with fewer than {FEW} test rows.",
    "Without a holdout utility and privacy can fail but not pass; nor can a part whose tables "
    "share rows.",
)
