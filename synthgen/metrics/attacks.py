"""Membership attacks: how well synthetic rows reveal which real rows were training rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from scipy.stats import rankdata
from sklearn.ensemble import HistGradientBoostingClassifier

from synthgen.encoding.distances import (
    PAIRS_CPU,
    PAIRS_GPU,
    nearest,
)
from synthgen.metrics.frequencies import cell_losses
from synthgen.metrics.privacy_rows import (
    DRAWS,
    Sample,
    interval_of_worst,
    percentile_interval,
    unmeasured,
)
from synthgen.metrics.score import Score
from synthgen.model_selection.ranking import Ranked

ATTACKS = ("distance", "density", "classifier", "frequencies", "line")
FALSE_POSITIVE_RATES = (0.01, 0.1)
# Largest numbers of attacked rows of train and of the holdout, and of synthetic rows that the
# attackers have.
MAX_ATTACKED = 2500
MAX_MADE = 10000
# Up to FEW rows, more folds and more repeats are used, because a single split is too noisy.
FEW = 300
FOLDS = (4, 3)
REPEATS = (5, 2)
# Number of nearest synthetic rows among which lines through a record are searched.
LINE_ROWS = 128
CLEAREST = 5
# Added to distances before taking the logarithm; about the rounding error of float32.
TINY = 1e-6


# --- membership attacks -------------------------------------------------------------------------


@dataclass(frozen=True)
class Attacked:
    """Each attack's suspicion of each real row; the first half of the rows are members.

    Attributes:
        synthetic: Suspicions if the attacker has the synthetic rows, shape (attacks, rows).
        fresh: Suspicions if the attacker has fresh real rows instead, shape (repeats, attacks,
            rows).
        made: Number of synthetic rows that the attackers had.
        real: Number of real rows that they had instead.
    """

    synthetic: np.ndarray
    fresh: np.ndarray
    made: int
    real: int

    @classmethod
    def of(
        cls, real: Sample, made: Sample, other: Sample, seed: np.random.SeedSequence
    ) -> Attacked:
        rng = np.random.default_rng(seed)
        rows = min(len(real), len(other), MAX_ATTACKED)
        made = made.some(MAX_MADE, rng)
        many = int(rows > FEW)
        folds = min(FOLDS[many], rows)
        real, other = (
            side.take(rng.permutation(len(side))[: rows + MAX_MADE]) for side in (real, other)
        )
        splits = [
            attack_folds(len(real), len(other), rows, len(made), folds, rng)
            for _ in range(1 + REPEATS[many])
        ]
        synthetic = _suspicion(made, real, other, splits[0])
        fresh = [_suspicion(None, real, other, split) for split in splits[1:]]
        size = min(len(fold.mine) + len(fold.theirs) for fold in splits[0])
        return cls(synthetic, np.stack(fresh), len(made), size)

    def note(self) -> str:
        """Describe how the references were measured."""
        few = "" if self.real == self.made else " (all there are)"
        return (
            f"the reference of an attack is its mean over {len(self.fresh)} draws of "
            f"{self.real:,} real rows{few} instead of {self.made:,} synthetic ones. These are rows "
            f"of train, or of train and holdout, that are not attacked in the same draw. The "
            f"reference of the excess is 0 by definition"
        )

    def scores(self, group: str, seed: np.random.SeedSequence) -> list[Score]:
        rng = np.random.default_rng(seed)
        rows = self.synthetic.shape[1] // 2
        weights = np.ones((1 + DRAWS, 2 * rows))  # the first weighting counts each row once
        for side in (slice(rows), slice(rows, None)):
            weights[1:, side] = rng.multinomial(rows, np.full(rows, 1 / rows), size=DRAWS)
        mine = _areas(self.synthetic, weights)
        theirs = np.stack([_areas(repeat, weights) for repeat in self.fresh])
        scores = []
        for place, name in enumerate(ATTACKS):
            if place >= len(mine) or (name == "line" and self.made < 2):
                what = "number columns" if place >= len(mine) else "synthetic rows"
                why = f"it needs two {what}"
                scores.append(unmeasured(f"mia_{name}_auc", group, why))
                continue
            value, reference = float(mine[place, 0]), float(theirs[:, place, 0].mean())
            interval = percentile_interval(mine[place, 1:], rows)
            scores.append(
                Score(f"privacy.mia_{name}_auc", group, value, reference, "lower", interval)
            )
        worst = int(mine[:, 0].argmax())
        value, reference = float(mine[worst, 0]), float(theirs[:, :, 0].max(1).mean())
        note = f"the worst attack: {ATTACKS[worst]}"
        interval = interval_of_worst(mine[:, 0], mine[:, 1:], rows)
        scores.append(
            Score("privacy.mia_auc", group, value, reference, "lower", interval, note=note)
        )
        excess = mine.max(0) - theirs.max(1).mean(0)
        interval = percentile_interval(excess[1:], rows, -1.0)
        said = f"{note}; the reference is 0 by definition, since that of real rows is subtracted"
        scores.append(
            Score("privacy.mia_excess", group, float(excess[0]), 0.0, "lower", interval, note=said)
        )
        for rate in FALSE_POSITIVE_RATES:
            scores.append(self._found_at(rate, group, rng))
        return scores

    def curves(self) -> dict[str, dict[str, np.ndarray]]:
        rates = np.linspace(0, 1, 101)
        worst = [worst_attack(self.synthetic), *map(worst_attack, self.fresh)]
        mine, *theirs = [np.append(0.0, share_found(rows[None], rates[1:])[0]) for rows in worst]
        return {
            "attack roc synthetic": {"x": rates, "y": mine},
            "attack roc fresh": {"x": rates, "y": np.mean(theirs, axis=0)},
        }

    def _found_at(self, rate: float, group: str, rng: np.random.Generator) -> Score:
        rows = self.synthetic.shape[1] // 2
        rates = np.array([rate])
        shares = share_found(self.synthetic, rates)[:, 0]
        most = int(shares.argmax())
        note = f"the strongest attack: {ATTACKS[most]}"
        drawn = rng.integers(rows, size=(DRAWS, 2 * rows))
        drawn[:, rows:] += rows
        of_each = [share_found(attack[drawn], rates)[:, 0] for attack in self.synthetic]
        reference = np.mean([share_found(repeat, rates).max() for repeat in self.fresh])
        if rate * rows < 1:
            note += f"; {rate:.0%} of {rows:,} holdout rows is less than one row, so this is the "
            note += "share without a false alarm"
        return Score(
            f"privacy.mia_tpr_at_{100 * rate:.0f}",
            group,
            float(shares[most]),
            float(reference),
            "lower",
            interval_of_worst(shares, np.stack(of_each), rows),
            note=note,
        )


def _areas(suspicion: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute the area under the ROC curve of each attack for each weighting of the rows."""
    member = np.arange(suspicion.shape[1]) < suspicion.shape[1] // 2
    return np.stack([Ranked.of(member, row).steps(weights).roc_auc() for row in suspicion])


def worst_attack(suspicion: np.ndarray) -> np.ndarray:
    areas = _areas(suspicion, np.ones((1, suspicion.shape[1])))
    return suspicion[areas[:, 0].argmax()]


def share_found(suspicion: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """Compute the true positive rate of an attack at given false positive rates."""
    rows = suspicion.shape[1] // 2
    others = np.sort(np.pad(suspicion[:, rows:], ((0, 0), (1, 0)), constant_values=-np.inf), axis=1)
    suspected = np.floor(rates * rows + 1e-9).astype(int)
    shares = [(suspicion[:, :rows] > others[:, [rows - n]]).mean(1) for n in suspected]
    return np.stack(shares, axis=1)


@dataclass(frozen=True)
class AttackFold:
    """Positions of real rows in one fold; the sets are disjoint.

    Attributes:
        members: Rows of train to attack.
        outsiders: Rows of the holdout to attack.
        mine, theirs: Rows of train and of the holdout that replace the synthetic rows in the
            reference.
        known: Rows of the holdout that the attackers know.
    """

    members: np.ndarray
    outsiders: np.ndarray
    mine: np.ndarray
    theirs: np.ndarray
    known: np.ndarray


def attack_folds(
    real: int, other: int, rows: int, wanted: int, folds: int, rng: np.random.Generator
) -> list[AttackFold]:
    """Make folds that attack each of the first `rows` rows of train and of the holdout once."""
    parts = (np.array_split(rng.permutation(rows), folds) for _ in range(2))
    out = []
    for members, outsiders in zip(*parts, strict=True):
        rest, spare = (
            rng.permutation(np.setdiff1d(np.arange(size), asked))
            for size, asked in ((real, members), (other, outsiders))
        )
        more = max(0, wanted - len(rest))
        more = more if more <= len(spare) // 2 else 0  # half of them are for `known`
        known = spare[more:][:rows]
        out.append(AttackFold(members, outsiders, rest[:wanted], spare[:more], known))
    return out


def _suspicion(
    made: Sample | None, real: Sample, other: Sample, folds: Sequence[AttackFold]
) -> np.ndarray:
    """Compute each attack's suspicion of each row, as ranks within the fold."""
    rows = sum(len(fold.members) for fold in folds)
    found = np.zeros((len(ATTACKS) if real.raw.shape[1] > 1 else len(ATTACKS) - 1, 2 * rows))
    for fold in folds:
        source = real.take(fold.mine).with_(other.take(fold.theirs)) if made is None else made
        judged = real.take(fold.members).with_(other.take(fold.outsiders))
        rest = (np.setdiff1d(np.arange(rows), asked) for asked in (fold.members, fold.outsiders))
        beside = real.take(next(rest)).with_(other.take(next(rest)))
        scores = _attack(source, other.take(fold.known), judged, beside)
        ranks, members = rankdata(scores, axis=1) / len(judged), len(fold.members)
        found[:, fold.members] = ranks[:, :members]
        found[:, rows + fold.outsiders] = ranks[:, members:]
    return found


def _attack(source: Sample, reference: Sample, judged: Sample, beside: Sample) -> np.ndarray:
    """Score the rows `judged` with each attack, shape (attacks, rows); see `privacy`."""
    near = nearest(judged.rows, source.rows).distance
    usual = nearest(judged.rows, reference.rows).distance
    density = np.log((usual + TINY) / (near + TINY))
    flat = [sample.flat() for sample in (judged, source, beside)]
    is_level = np.arange(flat[0].shape[1]) >= judged.rows.numbers.shape[1]
    frequent = -cell_losses(flat[0], flat[1], is_level, flat[2])
    scores = [-near, density, _classified(source, reference, judged), frequent]
    if judged.raw.shape[1] > 1:
        scores.append(on_lines(source.raw, judged.raw))
    return np.stack(scores).round(9)  # the last digits depend on the order of summation


def _classified(source: Sample, reference: Sample, judged: Sample) -> np.ndarray:
    rows = len(source) + len(reference)
    is_made = np.arange(rows) < len(source)
    model = HistGradientBoostingClassifier(
        max_iter=30,
        max_leaf_nodes=15,
        min_samples_leaf=int(np.clip(rows // 20, 1, 20)),
        early_stopping=cast(Any, False),  # "auto" would change the attack above 10,000 rows
        random_state=0,
    )
    model.fit(np.concatenate([source.flat(), reference.flat()]), is_made)
    return model.decision_function(judged.flat())


def on_lines(source: torch.Tensor, judged: torch.Tensor) -> np.ndarray:
    """Score how close each row lies to lines through two synthetic rows; shape (rows,)."""
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
        # A synthetic row equal to the scored row has no direction.
        way = torch.where(length > 1e-9, way / length.clamp_min(1e-9), 0.0)
        cosine = (way @ way.mT).abs_()
        cosine.diagonal(dim1=1, dim2=2).zero_()
        sine = (1 - cosine.amax(2).square_()).clamp_min(1e-16).sqrt_()
        clearest = sine.topk(min(CLEAREST, rows), dim=1, largest=False).values
        found.append(-clearest.log().mean(1))
    return torch.cat(found).cpu().numpy()
