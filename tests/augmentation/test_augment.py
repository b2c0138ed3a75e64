"""The main job in code: how many rows, of which class, and what the joined table is."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from drawn import tables
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen.augmentation.amount import Addition, amounts
from synthgen.augmentation.augment import augment
from synthgen.augmentation.oversampler import Oversampler
from synthgen.augmentation.page import augmented_page
from synthgen.errors import DataError, UsageError
from synthgen.synthesizers.base import Synthesizer
from synthgen.synthesizers.bootstrap import SmoothedBootstrap
from synthgen.synthesizers.tvae import TVAE
from synthgen.tables.schema import Schema


def small(rows: int = 60, rare: int = 8) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "dose": np.round(rng.normal(50, 9, rows), 1),
            "ill": np.arange(rows) < rare,
            "sex": rng.choice(["f", "m"], rows),
        }
    )


def quick(frame: pd.DataFrame, target: Any = "ill", **more: Any):
    how: dict[str, Any] = {"synthesizer": "bootstrap", "random_state": 0}
    if "n_samples" not in more:
        how["ratio"] = "double"
    return augment(frame, target=target, **how | more)


def test_it_is_shown_in_twelve_lines_that_lead_with_the_new_rows():
    frame = small().assign(ill=[f"class {i % 9:03}" + "x" * 90 * (i % 9 == 1) for i in range(60)])
    for result in (
        quick(small()),
        quick(frame, labels=sorted(frame["ill"].unique())[:5]),
        augment(small(200, 40), target="ill", synthesizer="bootstrap", random_state=0),
    ):
        lines = repr(result).splitlines()
        assert len(lines) <= 12
        assert max(map(len, lines)) <= 100
        assert f"{sum(a.rows for a in result.additions):,} new rows of" in lines[0]
        assert result.to_json()["seed"] == 0


@pytest.mark.parametrize("found_rules", [True, False])
def test_new_rows_keep_what_all_rows_keep_unless_told_otherwise(found_rules: bool):
    rng = np.random.default_rng(0)
    net, tax = rng.uniform(100, 400, (2, 300)).round(2)
    frame = pd.DataFrame({"net": net, "tax": tax, "gross": (net + tax).round(2)})
    frame["ill"] = np.arange(300) < 60
    result = quick(frame, found_rules=found_rules)
    new = result.synthetic
    kept = np.isclose(new.net + new.tax, new.gross, atol=1e-6)
    told = result.guard[True]["found_rules"]
    assert (
        "satisfy the rules that all real rows satisfy: net + tax = gross" in augmented_page(result)
    ) == found_rules
    assert (kept.all(), told) == ((True, ["net + tax = gross"]) if found_rules else (False, []))
    X, y = frame.drop(columns="ill"), frame["ill"]
    oversampler = Oversampler("bootstrap", found_rules=found_rules, random_state=0)
    more = oversampler.fit_resample(X, y)[0][300:]
    assert np.isclose(more.net + more.tax, more.gross, atol=1e-6).all() == found_rules


# --- how many -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rare", "expected"),
    [
        (10, Addition("b", 290, "to 0.3 of the 1,000 rows of 'a'")),
        (149, Addition("b", 151, "to 0.3 of the 1,000 rows of 'a'")),
        (150, Addition("b", 150, "doubles its 150 rows")),
        (1000, Addition("b", 1000, "doubles its 1,000 rows")),
    ],
)
def test_of_a_model_the_larger_of_a_share_and_doubling(rare: int, expected: Addition):
    assert amounts({"a": 1000, "b": rare}, ["b"]) == [expected]


def test_ratio_counts_real_and_new_rows():
    assert amounts({"a": 10, "b": 1}, ["b"], ratio=0.3)[0].rows == 2
    assert amounts({"a": 10, "b": 1}, ["b"], ratio=2)[0].rows == 19


@pytest.mark.parametrize("ratio", [0, -1, float("nan"), float("inf"), True, "1"])
def test_a_ratio_that_is_none_is_refused(ratio: Any):
    with pytest.raises(
        UsageError, match="ratio must be a number above 0, 'auto' or 'double', not "
    ):
        amounts({"a": 10, "b": 2}, ["b"], ratio=ratio)


@pytest.mark.parametrize("rows", [0, -5, 2.7, "10", True])
def test_a_number_of_rows_that_is_none_is_refused(rows: Any):
    with pytest.raises(UsageError, match="must be a whole number from 1, not "):
        amounts({"a": 10, "b": 2}, ["b"], n_samples=rows)


# --- the joined table ---------------------------------------------------------------------------


def test_the_frame_is_not_changed_and_comes_first():
    frame = small()
    frame.index = pd.Index(np.arange(60) % 7)
    before = frame.copy(deep=True)
    result = quick(frame)
    pd.testing.assert_frame_equal(frame, before)
    pd.testing.assert_frame_equal(result.real, before.reset_index(drop=True))
    assert result.frame.index.equals(pd.RangeIndex(len(result.frame)))
    assert result.is_synthetic.tolist() == [False] * 60 + [True] * 8
    assert result.before == {False: 52, True: 8}
    assert result.after == {False: 52, True: 16}
    assert len(result.synthetic) == 8


def test_new_rows_are_those_of_sample():
    frame = small()
    result = quick(frame, n_samples=5)
    alone = SmoothedBootstrap().fit(frame[["dose", "sex"]], frame["ill"])
    expected = alone.sample(5, label=True, random_state=0)[list(frame.columns)]
    copies = expected.merge(frame.drop_duplicates(), how="left", indicator=True)["_merge"] == "both"
    kept = expected[~copies].reset_index(drop=True)
    assert 3 <= len(kept) < 5
    pd.testing.assert_frame_equal(result.synthetic[: len(kept)], kept)


def test_a_fitted_model_is_used_as_it_is():
    frame = small()
    model = SmoothedBootstrap().fit(frame[["dose", "sex"]], frame["ill"])
    result = augment(frame, "ill", model=model, random_state=0)
    assert result.synthesizer is model
    pd.testing.assert_frame_equal(result.frame, quick(frame).frame)


def test_a_given_synthesizer_is_not_changed():
    given = SmoothedBootstrap(bandwidth=0.1, random_state=5)
    params = given.get_params()
    result = quick(small(), synthesizer=given)
    assert result.synthesizer is not given
    assert given.get_params() == params
    assert result.synthesizer.get_params()["bandwidth"] == 0.1
    assert not hasattr(given, "schema_")


def test_names_of_any_kind():
    frame = small()
    frame.columns = pd.MultiIndex.from_tuples([("a", 1), ("b", 1), ("b", 2)])
    result = quick(frame, ("b", 1))
    assert result.frame.columns.equals(frame.columns)
    assert result.after[True] == 16


def test_a_label_is_found_by_its_text():
    assert quick(small(), labels=["True"]).additions[0].label is True


def test_the_rarest_class_is_taken_and_may_be_another_with_a_model():
    frame = small().assign(ill=np.repeat(["a", "b", "c"], [40, 12, 8]))
    assert quick(frame).additions[0].label == "c"
    model = SmoothedBootstrap(classes=["b"]).fit(frame[["dose", "sex"]], frame["ill"])
    assert augment(frame, "ill", model=model).additions[0].label == "b"


def test_without_seed_one_is_drawn_and_kept():
    first = quick(small(), random_state=None)
    again = quick(small(), random_state=first.seed)
    pd.testing.assert_frame_equal(first.frame, again.frame)
    assert quick(small(), random_state=None).seed != first.seed


# --- IDs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ids", "new"),
    [
        (np.arange(100, 160), [160, 161, 162]),
        (np.arange(68, 128, dtype="int8"), [65, 66, 67]),
        (2**63 - 1 - np.arange(60), [2**63 - 63, 2**63 - 62, 2**63 - 61]),
        ([f"p-{i}" for i in range(60)], [f"synthetic-00000{i}" for i in (1, 2, 3)]),
        ([f"synthetic-{i:06d}" for i in range(60)], [f"synthetic-0000{i}" for i in (60, 61, 62)]),
    ],
)
def test_new_ids_are_new_and_fit_the_dtype(ids: Any, new: list[Any]):
    frame = small().assign(case_id=ids)
    result = quick(frame, n_samples=3)
    assert result.schema["case_id"].kind == "id"
    assert result.frame["case_id"].is_unique
    assert result.frame["case_id"].dtype == frame["case_id"].dtype
    assert result.synthetic["case_id"].tolist() == new


def test_ids_that_lie_as_floats_are_new_whole_numbers():
    ids = np.arange(100.0, 160.0)
    ids[7] = np.nan
    frame = small().assign(case_id=ids)
    by_hand = Schema.infer(frame, target="ill")
    columns = [replace(c, kind="id") if c.name == "case_id" else c for c in by_hand.columns]
    result = quick(frame, n_samples=3, schema=Schema(tuple(columns), "ill"))
    assert result.synthetic["case_id"].tolist() == [160.0, 161.0, 162.0]
    assert result.frame["case_id"].dtype == np.float64


def test_ids_without_room_are_refused():
    frame = small(256, 20).assign(case_id=np.arange(-128, 128).astype("int8"))
    with pytest.raises(DataError, match=r"ID column 'case_id' \(int8\) has no room for 3 new IDs"):
        quick(frame, n_samples=3)


# --- the guard ----------------------------------------------------------------------------------


def test_rules_hold_in_every_new_row_and_what_they_refused_is_counted():
    rules = ["dose < 55", lambda f: f["sex"] == "f"]
    result = quick(small(200, 60), n_samples=100, rules=rules)
    assert (result.synthetic["dose"] < 55).all()
    assert (result.synthetic["sex"] == "f").all()
    found = result.summary()["guard"]["True"]
    assert found["near_copies"] == "allowed"  # of a bootstrap, whose rows are real ones, moved
    copied = {"copy of a training row"}
    assert set(found["refused"]) - copied == {"rule: dose < 55", "rule: <lambda>"}
    assert found["drawn"] >= 100 + sum(found["refused"].values())
    assert set(found["broken_by_real_rows"]) == {"dose < 55", "<lambda>"}


def test_a_networks_near_copies_are_refused():
    result = quick(small(100, 30), n_samples=10, synthesizer=TVAE(steps=3))
    assert result.guard[True]["near_copies"] == "refused"


class Unfit(Synthesizer):
    """Says when it is trained."""

    def _fit(self, *data: Any) -> None:
        raise AssertionError("trained before the rules were checked")

    def _sample(self, *how: Any) -> pd.DataFrame:
        raise AssertionError


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ("dose <", 251),
        ("__import__('os').system('true') > dose", 251),
        ("weight < 3", 252),
        ("dose < 'a'", 253),
        ("dose < 0", 254),
        (7, 251),
    ],
)
def test_a_rule_that_cannot_be_is_refused_before_training(rule: Any, code: int):
    with pytest.raises(UsageError) as caught:
        quick(small(), synthesizer=Unfit(), rules=[rule])
    assert caught.value.code == code


def test_limits_set_by_hand_hold_in_new_rows():
    frame = small(200, 60)
    schema = Schema.infer(frame, target="ill")
    columns = tuple(
        replace(c, lower=0.0, upper=100.0, decimals=0) if c.name == "dose" else c
        for c in schema.columns
    )
    frame["dose"] = frame["dose"].round()
    result = quick(frame, schema=replace(schema, columns=columns))
    assert (result.synthetic["dose"] % 1 == 0).all()


def test_limits_of_a_model_are_those_that_it_learned():
    frame = small(100, 30)
    table = frame[frame["dose"].between(45, 55) | (np.arange(100) < 3)]
    new = augment(table, "ill", model=fitted(frame), n_samples=200, random_state=0).synthetic
    assert new["dose"].max() > table["dose"].max() or new["dose"].min() < table["dose"].min()


# --- models and tables --------------------------------------------------------------------------


def fitted(frame: pd.DataFrame) -> Synthesizer:
    return SmoothedBootstrap().fit(frame.drop(columns="ill"), frame["ill"])


def test_a_model_takes_a_table_whose_dtype_also_has_missing_cells():
    frame = small().assign(visits=np.arange(60) // 7)
    wider = frame.astype({"visits": "Int64"})
    wider.loc[3, "visits"] = pd.NA
    result = augment(wider, "ill", model=fitted(frame), random_state=0)
    assert result.frame["visits"].dtype == "Int64"
    with pytest.raises(DataError, match="column 'visits' is int64, which has no missing cells"):
        augment(frame, "ill", model=fitted(wider), random_state=0)


@pytest.mark.filterwarnings("ignore:column .* is read as text")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="sex"), "column 'sex' is missing"),
        (lambda f: f.assign(more=1), "column 'more' is unknown to the model"),
        (
            lambda f: f.assign(dose=f["dose"].astype(str)),
            "column 'dose' is (object|str), the model learned float64",
        ),
        (
            lambda f: f.assign(ill=f["ill"].astype(int)),
            "column 'ill' is int64, the model learned bool",
        ),
    ],
)
def test_a_table_that_does_not_fit_the_model_is_refused(change: Any, message: str):
    with pytest.raises(DataError, match=f"the table does not fit the model: {message}"):
        augment(change(small()), "ill", model=fitted(small()), random_state=0)


def test_a_model_with_levels_that_the_table_lacks():
    frame = small().astype({"sex": "category"})
    model = SmoothedBootstrap(bandwidth=0).fit(frame[["dose", "sex"]], frame["ill"])
    fewer = frame[(frame["sex"] == "f") | frame["ill"]].astype({"sex": str})
    fewer["sex"] = pd.Categorical(["f"] * len(fewer), categories=["f"])
    result = augment(fewer, "ill", model=model, random_state=0)
    assert list(result.frame["sex"].cat.categories) == ["f", "m"]
    assert not result.frame["sex"].isna().any()


# --- generated tables ---------------------------------------------------------------------------


@settings(max_examples=40)
@given(tables(), st.integers(1, 40))
def test_any_table_comes_back_with_rows_inside_its_limits(drawn: Any, rows: int):
    frame, target = drawn
    before = frame.copy(deep=True)
    result = quick(frame, target, n_samples=rows)
    pd.testing.assert_frame_equal(frame, before)
    assert len(result.frame) == len(frame) + rows
    assert list(result.frame.columns) == list(frame.columns)
    assert list(result.frame.dtypes) == list(frame.dtypes)
    pd.testing.assert_frame_equal(result.frame.iloc[: len(frame)], frame.reset_index(drop=True))
    for place, column in enumerate(result.schema[name] for name in frame.columns):
        old, new = (f.iloc[:, place] for f in (frame, result.synthetic))
        if column.name == target:
            assert (new == result.additions[0].label).all()
        elif column.kind == "id":
            assert not set(new) & set(old)
        elif column.kind != "text":
            assert old.isna().any() or not new.isna().any()
            old, new = old.dropna(), new.dropna()
            if column.kind in ("categorical", "boolean", "constant"):
                assert set(new) <= set(old)
            elif len(new):
                assert old.min() <= new.min()
                assert new.max() <= old.max()
