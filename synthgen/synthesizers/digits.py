"""Last digits that depend on other columns: trees for how many zeros a number ends in."""

from __future__ import annotations

import numpy as np

from synthgen.encoding.disclosure import PRIVATE_ROWS
from synthgen.seeds import child_seed
from synthgen.synthesizers.bins import MISSING, MOST_ZEROS, Bins
from synthgen.synthesizers.forest import Forest, grow

# Trees of last digits are kept if, on held-out rows, they give the digits of a row a log-likelihood
# higher by so much than a tree that knows the number's own bin alone.
GAIN = 0.01
# Rows that decide it: one half to learn from, one half to judge by.
JUDGED_ROWS = 20_000


def learn_digits(
    bins: Bins,
    zeros: np.ndarray,
    features: np.ndarray,
    *,
    trees: int,
    min_leaf: int,
    seed: np.random.SeedSequence,
) -> Forest | None:
    """Trees that tell how many zeros a number ends in; None where other columns tell nothing of it.

    Args:
        bins: Of the number.
        zeros: How many zeros each training cell ends in, as `zeros_of` gives them. Shape (rows,).
        features: Codes of the columns up to this one, the last. uint16 of shape (rows, columns).
        trees: How many.
        min_leaf: Rows of a leaf at the least.
        seed: Of the bootstraps, and of the rows that decide.
    """
    own = features[:, -1]
    rows = np.flatnonzero((own != MISSING) & ~bins.exact[np.minimum(own, bins.width - 1)])
    told = zeros[rows].astype(np.uint16)
    for few in range(MOST_ZEROS, 0, -1):  # numbers of zeros that fewer than five rows have
        if 0 < (told == few).sum() < PRIVATE_ROWS:
            told[told == few] = few - 1
    if len(rows) < 4 * min_leaf or (told == told[0]).all():
        return None
    known = np.ascontiguousarray(features[rows])
    if not _pays(known, told, min_leaf, child_seed(seed, 0)):
        return None
    return grow(known, told, None, trees=trees, min_leaf=min_leaf, seed=child_seed(seed, 1))


def _pays(
    features: np.ndarray, zeros: np.ndarray, min_leaf: int, seed: np.random.SeedSequence
) -> bool:
    rows = np.random.default_rng(seed).permutation(len(zeros))[:JUDGED_ROWS]
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
    """Mean logarithm of the share of each row's number of zeros in its leaf."""
    leaves = len(tree.shares.starts) - 1
    shares = np.zeros((leaves, MOST_ZEROS + 1))
    of = np.repeat(np.arange(leaves), np.diff(tree.shares.starts))
    np.add.at(shares, (of, tree.codes), tree.shares.weights)
    shares /= shares.sum(axis=1, keepdims=True)
    usual = (np.bincount(learned, minlength=MOST_ZEROS + 1) + 1) / (len(learned) + MOST_ZEROS + 1)
    at = tree.leaves(features, np.zeros(len(features), np.int64))
    return float(np.log(0.99 * shares[at, zeros] + 0.01 * usual[zeros]).mean())
