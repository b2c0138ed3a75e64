"""`Schema`: the kinds and limits of a table's columns, and its target."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from synthgen.errors import DataError, UsageError
from synthgen.tables import dtypes as cell
from synthgen.tables import plain
from synthgen.tables.checks import check_frame, listed, plain_name
from synthgen.tables.column import LEVELS, NUMBERS, Column
from synthgen.tables.disk import read_json
from synthgen.tables.foreign import as_pandas
from synthgen.tables.inference import infer_column, infer_target


@dataclass(frozen=True)
class Schema:
    """Kinds and limits of all columns of a table, and the name of its target.

    Attributes:
        columns: The columns, in the order of the table.
        target: Name of the column that holds the classes; None: no target.

    Example:
        >>> ill = ["no", "no", "no", "yes"] * 10
        >>> frame = pd.DataFrame({"age": [31, 47, 52, 38] * 10, "ill": ill})
        >>> schema = Schema.infer(frame, target="ill")
        >>> schema["age"].kind, schema["ill"].categories
        ('integer', ('no', 'yes'))
        >>> Schema.from_json(schema.to_json()) == schema
        True
    """

    columns: tuple[Column, ...]
    target: Hashable | None = None

    def __getitem__(self, name: Hashable) -> Column:
        name = plain_name(name)
        for column in self.columns:
            if column.name == name and type(column.name) is type(name):
                return column
        raise KeyError(name)

    @property
    def names(self) -> list[Hashable]:
        """The names of all columns."""
        return [c.name for c in self.columns]

    @property
    def features(self) -> tuple[Column, ...]:
        """All columns but the target."""
        return tuple(c for c in self.columns if self.target is None or c.name != self.target)

    @property
    def classes(self) -> tuple[Any, ...]:
        """The classes of the target, in order."""
        return () if self.target is None else self[self.target].categories

    @classmethod
    def infer(
        cls, frame: pd.DataFrame, *, target: Hashable | None = None, given: Schema | None = None
    ) -> Schema:
        """Infer the kind, and the categories or limits, of each column.

        Args:
            frame: The table, shape (rows, columns), at least one of each; never changed.
            target: Name of the column that holds the classes. None: the target of `given`, if any.
            given: A schema (for instance, an edited one) whose kinds, bounds, steps, decimals,
                spikes and categories are used. Columns that it lacks are inferred. Dtypes always
                come from `frame`.

        Returns:
            The schema, with the columns in the order of the frame.

        Raises:
            DataError: A column name appears twice; a cell is infinite or of an unsupported type;
                the target has missing cells, has only one class, or looks like a regression target;
                `given` names a column that the table lacks, or a kind that the cells do not allow.
            UsageError: `frame` has no column `target`.

        Example:
            >>> frame = pd.DataFrame({"dose": [1.5, 2.0, 9.5], "ill": ["no", "no", "yes"]})
            >>> Schema.infer(frame, target="ill").classes
            ('no', 'yes')
        """
        if target is None and given is not None:
            target = given.target
        target = plain_name(target)
        frame = as_pandas(frame)
        check_frame(frame, target)
        if given is not None:
            for name in given.names:
                if name not in frame.columns:
                    raise DataError(
                        333,
                        f"the schema names column {name!r}, which the table lacks: "
                        f"{listed(frame)}: rename the column, or take it out of the schema",
                    )
        label = codes = None
        if target is not None:
            label = infer_target(target, frame[target])
            codes = label.codes(frame[target])
        hints = {} if given is None else {c.name: c for c in given.columns}
        columns = [
            label
            if label is not None and name == target
            else infer_column(name, frame[name], codes, hints.get(name))
            for name in map(plain_name, frame.columns)
        ]
        return cls(tuple(columns), target)

    def to_json(self) -> dict[str, Any]:
        """The schema as plain JSON values, for editing; `from_json` is the inverse.

        Returns:
            A dictionary with the keys "target" and "columns".

        Example:
            >>> Schema.infer(pd.DataFrame({"age": [31, 47]})).to_json()["columns"][0]["kind"]
            'integer'
        """
        return {
            "target": plain.to_plain(self.target),
            "columns": [c.to_json() for c in self.columns],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Schema:
        """The inverse of `to_json`.

        Args:
            data: A dictionary ``{"target": ..., "columns": [...]}``.

        Returns:
            The schema.

        Raises:
            UsageError: `data` is not a schema, names a column twice, or has a target that is not
                among its columns (E264); or a column is invalid (E261 to E268).
        """
        if not isinstance(data, Mapping) or not isinstance(data.get("columns"), list):
            raise UsageError(
                264, 'a schema is {"target": ..., "columns": [{"name": ..., "kind": ...}]}'
            )
        columns = tuple(map(Column.from_json, data["columns"]))
        target = plain.from_plain(data.get("target"))
        names = [c.name for c in columns]
        for name in names:
            if names.count(name) > 1:
                raise UsageError(264, f"the schema names column {name!r} twice: take one out")
        if target is not None and target not in names:
            raise UsageError(
                264,
                f"the schema's target {target!r} is not among its columns: add or rename it, or "
                "leave out the target",
            )
        return cls(columns, target)

    @classmethod
    def load(cls, path: str | Path) -> Schema:
        """Read a schema from a JSON file as written by ``synthgen schema``, possibly edited.

        Args:
            path: Path of the file.

        Returns:
            The schema.

        Raises:
            UsageError: The file cannot be read (E265) or is not a schema (see `from_json`).

        Example:
            >>> import tempfile
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     path = Path(folder, "schema.json")
            ...     _ = path.write_text('{"columns": [{"name": "code", "kind": "categorical"}]}')
            ...     Schema.load(path)["code"].kind
            'categorical'
        """
        try:
            content = read_json(path)
        except DataError as error:
            raise UsageError(265, f"cannot read the schema: {error.message}") from error
        try:
            return cls.from_json(content)
        except UsageError as error:
            raise UsageError(error.code, f"{path}: {error.message}") from error


def class_position(classes: tuple[Any, ...], label: Any) -> int:
    """The position of `label` among `classes`.

    A text also matches the class of another type that prints the same, if there is exactly one,
    because the command line gives labels as text.
    """
    for position, value in enumerate(classes):
        if type(value) is type(label) and value == label:
            return position
    same = [
        i
        for i, value in enumerate(classes)
        if str(value) == str(label)
        or (cell.is_number(label) and cell.is_number(value) and float(value) == float(label))
    ]
    if len(same) == 1:
        return same[0]
    known = ", ".join(map(cell.shown, classes[:20])) + (", ..." if len(classes) > 20 else "")
    raise UsageError(
        201, f"label {label!r} is no class of the target: it has {known}: name one of them"
    )


def describe(columns: Iterable[Column]) -> list[dict[str, str]]:
    """One dictionary of texts per column, for a terminal or a page."""
    out = []
    for c in columns:
        if c.kind in LEVELS:
            values = ", ".join(map(str, c.categories[:6])) + (
                ", ..." if len(c.categories) > 6 else ""
            )
        elif c.kind in NUMBERS and c.lower is not None and c.upper is not None:
            if c.kind == "datetime":
                low, high = c.restore(np.array([c.lower, c.upper]))
                values = f"{low} to {high}".replace(" 00:00:00", "")
            else:
                values = f"{c.lower} to {c.upper}"
                if c.kind == "numeric":
                    values = f"{c.lower:g} to {c.upper:g}"
                if c.decimals:
                    values += f", {c.decimals} decimal{'s' * (c.decimals > 1)}"
        else:
            values = ""
        missing = f"{100 * c.missing:.1f} %" if c.missing else ""
        out.append(
            {
                "column": str(c.name),
                "kind": c.kind,
                "values": values,
                "missing": missing,
                "why": c.reason,
            }
        )
    return out
