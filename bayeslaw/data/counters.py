"""Counters that do not count what they should: tokens of one step, tokens that begin anew, numbers in billions."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd

from bayeslaw.errors import DataError, DataWarning

#: fewer rows of a run may well have the same tokens
ROWS = 3
#: no language model has so few parameters, and none has seen so few tokens: the numbers are of thousands or more
FEWEST = {"n_params": 1e3, "tokens": 1e3}


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


def check_scale(frame: pd.DataFrame) -> None:
    """DataWarning for parameters and tokens that are counted in billions, or whatever else is not one.

    A law fitted to them is as good as another, but its plans and compute are off by that factor.
    """
    for name, fewest in FEWEST.items():
        if name not in frame:
            continue
        most, steps = _most(frame, name), _most(frame, "step") if name == "tokens" else 0.0
        if not 0 < most < max(fewest, steps):
            continue
        less = "less than one a step" if most < steps else f"{most:g} at most"
        warnings.warn(
            f"{name} is {less}, where {'parameters' if name == 'n_params' else 'tokens'} are counted one by one: if "
            f"these are billions, write {most:g}B, or multiply the column.",
            DataWarning,
            stacklevel=2,
        )


def _most(frame: pd.DataFrame, name: str) -> float:
    """The largest number of a column, 0 where there is none."""
    return float(np.fmax.reduce(frame[name].to_numpy(float), initial=0.0)) if name in frame else 0.0
