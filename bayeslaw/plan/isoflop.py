"""IsoFLOP profiles: runs of equal compute, their parabolas, and the frontier by approaches 1 and 2.

Hoffmann et al. 2022 (arXiv 2203.15556), sec. 3.1 and 3.2. Approach 1 takes the best run at each budget, approach 2 the
bottom of a parabola in log N; both then draw a line through log N* against log C. Intervals are bootstraps: the runs of
each budget are resampled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayeslaw.data.runs import Runs
from bayeslaw.errors import PlanError

#: budgets closer than this (log) are one; fewer sizes than this make no parabola
SAME, LEAST = 0.05, 4


@dataclass(frozen=True)
class Profile:
    """Runs of one budget: ``flops``, and arrays of ``n_params``, ``tokens`` and ``loss``, ascending in size."""

    flops: float
    n_params: np.ndarray
    tokens: np.ndarray
    loss: np.ndarray


def profiles(runs: Runs | pd.DataFrame, group: str | None = None) -> list[Profile]:
    """The isoFLOP profiles of final losses, ascending in budget.

    ``group`` picks one corpus, and must where there are several: at one budget each has a best size of its own.
    PlanError if a column is missing (``flops`` may be: then 6 N D), the group is none or one of several that is not
    named, or no two runs share a budget.
    """
    frame: Any = runs.frame[runs.frame["kept"]] if isinstance(runs, Runs) else runs
    missing = [c for c in ("n_params", "tokens", "loss") if c not in frame]
    if missing:
        raise PlanError(f"IsoFLOP profiles need the columns n_params, tokens and loss; {missing[0]} is missing.")
    frame = _of_one(frame, group)
    flops = frame["flops"] if "flops" in frame else 6.0 * frame["n_params"] * frame["tokens"]
    frame = frame.assign(flops=flops).dropna(subset=["flops", "n_params", "tokens", "loss"]).sort_values("flops")
    gaps = np.flatnonzero(np.diff(np.log(frame["flops"].to_numpy(float))) > SAME) + 1
    found = []
    for rows in np.split(np.arange(len(frame)), gaps):
        part = frame.iloc[rows].sort_values("n_params")
        if len(part) > 1:
            arrays = (part[c].to_numpy(float) for c in ("n_params", "tokens", "loss"))
            found.append(Profile(float(part["flops"].median()), *arrays))
    if not found:
        raise PlanError("No two runs share a budget, so that there are no isoFLOP profiles. Approach 3 needs none.")
    return found


def _of_one(frame: Any, group: str | None) -> Any:
    """The rows of one group; PlanError if it is not there, or not named among several."""
    there = list(dict.fromkeys(frame["group"].astype(str))) if "group" in frame else []
    if group is None and len(there) < 2:
        return frame
    names = ", ".join(map(repr, there)) or "no groups"
    if group is None:
        raise PlanError(
            f"The runs are of {len(there)} groups, each with profiles of its own: name one with group=: {names}."
        )
    if group not in there:
        raise PlanError(f"The runs have no group {group!r}: they have {names}. Name one of them.")
    return frame[frame["group"].astype(str) == group]


def sweeps(frame: pd.DataFrame, group: str | None = None) -> int:
    """Number of budgets at which four sizes or more were trained, of one group, or of each where none is named."""
    if group is None and "group" in frame:
        return sum(sweeps(mine.drop(columns="group")) for _, mine in frame.groupby("group", sort=False, dropna=False))
    try:
        found = profiles(frame, group)
    except PlanError:
        return 0
    return sum(len(np.unique(np.round(np.log(p.n_params), 2))) >= LEAST for p in found)


def bottom(x: np.ndarray, loss: np.ndarray) -> float:
    """Where the parabola through (log x, loss) is lowest; NaN if it opens downward or there are too few sizes."""
    return float(_bottoms(x, loss, np.ones((1, len(x))))[0])


def _bottoms(x: np.ndarray, loss: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Bottoms (B,) of parabolas by least squares with weights (B, n); NaN where there is none."""
    u = np.log(x)
    centre, scale = u.mean(), max(float(np.ptp(u)), 1e-12)
    u = (u - centre) / scale
    design = np.stack([np.ones_like(u), u, u**2], axis=1)
    sizes = np.unique(np.round(np.log(x), 3), return_inverse=True)[1]
    there = np.stack([weights[:, sizes == k].sum(axis=1) > 0 for k in range(sizes.max() + 1)], axis=1)
    enough = there.sum(axis=1) >= LEAST
    out = np.full(len(weights), np.nan)
    if enough.any():
        w = weights[enough]
        left = np.einsum("bn,ni,nj->bij", w, design, design)
        right = np.einsum("bn,ni,n->bi", w, design, loss - loss.mean())
        c = np.linalg.solve(left, right[..., None])[..., 0]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            out[enough] = np.where(c[:, 2] > 0, np.exp(centre - scale * c[:, 1] / (2 * c[:, 2])), np.nan)
    return out


def parabola_bottoms(
    one: Profile, times: int = 1000, seed: int = 0, axis: str = "n_params"
) -> tuple[float, np.ndarray]:
    """N* of a profile by its own parabola, and its bootstrap draws: runs are resampled (NaN: a resample without one).

    Half the range of log N beyond each end a draw is cut off: a nearly straight resample has its bottom anywhere.
    """
    rng = np.random.default_rng(seed)
    x, loss = getattr(one, axis), one.loss
    low, high = np.log(x.min()), np.log(x.max())
    weights = rng.multinomial(len(x), np.full(len(x), 1 / len(x)), times).astype(float)
    draws = _bottoms(x, loss, weights)
    return bottom(x, loss), np.clip(draws, np.exp(low - (high - low) / 2), np.exp(high + (high - low) / 2))


def best_runs(one: Profile, times: int = 1000, seed: int = 0, axis: str = "n_params") -> tuple[float, np.ndarray]:
    """N* of a profile as its best run's (approach 1), and its bootstrap draws."""
    rng = np.random.default_rng(seed)
    x = getattr(one, axis)
    picks = rng.integers(0, len(x), (times, len(x)))
    return float(x[one.loss.argmin()]), x[np.take_along_axis(picks, one.loss[picks].argmin(axis=1)[:, None], 1)[:, 0]]


@dataclass(frozen=True)
class Line:
    """``log x* = intercept + slope log C``: the point estimate, and draws of both (each its own bootstrap)."""

    slope: float
    intercept: float
    slopes: np.ndarray
    intercepts: np.ndarray

    def at(self, flops: float) -> tuple[float, np.ndarray]:
        """x* at a budget: estimate and draws."""
        u = np.log(flops)
        return float(np.exp(self.intercept + self.slope * u)), np.exp(self.intercepts + self.slopes * u)


def frontier(parts: list[Profile], how: str = "parabola", axis: str = "n_params", times: int = 1000) -> Line:
    """Approach 1 (``how="best"``) or 2 (``"parabola"``): a line through the optima of the budgets.

    PlanError if fewer than two budgets have an optimum.
    """
    pick = parabola_bottoms if how == "parabola" else best_runs
    found = [(p.flops, *pick(p, times, i, axis)) for i, p in enumerate(parts) if len(p.n_params) >= LEAST]
    found = [(c, x, d) for c, x, d in found if np.isfinite(x)]
    if len(found) < 2:
        raise PlanError("Fewer than two budgets have an optimum of their own: no frontier can be drawn through them.")
    log_c = np.log([c for c, _, _ in found])
    slope, intercept = np.polyfit(log_c, np.log([x for _, x, _ in found]), 1)
    lines = []
    for column in np.stack([d for _, _, d in found], axis=1):
        good = np.isfinite(column)
        if good.sum() >= 2:
            lines.append(np.polyfit(log_c[good], np.log(column[good]), 1))
    draws = np.array(lines)
    return Line(float(slope), float(intercept), draws[:, 0], draws[:, 1])
