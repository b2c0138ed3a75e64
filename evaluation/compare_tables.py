"""`synthgen.compare` on real tables: the verdicts, and how long they take.

    python evaluation/compare_tables.py --data-dir DIR [--tables wilt ...] [--seeds 0 1]
    [--strategies default] [--jobs 2] [--budget SECONDS] [--out FILE.json]

Prints both verdicts and the average precision of each remedy, for each table and seed, and appends
them to the JSON file.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import pandas as pd

from synthgen.comparison import compare

TABLES = ["nasscds", "lending_club", "mammography", "wilt", "bank_marketing"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--tables", nargs="+", default=TABLES)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--strategies", nargs="+", default=["default"])
    parser.add_argument("--estimator", default="hgb")
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--jobs", type=int, default=-1)
    parser.add_argument("--budget", type=float)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    for name in options.tables:
        frame = pd.read_parquet(options.data_dir / f"{name}.parquet")
        for seed in options.seeds:
            started = time.perf_counter()
            found = compare(
                frame.drop(columns="target"),
                frame["target"],
                strategies=options.strategies,
                estimator=options.estimator,
                repeats=options.repeats,
                time_budget=options.budget,
                n_jobs=options.jobs,
                random_state=seed,
            )
            seconds = time.perf_counter() - started
            print(f"{name}, seed {seed}: {seconds:.0f} s", flush=True)
            print(*(f"    {line}" for line in found.summary_lines()), sep="\n", flush=True)
            for r in found.results:
                if r.metric == found.metric:
                    low, high = r.interval
                    print(
                        f"    {r.strategy:18} {r.mean:.4f}  {r.difference:+.4f} "
                        f"[{low:+.4f}, {high:+.4f}]  {found.seconds.get(r.strategy, 0):.0f} s",
                        flush=True,
                    )
            if options.out is not None:
                old = json.loads(options.out.read_text()) if options.out.exists() else []
                new = {"table": name, "seconds": seconds, **found.to_json()}
                new.pop("curves")
                options.out.write_text(json.dumps([*old, new], indent=1, default=str))


if __name__ == "__main__":
    main()
