"""Validation of the amount: which number of new rows helps a classifier, by cross-validation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
from sklearn.base import clone

from synthgen.augmentation.amount import AMOUNTS, Amount, Validated, wanted_rows, words
from synthgen.augmentation.constraints import RowRule
from synthgen.augmentation.guard import Guard
from synthgen.augmentation.rejection import guarded_sample
from synthgen.encoding.matrix import Binned, Matrix
from synthgen.errors import DataError
from synthgen.model_selection.classifiers import VALIDATION, boosting
from synthgen.model_selection.folds import deal, equal_rows
from synthgen.model_selection.scoring import rank
from synthgen.model_selection.selection import CONFIDENCE, Difference, choose, compare_to
from synthgen.progress import Progress
from synthgen.seeds import child_seed
from synthgen.synthesizers.base import Synthesizer
from synthgen.synthesizers.network import NetworkSynthesizer
from synthgen.tables.schema import Schema
from synthgen.tables.table import Table
from synthgen.threads import TREES, threads_for
from synthgen.training.device import resolve

RANKED_BY = "average_precision"
FOLDS, LEAST = 5, 10  # a class with fewer rows than LEAST cannot be validated
MOST_ROWS = 20_000  # new rows per class; sampling more in each fold would take too long
# A synthesizer learns from all rows of the classes that it makes, and from at most so many of each
# other class. On 6,255 cancelled flights, more of the others did not make rows look more real
# (`evaluation/scale.md`).
MOST_OTHERS = 20_000
# On a CPU, training a network takes minutes per fold. Validation therefore trains it for
# BRIEF_SHARE of its steps, at least BRIEF_STEPS, on at most BRIEF_ROWS rows per other class.
BRIEF_SHARE, BRIEF_STEPS, BRIEF_ROWS = 0.25, 200, 600


def learned_rows(
    codes: np.ndarray, whole: Sequence[int], seed: np.random.SeedSequence, most: int
) -> np.ndarray:
    """Choose the rows that a synthesizer learns from."""
    order = np.random.default_rng(seed).permutation(len(codes))
    kept = [
        rows if c in whole else rows[:most]
        for c in np.unique(codes).tolist()
        for rows in (order[codes[order] == c],)
    ]
    return np.sort(np.concatenate(kept))


def to_learn(table: Table, labels: Sequence[Any], seed: np.random.SeedSequence) -> Table:
    """Select the rows that a synthesizer of the classes `labels` learns from."""
    whole = [table.schema.classes.index(label) for label in labels]
    rows = learned_rows(table.labels, whole, seed, MOST_OTHERS)
    return table if len(rows) == len(table) else table.rows(rows)


def brief(
    synthesizer: Synthesizer,
    codes: np.ndarray,
    whole: Sequence[int],
    seed: np.random.SeedSequence,
) -> np.ndarray:
    """Shorten the training of a network on a CPU, unless the user set its `steps`."""
    if not _is_shortened(synthesizer):
        return np.arange(len(codes))
    rows = learned_rows(codes, whole, seed, BRIEF_ROWS)
    steps = round(BRIEF_SHARE * cast(NetworkSynthesizer, synthesizer).default_steps(len(rows)))
    synthesizer.set_params(steps=max(BRIEF_STEPS, steps))
    return rows


def _is_shortened(synthesizer: Synthesizer) -> bool:
    return (
        isinstance(synthesizer, NetworkSynthesizer)
        and synthesizer.steps is None
        and resolve(synthesizer.device).type == "cpu"
    )


def validated_amount(
    table: Table,
    labels: Sequence[Any],
    synthesizer: Synthesizer,
    seed: np.random.SeedSequence,
    *,
    rules: Sequence[RowRule] = (),
    found_rules: bool = True,
    groups: np.ndarray | None = None,
    verbose: bool = False,
) -> Validated:
    """Choose an amount by 5-fold cross-validation: the smallest within one standard error."""
    trial = _Trial(table, labels, synthesizer, rules, found_rules, groups, seed)
    if trial.too_few:
        rows = min(trial.counts[trial.wanted])
        why = f"{rows} rows are too few to validate an amount"
        finding = f"Nothing was validated: {why}."
        return Validated("double", trial.by_label("double"), {}, f"{why}: doubled", finding)
    tried = trial.amounts
    if len(tried) == 1:
        why = f"each other amount is more than {MOST_ROWS:,} rows: ask for a number of rows"
        finding = f"Nothing was validated: {why}."
        return Validated(0.0, trial.by_label(0.0), {}, f"none: {why}", finding)
    scores = np.empty((len(tried), FOLDS))
    with Progress(verbose) as progress:
        progress.start("choosing an amount", total=FOLDS)
        for f in range(FOLDS):
            progress.update(f, stage=f"choosing an amount, fold {f + 1} of {FOLDS}")
            scores[:, f] = trial.scores(f)
    ratio = 1 / (FOLDS - 1)
    position = choose(scores, ratio=ratio)
    curve = {words(a): float(v) for a, v in zip(tried, scores.mean(axis=1), strict=True)}
    chosen = tried[position]
    reason = _explained(curve, words(chosen), trial.stand_in)
    # The intervals are simultaneous over all amounts, since the best of several looks too good.
    gains = compare_to(scores[1:], scores[0], ratio=ratio, bounds=(0.0, 1.0))
    gain = gains[position - 1] if position else None
    finding = _finding(curve, words(chosen), gain, trial.stand_in)
    return Validated(chosen, trial.by_label(chosen), curve, reason, finding)


class _Trial:
    """Cross-validation of the amounts on one table.

    Attributes:
        counts: Number of rows per class, in the whole table.
        codes: Class of each row that is used.
        wanted: Positions of the classes to add rows to.
        too_few: Whether a class has too few rows to be validated.
        amounts: The `AMOUNTS` to try, without duplicates and those of too many rows.
        stand_in: The shortened network that was validated instead, in words; otherwise "".
    """

    def __init__(
        self,
        table: Table,
        labels: Sequence[Any],
        synthesizer: Synthesizer,
        rules: Sequence[RowRule],
        found_rules: bool,
        groups: np.ndarray | None,
        seed: np.random.SeedSequence,
    ) -> None:
        self._labels, self._rules, self._seed = labels, rules, seed
        self._synthesizer, self._found_rules = synthesizer, found_rules
        self._classes = table.schema.classes
        self.counts = np.bincount(table.labels, minlength=len(self._classes))
        self.wanted = [self._classes.index(label) for label in labels]
        used = learned_rows(table.labels, self.wanted, child_seed(seed, 5), MOST_OTHERS)
        self._table = table.rows(used) if len(used) < len(table) else table
        groups = groups if groups is None else groups[used]
        self.codes = self._table.labels
        used_counts = np.bincount(self.codes, minlength=len(self._classes))
        self._worth = self.counts / used_counts.clip(1)  # table rows for each used row
        self.stand_in = ""
        self._known = Matrix.of(table.schema)
        few = int(self.counts[self.wanted].min())
        in_folds = few - math.ceil(few / FOLDS)
        # A fold would resample a class that is learned from the whole table.
        resampled = in_folds < synthesizer.rows_needed() <= few
        self.too_few = few < LEAST or resampled or not self._known.columns
        self.amounts = self._amounts()
        if not self.too_few:
            features = self._table.frame.drop(columns=[table.schema.target])
            self._places = self._known.cells(features)
            rng = np.random.default_rng(child_seed(seed, 0))
            together = equal_rows(self._places) if groups is None else groups
            self._fold = deal(self.codes, together, FOLDS, rng)
            if groups is not None:
                self._check_folds()

    def _check_folds(self) -> None:
        """Raise if groups leave a fold without a class, or its training part with one row."""
        for c in self.wanted:
            rows = np.bincount(self._fold[self.codes == c], minlength=FOLDS)
            if rows.min() == 0 or rows.sum() - rows.max() < 2:
                raise DataError(
                    375,
                    f"groups leave a fold of {FOLDS} without rows of class {self._classes[c]!r}: "
                    "use smaller groups, or ask for a number of rows or a ratio",
                )

    def new_rows(self, counts: np.ndarray, amount: Amount) -> dict[int, int]:
        """Number of rows to add, by position of the class, to classes of sizes `counts`."""
        goals = wanted_rows(counts, amount)
        return {c: goals[c] - int(counts[c]) for c in self.wanted if c in goals}

    def by_label(self, amount: Amount) -> dict[Any, int]:
        made = self.new_rows(self.counts, amount)
        return {label: made.get(c, 0) for label, c in zip(self._labels, self.wanted, strict=True)}

    def _amounts(self) -> list[Amount]:
        tried: list[Amount] = []
        for amount in AMOUNTS:
            made = self.new_rows(self.counts, amount)
            before = [self.new_rows(self.counts, other) for other in tried]
            if max(made.values(), default=0) <= MOST_ROWS and made not in before:
                tried.append(amount)
        return tried

    def scores(self, f: int) -> list[float]:
        """Average precision on fold `f` for each amount, averaged over the labels."""
        train = self._fold != f
        used = np.bincount(self.codes[train], minlength=len(self._classes))
        counts = np.rint(used * self._worth).astype(int)
        asked = [self.new_rows(counts, amount) for amount in self.amounts]
        most = {c: max(rows.get(c, 0) for rows in asked) for c in self.wanted}
        made = self._made(f, train, {c: n for c, n in most.items() if n})
        coder = Matrix(self._known.is_level).fit(self._places[train])
        binned = Binned(coder.is_level).fit(coder.transform(self._places[train]))

        def coded(cells: np.ndarray) -> np.ndarray:
            return binned.transform(coder.transform(cells))

        return [self._score(f, train, coded, rows, made) for rows in asked]

    def _made(self, f: int, train: np.ndarray, wanted: dict[int, int]) -> dict[int, np.ndarray]:
        """`wanted[c]` guarded rows per class, from a synthesizer fitted to the training part."""
        own = cast(Synthesizer, clone(cast(Any, self._synthesizer)))
        own.set_params(classes=[self._classes[c] for c in self.wanted])
        own.set_params(random_state=int(child_seed(self._seed, 1, f).generate_state(1)[0]))
        params = own.get_params(deep=False)
        if "checkpoint" in params:
            own.set_params(checkpoint=None)  # only the final training writes a checkpoint
        if "verbose" in params:
            own.set_params(verbose=False)  # all folds share one progress bar
        shortened = _is_shortened(own)
        learned = brief(own, self.codes[train], self.wanted, child_seed(self._seed, 4, f))
        part = self._part(np.flatnonzero(train))
        own.fit_table(part.rows(learned))
        if shortened:
            kind, steps = type(own).__name__, cast(NetworkSynthesizer, own).steps
            self.stand_in = f"a {kind} of {steps:,} steps on {len(learned):,} rows"
        return {
            c: self._known.cells(
                guarded_sample(
                    own,
                    n,
                    Guard(
                        part,
                        self._classes[c],
                        rules=self._rules,
                        found_rules=self._found_rules,
                    ),
                    random_state=child_seed(self._seed, 2, f),
                ).frame
            )
            for c, n in wanted.items()
        }

    def _part(self, rows: np.ndarray) -> Table:
        """Some rows as a table whose schema is inferred from them alone, to avoid leakage."""
        frame, target = (
            self._table.frame.iloc[rows].reset_index(drop=True),
            self._table.schema.target,
        )
        return Table(frame, Schema.infer(frame, target=target, given=self._synthesizer.schema))

    def _score(
        self,
        f: int,
        train: np.ndarray,
        coded: Callable[[np.ndarray], np.ndarray],
        rows: dict[int, int],
        made: dict[int, np.ndarray],
    ) -> float:
        new = {c: n for c, n in rows.items() if n}
        X = np.vstack([self._places[train], *(made[c][:n] for c, n in new.items())])
        real = self.codes[train]
        target = np.concatenate([real, *(np.full(n, c) for c, n in new.items())])
        weight = self._worth[target]  # for new rows the same weights as `Augmented.sample_weight`
        weight[len(real) :] = np.repeat(
            [(real == c).sum() / n for c, n in new.items()], [*new.values()]
        )
        model = boosting(len(target), self._known.is_level, VALIDATION).set_params(
            random_state=int(child_seed(self._seed, 3, f).generate_state(1)[0]) >> 1
        )
        # Sums of values close to the largest float may overflow.
        with threads_for(X.size, TREES), np.errstate(over="ignore"):
            model.fit(coded(X), target, sample_weight=weight)
        p: Any = np.asarray(model.predict_proba(coded(self._places[~train])))
        column = {c: j for j, c in enumerate(np.asarray(model.classes_).tolist())}
        truth = self.codes[~train]
        worth = self._worth[truth]
        return float(
            np.mean([rank(truth == c, p[:, column[c]], RANKED_BY, worth) for c in self.wanted])
        )


def _explained(curve: dict[str, float], chosen: str, stand_in: str) -> str:
    how = f"average precision on {FOLDS} folds: {_listed(curve)}"
    how += f"; validated with {stand_in}" if stand_in else ""
    if chosen != "none":
        return f"{chosen}: the smallest amount within one standard error of the best ({how})"
    return (
        "none: in validation no amount improved average precision by more than one standard error "
        f"({how}). To add rows anyway, ask for a number of rows or a ratio"
    )


def _listed(curve: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in curve.items())


def _finding(curve: dict[str, float], chosen: str, gain: Difference | None, stand_in: str) -> str:
    """Say whether new rows improved a classifier; `gain` is that of the chosen amount."""
    by = f" with {stand_in}" if stand_in else ""
    if gain is None:
        return (
            f"In validation{by}, new rows did not improve a classifier by more than one standard "
            f"error (average precision: {_listed(curve)})."
        )
    verb = "improved" if gain.low > 0 else "may have improved"
    return (
        f"In validation{by}, new rows {verb} a classifier: the amount {chosen!r} changed average "
        f"precision by {gain.mean:+.3f} from {curve['none']:.3f} ({CONFIDENCE:.0%} interval "
        f"[{gain.low:+.3f}, {gain.high:+.3f}], simultaneous over all amounts tried)."
    )
