"""Following a growing log: complete new lines of a CSV or JSON-lines file, through rotation and truncation.

What was read is a byte offset into a file known by its inode and its first bytes, so a reader that is stopped at any
moment goes on where its saved state says. A rotated file is read to its end under its new name first.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from bayeslaw.data.columns import match
from bayeslaw.errors import DataError, FileError

#: bytes that identify a file; bytes read at a time; most headers (or keys of JSON lines) whose names are remembered
HEAD, CHUNK, MOST_HEADERS = 256, 1 << 18, 1000


class Tail:
    """New rows of a file, one call after another.

    Parameters
    ----------
    path : the log. ``columns`` : canonical name to the file's own, where finding would fail. ``run`` : name of the run
        of a file that names none (default: the file's name).
    """

    def __init__(self, path: str | Path, columns: Mapping[str, str] | None = None, run: str | None = None) -> None:
        self.path = Path(path)
        self.columns = dict(columns or {})
        self.run = run or self.path.name.split(".")[0]
        self.inode, self.offset, self.head, self.head_size = -1, 0, "", 0
        self.header: list[str] | None = None
        self.skipped = 0
        self.json = False
        #: header -> its names, so that each is looked at once
        self._cache: dict[tuple[str, ...], dict[str, str] | None] = {}

    def rows(self) -> Iterator[tuple[dict[str, Any], ...]]:
        """Batches of rows that were added since the last call, each up to some thousands of rows.

        After a batch was taken, ``to_json`` describes the place just behind it. A file that is not there (yet) has no
        rows. FileError for a folder; DataError where a CSV's header has no step or no loss.
        """
        if self.path.is_dir():
            raise FileError(f"{self.path} is a folder; name the log file to watch.")
        rotated = self._rotated()
        if rotated is not None:
            yield from self._read(rotated)
        try:
            inode = os.stat(self.path).st_ino
        except FileNotFoundError:
            return
        if inode != self.inode:
            self.inode, self.head, self.head_size = inode, "", 0
            self._anew()
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

    def _read(self, path: Path) -> Iterator[tuple[dict[str, Any], ...]]:
        with open(path, "rb") as file:
            self._check_head(file)
            file.seek(self.offset)
            while True:
                block = file.read(CHUNK)
                while block and b"\n" not in block:
                    more = file.read(CHUNK)
                    if not more:
                        break
                    block += more
                end = block.rfind(b"\n") + 1
                if end == 0:
                    return
                lines = block[:end].decode("utf-8", errors="replace").split("\n")
                self.offset += end
                file.seek(self.offset)
                yield tuple(row for row in map(self._row, lines) if row is not None)

    def _check_head(self, file: BinaryIO) -> None:
        """Start over where the file was truncated or written anew; remember how it begins."""
        size = os.fstat(file.fileno()).st_size
        begin = file.read(HEAD)
        known = begin[: self.head_size]
        if size < self.offset or (self.head_size and _hash(known) != self.head):
            self._anew()
        self.head_size = len(begin)
        self.head = _hash(begin)

    def _anew(self) -> None:
        """Read from the beginning of a file that may be of another kind."""
        self.offset, self.header, self.json = 0, None, False

    def _row(self, line: str) -> dict[str, Any] | None:
        line = line.strip("\r\n")
        if not line.strip():
            return None
        if line.lstrip().startswith("{"):
            try:
                data = json.loads(line)
            except ValueError:
                self.skipped += 1
                return None
            self.json = True
            names = self._names(list(data))
            return self._made({c: data.get(s) for c, s in names.items()}) if names else None
        if self.json:
            self.skipped += 1
            return None
        cells = next(csv.reader([line]))
        if self.header is None:
            self.header = [c.strip().lstrip("\ufeff") for c in cells]
            if self._names(self.header) is None:
                raise DataError(
                    f"{self.path}: the first line has no step and loss among {', '.join(self.header[:12])}. "
                    f"Name them with --column step=NAME --column loss=NAME."
                )
            return None
        if len(cells) != len(self.header):
            self.skipped += 1
            return None
        names = self._names(self.header) or {}
        record = dict(zip(self.header, cells, strict=True))
        return self._made({c: record.get(s) for c, s in names.items()})

    def _names(self, header: list[str]) -> dict[str, str] | None:
        """Canonical name -> the file's, or None if there is no step with a loss."""
        key = tuple(header)
        if key not in self._cache:
            if len(self._cache) >= MOST_HEADERS:
                self._cache.clear()
            chosen = {c: s for c, s in self.columns.items() if s in header}
            try:
                found = dict(match(header, chosen or None).mapping)
            except DataError:
                found = {}
            keep = {c: s for c, s in found.items() if c in ("run", "step", "loss", "tokens", "grad_norm", "lr")}
            self._cache[key] = keep if "loss" in keep and "step" in keep else None
        return self._cache[key]

    def _made(self, values: dict[str, Any]) -> dict[str, Any] | None:
        step, loss = _number(values.get("step")), _number(values.get("loss"))
        if step is None or loss is None or not math.isfinite(step):
            self.skipped += step is None or loss is None
            return None
        run = values.get("run")
        return {
            "run": str(run) if run not in (None, "") else self.run,
            "step": step,
            "loss": loss,
            "tokens": _number(values.get("tokens")),
            "grad_norm": _number(values.get("grad_norm")),
            "lr": _number(values.get("lr")),
        }

    def to_json(self) -> dict[str, Any]:
        """Where the reader stands."""
        names = ("inode", "offset", "head", "head_size", "header", "skipped", "json")
        return {name: getattr(self, name) for name in names}

    def restore(self, data: Mapping[str, Any]) -> None:
        """Go on from where ``to_json`` was taken."""
        for name, value in data.items():
            setattr(self, name, value)


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _number(value: Any) -> float | None:
    """A number, NaN and infinity included; None for what is empty or is not one."""
    if value is None or value == "" or isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
