"""Sequential trees: each column is drawn from a leaf of a tree that knows the columns before it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
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
from synthgen.synthesizers.bins import GOLDEN, MISSING, MOST_ZEROS, Bins
from synthgen.synthesizers.bootstrap import fallback
from synthgen.synthesizers.digits import learn_digits
from synthgen.synthesizers.forest import MOST_LEVELS, MOST_VALUES, Forest, grow
from synthgen.synthesizers.relations import (
    Relation,
    comparable,
    copied,
    find_relations,
    own_values,
)
from synthgen.synthesizers.trees_file import renamed, storable
from synthgen.synthesizers.trees_losses import tree_losses
from synthgen.tables.column import NUMBERS, Column
from synthgen.tables.schema import Schema
from synthgen.tables.table import Table, as_frame
from synthgen.training.model_file import building_model, under, write_model

# Default smallest leaf: a tenth of the smallest learned class, so that the class does not disappear
# among the others; from MIN_LEAF to MAX_LEAF rows, or to the rows of the table divided by LEAF_PART
# if that is more. Larger leaves give fewer training rows away (`evaluation/trees.md`).
MIN_LEAF, MAX_LEAF, LEAF_PART = 20, 100, 200
# A class is learned from 10 rows, or 1.5 leaves if that is more: with 1 leaf, a quarter to a half
# of what sets the class apart was lost. A smaller class is resampled instead.
MIN_ROWS, CLASS_LEAVES = 10, 1.5
# Rows are drawn in whole blocks, so that a longer sample begins with the rows of a shorter one.
BLOCK = 8192
# How often a code is drawn again if it would copy a missing cell.
REDRAWS = 8


@final
class SequentialTrees(Synthesizer):
    """Decision trees column by column, with cells drawn from leaves (Reiter 2005).

    See Reiter 2005, "Using CART to generate partially synthetic, public use microdata", and Nowok,
    Raab & Dibben 2016, "synthpop: Bespoke Creation of Synthetic Data in R".

    The class comes first, then the columns in the order of the table. For each column, trees are
    trained on the rows of all classes to predict it from the class and the columns before it. To
    generate a row, the class is set to the requested one; then each cell is drawn from the leaf
    that the row falls into. If other columns predict with how many decimals a number is written,
    the decimals are drawn the same way. Exact relations between columns (a sum, a copy, an order, a
    level that determines another) are found in the training rows and hold in every new row.

    # NOTE[DIFF] Reiter and Nowok et al. draw training values from the leaves of one pruned tree.
    # Here each cell uses one of several trees with large leaves, each trained on a bootstrap
    # sample, so that no single row determines a leaf. A leaf stores the shares of levels, of values
    # that at least five rows have in common, and of bins; a number is drawn at random within its
    # bin. The model therefore contains no training row and is saved as it is. Whoever holds the
    # file can still tell which rows were learned, and whoever holds rows sometimes can
    # (`evaluation/privacy.md`).

    A class with fewer than 10 rows is learned by a `SmoothedBootstrap` instead, with a warning.

    Args:
        trees: Number of trees for each column; each cell is drawn from one of them. A single tree
            is trained on all rows without bootstrap: its rows are more faithful and less private.
        min_leaf: Smallest number of training rows in a leaf. None: a tenth of the rows of the
            smallest learned class, at least 20 and at most 100, or 0.5 % of all rows if that is
            more. Smaller leaves give rows that are more faithful and less private. A class of fewer
            rows than 10 and 1.5 leaves (30 by default) is resampled (`SmoothedBootstrap`).
        classes: Labels of the classes to learn. None: every class except the most frequent one.
        schema: Kinds and limits of the columns (see `Schema.infer`). None: all are inferred.
        random_state: Seed of `fit`. None: a fresh seed at each call.
        verbose: Whether `fit` shows a progress bar, on standard error or in a notebook.

    Attributes:
        scope_: The rows used for each label: "all" if trees learned it, "class" if a bootstrap did.
        fallback_: Labels with fewer than 10 rows, for which a `SmoothedBootstrap` is used.

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
        needed = self._needed()
        few = [p for p in positions if counts[p] < needed]
        self._bootstrap = fallback(table, few, "trees learn", needed, stacklevel=4)
        self.fallback_ = tuple(classes[p] for p in few)
        self.scope_ = {classes[p]: "class" if p in few else "all" for p in positions}
        response = (labels != np.argmax(counts)).astype(float)
        target = table.schema[table.schema.target]
        names = [target, *table.schema.features]
        parts = [
            fit_bins(c, table.frame[c.name], response, _rng(seed, 0, j))
            if c.kind in ("categorical", "boolean", *NUMBERS)
            else None
            for j, c in enumerate(names)
        ]
        self._columns = table.schema.features
        self._learned = [j for j, part in enumerate(parts[1:]) if part is not None]
        self._bins = [part for part in parts if part is not None]
        cells = [part.values(table.frame[part.column.name]) for part in self._bins]
        self._relations = find_relations(self._bins, cells, int(_rng(seed, 1).integers(2**31)))
        codes = _encoded(self._bins, cells, seed)
        least = min((counts[p] for p in positions if p not in few), default=len(labels))
        min_leaf = int(self.min_leaf or _default_leaf(len(labels), int(least)))
        with Progress(self.verbose) as progress:
            self._grow(codes, cells, min_leaf, child_seed(seed, 3), progress)
        self._stored = storable(table, self._bins)

    def _grow(
        self,
        codes: np.ndarray,
        cells: list[tuple[np.ndarray, np.ndarray]],
        min_leaf: int,
        seed: np.random.SeedSequence,
        progress: Progress,
    ) -> None:
        """Train the trees of each column, and those of its last digits."""
        progress.start("growing trees, column by column", total=len(self._bins))
        settings: dict[str, Any] = {"trees": int(self.trees), "min_leaf": min_leaf}
        features, width = np.empty((len(codes), 2 * len(self._bins)), np.uint16), 0
        self._forests, self._digits = [], []
        for j, (bins, relation) in enumerate(zip(self._bins, self._relations, strict=True)):
            forest = digits = None
            if j and not relation.is_derived:
                own = codes[:, j].copy()
                if relation.same:
                    place = copied(relation, cells[: j + 1], self._bins[: j + 1])
                    own = np.where(place >= 0, bins.width + place, own).astype(np.uint16)
                before = np.ascontiguousarray(features[:, :width])
                most = MOST_VALUES if bins.is_number else MOST_LEVELS
                response = None if bins.width <= most else _shares_below(codes[:, j])
                forest = grow(before, own, response, **settings, seed=child_seed(seed, j))
            features[:, width] = codes[:, j]
            width += 1
            if forest is not None and bins.rounded:
                zeros = bins.zeros(cells[j][0])
                known = features[:, :width]
                digits = learn_digits(bins, zeros, known, **settings, seed=child_seed(seed, j, 1))
                if digits is not None:
                    features[:, width] = np.where(cells[j][1], MISSING, zeros)
                    width += 1
            self._forests.append(forest)
            self._digits.append(digits)
            progress.update(j + 1)

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
            self._block(position, min(BLOCK, rows - start), child_seed(seed, start // BLOCK))
            for start in range(0, rows, BLOCK)
        ]
        learned = {
            j: self._bins[i + 1].restore(
                *(np.concatenate([block[i][part] for block in blocks]) for part in (0, 1))
            )
            for i, j in enumerate(self._learned)
        }
        series = [
            learned[j] if j in learned else unlearned(column, rows)
            for j, column in enumerate(self._columns)
        ]
        return as_frame(series, [c.name for c in self._columns], rows)

    def _block(
        self, position: int, rows: int, seed: np.random.SeedSequence
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Generate the first `rows` rows of a block: for each column, values and a missing mask."""
        rng = np.random.default_rng(seed)
        places = self._places
        codes = np.empty((rows, places[-1] + 2), np.uint16)
        codes[:, 0] = self._bins[0].encode(np.array([position]))[0]
        cells = [(np.full(rows, position), np.zeros(rows, bool))]
        for j in range(1, len(self._bins)):
            digits = self._digits[j]
            uniform = rng.random((2 if digits is None else 3, BLOCK))[:, :rows]
            values, gone, own = self._column(j, codes, cells, uniform)
            codes[:, places[j]] = own
            if digits is not None:
                zeros = self._bins[j].zeros(values)
                codes[:, places[j] + 1] = np.where(gone, MISSING, zeros)
            cells.append((values, gone))
        return cells[1:]

    @property
    def _places(self) -> list[int]:
        """Position of each column among the predictors of the trees."""
        extra = [digits is not None for digits in self._digits]
        return [j + sum(extra[:j]) for j in range(len(extra))]

    def _column(
        self,
        j: int,
        codes: np.ndarray,
        cells: list[tuple[np.ndarray, np.ndarray]],
        uniform: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw one column given those before it: its values, missing mask and codes."""
        bins, relation, forest = self._bins[j], self._relations[j], self._forests[j]
        if relation.inputs:
            return _summed(self._bins, relation, cells, bins)
        if relation.decided_by >= 0:
            by = codes[:, self._places[relation.decided_by]].astype(np.int64)
            table = np.array(relation.codes)
            own = table[np.minimum(by, len(table) - 1)]
            gone = own < 0
            values = bins.decode(np.where(gone, 0, own), uniform[1])
            return values, gone, np.where(gone, MISSING, own)
        assert forest is not None
        own = _drawn(forest, codes, uniform[0], relation, bins, cells)
        gone = own == MISSING
        place = own.astype(np.int64) - bins.width
        is_copy = (place >= 0) & ~gone
        floor, ceiling = _limits(self._bins, relation, cells, bins)
        inside = np.where(gone | is_copy, 0, own)
        zeros, digits = None, self._digits[j]
        if digits is not None:
            codes[:, self._places[j]] = inside
            zeros = digits.draw(codes, uniform[2]).astype(np.int64)
        values = bins.decode(inside, uniform[1], floor, ceiling, zeros)
        for i, k in enumerate(relation.same):
            here = is_copy & (place == i)
            source = comparable(self._bins[k], cells[k][0][here])
            values[here] = own_values(bins, source)
        moved = is_copy if floor is None and ceiling is None else ~gone
        if moved.any():
            own[moved] = bins.encode(values[moved])
        return values, gone, own

    def _losses(self, table: Table, seed: np.random.SeedSequence) -> np.ndarray | None:
        parts = self._bins, self._relations, self._forests, self._digits
        return tree_losses(*parts, table.frame)

    # --- the file ---------------------------------------------------------------------------------

    def check_savable(self, counts: Mapping[Any, int]) -> None:
        check_rows_to_save(counts, self._needed())

    def _needed(self) -> int:
        """Smallest number of rows from which trees learn a class."""
        return max(MIN_ROWS, math.ceil(CLASS_LEAVES * (self.min_leaf or MIN_LEAF)))

    def save(self, path: str | os.PathLike[str], *, keep_class_names: bool = False) -> list[str]:
        # A class that only the bootstrap knows cannot go into a file.
        self.check_savable(dict.fromkeys(self.fallback_, 0))
        if isinstance(self._stored, ModelFileError):
            raise self._stored
        columns, target, notes = self._stored
        stored = [target, *(columns[j] for j in self._learned)]
        entries, tensors = [], {}
        for i, (bins, relation, forest, digits) in enumerate(
            zip(self._bins, self._relations, self._forests, self._digits, strict=True)
        ):
            described, arrays = renamed(bins, stored[i]).state()
            tensors |= {f"{i}/bins/{k}": v for k, v in arrays.items()}
            entry = {"bins": described, "relation": relation.to_json()}
            if forest is not None:
                tensors |= {f"{i}/trees/{k}": v for k, v in forest.state().items()}
            if digits is not None:
                tensors |= {f"{i}/digits/{k}": v for k, v in digits.state().items()}
            entries.append(entry)
        kept = [c for c in self.schema_.classes if c in target.categories]
        header = {
            "class": type(self).__name__,
            "params": {"trees": self.trees, "min_leaf": self.min_leaf},
            "target": target.to_json(),
            "counts": [rounded_count(self.counts_[c]) for c in kept],
            "positions": [target.categories.index(c) for c in self.classes_],
            "scope": list(self.scope_.values()),
            "columns": [c.to_json() for c in columns],
            "learned": self._learned,
            "parts": entries,
            "coarsened": notes,
        }
        write_model(path, header, tensors)
        return notes

    @classmethod
    def _from_file(cls, header: dict[str, Any], tensors: dict[str, Any], device: str) -> Self:
        with building_model():
            return cls._read(header, tensors)

    @classmethod
    def _read(cls, header: dict[str, Any], tensors: dict[str, Any]) -> Self:
        model = cls(**header["params"])
        model._check_params()
        target = Column.from_json(header["target"])
        columns = tuple(map(Column.from_json, header["columns"]))
        learned = header["learned"]
        if not (isinstance(learned, list) and learned == sorted(set(learned))):
            raise ValueError("learned columns are not in order")
        if not all(type(j) is int and 0 <= j < len(columns) for j in learned):
            raise ValueError("a learned column that the table lacks")
        model._bins, model._relations, model._forests, model._digits = [], [], [], []
        used, place = set(), 0
        kinds = [target, *(columns[j] for j in learned)]
        for i, (column, entry) in enumerate(zip(kinds, header["parts"], strict=True)):
            found = {k: v for k, v in tensors.items() if k.startswith(f"{i}/")}
            used |= set(found)
            bins = Bins.from_state(column, entry["bins"], under(found, f"{i}/bins/"))
            model._bins.append(bins)
            relation = Relation.from_json(entry["relation"], model._bins)
            model._relations.append(relation)
            forest = digits = None
            if i and not relation.is_derived:
                width = bins.width + len(relation.same)
                forest = Forest.from_state(under(found, f"{i}/trees/"), place, width)
            place += 1
            if last := under(found, f"{i}/digits/"):
                if forest is None or not bins.rounded:
                    raise ValueError("last digits of a column that has none")
                digits = Forest.from_state(last, place, MOST_ZEROS + 1)
                place += 1
            model._forests.append(forest)
            model._digits.append(digits)
        if unknown := set(tensors) - used:
            raise ValueError(f"an unknown array {min(unknown)!r}")
        model._columns, model._learned = columns, learned
        model.schema_ = Schema((*columns, target), target.name)
        counts = header["counts"]
        if not all(type(n) is int and n >= 1 for n in counts):
            raise ValueError(f"counts are {counts}")
        model.counts_ = dict(zip(target.categories, counts, strict=True))
        positions = header["positions"]
        coded = set(model._bins[0].low.tolist())
        if not positions or not all(type(p) is int and p in coded for p in positions):
            raise ValueError(f"classes are {positions}")
        model.classes_ = tuple(target.categories[p] for p in positions)
        model.scope_ = dict.fromkeys(model.classes_, "all")
        model.fallback_, model._bootstrap = (), None
        model._stored = columns, target, header["coarsened"]
        return model


def _default_leaf(rows: int, least: int) -> int:
    """Smallest leaf for a table of `rows` rows whose smallest learned class has `least` rows."""
    return int(np.clip(least // 10, MIN_LEAF, max(MAX_LEAF, rows // LEAF_PART)))


def _rng(seed: np.random.SeedSequence, *key: int) -> np.random.Generator:
    return np.random.default_rng(child_seed(seed, *key))


def _encoded(
    parts: list[Bins],
    cells: list[tuple[np.ndarray, np.ndarray]],
    seed: np.random.SeedSequence,
) -> np.ndarray:
    """Encode all rows as codes, uint16 of shape (rows, columns).

    Levels (or missing cells) that occur in fewer than five rows have no code. A cell with such a
    level receives a code drawn from the other cells of its column.
    """
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


def _drawn(
    forest: Forest,
    codes: np.ndarray,
    uniform: np.ndarray,
    relation: Relation,
    bins: Bins,
    cells: list[tuple[np.ndarray, np.ndarray]],
) -> np.ndarray:
    """Draw codes from the leaves; redraw, up to `REDRAWS` times, copies of missing cells."""
    width, is_bin = bins.width, None if bins.exact.all() else ~bins.exact
    own = forest.draw(codes, uniform, is_bin)
    for again in range(1, REDRAWS + 1):
        lost = np.zeros(len(own), dtype=bool)
        for i, k in enumerate(relation.same):
            lost |= (own == width + i) & cells[k][1]
        if not lost.any():
            break
        own[lost] = forest.draw(codes[lost], np.modf(uniform[lost] + again * GOLDEN)[0], is_bin)
        if again == REDRAWS:
            own[lost & (own >= width) & (own != MISSING)] = width // 2
    return own


def _summed(
    parts: list[Bins],
    relation: Relation,
    cells: list[tuple[np.ndarray, np.ndarray]],
    bins: Bins,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute a column that is a weighted sum of others: its values, missing mask and codes."""
    gone = np.any([cells[k][1] for k in relation.inputs], 0)
    total = relation.constant + sum(
        weight * parts[k].plain(cells[k][0])
        for k, weight in zip(relation.inputs, relation.weights, strict=True)
    )
    values = bins.from_plain(np.asarray(total))
    return values, gone, np.where(gone, MISSING, bins.encode(values))


def _limits(
    parts: list[Bins],
    relation: Relation,
    cells: list[tuple[np.ndarray, np.ndarray]],
    bins: Bins,
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Compute the lower and upper limits that earlier columns set for each value of a column."""
    floor = ceiling = None
    gaps = iter(relation.gaps)
    for k in relation.floors:
        values, gone = cells[k]
        least = own_values(bins, comparable(parts[k], values) + _like(bins, next(gaps)))
        least = np.where(gone, bins.limits[0], least)
        floor = least if floor is None else np.maximum(floor, least)
    for k in relation.ceilings:
        values, gone = cells[k]
        most = own_values(bins, comparable(parts[k], values) - _like(bins, next(gaps)))
        most = np.where(gone, bins.limits[1], most)
        ceiling = most if ceiling is None else np.minimum(ceiling, most)
    return floor, ceiling


def _like(bins: Bins, gap: float) -> int | float:
    """The gap as a number of the column's type, because ticks are whole numbers."""
    return int(gap) if bins.column.kind == "datetime" else gap
