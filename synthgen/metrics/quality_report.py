"""What SDMetrics says of the same rows, beside our figures."""

from __future__ import annotations

import warnings
from importlib.metadata import version

import numpy as np
import pandas as pd

from synthgen.device import RandomState, seed_sequence
from synthgen.metrics.rows import Space
from synthgen.metrics.samples import COLUMN_ROWS, jackknifed, some
from synthgen.metrics.score import Part
from synthgen.table import Table

MOST_COLUMNS, FEW_HALVES = 30, 4
_SCORES = {
    "Column Shapes": "fidelity.sdmetrics_column_shapes",
    "Column Pair Trends": "fidelity.sdmetrics_pair_trends",
}


def quality_report(
    train: Table,
    synthetic: Table,
    holdout: Table,
    *,
    group: str,
    random_state: RandomState = 0,
) -> Part:
    """Both figures of SDMetrics' QualityReport, synthetic and holdout rows against train.

    Its shapes are our `column_shapes`. Its trends leave out pairs that hardly go together in train,
    where our `pair_trends` take all, and cut each table into bins of its own, where ours are those
    of train. Nothing where SDMetrics is not installed. Intervals as of ours, from fewer halves.

    Args:
        train, synthetic, holdout: Rows of one schema, with the levels of all three.
        group: What the rows are, for the names of the scores.
        random_state: Seed of subsamples.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
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

    def framed(table: Table, most: int) -> pd.DataFrame:
        cells = some(rng, space.cells(table), most)
        return pd.DataFrame({str(j): cells[:, j] for j in columns})

    def reported(one: pd.DataFrame, two: pd.DataFrame) -> dict[str, float]:
        report = QualityReport()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of columns that hold one value
            report.generate({"rows": one}, {"rows": two}, about, verbose=False)
        found = report.get_properties()
        return dict(zip(found["Property"], found["Score"].astype(float), strict=True))

    real, made = framed(train, COLUMN_ROWS), framed(synthetic, rows)
    value, reference = reported(real, made), reported(real, framed(holdout, rows))
    again = [
        reported(real.sample(frac=0.5, random_state=rng), made.sample(frac=0.5, random_state=rng))
        for _ in range(FEW_HALVES)
    ]
    scores = [
        jackknifed(
            name, group, value[key], reference.get(key), [half.get(key, np.nan) for half in again]
        )
        for key, name in _SCORES.items()
        if value.get(key, np.nan) == value.get(key, np.nan)
    ]
    note = (
        f"“SDMetrics” is the quality report of SDMetrics {version('sdmetrics')}, whose trends are "
        f"of the pairs that go together in train"
    )
    if len(space.columns) > MOST_COLUMNS:
        note += f", of {MOST_COLUMNS} of {len(space.columns)} columns"
    return Part(scores, notes=[note])
