"""What everyone would try first: ``BASELINES`` by name, each a function from an ``Ask`` to predictive draws."""

from __future__ import annotations

from collections.abc import Callable

from bayeslaw.baselines.base import Answer, Ask, NotApplicable
from bayeslaw.baselines.chinchilla import chinchilla
from bayeslaw.baselines.last_value import last_value
from bayeslaw.baselines.multi_power import multi_power
from bayeslaw.baselines.overtraining import overtraining
from bayeslaw.baselines.power_law import power_law, power_law_lr
from bayeslaw.baselines.tissue import tissue
from bayeslaw.errors import FitError, meant, nearest

BASELINES: dict[str, Callable[[Ask], Answer]] = {
    "last value": last_value,
    "power law": power_law,
    "power law in lr": power_law_lr,
    "Tissue": tissue,
    "multi-power point": multi_power,
    "Chinchilla approach 3": chinchilla,
    "over-training law": overtraining,
}

__all__ = ["BASELINES", "Answer", "Ask", "NotApplicable", "get_baseline"]


def get_baseline(name: str) -> Callable[[Ask], Answer]:
    """The baseline called ``name``; FitError, with the names there are, if there is none."""
    if name not in BASELINES:
        hint = meant(nearest(name, BASELINES), "{!r}")
        raise FitError(f"No baseline is called {name!r}.{hint} There are {', '.join(map(repr, BASELINES))}.")
    return BASELINES[name]
