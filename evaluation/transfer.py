"""Does TabFlow make better rows of a rare class, and does learning from all rows help it?

    python evaluation/transfer.py --data-dir DIR [--seeds 1] [--methods ...]

The cells of scope.py (same tables, sizes, splits and figures: `c2st` and `shape` against held-out
rows of the class, `ap` with synthetic rows in the place of the real minority), and 10 rows besides.
The figures of CTGAN and TVAE are those of scope.json. Methods here:

- copies: the real rows drawn with replacement (random over-sampling);
- bootstrap: SmoothedBootstrap;
- smote-nc: SMOTE for numbers and categories (Chawla et al. 2002), missing cells filled;
- tabflow class, adapt: the class alone; all rows first, then the class;
- tabflow adapt g2: the latter with guidance 2.

TabFlow trains as long as it does by default. Writes transfer.json beside itself after each cell,
goes on from it, and prints a table.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
from scope import TABLES, figures, split

SIZES = {
    30: ("wilt", "hypothyroid_uci", "nasscds", "bank_marketing"),
    100: ("wilt", "mammography", "hypothyroid_uci"),
    300: ("nasscds", "bank_marketing", "default_credit"),
    10: ("wilt", "hypothyroid_uci", "nasscds", "bank_marketing"),
}
METHODS = ("copies", "bootstrap", "smote-nc", "tabflow class", "tabflow adapt")


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
    method: str, train: pd.DataFrame, minority: str, rows: int, seed: int, device: str
) -> pd.DataFrame:
    from synthgen import SmoothedBootstrap, TabFlow

    real = train[train.target == minority]
    if method == "real":
        return real
    if method == "copies":
        return real.sample(rows, replace=True, random_state=seed)
    if method == "smote-nc":
        return smote(train, minority, rows, seed)
    if method == "bootstrap":
        model = SmoothedBootstrap(classes=[minority], random_state=seed)
    else:
        model = TabFlow(
            scope=method.split()[1],  # pyright: ignore[reportArgumentType]
            classes=[minority],
            guidance=2.0 if method.endswith("g2") else 1.0,
            device=device,
            random_state=seed,
        )
    model.fit(train.drop(columns="target"), train.target)
    return model.sample(rows, label=minority, random_state=seed)[train.columns]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--sizes", default="30,100,300,10")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    results = json.loads(options.out.read_text()) if options.out.exists() else []
    seen = {(r["table"], r["rows"], r["seed"], r["method"]) for r in results}
    for seed in range(options.seeds):
        for size in map(int, options.sizes.split(",")):
            for table in SIZES[size]:
                minority = TABLES[table]
                parts = split(options.data_dir / f"{table}.parquet", minority, size, seed)
                if parts is None:
                    continue
                train, test = parts
                rows = max(size, int((test.target == minority).sum()))
                for method in ("real", *options.methods.split(",")):
                    if (table, size, seed, method) in seen:
                        continue
                    start = time.perf_counter()
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        made = made_by(method, train, minority, rows, seed, options.device)
                    seconds = time.perf_counter() - start
                    majority = train[train.target != minority]
                    found = figures(train, majority, made, test, minority)
                    results.append(
                        {"table": table, "rows": size, "seed": seed, "method": method}
                        | {"seconds": round(seconds, 1)}
                        | {k: round(v, 4) for k, v in found.items()}
                    )
                    print(results[-1], flush=True)
                    options.out.write_text(json.dumps(results, indent=0) + "\n")
    print(summary(results))


def summary(results: list[dict[str, Any]]) -> str:
    """Means over the cells that every method has, as Markdown."""
    before = json.loads((Path(__file__).parent / "scope.json").read_text())
    for row in before:
        if row["seed"] == 0 and row["method"] in ("ctgan", "tvae") and row["scope"] != "all":
            results.append({**row, "method": f"{row['method']} {row['scope']}"})
    frame = pd.DataFrame(results)
    lines = [
        "| rows | method | tables | shape | c2st | ap | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for rows in sorted(frame[frame.method == "tabflow class"]["rows"].unique()):
        part = frame[frame["rows"] == rows]
        cells = part[part.method == "tabflow class"].table.unique()
        part = part[part.table.isin(cells)]
        for method, own in part.groupby("method", sort=False):
            if own.table.nunique() < len(cells):
                continue
            mean = own[["shape", "c2st", "ap"]].mean()
            shown = " | ".join(f"{v:.3f}" for v in mean)
            lines.append(
                f"| {rows} | {method} | {len(cells)} | {shown} | {own.seconds.mean():.0f} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
