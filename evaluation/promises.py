"""Does the average precision that `auto` and `audit` print hold on rows that nobody has seen?

    python evaluation/promises.py [--parts noise,promise] [--data-dir DIR] [--tables 100]
    [--seeds 1] [--first-seed 0] [--members cheap|default] [--seconds 300] --out FILE.json

``noise``: tables of 12 normal columns, 12 % of the class, 10, 30 and 100 rows of it. The printed
figure should be the printed guess on average, and `auto` should say "use" on at most 5 of 100.

``promise``: 10, 30 and 100 rows of the class of each table of DIR, and at most 700 others (at least
four for each row of the class), to learn from; up to 2,000 and 3,000 further rows, weighted to the
class shares of the training part, to judge by. The printed figure should not exceed the average
precision of those rows by more than .02 on average. The tables are in two halves, called
"chosen" and "judged"; the estimator was chosen with sight of both, so other seeds must confirm it.

Cheap members are logistic regression and naive Bayes (noise), or a small boosting (tables); plain
boosting, which changes no figure here, is naive Bayes too.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score
from sklearn.naive_bayes import GaussianNB

from synthgen import audit
from synthgen.comparison import crossfit
from synthgen.comparison.classifier import ImbalancedClassifier
from synthgen.comparison.quality import OWN
from synthgen.model_selection.estimators import Estimator
from synthgen.tables.disk import write_text
from synthgen.tables.schema import Schema

SIZES = 10, 30, 100
OTHERS, JUDGED = 700, (2_000, 3_000)
AUDITED = 5  # every fifth table of noise is audited, too
SMALL = HistGradientBoostingClassifier(max_iter=30, max_leaf_nodes=8, min_samples_leaf=5)


def fitted(X: pd.DataFrame, y: np.ndarray, seed: int, how: dict[str, Any]) -> ImbalancedClassifier:
    return ImbalancedClassifier(label=1, random_state=seed, **how).fit(X, y)


def printed(model: ImbalancedClassifier) -> dict[str, Any]:
    """What `auto` says of the table."""
    assert model.quality_ is not None
    found = round(model.quality_.figures[OWN]["average_precision"], 4)
    return {"auto": found, "use": model.recommendation_.action == "use"}


def noise(tables: range, members: str) -> Iterator[dict[str, Any]]:
    how = {"members": ["logistic", GaussianNB()] if members == "cheap" else None}
    for place in tables:
        for rare in SIZES:
            rng = np.random.default_rng([place, rare])
            y = np.repeat([0, 1], [round(rare * 0.88 / 0.12), rare])
            X = pd.DataFrame(rng.normal(size=(len(y), 12))).add_prefix("x")
            found = printed(fitted(X, y, place, how)) | {"guess": rare / len(y)}
            if place % AUDITED == 0 and (quick := audit(X, y, label=1, random_state=0).model):
                found["audit"] = round(quick.average_precision.value, 4)
            yield {"part": "noise", "table": place, "rare": rare, **found}


def promise(folder: Path, seeds: range, members: str) -> Iterator[dict[str, Any]]:
    catalog = pd.read_csv(folder / "catalog.csv", dtype=str)
    names = sorted(set(catalog["name"]) - {"adult_test"})  # the second part of adult
    for seed in seeds:
        for name in names:
            frame = pd.read_parquet(folder / f"{name}.parquet")
            label, rows = catalog.set_index("name").loc[name, ["minority_label", "minority_rows"]]
            *_, target = [c for c in frame if (frame[c].astype(str) == label).sum() == int(rows)]
            frame = frame[frame[target].notna()]
            y = (frame[target].astype(str) == label).to_numpy()
            for rare in SIZES:
                found = promised(frame.drop(columns=target), y, rare, seed, members)
                if found is not None:
                    half = "chosen" if names.index(name) % 2 == 0 else "judged"
                    yield {"part": half, "table": name, "seed": seed, "rare": rare, **found}


def promised(
    X: pd.DataFrame, y: np.ndarray, rare: int, seed: int, members: str
) -> dict[str, Any] | None:
    rng = np.random.default_rng([seed, len(X)])
    some, others = rng.permutation(np.flatnonzero(y)), rng.permutation(np.flatnonzero(~y))
    if len(some) < rare + 15:
        return None
    n = max(4 * rare, min(rare * len(others) // len(some), OTHERS))
    train = np.r_[some[:rare], others[:n]]
    test = np.r_[some[rare:][: JUDGED[0]], others[n:][: JUDGED[1]]]
    both = np.r_[train, test]
    schema = Schema.infer(X.iloc[both].assign(class_=y[both].astype(int)), target="class_")
    learned, seen = X.iloc[train].reset_index(drop=True), X.iloc[test].reset_index(drop=True)
    how = {"members": ["logistic", SMALL] if members == "cheap" else None, "schema": schema}
    model = fitted(learned, y[train].astype(int), seed, how)
    p, truth, share = model.predict_proba(seen)[:, 1], y[test], rare / len(train)
    weight = np.where(truth, share / truth.sum(), (1 - share) / (~truth).sum())
    held = float(average_precision_score(truth, p, sample_weight=weight))
    return printed(model) | {"guess": round(share, 4), "held": round(held, 4)}


def summary(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means by part and number of rows of the class."""
    frame = pd.DataFrame(lines)
    means = frame.drop(columns=["table", "seed"], errors="ignore").groupby(["part", "rare"])
    found = means.mean().assign(cells=means.size()).round(4)
    return json.loads(found.reset_index().to_json(orient="records"))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--parts", default="noise,promise")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--tables", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0, help="of noise tables and of seeds")
    parser.add_argument("--members", choices=["cheap", "default"], default="cheap")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="limit of each part")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    if options.members == "cheap":
        crossfit.PLAIN = Estimator("plain boosting", GaussianNB())
    lines: list[dict[str, Any]] = []
    first = options.first_seed
    for part in options.parts.split(","):
        told = noise(range(first, first + options.tables), options.members)
        if part == "promise":
            told = promise(options.data_dir, range(first, first + options.seeds), options.members)
        started = time.perf_counter()
        for line in told:
            lines.append(line)
            found = {"members": options.members, "means": summary(lines), "cells": lines}
            write_text(options.out, json.dumps(found, indent=1) + "\n")
            if time.perf_counter() - started > options.seconds:
                break
    print(pd.DataFrame(summary(lines)).to_string(index=False))


if __name__ == "__main__":
    main()
