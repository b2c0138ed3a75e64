"""The audit of every table: how long it takes, what it finds, and whether that is what is known.

    python evaluation/audit_tables.py --data-dir DIR [--only NAME ...] [--verbose]

Reads DIR/catalog.csv and DIR/*.parquet. Checks, table by table: rows of the rare class, share of
repeated rows, whole numbers that are codes, and constant columns. Ends with status 1 if one is
missed or a table takes longer than 60 s.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
import time
from pathlib import Path

import pandas as pd

from synthgen.auditing.audit import Audit, audit

SECONDS = 60


def expand(listed: str) -> set[str]:
    """``PAY_0..PAY_6`` as the columns between."""
    out = set()
    for name in filter(None, listed.split(",")):
        if span := re.fullmatch(r"(.+?)(\d+)\.\.\1(\d+)", name):
            out |= {f"{span[1]}{i}" for i in range(int(span[2]), int(span[3]) + 1)}
        else:
            out.add(name)
    return out


def missed(known: dict[str, str], frame: pd.DataFrame, found: Audit) -> list[str]:
    """What is known of a table and was not found."""
    of = {
        code: {f.column for f in found.findings if f.code == code} for code in ("codes", "constant")
    }
    out = []
    if found.minority.label != known["minority_label"]:
        out.append(f"rare class {found.minority.label}")
    elif found.minority.rows != int(known["minority_rows"]):
        out.append(f"{found.minority.rows} rare rows")
    if abs(100 * found.duplicates["share"] - float(known["dup_rows_pct"])) > 0.006:
        out.append(f"{found.duplicates['share']:.2%} repeated")
    coded = expand(known["int_coded_nominal"]) & {*frame.columns}
    out += [f"{name} is a code" for name in sorted(coded - of["codes"])]
    constant = {c for c in frame.columns if len(frame[c].unique()) == 1}
    out += [f"{name} is constant" for name in sorted(constant ^ of["constant"])]
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--only", nargs="*", help="names of tables")
    parser.add_argument("--verbose", action="store_true", help="print the whole summary")
    options = parser.parse_args()
    with open(options.data_dir / "catalog.csv", newline="") as file:
        catalog = [
            row for row in csv.DictReader(file) if row["name"] in (options.only or row["name"])
        ]
    failed = False
    for known in catalog:
        frame = pd.read_parquet(options.data_dir / f"{known['name']}.parquet")
        started = time.perf_counter()
        found = audit(frame.drop(columns="target"), frame["target"])
        seconds = time.perf_counter() - started
        problems = missed(known, frame, found) + (["too slow"] if seconds > SECONDS else [])
        failed |= bool(problems)
        model = found.model
        ap = model.average_precision if model else None
        figure = f"AP {ap.value:.3f} [{ap.low:.3f}, {ap.high:.3f}]" if ap else "no model"
        size = f"{found.minority.rows} rare rows"
        print(f"{known['name']}: {seconds:.1f} s, {size}, {figure}, {found.counts}")
        codes = sorted({f.code for f in found.findings})
        for code in codes:
            columns = [f.column for f in found.findings if f.code == code and f.column]
            print(f"    {code}{': ' if columns else ''}{', '.join(columns)}")
        print(f"    missed: {'; '.join(problems) or 'nothing'}", flush=True)
        if options.verbose:
            print(*(f"    | {line}" for line in found.note_lines()), sep="\n", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
