"""Read tables from files, without guessing or dropping rows.

The content of a file, not its name, determines the format. Any malformed row, quote or byte raises
a `DataError` (E310 to E324) that names the line.
"""

import codecs
import csv
import gzip
import io
import os
import re
import warnings
import zlib
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet as pq

from synthgen.errors import DataError
from synthgen.tables.checks import check_flags
from synthgen.tables.disk import machine_memory, reading
from synthgen.tables.foreign import of_arrow
from synthgen.tables.schema import Schema
from synthgen.tables.write import DELIMITERS, undefused

pc: Any = pyarrow.compute  # its functions are created on import, so type checkers miss them

MISSING = pa.array(["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?", "."])
_INTEGER = "^(0|-?[1-9][0-9]*)$"
_DIGITS = "^[+-]?[0-9]+$"
_FLOAT = (
    r"^[+-]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"
    "|^[+-]?(inf|Inf|infinity|Infinity)$"
)
_COMMA_FLOAT = "^[+-]?(0|[1-9][0-9]*)(,[0-9]+)?$"
_DAY = "[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}"
_TIME = r"[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?"
_OFFSET = "(?P<offset>Z|[+-](?:0[0-9]|1[0-4])(?::?[0-5][0-9])?)$"

SAMPLE = 1 << 22  # bytes used to detect the delimiter
BLOCK = 1 << 26  # bytes that pyarrow parses at once, which limits the length of a record
_FOREIGN = r"[^\x00-\x7f]"
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_OTHER_FORMATS = {  # first bytes, lower case without spaces: what the file is, and what to do
    b"pk\x03\x04": "an Excel workbook or a zip archive: save the sheet as CSV UTF-8, or unpack it",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook: save the sheet as CSV UTF-8",
    b"sqliteformat3\0": "an SQLite database: export one of its tables as CSV",
    b"\x80\x04": "a pickle, which is never opened here: save it with frame.to_parquet(...)",
    b"\x80\x05": "a pickle, which is never opened here: save it with frame.to_parquet(...)",
    b"par1\x15": "a Parquet file: unpack it first",
    b"\x1f\x8b": "a gzip file: unpack it first",
    b"%pdf-": "a PDF document: export its table as CSV UTF-8",
    b"<!doctype": "a web page: check the download",
    b"<html": "a web page: check the download",
    b"<?xml": "XML: export it as CSV UTF-8",
    b'{"': "JSON: save it with pandas.read_json(...).to_parquet(...)",
    b'[{"': "JSON: save it with pandas.read_json(...).to_parquet(...)",
}


def read_table(
    path: str | os.PathLike[str], *, declared: Schema | None = None, allow_empty: bool = False
) -> pd.DataFrame:
    """Read a table from CSV, gzipped CSV, Parquet or Arrow (Feather).

    The format is detected from the content. CSV may be UTF-8, UTF-16 (with a byte-order mark) or
    Western European (cp1252, latin-1), and separated by commas, semicolons, TABs or ``|``. The
    first row holds the column names. A column gets the first type in this table that fits *all* of
    its cells:

    ==========================  ================================================================
    cells                       dtype (when some cells are missing)
    ==========================  ================================================================
    ``12``, ``-3``              int64 (Int64: still exact). ``007``, ``+1`` and numbers beyond
                                64 bits stay text
    ``1.5``, ``1e-3``, ``inf``  float64 (NaN), correctly rounded; ``1,5`` too, if the delimiter
                                is a semicolon
    ISO dates and times, years  datetime64[us], or [ns] with more than 6 decimals (NaT). With an
    1000 to 9999                offset: in that time zone; with several: in UTC
    ``True``, ``False``         bool (object with None)
    all empty                   float64, all NaN
    anything else               object: each text exactly, as str (None)
    ==========================  ================================================================

    An empty cell is missing. In a column of numbers or dates, ``NA``, ``N/A``, ``NaN``, ``nan``,
    ``null``, ``NULL``, ``None``, ``?`` and ``.`` are missing too; in a text column they are text.
    Blank lines are skipped. The ``'`` that `write_table` puts before texts and names that a
    spreadsheet would run as formulas (``'=1+1``) is taken away again. Parquet and Arrow keep the
    types and the index that they store.

    Args:
        path: Path of the file.
        declared: A schema of what is public, for `PrivateMarginals`. Every cell of a CSV then stays
            text (empty: None), so that no cell decides how others are read, and the table may have
            no row. Only a decimal comma in a column of numbers becomes a point, if the delimiter
            is a semicolon.
        allow_empty: Whether the table may have columns but no row.

    Returns:
        A frame with at least one row and one column, and unique column names.

    Raises:
        DataError: The file is missing or unreadable (E310 to E313), empty (E314, E315), not a table
            (E316), damaged (E317, E323), in an unknown encoding (E318), without a header (E319),
            or too large for memory (E350); a column name is repeated (E320), a row has too many or
            too few cells (E321), a quote is malformed (E322), or a record cannot be parsed (E324).

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "people.csv")
        ...     _ = path.write_text("zip;age;born\\n00123;41;1984-02-29\\n99999;NA;1990-01-01\\n")
        ...     frame = read_table(path)
        >>> frame.shape, list(frame["zip"]), str(frame["age"].dtype), str(frame["born"].dtype)
        ((2, 3), ['00123', '99999'], 'Int64', 'datetime64[us]')
    """
    check_flags(allow_empty=allow_empty)
    path = Path(path)
    with reading(path) as file:
        head = file.read(64)
        is_binary = head.startswith((b"PAR1", b"ARROW1")) and _CONTROL.search(head) is not None
        if not is_binary:
            _refuse_too_large(path, file.seek(0, os.SEEK_END))
        file.seek(0)
        data = b"" if is_binary else file.read()
    if is_binary:
        frame = _read_binary(path, "Parquet" if head.startswith(b"PAR1") else "Arrow")
        _tell_levels(path, frame)
    else:
        frame = _read_csv(path, data, declared)
    _refuse_duplicates(path, list(frame.columns))
    may_be_empty = allow_empty or declared is not None
    if not len(frame.columns) or (frame.empty and not may_be_empty):
        found = "columns but no rows" if len(frame.columns) else "no columns"
        raise DataError(315, f"{path}: the table has {found}: check what wrote it")
    return frame


def _refuse_too_large(path: Path, size: int) -> None:
    there = machine_memory()
    if size > there / 4:  # bytes, text and frame are in memory together
        raise DataError(
            350,
            f"{path}: at least {size / 2**30:,.1f} GiB of text do not fit into the memory of this "
            f"machine, {there / 2**30:,.0f} GiB: keep only some of the rows or columns",
        )


def _read_binary(path: Path, kind: str) -> pd.DataFrame:
    try:
        with pa.OSFile(str(path), "rb") as file:
            if kind == "Parquet":
                table = pq.ParquetFile(file, page_checksum_verification=True).read()
            else:
                table = pyarrow.ipc.open_file(file).read_all()
                table.validate(full=True)  # wrong offsets would be read beyond the buffers
        if len(set(table.column_names)) == table.num_columns:
            return of_arrow(table, indexed=True)
        return pd.DataFrame(columns=table.column_names)  # the caller says which names repeat
    except Exception as error:  # damage shows as KeyError, OSError, UnicodeError, ...
        _refuse_shortage(error)
        raise DataError(
            323, f"{path}: damaged or truncated {kind}: copy or write it again ({error})"
        ) from error


def _refuse_shortage(error: Exception) -> None:
    """Raise a `MemoryError` if Arrow could not start a thread: the file is not damaged."""
    if "worker thread" in str(error):
        raise MemoryError(str(error)) from error


def _tell_levels(path: Path, frame: pd.DataFrame) -> None:
    """Warn if the header has several levels, because column names are then tuples."""
    if frame.columns.nlevels > 1:
        warnings.warn(
            f"{path}: the header has {frame.columns.nlevels} levels, so the column names are "
            f"tuples such as {frame.columns[0]!r}: for plain names, give the table one header",
            UserWarning,
            stacklevel=4,
        )


def _read_csv(path: Path, data: bytes, declared: Schema | None) -> pd.DataFrame:
    if data.startswith(b"\x1f\x8b"):
        data = _unpacked(path, data)
    data = _as_utf8(path, data)
    if not re.search(rb"[\r\n]", data):
        data += b"\n"  # pyarrow ignores a single line without a newline
    delimiter, header, _ = csv_layout(path, data)
    data = _named_delimiter(data)[1]
    if b'"' in data and not _quotes_pair_up(data, delimiter):
        _refuse_bad_record(path, data, delimiter)
    types = {f"f{position}": pa.string() for position in range(len(header))}
    table, problem = None, "the header and the rows differ in length"
    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(data),
            pyarrow.csv.ReadOptions(autogenerate_column_names=True, block_size=BLOCK),
            pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            pyarrow.csv.ConvertOptions(column_types=types),
        )
    except pa.ArrowException as error:
        _refuse_shortage(error)
        problem = str(error)
    if table is None or table.num_columns != len(header):
        _refuse_bad_record(path, data, delimiter)
        raise DataError(324, f"{path}: not CSV ({problem}): look for a very long row or cell")
    comma = delimiter == ";"
    cells = {name: c.slice(1) for name, c in zip(header, table.columns, strict=True)}
    if declared is None:
        read = {name: typed_cells(c, decimal_comma=comma) for name, c in cells.items()}
    else:
        numbers = {c.name for c in declared.columns if comma and c.kind == "numeric"}
        read = {name: _text_cells(c, decimal_comma=name in numbers) for name, c in cells.items()}
    return pd.DataFrame(read)


def csv_layout(path: str | os.PathLike[str], data: bytes) -> tuple[str, list[str], int]:
    """Find the delimiter and the header of a CSV file."""
    path = Path(path)
    named, data = _named_delimiter(data)
    _refuse_comments(path, data)
    delimiter, header = _layout(path, data, named or DELIMITERS)
    header = [undefused(name) for name in header]
    if all(not cell.strip() or re.match(_FLOAT, cell.strip()) for cell in header):
        shown = ", ".join(map(repr, header[:5]))
        raise DataError(
            319, f"{path}: line 1 names no column ({shown}): add a first line with the names"
        )
    values = [cell for cell in header if re.fullmatch(r"[-+]?\d*\.\d+", cell.strip())]
    if values:
        warnings.warn(
            f"{path}: line 1 is read as the column names, though {values[0]!r} in it looks like a "
            "value: if the file has no column names, add a first line with them",
            UserWarning,
            stacklevel=5,
        )
    _refuse_duplicates(path, header)
    return delimiter, header, int(bool(named))


def _unpacked(path: Path, data: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            head = file.read(1 << 16)
            _refuse_other_formats(path, head, "inside the gzip is")  # before unpacking the rest
            parts, size = [head], len(head)
            while part := file.read(BLOCK):  # a small file may unpack to any size
                parts.append(part)
                _refuse_too_large(path, size := size + len(part))
            return b"".join(parts)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            317, f"{path}: damaged or truncated gzip: copy or write it again ({error})"
        ) from error


def _refuse_other_formats(path: Path, data: bytes, found: str) -> None:
    """Raise if the data are in another format; ``found`` begins the message."""
    head = data[: 1 << 16]
    if head.startswith(_UTF_16):
        return
    controls = len(_CONTROL.findall(head))
    squeezed = b"".join(head[:64].lower().split())
    for start, what in _OTHER_FORMATS.items():
        if squeezed.startswith(start) and (controls or start[:1] in b"<{["):
            raise DataError(316, f"{path}: not a CSV or Parquet table; {found} {what}")
    # NUL is allowed in a cell. NUL in the header means binary data; so do many control characters
    # in data that are not UTF-8.
    lost = len(head) - len(head.decode("utf-8", "ignore").encode())
    is_utf8 = lost <= (3 if len(data) > len(head) else 0)  # the last character may be cut
    if b"\0" in head.split(b"\n", 1)[0] or (not is_utf8 and controls > len(head) / 100):
        what = "binary data: save the table as CSV UTF-8 or Parquet"
        raise DataError(316, f"{path}: not a CSV or Parquet table; {found} {what}")


def _as_utf8(path: Path, data: bytes) -> bytes:
    """The text of a CSV file of any supported encoding, as UTF-8 without a byte-order mark."""
    _refuse_other_formats(path, data, "this is")
    data = data.removeprefix(codecs.BOM_UTF8)
    encoding = "utf-16" if data.startswith(_UTF_16) else "utf-8"
    try:
        text = data.decode(encoding)
        return data if encoding == "utf-8" else text.encode()
    except UnicodeDecodeError as error:
        text = data.decode(encoding, "replace")
        line = data[: error.start].decode(encoding, "replace").count("\n") + 1
    if encoding == "utf-16" or len(re.findall(_FOREIGN, text)) >= 2 * text.count("\ufffd"):
        message = f"line {line} is not {encoding}, unlike the rest: correct it, or save as UTF-8"
        raise DataError(318, f"{path}: {message}")
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    runs = [len(run) for run in re.findall(f"{_FOREIGN}+", text)]
    # In Western European text, accented letters stand alone; long runs are words of another script.
    if 2 * sum(length for length in runs if length > 2) > sum(runs):
        message = f"line {line} is neither UTF-8 nor Western European: save the file as UTF-8"
        raise DataError(318, f"{path}: {message}")
    return text.encode()


def _named_delimiter(data: bytes) -> tuple[str, bytes]:
    """The delimiter from a first line ``sep=;``, as Excel writes it, and the data without it.

    The line is emptied, not removed, so that line numbers in errors stay correct.
    """
    found = re.match(rb'"?sep=([,;\t|])"?[ ;,\t]*(?=\r?\n|\r)', data, re.IGNORECASE)
    return (found[1].decode(), data[found.end() :]) if found else ("", data)


def _refuse_comments(path: Path, data: bytes) -> None:
    """Raise for comment lines before the header; names may begin with #, as in ``#id,dose``."""
    lines = data[: 1 << 16].splitlines()[:1000]
    count = next((n for n, line in enumerate(lines) if not line.startswith(b"#")), len(lines))
    if not count:
        return
    first, after = lines[0], lines[count] if count < len(lines) else b""
    uneven = any(first.count(d.encode()) < after.count(d.encode()) for d in DELIMITERS)
    if count > 1 or uneven or re.match(rb"#+\s", first):
        which = "line 1 begins" if count == 1 else f"lines 1 to {count} begin"
        raise DataError(
            358,
            f"{path}: {which} with '#': comments are not read: delete them, so that the first "
            "line holds the names of the columns",
        )


def _layout(path: Path, data: bytes, delimiters: str) -> tuple[str, list[str]]:
    """The delimiter with which most records have as many fields as the header; and the header."""
    sample = data[:SAMPLE].decode("utf-8", "ignore")
    best, layout = (0.0, False, 0), None
    for delimiter in delimiters:
        records: list[list[str]] = []
        with suppress(csv.Error):
            for record in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter):
                records += [record] if record else []
                if len(records) > 100:
                    break
            else:
                records = records[: len(records) - (len(data) > SAMPLE)]  # the last may be cut
        if not records:
            continue
        header, widths = records[0], [len(record) for record in records]
        score = (widths.count(widths[0]) / len(widths), '"' not in "".join(header), widths[0])
        if layout is None:
            layout = delimiter, header
        if len(header) > 1 and score > best:
            best, layout = score, (delimiter, header)
    if layout is None:
        found = "its first line is too long for a header" if data.strip() else "the file is empty"
        raise DataError(314, f"{path}: {found}: check what wrote it")
    if "\0" in "".join(layout[1]):
        raise DataError(316, f"{path}: the first line holds NUL: save the table as CSV UTF-8")
    return layout


def _refuse_duplicates(path: Path, names: list[Any]) -> None:
    counts = Counter(names)
    repeated = [f"column {name!r} appears {n} times" for name, n in counts.items() if n > 1]
    if repeated:
        message = f"{', '.join(repeated[:5])}: rename them (or add a header, if line 1 is data)"
        raise DataError(320, f"{path}: {message}")


def _quotes_pair_up(data: bytes, delimiter: str) -> bool:
    """Whether every quote opens at the start of a field, closes at its end, or is doubled."""
    raw = np.frombuffer(data, np.uint8)
    quotes = np.flatnonzero(raw == ord('"'))
    if len(quotes) % 2:
        return False
    edge = np.zeros(256, dtype=bool)
    edge[[ord(char) for char in delimiter + '\r\n"']] = True
    opening, closing, last = quotes[::2], quotes[1::2], len(raw) - 1
    opens_well = (opening == 0) | edge[raw[opening - 1]]
    closes_well = (closing == last) | edge[raw[np.minimum(closing + 1, last)]]
    return bool(opens_well.all() and closes_well.all())


def _refuse_bad_record(path: Path, data: bytes, delimiter: str) -> None:
    """Raise for the first record that is ragged or badly quoted; return if there is none."""
    reader = csv.reader(io.StringIO(data.decode(), newline=""), delimiter=delimiter, strict=True)
    expected, line = 0, 1
    try:
        for record in reader:
            expected = expected or len(record)
            if record and len(record) != expected:
                comment = " (comments, lines that begin with '#', are not read)"
                hint = comment if record[0].startswith("#") else ""
                last = next(reader, None) is None
                raise DataError(
                    321,
                    f"{path}: line {line}: expected {expected} fields as in the header, found "
                    f"{len(record)}: complete it, or quote the cell that holds a {delimiter!r}"
                    f"{hint}" + (" (it is the last line: is the file cut off?)" if last else ""),
                )
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            322,
            f"{path}: line {line}: a quote is not closed or not doubled, or a cell is very long "
            f'({error}): a quote inside a quoted cell is written ""',
        ) from None


def typed_cells(cells: pa.ChunkedArray, *, decimal_comma: bool) -> pd.Series:
    """Convert a CSV column to the first type that fits all of its cells, see `read_table`."""
    empty = pc.equal(cells, "")
    if pc.all(empty).as_py():
        return pd.Series(np.full(len(cells), np.nan))
    bare = pc.utf8_trim_whitespace(cells)
    bare = pc.if_else(pc.is_in(bare, MISSING), None, bare)
    if decimal_comma and _all_match(bare, _COMMA_FLOAT):
        bare = pc.replace_substring(bare, ",", ".")
    with suppress(pa.ArrowInvalid):  # beyond 64 bits, or no day of the calendar: stays text
        if _all_match(bare, _INTEGER):
            values = pc.fill_null(pc.cast(bare, pa.int64()), 0).to_numpy().copy()
            missing = pc.is_null(bare).to_numpy().copy()
            return pd.Series(pd.arrays.IntegerArray(values, missing) if missing.any() else values)
        if _all_match(bare, _FLOAT) and not _all_match(bare, _DIGITS):
            values = pc.cast(pc.utf8_ltrim(bare, "+"), pa.float64())
            is_inf = pc.equal(pc.is_inf(values), pc.match_substring(bare, "n"))
            if pc.all(is_inf).as_py():  # otherwise a cell such as 1e999 overflowed: stays text
                return pd.Series(values.to_numpy().copy())
        if _all_match(bare, f"^{_DAY}({_TIME})?$"):
            return pc.cast(bare, pa.timestamp(_unit(bare))).to_pandas()
        if _all_match(bare, f"^{_DAY}{_TIME}{_OFFSET}"):
            stamps = pc.cast(bare, pa.timestamp(_unit(bare), "UTC")).to_pandas()
            offsets = pc.unique(pc.struct_field(pc.extract_regex(bare, _OFFSET), 0)).drop_null()
            zones = {f"{o[:3]}:{o[3:].strip(':') or '00'}" for o in offsets.to_pylist() if o != "Z"}
            zones |= {"UTC"} if pc.any(pc.match_substring(bare, "Z")).as_py() else set()
            return stamps.dt.tz_convert(zones.pop() if len(zones) == 1 else "UTC")
    if pc.all(pc.is_in(cells, pa.array(["True", "False", ""]))).as_py():
        flags = pc.if_else(empty, None, pc.equal(cells, "True"))
        return pd.Series(flags.to_numpy().copy(), dtype=object if flags.null_count else bool)
    # `if_else` would corrupt the cells of a slice in older pyarrow (apache/arrow#49410).
    return pd.Series(np.where(empty.to_numpy(), None, undefused_cells(cells)), dtype=object)


def undefused_cells(cells: pa.ChunkedArray | pa.Array) -> Any:
    """The texts of a CSV column without the ``'`` that `write_table` put before formulas."""
    values = cells.to_numpy(zero_copy_only=False)
    if pc.any(pc.match_substring_regex(cells, "^'+[=+@\t\r-]")).as_py():
        values = np.array([undefused(cell) for cell in values], dtype=object)
    return values


def _text_cells(cells: pa.ChunkedArray, *, decimal_comma: bool) -> pd.Series:
    """A CSV column as text, None for empty cells; each cell is read by itself."""
    text = pd.Series(
        np.where(pc.equal(cells, "").to_numpy(), None, undefused_cells(cells)), dtype=object
    )
    if decimal_comma:
        with_point = text.str.strip().str.replace(",", ".", regex=False)
        text = with_point.where(text.str.fullmatch(rf"\s*{_COMMA_FLOAT[1:-1]}\s*", na=False), text)
    return text


def _all_match(cells: pa.ChunkedArray, pattern: str) -> bool:
    """Whether there are non-missing cells and all of them match."""
    head = cells.slice(0, 100)  # most columns fail here already, which saves time
    if pc.all(pc.match_substring_regex(head, pattern)).as_py() is False:
        return False
    return pc.all(pc.match_substring_regex(cells, pattern)).as_py() is True


def _unit(cells: pa.ChunkedArray) -> str:
    return "ns" if pc.any(pc.match_substring_regex(cells, r"\.[0-9]{7}")).as_py() else "us"
