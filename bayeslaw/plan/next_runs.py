"""``next_runs``: which run, or which set of runs, to train next; and whether any is worth its price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayeslaw.data.units import human
from bayeslaw.errors import PlanError
from bayeslaw.fit import Fit
from bayeslaw.plan.budget import Rates, parse_budget
from bayeslaw.plan.candidates import Candidates, candidates
from bayeslaw.plan.costs import cost_of
from bayeslaw.plan.design import Joint, exhaustive, greedy
from bayeslaw.plan.optimum import Limits, optimum
from bayeslaw.plan.surface import Surface
from bayeslaw.plan.value import Waste, saving, waste

#: draws over which variances and values are averaged
DRAWS = 1000


@dataclass(frozen=True, eq=False, repr=False)
class NextRuns:
    """What to train next.

    Attributes
    ----------
    frame : one row per candidate, in the table's order: its columns, ``flops`` (cost), ``reduction`` (share of the
        variance of the target's log loss that it takes away alone), ``saving`` (expected, of the big run, FLOP),
        ``net`` (saving less cost, FLOP), ``chosen`` (in the set).
    chosen : names of the chosen set, in the order of choice; empty if none is worth it.
    reduction, saving, cost : of the set: share of variance, FLOP, FLOP.
    mistake : expected waste of the big run as things stand, FLOP.
    flops : the big run's budget. rates : what turns FLOP into money. by : ``"value"`` or ``"variance"``.
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
    notes: tuple[str, ...] = ()

    @property
    def net(self) -> float:
        """Expected saving of the big run less the price of the set, FLOP."""
        return self.saving - self.cost

    def _price(self, flops: float) -> str:
        money = self.rates.money(abs(flops))
        text = f"{human(abs(flops))} FLOP" if money is None else f"{human(money)} in money ({human(abs(flops))} FLOP)"
        return text if flops >= 0 else f"minus {text}"

    def __str__(self) -> str:
        head = f"Big run of {self.rates.say(self.flops)}: its size is expected to waste {self._price(self.mistake)}"
        if not self.chosen:
            return "\n".join([head, "Next runs: none. No candidate saves what it costs.", *self.notes])
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
    table: pd.DataFrame,
    flops: float | str,
    *,
    budget: float | str | None = None,
    by: str = "value",
    group: str | None = None,
    rates: Rates | None = None,
    limits: Limits | Mapping[str, Any] | None = None,
    search: str = "greedy",
    seed: int = 0,
) -> NextRuns:
    """Choose the runs to train before a big one.

    Parameters
    ----------
    fit : what is known so far.
    table : candidates, one a row: two of n_params, tokens and flops; run, group, recurrence where they apply.
    flops : the big run's budget, a number or words, see ``parse_budget``.
    budget : what the small runs may cost together; by default a tenth of the big run.
    by : ``"value"``: the set of most expected saving less cost, none if that is below 0. ``"variance"``: the set that
        most narrows the loss at the big run's optimum, whatever it costs within the budget.
    group : the group that the big run belongs to. rates, limits : as in ``plan``.
    search : ``"greedy"``, or ``"exhaustive"`` for up to 15 candidates. seed : of the posterior draws taken.

    Values and variances are the model's own: they take the law to hold from the cheapest candidate to the big run.
    Where public runs leave the law, choosing so did worse than chance (benchmarks/planning.md).

    Returns
    -------
    NextRuns. ``print`` it; ``frame`` has a row per candidate, costs and savings in FLOP.

    Raises
    ------
    PlanError
        A candidate lacks two of C, N and D, or a budget is none.
    """
    if by not in ("value", "variance") or search not in ("greedy", "exhaustive"):
        raise PlanError(f"by is 'value' or 'variance' and search 'greedy' or 'exhaustive'; got {by!r} and {search!r}.")
    bound = Limits.of(limits)
    big, known = parse_budget(flops, rates)
    small = big / 10 if budget is None else parse_budget(budget, known)[0]
    surface = Surface(fit, group, draws=DRAWS, seed=seed)
    surfaces = {group: surface}
    runs = candidates(fit, table, surfaces, draws=DRAWS)
    if search == "exhaustive" and len(runs) > 15:
        raise PlanError(f"An exhaustive search tries every set: at most 15 candidates, not {len(runs)}. Use greedy.")
    cost = cost_of(surface)
    best = optimum(surface, cost, big, bound)
    target = np.log(surface.loss(np.median(best.n_params), np.median(best.tokens), float(np.median(best.recurrence))))
    joint = Joint.of(target, runs.log_loss, runs.covariance())
    wasted = waste(surface, cost, bound, big)
    worth = _Worth(wasted, runs, big, seed)
    find = greedy if search == "greedy" else exhaustive
    if by == "variance":
        chosen = find(joint.reduction, runs.cost, small)
    elif search == "exhaustive":
        chosen = exhaustive(worth.net, runs.cost, small)
    else:
        chosen = _trim(worth, greedy(worth.saving, runs.cost, small))
    notes = list(surface.notes)
    # the set was picked among many noisy estimates: what it is worth is estimated anew
    again = _Worth(wasted, runs, big, seed + 1)
    if by == "value" and chosen and again.net(chosen) <= 0:
        chosen = []
    frame: Any = runs.frame.copy()
    frame["reduction"] = [joint.reduction([i]) for i in range(len(runs))]
    frame["saving"] = [worth.saving([i]) for i in range(len(runs))]
    frame["net"] = frame["saving"] - frame["flops"]
    frame["chosen"] = [i in chosen for i in range(len(runs))]
    return NextRuns(
        frame,
        tuple(str(frame["run"][i]) for i in chosen),
        joint.reduction(chosen),
        again.saving(chosen),
        float(runs.cost[chosen].sum()) if chosen else 0.0,
        wasted.now[1] * big,
        big,
        known,
        by,
        tuple(notes),
    )


class _Worth:
    """Savings of sets of candidates in FLOP, remembered: common random numbers make them comparable."""

    def __init__(self, wasted: Waste, runs: Candidates, flops: float, seed: int) -> None:
        self.wasted, self.runs, self.flops, self.seed = wasted, runs, flops, seed
        self.known: dict[tuple[int, ...], float] = {}

    def saving(self, chosen: Any) -> float:
        key = tuple(sorted(chosen))
        if key not in self.known:
            self.known[key] = self.flops * saving(self.wasted, self.runs, key, self.seed)
        return self.known[key]

    def net(self, chosen: Any) -> float:
        at = list(chosen)
        return self.saving(at) - (float(self.runs.cost[at].sum()) if at else 0.0)


def _trim(worth: _Worth, chosen: list[int]) -> list[int]:
    """The beginning of a greedy order with the most net value: later runs cost more than they add."""
    return max((chosen[:i] for i in range(len(chosen) + 1)), key=worth.net)
