"""A number that never stands alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Better = Literal["higher", "lower", "reference"]
# What none of n rows has shown happens in so many of n at most (Hanley & Lippman-Hand 1983).
UNSEEN = 3


@dataclass(frozen=True)
class Score:
    """One measured number beside its yardstick.

    Attributes:
        name: Dotted, the part first: ``"fidelity.c2st_boosting"``.
        group: What was measured: ``"all"``, a class, a column of one as ``"yes: age"``, a judge.
        value: Of the synthetic rows; NaN where it cannot be measured, which `note` explains.
        reference: The same number with an equal-sized real sample in the place of the synthetic
            rows, disjoint from what it is compared with; None where there is none.
        better: ``"higher"``, ``"lower"``, or ``"reference"``: the nearer to the reference, the
            better.
        interval: 95 % interval of `value`; None where there is none.
        floor: The same number for rows that are known to be bad (independent columns; noise).
        note: A sentence, where the number needs one.

    Example:
        >>> score = Score("privacy.nearer_to_train", "yes", 0.52, 0.5, "reference", (0.45, 0.59))
        >>> score.to_json()["name"], score.to_json()["interval"]
        ('privacy.nearer_to_train', [0.45, 0.59])
    """

    name: str
    group: str
    value: float
    reference: float | None
    better: Better
    interval: tuple[float, float] | None
    floor: float | None = None
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "group": self.group,
            "value": self.value,
            "reference": self.reference,
            "better": self.better,
            "interval": None if self.interval is None else list(self.interval),
            "floor": self.floor,
            "note": self.note,
        }


@dataclass(frozen=True)
class Part:
    """What one family of metrics found.

    Attributes:
        scores: In the order in which they are shown.
        curves: What the page draws, by name: ``{"roc real": {"x": ..., "y": ...}}``.
        notes: Sentences about the whole part, such as what it does not show.
        judges: The classifiers whose scores these are, each with its settings in words.
    """

    scores: list[Score]
    curves: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    judges: dict[str, str] = field(default_factory=dict)
