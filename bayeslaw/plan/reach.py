"""How far a plan leaves the data behind, in decades and in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bayeslaw.plan.costs import Cost, unrolled_of
from bayeslaw.plan.surface import Surface

#: less than this beyond the data is not worth a word, decades
LITTLE = 0.05


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

    def say(self, **values: float) -> str:
        """One sentence on how far the values lie outside the data."""
        names = {"flops": "compute", "n_params": "parameters", "tokens": "tokens"}
        far = [
            f"{abs(d):.1f} decades {'above' if d > 0 else 'below'} in {names[name]}"
            for name, d in self.decades(**values).items()
            if abs(d) > LITTLE
        ]
        if not far:
            return f"Inside the range of the runs fitted in {', '.join(names[name] for name in values)}."
        return f"Beyond the runs fitted: {', '.join(far)}. There the bands assume that the law goes on as it is."


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
