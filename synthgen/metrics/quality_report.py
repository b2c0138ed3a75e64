"""What SDMetrics says of the same rows, beside our figures."""

from __future__ import annotations

import warnings
from importlib.metadata import version

import numpy as np
import pandas as pd

from synthgen.device import RandomState, seed_sequence
from synthgen.metrics.rows import Space
from synthgen.metrics.samples import COLUMN_ROWS, independent, jackknifed, some
from synthgen.metrics.score import Part
from synthgen.table import Table

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
    trends also independent columns, each of train shuffled by itself, as the floor.

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

    def framed(cells: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame({str(j): cells[:, j] for j in columns})

    def drawn(table: Table, most: int) -> np.ndarray:
        return some(rng, space.cells(table), most)

    def reported(one: pd.DataFrame, two: pd.DataFrame) -> dict[str, float]:
        report = QualityReport()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of columns that hold one value
            report.generate({"rows": one}, {"rows": two}, about, verbose=False)
        found = report.get_properties()
        return dict(zip(found["Property"], found["Score"].astype(float), strict=True))

    real, made = framed(drawn(train, COLUMN_ROWS)), framed(drawn(synthetic, rows))
    value, reference = reported(real, made), reported(real, framed(drawn(holdout, rows)))
    bottom = reported(real, framed(independent(rng, drawn(train, rows))))
    again = [
        reported(real.sample(frac=0.5, random_state=rng), made.sample(frac=0.5, random_state=rng))
        for _ in range(FEW_HALVES)
    ]

    def known(found: dict[str, float], key: str) -> float | None:
        return None if found.get(key, np.nan) != found.get(key, np.nan) else found[key]

    scores = [
        jackknifed(
            name,
            group,
            value[key],
            known(reference, key),
            [half.get(key, np.nan) for half in again],
            floor=known(bottom, key) if key == TRENDS else None,
        )
        for key, name in _SCORES.items()
        if known(value, key) is not None
    ]
    note = (
        f"figures named “SDMetrics” come from the quality report of SDMetrics "
        f"{version('sdmetrics')} itself, whose trends are of the pairs that go together in train; "
        f"column shapes and pair trends without that name are synthgen's own, as SDMetrics defines "
        f"them, the trends of all pairs"
    )
    if len(space.columns) > MOST_COLUMNS:
        note += f", of {MOST_COLUMNS} of {len(space.columns)} columns"
    return Part(scores, notes=[note])
