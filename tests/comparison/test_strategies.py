"""Every strategy on tables with text, missing cells and three classes."""

from __future__ import annotations

import warnings
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from imblearn.over_sampling import RandomOverSampler
from scipy.optimize import check_grad
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from synthgen import Oversampler, SequentialTrees, SmoothedBootstrap, Synthesizer, TabFlow
from synthgen.comparison import synthetic
from synthgen.comparison.learners import focal_derivatives
from synthgen.comparison.parts import Part
from synthgen.comparison.splits import training_part
from synthgen.comparison.strategies import STRATEGIES, Strategy, pick
from synthgen.encoding.matrix import Binned, Matrix
from synthgen.errors import UsageError
from synthgen.model_selection.estimators import Estimator, NotApplicable
from synthgen.seeds import seed_sequence
from synthgen.tables.table import Table

LR = Estimator.of("lr")
# Networks take long; the shape of their strategies is that of the bootstrap's.
SLOW = ("ctgan", "tabflow", "tvae", "synthgen")
QUICK = [s for s in STRATEGIES if not s.name.startswith(SLOW) and not s.missing()]
QUICK += [
    Strategy("hybrid_under", "hybrid", "", synthetic.Synthetic("bootstrap", None, under=True)),
]


def part(kind: str) -> Part:
    rng = np.random.default_rng(0)
    ill = rng.permutation(np.repeat([0, 1], [270, 30]))
    frame = pd.DataFrame({"dose": rng.normal(2.0 * ill), "age": rng.normal(size=300)})
    y = pd.Series(ill)
    if kind != "numbers":
        frame["sex"] = rng.choice(["f", "m"], 300)
        frame["seen"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(
            rng.integers(0, 99, 300), unit="D"
        )
        frame.loc[::7, ["age", "sex"]] = np.nan
    if kind == "three":
        y = pd.Series(np.where(ill == 1, "rare", np.where(frame["age"] > 0.5, "some", "most")))
    return training_part(Table.of_xy(frame, y), None, (50, 1))[1]


def built(strategy: Strategy, rows: Part, setting: int = 1, estimator: Estimator = LR) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # imbalanced-learn on tiny tables; compare collects them
        return strategy.build(rows, estimator, seed_sequence(0))(setting)


@pytest.mark.parametrize("kind", ["numbers", "mixed", "three"])
@pytest.mark.parametrize("strategy", QUICK, ids=lambda s: s.name)
def test_every_strategy_ranks_and_gives_natural_probabilities(
    strategy: Strategy, kind: str
) -> None:
    rows = part(kind)
    if strategy.name == "adasyn" and kind != "numbers":
        with pytest.raises(NotApplicable, match="levels or missing cells"):
            built(strategy, rows)
        return
    if strategy.name == "focal_boosting" and kind == "three":
        with pytest.raises(NotApplicable, match="two classes"):
            built(strategy, rows)
        return
    p = built(strategy, rows).predict_proba(rows.places)
    assert p.shape == (300, rows.classes)
    assert p.sum(axis=1) == pytest.approx(1)
    is_rare = rows.y == rows.rare
    assert roc_auc_score(is_rare, p[:, rows.rare]) > 0.65
    if strategy.family in ("nothing", "decision", "loss", "data") and "focal" not in strategy.name:
        assert 0.05 < p[:, rows.rare].mean() < 0.2  # 0.1 is natural; 0.5 is what weights made


def test_the_shift_of_the_shares_is_taken_out() -> None:
    rows = part("numbers")
    nothing, weighted = (built(s, rows) for s in pick(["class_weight"])[::2])
    raw = weighted.model.predict_proba(weighted.coder.transform(rows.places))[:, 1]
    assert raw.mean() > 0.25
    p = weighted.predict_proba(rows.places)[:, 1]
    assert p == pytest.approx(nothing.predict_proba(rows.places)[:, 1], abs=0.1)


@pytest.mark.parametrize("name", [s.name for s in QUICK])
def test_the_same_seed_gives_the_same_classifier(name: str) -> None:
    rows = part("numbers")
    strategy = next(s for s in QUICK if s.name == name)
    one, two = (built(strategy, rows).predict_proba(rows.places) for _ in range(2))
    assert np.array_equal(one, two)


@pytest.mark.parametrize("estimator", ["hgb", "rf"])
def test_judges_take_levels_and_missing_cells_they_have_not_seen(estimator: str) -> None:
    rows = part("mixed")
    train = rows.rows(np.flatnonzero(~(rows.places[:, 2] == 1)))
    for name in ("nothing", "class_weight", "smote"):
        strategy = next(s for s in STRATEGIES if s.name == name)
        model = built(strategy, train, 2, Estimator.of(estimator))
        assert np.isfinite(model.predict_proba(rows.places)).all()


def test_amounts_are_what_they_say() -> None:
    rows = part("mixed")
    seen: list[np.ndarray] = []

    class Noting(LogisticRegression):
        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
            seen.append(np.bincount(y))
            return super().fit(X, y, sample_weight)

    estimator = Estimator("noting", Noting(max_iter=1000))
    for name in ("undersample", "oversample", "smote", "bootstrap:0.1", "bootstrap:balance"):
        built(pick(name)[-1], rows, 0, estimator)
    assert [s.tolist() for s in seen] == [[100, 30], [270, 81], [270, 81], [270, 30], [270, 270]]


class Counting(Synthesizer):
    """A smoothed bootstrap that notes how many rows it was given each time."""

    fits: list[int] = []  # noqa: RUF012

    def _fit(self, table: Table, positions: list[int], seed: np.random.SeedSequence) -> None:
        Counting.fits.append(len(table))
        y = table.frame[table.schema.target]
        features = table.frame.drop(columns=[table.schema.target])
        self.inner_ = SmoothedBootstrap(classes=self.classes).fit(features, y)

    def _sample(self, position: int, rows: int, seed: np.random.SeedSequence) -> pd.DataFrame:
        return self.inner_._sample(position, rows, seed)


def test_a_synthesizer_is_trained_once_for_all_that_share_it_and_rows_are_the_same() -> None:
    rows, alone = part("mixed"), part("mixed")
    Counting.fits.clear()
    shared = Counting()
    several = [
        Strategy(str(amount), "data", "", synthetic.Synthetic(shared, amount))
        for amount in (0.2, 0.3, "double")
    ]
    found = [built(s, rows, 0).predict_proba(rows.places) for s in several]
    assert Counting.fits == [300]
    assert np.array_equal(found[2], built(several[2], alone, 0).predict_proba(rows.places))
    assert not np.array_equal(found[0], found[1])


def test_no_rows_is_an_amount_too_and_trains_nothing() -> None:
    rows = part("numbers")
    Counting.fits.clear()
    setting = synthetic.TUNED.index(0.0)
    own = built(Strategy("own", "data", "", synthetic.Synthetic(Counting(), None)), rows, setting)
    nothing = built(pick([])[0], rows, setting)
    assert np.array_equal(own.predict_proba(rows.places), nothing.predict_proba(rows.places))
    assert Counting.fits == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["synthgen", "synthgen_under", "tabflow:0.3"])
def test_the_default_synthesizer_ranks(name: str) -> None:
    rows = part("three")
    p = built(pick(name)[-1], rows, 0).predict_proba(rows.places)
    assert roc_auc_score(rows.y == rows.rare, p[:, rows.rare]) > 0.65


# --- the user's own -----------------------------------------------------------------------------


def test_the_users_own_joins_by_path_class_or_object() -> None:
    names = [
        "imblearn.over_sampling:RandomOverSampler",
        RandomOverSampler(sampling_strategy=cast(Any, 0.5)),
        "sklearn.naive_bayes:GaussianNB",
        "synthgen:SmoothedBootstrap",
        SmoothedBootstrap(bandwidth=0.1),
    ]
    found = pick(names)
    families = ["nothing", "decision", "data", "data", "learner", "data", "data"]
    assert [s.family for s in found] == families
    rows = part("mixed")
    for strategy in found[2:]:
        assert built(strategy, rows, 0).predict_proba(rows.places).shape == (300, 2)


def test_the_users_oversampler_hands_its_weights_on(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, seen = part("numbers"), []
    fit = Estimator.fit

    def watched(self: Estimator, X: Any, is_level: Any, y: Any, *rest: Any) -> Any:
        seen.append((y, rest[-1]))
        return fit(self, X, is_level, y, *rest)

    monkeypatch.setattr(Estimator, "fit", watched)
    for sampler in (Oversampler("bootstrap", ratio=0.5), RandomOverSampler()):
        built(pick([sampler])[-1], rows, 0)
    (codes, weight), (_, without) = seen
    assert len(codes) == len(weight) == 300 + 135 - 30
    assert (weight[:300] == 1).all()
    assert weight[300:].sum() == pytest.approx(30)  # that of the 30 real rows of the class
    assert without is None


def test_names_are_in_order_and_once() -> None:
    assert [s.name for s in pick(["smote", "default", "smote"])] == [
        s.name for s in pick("default")
    ]
    assert len({s.name for s in STRATEGIES}) == len(STRATEGIES) == len(pick("all"))
    assert pick(["sdv:GaussianCopula"])[-1].family == "data"
    with pytest.raises(UsageError, match="sdv:TVAE"):
        pick(["sdv:Nothing"])
    assert pick(["tabflow", "trees:double"])[2].name == "trees:double"
    assert pick("sdv:GaussianCopula:balance")[-1].name == "sdv:GaussianCopula:balance"
    for wrong in ("class_weight:0.3", "smote:1.5", "smote:lots", "undersample:double"):
        with pytest.raises(UsageError, match="E226"):
            pick(wrong)
    with pytest.raises(UsageError, match="did you mean 'class_weight'"):
        pick("class_wieght")
    with pytest.raises(UsageError, match="E225"):
        pick([RandomOverSampler(), RandomOverSampler()])
    with pytest.raises(UsageError, match="predict_proba"):
        Estimator.of("sklearn.svm:LinearSVC")


# --- learners -----------------------------------------------------------------------------------


def test_focal_derivatives() -> None:
    for gamma in (0.0, 1.0, 2.5):
        for is_rare in (0, 1):

            def loss(z: np.ndarray, rare: int = is_rare, g: float = gamma) -> float:
                p = 1 / (1 + np.exp(-(2 * rare - 1) * z[0]))
                return float(-((1 - p) ** g) * np.log(p))

            def slope(z: np.ndarray, rare: int = is_rare, g: float = gamma) -> np.ndarray:
                return focal_derivatives(z, np.array([rare]), g)[0]

            for z in (-2.0, 0.3, 4.0):
                assert check_grad(loss, slope, np.array([z])) < 1e-5
                assert focal_derivatives(np.array([z]), np.array([is_rare]), gamma)[1] > 0


# --- matrices -----------------------------------------------------------------------------------


def test_bins_are_what_boosting_would_cut_anyway() -> None:
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.lognormal(size=3000), rng.integers(0, 4, 3000).astype(float)])
    X[::11, 0] = np.nan
    y = (np.nan_to_num(X[:, 0]) > 2).astype(int)
    levels = np.array([False, True])
    binned = Binned(levels).fit_transform(X)
    assert np.array_equal(np.isnan(binned), np.isnan(X))
    assert np.array_equal(binned[:, 1], X[:, 1])
    assert np.unique(binned[~np.isnan(binned[:, 0]), 0]).size <= 254
    model = HistGradientBoostingClassifier(max_iter=20, early_stopping=cast(Any, False))
    one, two = (model.fit(M, y).predict_proba(M)[:, 1] for M in (X, binned))
    assert np.abs(one - two).mean() < 0.01


def test_dense_codes_hold_nothing_missing_even_of_new_rows() -> None:
    rows = part("mixed")
    train = rows.rows(np.arange(150))
    coder = Matrix(train.known.is_level, filled=True).fit(train.places)
    new = np.full((1, rows.places.shape[1]), np.nan)
    out = coder.transform(np.vstack([rows.places, new, new * 0 + 1e6]))
    assert np.isfinite(out).all()
    assert out.shape[1] == len(coder.is_level_) == 5  # age is flagged
    assert np.abs(out[:150, :2].mean(axis=0)).max() < 0.5


def test_the_default_synthesizer_is_chosen_once_by_the_rows_of_the_whole_table():
    picked = {strategy.name: strategy for strategy in pick(["synthgen:0.3"])}
    nothing, ours = picked["nothing"], picked["synthgen:0.3"]
    few, many = (cast(Any, ours.for_rows(rows).build) for rows in (199, 200))
    assert isinstance(few.synthesizer, TabFlow)
    assert isinstance(many.synthesizer, SequentialTrees)
    assert (few.amount, many.amount) == (0.3, 0.3)
    assert nothing.for_rows(200) is nothing
