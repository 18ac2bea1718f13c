"""Discrepancy: what no law gets right, a Markov process over log x at knots, relative to the loss level.

Between knots the path is straight, so that the process is K Gaussian numbers and costs O(n). The knots of all series
lie on one grid ``grid_start + k * grid_step`` of log x, on which an Ornstein-Uhlenbeck process is an AR(1): adding
knots for a forecast changes nothing at the old ones.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

Array = jax.Array


def interpolation(log_x: Array, start: Array, step: Array, knots: int) -> Array:
    """Weights (n, K) of the knots at each row: a hat around every knot, held level beyond the ends."""
    position = jnp.clip((log_x - start) / step, 0.0, knots - 1.0)
    return jnp.maximum(0.0, 1.0 - jnp.abs(position[:, None] - jnp.arange(knots)))


def ou_factor(scale: Array, length: Array, step: Array, knots: int) -> Array:
    """Lower Cholesky factor (K, K) of the OU covariance ``scale^2 exp(-|s-t| / length)`` on the grid.

    In closed form, from the AR(1) recursion ``u_k = phi u_{k-1} + scale sqrt(1 - phi^2) e_k``.
    """
    lag = jnp.arange(knots)[:, None] - jnp.arange(knots)[None, :]
    log_phi = -step / length
    power = jnp.where(lag >= 0, jnp.exp(jnp.maximum(lag, 0) * log_phi), 0.0)
    first = jnp.arange(knots) == 0
    innovation = jnp.where(first, 1.0, jnp.sqrt(-jnp.expm1(2 * log_phi)))
    return scale * power * innovation[None, :]
