"""Which learner finds a rare class best, and whether synthetic rows help it: judged on tables that
had no say.

    python evaluation/benchmark.py --data-dir DIR                run what benchmark.jsonl lacks
    python evaluation/benchmark.py --data-dir DIR --stage learners --sizes 10,30,100 --splits 2
    python evaluation/benchmark.py --data-dir DIR --budget 3600       stop after an hour
    python evaluation/benchmark.py --data-dir DIR --jobs 8            in processes; or --engine
    python evaluation/benchmark.py report                        benchmark.md, benchmark.json

A *cell* is a table, a number of rows of the class (10, 30, 100, 300 or all of its training part)
and a split: 70 % of the class and of up to 3,000 other rows to learn from, the rest to judge by.
Columns are inferred and everything is fitted on the training part. Average precision and log-loss
are at the prevalence of the training part. The class is that of the catalog, against all others;
rows without a class are left out; the two parts of adult are one table.

Stage ``learners``: every learner, every average of learners, the learner that inner folds choose,
and probabilities after recalibration on out-of-fold scores. Stage ``synthesis``: more rows of the
class (copies, SMOTE-NC, bootstrap, trees) or more weight for it, until it has 10 % or 30 % of the
rows of the others; ``appended``: each new row weighs 1; ``weighted``: together they weigh as much
as the real rows of the class. The origin ``weights`` is the control: the same weight without new
rows. Only if asked for: stage ``tabflow``, the same with rows of TabFlow, and stage ``peers``,
CatBoost and LightGBM with their defaults on imputed, one-hot encoded cells, without synthesis (with
``pip install catboost lightgbm``).

The report chooses on two thirds of the tables and judges on the third, in rotation. Intervals are
t-intervals over the means of tables.

With `--engine ray|dask[=ADDRESS]` cells run there; every worker must see DIR. A cell depends on
nothing but its key: processes and engines change the order of the lines and the seconds, no figure.

By which rule `compare` recommends a change is judged on *cases*: a cell whose scores on the inner
folds were kept, and a classifier that `compare` knows: what it gains by each remedy, foretold by
the inner folds and then judged on the held-out rows. `auto` in a fold is the set of members that is
best on the other folds. The rule is chosen on two thirds of the tables: of those that gain the
most, to .001, the one that recommends the fewest changes in the runs of compare_null.jsonl, in
which each remedy bears the name, and so the prior, of `auto` in turn. The prior of a case is fitted
without the tables of the judged third and without its own. How much wider the posterior of `auto`
must be than the t-test supposes is chosen in the same way.
"""

from __future__ import annotations

import argparse
import functools
import json
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import combinations, product
from pathlib import Path
from typing import Any, cast

import compare as of_null
import numpy as np
import pandas as pd
from common import HERE, fill, labels, load, markdown, parser, read, write
from joblib import delayed, effective_n_jobs
from rows import TABLES as CHOSEN_ON
from scipy.optimize import minimize
from scipy.stats import t as student
from sklearn.metrics import average_precision_score, log_loss

from synthgen import SequentialTrees, SmoothedBootstrap, TabFlow
from synthgen.comparison.builders import smote
from synthgen.comparison.ensemble import MEMBERS, PLAIN, small_boosting
from synthgen.comparison.parts import Part
from synthgen.comparison.recommendation import (
    ALONE,
    FIRST,
    LIKELY,
    PRIOR_FREEDOM,
    SURE,
    WIDER,
    Chances,
    Prior,
    chances_of,
    guessing,
    margin_of,
)
from synthgen.comparison.splits import group_ids, training_part
from synthgen.encoding.matrix import MAX_LEVELS, Matrix
from synthgen.errors import SynthgenError
from synthgen.model_selection.calibration import Calibrator
from synthgen.model_selection.estimators import Estimator
from synthgen.model_selection.folds import deal
from synthgen.model_selection.selection import CONFIDENCE, corrected
from synthgen.scale.engines import joblib_on
from synthgen.seeds import child_seed, seed_sequence
from synthgen.tables.table import Table
from synthgen.threads import results_of

RESULTS = HERE / "benchmark.jsonl"
SIZES = ("30", "10", "100", "300", "all")
FEW = ("10", "30", "100")
OTHERS, TRAIN = 3_000, 0.7
FOLDS = 5
ROUND = 8  # cells for each process
# Names in the files: "bagged" is the member that the product calls boosting.
LEARNERS: dict[str, Estimator] = {
    "boosting": PLAIN,
    "small": Estimator("small", small_boosting()),
    "bagged": MEMBERS["boosting"],
    "forest": MEMBERS["forest"],
    "extra_trees": MEMBERS["extra_trees"],
    "logistic": MEMBERS["logistic"],
}
PEERS: dict[str, tuple[str, dict[str, Any]]] = {
    "catboost": (
        "catboost:CatBoostClassifier",
        {"verbose": False, "thread_count": 1, "allow_writing_files": False},
    ),
    "lightgbm": ("lightgbm:LGBMClassifier", {"verbose": -1, "n_jobs": 1}),
}
JOINING = ("boosting", "bagged", "forest", "extra_trees", "logistic")  # averages of these
CHOSEN_FROM = ("boosting", "small", "forest", "extra_trees", "logistic")  # by inner folds
MEAN = ("bagged", "forest", "extra_trees")  # of the synthesis stage, in every cell the same
PRODUCT = (*MEAN, "logistic")  # what auto chooses from
# Tables that have thousands of rows of the class to learn from.
MANY = (
    "adult_train",
    "bank_marketing",
    "default_credit",
    "magic",
    "mpls_stops_search",
    "nycflights_cancelled",
)
ORIGINS = {
    "synthesis": ("weights", "copies", "bootstrap", "smote-nc", "trees"),
    "tabflow": ("tabflow",),
}


# --- a cell ---------------------------------------------------------------------------------------


class Cell:
    """The training part and the test rows of a table, a size and a split."""

    def __init__(self, frame: pd.DataFrame, label: str, size: str, split: int) -> None:
        frame = frame.sample(frac=1, random_state=split).reset_index(drop=True)
        is_rare = (frame["target"].astype(str) == label).to_numpy()
        rare, others = np.flatnonzero(is_rare), np.flatnonzero(~is_rare)[:OTHERS]
        cut, cut_others = int(TRAIN * len(rare)), int(TRAIN * len(others))
        rows = cut if size == "all" else int(size)
        self.enough = rows <= cut and cut >= 10
        if not self.enough:
            return
        train = frame.iloc[np.concatenate([rare[:rows], others[:cut_others]])]
        test = frame.iloc[np.concatenate([rare[cut:], others[cut_others:]])]
        self.truth = np.repeat([True, False], [len(rare) - cut, len(others) - cut_others])
        share = rows / cut_others * (~self.truth).sum() / self.truth.sum()
        self.weight = np.where(self.truth, share, 1.0)
        y = np.repeat(["rare", "other"], [rows, cut_others])
        self.frame = train.drop(columns="target").reset_index(drop=True)
        table = Table.of_xy(self.frame, y)
        _, self.part = training_part(table, "rare")
        self.y = y
        self.test = self.part.known.cells(test.drop(columns="target"))
        self.seed = seed_sequence(split)

    def figures(self, p: np.ndarray) -> dict[str, float]:
        safe = np.clip(p, 1e-6, 1 - 1e-6)
        return {
            "ap": round(
                float(average_precision_score(self.truth, p, sample_weight=self.weight)), 5
            ),
            "log_loss": round(float(log_loss(self.truth, safe, sample_weight=self.weight)), 5),
        }


def probability(
    learner: str | Estimator,
    part: Part,
    test: np.ndarray,
    seed: np.random.SeedSequence,
    more: np.ndarray | None = None,
    weights: tuple[float, float] | None = None,
) -> np.ndarray:
    """Of the class, for the places of test rows; `weights` of each row of it, and of `more`."""
    coder = Matrix(part.known.is_level).fit(part.places)
    places, y = part.places, part.y
    if more is not None:
        places = np.vstack([places, more])
        y = np.concatenate([y, np.full(len(more), part.rare)])
    weight = None
    if weights is not None:
        weight = np.where(y == part.rare, weights[0], 1.0)
        weight[len(part) :] = weights[1]
    learner = LEARNERS[learner] if isinstance(learner, str) else learner
    model = learner.fit(coder.transform(places), coder.is_level_, y, seed, weight=weight)
    place = [*model.classes_].index(part.rare)
    return model.predict_proba(coder.transform(test))[:, place]


def averages(names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for count in range(1, len(names) + 1):
        yield from combinations(names, count)


def learners(cell: Cell) -> Iterator[dict[str, Any]]:
    """Every learner and average, what inner folds choose, and recalibrated probabilities."""
    part = cell.part
    is_rare = part.y == part.rare
    fold = deal(part.y, group_ids(part), FOLDS, np.random.default_rng(child_seed(cell.seed, 0)))
    outer, inner, seconds = {}, {}, {}
    for name in LEARNERS:
        started = time.perf_counter()
        outer[name] = probability(name, part, cell.test, child_seed(cell.seed, 1))
        seconds[name] = time.perf_counter() - started
        inner[name] = np.empty(len(part))
        for k in range(FOLDS):
            test = fold == k
            seed = child_seed(cell.seed, 2, k)
            inner[name][test] = probability(name, part.rows(~test), part.places[test], seed)

    def within(score: np.ndarray) -> list[float]:
        return [
            round(float(average_precision_score(is_rare[fold == k], score[fold == k])), 5)
            for k in range(FOLDS)
        ]

    for names in [("small",), *averages(JOINING)]:
        p, score = (np.mean([found[n] for n in names], axis=0) for found in (outer, inner))
        recalibrated = Calibrator().fit(is_rare, score).probability(p)
        folds = within(score)
        told: dict[str, Any] = {"inner_ap": round(float(np.mean(folds)), 5)}
        if len(names) == 1 or set(names) <= set(PRODUCT):  # for `cases_of`
            told["inner_folds"] = folds
        told["recalibrated"] = cell.figures(recalibrated)["log_loss"]
        if len(names) == 1:
            told["seconds"] = round(seconds[names[0]], 2)
        yield {"method": "+".join(names)} | cell.figures(p) | told
    best = max(CHOSEN_FROM, key=lambda n: float(np.mean(within(inner[n]))))
    recalibrated = Calibrator().fit(is_rare, inner[best]).probability(outer[best])
    told = {"chosen": best, "recalibrated": cell.figures(recalibrated)["log_loss"]}
    yield {"method": "inner folds choose"} | cell.figures(outer[best]) | told


def peers(cell: Cell) -> Iterator[dict[str, Any]]:
    """Learners of other packages."""
    for name, (path, settings) in PEERS.items():
        module, kind = path.split(":")
        learner = Estimator(name, getattr(import_module(module), kind)(**settings))
        started = time.perf_counter()
        found = cell.figures(probability(learner, cell.part, cell.test, child_seed(cell.seed, 1)))
        yield {"method": name} | found | {"seconds": round(time.perf_counter() - started, 2)}


def further(cell: Cell, origin: str, rows: int) -> np.ndarray:
    """Places of that many new rows of the class."""
    part, seed = cell.part, child_seed(cell.seed, 3)
    number = int(seed.generate_state(1)[0] >> 1)
    rare = part.places[part.y == part.rare]
    if origin == "copies":
        return rare[np.random.default_rng(seed).integers(len(rare), size=rows)]
    if origin == "smote-nc":
        return _smote(part, rows, number)
    kinds = {"bootstrap": SmoothedBootstrap, "trees": SequentialTrees, "tabflow": TabFlow}
    model = kinds[origin](classes=["rare"], random_state=number).fit(
        cell.frame, pd.Series(cell.y, name="y")
    )
    return part.known.cells(model.sample(rows, label="rare", random_state=number))


def _smote(part: Part, rows: int, seed: int) -> np.ndarray:
    coder = Matrix(part.known.is_level, filled=True).fit(part.places)
    goals = {part.rare: int(part.counts[part.rare]) + rows}
    made, _ = smote(part, coder, goals, seed).fit_resample(coder.transform(part.places), part.y)
    made = np.asarray(made)[len(part) :]
    is_level = part.known.is_level
    out, numbers = made[:, : len(is_level)].copy(), np.flatnonzero(~is_level)
    out[:, numbers] = out[:, numbers] * coder.spread_ + coder.middle_
    for flag, j in enumerate(coder.flagged_):
        out[made[:, len(is_level) + flag] > 0.5, numbers[j]] = np.nan
    for j in np.flatnonzero(is_level):
        rank = coder.known_[j]
        level = np.full(MAX_LEVELS + 1, np.nan)  # of each rank; none of a missing cell
        known = np.flatnonzero(rank < MAX_LEVELS)
        level[rank[known]] = known
        out[:, j] = level[made[:, j].round().astype(int)]
    return out


def synthesis(cell: Cell, amount: float, origins: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Every learner with more rows of the class, from each origin."""
    part = cell.part
    real, others = int(part.counts[part.rare]), len(part) - int(part.counts[part.rare])
    rows = round(amount * others) - real
    if rows <= 0:
        return
    for origin in origins:
        ways = {"appended": (1.0, 1.0), "weighted": (1.0, real / rows)}
        made = None
        if origin == "weights":
            ways = {"appended": (1 + rows / real, 1.0), "weighted": (2.0, 1.0)}
        else:
            try:
                made = further(cell, origin, rows)
            except Exception as error:  # some samplers cannot take some tables
                yield {"origin": origin, "error": f"{type(error).__name__}: {error}"[:200]}
                continue
        for way, weights in ways.items():
            plain = None if way == "appended" and origin != "weights" else weights
            seed = child_seed(cell.seed, 1)
            p = {n: probability(n, part, cell.test, seed, made, plain) for n in LEARNERS}
            p["mean"] = np.mean([p[n] for n in MEAN], axis=0)
            yield {"origin": origin, "way": way, "ap": {n: cell.figures(p[n])["ap"] for n in p}}


# --- the run --------------------------------------------------------------------------------------


def read_classed(folder: Path, name: str) -> pd.DataFrame:
    """A table, both parts of Adult together; rows without a class are left out."""
    both = name == "adult_train" and (folder / "adult_test.parquet").exists()
    frame = read(folder, "adult" if both else name)
    return frame[frame["target"].notna()].reset_index(drop=True)


def run_cell(
    folder: Path, name: str, label: str, size: str, split: int, stage: str, amount: float
) -> list[dict[str, Any]]:
    base = {"table": name, "size": size, "split": split, "stage": stage}
    if stage in ORIGINS:
        base["amount"] = amount
    cell = Cell(read_classed(folder, name), label, size, split)
    if not cell.enough:
        return [base | {"method": "none", "error": "too few rows of the class"}]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if stage in ORIGINS:
                found = list(synthesis(cell, amount, ORIGINS[stage]))
            else:
                found = list({"learners": learners, "peers": peers}[stage](cell))
        except SynthgenError as error:
            found = [{"method": "none", "error": str(error)[:200]}]
    return [base | one for one in found or [{"method": "none", "error": "no row is wanted"}]]


def run(options: argparse.Namespace) -> None:
    started = time.perf_counter()
    known = labels(options.data_dir)
    names = options.tables.split(",") if options.tables else list(known)
    done = {
        (line["table"], line["size"], line["split"], line["stage"], line.get("amount", 0.0))
        for line in load(options.out)
    }
    keys = [
        (name, size, split, stage, amount)
        for split in range(options.splits)
        for stage in options.stage.split(",")
        for amount in (map(float, options.amounts.split(",")) if stage in ORIGINS else [0.0])
        for size in options.sizes.split(",")
        for name in names
    ]
    left = [key for key in keys if key not in done]
    print(f"{len(left)} of {len(keys)} cells are left")

    def wanted(some: list[tuple[Any, ...]]) -> Iterator[Any]:
        for name, *rest in some:
            if options.budget and time.perf_counter() - started > options.budget:
                return
            yield delayed(run_cell)(folder, name, known[name], *rest)

    folder, ended = options.data_dir.resolve(), 0
    with joblib_on(options.engine, options.jobs):
        # Rounds, because Ray gives its results only when all are there.
        size = ROUND * effective_n_jobs(options.jobs)
        for first in range(0, len(left), size):
            some = wanted(left[first : first + size])
            for lines in results_of(some, options.jobs, ordered=False):
                with options.out.open("a") as file:
                    file.writelines(json.dumps(line) + "\n" for line in lines)
                ended += 1
                cell = " ".join(str(lines[0][k]) for k in ("table", "size", "split", "stage"))
                spent = time.perf_counter() - started
                print(f"{ended}/{len(left)} {cell} {spent:.0f} s", flush=True)
    if ended < len(left):
        print(f"the budget is spent: {len(left) - ended} cells are left")


# --- the report -----------------------------------------------------------------------------------

BOOSTING, INNER = "boosting", "inner folds choose"
AUTO = "auto: best set of four, out of fold"
Found = dict[str, dict[str, float]]  # of a cell: the figures of each method


def joined(names: Iterable[str]) -> str:
    """The name of an average in the file."""
    return "+".join(name for name in JOINING if name in names)


def best_set(found: Found, names: Sequence[str], least: int = 1) -> str:
    """The average that is best on inner folds; of equal ones the largest."""
    sets = [joined(some) for some in averages(names) if len(some) >= least]
    return max(reversed(sets), key=lambda name: found[name]["inner_ap"])


def near_best(found: Found, names: Sequence[str], share: float) -> str:
    """The average of those that reach this share of the best one on inner folds."""
    most = max(found[name]["inner_ap"] for name in names)
    return joined([name for name in names if found[name]["inner_ap"] >= share * most])


SETS: dict[str, Callable[[Found], str]] = {
    "mean of three": lambda found: joined(MEAN),
    "mean of four (with logistic regression)": lambda found: joined(PRODUCT),
    "mean of all five": lambda found: joined(JOINING),
    AUTO: lambda found: best_set(found, PRODUCT),
    "best set of two or more of four": lambda found: best_set(found, PRODUCT, 2),
    "best set of five": lambda found: best_set(found, JOINING),
    "those of four with 0.7 of the best": lambda found: near_best(found, PRODUCT, 0.7),
    "those of four with 0.8 of the best": lambda found: near_best(found, PRODUCT, 0.8),
    "those of four with 0.9 of the best": lambda found: near_best(found, PRODUCT, 0.9),
}


def cells_of(lines: Sequence[dict[str, Any]]) -> dict[tuple[str, str, int], Found]:
    """The figures of each cell, with those of the rules."""
    cells: dict[tuple[str, str, int], Found] = {}
    for line in lines:
        if line["stage"] in ("learners", "peers") and "error" not in line:
            key = line["table"], line["size"], line["split"]
            cells.setdefault(key, {})[line["method"]] = line
    cells = {key: found for key, found in cells.items() if BOOSTING in found}
    for found in cells.values():
        found |= {name: found[rule(found)] for name, rule in SETS.items()}
    return cells


def table_means(
    cells: dict[tuple[str, str, int], Found],
    one: str,
    other: str,
    sizes: Sequence[str],
    figure: str = "ap",
    other_figure: str = "",
) -> pd.Series:
    """`one` less `other`, mean over the cells of each table."""
    rows = [
        (table, found[one][figure] - found[other][other_figure or figure])
        for (table, size, _), found in cells.items()
        if size in sizes and one in found and other in found
    ]
    frame = pd.DataFrame(rows, columns=["table", "gain"])
    return frame.groupby("table")["gain"].mean()


def interval(values: pd.Series) -> dict[str, Any]:
    """Mean over tables, its t-interval, and how many tables gain."""
    n = len(values)
    if not n:
        return {"mean": None, "low": None, "high": None, "tables": 0, "up": 0}
    mean = float(values.mean())
    half = float("nan")
    if n > 1:
        half = float(student.ppf(0.975, n - 1) * values.std(ddof=1) / n**0.5)
    return {
        "mean": round(mean, 4),
        "low": round(mean - half, 4),
        "high": round(mean + half, 4),
        "tables": n,
        "up": int((values > 0).sum()),
    }


def told(found: dict[str, Any]) -> str:
    if not found["tables"]:
        return ""
    return (
        f"{found['mean']:+.3f} [{found['low']:+.3f}, {found['high']:+.3f}], "
        f"{found['up']} of {found['tables']} up"
    )


def nested(cells: dict[tuple[str, str, int], Found]) -> dict[str, Any]:
    """The rule that is best on two thirds of the tables, judged on the third, in rotation."""
    gains = {rule: table_means(cells, rule, BOOSTING, FEW) for rule in SETS}
    names = sorted(next(iter(gains.values())).index)
    judged, beside, chosen = [], [], []
    for third in range(3):
        held = names[third::3]
        rest = [name for name in names if name not in held]
        best = max(gains, key=lambda rule: float(gains[rule][rest].mean()))
        chosen.append(best)
        judged.append(gains[best][held])
        beside.append(table_means(cells, best, INNER, FEW)[held])
    return {
        "chosen": chosen,
        "less boosting": interval(pd.concat(judged)),
        "less the learner that inner folds choose": interval(pd.concat(beside)),
    }


def synthesis_gains(lines: Sequence[dict[str, Any]], cells: Any) -> list[dict[str, Any]]:
    """Each origin, way and amount less nothing and less its control, by learner.

    TabFlow is judged on the tables on which its defaults were not chosen.
    """
    rows = []
    for line in lines:
        if line.get("origin") == "tabflow" and line["table"] in CHOSEN_ON:
            continue
        if line["stage"] not in ORIGINS or "error" in line or line["size"] not in FEW:
            continue
        nothing = cells.get((line["table"], line["size"], line["split"]))
        if nothing is None:
            continue
        for learner, ap in line["ap"].items():
            name = "mean of three" if learner == "mean" else learner
            row = {k: line[k] for k in ("table", "size", "split", "origin", "way", "amount")}
            rows.append(row | {"learner": learner, "gain": ap - nothing[name]["ap"]})
    if not rows:
        return []
    frame = pd.DataFrame(rows)
    control = frame[frame["origin"] == "weights"].drop(columns="origin")
    key = ["table", "size", "split", "way", "amount", "learner"]
    frame = frame.merge(control.rename(columns={"gain": "control"}), on=key, how="left")
    found = []
    groups = frame.groupby(["origin", "way", "amount", "learner"])
    for (origin, way, amount, learner), part in groups:
        means = part.groupby("table")["gain"].mean()
        over = (part["gain"] - part["control"]).groupby(part["table"]).mean().dropna()
        row = {"origin": origin, "way": way, "amount": amount, "learner": learner}
        found.append(row | {"gain": interval(means), "beyond control": interval(over)})
    return found


BAR_MEAN, BAR_LOW = -0.003, -0.01  # of what `augment` adds by default, less nothing


def bars(gains: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows up to 30 % with weights, as `augment` adds them by default: is a loss ruled out?"""
    found = []
    for row in gains:
        if (row["way"], row["amount"]) == ("weighted", 0.3) and row["origin"] != "weights":
            gain = row["gain"]
            holds = bool(gain["mean"] >= BAR_MEAN and gain["low"] >= BAR_LOW)
            found.append({k: row[k] for k in ("origin", "learner", "gain")} | {"holds": holds})
    return found


AVERAGES = ("mean of three", "mean of four (with logistic regression)")


def interval_text(found: dict[str, Any]) -> str:
    return f"{found['mean']:+.3f} [{found['low']:+.3f}, {found['high']:+.3f}]"


GROUPS = {"10 to 100": FEW, "10": ("10",), "30": ("30",), "100": ("100",)} | {
    "300": ("300",),
    "all": ("all",),
}


def report(path: Path) -> None:
    """Write benchmark.md and benchmark.json from the results."""
    lines = load(path)
    cells = cells_of(lines)
    singles = [name for name in LEARNERS if name != BOOSTING]
    methods = [*singles, *PEERS, INNER, *SETS]
    figures: dict[str, Any] = {"less boosting": {}, "auto less": {}, "log-loss": {}}
    for method in methods:
        figures["less boosting"][method] = {
            group: interval(table_means(cells, method, BOOSTING, sizes))
            for group, sizes in GROUPS.items()
        }
    for other in (BOOSTING, INNER, "forest", "mean of three", *PEERS):
        figures["auto less"][other] = {
            group: interval(table_means(cells, AUTO, other, sizes))
            for group, sizes in GROUPS.items()
        }
    for name, (one, figure) in {
        "auto, recalibrated": (AUTO, "recalibrated"),
        "auto, as averaged": (AUTO, "log_loss"),
        "boosting, recalibrated": (BOOSTING, "recalibrated"),
    }.items():
        figures["log-loss"][name] = {
            group: interval(table_means(cells, one, BOOSTING, sizes, figure, "log_loss"))
            for group, sizes in GROUPS.items()
        }
    figures["nested"] = nested(cells)
    best = figures["nested"]["chosen"][0]
    many = table_means(cells, best, BOOSTING, ("all",)).reindex(list(MANY)).dropna()
    figures["thousands of rows"] = interval(many)
    figures["synthesis"] = synthesis_gains(lines, cells)
    figures["bars"] = bars(figures["synthesis"])
    figures["compare"] = study(cells)
    done = pd.DataFrame([(size, split, table) for table, size, split in cells])
    counts = done.groupby([0, 1]).size()
    figures["cells"] = {
        "{} rows, split {}".format(*cast(Any, key)): int(n) for key, n in counts.items()
    }
    figures["synthesis cells"] = synthesis_cells(lines)
    write(HERE / "benchmark.json", figures)
    fill_page(figures)


def fill_page(figures: dict[str, Any]) -> None:
    """The figures in benchmark.md."""
    groups, chosen = list(GROUPS), figures["nested"]

    def table(part: dict[str, dict[str, Any]]) -> str:
        rows = [[name, *(told(found[g]) for g in groups)] for name, found in part.items()]
        return markdown(["", *(f"{g} rows" for g in groups)], rows)

    parts = {name: table(figures[name]) for name in ("auto less", "less boosting", "log-loss")}
    less = {name: found for name, found in chosen.items() if name != "chosen"}
    less["with thousands of rows of the class, less boosting"] = figures["thousands of rows"]
    said = [f"chosen in the three rotations: {'; '.join(chosen['chosen'])}"]
    said += [f"{name}: {told(found)}" for name, found in less.items()]
    parts["nested"] = "\n".join(f"- {line}" for line in said)
    rows = [
        [f["origin"], f["learner"], told(f["gain"]), "yes" if f["holds"] else "**no**"]
        for f in figures["bars"]
    ]
    parts["bars"] = markdown(["origin", "learner", "less nothing", "bar holds"], rows)
    rows = [
        [
            *(f[name] for name in ("origin", "way", "amount", "learner")),
            told(f["gain"]),
            told(f["beyond control"]) if f["origin"] != "weights" else "",
        ]
        for f in figures["synthesis"]
    ]
    head = ["origin", "way", "amount", "learner", "less nothing", "less weights alone"]
    parts["synthesis"] = markdown(head, rows)
    done = {"learners": figures["cells"], "synthesis": figures["synthesis cells"]}
    parts["run"] = "\n".join(
        f"- {stage}, {name}: {n} tables" for stage, of in done.items() for name, n in of.items()
    )
    fill(HERE / "benchmark.md", parts | section(figures["compare"]))


def synthesis_cells(lines: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Tables of each size, split and amount of the synthesis stages."""
    done = {
        (line["size"], line["split"], line["amount"], line["stage"], line["table"])
        for line in lines
        if line["stage"] in ORIGINS and "ap" in line
    }
    counts: dict[str, int] = {}
    for size, split, amount, stage, _ in sorted(done):
        name = f"{size} rows, up to {amount:.0%} of the others, split {split}, stage {stage}"
        counts[name] = counts.get(name, 0) + 1
    return counts


# --- by which rule `compare` recommends a change --------------------------------------------------

METRIC = "average_precision"
RATIO = 1 / (FOLDS - 1)
BINS = ((0.0, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 1.01))
WIDTHS = (1.0, 1.25, 1.5, 2.0)  # of the posterior of auto, in those of the t-test
# On ten further tables, with another protocol, the mean of three gained .017; here it gains .042 on
# average. Two collections with these means have this standard deviation.
COLLECTIONS = 0.018
# What each classifier of `compare` is here; of two, inner folds choose, as `compare` tunes.
CLASSIFIERS = {"hgb": ("boosting", "small"), "rf": ("forest",), "lr": ("logistic",)}
SIMPLEST = ("logistic", "forest", "extra_trees", "bagged", FIRST, *AVERAGES)  # remedies, in order


@dataclass(frozen=True, eq=False)
class Case:
    """A cell and a classifier: scores on inner folds, and what each remedy gained."""

    table: str
    classifier: str
    names: list[str]
    scores: np.ndarray  # (remedies, folds)
    nothing: np.ndarray  # (folds,)
    gains: np.ndarray  # (remedies,), judged
    elsewhere: np.ndarray  # (remedies,), mean of the table's other cells

    @property
    def margin(self) -> float:
        return margin_of(METRIC, float(self.nothing.mean()))

    def chances(self, prior: Prior | None = None) -> list[Chances]:
        priors = None if prior is None else {FIRST: prior}
        how: dict[str, Any] = {"ratio": RATIO, "margin": self.margin, "priors": priors}
        return chances_of(self.names, self.scores, self.nothing, **how)


@dataclass(frozen=True)
class Rule:
    """On what conditions `auto` may be recommended; the other remedies must be established.

    Attributes:
        prior: Whether it has its prior.
        sure: It must help with at least this probability.
        alone: And with at least this one by the scores alone; None: its own 95 % interval by the
            scores alone must be above 0.
    """

    prior: bool
    sure: float
    alone: float | None = None

    def __str__(self) -> str:
        if self.alone is None:
            return f"helps with {self.sure:g}, own interval above 0"
        alone = f", with {self.alone:g} without prior" if self.prior else ", no prior"
        return f"helps with {self.sure:g}{alone}"

    def picked(self, plain: list[Chances], known: list[Chances], margin: float) -> int | None:
        """Position of the recommended remedy: the simplest that gains about the most."""
        chances, able = known if self.prior else plain, []
        for n, (c, by_itself) in enumerate(zip(chances, plain, strict=True)):
            if c.strategy != FIRST:
                holds = c.established and c.helps >= SURE
            elif self.alone is None:
                holds = by_itself.interval[0] > 0 and c.helps >= self.sure
            else:
                holds = by_itself.helps >= self.alone and c.helps >= self.sure
            if holds:
                able.append(n)
        most = max((chances[n].gain for n in able), default=0.0)
        return next((n for n in able if chances[n].gain >= most - margin), None)


BEFORE = Rule(False, SURE)  # what `compare` did before there was a prior
STRICT = Rule(True, SURE, ALONE)  # what it did before changes were chosen by what they gain
USED = Rule(True, LIKELY, LIKELY)  # what it does
STEPS = (0.5, 0.6, 0.7, 0.8, 0.9)
RULES = [
    BEFORE,
    *(Rule(False, sure, sure) for sure in (*STEPS, 0.95)),
    *(Rule(True, *how) for how in product(STEPS, STEPS)),
]
RULE_NAMES = {str(rule) for rule in RULES}


def on_folds(found: Found, sets: Sequence[str]) -> np.ndarray:
    """The score on each fold of the one that is best on the other folds."""
    scores = np.array([found[name]["inner_folds"] for name in sets])
    rest = scores.sum(axis=1, keepdims=True) - scores
    return scores[rest.argmax(axis=0), np.arange(scores.shape[1])]


def best_inside(found: Found, names: Sequence[str]) -> str:
    return max(names, key=lambda name: found[name]["inner_ap"])


def gains_of(found: Found, classifier: str) -> dict[str, float]:
    nothing = found[best_inside(found, CLASSIFIERS[classifier])]["ap"]
    ap = {name: found[AUTO if name == FIRST else name]["ap"] for name in SIMPLEST}
    return {n: ap[n] - nothing for n in SIMPLEST if n not in CLASSIFIERS[classifier]}


Cells = dict[tuple[str, str, int], Found]


def cases_of(cells: Cells) -> list[Case]:
    out = []
    for key, found in cells.items():
        table, size, _ = key
        if size not in (*FEW, "300") or "inner_folds" not in found["boosting"]:
            continue
        sets = [joined(some) for some in averages(PRODUCT)]
        sets = [name for name in sets if "inner_folds" in found[name]]
        for classifier, own in CLASSIFIERS.items():
            gains = gains_of(found, classifier)
            others = [
                list(gains_of(other, classifier).values())
                for (name, rows, split), other in cells.items()
                if name == table and rows != "all" and (name, rows, split) != key
            ]
            scores = [on_folds(found, sets if name == FIRST else [name]) for name in gains]
            out.append(
                Case(
                    table,
                    classifier,
                    [*gains],
                    np.array(scores),
                    on_folds(found, own),
                    np.array([*gains.values()]),
                    np.mean(others, axis=0) if others else np.zeros(len(gains)),
                )
            )
    return out


class Priors:
    """The prior of `auto`, fitted to all cells but those of some tables."""

    def __init__(self, cells: Cells) -> None:
        self.gains = {
            classifier: [
                (table, gains_of(found, classifier)[FIRST])
                for (table, size, _), found in cells.items()
                if size != "all"
            ]
            for classifier in CLASSIFIERS
        }

    @functools.cache  # noqa: B019 - one object in the run
    def of(self, classifier: str, without: frozenset[str] = frozenset()) -> Prior:
        gains = [gain for table, gain in self.gains[classifier] if table not in without]
        _, location, scale = student.fit(gains, fdf=PRIOR_FREEDOM)
        return round(float(location), 3), round(float(np.hypot(scale, COLLECTIONS)), 3)


def predicted(cells: Cells, priors: Priors) -> dict[str, dict[str, float]]:
    """Mean log score of the gain of `auto` on tables that had no say, by what predicts it.

    A Student-t regression, fitted to two thirds of the tables, on the rows of the class and on the
    score of nothing on inner folds (its log odds); "neither" is what the prior uses.
    """
    out: dict[str, dict[str, float]] = {}
    for classifier, pairs in priors.gains.items():
        table, gain = np.array([name for name, _ in pairs]), np.array([g for _, g in pairs])
        rows, level = [], []
        for (_, size, _), found in cells.items():
            if size != "all":
                inner = found[best_inside(found, CLASSIFIERS[classifier])]["inner_ap"]
                rows.append(np.log10(float(size)) - 1.5)
                level.append(np.log(np.clip(inner, 0.01, 0.99) / (1 - np.clip(inner, 0.01, 0.99))))
        columns = {"neither": [], "rows": [rows], "score of nothing": [level]}
        out[classifier] = {}
        for name, given in columns.items():
            X = np.column_stack([np.ones(len(gain)), *given])
            score = np.empty(len(gain))
            for third in range(3):
                own = np.isin(table, sorted(set(table))[third::3])
                score[own] = _t_regression(X[~own], gain[~own], X[own], gain[own])
            out[classifier][name] = round(float(score.mean()), 3)
    return out


def _t_regression(X: np.ndarray, y: np.ndarray, at: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Log density of what was seen, after a fit by maximum likelihood."""

    def loss(p: np.ndarray) -> float:
        return -float(student.logpdf(y, PRIOR_FREEDOM, X @ p[:-1], np.exp(p[-1])).sum())

    start = [float(np.median(y)), *[0.0] * (X.shape[1] - 1), float(np.log(y.std()))]
    p = minimize(loss, start, method="Nelder-Mead", options={"maxiter": 2000}).x
    return student.logpdf(seen, PRIOR_FREEDOM, at @ p[:-1], np.exp(p[-1]))


def null_runs(prior: Prior) -> dict[str, dict[str, float]]:
    """Share of the runs of compare_null.jsonl in which each rule recommends a change."""
    rows = []
    for run in load(of_null.RESULTS):
        scores = {name: np.array(values) for name, values in run["scores"].items()}
        nothing = scores.pop("nothing")
        margin = margin_of(METRIC, float(nothing.mean()))
        (level,), (error,) = corrected(nothing[None], RATIO)
        half = float(student.ppf((1 + CONFIDENCE) / 2, len(nothing) - 1) * error)
        kind = run["kind"].split(",")[0]
        if level - half <= (guessing(METRIC, run["prevalence"]) or 0.0):
            rows.append({"kind": kind} | {str(rule): 0.0 for rule in RULES})
            continue
        hits = {str(rule): [] for rule in RULES}
        for named in scores:
            names = [FIRST if name == named else name for name in scores]
            how: dict[str, Any] = {"ratio": RATIO, "margin": margin}
            values = np.array([*scores.values()])
            plain = chances_of(names, values, nothing, **how)
            known = chances_of(names, values, nothing, priors={FIRST: prior}, **how)
            for rule in RULES:
                hits[str(rule)].append(rule.picked(plain, known, margin) is not None)
        rows.append({"kind": kind} | {rule: float(np.mean(of)) for rule, of in hits.items()})
    return pd.DataFrame(rows).groupby("kind").mean().to_dict("index")


def null_cases(cases: Sequence[Case], priors: dict[str, Prior], times: int = 4) -> dict[str, float]:
    """The same for scores drawn with the covariance of each case, all true gains being 0.

    Splits are correlated as the test supposes: what a training part shares adds the variance
    n_test / n_train of one split to the mean of all.
    """
    rng = np.random.default_rng(0)
    hits = {str(rule): [] for rule in (BEFORE, STRICT, USED)}
    for case in cases:
        residual = case.scores - case.nothing
        residual = residual - residual.mean(axis=1, keepdims=True)
        folds = residual.shape[1]
        for _ in range(times):
            noise = residual @ rng.standard_normal((folds, folds)) / np.sqrt(folds - 1)
            shared = residual @ rng.standard_normal((folds, 1)) / np.sqrt(folds - 1)
            drawn = case.nothing + noise + np.sqrt(RATIO) * shared
            null = Case("", "", case.names, drawn, case.nothing, case.gains, case.gains)
            plain, known = null.chances(), null.chances(priors[case.classifier])
            for rule in (BEFORE, STRICT, USED):
                hits[str(rule)].append(rule.picked(plain, known, case.margin) is not None)
    return {rule: round(float(np.mean(found)), 3) for rule, found in hits.items()}


def gained(
    cases: Sequence[Case], priors: Priors, without: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What each rule gains in each case, and whether it recommends a change.

    The prior of a case is fitted without its own table and without these.
    """
    gains, changes = [], []
    for case in cases:
        plain = case.chances()
        known = case.chances(priors.of(case.classifier, frozenset([*without, case.table])))
        places = {str(rule): rule.picked(plain, known, case.margin) for rule in RULES}
        gains.append({r: 0.0 if n is None else float(case.gains[n]) for r, n in places.items()})
        changes.append({r: n is not None for r, n in places.items()})
    return pd.DataFrame(gains), pd.DataFrame(changes)


def references(cases: Sequence[Case], held: Sequence[str]) -> pd.DataFrame:
    """What each case gains by the remedies with which a recommendation is compared."""
    rows = []
    for case in cases:
        others = [c for c in cases if c.classifier == case.classifier and c.table not in held]
        fixed = int(np.argmax(np.mean([c.gains for c in others], axis=0)))
        own = int(np.argmax(case.elsewhere))
        rows.append(
            {
                "fixed": case.gains[fixed],
                "same table": case.gains[own] if case.elsewhere[own] > 0 else 0.0,
                "raw": max(float(case.gains.max()), 0.0),
                "name": case.names[fixed],
            }
        )
    return pd.DataFrame(rows)


def choice(gains: pd.DataFrame, table: np.ndarray, null: dict[str, dict[str, float]]) -> Rule:
    """Of the rules that gain the most, to .001, the one that errs least where nothing helps."""
    means = gains.groupby(table).mean().mean()
    most = max(float(means[str(rule)]) for rule in RULES)
    near = [rule for rule in RULES if means[str(rule)] >= most - 0.001]
    return min(near, key=lambda rule: max(found[str(rule)] for found in null.values()))


def study(cells: Cells) -> dict[str, Any]:
    """All figures of the section."""
    cases, priors = cases_of(cells), Priors(cells)
    if not cases:
        return {}
    everywhere = {classifier: priors.of(classifier) for classifier in CLASSIFIERS}
    null = null_runs(everywhere["hgb"])
    table = np.array([case.table for case in cases])
    tables = sorted({name for name, _, _ in cells})
    parts, changed, chosen = [], [], []
    for held in (tables[third::3] for third in range(3)):
        is_held = np.isin(table, held)
        gains, changes = gained(cases, priors, held)
        rule = choice(gains[~is_held], table[~is_held], null)
        chosen.append(str(rule))
        gains["nested"], changes["nested"] = gains[str(rule)], changes[str(rule)]
        parts.append(pd.concat([gains, references(cases, held)], axis=1)[is_held])
        changed.append(changes[is_held])
    # In the order of the cases again.
    frame, changes = pd.concat(parts).sort_index(), pd.concat(changed).sort_index()
    names = ["nested", *(str(rule) for rule in RULES)]
    return {
        "cells": len(cases) // len(CLASSIFIERS),
        "cases": len(cases),
        "tables": len(set(table)),
        "priors": everywhere,
        "predicted": predicted(cells, priors),
        "chosen": chosen,
        "chosen on all": str(choice(gained(cases, priors, [])[0], table, null)),
        "fixed": sorted(set(frame["name"])),
        "nothing helps": null,
        "nothing helps, as named": of_null.changes(),
        "nothing helps, auto included": null_cases(cases, everywhere),
        "rules": {name: _judged(frame, frame[name], changes[name], table) for name in names},
        "references": {
            name: _judged(frame, frame[name], frame[name] != 0, table)
            for name in ("fixed", "same table", "raw")
        }
        | {"nothing": _judged(frame, frame["raw"] * 0, frame["raw"] < 0, table)},
        "by classifier": {
            classifier: {
                name: interval(frame[name][own].groupby(table[own]).mean())
                for name in ("nested", str(STRICT), str(USED), "fixed", "same table")
            }
            for classifier in CLASSIFIERS
            if (own := np.array([case.classifier == classifier for case in cases])).any()
        },
        "reliability": reliability(cases, priors),
        "widths": widths(cases, tables),
    }


def widths(cases: Sequence[Case], tables: Sequence[str]) -> dict[str, Any]:
    """How wide the posterior of `auto` must be for the gain on the judged rows to be likely in it.

    Mean log density of that gain by the width, in those of the t-test; the width that is best on
    two thirds of the tables, and its mean on the third. The noise of the judged rows is part of it.
    """
    rows = []
    for case in cases:
        place = case.names.index(FIRST)
        (mean,), (error,) = corrected((case.scores[place] - case.nothing)[None], RATIO)
        if error > 0:
            freedom = len(case.nothing) - 1
            given = {k: student.logpdf(case.gains[place], freedom, mean, k * error) for k in WIDTHS}
            rows.append({"table": case.table} | given)
    frame = pd.DataFrame(rows)
    judged, chosen = [], []
    for held in (tables[third::3] for third in range(3)):
        is_held = frame["table"].isin(held)
        best = max(WIDTHS, key=lambda k: float(frame.loc[~is_held, k].mean()))
        chosen.append(best)
        judged += frame.loc[is_held, best].tolist()
    return {
        "cases": len(frame),
        "density": {str(k): round(float(frame[k].mean()), 3) for k in WIDTHS},
        "chosen": chosen,
        "judged": round(float(np.mean(judged)), 3),
    }


def _judged(frame: pd.DataFrame, gain: pd.Series, change: pd.Series, table: np.ndarray) -> Any:
    """A row of the table of rules; intervals are over means of tables."""
    return {
        "changes": int(change.sum()),
        "losses": int((gain < 0).sum()),
        "gain": interval(gain.groupby(table).mean()),
    } | {
        f"regret, {name}": interval((frame[name] - gain).groupby(table).mean())
        for name in ("fixed", "same table", "raw")
    }


def reliability(cases: Sequence[Case], priors: Priors) -> dict[str, Any]:
    """Do the probabilities come true on rows that had no part in them?"""
    rows = []
    for case in cases:
        known = case.chances(priors.of(case.classifier, frozenset([case.table])))
        for plain, c, gain in zip(case.chances(), known, case.gains, strict=True):
            rows.append((c.strategy == FIRST, plain.helps, c.helps, gain > case.margin))
    frame = pd.DataFrame(rows, columns=["auto", "plain", "prior", "helped"])
    auto = frame[frame["auto"]]
    return {
        "all remedies, no prior": _reliability(frame["plain"], frame["helped"]),
        "auto, no prior": _reliability(auto["plain"], auto["helped"]),
        "auto, with prior": _reliability(auto["prior"], auto["helped"]),
    }


def _reliability(told: pd.Series, helped: pd.Series) -> dict[str, Any]:
    safe, share = told.clip(0.01, 0.99), float(helped.mean())
    return {
        "bins": [
            {
                "from": low,
                "to": min(high, 1.0),
                "told": round(float(told[own].mean()), 3),
                "helped": round(float(helped[own].mean()), 3),
                "cases": int(own.sum()),
            }
            for low, high in BINS
            if (own := (told >= low) & (told < high)).any()
        ],
        "log_score": round(float(np.log(np.where(helped, safe, 1 - safe)).mean()), 3),
        "log_score_of_the_share": round(
            float(np.log(np.where(helped, share, 1 - share)).mean()), 3
        ),
    }


def section(found: dict[str, Any]) -> dict[str, str]:
    """The parts of benchmark.md on `compare`."""
    if not found:
        return {}
    null, wide = found["nothing helps"], found["widths"]
    shown = [BEFORE, STRICT, USED, Rule(False, ALONE, ALONE), Rule(False, LIKELY, LIKELY)]
    shown += [Rule(True, sure, LIKELY) for sure in (0.6, 0.7, SURE)]
    titles = {
        "nothing": "*never a change*",
        "fixed": f"*the remedy that is best on other tables ({', '.join(found['fixed'])})*",
        "same table": "*the remedy that is best in other cells of the table*",
        "raw": "*the remedy that is best on the judged rows*",
        "nested": "**chosen on two thirds, judged on the third**",
    }
    rows = []
    for name in ["nested", *map(str, shown), *found["references"]]:
        own = found["rules" if name in found["rules"] else "references"][name]
        false = [f"{null[kind][name]:.1%}" if name in RULE_NAMES else "" for kind in null]
        change, gain = f"{own['changes']} of {found['cases']}", told(own["gain"])
        regrets = [interval_text(own[f"regret, {of}"]) for of in ("fixed", "same table", "raw")]
        rows.append([titles.get(name, name), *false, change, own["losses"], gain, *regrets])
    head = ["rule", *(f"changes, {kind}" for kind in null), "changes", "losses"]
    head += ["recommended less nothing", "regret", "regret, same table", "regret, raw"]
    by = found["by classifier"]
    classes = [
        [titles.get(name, name), *(told(of[name]) for of in by.values())]
        for name in ("nested", str(STRICT), str(USED), "fixed", "same table")
    ]
    said = [f"cells: {found['cells']}; tables: {found['tables']}; cases: {found['cases']}"]
    said += [
        f"{kind}: {n['change']} of {n['runs']} runs are told to change, "
        f"[{n['low']:.1%}, {n['high']:.1%}]"
        for kind, n in found["nothing helps, as named"].items()
    ]
    said += [
        f"chosen in the three rotations: {'; '.join(found['chosen'])}; on all tables: "
        f"{found['chosen on all']}"
    ]
    said += [
        f"if every true gain were 0, *{rule}* would recommend a change in {share:.1%}"
        for rule, share in found["nothing helps, auto included"].items()
    ]
    for name, (location, scale) in found["priors"].items():
        scores = ", ".join(f"{of} {value:.3f}" for of, value in found["predicted"][name].items())
        said.append(f"prior, {name}: {location:+.3f}, {scale:.3f}; mean log score with: {scores}")
    density = ", ".join(f"{k}: {value:.3f}" for k, value in wide["density"].items())
    said += [
        f"width of the posterior: {WIDER:g}; mean log density ({wide['cases']} cases) by it: "
        f"{density}; chosen: {', '.join(map(str, wide['chosen']))}; judged: {wide['judged']:.3f}"
    ]
    bins = [
        [
            *(name, f"{b['from']:g} to {b['to']:g}", f"{b['told']:.2f}", f"{b['helped']:.2f}"),
            *(b["cases"], f"{own['log_score']:.3f}", f"{own['log_score_of_the_share']:.3f}"),
        ]
        for name, own in found["reliability"].items()
        for b in own["bins"]
    ]
    told_as = ["", "told", "mean", "helped", "cases", "log score", "log score of the share"]
    return {
        "rules": markdown(head, rows),
        "by classifier": markdown(["rule", *by], classes),
        "compare": "\n".join(f"- {line}" for line in said),
        "reliability": markdown(told_as, bins),
    }


def main() -> None:
    asked = parser(__doc__)
    asked.add_argument("what", nargs="?", choices=["run", "report"], default="run")
    asked.add_argument("--tables", default="")
    asked.add_argument("--sizes", default=",".join(SIZES))
    asked.add_argument("--splits", type=int, default=5)
    asked.add_argument("--stage", default="learners,synthesis")
    asked.add_argument("--amounts", default="0.3,0.1")
    asked.add_argument("--budget", type=float, help="Seconds; a cell that has begun is finished.")
    asked.add_argument("--jobs", type=int, help="Processes; -1: one per core. [1; engines: -1]")
    asked.add_argument("--engine", help="ray or dask, on this machine or =ADDRESS.")
    asked.add_argument("--out", type=Path, default=RESULTS)
    options = asked.parse_args()
    if options.what == "report":
        report(options.out)
        return
    run(options)


if __name__ == "__main__":
    main()
