"""`Score`, a number beside its reference, and `Part`, the scores of one part."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Better = Literal["higher", "lower", "reference"]
# What none of n rows shows has a share of at most UNSEEN / n (Hanley & Lippman-Hand 1983).
UNSEEN = 3


@dataclass(frozen=True)
class Score:
    """One measured number beside its reference.

    Attributes:
        name: With dots, the part first: ``"fidelity.c2st_boosting"``.
        group: What was measured: ``"all"``, a class, a column of a class as ``"yes: age"``, or a
            classifier.
        value: The number for the synthetic rows; NaN where it cannot be measured, see `note`.
        reference: The same number with real rows in the place of the synthetic ones, as many, and
            none of those they are compared with; None where there is none.
        better: ``"higher"``, ``"lower"``, or ``"reference"``: nearer to the reference is better.
        interval: 95 % interval of `value`; None where there is none.
        floor: The same number for rows that are known to be bad (independent columns, or noise).
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
    """What was measured for fidelity, utility or privacy.

    Attributes:
        scores: In the order in which they are shown.
        curves: To be drawn, by name: ``{"roc real": {"x": ..., "y": ...}}``.
        notes: Sentences about the whole part, such as what it does not show.
        judges: The classifiers of utility, each with its settings in words.
    """

    scores: list[Score]
    curves: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    judges: dict[str, str] = field(default_factory=dict)
