"""The quality report of SDMetrics on the same rows, for comparison with our own scores."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from synthgen.encoding.matrix import Matrix
from synthgen.metrics.columns import joint
from synthgen.metrics.samples import COLUMN_ROWS, independent, jackknifed, some
from synthgen.metrics.score import Part
from synthgen.seeds import RandomState, seed_sequence
from synthgen.tables.table import Table

MOST_COLUMNS, FEW_HALVES = 30, 4
SHAPES, TRENDS = "Column Shapes", "Column Pair Trends"
_SCORES = {
    SHAPES: "fidelity.sdmetrics_column_shapes",
    TRENDS: "fidelity.sdmetrics_pair_trends",
}


def quality_report(
    train: Table,
    synthetic: Table,
    holdout: Table,
    *,
    group: str,
    random_state: RandomState = 0,
) -> Part:
    """Compute the two scores of SDMetrics' QualityReport: column shapes and pair trends."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import sdmetrics.reports  # noqa: F401 - slow, and an extra
    except ImportError:
        return Part([], notes=["SDMetrics is not installed, so its quality report is left out"])
    rng = np.random.default_rng(seed_sequence(random_state))
    one_class = train.schema.target is not None and len(np.unique(train.labels)) < 2
    matrix = Matrix.fitted_on(train, with_target=not one_class)
    columns = range(min(len(matrix.columns), MOST_COLUMNS))
    rows = min(len(synthetic), len(holdout), COLUMN_ROWS)
    if min(len(train), rows) < 2 or not columns:
        return Part([])

    def drawn(table: Table, most: int) -> np.ndarray:
        return some(rng, matrix.cells(table), most)

    def framed(cells: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame({str(j): cells[:, j] for j in columns})

    real, made = framed(drawn(train, COLUMN_ROWS)), framed(drawn(synthetic, rows))
    report = _Report.of(real, made, {str(j) for j in columns if not matrix.is_level[j]})
    reference = report.of_others(real, framed(drawn(holdout, rows)))
    floor = report.of_others(real, framed(independent(rng, drawn(holdout, rows))))
    halves = [
        report.of_others(*(part.sample(frac=0.5, random_state=rng) for part in (real, made)))
        for _ in range(FEW_HALVES)
    ]
    scores = [
        jackknifed(
            name,
            group,
            report.value[key],
            _known(reference, key),
            [half[key] for half in halves],
            floor=_known(floor, key) if key == TRENDS else None,
        )
        for key, name in _SCORES.items()
        if _known(report.value, key) is not None
    ]
    return Part(scores, notes=[_note(len(matrix.columns))])


def _note(columns: int) -> str:
    """Explain which scores come from SDMetrics, and which are our own."""
    note = (
        f"scores named “SDMetrics” come from the quality report of SDMetrics "
        f"{version('sdmetrics')}; their reference and floor are computed in the same way, for the "
        f"same pairs. Its trends use only pairs that are associated in train. Column shapes and "
        f"pair trends without that name are computed by synthgen with SDMetrics' definition, for "
        f"all pairs"
    )
    if columns > MOST_COLUMNS:
        note += f". SDMetrics' scores use {MOST_COLUMNS} of {columns} columns"
    return note


@dataclass(frozen=True, eq=False)
class _Report:
    """A report of SDMetrics, which can compute the same scores for other rows.

    Attributes:
        value: The score of each property.
        shapes: Column and metric of each column that counts.
        trends: Both columns and the metric of each pair that counts.
        numbers: Names of the columns that hold numbers.
    """

    value: dict[str, float]
    shapes: list[tuple[str, str]]
    trends: list[tuple[str, str, str]]
    numbers: set[str]

    @classmethod
    def of(cls, real: pd.DataFrame, made: pd.DataFrame, numbers: set[str]) -> _Report:
        from sdmetrics.reports import QualityReport

        kinds = {j: {"sdtype": "numerical" if j in numbers else "categorical"} for j in real}
        about = {"tables": {"rows": {"columns": kinds}}, "relationships": []}
        report = QualityReport()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SDMetrics warns of constant columns
            report.generate({"rows": real}, {"rows": made}, about, verbose=False)
        found = report.get_properties()
        value = dict(zip(found["Property"], found["Score"].astype(float), strict=True))
        shapes, trends = (report.get_details(name, "rows") for name in (SHAPES, TRENDS))
        trends = trends[trends["Meets Threshold?"].eq(True)]
        pairs = (trends[key] for key in ("Column 1", "Column 2", "Metric"))
        columns = zip(shapes["Column"], shapes["Metric"], strict=True)
        return cls(value, list(columns), list(zip(*pairs, strict=True)), numbers)

    def of_others(self, one: pd.DataFrame, two: pd.DataFrame) -> dict[str, float]:
        """Compute both scores for other rows, from columns and pairs that count in the report."""
        from sdmetrics import column_pairs, single_column

        binned = [_binned(part, self.numbers) for part in (one, two)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            alone = [_metric(single_column, metric, one[j], two[j]) for j, metric in self.shapes]
            paired = []
            for a, b, metric in self.trends:
                # Numbers are binned if the other column of the pair holds categories.
                sides = (one, two) if metric == "CorrelationSimilarity" else binned
                paired.append(_metric(column_pairs, metric, *(side[[a, b]] for side in sides)))
        return {SHAPES: _mean(alone), TRENDS: _mean(paired)}


def _metric(package: Any, metric: str, one: Any, two: Any) -> float:
    """Compute a metric of SDMetrics; NaN if it cannot be computed."""
    from sdmetrics.errors import ConstantInputError, IncomputableMetricError

    if metric == "ContingencySimilarity":
        return contingency_similarity(one, two)
    try:
        return float(getattr(package, metric).compute(one, two))
    except (ConstantInputError, IncomputableMetricError, ValueError):
        return float("nan")


def _known(found: dict[str, float], key: str) -> float | None:
    """Look up a score; None if it is missing or NaN."""
    return None if np.isnan(found.get(key, np.nan)) else found[key]


def _binned(rows: pd.DataFrame, numbers: set[str]) -> pd.DataFrame:
    """Replace each number by its bin, one of ten of equal width in these rows, as in SDMetrics."""
    out = rows.copy()
    for name in out.columns.intersection(list(numbers)):
        cells = rows[name].to_numpy()
        out[name] = np.digitize(cells, np.histogram_bin_edges(cells[~np.isnan(cells)]))
    return out


def contingency_similarity(one: pd.DataFrame, two: pd.DataFrame) -> float:
    """Compute SDMetrics' ContingencySimilarity of codes from 0, in a fraction of the time."""
    codes = np.nan_to_num(np.vstack([one, two]), nan=-1).astype(np.int64) + 1
    sizes = codes.max(axis=0) + 1
    p, q = (joint(part, 0, 1, sizes) for part in np.split(codes, [len(one)]))
    return float(1 - np.abs(p - q).sum() / 2)


def _mean(found: list[float]) -> float:
    """Compute the mean without NaN; NaN if all are NaN."""
    known = [one for one in found if not np.isnan(one)]
    return float(np.mean(known)) if known else float("nan")
