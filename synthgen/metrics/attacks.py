"""TODO docstring."""

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
from synthgen.metrics.privacy_rows import DRAWS, _middle, _Sample, _unknown
from synthgen.metrics.score import Score
from synthgen.model_selection.ranking import Ranked

ATTACKS = ("distance", "density", "classifier", "line")
FALSE_POSITIVE_RATES = (0.01, 0.1)
MAX_ATTACKED = 2500
MAX_MADE = 10000
# The fewer rows, the more parts and repeats against the chance of a split: the cost stays the same.
FEW = 300
FOLDS = (4, 3)
REPEATS = (5, 2)
# Lines are sought among so many synthetic rows around a record; the clearest of them count.
LINE_ROWS = 128
CLEAREST = 5
# Where a distance is zero, its logarithm is that of the rounding of float32.
TINY = 1e-6


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


def _areas(suspicion: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of each attack for each weighting of the rows.

    Args:
        suspicion: Shape (attacks, rows), members first.
        weights: Shape (weightings, rows).

    Returns:
        Shape (attacks, weightings).
    """
    member = np.arange(suspicion.shape[1]) < suspicion.shape[1] // 2
    return np.stack([Ranked.of(member, row).steps(weights).roc_auc() for row in suspicion])


def _worst(suspicion: np.ndarray) -> np.ndarray:
    areas = _areas(suspicion, np.ones((1, suspicion.shape[1])))
    return suspicion[areas[:, 0].argmax()]


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
