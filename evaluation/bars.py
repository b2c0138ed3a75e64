"""Where do rows of `SequentialTrees`, as it is by default, stand on their bars?

    python evaluation/bars.py whole --data-dir DIR --seeds 5
    python evaluation/bars.py tstr --data-dir DIR
    python evaluation/bars.py evaluate --data-dir DIR --seeds 5
    python evaluation/bars.py evaluate --data-dir DIR --rows 5x60,5x100,10x100
    python evaluation/bars.py rare --data-dir DIR --rows trees,tabflow,bootstrap,real
        --sizes 10,30,100,200,300,1000,3000
    python evaluation/bars.py page

`whole`: Adult (the official split), Magic and Default (two random halves; `default_credit` with
all columns as numbers, `default_typed` with SEX, EDUCATION, MARRIAGE and PAY_0 to PAY_6 as
categories, as published figures have them); all classes are learned,
as many rows made as learned. Published figures (`published.py`: SDMetrics with XGBoost; errors of
shape and trend in percent), the battery (`synthgen.metrics.battery`) against held-out rows, and
the AUC on held-out rows of XGBoost (100 trees, 6 deep) and of logistic regression that learn from
these rows. Three facts of cells, each the largest difference over columns, in shares of rows:
decimals (how many a number is written with), equal cells of two columns, values that occur more
than once among as many rows. Rows:

- trees, or any other synthesizer: the default of the product;
- 5x60: 5 trees with leaves of at least 60 rows;
- real: the held-out rows in the synthetic rows' place, against the training rows; the AUCs are
  those of the training rows themselves;
- independent: the training rows, each column shuffled by itself.

`tstr`: on the same tables, the AUC on held-out rows of XGBoost whose parameters are searched for as
publications do (`published.py`), and of an MLP (a layer of 100, early stopping).

`evaluate`: `synthgen.evaluate` on Adult's >50K, as many rows made as there are, against the
official test.

`rare`: 300 rows of the smallest class of each table of the catalog, or `--sizes`, and 2,100 others,
as in transfer.py, of the tables that have so many: the published score to held-out rows of the
class, the worst attack's excess, the rows nearer to train, the average precision of boosting with
these rows in the place of the class's own, as a share of the real rows' (`scope.py`), seconds of
the fit; runs under another machine load are comparable in CPU seconds only.

Each result is one line of bars.jsonl, written as soon as it is there; what the file holds is not
measured again. A line says of which commit of `synthgen` it is, and the machine's load.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import published
from battery import halves, measured, plain
from fidelity import independent, nearer, prepared
from scope import figures as replaced
from scope import split as split_rare

from synthgen.encoding.matrix import Matrix
from synthgen.metrics.arithmetic import Arithmetic, last_digits
from synthgen.metrics.evaluate import evaluate
from synthgen.metrics.facts import parted
from synthgen.metrics.privacy import privacy
from synthgen.synthesizers.base import Synthesizer
from synthgen.synthesizers.lookup import resolve
from synthgen.synthesizers.trees import SequentialTrees
from synthgen.tables.schema import Schema
from synthgen.tables.table import Table

HERE = Path(__file__).parent
TABLES = ("adult", "magic", "default_credit", "default_typed")
TYPED = ("SEX", "EDUCATION", "MARRIAGE", *(f"PAY_{month}" for month in (0, 2, 3, 4, 5, 6)))
RARE_ROWS = 300
Line = dict[str, Any]


# --- whole tables ---------------------------------------------------------------------------------


def parts(folder: Path, name: str, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and held-out rows, in random order."""
    if name == "default_typed":
        of_numbers = halves(folder, "default_credit", seed)
        train, held = (frame.astype(dict.fromkeys(TYPED, str)) for frame in of_numbers)
        return train, held
    if name != "adult":
        return halves(folder, name, seed)
    train, held = (pd.read_parquet(folder / f"adult_{part}.parquet") for part in ("train", "test"))
    train, held = (f.sample(frac=1, random_state=seed, ignore_index=True) for f in (train, held))
    return train, held


def named(kind: str) -> Synthesizer:
    """A synthesizer by its name; 5x60: 5 trees with leaves of at least 60 rows."""
    trees, by, leaf = kind.partition("x")
    if by and trees.isdigit() and leaf.isdigit():
        return SequentialTrees(trees=int(trees), min_leaf=int(leaf))
    return resolve(kind)


def made_by(kind: str, train: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, Line]:
    wall, cpu = time.perf_counter(), time.process_time()
    X, y = train.drop(columns="target"), train["target"]
    model = named(kind).set_params(classes=sorted(y.unique()), random_state=seed)
    made = model.fit(X, y).sample(len(train), random_state=seed)[list(train)]
    return made, {
        "seconds": round(time.perf_counter() - wall, 1),
        "cpu seconds": round(time.process_time() - cpu, 1),
    }


def taught(made: pd.DataFrame, test: pd.DataFrame, kind: str) -> float:
    """AUC on held-out rows of logistic regression or an "mlp" that learns the made rows.

    Numbers are standardised, missing ones at the median and marked.
    """
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    made, test = prepared(made, test)
    positive = test["target"].cat.categories[-1]
    of_levels = make_column_selector(dtype_include="category")
    of_numbers = make_column_selector(dtype_exclude="category")
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    network = MLPClassifier(early_stopping=True, random_state=0)
    model = make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), of_levels), (numbers, of_numbers)
        ),
        network if kind == "mlp" else LogisticRegression(max_iter=1_000),
    )
    model.fit(made.drop(columns="target"), made["target"] == positive)
    told = model.predict_proba(test.drop(columns="target"))[:, 1]
    return float(roc_auc_score(test["target"] == positive, told))


def largest(gaps: np.ndarray, names: list[str]) -> tuple[float, str]:
    """The largest difference, and where it is."""
    if not len(gaps):
        return 0.0, ""
    return round(float(gaps.max()), 4), names[int(gaps.argmax())]


def facts_of_cells(made: pd.DataFrame, held: pd.DataFrame) -> Line:
    """The three facts of cells: the largest difference between equal numbers of rows."""
    rows = min(len(made), len(held))
    frames = [frame.iloc[:rows].reset_index(drop=True) for frame in (made, held)]
    schema = Schema.infer(pd.concat(frames, ignore_index=True), target="target")
    tables = [Table(frame, schema) for frame in frames]
    matrix = Matrix.fitted_on(tables[1], with_target=True)
    arithmetic = Arithmetic.of(matrix)
    both = [matrix.cells(table) for table in tables]
    names, numbers = matrix.names, np.flatnonzero(~matrix.is_level)
    digits = np.vstack([last_digits(cells[:, numbers]) for cells in both])
    repeats = [np.nanmean(arithmetic.counts(cells) > 1, axis=0) for cells in both]
    equal = [arithmetic.equal(cells).mean(axis=0) for cells in both]
    pairs = [f"{names[i]} = {names[j]}" for i, j in arithmetic.equalities]
    of_digits = parted(digits, np.repeat([False, True], rows))[0]
    return {
        "decimals": largest(of_digits, [names[j] for j in numbers]),
        "equal cells": largest(np.abs(equal[0] - equal[1]), pairs),
        "repeats": largest(np.abs(repeats[0] - repeats[1]), [names[j] for j in arithmetic.columns]),
    }


def rows_of(kind: str, train: pd.DataFrame, held: pd.DataFrame, seed: int) -> Any:
    """Rows, those that teach a classifier (of real rows, the training rows), and the cost."""
    if kind == "real":
        return held, train, {}
    if kind == "independent":
        made = independent(train, seed)
        return made, made, {}
    made, cost = made_by(kind, train, seed)
    return made, made, cost


def searched(options: argparse.Namespace, line: Line) -> Line:
    train, held = parts(options.data_dir, line["table"], line["seed"])
    _, teacher, _ = rows_of(line["kind"], train, held, line["seed"])
    return {
        "xgboost": round(published.utility(teacher, held, fixed=False), 4),
        "mlp": round(taught(teacher, held, "mlp"), 4),
    }


def whole(options: argparse.Namespace, line: Line) -> Line:
    seed, name, kind = line["seed"], line["table"], line["kind"]
    train, held = parts(options.data_dir, name, seed)
    made, teacher, cost = rows_of(kind, train, held, seed)
    shape, trend = published.quality(train, made)
    found = cost | {
        "rows": len(train),
        "held rows": len(held),
        "shape": round(shape, 2),
        "trend": round(trend, 2),
        "c2st train": round(published.detection(train, made), 3),
        "tstr xgboost": round(published.utility(teacher, held, fixed=True), 4),
        "tstr logistic": round(taught(teacher, held, "logistic"), 4),
    }
    if kind != "real":
        found["c2st test"] = round(published.detection(held, made), 3)
        found["nearer"] = round(nearer(made, train, held), 3)
    found |= facts_of_cells(train if kind == "real" else made, held)
    if kind not in ("real", "independent"):
        judged = measured(train, made, held, real=False, seed=seed, xgb=False)
        found["battery"] = plain(judged)
    return found


# --- a class --------------------------------------------------------------------------------------


def evaluated(options: argparse.Namespace, line: Line) -> Line:
    train, test = (
        pd.read_parquet(options.data_dir / f"adult_{part}.parquet") for part in ("train", "test")
    )
    seed, rare, wall = line["seed"], ">50K", time.perf_counter()
    model = named(line["kind"]).set_params(random_state=seed)
    model.fit(train.drop(columns="target"), train["target"])
    made = model.sample(int((train["target"] == rare).sum()), label=rare, random_state=seed)
    fitted = time.perf_counter()
    report = evaluate(train, made, holdout=test, target="target", label=rare, random_state=seed)
    wanted = (
        "fidelity.battery",
        "utility.replace.ap_ratio",
        "privacy.nearer_to_train",
        "privacy.mia_excess",
        "privacy.near_copies",
    )
    scores = {}
    for wished in wanted:
        score = report.score(wished)
        between = None if score.interval is None else [round(v, 4) for v in score.interval]
        scores[wished] = [round(score.value, 4), between, score.reference]
    return {
        "seconds": round(fitted - wall, 1),
        "seconds to evaluate": round(time.perf_counter() - fitted, 1),
        "verdicts": {v.part: v.outcome for v in report.verdicts},
        "said": {v.part: v.sentence for v in report.verdicts},
        "scores": scores,
    }


def rare_class(options: argparse.Namespace, line: Line) -> Line | None:
    """The figures; None: the table has too few rows of the class."""
    seed, name, kind, size = (line[key] for key in ("seed", "table", "kind", "class rows"))
    label = catalog(options.data_dir)[name]
    found = split_rare(options.data_dir / f"{name}.parquet", label, size, seed)
    if found is None:
        return None
    train, test = found
    rare, fresh = (
        frame[frame["target"] == label].drop(columns="target").reset_index(drop=True)
        for frame in (train, test)
    )
    cost: Line = {}
    made = rare
    with_target = train[train["target"] == label]
    majority = train[train["target"] != label]
    kept = replaced(train, majority, with_target, test, label)["ap"]
    if kind != "real":
        wall, cpu = time.perf_counter(), time.process_time()
        model = named(kind).set_params(classes=[label], random_state=seed)
        model.fit(train.drop(columns="target"), train["target"])
        cost["fit seconds"] = round(time.perf_counter() - wall, 1)
        cost["fit cpu seconds"] = round(time.process_time() - cpu, 1)
        made = model.sample(max(size, len(fresh)), label=label, random_state=seed)
        new = made[list(train)].iloc[:size]
        kept = replaced(train, majority, new, test, label)["ap"] / kept
        cost["ap kept"] = round(kept, 3)
        made = made.drop(columns="target")
    score = published.detection(fresh, made)
    frames = [rare, made.iloc[:size].reset_index(drop=True), fresh]
    schema = Schema.infer(pd.concat(frames, ignore_index=True))
    tables = [Table(frame[list(rare)], schema) for frame in frames]
    part = privacy(*tables, group=label, random_state=seed, device="cpu")
    of = {s.name: s for s in part.scores}
    excess = of["privacy.mia_excess"]
    return cost | {
        "held rows": len(fresh),
        "c2st": round(score, 3),
        "excess": round(excess.value, 4),
        "excess interval": None
        if excess.interval is None
        else [round(float(v), 3) for v in excess.interval],
        "nearer": round(of["privacy.nearer_to_train"].value, 4),
    }


def catalog(folder: Path) -> dict[str, str]:
    """The smallest class of each table; the two parts of Adult are one table."""
    listed = pd.read_csv(folder / "catalog.csv", dtype=str)
    labels = dict(zip(listed["name"], listed["minority_label"], strict=True))
    del labels["adult_test"]
    return labels


# --- lines and the page ---------------------------------------------------------------------------


def commit() -> str:
    """The last commit that changed `synthgen`."""
    asked = ["git", "-C", str(HERE), "log", "-1", "--format=%h", "--", "../synthgen"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


def jobs(options: argparse.Namespace) -> Iterator[Line]:
    """What to measure: the bar, seed, table and kind of rows; of a class, its number of rows."""
    usual = {"whole": TABLES, "tstr": TABLES, "evaluate": ("adult",)}
    names = usual[options.bar] if options.bar in usual else tuple(catalog(options.data_dir))
    names = options.tables.split(",") if options.tables else names
    kinds = ("trees", "real", "independent") if options.bar in ("whole", "tstr") else ("trees",)
    kinds = options.rows.split(",") if options.rows else kinds
    sizes = options.sizes.split(",") if options.bar == "rare" else [0]
    for seed, size, name, kind in product(range(options.seeds), sizes, names, kinds):
        line = {"bar": options.bar, "seed": seed, "table": name, "kind": kind}
        yield line | ({"class rows": int(size)} if size else {})


def key(line: Line) -> tuple[Any, ...]:
    """What tells one measurement from another; the first ones of a class were of 300 rows."""
    size = line.get("class rows", RARE_ROWS) if line["bar"] == "rare" else 0
    return line["bar"], line["seed"], line["table"], line["kind"], size


def over_seeds(values: list[float]) -> str:
    """Mean and 95 % t-interval over seeds; of two seeds both values."""
    from scipy.stats import t

    mean, n = float(np.mean(values)), len(values)
    digits = 1 if abs(mean) >= 20 else 3
    if n < 3:
        return ", ".join(f"{value:.{digits}f}" for value in values)
    half = float(t.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n))
    return f"{mean:.{digits}f} [{mean - half:.{digits}f}, {mean + half:.{digits}f}]"


def of_class(score: list[Any]) -> str:
    """A score with its interval and that of real rows."""
    value, between, real = score
    text = f"{value:.3f}"
    text += "" if between is None else f" [{between[0]:.3f}, {between[1]:.3f}]"
    return text if real is None else f"{text}, real {real:.3f}"


def as_before(scores: dict[str, list[Any]]) -> str:
    """Verdict on fidelity by the two-sample tests alone: both intervals end at most 0.05 below real
    rows' own score (the rule of commit c9a74c3, without its widened intervals).
    """
    tests = [scores[f"fidelity.c2st_boosting{which}"] for which in ("", "_holdout")]
    return "passes" if all(test[1][1] >= test[2] - 0.05 for test in tests) else "does not pass"


def by_table(runs: list[Line], name: str) -> dict[str, float]:
    """A figure of each table, its mean over splits; figures that could not be measured are out."""
    found: dict[str, list[float]] = {}
    for r in runs:
        if r.get(name) is not None and r[name] == r[name]:
            found.setdefault(r["table"], []).append(r[name])
    return {table: float(np.mean(values)) for table, values in found.items()}


def ladder(rare: list[Line]) -> list[str]:
    """Classes by their number of rows: each kind of rows on the tables that all kinds have."""
    figures = ("c2st", "ap kept", "excess", "nearer", "fit cpu seconds")
    out = ["", "By rows of the class", "", f"| rows | tables | kind | {' | '.join(figures)} |"]
    out.append("|" + "---|" * (len(figures) + 3))
    for size in sorted({key(r)[-1] for r in rare}):
        some = [r for r in rare if key(r)[-1] == size]
        kinds = sorted({r["kind"] for r in some})
        of = {kind: [r for r in some if r["kind"] == kind] for kind in kinds}
        shared = set.intersection(*({r["table"] for r in runs} for runs in of.values()))
        values = {(k, f): by_table(of[k], f) for k in kinds for f in figures}
        for kind in kinds:
            means = []
            for figure in figures:
                told = [v for name, v in values[kind, figure].items() if name in shared]
                means.append(f"{np.mean(told):.3f}" if told else "")
            out.append(f"| {size:,} | {len(shared)} | {kind} | {' | '.join(means)} |")
        if {"trees", "tabflow"} <= set(kinds):
            cells = []
            for figure in figures:
                a, b = (values[kind, figure] for kind in ("trees", "tabflow"))
                apart = [a[name] - b[name] for name in a if name in b]
                cells.append(over_seeds(apart) if apart else "")
            out.append(f"| {size:,} | | trees − tabflow | {' | '.join(cells)} |")
    return out


def page(lines: list[Line]) -> str:
    """All figures as Markdown, means over seeds."""
    out: list[str] = []

    def table(title: str, figures: dict[str, Any], some: list[Line]) -> None:
        if not some:
            return
        out.extend(["", title, "", f"| table | rows | seeds | {' | '.join(figures)} |"])
        out.append("|" + "---|" * (len(figures) + 3))
        for key in dict.fromkeys((r["table"], r["kind"]) for r in some):
            runs = [r for r in some if (r["table"], r["kind"]) == key]
            cells = []
            for get in figures.values():
                values = [v for r in runs if (v := get(r)) is not None]
                cells.append(over_seeds(values) if values else "")
            out.append(f"| {key[0]} | {key[1]} | {len(runs)} | {' | '.join(cells)} |")

    def field(name: str) -> Any:
        return lambda r: r.get(name)

    tables = [r for r in lines if r["bar"] == "whole"]
    real = {(r["table"], r["seed"]): r for r in tables if r["kind"] == "real"}

    def kept(name: str) -> Any:
        def share(r: Line) -> float | None:
            # Adult's split is always the same.
            other = real.get((r["table"], 0 if r["table"] == "adult" else r["seed"]))
            return None if other is None else 100 * r[name] / other[name]

        return share

    names = ("c2st train", "c2st test", "shape", "trend", "nearer", "seconds", "cpu seconds")
    figures = {name: field(name) for name in names}
    figures["TSTR of real's %, XGBoost"] = kept("tstr xgboost")
    figures["logistic"] = kept("tstr logistic")
    table("Published figures, seconds", figures, tables)
    judged = [r for r in tables if "battery" in r]
    names = ("boosting", "arithmetic", "mlp", "neighbours")
    figures = {"minimum": lambda r: r["battery"]["minimum"]}
    figures |= {name: lambda r, n=name: r["battery"][n]["value"] for name in names}
    table("Battery, relative to real rows", figures, judged)
    names = ("decimals", "equal cells", "repeats")
    table("Facts of cells", {n: lambda r, n=n: r[n][0] for n in names}, tables)
    names = ("c2st", "excess", "nearer", "ap kept", "fit seconds", "fit cpu seconds")
    rare = [r for r in lines if r["bar"] == "rare"]
    for size in sorted({key(r)[-1] for r in rare}):
        some = [r for r in rare if key(r)[-1] == size]
        table(f"A class of {size:,} rows", {n: field(n) for n in names}, some)
    out += ladder(rare) if rare else []
    judged = [r for r in lines if r["bar"] == "evaluate"]
    if judged:
        names = [name.partition(".")[2] for name in judged[0]["scores"]]
        head = ["rows", "seed", *judged[0]["verdicts"], "as in c9a74c3", *names]
        out.extend(["", "Adult's >50K", "", f"| {' | '.join(head)} |", "|" + "---|" * len(head)])
    for r in judged:
        cells = [r["kind"], str(r["seed"]), *r["verdicts"].values(), as_before(r["scores"])]
        cells += [of_class(score) for score in r["scores"].values()]
        out.append(f"| {' | '.join(cells)} |")
    return "\n".join(out)


def main() -> None:
    parser = argparse.ArgumentParser(description="Where do the trees stand on their bars?")
    parser.add_argument("bar", choices=("whole", "tstr", "evaluate", "rare", "page"))
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--tables")
    parser.add_argument("--rows", help="real, independent, a synthesizer, or 5x60")
    parser.add_argument("--sizes", default=str(RARE_ROWS), help="rows of a class, such as 30,300")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".jsonl"))
    options = parser.parse_args()
    lines: list[Line] = []
    if options.out.exists():
        lines = [json.loads(line) for line in options.out.read_text().splitlines()]
    if options.bar == "page":
        print(page(lines))
        return
    measures = {"whole": whole, "tstr": searched, "evaluate": evaluated, "rare": rare_class}
    measure = measures[options.bar]
    seen = {key(line) for line in lines}
    for line in jobs(options):
        if key(line) in seen:
            continue
        start = time.perf_counter()
        found = measure(options, line)
        if found is None:
            continue
        line |= found
        line |= {"load": round(os.getloadavg()[0], 1), "commit": commit()}
        line["seconds in all"] = round(time.perf_counter() - start, 1)
        with options.out.open("a") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
        print(json.dumps(line, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
