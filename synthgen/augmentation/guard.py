"""`Guard`: checks new rows for column limits, rules, and copies of training rows."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Sequence
from typing import Any, Self, final

import numpy as np
import pandas as pd
import torch

from synthgen.augmentation.constraints import RowRule, Rule, violations
from synthgen.encoding.disclosure import PRIVATE_ROWS
from synthgen.encoding.distances import COUNTED, Space, distinct, nearest
from synthgen.encoding.matrix import Matrix
from synthgen.encoding.rules import FoundRule, find_rules_of_class, restored
from synthgen.errors import UsageError
from synthgen.tables.column import LEVELS, Column
from synthgen.tables.schema import Schema, class_position
from synthgen.tables.table import Table

# Below MIN_CLASS_ROWS, a class is too small to estimate how close two of its rows are by chance.
MIN_CLASS_ROWS, MAX_REAL_ROWS = 20, 5_000
NEAR_SHARE = 0.05
# For each column, at most this many trials to move a cell of a copy.
MOVES = 20


@final
class Guard:
    """Checks new rows of one class: limits, rules and copies of its training rows.

    - Limits: bounds, steps, decimals and categories of the schema. A cell may be missing only in a
      column in which the synthesizer's training rows have missing cells.
    - Rules: given by the user. A rule that more than half of the real rows break is taken for a
      mistake and raises an error.
    - Found rules: rules that all real rows satisfy, and not by chance, see `find_rules`. They are
      searched in the rows of all classes and in those of this class. If other columns determine a
      cell that breaks a found rule, `mended` restores the cell; otherwise the row is rejected.
    - Copies: rows equal to a training row of the class. Near copies: rows closer to a training row
      than 95 % of the real rows are to their nearest neighbour, and much closer to it than to the
      second nearest. So rows close to several training rows do not count as copies; for the same
      reason, a copy of one of several almost equal rows (such as one person's) is not detected.

    Distances are Euclidean on normal scores of the numbers. A different category, or a cell missing
    in one row only, adds sqrt(2), the typical distance between two standard normal numbers.
    Constants, IDs and text are ignored. The 95 % are estimated from the rows of the class, or, if
    it has fewer than 20, from up to 5,000 rows of all classes.

    Attributes:
        label: The class.
        broken: Fraction of the real rows of the class that break each rule, by text of the rule.
        found: The found rules.
        near: Largest distance of a near copy; -1 before `learn_distances`.
        space: The space in which rows are compared; set by `learn_distances`.
        real: The different real rows of the class in `space`; set by `learn_distances`.
    """

    def __init__(
        self,
        table: Table | None,
        label: Any,
        *,
        rules: Sequence[RowRule] = (),
        limits: Schema | None = None,
        found_rules: bool = True,
    ) -> None:
        self.label = label
        self._table = table
        rows, own = pd.DataFrame(), np.zeros(0, dtype=np.int64)
        if table is not None:
            own = np.flatnonzero(table.labels == class_position(table.schema.classes, label))
            rows = table.frame.iloc[own] if len(own) else table.frame
        self._own = own
        if limits is not None:
            self._columns = limits.features
            self._missing_in_class = self._missing_in_all = {
                c.name: c.missing > 0 for c in self._columns
            }
        elif table is not None:
            self._columns = table.schema.features
            self._missing_in_class = {
                c.name: bool(rows[c.name].isna().any()) for c in self._columns
            }
            self._missing_in_all = {
                c.name: bool(table.frame[c.name].isna().any()) for c in self._columns
            }
        else:
            self._columns, self._missing_in_class, self._missing_in_all = (), {}, {}
        self._rules = [Rule(rule) for rule in ([rules] if isinstance(rules, str) else rules)]
        self.broken: dict[str, float] = {}
        for place, rule in enumerate(self._rules):
            if rule.text in self.broken:  # for instance, a second <lambda>
                rule.text = f"{rule.text} ({place + 1})"
            share = float(1 - rule.holds(rows).mean()) if len(rows) else 0.0
            self.broken[rule.text] = share
            if share > 0.5:
                what = f"rule {rule.text!r} is broken by {share:.0%} of the {len(rows)} real rows"
                raise UsageError(254, f"{what} of class {label!r}: correct the rule or the table")
        self.found: list[FoundRule] = []
        if found_rules and table is not None:
            known = {c.name for c in self._columns}
            self._matrix = Matrix.of(table.schema)
            if all(c.name in known for c in self._matrix.columns):
                self.found = find_rules_of_class(self._matrix, self._matrix.cells(table), own)
        self._keys: np.ndarray | None = None
        self.near, self._lonely, self._copies, self._nears, self._judged = -1.0, 0.0, 0, 0, 1

    @property
    def has_rows(self) -> bool:
        """Whether new rows are compared with real ones."""
        return self._table is not None

    @property
    def columns(self) -> tuple[Hashable, ...]:
        """Names of the checked columns."""
        return tuple(column.name for column in self._columns)

    def reasons(self, frame: pd.DataFrame, *, learned_from_all: bool = False) -> np.ndarray:
        """The first limit or rule that each row breaks."""
        found = np.full(len(frame), "", dtype=object)
        may_miss = self._missing_in_all if learned_from_all else self._missing_in_class
        for column in self._columns:
            for what, wrong in violations(column, frame[column.name], may_miss[column.name]):
                found[wrong & (found == "")] = f"{what}: {column.name}"
        for rule in self._rules:
            fine = np.flatnonzero(found == "")  # a rule is not evaluated on rows already rejected
            if len(fine):
                holds = rule.holds(frame.iloc[fine].reset_index(drop=True))
                found[fine[~holds]] = f"rule: {rule.text}"
        if self.found and (found == "").any():
            cells = self._matrix.cells(frame)
            for rule in self.found:
                found[rule.broken(cells) & (found == "")] = f"found rule: {rule.text}"
        return found

    def mended(self, frame: pd.DataFrame) -> tuple[pd.DataFrame, int]:
        """Restore the cells that found rules determine."""
        if not any(rule.value for rule in self.found):
            return frame, 0
        cells, changed = restored(self.found, self._matrix.cells(frame))
        frame = frame.copy(deep=False)
        for j in np.flatnonzero(changed.any(axis=0)):
            frame[self._matrix.columns[j].name] = _with_cells(
                self._matrix.columns[j],
                frame[self._matrix.columns[j].name],
                cells[:, j],
                changed[:, j],
            )
        return frame, int(changed.any(axis=1).sum())

    def without_found_rules(self) -> Self:
        """A copy of the guard that does not check found rules."""
        other = copy.copy(self)
        other.found = []
        return other

    def distances(self, frame: pd.DataFrame) -> np.ndarray:
        """Distance of each row to its nearest training row of the class."""
        if self.near < 0:
            return np.full(len(frame), np.inf)
        found, ratio, _ = nearest(self.space.rows(frame), self.real)
        return np.where(ratio <= self._lonely, found, np.inf)

    def equal(self, frame: pd.DataFrame) -> np.ndarray:
        """Whether each row equals a training row of any class in all compared columns."""
        names = [c.name for c in self._columns if c.kind in COUNTED]
        if self._table is None or not names:
            return np.zeros(len(frame), dtype=bool)
        if self._keys is None:
            self._keys = _keys(self._table.frame[names])
        return np.isin(_keys(frame[names]), self._keys)

    def repeats(self) -> float:
        """Share of the class's rows that equal another training row: columns leave no more room."""
        if self._table is None or not len(self._own):
            return 0.0
        self.equal(self._table.frame[:1])  # makes the keys
        if self._keys is None:
            return 0.0
        _, place, counts = np.unique(self._keys, return_inverse=True, return_counts=True)
        repeated = counts[place[self._own]] > 1
        return float(repeated.mean()) if repeated.sum() >= PRIVATE_ROWS else 0.0

    def moved(
        self, frame: pd.DataFrame, kept: int, rng: np.random.Generator, *, learned_from_all: bool
    ) -> pd.DataFrame:
        """Give each row but `kept` that equals a training row a cell of another row of the class.

        A row stays as it is if in `MOVES` trials no cell leads to a valid row that is new.
        """
        columns = [c.name for c in self._columns if c.kind in COUNTED]
        table, frame = self._table, frame.copy()
        at = np.flatnonzero(self.equal(frame))[kept:]
        if table is None or not len(self._own):
            return frame
        for _ in range(MOVES * len(columns)):
            if not len(at):
                break
            name = columns[int(rng.integers(len(columns)))]
            donors = table.frame[name].iloc[self._own[rng.integers(len(self._own), size=len(at))]]
            trial = frame.iloc[at].reset_index(drop=True)
            trial[name] = donors.reset_index(drop=True)
            fine = self.reasons(trial, learned_from_all=learned_from_all) == ""
            fine &= ~self.equal(trial)
            whole = pd.concat([frame[name].drop(at[fine]), trial[name][fine].set_axis(at[fine])])
            frame[name] = whole.sort_index().astype(frame[name].dtype)
            at = at[~fine]
        return frame

    def allowance(self, rows: int, seed: np.random.SeedSequence) -> tuple[int, int]:
        """Number of copies and of near copies allowed among `rows` new rows.

        Their fractions equal those among real rows. The numbers are rounded at random, so that
        many small samples have the same expected fraction as one large sample.
        """
        spare = int(np.random.default_rng(seed).integers(self._judged))
        copies, nears = (n * rows + spare for n in (self._copies, self._nears))
        return copies // self._judged, nears // self._judged

    def admitted(self, distances: np.ndarray, allowance: tuple[int, int]) -> np.ndarray:
        """Which candidates to keep: all far ones, and as many copies as allowed."""
        fine = distances > self.near
        fine[np.flatnonzero(distances == 0)[: allowance[0]]] = True
        near = np.flatnonzero((distances > 0) & (distances <= self.near))
        fine[farthest(near, distances)[: allowance[1]]] = True
        return fine

    def learn_distances(self, device: str | torch.device = "cpu") -> None:
        """Measure the distances between real rows; later calls do nothing."""
        table, own = self._table, self._own
        if self.near >= 0 or table is None or not len(own):
            return
        frame, rng = table.frame, np.random.default_rng(0)
        pool = own
        if len(own) < MIN_CLASS_ROWS:
            pool = rng.permutation(len(frame))[:MAX_REAL_ROWS]
        chosen = rng.permutation(len(pool))[:MAX_REAL_ROWS]
        self.space = Space(table.schema.features, frame.iloc[pool], device=torch.device(device))
        rows = self.space.rows(frame.iloc[pool])
        others, places = distinct(rows)
        self.real = others if pool is own else distinct(self.space.rows(frame.iloc[own]))[0]
        found, ratio, _ = nearest(rows.take(chosen), others, itself=places[chosen])
        twin = found == 0
        self.near, self._copies, self._judged = 0.0, int(twin.sum()), len(twin)
        if not twin.all():
            found, ratio = found[~twin], ratio[~twin]
            self.near = float(np.quantile(found, NEAR_SHARE, method="inverted_cdf"))
            self._lonely = float(np.quantile(ratio, NEAR_SHARE, method="inverted_cdf"))
            # With ties, more than 5 % of the rows can be this close, so count them.
            self._nears = int((found <= self.near).sum())


def _keys(frame: pd.DataFrame) -> np.ndarray:
    """A hash of each row, the same for equal rows; 0.0 and -0.0 are equal."""
    parts = []
    for place in range(frame.shape[1]):
        series = frame.iloc[:, place]
        if pd.api.types.is_float_dtype(series.dtype):
            series = series + 0.0
        if series.dtype in ("category", object):  # lone surrogates have no hash as text
            series = series.astype(object).map(_hashable)
        parts.append(series)
    whole = pd.concat(parts, axis=1)
    return pd.util.hash_pandas_object(whole, index=False).to_numpy()


def _hashable(cell: Any) -> Any:
    return cell.encode("utf-8", "surrogatepass") if isinstance(cell, str) else cell


def _with_cells(
    column: Column, series: pd.Series, values: np.ndarray, changed: np.ndarray
) -> pd.Series:
    """Replace the cells at `changed` by `values`, which are coded as in `Matrix.cells`."""
    values, gone = values[changed], np.isnan(values[changed])
    if column.kind in LEVELS:
        new = column.restore(np.where(gone, -1, values).astype(np.int64))
    else:
        values = np.where(gone, 0.0, values)
        if column.kind != "numeric":
            values = np.rint(values).astype(np.int64)
        elif column.decimals is not None:
            values = np.round(values, column.decimals)
        new = column.restore(values, gone)
    whole = pd.concat(
        [series.reset_index(drop=True)[~changed], new.set_axis(np.flatnonzero(changed))]
    )
    return whole.sort_index().astype(series.dtype).set_axis(series.index)


def farthest(positions: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """Sort `positions` by decreasing distance."""
    return positions[np.argsort(-distances[positions], kind="stable")]
