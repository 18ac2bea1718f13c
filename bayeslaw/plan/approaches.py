"""Approaches 1, 2 and 3 and the posterior, side by side on the same runs; and how far off approach 2 is by itself."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bayeslaw.data.runs import Runs
from bayeslaw.fit import Fit
from bayeslaw.plan.costs import Cost, cost_of
from bayeslaw.plan.isoflop import Profile, bottom, frontier, profiles
from bayeslaw.plan.optimum import optimum
from bayeslaw.plan.parametric import huber_fit
from bayeslaw.plan.surface import Surface

BOOTSTRAPS = 200


def compare(runs: Runs, fit: Fit, flops: float, *, group: str | None = None, times: int = BOOTSTRAPS) -> pd.DataFrame:
    """The frontier by every approach.

    Parameters
    ----------
    runs : final losses at fixed budgets. fit : our fit of them (or of several corpora together).
    flops : the budget at which N* is compared. group : the corpus; PlanError if there are several and none is named.

    Returns
    -------
    DataFrame, one row per method: ``method``, and for a (N* ~ C^a), b (D* ~ C^b) and ``n_params`` (N* at the budget)
    the estimate and ``_lo90``, ``_hi90``. Approaches 1-3: bootstrap intervals; ours: of the posterior.
    """
    parts = profiles(runs, group)
    surface = Surface(fit, group)
    cost = cost_of(surface)
    rows = []
    for name, how in (("1: best run at each budget", "best"), ("2: parabolas", "parabola")):
        n, d = frontier(parts, how), frontier(parts, how, "tokens")
        rows.append(_row(name, (n.slope, n.slopes), (d.slope, d.slopes), n.at(flops)))
    rows.append(_approach_3(parts, cost, flops, times))
    rows.append(_ours(surface, cost, flops, "posterior: median"))
    return pd.DataFrame(rows)


def _approach_3(parts: list[Profile], cost: Cost, flops: float, times: int) -> dict[str, object]:
    n, d, loss = (np.concatenate([getattr(p, k) for p in parts]) for k in ("n_params", "tokens", "loss"))
    m, k = _power(cost, flops, n)
    best = huber_fit(n, d, loss)
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(times):
        pick = rng.integers(0, len(n), len(n))
        draws.append(huber_fit(n[pick], d[pick], loss[pick], start=best))
    a = [s.beta / (s.alpha + m * s.beta) for s in (best, *draws)]
    b = [1 - m * one for one in a]
    star = [s.n_star(flops, k, m) for s in (best, *draws)]
    return _row("3: parametric, Huber", *((v[0], np.array(v[1:])) for v in (a, b, star)))


def _power(cost: Cost, flops: float, sizes: np.ndarray) -> tuple[float, float]:
    """Exponent m and factor k of a cost near the largest sizes, where the frontier is going."""
    if cost.power is not None:
        return cost.power[1], cost.power[0]
    low, high = np.quantile(sizes, [0.5, 1.0])
    m = float(np.log(cost.per_token(high) / cost.per_token(low)) / np.log(high / low))
    return m, float(cost.per_token(high) / high**m)


def _ours(surface: Surface, cost: Cost, flops: float, name: str) -> dict[str, object]:
    step = 10**0.05
    low, mid, high = (optimum(surface, cost, c) for c in (flops / step, flops, flops * step))
    a = np.log(high.n_params / low.n_params) / np.log(step**2)
    b = np.log(high.tokens / low.tokens) / np.log(step**2)
    return _row(name, *((float(np.median(v)), v) for v in (a, b, mid.n_params)))


def _row(name: str, *found: tuple[float, np.ndarray]) -> dict[str, object]:
    row: dict[str, object] = {"method": name}
    for key, (value, draws) in zip(("a", "b", "n_params"), found, strict=True):
        lo, hi = np.nanquantile(draws, [0.05, 0.95])
        row |= {key: value, f"{key}_lo90": float(lo), f"{key}_hi90": float(hi)}
    return row


def parabola_bias(runs: Runs, fit: Fit, flops: float, *, group: str | None = None) -> pd.DataFrame:
    """How far approach 2 is off on a surface that is known: the fit's own, without noise, at the runs' own N and D.

    Parabolas through exact losses err because the surface is not one (its sides fall at different rates, and a budget's
    sizes are not centred on its optimum).

    Returns
    -------
    DataFrame, one row per budget and a last one for ``flops``, reached by the line through the others: ``flops``,
    ``true`` N*, ``parabola`` N*, ``ratio``, and ``loss`` (nats that the error costs there).
    """
    surface = Surface(fit, group).at_centre()
    cost = cost_of(surface)
    rows = []
    for p in profiles(runs, group):
        found = bottom(p.n_params, surface.loss(p.n_params[None, :], p.tokens[None, :])[0])
        rows.append((p.flops, float(optimum(surface, cost, p.flops).n_params[0]), found))
    known = [(c, f) for c, _, f in rows if np.isfinite(f)]
    if len(known) >= 2:
        slope, intercept = np.polyfit(np.log([c for c, _ in known]), np.log([f for _, f in known]), 1)
        at = float(np.exp(intercept + slope * np.log(flops)))
        rows.append((flops, float(optimum(surface, cost, flops).n_params[0]), at))
    frame = pd.DataFrame(rows, columns=["flops", "true", "parabola"])
    frame["ratio"] = frame["parabola"] / frame["true"]

    def loss(c: float, n: float) -> float:
        return float(surface.loss(n, c / cost.per_token(n))[0, 0]) if np.isfinite(n) else np.nan

    frame["loss"] = [
        loss(c, f) - loss(c, t) for c, t, f in zip(frame["flops"], frame["true"], frame["parabola"], strict=True)
    ]
    return frame
