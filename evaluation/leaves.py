"""What does it cost to make the leaves of trees less exact, and does it hide who was learned?

    python evaluation/leaves.py --data-dir DIR

The rows are those of privacy.py: of each table 500 rows of the class, or half of them, and as many
others, to learn from; as many held out. `SequentialTrees` is fitted with each of the `SETTINGS`,
which replace how leaves are filled. Of its model the attacks of `synthgen.privacy` on the file are
taken, with four shadow models; of as many new rows of the class as were learned, boosting with and
without arithmetic (the two detectors of the battery that found most; one splitting in folds).

What is chosen is chosen on the first tables and judged on the others. Each result is written to
leaves.jsonl as soon as it is there; what the file holds is not measured again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from privacy import sides
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from trees import CHOSEN_ON as OF_TREES
from trees import JUDGED_ON

import synthgen.metrics.battery as of_battery
from synthgen.encoding.matrix import Matrix
from synthgen.exposure.membership import Attack, strongest, suspicions
from synthgen.exposure.release import audited_rows, both_sides
from synthgen.exposure.shadows import halves, shadow, through_a_file
from synthgen.metrics.arithmetic import Arithmetic
from synthgen.metrics.detectors import detectors
from synthgen.metrics.samples import independent
from synthgen.seeds import child_seed, seed_sequence
from synthgen.synthesizers import digits, forest, trees
from synthgen.synthesizers.bins import MISSING, Shares
from synthgen.tables.schema import Schema
from synthgen.tables.table import Table

CHOSEN_ON = tuple(name for name in OF_TREES if name != "bio_kdd04")  # too slow: 74 columns
# `part`: share of the rows that a tree learns from, other ones for each column; `noise`: standard
# deviation of the noise (Laplace) added to each count of a leaf; `toward`: rows that count for the
# shares of the node above, so that a leaf shrinks toward it; `units`: shares are multiples of
# 1 / units. One leaf of all rows leaves each column to itself.
SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "leaves of 200, one tree": {"min_leaf": 200, "trees": 1},
    "half of the rows": {"min_leaf": 100, "trees": 1, "part": 0.5},
    "half, shares in 20ths": {"min_leaf": 100, "trees": 1, "part": 0.5, "units": 20},
    "half, noise 2": {"min_leaf": 100, "trees": 1, "part": 0.5, "noise": 2, "toward": 50},
    "half, noise 5": {"min_leaf": 100, "trees": 1, "part": 0.5, "noise": 5, "toward": 100},
    "columns alone": {"min_leaf": 10**6, "trees": 1},
    "columns alone, noise 10": {"min_leaf": 10**6, "trees": 1, "noise": 10},
}
JUDGED = ("default", "half of the rows", "half, noise 2", "half, noise 5", "columns alone")
HERE = Path(__file__).parent
given: dict[str, Any] = {}  # what `grow` takes of the setting that is measured


# --- leaves ---------------------------------------------------------------------------------------


def grow(
    before: np.ndarray,
    codes: np.ndarray,
    response: np.ndarray | None,
    *,
    trees: int,
    min_leaf: int,
    seed: np.random.SeedSequence,
) -> forest.Forest:
    """As `forest.grow`, with leaves filled as `given` says."""
    rows, parts = len(codes), []
    names, told = np.unique(codes, return_inverse=True)
    for tree in range(trees):
        rng = np.random.default_rng(child_seed(seed, tree))
        drawn = rng.integers(rows, size=rows) if trees > 1 else np.arange(rows)
        if share := given.get("part"):
            drawn = rng.permutation(rows)[: int(rows * share)]
        X = before[drawn].astype(np.float32)
        X[X == MISSING] = np.nan
        settings: dict[str, Any] = {"min_samples_leaf": min_leaf, "random_state": 0}
        if response is None:
            model: Any = DecisionTreeClassifier(criterion="entropy", **settings)
            fitted = model.fit(X, told[drawn]).tree_
        else:
            fitted = DecisionTreeRegressor(**settings).fit(X, response[drawn]).tree_
        nodes = forest.tree_nodes(fitted)
        parts.append((nodes, *filled(nodes, before, told, drawn, names, rng)))
    return forest.joined(parts)


def filled(
    nodes: dict[str, np.ndarray],
    before: np.ndarray,
    told: np.ndarray,
    drawn: np.ndarray,
    names: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As the leaves of `forest`, with noise, shrinkage and rounding."""
    feature, right = nodes["feature"], nodes["right"]
    is_leaf, width = feature < 0, len(names)
    empty = Shares(np.zeros(1, np.int64), np.zeros(0, np.uint16))
    one = forest.Forest(
        np.zeros(1, np.int32), **nodes, leaf=forest.leaf_numbers(feature), shares=empty, codes=names
    )
    leaves = one.leaves(before, np.zeros(len(before), np.int64))
    counts = np.zeros((int(is_leaf.sum()), width))
    np.add.at(counts, (leaves[drawn], told[drawn]), 1)
    if noise := given.get("noise"):
        counts += np.rint(rng.laplace(0, noise / np.sqrt(2), counts.shape))
    held = np.zeros((len(feature), width))
    held[is_leaf] = counts
    above = np.full(len(feature), -1)
    for node in np.flatnonzero(~is_leaf):
        above[[node + 1, right[node]]] = node
    for node in range(len(feature) - 1, 0, -1):
        held[above[node]] += held[node]
    held = np.maximum(held, 0)
    shares = np.empty_like(held)
    for node, own in enumerate(held):
        usual = np.full(width, 1 / width) if node == 0 else shares[above[node]]
        weight = max(given.get("toward", 0) if node else 0, 1e-9)
        shares[node] = (own + weight * usual) / (own.sum() + weight)
    units = given.get("units", forest.SHARE_UNITS)
    weights = np.rint(units * shares[is_leaf])
    if units == forest.SHARE_UNITS:
        weights[counts > 0] = np.maximum(weights[counts > 0], 1)
    most = np.arange(len(weights)), shares[is_leaf].argmax(1)
    weights[most] = np.maximum(weights[most], 1)
    leaf, code = np.nonzero(weights)
    items = np.bincount(leaf, minlength=len(weights))
    return items, weights[leaf, code].astype(np.uint16), names[code].astype(np.uint16)


# --- figures --------------------------------------------------------------------------------------


def attacked(model: Any, train: pd.DataFrame, held: pd.DataFrame) -> Attack:
    """The worst attack of `synthgen.privacy` on the file, on rows of the class."""
    source = seed_sequence(0)
    file, _ = through_a_file(model)
    whole, member = both_sides(train, held, "target", None)
    device = torch.device("cpu")
    audited, asked = audited_rows(file, whole, member, True, device, child_seed(source, 0))
    rows = audited.rows
    losses, learned = [file.losses(rows, source)], []
    for pair in range(2):
        first = halves(audited.table, child_seed(source, 2, pair))
        for k, half in enumerate((first, ~first)):
            other = shadow(model, audited, half, child_seed(source, 3, pair, k))
            losses.append(other.losses(rows, source))
            learned.append(half[audited.asked])
    found = suspicions(losses[0], np.stack(losses[1:]), np.stack(learned), child_seed(source, 4))
    rare = rows.frame["target"].astype(bool).to_numpy()
    some = {name: suspected[:, rare] for name, suspected in found.items()}
    return strongest(some, asked[rare], opponent="file", group="True", seed=child_seed(source, 5))


class Judge:
    """Two detectors of the battery on one table, and their controls, measured once."""

    def __init__(self, train: pd.DataFrame, held: pd.DataFrame) -> None:
        schema = Schema.infer(pd.concat([train, held], ignore_index=True))
        self.matrix = Matrix.fitted_on(Table(train, schema), with_target=False)
        self.schema = schema
        self.real, self.held = self._cells(train), self._cells(held)
        arithmetic = Arithmetic.of(self.matrix)
        every = detectors(self.matrix, arithmetic, self.real, "histogram")
        self.detectors = [one for one in every if one.name in ("boosting", "arithmetic")]
        shuffled = independent(np.random.default_rng(0), self.real)
        self.controls = [
            (self._told(one, self.real), self._told(one, shuffled)) for one in self.detectors
        ]

    def _cells(self, frame: pd.DataFrame) -> np.ndarray:
        return of_battery.in_order(
            self.matrix.cells(Table(frame.reset_index(drop=True), self.schema))
        )

    def _told(self, detector: Any, sample: np.ndarray) -> of_battery.Told:
        rows = min(len(sample), len(self.held), detector.rows)
        rng = np.random.default_rng(0)
        some = [cells[rng.permutation(len(cells))[:rows]] for cells in (self.held, sample)]
        y = np.repeat([False, True], rows)
        features = np.vstack([detector.features(cells) for cells in some])
        told = of_battery.out_of_fold(detector, features, y, of_battery.stratified_folds(y, rng), 0)
        return of_battery.Told(*of_battery.delong_area(y, told))

    def figures(self, made: pd.DataFrame) -> dict[str, float]:
        """The published two-sample score, and each detector's value of the battery."""
        cells, found = self._cells(made[self.schema.names]), {}
        for one, controls in zip(self.detectors, self.controls, strict=True):
            told = self._told(one, cells)
            of = of_battery.Finding(one.name, one.words, len(cells), told, *controls)
            found[one.name] = round(of.value, 3)
            if one.name == "boosting":
                found["score"] = round(told.score, 3)
        return found


@cache
def prepared(folder: Path, table: str, rows: int) -> tuple[pd.DataFrame, pd.DataFrame, Judge]:
    train, held = sides(folder, table, rows)
    of_class = [
        frame[frame["target"]].drop(columns="target").reset_index(drop=True)
        for frame in (train, held)
    ]
    return train, held, Judge(*of_class)


def measured(folder: Path, table: str, setting: Mapping[str, Any], rows: int) -> dict[str, Any]:
    train, held, judge = prepared(folder, table, rows)
    given.clear()
    given.update(setting)
    kept = {name: setting[name] for name in ("trees", "min_leaf") if name in setting}
    model = trees.SequentialTrees(classes=[True], random_state=0, **kept)
    model.fit(train.drop(columns="target"), train["target"])
    worst = attacked(model, train, held)
    made = model.sample(int(train["target"].sum()), label=True, random_state=0)
    figures = judge.figures(made.drop(columns="target"))
    return {
        "rows": int(train["target"].sum()),
        "found": round(worst.tpr_10, 3),
        "interval": [round(float(v), 3) for v in worst.interval],
        "null": round(worst.tpr_10_null, 3),
        "attack": worst.attack,
        "least": min(figures[name] for name in ("boosting", "arithmetic")),
        **figures,
    }


def page(results: list[dict[str, Any]]) -> str:
    """Means over tables, one line for each setting."""
    lines = ["| tables | setting | pass, fail | found, mean | from | to | score | least |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for text, names in (("chosen on", CHOSEN_ON), ("judged on", JUDGED_ON)):
        for setting in SETTINGS:
            of = [r for r in results if r["setting"] == setting and r["table"] in names]
            if not of:
                continue
            fails = sum(r["interval"][0] > 0.15 for r in of)
            passes = sum(r["found"] <= 0.15 and r["interval"][1] <= 0.2 for r in of)
            found = [r["found"] for r in of]
            score, least = (np.mean([r[name] for r in of]) for name in ("score", "least"))
            lines.append(
                f"| {text} ({len(of)}) | {setting} | {passes}, {fails} | {np.mean(found):.0%} | "
                f"{min(found):.0%} | {max(found):.0%} | {score:.2f} | {least:.2f} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--tables", nargs="*", default=CHOSEN_ON + JUDGED_ON)
    parser.add_argument("--settings", nargs="*")
    parser.add_argument("--rows", type=int, default=500, help="Rows of the class to learn from.")
    parser.add_argument("--out", type=Path, default=HERE)
    options = parser.parse_args()
    trees.grow = digits.grow = grow
    trees.CLASS_LEAVES = 0  # so that one leaf of all rows is no reason to resample
    log = options.out / "leaves.jsonl"
    results = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    for table in options.tables:
        for setting in options.settings or (SETTINGS if table in CHOSEN_ON else JUDGED):
            named = {"table": table, "setting": setting}
            if any(named.items() <= r.items() for r in results):
                continue
            found = measured(options.data_dir, table, SETTINGS[setting], options.rows)
            results.append(named | found)
            with log.open("a") as file:
                file.write(json.dumps(results[-1]) + "\n")
            print(json.dumps(results[-1]), flush=True)
    print(page(results))


if __name__ == "__main__":
    main()
