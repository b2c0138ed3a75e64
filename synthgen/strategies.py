"""Every remedy for a rare class that the field knows, as one list in order of simplicity.

A remedy sees a training part and nothing else, and becomes a classifier that gives probabilities
at the natural shares of the classes: where it changed the shares to train on, the change is taken
out again (Saerens et al. 2002).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, cast

import numpy as np
import pandas as pd
from imblearn.combine import SMOTEENN, SMOTETomek
from imblearn.ensemble import (
    BalancedRandomForestClassifier,
    EasyEnsembleClassifier,
    RUSBoostClassifier,
)
from imblearn.over_sampling import ADASYN, SMOTE, SMOTENC, BorderlineSMOTE
from sklearn.base import BaseEstimator, clone
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    AdaBoostClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from synthgen.amount import Amount, wanted_rows
from synthgen.device import child_seed
from synthgen.errors import UsageError
from synthgen.features import Binned, Coder, Places
from synthgen.learners import FocalBoosting, FocalMLP, SelfPacedEnsemble, effective_weights
from synthgen.oversampler import Oversampler

SHARE = 0.3  # what resampling aims at: rows of a class over those of the most frequent one


class NotApplicable(Exception):
    """This remedy cannot work on this table; the message says why."""


@dataclass(frozen=True, eq=False)
class Part:
    """Training rows, as given and as places.

    Attributes:
        frame: Features as given, shape (rows, columns).
        places: See `Places`, shape (rows, features).
        y: Class of each row, a code from 0, shape (rows,).
        known: What the columns of `places` are.
        classes: How many there are in the whole table.
        rare: Code of the class that matters.
        cost: Money lost by a missed row of it, and by a false alarm.
    """

    frame: pd.DataFrame
    places: np.ndarray
    y: np.ndarray
    known: Places
    classes: int
    rare: int
    cost: tuple[float, float] | None = None

    def __len__(self) -> int:
        return len(self.y)

    def rows(self, where: np.ndarray) -> Part:
        """Those rows, as a part of their own."""
        return Part(
            self.frame.iloc[where],
            self.places[where],
            self.y[where],
            self.known,
            self.classes,
            self.rare,
            self.cost,
        )

    @property
    def counts(self) -> np.ndarray:
        return np.bincount(self.y, minlength=self.classes)


class Fitted(BaseEstimator):
    """A classifier of places that gives probabilities at the natural shares of the classes.

    Args:
        coder: Fitted on the training part.
        model: Fitted on what `coder` makes of it; its `classes_` are codes.
        shift: Share of each class in what the model learned from, over its natural share.
    """

    def __init__(self, coder: Coder, model: Any, shift: np.ndarray) -> None:
        self.coder = coder
        self.model = model
        self.shift = shift

    def predict_proba(self, places: np.ndarray) -> np.ndarray:
        """Shape (rows, classes), for all classes of the table."""
        raw = np.asarray(self.model.predict_proba(self.coder.transform(places)), dtype=np.float64)
        out = np.zeros((len(places), len(self.shift)))
        out[:, np.asarray(self.model.classes_, dtype=np.int64)] = raw
        out /= self.shift
        total = out.sum(axis=1, keepdims=True)
        return np.divide(out, total, out=np.full_like(out, 1 / len(self.shift)), where=total > 0)


# --- the classifier that remedies are tried with ------------------------------------------------


@dataclass(frozen=True)
class Judge:
    """The classifier around which remedies are compared, and the settings that are tried.

    Every remedy is tuned over as many settings as every other.
    """

    name: str
    model: Any
    settings: tuple[dict[str, Any], ...] = ({},)

    @classmethod
    def of(cls, estimator: Any) -> Judge:
        """From "hgb", "rf", "lr", an import path, or an unfitted classifier.

        Raises:
            UsageError: There is no such classifier, or it gives no probabilities.
        """
        if isinstance(estimator, Judge):
            return estimator
        if isinstance(estimator, str) and estimator in _JUDGES:
            return _JUDGES[estimator]
        name, found = _named(estimator, "estimator", sorted(_JUDGES))
        if not callable(getattr(found, "predict_proba", None)):
            raise UsageError(
                224, f"estimator {name}: it must be a classifier with predict_proba, such as hgb"
            )
        return cls(name, found)

    def fit(
        self,
        X: np.ndarray,
        is_level: np.ndarray,
        y: np.ndarray,
        seed: np.random.SeedSequence,
        setting: int,
        weight: np.ndarray | None = None,
    ) -> Any:
        """Fitted on `X` of shape (rows, columns) as a `Coder` gives it."""
        model: Any = clone(self.model)
        model.set_params(**self.settings[setting])
        if isinstance(model, HistGradientBoostingClassifier):
            model.set_params(
                categorical_features=is_level if is_level.any() else None,
                # 20 is the usual setting; few rows could not be split at all.
                min_samples_leaf=int(np.clip(len(y) // 50, 2, 20)),
            )
        return _fit(model, X, is_level, y, seed, weight)


def _fit(
    model: Any,
    X: np.ndarray,
    is_level: np.ndarray,
    y: np.ndarray,
    seed: np.random.SeedSequence,
    weight: np.ndarray | None = None,
) -> Any:
    """Fit a model; all but histogram boosting get imputed, scaled and one-hot columns."""
    if "random_state" in model.get_params(deep=False):
        model.set_params(random_state=int(seed.generate_state(1)[0] >> 1))
    if isinstance(model, HistGradientBoostingClassifier):
        if weight is None:
            return model.fit(X, y)
        whole = Pipeline([("bins", Binned(is_level)), ("model", model)])
        return whole.fit(X, y, model__sample_weight=weight)
    numbers, levels = np.flatnonzero(~is_level), np.flatnonzero(is_level)
    parts: list[Any] = [
        (
            "numbers",
            make_pipeline(
                SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
                StandardScaler(),
            ),
            numbers,
        ),
        (
            "levels",
            OneHotEncoder(handle_unknown="ignore", max_categories=50, sparse_output=False),
            levels,
        ),
    ]
    columns = ColumnTransformer([part for part in parts if len(part[2])])
    whole = Pipeline([("columns", columns), ("model", model)])
    if weight is None:
        return whole.fit(X, y)
    try:
        return whole.fit(X, y, model__sample_weight=weight)
    except TypeError:
        raise NotApplicable(f"{type(model).__name__} takes no weights") from None


_BOOSTING = HistGradientBoostingClassifier(early_stopping=cast(Any, False))
_JUDGES = {
    "hgb": Judge(
        "hgb",
        _BOOSTING,
        (
            {"learning_rate": 0.1, "max_iter": 100, "max_leaf_nodes": 31},
            {"learning_rate": 0.05, "max_iter": 100, "max_leaf_nodes": 15, "l2_regularization": 1},
            {"learning_rate": 0.1, "max_iter": 50, "max_leaf_nodes": 7, "l2_regularization": 1},
            {"learning_rate": 0.1, "max_iter": 150, "max_leaf_nodes": 7, "l2_regularization": 1},
        ),
    ),
    "rf": Judge(
        "rf",
        RandomForestClassifier(n_estimators=200),
        tuple({"min_samples_leaf": n} for n in (1, 2, 5, 10)),
    ),
    "lr": Judge(
        "lr",
        LogisticRegression(max_iter=2000),
        tuple({"C": c} for c in (0.01, 0.1, 1.0, 10.0)),
    ),
}

# --- remedies -----------------------------------------------------------------------------------

# Called once for a training part; what it gives makes the classifier of any of the settings.
Tunable = Callable[[int], Fitted]
Build = Callable[[Part, Judge, np.random.SeedSequence], Tunable]


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

    def missing(self) -> str:
        """Why it cannot run on this machine, or nothing."""
        if self.needs and importlib.util.find_spec(self.needs) is None:
            return f"{self.needs} is not installed: pip install 'synthgen[{self.needs}]'"
        return ""


def _shift(y: np.ndarray, part: Part) -> np.ndarray:
    """Share of each class in `y` over its share in `part`."""
    now = np.bincount(y, minlength=part.classes) / len(y)
    natural = part.counts / len(part)
    return np.where((now > 0) & (natural > 0), now / np.where(natural > 0, natural, 1), 1.0)


def _coder(part: Part, *, dense: bool = False) -> Coder:
    return Coder(part.known.is_level, dense=dense).fit(part.places)


def _judged(
    part: Part,
    judge: Judge,
    seed: np.random.SeedSequence,
    X: np.ndarray,
    y: np.ndarray,
    coder: Coder,
    weight: np.ndarray | None = None,
) -> Tunable:
    """The judge on the rows that a remedy made; weights shift the shares of classes too."""
    shift = _shift(y, part)
    if weight is not None:
        mass = np.bincount(y, weight, minlength=part.classes) / weight.sum()
        natural = part.counts / len(part)
        shift = np.where((mass > 0) & (natural > 0), mass / np.where(natural > 0, natural, 1), 1.0)

    def tuned(setting: int) -> Fitted:
        return Fitted(coder, judge.fit(X, coder.is_level_, y, seed, setting, weight), shift)

    return tuned


def _nothing(part: Part, judge: Judge, seed: np.random.SeedSequence) -> Tunable:
    coder = _coder(part)
    return _judged(part, judge, seed, coder.transform(part.places), part.y, coder)


def _weighted(weights: Callable[[Part], np.ndarray]) -> Build:
    def build(part: Part, judge: Judge, seed: np.random.SeedSequence) -> Tunable:
        coder = _coder(part)
        of_class = weights(part)
        weight = of_class[part.y] / of_class[part.y].mean()
        return _judged(part, judge, seed, coder.transform(part.places), part.y, coder, weight)

    return build


def _balanced(part: Part) -> np.ndarray:
    return 1 / np.maximum(part.counts, 1)


def _by_cost(part: Part) -> np.ndarray:
    if part.cost is None:
        raise NotApplicable("without costs there is no cost matrix: give cost")
    weights = np.full(part.classes, part.cost[1], dtype=float)
    weights[part.rare] = part.cost[0]
    return weights


def _effective(part: Part) -> np.ndarray:
    return effective_weights(part.counts)


def _redrawn(rows: Callable[[Part, np.random.Generator], np.ndarray]) -> Build:
    def build(part: Part, judge: Judge, seed: np.random.SeedSequence) -> Tunable:
        coder = _coder(part)
        kept = rows(part, np.random.default_rng(child_seed(seed, 1)))
        return _judged(part, judge, seed, coder.transform(part.places[kept]), part.y[kept], coder)

    return build


def _under(part: Part, rng: np.random.Generator) -> np.ndarray:
    rarest = part.counts[part.counts > 0].min()
    most = max(int(rarest), round(rarest / SHARE))
    parts = [np.flatnonzero(part.y == c) for c in range(part.classes)]
    return np.sort(
        np.concatenate([rng.choice(p, most, replace=False) if len(p) > most else p for p in parts])
    )


def _over(part: Part, rng: np.random.Generator) -> np.ndarray:
    goals = wanted_rows(part.counts, SHARE)
    more = [
        rng.choice(np.flatnonzero(part.y == c), goal - part.counts[c]) for c, goal in goals.items()
    ]
    return np.concatenate([np.arange(len(part)), *more]).astype(np.int64)


def _imblearn(make: Callable[[Part, Coder, dict[int, int], int], Any]) -> Build:
    """A sampler of imbalanced-learn on numbers and codes without missing cells."""

    def build(part: Part, judge: Judge, seed: np.random.SeedSequence) -> Tunable:
        coder = _coder(part, dense=True)
        X = coder.transform(part.places)
        goals = {c: n for c, n in wanted_rows(part.counts, SHARE).items() if part.counts[c] > 1}
        if not goals:
            return _judged(part, judge, seed, X, part.y, coder)
        sampler = make(part, coder, goals, int(child_seed(seed, 1).generate_state(1)[0]) >> 1)
        X, y = sampler.fit_resample(X, part.y)
        return _judged(part, judge, seed, np.asarray(X), np.asarray(y), coder)

    return build


def _neighbours(part: Part, goals: dict[int, int]) -> int:
    return int(min(5, *(part.counts[c] - 1 for c in goals)))


def _smote(part: Part, coder: Coder, goals: dict[int, int], seed: int) -> Any:
    settings: dict[str, Any] = {
        "sampling_strategy": goals,
        "k_neighbors": _neighbours(part, goals),
        "random_state": seed,
    }
    if not coder.is_level_.any():
        return SMOTE(**settings)
    if coder.is_level_.all():
        raise NotApplicable("no column holds numbers to interpolate between")
    return SMOTENC(np.flatnonzero(coder.is_level_).tolist(), **settings)


def _numbers_only(part: Part, coder: Coder) -> None:
    if coder.is_level_.any():
        raise NotApplicable(
            f"it interpolates numbers only, and {int(coder.is_level_.sum())} columns hold levels "
            f"or missing cells"
        )


def _borderline(part: Part, coder: Coder, goals: dict[int, int], seed: int) -> Any:
    _numbers_only(part, coder)
    return BorderlineSMOTE(
        sampling_strategy=cast(Any, goals),
        k_neighbors=_neighbours(part, goals),
        random_state=seed,
    )


def _adasyn(part: Part, coder: Coder, goals: dict[int, int], seed: int) -> Any:
    _numbers_only(part, coder)
    return ADASYN(
        sampling_strategy=cast(Any, goals),
        n_neighbors=_neighbours(part, goals),
        random_state=seed,
    )


def _smote_enn(part: Part, coder: Coder, goals: dict[int, int], seed: int) -> Any:
    smote = _smote(part, coder, goals, seed)
    return SMOTEENN(sampling_strategy=cast(Any, goals), smote=smote, random_state=seed)


def _smote_tomek(part: Part, coder: Coder, goals: dict[int, int], seed: int) -> Any:
    smote = _smote(part, coder, goals, seed)
    return SMOTETomek(sampling_strategy=cast(Any, goals), smote=smote, random_state=seed)


def _learner(make: Callable[[int], Any], *, keeps_shares: bool = False) -> Build:
    """A classifier of its own with four settings, in place of the judge.

    Without `keeps_shares` it learns as if all classes were equally frequent.
    """

    def build(part: Part, judge: Judge, seed: np.random.SeedSequence) -> Tunable:
        coder = _coder(part)
        X = coder.transform(part.places)
        there = part.counts > 0
        shift = np.where(there, len(part) / np.maximum(part.counts, 1) / there.sum(), 1.0)
        if keeps_shares:
            shift = np.ones(part.classes)

        def tuned(setting: int) -> Fitted:
            model = _fit(make(setting), X, coder.is_level_, part.y, seed)
            return Fitted(coder, model, shift)

        return tuned

    return build


def _balanced_forest(setting: int) -> Any:
    leaf, features = ((1, "sqrt"), (3, "sqrt"), (1, 0.5), (3, 0.5))[setting % 4]
    return BalancedRandomForestClassifier(
        n_estimators=100, min_samples_leaf=leaf, max_features=cast(Any, features)
    )


def _easy(setting: int) -> Any:
    stages, depth = ((10, 1), (20, 1), (10, 3), (20, 3))[setting % 4]
    base = AdaBoostClassifier(DecisionTreeClassifier(max_depth=depth), n_estimators=stages)
    return EasyEnsembleClassifier(n_estimators=10, estimator=base)


def _rusboost(setting: int) -> Any:
    stages, depth = ((50, 1), (50, 3), (100, 3), (50, 5))[setting % 4]
    return RUSBoostClassifier(DecisionTreeClassifier(max_depth=depth), n_estimators=stages)


def _self_paced(setting: int) -> Any:
    trees, depth = ((20, 6), (20, 10), (50, 6), (50, 10))[setting % 4]
    return SelfPacedEnsemble(trees, max_depth=depth)


def _focal_mlp(setting: int) -> Any:
    gamma, beta = ((2.0, 0.9999), (1.0, 0.9999), (2.0, None), (1.0, None))[setting % 4]
    return FocalMLP(gamma=gamma, beta=beta)


def _focal_boosting(part: Part, judge: Judge, seed: np.random.SeedSequence) -> Tunable:
    if part.classes > 2:
        raise NotApplicable("this loss is written for two classes")

    def make(setting: int) -> Any:
        gamma, depth = ((1.0, 4), (2.0, 4), (1.0, 6), (2.0, 6))[setting % 4]
        return FocalBoosting(gamma=gamma, max_depth=depth)

    return _learner(make, keeps_shares=True)(part, judge, seed)


# Amounts that validation chooses from. Each goes with one of the settings, so that synthesis is
# tuned over no more of them than doing nothing is.
AMOUNTS: tuple[Amount, ...] = (SHARE, 0.1, "double", "balance")


def _synthetic(
    synthesizer: Any, amount: Amount | None, *, under: bool = False, weigh: bool = False
) -> Build:
    """Rows of a synthesizer; without an amount, one of `AMOUNTS` for each setting."""

    def build(part: Part, judge: Judge, seed: np.random.SeedSequence) -> Tunable:
        coder = _coder(part)
        # A name that no column has, for the frame and the classes are joined on the way.
        y = pd.Series(part.y, index=part.frame.index, name="__class__")
        made: dict[Amount, Tunable] = {}

        def rows_of(size: Amount) -> Tunable:
            goals = wanted_rows(part.counts, size)
            goals = {c: n for c, n in goals.items() if part.counts[c] > 1}
            kept, new = part, (np.empty((0, part.places.shape[1])), np.empty(0, dtype=np.int64))
            if goals:
                sampler = Oversampler(
                    synthesizer, sampling_strategy=goals, random_state=child_seed(seed, 1)
                )
                frame, codes = sampler.fit_resample(part.frame, y)
                first = len(part)
                new = part.known.matrix(frame.iloc[first:]), np.asarray(codes)[first:]
            if under:
                kept = part.rows(_under(part, np.random.default_rng(child_seed(seed, 2))))
            places = np.vstack([kept.places, new[0]])
            all_y = np.concatenate([kept.y, new[1]]).astype(np.int64)
            weight = None
            if weigh:
                weight = (1 / np.bincount(all_y, minlength=part.classes).clip(1))[all_y]
                weight /= weight.mean()
            return _judged(part, judge, seed, coder.transform(places), all_y, coder, weight)

        def tuned(setting: int) -> Fitted:
            size = AMOUNTS[setting % len(AMOUNTS)] if amount is None else amount
            if size not in made:
                made[size] = rows_of(size)
            return made[size](setting)

        return tuned

    return build


STRATEGIES: tuple[Strategy, ...] = (
    Strategy("nothing", "nothing", "the classifier as it is, deciding at one half", _nothing),
    Strategy(
        "threshold", "decision", "nothing, deciding where out-of-fold rows say it is best", _nothing
    ),
    Strategy("class_weight", "loss", "classes weigh the same in the loss", _weighted(_balanced)),
    Strategy("undersample", "data", "rows of frequent classes left out, to 30 %", _redrawn(_under)),
    Strategy("oversample", "data", "rows of rare classes repeated, to 30 %", _redrawn(_over)),
    Strategy(
        "balanced_forest",
        "learner",
        "random forest on balanced draws (Chen et al. 2004)",
        _learner(_balanced_forest),
    ),
    Strategy(
        "smote",
        "data",
        "interpolation between neighbours, to 30 %; SMOTE-NC where columns hold levels",
        _imblearn(_smote),
    ),
    Strategy(
        "synthgen",
        "data",
        "synthgen's default for comparisons, the smoothed bootstrap, amount validated",
        _synthetic("bootstrap", None),
    ),
    Strategy("cost_matrix", "loss", "classes weigh what they cost", _weighted(_by_cost)),
    Strategy(
        "class_balanced",
        "loss",
        "classes weigh by their effective numbers of rows (Cui et al. 2019)",
        _weighted(_effective),
    ),
    Strategy(
        "focal_boosting",
        "loss",
        "xgboost under the focal loss (Lin et al. 2017)",
        _focal_boosting,
        "xgboost",
    ),
    Strategy(
        "focal_mlp",
        "loss",
        "a small network under the class-balanced focal loss",
        _learner(_focal_mlp, keeps_shares=True),
    ),
    Strategy(
        "easy_ensemble",
        "learner",
        "boosted ensembles on balanced draws (Liu et al. 2009)",
        _learner(_easy),
    ),
    Strategy(
        "rusboost",
        "learner",
        "boosting on balanced draws (Seiffert et al. 2010)",
        _learner(_rusboost),
    ),
    Strategy(
        "self_paced",
        "learner",
        "draws whose hardness adapts while training (Liu et al. 2020)",
        _learner(_self_paced),
    ),
    Strategy(
        "borderline_smote",
        "data",
        "SMOTE near the border (Han et al. 2005)",
        _imblearn(_borderline),
    ),
    Strategy("adasyn", "data", "SMOTE where rows are hard (He et al. 2008)", _imblearn(_adasyn)),
    Strategy(
        "smote_enn",
        "data",
        "SMOTE, then rows unlike their neighbours left out (Batista et al. 2004)",
        _imblearn(_smote_enn),
    ),
    Strategy(
        "smote_tomek",
        "data",
        "SMOTE, then one row of each Tomek link left out (Batista et al. 2004)",
        _imblearn(_smote_tomek),
    ),
    *(
        Strategy(f"{kind}_{amount}", "data", f"{kind}, {what}", _synthetic(kind, size))
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
        _synthetic("bootstrap", None, under=True),
    ),
    Strategy(
        "synthgen_weight",
        "hybrid",
        "synthesis, and classes that weigh the same",
        _synthetic("bootstrap", None, weigh=True),
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
            samplers or classifiers, such objects, and `Strategy` values.

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
    name, found = _named(given, "strategy", [*known, "default", "all"])
    if callable(getattr(found, "fit_resample", None)):
        return Strategy(name, "data", "a sampler of the user", _sampled(found))
    if callable(getattr(found, "predict_proba", None)):

        def build(part: Part, judge: Judge, seed: np.random.SeedSequence) -> Tunable:
            return _learner(lambda setting: clone(found), keeps_shares=True)(part, judge, seed)

        return Strategy(name, "learner", "a classifier of the user", build)
    raise UsageError(
        226, f"strategy {name}: it has neither fit_resample nor predict_proba: give one that has"
    )


def _sampled(sampler: Any) -> Build:
    """A user's sampler: it sees the training part as it was given, frame and codes."""

    def build(part: Part, judge: Judge, seed: np.random.SeedSequence) -> Tunable:
        coder = _coder(part)
        own: Any = clone(sampler)
        if "random_state" in own.get_params(deep=False):
            own.set_params(random_state=int(child_seed(seed, 1).generate_state(1)[0]) >> 1)
        frame, y = own.fit_resample(part.frame.copy(), pd.Series(part.y, name="__class__"))
        if not isinstance(frame, pd.DataFrame):
            frame = pd.DataFrame(frame, columns=part.frame.columns)
        X = coder.transform(part.known.matrix(frame))
        return _judged(part, judge, seed, X, np.asarray(y, dtype=np.int64), coder)

    return build


def _named(given: Any, what: str, known: list[str]) -> tuple[str, Any]:
    """The name and the object behind an import path, a class or an object."""
    found = given
    if isinstance(given, str):
        module, _, name = given.partition(":")
        if not name:
            raise UsageError(
                222, f"there is no {what} {given!r}: use {', '.join(known)}, or package.module:Name"
            )
        try:
            found = getattr(import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise UsageError(222, f"cannot import the {what} {given!r}: {error}") from error
    if isinstance(found, type):
        found = found()
    return (given if isinstance(given, str) else type(found).__name__), found
