"""Budget planning: compute-optimal sizes with intervals, what a wrong guess costs, and which cheap run to buy first."""

from __future__ import annotations

from bayeslaw.plan.budget import Rates, parse_budget, rates
from bayeslaw.plan.limits import Limits
from bayeslaw.plan.misfit import Misfit
from bayeslaw.plan.planning import Plan, plan
from bayeslaw.plan.target import Target, target

__all__ = ["Limits", "Misfit", "Plan", "Rates", "Target", "parse_budget", "plan", "rates", "target"]
