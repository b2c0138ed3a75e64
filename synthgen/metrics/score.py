"""`Score`, a number beside its reference, and `Part`, the scores of one part."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Better = Literal["higher", "lower", "reference"]
# Rule of three: an event seen in none of n rows has a rate of at most UNSEEN / n, with 95 %
# confidence (Hanley & Lippman-Hand 1983).
UNSEEN = 3


@dataclass(frozen=True)
class Score:
    """One measured number beside its reference.

    Attributes:
        name: Part and measure with a dot between them, such as ``"fidelity.battery"``.
        group: The rows or the classifier of the score: ``"all"``, a class, a column of a class such
            as ``"yes: age"``, or a classifier.
        value: The number for the synthetic rows; NaN if it cannot be measured (`note` says why).
        reference: The same number if the synthetic rows are replaced by an equal number of real
            rows that are not among those they are compared with; None if it was not measured.
        better: ``"higher"``, ``"lower"`` or ``"reference"`` (closer to the reference is better).
        interval: 95 % confidence interval of `value`, or None.
        floor: The same number for rows known to be bad (independent columns, or noise), or None.
        note: A sentence of explanation; empty if none is needed.
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
    """The scores of fidelity, utility or privacy.

    Attributes:
        scores: The scores in display order.
        curves: Curves to draw, by name: ``{"roc real": {"x": ..., "y": ...}}``.
        notes: Sentences about the whole part, such as what it cannot show.
        judges: The classifiers of the utility part; for each, a text with its settings.
    """

    scores: list[Score]
    curves: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    judges: dict[str, str] = field(default_factory=dict)
