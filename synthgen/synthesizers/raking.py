"""Shares of leaves for each class: a column keeps its shares in a class that no split parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from synthgen.synthesizers.bins import MISSING, Shares
from synthgen.synthesizers.forest import Forest

# A factor is learned from at most TRIED rows of a class, for each of about GROUPS groups of codes,
# and as if PRIOR more rows of the group were as expected: the rows of a small class say little.
TRIED, GROUPS, PRIOR = 20_000, 16, 100
# Factors are rounded to DIGITS. With the prior, none is as large as FAR.
DIGITS, FAR = 2, 1_000.0


@dataclass(frozen=True, eq=False)
class Raking:
    """For each class, factors of the shares of codes in all leaves of a forest.

    Of a leaf of a hundred rows, ten may be of a rare class: too few to be a leaf of their own. Rows
    made from such leaves are less typical of their class than real ones. One step of raking (Deming
    & Stephan 1940) mends that for each column: the shares of a group of codes are multiplied by how
    often rows of the class have it, divided by how often their leaves would give it to them.

    Attributes:
        first: First code of each group, uint16 of shape (groups,), ascending from 0.
        factors: Float64 of shape (classes, groups), positive.
    """

    first: np.ndarray
    factors: np.ndarray

    def of_class(self, forest: Forest, code: int) -> Forest:
        """`forest` with its shares as they are for the class with this code."""
        if code not in self._known:
            factors = self.factors[code][_groups(self.first, forest.codes)]
            shares = Shares(forest.shares.starts, forest.shares.weights * factors)
            self._known[code] = replace(forest, shares=shares)
        return self._known[code]

    @cached_property
    def _known(self) -> dict[int, Forest]:
        return {}

    def state(self) -> dict[str, np.ndarray]:
        return {"first": self.first, "factors": self.factors}

    @classmethod
    def from_state(cls, arrays: Mapping[str, np.ndarray], classes: int) -> Raking:
        """The inverse of `state` for a table with so many classes.

        Raises:
            ValueError, KeyError: No fit could have written these arrays.
        """
        first, factors = arrays["first"], arrays["factors"]
        if first.ndim != 1 or first.dtype != np.uint16 or not len(first) or first[0]:
            raise ValueError(f"first codes are {first.dtype} of shape {first.shape}")
        if (np.diff(first.astype(np.int64)) <= 0).any():
            raise ValueError("first codes that are not in ascending order")
        if factors.dtype != np.float64 or factors.shape != (classes, len(first)):
            raise ValueError(f"factors are {factors.dtype} of shape {factors.shape}")
        if not ((factors > 0) & (factors < FAR)).all():
            raise ValueError("factors that are not positive, or too large")
        return cls(first, factors)


def rake(forest: Forest, before: np.ndarray, codes: np.ndarray, classes: int, seed: int) -> Raking:
    """Find the factors of a forest.

    Args:
        forest: The trees.
        before: Codes of the columns before, the class first; uint16 of shape (rows, columns).
        codes: Codes of the column, uint16 of shape (rows,).
        classes: Number of codes of the class.
        seed: Seed for the choice of rows.
    """
    counts = np.bincount(codes, minlength=MISSING + 1)
    places = GROUPS * (np.cumsum(counts) - counts / 2) // len(codes)
    shown = np.flatnonzero(counts)
    starts = np.insert(np.diff(places[shown]) > 0, 0, True)
    first = shown[starts].astype(np.uint16)
    first[0] = 0
    group_of = _groups(first, forest.codes)
    weights = forest.shares.weights.astype(np.float64)
    total = np.add.reduceat(weights, forest.shares.starts[:-1])
    leaf_of = np.repeat(np.arange(len(total)), np.diff(forest.shares.starts))
    factors = np.ones((classes, len(first)))
    rng = np.random.default_rng(seed)
    for c in range(classes):
        rows = rng.permutation(np.flatnonzero(before[:, 0] == c))[:TRIED]
        known = np.ascontiguousarray(before[rows])
        visits = np.zeros(len(total))
        for tree in range(len(forest.roots)):
            leaves = forest.leaves(known, np.full(len(rows), tree))
            visits += np.bincount(leaves, minlength=len(total))
        shares = (visits / (total * len(forest.roots)))[leaf_of] * weights
        expected = np.bincount(group_of, weights=shares, minlength=len(first))
        found = np.bincount(_groups(first, codes[rows]), minlength=len(first))
        factors[c] = (found + PRIOR) / (expected + PRIOR)
    return Raking(first, np.maximum(factors.round(DIGITS), 10.0**-DIGITS))


def _groups(first: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """The group of each code; shape of `codes`."""
    return np.searchsorted(first, codes, side="right") - 1
