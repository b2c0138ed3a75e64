"""How often does `compare` recommend a change where none can help?

    python evaluation/compare_null.py [--runs 30]

Small made-up tables, five folds of quick learners, twice. "shuffled": labels without any relation
to the columns. "another seed": real signal, and the remedies are the classifier itself with other
seeds, three of them. Prints how many runs recommend a change; 5 % are the limit. Writes
compare_null.json beside itself.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from synthgen import compare

QUICK = ["class_weight", "undersample", "oversample", "smote", "bootstrap:0.3"]


class Forest(ClassifierMixin, BaseEstimator):
    """A small forest whose seed nobody sets from outside."""

    def __init__(self, number: int = 0) -> None:
        self.number = number

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Forest:
        self.model_ = RandomForestClassifier(15, min_samples_leaf=3, random_state=self.number)
        self.model_.fit(X, y, sample_weight)
        self.classes_ = self.model_.classes_
        return self

    def predict_proba(self, X: Any) -> Any:
        return self.model_.predict_proba(X)


class Second(Forest):
    pass


class Third(Forest):
    pass


class Fourth(Forest):
    pass


def table(seed: int, gap: float) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(seed)
    rows, rare = int(rng.choice([300, 600])), int(rng.choice([30, 60]))
    ill = rng.permutation(np.repeat([0, 1], [rows - rare, rare]))
    X = pd.DataFrame({f"x{i}": rng.normal(gap * ill * (i < 2)) for i in range(5)})
    X["sex"] = rng.choice(["f", "m"], rows)
    return X, ill


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=30)
    options = parser.parse_args()
    found: dict[str, Counter[str]] = {}
    for kind, gap in (("shuffled", 0.0), ("another seed", 1.0)):
        found[kind] = Counter()
        for seed in range(options.runs):
            X, y = table(seed, gap)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                remedies: Any = QUICK if gap == 0 else [Second(1), Third(2), Fourth(3)]
                estimator: Any = LogisticRegression() if gap == 0 else Forest(0)
                advice = compare(
                    X, y, strategies=remedies, estimator=estimator, folds=5, repeats=2,
                    random_state=seed,
                ).recommendation  # fmt: skip
            found[kind][advice.action] += 1
        print(kind, dict(found[kind]), flush=True)
    out = {kind: dict(counts) for kind, counts in found.items()}
    Path(__file__).with_suffix(".json").write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
