"""Does `compare` recommend rightly, and do `augment` and `audit` keep their word on real tables?

    python evaluation/compare.py null --budget 600     go on for ten minutes (or --runs 100)
    python evaluation/compare.py null --scores-alone   on scores made without `compare`: quicker
    python evaluation/compare.py null --runs 0         compare_null.json again, without a run
    python evaluation/compare.py tables --data-dir DIR --seeds 0 1 --budget 1700 --out FILE.json
    python evaluation/compare.py tables --data-dir DIR --tables adult_train --sweep 0.001 0.01 0.1
    python evaluation/compare.py augment --data-dir DIR [--synthesizers trees] [--tables ...]
    python evaluation/compare.py audit --data-dir DIR [--tables ...]

null: how often a change is recommended where none can help; 5 % of the runs may. Made-up tables of
200 or 400 rows, 30 or 60 of them of the class, two repeats of five folds. "shuffled": labels
without any relation to the columns, logistic regression, five remedies. "another seed": real
signal, and the remedies are the classifier itself with three other seeds. A line of
compare_null.jsonl is a run, with the metric of every remedy on every split, from which other rules
can be judged. Intervals of Clopper and Pearson (1934).

tables: verdicts and average precision of each remedy (compare.json). Regret is what the best single
remedy has on average, less what `auto` has that chooses among them: on inner folds (nested), or on
all other splits (left out).

augment: `synthgen augment DATA --target target -o OUT`, the amount by validation; where that is
none, again with ``--ratio double``. Exactly the rows chosen, of the rarest class; dtypes and
original rows unchanged; whole numbers whole; nothing outside the ranges and categories; no new
missing cells; at most 5 minutes. "adult_10" has 10 rows of >50K against 10,000. Ends with status 1
where a promise is broken.

audit: what the catalog knows of each table (rows of the class, repeated rows, codes, constant
columns), each in at most 60 s. Ends with status 1 where something is missed.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import HERE, Line, Results, load, parser, write
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler
from scipy.stats import beta
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import RepeatedStratifiedKFold

from synthgen import compare
from synthgen.auditing.audit import Audit, audit
from synthgen.comparison.comparison import Comparison
from synthgen.comparison.recommendation import SURE, Chances, chances_of, margin_of, recommend
from synthgen.comparison.sweep import sweep
from synthgen.model_selection.selection import choose

# --- where nothing can help -----------------------------------------------------------------------

RESULTS = HERE / "compare_null.jsonl"
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


def counted(hits: int, runs: int) -> dict[str, Any]:
    low = float(beta.ppf(0.025, hits, runs - hits + 1)) if hits else 0.0
    high = float(beta.ppf(0.975, hits + 1, runs - hits)) if hits < runs else 1.0
    return {"runs": runs, "change": hits, "low": round(low, 3), "high": round(high, 3)}


def changes() -> dict[str, dict[str, Any]]:
    """Of the runs of each kind, how many are told to change by today's rule."""
    told: dict[str, list[bool]] = {}
    for run in load(RESULTS):
        told.setdefault(run["kind"], []).append(again(run)[0].startswith("use "))
    return {kind: counted(sum(found), len(found)) for kind, found in told.items()}


def null(options: argparse.Namespace) -> None:
    results = Results(RESULTS, lambda run: (run["kind"], run["seed"]))
    began = time.perf_counter()
    for seed in range(options.runs):
        for kind in KINDS:
            own = f"{kind}, scores alone" if options.scores_alone else kind
            spent = time.perf_counter() - began
            if results.lacks({"kind": own, "seed": seed}) and spent < (options.budget or np.inf):
                results.add((alone if options.scores_alone else one)(kind, seed))
    out: dict[str, Any] = {}
    for kind, rule in changes().items():
        found = [again(run) for run in results.lines if run["kind"] == kind]
        out[kind] = {"the rule": rule}
        able = [chances for action, chances in found if action != "collect"]
        for sure in (SURE, 0.9, 0.95):  # without the condition that a gain is established
            hits = sum(any(c.helps >= sure for c in chances) for chances in able)
            out[kind][f"any helps with {sure:g}"] = counted(hits, len(found))
    write(HERE / "compare_null.json", out)
    for kind, rules in out.items():
        for rule, n in rules.items():
            print(f"{kind}, {rule}: {n['change']} of {n['runs']} [{n['low']:.3f}, {n['high']:.3f}]")


# --- remedies on real tables ----------------------------------------------------------------------

TABLES = ["nasscds", "lending_club", "mammography", "wilt", "bank_marketing"]


def regret(found: Comparison) -> dict[str, float]:
    """AP of the best single remedy on average, less that of two ways to choose one."""
    names = [n for n in found.strategies if n != "threshold"]
    values = np.array([found.result(n, "average_precision").values for n in names])
    best = float(values.mean(axis=1).max())
    nested = found.result("nothing", "average_precision").mean + found.verdict["ranking"].difference
    splits = values.shape[1]
    if splits < 3:  # two without one of them tell nothing about chance
        return {"nested": best - nested, "left_out": float("nan")}
    chosen = [
        choose(np.delete(values, split, axis=1), ratio=1 / (found.folds - 1))
        for split in range(splits)
    ]
    left_out = float(np.mean([values[place, split] for split, place in enumerate(chosen)]))
    return {"nested": best - nested, "left_out": best - left_out}


def show(found: Comparison) -> None:
    lines = [*found.recommendation.lines(), *(c.line() for c in found.cards), *found.note_lines()]
    print(*(f"    {line}" for line in lines), sep="\n", flush=True)
    for r in found.results:
        if r.metric == found.metric:
            low, high = r.interval
            print(
                f"    {r.strategy:18} {r.mean:.4f}  {r.difference:+.4f} "
                f"[{low:+.4f}, {high:+.4f}]  {found.seconds.get(r.strategy, 0):.0f} s",
                flush=True,
            )
    lost = regret(found)
    print(f"    regret {lost['nested']:+.4f} nested, {lost['left_out']:+.4f} left out", flush=True)


def plain(found: Comparison) -> dict[str, Any]:
    """What is kept: all but the curves and the single splits."""
    content = found.to_json() | {"regret": regret(found)}
    for name in ("curves", "by", "notes"):
        content.pop(name)
    kept = (found.metric, found.decision)
    content["results"] = [
        {k: r[k] for k in ("strategy", "metric", "mean", "difference", "interval")}
        for r in content["results"]
        if r["metric"] in kept
    ]
    return content


def tables(options: argparse.Namespace) -> None:
    for name in options.tables or TABLES:
        frame = pd.read_parquet(options.data_dir / f"{name}.parquet")
        label = frame["target"].value_counts().idxmin()
        X, y = frame.drop(columns="target"), frame["target"]
        for seed in options.seeds:
            started = time.perf_counter()
            how: dict[str, Any] = {
                "label": label,
                "strategies": options.strategies,
                "estimator": options.estimator,
                "folds": options.folds,
                "repeats": options.repeats,
                "time_budget": options.budget,
                "n_jobs": -1,
                "random_state": seed,
            }
            new: Line = {"table": name, "seed": seed, "budget": options.budget}
            if options.sweep:
                swept = sweep(X, y, at=options.sweep, **how)
                for rate, point in zip(swept.rates, swept.points, strict=True):
                    print(f"{name}, seed {seed}, rate {rate:.3%}", flush=True)
                    show(point)
                new |= {"rates": swept.rates, "always_no_accuracy": swept.always_no}
                new["points"] = [plain(point) for point in swept.points]
            else:
                found = compare(X, y, **how)
                show(found)
                new |= plain(found)
            new["wall"] = time.perf_counter() - started
            print(f"{name}, seed {seed}: {new['wall']:.0f} s", flush=True)
            if options.out is not None:
                new = json.loads(json.dumps(new, default=str))
                Results(options.out, lambda line: (line["table"], line["seed"])).add(new)


# --- promises of augment --------------------------------------------------------------------------

AUGMENTED = [
    "adult_train",
    "bank_marketing",
    "nasscds",
    "covid_testing",
    "lending_club",
    "fars",
    "flchain_mgus",
    "bwght2_lowbirth",
    "adult_10",
]
LIMIT = 300  # seconds


def broken_promises(before: pd.DataFrame, after: pd.DataFrame, made: int) -> list[str]:
    """What `after` should not be, given the table `before` and the rows that were to be made."""
    found = []
    counts = before.target.value_counts()
    rarest = counts.idxmin()
    now = after.target.value_counts()
    expected = counts.to_dict() | {rarest: counts.min() + made}
    if now.to_dict() != expected:
        found.append(f"counts {now.to_dict()} in place of {expected}")
    if not after.dtypes.equals(before.dtypes):
        found.append("dtypes differ")
    if not after.head(len(before)).equals(before.reset_index(drop=True)):
        found.append("the original rows changed")
    new = after.iloc[len(before) :]
    if not (new.target == rarest).all():
        found.append("new rows of another class")
    for name in before.columns.drop("target"):
        old, made = before[name], new[name]
        if made.isna().any() and not old.isna().any():
            found.append(f"{name}: missing cells")
        if not pd.api.types.is_numeric_dtype(old):
            if extra := set(made.dropna()) - set(old.dropna()):
                found.append(f"{name}: new categories {sorted(extra)[:3]}")
            continue
        if made.min() < old.min() or made.max() > old.max():
            found.append(f"{name}: outside {old.min()} to {old.max()}")
        known = old.dropna()
        if (known == known.round()).all() and not (made.dropna() == made.dropna().round()).all():
            found.append(f"{name}: not whole")
    return found


def run(
    path: Path, out: Path, synthesizer: str, options: list[str]
) -> tuple[float, int, list[str]]:
    """Seconds, new rows, and broken promises of one run."""
    command = [sys.executable, "-m", "synthgen", "augment", str(path), "--target", "target"]
    command += ["-o", str(out), "--synthesizer", synthesizer, *options]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    if done.returncode:
        return seconds, 0, [f"exit {done.returncode}: {done.stderr[-400:]}"]
    manifest = json.loads(out.with_name(f"{out.name}.manifest.json").read_text())
    (added,) = manifest["added"]
    problems = broken_promises(pd.read_parquet(path), pd.read_parquet(out), added["rows"])
    if seconds > LIMIT:
        problems.append(f"more than {LIMIT} s")
    return seconds, added["rows"], problems


def augmented(options: argparse.Namespace) -> int:
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for synthesizer in options.synthesizers:
            for table in options.tables or AUGMENTED:
                path = options.data_dir / f"{table}.parquet"
                if table == "adult_10":
                    adult = pd.read_parquet(options.data_dir / "adult_train.parquet")
                    rare, common = adult[adult.target == ">50K"], adult[adult.target != ">50K"]
                    path = Path(folder) / "adult_10.parquet"
                    some = [common.head(10_000), rare.head(10)]
                    pd.concat(some, ignore_index=True).to_parquet(path)
                for amount in ([], ["--ratio", "double"]):
                    out = Path(folder) / "out.parquet"
                    seconds, added, problems = run(path, out, synthesizer, amount)
                    failed += bool(problems)
                    said = f"{seconds:6.1f} s  +{added:<6} {'; '.join(problems) or 'kept'}"
                    print(f"{synthesizer:10} {table:16} {' '.join(amount):15} {said}", flush=True)
                    if added or problems:
                        break
    return failed


# --- what audit finds -----------------------------------------------------------------------------

SECONDS = 60


def expand(listed: str) -> set[str]:
    """``PAY_0..PAY_6`` as the columns between."""
    out = set()
    for name in filter(None, listed.split(",")):
        if span := re.fullmatch(r"(.+?)(\d+)\.\.\1(\d+)", name):
            out |= {f"{span[1]}{i}" for i in range(int(span[2]), int(span[3]) + 1)}
        else:
            out.add(name)
    return out


def missed(known: dict[str, str], frame: pd.DataFrame, found: Audit) -> list[str]:
    """What is known of a table and was not found."""
    of = {
        code: {f.column for f in found.findings if f.code == code} for code in ("codes", "constant")
    }
    out = []
    if found.minority.label != known["minority_label"]:
        out.append(f"rare class {found.minority.label}")
    elif found.minority.rows != int(known["minority_rows"]):
        out.append(f"{found.minority.rows} rare rows")
    if abs(100 * found.duplicates["share"] - float(known["dup_rows_pct"])) > 0.006:
        out.append(f"{found.duplicates['share']:.2%} repeated")
    coded = expand(known["int_coded_nominal"]) & {*frame.columns}
    out += [f"{name} is a code" for name in sorted(coded - of["codes"])]
    constant = {c for c in frame.columns if len(frame[c].unique()) == 1}
    out += [f"{name} is constant" for name in sorted(constant ^ of["constant"])]
    return out


def audits(options: argparse.Namespace) -> int:
    failed = 0
    with open(options.data_dir / "catalog.csv", newline="") as file:
        catalog = [r for r in csv.DictReader(file) if r["name"] in (options.tables or r["name"])]
    for known in catalog:
        frame = pd.read_parquet(options.data_dir / f"{known['name']}.parquet")
        started = time.perf_counter()
        found = audit(frame.drop(columns="target"), frame["target"])
        seconds = time.perf_counter() - started
        problems = missed(known, frame, found) + (["too slow"] if seconds > SECONDS else [])
        failed += bool(problems)
        ap = found.model.average_precision if found.model else None
        figure = f"AP {ap.value:.3f} [{ap.low:.3f}, {ap.high:.3f}]" if ap else "no model"
        size = f"{found.minority.rows} rare rows"
        print(f"{known['name']}: {seconds:.1f} s, {size}, {figure}, {found.counts}")
        for code in sorted({f.code for f in found.findings}):
            columns = [f.column for f in found.findings if f.code == code and f.column]
            print(f"    {code}{': ' if columns else ''}{', '.join(columns)}")
        print(f"    missed: {'; '.join(problems) or 'nothing'}", flush=True)
    return failed


def main() -> None:
    asked = parser(__doc__)
    parts = {"null": null, "tables": tables, "augment": augmented, "audit": audits}
    asked.add_argument("part", choices=parts)
    asked.add_argument("--tables", nargs="+")
    asked.add_argument("--runs", type=int, default=100, help="of null, of each kind")
    asked.add_argument("--scores-alone", action="store_true", help="null without `compare`")
    asked.add_argument("--budget", type=float, help="seconds")
    asked.add_argument("--seeds", nargs="+", type=int, default=[0])
    asked.add_argument("--sweep", nargs="+", type=float, help="rates, or rows, of the class")
    asked.add_argument("--strategies", nargs="+", default=["default"])
    asked.add_argument("--estimator", default="hgb")
    asked.add_argument("--folds", type=int, default=5)
    asked.add_argument("--repeats", type=int)
    asked.add_argument("--synthesizers", nargs="+", default=["bootstrap", "tvae", "ctgan"])
    asked.add_argument("--out", type=Path, help="of tables; such as evaluation/compare.json")
    options = asked.parse_args()
    sys.exit(bool(parts[options.part](options)))


if __name__ == "__main__":
    main()
