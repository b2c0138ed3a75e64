"""The quick boosting model of an audit: its folds, its out-of-fold scores, and their intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier

from synthgen.model_selection.classifiers import AUDIT, boosting
from synthgen.model_selection.intervals import CONFIDENCE, wilson
from synthgen.model_selection.ranking import (
    Ranked,
    Steps,
    above_chance,
    average_precision,
    chance_precision,
)

# Most rows for the model. At most half of them are of the rare class, unless the other classes
# have fewer; weights restore the class shares of the table.
MODEL_ROWS = 30_000
FOLDS = 5
REPLICATES = 500  # bootstrap replicates
LISTED = 20  # largest number of hard rows, and of look-alikes, to list
MAX_BINS = 254  # the limit of histogram boosting


@dataclass(frozen=True)
class Estimate:
    """A score with its 95 % interval.

    Attributes:
        value: The score.
        low: Lower bound of its interval.
        high: Upper bound of its interval.
        reference: The score of a random guess that knows only the class shares.
    """

    value: float
    low: float
    high: float
    reference: float


@dataclass(frozen=True)
class Model:
    """Cross-validated scores of a quick boosting model, at the class shares of the table.

    Equal rows share a fold. If most rows of the other classes have an equal row, the columns are
    too coarse for that, and each row counts as a separate case.

    Accuracy, balanced accuracy, recall (all at threshold 0.5) and the fraction of hard rows have
    Wilson intervals, which keep a width even if no row is found. The other intervals come from a
    bootstrap of the scored rows within each class, without retraining.

    Attributes:
        rows: Number of rows used.
        sampled: Whether these are a sample of a larger table.
        folds: Number of folds.
        settings: Hyperparameters of the boosting, and the threshold.
        accuracy: Fraction of correct predictions.
        balanced_accuracy: Mean recall of the class and of the rest.
        recall: Recall of the class.
        average_precision: Average precision, adjusted for chance: a random ranking of so few rows
            would have more than the share of the class.
        roc_auc: Area under the ROC curve.
        log_loss: Log loss, in nats.
        hard_share: Fraction of the class that scores below the median of the other classes.
        false_alarms: False alarms per hit, at the threshold that finds half of the class.
        hard_rows: Row positions (from 0) of up to 20 rows of the class with the lowest scores, all
            below the median of the other classes.
        lookalikes: Row positions of up to 20 rows of other classes with the highest scores, all
            above the median of the class. Their label may be wrong.
    """

    rows: int
    sampled: bool
    folds: int
    settings: dict[str, Any]
    accuracy: Estimate
    balanced_accuracy: Estimate
    recall: Estimate
    average_precision: Estimate
    roc_auc: Estimate
    log_loss: Estimate
    hard_share: Estimate
    false_alarms: Estimate
    hard_rows: tuple[int, ...]
    lookalikes: tuple[int, ...]


# --- cells as numbers ---------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class FoldedRows:
    """The sampled rows and their folds; all arrays have shape (rows,).

    Attributes:
        index: Position of the row in the table.
        y: Whether the row is of the class.
        weight: Number of table rows that this row represents.
        fold: Fold number, from 0.
    """

    index: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    fold: np.ndarray


def codes_of(series: pd.Series) -> np.ndarray:
    """Integer code of each cell; equal cells share a code, and so do all missing cells."""
    return pd.factorize(series, use_na_sentinel=False)[0].astype(np.int64)


def groups_of(cells: list[np.ndarray], rows: int) -> np.ndarray:
    """Group number of each row; rows with equal cells share a number."""
    if not cells:
        return np.arange(rows)
    groups = cells[0]
    for codes in cells[1:]:
        groups = pd.factorize(groups * (codes.max() + 1) + codes)[0]
    return groups


def draw(
    is_rare: np.ndarray, groups: np.ndarray, cap: int, seed: np.random.SeedSequence
) -> FoldedRows | None:
    """Sample at most `cap` rows and assign them to folds, without splitting groups."""
    rng = np.random.default_rng(seed)
    rare, rest = rng.permutation(np.flatnonzero(is_rare)), rng.permutation(np.flatnonzero(~is_rare))
    kept = rare[: max(cap // 2, cap - len(rest))]
    other = rest[: cap - len(kept)]
    index = np.sort(np.concatenate([kept, other]))
    y = is_rare[index]
    group = pd.factorize(groups[index])[0]
    has_rare, has_rest = (np.bincount(group, weights=side) > 0 for side in (y, ~y))
    folds = min(FOLDS, int(has_rare.sum()), int(has_rest.sum()))
    if folds < 2:
        return None
    # Assign groups to folds in turn, those without the class first, so that every fold has both.
    order = np.lexsort([rng.random(len(has_rare)), 2 * has_rare - has_rest])
    deal = np.empty(len(order), dtype=np.int64)
    deal[order] = np.arange(len(order)) % folds
    weight = np.where(y, len(rare) / len(kept), len(rest) / len(other))
    return FoldedRows(index, y, weight, deal[group])


# --- the model ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Boosted:
    """Out-of-fold scores, with the feature matrix and one of the models.

    Attributes:
        scores: Out-of-fold probabilities of the class, shape (rows,).
        matrix: Feature matrix of the models, shape (rows, columns).
        first: The model trained without fold 0.
    """

    scores: np.ndarray
    matrix: np.ndarray
    first: HistGradientBoostingClassifier

    def importance(self, rows: FoldedRows, seed: np.random.SeedSequence) -> np.ndarray:
        """Loss of average precision on fold 0 when each column is shuffled, shape (columns,)."""
        rng = np.random.default_rng(seed)
        sample = rng.permutation(np.flatnonzero(rows.fold == 0))[:4000]
        y, weight, part = rows.y[sample], rows.weight[sample], self.matrix[sample]
        whole, losses = average_precision(y, self.scores[sample], weight), []
        for j in range(part.shape[1]):
            column = part[:, j].copy()
            part[:, j] = rng.permutation(column)
            shuffled = self.first.predict_proba(part)[:, 1]
            losses.append(whole - average_precision(y, shuffled, weight))
            part[:, j] = column
        return np.array(losses)


def boost(
    parts: list[tuple[np.ndarray, bool]], rows: FoldedRows, seed: np.random.SeedSequence
) -> Boosted:
    """Cross-validate boosting: score each fold with a model trained on the other folds."""
    scores, first = np.empty(len(rows.y)), None
    matrix = np.column_stack([_binned(places, level) for places, level in parts])
    rng = np.random.default_rng(seed)
    for fold in range(rows.fold.max() + 1):
        test = rows.fold == fold
        train = ~test
        model = boosting(int(train.sum()), [level for _, level in parts], AUDIT)
        model.set_params(random_state=int(rng.integers(2**31)))
        model.fit(matrix[train], rows.y[train], rows.weight[train])
        scores[test] = model.predict_proba(matrix[test])[:, 1]
        first = first or model
    assert first is not None
    return Boosted(scores, matrix, first)


def _binned(places: np.ndarray, is_level: bool) -> np.ndarray:
    """Reduce ranks to the number of bins of histogram boosting."""
    if is_level:
        return places.clip(max=MAX_BINS - 1)
    known = places[~np.isnan(places)]
    if len(np.unique(known)) <= MAX_BINS:
        return places
    cuts = np.unique(np.quantile(known, np.linspace(0, 1, MAX_BINS + 1)[1:-1], method="lower"))
    return np.where(np.isnan(places), np.nan, np.searchsorted(cuts, places))


# --- figures ------------------------------------------------------------------------------------


def share_of(hits: int, rows: int, confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """A fraction of rows, with the lower and upper bound of its Wilson interval."""
    return hits / rows, *wilson(hits / rows, rows, confidence)


def judge(
    scores: np.ndarray, rows: FoldedRows, share: float, total: int, seed: np.random.SeedSequence
) -> Model:
    """Compute all scores of a `Model`."""
    y, weight, rng = rows.y, rows.weight, np.random.default_rng(seed)
    rare, rest = np.flatnonzero(y), np.flatnonzero(~y)
    recall = share_of(int((scores[rare] >= 0.5).sum()), len(rare))
    truth = share_of(int((scores[rest] < 0.5).sum()), len(rest))
    loss = -np.log(np.clip(np.where(y, scores, 1 - scores), 1e-7, 1))
    ranked, chance = Ranked.of(y, scores), chance_precision(y, scores, weight)

    def figures(weight: np.ndarray) -> list[float]:
        steps = ranked.steps(weight)
        precision = max(0.0, above_chance(steps.average_precision(), chance, share))
        found = precision, steps.roc_auc(), steps.alarms_per_hit()
        return [*map(float, found), float(np.average(loss, weights=weight))]

    again = []
    for _ in range(REPLICATES):
        picks = [part[rng.integers(len(part), size=len(part))] for part in (rare, rest)]
        again.append(figures(weight * np.bincount(np.concatenate(picks), minlength=len(y))))
    entropy = -share * math.log(share) - (1 - share) * math.log1p(-share)
    precision, area, alarms, log_loss = (
        _estimate(value, replicates, top, reference)
        for value, replicates, top, reference in zip(
            figures(weight),
            np.transpose(again),
            (1.0, 1.0, math.inf, math.inf),
            (share, 0.5, (1 - share) / share, entropy),
            strict=True,
        )
    )
    hard = rare[scores[rare] < np.median(scores[rest])]
    alike = rest[scores[rest] > np.median(scores[rare])]
    return Model(
        rows=len(y),
        sampled=len(y) < total,
        folds=int(rows.fold.max()) + 1,
        settings={"model": "HistGradientBoostingClassifier", **AUDIT, "threshold": 0.5},
        accuracy=_mixed(share, recall, truth, 1 - share),
        balanced_accuracy=_mixed(0.5, recall, truth, 0.5),
        recall=Estimate(*recall, 0.0),
        average_precision=precision,
        roc_auc=area,
        log_loss=log_loss,
        hard_share=Estimate(*share_of(len(hard), len(rare)), 0.5),
        false_alarms=alarms,
        hard_rows=_listed(rows, hard, scores),
        lookalikes=_listed(rows, alike, -scores),
    )


def _listed(rows: FoldedRows, some: np.ndarray, by: np.ndarray) -> tuple[int, ...]:
    return tuple(rows.index[some[np.argsort(by[some], kind="stable")][:LISTED]].tolist())


def estimated_precision(
    scores: np.ndarray, rows: FoldedRows, share: float, seed: np.random.SeedSequence
) -> Estimate:
    """Average precision of scores with few distinct values, with the interval of `judge`."""
    rng, counts = np.random.default_rng(seed), Ranked.of(rows.y, scores).steps(np.ones(len(scores)))
    sides = (counts.hits, counts.alarms)
    weights = [rows.weight[side].max() for side in (rows.y, ~rows.y)]
    drawn = [rng.multinomial(int(n.sum()), n / n.sum(), REPLICATES) for n in sides]
    chance = chance_precision(rows.y, scores, rows.weight)
    value, again = (
        above_chance(found, chance, share)
        for found in (
            average_precision(rows.y, scores, rows.weight),
            Steps(*(n * w for n, w in zip(drawn, weights, strict=True))).average_precision(),
        )
    )
    return _estimate(max(0.0, value), again, 1.0, share)


def _estimate(value: float, again: np.ndarray, top: float, reference: float) -> Estimate:
    """A score with its interval from bootstrap replicates."""
    # A row of the class that is drawn twice raises the precision at its own rank, which biases the
    # replicates upwards; so their mean is shifted to the value.
    tail, again = (1 - CONFIDENCE) / 2, again + value - again.mean()
    low, high = map(float, np.quantile(again, [tail, 1 - tail]))
    return Estimate(value, max(0.0, min(value, low)), min(top, max(value, high)), reference)


def _mixed(
    part: float, a: tuple[float, float, float], b: tuple[float, float, float], reference: float
) -> Estimate:
    """Interval of ``part * a + (1 - part) * b`` for independent shares (Zou & Donner 2008)."""
    value = part * a[0] + (1 - part) * b[0]
    below = math.hypot(part * (a[0] - a[1]), (1 - part) * (b[0] - b[1]))
    above = math.hypot(part * (a[2] - a[0]), (1 - part) * (b[2] - b[0]))
    return Estimate(value, value - below, value + above, reference)
