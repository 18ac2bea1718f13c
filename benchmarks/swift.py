"""Many fits of one pool of runs, each of some of them, in some hundredths of a second: for replays of thousands.

As ``quick.py``, with the pool laid out once and the mode found inside one compiled program: Newton steps with the
curvature's eigenvalues made positive, damped, from two starts side by side.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from quick import sample

import bayeslaw as bl
from bayeslaw.engine.assemble import assemble
from bayeslaw.engine.density import log_posterior
from bayeslaw.engine.params import values
from bayeslaw.engine.warp import from_z, to_z
from bayeslaw.plan.surface import Surface

#: Newton steps at most, the longest in any coordinate, and the gain beneath which they end
STEPS, LONGEST, ENOUGH = 100, 2.0, 1e-5


@functools.lru_cache(maxsize=32)
def _newton(layout: Any):
    """Jitted: starts (s, dim) and data → modes (s, dim) and the negative log posterior there (s,)."""

    def solve(start, data):
        def value(y):
            f = -log_posterior(layout, data, to_z(layout, data["prior"], y))
            return jnp.where(jnp.isfinite(f), f, 1e12)

        def step(state):
            y, f, damping, _, count = state
            gradient = jax.grad(value)(y)
            scale, axes = jnp.linalg.eigh(jax.hessian(value)(y))
            move = -axes @ ((axes.T @ gradient) / (jnp.maximum(jnp.abs(scale), 1e-3) + damping))
            move = jnp.nan_to_num(move) * jnp.minimum(1.0, LONGEST / jnp.maximum(jnp.abs(move).max(), 1e-12))
            after = value(y + move)
            good = after <= f
            # a step that is refused says nothing about having arrived
            gain = jnp.where(good, f - after, jnp.where(damping > 1e8, 0.0, 1.0))
            damping = jnp.where(good, damping / 5, jnp.maximum(damping * 10, 1e-3))
            return jnp.where(good, y + move, y), jnp.where(good, after, f), damping, gain, count + 1

        state = (start, value(start), 1.0, 1.0, 0)
        y, f, *_ = jax.lax.while_loop(lambda s: (s[3] > ENOUGH) & (s[4] < STEPS), step, state)
        return y, f

    return jax.jit(jax.vmap(solve, (0, None)))


@functools.lru_cache(maxsize=32)
def _values(layout: Any):
    return jax.jit(lambda z, prior: jax.vmap(lambda one: values(layout, prior, one))(z))


class SwiftSurface(Surface):
    """A surface whose values come out of one compiled program."""

    def _values(self) -> dict[str, np.ndarray]:
        with jax.enable_x64(True):
            found = _values(self.layout)(np.asarray(self.z, float), self.problem.data["prior"])
            return {name: np.asarray(value) for name, value in found.items()}


class Pool:
    """Runs of which some are fitted at a time. A fit's ``meta`` has the Pareto k of its draws."""

    def __init__(self, card: bl.Card, runs: bl.Runs) -> None:
        with jax.enable_x64(True):
            self.card, self.problem = card, assemble(card, runs)
            position = {str(run): i for i, run in enumerate(runs.frame["run"])}
            self.series = np.array([position[str(run)] for run in self.problem.series["run"]])
            data = self.problem.data
            self.data, self.mask = jax.tree.map(jnp.asarray, data), np.asarray(data["rows"]["mask"])
            # from the prior's centre, and from where all runs of the pool put the mode
            middle = from_z(self.problem.layout, data["prior"], np.zeros(self.problem.layout.dim))
            self.starts = np.stack([middle, middle])
            self.starts[1] = self._mode(self.data)

    def _mode(self, data: Any) -> np.ndarray:
        modes, heights = _newton(self.problem.layout)(self.starts, data)
        return np.asarray(modes)[int(np.argmin(np.asarray(heights)))]

    def fit(self, seen: np.ndarray, draws: int, proposals: int, seed: int = 0) -> bl.Fit:
        """Of the runs that are ``seen``, by the table's rows."""
        with jax.enable_x64(True):
            mask = self.mask.copy()
            mask[: len(self.series)] &= np.asarray(seen)[self.series][:, None]
            data = {**self.data, "rows": {**self.data["rows"], "mask": jnp.asarray(mask)}}
            # the problem's own arrays stay NumPy's: what reads them expects it
            rows = {**self.problem.data["rows"], "mask": mask}
            problem = replace(self.problem, data={**self.problem.data, "rows": rows})
            z, k, worth = sample(problem, data, self._mode(data), np.random.default_rng(seed), draws, proposals)
        return bl.Fit(self.card, problem, z[None], {}, {"seed": seed, "k": k, "ess": worth})
