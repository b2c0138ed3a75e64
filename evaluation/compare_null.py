"""How often does `compare` recommend a change where none can help?

    python evaluation/compare_null.py --budget 600         go on for ten minutes
    python evaluation/compare_null.py --runs 100           until each kind has 100 runs
    python evaluation/compare_null.py --scores-alone       the same rule on scores made without
                                                           `compare`: a tenth of the time
    python evaluation/compare_null.py report               compare_null.json again, without a run

Made-up tables of 200 or 400 rows, 30 or 60 of them of the class, twice. "shuffled": labels without
any relation to the columns, logistic regression, five remedies. "another seed": real signal, and
the remedies are the classifier itself with three other seeds. 5 % of the runs may recommend a
change. A line of compare_null.jsonl is a run: what was recommended, and the metric of every remedy
on every split, from which other rules can be judged without running anything again. The report
counts what today's rule and others recommend, with 95 % intervals of Clopper and Pearson (1934).
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler
from scipy.stats import beta
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import RepeatedStratifiedKFold

from synthgen import compare
from synthgen.comparison.recommendation import SURE, Chances, chances_of, margin_of, recommend

HERE = Path(__file__)
RESULTS = HERE.with_suffix(".jsonl")
QUICK = ["class_weight", "undersample", "oversample", "smote", "bootstrap:0.3"]
FOLDS, REPEATS = 5, 2
KINDS = {"shuffled": 0.0, "another seed": 1.0}  # how far the classes lie apart


class Forest(ClassifierMixin, BaseEstimator):
    """A small forest whose seed nobody sets from outside."""

    def __init__(self, number: int = 0) -> None:
        self.number = number

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Forest:
        self.model_ = RandomForestClassifier(10, min_samples_leaf=3, random_state=self.number)
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
    rows, rare = int(rng.choice([200, 400])), int(rng.choice([30, 60]))
    ill = rng.permutation(np.repeat([0, 1], [rows - rare, rare]))
    X = pd.DataFrame({f"x{i}": rng.normal(gap * ill * (i < 2)) for i in range(5)})
    X["sex"] = rng.choice(["f", "m"], rows)
    return X, ill


def one(kind: str, seed: int) -> dict[str, Any]:
    X, y = table(seed, KINDS[kind])
    remedies: Any = QUICK if kind == "shuffled" else [Second(1), Third(2), Fourth(3)]
    estimator: Any = LogisticRegression() if kind == "shuffled" else Forest(0)
    began = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = compare(
            X, y, strategies=remedies, estimator=estimator, folds=FOLDS, repeats=REPEATS,
            random_state=seed,
        )  # fmt: skip
    scores = {n: found.result(n).values for n in found.strategies if n != "threshold"}
    return {
        "kind": kind,
        "seed": seed,
        "action": found.recommendation.action,
        "prevalence": found.rare / found.rows,
        "scores": {name: [round(v, 5) for v in values] for name, values in scores.items()},
        "cpu_seconds": round(time.process_time() - began, 1),
    }


def alone(kind: str, seed: int) -> dict[str, Any]:
    """The same table, folds and remedies, fitted here: no inner folds, no thresholds."""
    X, y = table(seed, KINDS[kind])
    cells = X.assign(sex=X["sex"] == "f").to_numpy(dtype=float)
    plain: Any = LogisticRegression() if kind == "shuffled" else Forest(0)
    remedies: dict[str, tuple[Any, Any]] = {"nothing": (None, plain)}
    if kind == "shuffled":
        remedies |= {
            "class_weight": (None, LogisticRegression(class_weight="balanced")),
            "undersample": (RandomUnderSampler(sampling_strategy=0.5, random_state=seed), plain),
            "oversample": (RandomOverSampler(sampling_strategy=0.5, random_state=seed), plain),
            "smote": (SMOTE(sampling_strategy=0.5, random_state=seed), plain),
            "bootstrap": (
                RandomOverSampler(sampling_strategy=0.5, random_state=seed, shrinkage=1.0),
                plain,
            ),
        }
    else:
        remedies |= {f"Forest {n}": (None, Forest(n)) for n in (1, 2, 3)}
    scores: dict[str, list[float]] = {name: [] for name in remedies}
    folds = RepeatedStratifiedKFold(n_splits=FOLDS, n_repeats=REPEATS, random_state=seed)
    for train, test in folds.split(cells, y):
        for name, (sampler, estimator) in remedies.items():
            own = cells[train], y[train]
            if sampler is not None:
                own = sampler.fit_resample(*own)
            p = clone(estimator).fit(*own).predict_proba(cells[test])[:, 1]
            scores[name].append(round(float(average_precision_score(y[test], p)), 5))
    run = {"kind": f"{kind}, scores alone", "seed": seed, "prevalence": float(y.mean())}
    return run | {"scores": scores}


def again(run: dict[str, Any]) -> tuple[str, list[Chances]]:
    """What is recommended from the scores of a run, and the chances of its remedies."""
    scores = {name: np.array(values) for name, values in run["scores"].items()}
    nothing = scores.pop("nothing")
    metric = "average_precision"
    how = {"ratio": 1 / (FOLDS - 1), "margin": margin_of(metric, float(nothing.mean()))}
    chances = chances_of([*scores], np.array([*scores.values()]), nothing, **how)
    advice = recommend(
        chances, nothing, metric=metric, prevalence=run["prevalence"], threshold=0.5, target="y",
        label="1", summaries={}, **how,
    )  # fmt: skip
    return advice.action, chances


def load() -> list[dict[str, Any]]:
    if not RESULTS.exists():
        return []
    return [json.loads(line) for line in RESULTS.read_text().splitlines()]


def counted(hits: int, runs: int) -> dict[str, Any]:
    low = float(beta.ppf(0.025, hits, runs - hits + 1)) if hits else 0.0
    high = float(beta.ppf(0.975, hits + 1, runs - hits)) if hits < runs else 1.0
    return {"runs": runs, "change": hits, "low": round(low, 3), "high": round(high, 3)}


def changes() -> dict[str, dict[str, Any]]:
    """Of the runs of each kind, how many are told to change by today's rule."""
    out = {}
    for kind in dict.fromkeys(run["kind"] for run in load()):
        told = [again(run)[0].startswith("use ") for run in load() if run["kind"] == kind]
        out[kind] = counted(sum(told), len(told))
    return out


def report() -> None:
    lines, out = load(), {}
    for kind, rule in changes().items():
        found = [again(run) for run in lines if run["kind"] == kind]
        runs = len(found)
        out[kind] = {"the rule": rule}
        able = [chances for action, chances in found if action != "collect"]
        for sure in (SURE, 0.9, 0.95):  # without the condition that a gain is established
            hits = sum(any(c.helps >= sure for c in chances) for chances in able)
            out[kind][f"any helps with {sure:g}"] = counted(hits, runs)
    HERE.with_suffix(".json").write_text(json.dumps(out, indent=1) + "\n")
    for kind, rules in out.items():
        for rule, n in rules.items():
            print(f"{kind}, {rule}: {n['change']} of {n['runs']} [{n['low']:.3f}, {n['high']:.3f}]")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="?", choices=["run", "report"], default="run")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--budget", type=float, default=float("inf"), help="Seconds.")
    parser.add_argument("--scores-alone", action="store_true", help="Without `compare`.")
    options = parser.parse_args()
    if options.what == "run":
        began = time.perf_counter()
        done = {(run["kind"], run["seed"]) for run in load()}
        for seed in range(options.runs):
            for kind in KINDS:
                own = f"{kind}, scores alone" if options.scores_alone else kind
                if (own, seed) not in done and time.perf_counter() - began < options.budget:
                    line = json.dumps((alone if options.scores_alone else one)(kind, seed))
                    with RESULTS.open("a") as file:
                        file.write(line + "\n")
    report()


if __name__ == "__main__":
    main()
