"""Advice on an augmented table: the recommendation and the cards that support it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from synthgen.auditing.advice import gain_of_auto
from synthgen.augmentation.amount import Addition, Validated
from synthgen.report.answer import Card, Recommendation
from synthgen.tables.dtypes import shown

MOST_LABELS = 3  # classes, rules or columns named in one sentence
LEAST = 10  # with fewer rows of the class, evaluation/benchmark.md says nothing


def recommend(
    additions: Sequence[Addition],
    target: object,
    *,
    before: Mapping[Any, int],
    validated: Validated | None,
    copies: bool,
    equal: float = 0.0,
) -> Recommendation:
    """Recommend how to use the new rows, and how to train a classifier for the class."""
    some = [a for a in additions if a.rows]
    labels = _named([a.label for a in some or additions])
    names = f"--target {shlex.quote(str(target))}"
    first = shlex.quote(str((some or additions)[0].label))
    auto = f"synthgen auto DATA {names} --label {first} -o model.skops"
    finding = "" if validated is None else f"{validated.finding} "
    gain = _gain_of_auto([before[a.label] for a in some or additions])
    if not some:
        return Recommendation(
            "use auto",
            f"No row was added. To find {labels}, train synthgen auto on the table as it is: an "
            f"average of boosting, a random forest, extra trees and logistic regression.",
            f"{finding}{gain}",
            auto,
        )
    rows = sum(a.rows for a in some)
    if validated is not None and validated.helps:
        return Recommendation(
            "train with weights",
            f"Train on the table with its {rows:,} new rows of {labels}, each row with its weight.",
            f"{validated.finding} The amount was chosen on the same folds, so expect less; compare "
            f"with `synthgen auto` on the real rows alone. {gain}",
            'classifier.fit(X, y, sample_weight=table["sample_weight"])',
        )
    if copies:
        return Recommendation(
            "do not share",
            f"Do not share the {rows:,} new rows of {labels}; to find the class, train synthgen "
            f"auto on the real rows alone.",
            f"{finding}Each new row is a real row with a little noise{_equal(equal)}. {gain}",
            auto,
        )
    return Recommendation(
        "evaluate",
        f"Evaluate the {rows:,} new rows of {labels} before you test software with them, best with "
        f"--holdout and real rows that are not in the table; to find the class, train synthgen "
        f"auto on the real rows alone. Do not share them unless their model passes synthgen "
        f"privacy.",
        f"{finding}{gain} Synthetic rows are not known to improve a classifier, and can make "
        f"one worse, even with weights.",
        f"synthgen evaluate --train DATA --synthetic OUT {names}",
    )


def _equal(share: float) -> str:
    """The share of new rows that equal a training row, as a clause."""
    if not share:
        return ""
    return f"; {share:.1%} of them equal a training row, because the columns leave little room"


def _gain_of_auto(rows: Sequence[int]) -> str:
    """State what is known of the gain of `auto` for classes with these numbers of rows."""
    known = {gain_of_auto(n) for n in rows if n >= LEAST}
    if len(known) == 1 and min(rows) >= LEAST:
        return f"{known.pop()}."
    return "synthgen auto reports how much better than boosting it finds the class."


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
        f"{shown(str(a.label))}: {before[a.label]:,} to {after[a.label]:,}, "
        f"{after[a.label] / most:.1%} of the largest class"
        for a in additions[:MOST_LABELS]
    )
    refused: dict[str, int] = {}
    for found in guard.values():
        for reason, count in found["refused"].items():
            refused[reason] = refused.get(reason, 0) + count
    drawn = sum(found["drawn"] for found in guard.values())
    rules = found_rules(guard)
    kept = f" They satisfy the rules of the real rows: {_some(rules)}." if rules else ""
    reasons = "; ".join(f"{count:,} {reason}" for reason, count in refused.items())
    names = ", ".join(map(str, list(not_learned)[:MOST_LABELS]))
    more = len(not_learned) - MOST_LABELS
    return (
        Card("New rows", f"{rows:,} of {labels}", f"{shares}: {additions[0].reason}."),
        Card(
            "Refused",
            f"{sum(refused.values()):,} of {drawn:,} drawn",
            f"{reasons or 'All drawn rows satisfy the limits and rules'}.{kept}",
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
    lines += [f"new rows satisfy a rule of all real rows: {rule}" for rule in found_rules(guard)]
    return lines


def _named(labels: Sequence[Any]) -> str:
    """The first classes, comma-separated, and the number of the others."""
    names = [shown(str(label)) for label in labels[:MOST_LABELS]]
    more = len(labels) - len(names)
    return ", ".join(names) + (f" and {more} more classes" if more else "")
