"""What code the numbers of a backtest depend on: the package's, and that of a law from outside it."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import pickle
import sys
import sysconfig
import uuid
from pathlib import Path
from types import ModuleType

from bayeslaw.laws import Law

#: of the code that a unit's numbers depend on: folders, and patterns of files
CODE = (
    "data",
    "laws",
    "cards*.py",
    "engine",
    "baselines",
    "diagnostics.py",
    "fit.py",
    "forecast.py",
    "scores.py",
    "backtest_work.py",
    "backtest_parts.py",
)


@functools.cache
def code_digest() -> str:
    """SHA-256 of the sources in ``CODE``: numbers made by other code are not mixed with today's."""
    home = Path(__file__).resolve().parent
    digest = hashlib.sha256()
    for name in CODE:
        for path in sorted(home.glob(name)):
            for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
                digest.update(file.read_bytes())
    return digest.hexdigest()


def law_digest(law: Law) -> str:
    """What the numbers of a law from outside the package depend on: the sources of its modules and its own values.

    Empty for a law of the package, which ``code_digest`` covers. Where sources cannot tell (a law typed into a shell or
    made by a function, values that cannot be pickled) it is another one in every process: a result is made again rather
    than taken from other code.
    """
    own = [c for c in type(law).__mro__ if _top(c.__module__) not in ("bayeslaw", "builtins", "abc", "typing")]
    if not own:
        return ""
    if any("<locals>" in c.__qualname__ for c in own):
        return _once(type(law))
    sources: dict[str, str] = {}
    try:
        for c in own:
            _read(c.__module__, sources)
        values = pickle.dumps(sorted(vars(law).items()))
    except (OSError, TypeError, KeyError, AttributeError, pickle.PicklingError):
        return _once(type(law))
    what = json.dumps([[c.__qualname__ for c in own], sources], sort_keys=True)
    return hashlib.sha256(what.encode() + values).hexdigest()


def _read(name: str, sources: dict[str, str]) -> None:
    """Put the source of a module into ``sources``, by name, and those of its author's modules that it uses."""
    sources[name] = inspect.getsource(sys.modules[name])
    for value in list(vars(sys.modules[name]).values()):
        other = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        if not isinstance(other, str) or other in sources or _top(other) == "bayeslaw":
            continue
        file = getattr(sys.modules.get(other), "__file__", None)
        if file and (_top(other) == _top(name) or not _INSTALLED.intersection(Path(file).parents)):
            _read(other, sources)


#: where Python's own modules and installed packages lie
_INSTALLED = {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")}


def _top(module: str) -> str:
    return module.split(".")[0]


@functools.cache
def _once(law: type[Law]) -> str:
    """A word for the class that no other process has."""
    return f"{law.__qualname__} {uuid.uuid4().hex}"
