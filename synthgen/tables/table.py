"""`Table`: a frame checked against its schema, on which all other packages work.

Public functions take pandas and NumPy data and first build a `Table`; no later code checks again.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types as pdt

from synthgen.errors import DataError, UsageError
from synthgen.tables import dtypes as cell
from synthgen.tables import notes
from synthgen.tables.calls import as_called
from synthgen.tables.checks import check_frame, plain_name
from synthgen.tables.foreign import as_pandas
from synthgen.tables.schema import Schema


@dataclass(frozen=True)
class Table:
    """A frame checked against its schema. Create it with `Table.of`.

    Attributes:
        frame: The rows, with a RangeIndex and the columns in the order of the schema.
        schema: Kinds and limits of the columns, and the name of the target.

    Example:
        >>> frame = pd.DataFrame({"dose": [1.5, 2.5, 2.0, 9.0], "ill": ["n", "n", "n", "y"]})
        >>> table = Table.of(frame, target="ill")
        >>> len(table), table.labels.tolist(), table.rows(table.labels == 1).frame["dose"].tolist()
        (4, [0, 0, 0, 1], [9.0])
    """

    frame: pd.DataFrame
    schema: Schema

    @classmethod
    def of(
        cls,
        data: Any,
        y: Any = None,
        *,
        target: Hashable | None = None,
        schema: Schema | None = None,
    ) -> Table:
        """Check features and classes, or one frame and its target, and build a table.

        Args:
            data: Frame (any dtypes, missing cells) or array, shape (rows, columns); never changed.
                Array columns are named 0, 1, ... A `Table` is returned unchanged.
            y: Classes as series, one-column frame or array, shape (rows,); `data` then holds the
                features only. `y` becomes the last column and keeps its name. If it has no name, or
                a feature has the same name, it is named after the schema's target, or "target". A
                text or a number is taken as `target`.
            target: Name of the column of `data` that holds the classes.
            schema: Kinds and limits of columns, used instead of inferring them, see `Schema.infer`.

        Returns:
            The table, with cells in this machine's byte order. Without `y` and `target`, its target
            is that of `schema`, or None.

        Raises:
            DataError: `data` is neither a pandas frame nor a dense array, `y` has more than one
                column, or their numbers of rows or indexes differ; also see `Schema.infer`.
            UsageError: `target` is not a column, or both `y` and `target` are given.

        Example:
            >>> frame = pd.DataFrame({"dose": [1.5, 2.5, 2.0, 9.0], "ill": ["n", "n", "n", "y"]})
            >>> one = Table.of(frame, target="ill")
            >>> two = Table.of(frame[["dose"]], frame["ill"])
            >>> three = Table.of(frame, "ill")
            >>> one.schema == two.schema == three.schema, one.counts
            (True, {'n': 3, 'y': 1})
        """
        y, target = as_called(y, target)
        if isinstance(data, Table):
            return data._as(y, target, schema)
        if y is not None:
            return cls.of_xy(data, y, schema=schema)
        data = as_pandas(data)
        check_frame(data, None)
        frame = native(data)
        return cls._inferred(frame, target, schema)

    @classmethod
    def labelled(
        cls,
        data: Any,
        y: Any = None,
        *,
        target: Hashable | None = None,
        schema: Schema | None = None,
    ) -> Table:
        """Like `of`, but requires a target.

        Args:
            data, y, target, schema: See `of`.

        Returns:
            A table with a target.

        Raises:
            DataError: See `of`.
            UsageError: See `of`; or no target is given (E217).
        """
        table = cls.of(data, y, target=target, schema=schema)
        if table.schema.target is None:
            raise UsageError(
                217,
                "nothing says which column holds the classes: give features and classes as "
                "(X, y), or one frame and target=...",
            )
        return table

    @classmethod
    def of_xy(cls, X: Any, y: Any, *, schema: Schema | None = None) -> Table:
        """Like `of`, for callers that accept features and classes only.

        Args:
            X: Features, see `of`.
            y: Classes, see `of`; text is not taken as the name of a column.
            schema: See `of`.

        Returns:
            The table, with the target as its last column.
        """
        frame, target = joined(X, y, schema)
        return cls._inferred(frame, target, schema)

    @classmethod
    def _inferred(cls, frame: pd.DataFrame, target: Hashable | None, given: Schema | None) -> Table:
        """Build the table, and warn about everything in it that looks wrong."""
        schema = Schema.infer(frame, target=target, given=given)
        decided = set() if given is None else set(given.names)
        columns = [c for c in schema.features if c.name not in decided]
        found = notes.of_columns(frame, columns) + notes.of_classes(schema.classes)
        found += [] if given is None else notes.of_schema(given, schema)
        notes.tell(found, stacklevel=5)
        return cls(_tidy(frame), schema)

    def _as(self, y: Any, target: Hashable | None, schema: Schema | None) -> Table:
        """Return this table; raise if another target or schema is given."""
        if y is not None or schema is not None or target not in (None, self.schema.target):
            raise UsageError(
                216, "a Table has its target and schema already: give it alone, or give its frame"
            )
        return self

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def labels(self) -> np.ndarray:
        """Class of each row as its position in ``schema.classes``, int64 of shape (rows,)."""
        if self.schema.target is None:
            raise UsageError(266, "the table has no target column: name one with target=...")
        return self.schema[self.schema.target].codes(self.frame[self.schema.target])

    @property
    def counts(self) -> dict[Any, int]:
        """Number of rows of each class."""
        found = np.bincount(self.labels, minlength=len(self.schema.classes))
        return dict(zip(self.schema.classes, found.tolist(), strict=True))

    def rows(self, mask: np.ndarray) -> Table:
        """Select rows; the schema stays the same.

        Args:
            mask: Bool mask of shape (rows,), or row positions.

        Returns:
            A table with a new RangeIndex.
        """
        return Table(self.frame.iloc[mask].reset_index(drop=True), self.schema)


# --- from the user's data to one frame ------------------------------------------------------------


def _tidy(frame: pd.DataFrame) -> pd.DataFrame:
    """A copy with a RangeIndex, dense columns, and a single missing value per column."""
    whole = frame.reset_index(drop=True)
    series = [frame.iloc[:, i] for i in range(frame.shape[1])]
    tidied = [cell.tidy(s) for s in series]
    if all(new is old for new, old in zip(tidied, series, strict=True)):
        return whole
    whole = pd.DataFrame({i: s.reset_index(drop=True) for i, s in enumerate(tidied)})
    whole.columns = frame.columns
    return whole


def joined(X: Any, y: Any, schema: Schema | None) -> tuple[pd.DataFrame, Hashable]:
    """Features and classes as one frame, and the name of the target."""
    frame, labels = _features(X), _labels(y)
    if len(labels) != len(frame):
        raise DataError(
            334, f"X has {len(frame)} rows and y has {len(labels)}: give one label for each row"
        )
    if isinstance(X, pd.DataFrame) and isinstance(y, pd.Series | pd.DataFrame):
        _check_alignment(frame.index, labels.index)
    frame = native(frame)
    names = list(frame.columns)
    name = plain_name(labels.name)
    if name is None or name in names:
        name = "target" if schema is None or schema.target is None else schema.target
        while name in names:
            name = f"{name}_"
    whole = frame.reset_index(drop=True)
    # With a MultiIndex as columns, pandas would pad the target's name to a tuple.
    whole.columns = pd.Index(names, dtype=object, tupleize_cols=False)
    whole[name] = _native_cells(labels).reset_index(drop=True)
    whole.columns = pd.Index([*names, name], dtype=object, tupleize_cols=False)
    return whole, name


def native(frame: pd.DataFrame) -> pd.DataFrame:
    """`frame` with cells in this machine's byte order and column names as Python values."""
    foreign = [i for i, dtype in enumerate(frame.dtypes) if not _is_native(dtype)]
    names = [plain_name(name) for name in frame.columns]
    if not foreign and not any(isinstance(name, np.generic) for name in frame.columns):
        return frame
    columns = [frame.iloc[:, i] for i in range(frame.shape[1])]
    for i in foreign:
        columns[i] = _native_cells(columns[i])
    whole = pd.DataFrame(dict(enumerate(columns)), index=frame.index)
    whole.columns = pd.Index(names, dtype=object, tupleize_cols=False)
    return whole


def _native_cells(series: pd.Series) -> pd.Series:
    if _is_native(series.dtype):
        return series
    cells = series.to_numpy()
    native = cells.astype(cells.dtype.newbyteorder("="))
    return pd.Series(native, index=series.index, name=series.name)


def _is_native(dtype: Any) -> bool:
    return not isinstance(dtype, np.dtype) or dtype.isnative


def _features(X: Any) -> pd.DataFrame:
    X = as_pandas(X, "X")
    if isinstance(X, pd.DataFrame):
        return X
    try:
        array = np.asarray(X)
    except ValueError:
        array = np.empty(())
    if array.ndim != 2:
        raise DataError(
            330,
            f"X is a {type(X).__name__} of shape {np.shape(array)}: give a pandas DataFrame or a "
            "dense array of shape (rows, features)",
        )
    return pd.DataFrame(array)


def _labels(y: Any) -> pd.Series:
    y = as_pandas(y, "y")
    if isinstance(y, pd.Series):
        return y
    if isinstance(y, pd.DataFrame) and y.shape[1] == 1:
        return y.iloc[:, 0]
    if pdt.is_list_like(y) and not isinstance(y, Mapping | set | pd.DataFrame):
        series = y if isinstance(y, pd.Index | pd.api.extensions.ExtensionArray) else np.asarray(y)
        if isinstance(series, np.ndarray) and series.ndim == 2 and series.shape[1] == 1:
            series = series[:, 0]
        if series.ndim == 1:
            return pd.Series(series, name=getattr(y, "name", None)).reset_index(drop=True)
    shape = f" of shape {np.shape(y)}" if isinstance(y, np.ndarray | pd.DataFrame) else ""
    raise DataError(
        330, f"y is a {type(y).__name__}{shape}: give one class for each row, of shape (rows,)"
    )


def _check_alignment(X: pd.Index, y: pd.Index) -> None:
    """Raise if matching rows by index and by position would give different pairs."""
    if X.equals(y):
        return
    default = [isinstance(i, pd.RangeIndex) and i.equals(pd.RangeIndex(len(i))) for i in (X, y)]
    same = X.is_unique and y.is_unique and y.isin(X).all()
    if same or not any(default):
        position = int(np.argmax([a != b for a, b in zip(X, y, strict=True)]))
        raise DataError(
            328,
            f"X and y have different indexes, first in row {position}: "
            f"{cell.shown(X[position])} and {cell.shown(y[position])}: align them with "
            "y.loc[X.index], or drop both with reset_index(drop=True)",
        )


def as_frame(series: list[pd.Series], names: list[Any], rows: int) -> pd.DataFrame:
    """A frame of these columns; tuples as names do not become a MultiIndex."""
    frame = pd.DataFrame(dict(enumerate(series)), index=pd.RangeIndex(rows))
    frame.columns = pd.Index(names, tupleize_cols=False)
    return frame
