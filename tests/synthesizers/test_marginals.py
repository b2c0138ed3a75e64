"""`PrivateMarginals`: its contract, what its file may hold, and an attack under its bound."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import checks
import numpy as np
import pandas as pd
import pytest
from checks import Make, mixed
from click.testing import CliRunner
from scipy.stats import beta

import synthgen
from synthgen import Column, PrivateMarginals, Schema, Synthesizer, Table
from synthgen.augmentation.rejection import sample_model
from synthgen.cli.main import main
from synthgen.errors import DataError, ModelFileError, UsageError
from synthgen.synthesizers import marginals, measured
from synthgen.synthesizers.declared import Coded
from synthgen.synthesizers.noise import Entropy, noisy, variance_of
from synthgen.training.model_file import read_model, write_model


def public(frame: pd.DataFrame, target: str, **changes: dict[str, Any]) -> Schema:
    """A schema as if it were public; only a test may read it off the rows."""
    inferred = Schema.infer(frame, target=target)
    plain = {"reason": "", "spikes": ()}
    columns = [replace(c, **(plain | changes.get(str(c.name), {}))) for c in inferred.columns]
    return Schema(tuple(columns), target)


# --- types ----------------------------------------------------------------------------------------

CODES = ["250", "401", "428"]


@pytest.mark.parametrize("odd", ["V27", "1.5", "?", "", "-0.0", "1e0", "2.50", "2024-01-01"])
@pytest.mark.parametrize("cells", [CODES, ["True", "False"], ["007", "08", "x"], ["1.5", "2", "x"]])
def test_one_cell_changes_no_level_and_no_code_of_other_rows(
    cells: list[str], odd: str, tmp_path: Path
) -> None:
    rows = cells * 40
    found = []
    for more in ([], [odd]):
        path = tmp_path / "rows.csv"
        lines = [f'{i},"{cell}"' for i, cell in enumerate([*rows, *more])]
        path.write_text("\n".join(["i,code", *lines]), encoding="utf-8")
        series = synthgen.read_table(path)["code"]
        for dtype in ("object", "int64"):
            column = Column("code", "categorical", np.dtype(dtype), missing=0.1)
            learned, _ = measured.levels_above(column, series, 1e6, 1e-6, Entropy())
            given = replace(column, categories=tuple(cells))
            codes = [
                Coded(c, np.zeros(0, np.int64)).encode(series.iloc[: len(rows)]).tolist()
                for c in (given, learned)
            ]
            found.append(([repr(level) for level in learned.categories], codes))
    assert found[:2] == found[2:]
    assert len(set(found[0][1][0])) == len(cells)  # every declared level is found


# --- the contract ---------------------------------------------------------------------------------

X_MIXED, Y_MIXED = mixed()
SCHEMA = public(X_MIXED.assign(outcome=Y_MIXED), "outcome")


def private(**params: Any) -> Synthesizer:
    given = {"epsilon": 1e6, "classes": ["other", "rare"], "schema": SCHEMA}
    return PrivateMarginals(**(given | params))


# Not asked: that a seed repeats a fit (`check_seeds`, `check_same_bytes_in_two_processes`), because
# whoever knows the seed of the noise can subtract it; classes of 2 rows (`check_few_rows`), which
# are refused. Those with tables of their own need schemas of their own, and are asked below.
ASKED = [
    checks.check_exact_rows_and_label,
    checks.check_dtypes_and_order,
    checks.check_schema_is_respected,
    checks.check_global_random_states,
    checks.check_rows_do_not_depend_on_their_batch,
    checks.check_where,
    checks.check_errors,
    checks.check_parameters,
    checks.check_every_weight_moves,
]


@pytest.fixture
def small_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marginals, "LEAST_ROWS", 0)
    monkeypatch.setattr(marginals, "LEAST_CLASS_ROWS", 0)


@pytest.mark.usefixtures("small_tables")
@pytest.mark.parametrize("check", ASKED)
def test_contract(check: Callable[[Make], None]) -> None:
    check(private)


# --- what it learns -------------------------------------------------------------------------------


def patients(rows: int = 6000, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    ill = rng.random(rows) < 0.3
    age = np.clip(rng.normal(45 + 15 * ill, 10), 0, 119).astype(int)
    drug = np.where(rng.random(rows) < 0.8, np.where(age > 50, "beta", "alpha"), "gamma")
    dose = np.where(rng.random(rows) < 0.1, np.nan, (rng.random(rows) * 9 + ill).round(1))
    return pd.DataFrame({"age": age, "drug": drug, "dose": dose, "ill": ill})


PATIENTS = patients()
OF_PATIENTS = Schema(
    (
        Column("age", "integer", np.dtype("int64"), lower=0, upper=120),
        Column("drug", "categorical", np.dtype(object)),
        Column("dose", "numeric", np.dtype(float), lower=0.0, upper=20.0, decimals=1, missing=0.5),
        Column("ill", "boolean", np.dtype(bool), categories=(False, True)),
    ),
    "ill",
)


def fitted(frame: pd.DataFrame = PATIENTS, **params: Any) -> PrivateMarginals:
    given: dict[str, Any] = {"schema": OF_PATIENTS, "epsilon": 5.0}
    return PrivateMarginals(**(given | params)).fit(frame, target="ill")


def test_it_learns_shares_numbers_and_pairs() -> None:
    made = fitted().sample(6000, random_state=0)
    assert list(made.dtypes) == [column.dtype for column in OF_PATIENTS.columns]
    assert abs(made["ill"].mean() - PATIENTS["ill"].mean()) < 0.03
    assert abs(made["dose"].isna().mean() - 0.1) < 0.03
    assert abs(made["age"].mean() - PATIENTS["age"].mean()) < 1.5
    assert abs(made["age"].std() - PATIENTS["age"].std()) < 2
    assert np.array_equal(made["dose"].dropna().round(1), made["dose"].dropna())
    for drug, rows in made.groupby("drug"):
        assert abs(len(rows) / 6000 - (PATIENTS["drug"] == drug).mean()) < 0.04
    gap = made[made["ill"]]["age"].mean() - made[~made["ill"]]["age"].mean()
    assert 11 < gap < 18
    older = made["age"] > 50
    assert (
        (made["drug"][older] == "beta").mean()
        > 0.65
        > 0.15
        > (made["drug"][~older] == "beta").mean()
    )


def test_a_table_with_few_values_dates_and_no_rounding() -> None:
    rng = np.random.default_rng(0)
    when = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, 6000), unit="D")
    frame = pd.DataFrame({"rooms": rng.integers(1, 6, 6000), "when": when})
    frame["share"], frame["sold"] = rng.random(6000), rng.choice(["no", "yes"], 6000)
    day = 86_400 * 10**6 if str(frame["when"].dtype) == "datetime64[us]" else 86_400 * 10**9
    schema = public(frame, "sold", when={"step": day}, share={"lower": 0.0, "upper": 1.0})
    made = PrivateMarginals(schema=schema).fit(frame, target="sold").sample(4000, random_state=0)
    assert set(made["rooms"]) <= set(range(1, 6))
    assert abs(made["rooms"].mean() - 3) < 0.3
    assert (made["when"].dt.normalize() == made["when"]).all()
    assert made["share"].nunique() > 3900
    assert abs(made["share"].mean() - 0.5) < 0.05


def test_noise_has_no_seed_and_sampling_has_one() -> None:
    one, two = fitted(random_state=3), fitted(random_state=3)
    assert one.counts_ != two.counts_ or one.ones_[0].tolist() != two.ones_[0].tolist()
    assert not np.array_equal(one.twos_[0], two.twos_[0])
    pd.testing.assert_frame_equal(one.sample(99, random_state=5), one.sample(99, random_state=5))


# --- what is paid for and what is held ------------------------------------------------------------


def test_the_stages_cost_no_more_than_epsilon_and_delta() -> None:
    guarantee = fitted(epsilon=2.0, delta=1e-7).guarantee_
    assert (guarantee["epsilon"], guarantee["delta"]) == (2.0, 1e-7)
    assert set(guarantee["spent"]) == set(measured.SHARES)
    assert sum(guarantee["spent"].values()) <= guarantee["rho"] * (1 + 1e-9)
    # Half of delta is for the names of drugs, so half is left for the conversion.
    assert marginals.rho_of(2.0, 5e-8) == guarantee["rho"]


def test_every_measurement_has_the_noise_that_it_is_charged_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The Gaussian counts of a fit: their variances add up to what the ledger says."""
    used: list[Fraction] = []

    def watched(counts: np.ndarray, variance: Fraction, randbelow: Any) -> np.ndarray:
        used.append(variance)
        return noisy(counts, variance, randbelow)

    monkeypatch.setattr(marginals, "noisy", watched)
    model = fitted(schema=public(PATIENTS, "ill"))
    spent = model.guarantee_["spent"]
    counted = spent["counts of each column"] + spent["counts of pairs"]
    assert len(used) == 4 + 3
    assert sum(float(1 / (2 * v)) for v in used) == pytest.approx(counted, rel=1e-2)
    assert sum(float(1 / (2 * v)) for v in used) <= counted * (1 + 1e-12)


def test_a_file_holds_what_was_declared_and_measured_and_nothing_else(tmp_path: Path) -> None:
    frame = PATIENTS.copy()
    frame.loc[7, ["drug", "age", "dose"]] = ["once", 119, 19.7]
    model = fitted(frame)
    assert model.save(tmp_path / "m") == []
    data = (tmp_path / "m").read_bytes()
    assert b"beta" in data
    assert b"once" not in data
    header, tensors = read_model(tmp_path / "m")
    assert set(header) == {
        *("class", "params", "guarantee", "target", "counts", "positions", "scope", "columns"),
        *("pairs", "coarsened"),
    }
    age, drug, dose = header["columns"]
    assert (age, dose) == tuple(OF_PATIENTS[name].to_json() for name in ("age", "dose"))
    assert drug["categories"] == ["alpha", "beta", "gamma"]
    whole = {k.split("/")[-1] for k in tensors}
    assert whole == {"starts", "counts"}
    for load in (synthgen.load, PrivateMarginals.load):
        loaded = load(tmp_path / "m")
        assert isinstance(loaded, PrivateMarginals)
        assert (loaded.classes_, loaded.counts_) == (model.classes_, model.counts_)
        assert loaded.guarantee_ == model.guarantee_
        for label in (False, True, None):
            pd.testing.assert_frame_equal(
                loaded.sample(300, label=label, random_state=1),
                model.sample(300, label=label, random_state=1),
            )
        loaded.save(tmp_path / "again")
        assert (tmp_path / "again").read_bytes() == data


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("guarantee", "epsilon"), 0.1),
        (("guarantee", "delta"), 0.0),
        (("params", "epsilon"), -1.0),
        (("positions",), [9]),
        (("pairs",), [[0, 1], [0, 1], [0, 1]]),
        (("columns",), []),
    ],
)
def test_an_edited_file_is_refused(place: tuple[str, ...], value: Any, tmp_path: Path) -> None:
    fitted().save(tmp_path / "m")
    header, tensors = read_model(tmp_path / "m")
    entry = header
    for key in place[:-1]:
        entry = entry[key]
    entry[place[-1]] = value
    write_model(tmp_path / "m", header, tensors)
    with pytest.raises(ModelFileError):
        synthgen.load(tmp_path / "m")


def test_the_loss_of_a_row_is_its_likelihood() -> None:
    model = fitted(classes=[True])
    table = Table.of(PATIENTS.head(400), target="ill")
    losses = model.losses(table, np.random.SeedSequence(0))
    assert losses is not None
    assert np.isnan(losses[~table.labels.astype(bool)]).all()
    ill = losses[table.labels == 1]
    assert np.isfinite(ill).all()
    assert np.allclose(ill[:, 0], ill[:, 1:].sum(1))


# --- refusals -------------------------------------------------------------------------------------


def changed(name: str, **changes: Any) -> Schema:
    columns = [replace(c, **changes) if c.name == name else c for c in OF_PATIENTS.columns]
    return Schema(tuple(columns), "ill")


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (None, "needs a schema with what is public"),
        (Schema.infer(PATIENTS, target="ill"), r"'age' of the schema was inferred from rows"),
        (changed("age", lower=None), r"'age' of the schema has no range: declare one"),
        (changed("ill", kind="categorical", categories=()), "'ill' .* the target, needs its clas"),
        (changed("drug", dtype=np.dtype("M8[s]")), "'drug' .* levels of type datetime64.* as text"),
        (
            changed("drug", dtype=pd.PeriodDtype("D")),
            "'drug' .* holds periods .* make the column text",
        ),
        (changed("drug", dtype=np.dtype("M8[s]"), categories=("soon",)), "'drug' .* cannot hold"),
        (changed("drug", dtype=np.dtype("int8"), categories=(1, 300)), "'drug' .* cannot hold"),
        (changed("drug", dtype=np.dtype(int), categories=(0, 0.5)), "'drug' .* cannot hold"),
        (changed("drug", dtype=np.dtype(int), categories=("a", "b")), "'drug' .* int64, cannot"),
        (Schema(OF_PATIENTS.columns[1:], "ill"), "'age' is not in the schema: declare it there"),
    ],
)
def test_a_schema_that_is_not_public_is_refused(schema: Schema | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        fitted(schema=schema)


@pytest.mark.parametrize(
    "params", [{"epsilon": 0}, {"epsilon": math.inf}, {"delta": 0.01}, {"delta": 1e-12}]
)
def test_an_epsilon_or_delta_that_means_nothing_is_refused(params: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(params))} must be a number from"):
        fitted(**params)


def test_small_tables_and_classes_are_refused_by_their_noisy_counts() -> None:
    with pytest.raises(DataError, match=r"about 3,\d\d\d rows \(a noisy count\).* about 5,000"):
        fitted(PATIENTS.head(3500))
    few = pd.concat([PATIENTS[~PATIENTS["ill"]], PATIENTS[PATIENTS["ill"]].head(300)])
    few = pd.concat([few, few[~few["ill"]]])
    with pytest.raises(DataError, match=r"class True has about \d\d\d rows \(a noisy count\)"):
        fitted(few)
    assert fitted(few, classes=[False]).classes_ == (False,)


def test_rows_are_not_compared_with_real_ones() -> None:
    model = fitted()
    with pytest.raises(UsageError, match="would break the differential-privacy guarantee"):
        synthgen.augment(PATIENTS, target="ill", model=model, n_samples=10)
    rows, found = sample_model(model, 50, rules=["age < 60"], random_state=0)
    assert (rows["age"] < 60).all()
    assert found["guarantee"].startswith("(epsilon 5, delta 1e-06)-differential privacy for ")


def test_the_command_line_says_the_guarantee(tmp_path: Path) -> None:
    def run(*arguments: str) -> str:
        result = CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return " ".join(result.output.split())

    model, rows, schema = (str(tmp_path / name) for name in ("m", "rows.csv", "schema.json"))
    PATIENTS.to_csv(tmp_path / "t.csv", index=False)
    Path(schema).write_text(json.dumps(OF_PATIENTS.to_json()))
    words = "(epsilon 3, delta 1e-06)-differential privacy for tables that differ by one row, "
    words += "added or removed"
    told = run(
        *("fit", str(tmp_path / "t.csv"), "--target", "ill", "--synthesizer", "private"),
        *("--set", "epsilon=3", "--schema", schema, "-o", model, "--json", str(tmp_path / "j")),
    )
    assert words in told
    assert "PrivateMarginals of False, True" in told
    assert words in json.loads((tmp_path / "j").read_text())["guarantee"]
    shown = run("show", model)
    assert f"guarantee: {words}" in shown
    assert "noisy counts of columns and of pairs" in shown
    assert "fewer than 5 rows share" not in shown
    assert words in run("sample", model, "-n", "20", "-o", rows)
    run("sample", model, "-n", "20", "-o", f"{tmp_path / 'folder'}/")
    assert words in json.loads((tmp_path / "folder" / "_manifest.json").read_text())["guarantee"]


# --- an attack under the bound --------------------------------------------------------------------

OTHERS = patients(5200, seed=1)
CANARY = pd.DataFrame({"age": [0], "drug": ["omega"], "dose": [20.0], "ill": [True]})
KNOWN = changed("drug", categories=("alpha", "beta", "gamma", "omega"))


def suspicion(model: PrivateMarginals, table: Table) -> float:
    """Log-likelihood ratio of the canary, for an attacker who knows all other rows.

    Each noisy count that the canary is in is Gaussian around the others' count or one more.
    """
    spent, names = model.guarantee_["spent"], [part.column.name for part in model.parts_]
    others = [p.encode(table.frame[n]) for p, n in zip(model.parts_, names, strict=True)]
    codes = [int(p.encode(CANARY[n])[0]) for p, n in zip(model.parts_, names, strict=True)]
    total = 0.0
    for stage, measured_counts in (
        ("counts of each column", [((j,), c) for j, c in enumerate(model.ones_)]),
        ("counts of pairs", list(zip(model.pairs_, model.twos_, strict=True))),
    ):
        variance = float(variance_of(spent[stage] / len(measured_counts)))
        for places, counts in measured_counts:
            here = tuple(codes[j] for j in places)
            known = int(np.all([others[j] == codes[j] for j in places], axis=0).sum())
            total += (int(counts[here]) - known - 0.5) / variance
    return total


def bound_below(without: np.ndarray, with_canary: np.ndarray, delta: float) -> float:
    """A lower bound of epsilon (95 %) from suspicions, as Jagielski et al. 2020 compute it.

    Half of the fits choose the threshold, the other half are counted, with Clopper-Pearson limits.
    """
    half = len(without) // 2

    def bound(threshold: float, out: np.ndarray, inside: np.ndarray) -> float:
        found = []
        for hits, alarms, n in (
            ((inside > threshold).sum(), (out > threshold).sum(), len(out)),
            ((out <= threshold).sum(), (inside <= threshold).sum(), len(out)),
        ):
            least = beta.ppf(0.025, hits, n - hits + 1) if hits else 0.0
            most = beta.ppf(0.975, alarms + 1, n - alarms) if alarms < n else 1.0
            found.append(math.log(max(least - delta, 1e-12) / most))
        return max(found)

    some = np.quantile(np.append(without[:half], with_canary[:half]), np.linspace(0.02, 0.98, 97))
    best = max(some, key=lambda t: bound(t, without[:half], with_canary[:half]))
    return bound(float(best), without[half:], with_canary[half:])


def attacked(epsilon: float, fits: int) -> float:
    """The lower bound of epsilon that the attack reaches."""
    tables = [
        Table.of(frame, target="ill", schema=KNOWN)
        for frame in (OTHERS, pd.concat([OTHERS, CANARY], ignore_index=True))
    ]
    found = []
    for table in tables:
        models = (PrivateMarginals(epsilon=epsilon, schema=KNOWN) for _ in range(fits))
        found.append(np.array([suspicion(m.fit_table(table), tables[0]) for m in models]))
    return bound_below(found[0], found[1], 1e-6)


@pytest.mark.slow
def test_an_attack_on_the_file_stays_under_the_bound() -> None:
    assert attacked(2.0, fits=250) <= 2.0


@pytest.mark.slow
def test_shadow_models_learn_with_the_declared_schema() -> None:
    found = synthgen.privacy(fitted(epsilon=1.0), PATIENTS, patients(seed=2), target="ill")
    assert found.likelihood
    assert found.worst("file").tpr_10 < 0.15


@pytest.mark.slow
def test_the_attack_catches_noise_that_is_too_small(monkeypatch: pytest.MonkeyPatch) -> None:
    def quiet(counts: np.ndarray, variance: Fraction, randbelow: Any) -> np.ndarray:
        return noisy(counts, variance / 100, randbelow)

    monkeypatch.setattr(marginals, "noisy", quiet)
    assert attacked(2.0, fits=250) > 2.0
