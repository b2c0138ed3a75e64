"""Arguments that are True or False: every public function and constructor refuses anything else."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

import synthgen
from synthgen import CTGAN, ImbalancedClassifier, OversampledClassifier, SmoothedBootstrap
from synthgen.errors import UsageError
from synthgen.tables.checks import check_flags

ROWS = np.random.default_rng(0).normal(size=(60, 2))
FRAME = pd.DataFrame(ROWS)
CLASSES = np.arange(60) % 3 == 0
OBJECTS: dict[str, Any] = {
    "CTGAN": CTGAN,
    "OversampledClassifier": lambda **given: OversampledClassifier(None, **given),
}
CALLS: dict[str, Callable[..., Any]] = {
    "audit": lambda **given: synthgen.audit(ROWS, CLASSES, **given),
    "augment": lambda **given: synthgen.augment(ROWS, CLASSES, **given),
    "compare": lambda **given: synthgen.compare(ROWS, CLASSES, **given),
    "evaluate": lambda **given: synthgen.evaluate(FRAME, FRAME, target=0, **given),
    "fit_many": lambda **given: synthgen.fit_many([], **given),
    "privacy": lambda **given: synthgen.privacy("none", FRAME, FRAME, **given),
    "sample_dataset": lambda **given: synthgen.sample_dataset("none", 9, "none", **given),
    "read_table": lambda **given: synthgen.read_table("none", **given),
    "sweep": lambda **given: synthgen.sweep(ROWS, CLASSES, at=[5, 9], **given),
    "write_table": lambda **given: synthgen.write_table(FRAME, "none.csv", **given),
}


def flags(function: Any) -> list[str]:
    found = inspect.signature(function).parameters.values()
    return [p.name for p in found if isinstance(p.default, bool)]


def public() -> Iterator[tuple[str, str]]:
    for name in synthgen.__all__:
        if callable(value := getattr(synthgen, name)):
            yield from ((name, flag) for flag in flags(value))


@pytest.mark.parametrize(("name", "flag"), list(public()))
@pytest.mark.parametrize("value", ["off", "none", None, 1])
def test_a_flag_is_true_or_false(name: str, flag: str, value: Any):
    def call() -> Any:
        made = getattr(synthgen, name)
        if not isinstance(made, type):
            return CALLS[name](**{flag: value})
        made = OBJECTS.get(name, made)(**{flag: value})
        return (getattr(made, "fit", None) or made.fit_resample)(ROWS, CLASSES)

    said = f"{flag} must be True or False, not .*E237"
    if name == "Oversampler":  # imbalanced-learn asks for scikit-learn's words
        said = f"The '{flag}' parameter of Oversampler must be an instance of 'bool'"
    with pytest.raises(UsageError, match=said):
        call()


@pytest.mark.parametrize(
    "name", [n for n in synthgen.__all__ if hasattr(getattr(synthgen, n), "save")]
)
def test_so_are_those_of_methods(name: str):
    kind = getattr(synthgen, name)
    if "keep_class_names" not in flags(kind.save):
        return
    with pytest.raises(UsageError, match="keep_class_names must be True or False, not 'yes'"):
        kind.save(SmoothedBootstrap(), "none", keep_class_names="yes")


def test_true_and_false_of_numpy_are_taken():
    check_flags(verbose=np.bool_(True), other=False)
    with pytest.raises(UsageError, match="verbose must be"):
        ImbalancedClassifier(verbose=1).fit(ROWS, CLASSES)  # pyright: ignore[reportArgumentType]
