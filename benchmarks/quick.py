"""Fits in a fraction of a second, for studies of hundreds: importance samples around the posterior's mode.

The proposal is a multivariate Student-t (7 degrees of freedom) with the mode and curvature that NUTS starts from;
draws are resampled by Pareto-smoothed weights (Vehtari et al. 2024, arXiv 1507.02646), whose k is in ``fit.meta``.
Meant for models of about ten coordinates.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize

import bayeslaw as bl
from bayeslaw.engine.assemble import assemble
from bayeslaw.engine.density import log_posterior
from bayeslaw.engine.warp import from_z, to_z
from bayeslaw.engine.weights import resampled

FREEDOM = 7
#: card for single corpora of final losses, without the shift that runs of one size share
PLAIN = {"name": "plain", "extends": "chinchilla", "law": "chinchilla", "offset": {"size": False}}
INTERACTION = {
    **PLAIN,
    "name": "plain-interaction",
    "extends": "chinchilla-interaction",
    "law": "chinchilla-interaction",
}


@functools.lru_cache(maxsize=32)
def _programs(layout: Any):
    def value(y, data):
        return -log_posterior(layout, data, to_z(layout, data["prior"], y))

    def batch(y, data):
        return jax.vmap(lambda one: value(one, data))(y)

    def coordinates(y, data):
        return jax.vmap(lambda one: to_z(layout, data["prior"], one))(y)

    return jax.jit(jax.value_and_grad(value)), jax.jit(jax.hessian(value)), jax.jit(batch), jax.jit(coordinates)


def quick_fit(
    card: bl.Card,
    runs: bl.Runs,
    draws: int = 800,
    proposals: int = 4000,
    seed: int = 0,
    seen: np.ndarray | None = None,
) -> bl.Fit:
    """A fit whose draws are an importance sample of the posterior, one chain.

    Rows that are not ``seen`` are laid out and masked, so that all choices of rows share one compiled program: their
    losses have no part in the fit; their sizes and tokens move the reference row, the point at which priors are stated.
    """
    with jax.enable_x64(True):
        problem = assemble(card, runs)
        if seen is not None:
            mask = problem.data["rows"]["mask"].copy()
            mine = dict(zip(runs.frame["run"].astype(str), seen, strict=True))
            mask[: len(problem.series)] &= np.array([mine[str(run)] for run in problem.series["run"]])[:, None]
            problem = replace(problem, data={**problem.data, "rows": {**problem.data["rows"], "mask": mask}})
        data = jax.tree.map(jnp.asarray, problem.data)
        layout = problem.layout
        gradient = _programs(layout)[0]

        def function(y):
            f, g = gradient(y, data)
            f, g = float(f), np.asarray(g)
            return (f, g) if np.isfinite(f) and np.isfinite(g).all() else (1e12, np.zeros_like(y))

        rng = np.random.default_rng(seed)
        starts = [
            from_z(layout, problem.data["prior"], z)
            for z in (np.zeros(layout.dim), 0.5 * rng.standard_normal(layout.dim))
        ]
        found = [
            minimize(function, s, jac=True, method="L-BFGS-B", options={"maxiter": 400, "maxcor": 20}) for s in starts
        ]
        mode = min(found, key=lambda r: r.fun).x
        z, k, worth = sample(problem, data, mode, rng, draws, proposals)
    return bl.Fit(card, problem, z[None], {}, {"seed": seed, "k": k, "ess": worth})


def sample(
    problem: Any, data: Any, mode: np.ndarray, rng: np.random.Generator, draws: int, proposals: int
) -> tuple[np.ndarray, float, float]:
    """Draws (draws, dim) around the mode, Pareto k, and how many equal draws the weights are worth.

    ``data`` : the problem's, as arrays of JAX. To be called with 64 bits enabled.
    """
    layout = problem.layout
    _, hessian, batch, coordinates = _programs(layout)
    scale, axes = np.linalg.eigh(np.asarray(hessian(mode, data)))
    factor = axes / np.sqrt(np.maximum(scale, 0.5))
    normal = rng.standard_normal((proposals, layout.dim))
    t = normal / np.sqrt(rng.chisquare(FREEDOM, proposals) / FREEDOM)[:, None]
    y = mode + t @ factor.T
    log_q = -(FREEDOM + layout.dim) / 2 * np.log1p((t**2).sum(axis=1) / FREEDOM)
    log_w = -np.asarray(batch(y, data)) - log_q
    log_w = np.where(np.isfinite(log_w), log_w, -np.inf)
    pick, worth, k = resampled(log_w, rng, draws)
    return np.asarray(coordinates(jnp.asarray(y[pick]), data)), k, worth
