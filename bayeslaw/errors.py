"""Every error that bayeslaw raises on purpose.

Each message is one paragraph for a human: what came (naming the run, column and row), what was expected, and what to
do about it. All of them are :class:`BayeslawError`, hence ``ValueError``, so a caller can catch the lot in one line;
the command line turns them into exit code 2. Where a name was misspelled, :func:`nearest` finds the one that was
meant, and :func:`meant` asks for it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable

#: what is raised; the search for a name that was meant is for the package itself
__all__ = [
    "BayeslawError",
    "CardError",
    "DataError",
    "DataWarning",
    "FileError",
    "FitError",
    "PlanError",
    "TargetError",
]


class BayeslawError(ValueError):
    """Something is wrong with what bayeslaw was given; the message says what, and how to mend it."""


class DataError(BayeslawError):
    """A table of runs breaks the contract of ``bayeslaw.data.runs``: a missing column, text in a number, ..."""


class FileError(BayeslawError):
    """A file cannot be read at all: missing, a folder, truncated, or not in a format that bayeslaw knows."""


class CardError(BayeslawError):
    """A model card is unknown, malformed, or asks for a covariate that the data do not have."""


class FitError(BayeslawError):
    """A fit cannot be made, used or loaded: too little data, a broken posterior, a file of another version."""


class DataWarning(UserWarning):
    """The data were accepted, but look unlike losses in nats per token. Filter it once you know better."""


class PlanError(BayeslawError):
    """A plan cannot be made: a budget that is none, an unknown device, a law or fit that says nothing of budgets."""


class TargetError(PlanError):
    """A target loss lies below what any budget reaches; ``probability`` is the posterior's that it does."""

    def __init__(self, message: str, probability: float) -> None:
        super().__init__(message)
        self.probability = probability


def _folded(name: str) -> str:
    return name.lower().replace("_", "-")


def nearest(
    name: object,
    known: Iterable[object],
    most: int = 2,
    cutoff: float = 0.6,
    key: Callable[[str], str] = _folded,
) -> list[str]:
    """Those of ``known`` that are spelled most like ``name``, the likest first; none where none is near.

    Capitals count for nothing, nor does ``_`` for ``-`` (``key`` says otherwise). ``cutoff`` in 0..1 is the least share
    of letters in common, ``most`` how many spellings are named (difflib's Ratcliff-Obershelp measure).
    """
    names = list(dict.fromkeys(map(str, known)))
    likest = difflib.get_close_matches(key(str(name)), [key(each) for each in names], n=most, cutoff=cutoff)
    return [each for spelled in dict.fromkeys(likest) for each in names if key(each) == spelled]


def meant(near: Iterable[str], form: str = "{}") -> str:
    """`` Did you mean a or b?`` of what :func:`nearest` found, to follow a sentence; nothing where it found nothing."""
    said = " or ".join(form.format(each) for each in near)
    return f" Did you mean {said}?" if said else ""
