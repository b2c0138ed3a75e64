"""What may leave: rows that keep the table's limits and the user's rules, and copy nobody."""

from __future__ import annotations

import ast
import math
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, cast, final

import numpy as np
import pandas as pd
import torch

from synthgen import cells as cell
from synthgen.column import LEVELS, NUMBERS, Column
from synthgen.device import RandomState, child_seed, seed_sequence
from synthgen.distances import Space, distinct, nearest
from synthgen.encoding import unlearned
from synthgen.errors import ConvergenceError, DataError, UsageError
from synthgen.synthesizers.base import Synthesizer
from synthgen.synthesizers.bootstrap import SmoothedBootstrap
from synthgen.synthesizers.flow import TabFlow
from synthgen.synthesizers.network import NetworkSynthesizer
from synthgen.table import Schema, Table, class_position

ROUNDS = 20
# A round draws at most so many times the rows asked for: a wrong rule must not run for hours.
MOST_DRAWN, SMALL = 5, 200
REDRAW = 1 << 20  # beyond the keys that `sample` derives from a seed
# Fewer rows of a class than this say nothing about how close two of them come by chance.
MIN_CLASS_ROWS, MAX_REAL_ROWS = 20, 5_000
NEAR_SHARE = 0.05
COPY, NEAR_COPY = "copy of a training row", "near copy of a training row"

_QUOTED = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`([^`]+)`""")
_SYNTAX = (
    *(ast.Expression, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Name, ast.Load),
    *(ast.Constant, ast.List, ast.Tuple, ast.boolop, ast.operator, ast.unaryop, ast.cmpop),
)
_REFUSED = ast.MatMult | ast.Pow | ast.LShift | ast.RShift
RowRule = str | Callable[[pd.DataFrame], Any]


@final
class Rule:
    """What must hold in every row.

    Args:
        rule: Text that compares columns, for `pandas.DataFrame.eval`, such as ``start <= end`` or
            ``stage in (1, 2) or not relapse``: columns, numbers, texts, arithmetic, comparisons,
            and/or/not, and nothing else. Names with other signs stand in backticks; times with a
            zone are compared in UTC. A row that lacks a value of a column in the text breaks no
            rule, as in SQL's CHECK. Or a function that takes a frame (a copy, the target among its
            columns) and returns a boolean for each row; a missing one counts as broken.

    Example:
        >>> frame = pd.DataFrame({"start": [1, 5], "last day": [3, 4]})
        >>> Rule("start <= `last day`").holds(frame)
        array([ True, False])
    """

    def __init__(self, rule: RowRule) -> None:
        self.text = rule if isinstance(rule, str) else getattr(rule, "__name__", repr(rule))
        self._function = None if isinstance(rule, str) else rule
        if isinstance(rule, str):
            self._expression, self._names, self._flags = _parsed(rule)
        elif not callable(rule):
            raise UsageError(251, f"a rule is text or a function, not {rule!r}")

    def holds(self, frame: pd.DataFrame) -> np.ndarray:
        """True for the rows that satisfy the rule, bool of shape (rows,).

        Raises:
            UsageError: A column is unknown, the rule fails, or yields no boolean for each row.
        """
        judged = np.ones(len(frame), dtype=bool)
        listed = ", ".join(f"{c!r} ({d})" for c, d in zip(frame, frame.dtypes, strict=True))
        try:
            if self._function is not None:
                found = self._function(frame.copy())
            else:
                known = {str(name): place for place, name in enumerate(frame.columns)}
                used = {key: frame.iloc[:, known[name]] for key, name in self._names.items()}
                for series in used.values():
                    judged &= series.notna().to_numpy(dtype=bool)
                rows = pd.DataFrame({key: _comparable(s[judged]) for key, s in used.items()})
                for key in self._flags:
                    if len(rows) and not pd.api.types.is_bool_dtype(rows[key].dtype):
                        raise TypeError(f"{self._names[key]!r} is no condition: compare it")
                found = rows.eval(self._expression, engine="python", local_dict={}, global_dict={})
            wanted = int(judged.sum())
            if not isinstance(found, pd.Series | np.ndarray) or found.shape != (wanted,):
                raise TypeError(f"it yields a {type(found).__name__}, no boolean for each row")
            if wanted and not pd.api.types.is_bool_dtype(found.dtype):
                raise TypeError(f"it yields {found.dtype}, no booleans: compare it with something")
        except KeyError as error:
            what = f"rule {self.text!r} names column {error}, which is not there"
            raise UsageError(252, f"{what}: the columns are {listed}") from error
        except Exception as error:  # whatever a user's function or comparison may raise
            what = f"rule {self.text!r} fails: {type(error).__name__}: {error}"
            raise UsageError(253, f"{what}. The columns are {listed}") from error
        holds = ~judged
        holds[judged] = pd.Series(found).fillna(False).to_numpy(dtype=bool)
        return holds


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


def _farthest(positions: np.ndarray, distances: np.ndarray) -> np.ndarray:
    return positions[np.argsort(-distances[positions], kind="stable")]


# --- rules --------------------------------------------------------------------------------------


def _parsed(text: str) -> tuple[str, dict[str, str], list[str]]:
    """The text with plain names in place of those in backticks, the column of each name, and the
    names that must be conditions of their own.

    Nothing but what is listed here reaches `pandas.DataFrame.eval`, which would also look up names
    outside (``@name``), call methods and assign.
    """
    names: dict[str, str] = {}
    flags: list[str] = []

    def stand_in(found: re.Match[str]) -> str:
        if found[1] is None:
            return found[0]  # a text
        key = f"column{len(names)}{'_' * len(text)}"  # longer than any name in the rule
        names[key] = found[1]
        return key

    expression, wrong = _QUOTED.sub(stand_in, text).strip(), ""
    try:
        nodes = list(ast.walk(ast.parse(expression, mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        nodes, wrong = [], getattr(error, "msg", "") or str(error) or "nested too deeply"
    for node in nodes:
        if not isinstance(node, _SYNTAX) or isinstance(node, _REFUSED):
            wrong = f"{type(node).__name__} is not allowed"
        elif isinstance(node, ast.Constant) and not isinstance(node.value, str | int | float):
            wrong = f"{node.value!r} is not allowed"
        elif isinstance(node, ast.Compare) and _within_a_column(node):
            wrong = "in takes a list of values, such as kind in ['a', 'b']"
        elif isinstance(node, ast.Name) and node.id.startswith("__"):
            wrong = f"the name {node.id!r} is not allowed"
        elif isinstance(node, ast.Name):
            names.setdefault(node.id, node.id)
        for joined in _joined(node):  # pandas would take numbers bit by bit
            if isinstance(joined, ast.Name):
                flags.append(joined.id)
            elif not isinstance(joined, ast.Compare) and not _joined(joined):
                wrong = "and, or, not, & and | join comparisons: put these in parentheses"
    if len(expression.splitlines()) > 1:  # which pandas would run one by one
        wrong = "it has several lines"
    if wrong or not names:
        what = f"rule {text!r} cannot be used ({wrong or 'it names no column'})"
        raise UsageError(251, f"{what}: a rule compares columns, such as 'start <= end'")
    return expression, names, flags


def _within_a_column(node: ast.Compare) -> bool:
    """Whether a row would be looked for among all rows, so that it depended on those beside it."""
    return any(
        isinstance(sign, ast.In | ast.NotIn) and not isinstance(of, ast.List | ast.Tuple)
        for sign, of in zip(node.ops, node.comparators, strict=True)
    )


def _joined(node: ast.AST) -> list[ast.expr]:
    """What a logical operator joins; nothing for any other node."""
    match node:
        case ast.BoolOp():
            return node.values
        case ast.UnaryOp(op=ast.Not() | ast.Invert()):
            return [node.operand]
        case ast.BinOp(op=ast.BitAnd() | ast.BitOr() | ast.BitXor()):
            return [node.left, node.right]
    return []


def _comparable(series: pd.Series) -> pd.Series:
    """Cells, none missing, in the dtype that compares most freely; times with a zone in UTC."""
    series = cell.tidy(series)
    if isinstance(series.dtype, pd.CategoricalDtype) and not series.dtype.ordered:
        series = series.astype(series.dtype.categories.dtype)
    if isinstance(series.dtype, pd.DatetimeTZDtype):
        series = series.dt.tz_convert("UTC").dt.tz_localize(None)
    return series.infer_objects()


# --- limits -------------------------------------------------------------------------------------


def _wrong(column: Column, series: pd.Series, may_miss: bool) -> Iterator[tuple[str, np.ndarray]]:
    """Each limit of the column, and a mask of the cells that break it."""
    series = cell.tidy(series)
    gone = series.isna().to_numpy(dtype=bool)
    if not may_miss:
        yield "missing", gone
    if column.kind == "missing":
        yield "value where the table has none", ~gone
    elif column.kind in LEVELS:
        known = pd.Index(list(column.categories), dtype=object, tupleize_cols=False)
        found = pd.Index(series.astype(object), dtype=object, tupleize_cols=False)
        yield "unknown category", ~gone & (known.get_indexer(found) < 0)
    elif column.kind in NUMBERS:
        there, lower, upper = ~gone, column.lower, column.upper
        if column.kind == "datetime":
            values, _ = column.numbers(series)
        else:
            whole = column.kind == "integer"
            values, bad = cell.numbers(series, gone, whole=whole)
            yield ("not a whole number" if whole else "not a number"), bad
            there &= ~bad
        yield "out of range", there & ((values < lower) | (values > upper))
        if column.step is not None and lower is not None:
            above = values.view(np.uint64) - np.int64(lower).view(np.uint64)
            yield "between two steps", there & (above % np.uint64(column.step) != 0)
        if column.decimals is not None:
            narrow = np.float64 if series.dtype == object else cell.numpy_type(series.dtype)
            rounded = np.round(values, column.decimals).astype(narrow)
            yield "too many decimals", there & (rounded != values.astype(narrow))
