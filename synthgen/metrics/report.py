"""`Report`: what `evaluate` found, as verdicts, scores, a frame and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from synthgen.metrics import advice
from synthgen.metrics.limits import ALL_RULES, RULES
from synthgen.metrics.measures import key_scores
from synthgen.metrics.names import NAMES
from synthgen.metrics.score import Part, Score
from synthgen.metrics.verdicts import Verdict
from synthgen.report.answer import Card, Recommendation
from synthgen.report.shown import Shown, repr_lines
from synthgen.tables.table import Table

if TYPE_CHECKING:
    from synthgen.report.card import Picture

# Figures of utility that a terminal shows.
SHOWN = ("ap_ratio", "ap_gain", "average_precision", "roc_auc", "recall", "recall_gap", "log_loss")
MOST_GROUPS = 8  # groups that are named where the group of a gate is not among them


@dataclass(frozen=True, repr=False)
class Report(Shown):
    """What `evaluate` found.

    Attributes:
        target: Name of the target.
        label: The rare class, as text.
        train, synthetic, holdout: The rows that were compared: one schema, with the levels of all
            three, without columns that hold nothing to compare (IDs, texts, empty ones).
        fidelity, utility, privacy: Scores, curves and notes of each part. The groups of fidelity
            are classes, as text, the rare one first, and ``"all"`` where several classes are
            synthetic; of a single column ``"CLASS: COLUMN"``. The groups of utility are classifiers
            (``"boosting"``), with ``by`` also ``"boosting: sex=Female"``. The groups of privacy are
            the rare class and ``"all"``. A curve is ``{"x": ..., "y": ...}``. Curves of utility are
            named ``"roc boosting replace"``, ``"pr boosting replace"`` and
            ``"calibration boosting replace"``, where real, replace, augment or whole are the rows
            that the classifier learned from. Curves of privacy of another group than the rare class
            end in its name.
        verdicts: One for each part, in this order.
        notes: Sentences about the whole: where the holdout comes from, what was left out.
        sizes: Rows of ``"train"``, ``"synthetic"`` and ``"holdout"``.
        classes: ``label`` (text), ``train``, ``synthetic`` and ``holdout`` (rows) of each class.
        held_out: Whether `holdout` was given; otherwise it was split off from rows that the
            synthesizer has seen.
        spoilt: Parts whose figures do not hold, as tables share rows, each with the reason.
        left_out: Rows of train that stood in the synthetic table, which was an augmented one, and
            were not judged.
        seed: Gives the same figures again.
        seconds: Spent on each part.
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
    spoilt: dict[str, str]
    left_out: int
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
        """One score.

        Args:
            name: Such as ``"privacy.mia_excess"``.
            group: Such as ``"all"``; None: the rare class, of utility the first classifier.

        Raises:
            KeyError: There is no such score.
        """
        asked = self._first(name.partition(".")[0]) if group is None else group
        for score in self.scores:
            if score.name == name and score.group == asked:
                return score
        raise KeyError(name if group is None else f"{name}@{group}")

    def _first(self, part: str) -> str:
        """The group of a part that is meant where none is named."""
        scores = self.parts[part].scores if part in self.parts else []
        return scores[0].group if part == "utility" and scores else self.label

    def to_json(self) -> dict[str, Any]:
        """The report in plain values, for `json.dumps`.

        They have this form::

            {"target": "income", "label": ">50K", "seed": 0, "held_out": true,
             "left_out": 0,
             "rows": {"train": 32561, "synthetic": 7841, "holdout": 16281},
             "classes": [{"label": ">50K", "train": 7841, "synthetic": 7841, "holdout": 3846}, ...],
             "recommendation": {"action": "use in part", "text": "...", "certainty": "...",
                                "command": "..."},
             "verdicts": [{"part": "privacy", "outcome": "passes", "sentence": "...",
                           "score": "privacy.mia_excess"}, ...],
             "limits": {"rules": [{"part": "fidelity", "figure": "...", "passes": "...", ...}, ...],
                        "all": ["...", ...]},
             "scores": [{"name": "privacy.mia_excess", "group": ">50K", "value": 0.01,
                         "reference": 0.0, "better": "lower", "interval": [-0.02, 0.03],
                         "floor": null, "note": ""}, ...],
             "notes": [...], "judges": {"logistic": "scikit-learn's ... with C=1.0, ...", ...},
             "seconds": {"fidelity": 12.3, ...},
             "privacy": {"mia_excess": 0.01, "mia_excess@>50K": 0.01, "notes": [...]}, ...}

        NaN is null; the command line adds ``"warnings"``. The last entries, one for each part, hold
        the values once more, for gates: ``privacy.mia_excess<=0.12`` is about the rare class (of
        utility: the first classifier), ``privacy.mia_excess@all<=0.12`` about another group. A
        value there is null where no gate may pass: it was not measured (for this group), the tables
        share rows, or it is an attack and no holdout was given. `unknown` gives the reason.
        """
        out: dict[str, Any] = {
            "target": self.target,
            "label": self.label,
            "seed": self.seed,
            "held_out": self.held_out,
            "left_out": self.left_out,
            "rows": self.sizes,
            "classes": list(self.classes),
            "recommendation": asdict(self.recommendation),
            "verdicts": [
                {
                    "part": v.part,
                    "outcome": v.outcome,
                    "sentence": v.sentence,
                    "score": None if v.key is None else v.key.name,
                }
                for v in self.verdicts
            ],
            "limits": {"rules": [dict(rule) for rule in RULES], "all": list(ALL_RULES)},
            "scores": [_plain(score.to_json()) for score in self.scores],
            "notes": list(self.notes),
            "judges": self.utility.judges,
            "seconds": self.seconds,
        }
        for name, part in self.parts.items():
            values: dict[str, Any] = {}
            for score in part.scores:
                rest = score.name.removeprefix(f"{name}.")
                # What was not measured passes no gate.
                value = None if self._unmeasured(score) else _plain(score.value)
                values[f"{rest}@{score.group}"] = value
                if score.group == self._first(name):
                    values[rest] = value
            out[name] = dict.fromkeys(NAMES[name]) | values | {"notes": part.notes}
        return out

    def unknown(self, name: str) -> str:
        """Why a value of the JSON is null, or its group missing: "unknown", and the reason.

        Args:
            name: As in a gate: ``"privacy.mia_excess"``, ``"privacy.mia_excess@all"``.
        """
        name, _, group = name.partition("@")
        part = name.partition(".")[0]
        if part not in self.parts:
            return "unknown: it has no groups"
        scores = self.parts[part].scores
        group = group or self._first(part)
        there = list(dict.fromkeys(s.group for s in scores if s.name == name))
        of_group = [s for s in scores if s.group == group]
        same = [s for s in of_group if s.name == name] or of_group[:1]
        if same and (why := self._unmeasured(same[0])):
            return why
        if there and group not in there:
            more = ", ..." if len(there) > MOST_GROUPS else ""
            some = ", ".join(there[:MOST_GROUPS])
            return f"unknown: it was not measured for {group}, but for {some}{more}"
        if name.endswith(".recall_gap"):
            return "unknown: it needs --by, and two groups with enough rows of the class"
        return "unknown: it was not measured, as the notes say"

    def _unmeasured(self, score: Score) -> str:
        """Why a score cannot be relied on; empty where it can."""
        part, _, rest = score.name.partition(".")
        if part in self.spoilt:
            return f"unknown: {self.spoilt[part]}"
        if part == "privacy" and rest.startswith("mia_") and not self.held_out:
            return "unknown without --holdout, as the synthesizer has seen every row of --train"
        return "" if score.value == score.value else f"unknown: {score.note}"

    def table_rows(self, scores: Sequence[Score] | None = None) -> list[list[Any]]:
        """Name, group, value, interval, reference and floor, as texts.

        Args:
            scores: What to show; None: all that a terminal shows.
        """
        rows: list[list[Any]] = []
        for score in self.scores if scores is None else scores:
            last = score.name.rpartition(".")[2]
            of_utility = score.name.startswith("utility.")
            if last not in SHOWN if of_utility else ": " in score.group:
                continue
            low_high = "" if score.interval is None else "{:.3f} to {:.3f}".format(*score.interval)
            others = ("" if v is None else f"{v:.3f}" for v in (score.reference, score.floor))
            value = "?" if score.value != score.value else f"{score.value:.3f}"
            rows.append([score.name, score.group, value, low_high, *others])
        return rows

    def _page(self) -> str:
        from synthgen.metrics.evaluation_page import render_evaluation

        return render_evaluation(self)

    def _picture(self) -> Picture | None:
        from synthgen.metrics.evaluation_page import evaluation_picture

        return evaluation_picture(self)

    @property
    def recommendation(self) -> Recommendation:
        """What to do with the synthetic rows, as the verdicts say."""
        names = {"target": self.target, "label": self.label}
        found = advice.recommend(self.verdicts, **names, held_out=self.held_out)
        if not self.left_out:
            return found
        judged = (
            f" Judged are the {self.sizes['synthetic']:,} new rows of the augmented table, not the "
            f"{self.left_out:,} of train."
        )
        return replace(found, certainty=found.certainty + judged)

    @property
    def cards(self) -> tuple[Card, ...]:
        """The verdicts."""
        return advice.cards(self.verdicts)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{rows:,} {name}" for name, rows in self.sizes.items())
        lines = [f"Report on target {self.target!r}: {sizes} rows"]
        lines += [f"- {card.line()}" for card in self.cards]
        lines.append(f"to_frame() has the {len(self.scores):,} scores")
        return repr_lines(self.recommendation, lines)

    def to_frame(self) -> pd.DataFrame:
        """All scores, a row each.

        Returns:
            Columns ``part``, ``name``, ``group``, ``value``, ``low``, ``high`` (95 % interval),
            ``reference``, ``floor``, ``better`` and ``note``; NaN where there is no figure.
        """
        rows = []
        for s in self.scores:
            low, high = s.interval or (np.nan, np.nan)
            part, _, name = s.name.partition(".")
            figures = [np.nan if v is None else v for v in (s.reference, s.floor)]
            rows.append([part, name, s.group, s.value, low, high, *figures, s.better, s.note])
        names = ("part", "name", "group", "value", "low", "high")
        names += ("reference", "floor", "better", "note")
        return pd.DataFrame(rows, columns=pd.Index(names))

    def key_figures(self) -> tuple[list[str], list[list[Any]]]:
        """What decided, and the key figures of each part."""
        heads = ["key figure", "of", "value", "95 %", "reference", "floor"]
        return heads, self.table_rows(key_scores(self))

    def all_figures(self) -> tuple[list[str], list[list[Any]]]:
        """Every figure that fits in a terminal: not those of single columns."""
        return ["score", *self.key_figures()[0][1:]], self.table_rows()

    def note_lines(self) -> list[str]:
        """The notes, a line each."""
        notes = [*self.notes, *(note for part in self.parts.values() for note in part.notes)]
        return [f"note: {note}" for note in dict.fromkeys(notes)]


def _plain(value: Any) -> Any:
    """NaN as None, numbers as Python's own, all the way down."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, str) or value is None:
        return value
    return None if value != value else float(value)
