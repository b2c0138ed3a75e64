"""What do model files and rows give away, and what does differential privacy cost?

    python evaluation/privacy.py --data-dir DIR --budget 0           # the table of synthesizers
    python evaluation/privacy.py --controls 20                       # known leaks, and fresh rows
    python evaluation/privacy.py risks --data-dir DIR --anonymeter ANON/bin/python
    python evaluation/privacy.py dp --data-dir DIR [--tables adult]  # PrivateMarginals, trees

Of each of eight tables one half is learned from and the other half is held out: at most `--rows`
rows of the class and as many other rows in each. `synthgen.privacy` attacks the model file and rows
made with it. Synthesizers have their default arguments, unless their name says otherwise. Nothing
is chosen on these tables.

The controls are made of the breast cancer table (150 rows to learn from, 150 held out, as many
fresh ones) and of Adult as synthgen ships it. Copies, copies with 1 % noise, rows of SMOTE, rows of
an over-trained TVAE, and the file of trees with leaves of 2 must fail or fall short; fresh rows,
and the file of trees that learned other rows, must not.

`risks`: of Adult 2,000 rows are learned, 2,000 held out and 2,000 fresh; each risk of `evaluate`
beside Anonymeter's, with 400 attacks. Anonymeter (`pip install anonymeter`) pins NumPy below 1.27,
so it runs in an environment of its own. It gets conditions on five columns, three splits
into halves with five neighbours, and each column as the secret; the last two are means.

These write privacy.json and privacy.md. `dp` writes dp.json and dp.md: Adult (its official test)
and two thirds of bank_marketing are learned; the schema declares ranges, Adult's from the codebook,
those of bank_marketing wide and round, and the classes; all other levels are paid for. Then 10,000
rows are learned, and `privacy` attacks the file, with 10,000 others.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import (
    HERE,
    adult,
    figures,
    fill,
    independent,
    load,
    markdown,
    means,
    parser,
    sides,
    write,
)
from imblearn.over_sampling import SMOTE
from sklearn.datasets import load_breast_cancer

from synthgen import (
    CTGAN,
    TVAE,
    Column,
    PrivateMarginals,
    Schema,
    SequentialTrees,
    Synthesizer,
    TabFlow,
    privacy,
)
from synthgen.metrics.privacy import privacy as of_rows
from synthgen.metrics.risks import risks
from synthgen.metrics.verdicts import WORST_FIRST, of_privacy
from synthgen.seeds import seed_sequence
from synthgen.tables.table import Table

TABLES = (
    "credit_data",
    "magic",
    "adult",
    "nasscds",
    "nafld_death",
    "bank_marketing",
    "mpls_stops_search",
    "default_credit",
)
SYNTHESIZERS: dict[str, Callable[[], Any]] = {
    "trees": lambda: SequentialTrees(classes=[True], random_state=0),
    "trees, leaves of 200": lambda: SequentialTrees(classes=[True], min_leaf=200, random_state=0),
    "tvae": lambda: TVAE(classes=[True], random_state=0),
    "tabflow": lambda: TabFlow(classes=[True], random_state=0),
    "ctgan": lambda: CTGAN(classes=[True], random_state=0),
}
CONTROLS = {
    "copies": "copies of the training rows",
    "noise": "copies with 1 % noise",
    "smote": "rows of SMOTE",
    "over-trained tvae": "rows of a TVAE after 1,500 steps on the rows of the class",
    "leaves of 2": "the file of trees with leaves of 2",
    "fresh": "fresh real rows",
    "other rows": "the file of trees that learned other rows",
    "fresh adult": "600 fresh real rows of Adult's >50K, beside 600 rows and 600 held out",
}
HARMLESS = ("fresh", "other rows", "fresh adult")


# --- synthesizers and controls --------------------------------------------------------------------


def audited(folder: Path, table: str, synthesizer: str, rows: int, budget: float) -> dict[str, Any]:
    train, holdout = sides(folder, table, rows)
    started = time.perf_counter()
    model = SYNTHESIZERS[synthesizer]()
    model.fit(train.drop(columns="target"), train["target"])
    fitted = round(time.perf_counter() - started, 1)
    found = privacy(model, train, holdout, target="target", time_budget=budget)
    content = found.to_json()
    return {
        "table": table,
        "synthesizer": synthesizer,
        "rows": int(train["target"].sum()),
        "fit seconds": fitted,
        "outcome": {"file": content["file"], "rows": content["rows"]},
        **{k: content[k] for k in ("attacks", "shadows", "seconds")},
    }


def cancer(seed: int) -> list[pd.DataFrame]:
    """Three times 150 rows with their class, no row in two."""
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    frame = pd.DataFrame(X).assign(target=pd.Series(y) == 1)
    order = np.random.default_rng(seed).permutation(len(frame))
    return [frame.iloc[order[i : i + 150]].reset_index(drop=True) for i in (0, 150, 300)]


def shipped(seed: int) -> list[pd.DataFrame]:
    """Three times 600 rows of the class of the table that is part of synthgen."""
    frame = pd.read_csv(files("synthgen") / "data" / "adult.csv.bz2")
    rare = frame[frame["income"] == ">50K"].rename(columns={"income": "target"})
    order = np.random.default_rng(seed).permutation(len(rare))
    return [rare.iloc[order[i : i + 600]].reset_index(drop=True) for i in (0, 600, 1200)]


def control(kind: str, seed: int) -> dict[str, Any]:
    """The verdict on a known leak, or on what leaks nothing."""
    train, holdout, fresh = shipped(seed) if kind == "fresh adult" else cancer(seed)
    named = {"control": kind, "seed": seed}
    if kind in ("leaves of 2", "other rows"):
        learned = fresh if kind == "other rows" else train
        model = SequentialTrees(classes=[True], trees=1, min_leaf=2, random_state=seed)
        model.fit(learned.drop(columns="target"), learned["target"])
        found = privacy(model, train, holdout, target="target", time_budget=0, random_state=seed)
        return named | {"outcome": found.outcome("file"), "found": found.worst("file").tpr_10}
    if kind == "over-trained tvae":
        model = TVAE(classes=[True], scope="class", steps=1500, batch_size=100, random_state=seed)
        model.fit(train.drop(columns="target"), train["target"])
        train, holdout = (f[f["target"]].reset_index(drop=True) for f in (train, holdout))
        made = model.sample(len(train), random_state=seed)
    else:
        made = _rows(kind, train, fresh, seed)
    schema = Table.of(train.drop(columns="target")).schema
    tables = [
        Table(frame[list(schema.names)].reset_index(drop=True), schema)
        for frame in (train, made, holdout)
    ]
    part = of_rows(*tables, group="all", random_state=seed, device="cpu")
    found = next(s.value for s in part.scores if s.name == "privacy.mia_tpr_at_10")
    return named | {"outcome": of_privacy(part, held_out=True).outcome, "found": found}


def _rows(kind: str, train: pd.DataFrame, fresh: pd.DataFrame, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    features = train.drop(columns="target")
    if kind == "copies":
        return features
    if kind == "noise":
        return features + 0.01 * features.std().to_numpy() * rng.normal(size=features.shape)
    if kind.startswith("fresh"):
        return fresh.drop(columns="target")
    other = pd.concat([features * 0] * 4, ignore_index=True)
    y = np.arange(5 * len(train)) < len(train)
    X, label = SMOTE(random_state=seed).fit_resample(
        pd.concat([features, other], ignore_index=True), y
    )[:2]
    return X[np.asarray(label)].iloc[len(train) :].reset_index(drop=True)


# --- privacy.md -----------------------------------------------------------------------------------


def told(result: dict[str, Any]) -> dict[str, str]:
    """Whether the file and the rows pass; a file is no safer than the rows that it makes."""
    rows = result["outcome"]["rows"]
    both = {result["outcome"]["file"], rows}
    return {"file": next(o for o in ("fails", "undecided", "passes") if o in both), "rows": rows}


def strongest(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The strongest attack on rows of the class with the file, and with rows."""
    of = {a["opponent"]: a for a in result["attacks"] if a["group"] == "True"}
    # Who has the file can also make rows with it.
    return {"file": max(of.values(), key=lambda a: a["tpr_10"]), "rows": of["rows"]}


def page(results: list[dict[str, Any]]) -> dict[str, str]:
    """The tables of privacy.md."""
    audits = [r for r in results if "synthesizer" in r]
    rows = []
    for r in sorted(audits, key=lambda r: (list(SYNTHESIZERS).index(r["synthesizer"]), r["table"])):
        cells = [r["synthesizer"], r["table"], f"{r['rows']:,}"]
        for opponent, outcome in told(r).items():
            a = strongest(r)[opponent]
            low, high = a["interval"]
            cells += [f"{a['tpr_10']:.1%} [{low:.1%}, {high:.1%}]", f"{a['tpr_10_null']:.1%}"]
            cells += [f"{a['auc']:.2f}", outcome] if opponent == "file" else [outcome]
        rows.append(cells)
    head = ["synthesizer", "table", "rows", "with the file", "null", "AUC", "so the file"]
    head += ["with rows", "null", "so rows"]
    return {
        "files": markdown(head, rows),
        "synthesizers": _by_synthesizer(audits),
        "controls": _controls([r for r in results if "control" in r]),
        "risks": _risks([r for r in results if "risk" in r]),
    }


def _by_synthesizer(audits: list[dict[str, Any]]) -> str:
    rows = []
    for name in dict.fromkeys(r["synthesizer"] for r in audits):
        of_name = [r for r in audits if r["synthesizer"] == name]
        cells = [name, str(len(of_name))]
        for opponent in ("file", "rows"):
            outcomes = [told(r)[opponent] for r in of_name]
            found = [strongest(r)[opponent]["tpr_10"] for r in of_name]
            cells.append(f"{outcomes.count('passes')}, {outcomes.count('fails')}")
            cells.append(f"{np.median(found):.0%}, {min(found):.0%} to {max(found):.0%}")
        rows.append(cells)
    rows.sort(key=lambda cells: list(SYNTHESIZERS).index(cells[0]))
    head = ["synthesizer", "tables", "files that pass, fail"]
    head += ["found with the file: median, range", "rows that pass, fail"]
    return markdown([*head, "found with rows: median, range"], rows)


def _controls(controls: list[dict[str, Any]]) -> str:
    rows = []
    for kind, words in CONTROLS.items():
        of_kind = [r for r in controls if r["control"] == kind]
        if not of_kind:
            continue
        outcomes = [r["outcome"] for r in of_kind]
        caught = sum(o in ("fails", "falls short") for o in outcomes)
        right = len(of_kind) - caught if kind in HARMLESS else caught
        counts = ", ".join(str(outcomes.count(o)) for o in WORST_FIRST)
        found = np.median([r["found"] for r in of_kind])
        rows.append([words, right, len(of_kind), counts, f"{found:.0%}"])
    head = ["control", "right", "of", "fails, falls short, undecided, passes"]
    return markdown([*head, "found at 10 %, median"], rows)


def _risks(results: list[dict[str, Any]]) -> str:
    rows: dict[str, list[str]] = {}
    for r in results:
        value, low, high = r["ours"]
        cell = f"{value:.2f} [{low:.2f}, {high:.2f}] / {r['theirs']:.2f}"
        rows.setdefault(r["of"], [r["of"]]).append(cell)
    return markdown(["rows", "singling out", "linkability", "inference"], [*rows.values()])


def tasks(options: argparse.Namespace) -> Iterable[tuple[dict[str, Any], Callable[[], Any]]]:
    """What is to be measured, by what names it."""
    if options.controls:
        for seed in range(options.controls):
            for kind in options.only or CONTROLS:
                yield {"control": kind, "seed": seed}, lambda k=kind, s=seed: control(k, s)
        return
    for table in options.tables or TABLES:
        for synthesizer in options.only or SYNTHESIZERS:
            named = {"synthesizer": synthesizer, "table": table}
            yield (
                named,
                lambda t=table, s=synthesizer: audited(
                    options.data_dir, t, s, options.rows, options.budget
                ),
            )


def audits(options: argparse.Namespace) -> None:
    path = HERE / "privacy.json"
    results = load(path)
    for named, measure in tasks(options):
        if not any(named.items() <= r.items() for r in results):
            results.append(measure())
            print(json.dumps(named), round(results[-1].get("seconds", 0)), flush=True)
            write(path, results)
    fill(HERE / "privacy.md", page(results))


# --- risks ----------------------------------------------------------------------------------------

ROWS = 2000


def beside_anonymeter(options: argparse.Namespace) -> None:
    whole = adult(options.data_dir)[0].sample(3 * ROWS, random_state=0).reset_index(drop=True)
    train, held, fresh = (whole.iloc[k * ROWS : (k + 1) * ROWS] for k in range(3))
    trees = SequentialTrees(classes=["<=50K", ">50K"], random_state=0).fit(train, target="target")
    kinds = {"copies": train, "fresh rows": fresh, "trees": trees.sample(ROWS, random_state=0)}
    with tempfile.TemporaryDirectory() as folder:
        for name, frame in {**kinds, "train": train, "control": held}.items():
            told = frame[list(whole)].astype(object)
            told.where(told.notna(), "").to_csv(f"{folder}/{name}.csv", index=False)
        script = str(HERE / "peers" / "risks.py")
        command = [options.anonymeter, "-W", "ignore", script, folder]
        beside = json.loads(subprocess.check_output(command))
    schema, path = Schema.infer(whole), HERE / "privacy.json"
    results = [r for r in load(path) if "risk" not in r]
    for name, frame in kinds.items():
        real, made, held_out = (Table(f[list(whole)], schema) for f in (train, frame, held))
        for score in risks(schema.columns, (real, made, held_out), "all", seed_sequence(0)):
            kind, ours = score.name.removeprefix("privacy."), [score.value, *(score.interval or ())]
            results.append({"risk": kind, "of": name, "ours": ours, "theirs": beside[name][kind]})
    write(path, results)
    fill(path.with_suffix(".md"), page(results))


# --- differential privacy -------------------------------------------------------------------------


@dataclass(frozen=True)
class Public:
    """What is public about a table: ranges and frequent numbers, columns with gaps, classes."""

    numbers: dict[str, tuple[int, int]]
    spikes: dict[str, tuple[int, ...]]
    gaps: tuple[str, ...]
    classes: tuple[str, str]  # the second is attacked


DP_TABLES = {
    "adult": Public(
        {
            "age": (17, 90),
            "fnlwgt": (0, 1_500_000),
            "education-num": (1, 16),
            "capital-gain": (0, 99_999),
            "capital-loss": (0, 5_000),
            "hours-per-week": (1, 99),
        },
        {"capital-gain": (0,), "capital-loss": (0,)},
        ("workclass", "occupation", "native-country"),
        ("<=50K", ">50K"),
    ),
    "bank_marketing": Public(
        {
            "age": (0, 120),
            "balance": (-100_000, 1_000_000),
            "day": (1, 31),
            "duration": (0, 10_000),
            "campaign": (1, 1_000),
            "pdays": (-1, 10_000),
            "previous": (0, 1_000),
        },
        {"balance": (0,), "pdays": (-1,), "previous": (0,)},
        (),
        ("no", "yes"),
    ),
}
AUDITED = 10_000


def schema(frame: pd.DataFrame, of: Public) -> Schema:
    """What is public; the order of the columns is that of the table."""

    def column(name: str) -> Column:
        if name in of.numbers:
            lower, upper = of.numbers[name]
            spikes, whole = of.spikes.get(name, ()), np.dtype("int64")
            return Column(name, "integer", whole, lower=lower, upper=upper, spikes=spikes)
        levels = of.classes if name == "target" else ()
        missing = 0.05 if name in of.gaps else 0.0
        return Column(name, "categorical", np.dtype(object), missing=missing, categories=levels)

    return Schema(tuple(map(column, frame.columns)), "target")


def fitted(way: str, train: pd.DataFrame, of: Public, seed: int) -> Synthesizer:
    """A model of all classes."""
    if way == "trees":
        model: Synthesizer = SequentialTrees(classes=of.classes, random_state=seed)
    else:
        model = PrivateMarginals(epsilon=float(way.split()[1]), schema=schema(train, of))
    return model.fit(train, target="target")


def attacked(way: str, train: pd.DataFrame, of: Public) -> dict[str, float]:
    """What the worst attack finds with the file, of the rarer class."""
    rows = train.sample(2 * AUDITED, random_state=0).reset_index(drop=True)
    learned, others = rows.iloc[:AUDITED], rows.iloc[AUDITED:].reset_index(drop=True)
    found = privacy(fitted(way, learned, of, 0), learned, others, target="target", time_budget=0)
    # Who has the file can also make rows with it.
    attacks = [a for a in found.attacks if a.group == of.classes[1]]
    worst = max(attacks, key=lambda a: a.tpr_10)
    low, high = worst.interval
    return {"found": worst.tpr_10, "from": low, "to": high, "null": worst.tpr_10_null}


def dp_sides(folder: Path, name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows to learn, and the rows to test on: Adult's own, or a random third."""
    if name == "adult":
        return adult(folder)
    whole = pd.read_parquet(folder / f"{name}.parquet").sample(frac=1, random_state=0)
    third = len(whole) // 3
    return whole.iloc[third:].reset_index(drop=True), whole.iloc[:third].reset_index(drop=True)


def made(way: str, train: pd.DataFrame, of: Public, seed: int) -> tuple[pd.DataFrame, float]:
    """Rows of one way of making them, and the seconds of the fit."""
    started = time.perf_counter()
    if way == "real":
        return train, 0.0
    if way == "independent":
        return independent(train, seed), 0.0
    model = fitted(way, train, of, seed)
    took = time.perf_counter() - started
    return model.sample(len(train), random_state=seed)[list(train.columns)], took


def dp(options: argparse.Namespace) -> None:
    ways = ["real", "independent", "trees", *(f"epsilon {e}" for e in (1, 3, 10, 1000))]
    names, path = options.tables or list(DP_TABLES), HERE / "dp.json"
    there = json.loads(path.read_text()) if path.exists() else {"results": [], "attacks": []}
    results, attacks = (
        [r for r in there[part] if r["table"] not in names] for part in ("results", "attacks")
    )
    for name in names:
        of = DP_TABLES[name]
        train, test = dp_sides(options.data_dir, name)
        for way in ways:
            for seed in range(1 if way == "real" else options.seeds):
                rows, took = made(way, train, of, seed)
                named = {"table": name, "variant": way, "seed": seed}
                results.append({**named, **figures(rows, train, test), "fit s": took})
                print(results[-1], flush=True)
        for way in ways[2:]:
            attacks.append({"table": name, "variant": way, "seed": 0, **attacked(way, train, of)})
            print(attacks[-1], flush=True)
        machine = {"cores": os.cpu_count(), "load": os.getloadavg()[0], "delta": 1e-6}
        write(path, {"machine": machine, "results": results, "attacks": attacks})
        named = {"rows": results, "attacks": attacks}
        parts = {name: means(lines, "table", "variant") for name, lines in named.items()}
        fill(path.with_suffix(".md"), parts)


def main() -> None:
    asked = parser(__doc__)
    asked.add_argument("what", nargs="?", choices=("files", "risks", "dp"), default="files")
    asked.add_argument("--tables", nargs="*")
    asked.add_argument("--only", nargs="*", help="synthesizers, or controls")
    asked.add_argument("--rows", type=int, default=500, help="rows of the class to learn from")
    asked.add_argument("--budget", type=float, default=600.0, help="seconds for shadow models")
    asked.add_argument("--controls", type=int, default=0, help="seeds of the controls")
    asked.add_argument("--seeds", type=int, default=2, help="of dp")
    asked.add_argument("--anonymeter", help="Python with anonymeter installed")
    options = asked.parse_args()
    {"files": audits, "risks": beside_anonymeter, "dp": dp}[options.what](options)


if __name__ == "__main__":
    main()
