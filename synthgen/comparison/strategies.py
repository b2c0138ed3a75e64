"""The known strategies for a rare class, in order of simplicity.

A strategy sees the training part only. It makes a classifier whose probabilities refer to the
natural class shares.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sklearn.base import clone

from synthgen.augmentation.amount import Amount, words
from synthgen.comparison import builders
from synthgen.comparison.builders import Build
from synthgen.comparison.synthetic import Synthetic
from synthgen.errors import UsageError
from synthgen.model_selection.estimators import named
from synthgen.synthesizers.base import Synthesizer
from synthgen.synthesizers.lookup import SHORT, on_gpu, resolve


@dataclass(frozen=True)
class Strategy:
    """A way to train a classifier for a rare class.

    Attributes:
        name: Name by which users select it.
        family: "nothing", "decision", "loss", "learner", "data" or "hybrid".
        summary: One-line description.
        build: Function that makes the classifiers of a training part (see `builders.Build`).
        needs: Name of a package that must be installed; empty if none.
        settings: Number of settings of the strategy that inner folds choose from. 0: the settings
            of the classifier are used.
        sized: Function that gives `build` for an amount. None: the strategy has no amount.
        given: The user's object that `build` uses. None: there is none.
    """

    name: str
    family: str
    summary: str
    build: Build = field(repr=False)
    needs: str = ""
    sized: Callable[[Amount], Build] | None = field(default=None, repr=False)
    settings: int = 0
    given: Any = field(default=None, repr=False, compare=False)

    def for_rows(self, rows: int) -> Strategy:
        """Return the same strategy, with the default synthesizer for a class of `rows` rows."""
        build = self.build
        if not isinstance(build, Synthetic):
            return self
        return replace(self, build=replace(build, synthesizer=resolve(build.synthesizer, rows)))

    def at(self, amount: Amount) -> Strategy:
        """Return the same strategy with a given amount of rows."""
        if self.sized is None:
            raise UsageError(226, f"strategy {self.name!r} has no amount: leave out ':{amount}'")
        what = f"at {words(amount)}" if isinstance(amount, float) else str(amount)
        return replace(
            self,
            name=f"{self.name}:{amount}",
            summary=f"{self.name}, {what}",
            build=self.sized(amount),
            sized=None,
        )

    @property
    def synthesizer(self) -> str:
        """Name of the strategy's synthesizer, or "".

        Strategies with the same synthesizer run together, so that it is trained once per part.
        """
        return self.build.name if isinstance(self.build, Synthetic) else ""

    @property
    def on_gpu(self) -> bool:
        """Whether the strategy trains a network on a GPU."""
        return on_gpu(self.given) or (isinstance(self.build, Synthetic) and self.build.on_gpu)

    def missing(self) -> str:
        """The reason why it cannot run on this machine, or ""."""
        if self.needs and importlib.util.find_spec(self.needs) is None:
            return f"{self.needs} is not installed: pip install 'synthgen[{self.needs}]'"
        return ""


def _resampled(
    name: str, summary: str, sized: Callable[[Amount], Build], at: Amount = builders.SHARE
) -> Strategy:
    return Strategy(name, "data", summary, sized(at), sized=sized)


def _synthetic(name: str, summary: str, synthesizer: Any, family: str = "data") -> Strategy:
    def sized(amount: Amount | None) -> Build:
        return Synthetic(synthesizer, amount)

    return Strategy(name, family, summary, sized(None), sized=sized)


def _learner(name: str, summary: str, make: Callable[[int], Any]) -> Strategy:
    return Strategy(name, "learner", summary, builders.learner(make))


STRATEGIES: tuple[Strategy, ...] = (
    Strategy("nothing", "nothing", "the classifier as it is, deciding at 0.5", builders.nothing),
    Strategy(
        "threshold",
        "decision",
        "the classifier as it is, deciding at the threshold that is best on out-of-fold rows",
        builders.nothing,
    ),
    Strategy(
        "class_weight",
        "loss",
        "equal total weight for all classes in the loss",
        builders.weighted(builders.balanced),
    ),
    _resampled("undersample", "rows of frequent classes dropped, to 30 %", builders.undersampled),
    _resampled("oversample", "rows of rare classes repeated, to 30 %", builders.oversampled),
    _learner(
        "balanced_forest",
        "random forest on balanced draws (Chen et al. 2004)",
        builders.balanced_forest,
    ),
    Strategy(
        "auto",
        "learner",
        "synthgen auto: the average of boosting, a random forest, extra trees and logistic "
        "regression, or of those that rank the class best",
        builders.average,
        settings=len(builders.AVERAGES),
    ),
    _resampled(
        "smote",
        "interpolation between neighbours, to 30 %; SMOTE-NC where columns hold categories",
        builders.imblearn(builders.smote),
    ),
    _synthetic(
        "synthgen",
        "rows of synthgen's default synthesizer; inner folds choose how many, or none",
        "auto",
    ),
    Strategy(
        "cost_matrix", "loss", "class weights from the costs", builders.weighted(builders.by_cost)
    ),
    Strategy(
        "class_balanced",
        "loss",
        "class weights from effective numbers of rows (Cui et al. 2019)",
        builders.weighted(builders.effective),
    ),
    Strategy(
        "focal_boosting",
        "loss",
        "xgboost with the focal loss (Lin et al. 2017)",
        builders.focal_boosting,
        "xgboost",
    ),
    _learner(
        "easy_ensemble",
        "boosted ensembles on balanced draws (Liu et al. 2009)",
        builders.easy,
    ),
    _learner(
        "rusboost",
        "boosting on balanced draws (Seiffert et al. 2010)",
        builders.rusboost,
    ),
    _resampled(
        "adasyn",
        "SMOTE where rows are hard to classify, to 30 % (He et al. 2008)",
        builders.imblearn(builders.adasyn),
    ),
    _resampled(
        "smote_enn",
        "SMOTE, then rows dropped that differ from their neighbours (Batista et al. 2004)",
        builders.imblearn(builders.smote_enn),
    ),
    *(
        _synthetic(kind, f"rows of {kind}; inner folds choose how many, or none", kind)
        for kind in SHORT
        if kind != "private"  # the guard would compare its rows with real ones
    ),
    Strategy(
        "synthgen_under",
        "hybrid",
        "synthetic rows, and rows of frequent classes dropped",
        Synthetic("auto", None, under=True),
    ),
)
DEFAULT = (
    "nothing",
    "threshold",
    "class_weight",
    "undersample",
    "oversample",
    "balanced_forest",
    "auto",
    "smote",
    "synthgen",
)


def pick(strategies: str | Strategy | Sequence[Any]) -> list[Strategy]:
    """Select strategies, in order of simplicity; `nothing` and `threshold` are always included."""
    known = {strategy.name: strategy for strategy in STRATEGIES}
    asked: list[Any] = [strategies] if isinstance(strategies, str | Strategy) else [*strategies]
    found: dict[str, Strategy] = {name: known[name] for name in ("nothing", "threshold")}
    for one in asked:
        if isinstance(one, str) and one in ("default", "all"):
            more = [known[n] for n in DEFAULT] if one == "default" else list(STRATEGIES)
        else:
            more = [_named(one, known) if isinstance(one, str) else _users(one, known)]
        for strategy in more:
            same = found.setdefault(strategy.name, strategy)
            if same is not strategy and not isinstance(one, str):
                raise UsageError(225, f"two strategies are called {strategy.name!r}: rename one")
    order = {strategy.name: place for place, strategy in enumerate(STRATEGIES)}

    def place(strategy: Strategy) -> int:
        base, _, last = strategy.name.rpartition(":")
        name = base if _amount(last) is not None else strategy.name
        return order.get(name, len(order))

    return sorted(found.values(), key=place)


def _named(text: str, known: dict[str, Strategy]) -> Strategy:
    """Find the strategy for a name or an import path, with or without an amount."""
    base, _, last = text.rpartition(":")
    amount = _amount(last) if base else None
    importable = base == "synthgen" and last.isidentifier()  # the package, not the strategy
    if amount is None and base in known and not importable:
        raise UsageError(
            226,
            f"strategy {text!r}: {last!r} is not an amount: use a share above 0 and up to 1, "
            f"double or balance, such as {base}:0.3",
        )
    name = text if amount is None else base
    strategy = known[name] if name in known else _users(name, known)
    return strategy if amount is None else strategy.at(amount)


def _amount(text: str) -> Amount | None:
    if text in ("double", "balance"):
        return text
    try:
        share = float(text)
    except ValueError:
        return None
    return share if 0 < share <= 1 else None


def _users(given: Any, known: dict[str, Strategy]) -> Strategy:
    """Make a strategy from a user's synthesizer, sampler or classifier."""
    if isinstance(given, Strategy):
        return given
    if isinstance(given, str) and given.startswith("sdv:"):
        name, found = given, resolve(given)
    else:
        name, found = named(given, "strategy", [*known, "default", "all"])
    what = repr(found)
    if " at 0x" in what:  # a memory address, which differs between processes
        what = type(found).__name__
    if isinstance(found, Synthesizer):
        return _synthetic(name, f"rows of {what}; inner folds choose how many, or none", found)
    if callable(getattr(found, "fit_resample", None)):
        build, summary = builders.sampled(found), f"rows as {what} resamples them"
        return Strategy(name, "data", summary, build, given=found)
    if callable(getattr(found, "predict_proba", None)):
        build = builders.learner(lambda setting: clone(found), keeps_shares=True)
        return Strategy(name, "learner", what, build, given=found)
    raise UsageError(
        226,
        f"strategy {name}: the object has neither fit_resample nor predict_proba: give a sampler, "
        f"a classifier or a synthesizer",
    )
