"""The loss laws: ``LAWS`` by name, :func:`get_law`, how to write one in ``base.py``; :func:`register` adds yours."""

from __future__ import annotations

from typing import TypeVar

from bayeslaw.errors import CardError, meant, nearest
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
from bayeslaw.laws.register import checked
from bayeslaw.laws.schedule import Schedule

L = TypeVar("L", bound=Law | type[Law])

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

__all__ = ["LAWS", "Law", "Schedule", "Symbol", "get_law", "register"]


def get_law(name: str) -> Law:
    """The law called ``name``; CardError, with the nearest names, if there is none."""
    try:
        return LAWS[name]
    except KeyError:
        hint = meant(nearest(name, LAWS, most=3, cutoff=0.5))
        raise CardError(f"No law is called {name!r}.{hint} The laws are {', '.join(LAWS)}.") from None


def register(law: L) -> L:
    """Make a law of your own known, so that model cards can name it. Also a decorator of the class.

    The law lives as long as the Python process: register it before loading a fit that was made with it. A backtest in
    several processes takes it along. A changed law needs a new name or a new process, because compiled programs are
    kept by name.

    Parameters
    ----------
    law : a :class:`Law` or its class, see ``bayeslaw/laws/base.py`` for how to write one. Its terms are in nats.

    Returns
    -------
    What was given, so that it decorates a class. The law is in ``LAWS`` now, under its name.

    Raises
    ------
    CardError
        It breaks a rule of laws, or its name is taken.
    """
    made = checked(law, LAWS)
    LAWS[made.name] = made
    return law
