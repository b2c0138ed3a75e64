"""What SDMetrics says of the same rows, beside our figures."""

from __future__ import annotations

import warnings
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from synthgen.encoding.matrix import Space
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
    """Both figures of SDMetrics' QualityReport, synthetic and holdout rows against train; of the
    trends also independent columns, each of the holdout shuffled by itself, as the floor.

    Its shapes are our `column_shapes`. Its trends leave out pairs that hardly go together in train,
    where our `pair_trends` take all, and cut each table into bins of its own, where ours are those
    of train. Nothing where SDMetrics is not installed. The value is that of a whole report; what
    stands beside it is what a report would give, from SDMetrics' functions for the columns and
    pairs that count in the first, and from our count of pairs of levels, which takes a fraction of
    the time of its. Intervals as of ours, from fewer halves.

    Args:
        train, synthetic, holdout: Rows of one schema, with the levels of all three.
        group: What the rows are, for the names of the scores.
        random_state: Seed of subsamples.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from sdmetrics import column_pairs, single_column
            from sdmetrics.errors import ConstantInputError, IncomputableMetricError
            from sdmetrics.reports import QualityReport
    except ImportError:
        return Part([], notes=["SDMetrics is not installed, its quality report is left out"])
    rng = np.random.default_rng(seed_sequence(random_state))
    one_class = train.schema.target is not None and len(np.unique(train.labels)) < 2
    space = Space.of(train, with_target=not one_class)
    columns = range(min(len(space.columns), MOST_COLUMNS))
    rows = min(len(synthetic), len(holdout), COLUMN_ROWS)
    if min(len(train), rows) < 2 or not columns:
        return Part([])
    kinds = {
        str(j): {"sdtype": "categorical" if space.is_level[j] else "numerical"} for j in columns
    }
    about = {"tables": {"rows": {"columns": kinds}}, "relationships": []}

    def framed(cells: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame({str(j): cells[:, j] for j in columns})

    def drawn(table: Table, most: int) -> np.ndarray:
        return some(rng, space.cells(table), most)

    real, made = framed(drawn(train, COLUMN_ROWS)), framed(drawn(synthetic, rows))
    report = QualityReport()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of columns that hold one value
        report.generate({"rows": real}, {"rows": made}, about, verbose=False)
    properties = report.get_properties()
    value = dict(zip(properties["Property"], properties["Score"].astype(float), strict=True))
    shapes, trends = (report.get_details(name, "rows") for name in (SHAPES, TRENDS))
    trends = trends[trends["Meets Threshold?"].eq(True)]

    def again(one: pd.DataFrame, two: pd.DataFrame) -> dict[str, float]:
        """Both figures of other rows, of the columns and pairs that count in the report."""
        binned = [_binned(part, kinds) for part in (one, two)]
        alone, paired = [], []

        def compared(metric: str, of: Any, one: Any, two: Any) -> float:
            if metric == "ContingencySimilarity":
                return _contingency(one, two)
            try:
                return float(getattr(of, metric).compute(one, two))
            except (ConstantInputError, IncomputableMetricError, ValueError):
                return np.nan

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for j, metric in zip(shapes["Column"], shapes["Metric"], strict=True):
                alone.append(compared(metric, single_column, one[j], two[j]))
            pairs = (trends[key] for key in ("Column 1", "Column 2", "Metric"))
            for a, b, metric in zip(*pairs, strict=True):
                # Two numbers are correlated as they are; beside levels, a number is its bin.
                sides = (one, two) if metric == "CorrelationSimilarity" else binned
                found = compared(metric, column_pairs, *(side[[a, b]] for side in sides))
                paired.append(found)
        return {SHAPES: _mean(alone), TRENDS: _mean(paired)}

    reference = again(real, framed(drawn(holdout, rows)))
    bottom = again(real, framed(independent(rng, drawn(holdout, rows))))
    halves = [
        again(*(part.sample(frac=0.5, random_state=rng) for part in (real, made)))
        for _ in range(FEW_HALVES)
    ]

    def known(found: dict[str, float], key: str) -> float | None:
        return None if np.isnan(found.get(key, np.nan)) else found[key]

    scores = [
        jackknifed(
            name,
            group,
            value[key],
            known(reference, key),
            [half[key] for half in halves],
            floor=known(bottom, key) if key == TRENDS else None,
        )
        for key, name in _SCORES.items()
        if known(value, key) is not None
    ]
    note = (
        f"figures named “SDMetrics” come from SDMetrics {version('sdmetrics')} itself: its quality "
        f"report; reference and floor are what it would say of the same pairs. Its trends are of "
        f"the pairs that go together in train; column shapes and pair trends without that name "
        f"are synthgen's own, as SDMetrics defines them, the trends of all pairs"
    )
    if len(space.columns) > MOST_COLUMNS:
        note += f", of {MOST_COLUMNS} of {len(space.columns)} columns"
    return Part(scores, notes=[note])


def _binned(rows: pd.DataFrame, kinds: dict[str, dict[str, str]]) -> pd.DataFrame:
    """Numbers as the place of one of ten bins of equal width of these rows, as SDMetrics has it."""
    out = rows.copy()
    for name, kind in kinds.items():
        if kind["sdtype"] == "numerical":
            cells = rows[name].to_numpy()
            out[name] = np.digitize(cells, np.histogram_bin_edges(cells[~np.isnan(cells)]))
    return out


def _contingency(one: pd.DataFrame, two: pd.DataFrame) -> float:
    """What ContingencySimilarity of SDMetrics says of codes from 0, in a fraction of the time."""
    codes = np.nan_to_num(np.vstack([one, two]), nan=-1).astype(np.int64) + 1
    sizes = codes.max(axis=0) + 1
    p, q = (joint(part, 0, 1, sizes) for part in np.split(codes, [len(one)]))
    return float(1 - np.abs(p - q).sum() / 2)


def _mean(found: list[float]) -> float:
    """Of what is known; NaN where nothing is."""
    known = [one for one in found if not np.isnan(one)]
    return float(np.mean(known)) if known else float("nan")
