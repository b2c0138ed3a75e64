"""Associations between columns in train, synthetic and holdout rows: maps and a table."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy.special import stdtrit

from synthgen.encoding.matrix import Matrix
from synthgen.metrics.samples import half_sampled
from synthgen.report.figures import INK, MADE, REAL, Figures, short
from synthgen.report.template import clean
from synthgen.tables.table import Table

MAX_ASSOCIATED, PAIR_ROWS, SHOWN_PAIRS = 24, 5000, 10
FEWEST = 10  # smallest number of rows in which both cells of a pair are present
FULL = 0.5  # a difference of this size has the full colour


def associations(tables: Sequence[Table], figures: Figures) -> dict[str, Any] | None:
    """Draw the maps, and list the pairs that differ most; None if nothing can be compared."""
    matrix = Matrix.fitted_on(tables[0], with_target=False)
    rng = np.random.default_rng(0)
    rows = min(PAIR_ROWS, *map(len, tables))
    cells = [matrix.cells(t)[np.sort(rng.permutation(len(t))[:rows])] for t in tables]
    varies = [j for j in range(len(matrix.columns)) if len(np.unique(cells[0][:, j])) > 1]
    kept = varies[:MAX_ASSOCIATED]
    if rows < 3 or len(kept) < 2:
        return None
    cells, is_level = [c[:, kept] for c in cells], matrix.is_level[kept]
    train, made, fresh = (associated(c, is_level) for c in cells)
    names = [clean(matrix.names[j]) for j in kept]
    pairs = _beside(names, train, made, fresh)
    known = [p for p in pairs if not np.isnan(p["far"] + p["chance"])]
    unknown = len(pairs) - len(known)
    if not known:
        return None
    pairs = sorted(known, key=lambda p: -abs(p["far"]))[:SHOWN_PAIRS]
    halves = list(zip(half_sampled(rng, rows), half_sampled(rng, rows), strict=True))
    for p in pairs:
        of = list(p["of"])
        again = [
            associated(cells[1][b][:, of], is_level[of])[0, 1]
            - associated(cells[0][a][:, of], is_level[of])[0, 1]
            for a, b in halves
        ]
        p["interval"] = _interval(p["far"], [one for one in again if not np.isnan(one)])
    side = max(3.2, 0.17 * len(names) + 1.6)
    return {
        "maps": [
            (
                title,
                figures.svg(
                    partial(_draw_map, far=other - train, names=names), title, (side, side)
                ),
            )
            for title, other in (
                ("Synthetic minus train rows", made),
                ("Reference: holdout minus train rows", fresh),
            )
        ],
        "pairs": pairs,
        "means": [float(np.mean([abs(p[name]) for p in known])) for name in ("far", "chance")],
        "rows": rows,
        "rest": len(varies) - len(kept),
        "unknown": unknown,
        "fewest": FEWEST,
    }


def _beside(
    names: list[str], train: np.ndarray, made: np.ndarray, fresh: np.ndarray
) -> list[dict[str, Any]]:
    """List each pair of columns with its association in the three tables, and the differences."""
    return [
        {
            "pair": f"{names[a]} · {names[b]}",
            "of": (a, b),
            "train": float(train[a, b]),
            "made": float(made[a, b]),
            "fresh": float(fresh[a, b]),
            "far": float(made[a, b] - train[a, b]),
            "chance": float(fresh[a, b] - train[a, b]),
        }
        for a, b in combinations(range(len(names)), 2)
    ]


def _interval(value: float, again: list[float]) -> tuple[float, ...]:
    """Compute a difference's 95 % interval from half-samples; -2 to 2 if there are too few."""
    if len(again) < 2:
        return (-2.0, 2.0)
    error = float(stdtrit(len(again) - 1, 0.975) * np.std(again, ddof=1))
    ends = (max(-2.0, value - error), min(2.0, value + error))
    return tuple(round(end, 9) + 0.0 for end in ends)  # round 1e−16 and −0 to 0


def _pairs(columns: int) -> list[tuple[int, int]]:
    return list(combinations(range(columns), 2))


def associated(cells: np.ndarray, is_level: np.ndarray) -> np.ndarray:
    """Compute the association of each pair of columns on the rows that have both cells."""
    ranks = pd.DataFrame(cells).rank().to_numpy()
    found = np.eye(cells.shape[1])
    for a, b in _pairs(cells.shape[1]):
        both = ~np.isnan(cells[:, a]) & ~np.isnan(cells[:, b])
        if both.sum() < FEWEST:
            value = np.nan
        elif is_level[a] and is_level[b]:
            value = _cramer(cells[both, a].astype(int), cells[both, b].astype(int))
        elif is_level[a] or is_level[b]:
            level, number = (a, b) if is_level[a] else (b, a)
            value = _ratio(cells[both, level].astype(int), ranks[both, number])
        else:
            one, two = ranks[both, a], ranks[both, b]
            spread = one.std() * two.std()
            value = ((one - one.mean()) * (two - two.mean())).mean() / spread if spread else 0.0
        found[a, b] = found[b, a] = value
    return found


def _cramer(one: np.ndarray, two: np.ndarray) -> float:
    one, two = (np.unique(codes, return_inverse=True)[1] for codes in (one, two))
    if not len(one) or not one.any() or not two.any():
        return 0.0
    width = int(two.max()) + 1
    joint = np.bincount(one * width + two, minlength=(int(one.max()) + 1) * width) / len(one)
    joint = joint.reshape(-1, width)
    expected = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
    squared = ((joint - expected) ** 2 / expected).sum() / (min(joint.shape) - 1)
    return float(np.sqrt(min(1.0, squared)))


def _ratio(level: np.ndarray, number: np.ndarray) -> float:
    if not len(level) or not number.std():
        return 0.0
    count = np.bincount(level)
    mean = np.bincount(level, number) / np.maximum(count, 1)
    between = (count * (mean - number.mean()) ** 2).sum() / len(number)
    return float(np.sqrt(between / number.var()))


def _draw_map(axes: Axes, far: np.ndarray, names: list[str]) -> None:
    """Draw the differences below the diagonal, in the colour of the rows that associate more."""
    size = len(names)
    for a in range(size):
        for b in range(a):
            depth = min(1.0, abs(far[a, b]) / FULL)
            if not depth >= 0.02:  # too small to see, or NaN
                continue
            axes.fill(
                [b, b + 1, b + 1, b],
                [a, a, a + 1, a + 1],
                color=MADE if far[a, b] > 0 else REAL,
                alpha=round(depth, 2),
                linewidth=0,
            )
    grid = {"color": INK, "linewidth": 0.3, "alpha": 0.3}
    for k in range(size):
        axes.plot([k, k], [max(k, 1), size], **grid)
        axes.plot([0, min(k + 1, size - 1)], [k + 1, k + 1], **grid)
    places = np.arange(size) + 0.5
    axes.set_yticks(places[1:], [short(n, 16) for n in names[1:]], fontsize=7)
    axes.set_xticks(places[:-1], [short(n, 16) for n in names[:-1]], fontsize=7, rotation=90)
    axes.tick_params(length=0)
    for text in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        text.set_parse_math(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xlim(0, size - 1)
    axes.set_ylim(size, 1)
