"""SDV's synthesizers under the contract of ours."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
from checks import (
    CHECKS,
    Make,
    check_dtypes_and_order,
    check_few_rows,
    check_global_random_states,
    check_learns_a_known_distribution,
    check_seeds,
    digest,
    mixed,
)

from synthgen.errors import ModelFileError, UsageError
from synthgen.synthesizers.lookup import resolve
from synthgen.synthesizers.sdv import SDV

QUICK = (check_dtypes_and_order, check_few_rows, check_global_random_states, check_seeds)
# A Gaussian copula cannot learn two modes that a category tells apart.
NOT_HERE = (check_learns_a_known_distribution,)

# The package runs without it, and these tests cannot.
needs_sdv = pytest.mark.skipif(find_spec("sdv") is None, reason="sdv is not installed")


def copula(**params: object) -> SDV:
    return SDV(**params)  # type: ignore[arg-type]


@needs_sdv
@pytest.mark.parametrize(
    "check",
    [
        pytest.param(c, marks=() if c in QUICK else pytest.mark.slow, id=c.__name__)
        for c in CHECKS
        if c not in NOT_HERE
    ],
)
def test_contract(check: Callable[[Make], None]) -> None:
    check(copula)


@needs_sdv
@pytest.mark.slow
@pytest.mark.parametrize("model", ["CTGAN", "TVAE", "CopulaGAN"])
def test_networks_are_seeded_and_keep_counts(model: str) -> None:
    X, y = mixed(rows=200, rare=60)
    made = [
        SDV(model=model, epochs=2, random_state=0, classes=["rare"])  # type: ignore[arg-type]
        .fit(X, y)
        .sample(70, label="rare", random_state=1)
        for _ in range(2)
    ]
    assert digest(made[0]) == digest(made[1])
    assert (made[0]["outcome"] == "rare").all()
    assert len(made[0]) == 70


@needs_sdv
def test_a_copula_learns_what_a_copula_can() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(10, 2, 500)
    frame = pd.DataFrame(
        {
            "x": x,
            "half": x / 2 + rng.normal(0, 0.2, 500),
            "whole": np.round(x * 3).astype("int16"),
            "kind": rng.choice(["a", "b"], 500, p=[0.8, 0.2]),
            "gap": np.where(rng.random(500) < 0.3, np.nan, x),
        }
    )
    y = pd.Series(np.arange(500) < 300, name="y")
    made = copula(random_state=0, classes=[True]).fit(frame, y).sample(2000, random_state=0)
    assert made["x"].corr(made["half"]) > 0.9
    assert made["x"].corr(made["whole"].astype(float)) > 0.9
    assert abs((made["kind"] == "a").mean() - 0.8) < 0.08
    assert abs(made["gap"].isna().mean() - 0.3) < 0.08
    assert abs(made["x"].mean() - 10) < 0.4
    assert made["whole"].dtype == np.int16


def test_names_resolve_and_bad_ones_are_named() -> None:
    found = resolve("sdv:TVAE")
    assert isinstance(found, SDV)
    assert found.model == "TVAE"
    with pytest.raises(UsageError, match="no synthesizer 'sdv:PAR': use sdv:GaussianCopula"):
        resolve("sdv:PAR")
    X, y = mixed()
    with pytest.raises(UsageError, match=r"model must be one of GaussianCopula, .*'PAR'"):
        SDV(model="PAR").fit(X, y)  # type: ignore[arg-type]


def test_it_cannot_be_saved(tmp_path) -> None:
    with pytest.raises(ModelFileError, match="only as a pickle"):
        copula().save(tmp_path / "m")
    assert not list(tmp_path.iterdir())


def test_a_model_of_sdv_is_refused_a_file_before_it_is_fitted() -> None:
    with pytest.raises(ModelFileError, match="only as a pickle"):
        copula().check_savable({"rare": 100})
