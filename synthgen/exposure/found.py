"""`PrivacyAudit`: results of attacks on a model file and on rows generated with it."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from synthgen.exposure.membership import TITLES, Attack
from synthgen.metrics.limits import FOUND, MOST_FOUND
from synthgen.metrics.verdicts import of_recognised
from synthgen.report.answer import Card, Recommendation, Tone
from synthgen.report.shown import Shown, repr_lines
from synthgen.synthesizers.contents import TO_SHARE

# `synthgen evaluate` also looks for copies and for a small excess of the worst attack.
BOTH = "pass the privacy part of `synthgen evaluate`"
TONES: dict[str, Tone] = {"passes": "good", "undecided": "middling", "fails": "bad"}
FILE_VERB = {"passes": "passes", "undecided": "is undecided", "fails": "fails"}
ROWS_VERB = {"passes": "pass", "undecided": "are undecided", "fails": "fail"}


@dataclass(frozen=True)
class Exposed:
    """A training row that an attacker recognises.

    Attributes:
        row: Position of the row in train, from 0: ``train.iloc[[row]]``.
        false_alarms: Share of the holdout rows that are at least as suspicious as this row, from 0
            to 1; the attack raises that many false alarms if it flags this row.
    """

    row: int
    false_alarms: float


@dataclass(frozen=True, repr=False)
class PrivacyAudit(Shown):
    """The result of `privacy`.

    Attributes:
        synthesizer: Class name of the synthesizer.
        path: Path of the model file; None for a model in memory.
        target: Name of the column that holds the classes.
        label: The audited class, as text.
        attacks: The most successful attack: one entry per attacker (file, rows) and group (the
            class; also all rows if rows of other classes were attacked, too). Who has the file can
            also make rows with it, so the attack with the file may be one on rows.
        exposed: The ten training rows of the class that the attack on the file recognises most
            certainly, for the owner of the table. Ten are listed even if no attack succeeds.
        keepable: Whether the model can be saved; if not, its file would contain training rows.
        likelihood: Whether the file gives the likelihood of a row. If not, the attack on the file
            draws many rows from it instead.
        shadows: Number of shadow models.
        sizes: Number of rows in ``"train"`` and ``"holdout"``, and number of training rows that
            were ``"attacked"``.
        seed: The seed that was used; the same call with it gives the same numbers.
        seconds: Run time of the whole audit in seconds.

    Example:
        >>> import numpy as np
        >>> from synthgen import SequentialTrees, privacy
        >>> rows = pd.DataFrame({"dose": np.arange(400.0) % 97, "ill": np.arange(400) % 2 == 0})
        >>> trees = SequentialTrees(classes=[True], random_state=0)
        >>> trees = trees.fit(rows[["dose"]][:200], rows["ill"][:200])
        >>> found = privacy(trees, rows[:200], rows[200:], target="ill", random_state=0)
        >>> found.worst("rows").opponent, found.outcome("rows") in {"passes", "undecided", "fails"}
        ('rows', True)
    """

    synthesizer: str
    path: str | None
    target: str
    label: str
    attacks: tuple[Attack, ...]
    exposed: tuple[Exposed, ...]
    keepable: bool
    likelihood: bool
    shadows: int
    sizes: dict[str, int]
    seed: int
    seconds: float

    def outcome(self, opponent: str) -> str:
        """Decide whether the file or the rows pass; the worst group decides.

        Args:
            opponent: ``"file"`` (the attacker has the model file, and can make rows with it) or
                ``"rows"`` (generated rows).

        Returns:
            ``"passes"``, ``"fails"`` or ``"undecided"``.
        """
        if opponent == "file" and not self.keepable:
            return "fails"
        found = [
            of_recognised(a.tpr_10, a.interval, a.tpr_10_null) for a in self._attacks_of(opponent)
        ]
        return next(o for o in ("fails", "undecided", "passes") if o in found)

    def worst(self, opponent: str) -> Attack:
        """Find the attack with the highest true positive rate at 10 % false alarms.

        Args:
            opponent: What the attacker has: ``"file"`` (the model file, and rows made with it) or
                ``"rows"`` (generated rows only).

        Returns:
            The attack, with its rates and their intervals.
        """
        return max(self._attacks_of(opponent), key=lambda a: a.tpr_10)

    def _attacks_of(self, opponent: str) -> list[Attack]:
        return [a for a in self.attacks if a.opponent == opponent]

    @property
    def recommendation(self) -> Recommendation:
        """Whether the file and the rows may be shared, with certainty and command."""
        file, rows = self.outcome("file"), self.outcome("rows")
        rows_only = f"Keep the file; rows may be shared if they also {BOTH}"
        texts = {
            ("passes", "passes"): (
                "share",
                f"The file and its rows may be shared if the rows also {BOTH}",
            ),
            ("undecided", "passes"): ("share rows", rows_only),
            ("fails", "passes"): ("share rows", rows_only),
        }
        action, text = texts.get((file, rows), ("keep", "Share neither the file nor rows"))
        certainty = (
            f"At 10 % false alarms, the attacks find {_found(self.worst('file'))} with the file, "
            f"and {_found(self.worst('rows'))} with generated rows; guessing finds 10 %. The file "
            f"{FILE_VERB[file]}; rows {ROWS_VERB[rows]}. A pass needs at most {FOUND:.0%}, and an "
            f"interval that ends at {MOST_FOUND:.0%} or below."
        )
        return Recommendation(action, f"{text}.", certainty, self._command(rows))

    @property
    def cards(self) -> tuple[Card, ...]:
        """Three findings: attacks on the file, attacks on rows, and the most exposed rows."""
        found = []
        for opponent, title in TITLES.items():
            worst, outcome = self.worst(opponent), self.outcome(opponent)
            text = (
                f"At 10 % false alarms, {_found(worst)} are found; if nothing leaked, "
                f"{worst.tpr_10_null:.1%}. Worst attack: {worst.attack}."
            )
            found.append(Card(title, outcome, text, TONES[outcome]))
        rows = ", ".join(str(e.row) for e in self.exposed)
        how_many = f"{len(self.exposed)} rows of train"
        text = f"For the owner of the table, counted from 0: {rows}."
        return (*found, Card("Most exposed", how_many, text))

    def _command(self, rows: str) -> str:
        path = "MODEL" if self.path is None else shlex.quote(self.path)
        if rows == "passes":
            return f"synthgen sample {path} -n 1000 -o rows.csv"
        if rows == "fails":
            other = "tabflow" if self.synthesizer != "TabFlow" else "ctgan"
            names = f"--target {shlex.quote(self.target)}"
            return f"synthgen fit TRAIN {names} --synthesizer {other} -o other.synthgen"
        return f"synthgen privacy {path} --train TRAIN --holdout LARGER_HOLDOUT"

    @property
    def notes(self) -> list[str]:
        """Limitations: what the numbers do not show."""
        out = [
            "the attacks are evidence, not a guarantee, and not differential privacy; an attacker "
            "who knows more may find more",
            f"{self.shadows} shadow models, trained on random halves of train and holdout, only "
            "calibrate the attacks; the success of the attacks on them is the null",
        ]
        if self.outcome("file") != "passes" and self.synthesizer in TO_SHARE:
            out.append(TO_SHARE[self.synthesizer])
        if not self.keepable:
            out.append(
                f"a {self.synthesizer} cannot be saved: a file of it would hold training rows"
            )
        elif not self.likelihood:
            out.append(
                f"the file of a {self.synthesizer} gives no likelihood of a row (CTGAN's critic is "
                "not in it), so the attack on the file draws four times as many rows"
            )
        return out

    def __repr__(self) -> str:
        sizes = f"{self.sizes['train']:,} rows of train, {self.sizes['holdout']:,} of the holdout"
        lines = [f"PrivacyAudit of a {self.synthesizer} for {self.label!r}: {sizes}"]
        lines += [f"- {card.line()}" for card in self.cards]
        lines.append("to_frame() has the figures, to_html(path) a page")
        return repr_lines(self.recommendation, lines)

    def key_figures(self) -> tuple[list[str], list[list[Any]]]:
        """The success of each attack, and the success of the same attack if nothing leaks.

        Returns:
            The column heads, and a row of texts per attack.
        """
        heads = ["the attacker has", "rows", "found", "null", "ROC-AUC", "null", "attack"]
        rows = [
            [
                TITLES[a.opponent],
                _group(a.group),
                _share(a),
                f"{a.tpr_10_null:.1%}",
                f"{a.auc:.3f}",
                f"{a.auc_null:.3f}",
                a.attack,
            ]
            for a in self.attacks
        ]
        return heads, rows

    def note_lines(self) -> list[str]:
        """Limitations: what the numbers do not show.

        Returns:
            One note per line.
        """
        return [f"note: {note}" for note in self.notes]

    def to_frame(self) -> pd.DataFrame:
        """Convert the attacks to a frame, one row per attack.

        Returns:
            A frame with columns ``opponent``, ``group``, ``members``, ``others``, ``attack``,
            ``auc``, ``auc_null``, ``tpr_1``, ``tpr_1_null``, ``tpr_10``, ``tpr_10_null``, ``low``
            and ``high`` (95 % interval of ``tpr_10``).
        """
        rows = []
        for attack in self.attacks:
            plain = asdict(attack)
            low, high = plain.pop("interval")
            plain.pop("auc_interval")
            rows.append(plain | {"low": low, "high": high})
        return pd.DataFrame(rows)

    def to_json(self) -> dict[str, Any]:
        """Convert the audit to plain values for `json.dumps`.

        The result has this form::

            {"recommendation": {"action": "share rows", "text": "Keep the file; rows ...",
                                "certainty": "...", "command": "synthgen sample ..."},
             "file": "fails", "rows": "passes", "synthesizer": "SequentialTrees",
             "model": "rare.synthgen", "target": "ill", "label": "yes",
             "attacks": [{"opponent": "file", "group": "yes", "members": 300, "others": 300,
                          "attack": "calibrated", "auc": 0.81, "auc_null": 0.51, "tpr_1": 0.1,
                          "tpr_1_null": 0.01, "tpr_10": 0.44, "tpr_10_null": 0.1,
                          "interval": [0.36, 0.51], "auc_interval": [0.78, 0.84]}, ...],
             "worst": {"file": {...}, "rows": {...}},
             "exposed": [{"row": 17, "false_alarms": 0.0}, ...], "notes": [...], "shadows": 8,
             "rows_of": {"train": 3000, "holdout": 3000, "attacked": 3000}, "seed": 0,
             "seconds": 41.0}

        Returns:
            A dict of numbers, texts, None, lists and dicts.
        """

        def plain(attack: Attack) -> dict[str, Any]:
            return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(attack).items()}

        return {
            "recommendation": asdict(self.recommendation),
            "file": self.outcome("file"),
            "rows": self.outcome("rows"),
            "synthesizer": self.synthesizer,
            "model": self.path,
            "target": self.target,
            "label": self.label,
            "attacks": [plain(attack) for attack in self.attacks],
            "worst": {opponent: plain(self.worst(opponent)) for opponent in TITLES},
            "exposed": [asdict(e) for e in self.exposed],
            "notes": self.notes,
            "shadows": self.shadows,
            "rows_of": self.sizes,
            "seed": self.seed,
            "seconds": self.seconds,
        }

    def _page(self) -> str:
        from synthgen.exposure.page import privacy_page

        return privacy_page(self)

    def _picture(self) -> None:
        return None


def _share(attack: Attack) -> str:
    low, high = attack.interval
    return f"{attack.tpr_10:.1%} [{low:.1%}, {high:.1%}]"


def _found(attack: Attack) -> str:
    """The share that an attack finds, and of which training rows."""
    rows = "all training rows" if attack.group == "all" else f"the training rows of {attack.group}"
    return f"{_share(attack)} of {rows}"


def _group(group: str) -> str:
    return "all rows" if group == "all" else f"rows of {group}"
