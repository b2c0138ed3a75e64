"""Rules that every row of a table keeps: found where they hold, and only there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from synthgen import augment
from synthgen.encoding.matrix import Matrix
from synthgen.encoding.rules import find_rules, restored
from synthgen.tables.schema import Schema


def ruled(seed: int = 0, rows: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    net, tax, age = (rng.integers(low, high, rows) for low, high in ((1, 400), (1, 90), (18, 99)))
    code, tested = rng.integers(0, 6, rows), rng.random(rows) < 0.6
    start = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, rows), "D")
    return pd.DataFrame(
        {
            "net": net,
            "tax": tax,
            "gross": net + tax,
            "age": age,
            "born": 2020 - age,
            "price": np.round(rng.uniform(-90, 90, rows), 2),
            "start": start,
            "end": start + pd.to_timedelta(tax, "D"),
            "late": start + pd.to_timedelta(tax + rng.integers(0, 9, rows), "D"),
            "code": [f"c{k}" for k in code],
            "area": np.array(["east", "west", "south"])[code % 3],
            "tested": np.where(tested, "y", "n"),
            "result": np.where(tested, rng.normal(size=rows), np.nan),
            "dose": np.where(tested, rng.normal(size=rows), np.nan),
        }
    )


def found(frame: pd.DataFrame) -> list[str]:
    matrix = Matrix.of(Schema.infer(frame))
    return [rule.text for rule in find_rules(matrix, matrix.cells(frame))]


EVERY = {
    *("net + tax = gross", "born = -age + 2020", "start + tax = end", "code decides area"),
    *("start <= late", "end <= late"),
    "result and dose are missing together",
    *(f"{name} is missing exactly where tested is n" for name in ("result", "dose")),
}


def test_every_rule_is_found_and_nothing_else():
    assert set(found(ruled())) == EVERY  # and not "age <= born", which no row could break
    # What holds of columns that chance tied is no rule; neither is what 40 rows keep.
    frame = ruled()
    rng = np.random.default_rng(1)
    assert found(frame.apply(lambda c: c.iloc[rng.permutation(len(c))].to_numpy())) == []
    assert found(frame[:40]) == []


@pytest.mark.parametrize(
    ("column", "rule", "other"),
    [
        ("gross", "net + tax = gross", 1),
        ("born", "born = -age + 2020", 3),
        ("end", "start + tax = end", pd.Timestamp("2023-12-01")),
        ("late", "start <= late", pd.Timestamp("2020-01-01")),
        ("area", "code decides area", "east"),
        ("dose", "result and dose are missing together", None),
    ],
)
def test_one_row_that_breaks_a_rule_is_enough(column: str, rule: str, other: Any):
    frame = ruled()
    row = int(np.flatnonzero((frame.tested == "y") & (frame.area != "east"))[-1])
    frame.loc[row, column] = other
    assert rule not in found(frame)


def test_what_hardly_any_row_could_break_is_no_rule():
    """0 <= 1,000 says nothing; a column of 200 values in 400 rows decides nothing."""
    rng = np.random.default_rng(0)
    small, large = rng.integers(0, 9, 400), rng.integers(500, 999, 400)
    name = np.repeat(np.arange(200), 2)
    frame = pd.DataFrame({"small": small, "large": large})
    frame["name"], frame["kind"] = [f"n{k}" for k in name], [f"k{k % 4}" for k in name]
    assert found(frame) == []


def test_what_other_columns_determine_is_restored_and_the_rest_stays():
    frame = ruled()
    matrix = Matrix.of(Schema.infer(frame))
    rules = find_rules(matrix, matrix.cells(frame))
    new = ruled(seed=1)
    spoiled = new.copy()
    spoiled.loc[:49, ["gross", "born"]] = 7
    spoiled.loc[50:99, "area"] = "east"
    spoiled.loc[100:149, "end"] = spoiled["start"]
    spoiled.loc[spoiled.tested == "n", "result"] = 0.5
    cells, changed = restored(rules, matrix.cells(spoiled))
    np.testing.assert_array_equal(cells, matrix.cells(new))
    names = {matrix.names[j] for j in np.flatnonzero(changed.any(axis=0))}
    assert names == {"gross", "born", "area", "result", "end"}
    assert not restored(rules, matrix.cells(new))[1].any()


def test_a_date_follows_from_spans_in_any_unit_and_from_none():
    rng = np.random.default_rng(0)
    start = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300 * 86_400, 400), "s")
    minutes = rng.integers(0, 900, 400)
    end = start + pd.to_timedelta(minutes, "min")
    frame = pd.DataFrame({"start": start, "end": end, "minutes": minutes})
    assert found(frame) == ["end = start + minutes / 1440"]
    assert found(frame.assign(minutes=end - start)) == ["start + minutes = end"]
    assert found(frame.assign(minutes=(minutes / 60).round())) == ["start <= end"]
    hourly = frame[["start"]].assign(start=frame["start"].dt.floor("h"))
    hours = rng.integers(0, 90, 400)
    hourly["end"] = hourly["start"] + pd.to_timedelta(hours, "h")
    for digits, text in ((1, "start <= end"), (4, "start + days = end")):
        assert found(hourly.assign(days=(hours / 24).round(digits))) == [text]
    hourly["days"] = (hours / 24).round(4)
    matrix = Matrix.of(Schema.infer(hourly))
    cells = matrix.cells(hourly)
    spoiled = matrix.cells(hourly.assign(end=hourly["start"]))
    np.testing.assert_array_equal(restored(find_rules(matrix, cells), spoiled)[0], cells)
    due = frame[["start"]].assign(due=start + pd.Timedelta(days=7))
    assert found(due) == ["due = start + 7"]


def test_of_two_columns_that_decide_each_other_one_follows_the_other():
    code = np.random.default_rng(0).integers(0, 5, 400)
    frame = pd.DataFrame({"school": [f"s{k}" for k in code], "years": code * 3})
    matrix = Matrix.of(Schema.infer(frame))
    rules = find_rules(matrix, matrix.cells(frame))
    assert [rule.text for rule in rules] == ["school decides years", "years decides school"]
    assert sorted(rule.target >= 0 for rule in rules) == [False, True]
    mixed = matrix.cells(frame.assign(years=np.roll(frame.years, 1)))
    cells, _ = restored(rules, mixed)
    assert not any(rule.broken(cells).any() for rule in rules)


def _sums(kind: str, rows: int = 1500) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    if kind == "near 2^54":
        a, b = 2**54 + rng.integers(0, 10**6, (2, rows))
    elif kind == "to 2^54":
        a, b = rng.integers(0, 2**54, (2, rows))
    elif kind == "to 2^45":
        a, b = rng.integers(0, 2**45, (2, rows))
    elif kind == "float32":
        a, b = rng.normal(size=(2, rows)).astype(np.float32)
    elif kind == "float32 whole":
        a, b = (rng.integers(0, 2**23, (2, rows)) * 2).astype(np.float32)
    elif kind == "float32 wide cents":
        a, b = (rng.integers(0, 2**19, (2, rows)) / 4).astype(np.float32) + np.float32(2**20)
    else:
        a, b = np.round(rng.uniform(0, 900, (2, rows)), 2).astype(np.float32)
    frame = pd.DataFrame({"a": a, "b": b, "s": a + b})
    if kind == "float32 cents":
        frame["s"] = frame["s"].round(2)
    return frame


KEPT = ["to 2^45", "float32 cents"]
FORGOTTEN = ["near 2^54", "to 2^54", "float32", "float32 whole", "float32 wide cents"]


@pytest.mark.parametrize("kind", [*KEPT, *FORGOTTEN])
@pytest.mark.parametrize("synthesizer", ["trees", "bootstrap"])
def test_a_reported_sum_is_kept_to_the_last_digit(kind: str, synthesizer: str):
    frame = _sums(kind)
    y = pd.Series(np.arange(len(frame)) % 4 == 0, name="y")
    made = augment(frame, y, synthesizer=synthesizer, n_samples=400, random_state=0)
    new = made.frame[made.is_synthetic]
    sums = [rule for rule in made.guard[True]["found_rules"] if "=" in rule.replace("<=", "")]
    assert sums == (["a + b = s"] if kind in KEPT else [])
    if kind == "to 2^45":
        assert (new["a"] + new["b"] == new["s"]).all()
    if kind == "float32 cents":
        wide = new[["a", "b", "s"]].astype(np.float64).mul(100).round()
        assert (wide["a"] + wide["b"] == wide["s"]).all()
