"""Membership attacks with shadow models, and the success of the same attacks if nothing leaks.

A loss is larger for rows that a model finds less likely. The attacks use it in these ways:

- ``loss``: the loss itself (Yeom et al. 2018); of trees it is relative to the attacked rows (Homer
  et al. 2008).
- ``calibrated``: the loss minus its mean over shadow models that did not learn the row (Watson et
  al. 2022).
- ``ratio``: the likelihood ratio of the loss between shadow models that learned the row and those
  that did not, with one variance for all rows (Carlini et al. 2022).
- ``classifier``: logistic regression on all losses relative to their means, trained on the shadow
  models to recognise members (Shokri et al. 2017).

Generated rows are attacked in the same ways by their distances and frequencies, and by frequencies
alone (``frequencies``).

The null of each attack is the same attack on each shadow model. A shadow model learned half of
train and half of the holdout, so there only chance, or a difference between the tables, separates
train from holdout.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from synthgen.metrics.privacy_rows import interval_of_worst

RATES = (0.01, 0.1)  # false positive rates
DRAWS = 200  # bootstrap samples
# Largest number of rows to train the classifier on; features are clipped to +-MOST_SPREAD standard
# deviations.
MOST_TAUGHT, MOST_SPREAD = 60_000, 5.0

# What an attacker has.
TITLES = {"file": "The model file", "rows": "Rows made with it"}


@dataclass(frozen=True)
class Attack:
    """The success of the strongest of several attacks on a group of rows.

    Attributes:
        opponent: What the attacker has: ``"file"`` or ``"rows"``.
        group: The attacked rows: a class as text, or ``"all"``.
        members, others: Number of attacked rows of train, and of the holdout.
        attack: Name of the attack with the highest true positive rate at 10 % false alarms.
        auc: Highest ROC-AUC of all attacks, from 0 to 1.
        auc_null: The same if nothing leaks.
        tpr_1, tpr_10: Highest share of training rows recognised at a false positive rate of 1 % and
            of 10 %.
        tpr_1_null, tpr_10_null: The same if nothing leaks.
        interval: 95 % interval of `tpr_10`, from a bootstrap of the rows; that of the worst of all
            attacks, see `interval_of_worst`.
        auc_interval: 95 % interval of `auc`, from the same bootstrap.
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
    """Compute how strongly each attack suspects each row to be a training row."""
    models = np.concatenate([target[None], shadows])
    inside, outside = (_means(shadows, side) for side in (learned, ~learned))
    spread = (models - outside).std(axis=(0, 1)) + 1e-12
    relative = np.clip((outside - models) / spread, -MOST_SPREAD, MOST_SPREAD)
    gain = np.clip((outside - inside) / spread, -MOST_SPREAD, MOST_SPREAD)
    # Log-likelihood ratio of two normals with equal variance; it grows as the loss falls below the
    # midpoint of the two means.
    ratio = (gain * (relative - gain / 2)).mean(axis=2)
    found = {
        "loss": -models[:, :, 0],
        "calibrated": (outside - models)[:, :, 0],
        "ratio": ratio,
    }
    if models.shape[2] > 1:
        found["classifier"] = _classified(relative, learned, seed)
    return found


def _means(shadows: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Average losses over the shadow models selected by `where`, for each model to be attacked.

    For a shadow model its own pair is left out, so that every row has the same number of models in
    its mean.
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
    relative: np.ndarray, learned: np.ndarray, seed: np.random.SeedSequence
) -> np.ndarray:
    """Compute suspicions of a classifier trained on the shadow models, (1 + models, rows)."""
    width = relative.shape[2]
    taught, member = relative[1:].reshape(-1, width), learned.reshape(-1)
    some = np.random.default_rng(seed).permutation(len(taught))[:MOST_TAUGHT]
    scaler = StandardScaler().fit(taught[some])
    model = LogisticRegression(C=0.1, max_iter=200)
    model.fit(scaler.transform(taught[some]), member[some])
    flat = model.decision_function(scaler.transform(relative.reshape(-1, width)))
    return flat.reshape(relative.shape[:2])


def strongest(
    found: dict[str, np.ndarray],
    member: np.ndarray,
    *,
    opponent: str,
    group: str,
    seed: np.random.SeedSequence,
) -> Attack:
    """Find the strongest of several attacks, with its null and its intervals."""
    names, rows = list(found), np.stack(list(found.values()))
    mine, theirs = rows[..., member], rows[..., ~member]
    auc = _areas(mine, theirs)
    shares = np.stack([_found(mine, theirs, rate) for rate in RATES])
    worst = int(shares[1, :, 0].argmax())
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(DRAWS):
        some, others = (rng.integers(n, size=n) for n in (mine.shape[2], theirs.shape[2]))
        both = mine[:, 0, some], theirs[:, 0, others]
        drawn.append((_areas(*both), _found(*both, RATES[1])))
    of_auc, of_share = np.array(drawn).transpose(1, 2, 0)  # (attacks, draws)
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
        interval=interval_of_worst(shares[1, :, 0], of_share, least),
        auc_interval=interval_of_worst(auc[:, 0], of_auc, least),
    )


def _areas(mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Compute the area under the ROC curve; members and others are in the last dimension."""
    ranks = rankdata(np.concatenate([mine, theirs], axis=-1), axis=-1)
    m, n = mine.shape[-1], theirs.shape[-1]
    return (ranks[..., :m].sum(-1) - m * (m + 1) / 2) / (m * n)


def _found(mine: np.ndarray, theirs: np.ndarray, rate: float) -> np.ndarray:
    """Compute the true positive rate at false positive rate `rate`, over the last dimension."""
    others = np.sort(theirs, axis=-1)
    place = others.shape[-1] - 1 - int(np.floor(rate * others.shape[-1] + 1e-9))
    return (mine > others[..., [place]]).mean(-1)


def alarms(suspicion: np.ndarray, member: np.ndarray) -> np.ndarray:
    """For each member, compute the share of others at least as suspicious; shape (members,)."""
    others = np.sort(suspicion[~member])
    return 1 - np.searchsorted(others, suspicion[member], side="left") / len(others)
