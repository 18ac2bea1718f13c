"""Which reader a file needs: by its content first, by its name where the content leaves it open."""

from __future__ import annotations

import difflib
import gzip
import zlib
from pathlib import Path

from bayeslaw.errors import FileError

GZIP = b"\x1f\x8b"
SUFFIXES = {
    ".csv": "delimited",
    ".tsv": "delimited",
    ".txt": "delimited",
    ".jsonl": "jsonlines",
    ".ndjson": "jsonlines",
    ".json": "jsonlines",
    ".parquet": "parquet",
    ".pq": "parquet",
}
KNOWN = "CSV, TSV, JSON lines or Parquet, each also gzipped (.gz)"


def contents(path: Path) -> bytes:
    """The bytes of a file, decompressed if they are gzip.

    Raises FileError for a missing file, a folder, an unreadable file, or a truncated archive.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise FileError(f"There is no file {path}. Check the path{_beside(path)}") from None
    except IsADirectoryError:
        raise FileError(_folder(path)) from None
    except OSError as error:
        raise FileError(f"Cannot read {path}: {error.strerror or error}.") from None
    if data[:2] == GZIP:
        try:
            data = gzip.decompress(data)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise FileError(
                f"{path} is a damaged or truncated gzip file ({error}). Copy or download it again."
            ) from None
    if not data.strip():
        raise FileError(f"{path} is empty. A table of runs has a header and one row per logged step.")
    return data


def format_of(data: bytes, path: Path) -> str:
    """The name of the reader: ``delimited``, ``jsonlines`` or ``parquet``. FileError for other binary files."""
    if data[:4] == b"PAR1":
        return "parquet"
    head = data[: 1 << 16]
    if b"\x00" in head or head[:2] in (b"\x80\x04", b"\x80\x05", b"PK"):
        raise FileError(f"{path} is a binary file of a kind that bayeslaw does not read. It reads {KNOWN}.")
    suffixes = [s.lower() for s in path.suffixes]
    if suffixes and suffixes[-1] in (".gz", ".gzip"):
        suffixes.pop()
    named = SUFFIXES.get(suffixes[-1]) if suffixes else None
    if named == "parquet":
        raise FileError(f"{path} is called Parquet, but does not start like one. Copy or export it again.")
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start in (b"{", b"["):
        return "jsonlines"
    return named or "delimited"


def _beside(path: Path) -> str:
    if not path.parent.is_dir():
        return f": there is no folder {path.parent} either."
    near = difflib.get_close_matches(path.name, [p.name for p in path.parent.iterdir()][:1000], n=1, cutoff=0.75)
    return f"; did you mean {near[0]}?" if near else "."


def _folder(path: Path) -> str:
    files = sorted(p.name for p in path.iterdir() if _readable(p))
    if not files:
        return f"{path} is a folder, and no file in it looks like a log. Give a file: {KNOWN}."
    more = f" and {len(files) - 5:,} more" if files[5:] else ""
    return f"{path} is a folder. Give a file in it, or several: {', '.join(files[:5])}{more}."


def _readable(path: Path) -> bool:
    return any(s.lower() in SUFFIXES for s in path.suffixes)
