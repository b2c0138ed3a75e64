"""What may leave: rows that keep the table's limits and the user's rules, and copy nobody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np
import pandas as pd
import torch

from synthgen.augmentation.constraints import RowRule, Rule, _wrong
from synthgen.encoding.distances import Space, distinct, nearest
from synthgen.errors import UsageError
from synthgen.tables.schema import Schema, class_position
from synthgen.tables.table import Table

# Fewer rows of a class than this say nothing about how close two of them come by chance.
MIN_CLASS_ROWS, MAX_REAL_ROWS = 20, 5_000
NEAR_SHARE = 0.05


@final
class Guard:
    """What the real rows of one class allow, learned once; it changes no row.

    - Limits: bounds, steps, decimals and categories are the schema's: those of all rows of the
      table, or set by hand. A cell may be missing only where one is in the rows that the
      synthesizer learned from: of the class, or with `learned_from_all` of the table.
    - Rules: the user's; one that more than half of the real rows break is refused as a mistake.
    - Copies: rows equal to a training row of the class. Near copies: rows as near to one as only
      5 % of the real rows are to another one, and as much nearer to it than to a second one: what
      is near to many copies none. (Where one person has several almost equal rows, these hide each
      other.) Distances are Euclidean on normal scores of the numbers; another category, and missing
      on one side only, count as sqrt(2), the usual distance of two normal numbers. Constants, IDs
      and text do not count. The yardstick is each real row of the class beside the others; below 20
      rows, each row of the table (5,000 of them at most) beside the others.

    Args:
        table: The training rows, all classes; None: there are none, `limits` and rules are all.
        label: The class.
        rules: See `Rule`.
        near_copies: Whether to learn distances.
        learned_from_all: Whether the synthesizer learned from the rows of all classes.
        limits: Limits to take in place of the table's, such as those of a model that learned from
            other rows; a cell may be missing where it says that some are.
        device: Where distances are measured.

    Attributes:
        broken: For each rule, the share of the real rows of the class that break it.
        near: The distance up to which a row is a near copy.

    Example:
        >>> frame = pd.DataFrame({"age": [31, 47, 52, 38, 29, 60], "ill": list("nnnnyy")})
        >>> guard = Guard(Table.of(frame, target="ill"), "y", rules=["age < 60"])
        >>> new = pd.DataFrame({"age": [29, 45, 60, 61], "ill": ["y", "y", "y", "y"]})
        >>> guard.reasons(new).tolist()
        ['', '', 'rule: age < 60', 'out of range: age']
        >>> guard.distances(new[:1]).tolist()[0]
        0.0
    """

    def __init__(
        self,
        table: Table | None,
        label: Any,
        *,
        rules: Sequence[RowRule] = (),
        near_copies: bool = True,
        learned_from_all: bool = False,
        limits: Schema | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        self._columns = limits.features if limits is not None else ()
        self._may_miss = {c.name: c.missing > 0 for c in self._columns}
        own, rows = np.zeros(0, dtype=bool), pd.DataFrame()
        if table is not None:
            own = table.labels == class_position(table.schema.classes, label)
            rows = table.frame[own] if own.any() else table.frame
            if limits is None:
                learned = table.frame if learned_from_all else rows
                self._columns = table.schema.features
                self._may_miss = {c.name: bool(learned[c.name].isna().any()) for c in self._columns}
        self._rules = [Rule(rule) for rule in ([rules] if isinstance(rules, str) else rules)]
        self.broken: dict[str, float] = {}
        for place, rule in enumerate(self._rules):
            if rule.text in self.broken:  # such as a second <lambda>
                rule.text = f"{rule.text} ({place + 1})"
            share = float(1 - rule.holds(rows).mean()) if len(rows) else 0.0
            self.broken[rule.text] = share
            if share > 0.5:
                what = f"rule {rule.text!r} is broken by {share:.0%} of the {len(rows)} real rows"
                raise UsageError(254, f"{what} of class {label!r}: mend it, or the table")
        self.near, self._lonely, self._copies, self._nears, self._judged = -1.0, 0.0, 0, 0, 1
        if table is not None and near_copies and own.any():
            self._learn_distances(table, np.flatnonzero(own), torch.device(device))

    def reasons(self, frame: pd.DataFrame) -> np.ndarray:
        """The first limit or rule that each row breaks, "" for none; texts of shape (rows,)."""
        found = np.full(len(frame), "", dtype=object)
        for column in self._columns:
            for what, wrong in _wrong(column, frame[column.name], self._may_miss[column.name]):
                found[wrong & (found == "")] = f"{what}: {column.name}"
        for rule in self._rules:
            fine = np.flatnonzero(found == "")  # a rule need not cope with what is wrong anyway
            if len(fine):
                holds = rule.holds(frame.iloc[fine].reset_index(drop=True))
                found[fine[~holds]] = f"rule: {rule.text}"
        return found

    def distances(self, frame: pd.DataFrame) -> np.ndarray:
        """How far each row is from the one training row of the class that it resembles.

        Infinite where it is not much nearer to one than to a second, or nothing was learned. Rows
        must keep the limits. Shape (rows,).
        """
        if self.near < 0:
            return np.full(len(frame), np.inf)
        found, ratio, _ = nearest(self._space.rows(frame), self._real)
        return np.where(ratio <= self._lonely, found, np.inf)

    def allowance(self, rows: int, seed: np.random.SeedSequence) -> tuple[int, int]:
        """How many of `rows` new rows may be copies, and how many near copies.

        As large a share as of the real rows; rounded at random, so that many small samples together
        have the same share as a large one.
        """
        spare = int(np.random.default_rng(seed).integers(self._judged))
        copies, nears = (n * rows + spare for n in (self._copies, self._nears))
        return copies // self._judged, nears // self._judged

    def admitted(self, distances: np.ndarray, allowance: tuple[int, int]) -> np.ndarray:
        """Which candidates may leave: the far ones, and of the near ones the farthest.

        Args:
            distances: Of the candidates, shape (candidates,).
            allowance: See `allowance`.
        """
        fine = distances > self.near
        fine[np.flatnonzero(distances == 0)[: allowance[0]]] = True
        near = np.flatnonzero((distances > 0) & (distances <= self.near))
        fine[_farthest(near, distances)[: allowance[1]]] = True
        return fine

    def _learn_distances(self, table: Table, own: np.ndarray, device: torch.device) -> None:
        frame, rng = table.frame, np.random.default_rng(0)
        pool = own
        if len(own) < MIN_CLASS_ROWS:
            pool = rng.permutation(len(frame))[:MAX_REAL_ROWS]
        chosen = rng.permutation(len(pool))[:MAX_REAL_ROWS]
        self._space = Space(table.schema.features, frame.iloc[pool], device=device)
        rows = self._space.rows(frame.iloc[pool])
        others, places = distinct(rows)
        self._real = others if pool is own else distinct(self._space.rows(frame.iloc[own]))[0]
        found, ratio, _ = nearest(rows.take(chosen), others, itself=places[chosen])
        twin = found == 0
        self.near, self._copies, self._judged = 0.0, int(twin.sum()), len(twin)
        if not twin.all():
            found, ratio = found[~twin], ratio[~twin]
            self.near = float(np.quantile(found, NEAR_SHARE, method="inverted_cdf"))
            self._lonely = float(np.quantile(ratio, NEAR_SHARE, method="inverted_cdf"))
            # Ties reach beyond the 5 %, so what is as near is counted.
            self._nears = int((found <= self.near).sum())


def _farthest(positions: np.ndarray, distances: np.ndarray) -> np.ndarray:
    return positions[np.argsort(-distances[positions], kind="stable")]
