"""Comma-, tab-, semicolon- and bar-separated text, through Arrow's multithreaded parser."""

from __future__ import annotations

import csv
import io
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pc

from bayeslaw.data.columns import TEXT, match
from bayeslaw.data.table import Table
from bayeslaw.errors import DataError, FileError
from bayeslaw.readers.source import Source

#: Arrow settles a column's type on its first block, so a block holds some 200,000 rows
BLOCK = 1 << 24
#: by how many lines above it, at least and at most, a last cell without its line break is judged
ABOVE = (8, 20)
#: how programs write a whole number that they hold as a float; an id such as 12e3 has no sign
_FLOAT = re.compile(r"\d{1,15}\.0|\d(\.\d+)?e\+(0\d|1[0-5])")
_NUMBER = re.compile(rb"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d*)?", re.I)
_CONVERSION = re.compile(r"In CSV column #(\d+): (?:Row #\d+: )?CSV conversion error")


def read(source: Source, names: frozenset[str] = frozenset()) -> Table:
    """Read delimited text; ``names`` are further columns that hold names, whose digits are no numbers.

    Raises
    ------
    FileError
        No text, or a line in the middle with another number of cells. Such a last line, without a line break, is a
        live file caught in mid-write: it is left out and reported; so is one whose last cell is much shorter than those
        above it.
    """
    data, name = source.data().rstrip(b"\x00"), source.name  # zeros: never written before a crash
    _check_text(data, name)
    header = re.split(rb"[\r\n]", data[: 1 << 16].removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n"), maxsplit=1)[0]
    delimiter = max(",\t;|", key=lambda d: header.count(d.encode()))
    data, short = _cut_short(data, delimiter.encode(), name)
    skipped: list[pc.InvalidRow] = []
    columns = _column_names(header, delimiter)
    _check_cells(columns, name)
    named = _names(columns) | source.texts | names
    text = {column: pa.string() for column in columns if column in named}
    while True:
        skipped.clear()
        try:
            table = _parse(data, delimiter, text, skipped, threads=True)
            if skipped:  # line numbers are known only when one thread reads them all
                skipped.clear()
                table = _parse(data, delimiter, text, skipped, threads=False)
            break
        except pa.ArrowInvalid as error:
            match = _CONVERSION.search(str(error))
            column = columns[int(match[1])] if match and int(match[1]) < len(columns) else None
            if column is None or column in text:
                raise FileError(f"Cannot read {name} as a table with {delimiter!r} between cells: {error}.") from None
            text[column] = pa.string()  # the cell that is no number is named later, with its run
    torn = short + _torn(data, name, skipped)
    empty = {c: _nulls(table.column(i)) for i, c in enumerate(table.column_names) if table.column(i).null_count}
    frame = table.to_pandas()
    for column in named.intersection(frame.columns):
        frame[column] = _whole_numbers(frame[column])
    return Table(frame, empty, np.arange(1, table.num_rows + 1), torn)


def _names(columns: list[str]) -> set[str]:
    """The columns that hold names of runs and groups: read as numbers, runs 007 and 7 would become one, and 1e5 too."""
    try:
        found = match(columns, need_loss=False).mapping
    except DataError:  # said by whoever takes the table
        return set()
    return {found[name] for name in TEXT if name in found}


def _whole_numbers(names: pd.Series) -> pd.Series:
    """The names, with whole numbers that somebody's program wrote as floats (3.0, 5e+07) written as what they are.

    Only where all names are numbers, and no two of them become one.
    """
    once = [str(name) for name in names.dropna().unique()]
    try:
        whole = {name: f"{float(name):.0f}" for name in once if float(name) % 1 == 0 and _FLOAT.fullmatch(name)}
    except ValueError:  # some are words
        return names
    if not whole or len({whole.get(name, name) for name in once}) < len(once):
        return names
    return names.replace(whole)


def _check_text(data: bytes, name: str) -> None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise FileError(f"Line {line:,} of {name} is not text in UTF-8. Save it again as UTF-8.") from None


def _parse(data: bytes, delimiter: str, text: dict, skipped: list, threads: bool) -> pa.Table:
    def collect(row: pc.InvalidRow) -> str:
        skipped.append(row)
        return "skip"

    return pc.read_csv(
        io.BytesIO(data),
        read_options=pc.ReadOptions(block_size=BLOCK, use_threads=threads),
        parse_options=pc.ParseOptions(delimiter=delimiter, invalid_row_handler=collect),
        convert_options=pc.ConvertOptions(
            column_types=text, strings_can_be_null=True, null_values=["", "null", "None", "N/A", "NA"]
        ),
    )


def _column_names(header: bytes, delimiter: str) -> list[str]:
    line = header.decode("utf-8", "replace")
    return next(csv.reader([line], delimiter=delimiter), [])


def _check_cells(columns: list[str], name: str) -> None:
    """FileError for a first line of several words that no delimiter parts, if it is not itself a column's name."""
    if len(columns) == 1 and len(columns[0].split()) > 1 and not match(columns, need_loss=False).mapping:
        raise FileError(
            f"The first line of {name}, {columns[0][:80]!r}, has no comma, tab, semicolon or bar, which part "
            f"cells. Put commas in place of blanks, or take the table in with bayeslaw.Runs.from_frame(table)."
        )


def _nulls(column: pa.ChunkedArray) -> np.ndarray:
    return column.is_null().to_numpy(zero_copy_only=False)


def _cut_short(data: bytes, delimiter: bytes, name: str) -> tuple[bytes, tuple[str, ...]]:
    """The text without a last line whose last cell was cut off, and what to say of it: 3 would be read for 3.0912.

    A cell counts as cut off where no line break follows, and each of the 8 to 20 above it is longer by at least two
    characters: a shorter number that somebody wrote by hand stays.
    """
    *above, last = (line.rstrip(b"\r") for line in data.rsplit(b"\n", ABOVE[1] + 1))
    above = above[1:]  # the first is the header, or all that comes before
    if len(above) < ABOVE[0] or last.count(delimiter) != above[-1].count(delimiter):
        return data, ()
    *cells, cell = (line.rpartition(delimiter)[2] for line in (*above, last))
    if not all(map(_NUMBER.fullmatch, (*cells, cell))) or len(cell) > min(map(len, cells)) - 2:
        return data, ()
    message = f"The last line of {name} was cut off ({last.decode()!r}): left out. A live run writes it again."
    return data[: data.rindex(b"\n") + 1], (message,)


def _torn(data: bytes, name: str, skipped: list) -> tuple[str, ...]:
    """What to say of lines with the wrong number of cells; FileError unless it is one torn last line."""
    if not skipped:
        return ()
    first = skipped[0]
    last = data.rstrip(b"\r\n").count(b"\n") + 1
    if (
        len(skipped) == 1
        and first.number == last
        and not data.endswith(b"\n")
        and first.actual_columns < first.expected_columns
    ):
        return (f"The last line of {name} was cut off ({first.text!r}): left out. A live run writes it again.",)
    more = f" ({len(skipped):,} lines are like this)" if len(skipped) > 1 else ""
    raise FileError(
        f"Line {first.number:,} of {name} has {first.actual_columns} cells, but the header has "
        f"{first.expected_columns}: {first.text[:80]!r}{more}. Correct the line, or export the table again."
    )
