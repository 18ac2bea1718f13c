"""One size for all draws: the choice that minimises the expected loss, and what not knowing the surface costs.

A draw's own optimum is what one would choose with perfect knowledge. Whoever must choose one N for all draws loses
something in each: its regret, in nats. Over-sized and under-sized models do not cost alike, so that the best choice is
not the median of N*.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from bayeslaw.data.settle import HIGH_LOSS
from bayeslaw.data.units import human
from bayeslaw.plan.costs import Cost
from bayeslaw.plan.limits import SIZES, Limits
from bayeslaw.plan.optimum import Optimum, loss_at, optimum, tokens_for
from bayeslaw.plan.surface import Surface

#: points of the regret curve, and how far beyond the draws' optima it reaches
POINTS, REACH = 61, 4.0
#: this near (relative) a limit, an optimum lies at it: its search ends about as near; share of draws worth a word
AT, SOME = 2e-3, 0.1
#: limits that can keep an optimum from where it would be
BOUNDS = ("sizes", "max_params", "memory", "max_tokens")
#: what is told of draws
BANDS = ("mean", "median", "lo50", "hi50", "lo90", "hi90")


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
    # no size is better than a draw's best; what seems to be is the end of that one's search
    regret = max(float((loss - best.loss).mean()), 0.0)
    return Choice(n_params, tokens, float(recurrence), float(loss.mean()), regret)


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
    """Loss (nats) of a size off by a factor from each draw's own optimum, tokens following from the budget.

    NaN where the limits do not allow a draw that size: their optimum is none of the surface's, and its loss no cost.
    """
    rows = []
    for factor in factors:
        loss = np.full(surface.count, np.nan)
        if not _allowed(limits, best.n_params * factor):
            rows.append({"factor": factor, **dict.fromkeys(BANDS, np.nan)})
            continue
        for r in np.unique(best.recurrence):
            mine = best.recurrence == r
            n = (best.n_params * factor)[:, None]
            loss[mine] = loss_at(surface, cost, limits, np.full((surface.count, 1), flops), n, float(r))[mine, 0]
        rows.append({"factor": factor, **{k: float(v[0]) for k, v in bands((loss - best.loss)[:, None]).items()}})
    return pd.DataFrame(rows)


def _allowed(limits: Limits, n_params: np.ndarray) -> bool:
    """Whether the limits allow all of these sizes (S,)."""
    if limits.allowed is not None:
        return bool(np.isin(n_params, limits.allowed).all())
    return bool(n_params.max() <= limits.largest)


def limited(surface: Surface, cost: Cost, limits: Limits, flops: float, best: Optimum) -> list[str]:
    """Sentences on which limits keep the plan from its optimum, and at what cost; on losses that are none.

    A limit that decides in fewer than ``SOME`` of the draws is not worth a word.
    """
    notes = []
    if any(getattr(limits, name) is not None for name in BOUNDS):
        free = optimum(surface, cost, flops, replace(limits, **dict.fromkeys(BOUNDS)))
        for name, share in _binding(limits, best, free).items():
            if share >= SOME:
                notes.append(f"The limit {name} (--{name.replace('_', '-')}) decides in {share:.0%} of the draws.")
        if notes and free.edge.mean() < SOME:
            n, d, loss = (float(np.median(v)) for v in (free.n_params, free.tokens, free.loss))
            less = float(np.median(best.loss - free.loss))
            notes.append(
                f"Without limits on size and tokens the best is {human(n)} parameters on {human(d)} tokens, whose loss "
                f"of {loss:.4f} is {f'{less:.4f}' if less >= 1e-4 else 'less than 0.0001'} lower (medians)."
            )
    if float(np.median(best.loss)) > HIGH_LOSS:
        notes.append(
            f"A loss of {np.median(best.loss):.3g} nats a token is more than a guess among all tokens has (about 11). "
            "No law holds there, and such a model is of no use."
        )
    return notes


def _binding(limits: Limits, best: Optimum, free: Optimum) -> dict[str, float]:
    """Limit → share of the draws that it keeps from where their optimum would be without limits."""
    share, sizes = {}, limits.sizes
    by_memory = np.inf if limits.memory is None else limits.memory / limits.bytes_per_param
    cap = "max_params" if limits.max_params is not None and limits.max_params <= by_memory else "memory"
    if sizes is not None and max(sizes) > limits.largest:
        share[cap] = float((free.n_params > limits.largest).mean())
    elif sizes is not None:
        share["sizes"] = float(((free.n_params < min(sizes)) | (free.n_params > max(sizes))).mean())
    elif limits.largest < SIZES[1]:
        share[cap] = float((best.n_params > limits.largest * (1 - AT)).mean())
    if limits.max_tokens is not None:
        share["max_tokens"] = float((best.tokens > limits.max_tokens * (1 - AT)).mean())
    return share


def bands(draws: np.ndarray) -> dict[str, np.ndarray]:
    """``mean``, ``median``, ``lo50``, ``hi50``, ``lo90``, ``hi90`` over the first axis of draws (S, ...)."""
    with np.errstate(invalid="ignore"):
        mean = draws.mean(axis=0)
    q = np.quantile(
        draws, [0.5, 0.25, 0.75, 0.05, 0.95], axis=0, method="nearest" if np.isinf(draws).any() else "linear"
    )
    return dict(zip(BANDS, (mean, *q), strict=True))
