"""Loops or parameters: recurrences compared at equal training compute, equal inference compute, or equal size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from bayeslaw.data.units import human
from bayeslaw.errors import PlanError
from bayeslaw.fit import Fit
from bayeslaw.plan.budget import parse_budget
from bayeslaw.plan.costs import cost_of
from bayeslaw.plan.decision import bands
from bayeslaw.plan.limits import Limits
from bayeslaw.plan.optimum import loss_at, optimum, recurrences_of, tokens_for
from bayeslaw.plan.reach import reach_of, unseen
from bayeslaw.plan.surface import Surface

EQUAL = ("training", "inference", "parameters")


@dataclass(frozen=True, eq=False, repr=False)
class TradeOff:
    """Recurrences side by side.

    Attributes
    ----------
    frame : one row per recurrence: ``recurrence``, median ``n_params`` and ``tokens``, the loss's ``mean`` ... ``hi90``
        (nats), ``p_best`` (probability of being the best of the rows), ``p_beats_plain`` (of beating the lowest
        recurrence, which is 1 where there are models without loops), ``gain`` (median loss below that one's).
    equal : what is held equal. flops : the training budget. p_looped : probability that some loop beats no loop.
    """

    frame: pd.DataFrame
    equal: str
    flops: float
    p_looped: float
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        what = self.equal if self.equal == "parameters" else f"{self.equal} compute"
        lines = [f"Equal {what}, {human(self.flops)} FLOP of training"]
        for row in self.frame.to_dict(orient="records"):
            lines.append(
                f"  r = {row['recurrence']:g}: N {human(row['n_params'])}, D {human(row['tokens'])}, loss "
                f"{row['median']:.4f} (90 % {row['lo90']:.4f} - {row['hi90']:.4f}), best with probability "
                f"{row['p_best']:.2f}"
            )
        plain = self.frame["recurrence"].iloc[0]
        lines.append(f"Some loop beats r = {plain:g} with probability {self.p_looped:.2f}.")
        return "\n".join([*lines, *self.notes])


def trade_off(
    fit: Fit,
    flops: float | str,
    *,
    equal: str = "training",
    n_params: float | None = None,
    limits: Limits | Mapping[str, Any] | None = None,
    group: str | None = None,
    recurrent_share: float | None = None,
    draws: int = 2000,
    seed: int = 0,
) -> TradeOff:
    """Compare recurrences under one training budget.

    Parameters
    ----------
    fit : of iso-depth or looped-total. flops : the training budget.
    equal : ``"training"``: every recurrence at its own compute-optimal size. ``"inference"``: every model takes the
        FLOP per token of a plain model of ``n_params``, so that looped ones are smaller. ``"parameters"``: all have
        ``n_params``, so that looped ones see fewer tokens.
    n_params : the plain model's size for the latter two; by default its compute-optimal one (median).
    limits, group, recurrent_share : as in ``plan``.

    Raises
    ------
    PlanError
        The law knows no recurrence, there is one recurrence only, or ``equal`` is none of the three.
    """
    if equal not in EQUAL:
        raise PlanError(f"equal is one of {', '.join(EQUAL)}; got {equal!r}.")
    bound = Limits.of(limits)
    budget = parse_budget(flops)[0]
    surface = Surface(fit, group, recurrent_share=recurrent_share, draws=draws, seed=seed)
    if not surface.looped:
        raise PlanError(f"Model {fit.card.name} knows no recurrence: fit iso-depth or looped-total to compare loops.")
    loops = sorted(recurrences_of(surface, bound))
    if len(loops) < 2:
        raise PlanError(f"There is only recurrence {loops[0]:g} to choose: give limits={{'recurrences': (1, 2, 4)}}.")
    cost = cost_of(surface)
    if n_params is None and equal != "training":
        first = optimum(surface, cost, budget, replace(bound, recurrences=(loops[0],)))
        n_params = float(np.median(first.n_params))
    losses, rows = [], []
    for r in loops:
        if equal == "training":
            best = optimum(surface, cost, budget, replace(bound, recurrences=(r,)))
            n, d, loss = float(np.median(best.n_params)), float(np.median(best.tokens)), best.loss
        else:
            assert n_params is not None
            plain = surface.unrolled(n_params, loops[0])
            n = plain / surface.unrolled(1.0, r) if equal == "inference" else n_params
            d = float(tokens_for(surface, cost, bound, budget, n, r))
            loss = loss_at(surface, cost, bound, budget, np.array([[n]]), r)[:, 0]
        losses.append(loss)
        rows.append({"recurrence": r, "n_params": n, "tokens": d, **{k: float(v) for k, v in bands(loss).items()}})
    table = np.stack(losses, axis=1)
    frame = pd.DataFrame(rows)
    frame["p_best"] = np.bincount(table.argmin(axis=1), minlength=len(loops)) / len(table)
    frame["p_beats_plain"] = (table < table[:, :1]).mean(axis=0)
    frame["gain"] = np.median(table[:, :1] - table, axis=0)
    p = float((table[:, 1:].min(axis=1) < table[:, 0]).mean())
    middle = frame.iloc[int(frame["median"].argmin())]
    reach = reach_of(surface, cost)
    said = reach.say(flops=budget, n_params=float(middle["n_params"]), tokens=float(middle["tokens"]))
    beyond = [note for r in loops for note in unseen(surface, r)]
    return TradeOff(frame, equal, budget, p, (*surface.notes, said, *beyond))
