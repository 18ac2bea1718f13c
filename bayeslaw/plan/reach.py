"""How far a plan leaves the data behind, in decades and in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayeslaw.data.units import human
from bayeslaw.errors import PlanError
from bayeslaw.plan.costs import Cost, unrolled_of
from bayeslaw.plan.isoflop import sweeps
from bayeslaw.plan.surface import Surface

#: less than this beyond the data is not worth a word, and more is hardly what was meant; decades
LITTLE, FAR = 0.05, 4.0
#: a run to buy further than this from the runs fitted in parameters or tokens is worth a word; decades
ONE = 1.0
#: laws whose profiles' walls decide where the optimum goes, and from how many budgets on the runs could tell instead
ADDITIVE, SWEEPS = ("chinchilla", "chinchilla-interaction"), 3
#: what the ranges are of, in words
NAMES = {"flops": "compute", "n_params": "parameters", "tokens": "tokens"}


@dataclass(frozen=True)
class Reach:
    """Ranges of the runs fitted: (lowest, highest) compute in FLOP, parameters and tokens."""

    flops: tuple[float, float]
    n_params: tuple[float, float]
    tokens: tuple[float, float]

    def decades(self, **values: float) -> dict[str, float]:
        """Decades by which each value lies beyond the data: above if positive, below if negative, else 0."""
        out = {}
        for name, value in values.items():
            low, high = getattr(self, name)
            out[name] = float(max(np.log10(value / high), 0.0) + min(np.log10(value / low), 0.0))
        return out

    def say(self, *, target: float | None = None, **values: float) -> str:
        """One sentence on how far the values lie outside the data; ``target`` is the loss that the compute is for."""
        far = [
            f"{abs(d):.1f} decades {'above' if d > 0 else 'below'} in {NAMES[name]}"
            for name, d in self.decades(**values).items()
            if abs(d) > LITTLE
        ]
        if not far:
            return f"Inside the range of the runs fitted in {', '.join(NAMES[name] for name in values)}."
        said = f"Beyond the runs fitted: {', '.join(far)}. There the bands assume that the law goes on as it is."
        return " ".join([said, *self.doubts(values["flops"], target)]) if "flops" in values else said

    def far(self, frame: pd.DataFrame, names: Sequence[str]) -> list[str]:
        """A sentence on the runs of these ``names`` (rows of ``frame``) that lie far from the runs fitted."""
        there: Any = frame[frame["run"].astype(str).isin(names)]
        said = []
        for name, n, d in zip(there["run"], there["n_params"], there["tokens"], strict=True):
            most = max(self.decades(n_params=n, tokens=d).items(), key=lambda pair: abs(pair[1]))
            if abs(most[1]) > ONE:
                way = "above" if most[1] > 0 else "below"
                said.append(f"{name} ({abs(most[1]):.1f} decades {way} in {NAMES[most[0]]})")
        if not said:
            return []
        return [f"Far from the runs fitted: {', '.join(said)}. What they tell rests on the law holding there."]

    def doubts(self, flops: float, target: float | None = None) -> list[str]:
        """A sentence that asks whether a budget was meant, or a target, if ``FAR`` decades and more beyond the data."""
        if abs(self.decades(flops=flops)["flops"]) <= FAR:
            return []
        if target is not None:
            return [f"Is a loss of {target:g} meant? It takes {flops:.3g} FLOP, and {self.took}."]
        return [f"Is the budget meant? It is {flops:.3g} FLOP, and {self.took}."]

    @property
    def took(self) -> str:
        """What the runs fitted took, in words."""
        return f"the runs fitted took {self.flops[0]:.3g} - {self.flops[1]:.3g} FLOP"

    def refuse(self, flops: float, n_params: np.ndarray, ends: tuple[float, float]) -> None:
        """PlanError if a budget is that far off and most draws' best sizes (S,) lie at the ``ends`` of all sizes."""
        stuck = (n_params < 1.01 * ends[0]) | (n_params > 0.99 * ends[1])
        d = self.decades(flops=flops)["flops"]
        if abs(d) > FAR and stuck.mean() > 0.5:
            raise PlanError(
                f"A budget of {flops:.3g} FLOP cannot be planned for: {self.took}, {abs(d):.1f} decades "
                f"{'below' if d > 0 else 'above'}, and its best size is none between {human(ends[0])} and "
                f"{human(ends[1])} parameters."
            )


def reach_of(surface: Surface, cost: Cost) -> Reach:
    """The ranges that a fit's own runs (of the surface's group) cover."""
    bins: Any = surface.problem.bins
    if surface.group is not None and "group" in bins:
        bins = bins[bins["group"].astype(str) == surface.group]
    n = bins["n_params"].to_numpy(float) if "n_params" in bins else unrolled_of(surface, bins)
    tokens = bins["tokens"].to_numpy(float)
    flops = cost.per_token(unrolled_of(surface, bins)) * tokens
    if "flops" in bins:
        flops = np.where(bins["flops"] > 0, bins["flops"], flops)
    return Reach(*((float(v.min()), float(v.max())) for v in (flops, n, tokens)))


def unseen(surface: Surface, recurrence: float) -> list[str]:
    """A sentence on a recurrence outside those of the runs fitted, of the surface's group where it is named."""
    bins: Any = surface.problem.bins
    if surface.group is not None and "group" in bins:
        bins = bins[bins["group"].astype(str) == surface.group]
    if not surface.looped or bins["recurrence"].min() <= recurrence <= bins["recurrence"].max():
        return []
    low, high = float(bins["recurrence"].min()), float(bins["recurrence"].max())
    whose = "" if surface.group is None else f" of {surface.group}"
    return [
        f"{recurrence:g} recurrent steps are outside those of the runs fitted{whose}, {low:g} to {high:g}. There the "
        "bands assume that the law goes on as it is."
    ]


def additive(surface: Surface, told: bool) -> list[str]:
    """What plans by a law whose terms of N and D add up owe their readers; ``told``: what a misfit leaves is said."""
    if surface.law.name not in ADDITIVE:
        return []
    notes = []
    found = sweeps(surface.problem.bins, surface.group) if surface.layout.likelihood == "points" else 0
    if found >= SWEEPS:
        notes.append(
            f"The runs are sweeps at {found} budgets. Model isoflop lets every budget stray, and its intervals of N* "
            "held where this model's were too narrow (benchmarks/planning.md)."
        )
    if not told:
        notes.append(
            "The intervals take the law to hold everywhere. Of budgets held back from public runs hardly any had its "
            "best size within them (benchmarks/planning.md): misfit=Misfit() (--misfit 0.08) tells what is left where "
            "losses stray from the law."
        )
    return notes
