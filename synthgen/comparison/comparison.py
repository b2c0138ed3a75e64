"""`Comparison`: the result of `compare`, as a recommendation, verdicts, a frame and JSON."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from synthgen.comparison.recommendation import Chances
from synthgen.comparison.subgroups import Groups
from synthgen.comparison.verdicts import RealRows, Result, Verdict, card_of
from synthgen.errors import UsageError
from synthgen.model_selection.scoring import METRICS
from synthgen.report.answer import Card, Recommendation
from synthgen.report.shown import Shown, repr_lines

if TYPE_CHECKING:
    from synthgen.report.card import Picture

SHOWN_STRATEGIES, MOST_STRATEGIES = 3, 12  # number in the repr, and in a terminal


@dataclass(frozen=True, eq=False)
class Comparison(Shown):
    """The result of `compare`: scores of every strategy on the same splits, and conclusions.

    Attributes:
        target, label: Name of the target column, and the class that is compared with all others.
        rows, rare: Number of rows of the table, and of the class.
        estimator: Name of the classifier.
        metric: Name of the metric by which strategies are ranked.
        decision: Name of the metric by which decisions are compared.
        cost: (Cost of a missed row, cost of a false alarm); None if no cost was given.
        folds, repeats, splits: Planned folds and repeats, and number of splits that were done.
        results: One `Result` for each strategy and metric, the simplest strategy first.
        recommendation: What to do, with its certainty and the command.
        chances: For each strategy except nothing and threshold: the expected gain in the metric,
            and the probabilities that it helps, makes no relevant difference, or harms.
        verdict: Two verdicts: "ranking" compares with doing nothing, "decision" with moving the
            threshold.
        real_rows: The expected gain from more real rows, see `RealRows`.
        pruned: Strategies left out because of the time budget, each with the reason.
        not_applicable: Strategies that cannot run on this table, each with the reason.
        by: The metric for each value of the column `by`, or None.
        curves: Curves of each strategy, see `synthgen.model_selection.scoring.curves`.
        settings: For each strategy, how often each setting of the classifier was chosen.
        seconds: Run time of each strategy in seconds, over all splits.
        notes: Further notes and warnings, one sentence each.
        seed: The seed that was used; the same call with it gives the same results.

    Example:
        >>> import numpy as np
        >>> from synthgen import compare
        >>> X, ill = pd.DataFrame({"dose": np.arange(200.0)}), np.repeat([0, 1], [160, 40])
        >>> found = compare(X, ill, strategies=["class_weight"], estimator="lr", folds=2,
        ...                 repeats=1, random_state=0)
        >>> found.strategies, round(found.result("nothing").mean, 2)
        (['nothing', 'threshold', 'class_weight'], 1.0)
    """

    target: Hashable
    label: Any
    rows: int
    rare: int
    estimator: str
    metric: str
    decision: str
    cost: tuple[float, float] | None
    folds: int
    repeats: int
    splits: int
    results: tuple[Result, ...]
    recommendation: Recommendation
    chances: tuple[Chances, ...]
    verdict: dict[str, Verdict]
    real_rows: RealRows | None
    pruned: dict[str, str]
    not_applicable: dict[str, str]
    by: Groups | None
    curves: dict[str, dict[str, list[Any]]]
    settings: dict[str, dict[int, int]]
    seconds: dict[str, float]
    notes: tuple[str, ...]
    seed: int

    def result(self, strategy: str, metric: str | None = None) -> Result:
        """Look up the result of a strategy.

        Args:
            strategy: One of `strategies`.
            metric: Name of a measured metric. None: the metric by which strategies are ranked.

        Returns:
            The result.

        Raises:
            UsageError: There is no such result.
        """
        metric = self.metric if metric is None else metric
        for found in self.results:
            if (found.strategy, found.metric) == (strategy, metric):
                return found
        raise UsageError(227, f"there is no result {strategy!r}, {metric!r}")

    @property
    def strategies(self) -> list[str]:
        """Names of the strategies with results, in order of simplicity."""
        return list(dict.fromkeys(r.strategy for r in self.results))

    @property
    def cards(self) -> tuple[Card, ...]:
        """Three findings: the ranking, the decision, and the gain from more real rows."""
        kinds = {"ranking": "Ranking", "decision": "Decision"}
        found = [card_of(f"{kinds[kind]} of {self.label!r}", v) for kind, v in self.verdict.items()]
        outcome, text = "not estimated", "There were too few rows to train on subsets of them."
        if self.real_rows is not None:
            low, high = self.real_rows.interval
            outcome = f"{self.real_rows.doubling:+.3f} for twice as many"
            text = (
                f"Gain in {METRICS[self.metric].words}, extrapolated from training on fewer rows; "
                f"95 % interval [{low:+.3f}, {high:+.3f}]."
            )
        return (*found, Card("More real rows", outcome, text))

    def __repr__(self) -> str:
        about = METRICS[self.metric]
        ranked = sorted(
            (self.result(name) for name in self.strategies if name != "threshold"),
            key=lambda result: -about.sign * result.mean,
        )
        lines = [
            f"Comparison on class {self.label!r} of {self.target}: {self.rare:,} of {self.rows:,} "
            f"rows, {self.estimator}, {self.splits} splits",
            *(
                f"- {result.strategy}: {about.text(result.mean)} {about.words}"
                for result in ranked[:SHOWN_STRATEGIES]
            ),
            f"to_frame() has the {len(self.results):,} results",
        ]
        return repr_lines(self.recommendation, lines)

    def to_frame(self) -> pd.DataFrame:
        """Convert all results to a frame, one row per strategy and metric, simplest first.

        Returns:
            A frame with columns ``strategy``, ``family``, ``metric``, ``mean`` (over the splits),
            ``difference`` (the strategy minus ``against``, signed so that positive is better),
            ``low`` and ``high`` (interval of the difference, simultaneous over all strategies) and
            ``against``.
        """
        names = ["strategy", "family", "metric", "mean", "difference", "low", "high", "against"]
        return pd.DataFrame(
            [
                [r.strategy, r.family, r.metric, r.mean, r.difference, *r.interval, r.against]
                for r in self.results
            ],
            columns=names,
        )

    def to_json(self) -> dict[str, Any]:
        """Convert the comparison to plain values for `json.dumps`.

        Returns:
            A dict of the attributes by name. It consists of numbers, texts, None, lists and dicts;
            the class and the target are texts.
        """
        return asdict(self) | {"label": str(self.label), "target": str(self.target)}

    def _page(self) -> str:
        from synthgen.comparison.comparison_page import render_comparison

        return render_comparison(self)

    def _picture(self) -> Picture | None:
        from synthgen.comparison.comparison_page import comparison_picture

        return comparison_picture(self)

    def key_figures(self) -> tuple[list[str], list[list[Any]]]:
        """The strategies with the largest expected gain in the metric.

        Returns:
            The column heads, and a row of texts for doing nothing and for each strategy.
        """
        about = METRICS[self.metric]
        chances = sorted(self.chances, key=lambda c: -c.gain)[:MOST_STRATEGIES]
        nothing = self.result("nothing")
        rows = [["nothing", about.text(nothing.mean), "", "", self._time("nothing")]]
        for c in chances:
            low, high = (about.text(end, signed=True) for end in c.interval)
            rows.append(
                [
                    c.strategy,
                    about.text(self.result(c.strategy).mean),
                    f"{about.text(c.gain, signed=True)} [{low}, {high}]",
                    f"{c.helps:.2f} / {c.equal:.2f} / {c.harms:.2f}",
                    self._time(c.strategy),
                ]
            )
        return ["strategy", about.words, "gain", "helps / equal / harms", "time"], rows

    def _time(self, strategy: str) -> str:
        return f"{self.seconds[strategy]:.0f} s" if strategy in self.seconds else ""

    def note_lines(self) -> list[str]:
        """What was compared, what was left out, and further notes.

        Returns:
            One sentence per line.
        """
        lines = [
            f"class {self.label!r} of {self.target}: {self.rare:,} of {self.rows:,} rows; "
            f"{self.estimator}, {self.splits} splits; every test part has the natural class shares"
        ]
        lines += [f"not applicable: {name}: {why}" for name, why in self.not_applicable.items()]
        lines += [f"left out: {name}: {why}" for name, why in self.pruned.items()]
        return [*lines, *(f"note: {note}" for note in self.notes)]
