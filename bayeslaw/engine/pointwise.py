"""Log predictive density of every bin or every series, per draw: what leave-one-out scores are made of."""

from __future__ import annotations

import functools

import numpy as np

from bayeslaw.engine.assemble import Problem
from bayeslaw.engine.layout import Layout
from bayeslaw.engine.predict import in_batches, together


def pointwise(problem: Problem, z: np.ndarray, unit: str) -> np.ndarray:
    """Log densities (S, points): of each bin given the rest of its curve, or of each run's curves.

    For ``"run"`` the curves of one run at several exit steps count as one. A path that runs share is drawn along with
    each draw: given it, runs are independent. Call inside ``jax.enable_x64(True)``.
    """
    rows, layout = problem.data["rows"], problem.layout
    paths = together(layout, problem.data, z, rows, {}, np.random.default_rng(0))[1] if layout.paths else {}
    values = np.asarray(_program(layout, unit == "bin")(z, paths, problem.data))
    if unit == "bin":
        return values[:, rows["mask"]]
    by_series = values[:, : len(problem.series)]
    _, run = np.unique(problem.series["run"].astype(str), return_inverse=True)
    out = np.zeros((run.max() + 1, len(z)))
    np.add.at(out, run, by_series.T)
    return out.T


@functools.lru_cache(maxsize=32)
def _program(layout: Layout, by_bin: bool):
    import jax
    import jax.numpy as jnp

    from bayeslaw.engine import density, linear, params

    def one(z, drawn, data):
        v = params.values(layout, data["prior"], z)
        if not by_bin:
            return density.series_log_likelihood(layout, v, data, drawn or None)
        if layout.likelihood == "points":
            scale = density.point_scale(v, data["rows"])
            t = (data["rows"]["log_y"] - density.expected(layout, v, data)[0]) / scale
            return density.student_log_density(t, v["noise:nu"]) - jnp.log(scale)
        r, var, g = density.pieces(layout, v, data, drawn or None)
        return jax.vmap(linear.leave_one_out)(r, var, g, data["rows"]["mask"])

    # all rows of a series are one factorisation; whole series are factorised in batches of their own
    mapped = in_batches if by_bin else jax.lax.map
    return jax.jit(lambda z, paths, data: mapped(lambda a: one(a[0], a[1], data), (z, paths)))
