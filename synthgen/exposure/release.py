"""`privacy`: whether a model file, and rows generated with it, may be shared."""

from __future__ import annotations

import os
import time
from collections.abc import Hashable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from synthgen.errors import DataError, UsageError
from synthgen.exposure.found import Exposed, PrivacyAudit
from synthgen.exposure.membership import Attack, alarms, strongest, suspicions
from synthgen.exposure.shadows import (
    MOST_MADE,
    Answers,
    Audited,
    answers,
    halves,
    shadow,
    stacked,
    through_a_file,
)
from synthgen.metrics.attacks import ATTACKS, Attacked
from synthgen.metrics.privacy_rows import counted_columns, samples_of
from synthgen.progress import Progress
from synthgen.seeds import check_seed, child_seed, fresh_seed, seed_sequence
from synthgen.synthesizers.base import Synthesizer
from synthgen.synthesizers.lookup import load
from synthgen.tables.checks import check_flags
from synthgen.tables.foreign import as_pandas
from synthgen.tables.schema import Schema, class_position
from synthgen.tables.table import Table, joined
from synthgen.threads import TREES, threads_for
from synthgen.training.device import resolve

# Upper limits of the number of training rows (and of holdout rows): for shadow models to learn
# from, to attack, and to compute the distance to the nearest generated row for.
MOST_LEARNED, MOST_ASKED, MOST_NEAR = 20_000, 5_000, 2_500
# Number of pairs of shadow models: at least two, so that each pair can be compared with another.
LEAST_PAIRS, MOST_PAIRS = 2, 4
# Smallest number of rows of a class in each of train and holdout.
LEAST_ROWS = 20
MOST_EXPOSED = 10
ALL = "all"


def privacy(
    model: Synthesizer | str | os.PathLike[str],
    train: pd.DataFrame | tuple[Any, Any],
    holdout: pd.DataFrame | tuple[Any, Any],
    *,
    target: Hashable | None = None,
    label: Any = None,
    schema: Schema | None = None,
    time_budget: float = 600.0,
    device: str = "auto",
    random_state: int | None = 0,
    verbose: bool = False,
) -> PrivacyAudit:
    """Run membership attacks on a model file and on its rows, to decide whether to share them.

    Call it as ``privacy("m.synthgen", (X, y), (X_holdout, y_holdout))`` or as
    ``privacy("m.synthgen", train, holdout, target="outcome")``. The attacker has a row and wants to
    know whether the model was trained on it. With the *file*, the attacker computes the likelihood
    of the row: from shares in leaves, beside the same shares of the other attacked rows (trees),
    losses (TabFlow), or the loss at the best latent point (TVAE). CTGAN's file gives no likelihood,
    so the attacker draws many rows from it. With *rows*, the attacker measures how close they come
    (see `synthgen.metrics.attacks`). Both also train shadow models: the same synthesizer on random
    halves of train and holdout together, which show how a model treats its training rows (Shokri et
    al. 2017; Carlini et al. 2022). The same attacks on shadow models, and on fresh real rows, give
    the success that chance alone reaches.

    Args:
        model: Path of a model file, or a fitted synthesizer, attacked in the form of its file.
        train: The rows that the model was trained on: a frame of shape (rows, columns), or a pair
            ``(X, y)`` of features and classes.
        holdout: Real rows that the model was not trained on, ideally as many as in `train`.
        target: Name of the column that holds the classes, if the tables are frames.
        label: The class to audit. None: the rarest class that the model generates.
        schema: Kinds and limits of the columns (see `Schema.infer`). None: all are inferred.
        time_budget: Time limit for shadow models in seconds; at least four are trained.
        device: Device for networks and distances: "auto", "cpu" or "cuda".
        random_state: Seed. None: a fresh seed, which `PrivacyAudit.seed` then holds.
        verbose: Whether to show progress, on standard error or below the cell of a notebook.

    Returns:
        The recommendation, the worst attacks with their chance levels, and the most exposed rows.

    Raises:
        ModelFileError: The file cannot be read.
        DataError: A table cannot be used.
        UsageError: The class has fewer than 20 rows in train or in the holdout (E284).

    Example:
        >>> from synthgen import SequentialTrees
        >>> rng = np.random.default_rng(0)
        >>> def drawn(rows):
        ...     ill = np.arange(rows) % 2 == 0
        ...     return pd.DataFrame({"dose": rng.normal(size=rows) + ill, "ill": ill})
        >>> train, holdout = drawn(200), drawn(200)
        >>> trees = SequentialTrees(classes=[True], random_state=0)
        >>> trees = trees.fit(train[["dose"]], train["ill"])
        >>> found = privacy(trees, train, holdout, target="ill")
        >>> [attack.opponent for attack in found.attacks], len(found.exposed)
        (['file', 'rows', 'file'], 10)
    """
    check_flags(verbose=verbose)
    started = time.perf_counter()
    check_seed(random_state)
    seed = fresh_seed() if random_state is None else int(random_state)
    source = seed_sequence(seed)
    path = None if isinstance(model, Synthesizer) else Path(model)
    place = resolve(device)
    if isinstance(model, Synthesizer):
        file, keepable = through_a_file(model)
    else:
        file, keepable = load(model, device=device), True
    whole, member = both_sides(train, holdout, target, schema)
    label = _rarest(file, whole) if label is None else file.learned_class(label)
    found = _found(file, whole, member, label, place, source, time_budget, verbose)
    return replace(
        found,
        path=None if path is None else str(path),
        keepable=keepable,
        seed=seed,
        seconds=round(time.perf_counter() - started, 1),
    )


def _found(
    file: Synthesizer,
    whole: Table,
    member: np.ndarray,
    label: Any,
    device: torch.device,
    source: np.random.SeedSequence,
    budget: float,
    verbose: bool,
) -> PrivacyAudit:
    """Run all attacks, and collect them in a `PrivacyAudit`."""
    audited, asked = audited_rows(file, whole, member, label, device, child_seed(source, 0))
    cells = len(audited.table) * len(whole.schema.columns)
    with threads_for(cells, TREES), Progress(verbose) as progress:
        progress.start("attacking the file")
        mine = answers(file, audited, child_seed(source, 1))
        theirs, learned = _shadows(file, audited, source, budget, progress)
        progress.start("attacking rows")
        attacks, suspicion = _attacked(audited, asked, label, mine, theirs, learned, source)
        attacks += _by_rows(file, audited, asked, label, attacks, child_seed(source, 5))
    return PrivacyAudit(
        synthesizer=type(file).__name__,
        path=None,
        target=str(whole.schema.target),
        label=str(label),
        attacks=tuple(_worst(attacks)),
        exposed=_exposed(audited, asked, suspicion),
        keepable=True,
        likelihood=mine.losses is not None,
        shadows=len(learned),
        sizes={
            "train": int(member.sum()),
            "holdout": int((~member).sum()),
            "attacked": int(asked.sum()),
        },
        seed=0,
        seconds=0.0,
    )


# --- rows -----------------------------------------------------------------------------------------


def both_sides(
    train: Any, holdout: Any, target: Hashable | None, schema: Schema | None
) -> tuple[Table, np.ndarray]:
    """Join train and holdout to one table; also return which rows belong to train."""
    frames = []
    for which, given in (("train", train), ("holdout", holdout)):
        if isinstance(given, tuple):
            if len(given) != 2:
                raise UsageError(217, f"the {which} table is a tuple of {len(given)}: give (X, y)")
            given, name = joined(*given, schema)
            target = name if which == "train" else target
            given.columns = pd.Index([*given.columns[:-1], target], dtype=object)
        given = as_pandas(given, f"the {which} table")
        if not isinstance(given, pd.DataFrame):
            raise UsageError(217, f"the {which} table is a {type(given).__name__}: give a frame")
        if not len(given):
            raise UsageError(284, f"the {which} table has no row: give real rows")
        frames.append(given)
    if target is None:
        raise UsageError(
            217, "nothing says which column holds the classes: give (X, y), or target=..."
        )
    first, second = frames
    if lacking := [str(c) for c in first.columns if c not in set(second.columns)]:
        raise DataError(
            364,
            f"the holdout table lacks {', '.join(lacking[:8])}, which train has: add or rename it",
        )
    frame = pd.concat([first, second[list(first.columns)]], ignore_index=True)
    member = np.arange(len(frame)) < len(first)
    return Table.of(frame, target=target, schema=schema), member


def _rarest(model: Synthesizer, table: Table) -> Any:
    return min(model.classes_, key=lambda c: table.counts.get(c, 0))


def audited_rows(
    model: Synthesizer,
    whole: Table,
    member: np.ndarray,
    label: Any,
    device: torch.device,
    seed: np.random.SeedSequence,
) -> tuple[Audited, np.ndarray]:
    """Choose the rows to attack; also return which of them belong to train."""
    rng = np.random.default_rng(seed)
    classes = whole.schema.classes
    places = [class_position(classes, c) for c in model.classes_]
    made = np.isin(whole.labels, places)
    rare = whole.labels == class_position(classes, label)
    for which, side in (("train", member), ("holdout", ~member)):
        few = int((rare & side).sum())
        if few < LEAST_ROWS:
            raise UsageError(
                284,
                f"the {which} table has {few} rows of {label!r}, but an attack on fewer than "
                f"{LEAST_ROWS} shows nothing: give more rows",
            )
    # First the audited class, then other learned classes, then the rest; of the holdout at most as
    # many rows as of train.
    order = rng.permutation(len(whole))
    order = order[np.argsort(2 * ~rare[order] + ~made[order], kind="stable")]
    ours, others = order[member[order]], order[~member[order]]
    others = others[: min(len(ours), MOST_LEARNED)]
    ours = ours[:MOST_LEARNED]
    chosen = np.sort(np.concatenate([ours, others]))
    table = whole.rows(chosen)
    place_of = np.full(len(whole), -1)
    place_of[chosen] = np.arange(len(chosen))
    asked = np.concatenate([place_of[side[:MOST_ASKED]] for side in (ours, others)])
    is_made = made[chosen][asked]
    member_asked = member[chosen][asked]
    near = np.concatenate(
        [np.flatnonzero(is_made & side)[:MOST_NEAR] for side in (member_asked, ~member_asked)]
    )
    wanted = int((made & member).sum())
    most = min(wanted, MOST_MADE)
    rows = Audited(table, asked, chosen[asked], near, tuple(model.classes_), most, device)
    return rows, member_asked


# --- attacks --------------------------------------------------------------------------------------


def _shadows(
    model: Synthesizer,
    audited: Audited,
    source: np.random.SeedSequence,
    budget: float,
    progress: Progress,
) -> tuple[list[Answers], np.ndarray]:
    """Train shadow models; return their answers, and which rows each learned: (models, rows)."""
    found, learned = [], []
    started = time.perf_counter()
    progress.start("training shadow models", 2 * MOST_PAIRS)
    for pair in range(MOST_PAIRS):
        spent = time.perf_counter() - started
        if pair >= LEAST_PAIRS and spent * (pair + 1) / pair > budget:
            break
        first = halves(audited.table, child_seed(source, 2, pair))
        for k, half in enumerate((first, ~first)):
            trained = shadow(model, audited, half, child_seed(source, 3, pair, k))
            # The same seed as for the file, so that every model is evaluated with the same noise.
            found.append(answers(trained, audited, child_seed(source, 1)))
            learned.append(half[audited.asked])
            progress.update(2 * pair + k + 1)
    return found, np.stack(learned)


def _attacked(
    audited: Audited,
    member: np.ndarray,
    label: Any,
    mine: Answers,
    theirs: list[Answers],
    learned: np.ndarray,
    source: np.random.SeedSequence,
) -> tuple[list[Attack], tuple[np.ndarray, np.ndarray]]:
    """Attack with shadow models; return attacks, and the worst attack's rows and suspicions."""
    table = audited.rows
    classes = table.schema.classes
    rare = table.labels == class_position(classes, label)
    every = np.arange(len(table))
    figures = {
        "file": (every, mine.losses, stacked([a.losses for a in theirs])),
        "rows": (audited.near, mine.near, stacked([a.near for a in theirs])),
    }
    if mine.losses is None:
        figures["file"] = (audited.near, mine.drawn, stacked([a.drawn for a in theirs]))
    attacks: list[Attack] = []
    suspicion = np.empty(0, int), np.empty(0)
    for number, (opponent, (rows, target, shadows)) in enumerate(figures.items()):
        if target is None or shadows is None:
            continue
        known = np.isfinite(target).all(1) & np.isfinite(shadows).all((0, 2))
        rows, target, shadows = rows[known], target[known], shadows[:, known]
        seed = child_seed(source, 4, number)
        found = suspicions(target, shadows, learned[:, rows], child_seed(seed, 0))
        if figures[opponent][1] is not mine.losses:  # known by generated rows
            found = {f"shadow {name}": rows for name, rows in found.items()}
            found["frequencies"] = -np.concatenate([target[None], shadows])[:, :, 1]
        groups = {str(label): rare[rows], ALL: np.ones(len(rows), dtype=bool)}
        for group, which in groups.items():
            if group == ALL and (which == groups[str(label)]).all():
                continue
            some = {name: suspected[:, which] for name, suspected in found.items()}
            attack = strongest(
                some, member[rows][which], opponent=opponent, group=group, seed=child_seed(seed, 1)
            )
            attacks.append(attack)
            if opponent == "file" and group == str(label):
                suspicion = rows[which], found[attack.attack][0, which]
    return attacks, suspicion


def _by_rows(
    model: Synthesizer,
    audited: Audited,
    member: np.ndarray,
    label: Any,
    others: list[Attack],
    seed: np.random.SeedSequence,
) -> list[Attack]:
    """Run the attacks of `evaluate` on generated rows and, as a null, on fresh real rows."""
    table = audited.rows
    made = as_pandas(model.sample(audited.made, random_state=child_seed(seed, 0)))
    is_rare = table.labels == class_position(table.schema.classes, label)
    rare_made = (made[table.schema.target] == label).to_numpy(dtype=bool)
    near = np.zeros(len(table), dtype=bool)
    near[audited.near] = True
    attacks = []
    for group in dict.fromkeys(a.group for a in others if a.opponent == "rows"):
        which = is_rare & near if group == str(label) else near
        new = made[rare_made] if group == str(label) else made
        if len(new) < 2:
            continue
        frames = [table.rows(which & member), None, table.rows(which & ~member)]
        frames[1] = Table(new[list(table.schema.names)].reset_index(drop=True), table.schema)
        columns, _ = counted_columns(*frames)
        real, rows, held = samples_of(columns, frames, audited.device)
        found = Attacked.of(real, rows, held, child_seed(seed, 1))
        both = np.concatenate([found.synthetic[:, None], found.fresh.swapaxes(0, 1)], axis=1)
        there = np.arange(both.shape[2]) < both.shape[2] // 2
        some: dict[str, np.ndarray] = dict(zip(ATTACKS, both, strict=False))
        attack = strongest(some, there, opponent="rows", group=group, seed=child_seed(seed, 2))
        attacks.append(attack)
    return attacks


def _worst(attacks: list[Attack]) -> list[Attack]:
    """Keep, per opponent and group, the strongest attack at 10 % false alarms.

    Who has the file can also make rows with it, so attacks on rows are also attacks with the file.
    """
    found: dict[tuple[str, str], Attack] = {}
    with_file = [replace(a, opponent="file") for a in attacks if a.opponent == "rows"]
    for attack in attacks + with_file:
        key = attack.opponent, attack.group
        if key not in found or attack.tpr_10 > found[key].tpr_10:
            found[key] = attack
    order = {"file": 0, "rows": 1}
    return sorted(found.values(), key=lambda a: (a.group == ALL, order[a.opponent]))


def _exposed(
    audited: Audited, member: np.ndarray, suspicion: tuple[np.ndarray, np.ndarray]
) -> tuple[Exposed, ...]:
    """List the training rows that the attack on the file recognises most certainly."""
    rows, suspected = suspicion
    mine = member[rows]
    share = alarms(suspected, mine)
    order = np.lexsort((-suspected[mine], share))[:MOST_EXPOSED]
    places = audited.origin[rows[mine]][order]
    return tuple(
        Exposed(int(place), float(of)) for place, of in zip(places, share[order], strict=True)
    )
