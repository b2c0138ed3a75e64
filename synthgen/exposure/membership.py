"""Membership attacks with shadow models, and what the same attacks reach where nothing leaks.

A loss is larger for rows that a model finds less likely. The attacks on it are:

- ``loss``: the loss as it is (Yeom et al. 2018).
- ``calibrated``: beside the mean loss in shadow models that did not learn the row (Watson et al.
  2022).
- ``ratio``: the likelihood ratio of the loss among shadow models that learned the row and that did
  not, with one spread for all rows (Carlini et al. 2022).
- ``classifier``: logistic regression on all figures beside their means, which learned on the
  shadow models what members look like (Shokri et al. 2017).

The null of each is the same attack on each shadow model: it learned half of train and half of the
holdout, so what tells the two apart there is chance, or a difference between the tables.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from synthgen.metrics.privacy_rows import percentile_interval

RATES = (0.01, 0.1)  # false alarms
DRAWS = 200  # of the bootstrap
# Rows that the classifier learns from at most; figures count up to so many standard deviations.
MOST_TAUGHT, MOST_SPREAD = 60_000, 5.0

# What an attacker has in hand.
TITLES = {"file": "The model file", "rows": "Rows made with it"}


@dataclass(frozen=True)
class Attack:
    """What the worst of several attacks reaches on some rows.

    Attributes:
        opponent: What the attacker has: ``"file"`` or ``"rows"``.
        group: The rows: a class, as text, or ``"all"``.
        members, others: Rows of train and of the holdout that were attacked.
        attack: The one that finds most at 10 % false alarms.
        auc: The highest ROC-AUC of all attacks; `auc_null` is the same where nothing leaks.
        tpr_1, tpr_10: The highest share of learned rows found at 1 % and 10 % false alarms.
        tpr_1_null, tpr_10_null: The same where nothing leaks.
        interval: 95 % interval of `tpr_10`, by a bootstrap of the rows.
        auc_interval: The same of `auc`.
    """

    opponent: str
    group: str
    members: int
    others: int
    attack: str
    auc: float
    auc_null: float
    tpr_1: float
    tpr_1_null: float
    tpr_10: float
    tpr_10_null: float
    interval: tuple[float, float]
    auc_interval: tuple[float, float]


def suspicions(
    target: np.ndarray, shadows: np.ndarray, learned: np.ndarray, seed: np.random.SeedSequence
) -> dict[str, np.ndarray]:
    """The suspicion of each attack about each row: in the model, and in each shadow model.

    Args:
        target: Losses in the model, shape (rows, figures), the whole first.
        shadows: Losses in shadow models, shape (models, rows, figures). Models 2 k and 2 k + 1
            learned two halves of the rows; there are at least two such pairs.
        learned: Whether a shadow model learned a row, shape (models, rows).
        seed: Of the rows that the classifier learns from.

    Returns:
        By name of the attack, shape (1 + models, rows), the model first.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> hard = rng.normal(size=(1000, 1))
        >>> half = rng.random((2, 1000)) < 0.5
        >>> learned = np.stack([half[0], ~half[0], half[1], ~half[1]])
        >>> member = rng.random(1000) < 0.5
        >>> def losses(inside):
        ...     return hard - 0.5 * inside[:, None] + 0.1 * rng.normal(size=(1000, 1))
        >>> found = suspicions(
        ...     losses(member), np.stack([losses(i) for i in learned]), learned,
        ...     np.random.SeedSequence(0))
        >>> raw, calibrated = (found[name][0] for name in ("loss", "calibrated"))
        >>> bool(calibrated[member].min() > np.median(calibrated[~member]))
        True
        >>> bool(raw[member].min() > np.median(raw[~member]))
        False
    """
    models = np.concatenate([target[None], shadows])
    inside, outside = (_means(shadows, side) for side in (learned, ~learned))
    spread = (models - outside).std(axis=(0, 1)) + 1e-12
    beside = np.clip((outside - models) / spread, -MOST_SPREAD, MOST_SPREAD)
    gain = np.clip((outside - inside) / spread, -MOST_SPREAD, MOST_SPREAD)
    # Of two normals with one spread: the further the loss is below the middle of both means.
    ratio = (gain * (beside - gain / 2)).mean(axis=2)
    found = {
        "loss": -models[:, :, 0],
        "calibrated": (outside - models)[:, :, 0],
        "ratio": ratio,
    }
    if models.shape[2] > 1:
        found["classifier"] = _classified(beside, learned, seed)
    return found


def _means(shadows: np.ndarray, where: np.ndarray) -> np.ndarray:
    """The mean over the shadow models `where`, for the model and for each shadow model.

    For a shadow model its own pair is left out, so that each row has as many models in its mean.

    Returns:
        Shape (1 + models, rows, figures).
    """
    weights = where[..., None].astype(float)
    total, count = (shadows * weights).sum(0), weights.sum(0)
    out = [total / count]
    for k in range(len(shadows)):
        pair = slice(k // 2 * 2, k // 2 * 2 + 2)
        own, fewer = (shadows[pair] * weights[pair]).sum(0), weights[pair].sum(0)
        out.append((total - own) / (count - fewer))
    return np.stack(out)


def _classified(
    beside: np.ndarray, learned: np.ndarray, seed: np.random.SeedSequence
) -> np.ndarray:
    """The suspicion of a classifier that was taught on the shadow models; (1 + models, rows)."""
    width = beside.shape[2]
    taught, member = beside[1:].reshape(-1, width), learned.reshape(-1)
    some = np.random.default_rng(seed).permutation(len(taught))[:MOST_TAUGHT]
    scaler = StandardScaler().fit(taught[some])
    model = LogisticRegression(C=0.1, max_iter=200)
    model.fit(scaler.transform(taught[some]), member[some])
    flat = model.decision_function(scaler.transform(beside.reshape(-1, width)))
    return flat.reshape(beside.shape[:2])


def judged(
    found: dict[str, np.ndarray],
    member: np.ndarray,
    *,
    opponent: str,
    group: str,
    seed: np.random.SeedSequence,
) -> Attack:
    """The worst of several attacks, its null, and their intervals.

    Args:
        found: As of `suspicions`: by attack, shape (1 + nulls, rows).
        member: Whether a row is of train, shape (rows,).
        opponent, group: See `Attack`.
        seed: Of the bootstrap.
    """
    names, rows = list(found), np.stack(list(found.values()))
    mine, theirs = rows[..., member], rows[..., ~member]
    auc = _areas(mine, theirs)
    shares = np.stack([_found(mine, theirs, rate) for rate in RATES])
    worst = int(shares[1, :, 0].argmax())
    widest = int(auc[:, 0].argmax())
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(DRAWS):
        some, others = (rng.integers(n, size=n) for n in (mine.shape[2], theirs.shape[2]))
        of_auc = _areas(mine[widest, 0][some], theirs[widest, 0][others])
        drawn.append((of_auc, _found(mine[worst, 0][some], theirs[worst, 0][others], RATES[1])))
    of_auc, of_share = np.array(drawn).T
    least = min(mine.shape[2], theirs.shape[2])

    def null(figure: np.ndarray) -> float:
        return float(figure[:, 1:].max(axis=0).mean())

    return Attack(
        opponent=opponent,
        group=group,
        members=mine.shape[2],
        others=theirs.shape[2],
        attack=names[worst],
        auc=float(auc[:, 0].max()),
        auc_null=null(auc),
        tpr_1=float(shares[0, :, 0].max()),
        tpr_1_null=null(shares[0]),
        tpr_10=float(shares[1, :, 0].max()),
        tpr_10_null=null(shares[1]),
        interval=percentile_interval(of_share, least),
        auc_interval=percentile_interval(of_auc, least),
    )


def _areas(mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Area under the ROC curve; members and others in the last dimension."""
    ranks = rankdata(np.concatenate([mine, theirs], axis=-1), axis=-1)
    m, n = mine.shape[-1], theirs.shape[-1]
    return (ranks[..., :m].sum(-1) - m * (m + 1) / 2) / (m * n)


def _found(mine: np.ndarray, theirs: np.ndarray, rate: float) -> np.ndarray:
    """Share of members above all but `rate` of the others; both in the last dimension."""
    others = np.sort(theirs, axis=-1)
    place = others.shape[-1] - 1 - int(np.floor(rate * others.shape[-1] + 1e-9))
    return (mine > others[..., [place]]).mean(-1)


def alarms(suspicion: np.ndarray, member: np.ndarray) -> np.ndarray:
    """For each member the share of the others that are as suspicious or more; shape (members,)."""
    others = np.sort(suspicion[~member])
    return 1 - np.searchsorted(others, suspicion[member], side="left") / len(others)
