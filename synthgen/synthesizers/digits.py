"""Last digits that depend on other columns: trees for how many zeros a number ends in."""

from __future__ import annotations

import numpy as np

from synthgen.seeds import child_seed
from synthgen.synthesizers.binning import shared_zeros
from synthgen.synthesizers.bins import MISSING, MOST_ZEROS, Bins
from synthgen.synthesizers.forest import Forest, grow

# Trees of last digits are kept if their mean log-likelihood on held-out rows is higher by at least
# this than that of a tree that knows only the bin of the number.
GAIN = 0.01
# Rows for this comparison: the first half is for training, the other half is held out.
COMPARED_ROWS = 20_000


def learn_digits(
    bins: Bins,
    zeros: np.ndarray,
    features: np.ndarray,
    *,
    trees: int,
    min_leaf: int,
    seed: np.random.SeedSequence,
) -> Forest | None:
    """Train trees that predict the number of trailing zeros of a number column."""
    own = features[:, -1]
    rows = np.flatnonzero((own != MISSING) & ~bins.exact[np.minimum(own, bins.width - 1)])
    classes = shared_zeros(zeros[rows], np.ones(len(rows), np.int64)).astype(np.uint16)
    if len(rows) < 4 * min_leaf or (classes == classes[0]).all():
        return None
    known = np.ascontiguousarray(features[rows])
    if not _improves(known, classes, min_leaf, child_seed(seed, 0)):
        return None
    return grow(known, classes, None, trees=trees, min_leaf=min_leaf, seed=child_seed(seed, 1))


def _improves(
    features: np.ndarray, zeros: np.ndarray, min_leaf: int, seed: np.random.SeedSequence
) -> bool:
    """Whether the other columns improve the prediction by `GAIN` on held-out rows."""
    rows = np.random.default_rng(seed).permutation(len(zeros))[:COMPARED_ROWS]
    first, second = rows[: len(rows) // 2], rows[len(rows) // 2 :]
    found = []
    for known in (features[:, -1:], features):
        known = np.ascontiguousarray(known)
        tree = grow(known[first], zeros[first], None, trees=1, min_leaf=min_leaf, seed=seed)
        found.append(_likelihood(tree, known[second], zeros[second], zeros[first]))
    return found[1] - found[0] >= GAIN


def _likelihood(
    tree: Forest, features: np.ndarray, zeros: np.ndarray, learned: np.ndarray
) -> float:
    """Mean log-likelihood of the rows: a row's share is that of its number of zeros in its leaf."""
    leaves = len(tree.shares.starts) - 1
    shares = np.zeros((leaves, MOST_ZEROS + 1))
    of = np.repeat(np.arange(leaves), np.diff(tree.shares.starts))
    np.add.at(shares, (of, tree.codes), tree.shares.weights)
    shares /= shares.sum(axis=1, keepdims=True)
    usual = (np.bincount(learned, minlength=MOST_ZEROS + 1) + 1) / (len(learned) + MOST_ZEROS + 1)
    at = tree.leaves(features, np.zeros(len(features), np.int64))
    return float(np.log(0.99 * shares[at, zeros] + 0.01 * usual[zeros]).mean())
