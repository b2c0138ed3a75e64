"""What do more trees and larger leaves cost in fidelity, and what do they give back in privacy?

    python evaluation/trees.py --data-dir DIR

Of each of ten tables one half is learned from and the other half is held out, at most 2,000 rows of
the class in each (`--rows`) and 18,000 rows of other classes (`--others`). `SequentialTrees` makes
as many rows of the class as it learned from, once for each setting. Of these rows the battery
(`synthgen.metrics.battery`) and the privacy measures of `evaluate` are taken, and the share that
lies nearer to a training row, by Gower's distance, than 99 % of the held-out rows do.

The default is chosen on the first five tables and judged on the other five. Each result is written
to trees.jsonl as soon as it is there; what the file holds is not measured again.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from synthgen.encoding.matrix import Matrix
from synthgen.metrics.battery import battery
from synthgen.metrics.privacy import privacy
from synthgen.metrics.samples import Samples
from synthgen.metrics.verdicts import of_privacy
from synthgen.synthesizers.trees import SequentialTrees
from synthgen.tables.schema import Schema
from synthgen.tables.table import Table

CHOSEN_ON = ("adult", "magic", "nasscds", "mpls_stops_search", "bio_kdd04")
JUDGED_ON = (
    "bank_marketing",
    "nycflights_cancelled",
    "default_credit",
    "credit_data",
    "nafld_death",
)
RARE = {
    "adult": ">50K",
    "bank_marketing": "yes",
    "nycflights_cancelled": "cancelled",
    "nasscds": "dead",
    "magic": "h",
    "credit_data": "bad",
    "mpls_stops_search": "YES",
}
SETTINGS = ((5, 20), (5, 50), (5, 100), (10, 100), (5, 200))
OTHERS = 18_000
FIGURES = ("battery", "excess", "nearer", "near by Gower")


def halves(
    folder: Path, name: str, rows: int, seed: int, others: int = OTHERS
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows to learn from, and as many held-out rows; the target is True for the class."""
    files = ["adult_train", "adult_test"] if name == "adult" else [name]
    whole = pd.concat([pd.read_parquet(folder / f"{f}.parquet") for f in files], ignore_index=True)
    is_rare = (whole["target"].astype(str) == RARE.get(name, "1")).to_numpy()
    whole["target"] = is_rare
    rng = np.random.default_rng(seed)
    parts: list[list[np.ndarray]] = [[], []]
    for side, most in ((is_rare, rows), (~is_rare, others)):
        places = rng.permutation(np.flatnonzero(side))
        half = min(len(places) // 2, most)
        parts[0].append(places[:half])
        parts[1].append(places[half : 2 * half])
    first, second = (
        whole.iloc[np.sort(np.concatenate(part))].reset_index(drop=True) for part in parts
    )
    return first, second


def gower(rows: np.ndarray, others: np.ndarray, matrix: Matrix) -> np.ndarray:
    """Distance of each row to the nearest of `others`: the mean over columns of the difference in
    ranges of `others`, 1 for unlike levels and for a cell of which one is missing. Shape (rows,).
    """
    wide = np.nanmax(others, axis=0, initial=0) - np.nanmin(others, axis=0, initial=0)
    wide = np.where(wide > 0, wide, 1)
    least = np.empty(len(rows))
    for start in range(0, len(rows), 100):
        some = rows[start : start + 100, None]
        apart = np.minimum(np.abs(some - others) / wide, 1)
        apart = np.where(matrix.is_level, some != others, apart)
        gone, away = np.isnan(some), np.isnan(others)
        apart = np.where(gone | away, gone != away, apart)
        least[start : start + 100] = apart.mean(axis=2).min(axis=1)
    return least


def measured(
    train: pd.DataFrame, made: pd.DataFrame, held: pd.DataFrame, seed: int
) -> dict[str, Any]:
    """The battery and the privacy of rows of one class; no table has a target any more."""
    frames = [frame.reset_index(drop=True) for frame in (train, made[list(train)], held)]
    schema = Schema.infer(pd.concat(frames, ignore_index=True))
    tables = [Table(frame, schema) for frame in frames]
    matrix = Matrix.fitted_on(tables[0], with_target=False)
    cells = [matrix.cells(table) for table in tables]
    found = battery(Samples(matrix, *cells, group="class"), random_state=seed)
    part = privacy(*tables, group="class", random_state=seed, device="cpu")
    scores = {s.name.removeprefix("privacy."): s for s in part.scores}
    verdict = of_privacy(part, held_out=True)
    usual = np.quantile(gower(cells[2], cells[0], matrix), 0.01)
    excess = scores["mia_excess"]
    return {
        "battery": round(found.value, 3),
        "detectors": {f.detector: round(f.value, 3) for f in found.findings if f.quoted},
        "said": found.sentence,
        "excess": round(excess.value, 4),
        "excess interval": None
        if excess.interval is None
        else np.round(excess.interval, 3).tolist(),
        "nearer": round(scores["nearer_to_train"].value, 4),
        "near by Gower": round(float((gower(cells[1], cells[0], matrix) < usual).mean()), 4),
        "privacy": verdict.outcome,
        "why": verdict.sentence,
    }


def one(
    train: pd.DataFrame, held: pd.DataFrame, trees: int, min_leaf: int, seed: int
) -> dict[str, Any]:
    start = time.perf_counter()
    model = SequentialTrees(trees=trees, min_leaf=min_leaf, classes=[True], random_state=seed)
    model.fit(train.drop(columns="target"), train["target"])
    rare, fresh = (frame[frame["target"]].drop(columns="target") for frame in (train, held))
    made = model.sample(len(rare), label=True, random_state=seed).drop(columns="target")
    seconds = time.perf_counter() - start
    return {
        "rows": len(rare),
        "others": len(train) - len(rare),
        "seconds": round(seconds, 1),
        **measured(rare, made, fresh, seed),
    }


def table(results: list[dict[str, Any]]) -> str:
    """Each setting on the tables it is chosen on, and on those it is judged on."""
    lines = ["| tables | trees | leaf | battery, mean | least | " + " | ".join(FIGURES[1:])]
    lines[0] += " | privacy passes |"
    lines.append("|" + "---|" * 9)
    for text, names in (("chosen on", CHOSEN_ON), ("judged on", JUDGED_ON)):
        some = pd.DataFrame([r for r in results if r["table"] in names])
        if some.empty:
            continue
        for key, rows in some.groupby(["trees", "min_leaf"]):
            trees, leaf = key if isinstance(key, tuple) else (key, 0)
            means = rows[list(FIGURES)].mean()
            cells = [text, f"{trees}", f"{leaf}", f"{means['battery']:.3f}"]
            cells += [f"{rows['battery'].min():.3f}", f"{means['excess']:+.3f}"]
            cells += [f"{means['nearer']:.3f}", f"{means['near by Gower']:.1%}"]
            cells += [f"{(rows['privacy'] == 'passes').sum()} of {len(rows)}"]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Trees and leaves: fidelity against privacy")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--tables", default=",".join(CHOSEN_ON + JUDGED_ON))
    parser.add_argument("--settings", default=",".join(f"{t}x{leaf}" for t, leaf in SETTINGS))
    parser.add_argument("--rows", type=int, default=2_000)
    parser.add_argument("--others", type=int, default=OTHERS)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".jsonl"))
    options = parser.parse_args()
    results: list[dict[str, Any]] = []
    if options.out.exists():
        results = [json.loads(line) for line in options.out.read_text().splitlines()]
    seen = {(r["table"], r["trees"], r["min_leaf"], r["seed"]) for r in results}
    settings = [tuple(map(int, text.split("x"))) for text in options.settings.split(",")]
    for seed in range(options.seeds):
        for name in options.tables.split(","):
            left = [s for s in settings if (name, *s, seed) not in seen]
            if not left:
                continue
            train, held = halves(options.data_dir, name, options.rows, seed, options.others)
            for trees, min_leaf in left:
                found = one(train, held, trees, min_leaf, seed)
                found = {"table": name, "trees": trees, "min_leaf": min_leaf, "seed": seed} | found
                results.append(found)
                with options.out.open("a") as file:
                    file.write(json.dumps(found, ensure_ascii=False) + "\n")
                print(json.dumps({k: v for k, v in found.items() if k != "why"}), flush=True)
    if results:
        print(table(results))


if __name__ == "__main__":
    main()
