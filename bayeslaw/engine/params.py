"""From coordinates to parameters: links, slopes in log N, levels, and the prior density."""

from __future__ import annotations

import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from bayeslaw.engine.layout import STEEPEST, Entry, Layout
from bayeslaw.laws import get_law

Array = jax.Array


def values(layout: Layout, prior: Mapping[str, Array], z: Array) -> dict[str, Array]:
    """Slot name → value: a number on its link scale, a positive one on its natural scale, or deviations (count,).

    A level's spread ``{name}:tau`` is there whether it is sampled or fixed.
    """
    u = prior["loc"] + prior["scale"] * z
    out = {}
    for slot, where in layout.placed():
        value = u[where][0] if slot.kind in ("real", "positive") else u[where]
        if slot.kind in ("deviation", "scaled"):
            tau = out.setdefault(f"{slot.name}:tau", prior["scale"][where][0])
            value = tau * z[where] if slot.kind == "scaled" else value
        out[slot.name] = jnp.exp(value) if slot.kind == "positive" else value
    for entry in layout.entries:
        if entry.around:
            out[entry.symbol] = out[entry.symbol] + out[entry.around]
    return out


def log_prior(layout: Layout, prior: Mapping[str, Array], z: Array, *, for_mode: bool = False) -> Array:
    """Log density of the prior in the coordinates ``z``, up to a constant.

    ``for_mode`` leaves out the normalising constant of the deviations, that is, takes the density over deviations in
    units of their spread. Without it the highest point lies at spread zero, a needle of no mass.
    """
    total = -0.5 * jnp.sum(z**2)
    widened = {}
    for slot, where in layout.placed():
        if slot.name.endswith(":tau"):
            # log of tau over its prior median: the log sd of the deviations in the units of their coordinates
            widened[slot.name] = (prior["scale"][where] * z[where])[0]
        if slot.kind == "deviation" and f"{slot.name}:tau" in widened:
            log_sd = widened[f"{slot.name}:tau"]
            total += 0.5 * jnp.sum(z[where] ** 2) * -jnp.expm1(-2 * log_sd) - (
                0.0 if for_mode else slot.length * log_sd
            )
    return total


def natural(link: str, u: Array) -> Array:
    """Undo a link."""
    if link == "log":
        return jnp.exp(u)
    return jax.nn.sigmoid(u) if link == "logit" else u


def linked(entry: Entry, v: Mapping[str, Array], series: Mapping[str, Array]) -> Array:
    """A symbol's value on the link scale for every series, shape (R,)."""
    u = jnp.broadcast_to(v[entry.symbol], series["log_n"].shape)
    if entry.slope:
        u = u + v[f"{entry.symbol}:slope"] * series["log_n"]
    for level, _ in entry.levels:
        u = u + v[f"{entry.symbol}:{level}"][series[f"{level}_index"]]
    return u


def to_published(layout: Layout, linked_values: Mapping[str, Array], ref: Mapping[str, Array]) -> dict[str, Array]:
    """Link-scale values (scalars) → the law's symbols in published units (``Law.published``)."""
    p = {e.symbol: natural(e.link, linked_values[e.symbol]) for e in layout.entries}
    return get_law(layout.law).published(p, ref)


def series_params(
    layout: Layout, v: Mapping[str, Array], series: Mapping[str, Array], ref: Mapping[str, Array]
) -> dict[str, Array]:
    """The law's symbols of every series, published units, each of shape (R,)."""
    u = {e.symbol: linked(e, v, series) for e in layout.entries}
    if layout.ahead:
        u |= {e.symbol: jnp.minimum(u[e.symbol], math.log(STEEPEST)) for e in layout.entries if e.moving}
    return jax.vmap(lambda row: to_published(layout, row, ref))(u)


def offsets(layout: Layout, v: Mapping[str, Array], series: Mapping[str, Array]) -> Array:
    """Shift of the log loss of every series by its levels' offsets, shape (R,)."""
    total = jnp.zeros_like(series["log_n"])
    for level, _ in layout.offsets:
        total = total + v[f"offset:{level}"][series[f"{level}_index"]]
    return total
