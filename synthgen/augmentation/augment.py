"""`augment`: adds synthetic rows of the rare class to a table."""

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from synthgen.augmentation.amount import Addition, Validated, amounts, check_amount, default_amount
from synthgen.augmentation.augmented import Augmented
from synthgen.augmentation.constraints import RowRule
from synthgen.augmentation.guard import Guard
from synthgen.augmentation.rejection import guarded_sample
from synthgen.augmentation.validation import to_learn, validated_amount
from synthgen.encoding.unlearned import unlearned
from synthgen.errors import DataError, UsageError
from synthgen.progress import Progress
from synthgen.seeds import check_seed, child_seed, fresh_seed, seed_sequence
from synthgen.synthesizers.base import Synthesizer, check_memory, check_two_rows
from synthgen.synthesizers.lookup import resolve
from synthgen.tables.calls import is_name
from synthgen.tables.checks import check_flags
from synthgen.tables.column import Column
from synthgen.tables.foreign import as_pandas
from synthgen.tables.schema import Schema, class_position
from synthgen.tables.table import Table, as_frame, joined, native

DEFAULT_SYNTHESIZER = "auto"


def augment(
    X: Any,
    y: Any = None,
    *,
    target: Hashable | None = None,
    labels: Sequence[Any] | None = None,
    synthesizer: str | Synthesizer = DEFAULT_SYNTHESIZER,
    model: Synthesizer | None = None,
    ratio: float | str | None = None,
    n_samples: int | None = None,
    schema: Schema | None = None,
    rules: Sequence[RowRule] = (),
    found_rules: bool = True,
    random_state: int | None = None,
    verbose: bool = False,
) -> Augmented:
    """Add synthetic rows of the rare class to a table.

    Call it as ``augment(X, y)`` or as ``augment(frame, target="outcome")``. Every new row respects
    the limits of the columns and all `rules`, and gets a new ID. Networks and trees also reject
    near copies of training rows, see `Guard`.

    Args:
        X: Features, shape (rows, features), or with `target` the whole frame; never changed.
        y: Classes, shape (rows,). Leave it out with `target`.
        target: Name of the column of `X` that holds the classes.
        labels: Classes to add rows to; text works too ("1" for 1). None: the rarest class.
        synthesizer: Name, import path or unfitted synthesizer, of which a copy is trained on all
            rows of `labels` and at most 20,000 of each other class. "auto" (default): `TabFlow`
            below 200 rows of the smallest class to learn, `SequentialTrees` from there on.
        model: A fitted synthesizer, used without training, with its own limits unless `schema`.
        ratio: Rows of the class afterwards (real and new), divided by the rows of the most
            frequent class. "double": as many new rows as real ones. "auto": cross-validation
            chooses among none, 10 %, 30 %, double and balance, see `validated_amount`; this trains
            the synthesizer five more times. None (default): like "auto", but rows are added even
            if no amount helps, see `default_amount`, and `Augmented.finding` then says so. With
            `model` nothing is validated, because the model has seen all rows.
        n_samples: New rows per class; use it instead of `ratio`.
        schema: Kinds and limits of columns, used instead of inferring them from the cells.
        rules: Conditions that every new row must satisfy, such as ``"start <= end"``; see `Rule`.
        found_rules: Whether new rows must also satisfy the rules that all real rows satisfy.
        random_state: Seed. None draws one and keeps it in `Augmented.seed`.
        verbose: Whether to show progress, on standard error or below the notebook cell.

    Returns:
        The table with the new rows at its end, sample weights, and a record of the run.

    Raises:
        DataError: The table cannot be used, or its columns differ from the model's.
        UsageError: An argument is invalid, a class has one row, or most real rows break a rule.
        ConvergenceError: Training diverged, or too few rows passed the limits and rules.

    Example:
        >>> frame = pd.DataFrame({"dose": [1, 1.5, 2.5, 9, 9.5, 7.25], "ill": [0, 0, 0, 0, 1, 1]})
        >>> result = augment(frame, target="ill", synthesizer="bootstrap", random_state=0)
        >>> result.frame["ill"].tolist(), result.additions[0].reason
        ([0, 0, 0, 0, 1, 1, 1, 1], 'doubles its 2 rows')
        >>> result.finding
        'Nothing was validated: 2 rows are too few to validate an amount.'
        >>> result.sample_weight[-2:].tolist()
        [1.0, 1.0]
    """
    check_flags(found_rules=found_rules, verbose=verbose)
    if ratio != "auto":
        check_amount(ratio, n_samples)
    table = Table.labelled(X, y, target=target, schema=schema)
    if model is not None:
        check_fit(model, table)
    check_seed(random_state)
    seed = fresh_seed() if random_state is None else int(random_state)
    wanted = choose_labels(table, labels, model)
    limits = None if model is None or schema is not None else model.schema_
    held: dict[str, Any] = {"rules": rules, "found_rules": found_rules}
    chosen = model or resolve(synthesizer, min(table.counts[label] for label in wanted))
    # The guards come before training, so that an invalid rule fails at once.
    guards, found = {c: Guard(table, c, limits=limits, **held) for c in wanted}, None
    with Progress(verbose) as bar:
        if ratio == "auto" or (ratio is None and n_samples is None and model is None):
            bar.part("choosing an amount", 0.75)  # it fits five times, on 80 % of the rows
            found = _validated(table, wanted, chosen, model, n_samples, seed, held, verbose)
            additions = _as_validated(table, wanted, found, may_be_none=ratio == "auto")
        else:
            additions = amounts(table.counts, wanted, ratio=ratio, n_samples=n_samples)
        own = model or _unfitted(chosen, wanted, schema, seed, verbose)
        known = given_frame(X, y, table), table, additions, guards, own, seed, found
        return _augmented(*known, given=X, bar=bar, train=model is None)


def _as_validated(
    table: Table, labels: list[Any], found: Validated, *, may_be_none: bool
) -> list[Addition]:
    """Return the validated number of rows; that of `default_amount` if it must not be 0."""
    if not may_be_none:
        return default_amount(table.counts, labels, found)
    return [Addition(label, found.rows[label], found.reason) for label in labels]


def _unfitted(
    synthesizer: Synthesizer,
    labels: list[Any],
    schema: Schema | None,
    seed: int,
    verbose: bool,
) -> Synthesizer:
    """Copy the synthesizer, unfitted, and set it to learn `labels`."""
    own = cast(Synthesizer, clone(cast(Any, synthesizer)))
    own.set_params(classes=labels, random_state=seed)
    if schema is not None:
        own.set_params(schema=schema)
    if verbose and "verbose" in own.get_params(deep=False):
        own.set_params(verbose=True)
    return own


def _augmented(
    frame: pd.DataFrame,
    table: Table,
    additions: list[Addition],
    guards: dict[Any, Guard],
    synthesizer: Synthesizer,
    seed: int,
    validated: Validated | None,
    *,
    given: Any,
    bar: Progress,
    train: bool,
) -> Augmented:
    """Train if any rows are wanted, sample them, and append them to `frame`."""
    check_memory(sum(a.rows for a in additions), frame.shape[1])
    started = time.perf_counter()
    some = [a for a in additions if a.rows]
    if train and some:
        bar.part(f"training {type(synthesizer).__name__}", 0.9)
        labels = [addition.label for addition in additions]
        synthesizer.fit_table(to_learn(table, labels, child_seed(seed_sequence(seed), 8)))
    bar.part("making rows", 1.0)
    trained = time.perf_counter()
    made = [guarded_sample(synthesizer, a.rows, guards[a.label], random_state=seed) for a in some]
    whole = _joined(frame, [guarded.frame for guarded in made], table.schema)
    after = table.counts
    for addition in additions:
        after[addition.label] += addition.rows
    return Augmented(
        pandas_frame=whole,
        given=given,
        is_synthetic=np.arange(len(whole)) >= len(frame),
        schema=table.schema,
        additions=tuple(additions),
        before=table.counts,
        after=after,
        synthesizer=synthesizer,
        guard={a.label: g.summary() for a, g in zip(some, made, strict=True)},
        seed=seed,
        seconds={"fit": trained - started, "sample": time.perf_counter() - trained},
        validated=validated,
    )


def given_frame(data: Any, y: Any, table: Table) -> pd.DataFrame:
    """Return the user's table as one frame, with its cells and dtypes unchanged."""
    if isinstance(data, Table):
        return data.frame
    if y is None or is_name(y):
        return native(as_pandas(data))
    return joined(data, y, table.schema)[0]


def choose_labels(
    table: Table, labels: Sequence[Any] | None, model: Synthesizer | None = None
) -> list[Any]:
    """Choose the classes to add rows to: `labels`, or the rarest class that `model` learned."""
    counts, classes = table.counts, table.schema.classes
    if labels is not None and not len(labels):
        raise UsageError(274, "labels is empty: name a class, or leave it out for the rarest one")
    if labels is not None:
        return list(dict.fromkeys(classes[class_position(classes, label)] for label in labels))
    there = [c for c in classes if counts[c]]
    if model is not None:
        there = [c for c in there if c in model.classes_]
        if not there:
            learned = ", ".join(map(repr, model.classes_))
            raise DataError(
                361, f"the model learned class {learned}, and the table has no row of it"
            )
    return [min(there, key=lambda c: counts[c])]


def _validated(
    table: Table,
    labels: Sequence[Any],
    synthesizer: Synthesizer,
    model: Synthesizer | None,
    n_samples: int | None,
    seed: int,
    held: dict[str, Any],
    verbose: bool,
) -> Validated:
    if model is not None:
        raise UsageError(
            257,
            "ratio auto trains on parts of the table, but the model has seen all of it: give a "
            "number, or leave out the model",
        )
    if n_samples is not None:
        raise UsageError(275, f"ratio auto and {n_samples} rows were both asked for: give one")
    for label in labels:
        check_two_rows(label, table.counts[label])
    entropy = child_seed(seed_sequence(seed), 9)
    return validated_amount(
        table,
        labels,
        synthesizer,
        entropy,
        verbose=verbose,
        **held,
    )


def check_fit(model: Synthesizer, table: Table) -> None:
    """Raise a `DataError` that lists the differences if the table does not fit the model."""
    check_is_fitted(model, "schema_")
    learned, found = model.schema_, table.schema
    if learned.target != found.target:
        raise DataError(361, f"the model's target is {learned.target!r}, not {found.target!r}")
    there = {c.name: c for c in found.columns}
    known = {c.name: c for c in learned.columns}
    wrong = [f"column {name!r} is missing" for name in known if name not in there]
    wrong += [f"column {name!r} is unknown to the model" for name in there if name not in known]
    for name in known:
        if name in there and (why := _misfit(known[name], there[name].dtype)):
            wrong.append(f"column {name!r} {why}")
    if wrong:
        more = f", and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise DataError(
            361,
            f"the table does not fit the model: {'; '.join(wrong[:5])}{more}: "
            f"give it the columns of the training table, or train again",
        )


# --- joining ----------------------------------------------------------------------------------


def _joined(frame: pd.DataFrame, parts: list[pd.DataFrame], schema: Schema) -> pd.DataFrame:
    """`frame` with the rows of `parts` appended; columns and dtypes are those of `frame`."""
    rows = sum(map(len, parts))
    series = []
    for place, name in enumerate(frame.columns):
        column, old = schema[name], frame.iloc[:, place]
        if column.kind == "id":
            new = [unlearned(column, rows)]
        else:
            new = [part.iloc[:, list(part.columns).index(name)] for part in parts]
        if isinstance(old.dtype, pd.CategoricalDtype):
            levels = old.dtype.categories
            for part in new:  # IDs are new levels, and a model may know levels the table lacks
                levels = levels.append(
                    part.astype(object)[~part.isin(levels) & part.notna()].pipe(pd.Index).unique()
                )
            dtype = (
                old.dtype
                if len(levels) == len(old.dtype.categories)
                else pd.CategoricalDtype(levels, old.dtype.ordered)
            )
            old, new = old.astype(dtype), [part.astype(dtype) for part in new]
        else:
            new = [part if part.dtype == old.dtype else part.astype(old.dtype) for part in new]
        series.append(pd.concat([old, *new], ignore_index=True))
    whole = as_frame(series, list(frame.columns), len(frame) + rows)
    whole.columns = frame.columns
    return whole


def _misfit(learned: Column, dtype: Any) -> str:
    """Why a column of this dtype cannot hold the learned column's values; "" if it can."""
    if _plain(learned.dtype) != _plain(dtype):
        return f"is {dtype}, the model learned {learned.dtype}"
    holds_missing = not (isinstance(dtype, np.dtype) and dtype.kind in "iub")
    if learned.missing and not holds_missing:
        return f"is {dtype}, which has no missing cells, but the model learned some"
    return ""


def _plain(dtype: Any) -> str:
    """Name of a dtype, ignoring its categories and whether it is nullable."""
    if isinstance(dtype, pd.CategoricalDtype):
        return f"category of {_plain(dtype.categories.dtype)}"
    if isinstance(dtype, pd.SparseDtype):
        return _plain(dtype.subtype)
    name = str(dtype)
    same = {"boolean": "bool", "string": "object", "str": "object"}
    return same.get(name, name.lower() if name[:1] in "IUF" else name)
