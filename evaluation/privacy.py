"""How many learned rows are found by who holds a model file, and by who gets rows?

    python evaluation/privacy.py --data-dir DIR                      # the table of synthesizers
    python evaluation/privacy.py --controls 20                       # known leaks, and fresh rows

Of each of eight tables one half is learned from and the other half is held out: at most `--rows`
rows of the class and as many other rows in each. `synthgen.privacy` attacks the model file and rows
made with it. Synthesizers have their default arguments, unless their name says otherwise. Nothing
is chosen on these tables.

The controls are made of the breast cancer table (569 rows, 30 numbers): 150 rows to learn from, 150
held out, and as many fresh ones. Copies, copies with 1 % noise, rows of SMOTE and rows of an
over-trained TVAE are judged as `evaluate` judges the privacy of rows, and trees with leaves of 2
(the smallest that can be asked for) as `privacy` judges a file: they must fail or fall short. Fresh
rows, and the file of trees that learned other rows, must not; of 600 rows of the class of Adult,
as synthgen ships it, fresh rows should pass.

Each result is written to privacy.json as soon as it is there, and privacy.md is made of it. What
the file holds is not measured again.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from imblearn.over_sampling import SMOTE
from sklearn.datasets import load_breast_cancer
from trees import halves

from synthgen import CTGAN, TVAE, SequentialTrees, TabFlow, privacy
from synthgen.metrics.privacy import privacy as of_rows
from synthgen.metrics.verdicts import WORST_FIRST, of_privacy
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
HERE = Path(__file__).parent


# --- synthesizers ---------------------------------------------------------------------------------


def sides(folder: Path, name: str, rows: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows to learn from, and held-out rows: of the class, and as many others."""
    out = []
    for side, frame in enumerate(halves(folder, name, rows, 0)):
        rng = np.random.default_rng(side)
        rare = np.flatnonzero(frame["target"])
        others = rng.permutation(np.flatnonzero(~frame["target"]))[: len(rare)]
        out.append(frame.iloc[np.sort(np.concatenate([rare, others]))].reset_index(drop=True))
    return out[0], out[1]


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


# --- controls -------------------------------------------------------------------------------------


def cancer(seed: int) -> list[pd.DataFrame]:
    """Three times 150 rows with their class, no row in two."""
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    frame = pd.DataFrame(X).assign(target=pd.Series(y) == 1)
    order = np.random.default_rng(seed).permutation(len(frame))
    return [frame.iloc[order[i : i + 150]].reset_index(drop=True) for i in (0, 150, 300)]


def adult(seed: int) -> list[pd.DataFrame]:
    """Three times 600 rows of the class of the table that is part of synthgen."""
    frame = pd.read_csv(files("synthgen") / "data" / "adult.csv.bz2")
    rare = frame[frame["income"] == ">50K"].rename(columns={"income": "target"})
    order = np.random.default_rng(seed).permutation(len(rare))
    return [rare.iloc[order[i : i + 600]].reset_index(drop=True) for i in (0, 600, 1200)]


def control(kind: str, seed: int) -> dict[str, Any]:
    """The verdict on a known leak, or on what leaks nothing."""
    train, holdout, fresh = adult(seed) if kind == "fresh adult" else cancer(seed)
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


# --- results --------------------------------------------------------------------------------------


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


def page(results: list[dict[str, Any]]) -> str:
    """The results as a page."""
    audits = [r for r in results if "synthesizer" in r]
    lines = [
        "# What model files and their rows give away",
        "",
        "`python evaluation/privacy.py --data-dir DIR --budget 0` (four shadow models for each; "
        "networks with `--rows 300`); see the head of the script. Share of the learned rows of the "
        "class that the worst attack finds at 10 % false alarms [95 % interval]; guessing finds "
        "10 %. *Null* is what the same attacks reach where nothing leaks. A file passes at 15 % or "
        "less, with an interval that ends at 20 % or below.",
        "",
        "What less exact leaves would cost is in [trees.md](trees.md), what differential privacy "
        "costs in [dp.md](dp.md).",
        "",
        "| synthesizer | table | rows | with the file | null | AUC | so the file | with rows "
        "| null | so rows |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in sorted(audits, key=lambda r: (list(SYNTHESIZERS).index(r["synthesizer"]), r["table"])):
        cells = [r["synthesizer"], r["table"], f"{r['rows']:,}"]
        for opponent, outcome in told(r).items():
            a = strongest(r)[opponent]
            low, high = a["interval"]
            cells += [f"{a['tpr_10']:.1%} [{low:.1%}, {high:.1%}]", f"{a['tpr_10_null']:.1%}"]
            cells += [f"{a['auc']:.2f}", outcome] if opponent == "file" else [outcome]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", *_by_synthesizer(audits)]
    return "\n".join(lines + _controls(results) + _risks(results)) + "\n"


def _by_synthesizer(audits: list[dict[str, Any]]) -> list[str]:
    """The lines on each synthesizer over all tables."""
    lines = [
        "| synthesizer | tables | files that pass, fail | found with the file: median, range "
        "| rows that pass, fail | found with rows: median, range |",
        "|---|---|---|---|---|---|",
    ]
    for name in SYNTHESIZERS:
        of_name = [r for r in audits if r["synthesizer"] == name]
        if not of_name:
            continue
        cells = [name, str(len(of_name))]
        for opponent in ("file", "rows"):
            outcomes = [told(r)[opponent] for r in of_name]
            found = [strongest(r)[opponent]["tpr_10"] for r in of_name]
            cells.append(f"{outcomes.count('passes')}, {outcomes.count('fails')}")
            cells.append(f"{np.median(found):.0%}, {min(found):.0%} to {max(found):.0%}")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _controls(results: list[dict[str, Any]]) -> list[str]:
    """The lines on the controls; none if there are no results of them."""
    controls = [r for r in results if "control" in r]
    if not controls:
        return []
    lines = [
        "",
        "## Controls",
        "",
        "`python evaluation/privacy.py --controls 20`: 150 rows of the breast cancer table to "
        "learn from and 150 held out (and 600 of Adult), another partition for each seed. A "
        "verdict is right if leaking rows fail or fall short, and safe rows do neither. The "
        "smallest leaf that can be asked for has 2 rows. Counts below 20 mean the run was stopped "
        "early.",
        "",
        "| control | right | of | fails, falls short, undecided, passes | found at 10 %, median |",
        "|---|---|---|---|---|",
    ]
    for kind, words in CONTROLS.items():
        of_kind = [r for r in controls if r["control"] == kind]
        if not of_kind:
            continue
        outcomes = [r["outcome"] for r in of_kind]
        caught = sum(o in ("fails", "falls short") for o in outcomes)
        right = len(of_kind) - caught if kind in HARMLESS else caught
        counts = ", ".join(str(outcomes.count(o)) for o in WORST_FIRST)
        found = np.median([r["found"] for r in of_kind])
        lines.append(f"| {words} | {right} | {len(of_kind)} | {counts} | {found:.0%} |")
    return lines


def _risks(results: list[dict[str, Any]]) -> list[str]:
    """The lines on the three risks beside Anonymeter's; none if there are no results of them."""
    risks = [r for r in results if "risk" in r]
    if not risks:
        return []
    lines = [
        "",
        "## The three risks beside Anonymeter's",
        "",
        "`python evaluation/risks.py --data-dir DIR --anonymeter ANON/bin/python`: 2,000 rows of "
        "Adult learned, 2,000 held out, 2,000 rows of each kind; Anonymeter 1.1.0 in an "
        "environment of its own. Risk above that of held-out rows, from 0 to 1: as `evaluate` "
        "measures it [95 % interval] / Anonymeter's.",
        "",
        "| rows | singling out | linkability | inference |",
        "|---|---|---|---|",
    ]
    for name in dict.fromkeys(r["of"] for r in risks):
        cells = [name]
        for r in risks:
            if r["of"] == name:
                value, low, high = r["ours"]
                cells.append(f"{value:.2f} [{low:.2f}, {high:.2f}] / {r['theirs']:.2f}")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def tasks(options: argparse.Namespace) -> Iterable[tuple[dict[str, Any], Callable[[], Any]]]:
    """What is to be measured, by what names it."""
    if options.controls:
        for seed in range(options.controls):
            for kind in options.only or CONTROLS:
                yield {"control": kind, "seed": seed}, lambda k=kind, s=seed: control(k, s)
        return
    for table in options.tables:
        for synthesizer in options.only or SYNTHESIZERS:
            named = {"synthesizer": synthesizer, "table": table}
            yield (
                named,
                lambda t=table, s=synthesizer: audited(
                    options.data_dir, t, s, options.rows, options.budget
                ),
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--tables", nargs="*", default=TABLES)
    parser.add_argument("--only", nargs="*", help="Synthesizers, or controls.")
    parser.add_argument("--rows", type=int, default=500, help="Rows of the class to learn from.")
    parser.add_argument("--budget", type=float, default=600.0, help="Seconds for shadow models.")
    parser.add_argument("--controls", type=int, default=0, help="Seeds of the controls.")
    parser.add_argument("--out", type=Path, default=HERE)
    options = parser.parse_args()
    path = options.out / "privacy.json"
    results = json.loads(path.read_text()) if path.exists() else []
    for named, measure in tasks(options):
        if any(named.items() <= r.items() for r in results):
            continue
        results.append(measure())
        print(json.dumps(named), round(results[-1].get("seconds", 0)), flush=True)
        path.write_text(json.dumps(results, indent=1) + "\n")
        (options.out / "privacy.md").write_text(page(results))
    (options.out / "privacy.md").write_text(page(results))


if __name__ == "__main__":
    main()
