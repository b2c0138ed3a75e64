"""How faithful are rows of a whole table, and how should numbers be represented?

    python evaluation/fidelity.py --data-dir DIR
    python evaluation/fidelity.py --data-dir DIR --published --rows 0 --seeds 5 \\
        --steps 10000 --batch 4096 --device cuda --out evaluation/published.json

The first is for a CPU (3,000 rows, 800 steps of 256); the second is the published protocol, with
all rows, on a GPU. Each result is written as soon as it is there, and a call makes what the file
lacks.

For Adult (official test), Magic and Default (90/10, or equal parts where `--rows` limits them):
TabFlow learns all classes together, and makes as many rows as it learned from. Figures, without
`--published`, whose figures are those of published.py:

- shape, trend: SDMetrics' definitions, against the training rows, as errors in percent: mean of
  KS and TV distances over columns, mean over pairs of half the difference of correlations (two
  numbers) or of the TV distance of contingencies (ten equal bins for a number);
- c2st train, c2st test: 2 (1 - max(0.5, AUC)) of histogram boosting that tells synthetic from
  training rows, or from held-out ones, 3-fold, in equal numbers; 1 is best;
- tstr: AUC on held-out rows of boosting trained on synthetic rows;
- nearer: share of synthetic rows nearer to a training than to a held-out row; 0.5 is best (with
  `--published`, too).

Floor: each column drawn on its own. Ceiling: other real rows. A variant changes constants of
``synthgen.synthesizers.flow`` or ``synthgen.encoding.encoder``; `--width` holds for all of them.
Writes fidelity.json beside itself and prints a table.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import published

TABLES = ("adult", "magic", "default_credit")
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "rate 1e-3": {"learning_rate": 1e-3},
    "a fifth shown": {"SHOWN_ROWS": 0.2},
    "earlier moments": {"LATE": 0.0},
    "later moments": {"LATE": 1.5},
    "width 128": {"MAX_WIDTH": 128},
    "width 256": {"MAX_WIDTH": 256},
    "levels up to 32": {"columns.MAX_LEVELS": 32},
    "200 knots": {"columns.KNOTS": 200},
    "a knot per row": {"columns.KNOTS": 100_000},
}
# Of the first variant, rows are made with so many steps from noise besides the default.
SOLVER_STEPS = (10, 20, 100)


def split(folder: Path, name: str, rows: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and held-out rows."""
    if name == "adult":
        train = pd.read_parquet(folder / "adult_train.parquet")
        test = pd.read_parquet(folder / "adult_test.parquet")
    else:
        whole = pd.read_parquet(folder / f"{name}.parquet").sample(frac=1, random_state=seed)
        cut = max(len(whole) // 10, min(rows, len(whole) // 2))
        train, test = whole.iloc[cut:], whole.iloc[:cut]
    if rows:
        train = train.sample(min(rows, len(train)), random_state=seed)
        test = test.sample(min(rows, len(test)), random_state=seed)
    return train.reset_index(drop=True), test.reset_index(drop=True)


def is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def prepared(*frames: pd.DataFrame) -> list[pd.DataFrame]:
    """Frames as boosting takes them: floats, and codes of levels known to all of them."""
    whole = pd.concat(frames, ignore_index=True)
    out = {}
    for name in whole.columns:
        column = whole[name]
        if is_number(column):
            out[name] = column.astype(float)
        else:
            text = column.astype(object).where(column.notna(), "?").astype(str)
            out[name] = text.astype("category")
    ends = np.cumsum([0, *map(len, frames)])
    joined = pd.DataFrame(out)
    return [joined.iloc[a:b].reset_index(drop=True) for a, b in pairwise(ends)]


def shape_and_trend(real: pd.DataFrame, made: pd.DataFrame) -> tuple[float, float]:
    """Errors in percent."""
    from scipy.stats import ks_2samp

    real, made = prepared(real, made)
    shapes, levels = [], {}
    for name in real.columns:
        a, b = real[name], made[name]
        if is_number(a):
            shapes.append(ks_2samp(a.dropna(), b.dropna(), method="asymp")[0])
            edges = np.linspace(a.min(), a.max(), 11)[1:-1]
            levels[name] = [np.digitize(c.fillna(a.min()), edges) for c in (a, b)]
        else:
            levels[name] = [c.cat.codes.to_numpy() for c in (a, b)]
            shapes.append(distance(*levels[name]))
    trends = []
    names = list(real.columns)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            if is_number(real[one]) and is_number(real[other]):
                gap = real[one].corr(real[other]) - made[one].corr(made[other])
                trends.append(abs(gap) / 2 if np.isfinite(gap) else 1.0)
            else:
                pair = [
                    levels[one][k].astype(np.int64) * 100_000 + levels[other][k] for k in (0, 1)
                ]
                trends.append(distance(*pair))
    return 100 * float(np.mean(shapes)), 100 * float(np.mean(trends))


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Total variation between two samples of codes."""
    known, codes = np.unique(np.concatenate([a, b]), return_inverse=True)
    shares = [
        np.bincount(part, minlength=len(known)) / len(part)
        for part in (codes[: len(a)], codes[len(a) :])
    ]
    return 0.5 * float(np.abs(shares[0] - shares[1]).sum())


def boosting():
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        categorical_features="from_dtype", max_iter=100, random_state=0
    )


def fewer_levels(frame: pd.DataFrame) -> pd.DataFrame:
    """Levels beyond the 200 most frequent as one: histogram boosting takes 255."""
    out = frame.copy()
    for name in out.columns:
        if not is_number(out[name]):
            keep = out[name].value_counts().index[:200]
            known = out[name].astype(object).where(out[name].isin(keep), "other")
            out[name] = known.astype("category")
    return out


def c2st(real: pd.DataFrame, made: pd.DataFrame) -> float:
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    n = min(len(real), len(made))
    X = fewer_levels(pd.concat(prepared(real.iloc[:n], made.iloc[:n]), ignore_index=True))
    y = np.repeat([0, 1], n)
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    chance = np.asarray(cross_val_predict(boosting(), X, y, cv=folds, method="predict_proba"))
    return 2 * (1 - max(0.5, float(roc_auc_score(y, chance[:, 1]))))


def tstr(made: pd.DataFrame, test: pd.DataFrame) -> float:
    from sklearn.metrics import roc_auc_score

    made, test = prepared(made, test)
    positive = test["target"].cat.categories[-1]
    both = fewer_levels(pd.concat([made, test], ignore_index=True).drop(columns="target"))
    model = boosting().fit(both.iloc[: len(made)], made["target"] == positive)
    chance = model.predict_proba(both.iloc[len(made) :])[:, 1]
    return float(roc_auc_score(test["target"] == positive, chance))


def nearer(made: pd.DataFrame, train: pd.DataFrame, test: pd.DataFrame) -> float:
    """Share of rows nearer to a training than to a held-out row, ties half; numbers by ranks."""
    import torch

    n = min(len(train), len(test), 3000)
    parts = prepared(train.iloc[:n], test.iloc[:n], made.iloc[:n])
    columns = []
    for name in train.columns:
        if is_number(parts[0][name]):
            known = np.sort(parts[1][name].dropna())
            columns.append(
                [2 * np.searchsorted(known, p[name].fillna(0))[:, None] / n for p in parts]
            )
        else:
            columns.append(
                [pd.get_dummies(p[name]).to_numpy(dtype=float) * np.sqrt(0.5) for p in parts]
            )
    a, b, c = (torch.tensor(np.hstack(list(p))) for p in zip(*columns, strict=True))
    to_train, to_test = torch.cdist(c, a).amin(1), torch.cdist(c, b).amin(1)
    return float(((to_train < to_test).double() + 0.5 * (to_train == to_test).double()).mean())


def independent(train: pd.DataFrame, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({c: train[c].to_numpy()[rng.permutation(len(train))] for c in train})


def figures(made: pd.DataFrame, train: pd.DataFrame, test: pd.DataFrame, options: Any):
    if options.published:
        found = published.figures(made, train, test, fixed=options.fixed_tstr)
    else:
        shape, trend = shape_and_trend(train, made)
        found = {
            "shape": round(shape, 2),
            "trend": round(trend, 2),
            "c2st train": round(c2st(train, made), 3),
            "c2st test": round(c2st(test, made), 3),
            "tstr": round(tstr(made, test), 3),
        }
    return found | {"nearer": round(nearer(made, train, test), 3)}


def synthetic(
    train: pd.DataFrame, constants: dict[str, Any], seed: int, options: Any, solver: tuple[int, ...]
):
    """Rows, and what they cost, for the default and each other number of steps from noise."""
    from synthgen.encoding import encoder as encoding
    from synthgen.synthesizers import flow

    params: dict[str, Any] = {"device": options.device, "batch_size": options.batch}
    before = []
    for name, value in constants.items():
        if name.split(".")[-1].isupper():
            module = encoding if "." in name else flow
            name = name.split(".")[-1]
            before.append((module, name, getattr(module, name)))
            setattr(module, name, value)
        else:
            params[name] = value
    try:
        X, y = train.drop(columns="target"), train["target"]
        model = flow.TabFlow(
            scope="all",
            classes=sorted(y.unique()),
            steps=options.steps,
            random_state=seed,
            **params,
        )
        start = time.perf_counter()
        model.fit(X, y)
        fit = time.perf_counter() - start
        history = next(iter(model.history_.values()))
        sampler = next(iter(model.networks_.values())).sampler
        for steps in (None, *solver):
            if steps is not None:
                assert isinstance(sampler, flow.Flow)
                sampler.solver_steps = steps
            start = time.perf_counter()
            made = model.sample(len(train), random_state=seed)
            spent = time.perf_counter() - start
            yield (
                "" if steps is None else f", {steps} solver steps",
                made[list(train.columns)],
                {
                    "fit s": round(fit, 1),
                    "sample s": round(spent, 1),
                    "best step": history.best_step,
                },
            )
    finally:
        for module, name, value in before:
            setattr(module, name, value)


def table(results: list[dict[str, Any]]) -> str:
    """Means over seeds, as Markdown."""
    frame = pd.DataFrame(results)
    columns = [c for c in frame.columns if c not in ("table", "variant", "seed")]
    means = frame.groupby(["table", "variant"], sort=False)[columns].mean()
    lines = [
        f"| table | variant | {' | '.join(columns)} |",
        "|" + "---|" * (len(columns) + 2),
    ]
    for (name, variant), row in means.iterrows():  # pyright: ignore[reportGeneralTypeIssues]
        cells = ["" if np.isnan(v) else f"{v:.3g}" for v in row]
        lines.append(f"| {name} | {variant} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--tables", default=",".join(TABLES))
    parser.add_argument("--variants", default="independent,real,default")
    parser.add_argument("--rows", type=int, default=3000, help="training rows; 0: all")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--width", type=int, help="the most that a network has")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--published", action="store_true", help="figures as in published.py")
    parser.add_argument("--fixed-tstr", action="store_true", help="one XGBoost instead of 36")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    results: list[dict[str, Any]] = []
    if options.out.exists():
        results = json.loads(options.out.read_text())["results"]
    seen = {(r["table"], r["variant"], r["seed"]) for r in results}
    for seed in range(options.seeds):
        for variant in options.variants.split(","):
            for name in options.tables.split(","):
                if (name, variant, seed) in seen:
                    continue
                train, test = split(options.data_dir, name, options.rows, seed)
                if variant == "independent":
                    parts = [("", independent(train, seed), {})]
                elif variant == "real":  # against other held-out rows
                    half = len(test) // 2
                    parts, test = [("", test.iloc[:half], {})], test.iloc[half:]
                else:
                    solver = SOLVER_STEPS if variant == "default" else ()
                    constants = VARIANTS[variant]
                    if options.width:
                        constants, solver = {"MAX_WIDTH": options.width, **constants}, ()
                    parts = synthetic(train, constants, seed, options, solver)
                for more, made, cost in parts:
                    found: dict[str, Any] = {"table": name, "variant": variant + more, "seed": seed}
                    found |= figures(made, train, test, options) | cost
                    print(found, flush=True)
                    results.append(found)
                    about = {
                        k: str(v) for k, v in vars(options).items() if k not in ("data_dir", "out")
                    }
                    options.out.write_text(
                        json.dumps({"options": about, "results": results}, indent=1) + "\n"
                    )
    print(table(results))


if __name__ == "__main__":
    main()
