"""The loss laws: ``LAWS`` by name, :func:`get_law`, and how to add one in ``base.py``."""

from __future__ import annotations

import difflib

from bayeslaw.errors import CardError
from bayeslaw.laws.annealed import Annealed
from bayeslaw.laws.base import Law, Symbol
from bayeslaw.laws.chinchilla import Chinchilla
from bayeslaw.laws.chinchilla_interaction import ChinchillaInteraction
from bayeslaw.laws.iso_depth import IsoDepth
from bayeslaw.laws.isoflop import IsoFlop
from bayeslaw.laws.looped_depth import LoopedDepth
from bayeslaw.laws.looped_stepwise import LoopedStepwise
from bayeslaw.laws.looped_stepwise_exponential import LoopedStepwiseExponential
from bayeslaw.laws.looped_total import LoopedTotal
from bayeslaw.laws.multi_power import MultiPower
from bayeslaw.laws.power_law import PowerLaw, PowerLawSteps
from bayeslaw.laws.schedule import Schedule

LAWS: dict[str, Law] = {
    Chinchilla.name: Chinchilla(),
    ChinchillaInteraction.name: ChinchillaInteraction(),
    IsoFlop.name: IsoFlop(),
    LoopedTotal.name: LoopedTotal(),
    LoopedStepwise.name: LoopedStepwise(),
    LoopedStepwiseExponential.name: LoopedStepwiseExponential(),
    LoopedDepth.name: LoopedDepth(),
    IsoDepth.name: IsoDepth(),
    Annealed.name: Annealed(),
    MultiPower.name: MultiPower(),
    PowerLaw.name: PowerLaw(),
    PowerLawSteps.name: PowerLawSteps(),
}

__all__ = ["LAWS", "Law", "Schedule", "Symbol", "get_law"]


def get_law(name: str) -> Law:
    """The law called ``name``; CardError, with the nearest names, if there is none."""
    try:
        return LAWS[name]
    except KeyError:
        near = difflib.get_close_matches(str(name).lower().replace("_", "-"), LAWS, n=3, cutoff=0.5)
        meant = f" Did you mean {' or '.join(near)}?" if near else ""
        raise CardError(f"No law is called {name!r}.{meant} The laws are {', '.join(LAWS)}.") from None
