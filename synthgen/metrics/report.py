"""`Report`: the result of `evaluate`, as verdicts, scores, a frame and JSON."""

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

# Utility scores that the terminal shows.
SHOWN = ("ap_ratio", "ap_gain", "average_precision", "roc_auc", "recall", "recall_gap", "log_loss")
MOST_GROUPS = 8  # groups that the message lists if a gate names an unknown group


@dataclass(frozen=True, repr=False)
class Report(Shown):
    """The result of `evaluate`.

    Attributes:
        target: Name of the target column.
        label: The rare class, as text.
        train, synthetic, holdout: The compared rows as tables with one common schema, which has the
            levels of all three. Columns that cannot be compared (identifiers, free text, empty
            columns) are left out.
        fidelity, utility, privacy: A `Part` each, with scores, curves and notes; see below for
            their groups and curves.
        verdicts: One verdict each for fidelity, utility and privacy, in this order.
        notes: Sentences about the whole evaluation, such as where the holdout comes from and what
            was left out.
        sizes: Number of rows of ``"train"``, ``"synthetic"`` and ``"holdout"``.
        classes: For each class a dict with ``label`` (text), the number of its rows in ``train``,
            ``synthetic`` and ``holdout``, and ``verdicts``: the outcome of each part, or None if
            the class has no synthetic rows or was not measured separately.
        held_out: Whether `holdout` was given. If not, it was split off from rows that the
            synthesizer has seen.
        spoilt: Parts whose scores are invalid because tables share rows, each with the reason.
        left_out: Number of training rows in the synthetic table that were not evaluated; above 0 if
            it is an augmented table.
        macro: Mean over the measured classes of the battery (``"fidelity"``), the average
            precision kept (``"utility"``) and the training rows found (``"privacy"``).
        seed: The seed that was used; the same call with it gives the same scores.
        seconds: Run time of each part in seconds.
        synthesizer: Name of the synthesizer that made the rows; "" if unknown.

    Groups of scores: in fidelity a class as text (the rare class first), ``"CLASS: COLUMN"`` for a
    single column, and ``"all"`` if several classes are synthetic; in utility a classifier such as
    ``"boosting"``, for other classes ``"boosting: income=<=50K"``, and with ``by`` also
    ``"boosting: sex=Female"``; in privacy a class, and ``"all"``.

    A curve is ``{"x": ..., "y": ...}``. Utility has the curves ``"roc boosting replace"``,
    ``"pr boosting replace"`` and ``"calibration boosting replace"``; the last word (real, replace,
    augment or whole) says which rows the classifier was trained on. In privacy, the name of a curve
    of any group but the rare class ends in the group.

    Example:
        >>> rows = Table.of(pd.DataFrame({"dose": [1.5, 2.5, 4], "ill": [0, 1, 1]}), target="ill")
        >>> part = Part([Score("fidelity.column_shapes", "0", 0.93, 0.97, "higher", (0.9, 0.95))])
        >>> sizes = {"train": 3, "synthetic": 3, "holdout": 3}
        >>> report = Report("ill", "0", rows, rows, rows, part, Part([]), Part([]), (), (), sizes,
        ...                 (), held_out=True, spoilt={}, left_out=0, macro={}, seed=0, seconds={})
        >>> report.score("fidelity.column_shapes").value, report.key_figures()[0][:3]
        (0.93, ['key figure', 'of', 'value'])
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
    macro: dict[str, float]
    seed: int
    seconds: dict[str, float]
    synthesizer: str = ""

    @property
    def parts(self) -> dict[str, Part]:
        """The three parts by name, in display order."""
        return {"fidelity": self.fidelity, "utility": self.utility, "privacy": self.privacy}

    @property
    def scores(self) -> list[Score]:
        """All scores in display order."""
        return [score for part in self.parts.values() for score in part.scores]

    def score(self, name: str, group: str | None = None) -> Score:
        """Look up one score.

        Args:
            name: Name of the score, such as ``"privacy.mia_excess"``.
            group: Group of rows, such as ``"all"``. None: the rare class; for utility, the first
                classifier.

        Returns:
            The score.

        Raises:
            KeyError: There is no such score.
        """
        asked = self._first(name.partition(".")[0]) if group is None else group
        for score in self.scores:
            if score.name == name and score.group == asked:
                return score
        raise KeyError(name if group is None else f"{name}@{group}")

    def _first(self, part: str) -> str:
        """Give the default group of a part."""
        scores = self.parts[part].scores if part in self.parts else []
        return scores[0].group if part == "utility" and scores else self.label

    def to_json(self) -> dict[str, Any]:
        """Convert the report to plain values for `json.dumps`.

        The result has this form::

            {"target": "income", "label": ">50K", "seed": 0, "held_out": true,
             "left_out": 0,
             "rows": {"train": 32561, "synthetic": 7841, "holdout": 16281},
             "classes": [{"label": ">50K", "train": 7841, "synthetic": 7841, "holdout": 3846,
                          "verdicts": {"fidelity": "passes", "utility": "passes", ...}}, ...],
             "macro": {"fidelity": 0.9, "utility": 0.98, "privacy": 0.12},
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

        NaN becomes null; the command line adds ``"warnings"``. The last entries, one per part,
        repeat the values for gates. The gate ``privacy.mia_excess<=0.12`` refers to the rare class
        (for utility: to the first classifier), ``privacy.mia_excess@all<=0.12`` to another group. A
        value is null there, so that no gate passes, if it was not measured for this group, if the
        tables share rows, or if it belongs to an attack and no holdout was given. `unknown` gives
        the reason.

        Returns:
            A dict of numbers, texts, None, lists and dicts; NaN becomes None.
        """
        out: dict[str, Any] = {
            "target": self.target,
            "label": self.label,
            "seed": self.seed,
            "held_out": self.held_out,
            "left_out": self.left_out,
            "rows": self.sizes,
            "classes": list(self.classes),
            "macro": dict.fromkeys(self.parts) | self.macro,
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
                # A score that was not measured must not pass a gate.
                value = None if self._unmeasured(score) else _plain(score.value)
                values[f"{rest}@{score.group}"] = value
                if score.group == self._first(name):
                    values[rest] = value
            out[name] = dict.fromkeys(NAMES[name]) | values | {"notes": part.notes}
        return out

    def unknown(self, name: str) -> str:
        """Explain why a value of the JSON is null, or why the group in a gate's name is missing.

        Args:
            name: Name as in a gate: ``"privacy.mia_excess"`` or ``"privacy.mia_excess@all"``.

        Returns:
            A text that begins with "unknown" and gives the reason.
        """
        name, _, group = name.partition("@")
        part = name.partition(".")[0]
        if part == "macro":
            return "unknown: it was not measured for any class"
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
        """Explain why a score is not reliable; empty if it is."""
        part, _, rest = score.name.partition(".")
        if part in self.spoilt:
            return f"unknown: {self.spoilt[part]}"
        if part == "privacy" and rest.startswith("mia_") and not self.held_out:
            return "unknown without --holdout, as the synthesizer has seen every row of --train"
        return "" if score.value == score.value else f"unknown: {score.note}"

    def table_rows(self, scores: Sequence[Score] | None = None) -> list[list[Any]]:
        """Format scores as rows of name, group, value, interval, reference and floor.

        Args:
            scores: The scores to show. None: those that the terminal shows.

        Returns:
            A list of six texts for each score.
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
        """What to do with the synthetic rows, according to the verdicts."""
        found = advice.recommend(
            self.verdicts,
            target=self.target,
            label=self.label,
            held_out=self.held_out,
            rows=self.sizes["train"],
            synthesizer=self.synthesizer,
        )
        if not self.left_out:
            return found
        judged = (
            f" Only the {self.sizes['synthetic']:,} new rows of the augmented table were "
            f"evaluated, not its {self.left_out:,} rows of train."
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
        """Convert all scores to a frame with one row per score.

        Returns:
            A frame with columns ``part``, ``name``, ``group``, ``value``, ``low`` and ``high`` (the
            95 % interval), ``reference``, ``floor``, ``better`` and ``note``. Missing numbers are
            NaN.
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
        """The scores that decided the verdicts, and the key scores of each part.

        Returns:
            The six column heads ("key figure", "of" for the group, "value", "95 %" for the
            interval, "reference" and "floor"), and for each score a row of texts under them.
        """
        heads = ["key figure", "of", "value", "95 %", "reference", "floor"]
        return heads, self.table_rows(key_scores(self))

    def all_figures(self) -> tuple[list[str], list[list[Any]]]:
        """All scores for the terminal, except those of single columns.

        Returns:
            The column heads and rows, as `key_figures` gives them.
        """
        return ["score", *self.key_figures()[0][1:]], self.table_rows()

    def note_lines(self) -> list[str]:
        """The notes on the whole evaluation and on its parts.

        Returns:
            One note per line.
        """
        notes = [*self.notes, *(note for part in self.parts.values() for note in part.notes)]
        return [f"note: {note}" for note in dict.fromkeys(notes)]


def _plain(value: Any) -> Any:
    """Convert to plain Python values at any depth; NaN becomes None."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, str) or value is None:
        return value
    return None if value != value else float(value)
