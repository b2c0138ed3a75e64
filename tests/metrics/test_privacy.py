"""Privacy: what is known to leak is caught, and what cannot leak is not."""

from __future__ import annotations

import math
from functools import cache
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import torch
from checks import mixed
from imblearn.over_sampling import SMOTE
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score

from synthgen.errors import UsageError
from synthgen.metrics import attacks, verdicts
from synthgen.metrics import privacy as privacy_module
from synthgen.metrics.attacks import attack_folds, on_lines, share_found
from synthgen.metrics.privacy import nearness, privacy
from synthgen.metrics.privacy_rows import (
    counted_columns,
    interval_of_worst,
    percentile_interval,
    samples_of,
)
from synthgen.metrics.score import Part, Score
from synthgen.model_selection.intervals import wilson
from synthgen.seeds import seed_sequence
from synthgen.tables.table import Table

CPU = torch.device("cpu")
QUANTILES = ("distance_q05", "distance_median")
DISTANCES = ("copies", "near_copies", "memorised", "nndr", "distance_q05", "nearer_to_train")


def measured(
    train: pd.DataFrame, synthetic: pd.DataFrame, holdout: pd.DataFrame, seed: int = 0
) -> Part:
    known = Table.of(train)
    others = (Table(f.reset_index(drop=True), known.schema) for f in (synthetic, holdout))
    made, other = others
    return privacy(known, made, other, group="rare", random_state=seed, device="cpu")


def named(part: Part) -> dict[str, Score]:
    return {score.name.removeprefix("privacy."): score for score in part.scores}


def near(
    train: pd.DataFrame, synthetic: pd.DataFrame, holdout: pd.DataFrame, seed: int = 0
) -> dict[str, Score]:
    """The scores that need no attack, which take the time."""
    known = Table.of(train)
    tables = [known, Table(synthetic, known.schema), Table(holdout, known.schema)]
    real, made, other = samples_of(counted_columns(*tables)[0], tables, CPU)
    scores, _, _ = nearness(real, made, other, "rare", seed_sequence(seed))
    return named(Part(scores))


@cache
def malignant(seed: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Three times 40 rows of 30 numbers, with no row in two."""
    X, y = cast(Any, load_breast_cancer(return_X_y=True, as_frame=True))
    rows = X[y == 0]
    order = np.random.default_rng(seed).permutation(len(rows))
    one, two, three = (rows.iloc[order[i : i + 40]].reset_index(drop=True) for i in (0, 40, 80))
    return one, two, three


def smote(rows: pd.DataFrame, wanted: int) -> pd.DataFrame:
    other = pd.concat([rows * 0] * (1 + wanted // len(rows)), ignore_index=True)
    X = pd.concat([rows, other.iloc[:wanted], rows * 0], ignore_index=True)
    y = np.arange(len(X)) < len(rows)
    made, label = cast(Any, SMOTE(random_state=0).fit_resample(X, y))
    return made[np.asarray(label)].iloc[len(rows) :].reset_index(drop=True)


@cache
def result(kind: str, seed: int = 0) -> Part:
    train, holdout, fresh = malignant(seed)
    rng = np.random.default_rng(seed)
    made = {
        "copies": lambda: train,
        "fresh": lambda: fresh,
        "noise": lambda: train + 0.01 * train.std().to_numpy() * rng.normal(size=train.shape),
        "smote": lambda: smote(train, 500),
    }[kind]()
    return measured(train, made, holdout, seed)


# --- known answers ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["copies", "noise", "smote"])
def test_what_copies_training_rows_is_caught(kind: str):
    scores = named(result(kind))
    caught = 0.9 if kind == "smote" else 0.99
    assert scores["mia_auc"].value >= caught
    interval = scores["mia_excess"].interval
    assert interval is not None
    assert scores["mia_excess"].value > 0.2
    assert interval[0] > 0.12  # the gate that is proposed
    assert scores["mia_distance_auc"].value >= caught
    assert scores["mia_density_auc"].value >= caught
    assert scores["mia_classifier_auc"].value > 0.65
    assert scores["mia_tpr_at_1"].value > 0.8
    assert scores["nearer_to_train"].value > 0.9
    for name in DISTANCES:
        score, reference = scores[name], scores[name].reference
        if name == "copies" and kind != "copies":
            continue
        assert reference is not None
        assert score.interval is not None
        low, high = score.interval
        assert not low <= reference <= high, name
        assert (score.value > reference) == (score.better == "lower" or name[:6] == "nearer"), name


def test_copies_have_extreme_values():
    scores = named(result("copies"))
    for name in ("copies", "near_copies", "memorised", "nearer_to_train", "mia_auc"):
        assert scores[name].value == 1
        assert scores[name].reference != 1
    for name in ("nndr", "distance_q05", "distance_median"):
        assert scores[name].value == 0


def test_lines_recover_what_smote_interpolates():
    assert named(result("smote"))["mia_line_auc"].value >= 0.95
    assert named(result("copies"))["mia_line_auc"].value < 0.7  # no line in them


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_fresh_real_rows_pass(seed: int):
    scores = named(result("fresh", seed))
    for name, target in (
        ("mia_excess", 0),
        ("nearer_to_train", 0.5),
        ("mia_distance_auc", 0.5),
        ("mia_density_auc", 0.5),
    ):
        interval = scores[name].interval
        assert interval is not None
        assert interval[0] <= target <= interval[1], name
    assert abs(scores["mia_excess"].value) < 0.12
    assert scores["copies"].value == 0
    assert scores["near_copies"].value <= 0.1
    assert scores["memorised"].value == 0


@pytest.mark.parametrize("together", [0.0, 0.5, 0.95])
def test_the_interval_of_the_worst_allows_for_its_having_been_picked(together: float):
    """The lower end is above the highest true score in at most 2.5 % of worlds, with ten scores."""
    rng = np.random.default_rng(0)

    def errors(*shape: int) -> np.ndarray:
        own, common = rng.normal(size=(*shape, 10)), rng.normal(size=(*shape, 1))
        return 0.03 * (math.sqrt(1 - together) * own + math.sqrt(together) * common)

    true, worlds = np.array([0.1] * 8 + [0.2, 0.2]), 600
    above = alone = below = 0
    for values in true + errors(worlds):
        drawn = (values + errors(300)).T
        low, high = interval_of_worst(values, drawn)
        above += low > 0.2
        below += high < 0.2
        alone += percentile_interval(drawn[values.argmax()])[0] > 0.2
    assert above / worlds < 0.04  # 2.5 % and two standard errors
    assert below / worlds < 0.04
    assert above < alone
    caught = interval_of_worst(true + 0.3, true[:, None] + 0.3 + errors(300).T)
    assert 0.37 < caught[0] < 0.45


def test_intervals_hold_half_for_fresh_rows():
    """Twenty triples of 40 rows; of a right 95 % interval 19 are expected."""
    held = 0
    for seed in range(20):
        train, holdout, fresh = malignant(seed)
        interval = near(train, fresh, holdout, seed)["nearer_to_train"].interval
        assert interval is not None
        held += interval[0] <= 0.5 <= interval[1]
    assert held >= 17


@pytest.mark.parametrize("sizes", [(400, 400, 400), (1500, 400, 400), (400, 1500, 2000)])
@pytest.mark.parametrize("spread", [1.0, 2.0])
def test_lognormal_triples_stay_near_a_half(sizes: tuple[int, int, int], spread: float):
    """A scale learned on the training rows alone, or the least and greatest value, fails here."""
    for seed in range(4):
        rng = np.random.default_rng(seed)
        train, made, holdout = (
            pd.DataFrame(rng.lognormal(0, spread, (n, 3)), columns=list("abc")) for n in sizes
        )
        scores = near(train, made, holdout, seed)
        assert abs(scores["nearer_to_train"].value - 0.5) <= 0.1
        assert scores["near_copies"].value <= 0.05
        assert scores["nndr"].value == pytest.approx(scores["nndr"].reference, abs=0.05)


def test_many_rows_near_one_record_are_one_vote():
    train, holdout, _ = malignant(0)
    twins = pd.concat([train[:1]] * 300, ignore_index=True)
    score = near(train, twins, holdout)["nearer_to_train"]
    assert score.value == 1
    assert score.interval is not None
    assert score.interval[0] < 0.25


def test_a_larger_train_shows_fewer_of_its_copies():
    rng = np.random.default_rng(0)
    train, holdout = (
        pd.DataFrame(rng.normal(size=(n, 4)), columns=list("abcd")) for n in (200, 50)
    )
    score = near(train, train, holdout)["nearer_to_train"]
    assert score.floor == 0.625
    assert score.value == pytest.approx(score.floor, abs=0.03)
    assert near(train, train, train.copy())["nearer_to_train"].floor == 1


def test_the_reference_of_the_nearer_side_is_measured():
    rng = np.random.default_rng(0)
    train, made, holdout = (
        pd.DataFrame(rng.normal(size=(n, 4)), columns=list("abcd")) for n in (300, 120, 200)
    )
    score = near(train, made, holdout)["nearer_to_train"]
    assert score.reference == pytest.approx(0.5, abs=0.06)
    assert score.reference != 0.5
    assert "120 rows of train instead of synthetic ones" in score.note
    # Where the holdout is of other rows, new rows of the kind of train are nearer to train too.
    drifted = near(train, made, holdout + 2)["nearer_to_train"]
    assert drifted.reference == pytest.approx(drifted.value, abs=0.05)
    assert drifted.reference is not None
    assert drifted.reference > 0.8
    lonely = near(train[:1], made, holdout)["nearer_to_train"]
    assert lonely.reference == 0.5
    assert "by definition" in lonely.note


@pytest.mark.parametrize(
    ("sizes", "wanted", "fresh"),
    [((40, 40), 40, 40), ((90, 40), 60, 60), ((40, 40), 500, 30), ((2, 2), 9, 1)],
)
def test_real_rows_in_the_place_of_synthetic_ones_are_as_many_and_on_no_side(
    sizes: tuple[int, int], wanted: int, fresh: int
):
    rows = min(sizes)
    folds = attack_folds(*sizes, rows, wanted, min(4, rows), np.random.default_rng(0))
    for side in ("members", "outsiders"):
        asked = np.concatenate([getattr(fold, side) for fold in folds])
        assert sorted(asked) == list(range(rows))
    for fold in folds:
        mine, theirs = [*fold.members, *fold.mine], [*fold.outsiders, *fold.theirs, *fold.known]
        assert len(set(mine)) == len(mine)
        assert len(set(theirs)) == len(theirs)
        assert len(fold.mine) + len(fold.theirs) == fresh
        assert len(fold.known) >= 1


def test_ties_count_half():
    frame = pd.DataFrame({"kind": list("aabbccdd") * 10, "other": list("xyxyxyyx") * 10})
    scores = near(frame, frame, frame)
    assert scores["nearer_to_train"].value == 0.5
    assert scores["copies"].value == scores["copies"].reference == 1


# --- tables -------------------------------------------------------------------------------------


def thirds(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    one, two, three = (frame.iloc[i::3].reset_index(drop=True) for i in range(3))
    return one, two, three


def test_order_index_and_dtype_do_not_matter():
    frame = mixed(72)[0].drop(columns=["always", "never"])
    train, made, holdout = thirds(frame)
    before = made.copy(deep=True)
    expected = measured(train, made, holdout)
    pd.testing.assert_frame_equal(made, before)
    rng = np.random.default_rng(5)

    def other(rows: pd.DataFrame) -> pd.DataFrame:
        rows = rows.iloc[rng.permutation(len(rows)), ::-1]
        rows.index = pd.Index([f"row {i}" for i in rng.permutation(len(rows))])
        return rows.astype(
            {"count": "float64", "visits": "int32", "region": "category", "flag": "boolean"}
        )

    schema = Table.of(train).schema
    tables = [Table(other(rows), schema) for rows in (train, made, holdout)]
    found = privacy(*tables, group="rare", random_state=0, device="cpu")
    assert [s.to_json() for s in found.scores] == [s.to_json() for s in expected.scores]
    assert found.notes == expected.notes


def test_mixed_table_with_missing_values():
    frame, target = mixed(150, seed=1)
    frame["outcome"] = target.to_numpy()
    train, fresh, holdout = thirds(frame)
    part = measured(train, train, holdout)
    scores = named(part)
    assert all(math.isfinite(score.value) for score in part.scores)
    for name in ("copies", "nearer_to_train", "mia_auc"):
        assert scores[name].value == 1
    assert "note, record_id" in part.notes[1]
    assert near(train, fresh, holdout)["copies"].value == 0
    # A cell that is missing where the training row has a value makes another row.
    assert near(train, train.assign(amount=np.nan), holdout)["copies"].value == 0


def test_small_samples_widen_intervals():
    rng = np.random.default_rng(0)
    frames = (pd.DataFrame(rng.normal(size=(3 * n, 3)), columns=list("abc")) for n in (10, 60))
    wide, narrow = (named(measured(*thirds(frame))) for frame in frames)
    for name in ("copies", "nearer_to_train", "mia_auc", "mia_distance_auc"):
        widths = []
        for scores in (wide, narrow):
            interval = scores[name].interval
            assert interval is not None
            assert math.isfinite(scores[name].value)
            widths.append(interval[1] - interval[0])
        assert widths[0] > 1.5 * widths[1] > 0, name


@pytest.mark.parametrize("rows", [99, 100])
def test_one_percent_of_fewer_than_a_hundred_rows_is_told_to_be_none(rows: int):
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(3 * rows, 3)), columns=list("abc"))
    scores = named(measured(*thirds(frame)))
    said = f"1% of {rows} holdout rows is less than one row, so this is the share without a false"
    assert (said in scores["mia_tpr_at_1"].note) == (rows < 100)
    assert "without a false alarm" not in scores["mia_tpr_at_10"].note


@pytest.mark.parametrize("rows", [(1, 1, 0), (1, 3, 1), (5, 1, 1), (2, 1, 2), (2, 2, 2), (3, 0, 3)])
def test_hardly_any_rows(rows: tuple[int, int, int]):
    rng = np.random.default_rng(0)
    known = Table.of(pd.DataFrame(rng.normal(size=(9, 2)), columns=["x", "y"]))
    places = np.split(np.arange(9), np.cumsum(rows))
    tables = [known.rows(place) for place in places[:3]]
    part = privacy(*tables, group="rare", random_state=0, device="cpu")
    scores = named(part)
    attacked = min(rows[0], rows[2]) >= 2 and rows[1] > 0
    assert math.isfinite(scores["mia_excess"].value) == attacked
    assert math.isfinite(scores["distance_q05"].value) == (rows[1] > 0)
    assert math.isfinite(scores["nndr"].value) == (rows[1] > 0 and rows[0] > 1)
    assert len(scores) == 19
    for score in part.scores:
        alone = rows[1] == 1 and score.name.rpartition(".")[2] in ("nndr", *QUANTILES)
        assert (score.interval is not None) == (math.isfinite(score.value) and not alone)
        assert score.interval is not None or score.note
        assert score.interval is None or score.interval[0] < score.interval[1]


def test_rows_that_are_all_alike_have_no_interval_of_width_0():
    """Two equal rows say as little of the spread as one, and attacks on 12 rows are never sure."""
    rng = np.random.default_rng(0)
    train, made, holdout = (
        pd.DataFrame(rng.normal(size=(12, 2)), columns=["x", "y"]) for _ in range(3)
    )
    twice = near(train, pd.concat([made[:1]] * 2, ignore_index=True), holdout)
    assert all(twice[name].interval is None and twice[name].note for name in ("nndr", *QUANTILES))
    copied = named(measured(train, train, holdout))
    assert copied["mia_auc"].value == 1
    assert copied["mia_auc"].interval == pytest.approx((1 - 3 / 12, 1))
    for name, score in copied.items():
        # That copies have no distance is sure.
        sure = name in ("nndr", *QUANTILES)
        assert score.interval is not None
        assert (score.interval[1] - score.interval[0] < 1e-9) == sure, name
    alike = near(train, pd.concat([made[:1]] * 12, ignore_index=True), holdout)
    far = alike["distance_q05"].value
    assert alike["distance_q05"].interval == (0, far)
    assert alike["distance_median"].interval == (far, far)


def test_hard_columns():
    """Nothing but IDs; one number; constants; huge and tiny numbers; whole numbers of 64 bits."""
    rng = np.random.default_rng(0)
    ids = pd.DataFrame({"record_id": np.arange(30) + 7})
    part = measured(ids, ids, ids)
    assert all(math.isnan(score.value) for score in part.scores)
    number = pd.DataFrame({"x": rng.normal(size=90)})
    scores = named(measured(*thirds(number)))
    assert math.isnan(scores["mia_line_auc"].value)
    assert scores["mia_line_auc"].note
    assert math.isfinite(scores["mia_auc"].value)
    hard = pd.DataFrame(
        {
            "huge": rng.uniform(-1, 1, 90) * 1e308,
            "tiny": rng.normal(size=90) * 1e-300,
            "whole": rng.integers(-(2**63), 2**63 - 1, 90),
            "wide": np.exp(6 * rng.normal(size=90)),
            "zeros": np.r_[np.zeros(89), 1.0],
            "when": pd.date_range("1700-01-01", periods=90, freq="400D"),
            "never": np.full(90, np.nan),
        }
    )
    train, made, holdout = thirds(hard)
    assert named(measured(train, train, holdout))["mia_auc"].value == 1
    assert near(train, made, holdout)["copies"].value == 0


def test_large_tables_are_subsampled_and_say_so(monkeypatch: pytest.MonkeyPatch):
    for name, most in (("MAX_ASKED", 30), ("MAX_ATTACKED", 12), ("MAX_MADE", 40)):
        monkeypatch.setattr(privacy_module, name, most)
        monkeypatch.setattr(attacks, name, most, raising=False)
    rng = np.random.default_rng(0)
    train, holdout = (pd.DataFrame(rng.normal(size=(n, 5))) for n in (80, 80))
    part = measured(train, train, holdout)
    assert (
        "rare: random samples of the 80 training, 80 synthetic and 80 holdout rows" in part.notes[1]
    )
    assert "uses 30 holdout rows, the mean of 5 draws without replacement" in part.notes[2]
    assert "its mean over 5 draws of 40 real rows instead of 40 synthetic ones" in part.notes[3]
    scores = named(part)
    assert scores["copies"].value == scores["nearer_to_train"].value == 1
    assert scores["copies"].interval == wilson(1, 30)


def test_seeds_and_devices():
    train, holdout, fresh = (frame.iloc[:12, :3] for frame in malignant(1))
    one, same, other = (measured(train, fresh, holdout, seed) for seed in (1, 1, 2))
    assert one.scores == same.scores
    assert one.scores != other.scores
    table = Table.of(train)
    with pytest.raises(UsageError, match="not known"):
        privacy(table, table, table, group="rare", random_state=0, device="abacus")


# --- parts --------------------------------------------------------------------------------------


def test_share_of_members_found():
    suspicion = np.r_[[0.9, 0.8, 0.3, 0.1], [0.85, 0.2, 0.2, 0.0]][None]
    assert share_found(suspicion, np.array([0.01, 0.25, 1.0])).tolist() == [[0.25, 0.75, 1.0]]
    assert share_found(np.ones((1, 8)), np.array([0.1])).tolist() == [[0.0]]  # a tie finds nobody


@pytest.mark.parametrize("decimals", [12, 2])
def test_lines_through_a_record_are_seen_in_rounded_numbers_too(decimals: int):
    rng = np.random.default_rng(0)
    inputs, strangers = rng.normal(size=(2, 30, 6)) * 10
    pairs = rng.integers(30, size=(400, 2))
    pairs[:, 1] = (pairs[:, 0] + 1 + pairs[:, 1] % 3) % 30
    share = rng.random((400, 1))
    made = inputs[pairs[:, 0]] * share + inputs[pairs[:, 1]] * (1 - share)
    both = torch.from_numpy(np.concatenate([inputs, strangers]).round(decimals))
    found = on_lines(torch.from_numpy(made.round(decimals)), both)
    assert roc_auc_score(np.arange(60) < 30, found) > 0.99
    assert np.isfinite(on_lines(both, both)).all()


def test_curves_are_those_of_the_worst_attack():
    part = result("copies")
    assert set(part.curves) == {
        "attack roc synthetic",
        "attack roc fresh",
        "nearest train row synthetic",
        "nearest train row holdout",
    }
    caught, fresh = part.curves["attack roc synthetic"], part.curves["attack roc fresh"]
    assert caught["y"][1:].tolist() == [1] * 100
    assert (np.diff(fresh["y"]) >= 0).all()
    assert fresh["y"][-1] == pytest.approx(1, abs=0.1)
    tpr = named(part)["mia_tpr_at_10"]
    # The curve is that of the attack with the highest ROC-AUC; another may find more at 10 %.
    assert tpr.reference is not None
    assert fresh["y"][10] <= tpr.reference + 1e-9
    assert caught["y"][10] == tpr.value


def test_notes_say_what_is_not_shown():
    part = result("fresh")
    text = " ".join(part.notes)
    for words in (
        "not a guarantee",
        "not differential privacy",
        "how well the attacks",
        "this group",
    ):
        assert words in text
    assert all(score.group == "rare" for score in part.scores)
    assert all(score.reference is not None for score in part.scores)


def test_frequencies_reveal_rows_that_no_row_comes_close_to():
    """Each column of train shuffled by itself: no distance shows it, but the frequencies do."""
    rng = np.random.default_rng(0)
    frames = [pd.DataFrame(rng.normal(size=(120, 12))).add_prefix("x") for _ in range(3)]
    train, holdout, fresh = frames
    shuffled = train.apply(lambda column: rng.permutation(column.to_numpy()))
    leaks, none = (named(measured(train, made, holdout)) for made in (shuffled, fresh))
    assert leaks["mia_frequencies_auc"].value == leaks["mia_auc"].value > 0.85
    assert leaks["mia_distance_auc"].value < 0.65
    assert leaks["mia_tpr_at_10"].note == "the strongest attack: frequencies"
    assert none["mia_frequencies_auc"].value == pytest.approx(0.5, abs=0.12)
    assert verdicts.of_privacy(Part([*leaks.values()]), held_out=True).outcome == "fails"
