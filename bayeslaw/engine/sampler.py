"""NUTS: the only file that knows the sampler and JAX's settings.

The posterior is first found by L-BFGS from several starts and whitened by its curvature there, so that NUTS meets
something near a standard normal and needs little warm-up. Each chain runs in a thread of its own: the kernels are too
small to share one, and a vectorised step would wait for the chain with the longest trajectory. The compiled program
takes the data as arguments: other data of the same padded shapes run without compiling again.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

from bayeslaw.engine.layout import Layout
from bayeslaw.errors import FitError

#: iterations between two reports of progress, and between two looks at whether to stop
CHUNK = 25
#: target acceptance: the ridge of E and alpha is curved, and longer steps diverge at its ends
ACCEPT = 0.9
Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Draws:
    """``z`` (chains, draws, dim), and per draw (chains, draws): ``diverging``, ``steps`` (leapfrog), ``energy``,
    ``lp`` (log posterior), ``accept``; ``step_size`` (chains,)."""

    z: np.ndarray
    stats: dict[str, np.ndarray]
    step_size: np.ndarray


def sample(
    layout: Layout,
    data: dict[str, Any],
    *,
    seed: int,
    chains: int,
    warmup: int,
    draws: int,
    report: Report | None = None,
) -> Draws:
    """Draw from the posterior. Call inside ``jax.enable_x64(True)``.

    Raises FitError if no starting point with a finite density is found.
    """
    import jax
    import jax.numpy as jnp

    from bayeslaw.engine.warp import to_z

    report = report or (lambda stage, done, total: None)
    data = jax.tree.map(jnp.asarray, data)
    report("compiling the density", 0, 1)
    mode, factor = find_mode(layout, data, seed, report)
    report("compiling NUTS", 0, 1)
    init, advance = programs(layout, warmup)
    argument = {"data": data, "mode": jnp.asarray(mode), "factor": jnp.asarray(factor)}
    keys = jax.random.split(jax.random.key(seed), chains + 1)
    starts = 0.5 * jax.random.normal(keys[-1], (chains, layout.dim))
    # the first chain's first step compiles; the others then find it done
    states = [init(keys[i], starts[i], argument) for i in range(chains)]
    compiled = advance.lower(states[0], argument).compile()
    done, stop, lock = [0], threading.Event(), threading.Lock()
    total = warmup + draws

    def run(state: Any) -> tuple[Any, dict[str, np.ndarray]]:
        kept = []
        # JAX's precision is a setting of each thread
        with jax.enable_x64(True):
            for _ in range(0, total, CHUNK):
                if stop.is_set():
                    break
                state, out = compiled(state, argument)
                kept.append(jax.tree.map(np.asarray, out))
                with lock:
                    done[0] += 1
                    each = min(done[0] * CHUNK // chains, total)
                    report("warming up" if each < warmup else "sampling", each, total)
        return state, {k: np.concatenate([c[k] for c in kept])[warmup:total] for k in kept[0]}

    with ThreadPoolExecutor(min(chains, os.cpu_count() or 1)) as pool:
        try:
            futures = [pool.submit(run, state) for state in states]
            results = [future.result() for future in futures]
        except BaseException:
            stop.set()
            raise
    stats = {k: np.stack([out[k] for _, out in results]) for k in results[0][1]}
    y = jnp.asarray(mode + stats.pop("z") @ factor.T)
    z = np.asarray(jax.jit(jax.vmap(jax.vmap(lambda y: to_z(layout, data["prior"], y))))(y))
    return Draws(z, stats, np.array([float(state.adapt_state.step_size) for state, _ in results]))


@functools.lru_cache(maxsize=32)
def programs(layout: Layout, warmup: int):
    """Jitted ``init(key, start, argument)`` and ``advance(state, argument)``, CHUNK iterations of one chain."""
    import jax
    from numpyro.infer.hmc import hmc

    from bayeslaw.engine.density import log_posterior
    from bayeslaw.engine.warp import to_z

    def potential_of(argument):
        data = argument["data"]

        def potential(eps):
            z = to_z(layout, data["prior"], argument["mode"] + argument["factor"] @ eps)
            return -log_posterior(layout, data, z)

        return potential

    kernels: Any = hmc(potential_fn_gen=potential_of, algo="NUTS")  # whose types know no NUTS without a length
    init_kernel, sample_kernel = kernels

    def init(key, start, argument):
        return init_kernel(
            start,
            warmup,
            step_size=0.5,
            dense_mass=True,
            target_accept_prob=ACCEPT,
            trajectory_length=None,
            max_tree_depth=10,
            model_args=(argument,),
            rng_key=key,
        )

    def advance(state, argument):
        def one(state, _):
            state = sample_kernel(state, model_args=(argument,))
            out = {
                "z": state.z,
                "diverging": state.diverging,
                "steps": state.num_steps,
                "energy": state.energy,
                "lp": -state.potential_energy,
                "accept": state.accept_prob,
            }
            return state, out

        return jax.lax.scan(one, state, None, length=CHUNK)

    return jax.jit(init), jax.jit(advance)


@functools.lru_cache(maxsize=32)
def _value_and_grad(layout: Layout):
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

    function = _value_and_grad(layout)

    def value(z):
        f, g = function(z, data)
        f, g = float(f), np.asarray(g)
        return (f, g) if np.isfinite(f) and np.isfinite(g).all() else (1e12, np.zeros_like(z))

    rng = np.random.default_rng(seed)
    starts = [np.zeros(layout.dim), *(0.5 * rng.standard_normal((3, layout.dim)))]
    starts = [from_z(layout, data["prior"], z) for z in starts]
    found = []
    for i, start in enumerate(starts):
        found.append(minimize(value, start, jac=True, method="L-BFGS-B", options={"maxiter": 500, "maxcor": 20}))
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
