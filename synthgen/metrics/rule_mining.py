"""Rules that every real row satisfies, and the synthetic rows that break them."""

from __future__ import annotations

import numpy as np

from synthgen.encoding.rules import find_rules
from synthgen.metrics.samples import Samples
from synthgen.metrics.score import Score
from synthgen.model_selection.intervals import wilson

SHOWN = 5  # rules that a note names


def broken_rules(draws: Samples) -> tuple[list[Score], list[str]]:
    """Compute the share of synthetic rows that satisfy all rules of the real rows."""
    rules = find_rules(draws.matrix, np.vstack([draws.train, draws.fresh]))
    if not rules:
        return [], []
    # Real rows satisfy the rules that were found in them by construction. For the reference, rules
    # are found in train and checked on the holdout.
    apart = [rule.broken(draws.fresh) for rule in find_rules(draws.matrix, draws.train)]
    reference = float(1 - np.any(apart, axis=0).mean()) if apart else 1.0
    broken = np.column_stack([rule.broken(draws.made) for rule in rules])
    kept = ~broken.any(axis=1)
    value, rows = float(kept.mean()), len(draws.made)
    counts = broken.sum(axis=0)
    worst = np.argsort(-counts, kind="stable")[:SHOWN]
    notes = [
        f"{draws.group}: {counts[k]:,} of {rows:,} synthetic rows break the rule "
        f"“{rules[k].text}”, which every real row satisfies"
        for k in worst
        if counts[k]
    ]
    note = f"{len(rules)} rules hold in all real rows; reference: holdout rows that satisfy the "
    note += "rules found in train"
    name = "fidelity.rules_kept"
    score = Score(name, draws.group, value, reference, "higher", wilson(value, rows), None, note)
    return [score], notes
