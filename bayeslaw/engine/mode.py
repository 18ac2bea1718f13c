"""The posterior's mode, by L-BFGS from several starts, and its curvature there: what NUTS is whitened by."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from scipy.optimize import minimize

from bayeslaw.engine.layout import Layout
from bayeslaw.errors import FitError
from bayeslaw.progress import Report


@functools.lru_cache(maxsize=32)
def value_and_grad(layout: Layout):
    """Compiled: (y (dim,), data) → minus the log posterior of ``y`` in the sampler's coordinates, and its gradient."""
    import jax

    from bayeslaw.engine.density import log_posterior
    from bayeslaw.engine.warp import to_z

    def value(y, data):
        return -log_posterior(layout, data, to_z(layout, data["prior"], y), for_mode=True)

    return jax.jit(jax.value_and_grad(value))


def find_mode(layout: Layout, data: Any, seed: int, report: Report | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mode (dim,) in the sampler's coordinates, and a factor (dim, dim) of the inverse curvature there.

    The best of several starts: the prior's centre and draws around it. Directions that the data leave open have the
    prior's curvature of 1, and no direction is taken to be wider than that.
    """
    from bayeslaw.engine.warp import from_z

    function = value_and_grad(layout)

    def value(z):
        f, g = function(z, data)
        f, g = float(f), np.asarray(g)
        return (f, g) if np.isfinite(f) and np.isfinite(g).all() else (1e12, np.zeros_like(z))

    rng = np.random.default_rng(seed)
    # few points can be met exactly by many parameters: a needle without width, that a bound on the noise keeps out
    bounds = [(-2.5, 2.5) if name.startswith("noise:") else (None, None) for name in layout.coordinate_names()]
    starts = [np.zeros(layout.dim), *(0.5 * rng.standard_normal((3, layout.dim)))]
    starts = [from_z(layout, data["prior"], z) for z in starts]
    found = []
    for i, start in enumerate(starts):
        found.append(
            minimize(value, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500, "maxcor": 20})
        )
        if report:
            report("finding the mode", i + 1, len(starts))
    best = min(found, key=lambda result: result.fun)
    if best.fun >= 1e12:
        raise FitError(
            "No parameters with a finite density were found near the priors: check the units of the columns."
        )
    step = 1e-4
    eye = np.eye(layout.dim) * step
    hessian = np.stack([(value(best.x + e)[1] - value(best.x - e)[1]) / (2 * step) for e in eye])
    scale, axes = np.linalg.eigh((hessian + hessian.T) / 2)
    return best.x, axes / np.sqrt(np.maximum(scale, 1.0))
