"""What a table is: the kind and limits of each column (`Column`, `Schema`) and a frame that keeps them (`Table`).

Public functions take pandas and build a `Table` at the door; inside, nothing checks again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
from pandas.api import types as pdt

from synthgen.errors import DataError, UsageError

Kind = Literal[
    "numeric",
    "integer",
    "categorical",
    "boolean",
    "datetime",
    "id",
    "text",
    "constant",
    "missing",
]
KINDS: tuple[Kind, ...] = Kind.__args__  # type: ignore[attr-defined]
LEVELS: tuple[Kind, ...] = ("categorical", "boolean", "constant")
NUMBERS: tuple[Kind, ...] = ("numeric", "integer", "datetime")

# A value that holds this share of a class's rows is a spike: a point mass, not a place on a scale.
SPIKE_SHARE, SPIKE_ROWS = 0.02, 5
# More decimals than this are the noise of binary fractions, not rounding.
MAX_DECIMALS = 6
CODE_NAME = re.compile(
    r"(^|[\W_])(code|type|class|group|category|region|zone|zip|postcode|month|day|weekday|sex|gender|race"
    r"|marital|marriage|married|status|education)($|[\W_\d])",
    re.IGNORECASE,
)
ID_NAME = re.compile(r"(^|[\W_])(id|uuid|guid|key|index|row|number|no|nr)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Column:
    """What one column is.

    Attributes:
        name: As in the frame; any hashable.
        kind: One of `KINDS`. ``constant`` and ``missing`` (nothing but missing) carry no information.
        dtype: The pandas dtype to give back.
        reason: Why this kind was chosen, for the reader.
        missing: Share of missing cells, 0 to 1.
        lower, upper: Least and greatest value; whole numbers for ``integer``, and for ``datetime`` ticks of the
            dtype's own unit since 1970 (time spans: ticks).
        step: Every ``integer`` or ``datetime`` value is ``lower`` plus a multiple of it.
        decimals: ``numeric`` values are rounded to so many decimals; None: not rounded.
        spikes: Values that hold at least 2 % (and 5) of the rows of some class, such as 0.
        categories: The levels of a ``categorical``, ``boolean`` or ``constant`` column, in order; for a pandas
            categorical all of its levels, unused ones included.
    """

    name: Hashable
    kind: Kind
    dtype: Any
    reason: str = ""
    missing: float = 0.0
    lower: int | float | None = None
    upper: int | float | None = None
    step: int | None = None
    decimals: int | None = None
    spikes: tuple[int | float, ...] = ()
    categories: tuple[Any, ...] = ()

    def numbers(self, series: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        """Values as int64 (``integer``, ``datetime``) or float64 (``numeric``), and a mask of the missing ones.

        Missing values are 0 in the first array. Shape of both: (rows,).

        Raises:
            DataError: a cell is no number or date.
        """
        missing = series.isna().to_numpy(dtype=bool)
        if self.kind == "datetime":
            return _ticks(series, self.dtype), missing
        filled = series
        if missing.any():
            filled = series.where(~series.isna(), 0)
        wanted = np.float64 if self.kind == "numeric" else np.int64
        try:
            if filled.dtype == object or pdt.is_string_dtype(filled.dtype):
                filled = pd.to_numeric(filled)
            values = filled.to_numpy()
            converted = values.astype(wanted)
            if wanted is np.int64 and not np.array_equal(converted, values):
                raise ValueError("not whole numbers")
        except (TypeError, ValueError, OverflowError) as error:
            row, value = _first(series, lambda v: not _is_number(v, whole=wanted is np.int64))
            what = "whole number" if wanted is np.int64 else "number"
            raise DataError(
                331,
                f"column {self.name!r}, row {row}: {value!r} is not a {what}, but the column is {self.kind}: "
                f"mend the cell, or make the column categorical in the schema",
            ) from error
        return converted, missing

    def codes(self, series: pd.Series) -> np.ndarray:
        """Positions in `categories`, int64 of shape (rows,), with -1 for missing.

        Raises:
            DataError: a value is none of the categories.
        """
        missing = series.isna().to_numpy(dtype=bool)
        if isinstance(series.dtype, pd.CategoricalDtype) and (
            tuple(series.dtype.categories) == self.categories
        ):
            return series.cat.codes.to_numpy(dtype=np.int64)
        index = pd.Index(list(self.categories), dtype=object, tupleize_cols=False)
        codes = index.get_indexer(pd.Index(series.astype(object), dtype=object, tupleize_cols=False))
        codes = np.where(missing, -1, codes).astype(np.int64)
        unknown = (codes < 0) & ~missing
        if unknown.any():
            position = int(np.argmax(unknown))
            known = ", ".join(repr(c) for c in self.categories[:8])
            raise DataError(
                332,
                f"column {self.name!r}, row {series.index[position]!r}: {series.iloc[position]!r} was not seen "
                f"when the schema was made (known: {known}{', ...' if len(self.categories) > 8 else ''}): "
                f"mend the cell, or make the schema from rows that hold it",
            )
        return codes

    def restore(self, values: np.ndarray, missing: np.ndarray | None = None) -> pd.Series:
        """The inverse of `numbers` or `codes`: a series of the column's own dtype with a RangeIndex.

        Args:
            values: For `LEVELS` the codes (-1: missing), else the numbers. Shape (rows,).
            missing: Mask of the missing cells, shape (rows,); None: none.
        """
        if self.kind in LEVELS:
            missing = values < 0
            if isinstance(self.dtype, pd.CategoricalDtype):
                return pd.Series(pd.Categorical.from_codes(values, dtype=self.dtype), name=self.name)
            levels = np.empty(len(self.categories) + 1, dtype=object)
            levels[:-1] = list(self.categories)
            levels[-1] = None
            return _as_dtype(pd.Series(levels[values], dtype=object), missing, self.dtype, self.name)
        if self.kind == "datetime":
            return _from_ticks(values, missing, self.dtype, self.name)
        return _as_dtype(pd.Series(values), missing, self.dtype, self.name)

    def to_json(self) -> dict[str, Any]:
        """A dict of plain JSON values that `from_json` reads back; empty fields are left out."""
        out: dict[str, Any] = {"name": _to_plain(self.name), "kind": self.kind}
        if isinstance(self.dtype, pd.CategoricalDtype):
            out["dtype"] = {"categories": str(self.dtype.categories.dtype), "ordered": self.dtype.ordered}
        else:
            out["dtype"] = str(self.dtype)
        defaults = Column(name=None, kind="missing", dtype=None)
        for key, value in asdict(self).items():
            if key not in out and value != getattr(defaults, key):
                out[key] = [_to_plain(v) for v in value] if isinstance(value, tuple) else value
        return out

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Column:
        """Read one column from its JSON form.

        Raises:
            UsageError: a key, kind or dtype is not known.
        """
        known = {f.name for f in fields(cls)}
        name = data.get("name")
        if "name" not in data or data.get("kind") not in KINDS or set(data) - known:
            extra = ", ".join(sorted(set(data) - known)) or f"kind={data.get('kind')!r}, name={name!r}"
            raise UsageError(
                261, f"schema, column {name!r}: cannot use {extra}; kinds are {', '.join(KINDS)}"
            )
        values = {k: tuple(map(_from_plain, v)) if isinstance(v, list) else v for k, v in data.items()}
        values["name"] = _from_plain(data["name"])
        dtype = data.get("dtype", "object")
        try:
            if isinstance(dtype, Mapping):
                index = pd.Index(list(values["categories"]), dtype=dtype["categories"])
                values["dtype"] = pd.CategoricalDtype(index, ordered=dtype["ordered"])
            else:
                values["dtype"] = pd.api.types.pandas_dtype(dtype)
        except (TypeError, ValueError, KeyError) as error:
            raise UsageError(
                262, f"schema, column {name!r}: pandas does not know dtype {dtype!r}"
            ) from error
        return cls(**values)


@dataclass(frozen=True)
class Schema:
    """The columns of a table and which of them is the target.

    Example:
        >>> frame = pd.DataFrame({"age": [31, 47, 52, 38] * 10, "ill": ["no", "no", "no", "yes"] * 10})
        >>> schema = Schema.infer(frame, target="ill")
        >>> schema["age"].kind, schema["ill"].categories
        ('integer', ('no', 'yes'))
        >>> Schema.from_json(schema.to_json()) == schema
        True
    """

    columns: tuple[Column, ...]
    target: Hashable | None = None

    def __getitem__(self, name: Hashable) -> Column:
        for column in self.columns:
            if column.name == name and type(column.name) is type(name):
                return column
        raise KeyError(name)

    @property
    def names(self) -> list[Hashable]:
        return [c.name for c in self.columns]

    @property
    def features(self) -> tuple[Column, ...]:
        return tuple(c for c in self.columns if self.target is None or c.name != self.target)

    @property
    def classes(self) -> tuple[Any, ...]:
        """The classes of the target, in order."""
        return () if self.target is None else self[self.target].categories

    @classmethod
    def infer(
        cls, frame: pd.DataFrame, *, target: Hashable | None = None, given: Schema | None = None
    ) -> Schema:
        """Find out what each column is.

        Args:
            frame: Shape (rows, columns), at least one of each; never changed.
            target: Name of the column that holds the classes.
            given: Kinds, bounds, steps, decimals and spikes to take instead of guessing, from a schema that was
                edited; columns it lacks are inferred.

        Raises:
            DataError: names appear twice, a cell is infinite or of a type that cannot be synthesised, the target
                is missing, has missing cells, only one class, or looks like a regression target.
        """
        _check_frame(frame, target)
        if given is not None:
            for name in given.names:
                if name not in frame.columns:
                    raise DataError(
                        333, f"the schema names column {name!r}, which the table lacks: {_listed(frame)}"
                    )
        codes = None
        if target is not None:
            label = _infer_target(frame[target])
            codes = label.codes(frame[target])
        columns = []
        for name in frame.columns:
            if target is not None and name == target:
                columns.append(label)
                continue
            hint = None
            if given is not None and name in given.names:
                hint = given[name]
            columns.append(_infer_column(name, frame[name], codes, hint))
        return cls(tuple(columns), target)

    @classmethod
    def from_sdv(cls, metadata: Any, frame: pd.DataFrame, *, target: Hashable | None = None) -> Schema:
        """The schema of `frame` with the kinds of an SDV ``Metadata`` (or its ``to_dict()``) of one table.

        SDV's ``numerical`` leaves whole numbers whole; ``id`` and personal data become ``id``, which is never
        learned from. Nothing of sdv is imported.
        """
        data = metadata if isinstance(metadata, Mapping) else metadata.to_dict()
        if "tables" in data:
            if len(data["tables"]) != 1:
                raise UsageError(263, f"one table is needed, the metadata has {len(data['tables'])}")
            data = next(iter(data["tables"].values()))
        kinds: dict[str, Kind | None] = {
            "numerical": None,
            "categorical": "categorical",
            "boolean": "boolean",
            "datetime": "datetime",
            "unknown": None,
        }
        guessed = cls.infer(frame, target=target)
        columns = []
        for column in guessed.columns:
            entry = data["columns"].get(column.name, {"sdtype": "unknown"})
            kind = kinds.get(entry["sdtype"], "id")
            if entry["sdtype"] == "numerical" and column.kind not in (*NUMBERS, "constant", "missing"):
                kind = "integer" if pdt.is_integer_dtype(frame[column.name].dtype) else "numeric"
            if kind and kind != column.kind and column.kind not in ("constant", "missing"):
                column = replace(column, kind=kind, reason=f"SDV metadata: {entry['sdtype']}")
            columns.append(column)
        return cls.infer(frame, target=target, given=cls(tuple(columns), target))

    def to_json(self) -> dict[str, Any]:
        return {"target": _to_plain(self.target), "columns": [c.to_json() for c in self.columns]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Schema:
        if not isinstance(data, Mapping) or not isinstance(data.get("columns"), list):
            raise UsageError(264, 'a schema is {"target": ..., "columns": [{"name": ..., "kind": ...}]}')
        return cls(tuple(map(Column.from_json, data["columns"])), _from_plain(data.get("target")))

    @classmethod
    def load(cls, path: str | Path) -> Schema:
        """Read a schema that ``synthgen schema`` wrote (and somebody edited)."""
        try:
            return cls.from_json(json.loads(Path(path).read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise UsageError(265, f"{path}: cannot read the schema: {error}") from error


@dataclass(frozen=True)
class Table:
    """A frame known to satisfy its schema.

    Make it with `Table.of`; the frame has a RangeIndex and the schema's column order.
    """

    frame: pd.DataFrame
    schema: Schema

    @classmethod
    def of(cls, frame: pd.DataFrame, *, target: Hashable | None = None, schema: Schema | None = None) -> Table:
        """Check `frame` and infer its schema; with `schema`, take its decisions (see `Schema.infer`)."""
        inferred = Schema.infer(frame, target=target, given=schema)
        return cls(_dense(frame).reset_index(drop=True), inferred)

    @classmethod
    def of_xy(cls, X: Any, y: Any, *, schema: Schema | None = None) -> Table:
        """The features and the target as one table, the target last.

        Args:
            X: Frame or array of shape (rows, features); array columns are named 0, 1, ...
            y: Series or array of shape (rows,). A name that `X` also has, or none, becomes "target".
            schema: Decisions to take instead of guessing.
        """
        frame = X if isinstance(X, pd.DataFrame) else pd.DataFrame(np.asarray(X))
        if pdt.is_list_like(y) and len(y) != len(frame):
            raise DataError(334, f"X has {len(frame)} rows and y has {len(y)}: give one label for each row")
        name = getattr(y, "name", None)
        if name is None or name in frame.columns:
            name = "target"
            while name in frame.columns:
                name += "_"
        labels = pd.Series(y.to_numpy() if type(y) is pd.Index else y).reset_index(drop=True)
        if isinstance(y, pd.Series):
            labels = y.reset_index(drop=True)
        whole = frame.reset_index(drop=True).copy(deep=False)
        # A frame whose columns are a MultiIndex would stretch the name; plain tuples do not.
        whole.columns = pd.Index(list(frame.columns), dtype=object, tupleize_cols=False)
        whole[name] = labels
        return cls.of(whole, target=name, schema=schema)

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def labels(self) -> np.ndarray:
        """The class of each row as a position in ``schema.classes``, int64 of shape (rows,)."""
        if self.schema.target is None:
            raise UsageError(266, "the table has no target column")
        return self.schema[self.schema.target].codes(self.frame[self.schema.target])

    @property
    def counts(self) -> dict[Any, int]:
        """Rows of each class."""
        found = np.bincount(self.labels, minlength=len(self.schema.classes))
        return dict(zip(self.schema.classes, found.tolist(), strict=True))

    def rows(self, mask: np.ndarray) -> Table:
        """The rows that `mask` (or an index array) names, with the same schema."""
        return Table(self.frame.loc[mask].reset_index(drop=True), self.schema)


def class_position(classes: tuple[Any, ...], label: Any) -> int:
    """The position of `label` among `classes`; the text of a label names it too, if only one class reads so.

    Raises:
        UsageError: no such class.
    """
    for position, value in enumerate(classes):
        if type(value) is type(label) and value == label:
            return position
    same = [
        i
        for i, value in enumerate(classes)
        if str(value) == str(label)
        or (_is_number(label) and _is_number(value) and float(value) == float(label))
    ]
    if len(same) == 1:
        return same[0]
    raise UsageError(
        201, f"label {label!r} is no class of the target: it has {', '.join(map(repr, classes))}"
    )


# --- inference -----------------------------------------------------------------------------------------------


def _check_frame(frame: pd.DataFrame, target: Hashable | None) -> None:
    if not isinstance(frame, pd.DataFrame):
        raise DataError(335, f"a pandas DataFrame is needed, not {type(frame).__name__}")
    if frame.shape[1] == 0 or len(frame) == 0:
        raise DataError(336, f"the table has {len(frame)} rows and {frame.shape[1]} columns: nothing to learn")
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise DataError(337, f"column {twice[0]!r} appears more than once: rename all but one")
    if target is not None and target not in frame.columns:
        raise DataError(338, f"there is no column {target!r} for a target: {_listed(frame)}")


def _listed(frame: pd.DataFrame) -> str:
    names = [repr(n) for n in frame.columns[:12]]
    return f"it has {', '.join(names)}{', ...' if frame.shape[1] > 12 else ''}"


def _infer_target(series: pd.Series) -> Column:
    name = series.name
    _check_cells(name, series)
    missing = series.isna().to_numpy(dtype=bool)
    if missing.any():
        row = series.index[int(np.argmax(missing))]
        raise DataError(
            339,
            f"target {name!r}, row {row}: no class, {int(missing.sum())} rows have none: "
            f"drop them or give them a class",
        )
    dense = _dense_series(series)
    dtype = dense.dtype
    values = dense.astype(object)
    if isinstance(dtype, pd.CategoricalDtype):
        used = set(values)
        found: list[Any] = [c for c in dtype.categories if c in used]
    else:
        found = list(pd.unique(values))
    texts = [str(v) for v in found]
    if len(set(texts)) < len(texts):
        text = next(t for t in texts if texts.count(t) > 1)
        both = " and ".join(f"{v!r} ({type(v).__name__})" for v in found if str(v) == text)
        raise DataError(340, f"target {name!r} has {both}: make them one type")
    if len(found) < 2:
        raise DataError(341, f"target {name!r} has one class only, {found[0]!r}: there is nothing to tell apart")
    if len(found) > 100 or (len(found) > 20 and len(found) > 0.2 * len(series) and _numeric_dtype(dense)):
        raise DataError(
            342,
            f"target {name!r} has {len(found)} distinct values in {len(series)} rows: is it a quantity to "
            f"predict (regression)? synthgen needs classes: cut it into some, for example with pandas.cut",
        )
    if isinstance(dtype, pd.CategoricalDtype):
        categories = tuple(dtype.categories)
    else:
        try:
            categories = tuple(sorted(found))
        except TypeError:
            categories = tuple(sorted(found, key=str))
    return Column(
        name, "categorical", series.dtype, f"the target, {len(found)} classes", categories=categories
    )


def _check_cells(name: Hashable, series: pd.Series) -> None:
    """Refuse what can be neither synthesised nor given back."""
    dtype = series.dtype
    inner = dtype.categories.dtype if isinstance(dtype, pd.CategoricalDtype) else dtype
    if pdt.is_complex_dtype(inner) or isinstance(inner, pd.PeriodDtype):
        raise DataError(343, f"column {name!r} is {dtype}: split it into plain numbers or dates")
    if isinstance(dtype, pd.IntervalDtype):
        raise DataError(343, f"column {name!r} holds intervals: make it a categorical (astype('category'))")
    if pdt.is_float_dtype(inner) or dtype == object:
        row, value = _first(series, lambda v: isinstance(v, float | np.floating) and np.isinf(v))
        if row is not None:
            raise DataError(
                344,
                f"column {name!r}, row {row}: {value} is infinite: replace it by the largest sensible value, "
                f"or leave it empty",
            )
    if dtype == object:
        plain = (str, int, float, bool, np.generic, pd.Timestamp, pd.Timedelta)
        row, value = _first(series, lambda v: not isinstance(v, plain) and not _is_datelike(v))
        if row is not None:
            raise DataError(
                345,
                f"column {name!r}, row {row}: a {type(value).__name__} cannot be synthesised: turn it into text, "
                f"numbers or dates, or drop the column",
            )
        if pd.api.types.infer_dtype(series, skipna=True) in ("complex", "bytes"):
            raise DataError(343, f"column {name!r} holds complex numbers or bytes: turn them into plain values")
    if pdt.is_integer_dtype(dtype) or dtype == object:
        limit = np.iinfo(np.int64)
        row, value = _first(
            series, lambda v: isinstance(v, int | np.integer) and not limit.min <= int(v) <= limit.max
        )
        if row is not None:
            raise DataError(346, f"column {name!r}, row {row}: {value} does not fit 64 bits: make it text")


def _infer_column(
    name: Hashable, series: pd.Series, labels: np.ndarray | None, given: Column | None
) -> Column:
    _check_cells(name, series)
    dtype = series.dtype
    series = _dense_series(series)
    missing = float(series.isna().mean())
    if missing == 1.0:
        return Column(name, "missing", dtype, "no value in any row", missing=1.0)
    present = series[~series.isna()]
    distinct = int(present.nunique())
    kind, reason = _guess(name, present, distinct, missing)
    if given is not None and given.kind != kind and given.kind not in ("constant", "missing"):
        kind, reason = given.kind, given.reason or "set by hand"
    base = Column(name, kind, dtype, reason, missing)
    if kind in LEVELS:
        return replace(base, categories=_levels(present, kind))
    if kind in ("id", "text") and not _numeric_dtype(present):
        return base
    values, gone = base.numbers(series) if kind in NUMBERS else _id_numbers(base, series)
    if not len(values):
        return base
    known = values[~gone]
    lower, upper = known.min().item(), known.max().item()
    column = replace(base, lower=lower, upper=upper)
    if kind == "numeric":
        column = replace(column, decimals=_decimals(known))
    elif kind != "id":
        gaps = np.unique(known).view(np.uint64) - np.int64(lower).view(np.uint64)
        column = replace(column, step=int(np.gcd.reduce(gaps)) or 1)
    if kind in NUMBERS:
        column = replace(column, spikes=_spikes(values, gone, labels))
    if given is not None and given.kind == kind:
        column = _take(column, given, series, values, gone)
    return column


def _guess(name: Hashable, present: pd.Series, distinct: int, missing: float) -> tuple[Kind, str]:
    """The kind of a column from its cells that are not missing, and why."""
    dtype, rows = present.dtype, len(present)
    called = isinstance(name, str)
    inferred = pd.api.types.infer_dtype(present, skipna=True)
    if distinct == 1 and missing == 0:
        return "constant", "one value in all rows"
    if isinstance(dtype, pd.CategoricalDtype):
        return "categorical", "a pandas categorical"
    if pdt.is_bool_dtype(dtype) or inferred == "boolean":
        return "boolean", "true or false"
    if _is_time_dtype(dtype) or inferred in ("datetime", "datetime64", "date", "timedelta", "timedelta64"):
        return "datetime", "dates or times"
    if pdt.is_float_dtype(dtype) or inferred in ("floating", "mixed-integer-float"):
        values = present.to_numpy(dtype=np.float64)
        whole = bool((values == np.round(values)).all()) and bool((np.abs(values) < 2**53).all())
        if not whole:
            return "numeric", "numbers with decimals"
        return _guess_integer(name, present.astype(np.int64), distinct, called, flag=False)
    if pdt.is_integer_dtype(dtype) or inferred == "integer":
        return _guess_integer(name, present.astype(np.int64), distinct, called, flag=True)
    texts = present.astype(str)
    words = texts.str.count(r"\s+").mean() + 1
    if rows >= 20 and distinct == rows and words < 3:
        return "id", f"{distinct} different texts in {rows} rows"
    if distinct >= 20 and distinct > 0.3 * rows and words >= 3:
        return "text", f"{distinct} different texts of {words:.0f} words on average"
    return "categorical", f"{distinct} different values"


def _guess_integer(
    name: Hashable, present: pd.Series, distinct: int, called: bool, *, flag: bool
) -> tuple[Kind, str]:
    values, rows = present.to_numpy(), len(present)
    if flag and rows >= 20 and distinct == rows:
        if int(values.max()) - int(values.min()) + 1 == rows:
            return "id", "consecutive numbers, one for each row"
        if called and (ID_NAME.search(str(name)) or str(name).endswith("ID")):
            return "id", "a different number in each row, and its name"
    if distinct == 2 and rows >= 10:
        return "categorical", "two whole numbers: a flag"
    if called and distinct <= 31 and distinct <= 0.5 * rows and CODE_NAME.search(str(name)):
        return "categorical", f"{distinct} whole numbers, and its name: codes, not quantities"
    if 2 < distinct <= 12 and distinct <= 0.2 * rows and values.min() < 0 <= values.max():
        return "categorical", f"{distinct} whole numbers, some negative: codes, not quantities"
    return "integer", "whole numbers"


def _levels(present: pd.Series, kind: Kind) -> tuple[Any, ...]:
    if isinstance(present.dtype, pd.CategoricalDtype):
        return tuple(present.dtype.categories)
    found = list(pd.unique(present.astype(object)))
    found = [v.item() if isinstance(v, np.generic) else v for v in found]
    try:
        return tuple(sorted(found))
    except TypeError:
        return tuple(sorted(found, key=lambda v: (type(v).__name__, str(v))))


def _spikes(values: np.ndarray, gone: np.ndarray, labels: np.ndarray | None) -> tuple[int | float, ...]:
    groups = np.zeros(len(values), dtype=np.int64) if labels is None else labels
    order = np.argsort(groups, kind="stable")
    found: set[int | float] = set()
    for part in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1):
        distinct, counts = np.unique(values[part][~gone[part]], return_counts=True)
        enough = max(SPIKE_ROWS, SPIKE_SHARE * len(part))
        # A value is a point mass only beside a scale: among few values each is frequent.
        if len(distinct) > 10:
            found.update(distinct[counts >= enough].tolist())
    return tuple(sorted(found))


def _decimals(values: np.ndarray) -> int | None:
    if np.abs(values).max() > 1e9:
        return None
    for decimals in range(MAX_DECIMALS + 1):
        if np.array_equal(np.round(values, decimals), values):
            return decimals
    return None


def _id_numbers(column: Column, series: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    if not pdt.is_integer_dtype(series.dtype):
        return np.array([]), np.array([])
    return replace(column, kind="integer").numbers(series)


def _take(column: Column, given: Column, series: pd.Series, values: np.ndarray, gone: np.ndarray) -> Column:
    """`column` with the limits that were set by hand; a row beyond them is an error."""
    wanted = {
        key: getattr(given, key)
        for key in ("lower", "upper", "step", "decimals", "spikes")
        if getattr(given, key) not in (None, ())
    }
    column = replace(column, **wanted, reason=given.reason or column.reason)
    beyond = ~gone & ((values < cast(float, column.lower)) | (values > cast(float, column.upper)))
    if beyond.any():
        row = int(np.argmax(beyond))
        raise DataError(
            347,
            f"column {column.name!r}, row {series.index[row]!r}: {series.iloc[row]!r} lies outside the schema's "
            f"{column.lower} to {column.upper}: mend the row or the schema",
        )
    return column


# --- cells ---------------------------------------------------------------------------------------------------


def _first(series: pd.Series, wrong: Any) -> tuple[Any, Any]:
    """Index label and value of the first cell that is present and `wrong`, else (None, None)."""
    if isinstance(series.dtype, np.dtype) and series.dtype.kind in "iuf":
        values = series.to_numpy()
        if series.dtype.kind == "f":
            bad = np.isinf(values) if wrong(float("inf")) else np.zeros(len(values), dtype=bool)
        else:
            limit = np.iinfo(np.int64).max
            bad = values > limit if wrong(limit + 1) and series.dtype.kind == "u" else np.zeros(0, dtype=bool)
        if not bad.any():
            return None, None
        position = int(np.argmax(bad))
        return series.index[position], values[position]
    present = series[~series.isna()]
    distinct = present
    try:
        distinct = present[~present.duplicated()]
    except TypeError:
        pass  # unhashable cells, such as lists: look at each
    for row, value in distinct.items():
        if wrong(value):
            return row, value
    return None, None


def _is_number(value: Any, *, whole: bool = False) -> bool:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return False
    return not whole or number == int(number)


def _is_datelike(value: Any) -> bool:
    import datetime

    return isinstance(value, datetime.date | datetime.timedelta) or isinstance(value, pd.Interval)


def _numeric_dtype(series: pd.Series) -> bool:
    return pdt.is_numeric_dtype(series.dtype) and not pdt.is_bool_dtype(series.dtype)


def _is_time_dtype(dtype: Any) -> bool:
    if isinstance(dtype, pd.ArrowDtype):
        return dtype.kind in "mM"
    return pdt.is_datetime64_any_dtype(dtype) or pdt.is_timedelta64_dtype(dtype)


def _dense_series(series: pd.Series) -> pd.Series:
    if isinstance(series.dtype, pd.SparseDtype):
        return series.sparse.to_dense()
    return series


def _dense(frame: pd.DataFrame) -> pd.DataFrame:
    if any(isinstance(d, pd.SparseDtype) for d in frame.dtypes):
        return pd.DataFrame({n: _dense_series(frame[n]) for n in frame.columns}, index=frame.index)
    return frame


def _plain_time_dtype(dtype: Any) -> np.dtype:
    """The numpy dtype that holds the ticks of a date or time dtype."""
    if isinstance(dtype, pd.ArrowDtype):
        dtype = dtype.numpy_dtype
    if isinstance(dtype, pd.DatetimeTZDtype):
        return np.dtype(f"datetime64[{dtype.unit}]")
    if isinstance(dtype, np.dtype) and dtype.kind in "mM":
        return dtype
    return np.dtype("datetime64[us]")  # Python objects


def _ticks(series: pd.Series, dtype: Any) -> np.ndarray:
    plain = _plain_time_dtype(dtype)
    gone = series.isna().to_numpy(dtype=bool)
    if series.dtype == object or not _is_time_dtype(series.dtype):
        present = series[~series.isna()]
        try:
            spans = len(present) > 0 and isinstance(present.iloc[0], np.timedelta64 | pd.Timedelta) or (
                pd.api.types.infer_dtype(present) == "timedelta"
            )
            stamps = np.array(
                [
                    np.timedelta64(v, "us") if spans else np.datetime64(_utc(v), "us")
                    for v in present
                ]
            )
        except (TypeError, ValueError) as error:
            raise DataError(348, f"column {series.name!r} holds cells that are no dates: {error}") from error
        out = np.zeros(len(series), dtype=np.int64)
        out[~gone] = stamps.astype(np.int64) if len(stamps) else 0
        return out
    if isinstance(series.dtype, pd.ArrowDtype):
        series = series.astype(f"{'datetime' if plain.kind == 'M' else 'timedelta'}64[{_unit(plain)}]" if
                               getattr(series.dtype.pyarrow_dtype, "tz", None) is None else
                               pd.DatetimeTZDtype(_unit(plain), "UTC"))
    if isinstance(series.dtype, pd.DatetimeTZDtype):
        series = series.dt.tz_convert("UTC").dt.tz_localize(None)
    ticks = series.to_numpy(dtype=plain).astype(np.int64)
    ticks[gone] = 0
    return ticks


def _unit(dtype: np.dtype) -> str:
    return np.datetime_data(dtype)[0]


def _utc(value: Any) -> Any:
    import datetime

    if isinstance(value, str):
        value = pd.Timestamp(value)
    if isinstance(value, pd.Timestamp):
        return value.tz_convert("UTC").tz_localize(None).to_datetime64() if value.tz else value.to_datetime64()
    if isinstance(value, datetime.datetime) and value.tzinfo:
        return value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    return value


def _from_ticks(values: np.ndarray, missing: np.ndarray | None, dtype: Any, name: Hashable) -> pd.Series:
    plain = _plain_time_dtype(dtype)
    stamps = values.astype(np.int64).astype(plain)
    if missing is not None:
        stamps = np.where(missing, np.array("NaT", dtype=plain), stamps)
    series = pd.Series(stamps, name=name)
    if isinstance(dtype, pd.DatetimeTZDtype):
        return series.dt.tz_localize("UTC").dt.tz_convert(dtype.tz)
    if isinstance(dtype, pd.ArrowDtype) and getattr(dtype.pyarrow_dtype, "tz", None):
        return series.dt.tz_localize("UTC").astype(dtype)
    return series if series.dtype == dtype else series.astype(dtype)


def _as_dtype(series: pd.Series, missing: np.ndarray | None, dtype: Any, name: Hashable) -> pd.Series:
    series = series.rename(name)
    sparse = dtype if isinstance(dtype, pd.SparseDtype) else None
    target = dtype.subtype if sparse is not None else dtype
    if missing is not None and missing.any():
        plain = isinstance(target, np.dtype) and target.kind == "f"
        series = series.astype(np.float64 if plain else object)
        series[missing] = np.nan if plain else (None if target == object else pd.NA)
    series = series.astype(target)
    return series if sparse is None else series.astype(sparse)


def _to_plain(value: Any) -> Any:
    """A value that JSON can hold; what is no plain text, number or boolean is tagged."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, tuple):
        return {"tuple": [_to_plain(v) for v in value]}
    if isinstance(value, pd.Interval):
        return {"interval": [_to_plain(value.left), _to_plain(value.right), value.closed]}
    if isinstance(value, pd.Timestamp):
        return {"timestamp": value.isoformat()}
    raise DataError(349, f"{value!r} ({type(value).__name__}) cannot be written to a file: turn it into text")


def _from_plain(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    (tag, inner), *rest = value.items()
    if tag == "tuple" and not rest:
        return tuple(_from_plain(v) for v in inner)
    if tag == "interval" and not rest:
        return pd.Interval(_from_plain(inner[0]), _from_plain(inner[1]), inner[2])
    if tag == "timestamp" and not rest:
        return pd.Timestamp(inner)
    raise UsageError(267, f"schema: {dict(value)!r} is no value")


def describe(columns: Iterable[Column]) -> list[dict[str, str]]:
    """One row of text for each column, for a terminal or a page."""
    out = []
    for c in columns:
        if c.kind in LEVELS:
            values = ", ".join(map(str, c.categories[:6])) + (", ..." if len(c.categories) > 6 else "")
        elif c.kind == "datetime" and c.lower is not None:
            limits = c.restore(np.array([c.lower, c.upper]))
            values = f"{limits.iloc[0]} to {limits.iloc[1]}"
        elif c.lower is not None:
            values = f"{c.lower:g} to {c.upper:g}" if c.kind == "numeric" else f"{c.lower} to {c.upper}"
        else:
            values = ""
        missing = f"{100 * c.missing:.1f} %" if c.missing else ""
        out.append(
            {"column": str(c.name), "kind": c.kind, "values": values, "missing": missing, "why": c.reason}
        )
    return out
