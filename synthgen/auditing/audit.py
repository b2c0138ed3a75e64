"""What is wrong with a table, before any training: leaks, duplicates, hard rows, odd columns."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from synthgen.auditing.findings import (
    SEVERITIES,
    Finding,
    Minority,
    _lesson,
    _of_class,
    _of_column,
    _of_dates,
    _of_duplicates,
    _of_labels,
    _of_leak,
    _of_missing,
    _remedies,
    plain,
    said,
)
from synthgen.auditing.leaks import find_leaks
from synthgen.auditing.model import (
    MODEL_ROWS,
    Model,
    boost,
    codes_of,
    draw,
    groups_of,
    is_learned,
    judge,
    places_of,
)
from synthgen.errors import DataError
from synthgen.seeds import RandomState, child_seed, seed_sequence
from synthgen.tables.column import LEVELS
from synthgen.tables.schema import Schema, class_position
from synthgen.tables.table import Table


@dataclass(frozen=True)
class Audit:
    """What `audit` found; `to_json` has the same names.

    Attributes:
        target, rows, features: Name of the target, and size of the table without it.
        classes: ``label``, ``rows`` and ``share`` of each class, in order.
        ratio: Rows of the most frequent class for each row of the rare one.
        minority: The rare class.
        always_no: ``accuracy``, ``balanced_accuracy`` and ``recall`` of always denying it.
        model: None where the class, or the rest, has less than 2 distinct rows or no feature.
        duplicates: ``rows`` that repeat an earlier one and their ``share``; ``contradictions``:
            sets of rows alike but for the class, with their rows and those of the rare class.
        columns: ``name``, ``kind``, ``reason``, ``missing`` (share), ``missing_rows``,
            ``distinct``, ``top_share`` and ``average_precision`` (of it alone, an `Estimate`) of
            each feature.
        counts: Findings of each severity.
        findings: Errors first.
        remedies: ``remedy`` and ``why``, in the order in which to try them.
    """

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

    def to_json(self) -> dict[str, Any]:
        """Plain values: finite numbers, texts, None, lists and dicts."""
        return plain(asdict(self))

    def summary_lines(self) -> list[str]:
        """The audit in sentences: the class, the model, the findings, the remedies."""
        rare, model = self.minority, self.model
        size = f"{self.rows:,} rows, {self.features} features, {len(self.classes)} classes"
        lines = [f"{size}; {rare.label!r} is {rare.share:.3%}, 1 to {self.ratio:.1f}.", rare.lesson]
        if model is not None:
            names = ("balanced_accuracy", "average_precision", "recall", "log_loss")
            lines += [
                f"Always saying 'not {rare.label}' is right in {self.always_no['accuracy']:.3%} of "
                f"the rows, a quick boosting model in {said(model.accuracy, '.3%')}. What tells "
                "more:",
                *(
                    f"{name.replace('_', ' ')} {said(estimate)}, "
                    f"{estimate.reference:.3g} for knowing the shares only"
                    for name in names
                    for estimate in [getattr(model, name)]
                ),
                f"{said(model.hard_share, '.0%')} of {rare.label!r} look less like it than half of "
                f"the others (50% by chance); finding half of it costs "
                f"{said(model.false_alarms, '.2g')} false alarms a hit "
                f"({model.false_alarms.reference:.2g} by chance).",
            ]
        lines += [f"{f.severity}: {f.message}" for f in self.findings]
        return lines + [f"try: {r['remedy']}: {r['why']}" for r in self.remedies]


def audit(
    X: Any,
    y: Any,
    *,
    schema: Schema | None = None,
    label: Any = None,
    groups: Any = None,
    now: datetime | None = None,
    random_state: RandomState = 0,
) -> Audit:
    """Look at a table before anything is trained on it.

    Args:
        X: Frame (any dtypes, missing cells) or array, shape (rows, features); never changed.
        y: Series or array of classes, shape (rows,).
        schema: Decisions about columns to take instead of guessing them.
        label: The class to look at, against all others; None: the rarest one.
        groups: Rows of a group, such as all visits of a patient, share a fold; shape (rows,). None:
            equal rows do.
        now: Dates after it are in the future (without a time zone: UTC); None: the clock's time.
        random_state: Seed of folds, subsamples and bootstrap.

    Raises:
        DataError: The table cannot be used as it is, or there is not one group for each row.
        UsageError: The label is no class, or `random_state` no seed.

    Example:
        >>> X = pd.DataFrame({"dose": range(200), "site": [7] * 200})
        >>> found = audit(X, ["no"] * 180 + ["ill"] * 20)
        >>> found.minority.rows, found.ratio, found.always_no["accuracy"]
        (20, 9.0, 0.9)
        >>> [(f.code, f.column) for f in found.findings if f.column]
        [('leak_column', 'dose'), ('id', 'dose'), ('constant', 'site')]
    """
    seed = seed_sequence(random_state)
    table = Table.of_xy(X, y, schema=schema)
    counts = {c: n for c, n in table.counts.items() if n}
    chosen = min(counts, key=lambda c: counts[c])
    if label is not None:
        chosen = tuple(counts)[class_position(tuple(counts), label)]
    labels, features, rows = table.labels, table.schema.features, len(table)
    is_rare = labels == table.schema.classes.index(chosen)
    share, ratio = counts[chosen] / rows, max(counts.values()) / counts[chosen]

    cells = [codes_of(table.frame[c.name]) for c in features]
    equal = groups_of([k for k, c in zip(cells, features, strict=True) if c.kind != "id"], rows)
    # Equal rows share a fold, or a model would be asked what it was told. But where most rows of
    # the other classes repeat, the columns are coarse, and a repeated row is a new case.
    others = equal[~is_rare]
    is_coarse = len(np.unique(others)) < len(others) / 2
    kin = np.arange(rows) if is_coarse else equal
    if groups is not None:
        kin = codes_of(pd.Series(np.asarray(groups)))
        if len(kin) != rows:
            raise DataError(
                374, f"groups has {len(kin)} rows and X has {rows}: give one for each row"
            )
    places = [places_of(c, table.frame[c.name]) for c in features]
    learned = [i for i, c in enumerate(features) if is_learned(c)]
    drawn = draw(is_rare, kin, MODEL_ROWS, child_seed(seed, 0))
    model, boosted = None, None
    if drawn is not None and learned:
        parts = [(places[i][drawn.index], features[i].kind in LEVELS) for i in learned]
        boosted = boost(parts, drawn, child_seed(seed, 1))
        model = judge(boosted.scores, drawn, share, rows, child_seed(seed, 2))

    def importance() -> np.ndarray:
        assert boosted is not None and drawn is not None  # noqa: PT018 - where a model is good
        lost = np.zeros(len(features))
        lost[learned] = boosted.importance(drawn, child_seed(seed, 4))
        return lost

    precision = model.average_precision.value if model else 0.0
    leaks, alone = find_leaks(
        table, places, is_rare, kin, precision, importance, child_seed(seed, 3)
    )
    found = [_of_leak(leak) for leak in leaks]
    facts, moment = [], pd.Timestamp(datetime.now(UTC) if now is None else now)
    tests = sum(0 < c.missing < 1 for c in features)
    for column, codes, precision in zip(features, cells, alone, strict=True):
        series = table.frame[column.name]
        gone = series.isna().to_numpy(bool)
        facts.append(
            {
                "name": str(column.name),
                "kind": column.kind,
                "reason": column.reason,
                "missing": float(gone.mean()),
                "missing_rows": int(gone.sum()),
                "distinct": len(np.unique(codes[~gone])),
                "top_share": float(np.bincount(codes).max() / rows),
                "average_precision": None if precision is None else asdict(precision),
            }
        )
        found += _of_column(column, facts[-1], codes, gone)
        found += _of_dates(column, series, moment) if column.kind == "datetime" else []
        found += _of_missing(facts[-1], gone, is_rare, tests) if 0 < gone.sum() < rows else []
    duplicates, alike = _of_duplicates(equal, labels, is_rare)
    distinct = len(np.unique(equal[is_rare]))
    minority = Minority(
        label=str(chosen),
        rows=counts[chosen],
        share=share,
        duplicates=counts[chosen] - distinct,
        distinct=distinct,
        rows_per_feature=counts[chosen] / max(1, len(learned)),
        lesson=_lesson(str(chosen), counts[chosen], distinct, len(learned)),
    )
    found += _of_labels(table.counts) + alike + _of_class(minority, model, is_coarse)
    found.sort(key=lambda f: SEVERITIES.index(f.severity))
    return Audit(
        target=str(table.schema.target),
        rows=rows,
        features=len(features),
        classes=tuple({"label": str(c), "rows": n, "share": n / rows} for c, n in counts.items()),
        ratio=ratio,
        minority=minority,
        always_no={"accuracy": 1 - share, "balanced_accuracy": 0.5, "recall": 0.0},
        model=model,
        duplicates=duplicates,
        columns=tuple(facts),
        counts={s: sum(f.severity == s for f in found) for s in SEVERITIES},
        findings=tuple(found),
        remedies=_remedies(minority, model, ratio, {f.code for f in found if f.severity != "note"}),
    )
