"""Scores of strategies on the rows that share one value of a column."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthgen.comparison.tasks import Plan
from synthgen.comparison.tuning import LEAST_ROWS
from synthgen.model_selection.scoring import METRICS
from synthgen.model_selection.selection import Difference, compare_to


@dataclass(frozen=True)
class GroupResult:
    """One strategy within a group.

    Attributes:
        strategy: Name of the strategy.
        mean: Mean of the metric over the splits.
        mean_interval: 95 % interval of the mean.
        difference: Gain over doing nothing on the same splits; positive is better.
        interval: 95 % interval of the gain, simultaneous over all strategies of the group.
    """

    strategy: str
    mean: float
    mean_interval: tuple[float, float]
    difference: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Group:
    """The metric on test rows that share one value of the column.

    Attributes:
        value: The value, as text.
        rows, rare: Number of rows of the table with this value, and of the class among them.
        splits: Number of splits whose test part has rows of the class and other rows with this
            value.
        results: One result per strategy except "threshold", which does not change the ranking;
            empty if there are too few rows.
        too_few: The reason why there are no results; empty if there are some.
    """

    value: str
    rows: int
    rare: int
    splits: int
    results: tuple[GroupResult, ...]
    too_few: str = ""

    def result(self, strategy: str) -> GroupResult:
        """Look up the result of a strategy."""
        return next(r for r in self.results if r.strategy == strategy)

    @property
    def best(self) -> GroupResult | None:
        """The result with the largest gain, without "nothing"; None if there is no other."""
        others = [r for r in self.results if r.strategy != "nothing"]
        return max(others, key=lambda r: r.difference, default=None)


@dataclass(frozen=True)
class Groups:
    """The metric of every strategy for each value of a column.

    Attributes:
        column: Name of the column.
        groups: One group for each value; missing cells form a group.
    """

    column: str
    groups: tuple[Group, ...]


def by_groups(plan: Plan, rows: dict[str, list[dict[str, Any]]], ratio: float) -> tuple[Group, ...]:
    """Compute the metric of each strategy in each group."""
    if plan.groups is None:
        return ()
    is_rare = plan.part.y == plan.part.rare
    return tuple(
        _group(value, plan.groups == value, is_rare, plan.metric, rows, ratio)
        for value in sorted(set(plan.groups.tolist()), key=_order)
    )


def _order(value: str) -> tuple[float, str]:
    """Sort key of a value: numbers first, by size."""
    try:
        return float(value), value
    except ValueError:
        return math.inf, value


def _group(
    value: str,
    in_group: np.ndarray,
    is_rare: np.ndarray,
    metric: str,
    rows: dict[str, list[dict[str, Any]]],
    ratio: float,
) -> Group:
    rare = int((in_group & is_rare).sum())
    others = int(in_group.sum()) - rare
    splits = [i for i, d in enumerate(rows["nothing"]) if value in d["by"]]
    too_few = ""
    if min(rare, others) < LEAST_ROWS:
        too_few = (
            f"{rare} rows of the class and {others} other rows; at least {LEAST_ROWS} of each are "
            f"needed"
        )
    elif len(splits) < 2:
        too_few = (
            f"only {len(splits)} of {len(rows['nothing'])} test parts have rows of the class and "
            f"other rows; at least 2 are needed"
        )
    found = []
    if not too_few:
        about = METRICS[metric]
        scores = {n: np.array([of[i]["by"][value] for i in splits]) for n, of in rows.items()}
        others_of = {n: about.sign * s for n, s in scores.items() if n != "nothing"}
        gains = dict.fromkeys(scores, Difference(0.0, 0.0, 0.0, 0.0))
        if others_of:
            nothing, every = about.sign * scores["nothing"], np.array([*others_of.values()])
            compared = compare_to(every, nothing, ratio=ratio, bounds=about.bounds)
            gains |= dict(zip(others_of, compared, strict=True))
        for name, own in scores.items():
            mean, gain = float(own.mean()), gains[name]
            (around,) = compare_to(own[None] - mean, np.zeros(len(own)), ratio=ratio)
            least, most = sorted((about.worst, about.best))
            ends = max(mean + around.low, least), min(mean + around.high, most)
            found.append(GroupResult(name, mean, ends, gain.mean, gain.interval))
    return Group(value, rare + others, rare, len(splits), tuple(found), too_few)
