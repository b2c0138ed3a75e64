"""Every remedy for a rare class that the field knows, as one list in order of simplicity.

A remedy sees a training part and nothing else, and becomes a classifier that gives probabilities
at the natural shares of the classes.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.base import clone

from synthgen.comparison import remedies
from synthgen.comparison.estimators import Judge, Part, named
from synthgen.comparison.remedies import Build, Tunable
from synthgen.errors import UsageError
from synthgen.synthesizers.base import Synthesizer
from synthgen.synthesizers.lookup import resolve


@dataclass(frozen=True)
class Strategy:
    """A remedy.

    Attributes:
        name: What the user calls it.
        family: nothing, decision, loss, learner, data or hybrid.
        summary: One line.
        build: From a training part, a judge and a seed to a function that makes the fitted
            classifier of a setting (a number).
        needs: A package that must be installed.
    """

    name: str
    family: str
    summary: str
    build: Build = field(repr=False)
    needs: str = ""

    @property
    def synthesizer(self) -> str:
        """Remedies with the same one are tried together, so that it is trained once for each part;
        empty: none.
        """
        return self.build.name if isinstance(self.build, remedies.Synthetic) else ""

    def build_all(
        self, parts: Sequence[Part], judge: Judge, seeds: Sequence[np.random.SeedSequence]
    ) -> Iterator[Tunable]:
        """`build` for each part in turn; networks that they need are trained side by side before,
        if that pays.
        """
        if isinstance(self.build, remedies.Synthetic):
            self.build.learn(parts, seeds)
        for part, seed in zip(parts, seeds, strict=True):
            yield self.build(part, judge, seed)

    def missing(self) -> str:
        """Why it cannot run on this machine, or nothing."""
        if self.needs and importlib.util.find_spec(self.needs) is None:
            return f"{self.needs} is not installed: pip install 'synthgen[{self.needs}]'"
        return ""


STRATEGIES: tuple[Strategy, ...] = (
    Strategy(
        "nothing", "nothing", "the classifier as it is, deciding at one half", remedies.nothing
    ),
    Strategy(
        "threshold",
        "decision",
        "nothing, deciding where out-of-fold rows say it is best",
        remedies.nothing,
    ),
    Strategy(
        "class_weight",
        "loss",
        "classes weigh the same in the loss",
        remedies.weighted(remedies.balanced),
    ),
    Strategy(
        "undersample",
        "data",
        "rows of frequent classes left out, to 30 %",
        remedies.redrawn(remedies.under_rows),
    ),
    Strategy(
        "oversample",
        "data",
        "rows of rare classes repeated, to 30 %",
        remedies.redrawn(remedies.over_rows),
    ),
    Strategy(
        "balanced_forest",
        "learner",
        "random forest on balanced draws (Chen et al. 2004)",
        remedies.learner(remedies.balanced_forest),
    ),
    Strategy(
        "smote",
        "data",
        "interpolation between neighbours, to 30 %; SMOTE-NC where columns hold levels",
        remedies.imblearn(remedies.smote),
    ),
    Strategy(
        "synthgen",
        "data",
        "rows of synthgen's default synthesizer, as many as inner folds choose, or none",
        remedies.Synthetic("auto", None),
    ),
    Strategy(
        "cost_matrix", "loss", "classes weigh what they cost", remedies.weighted(remedies.by_cost)
    ),
    Strategy(
        "class_balanced",
        "loss",
        "classes weigh by their effective numbers of rows (Cui et al. 2019)",
        remedies.weighted(remedies.effective),
    ),
    Strategy(
        "focal_boosting",
        "loss",
        "xgboost under the focal loss (Lin et al. 2017)",
        remedies.focal_boosting,
        "xgboost",
    ),
    Strategy(
        "focal_mlp",
        "loss",
        "a small network under the class-balanced focal loss",
        remedies.learner(remedies.focal_mlp, keeps_shares=True),
    ),
    Strategy(
        "easy_ensemble",
        "learner",
        "boosted ensembles on balanced draws (Liu et al. 2009)",
        remedies.learner(remedies.easy),
    ),
    Strategy(
        "rusboost",
        "learner",
        "boosting on balanced draws (Seiffert et al. 2010)",
        remedies.learner(remedies.rusboost),
    ),
    Strategy(
        "self_paced",
        "learner",
        "draws whose hardness adapts while training (Liu et al. 2020)",
        remedies.learner(remedies.self_paced),
    ),
    Strategy(
        "borderline_smote",
        "data",
        "SMOTE near the border (Han et al. 2005)",
        remedies.imblearn(remedies.borderline),
    ),
    Strategy(
        "adasyn",
        "data",
        "SMOTE where rows are hard (He et al. 2008)",
        remedies.imblearn(remedies.adasyn),
    ),
    Strategy(
        "smote_enn",
        "data",
        "SMOTE, then rows unlike their neighbours left out (Batista et al. 2004)",
        remedies.imblearn(remedies.smote_enn),
    ),
    Strategy(
        "smote_tomek",
        "data",
        "SMOTE, then one row of each Tomek link left out (Batista et al. 2004)",
        remedies.imblearn(remedies.smote_tomek),
    ),
    *(
        Strategy(
            f"{kind}_{amount}",
            "data",
            f"{kind}, {what}",
            remedies.Synthetic(kind, size),
        )
        for kind in ("bootstrap", "tabflow", "ctgan", "tvae")
        for amount, what, size in (
            ("10", "to 10 %", 0.1),
            ("30", "to 30 %", 0.3),
            ("double", "the class doubled", "double"),
            ("balance", "balanced", "balance"),
        )
    ),
    Strategy(
        "synthgen_under",
        "hybrid",
        "synthesis, and rows of frequent classes left out",
        remedies.Synthetic("auto", None, under=True),
    ),
    Strategy(
        "synthgen_weight",
        "hybrid",
        "synthesis, and classes that weigh the same",
        remedies.Synthetic("auto", None, weigh=True),
    ),
)
DEFAULT = (
    "nothing",
    "threshold",
    "class_weight",
    "undersample",
    "oversample",
    "balanced_forest",
    "smote",
    "synthgen",
)


def pick(strategies: str | Strategy | Sequence[Any]) -> list[Strategy]:
    """The remedies that were asked for, in order of simplicity; `nothing` and `threshold` always.

    Args:
        strategies: "default", "all", or a list of names, import paths (``package.module:Class``) of
            samplers, classifiers or synthesizers (also ``sdv:GaussianCopula`` and its like), such
            objects, and `Strategy` values.

    Raises:
        UsageError: There is none of that name, two have the same, or an object is neither.

    Example:
        >>> [strategy.name for strategy in pick(["smote", "class_weight"])]
        ['nothing', 'threshold', 'class_weight', 'smote']
    """
    known = {strategy.name: strategy for strategy in STRATEGIES}
    asked: list[Any] = [strategies] if isinstance(strategies, str | Strategy) else [*strategies]
    found: dict[str, Strategy] = {name: known[name] for name in ("nothing", "threshold")}
    for one in asked:
        more: list[Strategy] = []
        if isinstance(one, str) and one in ("default", "all"):
            more = [known[n] for n in DEFAULT] if one == "default" else list(STRATEGIES)
        elif isinstance(one, str) and one in known:
            more = [known[one]]
        elif isinstance(one, Strategy):
            more = [one]
        else:
            more = [_users(one, sorted(known))]
        for strategy in more:
            if found.setdefault(strategy.name, strategy) is not strategy:
                raise UsageError(225, f"two strategies are called {strategy.name!r}: rename one")
    order = {strategy.name: place for place, strategy in enumerate(STRATEGIES)}
    return sorted(found.values(), key=lambda s: order.get(s.name, len(order)))


def _users(given: Any, known: list[str]) -> Strategy:
    if isinstance(given, str) and given.startswith("sdv:"):
        name, found = given, resolve(given)
    else:
        name, found = named(given, "strategy", [*known, "default", "all"])
    what = repr(found)
    if " at 0x" in what:  # which is another one in the next process
        what = type(found).__name__
    if isinstance(found, Synthesizer):
        return Strategy(
            name,
            "data",
            f"rows of {what}, as many as inner folds choose, or none",
            remedies.Synthetic(found, None),
        )
    if callable(getattr(found, "fit_resample", None)):
        return Strategy(
            name, "data", f"rows that {what} makes or leaves out", remedies.sampled(found)
        )
    if callable(getattr(found, "predict_proba", None)):

        def build(part: Part, judge: Judge, seed: np.random.SeedSequence) -> Tunable:
            return remedies.learner(lambda setting: clone(found), keeps_shares=True)(
                part, judge, seed
            )

        return Strategy(name, "learner", what, build)
    raise UsageError(
        226, f"strategy {name}: it has neither fit_resample nor predict_proba: give one that has"
    )
