"""`sweep`: compare strategies at several rates of the class, by leaving out rows of it."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from synthgen.comparison.compare import RANKING, compare, seeded
from synthgen.comparison.comparison import Comparison
from synthgen.comparison.splits import label_of
from synthgen.comparison.tuning import LEAST_ROWS
from synthgen.comparison.verdicts import card_of
from synthgen.errors import UsageError
from synthgen.model_selection.scoring import METRICS
from synthgen.report.answer import Card, Recommendation
from synthgen.report.shown import Shown, repr_lines
from synthgen.seeds import RandomState, child_seed
from synthgen.tables.calls import without_groups
from synthgen.tables.checks import check_flags
from synthgen.tables.schema import Schema
from synthgen.tables.table import Table
from synthgen.threads import check_jobs

if TYPE_CHECKING:
    from synthgen.report.card import Picture


@dataclass(frozen=True, eq=False)
class Sweep(Shown):
    """The same comparison at several rates of the rare class.

    Attributes:
        target, label: The target column, and the class of which rows were left out.
        rows, rare: Number of rows in the whole table, and of rows of the class in it.
        points: A comparison for each rate, the lowest rate first. Each uses all rows of the other
            classes; its rows of the class are also used at every higher rate.
        seed: The seed that was used; the same call with it gives the same results.

    Example:
        >>> import numpy as np
        >>> from synthgen import sweep
        >>> X, ill = pd.DataFrame({"dose": np.arange(200.0)}), np.repeat([0, 1], [160, 40])
        >>> found = sweep(X, ill, at=[20], strategies=["class_weight"], estimator="lr", folds=2,
        ...               repeats=1, random_state=0)
        >>> found.strategies, [point.rare for point in found.points]
        (['nothing', 'threshold', 'class_weight'], [20])
    """

    target: Hashable
    label: Any
    rows: int
    rare: int
    points: tuple[Comparison, ...]
    seed: int

    @property
    def rates(self) -> list[float]:
        """Share of the class among all rows at each point, from 0 to 1."""
        return [point.rare / point.rows for point in self.points]

    @property
    def always_no(self) -> list[float]:
        """Accuracy at each point if no row is ever predicted as the class."""
        return [1 - rate for rate in self.rates]

    @property
    def strategies(self) -> list[str]:
        """Names of all strategies that have a result for at least one rate, simplest first."""
        longest = max(self.points, key=lambda point: len(point.strategies)).strategies
        every = [name for point in self.points for name in point.strategies]
        return list(dict.fromkeys([*longest, *every]))

    def curve(self, strategy: str, metric: str | None = None) -> list[float]:
        """Compute the mean metric of a strategy at each point.

        Args:
            strategy: One of `strategies`.
            metric: Name of a measured metric. None: the metric by which strategies are ranked.

        Returns:
            One number per point, the lowest rate first; NaN if the strategy was not run there.
        """
        return [
            point.result(strategy, metric).mean if strategy in point.strategies else math.nan
            for point in self.points
        ]

    @property
    def recommendation(self) -> Recommendation:
        """The recommendation at the highest rate, and the rate below which it changes."""
        whole = self.points[-1].recommendation
        others = [p for p in self.points if p.recommendation.action != whole.action]
        certainty = whole.certainty
        if others:
            rows = max(p.rare for p in others)
            advice = next(p for p in others if p.rare == rows).recommendation
            certainty += f" With {rows:,} rows of the class: {advice.text}"
        return replace(whole, certainty=certainty)

    @property
    def cards(self) -> tuple[Card, ...]:
        """Three cards: the ranking of strategies at the lowest, a middle and the highest rate."""
        last = len(self.points) - 1
        chosen = [self.points[place] for place in sorted({0, last // 2, last})]
        return tuple(
            card_of(f"Ranking with {point.rare:,} rows of the class", point.verdict["ranking"])
            for point in chosen
        )

    def __repr__(self) -> str:
        lines = [f"Sweep of class {self.label!r} of {self.target}, thinned from {self.rare:,} rows"]
        lines += [f"- {card.line()}" for card in self.cards]
        return repr_lines(self.recommendation, [*lines, "to_frame() has all results"])

    def to_frame(self) -> pd.DataFrame:
        """Convert all results to a frame, one row per point, strategy and metric.

        Returns:
            A frame, the lowest rate first, with columns ``rate`` (share of the class among all
            rows) and ``rare`` (number of its rows), then those of `Comparison.to_frame`.
        """
        frames = []
        for rate, point in zip(self.rates, self.points, strict=True):
            frame = point.to_frame()
            frame.insert(0, "rate", rate)
            frame.insert(1, "rare", point.rare)
            frames.append(frame)
        return pd.concat(frames, ignore_index=True)

    def to_json(self) -> dict[str, Any]:
        """Convert the sweep to plain values for `json.dumps`.

        Returns:
            A dict of the attributes by name, plus "rates", "always_no_accuracy" and "curves" (the
            mean metric of each strategy at each point, None if it was not run there).
        """
        metric = self.points[0].metric
        return {
            "target": str(self.target),
            "label": str(self.label),
            "rows": self.rows,
            "rare": self.rare,
            "seed": self.seed,
            "recommendation": asdict(self.recommendation),
            "rates": self.rates,
            "always_no_accuracy": self.always_no,
            "metric": metric,
            "curves": {
                name: [None if math.isnan(v) else v for v in self.curve(name)]
                for name in self.strategies
            },
            "points": [point.to_json() for point in self.points],
        }

    def _page(self) -> str:
        from synthgen.comparison.sweep_page import render_sweep

        return render_sweep(self)

    def _picture(self) -> Picture | None:
        from synthgen.comparison.sweep_page import sweep_picture

        return sweep_picture(self)

    def key_figures(self) -> tuple[list[str], list[list[Any]]]:
        """The main table of the result: its column heads, and its rows as text.

        Returns:
            The column heads (name of the metric, then one per rate) and the rows (the accuracy if
            no row is ever predicted as the class, then the metric of each strategy).
        """
        heads = [METRICS[self.points[0].metric].words, *(f"{rate:.3%}" for rate in self.rates)]
        rows: list[list[Any]] = [["always no: accuracy", *(f"{a:.3f}" for a in self.always_no)]]
        for name in self.strategies:
            if name != "threshold":
                rows.append([name, *("" if v != v else f"{v:.3f}" for v in self.curve(name))])
        return heads, rows

    def note_lines(self) -> list[str]:
        """The class, then one line for each of its rates: metric, accuracy and verdict.

        Returns:
            One sentence per line.
        """
        words = METRICS[self.points[0].metric].words
        lines = [f"class {self.label!r} of {self.target}, thinned from {self.rare:,} rows"]
        for point, rate, accuracy in zip(self.points, self.rates, self.always_no, strict=True):
            nothing, ranking = point.result("nothing").mean, point.verdict["ranking"]
            lines.append(
                f"{rate:.3%} ({point.rare:,} rows): doing nothing reaches {nothing:.3f} {words} "
                f"(guessing {rate:.3f}); a classifier that never predicts the class is right on "
                f"{accuracy:.2%} of rows; "
                f"ranking: {ranking.text}"
            )
        return lines


def sweep(
    X: Any,
    y: Any = None,
    *,
    at: Sequence[float],
    target: Hashable | None = None,
    label: Any = None,
    strategies: Any = "default",
    estimator: Any = "hgb",
    metric: str = RANKING,
    folds: int = 5,
    repeats: int | None = None,
    groups: Any = None,
    cost: Mapping[str, float] | None = None,
    time_budget: float | None = None,
    prior: bool = True,
    schema: Schema | None = None,
    n_jobs: int | None = None,
    random_state: RandomState = None,
    resume: str | os.PathLike[str] | None = None,
    verbose: bool = False,
) -> Sweep:
    """Run `compare` at several rates of the rare class.

    Call it as ``sweep(X, y, at=[...])`` or as ``sweep(frame, target="outcome", at=[...])``. To
    lower the rate, rows of the class are left out at random before the table is split. Each point
    is therefore the result of `compare` for a table in which the class is that rare. Average
    precision falls with the rate even for the same classifier; each result therefore also shows the
    value of a random classifier.

    Args:
        X, y, target: See `compare`.
        at: Rates at which to compare. A number below 1 is a share of all rows; a number of 1 or
            more is a number of rows of the class.
        time_budget: Time limit in seconds for all points together.
        resume: Path of a JSON file; each point adds its number of rows of the class to the name and
            has a file of its own.
        label, strategies, estimator, metric, folds, repeats, groups, cost, prior, schema, n_jobs,
            random_state, verbose: See `compare`.

    Returns:
        A `Sweep` of one `Comparison` for each point.

    Raises:
        DataError: See `compare`.
        UsageError: A number in `at` is not allowed, exceeds the rate of the table, or leaves too
            few rows to compare. See also `compare`.

    Example:
        >>> import pandas as pd
        >>> rng = np.random.default_rng(0)
        >>> ill = np.repeat([0, 1], [360, 40])
        >>> X = pd.DataFrame({"dose": rng.normal(ill * 2.0), "age": rng.normal(size=400)})
        >>> found = sweep(X, ill, at=[0.05, 40], strategies=["class_weight"], estimator="lr",
        ...               folds=2, repeats=1, random_state=0)
        >>> [point.rare for point in found.points], [round(rate, 3) for rate in found.rates]
        ([19, 40], [0.05, 0.1])
    """
    check_flags(prior=prior, verbose=verbose)
    started = time.perf_counter()
    check_jobs(n_jobs)
    X, groups = without_groups(X, groups)
    table = Table.labelled(X, y, target=target, schema=schema)
    label = label_of(table, label)
    seed, root = seeded(random_state)
    how = {
        "label": label,
        "strategies": strategies,
        "estimator": estimator,
        "metric": metric,
        "folds": folds,
        "repeats": repeats,
        "cost": cost,
        "prior": prior,
        "schema": schema,
        "n_jobs": n_jobs,
        "verbose": verbose,
    }
    ends = None if time_budget is None else started + time_budget
    found = _points(table, _thinned(table, label, at, root), how, groups, resume, ends, root)
    rare = table.counts[label]
    return Sweep(found[0].target, label, len(table), rare, tuple(reversed(found)), seed)


def _points(
    table: Table,
    thinned: dict[int, np.ndarray],
    how: dict[str, Any],
    groups: Any,
    resume: str | os.PathLike[str] | None,
    ends: float | None,
    seed: np.random.SeedSequence,
) -> list[Comparison]:
    """Run a comparison for each point, in the order of `thinned`."""
    found: list[Comparison] = []
    for rows, kept in thinned.items():
        left = None
        if ends is not None:
            left = max(ends - time.perf_counter(), 1.0) / (len(thinned) - len(found))
        point = compare(
            table.frame.iloc[kept].reset_index(drop=True),
            target=table.schema.target,
            groups=None if groups is None else np.asarray(groups)[kept],
            time_budget=left,
            random_state=child_seed(seed, rows),
            resume=None if resume is None else _file_of(resume, rows),
            **how,
        )
        found.append(point)
    return found


def _thinned(
    table: Table, label: Any, at: Sequence[float], seed: np.random.SeedSequence
) -> dict[int, np.ndarray]:
    """Choose the rows that each point keeps; the key is the point's number of rare rows.

    The point with the most rows comes first, so that time it does not need is left for the others.
    """
    rare, others = table.counts[label], len(table) - table.counts[label]
    sizes = sorted({_rows_at(value, rare, others) for value in at}, reverse=True)
    if not sizes:
        raise UsageError(258, "the sweep has no rate: give at least one, such as 0.01")
    is_rare = table.labels == table.schema.classes.index(label)
    order = np.random.default_rng(child_seed(seed, 0)).permutation(np.flatnonzero(is_rare))
    kept = np.flatnonzero(~is_rare)
    return {rows: np.sort(np.concatenate([kept, order[:rows]])) for rows in sizes}


def _rows_at(value: Any, rare: int, others: int) -> int:
    """Convert a rate or a number of rows to a number of rows of the class."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float | np.number)
        or not 0 < value < math.inf
    ):
        raise UsageError(
            258, f"sweep: give rates below 1 or numbers of rows, such as 0.01, not {value!r}"
        )
    rows = round(float(others * value / (1 - value) if value < 1 else value))
    if value >= 1 and rows != value:
        raise UsageError(258, f"sweep: {value!r} is neither a rate below 1 nor a number of rows")
    if rows > rare:
        raise UsageError(
            259,
            f"sweep: {value:g} asks for {rows:,} rows of the class, but the table has {rare:,} "
            f"({rare / (rare + others):.3g} of all rows): use a lower rate, since a sweep only "
            f"leaves rows out",
        )
    if rows < LEAST_ROWS:
        raise UsageError(
            260,
            f"sweep: {value:g} leaves {rows} row{'s' * (rows != 1)} of the class, and a comparison "
            f"needs at least {LEAST_ROWS}: use {LEAST_ROWS / (LEAST_ROWS + others):.2g} or more",
        )
    return rows


def _file_of(path: str | os.PathLike[str], rows: int) -> Path:
    path = Path(path)
    return path.with_name(f"{path.stem}.{rows}{path.suffix}")
