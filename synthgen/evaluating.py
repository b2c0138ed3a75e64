"""What synthetic rows are worth: fidelity, utility and privacy, each beside its reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from synthgen.metrics.score import Part, Score
from synthgen.table import Table

Outcome = Literal["passes", "falls short", "fails", "cannot tell"]
PARTS = ("fidelity", "utility", "privacy")


@dataclass(frozen=True)
class Verdict:
    """One part in a sentence.

    Attributes:
        part: ``"fidelity"``, ``"utility"`` or ``"privacy"``.
        outcome: ``"passes"``, ``"falls short"``, ``"fails"`` or ``"cannot tell"``.
        sentence: With the key figure, its interval and its reference.
        key: The `Score` that decided, None where there is none.
    """

    part: str
    outcome: Outcome
    sentence: str
    key: Score | None


@dataclass(frozen=True)
class Report:
    """What `evaluate` found.

    Attributes:
        target: Name of the target.
        label: The rare class, as text.
        train, synthetic, holdout: The rows that were compared: one schema, with the levels of all
            three, without columns that carry nothing to compare (IDs, texts, empty ones). For
            pictures of the columns.
        fidelity, utility, privacy: Scores, curves and notes of each part. Groups of fidelity are
            classes, as text, the rare one first, and ``"all"`` where the synthetic rows hold every
            class; of one column ``"CLASS: COLUMN"``. Groups of utility are judges (``"boosting"``),
            with ``by`` also ``"boosting: sex=Female"``. Groups of privacy are the rare class and
            ``"all"``. Curves are ``{"x": ..., "y": ...}``; of utility they are named
            ``"roc boosting replace"``, ``"pr boosting replace"`` and
            ``"calibration boosting replace"``, with real, replace, augment or whole as the rows
            that the judge learned from.
        verdicts: One for each part, in this order.
        notes: Sentences about the whole: where the holdout comes from, what was left out.
        sizes: Rows of ``"train"``, ``"synthetic"`` and ``"holdout"``.
        classes: ``label`` (text), ``train``, ``synthetic`` and ``holdout`` (rows), in order.
        held_out: Whether `holdout` was given, and not split off from rows that the synthesizer saw.
        seed: Gives the same figures again.
        seconds: By part.
    """

    target: str
    label: str
    train: Table
    synthetic: Table
    holdout: Table
    fidelity: Part
    utility: Part
    privacy: Part
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...]
    sizes: dict[str, int]
    classes: tuple[dict[str, Any], ...]
    held_out: bool
    seed: int
    seconds: dict[str, float]

    @property
    def parts(self) -> dict[str, Part]:
        """The three parts by name, in the order in which they are shown."""
        return {"fidelity": self.fidelity, "utility": self.utility, "privacy": self.privacy}

    @property
    def scores(self) -> list[Score]:
        """All scores, in the order in which they are shown."""
        return [score for part in self.parts.values() for score in part.scores]

    def score(self, name: str, group: str | None = None) -> Score:
        """The score of that name; without a group the first one, of the rare class or judge.

        Raises:
            KeyError: there is none.
        """
        for score in self.scores:
            if score.name == name and group in (None, score.group):
                return score
        raise KeyError(name if group is None else f"{name}@{group}")

    def to_json(self) -> dict[str, Any]:
        """Plain values::

            {"target": "income", "label": ">50K", "seed": 0, "held_out": true,
             "rows": {"train": 32561, "synthetic": 7841, "holdout": 16281},
             "classes": [{"label": ">50K", "train": 7841, "synthetic": 7841, "holdout": 3846}, ...],
             "verdicts": [{"part": "privacy", "outcome": "passes", "sentence": "...",
                           "score": "privacy.mia_excess"}, ...],
             "scores": [{"name": "privacy.mia_excess", "group": ">50K", "value": 0.01,
                         "reference": 0.0, "better": "lower", "interval": [-0.02, 0.03],
                         "floor": null, "note": ""}, ...],
             "notes": [...], "seconds": {"fidelity": 12.3, ...},
             "privacy": {"mia_excess": 0.01, "mia_excess@>50K": 0.01, "notes": [...]}, ...}

        NaN is null. The last three, one for each part, hold the values of the scores again, by the
        rest of their names, which `synthgen.gates.gate` reads: ``privacy.mia_excess<=0.12``, or of
        another group than the first ``privacy.mia_excess@all<=0.12``.
        """
        out: dict[str, Any] = {
            "target": self.target,
            "label": self.label,
            "seed": self.seed,
            "held_out": self.held_out,
            "rows": self.sizes,
            "classes": list(self.classes),
            "verdicts": [
                {
                    "part": v.part,
                    "outcome": v.outcome,
                    "sentence": v.sentence,
                    "score": None if v.key is None else v.key.name,
                }
                for v in self.verdicts
            ],
            "scores": [_plain(score.to_json()) for score in self.scores],
            "notes": list(self.notes),
            "seconds": self.seconds,
        }
        for name, part in self.parts.items():
            values: dict[str, Any] = {}
            for score in part.scores:
                rest, value = score.name.removeprefix(f"{name}."), _plain(score.value)
                values.setdefault(rest, value)
                values[f"{rest}@{score.group}"] = value
            out[name] = values | {"notes": part.notes}
        return out

    def summary_lines(self) -> list[str]:
        """The verdicts and notes, one sentence each."""
        lines = [f"{v.part}: {v.outcome}. {v.sentence}" for v in self.verdicts]
        notes = [*self.notes, *(note for part in self.parts.values() for note in part.notes)]
        return lines + [f"note: {note}" for note in dict.fromkeys(notes)]


def _plain(value: Any) -> Any:
    """NaN as None, numbers as Python's own, all the way down."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, str) or value is None:
        return value
    return None if value != value else float(value)
