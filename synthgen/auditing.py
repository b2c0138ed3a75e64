"""What is wrong with a table, before anything is trained on it: leaks, duplicates, hard rows, drift."""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types as pdt
from scipy.special import ndtri
from scipy.stats import fisher_exact
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.tree import DecisionTreeClassifier

from synthgen.device import RandomState, child_seed, seed_sequence
from synthgen.errors import UsageError
from synthgen.table import ID_NAME, LEVELS, NUMBERS, Column, Schema, Table, class_position

# Below these many rows of a class no network is trained, and none is held out to stop it early.
# Both are facts of synthesizers.network, which lies above this floor; a test compares them.
NETWORK_ROWS, EARLY_STOP_ROWS = 10, 200
# What the model and the trees of one column see; the rare class fills at most half of it, and
# weights give the classes back their natural shares.
MODEL_ROWS, SCREEN_ROWS, SCREEN_CELLS = 30_000, 20_000, 500_000
FOLDS, REPLICATES, CONFIDENCE = 5, 500, 0.95
BOOSTING = {"learning_rate": 0.1, "max_iter": 100, "max_leaf_nodes": 16, "l2_regularization": 1.0}
MAX_LEVELS = 254  # histogram boosting takes no more; the rarest share the last
# A gain is (AP - share of the class) / (1 - share): 0 for guessing, 1 for knowing. On 16 real
# tables without known leaks the strongest single column gains 0.77 (a hormone that defines the
# disease), so 0.9 alone is beyond what honest columns do. A noisy leak stays below that, but then
# adds up to about all that the whole model knows; a weak model is no yardstick for it.
LEAK_GAIN, STRONG_GAIN, STRONG_SHARE = 0.9, 0.5, 0.9
NEAR_CONSTANT, MANY_LEVELS, LEVEL_ROWS, ID_SHARE, MUCH_MISSING = 0.995, 50, 5, 0.95, 0.5
MISSING_P, MISSING_RATIO = 0.01, 1.5


@dataclass(frozen=True)
class Finding:
    """Something to know about the table.

    Attributes:
        code: A stable name, such as ``leak_column``.
        severity: ``error`` (figures cannot be trusted), ``warning`` (likely harm) or ``note``.
        column: Where, as text; a pair as ``"a, b"``; None for the whole table.
        message: What, and what to do.
        evidence: The figures behind it.
    """

    code: str
    severity: str
    column: str | None
    message: str
    evidence: dict[str, Any]


@dataclass(frozen=True)
class Estimate:
    """A figure, its 95 % interval, and the same figure for somebody who knows the shares only."""

    value: float
    low: float
    high: float
    reference: float


@dataclass(frozen=True)
class Minority:
    """The rare class. `rows` counts all, `distinct` those whose features differ (IDs apart)."""

    label: str
    rows: int
    share: float
    duplicates: int
    distinct: int
    rows_per_feature: float
    lesson: str


@dataclass(frozen=True)
class Model:
    """A quick boosting model, judged out of fold at the natural shares of the classes.

    Equal rows share a fold. Recall, accuracy and balanced accuracy (at 0.5) have Wilson intervals,
    which are not empty at zero hits; the others a bootstrap of rows within each class.

    Attributes:
        rows: Rows it saw; fewer than the table's when `sampled`.
        hard_share: Share of the class that scores below the median row of the other classes.
        hard_rows: Positions (from 0) of the hardest of those, 20 at most.
        false_alarms: For each hit, when the threshold finds half of the class.
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
    hard_share: float
    hard_rows: tuple[int, ...]
    false_alarms: float


@dataclass(frozen=True)
class Audit:
    """What `audit` found; `to_json` has the same names.

    Attributes:
        target, rows, features: Name of the target, and size of the table without it.
        classes: ``label``, ``rows`` and ``share`` of each class, in order.
        ratio: Rows of the most frequent class for each row of the rare one.
        minority: The rare class.
        always_no: What always denying the rare class reaches: ``accuracy``, ``balanced_accuracy``,
            ``recall``.
        model: None where the class, or what it is told from, has less than 2 distinct rows.
        duplicates: ``rows`` that repeat an earlier one and their ``share``; ``contradictions``:
            sets of rows alike but for the class, with their rows and those of the rare class.
        columns: ``name``, ``kind``, ``reason``, ``missing``, ``missing_rows``, ``distinct``,
            ``top_share`` and ``average_precision`` (of the column alone) of each feature.
        counts: Findings by severity.
        findings: Errors first.
        remedies: ``remedy`` and ``why``, in the order in which to try them.
    """

    target: str
    rows: int
    features: int
    classes: tuple[dict[str, Any], ...]
    ratio: float
    minority: Minority
    always_no: dict[str, float]
    model: Model | None
    duplicates: dict[str, float]
    columns: tuple[dict[str, Any], ...]
    counts: dict[str, int]
    findings: tuple[Finding, ...]
    remedies: tuple[dict[str, str], ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values: numbers (none is NaN), texts, lists and dicts."""
        return _listed(asdict(self))

    def summary_lines(self) -> list[str]:
        """The audit in sentences: the class, the model, the findings, the remedies."""
        rare, model = self.minority, self.model
        lines = [
            f"{self.rows:,} rows, {self.features} features, {len(self.classes)} classes; "
            f"{rare.label!r} has {rare.rows:,} ({rare.share:.3%}), 1 to {self.ratio:.1f}.",
            rare.lesson,
        ]
        if model is not None:
            figures = [
                f"{name} {e.value:.3f} [{e.low:.3f}, {e.high:.3f}] ({e.reference:.3f})"
                for name, e in (
                    ("balanced accuracy", model.balanced_accuracy),
                    ("average precision", model.average_precision),
                    ("recall", model.recall),
                    ("log-loss", model.log_loss),
                )
            ]
            lines += [
                f"Always saying 'not {rare.label}' is right in {self.always_no['accuracy']:.3%}; a "
                f"quick boosting model in {model.accuracy.value:.3%}. So look at other figures "
                "(in brackets what knowing the shares alone gives): " + ", ".join(figures) + ".",
                f"{model.hard_share:.0%} of {rare.label!r} look less like it than half of the "
                f"other rows do; to find half of it costs {model.false_alarms:.1f} false alarms "
                "for each hit.",
            ]
        lines += [f"{f.severity}: {f.message}" for f in self.findings]
        return lines + [f"try: {r['remedy']}: {r['why']}" for r in self.remedies]


def audit(
    X: Any,
    y: Any,
    *,
    schema: Schema | None = None,
    label: Any = None,
    now: datetime | None = None,
    random_state: RandomState = 0,
) -> Audit:
    """Look at a table before anything is trained on it.

    Args:
        X: Frame (any dtypes, missing cells) or array, shape (rows, features); never changed.
        y: Series or array of classes, shape (rows,).
        schema: Decisions about columns to take instead of guessing them.
        label: The class to look at, against all others; None: the rarest one.
        now: Dates after this moment lie in the future (without a time zone: UTC); None: the clock's.
        random_state: Seed of folds, subsamples and bootstrap.

    Raises:
        DataError: The table cannot be used as it is.
        UsageError: The label is no class, or `random_state` no seed.

    Example:
        >>> X = pd.DataFrame({"dose": range(200), "site": [7] * 200})
        >>> found = audit(X, ["no"] * 180 + ["ill"] * 20)
        >>> found.minority.rows, found.ratio, found.always_no["accuracy"]
        (20, 9.0, 0.9)
        >>> [(f.code, f.column) for f in found.findings if f.column]
        [('leak_column', 'dose'), ('id', 'dose'), ('constant', 'site')]
    """
    seed = seed_sequence(random_state)
    table = Table.of_xy(X, y, schema=schema)
    counts = {c: n for c, n in table.counts.items() if n}
    chosen = min(counts, key=lambda c: counts[c])
    if label is not None:
        chosen = tuple(counts)[class_position(tuple(counts), label)]
    labels = table.labels
    is_rare = labels == list(table.schema.classes).index(chosen)
    features = table.schema.features
    cells = [_codes(table.frame[c.name]) for c in features]
    groups = _groups([k for k, c in zip(cells, features, strict=True) if c.kind != "id"], labels)
    rows, rare = len(table), int(is_rare.sum())
    share = rare / rows

    ranks = [_ranks(c, table.frame[c.name]) for c in features]
    drawn = _draw(is_rare, groups, MODEL_ROWS, np.random.default_rng(child_seed(seed, 0)))
    learned = [i for i, c in enumerate(features) if c.kind in (*NUMBERS, "categorical", "boolean")]
    scores, importance = None, np.zeros(len(features))
    if drawn is not None and learned:
        matrix = np.column_stack(
            [_for_boosting(features[i], ranks[i][drawn.index]) for i in learned]
        )
        levels = [features[i].kind in LEVELS for i in learned]
        scores, importance[learned] = _boost(matrix, levels, drawn, child_seed(seed, 1))
    model = None
    if scores is not None and drawn is not None:
        model = _judge(scores, drawn, share, rows, np.random.default_rng(child_seed(seed, 2)))

    found, alone = _screen(table, ranks, is_rare, groups, model, importance, child_seed(seed, 3))
    facts = tuple(
        _facts(c, k, table.frame[c.name], ap)
        for c, k, ap in zip(features, cells, alone, strict=True)
    )
    moment = pd.Timestamp(now if now is not None else datetime.now(timezone.utc))
    moment = moment.tz_localize("UTC") if moment.tzinfo is None else moment
    tests = sum(0 < f["missing_rows"] < rows for f in facts)
    for column, fact, codes in zip(features, facts, cells, strict=True):
        series = table.frame[column.name]
        gone = series.isna().to_numpy(bool)
        found += _of_column(column, fact, codes, gone)
        found += _of_dates(column, series, moment)
        found += _of_missing(fact, gone, is_rare, tests)
    duplicates, alike = _duplicates(groups, labels, is_rare)
    distinct = len(np.unique(groups[is_rare]))
    minority = Minority(
        label=str(chosen),
        rows=rare,
        share=share,
        duplicates=rare - distinct,
        distinct=distinct,
        rows_per_feature=rare / max(1, len(learned)),
        lesson=_lesson(str(chosen), rare, distinct, len(learned)),
    )
    found += alike + _of_class(minority, model, learned != [])
    order = {"error": 0, "warning": 1, "note": 2}
    found.sort(key=lambda f: order[f.severity])
    ratio = max(counts.values()) / rare
    return Audit(
        target=str(table.schema.target),
        rows=rows,
        features=len(features),
        classes=tuple({"label": str(c), "rows": n, "share": n / rows} for c, n in counts.items()),
        ratio=ratio,
        minority=minority,
        always_no={"accuracy": 1 - share, "balanced_accuracy": 0.5, "recall": 0.0},
        model=model,
        duplicates=duplicates,
        columns=facts,
        counts={s: sum(f.severity == s for f in found) for s in order},
        findings=tuple(found),
        remedies=_remedies(minority, model, ratio, {f.code for f in found}),
    )


# --- rows as numbers ----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows to learn from: positions, class, weight and fold of each, all of shape (rows,)."""

    index: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    fold: np.ndarray


def _codes(series: pd.Series) -> np.ndarray:
    """Equal cells have equal codes; missing ones share one."""
    return pd.factorize(series, use_na_sentinel=False)[0].astype(np.int64)


def _groups(cells: list[np.ndarray], labels: np.ndarray) -> np.ndarray:
    """Rows with equal cells have the same number; without a column every row is its own."""
    if not cells:
        return np.arange(len(labels))
    groups = cells[0]
    for codes in cells[1:]:
        groups = pd.factorize(groups * (codes.max() + 1) + codes)[0]
    return groups


def _ranks(column: Column, series: pd.Series) -> np.ndarray:
    """Each cell's place among the column's values, NaN where missing.

    Trees see nothing but order, and places do not overflow where values near 1e308 do. Levels are
    placed by frequency, so that the last ones can be merged.
    """
    if column.kind in NUMBERS:
        values, gone = column.numbers(series)
        places = np.unique(values, return_inverse=True)[1]
    elif column.kind in LEVELS:
        places = column.codes(series)
        gone = places < 0
        seen = np.bincount(places[~gone], minlength=len(column.categories))
        places = np.argsort(np.argsort(-seen, kind="stable"))[places]
    else:
        number = pdt.is_numeric_dtype(series.dtype)
        places = pd.factorize(series if number else series.astype(str), sort=True)[0]
        gone = series.isna().to_numpy(bool)
    return np.where(gone, np.nan, places.astype(np.float64))


def _for_boosting(column: Column, ranks: np.ndarray) -> np.ndarray:
    return np.minimum(ranks, MAX_LEVELS - 1) if column.kind in LEVELS else ranks


def _draw(
    is_rare: np.ndarray, groups: np.ndarray, cap: int, rng: np.random.Generator
) -> _Rows | None:
    """At most `cap` rows, dealt into folds of equal shares; equal rows share a fold.

    None if the class, or the rest, has less than 2 distinct rows.
    """
    rare, rest = np.flatnonzero(is_rare), np.flatnonzero(~is_rare)
    kept = rng.permutation(rare)[: max(cap // 2, cap - len(rest))]
    other = rng.permutation(rest)[: cap - len(kept)]
    index = np.sort(np.concatenate([kept, other]))
    y = is_rare[index]
    weight = np.where(y, len(rare) / len(kept), len(rest) / max(1, len(other)))
    group = pd.factorize(groups[index])[0]
    has_rare = np.bincount(group, weights=y) > 0
    folds = min(FOLDS, int(has_rare.sum()), int((~has_rare).sum()))
    if folds < 2:
        return None
    deal = np.empty(len(has_rare), dtype=np.int64)
    for kind in (has_rare, ~has_rare):
        deal[kind] = rng.permutation(int(kind.sum())) % folds
    return _Rows(index, y, weight, deal[group])


# --- the model ----------------------------------------------------------------------------------


def _boost(
    matrix: np.ndarray, levels: list[bool], rows: _Rows, seed: np.random.SeedSequence
) -> tuple[np.ndarray, np.ndarray]:
    """Out-of-fold scores, and how much AP the first fold loses when a column is shuffled."""
    scores, importance = np.empty(len(rows.y)), np.zeros(len(levels))
    rng = np.random.default_rng(seed)
    for fold in np.unique(rows.fold):
        test = rows.fold == fold
        train = ~test
        # 20 rows in a leaf is the usual setting; a table of 100 rows could not be split at all.
        leaf = int(np.clip(train.sum() // 50, 2, 20))
        model = HistGradientBoostingClassifier(
            **BOOSTING,
            early_stopping=False,
            min_samples_leaf=leaf,
            categorical_features=levels,
            random_state=int(rng.integers(2**31)),
        ).fit(matrix[train], rows.y[train], rows.weight[train])
        scores[test] = model.predict_proba(matrix[test])[:, 1]
        if fold == 0:
            some = rng.permutation(np.flatnonzero(test))[:4000]
            y, weight, part = rows.y[some], rows.weight[some], matrix[some]
            whole = average_precision(y, scores[some], weight)
            for j in range(len(levels)):
                shuffled = part.copy()
                shuffled[:, j] = rng.permutation(part[:, j])
                score = model.predict_proba(shuffled)[:, 1]
                importance[j] = whole - average_precision(y, score, weight)
    return scores, importance


class _Curve:
    """Rows from the highest score down; rows of equal score count at once."""

    def __init__(self, y: np.ndarray, score: np.ndarray) -> None:
        self.order = np.argsort(-score, kind="stable")
        self.y = y[self.order]
        self.ends = np.flatnonzero(np.diff(score[self.order], append=np.inf))

    def figures(self, weight: np.ndarray) -> tuple[float, float]:
        """Average precision and area under the ROC curve."""
        weight = weight[self.order]
        hits = np.cumsum(weight * self.y)[self.ends]
        alarms = np.cumsum(weight * ~self.y)[self.ends]
        if hits[-1] == 0:
            return 0.0, 0.5
        steps = np.diff(hits, prepend=0.0) / hits[-1]
        both = hits + alarms
        precision = np.divide(hits, both, out=np.zeros_like(hits), where=both > 0)
        below = alarms[-1] - alarms + np.diff(alarms, prepend=0.0) / 2
        return float(steps @ precision), float(steps @ below / alarms[-1])


def average_precision(y: np.ndarray, score: np.ndarray, weight: np.ndarray) -> float:
    """Average precision of weighted rows; all arrays of shape (rows,)."""
    return _Curve(y, score).figures(weight)[0]


def _judge(
    scores: np.ndarray, rows: _Rows, share: float, total: int, rng: np.random.Generator
) -> Model:
    y, weight = rows.y, rows.weight
    rare, rest = np.flatnonzero(y), np.flatnonzero(~y)
    says_yes = scores >= 0.5
    recall = _wilson(int(says_yes[rare].sum()), len(rare))
    truth = _wilson(int((~says_yes[rest]).sum()), len(rest))
    certain = np.clip(np.where(y, scores, 1 - scores), 1e-7, 1)
    loss, curve = -np.log(certain), _Curve(y, scores)

    def figures(weight: np.ndarray) -> tuple[float, float, float]:
        return (*curve.figures(weight), float(np.average(loss, weights=weight)))

    again = np.empty((REPLICATES, 3))
    for i in range(REPLICATES):
        picks = [part[rng.integers(len(part), size=len(part))] for part in (rare, rest)]
        again[i] = figures(weight * np.bincount(np.concatenate(picks), minlength=len(y)))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(again, [tail, 1 - tail], axis=0)
    entropy = -share * math.log(share) - (1 - share) * math.log1p(-share)
    ap, auc, log_loss = (
        Estimate(value, float(low[i]), float(high[i]), reference)
        for i, (value, reference) in enumerate(
            zip(figures(weight), (share, 0.5, entropy), strict=True)
        )
    )
    hard = rare[scores[rare] < np.median(scores[rest])]
    half = np.sort(scores[rare])[len(rare) // 2]
    found = scores >= half
    return Model(
        rows=len(y),
        sampled=len(y) < total,
        folds=len(np.unique(rows.fold)),
        settings={"model": "HistGradientBoostingClassifier", **BOOSTING, "threshold": 0.5},
        accuracy=_mixed(share, recall, truth, 1 - share),
        balanced_accuracy=_mixed(0.5, recall, truth, 0.5),
        recall=_mixed(1.0, recall, truth, 0.0),
        average_precision=ap,
        roc_auc=auc,
        log_loss=log_loss,
        hard_share=len(hard) / len(rare),
        hard_rows=tuple(rows.index[hard[np.argsort(scores[hard], kind="stable")][:20]].tolist()),
        false_alarms=float(weight[found & ~y].sum() / weight[found & y].sum()),
    )


def _wilson(hits: int, rows: int, z: float | None = None) -> tuple[float, float, float]:
    """A share and its interval (Wilson 1927), which is not empty at no hit or all."""
    z = float(ndtri((1 + CONFIDENCE) / 2)) if z is None else z
    share = hits / rows
    middle = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z * math.sqrt(share * (1 - share) / rows + (z / (2 * rows)) ** 2) / (1 + z * z / rows)
    return share, min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half))


def _mixed(
    part: float, a: tuple[float, float, float], b: tuple[float, float, float], reference: float
) -> Estimate:
    """``part * a + (1 - part) * b`` of independent shares (Zou & Donner 2008)."""
    value = part * a[0] + (1 - part) * b[0]
    below = math.hypot(part * (a[0] - a[1]), (1 - part) * (b[0] - b[1]))
    above = math.hypot(part * (a[2] - a[0]), (1 - part) * (b[2] - b[0]))
    return Estimate(value, value - below, value + above, reference)


# --- leaks --------------------------------------------------------------------------------------


def _screen(
    table: Table,
    ranks: list[np.ndarray],
    is_rare: np.ndarray,
    groups: np.ndarray,
    model: Model | None,
    importance: np.ndarray,
    seed: np.random.SeedSequence,
) -> tuple[list[Finding], list[float | None]]:
    """Columns, and pairs of them, that alone predict the class too well; AP of each column alone.

    Pairs are tried only when no column alone explains a good model, among the 3 best columns and
    the 4 that the model misses most when they are shuffled.
    """
    features, share = table.schema.features, float(is_rare.mean())
    cap = int(np.clip(SCREEN_CELLS // max(1, len(features)), 2000, SCREEN_ROWS))
    rows = _draw(is_rare, groups, cap, np.random.default_rng(seed))
    if rows is None:
        return [], [None] * len(features)
    whole = model.average_precision.value if model else None
    parts = [
        (place[rows.index], c.kind in LEVELS) for place, c in zip(ranks, features, strict=True)
    ]
    telling = [i for i, c in enumerate(features) if c.kind not in ("constant", "missing")]
    alone = {i: _shallow([parts[i]], rows, depth=3) for i in telling}
    best = sorted(alone, key=lambda i: -alone[i])
    found = [_leak((str(features[i].name),), alone[i], share, whole) for i in best]
    if not any(found) and whole is not None and _gain(whole, share) >= STRONG_GAIN:
        able = [i for i in best if features[i].kind in (*NUMBERS, *LEVELS)]
        tried = {*able[:3], *sorted(able, key=lambda i: -importance[i])[:4]}
        tested = {}
        for pair in combinations(sorted(tried), 2):
            two = [features[i] for i in pair]
            third = _together(two, [table.frame[c.name].iloc[rows.index] for c in two])
            names = tuple(str(c.name) for c in two)
            tested[names] = _shallow([*(parts[i] for i in pair), *third], rows, depth=4)
        # Only the best: other pairs with one of the two in it would say the same.
        for names in sorted(tested, key=lambda pair: -tested[pair])[:1]:
            found.append(_leak(names, tested[names], share, whole))
    return [f for f in found if f], [alone.get(i) for i in range(len(features))]


def _gain(precision: float, share: float) -> float:
    return (precision - share) / (1 - share)


def _leak(
    names: tuple[str, ...], precision: float, share: float, whole: float | None
) -> Finding | None:
    gain, name = _gain(precision, share), ", ".join(names)
    kind = "pair" if len(names) > 1 else "column"
    noun = f"columns {name} together" if len(names) > 1 else f"column {name} alone"
    figure = f"average precision {precision:.3f}, where guessing gives {share:.3f}"
    evidence = {"average_precision": precision, "reference": share, "model": whole}
    if gain >= LEAK_GAIN:
        text = f"{noun} gives the class away: {figure}: drop what is known only after the outcome"
        return Finding(f"leak_{kind}", "error", name, text, evidence)
    if whole is None or gain < max(STRONG_GAIN, STRONG_SHARE * _gain(whole, share)):
        return None
    text = f"{noun} tells about all that the whole model knows: {figure}: was it known in time?"
    return Finding(f"strong_{kind}", "warning", name, text, evidence)


def _together(columns: list[Column], series: list[pd.Series]) -> list[tuple[np.ndarray, bool]]:
    """What two columns say together: the difference of numbers, the cross of levels."""
    if all(c.kind in LEVELS for c in columns):
        crossed = _groups([_codes(s) for s in series], np.empty(0))
        return [(crossed.astype(np.float64), True)]
    if not all(c.kind in NUMBERS for c in columns):
        return []
    (a, no_a), (b, no_b) = (c.numbers(s) for c, s in zip(columns, series, strict=True))
    with np.errstate(over="ignore"):
        gap = a.astype(np.float64) - b.astype(np.float64)
    places = np.unique(gap, return_inverse=True)[1]
    return [(np.where(no_a | no_b, np.nan, places), False)]


def _shallow(parts: list[tuple[np.ndarray, bool]], rows: _Rows, *, depth: int) -> float:
    """Out-of-fold average precision of a small tree on a few columns, given as places.

    Levels stand in the order of their share of the class among the rows that the tree learns from.
    """
    scores = np.empty(len(rows.y))
    leaf = int(np.clip(rows.y.sum() // 4, 1, 5))
    for fold in np.unique(rows.fold):
        test = rows.fold == fold
        train = ~test
        weight, y = rows.weight[train], rows.y[train]
        share = np.average(y, weights=weight)
        columns = []
        for places, is_level in parts:
            if is_level:
                codes = np.where(np.isnan(places), -1, places).astype(np.int64) + 1
                size = codes.max() + 1
                rare = np.bincount(codes[train], weight * y, size) + share
                places = (rare / (np.bincount(codes[train], weight, size) + 1))[codes]
            columns.append(places)
        matrix = np.column_stack(columns)
        tree = DecisionTreeClassifier(max_depth=depth, min_samples_leaf=leaf, random_state=0)
        scores[test] = tree.fit(matrix[train], y, weight).predict_proba(matrix[test])[:, 1]
    return average_precision(rows.y, scores, rows.weight)


# --- columns ------------------------------------------------------------------------------------


def _facts(
    column: Column, codes: np.ndarray, series: pd.Series, precision: float | None
) -> dict[str, Any]:
    gone = series.isna().to_numpy(bool)
    return {
        "name": str(column.name),
        "kind": column.kind,
        "reason": column.reason,
        "missing": float(gone.mean()),
        "missing_rows": int(gone.sum()),
        "distinct": len(np.unique(codes[~gone])),
        "top_share": float(np.bincount(codes).max() / len(codes)),
        "average_precision": precision,
    }


def _of_column(
    column: Column, fact: dict[str, Any], codes: np.ndarray, gone: np.ndarray
) -> list[Finding]:
    """What is odd about one column by itself."""
    name, distinct = str(column.name), fact["distinct"]
    present = len(codes) - fact["missing_rows"]
    found: list[Finding] = []

    def add(code: str, severity: str, text: str, **evidence: Any) -> None:
        found.append(Finding(code, severity, name, f"column {name}: {text}", evidence))

    if column.kind == "missing":
        add("all_missing", "warning", "no value in any row: drop it")
        return found
    if column.kind == "constant":
        add("constant", "warning", "one value in all rows tells nothing: drop it")
        return found
    if fact["top_share"] >= NEAR_CONSTANT:
        others = round((1 - fact["top_share"]) * len(codes))
        text = (
            f"one value in {fact['top_share']:.2%} of the rows; the other {others:,} teach little"
        )
        add("near_constant", "warning", text, top_share=fact["top_share"], others=others)
    if fact["missing"] >= MUCH_MISSING:
        add("missing", "warning", f"{fact['missing']:.1%} missing", missing=fact["missing"])
    share = distinct / present
    is_code = column.kind in ("integer", "categorical") and present >= 20
    if column.kind == "id":
        add("id", "warning", f"an ID ({column.reason}): never a feature", distinct=distinct)
    elif column.kind == "text":
        text = f"free text ({column.reason}): not learned, and left empty in new rows"
        add("text", "note", text, distinct=distinct)
    elif is_code and share >= ID_SHARE and present >= MANY_LEVELS:
        text = f"{distinct:,} values in {present:,} rows: is it an ID? Then say so in the schema"
        add("id_like", "warning", text, distinct=distinct, share=share)
    elif is_code and distinct >= max(20, present / 10) and ID_NAME.search(name):
        text = f"its name and {distinct:,} values look like an entity: keep its rows in one fold"
        add("entity", "warning", text, distinct=distinct)
    elif column.kind == "categorical":
        sizes = np.bincount(codes[~gone])
        few = int(((sizes > 0) & (sizes < LEVEL_ROWS)).sum())
        if distinct >= MANY_LEVELS or few:
            text = f"{distinct} levels, {few} of them in fewer than {LEVEL_ROWS} rows: merge them"
            add("many_levels", "note", text, levels=distinct, rare_levels=few)
    if column.kind == "categorical" and pdt.is_numeric_dtype(column.dtype):
        add("codes", "note", f"{column.reason}; if not, say so in the schema", levels=distinct)
    return found


def _of_dates(column: Column, series: pd.Series, moment: pd.Timestamp) -> list[Finding]:
    if column.kind != "datetime":
        return []
    values, gone = column.numbers(series)
    ticks = np.sort(values[~gone])

    def is_later(tick: Any) -> bool:
        # The column's own unit, zone and range: a year 9999 is no nanosecond.
        cell = column.restore(np.array([tick])).iloc[0]
        if isinstance(cell, timedelta | np.timedelta64):
            return False
        stamp = pd.Timestamp(cell)
        return (stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp) > moment

    later = len(ticks) - bisect.bisect_left(ticks, True, key=is_later)
    if not later:
        return []
    newest = str(column.restore(ticks[-1:]).iloc[0])
    text = (
        f"column {column.name}: {later:,} dates after {moment:%Y-%m-%d}, up to {newest}: planned,"
    )
    text += " mistyped, or filled in later?"
    evidence = {"rows": later, "newest": newest}
    return [Finding("future_date", "warning", str(column.name), text, evidence)]


def _of_missing(
    fact: dict[str, Any], gone: np.ndarray, is_rare: np.ndarray, tests: int
) -> list[Finding]:
    """Whether being missing goes with the class: Fisher's exact test, corrected for all columns."""
    if not 0 < fact["missing_rows"] < len(gone):
        return []
    table = [[int((g & r).sum()) for r in (is_rare, ~is_rare)] for g in (gone, ~gone)]
    p = float(fisher_exact(table)[1])
    empty, filled = (row[0] / sum(row) for row in table)
    if p >= MISSING_P / tests or max(empty, filled) < MISSING_RATIO * min(empty, filled):
        return []
    text = f"column {fact['name']}: the class has {empty:.2%} of the rows where it is missing and "
    text += f"{filled:.2%} of the others: information, or a leak of how the data was collected?"
    evidence = {"share_missing": empty, "share_present": filled, "p": p}
    return [Finding("missing_informative", "warning", fact["name"], text, evidence)]


# --- rows and classes ---------------------------------------------------------------------------


def _duplicates(
    groups: np.ndarray, labels: np.ndarray, is_rare: np.ndarray
) -> tuple[dict[str, float], list[Finding]]:
    size = labels.max() + 1
    pairs = np.unique(groups * size + labels)
    repeated = len(groups) - len(pairs)
    is_mixed = np.bincount(pairs // size, minlength=groups.max() + 1) > 1
    mixed = is_mixed[groups]
    out = {
        "rows": repeated,
        "share": repeated / len(groups),
        "contradictions": int(is_mixed.sum()),
        "contradictory_rows": int(mixed.sum()),
        "contradictory_rare_rows": int((mixed & is_rare).sum()),
    }
    found = []
    if repeated:
        text = (
            f"{repeated:,} rows ({out['share']:.2%}) repeat another: keep equal rows on one side "
        )
        text += "of every split"
        severity = "warning" if out["share"] >= 0.01 else "note"
        found.append(
            Finding("duplicates", severity, None, text, {k: out[k] for k in ("rows", "share")})
        )
    if out["contradictions"]:
        text = (
            f"{out['contradictory_rows']:,} rows in {out['contradictions']:,} sets are alike but "
        )
        text += (
            f"for the class ({out['contradictory_rare_rows']:,} of the rare one): wrong labels, "
        )
        text += "or a column is missing that tells them apart"
        found.append(
            Finding(
                "contradictions",
                "warning",
                None,
                text,
                {k: v for k, v in out.items() if "contra" in k},
            )
        )
    return out, found


def _lesson(label: str, rows: int, distinct: int, features: int) -> str:
    size = f"{label!r} has {distinct:,} distinct rows for {features} features: "
    if distinct < 2:
        return size + "nothing can be learned or checked from one row; collect more"
    step = f"one row is {1 / distinct:.1%} of recall"
    if rows < NETWORK_ROWS:
        return size + (
            f"{step}, and below {NETWORK_ROWS} rows no network is trained: new rows would be these "
            "resampled, and no figure here is firm"
        )
    if rows < EARLY_STOP_ROWS:
        return size + (
            f"{step}; a network can be trained, but below {EARLY_STOP_ROWS} rows none are held out "
            "to stop it early, so look for copies of these rows in what it makes"
        )
    return size + f"{step}; enough to train a network and to stop it early on rows held out"


def _of_class(minority: Minority, model: Model | None, has_features: bool) -> list[Finding]:
    """What the size of the class and the quick model say."""
    found: list[Finding] = []

    def add(code: str, severity: str, text: str, **evidence: Any) -> None:
        found.append(Finding(code, severity, None, text, evidence))

    if minority.distinct < NETWORK_ROWS:
        severity = "error" if minority.distinct < 2 else "warning"
        add("tiny_class", severity, minority.lesson, distinct=minority.distinct)
    if model is None:
        why = "too few distinct rows" if has_features else "no column to learn from"
        add("no_model", "warning", f"no model was judged: {why}")
        return found
    ap = model.average_precision
    figure = f"average precision {ap.value:.3f} [{ap.low:.3f}, {ap.high:.3f}]"
    if model.sampled:
        text = f"the quick model saw {model.rows:,} of the rows, weighted to the natural shares"
        add("sampled", "note", text, rows=model.rows)
    if 1 - minority.share >= 0.9:
        text = f"accuracy misleads: always 'not {minority.label}' reaches {1 - minority.share:.3%}"
        add("accuracy", "note", text, always_no=1 - minority.share, model=model.accuracy.value)
    if _gain(ap.value, minority.share) >= 0.99:
        text = f"too easy: {figure}: look for a leak before believing it"
        add("too_easy", "warning", text, average_precision=ap.value)
    if ap.low <= minority.share or model.roc_auc.low <= 0.5:
        text = f"no signal is established: {figure}, where guessing gives {minority.share:.3f}"
        add("no_signal", "warning", text, low=ap.low, reference=minority.share)
    if model.hard_share >= 0.1:
        text = (
            f"{model.hard_share:.0%} of {minority.label!r} look like the others: wrong labels, or "
        )
        text += f"columns are missing; begin with rows {', '.join(map(str, model.hard_rows[:5]))}"
        add("hard_rows", "warning", text, share=model.hard_share)
    return found


def _remedies(
    minority: Minority, model: Model | None, ratio: float, codes: set[str]
) -> tuple[dict[str, str], ...]:
    """What to try, in order. None is promised; the measured ones are those of the README."""
    out: list[tuple[str, str]] = []
    if codes & {"leak_column", "leak_pair", "strong_column", "strong_pair", "contradictions"}:
        out.append(("mend the table", "leaks and contradictions decide every figure that follows"))
    if minority.distinct < NETWORK_ROWS or "no_signal" in codes:
        out.append(("collect rows or columns", "what the table does not tell, no remedy adds"))
    if model is None:
        return tuple({"remedy": r, "why": w} for r, w in out)
    recall = f"recall at 0.5 is {model.recall.value:.2f}"
    out.append(("move the threshold", f"{recall}; it costs no row and cannot hurt the ranking"))
    if ratio > 1 / 0.3:
        why = "with boosting the only amount without measured harm, not an established gain; 1:1 "
        why += "is the wrong default"
        out.append(("over-sample to 30 % of the largest class, not 1:1", why))
    if ratio > 1.5:
        why = "nothing gained with boosting, ranking harmed with forests and logistic regression; "
        out.append(("class weights", why + "only where the threshold cannot be moved"))
        why = "SMOTE, GANs and VAEs ranked worse than doing nothing on average: compare before use"
        out.append(("synthetic rows", why))
    return tuple({"remedy": r, "why": w} for r, w in out)


# --- two deliveries -----------------------------------------------------------------------------


@dataclass(frozen=True)
class ShareDrift:
    """A share then and now; `low` and `high` bound the difference, over all shares at once."""

    name: str
    old: float
    new: float
    low: float
    high: float
    drifted: bool


@dataclass(frozen=True)
class Drift:
    """How two deliveries of a table differ.

    Attributes:
        old_rows, rows: Size then and now.
        classes, missing: Shares of classes, and missing shares of the columns that both have.
        new_columns, vanished_columns: By name.
        kinds: ``name``, ``old`` and ``new`` of columns taken for another kind.
        count: How many of all these differ.
    """

    old_rows: int
    rows: int
    classes: tuple[ShareDrift, ...]
    missing: tuple[ShareDrift, ...]
    new_columns: tuple[str, ...]
    vanished_columns: tuple[str, ...]
    kinds: tuple[dict[str, str], ...]
    count: int

    def to_json(self) -> dict[str, Any]:
        return _listed(asdict(self))

    def summary_lines(self) -> list[str]:
        """One sentence for each difference."""
        lines = [f"{self.old_rows:,} rows then, {self.rows:,} now; {self.count} differences."]
        for what, shares in (("class", self.classes), ("missing in", self.missing)):
            lines += [
                f"{what} {s.name}: {s.old:.3%} then, {s.new:.3%} now "
                f"(difference {s.low:+.3%} to {s.high:+.3%})"
                for s in shares
                if s.drifted
            ]
        lines += [f"new column {name}" for name in self.new_columns]
        lines += [f"column {name} is gone" for name in self.vanished_columns]
        return lines + [f"column {k['name']}: {k['old']} then, {k['new']} now" for k in self.kinds]


def compare_audits(old: Mapping[str, Any], new: Audit) -> Drift:
    """What changed between an audit that was kept as JSON and a new one.

    Differences of shares have Newcombe's interval (1998), widened for the number of shares
    (Bonferroni), so that two samples of one source show no drift in 95 % of the cases.

    Raises:
        UsageError: `old` is no audit.

    Example:
        >>> X = pd.DataFrame({"dose": [1.5, 2.5, 9.5, 7.25] * 50})
        >>> then, now = audit(X, [0, 0, 0, 1] * 50), audit(X, [0, 1, 1, 1] * 50)
        >>> print(*compare_audits(then.to_json(), now).summary_lines(), sep="\\n")
        200 rows then, 200 now; 2 differences.
        class 0: 75.000% then, 25.000% now (difference -59.123% to -38.910%)
        class 1: 25.000% then, 75.000% now (difference +38.910% to +59.123%)
    """
    try:
        old_rows = int(old["rows"])
        old_classes = {c["label"]: int(c["rows"]) for c in old["classes"]}
        old_columns = {c["name"]: (c["kind"], int(c["missing_rows"])) for c in old["columns"]}
        if old_rows < 1 or sum(old_classes.values()) != old_rows:
            raise ValueError("the rows of its classes do not add up")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            293, f"this is no audit that synthgen audit --json wrote ({error!r}): give one"
        ) from error
    classes = {c["label"]: c["rows"] for c in new.classes}
    columns = {c["name"]: (c["kind"], c["missing_rows"]) for c in new.columns}
    labels = [*classes, *(label for label in old_classes if label not in classes)]
    both = [name for name in columns if name in old_columns]
    # The shares of two classes are one figure.
    figures = max(1, len(labels) - 1) if len(labels) == 2 else len(labels)
    figures += sum(columns[n][1] + old_columns[n][1] > 0 for n in both)

    def drift(name: str, before: int, after: int) -> ShareDrift:
        z = float(ndtri(1 - (1 - CONFIDENCE) / 2 / figures))
        p, p_low, p_high = _wilson(before, old_rows, z)
        q, q_low, q_high = _wilson(after, new.rows, z)
        low = q - p - math.hypot(q - q_low, p_high - p)
        high = q - p + math.hypot(q_high - q, p - p_low)
        return ShareDrift(name, p, q, low, high, not low <= 0 <= high)

    shares = tuple(drift(c, old_classes.get(c, 0), classes.get(c, 0)) for c in labels)
    missing = tuple(drift(n, old_columns[n][1], columns[n][1]) for n in both)
    added = tuple(n for n in columns if n not in old_columns)
    gone = tuple(n for n in old_columns if n not in columns)
    kinds = tuple(
        {"name": n, "old": old_columns[n][0], "new": columns[n][0]}
        for n in both
        if old_columns[n][0] != columns[n][0]
    )
    count = sum(s.drifted for s in (*shares, *missing)) + len(added) + len(gone) + len(kinds)
    return Drift(old_rows, new.rows, shares, missing, added, gone, kinds, count)


def _listed(value: Any) -> Any:
    """Tuples as lists, all the way down."""
    if isinstance(value, dict):
        return {key: _listed(inner) for key, inner in value.items()}
    return [_listed(inner) for inner in value] if isinstance(value, list | tuple) else value
