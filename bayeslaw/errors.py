"""Every error that bayeslaw raises on purpose.

Each message is one paragraph for a human: what came (naming the run, column and row), what was expected, and what to
do about it. All of them are :class:`BayeslawError`, hence ``ValueError``, so a caller can catch the lot in one line;
the command line turns them into exit code 2.
"""

from __future__ import annotations


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
