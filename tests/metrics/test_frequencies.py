"""Frequencies give training rows away, even where every column is made by itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from synthgen.metrics.frequencies import frequency_losses
from synthgen.tables.table import Table


def rows(number: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({f"x{j}": rng.normal(size=number) for j in range(12)})
    frame["place"] = rng.choice(list("abcdefgh"), number)
    frame.loc[rng.random(number) < 0.2, "x0"] = np.nan
    return frame.assign(ill=True)


TRAIN, HOLDOUT, FRESH = rows(200, 0), rows(200, 1), rows(200, 2)
OTHER = HOLDOUT.assign(ill=False)
ASKED = Table.of(pd.concat([TRAIN, HOLDOUT, OTHER], ignore_index=True), target="ill")
MEMBER = np.arange(400) < 200


def auc(made: pd.DataFrame) -> float:
    return float(roc_auc_score(MEMBER, -frequency_losses(ASKED, made)[:400]))


def test_columns_shuffled_each_by_itself_reveal_the_rows_and_fresh_rows_do_not():
    rng = np.random.default_rng(3)
    shuffled = TRAIN.apply(lambda column: rng.permutation(column.to_numpy()))
    assert auc(shuffled) == auc(TRAIN) > 0.9
    assert auc(FRESH) == pytest.approx(0.5, abs=0.1)


def test_each_class_is_compared_with_itself():
    losses = frequency_losses(ASKED, TRAIN)
    assert (losses[400:] == 0).all()  # no row of their class was made
    fewer = Table.of(pd.concat([TRAIN, HOLDOUT, OTHER[:9]], ignore_index=True), target="ill")
    assert frequency_losses(fewer, TRAIN)[:400] == pytest.approx(losses[:400])


def test_shares_of_made_rows_beside_those_of_the_other_rows():
    frame = pd.DataFrame({"kind": ["a", "a", "b", None, "a"], "ill": [True] * 4 + [False]})
    made = pd.DataFrame({"kind": ["a", "new"], "ill": [True, True]})
    of_a = (1 / 2 - 1 / 3) / (1 / 3 + 0.01)
    found = frequency_losses(Table.of(frame, target="ill"), made)
    # "new" is no level of the table, so it counts as missing, as the fourth row's cell does.
    assert found == pytest.approx([-of_a, -of_a, 0, -(1 / 2) / 0.01, 0])
