"""What synthetic rows are worth: fidelity, utility and privacy, each beside its reference."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from scipy.special import ndtri

from synthgen import cells as cell
from synthgen.column import LEVELS, Column
from synthgen.device import child_seed, seed_sequence
from synthgen.encoding import as_frame
from synthgen.errors import DataError, UsageError
from synthgen.inference import check_frame
from synthgen.metrics.fidelity import fidelity, target_correlation
from synthgen.metrics.judges import DEFAULT_JUDGES, check_judges
from synthgen.metrics.privacy import privacy
from synthgen.metrics.rows import Space
from synthgen.metrics.score import Part, Score
from synthgen.metrics.utility import utility
from synthgen.table import Schema, Table, class_position

Outcome = Literal["passes", "falls short", "fails", "cannot tell"]
PARTS = ("fidelity", "utility", "privacy")
EVERYTHING = "all"
LEFT_OUT = ("id", "text", "missing")
SHOWN = ("ap_ratio", "ap_gain", "average_precision", "roc_auc", "recall", "recall_gap", "log_loss")
HELD_OUT, MOST_CLASSES = 0.3, 4
# Verdicts. A two-sample score so near to that of real rows passes; an interval so wide tells
# nothing.
LIKE_REAL, TOO_WIDE = 0.05, 0.5
# Shares of the average precision that replacing the real rows has to keep, to pass and not to fail,
# and the width of an interval from which on it is not known.
KEEPS, KEEPS_SOME, SURE = 0.95, 0.8, 0.1
# Rows of the class in the test below which no average precision means anything.
FEW = 5
# Rows from which on a two-sample test sees what there is to see.
POWER = 1000
# Of an attack, above the same attack on fresh real rows: fails, and what a pass rules out. An area
# of 40 rows against 40 is off by 0.065 by chance.
SOME_EXCESS, MOST_EXCESS, SOME_COPIES = 0.03, 0.1, 0.05
# Equal rows count from a smaller share on: each is a person.
A_COPY = 0.005
# Share of synthetic rows that are nearer to train than to as many other rows; 0.5 is best.
NEARER = 0.53


@dataclass(frozen=True)
class Verdict:
    """One part in a sentence.

    Attributes:
        part: ``"fidelity"``, ``"utility"`` or ``"privacy"``.
        outcome: ``"passes"``, ``"falls short"``, ``"fails"`` or ``"cannot tell"``.
        sentence: With the key figure, its interval and its reference.
        key: The `Score` that decided, None where there is none.
    """

    part: str
    outcome: Outcome
    sentence: str
    key: Score | None


@dataclass(frozen=True)
class Report:
    """What `evaluate` found.

    Attributes:
        target: Name of the target.
        label: The rare class, as text.
        train, synthetic, holdout: The rows that were compared: one schema, with the levels of all
            three, without columns that carry nothing to compare (IDs, texts, empty ones). For
            pictures of the columns.
        fidelity, utility, privacy: Scores, curves and notes of each part. Groups of fidelity are
            classes, as text, the rare one first, and ``"all"`` where the synthetic rows hold every
            class; of one column ``"CLASS: COLUMN"``. Groups of utility are judges (``"boosting"``),
            with ``by`` also ``"boosting: sex=Female"``. Groups of privacy are the rare class and
            ``"all"``. Curves are ``{"x": ..., "y": ...}``; of utility they are named
            ``"roc boosting replace"``, ``"pr boosting replace"`` and
            ``"calibration boosting replace"``, with real, replace, augment or whole as the rows
            that the judge learned from. Curves of privacy of another group than the rare class end
            in its name.
        verdicts: One for each part, in this order.
        notes: Sentences about the whole: where the holdout comes from, what was left out.
        sizes: Rows of ``"train"``, ``"synthetic"`` and ``"holdout"``.
        classes: ``label`` (text), ``train``, ``synthetic`` and ``holdout`` (rows), in order.
        held_out: Whether `holdout` was given, and not split off from rows that the synthesizer saw.
        seed: Gives the same figures again.
        seconds: By part.
    """

    target: str
    label: str
    train: Table
    synthetic: Table
    holdout: Table
    fidelity: Part
    utility: Part
    privacy: Part
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...]
    sizes: dict[str, int]
    classes: tuple[dict[str, Any], ...]
    held_out: bool
    seed: int
    seconds: dict[str, float]

    @property
    def parts(self) -> dict[str, Part]:
        """The three parts by name, in the order in which they are shown."""
        return {"fidelity": self.fidelity, "utility": self.utility, "privacy": self.privacy}

    @property
    def scores(self) -> list[Score]:
        """All scores, in the order in which they are shown."""
        return [score for part in self.parts.values() for score in part.scores]

    def score(self, name: str, group: str | None = None) -> Score:
        """The score of that name; without a group the first one, of the rare class or judge.

        Raises:
            KeyError: there is none.
        """
        for score in self.scores:
            if score.name == name and group in (None, score.group):
                return score
        raise KeyError(name if group is None else f"{name}@{group}")

    def to_json(self) -> dict[str, Any]:
        """Plain values::

            {"target": "income", "label": ">50K", "seed": 0, "held_out": true,
             "rows": {"train": 32561, "synthetic": 7841, "holdout": 16281},
             "classes": [{"label": ">50K", "train": 7841, "synthetic": 7841, "holdout": 3846}, ...],
             "verdicts": [{"part": "privacy", "outcome": "passes", "sentence": "...",
                           "score": "privacy.mia_excess"}, ...],
             "scores": [{"name": "privacy.mia_excess", "group": ">50K", "value": 0.01,
                         "reference": 0.0, "better": "lower", "interval": [-0.02, 0.03],
                         "floor": null, "note": ""}, ...],
             "notes": [...], "seconds": {"fidelity": 12.3, ...},
             "privacy": {"mia_excess": 0.01, "mia_excess@>50K": 0.01, "notes": [...]}, ...}

        NaN is null. The last three, one for each part, hold the values of the scores again, by the
        rest of their names, which `synthgen.gates.gate` reads: ``privacy.mia_excess<=0.12``, or of
        another group than the first ``privacy.mia_excess@all<=0.12``.
        """
        out: dict[str, Any] = {
            "target": self.target,
            "label": self.label,
            "seed": self.seed,
            "held_out": self.held_out,
            "rows": self.sizes,
            "classes": list(self.classes),
            "verdicts": [
                {
                    "part": v.part,
                    "outcome": v.outcome,
                    "sentence": v.sentence,
                    "score": None if v.key is None else v.key.name,
                }
                for v in self.verdicts
            ],
            "scores": [_plain(score.to_json()) for score in self.scores],
            "notes": list(self.notes),
            "seconds": self.seconds,
        }
        for name, part in self.parts.items():
            values: dict[str, Any] = {}
            for score in part.scores:
                rest, value = score.name.removeprefix(f"{name}."), _plain(score.value)
                values.setdefault(rest, value)
                values[f"{rest}@{score.group}"] = value
            out[name] = values | {"notes": part.notes}
        return out

    def table_rows(self) -> list[list[str]]:
        """Name, group, value, interval, reference and floor of the scores that a terminal shows."""
        rows = []
        for score in self.scores:
            last = score.name.rpartition(".")[2]
            if ": " in score.group or (score.name.startswith("utility.") and last not in SHOWN):
                continue
            low_high = "" if score.interval is None else "{:.3f} to {:.3f}".format(*score.interval)
            others = ("" if v is None else f"{v:.3f}" for v in (score.reference, score.floor))
            value = "?" if score.value != score.value else f"{score.value:.3f}"
            rows.append([score.name, score.group, value, low_high, *others])
        return rows

    def verdict_lines(self) -> list[str]:
        """The verdicts, a line each."""
        return [f"{v.part}: {v.outcome}. {v.sentence}" for v in self.verdicts]

    def summary_lines(self) -> list[str]:
        """The verdicts and notes, a line each."""
        notes = [*self.notes, *(note for part in self.parts.values() for note in part.notes)]
        return self.verdict_lines() + [f"note: {note}" for note in dict.fromkeys(notes)]


def evaluate(
    train: pd.DataFrame,
    synthetic: pd.DataFrame,
    *,
    target: Hashable,
    holdout: pd.DataFrame | None = None,
    label: Any = None,
    schema: Schema | None = None,
    judges: Sequence[str] = DEFAULT_JUDGES,
    thorough: bool = False,
    by: Hashable | None = None,
    device: str | torch.device = "auto",
    random_state: int | None = 0,
    verbose: bool = False,
) -> Report:
    """Measure synthetic rows, from synthgen or from anyone else, beside real ones.

    Each number has a reference: the same number with as many real rows, which the synthesizer has
    not seen, in the place of the synthetic ones. See `synthgen.metrics.fidelity.fidelity`,
    `synthgen.metrics.utility.utility` and `synthgen.metrics.privacy.privacy` for what is measured.

    Args:
        train: The rows that the synthesizer learned from, shape (rows, columns); never changed.
        synthetic: Rows of one class or of several; the columns of `train` by name, in any order.
            New rows only: not those of an augmented table that are real.
        target: Name of the column that holds the classes.
        holdout: Real rows that the synthesizer has not seen. None: 30 % of `train` are split off,
            though the synthesizer has seen them; privacy can then fail but not pass.
        label: The class to look at first; None: the rarest of those that `synthetic` holds.
        schema: Decisions about the columns of `train` to take instead of guessing.
        judges: Classifiers of the utility part: boosting, logistic, forest, mlp, xgboost.
        thorough: Tune each judge on real rows and train it three times.
        by: Column whose values are looked at one by one (recall of each).
        device: Where distances are computed.
        random_state: Seed; None draws one, see `Report.seed`.
        verbose: Show progress on standard error.

    Raises:
        DataError: A table cannot be used, lacks a column or holds an unknown class, or `synthetic`
            has no row of the class.
        UsageError: An argument cannot be what it is.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> def drawn(rows):
        ...     ill = np.arange(rows) % 4 == 0
        ...     return pd.DataFrame({"dose": rng.normal(size=rows) + 2 * ill, "ill": ill})
        >>> tables = {"holdout": drawn(160), "target": "ill"}
        >>> report = evaluate(drawn(160), drawn(120), judges=["logistic"], **tables)
        >>> report.label, report.score("fidelity.column_shapes").value > 0.7
        ('True', True)
    """
    judges = check_judges(judges)
    seed_sequence(random_state)  # refuses what is no seed
    seed = int(np.random.SeedSequence().generate_state(1)[0])
    seed = seed if random_state is None else int(random_state)
    source = seed_sequence(seed)
    whole = Table.of(train, target=target, schema=schema)
    others = {"synthetic": synthetic} | ({} if holdout is None else {"holdout": holdout})
    tables, notes = _aligned(whole, others)
    notes += _copies(tables)
    tables = {which: _in_order(table) for which, table in tables.items()}
    real, made = tables["train"], tables["synthetic"]
    position = _rare(real, made, label)
    name = str(real.schema.classes[position])
    if holdout is None:
        real, fresh, note = _split(real, child_seed(source, 0))
        notes.append(note)
    else:
        fresh = tables["holdout"]
    if by is not None and str(by) not in map(str, real.schema.names):
        known = ", ".join(map(str, real.schema.names))
        raise UsageError(296, f"by {by!r} is no column that can be compared: there are {known}")
    groups = _groups(real, made, fresh, position, notes)
    seconds: dict[str, float] = {}
    found: dict[str, list[Part]] = {part: [] for part in PARTS}
    steps: list[tuple[str, str, Callable[[], Part]]] = []
    for number, (group, rows) in enumerate(groups.items()):
        steps.append(
            (
                "fidelity",
                f"fidelity of {group}",
                partial(fidelity, *rows, group=group, random_state=child_seed(source, 1, number)),
            )
        )
        if not number:
            steps.append(
                (
                    "fidelity",
                    f"columns that tell {group}",
                    partial(
                        target_correlation,
                        real,
                        made,
                        fresh,
                        label=position,
                        random_state=child_seed(source, 2),
                    ),
                )
            )
    steps.append(
        (
            "utility",
            "utility",
            partial(
                utility,
                real,
                made,
                fresh,
                label=real.schema.classes[position],
                judges=judges,
                thorough=thorough,
                by=by,
                random_state=child_seed(source, 3),
            ),
        )
    )
    for number, (group, rows) in enumerate(groups.items()):
        if group in (name, EVERYTHING):
            steps.append(
                (
                    "privacy",
                    f"privacy of {group}",
                    partial(
                        privacy,
                        *rows,
                        group=group,
                        random_state=child_seed(source, 4, number),
                        device=device,
                    ),
                )
            )
    with _progress(verbose, len(steps)) as step:
        for part, what, work in steps:
            step(what)
            started = time.perf_counter()
            found[part].append(work())
            spent = time.perf_counter() - started
            seconds[part] = round(seconds.get(part, 0.0) + spent, 3)
    parts = {part: _joined(several) for part, several in found.items()}
    return Report(
        target=str(whole.schema.target),
        label=name,
        train=real,
        synthetic=made,
        holdout=fresh,
        fidelity=parts["fidelity"],
        utility=parts["utility"],
        privacy=parts["privacy"],
        verdicts=(
            _of_fidelity(parts["fidelity"], name, {g: min(map(len, t)) for g, t in groups.items()}),
            _of_utility(parts["utility"], name, int((fresh.labels == position).sum())),
            _of_privacy(parts["privacy"], holdout is not None),
        ),
        notes=tuple(notes),
        sizes={"train": len(real), "synthetic": len(made), "holdout": len(fresh)},
        classes=tuple(
            {
                "label": str(c),
                "train": real.counts[c],
                "synthetic": made.counts[c],
                "holdout": fresh.counts[c],
            }
            for c in real.schema.classes
        ),
        held_out=holdout is not None,
        seed=seed,
        seconds=seconds,
    )


# --- the door -----------------------------------------------------------------------------------


def _aligned(train: Table, others: dict[str, pd.DataFrame]) -> tuple[dict[str, Table], list[str]]:
    """All tables with one schema, which knows the levels of each."""
    notes: list[str] = []
    compared = [c for c in train.schema.columns if c.kind not in LEFT_OUT]
    if left := [str(c.name) for c in train.schema.columns if c.kind in LEFT_OUT]:
        notes.append(f"not compared, as IDs, texts and empty columns are: {', '.join(left)}")
    frames: dict[str, dict[Hashable, pd.Series]] = {}
    for which, frame in others.items():
        check_frame(frame, None)
        by_text = {str(c): c for c in frame.columns}
        lacking = [str(c.name) for c in compared if str(c.name) not in by_text]
        if lacking:
            raise DataError(
                364,
                f"the {which} table lacks column {', '.join(map(repr, lacking[:8]))} of train: add "
                f"or rename it",
            )
        known = {str(c) for c in train.schema.names}
        if extra := [text for text in by_text if text not in known]:
            notes.append(f"columns of {which} that train lacks are left out: {', '.join(extra)}")
        frames[which] = {c.name: cell.tidy(frame[by_text[str(c.name)]]) for c in compared}
        for column in compared:
            try:
                cell.check(column.name, frames[which][column.name])
            except DataError as error:
                raise DataError(error.code, f"{which} table: {error.message}") from error
    columns = []
    frames = {"train": {c.name: train.frame[c.name] for c in compared}} | frames
    for column in compared:
        rows = {which: frame[column.name].reset_index(drop=True) for which, frame in frames.items()}
        is_target = column.name == train.schema.target
        try:
            if column.kind in LEVELS:
                column, rows = _of_levels(column, rows, is_target)
            else:
                column = _of_numbers(column, rows, notes)
        except DataError as error:
            raise DataError(error.code, f"synthetic or holdout table: {error.message}") from error
        columns.append(column)
        for which in frames:
            frames[which][column.name] = rows[which]
    schema = Schema(tuple(columns), train.schema.target)
    names = [c.name for c in columns]
    tables = {}
    for which, series in frames.items():
        rows = [series[name] for name in names]
        tables[which] = Table(as_frame(rows, names, len(rows[0])), schema)
        try:
            tables[which].labels  # noqa: B018  # refuses a class that train lacks
        except DataError as error:
            raise DataError(error.code, f"{which} table: {error.message}") from error
    return tables, notes


def _in_order(table: Table) -> Table:
    """The rows in the order of their cells, so that no draw depends on the order they came in."""
    cells = Space.of(table, with_target=True).cells(table)
    return table.rows(np.lexsort(cells.T)) if cells.size else table


def _of_levels(
    column: Column, rows: dict[str, pd.Series], is_target: bool
) -> tuple[Column, dict[str, pd.Series]]:
    """The column with the levels of all tables; a level of train that another table writes as
    text, or as a number, is that level.
    """
    known = set(column.categories)
    by_text = {str(level): level for level in column.categories}
    new: dict[Any, None] = {}
    out = {}
    for which, series in rows.items():
        series = series.astype(object)
        found = [v for v in series.dropna().unique() if v not in known]
        swap = {v: by_text[str(v)] for v in found if str(v) in by_text}
        if swap:
            series = series.map(lambda v, swap=swap: swap.get(v, v))
        new |= dict.fromkeys(v for v in found if v not in swap)
        out[which] = series
    if not new or is_target:
        return column, out
    dtype = object if isinstance(column.dtype, pd.CategoricalDtype) else column.dtype
    levels = (*column.categories, *sorted(new, key=str))
    return replace(column, categories=levels, dtype=dtype), out


def _of_numbers(column: Column, rows: dict[str, pd.Series], notes: list[str]) -> Column:
    """The column, as plain numbers where whole ones met fractions."""
    for which, series in rows.items():
        try:
            column.numbers(series)
        except DataError:
            if column.kind != "integer":
                raise
            column = replace(column, kind="numeric", dtype=np.dtype(float), step=None)
            column.numbers(series)
            notes.append(f"column {column.name}: whole numbers in train, fractions in {which}")
    return column


def _rare(train: Table, synthetic: Table, label: Any) -> int:
    classes, counts, made = train.schema.classes, train.counts, synthetic.counts
    if label is not None:
        position = class_position(classes, label)
        if not made[classes[position]]:
            held = ", ".join(str(c) for c in classes if made[c])
            raise DataError(
                365, f"the synthetic table has no row of {label!r}, it holds {held}: name that"
            )
        return position
    there = [k for k, c in enumerate(classes) if made[c] and counts[c]]
    return min(there, key=lambda k: counts[classes[k]])


def _copies(tables: dict[str, Table]) -> list[str]:
    """Sentences about synthetic and holdout rows that are rows of train."""
    space = Space.of(tables["train"], with_target=True)

    def keys(table: Table) -> list[bytes]:
        return [row.tobytes() for row in np.ascontiguousarray(space.cells(table) + 0.0)]

    train, made = keys(tables["train"]), keys(tables["synthetic"])
    known = set(train)
    copied, notes = sum(k in known for k in made), []
    if copied:
        fresh = keys(tables["holdout"]) if "holdout" in tables else []
        beside = f"; of holdout rows {sum(k in known for k in fresh):,} of {len(fresh):,}"
        notes.append(
            f"{copied:,} of {len(made):,} synthetic rows are equal to a row of train"
            f"{beside if fresh else ''}"
        )
    if len(made) > len(train) and made[: len(train)] == train:
        notes.append(
            f"the first {len(train):,} synthetic rows are train itself, so every figure is about "
            f"a mixture: give the new rows only (synthgen augment --only-new)"
        )
    return notes


def _split(table: Table, seed: np.random.SeedSequence) -> tuple[Table, Table, str]:
    """Train and holdout, each class in its share; a class of one row stays in train."""
    rng = np.random.default_rng(seed)
    labels, held = table.labels, np.zeros(len(table), dtype=bool)
    for position in range(len(table.schema.classes)):
        rows = rng.permutation(np.flatnonzero(labels == position))
        if len(rows) > 1:
            held[rows[: max(1, round(HELD_OUT * len(rows)))]] = True
    note = (
        f"no holdout was given: {held.sum():,} of {len(table):,} rows of train are held out, but "
        f"the synthesizer has seen them: its rows look more like them, and attacks find less, than "
        f"with rows that it never saw; keep some rows from it and give them as holdout"
    )
    return table.rows(~held), table.rows(held), note


def _groups(
    train: Table, synthetic: Table, holdout: Table, position: int, notes: list[str]
) -> dict[str, tuple[Table, Table, Table]]:
    """The rows of each class that is synthetic, the rare one first, and of all of them."""
    classes, counts, made = train.schema.classes, train.counts, synthetic.counts
    there = [k for k, c in enumerate(classes) if made[c] and k != position]
    there.sort(key=lambda k: counts[classes[k]])
    chosen = [position, *there[: MOST_CLASSES - 1]]
    tables, groups = (train, synthetic, holdout), {}
    for k in chosen:
        rows = [table.rows(table.labels == k) for table in tables]
        groups[str(classes[k])] = (rows[0], rows[1], rows[2])
    if len(there) + 1 > MOST_CLASSES:
        notes.append(f"fidelity looks at {MOST_CLASSES} of {len(there) + 1} classes by themselves")
    if there:
        held = np.array([position, *there])
        rows = [table.rows(np.isin(table.labels, held)) for table in tables]
        groups[EVERYTHING] = (rows[0], rows[1], rows[2])
        shares = [len(rows[k]) and (rows[k].labels == position).mean() for k in (0, 1)]
        if abs(shares[0] - shares[1]) > 0.02:
            notes.append(
                f"{classes[position]} is {shares[0]:.1%} of the rows of train and {shares[1]:.1%} "
                f"of the synthetic rows: this alone sets {EVERYTHING} of them apart"
            )
        if len(held) < sum(n > 0 for n in counts.values()):
            notes.append(f"{EVERYTHING}: rows of the classes that the synthetic table holds")
    return groups


def _joined(parts: list[Part]) -> Part:
    """Several parts as one; the curves of the first keep their names."""
    curves = dict(parts[0].curves)
    for part in parts[1:]:
        groups = [score.group for score in part.scores]
        group = groups[0] if groups else ""
        curves |= {f"{name} {group}": curve for name, curve in part.curves.items()}
    notes = list(dict.fromkeys(note for part in parts for note in part.notes))
    return Part([score for part in parts for score in part.scores], curves, notes)


class _progress:
    """A bar over the steps, or nothing."""

    def __init__(self, verbose: bool, steps: int) -> None:
        self._bar: Any = None
        self._steps = steps
        if verbose:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                console=Console(stderr=True),
                transient=True,
            )

    def __enter__(self) -> Callable[[str], None]:
        if self._bar is None:
            return lambda what: None
        self._bar.start()
        task = self._bar.add_task("", total=self._steps, completed=-1)

        def step(what: str) -> None:
            self._bar.update(task, advance=1, description=what)

        return step

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.stop()


# --- verdicts -----------------------------------------------------------------------------------


def _shown(score: Score) -> str:
    text = f"{score.value:.3g}"
    if score.interval is not None:
        text += f" [{score.interval[0]:.3g}, {score.interval[1]:.3g}]"
    return text


def _worst(found: list[tuple[Outcome, Score]]) -> tuple[Outcome, Score]:
    order = ("fails", "falls short", "cannot tell", "passes")
    return min(found, key=lambda one: order.index(one[0]))


def _of_fidelity(part: Part, label: str, rows: dict[str, int]) -> Verdict:
    """Whether boosting can tell the rows from real ones: the worst of all groups.

    Args:
        label: The rare class: a pass of other groups is none of its rows.
        rows: Of each group, those of its smallest table.
    """
    found: list[tuple[Outcome, Score]] = []
    tests = [score for score in part.scores if score.name == "fidelity.c2st_boosting"]
    if not any(score.group == label and score.value == score.value for score in tests):
        why = f"Too few rows of {label} to compare: give more of them, or another --label."
        return Verdict("fidelity", "cannot tell", why, None)
    # The worst of several tests: each has the room that all together need (Bonferroni).
    room = float(ndtri(1 - 0.025 / max(1, len(tests))) / ndtri(0.975))
    for score in tests:
        low, high = score.interval or (0.0, 1.0)
        high = min(1.0, score.value + room * (high - score.value))
        reference, floor = score.reference or 0.0, score.floor or 0.0
        good = reference - LIKE_REAL
        # Where independent columns do as well, few rows have no power to tell anything.
        blind = floor >= min(low, good) and rows.get(score.group, 0) < POWER
        if score.value != score.value or (high >= good and (high - low > TOO_WIDE or blind)):
            outcome: Outcome = "cannot tell"
        elif high >= good:
            outcome = "passes"
        else:
            outcome = "falls short" if score.value >= floor + (reference - floor) / 2 else "fails"
        found.append((outcome, score))
    outcome, key = _worst(found)
    told = {
        "passes": "can hardly tell the synthetic rows from real ones",
        "falls short": "can tell many of the synthetic rows from real ones",
        "fails": "tells the synthetic rows from real ones",
        "cannot tell": "cannot say, with so few rows, whether they can be told from real ones",
    }[outcome]
    sentence = (
        f"Boosting {told} ({key.group}): {_shown(key)}, where real rows reach "
        f"{key.reference or 0:.3g} and independent columns {key.floor or 0:.3g} (1: never told "
        f"apart, 0: always)"
    )
    trends = [s for s in part.scores if (s.name, s.group) == ("fidelity.pair_trends", key.group)]
    if trends and trends[0].reference is not None:
        sentence += f"; pair trends {trends[0].value:.3f}, real rows {trends[0].reference:.3f}"
    return Verdict("fidelity", outcome, f"{sentence}.", key)


def _of_utility(part: Part, label: str, tested: int) -> Verdict:
    """Whether synthetic rows can take the place of the real ones of the class.

    Nothing is known where noise in their place does as well, or on fewer than `FEW` test rows.
    """
    scores: dict[str, Score] = {}
    for score in part.scores:
        scores.setdefault(score.name, score)
    key = scores["utility.replace.ap_ratio"]
    if key.interval is None:
        return Verdict("utility", "cannot tell", f"{key.note[:1].upper()}{key.note[1:]}.", key)
    low, high = key.interval
    noise_does = (key.floor or 0.0) >= KEEPS
    if tested < FEW or noise_does or (low < KEEPS <= high and high - low > SURE):
        outcome: Outcome = "cannot tell"
    elif low >= KEEPS or (high >= KEEPS and key.value >= KEEPS):
        outcome = "passes"
    else:
        outcome = "falls short" if high >= KEEPS or key.value >= KEEPS_SOME else "fails"
    ap = scores["utility.replace.average_precision"]
    sentence = (
        f"In place of the real rows of {label} they keep {_shown(key)} of the average precision of "
        f"{key.group} ({ap.value:.3f}, with real rows {ap.reference or 0:.3f}; noise keeps "
        f"{key.floor or 0:.3g}), on {tested:,} test rows of the class"
    )
    gain = scores["utility.augment.ap_gain"]
    sentence += f"; added to the real rows they change it by {_shown(gain)}"
    fresh = scores.get("utility.fresh_augment.ap_gain")
    if fresh is not None:
        sentence += f", fresh real rows by {fresh.value:.3g}"
    return Verdict("utility", outcome, f"{sentence}.", key)


def _of_privacy(part: Part, held_out: bool) -> Verdict:
    """Whether an attack tells the rows of train from others: the worst of all groups."""
    found: list[tuple[Outcome, Score]] = []
    for score in part.scores:
        low, high = score.interval or (-1.0, 1.0)
        if score.name == "privacy.mia_excess":
            if score.value != score.value:
                outcome: Outcome = "cannot tell"
            elif low > 0 and score.value > SOME_EXCESS:
                outcome = "fails"
            elif low > 0:
                outcome = "falls short"
            else:
                outcome = "passes" if high <= MOST_EXCESS and held_out else "cannot tell"
            found.append((outcome, score))
        elif score.name == "privacy.nearer_to_train" and score.value == score.value:
            if low > NEARER:
                found.append(("fails", score))
            elif low > 0.5 and score.value > NEARER:
                found.append(("falls short", score))
        elif score.name not in ("privacy.copies", "privacy.near_copies"):
            continue
        elif low > (score.reference or 0.0) + SOME_COPIES and score.value == score.value:
            # More than fresh real rows that are equal, or as near, to a row of train.
            found.append(("fails", score))
        elif score.name == "privacy.copies" and low > (score.reference or 0.0) + A_COPY:
            found.append(("falls short", score))
    if not found:
        return Verdict("privacy", "cannot tell", "No attack could be made.", None)
    outcome, key = _worst(found)
    attack = key.note.removeprefix("the worst attack: ")
    if key.name == "privacy.mia_excess":
        sentence = (
            f"The worst attack on {key.group} ({attack}) is {_shown(key)} of ROC-AUC above the "
            f"worst when fresh real rows stand in their place"
        )
        if outcome == "cannot tell" and key.value != key.value:
            sentence = f"No attack on {key.group} could be made: {key.note}"
    elif key.name == "privacy.nearer_to_train":
        sentence = (
            f"{_shown(key)} of the synthetic rows ({key.group}) are nearer to a row of train than "
            f"to any of as many rows of the holdout, where real rows are 0.5"
        )
    else:
        what = "equal to" if key.name == "privacy.copies" else "nearly equal to"
        sentence = (
            f"{key.value:.1%} of the synthetic rows ({key.group}) are {what} a row of train, of "
            f"real rows {key.reference or 0:.1%}"
        )
    if not held_out:
        sentence += "; without rows that the synthesizer never saw this can fail but not pass"
    elif outcome == "cannot tell" and key.value == key.value:
        sentence += "; with so few rows this can be chance"
    return Verdict("privacy", outcome, f"{sentence}.", key)


def _plain(value: Any) -> Any:
    """NaN as None, numbers as Python's own, all the way down."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, str) or value is None:
        return value
    return None if value != value else float(value)
