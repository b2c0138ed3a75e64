"""Trees for one column: which leaf a row falls into, and the shares of the codes there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from synthgen.seeds import child_seed
from synthgen.synthesizers.bins import MISSING, Shares

# The splits of a tree are learned from at most this many rows; its leaves are filled from all rows.
STRUCTURE_ROWS = 50_000
# A column with at most this many levels, or codes of numbers, is predicted as classes; a column
# with more is predicted as a rank.
MOST_LEVELS, MOST_VALUES = 60, 20
# The shares of a leaf are rounded to multiples of 1 / SHARE_UNITS.
SHARE_UNITS = 10_000
# A rank is predicted as its cosines of 1 to COSINES half periods, beside each code that at least
# OFTEN of the rows hold, at most MOST_OFTEN codes.
COSINES, OFTEN, MOST_OFTEN = 4, 0.01, 10
# A drawn bin may be replaced by another one at most half this many codes away.
SPREAD = 8

# Draws an item of each leaf by uniform random numbers; also what is left of these (`Shares.draw`).
Choice = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Forest:
    """Several trees as arrays of nodes; the left child of a node is the next node.

    Attributes:
        roots: First node of each tree, int32.
        feature: Column by which a node splits, int16; -1 for a leaf.
        threshold: Largest code that goes left, uint16; one more if `wraps` is 1.
        wraps: 1 if missing cells go left, uint16. It is added to the code before the comparison,
            and `MISSING` + 1 overflows to 0.
        right: Right child, int32; a leaf has its own position.
        leaf: Number of a leaf among all leaves, int32; 0 for other nodes.
        shares: The items of each leaf.
        codes: The code of each item, uint16.
    """

    roots: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    wraps: np.ndarray
    right: np.ndarray
    leaf: np.ndarray
    shares: Shares
    codes: np.ndarray

    def leaves(self, codes: np.ndarray, trees: np.ndarray) -> np.ndarray:
        """The leaf of each row in one of the trees."""
        flat, width = codes.reshape(-1), codes.shape[1]
        node = self.roots[trees].astype(np.intp)
        live = np.flatnonzero(self.feature[node] >= 0)
        at, start = node[live], live * width
        test = self._tests[at]
        while len(live):
            value = flat[start + (test >> 17)] + ((test >> 16) & 1).astype(np.uint16)
            at = np.where(value <= test.astype(np.uint16), at + 1, self._rights[at])
            test = self._tests[at]
            inner = test >= 0
            if inner.all():
                continue
            node[live[~inner]] = at[~inner]
            live, at, start, test = live[inner], at[inner], start[inner], test[inner]
        return self.leaf[node]

    @cached_property
    def _tests(self) -> np.ndarray:
        """The test of a node packed into one number: `feature`, `wraps` and `threshold`."""
        wide = (a.astype(np.int64) for a in (self.feature, self.wraps, self.threshold))
        feature, wraps, threshold = wide
        return (feature << 17) + (wraps << 16) + threshold

    @cached_property
    def _rights(self) -> np.ndarray:
        return self.right.astype(np.intp)

    def draw(
        self,
        codes: np.ndarray,
        uniform: np.ndarray,
        is_bin: np.ndarray | None = None,
        choose: Choice | None = None,
    ) -> np.ndarray:
        """A code for each row, from the leaf of a tree that `uniform` chooses."""
        place = uniform * len(self.roots)
        trees = np.minimum(place.astype(np.int64), len(self.roots) - 1)
        leaves = self.leaves(codes, trees)
        items, left = (choose or self.shares.draw)(leaves, place - trees)
        found = self.codes[items]
        if is_bin is None:
            return found
        first, last = self.shares.starts[leaves], self.shares.starts[leaves + 1] - 1
        own = found.astype(np.int64)
        below = own - self.codes[np.maximum(items - 1, first)]
        above = self.codes[np.minimum(items + 1, last)] - own
        side = np.where(left < 0.5, -np.minimum(below, SPREAD), np.minimum(above, SPREAD))
        moved = own + np.rint(side * np.abs(left - 0.5)).astype(np.int64)
        may = is_bin[np.minimum(own, len(is_bin) - 1)] & (own < len(is_bin))
        moved = np.where(may, moved, own)
        may &= is_bin[np.minimum(moved, len(is_bin) - 1)] & (moved < len(is_bin))
        return np.where(may, moved, own).astype(np.uint16)

    def draw_among(self, codes: np.ndarray, uniform: np.ndarray, allowed: np.ndarray) -> np.ndarray:
        """Like `draw`, but only allowed codes: of the leaf, or of all leaves if it has none."""
        place = uniform * len(self.roots)
        trees = np.minimum(place.astype(np.int64), len(self.roots) - 1)
        leaves = self.leaves(codes, trees)
        weights = np.where(allowed[self.codes], self.shares.weights, 0).astype(np.float64)
        ends = np.append(0.0, np.cumsum(weights))
        low, high = ends[self.shares.starts[leaves]], ends[self.shares.starts[leaves + 1]]
        low, high = np.where(low == high, 0.0, low), np.where(low == high, ends[-1], high)
        items = np.searchsorted(ends, low + (place - trees) * (high - low), side="right") - 1
        last = np.flatnonzero(weights)[-1]
        return self.codes[np.minimum(items, last)]

    def draw_within(
        self, codes: np.ndarray, uniform: np.ndarray, first: np.ndarray, last: np.ndarray
    ) -> np.ndarray:
        """Like `draw`, but a code from `first` to `last`, shape (rows,); -1 if a leaf has none."""
        place = uniform * len(self.roots)
        trees = np.minimum(place.astype(np.int64), len(self.roots) - 1)
        leaves = self.leaves(codes, trees).astype(np.int64)
        keys = self._keys
        low = np.searchsorted(keys, leaves * 2**16 + first)
        high = np.searchsorted(keys, leaves * 2**16 + last, side="right") - 1
        some = low <= high
        items, _ = self.shares.draw_between(low[some], high[some], (place - trees)[some])
        found = np.full(len(leaves), -1)
        found[some] = self.codes[items]
        return found

    @cached_property
    def _keys(self) -> np.ndarray:
        """The leaf and the code of each item as one number; ascending, as both are."""
        starts = self.shares.starts
        return np.repeat(np.arange(len(starts) - 1), np.diff(starts)) * 2**16 + self.codes

    def shares_of(self, codes: np.ndarray, own: np.ndarray) -> np.ndarray:
        """The share that each row's code has in its leaf of each tree."""
        codes = np.ascontiguousarray(codes)
        starts, weights = self.shares.starts, self.shares.weights.astype(np.float64)
        total = np.add.reduceat(weights, starts[:-1])
        keys = self._keys
        found = np.zeros((len(self.roots), len(own)))
        for tree in range(len(self.roots)):
            leaves = self.leaves(codes, np.full(len(own), tree)).astype(np.int64)
            key = leaves * 2**16 + own
            place = np.minimum(np.searchsorted(keys, key), len(keys) - 1)
            there = keys[place] == key
            found[tree] = np.where(there, weights[place] / total[leaves], 0.0)
        return found

    def state(self) -> dict[str, np.ndarray]:
        names = ("roots", "feature", "threshold", "wraps", "right", "codes")
        arrays = {name: getattr(self, name) for name in names}
        return arrays | {"starts": self.shares.starts, "weights": self.shares.weights}

    @classmethod
    def from_state(cls, arrays: Mapping[str, np.ndarray], before: int, width: int) -> Forest:
        """The inverse of `state`."""
        kinds = {"roots": "i4", "feature": "i2", "threshold": "u2", "wraps": "u2", "right": "i4"}
        kinds |= {"codes": "u2"}
        found = {name: arrays[name] for name in kinds}
        for name, kind in kinds.items():
            if found[name].ndim != 1 or found[name].dtype != kind or not len(found[name]):
                raise ValueError(f"{name} is {found[name].dtype} of shape {found[name].shape}")
        feature, roots = found["feature"], found["roots"]
        nodes, is_leaf = len(feature), feature < 0
        places = np.arange(nodes)
        for name in ("threshold", "wraps", "right"):
            if len(found[name]) != nodes:
                raise ValueError(f"{name} has {len(found[name])} nodes of {nodes}")
        right = found["right"]  # children come after their node, so that every path ends in a leaf
        onwards = np.where(is_leaf, right == places, right > places + 1)
        if not onwards.all() or (right >= nodes).any():
            raise ValueError("a right child that is not a later node")
        if (feature < -1).any() or (feature >= before).any() or (found["wraps"] > 1).any():
            raise ValueError("a split of no column")
        if ((roots < 0) | (roots >= nodes)).any():
            raise ValueError("a root that is not a node")
        shares = Shares(arrays["starts"], arrays["weights"])
        shares.check(int(is_leaf.sum()), len(found["codes"]))
        if ((found["codes"] >= width) & (found["codes"] != MISSING)).any():
            raise ValueError("codes beyond those of the column")
        steps = np.diff(found["codes"].astype(np.int64))
        steps[shares.starts[1:-1] - 1] = 1  # from a leaf to the next
        if (steps <= 0).any():
            raise ValueError("codes of a leaf that are not in ascending order")
        return cls(**found, leaf=leaf_numbers(feature), shares=shares)


def grow(
    before: np.ndarray,
    codes: np.ndarray,
    ranks: np.ndarray | None,
    weights: np.ndarray | None = None,
    *,
    trees: int,
    min_leaf: int,
    seed: np.random.SeedSequence,
) -> Forest:
    """Train trees that predict the codes of a column, each on its own bootstrap sample."""
    before, rows = np.ascontiguousarray(before), len(codes)
    some = min(rows, STRUCTURE_ROWS)
    least = max(2, round(min_leaf * some / rows))
    names, classes, counts = np.unique(codes, return_inverse=True, return_counts=True)
    often = np.argsort(-counts, kind="stable")[:MOST_OFTEN]
    often = often[counts[often] >= OFTEN * rows]
    parts = []
    for tree in range(trees):
        rng = np.random.default_rng(child_seed(seed, tree))
        drawn = rng.integers(rows, size=rows) if trees > 1 else np.arange(rows)
        chosen = drawn if trees > 1 or some == rows else rng.permutation(rows)
        chosen = chosen[:some]
        X = before[chosen].astype(np.float32)
        X[X == MISSING] = np.nan
        settings: dict[str, Any] = {"min_samples_leaf": least, "random_state": 0}
        if ranks is None:
            model = DecisionTreeClassifier(criterion="entropy", **settings)
            y = classes[chosen]
        else:
            model = DecisionTreeRegressor(**settings)
            y = _response(ranks[chosen], classes[chosen], often)
        model.fit(X, y, sample_weight=None if weights is None else weights[chosen])
        nodes = tree_nodes(model.tree_)
        parts.append((nodes, *_filled(nodes, before, classes, drawn, names)))
    return joined(parts)


def _response(ranks: np.ndarray, classes: np.ndarray, often: np.ndarray) -> np.ndarray:
    """What a regression tree predicts so that its leaves differ in their whole distribution.

    A tree that predicts the rank alone does not see that two groups of rows differ in spread, or
    in how often they hold a certain value. A split that lowers the variance of many functions of
    the cell parts distributions (Ćevid et al. 2022, "Distributional Random Forests").
    """
    waves = np.cos(np.pi * np.arange(1, COSINES + 1) * ranks[:, None])
    return np.hstack([waves, classes[:, None] == often])


def tree_nodes(fitted: Any) -> dict[str, np.ndarray]:
    """The nodes of a fitted tree of scikit-learn."""
    is_leaf = fitted.children_left < 0
    places = np.arange(fitted.node_count, dtype=np.int32)
    assert (is_leaf | (fitted.children_left == places + 1)).all()  # scikit-learn stores depth first
    wraps = np.where(is_leaf, 0, fitted.missing_go_to_left).astype(np.uint16)
    below = np.floor(np.clip(np.where(is_leaf, 0, fitted.threshold), 0, MISSING - 1))
    return {
        "feature": np.where(is_leaf, -1, fitted.feature).astype(np.int16),
        "threshold": below.astype(np.uint16) + wraps,
        "wraps": wraps,
        "right": np.where(is_leaf, places, fitted.children_right).astype(np.int32),
    }


def _filled(
    nodes: dict[str, np.ndarray],
    before: np.ndarray,
    classes: np.ndarray,
    drawn: np.ndarray,
    names: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fill the leaves of a tree with the drawn rows: numbers of items, weights and codes."""
    leaf = leaf_numbers(nodes["feature"])
    empty = Shares(np.zeros(1, np.int64), np.zeros(0, np.uint16))
    one = Forest(np.zeros(1, np.int32), **nodes, leaf=leaf, shares=empty, codes=names)
    where = one.leaves(before, np.zeros(len(before), np.int64))
    leaves, width = int((nodes["feature"] < 0).sum()), len(names)
    key = where[drawn].astype(np.int64) * width + classes[drawn]
    found, counts = np.unique(key, return_counts=True)
    of, item = found // width, found % width
    total = np.bincount(of, weights=counts, minlength=leaves)
    weights = np.maximum(1, np.rint(SHARE_UNITS * counts / total[of])).astype(np.uint16)
    return np.bincount(of, minlength=leaves), weights, names[item].astype(np.uint16)


def joined(
    parts: list[tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray]],
) -> Forest:
    sizes = [len(nodes["feature"]) for nodes, *_ in parts]
    roots = np.cumsum([0, *sizes[:-1]]).astype(np.int32)
    found: dict[str, Any] = {}
    for name in ("feature", "threshold", "wraps", "right"):
        shift = roots if name == "right" else np.zeros_like(roots)
        pieces = [nodes[name] + by for (nodes, *_), by in zip(parts, shift, strict=True)]
        found[name] = np.concatenate(pieces).astype(parts[0][0][name].dtype)
    starts = np.cumsum(np.concatenate([[0], *(p[1] for p in parts)])).astype(np.int64)
    shares = Shares(starts, np.concatenate([p[2] for p in parts]))
    leaf = leaf_numbers(found["feature"])
    return Forest(
        roots, **found, leaf=leaf, shares=shares, codes=np.concatenate([p[3] for p in parts])
    )


def leaf_numbers(feature: np.ndarray) -> np.ndarray:
    """Number of each leaf, in the order of the nodes; 0 for other nodes."""
    is_leaf = feature < 0
    return np.where(is_leaf, np.cumsum(is_leaf) - 1, 0).astype(np.int32)
