"""Tables of synthetic Adult rows with known verdicts, evaluated against the official test.

    python evaluation/evaluate_adult.py --data-dir DIR [--cases train shuffled ...] [--html DIR]

Prints verdicts and seconds, and writes evaluate_adult.json beside itself. `train` is the training
table itself, `shuffled` each of its columns shuffled; trees, tabflow, ctgan, tvae, bootstrap and
smote_nc are rows of >50K, as many as train holds.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
from imblearn.over_sampling import SMOTENC

from synthgen.metrics.evaluate import evaluate
from synthgen.metrics.score import Score
from synthgen.synthesizers.lookup import resolve

TARGET, MINORITY = "target", ">50K"
CASES = ("train", "shuffled", "bootstrap", "smote_nc", "trees", "tabflow", "tvae", "ctgan")


def written(score: Score) -> str:
    """Value, interval and reference of a score, on one line of a file that people compare."""
    low, high = score.interval or (math.nan, math.nan)
    reference = math.nan if score.reference is None else score.reference
    return f"{score.value:.4f} [{low:.4f}, {high:.4f}], real rows {reference:.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--cases", nargs="+", default=CASES, choices=CASES)
    parser.add_argument("--html", type=Path, help="folder for a page of each case")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    train = pd.read_parquet(options.data_dir / "adult_train.parquet")
    test = pd.read_parquet(options.data_dir / "adult_test.parquet")
    path = Path(__file__).with_suffix(".json")
    results = json.loads(path.read_text())["results"] if path.exists() else {}
    for case in options.cases:
        started = time.perf_counter()
        synthetic = made(case, train, options.seed)
        fitted = time.perf_counter()
        report = evaluate(
            train, synthetic, holdout=test, target=TARGET, label=MINORITY, verbose=True
        )
        seconds = time.perf_counter() - fitted
        print(f"{case}: {fitted - started:.0f} s to make, {seconds:.0f} s to evaluate")
        for verdict in report.verdicts:
            print(f"  {verdict.part}: {verdict.outcome}. {verdict.sentence}", flush=True)
        content = report.to_json()
        results[case] = {
            "seconds_to_make": round(fitted - started, 1),
            "seconds": report.seconds,
            "verdicts": content["verdicts"],
            "scores": {
                f"{s.name} of {s.group}": written(s) for s in report.scores if ": " not in s.group
            },
        }
        machine = {"cores": os.cpu_count(), "seed": options.seed}
        text = json.dumps({"machine": machine, "results": results}, indent=1)
        path.write_text(text + "\n", encoding="utf-8")
        if options.html is not None:
            options.html.mkdir(exist_ok=True)
            report.to_html(options.html / f"{case}.html")


def made(case: str, train: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The synthetic rows of a case."""
    rng = np.random.default_rng(seed)
    if case == "train":
        return train
    if case == "shuffled":
        return train.apply(lambda column: rng.permutation(column.to_numpy()))
    rows = int((train[TARGET] == MINORITY).sum())
    if case != "smote_nc":
        model = resolve(case).set_params(random_state=seed)
        model.fit(train.drop(columns=TARGET), train[TARGET])
        return model.sample(rows, label=MINORITY, random_state=seed)
    features = train.drop(columns=TARGET)
    texts = features.select_dtypes(exclude="number").columns
    features[texts] = features[texts].fillna("missing")
    sampler = SMOTENC(list(texts), sampling_strategy={MINORITY: 2 * rows}, random_state=seed)
    both = sampler.fit_resample(features, train[TARGET])
    new = both[0].iloc[len(train) :].reset_index(drop=True)
    new[texts] = new[texts].astype(object).replace("missing", None)
    return new.assign(**{TARGET: MINORITY})


if __name__ == "__main__":
    main()
