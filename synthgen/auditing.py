"""What is wrong with a table, before any training: leaks, duplicates, hard rows, drift."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types as pdt
from scipy.special import ndtri
from scipy.stats import fisher_exact
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.tree import DecisionTreeClassifier

from synthgen.cells import tick_type
from synthgen.column import LEVELS, NUMBERS, Column
from synthgen.device import RandomState, child_seed, seed_sequence
from synthgen.errors import UsageError
from synthgen.inference import ID_NAME
from synthgen.table import Schema, Table, class_position

# Below these rows of a class no network is trained, and none is held out to stop it early. Facts of
# synthesizers.network, which lies above this floor; a test compares them.
NETWORK_ROWS, EARLY_STOP_ROWS = 10, 200
# What the model, and the trees on one column, see. The rare class fills at most half of it, and
# weights give the classes back their natural shares.
MODEL_ROWS, SCREEN_ROWS, SCREEN_CELLS = 30_000, 20_000, 500_000
FOLDS, REPLICATES, CONFIDENCE = 5, 500, 0.95
BOOSTING = {"learning_rate": 0.1, "max_iter": 100, "max_leaf_nodes": 16, "l2_regularization": 1.0}
MAX_BINS = 254  # histogram boosting takes no more
# A gain is (AP - share of the class) / (1 - share): 0 for guessing, 1 for knowing. On 16 real
# tables without known leaks, three hormones that all but define a disease gain 0.66 to 0.79 alone,
# and no other column above 0.41: from 0.6 on a column deserves a question, and 0.9 is beyond what
# honest ones do. Two honest columns reach 0.83, and two of three always know most.
LEAK_GAIN, STRONG_GAIN, FEW_COLUMNS = 0.9, 0.6, 4
NEAR_CONSTANT, MANY_LEVELS, LEVEL_ROWS, ID_SHARE, MUCH_MISSING = 0.995, 50, 5, 0.95, 0.5
MISSING_P, MISSING_RATIO, TOO_EASY, WORTH_A_WARNING = 0.01, 1.5, 0.97, 0.01
SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """Something to know about the table.

    Attributes:
        code: A stable name, such as ``leak_column``.
        severity: ``error`` (no figure can be trusted), ``warning`` (likely harm) or ``note``.
        column: Where; a pair as ``"a, b"``; None for the whole table.
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
    """The rare class: all `rows`, and those that are `distinct` in their features (IDs apart)."""

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

    Equal rows share a fold, unless most rows of the other classes repeat: then columns are coarse.

    Recall, accuracy and balanced accuracy (at 0.5) have Wilson intervals, which are not empty at no
    hit; the others a bootstrap of the rows of each class, which does not train again.

    Attributes:
        rows: Rows it saw; fewer than the table's when `sampled`.
        hard_share: Share of the class that scores below the median row of the other classes.
        hard_rows: Positions (from 0) of the hardest of those, 20 at most.
        false_alarms: For each hit, when the threshold finds half of the class: the overlap.
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
        always_no: ``accuracy``, ``balanced_accuracy`` and ``recall`` of always denying it.
        model: None where the class, or the rest, has less than 2 distinct rows or no feature.
        duplicates: ``rows`` that repeat an earlier one and their ``share``; ``contradictions``:
            sets of rows alike but for the class, with their rows and those of the rare class.
        columns: ``name``, ``kind``, ``reason``, ``missing`` (share), ``missing_rows``,
            ``distinct``, ``top_share`` and ``average_precision`` (of it alone) of each feature.
        counts: Findings of each severity.
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
        """Plain values: finite numbers, texts, None, lists and dicts."""
        return _plain(asdict(self))

    def summary_lines(self) -> list[str]:
        """The audit in sentences: the class, the model, the findings, the remedies."""
        rare, model = self.minority, self.model
        size = f"{self.rows:,} rows, {self.features} features, {len(self.classes)} classes"
        lines = [f"{size}; {rare.label!r} is {rare.share:.3%}, 1 to {self.ratio:.1f}.", rare.lesson]
        if model is not None:
            names = ("balanced_accuracy", "average_precision", "recall", "log_loss")
            figures = [(name.replace("_", " "), getattr(model, name)) for name in names]
            lines += [
                f"Always saying 'not {rare.label}' is right in {self.always_no['accuracy']:.3%} of "
                f"the rows, a quick boosting model in {model.accuracy.value:.3%}. What tells more:",
                *(
                    f"{n} {e.value:.3g} [{e.low:.3g}, {e.high:.3g}], "
                    f"{e.reference:.3g} for knowing the shares only"
                    for n, e in figures
                ),
                f"{model.hard_share:.0%} of {rare.label!r} look less like it than half of the "
                f"others; finding half of it costs {model.false_alarms:.1f} false alarms a hit.",
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
        now: Dates after it are in the future (without a time zone: UTC); None: the clock's time.
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
    labels, features, rows = table.labels, table.schema.features, len(table)
    is_rare = labels == table.schema.classes.index(chosen)
    share, ratio = counts[chosen] / rows, max(counts.values()) / counts[chosen]

    cells = [_codes(table.frame[c.name]) for c in features]
    groups = _groups([k for k, c in zip(cells, features, strict=True) if c.kind != "id"], rows)
    # Equal rows share a fold, or a model would be asked what it was told. But where most rows of
    # the other classes repeat, the columns are coarse, and a repeated row is a new case.
    others = groups[~is_rare]
    is_coarse = len(np.unique(others)) < len(others) / 2
    kin = np.arange(rows) if is_coarse else groups
    places = [_places(c, table.frame[c.name]) for c in features]
    learned = [i for i, c in enumerate(features) if _is_learned(c)]
    drawn = _draw(is_rare, kin, MODEL_ROWS, child_seed(seed, 0))
    model, importance = None, np.zeros(len(features))
    if drawn is not None and learned:
        scores, importance[learned] = _boost(
            [(places[i][drawn.index], features[i].kind in LEVELS) for i in learned],
            drawn,
            child_seed(seed, 1),
        )
        model = _judge(scores, drawn, share, rows, child_seed(seed, 2))

    found, alone = _leaks(table, places, is_rare, kin, model, importance, child_seed(seed, 3))
    facts, moment = [], pd.Timestamp(datetime.now(UTC) if now is None else now)
    tests = sum(0 < c.missing < 1 for c in features)
    for column, codes, precision in zip(features, cells, alone, strict=True):
        series = table.frame[column.name]
        gone = series.isna().to_numpy(bool)
        facts.append(
            {
                "name": str(column.name),
                "kind": column.kind,
                "reason": column.reason,
                "missing": float(gone.mean()),
                "missing_rows": int(gone.sum()),
                "distinct": len(np.unique(codes[~gone])),
                "top_share": float(np.bincount(codes).max() / rows),
                "average_precision": precision,
            }
        )
        found += _of_column(column, facts[-1], codes, gone)
        found += _of_dates(column, series, moment) if column.kind == "datetime" else []
        found += _of_missing(facts[-1], gone, is_rare, tests) if 0 < gone.sum() < rows else []
    duplicates, alike = _of_duplicates(groups, labels, is_rare)
    distinct = len(np.unique(groups[is_rare]))
    minority = Minority(
        label=str(chosen),
        rows=counts[chosen],
        share=share,
        duplicates=counts[chosen] - distinct,
        distinct=distinct,
        rows_per_feature=counts[chosen] / max(1, len(learned)),
        lesson=_lesson(str(chosen), counts[chosen], distinct, len(learned)),
    )
    found += alike + _of_class(minority, model, is_coarse)
    found.sort(key=lambda f: SEVERITIES.index(f.severity))
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
        columns=tuple(facts),
        counts={s: sum(f.severity == s for f in found) for s in SEVERITIES},
        findings=tuple(found),
        remedies=_remedies(minority, model, ratio, {f.code for f in found if f.severity != "note"}),
    )


# --- rows as numbers ----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows to learn from: position, class, weight and fold of each, all of shape (rows,)."""

    index: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    fold: np.ndarray


def _codes(series: pd.Series) -> np.ndarray:
    """Equal cells have equal codes; missing ones share one."""
    return pd.factorize(series, use_na_sentinel=False)[0].astype(np.int64)


def _groups(cells: list[np.ndarray], rows: int) -> np.ndarray:
    """Rows with equal cells have the same number; without a column every row is its own."""
    if not cells:
        return np.arange(rows)
    groups = cells[0]
    for codes in cells[1:]:
        groups = pd.factorize(groups * (codes.max() + 1) + codes)[0]
    return groups


def _is_learned(column: Column) -> bool:
    return column.kind in (*NUMBERS, "categorical", "boolean")


def _places(column: Column, series: pd.Series) -> np.ndarray:
    """Each cell's place among the column's values, NaN where missing, float64 of shape (rows,).

    Trees see nothing but order, and places do not overflow where values near 1e308 do. Levels are
    placed by frequency.
    """
    if column.kind in NUMBERS:
        values, gone = column.numbers(series)
        places = np.unique(values, return_inverse=True)[1]
    elif column.kind in LEVELS:
        codes = column.codes(series)
        gone = codes < 0
        seen = np.bincount(codes[~gone], minlength=len(column.categories))
        places = np.argsort(np.argsort(-seen, kind="stable"))[codes]
    else:
        number = pdt.is_numeric_dtype(series.dtype)
        places = pd.factorize(series if number else series.astype(str), sort=True)[0]
        gone = series.isna().to_numpy(bool)
    return np.where(gone, np.nan, places.astype(np.float64))


def _draw(
    is_rare: np.ndarray, groups: np.ndarray, cap: int, seed: np.random.SeedSequence
) -> _Rows | None:
    """At most `cap` rows, dealt into folds by group; None if the class or the rest is one group."""
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
    # Dealt in turn, rest first and rare last: both classes come to every fold.
    order = np.lexsort([rng.random(len(has_rare)), 2 * has_rare - has_rest])
    deal = np.empty(len(order), dtype=np.int64)
    deal[order] = np.arange(len(order)) % folds
    weight = np.where(y, len(rare) / len(kept), len(rest) / len(other))
    return _Rows(index, y, weight, deal[group])


# --- the model ----------------------------------------------------------------------------------


def _boost(
    parts: list[tuple[np.ndarray, bool]], rows: _Rows, seed: np.random.SeedSequence
) -> tuple[np.ndarray, np.ndarray]:
    """Out-of-fold scores, and how much AP the first fold loses when a column is shuffled."""
    scores, importance = np.empty(len(rows.y)), np.zeros(len(parts))
    is_level = [level for _, level in parts]
    matrix = np.column_stack([_binned(places, level) for places, level in parts])
    rng = np.random.default_rng(seed)
    for fold in range(rows.fold.max() + 1):
        test = rows.fold == fold
        train = ~test
        model = HistGradientBoostingClassifier(**BOOSTING)
        # 20 rows in a leaf is the usual setting; a table of 100 rows could not be split at all.
        model.set_params(
            early_stopping=False,
            categorical_features=is_level,
            min_samples_leaf=int(np.clip(train.sum() // 50, 2, 20)),
            random_state=int(rng.integers(2**31)),
        )
        model.fit(matrix[train], rows.y[train], rows.weight[train])
        scores[test] = model.predict_proba(matrix[test])[:, 1]
        if fold == 0:
            some = rng.permutation(np.flatnonzero(test))[:4000]
            y, weight = rows.y[some], rows.weight[some]
            for j in range(len(parts)):
                part = matrix[some]
                part[:, j] = rng.permutation(part[:, j])
                shuffled = _ranking(y, model.predict_proba(part)[:, 1])(weight)[0]
                importance[j] = _ranking(y, scores[some])(weight)[0] - shuffled
    return scores, importance


def _binned(places: np.ndarray, is_level: bool) -> np.ndarray:
    """At most as many different places as histogram boosting can tell apart.

    Levels are placed by frequency, so the rarest share the last place. Numbers are cut at their
    quantiles, which boosting would do as well, but with weights forty times as slowly.
    """
    if is_level:
        return places.clip(max=MAX_BINS - 1)
    known = places[~np.isnan(places)]
    if len(np.unique(known)) <= MAX_BINS:
        return places
    cuts = np.unique(np.quantile(known, np.linspace(0, 1, MAX_BINS + 1)[1:-1], method="lower"))
    return np.where(np.isnan(places), np.nan, np.searchsorted(cuts, places))


def _ranking(y: np.ndarray, score: np.ndarray) -> Callable[[np.ndarray], tuple[float, float]]:
    """A function from the weights of the rows to their average precision and area under the curve.

    Sorted once, used for every replicate of a bootstrap; rows of equal score count at once.
    """
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.diff(score[order], append=np.inf))
    y = y[order]

    def figures(weight: np.ndarray) -> tuple[float, float]:
        weight = weight[order]
        hits, alarms = np.cumsum(weight * y)[ends], np.cumsum(weight * ~y)[ends]
        recall = np.diff(hits, prepend=0.0) / hits[-1]
        both = hits + alarms
        precision = np.divide(hits, both, out=np.zeros_like(hits), where=both > 0)
        below = alarms[-1] - alarms + np.diff(alarms, prepend=0.0) / 2
        return float(recall @ precision), float(recall @ below / alarms[-1])

    return figures


def _judge(
    scores: np.ndarray, rows: _Rows, share: float, total: int, seed: np.random.SeedSequence
) -> Model:
    y, weight, rng = rows.y, rows.weight, np.random.default_rng(seed)
    rare, rest = np.flatnonzero(y), np.flatnonzero(~y)
    recall = _wilson(int((scores[rare] >= 0.5).sum()), len(rare))
    truth = _wilson(int((scores[rest] < 0.5).sum()), len(rest))
    loss = -np.log(np.clip(np.where(y, scores, 1 - scores), 1e-7, 1))
    ranking = _ranking(y, scores)

    def figures(weight: np.ndarray) -> list[float]:
        return [*ranking(weight), float(np.average(loss, weights=weight))]

    again = []
    for _ in range(REPLICATES):
        picks = [part[rng.integers(len(part), size=len(part))] for part in (rare, rest)]
        again.append(figures(weight * np.bincount(np.concatenate(picks), minlength=len(y))))
    tail = (1 - CONFIDENCE) / 2
    values = np.array(figures(weight))
    # A row of the class that is drawn twice helps itself, so replicates lie too high on average.
    shift = values - np.mean(again, axis=0)
    limits = (np.quantile(again, [tail, 1 - tail], axis=0) + shift).T
    references = (share, 0.5, -share * math.log(share) - (1 - share) * math.log1p(-share))
    precision, area, log_loss = (
        Estimate(value, max(0.0, min(value, low)), min(top, max(value, high)), reference)
        for value, (low, high), top, reference in zip(
            values.tolist(), limits.tolist(), (1.0, 1.0, math.inf), references, strict=True
        )
    )
    hard = rare[scores[rare] < np.median(scores[rest])]
    found = scores >= np.sort(scores[rare])[len(rare) // 2]
    return Model(
        rows=len(y),
        sampled=len(y) < total,
        folds=int(rows.fold.max()) + 1,
        settings={"model": "HistGradientBoostingClassifier", **BOOSTING, "threshold": 0.5},
        accuracy=_mixed(share, recall, truth, 1 - share),
        balanced_accuracy=_mixed(0.5, recall, truth, 0.5),
        recall=Estimate(*recall, 0.0),
        average_precision=precision,
        roc_auc=area,
        log_loss=log_loss,
        hard_share=len(hard) / len(rare),
        hard_rows=tuple(rows.index[hard[np.argsort(scores[hard], kind="stable")][:20]].tolist()),
        false_alarms=float(weight[found & ~y].sum() / weight[found & y].sum()),
    )


def _wilson(hits: int, rows: int, confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """A share and its interval (Wilson 1927)."""
    z, share = float(ndtri((1 + confidence) / 2)), hits / rows
    middle = share + z * z / (2 * rows)
    half = z * math.sqrt(share * (1 - share) / rows + (z / (2 * rows)) ** 2)
    low, high = ((middle + side * half) / (1 + z * z / rows) for side in (-1, 1))
    return share, max(0.0, min(share, low)), min(1.0, max(share, high))


def _mixed(
    part: float, a: tuple[float, float, float], b: tuple[float, float, float], reference: float
) -> Estimate:
    """``part * a + (1 - part) * b`` of two independent shares (Zou & Donner 2008)."""
    value = part * a[0] + (1 - part) * b[0]
    below = math.hypot(part * (a[0] - a[1]), (1 - part) * (b[0] - b[1]))
    above = math.hypot(part * (a[2] - a[0]), (1 - part) * (b[2] - b[0]))
    return Estimate(value, value - below, value + above, reference)


# --- leaks --------------------------------------------------------------------------------------


def _leaks(
    table: Table,
    places: list[np.ndarray],
    is_rare: np.ndarray,
    groups: np.ndarray,
    model: Model | None,
    importance: np.ndarray,
    seed: np.random.SeedSequence,
) -> tuple[list[Finding], list[float | None]]:
    """Columns, and pairs of them, that alone predict the class too well; AP of each column alone.

    Pairs are tried where the model is good and no column alone is: among the 3 best columns and
    the 4 that the model misses most when they are shuffled.
    """
    features, share = table.schema.features, float(is_rare.mean())
    cap = int(np.clip(SCREEN_CELLS // max(1, len(features)), 2000, SCREEN_ROWS))
    rows = _draw(is_rare, groups, cap, seed)
    if rows is None:
        return [], [None] * len(features)
    whole = model.average_precision.value if model else 0.0
    parts = [(p[rows.index], c.kind in LEVELS) for p, c in zip(places, features, strict=True)]
    alone = {
        (i,): _shallow([parts[i]], rows)
        for i, c in enumerate(features)
        if c.kind not in ("constant", "missing")
    }
    found = _too_good(alone, features, share)
    able = [i for i in range(len(features)) if _is_learned(features[i])]
    if not found and len(able) >= FEW_COLUMNS and (whole - share) / (1 - share) >= STRONG_GAIN:
        tried = {*sorted(able, key=lambda i: -alone[i,])[:3]}
        tried |= {*sorted(able, key=lambda i: -importance[i])[:4]}
        pairs = {}
        for a, b in combinations(sorted(tried), 2):
            both = _together([(features[i], table.frame[features[i].name]) for i in (a, b)])
            both = [(p[rows.index], is_level) for p, is_level in both]
            pairs[a, b] = _shallow([parts[a], parts[b], *both], rows)
        # Only the best: what else has one of the two in it would say the same.
        best = sorted(pairs.items(), key=lambda item: -item[1])[:1]
        found = _too_good(dict(best), features, share)
    return found, [alone.get((i,)) for i in range(len(features))]


def _too_good(
    precision: Mapping[tuple[int, ...], float],
    features: tuple[Column, ...],
    share: float,
) -> list[Finding]:
    found = []
    for members, value in sorted(precision.items(), key=lambda item: -item[1]):
        gain = (value - share) / (1 - share)
        name = ", ".join(str(features[i].name) for i in members)
        kind, noun = "leak_pair", f"columns {name} together tell"
        if len(members) == 1:
            kind, noun = "leak_column", f"column {name} alone tells"
        figure = f"average precision {value:.3g}, guessing {share:.3g}"
        evidence = {"average_precision": value, "reference": share}
        if gain >= LEAK_GAIN:
            text = f"{noun} the class ({figure}): drop what is known only after the outcome"
            found.append(Finding(kind, "error", name, text, evidence))
        elif gain >= STRONG_GAIN and len(members) == 1:
            text = f"{noun} much of the class ({figure}): is it known before the outcome?"
            found.append(Finding("strong_column", "warning", name, text, evidence))
    return found


def _together(pair: list[tuple[Column, pd.Series]]) -> list[tuple[np.ndarray, bool]]:
    """What two columns say together: the gap between numbers, each combination of levels."""
    if all(c.kind in LEVELS for c, _ in pair):
        crossed = _groups([_codes(series) for _, series in pair], 0)
        return [(crossed.astype(np.float64), True)]
    if not all(c.kind in NUMBERS for c, _ in pair):
        return []
    (a, no_a), (b, no_b) = (c.numbers(series) for c, series in pair)
    with np.errstate(over="ignore"):
        gap = a.astype(np.float64) - b.astype(np.float64)
    places = np.unique(gap, return_inverse=True)[1]
    return [(np.where(no_a | no_b, np.nan, places), False)]


def _shallow(parts: list[tuple[np.ndarray, bool]], rows: _Rows) -> float:
    """Out-of-fold average precision of a small tree on a few columns (places, and if levels).

    Levels stand in the order of their share of the class among the rows that the tree learns from.
    """
    scores = np.empty(len(rows.y))
    leaf = int(np.clip(rows.y.sum() // 4, 1, 5))
    for fold in range(rows.fold.max() + 1):
        test = rows.fold == fold
        train = ~test
        weight, y, columns = rows.weight[train], rows.y[train], []
        for places, is_level in parts:
            if is_level:
                codes = np.nan_to_num(places + 1).astype(np.int64)  # missing is a level too
                of_class = np.bincount(codes[train], weight * y, codes.max() + 1)
                of_all = np.bincount(codes[train], weight, codes.max() + 1)
                places = ((of_class + np.average(y, weights=weight)) / (of_all + 1))[codes]
            columns.append(places)
        matrix = np.column_stack(columns)
        tree = DecisionTreeClassifier(
            max_depth=2 + len(parts), min_samples_leaf=leaf, random_state=0
        )
        told = tree.fit(matrix[train], y, weight).predict_proba(matrix[test])
        scores[test] = np.asarray(told)[:, 1]
    return _ranking(rows.y, scores)(rows.weight)[0]


# --- findings -----------------------------------------------------------------------------------


def _of_column(
    column: Column, fact: dict[str, Any], codes: np.ndarray, gone: np.ndarray
) -> list[Finding]:
    """What is odd about one column by itself."""
    name, distinct, rows = str(column.name), fact["distinct"], int((~gone).sum())
    found: list[Finding] = []

    def add(code: str, severity: str, text: str, **evidence: Any) -> None:
        found.append(Finding(code, severity, name, f"column {name}: {text}", evidence))

    if column.kind in ("missing", "constant"):
        code = {"missing": "all_missing", "constant": "constant"}[column.kind]
        add(code, "warning", f"{column.reason} teaches nothing: drop it")
        return found
    if (top := fact["top_share"]) >= NEAR_CONSTANT:
        text = f"one value in {top:.2%} of the rows: the rest is too little to learn from"
        add("near_constant", "warning", text, top_share=top)
    if (missing := fact["missing"]) >= MUCH_MISSING:
        add("missing", "warning", f"{missing:.1%} of the cells are missing", missing=missing)
    whole = column.kind in ("integer", "categorical")
    if column.kind == "id":
        add("id", "warning", f"an ID ({column.reason}): never a feature", distinct=distinct)
    elif column.kind == "text":
        text = f"free text ({column.reason}): not learned, and left empty in new rows"
        add("text", "note", text, distinct=distinct)
    elif whole and distinct >= max(MANY_LEVELS, ID_SHARE * rows):
        text = f"{distinct:,} values in {rows:,} cells: if it is an ID, say so in the schema"
        add("id_like", "warning", text, distinct=distinct, cells=rows)
    elif whole and distinct >= max(20, rows / 10) and ID_NAME.search(name):
        text = f"looks like {distinct:,} entities with several rows each: keep each in one fold"
        add("entity", "warning", text, distinct=distinct)
    elif column.kind == "categorical":
        few = int((np.bincount(np.unique(codes[~gone], return_inverse=True)[1]) < LEVEL_ROWS).sum())
        if distinct >= MANY_LEVELS or few:
            text = f"{distinct} levels, {few} of them in fewer than {LEVEL_ROWS} rows: merge those"
            text = text if few else f"{distinct} levels: does each have rows enough?"
            add("many_levels", "note", text, levels=distinct, rare_levels=few)
        if pdt.is_numeric_dtype(column.dtype):
            text = f"taken for codes ({column.reason}): if wrong, say so in the schema"
            add("codes", "note", text, levels=distinct)
    return found


def _of_dates(column: Column, series: pd.Series, moment: pd.Timestamp) -> list[Finding]:
    unit = tick_type(column.dtype, column.cells)
    if unit.kind != "M":
        return []  # spans of time
    values, gone = column.numbers(series)
    stamps = values[~gone].astype(unit)
    moment = moment.tz_convert("UTC").tz_localize(None) if moment.tzinfo else moment
    # Compared in seconds: the year 9999 is no number of nanoseconds.
    later = int((stamps.astype("datetime64[s]") > np.datetime64(moment, "s")).sum())
    if not later:
        return []
    newest = str(stamps.max())
    text = (
        f"column {column.name}: {later:,} dates after {moment:%Y-%m-%d}, up to {newest}: planned, "
    )
    evidence = {"rows": later, "newest": newest}
    name, text = str(column.name), text + "mistyped, or entered after the outcome?"
    return [Finding("future_date", "warning", name, text, evidence)]


def _of_missing(
    fact: dict[str, Any], gone: np.ndarray, is_rare: np.ndarray, tests: int
) -> list[Finding]:
    """Whether being missing goes with the class: Fisher's exact test, corrected for all columns."""
    counts = [[int((g & r).sum()) for r in (is_rare, ~is_rare)] for g in (gone, ~gone)]
    p = float(np.asarray(fisher_exact(counts))[1])
    empty, filled = (row[0] / sum(row) for row in counts)
    if p >= MISSING_P / tests or max(empty, filled) < MISSING_RATIO * min(empty, filled):
        return []
    text = f"column {fact['name']}: the class is {empty:.2%} of the rows where it is missing, "
    text += f"{filled:.2%} elsewhere: information, or how the data was collected?"
    evidence = {"share_missing": empty, "share_present": filled, "p": p}
    return [Finding("missing_informative", "warning", fact["name"], text, evidence)]


def _of_duplicates(
    groups: np.ndarray, labels: np.ndarray, is_rare: np.ndarray
) -> tuple[dict[str, float], list[Finding]]:
    size, found = labels.max() + 1, []
    pairs = np.unique(groups * size + labels)
    is_mixed = np.bincount(pairs // size, minlength=groups.max() + 1) > 1
    mixed, repeated = is_mixed[groups], len(groups) - len(pairs)
    again: dict[str, float] = {"rows": repeated, "share": repeated / len(groups)}
    clash: dict[str, float] = {
        "contradictions": int(is_mixed.sum()),
        "contradictory_rows": int(mixed.sum()),
        "contradictory_rare_rows": int((mixed & is_rare).sum()),
    }
    if repeated:
        text = f"{repeated:,} rows ({again['share']:.2%}) repeat another: keep equal rows on one "
        text += "side of every split"
        severity = "warning" if repeated >= WORTH_A_WARNING * len(groups) else "note"
        found.append(Finding("duplicates", severity, None, text, again))
    if is_mixed.any():
        of_rare = clash["contradictory_rare_rows"]
        text = (
            f"{mixed.sum():,} rows ({of_rare:,} of the rare class) have a twin of another class: "
        )
        text += "wrong labels, or the column that tells them apart is not here"
        severity = "warning" if of_rare >= WORTH_A_WARNING * is_rare.sum() else "note"
        found.append(Finding("contradictions", severity, None, text, clash))
    return again | clash, found


def _lesson(label: str, rows: int, distinct: int, features: int) -> str:
    size = f"{label!r} has {rows:,} rows, {distinct:,} of them distinct, for {features} features: "
    step = f"one row is {1 / rows:.2%} of recall; "
    if rows < 2:
        return size + "one row teaches nothing and checks nothing; collect more."
    if rows < NETWORK_ROWS:
        step += f"below {NETWORK_ROWS} rows no network is trained, new rows are these resampled"
    elif rows < EARLY_STOP_ROWS:
        step += f"a network can be trained, but below {EARLY_STOP_ROWS} rows none is held out to "
        step += "stop it early, so it may copy"
    else:
        step += "enough to train a network and to stop it early on rows held out"
    return f"{size}{step}."


def _of_class(minority: Minority, model: Model | None, is_coarse: bool) -> list[Finding]:
    """What the size of the class and the quick model say."""
    found: list[Finding] = []

    def add(code: str, severity: str, text: str, **evidence: Any) -> None:
        found.append(Finding(code, severity, None, text, evidence))

    if minority.rows < NETWORK_ROWS:
        severity = "error" if minority.rows < 2 else "warning"
        add("tiny_class", severity, minority.lesson, rows=minority.rows)
    if minority.duplicates > minority.rows / 2 and not is_coarse:
        text = (
            f"{minority.duplicates:,} of {minority.rows:,} rows of {minority.label!r} are copies, "
        )
        text += "as over-sampling makes them: go back to the table before it"
        add("copied_class", "error", text, duplicates=minority.duplicates)
    if model is None:
        add("no_model", "warning", "no model was judged: too few distinct rows, or no feature")
        return found
    ap, share = model.average_precision, minority.share
    figure = f"average precision {ap.value:.3g} [{ap.low:.3g}, {ap.high:.3g}]"
    if model.sampled:
        text = f"the model saw {model.rows:,} of the rows, weighted to the natural shares"
        add("sampled", "note", text, rows=model.rows)
    if share <= 0.1:
        text = f"accuracy misleads: always 'not {minority.label}' reaches {1 - share:.3%}"
        add("accuracy", "note", text, always_no=1 - share, model=model.accuracy.value)
    if ap.value >= TOO_EASY:
        text = f"too easy ({figure}): look for a leak before you believe it"
        add("too_easy", "warning", text, average_precision=ap.value)
    if ap.low <= share or model.roc_auc.low <= 0.5:
        text = f"no signal is established: {figure}, guessing {share:.3g}"
        add("no_signal", "warning", text, low=ap.low, reference=share)
    elif model.hard_share >= 0.1:
        text = f"{model.hard_share:.0%} of {minority.label!r} look like the others: wrong labels, "
        text += f"or columns are lacking; see rows {', '.join(map(str, model.hard_rows[:5]))}"
        add("hard_rows", "warning", text, share=model.hard_share)
    return found


def _remedies(
    minority: Minority, model: Model | None, ratio: float, codes: set[str]
) -> tuple[dict[str, str], ...]:
    """What to try, in order; measured on 12 real tables (see README), promised by nobody."""
    out = []
    if codes & {"leak_column", "leak_pair", "copied_class", "contradictions"}:
        why = "leaks, copies and contradictions decide every figure that follows"
        out.append(("mend the table", why))
    if minority.rows < NETWORK_ROWS or "no_signal" in codes:
        out.append(("collect rows or columns", "no remedy adds what the table does not tell"))
    if model is not None:
        why = f"recall at 0.5 is {model.recall.value:.2f}; it costs no row and leaves the ranking"
        out.append(("move the threshold", why))
    if model is not None and ratio > 1 / 0.3:
        why = "the one amount without measured harm to boosting, though with no established gain; "
        why += "balancing to 1:1 ranked worse on average"
        out.append(("over-sample to 30 % of the largest class", why))
    if model is not None and ratio > 1.5:
        why = "no gain with boosting, a worse ranking with forests and logistic regression: only "
        out.append(("class weights", why + "where the threshold cannot be moved"))
        why = "SMOTE, GANs and VAEs ranked worse than doing nothing on average: compare first"
        out.append(("synthetic rows", why))
    return tuple({"remedy": remedy, "why": why} for remedy, why in out)


# --- two deliveries -----------------------------------------------------------------------------


@dataclass(frozen=True)
class ShareDrift:
    """A share then and now; `low` and `high` bound the difference, for all shares at once."""

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
        classes, missing: Shares of classes, and of missing cells in columns that both have.
        new_columns, vanished_columns: By name.
        kinds: ``name``, ``old`` and ``new`` of columns taken for another kind.
        differences: How many of all these differ.
    """

    old_rows: int
    rows: int
    classes: tuple[ShareDrift, ...]
    missing: tuple[ShareDrift, ...]
    new_columns: tuple[str, ...]
    vanished_columns: tuple[str, ...]
    kinds: tuple[dict[str, str], ...]
    differences: int

    def to_json(self) -> dict[str, Any]:
        """Plain values, as `Audit.to_json`."""
        return _plain(asdict(self))

    def summary_lines(self) -> list[str]:
        """One sentence for each difference."""
        lines = [f"{self.old_rows:,} rows then, {self.rows:,} now; differences: {self.differences}"]
        for what, shares in (("class", self.classes), ("missing in column", self.missing)):
            lines += [
                f"{what} {s.name}: {s.old:.3%} then, {s.new:.3%} now "
                f"(difference {s.low:+.3%} to {s.high:+.3%})"
                for s in shares
                if s.drifted
            ]
        lines += [f"column {name} is new" for name in self.new_columns]
        lines += [f"column {name} is gone" for name in self.vanished_columns]
        return lines + [f"column {k['name']}: {k['old']} then, {k['new']} now" for k in self.kinds]


def compare_audits(old: Mapping[str, Any], new: Audit) -> Drift:
    """What changed between an audit that was kept as JSON and a new one.

    Differences of shares have Newcombe's interval (1998), widened for the number of shares
    (Bonferroni): two samples of one source show no drift in at least 95 % of the cases.

    Raises:
        UsageError: `old` is no audit.

    Example:
        >>> X = pd.DataFrame({"dose": [1.5, 2.5, 9.5, 7.25] * 50})
        >>> then, now = audit(X, [0, 0, 0, 1] * 50), audit(X, [0, 0, 1, 1] * 50)
        >>> print(compare_audits(then.to_json(), now).summary_lines()[1])
        class 0: 75.000% then, 50.000% now (difference -33.791% to -15.592%)
    """
    try:
        old_rows = int(old["rows"])
        before = {c["label"]: int(c["rows"]) for c in old["classes"]}
        old_columns = {c["name"]: (c["kind"], int(c["missing_rows"])) for c in old["columns"]}
        if old_rows < 1 or sum(before.values()) != old_rows:
            raise ValueError("the rows of its classes do not add up")
    except (KeyError, TypeError, ValueError) as error:
        what = f"{type(error).__name__}: {error}"
        raise UsageError(
            293, f"the old audit cannot be read ({what}): give one that synthgen audit wrote"
        ) from error
    after = {c["label"]: c["rows"] for c in new.classes}
    columns = {c["name"]: (c["kind"], c["missing_rows"]) for c in new.columns}
    labels = [*after, *(label for label in before if label not in after)]
    both = [name for name in columns if name in old_columns]
    # The shares of two classes are one figure; a column that was and is full has none.
    figures = len(labels) - (len(labels) == 2)
    figures += sum(columns[name][1] + old_columns[name][1] > 0 for name in both)

    def drift(name: str, hits: int, hits_now: int) -> ShareDrift:
        confidence = 1 - (1 - CONFIDENCE) / figures
        p, p_low, p_high = _wilson(hits, old_rows, confidence)
        q, q_low, q_high = _wilson(hits_now, new.rows, confidence)
        low = q - p - math.hypot(q - q_low, p_high - p)
        high = q - p + math.hypot(q_high - q, p - p_low)
        return ShareDrift(name, p, q, low, high, not low <= 0 <= high)

    classes = tuple(drift(label, before.get(label, 0), after.get(label, 0)) for label in labels)
    missing = tuple(drift(name, old_columns[name][1], columns[name][1]) for name in both)
    added = tuple(name for name in columns if name not in old_columns)
    gone = tuple(name for name in old_columns if name not in columns)
    kinds = tuple(
        {"name": name, "old": old_columns[name][0], "new": columns[name][0]}
        for name in both
        if old_columns[name][0] != columns[name][0]
    )
    drifted = sum(share.drifted for share in (*classes, *missing))
    differences = drifted + len(added) + len(gone) + len(kinds)
    return Drift(old_rows, new.rows, classes, missing, added, gone, kinds, differences)


def _plain(value: Any) -> Any:
    """Tuples as lists, all the way down."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
