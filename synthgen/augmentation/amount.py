"""How many rows to make, chosen by validation; none at all is a choice too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score

from synthgen.encoding.matrix import Coder, Places
from synthgen.model_selection.folds import deal
from synthgen.model_selection.selection import choose
from synthgen.seeds import child_seed
from synthgen.synthesizers.base import Synthesizer
from synthgen.synthesizers.fit_many import fit_many
from synthgen.synthesizers.flow import TabFlow
from synthgen.synthesizers.network import MIN_ROWS, NetworkSynthesizer
from synthgen.tables.table import Table
from synthgen.training.device import resolve

Amount = float | str
# In order of simplicity: of two that are as good, the first is taken.
AMOUNTS: tuple[Amount, ...] = (0.0, 0.1, "double", 0.3, "balance")
FOLDS, LEAST = 5, 10  # a class with fewer rows cannot be validated
# Of a class with fewer rows, five folds tell little, and TabFlow's rows gained over 13 tables at
# this amount, at less and at more (``evaluation/transfer.md``): unless folds speak against it, so
# many are made.
FEW, USUAL = 100, 0.3
MOST_ROWS = 20_000  # of a class; to make more of them in each fold would take too long
# Choosing trains a synthesizer many times. On a CPU a network would take most of the time there is:
# it gets a share of its steps, so many at the least, and rows of each other class, at most. The
# width of a flow follows from its rows, so fewer of them also make each step cheaper.
BRIEF_SHARE, BRIEF_STEPS, BRIEF_ROWS = 0.25, 200, 600
BOOSTING = {"learning_rate": 0.05, "max_iter": 100, "max_leaf_nodes": 15, "l2_regularization": 1}


@dataclass(frozen=True)
class Validated:
    """An amount, and why.

    Attributes:
        amount: One of `AMOUNTS`: a share of the most frequent class, "double" or "balance".
        rows: New rows of each class, by label.
        curve: Mean average precision of each amount that was tried, over the folds; empty where a
            class has too few rows.
        reason: In words.
    """

    amount: Amount
    rows: dict[Any, int]
    curve: dict[str, float]
    reason: str


def wanted_rows(counts: np.ndarray, amount: Amount) -> dict[int, int]:
    """Rows each class should have: all but the most frequent are raised, none is lowered.

    Args:
        counts: Rows of each class.
        amount: Share of the most frequent class, "double" (at most that class) or "balance".

    Example:
        >>> wanted_rows(np.array([1000, 60]), 0.3), wanted_rows(np.array([1000, 60]), "double")
        ({1: 300}, {1: 120})
    """
    most = int(counts.max())
    goals = {}
    for code, n in enumerate(counts.tolist()):
        if n == 0 or code == int(counts.argmax()):
            continue
        goal = min(2 * n, most) if amount == "double" else most
        if isinstance(amount, int | float):
            goal = round(amount * most)
        if goal > n:
            goals[code] = goal
    return goals


def brief(
    synthesizer: Synthesizer,
    codes: np.ndarray,
    whole: Sequence[int],
    seed: np.random.SeedSequence,
) -> np.ndarray:
    """Shorten the training of a network on a CPU, unless its steps were asked for.

    Args:
        synthesizer: Unfitted; its `steps` change.
        codes: Class of each row that it may learn from, shape (rows,).
        whole: Classes of which it learns every row.
        seed: Draws.

    Returns:
        The rows that it should learn from.

    Example:
        >>> from synthgen import TabFlow
        >>> model, codes = TabFlow(device="cpu"), np.repeat([0, 1], [9000, 50])
        >>> len(brief(model, codes, [1], np.random.SeedSequence(0))), model.steps
        (650, 200)
    """
    if (
        not isinstance(synthesizer, NetworkSynthesizer)
        or synthesizer.steps is not None
        or resolve(synthesizer.device).type != "cpu"
    ):
        return np.arange(len(codes))
    order = np.random.default_rng(seed).permutation(len(codes))
    kept = [
        rows if c in whole else rows[:BRIEF_ROWS]
        for c in np.unique(codes).tolist()
        for rows in (order[codes[order] == c],)
    ]
    rows = np.sort(np.concatenate(kept))
    steps = round(BRIEF_SHARE * synthesizer.default_steps(len(rows)))
    synthesizer.set_params(steps=max(BRIEF_STEPS, steps))
    return rows


def validated_amount(
    table: Table,
    labels: Sequence[Any],
    synthesizer: Synthesizer,
    seed: np.random.SeedSequence,
) -> Validated:
    """Choose among `AMOUNTS` on inner folds: the least within one error of the best.

    In each of five folds the synthesizer learns from the training part alone (on a GPU those of all
    folds side by side, see `fit_many`; on a CPU that takes as long); histogram boosting
    with fixed settings is then trained on it with each amount of new rows, and ranks the test part,
    in which classes keep their natural shares. What counts is the mean average precision of the
    labels, each against all others. Amounts of more than 20,000 new rows of a class are not tried.
    For a class of fewer than 100 rows and TabFlow, "30 %" goes before all others: no amount, or
    another, is chosen where it ranks better by more than one error.

    Nothing is validated for a class of fewer than 10 rows, nor for one of which folds leave a
    network fewer than it learns from (13): it is doubled, or raised to TabFlow's 30 %.

    Args:
        table: All rows that may be learned from.
        labels: Classes to make.
        synthesizer: Unfitted; copies of it are trained, one in each fold.
        seed: Of folds, synthesizers and boosting.
    """
    codes, classes = table.labels, table.schema.classes
    counts = np.bincount(codes, minlength=len(classes))
    wanted = [classes.index(label) for label in labels]

    def new_rows(of: np.ndarray, amount: Amount) -> dict[int, int]:
        goals = wanted_rows(of, amount)
        return {c: goals[c] - int(of[c]) for c in wanted if c in goals}

    def by_label(amount: Amount) -> dict[Any, int]:
        made = new_rows(counts, amount)
        return {label: made.get(c, 0) for label, c in zip(labels, wanted, strict=True)}

    known = Places.of(table.schema)
    few = int(counts[wanted].min())
    usual: Amount = USUAL if isinstance(synthesizer, TabFlow) and MIN_ROWS <= few < FEW else 0.0
    in_folds = few - math.ceil(few / FOLDS)
    unlearned = isinstance(synthesizer, NetworkSynthesizer) and in_folds < MIN_ROWS
    if few < LEAST or unlearned or not known.columns:
        why = f"{few} rows are too few to validate an amount: "
        made = by_label(usual)
        if 0 < max(made.values()) <= MOST_ROWS:
            return Validated(usual, made, {}, f"{why}{_words(usual)}, {_USUALLY}")
        return Validated("double", by_label("double"), {}, f"{why}doubled")
    tried: list[Amount] = []
    for amount in AMOUNTS:
        made = new_rows(counts, amount)
        known_ones = [new_rows(counts, other) for other in tried]
        if max(made.values(), default=0) <= MOST_ROWS and made not in known_ones:
            tried.append(amount)
    if len(tried) == 1:
        why = f"each other amount is more than {MOST_ROWS:,} rows: ask for a number of rows"
        return Validated(0.0, by_label(0.0), {}, f"none: {why}")
    features = table.frame.drop(columns=[cast(Any, table.schema.target)])
    y = table.frame[table.schema.target]
    places = known.matrix(features)
    fold = deal(codes, np.arange(len(codes)), FOLDS, np.random.default_rng(child_seed(seed, 0)))
    scores = np.empty((len(tried), FOLDS))
    jobs: list[tuple[Synthesizer, pd.DataFrame, pd.Series]] = []
    for f in range(FOLDS):
        train = fold != f
        own = cast(Synthesizer, clone(cast(Any, synthesizer)))
        own.set_params(classes=[classes[c] for c in wanted])
        own.set_params(random_state=int(child_seed(seed, 1, f).generate_state(1)[0]))
        if "checkpoint" in own.get_params(deep=False):
            own.set_params(checkpoint=None)  # it is for the training on all rows
        learned = np.flatnonzero(train)[brief(own, codes[train], wanted, child_seed(seed, 4, f))]
        rows = features.iloc[learned].reset_index(drop=True)
        jobs.append((own, rows, y.iloc[learned].reset_index(drop=True)))
    fit_many(jobs)
    for f, (own, _, _) in enumerate(jobs):
        train = fold != f
        of = np.bincount(codes[train], minlength=len(classes))
        most = {c: max(new_rows(of, a).get(c, 0) for a in tried) for c in wanted}
        # The first rows of a longer sample are those of a shorter one.
        made = {
            c: known.matrix(own.sample(n, label=classes[c], random_state=child_seed(seed, 2, f)))
            for c, n in most.items()
            if n
        }
        coder = Coder(known.is_level).fit(places[train])
        for i, amount in enumerate(tried):
            new = {c: n for c, n in new_rows(of, amount).items() if n}
            X = np.vstack([places[train], *(made[c][:n] for c, n in new.items())])
            target = np.concatenate([codes[train], *(np.full(n, c) for c, n in new.items())])
            model = HistGradientBoostingClassifier(**cast(Any, BOOSTING)).set_params(
                early_stopping=False,
                categorical_features=known.is_level if known.is_level.any() else None,
                min_samples_leaf=int(np.clip(len(target) // 50, 2, 20)),
                random_state=int(child_seed(seed, 3, f).generate_state(1)[0] >> 1),
            )
            with np.errstate(over="ignore"):  # sums of numbers near the greatest one there is
                model.fit(coder.transform(X), target)
            p: Any = np.asarray(model.predict_proba(coder.transform(places[~train])))
            column = {c: j for j, c in enumerate(np.asarray(model.classes_).tolist())}
            scores[i, f] = np.mean(
                [average_precision_score(codes[~train] == c, p[:, column[c]]) for c in wanted]
            )
    known_ones = [new_rows(counts, other) for other in tried]
    first = known_ones.index(made) if (made := new_rows(counts, usual)) in known_ones else 0
    order = [-1 if i == first else i for i in range(len(tried))]
    place = choose(scores, ratio=1 / (FOLDS - 1), order=order)
    curve = {_words(a): float(v) for a, v in zip(tried, scores.mean(axis=1), strict=True)}
    return Validated(tried[place], by_label(tried[place]), curve, _explained(curve, place, first))


def _words(amount: Amount) -> str:
    if isinstance(amount, str):
        return amount
    return f"{amount:.0%}" if amount else "none"


_USUALLY = f"the usual amount for fewer than {FEW} rows"


def _explained(curve: dict[str, float], place: int, usual: int) -> str:
    names, told = [*curve], ", ".join(f"{k} {v:.3f}" for k, v in curve.items())
    if place and place == usual:
        why = f"{_USUALLY}, and no other ranks better by more than one error"
    elif place:
        why = "the least within one error of the best"
    else:
        why = (
            "no other amount ranks better by more than one error, so new rows are not worth having"
        )
        if usual:
            why = f"{names[usual]}, {_USUALLY}, ranks worse by more than one error"
        why += "; a ratio or a number of rows makes some anyway"
    return f"{names[place]}: {why} (average precision on {FOLDS} inner folds: {told})"
