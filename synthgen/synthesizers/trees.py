"""Sequential trees: each column is drawn from a leaf of a tree that knows the columns before it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self, final

import numpy as np
import pandas as pd

from synthgen.encoding.disclosure import rounded_count
from synthgen.encoding.unlearned import unlearned
from synthgen.errors import ModelFileError, UsageError
from synthgen.progress import Progress
from synthgen.seeds import RandomState, child_seed
from synthgen.synthesizers.base import Synthesizer, check_rows_to_save
from synthgen.synthesizers.binning import fit_bins
from synthgen.synthesizers.bins import MISSING, Bins
from synthgen.synthesizers.bootstrap import fallback
from synthgen.synthesizers.digits import learn_digits
from synthgen.synthesizers.forest import MOST_LEVELS, MOST_VALUES, Forest, grow
from synthgen.synthesizers.order import drawing_order
from synthgen.synthesizers.raking import Groups, Raking, rake
from synthgen.synthesizers.relations import Relation, copied, find_relations
from synthgen.synthesizers.shifts import Shifts, find_shifts
from synthgen.synthesizers.tree_columns import BLOCK, Cells, TreeColumn, draw_block
from synthgen.synthesizers.trees_file import read_trees, storable, write_trees
from synthgen.synthesizers.trees_losses import tree_losses
from synthgen.tables.checks import check_flags
from synthgen.tables.column import NUMBERS
from synthgen.tables.schema import Schema
from synthgen.tables.table import Table, as_frame
from synthgen.threads import usable_cores

# Default smallest leaf: an eighth of the smallest learned class, so that the class does not vanish
# among the others; from MIN_LEAF to MAX_LEAF rows, or to the rows of the table divided by LEAF_PART
# if that is more. Larger leaves give fewer training rows away (`evaluation/trees.md`).
MIN_LEAF, MAX_LEAF, LEAF_PART = 20, 100, 200
# In the choice of splits, a learned class counts as at least this share of all rows. Otherwise
# trees hardly see a rarer class: made rows of a class of 30 among 2,100 looked like the others.
CLASS_SHARE = 0.1
# A class is learned from 10 rows, or 1.5 leaves if that is more: with 1 leaf, a quarter to a half
# of what sets the class apart was lost. A smaller class is resampled instead.
MIN_ROWS, CLASS_LEAVES = 10, 1.5
# The seeds of a trial of shifts, and of the choice of rows for raking, among the seeds of a column,
# beyond those of its trees and digits.
TRIAL, RAKING = 2**20, 2**20 + 1


# The trees of a column, the shifts that they predict if they do, and the factors of their shares.
_Trees = tuple[Forest, Shifts | None, Raking]


@final
class SequentialTrees(Synthesizer):
    """Decision trees column by column, with cells drawn from leaves (Reiter 2005).

    See Reiter 2005, "Using CART to generate partially synthetic, public use microdata", and Nowok,
    Raab & Dibben 2016, "synthpop: Bespoke Creation of Synthetic Data in R".

    The class comes first, then always the column that tells most about the class and the columns
    left, unless an exact relation requires another order. For each column, trees are trained on the
    rows of all classes to predict it from the class and the columns before it. To generate a row,
    the class is set to the requested one; then each cell is drawn from the leaf that the row falls
    into. The shares of the leaves are raked to the class and to earlier columns (Deming & Stephan
    1940), so that a column also depends on those by which its trees do not split. If other columns
    predict with how many decimals a number is written, the decimals are drawn the same way. Exact
    relations between columns (a sum, the time between two dates, a copy, an order, a level that
    determines another) are found in the training rows and hold in every new row. A number that is
    close to an earlier one is drawn as a ratio to it, if that predicts held-out rows better.

    # NOTE[DIFF] Reiter and Nowok et al. draw training values from the leaves of one pruned tree.
    # Here each cell uses one of several trees with large leaves, each trained on a bootstrap
    # sample, so that no single row determines a leaf. A tree splits where the distribution of the
    # cells differs, not only where their mean does (Ćevid et al. 2022, "Distributional Random
    # Forests"); there a learned class counts as at least a tenth of all rows. A leaf stores the
    # shares of levels, of values that at least five rows have in common, and of bins; a number is
    # drawn at random within its bin. The model therefore contains no training row and is saved as
    # it is. Whoever holds the file can still tell which rows were learned, and whoever holds rows
    # sometimes can (`evaluation/privacy.md`).

    A class with too few rows (see `min_leaf`) is learned by a `SmoothedBootstrap` instead, with a
    warning.

    Args:
        trees: Number of trees for each column; each cell is drawn from one of them. A single tree
            is trained on all rows without bootstrap: its rows are more faithful and less private.
        min_leaf: Smallest number of training rows in a leaf. None: an eighth of the rows of the
            smallest learned class, at least 20, and at most 100 or 0.5 % of all rows, whichever is
            more. Smaller leaves give rows that are more faithful and less private. A class of fewer
            than 30 rows is resampled; if `min_leaf` is given, of fewer than 1.5 times as many rows,
            but at least 10.
        classes: Labels of the classes to learn. None: every class except the most frequent one.
        schema: Kinds and limits of the columns (see `Schema.infer`). None: all are inferred.
        random_state: Seed of `fit`. None: a fresh seed at each call.
        verbose: Whether `fit` shows a progress bar, on standard error or in a notebook.

    Attributes:
        scope_: The rows used for each label: "all" if trees learned it, "class" if a bootstrap did.
        fallback_: Labels with too few rows, for which a `SmoothedBootstrap` is used.
        parts_: What trees learned about the class, then about each column.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> frame = pd.DataFrame({"net": rng.integers(1, 90, 400), "tax": rng.integers(1, 9, 400)})
        >>> frame["gross"] = frame["net"] + frame["tax"]
        >>> late = pd.Series(np.arange(400) < 40, name="late")
        >>> rows = SequentialTrees(random_state=0).fit(frame, late).sample(99, label=True)
        >>> rows.shape, bool(rows["late"].all()), bool((rows.net + rows.tax == rows.gross).all())
        ((99, 4), True, True)
    """

    scope_: dict[Any, str]
    fallback_: tuple[Any, ...]
    parts_: list[TreeColumn]
    _leaf: int | None

    def __init__(
        self,
        *,
        trees: int = 5,
        min_leaf: int | None = None,
        classes: Sequence[Any] | None = None,
        schema: Schema | None = None,
        random_state: RandomState = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(classes=classes, schema=schema, random_state=random_state)
        self.trees = trees
        self.min_leaf = min_leaf
        self.verbose = verbose

    # --- fitting ----------------------------------------------------------------------------------

    def _fit(self, table: Table, positions: list[int], seed: np.random.SeedSequence) -> None:
        self._check_params()
        classes, labels = table.schema.classes, table.labels
        counts = np.bincount(labels, minlength=len(classes))
        needed = self.rows_needed()
        few = [p for p in positions if counts[p] < needed]
        self._bootstrap = fallback(table, few, "trees learn", needed, stacklevel=4)
        self.fallback_ = tuple(classes[p] for p in few)
        self.scope_ = {classes[p]: "class" if p in few else "all" for p in positions}
        response = (labels != np.argmax(counts)).astype(float)
        target = table.schema[table.schema.target]
        names = [target, *table.schema.features]
        found = [
            fit_bins(c, table.frame[c.name], response, _rng(seed, 0, j))
            if c.kind in ("categorical", "boolean", *NUMBERS)
            else None
            for j, c in enumerate(names)
        ]
        self._columns = table.schema.features
        placed = [j for j, bins in enumerate(found) if bins is not None]
        parts = [bins for bins in found if bins is not None]
        cells = [bins.values(table.frame[bins.column.name]) for bins in parts]
        codes = _encoded(parts, cells, seed)
        probe = int(_rng(seed, 1).integers(2**31))
        relations = find_relations(parts, cells, probe)
        order = drawing_order(parts, cells, codes, relations, probe)
        parts, cells = [parts[i] for i in order], [cells[i] for i in order]
        codes = codes[:, order]
        if order != sorted(order):
            relations = find_relations(parts, cells, probe)
        relations = [relation.as_stored() for relation in relations]
        self._learned = [placed[i] - 1 for i in order[1:]]
        least = min((counts[p] for p in positions if p not in few), default=len(labels))
        min_leaf = int(self.min_leaf or _default_leaf(len(labels), int(least)))
        self._leaf = min_leaf
        with Progress(self.verbose) as progress:
            settings = {"trees": int(self.trees), "min_leaf": min_leaf}
            weights = _weights(labels, [p for p in positions if p not in few])
            known = parts, relations, cells, codes, weights
            grown = _grown(*known, settings, child_seed(seed, 3), progress)
        self.parts_ = grown
        self._stored = storable(table, parts)

    def _check_params(self) -> None:
        for name, least in (("trees", 1), ("min_leaf", 2)):
            value = getattr(self, name)
            if value is None and name == "min_leaf":
                continue
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                raise UsageError(232, f"{name} must be a whole number from {least}, not {value!r}")

    # --- sampling ---------------------------------------------------------------------------------

    def _sample(self, position: int, rows: int, seed: np.random.SeedSequence) -> pd.DataFrame:
        if self.schema_.classes[position] in self.fallback_:
            assert self._bootstrap is not None
            return self._bootstrap._sample(position, rows, seed)
        blocks = [
            draw_block(
                self.parts_, position, min(BLOCK, rows - start), child_seed(seed, start // BLOCK)
            )
            for start in range(0, rows, BLOCK)
        ]
        learned = {
            j: self.parts_[i + 1].bins.restore(
                *(np.concatenate([block[i][part] for block in blocks]) for part in (0, 1))
            )
            for i, j in enumerate(self._learned)
        }
        series = [
            learned[j] if j in learned else unlearned(column, rows)
            for j, column in enumerate(self._columns)
        ]
        return as_frame(series, [c.name for c in self._columns], rows)

    def losses(self, table: Table, seed: np.random.SeedSequence) -> np.ndarray | None:
        return tree_losses(self.parts_, table.frame)

    # --- the file ---------------------------------------------------------------------------------

    def check_savable(self, counts: Mapping[Any, int]) -> None:
        check_rows_to_save(counts, self.rows_needed())

    def rows_needed(self) -> int:
        self._check_params()
        return max(MIN_ROWS, math.ceil(CLASS_LEAVES * (self.min_leaf or MIN_LEAF)))

    def save(self, path: str | os.PathLike[str], *, keep_class_names: bool = False) -> list[str]:
        check_flags(keep_class_names=keep_class_names)
        # A class that only the bootstrap knows cannot go into a file.
        self.check_savable({label: self.counts_[label] for label in self.fallback_})
        stored = self._stored
        if isinstance(stored, ModelFileError):
            raise stored
        categories = stored.target.categories
        kept = [c for c in self.schema_.classes if c in categories]
        header = {
            "class": type(self).__name__,
            "params": {"trees": self.trees, "min_leaf": self.min_leaf},
            "target": stored.target.to_json(),
            "counts": [rounded_count(self.counts_[c]) for c in kept],
            "positions": [categories.index(c) for c in self.classes_],
            "scope": list(self.scope_.values()),
        }
        if self._leaf is not None:  # an older file does not say it
            header["used"] = {"min_leaf": self._leaf}
        write_trees(path, header, stored, self._learned, self.parts_)
        return stored.notes

    @classmethod
    def _read(cls, header: dict[str, Any], tensors: dict[str, Any]) -> Self:
        model = cls(**header["params"])
        model._check_params()
        model._leaf = header.get("used", {}).get("min_leaf")
        stored, model._learned, model.parts_ = read_trees(header, tensors)
        model._stored, model._columns, target = stored, stored.columns, stored.target
        model.schema_ = Schema((*stored.columns, target), target.name)
        counts = header["counts"]
        if not all(type(n) is int and n >= 1 for n in counts):
            raise ValueError(f"counts are {counts}")
        model.counts_ = dict(zip(target.categories, counts, strict=True))
        positions = header["positions"]
        coded = set(model.parts_[0].bins.low.tolist())
        if not positions or not all(type(p) is int and p in coded for p in positions):
            raise ValueError(f"classes are {positions}")
        model.classes_ = tuple(target.categories[p] for p in positions)
        model.scope_ = dict.fromkeys(model.classes_, "all")
        model.fallback_, model._bootstrap = (), None
        return model


def _default_leaf(rows: int, least: int) -> int:
    """Smallest leaf for a table of `rows` rows whose smallest learned class has `least` rows."""
    return int(np.clip(least // 8, MIN_LEAF, max(MAX_LEAF, rows // LEAF_PART)))


def _weights(labels: np.ndarray, learned: list[int]) -> np.ndarray | None:
    """Weight of each row in the choice of splits; None if no learned class is too rare."""
    shares = np.bincount(labels) / len(labels)
    weights = np.ones(len(shares))
    for p in learned:
        odds = (1 - shares[p]) / shares[p]
        weights[p] = max(1.0, odds * CLASS_SHARE / (1 - CLASS_SHARE))
    return None if (weights == 1).all() else weights[labels]


def _rng(seed: np.random.SeedSequence, *key: int) -> np.random.Generator:
    return np.random.default_rng(child_seed(seed, *key))


def _grown(
    parts: list[Bins],
    relations: list[Relation],
    cells: list[Cells],
    codes: np.ndarray,
    weights: np.ndarray | None,
    settings: dict[str, Any],
    seed: np.random.SeedSequence,
    progress: Progress,
) -> list[TreeColumn]:
    """Train the trees of each column, and those of its last digits."""
    features, width = np.empty((len(codes), 2 * len(parts)), np.uint16), 0
    groups = [Groups.of_class(parts[0].width)]
    for j, bins in enumerate(parts[1:], start=1):
        groups.append(Groups.of(codes[:, j], bins.width, numbers=bins.is_number))
    places: list[int] = []
    started: list[tuple[Future[_Trees] | None, Forest | None]] = []
    progress.start("growing trees, column by column", total=len(parts))
    pool = ThreadPoolExecutor(usable_cores())
    try:
        for j, (bins, relation) in enumerate(zip(parts, relations, strict=True)):
            forest = digits = None
            if j and not relation.is_derived:
                own = codes[:, j].copy()
                if relation.same:
                    place = copied(relation, cells[: j + 1], parts[: j + 1])
                    own = np.where(place >= 0, bins.width + place, own).astype(np.uint16)
                most = MOST_VALUES if bins.is_number else MOST_LEVELS
                ranked = None if bins.width <= most else codes[:, j]
                known = parts[: j + 1], cells[: j + 1], features[:, :width], own, ranked
                raked = places.copy(), groups[:j]
                more = len(relation.same), weights, raked, settings, child_seed(seed, j)
                forest = pool.submit(_trees_of, *known, *more)
            places.append(width)
            features[:, width] = codes[:, j]
            width += 1
            if forest is not None and bins.rounded:
                zeros = bins.zeros(cells[j][0])
                seen = features[:, :width]
                digits = learn_digits(bins, zeros, seen, **settings, seed=child_seed(seed, j, 1))
                if digits is not None:
                    features[:, width] = np.where(cells[j][1], MISSING, zeros)
                    width += 1
            started.append((forest, digits))
        found: list[TreeColumn] = []
        for j, (forest, digits) in enumerate(started):
            grown, shifts, raking = (None, None, None) if forest is None else forest.result()
            learned = grown, digits, shifts, raking
            found.append(TreeColumn(parts[j], groups[j].first, relations[j], *learned))
            progress.update(j + 1)
        return found
    finally:
        pool.shutdown(cancel_futures=True)  # if it is interrupted, no column is begun any more


def _trees_of(
    parts: list[Bins],
    cells: list[Cells],
    before: np.ndarray,
    own: np.ndarray,
    ranked: np.ndarray | None,
    copies: int,
    weights: np.ndarray | None,
    raked: tuple[list[int], list[Groups]],
    settings: dict[str, Any],
    seed: np.random.SeedSequence,
) -> _Trees:
    """Train the trees of the last of `parts`: on shifts, if these predict held-out rows better.

    Ranks and shifts are made here, so that few of them are in memory.
    """
    ranks, shifts = (None if ranked is None else _shares_below(ranked)), None
    trial = None if ranks is None else find_shifts(parts, cells, own, copies)
    if ranks is not None and trial is not None:
        trial_seed = child_seed(seed, TRIAL)
        if trial.is_better(before, own, ranks, weights, settings["min_leaf"], trial_seed):
            own, ranks, shifts = trial.codes, trial.ranks, trial.shifts
        trial = None
    forest = grow(before, own, ranks, weights, **settings, seed=seed)
    groups = Groups.of(own, parts[-1].width, numbers=parts[-1].is_number)
    chosen = int(child_seed(seed, RAKING).generate_state(1)[0])
    return forest, shifts, rake(forest, before, own, groups, *raked, chosen)


def _encoded(
    parts: list[Bins],
    cells: list[Cells],
    seed: np.random.SeedSequence,
) -> np.ndarray:
    """Encode all rows as codes, uint16 of shape (rows, columns)."""
    codes = np.empty((len(cells[0][0]), len(parts)), np.uint16)
    for j, (bins, (values, gone)) in enumerate(zip(parts, cells, strict=True)):
        found = np.full(len(values), -1)
        found[~gone] = bins.encode(values[~gone])
        if bins.missing:
            found[gone] = MISSING
        lost = found < 0
        if lost.any():
            found[lost] = _rng(seed, 2, j).choice(found[~lost], int(lost.sum()))
        codes[:, j] = found
    return codes


def _shares_below(codes: np.ndarray) -> np.ndarray:
    """Compute each row's mid-rank as a share: rows with a lower code plus half of the ties."""
    counts = np.bincount(codes, minlength=MISSING + 1)
    return ((np.cumsum(counts) - counts / 2) / len(codes))[codes]
