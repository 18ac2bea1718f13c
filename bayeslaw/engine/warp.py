"""The coordinates that NUTS walks in: the amplitudes as a total and shares.

A law's terms at the reference row, E + a + b, add up to a loss that the data know to a fraction of a percent, while
each of them is uncertain by several. In the logs of E, a and b that is a thin curved sheet. In

    T = log(E + a + b),  r_a = log(a / E),  r_b = log(b / E)

it is flat. The determinant of this map is the sum of the shares, 1: densities need no correction.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from bayeslaw.engine.layout import Layout
from bayeslaw.laws import get_law

Array = jax.Array


def _places(layout: Layout) -> list[int]:
    """Where the amplitudes of terms that add to the loss (gains do not) lie in z, the first of them first."""
    gains = get_law(layout.law).gains
    kinds = {e.symbol: e.kind for e in layout.entries}
    return [
        where.start for slot, where in layout.placed() if kinds.get(slot.name) == "amplitude" and slot.name not in gains
    ]


def to_z(layout: Layout, prior: dict[str, Array], y: Array) -> Array:
    """Sampler coordinates y (d,) → the model's coordinates z (d,)."""
    at = np.array(_places(layout))
    if len(at) < 2:
        return y
    ratio = y[at[1:]]
    first = y[at[0]] - jax.nn.logsumexp(jnp.concatenate([jnp.zeros(1), ratio]))
    u = jnp.concatenate([first[None], first + ratio])
    return y.at[at].set((u - prior["loc"][at]) / prior["scale"][at])


def from_z(layout: Layout, prior: dict[str, np.ndarray], z: np.ndarray) -> np.ndarray:
    """The inverse of ``to_z``."""
    at = np.array(_places(layout))
    y = np.array(z, float)
    if len(at) < 2:
        return y
    u = np.asarray(prior["loc"])[at] + np.asarray(prior["scale"])[at] * y[at]
    y[at[0]] = np.logaddexp.reduce(u)
    y[at[1:]] = u[1:] - u[0]
    return y
