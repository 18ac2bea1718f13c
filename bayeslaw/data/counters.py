"""Counters that do not count what they should: tokens of one step, and tokens that begin anew."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd

from bayeslaw.errors import DataError, DataWarning

#: fewer rows of a run may well have the same tokens
ROWS = 3


def check_tokens(frame: pd.DataFrame, where: Callable[[int], str]) -> None:
    """Tokens are all that a run was trained on so far: they grow with the steps.

    DataError where a run has the same number in every row; DataWarning where they fall as steps go on.
    """
    if "tokens" not in frame or "step" not in frame:
        return
    tokens, step = frame["tokens"].to_numpy(float), frame["step"].to_numpy(float)
    rows = np.flatnonzero(np.isfinite(tokens) & np.isfinite(step) & (step > 0))
    run, names = pd.factorize(frame["run"].to_numpy()[rows])
    order = np.argsort(run, kind="stable")
    rows, run = rows[order], run[order]
    same = run[1:] == run[:-1]
    grew, moved = np.diff(tokens[rows]), np.diff(step[rows])
    ahead = np.bincount(run[1:][same & (moved > 0)], minlength=len(names)) >= ROWS - 1
    changed = np.bincount(run[1:][same & (grew != 0)], minlength=len(names)) > 0
    if (ahead & ~changed).any():
        first = int(rows[np.argmax((ahead & ~changed)[run])])
        per_step = tokens[first]
        raise DataError(
            f"{where(first)}: tokens is {per_step:g} in every row of the run, while its steps go on. Tokens are all "
            f"that the run has seen so far. If these are the tokens of one step, give batch_tokens={per_step:g} "
            f"(--batch-tokens {per_step:g}), and they are counted from the steps."
        )
    fell = np.flatnonzero(same & (moved > 0) & (grew < 0))
    if fell.size:
        at = int(rows[fell[0] + 1])
        more = f" (and {fell.size - 1:,} more)" if fell.size > 1 else ""
        warnings.warn(
            f"{where(at)}: tokens fall from {tokens[rows[fell[0]]]:g} to {tokens[at]:g} while steps go on{more}. "
            f"Tokens are all that the run has seen so far; where a resume counted anew, add what came before it.",
            DataWarning,
            stacklevel=2,
        )
