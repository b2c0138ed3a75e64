"""The figures of the published protocol (arXiv 2603.23016), with SDMetrics' own classes.

- shape, trend: 1 - score of SDMetrics' QualityReport against the training rows, in percent; pairs
  of little association count as well, as they did in the versions that published figures used;
- c2st: SDMetrics' LogisticDetection with XGBClassifier in the place of the logistic regression,
  3-fold; 1 is best;
- tstr: AUC on the real test rows of XGBoost trained on 8/9 of the synthetic rows, its parameters
  chosen from 36 on the other 1/9; or, quicker, of XGBoost with 100 trees 6 deep (`fixed`).
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd

GRID = {
    "n_estimators": (10, 50, 100),
    "min_child_weight": (1, 10),
    "max_depth": (5, 10, 20),
    "gamma": (0, 1),
}
FIXED: dict[str, Any] = {"n_estimators": 100, "max_depth": 6}


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Numbers as floats, everything else as text, as SDMetrics tells them apart."""
    out = {}
    for name in frame.columns:
        column = frame[name]
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            out[name] = column.astype(float)
        else:
            text = column.astype(object).where(column.notna(), "?").astype(str)
            out[name] = text.astype(object)
    return pd.DataFrame(out)


def metadata(frame: pd.DataFrame) -> dict[str, Any]:
    kinds = {c: "numerical" if frame[c].dtype.kind == "f" else "categorical" for c in frame}
    return {"columns": {c: {"sdtype": kind} for c, kind in kinds.items()}}


def quality(real: pd.DataFrame, made: pd.DataFrame) -> tuple[float, float]:
    """Errors of shape and trend, in percent."""
    from sdmetrics.reports.single_table import QualityReport

    report = QualityReport()
    report.real_correlation_threshold = report.real_association_threshold = 0
    real, made = plain(real), plain(made)
    report.generate(real, made, metadata(real), verbose=False)
    scores = report.get_properties().set_index("Property").Score
    shape, trend = float(scores["Column Shapes"]), float(scores["Column Pair Trends"])
    return 100 * (1 - shape), 100 * (1 - trend)


def detection(real: pd.DataFrame, made: pd.DataFrame) -> float:
    from sdmetrics.single_table import LogisticDetection
    from xgboost import XGBClassifier

    class Detection(LogisticDetection):
        @staticmethod
        def _get_classifier():
            return XGBClassifier(enable_categorical=True, random_state=0)

    n = min(len(real), len(made))
    real, made = plain(real.iloc[:n]), plain(made.iloc[:n])
    for name in made.columns[[made[c].dtype.kind == "O" for c in made]]:
        counts = real[name].value_counts()  # SDMetrics takes no level that the real rows lack
        made[name] = made[name].where(made[name].isin(counts.index), counts.index[-1])
    np.random.seed(0)  # noqa: NPY002 - its folds come from there
    return float(Detection.compute(real, made, metadata(real)))


def utility(made: pd.DataFrame, test: pd.DataFrame, *, fixed: bool, seed: int = 0) -> float:
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import train_test_split
    from xgboost import XGBClassifier

    both = plain(pd.concat([made, test], ignore_index=True))
    positive = sorted(both.target.unique())[-1]
    y = (both.target == positive).to_numpy()
    X = both.drop(columns="target")
    X = X.astype({c: "category" for c in X if X[c].dtype.kind == "O"})
    rows, held = X.iloc[: len(made)], X.iloc[len(made) :]

    def auc(params: dict[str, Any], fit: np.ndarray, *parts: tuple[pd.DataFrame, np.ndarray]):
        model = XGBClassifier(enable_categorical=True, random_state=0, **params)
        model.fit(rows.iloc[fit], y[fit])
        return [float(roc_auc_score(t, model.predict_proba(x)[:, 1])) for x, t in parts]

    tested = (held, y[len(made) :])
    if fixed:
        return auc(FIXED, np.arange(len(made)), tested)[0]
    fit, chosen = train_test_split(np.arange(len(made)), test_size=1 / 9, random_state=seed)
    choice = (rows.iloc[chosen], y[chosen])
    found = [
        auc(dict(zip(GRID, values, strict=True)), fit, choice, tested)
        for values in product(*GRID.values())
    ]
    return max(found)[1]


def figures(
    made: pd.DataFrame, train: pd.DataFrame, test: pd.DataFrame, *, fixed: bool
) -> dict[str, float]:
    """All of them, rounded."""
    shape, trend = quality(train, made)
    return {
        "shape": round(shape, 2),
        "trend": round(trend, 2),
        "c2st train": round(detection(train, made), 3),
        "c2st test": round(detection(test, made), 3),
        "tstr": round(utility(made, test, fixed=fixed), 3),
    }
