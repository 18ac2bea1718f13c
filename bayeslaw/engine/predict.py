"""From posterior draws to curves: seen series, partly seen ones, and runs at new sizes, groups or schedules.

Given a draw of the coordinates everything left is Gaussian, so that a series' run effects and discrepancy are drawn
exactly given whatever rows of it are known, without sampling again.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from bayeslaw.engine.layout import Layout

#: draws worked on at once: enough for vector units, little enough for the cache
BATCH = 16


def extended(layout: Layout, v: Mapping[str, Any], fresh: Mapping[str, Any]) -> dict[str, Any]:
    """Add members that the fit did not see: deviations drawn from their level, ``fresh`` (extra,) standard normals."""
    import jax.numpy as jnp

    out = dict(v)
    for slot, _ in layout.placed():
        if slot.name in fresh:
            out[slot.name] = jnp.concatenate([v[slot.name], v[f"{slot.name}:tau"] * fresh[slot.name]])
    return out


@functools.lru_cache(maxsize=64)
def _curves(layout: Layout):
    """Compiled: (z (S, d), known, target, fresh {slot: (S, extra)}, noise (S, R, K), paths, data) → log curves
    and noise."""
    import jax
    import jax.numpy as jnp

    from bayeslaw.engine import density, linear, params, shared

    def one(args, known, target, data):
        z, fresh, noise, drawn = args
        v = params.values(layout, data["prior"], z)
        v = extended(layout, v, fresh)
        log_f, shares = density.expected(layout, v, {**data, "rows": target})
        if layout.likelihood == "points":
            return log_f, density.point_scale(v, target)
        g_target = jax.vmap(lambda s, lx: density.design(layout, v, s, lx, data["grid"]))(shares, target["log_x"])
        if layout.paths:
            log_f = log_f + shared.shift(layout, v, data, target, drawn)
        r, var, g = density.pieces(layout, v, {**data, "rows": known}, drawn if layout.paths else None)

        def series(r, var, g, mask, g_target, noise):
            return g_target @ linear.draw(*linear.halfway(r, var, g, mask), noise)

        shift = jax.vmap(series)(r, var, g, known["mask"], g_target, noise) if layout.effect_count else 0.0
        return log_f + shift, jnp.sqrt(density.white_variance(v, target["log_x"], 0.0))

    def run(z, known, target, fresh, noise, paths, data):
        return in_batches(lambda a: one(a, known, target, data), (z, fresh, noise, paths))

    return jax.jit(run)


@functools.lru_cache(maxsize=64)
def _evidence(layout: Layout):
    """Compiled: (z (S, d), fresh, data) → log likelihood of every series, (S, R)."""
    import jax

    from bayeslaw.engine import density, params

    def one(args, data):
        z, fresh = args
        v = extended(layout, params.values(layout, data["prior"], z), fresh)
        return density.series_log_likelihood(layout, v, data)

    return jax.jit(lambda z, fresh, data: jax.lax.map(lambda a: one(a, data), (z, fresh)))


@functools.lru_cache(maxsize=64)
def _together(layout: Layout):
    """Compiled: (z (S, d), fresh, noise, data) → log likelihood of all series together (S,), and draws of the paths
    that they share, name → (S, members, L)."""
    import jax

    from bayeslaw.engine import density, params

    def one(args, data):
        z, fresh, noise = args
        v = extended(layout, params.values(layout, data["prior"], z), fresh)
        return density.evidence_and_paths(layout, v, data, noise)

    return jax.jit(lambda z, fresh, noise, data: jax.lax.map(lambda a: one(a, data), (z, fresh, noise)))


def in_batches(function: Any, arguments: Any) -> Any:
    """``function`` of every draw, along the first axis of its arguments, ``BATCH`` of them at once.

    The last draw is repeated to fill the last batch: ``lax.map`` would work on a smaller last batch beside the others,
    and two batches that do not wait for one another can stop for ever (``linear.log_evidences``). For the same reason
    what factorises in batches of its own takes one draw at a time.
    """
    import jax
    import jax.numpy as jnp

    count = len(jax.tree.leaves(arguments)[0])
    size = min(BATCH, count)
    last = np.minimum(np.arange(-(-count // size) * size), count - 1)
    filled = jax.tree.map(lambda a: jnp.asarray(a)[last], arguments)
    return jax.tree.map(lambda a: a[:count], jax.lax.map(function, filled, batch_size=size))


def curve_draws(
    layout: Layout,
    data: Mapping[str, Any],
    z: np.ndarray,
    known: Mapping[str, Any],
    target: Mapping[str, Any],
    fresh: Mapping[str, np.ndarray],
    noise: np.ndarray,
    paths: Mapping[str, np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Draws of the log curve (S, R, q), and the sd (points: Student-t scale) of white noise about it, same shape.

    ``known`` are rows (R, n) with losses, all masked for a series of which nothing is known; ``target`` rows (R, q);
    ``noise`` standard normals (S, R, K) for the series' coefficients: the same numbers give the same coefficients;
    ``paths`` draws of what series share (``together``).
    """
    curves, sd = _curves(layout)(z, dict(known), dict(target), dict(fresh), noise, dict(paths), _inside(data))
    return np.asarray(curves), np.asarray(sd)


def _inside(data: Mapping[str, Any]) -> dict[str, Any]:
    return {k: data[k] for k in ("prior", "ref", "grid", "paths")}


def leading(rng: np.random.Generator, shape: tuple[int, ...], count: int, settled: int | None = None) -> np.ndarray:
    """Standard normals (*shape, count) of which the first do not change with ``count``: knots beyond the end of one
    forecast leave the draws of what comes before as they are, so that two horizons can be compared draw by draw.

    The first ``settled`` are of ``rng`` itself, the rest of a stream beside it: whatever is drawn from ``rng``
    afterwards does not change with ``count`` either. By default all are of ``rng``.
    """
    own = count if settled is None else min(settled, count)
    (beside,) = rng.spawn(1)
    noise = rng.standard_normal((own, *shape))
    if own < count:
        noise = np.concatenate([noise, beside.standard_normal((count - own, *shape))])
    return np.moveaxis(noise, 0, -1)


def together(
    layout: Layout,
    data: Mapping[str, Any],
    z: np.ndarray,
    known: Mapping[str, Any],
    fresh: Mapping[str, np.ndarray],
    rng: np.random.Generator,
    fitted: Layout | None = None,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Log likelihood (S,) of all series of ``known`` together, and draws of the paths they share, name →
    (S, members, L). ``fitted``: the layout as it was fitted, where ``layout`` has further knots.

    What needs the paths takes them as an argument: factorisations of many matrices that do not wait for one another,
    inside one program, can stop for ever in jaxlib's pool of threads (see ``linear.log_evidences``).
    """
    settled = {path.name: path.knots for path in (fitted or layout).paths}
    noise = {
        path.name: leading(rng, (len(z), path.members), path.knots, settled[path.name]) for path in layout.paths
    }  # fmt: skip
    found, paths = _together(layout)(z, dict(fresh), noise, {**_inside(data), "rows": dict(known)})
    return np.asarray(found), {name: np.asarray(value) for name, value in paths.items()}


def evidence_draws(
    layout: Layout, data: Mapping[str, Any], z: np.ndarray, known: Mapping[str, Any], fresh: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Log likelihood (S, R) of every series of ``known`` for every draw."""
    return np.asarray(_evidence(layout)(z, dict(fresh), {**_inside(data), "rows": dict(known)}))
