"""Looped, in depth: a loss that falls exponentially with the recurrent steps and then stays."""

from __future__ import annotations

from bayeslaw.laws.base import Law, Symbol


class LoopedDepth(Law):
    """``L = E + A / N^alpha + B / D^beta + Z * exp(-z * T)``.

    Published, for one trained model: Prairie et al. 2026, "Parcae: Scaling Laws For Stable Looped Language Models"
    (arXiv 2604.12946), the test-time law ``L = L_inf + Z exp(-z T)``, far better there than a power law in T. Ours:
    that ``L_inf`` is Chinchilla's law of N and D (eq. 2 of arXiv 2203.15556), so that one fit spans sizes and budgets
    and Z and z are shared by them. Parcae's own training law is for a fixed number of parameters and is not used here.

    N is the number of parameters, D of training tokens; T is ``exit_step`` where a row has one, else ``recurrence``.
    """

    name = "looped-depth"
    title = "Looped, in depth"
    formula = "L = E + A / N^alpha + B / D^beta + Z * exp(-z * T)"
    reference = "Prairie et al. 2026 (Parcae), arXiv 2604.12946, test-time law; over Chinchilla's law of N and D (ours)"
    covariates = ("n_params", "tokens", "recurrence")
    along = ("B",)
    optional = ("exit_step",)
    symbols = (
        Symbol("E", "irreducible loss", "nats", "amplitude"),
        Symbol("A", "parameter term", "nats * params^alpha", "amplitude"),
        Symbol("alpha", "exponent of parameters", "1", "shape"),
        Symbol("B", "token term", "nats * tokens^beta", "amplitude"),
        Symbol("beta", "exponent of tokens", "1", "shape"),
        Symbol("Z", "loss that recurrent steps can take away, counted from step 0", "nats", "amplitude"),
        Symbol("z", "rate of the fall", "1 / step", "shape"),
    )

    def terms(self, p, x):
        import jax.numpy as jnp

        depth = x["recurrence"]
        if "exit_step" in x:
            depth = jnp.where(jnp.isnan(x["exit_step"]), depth, x["exit_step"])
        return {
            "E": p["E"],
            "A": p["A"] * x["n_params"] ** -p["alpha"],
            "B": p["B"] * x["tokens"] ** -p["beta"],
            "Z": p["Z"] * jnp.exp(-p["z"] * depth),
        }
