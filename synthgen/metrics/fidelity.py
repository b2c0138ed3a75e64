"""Whether synthetic rows look real: columns, pairs, whole rows, and the rules they keep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from synthgen.cells import tick_type
from synthgen.device import RandomState, child_seed, seed_sequence
from synthgen.metrics.judges import DEFAULT_JUDGES, out_of_fold
from synthgen.metrics.rows import Space, half_sampled
from synthgen.metrics.score import Better, Part, Score
from synthgen.table import Table

# Rows of each side that a measure looks at, at most; drawn without replacement.
COLUMN_ROWS, TEST_ROWS, NEIGHBOUR_ROWS = 10_000, 6_000, 4_000
MOST_PAIRS, BINS, FOLDS, REPLICATES, HALVES, DRAWS = 600, 10, 3, 200, 20, 5
ALPHAS = np.linspace(0, 1, 31)[1:]
# A rule is one if chance would have broken it so often in these rows.
EXPECTED_BREAKS, MOST_RULE_COLUMNS, MOST_RULE_LEVELS = 20.0, 40, 200


def fidelity(
    train: Table,
    synthetic: Table,
    holdout: Table,
    *,
    group: str,
    random_state: RandomState = 0,
) -> Part:
    """How alike synthetic and real rows are.

    Columns and pairs are compared as SDMetrics does (bins of pairs are those of train): 1 minus the
    Kolmogorov-Smirnov statistic, 1 minus the total variation distance, 1 minus half the difference
    of Pearson correlations. Whole rows: a two-sample test by boosting and by logistic regression
    (Lopez-Paz & Oquab 2017) as 2 (1 - max(0.5, AUC)) of out-of-fold scores, 1 where they cannot be
    told apart; alpha-precision and beta-recall (Alaa et al. 2022), in the standardised columns
    themselves and not in a learned embedding.

    Each score stands beside the same one of as many holdout rows in the synthetic rows' place. The
    interval of statistics of all rows comes from halves drawn without replacement (delete-half
    jackknife), that of tests and distances from a bootstrap of per-row results.

    Args:
        train, synthetic, holdout: Rows of one schema, with the levels of all three.
        group: What the rows are, for the names of the scores.
        random_state: Seed of subsamples, folds and bootstrap.

    Example:
        >>> import pandas as pd
        >>> rng = np.random.default_rng(0)
        >>> def drawn(shift):
        ...     frame = pd.DataFrame({"a": rng.normal(size=200) + shift, "y": ["no", "yes"] * 100})
        ...     return Table.of(frame, target="y")
        >>> part = fidelity(drawn(0), drawn(9), drawn(0), group="all")
        >>> next(s for s in part.scores if s.name == "fidelity.c2st_boosting").value < 0.1
        True
    """
    seed = seed_sequence(random_state)
    one_class = len(np.unique(train.labels)) < 2 if train.schema.target is not None else False
    space = Space.of(train, with_target=not one_class)
    cells = [space.cells(table) for table in (train, synthetic, holdout)]
    least = min(map(len, cells))
    if least < 2 or not len(space.columns):
        sizes = ", ".join(str(len(c)) for c in cells)
        note = f"{group}: {sizes} rows of train, synthetic and holdout: fidelity needs two of each"
        return Part(
            [Score("fidelity.column_shapes", group, np.nan, None, "higher", None, None, note)]
        )
    draws = _Draws(space, *cells, group=group)
    scores = _tests(draws, child_seed(seed, 0))
    scores += _statistics(draws, child_seed(seed, 1))
    scores += _neighbours(draws, child_seed(seed, 2))
    rules, notes = _rules(draws, child_seed(seed, 3))
    return Part(scores + rules, notes=draws.notes() + notes)


def target_correlation(
    train: Table,
    synthetic: Table,
    holdout: Table,
    *,
    label: int,
    random_state: RandomState = 0,
) -> Part:
    """Whether columns go with the class as they do in real rows.

    Rows of the class against real rows of the other classes: the rank-biserial correlation of a
    number (2 AUC - 1), Cramér's V of levels. Of columns: `value` in synthetic, `reference` in train
    rows; over all: 1 minus the mean difference, halved for numbers.

    Args:
        train, synthetic, holdout: All rows, of one schema.
        label: Position of the class in ``schema.classes``.
        random_state: Seed of subsamples.
    """
    rng = np.random.default_rng(seed_sequence(random_state))
    space = Space.of(train, with_target=False)
    group = str(train.schema.classes[label])
    is_rare = train.labels == label
    rest = space.cells(train.rows(~is_rare))
    rest = rest[rng.permutation(len(rest))[:COLUMN_ROWS]]
    sides = [
        space.cells(table.rows(table.labels == label)) for table in (train, synthetic, holdout)
    ]
    least = min(len(sides[1]), len(sides[2]))
    if min(map(len, sides)) < 2 or len(rest) < 2:
        return Part([])
    real = _associations(space, sides[0], rest)
    width = np.where(space.is_level, 1.0, 2.0)

    def alike(found: np.ndarray) -> float:
        return float(1 - np.mean(np.abs(found - real) / width))

    made = [sides[1][rng.permutation(len(sides[1]))[:least]] for _ in range(DRAWS)]
    fresh = [sides[2][rng.permutation(len(sides[2]))[:least]] for _ in range(DRAWS)]
    each = [_associations(space, m, rest) for m in made]
    value = float(np.mean([alike(e) for e in each]))
    reference = float(np.mean([alike(_associations(space, f, rest)) for f in fresh]))
    halves = [
        alike(_associations(space, made[0][h], rest)) for h in half_sampled(rng, least, HALVES)
    ]
    name = "fidelity.target_correlation"
    found = [_jackknifed(name, group, value, reference, halves, floor=alike(np.zeros(len(real))))]
    means = np.mean(each, axis=0)
    for j, column in enumerate(space.names):
        found.append(
            Score(
                "fidelity.column_target",
                f"{group}: {column}",
                float(means[j]),
                float(real[j]),
                "reference",
                None,
            )
        )
    return Part(found)


# --- rows in hand -------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Draws:
    """The cells of the three tables, and equal-sized samples of them."""

    space: Space
    train: np.ndarray
    made: np.ndarray
    fresh: np.ndarray
    group: str

    def notes(self) -> list[str]:
        rows = min(len(self.train), len(self.made), len(self.fresh))
        out = []
        if rows > TEST_ROWS:
            out.append(
                f"{self.group}: two-sample tests look at {TEST_ROWS:,} rows of each side, "
                f"alpha-precision and beta-recall at {min(rows, NEIGHBOUR_ROWS):,}, drawn without "
                f"replacement"
            )
        if len(self.fresh) < len(self.made):
            out.append(
                f"{self.group}: {len(self.fresh):,} real rows are held out and {len(self.made):,} "
                f"are synthetic: both are compared with train {len(self.fresh):,} rows at a time"
            )
        return out


def _some(rng: np.random.Generator, cells: np.ndarray, rows: int) -> np.ndarray:
    return cells[rng.permutation(len(cells))[:rows]]


def _independent(rng: np.random.Generator, cells: np.ndarray) -> np.ndarray:
    """Rows with each column shuffled by itself."""
    return np.column_stack([rng.permutation(column) for column in cells.T])


def _jackknifed(
    name: str,
    group: str,
    value: float,
    reference: float | None,
    halves: list[float],
    *,
    floor: float | None = None,
    better: Better = "higher",
) -> Score:
    """A score from 0 to 1 with the interval that its halves give."""
    known = np.array([h for h in halves if h == h])
    if value != value or len(known) < 2:
        return Score(name, group, value, reference, better, None, floor)
    error = 1.96 * float(known.std(ddof=1))
    interval = (float(max(0.0, value - error)), float(min(1.0, value + error)))
    return Score(name, group, value, reference, better, interval, floor)


# --- two-sample tests ---------------------------------------------------------------------------


def _tests(draws: _Draws, seed: np.random.SeedSequence) -> list[Score]:
    """Synthetic against train and against the holdout, real against real, shuffled against real."""
    rng = np.random.default_rng(seed)
    rows = min(len(draws.train), len(draws.made), len(draws.fresh), TEST_ROWS)
    real, made, fresh = (_some(rng, c, rows) for c in (draws.train, draws.made, draws.fresh))
    shuffled = _independent(rng, _some(rng, draws.train, rows))
    scores, held = [], []
    for judge in DEFAULT_JUDGES:

        def told(a: np.ndarray, b: np.ndarray, judge: str = judge) -> tuple[np.ndarray, np.ndarray]:
            cells, y = np.vstack([a, b]), np.repeat([False, True], [len(a), len(b)])
            folds = min(FOLDS, rows)
            return y, out_of_fold(judge, draws.space, cells, y, folds=folds, rng=rng)

        null = _area(*told(real, fresh), rng)[0]
        bottom = _area(*told(real, shuffled), rng)[0]
        for name, against, into in (
            (f"fidelity.c2st_{judge}", real, scores),
            (f"fidelity.c2st_{judge}_holdout", fresh, held),
        ):
            area, low, high = _area(*told(against, made), rng)
            into.append(
                Score(
                    name,
                    draws.group,
                    _untold(area),
                    _untold(null),
                    "higher",
                    (_untold(high), _untold(low)),
                    _untold(bottom),
                    f"ROC-AUC {area:.3f} [{low:.3f}, {high:.3f}], {null:.3f} of real against real",
                )
            )
    return scores + held


def _untold(area: float) -> float:
    return float(2 * (1 - max(0.5, area)))


def _area(y: np.ndarray, score: np.ndarray, rng: np.random.Generator) -> tuple[float, float, float]:
    """ROC-AUC and its interval: bootstrap of the out-of-fold scores, and never narrower than what
    equal sides of this size give by chance.
    """
    order = np.argsort(score, kind="stable")
    last = np.diff(score[order], append=np.inf) > 0
    tie = np.concatenate([[0], np.cumsum(last)[:-1]])
    y = y[order]
    sides = (np.flatnonzero(y), np.flatnonzero(~y))

    def area(weight: np.ndarray) -> float:
        up = np.bincount(tie, weight * y)
        down = np.bincount(tie, weight * ~y)
        return float(up @ (np.cumsum(down) - down / 2) / (up.sum() * down.sum()))

    value = area(np.ones(len(y)))
    again = []
    for _ in range(REPLICATES):
        picks = np.concatenate([side[rng.integers(len(side), size=len(side))] for side in sides])
        again.append(area(np.bincount(picks, minlength=len(y)).astype(float)))
    m, n = map(len, sides)
    error = 1.96 * max(float(np.std(again)), float(np.sqrt((m + n + 1) / (12 * m * n))))
    return value, max(0.0, value - error), min(1.0, value + error)


# --- columns and pairs --------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Coded:
    """Rows of three tables, one above the other, as codes.

    Attributes:
        fine: Each cell's place among all values of its column, -1 where missing.
        wide, even: One of `BINS` bins of equal width, and of equal share, of the numbers of train;
            the levels themselves; missing is one more. From 0.
        numbers: Standardised numbers, NaN where missing.
        sizes: Of `wide` and `even`, the number of codes of each column.
    """

    fine: np.ndarray
    wide: np.ndarray
    even: np.ndarray
    numbers: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, space: Space, cells: np.ndarray, train: np.ndarray) -> _Coded:
        rows, columns = cells.shape
        fine = np.empty((rows, columns), dtype=np.int64, order="F")
        wide, even = np.empty_like(fine), np.empty_like(fine)
        for j in range(columns):
            gone, values = np.isnan(cells[:, j]), cells[:, j]
            fine[:, j] = np.where(gone, -1, np.unique(values, return_inverse=True)[1])
            if space.is_level[j]:
                wide[:, j] = even[:, j] = fine[:, j] + 1
                continue
            real = train[~np.isnan(train[:, j]), j]
            if not len(real):
                real = np.zeros(1)
            # Halved, so that the width of a range up to 1e308 is still a number.
            half = real / 2
            edges = np.linspace(half.min(), half.max(), BINS + 1)[1:-1]
            cuts = np.unique(np.quantile(half, np.linspace(0, 1, BINS + 1)[1:-1], method="lower"))
            for out, limits in ((wide, edges), (even, cuts)):
                out[:, j] = np.where(gone, 0, 1 + np.searchsorted(limits, values / 2, side="right"))
        sizes = np.maximum(wide.max(axis=0), even.max(axis=0)) + 1
        return cls(fine, wide, even, space.numbers(cells), sizes)


def _statistics(draws: _Draws, seed: np.random.SeedSequence) -> list[Score]:
    rng = np.random.default_rng(seed)
    space, group = draws.space, draws.group
    real = _some(rng, draws.train, COLUMN_ROWS)
    rows = min(len(draws.made), len(draws.fresh), COLUMN_ROWS)
    samples = [_some(rng, draws.made, rows) for _ in range(DRAWS if len(draws.made) > rows else 1)]
    fresh = [_some(rng, draws.fresh, rows) for _ in range(DRAWS if len(draws.fresh) > rows else 1)]
    shuffled = _independent(rng, _some(rng, draws.train, min(rows, len(draws.train))))
    stacked = [real, *samples, *fresh, shuffled]
    ends = np.cumsum([len(part) for part in stacked])
    cells = np.vstack(stacked)
    coded = _Coded.of(space, cells, real)
    places = [np.arange(end - len(part), end) for part, end in zip(stacked, ends, strict=True)]
    pairs = list(combinations(range(len(space.columns)), 2))
    if len(pairs) > MOST_PAIRS:
        pairs = [pairs[k] for k in np.sort(rng.permutation(len(pairs))[:MOST_PAIRS])]
    matrix = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    compare = _comparison(space, coded, matrix, _spikes(space, coded, cells))
    own = places[0]
    made = [compare(own, place) for place in places[1 : 1 + len(samples)]]
    null = [compare(own, place) for place in places[1 + len(samples) : -1]]
    bottom = compare(own, places[-1])
    half_real = half_sampled(rng, len(own), HALVES)
    half_made = half_sampled(rng, rows, HALVES)
    again = [compare(own[a], places[1][b]) for a, b in zip(half_real, half_made, strict=True)]

    def mean(found: list[dict[str, np.ndarray]], name: str) -> np.ndarray:
        return np.mean([one[name] for one in found], axis=0)

    scores = []
    for name, floored in (
        ("column_shapes", False),
        ("pair_trends", True),
        ("mutual_information", True),
        ("missing", False),
        ("spikes", False),
        ("range_coverage", False),
        ("category_coverage", False),
        ("in_range", False),
    ):
        value = float(np.mean([_average(one[name]) for one in made]))
        if value != value:
            continue
        scores.append(
            _jackknifed(
                f"fidelity.{name}",
                group,
                value,
                float(np.mean([_average(one[name]) for one in null])),
                [_average(one[name]) for one in again],
                floor=_average(bottom[name]) if floored else None,
            )
        )
    value, reference = mean(made, "column_shapes"), mean(null, "column_shapes")
    halves = np.array([one["column_shapes"] for one in again])
    for j, column in enumerate(space.names):
        scores.append(
            _jackknifed(
                "fidelity.column_shape",
                f"{group}: {column}",
                float(value[j]),
                float(reference[j]),
                halves[:, j].tolist(),
            )
        )
    return scores


def _average(values: np.ndarray) -> float:
    """The mean of what is known; NaN where nothing is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _comparison(
    space: Space, coded: _Coded, pairs: np.ndarray, spikes: list[tuple[int, int]]
) -> Callable[[np.ndarray, np.ndarray], dict[str, np.ndarray]]:
    """A function from the positions of real and other rows to what they have in common."""
    columns = space.columns
    number_of = np.cumsum(~space.is_level) - 1
    both = np.array([not space.is_level[a] and not space.is_level[b] for a, b in pairs], dtype=bool)
    holes = np.flatnonzero((coded.fine < 0).any(axis=0))
    sizes = coded.sizes

    def compare(real: np.ndarray, other: np.ndarray) -> dict[str, np.ndarray]:
        shapes = np.empty(len(columns))
        for j in range(len(columns)):
            one, two = (coded.fine[rows, j] for rows in (real, other))
            one, two = one[one >= 0], two[two >= 0]
            if not len(one) or not len(two):
                shapes[j] = float(len(one) == len(two))
                continue
            size = int(max(one.max(), two.max())) + 1
            gap = np.bincount(one, minlength=size) / len(one)
            gap -= np.bincount(two, minlength=size) / len(two)
            far = np.abs(gap).sum() / 2 if space.is_level[j] else np.abs(np.cumsum(gap)).max()
            shapes[j] = 1 - far
        trends, shared = np.empty(len(pairs)), np.empty(len(pairs))
        linear = [_correlations(coded.numbers[rows]) for rows in (real, other)]
        wide, even = (
            [np.asfortranarray(codes[rows]) for rows in (real, other)]
            for codes in (coded.wide, coded.even)
        )
        for k, (a, b) in enumerate(pairs):
            if both[k]:
                one, two = (found[number_of[a], number_of[b]] for found in linear)
                trends[k] = 1 - abs(one - two) / 2
            else:
                one, two = (_joint(codes, a, b, sizes) for codes in wide)
                trends[k] = 1 - np.abs(one - two).sum() / 2
            one, two = (_joint(codes, a, b, sizes) for codes in even)
            shared[k] = 1 - abs(_shared(one, int(sizes[b])) - _shared(two, int(sizes[b])))
        return {
            "column_shapes": shapes,
            "pair_trends": trends,
            "mutual_information": shared,
            "missing": 1
            - np.abs(
                (coded.fine[real][:, holes] < 0).mean(axis=0)
                - (coded.fine[other][:, holes] < 0).mean(axis=0)
            ),
            "spikes": np.array(
                [
                    1 - abs((coded.fine[real, j] == k).mean() - (coded.fine[other, j] == k).mean())
                    for j, k in spikes
                ]
            ),
            **_coverage(space, coded, real, other),
        }

    return compare


def _correlations(numbers: np.ndarray) -> np.ndarray:
    """Pearson's r of all pairs, each on the rows that have both; 0 where one does not vary."""
    there = ~np.isnan(numbers)
    x, m = np.nan_to_num(numbers), there.astype(np.float64)
    n = np.maximum(m.T @ m, 1)
    sums, squares = x.T @ m, (x * x).T @ m
    cross = x.T @ x / n - sums * sums.T / n**2
    spread = squares / n - (sums / n) ** 2
    scale = np.sqrt(np.maximum(spread, 0) * np.maximum(spread.T, 0))
    return np.divide(cross, scale, out=np.zeros_like(cross), where=scale > 1e-12)


def _joint(codes: np.ndarray, a: int, b: int, sizes: np.ndarray) -> np.ndarray:
    size = int(sizes[a] * sizes[b])
    return np.bincount(codes[:, a] * sizes[b] + codes[:, b], minlength=size) / len(codes)


def _shared(joint: np.ndarray, width: int) -> float:
    """Mutual information over the geometric mean of the entropies; 0 where one has none."""

    def entropy(p: np.ndarray) -> float:
        p = p[p > 0]
        return float(-p @ np.log(p))

    table = joint.reshape(-1, width)
    one, two = entropy(table.sum(axis=1)), entropy(table.sum(axis=0))
    if min(one, two) < 1e-9:
        return 0.0
    return max(0.0, one + two - entropy(joint)) / float(np.sqrt(one * two))


def _spikes(space: Space, coded: _Coded, cells: np.ndarray) -> list[tuple[int, int]]:
    """Column and code of each spike that occurs."""
    out = []
    for j in np.flatnonzero(~space.is_level):
        for value in space.columns[j].spikes:
            rows = np.flatnonzero(cells[:, j] == value)
            if len(rows):
                out.append((int(j), int(coded.fine[rows[0], j])))
    return out


def _coverage(
    space: Space, coded: _Coded, real: np.ndarray, other: np.ndarray
) -> dict[str, np.ndarray]:
    """Of each column: the share of the range, or of the levels, of the real cells that the others
    cover, and the share of the others that lies inside.
    """
    columns = len(space.columns)
    ranges, levels, inside = (np.full(columns, np.nan) for _ in range(3))
    place = -1
    for j in range(columns):
        place += not space.is_level[j]
        if space.is_level[j]:
            one, two = (coded.fine[rows, j] for rows in (real, other))
            one, two = np.unique(one[one >= 0]), two[two >= 0]
            if len(one):
                levels[j] = np.isin(one, two).mean()
            if len(two):
                inside[j] = np.isin(two, one).mean()
            continue
        one, two = (coded.numbers[rows, place] for rows in (real, other))
        one, two = one[~np.isnan(one)], two[~np.isnan(two)]
        if not len(one) or not len(two):
            continue
        low, high = one.min(), one.max()
        inside[j] = ((two >= low) & (two <= high)).mean()
        if high > low:
            held = min(high, two.max()) - max(low, two.min())
            ranges[j] = max(0.0, held / (high - low))
    return {"range_coverage": ranges, "category_coverage": levels, "in_range": inside}


# --- neighbours ---------------------------------------------------------------------------------


def _neighbours(draws: _Draws, seed: np.random.SeedSequence) -> list[Score]:
    """Alpha-precision and beta-recall (Alaa et al. 2022)."""
    rng = np.random.default_rng(seed)
    space = draws.space
    rows = min(len(draws.train), len(draws.made), len(draws.fresh), NEIGHBOUR_ROWS)
    real, made, fresh = (
        space.dense(_some(rng, c, rows)) for c in (draws.train, draws.made, draws.fresh)
    )
    shuffled = space.dense(_independent(rng, _some(rng, draws.train, rows)))
    step = max(1, 4_000_000 // max(1, rows))
    own = np.concatenate(
        [_nearest(real[i : i + step], real, skip=i)[1] for i in range(0, rows, step)]
    )
    picks = rng.integers(rows, size=(REPLICATES, rows))

    def figures(
        other: np.ndarray, intervals: bool
    ) -> list[tuple[float, tuple[float, float] | None]]:
        # NOTE[DIFF]: the centre is the mean in the standardised columns, not in an embedding that
        # was trained to be a ball.
        center, own_center = real.mean(axis=0), other.mean(axis=0)
        radii = np.quantile(np.linalg.norm(real - center, axis=1), ALPHAS)
        within = np.linalg.norm(other - center, axis=1)[:, None] <= radii
        found = [_nearest(real[i : i + step], other) for i in range(0, rows, step)]
        index = np.concatenate([f[0] for f in found])
        far = np.concatenate([f[1] for f in found])
        reach = np.linalg.norm(other[index] - own_center, axis=1)
        covered = (far <= own + 1e-6)[:, None] & (reach[:, None] <= np.quantile(reach, ALPHAS))
        out: list[tuple[float, tuple[float, float] | None]] = []
        for flags in (within, covered):
            value = _along(flags.mean(axis=0))
            interval = None
            if intervals:
                again = [_along(flags[pick].mean(axis=0)) for pick in picks]
                low, high = np.quantile(again, [0.025, 0.975])
                interval = (min(value, float(low)), max(value, float(high)))
            out.append((value, interval))
        return out

    values, null, bottom = figures(made, True), figures(fresh, False), figures(shuffled, False)
    return [
        Score(f"fidelity.{name}", draws.group, value[0], ref[0], "higher", value[1], floor[0])
        for name, value, ref, floor in zip(
            ("alpha_precision", "beta_recall"), values, null, bottom, strict=True
        )
    ]


def _nearest(
    rows: np.ndarray, others: np.ndarray, skip: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Position of and distance to the nearest of `others`; `skip`: the rows are others from there
    on, and none is its own neighbour.
    """
    one, two = rows.astype(np.float64), others.astype(np.float64)
    far = (one * one).sum(axis=1)[:, None] + (two * two).sum(axis=1) - 2 * one @ two.T
    if skip is not None:
        far[np.arange(len(rows)), skip + np.arange(len(rows))] = np.inf
    index = far.argmin(axis=1)
    return index, np.sqrt(np.maximum(far[np.arange(len(rows)), index], 0))


def _along(shares: np.ndarray) -> float:
    """1 where the shares are those that were asked for, 0 where they are all 0."""
    return float(1 - np.abs(shares - ALPHAS).sum() / ALPHAS.sum())


# --- rules --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Rule:
    """Something that holds in every real row.

    Attributes:
        text: Such as ``a <= b``.
        broken: From cells to the rows that break it, bool of shape (rows,).
    """

    text: str
    broken: Callable[[np.ndarray], np.ndarray]


def _rules(draws: _Draws, seed: np.random.SeedSequence) -> tuple[list[Score], list[str]]:
    """How many synthetic rows break no rule that all real rows keep."""
    rng = np.random.default_rng(seed)
    real = np.vstack([draws.train, draws.fresh])
    rules = _found(draws.space, real, rng)
    if not rules:
        return [], []
    broken = np.column_stack([rule.broken(draws.made) for rule in rules])
    kept = ~broken.any(axis=1)
    value, rows = float(kept.mean()), len(draws.made)
    # Wilson's interval (1927): not empty where every row keeps every rule.
    z = 1.96
    middle = (value + z * z / (2 * rows)) / (1 + z * z / rows)
    wide = z * np.sqrt(value * (1 - value) / rows + (z / (2 * rows)) ** 2) / (1 + z * z / rows)
    interval = (
        min(value, max(0.0, float(middle - wide))),
        max(value, min(1.0, float(middle + wide))),
    )
    counts = broken.sum(axis=0)
    worst = np.argsort(-counts, kind="stable")[:5]
    notes = [
        f"{draws.group}: every real row keeps {rules[k].text}, {counts[k]:,} of {rows:,} synthetic "
        f"rows break it"
        for k in worst
        if counts[k]
    ]
    note = f"{len(rules)} rules hold in all real rows"
    score = Score("fidelity.rules_kept", draws.group, value, 1.0, "higher", interval, None, note)
    return [score], notes


def _found(space: Space, real: np.ndarray, rng: np.random.Generator) -> list[_Rule]:
    """Rules that no real row breaks, though shuffled columns would, `EXPECTED_BREAKS` times."""
    rules, names = [], space.names
    numbers = np.flatnonzero(~space.is_level)[:MOST_RULE_COLUMNS]
    other = _independent(rng, real)

    def holds(rule: _Rule) -> bool:
        return not rule.broken(real[:200]).any() and not rule.broken(real).any()

    def says_something(rule: _Rule) -> bool:
        return rule.broken(other).sum() >= EXPECTED_BREAKS

    for a, b in combinations(numbers, 2):
        if _unit(space, a) != _unit(space, b):
            continue
        for rule in (
            _Rule(f"{names[a]} = {names[b]}", _equal(a, b)),
            _Rule(f"{names[a]} <= {names[b]}", _ordered(a, b)),
            _Rule(f"{names[b]} <= {names[a]}", _ordered(b, a)),
        ):
            if holds(rule) and says_something(rule):
                rules.append(rule)
                break
    few = [j for j in numbers if _unit(space, j) == "number"][: MOST_RULE_COLUMNS // 2]
    for a, b in combinations(few, 2):
        for c in few:
            rule = _Rule(f"{names[a]} + {names[b]} = {names[c]}", _sum(a, b, c))
            if c not in (a, b) and holds(rule) and says_something(rule):
                rules.append(rule)
    levels = np.flatnonzero(space.is_level)[:MOST_RULE_COLUMNS]
    for a in levels:
        for b in levels:
            if a != b:
                rule = _decided(real, a, b, f"{names[a]} decides {names[b]}")
                if rule is not None and says_something(rule):
                    rules.append(rule)
    return rules


def _unit(space: Space, j: int) -> str:
    column = space.columns[j]
    if column.kind == "datetime":
        return str(tick_type(column.dtype, column.cells))
    return "number"


def _equal(a: int, b: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda cells: _apart(cells[:, a], cells[:, b])


def _ordered(a: int, b: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda cells: cells[:, a] > cells[:, b]


def _sum(a: int, b: int, c: int) -> Callable[[np.ndarray], np.ndarray]:
    def broken(cells: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            return _apart(cells[:, a] + cells[:, b], cells[:, c])

    return broken


def _apart(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Where both are there and differ by more than rounding."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.abs(one - two) > 1e-6 * (1e-6 + np.maximum(np.abs(one), np.abs(two)))


def _decided(real: np.ndarray, a: int, b: int, text: str) -> _Rule | None:
    """Each level of `a` goes with one level of `b`, if it does."""
    there = ~np.isnan(real[:, a]) & ~np.isnan(real[:, b])
    one, two = (real[there, j].astype(np.int64) for j in (a, b))
    if not there.any():
        return None
    width = int(two.max()) + 1
    seen = np.flatnonzero(np.bincount(one * width + two))
    pairs = np.column_stack([seen // width, seen % width])
    if len(pairs) > MOST_RULE_LEVELS or (np.diff(pairs[:, 0]) == 0).any():
        return None
    partner = np.full(int(pairs[:, 0].max()) + 2, -1)
    partner[pairs[:, 0]] = pairs[:, 1]

    def broken(cells: np.ndarray) -> np.ndarray:
        both = ~np.isnan(cells[:, a]) & ~np.isnan(cells[:, b])
        one = np.minimum(np.where(both, cells[:, a], -1).astype(np.int64), len(partner) - 1)
        wanted = partner[one]
        return both & (wanted >= 0) & (wanted != np.where(both, cells[:, b], -1))

    return _Rule(text, broken)


# --- the class ----------------------------------------------------------------------------------


def _associations(space: Space, rare: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """How each column goes with the class; shape (columns,)."""
    out = np.zeros(len(space.columns))
    for j in range(len(out)):
        one, two = (cells[~np.isnan(cells[:, j]), j] for cells in (rare, rest))
        if not len(one) or not len(two):
            continue
        place = np.unique(np.concatenate([one, two]), return_inverse=True)[1]
        p, q = (
            np.bincount(part, minlength=place.max() + 1) / len(part)
            for part in (place[: len(one)], place[len(one) :])
        )
        if space.is_level[j]:
            share = len(one) / len(place)
            both = share * p + (1 - share) * q
            # Chi-squared over n of a table with two rows: Cramér's V squared.
            phi = (share * (p - both) ** 2 + (1 - share) * (q - both) ** 2) / both
            out[j] = float(np.sqrt(phi.sum()))
        else:
            out[j] = float(2 * (p @ (np.cumsum(q) - q / 2)) - 1)
    return out
