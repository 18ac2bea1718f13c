"""``plan``: compute-optimal parameters, tokens and recurrence at a budget, as joint posterior draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayeslaw.data.units import human
from bayeslaw.errors import PlanError
from bayeslaw.fit import Fit
from bayeslaw.forecast import bounded
from bayeslaw.plan.budget import Rates, parse_budget
from bayeslaw.plan.costs import cost_of
from bayeslaw.plan.decision import Choice, bands, choose, plug_in, regret_curve, sensitivity
from bayeslaw.plan.isoflop import sweeps
from bayeslaw.plan.optimum import Limits, optimum
from bayeslaw.plan.reach import Reach, reach_of
from bayeslaw.plan.surface import Surface

QUANTITIES = ("n_params", "tokens", "recurrence", "tokens_per_param", "loss", "loss_observed")
#: laws whose profiles' walls decide where the optimum goes, and from how many budgets on the runs could tell instead
ADDITIVE, SWEEPS = ("chinchilla", "chinchilla-interaction"), 3


@dataclass(frozen=True, eq=False, repr=False)
class Plan:
    """Where a budget is spent best.

    Attributes
    ----------
    flops : the budget, FLOP; ``rates`` turns it into device-hours, days and money.
    frame : one row per quantity (index: ``n_params``, ``tokens``, ``recurrence``, ``tokens_per_param``, ``loss``: the
        law's at the optimum, ``loss_observed``: of one new run trained there), columns ``mean``, ``median``, ``lo50``,
        ``hi50``, ``lo90``, ``hi90``.
    draws : one row per posterior draw: the same quantities; a row belongs together.
    choice : the one size of least expected loss, its expected regret against perfect knowledge; ``point``: the same of
        what a point fit would choose.
    regret : regret in nats against size, with bands. sensitivity : loss of being off by a factor in N.
    exponents : ``a`` and ``b`` of N* ~ C^a, D* ~ C^b at the budget, with the columns of ``frame``.
    reach : ranges of the data; ``decades`` says how far the median plan lies beyond them.
    cost : what a token was taken to cost, in words.
    notes : sentences a reader of the plan should know.
    """

    flops: float
    rates: Rates
    frame: pd.DataFrame
    draws: pd.DataFrame
    choice: Choice
    point: Choice
    regret: pd.DataFrame
    sensitivity: pd.DataFrame
    exponents: pd.DataFrame
    reach: Reach
    cost: str
    group: str | None
    notes: tuple[str, ...] = ()

    @property
    def decades(self) -> dict[str, float]:
        """Decades beyond the data of the budget and of the median N* and D*."""
        at = self.frame["median"].to_dict()
        return self.reach.decades(flops=self.flops, n_params=float(at["n_params"]), tokens=float(at["tokens"]))

    def __getattr__(self, name: str) -> Any:
        # plan.n_params and the like: that row of the frame
        if name in QUANTITIES:
            return self.frame.loc[name]
        raise AttributeError(name)

    def __str__(self) -> str:
        lines = [f"Budget {self.rates.say(self.flops)}; a token costs {self.cost}"]
        names = {"n_params": "parameters", "tokens": "tokens", "recurrence": "recurrent steps",
                 "tokens_per_param": "tokens per parameter", "loss": "loss there",
                 "loss_observed": "loss of one run"}  # fmt: skip
        for name, row in self.frame.to_dict(orient="index").items():
            if name == "recurrence" and row["lo90"] == row["hi90"] == 1:
                continue
            spell = (lambda v: f"{v:.4f}") if str(name).startswith("loss") else human
            lines.append(
                f"  {names[str(name)]:<21} {spell(row['median']):>8}   50 % {spell(row['lo50'])} - {spell(row['hi50'])}"
                f"   90 % {spell(row['lo90'])} - {spell(row['hi90'])}"
            )
        c = self.choice
        loops = f", {c.recurrence:g} recurrent steps" if c.recurrence != 1 else ""
        lines.append(
            f"Train {human(c.n_params)} parameters on {human(c.tokens)} tokens{loops}: expected loss {c.loss:.4f}, of "
            f"which {c.regret:.1g} nats are for not knowing the surface."
        )
        off = [
            f"{row['factor']:g} × N costs {row['median']:.4f} ({row['lo90']:.4f} - {row['hi90']:.4f})"
            if np.isfinite(row["hi90"])
            else f"{row['factor']:g} × N is beyond the budget"
            for row in self.sensitivity.to_dict(orient="records")
        ]
        lines += ["Off the optimum, median (90 %), nats: " + "; ".join(off) + ".", *self.notes]
        return "\n".join(lines)

    def __repr__(self) -> str:
        n = self.frame.loc["n_params"]
        return (
            f"<Plan: {human(self.flops)} FLOP, N* {human(n['median'])}, 90 % {human(n['lo90'])} - {human(n['hi90'])}>"
        )


def plan(
    fit: Fit,
    flops: float | str | None = None,
    *,
    target_loss: float | None = None,
    group: str | None = None,
    rates: Rates | None = None,
    limits: Limits | Mapping[str, Any] | None = None,
    cost: str = "measured",
    recurrent_share: float | None = None,
    draws: int = 2000,
    seed: int = 0,
) -> Plan:
    """Plan a training run.

    Parameters
    ----------
    fit : a fit of chinchilla, chinchilla-interaction, isoflop, iso-depth or looped-total.
    flops : the budget: FLOP, or words ("2000 H100-hours", "$50k", "30 days on 64 H100"), see ``parse_budget``.
    target_loss : instead of a budget: plan for the median budget that reaches this loss (``plan.target`` tells more).
    group : the corpus or family to plan for; by default, where several were fitted, a new one.
    rates : device, MFU, price and number of devices, ``from bayeslaw.plan import rates; rates("h100", price=2.0)``.
    limits : see ``Limits``; a mapping of its fields will do.
    cost : ``"measured"`` FLOP per token where the runs have a flops column, or ``"6ND"``.
    recurrent_share : share of a looped model's parameters inside the loop; by default as in the runs.
    draws : posterior draws used, at most as many as the fit has.
    seed : of the draws of one run's noise, and of a new group.

    Returns
    -------
    Plan. ``print`` it; ``plan.frame`` has the numbers.

    Raises
    ------
    PlanError
        The budget is none, or cannot be read; the law says nothing of budgets; the limits leave nothing.
    TargetError
        The target loss is more likely than not below the irreducible loss.
    """
    if (flops is None) == (target_loss is None):
        raise PlanError("Give a budget (flops=) or a target loss (target_loss=), one of the two.")
    bound = Limits.of(limits)
    surface = Surface(fit, group, recurrent_share=recurrent_share, draws=draws, seed=seed)
    price = cost_of(surface, cost)
    known = rates or Rates()
    notes = list(surface.notes)
    if flops is None:
        from bayeslaw.plan.target import budgets_for, refuse

        assert target_loss is not None
        needed = budgets_for(surface, price, bound, target_loss)
        refuse(target_loss, needed)
        budget = float(np.median(needed))
        notes.append(f"Planned for the median of the budgets that reach a loss of {target_loss:g}.")
    else:
        budget, known = parse_budget(flops, known)
    if surface.law.name in ADDITIVE and surface.layout.likelihood == "points":
        found = sweeps(surface.problem.bins, group)
        if found >= SWEEPS:
            notes.append(
                f"The runs are sweeps at {found} budgets. Model isoflop lets every budget stray, and its intervals of "
                "N* held where this model's were too narrow (benchmarks/planning.md)."
            )
    best = optimum(surface, price, budget, bound)
    with np.errstate(over="ignore"):
        one = best.loss * np.exp(surface.scatter(best.n_params, best.tokens, np.random.default_rng(seed)))
    table = pd.DataFrame(
        {
            "n_params": best.n_params,
            "tokens": best.tokens,
            "recurrence": best.recurrence,
            "tokens_per_param": best.tokens / best.n_params,
            "loss": best.loss,
            "loss_observed": bounded(one),
        }
    )
    frame = pd.DataFrame({name: bands(table[name].to_numpy()) for name in table}).T.astype(float)
    choice = choose(surface, price, bound, budget, best)
    reach = reach_of(surface, price)
    at = frame["median"].to_dict()
    notes.append(reach.say(flops=budget, n_params=float(at["n_params"]), tokens=float(at["tokens"])))
    if best.edge.any():
        notes.append(f"{best.edge.mean():.0%} of the draws have their optimum at the largest or smallest size allowed.")
    return Plan(
        budget,
        known,
        frame,
        table,
        choice,
        plug_in(surface, price, bound, budget, best),
        regret_curve(surface, price, bound, budget, best, choice.recurrence),
        sensitivity(surface, price, bound, budget, best),
        _exponents(surface, price, bound, budget, choice.recurrence),
        reach,
        price.said,
        group,
        tuple(notes),
    )


def _exponents(surface: Surface, price: Any, limits: Limits, budget: float, recurrence: float) -> pd.DataFrame:
    """d log N* / d log C and d log D* / d log C of every draw, by a difference over a tenth of a decade."""
    import dataclasses

    one = dataclasses.replace(limits, recurrences=(recurrence,)) if surface.looped else limits
    step = 10**0.05
    low, high = optimum(surface, price, budget / step, one), optimum(surface, price, budget * step, one)
    a = np.log(high.n_params / low.n_params) / np.log(step**2)
    b = np.log(high.tokens / low.tokens) / np.log(step**2)
    return pd.DataFrame({"a": bands(a), "b": bands(b)}).T.astype(float)
