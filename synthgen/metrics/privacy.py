"""Privacy: whether synthetic rows reveal the rows that they were learned from.

Distances are those of `synthgen.encoding.distances.Space`, on one scale learned on all real rows:

- ``copies``: share of synthetic rows that are equal to a training row.
- ``near_copies``: share whose distance to the nearest training row, and whose ratio of this
  distance to that of the second nearest, are both as small as those of only 5 % of training rows.
- ``nearer_to_train``: share that is closer to a training row than to any of an equal number of
  holdout rows; ties count half. 0.5 is best. The floor is the value for copies of train, which is
  below 1 if train is larger.
- ``nndr``: median ratio of the distances to the nearest and to the second nearest training row;
  ``memorised``: share with a ratio of at most one third (Yoon et al., 2023).
- ``distance_q05``, ``distance_median``: quantiles of the distance to the nearest training row.

For the reference, an equal number of holdout rows replaces the synthetic rows; if the holdout has
more rows, the reference is the mean of a few draws. For ``nearer_to_train``, training rows replace
the synthetic rows and are removed from the rows to compare with.

Membership attacks score each training and each holdout row by the synthetic rows. The attacks
density and classifier also use other holdout rows that the attacker knows:

- ``distance``: distance to the nearest synthetic row (Chen et al., GAN-Leaks, 2020).
- ``density``: this distance relative to that of the nearest known row, which is the ratio of two
  nearest-neighbour densities (van Breugel et al., DOMIAS, 2023).
- ``classifier``: boosting that separates synthetic from known rows.
- ``frequencies``: how much more frequent the cells of the row are in the synthetic rows than among
  the other attacked rows (Homer et al. 2008; see `synthgen.metrics.frequencies`).
- ``line``: how close the row lies to lines through two synthetic rows, on numbers only, for the
  five best lines among the 128 nearest synthetic rows. Rows of SMOTE lie on lines that meet in
  training rows.

``mia_auc`` is the ROC-AUC of the strongest attack. ``mia_excess`` is its difference from that of
the same attacks if fresh real rows replace the synthetic ones; the best of several attacks is
above 0.5 by chance. ``mia_tpr_at_1`` and ``mia_tpr_at_10`` are the highest true positive rates of
an attack at false positive rates of 1 % and 10 %.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from synthgen.encoding.distances import (
    Rows,
    distinct,
    nearest,
)
from synthgen.metrics.attacks import (
    ATTACKS,
    FALSE_POSITIVE_RATES,
    MAX_ATTACKED,
    MAX_MADE,
    Attacked,
)
from synthgen.metrics.privacy_rows import (
    ALIKE,
    DISTANCE_SCORES,
    DRAWN,
    DRAWS,
    Sample,
    counted_columns,
    percentile_interval,
    samples_of,
    unmeasured,
)
from synthgen.metrics.risks import RISKS, risks
from synthgen.metrics.score import UNSEEN, Part, Score
from synthgen.model_selection.intervals import wilson
from synthgen.seeds import RandomState, child_seed, seed_sequence
from synthgen.tables.table import Table
from synthgen.training.device import resolve

# Largest number of rows whose nearest neighbour is computed, and of real rows to search.
MAX_ASKED = 5000
MAX_SIDE = 20000
NEAR_SHARE = 0.05
MEMORISED_RATIO = 1 / 3

NOT_SHOWN = (
    "these privacy scores are evidence, not a guarantee and not differential privacy: they show "
    "how well the attacks separate training rows from other rows of this group. They say nothing "
    "about attacks with more knowledge, other kinds of rows, or single persons"
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
    """What synthetic rows, beside fresh real ones, reveal about the training rows."""
    seed = seed_sequence(random_state)
    columns, left_out = counted_columns(train, synthetic, holdout)
    notes = [NOT_SHOWN]
    if left_out:
        notes.append(f"left out, as IDs and texts have no distance: {', '.join(left_out)}")
    if not columns or not len(train) or not len(synthetic):
        why = "there is no column to compare" if not columns else "there are no rows to compare"
        return Part([unmeasured(name, group, why) for name in _NAMES], notes=notes)
    real, made, other = samples_of(columns, (train, synthetic, holdout), resolve(device))
    if max(len(real), len(other)) > MAX_ATTACKED or len(made) > MAX_ASKED:
        notes.append(
            f"{group}: random samples of the {len(real):,} training, {len(made):,} synthetic and "
            f"{len(other):,} holdout rows are used: at most {MAX_ASKED:,} rows of a table whose "
            f"nearest training row is searched, {MAX_SIDE:,} rows of train and of the holdout to "
            f"search in, {MAX_ATTACKED:,} rows of each to attack, and {MAX_MADE:,} synthetic rows "
            f"for the attacks"
        )
    scores, curves, said = nearness(real, made, other, group, child_seed(seed, 0))
    notes += said
    if min(len(real), len(other)) < 2:
        why = f"attacks need two training and two holdout rows: {len(real)} and {len(other)} given"
        scores += [unmeasured(name, group, why) for name in _NAMES[len(scores) :]]
        return Part(scores, curves, notes)
    attacked = Attacked.of(real, made, other, child_seed(seed, 1))
    notes.append(f"{group}: {attacked.note()}")
    curves |= attacked.curves()
    scores += attacked.scores(group, child_seed(seed, 2))
    scores += risks(columns, (train, synthetic, holdout), group, child_seed(seed, 3))
    return Part(scores, curves, notes)


_NAMES = (
    *(name for name, _ in DISTANCE_SCORES),
    *(f"mia_{name}_auc" for name in ATTACKS),
    "mia_auc",
    "mia_excess",
    *(f"mia_tpr_at_{100 * rate:.0f}" for rate in FALSE_POSITIVE_RATES),
    *RISKS,
)


# --- distances ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Near:
    """Thresholds for near-copies, and the distinct training rows.

    Attributes:
        apart: The distinct training rows.
        near: Quantile `NEAR_SHARE` of the training rows' distances to their nearest neighbours.
        lonely: The same quantile of the ratio of nearest to second nearest distance.
    """

    apart: Rows
    near: float
    lonely: float

    @classmethod
    def of(cls, real: Sample, rng: np.random.Generator) -> _Near:
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
        return cls(apart, near, lonely)

    def measured(self, sample: Sample) -> dict[str, np.ndarray]:
        """Compute each row's contribution to each score, shape (rows,)."""
        distance, ratio, _ = nearest(sample.rows, self.apart)
        return {
            "copies": distance == 0,
            "near_copies": (distance <= self.near) & (ratio <= self.lonely),
            "memorised": ratio < MEMORISED_RATIO,
            "nndr": ratio,
            "distance_q05": distance,
            "distance_median": distance,
        }


def nearness(
    real: Sample, made: Sample, other: Sample, group: str, seed: np.random.SeedSequence
) -> tuple[list[Score], dict[str, dict[str, np.ndarray]], list[str]]:
    """Compute scores, curves and notes from distances to training rows."""
    rng = np.random.default_rng(seed)
    train = _Near.of(real, rng)
    asked = min(len(made), MAX_ASKED)
    mine = train.measured(made.some(asked, rng))
    rows = min(len(other), asked)
    draws = DRAWN if len(other) > rows else 1
    others = [train.measured(other.some(rows, rng)) for _ in range(draws if rows else 0)]
    notes = [f"{group}: {_drawn(rows, asked, draws)}"] if others else []
    scores = []
    for name, better in DISTANCE_SCORES[:-1]:
        if len(train.apart.numbers) < 2 and name in ("near_copies", "memorised", "nndr"):
            scores.append(unmeasured(name, group, "it needs two different training rows"))
            continue
        part = _QUANTILES.get(name)
        value = _typical(mine[name], part)
        interval, note = _interval(mine[name], part, rng)
        drawn = [_typical(theirs[name], part) for theirs in others]
        reference = float(np.mean(drawn)) if drawn else None
        given = value, reference, better, interval, None, note
        scores.append(Score(f"privacy.{name}", group, *given))
    curves = {"nearest train row synthetic": _cumulated(mine["distance_median"])}
    if len(other):
        yardstick = np.concatenate([theirs["distance_median"] for theirs in others])
        curves["nearest train row holdout"] = _cumulated(yardstick)
        scores.append(_nearer_to_train(real, made.some(MAX_ASKED, rng), other, group, rng))
    else:
        scores.append(unmeasured("nearer_to_train", group, "there are no holdout rows"))
    return scores, curves, notes


def _interval(
    rows: np.ndarray, part: float | None, rng: np.random.Generator
) -> tuple[tuple[float, float] | None, str]:
    """Compute the 95 % interval of a share (`part` None) or of a quantile, with a note."""
    if part is None:
        return wilson(float(rows.mean()), len(rows)), ""
    picks = rng.integers(len(rows), size=(DRAWS, len(rows)))
    low, high = percentile_interval(np.quantile(rows[picks], part, axis=1))
    if high - low < ALIKE and len(rows) * part < UNSEEN:
        if len(rows) * (1 - part) < UNSEEN:  # other rows may be nearer or farther
            return None, f"no interval: the scores of all {len(rows):,} rows are equal"
        low = 0.0  # other rows may be nearer
    return (low, high), ""


def _drawn(rows: int, asked: int, draws: int) -> str:
    """Describe how the reference of copies and distances was measured."""
    few = "" if rows == asked else f" (all there are, for {asked:,} synthetic rows)"
    mean = "" if draws == 1 else f", the mean of {draws} draws without replacement"
    return f"the reference of copies and distances uses {rows:,} holdout rows{few}{mean}"


def _nearer_to_train(
    real: Sample, made: Sample, other: Sample, group: str, rng: np.random.Generator
) -> Score:
    """Compute the share of synthetic rows that are closer to train than to the holdout."""
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
    copies = (1 + rows / len(real)) / 2  # copies of rows that were not drawn are near neither side
    note = "floor: copies of train; reference: "
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
        note += f"{fresh:,} rows of train instead of synthetic ones, mean of {DRAWN} draws"
    else:
        reference = 0.5
        note += "0.5 by definition, since train has too few rows to measure it"
    return Score(
        "privacy.nearer_to_train", group, share, reference, "reference", interval, copies, note=note
    )


def _typical(rows: np.ndarray, part: float | None) -> float:
    """Compute the quantile at `part`, or the mean if `part` is None."""
    return float(rows.mean() if part is None else np.quantile(rows, part))


# Scores that are a quantile and not a share of the rows.
_QUANTILES = {"nndr": 0.5, "distance_q05": 0.05, "distance_median": 0.5}


def _cumulated(distance: np.ndarray) -> dict[str, np.ndarray]:
    """Compute the cumulative distribution of distances as a curve."""
    share = np.linspace(0, 1, 101)
    return {"x": np.quantile(distance, share), "y": share}
