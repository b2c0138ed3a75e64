"""Whether synthetic rows give away the rows that they were learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from scipy.stats import rankdata
from sklearn.ensemble import HistGradientBoostingClassifier

from synthgen.column import NUMBERS, Column
from synthgen.device import RandomState, child_seed, resolve, seed_sequence
from synthgen.distances import COUNTED, PAIRS_CPU, PAIRS_GPU, Rows, Space, distinct, nearest
from synthgen.metrics.score import UNSEEN, Better, Part, Score, wilson
from synthgen.table import Table

ATTACKS = ("distance", "density", "classifier", "line")
FALSE_POSITIVE_RATES = (0.01, 0.1)
# So many rows at most: asked how near they are, real ones to be nearer to, attacked, and given to
# the attackers.
MAX_ASKED, MAX_SIDE, MAX_ATTACKED, MAX_MADE = 5_000, 20_000, 2_500, 10_000
NEAR_SHARE, MEMORISED_RATIO = 0.05, 1 / 3
DRAWS, DRAWN = 300, 5  # of a bootstrap; of real rows for a reference
# The fewer rows, the more parts and repeats against the chance of a split: the cost stays the same.
FEW, FOLDS, REPEATS = 300, (4, 3), (5, 2)
# Lines are sought among so many synthetic rows around a record; the clearest of them count.
LINE_ROWS, CLEAREST = 128, 5
ALIKE = 1e-12  # draws that differ by less are all the same
# Where a distance is zero, its logarithm is that of the rounding of float32.
TINY = 1e-6

NOT_SHOWN = (
    "privacy here is evidence, not a guarantee and not differential privacy: it tells how well "
    "these four attacks tell training rows from other rows of this group, and nothing about "
    "attacks that know more, about rows of another kind, or about single persons"
)


def privacy(
    train: Table,
    synthetic: Table,
    holdout: Table,
    *,
    group: str,
    random_state: RandomState,
    device: str | torch.device = "auto",
) -> Part:
    """What synthetic rows tell about the training rows, beside what fresh real rows would tell.

    Distances are those of `synthgen.distances.Space`, on one scale learned on all real rows:

    - ``copies``, ``near_copies``: share of synthetic rows equal to a training row; or as near to
      one as only 5 % of the training rows are to another, and as much nearer to it than to a
      second one.
    - ``nearer_to_train``: share nearer to a training row than to any holdout row, of as many; ties
      are halved. 0.5 is best; the floor is that of copies, below 1 where train is the larger.
    - ``memorised``: share at most a third as far from the nearest training row as from the second
      nearest (Yoon et al., 2023); ``nndr``: the median of that ratio.
    - ``distance_q05``, ``distance_median``: quantiles of the distance to the nearest training row.

    The reference of these is the holdout in the place of the synthetic rows, as many rows as are
    synthetic and the mean of a few draws where the holdout holds more; that of ``nearer_to_train``
    is training rows there, which are then on no side. Membership attacks give each training and
    holdout row a score from the synthetic rows, and (density, classifier) from holdout rows that
    are not asked about:

    - ``distance``: to the nearest synthetic row (Chen et al., GAN-Leaks, 2020).
    - ``density``: that distance beside the one to the nearest reference row, which is the ratio of
      two nearest-neighbour densities (van Breugel et al., DOMIAS, 2023).
    - ``classifier``: boosting that tells synthetic from reference rows.
    - ``line``: how nearly the record lies on one line with two synthetic rows, over the five
      clearest of the 128 synthetic rows around it, numbers only: SMOTE's rows lie on lines that
      meet in its input.

    ``mia_auc`` is the area under the worst attack's ROC curve, ``mia_excess`` what it has above the
    worst of the same attacks when fresh real rows stand in the place of the synthetic ones, since
    the best of four is above 0.5 by chance. Those are as many as are synthetic, or as there are:
    training rows that are not asked about, and holdout rows neither where that makes as many.
    ``mia_tpr_at_1`` and ``mia_tpr_at_10`` are the share of
    training rows that the worst attack finds where it suspects 1 % and 10 % of the holdout rows:
    no row where that is less than one, as the note of the score then says.

    Args:
        train: The rows that the synthetic rows were learned from (of the class, for one class).
        synthetic: At least one row.
        holdout: Real rows that nothing was learned from, with at least two rows; with fewer there
            are no attacks and no references.
        group: What is measured, for the scores: ``"all"`` or a class.
        random_state: Seed of subsamples, folds and bootstraps. The order of rows and columns does
            not matter.
        device: Where distances are measured; "auto" is a GPU where there is one.

    Returns:
        Scores ``privacy.*``; the curves "attack roc synthetic" and "attack roc fresh", and
        "nearest train row synthetic" and "nearest train row holdout" (distance, share of rows).

    Raises:
        UsageError: The device is not there, or the seed is none.
        DataError: A cell is not what the schema says.

    Example:
        >>> import pandas as pd
        >>> rng = np.random.default_rng(0)
        >>> frames = [pd.DataFrame(rng.normal(size=(20, 4)), columns=list("abcd")) for _ in "12"]
        >>> train, holdout = map(Table.of, frames)
        >>> part = privacy(train, train, holdout, group="all", random_state=0, device="cpu")
        >>> found = {score.name: score.value for score in part.scores}
        >>> found["privacy.nearer_to_train"], found["privacy.mia_auc"]
        (1.0, 1.0)
    """
    seed = seed_sequence(random_state)
    columns, left_out = _columns(train, synthetic, holdout)
    notes = [NOT_SHOWN]
    if left_out:
        notes.append(f"left out, as IDs and texts have no distance: {', '.join(left_out)}")
    if not columns or not len(train) or not len(synthetic):
        why = "there is no column to compare" if not columns else "there are no rows to compare"
        return Part([_unknown(name, group, why) for name in _NAMES], notes=notes)
    real, made, other = _samples(columns, (train, synthetic, holdout), resolve(device))
    if max(len(real), len(other)) > MAX_ATTACKED or len(made) > MAX_ASKED:
        notes.append(
            f"{group}: of {len(real):,} training, {len(made):,} synthetic and {len(other):,} "
            f"holdout rows random ones take part: {MAX_ASKED:,} of a kind are asked for the "
            f"nearest training row, {MAX_SIDE:,} real ones of a kind are there to be nearer to, "
            f"{MAX_ATTACKED:,} of a kind are attacked, and the attackers see {MAX_MADE:,} "
            f"synthetic ones"
        )
    scores, curves, told = _nearness(real, made, other, group, child_seed(seed, 0))
    notes += told
    if min(len(real), len(other)) < 2:
        why = f"attacks need two training and two holdout rows: {len(real)} and {len(other)} given"
        scores += [_unknown(name, group, why) for name in _NAMES[len(scores) :]]
        return Part(scores, curves, notes)
    attacked = _Attacked.of(real, made, other, child_seed(seed, 1))
    notes.append(f"{group}: {attacked.note()}")
    curves |= attacked.curves()
    return Part(scores + attacked.scores(group, child_seed(seed, 2)), curves, notes)


_NEARNESS: tuple[tuple[str, Better], ...] = (
    ("copies", "lower"),
    ("near_copies", "lower"),
    ("memorised", "lower"),
    ("nndr", "reference"),
    ("distance_q05", "reference"),
    ("distance_median", "reference"),
    ("nearer_to_train", "reference"),
)
_NAMES = (
    *(name for name, _ in _NEARNESS),
    *(f"mia_{name}_auc" for name in ATTACKS),
    "mia_auc",
    "mia_excess",
    *(f"mia_tpr_at_{100 * rate:.0f}" for rate in FALSE_POSITIVE_RATES),
)


# --- rows ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Sample:
    """Rows in two forms: for distances, and the numbers as they lie on lines.

    `raw` is float64 of shape (rows, numbers), each column less its mean, over its deviation.
    """

    rows: Rows
    raw: torch.Tensor

    def __len__(self) -> int:
        return len(self.raw)

    def take(self, places: np.ndarray) -> _Sample:
        return _Sample(self.rows.take(places), self.raw[places])

    def some(self, most: int, rng: np.random.Generator) -> _Sample:
        return self if len(self) <= most else self.take(rng.permutation(len(self))[:most])

    def with_(self, other: _Sample) -> _Sample:
        numbers, codes = self.rows
        rows = Rows(
            torch.cat([numbers, other.rows.numbers]), torch.cat([codes, other.rows.codes], dim=1)
        )
        return _Sample(rows, torch.cat([self.raw, other.raw]))

    def flat(self) -> np.ndarray:
        """Shape (rows, numbers + codes)."""
        return np.hstack([self.rows.numbers.cpu().numpy(), self.rows.codes.cpu().numpy().T])


def _columns(*tables: Table) -> tuple[list[Column], list[str]]:
    """The columns that count, in one order whatever the tables', and the names of the others."""
    columns, left_out = [], []
    for column in sorted(tables[0].schema.columns, key=lambda c: (str(c.name), repr(c.name))):
        if column.kind in COUNTED:
            gone = any(table.frame[column.name].isna().any() for table in tables)
            columns.append(replace(column, missing=float(gone)))
        elif column.kind in ("id", "text"):
            left_out.append(str(column.name))
    return columns, left_out


def _samples(
    columns: list[Column], tables: Sequence[Table], device: torch.device
) -> tuple[_Sample, _Sample, _Sample]:
    """Train, synthetic and holdout, each in an order that is that of its cells."""
    train, _, holdout = tables
    space = Space(columns, train.frame, holdout.frame, device=device)
    numbers = [c for c in columns if c.kind in NUMBERS]
    raw = [np.zeros((len(table), len(numbers))) for table in tables]
    for place, column in enumerate(numbers):
        cells = [column.numbers(table.frame[column.name]) for table in tables]
        values = [np.where(gone, np.nan, found) for found, gone in cells]
        known = np.concatenate([values[0], values[2]])
        known = known[~np.isnan(known)]
        if not len(known):
            continue
        unit = float(np.abs(known).max()) or 1.0
        mean, deviation = (known / unit).mean(), float((known / unit).std()) or 1.0
        for array, found in zip(raw, values, strict=True):
            array[:, place] = np.nan_to_num((found / unit - mean) / deviation, nan=0.0)
    samples = []
    for table, array in zip(tables, raw, strict=True):
        lines = torch.from_numpy(array).to(device)
        sample = _Sample(space.rows(table.frame), lines)
        keys = np.hstack([np.zeros((len(sample), 1)), array, sample.flat()])
        samples.append(sample.take(np.lexsort(keys.T)))
    return samples[0], samples[1], samples[2]


# --- distances ----------------------------------------------------------------------------------


def _nearness(
    real: _Sample, made: _Sample, other: _Sample, group: str, seed: np.random.SeedSequence
) -> tuple[list[Score], dict[str, dict[str, np.ndarray]], list[str]]:
    rng = np.random.default_rng(seed)
    apart, places = distinct(real.rows)
    own = rng.permutation(len(real))[:MAX_ASKED]
    near = lonely = 0.0
    if len(apart.numbers) > 2:
        distance, ratio, _ = nearest(real.rows.take(own), apart, itself=places[own])
        fine = distance > 0
        if fine.any():
            near, lonely = (
                float(np.quantile(found[fine], NEAR_SHARE, method="inverted_cdf"))
                for found in (distance, ratio)
            )

    def measured(sample: _Sample) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Of each row the shares it counts for, its ratio and its distances."""
        distance, ratio, _ = nearest(sample.rows, apart)
        rows = {
            "copies": distance == 0,
            "near_copies": (distance <= near) & (ratio <= lonely),
            "memorised": ratio < MEMORISED_RATIO,
            "nndr": ratio,
            "distance_q05": distance,
            "distance_median": distance,
        }
        return rows, distance

    asked = min(len(made), MAX_ASKED)
    mine, distance = measured(made.some(asked, rng))
    rows = min(len(other), asked)
    draws = DRAWN if len(other) > rows else 1
    others = [measured(other.some(rows, rng)) for _ in range(draws if rows else 0)]
    yardstick = np.concatenate([found for _, found in others]) if others else np.zeros(0)
    notes = [f"{group}: {_drawn(rows, asked, draws)}"] if others else []
    alone = len(apart.numbers) < 2
    scores = []
    for name, better in _NEARNESS[:-1]:
        if alone and name in ("near_copies", "memorised", "nndr"):
            scores.append(_unknown(name, group, "it needs two different training rows"))
            continue
        part, note = _QUANTILES.get(name), ""
        value = _typical(mine[name], part)
        if part is None:
            interval: tuple[float, float] | None = wilson(value, len(distance))
        else:
            picks = rng.integers(len(distance), size=(DRAWS, len(distance)))
            low, high = interval = _middle(np.quantile(mine[name][picks], part, axis=1))
            if high - low < ALIKE and len(distance) * part < UNSEEN:
                interval = (0.0, high)  # rows that were not seen may be nearer
                if len(distance) * (1 - part) < UNSEEN:  # or farther
                    interval, note = None, f"no interval: {len(distance):,} rows show no spread"
        drawn = [_typical(theirs[name], part) for theirs, _ in others]
        reference = float(np.mean(drawn)) if drawn else None
        given = value, reference, better, interval, None, note
        scores.append(Score(f"privacy.{name}", group, *given))
    curves = {"nearest train row synthetic": _cumulated(distance)}
    if len(other):
        curves["nearest train row holdout"] = _cumulated(yardstick)
        scores.append(_nearer_to_train(real, made.some(MAX_ASKED, rng), other, group, rng))
    else:
        scores.append(_unknown("nearer_to_train", group, "there are no holdout rows"))
    return scores, curves, notes


def _drawn(rows: int, asked: int, draws: int) -> str:
    """What the reference of distances was measured on."""
    few = (
        "" if rows == asked else f", as there are no more, and of synthetic rows those of {asked:,}"
    )
    mean = "" if draws == 1 else f", the mean of {draws} draws without replacement"
    return f"copies and distances of real rows are those of {rows:,} holdout rows{mean}{few}"


def _nearer_to_train(
    real: _Sample, made: _Sample, other: _Sample, group: str, rng: np.random.Generator
) -> Score:
    """Each real row votes with the share of synthetic rows that it is nearest to.

    Many synthetic rows near the same real row tell no more than one does, so the interval is that
    of as many votes as would weigh equally. For the reference training rows stand in the synthetic
    rows' place, and are then not among the rows that one can be nearer to.
    """
    rows = min(len(real), len(other), MAX_SIDE)
    equal = len(real) == len(other) == rows
    shares, votes = [], []
    for _ in range(1 if equal else int(np.clip(2_000 // rows, 1, 10))):
        sides = [nearest(made.rows, sample.some(rows, rng).rows) for sample in (real, other)]
        nearer = np.sign(sides[1].distance - sides[0].distance)
        shares.append((1 + nearer.mean()) / 2)
        weights = [
            np.bincount(side.place, (1 + sign * nearer) / 2 / len(made), minlength=rows)
            for side, sign in zip(sides, (1, -1), strict=True)
        ]
        votes.append(1 / (np.concatenate(weights) ** 2).sum())
    share = float(np.mean(shares))
    interval = wilson(share, float(np.mean(votes)))
    copies = (1 + rows / len(real)) / 2  # those of the rows that are not looked at are on neither
    note = "floor: what copies of train reach; real rows: "
    fresh = min(len(made), len(real) // 2)
    if fresh:
        beside = []
        for _ in range(DRAWN):
            mixed = real.take(rng.permutation(len(real)))
            mine, left = mixed.take(np.arange(fresh)), mixed.take(np.arange(fresh, len(real)))
            side = min(len(left), rows)
            near, far = (
                nearest(mine.rows, part.rows).distance
                for part in (left.some(side, rng), other.some(side, rng))
            )
            beside.append((1 + np.sign(far - near).mean()) / 2)
        reference = float(np.mean(beside))
        note += f"{fresh:,} of train in the place of synthetic ones, mean of {DRAWN} draws"
    else:
        reference = 0.5
        note += "0.5 by definition, as too few are there to measure it"
    return Score(
        "privacy.nearer_to_train", group, share, reference, "reference", interval, copies, note=note
    )


def _typical(rows: np.ndarray, part: float | None) -> float:
    """The quantile that lies above a part of the rows; None: the mean."""
    return float(rows.mean() if part is None else np.quantile(rows, part))


# Of what is no share of the rows.
_QUANTILES = {"nndr": 0.5, "distance_q05": 0.05, "distance_median": 0.5}


def _middle(drawn: np.ndarray, rows: int = 0, least: float = 0.0) -> tuple[float, float]:
    """The middle 95 % of a bootstrap.

    Args:
        rows: So many can move a figure between `least` and 1, `UNSEEN` of them where the draws are
            all alike. 0: not asked.
    """
    low, high = np.quantile(drawn, [0.025, 0.975]).tolist()
    if rows and high - low < ALIKE:
        low, high = max(least, low - UNSEEN / rows), min(1.0, high + UNSEEN / rows)
    return low, high


def _cumulated(distance: np.ndarray) -> dict[str, np.ndarray]:
    share = np.linspace(0, 1, 101)
    return {"x": np.quantile(distance, share), "y": share}


def _unknown(name: str, group: str, why: str) -> Score:
    better: Better = dict(_NEARNESS).get(name, "lower")
    return Score(f"privacy.{name}", group, float("nan"), None, better, None, note=why)


# --- membership attacks -------------------------------------------------------------------------


@dataclass(frozen=True)
class _Attacked:
    """How much each real row looks like a member; the members are the first half of the rows.

    Attributes:
        synthetic: Of each attack, shape (attacks, rows).
        fresh: The same from fresh real rows, for each repeat; shape (repeats, attacks, rows).
        made, real: How many synthetic rows the attackers saw, and real ones in their place.
    """

    synthetic: np.ndarray
    fresh: np.ndarray
    made: int
    real: int

    @classmethod
    def of(
        cls, real: _Sample, made: _Sample, other: _Sample, seed: np.random.SeedSequence
    ) -> _Attacked:
        rng = np.random.default_rng(seed)
        rows = min(len(real), len(other), MAX_ATTACKED)
        made = made.some(MAX_MADE, rng)
        many = int(rows > FEW)
        folds = min(FOLDS[many], rows)
        real, other = (
            side.take(rng.permutation(len(side))[: rows + MAX_MADE]) for side in (real, other)
        )
        splits = [
            _folds(len(real), len(other), rows, len(made), folds, rng)
            for _ in range(1 + REPEATS[many])
        ]
        synthetic = _suspicion(made, real, other, splits[0])
        fresh = [_suspicion(None, real, other, split) for split in splits[1:]]
        size = min(len(fold.mine) + len(fold.theirs) for fold in splits[0])
        return cls(synthetic, np.stack(fresh), len(made), size)

    def note(self) -> str:
        """What the references are measured on."""
        few = "" if self.real == self.made else ", as there are no more,"
        return (
            f"what attacks reach on real rows is the mean of {len(self.fresh)} draws of "
            f"{self.real:,} real rows{few} in the place of {self.made:,} synthetic ones: rows of "
            f"train, or of train and holdout, that are never asked about themselves; the excess of "
            f"real rows is 0 by definition"
        )

    def scores(self, group: str, seed: np.random.SeedSequence) -> list[Score]:
        rng = np.random.default_rng(seed)
        rows = self.synthetic.shape[1] // 2
        weights = np.ones((1 + DRAWS, 2 * rows))  # the first are all rows, as they are
        for side in (slice(rows), slice(rows, None)):
            weights[1:, side] = rng.multinomial(rows, np.full(rows, 1 / rows), size=DRAWS)
        mine = _areas(self.synthetic, weights)
        theirs = np.stack([_areas(repeat, weights) for repeat in self.fresh])
        scores = []
        for place, name in enumerate(ATTACKS):
            if place >= len(mine) or (name == "line" and self.made < 2):
                what = "number columns" if place >= len(mine) else "synthetic rows"
                why = f"it needs two {what}"
                scores.append(_unknown(f"mia_{name}_auc", group, why))
                continue
            value, reference = float(mine[place, 0]), float(theirs[:, place, 0].mean())
            interval = _middle(mine[place, 1:], rows)
            scores.append(
                Score(f"privacy.mia_{name}_auc", group, value, reference, "lower", interval)
            )
        worst = int(mine[:, 0].argmax())
        value, reference = float(mine[worst, 0]), float(theirs[:, :, 0].max(1).mean())
        note = f"the worst attack: {ATTACKS[worst]}"
        interval = _middle(mine[worst, 1:], rows)
        scores.append(
            Score("privacy.mia_auc", group, value, reference, "lower", interval, note=note)
        )
        excess = mine.max(0) - theirs.max(1).mean(0)
        interval = _middle(excess[1:], rows, -1.0)
        said = f"{note}; that of real rows is 0 by definition, as what they reach is taken off"
        scores.append(
            Score("privacy.mia_excess", group, float(excess[0]), 0.0, "lower", interval, note=said)
        )
        for rate in FALSE_POSITIVE_RATES:
            scores.append(self._found(rate, group, note, rng))
        return scores

    def curves(self) -> dict[str, dict[str, np.ndarray]]:
        rates = np.linspace(0, 1, 101)
        worst = [_worst(self.synthetic), *map(_worst, self.fresh)]
        mine, *theirs = [np.append(0.0, _found(rows[None], rates[1:])[0]) for rows in worst]
        return {
            "attack roc synthetic": {"x": rates, "y": mine},
            "attack roc fresh": {"x": rates, "y": np.mean(theirs, axis=0)},
        }

    def _found(self, rate: float, group: str, note: str, rng: np.random.Generator) -> Score:
        rows = self.synthetic.shape[1] // 2
        mine, rates = _worst(self.synthetic), np.array([rate])
        drawn = rng.integers(rows, size=(DRAWS, 2 * rows))
        drawn[:, rows:] += rows
        value = float(_found(mine[None], rates)[0, 0])
        reference = np.mean([_found(_worst(repeat)[None], rates)[0, 0] for repeat in self.fresh])
        if rate * rows < 1:
            note += (
                f"; of {rows:,} holdout rows {rate:.0%} is none: what is found at no false alarm"
            )
        return Score(
            f"privacy.mia_tpr_at_{100 * rate:.0f}",
            group,
            value,
            float(reference),
            "lower",
            _middle(_found(mine[drawn], rates)[:, 0], rows),
            note=note,
        )


def _worst(suspicion: np.ndarray) -> np.ndarray:
    areas = _areas(suspicion, np.ones((1, suspicion.shape[1])))
    return suspicion[areas[:, 0].argmax()]


def _areas(suspicion: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of each attack for each weighting of the rows.

    Args:
        suspicion: Shape (attacks, rows), members first.
        weights: Shape (weightings, rows).

    Returns:
        Shape (attacks, weightings).
    """
    member = np.arange(suspicion.shape[1]) < suspicion.shape[1] // 2
    areas = []
    for row in suspicion:
        order = np.argsort(row, kind="stable")
        starts = np.flatnonzero(np.diff(row[order], prepend=-np.inf))
        members = np.add.reduceat(weights[:, order] * member[order], starts, axis=1)
        others = np.add.reduceat(weights[:, order] * ~member[order], starts, axis=1)
        below = others.cumsum(1) - others / 2
        areas.append((members * below).sum(1) / members.sum(1) / others.sum(1))
    return np.stack(areas)


def _found(suspicion: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """Share of members found where at most `rates` of the others are suspected.

    Args:
        suspicion: Of one attack, shape (draws, rows), members first.
        rates: Shape (rates,).

    Returns:
        Shape (draws, rates).
    """
    rows = suspicion.shape[1] // 2
    others = np.sort(np.pad(suspicion[:, rows:], ((0, 0), (1, 0)), constant_values=-np.inf), axis=1)
    suspected = np.floor(rates * rows + 1e-9).astype(int)
    shares = [(suspicion[:, :rows] > others[:, [rows - n]]).mean(1) for n in suspected]
    return np.stack(shares, axis=1)


@dataclass(frozen=True)
class _Fold:
    """Positions of real rows, none of which is in two of these.

    Attributes:
        members, outsiders: Of train and of the holdout, to be told apart.
        mine, theirs: Of train and of the holdout, to stand in the place of the synthetic rows.
        known: Of the holdout, for the attackers to compare with.
    """

    members: np.ndarray
    outsiders: np.ndarray
    mine: np.ndarray
    theirs: np.ndarray
    known: np.ndarray


def _folds(
    real: int, other: int, rows: int, wanted: int, folds: int, rng: np.random.Generator
) -> list[_Fold]:
    """The first `rows` of `real` and of `other` rows are each asked about once; `wanted` of the
    rest stand in the place of synthetic rows; where they are too few, what train has.
    """
    parts = (np.array_split(rng.permutation(rows), folds) for _ in range(2))
    out = []
    for members, outsiders in zip(*parts, strict=True):
        rest, spare = (
            rng.permutation(np.setdiff1d(np.arange(size), asked))
            for size, asked in ((real, members), (other, outsiders))
        )
        more = max(0, wanted - len(rest))
        more = more if more <= len(spare) // 2 else 0  # half of them are the attackers' to know
        known = spare[more:][:rows]
        out.append(_Fold(members, outsiders, rest[:wanted], spare[:more], known))
    return out


def _suspicion(
    made: _Sample | None, real: _Sample, other: _Sample, folds: Sequence[_Fold]
) -> np.ndarray:
    """How much each attack takes each row for a member, as ranks within its fold.

    Without `made` the attackers see the real rows in their place; all else stays the same.

    Returns:
        Shape (attacks, members + outsiders), from 0 to 1.
    """
    rows = sum(len(fold.members) for fold in folds)
    found = np.zeros((len(ATTACKS) if real.raw.shape[1] > 1 else len(ATTACKS) - 1, 2 * rows))
    for fold in folds:
        source = real.take(fold.mine).with_(other.take(fold.theirs)) if made is None else made
        judged = real.take(fold.members).with_(other.take(fold.outsiders))
        scores = _attack(source, other.take(fold.known), judged)
        ranks, members = rankdata(scores, axis=1) / len(judged), len(fold.members)
        found[:, fold.members] = ranks[:, :members]
        found[:, rows + fold.outsiders] = ranks[:, members:]
    return found


def _attack(source: _Sample, reference: _Sample, judged: _Sample) -> np.ndarray:
    """Each attack's score of the judged rows, shape (attacks, rows): see `privacy`."""
    near = nearest(judged.rows, source.rows).distance
    usual = nearest(judged.rows, reference.rows).distance
    density = np.log((usual + TINY) / (near + TINY))
    scores = [-near, density, _classified(source, reference, judged)]
    if judged.raw.shape[1] > 1:
        scores.append(_on_lines(source.raw, judged.raw))
    return np.stack(scores).round(9)  # the last digits differ between two orders of summing


def _classified(source: _Sample, reference: _Sample, judged: _Sample) -> np.ndarray:
    rows = len(source) + len(reference)
    is_made = np.arange(rows) < len(source)
    model = HistGradientBoostingClassifier(
        max_iter=30,
        max_leaf_nodes=15,
        min_samples_leaf=int(np.clip(rows // 20, 1, 20)),
        early_stopping=cast(Any, False),  # "auto" would be another attack above 10,000 rows
        random_state=0,
    )
    model.fit(np.concatenate([source.flat(), reference.flat()]), is_made)
    return model.decision_function(judged.flat())


def _on_lines(source: torch.Tensor, judged: torch.Tensor) -> np.ndarray:
    """The mean of −log(sin(angle)) over the synthetic rows that another one stands behind, or in
    front of, at the smallest angles, as seen from the judged row.
    """
    source = torch.unique(source, dim=0)
    rows = min(LINE_ROWS, len(source))
    if rows < 2:
        return np.zeros(len(judged))
    pairs = PAIRS_CPU if source.device.type == "cpu" else PAIRS_GPU
    found = []
    for part in judged.split(max(1, pairs // max(rows**2, len(source)))):
        near = torch.cdist(part, source).topk(rows, dim=1, largest=False).indices
        way = source[near] - part[:, None]
        length = way.norm(dim=2, keepdim=True)
        # A synthetic row that is the judged row lies in no direction.
        way = torch.where(length > 1e-9, way / length.clamp_min(1e-9), 0.0)
        cosine = (way @ way.mT).abs_()
        cosine.diagonal(dim1=1, dim2=2).zero_()
        sine = (1 - cosine.amax(2).square_()).clamp_min(1e-16).sqrt_()
        clearest = sine.topk(min(CLEAREST, rows), dim=1, largest=False).values
        found.append(-clearest.log().mean(1))
    return torch.cat(found).cpu().numpy()
