"""NUTS: the only file that knows the sampler and JAX's settings.

The posterior is first found by L-BFGS from several starts and whitened by its curvature there, so that NUTS meets
something near a standard normal and needs little warm-up. Each chain runs in a thread of its own: the kernels are too
small to share one, and a vectorised step would wait for the chain with the longest trajectory. The compiled program
takes the data as arguments: other data of the same padded shapes run without compiling again.
"""

from __future__ import annotations

import functools
import math
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayeslaw.engine.layout import Layout
from bayeslaw.engine.mode import find_mode
from bayeslaw.progress import Report

#: iterations between two reports of progress, and between two looks at whether to stop
CHUNK = 25
#: target acceptance: the ridge of E and alpha is curved, and longer steps diverge at its ends
ACCEPT = 0.85
#: warm-up is walked in this many stages; after each but the last the chains' pooled draws mend the whitening
STAGES = 3
#: deepest tree in the warm-up, where a poor whitening would make long ones, and afterwards
DEPTHS = (7, 10)
#: where the number of draws is left open: chains go on from the first number, by the second, until they agree; at the
#: third they stop unless, at the pace so far, they will by the fourth
LEAST, STEP, USUAL, MOST = 200, 100, 2000, 4000
#: after a divergence the draws are thrown away and sampling begins again with steps this much shorter, so many times
SHORTER, RETRIES = 0.6, 3


@dataclass(frozen=True)
class Draws:
    """``z`` (chains, draws, dim), and per draw (chains, draws): ``diverging``, ``steps`` (leapfrog), ``energy``,
    ``lp`` (log posterior), ``accept``; ``step_size``, the same for all chains; ``warmup``, iterations of it."""

    z: np.ndarray
    stats: dict[str, np.ndarray]
    step_size: float
    warmup: int


def sample(
    layout: Layout,
    data: dict[str, Any],
    *,
    seed: int,
    chains: int,
    warmup: int,
    draws: int | None,
    report: Report | None = None,
) -> Draws:
    """Draw from the posterior. Call inside ``jax.enable_x64(True)``.

    ``warmup`` is rounded up to a multiple of ``STAGES * CHUNK``. With ``draws`` None there are as many as
    ``convergence.enough`` asks for, between LEAST and MOST a chain.

    Raises FitError if no starting point with a finite density is found.
    """
    import jax
    import jax.numpy as jnp

    from bayeslaw.engine.convergence import enough, in_reach

    report = report or (lambda stage, done, total: None)
    data = jax.tree.map(jnp.asarray, data)
    report("compiling the density", 0, 1)
    centre, factor = find_mode(layout, data, seed, report)
    report("compiling NUTS", 0, 1)
    window = CHUNK * math.ceil(warmup / STAGES / CHUNK)
    *keys, key = jax.random.split(jax.random.key(seed), STAGES + 1)
    eps = np.asarray(0.5 * jax.random.normal(key, (chains, layout.dim)))
    with Chains(layout, chains, window) as walk:
        for stage, key in enumerate(keys):
            argument = {"data": data, "centre": jnp.asarray(centre), "factor": jnp.asarray(factor)}
            walk.start(key, eps, argument)
            done = window * stage

            def tell(i, done=done):
                report("warming up", done + i, STAGES * window + (draws or LEAST))

            out = walk.go(window, tell)
            if stage + 1 < STAGES:
                mean, spread = pooled(out["z"][:, window // 3 :])
                eps = np.linalg.solve(spread, (out["z"][:, -1] - mean).T).T
                centre, factor = centre + factor @ mean, factor @ spread
        step_size = walk.settle()

        kept: dict[str, np.ndarray] = {}
        want, retries = draws or LEAST, RETRIES
        while True:
            have = kept["z"].shape[1] if kept else 0

            def tell_more(i, have=have, want=want):
                report("sampling", STAGES * window + have + i, STAGES * window + want)

            more = walk.go(want - have, tell_more)
            more["z"] = np.asarray(walk.coordinates(more["z"], argument))
            kept = {k: np.concatenate([kept[k], v], axis=1) if kept else v for k, v in more.items()}
            if retries and kept["diverging"].any():
                # steps too long for the narrowest corner: the draws so far may have left it out
                retries, kept, want = retries - 1, {}, draws or LEAST
                step_size = walk.settle(SHORTER)
                continue
            if draws or want >= MOST or enough(kept["z"]):
                break
            if want >= USUAL and not in_reach(kept["z"], MOST):
                break
            want += STEP
    return Draws(kept.pop("z"), kept, step_size, STAGES * window)


def pooled(eps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (dim,) and factor (dim, dim) of the covariance of all chains' draws (chains, draws, dim).

    The draws are in coordinates that are nearly white already, so that the covariance is shrunk towards 1: with weight
    as of ``dim`` draws, the number below which a sample covariance says nothing.
    """
    flat = eps.reshape(-1, eps.shape[-1])
    n, dim = flat.shape
    cov = (n * np.cov(flat, rowvar=False).reshape(dim, dim) + dim * np.eye(dim)) / (n + dim)
    return flat.mean(axis=0), np.linalg.cholesky(cov)


class Chains:
    """Chains that walk side by side, each in a thread of its own. A context, whose end stops the threads."""

    def __init__(self, layout: Layout, chains: int, window: int) -> None:
        self.dim, self.chains = layout.dim, chains
        self.init, self.advance, self.coordinates = programs(layout, window)
        self.states: list[Any] = []
        self.argument: Any = None
        self.pool = ThreadPoolExecutor(min(chains, os.cpu_count() or 1))
        self.stop, self.lock = threading.Event(), threading.Lock()

    def __enter__(self) -> Chains:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop.set()
        self.pool.shutdown()

    def start(self, key: Any, eps: np.ndarray, argument: Any) -> None:
        """Begin a warm-up window at ``eps`` (chains, dim)."""
        import jax
        import jax.numpy as jnp

        self.argument = argument
        keys = jax.random.split(key, self.chains)
        self.states = [self.init(k, jnp.asarray(e), self.argument) for k, e in zip(keys, eps, strict=True)]

    def go(self, iterations: int, tell: Callable[[int], None]) -> dict[str, np.ndarray]:
        """Walk on; what each iteration gave, (chains, iterations, ...)."""
        import jax

        rounds, done = math.ceil(iterations / CHUNK), [0]

        def walk(i: int) -> dict[str, np.ndarray]:
            kept = []
            # JAX's precision is a setting of each thread
            with jax.enable_x64(True):
                for _ in range(rounds):
                    if self.stop.is_set():
                        break
                    self.states[i], out = self.advance(self.states[i], self.argument)
                    kept.append(jax.tree.map(np.asarray, out))
                    with self.lock:
                        done[0] += 1
                        tell(min(done[0] * CHUNK // self.chains, iterations))
            return {k: np.concatenate([c[k] for c in kept])[:iterations] for k in kept[0]}

        try:
            found = [f.result() for f in [self.pool.submit(walk, i) for i in range(self.chains)]]
        except BaseException:
            self.stop.set()
            raise
        return {k: np.stack([f[k] for f in found]) for k in found[0]}

    def settle(self, factor: float = 1.0) -> float:
        """Give all chains their mean step size, which is steadier than what each found for itself, times a factor."""
        import jax.numpy as jnp

        found = jnp.array([state.adapt_state.step_size for state in self.states])
        step = factor * jnp.exp(jnp.log(found).mean())
        self.states = [s._replace(adapt_state=s.adapt_state._replace(step_size=step)) for s in self.states]
        return float(step)


@functools.lru_cache(maxsize=32)
def programs(layout: Layout, window: int):
    """Jitted ``init(key, start, argument)``, ``advance(state, argument)``, CHUNK iterations of one chain, and
    ``coordinates(eps, argument)``, from the sampler's to the model's (chains, draws, dim).

    The first ``window`` iterations after ``init`` adapt the step size.
    """
    import jax
    from numpyro.infer.hmc import hmc

    from bayeslaw.engine.density import log_posterior
    from bayeslaw.engine.warp import to_z

    def potential_of(argument):
        data = argument["data"]

        def potential(eps):
            z = to_z(layout, data["prior"], argument["centre"] + argument["factor"] @ eps)
            return -log_posterior(layout, data, z)

        return potential

    kernels: Any = hmc(potential_fn_gen=potential_of, algo="NUTS")  # whose types know no NUTS without a length
    init_kernel, sample_kernel = kernels

    def init(key, start, argument):
        state = init_kernel(
            start,
            window,
            step_size=0.5,
            adapt_mass_matrix=False,
            target_accept_prob=ACCEPT,
            trajectory_length=None,
            max_tree_depth=DEPTHS,
            model_args=(argument,),
            rng_key=key,
        )
        # the kernel would begin the step size anew near the end of the window, as after a change of the mass matrix
        last = state.adapt_state.window_idx + 99
        return state._replace(adapt_state=state.adapt_state._replace(window_idx=last))

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

    def coordinates(eps, argument):
        def one(e):
            return to_z(layout, argument["data"]["prior"], argument["centre"] + argument["factor"] @ e)

        return jax.vmap(jax.vmap(one))(eps)

    return jax.jit(init), jax.jit(advance), jax.jit(coordinates)
