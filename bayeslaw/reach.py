"""How far a forecast reaches beyond what is known, in tokens, size and depth, and what that leaves untested."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from bayeslaw.fit import Fit

Frame = Any  # a pandas DataFrame, whose stubs know less than it can
#: how much farther than the farthest that is known, or was tested, still counts as within it
SLACK = 1.05


def how_far(rows: Frame, known: Frame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How far beyond what is known each row lies: ``reach`` in tokens or steps, ``reach_n`` in size, and ``seen``.

    For a run that is partly ``seen``, reach is its x over the last known x of its own; for another, over the largest x
    of any known run. ``reach_n`` is its size over the largest known. NaN where a column is missing.
    """
    runs = rows["run"].astype(str).to_numpy()
    reach, reach_n = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    seen = np.isin(runs, known["run"].astype(str).unique())
    for name in ("tokens", "step"):
        if name in rows and name in known and rows[name].notna().all() and known[name].notna().all():
            x = known[name].to_numpy(float)
            last = dict(zip(*_last(known["run"].astype(str).to_numpy(), x), strict=True))
            reach = rows[name].to_numpy(float) / np.array([last.get(run, x.max()) for run in runs])
            break
    if "n_params" in rows and "n_params" in known:
        reach_n = rows["n_params"].to_numpy(float) / float(known["n_params"].max())
    return reach, reach_n, seen


def _last(runs: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    names, code = np.unique(runs, return_inverse=True)
    out = np.zeros(len(names))
    np.maximum.at(out, code, x)
    return names, out


def fitted_rows(fit: Fit) -> Frame:
    """The bins of a fit, each moved from its middle to its last row, which is as far as its run has been."""
    bins: Any = fit.problem.bins.copy()
    if "x_hi" in bins:
        # along its own axis, which is not the same column for every curve; along another it has gone as far
        last = bins["x_hi"].to_numpy(float)
        stretch = (last / np.exp(bins["log_x"])).fillna(1.0).to_numpy(float)
        for name in bins.columns.intersection(["step", "tokens", "flops"]):
            moved = bins[name].to_numpy(float) * stretch
            bins[name] = np.where(np.isclose(moved, last, rtol=1e-9, atol=0), last, moved)
    return bins


def known_rows(fit: Fit, given: Frame | None) -> Frame:
    """The fitted rows, and the given rows in place of the fitted ones of their runs."""
    bins = fitted_rows(fit)
    if given is None:
        return bins
    mine = given[given["kept"]] if "kept" in given else given
    return pd.concat([bins[~bins["run"].isin(mine["run"])], mine], ignore_index=True)


def untested(fit: Fit, rows: Frame, given: Frame | None = None) -> list[str]:
    """The sentence for the reader of a forecast of ``rows``, ``given`` some, whose fit has no backtest."""
    known = known_rows(fit, given)
    reach, reach_n, _ = how_far(rows, known)
    far = []
    if most(reach) > SLACK:
        far.append(f"{times(most(reach))} as far as what is known")
    if most(reach_n) > SLACK:
        far.append(f"{times(most(reach_n))} the largest known size")
    far += deeper(rows, known)
    out = f"It reaches {' and '.join(far)}, and how" if far else "How"
    return [f"{out} often such bands hold is untested: bayeslaw backtest measures it on these runs."]


def deeper(rows: Frame, known: Frame) -> list[str]:
    """Where ``rows`` loop more often than any known run, or leave the loop later: in words, else nothing."""
    out = []
    for name, what in (("recurrence", "a recurrence of"), ("exit_step", "exit step")):
        if name in rows and name in known:
            far, there = most(rows[name].to_numpy(float)), most(known[name].to_numpy(float))
            if far > there:
                out.append(f"{what} {far:g} (at most {there:g} is known)")
    return out


def most(values: np.ndarray) -> float:
    """The largest finite value, or NaN."""
    good = values[np.isfinite(values)]
    return float(good.max()) if len(good) else np.nan


def times(factor: float) -> str:
    """A factor in words."""
    return f"{factor:.2g} times"
