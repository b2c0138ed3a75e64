"""Which rows should a GAN or VAE learn from: the class alone, all rows, or all rows and then the
class?

    python evaluation/scope.py --data-dir DIR [--jobs 8] [--seeds 2]

For each table, class size, synthesizer and scope: split 70/30, thin the training rows of the rare
class to the size, fit, and make as many rows as the class has held-out rows. Three figures, each
against held-out real rows:

- shape: mean of 1 - KS (numbers) and 1 - TV (levels) over columns; 1 is best;
- c2st: ROC-AUC of boosting that tells synthetic from held-out rows, 3-fold; 0.5 is best;
- ap: average precision on held-out rows (at their prevalence) of boosting trained on the real
  majority and the synthetic rows in the place of the real minority. "real" is the same with the
  real minority rows.

All networks train for 1,000 steps of 200 rows (adapt: 500 more), so that the scopes are compared at
about equal cost.

Writes scope.json beside itself and prints the means. The winner by rows is the default of
``scope="auto"``.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

TABLES = {
    "hypothyroid_uci": "hypothyroid",
    "mammography": "1",
    "wilt": "2",
    "nasscds": "dead",
    "bank_marketing": "yes",
    "covid_testing": "positive",
    "lending_club": "bad",
    "default_credit": "1",
}
# Rows of the rare class, and the tables that have so many in their training part.
SIZES = {
    30: ("hypothyroid_uci", "mammography", "wilt", "nasscds", "bank_marketing", "covid_testing"),
    300: ("nasscds", "bank_marketing", "covid_testing", "lending_club", "default_credit"),
    100: ("hypothyroid_uci", "mammography", "wilt"),
}
SCOPES = ("class", "all", "adapt")
MAJORITY, STEPS, BATCH = 3_000, 1_000, 200


def prepared(frame: pd.DataFrame) -> pd.DataFrame:
    """Features as boosting takes them: numbers, and categoricals with the levels of all rows."""
    out = {}
    for name in frame.columns.drop("target"):
        column = frame[name]
        if pd.api.types.is_numeric_dtype(column):
            # scikit-learn's boosting cannot take a column that is missing throughout a fold.
            out[name] = column.fillna(column.min() - 1).fillna(0)
        else:
            text = column.astype(object).where(column.notna(), "?").astype(str)
            # scikit-learn's boosting takes 255 levels: rarer ones are one level.
            common = text.value_counts().index[:250]
            out[name] = text.where(text.isin(common), "?rare").astype("category")
    return pd.DataFrame(out)


def boosting():
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(categorical_features="from_dtype", random_state=0)


def figures(frame, train_majority, synthetic, test, minority) -> dict[str, float]:
    from scipy.stats import ks_2samp
    from sklearn.metrics import average_precision_score, roc_auc_score
    from sklearn.model_selection import cross_val_predict

    held = test[test.target == minority]
    shapes = []
    for name in frame.columns.drop("target"):
        a, b = synthetic[name], held[name]
        if pd.api.types.is_numeric_dtype(frame[name]) and a.notna().any() and b.notna().any():
            shapes.append(1 - ks_2samp(a.dropna(), b.dropna()).statistic)
        else:
            p, q = a.value_counts(normalize=True), b.value_counts(normalize=True)
            shapes.append(1 - 0.5 * p.subtract(q, fill_value=0).abs().sum())
    n = min(len(held), len(synthetic))
    parts = pd.concat(
        [train_majority, synthetic, test, held.head(n), synthetic.head(n)], ignore_index=True
    )
    features = prepared(parts)
    fit_rows, rest = len(train_majority) + len(synthetic), len(test)
    model = boosting().fit(features[:fit_rows], parts.target[:fit_rows] == minority)
    score = model.predict_proba(features[fit_rows : fit_rows + rest])[:, 1]
    truth = test.target == minority
    pair, which = features[fit_rows + rest :], np.repeat([0, 1], n)
    told = cross_val_predict(boosting(), pair, which, cv=3, method="predict_proba")[:, 1]
    return {
        "shape": float(np.mean(shapes)),
        "c2st": float(roc_auc_score(which, told)),
        "ap": float(average_precision_score(truth, score)),
        "auc": float(roc_auc_score(truth, score)),
    }


def split(
    path: Path, minority: str, size: int, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Training rows, with `size` of the minority, and held-out ones; None: there are too few."""
    frame = pd.read_parquet(path)
    frame = frame.sample(frac=1, random_state=seed).reset_index(drop=True)
    rare = np.flatnonzero(frame.target == minority)
    common = np.flatnonzero(frame.target != minority)[:MAJORITY]
    cut, common_cut = int(0.7 * len(rare)), int(0.7 * len(common))
    if cut < size:
        return None
    train = frame.iloc[np.concatenate([rare[:size], common[:common_cut]])].reset_index(drop=True)
    test = frame.iloc[np.concatenate([rare[cut:], common[common_cut:]])].reset_index(drop=True)
    return train, test


def cell(job) -> list[dict]:
    """All synthesizers and scopes of one table, size and seed."""
    import torch

    from synthgen import CTGAN, TVAE, SmoothedBootstrap

    torch.set_num_threads(1)
    path, minority, size, seed, device = job
    parts = split(path, minority, size, seed)
    if parts is None:
        return []
    train, test = parts
    frame = train
    rng = np.random.default_rng(seed)
    majority, real = train[train.target != minority], train[train.target == minority]
    base = {"table": path.stem, "rows": size, "seed": seed}
    out = [base | {"method": "real", "scope": "-"} | figures(frame, majority, real, test, minority)]
    n = int((test.target == minority).sum())
    methods: list[tuple[str, str, Any]] = [("bootstrap", "-", SmoothedBootstrap())]
    for name, kind in (("ctgan", CTGAN), ("tvae", TVAE)):
        methods += [
            (
                name,
                s,
                kind(scope=s, steps=STEPS, batch_size=BATCH, device=device, random_state=seed),
            )
            for s in SCOPES
        ]
    for name, scope, model in methods:
        started = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.set_params(classes=[minority]).fit(train.drop(columns="target"), train.target)
            made = model.sample(max(n, size), label=minority, random_state=int(rng.integers(2**31)))
        seconds = time.perf_counter() - started
        found = figures(frame, majority, made[frame.columns], test, minority)
        out.append(base | {"method": name, "scope": scope, "seconds": round(seconds, 1)} | found)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    jobs = [
        (options.data_dir / f"{table}.parquet", TABLES[table], size, seed, options.device)
        for seed in range(options.seeds)
        for size, tables in SIZES.items()
        for table in tables
    ]
    results: list[dict] = []
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        for i, rows in enumerate(pool.map(cell, jobs), 1):
            results += rows
            print(f"{i}/{len(jobs)}", jobs[i - 1][0].stem, jobs[i - 1][2], flush=True)
            (options.out / "scope.json").write_text(json.dumps(results, indent=0))
    table = pd.DataFrame(results)
    columns = ["shape", "c2st", "ap", "auc"]
    summary = table.groupby(["rows", "method", "scope"])[columns].mean().round(3)
    summary["cells"] = table.groupby(["rows", "method", "scope"]).size()
    summary["seconds"] = table.groupby(["rows", "method", "scope"]).seconds.mean().round(1)
    text = summary.reset_index().to_string(index=False)
    print(text)


if __name__ == "__main__":
    main()
