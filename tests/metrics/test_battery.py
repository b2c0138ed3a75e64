"""The battery: known answers, each detector on the fault that it is there for."""

import random
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch

from synthgen.encoding.matrix import Matrix
from synthgen.errors import UsageError
from synthgen.metrics import battery as module
from synthgen.metrics.arithmetic import MOST_COLUMNS, Arithmetic, last_digits
from synthgen.metrics.battery import Battery, Finding, Told, battery
from synthgen.metrics.detectors import detectors
from synthgen.metrics.facts import strongest
from synthgen.metrics.samples import Samples, independent
from synthgen.tables.schema import Schema
from synthgen.tables.table import Table


def frame(seed: int, rows: int = 600) -> pd.DataFrame:
    """Amounts of which one often equals the other, prices with two decimals, weights that repeat,
    levels that follow a number, and missing cells.
    """
    rng = np.random.default_rng(seed)
    due = rng.lognormal(8, 1, rows).round()
    size = rng.normal(size=rows)
    full = rng.random(rows) < 0.4
    # Weights that a few rows share: groups of three.
    weights = np.random.default_rng(0).integers(10_000, 900_000, rows // 3)
    return pd.DataFrame(
        {
            "due": due,
            "paid": np.where(full, due, (due * rng.uniform(0.1, 0.9, rows)).round()),
            "price": (20 + 5 * size + rng.normal(size=rows)).round(2),
            "size": size,
            "weight": rng.choice(weights, rows),
            "site": np.where(size > 0.5, "north", np.where(size < -0.5, "south", "west")),
            "dose": np.where(rng.random(rows) < 0.2, np.nan, rng.exponential(size=rows)),
        }
    )


def shuffled(table: pd.DataFrame) -> pd.DataFrame:
    rng = np.random.default_rng(9)
    return table.apply(lambda column: rng.permutation(column.to_numpy()))


def drawn(*frames: pd.DataFrame) -> Samples:
    """Train, synthetic, and held-out rows."""
    schema = Schema.infer(pd.concat(frames, ignore_index=True))
    tables = [Table(f.reset_index(drop=True), schema) for f in frames]
    matrix = Matrix.fitted_on(tables[0], with_target=False)
    return Samples(matrix, *map(matrix.cells, tables), group="all")


def measured(made: pd.DataFrame, rows: int = 600) -> Battery:
    return battery(drawn(frame(1, rows), made, frame(3, rows)))


def of(found: Battery, detector: str) -> Finding:
    return next(one for one in found.findings if one.detector == detector)


@pytest.fixture(autouse=True, scope="module")
def once():
    """One assignment to folds: the mean of three takes three times as long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "REPEATS", 1)
        yield


@pytest.fixture(scope="module")
def real() -> Battery:
    return measured(frame(2))


# --- known answers ------------------------------------------------------------------------------


def test_other_real_rows_are_as_good_as_real_rows(real: Battery):
    for one in real.findings:
        assert one.has_power
        assert one.interval is not None
        assert one.interval[0] <= 1 <= one.interval[1]
        assert one.value == pytest.approx(1, abs=0.12)
        assert one.real.score > 0.85
    assert real.value == min(one.value for one in real.findings)
    assert real.sentence.endswith("no better than other real rows")


def test_independent_columns_are_worth_nothing():
    found = measured(shuffled(frame(2)))
    for one in found.findings:
        assert one.value == pytest.approx(0, abs=0.1)
    assert found.value < 0.05


def unequal(table: pd.DataFrame) -> pd.DataFrame:
    """Payments that only nearly equal what was due."""
    same = table["due"] == table["paid"]
    return table.assign(paid=table["paid"] - same * 3)


def unrepeated(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(weight=table["weight"] + 3 * np.arange(len(table)) % 1_000)


def finer(table: pd.DataFrame) -> pd.DataFrame:
    """Prices with more than two decimals."""
    rng = np.random.default_rng(4)
    return table.assign(price=table["price"] + rng.uniform(-0.004, 0.004, len(table)))


def complete(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(dose=table["dose"].fillna(0.7))


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (unequal, "`due` equals `paid` in 4"),
        (unrepeated, "`weight` repeats in 9"),
        (finer, "`price` has at most 2 decimals in 100 % of real rows"),
    ],
)
def test_broken_arithmetic_is_found_by_arithmetic_alone(
    broken: Callable[[pd.DataFrame], pd.DataFrame], words: str
):
    found = measured(broken(frame(2)))
    assert found.worst is not None
    assert found.worst.detector == "arithmetic"
    assert found.value < 0.6
    assert of(found, "neighbours").value > 0.8
    assert words in found.sentence
    assert found.sentence.endswith(" of synthetic rows")


def test_the_plainest_fact_is_told():
    """Missing cells that are filled; a difference with another column would show it as well."""
    found = measured(complete(frame(2)))
    assert of(found, "boosting").value < 0.7
    assert found.fact is not None
    assert found.fact.text == "`dose` is missing"
    assert found.fact.made == 0


def test_lost_connections_are_found_by_the_mlp_and_by_neighbours():
    made = frame(2).assign(size=np.random.default_rng(5).normal(size=600))
    found = measured(made)
    for detector in ("boosting", "mlp", "neighbours"):
        assert of(found, detector).value < 0.6, detector


# --- positive control ---------------------------------------------------------------------------


def test_a_blind_detector_is_not_quoted():
    """Thirty rows teach an MLP nothing: it would find no fault with whatever it is given."""
    found = measured(frame(2, 30), rows=30)
    mlp = of(found, "mlp")
    assert not mlp.quoted
    assert np.isnan(mlp.value)
    assert mlp.interval is None
    score = next(s for s in found.scores() if s.name == "fidelity.battery_mlp")
    assert score.note.startswith("not used")
    assert found.worst is None or found.worst.quoted


def test_a_fault_is_quoted_where_columns_have_no_connections():
    rng = np.random.default_rng(0)
    rows = [pd.DataFrame({"a": rng.normal(size=100), "b": rng.normal(size=100)}) for _ in range(3)]
    rows[1]["a"] += 3
    found = battery(drawn(*rows))
    assert found.worst is not None
    assert not found.worst.has_power
    assert found.value < 0.3
    assert "`a` is at most" in found.sentence
    rows[1]["a"] -= 3
    nothing = battery(drawn(*rows))
    assert np.isnan(nothing.value)
    assert "too few rows, or the columns are independent" in nothing.sentence
    assert nothing.scores()[0].interval is None


def test_few_rows_and_no_columns_measure_nothing():
    for rows in (frame(1, 9), pd.DataFrame({"empty": [None] * 20})):
        found = battery(drawn(rows, rows, rows))
        assert np.isnan(found.value)
        assert found.sentence.startswith("Nothing was measured")


# --- figures ------------------------------------------------------------------------------------


def test_the_figure_lies_between_independent_columns_and_real_rows():
    told = [Told(1 - score / 2, 0.01) for score in (0.5, 0.9, 0.1)]
    one = Finding("boosting", "boosting", 100, *told)
    assert one.value == pytest.approx(0.5)
    # Half of the error of each control counts, and the synthetic rows' in full.
    assert one.interval is not None
    assert one.interval[1] - one.value == pytest.approx(0.02 * 1.5**0.5 / 0.8)
    assert str(told[0]) == "0.500 [0.480, 0.520]"


def test_the_area_and_its_error_are_those_of_delong():
    y = np.array([True, True, True, False, False, False, False])
    told = np.array([0.9, 0.4, 0.4, 0.4, 0.1, 0.2, 0.6])
    area, error = module.delong_area(y, told)
    wins = (told[y][:, None] > told[~y]) + 0.5 * (told[y][:, None] == told[~y])
    assert area == pytest.approx(wins.mean())
    variance = wins.mean(axis=1).var(ddof=1) / 3 + wins.mean(axis=0).var(ddof=1) / 4
    chance = 8 / (12 * 3 * 4)
    assert error == pytest.approx(1.96 * module.DEPENDENT * max(variance, chance) ** 0.5)


def test_intervals_hold_what_other_rows_give():
    """Forty tables of real rows; of right 95 % intervals about thirty-eight hold 1."""
    held = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        draws = drawn(
            *(frame(3 * seed + 100 + k, 120)[["size", "price", "site"]] for k in range(3))
        )
        arithmetic = Arithmetic.of(draws.matrix)
        neighbours = detectors(draws.matrix, arithmetic, draws.train)[-1]
        samples = (draws.made, draws.train, independent(rng, draws.train))
        one = module.finding(neighbours, draws.fresh, samples, np.random.SeedSequence(seed))
        assert one.interval is not None
        held += one.interval[0] <= 1 <= one.interval[1]
    assert held >= 36


# --- rows in any order, the same figures --------------------------------------------------------


def states() -> tuple[str, ...]:
    """The global random states."""
    ours = np.random.get_state()  # noqa: NPY002
    return repr(random.getstate()), repr(ours), repr(torch.random.get_rng_state().tolist())


def test_the_order_of_rows_does_not_matter_and_no_global_state_moves(
    real: Battery,
):
    before = states()
    frames = [frame(k).sample(frac=1, random_state=k) for k in (1, 2, 3)]
    again = battery(drawn(*frames))
    assert before == states()
    assert again.sentence == real.sentence
    for one, other in zip(real.findings, again.findings, strict=True):
        assert one.value == pytest.approx(other.value, abs=1e-6)


def test_the_same_seed_gives_the_same_figures():
    draws = drawn(*(frame(k, 60) for k in (1, 2, 3)))
    found = battery(draws)
    assert battery(draws) == found
    assert battery(draws, random_state=1) != found


def test_both_sides_are_as_large_and_no_larger_than_the_limit():
    draws = drawn(frame(1), frame(2)[:60], frame(3))
    found = battery(draws)
    assert {one.rows for one in found.findings} == {60}
    some = detectors(draws.matrix, Arithmetic.of(draws.matrix), draws.train)
    assert max(one.rows for one in some) == 10_000


def test_xgboost_is_asked_for_and_named(monkeypatch: pytest.MonkeyPatch):
    draws = drawn(frame(1, 60), frame(2, 60), frame(3, 60))
    monkeypatch.setattr("synthgen.metrics.detectors.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="not installed"):
        battery(draws, boosting="xgboost")
    assert of(battery(draws), "boosting").words == "histogram boosting"


# --- columns and facts --------------------------------------------------------------------------


def test_numbers_of_one_scale_come_first_among_many_columns():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({f"n{k:02}": rng.normal(size=50) for k in range(28)})
    table = table.assign(huge=1e6 * rng.normal(size=50), tiny=1e-6 * rng.normal(size=50))
    table = table.assign(**{f"level{k}": rng.choice(["u", "v"], 50) for k in range(5)})
    matrix = drawn(table, table, table).matrix
    found = Arithmetic.of(matrix)
    assert len(found.columns) == MOST_COLUMNS
    names = [matrix.names[j] for j in found.columns]
    assert names[:28] == [f"n{k:02}" for k in range(28)]
    assert sorted(names[28:]) == ["huge", "tiny"]
    one, other = matrix.names.index("huge"), matrix.names.index("n00")
    assert (min(one, other), max(one, other)) in found.differences
    assert (min(one, other), max(one, other)) not in found.equalities


def test_levels_are_equal_where_their_texts_are():
    table = pd.DataFrame({"from": list("uvwu") * 5, "to": list("vvwu") * 5, "y": list("abab") * 5})
    draws = drawn(table, table, table)
    found = Arithmetic.of(draws.matrix)
    assert found.equalities == ((0, 1),)
    assert found.equal(draws.train)[:4, 0].tolist() == [0, 1, 1, 1]


def test_last_digits_of_numbers_of_any_size():
    values = np.array([0.1 + 0.2, 1e300, -0.5, 0.0, 123_000.0])
    assert last_digits(values).tolist() == [9, -6, 1, -6, -3]


def test_a_level_is_named_and_dates_are_shown_as_dates():
    rng = np.random.default_rng(0)
    day = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, 200), "D")
    table = pd.DataFrame({"seen": day, "site": rng.choice(["north", "south"], 200)})
    for column, value, words in (
        ("site", "north", "`site` is north"),
        ("seen", day[0], "`seen` is at most 2024-"),
    ):
        draws = drawn(table, table.assign(**{column: value}), table)
        arithmetic = Arithmetic.of(draws.matrix)
        fact = strongest(arithmetic, draws.fresh, draws.made, ("level", "value"))
        assert fact is not None
        assert fact.text.startswith(words) or fact.text == "`site` is south"
