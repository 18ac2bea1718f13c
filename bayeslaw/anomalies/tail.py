"""Following a growing log: complete new lines of a CSV or JSON-lines file, through rotation and truncation.

What was read is a byte offset into a file known by its inode and the bytes at its beginning and before the offset, so a
reader that is stopped at any moment goes on where its saved state says. A rotated file is read to its end under its new
name first. A file that was written anew, or that a copy has taken the place of, is read from behind the rows that were
read already if it begins with just those, else from its beginning.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from bayeslaw.anomalies.lines import Lines
from bayeslaw.errors import DataError, FileError

#: bytes that identify a file, at its beginning and before the offset; bytes read at a time
HEAD, CHUNK = 256, 1 << 18
_PLACE = ("inode", "offset", "head", "head_size", "mark", "mark_size", "count", "sum")


class Tail:
    """New rows of a file, one call after another.

    Parameters
    ----------
    path : the log. ``columns`` : canonical name to the file's own, where finding would fail. ``run`` : name of the run
        of a file that names none (default: the file's name).
    """

    def __init__(self, path: str | Path, columns: Mapping[str, str] | None = None, run: str | None = None) -> None:
        self.path = Path(path)
        self.lines = Lines(str(self.path), columns or {}, run or self.path.stem)
        self.inode, self.offset, self.head, self.head_size = -1, 0, "", 0
        #: hash and number of the bytes before the offset; rows read of this file, and a checksum of them all
        self.mark, self.mark_size, self.count, self.sum = "", 0, 0, 0

    def rows(self) -> Iterator[tuple[dict[str, Any], ...]]:
        """Batches of rows that were added since the last call, each up to some thousands of rows.

        After a batch was taken, ``to_json`` describes the place just behind it. A file that is not there (yet) has no
        rows. FileError for a folder; DataError where a CSV's header has no step or no loss.
        """
        if self.path.is_dir():
            raise FileError(f"{self.path} is a folder; name the log file to watch.")
        rotated = self._rotated()
        if rotated is not None:
            yield from self._read(rotated, old=True)
        try:
            inode = os.stat(self.path).st_ino
        except FileNotFoundError:
            return
        self.inode = inode
        yield from self._read(self.path)

    def _rotated(self) -> Path | None:
        """The file that was being read, if it now lies under another name in the same folder."""
        if self.inode < 0:
            return None
        try:
            if os.stat(self.path).st_ino == self.inode:
                return None
        except FileNotFoundError:
            pass
        for other in self.path.parent.glob(self.path.name + "*"):
            try:
                if other != self.path and other.stat().st_ino == self.inode:
                    return other
            except OSError:
                continue
        return None

    def _read(self, path: Path, old: bool = False) -> Iterator[tuple[dict[str, Any], ...]]:
        with open(path, "rb") as file:
            if not self._same(file):
                if old:  # another file, which was given the number of one that is gone
                    return
                self._anew(file)
            self._remember_head(file)
            for end, block in _blocks(file, self.offset):
                rows = self._rows_of(block)
                self.offset, self.mark_size, self.mark = end, min(len(block), HEAD), _hash(block[-HEAD:])
                yield rows

    def _rows_of(self, block: bytes) -> tuple[dict[str, Any], ...]:
        lines = block.decode("utf-8", errors="replace").split("\n")
        rows = tuple(row for row in map(self.lines.row, lines) if row is not None)
        self.count, self.sum = self.count + len(rows), _checksum(rows, self.sum)
        return rows

    def _same(self, file: BinaryIO) -> bool:
        """Whether a file is the one that was being read, up to the offset, whatever its inode is."""
        if os.fstat(file.fileno()).st_size < self.offset:
            return False
        file.seek(0)
        head = file.read(self.head_size)
        file.seek(self.offset - self.mark_size)
        mark = file.read(self.mark_size)
        return (not head or _hash(head) == self.head) and (not mark or _hash(mark) == self.mark)

    def _anew(self, file: BinaryIO) -> None:
        """Stand at the beginning of a file that may be of another kind, or behind the rows that were read already."""
        there = _behind(file, self.count, self.sum, Lines(self.lines.where, self.lines.columns, self.lines.run))
        self.lines.anew()
        self.mark, self.mark_size = "", 0
        if there is None:
            self.offset, self.count, self.sum = 0, 0, 0
        else:
            self.offset, known = there
            self.lines.header, self.lines.json = known.header, known.json
            self.lines.losses, self.lines.loss = known.losses, known.loss

    def _remember_head(self, file: BinaryIO) -> None:
        file.seek(0)
        begin = file.read(HEAD)
        self.head_size, self.head = len(begin), _hash(begin)

    def to_json(self) -> dict[str, Any]:
        """Where the reader stands."""
        return {name: getattr(self, name) for name in _PLACE} | self.lines.to_json()

    def restore(self, data: Mapping[str, Any]) -> None:
        """Go on from where ``to_json`` was taken; what it lacks stays."""
        for name in _PLACE:
            setattr(self, name, data.get(name, getattr(self, name)))
        self.lines.restore(data)


def _blocks(file: BinaryIO, offset: int) -> Iterator[tuple[int, bytes]]:
    """Whole lines from an offset on, some at a time, and the offset behind them."""
    while True:
        file.seek(offset)
        block = file.read(CHUNK)
        while block and b"\n" not in block:
            more = file.read(CHUNK)
            if not more:
                return
            block += more
        block = block[: block.rfind(b"\n") + 1]
        if not block:
            return
        offset += len(block)
        yield offset, block


def _behind(file: BinaryIO, count: int, total: int, lines: Lines) -> tuple[int, Lines] | None:
    """The offset behind the first ``count`` rows of a file and what is known of its lines there, or None where those
    have not the checksum ``total``."""
    file.seek(0)
    at = seen = checksum = 0
    try:
        for line in file if count else ():
            at += len(line)
            row = lines.row(line.decode("utf-8", errors="replace"))
            if row is not None:
                seen, checksum = seen + 1, _checksum((row,), checksum)
            if seen == count:
                return (at, lines) if checksum == total and line.endswith(b"\n") else None
    except DataError:
        pass
    return None


def _checksum(rows: tuple[dict[str, Any], ...], before: int) -> int:
    """Of the rows so far, and of these after them."""
    return zlib.crc32("".join(f"{r['run']} {r['step']} {r['loss']};" for r in rows).encode(), before)


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
