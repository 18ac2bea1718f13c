"""Compiled programs kept from one command to the next, so that only the first fit of a kind waits for the compiler.

Only the command line does this, and only through JAX's own environment variables, which count when JAX is imported:
who imports bayeslaw decides for themselves. A setting that is there already stays as it is.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import MutableMapping
from pathlib import Path


def keep_compiled(environ: MutableMapping[str, str]) -> None:
    """Point JAX's persistent compilation cache at the user's cache folder; do nothing where that cannot be written.

    The folder is ``bayeslaw/jax/<processor>`` in ``XDG_CACHE_HOME`` or ``~/.cache``. It may be deleted at any time.
    """
    if "JAX_COMPILATION_CACHE_DIR" in environ:
        return
    try:
        home = environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(home) / "bayeslaw" / "jax" / processor()
        # JAX makes the folder when there is something to keep
        there = next(path for path in (folder, *folder.parents) if path.exists())
    except (OSError, RuntimeError):  # RuntimeError: there is no home
        return
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        return
    environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    # every program here is small, and together they are the wait
    environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")


def processor() -> str:
    """A short name for the kind of processor: a home shared by unlike computers must not share machine code."""
    kind = [platform.system(), platform.machine(), platform.processor()]
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        kind += [next((line for line in lines if line.startswith(word)), "") for word in ("model name", "flags")]
    except OSError:
        pass
    return hashlib.sha256("\n".join(kind).encode()).hexdigest()[:12]
