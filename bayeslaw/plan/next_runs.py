"""``next_runs``: which run, or which set of runs, to train next; and whether any is worth its price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from bayeslaw.data.runs import Runs
from bayeslaw.data.units import human
from bayeslaw.errors import PlanError
from bayeslaw.fit import Fit
from bayeslaw.plan import strayed
from bayeslaw.plan.budget import Rates, parse_budget, settled
from bayeslaw.plan.candidates import Candidates, candidates, of_target, read_table, unknown_groups
from bayeslaw.plan.costs import cost_of
from bayeslaw.plan.design import Joint, exhaustive, greedy, paid
from bayeslaw.plan.limits import SIZES, Limits
from bayeslaw.plan.misfit import Held, Misfit
from bayeslaw.plan.optimum import favoured
from bayeslaw.plan.reach import reach_of
from bayeslaw.plan.surface import Surface
from bayeslaw.plan.value import Waste, by_the_fit_alone, saving, waste

#: draws over which variances and values are averaged
DRAWS = 2000
#: outcomes imagined per draw, by the search among many sets and by the estimate that decides and is told
SEARCHED, DECIDING = 2, 32
DEFAULT_MISFIT = Misfit()


@dataclass(frozen=True, eq=False, repr=False)
class NextRuns:
    """What to train next.

    Attributes
    ----------
    frame : one row per candidate, in the table's order: its columns, ``flops`` (cost), ``reduction`` (share of the
        variance of the target's log loss that it takes away alone), ``saving`` (expected, of the big run, FLOP),
        ``net`` (saving less cost, FLOP), ``chosen`` (in the set). By value, none is chosen only if no ``net`` within
        the budget is above 0.
    chosen : names of the chosen set, in the order of choice; empty if none is worth it.
    reduction, saving, cost : of the set: share of variance, FLOP, FLOP.
    mistake : expected waste of the big run as things stand, FLOP.
    flops : the big run's budget. rates : what turns FLOP into money. by : ``"value"`` or ``"variance"``.
    budget : what the small runs may cost together, FLOP.
    """

    frame: pd.DataFrame
    chosen: tuple[str, ...]
    reduction: float
    saving: float
    cost: float
    mistake: float
    flops: float
    rates: Rates
    by: str
    budget: float
    notes: tuple[str, ...] = ()

    @property
    def net(self) -> float:
        """Expected saving of the big run less the price of the set, FLOP."""
        return self.saving - self.cost

    def _price(self, flops: float) -> str:
        money = self.rates.money(abs(flops))
        text = f"{human(abs(flops))} FLOP" if money is None else f"{human(money)} in money ({human(abs(flops))} FLOP)"
        return text if flops >= 0 else f"minus {text}"

    def _why_none(self) -> str:
        cost = self.frame["flops"].to_numpy(float)
        within = paid(cost, self.budget)
        if not within.any():
            name, least = self.frame["run"].iloc[int(cost.argmin())], self._price(float(cost.min()))
            return f"The cheapest candidate, {name}, costs {least}, more than the budget of {self._price(self.budget)}."
        if self.by == "variance":
            return "No candidate within the budget tells anything of the loss at the target."
        worth = ", ".join(str(name) for name in self.frame.loc[self.frame["net"] > 0, "run"])
        beyond = f" within the budget of {self._price(self.budget)}" if worth else ""
        return f"No candidate{beyond} saves what it costs{f'; beyond it {worth} would' if worth else ''}."

    def __str__(self) -> str:
        head = f"Big run of {self.rates.say(self.flops)}: its size is expected to waste {self._price(self.mistake)}"
        if not self.chosen:
            return "\n".join([head, f"Next runs: none. {self._why_none()}", *self.notes])
        names = ", ".join(self.chosen)
        return "\n".join(
            [
                head,
                f"Next runs: {names}",
                f"  cost {self._price(self.cost)}, expected saving {self._price(self.saving)}, "
                f"net {self._price(self.net)}",
                f"  the variance of the loss at the target falls by {self.reduction:.0%}",
                *self.notes,
            ]
        )


def next_runs(
    fit: Fit,
    table: pd.DataFrame | Runs,
    flops: float | str,
    *,
    budget: float | str | None = None,
    by: str = "value",
    group: str | None = None,
    rates: Rates | None = None,
    limits: Limits | Mapping[str, Any] | None = None,
    search: str = "greedy",
    misfit: Misfit | None = DEFAULT_MISFIT,
    seed: int = 0,
) -> NextRuns:
    """Choose the runs to train before a big one.

    Parameters
    ----------
    fit : what is known so far.
    table : candidates, one a row, a DataFrame or Runs: two of n_params, tokens and flops; run, group, recurrence where
        they apply. A row without a group is of the big run's.
    flops : the big run's budget, a number or words, see ``parse_budget``.
    budget : what the small runs may cost together; by default a tenth of the big run.
    by : ``"value"``: the set of most expected saving less cost, none if that is below 0. ``"variance"``: the set that
        most narrows the loss at the big run's optimum, whatever it costs within the budget.
    group : the group that the big run belongs to; by default, where several were fitted, a new one. A candidate's group
        that was not fitted is a new one of its own. rates, limits : as in ``plan``.
    search : ``"greedy"``, or ``"exhaustive"`` for up to 15 candidates. seed : of all that is drawn.
    misfit : how far losses stray from the law, and over which distances in N and D (Gaussian process about the law,
        Kennedy and O'Hagan 2001): runs far from the target then tell less of it than runs near it, and the law's
        posterior is widened to match. None takes the law to hold everywhere, as the fit does, which public runs do not
        bear out (benchmarks/planning.md).

    Returns
    -------
    NextRuns. ``print`` it; ``frame`` has a row per candidate, costs and savings in FLOP.

    Raises
    ------
    PlanError
        A candidate lacks two of C, N and D, has three that do not agree, or another's name, or is no language model by
        the law; a budget is none, or of another device than the rates; the law says nothing of budgets.
    """
    if by not in ("value", "variance") or search not in ("greedy", "exhaustive"):
        raise PlanError(f"by is 'value' or 'variance' and search 'greedy' or 'exhaustive'; got {by!r} and {search!r}.")
    rows = of_target(table, group)
    if search == "exhaustive" and len(rows) > 15:
        raise PlanError(f"An exhaustive search tries every set: at most 15 candidates, not {len(rows)}. Use greedy.")
    rows = read_table(fit, rows)
    bound = Limits.of(limits)
    big, known = parse_budget(flops, rates)
    small, other = (big / 10, known) if budget is None else parse_budget(budget, known)
    # a device that the one text names turns the other's FLOP into money, too
    known = settled(rates, known if known.peak is not None else other)
    held = None if misfit is None else Held(fit, misfit, DRAWS, seed)
    z = None if held is None else held.z
    surface = Surface(fit, group, draws=DRAWS, seed=seed, z=z)
    runs = candidates(fit, rows, {group: surface}, DRAWS, z, seed)
    cost = cost_of(surface)
    best, reach = favoured(surface, cost, big, bound), reach_of(surface, cost)
    reach.refuse(big, best.n_params, SIZES)
    at = {k: float(np.median(getattr(best, k))) for k in ("n_params", "tokens", "recurrence")}
    target = np.log(surface.loss(at["n_params"], at["tokens"], at["recurrence"]))
    if held is None:
        joint = Joint.of(target, runs.log_loss, runs.covariance())
        wasted = waste(surface, cost, bound, big)
    else:
        joint = strayed.moments(held, pd.DataFrame([at]), group, target, runs)
        wasted, strays = strayed.waste(held, surface, cost, bound, big, strayed.places_of_runs(held, runs), seed)
        runs = replace(runs, log_loss=runs.log_loss + strays)
    worth = _Worth(wasted, runs, big, seed, SEARCHED)
    if by == "variance":
        quick = search == "greedy"
        chosen = joint.within(runs.cost, small) if quick else exhaustive(joint.reduction, runs.cost, small)
    elif search == "exhaustive":
        chosen = exhaustive(worth.net, runs.cost, small)
    else:
        chosen = greedy(worth.saving, runs.cost, small)
    notes = [*surface.notes, *_of_groups(fit, group, runs.frame), *reach.doubts(big)]
    # the set was picked among many noisy estimates: what it and its runs are worth is estimated anew, and that decides
    again = _Worth(wasted, runs, big, seed + 1, DECIDING)
    if by == "value":
        ends = range(1 if search == "greedy" else len(chosen), len(chosen) + 1)
        alone = [[int(i)] for i in np.flatnonzero(paid(runs.cost, small))]
        chosen = max([[], *(chosen[:i] for i in ends), *alone], key=again.net)
    names = tuple(str(runs.frame["run"][i]) for i in chosen)
    notes += reach.far(runs.frame, names)
    if held is not None:
        notes += by_the_fit_alone(Surface(fit, group, draws=DRAWS, seed=seed), cost, bound, big, wasted)
    frame: Any = runs.frame.copy()
    frame["reduction"] = [joint.reduction([i]) for i in range(len(runs))]
    frame["saving"] = [again.saving([i]) for i in range(len(runs))]
    frame["net"] = frame["saving"] - frame["flops"]
    frame["chosen"] = [i in chosen for i in range(len(runs))]
    return NextRuns(
        frame,
        names,
        joint.reduction(chosen),
        again.saving(chosen),
        float(runs.cost[chosen].sum()) if chosen else 0.0,
        wasted.now[1] * big,
        big,
        known,
        by,
        small,
        tuple(notes),
    )


def _of_groups(fit: Fit, group: str | None, frame: pd.DataFrame) -> list[str]:
    """A sentence on candidates whose groups were not fitted: what they tell is mostly of their own group."""
    new = unknown_groups(fit, frame)
    if not new:
        return []
    here = "" if group is not None else " Runs of the new group that is planned for have no group in the table."
    return [f"No run fitted is of {', '.join(map(repr, new))}: each is taken for a new group of its own.{here}"]


class _Worth:
    """Savings of sets of candidates in FLOP, remembered: common random numbers make them comparable."""

    def __init__(self, wasted: Waste, runs: Candidates, flops: float, seed: int, times: int) -> None:
        self.wasted, self.runs, self.flops, self.seed, self.times = wasted, runs, flops, seed, times
        self.known: dict[tuple[int, ...], float] = {}

    def saving(self, chosen: Any) -> float:
        key = tuple(sorted(chosen))
        if key not in self.known:
            self.known[key] = self.flops * saving(self.wasted, self.runs, key, self.seed, self.times)
        return self.known[key]

    def net(self, chosen: Any) -> float:
        at = list(chosen)
        return self.saving(at) - (float(self.runs.cost[at].sum()) if at else 0.0)
