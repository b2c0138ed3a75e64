"""`guarded_sample`: draws rows until enough of them pass the guard (rejection sampling)."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, cast

import numpy as np
import pandas as pd

from synthgen.augmentation.guard import Guard, farthest
from synthgen.encoding.unlearned import unlearned
from synthgen.errors import ConvergenceError, DataError, UsageError
from synthgen.seeds import RandomState, child_seed, seed_sequence
from synthgen.synthesizers.base import Synthesizer
from synthgen.synthesizers.bootstrap import SmoothedBootstrap
from synthgen.synthesizers.contents import guarantee_in_words, to_share
from synthgen.synthesizers.marginals import PrivateMarginals
from synthgen.synthesizers.network import NetworkSynthesizer
from synthgen.synthesizers.trees import SequentialTrees

ROUNDS = 20
# A round draws at most MOST_DRAWN times the rows wanted, so that a wrong rule cannot take hours.
MOST_DRAWN, SMALL = 5, 200
# From PATIENCE rounds on, found rules are dropped if fewer than LEAST_VALID of the rows that are
# valid without them are valid with them. A warning names each rule of the user that fewer than
# LEAST_VALID of the rows satisfy.
PATIENCE, LEAST_VALID = 3, 0.1
REDRAW = 1 << 20  # larger than any key that `sample` derives from a seed
RULE, FOUND = "rule: ", "found rule: "
COPY, NEAR_COPY = "copy of a training row", "near copy of a training row"


@dataclass(frozen=True, eq=False)
class Guarded:
    """New rows of one class, and the number of rejected rows.

    Attributes:
        frame: Exactly the number of rows wanted, in the format of `Synthesizer.sample`.
        refused: Number of rejected rows, by reason. A row that breaks several limits or rules
            counts for the first.
        drawn: Number of rows drawn; the last round may draw a few more than needed.
        rounds: Number of draws, 1 to 20.
        near_copies: "refused" if near copies were rejected; "accepted" if 20 rounds gave too few
            other rows, so that `frame` contains some; "allowed" if distances were not measured.
        note: Warning if near copies were accepted, found rules dropped, or few drawn rows satisfy
            a rule of the user; otherwise "".
        broken: Fraction of the real rows of the class that break each rule.
        found_rules: Rules that all real rows satisfy, and that the new rows satisfy too.
        restored: Number of drawn rows in which a cell was restored to satisfy a found rule.
        copies: Share of the new rows that equal a training row in all learned columns.
    """

    frame: pd.DataFrame
    refused: dict[str, int]
    drawn: int
    rounds: int
    near_copies: Literal["refused", "accepted", "allowed"]
    note: str
    broken: dict[str, float]
    found_rules: tuple[str, ...] = ()
    restored: int = 0
    copies: float = 0.0

    def summary(self) -> dict[str, Any]:
        """Everything except the rows, as plain values for JSON."""
        names = ("drawn", "rounds", "refused", "near_copies", "note", "restored", "copies")
        found = {name: getattr(self, name) for name in names}
        return found | {
            "broken_by_real_rows": self.broken,
            "found_rules": list(self.found_rules),
        }


def guarded_sample(
    synthesizer: Synthesizer,
    n_samples: int,
    guard: Guard | None = None,
    *,
    random_state: RandomState = None,
    near_copies: bool | None = None,
    where: Mapping[Any, Any] | None = None,
) -> Guarded:
    """Sample exactly `n_samples` rows of a class that pass a `Guard`."""
    seed = seed_sequence(random_state)
    if guard is None:
        guard = Guard(None, None, limits=synthesizer.schema_)
    if guard.has_rows and isinstance(synthesizer, PrivateMarginals):
        raise UsageError(
            273,
            "this call compares new rows with real ones, which would break the "
            "differential-privacy guarantee of PrivateMarginals: use `synthgen fit` and `synthgen "
            "sample`, or another synthesizer",
        )
    label = None if guard.label is None else synthesizer.learned_class(guard.label)
    _check_columns(guard, synthesizer)
    draw = partial(synthesizer.sample, where=where)
    made = draw(n_samples, label=label, random_state=seed)
    scopes, resampled = {}, isinstance(synthesizer, SmoothedBootstrap)
    if isinstance(synthesizer, NetworkSynthesizer | SequentialTrees):
        scopes, resampled = synthesizer.scope_, label in synthesizer.fallback_
    if near_copies is None:
        near_copies = not resampled
    if near_copies:
        of_network = isinstance(synthesizer, NetworkSynthesizer)
        guard.learn_distances(synthesizer.device_ if of_network else "cpu")
    of_all = scopes.get(label, "class") != "class"
    exact = resampled and not near_copies and guard.has_rows
    if isinstance(synthesizer, SmoothedBootstrap):  # without noise it is asked for copies
        exact = exact and synthesizer.bandwidth > 0
    draws = _Draws(guard, n_samples, child_seed(seed, REDRAW), near_copies, of_all, exact)
    draws, given_up = _filled(draws, made, partial(draw, label=label), seed)
    if given_up and not isinstance(synthesizer, SequentialTrees):
        given_up += ". Trees satisfy more of them: synthesizer='trees'"
    notes = [given_up, draws.selection()]  # before `result` subtracts the accepted near copies
    who = "" if label is None else f"class {label!r}: "
    frame, refused, note = draws.result(who)
    if exact:
        rng = np.random.default_rng(child_seed(seed, REDRAW, ROUNDS))
        frame = guard.moved(frame, draws.allowance[0], rng, learned_from_all=of_all)
    equal = float(guard.equal(frame).mean()) if guard.has_rows and n_samples else 0.0
    note = ". ".join(who + part for part in (*notes, note) if part)
    if draws.rounds > 1:  # each draw numbers its IDs from the same start, so number them anew
        for place, column in enumerate(synthesizer.schema_.features):
            if column.kind == "id":
                frame.isetitem(place, cast(Any, unlearned(column, n_samples)))
    if note:
        warnings.warn(note, UserWarning, stacklevel=2)
    state = "accepted" if draws.accepted else "refused" if draws.measured else "allowed"
    counts = (draws.drawn, draws.rounds, "allowed" if exact else state, note, guard.broken)
    rules = tuple(rule.text for rule in draws.guard.found)
    return Guarded(frame, refused, *counts, rules, draws.restored, equal)


def sample_model(
    synthesizer: Synthesizer,
    n_samples: int,
    *,
    label: Any = None,
    where: Mapping[Any, Any] | None = None,
    rules: Sequence[str] = (),
    random_state: RandomState = None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Sample rows of a model file, without the rows that it was trained on."""
    guard = Guard(None, label, rules=rules, limits=synthesizer.schema_)
    guarded = guarded_sample(synthesizer, n_samples, guard, random_state=random_state, where=where)
    counts = guarded.frame[synthesizer.schema_.target].value_counts()
    return guarded.frame, {
        "rows": n_samples,
        "counts": {str(c): int(n) for c, n in counts.items() if n},
        "guard": guarded.summary(),
        "share": to_share(type(synthesizer).__name__),
        "guarantee": guarantee_in_words(getattr(synthesizer, "guarantee_", None)),
    }


def _check_columns(guard: Guard, synthesizer: Synthesizer) -> None:
    lacking = set(guard.columns) - {c.name for c in synthesizer.schema_.features}
    if lacking:
        name = next(name for name in guard.columns if name in lacking)
        what = f"the table has column {name!r}, which the synthesizer did not learn"
        raise DataError(361, f"{what}: give the training table, or fit again")


def _filled(
    draws: _Draws,
    made: pd.DataFrame,
    draw: Callable[..., pd.DataFrame],
    seed: np.random.SeedSequence,
) -> tuple[_Draws, str]:
    """Draw until there are enough rows; return the draws, and why found rules were dropped."""
    given_up = ""
    draws.add(made)
    while draws.missing > 0 and draws.rounds < ROUNDS:
        again = child_seed(seed, REDRAW, draws.rounds)
        draws.add(draw(draws.wanted(), random_state=again))
        if draws.rounds >= PATIENCE and draws.found_rules_refuse:
            given_up = _given_up(draws)
            draws = draws.without_found_rules()
            draws.add(made)
    return draws, given_up


def _given_up(draws: _Draws) -> str:
    """Write the warning that says why found rules were dropped."""
    worst = next((why for why, _ in draws.seen.most_common() if why.startswith(FOUND)), "")
    most = f" (most break {worst.removeprefix(FOUND)!r})" if worst else ""
    return (
        f"{draws.allowed:,} of {draws.drawn:,} drawn rows respect the limits and the rules given, "
        f"but only {draws.valid:,} if they must also satisfy the rules that all real rows satisfy"
        f"{most}, so the latter are not enforced"
    )


class _Draws:
    """The rows drawn so far, which of them are accepted, and why the others were rejected.

    Attributes:
        measured: Whether distances to training rows are known.
        drawn: Number of rows drawn.
        valid: Number of drawn rows that respect limits and rules.
        allowed: Number of drawn rows that respect limits and the user's rules, as drawn or with
            restored cells.
        restored: Number of rows with a restored cell.
        accepted: Whether near copies were accepted because too few other rows were left.
        rounds: Number of draws so far.
    """

    def __init__(
        self,
        guard: Guard,
        rows: int,
        seed: np.random.SeedSequence,
        near_copies: bool,
        of_all: bool,
        exact: bool,
    ) -> None:
        self.guard, self.rows, self._of_all = guard, rows, of_all
        self._given = (rows, seed, near_copies, of_all, exact)
        self.measured = near_copies and guard.near >= 0
        self.exact = exact
        self.near = 0.0 if exact else guard.near if self.measured else -1.0
        # As many copies as rows of the class repeat others: fewer would change what is frequent.
        copies = round(guard.repeats() * rows) if exact else 0
        self.allowance = (copies, 0) if exact else guard.allowance(rows, seed)
        self.frame = pd.DataFrame()
        self.distances = np.zeros(0)
        self.fine = np.zeros(0, dtype=bool)
        self.seen: Counter[str] = Counter()
        self.drawn = self.valid = self.allowed = self.rounds = self.restored = 0
        self.accepted = False

    def without_found_rules(self) -> _Draws:
        """A fresh start that does not check found rules."""
        return _Draws(self.guard.without_found_rules(), *self._given)

    @property
    def found_rules_refuse(self) -> bool:
        """Whether found rules refuse nearly all rows that limits and the user's rules accept."""
        enough = self.allowed >= 1 / LEAST_VALID
        return bool(self.guard.found) and enough and self.valid < LEAST_VALID * self.allowed

    def selection(self) -> str:
        """A warning that names the user's rules that few of the drawn rows satisfy."""
        found, few = self.seen, []
        kept = self.valid + sum(n for why, n in found.items() if why.startswith(FOUND))
        for rule in reversed(self.guard.broken):  # a row counts for the first rule that it breaks
            judged = kept + found[RULE + rule]
            if kept + 1 < LEAST_VALID * (judged + 2):
                share = f"{kept / judged:.1%}"
                few.append(
                    f"only {share} of the drawn rows within the limits satisfy rule {rule!r}"
                )
            kept = judged
        if not few:
            return ""
        return (
            f"{', and '.join(reversed(few))}: the new rows are a small selection of what the "
            f"synthesizer draws, so their distribution may be distorted"
        )

    @property
    def missing(self) -> int:
        return self.rows - int(self.fine.sum())

    def wanted(self) -> int:
        """Number of rows to draw next, estimated from the fraction accepted so far."""
        good, valid = ((n + 1) / (self.drawn + 2) for n in (self.fine.sum(), self.valid))
        most = max(self.rows, SMALL)
        return math.ceil(min(1.1 * self.missing / good, most / valid, MOST_DRAWN * most))

    def add(self, made: pd.DataFrame) -> None:
        """Check one more draw; keep its valid rows and the best of the earlier ones."""
        drawn = made
        made, mended = self.guard.mended(made)
        self.restored += mended
        reasons = self.guard.reasons(made, learned_from_all=self._of_all)
        good = made[reasons == ""]
        self.allowed += len(good)
        if self.guard.found:  # a restored cell may break a limit or another rule
            free = self.guard.without_found_rules()
            rest = free.reasons(drawn[reasons != ""], learned_from_all=self._of_all)
            self.allowed += int((rest == "").sum())
        distances = self.guard.distances(good) if self.measured else np.full(len(good), np.inf)
        if self.exact:
            distances = np.where(self.guard.equal(good), 0.0, np.inf)
        self.rounds += 1
        self.drawn += len(made)
        self.valid += len(good)
        self.seen.update(reasons[reasons != ""])
        self.seen.update(self._near(distances))
        keep = np.sort(np.append(np.flatnonzero(self.fine), self._next()))
        parts = [part for part in (self.frame.iloc[keep], good) if len(part)]
        self.frame = pd.concat(parts, ignore_index=True) if parts else good
        self.distances = np.append(self.distances[keep], distances)
        if self.exact:
            self.fine = self.distances > 0
            self.fine[np.flatnonzero(~self.fine)[: self.allowance[0]]] = True
        else:
            self.fine = self.guard.admitted(self.distances, self.allowance)

    def result(self, who: str) -> tuple[pd.DataFrame, dict[str, int], str]:
        """The rows, the number rejected by reason, and a warning if near copies were accepted."""
        note, accepted = "", self._next()
        if len(accepted) < self.missing:
            counts = ", ".join(f"{why} ({n})" for why, n in self.seen.most_common() if n)
            raise ConvergenceError(
                611,
                f"{who}{self.valid} of {self.drawn} rows drawn in {self.rounds} rounds "
                f"satisfy the table's limits and the rules, but {self.rows} are needed. Refused: "
                f"{counts}. Loosen the rule that refuses most, train longer, or ask for fewer rows",
            )
        if len(accepted):
            self.accepted = not self.exact
            self.fine[accepted] = True
        if self.accepted:
            copies = int((self.distances[self.fine] == 0).sum())
            note = (
                f"{len(accepted)} of {self.rows} new rows are nearer to training "
                f"rows than real rows are to each other ({copies} are copies), because "
                f"{self.rounds} rounds gave too few other rows. Train on more rows or for fewer "
                f"steps"
            )
        self.seen.subtract(self._near(self.distances[self.fine]))
        refused = {why: n for why, n in self.seen.most_common() if n > 0}
        chosen = np.flatnonzero(self.fine)[: self.rows]
        return self.frame.iloc[chosen].reset_index(drop=True), refused, note

    def _next(self) -> np.ndarray:
        """Positions of rejected near copies to accept if rows are missing, the farthest first."""
        rest = farthest(np.flatnonzero(~self.fine), self.distances)
        return rest[: max(self.missing, 0)]

    def _near(self, distances: np.ndarray) -> dict[str, int]:
        copies = int(((distances == 0) & (distances <= self.near)).sum())
        return {COPY: copies, NEAR_COPY: int((distances <= self.near).sum()) - copies}
