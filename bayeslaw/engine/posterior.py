"""Draws of the parameters as people know them: published units, population, levels and runs."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from bayeslaw.engine.assemble import Problem
from bayeslaw.engine.layout import Layout
from bayeslaw.engine.levels import PATHS
from bayeslaw.engine.predict import in_batches, together

#: with more series than this, run-level parameters are left to be computed by a forecast
MOST_SERIES = 256


def parameter_draws(problem: Problem, z: np.ndarray, seed: int) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """Name → (dims after the draw, array (S, ...)) for flat draws z (S, d). Call inside ``jax.enable_x64(True)``.

    ``alpha``: population level (for a symbol with a slope: at the reference size). ``alpha_group``: a level's members;
    ``alpha_group_sd``: their spread on the link scale. ``alpha_run``: a series, run effect included. ``offset_size``:
    shifts of log loss. ``clock``: the power of the learning rate that counts as progress, where it has a prior.
    ``noise_*``, ``effect_*_sd``, ``discrepancy_*``, ``shared_*``, ``exits_*``: errors, relative to the loss.
    """
    layout = problem.layout
    log_n = {level: np.zeros(len(members)) for level, members in problem.levels.items()}
    if "size" in log_n and any(e.slope for e in layout.entries):
        log_n["size"] = np.log(problem.levels["size"]) - problem.reference["log_n"]
    with_runs = len(problem.series) <= MOST_SERIES
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(
        (len(z), problem.data["rows"]["mask"].shape[0], layout.effect_count if with_runs else 0)
    )
    paths = together(layout, problem.data, z, problem.data["rows"], {}, rng)[1] if layout.paths and with_runs else {}
    raw = _program(layout, with_runs)(z, noise, paths, log_n, problem.data)
    out: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
    for name, value in raw.items():
        array = np.asarray(value)
        level = name.rpartition("_")[2]
        if level == "run":
            out[name] = (("series",), array[:, : len(problem.series)])
        elif array.ndim == 2:
            out[name] = ((level,), array)
        else:
            out[name] = ((), array)
    return out


@functools.lru_cache(maxsize=32)
def _program(layout: Layout, with_runs: bool):
    import jax

    def run(z, noise, paths, log_n, data):
        return in_batches(lambda a: _one(layout, with_runs, a[0], a[1], a[2], log_n, data), (z, noise, paths))

    return jax.jit(run)


def _one(
    layout: Layout, with_runs: bool, z: Any, noise: Any, paths: Any, log_n: Mapping[str, Any], data: Mapping[str, Any]
):
    import jax
    import jax.numpy as jnp

    from bayeslaw.engine import density, linear, params

    v = params.values(layout, data["prior"], z)
    base = {e.symbol: v[e.symbol] for e in layout.entries}
    out = dict(params.to_published(layout, base, data["ref"]))
    for level in dict.fromkeys(lv for e in layout.entries for lv, _ in e.levels):
        linked = {}
        for e in layout.entries:
            u = jnp.broadcast_to(v[e.symbol], log_n[level].shape)
            u = u + (v[f"{e.symbol}:slope"] * log_n[level] if e.slope else 0.0)
            linked[e.symbol] = u + (v[f"{e.symbol}:{level}"] if level in dict(e.levels) else 0.0)
        members = jax.vmap(lambda row: params.to_published(layout, row, data["ref"]))(linked)
        pooled = [e.symbol for e in layout.entries if level in dict(e.levels)]
        out |= {f"{s}_{level}": members[s] for s in pooled} | {f"{s}_{level}_sd": v[f"{s}:{level}:tau"] for s in pooled}
    for slot in layout.slots():
        owner, _, rest = slot.name.partition(":")
        if owner == "effect":
            out[f"effect_{rest}_sd"] = v[slot.name]
        elif owner in ("noise", "discrepancy", *PATHS):
            out[f"{owner}_{rest}"] = v[slot.name]
        elif owner == "offset" and slot.kind == "scaled":
            out |= {f"offset_{rest}": v[slot.name], f"offset_{rest}_sd": v[f"{slot.name}:tau"]}
        elif slot.name == "schedule:clock":
            out["clock"] = v[slot.name]
        elif rest == "slope":
            out[f"{owner}_slope"] = v[slot.name]
    if with_runs:
        out |= _series(layout, v, noise, paths, data, density, linear, params)
    return out


def _series(
    layout: Layout, v: Mapping[str, Any], noise: Any, paths: Any, data: Mapping[str, Any], density, linear, params
):
    import jax
    import jax.numpy as jnp

    p = params.series_params(layout, v, data["rows"], data["ref"])
    out = {f"{s}_run": value for s, value in p.items()}
    if layout.effects:
        r, var, g = density.pieces(layout, v, data, paths or None)

        def draw(r, var, g, mask, eps):
            return linear.draw(*linear.halfway(r, var, g, mask), eps)

        b = jax.vmap(draw)(r, var, g, data["rows"]["mask"], noise)
        for i, effect in enumerate(layout.effects):
            deviation = v[f"effect:{effect}"] * b[:, i]
            if effect == "level":
                out["level_run"] = deviation
            else:
                # the effect is the symbol's relative deviation; on the log scale it keeps its sign in every draw
                out[f"{effect}_run"] = p[effect] * jnp.exp(deviation)
    return out
