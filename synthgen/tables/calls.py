"""The two ways to call public functions: ``f(X, y)`` and ``f(frame, target="name")``."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types as pdt

from synthgen.errors import DataError, UsageError
from synthgen.tables.checks import check_frame
from synthgen.tables.foreign import as_pandas


def is_name(y: Any) -> bool:
    """Whether `y` is the name of a column rather than labels, that is, a text or a number."""
    return pdt.is_scalar(y) and not pd.isna(y)


def as_called(y: Any, target: Hashable | None) -> tuple[Any, Hashable | None]:
    """Return (classes, None) or (None, target name); a text or number `y` is the target's name."""
    if y is not None and is_name(y):
        if target is not None and target != y:
            raise UsageError(216, f"two targets were given, {y!r} and {target!r}: give one of them")
        return None, y
    if y is not None and target is not None:
        raise UsageError(
            216,
            f"y and target={target!r} were both given: give features and classes as (X, y), "
            "or one frame and the name of its target column",
        )
    return y, target


def features_and_classes(X: Any, y: Any = None, *, target: Hashable | None = None) -> Any:
    """Features and classes from a call ``fit(X, y)`` or ``fit(frame, target="ill")``."""
    y, target = as_called(y, target)
    if target is None:
        return X, y
    X = as_pandas(X)
    check_frame(X, target)
    return X.drop(columns=[target]), X[target]


def without_groups(X: Any, groups: Any) -> tuple[Any, Any]:
    """Separate the group column from the features, if `groups` is the name of one."""
    if groups is None or not is_name(groups):
        return X, as_pandas(groups, "groups")
    X = as_pandas(X, "X")
    if not isinstance(X, pd.DataFrame) or groups not in X.columns:
        raise UsageError(
            245, f"groups: there is no column {groups!r}: name a column of X, or give one per row"
        )
    return X.drop(columns=[groups]), X[groups]


def checked_weight(given: Any, rows: int) -> np.ndarray | None:
    """Check weights and convert them to float64 of shape (rows,)."""
    if given is None:
        return None
    weight = np.asarray(given, dtype=np.float64)
    if weight.shape == () and rows:
        weight = np.full(rows, float(weight))
    if weight.shape != (rows,):
        raise DataError(
            374,
            f"sample_weight has shape {weight.shape} and X has {rows} rows: give one weight for "
            f"each row",
        )
    wrong = np.flatnonzero(~(np.isfinite(weight) & (weight >= 0)))
    if len(wrong):
        raise DataError(
            374,
            f"sample_weight: row {wrong[0]} has {weight[wrong[0]]}: give finite numbers, at "
            f"least 0",
        )
    if rows and not weight.any():
        raise DataError(374, "sample_weight is zero for every row: give some rows a weight above 0")
    return weight


def group_numbers(groups: Any, rows: int) -> np.ndarray:
    """Number the groups of rows that must share a fold, int64 of shape (rows,)."""
    found = pd.factorize(pd.Series(np.asarray(groups)), use_na_sentinel=False)[0]
    if len(found) != rows:
        raise DataError(374, f"groups has {len(found)} rows and X has {rows}: give one for each")
    return found


def column_named(frame: pd.DataFrame, name: str | None) -> Any:
    """The column name that equals `name` as text, if exactly one does; otherwise `name` itself."""
    same = [c for c in frame.columns if str(c) == name]
    return same[0] if len(same) == 1 else name
