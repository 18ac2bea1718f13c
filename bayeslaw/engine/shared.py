"""The path that runs of one data order share: the same batches in the same order push all their losses the same way.

For series i of the data order o the log loss has, beside all that is i's own, ``s_o(log x_ij)``: an Ornstein-Uhlenbeck
path at knots, as the discrepancy is. Without it every run of a corpus counts as a witness of its own, and what a few
hundred batches have done to all of them is taken for the law. Given the other coordinates the path is Gaussian, and is
integrated out over all series of an order at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve

from bayeslaw.engine import discrepancy, linear
from bayeslaw.engine.layout import Layout

Array = jax.Array


def design(layout: Layout, v: Mapping[str, Array], data: Mapping[str, Any], log_x: Array) -> Array:
    """H (R, n, L) of series with rows at log_x (R, n): the path's coefficients are standard normal a priori."""
    grid = data["shared_grid"]
    factor = discrepancy.ou_factor(v["shared:scale"], v["shared:length"], grid["step"], layout.shared)
    return jax.vmap(lambda x: discrepancy.interpolation(x, grid["start"], grid["step"], layout.shared))(log_x) @ factor


def shift(
    layout: Layout, v: Mapping[str, Array], data: Mapping[str, Any], rows: Mapping[str, Any], path: Array
) -> Array:
    """What the paths with coefficients ``path`` (O, L) add to the log loss of every row, (R, n)."""
    return jnp.einsum("rnl,rl->rn", design(layout, v, data, rows["log_x"]), path[rows["order_index"]])


def summed(layout: Layout, order: Array, information: Array, score: Array) -> tuple[Array, Array]:
    """Information (O, L, L) and score (O, L) of every data order, from those of its series."""
    information, score = (jax.ops.segment_sum(part, order, layout.orders) for part in (information, score))
    return information, score


def log_evidence(
    layout: Layout, v: Mapping[str, Array], data: Mapping[str, Any], r: Array, var: Array, g: Array
) -> Array:
    """Log density of the residuals r (R, n) of all series together; var (R, n) and g (R, n, K) as in ``linear``."""
    rows = data["rows"]
    h = design(layout, v, data, rows["log_x"])
    information, score, at_zero = linear.tellings(r, var, g, h, rows["mask"])
    return jnp.sum(at_zero) + linear.shared_gain(*summed(layout, rows["order_index"], information, score))


def evidence_and_draw(
    layout: Layout, v: Mapping[str, Array], data: Mapping[str, Any], r: Array, var: Array, g: Array, noise: Array
) -> tuple[Array, Array]:
    """``log_evidence``, and one exact draw (O, L) of every order's coefficients given the residuals, from standard
    normals (O, L). Both come from one factorisation, for the reason that ``predict.together`` gives.
    """
    rows = data["rows"]
    h = design(layout, v, data, rows["log_x"])
    information, score, at_zero = linear.tellings(r, var, g, h, rows["mask"])
    information, score = summed(layout, rows["order_index"], information, score)

    def one(information, score, noise):
        chol = jnp.linalg.cholesky(jnp.eye(layout.shared, dtype=score.dtype) + information)
        mean = cho_solve((chol, True), score)
        return 0.5 * mean @ score - jnp.sum(jnp.log(jnp.diagonal(chol))), linear.draw(mean, chol, noise)

    gain, drawn = jax.vmap(one)(information, score, noise)
    return jnp.sum(at_zero) + jnp.sum(gain), drawn
