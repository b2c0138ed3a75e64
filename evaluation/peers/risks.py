"""Anonymeter's risks of the tables in a folder; privacy.py calls it in Anonymeter's environment."""

import json
import sys
from pathlib import Path
from typing import Any

import anonymeter.evaluators as of  # pyright: ignore[reportMissingImports]
import numpy as np
import pandas as pd

RISKS = ("singling_out", "linkability", "inference")


def theirs(folder: Path) -> dict[str, dict[str, float]]:
    """Of each table beside train.csv and control.csv."""
    frames = {path.stem: pd.read_csv(path, keep_default_na=False) for path in folder.glob("*.csv")}
    given = {"ori": frames.pop("train"), "control": frames.pop("control"), "n_attacks": 400}
    names = list(given["ori"].columns)
    found = {}
    for name, made in frames.items():
        given["syn"], rng = made, np.random.default_rng(0)
        singled = of.SinglingOutEvaluator(**given, n_cols=5, seed=0).evaluate("multivariate")
        of_each: list[list[Any]] = [[singled], [], []]
        for _ in range(3):
            some = rng.permutation(names).tolist()
            halves = some[: len(some) // 2], some[len(some) // 2 :]
            linked = of.LinkabilityEvaluator(**given, aux_cols=halves, n_neighbors=5)
            of_each[1].append(linked.evaluate(n_jobs=1))
        for secret in names:
            number = pd.api.types.is_numeric_dtype(made[secret])
            known = {"aux_cols": [n for n in names if n != secret], "secret": secret}
            inferred = of.InferenceEvaluator(**given, **known, regression=number)
            of_each[2].append(inferred.evaluate(n_jobs=1))
        means = [float(np.mean([e.risk(0.95).value for e in some])) for some in of_each]
        found[name] = dict(zip(RISKS, means, strict=True))
    return found


if __name__ == "__main__":
    print(json.dumps(theirs(Path(sys.argv[1]))))
