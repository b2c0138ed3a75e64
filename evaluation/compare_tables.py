"""`synthgen.compare` on real tables: the verdicts, what choosing costs, and how long it takes.

    python evaluation/compare_tables.py --data-dir DIR [--tables wilt ...] [--seeds 0 1]
    [--strategies default] [--jobs 2] [--budget SECONDS] [--out FILE.json] [--pages DIR]
    python evaluation/compare_tables.py --data-dir DIR --tables adult_train --sweep 0.001 0.01 0.1

Prints both verdicts and the average precision of each remedy, for each table and seed, and appends
them to the JSON file. Regret is what the best single remedy has on average, less what `auto` has
that chooses among them: once on inner folds (nested), once on all other splits (left out).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from synthgen.comparison.compare import compare
from synthgen.comparison.comparison import Comparison
from synthgen.comparison.comparison_page import render_comparison
from synthgen.comparison.sweep import sweep
from synthgen.comparison.sweep_page import render_sweep
from synthgen.model_selection.selection import choose
from synthgen.tables.disk import write_text

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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--tables", nargs="+", default=TABLES)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--rows", type=int, help="Of each table; all of the rarest class stay.")
    parser.add_argument("--sweep", nargs="+", type=float, help="Rates, or rows, of the class.")
    parser.add_argument("--strategies", nargs="+", default=["default"])
    parser.add_argument("--estimator", default="hgb")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--jobs", type=int, default=-1)
    parser.add_argument("--budget", type=float)
    parser.add_argument("--resume", type=Path, help="Folder that keeps what is finished.")
    parser.add_argument("--pages", type=Path, help="Folder for pages.")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    for name in options.tables:
        frame = pd.read_parquet(options.data_dir / f"{name}.parquet")
        label = frame["target"].value_counts().idxmin()
        if options.rows is not None and options.rows < len(frame):
            is_rare = frame["target"] == label
            others = frame[~is_rare].sample(options.rows - is_rare.sum(), random_state=0)
            frame = pd.concat([frame[is_rare], others], ignore_index=True)
        for seed in options.seeds:
            started = time.perf_counter()
            kind = "sweep" if options.sweep else "-".join(options.strategies)
            title = f"{name}-{kind}-{seed}"
            how: dict[str, Any] = {
                "label": label,
                "strategies": options.strategies,
                "estimator": options.estimator,
                "folds": options.folds,
                "repeats": options.repeats,
                "time_budget": options.budget,
                "n_jobs": options.jobs,
                "random_state": seed,
                "resume": None if options.resume is None else options.resume / f"{title}.json",
            }
            X, y = frame.drop(columns="target"), frame["target"]
            new: dict[str, Any] = {"table": name, "seed": seed, "budget": options.budget}
            if options.sweep:
                swept = sweep(X, y, at=options.sweep, **how)
                for rate, point in zip(swept.rates, swept.points, strict=True):
                    print(f"{name}, seed {seed}, rate {rate:.3%}", flush=True)
                    show(point)
                new |= {"rates": swept.rates, "always_no_accuracy": swept.always_no}
                new["points"] = [plain(point) for point in swept.points]
                if options.pages is not None:
                    write_text(options.pages / f"{title}.html", render_sweep(swept))
            else:
                found = compare(X, y, **how)
                show(found)
                new |= plain(found)
                if options.pages is not None:
                    write_text(options.pages / f"{title}.html", render_comparison(found))
            new["wall"] = time.perf_counter() - started
            print(f"{name}, seed {seed}: {new['wall']:.0f} s, {options.jobs} processes", flush=True)
            if options.out is not None:
                old = json.loads(options.out.read_text()) if options.out.exists() else []
                options.out.write_text(json.dumps([*old, new], default=str))


if __name__ == "__main__":
    main()
