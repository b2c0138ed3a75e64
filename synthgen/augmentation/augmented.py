"""`Augmented`: a table with its new rows, and a record of how they were made."""

from __future__ import annotations

import json
from collections.abc import Hashable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from synthgen.augmentation import advice
from synthgen.augmentation.amount import Addition, Validated
from synthgen.report.answer import Card, Recommendation
from synthgen.report.shown import Shown, repr_lines
from synthgen.synthesizers.base import Synthesizer
from synthgen.synthesizers.network import NetworkSynthesizer
from synthgen.tables.foreign import as_given
from synthgen.tables.schema import Schema

if TYPE_CHECKING:
    from synthgen.report.card import Picture


@dataclass(frozen=True, eq=False, repr=False)
class Augmented(Shown):
    """A table with its new rows, and a record of how they were made.

    `augment` returns it. In a notebook it draws itself as a page; `to_frame` and `to_json` export
    it.

    Attributes:
        pandas_frame: The real rows, unchanged, followed by the new ones, with a RangeIndex. Columns
            and dtypes are those of the given table, or those that `as_pandas` gives it.
        given: The table that `augment` was given, or the features of (X, y).
        is_synthetic: True for new rows, bool of shape (rows,).
        schema: Kinds and limits of the columns.
        additions: Number of new rows per class and its reason, in the order of the rows of `frame`.
        before: Number of rows per class in the given table.
        after: Number of rows per class in `frame`.
        synthesizer: The fitted synthesizer; it stays unfitted if no rows were wanted.
        guard: Rejected rows per class, see `Guarded.summary`.
        seed: Seed of the run; the same call with ``random_state=seed`` gives the same rows.
        seconds: Wall time in seconds, for "fit" and "sample".
        validated: Validation results for each amount; None if nothing was validated.

    Example:
        >>> from synthgen import augment
        >>> frame = pd.DataFrame({"dose": [1, 1.5, 2.5, 9, 9.5, 7.25], "ill": [0, 0, 0, 0, 1, 1]})
        >>> made = augment(frame, target="ill", synthesizer="bootstrap", n_samples=3)
        >>> made.before, made.after, made.is_synthetic.sum().item()
        ({0: 4, 1: 2}, {0: 4, 1: 5}, 3)
    """

    pandas_frame: pd.DataFrame
    given: Any
    is_synthetic: np.ndarray
    schema: Schema
    additions: tuple[Addition, ...]
    before: dict[Any, int]
    after: dict[Any, int]
    synthesizer: Synthesizer
    guard: dict[Any, dict[str, Any]]
    seed: int
    seconds: dict[str, float]
    validated: Validated | None = None

    @cached_property
    def frame(self) -> Any:
        """`pandas_frame` as the kind of table that was given: polars, Arrow or pandas."""
        return as_given(self.pandas_frame, self.given, kept=int((~self.is_synthetic).sum()))

    @property
    def finding(self) -> str:
        """Whether new rows helped in validation, in one sentence; "" if nothing was validated."""
        return "" if self.validated is None else self.validated.finding

    @property
    def recommendation(self) -> Recommendation:
        """What to do with the new rows, how sure that is, and the next command."""
        copies = any(found["near_copies"] == "allowed" for found in self.guard.values())
        known = {"before": self.before, "validated": self.validated, "copies": copies}
        new = sum(a.rows for a in self.additions)
        equal = sum(self.guard[a.label]["copies"] * a.rows for a in self.additions if a.rows)
        known["equal"] = equal / max(new, 1)
        return advice.recommend(self.additions, self.schema.target, **known)

    @property
    def cards(self) -> tuple[Card, ...]:
        """Cards that count the new rows, the rejected rows, and the columns not learned."""
        known = {"before": self.before, "after": self.after, "guard": self.guard}
        return advice.cards(self.additions, **known, not_learned=self.not_learned)

    def __repr__(self) -> str:
        name, seconds = type(self.synthesizer).__name__, sum(self.seconds.values())
        last = f"{name}, seed {self.seed}, {seconds:.1f} s; new rows: .synthetic"
        return repr_lines(self.recommendation, [*(f"- {c.line()}" for c in self.cards), last])

    def to_frame(self) -> Any:
        """The table with its new rows, and a column that marks them.

        Returns:
            `frame` with ``is_synthetic`` as its last column, True for new rows. If the table
            already has a column of that name, "_" is appended to the name.

        Example:
            >>> from synthgen import augment
            >>> doses = [1.0, 1.5, 2.5, 9.0, 9.5, 7.25]
            >>> frame = pd.DataFrame({"dose": doses, "ill": [0, 0, 0, 0, 1, 1]})
            >>> made = augment(
            ...     frame, target="ill", synthesizer="bootstrap", n_samples=1, random_state=0
            ... )
            >>> made.to_frame()["is_synthetic"].tolist()
            [False, False, False, False, False, False, True]
            >>> made.to_json()["counts"]["1"]
            {'before': 2, 'after': 3}
        """
        name = "is_synthetic"
        while name in self.pandas_frame.columns:
            name = f"{name}_"
        whole = self.pandas_frame.assign(**{name: self.is_synthetic})
        return as_given(whole, self.given, kept=int((~self.is_synthetic).sum()))

    def to_json(self) -> dict[str, Any]:
        """The record of the run as plain values for `json.dumps`, without the rows.

        Returns:
            A dictionary with the keys "recommendation", "target", "counts", "added", "validation",
            "amounts_tried", "synthesizer", "guard", "seed", "device", "seconds" and "not_learned".
            Classes, column names and objects are converted to text.
        """
        return json.loads(json.dumps(self.summary(), default=str))

    @property
    def sample_weight(self) -> np.ndarray:
        """Sample weights that give the new rows of a class the same total weight as its real rows.

        Without weights, synthetic rows lower the average precision of most classifiers; with these
        weights the loss is small. Float64 of shape (rows,); real rows have weight 1.
        """
        weight = np.ones(len(self.pandas_frame))
        start = len(self.pandas_frame) - sum(a.rows for a in self.additions)
        for a in self.additions:
            weight[start : start + a.rows] = self.before[a.label] / max(a.rows, 1)
            start += a.rows
        return weight

    @property
    def real(self) -> Any:
        """The real rows, as given."""
        rows = self.pandas_frame[~self.is_synthetic]
        return as_given(rows, self.given, kept=len(rows))

    @property
    def synthetic(self) -> Any:
        """The new rows, as the kind of table that was given; in pandas with a RangeIndex."""
        rows = self.pandas_frame[self.is_synthetic].reset_index(drop=True)
        return as_given(rows, self.given)

    @property
    def not_learned(self) -> dict[Hashable, str]:
        """Columns that are not learned, each with what the new rows contain in it."""
        what = {
            "id": "new IDs ({reason})",
            "text": "nothing, because free text is never generated ({reason})",
            "constant": "the constant",
            "missing": "missing",
        }
        features = [c for c in self.schema.features if c.kind in what]
        return {c.name: what[c.kind].format(reason=c.reason) for c in features}

    def _page(self) -> str:
        from synthgen.augmentation.page import augmented_page

        return augmented_page(self)

    def key_figures(self) -> tuple[list[str], list[list[Any]]]:
        """Number of rows of each class, before and after.

        Returns:
            The column heads, and a row per class: its name, and its numbers of real, new and all
            rows.
        """
        rows = [[str(c), n, self.after[c] - n, self.after[c]] for c, n in self.before.items()]
        return [f"class of {self.schema.target}", "before", "new", "after"], rows

    def note_lines(self) -> list[str]:
        """How the amount was chosen, which rows were rejected, and which columns not learned.

        Returns:
            One sentence per line.
        """
        lines = [f"{a.rows:,} new rows of {a.label!r}: {a.reason}" for a in self.additions]
        lines += advice.refused_lines(self.guard)
        return lines + [
            f"column {name!r} is not learned; in new rows it holds: {what}"
            for name, what in self.not_learned.items()
        ]

    def _picture(self) -> Picture | None:
        from synthgen.augmentation.page import augmented_picture

        return augmented_picture(self)

    def summary(self) -> dict[str, Any]:
        """The record of the run, with values that `json.dumps` may not know.

        Returns:
            The dictionary of `to_json`, in which values can still be objects; write it with
            ``json.dumps(..., default=str)``.
        """
        synthesizer = self.synthesizer
        params = synthesizer.get_params(deep=False)
        for name in ("classes", "schema", "random_state", "verbose"):
            params.pop(name, None)
        return {
            "recommendation": asdict(self.recommendation),
            "target": str(self.schema.target),
            "counts": {
                str(c): {"before": n, "after": self.after[c]} for c, n in self.before.items()
            },
            "added": [
                {"label": str(a.label), "rows": a.rows, "amount": a.reason} for a in self.additions
            ],
            "validation": self.finding,
            "amounts_tried": {} if self.validated is None else self.validated.curve,
            "synthesizer": {
                "name": type(synthesizer).__name__,
                "params": params,
                "training": training_of(synthesizer),
            },
            "guard": {str(label): found for label, found in self.guard.items()},
            "seed": self.seed,
            "device": device_of(synthesizer),
            "seconds": {k: round(v, 3) for k, v in self.seconds.items()},
            "not_learned": {str(k): v for k, v in self.not_learned.items()},
        }


def training_of(synthesizer: Synthesizer) -> dict[str, dict[str, Any]]:
    """Scope, steps, best step and training time in seconds of each network, by class."""
    if not isinstance(synthesizer, NetworkSynthesizer) or not _is_fitted(synthesizer):
        return {}
    found: dict[str, dict[str, Any]] = {
        str(label): {
            "scope": synthesizer.scope_[label],
            "steps": history.steps[-1] if history.steps else 0,
            "best_step": history.best_step,
            "seconds": round(history.seconds, 3),
        }
        for label, history in synthesizer.history_.items()
    }
    return found | {str(label): {"fallback": "bootstrap"} for label in synthesizer.fallback_}


def device_of(synthesizer: Synthesizer) -> str:
    if not isinstance(synthesizer, NetworkSynthesizer) or not _is_fitted(synthesizer):
        return "cpu"
    return str(synthesizer.device_)


def _is_fitted(synthesizer: Synthesizer) -> bool:
    """False if no rows were wanted, because then nothing was trained."""
    return "schema_" in vars(synthesizer)
