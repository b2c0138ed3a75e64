"""TODO docstring."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, cast

import numpy as np
import pandas as pd

from synthgen.augmentation.constraints import RowRule
from synthgen.augmentation.guard import Guard, _farthest
from synthgen.encoding.unlearned import unlearned
from synthgen.errors import ConvergenceError, DataError, UsageError
from synthgen.seeds import RandomState, child_seed, seed_sequence
from synthgen.synthesizers.base import Synthesizer
from synthgen.synthesizers.bootstrap import SmoothedBootstrap
from synthgen.synthesizers.flow import TabFlow
from synthgen.synthesizers.network import NetworkSynthesizer
from synthgen.tables.schema import Schema
from synthgen.tables.table import Table

ROUNDS = 20
# A round draws at most so many times the rows asked for: a wrong rule must not run for hours.
MOST_DRAWN, SMALL = 5, 200
REDRAW = 1 << 20  # beyond the keys that `sample` derives from a seed
COPY, NEAR_COPY = "copy of a training row", "near copy of a training row"


@dataclass(frozen=True, eq=False)
class Guarded:
    """New rows of one class, and what was refused on the way to them.

    Attributes:
        frame: Exactly the rows asked for, as `Synthesizer.sample` gives them.
        refused: Rows refused, by reason; a row counts once, for the first limit or rule it breaks.
        drawn: Rows drawn in all; in the last round perhaps some more than were needed.
        rounds: Draws, 1 to 20.
        near_copies: "refused", "lifted" (refused, until 20 rounds did not yield enough rows; the
            farthest of them fill the place), or "allowed" (nothing was measured).
        note: A sentence where they were lifted, else empty.
        broken: For each rule, the share of the real rows of the class that break it.
    """

    frame: pd.DataFrame
    refused: dict[str, int]
    drawn: int
    rounds: int
    near_copies: Literal["refused", "lifted", "allowed"]
    note: str
    broken: dict[str, float]

    def summary(self) -> dict[str, Any]:
        """All but the rows, in plain values for JSON."""
        names = ("drawn", "rounds", "refused", "near_copies", "note")
        return {name: getattr(self, name) for name in names} | {"broken_by_real_rows": self.broken}


def guarded_sample(
    synthesizer: Synthesizer,
    n_samples: int,
    *,
    label: Any,
    table: Table | None,
    rules: Sequence[RowRule] = (),
    random_state: RandomState = None,
    near_copies: bool | None = None,
    limits: Schema | None = None,
    where: Mapping[Any, Any] | None = None,
) -> Guarded:
    """Exactly `n_samples` rows of the class, each within the limits and rules of `Guard`.

    Copies and near copies may make up as large a share as among real rows; the rest is refused, the
    closest first. What is refused is drawn again, in 20 rounds at most. Then near copies are let
    through, with a warning, but never a row that breaks a limit or a rule. Where nothing is
    refused, the rows are those of ``synthesizer.sample`` with the same seed.

    Args:
        synthesizer: Fitted.
        n_samples: Rows to make, at least 1.
        label: One of the synthesizer's `classes_`; None, which needs that `table` is None: any.
        table: Its training rows, or the rows that its output will stand beside. None: there are
            none, so that no copy is known, and limits are those that the synthesizer learned.
        rules: See `Rule`.
        random_state: Seed.
        near_copies: Whether to refuse near copies; None: unless a `SmoothedBootstrap` makes the
            rows, whose rows are near copies by design.
        limits: See `Guard`.
        where: See `TabFlow.sample`; no other synthesizer takes it.

    Raises:
        UsageError: A rule cannot be what it is, see `Rule` and `Guard`; the synthesizer knows no
            `where`; or see `sample`.
        DataError: The synthesizer lacks a column of the table.
        ConvergenceError: Limits and rules left too few rows after 20 rounds.

    Example:
        >>> frame = pd.DataFrame({"dose": [1.0, 1.5, 2.5, 9.0, 9.5, 7.25], "ill": list("nnnnyy")})
        >>> model = SmoothedBootstrap().fit(frame[["dose"]], frame["ill"])
        >>> table = Table.of(frame, target="ill")
        >>> made = guarded_sample(
        ...     model, 4, label="y", table=table, rules=["dose != 9.5"], random_state=0
        ... )
        >>> len(made.frame), made.near_copies, list(made.refused)
        (4, 'allowed', ['rule: dose != 9.5'])
    """
    seed = seed_sequence(random_state)
    draw: Callable[..., pd.DataFrame] = synthesizer.sample
    if where:
        if not isinstance(synthesizer, TabFlow):
            kind = type(synthesizer).__name__
            raise UsageError(237, f"{kind} knows no where: use tabflow, or choose among its rows")
        draw = partial(synthesizer.sample, where=where)
    made = draw(n_samples, label=label, random_state=seed)
    if label is not None or table is not None:
        label = synthesizer.learned_class(label)
    features = synthesizer.schema_.features if table is None else table.schema.features
    lacking = [c.name for c in features if c.name not in made.columns]
    if lacking:
        what = f"the table has column {lacking[0]!r}, which the synthesizer did not learn"
        raise DataError(361, f"{what}: give the training table, or fit again")
    network = synthesizer if isinstance(synthesizer, NetworkSynthesizer) else None
    if table is None and limits is None:
        limits = synthesizer.schema_
    if near_copies is None:
        resampled = network is not None and label in network.fallback_
        near_copies = not (resampled or isinstance(synthesizer, SmoothedBootstrap))
    guard = Guard(
        table,
        label,
        rules=rules,
        near_copies=near_copies,
        learned_from_all=network is not None and network.scope_.get(label, "class") != "class",
        limits=limits,
        device="cpu" if network is None else network.device_,
    )
    draws = _Draws(guard, n_samples, guard.allowance(n_samples, child_seed(seed, REDRAW)))
    draws.add(made)
    while draws.missing > 0 and draws.rounds < ROUNDS:
        again = child_seed(seed, REDRAW, draws.rounds)
        draws.add(draw(draws.wanted(), label=label, random_state=again))
    frame, refused, note = draws.result(label)
    if draws.rounds > 1:  # each draw counts its IDs from the same number
        for place, column in enumerate(synthesizer.schema_.features):
            if column.kind == "id":
                frame.isetitem(place, cast(Any, unlearned(column, n_samples)))
    if note:
        warnings.warn(note, UserWarning, stacklevel=2)
    state = "lifted" if note else "refused" if guard.near >= 0 else "allowed"
    return Guarded(frame, refused, draws.drawn, draws.rounds, state, note, guard.broken)


@dataclass
class _Draws:
    """What was drawn so far: the counts, and of the rows within limits those of use."""

    guard: Guard
    rows: int  # asked for
    allowance: tuple[int, int]
    frame: pd.DataFrame = field(default_factory=pd.DataFrame)
    distances: np.ndarray = field(default_factory=lambda: np.zeros(0))
    fine: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    seen: Counter[str] = field(default_factory=Counter)
    drawn: int = 0
    valid: int = 0
    rounds: int = 0

    @property
    def missing(self) -> int:
        return self.rows - int(self.fine.sum())

    def wanted(self) -> int:
        """Rows for the next round, by the share that was good so far."""
        good, valid = ((n + 1) / (self.drawn + 2) for n in (self.fine.sum(), self.valid))
        most = max(self.rows, SMALL)
        return math.ceil(min(1.1 * self.missing / good, most / valid, MOST_DRAWN * most))

    def add(self, made: pd.DataFrame) -> None:
        reasons = self.guard.reasons(made)
        good = made[reasons == ""]
        distances = self.guard.distances(good)
        self.rounds += 1
        self.drawn += len(made)
        self.valid += len(good)
        self.seen.update(reasons[reasons != ""])
        self.seen.update(self._near(distances))
        keep = np.sort(np.append(np.flatnonzero(self.fine), self._next()))
        parts = [part for part in (self.frame.iloc[keep], good) if len(part)]
        self.frame = pd.concat(parts, ignore_index=True) if parts else good
        self.distances = np.append(self.distances[keep], distances)
        self.fine = self.guard.admitted(self.distances, self.allowance)

    def result(self, label: Any) -> tuple[pd.DataFrame, dict[str, int], str]:
        """The rows, the refused ones by reason, and a sentence if near copies were let through."""
        note, lifted = "", self._next()
        who = "" if label is None else f"class {label!r}: "
        if len(lifted) < self.missing:
            counts = ", ".join(f"{why} ({n})" for why, n in self.seen.most_common() if n)
            raise ConvergenceError(
                611,
                f"{who}{self.valid} of {self.drawn} rows drawn in {self.rounds} rounds "
                f"keep to the table's limits and the rules, but {self.rows} are needed. Refused: "
                f"{counts}. Loosen the rule that refuses most, train longer, or ask for fewer",
            )
        if len(lifted):
            self.fine[lifted] = True
            copies = int((self.distances[self.fine] == 0).sum())
            note = (
                f"{who}{len(lifted)} of {self.rows} new rows are nearer to training "
                f"rows than real rows are to each other ({copies} are copies), as {self.rounds} "
                f"rounds yielded too few others: train on more rows or for fewer steps"
            )
        self.seen.subtract(self._near(self.distances[self.fine]))
        refused = {why: n for why, n in self.seen.most_common() if n > 0}
        chosen = np.flatnonzero(self.fine)[: self.rows]
        return self.frame.iloc[chosen].reset_index(drop=True), refused, note

    def _next(self) -> np.ndarray:
        """The refused rows that would fill the place of the missing ones, by position."""
        rest = _farthest(np.flatnonzero(~self.fine), self.distances)
        return rest[: max(self.missing, 0)]

    def _near(self, distances: np.ndarray) -> dict[str, int]:
        copies = int(((distances == 0) & (distances <= self.guard.near)).sum())
        return {COPY: copies, NEAR_COPY: int((distances <= self.guard.near).sum()) - copies}
