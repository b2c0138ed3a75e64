"""What a file of an `ImbalancedClassifier` may hold, and which strategies it can hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from synthgen.comparison.builders import Synthetic
from synthgen.comparison.splits import training_part
from synthgen.comparison.strategies import Strategy
from synthgen.errors import ModelFileError
from synthgen.model_selection.classifiers import Estimator
from synthgen.seeds import seed_sequence
from synthgen.tables.table import Table

FORMAT = 4  # before it, classes had other names or modules, or the target was not named

# What a file may hold beside what skops trusts by itself.
TRUSTED = [
    "functools.partial",  # of check_array, below, around the levels that boosting takes
    "imblearn.ensemble._easy_ensemble.EasyEnsembleClassifier",
    "imblearn.ensemble._forest.BalancedRandomForestClassifier",
    "imblearn.ensemble._weight_boosting.RUSBoostClassifier",
    "imblearn.pipeline.Pipeline",
    "imblearn.under_sampling._prototype_selection._random_under_sampler.RandomUnderSampler",
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
    "sklearn.utils.validation.check_array",
    "synthgen.encoding.matrix.Binned",
    "synthgen.encoding.matrix.Matrix",
    "synthgen.comparison.learners.FocalMLP",
    "synthgen.comparison.learners.SelfPacedEnsemble",
    "synthgen.comparison.parts.Fitted",
]


def to_bytes(content: dict[str, Any], what: str) -> bytes:
    """The content of a file, checked as `check_types` does when it is read.

    Raises:
        ModelFileError: It cannot be written, or holds a type that is not trusted.
    """
    from skops import io as skops

    try:
        data = skops.dumps(content)
    except Exception as error:  # a user's type can fail in any way
        raise ModelFileError(431, f"{what} cannot be written to a file: {error}") from error
    check_types(data, what)
    return data


def check_types(data: bytes, what: str) -> None:
    """Refuse a file that holds a type which is neither trusted by skops nor in `TRUSTED`.

    Args:
        data: The whole file.
        what: Its path, for an error.

    Raises:
        ModelFileError: It holds another type, is damaged, or is of an older version.
    """
    from skops import io as skops

    try:
        there = set(skops.get_untrusted_types(data=data))
    except Exception as error:  # a damaged archive can fail in any way
        raise ModelFileError(
            433, f"{what} is damaged, or no file of synthgen auto: {error}"
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


def cannot_be_saved(strategy: Strategy, estimator: Estimator) -> str:
    """Why `ImbalancedClassifier.save` would refuse this strategy, or nothing.

    It is fitted on a few made-up rows, since only a fitted classifier shows what a file would hold.
    A strategy that fails on these rows is given the benefit of the doubt.
    """
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [30, 10])
    frame = pd.DataFrame({"number": rng.normal(y), "level": rng.choice(["a", "b", "c"], 40)})
    _, part = training_part(Table.of_xy(frame, y), cost=(1.0, 1.0))
    build = strategy.build
    if isinstance(build, Synthetic):  # the rows differ, the classifier does not
        build = Synthetic("bootstrap", "double", under=build.under, weigh=build.weigh)
    try:
        fitted = build(part, estimator, seed_sequence(0))(0)
    except Exception:
        fitted = clone(estimator.model)
    try:
        to_bytes({"fitted": fitted}, strategy.name)
    except ModelFileError as error:
        return error.message
    return ""
