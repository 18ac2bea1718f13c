"""Looped, step by step, with an exponential in the depth in place of a power."""

from __future__ import annotations

from bayeslaw.laws.base import Law, Symbol
from bayeslaw.laws.looped_stepwise import EXIT_SYMBOLS, off_depth, off_depth_unit
from bayeslaw.laws.looped_total import LoopedTotal

DEPTH = ("C", "gamma", "t3")


class LoopedStepwiseExponential(Law):
    """``L = E + A / (N + t1)^alpha + B / (D + t2)^beta + Z * exp(-z * T_m) + cost of stopping at T``.

    ``looped-stepwise`` with an exponential in the depth, as Prairie et al. 2026 (Parcae, arXiv 2604.12946) find far
    better than a power for the test-time depth of one model.
    """

    name = "looped-stepwise-exponential"
    title = "Looped, step by step, exponential"
    formula = (
        "L = E + A / (N + t1)^alpha + B / (D + t2)^beta + Z * exp(-z * T_m) "
        "+ K * |ln(T_m / T)|^kappa / T^mu / (1 + t4 / D)^delta * (J where T > T_m)"
    )
    reference = (
        "Zhu et al. 2025 (Ouro), arXiv 2510.25741, with the depth term of Prairie et al. 2026 (Parcae), arXiv "
        "2604.12946; the cost of early exits is ours"
    )
    covariates = ("n_params", "tokens", "recurrence", "exit_step")
    along = ("B", "K")
    symbols = (
        *(s for s in LoopedTotal.symbols if s.name not in DEPTH),
        Symbol("Z", "loss that depth can take away, counted from depth 0", "nats", "amplitude"),
        Symbol("z", "rate of the fall", "1 / step", "shape"),
        *EXIT_SYMBOLS,
    )

    def terms(self, p, x):
        import jax.numpy as jnp

        return {
            "E": p["E"],
            "A": p["A"] * (x["n_params"] + p["t1"]) ** -p["alpha"],
            "B": p["B"] * (x["tokens"] + p["t2"]) ** -p["beta"],
            "Z": p["Z"] * jnp.exp(-p["z"] * x["recurrence"]),
            "K": off_depth(p, x),
        }

    def unit_terms(self, p, ref):
        return {**super().unit_terms(p, ref), "K": off_depth_unit(p, ref)}
