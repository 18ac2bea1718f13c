"""Plans by what will be trained: the law's surface with what the law gets wrong drawn into it.

The misfit (``plan/misfit.py``) moves the best size as it moves the losses. Under a draw of the law's coefficients and
of the misfit, jointly Gaussian at a grid of budgets and sizes and at the candidates given the fitted runs, the loss is
known everywhere that a decision looks: what a size wastes is measured against the best that can be trained, and a
candidate's outcome tells of the law and of the misfit at once. Amid the fitted runs, which pin the two together, little
is left of either; the law's own optimum, whose coefficients a misfit sets free, would be as open there as anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayeslaw.data.units import human
from bayeslaw.plan.candidates import Candidates, group_names
from bayeslaw.plan.costs import Cost
from bayeslaw.plan.design import Joint
from bayeslaw.plan.limits import Limits
from bayeslaw.plan.misfit import Held, Misfit, Places
from bayeslaw.plan.optimum import favoured, loss_at, recurrences_of, tokens_for
from bayeslaw.plan.surface import STRAYED, Surface, stream
from bayeslaw.plan.value import Waste, budgets_below, choices, wasted_of

#: budgets at which the least loss is tabulated; how far (factor) the sizes looked at reach beyond the law's optima
BUDGETS, REACH = 13, 2.0
#: of the misfit's variance, added to that of every place apart: its covariance over a fine grid is singular else
JITTER = 1e-9


def moments(held: Held, at: pd.DataFrame, group: str | None, target: np.ndarray, runs: Candidates) -> Joint:
    """Joint moments of targets and candidates, law and misfit together.

    ``at`` : the targets, (t) rows of n_params, tokens and recurrence, of ``group``; ``target`` (S, t) the law's log
    losses there. What the fitted runs tell of the misfit under a draw moves that draw's log losses.
    """
    mean, covariance = held.beyond(places_of(held, at, group).with_more(places_of_runs(held, runs)))
    t = len(at)
    return Joint.of(target + mean[:, :t], runs.log_loss + mean[:, t:], runs.covariance(), covariance)


def waste(
    held: Held, surface: Surface, cost: Cost, limits: Limits, flops: float, places: Places | None = None, seed: int = 0
) -> tuple[Waste, np.ndarray]:
    """As ``value.waste``, of the law and its misfit; and the misfit (S, p) drawn at ``places``, of candidates, say.

    ``surface`` is of ``held.z``, and draws of the two belong together.
    """
    loops, best = recurrences_of(surface, limits), favoured(surface, cost, flops, limits)
    sizes = choices(best, limits, REACH)
    shares = budgets_below(surface, cost, limits, flops, BUDGETS)
    free = limits.allowed is None
    # smaller budgets have smaller best sizes, about as their root; half as many of them tell how low their losses go
    less = np.outer(np.sqrt(shares[:-1]), sizes[::2]) if free else np.tile(sizes, (BUDGETS - 1, 1))
    n = np.concatenate([less.ravel(), sizes])
    budget = flops * np.concatenate([np.repeat(shares[:-1], less.shape[1]), np.ones(len(sizes))])
    rows = [_grid(surface, cost, limits, budget, n, loop) for loop in loops]
    law = [loss_at(surface, cost, limits, budget[None, :], n[None, :], loop) for loop in loops]
    grid = places_of(held, pd.concat(rows, ignore_index=True), surface.group)
    strays = _drawn(held, grid if places is None else grid.with_more(places), seed)
    frontier, out = np.full((len(strays), len(shares)), np.inf), {}
    for i, loop in enumerate(loops):
        log_loss = np.log(law[i]) + strays[:, i * len(n) : (i + 1) * len(n)]
        below = log_loss[:, : less.size].reshape(len(strays), *less.shape)
        at, least = lowest(np.log(sizes)[None, :], log_loss[:, None, less.size :], free)
        out[loop] = log_loss[:, less.size :], at[:, 0]
        frontier = np.minimum(frontier, np.concatenate([lowest(np.log(less), below, free)[1], least], axis=1))
    # a larger budget need not be spent
    frontier = np.minimum.accumulate(frontier, axis=1)
    there, log_n = out[float(best.recurrence[0])]
    return Waste(sizes, wasted_of(there, frontier, shares), log_n), strays[:, len(loops) * len(n) :]


@dataclass(frozen=True)
class Strayed:
    """A plan by the law alone, seen with the misfit: 90 % interval of N*, and shares of the budget wasted.

    ``size`` is the plan's and is expected to waste ``wasted``; ``best`` is the size of least expected waste, ``least``.
    """

    misfit: Misfit
    lo90: float
    hi90: float
    size: float
    wasted: float
    best: float
    least: float

    def __str__(self) -> str:
        over = f"{self.misfit.scale:.0%} over a factor of {np.exp(self.misfit.length):.2g}"
        low, high, size, best = map(human, (self.lo90, self.hi90, self.size, self.best))
        return (
            f"If losses stray from the law by {over} (misfit), N* is {low} - {high} (90 %), and {size} parameters are "
            f"expected to waste {self.wasted:.1%} of the budget; {best} the least, {self.least:.1%}."
        )


def seen(
    surface: Surface, cost: Cost, limits: Limits, flops: float, size: float, misfit: Misfit, seed: int = 0
) -> Strayed:
    """What a misfit leaves of a plan by the law's own ``surface`` that trains ``size``."""
    held = Held(surface.fit, misfit, surface.count, seed)
    mine = Surface(surface.fit, surface.group, draws=surface.count, seed=seed, z=held.z)
    found, _ = waste(held, mine, cost, limits, flops, seed=seed)
    low, high = np.exp(np.quantile(found.log_n, [0.05, 0.95]))
    wasted = np.interp(np.log(size), np.log(found.sizes), found.wasted.mean(axis=0))
    at, least = found.now
    return Strayed(misfit, float(low), float(high), size, float(wasted), float(found.sizes[at]), least)


def _grid(
    surface: Surface, cost: Cost, limits: Limits, budget: np.ndarray, n_params: np.ndarray, loop: float
) -> pd.DataFrame:
    """Where these budgets spent on these sizes lead: n_params, tokens and recurrence."""
    tokens = np.maximum(tokens_for(surface, cost, limits, budget, n_params, loop), 1.0)
    return pd.DataFrame({"n_params": n_params, "tokens": tokens, "recurrence": loop})


def _drawn(held: Held, places: Places, seed: int) -> np.ndarray:
    """The misfit (S, n) at these places, one draw of it for each of the law."""
    mean, covariance = held.beyond(places)
    root = np.linalg.cholesky(covariance + JITTER * held.misfit.scale**2 * np.eye(len(covariance)))
    return mean + stream(seed, STRAYED).standard_normal(mean.shape) @ root.T


def lowest(log_n: np.ndarray, value: np.ndarray, between: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Where ``value`` (S, B, g) is lowest over evenly spaced ``log_n`` (B, g), and how low it is there; both (S, B).

    ``between`` : by the parabola through the lowest point and its neighbours, where it has two that are finite.
    """
    best = value.argmin(axis=2)
    inner = np.clip(best, 1, max(value.shape[2] - 2, 1))
    at, least = np.take_along_axis(log_n[None], best[..., None], 2)[..., 0], value.min(axis=2)
    if not between or value.shape[2] < 3:
        return at, least
    left, middle, right = (np.take_along_axis(value, (inner + k)[..., None], 2)[..., 0] for k in (-1, 0, 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        slope, bend = (right - left) / 2, left - 2 * middle + right
        good = (best == inner) & np.isfinite(bend) & (bend > 0)
        step = np.where(good, -slope / bend, 0.0)
        least = np.where(good, middle - slope**2 / (2 * bend), least)
    return at + step * (log_n[:, 1] - log_n[:, 0]), least


def places_of(held: Held, frame: pd.DataFrame, group: str | None = None) -> Places:
    """Places of rows of n_params, tokens and, where they have it, recurrence, of ``group``."""
    columns = ["n_params", "tokens", "recurrence"]
    return Places.of(frame.reindex(columns=columns).fillna({"recurrence": 1.0}), held.group(group))


def places_of_runs(held: Held, runs: Candidates) -> Places:
    """Places of candidates, each of its own group."""
    groups = [held.group(g) for g in group_names(runs.frame)]
    return Places.of(runs.frame[["n_params", "tokens", "recurrence"]].assign(group=groups))
