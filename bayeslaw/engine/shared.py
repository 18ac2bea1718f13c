"""Paths that several series share: of the runs of one data order, and of the exits of one run.

The same batches in the same order push all their losses the same way, and what a run strays by, its exits stray by
together. For series i of group g the log loss has, beside all that is i's own, ``s_g(log x_ij)``: an Ornstein-Uhlenbeck
path at knots, as the discrepancy is. Without it every series counts as a witness of its own, and what a few hundred
batches have done to all of them is taken for the law. Given the other coordinates the paths are Gaussian; groups are
nested (a run has one data order), and are integrated out from the innermost outwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

from bayeslaw.engine import discrepancy, linear
from bayeslaw.engine.layout import Layout

Array = jax.Array


def designs(layout: Layout, v: Mapping[str, Array], data: Mapping[str, Any], log_x: Array) -> list[Array]:
    """H (R, n, L) of every kind of path, for rows at log_x (R, n): coefficients are standard normal a priori."""
    out = []
    for path in layout.paths:
        grid = data["paths"][path.name]
        factor = discrepancy.ou_factor(v[f"{path.name}:scale"], v[f"{path.name}:length"], grid["step"], path.knots)
        flat = discrepancy.interpolation(log_x.ravel(), grid["start"], grid["step"], path.knots)
        out.append(flat.reshape(*log_x.shape, path.knots) @ factor)
    return out


def shift(
    layout: Layout, v: Mapping[str, Array], data: Mapping[str, Any], rows: Mapping[str, Any], drawn: Mapping[str, Array]
) -> Array:
    """What paths with the coefficients ``drawn``, name → (members, L), add to the log loss of every row, (R, n)."""
    total = jnp.zeros_like(rows["log_x"])
    for path, h in zip(layout.paths, designs(layout, v, data, rows["log_x"]), strict=True):
        total = total + jnp.einsum("rnl,rl->rn", h, drawn[path.name][rows[f"{path.level}_index"]])
    return total


def _tellings(layout: Layout, v: Mapping[str, Array], data: Mapping[str, Any], r: Array, var: Array, g: Array):
    rows = data["rows"]
    h = jnp.concatenate(designs(layout, v, data, rows["log_x"]), axis=-1)
    return linear.tellings(r, var, g, h, rows["mask"])


def _grouped(layout: Layout, rows: Mapping[str, Any], i: int, information: Array, score: Array):
    """Information and score of the members of path i: sums over those of path i - 1, of the first over series."""
    path = layout.paths[i]
    member = rows[f"{path.level}_index"] if i == 0 else _above(layout, rows, i - 1)
    return tuple(jax.ops.segment_sum(part, member, path.members) for part in (information, score))


def _above(layout: Layout, rows: Mapping[str, Any], i: int) -> Array:
    """Of every member of path i, the member of path i + 1 that it belongs to; 0 for members without a series."""
    inner, outer = layout.paths[i], layout.paths[i + 1]
    found = jax.ops.segment_max(rows[f"{outer.level}_index"], rows[f"{inner.level}_index"], inner.members)
    return jnp.maximum(found, 0)


def log_evidence(
    layout: Layout, v: Mapping[str, Array], data: Mapping[str, Any], r: Array, var: Array, g: Array
) -> Array:
    """Log density of the residuals r (R, n) of all series together; var (R, n) and g (R, n, K) as in ``linear``."""
    information, score, at_zero = _tellings(layout, v, data, r, var, g)
    total = jnp.sum(at_zero)
    for i, path in enumerate(layout.paths):
        information, score = _grouped(layout, data["rows"], i, information, score)
        gain, information, score = linear.eliminated(information, score, path.knots)
        total = total + gain
    return total


def evidence_and_draw(
    layout: Layout,
    v: Mapping[str, Array],
    data: Mapping[str, Any],
    r: Array,
    var: Array,
    g: Array,
    noise: Mapping[str, Array],
) -> tuple[Array, dict[str, Array]]:
    """``log_evidence``, and one exact draw of every path's coefficients given the residuals, name → (members, L), from
    standard normals of these shapes. Each factorisation and each solve waits for the one before it, for the reason that
    ``predict.together`` gives.
    """
    information, score, at_zero = _tellings(layout, v, data, r, var, g)
    total, kept = jnp.sum(at_zero), []
    for i, path in enumerate(layout.paths):
        information, score = _grouped(layout, data["rows"], i, information, score)
        k = path.knots
        chol = jnp.linalg.cholesky(jnp.eye(k, dtype=score.dtype) + information[:, :k, :k])
        half = jax.vmap(lambda c, b: solve_triangular(c, b, lower=True))(
            chol, jnp.concatenate([score[:, :k, None], information[:, :k, k:]], axis=2)
        )
        own, across = half[:, :, 0], half[:, :, 1:]
        kept.append((chol, own, across))
        total = total + 0.5 * jnp.sum(own**2) - jnp.sum(jnp.log(jnp.diagonal(chol, axis1=1, axis2=2)))
        score = score[:, k:] - jnp.einsum("glm,gl->gm", across, own)
        information = information[:, k:, k:] - jnp.einsum("glm,gln->gmn", across, across)
    drawn: dict[str, Array] = {}
    outer = None
    for i, path in reversed(list(enumerate(layout.paths))):
        chol, own, across = kept[i]
        if outer is not None:
            outer = outer[_above(layout, data["rows"], i)]
            own = own - jnp.einsum("glm,gm->gl", across, outer)
        one = jax.vmap(linear.draw)(chol, own, noise[path.name])
        drawn[path.name] = one
        outer = one if outer is None else jnp.concatenate([one, outer], axis=1)
    return total, drawn
