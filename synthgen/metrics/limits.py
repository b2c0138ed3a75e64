"""The thresholds of the verdicts on fidelity, utility and privacy, as numbers and in words."""

from __future__ import annotations

import math

from synthgen.metrics.score import Score

# The battery score is 1 for rows as good as real ones, 0 for independent columns. It passes if it
# is at most LIKE_REAL below 1 and its interval lies above HALF_REAL; below HALF_REAL it fails.
LIKE_REAL, HALF_REAL = 0.05, 0.5
# Share of the average precision that remains if synthetic rows replace the real ones: it passes
# from KEEPS, fails below KEEPS_SOME, and is undecided if the interval is wider than SURE.
KEEPS, KEEPS_SOME, SURE = 0.95, 0.8, 0.1
# Sentences give no bounds of that share if they are farther apart than this.
READABLE = 1.0
MOST_TIMES = 100  # an estimate of more rows than this many times the test rows is not given
# Smallest number of test rows of the class for a meaningful average precision.
FEW = 5
# Excess of an attack: its ROC-AUC minus that of the same attack on fresh real rows. A significant
# excess above the first fails; a pass needs an interval that ends at or below the second. The
# standard error of a ROC-AUC of 40 rows against 40 is 0.065.
SOME_EXCESS, MOST_EXCESS = 0.03, 0.1
# Share of training rows that an attack recognises at 10 % false alarms; guessing recognises 10 %. A
# pass needs at most the first, and an interval that ends at or below the second. Attacks on
# published diffusion models recognised 46 % (MIDST, arXiv 2603.19185).
FOUND, MOST_FOUND = 0.15, 0.20
# Share of copies in excess of that of real rows: the first limits near-copies, the second equal
# rows, since each equal row may reveal a person.
SOME_COPIES, A_COPY = 0.05, 0.005
# Share of synthetic rows that are nearer to train than to an equal number of other real rows; 0.5
# is best. It fails if it is above the first and significantly above 0.5; SMOTE with thousands of
# rows is not farther from 0.5. A pass needs an interval that ends at or below the second.
NEARER, MOST_NEARER = 0.53, 0.6

# Factor on the half-width of an interval before it can fail fidelity or privacy. With it, of 15
# tests at once at least one fails by chance in at most 5 of 100 cases.
WIDER = 1.5

# The rules of the verdicts: one for each deciding score, then those that hold for all scores.
RULES: tuple[dict[str, str], ...] = (
    {
        "part": "fidelity",
        "figure": "the best of four detectors: 1 if synthetic rows look like real ones to it, 0 "
        "if they look like independent columns",
        "passes": f"interval reaches {1 - LIKE_REAL:g} and begins at {HALF_REAL:g} or above",
        "falls short": f"interval ends below {1 - LIKE_REAL:g}, figure {HALF_REAL:g} or more",
        "fails": f"interval ends below {1 - LIKE_REAL:g}, figure below {HALF_REAL:g}",
    },
    {
        "part": "utility",
        "figure": "average precision kept if synthetic rows replace the real rows of the class",
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
        "figure": "training rows recognised by the strongest attack at 10 % false alarms",
        "passes": f"{FOUND:.0%} or less, interval ends at {MOST_FOUND:.0%} or below",
        "falls short": "",
        "fails": f"interval begins above {FOUND:.0%}, and above what it finds with fresh real rows",
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
        "figure": "excess of copies (or near-copies) of training rows over fresh real rows",
        "passes": f"interval ends at {100 * SOME_COPIES:.0f} points or below and, for copies, "
        "begins at 0 or below",
        "falls short": f"for copies: interval begins above {100 * A_COPY:.1f} points",
        "fails": f"interval begins above {100 * SOME_COPIES:.0f} points",
    },
)
ALL_RULES = (
    "The worst score decides a part, and the worst class decides a score. A part that neither "
    "passes nor fails is undecided.",
    f"Since several tests are made, fidelity and privacy fail only if they also fail with an "
    f"interval that is {WIDER:g} times as wide. That of the strongest attack is not widened: its "
    f"lower end already allows for the largest lead that any attack may have by chance.",
    f"Utility is undecided if the interval is wider than {SURE:.0%} and contains {KEEPS:.0%}, if "
    f"noise also keeps {KEEPS:.0%}, or if the class has fewer than {FEW} test rows.",
    "Without a holdout, utility and privacy can fail but not pass. The same holds for a part whose "
    "tables share rows.",
)


def needed(ratio: Score, tested: int, held_out: bool) -> str:
    """Say about how many test rows of the class would decide on utility."""
    low, high = ratio.interval or (0.0, 1.0)
    away = max(abs(ratio.value - KEEPS), 1e-9)
    times = min((high - low) / SURE, (high - low) / 2 / away) ** 2
    if not held_out:
        return "a holdout would decide"
    if times > MOST_TIMES:
        return f"far more than {tested:,} test rows of the class would decide"
    power = 10 ** math.floor(math.log10(times * tested))
    rows = math.ceil(times * tested / power) * power
    return f"about {rows:,} test rows of the class would decide; you have {tested:,}"
