"""JSON lines (one object per row), read in blocks, or one JSON array of objects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from bayeslaw.data.table import Table
from bayeslaw.errors import FileError
from bayeslaw.readers.names import is_known
from bayeslaw.readers.records import Records
from bayeslaw.readers.source import Source

BLOCK = 1 << 22
#: of a file larger than this, only columns are kept that bayeslaw knows or was asked for, so that it fits into memory
SLIM = 200_000_000


def read(source: Source) -> Table:
    """Read JSON lines. Nested objects become columns joined by ``/``; NaN and Infinity are accepted.

    A file above 200 MB is read with the columns that bayeslaw knows or was asked for, and no others, which is noted.

    Raises
    ------
    FileError
        A line in the middle is not a JSON object. A last line without a line break that does not parse is a live run
        caught in mid-write: it is left out and reported.
    """
    head = source.head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if head[:1] == b"[":
        rows = _array(source)
        if rows is not None:
            records = Records()
            records.extend(rows)
            return records.table()
    slim = source.size > SLIM
    records = Records(keep=(lambda key: is_known(key) or key in source.wanted) if slim else None)
    torn: list[str] = []
    with source.stream() as stream:
        for number, lines, last in blocks(stream):
            rows, message = _rows(lines, number, last and records.count + len(records.rows) > 0, source.name)
            records.extend(rows)
            if slim:
                records.flush()
            if message:
                torn.append(message)
    notes = []
    if records.dropped:
        some = ", ".join(list(records.dropped)[:5])
        notes.append(
            f"{source.name} is larger than {SLIM / 1e6:.0f} MB: {len(records.dropped):,} columns that bayeslaw does "
            f"not use were left out ({some}{', ...' if len(records.dropped) > 5 else ''})."
        )
    return records.table(torn=tuple(torn), notes=tuple(notes))


def blocks(stream: BinaryIO) -> Iterator[tuple[int, list[bytes], bool]]:
    """Whole lines, some four million bytes at a time: number of the first line from 1, lines, is the last one torn.

    The last line of a file counts as possibly torn if no line break ends it.
    """
    number, rest = 1, b""
    while block := stream.read(BLOCK):
        end = block.rfind(b"\n")
        if end < 0:
            rest += block
            continue
        lines = (rest + block[:end]).split(b"\n")
        rest = block[end + 1 :]
        yield number, lines, False
        number += len(lines)
    rest = rest.rstrip(b"\x00")  # a block that was set aside but never written before a crash
    if rest.strip():
        yield number, [rest], True


def _array(source: Source) -> list[dict[str, Any]] | None:
    try:
        value = json.loads(source.data())
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, list) and value and all(type(v) is dict for v in value) else None


def _rows(lines: list[bytes], number: int, torn: bool, name: str) -> tuple[list[dict[str, Any]], str]:
    """The objects of some lines; ``torn`` says that the last line may be cut off. FileError for any other bad line."""
    if number == 1 and lines:
        lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")
    full = [(i, line) for i, line in enumerate(lines, number) if line.strip()]
    try:
        rows = json.loads(b"[" + b",".join([line for _, line in full]) + b"]")  # one call: ten times as fast
        if len(rows) == len(full) and all(type(row) is dict for row in rows):
            return rows, ""
    except (ValueError, RecursionError):
        pass
    rows = []
    for i, line in full:
        try:
            row = json.loads(line)
            if type(row) is not dict:
                raise ValueError(f"it holds {type(row).__name__}, not an object")
        except UnicodeDecodeError:
            raise FileError(f"Line {i:,} of {name} is not text in UTF-8. Save it again as UTF-8.") from None
        except (ValueError, RecursionError) as error:
            if torn and line is lines[-1]:
                return rows, f"The last line of {name} was cut off: left out. A live run writes it again."
            text = line.decode("utf-8", "replace")[:80]
            raise FileError(
                f"Line {i:,} of {name} is not a JSON object ({error}): {text!r}. Each line holds one row, as in "
                f'{{"run": "7b", "step": 10, "loss": 3.2}}; correct or remove that line.{_hint(line)}'
            ) from None
        rows.append(row)
    return rows, ""


def _hint(line: bytes) -> str:
    if line.lstrip().startswith(b"{'"):
        return (
            " It looks like what transformers' Trainer prints, which has no step: read trainer_state.json of the "
            "output folder instead."
        )
    return ""
