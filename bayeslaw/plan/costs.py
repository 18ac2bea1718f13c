"""What a token costs to train on: 6 N, or what the runs themselves were measured to cost.

6 N D is off by tens of percent where embeddings and attention weigh much (small models, long sequences), and each
corpus has a convention of its own. Where a table has a ``flops`` column, FLOP per token is read off it as a function of
the unrolled parameters N_once + r N_rec, group by group.

The function is smooth: optima gather where the cost of one more parameter jumps, as it does along a curve drawn through
all points and where that is cut off, and then intervals of N* are too narrow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.interpolate import PchipInterpolator, make_smoothing_spline

from bayeslaw.errors import PlanError
from bayeslaw.plan.surface import Surface

#: closer to 6 N than this, a measured cost is 6 N
NEAR = 0.02
#: weight of the squared curvature in log N against squared errors of the log ratio: what is finer than a factor of two
#: in size is smoothed away, what 6 N leaves out of a transformer's cost kept to 1 %; it takes SIZES_SMOOTHED sizes
CURVATURE, SIZES_SMOOTHED = 0.01, 5
#: beyond the sizes measured the trend of the ratio fades over so many units of log N: attention and embeddings, which
#: cost N^0.5, count for ever less
FADES = 2.0


@dataclass(frozen=True)
class Cost:
    """FLOP per training token.

    Attributes
    ----------
    per_token : unrolled parameters → FLOP per token.
    power : (k, m) where it is ``k U^m`` exactly, which optima in closed form need.
    said : in words.
    """

    per_token: Callable[[Any], Any]
    power: tuple[float, float] | None
    said: str


SIX_N = Cost(lambda unrolled: 6.0 * unrolled, (6.0, 1.0), "6 FLOP per parameter that it passes")


def cost_of(surface: Surface, convention: str = "measured") -> Cost:
    """The cost of a token for a surface's group: ``"6ND"``, or ``"measured"`` where the fitted runs tell.

    Without a ``flops`` column, or where it agrees with 6 N D within 2 %, measured is 6 N D.
    """
    if convention == "6ND":
        return SIX_N
    if convention != "measured":
        raise PlanError(f"cost is 'measured' or '6ND', not {convention!r}.")
    bins = surface.problem.bins
    if "flops" not in bins or "n_params" not in bins:
        return SIX_N
    mine: Any = bins[bins["flops"].notna() & (bins["flops"] > 0)]
    if surface.group is not None and "group" in mine:
        mine = mine[mine["group"].astype(str) == surface.group]
    return measured_cost(unrolled_of(surface, mine), mine["tokens"].to_numpy(float), mine["flops"].to_numpy(float))


def unrolled_of(surface: Surface, frame: pd.DataFrame) -> np.ndarray:
    """N_once + r N_rec of every row, N for models that do not loop."""
    n = frame["n_params"].to_numpy(float)
    if not surface.looped:
        return n
    r = frame["recurrence"].to_numpy(float)
    if {"n_params_once", "n_params_recurrent"} <= set(frame):
        return frame["n_params_once"].to_numpy(float) + r * frame["n_params_recurrent"].to_numpy(float)
    return np.array([surface.unrolled(one, loops) for one, loops in zip(n, r, strict=True)])


def measured_cost(unrolled: np.ndarray, tokens: np.ndarray, flops: np.ndarray) -> Cost:
    """FLOP per token over 6 N: medians by size, smoothed over log N; beyond the sizes measured its trend fades out."""
    if not len(unrolled):
        return SIX_N
    ratio = flops / (6.0 * unrolled * tokens)
    if float(np.median(np.abs(ratio - 1))) < NEAR:
        return SIX_N
    by = pd.Series(np.log(ratio)).groupby(np.round(np.log(unrolled), 3)).median()
    x, y = by.index.to_numpy(float), by.to_numpy(float)
    low, high = float(np.exp(y.min())), float(np.exp(y.max()))
    said = f"what the runs were measured to take, {low:.2f}-{high:.2f} × 6 FLOP per parameter that it passes"
    if len(x) == 1:
        k = 6.0 * float(np.exp(y[0]))
        return Cost(lambda u: k * np.asarray(u), (k, 1.0), said)
    curve = PchipInterpolator(x, y) if len(x) < SIZES_SMOOTHED else make_smoothing_spline(x, y, lam=CURVATURE)
    ends = tuple(float(slope) for slope in curve.derivative()(x[[0, -1]]))

    def per_token(u: Any) -> Any:
        log_u = np.log(u)
        inside = np.clip(log_u, x[0], x[-1])
        beyond = log_u - inside
        faded = FADES * np.sign(beyond) * -np.expm1(-np.abs(beyond) / FADES)
        return 6.0 * np.asarray(u) * np.exp(curve(inside) + np.where(beyond < 0, *ends) * faded)

    return Cost(per_token, None, said)
