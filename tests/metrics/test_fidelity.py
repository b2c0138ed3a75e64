"""Fidelity: known answers, on tables whose difference is known."""

import random
from collections.abc import Callable, Iterator
from importlib.resources import files
from itertools import combinations
from typing import cast

import numpy as np
import pandas as pd
import pytest

from synthgen.encoding.matrix import Matrix
from synthgen.metrics import battery, detectors, samples
from synthgen.metrics.columns import columns_and_pairs
from synthgen.metrics.fidelity import fidelity, target_correlation
from synthgen.metrics.manifold import manifold_scores
from synthgen.metrics.score import Part, Score
from synthgen.model_selection.classifiers import FOR_SMALL, SETTINGS
from synthgen.tables.schema import Schema
from synthgen.tables.table import Table


def frame(seed: int, rows: int = 300) -> pd.DataFrame:
    """Two numbers that go together, one by itself with spikes, levels that follow a number."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=rows)
    ill = a + rng.normal(size=rows) > 1
    return pd.DataFrame(
        {
            "a": a,
            "b": 2 * a + 0.3 * rng.normal(size=rows),
            "dose": np.where(rng.random(rows) < 0.4, 0.0, rng.exponential(size=rows)),
            "site": np.where(a > 0.5, "north", np.where(a < -0.5, "south", "west")),
            "ill": np.where(ill, "yes", "no"),
        }
    )


def shuffled(table: pd.DataFrame, seed: int = 9) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return table.apply(lambda column: rng.permutation(column.to_numpy()))


def tables(*frames: pd.DataFrame) -> list[Table]:
    """Tables of one schema, which knows the levels of all."""
    schema = Schema.infer(pd.concat(frames, ignore_index=True), target="ill")
    return [Table(f.reset_index(drop=True), schema) for f in frames]


def drawn(*frames: pd.DataFrame) -> samples.Samples:
    given = tables(*frames)
    matrix = Matrix.fitted_on(given[0], with_target=True)
    return samples.Samples(matrix, *map(matrix.cells, given), group="all")


def measured(*frames: pd.DataFrame) -> Part:
    return fidelity(*tables(*frames), group="all", random_state=0)


def of(part: Part, name: str, group: str = "all") -> Score:
    return next(s for s in part.scores if (s.name, s.group) == (f"fidelity.{name}", group))


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SETTINGS["boosting"], "max_iter", 30)
        patch.setitem(FOR_SMALL, "max_iter", 30)
        patch.setattr(samples, "HALVES", 8)
        patch.setattr(battery, "REPEATS", 1)
        patch.setitem(detectors.FOR_SMALL, "max_iter", 20)
        patch.setattr(detectors, "UPDATES", 100)
        yield


@pytest.fixture(scope="module")
def fresh() -> Part:
    return measured(frame(1), frame(2), frame(3))


@pytest.fixture(scope="module")
def independent() -> Part:
    return measured(frame(1), shuffled(frame(2)), frame(3))


# --- known answers ------------------------------------------------------------------------------


def test_a_third_real_sample_is_as_good_as_the_reference(fresh: Part):
    for score in fresh.scores:
        assert score.reference is not None, score
        assert score.interval is not None, score
        assert score.interval[0] <= score.value <= score.interval[1], score
    assert of(fresh, "battery").interval[1] >= 0.9  # type: ignore[index]
    for name in ("column_shapes", "pair_trends", "mutual_information", "alpha_precision"):
        score = of(fresh, name)
        assert score.value == pytest.approx(score.reference, abs=0.06)


def test_independent_columns_pass_shapes_and_fail_what_looks_at_pairs(independent: Part):
    shapes = of(independent, "column_shapes")
    assert shapes.value == pytest.approx(shapes.reference, abs=0.05)
    for name in ("battery", "pair_trends", "mutual_information"):
        score = of(independent, name)
        assert score.interval is not None
        assert score.floor is not None
        assert score.reference is not None
        assert score.interval[1] < score.reference
        assert score.value == pytest.approx(score.floor, abs=0.15)
    assert of(independent, "beta_recall").value < of(independent, "beta_recall").reference / 2  # type: ignore[operator]


def test_train_itself_looks_like_train():
    part = measured(frame(1), frame(1), frame(3))
    assert of(part, "column_shapes").value == 1
    assert of(part, "pair_trends").value == pytest.approx(1)
    assert of(part, "battery").value > 0.9
    assert of(part, "beta_recall").value > 0.9


def test_a_shift_is_told_by_the_battery_and_by_the_column():
    moved = frame(2)
    moved["a"] += 3
    part = measured(frame(1), moved, frame(3))
    assert of(part, "battery").value < 0.1
    by_column = {s.group: s.value for s in part.scores if s.name == "fidelity.column_shape"}
    assert min(by_column, key=lambda k: by_column[k]) == "all: a"
    assert by_column["all: a"] < 0.3 < 0.8 < by_column["all: b"]


def hypothyroid(seed: int) -> pd.DataFrame:
    """Real rows: numbers, flags and many missing cells."""
    path = files("synthgen").joinpath("data/hypothyroid.csv.gz")
    table = pd.read_csv(str(path))
    return table.sample(400, random_state=seed).rename(columns={"target": "ill"})


def skewed(seed: int) -> pd.DataFrame:
    """Heavy tails, dates, whole numbers, missing cells, and a level that hardly occurs."""
    rng = np.random.default_rng(seed)
    money = rng.lognormal(0, 2, 300)
    return pd.DataFrame(
        {
            "money": money,
            "debt": np.where(rng.random(300) < 0.2, np.nan, money * rng.random(300)),
            "visits": rng.poisson(3, 300),
            "seen": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, 300), "D"),
            "town": rng.choice(np.array(["a", "b", None]), 300, p=[0.7, 0.2, 0.1]),
            "flag": rng.random(300) < 0.02,
            "ill": rng.choice(["no", "yes"], 300),
        }
    )


@pytest.mark.parametrize("make", [frame, skewed, hypothyroid])
def test_shapes_and_trends_are_those_of_sdmetrics(make: Callable[[int], pd.DataFrame]):
    pytest.importorskip("sdmetrics")
    from sdmetrics.column_pairs import ContingencySimilarity, CorrelationSimilarity
    from sdmetrics.single_column import KSComplement, TVComplement

    frames = [make(seed) for seed in (1, 2, 3)]
    # SDMetrics has no correlation of columns that do not vary, or have no two rows in common.
    varies = [c for c in frames[0] if all(len(f[c].dropna().unique()) > 1 for f in frames)]
    varies = [c for c in varies if frames[0][c].notna().mean() > 0.5]
    given = tables(*(f[varies] for f in frames))
    part = fidelity(*given, group="all", random_state=0)
    matrix = Matrix.fitted_on(given[0], with_target=True)
    real, made = (pd.DataFrame(matrix.cells(table), columns=matrix.names) for table in given[:2])
    number = dict(zip(matrix.names, ~matrix.is_level, strict=True))
    for name in matrix.names:
        metric = KSComplement if number[name] else TVComplement
        wanted = metric.compute(real[name], made[name])
        assert of(part, "column_shape", f"all: {name}").value == pytest.approx(wanted, abs=1e-6)
    wanted = []
    for pair in map(list, combinations(matrix.names, 2)):
        numbers = [name for name in pair if number[name]]
        if len(numbers) == 2:
            wanted.append(CorrelationSimilarity.compute(real[pair], made[pair]))
        else:
            # SDMetrics gives missing numbers the last of its bins, as we give them their own.
            wanted.append(
                ContingencySimilarity.compute(
                    real[pair].copy(), made[pair].copy(), continuous_column_names=numbers
                )
            )
    assert of(part, "pair_trends").value == pytest.approx(np.mean(wanted), abs=1e-6)


@pytest.mark.parametrize("kind", ["alike", "shuffled"])
def test_intervals_hold_what_repeated_tables_give(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty triples of 50 rows; of right 95 % intervals 38 hold the mean of all values."""
    monkeypatch.setattr(samples, "HALVES", 20)
    names = ("range_coverage", "alpha_precision", "beta_recall", "pair_trends")
    found: dict[str, list[Score]] = {name: [] for name in names}
    for seed in range(40):
        real, made, fresh = (frame(3 * seed + 500 + k, 50) for k in range(3))
        made = shuffled(made, seed) if kind == "shuffled" else made
        draws = drawn(real, made, fresh)
        seeds = np.random.SeedSequence(seed).spawn(2)
        measures = (columns_and_pairs, manifold_scores)
        scores = [s for m, one in zip(measures, seeds, strict=True) for s in m(draws, one)]
        for name in names:
            found[name].append(of(Part(scores), name))
    for name, scores in found.items():
        mean = np.mean([score.value for score in scores])
        held = [s.interval is not None and s.interval[0] <= mean <= s.interval[1] for s in scores]
        assert sum(held) >= 36, name


def test_coverage_and_spikes():
    real = pd.DataFrame(
        {
            "n": np.arange(100) / 10 + 0.01,
            "zero": np.where(np.arange(100) % 2, 0.0, np.arange(100) / 7),
            "level": list("uvwx") * 25,
            "hole": [None, 1.5, 2.5, 4.25] * 25,
            "ill": ["no", "yes"] * 50,
        }
    )
    made = real[(real.n < 5) & (real.level != "x")].copy()
    made["zero"] = 3.25
    made["hole"] = 1.5
    part = measured(real, made, real)
    assert of(part, "range_coverage").value == pytest.approx(np.mean([4.9 / 9.9, 0, 0]), abs=0.01)
    assert of(part, "category_coverage").value == pytest.approx(np.mean([3 / 4, 1]))
    assert of(part, "missing").value == pytest.approx(0.75)
    assert of(part, "spikes").value < 0.9
    assert of(part, "in_range").value == 1


def test_the_range_is_that_of_the_cells_however_far_out():
    rng = np.random.default_rng(0)
    real = pd.DataFrame({"n": rng.normal(size=200), "ill": ["no", "yes"] * 100})
    real.loc[0, "n"] = 1e6
    made = real.assign(n=real.n.where(real.n < 1e5, 1e9))
    part = measured(real, made, real)
    assert of(part, "in_range").value == pytest.approx(1 - 1 / 400)
    assert of(part, "range_coverage").value == 1


def test_values_that_train_lacks_are_out_of_range():
    part = measured(frame(1), frame(2).assign(site="moon"), frame(3))
    assert of(part, "column_shape", "all: site").value == 0
    assert of(part, "in_range").value < of(part, "in_range").reference - 0.1  # type: ignore[operator]
    assert of(part, "battery").value < 0.1


# --- rules --------------------------------------------------------------------------------------


def ruled(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    net, tax = rng.integers(1, 400, 200), rng.integers(1, 90, 200)
    start = rng.integers(0, 300, 200)
    code = rng.integers(0, 5, 200)
    return pd.DataFrame(
        {
            "net": net,
            "tax": tax,
            "gross": net + tax,
            "start": pd.Timestamp("2024-01-01") + pd.to_timedelta(start, "D"),
            "end": pd.Timestamp("2024-01-01") + pd.to_timedelta(start + tax, "D"),
            "code": [f"c{k}" for k in code],
            "area": np.array(["east", "west", "south"])[code % 3],
            "ill": rng.choice(["no", "yes"], 200),
        }
    )


@pytest.mark.parametrize(
    ("column", "rule"),
    [("end", "end = start + tax"), ("gross", "net + tax = gross"), ("area", "code decides area")],
)
def test_a_broken_rule_is_found(column: str, rule: str):
    made = ruled(2)
    rng = np.random.default_rng(0)
    made.loc[:49, column] = rng.permutation(made.loc[:49, column].to_numpy())
    part = measured(ruled(1), made, ruled(3))
    score = of(part, "rules_kept")
    assert 0.74 < score.value < 0.95
    assert score.reference == 1
    assert any(f"of 200 synthetic rows break the rule “{rule}”" in note for note in part.notes)


def test_what_no_row_could_break_is_no_rule():
    """Of two columns one is there, so no row has both and they are never unequal."""

    def either(seed: int) -> pd.DataFrame:
        table = frame(seed)
        first = np.random.default_rng(seed).random(300) < 0.5
        return table.assign(a=table.a.where(first), b=table.b.where(~first))

    made = either(2).assign(a=frame(2).a, b=-frame(2).a)
    part = measured(either(1), made, either(3))
    assert not [s for s in part.scores if s.name == "fidelity.rules_kept"]
    few = [either(k).assign(c=frame(k).b.where(frame(k).index < 6)) for k in (1, 2, 3)]
    assert not [n for n in measured(*few).notes if "rule" in n]
    # Shuffled real rows of many missing cells: "TBG + TSH = age" was such a rule.
    rows = [hypothyroid(k) for k in (1, 2, 3)]
    rows[1] = shuffled(rows[1])
    assert not [n for n in measured(*rows).notes if " + " in n]


@pytest.mark.parametrize("kind", ["number", "level"])
def test_a_cell_that_is_missing_where_another_column_says_so(kind: str):
    def tested(seed: int) -> pd.DataFrame:
        table = frame(seed)
        done = np.random.default_rng(seed).random(300) < 0.6
        value = table.dose if kind == "number" else table.site
        return table.assign(done=np.where(done, "y", "n"), found=value.where(done))

    made = tested(2)
    rule = "found is missing exactly where done is n"
    kept = measured(tested(1), made, tested(3))
    assert of(kept, "rules_kept").value == of(kept, "rules_kept").reference == 1
    made.loc[made.index[made.done == "y"][:40], "found"] = None
    broken = measured(tested(1), made, tested(3))
    assert any(f"40 of 300 synthetic rows break the rule “{rule}”" in n for n in broken.notes)
    assert of(broken, "rules_kept").value == pytest.approx(260 / 300)
    # One real row that breaks it is enough; so few missing cells show nothing.
    real = tested(1)
    real.loc[real.index[real.done == "y"][0], "found"] = None
    assert not [n for n in measured(real, made, tested(3)).notes if "missing exactly" in n]
    few = [table.loc[table.done.eq("y") | (table.index < 9)] for table in map(tested, (1, 2, 3))]
    assert not [n for n in measured(*few).notes if "missing exactly" in n]


def test_rules_that_are_kept_say_so_and_chance_is_no_rule(fresh: Part):
    assert of(measured(ruled(1), ruled(2), ruled(3)), "rules_kept").value == 1
    assert not [s for s in fresh.scores if s.name == "fidelity.rules_kept"]
    # In 6 rows almost anything holds, which is no rule.
    few = measured(ruled(1)[:6], ruled(2)[:6], ruled(3)[:6])
    assert not [s for s in few.scores if s.name == "fidelity.rules_kept"]


# --- what must not matter, and what can go wrong ------------------------------------------------


def test_the_seed_decides_and_no_global_state_moves(fresh: Part):
    states = (random.getstate(), repr(np.random.get_state()))  # noqa: NPY002
    again = measured(frame(1), frame(2), frame(3))
    assert again.scores == fresh.scores
    assert states == (random.getstate(), repr(np.random.get_state()))  # noqa: NPY002


@pytest.mark.parametrize("rows", [2, 3, 8])
def test_few_rows_widen_the_interval_and_are_no_sample_for_detectors(rows: int, fresh: Part):
    cut = [frame(seed)[:rows].assign(ill=["no", "yes", *["no"] * (rows - 2)]) for seed in (1, 2, 3)]
    part = measured(*cut)
    assert np.isnan(of(part, "battery").value)
    assert "10 rows of each table" in of(part, "battery").note
    few, many = (of(each, "column_shapes").interval for each in (part, fresh))
    assert few is not None
    assert many is not None
    assert few[1] - few[0] > 2 * (many[1] - many[0])


def test_what_sees_no_connections_has_no_floor(fresh: Part):
    for name in ("column_shapes", "alpha_precision"):
        assert of(fresh, name).floor is None
    for name in ("pair_trends", "beta_recall"):
        assert of(fresh, name).floor is not None
    schema = Schema.infer(frame(1)[["a"]])
    alone = [Table(frame(seed)[["a"]], schema) for seed in (1, 2, 3)]
    scores = fidelity(*alone, group="all", random_state=0).scores
    assert {s.name for s in scores} >= {"fidelity.battery", "fidelity.beta_recall"}
    assert all(s.floor is None for s in scores if "beta" in s.name)


def test_a_floor_of_few_rows_is_no_better_than_real_rows():
    """Where columns do not go together, real rows are what their shuffled columns are."""
    apart = []
    for seed in range(25):
        train, made, held = (shuffled(frame(3 * seed + k, 60), seed=k) for k in range(3))
        draws = drawn(train, made, held)
        source = np.random.SeedSequence(seed)
        part = Part(columns_and_pairs(draws, source) + manifold_scores(draws, source))
        names = ("pair_trends", "mutual_information", "beta_recall")
        scores = [of(part, name) for name in names]
        apart.append([cast(float, s.floor) - cast(float, s.reference) for s in scores])
    error = np.std(apart, axis=0, ddof=1) / np.sqrt(len(apart))
    assert np.all(np.abs(np.mean(apart, axis=0)) < 3 * error + 0.003)


def test_a_column_without_values_is_left_out_of_the_shapes():
    real, made, fresh = (frame(k, 80).assign(note=np.nan) for k in (1, 2, 3))
    real.loc[0, "note"] = 1.5
    part = measured(real, made, fresh)
    gone = of(part, "column_shape", "all: note")
    assert np.isnan(gone.value)
    assert "no value" in gone.note
    others = [s.value for s in part.scores if s.name == "fidelity.column_shape" and s != gone]
    assert of(part, "column_shapes").value == pytest.approx(np.mean(others))
    assert of(part, "missing").value == pytest.approx(1 - 1 / 80)


def test_one_row_has_no_fidelity_but_a_reason():
    one = tables(frame(1), frame(2)[:1], frame(3))
    part = fidelity(*one, group="yes", random_state=0)
    (score,) = part.scores
    assert np.isnan(score.value)
    assert "300, 1, 300 rows" in score.note


def test_odd_columns_are_no_trouble():
    def odd(seed: int) -> pd.DataFrame:
        table = frame(seed, 60)
        table["same"] = 7.0
        table["huge"] = table.a * 1e307
        table["when"] = pd.Timestamp("2020-02-02") + pd.to_timedelta(range(60), "D")
        table["maybe"] = table.a.where(table.a > 0)
        table["flag"] = table.a > 0
        return table

    part = measured(odd(1), odd(2), odd(3))
    assert all(np.isfinite(s.value) for s in part.scores)
    assert of(part, "column_shape", "all: same").value == 1


# --- the class ----------------------------------------------------------------------------------


def test_columns_that_go_with_the_class():
    real, made, fresh = frame(1, 600), frame(2, 600), frame(3, 600)
    good = target_correlation(*tables(real, made, fresh), label=1)
    flipped = made.assign(a=-made.a)
    bad = target_correlation(*tables(real, flipped, fresh), label=1)
    score = of(good, "target_correlation", "yes")
    assert score.interval is not None
    assert score.value == pytest.approx(score.reference, abs=0.05)
    assert of(bad, "target_correlation", "yes").value < score.interval[0]
    one = of(bad, "column_target", "yes: a")
    assert one.reference is not None
    assert one.reference > 0.5
    assert one.value < -0.3
    assert abs(of(good, "column_target", "yes: dose").value) < 0.2
    for score in good.scores:
        assert score.interval is not None
        assert score.interval[0] < score.value < score.interval[1]


def test_how_a_level_goes_with_the_class_does_not_depend_on_how_many_rows_are_made():
    real, made, fresh = frame(1, 900), frame(2, 900), frame(3, 900)
    few = pd.concat([made[made.ill == "yes"][:60], made[made.ill == "no"]])
    part = target_correlation(*tables(real, few, fresh), label=1)
    score = of(part, "column_target", "yes: site")
    assert float(score.note.split()[-1]) == pytest.approx(score.value, abs=0.12)
    assert score.reference == pytest.approx(score.value, abs=0.12)


def test_what_no_row_shows_of_few_has_an_interval_all_the_same() -> None:
    """Halves that are all alike say nothing of how far off a value is."""
    rng = np.random.default_rng(0)
    frames = [
        pd.DataFrame({"a": rng.normal(size=40), "same": "x", "ill": np.arange(40) % 2 == 0})
        for _ in range(3)
    ]
    frames[0].loc[0, "same"] = "y"
    part = measured(*frames)
    shape = of(part, "column_shape", "all: same")
    assert shape.value > 0.95
    assert shape.interval is not None
    low, high = shape.interval
    assert low <= shape.value <= high
    assert high - low > 0.02
    for score in part.scores:
        if score.value == score.value and score.interval is not None:
            assert score.interval[0] < score.interval[1], score.name
