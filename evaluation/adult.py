"""Adult, all rows of >50K, defaults: fidelity against held-out rows of the class, and utility on
the official test.

    python evaluation/adult.py --data-dir DIR [--synthesizers ctgan tvae bootstrap] [--seed 0]

Prints a Markdown table and writes adult.json beside itself. Shape: mean of 1 - KS (numbers) and 1 -
TV (levels) over columns, against the test's rows of the class. C2ST: ROC-AUC of boosting between
synthetic and test rows of the class, 3-fold, 0.5 is best. ROC-AUC and AP: boosting trained on the
real majority and the synthetic minority, on the official test at its prevalence (23.6 %). Seconds:
wall time of fit.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).parent))
from scope import figures

from synthgen.synthesizers.lookup import resolve

MINORITY = ">50K"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--synthesizers", nargs="+", default=["ctgan", "tvae", "bootstrap"])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    train = pd.read_parquet(options.data_dir / "adult_train.parquet")
    test = pd.read_parquet(options.data_dir / "adult_test.parquet")
    majority, real = train[train.target != MINORITY], train[train.target == MINORITY]
    results = {"real rows": figures(train, majority, real, test, MINORITY)}
    for name in options.synthesizers:
        started = time.perf_counter()
        model = resolve(name).set_params(random_state=options.seed)
        model.fit(train.drop(columns="target"), train.target)
        seconds = time.perf_counter() - started
        made = model.sample(len(real), label=MINORITY, random_state=options.seed)[train.columns]
        results[name] = figures(train, majority, made, test, MINORITY) | {"seconds": seconds}
    machine = {"cores": os.cpu_count(), "torch": torch.__version__, "seed": options.seed}
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps({"machine": machine, "results": results}, indent=1) + "\n")
    print("| rows of the class | shape | C2ST | ROC-AUC | AP | fit |\n|---|---|---|---|---|---|")
    for name, f in results.items():
        took = f"{f['seconds']:.0f} s" if "seconds" in f else ""
        print(
            f"| {name} | {f['shape']:.3f} | {f['c2st']:.3f} | {f['auc']:.3f} | {f['ap']:.3f} | "
            f"{took} |"
        )


if __name__ == "__main__":
    main()
