"""What a law of one's own must keep to before it joins the registry: asked once, so that a fit never stumbles on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bayeslaw.errors import CardError
from bayeslaw.laws.base import Law, Symbol

#: a plausible row, for trying a law out; a law of learning-rate schedules is not tried
ROW = {
    "n_params": 1e9, "n_params_once": 5e8, "n_params_recurrent": 5e8, "recurrence": 2.0, "exit_step": 2.0,
    "tokens": 2e10, "step": 1e4, "lr": 3e-4, "flops": 1.2e20, "grad_norm": 1.0,
}  # fmt: skip


def checked(law: Any, taken: Mapping[str, Law]) -> Law:
    """The law itself, if it keeps to the rules of ``laws/base.py``.

    Raises
    ------
    CardError
        It is no ``Law``, lacks a class variable, bears a name in ``taken``, reads columns that a row does not have, or
        its terms are not one per amplitude, each proportional to its own.
    """
    if isinstance(law, type) and issubclass(law, Law):
        if left := sorted(law.__abstractmethods__):
            raise CardError(f"Law {law.__name__} has no {left[0]}: write it (see bayeslaw/laws/base.py).")
        law = law()
    if not isinstance(law, Law):
        raise CardError(f"A law is an object of a subclass of bayeslaw.laws.Law, not {type(law).__name__}.")
    title = type(law).__name__
    for name in ("name", "title", "formula", "reference", "symbols", "covariates"):
        if not hasattr(law, name):
            raise CardError(f"Law {title} has no {name}: state it as a class variable (see bayeslaw/laws/base.py).")
    if law.name in taken:
        raise CardError(f"A law called {law.name!r} is there already: give yours another name.")
    symbols = {s.name: s for s in law.symbols if isinstance(s, Symbol)}
    amplitudes = {name for name, s in symbols.items() if s.kind == "amplitude"}
    if len(symbols) < len(law.symbols) or not amplitudes:
        raise CardError(f"Law {law.name}: symbols are Symbol records of different names, at least one an amplitude.")
    for what in ("gains", "along"):
        if wrong := set(getattr(law, what)) - amplitudes:
            raise CardError(f"Law {law.name}: {what} names {', '.join(sorted(wrong))}, which is no amplitude of it.")
    if "schedule" not in law.covariates:
        _try(law, symbols, amplitudes)
    return law


def _try(law: Law, symbols: Mapping[str, Symbol], amplitudes: set[str]) -> None:
    """Evaluate the law at one row: the terms' names, and that each is proportional to its amplitude."""
    unknown = [c for c in (*law.covariates, *law.optional) if c not in ROW]
    if unknown:
        raise CardError(f'Law {law.name} reads {unknown[0]!r}. A row has {", ".join(ROW)}, or "schedule".')
    row = {c: ROW[c] for c in (*law.covariates, *law.optional)}
    p = {name: _typical(s) for name, s in symbols.items()}
    try:
        terms = law.terms(p, row)
    except KeyError as error:
        raise CardError(
            f"Law {law.name}: its terms read {error}, which is no symbol of it and not among its covariates."
        ) from None
    if set(terms) != amplitudes:
        raise CardError(
            f"Law {law.name}: its terms are {', '.join(terms)}, its amplitudes {', '.join(sorted(amplitudes))}; there "
            f"must be one term of each amplitude's name."
        )
    for name in sorted(amplitudes):
        doubled = law.terms({**p, name: 2 * p[name]}, row)
        if not all(np.isclose(doubled[t], (2 if t == name else 1) * terms[t], rtol=1e-9) for t in terms):
            raise CardError(
                f"Law {law.name}: twice the amplitude {name} must make its own term twice as large and leave the "
                f'others alone. If it is no factor of a term, its kind is "shape".'
            )


def _typical(symbol: Symbol) -> float:
    """A value inside a symbol's bounds."""
    low, high = symbol.low, symbol.high
    if low == -np.inf:
        return min(0.3, high - 1.0) if high < np.inf else 0.3
    return low + 0.3 if high == np.inf else low + 0.3 * (high - low)
