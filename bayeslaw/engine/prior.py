"""Draws from the prior: of the coordinates, exactly, and of the loss curves that a card believes in before any data."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from bayeslaw.cards import Card
from bayeslaw.engine.assemble import prior_arrays
from bayeslaw.engine.clock import at_clock, counted_stretches, counted_sums
from bayeslaw.engine.layout import Entry, Layout
from bayeslaw.engine.params import offsets, series_params, values
from bayeslaw.engine.rows import SEGMENTS
from bayeslaw.errors import FitError
from bayeslaw.laws import Schedule, get_law

Array = jax.Array


def prior_draws(layout: Layout, prior: Mapping[str, ArrayLike], seed: int, n: int) -> np.ndarray:
    """Exact draws (n, dim) from the density that ``params.log_prior`` gives the coordinates.

    Every coordinate is standard normal, except centred deviations whose spread is a coordinate too: ``N(0, tau)`` in
    units of tau's prior median.
    """
    z = np.random.default_rng(seed).standard_normal((n, layout.dim))
    scale, widened = np.asarray(prior["scale"], float), {}
    for slot, where in layout.placed():
        if slot.name.endswith(":tau"):
            widened[slot.name] = np.exp(scale[where] * z[:, where])
        elif slot.kind == "deviation":
            z[:, where] *= widened.get(f"{slot.name}:tau", 1.0)
    return z


def prior_curves(
    card: Card,
    n: int,
    seed: int,
    rows: Mapping[str, ArrayLike],
    *,
    reference: Mapping[str, float] | None = None,
    schedule: Schedule | None = None,
) -> np.ndarray:
    """Losses (n, m) in nats per token of ``n`` draws from the prior, at ``m`` rows.

    One run that belongs to one member of every level (one size, one group): its members' deviations and offsets are
    drawn once and shared by all rows, noise and discrepancy are left out. Equal seeds give equal draws, whatever the
    rows are, so that curves of one draw may be asked for in several calls.

    Parameters
    ----------
    rows : covariate to (m,) values or one value: those the law reads (without S1 and the stretches), and ``n_params``
        where the card has slopes in log N.
    reference : the covariates at which amplitudes are nats; the rows' geometric means by default, as in a fit, which
        takes those of its data.
    schedule : learning-rate schedule of the run, for a law that reads one.

    Raises
    ------
    FitError
        if a covariate or the schedule is missing.
    """
    law, layout = get_law(card.law), lone_layout(card)
    known = {k: np.asarray(v, float) for k, v in rows.items()}
    seg: dict[str, Any] = {}
    clock: dict[str, float] = {}
    if "schedule" in law.covariates:
        if schedule is None or "step" not in known:
            raise FitError(f"Law {law.name} reads a learning-rate schedule: give schedule= and the rows' step.")
        clock = {"clock": card.clock, "clock_sd": card.clock_sd}
        seg = counted_stretches(schedule, SEGMENTS, {**clock, "eta_peak": schedule.eta_peak})
        known["S1"] = schedule.sums(known["step"], card.clock)
    needed = [c for c in law.covariates if c != "schedule"]
    needed += ["n_params"] if any(e.slope for e in layout.entries) else []
    missing = [c for c in needed if c not in known]
    if missing:
        raise FitError(
            f"The rows lack {', '.join(missing)}, which model {card.name} needs; they have {', '.join(known)}."
        )
    m = max(v.size for v in known.values())
    x = {k: np.broadcast_to(v, (m,)) for k, v in known.items()}
    ref = {k: float(np.exp(np.log(v[v > 0]).mean())) for k, v in x.items()} | dict(reference or {}) | clock
    if schedule is not None:
        ref.setdefault("eta_peak", schedule.eta_peak)
    if clock and schedule is not None:
        x |= counted_sums(schedule, np.array(x["step"]), clock)
    series: dict[str, np.ndarray] = {f"{lv}_index": np.zeros(m, int) for lv in _wanted(card)}
    series["log_n"] = np.log(x["n_params"] / ref["n_params"]) if "n_params" in x else np.zeros(m)
    prior = prior_arrays(card, layout)
    z = prior_draws(layout, prior, seed, n)
    with jax.enable_x64(True):
        known_rows = {"x": x, "blocks": [seg]}
        given = {"prior": prior, "series": series, "rows": known_rows, "ref": ref, "z": z}
        return np.asarray(_curves(layout, jax.tree.map(jnp.asarray, given)))


def lone_layout(card: Card) -> Layout:
    """The card's whole layout for a single run: slopes, all effects, and one member of every level; no knots."""
    entries = []
    for symbol in get_law(card.law).symbols:
        spec = card.parameters[symbol.name]
        pool = tuple((level, 1) for level in spec.pool)
        entries.append(Entry(symbol.name, symbol.kind, symbol.link, spec.slope is not None, pool, spec.prior.around))
    offset = tuple((level, 1) for level in card.offset)
    return Layout(card.law, tuple(entries), "curves", offset, tuple(card.run), clock=bool(card.clock_sd))


def _wanted(card: Card) -> list[str]:
    return [*dict.fromkeys([*(level for p in card.parameters.values() for level in p.pool), *card.offset])]


@partial(jax.jit, static_argnums=0)
def _curves(layout: Layout, a: Mapping[str, Any]) -> Array:
    law = get_law(layout.law)

    def one(z):
        v = values(layout, a["prior"], z)
        p = series_params(layout, v, a["series"], a["ref"])
        rows = at_clock(a["rows"], v["schedule:clock"], a["ref"]) if layout.clock else a["rows"]
        (seg,) = rows["blocks"]
        # the law's own sum, not the engine's log of it, which never shows a loss below zero
        loss = jax.vmap(lambda p_i, x_i: law.loss(p_i, {**x_i, **seg}))(p, rows["x"])
        return loss * jnp.exp(offsets(layout, v, a["series"]))

    return jax.vmap(one)(a["z"])
