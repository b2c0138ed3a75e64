"""Singling out, linkability, inference: copies are caught, fresh rows are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from synthgen.metrics.privacy_rows import counted_columns
from synthgen.metrics.risks import RISKS, Success, risk, risks
from synthgen.metrics.score import Score
from synthgen.tables.schema import Schema
from synthgen.tables.table import Table


def drawn(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=rows)
    frame = pd.DataFrame({f"x{j}": hidden + rng.normal(size=rows) for j in range(4)})
    frame["kind"] = rng.choice(list("abcd"), rows)
    frame.loc[rng.random(rows) < 0.1, "x0"] = np.nan
    return frame


def measured(train: pd.DataFrame, made: pd.DataFrame, holdout: pd.DataFrame) -> dict[str, Score]:
    schema = Schema.infer(pd.concat([train, made, holdout], ignore_index=True))
    one, two, three = (Table(f.reset_index(drop=True), schema) for f in (train, made, holdout))
    columns, _ = counted_columns(one, two, three)
    found = risks(columns, (one, two, three), "rare", np.random.SeedSequence(0))
    return {score.name.removeprefix("privacy."): score for score in found}


def test_copies_run_all_three_risks():
    found = measured(drawn(300, 0), drawn(300, 0), drawn(300, 1))
    for name in RISKS:
        score = found[name]
        assert score.value > 0.8, name
        assert score.interval is not None
        assert score.interval[0] > 0.5, name


def test_noisy_copies_are_found():
    train = drawn(300, 0)
    rng = np.random.default_rng(0)
    made = train.copy()
    for name in ("x0", "x1", "x2", "x3"):
        made[name] += 0.01 * rng.normal(size=len(made))
    found = measured(train, made, drawn(300, 1))
    assert found["linkability"].value > 0.8
    assert found["inference"].value > 0.5
    # A condition "at least as large as" misses its record where the noise raised a number.


def test_fresh_rows_run_none():
    """Of ten triples every interval but few holds 0."""
    missed = 0
    for seed in range(10):
        found = measured(drawn(300, seed), drawn(300, seed + 50), drawn(300, seed + 100))
        for name in RISKS:
            interval = found[name].interval
            assert interval is not None
            missed += not interval[0] <= 0 <= interval[1]
            assert abs(found[name].value) < 0.15, name
    assert missed <= 3


def test_the_risk_is_what_is_reached_above_the_control():
    assert risk(Success(0.5, 0.5, 0.0, 100))[0] == 0
    assert risk(Success(1.0, 0.5, 0.0, 100))[0] == 1
    assert risk(Success(0.6, 0.2, 0.0, 100))[0] == pytest.approx(0.5)
    wide, narrow = (risk(Success(0.6, 0.2, 0.0, n))[1] for n in (25, 2500))
    assert wide[1] - wide[0] > 5 * (narrow[1] - narrow[0])


def test_order_of_rows_and_columns_does_not_matter():
    train, made, holdout = drawn(120, 0), drawn(120, 1), drawn(120, 2)
    mixed = [f.iloc[::-1, ::-1] for f in (train, made, holdout)]
    first, second = measured(train, made, holdout), measured(*mixed)
    for name in RISKS:
        assert first[name].to_json() == second[name].to_json()


def test_too_few_rows_are_told():
    found = measured(drawn(5, 0), drawn(50, 1), drawn(50, 2))
    for name in RISKS:
        assert np.isnan(found[name].value)
        assert "10 rows" in found[name].note
