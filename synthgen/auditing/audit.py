"""`audit`: check a table for problems before any model is trained on it."""

from __future__ import annotations

import os
from collections.abc import Hashable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pandas as pd

from synthgen.auditing.advice import recommend, remedies
from synthgen.auditing.examine import Examined, Minority, examine
from synthgen.auditing.findings import SEVERITIES, Finding, duplicates, find, said
from synthgen.auditing.model import Model
from synthgen.progress import Progress
from synthgen.report.answer import Card, Recommendation, Tone
from synthgen.report.shown import Shown, repr_lines
from synthgen.seeds import RandomState, seed_sequence
from synthgen.tables.calls import without_groups
from synthgen.tables.checks import check_flags
from synthgen.tables.disk import write_text
from synthgen.tables.schema import Schema
from synthgen.tables.table import Table
from synthgen.threads import TREES, threads_for

if TYPE_CHECKING:
    from synthgen.auditing.drift import Drift
    from synthgen.report.card import Picture

SHOWN, MOST_COLUMNS = 3, 8  # findings in the repr, and columns in a terminal
_TONES: dict[str, Tone] = {"error": "bad", "warning": "middling", "note": "quiet"}


@dataclass(frozen=True, repr=False)
class Audit(Shown):
    """The result of `audit`: facts about the table, findings, and what to do first.

    In a notebook it draws itself as a page. `to_json` uses the names of the attributes.

    Attributes:
        recommendation: What to do first.
        target: Name of the target column.
        rows: Number of rows.
        features: Number of columns without the target.
        classes: A dictionary per class, with ``label``, ``rows`` and ``share`` (0 to 1).
        ratio: Rows of the most frequent class divided by rows of the rare class.
        minority: The rare class.
        always_no: ``accuracy``, ``balanced_accuracy`` and ``recall`` of a classifier that never
            predicts the rare class.
        model: Cross-validated scores of a quick boosting model. None if the class, or the rest, has
            fewer than 2 distinct rows, or there is no feature.
        duplicates: ``rows`` (number of rows equal to an earlier one) and their ``share``;
            ``contradictions`` (number of groups of rows with equal features and different classes),
            ``contradictory_rows`` and ``contradictory_rare_rows``.
        columns: A dictionary per feature, with ``name``, ``kind``, ``reason``, ``missing``
            (fraction), ``missing_rows``, ``distinct``, ``top_share`` (fraction of the most frequent
            value) and ``average_precision`` (of a small tree on this column alone, an `Estimate`).
        counts: Number of findings per severity.
        findings: The findings, errors first.
        remedies: Methods to try, in this order: dictionaries with ``remedy`` and ``why``.
        seen: The rows behind the figures; not part of `to_json`.

    Example:
        >>> frame = pd.DataFrame({"dose": range(200), "ill": [0] * 180 + [1] * 20})
        >>> found = audit(frame, target="ill")
        >>> found.rows, found.ratio, found.minority.label, found.counts["error"]
        (200, 9.0, '1', 1)
    """

    recommendation: Recommendation
    target: str
    rows: int
    features: int
    classes: tuple[dict[str, Any], ...]
    ratio: float
    minority: Minority
    always_no: dict[str, float]
    model: Model | None
    duplicates: dict[str, float]
    columns: tuple[dict[str, Any], ...]
    counts: dict[str, int]
    findings: tuple[Finding, ...]
    remedies: tuple[dict[str, str], ...]
    seen: Examined | None = field(default=None, compare=False)

    @property
    def cards(self) -> tuple[Card, ...]:
        """Cards for the rare class, the worst finding, and the quick model."""
        rare, model = self.minority, self.model
        counts = [f"{n} {s}{'s' * (n != 1)}" for s, n in self.counts.items() if n]
        worst = self.findings[0] if self.findings else None
        outcome, reached, tone = "none", "No model could be trained.", "middling"
        if model is not None:
            precision = model.average_precision
            outcome = f"average precision {precision.value:.3g}"
            reached = (
                f"A quick boosting model has {said(precision)}, guessing {precision.reference:.3g};"
                f" at the threshold 0.5 it finds {said(model.recall, '.0%')} of the class."
            )
            tone = "good" if precision.low > precision.reference else "middling"
        return (
            Card(
                "Class",
                f"{rare.rows:,} rows of {rare.label!r}",
                f"{rare.share:.3%} of {self.rows:,} rows; the most frequent class has "
                f"{self.ratio:.1f} rows for each of them. {self.features} features.",
            ),
            Card(
                "Findings",
                ", ".join(counts) or "none",
                "No problem was found."
                if worst is None
                else worst.message + "." * (not worst.message.endswith("?")),
                "good" if worst is None else _TONES[worst.severity],
            ),
            Card("Signal", outcome, reached, tone),
        )

    def __repr__(self) -> str:
        shown = self.findings[:SHOWN]
        lines = [f"Audit of target {self.target!r}: {self._size()}"]
        lines += [f"- {f.severity}: {f.message}" for f in shown]
        if (more := len(self.findings) - len(shown)) > 0:
            lines.append(f"- and {more} more: see to_frame()")
        return repr_lines(self.recommendation, lines)

    def _size(self) -> str:
        rare = self.minority
        return (
            f"{self.rows:,} rows, {self.features} features, {len(self.classes)} classes; "
            f"{rare.label!r} has {rare.rows:,} rows ({rare.share:.3%}), one for every "
            f"{self.ratio:.1f} of the most frequent class."
        )

    def to_frame(self) -> pd.DataFrame:
        """The findings as a table.

        Returns:
            One row per finding, errors first, with the columns ``severity`` ("error", "warning" or
            "note"), ``code``, ``column`` (None for the whole table) and ``message``.

        Example:
            >>> frame = pd.DataFrame({"dose": range(200), "ill": [0] * 180 + [1] * 20})
            >>> audit(frame, target="ill").to_frame()["code"].tolist()[:2]
            ['leak_column', 'id']
        """
        names = ["severity", "code", "column", "message"]
        return pd.DataFrame(
            [[getattr(f, name) for name in names] for f in self.findings], columns=names
        )

    def to_json(self) -> dict[str, Any]:
        """The audit as plain values for `json.dumps`.

        Returns:
            A dictionary with the attributes by name, except `seen`. NaN becomes None.
        """
        found = asdict(replace(self, seen=None))
        found.pop("seen")
        return plain(found)

    def to_html(
        self, path: str | os.PathLike[str], *, source: str = "", drift: Drift | None = None
    ) -> None:
        """Write the audit as a single HTML file that loads nothing from the network.

        Args:
            path: Output file; an existing one is replaced.
            source: Name of the table, shown on the page.
            drift: Changes since an earlier version of the table, from `compare_audits`.

        Raises:
            OutputError: The file cannot be written.
        """
        write_text(path, self._page(source, drift))

    def _page(self, source: str = "", drift: Drift | None = None) -> str:
        from synthgen.auditing.audit_page import audit_page

        return audit_page(self, source=source, drift=drift)

    def _picture(self) -> Picture | None:
        from synthgen.auditing.audit_page import audit_picture

        return audit_picture(self)

    def key_figures(self) -> tuple[list[str], list[list[Any]]]:
        """The columns that alone predict the class best, for a terminal.

        Returns:
            The column heads, and a row per column: its name, its kind, its share of missing cells,
            and its average precision with 95 % interval.
        """
        known = [c for c in self.columns if c["average_precision"] is not None]
        best = sorted(known, key=lambda c: -c["average_precision"]["value"])[:MOST_COLUMNS]
        rows = [
            [
                c["name"],
                c["kind"],
                f"{c['missing']:.1%}",
                "{value:.3f} [{low:.3f}, {high:.3f}]".format(**c["average_precision"]),
            ]
            for c in best
        ]
        return ["column", "kind", "missing", "average precision alone"], rows

    def note_lines(self) -> list[str]:
        """Sentences on the class, the model, the findings, and the methods to try.

        Returns:
            One sentence per line.
        """
        lines = [self._size(), self.minority.lesson]
        if self.model is not None:
            lines += self._model_lines(self.model)
        lines += [f"{f.severity}: {f.message}" for f in self.findings]
        return lines + [f"try: {r['remedy']}: {r['why']}" for r in self.remedies]

    def _model_lines(self, model: Model) -> list[str]:
        label = self.minority.label
        lines = [
            f"Never predicting {label!r} is right in {self.always_no['accuracy']:.3%} of the rows, "
            f"a quick boosting model in {said(model.accuracy, '.3%')}. These scores say more:"
        ]
        for name in ("balanced_accuracy", "average_precision", "recall", "log_loss"):
            estimate = getattr(model, name)
            lines.append(
                f"{name.replace('_', ' ')} {said(estimate)}, guessing by the class shares "
                f"{estimate.reference:.3g}"
            )
        lines.append(
            f"{said(model.hard_share, '.0%')} of {label!r} score below the median of the other "
            f"rows (50% by chance). At 50% recall there are {said(model.false_alarms, '.2g')} "
            f"false alarms per hit ({model.false_alarms.reference:.2g} by chance)."
        )
        return lines


def audit(
    X: Any,
    y: Any = None,
    *,
    target: Hashable | None = None,
    schema: Schema | None = None,
    label: Any = None,
    groups: Any = None,
    now: datetime | None = None,
    random_state: RandomState = 0,
    verbose: bool = False,
) -> Audit:
    """Check a table for problems before any model is trained on it.

    It looks for leaks, duplicates, contradictory and missing values, and cross-validates a quick
    model. Call it as ``audit(X, y)`` or as ``audit(frame, target="outcome")``.

    Args:
        X: Frame (any dtypes, missing cells) or array, shape (rows, features); never changed. With
            `target`, the frame that also holds the classes.
        y: Classes as series or array, shape (rows,).
        target: Name of the column of `X` that holds the classes.
        schema: Kinds and limits of the columns. It replaces what would be inferred from the cells.
        label: The class of interest, against all others. None (default): the rarest class.
        groups: Group of each row (such as the patient of a visit), shape (rows,); or the name of a
            column of `X`, which then is not a feature. Rows of a group stay in one fold. None
            (default): only equal rows stay together.
        now: Dates after this time are reported as future dates. Taken as UTC if it has no time
            zone. None (default): the current time.
        random_state: Seed of folds, subsamples and bootstrap. Default 0.
        verbose: Whether to show progress, on standard error or below the notebook cell.

    Returns:
        The findings, the scores of the quick model, and what to do, see `Audit`.

    Raises:
        DataError: The table cannot be used, or the number of groups differs from that of rows.
        UsageError: `label` is not a class, `random_state` is not a seed, or not exactly one of `y`
            and `target` is given.

    Example:
        >>> frame = pd.DataFrame({"dose": range(200), "site": [7] * 200})
        >>> frame["outcome"] = ["no"] * 180 + ["ill"] * 20
        >>> found = audit(frame, target="outcome")
        >>> found.recommendation.action, found.cards[1].outcome
        ('mend', '1 error, 5 warnings')
        >>> [(f.code, f.column) for f in found.findings if f.column]
        [('leak_column', 'dose'), ('id', 'dose'), ('constant', 'site')]
    """
    check_flags(verbose=verbose)
    seed = seed_sequence(random_state)
    X, groups = without_groups(X, groups)
    table = Table.labelled(X, y, target=target, schema=schema)
    moment = pd.Timestamp(datetime.now(UTC) if now is None else now)
    cells = len(table) * len(table.schema.columns)
    with threads_for(cells, TREES), Progress(verbose) as progress:
        given = {"label": label, "groups": groups, "moment": moment}
        examined = examine(table, **given, seed=seed, progress=progress)
        progress.update(3, stage="looking at each column")
        findings = find(examined)
    counts = {c: n for c, n in table.counts.items() if n}
    rare, rows = examined.minority, len(table)
    return Audit(
        recommendation=recommend(examined, findings),
        target=str(table.schema.target),
        rows=rows,
        features=len(examined.columns),
        classes=tuple({"label": str(c), "rows": n, "share": n / rows} for c, n in counts.items()),
        ratio=max(counts.values()) / rare.rows,
        minority=rare,
        always_no={"accuracy": 1 - rare.share, "balanced_accuracy": 0.5, "recall": 0.0},
        model=examined.model,
        duplicates=duplicates(examined),
        columns=tuple(column.facts() for column in examined.columns),
        counts={s: sum(f.severity == s for f in findings) for s in SEVERITIES},
        findings=tuple(findings),
        remedies=remedies(examined, findings),
        seen=examined,
    )


def plain(value: Any) -> Any:
    """`value` with all tuples, also nested ones, turned into lists."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value
