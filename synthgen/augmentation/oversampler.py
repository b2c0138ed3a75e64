"""`Oversampler`: any synthesizer as an imbalanced-learn sampler, for use in pipelines."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from numbers import Integral
from typing import Any, ClassVar, Self, cast, final

import numpy as np
import pandas as pd
from imblearn.over_sampling.base import BaseOverSampler
from imblearn.utils import check_sampling_strategy
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from synthgen.augmentation.amount import Validated, check_amount, rows_to_add
from synthgen.augmentation.constraints import RowRule
from synthgen.augmentation.guard import Guard
from synthgen.augmentation.rejection import guarded_sample
from synthgen.augmentation.validation import to_learn, validated_amount
from synthgen.encoding.unlearned import unlearned
from synthgen.errors import DataError, UsageError
from synthgen.seeds import RandomState, child_seed, seed_sequence
from synthgen.synthesizers.base import Synthesizer, check_memory, check_two_rows
from synthgen.synthesizers.lookup import resolve
from synthgen.tables.calls import checked_weight, features_and_classes, group_numbers, is_name
from synthgen.tables.column import Column
from synthgen.tables.foreign import as_given, as_pandas
from synthgen.tables.inference import infer_target
from synthgen.tables.table import Table, as_frame, native


@final
class Oversampler(BaseOverSampler):
    """Adds synthetic rows to the rare classes, inside imbalanced-learn and scikit-learn.

    It accepts missing cells, text, categories, dates, and nullable and Arrow dtypes. The result
    holds the original rows, unchanged, followed by the new rows class by class; columns and dtypes
    stay the same. As in imbalanced-learn, a returned frame has a RangeIndex. `X` and `y` are
    matched by position; it is an error if their indexes imply a different order.

    **Do not balance the classes.** Balancing is imbalanced-learn's default and therefore the
    default here, but on the tables of ``evaluation/`` it was never shown to beat fewer synthetic
    rows. Use ``ratio="auto"``: cross-validation chooses the number of rows, which may be none.
    Pass `sample_weight_` to the classifier. An imbalanced-learn pipeline drops these weights;
    `OversampledClassifier` passes them on.

    Args:
        synthesizer: "auto" (TabFlow below 200 rows of the smallest class to learn, trees from
            there on), "trees", "tabflow", "tvae", "ctgan", "bootstrap", an import path
            (``package.module:Class``) or an instance. A clone learns the classes that get rows,
            from all of their rows and at most 20,000 of each other class; its `random_state` is set
            if it is None. Give an instance to tune its parameters (``synthesizer__steps``).
        ratio: Rows of each rare class afterwards (real and synthetic), divided by the rows of the
            most frequent class; above 0. A class that already exceeds it gets no rows. "double": as
            many new rows as real ones. "auto": validation chooses, see `validated_amount` and
            `amount_`. None (default): `sampling_strategy` decides.
        sampling_strategy: As in imbalanced-learn. "auto" (default) makes every class as large as
            the most frequent one, as imbalanced-learn's checks require.
        rules: Conditions that every new row must satisfy, such as ``"start <= end"`` or a function
            of a frame; see `Rule`. Limits of columns are always respected, and networks and trees
            also reject near copies of training rows, see `Guard`.
        found_rules: Whether new rows must also satisfy the rules that all real rows satisfy.
        random_state: Seed. None gives different rows each time, without using numpy's global
            generator.
        verbose: Whether to show progress, on standard error or below the notebook cell.

    Raises:
        UsageError, DataError: Raised by `fit_resample`, not by the constructor.

    Attributes:
        sampling_strategy_: Number of rows to add to each class.
        synthesizer_: The fitted synthesizer; None if no rows were wanted.
        guard_: Rejected rows per class, see `Guarded.summary`.
        sample_is_synthetic_: True for new rows, bool of shape (rows,).
        sample_weight_: Float64 of shape (rows,): 1 or the given weight for a real row; the new rows
            of a class share the total weight of its real rows equally.
        ratio_: With ``ratio="auto"``: the chosen ratio of the rarest class; 0 means no new rows.
        amount_: With ``ratio="auto"``: the chosen amount, the scores of all amounts, the reason.
        n_features_in_: Number of columns of `X`.
        feature_names_in_: Names of the columns of `X`; set only if all of them are strings.

    Example:
        >>> X = pd.DataFrame({"dose": [1.0, 1.5, 2.5, 3.0, 9.0, 7.25], "sex": list("fmfmfm")})
        >>> y = pd.Series(["no", "no", "no", "no", "yes", "yes"], name="ill")
        >>> oversampler = Oversampler("bootstrap", ratio="auto", random_state=0)
        >>> X_new, y_new = oversampler.fit_resample(X, y)
        >>> X_new.shape, y_new.value_counts().to_dict()
        ((8, 2), {'no': 4, 'yes': 4})
        >>> oversampler.sample_is_synthetic_.nonzero()[0], oversampler.amount_.reason
        (array([6, 7]), '2 rows are too few to validate an amount: doubled')
    """

    sampling_strategy_: dict[Any, int]
    synthesizer_: Synthesizer | None
    guard_: dict[Any, dict[str, Any]]
    sample_is_synthetic_: np.ndarray
    sample_weight_: np.ndarray
    ratio_: float
    amount_: Validated
    n_features_in_: int
    feature_names_in_: np.ndarray

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseOverSampler._parameter_constraints,
        "synthesizer": [str, Synthesizer],
        "ratio": "no_validation",  # `check_amount` says what `augment` says
        "rules": [str, list, tuple],
        "found_rules": ["boolean"],
        "verbose": ["boolean"],
        "random_state": "no_validation",  # `seed_sequence` takes more than scikit-learn does
    }

    def __init__(
        self,
        synthesizer: Synthesizer | str = "auto",
        *,
        ratio: float | str | None = None,
        sampling_strategy: float | str | Mapping[Any, int] | Callable[[Any], Any] = "auto",
        rules: Sequence[RowRule] = (),
        found_rules: bool = True,
        random_state: RandomState = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(sampling_strategy=cast(Any, sampling_strategy))
        self.synthesizer = synthesizer
        self.ratio = ratio
        self.rules = rules
        self.found_rules = found_rules
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None, *, target: Hashable | None = None) -> Self:
        """Check parameters and target, and count the rows to add; `fit_resample` adds them.

        Args:
            X, y, target: See `fit_resample`.

        Returns:
            This sampler.

        Raises:
            UsageError, DataError: See `fit_resample`.
        """
        X, y = features_and_classes(X, y, target=target)
        self._checked(as_pandas(X, "X"), as_pandas(y, "y"))
        return self

    def fit_resample(
        self,
        X: Any,
        y: Any = None,
        *,
        target: Hashable | None = None,
        groups: Any = None,
        sample_weight: Any = None,
    ) -> tuple[Any, Any]:
        """Append synthetic rows to `X` and `y`.

        Call it as ``fit_resample(X, y)`` or as ``fit_resample(frame, target="outcome")``; both
        return features and classes separately.

        Args:
            X: Frame, array or list of rows, shape (rows, features); never changed. Sparse columns
                of a frame are made dense for training and returned sparse. With `target`, the
                frame that also holds the classes.
            y: Classes, shape (rows,), as a series, one-column frame, array or list; or a one-hot
                array of shape (rows, classes).
            target: Name of the column of `X` that holds the classes.
            groups: Group of each row, shape (rows,). With ``ratio="auto"``, rows of a group share a
                fold of the validation; otherwise without effect. None: equal rows share one.
            sample_weight: Weight of each given row, at least 0, shape (rows,), which
                `sample_weight_` then begins with. Rows are learned and amounts validated without
                weights. None: all weights are 1.

        Returns:
            Features and classes, in the containers and dtypes of `X` and `y`; in a pipeline with
            ``set_output(transform="polars")`` these are polars frames. They are copies even if no
            row is added. New rows have new IDs and no free text, see `Encoder`.

        Raises:
            UsageError: A parameter is invalid; `sampling_strategy` asks for fewer rows than a
                class has, or for more than fit in memory; a class to add rows to has only one row;
                a rule cannot be evaluated, or more than half of the real rows of a class break it.
            ConvergenceError: Training diverged, or too few rows passed the limits and rules.
            DataError: The table cannot be used, or `X` is a SciPy sparse matrix.
        """
        given = X, X if y is None or is_name(y) else y
        X, y = features_and_classes(X, y, target=target)
        X, y = as_pandas(X, "X"), as_pandas(y, "y")
        frame, labels, classes = self._checked(X, y)
        weight = checked_weight(sample_weight, len(frame))
        held = None if groups is None else group_numbers(groups, len(frame))
        rows = _counts(classes, labels)
        smallest = min((rows[c] for c in self.sampling_strategy_ if rows[c] > 1), default=0)
        chosen = resolve(self.synthesizer, smallest)
        synthesizer = cast(Synthesizer, clone(cast(Any, chosen)))
        table = None
        if self.ratio == "auto":
            table = Table.of_xy(frame, labels, schema=synthesizer.schema)
            self._choose_amount(table, synthesizer, held)
        codes, known, counts = classes.codes(labels), classes.categories, _counts(classes, labels)
        wanted = {known[known.index(c)]: n for c, n in self.sampling_strategy_.items() if n > 0}
        for label in wanted:
            check_two_rows(label, counts[label])
        check_memory(sum(wanted.values()), frame.shape[1] + 1)
        self.synthesizer_, self.guard_ = None, {}
        made = frame.iloc[:0]
        if wanted:
            table = table or Table.of_xy(frame, labels, schema=synthesizer.schema)
            made = self._made(table, synthesizer, wanted)
        first = [int(np.argmax(codes == known.index(label))) for label in wanted]
        positions = np.append(range(len(frame)), np.repeat(first, list(wanted.values())))
        self.sample_is_synthetic_ = np.arange(len(positions)) >= len(frame)
        weight = np.ones(len(frame)) if weight is None else weight
        each = [weight[codes == known.index(label)].sum() / n for label, n in wanted.items()]
        self.sample_weight_ = np.append(weight, np.repeat(each, list(wanted.values())))
        more, of = _appended(X, made), _taken(y, positions.astype(np.int64))
        return as_given(more, given[0], kept=len(frame)), as_given(of, given[1])

    def _fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        """Hook that imbalanced-learn's `fit_resample` calls; required by its base class."""
        return self.fit_resample(X, y)

    def _choose_amount(
        self, table: Table, synthesizer: Synthesizer, groups: np.ndarray | None
    ) -> None:
        """Validate amounts; set `amount_`, `ratio_` and `sampling_strategy_` to the choice."""
        seed = child_seed(seed_sequence(self.random_state), 2)
        counts = table.counts
        # A class with a single row cannot be learned.
        made = [label for label in self.sampling_strategy_ if counts[label] > 1]
        self.ratio_ = 0.0
        if made:
            self.amount_ = validated_amount(
                table,
                made,
                synthesizer,
                seed,
                rules=self.rules,
                found_rules=self.found_rules,
                groups=groups,
                verbose=self.verbose,
            )
            self.sampling_strategy_ = self.sampling_strategy_ | self.amount_.rows
            rarest = min(made, key=lambda label: counts[label])
            if self.amount_.amount:
                rows = counts[rarest] + self.amount_.rows[rarest]
                self.ratio_ = rows / max(counts.values())

    def _made(self, table: Table, synthesizer: Synthesizer, wanted: dict[Any, int]) -> pd.DataFrame:
        """Features of the new rows, `wanted[label]` per class; sets `synthesizer_`, `guard_`."""
        seed = seed_sequence(self.random_state)
        synthesizer.set_params(classes=list(wanted))
        if self.verbose and "verbose" in synthesizer.get_params(deep=False):
            synthesizer.set_params(verbose=True)
        if synthesizer.random_state is None:
            synthesizer.set_params(random_state=int(child_seed(seed, 0).generate_state(1)[0]))
        # The guards come before training, so that an invalid rule fails at once.
        guards = {
            label: Guard(table, label, rules=self.rules, found_rules=self.found_rules)
            for label in wanted
        }
        learned = to_learn(table, list(wanted), child_seed(seed, 2))
        self.synthesizer_ = synthesizer.fit_table(learned)
        seed = child_seed(seed, 1)
        parts = []
        for label, rows in wanted.items():
            guarded = guarded_sample(synthesizer, rows, guards[label], random_state=seed)
            self.guard_[label] = guarded.summary()
            parts.append(guarded.frame)
        made = pd.concat(parts, ignore_index=True)
        features = synthesizer.schema_.features
        # IDs of every class start at the same number, so they are numbered anew here.
        series = [
            unlearned(column, len(made)) if column.kind == "id" else made.iloc[:, i]
            for i, column in enumerate(features)
        ]
        return as_frame(series, [c.name for c in features], len(made))

    def _checked(self, X: Any, y: Any) -> tuple[pd.DataFrame, pd.Series, Column]:
        """Check the input; return `X` as a frame, `y` as a series, and the target column."""
        if self.ratio != "auto":
            check_amount(self.ratio)
        try:
            self._validate_params()
        except ValueError as error:
            raise UsageError(241, str(error)) from None
        resolve(self.synthesizer)  # an unknown name is an error even if no row is wanted
        strategy = self.sampling_strategy
        if self.ratio is not None and strategy != "auto":
            both = f"ratio={self.ratio!r} and sampling_strategy={strategy!r}"
            raise UsageError(243, f"{both} both say how many rows to make: give one of them")
        frame, labels = _frame(X), _labels(y)
        if len(frame) != len(labels):
            lengths = f"X has {len(frame)} rows and y has {len(labels)}"
            raise DataError(334, f"{lengths}: give one label for each row")
        if not (isinstance(X, pd.DataFrame) and isinstance(y, pd.Series | pd.DataFrame)):
            labels.index = frame.index  # only one of the two has an index, so they cannot differ
        name = labels.name if isinstance(labels.name, str) else "target"
        target = infer_target(name, native(labels.to_frame(name))[name])
        # scikit-learn sets `feature_names_in_` if all names are strings, and rejects mixed types.
        named = all(isinstance(column, str) for column in frame.columns)
        empty = frame.iloc[:0] if named else np.empty((0, frame.shape[1]))
        validate_data(self, cast(Any, empty), skip_check_array=True)
        self.sampling_strategy_ = self._strategy(target, labels)
        return frame, labels, target

    def _strategy(self, target: Column, labels: pd.Series) -> dict[Any, int]:
        """Number of rows to add to each class."""
        values = pd.Series(list(target.categories)).to_numpy()[target.codes(labels)]
        try:
            check_classification_targets(values)
        except ValueError as error:
            what = f"target {target.name!r}: {error}"
            raise DataError(351, f"{what} Make the classes text or whole numbers.") from error
        counts = {label: n for label, n in _counts(target, labels).items() if n}
        most = max(counts.values())
        if self.ratio == "auto":  # 0 until `fit_resample` has chosen
            return {label: 0 for label, n in counts.items() if n < most}
        if self.ratio is not None:
            ratio = self.ratio
            return {label: rows_to_add(n, most, ratio) for label, n in counts.items() if n < most}
        present = f"rows present: {', '.join(f'{label!r}: {n}' for label, n in counts.items())}"
        asked: Any = self.sampling_strategy
        if callable(asked):
            asked = asked(values)
            if not isinstance(asked, Mapping):
                raise UsageError(
                    244,
                    f"sampling_strategy returned {asked!r}, not a dict with the rows of each class",
                )
        if isinstance(asked, Mapping):
            asked = dict(asked)
            for label, rows in asked.items():
                if isinstance(rows, bool) or not isinstance(rows, Integral):
                    what = f"sampling_strategy asks for {rows!r} rows of class {label!r}"
                    raise UsageError(244, f"{what}: give a whole number ({present})")
        try:
            found = cast(Any, check_sampling_strategy(asked, values, self._sampling_type))
        except ValueError as error:
            goal = f" ({int(most * asked)} rows)" if isinstance(asked, float) else ""
            what = f"sampling_strategy={asked!r}{goal}: {error} ({present})"
            raise UsageError(244, what) from error
        return {label: int(rows) for label, rows in found.items()}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.input_tags.allow_nan = True
        return tags


# --- containers ---------------------------------------------------------------------------------


def _counts(target: Column, labels: pd.Series) -> dict[Any, int]:
    """Number of rows of each class."""
    found = np.bincount(target.codes(labels), minlength=len(target.categories))
    return dict(zip(target.categories, found.tolist(), strict=True))


def _described(data: Any) -> str:
    shape = f" of shape {data.shape}" if isinstance(data, np.ndarray | pd.DataFrame) else ""
    return f"{type(data).__name__}{shape}"


def _frame(X: Any) -> pd.DataFrame:
    """`X` as a frame, without copying its cells."""
    if issparse(X):
        raise DataError(352, "X is a SciPy sparse matrix: make it dense, with X.toarray()")
    frame = pd.DataFrame()
    if isinstance(X, pd.DataFrame):
        frame = X
    elif isinstance(X, list) and all(isinstance(row, list | tuple | np.ndarray) for row in X):
        if len({len(row) for row in X}) == 1:
            frame = pd.DataFrame(X)
    elif isinstance(X, np.ndarray) and X.ndim == 2 and type(X) in (np.ndarray, np.memmap):
        frame = pd.DataFrame(X)
    if 0 in frame.shape:
        raise DataError(
            353,
            f"X is a {_described(X)}: give a pandas frame, a 2-D array, or a list of rows that are "
            f"equally long; one row and one column at least",
        )
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise DataError(337, f"column {twice!r} appears more than once: rename all but one")
    return frame


def _labels(y: Any) -> pd.Series:
    """`y` as a new series; a one-hot array becomes the index of the column that holds 1."""
    series = None
    if isinstance(y, pd.Series):
        series = y
    elif isinstance(y, pd.DataFrame) and y.shape[1] == 1:
        series = y.iloc[:, 0]
    elif isinstance(y, list | pd.Index | pd.api.extensions.ExtensionArray):
        series = pd.Series(y)
    elif isinstance(y, np.ndarray) and (y.ndim == 1 or y.shape[1:] == (1,)):
        series = pd.Series(y.reshape(-1))
    elif isinstance(y, np.ndarray) and y.ndim == 2 and _is_one_hot(y):
        series = pd.Series(y.argmax(axis=1))
    if series is None:
        raise DataError(
            354,
            f"y is a {_described(y)}: give one class for each row, as a series, an array or a "
            f"list. Multilabel and multioutput targets are not supported.",
        )
    return series.copy(deep=False)


def _is_one_hot(y: np.ndarray) -> bool:
    return bool(np.isin(y, (0, 1)).all() and (y.astype(np.int64).sum(axis=1) == 1).all())


def _appended(X: Any, made: pd.DataFrame) -> Any:
    if isinstance(X, pd.DataFrame):
        whole = pd.concat([X, made.set_axis(X.columns, axis=1)], ignore_index=True)
        for place, (old, new) in enumerate(zip(X.dtypes, made.dtypes, strict=True)):
            if isinstance(old, pd.CategoricalDtype) and old != new:  # new IDs are new categories
                values = made.iloc[:, place].astype(object).unique()
                levels = old.categories.union(pd.Index(values), sort=False)
                whole.isetitem(place, pd.Categorical(whole.iloc[:, place], levels, old.ordered))
        return whole
    if isinstance(X, list):
        return [*map(list, X), *made.astype(object).to_numpy().tolist()]
    if X.dtype.kind == "U":  # a wider dtype, if the IDs of new rows are longer
        return np.concatenate([X, made.to_numpy(dtype=object).astype(str)])
    return np.concatenate([X, made.to_numpy(dtype=X.dtype)])


def _taken(y: Any, positions: np.ndarray) -> Any:
    """`y` at `positions`; shape (rows, 1) becomes (rows,), as in imbalanced-learn."""
    if isinstance(y, pd.DataFrame | pd.Series):
        return y.iloc[positions].reset_index(drop=True)
    if isinstance(y, list):
        return [y[i] for i in positions]
    return (y[:, 0] if y.shape[1:] == (1,) else y)[positions]
