"""The verdicts of each synthetic class, by the same rules as those of all rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from synthgen.metrics.score import Part
from synthgen.metrics.verdicts import (
    BATTERY,
    RECOGNISED,
    WORST_FIRST,
    Verdict,
    of_fidelity,
    of_privacy,
    of_utility,
    unless,
)

KEPT = "utility.replace.ap_ratio"
# The score of each part that is averaged over classes.
FIGURES = {
    "fidelity": (BATTERY, "battery", ".2f"),
    "utility": (KEPT, "average precision kept", ".0%"),
    "privacy": (RECOGNISED, "training rows found at 10 % false alarms", ".0%"),
}


@dataclass(frozen=True)
class OfClass:
    """The verdicts and the main figures of one class.

    Attributes:
        label: The class, as text.
        verdicts: A verdict each for fidelity, utility and privacy.
        figures: The figure of each part; a part that was not measured is left out.
    """

    label: str
    verdicts: tuple[Verdict, ...]
    figures: dict[str, float]

    @property
    def outcomes(self) -> dict[str, str]:
        """The outcome of each part."""
        return {v.part: v.outcome for v in self.verdicts}


def group_of(judge: str, target: object, label: object) -> str:
    """Name the group of the utility scores of a class that is not reported first."""
    return f"{judge}: {target}={label}"


def of_each_class(
    parts: Mapping[str, Part],
    tested: Mapping[str, int],
    target: str,
    held_out: bool,
    spoilt: Mapping[str, str],
) -> tuple[OfClass, ...]:
    """Decide on each synthetic class."""
    found = []
    for number, (label, rows) in enumerate(tested.items()):
        only = {name: _of_group(parts[name], label) for name in ("fidelity", "privacy")}
        first = [s for s in parts["utility"].scores if ": " not in s.group]
        ending = group_of("", target, label)
        other = [s for s in parts["utility"].scores if s.group.endswith(ending)]
        only["utility"] = Part(other if number else first)
        verdicts = (
            of_fidelity(only["fidelity"], label),
            of_utility(only["utility"], label, rows, held_out),
            of_privacy(only["privacy"], held_out),
        )
        figures = {}
        for name, (figure, _, _) in FIGURES.items():
            values = [s.value for s in only[name].scores if s.name == figure and s.value == s.value]
            seen = name == "privacy" and not held_out  # attacks on seen rows look too weak
            if values and name not in spoilt and not seen:
                figures[name] = min(values)
        told = tuple(unless(v, spoilt.get(v.part, "")) for v in verdicts)
        found.append(OfClass(label, told, figures))
    return tuple(found)


def of_worst_utility(classes: Sequence[OfClass]) -> Verdict:
    """The verdict on utility of the worst class that was measured, or of the first class."""
    first, *others = [next(v for v in c.verdicts if v.part == "utility") for c in classes]
    measured = [v for v in others if v.key is not None and v.key.interval is not None]
    worst = min([first, *measured], key=lambda v: WORST_FIRST.index(v.outcome))
    label = next(c.label for c in classes if worst in c.verdicts)
    known = worst.known if worst is first else f"{worst.known} (the worst: “{label}”)"
    return replace(worst, known=known)


def macro(classes: Sequence[OfClass]) -> dict[str, float]:
    """The mean of each figure over the classes that have it."""
    values = {name: [c.figures[name] for c in classes if name in c.figures] for name in FIGURES}
    return {name: sum(found) / len(found) for name, found in values.items() if found}


def told_of(classes: Sequence[OfClass]) -> str:
    """The verdicts of each class as one sentence; "" for a single class."""
    if len(classes) < 2:
        return ""
    told = [
        f"“{c.label}”: " + ", ".join(f"{part} {outcome}" for part, outcome in c.outcomes.items())
        for c in classes
    ]
    means = [f"{FIGURES[name][1]} {v:{FIGURES[name][2]}}" for name, v in macro(classes).items()]
    mean = f". Mean of the classes: {', '.join(means)}" if means else ""
    return f"verdicts of each class: {'; '.join(told)}{mean}"


def _of_group(part: Part, group: str) -> Part:
    return Part([s for s in part.scores if s.group == group])
