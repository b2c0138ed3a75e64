"""What the evaluations share: tables and their parts, results by key, figures of rows, Markdown."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
RARE = {
    "adult": ">50K",
    "bank_marketing": "yes",
    "nycflights_cancelled": "cancelled",
    "nasscds": "dead",
    "magic": "h",
    "credit_data": "bad",
    "mpls_stops_search": "YES",
}
OTHERS = 18_000
Line = dict[str, Any]


# --- the command and its results ------------------------------------------------------------------


def parser(doc: str | None) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--data-dir", type=Path, default=Path("data"), help="folder of tables")
    return made


def load(path: Path) -> list[Line]:
    """The results of a file; none if it is not there."""
    if not path.exists():
        return []
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    content = json.loads(path.read_text())
    return content["results"] if isinstance(content, dict) else content


class Results:
    """The lines of a file, each written as soon as it is there, none measured again."""

    def __init__(self, path: Path, key: Callable[[Line], Any], about: Line | None = None) -> None:
        self.path, self.key, self.about = path, key, about
        self.lines = load(path)
        self.seen = {key(line) for line in self.lines}

    def lacks(self, named: Line) -> bool:
        return self.key(named) not in self.seen

    def add(self, line: Line) -> None:
        self.lines.append(line)
        self.seen.add(self.key(line))
        print(json.dumps(line, ensure_ascii=False)[:400], flush=True)
        text = json.dumps(line, ensure_ascii=False)
        if self.path.suffix == ".jsonl":
            with self.path.open("a", encoding="utf-8") as file:
                file.write(text + "\n")
        elif self.about is not None:
            write(self.path, {**self.about, "results": self.lines})
        else:
            rows = ",\n".join(json.dumps(line, ensure_ascii=False) for line in self.lines)
            replace(self.path, f"[\n{rows}\n]\n")


def write(path: Path, content: Any) -> None:
    replace(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def replace(path: Path, text: str) -> None:
    """The old file survives every fault."""
    new = path.with_name(f"{path.name}.tmp")
    new.write_text(text, encoding="utf-8")
    os.replace(new, path)


def fill(path: Path, parts: dict[str, str]) -> None:
    """Put each part between its marks in a page, whose other words are written by hand."""
    text = path.read_text(encoding="utf-8")
    for name, part in parts.items():
        before, start, rest = text.partition(f"<!-- {name} -->")
        _, end, after = rest.partition(f"<!-- end of {name} -->")
        if not end:
            raise SystemExit(f"{path.name} has no marks of {name!r}")
        text = f"{before}{start}\n\n{part}\n\n{end}{after}"
    replace(path, text)


def commit() -> str:
    """The last commit that changed `synthgen`."""
    asked = ["git", "-C", str(HERE), "log", "-1", "--format=%h", "--", "../synthgen"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


def markdown(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)])


def means(lines: Sequence[Line], *keys: str, **columns: tuple[str, str]) -> str:
    """Groups of lines as Markdown: the mean of each figure, or pandas' named aggregations."""
    frame = pd.DataFrame(lines)
    groups = frame.groupby([*keys], sort=False)
    if columns:
        found = groups.agg(**columns)  # pyright: ignore[reportCallIssue, reportArgumentType]
    else:
        found = groups[
            [*frame.select_dtypes("number").columns.difference([*keys, "seed"], sort=False)]
        ].mean()
    rows = [
        [*(key if isinstance(key, tuple) else (key,)), *("" if v != v else f"{v:.3g}" for v in row)]
        for key, row in zip(found.index, found.to_numpy(dtype=float), strict=True)
    ]
    return markdown([*keys, *map(str, found.columns)], rows)


# --- tables ---------------------------------------------------------------------------------------


def adult(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The official training and test rows."""
    train, test = (pd.read_parquet(folder / f"adult_{part}.parquet") for part in ("train", "test"))
    return train, test[list(train.columns)]


def read(folder: Path, name: str) -> pd.DataFrame:
    """A table; "adult" is both of its parts."""
    if name == "adult":
        return pd.concat(adult(folder), ignore_index=True)
    return pd.read_parquet(folder / f"{name}.parquet")


def labels(folder: Path) -> dict[str, str]:
    """The class of each table of the catalog; the two parts of Adult are one table."""
    listed = pd.read_csv(folder / "catalog.csv", dtype=str)
    found = dict(zip(listed["name"], listed["minority_label"], strict=True))
    found.pop("adult_test", None)
    return found


def halves(folder: Path, name: str, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two random halves of a table: to learn from, and held out."""
    whole = read(folder, name).sample(frac=1, random_state=seed).reset_index(drop=True)
    cut = len(whole) // 2
    return whole.iloc[:cut].reset_index(drop=True), whole.iloc[cut:].reset_index(drop=True)


def class_halves(
    folder: Path, name: str, rows: int, seed: int, others: int = OTHERS
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows to learn from, and as many held-out rows; the target is True for the class."""
    whole = read(folder, name)
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


def sides(folder: Path, name: str, rows: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows to learn from, and held-out rows: of the class, and as many others."""
    out = []
    for side, frame in enumerate(class_halves(folder, name, rows, 0)):
        rng = np.random.default_rng(side)
        rare = np.flatnonzero(frame["target"])
        others = rng.permutation(np.flatnonzero(~frame["target"]))[: len(rare)]
        out.append(frame.iloc[np.sort(np.concatenate([rare, others]))].reset_index(drop=True))
    return out[0], out[1]


def independent(train: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Each column shuffled by itself."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame({c: train[c].to_numpy()[rng.permutation(len(train))] for c in train})


# --- figures of whole tables ----------------------------------------------------------------------


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


def figures(made: pd.DataFrame, train: pd.DataFrame, test: pd.DataFrame) -> Line:
    """Errors of shape and trend in percent, two-sample scores, TSTR, the share nearer to train."""
    shape, trend = shape_and_trend(train, made)
    return {
        "shape": round(shape, 2),
        "trend": round(trend, 2),
        "c2st train": round(c2st(train, made), 3),
        "c2st test": round(c2st(test, made), 3),
        "tstr": round(tstr(made, test), 3),
        "nearer": round(nearer(made, train, test), 3),
    }
