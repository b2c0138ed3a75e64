"""Singling out, linkability and inference as `evaluate` measures them, beside Anonymeter's.

    python -m venv ANON && ANON/bin/pip install anonymeter
    python evaluation/risks.py --data-dir DIR --anonymeter ANON/bin/python

Anonymeter pins NumPy below 1.27, so it runs in an environment of its own, where this script calls
itself. Of Adult 2,000 rows are learned, 2,000 held out and 2,000 fresh. Copies of the learned rows,
fresh rows and rows of trees are attacked, each risk with 400 attacks. Anonymeter gets conditions on
five columns, three splits into halves with five neighbours, and each column as the secret; the last
two are means. Writes into privacy.json and privacy.md; the interval is that of `evaluate`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROWS = 2000
RISKS = ("singling_out", "linkability", "inference")


def theirs(folder: Path) -> dict[str, dict[str, float]]:
    """Anonymeter's risks of each table in the folder; runs in its environment."""
    import anonymeter.evaluators as of  # pyright: ignore[reportMissingImports]

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


def main() -> None:
    from privacy import page

    from synthgen import Schema, SequentialTrees
    from synthgen.metrics.risks import risks
    from synthgen.seeds import seed_sequence
    from synthgen.tables.table import Table

    parser = argparse.ArgumentParser(description="Risks beside those of Anonymeter.")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--anonymeter", required=True, help="Python with anonymeter installed.")
    options = parser.parse_args()
    whole = pd.read_parquet(options.data_dir / "adult_train.parquet")
    whole = whole.sample(3 * ROWS, random_state=0).reset_index(drop=True)
    train, held, fresh = (whole.iloc[k * ROWS : (k + 1) * ROWS] for k in range(3))
    trees = SequentialTrees(classes=["<=50K", ">50K"], random_state=0).fit(train, target="target")
    kinds = {"copies": train, "fresh rows": fresh, "trees": trees.sample(ROWS, random_state=0)}
    with tempfile.TemporaryDirectory() as folder:
        for name, frame in {**kinds, "train": train, "control": held}.items():
            told = frame[list(whole)].astype(object)
            told.where(told.notna(), "").to_csv(f"{folder}/{name}.csv", index=False)
        command = [options.anonymeter, "-W", "ignore", __file__, folder]
        beside = json.loads(subprocess.check_output(command))
    schema = Schema.infer(whole)
    path = Path(__file__).with_name("privacy.json")
    results = [r for r in json.loads(path.read_text()) if "risk" not in r]
    for name, frame in kinds.items():
        real, made, held_out = (Table(f[list(whole)], schema) for f in (train, frame, held))
        for score in risks(schema.columns, (real, made, held_out), "all", seed_sequence(0)):
            kind, ours = score.name.removeprefix("privacy."), [score.value, *(score.interval or ())]
            results.append({"risk": kind, "of": name, "ours": ours, "theirs": beside[name][kind]})
    path.write_text(json.dumps(results, indent=1) + "\n")
    path.with_suffix(".md").write_text(page(results))


if __name__ == "__main__":
    folders = [Path(word) for word in sys.argv[1:] if not word.startswith("-")]
    print(json.dumps(theirs(*folders))) if len(sys.argv) == 2 and folders else main()
