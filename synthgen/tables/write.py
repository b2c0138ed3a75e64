"""Write tables to CSV, Parquet or Arrow files, atomically."""

import gzip
import os
import re
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet as pq

from synthgen.errors import OutputError
from synthgen.tables.checks import check_flags
from synthgen.tables.disk import atomic_write
from synthgen.tables.foreign import as_pandas

_ENDINGS = {".csv": ",", ".csv.gz": ",", ".tsv": "\t", ".tsv.gz": "\t", ".gz": ","}
_ENDINGS |= {".parquet": "", ".feather": "", ".arrow": ""}
DELIMITERS = ",;\t|"
# A cell that a spreadsheet would run, or one that was written so and begins with its ' already.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_PLAIN_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf", re.ASCII)
_CHUNK = 50_000  # rows converted to text at once


def ending_of(path: Path) -> str:
    """The file extension that determines the output format."""
    found = next((known for known in _ENDINGS if path.name.lower().endswith(known)), None)
    if found is None:
        raise OutputError(501, f"{path}: unknown ending: use one of {', '.join(_ENDINGS)}")
    return found


def write_table(frame: Any, path: str | os.PathLike[str], *, defuse: bool = True) -> int:
    """Write a table to a file, in the format of the file extension.

    Extensions: .csv, .csv.gz, .gz, .tsv, .tsv.gz, .parquet, .feather and .arrow. The index is not
    written. CSV is UTF-8 without a byte-order mark; cells are quoted only where necessary, missing
    cells are empty, and floats read back equal. Equal frames give equal bytes.

    Args:
        frame: The table, of pandas, polars or Arrow; it needs at least one column, and column names
            that differ as text. It may have no rows.
        path: Output file; an existing one is replaced atomically and keeps its permission bits.
        defuse: Whether to put a ``'`` before text cells and column names that begin with ``=``,
            ``+``, ``-``, ``@``, TAB or CR and are not numbers, because a spreadsheet would run them
            as formulas. Default True. Applies to CSV and TSV only.

    Returns:
        Number of defused cells and column names.

    Raises:
        OutputError: The extension is unknown (E501), the file cannot be written (E502 to E506), a
            text contains a lone surrogate (E507), or the format cannot store the frame (E508).

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "out.csv")
        ...     frame = pd.DataFrame({"note": ["=1+1", "-1"], "x": [0.5, None]})
        ...     defused = write_table(frame, path)
        ...     text = path.read_text()
        >>> defused, text
        (1, "note,x\\n'=1+1,0.5\\n-1,\\n")
    """
    check_flags(defuse=defuse)
    ending_of(Path(path))  # rejects an unknown extension before anything is opened
    with atomic_write(path) as file:
        return write_into(file, as_pandas(frame), path, defuse=defuse)


def write_into(
    file: BinaryIO, frame: pd.DataFrame, path: str | os.PathLike[str], *, defuse: bool = True
) -> int:
    """Like `write_table`, but into an open file, such as one from `write_together`."""
    path = Path(path)
    ending = ending_of(path)
    repeated = [name for name, n in Counter(map(str, frame.columns)).items() if n > 1]
    if repeated or not len(frame.columns):
        found = f"several columns are named {repeated[0]!r}" if repeated else "no columns"
        raise OutputError(508, f"{path}: not written: {found}: rename or add columns first")
    try:
        if not _ENDINGS[ending]:
            _write_binary(frame, path, file, "Parquet" if ending == ".parquet" else "Arrow")
            return 0
        if not ending.endswith(".gz"):
            return _write_csv(frame, file, _ENDINGS[ending], defuse=defuse)
        with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
            return _write_csv(frame, packed, _ENDINGS[ending], defuse=defuse)
    except UnicodeEncodeError:
        raise OutputError(507, f"{path}: not written: {_half_character(frame)}") from None


def _write_binary(frame: pd.DataFrame, path: Path, file: BinaryIO, kind: str) -> None:
    try:
        table = pa.Table.from_pandas(frame, preserve_index=False)
        if kind == "Parquet":
            pq.write_table(table, file, write_page_checksum=True)
        else:
            with pyarrow.ipc.new_file(file, table.schema) as writer:
                writer.write_table(table)
    except UnicodeEncodeError:
        raise
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        advice = "give the column one type, or write CSV"
        raise OutputError(508, f"{path}: {kind} cannot hold this: {error}: {advice}") from error


def _write_csv(frame: pd.DataFrame, file: Any, delimiter: str, *, defuse: bool) -> int:
    """Write the header, then the rows in chunks; return the number of defused cells."""
    # `DataFrame.to_csv` does not quote other delimiters in the header or in a table of one column,
    # so a reader that detects the delimiter could find the wrong one.
    header, defused = _escaped(map(str, frame.columns), f'[{DELIMITERS}"\r\n]', defuse)
    # A table of one column has no delimiter, and a reader would detect one inside its cells: cells
    # that hold any delimiter are quoted. Empty cells too, because readers skip an empty line.
    one_column = frame.shape[1] == 1
    special = DELIMITERS if one_column else delimiter
    header = [name or '""' for name in header] if one_column else header
    file.write((delimiter.join(header) + "\n").encode())
    columns = [frame.iloc[:, position] for position in range(frame.shape[1])]
    day_only = [_is_day_only(column) for column in columns]
    for start in range(0, len(frame), _CHUNK):
        parts = []
        for column, is_day in zip(columns, day_only, strict=True):
            part = column.iloc[start : start + _CHUNK]
            if is_day:
                part = part.dt.date
            elif str(part.dtype).lower() in ("float16", "float32"):  # as 0.1, not 0.100000001490
                part = part.astype("string").astype("Float64")
            cells = [*map(_cell, part.astype(object), part.isna())]
            if column.dtype.kind not in "iufbMm":
                cells, count = _escaped(cells, f'[{special}"\r\n]', defuse)
                defused += count
            parts.append([cell or '""' for cell in cells] if one_column else cells)
        lines = map(delimiter.join, zip(*parts, strict=True))
        file.write(("\n".join(lines) + "\n").encode())
    return defused


def _is_day_only(column: pd.Series) -> bool:
    """Whether all dates of a column are at midnight; raises for years outside 1 to 9999."""
    if column.dtype.kind != "M":
        return False
    unwritable = (~column.dt.year.fillna(1).between(1, 9999)).to_numpy(bool)
    if unwritable.any():
        row, advice = int(unwritable.argmax()), "correct it, or write .parquet"
        where = f"column {column.name!r}, row {row} (from 0)"
        raise OutputError(508, f"{where}: CSV dates can only have years 1 to 9999: {advice}")
    is_naive = isinstance(column.dtype, np.dtype)
    return is_naive and bool((column.isna() | (column == column.dt.normalize())).all())


def _cell(value: Any, missing: bool) -> str:
    if missing:
        return ""
    if isinstance(value, float):
        return float.__repr__(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    return str(value)


def _escaped(cells: Iterable[str], special: str, defuse: bool) -> tuple[list[str], int]:
    """The cells as CSV text, and the number of defused cells."""
    needs_quotes, escaped, defused = re.compile(special).search, [], 0
    for cell in cells:
        if defuse and _FORMULA.match(cell) and not _PLAIN_NUMBER.fullmatch(cell.lstrip("'")):
            cell, defused = f"'{cell}", defused + 1
        if needs_quotes(cell) or cell.startswith("\ufeff"):
            cell = '"' + cell.replace('"', '""') + '"'
        escaped.append(cell)
    return escaped, defused


def undefused(cell: str) -> str:
    """A cell as it was before `write_table` put a ``'`` before it."""
    bare = cell.lstrip("'")
    if len(bare) == len(cell) or not _FORMULA.match(cell) or _PLAIN_NUMBER.fullmatch(bare):
        return cell
    return cell[1:]


def _half_character(frame: pd.DataFrame) -> str:
    """A sentence that names the cell with half a surrogate pair, which no encoding can write."""
    for position, name in enumerate(frame.columns):
        cells = enumerate(map(str, frame.iloc[:, position].astype(object)))
        for where, text in [("its name", str(name)), *((f"row {n}", text) for n, text in cells)]:
            if half := re.search("[\ud800-\udfff]", text):
                found = f"column {name!a}, {where} (from 0): {text[:60]!a} holds {half[0]!a},"
                return f"{found} half a character: replace or remove it"
    raise AssertionError("a text that cannot be encoded holds a surrogate")
