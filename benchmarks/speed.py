"""Speed of a fit: as a whole process, against NUTS over every parameter, and in the number of bins.

    python benchmarks/speed.py [process] [recompile] [bins] [ratio]

``process``    ``bayeslaw fit`` of the public schedules (three sizes, three schedules), cache empty and cache filled.
``recompile``  programs compiled by a second fit, of other data of a similar size, in one process.
``bins``       a gradient's time against the number of bins.
``ratio``      smallest ESS per second against the same model with every parameter in NumPyro's NUTS, non-centred and
               standardised, run until R-hat <= 1.01 or ``--minutes`` (30) have gone.

Times mean little while the machine does other work.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from report import DATA

TABLE = DATA / "multipowerlaw" / "runs.csv"


def public_runs() -> Any:
    import bayeslaw as bl

    return bl.load(TABLE).where("split == 'fit'")


def process() -> None:
    """Wall time of the command, in a fresh process each time."""
    command = shutil.which("bayeslaw", path=str(Path(sys.executable).parent))
    with tempfile.TemporaryDirectory() as folder:
        table, env = Path(folder) / "runs.csv", {**os.environ, "XDG_CACHE_HOME": str(Path(folder) / "cache")}
        public_runs().frame.drop(columns=["kept", "row"]).to_csv(table, index=False)
        print("| `bayeslaw fit runs.csv --model multi-power` | wall time, s |\n|---|---|")
        for label in ("cache empty", "cache filled", "cache filled, again"):
            out = Path(folder) / f"{label.replace(' ', '-').replace(',', '')}.nc"
            start = time.perf_counter()
            arguments = [str(command), "fit", str(table), "--model", "multi-power", "-o", str(out), "--quiet"]
            done = subprocess.run(arguments, env=env, capture_output=True, text=True)
            took = time.perf_counter() - start
            print(f"| {label} | {took:.1f}{'' if done.returncode == 0 else f' (exit {done.returncode})'} |", flush=True)
            if done.returncode not in (0, 1):
                raise SystemExit(done.stderr)


def recompile() -> None:
    """Compilations during a first and a second fit."""
    import jax.monitoring
    import numpy as np

    import bayeslaw as bl

    count = [0]

    def heard(name: str, *_: Any, **__: Any) -> None:
        count[0] += name == "/jax/core/compile/backend_compile_duration"

    jax.monitoring.register_event_duration_secs_listener(heard)
    runs = public_runs()
    other = runs.frame.drop(columns=["kept", "row"])
    other["loss"] = 1.05 * other["loss"] + 1e-3 * np.sin(np.arange(len(other)))
    other = bl.Runs.from_frame(other[other["step"] % 384 != 0])
    print("| fit | programs compiled | s |\n|---|---|---|")
    for label, table in (("first", runs), ("second, of other data", other)):
        count[0], start = 0, time.perf_counter()
        bl.fit(table, "multi-power", draws=200)
        print(f"| {label} | {count[0]} | {time.perf_counter() - start:.1f} |", flush=True)


def bins() -> None:
    """A gradient of the log posterior at several numbers of bins."""
    import jax
    import numpy as np

    from bayeslaw.cards import load_card
    from bayeslaw.engine.assemble import assemble
    from bayeslaw.engine.mode import value_and_grad

    print("| bins | gradient, ms | µs per bin |\n|---|---|---|")
    runs = public_runs()
    for most in (20, 40, 80, 160):
        with jax.enable_x64(True):
            problem = assemble(load_card("multi-power"), runs, max_bins=most)
            data = jax.tree.map(jax.numpy.asarray, problem.data)
            function, z = value_and_grad(problem.layout), np.zeros(problem.layout.dim)
            jax.block_until_ready(function(z, data))
            times = []
            for _ in range(20):
                start = time.perf_counter()
                for _ in range(50):
                    found = function(z, data)
                jax.block_until_ready(found)
                times.append((time.perf_counter() - start) / 50)
        best, count = 1e3 * min(times), len(problem.bins)
        print(f"| {count} | {best:.3f} | {1e3 * best / count:.2f} |", flush=True)


def ratio(minutes: float) -> None:
    """Smallest ESS per second, all time counted from the assembled problem on."""
    import jax
    import numpy as np

    from bayeslaw.cards import load_card
    from bayeslaw.engine import convergence
    from bayeslaw.engine.assemble import assemble
    from bayeslaw.engine.sampler import sample

    print("| sampler | coordinates | draws | leapfrogs a draw | R-hat | smallest ESS | s | ESS/s |\n|" + "---|" * 8)

    def row(label: str, z: np.ndarray, steps: float, took: float) -> float:
        least, rhat = convergence.ess(z).min(), convergence.rhat(z).max()
        size = f"{z.shape[-1]} | {z.shape[0]} x {z.shape[1]} | {steps:.1f} | {rhat:.3f}"
        print(f"| {label} | {size} | {least:.0f} | {took:.0f} | {least / took:.2f} |", flush=True)
        return least / took

    with jax.enable_x64(True):
        problem = assemble(load_card("multi-power"), public_runs())
        start = time.perf_counter()
        found = sample(problem.layout, problem.data, seed=0, chains=4, warmup=300, draws=None)
        ours = row("bayeslaw", found.z, found.stats["steps"].mean(), time.perf_counter() - start)
        start = time.perf_counter()
        z, steps = every_parameter(problem, 60 * minutes)
        theirs = row("every parameter in NUTS", z, steps, time.perf_counter() - start)
    print(f"\nESS per second: {ours / theirs:.1f} times that of NUTS over every parameter.")


def every_parameter(problem: Any, seconds: float) -> tuple[Any, float]:
    """Draws (chains, draws, all coordinates) by NumPyro's NUTS, with the run effects and discrepancy sampled too."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import numpyro
    import numpyro.distributions as dist
    from numpyro.infer import MCMC, NUTS

    from bayeslaw.engine import convergence, density, params

    layout, rows = problem.layout, problem.data["rows"]

    def model(data):
        v_prior = data["prior"]
        z = numpyro.sample("z", dist.Normal(0, 1).expand([layout.dim]))
        b = numpyro.sample("b", dist.Normal(0, 1).expand([*rows["mask"].shape[:1], layout.effect_count]))
        v = params.values(layout, v_prior, z)
        # what the prior is beyond standard normal: nothing, where all spreads are fixed
        numpyro.factor("prior", params.log_prior(layout, v_prior, z) + 0.5 * jnp.sum(z**2))
        r, var, g = density.pieces(layout, v, data)
        at = jnp.einsum("rnk,rk->rn", g, b)
        logs = dist.Normal(at, jnp.sqrt(var)).log_prob(r)
        numpyro.factor("loss", jnp.sum(jnp.where(data["rows"]["mask"], logs, 0.0)))

    data = jax.tree.map(jnp.asarray, problem.data)
    mcmc = MCMC(
        NUTS(model), num_warmup=1000, num_samples=250, num_chains=4, chain_method="parallel", progress_bar=False,
        jit_model_args=True,
    )  # fmt: skip
    start, z, steps = time.perf_counter(), [], []
    mcmc.warmup(jax.random.PRNGKey(0), data, extra_fields=("num_steps",))
    key = mcmc.post_warmup_state.rng_key
    while True:
        mcmc.run(key, data, extra_fields=("num_steps",))
        # what was integrated out is not held against it: R-hat and ESS are those of the shared coordinates
        z.append(np.asarray(mcmc.get_samples(group_by_chain=True)["z"]))
        steps.append(np.asarray(mcmc.get_extra_fields()["num_steps"]).mean())
        draws = np.concatenate(z, axis=1)
        late = time.perf_counter() - start > seconds
        if late or convergence.rhat(draws).max() <= convergence.RHAT:
            return draws, float(np.mean(steps))
        mcmc.post_warmup_state = mcmc.last_state
        key = mcmc.last_state.rng_key


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["process", "recompile", "bins", "ratio"])
    parser.add_argument("--minutes", type=float, default=30)
    asked = parser.parse_args()
    if "ratio" in asked.parts:
        os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
    for part in asked.parts:
        print(f"\n### {part}\n")
        ratio(asked.minutes) if part == "ratio" else {"process": process, "recompile": recompile, "bins": bins}[part]()
