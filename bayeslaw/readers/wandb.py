"""W&B's offline ``.wandb`` files, which the wandb package writes and has no public reader for.

A file is a LevelDB log (https://github.com/google/leveldb/blob/main/doc/log_format.md) behind a header of 7 bytes,
``:W&B``, with plain CRC-32 checksums. Each record is a protobuf message (``wandb/proto/wandb_internal.proto``): field
2 a history row, field 17 the run. Names of the package's own classes are not needed, and nothing is unpickled.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from bayeslaw.data.table import Remark, Table
from bayeslaw.errors import FileError
from bayeslaw.readers.records import Records, flat
from bayeslaw.readers.source import Source
from bayeslaw.readers.wire import WireError, fields, signed, text, unpack

BLOCK = 32768
_HEADER = struct.Struct("<IHB")
_PLAIN = frozenset(b"%d" % digit for digit in range(10))


def read(source: Source) -> Table:
    """Read one ``.wandb`` file. Its run is called by its display name, or its id.

    Raises FileError where the file holds no history.
    """
    return read_run([source.path])


def read_run(paths: Sequence[Path]) -> Table:
    """Read the files of one run in the order given; later ones resume earlier ones."""
    records, torn, remarks = Records(), [], []
    found = Run()
    for path in paths:
        _read_file(Source(path), records, found, torn, remarks)
    records.flush()
    if not records.count:
        names = ", ".join(path.name for path in paths[:3])
        raise FileError(f"{names} holds no history: the run logged nothing, or was killed before it could.")
    return records.table(torn=tuple(torn), run=found.name or found.id or None, remarks=tuple(remarks))


@dataclass
class Run:
    """What a file says of its run."""

    id: str = ""
    name: str = ""


def identity(path: Path) -> Run:
    """The run that a file belongs to, read from its first records."""
    found = Run()
    with Source(path).stream() as stream:
        log = LevelLog(stream)
        for i, record in enumerate(log):
            try:
                for number, kind, value in fields(record):
                    if number == 17 and kind == 2:
                        _identify(value, found)  # type: ignore[arg-type]
            except WireError:
                continue
            if found.id or i > 100:
                break
    return found


def _read_file(source: Source, records: Records, found: Run, torn: list[str], remarks: list[Remark]) -> None:
    broken = 0
    with source.stream() as stream:
        log = LevelLog(stream)
        for record in log:
            try:
                for number, kind, value in fields(record):
                    if kind != 2:
                        continue
                    if number == 2:
                        row = history(value)  # type: ignore[arg-type]
                        if row:
                            records.add(row)
                    elif number == 17:
                        _identify(value, found)  # type: ignore[arg-type]
            except WireError:
                broken += 1
    if log.torn:
        torn.append(f"The last record of {source.name} was cut off: left out. A live run writes it again.")
    if log.damaged or broken:
        message = f"{log.damaged:,} bytes and {broken:,} records of {source.name} are damaged: left out."
        remarks.append(Remark("damaged", message, max(1, broken)))


class LevelLog:
    """The records of a LevelDB log.

    After iterating, ``damaged`` counts the bytes of blocks that fail their checksum (reading goes on at the next
    block) and ``torn`` tells whether the last record is not all there.
    """

    def __init__(self, stream: BinaryIO):
        self.stream = stream
        self.damaged = 0
        self.torn = False

    def __iter__(self) -> Iterator[bytes]:
        partial: bytearray | None = None
        at = 7
        block = self.stream.read(BLOCK)
        while block:
            following = self.stream.read(BLOCK) if len(block) == BLOCK else b""
            while len(block) - at >= 7:
                crc, length, kind = _HEADER.unpack_from(block, at)
                if kind == 0 and length == 0:  # zeros that were set aside but never written
                    break
                data = block[at + 7 : at + 7 + length]
                if len(data) < length and not following:
                    self.torn = True
                    break
                if zlib.crc32(block[at + 6 : at + 7 + length]) != crc or not 1 <= kind <= 4:
                    self.damaged += len(block) - at
                    partial = None
                    break
                at += 7 + length
                if kind == 1:
                    partial = None
                    yield data
                elif kind == 2:
                    partial = bytearray(data)
                elif partial is not None:
                    partial += data
                    if kind == 4:
                        yield bytes(partial)
                        partial = None
            else:
                self.torn |= not following and len(block) - at > 0 and bool(block[at:].strip(b"\x00"))
            block, at = following, 0
        self.torn |= partial is not None


def _identify(run: bytes, found: Run) -> None:
    for number, kind, value in fields(run):
        if kind == 2 and number == 1:
            found.id = text(value)  # type: ignore[arg-type]
        elif kind == 2 and number == 8:
            found.name = text(value)  # type: ignore[arg-type]


def history(data: bytes) -> dict[str, Any]:
    """One history row: metric to number or text; media and lists are left out."""
    row: dict[str, Any] = {}
    for number, kind, value in fields(data):
        if number == 1 and kind == 2:
            key, cell = _item(value)  # type: ignore[arg-type]
            if type(cell) is dict:
                if "_type" not in cell:  # a histogram, a picture, a table
                    row |= {k: v for k, v in flat({key: cell}).items() if type(v) is not list}
            elif type(cell) is not list:
                row[key] = cell
        elif number == 2 and kind == 2 and "_step" not in row:
            for inner, inner_kind, step in fields(value):  # type: ignore[arg-type]
                if inner == 1 and inner_kind == 0:
                    row["_step"] = signed(step)  # type: ignore[arg-type]
    return row if set(row) - {"_step", "_runtime", "_timestamp"} else {}


def _item(data: bytes) -> tuple[str, Any]:
    parts: list[str] = []
    cell: Any = None
    for number, kind, value in fields(data):
        if number in (1, 2) and kind == 2:
            parts.append(text(value))  # type: ignore[arg-type]
        elif number in (8, 16) and kind == 2:
            cell = _json(value)  # type: ignore[arg-type]
        elif number == 4 and kind == 0:
            cell = bool(value)
        elif number == 5 and kind == 0:
            cell = (value >> 1) ^ -(value & 1)  # type: ignore[operator]  # zigzag
        elif number == 6 and kind == 1:
            (cell,) = unpack("d", value)  # type: ignore[arg-type]
        elif number == 7 and kind == 2:
            cell = text(value)  # type: ignore[arg-type]
    return "/".join(parts), cell


def _json(data: bytes) -> Any:
    try:
        if data[:1] in _PLAIN and b"_" not in data:  # most values, and five times as fast
            return int(data) if data.isdigit() else float(data)
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise WireError("a value that is not JSON") from None
    if type(value) is str and value in ("NaN", "Infinity", "-Infinity"):
        return float(value)
    return value
