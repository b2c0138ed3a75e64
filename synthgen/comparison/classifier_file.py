"""The file of an `ImbalancedClassifier`: writing, reading, and the types that it may hold."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from sklearn.base import clone

from synthgen.comparison.archive import check_content, read_archive
from synthgen.encoding.matrix import Matrix
from synthgen.errors import ModelFileError
from synthgen.model_selection.estimators import Estimator
from synthgen.report.answer import Recommendation
from synthgen.seeds import seed_sequence
from synthgen.tables.disk import atomic_write
from synthgen.tables.plain import from_plain, to_plain
from synthgen.tables.schema import Schema
from synthgen.training.model_file import naming

FORMAT = 6  # 5 stored the recommendation as one text; 1 to 4 stored one strategy, not an average

# Types that a file may hold in addition to those that skops trusts by default.
TRUSTED = [
    "functools.partial",  # of check_array, below, in the encoder of boosting's categories
    "imblearn.ensemble._easy_ensemble.EasyEnsembleClassifier",
    "imblearn.ensemble._forest.BalancedRandomForestClassifier",
    "imblearn.ensemble._weight_boosting.RUSBoostClassifier",
    "imblearn.pipeline.Pipeline",
    "imblearn.under_sampling._prototype_selection._random_under_sampler.RandomUnderSampler",
    "numpy.dtype",
    "sklearn.compose._column_transformer._RemainderColsList",  # up to scikit-learn 1.6
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
    "sklearn.utils.validation.check_array",
    "synthgen.encoding.matrix.Binned",
    "synthgen.encoding.matrix.Matrix",
    "synthgen.comparison.ensemble.Bagged",
    "synthgen.comparison.ensemble.Calibrated",
    "synthgen.comparison.ensemble.Mean",
    "synthgen.comparison.parts.Fitted",
    "synthgen.model_selection.calibration.Calibrator",
]


DISCLOSURE = (
    "this file holds no training row, but it does hold the names of all classes and of all "
    "categories, and the smallest and largest value of each column, even if only one row has them: "
    "share it only with people who may see these"
)


def write(model: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted `ImbalancedClassifier`; see `ImbalancedClassifier.save`."""
    content = {
        "format": FORMAT,
        "columns": json.dumps(Schema(model.known_.columns).to_json()),
        "classes": json.dumps([to_plain(c) for c in model.classes_.tolist()]),
        "n_features": int(model.n_features_in_),
        "order": model._order,
        "rare": int(model._rare),
        "threshold": float(model.threshold_),
        "members": json.dumps([*model.members_]),
        "recommendation": json.dumps(asdict(model.recommendation_)),
        "target": json.dumps(None if model.target_ is None else str(model.target_)),
        "names": json.dumps([*map(str, getattr(model, "feature_names_in_", []))]),
        "fitted": model.calibrated_,
    }
    data = to_bytes(content, "this classifier")
    with atomic_write(path) as file:
        file.write(data)


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the attributes of a fitted `ImbalancedClassifier`; see `ImbalancedClassifier.load`."""
    from skops import io as skops

    data = read_archive(path)
    check_types(data, str(path))
    try:
        content = skops.loads(data, trusted=TRUSTED)
        check_format(content, str(path))
        known = Matrix.of(Schema.from_json(json.loads(content["columns"])))
        classes = np.array([from_plain(c) for c in json.loads(content["classes"])])
        with naming(path):
            check_content(content, known, len(classes))
        rare = int(content["rare"])
        found = {
            "known_": known,
            "classes_": classes,
            "_order": content["order"],
            "_rare": rare,
            "threshold_": float(content["threshold"]),
            "calibrated_": content["fitted"],
            "members_": tuple(json.loads(content["members"])),
            "recommendation_": Recommendation(**json.loads(content["recommendation"])),
            "label_": classes[rare],
            "n_features_in_": int(content["n_features"]),
            "target_": json.loads(content["target"]),
            "quality_": None,
        }
        if names := json.loads(content["names"]):
            found["feature_names_in_"] = np.array(names, dtype=object)
        return found
    except (ModelFileError, MemoryError):
        raise
    except Exception as error:  # a damaged archive can fail in any way
        raise ModelFileError(
            433, f"{path} is damaged, or was not written by synthgen auto: {error}"
        ) from error


def to_bytes(content: dict[str, Any], what: str) -> bytes:
    """Convert the content of a file to bytes, and check its types as a reader will."""
    from skops import io as skops

    try:
        data = skops.dumps(content)
    except Exception as error:  # a user's type can fail in any way
        raise ModelFileError(431, f"{what} cannot be written to a file: {error}") from error
    check_types(data, what)
    return data


def check_types(data: bytes, what: str) -> None:
    """Reject a file that holds a type which is neither trusted by skops nor in `TRUSTED`."""
    from skops import io as skops

    try:
        there = set(skops.get_untrusted_types(data=data))
    except Exception as error:  # a damaged archive can fail in any way
        raise ModelFileError(
            433, f"{what} is damaged, or was not written by synthgen auto: {error}"
        ) from error
    other = sorted(there - {*TRUSTED})
    if other and all(name.startswith("synthgen.") for name in other):
        raise ModelFileError(
            434,
            f"{what} is from another version of synthgen ({other[0]} is not on the list of trusted "
            f"types): run synthgen auto again",
        )
    if other:
        raise ModelFileError(
            434, f"{what} holds {', '.join(other)}, which is not on the list of trusted types"
        )


def check_format(content: dict[str, Any], what: str) -> None:
    """Reject a file of another format."""
    if content["format"] != FORMAT:
        raise ModelFileError(
            434,
            f"{what} is from another version of synthgen (format {content['format']}, this one "
            f"reads {FORMAT}): run synthgen auto again",
        )


def cannot_be_saved(member: Estimator) -> str:
    """The reason why `ImbalancedClassifier.save` would reject this member, or ""."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [30, 10])
    X = np.column_stack([rng.normal(y), rng.integers(0, 3, 40)]).astype(np.float64)
    model: Any = clone(member.model)
    if "n_estimators" in model.get_params(deep=False):
        model.set_params(n_estimators=1)
    try:
        model = replace(member, model=model).fit(X, np.array([False, True]), y, seed_sequence(0))
    except Exception:
        model = clone(member.model)
    try:
        to_bytes({"fitted": model}, member.name)
    except ModelFileError as error:
        return error.message
    return ""


def refuse_unsavable(members: Sequence[Estimator]) -> None:
    """Raise a `ModelFileError` if a member is of a type that no file can hold."""
    for member in members:
        if why := cannot_be_saved(member):
            raise ModelFileError(
                434,
                f"member {member.name}: {why}: leave it out, or fit an ImbalancedClassifier "
                f"in Python, and keep it in memory",
            )
