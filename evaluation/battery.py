"""Which rows survive every detector of the battery?

    python evaluation/battery.py --data-dir DIR
    python evaluation/battery.py --data-dir DIR --rows trees,real,independent,tabflow --seeds 5

Adult (both official parts together), Magic and Default are cut into two random halves. Generators
learn from one half; the other half, 9,510 to 24,421 rows, is what the battery compares with
(`synthgen.metrics.battery`), at most 10,000 rows of each side at a time. Rows:

- real: one half of the training rows in the synthetic rows' place, the other half as the control
  (of Magic 4,755 rows each): 1 up to chance;
- independent: the training half, each column shuffled by itself: 0 up to chance;
- trees: `SequentialTrees` of synthgen where it is there, else the prototype that `--prototype`
  names;
- tabflow: TabFlow on all classes, `--steps` updates. Fewer than 4,000 are fewer than it is meant
  for, and the results say so.
- a path to a folder with NAME.parquet for each table: rows made elsewhere, from the same half
  (`--write-halves FOLDER` writes the halves).

Writes a result as soon as it is there and makes what the file lacks; `--again` makes all of it.
"""

from __future__ import annotations

import argparse
import json
import time
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from synthgen.encoding.matrix import Matrix
from synthgen.metrics.battery import Battery, battery
from synthgen.metrics.samples import Samples
from synthgen.tables.schema import Schema
from synthgen.tables.table import Table

TABLES = ("adult", "magic", "default_credit")
FULL_STEPS = 4_000
# As measured in the prototype's note: more rows in a leaf where there are more rows to learn from.
PROTOTYPE_LEAF = {"adult": 50}


def halves(folder: Path, name: str, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two random halves of a table: to learn from, and held out."""
    if name == "adult":
        parts = [pd.read_parquet(folder / f"adult_{part}.parquet") for part in ("train", "test")]
        whole = pd.concat(parts, ignore_index=True)
    else:
        whole = pd.read_parquet(folder / f"{name}.parquet")
    whole = whole.sample(frac=1, random_state=seed).reset_index(drop=True)
    cut = len(whole) // 2
    return whole.iloc[:cut].reset_index(drop=True), whole.iloc[cut:].reset_index(drop=True)


def generated(
    kind: str, name: str, train: pd.DataFrame, seed: int, options: argparse.Namespace
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """As many rows as `train` has, and what they cost."""
    if kind == "real":
        return train, {}
    if kind == "independent":
        rng = np.random.default_rng(seed)
        return pd.DataFrame(
            {c: train[c].to_numpy()[rng.permutation(len(train))] for c in train}
        ), {}
    if kind not in ("trees", "tabflow"):
        return pd.read_parquet(Path(kind) / f"{name}.parquet"), {}
    start = time.perf_counter()
    make = _trees if kind == "trees" else _tabflow
    made, cost = make(name, train, seed, options)
    return made, {"seconds": round(time.perf_counter() - start, 1), **cost}


def _trees(
    name: str, train: pd.DataFrame, seed: int, options: argparse.Namespace
) -> tuple[pd.DataFrame, dict[str, Any]]:
    if find_spec("synthgen.synthesizers.trees") is not None:
        kind = import_module("synthgen.synthesizers.trees").SequentialTrees
        model = kind(classes=sorted(train["target"].unique()), random_state=seed)
        model.fit(train.drop(columns="target"), train["target"])
        return model.sample(len(train), random_state=seed)[list(train)], {}
    if options.prototype is None:
        raise SystemExit("no SequentialTrees in synthgen: name the prototype with --prototype FILE")
    spec = spec_from_file_location("prototype", options.prototype)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    leaf = PROTOTYPE_LEAF.get(name, 20)
    made = module.SequentialTrees(leaf, 5, seed).fit(train).sample(len(train), seed=seed + 1)
    for column in train:  # which marks missing levels so
        if train[column].dtype == object:
            made[column] = made[column].where(made[column] != "?", None)
    return made[list(train)], {"prototype": f"5 trees, leaf {leaf}"}


def _tabflow(
    name: str, train: pd.DataFrame, seed: int, options: argparse.Namespace
) -> tuple[pd.DataFrame, dict[str, Any]]:
    from synthgen.synthesizers.flow import TabFlow

    X, y = train.drop(columns="target"), train["target"]
    classes = sorted(y.unique())
    model = TabFlow(scope="all", classes=classes, steps=options.steps, random_state=seed)
    made = model.fit(X, y).sample(len(train), random_state=seed)[list(train)]
    flag = {"few steps": True} if options.steps < FULL_STEPS else {}
    return made, {"steps": options.steps, **flag}


def measured(
    train: pd.DataFrame, made: pd.DataFrame, held: pd.DataFrame, *, real: bool, seed: int, xgb: bool
) -> Battery:
    """The battery of these rows; real rows are the first part of train, compared with the rest."""
    if real:
        cut = len(train) // 2
        made, train = train.iloc[:cut], train.iloc[cut:]
    frames = [frame.reset_index(drop=True) for frame in (train, made, held)]
    schema = Schema.infer(pd.concat(frames, ignore_index=True), target="target")
    tables = [Table(frame, schema) for frame in frames]
    matrix = Matrix.fitted_on(tables[0], with_target=True)
    draws = Samples(matrix, *map(matrix.cells, tables), group="all")
    return battery(draws, boosting="xgboost" if xgb else "histogram", random_state=seed)


def plain(found: Battery) -> dict[str, Any]:
    """A battery as JSON holds it."""
    out: dict[str, Any] = {"minimum": round(found.value, 3), "said": found.sentence}
    for one in found.findings:
        out[one.detector] = {
            "value": round(one.value, 3),
            "interval": None if one.interval is None else [round(v, 3) for v in one.interval],
            "score": round(one.made.score, 3),
            "real": round(one.real.score, 3),
            "independent": round(one.independent.score, 3),
            "detector": one.words,
            "rows": one.rows,
        }
    return out


def table(results: list[dict[str, Any]]) -> str:
    """Means over seeds, as Markdown."""
    kinds = [key for key, value in results[0].items() if isinstance(value, dict)]
    rows = [
        {key: r[key] for key in ("table", "rows", "minimum")}
        | {kind: r[kind]["value"] for kind in kinds}
        for r in results
    ]
    means = pd.DataFrame(rows).groupby(["table", "rows"], sort=False).mean()
    columns = ["minimum", *kinds]
    lines = [f"| table | rows | {' | '.join(columns)} |", "|" + "---|" * (len(columns) + 2)]
    for key, row in means.iterrows():
        first, second = key if isinstance(key, tuple) else (key, "")
        lines.append(f"| {first} | {second} | {' | '.join(f'{row[c]:.3f}' for c in columns)} |")
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Which rows survive every detector?")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--tables", default=",".join(TABLES))
    parser.add_argument("--rows", default="real,independent,trees")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--steps", type=int, default=FULL_STEPS, help="updates of TabFlow")
    parser.add_argument("--prototype", type=Path, help="file with a class SequentialTrees")
    parser.add_argument("--xgboost", action="store_true", help="as the first detector")
    parser.add_argument("--again", action="store_true", help="measure what the file holds, too")
    parser.add_argument(
        "--write-halves", type=Path, help="write the halves there, and nothing else"
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    return parser.parse_args()


def main() -> None:
    options = arguments()
    results: list[dict[str, Any]] = []
    if options.out.exists() and not options.again:
        results = json.loads(options.out.read_text())
    seen = {(r["table"], r["rows"], r["seed"]) for r in results}
    for seed in range(options.seeds):
        for name in options.tables.split(","):
            train, held = halves(options.data_dir, name, seed)
            if options.write_halves:
                options.write_halves.mkdir(parents=True, exist_ok=True)
                for part, frame in (("train", train), ("held", held)):
                    frame.to_parquet(options.write_halves / f"{name}_{part}_{seed}.parquet")
                continue
            for kind in options.rows.split(","):
                if (name, kind, seed) in seen:
                    continue
                made, cost = generated(kind, name, train, seed, options)
                start = time.perf_counter()
                found = measured(
                    train, made, held, real=kind == "real", seed=seed, xgb=options.xgboost
                )
                result = {"table": name, "rows": kind, "seed": seed, **plain(found), **cost}
                result["battery seconds"] = round(time.perf_counter() - start, 1)
                print(f"{name}, {kind}: {found.value:.3f}. {found.sentence}", flush=True)
                results.append(result)
                options.out.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    if results:
        print(table(results))


if __name__ == "__main__":
    main()
