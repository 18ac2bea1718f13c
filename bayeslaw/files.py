"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

#: how an HDF5 file begins, and so a saved fit
HDF5 = b"\x89HDF\r\n\x1a\n"


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A context that gives a draft beside ``path`` to write to, and renames it to ``path`` at the end.

    If the block raises, what was at ``path`` stays and the draft is removed. OSError is the caller's to put in words.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield draft
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
