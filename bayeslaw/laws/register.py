"""What a law of one's own must keep to before it joins the registry: asked once, so that a fit never stumbles on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bayeslaw.errors import CardError, meant, nearest
from bayeslaw.laws.base import Law, Symbol
from bayeslaw.laws.schedule import Schedule

#: a plausible row, for trying a law out; at the last exit, where a distance between the two steps is none
ROW = {
    "n_params": 1e9, "n_params_once": 5e8, "n_params_recurrent": 5e8, "recurrence": 2.0, "exit_step": 2.0,
    "tokens": 2e10, "step": 1e4, "lr": 3e-4, "flops": 1.2e20, "grad_norm": 1.0,
}  # fmt: skip
#: a plausible schedule, of which the row lies in the decay
SCHEDULE = Schedule.wsd(3e-4, 11_000, 1000)
#: the supports that the engine has a link for
SUPPORTS = ((0.0, np.inf), (0.0, 1.0), (-np.inf, np.inf))
#: a value inside each of them
TYPICAL = 0.3
#: what a card has beside symbols
TAKEN = ("level", "offset", "noise", "effect", "discrepancy", "exits", "shared", "schedule")


def checked(law: Any, taken: Mapping[str, Law]) -> Law:
    """The law itself, if it keeps to the rules of ``laws/base.py``.

    Raises
    ------
    CardError
        It is no ``Law``, lacks a class variable, bears a name in ``taken``, has a symbol that the engine cannot sample,
        reads columns that a row does not have, or its terms are not one per amplitude, each proportional to its own,
        finite, and written so that JAX can trace them.
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
        wanted = "a tuple" if name in ("symbols", "covariates") else "a text"
        if not isinstance(getattr(law, name), tuple | list if wanted == "a tuple" else str):
            raise CardError(f"Law {title}: {name} is {wanted}, not {getattr(law, name)!r}.")
    if law.name in taken:
        raise CardError(f"A law called {law.name!r} is there already: give yours another name.")
    symbols = {s.name: s for s in law.symbols if isinstance(s, Symbol)}
    amplitudes = {name for name, s in symbols.items() if s.kind == "amplitude"}
    if len(symbols) < len(law.symbols) or not amplitudes:
        raise CardError(f"Law {law.name}: symbols are Symbol records of different names, at least one an amplitude.")
    for what in ("gains", "along"):
        if wrong := set(getattr(law, what)) - amplitudes:
            raise CardError(f"Law {law.name}: {what} names {', '.join(sorted(wrong))}, which is no amplitude of it.")
    for column in (*law.covariates, *law.optional):
        if column not in (*ROW, "schedule"):
            hint = meant(nearest(str(column), (*ROW, "schedule")))
            raise CardError(f'Law {law.name} reads {column!r}.{hint} A row has {", ".join(ROW)}, or "schedule".')
    for symbol in symbols.values():
        _sampled(law, symbol)
    _try(law, symbols, amplitudes)
    return law


def _sampled(law: Law, symbol: Symbol) -> None:
    """CardError if the engine has no coordinate for such a symbol."""
    where = f"Law {law.name}: symbol {symbol.name!r}"
    if not str(symbol.name).isidentifier() or symbol.name in TAKEN:
        raise CardError(f"{where} needs a name of letters, digits and _, which none of {', '.join(TAKEN)} is.")
    if symbol.kind not in ("amplitude", "shape"):
        raise CardError(f"{where}: its kind is 'amplitude' or 'shape', not {symbol.kind!r}.")
    if (symbol.low, symbol.high) not in SUPPORTS:
        raise CardError(
            f"{where} lies between {symbol.low:g} and {symbol.high:g}; a symbol lies between 0 and inf, 0 and 1, or "
            f"-inf and inf. Shift or scale it where the terms use it: 1 + {symbol.name} lies between 1 and inf."
        )
    if symbol.share_of and (symbol.share_of not in law.covariates or symbol.kind != "shape" or symbol.link != "log"):
        raise CardError(
            f"{where}: only a positive shape has a share_of, and it names a covariate ({', '.join(law.covariates)}), "
            f"not {symbol.share_of!r}."
        )


def _try(law: Law, symbols: Mapping[str, Symbol], amplitudes: set[str]) -> None:
    """Evaluate the law at one row: the terms' names, that each is proportional to its amplitude, and that JAX can."""
    import jax

    ref = {c: ROW[c] for c in (*law.covariates, *law.optional) if c != "schedule"}
    row: dict[str, Any] = dict(ref)
    if "schedule" in law.covariates:
        seen = SCHEDULE.covariates([ROW["step"]], 4)
        row |= {name: a if name.startswith("seg_") else a[0] for name, a in seen.items()}
        ref |= {"S1": float(row["S1"]), "eta_peak": SCHEDULE.eta_peak}
    p = dict.fromkeys(symbols, TYPICAL)
    with jax.enable_x64(True):
        terms = _evaluated(law, p, row)
        if set(terms) != amplitudes:
            raise CardError(
                f"Law {law.name}: its terms are {', '.join(terms)}, its amplitudes {', '.join(sorted(amplitudes))}; "
                f"there must be one term of each amplitude's name."
            )
        for name in sorted(amplitudes):
            doubled = law.terms({**p, name: 2 * p[name]}, row)
            if not all(np.isclose(doubled[t], (2 if t == name else 1) * terms[t], rtol=1e-9) for t in terms):
                raise CardError(
                    f"Law {law.name}: twice the amplitude {name} must make its own term twice as large and leave the "
                    f'others alone. If it is no factor of a term, its kind is "shape".'
                )
        try:
            units = law.unit_terms(p, ref)
        except KeyError as error:
            raise CardError(
                f"Law {law.name}: what a unit of each amplitude is worth reads {error}, and the reference row has "
                f"{', '.join(ref)}. Write unit_terms, as the law annealed does (bayeslaw/laws/annealed.py)."
            ) from None
        if set(units) != amplitudes:
            raise CardError(f"Law {law.name}: unit_terms gives {', '.join(units)}; it must give one of each amplitude.")
        slopes = _slopes(law, p, row)
    for name, slope in slopes.items():
        if not np.isfinite(slope):
            raise CardError(
                f"Law {law.name}: the slope of the loss in {name} is {float(slope)} at the row {_told(ref)}: keep the "
                f"argument of a logarithm or a root away from 0 there, with jnp.maximum."
            )


def _evaluated(law: Law, p: Mapping[str, float], row: Mapping[str, Any]) -> dict[str, Any]:
    """The law's terms; CardError where there are none, or some that are no numbers."""
    try:
        terms = law.terms(p, row)
    except KeyError as error:
        raise CardError(
            f"Law {law.name}: its terms read {error}, which is no symbol of it and not among its covariates."
        ) from None
    if not isinstance(terms, Mapping):
        raise CardError(f"Law {law.name}: its terms are a dict of amplitude to nats, not {type(terms).__name__}.")
    for name, term in terms.items():
        if np.shape(term) or not np.isfinite(term):
            what = f"{float(term)}" if not np.shape(term) else f"of shape {np.shape(term)}"
            raise CardError(
                f"Law {law.name}: its term {name} is {what} where {_told(p)} and {_told(row)}; it must be one number."
            )
    return dict(terms)


def _slopes(law: Law, p: Mapping[str, float], row: Mapping[str, Any]) -> dict[str, Any]:
    """The loss's slope in every symbol; CardError if JAX cannot follow the terms."""
    import jax

    try:
        return jax.grad(jax.jit(lambda p, x: law.loss(p, x)))(dict(p), dict(row))
    except jax.errors.JAXTypeError:
        raise CardError(
            f"Law {law.name}: JAX cannot follow its terms. Write jax.numpy's functions in place of math's and numpy's, "
            f"jnp.where in place of if, and no float(...)."
        ) from None


def _told(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {value:g}" for name, value in values.items() if not np.shape(value))
