"""How do rows of synthgen stand beside those of other packages: same splits, same judges?

    for NAME in sdv imbalanced-learn arfpy mostlyai-engine seqtrees datasynthesizer; do
        python -m venv ENVS/$NAME && ENVS/$NAME/bin/pip install -r evaluation/peers/$NAME.txt
    done
    OMP_NUM_THREADS=1 python evaluation/peers.py --data-dir DIR --envs ENVS
    OMP_NUM_THREADS=1 python evaluation/peers.py --data-dir DIR --envs ENVS --rows 40000 \\
        --tables adult magic default_credit --out evaluation/peers_full.jsonl

Each package lives in an environment of its own and is called on Parquet files by peers/run.py, as
synthgen is. All have their defaults, one thread, and ten CPU minutes for a fit; all learn the same
rows, all classes together, and make as many. At most `--rows` rows of a table are learned, and at
most half of it (of Adult its official part); all its other rows are held out. No default of
synthgen was chosen on credit_data and nafld_death.

Packages that take no missing cells get them as a level, and for a number as the median and a column
that marks them; the rows that they make are turned back, and rounded to the decimals of the
training column. Figures: the published detector (`published.py`), the battery
(`synthgen.metrics.battery`), AUC of XGBoost (100 trees, 6 deep) that learns the made rows or the
training rows, and the share of made rows nearer to a training than to a held-out row. A failure is
a line, too.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import published
from common import HERE, Line, Results, adult, commit, independent, nearer, parser
from rows import TYPED, measured, plain

LIMIT = 600
MOST_DECIMALS = 9
TABLES = ("credit_data", "nafld_death", "magic", "adult", "default_credit")
CODES = {"default_credit": TYPED}
# The quick ones first, for a run that is cut short. None: the environment of synthgen.
ENVIRONMENTS: dict[str, str | None] = {
    "real": None,
    "independent": None,
    "synthgen trees": None,
    "synthgen bootstrap": None,
    "SMOTE-NC": "imbalanced-learn",
    "GaussianCopula": "sdv",
    "arfpy": "arfpy",
    "seqtrees": "seqtrees",
    "synthgen tvae": None,
    "TVAE of SDV": "sdv",
    "synthgen ctgan": None,
    "ctgan": "sdv",  # which requires it
    "synthgen tabflow": None,
    "mostlyai-engine": "mostlyai-engine",
    "DataSynthesizer": "datasynthesizer",
}
ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LOKY_MAX_CPU_COUNT")


def parts(folder: Path, name: str, seed: int, most: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """At most `most` rows to learn from, and all others; columns of levels hold text."""
    if name == "adult":
        both = adult(folder)
        train, held = (f.sample(frac=1, random_state=seed, ignore_index=True) for f in both)
        train = train.iloc[:most]
    else:
        whole = pd.read_parquet(folder / f"{name}.parquet")
        whole = whole.sample(frac=1, random_state=seed, ignore_index=True)
        cut = min(most, len(whole) // 2)
        train, held = whole.iloc[:cut], whole.iloc[cut:].reset_index(drop=True)
    out = []
    for frame in (train, held):
        texts = {
            str(c): frame[c].astype(object).where(frame[c].isna(), frame[c].astype(str))
            for c in frame
            if c in ("target", *CODES.get(name, ())) or not pd.api.types.is_numeric_dtype(frame[c])
        }
        texts = {c: text.where(text.notna(), None) for c, text in texts.items()}
        out.append(frame.assign(**texts))
    return out[0], out[1]


def decimals(column: pd.Series) -> int:
    """The most decimals of a number of it."""
    values = column.dropna().to_numpy(dtype=float)
    known = (n for n in range(MOST_DECIMALS) if np.allclose(values, values.round(n), 0, 1e-12))
    return next(known, MOST_DECIMALS)


def restored(made: pd.DataFrame, train: pd.DataFrame) -> pd.DataFrame:
    """Made cells in the types and decimals of the training rows."""
    out = {}
    for name in train:
        column = made[name].reset_index(drop=True)
        if pd.api.types.is_numeric_dtype(train[name]):
            numbers = pd.to_numeric(column, errors="coerce").astype(float)
            out[name] = numbers.round(decimals(train[name]))
            if train[name].dtype.kind in "iu" and numbers.notna().all():
                out[name] = out[name].astype(train[name].dtype)
        else:
            text = column.astype(object).where(column.isna(), column.astype(str))
            out[name] = text.where(text.notna(), None)
    return pd.DataFrame(out)


def python_of(name: str, environments: Path) -> Path:
    """What runs a package; an environment's python is not followed to where it leads."""
    home = ENVIRONMENTS[name]
    return Path(sys.executable) if home is None else environments.absolute() / home / "bin/python"


def made_by(
    name: str, train: pd.DataFrame, held: pd.DataFrame, options: argparse.Namespace
) -> tuple[pd.DataFrame, pd.DataFrame, Line]:
    """Made rows, the held-out rows that judge them, and the cost."""
    if name == "real":
        cut = min(len(train), len(held) // 2)
        return held.iloc[:cut], held.iloc[cut:].reset_index(drop=True), {}
    if name == "independent":
        return independent(train, options.seed), held, {}
    python, home = python_of(name, options.envs), ENVIRONMENTS[name]
    one = dict.fromkeys(ONE_THREAD, "1")
    alone = {k: v for k, v in os.environ.items() if home is None or k != "PYTHONPATH"}
    with tempfile.TemporaryDirectory() as folder:
        files = [str(Path(folder) / f"{part}.parquet") for part in ("train", "synthetic")]
        train.to_parquet(files[0])
        command = [str(python), str(HERE / "peers" / "run.py"), name, *files]
        command += ["--seed", str(options.seed), "--limit", str(LIMIT)]
        # A fit has a limit of CPU seconds; this one of wall seconds is for what does not listen.
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=2 * LIMIT, env=alone | one, cwd=folder
        )
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            raise RuntimeError(lines[-1] if lines else f"exit status {done.returncode}")
        cost = json.loads(done.stdout.splitlines()[-1])
        return restored(pd.read_parquet(files[1]), train), held, cost


def measure(name: str, table: str, options: argparse.Namespace, real: dict[str, float]) -> Line:
    train, held = parts(options.data_dir, table, options.seed, options.rows)
    if table not in real:
        real[table] = round(published.utility(train, held, fixed=True), 4)
    line: Line = {"rows": len(train), "held rows": len(held)}
    try:
        made, held, cost = made_by(name, train, held, options)
        line |= {**cost, "load": round(os.getloadavg()[0], 1)}
        start = time.perf_counter()
        line |= {
            "c2st train": round(published.detection(train, made), 3),
            "c2st test": round(published.detection(held, made), 3),
            "tstr": round(published.utility(made, held, fixed=True), 4),
            "tstr real": real[table],
            "nearer": round(nearer(made, train, held), 3),
            "battery": plain(measured(train, made, held, seed=options.seed)),
        }
        line["judge s"] = round(time.perf_counter() - start, 1)
    except subprocess.TimeoutExpired as error:
        line["failed"] = f"the process timed out after {error.timeout:.0f} seconds"
    except (RuntimeError, ValueError, KeyError) as error:
        line["failed"] = f"{error}"[:300]
    return line


def main() -> None:
    asked = parser(__doc__)
    asked.add_argument("--envs", type=Path, default=Path("envs"), help="folder of environments")
    asked.add_argument("--tables", nargs="+", default=TABLES)
    asked.add_argument("--peers", nargs="+", default=list(ENVIRONMENTS))
    asked.add_argument("--rows", type=int, default=2_500, help="most rows to learn from")
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--out", type=Path, default=HERE / "peers.jsonl")
    options = asked.parse_args()
    results = Results(options.out, lambda line: (line["peer"], line["table"], line["seed"]))
    real: dict[str, float] = {}
    for name in options.peers:
        if not python_of(name, options.envs).exists():
            print(f"{name}: left out, as {python_of(name, options.envs)} does not exist")
            continue
        for table in options.tables:
            line: Line = {"peer": name, "table": table, "seed": options.seed}
            if results.lacks(line):
                line |= measure(name, table, options, real)
                results.add(line | {"python": platform.python_version(), "commit": commit()})


if __name__ == "__main__":
    main()
