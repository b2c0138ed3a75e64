"""The limits that decide about fidelity, utility and privacy, as numbers and in words."""

from __future__ import annotations

# A two-sample score at most so far below that of real rows passes; an interval wider than the
# second tells nothing.
LIKE_REAL, TOO_WIDE = 0.05, 0.5
# Rows from which on a two-sample test sees what there is to see.
POWER = 1000
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
        f"Boosting tries to tell synthetic from real rows, those of train and those of the "
        f"holdout, for each class and for all rows. A test passes if the upper end of its widened "
        f"interval is at most {LIKE_REAL:g} below the score of as many real rows. Such a test is "
        f"undecided if the widened interval is wider than {TOO_WIDE:g}, or if, on fewer than "
        f"{POWER:,} rows, the independent-columns baseline also reaches the interval's lower end "
        f"or the pass mark. A test that does not pass falls short if its score is at least halfway "
        f"from the independent-columns baseline to real rows, and fails below that. Without a test "
        f"of the class, fidelity is undecided."
    ),
    "utility": (
        f"The share of the average precision that is kept when synthetic rows replace the real "
        f"rows of the class, for each classifier. It passes if the share is at least {KEEPS:.0%}. "
        f"Below that it falls short if the share is at least {KEEPS_SOME:.0%} or the upper end of "
        f"the widened interval at least {KEEPS:.0%}, and fails otherwise. It is undecided if the "
        f"interval, with its upper end widened, contains {KEEPS:.0%} and is, not widened, wider "
        f"than {SURE:.0%}; if noise in the place of the real rows keeps {KEEPS:.0%} as well; if "
        f"the test has fewer than {FEW} rows of the class; and, where it would pass, if no holdout "
        f"was given."
    ),
    "privacy": (
        f"For the class and for all rows. It fails if the lower end of a widened interval shows "
        f"harm: an attack whose excess is above 0, with an excess above {SOME_EXCESS:g}; more than "
        f"50% of the rows nearer to train than to the holdout, with a share above {NEARER:.0%}; or "
        f"a share of copies or near-copies more than {100 * SOME_COPIES:.0f} percentage points "
        f"above that of real rows. It falls short if that end is above 0 for the excess, or for "
        f"copies more than {100 * A_COPY:.1f} points above the share of real rows. It passes if "
        f"neither holds, a holdout was given, and the intervals rule harm out: their upper ends "
        f"are at most {MOST_EXCESS:g} for the excess, {MOST_NEARER:.0%} for the share nearer to "
        f"train and {100 * SOME_COPIES:.0f} points above real rows for copies and near-copies, and "
        f"the lower end for copies is not above the share of real rows. Otherwise it is undecided."
    ),
}
