"""Private marginals: noisy counts of columns and of pairs of columns, with differential privacy."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Self, final

import numpy as np
import pandas as pd

from synthgen.encoding.stored import Stored
from synthgen.encoding.unlearned import unlearned
from synthgen.errors import DataError, UsageError
from synthgen.seeds import RandomState, child_seed, seed_sequence
from synthgen.synthesizers.base import Synthesizer
from synthgen.synthesizers.declared import (
    MOST_LEVELS,
    Coded,
    declared,
    declared_table,
    first_cells,
    is_learned,
    needs_bins,
    without_levels,
)
from synthgen.synthesizers.declared_cells import cell_count
from synthgen.synthesizers.measured import (
    SHARES,
    Ledger,
    bins_of,
    histogram,
    levels_above,
    spanning_tree,
)
from synthgen.synthesizers.noise import Entropy, RandBelow, noisy, rho_of, variance_of
from synthgen.tables.checks import check_flags
from synthgen.tables.column import Column
from synthgen.tables.schema import Schema, class_position
from synthgen.tables.table import Table, as_frame
from synthgen.training.model_file import write_model

# Smaller tables and classes are refused: noise would hide all of what sets them apart. Noise moves
# the counts that decide this, so SLACK standard deviations of it are forgiven, up to a tenth.
LEAST_ROWS, LEAST_CLASS_ROWS, SLACK = 5_000, 1_000, 3
# Share of the cells of a column above which cells that the schema does not allow are told.
STRANGERS = 0.01
# Rounding of floats is not counted (see `chosen`), so delta must be well above it.
LEAST_DELTA, MOST_DELTA = 1e-9, 1e-4
# Rows are drawn in whole blocks, so that a longer sample begins with the rows of a shorter one.
BLOCK = 8192
RAKING = 20
NEIGHBOURS = "tables that differ by one row, added or removed"


@final
class PrivateMarginals(Synthesizer):
    """Noisy counts of columns and of a tree of column pairs, with (epsilon, delta)-DP.

    The method is MST (McKenna, Miklau & Sheldon 2021, "Winning the NIST contest"), rooted at the
    class like PrivBayes (Zhang et al. 2017). All counts get exact discrete Gaussian noise (Canonne,
    Kamath & Steinke 2020); the pairs are chosen by the exponential mechanism. A row is drawn from
    the class along the tree: each column given one other column, numbers evenly within a bin.

    What is promised: the whole model (classes, bins, names of levels, counts), and so its file and
    its rows, is (epsilon, delta)-differentially private with respect to one row of the table, added
    or removed. Everything counts: bins, names of levels, choice of pairs, numbers of rows. Each
    cell is read by itself, as its column is declared, and none is refused: a number outside the
    range counts as its nearest end, and what is no number, date or level of the column is counted
    in a group of its own, of which no row is made. Not covered: the schema, which must be public;
    how a CSV is cut into cells (header, encoding, delimiter, quotes); types of a frame that depend
    on its rows (``read_table(path, declared=schema)`` leaves the cells of a CSV as text); how long
    `fit` takes; a second fit of the same rows, whose epsilon and delta add to those of the first.

    # NOTE[DIFF] In MST every column has given levels. Here numbers are cut at noisy medians, and
    # levels that are not declared are named if a noisy count exceeds a threshold. Both are paid
    # for.

    Args:
        epsilon: The guarantee's epsilon, from 1e-6 to 1e6: smaller is more private,
            and less faithful.
        delta: Its delta, from 1e-9 to 1e-4; far below 1 divided by the number of rows.
        classes: Classes that can be sampled. None: all classes of the schema. All classes are
            learned either way, for the same epsilon.
        schema: What is public about the columns, needed for all of them: kind and dtype; the range
            of numbers and dates (`lower`, `upper`, `decimals`, `step`), and frequent single numbers
            such as 0 (`spikes`); `missing` above 0 where cells may be missing; classes of the
            target; categories, which are learned where there are none. Not one that was inferred
            from the rows.
        random_state: Ignored by `fit`, whose noise comes from the operating system, because whoever
            knows a seed can subtract the noise. So two fits differ. `sample` has a seed of its own.

    Attributes:
        guarantee_: "epsilon", "delta", "rho" (their zCDP budget), "neighbours", and "spent" (rho by
            stage).
        counts_: Noisy numbers of rows of each class.
        parts_, ones_: The class and each learned column as codes, and their noisy counts.
        pairs_, twos_: Pairs of positions in `parts_`, and their noisy counts.
        scope_: "all" for each class: it is learned from the rows of all classes.

    Example:
        >>> from synthgen import Column
        >>> rng = np.random.default_rng(0)
        >>> frame = pd.DataFrame({"age": rng.integers(20, 80, 6000)})
        >>> ill = pd.Series(rng.random(6000) < 0.4, name="ill")
        >>> age = Column("age", "integer", np.dtype("int64"), lower=0, upper=120)
        >>> outcome = Column("ill", "boolean", np.dtype(bool), categories=(False, True))
        >>> model = PrivateMarginals(epsilon=2.0, schema=Schema((age, outcome), "ill"))
        >>> rows = model.fit(frame, ill).sample(300, label=True, random_state=0)
        >>> rows.shape, bool(rows["ill"].all()), model.guarantee_["epsilon"]
        ((300, 2), True, 2.0)
    """

    guarantee_: dict[str, Any]
    scope_: dict[Any, str]
    parts_: list[Coded]
    ones_: list[np.ndarray]
    pairs_: list[tuple[int, int]]
    twos_: list[np.ndarray]

    def __init__(
        self,
        *,
        epsilon: float = 1.0,
        delta: float = 1e-6,
        classes: Sequence[Any] | None = None,
        schema: Schema | None = None,
        random_state: RandomState = None,
    ) -> None:
        super().__init__(classes=classes, schema=schema, random_state=random_state)
        self.epsilon = epsilon
        self.delta = delta

    # --- fitting ----------------------------------------------------------------------------------

    def table_of(self, X: Any, y: Any = None, target: Hashable | None = None) -> Table:
        return declared_table(X, y, target, self.schema)

    def _prepared(self, table: Table) -> tuple[Table, list[int], np.random.SeedSequence]:
        """Check the arguments; no class, range or count is taken from the rows."""
        self._check_params()
        names = [column.name for column in table.schema.features]
        target = table.schema.target
        schema = declared(self.schema, [*names, target], target)
        known = schema.classes
        wanted = known if self.classes is None else self.classes
        positions = [class_position(known, label) for label in wanted]
        self.schema_ = schema
        self.classes_ = tuple(known[p] for p in positions)
        return Table(table.frame, schema), positions, seed_sequence(self.random_state)

    def _fit(self, table: Table, positions: list[int], seed: np.random.SeedSequence) -> None:
        randbelow, frame = Entropy(), table.frame
        target = table.schema[table.schema.target]
        columns = [target, *filter(is_learned, table.schema.features)]
        reserve = self.delta / 2 if any(map(without_levels, columns)) else 0.0
        ledger = Ledger(rho_of(self.epsilon, self.delta - reserve), reserve)
        deviation = self._measure_columns(columns, frame, ledger, randbelow)
        self._check_sizes(deviation)
        self._measure_pairs(frame, ledger, randbelow)
        self.guarantee_ = {
            "epsilon": float(self.epsilon),
            "delta": float(self.delta),
            "rho": ledger.rho,
            "neighbours": NEIGHBOURS,
            "spent": ledger.by_stage(),
        }
        self._complete()

    def _measure_columns(
        self, columns: list[Column], frame: pd.DataFrame, ledger: Ledger, randbelow: RandBelow
    ) -> float:
        """Find bins and levels, and count them; return the standard deviation of the noise."""
        binned = sum(map(needs_bins, columns))
        unnamed = sum(map(without_levels, columns))
        for_bins = SHARES["bins of numbers"] * ledger.rho / max(binned, 1)
        for_one = SHARES["counts of each column"] * ledger.rho / len(columns)
        delta = ledger.delta / max(unnamed, 1)
        self.parts_, self.ones_ = [], []
        for column in columns:
            series = frame[column.name]
            if without_levels(column):
                ledger.pay("counts of each column", for_one, delta)
                column, counts = levels_above(column, series, for_one, delta, randbelow)
                part = Coded(column, first_cells(column))
            else:
                starts = first_cells(column)
                if needs_bins(column):
                    ledger.pay("bins of numbers", for_bins)
                    starts = bins_of(column, series, for_bins, randbelow)
                part = Coded(column, starts)
                ledger.pay("counts of each column", for_one)
                exact = histogram([part.encode(series)], [part.size])
                counts = noisy(exact, variance_of(for_one), randbelow)
            self.parts_.append(part)
            self.ones_.append(counts)
        return math.sqrt(variance_of(for_one))

    def _measure_pairs(self, frame: pd.DataFrame, ledger: Ledger, randbelow: RandBelow) -> None:
        """Choose a tree of column pairs, and count their codes, with noise."""
        codes = [part.encode(frame[part.column.name]) for part in self.parts_]
        sizes = [part.size for part in self.parts_]
        for_tree = SHARES["choice of pairs"] * ledger.rho
        for_pair = SHARES["counts of pairs"] * ledger.rho / max(len(codes) - 1, 1)
        variance = variance_of(for_pair)
        estimated = _estimated(self.parts_, self.ones_)
        ledger.pay("choice of pairs", for_tree)
        self.pairs_ = spanning_tree(codes, estimated, for_tree, math.sqrt(variance), randbelow)
        self.twos_ = []
        for i, j in self.pairs_:
            ledger.pay("counts of pairs", for_pair)
            exact = histogram([codes[i], codes[j]], [sizes[i], sizes[j]])
            self.twos_.append(noisy(exact, variance, randbelow))

    def _check_params(self) -> None:
        def number(value: Any, low: float, high: float) -> bool:
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            return is_number and low <= value <= high

        if not number(self.epsilon, 1e-6, 1e6):
            raise UsageError(
                272, f"epsilon must be a number from 0.000001 to 1,000,000, not {self.epsilon!r}"
            )
        if not number(self.delta, LEAST_DELTA, MOST_DELTA):
            wanted = f"a number from {LEAST_DELTA:g} to {MOST_DELTA:g}"
            raise UsageError(272, f"delta must be {wanted}, not {self.delta!r}")

    def _check_sizes(self, deviation: float) -> None:
        """Refuse small tables and classes by their noisy counts, and columns without levels."""
        target = self.parts_[0].column
        counts = dict(zip(target.categories, self.ones_[0].tolist(), strict=False))
        rows = sum(counts.values())
        again = "this fit has spent its epsilon and delta all the same"
        slack = min(SLACK * deviation * math.sqrt(len(counts)), LEAST_ROWS / 10)
        if rows + slack < LEAST_ROWS:
            raise DataError(
                368,
                f"the table has about {rows:,} rows (a noisy count), but differential privacy "
                f"needs about {LEAST_ROWS:,}: with fewer, noise hides most of what the table says. "
                "Give more rows, or keep the rows in-house and use another synthesizer, which has "
                f"no guarantee; {again}",
            )
        slack = min(SLACK * deviation, LEAST_CLASS_ROWS / 10)
        for label in self.classes_:
            if counts[label] + slack < LEAST_CLASS_ROWS:
                raise DataError(
                    368,
                    f"class {label!r} has about {counts[label]:,} rows (a noisy count), but "
                    f"differential privacy needs about {LEAST_CLASS_ROWS:,} of a class: leave it "
                    f"out (classes=[...], --label), or merge it with another; {again}",
                )
        for part in self.parts_:
            if not part.lost and not part.column.missing:
                raise DataError(
                    368,
                    f"column {part.column.name!r}: no level is frequent enough to be named: "
                    f"declare its levels in the schema, or drop it; {again}",
                )
            if part.lost > MOST_LEVELS:
                raise DataError(
                    368,
                    f"column {part.column.name!r} has {part.lost:,} frequent levels, at most "
                    f"{MOST_LEVELS:,} are possible: group them; {again}",
                )
        self._tell_strangers(rows, deviation)

    def _tell_strangers(self, rows: int, deviation: float) -> None:
        """Warn of columns with many cells that the schema does not allow, by their noisy counts."""
        for part, counts in zip(self.parts_, self.ones_, strict=True):
            column, strangers = part.column, int(counts[part.lost])
            if strangers <= max(STRANGERS * rows, SLACK * deviation):
                continue
            may = "may" if column.missing else "may not"
            warnings.warn(
                f"column {column.name!r}: about {strangers:,} of {rows:,} cells (noisy counts) are "
                f"not what the schema declares ({column.kind}, cells {may} be missing), so no new "
                "row has them: mend the schema or the table",
                stacklevel=5,
            )

    def _complete(self) -> None:
        """Set what follows from the measurements alone: the schema, counts and shares."""
        by_name = {part.column.name: part.column for part in self.parts_}
        given = self.schema_
        self.schema_ = Schema(tuple(by_name.get(c.name, c) for c in given.columns), given.target)
        ones = _estimated(self.parts_, self.ones_)
        classes = self.schema_.classes
        self.scope_ = dict.fromkeys(self.classes_, "all")
        rows = np.maximum(np.rint(ones[0][: len(classes)]), 1).astype(int).tolist()
        self.counts_ = dict(zip(classes, rows, strict=True))
        self._parents, self._shares = [-1] * len(ones), [np.zeros((0, 0))] * len(ones)
        known, left = [0], list(zip(self.pairs_, self.twos_, strict=True))
        self._order = []
        while left:
            place = next(k for k, (pair, _) in enumerate(left) if set(pair) & set(known))
            (i, j), counts = left.pop(place)
            parent, child = (i, j) if i in known else (j, i)
            known.append(child)
            self._order.append(child)
            self._parents[child] = parent
            counts = counts if parent == i else counts.T
            self._shares[child] = _shares(
                counts, ones[parent], ones[child], self.parts_[child].lost
            )

    # --- sampling ---------------------------------------------------------------------------------

    def _sample(self, position: int, rows: int, seed: np.random.SeedSequence) -> pd.DataFrame:
        blocks = [
            self._block(position, min(BLOCK, rows - start), child_seed(seed, start // BLOCK))
            for start in range(0, rows, BLOCK)
        ]
        codes, uniform = (np.concatenate([b[part] for b in blocks], axis=1) for part in (0, 1))
        made = {
            part.column.name: part.decode(codes[j], uniform[j])
            for j, part in enumerate(self.parts_)
            if j
        }
        features = self.schema_.features
        series = [made[c.name] if c.name in made else unlearned(c, rows) for c in features]
        return as_frame(series, [c.name for c in features], rows)

    def _block(
        self, position: int, rows: int, seed: np.random.SeedSequence
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw codes, and uniform numbers for places within bins; both (columns, rows)."""
        uniform = np.random.default_rng(seed).random((2, len(self.parts_), BLOCK))[:, :, :rows]
        codes = np.full((len(self.parts_), rows), position)
        for j in self._order:
            below = np.cumsum(self._shares[j], axis=1)
            below /= below[:, -1:]
            codes[j] = (uniform[0, j][:, None] >= below[codes[self._parents[j]]]).sum(1)
        return codes, uniform[1]

    def losses(self, table: Table, seed: np.random.SeedSequence) -> np.ndarray | None:
        codes = [part.encode(table.frame[part.column.name]) for part in self.parts_]
        losses = [
            -np.log(np.maximum(self._shares[j][codes[self._parents[j]], codes[j]], 1e-9))
            for j in self._order
        ]
        found = np.column_stack([np.sum(losses, axis=0), *losses])
        learned = [self.schema_.classes.index(label) for label in self.classes_]
        found[~np.isin(codes[0], learned)] = np.nan
        return found

    # --- the file ---------------------------------------------------------------------------------

    def check_savable(self, counts: Mapping[Any, int]) -> None:
        pass  # the file holds the declared schema and noisy counts only

    def save(self, path: str | os.PathLike[str], *, keep_class_names: bool = False) -> list[str]:
        check_flags(keep_class_names=keep_class_names)
        classes = self.schema_.classes
        tensors = {}
        for j, (part, counts) in enumerate(zip(self.parts_, self.ones_, strict=True)):
            tensors |= {f"{j}/bins/counts": counts, f"{j}/bins/starts": part.starts}
        for (i, j), counts in zip(self.pairs_, self.twos_, strict=True):
            tensors[f"{i}-{j}/bins/counts"] = counts
        header = {
            "class": type(self).__name__,
            "params": {"epsilon": self.epsilon, "delta": self.delta},
            "guarantee": self.guarantee_,
            "target": self.parts_[0].column.to_json(),
            "counts": list(self.counts_.values()),
            "positions": [classes.index(c) for c in self.classes_],
            "scope": list(self.scope_.values()),
            "columns": [c.to_json() for c in self.schema_.features],
            "pairs": [list(pair) for pair in self.pairs_],
            "coarsened": [],
        }
        write_model(path, header, tensors)
        return []

    @classmethod
    def _read(cls, header: dict[str, Any], tensors: dict[str, Any]) -> Self:
        stored = Stored(header)
        columns = tuple(entry.column() for entry in stored["columns"].entries())
        target = stored["target"].column()
        model = cls(**header["params"], schema=Schema((*columns, target), target.name))
        model._check_params()
        model.schema_ = declared(model.schema, [c.name for c in (*columns, target)], target.name)
        classes = model.schema_.classes
        positions = [p.whole(0, len(classes) - 1) for p in stored["positions"].entries()]
        model.classes_ = tuple(classes[p] for p in positions)
        model.guarantee_ = _read_guarantee(stored["guarantee"], model)
        learned: list[Column] = [target, *filter(is_learned, columns)]
        model.parts_, model.ones_ = [], []
        for j, column in enumerate(learned):
            part = Coded(column, _whole(tensors, f"{j}/bins/starts", None))
            ends = part.starts.tolist()
            if part.is_number and (ends != sorted({*ends, 0}) or ends[-1] >= cell_count(column)):
                raise ValueError(f"the bins of {column.name!r} are {ends[:8]}")
            model.parts_.append(part)
            model.ones_.append(_whole(tensors, f"{j}/bins/counts", (part.size,)))
        most = len(learned) - 1
        entries = [pair.entries(length=2) for pair in stored["pairs"].entries(length=most)]
        model.pairs_ = [(i.whole(0, most - 1), j.whole(1, most)) for i, j in entries]
        sizes = [part.size for part in model.parts_]
        model.twos_ = [
            _whole(tensors, f"{i}-{j}/bins/counts", (sizes[i], sizes[j])) for i, j in model.pairs_
        ]
        model._complete()
        if sorted(model._order) != list(range(1, len(learned))) or len(tensors) != 3 * most + 2:
            raise ValueError(f"the pairs are {model.pairs_}")
        return model


def _read_guarantee(stored: Stored, model: PrivateMarginals) -> dict[str, Any]:
    """The guarantee of a file; epsilon and delta are those of its arguments."""
    found = {
        "epsilon": stored["epsilon"].number(model.epsilon, model.epsilon),
        "delta": stored["delta"].number(model.delta, model.delta),
        "rho": stored["rho"].number(0.0),
        "neighbours": stored["neighbours"].text([NEIGHBOURS]),
    }
    return found | {"spent": {k: v.number(0.0) for k, v in stored["spent"].items()}}


def _whole(tensors: Mapping[str, Any], name: str, shape: tuple[int, ...] | None) -> np.ndarray:
    """An array of whole numbers from a file, checked."""
    found = tensors[name]
    if found.dtype != np.int64 or (shape or found.shape) != found.shape or found.ndim > 2:
        raise ValueError(f"array {name!r} is {found.dtype} of shape {found.shape}")
    if (np.abs(found) > 2**62).any():
        raise ValueError(f"array {name!r} holds a number above 2^62")
    return found


# --- from noisy counts to shares ------------------------------------------------------------------


def _estimated(parts: Sequence[Coded], ones: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Rows of each code of each column, at least 0 and with the same total, from noisy counts."""
    total = max(float(ones[0].sum()), 1.0)
    found = []
    for part, counts in zip(parts, ones, strict=True):
        counts = counts.astype(float)
        if not part.is_number and not counts[part.lost]:  # learned levels: the rest is unnamed
            counts[part.lost] = max(total - counts.sum(), 0.0)
        found.append(_projected(counts, total))
    return found


def _projected(counts: np.ndarray, total: float) -> np.ndarray:
    """The nearest counts that are at least 0 and add up to `total`."""
    ordered = np.sort(counts, axis=None)[::-1]
    excess = (np.cumsum(ordered) - total) / np.arange(1, ordered.size + 1)
    return np.maximum(counts - excess[np.flatnonzero(ordered > excess)[-1]], 0.0)


def _shares(counts: np.ndarray, parent: np.ndarray, child: np.ndarray, lost: int) -> np.ndarray:
    """Shares of the child's codes for each code of the parent, from a noisy pair of columns."""
    pair = _projected(counts.astype(float), float(parent.sum()))
    for _ in range(RAKING):
        pair *= (parent / np.maximum(pair.sum(1), 1e-9))[:, None]
        pair *= child / np.maximum(pair.sum(0), 1e-9)
    overall = child.copy()
    pair[:, lost] = overall[lost] = 0.0
    if overall.sum() <= 0:
        overall = np.arange(len(child)) != lost
    pair[pair.sum(1) <= 1e-6] = overall
    return pair / pair.sum(1, keepdims=True)
