"""The audit: known answers, on tables with one planted fault each."""

import io
import json
import random
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from drawn import tables
from hypothesis import given, settings
from sklearn.metrics import average_precision_score

from synthgen.auditing import advice, examine
from synthgen.auditing import leaks as audit_leaks
from synthgen.auditing import model as audit_model
from synthgen.auditing.audit import Audit, audit
from synthgen.auditing.drift import compare_audits
from synthgen.errors import DataError, UsageError
from synthgen.model_selection import ranking
from synthgen.report.gates import gate
from synthgen.synthesizers import base, network_fit
from synthgen.tables.column import Column
from synthgen.tables.schema import Schema


def table(rows: int = 1000, rare: int = 100, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    """Six columns, of which a and c tell a little; nothing to complain about."""
    rng = np.random.default_rng(seed)
    y = pd.Series(np.repeat(["no", "yes"], [rows - rare, rare]), name="ill")
    y = y.sample(frac=1, random_state=seed).reset_index(drop=True)
    is_rare = (y == "yes").to_numpy()
    frame = pd.DataFrame(
        {
            "a": rng.normal(size=rows) + is_rare,
            "b": rng.normal(size=rows),
            "c": np.where(rng.random(rows) < 0.3 + 0.2 * is_rare, "left", "right"),
            "d": rng.integers(0, 40, rows),
            "e": rng.choice(list("uvw"), rows),
            "f": rng.exponential(size=rows).round(3),
        }
    )
    return frame, y


def found(result: Audit, *codes: str) -> list[tuple[str, str | None]]:
    return [(f.code, f.column) for f in result.findings if not codes or f.code in codes]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that do not look at the model."""
    monkeypatch.setattr(audit_model, "AUDIT", {"max_iter": 2})
    monkeypatch.setattr(audit_model, "REPLICATES", 20)


LEAKS = ("leak_column", "leak_pair", "strong_column")


# --- the class and the paradox ------------------------------------------------------------------


@pytest.fixture(scope="module")
def plain() -> Audit:
    return audit(*table())


def test_a_clean_table_has_nothing_but_notes(plain: Audit):
    assert plain.counts["error"] == 0
    assert {f.code for f in plain.findings} <= {"accuracy", "hard_rows"}
    assert not found(plain, *LEAKS)


def test_class_and_always_no_are_exact(plain: Audit):
    assert (plain.target, plain.rows, plain.features) == ("ill", 1000, 6)
    assert plain.classes == (
        {"label": "no", "rows": 900, "share": 0.9},
        {"label": "yes", "rows": 100, "share": 0.1},
    )
    assert plain.ratio == 9
    assert plain.always_no == {"accuracy": 0.9, "balanced_accuracy": 0.5, "recall": 0.0}
    rare = plain.minority
    assert (rare.label, rare.rows, rare.share) == ("yes", 100, 0.1)
    assert (rare.duplicates, rare.distinct, rare.rows_per_feature) == (0, 100, 100 / 6)
    assert plain.model is not None
    assert plain.model.average_precision.reference == 0.1
    assert plain.model.accuracy.reference == 0.9
    assert plain.model.balanced_accuracy.reference == 0.5
    entropy = -(0.1 * np.log(0.1) + 0.9 * np.log(0.9))
    assert plain.model.log_loss.reference == pytest.approx(entropy)


def test_intervals_hold_their_values_and_balanced_accuracy_adds_up(plain: Audit):
    model = plain.model
    assert model is not None
    for name in ("accuracy", "balanced_accuracy", "recall", "average_precision", "roc_auc"):
        estimate = getattr(model, name)
        assert 0 <= estimate.low < estimate.value < estimate.high <= 1
    truth = (model.accuracy.value - 0.1 * model.recall.value) / 0.9
    assert model.balanced_accuracy.value == pytest.approx((model.recall.value + truth) / 2)
    # One column shifted by one standard deviation: AUC = Phi(1 / sqrt 2) = 0.76.
    assert model.roc_auc.low < 0.76 < model.roc_auc.high
    assert model.average_precision.low > 0.1


@pytest.mark.usefixtures("quick")
def test_another_class_can_be_looked_at():
    X, y = table()
    y = y.where(X["b"] < 0, "maybe")
    assert audit(X, y).minority.label == "yes"
    assert audit(X, y, label="maybe").minority.rows == (y == "maybe").sum()
    with pytest.raises(UsageError, match="label 'perhaps' is no class"):
        audit(X, y, label="perhaps")


@pytest.mark.parametrize(
    ("rare", "code", "says"),
    [
        (1, ("tiny_class", "no_model"), "one row is too few to train and to test on"),
        (9, ("tiny_class",), "fewer than 10 rows, no network is trained"),
        (10, (), "fewer than 200 rows none is held out"),
        (199, (), "fewer than 200 rows none is held out"),
        (200, (), "enough to train a network"),
    ],
)
def test_what_can_be_learned_from_so_many(rare: int, code: tuple[str, ...], says: str):
    result = audit(*table(1000, rare))
    assert says in result.minority.lesson
    assert [c for c, _ in found(result, "tiny_class", "no_model")] == list(code)
    assert (result.model is None) == (rare == 1)
    assert any("collect" in r["remedy"] for r in result.remedies) or rare >= 10


def test_the_thresholds_are_those_of_the_network():
    assert examine.NETWORK_ROWS == base.NETWORK_ROWS
    share, most = network_fit.HELD_OUT_SHARE, network_fit.HELD_OUT_MIN
    least = next(n for n in range(1000) if int(share * n) >= most)
    assert least == examine.EARLY_STOP_ROWS


# --- the figures --------------------------------------------------------------------------------


def test_the_interval_of_a_column_is_that_of_drawing_rows():
    rng = np.random.default_rng(0)
    y = rng.random(2000) < 0.1
    scores = np.round(rng.normal(size=2000) + y, 0)
    rows = audit_model.FoldedRows(np.arange(2000), y, np.where(y, 1.0, 3.0), np.zeros(2000, int))
    share = float(np.average(y, weights=rows.weight))
    found = audit_model.estimated_precision(scores, rows, share, np.random.SeedSequence(0))
    again = []
    for _ in range(1000):
        part = np.concatenate(
            [rng.choice(np.flatnonzero(side), int(side.sum())) for side in (y, ~y)]
        )
        again.append(ranking.average_precision(y[part], scores[part], rows.weight[part]))
    shift = found.value - np.mean(again)
    low, high = np.quantile(again, [0.025, 0.975]) + shift
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.1 * (high - low))
    assert found.value == pytest.approx(
        ranking.adjusted_precision(y, scores, rows.weight), abs=1e-3
    )
    assert found.value < average_precision_score(y, scores, sample_weight=rows.weight)


def test_scores_of_noise_have_the_share_of_the_class(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(audit_model, "REPLICATES", 20)
    rng, y = np.random.default_rng(0), np.arange(83) < 10
    rows = audit_model.FoldedRows(np.arange(83), y, np.ones(83), np.arange(83) % 5)
    root, found = np.random.SeedSequence(0), []
    for _ in range(200):
        model = audit_model.judge(rng.random(83), rows, 10 / 83, 83, root)
        found.append(model.average_precision.value)
    assert np.mean(found) == pytest.approx(10 / 83, abs=0.015)  # unadjusted: 0.163


def test_shuffled_labels_show_no_signal():
    X, y = table(2000, 200)
    for seed in range(3):
        shuffled = y.sample(frac=1, random_state=seed).reset_index(drop=True)
        result = audit(X, shuffled, random_state=seed)
        assert result.model is not None
        precision = result.model.average_precision
        assert precision.low <= 0.1 <= precision.high
        assert ("no_signal", None) in found(result)
        assert not found(result, *LEAKS, "too_easy", "missing_informative")
        hard, alarms = result.model.hard_share, result.model.false_alarms
        assert 0.35 < hard.value < 0.65
        assert hard.low < hard.reference == 0.5 < hard.high
        assert alarms.value == pytest.approx(9, rel=0.35)
        assert alarms.low < alarms.reference == 9 < alarms.high


def test_separable_data_are_too_easy():
    X, y = table()
    X["b"] += 6 * (y == "yes")
    X["f"] -= 20 * (y == "yes")
    result = audit(X, y)
    assert result.model is not None
    assert result.model.average_precision.value > 0.97
    assert ("too_easy", None) in found(result)
    assert result.model.hard_share.value == 0
    assert not result.model.lookalikes
    assert result.model.false_alarms.value < 0.1


def test_a_capped_sample_keeps_the_natural_shares(monkeypatch: pytest.MonkeyPatch):
    X, y = table(8000, 400)
    whole = audit(X, y)
    monkeypatch.setattr(examine, "MODEL_ROWS", 2000)
    monkeypatch.setattr(audit_leaks, "SCREEN_ROWS", 2000)
    part = audit(X, y)
    assert whole.model is not None
    assert part.model is not None
    assert (part.model.rows, part.model.sampled, whole.model.sampled) == (2000, True, False)
    assert ("sampled", None) in found(part)
    assert part.model.average_precision.reference == 0.05
    # Without weights the share among the 2,000 is 20 %, and AP about twice as high.
    low, high = whole.model.average_precision.low, whole.model.average_precision.high
    assert low - 0.03 < part.model.average_precision.value < high + 0.03
    assert part.model.log_loss.value < 0.25
    alone, alone_part = (r.columns[0]["average_precision"]["value"] for r in (whole, part))
    assert alone_part == pytest.approx(alone, abs=0.04)


# --- leaks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["number", "level", "missing", "date", "id", "rare value"])
def test_a_planted_leak_is_found_and_named(kind: str):
    X, y = table()
    rng, is_rare = np.random.default_rng(5), (y == "yes").to_numpy()
    X["leak"] = {
        "number": rng.normal(size=1000) + 9 * is_rare,
        "level": np.where(is_rare, "closed", rng.choice(["open", "new"], 1000)),
        "missing": np.where(is_rare, np.nan, rng.normal(size=1000)),
        "date": pd.Timestamp("2020-01-01")
        + pd.to_timedelta(rng.integers(0, 99, 1000) + 100 * is_rare, unit="D"),
        "id": 1 + np.argsort(np.argsort(is_rare + 0.5 * rng.random(1000))),
        "rare value": np.where(is_rare, 17, rng.integers(0, 17, 1000) * 2),
    }[kind]
    result = audit(X, y)
    assert found(result, *LEAKS) == [("leak_column", "leak")]
    assert result.findings[0].severity == "error"
    assert "column leak alone" in result.findings[0].message
    assert result.remedies[0]["remedy"] == "mend the table"
    facts = {c["name"]: c["average_precision"] for c in result.columns}
    assert facts.pop("leak")["low"] > 0.8
    assert all(0.05 < f["low"] < f["value"] < f["high"] < 0.5 for f in facts.values())


def test_a_noisy_leak_is_a_strong_column():
    X, y = table()
    flip = np.random.default_rng(5).random(1000) < 0.03
    X["outcome"] = np.where((y == "yes") ^ flip, "p", "q")
    assert found(audit(X, y), *LEAKS) == [("strong_column", "outcome")]


def test_columns_that_nothing_hangs_on_are_no_leak_in_small_tables():
    for seed in range(3):
        rng = np.random.default_rng(seed)
        X = pd.DataFrame(rng.normal(size=(60, 30)))
        assert not found(audit(X, [1] * 6 + [0] * 54), *LEAKS)


@pytest.mark.parametrize("kind", ["gap", "parity"])
def test_a_planted_pair_is_found_and_named(kind: str):
    X, y = table(2000, 300)
    rng, is_rare = np.random.default_rng(5), (y == "yes").to_numpy()
    if kind == "gap":  # the second after the first, or before
        X["start"] = rng.integers(0, 1000, 2000)
        X["end"] = X["start"] + rng.integers(1, 60, 2000) * np.where(is_rare, -1, 1)
    else:
        X["start"] = rng.choice(["in", "out"], 2000)
        X["end"] = np.where((X["start"] == "in") ^ is_rare, "in", "out")
    assert found(audit(X, y), *LEAKS) == [("leak_pair", "start, end")]


def test_of_few_columns_no_pair_is_blamed():
    X, y = table(2000, 300)
    X["b"] = np.where((X["c"] == "left") ^ (y == "yes"), "in", "out")
    assert found(audit(X[["b", "c", "d", "f"]], y), *LEAKS) == [("leak_pair", "b, c")]
    result = audit(X[["b", "c", "d"]], y)
    assert found(result, *LEAKS, "too_easy") == [("too_easy", None)]


# --- rows ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quick")
def test_classes_that_read_alike_are_named():
    X, y = table()
    y = y.astype(str).where(np.arange(len(y)) % 7 != 0, "yes ")
    y[:3] = "Yes"
    y[3:5] = "ye\u200bs"
    y[5:7] = "\uff59\uff45\uff53"  # full width
    with pytest.warns(UserWarning, match="differ only in case, spaces or invisible"):
        told = audit(X, y)
    (finding,) = [f for f in told.findings if f.code == "classes_alike"]
    assert "'Yes' (3 rows) and " in finding.message
    assert "'ye\\u200bs' (2 rows)" in finding.message
    assert len(finding.evidence) == 5
    assert not found(audit(*table()), "classes_alike")


def test_duplicates_and_contradictions_are_counted_exactly():
    X, y = table()
    rare, common = np.flatnonzero(y == "yes"), np.flatnonzero(y == "no")
    copies = np.concatenate([rare[:7], common[:5], common[:5]])
    liars = np.concatenate([rare[20:23], common[50:54]])
    X = pd.concat([X, X.iloc[copies], X.iloc[liars]], ignore_index=True)
    flipped = y.iloc[liars].map({"yes": "no", "no": "yes"})
    y = pd.concat([y, y.iloc[copies], flipped], ignore_index=True)
    X.insert(0, "key", np.random.default_rng(0).permutation(len(X)))  # an ID hides no copy
    result = audit(X, y)
    assert result.duplicates == {
        "rows": 17,
        "share": 17 / 1024,
        "contradictions": 7,
        "contradictory_rows": 14,
        "contradictory_rare_rows": 7,
    }
    assert (result.minority.rows, result.minority.distinct) == (111, 104)
    assert result.minority.duplicates == 7
    assert found(result, "duplicates", "contradictions", "id") == [
        ("id", "key"),
        ("duplicates", None),
        ("contradictions", None),
    ]


def test_copies_of_a_row_share_a_fold():
    X, y = table(600, 30)
    X, y = X[["b", "d", "f"]], y.sample(frac=1, random_state=1).reset_index(drop=True)  # noise only
    rare = np.flatnonzero(y == "yes")
    X = pd.concat([X, *[X.iloc[rare]] * 9], ignore_index=True)
    y = pd.concat([y, *[y.iloc[rare]] * 9], ignore_index=True)
    result = audit(X, y)
    assert ("copied_class", None) in found(result)
    assert result.model is not None
    assert result.model.roc_auc.value < 0.65  # 1.0 when a copy is on the other side


def test_rows_of_a_group_share_a_fold():
    """Visits of a patient are nearly equal, and nothing but the patient tells the class."""
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(120), 8)
    X = pd.DataFrame(rng.normal(size=(120, 4))[patient] + 0.01 * rng.normal(size=(960, 4)))
    y = np.where(rng.permutation(120)[patient] < 20, "yes", "no")
    known, honest = (audit(X, y, groups=groups).model for groups in (None, patient))
    assert known is not None
    assert honest is not None
    assert known.roc_auc.value > 0.95
    assert honest.roc_auc.value < 0.75
    with pytest.raises(DataError, match="groups has 959 rows and X has 960: give one for each"):
        audit(X, y, groups=patient[1:])


def test_coarse_columns_are_judged_row_by_row():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"ward": rng.choice(list("abcd"), 800), "sex": rng.choice(["f", "m"], 800)})
    y = np.where(rng.random(800) < np.where(X["ward"] == "a", 0.5, 0.02), "yes", "no")
    result = audit(X, y)
    assert result.model is not None
    assert result.model.average_precision.value > 0.3
    assert not found(result, "copied_class", "tiny_class")
    state = X.assign(ward=np.where(y == "yes", "closed", X["ward"]))[["ward"]]
    assert found(audit(state, y), *LEAKS) == [("leak_column", "ward")]


def test_hard_rows_are_those_with_swapped_labels():
    X, y = table()
    X["a"] += 4 * (y == "yes")
    swapped = np.flatnonzero(y == "no")[:12]
    y.iloc[swapped] = "yes"
    result = audit(X, y)
    assert result.model is not None
    assert set(result.model.hard_rows) <= set(swapped.tolist())
    assert len(result.model.hard_rows) >= 3
    y.iloc[swapped] = "no"  # and now some of the class without their label
    unlabelled = np.flatnonzero(y == "yes")[:12]
    y.iloc[unlabelled] = "no"
    result = audit(X, y)
    assert result.model is not None
    # Half of them score as high as half of the class, and few others do.
    true = set(result.model.lookalikes) & set(unlabelled.tolist())
    assert len(true) >= 3
    assert len(true) >= 0.7 * len(result.model.lookalikes)


# --- columns ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quick")
def test_what_is_odd_about_columns():
    X, y = table()
    rng = np.random.default_rng(7)
    words = ["the", "patient", "came", "back", "late", "with", "more", "pain"]
    X["fixed"] = "same"
    X["empty"] = np.nan
    X["almost"] = np.where(np.arange(1000) < 995, 0.0, rng.normal(size=1000))
    X["not quite"] = np.where(np.arange(1000) < 994, 0.0, rng.normal(size=1000))
    X["patient_id"] = rng.integers(0, 300, 1000)
    X["number"] = np.arange(1000) + 5
    X["token"] = [f"x{i:05d}" for i in rng.permutation(1000)]
    X["big"] = rng.choice(10**9, 1000, replace=False)
    X["note"] = [" ".join(rng.choice(words, 6)) + f" {i}" for i in range(1000)]
    X["month"] = rng.integers(1, 13, 1000)
    X["flag"] = rng.integers(0, 2, 1000)
    X["place"] = [f"p{i}" for i in rng.integers(0, 60, 1000)]
    X["half"] = np.where(rng.random(1000) < 0.6, np.nan, rng.normal(size=1000))
    result = audit(X, y)
    assert not found(result, *LEAKS)
    named = {(code, column) for code, column in found(result) if column is not None}
    assert named == {
        ("constant", "fixed"),
        ("all_missing", "empty"),
        ("near_constant", "almost"),
        ("entity", "patient_id"),
        ("id", "number"),
        ("id", "token"),
        ("id_like", "big"),
        ("text", "note"),
        ("codes", "month"),
        ("codes", "flag"),
        ("many_levels", "place"),
        ("missing", "half"),
    }
    facts = {c["name"]: c for c in result.columns}
    assert facts["empty"]["missing_rows"] == 1000
    assert facts["empty"]["distinct"] == 0
    assert facts["almost"]["top_share"] == 0.995
    assert facts["fixed"]["average_precision"] is None
    assert "name that suggests codes" in next(
        f.message for f in result.findings if f.column == "month"
    )


@pytest.mark.filterwarnings("ignore:column .* is read as text")
@pytest.mark.usefixtures("quick")
def test_numbers_and_dates_that_became_text_are_noted():
    X, y = table()
    X["dose"] = [f"{k % 30}.5" for k in range(1000)]
    X["seen"] = [f"2024-05-{k % 28 + 1:02d}" for k in range(1000)]
    X.loc[17, "dose"] = "12 mg"
    X.loc[900, "seen"] = "soon"
    said = {f.code: f.message for f in audit(X, y).findings}
    assert "most cells look like numbers, but not row 17: '12 mg'" in said["numbers_as_text"]
    assert "most cells look like dates, but not row 900: 'soon'" in said["dates_as_text"]
    assert not found(audit(*table()), "numbers_as_text", "dates_as_text")


@pytest.mark.usefixtures("quick")
def test_levels_in_few_rows_are_counted():
    X, y = table()
    X["e"] = ["odd"] * 4 + ["rare"] * 5 + X["e"].tolist()[9:]
    few = [f for f in audit(X, y).findings if f.code == "many_levels"]
    assert [f.evidence for f in few] == [{"levels": 5, "rare_levels": 1}]
    said = few[0].message
    assert said.endswith("5 categories, 1 of them in fewer than 5 rows: merge it with another")
    X.loc[900:903, "e"] = "odder"
    said = next(f.message for f in audit(X, y).findings if f.code == "many_levels")
    assert said.endswith("6 categories, 2 of them in fewer than 5 rows: merge those")


@pytest.mark.usefixtures("quick")
def test_missing_that_tells_the_class():
    X, y = table()
    rng, is_rare = np.random.default_rng(3), (y == "yes").to_numpy()
    X["a"] = X["a"].where(rng.random(1000) > np.where(is_rare, 0.4, 0.1))
    X["b"] = X["b"].where(rng.random(1000) > 0.15)
    X["c"] = X["c"].where(rng.random(1000) > 0.15)
    result = audit(X, y)
    assert found(result, "missing_informative") == [("missing_informative", "a")]
    evidence = next(f.evidence for f in result.findings if f.code == "missing_informative")
    assert evidence["share_missing"] == is_rare[X["a"].isna()].mean()
    assert evidence["share_present"] == is_rare[X["a"].notna()].mean()


@pytest.mark.parametrize(
    "now", [datetime(2024, 6, 1), datetime(2024, 6, 1, 2, tzinfo=UTC), pd.Timestamp("2024-06-01")]
)
@pytest.mark.parametrize("dtype", ["ns", "s", "zone", "objects"])
@pytest.mark.usefixtures("quick")
def test_dates_in_the_future(dtype: str, now: datetime):
    X, y = table()
    days = pd.Series(pd.date_range("2023-01-01", periods=365).to_numpy().repeat(3)[:1000])
    X["visit"] = days
    X["planned"] = days.where(days.index != 17, pd.Timestamp("2024-06-02")).where(
        days.index != 400, pd.Timestamp("2200-01-01")
    )
    for name in ("visit", "planned"):
        if dtype == "objects":
            X[name] = X[name].dt.date.where(X.index != 400, date(9999, 1, 1))
        elif dtype == "zone":
            X[name] = X[name].dt.tz_localize("America/New_York")
        else:
            X[name] = X[name].astype(np.dtype(f"datetime64[{dtype}]"))
    X["waited"] = pd.to_timedelta(np.arange(1000) % 90, unit="D")
    result = audit(X, y, now=now)
    late = {f.column: f.evidence["rows"] for f in result.findings if f.code == "future_date"}
    assert late == ({"visit": 1, "planned": 2} if dtype == "objects" else {"planned": 2})
    assert not found(audit(X, y, now=datetime(9999, 12, 31)), "future_date")


# --- any table ----------------------------------------------------------------------------------


def any_kinds() -> tuple[pd.DataFrame, pd.Series]:
    X, y = table(200, 40)
    X = X.set_index(pd.Index([f"r{i}" for i in range(200)]))
    y.index = X.index
    X["Int64"] = pd.array([None, *range(199)], dtype="Int64")
    X["huge"] = np.random.default_rng(0).uniform(-1, 1, 200) * 1.7e308
    X["ends"] = np.where(np.arange(200) % 2, np.iinfo(np.int64).max, np.iinfo(np.int64).min)
    X["boolean"] = pd.array([True, False, None, True] * 50, dtype="boolean")
    X["category"] = pd.Categorical(["x", None] * 100, categories=["z", "y", "x"], ordered=True)
    X["mixed"] = [1, "a", None, 2.5] * 50
    X["arrow"] = pd.array(["k", None] * 100, dtype="string[pyarrow]")
    X[("a", 1)] = pd.Series([pd.Interval(i, i + 1) for i in range(4)] * 50, X.index, object)
    X[3] = pd.date_range("2020", periods=200, tz="Asia/Tokyo")
    return X, y


def test_every_kind_of_column_is_taken_and_nothing_is_changed():
    X, y = any_kinds()
    before = X.copy(deep=True), y.copy(deep=True)
    result = audit(X, y)
    pd.testing.assert_frame_equal(X, before[0])
    pd.testing.assert_series_equal(y, before[1])
    assert [c["name"] for c in result.columns] == [str(c) for c in X.columns]
    assert result.model is not None
    text = json.dumps(result.to_json(), allow_nan=False)
    assert json.loads(text) == result.to_json()


def test_same_seed_same_audit_and_global_states_untouched():
    X, y = any_kinds()
    X["a"] += 2 * (y == "yes")

    def states() -> list[Any]:
        return [
            random.getstate(),
            str(np.random.get_state()),  # noqa: NPY002 - to see that nobody touched it
            torch.get_rng_state().tolist(),
        ]

    before = states()
    first, again, other = (audit(X, y, random_state=seed) for seed in (1, 1, 2))
    assert states() == before
    assert first == again
    assert first.to_json() != other.to_json()
    assert first.classes == other.classes


@pytest.mark.parametrize(
    ("X", "y"),
    [
        (np.arange(40.0).reshape(20, 2), [0] * 19 + [1]),
        (pd.DataFrame({"a": [1, 2]}), ["x", "y"]),
        (pd.DataFrame({"id": range(50)}), ["x", "y"] * 25),
        (pd.DataFrame({"a": [0] * 50}), ["x", "y"] * 25),
        (pd.DataFrame({"a": [None] * 50}), ["x", "y"] * 25),
        (pd.DataFrame({"a": [0, 1] * 25}), ["x", "y"] * 25),
        (pd.DataFrame({"a": np.arange(50) % 7}), [*"xyyyy"] * 10),
    ],
)
def test_small_and_empty_tables_end_well(X: Any, y: Any):
    result = audit(X, y)
    assert result.note_lines()
    json.dumps(result.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("X", "y", "code"),
    [
        (pd.DataFrame({"a": [1.0, np.inf]}), [0, 1], 344),
        (pd.DataFrame({"a": [1.0, 2.0]}), [0, 0], 341),
        (pd.DataFrame({"a": [1.0, 2.0]}), [0, None], 339),
        (pd.DataFrame({"a": [1.0, 2.0]}), [0, 1, 1], 334),
        (pd.DataFrame({"a": []}), [], 336),
    ],
)
def test_what_is_no_table_is_refused(X: pd.DataFrame, y: list, code: int):
    with pytest.raises(DataError) as caught:
        audit(X, y)
    assert caught.value.code == code


@pytest.mark.usefixtures("quick")
def test_the_schema_decides():
    X, y = table()
    given = Schema((Column("d", "categorical", X["d"].dtype),))
    facts = {c["name"]: c["kind"] for c in audit(X, y, schema=given).columns}
    assert facts["d"] == "categorical"


def test_seeds_that_are_none_are_refused():
    with pytest.raises(UsageError, match="random_state"):
        audit(*table(100, 20), random_state=-1)


# --- what it says -------------------------------------------------------------------------------


def test_summary_and_json_are_stable(plain: Audit):
    lines = plain.note_lines()
    size = (
        "1,000 rows, 6 features, 2 classes; 'yes' has 100 rows (10.000%), one for every 9.0 of the "
        "most frequent class."
    )
    assert lines[0] == size
    assert any("Never predicting 'yes' is right in 90.000%" in line for line in lines)
    assert any(line.startswith("try: average several classifiers") for line in lines)
    assert any(
        line.startswith("try: move the threshold: at 0.5 the quick model finds ") for line in lines
    )
    report = plain.to_json()
    assert list(report) == [
        *("recommendation", "target", "rows", "features", "classes", "ratio", "minority"),
        *("always_no", "model"),
        *("duplicates", "columns", "counts", "findings", "remedies"),
    ]
    assert list(report["minority"]) == [
        *("label", "rows", "share", "duplicates", "distinct", "rows_per_feature", "lesson"),
    ]
    assert gate(report, "minority.rows>=100")
    assert gate(report, "counts.error==0")
    assert gate(report, "model.average_precision.low>0.1")
    assert not gate(audit(*table(100, 1)).to_json(), "model.average_precision.low>0.1")


def test_balanced_classes_need_no_rows():
    result = audit(*table(400, 200))
    usual = ["average several classifiers", "move the threshold"]
    assert [r["remedy"] for r in result.remedies][-2:] == usual
    assert {r["remedy"] for r in result.remedies} <= {"look at the hard rows", *usual}


def test_remedies_answer_what_was_found(plain: Audit):
    usual = [
        "average several classifiers",
        "move the threshold",
        "class weights or copies",
        "synthetic rows",
    ]
    assert [r["remedy"] for r in plain.remedies][-4:] == usual
    X, y = table()
    easy = audit(X.assign(a=X["a"] + 4 * (y == "yes"), b=X["b"] + 4 * (y == "yes")), y)
    assert [r["remedy"] for r in easy.remedies] == [
        "mend the table",
        "leave the rows as they are",
        *usual,
    ]
    noise = y.sample(frac=1, random_state=1).reset_index(drop=True)
    assert audit(X, noise).remedies[0]["remedy"] == "collect rows or columns"
    assert "hard_rows" in {f.code for f in plain.findings}
    assert plain.remedies[0]["remedy"] == "look at the hard rows"
    few = audit(*table(1000, 9)).remedies
    assert few[0]["remedy"] == "collect rows or columns"
    assert few[-1]["why"].startswith(
        "with fewer than 10 rows of the class, new rows are only resampled"
    )


def test_false_alarms_stand_beside_those_of_guessing(plain: Audit):
    why = {r["remedy"]: r["why"] for r in plain.remedies}["move the threshold"]
    assert "false alarms for each hit (guessing: 9.0)" in why or "(guessing: 9)" in why
    assert why.endswith("That needs neither new rows nor a new model")
    X, y = table()
    noise = y.sample(frac=1, random_state=1).reset_index(drop=True)
    why = {r["remedy"]: r["why"] for r in audit(X, noise).remedies}["move the threshold"]
    assert "(guessing: 9" in why
    assert why.endswith("it hardly beats guessing, so a lower threshold alone is not enough")
    assert "neither new rows nor a new model" not in why


def test_synthetic_rows_are_not_advised_for_a_better_ranking(plain: Audit):
    """On tables that had no say in any choice, they lost average precision."""
    why = {r["remedy"]: r["why"] for r in plain.remedies}
    assert "not to rank better" in why["synthetic rows"]
    assert "average precision of boosting by 0.028" in why["synthetic rows"]
    assert "synthgen auto" in why["average several classifiers"]
    said = " ".join([*plain.note_lines(), advice.__doc__ or ""])
    assert "30 %" not in said
    assert "+0.03" not in said


def test_a_terminal_sees_what_is_being_measured(monkeypatch: pytest.MonkeyPatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    for verbose in (False, True):
        seen = Terminal()
        monkeypatch.setattr("sys.stderr", seen)
        audit(*table(), verbose=verbose)
        assert ("training a quick model" in seen.getvalue()) == verbose
        assert ("looking for leaks" in seen.getvalue()) == verbose


def test_it_is_shown_in_twelve_lines_that_lead_with_what_to_do(plain: Audit):
    X, y = table()
    worst = audit(X.assign(leak=y, **{f"c{k}": 7 for k in range(20)}), y)
    for result in (plain, worst):
        lines = repr(result).splitlines()
        assert len(lines) <= 12
        assert max(map(len, lines)) <= 100
        assert " ".join(lines).startswith(result.recommendation.text)
    assert plain.recommendation.action == "use auto"
    assert "synthetic rows did not" in plain.recommendation.certainty
    assert worst.recommendation.action == "mend"
    assert "column leak alone predicts the class" in worst.recommendation.text
    assert "and 20 more: see to_frame()" in repr(worst)
    frame = worst.to_frame()
    assert list(frame) == ["severity", "code", "column", "message"]
    assert len(frame) == len(worst.findings)
    assert frame["code"][0] == "leak_column"


@pytest.mark.usefixtures("quick")
def test_both_styles_of_call_find_the_same():
    X, y = table()
    frame = X.assign(ill=y)
    assert audit(X, y) == audit(frame, target="ill")
    with pytest.raises(UsageError):
        audit(X, y, target="ill")
    with pytest.raises(UsageError):
        audit(frame)


@pytest.mark.usefixtures("quick")
def test_the_schema_is_inferred_once(monkeypatch: pytest.MonkeyPatch):
    infer, calls = Schema.infer, []

    def counted(*args: Any, **given: Any) -> Schema:
        calls.append(1)
        return infer(*args, **given)

    monkeypatch.setattr(Schema, "infer", counted)
    audit(*table())
    assert len(calls) == 1


@settings(max_examples=25)
@given(tables())
def test_any_table_is_audited(drawn: Any):
    frame, target = drawn
    before = frame.copy(deep=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audit_model, "AUDIT", {"max_iter": 2})
        patch.setattr(audit_model, "REPLICATES", 10)
        place = [c == target for c in frame.columns].index(True)
        X = frame.iloc[:, [i for i in range(frame.shape[1]) if i != place]]
        result = audit(X, frame.iloc[:, place])
    pd.testing.assert_frame_equal(frame, before)
    assert sum(c["rows"] for c in result.classes) == result.rows == len(frame)
    assert [c["name"] for c in result.columns] == [str(c) for c in X.columns]
    assert [c["missing_rows"] for c in result.columns] == X.isna().sum().tolist()
    assert result.minority.duplicates == result.minority.rows - result.minority.distinct
    text = json.dumps(result.to_json(), allow_nan=False)
    assert compare_audits(json.loads(text), result).differences == 0


# --- two deliveries -----------------------------------------------------------------------------


@pytest.mark.usefixtures("quick")
def test_two_samples_of_one_source_show_no_drift():
    drifts = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        first, second = (
            audit(
                pd.DataFrame(
                    {"a": np.where(rng.random(n) < 0.2, np.nan, 1.0), "b": [1, 2] * (n // 2)}
                ),
                np.where(rng.random(n) < 0.1, "yes", "no"),
            )
            for n in (1000, 600)
        )
        drifts += compare_audits(first.to_json(), second).differences
    assert drifts <= 2  # 5 % of 20, and luck


@pytest.mark.usefixtures("quick")
def test_drift_is_found_and_named():
    X, y = table()
    old = json.loads(json.dumps(audit(X, y).to_json()))
    X2, y2 = table(1000, 200, seed=1)
    X2["c"] = X2["c"].where(np.arange(1000) % 10 > 0)
    X2["d"] = X2["d"] + 0.5
    X2 = X2.drop(columns="e").assign(g=X2["b"] ** 2)
    drift = compare_audits(old, audit(X2, y2))
    assert [s.name for s in drift.classes if s.drifted] == ["no", "yes"]
    share = drift.classes[1]
    assert (share.old, share.new) == (0.1, 0.2)
    assert 0 < share.low < 0.1 < share.high < 0.15
    assert [s.name for s in drift.missing if s.drifted] == ["c"]
    assert (drift.new_columns, drift.vanished_columns) == (("g",), ("e",))
    assert drift.kinds == ({"name": "d", "old": "integer", "new": "numeric"},)
    assert drift.differences == 6
    assert len(drift.summary_lines()) == 7
    assert drift.summary_lines()[2].endswith("%): drift")
    same = compare_audits(old, audit(X, y)).summary_lines()
    assert same[2].startswith("class yes: 10.000% before, 10.000% now (difference -")
    assert same[2].endswith("no drift is shown")
    assert json.loads(json.dumps(drift.to_json())) == drift.to_json()
    assert compare_audits(old, audit(X, y)).differences == 0


@pytest.mark.usefixtures("quick")
def test_a_class_that_comes_or_goes_is_drift():
    X, y = table()
    more = y.where(X["b"] < 1, "maybe")
    two, three = audit(X, y), audit(X, more)
    for old, new in ((two, three), (three, two)):
        drift = compare_audits(old.to_json(), new)
        assert "maybe" in [s.name for s in drift.classes if s.drifted]


@pytest.mark.parametrize(
    "old",
    [
        {},
        {"rows": 3, "classes": [], "columns": []},
        {"rows": "many", "classes": [], "columns": []},
        {"rows": 3, "classes": {"a": 3}, "columns": []},
        {"rows": 3, "classes": [{"label": "a", "rows": 2}], "columns": []},
        {"rows": 2, "classes": [{"label": "a", "rows": 2}], "columns": [{"name": "x"}]},
        [],
    ],
)
def test_what_is_no_audit_is_refused(plain: Audit, old: Any):
    with pytest.raises(UsageError, match="the old audit cannot be read") as caught:
        compare_audits(old, plain)
    assert caught.value.code == 293
