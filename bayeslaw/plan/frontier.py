"""The frontier: optimum and its bands over a range of budgets, and which of them the data reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayeslaw.errors import PlanError
from bayeslaw.fit import Fit
from bayeslaw.plan.costs import cost_of
from bayeslaw.plan.decision import bands
from bayeslaw.plan.limits import Limits
from bayeslaw.plan.optimum import least_budget, optimum
from bayeslaw.plan.reach import reach_of
from bayeslaw.plan.surface import Surface

if TYPE_CHECKING:
    from bayeslaw.plan.planning import Plan


def frontier(
    fit: Fit, low: float | None = None, high: float | None = None, *, group: str | None = None,
    limits: Limits | None = None, cost: str = "measured", points: int = 41, draws: int = 1000, seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """N*, D* and loss against budget.

    Parameters
    ----------
    low, high : budgets between which it is drawn, FLOP; by default those of the data that pay for some size, and two
        decades beyond.
    group, limits, cost, seed : as in ``plan``, and best the plan's own: then it is the plan's frontier.
    points, draws : budgets, and posterior draws at each.

    Returns
    -------
    DataFrame: ``flops``, ``inside`` (within the compute of the runs fitted), and for each of n_params, tokens,
    tokens_per_param and loss ``{name}_median``, ``_lo50``, ``_hi50``, ``_lo90``, ``_hi90``.
    """
    surface = Surface(fit, group, draws=draws, seed=seed)
    price = cost_of(surface, cost)
    first, last = reach_of(surface, price).flops
    low = low or max(first, least_budget(surface, price, limits or Limits()))
    high = high or 100 * last
    if not 0 < low < high:
        raise PlanError(f"The frontier is drawn from a budget to a larger one; got {low:g} and {high:g}.")
    # the data's ends are points too, so that what is inside meets what is not
    budgets = np.geomspace(low, high, points)
    budgets = np.unique(np.concatenate([budgets, [c for c in (first, last) if low <= c <= high]]))
    rows = []
    for c in budgets:
        best = optimum(surface, price, c, limits)
        row: dict[str, float | bool] = {"flops": float(c), "inside": bool(first * 0.999 <= c <= last * 1.001)}
        values = {"n_params": best.n_params, "tokens": best.tokens, "loss": best.loss}
        values["tokens_per_param"] = best.tokens / best.n_params
        for name, value in values.items():
            row |= {f"{name}_{k}": float(v) for k, v in bands(value).items() if k != "mean"}
        rows.append(row)
    return pd.DataFrame(rows)


def frontier_about(fit: Fit, plan: Plan, **how: Any) -> pd.DataFrame:
    """The frontier that a plan is drawn on: the data's budgets and its own, also below them all; ``how`` as above."""
    first, last = plan.reach.flops
    return frontier(fit, plan.flops if plan.flops < first else None, 3 * max(plan.flops, last), **how)
