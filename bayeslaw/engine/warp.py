"""The coordinates that NUTS walks in: the amplitudes as a total and shares.

A law's terms at the reference row, E + a + b, add up to a loss that the data know to a fraction of a percent, while
each of them is uncertain by several. In the logs of E, a and b that is a thin curved sheet. In

    T = log(E + a + b),  r_a = log(a / E),  r_b = log(b / E)

it is flat. The determinant of this map is the sum of the shares, 1: densities need no correction.

A level whose members deviate in all of E, a and b has such a sheet of its own per member: the data know each group's
total far better than its parts. There the coordinates are what the member's T, r_a and r_b have beyond the
population's, again of constant volume.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from bayeslaw.engine.layout import Layout
from bayeslaw.laws import get_law

Array = jax.Array


def _added(layout: Layout) -> list[str]:
    """The amplitudes that share a total: those of terms that add to the loss, where no single run tells them apart.

    A curve settles a term that moves along it to a percent by itself. Sharing the total, such a term would be tied to
    the split of the others, which one run says nothing of, and the sheet would bend again.
    """
    law = get_law(layout.law)
    apart = law.along if layout.likelihood == "curves" else law.gains
    return [e.symbol for e in layout.entries if e.kind == "amplitude" and e.symbol not in {*apart, *law.gains}]


def _places(layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """Where those amplitudes lie in z (k,), and where their members' deviations do (members, k).

    The members are those of the first level over which all of them are pooled; none, if there is no such level.
    """
    names = _added(layout)
    where = {slot.name: place for slot, place in layout.placed()}
    at = np.array([where[name].start for name in names], int)
    levels = [dict(e.levels) for e in layout.entries if e.symbol in names]
    for level in levels[0] if levels else ():
        if all(level in other for other in levels):
            own = [np.arange(where[f"{n}:{level}"].start, where[f"{n}:{level}"].stop) for n in names]
            return at, np.stack(own, axis=1)
    return at, np.zeros((0, len(names)), int)


def _logs(total: Array, ratio: Array) -> Array:
    """Logs of terms (..., k) from the log of their sum (...) and their logs relative to the first's (..., k - 1)."""
    relative = jnp.concatenate([jnp.zeros_like(ratio[..., :1]), ratio], axis=-1)
    return total[..., None] - jax.nn.logsumexp(relative, axis=-1, keepdims=True) + relative


def to_z(layout: Layout, prior: dict[str, Array], y: Array) -> Array:
    """Sampler coordinates y (d,) → the model's coordinates z (d,)."""
    at, own = _places(layout)
    if len(at) < 2:
        return y
    u = _logs(y[at[0]], y[at[1:]])
    z = y.at[at].set((u - prior["loc"][at]) / prior["scale"][at])
    if len(own):
        mine = _logs(y[at[0]] + y[own[:, 0]], y[at[1:]] + y[own[:, 1:]])
        z = z.at[own].set((mine - u) / prior["scale"][own])
    return z


def from_z(layout: Layout, prior: dict[str, np.ndarray], z: np.ndarray) -> np.ndarray:
    """The inverse of ``to_z``."""
    at, own = _places(layout)
    y = np.array(z, float)
    if len(at) < 2:
        return y
    u = np.asarray(prior["loc"])[at] + np.asarray(prior["scale"])[at] * y[at]
    y[at[0]] = np.logaddexp.reduce(u)
    y[at[1:]] = u[1:] - u[0]
    if len(own):
        mine = u + np.asarray(prior["scale"])[own] * np.asarray(z)[own]
        y[own[:, 0]] = np.logaddexp.reduce(mine, axis=1) - y[at[0]]
        y[own[:, 1:]] = mine[:, 1:] - mine[:, :1] - y[at[1:]]
    return y
