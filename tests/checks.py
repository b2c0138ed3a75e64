"""The contract of every synthesizer, as an executable list.

Each check takes a function that makes the synthesizer (``make(**params)``) and fails with a message
when the contract is broken. `CHECKS` is the list; `test_synthesizers.py` runs it on each
synthesizer of the package, and an author of another one can run it on theirs.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import pickle
import random
import subprocess
import sys
import tempfile
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import synthgen
from synthgen import Synthesizer
from synthgen.augmentation.rejection import guarded_sample
from synthgen.errors import DataError, ModelFileError, SynthgenError, UsageError
from synthgen.synthesizers.flow import TabFlow
from synthgen.training.checkpoint import Checkpoint
from synthgen.training.runner import Task
from synthgen.training.training_run import History

Make = Callable[..., Synthesizer]


def tabflow(**params: object) -> Synthesizer:
    quick = {"scope": "class", "steps": 12, "batch_size": 60, "solver_steps": 5, "device": "cpu"}
    return TabFlow(**(quick | params))  # type: ignore[arg-type]


def mixed(rows: int = 120, rare: int = 24, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    """A table with every kind of column; the target is not the first of its categories."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "amount": rng.lognormal(3, 1, rows).round(2),
            "count": rng.poisson(40, rows).astype("int32"),
            "region": rng.choice(["north", "south", "east"], rows),
            "visits": pd.array(rng.integers(0, 900, rows), dtype="Int64"),
            "grade": pd.Categorical(
                rng.choice(["low", "mid"], rows), categories=["low", "mid", "high"], ordered=True
            ),
            "flag": rng.random(rows) < 0.5,
            "when": pd.Timestamp("2024-01-01", tz="UTC")
            + pd.to_timedelta(rng.integers(0, 365, rows), unit="D"),
            "score": np.where(rng.random(rows) < 0.3, np.nan, rng.normal(size=rows)),
            "always": "same",
            "never": np.full(rows, np.nan),
            "note": [f"patient {i} came in the {i} th hour of the day" for i in range(rows)],
            "record_id": np.arange(rows) + 1000,
        }
    )
    frame.loc[frame.index[::7], "region"] = None
    frame.index = pd.Index(rng.permutation(rows) * 3, name="row")
    labels = np.array(["common"] * (rows - rare - 12) + ["other"] * 12 + ["rare"] * rare)
    return frame, pd.Series(labels, index=frame.index, name="outcome")


def digest(frame: pd.DataFrame) -> str:
    return hashlib.sha256(frame.to_csv().encode()).hexdigest()


def check_exact_rows_and_label(make: Make) -> None:
    X, y = mixed()
    model = make(random_state=0).fit(X, y)
    assert model.classes_ == ("other", "rare")
    for n in (1, 7, 1500):
        for label in ("rare", "other"):
            made = model.sample(n, label=label, random_state=1)
            assert len(made) == n
            assert (made["outcome"] == label).all()
            assert isinstance(made.index, pd.RangeIndex)
    mixture = model.sample(900, random_state=1)
    assert mixture["record_id"].is_unique
    every = mixture["outcome"].value_counts()
    # 12 and 24 rows: a third and two thirds, five standard deviations around.
    assert abs(every["other"] / 900 - 1 / 3) < 5 * (2 / 9 / 900) ** 0.5


def check_dtypes_and_order(make: Make) -> None:
    X, y = mixed()
    before = X.copy(deep=True)
    made = make(random_state=0).fit(X, y).sample(50, label="rare", random_state=0)
    pd.testing.assert_frame_equal(X, before)
    assert list(made.columns) == [*X.columns, "outcome"]
    expected = [*X.dtypes, y.dtype]
    assert list(made.dtypes) == expected


def check_schema_is_respected(make: Make) -> None:
    X, y = mixed()
    model = make(random_state=0).fit(X, y)
    made = model.sample(2000, label="rare", random_state=0)
    # What learns from all rows may make what was seen in any of them.
    alone = getattr(model, "scope_", {"rare": "class"})["rare"] == "class"
    rare = X[y == "rare"] if alone else X
    for name in ("amount", "count", "visits", "when", "score"):
        assert made[name].min() >= rare[name].min(), name
        assert made[name].max() <= rare[name].max(), name
    assert np.array_equal(made["amount"].round(2), made["amount"])
    assert set(made["region"].dropna()) <= set(rare["region"].dropna())
    assert set(made["grade"]) <= {"low", "mid"}
    assert (made["when"].dt.normalize() == made["when"]).all()
    for name in X.columns:
        if not rare[name].isna().any():
            assert not made[name].isna().any(), name
    assert made["score"].isna().any()
    assert (made["always"] == "same").all()
    assert made["never"].isna().all()
    assert (made["note"] == "").all()
    assert made["record_id"].is_unique
    assert not set(made["record_id"]) & set(X["record_id"])


def check_seeds(make: Make) -> None:
    X, y = mixed()
    model = make(random_state=3).fit(X, y)
    one = model.sample(40, label="rare", random_state=5)
    assert digest(one) == digest(model.sample(40, label="rare", random_state=5))
    assert digest(one) != digest(model.sample(40, label="rare", random_state=6))
    again = make(random_state=3).fit(X, y)
    assert digest(one) == digest(again.sample(40, label="rare", random_state=5))
    fresh = [digest(model.sample(40, label="rare")) for _ in range(2)]
    assert fresh[0] != fresh[1]


def check_same_bytes_in_two_processes(make: Make) -> None:
    """Whatever the hash seed and the working directory; `make` is a function of its module."""
    module = make.__module__.rpartition(".")[2]  # pytest may call it tests.that
    places = [str(Path(__file__).parent), str(Path(inspect.getfile(make)).parent)]
    code = textwrap.dedent(
        f"""
        import sys
        sys.path[:0] = {places!r}
        import checks, {module}
        X, y = checks.mixed()
        model = {module}.{make.__name__}(random_state=0).fit(X, y)
        print(checks.digest(model.sample(40, label="rare", random_state=1)))
        """
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ
        | {"PYTHONHASHSEED": "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"},
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    X, y = mixed()
    here = digest(make(random_state=0).fit(X, y).sample(40, label="rare", random_state=1))
    assert run.stdout.strip() == here


def check_global_random_states(make: Make) -> None:
    def states() -> list[bytes]:
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        numpy_state = np.random.get_state()  # noqa: NPY002 - it is what must not move
        parts = [random.getstate(), numpy_state, torch.get_rng_state().numpy(), *cuda]
        return [pickle.dumps(p) for p in parts]

    X, y = mixed()
    before = states()
    make(random_state=0).fit(X, y).sample(10, label="rare", random_state=0)
    make().fit(X, y).sample(10)
    assert states() == before


def check_rows_do_not_depend_on_their_batch(make: Make) -> None:
    X, y = mixed()
    model = make(random_state=0).fit(X, y)
    long = model.sample(3000, label="rare", random_state=2)
    for n in (1, 10, 1100):
        pd.testing.assert_frame_equal(model.sample(n, label="rare", random_state=2), long.head(n))


def check_where(make: Make) -> None:
    """All rows have the levels asked for, and a longer sample begins with a shorter one."""
    X, y = mixed()
    model = make(random_state=0).fit(X, y)
    where = {"flag": True, "region": None}
    long = model.sample(300, label="rare", random_state=2, where=where)
    assert len(long) == 300
    assert long["flag"].all()
    assert long["region"].isna().all()
    assert long["record_id"].is_unique
    assert long["amount"].nunique() > 5
    assert list(long.dtypes) == [*X.dtypes, y.dtype]
    short = model.sample(20, label="rare", random_state=2, where=where)
    pd.testing.assert_frame_equal(short, long.head(20))
    mixture = model.sample(60, random_state=2, where={"region": "north"})
    assert set(mixture["region"]) == {"north"}
    assert set(mixture["outcome"]) == {"other", "rare"}
    for wrong, said in (({"region": "x"}, "no value 'x'"), ({"amount": 1.0}, "column 'amount'")):
        with pytest.raises(UsageError, match=said):
            model.sample(3, label="rare", where=wrong)


def check_few_rows(make: Make) -> None:
    for rare in (2, 5):
        X, y = mixed(rare=rare)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the fallback says so; tested elsewhere
            model = make(random_state=0, classes=["rare"]).fit(X, y)
        made = model.sample(25, label="rare", random_state=0)
        assert len(made) == 25
        assert made["amount"].between(X.loc[y == "rare", "amount"].min(), X["amount"].max()).all()
    X, y = mixed(rare=1)
    with pytest.raises(UsageError, match="'rare' has 1 row:"):
        make(classes=["rare"]).fit(X, y)


def check_errors(make: Make) -> None:
    X, y = mixed()
    with pytest.raises(NotFittedError, match="not fitted"):
        make().sample(1)
    model = make(random_state=0).fit(X, y)
    for n in (0, -5, 2.7, "10", True, None):
        with pytest.raises(UsageError, match="n_samples must be a whole number from 1"):
            model.sample(n)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"10,000,000,000 rows need about"):
        model.sample(10**10)
    with pytest.raises(UsageError, match=r"label 'nobody' is no class .*'other', 'rare'"):
        model.sample(1, label="nobody")
    with pytest.raises(DataError, match="X has 120 rows and y has 119"):
        make().fit(X, y.iloc[:-1])
    with pytest.raises(SynthgenError, match="random_state must be a whole number"):
        model.sample(1, random_state=-1)


def check_parameters(make: Make) -> None:
    """scikit-learn's conventions: arguments stored untouched, `clone`, `set_params`."""
    model = make(random_state=4)
    params = model.get_params()
    assert params["random_state"] == 4
    copy = cast(Synthesizer, clone(model))
    assert copy is not model
    assert copy.get_params() == params
    copy.set_params(random_state=5)
    assert copy.random_state == 5
    assert model.random_state == 4


def check_learns_a_known_distribution(make: Make, steps: int = 1000) -> None:
    """A class whose numbers, dependence and frequencies are known in closed form."""
    rng = np.random.default_rng(0)
    rows = 600
    a = rng.random(rows) < 0.75
    x = np.where(a, rng.normal(10, 1, rows), rng.normal(14, 1, rows))
    rare = pd.DataFrame(
        {"x": x, "double": 2 * x + rng.normal(0, 0.3, rows), "kind": np.where(a, "a", "b")}
    )
    common = pd.DataFrame(
        {
            "x": rng.normal(0, 5, 900),
            "double": rng.normal(0, 5, 900),
            "kind": rng.choice(["a", "b", "c"], 900),
        }
    )
    X = pd.concat([rare, common], ignore_index=True)
    y = pd.Series([1] * rows + [0] * 900, name="y")
    model = make(random_state=0)
    if "steps" in model.get_params():
        model.set_params(steps=steps, batch_size=200)
    made = model.fit(X, y).sample(2000, label=1, random_state=0)
    assert (made["kind"] == "c").mean() < 0.05
    assert abs((made["kind"] == "a").mean() - 0.75) < 0.1
    assert abs(made["x"].mean() - 11) < 0.5
    assert abs(made["x"].std() - 2.0) < 0.5
    for _, kind in made.groupby("kind"):  # 0.99 in truth, 0 if nothing but the kind was learned
        assert kind["x"].corr(kind["double"]) > 0.4
    gap = made.loc[made["kind"] == "b", "x"].mean() - made.loc[made["kind"] == "a", "x"].mean()
    assert abs(gap - 4) < 1.2


def check_every_weight_moves(make: Make) -> None:
    """Of a network, within a few steps; other synthesizers have none."""
    stuck: list[str] = []

    def watched(task: Task, checkpoint: Checkpoint | None = None) -> History:
        learned = {k: v for k, v in task.learner.named_parameters() if v.requires_grad}
        before = {k: v.detach().clone() for k, v in learned.items()}
        task.look = None
        history = run(task, checkpoint)
        for name, value in learned.items():
            moved = (
                (value != before[name]).reshape(len(value), -1).any(1)
                if value.ndim > 1
                else value != before[name]
            )
            # A look-up table has rows for values that a small batch may not hold.
            if moved.float().mean() < (0.5 if "table" in name else 0.9):
                stuck.append(name)
        return history

    run = Task.run
    model = make(random_state=0)
    if "steps" in model.get_params():
        model.set_params(steps=12)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Task, "run", watched)
        model.fit(*mixed())
    assert stuck == []


def can_be_saved(model: Synthesizer) -> bool:
    try:
        model.check_savable({})
    except ModelFileError:
        return False
    return True


def check_saving(make: Make) -> None:
    """A network comes back from its file as it was; what is its training rows makes no file."""
    # Every value is shared by 5 rows and every number has levels, so nothing need be coarsened.
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "level": rng.integers(0, 4, 200),
            "kind": rng.choice(["a", "b"], 200),
            "flag": rng.random(200) < 0.4,
        }
    )
    y = pd.Series(np.repeat(["rare", "other", "common"], [60, 30, 110]))
    model = make(random_state=0).fit(X, y)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.synthgen"
        if not can_be_saved(model):
            with pytest.raises(ModelFileError, match="training rows"):
                model.save(path)
            assert not path.exists()
            return
        assert model.save(path) == []
        for load in (synthgen.load, type(model).load):
            loaded = load(path, device="cpu")
            for label in ("rare", "other", None):
                pd.testing.assert_frame_equal(
                    loaded.sample(300, label=label, random_state=1),
                    model.sample(300, label=label, random_state=1),
                )
            assert loaded.classes_ == model.classes_
            assert loaded.counts_ == model.counts_
            loaded.save(path.with_suffix(".again"))
            assert path.with_suffix(".again").read_bytes() == path.read_bytes()


def check_saved_classes_keep_their_ranges_and_shares(make: Make) -> None:
    """Those of a file of several classes, each its own."""
    rng = np.random.default_rng(0)
    y = pd.Series(np.repeat(["low", "high", "most"], [100, 300, 400]), name="y")
    start = y.map({"low": 0.0, "high": 500.0, "most": 250.0}).to_numpy()
    kinds = y.map({"low": "a", "high": "b", "most": "c"}).astype("category")
    X = pd.DataFrame({"x": start + rng.uniform(0, 100, 800).round(1), "kind": kinds})
    model = make(classes=["low", "high"], random_state=0).fit(X, y)
    if not can_be_saved(model):
        return
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "m.synthgen")
        loaded = synthgen.load(Path(folder) / "m.synthgen", device="cpu")
    made = guarded_sample(loaded, 1000, random_state=0)
    assert made.refused == {}
    assert made.frame["kind"].dtype == loaded.schema_["kind"].dtype
    shares = made.frame["y"].value_counts(normalize=True)
    assert abs(shares["low"] - 0.25) < 0.05
    scopes = getattr(model, "scope_", {})
    if set(scopes.values()) == {"class"}:  # others may make what was seen in any row
        assert made.frame.loc[made.frame["y"] == "low", "x"].max() < 100
        assert made.frame.loc[made.frame["y"] == "high", "x"].min() > 500


CHECKS: list[Callable[[Make], None]] = [
    check_exact_rows_and_label,
    check_dtypes_and_order,
    check_schema_is_respected,
    check_seeds,
    check_same_bytes_in_two_processes,
    check_global_random_states,
    check_rows_do_not_depend_on_their_batch,
    check_where,
    check_few_rows,
    check_errors,
    check_parameters,
    check_every_weight_moves,
    check_saving,
    check_saved_classes_keep_their_ranges_and_shares,
    check_learns_a_known_distribution,
]
