"""A file to be read: its first bytes, all of its bytes or a stream of them, decompressed if they are gzip."""

from __future__ import annotations

import contextlib
import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from bayeslaw.errors import FileError, nearest

GZIP = b"\x1f\x8b"
#: what a format is recognised by; a training script prints its own source and its configuration first
HEAD = 1 << 20


@dataclass(frozen=True)
class Source:
    """One file.

    ``path`` is where it is; ``wanted`` holds the source columns that the user asked for by name, which a reader of a
    very large file must not leave out; ``texts`` those of them that hold names, whose digits are no numbers.
    """

    path: Path
    wanted: frozenset[str] = field(default_factory=frozenset)
    texts: frozenset[str] = field(default_factory=frozenset)

    @property
    def name(self) -> str:
        """The file's name, for messages."""
        return self.path.name

    @cached_property
    def head(self) -> bytes:
        """The first MiB, decompressed. FileError for a missing, unreadable or empty file or a damaged archive."""
        with self.stream() as stream:
            head = stream.read(HEAD)
        if not head.strip():
            raise FileError(f"{self.path} is empty. A table of runs has a header and one row per logged step.")
        return head

    @property
    def whole(self) -> bool:
        """Whether ``head`` is all there is."""
        return len(self.head) < HEAD

    @cached_property
    def size(self) -> int:
        """Bytes, decompressed; of a gzipped file, what its last four bytes say of them."""
        if self._piped is not None:
            return len(self._piped)
        size = self.path.stat().st_size
        if size > 18:
            with self.path.open("rb") as file:
                if file.read(2) == GZIP:
                    file.seek(-4, io.SEEK_END)
                    return max(size, int.from_bytes(file.read(4), "little"))
        return size

    @cached_property
    def _piped(self) -> bytes | None:
        """All that came through a pipe, as in ``<(zcat x.csv)``, which can be read only once; None for a file."""
        if not self.path.exists() or self.path.is_file() or self.path.is_dir():
            return None
        if not self.path.is_fifo():
            raise FileError(f"{self.path} is a device, not a file. Save what it gives to a file first.")
        data = self.path.read_bytes()
        return gzip.decompress(data) if data[:2] == GZIP else data

    def data(self) -> bytes:
        """All bytes, decompressed."""
        with self.stream() as stream:
            return stream.read()

    @contextlib.contextmanager
    def stream(self) -> Iterator[BinaryIO]:
        """A buffered stream of the bytes; its errors become FileError."""
        try:
            if self._piped is not None:
                yield io.BytesIO(self._piped)
                return
            with self.path.open("rb", buffering=1 << 20) as file:
                start = file.read(2)
                file.seek(0)
                if start == GZIP:
                    with gzip.GzipFile(fileobj=file) as unpacked, io.BufferedReader(unpacked, 1 << 20) as stream:
                        yield stream
                else:
                    yield file
        except FileNotFoundError:
            if self.path.is_symlink():
                raise FileError(f"{self.path} is a link to {self.path.readlink()}, which is not there.") from None
            raise FileError(f"There is no file {self.path}. Check the path{_beside(self.path)}") from None
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise FileError(
                f"{self.path} is a damaged or truncated gzip file ({error}). Copy or download it again."
            ) from None
        except OSError as error:
            raise FileError(f"Cannot read {self.path}: {error.strerror or error}.") from None


def _beside(path: Path) -> str:
    if not path.parent.is_dir():
        return f": there is no folder {path.parent} either."
    near = nearest(path.name, [p.name for p in path.parent.iterdir()][:1000], most=1)
    return f"; did you mean {near[0]}?" if near else "."
