"""Compute-optimal size and tokens of every posterior draw: in closed form where there is one, else numerically.

At a budget C and a cost of ``k U^m`` FLOP per token, with U = u N unrolled parameters, the token term of the chinchilla
laws is ``B (C / k u^m)^-beta N^p``, ``p = m beta`` (with an interaction: ``m beta + kappa``), and

    N* = [alpha A (C / k u^m)^beta / (p B)]^(1 / (alpha + p))

where the derivative of ``A N^-alpha`` plus that vanishes: Hoffmann et al. 2022 (arXiv 2203.15556), eq. 4, is m = 1.
The isoflop law states N* itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayeslaw.errors import PlanError
from bayeslaw.laws.chinchilla_interaction import N_REFERENCE
from bayeslaw.laws.isoflop import C_REFERENCE
from bayeslaw.plan.costs import Cost
from bayeslaw.plan.flops import inference_flops
from bayeslaw.plan.limits import SIZES, Limits
from bayeslaw.plan.reach import reach_of
from bayeslaw.plan.surface import Surface

#: points of the coarse grid over the logs of sizes; golden section
GRID, GOLDEN = 64, (np.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Optimum:
    """Per draw (S,): parameters, tokens, recurrent steps, loss; ``edge``: at an end of the sizes allowed."""

    n_params: np.ndarray
    tokens: np.ndarray
    recurrence: np.ndarray
    loss: np.ndarray
    edge: np.ndarray


def recurrences_of(surface: Surface, limits: Limits) -> list[float]:
    """Recurrent steps to choose among: as limited, by default those of the runs fitted; 1 for laws without them."""
    if not surface.looped:
        if limits.recurrences is not None and any(r != 1 for r in limits.recurrences):
            raise PlanError(
                f"Model {surface.fit.card.name} knows no recurrence: fit iso-depth or looped-total to plan it."
            )
        return [1.0]
    found = limits.recurrences
    if found is None:
        found = sorted(set(surface.problem.bins["recurrence"].astype(float)))
    found = [float(r) for r in found if limits.max_recurrence is None or r <= limits.max_recurrence]
    if not found or min(found) < 1:
        raise PlanError("There is no recurrence to choose: give recurrences of at least 1 that the limit allows.")
    return found


def least_budget(surface: Surface, cost: Cost, limits: Limits) -> float:
    """FLOP of the smallest budget that buys anything: the smallest size, trained on one token and served for life."""
    n = SIZES[0] if limits.allowed is None else limits.allowed[0]
    loops = [surface.unrolled(n, r) for r in recurrences_of(surface, limits)]
    # a hair more, for budgets and sizes are gone through as logs
    return (1 + 1e-9) * min(float(inference_flops(u, limits.inference_tokens) + cost.per_token(u)) for u in loops)


def tokens_for(surface: Surface, cost: Cost, limits: Limits, flops: Any, n_params: Any, recurrence: float) -> Any:
    """Tokens that the budget pays for at a size: what serving leaves, at most the data there are; may be below 0."""
    unrolled = surface.unrolled(n_params, recurrence)
    tokens = (flops - inference_flops(unrolled, limits.inference_tokens)) / cost.per_token(unrolled)
    return tokens if limits.max_tokens is None else np.minimum(tokens, limits.max_tokens)


def loss_at(surface: Surface, cost: Cost, limits: Limits, flops: Any, n_params: Any, recurrence: float) -> np.ndarray:
    """Loss (S, ...) of spending the budget on a size; infinite where serving alone costs more than the budget."""
    tokens = tokens_for(surface, cost, limits, flops, n_params, recurrence)
    loss = surface.loss(n_params, np.maximum(tokens, 1.0), recurrence)
    return np.where(np.broadcast_to(tokens >= 1.0, loss.shape), loss, np.inf)


def closed_form(surface: Surface, cost: Cost, flops: Any, recurrence: float = 1.0) -> np.ndarray | None:
    """N* (S,) of every draw without limits, None where there is no closed form; NaN for a draw without an optimum."""
    plain = ("chinchilla", "chinchilla-interaction", "isoflop", "iso-depth")
    if cost.power is None or surface.sloped or surface.law.name not in plain:
        return None
    (k, m), p = cost.power, {name: v[:, 0] for name, v in surface.coefficients(recurrence).items()}
    if surface.law.name == "isoflop":
        # its profiles are of equal 6 N D: the budget's, where a token costs a multiple of N
        return p["n_opt"] * (6 * np.asarray(flops) / (k * C_REFERENCE)) ** p["a"] if m == 1 else None
    share = surface.share(recurrence)
    worth = 1 - share + share * recurrence ** p["phi"] if "phi" in p else 1.0
    kappa = p.get("kappa", 0.0)
    a = p["A"] * worth ** -p["alpha"]
    b = p["B"] * N_REFERENCE**-kappa * (np.asarray(flops) / (k * surface.unrolled(1.0, recurrence) ** m)) ** -p["beta"]
    power = m * p["beta"] + kappa
    with np.errstate(invalid="ignore"):
        return np.where(power > 0, (p["alpha"] * a / (power * b)) ** (1 / (p["alpha"] + power)), np.nan)


def numerical(
    surface: Surface, cost: Cost, limits: Limits, flops: Any, recurrence: float
) -> tuple[np.ndarray, np.ndarray]:
    """N* (S,) by a grid over log N and a golden-section search in the best cell, and whether it lies at an end."""
    allowed = limits.allowed
    budget = np.broadcast_to(np.asarray(flops, float), (surface.count,))[:, None]
    if allowed is not None:
        best = loss_at(surface, cost, limits, budget, allowed[None, :], recurrence).argmin(axis=1)
        return allowed[best], np.zeros(surface.count, bool)
    grid = np.linspace(np.log(SIZES[0]), np.log(min(SIZES[1], limits.largest)), GRID)

    def value(u: np.ndarray) -> np.ndarray:
        return loss_at(surface, cost, limits, budget, np.exp(u), recurrence)

    coarse = value(grid[None, :])
    best = coarse.argmin(axis=1)
    low, high = grid[np.maximum(best - 1, 0)][:, None], grid[np.minimum(best + 1, GRID - 1)][:, None]
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    f_left, f_right = value(left), value(right)
    for _ in range(30):
        go = f_left <= f_right
        low, high = np.where(go, low, left), np.where(go, right, high)
        fresh = np.where(go, high - GOLDEN * (high - low), low + GOLDEN * (high - low))
        f_fresh = value(fresh)
        left, right = np.where(go, fresh, right), np.where(go, left, fresh)
        f_left, f_right = np.where(go, f_fresh, f_right), np.where(go, f_left, f_fresh)
    # where a budget pays for the smallest size alone, nothing between the points is better than the point
    worse = np.minimum(f_left, f_right)[:, 0] > coarse.min(axis=1)
    log_n = np.where(worse, grid[best], ((low + high) / 2)[:, 0])
    return np.exp(log_n), (log_n < grid[0] + 1e-3) | (log_n > grid[-1] - 1e-3)


def optimum(surface: Surface, cost: Cost, flops: Any, limits: Limits | None = None) -> Optimum:
    """The best size, tokens and recurrence of every draw at a budget (a number, or one per draw).

    PlanError for a budget that pays for no size (``least_budget``), or draws whose loss is infinite at any.
    """
    limits = limits or Limits()
    budget = np.broadcast_to(np.asarray(flops, float), (surface.count,))
    found: Optimum | None = None
    for r in recurrences_of(surface, limits):
        n = closed_form(surface, cost, budget, r) if limits.free else None
        edge = np.zeros(surface.count, bool)
        if n is None or not bool(np.isfinite(n).all() and (n > SIZES[0]).all() and (n < SIZES[1]).all()):
            n, edge = numerical(surface, cost, limits, budget, r)
        loss = loss_at(surface, cost, limits, budget[:, None], n[:, None], r)[:, 0]
        tokens = np.maximum(tokens_for(surface, cost, limits, budget, n, r), 0.0)
        one = Optimum(n, tokens, np.full(surface.count, r), loss, edge)
        if found is None:
            found = one
        else:
            take = one.loss < found.loss
            found = Optimum(*(np.where(take, getattr(one, k), getattr(found, k)) for k in Optimum.__dataclass_fields__))
    assert found is not None
    if not np.isfinite(found.loss).all():
        raise PlanError(_nothing(surface, cost, limits, budget, found.loss))
    return found


def favoured(surface: Surface, cost: Cost, flops: float, limits: Limits) -> Optimum:
    """Every draw's optimum at the one recurrence that is best in most of them, the lowest of those that tie."""
    best = optimum(surface, cost, flops, limits)
    loops, votes = np.unique(best.recurrence, return_counts=True)
    if len(loops) == 1:
        return best
    return optimum(surface, cost, flops, replace(limits, recurrences=(float(loops[votes.argmax()]),)))


def _nothing(surface: Surface, cost: Cost, limits: Limits, budget: np.ndarray, loss: np.ndarray) -> str:
    """Why some draws have no optimum, in words."""
    least, flops = least_budget(surface, cost, limits), float(budget.min())
    said = f"A budget of {flops:.3g} FLOP"
    if flops >= least:
        return (
            f"{said} has no finite loss at any size in {np.mean(~np.isfinite(loss)):.1%} of the draws: the law is too "
            "uncertain to plan with. Fit more runs; next_runs(misfit=None) takes the fit's own draws."
        )
    if limits.inference_tokens:
        return f"{said} does not pay for serving the smallest size, {least:.3g}: lower inference_tokens or spend more."
    return f"{said} trains nothing: one token at the smallest size takes {least:.3g}; {reach_of(surface, cost).took}."
