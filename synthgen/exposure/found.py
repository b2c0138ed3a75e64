"""`PrivacyAudit`: what attacks on a model file, and on rows made with it, found."""

from __future__ import annotations

import textwrap
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from synthgen.exposure.membership import Attack
from synthgen.report.shown import Shown

# Learned rows found at 10 % false alarms: up to so many may be given away, if the interval ends
# below the second. Guessing finds 10 %; published diffusion models gave 46 % away (MIDST,
# arXiv 2603.19185).
MAY, SURE = 0.15, 0.20
WIDTH = 100  # characters of a line of `repr`
HAS = {"file": "with the file", "rows": "with new rows alone"}


@dataclass(frozen=True)
class Exposed:
    """A row of train that an attacker recognises.

    Attributes:
        row: Its position in train, from 0: ``train.iloc[[row]]``.
        false_alarms: Share of the rows that were not learned which look as much like learned ones.
    """

    row: int
    false_alarms: float


@dataclass(frozen=True, repr=False)
class PrivacyAudit(Shown):
    """What `privacy` found.

    Attributes:
        synthesizer: Its class.
        path: The model file; None for a model in memory.
        label: The class that was looked at, as text.
        attacks: The worst attack on the file and on rows, for the class and, where more was
            learned, for ``"all"`` rows.
        exposed: The ten rows of the class that the attack on the file is surest of: for the owner
            of the rows. Ten of them are named in any case.
        keepable: Whether the model can be kept in a file; else it holds training rows.
        likelihood: Whether the file says how likely a row is; else many rows were drawn from it.
        shadows: Number of shadow models.
        sizes: Rows of ``"train"`` and ``"holdout"``, and of train that were ``"attacked"``.
        seed: Gives the same figures again.
        seconds: Spent.
    """

    synthesizer: str
    path: str | None
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
        """``"passes"``, ``"fails"`` or ``"undecided"``, by the worst of all groups of rows.

        Args:
            opponent: ``"file"`` or ``"rows"``.
        """
        if opponent == "file" and not self.keepable:
            return "fails"
        found = [_outcome(a) for a in self.attacks if a.opponent == opponent]
        return next(o for o in ("fails", "undecided", "passes") if o in found)

    def worst(self, opponent: str) -> Attack:
        """The attack with `opponent` in hand that finds most at 10 % false alarms."""
        return max((a for a in self.attacks if a.opponent == opponent), key=lambda a: a.tpr_10)

    @property
    def recommendation(self) -> str:
        """Whether the file, and rows, may be given away, how sure that is, and the command."""
        file, rows = self.outcome("file"), self.outcome("rows")
        said = {
            ("passes", "passes"): "The file may be given away, as far as these attacks go",
            ("undecided", "passes"): "Keep the file, as its risk is undecided; give rows away",
            ("fails", "passes"): "Keep the file, and give rows away",
        }
        told = f"{_share(self.worst('file'))} with the file, {_share(self.worst('rows'))} with rows"
        head = said.get((file, rows))
        if head is None:
            word = "fail" if "fails" in (file, rows) else "are undecided"
            head = f"Give neither the file nor rows away: the attacks {word}"
        return (
            f"{head}: at 10 % false alarms attackers find {told} (guessing finds 10 %): "
            f"`{self._command(rows)}`."
        )

    def _command(self, rows: str) -> str:
        if rows == "passes":
            return f"synthgen sample {self.path or 'MODEL'} -n 1000 -o rows.csv"
        if rows == "fails":
            other = "tabflow" if self.synthesizer != "TabFlow" else "ctgan"
            return f"synthgen fit TRAIN --target COL --synthesizer {other} -o other.synthgen"
        return f"synthgen privacy {self.path or 'MODEL'} --train T --holdout MORE --target COL"

    @property
    def notes(self) -> list[str]:
        """What the figures do not show."""
        out = [
            "evidence of these attacks, not a guarantee and not differential privacy; an attacker "
            "who knows more may find more",
            f"{self.shadows} shadow models on random halves of train and holdout only calibrate "
            "the attacks; what the attacks reach on them is the null",
        ]
        if not self.keepable:
            out.append(f"a {self.synthesizer} has no file, as it would hold training rows")
        elif not self.likelihood:
            out.append(
                f"the file of a {self.synthesizer} holds no likelihood of a row (CTGAN's critic is "
                "not in it): the attack on it draws four times as many rows"
            )
        return out

    def __repr__(self) -> str:
        lines = textwrap.wrap(self.recommendation, WIDTH, max_lines=4, placeholder=" ...")
        sizes = f"{self.sizes['train']:,} rows of train, {self.sizes['holdout']:,} of the holdout"
        lines.append(f"PrivacyAudit of a {self.synthesizer} for {self.label!r}: {sizes}")
        for a in self.attacks[:4]:
            lines.append(
                f"- {HAS[a.opponent]}, {_group(a.group)}: {_share(a)} found, null "
                f"{a.tpr_10_null:.0%}; AUC {a.auc:.3f}, null {a.auc_null:.3f} ({a.attack})"
            )
        named = ", ".join(str(e.row) for e in self.exposed)
        lines.append(f"Most exposed rows of train, for their owner: {named}")
        return "\n".join([*lines, "to_frame() has the figures, to_html(path) a page"])

    def to_frame(self) -> pd.DataFrame:
        """The attacks, a row each.

        Returns:
            Columns ``opponent``, ``group``, ``members``, ``others``, ``attack``, ``auc``,
            ``auc_null``, ``tpr_1``, ``tpr_1_null``, ``tpr_10``, ``tpr_10_null``, ``low`` and
            ``high`` (95 % interval of ``tpr_10``).
        """
        rows = []
        for attack in self.attacks:
            plain = asdict(attack)
            low, high = plain.pop("interval")
            plain.pop("auc_interval")
            rows.append(plain | {"low": low, "high": high})
        return pd.DataFrame(rows)

    def to_json(self) -> dict[str, Any]:
        """The result as plain values.

        They have this form::

            {"recommendation": "Keep the file, and give rows away: ...",
             "file": "fails", "rows": "passes", "synthesizer": "SequentialTrees", "label": "yes",
             "attacks": [{"opponent": "file", "group": "yes", "members": 300, "others": 300,
                          "attack": "calibrated", "auc": 0.81, "auc_null": 0.51, "tpr_1": 0.1,
                          "tpr_1_null": 0.01, "tpr_10": 0.44, "tpr_10_null": 0.1,
                          "interval": [0.36, 0.51], "auc_interval": [0.78, 0.84]}, ...],
             "worst": {"file": {...}, "rows": {...}},
             "exposed": [{"row": 17, "false_alarms": 0.0}, ...], "notes": [...], "shadows": 8,
             "rows_of": {"train": 3000, "holdout": 3000, "attacked": 3000}, "seed": 0,
             "seconds": 41.0}
        """

        def plain(attack: Attack) -> dict[str, Any]:
            return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(attack).items()}

        return {
            "recommendation": self.recommendation,
            "file": self.outcome("file"),
            "rows": self.outcome("rows"),
            "synthesizer": self.synthesizer,
            "model": self.path,
            "label": self.label,
            "attacks": [plain(attack) for attack in self.attacks],
            "worst": {opponent: plain(self.worst(opponent)) for opponent in HAS},
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

    def _cards(self) -> str:
        from synthgen.exposure.page import privacy_cards

        return privacy_cards(self)


def _outcome(attack: Attack) -> str:
    low, high = attack.interval
    if low > MAY:
        return "fails"
    return "passes" if attack.tpr_10 <= MAY and high <= SURE else "undecided"


def _share(attack: Attack) -> str:
    low, high = attack.interval
    return f"{attack.tpr_10:.0%} [{low:.0%}, {high:.0%}]"


def _group(group: str) -> str:
    return "all rows" if group == "all" else f"rows of {group}"
