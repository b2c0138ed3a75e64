"""Advice on an augmented table: the recommendation and the cards that support it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from synthgen.augmentation.amount import Addition, Validated
from synthgen.report.answer import Card, Recommendation
from synthgen.tables.dtypes import shown

MOST_LABELS = 3  # classes, rules or columns named in one sentence
# From evaluation/benchmark.md: `auto` against default boosting, with 10 to 100 rows of the class.
AUTO = "On 23 of 24 tables synthgen auto ranked a class of 10 to 100 rows better than boosting"


def recommend(
    additions: Sequence[Addition], target: object, *, validated: Validated | None, copies: bool
) -> Recommendation:
    """Recommend how to use the new rows, and how to train a classifier for the class.

    Args:
        additions: Number of new rows per class.
        target: Name of the target column.
        validated: Validation results; None if nothing was validated.
        copies: Whether the new rows are resampled real rows with noise (`SmoothedBootstrap`).

    Returns:
        The action, its reason and the command to run.

    Example:
        >>> added = [Addition("ill", 5, "as asked for")]
        >>> recommend(added, "outcome", validated=None, copies=False).action
        'evaluate'
    """
    some = [a for a in additions if a.rows]
    labels = _named([a.label for a in some or additions])
    names = f"--target {shlex.quote(str(target))}"
    first = shlex.quote(str((some or additions)[0].label))
    auto = f"synthgen auto DATA {names} --label {first} -o model.skops"
    finding = "" if validated is None else f"{validated.finding} "
    if not some:
        return Recommendation(
            "use auto",
            f"Train an average of unlike learners on the table as it is, to find {labels}: no row "
            f"was added.",
            f"{finding}{AUTO}.",
            auto,
        )
    rows = sum(a.rows for a in some)
    if validated is not None and validated.helps:
        return Recommendation(
            "train with weights",
            f"Train on the table with its {rows:,} new rows of {labels}, each row with its weight.",
            f"{validated.finding} That was chosen on the same folds, so expect less.",
            'classifier.fit(X, y, sample_weight=table["sample_weight"])',
        )
    if copies:
        return Recommendation(
            "do not share",
            f"Do not hand on the {rows:,} new rows of {labels}; to find the class, train synthgen "
            f"auto on the table as it was.",
            f"{finding}Each new row is a real one, moved a little. {AUTO}.",
            auto,
        )
    return Recommendation(
        "evaluate",
        f"Judge the {rows:,} new rows of {labels} before you share them or test with them; to find "
        f"the class, train synthgen auto on the table as it was.",
        f"{finding}{AUTO}; no synthesizer's rows are known to do so.",
        f"synthgen evaluate --train DATA --synthetic OUT {names}",
    )


def cards(
    additions: Sequence[Addition],
    before: Mapping[Any, int],
    after: Mapping[Any, int],
    guard: Mapping[Any, Mapping[str, Any]],
    not_learned: Mapping[Any, str],
) -> tuple[Card, ...]:
    """Cards for the number of new rows, the rejected rows, and the columns not learned."""
    rows, labels = sum(a.rows for a in additions), _named([a.label for a in additions])
    most = max(before.values())
    shares = "; ".join(
        f"{shown(a.label)}: {before[a.label]:,} to {after[a.label]:,}, "
        f"{after[a.label] / most:.1%} of the largest class"
        for a in additions[:MOST_LABELS]
    )
    refused: dict[str, int] = {}
    for found in guard.values():
        for reason, count in found["refused"].items():
            refused[reason] = refused.get(reason, 0) + count
    drawn = sum(found["drawn"] for found in guard.values())
    rules = found_rules(guard)
    kept = f" Kept of what all rows keep: {_some(rules)}." if rules else ""
    told = "; ".join(f"{count:,} {reason}" for reason, count in refused.items())
    names = ", ".join(map(str, list(not_learned)[:MOST_LABELS]))
    more = len(not_learned) - MOST_LABELS
    return (
        Card("New rows", f"{rows:,} of {labels}", f"{shares}: {additions[0].reason}."),
        Card(
            "Refused",
            f"{sum(refused.values()):,} of {drawn:,} drawn",
            f"{told or 'Every row that was drawn keeps to limits and rules'}.{kept}",
        ),
        Card(
            "Not learned",
            f"{len(not_learned)} column{'s' * (len(not_learned) != 1)}",
            f"{names}{f' and {more} more' if more > 0 else ''}: IDs, free text or constants."
            if not_learned
            else "Every column is learned.",
        ),
    )


def found_rules(guard: Mapping[Any, Mapping[str, Any]]) -> list[str]:
    """Texts of the rules that all real rows and all new rows satisfy."""
    return list(
        dict.fromkeys(rule for found in guard.values() for rule in found.get("found_rules", ()))
    )


def _some(rules: Sequence[str]) -> str:
    more = len(rules) - MOST_LABELS
    return "; ".join(rules[:MOST_LABELS]) + (f"; and {more} more" if more > 0 else "")


def refused_lines(guard: Mapping[Any, Mapping[str, Any]]) -> list[str]:
    """Number of rejected rows per class and reason, one line each."""
    lines = []
    for label, found in guard.items():
        if found["refused"]:
            counts = ", ".join(f"{n:,} {why}" for why, n in found["refused"].items())
            of = "" if label is None else f" of {label!r}"
            lines.append(f"refused{of}, of {found['drawn']:,} rows drawn: {counts}")
    lines += [f"new rows keep, as all rows do: {rule}" for rule in found_rules(guard)]
    return lines


def _named(labels: Sequence[Any]) -> str:
    """The first classes, comma-separated, and the number of the others."""
    names = [shown(label) for label in labels[:MOST_LABELS]]
    more = len(labels) - len(names)
    return ", ".join(names) + (f" and {more} more classes" if more else "")
