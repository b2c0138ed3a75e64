"""What the guard refuses, what it lets through, and that it says so."""

import json
import pickle
import random
import warnings
from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np
import pandas as pd
import pytest
import torch
from checks import mixed

from synthgen.augmentation.augment import augment
from synthgen.augmentation.augmented import Augmented
from synthgen.augmentation.constraints import Rule
from synthgen.augmentation.guard import Guard
from synthgen.augmentation.rejection import COPY, NEAR_COPY, guarded_sample
from synthgen.encoding.distances import nearest
from synthgen.errors import ConvergenceError, DataError, UsageError
from synthgen.seeds import seed_sequence
from synthgen.synthesizers.base import Synthesizer
from synthgen.synthesizers.bootstrap import SmoothedBootstrap
from synthgen.synthesizers.ctgan import CTGAN
from synthgen.synthesizers.trees import SequentialTrees
from synthgen.tables.table import Table

Make = Callable[[np.random.Generator, int], pd.DataFrame]


@final
class Fake(Synthesizer):
    """Returns what `make` says, and counts the rows that were asked of it."""

    def __init__(
        self,
        make: Make | None = None,
        *,
        classes: Sequence[Any] | None = None,
        schema: Any = None,
        random_state: Any = None,
    ) -> None:
        super().__init__(classes=classes, schema=schema, random_state=random_state)
        self.make = make

    def _fit(self, table: Table, positions: list[int], seed: np.random.SeedSequence) -> None:
        self.draws: list[int] = []

    def _sample(self, position: int, rows: int, seed: np.random.SeedSequence) -> pd.DataFrame:
        assert self.make is not None
        self.draws.append(rows)
        return self.make(np.random.default_rng(seed), rows)[
            [c.name for c in self.schema_.features]
        ].reset_index(drop=True)


def sampled(model: Any, rows: int, *, label: Any, table: Any, rules: Any = (), **how: Any):
    return guarded_sample(model, rows, Guard(table, label, rules=rules), **how)


def learned(table: Table, label: Any) -> Guard:
    guard = Guard(table, label)
    guard.learn_distances()
    return guard


def numbers(rng: np.random.Generator, rows: int, columns: int = 4) -> pd.DataFrame:
    """Skewed, dependent numbers; each value appears once."""
    values = rng.normal(size=(rows, columns)) @ (np.eye(columns) + 0.5)
    return pd.DataFrame(np.exp(values / 2), columns=list("abcdefghijklmnopqrst")[:columns])


def of_class(frame: pd.DataFrame, common: pd.DataFrame | None = None) -> Table:
    """`frame` as the rows of class 1, after those of class 0."""
    common = frame.iloc[:60] if common is None else common
    whole = pd.concat([common, frame], ignore_index=True)
    return Table.of(whole.assign(y=[0] * len(common) + [1] * len(frame)), target="y")


def fake(table: Table, make: Make) -> Fake:
    return Fake(make, classes=[1]).fit(table.frame.drop(columns="y"), table.frame["y"])


def resampled(frame: pd.DataFrame) -> Make:
    return lambda rng, rows: frame.iloc[rng.integers(len(frame), size=rows)]


def wide(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of another class, so far out that the limits of the table refuse no fresh row."""
    return pd.concat([frame.iloc[:30] * 100, frame.iloc[:30] / 100])


# --- copies -------------------------------------------------------------------------------------


def test_copies_are_accepted_only_after_the_last_round():
    real = numbers(np.random.default_rng(0), 200)
    table = of_class(real)
    model = fake(table, resampled(real))
    with pytest.warns(UserWarning, match=r"100 of 100 new rows .* \(100 are copies\).*fewer steps"):
        made = sampled(model, 100, label=1, table=table, random_state=0)
    assert made.near_copies == "accepted"
    assert "100 are copies" in made.note
    assert made.rounds == len(model.draws) == 20
    assert made.drawn == sum(model.draws)
    assert made.refused == {COPY: made.drawn - 100}
    assert len(made.frame) == 100
    assert made.drawn <= 20 * 200  # bounded work


def test_as_many_copies_leave_as_there_are_among_real_rows():
    rng = np.random.default_rng(1)
    once = numbers(rng, 170)
    real = pd.concat([once, once.iloc[:30]], ignore_index=True)  # 60 of 200 have a twin: 30 %
    table = of_class(real, wide(real))
    guard = learned(table, 1)
    copies = guard.distances(real.iloc[:100])
    assert (copies == 0).all()
    allowance = guard.allowance(100, seed_sequence(0))
    assert guard.admitted(copies, allowance).sum() == 30

    def make(rng: np.random.Generator, rows: int) -> pd.DataFrame:
        copied = rng.random(rows) < 0.6
        return numbers(rng, rows).where(
            pd.Series(~copied), resampled(once)(rng, rows).set_axis(range(rows))
        )

    made = sampled(fake(table, make), 1000, label=1, table=table, random_state=0)
    assert made.near_copies == "refused"
    assert made.frame[list("abcd")].merge(once, how="inner").shape[0] == 300
    assert 150 < made.refused[COPY] / made.drawn * 1000 < 500


@pytest.mark.parametrize("columns", [1, 4, 12])
def test_fresh_rows_of_the_same_distribution_pass(columns: int):
    refused, drawn = 0, 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        real = numbers(rng, 1500, columns)
        table = of_class(real, wide(real))
        model = fake(table, lambda rng, rows: numbers(rng, rows, columns))
        made = sampled(model, 1500, label=1, table=table, random_state=seed)
        assert made.near_copies == "refused"
        assert len(made.frame) == 1500
        assert set(made.refused) <= {NEAR_COPY}
        refused, drawn = refused + sum(made.refused.values()), drawn + made.drawn
    assert refused / drawn < 0.01


def test_fresh_rows_of_mixed_columns_pass():
    """Categories, ties, a spike and missing cells: many exact twins among real rows as well."""

    def make(rng: np.random.Generator, rows: int) -> pd.DataFrame:
        kind = rng.choice(list("uvw"), rows, p=[0.6, 0.3, 0.1])
        amount = np.where(
            rng.random(rows) < 0.5, 0.0, rng.lognormal(2, 1, rows).clip(0, 50).round(0)
        )
        count = rng.poisson(3, rows).clip(0, 9)
        lab = np.where(rng.random(rows) < 0.7, np.nan, rng.normal(size=rows).clip(-2, 2).round(1))
        return pd.DataFrame({"kind": kind, "amount": amount, "count": count, "lab": lab})

    rng = np.random.default_rng(5)
    table = of_class(make(rng, 2000), make(rng, 2000))
    guard = learned(table, 1)
    fresh = make(rng, 2000)
    twins = (guard.distances(fresh) == 0).mean()
    assert 0.4 < twins < 0.9
    made = sampled(fake(table, make), 2000, label=1, table=table, random_state=0)
    assert made.near_copies == "refused"
    assert made.refused.get(COPY, 0) + made.refused.get(NEAR_COPY, 0) < 0.05 * made.drawn


@pytest.mark.parametrize("rows", [25, 400])
def test_copies_with_noise_are_refused(rows: int):
    real = numbers(np.random.default_rng(2), rows, 6)
    table = of_class(real, wide(real))

    def noisy(rng: np.random.Generator, n: int) -> pd.DataFrame:
        return resampled(real)(rng, n) * (1 + 0.01 * rng.normal(size=(n, 6)))

    guard = learned(table, 1)
    rng = np.random.default_rng(3)
    assert (guard.distances(noisy(rng, 500)) <= guard.near).mean() > 0.9
    half = fake(table, lambda rng, n: pd.concat([noisy(rng, n // 2), numbers(rng, n - n // 2, 6)]))
    made = sampled(half, 400, label=1, table=table, random_state=0)
    assert made.near_copies == "refused"
    assert made.refused[NEAR_COPY] > 0.3 * made.drawn
    left = (guard.distances(made.frame) <= guard.near).sum()
    share = max(0.05, 2 / rows)  # the least two distances are one pair's
    assert 0 < left <= share * 400 + 1


def test_near_copies_are_refused_beside_twins():
    """Many exact twins among the real rows excuse copies, not what is almost one."""
    once = numbers(np.random.default_rng(1), 300)
    table = of_class(pd.concat([once, once.iloc[:100]]), wide(once))
    guard = learned(table, 1)
    rng = np.random.default_rng(2)
    noisy = resampled(once)(rng, 500) * (1 + 0.005 * rng.normal(size=(500, 4)))
    assert (guard.distances(noisy) > 0).all()
    assert (guard.distances(noisy) <= guard.near).mean() > 0.9
    assert guard.allowance(1000, seed_sequence(0)) == (500, 25)


def test_rows_near_to_many_copy_none():
    """A smooth synthesizer makes rows in the midst of others, nearer to all than these are."""
    rng = np.random.default_rng(0)
    real = pd.DataFrame(rng.normal(size=(200, 10)), columns=list("abcdefghij"))
    table = of_class(real, wide(real))
    smooth = pd.DataFrame(0.5 * rng.normal(size=(500, 10)), columns=real.columns)
    guard = learned(table, 1)
    plain = np.sqrt(((smooth.to_numpy()[:, None] - real.to_numpy()) ** 2).sum(2)).min(1)
    usual = np.sqrt(((real.to_numpy()[:, None] - real.to_numpy()) ** 2).sum(2))
    usual = np.sort(usual, axis=1)[:, 1]
    assert (plain <= np.quantile(usual, 0.05)).mean() > 0.4  # nearness alone would refuse these
    assert (guard.distances(smooth) <= guard.near).mean() < 0.1


def test_the_closest_are_refused_first():
    table = of_class(numbers(np.random.default_rng(0), 200))
    guard = learned(table, 1)
    distances = np.array([0.0, 0.1, 0.9, 0.5, 2.0]) * guard.near
    assert guard.admitted(distances, (0, 1)).tolist() == [False, False, True, False, True]
    assert guard.admitted(distances, (0, 2)).tolist() == [False, False, True, True, True]
    assert guard.admitted(distances, (1, 1)).tolist() == [True, False, True, False, True]
    assert guard.admitted(distances, (1, 3)).tolist() == [True] * 5


def test_small_samples_have_the_same_share_on_average():
    once = numbers(np.random.default_rng(1), 170)
    guard = learned(of_class(pd.concat([once, once.iloc[:30]])), 1)
    allowed = [guard.allowance(1, seed_sequence(seed))[0] for seed in range(1000)]
    assert set(allowed) == {0, 1}
    assert abs(np.mean(allowed) - 0.3) < 0.06  # four standard deviations


@pytest.mark.parametrize("rows", [1, 2, 19])
def test_few_rows_are_judged_by_all(rows: int):
    rng = np.random.default_rng(rows)
    real = numbers(rng, rows)
    table = of_class(real, numbers(rng, 300))
    guard = learned(table, 1)
    assert (guard.distances(real) == 0).all()
    everything = guard.distances(table.frame)
    assert 0 < guard.near < np.median(everything[:300])
    if rows > 1:
        model = fake(table, resampled(real))
        with pytest.warns(UserWarning, match="copies"):
            made = sampled(model, 7, label=1, table=table, random_state=0)
        assert len(made.frame) == 7
        assert made.refused[COPY] == made.drawn - 7


def test_a_class_of_which_the_table_has_none_is_not_measured():
    frame = numbers(np.random.default_rng(0), 40).assign(
        y=pd.Categorical(["u"] * 20 + ["v"] * 20, categories=["u", "v", "w"])
    )
    guard = learned(Table.of(frame, target="y"), "w")
    assert np.isinf(guard.distances(frame)).all()
    assert guard.reasons(frame).tolist() == [""] * 40


def test_columns_that_carry_nothing_do_not_count():
    rows = 50
    real = pd.DataFrame(
        {
            "always": "same",
            "never": np.full(rows, np.nan),
            "number": np.arange(rows) + 7,
            "note": [f"patient {i} came at {i} o'clock and left" for i in range(rows)],
        }
    )
    whole = pd.concat([real, real.assign(number=real["number"] + rows, note=real["note"] + "!")])
    table = Table.of(whole.assign(y=[0] * rows + [1] * rows), target="y")
    kinds = [c.kind for c in table.schema.features]
    assert kinds == ["constant", "missing", "id", "text"]
    model = SmoothedBootstrap(classes=[1]).fit(table.frame.drop(columns="y"), table.frame["y"])
    made = sampled(model, 30, label=1, table=table, near_copies=True, random_state=0)
    assert made.refused == {}  # no real row can be told from another
    assert made.rounds == 1


def test_distance_counts_numbers_and_codes_alike():
    rng = np.random.default_rng(0)
    real = pd.DataFrame({"x": rng.normal(size=400), "k": rng.choice(list("uvw"), 400)})
    real.loc[:39, "x"] = np.nan
    guard = learned(of_class(real), 1)
    assert guard.distances(real).max() == 0
    table = of_class(
        pd.DataFrame({"x": np.r_[0.0, rng.normal(size=99)], "k": "u"}),
        pd.DataFrame({"x": rng.normal(size=99), "k": "v"}),
    )
    guard = learned(table, 1)
    other = pd.DataFrame({"x": [0.0], "k": ["v"]})
    distances, ratios, _ = nearest(guard.space.rows(other), guard.real)
    assert distances[0] == pytest.approx(2**0.5)
    assert 0.9 < ratios[0] <= 1


def test_values_that_only_the_table_has_are_no_copies():
    rng = np.random.default_rng(0)
    real = pd.DataFrame({"x": rng.normal(size=100), "dose": 5.0})
    table = of_class(real, pd.DataFrame({"x": rng.normal(size=100), "dose": rng.normal(5, 1, 100)}))
    moved = real.assign(dose=table.frame["dose"].iloc[0])
    assert (learned(table, 1).distances(moved) > 0).all()


# --- rules --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("start <= end", [True, False, True]),
        ("start + 1 <= end * 2 and not end < 3", [True, True, False]),
        ("(start > 2) & (end < 4) | (`the kind` == 'a')", [True, True, False]),
        ("~flag | (end == 4)", [True, True, False]),
        ("`the kind` in ('a', 'c')", [True, False, True]),
        ("`the kind` not in ['a']", [False, True, True]),
        ("start in [-1, 1]", [True, False, False]),
        ("0 < start < end", [True, False, False]),
        ("when >= '2024-02-01'", [False, True, True]),
        ("zone < when", [True, True, True]),
        ("flag", [True, False, True]),
        ("grade >= 'mid'", [False, True, False]),
        ("index == 7", [True, False, True]),
        ("`class` > 0.5", [False, False, True]),
        ("`the kind` != 'it`s @x'", [True, True, True]),
        ("maybe > 1", [True, False, True]),
        ("told", [True, True, False]),
    ],
)
def test_rules(rule: str, expected: list[bool]):
    when = pd.to_datetime(["2024-01-01", "2024-02-01", "2024-03-01"])
    before = pd.to_datetime(["2023-12-31 23:30", "2024-01-31 23:30", "2024-02-29 23:30"])
    frame = pd.DataFrame(
        {
            "start": [1, 5, 2],
            "end": [4, 3, 2],
            "the kind": list("abc"),
            "when": when,
            "zone": before.tz_localize("UTC").tz_convert("Asia/Tokyo"),
            "flag": [True, False, True],
            "grade": pd.Categorical(
                ["low", "mid", "low"], categories=["low", "mid", "high"], ordered=True
            ),
            "index": [7, 8, 7],
            "class": [0.1, 0.2, 0.7],
            "maybe": pd.array([2, 1, None], dtype="Int64"),
            "told": [True, None, False],
        },
        index=[4, 4, 9],
    )
    assert Rule(rule).holds(frame).tolist() == expected


@pytest.mark.parametrize(
    "rule",
    [
        "__import__('os').system('touch /tmp/synthgen-was-here')",
        "@x < a",
        "a < @pd.io.common.os.getpid()",
        "a.map(print)",
        "df.a.map(print) == 1",
        "lambda: a",
        "(lambda: a)() < 1",
        "[print(x) for x in (1, 2)] == a",
        "a[0] < 1",
        "f'{a}' == 'b'",
        "a := 3",
        "a = 3",
        "a < 1\nb = 2",
        "(a <\n1)",
        "a @ a",
        "9 ** 9 ** 9 ** 9 < a",
        "a if a else a",
        "__class__ == a",
        "`__class__`.x < 1",
        "a == None",
        "a == b'x'",
        "1 < 2",
        "",
        "a <",
        "a < 1; import os",
        "(" * 500 + "a" + ")" * 500,
        "a < 1\x00",
        "a > 1 & a < 3",
        "a << 1 > 0",
        "a in b",
        "a not in b",
        "a + 1 or a < 3",
        "not 1 or a < 3",
        "sum(a) < 3",
        "pow(a, a) < 3",
        "abs(a, 1) < 3",
        "abs(*a) < 3",
        "abs()(a) < 3",
        "round(a, b) < 3",
        "round(a, 1.0) < 3",
        "round(a, ndigits=1) < 3",
        "round(7, -1000000000) < a",
        "abs(a).real < 3",
    ],
)
def test_nothing_but_comparisons_of_columns_is_run(rule: str):
    with pytest.raises(UsageError, match="a rule compares columns, such as 'start <= end'") as info:
        Rule(rule)
    assert info.value.code == 251


def test_a_refused_rule_says_what_is_allowed():
    with pytest.raises(
        UsageError, match=r"only calls are abs\(x\).*may contain .*round\(x, digits"
    ):
        Rule("sum(a) < 3")


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("delivered - ordered == days", [True, True, False]),
        ("days == delivered - ordered", [True, True, False]),
        ("delivered - ordered != days", [False, False, True]),
        ("delivered - ordered < 10", [True, False, True]),
        ("delivered - ordered <= 10.0", [True, True, True]),
        ("delivered - ordered > 3.5", [False, True, True]),
        ("10 >= delivered - ordered >= 5", [False, True, True]),
        ("3 < delivered - ordered <= days", [False, True, False]),
        ("delivered - ordered in [3, 5]", [True, False, True]),
        ("abs(ordered - delivered) == days", [True, True, False]),
        ("round(delivered - ordered, -1) == 10", [False, True, False]),
        ("(delivered - ordered) * 24 == hours", [True, True, False]),
        ("(delivered - ordered) // 2 == 5", [False, True, False]),
        ("ordered + days == delivered", [True, True, False]),
        ("delivered - days == ordered", [True, True, False]),
        ("ordered + hours / 24 == delivered", [True, True, False]),
        ("delivered - ordered == span", [True, True, True]),
        ("span == days", [True, True, False]),
        ("delivered - ordered < '4 days'", [True, False, False]),
        ("delivered - '2025-01-04' >= 8", [False, True, True]),
        ("day2 - day1 == days", [True, True, False]),
        ("zoned - ordered == 0", [True, True, True]),
    ],
)
def test_beside_a_span_a_number_means_days(rule: str, expected: list[bool]):
    ordered = pd.to_datetime(["2025-01-01", "2025-01-02", "2025-01-30"])
    span = pd.to_timedelta([3, 10, 5], unit="D")
    frame = pd.DataFrame(
        {
            "ordered": ordered,
            "delivered": ordered + span,
            "zoned": ordered.tz_localize("UTC").tz_convert("Asia/Tokyo"),
            "span": span,
            "day1": ordered.date,
            "day2": (ordered + span).date,
            "days": [3, 10, 4],
            "hours": [72, 240, 96],
        }
    )
    assert Rule(rule).holds(frame).tolist() == expected
    assert Rule(rule).holds(frame.astype({"days": "float32"})).tolist() == expected


def test_object_dates_are_compared_like_others() -> None:
    first = pd.to_datetime(["2025-01-01", "2025-01-02"])
    frame = pd.DataFrame({"a": first.date, "b": (first + pd.Timedelta(days=4)).date, "n": [4, 5]})
    assert Rule("b == a + n").holds(frame).tolist() == [True, False]
    assert Rule("a <= '2025-01-01'").holds(frame).tolist() == [True, False]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("total == net + vat", [True, True, False, False]),
        ("net + vat == total", [True, True, False, False]),
        ("total != net + vat", [False, False, True, True]),
        ("total <= net + vat", [True, True, False, True]),
        ("net + vat >= total", [True, True, False, True]),
        ("total >= net + vat", [True, True, True, False]),
        ("net <= net + vat <= total", [True, True, True, False]),
        ("net + vat in [0.3, 0.8]", [True, True, False, False]),
        ("narrow == 0.1", [True, False, False, False]),
        ("narrow == net", [True, True, True, True]),
        ("whole == whole2", [False, True, True, True]),
        ("nullable == net + vat", [True, True, False, False]),
        ("abs(total - net - vat) < 0.006", [True, True, False, True]),
        ("round(total, 1) == 3.0", [False, False, True, True]),
        ("round(whole, -1) == 10", [False, True, False, False]),
        ("net / zero > total", [True, True, True, True]),
        ("net / zero == net / zero", [True, True, True, True]),
    ],
)
def test_rounding_breaks_no_comparison_of_floats(rule: str, expected: list[bool]):
    total = [0.3, 0.8, 3.01, 2.9999999]
    frame = pd.DataFrame(
        {
            "net": [0.1, 0.7, 1.0, 1.0],
            "vat": [0.2, 0.1, 2.0, 2.0],
            "total": total,
            "nullable": pd.array(total, dtype="Float64"),
            "narrow": np.array([0.1, 0.7, 1.0, 1.0], dtype=np.float32),
            "whole": [2**53, 8, 1, 2],
            "whole2": [2**53 + 1, 8, 1, 2],
            "zero": 0.0,
        }
    )
    assert frame["net"][0] + frame["vat"][0] > frame["total"][0]  # in binary
    assert Rule(rule).holds(frame).tolist() == expected


def test_rules_are_pickled():
    rule = pickle.loads(pickle.dumps(Rule("abs(a) > 1")))
    assert rule.holds(pd.DataFrame({"a": [-2, 1]})).tolist() == [True, False]


def test_names_from_outside_are_unknown_columns():
    frame = pd.DataFrame({"a": [1, 2]})
    for rule in ("a < Timestamp", "a < inf", "a < rule", "np < a", "`pd.options` < a"):
        with pytest.raises(
            UsageError,
            match=r"names column .*, but there is no such column: the columns are 'a' \(int64\)",
        ):
            Rule(rule).holds(frame)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("a + 1", "returns int64, not booleans"),
        (
            "a and k == 'x'",
            r"fails: TypeError: column 'a' is not boolean: .*The columns are 'a' \(int64\), 'k' "
            r"\((object|str)\)",
        ),
        ("a < k", "fails: TypeError"),
        (lambda frame: True, "returns bool, not one boolean for each row"),
        (lambda frame: frame["a"].iloc[:1] > 0, "returns Series"),
        (lambda frame: 1 / 0, "fails: ZeroDivisionError"),
        (lambda frame: frame["nope"] > 1, "names column 'nope'"),
        (7, "a rule is text or a function, not 7"),
    ],
)
def test_rules_that_give_no_booleans(rule: Any, message: str):
    with pytest.raises(UsageError, match=message):
        Rule(rule).holds(pd.DataFrame({"a": [1, 2], "k": ["x", "y"]}))


def test_a_function_may_change_what_it_gets():
    frame = pd.DataFrame({"a": [1, 2, 3]})

    def clumsy(frame: pd.DataFrame) -> pd.Series:
        frame["a"] = 0
        return pd.Series([True, None, False], dtype="boolean")

    assert Rule(clumsy).holds(frame).tolist() == [True, False, False]
    assert frame["a"].tolist() == [1, 2, 3]


def spans(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    start = rng.uniform(0, 10, rows)
    return pd.DataFrame({"start": start, "end": start + rng.uniform(-1, 4, rows)})


def ends_late(frame: pd.DataFrame) -> pd.Series:
    return (frame["end"] > 1) & (frame["y"] == 1)


def test_rules_hold_in_every_row():
    rng = np.random.default_rng(0)
    real = spans(rng, 300)
    table = of_class(real, spans(rng, 300))
    model = fake(table, spans)
    rules = ["start <= end", ends_late]
    made = sampled(model, 800, label=1, table=table, rules=rules, random_state=0)
    assert len(made.frame) == 800
    assert (made.frame["start"] <= made.frame["end"]).all()
    assert (made.frame["end"] > 1).all()
    broken = (real["start"] > real["end"]).mean()
    assert made.broken["start <= end"] == pytest.approx(broken)
    assert 0.1 < made.refused["rule: start <= end"] / made.drawn < 0.3
    assert made.refused["rule: ends_late"] > 0
    assert 1 < made.rounds <= 6
    assert json.loads(json.dumps(made.summary()))["refused"] == made.refused
    assert set(made.summary()) == {
        *("drawn", "rounds", "refused", "near_copies", "note", "broken_by_real_rows"),
        *("found_rules", "restored", "copies"),
    }


def test_a_rule_that_real_rows_break_is_a_mistake():
    table = of_class(spans(np.random.default_rng(0), 300))
    with pytest.raises(UsageError, match=r"'start > end' is broken by 8\d% of the 300 real rows"):
        Guard(table, 1, rules=["start > end"])
    assert Guard(table, 1, rules="start <= end").broken["start <= end"] < 0.3


def test_functions_of_the_same_name_are_told_apart():
    table = of_class(spans(np.random.default_rng(0), 300))
    rules = [lambda frame: frame["end"] > -2, lambda frame: frame["start"] < 9]
    broken = Guard(table, 1, rules=rules).broken
    assert list(broken) == ["<lambda>", "<lambda> (2)"]
    assert broken["<lambda>"] == 0 < broken["<lambda> (2)"]
    with pytest.raises(UsageError, match="'<lambda>' is broken by 100%"):
        Guard(table, 1, rules=[lambda frame: frame["end"] > 99, *rules])


def test_a_rule_that_nobody_keeps_ends_with_the_counts():
    real = spans(np.random.default_rng(0), 300)
    table = of_class(real)
    low = real["end"].min()
    model = fake(table, lambda rng, rows: spans(rng, rows).assign(start=9.0, end=low))
    with pytest.raises(ConvergenceError, match=r"Refused: .*rule: start <= end \(\d+\)") as info:
        sampled(model, 50, label=1, table=table, rules=["start <= end"], random_state=0)
    assert (info.value.code, info.value.exit_status) == (611, 6)
    assert "0 of" in info.value.message
    assert len(model.draws) == 20
    assert sum(model.draws) <= 50 + 19 * 1000


def test_a_rule_that_few_keep_is_met():
    table = of_class(spans(np.random.default_rng(0), 300))

    def rarely(rng: np.random.Generator, rows: int) -> pd.DataFrame:
        return spans(rng, rows).assign(end=np.where(rng.random(rows) < 0.05, 9.9, 0.0))

    model = fake(table, rarely)
    rules = ["start <= end"]
    with pytest.warns(UserWarning, match="selection") as warned:
        made = sampled(model, 200, label=1, table=table, rules=rules, random_state=0)
    assert (made.frame["start"] <= made.frame["end"]).all()
    assert len(made.frame) == 200
    assert made.rounds <= 10
    assert made.note.startswith("class 1: only 5.3% of the drawn rows within the limits satisfy")
    assert "their distribution may be distorted" in made.note
    assert [str(w.message) for w in warned] == [made.note]


def test_only_a_rule_that_few_rows_keep_is_named():
    table = of_class(spans(np.random.default_rng(0), 300))

    def rarely(rng: np.random.Generator, rows: int) -> pd.DataFrame:
        return spans(rng, rows).assign(end=np.where(rng.random(rows) < 0.05, 9.9, 0.0))

    rules = ["start < 8", "start <= end", "end < 9.95"]
    with pytest.warns(UserWarning, match=r"satisfy rule 'start <= end': the new rows are a") as one:
        made = sampled(fake(table, rarely), 200, label=1, table=table, rules=rules, random_state=0)
    assert "start < 8" not in str(one[0].message)
    assert "end < 9.95" not in str(one[0].message)
    refused = made.refused
    judged = (
        made.drawn
        - refused["rule: start < 8"]
        - sum(n for why, n in refused.items() if why.startswith("out of range"))
    )
    share = 1 - refused["rule: start <= end"] / judged
    assert 0.03 < share < 0.08
    assert f"only {share:.1%} of" in made.note


# --- rules that were found ----------------------------------------------------------------------


def bills(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    net, tax = rng.integers(10, 400, (2, rows))
    start = rng.uniform(0, 10, rows)
    end = start + tax / 99 * rng.uniform(0.5, 1.5, rows)
    return pd.DataFrame({"net": net, "tax": tax, "gross": net + tax, "start": start, "end": end})


def loose(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    """Bills with each column drawn by itself, within the limits of the real ones."""
    return bills(rng, rows).apply(lambda c: c.sample(frac=1, random_state=rng).to_numpy())


def test_what_all_real_rows_keep_new_rows_keep():
    real = bills(np.random.default_rng(0), 400)
    table = of_class(real, bills(np.random.default_rng(1), 400))
    made = sampled(fake(table, loose), 300, label=1, table=table, random_state=0)
    assert set(made.found_rules) == {"net + tax = gross", "start <= end"}
    assert (made.frame.net + made.frame.tax == made.frame.gross).all()
    assert (made.frame.start <= made.frame.end).all()
    assert made.frame[list(real)].dtypes.equals(real.dtypes)
    assert made.restored > 250  # gross is the sum, whatever was drawn
    assert made.refused["found rule: start <= end"] > 50
    assert made.summary()["found_rules"] == list(made.found_rules)

    guard = Guard(table, 1, found_rules=False)
    free = guarded_sample(fake(table, loose), 300, guard, random_state=0)
    assert (free.found_rules, free.restored) == ((), 0)
    assert (free.frame.net + free.frame.tax != free.frame.gross).mean() > 0.9


def test_one_real_row_that_breaks_a_rule_forbids_nothing():
    real = bills(np.random.default_rng(0), 400)
    real.loc[0, ["gross", "end"]] = [11, -1.0]
    assert Guard(of_class(real), 1).found == []


def late_starts(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    """Bills that end before they start, within the limits of `bills(default_rng(0), 400)`."""
    real = bills(np.random.default_rng(0), 400)
    return bills(rng, rows).assign(start=real.start.max(), end=real.end.min())


def test_found_rules_that_hardly_a_row_keeps_are_given_up_aloud():
    table = of_class(bills(np.random.default_rng(0), 400))
    model = fake(table, late_starts)
    with pytest.warns(UserWarning, match="most break 'start <= end'"):
        made = sampled(model, 50, label=1, table=table, near_copies=False, random_state=0)
    assert (len(made.frame), made.found_rules) == (50, ())
    assert "are not enforced. Trees satisfy more of them: synthesizer='trees'" in made.note
    assert made.near_copies == "allowed"


def test_trees_that_break_found_rules_are_not_advised_to_use_trees(monkeypatch: Any):
    real = bills(np.random.default_rng(0), 400)
    table = of_class(real)
    trees = SequentialTrees(random_state=0).fit(real, pd.Series(np.repeat([0, 1], 200)))
    monkeypatch.setattr(
        SequentialTrees,
        "sample",
        lambda self, n, *, random_state, **_: late_starts(np.random.default_rng(random_state), n),
    )
    with pytest.warns(UserWarning, match="are not enforced") as warned:
        sampled(trees, 50, label=1, table=table, near_copies=False, random_state=0)
    assert "synthesizer=" not in str(warned[0].message)


def test_a_hard_rule_of_the_user_does_not_drop_found_rules():
    table = of_class(bills(np.random.default_rng(0), 400))

    def early(rng: np.random.Generator, rows: int) -> pd.DataFrame:
        made = bills(rng, rows)
        return made.assign(start=made.start * np.where(rng.random(rows) < 0.96, 0.39, 1))

    rules = ["start > 4"]
    with pytest.warns(UserWarning, match="satisfy rule 'start > 4'") as warned:
        made = sampled(fake(table, early), 200, label=1, table=table, rules=rules, random_state=0)
    assert "not enforced" not in str(warned[0].message)
    assert set(made.found_rules) == {"net + tax = gross", "start <= end"}
    assert made.rounds > 3
    assert made.frame.start.min() > 4


def test_found_rules_are_given_up_beside_a_hard_rule_of_the_user():
    """Only rows that keep the user's rule show whether found rules can be kept."""
    table = of_class(bills(np.random.default_rng(0), 400))

    def make(rng: np.random.Generator, rows: int) -> pd.DataFrame:
        return late_starts(rng, rows).assign(tax=np.where(rng.random(rows) < 0.05, 50, 200))

    rules = ["tax != 200"]
    with pytest.warns(UserWarning, match="'start <= end'.*not enforced.*rule 'tax != 200'"):
        made = sampled(fake(table, make), 100, label=1, table=table, rules=rules, random_state=0)
    assert made.found_rules == ()
    assert (made.frame.tax == 50).all()


def test_a_found_rule_whose_restored_cells_break_a_limit_is_given_up():
    real = bills(np.random.default_rng(0), 400)
    table = of_class(real)

    def make(rng: np.random.Generator, rows: int) -> pd.DataFrame:
        return bills(rng, rows).assign(net=real.net.max(), tax=real.tax.max(), gross=100)

    assert real.net.max() + real.tax.max() > real.gross.max()
    with pytest.warns(UserWarning, match="all real rows satisfy, so the latter are not enforced"):
        made = sampled(fake(table, make), 20, label=1, table=table, random_state=0)
    assert made.found_rules == ()
    assert (made.frame.gross == 100).all()


# --- limits -------------------------------------------------------------------------------------


def limited(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "amount": rng.uniform(0, 100, rows).round(2),
            "visits": rng.integers(0, 40, rows),
            "fives": rng.integers(0, 60, rows) * 5,
            "region": rng.choice(["north", "south"], rows),
            "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, rows), "D"),
            "score": np.where(rng.random(rows) < 0.3, np.nan, rng.normal(size=rows)),
            "plain": rng.normal(size=rows),
        }
    )


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("amount", 1000.0, "out of range: amount"),
        ("amount", np.inf, "out of range: amount"),
        ("amount", 10.125, "too many decimals: amount"),
        ("visits", 3.5, "not a whole number: visits"),
        ("visits", 1e30, "not a whole number: visits"),
        ("visits", -1, "out of range: visits"),
        ("fives", 7, "between two steps: fives"),
        ("region", "west", "unknown category: region"),
        ("region", None, "missing: region"),
        ("when", pd.Timestamp("2030-01-01"), "out of range: when"),
        ("when", pd.Timestamp("2024-03-01 12:00"), "between two steps: when"),
        ("plain", np.nan, "missing: plain"),
    ],
)
def test_limits(column: str, value: Any, reason: str):
    rng = np.random.default_rng(0)
    table = of_class(limited(rng, 400), limited(rng, 400))

    def make(rng: np.random.Generator, rows: int) -> pd.DataFrame:
        frame = resampled(table.frame.drop(columns="y"))(rng, rows).reset_index(drop=True)
        wrong = rng.random(rows) < 0.25
        kept = frame[column].astype(
            object if isinstance(value, float | str) else frame[column].dtype
        )
        kept[wrong] = value
        return frame.assign(**{column: kept.infer_objects()})

    model = fake(table, make)
    made = sampled(model, 300, label=1, table=table, near_copies=False, random_state=0)
    assert set(made.refused) == {reason}
    assert 0.15 < made.refused[reason] / made.drawn < 0.35
    assert len(made.frame) == 300
    assert made.near_copies == "allowed"
    assert set(Guard(table, 1).reasons(made.frame)) == {""}


def test_missing_cells_only_where_the_learned_rows_have_some():
    rng = np.random.default_rng(0)
    table = of_class(limited(rng, 100).assign(score=0.5), limited(rng, 100))
    gone = table.frame.iloc[:10].assign(score=np.nan)
    assert set(Guard(table, 1).reasons(gone)) == {"missing: score"}
    assert set(Guard(table, 1).reasons(gone, learned_from_all=True)) == {""}
    assert set(Guard(table, 0).reasons(gone)) == {""}


def test_limits_too_narrow_for_the_synthesizer_end_with_the_counts():
    table = of_class(limited(np.random.default_rng(0), 100))
    model = fake(table, lambda rng, rows: limited(rng, rows).assign(visits=99, region="west"))
    with pytest.raises(ConvergenceError, match=r"out of range: visits \(\d+\)"):
        sampled(model, 20, label=1, table=table, random_state=0)


def test_real_rows_of_every_kind_of_column_keep_the_limits():
    X, y = mixed()
    table = Table.of_xy(X, y)
    for label in ("rare", "other"):
        guard = learned(table, label)
        own = table.frame[table.frame["outcome"] == label]
        assert set(guard.reasons(own)) == {""}
        assert (guard.distances(own) == 0).all()


def test_a_column_that_the_synthesizer_lacks():
    table = of_class(limited(np.random.default_rng(0), 100))
    model = fake(Table.of(table.frame.drop(columns="plain"), target="y"), limited)
    with pytest.raises(DataError, match="column 'plain', which the synthesizer did not learn"):
        sampled(model, 5, label=1, table=table)


# --- the contract -------------------------------------------------------------------------------


def test_an_untouched_sample_is_the_synthesizers_own():
    X, y = mixed()
    table = Table.of_xy(X, y)
    model = SmoothedBootstrap().fit(X, y)
    made = sampled(model, 50, label="rare", table=table, random_state=4)
    assert (made.refused, made.drawn, made.rounds, made.note) == ({}, 50, 1, "")
    pd.testing.assert_frame_equal(made.frame, model.sample(50, label="rare", random_state=4))


def test_a_redrawn_sample_has_the_same_form():
    X, y = mixed()
    table = Table.of_xy(X, y)
    model = SmoothedBootstrap().fit(X, y)
    rules = ["count > 38 or region == 'south'"]
    made = sampled(model, 300, label="rare", table=table, rules=rules, random_state=4)
    assert made.rounds > 1
    plain = model.sample(300, label="rare", random_state=4)
    assert made.frame.dtypes.equals(plain.dtypes)
    assert made.frame.index.equals(plain.index)
    assert (made.frame["outcome"] == "rare").all()
    pd.testing.assert_series_equal(made.frame["record_id"], plain["record_id"])


def test_networks_are_guarded_and_bootstraps_are_not():
    rng = np.random.default_rng(0)
    real = numbers(rng, 60)
    table = of_class(real, numbers(rng, 100))
    X, y = table.frame.drop(columns="y"), table.frame["y"]
    network = CTGAN(steps=2, device="cpu", random_state=0).fit(X, y)
    bootstrap = SmoothedBootstrap(bandwidth=0).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        few = CTGAN(steps=2, device="cpu", random_state=0, classes=[1]).fit(X[:105], y[:105])
        found = [
            sampled(model, 20, label=1, table=table, random_state=0).near_copies
            for model in (network, bootstrap, few)
        ]
    assert found == ["refused", "allowed", "allowed"]
    with pytest.warns(UserWarning, match="20 are copies"):
        forced = sampled(bootstrap, 20, label="1", table=table, near_copies=True, random_state=0)
    assert forced.near_copies == "accepted"


def test_seeds():
    rng = np.random.default_rng(0)
    real = numbers(rng, 100)
    table = of_class(real, wide(real))
    model = fake(
        table, lambda rng, n: pd.concat([resampled(real)(rng, n // 2), numbers(rng, n - n // 2)])
    )

    def drawn(seed: Any) -> pd.DataFrame:
        return sampled(model, 60, label=1, table=table, random_state=seed).frame

    pd.testing.assert_frame_equal(drawn(3), drawn(3))
    assert not drawn(3).equals(drawn(4))
    assert not drawn(None).equals(drawn(None))


def test_input_and_global_random_states_stay_as_they_are():
    def states() -> list[bytes]:
        numpy_state = np.random.get_state()  # noqa: NPY002 - it is what must not move
        return [
            pickle.dumps(part)
            for part in (random.getstate(), numpy_state, torch.get_rng_state().numpy())
        ]

    rng = np.random.default_rng(0)
    table = of_class(limited(rng, 200), limited(rng, 200))
    before, frame = states(), table.frame.copy(deep=True)
    model = fake(table, limited)

    def emptied(frame: pd.DataFrame) -> np.ndarray:
        frame["visits"] = 0
        return np.ones(len(frame), dtype=bool)

    sampled(model, 50, label=1, table=table, rules=["visits >= 1", emptied])
    assert states() == before
    pd.testing.assert_frame_equal(table.frame, frame)


@pytest.mark.parametrize(
    "rule",
    [
        "c == 'x' * 1000000000",
        "c == 1000000000 * ('x' + 'y')",
        "c == '%1000000000d' % 1",
        "n in [1, 2] * 1000000000",
        "c * 1000000000 == 'x'",
        "(n + 1) * c == 'x'",
    ],
)
def test_a_rule_multiplies_numbers_only(rule: str):
    frame = pd.DataFrame({"c": ["x", "y"], "n": [1, 2]})
    with pytest.raises(UsageError, match=r"\* and % take numbers only"):
        Rule(rule).holds(frame)
    assert Rule("n * 2 % 3 == 1").holds(frame).tolist() == [False, True]


def bootstrapped(frame: pd.DataFrame, target: str) -> tuple[Augmented, float]:
    """New rows of a bootstrap, and the share of them that equal a training row."""
    made = augment(
        frame, target=target, synthesizer="bootstrap", n_samples=400, labels=["yes"], random_state=0
    )
    features = [c for c in frame if c != target]
    known = set(map(tuple, frame[features].astype(object).to_numpy()))
    new = map(tuple, made.synthetic[features].astype(object).to_numpy())
    return made, float(np.mean([row in known for row in new]))


@pytest.mark.parametrize("rows", [9, 60])
def test_a_bootstrap_gives_no_training_row_back_where_columns_leave_room(rows: int) -> None:
    rng = np.random.default_rng(rows)
    frame = pd.DataFrame({f"c{j}": rng.choice(list("abcd"), 400) for j in range(7)})
    frame["visits"] = rng.integers(0, 3, 400)
    frame["y"] = np.where(np.arange(400) < rows, "yes", "no")
    made, equal = bootstrapped(frame, "y")
    assert equal == 0 == made.guard["yes"]["copies"]
    assert "equal a training row" not in made.recommendation.certainty


def test_the_share_of_training_rows_is_given_where_columns_leave_no_room() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.choice(list("xy"), 400), "b": rng.choice(list("xy"), 400)})
    frame["y"] = np.where(np.arange(400) < 60, "yes", "no")
    made, equal = bootstrapped(frame, "y")
    assert equal == 1 == made.to_json()["guard"]["yes"]["copies"]
    assert "100.0% of them equal a training row" in made.recommendation.certainty
