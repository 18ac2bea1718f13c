"""bayeslaw: Bayesian, uncertainty-aware loss forecasts for pretraining runs.

    import bayeslaw as bl

    runs = bl.load("runs.csv")
    fit = bl.fit(runs, model="chinchilla", seed=0)
    band = bl.forecast(fit, at=future, given=prefix)

Importing the package is cheap: JAX, pandas and matplotlib are imported by the first call that needs them.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bayeslaw import cards as cards
    from bayeslaw import datasets as datasets
    from bayeslaw import errors as errors
    from bayeslaw import laws as laws
    from bayeslaw import live as live
    from bayeslaw.anomalies import Anomalies as Anomalies
    from bayeslaw.anomalies import Monitor as Monitor
    from bayeslaw.anomalies import anomalies as anomalies
    from bayeslaw.backtest import backtest as backtest
    from bayeslaw.backtest_result import Backtest as Backtest
    from bayeslaw.cards import Card as Card
    from bayeslaw.cards import load_card as load_card
    from bayeslaw.compare import compare as compare
    from bayeslaw.data.bins import Bins as Bins
    from bayeslaw.data.runs import Runs as Runs
    from bayeslaw.errors import BayeslawError as BayeslawError
    from bayeslaw.fit import Fit as Fit
    from bayeslaw.fit import fit as fit
    from bayeslaw.forecast import Band as Band
    from bayeslaw.forecast import forecast as forecast
    from bayeslaw.laws import LAWS as LAWS
    from bayeslaw.onward import Choice as Choice
    from bayeslaw.onward import ahead as ahead
    from bayeslaw.onward import suggest as suggest
    from bayeslaw.plan import Plan as Plan
    from bayeslaw.plan import plan as plan
    from bayeslaw.plan.next_runs import next_runs as next_runs
    from bayeslaw.readers import load as load
    from bayeslaw.report import report as report
    from bayeslaw.storage import load_fit as load_fit
    from bayeslaw.whatif import what_if as what_if

__version__ = "0.1.0"

#: public name -> the module that defines it; a module that is itself public maps to None.
_HOME: dict[str, str | None] = {
    "Anomalies": "bayeslaw.anomalies",
    "Backtest": "bayeslaw.backtest_result",
    "Band": "bayeslaw.forecast",
    "BayeslawError": "bayeslaw.errors",
    "Bins": "bayeslaw.data.bins",
    "Card": "bayeslaw.cards",
    "Choice": "bayeslaw.onward",
    "Fit": "bayeslaw.fit",
    "LAWS": "bayeslaw.laws",
    "Monitor": "bayeslaw.anomalies",
    "Plan": "bayeslaw.plan",
    "Runs": "bayeslaw.data.runs",
    "ahead": "bayeslaw.onward",
    "anomalies": "bayeslaw.anomalies",
    "backtest": "bayeslaw.backtest",
    "cards": None,
    "compare": "bayeslaw.compare",
    "datasets": None,
    "errors": None,
    "fit": "bayeslaw.fit",
    "forecast": "bayeslaw.forecast",
    "laws": None,
    "live": None,
    "load": "bayeslaw.readers",
    "load_card": "bayeslaw.cards",
    "load_fit": "bayeslaw.storage",
    "next_runs": "bayeslaw.plan.next_runs",
    "plan": "bayeslaw.plan",
    "report": "bayeslaw.report",
    "suggest": "bayeslaw.onward",
    "what_if": "bayeslaw.whatif",
}

__all__ = [*_HOME, "__version__"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'bayeslaw' has no attribute {name!r}")
    home = _HOME[name]
    if home is None:
        return import_module(f"bayeslaw.{name}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """A package whose verbs stay verbs.

    Importing the submodule ``bayeslaw.fit`` makes Python set ``bayeslaw.fit`` to that module; here the function of
    the same name takes its place, so that ``bayeslaw.fit(runs)`` works whatever was imported before.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType) and _HOME.get(name) == value.__name__:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
