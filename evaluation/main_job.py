"""The main job on real tables, through the command line, with every promise checked.

    python evaluation/main_job.py --data-dir DIR [--synthesizers ctgan tvae bootstrap] [--tables
    ...]

For each table and synthesizer runs ``synthgen augment DATA --target target -o OUT`` with no other
option than the synthesizer, so that the amount is chosen by validation; where the choice is none,
it runs again with ``--ratio double``. Checks: exactly the rows chosen, all of the rarest class;
the input's dtypes, the original rows first and unchanged, whole numbers whole, nothing outside the
observed ranges or categories, nothing missing where nothing was; at most 5 minutes. Prints a line
each with the wall time and the amount, and exits with 1 when a promise is broken. The table
"adult_10" is Adult cut to 10 rows of >50K against 10,000.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

TABLES = [
    "adult_train",
    "bank_marketing",
    "nasscds",
    "covid_testing",
    "lending_club",
    "fars",
    "flchain_mgus",
    "bwght2_lowbirth",
    "adult_10",
]


LIMIT = 300  # seconds


def broken_promises(before: pd.DataFrame, after: pd.DataFrame, made: int) -> list[str]:
    """What `after` should not be, given the table `before` and the rows that were to be made."""
    found = []
    counts = before.target.value_counts()
    rarest = counts.idxmin()
    now = after.target.value_counts()
    expected = counts.to_dict() | {rarest: counts.min() + made}
    if now.to_dict() != expected:
        found.append(f"counts {now.to_dict()} in place of {expected}")
    if not after.dtypes.equals(before.dtypes):
        found.append("dtypes differ")
    if not after.head(len(before)).equals(before.reset_index(drop=True)):
        found.append("the original rows changed")
    new = after.iloc[len(before) :]
    if not (new.target == rarest).all():
        found.append("new rows of another class")
    for name in before.columns.drop("target"):
        old, made = before[name], new[name]
        if made.isna().any() and not old.isna().any():
            found.append(f"{name}: missing cells")
        if not pd.api.types.is_numeric_dtype(old):
            if extra := set(made.dropna()) - set(old.dropna()):
                found.append(f"{name}: new categories {sorted(extra)[:3]}")
            continue
        if made.min() < old.min() or made.max() > old.max():
            found.append(f"{name}: outside {old.min()} to {old.max()}")
        known = old.dropna()
        if (known == known.round()).all() and not (made.dropna() == made.dropna().round()).all():
            found.append(f"{name}: not whole")
    return found


def run(
    path: Path, out: Path, synthesizer: str, options: list[str]
) -> tuple[float, int, list[str]]:
    """Seconds, new rows, and broken promises of one run."""
    command = [sys.executable, "-m", "synthgen", "augment", str(path), "--target", "target"]
    command += ["-o", str(out), "--synthesizer", synthesizer, *options]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    if done.returncode:
        return seconds, 0, [f"exit {done.returncode}: {done.stderr[-400:]}"]
    manifest = json.loads(out.with_name(f"{out.name}.manifest.json").read_text())
    (added,) = manifest["added"]
    problems = broken_promises(pd.read_parquet(path), pd.read_parquet(out), added["rows"])
    if seconds > LIMIT:
        problems.append(f"more than {LIMIT} s")
    return seconds, added["rows"], problems


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--synthesizers", nargs="+", default=["bootstrap", "tvae", "ctgan"])
    parser.add_argument("--tables", nargs="+", default=list(TABLES))
    parser.add_argument("--ratio", help="ask for so many rows outright, in place of validation")
    options = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for synthesizer in options.synthesizers:
            for table in options.tables:
                path = options.data_dir / f"{table}.parquet"
                if table == "adult_10":
                    adult = pd.read_parquet(options.data_dir / "adult_train.parquet")
                    rare, common = adult[adult.target == ">50K"], adult[adult.target != ">50K"]
                    path = Path(folder) / "adult_10.parquet"
                    pd.concat([common.head(10_000), rare.head(10)], ignore_index=True).to_parquet(
                        path
                    )
                out = Path(folder) / "out.parquet"
                options_of_run = ["--ratio", options.ratio] if options.ratio else []
                while True:
                    seconds, added, problems = run(path, out, synthesizer, options_of_run)
                    failed += bool(problems)
                    said = "; ".join(problems) or "kept"
                    print(
                        f"{synthesizer:10} {table:16} {' '.join(options_of_run):15} "
                        f"{seconds:6.1f} s  +{added:<6} {said}",
                        flush=True,
                    )
                    if added or problems:
                        break
                    options_of_run = ["--ratio", "double"]
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
