"""Raking: factors of the shares of leaves that restore relations which no split captures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from synthgen.synthesizers.bins import MISSING
from synthgen.synthesizers.forest import Forest

# A column is raked to the class and to at most MARGINS earlier columns. These are chosen by CHOSEN
# pairs of a row and a tree, from the LIKELY columns that miss most at first. The codes of a column
# form about GROUPS groups.
MARGINS, LIKELY, CHOSEN, GROUPS = 12, 36, 5_000, 16
# Factors are learned from at most TRIED rows in CYCLES cycles; each class gives at most its equal
# part. To keep chance out of the factors, PRIOR expected rows are added to each pair of groups, and
# a difference counts only by what exceeds CHANCE standard deviations.
TRIED, CYCLES, PRIOR, CHANCE = 40_000, 4, 20, 0.5
# Factors are rounded to DIGITS, and at least LEAST. With the prior, none is as large as FAR.
DIGITS, LEAST, FAR = 2, 0.01, 10_000.0


@dataclass(frozen=True, eq=False)
class Raking:
    """Factors of the shares of codes in all leaves of a forest, by groups of earlier codes.

    A leaf of a hundred rows says little about a rare class, or about a column by which no tree
    splits. Raking (Deming & Stephan 1940, "On a Least Squares Adjustment of a Sampled Frequency
    Table When the Expected Marginal Totals are Known") adds what the leaves miss. The codes of this
    column and of an earlier one form groups. For each pair of groups, the shares are multiplied by
    how often training rows have both, divided by how often their leaves would give them both.

    Attributes:
        forest: The trees.
        first: First code of each group, uint16 of shape (groups,), ascending from 0.
        margins: For each earlier column by its number, 0 for the class, the factors: float32 of
            shape (groups of that column, groups), positive.
    """

    forest: Forest
    first: np.ndarray
    margins: dict[int, np.ndarray]

    def draw(
        self, before: np.ndarray, leaves: np.ndarray, uniform: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw an item of each leaf by its share times the factors."""
        weights = self._weights(before, leaves)
        ends = weights.T.copy()
        for g in range(1, len(ends)):
            ends[g] += ends[g - 1]
        point = uniform.astype(np.float32) * ends[-1]
        group = (ends[:-1] <= point).sum(axis=0, dtype=np.uint16).astype(np.intp)
        rows = np.arange(len(leaves))
        own = weights[rows, group]
        lost = own <= 0  # float32 rounding can point past the last group that has weight
        if lost.any():
            group[lost] = weights[lost].argmax(axis=1)
            own = weights[rows, group]
        left = np.clip((point - ends[group, rows]) / own + 1, 0, 1).astype(np.float64)
        first, last = self._limits[leaves, group], self._limits[leaves, group + 1] - 1
        return self.forest.shares.draw_between(first, last, left)

    def shares_of(self, codes: np.ndarray, before: np.ndarray, own: np.ndarray) -> np.ndarray:
        """The raked share that each row's code has in its leaf of each tree."""
        found = self.forest.shares_of(codes, own)
        factors, codes = self.factors_of(before, own), np.ascontiguousarray(codes)
        for tree, shares in enumerate(found):
            leaves = self.forest.leaves(codes, np.full(len(own), tree))
            shares *= factors / self._weights(before, leaves).sum(axis=1)
        return found

    def factors_of(self, before: np.ndarray, own: np.ndarray) -> np.ndarray:
        """The product of the factors of each row's code, shape (rows,); see `shares_of`."""
        group, found = groups_of(self.first, own), np.ones(len(own))
        for column, factors in self.margins.items():
            found *= factors[before[column], group]
        return found

    def _weights(self, before: np.ndarray, leaves: np.ndarray) -> np.ndarray:
        """The share of each group in each row's leaf, times the factors; shape (rows, groups)."""
        weights = self.shares.take(leaves, axis=0)
        step = np.empty_like(weights)
        for column, factors in self.margins.items():
            # With `out`, any other mode makes a copy first.
            weights *= factors.take(before[column], axis=0, out=step, mode="clip")
        return weights

    @cached_property
    def _limits(self) -> np.ndarray:
        """First item of each group in each leaf, and the end; shape (leaves, groups + 1)."""
        starts = self.forest.shares.starts
        leaves = np.arange(len(starts) - 1)
        # The codes of a leaf are in ascending order, and so are the leaves.
        keys = np.repeat(leaves, np.diff(starts)) * 2**16 + self.forest.codes
        inner = np.searchsorted(keys, (leaves[:, None] * 2**16 + self.first[1:]).reshape(-1))
        inner = inner.reshape(len(leaves), len(self.first) - 1)
        return np.hstack([starts[:-1, None], inner, starts[1:, None]]).astype(np.int32)

    @cached_property
    def shares(self) -> np.ndarray:
        """The share of each group in each leaf, float32 of shape (leaves, groups)."""
        ends = np.append(0.0, np.cumsum(self.forest.shares.weights, dtype=np.float64))
        found = np.diff(ends[self._limits], axis=1)
        return (found / found.sum(axis=1, keepdims=True)).astype(np.float32)

    def state(self) -> dict[str, np.ndarray]:
        return {"first": self.first} | {str(column): f for column, f in self.margins.items()}

    @classmethod
    def from_state(
        cls, arrays: Mapping[str, np.ndarray], forest: Forest, groups: list[int]
    ) -> Raking:
        """The inverse of `state`."""
        first = arrays["first"]
        check_groups(first)
        margins = {int(name): factors for name, factors in arrays.items() if name.isdigit()}
        if "factors" in arrays:  # an older file, raked to the class alone
            margins[0] = arrays["factors"].astype(np.float32)
        if len(margins) != len(arrays) - 1 or len(margins) > MARGINS + 1:
            raise ValueError(f"factors {sorted(arrays)}")
        for column, factors in margins.items():
            if column >= len(groups):
                raise ValueError(f"factors of column {column}")
            if factors.dtype != np.float32 or factors.shape != (groups[column], len(first)):
                raise ValueError(f"factors are {factors.dtype} of shape {factors.shape}")
            if not ((factors >= np.float32(LEAST)) & (factors < FAR)).all():
                raise ValueError("factors that are too small or too large")
        return cls(forest, first, dict(sorted(margins.items())))


@dataclass(frozen=True, eq=False)
class Groups:
    """Groups of the codes of a column.

    Attributes:
        first: First code of each group, uint16 of shape (groups,), ascending from 0.
        smoother: Weights by which neighbouring groups share their counts: a quarter, if the column
            holds numbers and both groups have several codes; shape (groups, groups).
    """

    first: np.ndarray
    smoother: np.ndarray

    @classmethod
    def of(cls, codes: np.ndarray, width: int, *, numbers: bool) -> Groups:
        """About `GROUPS` groups with equally many rows."""
        counts = np.bincount(codes, minlength=MISSING + 1)
        places = GROUPS * (np.cumsum(counts) - counts / 2) // len(codes)
        shown = np.flatnonzero(counts)
        kinds = np.searchsorted([width, MISSING], shown, side="right")
        new = (np.diff(places[shown]) > 0) | (np.diff(kinds) > 0)
        starts = np.flatnonzero(np.insert(new, 0, True))
        first = shown[starts].astype(np.uint16)
        first[0] = 0
        several = np.diff(np.append(starts, len(shown))) > 1
        alike = several[1:] & several[:-1] & (np.diff(kinds[starts]) == 0) & numbers
        shared = np.where(alike, 0.25, 0)
        aside = np.diag(shared, 1) + np.diag(shared, -1)
        return cls(first, aside + np.diag(1 - aside.sum(axis=1)))

    @classmethod
    def of_class(cls, classes: int) -> Groups:
        """Each class by itself."""
        return cls(np.arange(classes, dtype=np.uint16), np.eye(classes))


def groups_of(first: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """The group of each code; shape of `codes`."""
    return np.searchsorted(first, codes, side="right") - 1


def check_groups(first: np.ndarray) -> None:
    """Raise a ValueError unless these are first codes of groups."""
    if first.ndim != 1 or first.dtype != np.uint16 or not len(first) or first[0]:
        raise ValueError(f"first codes are {first.dtype} of shape {first.shape}")
    if (np.diff(first.astype(np.int64)) <= 0).any():
        raise ValueError("first codes that are not in ascending order")


def rake(
    forest: Forest,
    before: np.ndarray,
    codes: np.ndarray,
    own: Groups,
    places: list[int],
    columns: list[Groups],
    seed: int,
) -> Raking:
    """Find the factors of a forest."""
    rng, classes = np.random.default_rng(seed), len(columns[0].first)
    order = rng.permutation(len(codes))
    label = before[order, 0]
    rows = [order[label == c][: TRIED // classes] for c in range(classes)]
    rows = rng.permutation(np.concatenate(rows))
    # Each row is tried with one tree, or with several if there are few rows.
    times = int(np.clip(TRIED // max(len(rows), 1), 1, len(forest.roots)))
    trees = rng.integers(len(forest.roots), size=len(rows))[:, None] + np.arange(times)
    rows, trees = np.repeat(rows, times), trees.reshape(-1) % len(forest.roots)
    known = np.ascontiguousarray(before[rows])
    expected = Raking(forest, own.first, {}).shares[forest.leaves(known, trees)]
    groups = [groups_of(c.first, known[:, p]) for c, p in zip(columns, places, strict=True)]
    found = groups_of(own.first, codes[rows])
    fit = _Fit(expected, found, own.smoother, groups, [c.smoother for c in columns], 1 / times)
    fit.update(0)
    chosen = [0, *fit.most_missed()]
    for _ in range(CYCLES):
        for column in chosen:
            fit.update(column)
    margins = {
        column: np.maximum(fit.factors[column].round(DIGITS), LEAST).astype(np.float32)
        for column in sorted(chosen)
    }
    return Raking(forest, own.first, margins)


class _Fit:
    """Factors under way.

    Attributes:
        factors: The factors of each column so far.
    """

    def __init__(
        self,
        expected: np.ndarray,
        found: np.ndarray,
        smoother: np.ndarray,
        groups: list[np.ndarray],
        smoothers: list[np.ndarray],
        weight: float,
    ) -> None:
        self.expected, self.found, self.smoother = expected, found, smoother
        self.groups, self.smoothers, self.weight = groups, smoothers, weight
        self.factors: dict[int, np.ndarray] = {}
        self._known: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def update(self, column: int) -> None:
        """Find the factors of a column anew, given those of the others."""
        mine, own = self.smoothers[column], self.smoother
        old = self.factors.get(column, np.ones((len(mine), len(own))))
        found, expected = self._pairs(column)
        plain = expected / old
        apart, chance = found - plain, CHANCE * np.sqrt(mine**2 @ plain @ own**2)
        plain, apart = mine @ plain @ own, mine @ apart @ own
        sure = np.sign(apart) * np.maximum(np.abs(apart) - chance, 0)
        new = 1 + sure / (plain + PRIOR)
        self.expected *= (new / old).astype(np.float32)[self.groups[column]]
        self.expected /= self.expected.sum(axis=1, keepdims=True)
        self.factors[column] = new

    def most_missed(self) -> list[int]:
        """The earlier columns whose pairs of groups the leaves miss most, given those before."""
        some = slice(CHOSEN)
        groups = [group[some] for group in self.groups]
        expected, found = self.expected[some].copy(), self.found[some]
        part = _Fit(expected, found, self.smoother, groups, self.smoothers, self.weight)
        left = sorted(range(1, len(groups)), key=part._missed, reverse=True)[:LIKELY]
        chosen: list[int] = []
        while left and len(chosen) < MARGINS:
            chosen.append(max(left, key=part._missed))
            left.remove(chosen[-1])
            part.update(chosen[-1])
        return chosen

    def _missed(self, column: int) -> float:
        found, expected = self._pairs(column)
        return float(((found - expected) ** 2 / (expected + PRIOR)).sum())

    def _pairs(self, column: int) -> tuple[np.ndarray, np.ndarray]:
        """How many rows have each pair of groups, and how many are expected to have it."""
        if column not in self._known:
            here = _one_hot(self.groups[column], len(self.smoothers[column])).T
            found = self.weight * (here @ _one_hot(self.found, len(self.smoother)))
            self._known[column] = here, found
        here, found = self._known[column]
        return found, self.weight * (here @ self.expected)


def _one_hot(groups: np.ndarray, size: int) -> np.ndarray:
    """1 for the group of each row, 0 for the others; float32 of shape (rows, size)."""
    found = np.zeros((len(groups), size), np.float32)
    found[np.arange(len(groups)), groups] = 1
    return found
