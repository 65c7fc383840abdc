"""CSV files as spreadsheets and scripts write them: their encoding, delimiter, cells and true line numbers."""

import codecs
import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Final, TextIO

import numpy as np
import pandas as pd

from ichtune.errors import InputError

DELIMITERS: Final = (",", ";", "\t")
_MARKS: Final = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_OLD_ENCODINGS: Final = {"cp1252": "Windows-1252", "latin-1": "Latin-1"}
_UNDEFINED: Final = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")  # in Windows-1252
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_SEPARATOR_LINE: Final = re.compile(r'"?sep=(.)"?[,;\s]*', re.IGNORECASE)
_NAMES: Final = {",": "a comma", ";": "a semicolon", "\t": "a tab"}
_BLOCK: Final = 1 << 20  # bytes


@dataclass(frozen=True)
class CSVFormat:
    """How a CSV file is written; `header_line` counts from 1."""

    encoding: str
    delimiter: str
    header: tuple[str, ...]
    header_line: int
    has_quotes: bool
    notes: tuple[str, ...]

    @property
    def decimal_comma(self) -> bool:
        """Whether a comma in a number can only be a decimal comma."""
        return self.delimiter != ","


def csv_format(path: Path) -> CSVFormat:
    """Return how a CSV file is written.

    Raises:
        InputError: the file is missing, empty or not text, or its delimiter is ambiguous.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such labels file; pass it with --labels")
    status = path.stat()
    return _format(path, status.st_size, status.st_mtime_ns)


def read_cells(path: Path, *, nrows: int | None = None) -> pd.DataFrame:
    """Return a CSV file's cells as strings (empty if missing) by its own column names; the index has line numbers.

    A column with neither name nor content is left out; one without a name is called `Unnamed: 0` by its position.

    Raises:
        InputError: the file can't be read, or a row has more cells than the header.
    """
    form = csv_format(path)
    width = len(form.header)
    try:
        cells = _parsed(path, form, width, nrows)
    except pd.errors.ParserError as error:
        width = _width_with_blanks(path, form, error)
        cells = _parsed(path, form, width, nrows)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a readable CSV file: {error}") from None
    lines = _line_numbers(cells, form)
    named = {k: name for k, name in enumerate(form.header) if name.strip()}
    cells = cells.iloc[1:].set_axis(lines[1:], axis=0)
    kept = [k for k in range(width) if k in named or (cells[k] != "").any()]
    return cells[kept].set_axis([named.get(k, f"Unnamed: {k}") for k in kept], axis=1)


@lru_cache(maxsize=64)
def _format(path: Path, _size: int, _changed: int) -> CSVFormat:
    encoding = _encoding(path)
    try:
        delimiter, header, skipped, notes = _header(path, encoding)
    except (UnicodeError, csv.Error) as error:
        raise InputError(f"{path}: not a readable CSV file: {error}") from None
    if encoding in _OLD_ENCODINGS:
        notes.append(
            f"{path.name} isn't UTF-8 and was read as {_OLD_ENCODINGS[encoding]}; if accents or umlauts in its names "
            "are wrong, save it as UTF-8."
        )
    has_quotes = any(b'"' in block for block in _blocks(path))
    return CSVFormat(encoding, delimiter, header, skipped + 1, has_quotes, tuple(notes))


def _encoding(path: Path) -> str:
    with open(path, "rb") as file:
        start = file.read(4)
    if start == b"PK\x03\x04":
        raise InputError(f"{path}: not a CSV file but a workbook or a ZIP archive; save the table as CSV")
    for mark, encoding in _MARKS.items():
        if start.startswith(mark):
            return encoding
    if any(b"\0" in block for block in _blocks(path)):
        raise InputError(f"{path}: not a readable CSV file: it has zero bytes; save it as UTF-8")
    if _is_utf8(path):
        return "utf-8"
    if any(_CONTROL.search(block) for block in _blocks(path)):
        raise InputError(f"{path}: not a readable CSV file: it isn't text")
    return "latin-1" if any(_UNDEFINED.search(block) for block in _blocks(path)) else "cp1252"


def _is_utf8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for block in _blocks(path):
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _blocks(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            yield block


def _header(path: Path, encoding: str) -> tuple[str, tuple[str, ...], int, list[str]]:
    """Return the delimiter, the column names, the number of lines above them, and notes on a choice made."""
    stated, skipped = _above_header(path, encoding)
    rows = {one: _first_row(path, encoding, skipped, one) for one in (stated or DELIMITERS)}
    delimiter = max(rows, key=lambda one: len(rows[one]))
    rivals = [one for one, row in rows.items() if len(row) > 1 and one != delimiter]
    if any(len(rows[one]) == len(rows[delimiter]) for one in rivals):
        raise InputError(
            f"{path}: either {_NAMES[delimiter]} or {_NAMES[rivals[0]]} may separate its columns; "
            f"say which in a first line such as sep={delimiter}"
        )
    notes = [
        f"In {path.name}, {_NAMES[delimiter]} separates the columns, not {_NAMES[one]}." for one in rivals
    ]
    return delimiter, rows[delimiter], skipped, notes


def _above_header(path: Path, encoding: str) -> tuple[str, int]:
    """Return the delimiter that a line such as `sep=;` states (else an empty text), and the lines above the header."""
    with _opened(path, encoding) as file:
        for skipped, line in enumerate(file):
            stated = _SEPARATOR_LINE.fullmatch(line)
            if stated and stated[1] not in DELIMITERS:
                raise InputError(
                    f"{path}: its columns are separated by {stated[1]!r}; use a comma, ; or a tab"
                )
            if stated:
                return stated[1], skipped + 1
            if line.strip():
                return "", skipped
    raise InputError(f"{path}: the table is empty")


def _first_row(path: Path, encoding: str, skipped: int, delimiter: str) -> tuple[str, ...]:
    with _opened(path, encoding) as file:
        rows = csv.reader(islice(file, skipped, None), delimiter=delimiter)
        return tuple(next(rows, ()))


def _opened(path: Path, encoding: str) -> TextIO:
    return open(path, encoding=encoding, newline="")


def _parsed(path: Path, form: CSVFormat, width: int, nrows: int | None) -> pd.DataFrame:
    """Return the header and the rows, each filled up to `width` cells; a wider row is a ParserError."""
    if form.header_line == 1:
        return _read(path, form, width, nrows)
    with _opened(path, form.encoding) as file:  # pandas' own skiprows loses a line that ends in a bare \r
        for _ in range(form.header_line - 1):
            file.readline()
        return _read(file, form, width, nrows)


def _read(file: Path | TextIO, form: CSVFormat, width: int, nrows: int | None) -> pd.DataFrame:
    return pd.read_csv(
        file,
        dtype=str,
        encoding=form.encoding,
        sep=form.delimiter,
        header=None,
        names=range(width),
        index_col=False,
        nrows=None if nrows is None else nrows + 1,
        na_filter=False,
        skip_blank_lines=False,  # else line numbers in messages would be wrong
    ).fillna("")


def _width_with_blanks(path: Path, form: CSVFormat, why: Exception) -> int:
    """Return the number of cells of the widest row, whose surplus cells must be blank."""
    width = widest = len(form.header)
    with _opened(path, form.encoding) as file:
        rows = csv.reader(file, delimiter=form.delimiter, strict=True)
        line = 1
        try:
            for row in rows:
                if "".join(row[width:]).strip() and line > form.header_line:
                    raise InputError(
                        f"{path}: line {line:,} has {len(row)} cells, but the header has {width}; "
                        "a cell that contains the delimiter must be in quotation marks"
                    )
                line, widest = rows.line_num + 1, max(widest, len(row))
        except csv.Error:
            widest = width
    if widest == width:
        raise InputError(f"{path}: not a readable CSV file: {why}")
    return widest


def _line_numbers(cells: pd.DataFrame, form: CSVFormat) -> pd.Index:
    """Return the line of the file that each row begins in; a quoted cell may span several."""
    lines = pd.RangeIndex(form.header_line, form.header_line + len(cells))
    if not form.has_quotes:
        return lines
    breaks = sum(cells[k].str.count(r"\r\n|\r|\n").to_numpy(np.int64) for k in cells.columns)
    if not np.any(breaks):
        return lines
    return lines + np.concatenate([[0], np.cumsum(breaks)[:-1]])
