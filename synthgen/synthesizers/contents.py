"""The contents of a model file, as tables for a reader."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from synthgen.errors import ModelFileError
from synthgen.tables.column import Column
from synthgen.tables.schema import describe
from synthgen.training.model_file import read_model

DISCLOSURE = (
    "this file holds no training row, no value and no range that fewer than 5 rows share; it names "
    "a class with fewer than 5 rows only if it was saved with --keep-class-names; numbers of rows "
    "are rounded (below 100 to a multiple of 5, above to two digits)"
)

NO_ROW_IS_READ = (
    "this file holds the schema as it was declared, and noisy counts of columns and of pairs of "
    "columns, nothing else"
)

# What a holder of the file can find out about training rows, by synthesizer.
RECOGNISED = {
    "SequentialTrees": (
        "whoever knows a row and holds this file can often tell whether it was a training row: the "
        "shares of a leaf come from few rows, and the cells of a training row are among those of "
        "its leaves"
    ),
    "PrivateMarginals": (
        "about any single row, at most what epsilon and delta allow; overall statistics are visible"
    ),
    "CTGAN": (
        "whoever holds this file can draw any number of rows and see which known records they come "
        "close to; the critic, which memorises rows best, is not in the file"
    ),
}
# What may be shared, by what was measured (`evaluation/privacy.md`).
TO_SHARE = {
    "SequentialTrees": (
        "do not share the model file; judge rows with `synthgen privacy` and `synthgen evaluate` "
        "before you share them: on eight tables, attacks found 48 to 99 % of the training rows "
        "with the file and 15 to 25 % with as many new rows, at 10 % false alarms (guessing finds "
        "10 %)"
    ),
    "PrivateMarginals": (
        "the model file and its rows may be shared by whoever accepts the guarantee, which holds "
        "only if the schema was public"
    ),
}
TO_MEASURE = "share the model file only if `synthgen privacy` passes it"
OF_WEIGHTS = (
    "whoever holds a record and this file can compute how well the model fits the record; if it "
    "fits training records better than others, this reveals them"
)


@dataclass(frozen=True)
class Contents:
    """The contents of a model file.

    Attributes:
        title: The synthesizer and its target.
        params: Name and value of each hyperparameter; values that `fit` chose in the place of None.
        classes: Each class, its rounded number of training rows, and the scope of its network.
        columns: For each model, such as " for 'yes'" (or "", for all classes): a row per column.
        coarsened: Sentences that say what was left out of the file.
        header: The whole header.
        arrays: Name, dtype, shape and bytes of each array; arrays that were learned from rows also
            have their values.
    """

    title: str
    params: list[list[Any]]
    classes: list[list[Any]]
    columns: dict[str, list[dict[str, Any]]]
    coarsened: list[str]
    header: dict[str, Any]
    arrays: list[dict[str, Any]]

    @property
    def disclosure(self) -> str:
        """What the file holds and what it does not, in one sentence."""
        return NO_ROW_IS_READ if "guarantee" in self.header else DISCLOSURE

    @property
    def guarantee(self) -> str:
        """The guarantee of differential privacy in words; "" if there is none."""
        return guarantee_in_words(self.header.get("guarantee"))

    @property
    def recognised(self) -> str:
        """What a holder of the file can find out about training rows."""
        return RECOGNISED.get(self.header["class"], OF_WEIGHTS)

    def to_json(self) -> dict[str, Any]:
        """The header and the arrays, as plain values and NumPy arrays."""
        return {"header": self.header, "arrays": self.arrays}


def to_share(synthesizer: str) -> str:
    """Say what may be shared of a synthesizer: its rows, or its model file too."""
    return TO_SHARE.get(synthesizer, TO_MEASURE)


def guarantee_in_words(guarantee: dict[str, Any] | None) -> str:
    """The guarantee of a `PrivateMarginals` in words; "" if there is none."""
    if guarantee is None:
        return ""
    return (
        f"(epsilon {guarantee['epsilon']:g}, delta {guarantee['delta']:g})-differential privacy "
        f"for {guarantee['neighbours']}. It covers: {', '.join(guarantee['spent'])}. It does not "
        "cover the schema, which must be public. Each further fit of the same rows adds its "
        "epsilon and delta."
    )


def contents(path: str | os.PathLike[str]) -> Contents:
    """Read what a model file holds; the model itself is not built."""
    header, tensors = read_model(path)
    learned = {k for k in tensors if k.split("/")[1:2] in (["encoder"], ["bins"], ["shifts"])}
    arrays = [
        {"name": k, "dtype": str(v.dtype), "shape": list(v.shape), "bytes": v.nbytes}
        | ({"values": v} if k in learned else {})
        for k, v in sorted(tensors.items())
    ]
    try:
        return _contents(header, arrays)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise ModelFileError(419, f"{path}: its header is not synthgen's: {error!r}") from error


def _contents(header: dict[str, Any], arrays: list[dict[str, Any]]) -> Contents:
    target = Column.from_json(header["target"])
    models = header.get("models", [])  # trees are one model of all classes
    positions = header.get("positions", [entry["position"] for entry in models])
    made = dict(zip(positions, header["scope"], strict=True))
    counted = enumerate(zip(target.categories, header["counts"], strict=True))
    classes = [[c, n, made.get(i, "")] for i, (c, n) in counted]
    if others := header.get("other_classes"):
        classes.append([f"{others['classes']} other classes", others["rows"], ""])
    stored = {
        f" for {target.categories[entry['position']]!r}": [
            c["column"] for c in entry["encoder"]["columns"]
        ]
        for entry in models
    } or {"": header["columns"]}
    return Contents(
        f"{header['class']}, target {target.name!r}",
        [[name, value] for name, value in (header["params"] | header.get("used", {})).items()],
        classes,
        {whose: describe(map(Column.from_json, columns)) for whose, columns in stored.items()},
        [str(line) for line in header["coarsened"]],
        header,
        arrays,
    )
