"""Whether synthetic rows give away the rows that they were learned from."""

from __future__ import annotations

import numpy as np
import torch

from synthgen.encoding.distances import (
    distinct,
    nearest,
)
from synthgen.metrics.attacks import (
    ATTACKS,
    FALSE_POSITIVE_RATES,
    MAX_ATTACKED,
    MAX_MADE,
    _Attacked,
)
from synthgen.metrics.privacy_rows import (
    _NEARNESS,
    ALIKE,
    DRAWN,
    DRAWS,
    _columns,
    _middle,
    _Sample,
    _samples,
    _unknown,
)
from synthgen.metrics.score import UNSEEN, Part, Score
from synthgen.model_selection.intervals import wilson
from synthgen.seeds import RandomState, child_seed, seed_sequence
from synthgen.tables.table import Table
from synthgen.training.device import resolve

# So many rows at most: asked how near they are, real ones to be nearer to, attacked, and given to
# the attackers.
MAX_ASKED = 5000
MAX_SIDE = 20000
NEAR_SHARE = 0.05
MEMORISED_RATIO = 1 / 3

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

    Distances are those of `synthgen.encoding.distances.Space`, on one scale of all real rows:

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


_NAMES = (
    *(name for name, _ in _NEARNESS),
    *(f"mia_{name}_auc" for name in ATTACKS),
    "mia_auc",
    "mia_excess",
    *(f"mia_tpr_at_{100 * rate:.0f}" for rate in FALSE_POSITIVE_RATES),
)


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


def _cumulated(distance: np.ndarray) -> dict[str, np.ndarray]:
    share = np.linspace(0, 1, 101)
    return {"x": np.quantile(distance, share), "y": share}
