"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

#: how an HDF5 file begins, and so a saved fit
HDF5 = b"\x89HDF\r\n\x1a\n"


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A context that gives a draft beside ``path`` to write to, and renames it to ``path`` at the end.

    If the block raises, what was at ``path`` stays and the draft is removed. Each call has a draft of its own, so that
    of two writers, threads or processes, the later one's file stands there whole. A link stays one: what it points to
    is written. A device or a pipe is not replaced by a file: the draft, which lies elsewhere, is copied to it. OSError
    is the caller's to put in words.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        with tempfile.TemporaryDirectory() as folder:
            draft = Path(folder) / path.name
            yield draft
            with draft.open("rb") as file, path.open("wb") as device:
                shutil.copyfileobj(file, device)
        return
    if path.is_symlink():
        path = path.resolve()
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
