"""What a table is: the columns and which of them is the target (`Schema`), and a frame that keeps
them (`Table`).

Public functions take pandas and build a `Table` at the door; inside, nothing checks again.
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
from synthgen.tables.schema import Schema


@dataclass(frozen=True)
class Table:
    """A frame known to satisfy its schema.

    Make it with `Table.of`; the frame has a RangeIndex and the schema's column order.
    """

    frame: pd.DataFrame
    schema: Schema

    @classmethod
    def of(
        cls, frame: pd.DataFrame, *, target: Hashable | None = None, schema: Schema | None = None
    ) -> Table:
        """Check `frame` and infer its schema; with `schema`, take its decisions (see
        `Schema.infer`).
        """
        inferred = Schema.infer(frame, target=target, given=schema)
        return cls(_tidy(frame), inferred)

    @classmethod
    def of_xy(cls, X: Any, y: Any, *, schema: Schema | None = None) -> Table:
        """The features and the target as one table, the target last.

        Args:
            X: Frame or array of shape (rows, features); array columns are named 0, 1, ...
            y: Series, one-column frame or array of shape (rows,). Without a name, or with one that
                X also has, it is called as the schema's target, or "target".
            schema: Decisions to take instead of guessing.

        Raises:
            DataError: they are no table and no column, do not have the same rows, or see
                `Schema.infer`.
        """
        frame, labels = _features(X), _labels(y)
        if len(labels) != len(frame):
            raise DataError(
                334, f"X has {len(frame)} rows and y has {len(labels)}: give one label for each row"
            )
        if isinstance(X, pd.DataFrame) and isinstance(y, pd.Series | pd.DataFrame):
            _check_alignment(frame.index, labels.index)
        name = labels.name
        if name is None or name in frame.columns:
            name = "target" if schema is None or schema.target is None else schema.target
            while name in frame.columns:
                name = f"{name}_"
        whole = frame.reset_index(drop=True).copy(deep=False)
        # A frame whose columns are a MultiIndex would stretch the name; plain tuples do not.
        whole.columns = pd.Index(list(frame.columns), dtype=object, tupleize_cols=False)
        whole[name] = labels.reset_index(drop=True)
        # pandas makes names that all are whole numbers its own kind of number.
        name = name.item() if isinstance(name, np.generic) else name
        whole.columns = pd.Index([*frame.columns, name], dtype=object, tupleize_cols=False)
        return cls.of(whole, target=name, schema=schema)

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def labels(self) -> np.ndarray:
        """The class of each row as a position in ``schema.classes``, int64 of shape (rows,)."""
        if self.schema.target is None:
            raise UsageError(266, "the table has no target column: name one with target=...")
        return self.schema[self.schema.target].codes(self.frame[self.schema.target])

    @property
    def counts(self) -> dict[Any, int]:
        """Rows of each class."""
        found = np.bincount(self.labels, minlength=len(self.schema.classes))
        return dict(zip(self.schema.classes, found.tolist(), strict=True))

    def rows(self, mask: np.ndarray) -> Table:
        """The rows that `mask` (or an index array) names, with the same schema."""
        return Table(self.frame.iloc[mask].reset_index(drop=True), self.schema)


# --- doors ----------------------------------------------------------------------------------------


def _tidy(frame: pd.DataFrame) -> pd.DataFrame:
    """A copy with a RangeIndex, dense columns, and one kind of missing cell in each."""
    whole = frame.reset_index(drop=True)
    series = [frame.iloc[:, i] for i in range(frame.shape[1])]
    tidied = [cell.tidy(s) for s in series]
    if all(new is old for new, old in zip(tidied, series, strict=True)):
        return whole
    whole = pd.DataFrame({i: s.reset_index(drop=True) for i, s in enumerate(tidied)})
    whole.columns = frame.columns
    return whole


def _features(X: Any) -> pd.DataFrame:
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
            "dense array "
            f"of shape (rows, features)",
        )
    return pd.DataFrame(array)


def _labels(y: Any) -> pd.Series:
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
    """Refuse indexes that pair the rows in another way than their order does."""
    if X.equals(y):
        return
    default = [isinstance(i, pd.RangeIndex) and i.equals(pd.RangeIndex(len(i))) for i in (X, y)]
    same = X.is_unique and y.is_unique and y.isin(X).all()
    if same or not any(default):
        position = int(np.argmax([a != b for a, b in zip(X, y, strict=True)]))
        raise DataError(
            328,
            f"X and y have different indexes, first in row {position}: {cell.shown(X[position])} "
            "and "
            f"{cell.shown(y[position])}: align them with y.loc[X.index], or drop both with "
            "reset_index(drop=True)",
        )


def as_frame(series: list[pd.Series], names: list[Any], rows: int) -> pd.DataFrame:
    """A frame with the names as they are, tuples too."""
    frame = pd.DataFrame(dict(enumerate(series)), index=pd.RangeIndex(rows))
    frame.columns = pd.Index(names, tupleize_cols=False)
    return frame
