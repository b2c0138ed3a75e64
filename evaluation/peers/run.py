"""One fit of one synthesizer, in its own environment, on Parquet files: peers.py calls it.

    PYTHON evaluation/peers/run.py NAME train.parquet synthetic.parquet --seed 0 --limit 600

Learns all rows, writes as many, and prints one line of JSON: the package's version, wall and CPU
seconds of fit and sample. Each synthesizer has its defaults. A fit that passes the limit stops with
an error, as does one that fails. Only pandas is imported before the synthesizer's own package.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

MISSING = "(missing)"
Sample = Callable[[int], pd.DataFrame]


# --- what some cannot take ------------------------------------------------------------------------


def levels_of(frame: pd.DataFrame) -> list[str]:
    return [c for c in frame if not pd.api.types.is_numeric_dtype(frame[c])]


def filled(frame: pd.DataFrame) -> pd.DataFrame:
    """No missing cell: they are a level; of a number, the median and a column that marks them."""
    out = frame.copy()
    for name in frame.columns[frame.isna().any()]:
        gone = frame[name].isna()
        if pd.api.types.is_numeric_dtype(frame[name]):
            out[name] = frame[name].fillna(frame[name].median())
            out[f"{name} {MISSING}"] = np.where(gone, "yes", "no")
        else:
            out[name] = frame[name].astype(object).where(~gone, MISSING)
    return out


def emptied(made: pd.DataFrame) -> pd.DataFrame:
    """The way back."""
    out = made.copy()
    for mark in [c for c in made if str(c).endswith(MISSING)]:
        name = mark.removesuffix(f" {MISSING}")
        out[name] = out[name].astype(float).where(out[mark] != "yes")
        out = out.drop(columns=mark)
    for name in levels_of(out):
        out[name] = out[name].astype(object).where(out[name] != MISSING, None)
    return out


# --- the synthesizers -----------------------------------------------------------------------------


def sdv(train: pd.DataFrame, seed: int, kind: str) -> Sample:
    """Takes missing cells. Its seed is that of torch and of its own sampling."""
    from sdv import single_table
    from sdv.metadata import Metadata

    seeded(seed)
    columns = {
        c: {"sdtype": "categorical" if c in levels_of(train) else "numerical"} for c in train
    }
    metadata = Metadata.load_from_dict({"tables": {"table": {"columns": columns}}})
    options = {"enable_gpu": False} if kind == "TVAE" else {}
    model = getattr(single_table, f"{kind}Synthesizer")(metadata, **options)
    model.fit({"table": train})
    return lambda n: model.sample(num_rows=n)["table"]


def ctgan(train: pd.DataFrame, seed: int) -> Sample:
    from ctgan import CTGAN

    seeded(seed)
    rows = filled(train)
    model = CTGAN(enable_gpu=False)
    model.set_random_state(seed)
    model.fit(rows, levels_of(rows))
    return lambda n: emptied(model.sample(n))


def smote_nc(train: pd.DataFrame, seed: int) -> Sample:
    """As many new rows of each class as it has; SMOTE, where no column has levels."""
    from imblearn.over_sampling import SMOTE, SMOTENC

    rows = filled(train)
    X, y = rows.drop(columns="target"), rows["target"]
    goal = {label: 2 * count for label, count in y.value_counts().items()}
    options: dict[str, Any] = {"sampling_strategy": goal, "random_state": seed}
    levels = levels_of(X)
    model = SMOTENC(levels, **options) if levels else SMOTE(**options)
    new, of = model.fit_resample(X, y)[:2]
    made = pd.DataFrame(new).assign(target=of).iloc[len(X) :]
    return lambda n: emptied(made.sample(n, random_state=seed).reset_index(drop=True))


def arfpy(train: pd.DataFrame, seed: int) -> Sample:
    from arfpy import arf

    seeded(seed)
    rows = filled(train)
    model = arf.arf(x=rows, random_state=seed)
    model.forde()
    return lambda n: emptied(model.forge(n=n))


def mostlyai(train: pd.DataFrame, seed: int) -> Sample:
    from mostlyai.engine import TabularARGN, set_random_state

    set_random_state(seed)
    model = TabularARGN(device="cpu", verbose=0, random_state=seed)
    model.fit(train)
    return lambda n: model.sample(n_samples=n)


def seqtrees(train: pd.DataFrame, seed: int) -> Sample:
    """Takes floats and codes of levels, and no missing cell; the class comes first."""
    from seqtrees import SequentialTreeSynthesizer

    rows = filled(train)
    levels = levels_of(rows)
    names = {c: rows[c].astype("category").cat.categories for c in levels}
    order = ["target", *rows.columns.drop("target")]
    coded = {
        c: names[c].get_indexer(rows[c]) if c in names else rows[c].astype(float) for c in order
    }
    model = SequentialTreeSynthesizer(
        variable_order=order,
        continuous_columns=[c for c in order if c not in names],
        discrete_columns=levels,
        n_jobs=1,
        random_state=seed,
    )
    model.fit(pd.DataFrame(coded))

    def sample(n: int) -> pd.DataFrame:
        made = pd.DataFrame(model.sample(n))
        texts = {c: np.asarray(names[c])[made[c].astype(int)] for c in levels}
        return emptied(made.assign(**texts))

    return sample


def datasynthesizer(train: pd.DataFrame, seed: int) -> Sample:
    """Its Bayesian network, without differential privacy (epsilon 0); takes missing cells."""
    from DataSynthesizer.DataDescriber import DataDescriber
    from DataSynthesizer.DataGenerator import DataGenerator

    folder = Path(tempfile.mkdtemp())
    train.to_csv(folder / "train.csv", index=False)
    model = DataDescriber()
    model.describe_dataset_in_correlated_attribute_mode(
        dataset_file=str(folder / "train.csv"),
        epsilon=0,
        k=2,
        attribute_to_is_categorical=dict.fromkeys(levels_of(train), True),
        seed=seed,
    )
    model.save_dataset_description_to_file(str(folder / "model.json"))

    def sample(n: int) -> pd.DataFrame:
        maker = DataGenerator()
        maker.generate_dataset_in_correlated_attribute_mode(n, str(folder / "model.json"), seed)
        return maker.synthetic_dataset

    return sample


def ours(train: pd.DataFrame, seed: int, name: str) -> Sample:
    """synthgen, all classes learned together."""
    from synthgen.synthesizers.lookup import resolve

    X, y = train.drop(columns="target"), train["target"]
    model = resolve(name).set_params(classes=sorted(y.unique()), random_state=seed)
    known = model.get_params()
    model.set_params(**{k: v for k, v in (("scope", "all"), ("device", "cpu")) if k in known})
    model.fit(X, y)
    return lambda n: model.sample(n, random_state=seed)


def seeded(seed: int) -> None:
    """For packages that draw from the global generators."""
    import random

    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    with contextlib.suppress(ImportError):
        import torch

        torch.manual_seed(seed)


# By name: the package whose version is told, what is imported before the clock starts, what fits.
SYNTHESIZERS: dict[str, tuple[str, str, Callable[[pd.DataFrame, int], Sample]]] = {
    "GaussianCopula": ("sdv", "sdv.single_table", lambda t, s: sdv(t, s, "GaussianCopula")),
    "SMOTE-NC": ("imbalanced-learn", "imblearn.over_sampling", smote_nc),
    "arfpy": ("arfpy", "arfpy.arf", arfpy),
    "TVAE of SDV": ("sdv", "sdv.single_table", lambda t, s: sdv(t, s, "TVAE")),
    "ctgan": ("ctgan", "ctgan", ctgan),
    "mostlyai-engine": ("mostlyai-engine", "mostlyai.engine", mostlyai),
    "seqtrees": ("seqtrees", "seqtrees", seqtrees),
    "DataSynthesizer": ("DataSynthesizer", "DataSynthesizer.DataDescriber", datasynthesizer),
    **{
        f"synthgen {name}": (
            "synthgen",
            f"synthgen.synthesizers.{module}",
            partial(ours, name=name),
        )
        for name, module in (
            ("bootstrap", "bootstrap"),
            ("trees", "trees"),
            ("tvae", "tvae"),
            ("ctgan", "ctgan"),
            ("tabflow", "flow"),
        )
    },
}


# --- one run --------------------------------------------------------------------------------------


def clock() -> np.ndarray:
    """Wall and CPU seconds, those of ended child processes too."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return np.array([time.perf_counter(), sum(u.ru_utime + u.ru_stime for u in used)])


def main() -> None:
    parser = argparse.ArgumentParser(description="One fit of one synthesizer.")
    parser.add_argument("name", choices=sorted(SYNTHESIZERS))
    parser.add_argument("train", type=Path)
    parser.add_argument("synthetic", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, default=600, help="CPU seconds of a fit")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    train = pd.read_parquet(options.train)
    package, module, fit = SYNTHESIZERS[options.name]

    def stop(*_: object) -> None:
        raise TimeoutError(f"the fit took more than {options.limit} CPU seconds")

    signal.signal(signal.SIGPROF, stop)
    with contextlib.redirect_stdout(sys.stderr):  # standard output is for the one line
        import_module(module)
        began = clock()
        signal.setitimer(signal.ITIMER_PROF, options.limit)
        sample = fit(train, options.seed)
        signal.setitimer(signal.ITIMER_PROF, 0)
        fitted = clock()
        made = sample(len(train))
        sampled = clock()
    made[list(train.columns)].to_parquet(options.synthetic)
    spent = np.concatenate([fitted - began, sampled - fitted]).round(2).tolist()
    names = ("fit s", "fit cpu s", "sample s", "sample cpu s")
    print(json.dumps({"version": version(package), **dict(zip(names, spent, strict=True))}))


if __name__ == "__main__":
    main()
