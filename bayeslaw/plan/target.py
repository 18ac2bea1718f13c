"""From a target loss to the budget it takes, with an interval; and the probability of reaching it with a budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayeslaw.data.units import human
from bayeslaw.errors import PlanError, TargetError
from bayeslaw.fit import Fit
from bayeslaw.plan.budget import Rates, settled
from bayeslaw.plan.costs import Cost, cost_of
from bayeslaw.plan.decision import bands, choose
from bayeslaw.plan.limits import Limits
from bayeslaw.plan.optimum import least_budget, loss_at, optimum
from bayeslaw.plan.reach import Reach, reach_of
from bayeslaw.plan.surface import Surface

#: budgets considered at all, log10 FLOP, where they pay for serving; a target beyond the upper end counts as out of
#: reach, one that is met at the lower end takes that
SPAN = (12.0, 36.0)
#: a loss this many times (log) the target says no more of where to look than any other
FAR_OFF = 50.0
#: of the search at most; where a larger size begins to pay, the loss falls off a cliff
STEPS = 150
#: points of the probability curve
POINTS = 33


@dataclass(frozen=True, eq=False, repr=False)
class Target:
    """What a target loss takes.

    Attributes
    ----------
    loss : the target, nats per token. rates : what turns FLOP into money.
    budget : FLOP needed with the optimum known: ``median``, ``lo50``, ``hi50``, ``lo90``, ``hi90``; infinite where that
        share of the draws cannot reach it.
    unreachable : probability that no budget up to 1e36 FLOP reaches the target.
    draws : (S,) FLOP needed by every draw; infinite where it cannot be reached.
    curve : P(reached) against budget: ``flops``, ``p`` with the size of least expected loss at that budget trained,
        ``p_best`` with the optimum known.
    notes : sentences a reader should know.
    """

    loss: float
    rates: Rates
    budget: dict[str, float]
    unreachable: float
    draws: np.ndarray
    curve: pd.DataFrame
    reach: Reach
    notes: tuple[str, ...] = ()

    def probability(self, flops: float) -> float:
        """P(reached) with a budget, the size chosen by expected loss; between the curve's points by interpolation."""
        return float(np.interp(np.log(flops), np.log(self.curve["flops"]), self.curve["p"]))

    def __str__(self) -> str:
        b = self.budget
        takes = self.rates.say(b["median"]) if np.isfinite(b["median"]) else "no budget"
        return "\n".join(
            [
                f"A loss of {self.loss:g} takes {takes}",
                f"  50 % {human(b['lo50'])} - {human(b['hi50'])}   90 % {human(b['lo90'])} - {human(b['hi90'])} FLOP",
                f"  below what any budget reaches with probability {self.unreachable:.2g}",
                *self.notes,
            ]
        )


def target(
    fit: Fit,
    loss: float,
    *,
    group: str | None = None,
    rates: Rates | None = None,
    limits: Limits | Mapping[str, Any] | None = None,
    cost: str = "measured",
    recurrent_share: float | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> Target:
    """The budget that a target loss takes.

    ``loss`` is the law's, in nats per token; the other arguments are those of ``plan``.

    Raises
    ------
    PlanError
        The target is no loss, the law says nothing of budgets, or the rates are of no device.
    TargetError
        More likely than not, the target is below the irreducible loss; ``.probability`` says how likely.
    """
    bound, known = Limits.of(limits), settled(rates)
    surface = Surface(fit, group, recurrent_share=recurrent_share, draws=draws, seed=seed)
    price = cost_of(surface, cost)
    needed = budgets_for(surface, price, bound, loss)
    refuse(loss, needed)
    found = {k: float(v) for k, v in bands(needed).items() if k != "mean"}
    reach = reach_of(surface, price)
    notes = [*surface.notes]
    if np.isfinite(found["median"]):
        notes.append(reach.say(target=loss, flops=found["median"]))
    curve = _curve(surface, price, bound, loss, needed)
    return Target(loss, known, found, float(np.isinf(needed).mean()), needed, curve, reach, tuple(notes))


def refuse(loss: float, needed: np.ndarray) -> None:
    """Raise TargetError if more than half of the draws cannot reach the target."""
    gone = float(np.isinf(needed).mean())
    if gone > 0.5:
        raise TargetError(
            f"A loss of {loss:g} is below what any budget reaches with probability {gone:.3g}: the irreducible loss, "
            f"or a limit, stands above it. Ask for a higher loss, or change what the limits hold fixed.",
            gone,
        )


def budgets_for(surface: Surface, cost: Cost, limits: Limits, loss: float) -> np.ndarray:
    """FLOP (S,) at which each draw's optimum has the target loss; infinite where it never does.

    None is below the smallest budget that pays for a size and for serving it.
    False position on log C with the Illinois rule, on the log of the loss, which is smooth and falls. PlanError if
    ``loss`` is none.
    """
    if not (np.isfinite(loss) and loss > 0):
        raise PlanError(f"A target loss is a number of nats per token above 0, not {loss!r}.")

    def miss(log_c: np.ndarray) -> np.ndarray:
        return np.minimum(np.log(optimum(surface, cost, 10.0**log_c, limits).loss / loss), FAR_OFF)

    first = _first(surface, cost, limits)
    low, high = np.full(surface.count, first), np.full(surface.count, SPAN[1])
    f_low, f_high = miss(low), miss(high)
    never, at_once = f_high > 0, f_low <= 0
    for _ in range(STEPS):
        middle = np.where(
            f_low > f_high, low + (high - low) * f_low / np.where(f_low > f_high, f_low - f_high, 1.0), high
        )
        middle = np.clip(middle, low, high)
        f = miss(middle)
        above = f > 0
        # a side that stays put counts half the next time
        f_low, f_high = np.where(above, f, f_low / 2), np.where(above, f_high / 2, f)
        low, high = np.where(above, middle, low), np.where(above, high, middle)
        if bool((never | at_once | (np.abs(f) < 1e-9)).all()):
            break
    return np.where(never, np.inf, 10.0 ** np.where(at_once, first, middle))


def _first(surface: Surface, cost: Cost, limits: Limits) -> float:
    """log10 FLOP of the smallest budget considered."""
    return max(SPAN[0], float(np.log10(least_budget(surface, cost, limits))))


def _curve(surface: Surface, cost: Cost, limits: Limits, loss: float, needed: np.ndarray) -> pd.DataFrame:
    finite = needed[np.isfinite(needed)]
    low, high = np.quantile(np.log10(finite), [0.005, 0.995])
    rows = []
    least = np.log10(least_budget(surface, cost, limits))
    for budget in np.logspace(max(low - 0.3, least), high + 0.5, POINTS):
        best = optimum(surface, cost, budget, limits)
        one = choose(surface, cost, limits, budget, best)
        got = loss_at(surface, cost, limits, budget, np.array([[one.n_params]]), one.recurrence)[:, 0]
        rows.append({"flops": budget, "p": float((got <= loss).mean()), "p_best": float((best.loss <= loss).mean())})
    return pd.DataFrame(rows)
