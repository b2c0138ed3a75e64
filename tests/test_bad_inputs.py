"""Bad and hard inputs, one case for each: handled, or refused with a clear error, at once.

Each case goes through the API and, where a file can hold it, through the command line. `ELSEWHERE`
names the tests of those that need a process, a fault or a long training. How many there are:
``python tests/test_bad_inputs.py``.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from click.testing import CliRunner
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from synthgen import CTGAN, TVAE, Oversampler, SmoothedBootstrap, TabFlow, audit, load, read_table
from synthgen.auditing import model as audit_model
from synthgen.augmentation.augment import augment
from synthgen.augmentation.augmented import Augmented
from synthgen.cli.main import main
from synthgen.errors import SynthgenError

ROWS, RARE = 60, 12


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def base(**columns: Any) -> pd.DataFrame:
    """60 rows, 12 of them "yes", with more columns."""
    frame = pd.DataFrame({"x": rng().normal(size=ROWS).round(3), "kind": ["a", "b", "c"] * 20})
    frame = frame.assign(y=(["no"] * 4 + ["yes"]) * 12)
    for name, values in columns.items():
        frame[name] = values
    return frame


def cycle(*values: Any) -> list[Any]:
    return [values[i % len(values)] for i in range(ROWS)]


def renamed(*names: Any) -> pd.DataFrame:
    frame = base()
    frame.columns = pd.Index([*names, "y"], dtype=object, tupleize_cols=False)
    return frame


@dataclass(frozen=True)
class Case:
    """A frame, and how it ends.

    Attributes:
        frame: Makes it.
        code: Of the error; None: it is handled.
        says: What the message must name.
        check: What else must be true of what was made.
        audit_code: Of the error of `audit`, where it is another; 0: it is handled there.
        file: Whether Parquet can hold it, so that the command line gets it too.
        cli_code: Of the error on the command line, where the file makes another of it.
        options: Arguments of `augment`.
    """

    frame: Callable[[], pd.DataFrame]
    code: int | None = None
    says: str = ""
    check: Callable[[Augmented], Any] | None = None
    audit_code: int | None = None
    file: bool = True
    cli_code: int | None = None
    options: tuple[tuple[str, Any], ...] = ()


def same_text(result: Augmented) -> None:
    assert set(result.synthetic["c"]) <= set(result.real["c"])


def no_text(result: Augmented) -> None:
    """No cell of a real row that fewer than five rows share."""
    seen = result.real["c"].value_counts()
    assert not set(result.synthetic["c"]) & set(seen.index[seen < 5])


def mostly_zero(result: Augmented) -> None:
    assert (result.synthetic["c"] == 0).mean() > 0.8


def odd(result: Augmented) -> None:
    assert (result.synthetic["c"].to_numpy() % 2 == 1).all()


def new_ids(result: Augmented) -> None:
    assert result.frame["c"].is_unique
    assert dict(result.not_learned)["c"].startswith("new IDs (")


def classes_of(*counts: int) -> list[str]:
    return [f"k{i:02d}" for i, n in enumerate(counts) for _ in range(n)]


def sized(target: list[Any], **columns: Any) -> pd.DataFrame:
    frame = pd.DataFrame({"x": rng().normal(size=len(target)), "y": target})
    return frame.assign(**columns)


TABLES: dict[str, Case] = {
    "no rows": Case(lambda: base().iloc[:0], 336, "0 rows.*check how it was made", cli_code=315),
    "no columns": Case(
        lambda: pd.DataFrame(index=range(9)), 336, "0 columns.*check how", cli_code=315
    ),
    "the target alone": Case(lambda: base()[["y"]]),
    "one row": Case(lambda: base().iloc[:1], 341, "only one class, 'no'.*choose another"),
    "one minority row": Case(
        lambda: sized(["n"] * 30 + ["m"]), 202, "'m' has 1 row.*collect more", audit_code=0
    ),
    "two minority rows": Case(lambda: sized(["n"] * 30 + ["m"] * 2)),
    "one class only": Case(
        lambda: base().assign(y="no"), 341, "only one class, 'no'.*choose another target"
    ),
    "a class of 1 among twenty": Case(
        lambda: sized(classes_of(1, *[9] * 19)), 202, "'k00' has 1 row.*collect", audit_code=0
    ),
    "a class of 2 among twenty": Case(lambda: sized(classes_of(2, *[9] * 19))),
    "all missing": Case(
        lambda: base(c=np.nan), check=lambda r: all(r.synthetic["c"].isna()) or 1 / 0
    ),
    "constant": Case(lambda: base(c=7), check=same_text),
    "inf": Case(lambda: base(c=[1.0] * 59 + [np.inf]), 344, "'c', row 59: inf is inf.*replace"),
    "-inf": Case(lambda: base(c=[-np.inf] + [1.0] * 59), 344, "'c', row 0: -inf is inf.*replace"),
    "1, a, None, 2.5": Case(lambda: base(c=cycle(1, "a", None, 2.5)), file=False),
    "odd integers above 2^53": Case(
        lambda: base(c=2**60 + 1 + 2 * rng().integers(0, 10**6, ROWS)), check=odd
    ),
    "extremes of int64": Case(
        lambda: base(c=np.where(np.arange(ROWS) % 2, 2**63 - 1, -(2**63)) + 0)
    ),
    "near 1e308": Case(lambda: base(c=1.7e308 * np.linspace(-1, 1, ROWS))),
    "near 1e-300": Case(lambda: base(c=np.linspace(1e-300, 9e-300, ROWS))),
    "near 1e308 beside 1e-300": Case(
        lambda: base(c=cycle(1.7e308, -1.7e308, 1e-300, -1e-300, 2.5e-300))
    ),
    "lognormal, sigma 6": Case(lambda: base(c=rng().lognormal(0, 6, ROWS))),
    "nearly all zeros": Case(
        lambda: sized(["n"] * 180 + ["m"] * 20, c=[0.0] * 199 + [3.25]), check=mostly_zero
    ),
    "0/1 flags": Case(lambda: base(c=np.arange(ROWS) % 2), check=lambda r: same_text(r)),
    "very long strings": Case(lambda: base(c=cycle("a" * 100_000, "b" * 100_000)), check=same_text),
    "free text, all unique": Case(
        lambda: base(c=[f"patient {i} came in at {i} o'clock with pain" for i in range(ROWS)]),
        check=no_text,
    ),
    "free text, 100 of 200": Case(
        lambda: sized(
            ["n"] * 150 + ["m"] * 50,
            c=[f"patient {i // 2} came in at {i // 2} o'clock with pain" for i in range(200)],
        ),
        check=no_text,
    ),
    "emoji": Case(lambda: base(c=cycle("😀", "👩‍⚕️")), check=same_text),
    "right to left": Case(lambda: base(c=cycle("שלום", "مرحبا")), check=same_text),
    "newlines": Case(lambda: base(c=cycle("a\nb", "c\r\nd")), check=same_text),
    "NUL": Case(lambda: base(c=cycle("a\0b", "\0")), check=same_text),
    "a lone surrogate": Case(
        lambda: base(c=pd.Series(cycle("a\ud800", "b"), dtype=object)), check=same_text, file=False
    ),
    "duplicate names": Case(
        lambda: renamed("x", "x"), 337, "column 'x' appears more than once: rename", file=False
    ),
    "integer names": Case(lambda: renamed(0, 1), file=False),
    "mixed names": Case(lambda: renamed(0, "0"), file=False),
    "tuple names": Case(lambda: renamed(("a", 1), ("a", 2)), file=False),
    "an empty name": Case(lambda: renamed("", "x")),
    "padded names": Case(lambda: renamed(" x", "x ")),
    "10,000 IDs": Case(
        lambda: sized(["n"] * 9000 + ["m"] * 1000, c=np.arange(10_000) + 500), check=new_ids
    ),
    "10,000 levels": Case(
        lambda: sized(
            ["n"] * 9000 + ["m"] * 1000, c=pd.Categorical([f"v{i}" for i in range(10_000)])
        )
    ),
    "dates with a zone": Case(
        lambda: base(c=pd.date_range("2024-01-01", periods=ROWS, freq="h", tz="Europe/Berlin"))
    ),
    "dates beyond nanoseconds": Case(
        lambda: base(c=np.array([f"{1000 + 100 * i}-01-01" for i in range(ROWS)], "M8[s]"))
    ),
    "timedelta": Case(lambda: base(c=pd.to_timedelta(np.arange(ROWS), unit="h"))),
    "object booleans with NA": Case(lambda: base(c=cycle(True, False, None))),
    "nullable booleans": Case(lambda: base(c=pd.array(cycle(True, False, None), "boolean"))),
    "Int64": Case(lambda: base(c=pd.array([*range(59), None], "Int64"))),
    "Float64": Case(lambda: base(c=pd.array([*np.arange(59) / 4, None], "Float64"))),
    "string": Case(lambda: base(c=pd.array(cycle("a", "b", None), "string"))),
    "Arrow numbers": Case(
        lambda: base(c=pd.Series([*range(59), None], dtype=pd.ArrowDtype(pa.int32())))
    ),
    "Arrow text": Case(
        lambda: base(c=pd.Series(cycle("a", None), dtype=pd.ArrowDtype(pa.string())))
    ),
    "ordered, with unused levels": Case(
        lambda: base(c=pd.Categorical(cycle("lo", "hi"), ["lo", "mid", "hi"], ordered=True)),
        check=lambda r: list(r.frame["c"].cat.categories) == ["lo", "mid", "hi"] or 1 / 0,
    ),
    "complex": Case(lambda: base(c=1 + 2j), 343, "'c' is complex128: split it", file=False),
    "bytes": Case(lambda: base(c=cycle(b"a", b"b")), 345, "'c', row 0: b'a', a bytes.*turn it"),
    "lists": Case(lambda: base(c=[[1, 2]] * ROWS), 345, "'c', row 0: .*1, 2.*turn it"),
    "Decimal": Case(lambda: base(c=cycle(Decimal("1.5"))), 345, "'c', row 0: Decimal.*turn it"),
    "email, a plain category": Case(
        lambda: base(c=cycle("daily", "never")).rename(columns={"c": "email"}),
        check=lambda r: set(r.synthetic["email"]) <= {"daily", "never"} or 1 / 0,
    ),
    "an index of its own": Case(lambda: base().set_index(pd.RangeIndex(5, 65)), file=False),
    "a string index": Case(
        lambda: base().set_index(pd.Index(list(map(str, range(60))))), file=False
    ),
    "a duplicated index": Case(lambda: base().set_index(pd.Index([3] * 60)), file=False),
    # Target and requests
    "target with NaN": Case(
        lambda: base().assign(y=pd.Series([None, *(["no"] * 4 + ["yes"]) * 11, *["no"] * 4])),
        339,
        "target 'y', row 0.*drop them",
    ),
    "a numeric target": Case(
        lambda: base().assign(y=np.arange(ROWS) / 7), 342, "60 distinct values.*regression.*cut"
    ),
    "1 and '1'": Case(
        lambda: base().assign(y=cycle(1, "1")),
        340,
        r"1 \(int\) and '1' \(str\).*one type",
        file=False,
    ),
    "0.0/1.0 and 1 asked for": Case(
        lambda: base().assign(y=np.repeat([0.0, 1.0], [40, 20])), options=(("labels", [1]),)
    ),
    "0.0/1.0 and '1' asked for": Case(
        lambda: base().assign(y=np.repeat([0.0, 1.0], [40, 20])), options=(("labels", ["1"]),)
    ),
    "an unknown class": Case(
        base,
        201,
        "label 'maybe' is no class.*'no', 'yes'.*name one",
        options=(("labels", ["maybe"]),),
    ),
    "n = 0": Case(base, 276, "from 1, not 0", cli_code=200, options=(("n_samples", 0),)),
    "n = -5": Case(base, 276, "not -5", cli_code=200, options=(("n_samples", -5),)),
    "n = 2.7": Case(base, 276, "not 2.7", cli_code=200, options=(("n_samples", 2.7),)),
    "n = '10'": Case(base, 276, "not '10'", file=False, options=(("n_samples", "10"),)),
    "n = True": Case(base, 276, "not True", cli_code=200, options=(("n_samples", True),)),
    "n = 10^9": Case(base, 204, "1,000,000,000 rows .*ask for", options=(("n_samples", 10**9),)),
    "n = 10^12": Case(base, 204, "need about .* ask for at most", options=(("n_samples", 10**12),)),
    "ratio 0": Case(base, 277, "ratio must be .*above 0.*not 0", options=(("ratio", 0.0),)),
    "a ratio that is reached": Case(
        base, 278, "'yes' has 12 rows.*give a greater one", options=(("ratio", 0.1),)
    ),
    "ratio and n": Case(
        base, 275, "0.5 and .*3.* both.*give|drop", options=(("ratio", 0.5), ("n_samples", 3))
    ),
    "already balanced": Case(lambda: base().assign(y=cycle("no", "yes"))),
    "a class of 0.1 %": Case(
        lambda: sized(["n"] * 4995 + ["m"] * 5), options=(("n_samples", 300),)
    ),
}


def inside(result: Augmented) -> None:
    """New numbers lie between the real ones, and new levels are real ones."""
    for column in result.schema.features:
        if column.kind not in ("numeric", "integer", "datetime", "categorical", "boolean"):
            continue
        old, new = (f[column.name].dropna() for f in (result.real, result.synthetic))
        if column.kind in ("categorical", "boolean"):
            assert set(new.astype(object)) <= set(old.astype(object))
        elif len(new):
            assert old.min() <= new.min()
            assert new.max() <= old.max()
        assert len(new) == len(result.synthetic) or len(old) < len(result.real)


def check_result(result: Augmented, frame: pd.DataFrame, case: Case) -> None:
    assert result.frame.columns.equals(frame.columns)
    real = result.frame.iloc[: len(frame)]
    pd.testing.assert_frame_equal(real, frame.reset_index(drop=True), check_categorical=False)
    addition = result.additions[0]
    assert len(result.frame) == len(frame) + addition.rows
    assert (result.synthetic["y"] == addition.label).all()
    for name, old, new in zip(frame, frame.dtypes, result.frame.dtypes, strict=True):
        assert old == new, name
    inside(result)
    if case.check is not None:
        case.check(result)


@pytest.mark.parametrize("name", TABLES)
def test_tables_and_requests(name: str) -> None:
    case = TABLES[name]
    frame = case.frame()
    before = frame.copy(deep=True)
    options: dict[str, Any] = dict(case.options)
    if not {"ratio", "n_samples"} & {*options}:
        options["ratio"] = "double"  # so that there are rows to check
    if case.code is None:
        check_result(
            augment(frame, "y", synthesizer="bootstrap", random_state=0, **options), frame, case
        )
    else:
        with pytest.raises(SynthgenError, match=f"(?s){case.says}") as caught:
            augment(frame, "y", synthesizer="bootstrap", random_state=0, **options)
        assert caught.value.code == case.code
    pd.testing.assert_frame_equal(frame, before)


def command(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)
    return result.exit_code, result.stderr


@pytest.mark.parametrize("name", [name for name, case in TABLES.items() if case.file])
def test_tables_and_requests_on_the_command_line(name: str, tmp_path: Path) -> None:
    case = TABLES[name]
    frame = case.frame()
    source, out = tmp_path / "data.parquet", tmp_path / "out.parquet"
    frame.to_parquet(source, index=False)
    before = source.read_bytes()
    flags = {"labels": "--label", "n_samples": "-n", "ratio": "--ratio"}
    options = [
        text
        for key, value in case.options
        for text in (flags[key], value[0] if isinstance(value, list) else value)
    ]
    status, said = command(
        *("augment", source, "--target", "y", "--synthesizer", "bootstrap", "--seed", 0),
        *("-o", out, *options),
        *(() if {"-n", "--ratio"} & {*options} else ("--ratio", "double")),
    )
    code = case.cli_code or case.code
    if code is None:
        assert status == 0, said
        assert len(pd.read_parquet(out)) > len(frame)
    else:
        assert status == code // 100, said
        assert f"error E{code}: " in said
        assert case.cli_code or re.search(case.says, said), said
        assert not out.exists()
    assert source.read_bytes() == before


def no_long_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_model, "AUDIT", {"max_iter": 2})
    monkeypatch.setattr(audit_model, "REPLICATES", 20)


def ending(case: Case) -> int:
    """The code with which an audit of the case ends; 0: well."""
    return (case.code or 0) if case.audit_code is None else case.audit_code


AUDITED = [name for name, case in TABLES.items() if not case.options and name != "no columns"]


@pytest.mark.parametrize("name", AUDITED)
def test_tables_are_audited(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    no_long_audit(monkeypatch)
    case = TABLES[name]
    frame = case.frame()
    before = frame.copy(deep=True)
    X, y = frame.drop(columns="y"), frame["y"]
    if code := ending(case):
        with pytest.raises(SynthgenError, match=f"(?s){case.says}") as caught:
            audit(X, y)
        assert caught.value.code == code
    else:
        found = audit(X, y)
        assert found.note_lines()
        assert found.minority.rows == y.value_counts()[y.value_counts() > 0].min()
        json.dumps(found.to_json(), allow_nan=False)
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize("name", [name for name in AUDITED if TABLES[name].file])
def test_tables_are_audited_on_the_command_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_long_audit(monkeypatch)
    case = TABLES[name]
    source, page = tmp_path / "data.parquet", tmp_path / "audit.html"
    case.frame().to_parquet(source, index=False)
    status, said = command("audit", source, "--target", "y", "--html", page, "--json", "-")
    code = case.cli_code or ending(case)
    assert status == code // 100, said
    assert page.exists() == (not code)
    assert not code or f"error E{code}: " in said


@pytest.mark.slow
@pytest.mark.parametrize("make", [CTGAN, TVAE, TabFlow])
@pytest.mark.parametrize("name", [name for name, case in TABLES.items() if case.code is None])
def test_tables_are_learned_by_every_network(
    name: str, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After so few steps rows are of little worth, but each is within all limits."""
    monkeypatch.setattr("synthgen.augmentation.rejection.ROUNDS", 3)
    case = TABLES[name]
    frame = case.frame()
    model = make(steps=3, batch_size=64, scope="all", device="cpu")
    if make is TabFlow:
        model.set_params(solver_steps=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # rows resampled, or near copies let through
        result = augment(frame, "y", synthesizer=model, random_state=0, **dict(case.options))
    check_result(result, frame, Case(case.frame, check=None if "zeros" in name else case.check))


# --- requests of the other doors ------------------------------------------------------------------

REQUESTS: dict[str, tuple[Callable[[], Any], int, str]] = {
    **{
        f"sample({n!r})": (
            lambda n=n: bootstrap().sample(cast(Any, n), label="yes"),
            203,
            f"from 1, not {re.escape(repr(n))}",
        )
        for n in (0, -5, 2.7, "10", True, None)
    },
    "sample(10^9)": (lambda: bootstrap().sample(10**9), 204, "1,000,000,000 rows .*at most"),
    "a network's sample(10^9)": (
        lambda: network().sample(10**9),
        204,
        "at most .*several times, each time with a new seed",
    ),
    "sample(10^12)": (lambda: bootstrap().sample(10**12), 204, "need about .*ask for at most"),
    "sample of an unknown class": (
        lambda: bootstrap().sample(3, label="z"),
        201,
        "'z' is no class.*'no', 'yes': name one",
    ),
    "X and y of other lengths": (
        lambda: SmoothedBootstrap().fit(base()[["x"]], base()["y"][:-1]),
        334,
        "X has 60 rows and y has 59: give one label for each",
    ),
    "X and y of other indexes": (
        lambda: SmoothedBootstrap().fit(base()[["x"]], base()["y"].set_axis(range(59, -1, -1))),
        328,
        "row 0: 0 and 59: align",
    ),
    **{
        f"sampling_strategy={asked!r}": (
            lambda asked=asked: oversampled(asked),
            code,
            says,
        )
        for asked, code, says in (
            ({"yes": 3}, 244, "greater or equal.*rows present.*'yes': 12"),
            ({"yes": 10**9}, 204, "999,999,988 rows need .*ask for at most"),
            ({"maybe": 30}, 244, "maybe.*rows present"),
            ({"yes": -4}, 244, "-4.*rows present"),
            (0.1, 244, r"0.1 \(4 rows\).*'yes': 12"),
            (1.5, 241, "sampling_strategy.*1.5"),
            ("most", 241, "sampling_strategy.*'most'"),
            (-0.5, 241, "sampling_strategy.*-0.5"),
        )
    },
    "a share of three classes": (
        lambda: Oversampler("bootstrap", sampling_strategy=0.9).fit_resample(
            base()[["x"]], base()["kind"]
        ),
        244,
        "0.9.*rows present",
    ),
    "a column missing after fit": (
        lambda: with_model(base().drop(columns="kind")),
        361,
        "column 'kind' is missing.*train again",
    ),
    "a column added after fit": (
        lambda: with_model(base(more=1)),
        361,
        "column 'more' is unknown to the model.*give it the columns",
    ),
    "a column retyped after fit": (
        lambda: with_model(base().assign(x=lambda f: "x" + f["x"].astype(str))),
        361,
        "column 'x' is (object|str), the model learned float64.*train again",
    ),
    "0 steps": (lambda: network(steps=0), 232, "steps must be .* from 1, not 0"),
    "-1 steps": (lambda: network(steps=-1), 232, "not -1"),
    "a batch of 1": (lambda: network(batch_size=1), 232, "batch_size .* from 2, not 1"),
    "a learning rate of 0": (lambda: network(learning_rate=0), 233, "not 0"),
}
if not torch.cuda.is_available():
    REQUESTS["a GPU that is not there"] = (lambda: network(device="cuda"), 212, "'cuda'.*cpu")


def bootstrap() -> SmoothedBootstrap:
    return SmoothedBootstrap(random_state=0).fit(base()[["x", "kind"]], base()["y"])


def oversampled(asked: Any) -> Any:
    sampler = Oversampler("bootstrap", sampling_strategy=asked, random_state=0)
    return sampler.fit_resample(base()[["x"]], base()["y"])


def with_model(frame: pd.DataFrame) -> Augmented:
    return augment(frame, "y", model=bootstrap(), random_state=0)


def network(**params: Any) -> TVAE:
    model = TVAE(**{"steps": 3, "scope": "all", "device": "cpu", "random_state": 0} | params)
    return model.fit(base()[["x", "kind"]], base()["y"])


@pytest.mark.parametrize("name", REQUESTS)
def test_requests_and_parameters(name: str) -> None:
    call, code, says = REQUESTS[name]
    with pytest.raises(SynthgenError, match=f"(?s){says}") as caught:
        call()
    assert caught.value.code == code
    assert len(caught.value.message) < 600


HANDLED: dict[str, Callable[[], Any]] = {
    "a column in another place after fit": lambda: with_model(base()[["y", "kind", "x"]]),
    "an odd batch": lambda: network(batch_size=17).sample(5),
    "a batch larger than the table": lambda: network(batch_size=999).sample(5),
    "already balanced": lambda: Oversampler("bootstrap").fit_resample(
        base()[["x"]], cycle("a", "b")
    ),
}


@pytest.mark.parametrize("name", HANDLED)
def test_requests_that_are_handled(name: str) -> None:
    assert HANDLED[name]() is not None


def test_sample_before_fit() -> None:
    # scikit-learn's own error, which is what its tools look for.
    copy: Any = clone(bootstrap())
    for model in (SmoothedBootstrap(), CTGAN(), copy):
        with pytest.raises(NotFittedError, match=r"not fitted yet\. Call 'fit'"):
            model.sample(1)


def test_an_automatic_device_says_what_it_chose(tmp_path: Path) -> None:
    base().to_csv(tmp_path / "data.csv", index=False)
    line = ("fit", tmp_path / "data.csv", "--target", "y", "--synthesizer", "tvae", "--seed", 0)
    done = CliRunner().invoke(
        main, list(map(str, [*line, "--set", "steps=3", "-o", tmp_path / "m.synthgen"]))
    )
    assert f"trained on {'cuda' if torch.cuda.is_available() else 'cpu'}" in done.stdout


def test_a_learning_rate_that_diverges_ends_after_three_tries(tmp_path: Path) -> None:
    base().to_csv(tmp_path / "data.csv", index=False)
    line = ("fit", tmp_path / "data.csv", "--target", "y", "--synthesizer", "tvae", "--seed", 0)
    settings = ("--set", "learning_rate=1e6", "--set", "scope=all")
    status, said = command(*line, *settings, "-o", tmp_path / "m.synthgen")
    assert status == 6
    assert said.count("it goes back to step 0 with a tenth of the learning rate") == 3
    assert re.search("error E601: .* of the learning rates .*: lower the learning rate", said)
    assert [p.name for p in tmp_path.iterdir()] == ["data.csv"]


SETTINGS: dict[str, int] = {
    "--set steps=0": 232,
    "--set steps=-1": 232,
    "--set batch_size=1": 232,
    "--set learning_rate=0": 233,
    "--set stpes=3": 285,
    "--device gpu": 211,
    "--rows 0": 200,
    "--rows 2.7": 200,
    "--rows ten": 200,
    "--rows 1000000000": 204,
    "--label maybe": 201,
    "--synthesizer ctgann": 205,
    "--rule kind<": 251,
    "--seed -1": 200,
    "--ratio x": 277,
    "--target z": 215,
}
if not torch.cuda.is_available():
    SETTINGS["--device cuda"] = 212


@pytest.mark.parametrize("options", SETTINGS)
def test_settings_on_the_command_line(options: str, tmp_path: Path) -> None:
    base().to_csv(tmp_path / "data.csv", index=False)
    line = ["augment", tmp_path / "data.csv", "-o", tmp_path / "out.csv"]
    line += ["--target", "y", "--synthesizer", "tvae", "--seed", 0, *options.split()]
    status, said = command(*line)
    assert f"error E{SETTINGS[options]}: " in said
    assert status == SETTINGS[options] // 100
    assert options.split()[1].split("=")[0] in said.replace(",", "")
    assert [p.name for p in tmp_path.iterdir()] == ["data.csv"]


# --- files ----------------------------------------------------------------------------------------

TABLE = "a,b\n1,x\n2,y\n3,x\n"


def parquet() -> bytes:
    pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "x"]}).to_parquet(file := io.BytesIO())
    return file.getvalue()


READ: dict[str, tuple[str, bytes, dict[str, list[Any]]]] = {
    "byte order mark": ("t.csv", b"\xef\xbb\xbf" + TABLE.encode(), {"a": [1, 2, 3]}),
    "semicolons": ("t.csv", TABLE.replace(",", ";").encode(), {"b": ["x", "y", "x"]}),
    "tabs": ("t.csv", TABLE.replace(",", "\t").encode(), {"b": ["x", "y", "x"]}),
    "UTF-16": ("t.csv", TABLE.encode("utf-16"), {"a": [1, 2, 3]}),
    "latin-1": ("t.csv", "a,b\n1,é\n2,ü\n".encode("latin-1"), {"b": ["é", "ü"]}),
    "gzip": ("t.csv.gz", gzip.compress(TABLE.encode()), {"a": [1, 2, 3]}),
    "gzip that is not called so": ("t.csv", gzip.compress(TABLE.encode()), {"a": [1, 2, 3]}),
    "leading zeros": ("t.csv", b"a,b\n00123,x\n00456,y\n", {"a": ["00123", "00456"]}),
    "the category NA": ("t.csv", b"a,b\n1,NA\n2,x\n", {"b": ["NA", "x"]}),
    "CSV called Parquet": ("t.parquet", TABLE.encode(), {"b": ["x", "y", "x"]}),
    "Parquet called CSV": ("t.csv", parquet(), {"a": [1, 2, 3], "b": ["x", "y", "x"]}),
    "no end of the last line": ("t.csv", TABLE.rstrip().encode(), {"a": [1, 2, 3]}),
    "the category None": ("t.csv", b"a,b\n1,None\n2,x\n", {"b": ["None", "x"]}),
    "quoted newlines": ("t.csv", b'a,b\n1,"x\ny"\n2,z\n', {"b": ["x\ny", "z"]}),
}
REFUSED: dict[str, tuple[str, bytes, int, str]] = {
    "ragged": (
        "t.csv",
        b"a,b\n1,x\n2,y,z\n",
        321,
        "line 3: expected 2 fields.*found 3: complete it",
    ),
    "a truncated last row": (
        "t.csv",
        b"a,b,c\n1,x,y\n2,z",
        321,
        "line 3: expected 3 fields.*found 2: .*cut off",
    ),
    "no header": ("t.csv", b"1,2\n3,4\n", 319, "line 1 names no column .*add a first line"),
    "a quote that is not closed": ("t.csv", b'a,b\n"x,1\n2,3\n', 322, "line 2: a quote is not"),
    "names that repeat": ("t.csv", b"a,a\n1,2\n", 320, "column 'a' appears 2 times: rename"),
    "Parquet cut off": ("t.parquet", parquet()[:-20], 323, "truncated Parquet: copy or write it"),
    "gzip cut off": ("t.csv.gz", gzip.compress(TABLE.encode())[:-9], 317, "truncated gzip: copy"),
    "a pickle called CSV": ("t.csv", b"\x80\x04K\x01.", 316, "a pickle, which is never opened"),
    "0 bytes": ("t.csv", b"", 314, "the file is empty: check"),
    "no Arrow": ("t.feather", b"ARROW1\0\0" + bytes(40), 323, "truncated Arrow: copy or write it"),
    "no Parquet": ("t.parquet", b"PAR1" + bytes(40), 323, "truncated Parquet: copy or write it"),
    "text called Parquet, one line": ("t.parquet", b"this is text", 315, "no rows: check"),
    "a zip archive": ("t.csv", b"PK\x03\x04" + bytes(50), 316, "a zip archive: .*unpack it"),
    "binary": ("t.csv", bytes(range(256)) * 4, 316, "binary data: save"),
}


@pytest.mark.parametrize("name", READ)
def test_files_that_are_read(name: str, tmp_path: Path) -> None:
    file, content, wanted = READ[name]
    (tmp_path / file).write_bytes(content)
    frame = read_table(tmp_path / file)
    for column, values in wanted.items():
        assert frame[column].tolist() == values
    status, said = command("schema", tmp_path / file)
    assert status == 0, said


@pytest.mark.parametrize("name", REFUSED)
def test_files_that_are_refused(name: str, tmp_path: Path) -> None:
    file, content, code, says = REFUSED[name]
    (tmp_path / file).write_bytes(content)
    with pytest.raises(SynthgenError, match=f"(?s){says}") as caught:
        read_table(tmp_path / file)
    assert (caught.value.code, file in caught.value.message) == (code, True), caught.value
    assert f"error E{code}: " in command("schema", tmp_path / file)[1]


# --- model files ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("model") / "m.synthgen"
    network().save(path)
    return path.read_bytes()


def header_of(content: bytes, **changes: Any) -> bytes:
    """The file with another header, and all else as it was."""
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    header.update(changes)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + size :]


def metadata_of(content: bytes) -> dict[str, str]:
    (size,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + size])["__metadata__"]


def with_empty(content: bytes, count: int) -> bytes:
    """The file with so many arrays of no number."""
    (size,) = struct.unpack("<Q", content[:8])
    entry = '"dtype":"F32","shape":[0],"data_offsets":[0,0]'
    more = ",".join(f'"t{i}":{{{entry}}}' for i in range(count)).encode()
    head = content[8 : 8 + size].rstrip()[:-1] + b"," + more + b"}"
    return struct.pack("<Q", len(head)) + head + content[8 + size :]


class Evil:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("run"),)


def pickled(content: bytes) -> bytes:
    import pickle

    return pickle.dumps(Evil())


def saved_by_torch(content: bytes) -> bytes:
    from io import BytesIO

    torch.save(Evil(), file := BytesIO())
    return file.getvalue()


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda c: b"",
    "text": lambda c: b"this is no model, but some text",
    "7 bytes": lambda c: c[:7],
    "half": lambda c: c[: len(c) // 2],
    "1 byte short": lambda c: c[:-1],
    "1 byte more": lambda c: c + b"\0",
    **{
        f"a bit flipped at {share:.0%}": lambda c, s=share: (
            c[: int(s * len(c))] + bytes([c[int(s * len(c))] ^ 1]) + c[int(s * len(c)) + 1 :]
        )
        for share in (0, 0.01, 0.1, 0.5, 0.9, 0.9999)
    },
    "a header of 100 MB": lambda c: struct.pack("<Q", 100 << 20) + c[8:],
    "a header of 2^63 bytes": lambda c: struct.pack("<Q", 1 << 63) + c[8:],
    "500,000 empty arrays": lambda c: with_empty(c, 500_000),
    "20,000 empty arrays": lambda c: with_empty(c, 20_000),
    "duplicate keys": lambda c: (
        struct.pack("<Q", 18) + b'{"a": {}, "a": {}}' + c[8 + struct.unpack("<Q", c[:8])[0] :]
    ),
    "shapes that overflow": lambda c: header_of(
        c, big={"dtype": "F32", "shape": [1 << 40, 1 << 40], "data_offsets": [0, 4]}
    ),
    "overlapping offsets": lambda c: header_of(
        c, big={"dtype": "U8", "shape": [8], "data_offsets": [0, 8]}
    ),
    "a newer format": lambda c: header_of(c, __metadata__=metadata_of(c) | {"version": "2"}),
    "of another program": lambda c: header_of(c, __metadata__=metadata_of(c) | {"format": "pt"}),
    "a pickle": pickled,
    "a pickle of torch": saved_by_torch,
}


@pytest.mark.parametrize("name", BROKEN)
def test_model_files_that_are_refused(
    name: str, model_file: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.synthgen").write_bytes(BROKEN[name](model_file))
    with pytest.raises(SynthgenError, match=r"m\.synthgen") as caught:
        load("m.synthgen")
    assert caught.value.exit_status == 4
    assert len(caught.value.message) < 400
    for line in (("show",), ("sample", "-n", 3, "-o", "out.csv")):
        status, said = command(line[0], "m.synthgen", *line[1:])
        assert status == 4
        assert f"error E{caught.value.code}: " in said
    assert [p.name for p in Path().iterdir()] == ["m.synthgen"]


def test_a_model_of_another_device_is_read_on_this_one(model_file: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.synthgen").write_bytes(model_file)
    loaded = load(tmp_path / "m.synthgen", device="cpu")
    assert isinstance(loaded, TVAE)
    assert str(loaded.device_) == "cpu"
    if not torch.cuda.is_available():
        with pytest.raises(
            SynthgenError, match=r"'cuda' was asked for.*use --device auto"
        ) as caught:
            load(tmp_path / "m.synthgen", device="cuda")
        assert caught.value.code == 212


# --- what needs a process, a fault, or time -------------------------------------------------------

ELSEWHERE = {
    "test_files": (
        "test_delimiter_and_names",  # no header
        "test_places_that_cannot_be_read",  # a directory, no permission
        "test_a_mutated_file_is_a_table_or_a_clear_error",  # Parquet truncated
        "test_a_full_disk_leaves_the_old_file",  # disk full at any byte
        "test_two_writers_never_mix",  # two writers at once
        "test_formulas_are_defused",  # formulas are defused
        "test_numbers_and_dates_are_never_defused",  # numbers are never defused
    ),
    "cli/test_main": (
        "test_status_5_for_outputs_before_any_training",  # places
        "test_signals",  # never a half file
    ),
    "training/test_runner": (
        "test_a_batch_that_memory_does_not_hold_is_halved",  # memory too small for the batch
        "test_a_loss_that_is_never_finite_stops_with_what_was_tried",  # a loss that is never finite
    ),
    "test_synthesizers": (
        "test_a_file_holds_no_extreme_and_no_rare_value",  # a file holds no training row
    ),
    "test_resume": (
        "test_a_process_killed_at_20_random_moments_ends_with_the_same_bits",  # kill -9 at any time
        "test_a_finished_fit_is_kept_until_the_output_is_written",  # and after the fit
        "test_a_signal_ends_a_process_within_seconds",  # Ctrl-C and SIGTERM
    ),
    "checks": (
        "check_global_random_states",  # global random states
        "check_same_bytes_in_two_processes",  # same bytes
        "check_rows_do_not_depend_on_their_batch",  # any chunk of rows
    ),
}


@pytest.mark.parametrize(
    ("file", "test"), [(f, t) for f, tests in ELSEWHERE.items() for t in tests]
)
def test_the_other_cases_are_where_the_list_says(file: str, test: str) -> None:
    (found,) = Path(__file__).parent.rglob(f"{Path(file).name}.py")
    source = found.read_text(encoding="utf-8")
    assert re.search(rf"^def {test}\(", source, re.MULTILINE)


def sections() -> dict[str, int]:
    """Cases of each section; one that goes through the API and the command line counts once."""
    at = list(TABLES).index("target with NaN")
    return {
        "tables": at,
        "target and requests": len(TABLES) - at + len(REQUESTS),
        "parameters and settings": len(HANDLED) + len(SETTINGS),
        "files": len(READ) + len(REFUSED),
        "model files": len(BROKEN),
        "processes and faults": sum(map(len, ELSEWHERE.values())),
    }


if __name__ == "__main__":
    for section, cases in (found := sections()).items():
        print(f"{cases:4}  {section}")
    print(f"{sum(found.values()):4}  in all")
