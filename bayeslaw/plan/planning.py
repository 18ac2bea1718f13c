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
from bayeslaw.plan.budget import Rates, parse_budget, settled
from bayeslaw.plan.costs import cost_of
from bayeslaw.plan.decision import Choice, bands, choose, limited, plug_in, regret_curve, sensitivity
from bayeslaw.plan.limits import SIZES, Limits
from bayeslaw.plan.misfit import Misfit
from bayeslaw.plan.optimum import least_budget, optimum
from bayeslaw.plan.reach import Reach, additive, reach_of, unseen
from bayeslaw.plan.strayed import Strayed, seen
from bayeslaw.plan.surface import NOISE, Surface, stream

QUANTITIES = ("n_params", "tokens", "recurrence", "tokens_per_param", "loss", "loss_observed")


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
    regret : regret in nats against size, with bands. sensitivity : loss of being off by a factor in N, NaN where the
        limits do not allow that size.
    exponents : ``a`` and ``b`` of N* ~ C^a, D* ~ C^b at the budget, with the columns of ``frame``.
    reach : ranges of the data; ``decades`` says how far the median plan lies beyond them.
    cost : what a token was taken to cost, in words.
    notes : sentences a reader of the plan should know. listed : whether the sizes were those of a list.
    strayed : what a misfit leaves of it: interval of N*, waste, the size that wastes least; None if not asked.
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
    listed: bool = False
    strayed: Strayed | None = None

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
            f"which {round(c.regret, 6):.1g} nats are for not knowing the surface."
        )
        off = self._other_sizes() if self.listed else self._factors()
        return "\n".join([*lines, *([off] if off else []), *self.notes])

    def _factors(self) -> str:
        """What a size off by a factor costs, in words."""
        off = []
        for row in self.sensitivity.to_dict(orient="records"):
            said = "is not allowed" if np.isnan(row["hi90"]) else _costs(row)
            off.append(f"{row['factor']:g} × N {said}")
        return f"Off the optimum, median (90 %), nats: {'; '.join(off)}."

    def _other_sizes(self) -> str:
        """What the sizes next to the chosen one of a list cost, in words; "" if there is one size only."""
        sizes = self.regret["n_params"].to_numpy()
        at = int(np.abs(sizes - self.choice.n_params).argmin())
        near = [i for i in (at - 1, at + 1) if 0 <= i < len(sizes)]
        off = [f"{human(row['n_params'])} {_costs(row)}" for row in self.regret.iloc[near].to_dict(orient="records")]
        return f"Other sizes, median (90 %), nats above the best: {'; '.join(off)}." if off else ""

    def __repr__(self) -> str:
        n = self.frame.loc["n_params"]
        return (
            f"<Plan: {human(self.flops)} FLOP, N* {human(n['median'])}, 90 % {human(n['lo90'])} - {human(n['hi90'])}>"
        )


def _costs(row: Mapping[Any, Any]) -> str:
    """A loss and its 90 % interval in words, without a minus before zero."""
    if not np.isfinite(row["hi90"]):
        return "is beyond the budget"
    median, low, high = (round(row[k], 4) + 0.0 for k in ("median", "lo90", "hi90"))
    return f"costs {median:.4f} ({low:.4f} - {high:.4f})"


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
    misfit: Misfit | None = None,
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
    misfit : how far losses stray from the law, as in ``next_runs``: a note then tells the interval of N* and the waste
        that this leaves. All else is the law's own, as if it held everywhere.
    draws : posterior draws used, at most as many as the fit has.
    seed : of the draws of one run's noise, and of a new group.

    Returns
    -------
    Plan. ``print`` it; ``plan.frame`` has the numbers.

    Raises
    ------
    PlanError
        The budget is none, cannot be read, or is so far from the runs' that its optimum is no size at all; the rates
        are of another device than the budget, or of none; the law says nothing of budgets; the limits leave nothing.
    TargetError
        The target loss is more likely than not below the irreducible loss.
    """
    if (flops is None) == (target_loss is None):
        raise PlanError("Give a budget (flops=) or a target loss (target_loss=), one of the two.")
    bound = Limits.of(limits)
    surface = Surface(fit, group, recurrent_share=recurrent_share, draws=draws, seed=seed)
    price = cost_of(surface, cost)
    notes = list(surface.notes)
    if flops is None:
        from bayeslaw.plan.target import budgets_for, refuse

        assert target_loss is not None
        needed = budgets_for(surface, price, bound, target_loss)
        refuse(target_loss, needed)
        budget, known = float(np.median(needed)), settled(rates)
        notes.append(f"Planned for the median of the budgets that reach a loss of {target_loss:g}.")
    else:
        budget, named = parse_budget(flops, rates)
        known = settled(rates, named)
    notes += additive(surface, told=misfit is not None)
    best = optimum(surface, price, budget, bound)
    reach = reach_of(surface, price)
    reach.refuse(budget, best.n_params, SIZES)
    with np.errstate(over="ignore"):
        one = best.loss * np.exp(surface.scatter(best.n_params, best.tokens, stream(seed, NOISE)))
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
    at = frame["median"].to_dict()
    sizes = {name: float(at[name]) for name in ("n_params", "tokens")}
    notes.append(reach.say(target=target_loss, flops=budget, **sizes))
    notes += [*unseen(surface, choice.recurrence), *limited(surface, price, bound, budget, best)]
    left = None if misfit is None else seen(surface, price, bound, budget, choice.n_params, misfit, seed)
    notes += [] if left is None else [str(left)]
    # at the limit's own end it is the limit that was named
    edge = best.edge & ((best.n_params < bound.largest * 0.9) | (bound.largest >= SIZES[1]))
    if edge.any():
        notes.append(f"{edge.mean():.0%} of the draws have their optimum at the largest or smallest size allowed.")
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
        bound.sizes is not None,
        left,
    )


def _exponents(surface: Surface, price: Any, limits: Limits, budget: float, recurrence: float) -> pd.DataFrame:
    """d log N* / d log C and d log D* / d log C of every draw, by a difference over a tenth of a decade.

    Over less of it where the budget hardly pays for serving.
    """
    import dataclasses

    one = dataclasses.replace(limits, recurrences=(recurrence,)) if surface.looped else limits
    step = 10**0.05
    less = max(budget / step, min(budget, least_budget(surface, price, one)))
    low, high = optimum(surface, price, less, one), optimum(surface, price, budget * step, one)
    a = np.log(high.n_params / low.n_params) / np.log(budget * step / less)
    b = np.log(high.tokens / low.tokens) / np.log(budget * step / less)
    return pd.DataFrame({"a": bands(a), "b": bands(b)}).T.astype(float)
