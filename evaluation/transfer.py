"""Are TabFlow's rows of a rare class more faithful than others, do they help, do they tell?

    python evaluation/transfer.py --data-dir DIR
    python evaluation/transfer.py --data-dir DIR --sizes 30,100 --splits 1 --gan-steps 1000
    python evaluation/transfer.py --data-dir DIR --judge forest --out transfer_forest.json
    python evaluation/transfer.py --summary

The first is the whole study: 13 tables, 10 to 300 rows of the rare class against 2,100 others, 5
splits 70/30, all methods. The second is a part of it for an afternoon on a CPU, the third has
another classifier than boosting. Each result is written to transfer.json as soon as it is there; a
call makes what the file lacks, so the study can be stopped and gone on with. Everything is fitted
on the training part.

Methods: ``nothing``; ``weights`` (the rare class weighs more in the loss, as much as with that
amount of rows); ``copies`` (random over-sampling); ``smote-nc`` (Chawla et al. 2002, missing cells
filled); ``fresh`` (further real rows of the class, where the table has enough: what is possible);
``chosen`` (what `synthgen.augment` adds by itself: TabFlow, the guard, an amount by validation);
and synthesizers by name, with ``scope`` after a dash: ``bootstrap``, ``ctgan``, ``tvae``,
``tabflow``, ``tabflow-class``, ``sdv:GaussianCopula``. Figures:

- shape, c2st: mean of 1 - KS and 1 - TV over columns, and 2 (1 - max(0.5, AUC)) of boosting that
  tells rows of the method from held-out rows of the class, in equal numbers; 1 is best. Of
  ``nothing``: the training rows themselves;
- replace: average precision of boosting with these rows in the place of the real minority;
- add: the same with them beside the real rows, at each amount: the class then has 10 % or 30 % of
  the rows of the largest class, is doubled, or balanced;
- excess, nearer: worst membership attack on the training rows of the class from the *same rows*,
  above the worst when fresh real rows stand in their place (`synthgen.metrics.privacy`), and the
  share nearer to training than to held-out rows (0.5 is best).

Average precision is at natural prevalence, that of the training part: held-out rows of the rare
class, of which there are more than their share, weigh less. Intervals are 95 % of a bootstrap over
tables.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scope import TABLES as FIRST
from scope import boosting, prepared, split

TABLES = FIRST | {
    "adult_train": ">50K",
    "flchain_mgus": "1",
    "magic": "h",
    "nycflights_cancelled": "cancelled",
    "seismic_bumps": "1",
}
SIZES = (30, 100, 10, 300)
AMOUNTS = (0.1, 0.3, "double", "balance")
METHODS = (
    *("nothing", "weights", "copies", "smote-nc", "fresh", "chosen", "bootstrap"),
    *("tabflow", "tabflow-class", "tvae", "ctgan"),
    *("sdv:GaussianCopula", "sdv:CTGAN", "sdv:TVAE"),
)
FEW = (10, 30, 100)
PLAIN = ("weights", "copies", "smote-nc", "bootstrap")
TUNED = ("wilt", "nasscds", "hypothyroid_uci", "bank_marketing")  # how to adapt was chosen there
REAL = ("nothing", "weights", "fresh")  # methods without rows of their own
HELD, DRAWS = 1000, 5000
RIVALS = ("ctgan", "tvae", "smote-nc", "copies", "bootstrap", "tabflow-class", "sdv:GaussianCopula")


def smote(train: pd.DataFrame, minority: str, rows: int, seed: int) -> pd.DataFrame:
    """New rows only."""
    from imblearn.over_sampling import SMOTE, SMOTENC

    X = train.drop(columns="target").copy()
    numbers = [c for c in X if pd.api.types.is_numeric_dtype(X[c])]
    levels = [c for c in X if c not in numbers]
    for name in numbers:
        X[name] = X[name].astype(float).fillna(X[name].median())
    for name in levels:
        X[name] = X[name].astype(object).where(X[name].notna(), "?").astype(str)
    y = (train.target == minority).astype(int)
    options: dict[str, Any] = {
        "sampling_strategy": {1: int(y.sum()) + rows},
        "k_neighbors": min(5, int(y.sum()) - 1),
        "random_state": seed,
    }
    if levels and not numbers:
        raise ValueError("SMOTE-NC needs a number")
    sampler = SMOTENC(levels, **options) if levels else SMOTE(**options)
    made: pd.DataFrame = sampler.fit_resample(X, y)[0]  # pyright: ignore[reportAssignmentType]
    return made.iloc[len(X) :].reset_index(drop=True).assign(target=minority)


def made_by(
    method: str, train: pd.DataFrame, minority: str, rows: int, seed: int, options: Any
) -> pd.DataFrame:
    """Rows of the class, learned from `train`."""
    from synthgen.synthesizers.lookup import resolve

    real = train[train.target == minority]
    if method == "copies":
        return real.sample(rows, replace=True, random_state=seed).reset_index(drop=True)
    if method == "smote-nc":
        return smote(train, minority, rows, seed)
    name, _, scope = method.partition("-")
    model = resolve(name).set_params(classes=[minority], random_state=seed)
    known = model.get_params()
    if "device" in known:
        model.set_params(device=options.device)
    if scope:
        model.set_params(scope=scope)
    if options.gan_steps and name in ("ctgan", "tvae"):
        model.set_params(steps=options.gan_steps, batch_size=200)
    model.fit(train.drop(columns="target"), train.target)
    return model.sample(rows, label=minority, random_state=seed)[list(train.columns)]


def goal(size: int, others: int, amount: float | str) -> int:
    """Rows that the class has with this amount."""
    wanted = {"double": 2 * size, "balance": others}.get(str(amount))
    return max(size, round(others * float(amount)) if wanted is None else wanted)


def classifier(judge: str) -> Any:
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    if judge == "boosting":
        return boosting()
    coder = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_include="category")),
        remainder=StandardScaler(),
    )
    if judge == "forest":
        return make_pipeline(coder, RandomForestClassifier(300, random_state=0))
    return make_pipeline(coder, LogisticRegression(max_iter=1000))


def ap(
    fit: pd.DataFrame,
    minority: str,
    test: pd.DataFrame,
    judge: str,
    weight: np.ndarray | None = None,
):
    """Average precision on `test`, weighted so that the class has its natural share."""
    from sklearn.metrics import average_precision_score

    features, model = prepared(pd.concat([fit, test], ignore_index=True)), classifier(judge)
    last = "" if judge == "boosting" else f"{model.steps[-1][0]}__"
    weights = {} if weight is None else {f"{last}sample_weight": weight}
    model.fit(features[: len(fit)], fit.target == minority, **weights)
    chance = model.predict_proba(features[len(fit) :])[:, 1]
    truth = (test.target == minority).to_numpy()
    return float(average_precision_score(truth, chance, sample_weight=test.attrs["weight"]))


def fidelity(made: pd.DataFrame, held: pd.DataFrame) -> dict[str, float]:
    from scipy.stats import ks_2samp
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    shapes = []
    for name in held.columns.drop("target"):
        a, b = made[name], held[name]
        if pd.api.types.is_numeric_dtype(b) and a.notna().any() and b.notna().any():
            shapes.append(1 - ks_2samp(a.dropna(), b.dropna()).statistic)
        else:
            p, q = a.value_counts(normalize=True), b.value_counts(normalize=True)
            shapes.append(1 - 0.5 * p.subtract(q, fill_value=0).abs().sum())
    n = min(len(held), len(made))
    pair = prepared(pd.concat([held.head(n), made.head(n)], ignore_index=True))
    which = np.repeat([0, 1], n)
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    told = cross_val_predict(boosting(), pair, which, cv=folds, method="predict_proba")[:, 1]
    area = max(0.5, float(roc_auc_score(which, told)))
    return {"shape": float(np.mean(shapes)), "c2st": 2 * (1 - area)}


def attacked(real: pd.DataFrame, made: pd.DataFrame, held: pd.DataFrame) -> dict[str, float]:
    from synthgen.metrics.privacy import privacy
    from synthgen.tables.table import Table

    frames = [f.drop(columns="target") for f in (real, made, held)]
    whole = pd.concat(frames, ignore_index=True).assign(target=np.arange(sum(map(len, frames))) % 2)
    table, ends = Table.of(whole, target="target"), np.cumsum([0, *map(len, frames)])
    parts = [table.rows(np.arange(a, b)) for a, b in pairwise(ends)]
    found = privacy(*parts, group="all", random_state=0, device="cpu")
    scores = {s.name: s.value for s in found.scores}
    return {
        "excess": scores["privacy.mia_excess"],
        "nearer": scores["privacy.nearer_to_train"],
    }


def further(folder: Path, name: str, minority: str, size: int, seed: int) -> pd.DataFrame:
    """Real rows of the class in the training part that the cell does not use."""
    frame = pd.read_parquet(folder / f"{name}.parquet").sample(frac=1, random_state=seed)
    rare = frame[frame.target == minority]
    return rare.iloc[size : int(0.7 * len(rare))].reset_index(drop=True)


def cell(
    folder: Path, name: str, size: int, seed: int, method: str, options: Any
) -> dict[str, Any] | None:
    """All figures of one method in one cell; None: the table has too few rows."""
    minority = TABLES[name]
    parts = split(folder / f"{name}.parquet", minority, size, seed)
    if parts is None:
        return None
    train, test = parts
    rare = (test.target == minority).to_numpy()
    test = test[~rare | (np.cumsum(rare) <= HELD)].reset_index(drop=True)
    rare = (test.target == minority).to_numpy()
    real, others = train[train.target == minority], train[train.target != minority]
    held = test[rare].reset_index(drop=True)
    share = size / len(others) * (~rare).sum() / rare.sum()
    test.attrs["weight"] = np.where(rare, share, 1.0)
    goals = {str(a): goal(size, len(others), a) for a in AMOUNTS}
    found: dict[str, Any] = {}
    start = time.perf_counter()
    made = real
    if method == "chosen":
        from synthgen import augment

        whole = augment(train, "target", labels=[minority], random_state=seed)
        gained = ap(whole.frame, minority, test, options.judge)
        spent = round(time.perf_counter() - start, 1)
        return {"seconds": spent, "made": whole.additions[0].rows, "add": {"chosen": gained}}
    if method == "fresh":
        made = further(folder, name, minority, size, seed)
    elif method not in REAL:
        rows = max(*goals.values(), size, len(held))
        made = made_by(method, train, minority, rows, seed, options)
    found["seconds"] = round(time.perf_counter() - start, 1)
    if method == "nothing":
        found |= fidelity(real, held)
        found["replace"] = ap(train, minority, test, options.judge)
        found["add"] = dict.fromkeys([*goals, "chosen"], found["replace"])
        return found
    if method not in REAL:
        most = max(size, len(held))
        found |= fidelity(made.head(most), held)
        replaced = pd.concat([others, made.head(most)], ignore_index=True)
        found["replace"] = ap(replaced, minority, test, options.judge)
        found |= attacked(real, made.head(most), held)
    found["add"] = {}
    for amount, wanted in goals.items():
        if method == "weights":
            weight = np.where(train.target == minority, wanted / size, 1.0)
            found["add"][amount] = ap(train, minority, test, options.judge, weight)
        elif len(made) >= wanted - size:
            both = pd.concat([train, made.head(wanted - size)], ignore_index=True)
            found["add"][amount] = ap(both, minority, test, options.judge)
    return found


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def write(path: Path, results: list[dict[str, Any]]) -> None:
    """One result a line; the old file survives every fault."""
    new = path.with_suffix(".tmp")
    new.write_text("[\n" + ",\n".join(map(json.dumps, results)) + "\n]\n")
    os.replace(new, path)


# --- what it says ---------------------------------------------------------------------------------


def interval(values: pd.DataFrame) -> str:
    """Mean over cells of the splits' means, and its 95 % interval over tables.

    Args:
        values: Columns table, rows, value; one row for each split.
    """
    cells = values.groupby(["table", "rows"]).value.mean()
    by_table = [part.to_numpy() for _, part in cells.groupby("table")]
    if len(by_table) < 2:
        return f"{cells.mean():+.3f}"
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(by_table), size=(DRAWS, len(by_table)))
    sums, counts = np.array([p.sum() for p in by_table]), np.array([len(p) for p in by_table])
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{cells.mean():+.3f} [{low:+.3f}, {high:+.3f}]"


def paired(frame: pd.DataFrame, one: str, other: str, column: str) -> pd.DataFrame:
    """`one` less `other`, where both were measured; columns table, rows, value."""
    key = ["table", "rows", "seed"]
    a, b = (
        frame[frame.method == m].dropna(subset=column).set_index(key)[column] for m in (one, other)
    )
    return (a - b).dropna().rename("value").reset_index()


def markdown(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)])


def summary(results: list[dict[str, Any]]) -> str:
    flat = [
        {k: v for k, v in r.items() if k != "add"} | {f"add {a}": v for a, v in r["add"].items()}
        for r in results
    ]
    frame = pd.DataFrame(flat)
    frame = frame.reindex(columns=frame.columns.union(["excess", "nearer", "add chosen"]))
    added = [f"add {a}" for a in AMOUNTS]
    cells = frame.groupby(["rows", "method", "table"]).mean(numeric_only=True)
    columns = ["shape", "c2st", "replace", "excess", "nearer", "seconds"]
    rows = []
    for size in sorted(frame["rows"].unique()):
        for method in METHODS:
            if method in ("weights", "fresh", "chosen") or (
                size,
                method,
            ) not in cells.index.droplevel(2):
                continue
            own = cells.loc[(size, method)]
            means = ["" if np.isnan(v) else f"{v:.3f}" for v in own[columns[:-1]].mean()]
            rows.append([size, method, len(own), *means, f"{own.seconds.mean():.0f}"])
    text = ["Means over tables:", "", markdown(["rows", "method", "tables", *columns], rows), ""]
    wins = []
    for other in RIVALS:
        c2st = paired(frame, "tabflow", other, "c2st")
        if len(c2st):
            by_cell = c2st.groupby(["table", "rows"]).value.mean()
            replace = paired(frame, "tabflow", other, "replace")
            won = f"{int((by_cell > 0).sum())} of {len(by_cell)}"
            wins.append([other, won, interval(c2st), interval(replace)])
    head = ["against", "cells with the higher c2st", "c2st", "replace"]
    text += ["TabFlow less the other, the same cells and splits:", "", markdown(head, wins), ""]
    head = ["rows", "", *map(str, AMOUNTS)]
    groups = [(size,) for size in sorted(frame["rows"].unique())]

    def gains(frame: pd.DataFrame, groups: Sequence[tuple[int, ...]], pairs: list[tuple[str, str]]):
        rows = []
        for sizes in groups:
            part = frame[frame["rows"].isin(sizes)]
            for one, other in pairs:
                found = [paired(part, one, other, a) for a in added]
                if any(map(len, found)):
                    said = one if other == "nothing" else f"tabflow less {other}"
                    cells = [interval(d) if len(d) else "" for d in found]
                    rows.append(
                        [" to ".join(map(str, sizes[:: len(sizes) - 1 or 1])), said, *cells]
                    )
        return [markdown(head, rows), ""]

    text += ["Average precision with the rows added, less that of nothing:", ""]
    text += gains(frame, [*groups, FEW], [(m, "nothing") for m in METHODS if m != "nothing"])
    text += ["TabFlow's rows added, less others:", ""]
    text += gains(frame, [*groups, FEW], [("tabflow", m) for m in PLAIN])
    text += ["The same on the tables on which nothing about TabFlow was chosen:", ""]
    untouched = frame[~frame.table.isin(TUNED)]
    text += gains(untouched, [*groups, FEW], [("tabflow", "nothing"), ("tabflow", "weights")])
    frame.loc[frame.method == "nothing", "add chosen"] = frame["replace"]
    rows = []
    for size in sorted(frame["rows"].unique()):
        part = frame[frame["rows"] == size]
        gain = paired(part, "chosen", "nothing", "add chosen")
        if len(gain):
            made = part[part.method == "chosen"].made
            rows.append([size, len(gain), f"{(made == 0).sum()}", interval(gain)])
    text += ["What `augment` adds by itself, less nothing:", ""]
    text += [markdown(["rows", "runs", "of them none added", "average precision"], rows), ""]
    rows = []
    for size in sorted(frame["rows"].unique()):
        for method in ("tabflow", "bootstrap", "smote-nc", "copies", "tvae", "ctgan"):
            own = frame[(frame["rows"] == size) & (frame.method == method)]
            if "excess" in own and own.excess.notna().any():
                values = own.dropna(subset="excess").assign(value=own.excess)
                rows.append([size, method, interval(values)])
    text += ["Worst membership attack above fresh real rows:", ""]
    text += [markdown(["rows", "method", "excess"], rows)]
    return "\n".join(text)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--tables", default=",".join(TABLES))
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--gan-steps", type=int, help="of CTGAN and TVAE, 200 rows each")
    parser.add_argument("--judge", choices=("boosting", "forest", "logistic"), default="boosting")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--summary", action="store_true", help="print the tables, measure nothing")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    results = json.loads(options.out.read_text()) if options.out.exists() else []
    seen = {(r["table"], r["rows"], r["seed"], r["method"]) for r in results}
    todo = [
        (name, size, seed, method)
        for seed in range(options.splits)
        for size in map(int, options.sizes.split(","))
        for name in options.tables.split(",")
        for method in options.methods.split(",")
        if not options.summary
    ]
    for name, size, seed, method in todo:
        if (name, size, seed, method) in seen:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = cell(options.data_dir, name, size, seed, method, options)
        if found is None:
            continue
        key = {"table": name, "rows": size, "seed": seed, "method": method}
        results.append(key | rounded(found))
        print(results[-1], flush=True)
        write(options.out, results)
    print(summary(results))


if __name__ == "__main__":
    main()
