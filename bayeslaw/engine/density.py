"""The model's density: card and bins in, log posterior out.

For series i (a run, or a run at one exit step) and row j,

    log y_ij = log L(x_ij; theta_i) + o_i + sum_e w_eij b_ie + u_i(log x_ij) + s(log x_ij) + e_ij

``L`` is the law, ``o_i`` the offset of the levels that i belongs to (runs of one size, say); ``w_eij`` is 1 for the
effect "level" and ``d log L / d log e`` for an effect on the law's symbol e, so that ``b_ie`` is that symbol's relative
deviation, to first order (for an amplitude it is the share of its term in the loss); ``u_i`` is the discrepancy, ``s``
what i shares with other series (``shared.py``) and ``e_ij`` independent noise. ``b``, ``u`` and ``s`` are Gaussian and
integrated out exactly. Working on log y makes every error relative to the loss level and every curve positive.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln

from bayeslaw.engine import discrepancy, linear, shared
from bayeslaw.engine.clock import at_clock
from bayeslaw.engine.layout import Layout
from bayeslaw.engine.params import log_prior, offsets, series_params, values
from bayeslaw.laws import get_law

Array = jax.Array
FLOOR = 0.02  # nats


def log_loss(terms: Mapping[str, Array]) -> tuple[Array, dict[str, Array]]:
    """Log of the law's loss and each term's share of it.

    A law with a gain can be driven below zero by absurd parameters; there the log goes on as a straight line, whose
    gradient leads back.
    """
    total = sum(terms.values())
    safe = jnp.maximum(total, FLOOR)
    value = jnp.where(total > FLOOR, jnp.log(safe), jnp.log(FLOOR) + (total - FLOOR) / FLOOR)
    return value, {name: term / safe for name, term in terms.items()}


def law_rows(layout: Layout, p: Mapping[str, Array], rows: Mapping[str, Any]) -> tuple[Array, dict[str, Array]]:
    """Log of the law's loss (R, n), shares of its terms, and slopes in the logs of shapes that have a run effect; ``p``
    has shape (R,), ``rows["x"]`` (R, n) each."""
    law = get_law(layout.law)
    bent = [e.symbol for e in layout.entries if e.kind == "shape" and e.symbol in layout.effects]

    def row(p_i, x):
        terms = law.terms(p_i, x)
        value, shares = log_loss(terms)
        for name in bent:
            # of the terms, not of the log: those that the symbol is not in are then not worked out a second time
            own = (p_i[name],)
            _, moved = jax.jvp(lambda v, n=name: law.terms({**p_i, n: v}, x), own, own)
            shares[name] = sum(moved.values()) / jnp.maximum(sum(terms.values()), FLOOR)
        return value, shares

    def series(p_i, x_i, seg_i):
        return jax.vmap(lambda x: row(p_i, {**x, **seg_i}))(x_i)

    if "blocks" not in rows:
        return jax.vmap(lambda p_i, x_i: series(p_i, x_i, {}))(p, rows["x"])
    parts = []
    for block in rows["blocks"]:
        p_b, x_b = jax.tree.map(lambda a, held=block["series"]: a[held], (dict(p), rows["x"]))
        parts.append(jax.vmap(series)(p_b, x_b, {k: v for k, v in block.items() if k != "series"}))
    return jax.tree.map(lambda *part: jnp.concatenate(part)[rows["back"]], *parts)


def design(
    layout: Layout, v: Mapping[str, Array], shares: Mapping[str, Array], log_x: Array, grid: Mapping[str, Array]
) -> Array:
    """G (n, K) of one series: effects and discrepancy in units of their prior sd."""
    columns = []
    for effect in layout.effects:
        share = jnp.ones_like(log_x) if effect == "level" else jnp.broadcast_to(shares[effect], log_x.shape)
        columns.append((v[f"effect:{effect}"] * share)[:, None])
    if layout.knots:
        weights = discrepancy.interpolation(log_x, grid["start"], grid["step"], layout.knots)
        factor = discrepancy.ou_factor(v["discrepancy:scale"], v["discrepancy:length"], grid["step"], layout.knots)
        columns.append(weights @ factor)
    return jnp.concatenate(columns, axis=1) if columns else jnp.zeros((*log_x.shape, 0))


def white_variance(v: Mapping[str, Array], log_x: Array, measured: Array | float) -> Array:
    """Variance of ``e``: white misfit plus the bin's measured sampling variance.

    The misfit's sd is sigma at the reference and grows towards early x as a power of it; late, it levels off at
    ``sigma / sqrt 2`` and does not vanish, so that a forecast far out is not handed certainty.
    """
    return v["noise:sigma"] ** 2 * (0.5 + 0.5 * jnp.exp(-2 * v["noise:early"] * log_x)) + measured


def point_scale(v: Mapping[str, Array], rows: Mapping[str, Any]) -> Array:
    """Scale (R, n) of the Student-t noise of single points: log-linear in x and in N."""
    return v["noise:sigma"] * jnp.exp(v["noise:by_x"] * rows["log_x"] + v["noise:by_n"] * rows["log_n"][:, None])


def student_log_density(t: Array, nu: Array) -> Array:
    """Log density of a standard Student-t."""
    constant = gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * jnp.log(nu * jnp.pi)
    return constant - (nu + 1) / 2 * jnp.log1p(t**2 / nu)


def expected(layout: Layout, v: Mapping[str, Array], data: Mapping[str, Any]) -> tuple[Array, dict[str, Array]]:
    """Log loss (R, n) of law and offsets, and the shares of the law's terms."""
    rows = data["rows"]
    p = series_params(layout, v, rows, data["ref"])
    log_f, shares = law_rows(layout, p, at_clock(rows, v["schedule:clock"], data["ref"]) if layout.clock else rows)
    return log_f + offsets(layout, v, rows)[:, None], shares


def pieces(
    layout: Layout, v: Mapping[str, Array], data: Mapping[str, Any], drawn: Mapping[str, Array] | None = None
) -> tuple[Array, Array, Array]:
    """Residuals (R, n), noise variances (R, n) and design (R, n, K) of every series.

    ``drawn`` : coefficients of the shared paths, name → (members, L), which are then no part of the residuals.
    """
    rows = data["rows"]
    log_f, shares = expected(layout, v, data)
    var = white_variance(v, rows["log_x"], rows["measured"])
    g = jax.vmap(lambda s, lx: design(layout, v, s, lx, data["grid"]))(shares, rows["log_x"])
    r = rows["log_y"] - log_f
    return r if drawn is None else r - shared.shift(layout, v, data, rows, drawn), var, g


def series_log_likelihood(
    layout: Layout, v: Mapping[str, Array], data: Mapping[str, Any], drawn: Mapping[str, Array] | None = None
) -> Array:
    """Log likelihood of every series, shape (R,), run effects and discrepancy integrated out.

    ``drawn`` : coefficients of the shared paths: given them, and only then, series are independent.
    """
    rows = data["rows"]
    if layout.likelihood == "points":
        scale = point_scale(v, rows)
        t = (rows["log_y"] - expected(layout, v, data)[0]) / scale
        density = student_log_density(t, v["noise:nu"]) - jnp.log(scale)
        return jnp.sum(jnp.where(rows["mask"], density, 0.0), axis=1)
    r, var, g = pieces(layout, v, data, drawn)
    return linear.log_evidences(r, var, g, rows["mask"])


def log_likelihood(layout: Layout, v: Mapping[str, Array], data: Mapping[str, Any]) -> Array:
    """Log likelihood of all series together, what they share integrated out too."""
    if layout.paths:
        return shared.log_evidence(layout, v, data, *pieces(layout, v, data))
    return jnp.sum(series_log_likelihood(layout, v, data))


def evidence_and_paths(
    layout: Layout, v: Mapping[str, Array], data: Mapping[str, Any], noise: Mapping[str, Array]
) -> tuple[Array, dict[str, Array]]:
    """``log_likelihood`` of a layout with shared paths, and a draw of these given all rows of ``data``, name →
    (members, L), from standard normals."""
    return shared.evidence_and_draw(layout, v, data, *pieces(layout, v, data), noise)


def log_posterior(layout: Layout, data: Mapping[str, Any], z: Array, *, for_mode: bool = False) -> Array:
    """Log posterior density of the coordinates z (d,), up to a constant; ``for_mode`` as in ``log_prior``."""
    v = values(layout, data["prior"], z)
    return log_prior(layout, data["prior"], z, for_mode=for_mode) + log_likelihood(layout, v, data)
