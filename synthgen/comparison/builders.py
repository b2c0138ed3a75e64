"""How each family of strategies makes a classifier of a training part.

If a strategy trains on other class shares than the table has, the predicted probabilities are
corrected to the natural shares (Saerens et al. 2002).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pandas as pd
from imblearn.combine import SMOTEENN
from imblearn.ensemble import (
    BalancedRandomForestClassifier,
    EasyEnsembleClassifier,
    RUSBoostClassifier,
)
from imblearn.over_sampling import ADASYN, SMOTE, SMOTENC
from sklearn.base import clone
from sklearn.ensemble import AdaBoostClassifier
from sklearn.tree import DecisionTreeClassifier

from synthgen.augmentation.amount import Amount, wanted_rows
from synthgen.comparison.ensemble import MEMBERS, Job, fit_jobs, mean_of, members_of, sets_of
from synthgen.comparison.learners import (
    FocalBoosting,
    effective_weights,
)
from synthgen.comparison.parts import Fitted, Part
from synthgen.encoding.matrix import Matrix
from synthgen.errors import UsageError
from synthgen.model_selection.estimators import Estimator, NotApplicable, fit_model
from synthgen.seeds import child_seed

SHARE = 0.3  # default goal of resampling: rows of a class / rows of the most frequent class

# A `Build` is called once for each training part. It returns a function that takes the number of a
# setting and trains the classifier.
Tunable = Callable[[int], Fitted]
Build = Callable[[Part, Estimator, np.random.SeedSequence], Tunable]


def shift_of(y: np.ndarray, part: Part) -> np.ndarray:
    """For each class, its share in `y` divided by its share in `part`."""
    now = np.bincount(y, minlength=part.classes) / len(y)
    natural = part.counts / len(part)
    return np.where((now > 0) & (natural > 0), now / np.where(natural > 0, natural, 1), 1.0)


def coder_of(part: Part, *, filled: bool = False) -> Matrix:
    return Matrix(part.known.is_level, filled=filled).fit(part.places)


def fitted_on(
    part: Part,
    estimator: Estimator,
    seed: np.random.SeedSequence,
    X: np.ndarray,
    y: np.ndarray,
    coder: Matrix,
    weight: np.ndarray | None = None,
) -> Tunable:
    """Make a function that trains the estimator on rows `X`, `y` of a strategy."""
    shift = shift_of(y, part)
    if weight is not None:
        mass = np.bincount(y, weight, minlength=part.classes) / weight.sum()
        natural = part.counts / len(part)
        shift = np.where((mass > 0) & (natural > 0), mass / np.where(natural > 0, natural, 1), 1.0)

    def tuned(setting: int) -> Fitted:
        return Fitted(coder, estimator.fit(X, coder.is_level_, y, seed, setting, weight), shift)

    return tuned


def nothing(part: Part, estimator: Estimator, seed: np.random.SeedSequence) -> Tunable:
    coder = coder_of(part)
    return fitted_on(part, estimator, seed, coder.transform(part.places), part.y, coder)


def weighted(weights: Callable[[Part], np.ndarray]) -> Build:
    def build(part: Part, estimator: Estimator, seed: np.random.SeedSequence) -> Tunable:
        coder = coder_of(part)
        of_class = weights(part)
        weight = of_class[part.y] / of_class[part.y].mean()
        return fitted_on(part, estimator, seed, coder.transform(part.places), part.y, coder, weight)

    return build


def balanced(part: Part) -> np.ndarray:
    return 1 / np.maximum(part.counts, 1)


def by_cost(part: Part) -> np.ndarray:
    if part.cost is None:
        raise NotApplicable("class weights from costs need the costs: give cost")
    weights = np.full(part.classes, part.cost[1], dtype=float)
    weights[part.rare] = part.cost[0]
    return weights


def effective(part: Part) -> np.ndarray:
    return effective_weights(part.counts)


def _redrawn(rows: Callable[[Part, np.random.Generator], np.ndarray]) -> Build:
    def build(part: Part, estimator: Estimator, seed: np.random.SeedSequence) -> Tunable:
        coder = coder_of(part)
        kept = rows(part, np.random.default_rng(child_seed(seed, 1)))
        X = coder.transform(part.places[kept])
        return fitted_on(part, estimator, seed, X, part.y[kept], coder)

    return build


def undersampled(amount: Amount) -> Build:
    """Drop rows of frequent classes until the rarest class has `amount` times as many as each."""
    if amount == "double":
        raise UsageError(226, "undersample drops rows: use a share or balance, not double")
    share = 1.0 if amount == "balance" else float(amount)
    return _redrawn(lambda part, rng: under_rows(part, rng, share))


def oversampled(amount: Amount) -> Build:
    """Repeat rows of rare classes until they reach `amount`."""
    return _redrawn(lambda part, rng: over_rows(part, rng, amount))


def under_rows(part: Part, rng: np.random.Generator, share: float = SHARE) -> np.ndarray:
    """Draw the rows that undersampling keeps; return their positions, sorted."""
    rarest = part.counts[part.counts > 0].min()
    most = max(int(rarest), round(rarest / share))
    parts = [np.flatnonzero(part.y == c) for c in range(part.classes)]
    return np.sort(
        np.concatenate([rng.choice(p, most, replace=False) if len(p) > most else p for p in parts])
    )


def over_rows(part: Part, rng: np.random.Generator, amount: Amount = SHARE) -> np.ndarray:
    """Return the positions of the rows after oversampling: all rows, then the repeated ones."""
    goals = wanted_rows(part.counts, amount)
    more = [
        rng.choice(np.flatnonzero(part.y == c), goal - part.counts[c]) for c, goal in goals.items()
    ]
    return np.concatenate([np.arange(len(part)), *more]).astype(np.int64)


def imblearn(
    make: Callable[[Part, Matrix, dict[int, int], int], Any],
) -> Callable[[Amount], Build]:
    """Resample with imbalanced-learn, which gets numbers and codes without missing cells."""

    def sized(amount: Amount) -> Build:
        def build(part: Part, estimator: Estimator, seed: np.random.SeedSequence) -> Tunable:
            coder = coder_of(part, filled=True)
            X = coder.transform(part.places)
            wanted = wanted_rows(part.counts, amount)
            goals = {c: n for c, n in wanted.items() if part.counts[c] > 1}
            if not goals:
                return fitted_on(part, estimator, seed, X, part.y, coder)
            sampler = make(part, coder, goals, int(child_seed(seed, 1).generate_state(1)[0]) >> 1)
            X, y = sampler.fit_resample(X, part.y)
            return fitted_on(part, estimator, seed, np.asarray(X), np.asarray(y), coder)

        return build

    return sized


def _neighbours(part: Part, goals: dict[int, int]) -> int:
    return int(min(5, *(part.counts[c] - 1 for c in goals)))


def smote(part: Part, coder: Matrix, goals: dict[int, int], seed: int) -> Any:
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


def _numbers_only(part: Part, coder: Matrix) -> None:
    if coder.is_level_.any():
        raise NotApplicable(
            f"it interpolates numbers only, and {int(coder.is_level_.sum())} columns hold levels "
            f"or missing cells"
        )


def adasyn(part: Part, coder: Matrix, goals: dict[int, int], seed: int) -> Any:
    _numbers_only(part, coder)
    return ADASYN(
        sampling_strategy=cast(Any, goals),
        n_neighbors=_neighbours(part, goals),
        random_state=seed,
    )


def smote_enn(part: Part, coder: Matrix, goals: dict[int, int], seed: int) -> Any:
    first = smote(part, coder, goals, seed)
    return SMOTEENN(sampling_strategy=cast(Any, goals), smote=first, random_state=seed)


def learner(make: Callable[[int], Any], *, keeps_shares: bool = False) -> Build:
    """Use another classifier, with four settings, instead of the estimator."""

    def build(part: Part, estimator: Estimator, seed: np.random.SeedSequence) -> Tunable:
        coder = coder_of(part)
        X = coder.transform(part.places)
        there = part.counts > 0
        shift = np.where(there, len(part) / np.maximum(part.counts, 1) / there.sum(), 1.0)
        if keeps_shares:
            shift = np.ones(part.classes)

        def tuned(setting: int) -> Fitted:
            try:
                model = fit_model(make(setting), X, coder.is_level_, part.y, seed)
            except ValueError as error:
                if "worse than random" not in str(error):
                    raise
                raise NotApplicable(
                    "boosting cannot start: its first tree is no better than guessing"
                ) from None
            return Fitted(coder, model, shift)

        return tuned

    return build


# The sets of members that `auto` chooses from, each a setting.
AVERAGES = sets_of(np.zeros(len(MEMBERS)))


def average(part: Part, estimator: Estimator, seed: np.random.SeedSequence) -> Tunable:
    """The members of `auto`, fitted once; setting n is the mean of the nth set of `AVERAGES`."""
    (fitted,) = fit_jobs([Job(part, members_of(None), child_seed(seed, 1))])

    def tuned(setting: int) -> Fitted:
        return mean_of([fitted[place] for place in AVERAGES[setting]], np.ones(part.classes))

    return tuned


def balanced_forest(setting: int) -> Any:
    leaf, features = ((1, "sqrt"), (3, "sqrt"), (1, 0.5), (3, 0.5))[setting % 4]
    return BalancedRandomForestClassifier(
        n_estimators=100, min_samples_leaf=leaf, max_features=cast(Any, features)
    )


def easy(setting: int) -> Any:
    stages, depth = ((10, 1), (20, 1), (10, 3), (20, 3))[setting % 4]
    base = AdaBoostClassifier(DecisionTreeClassifier(max_depth=depth), n_estimators=stages)
    return EasyEnsembleClassifier(n_estimators=10, estimator=base)


def rusboost(setting: int) -> Any:
    # A stump fitted on a balanced sample is often wrong on most rows of the table, and boosting
    # then stops; so the smallest depth is 3.
    stages, depth = ((50, 3), (100, 3), (50, 5), (100, 5))[setting % 4]
    return RUSBoostClassifier(DecisionTreeClassifier(max_depth=depth), n_estimators=stages)


def focal_boosting(part: Part, estimator: Estimator, seed: np.random.SeedSequence) -> Tunable:
    if part.classes > 2:
        raise NotApplicable("the focal loss for xgboost supports two classes only")

    def make(setting: int) -> Any:
        gamma, depth = ((1.0, 4), (2.0, 4), (1.0, 6), (2.0, 6))[setting % 4]
        return FocalBoosting(gamma=gamma, max_depth=depth)

    return learner(make, keeps_shares=True)(part, estimator, seed)


def sampled(sampler: Any) -> Build:
    """Resample with a user's sampler, which gets the training frame as given, and class codes."""

    def build(part: Part, estimator: Estimator, seed: np.random.SeedSequence) -> Tunable:
        coder = coder_of(part)
        own: Any = clone(sampler)
        if "random_state" in own.get_params(deep=False):
            own.set_params(random_state=int(child_seed(seed, 1).generate_state(1)[0]) >> 1)
        frame, y = own.fit_resample(part.frame.copy(), pd.Series(part.y, name="__class__"))
        if not isinstance(frame, pd.DataFrame):
            frame = pd.DataFrame(frame, columns=part.frame.columns)
        X = coder.transform(part.known.cells(frame))
        codes = np.asarray(y, dtype=np.int64)
        return fitted_on(
            part, estimator, seed, X, codes, coder, getattr(own, "sample_weight_", None)
        )

    return build
