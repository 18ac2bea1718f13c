"""One size for all draws: the choice that minimises the expected loss, and what not knowing the surface costs.

A draw's own optimum is what one would choose with perfect knowledge. Whoever must choose one N for all draws loses
something in each: its regret, in nats. Over-sized and under-sized models do not cost alike, so that the best choice is
not the median of N*.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayeslaw.plan.costs import Cost
from bayeslaw.plan.optimum import Limits, Optimum, loss_at, optimum, tokens_for
from bayeslaw.plan.surface import Surface

#: points of the regret curve, and how far beyond the draws' optima it reaches
POINTS, REACH = 61, 4.0


@dataclass(frozen=True)
class Choice:
    """A size to train: parameters, tokens and recurrent steps; mean loss over the draws, and mean regret, in nats."""

    n_params: float
    tokens: float
    recurrence: float
    loss: float
    regret: float


def choose(surface: Surface, cost: Cost, limits: Limits, flops: float, best: Optimum) -> Choice:
    """The size and recurrence of least expected loss over the draws."""
    found: list[tuple[float, float, float]] = []
    for r in np.unique(best.recurrence):
        allowed = limits.allowed
        if allowed is not None:
            means = loss_at(surface, cost, limits, flops, allowed[None, :], r).mean(axis=0)
            found.append((float(means.min()), float(allowed[means.argmin()]), float(r)))
            continue
        low, high = np.log(best.n_params.min()), np.log(best.n_params.max())
        high = min(high, np.log(limits.largest))
        for _ in range(4):
            grid = np.linspace(low, max(high, low + 1e-9), 25)
            means = loss_at(surface, cost, limits, flops, np.exp(grid)[None, :], r).mean(axis=0)
            at = int(means.argmin())
            low, high = grid[max(at - 1, 0)], grid[min(at + 1, len(grid) - 1)]
        found.append((float(means.min()), float(np.exp(grid[at])), float(r)))
    _, n, r = min(found)
    return judge(surface, cost, limits, flops, best, n, r)


def judge(
    surface: Surface, cost: Cost, limits: Limits, flops: float, best: Optimum, n_params: float, recurrence: float = 1.0
) -> Choice:
    """What choosing this size and recurrence means: expected loss and regret."""
    loss = loss_at(surface, cost, limits, flops, np.array([[n_params]]), recurrence)[:, 0]
    tokens = float(tokens_for(surface, cost, limits, flops, n_params, recurrence))
    return Choice(n_params, tokens, float(recurrence), float(loss.mean()), float((loss - best.loss).mean()))


def plug_in(surface: Surface, cost: Cost, limits: Limits, flops: float, best: Optimum) -> Choice:
    """The choice of a point fit: the optimum of one surface, at the centre of the draws."""
    point = optimum(surface.at_centre(), cost, flops, limits)
    return judge(surface, cost, limits, flops, best, float(point.n_params[0]), float(point.recurrence[0]))


def regret_curve(surface: Surface, cost: Cost, limits: Limits, flops: float, best: Optimum, r: float) -> pd.DataFrame:
    """Regret (nats) against size at a recurrence: n_params, mean, median, lo50, hi50, lo90, hi90."""
    low, high = np.quantile(best.n_params, [0.05, 0.95])
    sizes = limits.allowed
    if sizes is None:
        sizes = np.geomspace(low / REACH, min(high * REACH, limits.largest), POINTS)
    regret = loss_at(surface, cost, limits, flops, sizes[None, :], r) - best.loss[:, None]
    return pd.DataFrame({"n_params": sizes, **bands(regret)})


def sensitivity(
    surface: Surface, cost: Cost, limits: Limits, flops: float, best: Optimum, factors: tuple[float, ...] = (0.5, 2.0)
) -> pd.DataFrame:
    """Loss (nats) of a size off by a factor from each draw's own optimum, tokens following from the budget."""
    rows = []
    for factor in factors:
        loss = np.empty(surface.count)
        for r in np.unique(best.recurrence):
            mine = best.recurrence == r
            n = (best.n_params * factor)[:, None]
            loss[mine] = loss_at(surface, cost, limits, np.full((surface.count, 1), flops), n, float(r))[mine, 0]
        rows.append({"factor": factor, **{k: float(v[0]) for k, v in bands((loss - best.loss)[:, None]).items()}})
    return pd.DataFrame(rows)


def bands(draws: np.ndarray) -> dict[str, np.ndarray]:
    """``mean``, ``median``, ``lo50``, ``hi50``, ``lo90``, ``hi90`` over the first axis of draws (S, ...)."""
    with np.errstate(invalid="ignore"):
        mean = draws.mean(axis=0)
    q = np.quantile(
        draws, [0.5, 0.25, 0.75, 0.05, 0.95], axis=0, method="nearest" if np.isinf(draws).any() else "linear"
    )
    return {"mean": mean, "median": q[0], "lo50": q[1], "hi50": q[2], "lo90": q[3], "hi90": q[4]}
